"""Runs of the lead triage's verbs, one at a time, against the pretend company."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks import connections
from blocks import ledger as tables
from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.ledger import Decision, Ledger
from flows.lead_triage import CARD
from sandbox.client import Delivered, Sandbox
from tasks import act, actions, run
from tasks.act import Approved
from tasks.actions import Action, AddNote, ApplyLabel, CreateTask, PostMessage, SendReply, UpsertContact
from tasks.card import Card

ROOT = Path(run.__file__).parents[1]
Begin = Callable[..., AbstractContextManager[run.Run]]
Allow = Callable[..., Approved]
ANN = "ann@northwind.example"
WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CREDENTIALS = {"gmail": "gmail/inbox", "hubspot": "hubspot/crm", "slack": "slack/team"}


@pytest.fixture
def begin(accounts: Callable[[], None], ledger: Ledger) -> Callable[..., AbstractContextManager[run.Run]]:  # noqa: ARG001
    """Begins a run of the lead triage, or of a card that differs from it."""

    def begin_run(card: Card = CARD, **changes: object) -> AbstractContextManager[run.Run]:
        return run.begin(card.model_copy(update=changes), ledger)

    return begin_run


@pytest.fixture
def gmail(accounts: Callable[[], None]) -> Gmail:  # noqa: ARG001
    """The inbox's block, as the verbs see it."""
    block: Gmail = connections.load("gmail/inbox")
    return block


@pytest.fixture
def hubspot(accounts: Callable[[], None]) -> HubSpot:  # noqa: ARG001
    """The CRM's block, as the verbs see it."""
    block: HubSpot = connections.load("hubspot/crm")
    return block


@pytest.fixture
def elsewhere(prefect_server: None) -> Iterator[Callable[[str], "subprocess.CompletedProcess[str]"]]:  # noqa: ARG001
    """Runs code in a process of its own, on the same Prefect server and ledger, until it ends or kills itself."""
    from prefect.settings import PREFECT_API_URL

    def execute(code: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
        yield execute


@pytest.fixture
def mail(sandbox: Sandbox) -> Delivered:
    """The e-mail that the actions are about."""
    return sandbox.write(sender=ANN, subject="A demo", body="Could we see a demo?")


@pytest.fixture
def wanted(mail: Delivered, hubspot: HubSpot) -> Callable[[str], Action]:
    """One action of each kind, on the e-mail and on a contact that exists."""
    hubspot.upsert_contact(ANN, {"firstname": "Ann"})
    every: list[Action] = [
        SendReply(
            message_id=mail.id,
            thread_id=mail.thread_id,
            to=ANN,
            subject="A demo",
            body="Hello Ann, of course.",
            in_reply_to=mail.message_id,
        ),
        ApplyLabel(message_id=mail.id, label="Signoff/Lead", archive=True),
        UpsertContact(email=ANN, properties={"lastname": "Berg"}),
        AddNote(email=ANN, body="Wants a <demo>\nsoon", at=WHEN),
        CreateTask(email=ANN, subject="Book the demo", body="Soon", due=WHEN),
        PostMessage(text="A new lead"),
    ]
    return lambda kind: next(action for action in every if action.kind == kind)


@pytest.fixture
def allow(ledger: Ledger, accounts: Callable[[], None]) -> Allow:  # noqa: ARG001
    """Puts an action and the decision that allows it into the ledger."""

    def put(action: Action, key: str = "lead-triage:k", verdict: str = "approved", **changes: Any) -> Approved:
        payload = action.model_dump(mode="json")
        credential = changes.get("credential", CREDENTIALS[action.kind.split(".")[0]])
        digest = actions.digest(action.kind, payload, credential)
        fields: dict[str, Any] = {
            "key": f"{key}:{action.kind}",
            "workflow": "lead-triage",
            "kind": action.kind,
            "impact": action.impact,
            "title": action.title,
            "payload": payload,
            "digest": digest,
            "credential": credential,
            "explanation": "",
            "stage": "selective",
            "state": "pending",
        }
        with ledger.write() as session:
            row = tables.Action(**fields | changes)
            session.add(row)
            session.flush()
            decision = Decision(
                action_id=row.id, verdict=verdict, approver="Ann", payload=payload, digest=digest, edited=False
            )
            session.add(decision)
            session.flush()
            return Approved(row.id, decision.id)

    return put


@pytest.fixture
def do(begin: Begin, ledger: Ledger) -> Callable[[Approved], None]:
    """Does one action in a run of its own, without Prefect's retries."""

    def once(approved: Approved) -> None:
        with begin() as run:
            act.do(ledger, run.id, approved)

    return once

"""Runs of the lead triage's verbs, one at a time, against the pretend company."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks import connections
from blocks import ledger as tables
from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.ledger import Decision, Ledger, utcnow
from blocks.mail import Email
from flows.lead_triage import CARD
from sandbox.client import Delivered, Sandbox
from tasks import act, actions, run
from tasks.act import Approved
from tasks.actions import (
    Action,
    AddNote,
    ApplyLabel,
    CreateInvoice,
    CreatePage,
    CreateTask,
    InvoiceLine,
    IssueCredit,
    NoteTicket,
    PostMessage,
    Refund,
    SendFollowUp,
    SendReminder,
    SendReply,
    UpdateTicket,
    UpsertContact,
)
from tasks.card import Card
from tasks.tickets import SOURCE, AskedByTicket
from tests.answering import open_deal, open_ticket
from tests.conftest import MAILBOX

ROOT = Path(run.__file__).parents[1]
Begin = Callable[..., AbstractContextManager[run.Run]]
Allow = Callable[..., Approved]
ANN = "ann@northwind.example"
BILLED = {
    "id": "cus_ann", "email": ANN, "name": "Northwind", "days_ago": 50,
    "invoices": [
        {"days_ago": 40, "lines": [{"description": "Pro", "amount": 8_900}], "paid_days_ago": 30},
        {"days_ago": 5, "lines": [{"description": "Pro", "amount": 8_900}]},
        {"days_ago": 25, "lines": [{"description": "Pro", "amount": 7_700}]},
    ],
}  # fmt: skip
WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CREDENTIALS = {
    "gmail": "gmail/inbox",
    "hubspot": "hubspot/crm",
    "slack": "slack/team",
    "stripe": "stripe/billing",
    "notion": "notion/meetings",
    "ledger": "ledger/rows",
}


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


@pytest.fixture(autouse=True)
def _every_day_is_a_workday(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever day it is: a test that is about workdays says so with `pytest.mark.workdays`."""
    if "workdays" not in request.keywords:
        monkeypatch.setattr("tasks.workdays.day_off", lambda day, name: "")  # noqa: ARG005


@pytest.fixture
def mail(sandbox: Sandbox) -> Delivered:
    """The e-mail that the actions are about."""
    return sandbox.write(sender=ANN, subject="A demo", body="Could we see a demo?")


@pytest.fixture
def wanted(mail: Delivered, hubspot: HubSpot, sandbox: Sandbox) -> Callable[[str], Action]:
    """One action of each kind, on the e-mail, on a contact that exists, a ticket of theirs, and what they have paid."""
    sandbox.bill(BILLED)
    billed = sandbox.state()
    money: dict[str, Any] = {"customer_id": "cus_ann", "customer_email": ANN, "currency": "eur"}
    overdue = next(each for each in billed["stripe_invoices"] if each["total"] == 7_700)
    open_one = next(each for each in billed["stripe_invoices"] if each["status"] == "open" and each["total"] == 8_900)
    payment = billed["stripe_charges"][0]["payment_intent"]
    hubspot.upsert_contact(ANN, {"firstname": "Ann"})
    ticket = open_ticket(hubspot, ANN)
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
        NoteTicket(ticket_id=ticket, body="Answered: <Layout>\nand more", at=WHEN),
        UpdateTicket(ticket_id=ticket, properties={"hs_ticket_priority": "HIGH"}),
        PostMessage(text="A new lead"),
        CreatePage(
            name="A demo for Northwind",
            properties={"Date": "2026-03-02", "Summary": "They want <two> doors", "Status": "Draft"},
            body="# Decisions\n- Two doors\n- [ ] Ann sends the plan",
        ),
        SendFollowUp(
            to=ANN,
            subject="Dockwell",
            body="How are you?",
            deal_id=open_deal(hubspot, ANN),
            stage="contractsent",
            crm="hubspot/crm",
            since=utcnow() + timedelta(minutes=5),
            calendar="IE",
        ),
        SendReminder(to=ANN, subject="Invoice", body="Please pay.", invoice_id=overdue["id"], billing="stripe/billing"),
        Refund(**money, payment_intent_id=payment, amount=4_000, reason="duplicate", why="It was paid twice"),
        IssueCredit(
            **money, invoice_id=open_one["id"], invoice_number=open_one["number"], amount=900, memo="For the outage"
        ),
        CreateInvoice(**money, lines=(InvoiceLine(description="A desk", unit_amount=500),), days_until_due=14),
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


@pytest.fixture
def resume(begin: Begin) -> Callable[[], list[str]]:
    """The next run's first step; returns its notes."""

    def once() -> list[str]:
        with begin() as run:
            act.resume(run)
            return run.notes

    return once


@pytest.fixture
def add_question(ledger: Ledger, email: Callable[..., Email]) -> Callable[..., int]:
    """Puts a question for the support answers into the ledger, in any state: an e-mail, or with `ticket` a ticket."""

    def add(state: str = "fetched", *, ticket: str = "", context: dict[str, Any] | None = None, **changes: Any) -> int:
        if ticket:
            fields = {"sender": ANN, "subject": "Labels", "text": "The labels are cut off.", "sent_at": WHEN} | changes
            found = AskedByTicket(ticket_id=ticket, **fields)
            where = {"source": SOURCE, "external_id": ticket, "title": found.subject}
        else:
            mail = email(**{"subject": "Labels", "text": "The labels are cut off."} | changes)
            where = {"source": f"gmail:{MAILBOX}", "external_id": mail.message_id, "title": mail.subject}
        payload = (found if ticket else mail).model_dump(mode="json")
        with ledger.write() as session:
            record = tables.Record(workflow="support-answer", payload=payload, state=state, context=context, **where)
            session.add(record)
            session.flush()
            return record.id

    return add

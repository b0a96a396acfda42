"""Work that waits for people, as the gate leaves it, and the inbox page that shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI

from blocks.ledger import Action, Decision, Ledger, ModelCall, Record, Run, utcnow
from blocks.mail import Email
from deployments.inbox.service import Inbox
from flows import billing_agent, lead_triage
from tasks import actions, approvals, gate
from tasks.actions import Action as Wanted
from tasks.actions import AddNote, Refund, SendReply, UpsertContact

TOM, KOFI, MARA = "tom@dockwell.example", "kofi@dockwell.example", "mara@dockwell.example"
"""Who owns lead triage, who owns the billing agent, and somebody at the company's domain."""

STRANGER = "eve@elsewhere.example"
TRIAGE, BILLING = lead_triage.CARD, billing_agent.CARD
CARDS = (TRIAGE, BILLING)
PASSWORD = "signoff:a-password-of-the-tests"
ANN = "ann@northwind.example"
WHEN = datetime.fromisoformat("2026-03-02T09:30:00+00:00")


def mail(text: str = "Could we see a demo?", **changes: Any) -> Email:
    """An e-mail as it comes out of the parser."""
    fields: dict[str, Any] = {
        "message_id": "m1", "thread_id": "t1", "rfc822_message_id": "<m1@northwind.example>", "references": (),
        "sender": ANN, "sender_name": "Ann Berg", "reply_to": "", "to": ("hello@dockwell.example",), "cc": (),
        "subject": "A demo", "sent_at": WHEN, "text": text, "quoted": "", "signature": "", "attachments": (),
        "machine": "", "defects": (),
    }  # fmt: skip
    return Email(**fields | changes)


def reply(to: str = ANN, body: str = "Hello Ann,\n\nof course.\n\nDockwell", **changes: Any) -> SendReply:
    """The draft that answers it."""
    fields: dict[str, Any] = {"message_id": "m1", "thread_id": "t1", "to": to, "subject": "A demo", "body": body}
    return SendReply(**fields | {"in_reply_to": "<m1@northwind.example>"} | changes)


def note(to: str = ANN, body: str = "Wants a demo of 12 doors") -> AddNote:
    """Something that is only seen inside the company."""
    return AddNote(email=to, body=body, at=WHEN)


def contact(to: str = ANN) -> UpsertContact:
    """Another such thing."""
    return UpsertContact(email=to, properties={"firstname": "Ann", "lifecyclestage": "lead"})


def refund(amount: int = 4_000, to: str = ANN) -> Refund:
    """Money."""
    return Refund(
        customer_id="cus_ann", customer_email=to, payment_intent_id="pi_1", amount=amount, currency="eur",
        reason="duplicate", why="It was paid twice",
    )  # fmt: skip


@dataclass
class Desk:
    """A ledger in which work waits."""

    ledger: Ledger
    made: int = 0
    ids: list[int] = field(default_factory=list)

    def put(
        self,
        *wanted: Wanted,
        workflow: str = "lead-triage",
        email: Email | None = None,
        confidence: Any = 0.92,
        forms: bool = True,
        age: timedelta = timedelta(hours=3),
        life: timedelta = timedelta(days=5),
        credential: str = "",
    ) -> list[int]:
        """Let one record want these actions; their numbers. Without `forms` Prefect is not asked."""
        self.made += 1
        found = email or mail()
        answer = {
            "intent": "demo_request", "urgency": "normal", "summary": "Ann Berg of Northwind wants a demo.",
            "reply": "Hello", "confidence": confidence,
        }  # fmt: skip
        then = utcnow() - age
        with self.ledger.write() as session:
            if session.get(Run, "r") is None:
                session.add(Run(id="r", workflow=workflow, stage="gated", started_at=then, heartbeat_at=then))
                session.flush()
            record = Record(
                workflow=workflow, source="gmail:x", external_id=f"m{self.made}", title=found.subject, state="gated",
                payload=found.model_dump(mode="json"), answer=answer, sure=True, created_at=then,
            )  # fmt: skip
            session.add(record)
            session.flush()
            call = ModelCall(
                workflow=workflow, record_id=record.id, run_id="r", prompt="lead_triage", prompt_version="v",
                model="claude", attempt=1, reply="{}", stop_reason="end_turn", input_tokens=1, output_tokens=1,
                cost=Decimal("0.0012"), seconds=1,
            )  # fmt: skip
            session.add(call)
            why = lead_triage.explain(record) if isinstance(confidence, float) else "**Why:** a demo"
            rows = [_row(one, workflow, record, why, then, life, credential, n) for n, one in enumerate(wanted)]
            session.add_all(rows)
            session.flush()
            ids = [row.id for row in rows]
        if forms:
            approvals.request(self.ledger, ids)
        self.ids += ids
        return ids

    def as_if_with_forms(self) -> None:
        """Let all that was put here without forms look as if it had them."""
        with self.ledger.write() as session:
            for row in session.scalars(sa.select(Action).where(Action.flow_run_id.is_(None))):
                row.flow_run_id = f"00000000-0000-0000-0000-{row.id:012}"

    def without_forms(self, count: int) -> None:
        """Many records at once, half of whose actions are high-impact; as if each had its form."""
        with self.ledger.write() as session:
            for number in range(count // 2):
                found = mail(subject=f"A demo for site {number}")
                record = Record(
                    workflow="lead-triage", source="gmail:x", external_id=f"many{number}", title=found.subject,
                    state="gated", payload=found.model_dump(mode="json"), answer={"confidence": 0.9},
                )  # fmt: skip
                session.add(record)
                session.flush()
                for n, one in enumerate((reply(), note())):
                    row = _row(one, "lead-triage", record, "**Why:** a demo", utcnow(), timedelta(days=5), "", n)
                    row.flow_run_id = f"00000000-0000-0000-0000-{record.id:012}"
                    session.add(row)

    def action(self, number: int) -> Action:
        """As the ledger has it now."""
        return approvals.action_of(self.ledger, number)

    def decision(self, number: int) -> Decision | None:
        """What was decided about it."""
        with self.ledger.read() as session:
            return session.scalar(sa.select(Decision).where(Decision.action_id == number))

    def states(self) -> list[str]:
        """Of all that was put here, in order."""
        return [self.action(number).state for number in self.ids]


def _row(
    one: Wanted, workflow: str, record: Record, why: str, then: datetime, life: timedelta, credential: str, nth: int
) -> Action:
    payload = one.model_dump(mode="json")
    name = (
        credential
        or {"gmail": "gmail/inbox", "hubspot": "hubspot/crm", "stripe": "stripe/billing"}[one.kind.split(".")[0]]
    )
    return Action(
        key=f"{gate.natural_key(record)}:{one.kind}#{nth}", workflow=workflow, record_id=record.id, kind=one.kind,
        impact=one.impact, title=one.title, payload=payload, digest=actions.digest(one.kind, payload, name),
        credential=name, explanation=gate.explanation(one, why, Decimal("0.0012")), stage="gated", state="waiting",
        created_at=then, expires_at=then + life,
    )  # fmt: skip


def service(
    ledger: Ledger, home: Path, *, cards: Sequence[Any] = CARDS, hold_seconds: float = 0.4, **more: Any
) -> Inbox:
    """The page's service, which tells nobody unless it is asked to."""
    given: dict[str, Any] = {
        "tells": False,
        "password": PASSWORD,
        "hold_seconds": hold_seconds,
        "poll_seconds": 0.3,
    } | more
    return Inbox(ledger, home=home, cards=lambda: list(cards), **given)


def application(inbox: Inbox) -> FastAPI:
    """The receiver with the page in it."""
    from deployments.receiver.app import create_app
    from deployments.receiver.endpoints import Endpoints

    return create_app(
        inbox.ledger,
        Endpoints(lambda: ({}, [])),
        triggers=(),
        routers=(inbox.router,),
        on_interaction=inbox.on_interaction,
    )


@contextmanager
def served(inbox: Inbox) -> Iterator[str]:
    """The page on a port of this process; yields its address."""
    from tests.deployments.receiving import served as serve

    with serve(application(inbox)) as url:
        yield url

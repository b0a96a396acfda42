"""Every place that actions go to: an action to do there, and how to see in the pretend company how often it was done.

A kind that `tasks/performers` learns needs an entry here; without one the matrix refuses to run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from blocks.ledger import utcnow
from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.notion import source_id
from tasks.actions import (
    Action,
    AddNote,
    AddRow,
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
from tasks.performers import PERFORMERS

MAILBOX = "hello@company.example"
ANN = "ann@northwind.example"
NEW = "new@northwind.example"
WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TIMEOUT_SECONDS = 0.7
"""What hangs is given up this soon; everything else answers within some milliseconds."""

Accounts = dict[str, Any]
"""The blocks, by credential."""

State = dict[str, Any]
"""What the sandbox holds: `Sandbox.state()`."""


@dataclass(frozen=True)
class Destination:
    """One kind of action."""

    credential: str
    want: Callable[[Sandbox, Accounts], Action]
    """Sets the scene in an empty company, and makes the action."""
    effects: Callable[[State, Any, str], int]
    """How often the action shows, given the state, the action and its marker."""
    vendor: str
    """The sandbox's name of it."""


def accounts(url: str) -> Accounts:
    """The pretend company's accounts, by credential, with clients of their own."""
    from blocks.anthropic import Claude
    from blocks.gmail import Gmail
    from blocks.hubspot import HubSpot
    from blocks.notion import Notion
    from blocks.slack import Slack
    from blocks.stripe import Stripe

    return {
        "gmail/inbox": Gmail(
            mailbox=MAILBOX,
            client_id=credentials.GOOGLE_CLIENT_ID,
            client_secret=SecretStr(credentials.GOOGLE_CLIENT_SECRET),
            refresh_token=SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
            address=f"{url}/google/",
            token_address=f"{url}/google/token",
            timeout_seconds=TIMEOUT_SECONDS,
        ),
        "hubspot/crm": HubSpot(
            access_token=SecretStr(credentials.HUBSPOT_TOKEN),
            address=f"{url}/hubspot",
            timeout_seconds=TIMEOUT_SECONDS,
        ),
        "slack/team": Slack(
            bot_token=SecretStr(credentials.SLACK_BOT_TOKEN),
            channel="C0000000001",
            address=f"{url}/slack",
            timeout_seconds=TIMEOUT_SECONDS,
        ),
        "stripe/billing": Stripe(
            api_key=SecretStr(credentials.STRIPE_KEY),
            address=f"{url}/stripe",
            timeout_seconds=TIMEOUT_SECONDS,
        ),
        "notion/meetings": Notion(
            token=SecretStr(credentials.NOTION_TOKEN),
            data_source=source_id("Meeting notes"),
            address=f"{url}/notion",
            timeout_seconds=TIMEOUT_SECONDS,
        ),
        "claude/triage": Claude(
            api_key=SecretStr(credentials.ANTHROPIC_API_KEY),
            address=f"{url}/anthropic",
            timeout_seconds=TIMEOUT_SECONDS,
        ),
    }


def mentions(state: State, _action: Any, marker: str) -> int:
    """How many things of any sort carry the action's marker."""
    things = [thing for name, listed in state.items() if name != "model_calls" and isinstance(listed, list)
              for thing in listed]  # fmt: skip
    return sum(marker in json.dumps(thing) for thing in things)


def _sent(state: State, _action: Any, marker: str) -> int:
    """A draft is nothing yet, but beside the sent message it would be a second one."""
    sent, drafts = ([marker in json.dumps(mail) for mail in state[box]] for box in ("sent", "drafts"))
    return sum(sent) + (sum(drafts) if any(sent) else 0)


def _mail(sandbox: Sandbox) -> Any:
    return sandbox.write(sender=ANN, subject="A demo", body="Could we see a demo?")


def _reply(sandbox: Sandbox, _: Accounts) -> Action:
    mail = _mail(sandbox)
    return SendReply(
        message_id=mail.id,
        thread_id=mail.thread_id,
        to=ANN,
        subject="A demo",
        body="Hello Ann, of course.",
        in_reply_to=mail.message_id,
    )


def _label(sandbox: Sandbox, _: Accounts) -> Action:
    return ApplyLabel(message_id=_mail(sandbox).id, label="Signoff/Lead", archive=False)


def _labelled(state: State, action: ApplyLabel, _marker: str) -> int:
    """Two labels of one name would be twice, whichever of them the message has."""
    (mail,) = [mail for mail in state["inbox"] if mail["id"] == action.message_id]
    names = [state["label_names"].get(label) for label in mail["labels"]]
    labels: list[str] = state["labels"]
    return names.count(action.label) + max(0, labels.count(action.label) - 1)


def _contact(*_: Any) -> Action:
    return UpsertContact(email=NEW, properties={"lastname": "Berg"})


def _contacts(state: State, action: UpsertContact, _marker: str) -> int:
    mine: list[dict[str, str]] = [
        contact["properties"] for contact in state["contacts"] if contact["properties"]["email"] == action.email
    ]
    return sum(action.properties.items() <= contact.items() for contact in mine) + max(0, len(mine) - 1)


def _known(connected: Accounts) -> None:
    connected["hubspot/crm"].upsert_contact(ANN, {"firstname": "Ann"})


def _note(_: Sandbox, connected: Accounts) -> Action:
    _known(connected)
    return AddNote(email=ANN, body="Wants a demo", at=WHEN)


def _post(*_: Any) -> Action:
    return PostMessage(text="A new lead")


def _task(_: Sandbox, connected: Accounts) -> Action:
    _known(connected)
    return CreateTask(email=ANN, subject="Book the demo", body="Soon", due=WHEN)


def _ticket(connected: Accounts) -> str:
    tickets = connected["hubspot/crm"].get_client().crm.tickets.basic_api
    return str(tickets.create({"properties": {"subject": "Help", "hs_pipeline_stage": "1"}}).id)


def _ticket_note(_: Sandbox, connected: Accounts) -> Action:
    return NoteTicket(ticket_id=_ticket(connected), body="Answered", at=WHEN)


def _ticket_update(_: Sandbox, connected: Accounts) -> Action:
    return UpdateTicket(ticket_id=_ticket(connected), properties={"hs_ticket_priority": "HIGH"})


def _tickets(state: State, action: UpdateTicket, _marker: str) -> int:
    held: list[dict[str, str]] = [each["properties"] for each in state["tickets"] if each["id"] == action.ticket_id]
    return sum(action.properties.items() <= properties.items() for properties in held)


def _followup(_: Sandbox, connected: Accounts) -> Action:
    _known(connected)
    deals = connected["hubspot/crm"].get_client().crm.deals.basic_api
    deal = deals.create({"properties": {"dealname": "Northwind", "dealstage": "contractsent", "pipeline": "default"}})
    return SendFollowUp(
        to=ANN, subject="Dockwell", body="How are you?", deal_id=str(deal.id), stage="contractsent", crm="hubspot/crm",
        since=utcnow() + timedelta(minutes=5), calendar="IE",
    )  # fmt: skip


def _billed(sandbox: Sandbox) -> dict[str, Any]:
    """A customer who has paid one invoice, and has one open."""
    line = {"description": "Pro", "amount": 8_900}
    invoices = [{"days_ago": 40, "lines": [line], "paid_days_ago": 30}, {"days_ago": 5, "lines": [line]}]
    sandbox.bill({"id": "cus_ann", "email": ANN, "name": "Northwind", "days_ago": 50, "invoices": invoices})
    return {"customer_id": "cus_ann", "customer_email": ANN, "currency": "eur"}


def _reminder(sandbox: Sandbox, _: Accounts) -> Action:
    late = {"days_ago": 25, "lines": [{"description": "Pro", "amount": 7_700}]}
    sandbox.bill({"id": "cus_ann", "email": ANN, "name": "Northwind", "days_ago": 50, "invoices": [late]})
    invoice = sandbox.state()["stripe_invoices"][0]["id"]
    return SendReminder(to=ANN, subject="Invoice", body="Please pay.", invoice_id=invoice, billing="stripe/billing")


def _refund(sandbox: Sandbox, _: Accounts) -> Action:
    theirs, payment = _billed(sandbox), sandbox.state()["stripe_charges"][0]["payment_intent"]
    return Refund(**theirs, payment_intent_id=payment, amount=4_000, reason="duplicate", why="It was paid twice")


def _credit(sandbox: Sandbox, _: Accounts) -> Action:
    theirs = _billed(sandbox)
    invoice = next(each for each in sandbox.state()["stripe_invoices"] if each["status"] == "open")
    of = {"invoice_id": invoice["id"], "invoice_number": invoice["number"]}
    return IssueCredit(**theirs, **of, amount=900, memo="For the outage")


def _invoice(sandbox: Sandbox, _: Accounts) -> Action:
    lines = (InvoiceLine(description="A desk", unit_amount=500), InvoiceLine(description="A chair", unit_amount=300))
    return CreateInvoice(**_billed(sandbox), lines=lines, days_until_due=14)


def _invoiced(state: State, action: CreateInvoice, marker: str) -> int:
    """E-mailed twice would be twice; so would a line that stands there twice."""
    mine = [each for each in state["stripe_invoices"] if each["metadata"].get("signoff_action") == marker]
    sent: int = sum(each.get("_sent", 0) for each in mine)
    doubled = sum(bool(each["total"] > action.total) for each in mine)
    return sent + max(0, len(mine) - 1) + doubled


def _page(*_: Any) -> Action:
    """Too long for one request: its body is written in two."""
    body = "\n".join(["# Decisions", *(f"- No. {number}" for number in range(120))])
    return CreatePage(name="Weekly", properties={"Date": "2026-03-02", "Status": "Draft"}, body=body)


def _pages(state: State, action: CreatePage, marker: str) -> int:
    """A line that is there twice, or not at all, would be as bad as a second page. The trash is where failures go."""
    live = [page for page in state["notion"] if not page["in_trash"]]
    mine: list[dict[str, Any]] = [page for page in live if page["properties"]["Key"] == marker]
    broken: int = sum(page["body"] != action.body.splitlines() for page in mine)
    return len(mine) + broken


DESTINATIONS: dict[str, Destination] = {
    SendReply.kind: Destination("gmail/inbox", _reply, _sent, "google"),
    SendFollowUp.kind: Destination("gmail/inbox", _followup, _sent, "google"),
    SendReminder.kind: Destination("gmail/inbox", _reminder, _sent, "google"),
    ApplyLabel.kind: Destination("gmail/inbox", _label, _labelled, "google"),
    UpsertContact.kind: Destination("hubspot/crm", _contact, _contacts, "hubspot"),
    AddNote.kind: Destination("hubspot/crm", _note, mentions, "hubspot"),
    CreateTask.kind: Destination("hubspot/crm", _task, mentions, "hubspot"),
    NoteTicket.kind: Destination("hubspot/crm", _ticket_note, mentions, "hubspot"),
    UpdateTicket.kind: Destination("hubspot/crm", _ticket_update, _tickets, "hubspot"),
    PostMessage.kind: Destination("slack/team", _post, mentions, "slack"),
    CreatePage.kind: Destination("notion/meetings", _page, _pages, "notion"),
    Refund.kind: Destination("stripe/billing", _refund, mentions, "stripe"),
    IssueCredit.kind: Destination("stripe/billing", _credit, mentions, "stripe"),
    CreateInvoice.kind: Destination("stripe/billing", _invoice, _invoiced, "stripe"),
}


OURS = {AddRow.kind}
"""What goes into the ledger's own database, which no vendor can lose: tests/tasks/test_row_crashes.py kills it."""


def kinds() -> list[str]:
    """All kinds of action that go to a vendor.

    Raises:
        LookupError: one has no destination here.
    """
    missing = set(PERFORMERS) - set(DESTINATIONS) - OURS
    if missing:
        raise LookupError(f"tests/chaos/destinations.py knows nothing of {', '.join(sorted(missing))}: add them there")
    return [kind for kind in PERFORMERS if kind not in OURS]

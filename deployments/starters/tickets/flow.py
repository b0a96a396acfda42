"""Tag every new ticket with a category and an urgency, and tell the team in Slack of the urgent ones."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from blocks.ledger import Record
from deployments.starters.tickets.prompt.answer import TicketTag
from tasks import act, approvals, checks, gate, prompt, report, tickets, validate
from tasks.actions import Action, NoteTicket, PostMessage, UpdateTicket
from tasks.card import Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.plain import plain, quoted
from tasks.run import begin
from tasks.tickets import AskedByTicket

CARD = Card(
    workflow="starter-tickets",
    sentence="Tag every new ticket with a category and an urgency, and tell the team of urgent ones.",
    owner="tom@dockwell.example",
    baseline=Baseline(minutes=3, failure_rate=0.1),
    reads=(Reads(what="new tickets, and their contacts", credential="hubspot/crm", fields=("email",)),),
    writes=(
        Writes(kind="hubspot.update_ticket", where="the ticket", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.note_ticket", where="the ticket", credential="hubspot/crm", approval=False),
        Writes(
            kind="slack.post_message",
            where="the team's channel",
            credential="slack/team",
            approval=False,
            optional=True,
        ),
    ),
    prompt="starter_tickets",
    model="claude/triage",
    on_garbage="It is asked again with the error, twice; then the ticket is quarantined for a person.",
    on_outage="The ticket keeps its place in the ledger, and the next run takes it up.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("0.50"),
    usd_per_day=Decimal("4"),
    usd_per_month=Decimal("40"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.6, approval_days=5),
    evidence=Evidence(judged=("category",)),
    shadow_report="slack/team",
    allowed=("dockwell.example",),
)

COMPANY = "Dockwell"
"""How the prompt names us."""

NEW = "1"
"""The stage of HubSpot's support pipeline in which nobody has answered yet."""

BATCH = 25

CATEGORIES = {
    "problem": "PRODUCT_ISSUE",
    "question": "GENERAL_INQUIRY",
    "billing": "BILLING_ISSUE",
    "wish": "FEATURE_REQUEST",
}
"""HubSpot's own name of each category."""

PRIORITIES = {"low": "LOW", "normal": "MEDIUM", "high": "HIGH"}


@flow(name="starter-tickets")
def starter_tickets(limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> report.Summary:
    """Tag up to `limit` new tickets, the oldest first."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        found = tickets.new(run, stage=NEW, limit=limit, suite=checks.answerable)
        for batch in run.batches(found, BATCH):
            prompt.ask(run, batch, variables)
            validate.answers(run, batch, variables)
            gate.check(run, batch, decide, explain)
            act.perform(run, batch)
        return report.publish(run, found)


def variables(record: Record) -> dict[str, Any]:
    """What the prompt is told of a ticket."""
    ticket = AskedByTicket.model_validate(record.payload)
    return {"company": COMPANY, "sender": ticket.sender, "subject": ticket.subject, "text": ticket.text}


def decide(record: Record) -> list[Action]:
    """The model said what the ticket is; this says what we do about it."""
    ticket = AskedByTicket.model_validate(record.payload)
    tag = TicketTag.model_validate(record.answer)
    if not record.sure:
        return [note(ticket, f"Please read: {tag.summary}"), *alert(ticket, tag)]
    return [tags(ticket, tag), note(ticket, f"{tag.category}: {tag.summary}"), *alert(ticket, tag)]


def explain(record: Record) -> str:
    """What an approver must know of the ticket: what the model made of it, and the ticket itself."""
    ticket = AskedByTicket.model_validate(record.payload)
    tag = TicketTag.model_validate(record.answer)
    facts = [
        f"**Why:** {tag.category}, urgency {tag.urgency}, {tag.confidence:.0%} sure: {plain(tag.summary)}",
        f"**Ticket {ticket.ticket_id}** of {plain(ticket.sender)}, {ticket.sent_at:%d %b %Y %H:%M} UTC, "
        f"“{plain(ticket.subject)}”:",
        quoted(ticket.text),
    ]
    return "\n\n".join(facts)


def tags(ticket: AskedByTicket, tag: TicketTag) -> UpdateTicket:
    """The ticket's own category and priority; what somebody has filled in already stays."""
    properties = {"hs_ticket_category": CATEGORIES[tag.category], "hs_ticket_priority": PRIORITIES[tag.urgency]}
    return UpdateTicket(ticket_id=ticket.ticket_id, properties=properties)


def note(ticket: AskedByTicket, body: str) -> NoteTicket:
    """What the ticket is about, on its timeline."""
    return NoteTicket(ticket_id=ticket.ticket_id, body=body, at=ticket.sent_at)


def alert(ticket: AskedByTicket, tag: TicketTag) -> list[Action]:
    """Urgent means that somebody hears of it now."""
    if tag.urgency != "high":
        return []
    return [PostMessage(text=f"Urgent ticket {ticket.ticket_id}, from {ticket.sender}: {tag.summary}")]

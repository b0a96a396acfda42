"""Tickets: what waits in HubSpot's help desk becomes records in the ledger, each of them once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from blocks.hubspot import HubSpot
from blocks.hubspot_tickets import Ticket
from blocks.ledger import Record, insert
from blocks.mail.html_text import html_to_text
from tasks import drift, records
from tasks.checks import Suite, unfit
from tasks.fetch import as_checked, claim, unknown
from tasks.run import Run
from tasks.verb import verb

SOURCE = "hubspot:tickets"


class AskedByTicket(BaseModel):
    """A ticket as its record holds it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ticket_id: str
    sender: str
    """The address of its contact; empty when it has none."""
    subject: str
    text: str
    sent_at: datetime
    """When it was opened (UTC)."""


@verb("fetch tickets")
def new(run: Run, *, stage: str, limit: int, suite: Suite) -> list[int]:
    """Take the tickets of a stage into the ledger, and claim up to `limit` unfinished records.

    Args:
        run: the run; its card names the HubSpot credential.
        stage: the id of the stage in which nobody has answered yet; `1` in HubSpot's own pipeline.
        limit: at most so many records are claimed.
        suite: what a ticket must be like to be asked about.

    Returns:
        The claimed records' ids, those from other sources too, oldest first.

    Raises:
        VendorError: HubSpot could not be read.
        SchemaDrift: a ticket is no longer what it was; nothing was stored.
        MissingCredential: the card's HubSpot block does not exist.
    """
    hubspot: HubSpot = run.connection("hubspot")
    found = {ticket.id: ticket for ticket in hubspot.tickets(stage=stage)}
    drift.seen(run, "hubspot:ticket-list")
    if found:
        drift.seen(run, "hubspot:ticket")
    fresh = unknown(run.ledger, run.card.workflow, SOURCE, list(found))
    rows = [_arrived(run, found[ticket_id]) for ticket_id in fresh[:limit]]
    reasons = unfit([as_checked(row["external_id"], row["payload"]) for row in rows], suite)
    rows = [_set_aside(row, reasons.get(row["external_id"])) for row in rows]
    with run.ledger.write() as session:
        if rows:
            session.execute(insert(session, Record).on_conflict_do_nothing(), rows)
    if len(fresh) > limit:
        run.left_outside = len(fresh) - limit
        run.note(f"{len(fresh) - limit} more tickets wait (limit {limit} a run)")
    return claim(run, limit)


def _arrived(run: Run, ticket: Ticket) -> dict[str, Any]:
    asked = AskedByTicket(
        ticket_id=ticket.id,
        sender=next(iter(ticket.contact_emails), ""),
        subject=ticket.subject,
        text=html_to_text(ticket.content)[0] if "<" in ticket.content else ticket.content,
        sent_at=ticket.created_at,
    )
    return {
        "workflow": run.card.workflow,
        "source": SOURCE,
        "external_id": ticket.id,
        "version": "1",
        "title": ticket.subject or "(no subject)",
        "payload": asked.model_dump(mode="json"),
        "state": records.FETCHED,
        "reason": None,
        "failures": 0,
    }


def _set_aside(row: dict[str, Any], why: str | None) -> dict[str, Any]:
    return row | ({"state": records.QUARANTINED, "reason": why} if why else {})

"""Deals that have come to a halt: each becomes a record once for every stage that it halts in.

Whom we would write to must not have written to us last, and nobody here may have something planned already. A deal that
does not pass is looked at again in the next run; the run says how many there are, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict

from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.hubspot_deals import Deal, DealContact, Happened
from blocks.ledger import Record, insert, utcnow
from blocks.mail.html_text import html_to_text
from blocks.vendor import VendorError
from tasks import drift, records, workdays
from tasks.checks import Suite, unfit
from tasks.fetch import as_checked, claim
from tasks.run import Run
from tasks.verb import concurrently, raise_if_worth_retrying, verb

SOURCE = "hubspot:deals"

CHUNK = 25
"""Deals that are looked at in one go."""

NEWEST = 12
"""Entries of a deal's history that are kept."""

LONGEST = 1_500
"""Characters of each."""


class HaltedDeal(BaseModel):
    """A deal as its record holds it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deal_id: str
    sender: str
    """The address of the contact who would be written to."""
    name: str
    company: str
    subject: str
    """The deal's name."""
    stage: str
    amount: str
    days: int
    """In this stage."""
    since: datetime
    """When we last wrote to them, or the deal came into this stage (UTC)."""
    text: str
    """Its history, oldest first."""


@verb("fetch deals")
def halted(run: Run, patience: Mapping[str, timedelta], *, limit: int, suite: Suite) -> list[int]:
    """Take the deals into the ledger that have been in a stage for too long, and claim unfinished records.

    On a weekend or holiday of the card's calendar nothing new is taken.

    Args:
        run: the run; its card names HubSpot, Gmail and the calendar.
        patience: by stage, how long a deal may be in it; stages that are not named are left alone.
        limit: at most so many are taken, and so many claimed.
        suite: what a deal must be like to be asked about.

    Returns:
        The claimed records' ids, oldest first.

    Raises:
        VendorError: HubSpot or Gmail could not be read.
        SchemaDrift: a deal is no longer what it was; nothing was stored.
    """
    now = utcnow()
    if off := run.card.calendar and workdays.day_off(now.date(), run.card.calendar):
        run.note(f"today is {off} ({run.card.calendar}): no deal was looked at")
        return claim(run, limit)
    hubspot: HubSpot = run.connection("hubspot")
    found = [deal for deal in hubspot.deals(patience) if now - deal.entered_at >= patience[deal.stage]]
    drift.seen(run, "hubspot:deal-list")
    if found:
        drift.seen(run, "hubspot:deal")
    fresh = _unknown(run, found)
    why_not: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    errors: list[VendorError] = []
    # All of them until enough have passed: those that are left alone today must not keep the others from being seen.
    for start in range(0, len(fresh), CHUNK):
        some = fresh[start : start + CHUNK]
        contacts = hubspot.contacts_of_deals(some)
        for deal, outcome in concurrently(partial(_looked_at_of, run, contacts, now), some):
            if isinstance(outcome, str):
                why_not[outcome] += 1
            elif isinstance(outcome, HaltedDeal):
                rows.append(_row(run, deal, outcome))
            else:
                errors.append(outcome)
        if len(rows) >= limit:
            break
    rows = rows[:limit]
    reasons = unfit([as_checked(row["external_id"], row["payload"]) for row in rows], suite)
    rows = [row | ({"state": records.QUARANTINED, "reason": why} if (why := reasons.get(row["external_id"])) else {})
            for row in rows]  # fmt: skip
    with run.ledger.write() as session:
        if rows:
            session.execute(insert(session, Record).on_conflict_do_nothing(), rows)
    for why, count in sorted(why_not.items()):
        run.note(f"{count} deal{'s' if count > 1 else ''} left alone for now: {why}")
    raise_if_worth_retrying(errors, succeeded=len(fresh) - len(errors))
    return claim(run, limit)


def _unknown(run: Run, deals: Sequence[Deal]) -> list[Deal]:
    """Those that have not been a record in this stage yet."""
    table = Record
    mine = sa.select(table.external_id, table.version).where(
        table.workflow == run.card.workflow, table.source == SOURCE
    )
    with run.ledger.read() as session:
        known = set(session.execute(mine).tuples())
    return [deal for deal in deals if (deal.id, deal.stage) not in known]


def _looked_at_of(
    run: Run, contacts: Mapping[str, Sequence[DealContact]], now: datetime, deal: Deal
) -> HaltedDeal | str:
    return _looked_at(run, deal, contacts[deal.id], now)


def _looked_at(run: Run, deal: Deal, contacts: Sequence[DealContact], now: datetime) -> HaltedDeal | str:
    """What is asked about, or why it is left alone for now."""
    if not contacts:
        return "no contact of theirs has an e-mail address"
    hubspot: HubSpot = run.connection("hubspot")
    history = hubspot.history_of_deal(deal.id)
    if any(each.open_task and each.at > now for each in history):
        return "somebody here has a task for it that is not due yet"
    gmail: Gmail = run.connection("gmail")
    wrote = _last(gmail, f"in:sent to:{contacts[0].email}")
    since = max(deal.entered_at, wrote) if wrote else deal.entered_at
    for contact in contacts:
        if (contact.replied_at and contact.replied_at > since) or _has_written(gmail, contact.email, since):
            return "they have written last, and wait for us"
    return _halted(deal, contacts[0], history, since, now)


def _last(gmail: Gmail, query: str) -> datetime | None:
    newest = gmail.list_message_ids(query, limit=1)
    return gmail.get_raw(newest[0]).received_at if newest else None


def _has_written(gmail: Gmail, address: str, since: datetime) -> bool:
    return bool(gmail.list_message_ids(f"from:{address} after:{int(since.timestamp())}", limit=1))


def _halted(deal: Deal, to: DealContact, history: Sequence[Happened], since: datetime, now: datetime) -> HaltedDeal:
    said = [f"{each.at:%d %b %Y}: {_plain(each.text)[:LONGEST]}" for each in history if not each.open_task][-NEWEST:]
    return HaltedDeal(
        deal_id=deal.id,
        sender=to.email,
        name=f"{to.firstname} {to.lastname}".strip(),
        company=to.company,
        subject=deal.name,
        stage=deal.stage,
        amount=f"{deal.amount} {deal.currency}".strip(),
        days=(now - deal.entered_at).days,
        since=since,
        text="\n".join(said) or "(nothing is noted)",
    )


def _plain(text: str) -> str:
    return " ".join((html_to_text(text)[0] if "<" in text else text).split())


def _row(run: Run, deal: Deal, halted_one: HaltedDeal) -> dict[str, Any]:
    return {
        "workflow": run.card.workflow,
        "source": SOURCE,
        "external_id": deal.id,
        "version": deal.stage,
        "title": deal.name or "(no name)",
        "payload": halted_one.model_dump(mode="json"),
        "state": records.FETCHED,
        "reason": None,
        "failures": 0,
    }

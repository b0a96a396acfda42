"""Fetch: what came in becomes records in the ledger, each of them once; and what is known about their senders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.gmail import Gmail, HistoryExpired, RawMessage
from blocks.ledger import Cursor, Ledger, Record, utcnow
from blocks.mail import Email, MalformedMail, parse
from blocks.vendor import VendorError
from tasks import records
from tasks.checks import Suite, unfit
from tasks.run import Run
from tasks.verb import concurrently, raise_if_worth_retrying, verb

FIRST_SYNC = "newer_than:7d"
"""What a first look at an inbox takes in: a week, not ten years."""

OVERLAP = timedelta(days=1)
"""How far a full sync reaches back behind the last good one; what is known already is not taken twice."""


@dataclass(frozen=True)
class Arrivals:
    """Message ids that are not in the ledger yet, and where to read on when all of them are."""

    ids: list[str]
    cursor: str | None


@verb("fetch")
def inbox(run: Run, *, query: str, limit: int, suite: Suite) -> list[int]:
    """Take new e-mails into the ledger and claim up to `limit` unfinished records for this run.

    The records and the cursor are stored in one transaction, so a crash neither loses nor repeats a message.

    Returns:
        The claimed records' ids, oldest first; those that an earlier run left unfinished come before new ones.

    Raises:
        VendorError: Gmail could not be read; nothing was stored for the messages that failed.
        MissingCredential: the card's Gmail block does not exist.
    """
    gmail: Gmail = run.connection("gmail")
    source = f"gmail:{gmail.mailbox}"
    arrivals = _arrivals(run, gmail, source, query)
    taken = arrivals.ids[:limit]
    found, errors = _read_all(gmail, taken)
    rows = [_row(run, gmail, source, message) for message in found]
    _check(rows, suite)
    complete = len(taken) == len(arrivals.ids) and not errors
    with run.ledger.write() as session:
        _insert_new(session, rows)
        if complete and arrivals.cursor:
            session.merge(Cursor(workflow=run.card.workflow, source=source, value=arrivals.cursor, updated_at=utcnow()))
    if len(taken) < len(arrivals.ids):
        run.note(f"{len(arrivals.ids) - len(taken)} more e-mails wait in the inbox (limit {limit} a run)")
    claimed = claim(run, limit)
    # Not `len(found)`: a retry no longer sees what the first attempt has stored.
    raise_if_worth_retrying(errors, succeeded=len(claimed))
    if errors:
        run.note(f"{len(errors)} e-mails could not be read and are left to the next run: {errors[0]}")
    return claimed


@verb("fetch contacts")
def contacts(run: Run, ids: Sequence[int], who: Callable[[Record], str], properties: Sequence[str]) -> None:
    """Look up who each record of a batch is from, in HubSpot and in one call, and keep what is known with the record.

    Raises:
        VendorError: HubSpot could not be read.
    """
    batch = [r for r in records.in_state(run.ledger, ids, records.FETCHED) if r.context is None]
    if not batch:
        return
    known = run.connection("hubspot").contacts_by_email({who(r) for r in batch}, properties)
    with run.ledger.write() as session:
        records.move(
            session,
            ({"id": r.id, "context": {"contact": known.get(who(r).lower())}} for r in batch),
        )


def claim(run: Run, limit: int) -> list[int]:
    """Claim the oldest unfinished records that no living run holds."""
    table = Record
    free = (
        sa.select(table.id)
        .where(
            table.workflow == run.card.workflow,
            table.state.in_(records.UNFINISHED),
            sa.or_(table.run_id.is_(None), table.run_id == run.id),
        )
        # Records that only wait for a vendor's recovery come last: they must not keep new ones from being looked at.
        .order_by(table.state == records.GATED, table.id)
        .limit(limit)
        .with_for_update(skip_locked=True)  # for PostgreSQL; SQLite lets in one writer at a time anyway
    )
    with run.ledger.write() as session:
        ids = list(session.scalars(free))
        session.execute(sa.update(table).where(table.id.in_(ids)).values(run_id=run.id))
    return ids


def _arrivals(run: Run, gmail: Gmail, source: str, query: str) -> Arrivals:
    with run.ledger.read() as session:
        cursor = session.get(Cursor, (run.card.workflow, source))
    if cursor is not None:
        try:
            ids, reached = gmail.added_since(cursor.value)
            return Arrivals(_unknown(run.ledger, run.card.workflow, source, ids), reached)
        except HistoryExpired:
            run.note("Gmail's history had expired: the inbox was read in full again")
    # The history id is read before the list: what arrives in between is then seen twice, not never.
    reached = gmail.history_id()
    since = FIRST_SYNC if cursor is None else f"after:{int((cursor.updated_at - OVERLAP).timestamp())}"
    ids = gmail.list_message_ids(f"{query} {since}")
    return Arrivals(_unknown(run.ledger, run.card.workflow, source, ids[::-1]), reached)


def _unknown(ledger: Ledger, workflow: str, source: str, ids: Sequence[str]) -> list[str]:
    table = Record
    with ledger.read() as session:
        known = set(
            session.scalars(
                sa.select(table.external_id).where(
                    table.workflow == workflow, table.source == source, table.external_id.in_(ids)
                )
            )
        )
    return [i for i in dict.fromkeys(ids) if i not in known]


def _read_all(gmail: Gmail, ids: Sequence[str]) -> tuple[list[RawMessage], list[VendorError]]:
    found: dict[str, RawMessage] = {}
    errors: list[VendorError] = []
    for message_id, outcome in concurrently(gmail.get_raw, ids):
        if isinstance(outcome, RawMessage):
            found[message_id] = outcome
        elif outcome.status != 404:  # 404: deleted since it was listed
            errors.append(outcome)
    return [found[i] for i in ids if i in found], errors


def _row(run: Run, gmail: Gmail, source: str, message: RawMessage) -> dict[str, Any]:
    row: dict[str, Any] = {
        "workflow": run.card.workflow,
        "source": source,
        "external_id": message.id,
        "version": "1",
        "state": records.FETCHED,
        "reason": None,
    }
    try:
        email = parse(message.raw, message_id=message.id, thread_id=message.thread_id, received_at=message.received_at)
    except MalformedMail as error:
        payload = {"message_id": message.id, "thread_id": message.thread_id}
        return row | {
            "title": "(unreadable)",
            "payload": payload,
            "state": records.QUARANTINED,
            "reason": f"malformed: {error}",
        }
    row |= {"title": email.subject or "(no subject)", "payload": email.model_dump(mode="json")}
    if why := _not_ours_to_answer(email, gmail, message):
        row |= {"state": records.SKIPPED, "reason": why}
    return row


def _not_ours_to_answer(email: Email, gmail: Gmail, message: RawMessage) -> str:
    if email.machine:
        return f"{email.machine}: not written by a person to us"
    if email.sender.lower() == gmail.mailbox.lower() and not email.reply_to:  # with one, it is the web site's form
        return "our own mail"
    if "INBOX" not in message.label_ids:
        return "somebody has already taken it out of the inbox"
    return ""


def _check(rows: list[dict[str, Any]], suite: Suite) -> None:
    """Quarantine, in place, the rows that the suite refuses."""
    fresh = {row["external_id"]: row for row in rows if row["state"] == records.FETCHED}
    reasons = unfit([_as_checked(key, row["payload"]) for key, row in fresh.items()], suite)
    for key, reason in reasons.items():
        fresh[key] |= {"state": records.QUARANTINED, "reason": reason}


def _as_checked(key: str, payload: dict[str, Any]) -> dict[str, Any]:
    """An e-mail's fields, and `said`: subject and text together, since some people write only one of them."""
    return {**payload, "said": f"{payload['subject']} {payload['text']}", "id": key}


def _insert_new(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose identity is not there yet: two runs may have read the same inbox at once."""
    if not rows:
        return
    dialect = session.get_bind().dialect.name
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        statement: Any = postgres_insert(Record)
    else:
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        statement = sqlite_insert(Record)
    session.execute(statement.on_conflict_do_nothing(), list(rows))

"""Quarantine: what was set aside and why, and putting it back to be done again with today's code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Ledger, Record, history, utcnow
from tasks import records
from tasks.retention import ours

READ_ANEW = "gmail:"
"""Where `fetch` reads a replayed record's message anew. Any other begins with the payload that the ledger holds."""

WAYS_OUT = {
    records.DONE: "it is done; to do more about it, do it by hand",
    records.SKIPPED: "it was skipped: nothing was to be done about it",
    records.REPLAY: "it is put back already, and waits for the workflow's next run",
    records.WAITS: "its agent waits for a person: see signoff approvals list",
    records.UNREAD: "its message could not be read yet; the workflow's next run tries again by itself",
}
IN_WORK = "it is still being worked on; the workflow's next run goes on with it"


class QuarantineError(Exception):
    """A record cannot be shown or replayed; the message names it, and the way out."""


@dataclass(frozen=True)
class Held:
    """A record that cannot be replayed, and why not."""

    record_id: int
    why: str


def held(ledger: Ledger, *, workflow: str | None = None, reason: str | None = None) -> list[Record]:
    """The quarantined records, oldest first; of one workflow, or with `reason` in their reason (whatever its case)."""
    query = sa.select(Record).where(Record.state == records.QUARANTINED).order_by(Record.id)
    if workflow:
        query = query.where(Record.workflow == workflow)
    if reason:
        query = query.where(sa.func.lower(Record.reason).contains(reason.lower(), autoescape=True))
    with ledger.read() as session:
        return list(session.scalars(query))


def record(ledger: Ledger, record_id: int) -> Record:
    """A record by its number, in whatever state.

    Raises:
        QuarantineError: there is none.
    """
    with ledger.read() as session:
        found = session.get(Record, record_id)
    if found is None:
        raise QuarantineError(f"the ledger has no record {record_id}")
    return found


def replay(ledger: Ledger, ids: Sequence[int], *, by: str) -> list[Record]:
    """Put quarantined records back: the next run of their workflow takes them from the start, with today's code.

    Their actions keep their natural keys, so that what was wanted for them before cannot be wanted twice. All of them
    are put back, or none.

    Args:
        ledger: where they are.
        ids: their numbers.
        by: who wants it; the history names them.

    Returns:
        The records as they were.

    Raises:
        QuarantineError: one of them is not quarantined, was redacted or does not exist.
    """
    with ledger.write() as session:
        rows = session.scalars(sa.select(Record).where(Record.id.in_(ids)).order_by(Record.id)).all()
        _refuse_missing(ids, rows)
        for row in rows:
            if why := why_not(row):
                raise QuarantineError(f"record {row.id} ({row.title}) cannot be replayed: {why}")
        session.expunge_all()  # as they were: the changes below go past them
        _put_back(session, rows, by)
    return list(rows)


def why_not(row: Record) -> str:
    """Why a record cannot be replayed, with the way out; nothing when it can."""
    if row.redacted_at is not None:
        return f"its content was redacted on {row.redacted_at:%d %b %Y}; nothing is left to begin with"
    if row.state != records.QUARANTINED:
        return f"it is not quarantined: {WAYS_OUT.get(row.state, IN_WORK)}"
    return ""


def _refuse_missing(ids: Sequence[int], rows: Sequence[Record]) -> None:
    missing = sorted(set(ids) - {row.id for row in rows})
    if missing:
        raise QuarantineError(f"the ledger has no record {', '.join(map(str, missing))}: see signoff quarantine list")


def _put_back(session: Session, rows: Sequence[Record], by: str) -> None:
    now = utcnow()
    changes = []
    for row in rows:
        state = records.REPLAY if row.source.startswith(READ_ANEW) else records.FETCHED
        changes.append({**records.from_the_start(row, state), "updated_at": now})
        history.note(session, "record replayed", f"records/{row.id}", by=by, reason=ours(row.reason or ""))
    records.move(session, changes)

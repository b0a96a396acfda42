"""Reading and moving the records of a batch in the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Ledger, Record
from blocks.vendor import VendorError

FETCHED = "fetched"
PROMPTED = "prompted"
VALIDATED = "validated"
GATED = "gated"
WAITS = "waits"
"""Its agent waits for a person, and goes on by itself when the person has decided."""
DONE = "done"
SKIPPED = "skipped"
QUARANTINED = "quarantined"
UNREAD = "unread"
"""Its message could not be read yet: `fetch` tries again in each run, up to a limit."""
REPLAY = "replay"
"""A person put it back: `fetch` takes it up from the start, with today's code."""

TO_READ = (UNREAD, REPLAY)
UNFINISHED = (FETCHED, PROMPTED, VALIDATED, GATED)

MOST_FAILURES = 8
"""A record that vendors have refused this often (two runs' worth of retries) is set aside for a person."""


def in_state(ledger: Ledger, ids: Sequence[int], state: str) -> list[Record]:
    """The records among `ids` that are in `state`, in the order they came in."""
    with ledger.read() as session:
        query = sa.select(Record).where(Record.id.in_(ids), Record.state == state).order_by(Record.id)
        return list(session.scalars(query))


def move(session: Session, changes: Iterable[Mapping[str, Any]]) -> None:
    """Update records by primary key: each change is a mapping with `id` and the new values.

    On the table, not through the mapper: the mapper's bulk update costs three times as much a row.
    """
    table: Any = Record.__table__
    by_columns: dict[frozenset[str], list[dict[str, Any]]] = {}
    for change in changes:
        row = {("record" if name == "id" else name): value for name, value in change.items()}
        by_columns.setdefault(frozenset(row) - {"record"}, []).append(row)
    for columns, rows in by_columns.items():
        update = sa.update(table).where(table.c.id == sa.bindparam("record"))
        session.connection().execute(update.values({name: sa.bindparam(name) for name in columns}), rows)


def quarantine(record_id: int, reason: str) -> dict[str, Any]:
    """The change that sets a record aside, with the reason that a person will read."""
    return {"id": record_id, "state": QUARANTINED, "reason": reason}


def from_the_start(record: Record, state: str) -> dict[str, Any]:
    """The change that makes a record begin again: what it was answered and how often it failed is forgotten."""
    blank = dict.fromkeys(("reason", "context", "answer", "sure", "prompt_version", "run_id"))
    return {"id": record.id, "state": state, "failures": 0, **blank}


def failed(record: Record, error: VendorError) -> dict[str, Any]:
    """The change after a vendor refused a record: set aside when that is for good or has happened too often."""
    failures = record.failures + 1
    if error.permanent or failures >= MOST_FAILURES:
        often = "" if error.permanent else f" ({failures} times)"
        return {**quarantine(record.id, f"{error}{often}"), "failures": failures}
    return {"id": record.id, "failures": failures, "reason": f"will be tried again: {error}"}

"""The ledger's history: what happened, in order, each row with the hash of the one before.

Rows of the tables in `SEALED` enter it by themselves when they are added in a `Ledger.write` block; what changes later
(an action is being done, a record was redacted) is put there with `note`. Nothing is ever updated or deleted here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from blocks.ledger.tables import NANO, Action, Base, Decision, History, ModelCall, Receipt, ToolCall, Usd, utcnow

BEGINS = "history begins"
"""The first row's event. Its detail says how far the rows go that are older than the history."""

REDACTED = "redacted"
"""The event of a row whose content was taken out. Where the row is sealed, it carries the seal of what was left."""

GENESIS = "0" * 64
"""What the first row has for the hash of the one before."""

SEALED: dict[type[Base], tuple[str, frozenset[str]]] = {
    Action: (
        "action wanted",
        frozenset({"state", "reason", "attempts", "progress", "run_id", "flow_run_id", "updated_at", "redacted_at"}),
    ),
    Decision: ("decision", frozenset({"used_at", "redacted_at"})),
    Receipt: ("receipt", frozenset({"redacted_at"})),
    ModelCall: ("model call", frozenset({"redacted_at"})),
    ToolCall: ("tool call", frozenset({"redacted_at"})),
}
"""What is sealed when it is added: the event's name, and the columns that may change afterwards."""

TOLD: dict[type[Base], tuple[str, ...]] = {
    Action: ("kind", "impact", "state", "digest"),
    Decision: ("action_id", "verdict", "approver", "digest", "edited"),
    Receipt: ("action_id", "vendor", "external_id", "found"),
    ModelCall: ("record_id", "model", "prompt_version", "stop_reason"),
    ToolCall: ("record_id", "tool", "impact", "is_error", "action_id"),
}
"""What of them is repeated in the history itself, which outlives every redaction: no personal data of outsiders."""


# Made once: to build a statement costs more than to run it, and every write needs these two.
_INSERT = sa.insert(History)
_NEWEST = sa.select(History.__table__.c.hash).order_by(History.__table__.c.id.desc()).limit(1)


@dataclass(frozen=True)
class Entry:
    """Something to put into the history."""

    event: str
    subject: str
    detail: Mapping[str, Any]
    seal: str | None = None


def note(session: Session, event: str, subject: str, **detail: Any) -> None:
    """Put an event that is about no new row into the history, in the session's transaction."""
    write(session.connection(), [Entry(event, subject, detail)])


def seal_new_rows(session: Session, _context: object = None) -> None:
    """After a flush: the new rows of the sealed tables go into the history, in the order of their numbers."""
    new = [row for row in session.new if type(row) in SEALED]
    if new:
        order = list(SEALED)
        new.sort(key=lambda row: (order.index(type(row)), row.id))
        write(session.connection(), [_entry(row) for row in new])


def write(connection: Connection, entries: Iterable[Entry]) -> None:
    """Append to the chain, inside the connection's transaction: a writer's, so that nobody else appends meanwhile."""
    previous = head(connection)
    rows = []
    for entry in entries:
        at = utcnow()
        detail = json.loads(json.dumps(dict(entry.detail)))
        digest = link(at, entry.event, entry.subject, detail, entry.seal, previous)
        rows.append(
            {
                "at": at,
                "event": entry.event,
                "subject": entry.subject,
                "detail": detail,
                "seal": entry.seal,
                "previous": previous,
                "hash": digest,
            }
        )
        previous = digest
    connection.execute(_INSERT, rows)


def head(connection: Connection) -> str:
    """The hash of the newest row: it vouches for all that came before it."""
    newest: str | None = connection.scalar(_NEWEST)
    return newest or GENESIS


def link(at: datetime, event: str, subject: str, detail: Mapping[str, Any], seal: str | None, previous: str) -> str:
    """The hash of one row: SHA-256 over everything that it says and over the hash of the row before."""
    return _sha256([at.astimezone(UTC).isoformat(), event, subject, detail, seal, previous])


def seal_of(row: Base) -> str:
    """SHA-256 over what a sealed row says, leaving out the columns that may change."""
    return seal(type(row), {name: getattr(row, name) for name in _lasting(type(row))})


def seal(kind: type[Base], values: Mapping[str, Any]) -> str:
    """The seal of a row of this table that holds these values by column.

    A column without a value is left out, so that a migration may add one and every older seal still holds.
    """
    content = {name: _plain(values[name], of) for name, of in _lasting(kind).items() if values[name] is not None}
    return _sha256([kind.__tablename__, content])


def subject_of(row: Base) -> str:
    """How the history names a row: `actions/12`."""
    return f"{row.__tablename__}/{row.id}"  # type: ignore[attr-defined]


@cache
def _lasting(kind: type[Base]) -> dict[str, TypeEngine[Any]]:
    """The columns of a sealed table that may not change, but by a redaction, with their types."""
    free = SEALED[kind][1]
    return {c.key: c.columns[0].type for c in sa.inspect(kind).column_attrs if c.key not in free}


def _entry(row: Base) -> Entry:
    told = {name: _plain(getattr(row, name)) for name in TOLD[type(row)]}
    return Entry(SEALED[type(row)][0], subject_of(row), told, seal_of(row))


def _plain(value: Any, of: TypeEngine[Any] | None = None) -> Any:
    """As JSON, and the same whether the row was just made or read back: money in whole nano-dollars, times in UTC."""
    if isinstance(value, Decimal) or isinstance(of, Usd):
        return round(value * NANO)
    if isinstance(of, sa.Double):  # a whole number is read back as one with a point
        return float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value


def _sha256(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

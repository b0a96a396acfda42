"""Audit: whether the history is whole, and whether the rows that it tells of still say what they said.

The chain proves that nothing in the middle was changed or left out. Whoever can write to the database could compute all
of it anew, or cut its end off: that shows only against a head that was noted down elsewhere, as every run's page does.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.engine import Connection

from blocks.ledger import Action, History, Ledger, history
from blocks.ledger.tables import Base

PAGE = 500
"""History rows in memory at a time, each with the row that it is about."""

MOST_FINDINGS = 20
"""Findings that are kept in words; the rest is counted."""

SHORTEST_HASH = 12
"""Hex digits that a noted hash must have at least: 48 bits, which no other row has by accident."""

HISTORY: Any = History.__table__

Row = Mapping[Any, Any]
"""A row's values by column."""


class AuditError(Exception):
    """The history was asked for something that it does not hold; the message says what."""


class Head(BaseModel):
    """The newest row of the history. Its hash vouches for every row before it."""

    model_config = ConfigDict(frozen=True)

    number: int
    """0 where there is no history."""
    hash: str

    @property
    def short(self) -> str:
        """The hash's first digits, for people."""
        return self.hash[:SHORTEST_HASH]


@dataclass(frozen=True)
class Finding:
    """A row that is not what it was, and what that means."""

    subject: str
    """The row, as `table/id`."""
    means: str


@dataclass(frozen=True)
class Verification:
    """What was checked, and what was found."""

    history: int
    """Rows of the history whose links were recomputed."""
    sealed: dict[str, int]
    """Rows that are what they were when they were written, by table."""
    redacted: int
    """Rows that are what their redaction left of them."""
    older: int
    """Rows that are older than the history: nobody can say."""
    head: Head
    noted: int | None
    """The number of the history row whose hash had been noted down, if one was given and is there."""
    findings: tuple[Finding, ...]
    more: int
    """Findings beyond `MOST_FINDINGS`."""
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass(frozen=True)
class Event:
    """One row of the history."""

    number: int
    at: datetime
    event: str
    subject: str
    detail: dict[str, Any]


def head(ledger: Ledger) -> Head:
    """The newest row of the history."""
    with ledger.read() as session:
        newest = session.execute(sa.select(HISTORY.c.id, HISTORY.c.hash).order_by(HISTORY.c.id.desc()).limit(1)).first()
    return Head(number=newest.id, hash=newest.hash) if newest else Head(number=0, hash=history.GENESIS)


def verify(ledger: Ledger, expect: str | None = None) -> Verification:
    """Recompute every link of the history and every seal, page by page, as they are at one moment.

    Args:
        ledger: the ledger to check.
        expect: a hash (or its first 12 or more hex digits) that somebody noted down: it must be in the chain.

    Raises:
        AuditError: `expect` is no hash.
    """
    started = time.perf_counter()
    noted = _hash(expect)
    with ledger.read() as session:
        check = _Check(session.connection(), noted)
        check.run()
    return Verification(
        history=check.rows,
        sealed=dict(check.sealed),
        redacted=check.redacted,
        older=check.older_rows,
        head=check.head,
        noted=check.noted,
        findings=tuple(Finding(subject, means) for subject, means in check.findings.items()),
        more=check.more,
        seconds=time.perf_counter() - started,
    )


def story(ledger: Ledger, action_id: int) -> tuple[Action | None, list[Event]]:
    """An action (None when its row is gone), and all that the history says about it, its record and what it led to.

    Raises:
        AuditError: the ledger knows nothing of this action.
    """
    detail = HISTORY.c.detail
    with ledger.read() as session:
        action = session.get(Action, action_id)
        record = action.record_id if action else None
        about = [sa.and_(HISTORY.c.event.in_(("decision", "receipt")), detail["action_id"].as_integer() == action_id)]
        subjects = {f"actions/{action_id}"}
        if record is not None:
            calls = HISTORY.c.event.in_(("model call", "tool call"))
            about.append(sa.and_(calls, detail["record_id"].as_integer() == record))
            subjects.add(f"records/{record}")
        subjects |= set(session.scalars(sa.select(HISTORY.c.subject).where(sa.or_(*about))))
        told = session.execute(sa.select(HISTORY).where(HISTORY.c.subject.in_(subjects)).order_by(HISTORY.c.id)).all()
    if action is None and not told:
        raise AuditError(f"there is no action {action_id}; `signoff ledger show` names the actions of each record")
    return action, [Event(row.id, row.at, row.event, row.subject, row.detail) for row in told]


def _hash(text: str | None) -> str | None:
    if text is None:
        return None
    cleaned = text.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_HASH},64}}", cleaned):
        raise AuditError(f"{text!r} is no hash of the history: give its 64 hex digits, or the first 12 or more of them")
    return cleaned


@cache
def redactable() -> dict[str, type[Base]]:
    """The tables whose rows can be redacted, by name. Those that are sealed are among them."""
    found = (mapper.class_ for mapper in Base.registry.mappers)
    return {kind.__tablename__: kind for kind in found if "redacted_at" in kind.__table__.c}


class Unreadable(Exception):
    """What stands in a row is nothing that Signoff could have written there."""


@dataclass
class _Check:
    """One verification under way: counts and findings, never the rows themselves."""

    connection: Connection
    expect: str | None
    rows: int = 0
    sealed: Counter[str] = field(default_factory=Counter)
    redacted: int = 0
    older: dict[str, int] = field(default_factory=dict)
    """By table, up to which number rows are older than the history."""
    older_rows: int = 0
    head: Head = field(default_factory=lambda: Head(number=0, hash=history.GENESIS))
    noted: int | None = None
    findings: dict[str, str] = field(default_factory=dict)
    more: int = 0

    def run(self) -> None:
        for page in self._pages():
            for number, row in page:
                self._link(number, row)
            self._seals([row for _, row in page if row is not None])
        if not self.rows:
            self.find("history", "it is empty: every row of it was deleted")
        for kind in history.SEALED:
            self._strangers(kind)
        for kind in redactable().values():
            self._redacted_unseen(kind)
        if self.expect and self.noted is None:
            means = "no row has the hash that was noted down: its end was cut off, or all of it was computed anew"
            self.find("history", means)

    def find(self, subject: str, means: str) -> None:
        """Keep the first finding about a row, as long as there is room."""
        if subject in self.findings:
            return
        if len(self.findings) < MOST_FINDINGS:
            self.findings[subject] = means
        else:
            self.more += 1

    def _pages(self) -> Iterator[list[tuple[int, Row | None]]]:
        """The history in the order of its numbers; None for a row that cannot be read."""
        last: int | None = None
        while True:
            ids = sa.select(HISTORY.c.id).order_by(HISTORY.c.id).limit(PAGE)
            page = self.connection.scalars(ids if last is None else ids.where(HISTORY.c.id > last)).all()
            if not page:
                return
            rows = self._read(HISTORY, page)
            yield [(number, rows[number]) for number in page]
            last = page[-1]

    def _link(self, number: int, row: Row | None) -> None:
        name = f"history/{number}"
        if row is None:
            self.find(name, "was changed after it was written: it cannot be read")
        elif row["hash"] != _rehashed(row):
            self.find(name, "was changed after it was written")
        elif row["previous"] != self.head.hash and self.head.hash:
            self.find(name, _broken_link(first=not self.rows))
        elif not self.rows:
            self._begin(row)
        self.rows += 1
        # Nothing can be said of the link to a row that cannot be read, and that row is a finding already.
        self.head = Head(number=number, hash=str(row["hash"]) if row else "")
        if self.expect and self.head.hash.startswith(self.expect):
            self.noted = number

    def _begin(self, row: Row) -> None:
        detail = row["detail"]
        older = detail.get("older") if row["event"] == history.BEGINS and isinstance(detail, dict) else None
        if not isinstance(older, dict):
            self.find(f"history/{row['id']}", f"is not the first row of a history ('{history.BEGINS}')")
            return
        self.older = {str(table): number for table, number in older.items() if isinstance(number, int)}

    def _seals(self, page: Sequence[Row]) -> None:
        """Compare the rows that this page of the history tells of with their seals."""
        entries: dict[str, dict[int, list[Row]]] = {}
        for row in page:
            table, _, digits = str(row["subject"]).rpartition("/")
            if table in redactable() and digits.isdecimal() and (row["seal"] or row["event"] == history.REDACTED):
                entries.setdefault(table, {}).setdefault(int(digits), []).append(row)
        for table, by_number in entries.items():
            found = self._read(redactable()[table].__table__, list(by_number))
            for number, told in by_number.items():
                for entry in told:
                    self._compare(table, entry, gone=number not in found, row=found.get(number))

    def _compare(self, table: str, entry: Row, *, gone: bool, row: Row | None) -> None:
        name, kind = entry["subject"], redactable()[table]
        if gone:
            self.find(name, f"was deleted; the history tells of it ('{entry['event']}', row {entry['id']})")
        elif row is None:
            self.find(name, "was changed after it was written: it cannot be read")
        elif entry["event"] == history.REDACTED:
            if row["redacted_at"] is None:
                self.find(name, "the history says that it was redacted, but the row does not")
            elif kind in history.SEALED and _resealed(kind, row) != entry["seal"]:
                self.find(name, "was changed after it was redacted")
            else:
                self.redacted += 1
        elif row["redacted_at"] is None:  # else what was sealed is gone, and the redaction's own entry is compared
            if _resealed(kind, row) == entry["seal"]:
                self.sealed[table] += 1
            else:
                self.find(name, "was changed after it was written")

    def _strangers(self, kind: type[Base]) -> None:
        """Rows that nobody wrote through the ledger, and the count of those that are older than the history."""
        table: Any = kind.__table__
        older = table.c.id.between(1, self.older.get(table.name, 0))
        unknown = self._without(table, HISTORY.c.seal.is_not(None), ~older)
        for number in self.connection.scalars(unknown):
            self.find(f"{table.name}/{number}", "was put in past Signoff: the history knows nothing of it")
        count = sa.select(sa.func.count()).select_from(table).where(older, table.c.redacted_at.is_(None))
        self.older_rows += self.connection.scalar(count) or 0

    def _redacted_unseen(self, kind: type[Base]) -> None:
        table: Any = kind.__table__
        for number in self.connection.scalars(
            self._without(table, HISTORY.c.event == history.REDACTED, table.c.redacted_at.is_not(None))
        ):
            self.find(f"{table.name}/{number}", "is marked as redacted, but the history knows of no redaction")

    def _without(self, table: Any, told: Any, where: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
        """The numbers of the rows that nothing of this kind is told of."""
        subject = sa.literal(f"{table.name}/").concat(sa.cast(table.c.id, sa.String))
        known = sa.exists().where(HISTORY.c.subject == subject, told)
        return sa.select(table.c.id).where(where, ~known).order_by(table.c.id)

    def _read(self, table: Any, ids: Sequence[int]) -> dict[int, Row | None]:
        """These rows by number; None for one that cannot be read."""
        query = sa.select(table).where(table.c.id.in_(ids))
        try:
            return {row["id"]: row for row in self._fetch(query)}
        except Unreadable:
            return {number: row for number in ids for row in self._one(table, number)}

    def _one(self, table: Any, number: int) -> Sequence[Row | None]:
        try:
            return self._fetch(sa.select(table).where(table.c.id == number))
        except Unreadable:
            return [None]

    def _fetch(self, query: sa.Select[Any]) -> Sequence[Row]:
        try:
            return [row._mapping for row in self.connection.execute(query)]
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise Unreadable from error
        except sa.exc.OperationalError as error:
            # SQLite stores any bytes as a text. Whatever else goes wrong there is about the database, not the row.
            if "Could not decode" not in str(error.orig):
                raise
            raise Unreadable from error


def _rehashed(row: Row) -> str | None:
    content = row["at"], row["event"], row["subject"], row["detail"], row["seal"], row["previous"]
    try:
        return history.link(*content)
    except TypeError:  # bytes where a text should be
        return None


def _resealed(kind: type[Base], row: Row) -> str | None:
    try:
        return history.seal(kind, row)
    except (TypeError, ValueError, ArithmeticError):
        return None


def _broken_link(*, first: bool) -> str:
    if first:
        return "is the first one, but others came before it: they were deleted"
    return "does not follow from the row before it: rows were deleted, added, changed or put in another order"

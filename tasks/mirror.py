"""The manual mirror: a workflow done by hand on real records, with a clock, before anything is automated.

The card's baseline comes from it, and the prompt's first cases. What stands here keeps and counts; the conversation is
in `deployments/mirror.py`.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from blocks.ledger import Ledger, Mirror, Record, insert
from blocks.mail import Email, MalformedMail, parse
from blocks.mail.saved import saved
from prompts import Prompt
from tasks import records
from tasks.card import Card
from tasks.lessons import Source, labels_of
from tasks.scoring import wilson

SOURCE = "mirror"
"""Where records come from that were only ever done by hand."""

BY_HAND = "for the mirror alone: no run takes it up"
"""The reason of their state."""

FEW = 20
"""Records under which a baseline is a first impression."""


@dataclass(frozen=True)
class Entered:
    """What became of saved mail."""

    ids: list[int]
    """The records of its files, new and known, in the files' order."""
    left_out: list[tuple[str, str]]
    """The files that are no work for anybody, and why."""


@dataclass
class Stopwatch:
    """Seconds of work, without pauses."""

    clock: Callable[[], float] = time.monotonic
    _before: float = 0.0
    _since: float | None = None

    def go(self) -> None:
        """Start, or go on after a pause."""
        if self._since is None:
            self._since = self.clock()

    def pause(self) -> None:
        """Stop counting until `go`."""
        self._before, self._since = self.seconds, None

    @property
    def runs(self) -> bool:
        """Whether it counts now."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """So far."""
        return self._before + (0.0 if self._since is None else self.clock() - self._since)


@dataclass(frozen=True)
class Work:
    """A record to be done by hand, and what the workflow's prompt would be told of it."""

    record: Record
    told: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """What a person did about one record."""

    answer: dict[str, Any]
    """What they decided, in the fields of the prompt's answer."""
    steps: list[str]
    """In their own words, in order."""
    seconds: float
    failed: bool
    """Whether it was late, wrong or not done at all."""
    comment: str = ""


@dataclass(frozen=True)
class Agreement:
    """How often the model's own answer was the person's."""

    same: int
    of: int


@dataclass(frozen=True)
class Measured:
    """What was measured by hand so far."""

    records: int
    people: list[str]
    minutes_median: float
    minutes_mean: float
    minutes_least: float
    minutes_most: float
    failed: int
    failed_low: float
    """The Wilson interval at 95 % of the share that failed, 0 to 1."""
    failed_high: float
    steps: list[tuple[str, int]] = field(default_factory=list)
    """Each step with how many records took it, the most frequent first."""
    agreement: dict[str, Agreement] = field(default_factory=dict)
    """By field; only of records that the model has answered."""

    @property
    def failure_rate(self) -> float:
        """The share that failed, 0 to 1."""
        return self.failed / self.records

    @property
    def baseline(self) -> tuple[float, float]:
        """The card's `minutes` and `failure_rate`: the mean, since a total is what is saved."""
        minutes = round(self.minutes_mean, 1 if self.minutes_mean >= 1 else 2)
        return max(minutes, 0.01), round(self.failure_rate, 2)

    @property
    def hours_of_thousand(self) -> float:
        """Hours that 1,000 records cost by hand."""
        return self.minutes_mean * 1000 / 60


def to_do(
    ledger: Ledger, source: Source, person: str, limit: int, only: Collection[int] | None = None
) -> tuple[list[Work], int]:
    """The oldest records that this person has not done yet, and how many there are besides.

    Left out is what nobody has to do: what the workflow skips, what cannot be read, and what was redacted.

    Args:
        ledger: where they are.
        source: the workflow.
        person: who is going to do them.
        limit: the most to return.
        only: these records and no others.
    """
    mine = sa.exists().where(Mirror.record_id == Record.id, Mirror.person == person)
    query = sa.select(Record).where(
        Record.workflow == source.card.workflow,
        Record.redacted_at.is_(None),
        Record.state != records.UNREAD,
        sa.or_(Record.state != records.SKIPPED, Record.source == SOURCE),
        ~mine,
    )
    if only is not None:
        query = query.where(Record.id.in_(only))
    with ledger.read() as session:
        waiting = list(session.scalars(query.order_by(Record.id)))
    found = [work for record in waiting if (work := _work(source, record))]
    return found[:limit], max(0, len(found) - limit)


def _work(source: Source, record: Record) -> Work | None:
    try:
        return Work(record, dict(source.variables(record)))
    except Exception:  # noqa: BLE001 - the builder's own code, on a record that may never have been readable
        return None


def keep(ledger: Ledger, record: Record, person: str, done: Done) -> bool:
    """Commit what a person did about one record; False if they have done it before, in another window perhaps."""
    before = sa.select(Mirror.id).where(Mirror.record_id == record.id, Mirror.person == person)
    with ledger.write() as session:
        if session.scalar(before.limit(1)) is not None:
            return False
        session.add(
            Mirror(
                workflow=record.workflow,
                record_id=record.id,
                person=person,
                seconds=done.seconds,
                answer=done.answer,
                steps=done.steps,
                failed=done.failed,
                comment=done.comment,
            )
        )
    return True


def enter_mail(ledger: Ledger, workflow: str, place: Path) -> Entered:
    """Take an `.eml` file, or a folder's, into the ledger as records that no run ever takes up; each of them once.

    Mail that no person wrote is left out, as the workflow leaves it out.

    Raises:
        NoSavedMail: it cannot be read, or there is no such file.
    """
    rows: list[dict[str, Any]] = []
    left_out: list[tuple[str, str]] = []
    for file in saved(place):
        row = _row(workflow, file.raw, file.changed_at)
        if isinstance(row, str):
            left_out.append((file.name, row))
        else:
            rows.append(row)
    return Entered(_enter(ledger, workflow, rows), left_out)


def _row(workflow: str, raw: bytes, changed: datetime) -> dict[str, Any] | str:
    """The record of one file, or why it is none."""
    name = hashlib.sha256(raw).hexdigest()[:32]
    try:
        email: Email = parse(raw, message_id=name, thread_id=name, received_at=changed)
    except MalformedMail as error:
        return str(error)
    if email.machine:
        return f"{email.machine}: not written by a person to us"
    return {
        "workflow": workflow,
        "source": SOURCE,
        "external_id": name,
        "version": "1",
        "title": email.subject or "(no subject)",
        "payload": email.model_dump(mode="json") | {"ticket_id": name},  # as a workflow of tickets would have it
        "state": records.SKIPPED,
        "reason": BY_HAND,
    }


def _enter(ledger: Ledger, workflow: str, rows: Sequence[dict[str, Any]]) -> list[int]:
    names = [row["external_id"] for row in rows]
    query = sa.select(Record.external_id, Record.id).where(
        Record.workflow == workflow, Record.source == SOURCE, Record.external_id.in_(names)
    )
    with ledger.write() as session:
        if rows:
            session.execute(insert(session, Record).on_conflict_do_nothing(), list(rows))
        ids = dict(session.execute(query).tuples().all())
    return [ids[name] for name in dict.fromkeys(names)]


def steps_so_far(ledger: Ledger, workflow: str) -> list[str]:
    """Every step that was taken in this workflow before, the most frequent first."""
    with ledger.read() as session:
        told = session.scalars(sa.select(Mirror.steps).where(Mirror.workflow == workflow).order_by(Mirror.id))
        return [step for step, _ in Counter(step for steps in told for step in steps).most_common()]


def measured(ledger: Ledger, card: Card, prompt: Prompt) -> Measured | None:
    """What all people together have measured of a workflow; None before the first record."""
    query = sa.select(Mirror, Record.answer).join(Record, Record.id == Mirror.record_id)
    with ledger.read() as session:
        rows = session.execute(query.where(Mirror.workflow == card.workflow).order_by(Mirror.id)).tuples().all()
    if not rows:
        return None
    done = [mirror for mirror, _ in rows]
    minutes = [mirror.seconds / 60 for mirror in done]
    failed = sum(mirror.failed for mirror in done)
    low, high = wilson(failed, len(done))
    return Measured(
        records=len(done),
        people=sorted({mirror.person for mirror in done}),
        minutes_median=statistics.median(minutes),
        minutes_mean=statistics.fmean(minutes),
        minutes_least=min(minutes),
        minutes_most=max(minutes),
        failed=failed,
        failed_low=low,
        failed_high=high,
        steps=Counter(step for mirror in done for step in dict.fromkeys(mirror.steps)).most_common(),
        agreement=_agreement(prompt, rows),
    )


def _agreement(prompt: Prompt, rows: Sequence[tuple[Mirror, dict[str, Any] | None]]) -> dict[str, Agreement]:
    """By field, of the records that both a person and the model have answered."""
    same: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for mirror, answer in rows:
        models = labels_of(prompt, answer)
        for name, value in labels_of(prompt, mirror.answer).items():
            if name in models:
                of[name] += 1
                same[name] += models[name] == value
    return {name: Agreement(same[name], of[name]) for name in of}

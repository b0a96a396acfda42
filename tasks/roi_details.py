"""What a report says besides its figures: what no sum can be made of, and how things stand now."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Action, Decision, Evaluation, Mirror, ModelCall, PromptVersion, Receipt, Record, Run
from tasks import mirror, records
from tasks.actions import KINDS
from tasks.card import Stage
from tasks.periods import Period, day_of, inside
from tasks.retention import ours
from tasks.roi_figures import by_people, sum_of

UNSAID = "(a reason with an address in it)"
"""What stands for a reason that could name somebody."""

REASONS = 3
"""Of the most frequent reasons, so many are told."""


@dataclass(frozen=True)
class KindFigures:
    """One kind of action in the period."""

    kind: str
    done: int = 0
    decided: int = 0
    """By people."""
    rejected: int = 0
    edited: int = 0

    def several(self, count: int) -> str:
        """So many of it: `20 replies`, `1 Slack message`; by the kind's name where this version does not know it."""
        known = KINDS[self.kind].noun if self.kind in KINDS else f"“{self.kind}”"
        noun = known if known.islower() else f"{known} message"
        if count == 1 or self.kind not in KINDS:
            return f"{count:,} {noun}"
        return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"


@dataclass(frozen=True)
class Latency:
    """How long it took from asking people to their decisions, in seconds."""

    decisions: int
    half: float
    """One of two took no longer."""
    most: float
    """And nine of ten."""


@dataclass(frozen=True)
class Spending:
    """Dollars of model calls by UTC's days and months, as the card's limits go."""

    highest: Decimal
    """Of the dearest day of the period."""
    day: date | None
    month: Decimal
    """Of the month in which the period ends, until then."""


@dataclass(frozen=True)
class Version:
    """A version of a workflow's prompt."""

    version: str
    model: str
    since: datetime
    """When the first record came in that it answered."""


@dataclass(frozen=True)
class Standing:
    """How things stand at this moment, whatever the period."""

    waiting: int = 0
    """Records with an action that waits for a person."""
    oldest: datetime | None = None
    """Since when the first of them waits."""
    in_doubt: int = 0
    """Actions of which nobody knows whether they were done."""
    stage: str = ""
    """That of the newest run; empty without one."""


@dataclass(frozen=True)
class ByHand:
    """What was measured with a clock (`signoff mirror`)."""

    records: int
    minutes: float
    """The mean."""


@dataclass(frozen=True)
class Details:
    """All of it, by workflow; evaluations by prompt."""

    kinds: dict[str, list[KindFigures]]
    latencies: dict[str, Latency]
    reasons: dict[str, list[tuple[str, int]]]
    spending: dict[str, Spending]
    versions: dict[str, list[Version]]
    standing: dict[str, Standing]
    by_hand: dict[str, ByHand]
    evaluations: dict[str, Decimal]
    """Dollars spent on trying a prompt on its cases."""
    unproven: dict[str, int]
    """Actions of the period that say that they are done, and have no receipt: nothing counts them."""
    begins: dict[str, datetime]
    """When the first record came in."""


def read(session: Session, period: Period) -> Details:
    """Look all of it up."""
    begins, versions = _firsts(session)
    return Details(
        kinds=_kinds(session, period),
        latencies=_latencies(session, period),
        reasons=_reasons(session, period),
        spending=_spending(session, period),
        versions=versions,
        standing=_standing(session),
        by_hand=_by_hand(session),
        evaluations=_evaluations(session, period),
        unproven=_unproven(session, period),
        begins=begins,
    )


def _kinds(session: Session, period: Period) -> dict[str, list[KindFigures]]:
    """What was done or decided on, the most frequent first."""
    by = Action.workflow, Action.kind
    done = sa.select(*by, sa.func.count()).join(Receipt, Receipt.action_id == Action.id)
    done = done.where(inside(Receipt.created_at, period), Action.record_id.is_not(None)).group_by(*by)
    counts = sa.func.count(), sum_of(Decision.verdict == "rejected"), sum_of(Decision.edited)
    decided = sa.select(*by, *counts).join(Decision, Decision.action_id == Action.id)
    decided = decided.where(inside(Decision.created_at, period), by_people()).group_by(*by)
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for workflow, kind, count in session.execute(done).tuples():
        found[workflow, kind]["done"] = count
    for workflow, kind, *some in session.execute(decided).tuples():
        found[workflow, kind] |= dict(zip(("decided", "rejected", "edited"), some, strict=True))
    by_workflow: dict[str, list[KindFigures]] = defaultdict(list)
    for (workflow, kind), each in sorted(found.items(), key=lambda one: (-one[1].get("done", 0), one[0])):
        by_workflow[workflow].append(KindFigures(kind, **each))
    return dict(by_workflow)


def _latencies(session: Session, period: Period) -> dict[str, Latency]:
    took = (
        sa.select(Action.workflow, _seconds(Action.created_at, Decision.created_at, session).label("seconds"))
        .join(Decision, Decision.action_id == Action.id)
        .where(inside(Decision.created_at, period), by_people())
        .subquery()
    )
    row_number = sa.func.row_number().over(partition_by=took.c.workflow, order_by=took.c.seconds)
    of = sa.func.count().over(partition_by=took.c.workflow)
    row = sa.select(took, row_number.label("place"), of.label("of")).subquery().c
    # The nearest rank, so that it is always a time that somebody took.
    places = sa.or_(row.place == (row.of * 50 + 99) // 100, row.place == (row.of * 90 + 99) // 100)
    query = sa.select(row.workflow, row.of, row.seconds).where(places).order_by(row.workflow, row.place)
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for workflow, count, seconds in session.execute(query).tuples():
        found[workflow].append((count, max(0.0, float(seconds))))
    return {workflow: Latency(some[0][0], some[0][1], some[-1][1]) for workflow, some in found.items()}


def _seconds(first: Any, second: Any, session: Session) -> sa.ColumnElement[float]:
    if session.get_bind().dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", second - first), sa.Double)
    return (sa.func.julianday(second) - sa.func.julianday(first)) * 86_400.0


def _reasons(session: Session, period: Period) -> dict[str, list[tuple[str, int]]]:
    """Why records of the period were set aside, in our own words: what follows their colon may be a sender's."""
    query = (
        sa.select(Record.workflow, Record.reason, sa.func.count())
        .where(inside(Record.created_at, period), Record.state == records.QUARANTINED, Record.source != mirror.SOURCE)
        .group_by(Record.workflow, Record.reason)
    )
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for workflow, reason, count in session.execute(query).tuples():
        found[workflow][ours(reason or "no reason was given") or UNSAID] += count
    return {workflow: counts.most_common(REASONS) for workflow, counts in found.items()}


def _spending(session: Session, period: Period) -> dict[str, Spending]:
    last = period.until - timedelta(microseconds=1)
    month = last.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    calls = ModelCall
    day = day_of(calls.created_at, replace(period, zone=ZoneInfo("UTC")), session.get_bind().dialect.name)
    query = (
        sa.select(calls.workflow, day, sa.func.sum(calls.cost))
        .where(calls.created_at >= min(month, period.since), calls.created_at < period.until)
        .group_by(sa.text("1, 2"))
    )
    days: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for workflow, name, usd in session.execute(query).tuples():
        days[workflow][date.fromisoformat(name)] = usd
    return {workflow: _of_days(some, period.since.date(), month.date()) for workflow, some in days.items()}


def _of_days(days: dict[date, Decimal], since: date, month: date) -> Spending:
    dearest = max((day for day in days if day >= since), key=lambda day: days[day], default=None)
    this_month = sum((usd for day, usd in days.items() if day >= month), Decimal(0))
    return Spending(days[dearest] if dearest else Decimal(0), dearest, this_month)


def _firsts(session: Session) -> tuple[dict[str, datetime], dict[str, list[Version]]]:
    """When each workflow, and each version of its prompt, had its first record."""
    numbers = sa.select(sa.func.min(Record.id)).where(Record.source != mirror.SOURCE)
    first = numbers.group_by(Record.workflow)
    begins = sa.select(Record.workflow, Record.created_at).where(Record.id.in_(first))
    # By number, which the index holds: the oldest record of a version has the lowest.
    firsts = sa.select(sa.func.min(Record.id)).where(Record.prompt_version.is_not(None))
    firsts = firsts.group_by(Record.workflow, Record.prompt_version)
    query = (
        sa.select(Record.workflow, Record.prompt_version, PromptVersion.model, Record.created_at)
        .outerjoin(PromptVersion, PromptVersion.version == Record.prompt_version)
        .where(Record.id.in_(firsts))
        .order_by(Record.created_at, Record.id)
    )
    versions: dict[str, list[Version]] = defaultdict(list)
    for workflow, version, model, at in session.execute(query).tuples():
        versions[workflow].append(Version(version or "", model or "", at))
    return dict(session.execute(begins).tuples().all()), dict(versions)


def _standing(session: Session) -> dict[str, Standing]:
    waits = sa.select(Action.workflow, sa.func.count(sa.distinct(Action.record_id)), sa.func.min(Action.created_at))
    waits = waits.where(Action.state == "waiting").group_by(Action.workflow)
    doubts = sa.select(Action.workflow, sa.func.count()).where(Action.state == "unknown").group_by(Action.workflow)
    newest = sa.select(Run.workflow, sa.func.max(Run.started_at).label("at")).where(Run.stage.in_(list(Stage)))
    newest_run = newest.group_by(Run.workflow).subquery()
    same = sa.and_(newest_run.c.workflow == Run.workflow, newest_run.c.at == Run.started_at)
    stages = sa.select(Run.workflow, Run.stage).join(newest_run, same)
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for workflow, count, oldest in session.execute(waits).tuples():
        found[workflow] |= {"waiting": count, "oldest": oldest}
    for workflow, count in session.execute(doubts).tuples():
        found[workflow]["in_doubt"] = count
    for workflow, stage in session.execute(stages).tuples():
        found[workflow]["stage"] = stage
    return {workflow: Standing(**some) for workflow, some in found.items()}


def _by_hand(session: Session) -> dict[str, ByHand]:
    query = sa.select(Mirror.workflow, sa.func.count(), sa.func.avg(Mirror.seconds)).group_by(Mirror.workflow)
    return {workflow: ByHand(count, seconds / 60) for workflow, count, seconds in session.execute(query).tuples()}


def _evaluations(session: Session, period: Period) -> dict[str, Decimal]:
    query = sa.select(Evaluation.prompt, sa.func.sum(Evaluation.cost)).where(inside(Evaluation.created_at, period))
    return dict(session.execute(query.group_by(Evaluation.prompt)).tuples().all())


def _unproven(session: Session, period: Period) -> dict[str, int]:
    proven = sa.exists().where(Receipt.action_id == Action.id)
    done = Action.state == "done", inside(Action.updated_at, period), ~proven
    query = sa.select(Action.workflow, sa.func.count()).where(*done).group_by(Action.workflow)
    return dict(session.execute(query).tuples().all())

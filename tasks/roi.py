"""What the workflows came to: volume, minutes saved, cost and errors, by workflow and prompt version.

The arithmetic of a report, over what the ledger says and nothing else. Its figures are counted in
`tasks/roi_figures.py`, what to do about them is in `tasks/roi_advice.py`, and what a longer time was worth in
`tasks/roi_statement.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from blocks.ledger import Ledger
from tasks import roi_details, roi_figures
from tasks.card import Card
from tasks.periods import Period
from tasks.roi_details import ByHand, KindFigures, Latency, Spending, Standing
from tasks.roi_figures import Cube, Figures, total

REVIEW_SECONDS = 60.0
"""How long a person looks at a form before deciding, where nobody has said otherwise: the ledger knows when they were
asked and when they decided, and not what they did in between."""


@dataclass(frozen=True)
class Assumptions:
    """What no ledger knows, and a person says."""

    review_seconds: float = REVIEW_SECONDS
    """Of a person, for each form that they decide on."""
    hourly_rate: Decimal | None = None
    """Dollars that an hour of the person's time is worth; without it a report states hours only."""
    set_up_hours: float | None = None
    """Hours that it took to set everything up."""


@dataclass(frozen=True)
class Minutes:
    """A person's minutes. Dollars are never mixed into them."""

    by_hand: float
    """What the results that were used would have taken by hand."""
    mended: float
    """Of that, what was done by hand after all: results that were rejected, changed, failed or expired."""
    review: float
    """What it took to decide."""

    @property
    def saved(self) -> float:
        """What is left. It can be less than nothing."""
        return self.by_hand - self.mended - self.review

    def __add__(self, other: Minutes) -> Minutes:
        return Minutes(self.by_hand + other.by_hand, self.mended + other.mended, self.review + other.review)


NO_MINUTES = Minutes(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class VersionReport:
    """One version of a workflow's prompt in the period."""

    version: str | None
    """None for what no prompt was asked about."""
    model: str
    since: datetime | None
    is_change: bool
    """Whether it took another's place in this period."""
    figures: Figures


@dataclass(frozen=True)
class WorkflowReport:
    """One workflow in the period."""

    workflow: str
    card: Card | None
    """None where the ledger knows a workflow whose flow file is gone."""
    now: Figures
    before: Figures
    """The same of the period before."""
    days: dict[date, Figures]
    minutes_by_day: dict[date, Minutes]
    """Empty without a card."""
    usd: dict[tuple[str | None, date], Decimal]
    """Dollars of model calls by prompt version and day."""
    minutes: Minutes | None
    minutes_before: Minutes | None
    versions: tuple[VersionReport, ...]
    kinds: tuple[KindFigures, ...]
    latency: Latency | None
    reasons: tuple[tuple[str, int], ...]
    spending: Spending
    evaluations: Decimal
    """Dollars spent on trying its prompt on its cases."""
    standing: Standing
    by_hand: ByHand | None
    unproven: int
    begins: datetime | None
    """When its first record came in."""

    def usd_of(self, version: str | None, day: date) -> Decimal:
        """Dollars of a version's model calls on a day."""
        return self.usd.get((version, day), Decimal(0))

    @property
    def baseline_rate(self) -> float | None:
        """The share that people get wrong by hand, as the card says."""
        return self.card.baseline.failure_rate if self.card else None


@dataclass(frozen=True)
class Report:
    """All workflows in a period."""

    period: Period
    assumptions: Assumptions
    workflows: tuple[WorkflowReport, ...]
    begins: datetime | None
    """When the first record of all came in."""

    @property
    def now(self) -> Figures:
        """Of all workflows."""
        return total(each.now for each in self.workflows)

    @property
    def before(self) -> Figures:
        """Of all workflows, in the period before."""
        return total(each.before for each in self.workflows)

    @property
    def minutes(self) -> Minutes:
        """Of the workflows that have a card."""
        return sum((each.minutes for each in self.workflows if each.minutes), NO_MINUTES)

    @property
    def minutes_before(self) -> Minutes:
        """Of the workflows that have a card, in the period before."""
        return sum((each.minutes_before for each in self.workflows if each.minutes_before), NO_MINUTES)

    @property
    def evaluations(self) -> Decimal:
        """Dollars spent on trying prompts on their cases, each prompt once."""
        by_prompt = {each.card.prompt: each.evaluations for each in self.workflows if each.card}
        return sum(by_prompt.values(), Decimal(0))

    @property
    def without_card(self) -> tuple[str, ...]:
        """The workflows whose minutes nobody can count."""
        return tuple(each.workflow for each in self.workflows if each.card is None)

    def only(self, workflows: Collection[str]) -> Report:
        """The same of some workflows."""
        chosen = tuple(each for each in self.workflows if each.workflow in workflows)
        return replace(self, workflows=chosen, begins=_begins(chosen))

    @property
    def is_young(self) -> bool:
        """Whether the ledger begins within the period."""
        return self.begins is not None and self.begins.astimezone(self.period.zone).date() > self.period.days[0]

    @property
    def compares(self) -> bool:
        """Whether the period before is wholly in the ledger."""
        first = self.period.before.days[0]
        return self.begins is not None and self.begins.astimezone(self.period.zone).date() <= first


def report(
    ledger: Ledger,
    cards: Sequence[Card],
    period: Period,
    assumptions: Assumptions = Assumptions(),
) -> Report:
    """What happened in a period, and in the one before.

    Args:
        ledger: where it is written down.
        cards: of all workflows that there are.
        period: the time.
        assumptions: what a person says.

    Returns:
        The report of every workflow that has a card or a record.
    """
    with ledger.read() as session:
        cube = roi_figures.counted(session, period)
        details = roi_details.read(session, period)
    by_name = {card.workflow: card for card in cards}
    names = sorted({key.workflow for key in cube} | set(by_name) | set(details.begins))
    workflows = tuple(_workflow(name, by_name.get(name), cube, details, period, assumptions) for name in names)
    return Report(period, assumptions, workflows, _begins(workflows))


def _begins(workflows: Sequence[WorkflowReport]) -> datetime | None:
    return min((each.begins for each in workflows if each.begins), default=None)


def _workflow(
    name: str, card: Card | None, cube: Cube, details: roi_details.Details, period: Period, assumptions: Assumptions
) -> WorkflowReport:
    mine = {key: figures for key, figures in cube.items() if key.workflow == name}
    now = {key: figures for key, figures in mine.items() if key.day >= period.days[0]}
    before = total(figures for key, figures in mine.items() if key not in now)
    days = {day: total(figures for key, figures in now.items() if key.day == day) for day in period.days}
    whole = total(days.values())
    return WorkflowReport(
        workflow=name,
        card=card,
        now=whole,
        before=before,
        days=days,
        minutes_by_day={day: minutes(each, card, assumptions) for day, each in days.items()} if card else {},
        usd={(key.version, key.day): figures.usd for key, figures in now.items() if figures.usd},
        minutes=minutes(whole, card, assumptions) if card else None,
        minutes_before=minutes(before, card, assumptions) if card else None,
        versions=tuple(_versions(now, details.versions.get(name, []), period)),
        kinds=tuple(details.kinds.get(name, ())),
        latency=details.latencies.get(name),
        reasons=tuple(details.reasons.get(name, ())),
        spending=details.spending.get(name, Spending(Decimal(0), None, Decimal(0))),
        evaluations=details.evaluations.get(card.prompt, Decimal(0)) if card else Decimal(0),
        standing=details.standing.get(name, Standing()),
        by_hand=details.by_hand.get(name),
        unproven=details.unproven.get(name, 0),
        begins=details.begins.get(name),
    )


def minutes(figures: Figures, card: Card, assumptions: Assumptions) -> Minutes:
    """What figures come to in a person's minutes.

    A result that people rejected as a whole saves nothing and costs the look at it: it is done by hand, as it would
    have been. One of which they used a part, and changed or rejected another, counts as done by hand once more.
    """
    each = card.baseline.minutes
    return Minutes(figures.used * each, figures.mended * each, figures.forms * assumptions.review_seconds / 60)


def _versions(now: Cube, known: Sequence[roi_details.Version], period: Period) -> list[VersionReport]:
    """The versions that did something in the period, in the order in which they came; the rest of it last."""
    found = {version: total(f for key, f in now.items() if key.version == version) for version in _order(now, known)}
    by_name = {one.version: one for one in known}
    first = known[0].version if known else None
    return [
        VersionReport(
            version=version,
            model=by_name[version].model if version in by_name else "",
            since=by_name[version].since if version in by_name else None,
            is_change=version in by_name and version != first and by_name[version].since >= period.since,
            figures=figures,
        )
        for version, figures in found.items()
    ]


def _order(now: Cube, known: Sequence[roi_details.Version]) -> list[str | None]:
    there = {key.version for key in now}
    in_order: list[str | None] = [one.version for one in known if one.version in there]
    return in_order + sorted(there - set(in_order), key=lambda version: (version is None, version or ""))

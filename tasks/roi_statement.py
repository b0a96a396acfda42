"""What a longer time was worth: hours and money saved, what it cost, when it pays back, and on which assumptions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tasks import roi
from tasks.plain import counted
from tasks.roi import Minutes, Report, WorkflowReport

FROM_DAYS = 28
"""A shorter report is no statement: hardly anything pays back in a week."""


@dataclass(frozen=True)
class Assumption:
    """Something that the statement believes, and where it has it from."""

    what: str
    value: str
    source: str


@dataclass(frozen=True)
class Statement:
    """The return on what was put into the workflows. Hours and dollars are never mixed but by the hourly rate."""

    minutes: Minutes
    worth: Decimal | None
    """Dollars that the hours saved are worth; None without an hourly rate."""
    model_usd: Decimal
    evaluations_usd: Decimal
    set_up_usd: Decimal | None
    """None without an hourly rate or hours of set-up."""
    balance: Decimal | None
    """Dollars: what was saved less all that it cost; None without an hourly rate."""
    paid_back_on: date | None
    payback: str
    """In a sentence."""
    assumptions: tuple[Assumption, ...]
    not_counted: tuple[str, ...]


def statement(found: Report) -> Statement:
    """The statement of a report's period. Nothing is extrapolated."""
    given, minutes = found.assumptions, found.minutes
    rate = given.hourly_rate
    model, evaluations = found.now.usd, found.evaluations
    worth = _hours(minutes.saved) * rate if rate is not None else None
    set_up = _set_up(given)
    cost = model + evaluations + (set_up or Decimal(0))
    day = _paid_back(found)
    return Statement(
        minutes=minutes,
        worth=worth,
        model_usd=model,
        evaluations_usd=evaluations,
        set_up_usd=set_up,
        balance=worth - cost if worth is not None else None,
        paid_back_on=day,
        payback=_payback(found, day),
        assumptions=tuple(_assumptions(found)),
        not_counted=tuple(_not_counted(found)),
    )


def _hours(minutes: float) -> Decimal:
    return Decimal(str(minutes)) / 60


def _set_up(given: roi.Assumptions) -> Decimal | None:
    if given.hourly_rate is None or given.set_up_hours is None:
        return None
    return Decimal(str(given.set_up_hours)) * given.hourly_rate


def _paid_back(found: Report) -> date | None:
    """The day on which what was saved since the period's first day had made up for the set-up."""
    given = found.assumptions
    if given.set_up_hours is None:
        return None
    # In minutes, or in dollars times sixty: sixtieths do not add up exactly.
    rate, left = given.hourly_rate, Decimal(str(given.set_up_hours)) * 60
    if rate is not None:
        left = left * rate + found.evaluations * 60
    for day in found.period.days:
        for each in found.workflows:
            saved = Decimal(str(each.minutes_by_day[day].saved)) if each.card else Decimal(0)
            left -= saved if rate is None else saved * rate - each.days[day].usd * 60
        if left <= 0:
            return day
    return None


def _payback(found: Report, day: date | None) -> str:
    given = found.assumptions
    if given.set_up_hours is None:
        return "Give --set-up-hours to see when it pays back."
    put_in = f"the {given.set_up_hours:g} hours of set-up"
    if day is None:
        by_hours = f"{found.minutes.saved / 60:.1f} hours were saved so far"
        return f"Not paid back yet: {by_hours}, against {put_in}."
    if given.hourly_rate is None:
        return f"Paid back on {day:%d %b %Y}: by then as many hours were saved as {put_in}."
    return f"Paid back on {day:%d %b %Y}: by then the hours saved were worth more than the models and {put_in}."


def _assumptions(found: Report) -> Iterator[Assumption]:
    given = found.assumptions
    for each in found.workflows:
        if each.card and each.now:
            yield _baseline(each, each.card.baseline.minutes)
    named = "--review-seconds" if given.review_seconds != roi.REVIEW_SECONDS else "assumed; --review-seconds changes it"
    yield Assumption("a person's look at a form", f"{given.review_seconds:g} seconds", named)
    yield Assumption(
        "a result that was rejected, changed, failed or expired in part",
        "done by hand once more",
        "assumed; which they are, the ledger says",
    )
    yield Assumption("a result that was used", "everything decided, something done", "the ledger's receipts")
    yield Assumption("dollars of models", "as each call cost", "the ledger; a call without a reply at its worst")
    rate = f"${given.hourly_rate:,.2f}" if given.hourly_rate is not None else "none: hours only"
    yield Assumption("an hour of a person", rate, "--hourly-rate")
    hours = f"{given.set_up_hours:g} hours" if given.set_up_hours is not None else "not given"
    yield Assumption("setting it up", hours, "--set-up-hours")


def _baseline(each: WorkflowReport, minutes: float) -> Assumption:
    measured = "never measured by hand"
    if each.by_hand:
        measured = f"{each.by_hand.minutes:.1f} measured by hand, {counted(each.by_hand.records, 'record')}"
    value = f"{minutes:g} minutes"
    return Assumption(f"{each.workflow}: a record by hand", value, f"the card; {measured}")


def _not_counted(found: Report) -> Iterator[str]:
    now = found.now
    if now.watched:
        yield f"{counted(now.watched, 'record')} only watched (shadow)"
    if now.waiting + now.open:
        yield f"{counted(now.waiting + now.open, 'record')} still waiting or under way"
    if now.unsure:
        yield f"{counted(now.unsure, 'record')} left to a person because the model was not sure"
    if found.without_card:
        yield f"whatever was saved by {', '.join(found.without_card)}, whose flow file is gone"
    yield "errors that were caught or avoided, and what an earlier answer is worth"
    yield "upkeep after the set-up, the machine, the vendors' own prices, and work on quarantined records"

"""What to improve next: rules over a report's figures, each a sentence with the number and the command that helps."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tasks.card import Card, Stage
from tasks.plain import counted
from tasks.roi import Assumptions, Report, WorkflowReport

NEAR = Decimal("0.8")
"""The share of a limit from which it is told."""

OFTEN = 0.1
"""The share of answers that have to be asked for again from which it is told."""

FEW = 5
"""Under so many of a thing nothing follows from it."""


@dataclass(frozen=True)
class Advice:
    """One thing to do."""

    workflow: str
    minutes: float
    """A person's, of the period, that it could have saved at most; 0 for what is about money or certainty."""
    said: str
    """What was counted."""
    command: str


Rule = Callable[[WorkflowReport, Assumptions], Advice | None]


def advise(found: Report) -> list[Advice]:
    """All that the figures say, what could save most first."""
    said = [rule(each, found.assumptions) for each in found.workflows for rule in RULES]
    return sorted((one for one in said if one), key=lambda one: -one.minutes)


def _baseline(each: WorkflowReport) -> float:
    """Minutes by hand; 0 where nobody can say, which puts it last."""
    return each.card.baseline.minutes if each.card else 0.0


def corrected(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """People change or reject its texts: the prompt learns from that."""
    worst = max(each.kinds, key=lambda kind: kind.edited + kind.rejected, default=None)
    if each.card is None or worst is None or not worst.edited + worst.rejected:
        return None
    parts = ((worst.edited, "changed"), (worst.rejected, "rejected"))
    what = " and ".join(f"{count:,} {verb}" for count, verb in parts if count)
    said = f"of {worst.several(worst.decided)} that people decided on, {what}"
    minutes = (each.now.edited + each.now.rejected) * _baseline(each)
    return Advice(each.workflow, minutes, said, f"signoff cases {each.card.prompt} --from-decisions")


def set_aside(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """Records in quarantine are done by hand, or replayed."""
    now = each.now
    if not now.quarantined:
        return None
    why = f", most often because: {each.reasons[0][0]}" if each.reasons else ""
    said = f"{now.quarantined:,} of {counted(now.came_in, 'record')} set aside{why}"
    command = f"signoff quarantine list --workflow {shlex.quote(each.workflow)}"
    return Advice(each.workflow, now.quarantined * _baseline(each), said, command)


def unsure(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """The model leaves records to a person."""
    now = each.now
    if each.card is None or now.unsure < FEW:
        return None
    said = f"{now.unsure:,} of {counted(now.came_in, 'record')} left to a person, the model was not sure"
    return Advice(each.workflow, now.unsure * _baseline(each), said, f"signoff eval {each.card.prompt}")


def waiting(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """Nothing is saved by what nobody decides on."""
    count, expired = each.standing.waiting, each.now.expired
    if not count + expired:
        return None
    since = f", the first since {each.standing.oldest:%d %b %H:%M} UTC" if each.standing.oldest else ""
    waits = f"{counted(count, 'record')} with something to sign off{since}" if count else ""
    late = f"{counted(expired, 'action')} expired, nobody decided in time" if expired else ""
    said = "; ".join(filter(None, (waits, late)))
    minutes = (count + expired) * _baseline(each)
    return Advice(each.workflow, minutes, said, f"signoff approvals list --workflow {shlex.quote(each.workflow)}")


def failed(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """A vendor refused for good what was approved."""
    if not each.now.failed:
        return None
    said = f"{counted(each.now.failed, 'record')} with an action that the vendor refused"
    return Advice(each.workflow, each.now.failed * _baseline(each), said, "signoff ledger failed")


def in_doubt(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """Only a person can say."""
    count = each.standing.in_doubt
    if not count:
        return None
    said = f"{counted(count, 'action')} that may or may not have been done"
    return Advice(each.workflow, count * _baseline(each), said, "signoff ledger doubts")


def watched(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """In shadow it saves nothing."""
    if each.card is None or not each.now.watched:
        return None
    said = (
        f"{counted(each.now.watched, 'record')} only watched; if it would have done what people did, let it ask "
        f"(signoff stage {each.workflow} gated)"
    )
    return Advice(each.workflow, each.now.watched * _baseline(each), said, f"signoff shadow {each.workflow}")


def low_impact(each: WorkflowReport, assumptions: Assumptions) -> Advice | None:
    """People decide what could pass by itself, once that is earned."""
    forms = each.now.shared_forms
    if each.card is None or forms < FEW or each.card.stage is not Stage.SELECTIVE:
        return None
    said = f"{counted(forms, 'form')} with low-impact actions only, which pass by themselves once that is earned"
    return Advice(each.workflow, forms * assumptions.review_seconds / 60, said, f"signoff evidence {each.workflow}")


def near_the_limit(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """At a limit the rest waits."""
    if each.card is None:
        return None
    for usd, limit, what in _limits(each, each.card):
        if usd >= NEAR * limit:
            said = f"{what} cost ${usd:.2f} of the ${limit:.2f} on the card; the built-in model costs nothing"
            return Advice(each.workflow, 0.0, said, f"signoff eval {each.card.prompt} --model embedded")
    return None


def _limits(each: WorkflowReport, card: Card) -> tuple[tuple[Decimal, Decimal, str], ...]:
    return (
        (each.spending.month, card.usd_per_month, "the month"),
        (each.spending.highest, card.usd_per_day, "the dearest day"),
    )


def asked_again(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """Answers that could not be used cost twice."""
    now = each.now
    if each.card is None or now.asked_again < FEW or now.asked_again < OFTEN * now.calls:
        return None
    said = f"{now.asked_again:,} of {counted(now.calls, 'model call')} asked again, the answer could not be used"
    return Advice(each.workflow, 0.0, said, f"signoff eval {each.card.prompt}")


def unmeasured(each: WorkflowReport, _: Assumptions) -> Advice | None:
    """All minutes hang on the baseline."""
    if each.card is None or each.by_hand or not each.now.used:
        return None
    said = f"the {each.card.baseline.minutes:g} minutes by hand are the card's word, nobody has measured them"
    return Advice(each.workflow, 0.0, said, f"signoff mirror {each.workflow}")


RULES: tuple[Rule, ...] = (
    corrected, set_aside, unsure, waiting, failed, in_doubt, watched, low_impact, near_the_limit, asked_again,
    unmeasured,
)  # fmt: skip

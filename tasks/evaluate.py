"""Evaluate: a prompt is asked about cases whose answers are known, and what it answered stays in the ledger.

A plain function without Prefect, for the command line and for the flow alike. Every answer is written down as soon as
it is there: whatever ends an evaluation before its time, the next one of the same version pays only for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from blocks.guard import guarded_by
from blocks.ledger import Ledger
from blocks.models import Model, Request
from prompts import Case, Prompt
from tasks import versions
from tasks.answers import threshold_of
from tasks.discipline import discipline
from tasks.evaluation_calls import Batches, Purse
from tasks.evaluation_sheet import EvaluationStopped, Progress, Sheet, known_answers, new_row
from tasks.scoring import Answered, Judged, Scores, case_key, judged

POLL_SECONDS = 10.0
"""How often a batch is looked at."""


@dataclass(frozen=True)
class Outcome:
    """A finished evaluation."""

    id: int
    prompt: Prompt
    version: str
    model: str
    source: str
    cases: tuple[Case, ...]
    answers: Mapping[str, Answered]
    """By `case_key`."""
    known: int
    """How many of them were there already."""
    scores: Scores
    usd: Decimal
    """US dollars that it has spent itself."""
    seconds: float

    @cached_property
    def judged(self) -> list[Judged]:
        """Each case beside its answer."""
        return judged(self.prompt, self.cases, self.answers)


def evaluate(
    ledger: Ledger,
    prompt: Prompt,
    model: Model,
    cases: Sequence[Case],
    *,
    source: str,
    usd: Decimal,
    confidence: float = 0.0,
    again: bool = False,
    batch: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    poll_seconds: float = POLL_SECONDS,
) -> Outcome:
    """Ask a prompt about cases, and score what it answers.

    What this version has answered to the same input before is taken from the ledger. The first answer counts: one that
    is not usable is not asked for again, as it would be in a run, but is wrong.

    Args:
        ledger: where answers are looked up, and kept.
        prompt: what is asked.
        model: who is asked.
        cases: at least one, each with inputs of its own.
        source: where they come from: `held_out`, or a file's name.
        usd: the most US dollars that may be spent now. A call counts at its worst until it is answered; for good, if
            its reply was lost.
        confidence: the probability, 0 to 1, under which the card leaves an answer to a person.
        again: ask anew what was answered before, or is being answered by a batch.
        batch: hand the cases in as a batch, and wait for it. One that is under way for this version is taken up again.
        on_progress: told each time that answers came, and each time that the batch was looked at.
        poll_seconds: how often a batch is looked at.

    Raises:
        EvaluationStopped: the limit is too low for the rest, or a call failed for good, or a batch is under way and
            this is none. What was answered is kept.
        VendorError: the model's price is not known; nothing was asked.
        PromptError: the prompt does not fit the cases' inputs, or has a field that the model cannot fill in.
    """
    if batch and not isinstance(model, Batches):
        raise EvaluationStopped(f"{model.model_id} takes no batches: leave out --batch")
    prompt.render(cases[0].inputs)  # what is wrong with all of them is told before anything is begun
    model.worst_cost(Request(prompt, cases[0].inputs))
    version = versions.remember(ledger, prompt, model)
    by_key = {case_key(case): case for case in cases}
    # Asked one by one, what a batch that was left is about to answer would be paid for twice.
    missing = not again and len(known_answers(ledger, prompt, version, by_key.keys())) < len(by_key)
    take_up = batch or (missing and isinstance(model, Batches))
    row = new_row(ledger, prompt, model, version, cases, source, take_up=take_up)
    answers = known_answers(ledger, prompt, version, by_key.keys(), evaluation=row.id if again else None)
    known = len(answers)
    sheet = Sheet(ledger, row, prompt, model, by_key, answers, Purse(usd, row.cost), on_progress)
    with sheet.closed_at_the_end(), guarded_by(discipline(ledger)):
        if isinstance(model, Batches) and batch:
            sheet.fill_by_batch(model, poll_seconds)
        else:
            sheet.fill()
        scores = sheet.finish(threshold_of(confidence, prompt, model))
    return Outcome(
        id=row.id,
        prompt=prompt,
        version=version,
        model=row.model,
        source=source,
        cases=tuple(cases),
        answers=sheet.answers,
        known=known,
        scores=scores,
        usd=sheet.purse.spent,
        seconds=row.seconds,
    )

"""Validate: a model's text becomes a checked answer, or is asked for again, or is set aside. Never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel

import prompts
from blocks.ledger import ModelCall, Record
from blocks.models import Request
from blocks.vendor import VendorError
from prompts.fields import probability_field
from tasks import records
from tasks.answers import Verdict, judge, threshold_of
from tasks.budget import LOST
from tasks.prompt import Pictures, TooLong, Variables, after_failures, fit, within_budget
from tasks.run import Run
from tasks.verb import concurrently, verb

ASK_AGAIN = 2
"""How often a bad answer is asked for again, with the complaint, before the record is set aside."""

Check = Callable[[Record, BaseModel], str]
"""What is wrong with an answer of the right type, in words that the model can act on; nothing when it is good."""

FINAL = frozenset({"refusal", "model_context_window_exceeded"})
"""Stop reasons that asking the same again cannot change."""


@verb("validate")
def answers(
    run: Run, ids: Sequence[int], variables: Variables, check: Check | None = None, pictures: Pictures | None = None
) -> None:
    """Check the model's answer to every record of the batch, and ask again where it is not what was asked for.

    Args:
        run: the run.
        ids: the batch.
        variables: what the prompt is told of a record.
        check: what else must hold for an answer, beside its type.
        pictures: what a model that sees is shown of a record.

    Raises:
        VendorError: the model could not be reached to ask again.
    """
    batch = records.in_state(run.ledger, ids, records.PROMPTED)
    verdicts = {r.id: [_judged(run, r, check, *reply) for reply in replies] for r, replies in _replies(run, batch)}
    good = [r for r in batch if verdicts[r.id][-1].answer]
    # Made before the ledger is locked: the built-in model may first have to learn where it is sure.
    changes = [_validated(run, r, verdicts[r.id][-1]) for r in good]
    with run.ledger.write() as session:
        records.move(session, changes)
    bad = [r for r in batch if not verdicts[r.id][-1].answer]
    outcomes = concurrently(lambda r: _ask_again(run, r, verdicts[r.id], variables, check, pictures), bad)
    failures = {record.id: outcome for record, outcome in outcomes if isinstance(outcome, VendorError)}
    after_failures(run, {r.id: r for r in bad}, failures, succeeded=len(batch) - len(failures))


def _judged(run: Run, record: Record, check: Check | None, text: str, stop_reason: str) -> Verdict:
    verdict = judge(prompts.load(run.card.prompt).answer, text, stop_reason)
    if check and verdict.answer and (complaint := check(record, verdict.answer)):
        return Verdict(text, stop_reason, complaint=complaint)
    return verdict


def _ask_again(
    run: Run,
    record: Record,
    verdicts: list[Verdict],
    variables: Variables,
    check: Check | None,
    pictures: Pictures | None,
) -> None:
    prompt = prompts.load(run.card.prompt)
    while not (last := verdicts[-1]).answer:
        if last.stop_reason in FINAL or len(verdicts) > ASK_AGAIN:
            reason = f"no usable answer after {len(verdicts)} attempts: {last.complaint}"
            return _store(run, records.quarantine(record.id, reason))
        corrections = tuple((verdict.text, verdict.complaint) for verdict in verdicts)
        try:
            shown = tuple(pictures(record)) if pictures and run.model.sees else ()
            request = fit(Request(prompt, dict(variables(record)), corrections, shown), run.model.input_limit())
        except TooLong as error:  # the model has become a smaller one since the first answer
            return _store(run, records.quarantine(record.id, str(error)))
        reply = within_budget(run, record.id, request, len(verdicts) + 1)
        if reply is None:
            return None
        verdicts.append(_judged(run, record, check, reply.text, reply.stop_reason))
    return _store(run, {**_validated(run, record, last), "prompt_version": run.prompt_version})


def _replies(run: Run, batch: Sequence[Record]) -> Iterator[tuple[Record, list[tuple[str, str]]]]:
    """Each record with the text and stop reason of every reply it got in this attempt at it, oldest first."""
    calls: dict[int, list[ModelCall]] = {record.id: [] for record in batch}
    with run.ledger.read() as session:
        for call in session.scalars(
            sa.select(ModelCall)
            .where(ModelCall.record_id.in_(calls), ModelCall.stop_reason != LOST, ModelCall.agent_run_id.is_(None))
            .order_by(ModelCall.id)
        ):
            # A first call begins anew: what was asked before a replay does not count against this attempt.
            calls[call.record_id] = [call] if call.attempt == 1 else [*calls[call.record_id], call]
    for record in batch:
        yield record, [(call.reply, call.stop_reason) for call in calls[record.id]]


def _validated(run: Run, record: Record, verdict: Verdict) -> dict[str, Any]:
    answer = (verdict.answer and verdict.answer.model_dump(mode="json")) or {}
    sure = _is_sure(run, answer)
    return {"id": record.id, "state": records.VALIDATED, "answer": answer, "sure": sure, "reason": None}


def _is_sure(run: Run, answer: Mapping[str, Any]) -> bool:
    """Whether the model stands by its answer. One that states no probability always does."""
    prompt = prompts.load(run.card.prompt)
    stated = probability_field(prompt.answer)
    return stated is None or float(answer[stated]) >= threshold_of(run.card.thresholds.confidence, prompt, run.model)


def _store(run: Run, change: dict[str, Any]) -> None:
    with run.ledger.write() as session:
        records.move(session, [change])

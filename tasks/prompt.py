"""Prompt: each record of a batch is put to the model once, within the budget, and the call is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import prompts
from blocks.ledger import ModelCall, Record
from blocks.models import Picture, Reply, Request
from blocks.vendor import VendorError
from tasks import records, tracing
from tasks.budget import LOST, BudgetExceeded, Call
from tasks.circuit import CircuitOpen
from tasks.run import Run
from tasks.verb import as_they_come, raise_if_worth_retrying, verb

Variables = Callable[[Record], Mapping[str, Any]]
"""What a flow tells the prompt about a record: plain function, no I/O."""

Pictures = Callable[[Record], Sequence[Picture]]
"""What a model that sees is shown of a record, besides."""

SHORTEST = 400
"""A text that would have to be cut below this many characters is not worth asking about."""

ASKED_AT_ONCE = 50
"""Calls of the model in flight at once: it takes seconds, so a batch goes in one round. Rates are paced apart."""

RECORDS_FAULT = frozenset({400, 413, 422})
"""The refusals that are about one request. Any other (a dead key, a model that does not exist) would meet them all."""


class TooLong(Exception):
    """A record's input does not fit the model even when trimmed."""


@verb("prompt")
def ask(run: Run, ids: Sequence[int], variables: Variables, pictures: Pictures | None = None) -> None:
    """Ask the card's prompt about every record of the batch that has not been asked yet.

    Inputs that are too long are trimmed by the prompt's rule, or quarantined. When the budget is used up the records
    stay as they are for the next run, and the run says so.

    Raises:
        VendorError: the model could not be reached.
    """
    prompt = prompts.load(run.card.prompt)
    batch = records.in_state(run.ledger, ids, records.FETCHED)
    requests: dict[int, Request] = {}
    changes: list[dict[str, Any]] = []
    for record in batch:
        try:
            shown = tuple(pictures(record)) if pictures and run.model.sees else ()
            request = Request(prompt, dict(variables(record)), pictures=shown)
            requests[record.id] = fit(request, run.model.input_limit())
        except TooLong as error:
            changes.append(records.quarantine(record.id, str(error)))
    if changes:
        with run.ledger.write() as session:
            records.move(session, changes)
    _ask_all(run, {r.id: r for r in batch if r.id in requests}, requests, _answered(run, ids))


def _answered(run: Run, ids: Sequence[int]) -> int:
    """How many of these records this run has had an answer about: then the model is not down."""
    calls = ModelCall
    mine = sa.and_(calls.run_id == run.id, calls.record_id.in_(ids), calls.stop_reason != LOST)
    with run.ledger.read() as session:
        return session.scalar(sa.select(sa.func.count(sa.distinct(calls.record_id))).where(mine)) or 0


def _ask_all(run: Run, batch: Mapping[int, Record], requests: Mapping[int, Request], others: int) -> None:
    """`others` counts the records of the batch that an earlier attempt of this run has had an answer about."""
    version = run.prompt_version
    failures: dict[int, VendorError] = {}
    succeeded = others
    left = list(batch)
    while left:
        granted = run.budget.reserve([_planned(run, i, requests[i], version) for i in left])
        if not granted.records:
            _say_why(run, granted.refused)
            break
        for group in as_they_come(lambda i: tracing.ask(run, i, requests[i], 1), granted.records, ASKED_AT_ONCE):
            answered = [record_id for record_id, outcome in group if isinstance(outcome, Reply)]
            failures |= {record_id: outcome for record_id, outcome in group if isinstance(outcome, VendorError)}
            succeeded += len(answered)
            with run.ledger.write() as session:
                _store(session, run, version, group)
                prompted = {"state": records.PROMPTED, "prompt_version": version, "reason": None}
                records.move(session, ({"id": i, **prompted} for i in answered))
        left = left[len(granted.records) :]
    after_failures(run, batch, failures, succeeded)


def after_failures(run: Run, batch: Mapping[int, Record], failures: Mapping[int, VendorError], succeeded: int) -> None:
    """Once a batch was asked: note whose fault each failed call was, and raise what stops the run or is worth a retry.

    While nothing succeeds the model is down, and no record is to blame for that: an outage sets nothing aside.

    Raises:
        VendorError: the model does not answer, or never will with this key, name or address.
    """
    blamed = {i: e for i, e in failures.items() if (e.status in RECORDS_FAULT if e.permanent else succeeded)}
    blamed = {i: e for i, e in blamed.items() if not isinstance(e, CircuitOpen)}
    if blamed:
        with run.ledger.write() as session:
            records.move(session, [records.failed(batch[i], error) for i, error in blamed.items()])
    errors = list(failures.values())
    set_up = next((e for e in errors if e.permanent and e.status not in RECORDS_FAULT), None)
    if set_up:
        raise set_up
    raise_if_worth_retrying(errors, succeeded)
    left = [e for e in errors if not e.permanent]
    if left:
        run.note(f"{len(left)} records could not be asked about and are left to the next run: {left[0]}")


def within_budget(run: Run, record_id: int, request: Request, attempt: int) -> Reply | None:
    """Ask once if the budget allows it, and record the call; None, with a note on the run, when it does not.

    Raises:
        VendorError: the model could not be reached; when its reply may have been lost, it counts as spent.
    """
    version = run.prompt_version
    granted = run.budget.reserve([_planned(run, record_id, request, version)])
    if not granted.records:
        _say_why(run, granted.refused)
        return None
    try:
        outcome: Reply | VendorError = tracing.ask(run, record_id, request, attempt)
    except VendorError as error:
        outcome = error
    with run.ledger.write() as session:
        _store(session, run, version, [(record_id, outcome)], attempt)
    if isinstance(outcome, VendorError):
        raise outcome
    return outcome


def _planned(run: Run, record_id: int, request: Request, version: str) -> Call:
    return Call(record_id, version, run.model.model_id, run.model.worst_cost(request))


def _say_why(run: Run, refused: BudgetExceeded | None) -> None:
    if refused:  # without the amount: said once, whatever each call would cost
        over = f"{refused.kind} is ${refused.limit:.4f}, and the next call could go over it"
        run.note(f"stopped asking the model: {over}; the rest waits for the next run")


def _store(
    session: Session, run: Run, version: str, outcomes: Sequence[tuple[int, Reply | VendorError]], attempt: int = 1
) -> None:
    """What became of some calls: paid, lost or never made. Whatever was set aside for them is given back."""
    for record_id, outcome in outcomes:
        if isinstance(outcome, Reply):
            session.add(call_row(run, record_id, version, outcome, attempt))
        elif outcome.unknown:
            run.budget.lose(session, record_id)
    run.budget.settle(session, [record_id for record_id, _ in outcomes])


def call_row(run: Run, record_id: int, version: str, reply: Reply, attempt: int) -> ModelCall:
    """A paid call, for the ledger."""
    return ModelCall(
        workflow=run.card.workflow,
        record_id=record_id,
        run_id=run.id,
        prompt=run.card.prompt,
        prompt_version=version,
        model=reply.model,
        attempt=attempt,
        reply=reply.text,
        stop_reason=reply.stop_reason,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cache_read_tokens=reply.cache_read_tokens,
        cache_write_tokens=reply.cache_write_tokens,
        cost=reply.cost,
        seconds=reply.seconds,
    )


def fit(request: Request, limit: int) -> Request:
    """The request with its long variable cut, head and tail kept, so that at most `limit` characters are sent.

    Raises:
        TooLong: even `SHORTEST` characters of it do not fit.
    """
    system, user = request.prompt.render(dict(request.variables))
    excess = len(system) + len(user) - limit
    if excess <= 0:
        return request
    name = request.prompt.settings.trim
    text = str(request.variables[name])
    keep = len(text) - excess - 100  # 100: room for the line that says what was left out
    if keep < SHORTEST:
        raise TooLong(f"too long for the model: {len(system) + len(user):,} characters, at most {limit:,} fit")
    head, tail = keep * 3 // 4, keep // 4
    cut = f"{text[:head]}\n[... {len(text) - head - tail:,} characters left out ...]\n{text[-tail:]}"
    return replace(request, variables={**request.variables, name: cut})

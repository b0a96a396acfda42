"""One evaluation while it is under way: its cases, their answers as they come, and its row in the ledger."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from blocks.anthropic_batches import BATCH_PRICE
from blocks.ledger import CaseAnswer, Evaluation, Ledger, history, utcnow
from blocks.models import Model, Reply, Request
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from prompts import Case, Prompt
from tasks.answers import STOPPED, judge
from tasks.evaluation_calls import Batches, CallFailed, Came, Line, OverLimit, Purse, Wanted, priced, results, submit
from tasks.prompt import TooLong, fit
from tasks.scoring import Answered, Scores, partly_read, score

DID_NOT_FIT = "model_context_window_exceeded"
"""The stop reason of an input that is not sent, since it is too long."""


class EvaluationStopped(Exception):
    """An evaluation ended before every case was answered; the message says why, what is kept, and the way out."""


@dataclass(frozen=True)
class Progress:
    """How far an evaluation has got."""

    answered: int
    of: int
    usd: Decimal
    """US dollars that it has spent so far."""
    batch: str = ""
    """The batch that is waited for, by the vendor's id."""


@dataclass
class Sheet:
    """One evaluation while it is under way: the cases on one side, their answers on the other."""

    ledger: Ledger
    row: Evaluation
    prompt: Prompt
    model: Model
    cases: Mapping[str, Case]
    answers: dict[str, Answered]
    purse: Purse
    tell: Callable[[Progress], None]
    began: float = field(default_factory=time.monotonic)

    def fill(self) -> None:
        """Ask about what is missing, once a batch that was left has been taken in.

        Raises:
            EvaluationStopped: the batch is still under way; to ask now would be to pay twice.
        """
        self._tell()
        if self.row.batch_id and isinstance(self.model, Batches):
            self._collect(self.model, 0, self._not_now)
        Line(self.model, self._wanted(), self.purse, self.keep, self._tell).ask()

    def fill_by_batch(self, batches: Batches, poll_seconds: float) -> None:
        """Take up the batch that is under way, if there is one, and hand in what it leaves unanswered."""
        if self.row.batch_id:
            _none_failed(self._collect(batches, poll_seconds, self._tell))
        if wanted := self._wanted():
            self.row.batch_id = submit(batches, wanted, self.purse)
            self._update(batch_id=self.row.batch_id)  # from here on it is not paid for twice
            _none_failed(self._collect(batches, poll_seconds, self._tell))

    def finish(self, threshold: float) -> Scores:
        """Score the answers, and close the evaluation."""
        if left := len(self.cases) - len(self.answers):
            raise EvaluationStopped(f"no answer came to {left} of {len(self.cases)} cases; the same command goes on")
        scores = score(self.prompt, tuple(self.cases.values()), self.answers, threshold)
        self._close(scores)
        return scores

    def keep(self, came: Came) -> None:
        """Write answers down, with what has been spent so far."""
        with self.ledger.write() as session:
            session.execute(sa.insert(CaseAnswer), [self._answer(key, reply) for key, reply in came])
            session.execute(sa.update(Evaluation).where(self._mine).values(cost=self.purse.spent))
        self._take(came)

    @contextmanager
    def closed_at_the_end(self) -> Iterator[None]:
        """Close the evaluation as stopped, whatever ends it; a batch that is under way keeps it open."""
        try:
            yield
        except OverLimit as error:
            raise EvaluationStopped(self._over_limit()) from error
        except CallFailed as error:
            raise EvaluationStopped(self._failed(error)) from error.error
        finally:
            if self.row.state != "done":
                self._stop()

    def _wanted(self) -> Wanted:
        """What is missing, shortened as a run would; what does not fit even so is kept as unusable."""
        requests, too_long = {}, []
        for key, case in self.cases.items():
            if key not in self.answers:
                try:
                    requests[key] = _fitting(self.prompt, case, self.model.input_limit())
                except TooLong:
                    too_long.append((key, Reply("", self.model.model_id, DID_NOT_FIT)))
        if too_long:
            self.keep(too_long)
        return priced(self.model, requests)

    def _collect(self, batches: Batches, poll_seconds: float, look: Callable[[], None]) -> list[CallFailed]:
        """Take in a batch once it has ended; returns the cases that it has no answer to."""
        batch_id = self.row.batch_id or ""
        try:
            found = results(batches, batch_id, poll_seconds, look)
        except CallFailed as error:
            if _is_gone(error.error):  # the next evaluation must not wait for it for ever
                self.row.batch_id = None
                self._update(batch_id=None)
            raise
        self._take_in(batch_id, {key: reply for key, reply in found.items() if isinstance(reply, Reply)})
        return [CallFailed(e, key) for key, e in found.items() if isinstance(e, VendorError) and key in self.cases]

    def _take_in(self, batch_id: str, replies: Mapping[str, Reply]) -> None:
        """The answers and the end of the batch in one transaction, so that they are counted once, whoever waited."""
        rows = [self._answer(key, reply) for key, reply in replies.items()]
        spent = self.purse.spent + sum((reply.cost for reply in replies.values()), Decimal(0))
        waiting = sa.and_(self._mine, Evaluation.batch_id == batch_id)
        with self.ledger.write() as session:
            ended = sa.update(Evaluation).where(waiting).values(batch_id=None, cost=spent).returning(Evaluation.id)
            if session.scalar(ended) is None:  # another process was first, in this row or in one of its own
                spent = session.scalars(sa.select(Evaluation.cost).where(self._mine)).one()
            elif rows:
                session.execute(sa.insert(CaseAnswer), rows)
        self.row.batch_id, self.purse.spent = None, spent
        self._take(list(replies.items()))
        self._tell()

    def _take(self, came: Came) -> None:
        self.answers |= {key: _read(self.prompt, reply, reply.text) for key, reply in came if key in self.cases}

    def _answer(self, key: str, reply: Reply) -> dict[str, Any]:
        return {
            "evaluation_id": self.row.id,
            "prompt_version": self.row.prompt_version,
            "case_key": key,
            "reply": reply.text,
            "stop_reason": reply.stop_reason,
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "cost": reply.cost,
            "seconds": reply.seconds,
        }

    def _close(self, scores: Scores) -> None:
        ended = self._ended("done", scores=scores.model_dump(mode="json"))
        accuracy = {one.field: round(one.right / one.of, 4) for one in scores.fields}
        row = self.row
        with self.ledger.write() as session:
            session.execute(sa.update(Evaluation).where(self._mine).values(ended))
            history.note(
                session,
                "evaluation",
                f"evaluations/{row.id}",
                prompt=row.prompt,
                version=row.prompt_version,
                model=row.model,
                source=row.source,
                cases=row.cases,
                accuracy=accuracy,
                usd=f"{self.purse.spent:.6f}",
            )
        row.state, row.seconds = "done", ended["seconds"]

    def _stop(self) -> None:
        if not self.row.batch_id:
            self._update(**self._ended("stopped"))

    def _ended(self, state: str, **more: Any) -> dict[str, Any]:
        seconds = self.row.seconds + time.monotonic() - self.began
        return {"state": state, "ended_at": utcnow(), "cost": self.purse.spent, "seconds": seconds, **more}

    def _update(self, **values: Any) -> None:
        with self.ledger.write() as session:
            session.execute(sa.update(Evaluation).where(self._mine).values(values))

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return Evaluation.id == self.row.id

    def _tell(self) -> None:
        self.tell(Progress(len(self.answers), len(self.cases), self.purse.spent, self.row.batch_id or ""))

    def _not_now(self) -> None:
        raise EvaluationStopped(
            f"batch {self.row.batch_id} is under way for this version: {self._so_far()}. The same evaluation with "
            f"--batch waits for it (signoff eval {self.prompt.name} --batch), and with --again asks all the same"
        )

    def _over_limit(self) -> str:
        worst = sum((cost for _, cost in self._wanted().values()), Decimal(0))
        halved = f", or ${_cents(worst * BATCH_PRICE)} with --batch" if isinstance(self.model, Batches) else ""
        return (
            f"stopped at the limit of ${self.purse.limit:.4f}: {self._so_far()}, {len(self.cases) - len(self.answers)} "
            f"are left. They can cost up to ${_cents(worst)}{halved}: raise usd_per_evaluation on the card, or go on "
            f"with --max-usd {_cents(worst)}"
        )

    def _failed(self, error: CallFailed) -> str:
        at = f" at case {self.cases[error.key].name}" if error.key else ""
        then = f"batch {self.row.batch_id} runs on, and " if self.row.batch_id else ""
        return f"stopped{at}: {error}; {self._so_far()}; {then}the same command goes on"

    def _so_far(self) -> str:
        return f"{len(self.answers)} of {len(self.cases)} cases are answered, which is kept"


def new_row(
    ledger: Ledger, prompt: Prompt, model: Model, version: str, cases: Sequence[Case], source: str, *, take_up: bool
) -> Evaluation:
    """The row of a new evaluation; with `take_up`, of the one whose batch is under way for this version, if there is.

    If that one was of other cases, a new row takes the batch over: its answers are found by their inputs, and a row
    must not have the source of one evaluation and the scores of another.
    """
    table = Evaluation
    with ledger.write() as session:
        # Killed ones. One that is alive all the same says so itself at its end.
        dead = sa.and_(table.prompt_version == version, table.state == "running", table.batch_id.is_(None))
        session.execute(sa.update(table).where(dead).values(state="stopped", ended_at=utcnow()))
        waiting = sa.select(table).where(table.prompt_version == version, table.batch_id.is_not(None))
        left = session.scalar(waiting.order_by(table.id.desc()).limit(1)) if take_up else None
        if left and (left.source, left.cases_digest) == (source, digest(cases)):
            row = left
        else:
            row = Evaluation(prompt=prompt.name, prompt_version=version, model=model.model_id, cost=Decimal(0))
            row.source, row.cases, row.cases_digest = source, len(cases), digest(cases)
            if left:
                row.batch_id, left.batch_id = left.batch_id, None
                left.state, left.ended_at = "stopped", utcnow()
        row.state, row.ended_at, row.seconds = "running", None, row.seconds or 0.0
        session.add(row)
    return row


def digest(cases: Sequence[Case]) -> str:
    """SHA-256 over cases, whatever their order."""
    return hashlib.sha256("\n".join(sorted(case.line() for case in cases)).encode()).hexdigest()


def known_answers(
    ledger: Ledger, prompt: Prompt, version: str, keys: Set[str], evaluation: int | None = None,
    *, partly: bool = False,
) -> dict[str, Answered]:  # fmt: skip
    """The newest answer of a version to each of these cases, by key.

    Args:
        ledger: where they are.
        prompt: whose answer type they are read by.
        version: whose they are.
        keys: of the cases, as in `case_key`.
        evaluation: only those of this one.
        partly: the version had another answer type: what its answers share with today's is read, field by field.
    """
    query = sa.select(CaseAnswer).where(CaseAnswer.prompt_version == version).order_by(CaseAnswer.id)
    if evaluation is not None:
        query = query.where(CaseAnswer.evaluation_id == evaluation)
    with ledger.read() as session:
        newest = {row.case_key: row for row in session.scalars(query) if row.case_key in keys}
    return {key: _read(prompt, row, row.reply, partly=partly) for key, row in newest.items()}


def _read(prompt: Prompt, came: Reply | CaseAnswer, text: str, *, partly: bool = False) -> Answered:
    verdict = judge(prompt.answer, text, came.stop_reason)
    answer = verdict.answer
    if partly and came.stop_reason not in STOPPED:
        answer = partly_read(prompt.answer, text)
    return Answered(
        answer=answer,
        complaint=verdict.complaint,
        input_tokens=came.input_tokens,
        output_tokens=came.output_tokens,
        cost=came.cost,
        seconds=came.seconds,
    )


def _fitting(prompt: Prompt, case: Case, limit: int) -> tuple[Request, int]:
    """What a run would ask about this input, and its length in bytes.

    Raises:
        TooLong: it does not fit, however short it is cut.
    """
    request = Request(prompt, case.inputs)
    system, user = prompt.render(case.inputs)
    if len(system) + len(user) > limit:
        request = fit(request, limit)
        system, user = prompt.render(request.variables)
    return request, len(system.encode()) + len(user.encode())


def _none_failed(failed: Sequence[CallFailed]) -> None:
    if failed:
        raise failed[0]


def _is_gone(error: VendorError) -> bool:
    """Whether a batch will never be there again. A dead key is no such thing, and a strange reply can be read later."""
    return error.permanent and error.status in (None, 404) and not isinstance(error, SchemaDrift)


def _cents(usd: Decimal) -> Decimal:
    """Rounded up to whole cents, so that it is enough."""
    return Decimal(math.ceil(usd * 100)) / 100

"""Asking the library one question: passages are found, a prompt answers from them, and its citations are checked.

What a model costs is set aside and written down as in any workflow: each question is a record of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

import prompts
from blocks.ledger import Ledger, Record, utcnow
from blocks.library import Library, Scope
from blocks.models import Model, Reply, Request
from prompts import Prompt
from tasks import citations, records, retention, retrieve, versions
from tasks.answers import judge
from tasks.budget import Budget
from tasks.card import Card, Stage
from tasks.plain import counted
from tasks.prompt import fit, within_budget
from tasks.retrieve import Passage
from tasks.run import Run, alive
from tasks.validate import ASK_AGAIN, FINAL

WORKFLOW = "library-ask"
"""What the ledger calls it. It has the dollar limits of the card whose prompt it asks, and its own account of them."""


class NotAnswered(Exception):
    """No answer could be had; the message says why."""


@dataclass(frozen=True)
class Answered:
    """What the documents say."""

    answer: BaseModel
    passages: tuple[Passage, ...]
    """What it was made of, as `retrieve.as_passage` has it."""
    model: str


def ask(ledger: Ledger, library: Library, card: Card, model: Model, question: str, scope: Scope) -> Answered:
    """Answer a question from the documents that the scope allows, with the prompt of a card.

    Raises:
        NotAnswered: the model gave no usable answer, or a dollar limit of the card is reached.
        LibraryError: the library cannot be used.
        VendorError: the model could not be reached.
    """
    passages = tuple(retrieve.find(library, question, scope))
    prompt = prompts.load(card.prompt)
    request = fit(Request(prompt, _variables(prompt, question, passages)), model.input_limit())
    with _paid(ledger, card, model, request) as pay:
        return Answered(_asked(prompt, passages, request, pay), passages, model.model_id)


Pay = Callable[[Request, int], Reply]
"""Asks once; the second is the number of the attempt, from 1."""


@contextmanager
def _paid(ledger: Ledger, card: Card, model: Model, request: Request) -> Iterator[Pay]:
    """How a request is paid for. One that costs nothing needs no account."""
    if not model.worst_cost(request):
        yield lambda asked, _: model.ask(asked)
        return
    retention.apply(ledger, WORKFLOW)
    mine = card.model_copy(update={"workflow": WORKFLOW})
    with alive(ledger, WORKFLOW, Stage.SHADOW) as run_id:
        version = versions.remember(ledger, request.prompt, model)
        run = Run(run_id, mine, ledger, Stage.SHADOW, Budget(ledger, mine, run_id), model, version, (Stage.SHADOW, ""))
        record = _record(ledger, request)

        def pay(asked: Request, attempt: int) -> Reply:
            reply = within_budget(run, record, asked, attempt)
            if reply is None:
                raise NotAnswered("; ".join(run.notes))
            return reply

        yield pay


def _asked(prompt: Prompt, passages: Sequence[Passage], request: Request, pay: Pay) -> BaseModel:
    """Ask, and again with what was wrong, at most twice."""
    texts = retrieve.cited_texts(passages)
    corrections: list[tuple[str, str]] = []
    while len(corrections) <= ASK_AGAIN:
        reply = pay(Request(prompt, request.variables, tuple(corrections)), len(corrections) + 1)
        verdict = judge(prompt.answer, reply.text, reply.stop_reason)
        wrong = verdict.complaint
        if verdict.answer:
            wrong = "; ".join(citations.objections(getattr(verdict.answer, "answer", ()), texts))
            if not wrong:
                return verdict.answer
        corrections.append((reply.text, wrong))
        if reply.stop_reason in FINAL:
            break
    raise NotAnswered(f"no usable answer after {counted(len(corrections), 'attempt')}: {corrections[-1][1]}")


def _variables(prompt: Prompt, question: str, passages: Sequence[Passage]) -> dict[str, Any]:
    """What the prompt is told: the question and the passages; whatever else it can be told is left blank."""
    known = {"text": question, "passages": retrieve.told(passages), "date": f"{utcnow():%A %d %B %Y}"}
    return {name: known.get(name, "") for name in prompt.variables}


def _record(ledger: Ledger, request: Request) -> int:
    question = str(request.variables["text"])
    record = Record(
        workflow=WORKFLOW,
        source="terminal",
        external_id=uuid.uuid4().hex,
        title=question[:200],
        payload={"text": question},
        state=records.DONE,
    )
    with ledger.write() as session:
        session.add(record)
        session.flush()
        return record.id

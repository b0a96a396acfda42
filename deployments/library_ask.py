"""`signoff library ask` and `eval`: what the documents answer, and how much of what they answer is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger
from blocks.library import Library
from blocks.models import Model
from deployments import views
from deployments.cards import card_of
from deployments.errors import CommandError
from deployments.library import scope_for
from tasks import asking, retrieval_eval
from tasks.asking import NotAnswered
from tasks.card import Card
from tasks.evaluation_models import EMBEDDED, ModelError, named
from tasks.plain import counted
from tasks.retrieval_eval import RetrievalScores

ANSWERS = "support-answer"
"""The workflow whose prompt answers questions."""

SHOWN = 10
"""Questions that are printed of those that were missed."""

MEASURES = {
    "recall_at_3": "sections that answer among the first 3",
    "hit_at_5": "one of them among the first 5",
    "mrr": "1 / rank of the first (MRR)",
    "ndcg_at_10": "nDCG at 10",
    "contained": "the answer within 2,000 tokens",
}


def ask(question: str, *, sources: Sequence[str], reader: str | None, model: str | None, as_json: bool) -> int:
    """Print what the documents answer, sentence by sentence with its source; 1 when they do not."""
    card = card_of(ANSWERS)
    library, ledger = Library.open(), Ledger.open()
    try:
        asked = asking.ask(ledger, library, card, _model(model, card), question, scope_for(library, reader, sources))
    except (NotAnswered, ModelError) as error:
        raise CommandError(str(error)) from error
    answer = asked.answer.model_dump(mode="json")
    if as_json:
        views.as_json({"answer": answer, "passages": asked.passages, "model": asked.model})
    elif answer["answer"]:
        _print_answer(answer, {passage["number"]: passage for passage in asked.passages}, asked.model)
    else:
        views.console.print(Text("The documents do not answer this.", style="yellow"))
        if answer.get("missing"):
            views.console.print(Text(views.printable(answer["missing"])))
        if asked.passages:
            views.console.print("What comes nearest: signoff library search says where.", markup=False, style="dim")
    return 0 if answer["answer"] else 1


def _model(name: str | None, card: Card) -> Model:
    """The model that is asked: the card's, or without a Prefect server, which keeps the keys, the built-in one."""
    try:
        return named(name, card, card.prompt)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        if name not in (None, EMBEDDED):
            raise
        views.errors.print("No Prefect server answers, so the built-in model does.", style="dim")
        return named(EMBEDDED, card, card.prompt)


def _print_answer(answer: dict[str, Any], passages: dict[int, dict[str, Any]], model: str) -> None:
    for sentence in answer["answer"]:
        marks = "".join(f"[{number}]" for number in dict.fromkeys(sentence["sources"]))
        views.console.print(Text(f"{views.printable(sentence['text'])} {marks}"))
    if answer.get("missing"):
        views.console.print(Text(f"\nNot in the documents: {views.printable(answer['missing'])}", style="yellow"))
    views.console.print()
    for number in dict.fromkeys(n for sentence in answer["answer"] for n in sentence["sources"]):
        passage = passages[number]
        views.console.print(Text(f"[{number}] {views.printable(passage['heading'])}", style="bold"))
        views.console.print(
            Text(f"    {views.printable(passage['link'] or passage['document'])}", style="cyan"), soft_wrap=True
        )
    views.console.print(Text(f"answered by {model}", style="dim"))


def evaluate(file: str | None, *, as_json: bool) -> int:
    """Ask questions whose answers' places are known, and print how many were found; 1 when it is worse than before."""
    path = Path(file) if file else retrieval_eval.questions_of(card_of(ANSWERS).prompt)
    library, ledger = Library.open(), Ledger.open()
    questions = retrieval_eval.read(path)
    found = retrieval_eval.evaluate(ledger, library, questions, path.name)
    if as_json:
        views.as_json(asdict(found) | {"scores": found.scores.model_dump(), "is_worse": found.is_worse})
        return int(found.is_worse)
    _print_scores(found.scores, found.previous)
    for one in found.missed[:SHOWN]:
        views.console.print(Text(f"\nmissed: {views.printable(one.question)}", style="yellow"))
        views.console.print(Text(f"  wanted {views.printable(one.wanted)}"))
        views.console.print(Text(f"  found  {views.printable('; '.join(one.found)) or 'nothing'}", style="dim"))
    if len(found.missed) > SHOWN:
        views.console.print(f"\n... and {len(found.missed) - SHOWN} more: --json names them all", markup=False)
    if found.unknown:
        named = "; ".join(views.printable(place) for place in found.unknown[:3])
        what = counted(len(found.unknown), "section")
        views.errors.print(Text(f"The library does not hold {what} that questions name: {named}", style="yellow"))
    if found.is_worse:
        views.errors.print("Less is found than the last time: see what was missed.", style="red")
    return int(found.is_worse)


def _print_scores(scores: RetrievalScores, before: RetrievalScores | None) -> None:
    table = Table(pad_edge=False)
    table.add_column(f"{scores.answerable} questions that the documents answer")
    table.add_column("Now", justify="right")
    table.add_column("Before", justify="right")
    for name, what in MEASURES.items():
        table.add_row(what, f"{getattr(scores, name):.1%}", f"{getattr(before, name):.1%}" if before else "-")
    views.console.print(table)
    if scores.unanswerable_similarity is not None:
        others = counted(scores.questions - scores.answerable, "question")
        views.console.print(
            f"The best passage is {scores.answerable_similarity:.0%} like what is asked; with {others} that nothing "
            f"answers, {scores.unanswerable_similarity:.0%}."
        )

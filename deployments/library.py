"""`signoff library`: index the company's documents, search them, ask them, and see what is in there and what is not."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError
from rich.console import Group
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from blocks.connections import MissingCredential
from blocks.guard import guarded_by
from blocks.ledger import Ledger
from blocks.library import Hit, Library, Scope, audience_of, search
from blocks.models import Model
from blocks.vendor import VendorError
from deployments import views
from deployments.cards import card_of
from deployments.errors import CommandError
from tasks import asking, indexing, retrieval_eval
from tasks import index as pages
from tasks.asking import NotAnswered
from tasks.card import Card
from tasks.discipline import discipline
from tasks.evaluation_models import EMBEDDED, ModelError, named
from tasks.indexing import Done, Tally
from tasks.plain import counted
from tasks.retrieval_eval import RetrievalScores
from tasks.sources import Folder, Source, SourceError

ANSWERS = "support-answer"
"""The workflow whose prompt answers questions."""

HIDDEN_FROM_ALL = "domain:internal"
"""The reader of a folder that was indexed by hand without saying for whom: nobody outside this terminal."""

MEASURES = {
    "recall_at_3": "sections that answer among the first 3",
    "hit_at_5": "one of them among the first 5",
    "mrr": "1 / rank of the first (MRR)",
    "ndcg_at_10": "nDCG at 10",
    "contained": "the answer within 2,000 tokens",
}

EXCERPT = 280
"""Characters of a passage that a search shows."""

REFUSED_SHOWN = 20


def configured() -> tuple[Source, ...]:
    """The sources that the repository names."""
    found: tuple[Source, ...] = importlib.import_module("flows.index_documents").SOURCES
    return found


def index(
    names: Sequence[str], *, folder: str | None, name: str | None, readers: Sequence[str], again: bool, as_json: bool
) -> int:
    """Look at the sources and read what is new or changed; 1 when one of them cannot be looked at."""
    chosen = [_by_hand(folder, name, readers)] if folder else _chosen(names)
    library, ledger = Library.open(), Ledger.open()
    tallies = []
    for source in chosen:
        with guarded_by(discipline(ledger)):
            tallies.append(_index(library, source, again=again, quiet=as_json))
        if not as_json:
            _print_tally(tallies[-1])
    if as_json:
        views.as_json([asdict(tally) for tally in tallies])
    return 1 if any(tally.problem for tally in tallies) else 0


def _chosen(names: Sequence[str]) -> list[Source]:
    there = {source.name: source for source in configured()}
    if unknown := [name for name in names if name not in there]:
        raise CommandError(
            f"there is no source {unknown[0]}; flows/index_documents.py names {', '.join(there) or 'none yet'}"
        )
    if not there:
        raise CommandError("flows/index_documents.py names no source yet; add one there, or try --folder PATH")
    return [there[name] for name in names] or list(there.values())


def _by_hand(folder: str, name: str | None, readers: Sequence[str]) -> Source:
    path = Path(folder).expanduser().absolute()
    slug = name or re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-") or "folder"
    if any(source.name == slug for source in configured()):
        raise CommandError(f"{slug} is a source of flows/index_documents.py; give this one another --name")
    try:
        return Folder(name=slug, path=str(path), readers=tuple(readers) or (HIDDEN_FROM_ALL,))
    except ValueError as error:
        raise CommandError(_plainly(error)) from error


def _plainly(error: ValueError) -> str:
    problems = error.errors() if isinstance(error, ValidationError) else []
    return "; ".join(p["msg"].removeprefix("Value error, ") for p in problems) or str(error)


def _index(library: Library, source: Source, *, again: bool, quiet: bool) -> Tally:
    try:
        plan = indexing.look(library, source, again=again)
        tally = Tally(source.name, unchanged=plan.unchanged, removed=plan.removed)
        with _bar(source.name, len(plan.to_read), quiet=quiet) as tell:
            indexing.work(library, plan, tally, tell)
    except (SourceError, MissingCredential, VendorError) as error:
        library.walked(source.name, None, problem=str(error))
        return Tally(source.name, problem=str(error))
    return tally


@contextmanager
def _bar(name: str, total: int, *, quiet: bool) -> Iterator[indexing.Tell]:
    if quiet or not total:
        yield indexing.silent
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[current]}", style="dim"),
    )  # fmt: skip
    with Progress(*columns, console=views.errors, transient=True) as progress:
        task = progress.add_task(name, total=total, current="")

        def tell(done: Done) -> None:
            progress.update(task, advance=1, current=views.printable(done.item.name)[-30:])

        yield tell


def _print_tally(tally: Tally) -> None:
    took = f" ({tally.seconds:.1f} s)" if tally.seconds >= 0.1 else ""
    views.console.print(Text(f"{tally.source}: {views.printable(pages.in_words(tally))}{took}"), soft_wrap=True)
    for names, style in ((tally.refused, "red"), (tally.left, "yellow")):
        for name, why in list(names.items())[:REFUSED_SHOWN]:
            views.console.print(Text(f"  {views.printable(name)}: {views.printable(why)}", style=style), soft_wrap=True)
        if len(names) > REFUSED_SHOWN:
            views.console.print(f"  ... and {len(names) - REFUSED_SHOWN} more: signoff library status", markup=False)


def find(question: str, *, limit: int, sources: Sequence[str], reader: str | None, as_json: bool) -> int:
    """Print the passages that answer a question best, and why each was found; 1 when there is none."""
    library = Library.open()
    began = time.perf_counter()
    hits = search(library, question, scope_for(reader, sources), limit)
    seconds = time.perf_counter() - began
    if as_json:
        views.as_json([as_data(hit) for hit in hits])
    elif hits:
        for number, hit in enumerate(hits, start=1):
            _print_hit(number, hit)
        views.console.print(f"{counted(len(hits), 'passage')} in {seconds * 1000:.0f} ms", style="dim")
    else:
        views.console.print(_nothing_found(library, reader), markup=False)
    return 0 if hits else 1


def scope_for(reader: str | None, sources: Sequence[str]) -> Scope:
    """Everything, for whoever sits at this terminal; or only what the owner of an address may be quoted."""
    if reader and "@" not in reader:
        raise CommandError(f"--for takes an e-mail address, and {reader} is none")
    audiences = (audience_of(reader),) if reader else ()
    return Scope(audiences, frozenset(sources) or None)


def as_data(hit: Hit) -> dict[str, Any]:
    """A hit for programs."""
    return asdict(hit) | {"heading": hit.heading, "readers": sorted(hit.readers)}


def _print_hit(number: int, hit: Hit) -> None:
    views.console.print(Text(f"{number}. {views.printable(hit.heading)}", style="bold"))
    where = f"{hit.source}: {hit.name}" + (f", page {hit.page}" if hit.page else "")
    alike = "" if hit.similarity is None else f"{hit.similarity:.0%} alike in meaning; "
    excerpt = " ".join(hit.text.split())
    lines = [
        Text(views.printable(where), style="dim"),
        *([Text(views.printable(hit.link), style="cyan")] if hit.link else []),
        Text(f"{alike}holds {views.printable(', '.join(hit.matched)) or 'none of the words'}", style="green"),
        Text(f"{views.printable(excerpt[:EXCERPT])}{' ...' if len(excerpt) > EXCERPT else ''}"),
    ]
    views.console.print(Padding(Group(*lines), (0, 0, 1, 3)))


def _nothing_found(library: Library, reader: str | None) -> str:
    if not library.status():
        return "The library is empty. Put documents into it with `signoff library index`."
    return "Nothing was found" + (f" that {reader} may see." if reader else ".")


def ask(question: str, *, sources: Sequence[str], reader: str | None, model: str | None, as_json: bool) -> int:
    """Print what the documents answer, sentence by sentence with its source; 1 when they do not."""
    card = card_of(ANSWERS)
    library, ledger = Library.open(), Ledger.open()
    try:
        asked = asking.ask(ledger, library, card, _model(model, card), question, scope_for(reader, sources))
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


def status(*, as_json: bool) -> int:
    """Print what each source holds, when it was looked at, and every document that cannot be read, with the reason."""
    library = Library.open()
    found = library.status()
    refused = library.refused()
    if as_json:
        sources = [asdict(one) for one in found]
        views.as_json({"library": library.name, "sources": sources, "refused": [asdict(one) for one in refused]})
        return 0
    if not found:
        views.console.print(_nothing_found(library, None), markup=False)
        return 0
    table = Table(expand=True, pad_edge=False)
    for title, right in (
        ("Source", False),
        ("Documents", True),
        ("Passages", True),
        ("Cannot be read", True),
        ("Looked at", False),
    ):
        table.add_column(title, justify="right" if right else "left")
    for one in found:
        looked = f"{one.walked_at:%Y-%m-%d %H:%M}" if one.walked_at else "never"
        table.add_row(one.name, f"{one.documents:,}", f"{one.passages:,}", f"{one.refused:,}", looked)
    views.console.print(table)
    for one in found:
        if one.problem:
            views.console.print(Text(f"{one.name}: {views.printable(one.problem)}", style="red"), soft_wrap=True)
    for document in refused:
        line = f"{document.source}: {views.printable(document.name)}: {views.printable(document.reason)}"
        views.console.print(Text(line, style="yellow"), soft_wrap=True)
    views.console.print(Text(f"{library.name}, {library.size() / 1e6:.1f} MB", style="dim"), soft_wrap=True)
    return 0


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
    for one in found.missed:
        views.console.print(Text(f"\nmissed: {views.printable(one.question)}", style="yellow"))
        views.console.print(Text(f"  wanted {views.printable(one.wanted)}"))
        views.console.print(Text(f"  found  {views.printable('; '.join(one.found)) or 'nothing'}", style="dim"))
    for place in found.unknown:
        views.errors.print(Text(f"the library holds no section {views.printable(place)}"), soft_wrap=True)
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


def forget(name: str, *, yes: bool) -> int:
    """Let go of a source and of all that was indexed of it."""
    library = Library.open()
    there = {one.name: one for one in library.status()}
    if name not in there:
        raise CommandError(f"the library has no source {name}; it has {', '.join(there) or 'none'}")
    what = counted(there[name].documents + there[name].refused, "document")
    if not yes and not views.agrees(f"Forget {name} with {what}?", "forgetting needs --yes where nobody can be asked"):
        views.console.print("Nothing was changed.")
        return 1
    library.forget(name)
    named = any(source.name == name for source in configured())
    views.console.print(f"Forgot {name} with {what}." + (" The next index run reads it anew." if named else ""))
    return 0

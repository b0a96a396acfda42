"""`signoff library index`: look at the sources, and read what is new or changed."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from blocks.connections import MissingCredential
from blocks.guard import guarded_by
from blocks.ledger import Ledger
from blocks.library import Library
from blocks.vendor import VendorError
from deployments import views
from deployments.errors import CommandError
from tasks import index as pages
from tasks import indexing
from tasks.discipline import discipline
from tasks.indexing import Done, Tally
from tasks.sources import Folder, Source, SourceError

HIDDEN_FROM_ALL = "domain:internal"
"""The reader of a folder that was indexed by hand without saying for whom: nobody outside this terminal."""

REFUSED_SHOWN = 20

LONGEST_NAME = 60
NAME = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{LONGEST_NAME}}}")

CURRENT = 30
"""Characters of the name of the document that is being read, beside the bar."""


def configured() -> tuple[Source, ...]:
    """The sources that the repository names."""
    found: tuple[Source, ...] = importlib.import_module("flows.index_documents").SOURCES
    return found


def index(
    names: Sequence[str], *, folder: str | None, name: str | None, readers: Sequence[str], again: bool, as_json: bool
) -> int:
    """Look at the sources and read what is new or changed; 1 when one of them cannot be looked at."""
    if folder is None and (name or readers):
        raise CommandError("--name and --readers are for --folder; the repository's sources say theirs themselves")
    if folder is not None and names:
        raise CommandError(f"either --folder, or names from flows/index_documents.py such as {names[0]}")
    library = Library.open()
    chosen = _chosen(names) if folder is None else [_by_hand(library, folder, name, readers)]
    ledger = Ledger.open()
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


def _by_hand(library: Library, folder: str, name: str | None, readers: Sequence[str]) -> Source:
    path = Path(folder).expanduser().absolute()
    slug = name or re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:LONGEST_NAME] or "folder"
    if not NAME.fullmatch(slug):
        raise CommandError(f"--name is of small letters, digits and hyphens, and {slug} is not")
    if any(source.name == slug for source in configured()):
        raise CommandError(f"{slug} is a source of flows/index_documents.py; give this one another --name")
    known = next((source for source in library.status() if source.name == slug), None)
    if known is None and not path.is_dir():
        raise CommandError(f"{path} is no folder")
    if known and known.place != str(path):
        raise CommandError(f"{slug} is {known.place} already; give {path} another --name, or forget {slug} first")
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
        tally = plan.tally()
        with _bar(source.name, len(plan.to_read), quiet=quiet) as tell:
            indexing.work(library, plan, tally, tell)
    except (SourceError, MissingCredential, VendorError) as error:
        library.walked(source.name, None, problem=str(error))
        return Tally(source.name, problem=str(error))
    return tally


@contextmanager
def _bar(name: str, total: int, *, quiet: bool) -> Iterator[indexing.Tell]:
    if quiet or not total or not views.errors.is_terminal:
        yield indexing.silent
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[current]}", style="dim"),
    )  # fmt: skip
    with Progress(*columns, console=views.errors, transient=True) as progress:
        task = progress.add_task(name, total=total, current="")

        def tell(done: Done) -> None:
            name = views.printable(done.item.name)
            progress.update(task, advance=1, current=name if len(name) <= CURRENT else f"...{name[3 - CURRENT :]}")

        yield tell


def _print_tally(tally: Tally) -> None:
    took = f" ({tally.seconds:.1f} s)" if tally.seconds >= 0.1 else ""
    views.console.print(Text(f"{tally.source}: {views.printable(pages.in_words(tally))}{took}"), soft_wrap=True)
    for names, style in ((tally.refused, "red"), (tally.left, "yellow")):
        for name, why in sorted(names.items())[:REFUSED_SHOWN]:
            views.console.print(Text(f"  {views.printable(name)}: {views.printable(why)}", style=style), soft_wrap=True)
        if len(names) > REFUSED_SHOWN:
            views.console.print(f"  ... and {len(names) - REFUSED_SHOWN} more: signoff library status", markup=False)

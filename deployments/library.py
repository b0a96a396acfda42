"""`signoff library`: search the company's documents, and see what is in there and what is not.

Nothing here brings Prefect along: a search answers at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from blocks.library import STRANGERS, Hit, Library, Scope, audience_of, search
from deployments import views
from deployments.errors import CommandError
from tasks.plain import counted

EXCERPT = 280
"""Characters of a passage that a search shows."""


def find(question: str, *, limit: int, sources: Sequence[str], reader: str | None, as_json: bool) -> int:
    """Print the passages that answer a question best, and why each was found; 1 when there is none."""
    if limit < 1:
        raise CommandError("--limit is at least 1")
    library = Library.open()
    scope = scope_for(library, reader, sources)
    began = time.perf_counter()
    hits = search(library, question, scope, limit)
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


def scope_for(library: Library, reader: str | None, sources: Sequence[str]) -> Scope:
    """Everything, for whoever sits at this terminal; or only what the owner of an address may be quoted."""
    audiences = () if reader is None else (audience_of(reader),)
    if audiences == (STRANGERS,):
        raise CommandError(f"--for takes an e-mail address, and {reader} is none")
    there = [one.name for one in library.status()] if sources else []
    if unknown := [name for name in sources if name not in there]:
        raise CommandError(f"the library has no source {unknown[0]}; it has {', '.join(there) or 'none'}")
    return Scope(audiences, frozenset(sources) or None)


def as_data(hit: Hit) -> dict[str, Any]:
    """A hit for programs."""
    kept = {name: value for name, value in asdict(hit).items() if name != "asked"}
    return kept | {"heading": hit.heading, "readers": sorted(hit.readers), "matched": hit.matched}


def _print_hit(number: int, hit: Hit) -> None:
    views.console.print(Text(f"{number}. {views.printable(hit.heading)}", style="bold"))
    where = f"{hit.source}: {hit.name}" + (f", page {hit.page}" if hit.page else "")
    alike = "" if hit.similarity is None else f"{hit.similarity:.0%} alike in meaning; "
    excerpt = " ".join(hit.text.split())
    # A line that somebody may want to copy stays whole.
    for line, style in ((where, "dim"), (hit.link, "cyan")):
        if line:
            views.console.print(Text(f"   {views.printable(line)}", style=style), soft_wrap=True)
    lines = [
        Text(f"{alike}holds {views.printable(', '.join(hit.matched)) or 'none of the words'}", style="green"),
        Text(f"{views.printable(excerpt[:EXCERPT]).rstrip()}{' ...' if len(excerpt) > EXCERPT else ''}"),
    ]
    views.console.print(Padding(Group(*lines), (0, 0, 1, 3), expand=False))


def _nothing_found(library: Library, reader: str | None) -> str:
    if not library.status():
        return "The library is empty. Put documents into it with `signoff library index`."
    return "Nothing was found" + (f" that {reader} may see." if reader else ".")


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
        ("Looked at (UTC)", False),
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
    from deployments.library_index import configured  # only here: it brings the flows and Prefect along

    named = any(source.name == name for source in configured())
    views.console.print(f"Forgot {name} with {what}." + (" The next index run reads it anew." if named else ""))
    return 0

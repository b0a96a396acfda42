"""Retrieve: each record of a batch is given the passages of the company's documents that its readers may be quoted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any

from blocks.ledger import Record
from blocks.library import Hit, Library, Scope, search, within
from tasks import records, tracing
from tasks.run import Run
from tasks.verb import verb

LIBRARY = "library"
"""Where in a record's context its passages are."""

TOKENS = 2_000
"""Of passages for one question."""

MOST = 8
"""Passages for one question."""

CANDIDATES = 30
"""Passages that are looked at before those that repeat each other are left out."""

Passage = dict[str, Any]
"""A passage as it is kept with a record: see `as_passage`."""

Question = Callable[[Record], str]
"""What a record asks, in its own words: plain function, no I/O."""

Audiences = Callable[[Record], Sequence[Set[str]]]
"""Who will read the answer, as `blocks.library.audience_of` names each: plain function, no I/O."""


@verb("retrieve")
def passages(
    run: Run, ids: Sequence[int], question: Question, audiences: Audiences, *, sources: Collection[str] | None = None
) -> None:
    """Find the passages for every record of the batch that was given none yet, and keep them with it.

    What is kept is what was found then: an approver sees what the answer was made of, whatever the documents become.

    Args:
        run: the run.
        ids: the batch.
        question: what is asked.
        audiences: who will read the answer; a document that one of them may not see takes no part.
        sources: only these of the library; None for all.

    Raises:
        LibraryError: the library cannot be used, or holds nothing yet.
    """
    batch = [r for r in records.in_state(run.ledger, ids, records.FETCHED) if LIBRARY not in (r.context or {})]
    if not batch:
        return
    library = Library.open()
    if not any(source.documents for source in library.status()):
        run.note("the library holds no document yet, so nothing can be answered from it: signoff library index")
    only = None if sources is None else frozenset(sources)
    found: dict[int, list[Passage]] = {}
    for record in batch:
        scope = Scope(tuple(frozenset(one) for one in audiences(record)), only)
        asked = question(record)
        with tracing.retrieval(record, asked) as note:
            found[record.id] = find(library, asked, scope)
            note(found[record.id])
    with run.ledger.write() as session:
        records.move(session, ({"id": r.id, "context": {**(r.context or {}), LIBRARY: found[r.id]}} for r in batch))


def find(library: Library, question: str, scope: Scope) -> list[Passage]:
    """The passages for one question, numbered from 1: at most `MOST`, and no more than `TOKENS` together.

    Raises:
        LibraryError: the library cannot be used, or holds nothing yet.
    """
    hits = within(search(library, question, scope, CANDIDATES), TOKENS)
    return [as_passage(number, hit) for number, hit in zip(range(1, MOST + 1), hits, strict=False)]


def as_passage(number: int, hit: Hit) -> Passage:
    """What is kept of a hit with a record, and what a prompt is told of it."""
    return {
        "number": number,
        "heading": hit.heading,
        "text": hit.text,
        "link": hit.link,
        "document": hit.name,
        "source": hit.source,
        "readers": sorted(hit.readers),
        "similarity": None if hit.similarity is None else round(hit.similarity, 4),
    }


def passages_of(record: Record) -> list[Passage]:
    """The passages that are kept with a record."""
    found: list[Passage] = (record.context or {}).get(LIBRARY, [])
    return found


def told(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Passages as a prompt is told of them: number, heading and text."""
    return [{name: passage[name] for name in ("number", "heading", "text")} for passage in passages]


def cited_texts(passages: Sequence[Passage]) -> Mapping[int, str]:
    """By number, what a citation is compared with: heading and text."""
    return {passage["number"]: f"{passage['heading']}\n{passage['text']}" for passage in passages}

"""Finding passages: by meaning and by words, put together, and only what the readers of the answer may see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from blocks import minilm
from blocks.library import words
from blocks.library.index import MOST_ROWS, Found
from blocks.library.passages import heading_of, tokens_of
from blocks.library.readers import STRANGERS, may_see
from blocks.library.store import Library, LibraryError
from blocks.library.tables import documents, passages

CANDIDATES = 300
"""Chunks that each of the two ways brings along."""

RANK_CONSTANT = 10
MEANING_WEIGHT = 1.0
"""Reciprocal rank fusion: in each of the two orders a passage is worth weight / (constant + rank); words weigh 1."""

MOST_STEMS = 64
"""Of a question as long as an e-mail, the stems that are looked for."""


RULES = (CANDIDATES, RANK_CONSTANT, MEANING_WEIGHT, MOST_STEMS, MOST_ROWS)
"""The numbers that decide, beside how a document was indexed, what a question finds."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found, where it stands, and why it was found."""

    passage: int
    document: int
    source: str
    name: str
    """The document as people find it: its path in the folder."""
    title: str
    path: tuple[str, ...]
    """The headings above the passage, outermost first."""
    text: str
    link: str
    """To the section where the document's kind allows that, else to the document; empty when there is none."""
    page: int | None
    readers: frozenset[str]
    section: int
    start: int
    """Where it begins in its section, in characters: two passages of one section may overlap."""
    score: float
    """Of which only the order counts."""
    similarity: float | None
    """The cosine of the question and the best chunk, -1 to 1; None when it was found by its words alone."""
    asked: frozenset[str]
    """The stems of the question's words."""

    @cached_property
    def matched(self) -> tuple[str, ...]:
        """The question's words that the passage or its headings hold, as they are written there."""
        said = f"{self.heading}\n{self.text}"
        return tuple(dict.fromkeys(word.casefold() for word, stem in words.stemmed(said) if stem in self.asked))

    @property
    def heading(self) -> str:
        """Title and headings, on one line."""
        return heading_of(self.title, self.path)

    @property
    def end(self) -> int:
        """Where it ends in its section, in characters."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Scope:
    """Where to look."""

    audiences: tuple[Set[str], ...] = (STRANGERS,)
    """The answer's readers, each as `readers.audience_of` names them: all must be allowed to see a document."""
    sources: frozenset[str] | None = None
    """Only these; None for all."""


def search(library: Library, question: str, scope: Scope, most: int = 10) -> list[Hit]:
    """The passages that answer a question best, best first, at most `most`.

    Nothing that the scope does not allow takes part, not even in the order.

    Args:
        library: where to look.
        question: in people's own words; an e-mail will do, of which the first 256 tokens are read by meaning.
        scope: whom the answer is for.
        most: how many passages.

    Raises:
        LibraryError: the library cannot be read, or was indexed by another version.
    """
    stems = list(dict.fromkeys(words.stems(question)))[:MOST_STEMS]
    if not question.strip():
        return []
    [vector] = library.embed([question])
    with library.read() as connection:
        check_format(library, connection)
        visible = _visible(library, connection, scope)
        if visible is not None and not visible:
            return []
        near = library.index.nearest(connection, vector, visible, CANDIDATES)
        worded = library.index.by_words(connection, stems, visible, CANDIDATES) if stems else []
        ranked = _fused(near, worded)[:most]
        rows = _rows(connection, [passage for passage, _ in ranked])
    similar, asked = _best(near), frozenset(stems)
    # A document that was indexed anew since the vectors were read is left out: the next search has it.
    return [_hit(rows[passage], score, similar.get(passage), asked) for passage, score in ranked if passage in rows]


def within(hits: Iterable[Hit], tokens: int) -> Iterator[Hit]:
    """The first hits that fit into so many tokens together, without those that overlap an earlier one by half."""
    places = minilm.encoder().places
    chosen: list[Hit] = []
    for hit in hits:
        if any(_repeats(hit, other) for other in chosen):
            continue
        size = len(tokens_of(f"{hit.heading}\n{hit.text}", places))
        if size > tokens:
            if not chosen:  # one that is too long says more than none
                yield hit
            return
        tokens -= size
        chosen.append(hit)
        yield hit


def check_format(library: Library, connection: Connection) -> None:
    """Refuse to search what was indexed by other rules.

    Raises:
        LibraryError: it was; or nothing was ever indexed.
    """
    if library.format_of(connection) != library.format:
        raise LibraryError(
            f"the library {library.name} was indexed by another version or embedding model: run `signoff library index`"
        )


def _repeats(hit: Hit, other: Hit) -> bool:
    if (hit.document, hit.section) != (other.document, other.section):
        return False
    shared = min(hit.end, other.end) - max(hit.start, other.start)
    return shared * 2 > hit.end - hit.start


def _visible(library: Library, connection: Connection, scope: Scope) -> list[int] | None:
    """The ids of the documents that may be seen; None when that is all of them."""
    shelves = library.shelves(connection)
    seen = [
        ids
        for (source, readers), ids in shelves.items()
        if (scope.sources is None or source in scope.sources) and may_see(readers, scope.audiences)
    ]
    return None if len(seen) == len(shelves) else [number for ids in seen for number in ids]


def _best(found: Sequence[Found]) -> dict[int, float]:
    """Each passage with the score of its best chunk, best first."""
    best: dict[int, float] = {}
    for one in found:
        best.setdefault(one.passage, one.score)
    return best


def _fused(near: Sequence[Found], worded: Sequence[Found]) -> list[tuple[int, float]]:
    scores: dict[int, float] = {}
    for found, weight in ((near, MEANING_WEIGHT), (worded, 1.0)):
        for rank, passage in enumerate(_best(found), start=1):
            scores[passage] = scores.get(passage, 0.0) + weight / (RANK_CONSTANT + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _rows(connection: Connection, numbers: Sequence[int]) -> Mapping[int, sa.Row[tuple[object, ...]]]:
    query = (
        sa.select(
            passages.c.id, passages.c.document_id, passages.c.path, passages.c.text, passages.c.page, passages.c.anchor,
            passages.c.section, passages.c.start, documents.c.source, documents.c.name, documents.c.title,
            documents.c.link, documents.c.readers,
        )
        .join(documents, documents.c.id == passages.c.document_id)
        .where(passages.c.id.in_(numbers))
    )  # fmt: skip
    return {row.id: row for row in connection.execute(query)}


def _hit(row: sa.Row[tuple[object, ...]], score: float, similarity: float | None, asked: frozenset[str]) -> Hit:
    path = tuple(row.path)
    link = f"{row.link}#{row.anchor}" if row.link and row.anchor and "#" not in row.link else row.link
    return Hit(
        passage=row.id,
        document=row.document_id,
        source=row.source,
        name=row.name,
        title=row.title,
        path=path,
        text=row.text,
        link=link,
        page=row.page,
        readers=frozenset(row.readers),
        section=row.section,
        start=row.start,
        score=score,
        similarity=similarity,
        asked=asked,
    )

"""Cutting a document: into passages that a reader is shown, and into the smaller chunks by which they are found.

A chunk is as long as the embedding model reads; a passage is what surrounds it under the same heading. Searching small
and showing large found .88 of the answers' words in 2,000 tokens, pieces of 512 tokens with 200 of overlap .84, and
pieces that cross headings .65. A section longer than a passage is cut into several, which overlap, but never over a
heading.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from blocks.documents.model import Document, Section

VERSION = 2
"""Another number whenever the same document would be cut otherwise: it is then indexed anew."""

PASSAGE_TOKENS = 512
OVERLAP_TOKENS = 200
CHUNK_TOKENS = 254
"""What the embedding model reads at once (256), less its two marks of beginning and end. The heading path is in it."""

PATH_TOKENS = 64
"""About the most tokens of its heading path that stand before each chunk: of a longer one, the last."""

LONGEST_TOKEN = 20
"""No word of the model's vocabulary has more letters. What spans more is a word that it does not know, which counts
letter by letter: else a megabyte in one word would be one token, and a passage."""

PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
LINE = re.compile(r"\n")
SENTENCE = re.compile(r"(?<=[.!?;:])\s+")

Tokenize = Callable[[str], Sequence[tuple[int, int]]]
"""A text's tokens, as the places (from, to) where they stand in it."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Chunk:
    """What is embedded and looked for: a stretch of a passage's text."""

    start: int
    end: int
    """Its place in the passage's text, in characters."""


@dataclass(frozen=True)
class Passage:
    """What is shown and quoted: at most 512 tokens under one heading."""

    path: tuple[str, ...]
    """The headings above it, outermost first; the document's title is not among them unless it is a heading."""
    text: str
    section: int
    """Which section of the document it is of, from 0."""
    start: int
    """Where in the section's text it begins, in characters: two passages of one section may overlap."""
    page: int | None
    anchor: str
    chunks: tuple[Chunk, ...] = field(default=())


def passages_of(document: Document, tokenize: Tokenize) -> Iterator[Passage]:
    """The document's passages in order, each with its chunks. A section without text is found by its heading."""
    for number, section in enumerate(document.sections):
        yield from _cut(number, section, document.title, tokenize)


def heading_of(title: str, path: Sequence[str]) -> str:
    """What stands before each chunk: the document's title, unless the path begins with it, and the headings."""
    steps = [*path] if path and path[0].casefold() == title.casefold() else [title, *path]
    return " > ".join(step for step in steps if step)


def said(title: str, passage: Passage, chunk: Chunk, tokenize: Tokenize) -> str:
    """What is embedded and looked for: a chunk with its headings before it."""
    return f"{_above(title, passage.path, tokenize)}\n{passage.text[chunk.start : chunk.end]}"


def tokens_of(text: str, tokenize: Tokenize) -> Sequence[Span]:
    """A text's tokens as they are counted here: what is too long for one counts by its letters."""
    spans = tokenize(text)
    if all(end - start <= LONGEST_TOKEN for start, end in spans):
        return spans
    return [piece for span in spans for piece in _spelt_out(span)]


def _spelt_out(span: Span) -> Iterator[Span]:
    start, end = span
    if end - start <= LONGEST_TOKEN:
        yield span
    else:
        yield from ((place, place + 1) for place in range(start, end))


def _above(title: str, path: Sequence[str], tokenize: Tokenize) -> str:
    heading = heading_of(title, path)
    tokens = tokens_of(heading, tokenize)
    return heading if len(tokens) <= PATH_TOKENS else heading[tokens[-PATH_TOKENS][0] :]


def _cut(number: int, section: Section, title: str, tokenize: Tokenize) -> Iterator[Passage]:
    text = section.text
    above = len(tokens_of(_above(title, section.path, tokenize), tokenize))
    tokens = _Tokens(tokens_of(text, tokenize))
    units = list(_units(text, tokens, CHUNK_TOKENS - above))
    known = 0
    for first, last in _packed(units, tokens, PASSAGE_TOKENS, OVERLAP_TOKENS):
        # What overlaps is found by the passage before: a chunk belongs to one passage.
        start, new = units[first][0], units[known : last + 1]
        known = last + 1
        chunks = [(new[a][0], new[b][1]) for a, b in _packed(new, tokens, CHUNK_TOKENS - above)]
        yield Passage(
            path=section.path,
            text=text[start : units[last][1]],
            section=number,
            start=start,
            page=section.page,
            anchor=section.anchor,
            chunks=tuple(Chunk(begin - start, end - start) for begin, end in chunks),
        )
    if not units and section.path:
        yield Passage(section.path, "", number, 0, section.page, section.anchor, (Chunk(0, 0),))


class _Tokens:
    """Counts a text's tokens between any two places in it."""

    def __init__(self, places: Sequence[Span]) -> None:
        self.places = places
        self._starts = [start for start, _ in places]

    def index(self, place: int) -> int:
        """How many tokens begin before `place`."""
        return bisect_left(self._starts, place)

    def between(self, start: int, end: int) -> int:
        return self.index(end) - self.index(start)


def _units(text: str, tokens: _Tokens, most: int) -> Iterator[Span]:
    """The text in the largest natural pieces that are no longer than `most` tokens: paragraphs, lines, sentences."""
    yield from _split(text, (0, len(text)), tokens, most, (PARAGRAPH, LINE, SENTENCE))


def _split(text: str, span: Span, tokens: _Tokens, most: int, borders: Sequence[re.Pattern[str]]) -> Iterator[Span]:
    start, end = _trimmed(text, span)
    if start == end:
        return
    if not borders:
        yield from _by_tokens(text, (start, end), tokens, most)
        return
    for piece in _pieces(text, (start, end), borders[0]):
        trimmed = _trimmed(text, piece)
        if trimmed[0] == trimmed[1]:
            continue
        if tokens.between(*trimmed) <= most:
            yield trimmed
        else:
            yield from _split(text, trimmed, tokens, most, borders[1:])


def _pieces(text: str, span: Span, border: re.Pattern[str]) -> Iterator[Span]:
    begin = span[0]
    for match in border.finditer(text, *span):
        yield begin, match.start()
        begin = match.end()
    yield begin, span[1]


def _by_tokens(text: str, span: Span, tokens: _Tokens, most: int) -> Iterator[Span]:
    """A sentence that is longer than a chunk (a table in one line, a log) is cut between its words."""
    begin, last = span[0], tokens.index(span[1])
    index = tokens.index(begin)
    while last - index > most:
        until = _between_words(text, tokens, index, index + most)
        end = tokens.places[until][0]
        yield _trimmed(text, (begin, end))
        begin, index = end, until
    yield begin, span[1]


def _between_words(text: str, tokens: _Tokens, first: int, last: int) -> int:
    """The last token up to `last` that begins a word: what is cut inside one has more tokens than the whole had.

    A script without blanks, or a word without end, is cut where it is."""
    for index in range(last, (first + last) // 2, -1):
        start = tokens.places[index][0]
        if not (text[start - 1].isalnum() and text[start].isalnum()):
            return index
    return last


def _trimmed(text: str, span: Span) -> Span:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _packed(units: Sequence[Span], tokens: _Tokens, most: int, overlap: int = 0) -> Iterator[tuple[int, int]]:
    """Neighbouring units together, as (first, last): at most `most` tokens, of which `overlap` are the group's before.

    Each group holds at least one unit that none before it holds.
    """
    first = 0
    while first < len(units):
        last = first
        while last + 1 < len(units) and tokens.between(units[first][0], units[last + 1][1]) <= most:
            last += 1
        yield first, last
        first = following = last + 1
        while (
            following < len(units)
            and first > 0
            and tokens.between(units[first - 1][0], units[last][1]) <= overlap
            and tokens.between(units[first - 1][0], units[following][1]) <= most
        ):
            first -= 1

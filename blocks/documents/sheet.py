"""A file as it looks: every word with the place where it stands, so that people can be shown where a value is from."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, islice
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from blocks.documents.limits import MOST_LOOKED_AT, MOST_WORDS

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in points from the top left corner of the page as it is read."""

MadeBy = Literal["print", "text", "sound"]

CELL = (6.0, 12.0)
"""Width and height in points of a character in what has no pages: mono-spaced text, as it is written."""
PAGE_LINE = "--- page {} ---"
_PAGE = re.compile(r"--- page (\d{1,6}) ---")
_WITHIN = re.compile(r"\d\|[.,'’]\d|\d[.,'’]\|\d")
"""`1,234` is not `234`, nor is it the whole of `1,234.56`."""
_APART = 3
"""Spaces in `Sheet.text` from which on two words are in two cells."""
_WIDEST = 400
"""Characters of a line of `Sheet.text`, for print that lies far apart."""
_GAP, _SCANNED_GAP = 0.9, 0.35
"""Of the print's height: a gap that is wider is one between cells. OCR has seen them apart, so that less is enough."""
_PARTED, _PARTED_TEXT = 2.2, 1.5
"""From one row's foot to the next one's, in heights of a row: what is further down is another stretch of the page."""
MOST_PLACES = 200
"""Of one text that are told."""
_MOST_TRIED = 5_000
"""A lone digit may stand within any number of others."""
_FARTHEST = 1e9
"""Points."""


_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"), "-")


@dataclass(frozen=True, slots=True)
class Word:
    """What stands between two spaces."""

    text: str
    page: int
    """From 1."""
    box: Box
    sure: float = 1.0
    """How sure whoever read its letters is, 0 to 1: 1 for a PDF's own text, what OCR or the ear says for others."""
    second: float | None = None
    """When it is said, in a recording."""


@dataclass(frozen=True)
class Row:
    """The words of a page that stand beside each other, from left to right."""

    words: tuple[Word, ...]

    @property
    def page(self) -> int:
        return self.words[0].page

    @property
    def bottom(self) -> float:
        return self.words[0].box[3]

    @property
    def height(self) -> float:
        return self.words[0].box[3] - self.words[0].box[1]


@dataclass(frozen=True)
class Place:
    """Where in a file something stands."""

    page: int | None = None
    """From 1; None in what has no pages."""
    boxes: tuple[Box, ...] = ()
    """One for every row that it runs over."""
    line: int | None = None
    """From 1, in what has no pages."""
    second: float | None = None
    """In a recording."""
    sure: float = 1.0
    """The least that any of its words is sure."""

    def __str__(self) -> str:
        """For people: `page 2`, `line 7`, `at 1:05`."""
        if self.second is not None:
            return f"at {int(self.second) // 60}:{int(self.second) % 60:02}"
        return f"page {self.page}" if self.page is not None else f"line {self.line}"


@dataclass(frozen=True)
class Sheet:
    """A file's words in their places."""

    words: tuple[Word, ...]
    pages: tuple[tuple[float, float], ...]
    """The width and height of each page in points."""
    made_by: MadeBy = "print"
    """Whether the places are those on pages that can be shown, lines of text, or moments of a recording."""
    scanned: frozenset[int] = frozenset()
    """The pages that were read by OCR."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it was read."""

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows, from the top of the first page to the foot of the last."""
        return tuple(row for _, words in groupby(self.words, lambda word: word.page) for row in _rows(list(words)))

    @cached_property
    def text(self) -> str:
        """The words, laid out with spaces as they stand on the pages; what is in another cell is 3 spaces away or more.

        Pages are parted by a line `--- page 2 ---`, stretches of a page by an empty line.
        """
        lines: list[str] = []
        for page, rows in groupby(self.rows, lambda row: row.page):
            if page > 1:
                lines += ["", PAGE_LINE.format(page), ""]
            apart = _SCANNED_GAP if page in self.scanned else _GAP
            lines += _laid_out(list(rows), apart, _PARTED if self.made_by == "print" else _PARTED_TEXT)
        return "\n".join(lines)

    def packed(self) -> dict[str, Any]:
        """As JSON, in little space; `unpacked` makes it a sheet again."""
        words = [
            [word.text, word.page, *(round(side, 1) for side in word.box), round(word.sure, 3), word.second]
            for word in self.words
        ]
        return {
            "words": words,
            "pages": [list(page) for page in self.pages],
            "made_by": self.made_by,
            "scanned": sorted(self.scanned),
            "notes": list(self.notes),
        }

    def find(self, value: str, page: int | None = None) -> list[Place]:
        """The places where a text stands as one reads: along a row, and on to the next where the row ends with it.

        Spaces do not count, nor do capitals. On `page` only, if one is given; at most `MOST_PLACES`.
        """
        wanted = _squeezed(value)
        if not wanted:
            return []
        # What has no pages is one long one, whatever page somebody says.
        found = self._squeezed_rows.find(wanted, page if self.made_by == "print" else None)
        return [self._place(words) for words in islice(found, MOST_PLACES)]

    def row_at(self, place: Place) -> str:
        """The text of the row in which a place begins; empty for one that is not of this sheet."""
        if place.line is not None:
            row = self._row_of_line.get(place.line)
        else:
            row = self._row_at_top.get((place.page or 0, place.boxes[0][1])) if place.boxes else None
        return " ".join(word.text for word in row.words) if row else ""

    @cached_property
    def _squeezed_rows(self) -> _Squeezed:
        return _Squeezed.of(self.rows)

    @cached_property
    def _row_number(self) -> dict[int, int]:
        return {id(word): number for number, row in enumerate(self.rows) for word in row.words}

    @cached_property
    def _row_at_top(self) -> dict[tuple[int, float], Row]:
        return {(word.page, word.box[1]): row for row in reversed(self.rows) for word in row.words}

    @cached_property
    def _row_of_line(self) -> dict[int, Row]:
        return {self._line(row.words[0]): row for row in reversed(self.rows)}

    @cached_property
    def _lines_above(self) -> tuple[int, ...]:
        """Of each page of a text, the lines of the pages before, with those that part them."""
        counts = [round(height / CELL[1]) + 1 for _, height in self.pages]
        return tuple(sum(counts[:page]) for page in range(len(counts)))

    def _line(self, word: Word) -> int:
        above = self._lines_above[word.page - 1] if word.page <= len(self._lines_above) else 0
        return above + round(word.box[3] / CELL[1])

    def _place(self, words: Sequence[Word]) -> Place:
        sure = min(word.sure for word in words)
        if self.made_by == "sound":
            return Place(second=words[0].second, sure=sure)
        if self.made_by == "text":
            return Place(line=self._line(words[0]), sure=sure)
        rows = groupby(words, lambda word: self._row_number[id(word)])
        boxes = tuple(around(word.box for word in row) for _, row in rows)
        return Place(page=words[0].page, boxes=boxes, sure=sure)


def unpacked(fields: object) -> Sheet:
    """What `Sheet.packed` gave, with every field of the type that it should be. Raises ValueError."""
    packed = _Packed.model_validate(fields)
    words = tuple(
        Word(text, page, (left, top, right, bottom), sure, second)
        for text, page, left, top, right, bottom, sure, second in packed.words
    )
    return Sheet(words, packed.pages, packed.made_by, packed.scanned, packed.notes)


def _one_word(text: str) -> str:
    if text.split() != [text]:
        raise ValueError("it is no word")
    return text


_Text = Annotated[str, AfterValidator(_one_word)]
_Points = Annotated[float, Field(ge=-_FARTHEST, le=_FARTHEST)]
_Page = Annotated[int, Field(ge=1, le=1_000_000)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Second = Annotated[float, Field(ge=0, le=_FARTHEST)]


class _Packed(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    words: Annotated[
        list[tuple[_Text, _Page, _Points, _Points, _Points, _Points, _Share, _Second | None]],
        Field(max_length=MOST_WORDS),
    ]
    pages: tuple[tuple[_Points, _Points], ...]
    made_by: MadeBy
    scanned: frozenset[int]
    notes: tuple[str, ...]


@dataclass
class _Squeezed:
    """All words one after the other without spaces, in lower case, and which letter is whose."""

    text: str = ""
    words: list[Word] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    pages: dict[int, tuple[int, int]] = field(default_factory=dict)
    """From which letter to which a page goes."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> _Squeezed:
        made, parts, at = cls(), [], 0
        for row in rows:
            for word in row.words:
                part = _squeezed(word.text)
                made.words.append(word)
                made.starts.append(at)
                parts.append(part)
                made.pages[word.page] = (made.pages.get(word.page, (at, at))[0], at + len(part))
                at += len(part)
        made.text = "".join(parts)
        return made

    def find(self, wanted: str, page: int | None) -> Iterator[list[Word]]:
        """The words of each place. Where it begins or ends within a number or a name it is another one."""
        at, stop = (0, len(self.text)) if page is None else self.pages.get(page, (0, 0))
        for _ in range(_MOST_TRIED):
            at = self.text.find(wanted, at, stop)
            if at < 0:
                return
            end = at + len(wanted)
            first, last = bisect_right(self.starts, at) - 1, bisect_right(self.starts, end - 1) - 1
            word_end = self.starts[last + 1] if last + 1 < len(self.starts) else len(self.text)
            before = self.text[max(self.starts[first], at - 2) : at]
            if not _goes_on(before, wanted[:2]) and not _goes_on(wanted[-2:], self.text[end : min(end + 2, word_end)]):
                yield self.words[first : last + 1]
            at += 1


def _goes_on(before: str, after: str) -> bool:
    """Whether what ends so and what begins so are one name or one number."""
    if before[-1:].isalnum() and after[:1].isalnum():
        return True
    return bool(_WITHIN.search(f"{before}|{after}"))


def _squeezed(text: str) -> str:
    return "".join(text.split()).casefold()


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds all of these."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def plain_letters(text: str) -> str:
    """A word as one would type it: nothing that cannot be seen, one kind of hyphen, digits from 0 to 9.

    Word and web pages break `CH-102` at a hyphen of another kind, and hide soft ones in it.
    """
    if text.isascii():
        return text
    seen = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in ("Cf", "Cc"))
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in seen).translate(_HYPHENS)


def from_text(text: str, notes: tuple[str, ...] = ()) -> Sheet:
    """What has no pages, or a text that was laid out by `Sheet.text`: its words where they stand in their lines."""
    words: list[Word] = []
    page, top, widest = 1, 0, 0
    heights: list[int] = []
    wide, high = CELL
    for line in text.expandtabs(8).splitlines():
        if (parted := _PAGE.fullmatch(line.strip())) and 0 < int(parted[1]) - page <= MOST_LOOKED_AT:
            # Pages on which nothing stands have no line of their own.
            heights += [top, *[0] * (int(parted[1]) - page - 1)]
            page, top = int(parted[1]), 0
            continue
        for match in re.finditer(r"\S+", line):
            box = (match.start() * wide, top * high, match.end() * wide, (top + 1) * high)
            words.append(Word(match[0], page, box))
        widest, top = max(widest, len(line)), top + 1
    heights.append(top)
    return Sheet(tuple(words), tuple((widest * wide, height * high) for height in heights), "text", notes=notes)


def from_speech(words: Iterable[tuple[str, float, float]], notes: tuple[str, ...] = ()) -> Sheet:
    """What was said: each word with its second and how sure the ear is; a line for every sentence."""
    found: list[Word] = []
    line, at = 0, 0
    wide, high = CELL
    for text, second, sure in words:
        box = (at * wide, line * high, (at + len(text)) * wide, (line + 1) * high)
        found.append(Word(text, 1, box, sure, second))
        at += len(text) + 1
        if text.endswith((".", "?", "!")):
            line, at = line + 1, 0
    return Sheet(tuple(found), ((0.0, 0.0),), "sound", notes=notes)


def _rows(words: Sequence[Word]) -> Iterator[Row]:
    """What stands on one height is a row, whatever the order in which it was written."""
    row: list[Word] = []
    for word in sorted(words, key=lambda word: word.box[1] + word.box[3]):
        if row and _middle(word) - _middle(row[0]) > 0.5 * min(_height(word), _height(row[0])):
            yield Row(tuple(sorted(row, key=lambda word: word.box[0])))
            row = []
        row.append(word)
    if row:
        yield Row(tuple(sorted(row, key=lambda word: word.box[0])))


def _middle(word: Word) -> float:
    return (word.box[1] + word.box[3]) / 2


def _height(word: Word) -> float:
    return word.box[3] - word.box[1]


def _laid_out(rows: Sequence[Row], apart: float, parted: float) -> list[str]:
    letters = [(word.box[2] - word.box[0]) / len(word.text) for row in rows for word in row.words if len(word.text) > 1]
    unit = max(median(letters), 1.0) if letters else CELL[0]
    left = min(word.box[0] for row in rows for word in row.words)
    spacing = median(row.height for row in rows)
    lines: list[str] = []
    before: Row | None = None
    for row in rows:
        if before and row.bottom - before.bottom > parted * max(spacing, before.height):
            lines.append("")
        lines.append(_line(row, left, unit, apart))
        before = row
    return lines


def _line(row: Row, left: float, unit: float, apart: float) -> str:
    line = ""
    before: Word | None = None
    for word in row.words:
        if before is not None:
            gap = word.box[0] - before.box[2]
            line += " " * (_APART if gap > apart * min(_height(word), _height(before)) else 1)
        column = min(round((word.box[0] - left) / unit), _WIDEST)
        if before is None or line.endswith(" " * _APART):
            line = line.ljust(column)
        line += word.text
        before = word
    return line

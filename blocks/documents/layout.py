"""Lines of print to headings and paragraphs, as somebody who sees the page would tell them apart."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from blocks.documents.lines import LEADERS, Line, Page, in_reading_order, is_jumbled, usual_size, without_furniture
from blocks.documents.text import Outline, one_line

HYPHEN = "\ufffe"
"""What PDFium puts where a word is divided at the end of a line."""
LARGER = 1.15  # than the usual print is a heading; OCR measures less well
LARGER_IN_SCANS = 1.5
TITLE_ABOVE = 0.5  # of the page; the largest print further down is a sum, or an advertisement
MOST_HEADING = 250
FULL_LINE = 35  # characters; a shorter line was ended by its writer
_NUMBERED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,4})\.?[ \t]+\S")
_NUMBER = re.compile(
    r"^(?:(?:[Cc]hapter|[Kk]apitel|[Aa]ppendix|[Aa]nhang)\s+)?(?:\d[\d.]{0,12}|[A-Z](?:\.[\d.]{1,12})?\.?|[IVX]{1,5}\.?)\s+"
)
_ITEM = re.compile(r"(?:[•◦▪●‣∙·*–—-]|o|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])[ \t]+\S")
_BULLET = re.compile(r"[•◦▪●‣∙·][ \t]*")
_AMOUNT = re.compile(r"\d[\d.,]*[ ]?[%€$£¥]?$")
_PRICE = re.compile(r"(?:\d[.,]\d\d|[€$£¥][ ]?\d[\d.,]*|\d[ ]?(?:[€$£¥%]|[A-Z]{3}))$")
_UNENDED = re.compile(r"[\w,;()–—\ufffe-]$")


@dataclass(frozen=True)
class Bookmark:
    """An entry of the outline that a PDF carries."""

    title: str
    level: int
    page: int


@dataclass(frozen=True)
class _Print:
    """What is usual in this file."""

    size: float
    weight: int
    pitch: float
    """From one line to the next, in sizes of the print."""

    @classmethod
    def of(cls, lines: Sequence[Line]) -> "_Print":
        weights: Counter[int] = Counter()
        for line in lines:
            weights[line.weight] += len(line.text)
        steps = [
            (b.bottom - a.bottom) / a.size
            for a, b in itertools.pairwise(lines)
            if a.page == b.page and 0.9 * a.size < b.bottom - a.bottom < 2.2 * a.size
        ]
        weight = weights.most_common(1)[0][0] if weights else 400
        return cls(usual_size(lines), weight, median(steps) if steps else 1.2)


def compose(pages: Sequence[Page], bookmarks: Sequence[Bookmark] = ()) -> Outline:
    """Put the pages' lines in order, drop what belongs to the pages, and tell headings from text."""
    without_furniture(pages)
    for page in pages:
        if page.scanned or is_jumbled(page.lines):
            page.lines = in_reading_order(page.lines)
    lines = [line for page in pages for line in page.lines]
    scanned = {page.number for page in pages if page.scanned}
    # A scan has its own usual print: OCR measures it in another way.
    usual = {scan: _Print.of([line for line in lines if (line.page in scanned) == scan]) for scan in (False, True)}
    headings = _Headings(lines, usual, scanned).found(bookmarks)
    pitches = {page.number: usual[page.scanned].pitch for page in pages}
    return _Writer(lines, headings, pitches).write()


@dataclass
class _Headings:
    """Which lines begin a heading, of which level it is, and how many lines it has."""

    lines: Sequence[Line]
    prints: dict[bool, _Print]
    """Of pages with text, and of scans."""
    scanned: set[int]

    def usual(self, at: int) -> _Print:
        return self.prints[self.lines[at].page in self.scanned]

    def found(self, bookmarks: Sequence[Bookmark]) -> dict[int, tuple[int, int]]:
        marked = self._by_bookmark(bookmarks)
        trusted = bool(marked) and len(marked) * 2 >= len(bookmarks)
        covered = {at + more for at, (_, span) in marked.items() for more in range(span)}
        large = self._spans(covered, self._is_large)
        covered |= {at + more for at, span in large.items() for more in range(span)}
        # What is bold here and there is a heading; where much is bold, it means something else.
        bold = self._spans(covered, self._is_bold)
        bold = bold if len(bold) * 4 <= len(self.lines) else {}
        by_size = self._level_of_size(large, marked if trusted else {})
        levels = {at: (by_size[self._size(at)], span) for at, span in large.items()}
        deepest = max((level for level, _ in [*levels.values(), *marked.values()]), default=0)
        levels |= {at: (deepest + self._depth(at), span) for at, span in bold.items() if at not in levels}
        levels |= {
            at: (deepest + self._depth(at), 1)
            for at in range(len(self.lines))
            if at not in covered and at not in levels and self._is_numbered(at)
        }
        return levels | marked

    def _by_bookmark(self, bookmarks: Sequence[Bookmark]) -> dict[int, tuple[int, int]]:
        """Lines that say what a bookmark of their page says."""
        wanted: dict[tuple[int, str], int] = {}
        for bookmark in bookmarks:
            for title in (bookmark.title, _NUMBER.sub("", bookmark.title)):
                wanted.setdefault((bookmark.page, letters(title)), bookmark.level)
        marked: dict[int, tuple[int, int]] = {}
        pages = {bookmark.page for bookmark in bookmarks}
        for at in range(len(self.lines)):
            for span in (3, 2, 1) if self.lines[at].page in pages else ():
                text = self._said(at, span)
                keys = [(self.lines[at].page, letters(name)) for name in (text, _NUMBER.sub("", text)) if name]
                key = next((key for key in keys if key in wanted), None)
                if key and not any(at - before in marked and marked[at - before][1] > before for before in (1, 2)):
                    marked[at] = (wanted.pop(key), span)
                    break
        return marked

    def _said(self, at: int, span: int) -> str:
        lines = self.lines[at : at + span]
        if len(lines) < span or lines[-1].page != lines[0].page or sum(len(line.text) for line in lines) > MOST_HEADING:
            return ""
        return " ".join(line.text for line in lines)

    def _spans(self, covered: set[int], wanted: Callable[[int], bool]) -> dict[int, int]:
        """Runs of at most three lines of the same print, one below the other. Longer ones are a text."""
        found, at = {}, 0
        while at < len(self.lines):
            span = 1
            if at not in covered and wanted(at):
                while self._goes_on(at + span - 1) and at + span not in covered and wanted(at + span):
                    span += 1
                text = " ".join(line.text for line in self.lines[at : at + span])
                if span <= 3 and len(text) <= MOST_HEADING and _may_head(text):
                    found[at] = span
            at += span
        return found

    def _goes_on(self, at: int) -> bool:
        if at + 1 >= len(self.lines):
            return False
        here, below = self.lines[at], self.lines[at + 1]
        step = below.bottom - here.bottom
        alike = abs(below.size - here.size) < 0.05 * here.size and below.page == here.page
        return alike and 0 < step < 1.25 * self.usual(at).pitch * here.size

    def _is_large(self, at: int) -> bool:
        line = self.lines[at]
        enough = LARGER_IN_SCANS if line.page in self.scanned else LARGER
        return not line.slanted and line.size >= enough * self.usual(at).size

    def _is_bold(self, at: int) -> bool:
        line, usual = self.lines[at], self.usual(at)
        bold = usual.weight < 600 and line.weight >= max(1.2 * usual.weight, usual.weight + 90)
        plain = line.slanted or line.is_row or len(line.text) > 100 or line.size < 0.95 * usual.size
        return bold and not plain and not line.text.endswith(":")  # "Due date:" is the label of a form

    def _is_numbered(self, at: int) -> bool:
        """ "2.1 Scope" alone between gaps. "2. Scope" is more often a step than a chapter."""
        line = self.lines[at]
        if len(line.text) > 80 or line.is_row or line.slanted or not re.match(r"\d{1,3}\.\d", line.text):
            return False
        named = re.match(r"\d{1,3}(?:\.\d{1,3}){1,4}\.?[ \t]+[^\W\d_]", line.text)
        gap = 1.3 * self.usual(at).pitch * line.size
        before, after = self.lines[at - 1] if at else line, self.lines[at + 1] if at + 1 < len(self.lines) else line
        apart = before.page != line.page or not 0 <= line.bottom - before.bottom <= gap or before is line
        return bool(named) and apart and after.bottom - line.bottom > gap and _may_head(line.text)

    def _depth(self, at: int) -> int:
        numbered = _NUMBERED.match(self.lines[at].text)
        return 1 + numbered[1].count(".") if numbered else 1

    def _size(self, at: int) -> float:
        return round(self.lines[at].size * 2) / 2

    def _level_of_size(self, large: dict[int, int], known: dict[int, tuple[int, int]]) -> dict[float, int]:
        """By rank; where bookmarks tell the level of some sizes, by theirs."""
        told: dict[float, list[int]] = {}
        for at, (level, _) in known.items():
            told.setdefault(self._size(at), []).append(level)
        deepest = max((level for level, _ in known.values()), default=0)
        levels: dict[float, int] = {}
        for rank, size in enumerate(sorted({self._size(at) for at in large}, reverse=True), 1):
            if size in told:
                levels[size] = round(median(told[size]))
            else:
                larger_than_all = bool(told) and size > max(told)
                levels[size] = 1 if larger_than_all else deepest + 1 if told else min(rank, 6)
        return levels


def _may_head(text: str) -> bool:
    alphabetic = sum(char.isalpha() for char in text)
    if _PRICE.search(text):  # "Total $4.11"
        return False
    return alphabetic >= 2 and alphabetic * 2 >= len(text.replace(" ", "")) and text.rstrip()[-1] not in ",;"


def letters(text: str) -> str:
    """What is left of a heading when it is compared with another."""
    return re.sub(r"[\W_]", "", text[:MOST_HEADING].casefold())


class _Writer:
    """Lines to paragraphs."""

    def __init__(self, lines: Sequence[Line], headings: dict[int, tuple[int, int]], pitches: dict[int, float]) -> None:
        self._lines = lines
        self._headings = headings
        self._pitches = pitches
        self._margins = _right_margins(lines)
        self._outline = Outline()

    def write(self) -> Outline:
        paragraph: list[Line] = []
        at = 0
        while at < len(self._lines):
            line = self._lines[at]
            if paragraph and (at in self._headings or self._ends(paragraph[-1], line)):
                self._add(paragraph)
                paragraph = []
            if at in self._headings:
                level, span = self._headings[at]
                self._outline.page = line.page
                self._outline.heading(level, " ".join(_words(line) for line in self._lines[at : at + span]))
                at += span
                continue
            paragraph.append(line)
            at += 1
        self._add(paragraph)
        return self._outline

    def _ends(self, line: Line, below: Line) -> bool:
        """Whether a paragraph ends between two lines. On another page it may go on."""
        if below.page != line.page:
            return not _goes_over(line, below)
        if line.text.endswith(HYPHEN):
            return False
        alike = abs(below.size - line.size) <= 0.15 * line.size and below.slanted == line.slanted
        if not alike or not 0 <= below.bottom - line.bottom <= 1.3 * self._pitches[line.page] * line.size:
            return True
        indented = 0.7 * line.size < below.left - line.left < 4 * line.size
        return indented and line.text.endswith((".", "!", "?", ":", ")")) and not _ITEM.match(line.text)

    def _add(self, paragraph: Sequence[Line]) -> None:
        if not paragraph:
            return
        self._outline.page = paragraph[0].page
        widest = max(line.right for line in paragraph)
        justified = sum(widest - line.right < 1.5 for line in paragraph) > 1
        text = _words(paragraph[0])
        for line, below in itertools.pairwise(paragraph):
            words = _words(below)
            if abs(below.bottom - line.bottom) < 0.3 * line.size and below.left >= line.right:
                text += " " + words  # beside it, as what is filled in beside its name
            elif not self._runs_on(line, below, widest, justified=justified):
                text += "\n" + words
            elif text.endswith((HYPHEN, "-")):
                text = _mended(text, words)
            else:
                text += " " + words
        self._outline.add(text)

    def _runs_on(self, line: Line, below: Line, widest: float, *, justified: bool) -> bool:
        """Whether a sentence runs from one line to the next: the next word did not fit in the line."""
        if line.page != below.page or line.text.endswith(HYPHEN):
            return True
        if _ITEM.match(below.text) or line.is_row or below.is_row or len(line.text) < FULL_LINE:
            return False
        if _AMOUNT.search(line.text) and _AMOUNT.search(below.text):
            return False
        word = (below.right - below.left) * len(below.text.split(maxsplit=1)[0]) / len(below.text)
        margin = widest if justified else max(widest, self._margins.get(_column(line), 0.0))
        return line.right + word + 0.2 * line.size > margin


def _column(line: Line) -> int:
    return round(line.left / 4)


def _right_margins(lines: Sequence[Line]) -> dict[int, float]:
    """How far lines go that begin at about the same distance from the left: nine of ten no further."""
    ends: dict[int, list[float]] = {}
    for line in lines:
        if len(line.text) >= FULL_LINE and not line.slanted:
            for column in (_column(line) - 1, _column(line), _column(line) + 1):
                ends.setdefault(column, []).append(line.right)
    return {column: sorted(rights)[len(rights) * 9 // 10] for column, rights in ends.items() if len(rights) >= 10}


def _goes_over(line: Line, below: Line) -> bool:
    full = len(line.text) >= FULL_LINE and bool(_UNENDED.search(line.text.rstrip()))
    return full and below.text[:1].islower() and abs(below.size - line.size) <= 0.15 * line.size


def _mended(text: str, words: str) -> str:
    """A word divided at the end of a line. What goes on with a capital or a digit has a hyphen of its own."""
    divided = words[:1].islower() and text[-2:-1].isalpha()
    return text[:-1] + ("" if divided else "-") + words


def _words(line: Line) -> str:
    text = " ".join(LEADERS.sub(" ... ", line.text).split()) if LEADERS.search(line.text) else line.text
    return _BULLET.sub("- ", text, count=1) if _BULLET.match(text) else text


def title_of(page: Page) -> str:
    """The largest print in the upper half of the first page, when it is larger than the usual and short."""
    largest = max(page.lines, key=lambda line: line.size, default=None)
    if largest is None or largest.size < LARGER * usual_size(page.lines):
        return ""
    same = [line for line in page.lines if line.size > 0.97 * largest.size and _may_head(line.text)]
    high = all(line.top < TITLE_ABOVE * page.height for line in same)
    return one_line(" ".join(map(_words, same))) if len(same) <= 3 and high else ""

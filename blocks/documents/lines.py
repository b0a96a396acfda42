"""Lines of print, as a PDF or OCR gives them: their order, and which belong to the page and not to the text."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

MARGIN = 0.15  # of the page's height: where page numbers and running titles stand
_OUTERMOST = 4
_MOST_LINES = 5_000  # of a page in columns; a poster of specks has more
_MOST_RUNNING = 80  # characters of a running title with a page number
_PAGE_NUMBER = re.compile(
    r"[-–—|\s]*(?:(?:page|seite|página|pagina|pág\.?|p\.|s\.|str\.|side|sida|blad)\s*\d{1,4}"
    r"(?:\s*(?:/|of|von|de|di|av|sur|van|z)\s*\d{1,4})?"
    r"|\d{1,4}\s*(?:/|of|von)\s*\d{1,4}|(?-i:[ivx]{1,5}))[-–—|\s]*",
    re.IGNORECASE,
)
LEADERS = re.compile(r"(?:\.[ \t]?){5,}|(?:…[ \t]?){3,}|(?:_[ \t]?){20,}")
_LISTED = re.compile(rf"(?:{LEADERS.pattern})\s*(\d{{1,4}}|[ivxl]{{1,6}})\s*$")
_WIDE = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]")


@dataclass(slots=True)
class Line:
    """Its place is in points from the top left corner of the page as it is read; letters stand on the bottom."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    """Of its print, in points."""
    weight: int = 400
    """Of its print: 400 is usual, 700 bold; of use only next to that of other lines in the same file."""
    page: int = 1
    slanted: bool = False
    """It does not run as the others on the page: a watermark, or a note along the edge."""
    sure: float = 1.0
    """How sure OCR is of its letters, 0 to 1."""

    @property
    def is_row(self) -> bool:
        """Whether there are gaps in it as there are between the cells of a table."""
        if " | " in self.text:
            return True
        wide = 2 if _WIDE.search(self.text) else 1
        return (self.right - self.left) > 0.75 * wide * self.size * len(self.text)


@dataclass
class Page:
    number: int
    height: float
    lines: list[Line] = field(default_factory=list)
    scanned: bool = False
    width: float = 0.0
    """Points."""


def without_furniture(pages: Sequence[Page]) -> None:
    """Drop page numbers, titles that run along the margins, watermarks, and the lines of tables of contents."""
    usual = usual_size(line for page in pages for line in page.lines)
    edges = {page.number: _edges(page) for page in pages}
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update({key for line in edges[page.number] for key in _keys(line)})
    for page in pages:
        doomed = {id(line) for line in edges[page.number] if _is_furniture(line, counts, len(pages), usual)}
        page.lines = [line for line in page.lines if id(line) not in doomed and not _is_listed(line, len(pages))]


def _edges(page: Page) -> list[Line]:
    """The lines at the top and the bottom, and those that run another way."""
    above = sorted((line for line in page.lines if line.bottom <= MARGIN * page.height), key=lambda line: line.top)
    below = sorted((line for line in page.lines if line.top >= (1 - MARGIN) * page.height), key=lambda line: -line.top)
    slanted = [line for line in page.lines if line.slanted]
    return [*above[:_OUTERMOST], *below[:_OUTERMOST], *slanted[:_OUTERMOST]]


def _keys(line: Line) -> set[str]:
    """What is the same on another page: its words, and its words where one number counts with the pages."""
    text = " ".join(line.text.split())[:200].lower()
    words = re.sub(r"\d+", "#", text)
    counting = re.findall(r"\d{1,5}", text)[:4] if len(text) <= _MOST_RUNNING else []
    return {text} | {f"{words}\0{int(number) - line.page}" for number in counting}


def _is_furniture(line: Line, counts: Counter[str], pages: int, usual: float) -> bool:
    if _PAGE_NUMBER.fullmatch(line.text) or line.text.strip() == str(line.page):
        return True
    # A heading that comes again, as "Example" does, is larger; a running title of that size is on most pages.
    if line.size > 1.15 * usual:
        return any(counts[key] >= max(3, pages // 2) for key in _keys(line))
    return any(counts[key] >= (2 if _counts_up(key) and pages > 2 else 3) for key in _keys(line))


def _is_listed(line: Line, pages: int) -> bool:
    """An entry of a table of contents: dots, and a page that there is. A price has dots before it, too."""
    listed = _LISTED.search(line.text)
    return listed is not None and (not listed[1].isdigit() or int(listed[1]) <= pages)


def _counts_up(key: str) -> bool:
    """Whether it is words with the number of the page."""
    return "\0" in key and any(char.isalpha() for char in key)


def usual_size(lines: Iterable[Line]) -> float:
    """In which most is printed; 1 when there is nothing."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size * 2) / 2] += len(line.text)
    return max(sizes.most_common(1)[0][0], 1.0) if sizes else 1.0


def is_jumbled(lines: Sequence[Line]) -> bool:
    """Whether the order in which a page was written is not the one in which it is read."""
    # From the foot of a column to the head of the next one is up, too, but not within the same column.
    pairs = itertools.pairwise(lines)
    upwards = sum(b.bottom < a.top and b.left < a.right and a.left < b.right for a, b in pairs)
    return upwards >= 3 and upwards * 20 >= len(lines)


def in_reading_order(lines: Sequence[Line]) -> list[Line]:
    """By row and from left to right; by column where there are two. What stands in one row becomes one line."""
    gutter = _gutter(lines)
    if gutter is None:
        return _rows(lines)
    ordered: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []
    for line in sorted(lines, key=lambda line: line.top):
        if line.left < gutter < line.right:
            ordered += [*_rows(left), *_rows(right), line]
            left, right = [], []
        else:
            (left if line.right <= gutter else right).append(line)
    return ordered + _rows(left) + _rows(right)


def _rows(lines: Sequence[Line]) -> list[Line]:
    rows: list[list[list[Line]]] = []
    for block in sorted(_blocks(lines), key=lambda block: block[0].top + block[0].bottom):
        first = block[0]
        if rows and abs(first.bottom - rows[-1][0][0].bottom) < 0.5 * min(first.size, rows[-1][0][0].size):
            rows[-1].append(block)
        else:
            rows.append([block])
    return [line for row in rows for line in _row(sorted(row, key=lambda block: block[0].left))]


def _blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that were written one below the other, as an address is, stay together."""
    blocks: list[list[Line]] = []
    for line in lines:
        above = blocks[-1][-1] if blocks else None
        near = above is not None and 0 < line.bottom - above.bottom < 1.6 * line.size
        alike = above is not None and abs(line.size - above.size) < 0.15 * line.size
        if above is not None and near and alike and abs(line.left - above.left) < 3 * line.size:
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return [part for block in blocks for part in ([block] if len(block) > 2 else [[line] for line in block])]


def _row(blocks: list[list[Line]]) -> list[Line]:
    if len(blocks) == 1 or any(len(block) > 1 for block in blocks):
        return [line for block in blocks for line in block]
    lines = [block[0] for block in blocks]
    longest = max(lines, key=lambda line: len(line.text))
    text = lines[0].text
    for line, after in itertools.pairwise(lines):
        text += (" | " if after.left - line.right > 2 * line.size else " ") + after.text
    return [
        replace(
            longest,
            text=text,
            left=lines[0].left,
            right=max(line.right for line in lines),
            top=min(line.top for line in lines),
            bottom=max(line.bottom for line in lines),
            weight=min(line.weight for line in lines),
        )
    ]


def _gutter(lines: Sequence[Line]) -> float | None:
    """Where the space between two columns of running text is; None when there are no two. Tables have none."""
    if len(lines) < 10 or len(lines) > _MOST_LINES:
        return None
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    third = (right - left) / 3
    places = [left + third + third * step / 40 for step in range(41)]
    crossed = [sum(line.left < place < line.right for line in lines) for place in places]
    best = min(range(41), key=lambda step: (crossed[step], abs(step - 20)))
    sides = (
        [line for line in lines if line.right <= places[best]],
        [line for line in lines if line.left >= places[best]],
    )
    if crossed[best] * 4 > len(lines) or not all(_is_prose(side) for side in sides):
        return None
    return places[best]


def _is_prose(lines: list[Line]) -> bool:
    return len(lines) >= 5 and median(len(line.text) for line in lines) >= 20

"""One file to a `Sheet`, and its pages to pictures, in this process. `Reader` does both in one that may die of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

from blocks.documents.kinds import Kind, kind_of, misnamed
from blocks.documents.limits import MOST_BYTES, MOST_LETTERS, MOST_WORDS
from blocks.documents.lines import Line, Page
from blocks.documents.model import Document, Unreadable
from blocks.documents.sheet import Box, Sheet, Word, from_text, plain_letters

if TYPE_CHECKING:
    from PIL import Image

MOST_DPI = 600
_WORD = re.compile(r"\S+")


def look(
    content: bytes, name: str, mime_type: str | None = None, *, asks_for_time: Callable[[], None] = lambda: None
) -> Sheet:
    """Read a file of any kind that is read, keeping where each word stands.

    Args:
        content: the file.
        name: its name, of which the extension counts.
        mime_type: what it was sent as.
        asks_for_time: called before each page that is read by OCR, which takes seconds.

    Raises:
        Unreadable: with the reason; also for more than `MOST_LOOKED_AT` pages, of which none is then read.
        VendorError: OCR is needed, and its models are missing or changed.
    """
    if len(content) > MOST_BYTES:
        raise Unreadable(f"it has {len(content):,} bytes; at most {MOST_BYTES:,} are read")
    kind = kind_of(content, name, mime_type)
    sheet = _looked_at(kind, content, name, mime_type, asks_for_time)
    typed = (word if word.text.isascii() else replace(word, text=plain_letters(word.text)) for word in sheet.words)
    sheet = replace(sheet, words=tuple(word for word in typed if word.text))
    if not sheet.words:
        raise Unreadable("no text is seen in it")
    if len(sheet.words) > MOST_WORDS:
        raise Unreadable(f"it has {len(sheet.words):,} words; a form, a bill or a contract has at most {MOST_WORDS:,}")
    letters = sum(len(word.text) for word in sheet.words)
    if letters > MOST_LETTERS:
        raise Unreadable(f"it has {letters:,} letters; a form, a bill or a contract has at most {MOST_LETTERS:,}")
    return replace(sheet, notes=tuple(filter(None, (misnamed(kind, name), *sheet.notes))))


def picture(content: bytes, name: str, page: int = 1, box: Box | None = None, *, dpi: float = 100) -> bytes:
    """A page of a PDF or picture, or what is in a box of it, as JPEG.

    Args:
        content: the file.
        name: its name.
        page: from 1.
        box: what part of it, in points, as a `Sheet` of the same file has them; the whole page without one.
        dpi: pixels an inch; fewer where the page is huge, or a picture has no more.

    Raises:
        Unreadable: it has no such page, or cannot be shown.
    """
    if not 1 <= dpi <= MOST_DPI or (box is not None and not all(map(math.isfinite, box))):
        raise Unreadable(f"it cannot be shown with {dpi:g} dpi{f', or no box {box}' if box else ''}")
    kind = kind_of(content, name)
    if kind == "pdf":
        from blocks.documents import pdf

        whole, dpi = pdf.picture(content, page, dpi)
    elif kind == "image" and page == 1:
        whole, dpi = _scaled(content, dpi)
    else:
        raise Unreadable(f"there is no page {page} of it that could be shown")
    if box is not None:
        whole = whole.crop(_pixels(box, dpi, whole.size))
    file = BytesIO()
    whole.convert("RGB").save(file, "JPEG", quality=70, optimize=True)
    return file.getvalue()


def _looked_at(
    kind: Kind, content: bytes, name: str, mime_type: str | None, asks_for_time: Callable[[], None]
) -> Sheet:
    """The modules are imported when they are needed: each brings a library of its own."""
    match kind:
        case "pdf":
            from blocks.documents import pdf

            pages, notes = pdf.words(content, asks_for_time)
            words = tuple(word for page in pages for line in page.lines for word in _words(line))
            return Sheet(words, _sizes(pages), scanned=frozenset(p.number for p in pages if p.scanned), notes=notes)
        case "image":
            from blocks.documents import image

            page = image.page(content, asks_for_time)
            words = tuple(word for line in page.lines for word in _words(line))
            return Sheet(words, ((page.width, page.height),), scanned=frozenset({1}), notes=(image.BY_OCR,))
        case "text" | "markdown":
            from blocks.documents import plain

            text, notes = plain.decoded(content)
            return from_text(text, notes)
        case _:
            from blocks.documents import reading

            return _of_document(reading.read(content, name, mime_type, asks_for_time=asks_for_time))


def _sizes(pages: Sequence[Page]) -> tuple[tuple[float, float], ...]:
    """By number: a page that is broken was not read, and has none."""
    sizes = {page.number: (page.width, page.height) for page in pages}
    return tuple(sizes.get(number, (0.0, 0.0)) for number in range(1, max(sizes, default=0) + 1))


def _of_document(document: Document) -> Sheet:
    """What has no places but its order: each heading and each line of text; cells of tables stand apart."""
    lines: list[str] = [document.title] if document.title else []
    above: tuple[str, ...] = ()
    for section in document.sections:
        if section.path and section.path != above and section.path[-1] != document.title:
            lines += ["", section.path[-1]]
        above = section.path
        lines += ["", *section.text.replace(" | ", "    ").splitlines()]
    return from_text("\n".join(lines), document.notes)


def _words(line: Line) -> list[Word]:
    """A line as OCR sees it, in words: each letter is taken to be as wide as the others.

    A word reaches to the next one of its line, so that a gap between words is one between lines that OCR saw apart.
    """
    letter = (line.right - line.left) / max(len(line.text), 1)
    bottom = max(line.bottom, line.top + 1)
    found = list(_WORD.finditer(line.text))
    ends = [after.start() for after in found[1:]] + [found[-1].end()] if found else []
    return [
        Word(text, line.page, (line.left + start * letter, line.top, line.left + end * letter, bottom), line.sure)
        for text, start, end in zip((w[0] for w in found), (w.start() for w in found), ends, strict=True)
    ]


def _scaled(content: bytes, dpi: float) -> tuple[Image.Image, float]:
    """The picture, and the pixels an inch that it has then."""
    from blocks.documents import image

    shown = image.shown(content)
    own = image.dpi_of(shown)
    if dpi >= own:
        return shown, own
    width, height = (max(round(side * dpi / own), 1) for side in shown.size)
    return shown.resize((width, height)), dpi


def _pixels(box: Box, dpi: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(points * dpi / 72) for points in box)
    left, top = min(max(left, 0), size[0] - 1), min(max(top, 0), size[1] - 1)
    return left, top, max(min(right, size[0]), left + 1), max(min(bottom, size[1]), top + 1)

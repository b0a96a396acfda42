"""PDF, by PDFium: pages with text as they are, scanned pages by OCR."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium

from blocks.documents import layout
from blocks.documents.kinds import ENCRYPTED
from blocks.documents.layout import Bookmark
from blocks.documents.limits import MOST_LOOKED_AT, MOST_OCR_LOOKED_AT, MOST_OCR_PAGES, MOST_PAGES, MOST_TEXT
from blocks.documents.lines import Page
from blocks.documents.model import Document, Unreadable
from blocks.documents.pdf_page import PdfPage
from blocks.documents.text import TOO_MUCH_TEXT, one_line

if TYPE_CHECKING:
    from PIL import Image

MOST_BOOKMARKS = 5_000
_ERRORS = {
    pdfium.FPDF_ERR_PASSWORD: ENCRYPTED,
    pdfium.FPDF_ERR_SECURITY: "it is encrypted in a way that is not known",
    pdfium.FPDF_ERR_FORMAT: "it is damaged: it is no PDF, or only a part of one",
}
_NO_TITLES = ("untitled", "microsoft word", "microsoft powerpoint", "powerpoint presentation", "slide 1")

_lock = threading.Lock()  # PDFium may be used by one thread at a time


def read(content: bytes, asks_for_time: Callable[[], None]) -> Document:
    """Raises Unreadable when it is broken, encrypted, too long, or holds no text."""
    with _lock, _opened(content) as document:
        count = _pages(document, MOST_PAGES)
        reader = _Reader(document, asks_for_time, MOST_OCR_PAGES)
        reader.read(count)
        bookmarks = list(_bookmarks(document))
        named = _meta_title(document)
    title = layout.title_of(reader.pages[0]) if reader.pages else ""
    first_page = layout.letters(" ".join(line.text for line in reader.pages[0].lines)) if reader.pages else ""
    if not title or (named and layout.letters(named) in first_page):
        title = named or title
    outline = layout.compose(reader.pages, bookmarks)
    return outline.document(title, pages=count, notes=tuple(reader.notes(count)))


def words(content: bytes, asks_for_time: Callable[[], None]) -> tuple[list[Page], tuple[str, ...]]:
    """The pages, each word of print a line of its own, and what a person should know of how they were read.

    Raises:
        Unreadable: it is broken, encrypted, or has more than `MOST_LOOKED_AT` pages.
    """
    with _lock, _opened(content) as document:
        count = _pages(document, MOST_LOOKED_AT)
        reader = _Reader(document, asks_for_time, MOST_OCR_LOOKED_AT, by_word=True)
        reader.read(count)
        return reader.pages, tuple(reader.notes(count))


def picture(content: bytes, number: int, dpi: float) -> tuple[Image.Image, float]:
    """How a page looks, RGB, upright as in `words`, and its pixels an inch. Raises Unreadable when there is none."""
    from PIL import Image

    with _lock, _opened(content) as document:
        try:
            page = PdfPage(document, number - 1)
        except ValueError as error:
            raise Unreadable(f"page {number} cannot be shown") from error
        try:
            look = page.picture(dpi)
            # Text that runs up or down the page was turned to be read; OCR has turned nothing.
            turns = 0 if page.needs_ocr(page.read(by_word=True)) else page.askew
        finally:
            page.close()
    shown = Image.frombuffer("RGB", (look.width, look.height), bytes(look.pixels), "raw", "BGR", 0, 1)
    return shown.rotate(-90 * turns, expand=True), look.dpi


def _pages(document: object, most: int) -> int:
    """How many there are. Raises Unreadable."""
    count: int = pdfium.FPDF_GetPageCount(document)
    if count < 1:
        raise Unreadable("it has no pages")
    if count > most:
        raise Unreadable(f"it has {count:,} pages; at most {most:,} are read")
    return count


@contextmanager
def _opened(content: bytes) -> Iterator[object]:
    document = pdfium.FPDF_LoadMemDocument64(content, len(content), None)
    if not document:
        raise Unreadable(_ERRORS.get(pdfium.FPDF_GetLastError(), "it is damaged: it cannot be opened"))
    try:
        yield document
    finally:
        pdfium.FPDF_CloseDocument(document)


class _Reader:
    def __init__(
        self, document: object, asks_for_time: Callable[[], None], most_ocr: int, *, by_word: bool = False
    ) -> None:
        self.pages: list[Page] = []
        self._document = document
        self._asks_for_time = asks_for_time
        self._most_ocr = most_ocr
        self._by_word = by_word
        self._broken: list[int] = []
        self._scanned: list[int] = []
        self._unread: list[int] = []
        self._hid = False

    def read(self, count: int) -> None:
        characters = 0
        for index in range(count):
            try:
                page = PdfPage(self._document, index)
            except ValueError:
                self._broken.append(index + 1)
                continue
            try:
                self.pages.append(self._read(page))
            finally:
                page.close()
            characters += sum(len(line.text) for line in self.pages[-1].lines)
            if characters > MOST_TEXT:
                raise Unreadable(TOO_MUCH_TEXT)

    def _read(self, page: PdfPage) -> Page:
        found = page.read(by_word=self._by_word)
        self._hid = self._hid or page.hid
        if not page.needs_ocr(found):
            return found
        if len(self._scanned) >= self._most_ocr:
            self._unread.append(found.number)
            return found
        self._asks_for_time()
        self._scanned.append(found.number)
        return _by_ocr(page, found)

    def notes(self, count: int) -> Iterator[str]:
        if self._scanned:
            many = f"{len(self._scanned)} of {count} pages were" if count > 1 else "it was"
            yield f"{many} read by OCR: words may be wrong"
        if self._unread:
            were = "were" if len(self._unread) > 1 else "was"
            yield f"at most {self._most_ocr} scanned pages are read: {_listed(self._unread)} {were} not"
        if self._broken:
            yield f"{_listed(self._broken)} {'is' if len(self._broken) == 1 else 'are'} damaged: nothing was read there"
        if self._hid:
            yield "text that cannot be seen was left out"


def _by_ocr(page: PdfPage, found: Page) -> Page:
    import numpy as np

    from blocks.documents import ocr

    look = page.picture(ocr.DPI)
    pixels = np.frombuffer(look.pixels, dtype=np.uint8).reshape(look.height, look.width, 3)
    lines = ocr.lines(pixels, look.dpi, found.number)
    return Page(found.number, look.height * 72 / look.dpi, lines, scanned=True, width=look.width * 72 / look.dpi)


def _listed(pages: Sequence[int]) -> str:
    """ "pages 3, 5-9": what a person can look up."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    shown = [f"{first}-{last}" if last > first else str(first) for first, last in runs[:20]]
    return f"page{'s' if len(pages) > 1 else ''} {', '.join(shown)}{' ...' if len(runs) > 20 else ''}"


def _bookmarks(document: object) -> Iterator[Bookmark]:
    """The outline, in its order. A broken one may go in circles."""
    todo = [(pdfium.FPDFBookmark_GetFirstChild(document, None), 1)]
    for _ in range(MOST_BOOKMARKS):
        if not todo:
            return
        bookmark, level = todo.pop()
        if not bookmark:
            continue
        todo.append((pdfium.FPDFBookmark_GetNextSibling(document, bookmark), level))
        todo.append((pdfium.FPDFBookmark_GetFirstChild(document, bookmark), level + 1))
        target = pdfium.FPDFBookmark_GetDest(document, bookmark)
        page = pdfium.FPDFDest_GetDestPageIndex(document, target) if target else -1
        title = one_line(_utf16(partial(pdfium.FPDFBookmark_GetTitle, bookmark)))
        if title and page >= 0:
            yield Bookmark(title, min(level, 6), page + 1)


def _meta_title(document: object) -> str:
    """What the file says it is called; what programs fill in by themselves is none."""
    title = one_line(_utf16(partial(pdfium.FPDF_GetMetaText, document, b"Title")))
    nothing = title.lower().startswith(_NO_TITLES) or title.lower().endswith((".doc", ".docx", ".pdf", ".indd", ".xls"))
    return "" if nothing else title


def _utf16(get: Callable[[Any, int], int]) -> str:
    size = min(get(None, 0), 20_000)
    buffer = ctypes.create_string_buffer(size + 2)
    get(buffer, size)
    return buffer.raw[:size].decode("utf-16-le", "replace").rstrip("\0")

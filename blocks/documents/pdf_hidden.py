"""Which characters of a page nobody sees: where instructions to a model are hidden.

Seen are not: print off the page, of less than two points, that is not painted, or as pale as what it is on. The simple
ways only: what is painted over is not found out.
"""

import ctypes
import itertools
import math
from collections.abc import Iterator

import pypdfium2.raw as pdfium

from blocks.documents.pdf_picture import Picture, picture_of

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in the page's own points, which count from its bottom left corner."""

SMALLEST = 2.0
"""Points. Smaller print cannot be read."""
SCANNED = 0.3
"""Of the page is covered by a picture: what is not painted may be the text that OCR put over it."""
_PALE = 235  # of 255, at least, in each colour
_CONTRAST = 24  # of 255, between letters and what they stand on
_INVISIBLE = 3  # text rendering mode
_MOST_OBJECTS = 20_000
_MOST_DEPTH = 8


def is_outside(box: Box, page: Box) -> bool:
    """Whether nothing of it is on the page."""
    return box[2] < page[0] or box[0] > page[2] or box[3] < page[1] or box[1] > page[3]


def hidden_characters(page: object, text: object, box: Box, pictured: float) -> list[int]:
    """The numbers of the characters that nobody sees.

    Each thing on the page is looked at, and each character only where one of them is suspicious: few pages have any.
    """
    if not any(thing is None or _is_suspicious(thing, box, pictured) for thing in _things(page)):
        return []
    looks: list[Picture] = []
    hidden: list[int] = []
    for start, end in _runs(text):
        thing = pdfium.FPDFText_GetTextObject(text, start)
        around = _around(text, start, end - 1)
        unseen = is_outside(around, box) or _size(text, start) < SMALLEST or _is_unpainted(thing, pictured)
        if not unseen and _is_pale(thing):
            looks = looks or [picture_of(page, 72)]
            unseen = not _stands_out(page, looks[0], around)
        if unseen:
            hidden += range(start, end)
    return hidden


def _things(page: object) -> Iterator[object | None]:
    """The pieces of text on the page, also within forms; None where there are too many to look at each."""
    todo = [(pdfium.FPDFPage_GetObject(page, index), 0) for index in _up_to(pdfium.FPDFPage_CountObjects(page))]
    for seen in itertools.count():
        if not todo:
            return
        if seen == _MOST_OBJECTS or len(todo) >= _MOST_OBJECTS:
            yield None
            return
        thing, depth = todo.pop()
        kind = pdfium.FPDFPageObj_GetType(thing)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            yield thing
        elif kind == pdfium.FPDF_PAGEOBJ_FORM and depth < _MOST_DEPTH:
            within = _up_to(pdfium.FPDFFormObj_CountObjects(thing))
            todo += [(pdfium.FPDFFormObj_GetObject(thing, index), depth + 1) for index in within]


def _up_to(count: int) -> range:
    return range(min(max(count, 0), _MOST_OBJECTS))


def _is_suspicious(thing: object, page: Box, pictured: float) -> bool:
    sides = [ctypes.c_float() for _ in range(4)]
    pdfium.FPDFPageObj_GetBounds(thing, *sides)
    # Within a form this is another place than on the page, and then a wrong suspicion, which costs milliseconds.
    left, bottom, right, top = (side.value for side in sides)
    small = top - bottom < SMALLEST / 2 and _size_of(thing) < SMALLEST  # a dash is as low, and not small
    return small or is_outside((left, bottom, right, top), page) or _is_unpainted(thing, pictured) or _is_pale(thing)


def _size_of(thing: object) -> float:
    size, matrix = ctypes.c_float(), pdfium.FS_MATRIX()
    pdfium.FPDFTextObj_GetFontSize(thing, size)
    pdfium.FPDFPageObj_GetMatrix(thing, matrix)
    return size.value * math.hypot(matrix.c, matrix.d)


def _is_unpainted(thing: object, pictured: float) -> bool:
    return pictured < SCANNED and pdfium.FPDFTextObj_GetTextRenderMode(thing) == _INVISIBLE


def _is_pale(thing: object) -> bool:
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    known = pdfium.FPDFPageObj_GetFillColor(thing, red, green, blue, alpha)
    return bool(known) and (min(red.value, green.value, blue.value) >= _PALE or alpha.value < 20)


def _runs(text: object) -> Iterator[tuple[int, int]]:
    """Where the characters of one thing begin and end; those of none, as spaces between things, are left out."""
    start, of = 0, 0
    count = max(pdfium.FPDFText_CountChars(text), 0)
    for index in range(count + 1):
        thing = pdfium.FPDFText_GetTextObject(text, index) if index < count else None
        address = ctypes.cast(thing, ctypes.c_void_p).value or 0 if thing else 0
        if address != of:
            if of:
                yield start, index
            start, of = index, address


def _around(text: object, first: int, last: int) -> Box:
    a, b = pdfium.FS_RECTF(), pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text, first, a)
    pdfium.FPDFText_GetLooseCharBox(text, last, b)
    return min(a.left, b.left), min(a.bottom, b.bottom), max(a.right, b.right), max(a.top, b.top)


def _size(text: object, index: int) -> float:
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFText_GetMatrix(text, index, matrix)
    return float(pdfium.FPDFText_GetFontSize(text, index)) * math.hypot(matrix.c, matrix.d)


def _stands_out(page: object, look: Picture, box: Box) -> bool:
    """Whether pale letters are on something dark: by looking."""
    corners = [ctypes.c_int() for _ in range(4)]
    pdfium.FPDF_PageToDevice(page, 0, 0, look.width, look.height, 0, box[0], box[1], corners[0], corners[1])
    pdfium.FPDF_PageToDevice(page, 0, 0, look.width, look.height, 0, box[2], box[3], corners[2], corners[3])
    (x0, x1), (y0, y1) = (sorted((corners[side].value, corners[side + 2].value)) for side in (0, 1))
    x0, x1 = max(x0, 0), min(x1 + 1, look.width)
    rows = [
        look.pixels[3 * (y * look.width + x0) : 3 * (y * look.width + x1)]
        for y in range(max(y0, 0), min(y1 + 1, look.height))
    ]
    rows = [row for row in rows if row]
    return bool(rows) and max(map(max, rows)) - min(map(min, rows)) >= _CONTRAST

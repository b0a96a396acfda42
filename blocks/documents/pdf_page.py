"""One page of a PDF: its lines of print, and its picture.

PDFium is asked in bulk: for the page's text at once, and then for the place and print of each line by its first, middle
and last character. To ask of every character would be thousands of calls a page.
"""

import ctypes
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pypdfium2.raw as pdfium

from blocks.documents.layout import HYPHEN
from blocks.documents.lines import Line, Page
from blocks.documents.pdf_hidden import SCANNED, SMALLEST, Box, hidden_characters, is_outside
from blocks.documents.pdf_picture import Picture, picture_of

# PDFium leaves out the line's end where it puts this.
_LINE = re.compile(f"[^\n{HYPHEN}]*(?:\n|{HYPHEN}|$)")
_HIDDEN = "\0"
_WORD = re.compile(rf"[^\s{_HIDDEN}{HYPHEN}]+")
_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001)))) + _HIDDEN
# What comes of a font that does not tell which letters its glyphs are.
_UNMAPPED = re.compile("[\0-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
# Characters. A scan may have a line of text on it: who made it, or a stamp of when it came.
_ENOUGH, _ENOUGH_ON_A_PICTURE = 50, 250
_FILLED_IN = (3, 13, 20)  # annotations: free text, stamp, form field


@dataclass(frozen=True)
class _Place:
    """Of a line, as the PDF has it: from the bottom left corner, before any turn."""

    text: str
    box: Box  # left, bottom, right, top
    base: tuple[float, float]  # a point of the line on which the letters stand
    size: float
    weight: int
    angle: float  # quarter turns, against the clock


class PdfPage:
    """An open page. PDFium is not safe to be used by several threads at once; the caller sees to that."""

    def __init__(self, document: object, index: int) -> None:
        """Raises ValueError when it is broken."""
        self.number = index + 1
        self._page = self._load(document, index)
        if self._has_fields():
            # What was filled in is beside the page's content; this makes it part of it.
            pdfium.FPDFPage_Flatten(self._page, pdfium.FLAT_NORMALDISPLAY)
            pdfium.FPDF_ClosePage(self._page)
            self._page = self._load(document, index)
        self._text = pdfium.FPDFText_LoadPage(self._page)
        self._box = self._bounds()
        self._weights: dict[int, int] = {}
        self.hid = False
        self.askew = 0
        """How many quarter turns, with the clock, its picture is off from how `read` has it."""

    @staticmethod
    def _load(document: object, index: int) -> object:
        page = pdfium.FPDF_LoadPage(document, index)
        if not page:
            raise ValueError(f"page {index + 1} is broken")
        return page

    def close(self) -> None:
        pdfium.FPDFText_ClosePage(self._text)
        pdfium.FPDF_ClosePage(self._page)

    def read(self, *, by_word: bool = False) -> Page:
        """The page with what can be seen of its text, in the order in which it was written: its lines, or its words."""
        places = list(self._places(_WORD if by_word else _LINE))
        turns = Counter(round(place.angle) % 4 for place in places)
        turn = turns.most_common(1)[0][0] if turns else 0
        self.askew = (turn - pdfium.FPDFPage_GetRotation(self._page)) % 4 if turns else 0
        left, bottom, right, top = self._box
        width, height = (top - bottom, right - left) if turn % 2 else (right - left, top - bottom)
        return Page(self.number, height, [self._line(place, turn) for place in places], width=width)

    def needs_ocr(self, page: Page) -> bool:
        """Whether it is a picture of text: nothing else is on it, or hardly a line beside a large picture."""
        text = "".join(line.text for line in page.lines)
        unmapped = len(_UNMAPPED.findall(text))
        readable = len(text) - unmapped if unmapped * 3 < len(text) else 0
        if readable >= _ENOUGH_ON_A_PICTURE:
            return False
        if readable >= _ENOUGH:
            return self.pictured >= 0.8
        return self.pictured >= SCANNED or (not text and pdfium.FPDFPage_CountObjects(self._page) > 0)

    def picture(self, dpi: float) -> Picture:
        """How the page looks; in a lower resolution than asked for where it is huge."""
        return picture_of(self._page, dpi)

    def _has_fields(self) -> bool:
        for index in range(min(pdfium.FPDFPage_GetAnnotCount(self._page), 1000)):
            annotation = pdfium.FPDFPage_GetAnnot(self._page, index)
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            pdfium.FPDFPage_CloseAnnot(annotation)
            if kind in _FILLED_IN:
                return True
        return False

    def _bounds(self) -> Box:
        box = pdfium.FS_RECTF()
        pdfium.FPDF_GetPageBoundingBox(self._page, box)
        return box.left, box.bottom, box.right, box.top

    def _places(self, parts: re.Pattern[str]) -> Iterator[_Place]:
        count = pdfium.FPDFText_CountChars(self._text)
        if count <= 0:
            return
        buffer = array("H", bytes(2 * count + 2))
        pointer = (ctypes.c_ushort * len(buffer)).from_buffer(buffer)
        written = pdfium.FPDFText_GetText(self._text, 0, count, pointer)
        text = buffer.tobytes()[: 2 * (written - 1)].decode("utf-16-le", "replace")
        same = len(text) == count
        text = self._without_hidden(text, same=same)
        for part in parts.finditer(text):
            if words := part[0].strip(_SPACE):
                first = part.start() + part[0].index(words[0])
                place = self._place(words, first, first + len(words) - 1, same=same)
                if place:
                    yield place

    def _without_hidden(self, text: str, *, same: bool) -> str:
        """The text with a mark in the place of each character that nobody sees."""
        hidden = hidden_characters(self._page, self._text, self._box, self.pictured)
        if not hidden:
            return text
        self.hid = True
        shown = list(text)
        for index in hidden:
            at = index if same else pdfium.FPDFText_GetTextIndexFromCharIndex(self._text, index)
            if 0 <= at < len(shown) and shown[at] not in "\r\n":
                shown[at] = _HIDDEN
        return "".join(shown)

    def _place(self, text: str, first: int, last: int, *, same: bool) -> _Place | None:
        """None when it cannot be seen."""
        middle = len(text) // 2
        while text[middle].isspace() or text[middle] == _HIDDEN:  # a space that PDFium put in has no print
            middle += 1
        at = [first, first + middle, last]
        if not same:  # characters that are left out of the text are counted all the same
            at = [pdfium.FPDFText_GetCharIndexFromTextIndex(self._text, index) for index in at]
        box = self._around(at[0], at[2])
        size, angle = self._print(at[1])
        size = min(size, self._print(at[2])[0])
        base = self._origin(at[1])
        # A broken file may place it nowhere.
        nowhere = not all(map(math.isfinite, (*box, *base, size, angle)))
        if nowhere or size < SMALLEST or is_outside(box, self._box):
            self.hid = True
            return None
        weight = min(map(self._weight, at))
        return _Place(text.replace("\r", " ").replace(_HIDDEN, ""), box, base, size, weight, angle)

    def _weight(self, index: int) -> int:
        """Many fonts do not tell but by their name."""
        font = pdfium.FPDFTextObj_GetFont(pdfium.FPDFText_GetTextObject(self._text, index))
        address = ctypes.cast(font, ctypes.c_void_p).value or 0
        if address not in self._weights:
            name = ctypes.create_string_buffer(100)
            pdfium.FPDFFont_GetBaseFontName(font, name, len(name))
            weight = pdfium.FPDFFont_GetWeight(font)
            bold = re.search(rb"bold|black|heavy|demi", name.value.lower())
            self._weights[address] = max(weight, 700) if bold else weight if weight > 0 else 400
        return self._weights[address]

    def _origin(self, index: int) -> tuple[float, float]:
        x, y = ctypes.c_double(), ctypes.c_double()
        pdfium.FPDFText_GetCharOrigin(self._text, index, x, y)
        return x.value, y.value

    def _around(self, first: int, last: int) -> Box:
        a, b = pdfium.FS_RECTF(), pdfium.FS_RECTF()
        pdfium.FPDFText_GetLooseCharBox(self._text, first, a)
        pdfium.FPDFText_GetLooseCharBox(self._text, last, b)
        return min(a.left, b.left), min(a.bottom, b.bottom), max(a.right, b.right), max(a.top, b.top)

    def _print(self, index: int) -> tuple[float, float]:
        """Size in points on the page, and direction."""
        matrix = pdfium.FS_MATRIX()
        pdfium.FPDFText_GetMatrix(self._text, index, matrix)
        size = pdfium.FPDFText_GetFontSize(self._text, index) * math.hypot(matrix.c, matrix.d)
        return size, math.atan2(matrix.b, matrix.a) / (math.pi / 2)

    @cached_property
    def pictured(self) -> float:
        """How much of the page its largest picture covers, at most 1."""
        left, bottom, right, top = self._box
        area = max((right - left) * (top - bottom), 1.0)
        return max((min(covered / area, 1.0) for covered in self._pictures()), default=0.0)

    def _pictures(self) -> Iterator[float]:
        corners = [ctypes.c_float() for _ in range(4)]
        for index in range(min(pdfium.FPDFPage_CountObjects(self._page), 2000)):
            thing = pdfium.FPDFPage_GetObject(self._page, index)
            kind = pdfium.FPDFPageObj_GetType(thing)
            # What is in a form is drawn on the page as one thing; scanners' programs wrap pictures so.
            if kind in (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_FORM):
                pdfium.FPDFPageObj_GetBounds(thing, *corners)
                left, bottom, right, top = (corner.value for corner in corners)
                if kind == pdfium.FPDF_PAGEOBJ_IMAGE or _holds_a_picture(thing):
                    yield abs((right - left) * (top - bottom))

    def _line(self, place: _Place, turn: int) -> Line:
        """Turned so that most of the page's text runs from left to right."""
        left, bottom, right, top = self._box
        x0, y0, x1, y1 = place.box
        x, y = place.base
        start, end, base = (
            (x0 - left, x1 - left, top - y),
            (y0 - bottom, y1 - bottom, x - left),
            (right - x1, right - x0, y - bottom),
            (top - y1, top - y0, right - x),
        )[turn]
        off = abs((place.angle - turn + 2) % 4 - 2)
        return Line(place.text, start, base - place.size, end, base, place.size, place.weight, self.number, off > 0.05)


def _holds_a_picture(form: object) -> bool:
    kinds = (
        pdfium.FPDFPageObj_GetType(pdfium.FPDFFormObj_GetObject(form, index))
        for index in range(min(pdfium.FPDFFormObj_CountObjects(form), 50))
    )
    return pdfium.FPDF_PAGEOBJ_IMAGE in kinds

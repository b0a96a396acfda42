"""How a page looks."""

import ctypes
import math
from dataclasses import dataclass

import pypdfium2.raw as pdfium

MOST_PIXELS = 4_000_000
"""Of a page's picture: A4 at 200 dpi. A page may say that it is a kilometre wide."""
MOST_SIDE = 4_000


@dataclass(frozen=True)
class Picture:
    """Blue, green and red, a byte each, row by row."""

    pixels: bytearray
    width: int
    height: int
    dpi: float


def _side(points: float) -> float:
    """A broken page may be of no size, or of none that is a number."""
    return points if 1.0 <= points < 1e9 else 1.0


def picture_of(page: object, dpi: float) -> Picture:
    """In a lower resolution than asked for where the page is huge."""
    width, height = _side(pdfium.FPDF_GetPageWidthF(page)), _side(pdfium.FPDF_GetPageHeightF(page))
    scale = min(dpi / 72, math.sqrt(MOST_PIXELS / (width * height)), MOST_SIDE / max(width, height))
    wide, high = max(int(width * scale), 1), max(int(height * scale), 1)
    pixels = bytearray(wide * high * 3)
    shared = (ctypes.c_ubyte * len(pixels)).from_buffer(pixels)
    bitmap = pdfium.FPDFBitmap_CreateEx(wide, high, pdfium.FPDFBitmap_BGR, shared, wide * 3)
    pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, wide, high, 0xFFFFFFFF)
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, wide, high, 0, pdfium.FPDF_ANNOT)
    pdfium.FPDFBitmap_Destroy(bitmap)
    return Picture(pixels, wide, high, scale * 72)

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


def picture_of(page: object, dpi: float) -> Picture:
    """In a lower resolution than asked for where the page is huge."""
    width, height = max(pdfium.FPDF_GetPageWidthF(page), 1.0), max(pdfium.FPDF_GetPageHeightF(page), 1.0)
    scale = min(dpi / 72, math.sqrt(MOST_PIXELS / (width * height)), MOST_SIDE / max(width, height))
    wide, high = max(int(width * scale), 1), max(int(height * scale), 1)
    pixels = bytearray(wide * high * 3)
    shared = (ctypes.c_ubyte * len(pixels)).from_buffer(pixels)
    bitmap = pdfium.FPDFBitmap_CreateEx(wide, high, pdfium.FPDFBitmap_BGR, shared, wide * 3)
    pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, wide, high, 0xFFFFFFFF)
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, wide, high, 0, pdfium.FPDF_ANNOT)
    pdfium.FPDFBitmap_Destroy(bitmap)
    return Picture(pixels, wide, high, scale * 72)

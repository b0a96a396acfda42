"""Scanned pages that are pictures: PNG and JPEG."""

import warnings
from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from blocks.documents import layout, ocr
from blocks.documents.lines import Page
from blocks.documents.model import Document, Unreadable

MOST_IMAGE_PIXELS = 60_000_000
"""A4 at 600 dpi has 35 million. A PNG of a few kilobytes may say that it has billions."""
BY_OCR = "it was read by OCR: words may be wrong"


def read(content: bytes, asks_for_time: Callable[[], None]) -> Document:
    """Raises Unreadable when it is broken, too large, or no text is seen in it."""
    seen = page(content, asks_for_time)
    title = layout.title_of(seen)
    outline = layout.compose([seen])
    outline.unpaged()
    return outline.document(title, notes=(BY_OCR,))


def page(content: bytes, asks_for_time: Callable[[], None]) -> Page:
    """The lines that OCR sees. Raises Unreadable when it is broken, too large, or no text is seen in it."""
    import numpy as np

    picture = shown(content)
    asks_for_time()
    pixels = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
    dpi = dpi_of(picture)
    width, height = (side * 72 / dpi for side in picture.size)
    seen = Page(1, height, ocr.lines(pixels, dpi), scanned=True, width=width)
    if not seen.lines:
        raise Unreadable("no text is seen in it")
    return seen


def dpi_of(picture: Image.Image) -> float:
    """As if it were a page as high as A4, so that sizes are those of usual print."""
    return max(picture.size) / 11.7


def shown(content: bytes) -> Image.Image:
    """RGB, upright, and not larger than OCR makes use of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is looked at below
            picture = Image.open(BytesIO(content), formats=["PNG", "JPEG"])
        if picture.width * picture.height > MOST_IMAGE_PIXELS:
            raise Unreadable(
                f"it has {picture.width * picture.height:,} pixels; at most {MOST_IMAGE_PIXELS:,} are read"
            )
        # A JPEG is unpacked in a smaller size at once.
        picture.draft("RGB", (2 * ocr.LARGEST_SIDE, 2 * ocr.LARGEST_SIDE))
        return _on_white(picture)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise Unreadable("it is damaged: the picture cannot be shown") from error


def _on_white(picture: Image.Image) -> Image.Image:
    """What is transparent would be black otherwise, with black letters on it."""
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    layer = picture.convert("RGBA" if transparent else "RGB")
    layer.thumbnail((2 * ocr.LARGEST_SIDE, 2 * ocr.LARGEST_SIDE))
    ImageOps.exif_transpose(layer, in_place=True)
    if not transparent:
        return layer
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")

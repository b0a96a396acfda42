"""PDFs to read: real text set by a writer of our own, since no public set of office PDFs comes with the benchmark.

Each has three pages (short enough that making 1,847 of them takes seconds; what is measured is pages, not documents): a
title of 20 points, headings of 14 in bold, and about 400 words a page of 10.5, in the fonts that every reader has.
"""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.retrieval.corpora import Corpus, mutated

PAGES = 3
PARAGRAPHS = 4  # of about 105 words, on each page
BODY, HEADING, TITLE = 10.5, 14.0, 20.0
WIDTH, HEIGHT, MARGIN = 612, 792, 72
CHARACTERS = 92  # of body text on a line of that width

Line = tuple[float, str]
"""Points, and the text."""


def write(corpora: Sequence[Corpus], folder: Path, count: int, seed: int = 11) -> int:
    """Write so many PDFs; the number of pages."""
    folder.mkdir(parents=True)
    paragraphs = mutated(corpora, seed)
    for number in range(count):
        pages = [list(_page(paragraphs, f"Document {number}" if page == 0 else "")) for page in range(PAGES)]
        (folder / f"{number:05}.pdf").write_bytes(document(pages))
    return count * PAGES


def document(pages: Sequence[Sequence[Line]]) -> bytes:
    """A PDF of these pages."""
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        content = zlib.compress(_content(lines))
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Contents {6 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>".encode()
        )
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(content), content),
        )
    return _file(objects)


def _page(paragraphs: Iterator[str], title: str) -> Iterator[Line]:
    if title:
        yield TITLE, title
    for number in range(PARAGRAPHS):
        paragraph = next(paragraphs)
        if number % 2 == 0:
            yield HEADING, " ".join(paragraph.split()[3:7])
        for line in textwrap.wrap(paragraph, CHARACTERS):
            yield BODY, line
        yield BODY, ""


def _content(lines: Sequence[Line]) -> bytes:
    parts = [b"BT", b"1 0 0 1 %d %d Tm" % (MARGIN, HEIGHT - MARGIN)]
    for size, text in lines:
        font = b"F1" if size == BODY else b"F2"
        shown = text.encode("cp1252", "replace").replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
        parts.append(b"/%b %.1f Tf 0 %.1f Td (%b) Tj" % (font, size, -1.25 * size, shown))
    return b"\n".join([*parts, b"ET"])


def _file(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)

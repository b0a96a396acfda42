"""Makes a .docx and a .pdf of a little Markdown (headings, paragraphs, lists), and forms and scans of typed text.

Each time the same bytes.
"""

from __future__ import annotations

import io
import re
import textwrap
import zipfile
from collections.abc import Iterator
from xml.sax.saxutils import escape

MARKS = re.compile(r"\*\*|`")
EPOCH = (1980, 1, 1, 0, 0, 0)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
NORMAL = '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'

A4 = (595, 842)
MARGIN = 60
SIZES = {0: 10.5, 1: 18.0, 2: 13.5, 3: 11.5}
"""Points, by the heading's level; 0 is plain text."""


def blocks(markdown: str) -> Iterator[tuple[int, str, bool]]:
    """Yield each paragraph, heading or list item: the heading's level (0 for none), the text, is it of a list."""
    for chunk in re.split(r"\n\s*\n|\n(?=#{1,3} |[-*] |\d+\. )", markdown.strip()):
        text = " ".join(chunk.split())
        heading = re.match(r"(#{1,3}) +(.+)", text)
        if heading:
            yield len(heading[1]), MARKS.sub("", heading[2]), False
        elif text:
            yield 0, MARKS.sub("", text), bool(re.match(r"[-*] |\d+\. ", text))


def docx(markdown: str) -> bytes:
    """Return a Word document with real headings."""
    body = "".join(paragraph(level, text) for level, text, _ in blocks(markdown))
    styles = NORMAL + "".join(style(level) for level in (1, 2, 3))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{WORD_TYPE}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{WORD_TYPE}.styles+xml"/></Types>',
        "_rels/.rels": relationships("officeDocument", "word/document.xml"),
        "word/_rels/document.xml.rels": relationships("styles", "styles.xml"),
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        "word/styles.xml": f'<w:styles xmlns:w="{WORD}">{styles}</w:styles>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in parts.items():
            package.writestr(zipfile.ZipInfo(name, EPOCH), XML + text)
    return file.getvalue()


def paragraph(level: int, text: str) -> str:
    """Return a paragraph of a Word document."""
    named = f'<w:pPr><w:pStyle w:val="Heading{level}"/></w:pPr>' if level else ""
    return f'<w:p>{named}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def style(level: int) -> str:
    """Return the style of a heading."""
    return (
        f'<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/>'
        f'<w:pPr><w:outlineLvl w:val="{level - 1}"/></w:pPr>'
        f'<w:rPr><w:b/><w:sz w:val="{int(SIZES[level] * 2)}"/></w:rPr></w:style>'
    )


def relationships(kind: str, target: str) -> str:
    """Return the file that says which part belongs to which."""
    return (
        f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/{kind}" Target="{target}"/></Relationships>'
    )


def pdf(markdown: str) -> bytes:
    """Return a PDF whose headings are set larger, in Helvetica."""
    pages = list(laid_out(markdown))
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>",
    ]
    for number, content in enumerate(pages):
        page = (
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {A4[0]} {A4[1]}]/Contents {6 + 2 * number} 0 R"
            "/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>>>"
        )
        objects += [page.encode(), b"<</Length %d>>stream\n%s\nendstream" % (len(content), content)]
    return assembled(objects)


def laid_out(markdown: str) -> Iterator[bytes]:
    """Yield the drawing commands of each page."""
    commands: list[bytes] = []
    y = float(A4[1] - MARGIN)
    for level, text, in_list in blocks(markdown):
        size = SIZES[level]
        y -= size * (0.9 if level else 0.15 if in_list else 0.5)
        for line in textwrap.wrap(text, int((A4[0] - 2 * MARGIN) / (size * 0.5))):
            y -= size * 1.3
            if y < MARGIN:
                yield b"\n".join(commands)
                commands, y = [], A4[1] - MARGIN - size
            shown = re.sub(rb"([\\()])", rb"\\\1", line.encode("cp1252", "replace"))
            commands.append(b"BT /F%d %.1f Tf %d %.1f Td (%s) Tj ET" % (2 if level else 1, size, MARGIN, y, shown))
    yield b"\n".join(commands)


COLUMN, LINE, TYPED = 5.6, 14.0, 9.5
"""Points: the width of a column of typed text, the height of a line, the size of its print."""


def typed(text: str, trailer: bytes = b"") -> bytes:
    """Return a PDF with text where it is typed: what three spaces or more set apart begins in its own column."""
    commands = []
    for number, line in enumerate(text.splitlines()):
        for cell in re.finditer(r"\S+(?: {1,2}\S+)*", line):
            x, y = MARGIN - 10 + cell.start() * COLUMN, A4[1] - MARGIN - number * LINE
            shown = re.sub(rb"([\\()])", rb"\\\1", cell[0].encode("cp1252", "replace"))
            commands.append(b"BT /F1 %.1f Tf %.1f %.1f Td (%s) Tj ET" % (TYPED, x, y, shown))
    content = b"\n".join(commands)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 5 0 R/Resources<</Font<</F1 3 0 R>>>>>>" % A4,
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
    ]
    return assembled(objects, trailer)


def locked(text: str) -> bytes:
    """Return a PDF that asks for a password which nobody has."""
    key = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>/ID[<00><00>]" % (b"41" * 32, b"42" * 32)
    return typed(text, key)


def scan(text: str) -> bytes:
    """Return a PNG of a page with this text, as a telephone or a scanner makes it: 150 dpi, a little grey."""
    from PIL import Image, ImageDraw, ImageFont

    width, height, column, line = 1240, 1754, 13, 32
    lines = text.splitlines()
    page = Image.new("L", (width, min(height, 200 + line * len(lines))), 244)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(22)
    for number, typed_line in enumerate(lines):
        for cell in re.finditer(r"\S+(?: {1,2}\S+)*", typed_line):
            draw.text((90 + cell.start() * column, 90 + number * line), cell[0], fill=40, font=font)
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def assembled(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """Return a PDF file of these objects, the first of which is the catalog."""
    file = io.BytesIO()
    file.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(file.tell())
        file.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    table = file.tell()
    file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    file.writelines(b"%010d 00000 n \n" % place for place in places)
    file.write(b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, table))
    return file.getvalue()

"""Files as programs write them, made from what a test wants in them."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@dataclass(frozen=True)
class Text:
    """A piece of print on a page, from its bottom left corner; A4 is 595 by 842 points."""

    text: str
    x: float = 72
    y: float = 700
    size: float = 10
    bold: bool = False
    extra: str = ""
    """PDF operators before it, such as `1 1 1 rg` for white."""

    def operators(self) -> str:
        escaped = self.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        return f"q {self.extra} BT /F{2 if self.bold else 1} {self.size} Tf {self.x} {self.y} Td ({escaped}) Tj ET Q"


def paragraph(*lines: str, y: float, x: float = 72, size: float = 10) -> list[Text]:
    """Lines one below the other."""
    return [Text(line, x, y - 1.2 * size * number, size) for number, line in enumerate(lines)]


def pdf(
    *pages: Sequence[Text] | str,
    title: str = "",
    bookmarks: Sequence[tuple[str, int]] = (),
    box: tuple[float, float] = (595, 842),
    page_extra: str = "",
    trailer: str = "",
    pictures: Sequence[Image.Image] = (),
) -> bytes:
    """A PDF by hand. A page is its texts, or its operators; `bookmarks` are titles with their page, from 0."""
    count = len(pages)
    objects = ["", "", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"]
    objects += ["<</Type/Font/Subtype/Type1/BaseFont/Helvetica-Bold/Encoding/WinAnsiEncoding>>", f"<</Title({title})>>"]
    first_page = len(objects) + 1
    drawn = "".join(f"/P{number} {first_page + 2 * count + number} 0 R" for number in range(len(pictures)))
    resources = f"<</Font<</F1 3 0 R/F2 4 0 R>>/XObject<<{drawn}>>>>"
    for number, page in enumerate(pages):
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {box[0]} {box[1]}]/Resources{resources}"
            f"/Contents {first_page + 2 * number + 1} 0 R{page_extra}>>"
        )
        content = page if isinstance(page, str) else "\n".join(text.operators() for text in page)
        objects.append(f"<</Length {len(content.encode('cp1252'))}>>\nstream\n{content}\nendstream")
    objects += [_picture(picture) for picture in pictures]
    first_mark = len(objects) + 2
    outline = f"/Outlines {first_mark - 1} 0 R" if bookmarks else ""
    kids = " ".join(f"{first_page + 2 * number} 0 R" for number in range(count))
    objects[0] = f"<</Type/Catalog/Pages 2 0 R{outline}>>"
    objects[1] = f"<</Type/Pages/Count {count}/Kids[{kids}]>>"
    if bookmarks:
        objects.append(f"<</Type/Outlines/First {first_mark} 0 R/Last {first_mark + len(bookmarks) - 1} 0 R>>")
    for number, (name, page_index) in enumerate(bookmarks):
        following = f"/Next {first_mark + number + 1} 0 R" if number + 1 < len(bookmarks) else ""
        to = f"[{first_page + 2 * page_index} 0 R/Fit]"
        objects.append(f"<</Title({name})/Parent {first_mark - 1} 0 R/Dest{to}{following}>>")
    return _written(objects, f"/Info 5 0 R{trailer}")


def _picture(picture: Image.Image) -> str:
    pixels = picture.convert("L").tobytes().hex()
    return (
        f"<</Type/XObject/Subtype/Image/Width {picture.width}/Height {picture.height}/ColorSpace/DeviceGray"
        f"/BitsPerComponent 8/Filter/ASCIIHexDecode/Length {len(pixels) + 1}>>\nstream\n{pixels}>\nendstream"
    )


def _written(objects: Sequence[str], trailer: str) -> bytes:
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + content.encode("cp1252") + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += "".join(f"{place:010} 00000 n \n" for place in places).encode()
    return bytes(
        out + f"trailer\n<</Size {len(objects) + 1}/Root 1 0 R{trailer}>>\nstartxref\n{start}\n%%EOF\n".encode()
    )


def form(label: str, value: str) -> bytes:
    """A PDF with one field that was filled in."""
    page = Text(label).operators()
    field = Text(value, x=2, y=5).operators()
    return _written(
        [
            "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>>>",
            "<</Type/Pages/Count 1/Kids[3 0 R]>>",
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 4 0 R>>>>/Contents 5 0 R"
            "/Annots[6 0 R]>>",
            "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            f"<</Length {len(page)}>>\nstream\n{page}\nendstream",
            "<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/Rect[300 695 480 715]/F 4/AP<</N 7 0 R>>/P 3 0 R>>",
            "<</Type/XObject/Subtype/Form/BBox[0 0 180 20]/Resources<</Font<</F1 4 0 R>>>>"
            f"/Length {len(field)}>>\nstream\n{field}\nendstream",
        ],
        "",
    )


def drawn(*lines: str, size: int = 36, width: int = 1240, height: int = 700) -> Image.Image:
    """Lines of print as a scanner sees them: at 150 dpi, A4 is 1240 pixels wide."""
    picture = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for number, line in enumerate(lines):
        draw.text((100, 80 + number * 2 * size), line, fill="black", font=font)
    return picture


def saved(picture: Image.Image, form: str = "PNG") -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def scan(*pictures: Image.Image) -> bytes:
    """A PDF that is nothing but pictures, one a page."""
    return pdf(*(f"q 595 0 0 842 0 0 cm /P{number} Do Q" for number in range(len(pictures))), pictures=pictures)


def archive(**parts: str | bytes) -> bytes:
    """A zip file; `__` in a name stands for the slash."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/") + ".xml", content)
    return file.getvalue()


def word(body: str, head: str = "", **parts: str) -> bytes:
    """A .docx of this XML within its body; `parts` are other parts of the folder `word`."""
    document = f'<?xml version="1.0"?>{head}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    return archive(word__document=document, **{f"word__{name}": part for name, part in parts.items()})

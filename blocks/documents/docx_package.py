"""A .docx is an archive: the few parts with text are taken out, each only as far as is safe, and the rest is left."""

import zipfile
import zlib
from io import BytesIO
from re import fullmatch

from blocks.documents.kinds import ENCRYPTED
from blocks.documents.model import Unreadable

MOST_XML = 50_000_000
"""Bytes of the main part, unpacked. In memory it is eight times as much."""
MOST_OTHER_XML = 10_000_000
MOST_UNPACKED = 2_000_000_000
"""Bytes that the archive says it would unpack to, pictures and all."""
MOST_RATIO = 200
"""How many times as large a part of more than 5 MB may become. Word's own XML becomes 10 to 40 times as large."""
_RATIO_FROM = 5_000_000
MOST_PARTS = 20_000
_WANTED = {
    "document": r"word/document\d*\.xml",
    "styles": r"word/styles\d*\.xml",
    "numbering": r"word/numbering\d*\.xml",
    "footnotes": r"word/footnotes\d*\.xml",
    "endnotes": r"word/endnotes\d*\.xml",
    "core": r"docProps/core\.xml",
}
_STRICT = b"http://purl.oclc.org/ooxml/wordprocessingml/main"
_USUAL = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = {
    "word/document.xml": f"{_OFFICE}.document.main+xml",
    "word/styles.xml": f"{_OFFICE}.styles+xml",
    "word/numbering.xml": f"{_OFFICE}.numbering+xml",
    "docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
}


def parts(content: bytes) -> dict[str, bytes]:
    """The XML of the document, its styles, numbering, notes and properties, those that there are.

    Raises:
        Unreadable: it is broken, encrypted, or would unpack to too much.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return _parts(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, OverflowError) as error:
        raise Unreadable("it is damaged: the archive that it is cannot be unpacked") from error


def _parts(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > MOST_PARTS:
        raise Unreadable(f"it has more than {MOST_PARTS:,} parts")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_UNPACKED:
        raise Unreadable(f"it would unpack to {total:,} bytes; at most {MOST_UNPACKED:,} are let")
    found = {}
    for part, pattern in _WANTED.items():
        entry = next((entry for entry in entries if fullmatch(pattern, entry.filename)), None)
        if entry:
            found[part] = _unpack(archive, entry, MOST_XML if part == "document" else MOST_OTHER_XML)
    if "document" not in found:
        raise Unreadable("it is damaged: there is no document in it")
    return found


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """What the part says of its size is believed when it is too much, and otherwise not."""
    if entry.flag_bits & 1:
        raise Unreadable(ENCRYPTED)
    if entry.file_size > most:
        raise Unreadable(f"{entry.filename} in it would unpack to {entry.file_size:,} bytes; at most {most:,} are read")
    if entry.file_size > _RATIO_FROM and entry.file_size > MOST_RATIO * entry.compress_size:
        raise Unreadable(f"{entry.filename} in it would unpack to {MOST_RATIO} times its size: it is made to do harm")
    with archive.open(entry) as part:
        xml = part.read(most + 1)
    if len(xml) > most:
        raise Unreadable(f"{entry.filename} in it would unpack to more than {most:,} bytes")
    return xml.replace(_STRICT, _USUAL)


def package(found: dict[str, bytes]) -> BytesIO:
    """A .docx of nothing but the main parts, for python-docx, which would load and follow all there is."""
    names = {"document": "word/document.xml", "styles": "word/styles.xml", "numbering": "word/numbering.xml"}
    held = {names[part]: xml for part, xml in found.items() if part in names}
    if "core" in found:
        held["docProps/core.xml"] = found["core"]
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("[Content_Types].xml", _content_types(held))
        archive.writestr("_rels/.rels", _relations({"word/document.xml", "docProps/core.xml"} & held.keys(), ""))
        inner = {"word/styles.xml", "word/numbering.xml"} & held.keys()
        archive.writestr("word/_rels/document.xml.rels", _relations(inner, "word/"))
        for name, xml in held.items():
            archive.writestr(name, xml)
    made.seek(0)
    return made


def _content_types(held: dict[str, bytes]) -> str:
    overrides = "".join(f'<Override PartName="/{name}" ContentType="{_TYPES[name]}"/>' for name in held)
    rels = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    namespace = "http://schemas.openxmlformats.org/package/2006/content-types"
    return f'<Types xmlns="{namespace}">{rels}{overrides}</Types>'


def _relations(names: set[str], folder: str) -> str:
    kinds = {
        "word/document.xml": f"{_RELATED}/officeDocument",
        "word/styles.xml": f"{_RELATED}/styles",
        "word/numbering.xml": f"{_RELATED}/numbering",
        "docProps/core.xml": "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties",
    }
    relations = "".join(
        f'<Relationship Id="rId{number}" Type="{kinds[name]}" Target="{name.removeprefix(folder)}"/>'
        for number, name in enumerate(sorted(names), 1)
    )
    namespace = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{namespace}">{relations}</Relationships>'

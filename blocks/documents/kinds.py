"""What kind of file it is: by what it holds, then by its name, then by the type that it was sent with."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from blocks.documents.model import Unreadable

Kind = Literal["pdf", "docx", "markdown", "html", "text", "image", "mail"]

_EXTENSIONS: dict[str, Kind] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".txt": "text",
    ".text": "text",
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".eml": "mail",
}
SUPPORTED = frozenset(_EXTENSIONS)
"""The extensions, in lower case with their dot, under which one finds files that can be read."""

_MIME_TYPES: dict[str, Kind] = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
    "image/png": "image",
    "image/jpeg": "image",
    "message/rfc822": "mail",
}
_NAMED: dict[Kind, str] = {
    "pdf": "a PDF",
    "docx": "a Word document (.docx)",
    "markdown": "Markdown",
    "html": "HTML",
    "text": "plain text",
    "image": "a picture",
    "mail": "an e-mail",
}
_OTHERS = {
    "a spreadsheet": ".xlsx .xls .xlsm .xlsb .ods .numbers",
    "a presentation": ".pptx .ppt .odp .key",
    "a Word document of the old kind": ".doc .dot",
    "an OpenDocument text": ".odt",
    "rich text": ".rtf",
    "a picture of a kind": ".gif .bmp .tif .tiff .webp .heic .svg .psd .ico",
    "a video": ".mp4 .mov .avi .mkv .webm .wmv",
    "a sound recording": ".mp3 .wav .m4a .ogg .flac",
    "an archive": ".zip .gz .tgz .7z .rar .tar .bz2 .xz .jar",
    "a program": ".exe .dll .so .msi .dmg .apk .class",
    "an e-book": ".epub .mobi",
    "an Outlook message": ".msg .pst",
}
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"MZ", "a program (.exe)"),
    (0, b"\x7fELF", "a program"),
    (0, b"\xcf\xfa\xed\xfe", "a program"),
    (0, b"GIF8", "a picture of a kind (.gif)"),
    (0, b"BM", "a picture of a kind (.bmp)"),
    (0, b"II*\0", "a picture of a kind (.tiff)"),
    (0, b"MM\0*", "a picture of a kind (.tiff)"),
    (8, b"WEBP", "a picture of a kind (.webp)"),
    (4, b"ftyphei", "a picture of a kind (.heic)"),
    (4, b"ftypM4A", "a sound recording (.m4a)"),
    (4, b"ftyp", "a video (.mp4)"),
    (0, b"\x1aE\xdf\xa3", "a video (.mkv)"),
    (8, b"AVI ", "a video (.avi)"),
    (0, b"ID3", "a sound recording (.mp3)"),
    (0, b"OggS", "a sound recording (.ogg)"),
    (0, b"fLaC", "a sound recording (.flac)"),
    (8, b"WAVE", "a sound recording (.wav)"),
    (0, b"\x1f\x8b\x08", "an archive (.gz)"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (.7z)"),
    (0, b"Rar!\x1a\x07", "an archive (.rar)"),
    (0, b"BZh", "an archive (.bz2)"),
    (0, b"\xfd7zXZ\0", "an archive (.xz)"),
    (257, b"ustar", "an archive (.tar)"),
    (0, b"{\\rtf", "rich text (.rtf)"),
    (0, b"SQLite format 3\0", "a database (.sqlite)"),
)
_ZIPPED = (  # the first that matches a name in the archive's directory
    (rb"word/document\d*\.xml", ""),
    (rb"xl/workbook\.(?:xml|bin)", "a spreadsheet (.xlsx)"),
    (rb"ppt/presentation\.xml", "a presentation (.pptx)"),
    (rb"META-INF/container\.xml", "an e-book (.epub)"),
    (rb"META-INF/manifest\.xml", "an OpenDocument file"),
    (rb"", "an archive (.zip)"),
)
_OLE = (  # names in the file's directory, which is in UTF-16
    ("EncryptedPackage", ""),
    ("WordDocument", "a Word document of the old kind (.doc)"),
    ("Workbook", "a spreadsheet of the old kind (.xls)"),
    ("Book", "a spreadsheet of the old kind (.xls)"),
    ("PowerPoint Document", "a presentation of the old kind (.ppt)"),
    ("__substg1.0", "an Outlook message (.msg)"),
    ("", "an Office file of the old kind"),
)
ENCRYPTED = "it is encrypted: save it without a password"
_SAMPLE = 65_536
_BINARY: tuple[Kind, ...] = ("pdf", "docx", "image")


def kind_of(content: bytes, name: str = "", mime_type: str | None = None) -> Kind:
    """What to read the file as.

    Raises:
        Unreadable: it is empty, of a kind that is not read, or of none that can be told.
    """
    if not content.strip(b"\0\t\n\r "):
        raise Unreadable("it is empty")
    found = _by_magic(content) or _by_first_tag(content)
    if found:
        return found
    said = _said(name, mime_type)
    if not looks_like_text(content):
        raise Unreadable(_why_not(name, mime_type, said))
    if said and said not in _BINARY:
        return said
    if not said and re.match(rb"(?:Return-Path|Received|Delivered-To|MIME-Version): ", content):
        return "mail"
    return "text"


def misnamed(kind: Kind, name: str) -> str:
    """A note for people when the name promises something else, or nothing."""
    extension = extension_of(name)
    promised = _EXTENSIONS.get(extension)
    other = next((what for what, extensions in _OTHERS.items() if extension in extensions.split()), None)
    if promised == kind or (not promised and not other):
        return ""
    return f"it is named {extension} and is {_NAMED[kind]}: it was read as that"


def extension_of(name: str) -> str:
    """With its dot and in lower case; empty when there is none."""
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,10}", suffix) else ""


def looks_like_text(content: bytes) -> bool:
    """Whether the beginning is text in some charset: hardly a control character, hardly a byte that means nothing."""
    from blocks.mail.charset import decode  # here, because it brings the whole mail parser

    sample = content[:_SAMPLE].rstrip(bytes(range(0x80, 0x100))) or content[:_SAMPLE]  # no character cut in half
    text, _ = decode(sample[: len(sample) // 4 * 4] if b"\0" in sample else sample, "")
    controls = len(re.findall("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]", text))
    return "\0" not in text and controls * 200 <= len(text) and text.count("\ufffd") * 20 <= len(text)


def _by_magic(content: bytes) -> Kind | None:
    if content.startswith(b"%PDF-") or (b"%PDF-" in content[:1024] and b" obj" in content[:8192]):
        return "pdf"
    if content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "image"
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(content)
    if content.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise Unreadable(_ole(content))
    for offset, magic, what in _MAGIC:
        # Two letters are a program or a picture only among bytes that are no text: "MZ" may begin a sentence.
        if content.startswith(magic, offset) and (len(magic) > 3 or not looks_like_text(content)):
            raise Unreadable(f"it is {what}, which is not read")
    return None


def _zipped(content: bytes) -> Kind:
    directory = _directory(content)
    what = next(what for pattern, what in _ZIPPED if re.search(pattern, directory))
    if what:
        raise Unreadable(f"it is {what}, which is not read")
    return "docx"


def _directory(content: bytes) -> bytes:
    """The list of names at the end of an archive; all of it when it has none, as a file that was cut off."""
    end = content.rfind(b"PK\x05\x06")
    if end < 0 or len(content) < end + 22:
        return content
    size = int.from_bytes(content[end + 12 : end + 16], "little")
    return content[max(end - size, 0) : end]


def _ole(content: bytes) -> str:
    what = next(what for name, what in _OLE if name.encode("utf-16-le") in content)
    return f"it is {what}, which is not read" if what else ENCRYPTED


def _by_first_tag(content: bytes) -> Kind | None:
    start = content[:4096].replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").lstrip(b"\xff\xfe \t\r\n").lower()
    start = re.sub(rb"^(?:<\?xml[^>]{0,500}>|<!--.{0,2000}?-->|\s+)+", b"", start, flags=re.DOTALL)
    if re.match(rb"<!doctype\s+html|<html[\s>]", start):
        return "html"
    if re.match(rb"<!doctype\s+svg|<svg[\s>]", start):
        raise Unreadable("it is a picture of a kind (.svg), which is not read")
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:5] == b"<?xml":
        raise Unreadable("it is XML, which is not read")
    return None


def _said(name: str, mime_type: str | None) -> Kind | None:
    sent_as = (mime_type or "").partition(";")[0].strip().lower()
    return _EXTENSIONS.get(extension_of(name)) or _MIME_TYPES.get(sent_as)


def _why_not(name: str, mime_type: str | None, said: Kind | None) -> str:
    extension = extension_of(name)
    if said == "text":
        return "it is no text"
    if said:
        called = f"is named {extension}" if extension in SUPPORTED else f"was sent as {mime_type}"
        return f"it {called} and is not {_NAMED[said]}: it is damaged, or is something else"
    return next(_unread(extension, mime_type), "it is of a kind that is not known")


def _unread(extension: str, mime_type: str | None) -> Iterator[str]:
    for what, extensions in _OTHERS.items():
        if extension in extensions.split():
            yield f"it is {what} ({extension}), which is not read"
    for family, what in (("video/", "a video"), ("audio/", "a sound recording"), ("image/", "a picture of a kind")):
        if (mime_type or "").startswith(family):
            yield f"it is {what}, which is not read"

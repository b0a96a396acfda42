"""One file to a `Document`, in this process. `Reader` does it in one that may die of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from blocks.documents.kinds import Kind, kind_of, misnamed
from blocks.documents.limits import MOST_BYTES
from blocks.documents.model import Document, Unreadable


def _no_more() -> None:
    """Whoever reads in their own process waits as long as it takes."""


def read(
    content: bytes, name: str, mime_type: str | None = None, *, asks_for_time: Callable[[], None] = _no_more
) -> Document:
    """Read a file of any kind that is read; the name and type count where the content does not tell.

    A file that is broken so that the library crashes on it takes this process along, and a hostile one may take hours
    or all memory: read what strangers send with a `Reader`.

    Args:
        content: the file.
        name: its name, of which the extension counts, and which is the title where the file has none.
        mime_type: what it was sent as.
        asks_for_time: called before each page that is read by OCR, which takes seconds.

    Raises:
        Unreadable: with the reason.
        VendorError: OCR is needed, and its models are missing or changed.
    """
    if len(content) > MOST_BYTES:
        raise Unreadable(f"it has {len(content):,} bytes; at most {MOST_BYTES:,} are read")
    kind = kind_of(content, name, mime_type)
    document = _read_as(kind, content, asks_for_time)
    notes = tuple(filter(None, (misnamed(kind, name), *document.notes)))
    return replace(document, title=document.title or _stem(name), notes=notes)


def _read_as(kind: Kind, content: bytes, asks_for_time: Callable[[], None]) -> Document:
    """The modules are imported when they are needed: each brings a library of its own."""
    match kind:
        case "pdf":
            from blocks.documents import pdf

            return pdf.read(content, asks_for_time)
        case "image":
            from blocks.documents import image

            return image.read(content, asks_for_time)
        case "docx":
            from blocks.documents import docx

            return docx.read(content)
        case "markdown":
            from blocks.documents import markdown

            return markdown.read(content)
        case "html":
            from blocks.documents import html

            return html.read(content)
        case "mail":
            from blocks.documents import mail

            return mail.read(content)
        case "text":
            from blocks.documents import plain

            return plain.read(content)


def _stem(name: str) -> str:
    from blocks.documents.text import one_line

    return one_line(PurePosixPath(name.replace("\\", "/")).stem)

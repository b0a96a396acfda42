"""What the reader and its child process say of documents, in the frames of `blocks.confined.wire`."""

from dataclasses import asdict
from typing import Any

from blocks.confined.wire import Garbled
from blocks.documents.limits import MOST_TEXT
from blocks.documents.model import Document, Section

MOST_FRAME = 16 * MOST_TEXT
"""Bytes: all the text there may be, in three or four bytes a character, with the headings of all its sections."""


def to_json(document: Document) -> dict[str, Any]:
    """The fields of a document, for `frame`."""
    return asdict(document)


def to_document(fields: object) -> Document:
    """The document again, with every field of the type that it should be. Raises Garbled."""
    if not isinstance(fields, dict) or not isinstance(fields.get("sections"), list):
        raise Garbled("no document")
    return Document(
        title=_text(fields.get("title")),
        sections=tuple(_section(section) for section in fields["sections"]),
        pages=_number(fields.get("pages")),
        link=_text(fields.get("link")),
        notes=_texts(fields.get("notes")),
    )


def _section(fields: object) -> Section:
    if not isinstance(fields, dict):
        raise Garbled("no section")
    return Section(
        path=_texts(fields.get("path")),
        text=_text(fields.get("text")),
        page=_number(fields.get("page")),
        anchor=_text(fields.get("anchor")),
    )


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Garbled("no list")
    return tuple(map(_text, value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Garbled("no text")
    return value


def _number(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise Garbled("no number")
    return value

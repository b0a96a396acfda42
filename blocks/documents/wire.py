"""What the reader and its child process say to each other: frames of four bytes of length and that much JSON.

Not pickle: a child that a file has taken over could make its parent run anything with it.
"""

import json
from dataclasses import asdict
from typing import Any

from blocks.documents.limits import MOST_TEXT
from blocks.documents.model import Document, Section

HEAD = 4
MOST_FRAME = 16 * MOST_TEXT
"""Bytes: all the text there may be, in three or four bytes a character, with the headings of all its sections."""


class Garbled(ValueError):
    """What came is no frame, or says something that a child does not say."""


def frame(message: dict[str, Any]) -> bytes:
    """Ready to be sent."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    return len(body).to_bytes(HEAD, "big") + body


def message(body: bytes) -> dict[str, Any]:
    """What a frame says. Raises Garbled when it is no JSON object."""
    try:
        said = json.loads(body)
    except ValueError as error:
        raise Garbled("no JSON") from error
    if not isinstance(said, dict):
        raise Garbled("no object")
    return said


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

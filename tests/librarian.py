"""What the tests of the library put into it, and what they see in it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from blocks.documents import Document, Reader, Section
from blocks.library import ANYONE, STRANGERS, Hit, Item, Library, Scope, search
from blocks.library.tables import chunks, documents, passages

if TYPE_CHECKING:
    from tasks.indexing import Tally

SOURCE = "manual"


def item(name: str, /, **changes: Any) -> Item:
    """A document as its source tells of it, for anyone to read."""
    fields: dict[str, Any] = {"external_id": name, "name": name, "version": "1", "readers": frozenset({ANYONE})}
    return Item(**fields | changes)


def document(*texts: str, title: str = "", **changes: Any) -> Document:
    """A document of these sections, each under a heading of its own when it begins with `Heading: `."""
    sections = []
    for text in texts:
        heading, found, rest = text.partition(": ")
        sections.append(Section((heading,), rest) if found else Section((), text))
    return Document(title, tuple(sections), **changes)


def put(library: Library, name: str, *texts: str, source: str = SOURCE, title: str = "", **changes: Any) -> int:
    """Put a document in, as `document` and `item` make it; returns how many passages it has."""
    library.begin(source, "a folder")
    content = hashlib.sha256(repr(texts).encode()).hexdigest()
    return library.put(source, item(name, **changes), content, document(*texts, title=title))


def hits(library: Library, question: str, *readers: frozenset[str], most: int = 10) -> list[Hit]:
    """What is found for readers of whom nothing is known, or for these."""
    return search(library, question, Scope(readers or (STRANGERS,)), most)


def texts(library: Library, question: str, most: int = 10) -> list[str]:
    """The texts that are found, best first."""
    return [hit.text for hit in hits(library, question, most=most)]


def dump(library: Library) -> list[tuple[Any, ...]]:
    """All that the library holds, in an order of its own, without the numbers and times that each index has its own."""
    leave_out = {"id", "document_id", "passage_id", "indexed_at"}

    def kept(table: sa.Table, number: int) -> list[Any]:
        return [column for column in table.c if column.name not in leave_out][:number]

    with library.read() as connection:
        rows = (
            sa.select(*kept(documents, 99), *kept(passages, 99), *kept(chunks, 99))
            .outerjoin(passages, passages.c.document_id == documents.c.id)
            .outerjoin(chunks, chunks.c.passage_id == passages.c.id)
            .order_by(documents.c.source, documents.c.external_id, passages.c.number, chunks.c.start)
        )
        return [tuple(map(str, row)) for row in connection.execute(rows)]


def names(library: Library, source: str = SOURCE) -> dict[str, str]:
    """The names of a source's documents with their states."""
    return {known.name: known.state for known in library.known(source).values()}


def counts(tally: Tally) -> tuple[int, int, int, int]:
    """New, changed, as before, removed."""
    return tally.added, tally.changed, tally.unchanged, tally.removed


class Lasting(Reader):
    """A reader that many tests share, because its process takes half a second to start."""

    files = 0
    """How many it was given."""

    def __exit__(self, *_: object) -> None:
        """Stay."""

    def _send(self, content: bytes, name: str, mime_type: str | None, job: Any) -> Any:
        self.files += 1
        return super()._send(content, name, mime_type, job)

"""The library's tables. All of it can be made anew from the documents, so there are no migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, UserDefinedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSIONS = 384
INSTEAD = "\N{REPLACEMENT CHARACTER}"
MOST_PLACES = 200  # PostgreSQL keeps no more than 255 places of a word


class Words(TypeDecorator[str]):
    """Text from outside, without the two characters that one database or the other cannot hold."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """NUL, and halves of a character, as file names and vendors' JSON may have them."""
        return value and value.replace("\0", INSTEAD).encode("utf-8", "replace").decode()


class _HalfVec(UserDefinedType[Any]):
    """pgvector's vector of two bytes a number."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return f"halfvec({DIMENSIONS})"


class Vector(TypeDecorator[Any]):
    """A chunk's embedding: float16 numbers one after the other in SQLite, pgvector's `halfvec` in PostgreSQL."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return _HalfVec() if dialect.name == "postgresql" else sa.LargeBinary()

    def process_bind_param(self, value: NDArray[np.float32] | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if dialect.name == "postgresql":
            return "[" + ",".join(f"{number:.6g}" for number in value.tolist()) + "]"
        return value.astype("<f2").tobytes()


class _TsVector(UserDefinedType[Any]):
    """PostgreSQL's words with their places."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "tsvector"


class Stems(TypeDecorator[Any]):
    """The stems of a chunk: one text for SQLite's FTS5, a `tsvector` in PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return _TsVector() if dialect.name == "postgresql" else sa.Text()

    def process_bind_param(self, value: list[str] | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if dialect.name != "postgresql":
            return " ".join(value)
        # Its own literal, not `to_tsvector`: that one would cut words by rules of its own. Stems hold no quotes.
        places: dict[str, list[str]] = {}
        for place, stem in enumerate(value, start=1):
            places.setdefault(stem, []).append(str(place))
        return " ".join(f"'{stem}':{','.join(found[:MOST_PLACES])}" for stem, found in places.items())


metadata = sa.MetaData()

meta = sa.Table(
    "library_meta",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)
"""`format`: by which rules it was indexed. `made`: which making of the tables this is. `generation`: another one with
every change."""

sources = sa.Table(
    "library_sources",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("place", Words, nullable=False),  # for people: which folder
    sa.Column("cursor", sa.Text),  # where the source's own feed of changes is to be read on
    sa.Column("walked_at", sa.DateTime(timezone=True)),  # when all of it was last looked at, UTC
    sa.Column("problem", Words),  # why it could not be looked at the last time
)

documents = sa.Table(
    "library_documents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("source", sa.ForeignKey("library_sources.name", ondelete="CASCADE"), nullable=False),
    sa.Column("external_id", Words, nullable=False),
    sa.Column("name", Words, nullable=False),  # as people find it: a path in its folder
    sa.Column("version", sa.Text, nullable=False),  # the source's own word for "unchanged"
    sa.Column("content", sa.String),  # SHA-256 of the file, hexadecimal
    sa.Column("readers", sa.JSON, nullable=False),
    sa.Column("title", Words, nullable=False, default=""),
    sa.Column("link", Words, nullable=False, default=""),
    sa.Column("state", sa.String, nullable=False),  # indexed | refused
    sa.Column("reason", Words),  # why it was refused
    sa.Column("notes", sa.JSON, nullable=False),
    sa.Column("pages", sa.Integer),
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("indexed_at", sa.DateTime(timezone=True), nullable=False),  # UTC
    sa.UniqueConstraint("source", "external_id"),
    sqlite_autoincrement=True,  # a number is never given twice: what is held in memory must not mean another document
)

passages = sa.Table(
    "library_passages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("document_id", sa.ForeignKey("library_documents.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),  # its place in the document, from 0
    sa.Column("section", sa.Integer, nullable=False),
    sa.Column("start", sa.Integer, nullable=False),  # characters from the section's beginning
    sa.Column("path", sa.JSON, nullable=False),
    sa.Column("text", Words, nullable=False),
    sa.Column("page", sa.Integer),
    sa.Column("anchor", Words, nullable=False),
    sqlite_autoincrement=True,
)

chunks = sa.Table(
    "library_chunks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("document_id", sa.ForeignKey("library_documents.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("passage_id", sa.ForeignKey("library_passages.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("start", sa.Integer, nullable=False),  # characters from the passage's beginning
    sa.Column("end", sa.Integer, nullable=False),
    sa.Column("words", sa.Integer, nullable=False),  # how many stems it has
    sa.Column("vector", Vector, nullable=False),
    sa.Column("stems", Stems, nullable=False),
    sqlite_autoincrement=True,
)

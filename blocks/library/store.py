"""The library's database: documents with their passages, words and vectors, each document in one transaction.

It holds nothing that could not be made anew from the documents, so a file of another version is simply emptied and
indexed again. SQLite by default, PostgreSQL with pgvector by URL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from blocks import minilm
from blocks.database import Turns, engine_options, reading, take_turns, with_driver
from blocks.documents.model import Document
from blocks.library import passages as cutting
from blocks.library import words
from blocks.library.index import Index, PostgresIndex, SqliteIndex
from blocks.library.passages import Passage, passages_of, said
from blocks.library.readers import Readers
from blocks.library.tables import DIMENSIONS, chunks, documents, meta, metadata, passages, sources
from blocks.vendor import VendorError

ROOT = Path(__file__).parents[2]
SCHEMA = 2
"""Another number whenever the tables change."""

BUSY_SECONDS = 30
"""How long a writer waits for the others before it gives up."""

IDLE_SECONDS = 20
"""After this long without a word in the middle of a transaction, PostgreSQL undoes it: whoever was cut off must not
keep the others from writing. Shorter than `BUSY_SECONDS`, so that those who wait outlast it."""

WRITER = -773201441120338811
"""The advisory lock at which PostgreSQL's writers take turns: any number, always the same."""

EXTENSION = "vector"  # which is pgvector's name in PostgreSQL

PGVECTOR = (0, 8)
"""Before this version an HNSW search with a condition may find next to nothing: it has no iterative scan."""

INDEXED, REFUSED = "indexed", "refused"


class LibraryError(Exception):
    """The library cannot be used; the message names it and the way out."""


@dataclass(frozen=True)
class Item:
    """A document as its source tells of it, before it is read."""

    external_id: str
    """The source's own name for it, for good."""
    name: str
    """As people find it: its path in the folder."""
    version: str
    """Whatever the source says that changes when the document does."""
    readers: Readers
    link: str = ""
    anchored: bool = True
    """Whether the link, with `#` and a section's own name behind it, leads to that section."""
    size: int | None = None
    """Bytes; None where the source does not know."""
    mime_type: str | None = None


@dataclass(frozen=True)
class Known:
    """What the library holds of a document."""

    version: str
    content: str | None
    """SHA-256 of the file, hexadecimal; None of one that was refused before it was fetched."""
    readers: Readers
    name: str
    link: str
    state: str


@dataclass(frozen=True)
class SourceStatus:
    """What a source holds."""

    name: str
    place: str
    walked_at: datetime | None
    """When all of it was last looked at (UTC)."""
    problem: str | None
    """Why it could not be looked at the last time."""
    documents: int
    refused: int
    passages: int


@dataclass(frozen=True)
class RefusedDocument:
    """A document that cannot be read."""

    source: str
    name: str
    reason: str


Shelves = Mapping[tuple[str, Readers], Sequence[int]]
"""Source and readers -> the ids of the documents that are of both."""


def default_url() -> str:
    """`SIGNOFF_LIBRARY_URL`, or a SQLite file in `SIGNOFF_HOME`, which is this checkout's `.signoff/` by default."""
    home = Path(os.environ.get("SIGNOFF_HOME") or ROOT / ".signoff")
    return os.environ.get("SIGNOFF_LIBRARY_URL") or f"sqlite:///{home / 'library.db'}"


class Library:
    """A connection pool to the library's database. Safe to use from many threads."""

    def __init__(self, engine: Engine, model: Path | None = None) -> None:
        self.engine = engine
        self._reading = reading(engine)
        self.index: Index = PostgresIndex() if engine.dialect.name == "postgresql" else SqliteIndex()
        self._model = model
        self._shelves: tuple[str, Shelves] = ("", {})

    @classmethod
    def open(cls, url: str | None = None) -> Library:
        """Open (and create) the library at `url`, by default `default_url()`. One pool a process and URL.

        `SIGNOFF_EMBEDDER` names a folder with an embedding model of your own (see `minilm.embed`).

        Raises:
            LibraryError: the database cannot be opened.
        """
        return _open(with_driver(url or default_url()), os.environ.get("SIGNOFF_EMBEDDER") or None)

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return self.engine.url.render_as_string(hide_password=True)

    # What is in it

    def known(self, source: str) -> dict[str, Known]:
        """What is held of each of a source's documents, also of those that could not be read, by external id."""
        columns = (
            documents.c.external_id, documents.c.version, documents.c.content, documents.c.readers,
            documents.c.name, documents.c.link, documents.c.state,
        )  # fmt: skip
        with self.read() as connection:
            rows = connection.execute(sa.select(*columns).where(documents.c.source == source))
            return {
                row.external_id: Known(row.version, row.content, frozenset(row.readers), row.name, row.link, row.state)
                for row in rows
            }

    def cursor(self, source: str) -> str | None:
        """Where the source's feed of changes is to be read on; None before all of it was once looked at."""
        with self.read() as connection:
            return connection.scalar(sa.select(sources.c.cursor).where(sources.c.name == source))

    def shelves(self, connection: Connection) -> Shelves:
        """The documents that can be found, those of one source and the same readers together."""
        generation = str(connection.scalar(sa.select(meta.c.value).where(meta.c.key == "generation")))
        if self._shelves[0] != generation:
            columns = (documents.c.id, documents.c.source, documents.c.readers)
            shelves: dict[tuple[str, Readers], list[int]] = {}
            for row in connection.execute(sa.select(*columns).where(documents.c.state == INDEXED)):
                shelves.setdefault((row.source, frozenset(row.readers)), []).append(row.id)
            self._shelves = (generation, shelves)
        return self._shelves[1]

    def status(self) -> list[SourceStatus]:
        """What each source holds, by name."""
        per_state = sa.select(documents.c.source, documents.c.state, sa.func.count()).group_by(
            documents.c.source, documents.c.state
        )
        per_source = (
            sa.select(documents.c.source, sa.func.count())
            .join(passages, passages.c.document_id == documents.c.id)
            .group_by(documents.c.source)
        )
        with self.read() as connection:
            held = {(source, state): number for source, state, number in connection.execute(per_state)}
            cut = {source: number for source, number in connection.execute(per_source)}
            return [
                SourceStatus(
                    name=row.name,
                    place=row.place,
                    walked_at=_utc(row.walked_at),
                    problem=row.problem,
                    documents=held.get((row.name, INDEXED), 0),
                    refused=held.get((row.name, REFUSED), 0),
                    passages=cut.get(row.name, 0),
                )
                for row in connection.execute(sa.select(sources).order_by(sources.c.name))
            ]

    def refused(self) -> list[RefusedDocument]:
        """The documents that cannot be read, by source and name."""
        columns = (documents.c.source, documents.c.name, documents.c.reason)
        query = sa.select(*columns).where(documents.c.state == REFUSED)
        with self.read() as connection:
            rows = connection.execute(query.order_by(documents.c.source, documents.c.name))
            return [RefusedDocument(*row) for row in rows]

    def sections(self) -> set[tuple[str, str]]:
        """The title of its document, and the heading, of every section."""
        query = sa.select(documents.c.title, passages.c.path).join(documents, documents.c.id == passages.c.document_id)
        with self.read() as connection:
            return {(title, path[-1] if path else "") for title, path in connection.execute(query)}

    def size(self) -> int:
        """Bytes that the library takes on its disk."""
        with self.read() as connection:
            if self.engine.dialect.name == "postgresql":
                tables = " + ".join(f"pg_total_relation_size('{table.name}')" for table in metadata.sorted_tables)
                return int(connection.exec_driver_sql(f"SELECT {tables}").scalar() or 0)
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
            return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar() or 0)

    # Changing it

    def begin(self, source: str, place: str) -> None:
        """Make the source known; what was indexed by other rules is let go of first.

        Raises:
            LibraryError: the embedding model does not load.
        """
        with self.write() as connection:
            if self.format_of(connection) != self.format:
                self._make_anew(connection)
            found = {"name": source, "place": place}
            new = self._insert(sources).values(**found)
            connection.execute(new.on_conflict_do_update(index_elements=["name"], set_={"place": place}))

    def walked(self, source: str, cursor: str | None, problem: str | None = None) -> None:
        """Write down that all of a source was looked at, or why it could not be."""
        values: dict[str, Any] = {"problem": problem}
        if problem is None:
            values |= {"cursor": cursor, "walked_at": datetime.now(UTC)}
        with self.write() as connection:
            connection.execute(sa.update(sources).where(sources.c.name == source).values(**values))

    def put(self, source: str, item: Item, content: str, document: Document) -> int:
        """Take a document in, in place of what was known of it: all of it or, after a crash, nothing.

        Args:
            source: of which `begin` was told.
            item: as its source tells of it.
            content: SHA-256 of the file, hexadecimal.
            document: what it says.

        Returns:
            How many passages it has.

        Raises:
            LibraryError: the embedding model does not load, or the database went away.
        """
        title = document.title.strip() or item.name
        document = replace(document, title=title)
        cut = [
            passage if item.anchored else replace(passage, anchor="")
            for passage in passages_of(document, self._tokenize)
        ]
        texts = [said(title, passage, chunk, self._tokenize) for passage in cut for chunk in passage.chunks]
        vectors = self.embed(texts)
        row = {
            **_described(source, item),
            "content": content,
            "title": title,
            "link": item.link or document.link,
            "state": INDEXED,
            "reason": None,
            "notes": list(document.notes),
            "pages": document.pages,
        }
        with self.write() as connection:
            number = self._replace(connection, row)
            self._insert_passages(connection, number, cut, texts, vectors)
            self._changed(connection)
        return len(cut)

    def refuse(self, source: str, item: Item, content: str | None, reason: str) -> None:
        """Write down that a document cannot be read, and why; what was known of it is let go of."""
        row = {
            **_described(source, item),
            "content": content,
            "title": item.name,
            "link": item.link,
            "state": REFUSED,
            "reason": reason,
            "notes": [],
            "pages": None,
        }
        with self.write() as connection:
            self._replace(connection, row)
            self._changed(connection)

    def relabel(self, source: str, items: Sequence[Item], *, version: bool = False) -> None:
        """Take over who may read these documents, their names and links; with `version`, that they are as they were."""
        if not items:
            return
        with self.write() as connection:
            for item in items:
                mine = _is(source, item.external_id)
                new = {"readers": sorted(item.readers), "name": item.name}
                new |= {"link": item.link} if item.link else {}
                new |= {"version": item.version} if version else {}
                connection.execute(sa.update(documents).where(mine).values(**new))
            self._changed(connection)

    def remove(self, source: str, external_ids: Sequence[str]) -> int:
        """Let go of documents that their source no longer has; returns how many there were."""
        removed = 0
        with self.write() as connection:
            for external_id in external_ids:
                mine = _is(source, external_id)
                found = connection.scalar(sa.select(documents.c.id).where(mine))
                if found is not None:
                    self._delete(connection, [found])
                    removed += 1
            if removed:
                self._changed(connection)
        return removed

    def forget(self, source: str) -> int:
        """Let go of a source with all of its documents; returns how many there were."""
        with self.write() as connection:
            numbers = list(connection.scalars(sa.select(documents.c.id).where(documents.c.source == source)))
            self._delete(connection, numbers)
            connection.execute(sa.delete(sources).where(sources.c.name == source))
            self._changed(connection)
        return len(numbers)

    def embed(self, texts: Sequence[str]) -> Any:
        """Rows of length 1, shape [len(texts), 384], float32.

        Raises:
            LibraryError: the model does not load, or is of another width.
        """
        try:
            rows = minilm.embed(texts, self._model)
        except VendorError as error:
            raise LibraryError(str(error)) from error
        if rows.shape[1] != DIMENSIONS:
            raise LibraryError(
                f"the embedding model gives {rows.shape[1]} numbers a text; the library takes {DIMENSIONS}"
            )
        return rows

    @cached_property
    def format(self) -> str:
        """By which rules a document is indexed now: another word for it means another index."""
        try:
            weights = minilm.encoder(self._model).checksum
        except VendorError as error:
            raise LibraryError(str(error)) from error
        return f"{SCHEMA}.{words.VERSION}.{cutting.VERSION}.{weights[:16]}"

    # Transactions

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may write; writers take turns, on either database.

        Raises:
            LibraryError: the database went away, or another writer keeps it.
        """
        with _told(self), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, all of it at one moment.

        Raises:
            LibraryError: the database went away.
        """
        with _told(self), self._reading.connect() as connection:
            yield connection

    # Inside a transaction

    def _insert(self, table: sa.Table) -> Any:
        return (postgresql if self.engine.dialect.name == "postgresql" else sqlite).insert(table)

    def format_of(self, connection: Connection) -> str | None:
        """By which rules what it holds was indexed."""
        return connection.scalar(sa.select(meta.c.value).where(meta.c.key == "format"))

    def _make_anew(self, connection: Connection) -> None:
        self.index.drop(connection)
        metadata.drop_all(connection)
        self._make(connection)

    def _make(self, connection: Connection) -> None:
        metadata.create_all(connection)
        self.index.create(connection)
        made = {"format": self.format, "made": _chance(), "generation": _chance()}
        connection.execute(sa.insert(meta), [{"key": key, "value": value} for key, value in made.items()])

    def _changed(self, connection: Connection) -> None:
        """What other processes hold in memory is no longer what is here."""
        connection.execute(sa.update(meta).where(meta.c.key == "generation").values(value=_chance()))

    def _replace(self, connection: Connection, row: dict[str, Any]) -> int:
        mine = _is(row["source"], row["external_id"])
        before = connection.scalar(sa.select(documents.c.id).where(mine))
        if before is not None:
            self._delete(connection, [before])
        inserted = connection.execute(sa.insert(documents).values(**row, indexed_at=datetime.now(UTC)))
        [number] = inserted.inserted_primary_key or (0,)
        return int(number)

    def _delete(self, connection: Connection, numbers: Sequence[int]) -> None:
        self.index.removing(connection, numbers)
        for table in (chunks, passages):
            for number in numbers:
                connection.execute(sa.delete(table).where(table.c.document_id == number))
        for number in numbers:
            connection.execute(sa.delete(documents).where(documents.c.id == number))

    def _insert_passages(
        self, connection: Connection, document: int, cut: Sequence[Passage], texts: Sequence[str], vectors: Any
    ) -> None:
        if not cut:
            return
        rows = [
            {
                "document_id": document,
                "number": number,
                "section": passage.section,
                "start": passage.start,
                "path": list(passage.path),
                "text": passage.text,
                "page": passage.page,
                "anchor": passage.anchor,
            }
            for number, passage in enumerate(cut)
        ]
        connection.execute(sa.insert(passages), rows)
        query = sa.select(passages.c.id).where(passages.c.document_id == document).order_by(passages.c.number)
        owners = [
            (owner, chunk)
            for owner, passage in zip(connection.scalars(query).all(), cut, strict=True)
            for chunk in passage.chunks
        ]
        found = [
            {
                "document_id": document,
                "passage_id": owner,
                "start": chunk.start,
                "end": chunk.end,
                "words": len(stems),
                "vector": vector,
                "stems": stems,
            }
            for (owner, chunk), stems, vector in zip(owners, map(words.stems, texts), vectors, strict=True)
        ]
        if not found:
            return
        connection.execute(sa.insert(chunks), found)
        first = connection.scalar(sa.select(sa.func.min(chunks.c.id)).where(chunks.c.document_id == document))
        self.index.added(connection, int(first or 0))

    def _tokenize(self, text: str) -> Sequence[tuple[int, int]]:
        try:
            return minilm.encoder(self._model).places(text)
        except VendorError as error:
            raise LibraryError(str(error)) from error


def _described(source: str, item: Item) -> Mapping[str, Any]:
    return {
        "source": source,
        "external_id": item.external_id,
        "name": item.name,
        "version": item.version,
        "readers": sorted(item.readers),
        "bytes": item.size or 0,
    }


def _is(source: str, external_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(documents.c.source == source, documents.c.external_id == external_id)


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _chance() -> str:
    return os.urandom(8).hex()


CALLERS = (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.NotSupportedError, sa.exc.ProgrammingError)
"""What the caller did wrong; the database's other errors are its own."""


@contextmanager
def _told(library: Library) -> Iterator[None]:
    """The database's own failures become a `LibraryError`. What the caller did wrong stays what it is."""
    try:
        yield
    except CALLERS:
        raise
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise LibraryError(f"the library {library.name} cannot be used now ({_why(error)})") from error


@cache
def _open(url: str, model: str | None) -> Library:
    ways = "try sqlite:////path/library.db or postgresql://user@host/database"
    try:
        parsed = sa.make_url(url)
        if parsed.drivername not in ("postgresql+psycopg", "sqlite"):
            raise sa.exc.ArgumentError(f"the library knows SQLite and PostgreSQL, not {parsed.drivername}")
        engine = sa.create_engine(parsed, **engine_options(parsed))
    except ValueError as error:  # it quotes what it takes for the port, which may be a piece of the password
        raise LibraryError(
            f"SIGNOFF_LIBRARY_URL cannot be used (its port is no number; a password's @ : / are %40 %3A %2F); {ways}"
        ) from error
    except (sa.exc.ArgumentError, ImportError) as error:
        raise LibraryError(f"SIGNOFF_LIBRARY_URL cannot be used ({error}); {ways}") from error
    library = Library(engine, Path(model) if model else None)
    if engine.dialect.name == "sqlite" and parsed.database:
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LibraryError(f"the library {library.name} cannot be opened: {error}") from error
    # Not durable: after a power cut the last documents are indexed again, which the next run does by itself.
    take_turns(engine, Turns(WRITER, BUSY_SECONDS, IDLE_SECONDS, durable=False))
    try:
        _make_if_missing(library)
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise LibraryError(f"the library {library.name} cannot be opened: {_why(error)}") from error
    return library


def _make_if_missing(library: Library) -> None:
    # Looked at first without taking a turn: a search must not wait for those who write.
    with library._reading.connect() as connection:
        if sa.inspect(connection).has_table(meta.name):
            return
    with library.engine.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}")
            _check_pgvector(library, connection)
        if not sa.inspect(connection).has_table(meta.name):  # another process may have been faster
            library._make(connection)


def _check_pgvector(library: Library, connection: Connection) -> None:
    found = connection.scalar(sa.text("SELECT extversion FROM pg_extension WHERE extname = :name"), {"name": EXTENSION})
    if tuple(int(part) for part in str(found).split(".")[:2]) < PGVECTOR:
        newer = ".".join(map(str, PGVECTOR))
        raise LibraryError(f"the library {library.name} needs pgvector {newer} or newer; this database has {found}")


def _why(error: sa.exc.SQLAlchemyError) -> str:
    """What the database said, on one line, and the way out where there is a certain one."""
    why = " ".join(str(getattr(error, "orig", None) or error).split())
    if "file is not a database" in why or "malformed" in why:
        return f"{why}: move the file away and run `signoff library index`, which makes it anew from the documents"
    if "permission denied to create extension" in why:
        return f"{why}: let a superuser say CREATE EXTENSION vector in this database once"
    if "vector" in why and ("extension" in why or "type" in why):
        return f"{why}: install pgvector on the server (Debian: postgresql-NN-pgvector)"
    return why

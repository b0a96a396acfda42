"""Looking for chunks, by meaning and by words: what each database does in its own way."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from blocks.library.tables import DIMENSIONS, chunks, meta

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_ROWS = 5_000
"""Chunks that are scored for their words. A question's commonest words are left out where they would be more: they say
least, and it is they that take the time."""

EF_SEARCH = 200
"""How many neighbours pgvector's HNSW looks at: of its own (40) it would find less than is asked for."""


BY_LENGTH = 1
"""`ts_rank` divided by 1 + log(length): without it, recall@3 was .72 on the cookbook's questions instead of .76."""


UNSEEN = -2.0
"""Below every cosine: the score of a chunk that may not be seen."""


class Found(NamedTuple):
    """A chunk that was found."""

    chunk: int
    passage: int
    score: float
    """By meaning the cosine, -1 to 1; by words a number of which only the order counts."""


class Index(Protocol):
    """The two ways of looking. `documents` are the ids that may be seen; None for all."""

    def create(self, connection: Connection) -> None:
        """Make what the tables alone do not have."""

    def drop(self, connection: Connection) -> None:
        """Remove it again."""

    def added(self, connection: Connection, first_chunk: int) -> None:
        """Take up the chunks from this number on, in the transaction that has inserted them."""

    def removing(self, connection: Connection, documents: Sequence[int]) -> None:
        """Let go of documents' chunks, in the transaction that is about to delete them."""

    def nearest(
        self, connection: Connection, vector: NDArray[np.float32], documents: Sequence[int] | None, most: int
    ) -> list[Found]:
        """The chunks that are most like a vector of length 1, best first."""

    def by_words(
        self, connection: Connection, stems: Sequence[str], documents: Sequence[int] | None, most: int
    ) -> list[Found]:
        """The chunks that hold the most telling of these stems, best first."""


def telling(frequencies: Mapping[str, int]) -> list[str]:
    """The stems worth looking for, rarest first: all that there are, until they stand in too many chunks."""
    chosen: list[str] = []
    rows = 0
    for stem, count in sorted(frequencies.items(), key=lambda item: (item[1], item[0])):
        rows += count
        if chosen and rows > MOST_ROWS:
            break
        chosen.append(stem)
    return chosen


class SqliteIndex:
    """FTS5 in the file, and every vector in this process's memory: exact, and a tenth of the time of a search on disk.

    The memory follows the file: what other processes add or remove is seen at the next look.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: _Held | None = None

    def create(self, connection: Connection) -> None:
        """As `Index`."""
        connection.exec_driver_sql(
            "CREATE VIRTUAL TABLE library_words USING fts5("
            "stems, content='library_chunks', content_rowid='id', tokenize='unicode61')"
        )
        connection.exec_driver_sql("CREATE VIRTUAL TABLE library_vocabulary USING fts5vocab('library_words', 'row')")

    def drop(self, connection: Connection) -> None:
        """As `Index`."""
        connection.exec_driver_sql("DROP TABLE IF EXISTS library_vocabulary")
        connection.exec_driver_sql("DROP TABLE IF EXISTS library_words")

    def added(self, connection: Connection, first_chunk: int) -> None:
        """As `Index`."""
        connection.exec_driver_sql(
            "INSERT INTO library_words(rowid, stems) SELECT id, stems FROM library_chunks WHERE id >= ?", (first_chunk,)
        )

    def removing(self, connection: Connection, documents: Sequence[int]) -> None:
        """As `Index`."""
        # FTS5 has to be told what it is to forget.
        for document in documents:
            connection.exec_driver_sql(
                "INSERT INTO library_words(library_words, rowid, stems) "
                "SELECT 'delete', id, stems FROM library_chunks WHERE document_id = ?",
                (document,),
            )

    def nearest(
        self, connection: Connection, vector: NDArray[np.float32], documents: Sequence[int] | None, most: int
    ) -> list[Found]:
        """As `Index`."""
        return self._at(connection).nearest(vector, documents, most)

    def by_words(
        self, connection: Connection, stems: Sequence[str], documents: Sequence[int] | None, most: int
    ) -> list[Found]:
        """As `Index`."""
        marks = ",".join("?" * len(stems))
        known = connection.exec_driver_sql(
            f"SELECT term, doc FROM library_vocabulary WHERE term IN ({marks})", tuple(stems)
        )
        chosen = telling({str(term): int(count) for term, count in known})
        if not chosen:
            return []
        held = self._at(connection)
        allowed = None if documents is None else frozenset(documents)
        query = " OR ".join(f'"{stem}"' for stem in chosen)
        rows = connection.exec_driver_sql(
            "SELECT rowid, rank FROM library_words WHERE library_words MATCH ? ORDER BY rank LIMIT ?",
            (query, most if allowed is None else MOST_ROWS),
        )
        return held.named(((int(chunk), -float(rank)) for chunk, rank in rows), allowed, most)

    def _at(self, connection: Connection) -> _Held:
        """The vectors as the file has them now."""
        generation = str(connection.scalar(sa.select(meta.c.value).where(meta.c.key == "generation")))
        held = self._held
        if held is not None and held.generation == generation:
            return held
        with self._lock:
            if self._held is None or self._held.generation != generation:
                self._held = _Held.read(connection, generation, self._held)
            return self._held


class _Held:
    """All vectors at one moment. Never changed once made, so that a search needs no lock."""

    def __init__(self, generation: str, ids: NDArray[np.int64], matrix: NDArray[np.float32]) -> None:
        self.generation = generation
        self.chunks, self.passages, self.documents = ids
        self.matrix = matrix

    @classmethod
    def read(cls, connection: Connection, generation: str, before: _Held | None) -> _Held:
        """What the file holds; of what was held before only what is new is read."""
        import numpy as np

        rows = connection.execute(
            sa.select(chunks.c.id, chunks.c.passage_id, chunks.c.document_id).order_by(chunks.c.id)
        )
        ids = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 3).T.copy()
        matrix = np.empty((ids.shape[1], DIMENSIONS), dtype=np.float32)
        newest = 0
        if before is not None and len(before.chunks):
            newest = int(before.chunks[-1])
            kept = np.isin(before.chunks, ids[0], assume_unique=True)
            matrix[: int(kept.sum())] = before.matrix[kept]
        place = int(np.searchsorted(ids[0], newest, side="right"))
        vectors = connection.exec_driver_sql("SELECT vector FROM library_chunks WHERE id > ? ORDER BY id", (newest,))
        while some := vectors.fetchmany(4096):
            block = np.frombuffer(b"".join(row[0] for row in some), dtype="<f2").reshape(-1, DIMENSIONS)
            matrix[place : place + len(block)] = block
            place += len(block)
        return cls(generation, ids, matrix)

    def nearest(self, vector: NDArray[np.float32], documents: Sequence[int] | None, most: int) -> list[Found]:
        import numpy as np

        scores = self.matrix @ vector
        if documents is not None and len(scores):
            hidden = np.ones(int(self.documents.max()) + 1, dtype=bool)
            hidden[[number for number in documents if number < len(hidden)]] = False
            scores[hidden[self.documents]] = UNSEEN
        most = min(most, len(scores))
        best = np.argpartition(-scores, most - 1)[:most] if most else np.empty(0, dtype=np.int64)
        best = best[np.lexsort((self.chunks[best], -scores[best]))]
        return [
            Found(int(self.chunks[row]), int(self.passages[row]), float(scores[row]))
            for row in best
            if scores[row] != UNSEEN
        ]

    def named(self, ranked: Iterable[tuple[int, float]], documents: frozenset[int] | None, most: int) -> list[Found]:
        """Ranked chunks with their passages, without those that may not be seen."""
        import numpy as np

        found: list[Found] = []
        for chunk, score in ranked:
            row = int(np.searchsorted(self.chunks, chunk))
            if documents is None or int(self.documents[row]) in documents:
                found.append(Found(chunk, int(self.passages[row]), score))
                if len(found) == most:
                    break
        return found


class PostgresIndex:
    """pgvector's HNSW and PostgreSQL's own text search."""

    def create(self, connection: Connection) -> None:
        """As `Index`."""
        connection.exec_driver_sql("CREATE INDEX ix_library_chunks_stems ON library_chunks USING gin (stems)")
        connection.exec_driver_sql(
            "CREATE INDEX ix_library_chunks_vector ON library_chunks USING hnsw (vector halfvec_ip_ops)"
        )

    def drop(self, connection: Connection) -> None:
        """As `Index`."""

    def added(self, connection: Connection, first_chunk: int) -> None:
        """As `Index`."""

    def removing(self, connection: Connection, documents: Sequence[int]) -> None:
        """As `Index`."""

    def nearest(
        self, connection: Connection, vector: NDArray[np.float32], documents: Sequence[int] | None, most: int
    ) -> list[Found]:
        """As `Index`."""
        connection.exec_driver_sql(f"SET LOCAL hnsw.ef_search = {EF_SEARCH}")
        # What may not be seen is passed over while it looks, so that enough is found of the rest.
        connection.exec_driver_sql("SET LOCAL hnsw.iterative_scan = strict_order")
        rows = connection.execute(
            sa.text(
                "SELECT id, passage_id, -(vector <#> CAST(:vector AS halfvec)) FROM library_chunks"
                + _visible(documents)
                + " ORDER BY vector <#> CAST(:vector AS halfvec), id LIMIT :most"
            ),
            {"vector": str(vector.tolist()), "documents": documents, "most": most},
        )
        return [Found(int(chunk), int(passage), float(score)) for chunk, passage, score in rows]

    def by_words(
        self, connection: Connection, stems: Sequence[str], documents: Sequence[int] | None, most: int
    ) -> list[Found]:
        """As `Index`, in BM25's spirit: each word's rarity, times how often it comes, which soon counts less."""
        total = int(connection.scalar(sa.select(sa.func.count()).select_from(chunks)) or 0)
        count = sa.text("SELECT count(*) FROM library_chunks WHERE stems @@ CAST(:query AS tsquery)")
        frequencies = {stem: int(connection.scalar(count, {"query": f"'{stem}'"}) or 0) for stem in stems}
        chosen = telling({stem: count for stem, count in frequencies.items() if count})
        if not chosen:
            return []
        values: dict[str, Any] = {
            "all": " | ".join(f"'{stem}'" for stem in chosen),
            "documents": documents,
            "most": most,
        }
        terms = []
        for number, stem in enumerate(chosen):
            values[f"stem{number}"] = f"'{stem}'"
            values[f"weight{number}"] = math.log(1 + (total - frequencies[stem] + 0.5) / (frequencies[stem] + 0.5))
            terms.append(f":weight{number} * ts_rank(stems, CAST(:stem{number} AS tsquery), {BY_LENGTH})")
        rows = connection.execute(
            sa.text(
                f"SELECT id, passage_id, ({' + '.join(terms)}) AS score FROM library_chunks"
                + _visible(documents)
                + (" WHERE" if documents is None else " AND")
                + " stems @@ CAST(:all AS tsquery) ORDER BY score DESC, id LIMIT :most"
            ),
            values,
        )
        return [Found(int(chunk), int(passage), float(score)) for chunk, passage, score in rows]


def _visible(documents: Sequence[int] | None) -> str:
    return "" if documents is None else " WHERE document_id = ANY(:documents)"

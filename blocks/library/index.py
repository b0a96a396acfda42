"""Looking for chunks, by meaning and by words: what each database does in its own way."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from blocks.library.tables import DIMENSIONS, chunks, meta

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_ROWS = 5_000
"""Chunks that are scored for their words. A question's commonest words are left out where they would be more: they say
least, and it is they that take the time. SQLite counts them over all chunks, what is hidden among them: in a library of
thousands of chunks that can decide on whether a word counts, and never on what it is worth."""

EF_SEARCH = 200
"""How many neighbours pgvector's HNSW looks at: of its own (40) it would find less than is asked for."""


K1, B = 1.2, 0.75
"""BM25's usual numbers: how soon a word that comes again counts less, and by how much a longer chunk is worth less."""

BY_LENGTH = 1
"""`ts_rank` divided by 1 + log(length): without it, recall@3 was .72 on the cookbook's questions instead of .76."""


UNSEEN = -2.0
"""Below every cosine: the score of a chunk that may not be seen."""


Moment = tuple[str, str]
"""Which making of the tables, and which change of what is in them."""


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
        # `ascii` takes the stems as they are; `unicode61` would cut and fold them once more, by rules of its own.
        connection.exec_driver_sql(
            "CREATE VIRTUAL TABLE library_words USING fts5("
            "stems, content='library_chunks', content_rowid='id', tokenize='ascii')"
        )
        for table, kind in VOCABULARIES.items():
            connection.exec_driver_sql(f"CREATE VIRTUAL TABLE {table} USING fts5vocab('library_words', '{kind}')")

    def drop(self, connection: Connection) -> None:
        """As `Index`."""
        for table in (*VOCABULARIES, "library_words"):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")

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
        """As `Index`. FTS5 knows which chunks hold a word; what each is worth is said here: FTS5's own BM25 counts over
        all chunks, so that what may not be seen would change the order of what may."""
        marks = ",".join("?" * len(stems))
        known = connection.exec_driver_sql(
            f"SELECT term, doc FROM library_vocabulary WHERE term IN ({marks})", tuple(stems)
        )
        chosen = telling({str(term): int(count) for term, count in known})
        return self._at(connection).by_words([_holding(connection, stem) for stem in sorted(chosen)], documents, most)

    def _at(self, connection: Connection) -> _Held:
        """The vectors as the file has them now."""
        told = {str(key): str(value) for key, value in connection.execute(sa.select(meta.c.key, meta.c.value))}
        now = told["made"], told["generation"]
        held = self._held
        if held is not None and held.moment == now:
            return held
        with self._lock:
            if self._held is None or self._held.moment != now:
                self._held = _Held.read(connection, now, self._held)
            return self._held


VOCABULARIES = {"library_vocabulary": "row", "library_places": "instance"}
"""FTS5's words with how many chunks hold each, and with each place where they stand."""


def _holding(connection: Connection, stem: str) -> NDArray[np.int64]:
    """The chunks that hold a word, each as often as it does."""
    import numpy as np

    # As one text: thousands of rows, one by one, would take longer than the search itself.
    found = connection.exec_driver_sql("SELECT group_concat(doc) FROM library_places WHERE term = ?", (stem,)).scalar()
    return np.fromstring(str(found or ""), dtype=np.int64, sep=",")


class _Held:
    """All vectors at one moment. Never changed once made, so that a search needs no lock."""

    def __init__(self, moment: Moment, ids: NDArray[np.int64], matrix: NDArray[np.float32]) -> None:
        self.moment = moment
        self.chunks, self.passages, self.documents, self.lengths = ids
        self.matrix = matrix

    @classmethod
    def read(cls, connection: Connection, moment: Moment, before: _Held | None) -> _Held:
        """What the file holds; of what was held before only what is new is read."""
        import numpy as np

        rows = connection.execute(
            sa.select(chunks.c.id, chunks.c.passage_id, chunks.c.document_id, chunks.c.words).order_by(chunks.c.id)
        )
        ids = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 4).T.copy()
        matrix = np.empty((ids.shape[1], DIMENSIONS), dtype=np.float32)
        newest, place = 0, 0
        if before is not None and before.moment[0] == moment[0] and len(before.chunks):
            kept = np.isin(before.chunks, ids[0], assume_unique=True)
            old = int(np.searchsorted(ids[0], before.chunks[-1], side="right"))
            # Fewer when what was held is of a later moment than what this transaction sees.
            if int(kept.sum()) == old:
                newest, place = int(before.chunks[-1]), old
                matrix[:place] = before.matrix[kept]
        vectors = connection.exec_driver_sql("SELECT vector FROM library_chunks WHERE id > ? ORDER BY id", (newest,))
        while some := vectors.fetchmany(4096):
            block = np.frombuffer(b"".join(row[0] for row in some), dtype="<f2").reshape(-1, DIMENSIONS)
            matrix[place : place + len(block)] = block
            place += len(block)
        return cls(moment, ids, matrix)

    def nearest(self, vector: NDArray[np.float32], documents: Sequence[int] | None, most: int) -> list[Found]:
        import numpy as np

        scores = self.matrix @ vector
        if documents is not None:
            scores[~self._seen(documents)] = UNSEEN
        most = min(most, len(scores))
        best = np.argpartition(-scores, most - 1)[:most] if most else np.empty(0, dtype=np.int64)
        best = best[scores[best] != UNSEEN]
        # Once more, row by row: of many rows at once, equal ones come out a trifle different.
        return self._ranked(best, (self.matrix[best] * vector).sum(axis=1), most)

    def by_words(self, holding: Sequence[NDArray[np.int64]], documents: Sequence[int] | None, most: int) -> list[Found]:
        """BM25 over what may be seen. `holding` has of each word the chunks that hold it, each as often as it does."""
        import numpy as np

        seen = self._seen(documents)
        total = int(seen.sum())
        lengths = self.lengths / max(float(self.lengths[seen].mean()), 1.0) if total else self.lengths
        scores = np.zeros(len(self.chunks))
        for held in holding:
            rows, often = np.unique(np.searchsorted(self.chunks, held), return_counts=True)
            rows, often = rows[seen[rows]], often[seen[rows]]
            rarity = math.log(1 + (total - len(rows) + 0.5) / (len(rows) + 0.5))
            scores[rows] += rarity * often * (K1 + 1) / (often + K1 * (1 - B + B * lengths[rows]))
        rows = np.flatnonzero(scores)
        return self._ranked(rows, scores[rows], most)

    def _seen(self, documents: Sequence[int] | None) -> NDArray[np.bool_]:
        """Of each row, whether it may be seen."""
        import numpy as np

        if documents is None or not len(self.documents):
            return np.ones(len(self.documents), dtype=bool)
        seen = np.zeros(int(self.documents.max()) + 1, dtype=bool)
        seen[[number for number in documents if number < len(seen)]] = True
        rows: NDArray[np.bool_] = seen[self.documents]
        return rows

    def _ranked(self, rows: NDArray[np.int64], scores: NDArray[Any], most: int) -> list[Found]:
        """Best first; of equals the one that was indexed first."""
        import numpy as np

        order = np.lexsort((self.chunks[rows], -scores))[:most]
        return [
            Found(int(self.chunks[row]), int(self.passages[row]), float(score))
            for row, score in zip(rows[order], scores[order], strict=True)
        ]


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
        all_of_them = sa.text("SELECT count(*) FROM library_chunks" + _visible(documents))
        total = int(connection.scalar(all_of_them, {"documents": documents}) or 0)
        count = sa.text(
            "SELECT count(*) FROM library_chunks"
            + _visible(documents)
            + (" WHERE" if documents is None else " AND")
            + " stems @@ CAST(:query AS tsquery)"
        )
        frequencies = {
            stem: int(connection.scalar(count, {"query": f"'{stem}'", "documents": documents}) or 0) for stem in stems
        }
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

"""The library, as a system under test: the folder is indexed as `signoff library index` does, and searched as it is."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.retrieval.serving import Config, serve
from blocks.library import Library, Scope, search

FUSION: Any = importlib.import_module("blocks.library.search")
"""The module, which the function of that name hides."""

SHIPPED = "as shipped"


class Ours:
    """`Library.open` on a file below the store, the indexer on the folder, and `search`."""

    packages: Sequence[str] = ("onnxruntime", "tokenizers", "numpy")
    configs: ClassVar[Mapping[str, Config]] = {SHIPPED: {}} | {
        f"meaning {weight}, k {constant}": {"weight": weight, "constant": constant}
        for weight in (0.7, 1.0, 1.5)
        for constant in (5, 10, 20)
    }

    def index(self, folder: Path, store: Path, config: Config) -> int:
        """Index what is new or changed below the folder (Markdown or PDF); the number of child chunks."""
        from tasks import indexing
        from tasks.sources import Folder

        store.mkdir(parents=True, exist_ok=True)
        self.open(store, config)
        indexing.index(self.library, Folder(name="bench", path=str(folder), readers=("anyone",)))
        with self.library.read() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM library_chunks").scalar() or 0)

    def open(self, store: Path, config: Config) -> None:
        """Open the library that an earlier process wrote."""
        self.library = Library.open(f"sqlite:///{store / 'library.db'}")
        FUSION.MEANING_WEIGHT = config.get("weight", FUSION.MEANING_WEIGHT)
        FUSION.RANK_CONSTANT = config.get("constant", FUSION.RANK_CONSTANT)

    def search(self, question: str, k: int) -> list[tuple[str, str]]:
        """The document's path below the folder, and the section's text with its heading path, of each hit."""
        return [(hit.name, f"{hit.heading}\n{hit.text}") for hit in search(self.library, question, Scope(), k)]


if __name__ == "__main__":
    serve(Ours())

"""txtai: an `Embeddings` database with `hybrid=True`, on what its `Segmentation` cuts.

`headings` are sections, by the page break that its `Textractor` puts before each heading; the others are cut to size by
the chunker it names (chonkie's recursive one; a character is a quarter of a token).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from txtai import Embeddings
from txtai.pipeline import Segmentation

from benchmarks.retrieval.serving import Config, InMemory, documents, serve
from blocks import minilm


class Txtai(InMemory):
    """Hybrid search, its texts in a temporary SQLite file."""

    packages = ("txtai", "torch", "transformers", "chonkie", "faiss-cpu")
    configs: ClassVar[dict[str, Config]] = {
        f"{size} tokens, dense {dense}": {"size": size, "dense": dense}
        for size in (256, 512, 1024)
        for dense in (0.3, 0.5, 0.7)
    } | {f"headings, dense {dense}": {"dense": dense} for dense in (0.3, 0.5, 0.7)}

    def index(self, folder: Path, store: Path, config: Config) -> int:  # noqa: ARG002
        sized = "size" in config
        cut = Segmentation(chunker="recursive", chunk_size=4 * config["size"]) if sized else Segmentation(sections=True)
        rows = [
            {"text": piece, "file": name}
            for name, text in documents(folder)
            for piece in cut(text if sized else re.sub(r"(?m)^(?=#{1,6} )", "\f", text))
        ]
        self.weight = config["dense"]
        self.embeddings = Embeddings(
            method="external", transform=minilm.embed, hybrid=True, content=True, encodebatch=2048, batch=2048
        )
        self.embeddings.index(rows)
        return self.embeddings.count()

    def search(self, question: str, k: int) -> list[tuple[str, str]]:
        # Bound, not written into the SQL: questions hold quotation marks.
        sql = "select file, text, score from txtai where similar(:question)"
        found = self.embeddings.search(sql, limit=k, weights=self.weight, parameters={"question": question})
        return [(hit["file"], hit["text"]) for hit in found]


if __name__ == "__main__":
    serve(Txtai())

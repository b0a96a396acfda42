"""Haystack: `MarkdownHeaderSplitter`; its BM25 and embedding retrievers in memory, joined by reciprocal ranks.

The heading is embedded with every piece of its section, as its embedders do with `meta_fields_to_embed`. A token is
three quarters of a word.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from haystack import Document, Pipeline, component
from haystack.components.joiners import DocumentJoiner
from haystack.components.preprocessors import MarkdownHeaderSplitter
from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore

from benchmarks.retrieval.serving import Config, InMemory, documents, serve
from blocks import minilm

TOP_K = 20


@component
class TextEmbedder:
    """The embedder that all systems share."""

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        return {"embedding": minilm.embed([text])[0].tolist()}


@component
class DocumentEmbedder:
    """The same, for documents."""

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        rows = minilm.embed([f"{one.meta.get('header') or ''}\n{one.content}" for one in documents])
        for one, row in zip(documents, rows, strict=True):
            one.embedding = row.tolist()
        return {"documents": documents}


class Haystack(InMemory):
    """Hybrid search in memory."""

    packages = ("haystack-ai",)
    configs: ClassVar[dict[str, Config]] = {
        f"{size} tokens, dense {dense}": {"words": 3 * size // 4, "dense": dense}
        for size in (256, 512, 1024)
        for dense in (0.3, 0.5, 0.7)
    }

    def index(self, folder: Path, store: Path, config: Config) -> int:  # noqa: ARG002
        kept = InMemoryDocumentStore(embedding_similarity_function="cosine", return_embedding=False)
        words = config["words"]
        writing = Pipeline()
        writing.add_component(
            "split", MarkdownHeaderSplitter(secondary_split="word", split_length=words, split_overlap=words // 5)
        )
        writing.add_component("embed", DocumentEmbedder())
        writing.add_component("write", DocumentWriter(kept))
        writing.connect("split.documents", "embed.documents")
        writing.connect("embed.documents", "write.documents")
        files = [Document(content=text, meta={"file": name}) for name, text in documents(folder)]
        writing.run({"split": {"documents": files}})

        weights = [1 - config["dense"], config["dense"]]
        self.reading = Pipeline()
        self.reading.add_component("lexical", InMemoryBM25Retriever(kept, top_k=TOP_K))
        self.reading.add_component("embed", TextEmbedder())
        self.reading.add_component("dense", InMemoryEmbeddingRetriever(kept, top_k=TOP_K))
        self.reading.add_component("join", DocumentJoiner(join_mode="reciprocal_rank_fusion", weights=weights))
        self.reading.connect("embed.embedding", "dense.query_embedding")
        self.reading.connect("lexical", "join")
        self.reading.connect("dense", "join")
        return kept.count_documents()

    def search(self, question: str, k: int) -> list[tuple[str, str]]:
        found = self.reading.run({"lexical": {"query": question}, "embed": {"text": question}})
        return [(hit.meta["file"], hit.content or "") for hit in found["join"]["documents"][:k]]


if __name__ == "__main__":
    serve(Haystack())

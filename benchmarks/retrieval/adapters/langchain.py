"""LangChain: sections by heading, cut to size; BM25 and FAISS by reciprocal ranks in an `EnsembleRetriever`.

As its documentation has it (a character is a quarter of a token, overlap a fifth), but for BM25's words: the default
splits at white space and keeps capitals. `parents` are its `ParentDocumentRetriever` in place of plain FAISS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from langchain_classic.retrievers import EnsembleRetriever, ParentDocumentRetriever
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.stores import InMemoryStore
from langchain_text_splitters import MarkdownHeaderTextSplitter, RecursiveCharacterTextSplitter

from benchmarks.retrieval.serving import Config, InMemory, documents, serve
from blocks import minilm

HEADINGS = [("#", "h1"), ("##", "h2"), ("###", "h3")]
TOP_K = 20


class MiniLM(Embeddings):
    """The embedder that all systems share."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return minilm.embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return minilm.embed([text])[0].tolist()


class LangChain(InMemory):
    """Hybrid search in memory."""

    packages = ("langchain-classic", "langchain-core", "langchain-community", "langchain-text-splitters", "faiss-cpu")
    configs: ClassVar[dict[str, Config]] = {
        f"{size} tokens, dense {dense}": {"size": size, "dense": dense}
        for size in (256, 512, 1024)
        for dense in (0.3, 0.5, 0.7)
    } | {f"parents 512 of 256, dense {dense}": {"size": 512, "child": 256, "dense": dense} for dense in (0.3, 0.5, 0.7)}

    def index(self, folder: Path, store: Path, config: Config) -> int:  # noqa: ARG002
        by_heading = MarkdownHeaderTextSplitter(HEADINGS, strip_headers=False)
        sections: list[Document] = []
        for name, text in documents(folder):
            for section in by_heading.split_text(text):
                section.metadata["source"] = name
                sections.append(section)
        chunks = splitter(config["size"]).split_documents(sections)
        lexical = BM25Retriever.from_documents(chunks, preprocess_func=words, k=TOP_K)
        if "child" in config:
            import faiss

            vectors = FAISS(MiniLM(), faiss.IndexFlatL2(minilm.DIMENSIONS), InMemoryDocstore(), {})
            dense: Any = ParentDocumentRetriever(
                vectorstore=vectors,
                docstore=InMemoryStore(),
                child_splitter=splitter(config["child"]),
                search_kwargs={"k": 2 * TOP_K},
            )
            dense.add_documents(chunks)
            count = len(vectors.index_to_docstore_id)
        else:
            dense = FAISS.from_documents(chunks, MiniLM()).as_retriever(search_kwargs={"k": TOP_K})
            count = len(chunks)
        weights = [1 - config["dense"], config["dense"]]
        self.retriever = EnsembleRetriever(retrievers=[lexical, dense], weights=weights)
        return count

    def search(self, question: str, k: int) -> list[tuple[str, str]]:
        found: Sequence[Document] = self.retriever.invoke(question)
        return [(hit.metadata["source"], hit.page_content) for hit in found[:k]]


def splitter(tokens: int) -> RecursiveCharacterTextSplitter:
    """Cuts to about so many tokens."""
    return RecursiveCharacterTextSplitter(chunk_size=4 * tokens, chunk_overlap=4 * tokens // 5)


def words(text: str) -> list[str]:
    """Lower-case words."""
    return re.findall(r"\w+", text.lower())


if __name__ == "__main__":
    serve(LangChain())

"""LlamaIndex: `MarkdownNodeParser`, then `SentenceSplitter`; BM25 and vectors in a `QueryFusionRetriever`.

The file's name and the path of headings are in the nodes' metadata, which it embeds with them. `merging` are its
`HierarchicalNodeParser` and `AutoMergingRetriever`: small nodes found, their parents returned where several are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import HierarchicalNodeParser, MarkdownNodeParser, SentenceSplitter, get_leaf_nodes
from llama_index.core.retrievers import AutoMergingRetriever, QueryFusionRetriever
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.retrievers.bm25 import BM25Retriever

from benchmarks.retrieval.serving import Config, InMemory, documents, serve
from blocks import minilm

TOP_K = 20


class MiniLM(BaseEmbedding):
    """The embedder that all systems share."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return minilm.embed([query])[0].tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_query_embedding(text)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return minilm.embed(texts).tolist()


class LlamaIndex(InMemory):
    """Hybrid search in memory."""

    packages = ("llama-index-core", "llama-index-retrievers-bm25", "bm25s")
    configs: ClassVar[dict[str, Config]] = {
        f"{size} tokens, {mode}": {"size": size, "mode": mode}
        for size in (256, 512, 1024)
        for mode in ("reciprocal_rerank", "relative_score")
    } | {"merging 1024, 512, 256": {"merging": [1024, 512, 256], "mode": "reciprocal_rerank"}}

    def index(self, folder: Path, store: Path, config: Config) -> int:  # noqa: ARG002
        files = [Document(text=text, metadata={"file_name": name}) for name, text in documents(folder)]
        storage = StorageContext.from_defaults(docstore=SimpleDocumentStore())
        if "merging" in config:
            every = HierarchicalNodeParser.from_defaults(chunk_sizes=config["merging"]).get_nodes_from_documents(files)
            storage.docstore.add_documents(every)
            nodes: list[BaseNode] = get_leaf_nodes(every)
        else:
            size = config["size"]
            steps = [MarkdownNodeParser(), SentenceSplitter(chunk_size=size, chunk_overlap=size // 5)]
            nodes = list(IngestionPipeline(transformations=steps).run(documents=files))
        vectors = VectorStoreIndex(nodes, storage_context=storage, embed_model=MiniLM(embed_batch_size=2048))
        retriever: Any = QueryFusionRetriever(
            [
                vectors.as_retriever(similarity_top_k=TOP_K),
                BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=TOP_K),
            ],
            llm=MockLLM(),  # asked for nothing: one query, the question itself
            mode=config["mode"],
            similarity_top_k=TOP_K,
            num_queries=1,
            use_async=False,
        )
        self.retriever = AutoMergingRetriever(retriever, storage) if "merging" in config else retriever
        return len(nodes)

    def search(self, question: str, k: int) -> list[tuple[str, str]]:
        found = self.retriever.retrieve(question)
        return [(hit.metadata["file_name"], hit.node.get_content(MetadataMode.NONE)) for hit in found[:k]]


if __name__ == "__main__":
    serve(LlamaIndex())

"""A system under test, in a process of its own: one JSON object a line in, one out.

    {"op": "index", "folder": ..., "store": ..., "config": {...}, "quick": false, "kept": null}
        -> {"seconds", "cpu_seconds", "embed_seconds", "chunks", "rss_mb", "peak_mb", "child_peak_mb"}
    {"op": "open", "store": ..., "config": {...}}    the index that another process left there: {"seconds", ...}
    {"op": "search", "question": ..., "k": 20}       -> {"ms", "cpu_ms", "hits": [{"document", "text"}]}
    {"op": "memory"}                                 -> {"rss_mb", "peak_mb", "child_peak_mb"}

CPU time is with that of processes that it started and that have ended; memory of those is told apart.

Its first line, when it can take work (everything imported, the model loaded), is {"versions", "configs"}. Every system
embeds with `blocks.minilm`, which needs nothing of ours but itself: the same weights, threads and batches for all. With
`quick`, texts that are embedded several at once get a cheap vector of their words in place of the model's: where only
speed and memory after indexing are asked for, 100,000 embeddings are not. With `kept`, a file, embeddings are taken
from there or put there: where only the quality of many settings is asked for, no text is embedded twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import sqlite3
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from blocks import minilm

Config = Mapping[str, Any]
ROWS = 4_096


class Adapter(Protocol):
    """What a system has to do. It may take its time to import before `serve` is called: that is measured, too."""

    packages: Sequence[str]
    """Whose versions are reported."""
    configs: Mapping[str, Config]
    """Its settings by name: the best on the `tune` half is scored."""

    def index(self, folder: Path, store: Path, config: Config) -> int:
        """Index every document below the folder; the number of chunks. What is kept on disk goes below `store`."""

    def open(self, store: Path, config: Config) -> None:
        """Take the index that an earlier process left below `store`."""

    def search(self, question: str, k: int) -> list[tuple[str, str]]:
        """Up to `k` texts, the best first, each with its document's path below the folder, in POSIX style."""


class InMemory:
    """A system whose index ends with its process."""

    def open(self, store: Path, config: Config) -> None:
        """Refuse."""
        raise NotImplementedError("keeps its index in memory")


class Embedding:
    """Times every embedding of the process, and can replace them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.quick = False
        self.kept: str | None = None

    def install(self) -> None:
        """Stand between everybody and the model."""
        real = minilm.Encoder.embed

        def embed(encoder: minilm.Encoder, texts: Sequence[str]) -> Any:
            began = time.perf_counter()
            if self.quick and len(texts) > 1:
                rows = cheap(texts)
            elif self.kept:
                rows = from_kept(f"{self.kept}.{encoder.checksum[:8]}", texts, lambda missing: real(encoder, missing))
            else:
                rows = real(encoder, texts)
            self.seconds += time.perf_counter() - began
            return rows

        minilm.Encoder.embed = embed


def serve(adapter: Adapter) -> None:
    """Answer until the input ends. An error ends the process: its last words are on standard error."""
    # Libraries print; what they print must not stand between two replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    embedding = Embedding()
    embedding.install()
    minilm.encoder()
    versions = {package: version(package) for package in adapter.packages}
    _say(replies, {"versions": versions, "configs": {name: dict(config) for name, config in adapter.configs.items()}})
    for line in sys.stdin:
        _say(replies, _answer(adapter, embedding, json.loads(line)))


def documents(folder: Path) -> Iterator[tuple[str, str]]:
    """The name and the text of every Markdown file."""
    for path in sorted(folder.rglob("*.md")):
        yield path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")


def cheap(texts: Sequence[str]) -> Any:
    """A unit row for each text, the sum of a row for each of its words."""
    table = np.random.default_rng(0).standard_normal((ROWS, minilm.DIMENSIONS), dtype=np.float32)
    rows = np.empty((len(texts), minilm.DIMENSIONS), dtype=np.float32)
    for number, text in enumerate(texts):
        words = [zlib.crc32(word.encode()) % ROWS for word in re.findall(r"\w+", text.lower())] or [0]
        rows[number] = table[words].sum(axis=0)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def from_kept(path: str, texts: Sequence[str], embed: Callable[[Sequence[str]], Any]) -> Any:
    """The row of each text, embedded only where the file does not have it."""
    keys = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in texts]
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("create table if not exists embedding (text blob primary key, row blob) without rowid")
        found = {
            key: np.frombuffer(row[0], dtype=np.float32)
            for key in set(keys)
            if (row := file.execute("select row from embedding where text = ?", [key]).fetchone())
        }
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            new = dict(zip(missing, embed(list(missing.values())), strict=True))
            rows = ((key, row.astype(np.float32).tobytes()) for key, row in new.items())
            file.executemany("insert or ignore into embedding values (?, ?)", rows)
            found |= new
    return np.stack([found[key] for key in keys]) if keys else embed(texts)


def _answer(adapter: Adapter, embedding: Embedding, request: dict[str, Any]) -> dict[str, Any]:
    wall, cpu, embedded = time.perf_counter(), _cpu(), embedding.seconds
    reply: dict[str, Any] = {}
    match request["op"]:
        case "index":
            embedding.quick, embedding.kept = request.get("quick", False), request.get("kept")
            reply["chunks"] = adapter.index(Path(request["folder"]), Path(request["store"]), request["config"])
            embedding.quick, embedding.kept = False, None
        case "open":
            adapter.open(Path(request["store"]), request["config"])
        case "search":
            found = adapter.search(request["question"], request["k"])
            spent = (time.perf_counter() - wall, _cpu() - cpu)
            hits = [{"document": document, "text": text} for document, text in found[: request["k"]]]
            return {"ms": 1000 * spent[0], "cpu_ms": 1000 * spent[1], "hits": hits}
        case "memory":
            return _memory()
    reply["seconds"] = time.perf_counter() - wall
    reply["cpu_seconds"] = _cpu() - cpu
    reply["embed_seconds"] = embedding.seconds - embedded
    return reply | _memory()


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _memory() -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"rss_mb": pages * resource.getpagesize() / 2**20, "peak_mb": peak, "child_peak_mb": child}


def _say(replies: Any, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()

"""Systems on a corpus: indexed, asked everything in turns, judged; and which of its settings to judge each one by.

Settings are chosen by recall and hits together, on the questions of the `tune` half alone, for each system and corpus.
What was found is kept beside the peers' environments for as long as the same versions meet the same corpus.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.retrieval import metrics
from benchmarks.retrieval.corpora import Corpus, Question
from benchmarks.retrieval.metrics import Score, Source, hits_of, mean, percentile, score
from benchmarks.retrieval.peers import ADAPTERS, OURS, Running, System

K = 20
WARM_UP = 3
KEPT = "tuned.json"
EMBEDDINGS = "embeddings"


@dataclass(frozen=True)
class Setting:
    """A system as one of its settings has it."""

    system: System
    name: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What one process did with one corpus."""

    config: str
    seconds: float
    """To index."""
    cpu_seconds: float
    embed_seconds: float
    chunks: int
    import_seconds: float
    p50: float
    """Milliseconds of a question."""
    p95: float
    cpu_ms: float
    """Mean of a question."""
    rss_mb: float
    peak_mb: float
    scores: Mapping[str, Score]
    """By question."""

    def half(self, corpus: Corpus, half: str) -> list[Score]:
        """The scores of the questions of one half, in their order."""
        return [self.scores[question.name] for question in corpus.questions if question.half == half]


@dataclass(frozen=True)
class Tried:
    """How one setting did on both halves; only `tune` is looked at to choose."""

    tune: dict[str, float]
    score: dict[str, float]
    chunks: int

    @property
    def worth(self) -> float:
        """What the best is chosen by."""
        return (self.tune["recall"] + self.tune["hit"]) / 2


@dataclass
class Run:
    """A process that has indexed a corpus."""

    setting: Setting
    corpus: Corpus
    running: Running
    indexed: dict[str, Any]
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask(self, question: Question) -> None:
        """Search, and keep the reply."""
        self.replies[question.name] = self.running.ask(op="search", question=question.text, k=K)

    def result(self, sources: Mapping[str, Source]) -> Result:
        """When everything is asked: the figures."""
        memory = self.running.ask(op="memory")
        took = [reply["ms"] for reply in self.replies.values()]
        return Result(
            config=self.setting.name,
            seconds=self.indexed["seconds"],
            cpu_seconds=self.indexed["cpu_seconds"],
            embed_seconds=self.indexed["embed_seconds"],
            chunks=self.indexed["chunks"],
            import_seconds=self.running.import_seconds,
            p50=statistics.median(took),
            p95=percentile(took, 0.95),
            cpu_ms=statistics.fmean(reply["cpu_ms"] for reply in self.replies.values()),
            rss_mb=memory["rss_mb"],
            peak_mb=memory["peak_mb"],
            scores={one.name: score(one, hits_of(self.replies[one.name]), sources) for one in self.corpus.questions},
        )


@contextmanager
def indexed(setting: Setting, corpus: Corpus, embeddings: Path | None = None) -> Iterator[Run]:
    """A new process that has indexed the corpus and is warm.

    Args:
        setting: what runs.
        corpus: what it indexes.
        embeddings: a file to keep them in, where the seconds do not matter.
    """
    kept = str(embeddings) if embeddings else None
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as store, Running(setting.system) as running:
        config = dict(setting.config)
        reply = running.ask(op="index", folder=str(corpus.folder), store=store, config=config, kept=kept)
        for question in corpus.questions[:WARM_UP]:
            running.ask(op="search", question=question.text, k=K)
        yield Run(setting, corpus, running, reply)


def one_round(settings: Sequence[Setting], corpus: Corpus, sources: Mapping[str, Source]) -> dict[str, Result]:
    """Index with one after the other; then ask each question of all, one after the other, another one first each time.

    So whatever else the machine does meanwhile, it does to all of them.
    """
    with ExitStack() as stack:
        runs = [stack.enter_context(indexed(setting, corpus)) for setting in settings]
        for number, question in enumerate(corpus.questions):
            for run in turned(runs, number):
                run.ask(question)
        return {run.setting.system.name: run.result(sources) for run in runs}


def turned(things: Sequence[Any], by: int) -> list[Any]:
    """The same in the same order, but another one first."""
    first = by % len(things)
    return [*things[first:], *things[:first]]


def settings_of(system: System) -> list[Setting]:
    """A system's settings, the default one first."""
    with Running(system) as running:
        return [Setting(system, name, config) for name, config in running.ready["configs"].items()]


def tune(
    systems: Sequence[System], corpus: Corpus, sources: Mapping[str, Source], folder: Path, say: Callable[[str], None]
) -> dict[str, dict[str, Tried]]:
    """How each setting of each system does on the corpus; tried now, where it is not known yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / KEPT
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found: dict[str, dict[str, Tried]] = {system.name: {} for system in systems}
    for system in systems:
        with Running(system) as running:
            versions = running.ready["versions"]
        for setting in settings_of(system):
            key = _key(setting, corpus, versions)
            if key in kept:
                found[system.name][setting.name] = Tried(**kept[key])
                continue
            say(f"{corpus.name}: trying {system.name}, {setting.name}")
            with indexed(setting, corpus, folder / EMBEDDINGS) as run:
                for question in corpus.questions:
                    run.ask(question)
                result = run.result(sources)
            halves = {half: mean(result.half(corpus, half)) for half in ("tune", "score")}
            tried = found[system.name][setting.name] = Tried(**halves, chunks=result.chunks)
            # The library changes with no change of version: what it did yesterday says nothing.
            if system.name != OURS:
                kept[key] = asdict(tried)
                path.write_text(json.dumps(kept, indent=1))
    return found


def best(tried: Mapping[str, Tried]) -> str:
    """The name of the setting that did best on the `tune` half."""
    return max(tried, key=lambda name: tried[name].worth)


def _key(setting: Setting, corpus: Corpus, versions: Mapping[str, str]) -> str:
    paths = (ADAPTERS / f"{setting.system.name}.py", Path(metrics.__file__))
    code = [path.read_text() for path in paths if path.exists()]
    told = json.dumps([corpus.checksum(), versions, setting.config, code], sort_keys=True)
    return f"{setting.system.name}/{corpus.name}/{hashlib.sha256(told.encode()).hexdigest()[:16]}"

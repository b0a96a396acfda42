"""How fast and how good is the library, next to its peers? `python -m benchmarks.library --data DATA`

Every system runs in a process of its own, embeds with the same int8 MiniLM (same threads, same batches), and is given
the same folders and questions; in each round all take turns, to index and at each question. A peer is set up as its
documentation has it; its sizes and weights are chosen on one half of the questions and judged on the other, and so are
ours. Peers keep their index in memory, which is in their favour: ours is in a file when the clock stops.

- index: the folder to an index that can be asked. Embedding is most of it: a system whose chunks are longer than the
  256 tokens that the model reads embeds less of the text, and is the faster for it;
- query: one question at a time, its embedding with it; JSON and the pipe are not counted;
- hit@5, read (a hit within 2,000 tokens), recall@2000, MRR: `benchmarks/retrieval/metrics.py` says what is right;
- import: until the process can take work; RSS: after the last question, and the most it ever was.

Then ours alone: `--scale` chunks (with cheap vectors in place of the model's, since only speed and memory of the search
are asked for), and `--pdfs` PDFs of three pages, from files to index, and again with nothing changed.

Absolute figures belong to the machine and the minute; the ratios within one round are what to compare.
`--install-peers` makes the peers' environments (a few GB, PyTorch among them); a peer without one is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.retrieval import corpora, metrics, pdfs, peers, rounds
from benchmarks.retrieval.corpora import Corpus
from benchmarks.retrieval.metrics import Source
from benchmarks.retrieval.peers import OURS, Running, System, SystemFailed
from benchmarks.retrieval.rounds import Result, Tried

SCALE = 100_000
PDFS = 1_847
SHARE_OF_PEER = 0.5  # of the fastest peer's time: ours should take at most that, to index and to answer
SCALE_P95_MS, SCALE_RSS_MB = 50, 500
UNCHANGED_SECONDS = 1.0
PAGES_A_SECOND = 25

FIGURES = ("hit", "read", "recall", "rank")
COLUMNS = ("system", "index s", "times ours", "CPU s", "not embedding s")
COLUMNS += ("query p50 ms", "times ours", "p95 ms", "CPU ms")
COLUMNS += ("hit@5", "read", "recall@2000", "MRR", "RSS (peak) MB", "import s")

Rounds = dict[str, list[Result]]
"""Of each system."""


def main() -> None:
    """Measure, and print the tables."""
    options = parse()
    if options.install_peers:
        peers.install(options.peers, options.systems)
    systems = available(options)
    figures: dict[str, Any] = {"corpora": {}}
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder:
        made = corpora.make(options.corpora, options.data, Path(folder))
        for corpus in made if systems else ():
            sources = {name: Source(text) for name, text in corpus.texts().items()}
            tried = rounds.tune(systems, corpus, sources, options.peers, note)
            results = in_turns(systems, corpus, sources, tried, options.rounds)
            figures["corpora"][corpus.name] = as_json(corpus, tried, results)
            if not options.json:
                print_tried(corpus, tried)
                print_rounds(corpus, results)
        if ours := next((system for system in systems if system.name == OURS), None):
            figures |= alone(ours, made, Path(folder), options)
    if options.json:
        print(json.dumps(figures, indent=2))  # noqa: T201


def parse() -> argparse.Namespace:
    """The command line."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    data = os.environ.get("SIGNOFF_DATA")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data, help="a folder with cookbook_rag_docs and qmsum")
    parser.add_argument("--peers", type=Path, default=cache / "signoff-peers", help="where their environments are")
    parser.add_argument("--install-peers", action="store_true", help="make those that are missing, first")
    parser.add_argument("--systems", nargs="*", default=[*peers.PEERS], choices=peers.PEERS, help="which peers")
    parser.add_argument("--without-ours", action="store_true", help="the peers alone")
    parser.add_argument("--corpora", nargs="*", default=[*corpora.CORPORA], choices=corpora.CORPORA)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=SCALE, metavar="CHUNKS", help="0: leave that part out")
    parser.add_argument("--pdfs", type=int, default=PDFS, metavar="FILES", help="0: leave that part out")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not options.data:
        parser.error("name the folder of the data with --data, or with SIGNOFF_DATA")
    return options


def note(text: str) -> None:
    """Tell of what is going on, without disturbing the figures."""
    print(text, file=sys.stderr)  # noqa: T201


def available(options: argparse.Namespace) -> list[System]:
    """Ours and the peers that can run here; one line on each that cannot."""
    found = peers.installed(options.peers, options.systems)
    for name in sorted(set(options.systems) - {system.name for system in found}):
        note(f"{name} is not installed below {options.peers} and left out: see --install-peers")
    if options.without_ours:
        return found
    try:
        works(ours := peers.ours())
    except SystemFailed as error:
        note(f"left out: {error}")
        return found
    return [ours, *found]


def works(system: System) -> None:
    """Index one line and find it.

    Raises:
        SystemFailed: it cannot.
    """
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder, Running(system) as running:
        (Path(folder) / "docs").mkdir()
        (Path(folder) / "docs" / "one.md").write_text("# One\n\n## Two\n\nThe remote control is yellow.\n")
        config = next(iter(running.ready["configs"].values()))
        running.ask(op="index", folder=f"{folder}/docs", store=folder, config=config)
        running.ask(op="search", question="Which colour is it?", k=1)


def in_turns(
    systems: Sequence[System],
    corpus: Corpus,
    sources: Mapping[str, Source],
    tried: Mapping[str, Mapping[str, Tried]],
    count: int,
) -> Rounds:
    """So many rounds of all systems, each with its best setting; another one begins each time."""
    results: Rounds = {system.name: [] for system in systems}
    chosen = [
        next(one for one in rounds.settings_of(system) if one.name == rounds.best(tried[system.name]))
        for system in systems
    ]
    for number in range(count):
        note(f"{corpus.name}: round {number + 1} of {count}")
        for name, result in rounds.one_round(rounds.turned(chosen, number), corpus, sources).items():
            results[name].append(result)
    return results


def alone(ours: System, made: Sequence[Corpus], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The parts that only we are asked for."""
    figures: dict[str, Any] = {}
    config = rounds.settings_of(ours)[0].config
    if options.scale:
        figures["scale"] = at_scale(ours, config, made, folder, options.scale)
    if options.pdfs:
        figures["pdfs"] = from_pdfs(ours, config, made, folder, options.pdfs)
    if not options.json:
        print_alone(figures)
    return figures


def at_scale(
    ours: System, config: Mapping[str, Any], made: Sequence[Corpus], folder: Path, chunks: int
) -> dict[str, Any]:
    """Index many chunks in one process, and ask all questions of both corpora in another that opens what it wrote."""
    note(f"scale: writing {chunks:,} sections")
    files = corpora.many(made, folder / "many", chunks)
    store = folder / "many-store"
    store.mkdir()
    note(f"scale: indexing {files:,} files")
    with Running(ours) as running:
        indexed = running.ask(
            op="index", folder=str(folder / "many"), store=str(store), config=dict(config), quick=True
        )
    questions = [question.text for corpus in made for question in corpus.questions]
    with Running(ours) as running:
        opened = running.ask(op="open", store=str(store), config=dict(config))
        first = running.ask(op="search", question=questions[0], k=rounds.K)["ms"]
        took = [running.ask(op="search", question=question, k=rounds.K)["ms"] for question in questions]
        memory = running.ask(op="memory")
    return {
        "chunks": indexed["chunks"],
        "index_seconds": indexed["seconds"],
        "index_embed_seconds": indexed["embed_seconds"],
        "index_peak_mb": indexed["peak_mb"],
        "store_mb": size_mb(store),
        "open_seconds": opened["seconds"],
        "first_ms": first,
        "p50": statistics.median(took),
        "p95": metrics.percentile(took, 0.95),
        **memory,
    }


def from_pdfs(
    ours: System, config: Mapping[str, Any], made: Sequence[Corpus], folder: Path, count: int
) -> dict[str, Any]:
    """Index a folder of PDFs, and index it again, in a new process, with nothing changed."""
    note(f"PDFs: writing {count:,}")
    pages = pdfs.write(made, folder / "pdfs", count)
    store = folder / "pdfs-store"
    store.mkdir()
    request = {"op": "index", "folder": str(folder / "pdfs"), "store": str(store), "config": dict(config)}
    note(f"PDFs: indexing {pages:,} pages")
    with Running(ours) as running:
        indexed = running.ask(**request)
    with Running(ours) as running:
        again = running.ask(**request)
    return {
        "pages": pages,
        "chunks": indexed["chunks"],
        "seconds": indexed["seconds"],
        "embed_seconds": indexed["embed_seconds"],
        "pages_a_second": pages / indexed["seconds"],
        "peak_mb": indexed["peak_mb"],
        "unchanged_seconds": again["seconds"],
    }


def size_mb(folder: Path) -> float:
    """Of all files below the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def as_json(corpus: Corpus, tried: Mapping[str, Mapping[str, Tried]], results: Rounds) -> dict[str, Any]:
    """Everything that was measured on a corpus."""
    return {
        "questions": {half: sum(one.half == half for one in corpus.questions) for half in ("tune", "score")},
        "tried": {system: {name: asdict(one) for name, one in each.items()} for system, each in tried.items()},
        "rounds": {system: [without_scores(result) for result in each] for system, each in results.items()},
        "score": {system: metrics.mean(each[0].half(corpus, "score")) for system, each in results.items()},
    }


def without_scores(result: Result) -> dict[str, Any]:
    """A round's figures."""
    return {name: value for name, value in vars(result).items() if name != "scores"}


def print_tried(corpus: Corpus, tried: Mapping[str, Mapping[str, Tried]]) -> None:
    """Every setting on the half that it was chosen on, and on the other."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{corpus.name}: settings, on the half to tune on | to score on", title_justify="left")
    for title in ("system", "setting", "chunks", "hit@5", "read", "recall@2000", "MRR", "chosen"):
        table.add_column(title, no_wrap=title == "setting")
    for system, each in tried.items():
        for name, one in each.items():
            both = [f"{one.tune[figure]:.3f} | {one.score[figure]:.3f}" for figure in FIGURES]
            table.add_row(system, name, f"{one.chunks:,}", *both, "*" if name == rounds.best(each) else "")
    Console(width=150).print(table)


def print_rounds(corpus: Corpus, results: Rounds) -> None:
    """One line for each system, ours first, and whether the goals are met."""
    from rich.console import Console
    from rich.table import Table

    count = sum(question.half == "score" for question in corpus.questions)
    turns = len(next(iter(results.values())))
    table = Table(
        title=f"{corpus.name}: {count} questions to score on, {turns} rounds, median (range), ratio to ours within the "
        "round, ± one standard error",
        title_justify="left",
    )
    for title in COLUMNS:
        table.add_column(title)
    for system, each in results.items():
        scores = metrics.mean(each[0].half(corpus, "score"))
        table.add_row(
            f"{system}\n{each[0].config}",
            spread([result.seconds for result in each]),
            ratios(results, system, lambda result: result.seconds),
            f"{statistics.median(result.cpu_seconds for result in each):.1f}",
            f"{statistics.median(result.seconds - result.embed_seconds for result in each):.2f}",
            spread([result.p50 for result in each]),
            ratios(results, system, lambda result: result.p50),
            spread([result.p95 for result in each]),
            f"{statistics.median(result.cpu_ms for result in each):.1f}",
            *(f"{scores[figure]:.3f}\n±{scores[f'{figure}_error']:.3f}" for figure in FIGURES),
            f"{each[0].rss_mb:.0f} ({each[0].peak_mb:.0f})",
            spread([result.import_seconds for result in each]),
        )
    console = Console(width=190)
    console.print(table)
    for line in goals(corpus, results):
        console.print(line)
    console.print()


def goals(corpus: Corpus, results: Rounds) -> list[str]:
    """Of each goal against the peers: met or not."""
    theirs = {system: each for system, each in results.items() if system != OURS}
    if OURS not in results or not theirs:
        return []
    lines = []
    mine = results[OURS][0].half(corpus, "score")
    for system, each in theirs.items():
        other = each[0].half(corpus, "score")
        for title, figure in (("recall@2000", "recall"), ("hit@5", "hit"), ("hits read", "read")):
            by, low, high = metrics.lead([getattr(o, figure) for o in mine], [getattr(o, figure) for o in other])
            lines.append(
                f"{verdict(by > 0)} {title} above {system}: by {by:+.3f} ({low:+.3f} to {high:+.3f} in 95 of 100 draws)"
            )
    for title, figure, cpu in (("index time", "seconds", "cpu_seconds"), ("query p50", "p50", "cpu_ms")):
        fastest = fastest_of(theirs, figure)
        share = share_of(results[OURS], theirs[fastest], figure)
        by_cpu = fastest_of(theirs, cpu)
        lines.append(
            f"{verdict(share <= SHARE_OF_PEER)} {title} at most {SHARE_OF_PEER} of the fastest peer's: {share:.2f} of "
            f"{fastest}'s; by CPU time {share_of(results[OURS], theirs[by_cpu], cpu):.2f} of {by_cpu}'s"
        )
    embedding = statistics.median(result.embed_seconds / result.seconds for result in results[OURS])
    lines.append(f"     of our index time {embedding:.0%} is the embedder, which all share")
    return lines


def fastest_of(theirs: Rounds, figure: str) -> str:
    """The name of the system whose median is the lowest."""
    medians = {name: statistics.median(getattr(one, figure) for one in each) for name, each in theirs.items()}
    return min(medians, key=lambda name: medians[name])


def share_of(mine: Sequence[Result], theirs: Sequence[Result], figure: str) -> float:
    """Our figure by theirs, within each round; the median."""
    return statistics.median(
        getattr(ours, figure) / getattr(peer, figure) for ours, peer in zip(mine, theirs, strict=True)
    )


def print_alone(figures: Mapping[str, Any]) -> None:
    """What only we are asked for, beside its goals."""
    if one := figures.get("scale"):
        print(  # noqa: T201
            f"{one['chunks']:,} chunks, {one['store_mb']:.0f} MB on disk: indexed in {one['index_seconds']:.0f} s "
            f"(cheap vectors: {one['index_embed_seconds']:.0f} s of it) at a peak of {one['index_peak_mb']:.0f} MB\n"
            f"     opened in {one['open_seconds']:.2f} s, the first question {one['first_ms']:.0f} ms, then p50 "
            f"{one['p50']:.1f} ms\n"
            f"{verdict(one['p95'] < SCALE_P95_MS)} query p95 below {SCALE_P95_MS} ms: {one['p95']:.1f} ms\n"
            f"{verdict(one['peak_mb'] < SCALE_RSS_MB)} memory of the process that answers below {SCALE_RSS_MB} MB: "
            f"{one['rss_mb']:.0f} MB, at most {one['peak_mb']:.0f} MB\n"
        )
    if one := figures.get("pdfs"):
        print(  # noqa: T201
            f"{one['pages']:,} pages of PDF, {one['chunks']:,} chunks: {one['seconds']:.0f} s, of which the embedder "
            f"took {one['embed_seconds']:.0f} s; at most {one['peak_mb']:.0f} MB\n"
            f"{verdict(one['pages_a_second'] >= PAGES_A_SECOND)} at least {PAGES_A_SECOND} pages/s on two quiet cores: "
            f"{one['pages_a_second']:.1f}\n"
            f"{verdict(one['unchanged_seconds'] < UNCHANGED_SECONDS)} again, unchanged, below {UNCHANGED_SECONDS:.0f} "
            f"s: {one['unchanged_seconds']:.2f} s"
        )


def verdict(met: bool) -> str:
    """A goal's mark, as wide as its absence."""
    return "met " if met else "MISS"


def ratios(results: Rounds, system: str, figure: Callable[[Result], float]) -> str:
    """How many times ours, within each round."""
    if OURS not in results:
        return "-"
    return spread([figure(theirs) / figure(ours) for theirs, ours in zip(results[system], results[OURS], strict=True)])


def spread(values: Sequence[float]) -> str:
    """Median, and range below it."""
    digits = 2 if max(values) < 10 else 1
    return f"{statistics.median(values):.{digits}f}\n({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    main()

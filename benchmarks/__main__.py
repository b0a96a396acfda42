"""How fast is it, and what does it cost, next to the bare SDKs? One report: `make bench` (15 minutes).

One pretend company and one Prefect server serve all ways in turn, each way in a process of its own (`benchmarks.ways`),
so that seconds, processor and memory are that way's alone. A round goes through all ways; ratios are made within a
round and told as median and range. The model answers at once, or after 200 ms: the first shows what is us, the second
what a person waits for. Vendors' rate limits are left out; with them, they decide.

With `--json FILE` everything that was measured is kept. Absolute figures belong to the machine and the minute.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks import waiting
from benchmarks.spread import middle, spread
from benchmarks.ways import ANSWERS, IN_FLIGHT, REQUEST, SPAM, WARM, deliver, write_request
from deployments.machine import free_port
from deployments.running import ROOT, use
from deployments.stack import Stack

PEERS = ROOT / ".venv-peers" / "bin" / "python"
"""Where `make peers` puts other people's frameworks."""

SLOW = 0.2
NAMES = {
    "model": "Anthropic's SDK alone",
    "calls": "the vendors' SDKs",
    "calls_at_once": f"the same, {IN_FLIGHT} at a time",
    "ours": "Signoff",
    "approvals": "Signoff, all sign-offs",
    "naive": "a Prefect task a step",
    "langgraph": "LangGraph on SQLite",
}
ON_PREFECT = ("ours", "approvals", "naive")


@dataclass(frozen=True)
class Figure:
    """What one process did."""

    way: str
    records: int
    answer_seconds: float
    round: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    ledger_bytes: int
    prefect_bytes: int
    first_seconds: float
    """What the first few records take in a new process, with all that it loads; 0 where it was not measured."""

    @property
    def rate(self) -> float:
        """Records per second."""
        return self.records / self.seconds


@dataclass(frozen=True)
class Setting:
    """Ways that are compared with one another."""

    records: int
    answer_seconds: float
    floor: str
    ways: tuple[str, ...]
    rounds: int
    once: tuple[str, ...] = ()
    """Ways that take part in the first round only: they take long, and are here to be compared with."""

    @property
    def all_ways(self) -> tuple[str, ...]:
        """The lines of the table."""
        return (*self.ways, *self.once)


def settings(*, quick: bool, whole: bool) -> Iterator[Setting]:
    """What is measured, the short ones first."""
    peers = ("langgraph",) if PEERS.exists() else ()
    if quick:
        yield Setting(50, 0, "calls", ("model", "calls", "ours", "approvals", "naive", *peers), 1)
        return
    yield Setting(200, 0, "calls", ("model", "calls", "calls_at_once", "ours", *peers), 3, ("approvals", "naive"))
    yield Setting(200, SLOW, "calls_at_once", ("calls_at_once", "ours", *peers), 3, ("naive",))
    yield Setting(2_000, 0, "calls", ("calls", "ours"), 1)
    yield Setting(2_000, SLOW, "calls_at_once", ("calls_at_once", "ours"), 1)
    yield Setting(20_000, 0, "", ("ours",), 1)
    if whole:
        yield Setting(20_000, SLOW, "", ("ours",), 1)


def main() -> None:
    """Measure, and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="50 records, one round: does it all work? (2 minutes)")
    parser.add_argument("--all", action="store_true", help="20,000 records with slow answers, too (10 minutes more)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures")
    options = parser.parse_args()
    console = Console(width=100 if not sys.stdout.isatty() else None)
    began = time.monotonic()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder:
        home = Path(folder)
        stack = Stack(home / "stack", free_port(4200), begins_empty=True)
        use(stack.environment | {"PREFECT_LOGGING_LEVEL": "ERROR"})
        with stack:
            write_request(home / "request.json")
            os.environ[REQUEST] = str(home / "request.json")
            bench = Bench(stack, stack.start_sandbox(), home)
            stack.start_server()
            stack.deploy()
            prefect = bench.measure("prefect", 1, 0, 1)
            figures: list[Figure] = []
            for setting in settings(quick=options.quick, whole=options.all):
                some = list(bench.all_of(setting))
                figures += some
                console.print(table(setting, some, prefect.peak_mb))
            if not PEERS.exists():
                console.print(
                    "LangGraph is not measured: make peers installs it. n8n needs Node.js and is not either.\n"
                )
            flat(console, figures)
            found["approvals"] = approvals(console, bench, 5 if options.quick else 12)
        found["waiting"] = waiting.report(console, 500 if options.quick else 10_000, 1 if options.quick else 5)
        found["demo_seconds"] = demo(console, home)
    console.print(f"All of it took {(time.monotonic() - began) / 60:.1f} minutes.")
    if options.json:
        rows = [asdict(figure) for figure in (prefect, *figures)]
        options.json.write_text(json.dumps(found | {"ways": rows}, indent=2) + "\n")


class Bench:
    """The stack against which every way runs."""

    def __init__(self, stack: Stack, url: str, home: Path) -> None:
        self.stack, self.url, self._home = stack, url, home

    def all_of(self, setting: Setting) -> Iterator[Figure]:
        """Each way, round after round."""
        for number in range(1, setting.rounds + 1):
            for way in setting.ways if number > 1 else setting.all_ways:
                yield self.measure(way, setting.records, setting.answer_seconds, number)

    def measure(self, way: str, records: int, answer_seconds: float, number: int) -> Figure:
        """One way in a process of its own, with a new ledger.

        Raises:
            SystemExit: it failed; what it said is told.
        """
        deliver(self.url, records, ANSWERS.get(way, SPAM), answer_seconds)
        folder = tempfile.mkdtemp(dir=self._home)
        environment = {"SIGNOFF_LEDGER_URL": f"sqlite:///{folder}/ledger.db"}
        python, module = (PEERS, "benchmarks.peers.langgraph_triage") if way == "langgraph" else (sys.executable, None)
        before = self._prefect_bytes()
        told = self.run([str(python), "-m", module or "benchmarks.ways", way, self.url, str(records)], environment)
        figure = json.loads(told.splitlines()[-1])
        return Figure(
            way,
            records,
            answer_seconds,
            number,
            figure["seconds"],
            figure["cpu_seconds"],
            figure["peak_mb"],
            figure.get("ledger_bytes", 0),
            self._prefect_bytes() - before,
            figure.get("first_seconds", 0),
        )

    def run(self, command: Sequence[str], environment: dict[str, str]) -> str:
        """What a process says.

        Raises:
            SystemExit: it failed.
        """
        done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        return done.stdout

    def _prefect_bytes(self) -> int:
        return waiting.size(self.stack.home / "prefect" / "prefect.db")


def table(setting: Setting, figures: Sequence[Figure], prefect_mb: float) -> Table:
    """One line for each way."""
    answers = f"the model answers after {setting.answer_seconds * 1000:.0f} ms" if setting.answer_seconds else ""
    title = f"{setting.records:,} e-mails, {answers or 'the model answers at once'}"
    rounds = f", {setting.rounds} rounds" if setting.rounds > 1 else ""
    made = Table(
        title=f"{title}{rounds}",
        title_justify="left",
        title_style="bold",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    made.add_column("", no_wrap=True)
    for name in ("e-mails/s", "of the floor", "CPU ms", "MB", "kB ledger", "kB Prefect"):
        made.add_column(name, justify="right", no_wrap=True)
    floors = {each.round: each.rate for each in figures if each.way == setting.floor}
    for way in setting.all_ways:
        mine = [each for each in figures if each.way == way]
        ratios = [each.rate / floors[each.round] for each in mine if floors]
        made.add_row(
            NAMES[way],
            spread([each.rate for each in mine], ".1f"),
            spread(ratios, ".2f"),
            middle([each.cpu_seconds / each.records * 1000 for each in mine], ".1f"),
            middle([each.peak_mb - prefect_mb for each in mine], "+.0f"),
            middle([each.ledger_bytes / each.records / 1000 for each in mine], ".1f") if mine[0].ledger_bytes else "",
            middle([each.prefect_bytes / each.records / 1000 for each in mine], ".1f") if way in ON_PREFECT else "",
        )
    return made


def flat(console: Console, figures: Sequence[Figure]) -> None:
    """What a record costs with few and with many, once a process is warm."""
    ours = [each for each in figures if each.way == "ours" and not each.answer_seconds]
    medians = {
        records: (
            statistics.median(each.seconds for each in ours if each.records == records),
            statistics.median(each.cpu_seconds for each in ours if each.records == records),
        )
        for records in sorted({each.records for each in ours})
    }
    for (few, least), (many, most) in pairwise(medians.items()):
        more, seconds, cpu = many - few, most[0] - least[0], most[1] - least[1]
        said = f"{more / seconds:.1f} a second, {cpu / more * 1000:.1f} ms of the processor each"
        console.print(f"From {few:,} to {many:,} e-mails: {said}.")
    first = spread([each.first_seconds for each in ours], ".1f")
    console.print(f"The first {WARM} in a new process, with all that it loads for them: {first} s, not counted above.")
    console.print("MB are beyond those of a process that runs an empty Prefect flow.\n")


def approvals(console: Console, bench: Bench, count: int) -> dict[str, Any]:
    """From a person's approval to the reply that was sent, one after the other, with an idle worker."""
    from blocks.ledger import Action, Ledger
    from tasks.approvals import respond

    ledger_url = bench.stack.environment["SIGNOFF_LEDGER_URL"]
    deliver(bench.url, count, ANSWERS["approvals"], 0)
    command = [sys.executable, "-m", "benchmarks.ways", "approvals", bench.url, str(count)]
    bench.run(command, {"SIGNOFF_LEDGER_URL": ledger_url})
    bench.stack.start_worker()
    ledger = Ledger.open(ledger_url)
    with ledger.read() as session:
        waits = [each.id for each in session.query(Action).filter(Action.state == "waiting", Action.impact == "high")]
    seconds = []
    for action_id in waits[:count]:
        began = time.monotonic()
        respond(ledger, action_id, approve=True, approver="bench@bench.example")
        answered = time.monotonic()
        _until(lambda: _is_done(ledger, action_id), 60)  # noqa: B023
        seconds.append((time.monotonic() - began, answered - began))
    whole = [both[0] for both in seconds]
    console.print(
        f"From an approval to the reply that was sent, {len(whole)} times: {spread(whole, '.1f')} s, of which the "
        f"approver waits {statistics.median(both[1] for both in seconds):.2f} s.\n"
    )
    return {"seconds": whole}


def _is_done(ledger: Any, action_id: int) -> bool:
    from blocks.ledger import Action

    with ledger.read() as session:
        return bool(session.get_one(Action, action_id).state == "done")


def _until(true: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"nothing came of it within {seconds:g} s")
        time.sleep(0.05)


def demo(console: Console, home: Path) -> float:
    """Until the demo has shown all that it has to show."""
    environment = os.environ | {"SIGNOFF_HOME": str(home / "demo")}
    for name in ("SIGNOFF_LEDGER_URL", "SIGNOFF_LIBRARY_URL", "PREFECT_HOME", "PREFECT_API_URL"):
        environment.pop(name, None)
    seconds = waiting.seconds([str(waiting.BIN / "signoff"), "demo"], environment)
    console.print(f"The demo, from nothing to its end: {seconds:.0f} s.\n")
    return seconds


if __name__ == "__main__":
    main()

"""What do traces cost? `python -m benchmarks.traces`

One run starts a sandbox and a Prefect server, and in each round times the same triage, from the inbox to the labels, in
each of these ways, in an order that changes with the round:

- off: no block `traces/collector` is saved;
- on: a collector on this machine takes every span;
- on, with content: prompts and answers go along, masked;
- on, nobody there: every export fails.

The model answers at once, and the end of the run, where the last spans are sent, is counted in. Then, in this process
alone: what a place in the code that makes a span costs where nobody traces. Absolute figures belong to the machine and
the minute; the ratios within one round are what to compare, and on a busy machine those of the processor's time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.spread import spread
from benchmarks.ways import MAILBOX, SPAM, claude_at, deliver
from deployments.machine import free_port
from deployments.running import use
from deployments.stack import Stack
from tests.collector import Collector, collecting

WAYS = ("off", "on", "on, with content", "on, nobody there")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder, collecting() as collector:
        stack = Stack(Path(folder), free_port(4200), begins_empty=True)
        use(stack.environment | {"PREFECT_LOGGING_LEVEL": "ERROR"})
        with stack:
            url = stack.start_sandbox()
            stack.start_server()
            stack.deploy()
            triage(url, "off", options.records, collector)  # imports and first times
            rounds = [one_round(url, options.records, collector, number) for number in range(options.rounds)]
    by_the_clock = [{way: one.clock for way, one in each.items()} for each in rounds]
    by_the_processor = [{way: one.processor for way, one in each.items()} for each in rounds]
    idle = nanoseconds_where_nobody_traces()
    if options.json:
        found = {"clock": by_the_clock, "processor": by_the_processor, "nanoseconds": idle}
        print(json.dumps(found, indent=2))  # noqa: T201
        return
    print("By the clock:")  # noqa: T201
    print_table(by_the_clock, options.records)
    print("By the processor's time of this process:")  # noqa: T201
    print_table(by_the_processor, options.records)
    for place, cost in idle.items():
        print(f"{place}, where nobody traces: {cost:.0f} ns")  # noqa: T201


class Rates(NamedTuple):
    """Records per second."""

    clock: float
    processor: float


def one_round(url: str, records: int, collector: Collector, number: int) -> dict[str, Rates]:
    """How fast each way was. Whichever comes first in a round is not always the same."""
    turn = number % len(WAYS)
    found = {way: triage(url, way, records, collector) for way in (*WAYS[turn:], *WAYS[:turn])}
    return {way: found[way] for way in WAYS}


def triage(url: str, way: str, records: int, collector: Collector) -> Rates:
    """The triage in this process, against the real server."""
    from prefect import flow

    import prompts
    from blocks import connections
    from blocks.ledger import Ledger
    from blocks.models import version_of
    from blocks.traces import Traces
    from deployments.pretend import connect
    from flows import lead_triage as module
    from tests.earned import earn

    deliver(url, records, SPAM, 0)
    connect(url, MAILBOX)
    connections.load.cache_clear()
    connections.save("claude/triage", claude_at(url))
    with suppress(ValueError):
        Traces.delete("collector")
    if way != "off":
        address = f"http://127.0.0.1:{free_port(9)}" if way.endswith("nobody there") else collector.url
        connections.save(connections.TRACES, Traces(address=address, content=way.endswith("content")))
    ledger = Ledger.open(f"sqlite:///{tempfile.mkdtemp()}/ledger.db")
    earn(ledger, version_of(prompts.load(module.CARD.prompt), claude_at(url)))
    collector.bodies.clear()

    @flow(name="bench-traces")
    def whole() -> Rates:
        began = time.process_time()
        seconds = timed(lambda: module.lead_triage.fn(limit=records))
        return Rates(records / seconds, records / (time.process_time() - began))

    with connections_to(ledger):
        rates = whole()
    got = len(collector.spans)
    # A model call and an action for each record, and the run with its verbs.
    assert got > 2 * records if way in ("on", "on, with content") else got == 0, f"{way}: {got} spans"
    return rates


def nanoseconds_where_nobody_traces() -> dict[str, float]:
    """What the hooks cost each time, over the same call without them: the median of several runs."""
    from tasks import tracing

    def nothing() -> None:
        return None

    def cost(function: Any, calls: int = 200_000) -> float:
        return statistics.median(timeit.repeat(function, number=calls, repeat=5)) / calls * 1e9

    bare = cost(nothing)
    return {
        "a verb": cost(tracing.verb("verb", nothing)) - bare,
        "an action": cost(tracing.action(nothing)) - bare,
    }


def connections_to(ledger: Any) -> Any:
    """Make `ledger` the default one."""
    import os
    from contextlib import contextmanager

    @contextmanager
    def swapped() -> Any:
        before = os.environ["SIGNOFF_LEDGER_URL"]
        os.environ["SIGNOFF_LEDGER_URL"] = str(ledger.engine.url)
        try:
            yield
        finally:
            os.environ["SIGNOFF_LEDGER_URL"] = before

    return swapped()


def timed(function: Callable[[], Any]) -> float:
    """Wall seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def print_table(rounds: list[dict[str, float]], records: int) -> None:
    """Median and range of each way, and its ratio to the floor within the round."""
    from rich.console import Console
    from rich.table import Table

    floor = next(iter(rounds[0]))
    table = Table(title=f"{records} records, {len(rounds)} rounds", title_justify="left")
    for title in ("", "records/s, median [range]", f"ratio to {floor}"):
        table.add_column(title)
    for way in rounds[0]:
        rates = [r[way] for r in rounds]
        ratios = [r[way] / r[floor] for r in rounds]
        table.add_row(way, spread(rates, ".0f"), spread(ratios, ".2f"))
    Console().print(table)


if __name__ == "__main__":
    main()

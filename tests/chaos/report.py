"""The matrix as a table of at most 80 columns, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from tests.chaos.cells import Crash
from tests.chaos.faults import every_fault
from tests.chaos.play import Result
from tests.chaos.verdict import Counts

WIDTH = 80
NAME = 20
MOST_SHOWN = 20

TOTALS = {
    "faults": "faults injected",
    "crashes": "crashes (kill -9)",
    "wanted": "wanted",
    "done": "done",
    "doubt": "in doubt (a person looks)",
    "refused": "refused by the vendor for good, and told so",
    "twice": "done twice",
    "lost": "lost",
    "unapproved": "done without leave",
    "untrue": "told otherwise by the ledger",
    "errors": "attempts that ended in an unexpected exception",
}


def as_text(result: Result, targets: Sequence[str]) -> str:
    """For people."""
    return "\n".join([*_tables(result, targets), "", *_totals(result), *_findings(result)])


def as_json(result: Result, seed: int) -> str:
    """For programs."""
    figures = {
        "seed": seed,
        "planned": result.planned,
        "seconds": round(result.seconds, 1),
        "total": asdict(result.total),
        "by_database": {name: asdict(counts) for name, counts in result.by_database.items()},
        "by_fault": [{"fault": f, "target": t, **asdict(c)} for (f, t), c in result.by_fault.items()],
        "by_crash": [{"crash": c, "target": t, **asdict(n)} for (c, t), n in result.by_crash.items()],
        "complaints": result.complaints,
        "tracebacks": result.tracebacks,
    }
    return json.dumps(figures, indent=2)


def progress(result: Result, seconds: float) -> str:
    """One line on the way."""
    total = result.total
    return (
        f"{seconds:4.0f} s  {total.cells} of {result.planned} cells, {total.faults} faults, {total.crashes} crashes, "
        f"{total.broken} broken"
    )


def _tables(result: Result, targets: Sequence[str]) -> Iterator[str]:
    for number, target in enumerate(targets, 1):
        yield f"{number:>4}  {target}"
    columns = (WIDTH - NAME) // max(1, len(targets))
    width = min(6, columns)
    head = "".join(f"{number:>{width}}" for number in range(1, len(targets) + 1))
    about = (("fault", [fault.name for fault in every_fault()], result.by_fault),
             ("crash", [str(crash) for crash in Crash], result.by_crash))  # fmt: skip
    for title, rows, counted in about:
        yield ""
        yield f"{title:<{NAME}}{head}"
        for row in rows:
            yield f"{row:<{NAME}}" + "".join(f"{_cell(counted, row, target):>{width}}" for target in targets)
    yield ""
    yield "Figures: stories that ended as they must. !: those that did not. ·: cannot be."


def _cell(counted: Mapping[tuple[str, str], Counts], row: str, target: str) -> str:
    counts = counted.get((row, target))
    if counts is None:
        return "·"
    return f"{counts.broken}!" if counts.broken else str(counts.cells)


def _totals(result: Result) -> Iterator[str]:
    databases = list(result.by_database)
    yield f"{'':<48}" + "".join(f"{name:>12}" for name in databases) + f"{'all':>8}"
    for name, words in TOTALS.items():
        figures = "".join(f"{getattr(result.by_database[database], name):>12}" for database in databases)
        yield f"{words:<48}{figures}{getattr(result.total, name):>8}"
    yield (
        f"{'stories (cells)':<48}"
        + "".join(f"{result.by_database[database].cells:>12}" for database in databases)
        + f"{result.total.cells:>8}"
    )
    yield f"{'seconds':<48}{'':{12 * len(databases)}}{result.seconds:>8.0f}"
    if result.total.cells < result.planned:
        yield f"The time was up: {result.planned - result.total.cells} of {result.planned} cells were not played."


def _findings(result: Result) -> Iterator[str]:
    for complaint in result.complaints[:MOST_SHOWN]:
        yield f"! {complaint}"
    if len(result.complaints) > MOST_SHOWN:
        yield f"... and {len(result.complaints) - MOST_SHOWN} more"
    for traceback in result.tracebacks[:3]:
        yield f"\n{traceback.strip()}"

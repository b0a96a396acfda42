"""`signoff doctor`: looks at everything again, and says what to do, and who."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger
from blocks.vendor import scrub
from deployments import doctor_checks as checks
from deployments import views
from deployments.doctor_checks import Level, Line
from deployments.running import is_try
from tasks.card import Card
from tasks.side_by_side import TookTooLong, side_by_side

SECONDS = 30.0
"""How long each look may take, at the most; they are all made at the same time."""

STYLE = {Level.OK: "green", Level.WARNING: "yellow", Level.BROKEN: "bold red"}
NOBODYS = "Whoever runs Signoff"

Looks = dict[str, Callable[[], list[Line]]]


def doctor(*, as_json: bool) -> int:
    """Print what was found, by owner; 1 when something is broken."""
    with views.console.status("Looking at everything ..."):
        lines = examine()
    if as_json:
        views.as_json([asdict(line) for line in lines])
    else:
        _show(lines)
    return 1 if any(line.level is Level.BROKEN for line in lines) else 0


def examine(seconds: float = SECONDS) -> list[Line]:
    """Look at everything. What needs the server, or the ledger, is left out where that cannot be used."""
    cards, lines = checks.cards(seconds)
    first = _look({"server": checks.server, "ledger": checks.ledger, "disk": checks.disk}, seconds)
    online = not any(line.level is Level.BROKEN for line in first["server"])
    readable = any("can be written" in line.said for line in first["ledger"])
    looks = (_of_the_server(cards) if online else {}) | (_of_the_ledger(cards, online) if readable else {})
    then = _look(looks, seconds)
    for found in (first, then):
        lines += [line for each in found.values() for line in each]
    return lines


def _of_the_server(cards: Sequence[Card]) -> Looks:
    return {
        "deployments": checks.deployments,
        "worker": checks.worker,
        "accounts": partial(checks.accounts, cards),
    }


def _of_the_ledger(cards: Sequence[Card], online: bool) -> Looks:
    store = Ledger.open()
    owners = {card.workflow: card.owner for card in cards}
    looks: Looks = {
        "runs": partial(checks.dead_runs, store, owners),
        "work": partial(checks.work, store, cards, owners, online=online),
    }
    return looks | ({"stages": partial(checks.stages, store, cards)} if online else {})


def _look(looks: Looks, seconds: float) -> dict[str, list[Line]]:
    results = side_by_side(list(looks.values()), seconds)
    return {
        name: [_failed(name, result, seconds)] if isinstance(result, Exception) else result
        for name, result in zip(looks, results, strict=True)
    }


def _failed(name: str, error: Exception, seconds: float) -> Line:
    """A look that did not come to its end is told of: nobody knows how that thing stands."""
    if isinstance(error, TookTooLong):
        return Line(Level.BROKEN, name, f"gave no answer within {seconds:g} s: look at what it depends on")
    why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Line(Level.BROKEN, name, f"could not be looked at ({scrub(why)})")


def _show(lines: Sequence[Line]) -> None:
    if is_try():
        views.prose(
            "What `signoff try` has started is looked at: one workflow, and what else is missing is no fault.\n"
        )
    for owner in sorted({line.owner for line in lines}):
        mine = [line for line in lines if line.owner == owner]
        views.console.print(Text(owner or NOBODYS, style="bold"))
        views.console.print(_table(sorted(mine, key=lambda line: list(Level).index(line.level), reverse=True)))
        views.console.print()
    counts = {level: sum(line.level is level for line in lines) for level in Level}
    if counts[Level.BROKEN] or counts[Level.WARNING]:
        views.console.print(f"{counts[Level.BROKEN]} broken, {counts[Level.WARNING]} to be minded.")
    else:
        views.console.print("All is well.")


def _table(lines: Sequence[Line]) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=7)
    table.add_column(width=23, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for line in lines:
        table.add_row(Text(line.level, STYLE[line.level]), line.thing, Text(views.printable(line.said)))
    return table

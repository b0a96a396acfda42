"""`signoff shadow`: what a workflow would have done, beside what people really did."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from blocks.connections import block_class
from blocks.ledger import Ledger
from deployments import views
from deployments.cards import card_of
from deployments.errors import CommandError
from tasks import shadows
from tasks.actions import KINDS
from tasks.plain import counted
from tasks.shadows import Comparison, Counts, Difference, Missed

MOST_SHOWN = 20
"""Differences, or missed records, in the terminal; `--json` has all of them."""


def compare(name: str, *, limit: int, offline: bool, as_json: bool) -> int:
    """Compare the newest records in shadow, and print how often people did the same and where they did not."""
    card = card_of(name)
    if limit < 1:
        raise CommandError("--limit is at least 1")
    found = shadows.compare(Ledger.open(), card, limit, offline=offline)
    if as_json:
        views.as_json(_json(found))
    elif found.records:
        _tell(found)
    else:
        views.console.print(_nothing_yet(card.workflow), markup=False)
    return 0


def _json(found: Comparison) -> dict[str, Any]:
    return asdict(found) | {"counts": [asdict(each) | {"agreement": each.agreement} for each in found.counts]}


def _nothing_yet(workflow: str) -> str:
    return (
        f"Nothing of {workflow} is in shadow.\n"
        f"To have it only watch: signoff stage {workflow} shadow\n"
        "Its next runs then record what they would do, and this command compares it with\n"
        "what people do themselves."
    )


def _tell(found: Comparison) -> None:
    say = views.console.print
    actions = sum(each.actions for each in found.counts)
    newest = f"{found.workflow}: its newest {counted(found.records, 'record')} in shadow"
    say(f"{newest}, {counted(actions, 'action')}", markup=False)
    say(_table(found.counts))
    for each in found.counts:
        if each.unknowable:
            say(f"{KINDS[each.kind].noun}: nobody can tell; {each.unknowable}.", markup=False)
    for vendor, why in found.unreachable.items():
        name = block_class(vendor).get_block_type_name()
        say(Text(f"{name} could not be asked, so what it knows stays unknown: {views.printable(why)}", "red"))
    if found.differences:
        _tell_differences(found.differences)
    _tell_missed(found.missed)


def _table(counts: tuple[Counts, ...]) -> Table:
    table = Table()
    table.add_column("What")
    for title in ("Actions", "Agreed", "Differed", "Not known yet", "Agreement", "Alike"):
        table.add_column(title, justify="right")
    for each in counts:
        done = [str(number) for number in (each.agreed, each.differed, each.unknown)]
        shares = [_percent(each.agreement), _percent(each.similarity)]
        table.add_row(KINDS[each.kind].noun, str(each.actions), *done, *shares)
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _tell_differences(differences: tuple[Difference, ...]) -> None:
    views.console.print(Text("\nWhere people did something else:", style="bold"))
    for each in differences[:MOST_SHOWN]:
        line = _record_line(each)
        line.append(f"\n       would have: {views.printable(each.wanted)}", style="not bold yellow")
        line.append(f"\n       found: {views.printable(each.found)}", style="not bold default")
        views.console.print(line, no_wrap=True, overflow="ellipsis")
    _tell_more(len(differences))


def _tell_missed(missed: tuple[Missed, ...] | None) -> None:
    if missed is None:
        views.console.print("\nNo vendor was asked: this is what earlier comparisons found.")
        return
    if not missed:
        return
    views.console.print(Text("\nWhat people replied to, and it would not have:", style="bold"))
    for each in missed[:MOST_SHOWN]:
        views.console.print(_record_line(each), no_wrap=True, overflow="ellipsis")
    _tell_more(len(missed))


def _record_line(each: Difference | Missed) -> Text:
    line = Text(f"{each.record_id:>5}  ", style="bold")
    line.append(views.printable(each.title) or "(redacted)")
    return line.append(f"  {views.printable(each.sender)}".rstrip(), style="not bold dim")


def _tell_more(count: int) -> None:
    if count > MOST_SHOWN:
        views.console.print(f"       ... and {count - MOST_SHOWN:,} more (--json has all of them)")

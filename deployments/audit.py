"""`signoff audit`: whether the ledger still says what it said, and what it says about one action."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger
from deployments import views
from tasks import audit
from tasks.actions import BY_CARD
from tasks.audit import Event, Head, Verification


def verify(*, expect: str | None, as_json: bool) -> int:
    """Check everything; 1 when something was found."""
    checked = audit.verify(Ledger.open(), expect)
    if as_json:
        views.as_json(asdict(checked) | {"passed": checked.passed, "head": checked.head.model_dump()})
    else:
        _tell(checked)
    return 0 if checked.passed else 1


def head(*, as_json: bool) -> int:
    """Print the newest row's number and hash."""
    newest = audit.head(Ledger.open())
    if as_json:
        views.as_json(newest.model_dump())
    else:
        _print_head(newest)
    return 0


def show(action_id: int, *, as_json: bool) -> int:
    """Print one action's story."""
    action, events = audit.story(Ledger.open(), action_id)
    if as_json:
        views.as_json([asdict(event) for event in events])
        return 0
    title = f"{action.title}: {action.state}" if action else "its row was deleted"
    views.console.print(Text(f"Action {action_id}: {views.printable(title)}", style="bold"))
    if events:
        views.console.print(_story_table(events))
        views.console.print("Times are UTC. Whether all of this is as it was written: signoff audit verify")
    else:
        views.console.print("It is older than the history, which says nothing about it.")
    return 0


def _tell(checked: Verification) -> None:
    if checked.passed and checked.history == 1 and not checked.older:  # its first row says that the ledger was made
        views.console.print("Nothing has happened in this ledger yet.")
        return
    rows = ", ".join(f"{count:,} {_rows_of(table, count)}" for table, count in checked.sealed.items())
    lines = [f"Checked {checked.history:,} rows of the history in {checked.seconds:.1f} s."]
    if rows:
        lines.append(f"As they were written: {rows}.")
    if checked.redacted:
        lines.append(f"As their redaction left them: {checked.redacted:,} rows.")
    if checked.older:
        lines.append(f"Older than the history, so that nobody can say: {checked.older:,} rows.")
    if checked.noted is not None:
        lines.append(f"The hash that you noted down is row {checked.noted:,}: nothing up to it was rewritten.")
    views.console.print("\n".join(lines), markup=False)
    if not checked.passed:
        _print_findings(checked)
    else:
        views.console.print(Text("Nothing was changed, left out or put in.", style="green"))
        _print_head(checked.head)


def _rows_of(table: str, count: int) -> str:
    name = table.replace("_", " ")
    return name.removesuffix("s") if count == 1 else name


def _print_findings(checked: Verification) -> None:
    total = len(checked.findings) + checked.more
    views.console.print(
        Text(f"\n{total:,} {'row is not what it was' if total == 1 else 'rows are not what they were'}:", style="red")
    )
    for finding in checked.findings:
        line = Text(f"  {views.printable(finding.subject)}  ", style="bold")
        views.console.print(line.append(finding.means, style="not bold"))
    if checked.more:
        views.console.print(f"  ... and {checked.more:,} more")
    views.console.print(
        "\nSomebody wrote into the database past Signoff. Stop the workflows, keep a copy of the database, and compare "
        "it with a backup."
    )


def _print_head(newest: Head) -> None:
    views.console.print(f"\nHead of the history: row {newest.number:,}", markup=False)
    views.console.print(newest.hash, style="cyan", soft_wrap=True)
    views.console.print("Note it down elsewhere: `signoff audit verify --expect` checks against it.", markup=False)


def _story_table(events: list[Event]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="dim")
    table.add_column(no_wrap=True)
    table.add_column(style="bold")
    table.add_column(overflow="fold", ratio=1)
    for event in events:
        told = Text(views.printable(_told(event)))
        table.add_row(str(event.number), f"{event.at:%Y-%m-%d %H:%M:%S}", _named(event), told)
    return table


def _named(event: Event) -> str:
    """The event, with the row where it is not the action's own."""
    table = event.subject.partition("/")[0]
    return f"{table.removesuffix('s').replace('_', ' ')} {event.event}" if event.event == "redacted" else event.event


def _told(event: Event) -> str:
    """An event's detail in words."""
    said: dict[str, Any] = event.detail
    match event.event:
        case "action wanted":
            return f"{said.get('kind')}, {said.get('impact')} impact: {said.get('state')}"
        case "decision":
            edited = ", with another text" if said.get("edited") else ""
            return f"{said.get('verdict')} by {_approver(said.get('approver'))}{edited}"
        case "receipt":
            found = ", found there: an earlier attempt had done it" if said.get("found") else ""
            return f"{said.get('vendor')} {said.get('external_id')}{found}"
        case "model call":
            return f"{said.get('model')}: {said.get('stop_reason')}"
        case "tool call":
            failed = ", which failed" if said.get("is_error") else ""
            return f"{said.get('tool')} ({said.get('impact')}){failed}"
        case "redacted":
            return f"{said.get('fields')} fields, by {said.get('by')}"
        case _:
            return ", ".join(f"{name} {value}" for name, value in said.items())


def _approver(name: Any) -> str:
    return "the card's rule" if name == BY_CARD else str(name or "nobody")

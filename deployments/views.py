"""What people see in the terminal: tables that read well at 80 columns, and the same as JSON."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import orjson
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table
from rich.text import Text

from blocks.ledger import Action, Decision, utcnow
from deployments.errors import CommandError
from tasks.plain import age

if TYPE_CHECKING:  # brings Prefect along, which a search of the library does without
    from tasks.actions import Action as Wanted
    from tasks.report import Row

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

STATE_STYLE = {"done": "green", "waits for sign-off": "yellow", "quarantined": "red", "skipped": "dim"}


def say(text: str) -> None:
    """Print a text as it is."""
    console.print(text, markup=False, soft_wrap=True)


def prose(text: str | Text, *, hang: int | None = None) -> None:
    """Print sentences: broken between words as `hanging` breaks them, whole for whatever reads them elsewhere.

    Whoever sets COLUMNS reads them, too, though not in a terminal.
    """
    whole = Text(text) if isinstance(text, str) else text
    if console.is_terminal or os.environ.get("COLUMNS"):
        console.print(hanging(whole, hang))
    else:
        console.print(whole, soft_wrap=True)


def hanging(text: Text, hang: int | None = None) -> Text:
    """Its lines broken between words at the width there is, and what a line goes on with `hang` columns in.

    Without `hang`, two columns deeper than the line where that is indented, and not at all where it is not.
    """
    return Text("\n").join(part for line in text.split("\n", allow_blank=True) for part in _broken(line, hang))


def _broken(line: Text, hang: int | None) -> list[Text]:
    indent = len(line.plain) - len(line.plain.lstrip())
    deep = hang if hang is not None else indent + 2 if indent else 0
    if cell_len(line.plain) <= console.width:
        return [line]
    head, rest = line[:deep], line[deep:]
    parts = rest.wrap(console, console.width - deep)
    for part in parts:
        part.rstrip()
    first, *more = parts
    return [head + first, *(Text(" " * deep) + part for part in more)]


def as_json(data: object) -> None:
    """Print `data` for programs. Times are ISO 8601, money is a string of US dollars."""
    # As the standard library writes it, but not for seconds where there are thousands of rows. Times as `str` has them.
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
    sys.stdout.write(orjson.dumps(data, default=str, option=options).decode())
    sys.stdout.write("\n")


def records_table(rows: Sequence[Row], title: str = "") -> Table:
    """A row per record: who and what, what the model said, what was done and what waits, and the cost."""
    table = Table(title=title or None, title_justify="left", show_lines=False, expand=True, pad_edge=False)
    table.add_column("No.", justify="right", style="dim")
    table.add_column("What came in, summary, what happened", ratio=1)
    table.add_column("Answer", width=13)
    table.add_column("Cost", justify="right", width=7)
    for row in rows:
        table.add_row(str(row.id), _record_cell(row), _answer_cell(row), f"${row.cost:.4f}", end_section=True)
    return table


def _record_cell(row: Row) -> Text:
    cell = Text(overflow="fold")
    if not row.redacted_at:
        cell.append(f"{printable(row.sender or row.title)}\n", style="bold")
    cell.append(printable(str(row.answer.get("summary") or row.title)))
    for what, style, items in (
        ("done", "green", row.done),
        ("waits", "yellow", row.waits),
        ("also", "red", row.other),
        (row.state, STATE_STYLE.get(row.state, "dim"), (row.reason,) if row.reason else ()),
    ):
        if items:
            cell.append(f"\n{what}: {printable(', '.join(items))}", style=style)
    return cell


def _answer_cell(row: Row) -> Text:
    if not row.answer:
        return Text("-", style="dim")
    intent, urgency = row.label.replace("_", " "), str(row.answer.get("urgency", ""))
    sure = row.answer.get("confidence")
    return Text(f"{intent}\n{urgency}" + (f"\n{sure:.0%} sure" if isinstance(sure, float) else ""))


def summary(rows: Sequence[Row]) -> None:
    """Print the counts under a table, in one sentence each."""
    counts = Counter(row.outcome.replace("waits", "wait") for row in rows)
    waits = sum(len(row.waits) for row in rows)
    done = sum(len(row.done) for row in rows)
    cost = sum((row.cost for row in rows), Decimal(0))
    console.print(
        f"{len(rows)} e-mails: " + ", ".join(f"{count} {what}" for what, count in counts.most_common()) + ".\n"
        f"{done} low-impact actions were done, {waits} actions wait for your sign-off.\n"
        f"Model calls cost ${cost:.4f}.",
        markup=False,
    )


def record_json(row: Row) -> dict[str, Any]:
    """One record for programs."""
    return asdict(row) | {"outcome": row.outcome}


class About(NamedTuple):
    """The record that an action is for: what it is called, and who wrote it. None where there is none."""

    title: str | None
    sender: str | None


class Listed(NamedTuple):
    """What a list shows of an action."""

    id: int
    title: str
    workflow: str
    expires_at: datetime | None
    flow_run_id: str | None
    about: About


Waits = TypeVar("Waits", Action, Listed)


def approvals(waiting: Sequence[Sequence[Listed]], ui: str) -> None:
    """Print what waits, form by form, oldest first, with whose record it is about: a form is of one record.

    The link to the form has a line of its own: it stays whole.
    """
    bold, dim, cyan = Style(bold=True), Style(dim=True), Style(color="cyan")
    # Of ten thousand: a `Text` of so many pieces takes rich four times as long.
    pieces: list[Segment] = []
    width = console.width  # which asks the terminal each time
    for form in waiting:
        for action in form:
            number, title = f"{action.id:>5}  ", printable(action.title)
            rest = f"{action.workflow}, expires {_left(action.expires_at)}"
            fits = _columns(f"{number}{title}  {rest}") <= width
            pieces.append(Segment(number, bold))
            if not fits and _columns(number + title) > width:
                title = hanging(Text(number + title), 7).plain[len(number) :]
            pieces.append(Segment(title))
            pieces.append(Segment(f"  {rest}\n" if fits else f"\n       {rest}\n", dim))
        if about := about_line(form[0].about, width - 7):
            pieces.append(Segment(f"       {about}\n"))
        pieces.append(Segment(f"       {form_link(form[0], ui)}\n", cyan))
    console.print(Segments(pieces), soft_wrap=True, end="")


def about_line(about: About, room: int) -> str:
    """What a record is called and who wrote it, in so many columns; empty where there is no record."""
    if about.title is None:
        return ""
    title, sender = printable(about.title) or "(without a subject)", printable(about.sender or "")
    left = max(room - _columns(title), room // 2)  # half of it at the least: either may be what tells two rows apart
    writer = f", from {_cut(sender, left - len(', from '))}" if sender else ""
    return _cut(title, room - _columns(writer)) + writer


def _columns(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _cut(text: str, room: int) -> str:
    return text if _columns(text) <= room else f"{set_cell_size(text, room - 1).rstrip()}…"


def forms(waiting: Sequence[Waits]) -> list[list[Waits]]:
    """The actions that share a form, together."""
    found: dict[str, list[Waits]] = {}
    for action in waiting:
        found.setdefault(action.flow_run_id or f"none yet, #{action.id}", []).append(action)
    return list(found.values())


def approval_json(action: Action, about: About, ui: str) -> dict[str, Any]:
    """One action for programs."""
    keys = (
        "id", "key", "workflow", "record_id", "kind", "impact", "title", "state", "stage", "reason", "payload",
        "digest", "explanation", "flow_run_id", "expires_at", "created_at", "redacted_at",
    )  # fmt: skip
    row = {key: getattr(action, key) for key in keys}
    return row | {"record_title": about.title, "record_sender": about.sender, "url": form_link(action, ui)}


def approval(action: Action, ui: str) -> None:
    """Print everything that an approver needs for one action."""
    from rich.markdown import Markdown  # these take longer than the list of ten thousand that needs none of them

    from tasks.approvals import wanted
    from tasks.retention import redacted_on

    if action.redacted_at:
        console.print(
            Text(f"{action.title.removesuffix(' (redacted)')} ({redacted_on(action.redacted_at)})", style="bold")
        )
    elif action.explanation:
        console.print(Markdown(action.explanation))
    else:
        console.print(Text(printable(action.title), style="bold"))
        _preview(wanted(action))
    form = f"; form: {form_link(action, ui)}" if action.state == "waiting" else ""
    console.print(Text(f"\n{action.state}{form}{f'; {action.reason}' if action.reason else ''}", style="dim"))


def decided(action: Action, decision: Decision) -> None:
    """Print who decided on an action, when, and what they let be done instead of the draft."""
    from tasks.approvals import read

    by = f"{decision.verdict} by {printable(decision.approver)} on {decision.created_at:%Y-%m-%d %H:%M} UTC"
    said = f": {printable(decision.comment)}" if decision.comment else ""
    console.print(Text(by + said, style="dim"))
    if decision.edited and not decision.redacted_at:
        console.print("with another text than the draft above:")
        edited = read(action.kind, decision.payload)
        _preview(edited, indent="  ")
        if edited and edited.editable:
            console.print(printable(str(getattr(edited, edited.editable)), lines=True), markup=False)


def _preview(wanted: Wanted | None, indent: str = "") -> None:
    if wanted is None:
        console.print(f"{indent}(this version of Signoff cannot read it)")
        return
    for label, value in wanted.preview().items():
        console.print(f"{indent}{label}: {printable(value)}", markup=False)


def agrees(question: str, unattended: str) -> bool:
    """Whether the person at the terminal says yes.

    Raises:
        CommandError: nobody is there; `unattended` says what to do instead.
    """
    if not sys.stdin.isatty():
        raise CommandError(unattended)
    try:
        return console.input(f"{question} \\[y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        console.print()
        return False


def form_link(action: Action | Listed, ui: str) -> str:
    """Where the action is approved in the Prefect UI."""
    return f"{ui}/runs/flow-run/{action.flow_run_id}" if action.flow_run_id else "(its form is being made)"


def printable(text: str, *, lines: bool = False) -> str:
    """Text from outside without control characters, which could rewrite the terminal."""
    unix = text.replace("\r\n", "\n")
    if unix.isprintable():  # nearly every one of ten thousand is
        kept = unix
    else:
        kept = "".join(c if c.isprintable() or c == "\n" else " " * c.isspace() for c in unix)
    return kept if lines else " ".join(kept.split())


def _left(expires_at: datetime | None) -> str:
    if expires_at is None:
        return "never"
    return f"in {age(expires_at - utcnow())}"

"""`signoff rows`: the tables that documents have become."""

from __future__ import annotations

import csv
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rich.table import Table
from rich.text import Text

from blocks.extraction.values import as_text
from blocks.ledger import Ledger
from blocks.rows import OWN, Rows
from deployments import views
from deployments.errors import CommandError
from prompts.document_intake.schemas import Paper, find, marks, schemas, title_of

_NO_TEXT = (int, Decimal, date, datetime)


def list_tables(*, as_json: bool) -> int:
    """Print each kind of document, its table and how many rows it has."""
    rows = Rows(Ledger.open())
    counts = [(kind, rows.count(kind)) for kind in schemas().values()]
    if as_json:
        views.as_json([{"schema": kind.name, "table": kind.table, "rows": count} for kind, count in counts])
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("Kind", "Table", "Rows"):
        table.add_column(name, justify="right" if name == "Rows" else "left")
    for kind, count in counts:
        table.add_row(kind.name, kind.table, f"{count:,}")
    views.console.print(table)
    views.prose("\nOne of them: signoff rows list KIND (--csv or --json for other programs)")
    return 0


def list_rows(schema: str, *, limit: int, as_csv: bool, as_json: bool) -> int:
    """Print the newest rows of a kind."""
    kind = _kind(schema)
    found = Rows(Ledger.open()).read(kind, limit=limit)
    if as_json:
        views.as_json([_plain(kind, row) for row in found])
    elif as_csv:
        _as_csv(kind, found)
    elif found:
        _as_table(kind, found)
    else:
        views.console.print(f"There is no {kind.name} yet. What waits for a person: signoff approvals list")
    return 0


def show_row(schema: str, number: int, *, as_json: bool) -> int:
    """Print one row, with where each of its values is from."""
    kind = _kind(schema)
    found = Rows(Ledger.open()).read(kind, row=number)
    if not found:
        raise CommandError(
            f"there is no row {number} in {kind.table}; `signoff rows list {kind.name}` shows those there are"
        )
    row = found[0]
    if as_json:
        views.as_json(_plain(kind, row) | {"evidence": row["evidence"]})
        return 0
    views.console.print(
        f"{title_of(kind.name)} {number}, from {views.printable(row['file'])}", markup=False, style="bold"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("Field", "Value", "From"):
        table.add_column(name)
    for name, _, _ in marks(kind):
        if row[name] is not None:
            table.add_row(
                title_of(name), Text(views.printable(as_text(row[name]))), Text(_from(row["evidence"].get(name)))
            )
    views.console.print(table)
    for line in row.get("lines", ()):
        cells = (as_text(value) for value in line.values() if value is not None)
        views.console.print(f"  {views.printable('  '.join(cells))}", markup=False)
    return 0


def remove(schema: str, number: int, *, yes: bool) -> int:
    """Take a row out of its table again; the ledger goes on telling that it was added, and by whom."""
    kind = _kind(schema)
    rows = Rows(Ledger.open())
    found = rows.read(kind, row=number)
    if not found:
        raise CommandError(
            f"there is no row {number} in {kind.table}; `signoff rows list {kind.name}` shows those there are"
        )
    known = ", ".join(as_text(found[0][name]) for name in kind.key if found[0][name] is not None)
    if not yes and not views.agrees(
        f"Remove {kind.name} {number} ({views.printable(known)})?", "add --yes to remove it"
    ):
        raise CommandError("nothing was removed")
    rows.remove(kind, number)
    views.console.print(
        f"Removed {kind.name} {number}. To enter its document again, put a copy of it where it came from, "
        "under another name.",
        soft_wrap=True,
    )
    return 0


def _kind(schema: str) -> type[Paper]:
    try:
        return find(schema)
    except KeyError as error:
        raise CommandError(str(error.args[0])) from error


def _from(evidence: dict[str, Any] | None) -> str:
    if not evidence:
        return ""
    if evidence.get("by"):
        return f"a {evidence['by']}"
    sure = f", {evidence['confidence']:.0%} sure" if "confidence" in evidence else ""
    return f"{evidence.get('where', '')}{sure}".strip(", ")


def _plain(kind: type[Paper], row: dict[str, Any]) -> dict[str, Any]:
    """A row for programs: numbers and dates as text, so that none loses a digit."""
    values = {name: as_text(row[name]) if row[name] is not None else None for name, _, _ in marks(kind)}
    lines = [{k: as_text(v) if v is not None else None for k, v in line.items()} for line in row.get("lines", ())]
    mine = {name: row[name] for name in OWN if name not in ("evidence", "same_as")}
    return {**mine, **values} | ({"lines": lines} if "lines" in row else {})


def _as_csv(kind: type[Paper], found: list[dict[str, Any]]) -> None:
    columns = ["id", *(name for name, _, _ in marks(kind)), "file", "added_at"]
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for row in found:
        writer.writerow(
            [row[name] if isinstance(row[name], _NO_TEXT) else _safe(as_text(row[name])) for name in columns]
        )


def _safe(value: Any) -> Any:
    """A stranger's text that a spreadsheet would take for a formula is text there, too."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _as_table(kind: type[Paper], found: list[dict[str, Any]]) -> None:
    names = [name for name in dict.fromkeys((*kind.key, *kind.needed))][:6]
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("#", justify="right", style="dim")
    for name in names:
        table.add_column(title_of(name), ratio=2 if name in kind.key else None, overflow="fold")
    for row in found:
        table.add_row(str(row["id"]), *(Text(views.printable(as_text(row[name]))) for name in names))
    views.console.print(table)

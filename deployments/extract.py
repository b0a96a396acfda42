"""`signoff extract`: one document on this machine, read by rules: no account, no key, nothing stored."""

from __future__ import annotations

import base64
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from rich.table import Table
from rich.text import Text

from blocks.documents import Reader, Sheet, Unreadable
from blocks.documents.limits import MOST_BYTES
from blocks.extraction import evidence, rules
from blocks.extraction.evidence import Extraction, Weighed
from blocks.extraction.looks import look
from blocks.extraction.values import as_text
from deployments import views
from deployments.errors import CommandError
from prompts.document_intake.schemas import LINES, Paper, find, marks, schemas, title_of

SURE = 0.8
"""Under this a value is for a person to look at; the card of document-intake has the same."""

PAGE_DPI = 110.0
MOST_PAGES = 20
"""On the page that is written for a browser."""


def extract(file: str, *, schema: str | None, html: str | None, as_json: bool) -> int:
    """Read a file and print its row, with how sure each value is and where it stands; 1 when it is of no kind."""
    path = Path("stdin") if file == "-" else Path(file)
    content = _piped() if file == "-" else _content(path)
    with Reader() as reader:
        try:
            sheet = look(reader, content, _shown(path.name))
        except Unreadable as error:
            raise CommandError(f"{_shown(path)}: {error}") from error
        kind, sure = _kind(schema, sheet)
        if kind is None:
            return _no_kind(path, as_json=as_json)
        found = rules.extract(kind, sheet.text)
        today = datetime.now(UTC).date()
        read = evidence.weigh(kind, *evidence.by_rules(found), sheet, today=today, by_model=False)
        if sure < SURE:
            unlike = f"it may be no {kind.name}: that is {sure:.0%} sure"
            read = replace(read, doubts=(unlike, *read.doubts))
        if html is not None:
            _write(Path(html), page(reader, content, _shown(path.name), sheet, read))
    if as_json:
        views.as_json(told(path, sheet, read))
    else:
        show(path, sheet, read)
        if html is not None:
            views.console.print(f"\nThe page with every value in its place: {html}", soft_wrap=True)
    return 0


def told(path: Path, sheet: Sheet, read: Extraction) -> dict[str, Any]:
    """For programs: the row, and of each value what shows that it is right."""
    packed = read.packed()
    return {
        "file": _shown(path),
        "schema": read.kind.name,
        "row": read.fields(),
        "values": packed["values"],
        "lines": packed["lines"],
        "doubts": packed["doubts"],
        "unsure": {name: list(why) for name, why in read.unsure(SURE).items()},
        "pages": len(sheet.pages),
        "notes": list(sheet.notes),
    }


def show(path: Path, sheet: Sheet, read: Extraction) -> None:
    """For people: a line for each field, its value, how sure it is and where it stands."""
    pages = f", {len(sheet.pages)} pages" if len(sheet.pages) > 1 else ""
    views.console.print(f"{_shown(path.name)}: {read.kind.name}{pages}", markup=False, style="bold")
    for note in sheet.notes:
        views.console.print(note.capitalize() + ".", markup=False, style="dim")
    unsure = read.unsure(SURE)
    table = Table(box=None, pad_edge=False, expand=True)
    for name, width in (("Field", 16), ("Value", None), ("Sure", 4), ("Where", 8)):
        table.add_column(name, width=width, ratio=None if width else 1, justify="right" if name == "Sure" else "left")
    for name, _, _ in marks(read.kind):
        value = read.values.get(name)
        table.add_row(*_cells(name, value, unsure.get(name)))
    views.console.print(table)
    if read.lines:
        views.console.print(_lines(read))
    doubts = (*read.doubts, *unsure.pop(LINES, ()))
    for doubt in doubts:
        views.console.print(f"Please check: {doubt}.", markup=False, style="yellow")
    count = len(unsure) + len(doubts)
    said = f"{count} to check by a person" if count else "nothing to check"
    views.console.print(f"\n{len(read.values)} values, {said}.")


def _cells(name: str, value: Weighed | None, why: tuple[str, ...] | None) -> tuple[Text, Text, Text, Text]:
    title = Text(title_of(name), style="yellow" if why else "")
    if value is None:
        return title, Text(f"- ({why[0]})" if why else "-", style="dim"), Text(""), Text("")
    said = Text(views.printable(as_text(value.value) or value.printed), overflow="fold")
    for doubt in why or ():
        said.append(f"\n{views.printable(doubt)}", style="yellow")
    return title, said, Text(f"{value.confidence:.0%}"), Text(str(value.place) if value.place else "", style="dim")


def _lines(read: Extraction) -> Table:
    columns = list(dict.fromkeys(name for line in read.lines for name in line))
    table = Table(box=None, pad_edge=False, expand=True, title="Lines", title_justify="left")
    for name in columns:
        words = name == "description"
        table.add_column(title_of(name), ratio=1 if words else None, justify="left" if words else "right")
    for line in read.lines:
        table.add_row(*(Text(views.printable(as_text(line[name].value)) if name in line else "") for name in columns))
    return table


def page(reader: Reader, content: bytes, name: str, sheet: Sheet, read: Extraction) -> str:
    """A page for a browser that needs nothing besides: the values, and the paper with each of them marked on it."""
    shown = []
    if sheet.made_by == "print":
        for number, size in enumerate(sheet.pages[:MOST_PAGES], start=1):
            jpeg = base64.b64encode(reader.picture(content, name, number, dpi=PAGE_DPI)).decode()
            shown.append({"number": number, "size": size, "jpeg": jpeg, "marks": _marks(read, number)})
    unsure = read.unsure(SURE)
    rows = [
        {"name": field, "title": title_of(field), "value": read.values.get(field), "why": unsure.get(field)}
        for field, _, _ in marks(read.kind)
    ]
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (Path(__file__).parent / "extract.html").read_text(encoding="utf-8")
    )
    columns = list(dict.fromkeys(column for line in read.lines for column in line))
    doubts = (*read.doubts, *unsure.get(LINES, ()))
    return template.render(
        name=name, kind=read.kind.name, notes=sheet.notes, doubts=doubts, rows=rows, pages=shown, lines=read.lines,
        columns=columns, title_of=title_of, as_text=as_text, text=sheet.text if not shown else "", unsure=len(unsure),
        left_out=max(len(sheet.pages) - MOST_PAGES, 0) if shown else 0,
    )  # fmt: skip


def _marks(read: Extraction, page_number: int) -> list[dict[str, Any]]:
    """Where values stand on a page."""
    unsure = read.unsure(SURE)
    return [
        {"name": name, "title": title_of(name), "box": box, "unsure": name in unsure}
        for name, one in read.values.items()
        if one.place and one.place.page == page_number
        for box in one.place.boxes
    ]


def _content(path: Path) -> bytes:
    """The file, never more of it than is read of any.

    Raises:
        CommandError: it is no file, is too large, or cannot be read.
    """
    try:
        if not path.exists():
            raise CommandError(f"{_shown(path)}: there is no such file")
        if not path.is_file():
            raise CommandError(f"{_shown(path)} is no file: a folder's papers are read by the workflow document-intake")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{_shown(path)}: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise CommandError(f"{_shown(path)} has {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read")
    return content


def _piped() -> bytes:
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise CommandError(f"more than {MOST_BYTES:,} bytes are piped in; at most so many are read")
    return content


def _shown(path: Path | str) -> str:
    """A file's name as it can be printed, whatever bytes it is made of."""
    return views.printable(str(path).encode("utf-8", "replace").decode())


def _kind(schema: str | None, sheet: Sheet) -> tuple[type[Paper] | None, float]:
    """What kind it is, and how sure that is; it is what somebody says that it is."""
    if schema is None:
        return rules.recognise(sheet.text)
    try:
        return find(schema), 1.0
    except KeyError as error:
        raise CommandError(str(error.args[0])) from error


def _no_kind(path: Path, *, as_json: bool) -> int:
    known = ", ".join(schemas())
    if as_json:
        views.as_json({"file": _shown(path), "schema": None, "row": None})
    else:
        views.console.print(
            f"{_shown(path.name)} is none of the kinds that are known ({known}). "
            "If it is one, say which: --schema NAME",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    return 1


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{_shown(path)} cannot be written: {error.strerror or error}") from error

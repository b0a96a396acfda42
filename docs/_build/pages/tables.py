"""Each table of the ledger and of the library, and the ledger's migrations."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import sqlalchemy as sa

from blocks.ledger import tables as ledger
from blocks.library import tables as library
from docs._build.source import ROOT, comments, docstring, notes, tree
from docs._build.text import code, codes, table

MIGRATIONS = ROOT / "blocks" / "ledger" / "migrations" / "versions"
TYPES = {"JSON": "JSON", "LargeBinary": "bytes", "Usd": "US dollars", "Utc": "time (UTC)", "String": "text"}
TYPES |= {"Text": "text", "Integer": "whole number", "BigInteger": "whole number", "Boolean": "true or false"}
TYPES |= {"Double": "number", "Float": "number", "DateTime": "time (UTC)", "Words": "text"}
TYPES |= {"Sha256": "hash", "Vector": "embedding", "Stems": "stems"}

COMMON = {
    "id": "Its number.",
    "workflow": "Whose it is.",
    "record_id": "The record that it is about.",
    "action_id": "The action that it is about.",
    "run_id": "The run that has done it, or is about it.",
    "flow_run_id": "The run in Prefect.",
    "state": "How far it has got.",
    "reason": "Why it is in that state, for people.",
    "attempts": "How often it was tried.",
    "created_at": "When the row was made.",
    "updated_at": "When it was last changed.",
    "redacted_at": "When its personal data was taken out.",
}
"""What columns of many tables are, where nothing else is said."""

HEAD = """# Tables

Each table of the ledger and of the library, with its columns, for whoever reads them with SQL. `?` after a type: the
column may be empty. The ledger is what happened and why; nobody but Signoff should write to it, and `signoff audit
verify` finds whoever did. Dollars are stored as whole nano-dollars: divide by 1,000,000,000.

The tables of rows that documents become (`signoff rows tables`) are in the ledger's database, too; their columns are
those of the schemas in `prompts/document_intake/schemas/`.

"""


def page() -> str:
    """The Markdown."""
    mappers = sorted(ledger.Base.registry.mappers, key=lambda each: inspect.getsourcelines(each.class_)[1])
    ledgers = [_ledger_table(each.class_) for each in mappers]
    return HEAD + "\n".join(["## The ledger\n", *ledgers, _migrations(), "## The library\n", *_library()])


def _ledger_table(kind: type[ledger.Base]) -> str:
    said = notes(kind)
    made: sa.Table = kind.__table__  # type: ignore[assignment]
    rows = [
        (code(column.name), _type(column), _keys(column), said.get(column.key) or COMMON.get(column.name, ""))
        for column in made.columns
    ]
    return _table(made, " ".join((inspect.getdoc(kind) or "").split()) + "\n\n", rows)


def _library() -> list[str]:
    said = comments(Path(library.__file__))
    lines = _column_lines(Path(library.__file__))
    found = [
        _table(
            made,
            "",
            [
                (code(column.name), _type(column), _keys(column), said.get(lines.get((made.name, column.name), 0), ""))
                for column in made.columns
            ],
        )
        for made in library.metadata.tables.values()
    ]
    return [" ".join(docstring(Path(library.__file__)).split()) + "\n", *found]


def _column_lines(path: Path) -> dict[tuple[str, str], int]:
    """On which line each column stands, by table and name."""
    found = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sa.Table":
            for column in node.args[2:]:
                if isinstance(column, ast.Call) and column.args and isinstance(column.args[0], ast.Constant):
                    found[str(node.args[0].value), str(column.args[0].value)] = column.lineno  # type: ignore[attr-defined]
    return found


def _table(made: sa.Table, about: str, rows: list[tuple[str, str, str, str]]) -> str:
    unique = [list(each.columns.keys()) for each in made.constraints if isinstance(each, sa.UniqueConstraint)]
    together = "".join(f"\nOnce together: {codes(names)}.\n" for names in sorted(unique) if len(names) > 1)
    columns = table(("Column", "Type", "Key", "What it is"), rows)
    return f"### {made.name}\n\n{about}{columns}{together}"


def _type(column: sa.Column[object]) -> str:
    name = type(column.type).__name__
    return f"{TYPES.get(name, name)}{'?' if column.nullable else ''}"


def _keys(column: sa.Column[object]) -> str:
    found = ["primary"] if column.primary_key else []
    found += [f"→ {code(key.target_fullname)}" for key in column.foreign_keys]
    return ", ".join([*found, *(["unique"] if column.unique else [])])


def _migrations() -> str:
    rows = []
    for path in sorted(MIGRATIONS.glob("[0-9]*.py")):
        rows.append((code(path.stem.partition("_")[0]), " ".join(docstring(path).split())))
    return (
        "## The ledger's migrations\n\n"
        "Alembic's, in `blocks/ledger/migrations/versions/`. A ledger of an earlier version is brought up to date when "
        "it is opened. The library has none: it can be made anew from the documents.\n\n"
        + table(("Revision", "What it brings"), rows)
    )

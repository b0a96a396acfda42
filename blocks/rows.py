"""Rows made of documents: an ordinary table for each kind, in the ledger's own database, which any tool can query.

The tables are made from the kind's pydantic class when its first row comes, and get a column more when the class has a
field more. Nothing is ever taken out of them but by `remove`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.schema import CreateColumn
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from blocks.ledger import Ledger, utcnow
from blocks.ledger.tables import Base, Utc
from prompts.document_intake.schemas import Paper, line_of, marks

OWN = ("id", "added_at", "action_key", "record_id", "file", "sha256", "evidence", "same_as")
"""The columns that every such table has besides the kind's fields."""


class _Numeric(UserDefinedType[Any]):
    """SQLite's own: a number where it is one, to the last digit that it was given."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "NUMERIC"


class Exact(TypeDecorator[Decimal]):
    """A decimal number that stays what it is. SQLite knows none: it is given as text, and kept as a number."""

    impl = sa.Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(_Numeric() if dialect.name == "sqlite" else sa.Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(str(value))


class SamePaper(Exception):
    """A row of the same paper is there, by the kind's key."""

    def __init__(self, number: int) -> None:
        super().__init__(f"row {number} is of the same paper")
        self.number = number


class Rows:
    """The tables of all kinds, in a ledger's database."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(
        self,
        paper: Paper,
        *,
        key: str,
        record_id: int | None,
        file: str,
        sha256: str,
        evidence: Mapping[str, Any],
        twice: bool = False,
    ) -> int:
        """Add a row and its lines, in one transaction; of a key that is there nothing is added. Returns its number.

        Args:
            paper: what it holds.
            key: of the action that wants it: the same action adds one row, however often it is tried.
            record_id: the ledger's record that it was made of.
            file: the document's name.
            sha256: of the document.
            evidence: by field, what shows that its value is right: `confidence`, `printed`, `page` and `boxes`.
            twice: whether it is added even when there is a row of the same paper: a person has said so.

        Raises:
            SamePaper: there is one, and it is not.
            LedgerUnavailable: the database went away.
        """
        table, lines = _tables(type(paper))
        values = {name: getattr(paper, name) for name, _, _ in marks(type(paper))}
        mine = {"added_at": utcnow(), "action_key": key, "record_id": record_id, "file": file, "sha256": sha256}
        with self._ledger.write() as session:
            connection = session.connection()
            _make(connection, type(paper))
            known = connection.scalar(sa.select(table.c.id).where(table.c.action_key == key))
            if known is not None:
                return int(known)
            same = identity(type(paper), dict(paper))
            if same is not None and not twice:
                twin = connection.scalar(_with(table, same))
                if twin is not None:
                    raise SamePaper(int(twin))
            added = connection.execute(table.insert().values(**values, **mine, evidence=dict(evidence), same_as=same))
            number = int(added.inserted_primary_key[0])  # type: ignore[index]
            if lines is not None and (said := getattr(paper, "lines", ())):
                rows = [
                    {"row_id": number, "position": at, **line.model_dump()} for at, line in enumerate(said, start=1)
                ]
                connection.execute(lines.insert(), rows)
        return number

    def find(self, kind: type[Paper], key: str) -> int | None:
        """The number of the row that an action has added, or None."""
        table, _ = _tables(kind)
        return self._first(kind, sa.select(table.c.id).where(table.c.action_key == key))

    def same_as(self, kind: type[Paper], fields: Mapping[str, Any]) -> int | None:
        """The number of a row of the same paper, by the kind's key; None without one, or where a part is not known.

        Args:
            kind: which table.
            fields: values by field, as the class has them.
        """
        table, _ = _tables(kind)
        same = identity(kind, fields)
        return None if same is None else self._first(kind, _with(table, same))

    def latest(self, kind: type[Paper], name: str, of: Mapping[str, Any], *, but: str = "") -> tuple[int, Any] | None:
        """The last row's number that has a field at all, of those whose other fields are these; and the field's value.

        Args:
            kind: which table.
            name: the field.
            of: values by field, which are compared by their letters.
            but: the key of an action whose row does not count.
        """
        table, _ = _tables(kind)
        wanted = {each: folded(value) for each, value in of.items()}
        if not all(wanted.values()):
            return None
        query = sa.select(table.c.id, table.c[name], *(table.c[each] for each in wanted))
        query = query.where(table.c[name].is_not(None), table.c.action_key != but).order_by(table.c.id.desc())
        with self._ledger.read() as session:
            if not _there(session.connection(), table):
                return None
            for number, value, *others in session.execute(query):
                if [folded(other) for other in others] == list(wanted.values()):
                    return int(number), value
        return None

    def read(self, kind: type[Paper], *, limit: int | None = None, row: int | None = None) -> list[dict[str, Any]]:
        """The rows, the newest first, each with its `lines`."""
        table, lines = _tables(kind)
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
        if row is not None:
            query = query.where(table.c.id == row)
        with self._ledger.read() as session:
            if not _there(session.connection(), table):
                return []
            for each in (table, *([] if lines is None else [lines])):
                _known(session.connection(), each)
            found = [dict(one) for one in session.execute(query).mappings()]
            if lines is not None and found:
                theirs = sa.select(lines).where(lines.c.row_id.in_([one["id"] for one in found]))
                of: dict[int, list[dict[str, Any]]] = {}
                for line in session.execute(theirs.order_by(lines.c.row_id, lines.c.position)).mappings():
                    of.setdefault(line["row_id"], []).append({k: v for k, v in line.items() if k not in _OF_LINES})
                for one in found:
                    one["lines"] = of.get(one["id"], [])
        return found

    def count(self, kind: type[Paper]) -> int:
        """How many there are."""
        table, _ = _tables(kind)
        return self._first(kind, sa.select(sa.func.count()).select_from(table)) or 0

    def remove(self, kind: type[Paper], number: int) -> bool:
        """Take a row and its lines out again; False where there is none."""
        table, lines = _tables(kind)
        with self._ledger.write() as session:
            connection = session.connection()
            if not _there(connection, table):
                return False
            if lines is not None:
                connection.execute(lines.delete().where(lines.c.row_id == number))
            gone = connection.execute(table.delete().where(table.c.id == number))
            return bool(gone.rowcount)

    def _first(self, kind: type[Paper], query: sa.Select[Any]) -> int | None:
        table, _ = _tables(kind)
        with self._ledger.read() as session:
            found = session.scalar(query) if _there(session.connection(), table) else None
        return None if found is None else int(found)


_OF_LINES = ("id", "row_id", "position")


@cache
def _tables(kind: type[Paper]) -> tuple[sa.Table, sa.Table | None]:
    """The table of a kind, and that of its lines.

    Raises:
        ValueError: the ledger has a table of that name itself, or a field is called like a column of ours.
    """
    taken = {kind.table, f"{kind.table}_lines"} & set(Base.metadata.tables)
    if taken:
        raise ValueError(f"the schema {kind.name} cannot have the table {taken.pop()}: the ledger has one itself")
    if own := {name for name, _, _ in marks(kind)} & set(OWN):
        raise ValueError(f"the schema {kind.name} cannot have a field {own.pop()}: every table has such a column")
    meta = sa.MetaData()
    table = sa.Table(
        kind.table,
        meta,
        sa.Column("id", sa.Integer, primary_key=True),
        *_columns(kind),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("record_id", sa.Integer),
        sa.Column("action_key", sa.String, nullable=False, unique=True),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("same_as", sa.Text, index=True),
        sa.Column("added_at", Utc, nullable=False),
    )
    line = line_of(kind)
    if line is None:
        return table, None
    lines = sa.Table(
        f"{kind.table}_lines",
        meta,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("row_id", sa.Integer, sa.ForeignKey(table.c.id), nullable=False, index=True),
        sa.Column("position", sa.Integer, nullable=False),
        *_columns(line),
    )
    return table, lines


def _columns(kind: type[BaseModel]) -> list[sa.Column[Any]]:
    types: dict[Any, Any] = {str: sa.Text, date: sa.Date, datetime: Utc, Decimal: Exact}
    found = []
    for name, field, _ in marks(kind):
        python = next((one for one in (*get_args(field.annotation), field.annotation) if one in types), str)
        found.append(sa.Column(name, types[python]))
    return found


def _make(connection: Connection, kind: type[Paper]) -> None:
    """The tables, where they are not there yet; and the columns that the class has more than they have."""
    for table in _tables(kind):
        if table is None:
            continue
        if not _there(connection, table):
            table.create(connection)
            continue
        _known(connection, table)


def _known(connection: Connection, table: sa.Table) -> None:
    """Give a table the columns that its class has more."""
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    for column in table.columns:
        if column.name not in there:
            said = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {said}"))


def _there(connection: Connection, table: sa.Table) -> bool:
    return sa.inspect(connection).has_table(table.name)


def identity(kind: type[Paper], fields: Mapping[str, Any]) -> str | None:
    """What is the same for two copies of a paper and for no other: its key, by its letters; None if any is missing."""
    parts = [folded(fields.get(name)) for name in kind.key]
    return "|".join(parts) if all(parts) else None


def folded(value: Any) -> str:
    """A value without what is written in many ways: capitals, spaces, a full stop at its end. Empty for none.

    In Python, and not by the database: SQLite knows the capitals of ASCII alone.
    """
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return "".join(unicodedata.normalize("NFKC", "" if value is None else str(value)).casefold().split()).rstrip(".,;:")


def _with(table: sa.Table, same: str) -> sa.Select[Any]:
    return sa.select(table.c.id).where(table.c.same_as == same).order_by(table.c.id).limit(1)

"""A ledger of any earlier version is opened by this one with all that is in it, and can go back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from blocks.ledger import Ledger, store
from blocks.ledger.tables import Base
from blocks.mail import Email
from tasks import audit
from tests.migrating import CONFIG, migrated
from tests.work import add_work

pytestmark = pytest.mark.both_databases

EARLIER = sorted(
    script.revision for script in ScriptDirectory.from_config(CONFIG).walk_revisions() if script.revision != store.HEAD
)
WHEN = datetime(2026, 5, 4, 12, 30, 15, tzinfo=UTC)
STATES = {"records": "done", "actions": "done"}
"""States that no migration changes: what 0003 judges again is tested by itself."""

Row = dict[str, Any]
MakeEmail = Callable[..., Email]


def tables(ledger: Ledger) -> list[sa.Table]:
    """As they are in the database, each behind those that it refers to."""
    metadata = sa.MetaData()
    with ledger.engine.connect() as connection:
        metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def value(table: sa.Table, column: sa.Column[Any]) -> Any:
    """Something that the column takes; what refers to another row refers to the one that there is."""
    for key in column.foreign_keys:
        return value(key.column.table, key.column)
    if column.name == "state" and table.name in STATES:
        return STATES[table.name]
    match column.type:
        case sa.DateTime():
            return WHEN
        case sa.JSON():
            return {"of": f"{table.name}.{column.name}"}
        case sa.Boolean():
            return False
        case sa.Integer():
            return 1
        case sa.Float() | sa.Double():
            return 1.5
        case sa.LargeBinary():
            return b"bytes"
        case _:
            return f"{column.name} of {table.name}"


def rows(ledger: Ledger, names: dict[str, set[str]]) -> dict[str, list[Row]]:
    """What the tables hold in these columns."""
    found = {}
    made = tables(ledger)
    with ledger.engine.connect() as connection:
        for table in made:
            if table.name in names:
                columns = [column for column in table.columns if column.name in names[table.name]]
                read = connection.execute(sa.select(*columns)).mappings()
                found[table.name] = [{name: _as_digits(table, kept) for name, kept in row.items()} for row in read]
    return found


def _as_digits(table: sa.Table, kept: Any) -> Any:
    """What 0009 made bytes of, as before."""
    return kept.hex() if table.name == "history" and isinstance(kept, bytes) else kept


def fill(ledger: Ledger) -> dict[str, set[str]]:
    """A row in every table, and every column of it; returns the tables' columns."""
    made = tables(ledger)
    with ledger.engine.connect() as connection, connection.begin():
        for table in made:
            if table.name == "history" and connection.scalar(sa.select(sa.func.count()).select_from(table)):
                continue  # its first row was written when it was made
            connection.execute(sa.insert(table).values({c.name: value(table, c) for c in table.columns}))
    return {table.name: {column.name for column in table.columns} for table in made}


def only(columns: dict[str, set[str]], of: dict[str, list[Row]]) -> dict[str, list[Row]]:
    return {name: [{k: v for k, v in row.items() if k in columns[name]} for row in some] for name, some in of.items()}


@pytest.mark.parametrize("revision", EARLIER)
def test_what_an_earlier_version_wrote_is_there_whole(ledger: Ledger, ledger_url: str, revision: str) -> None:
    migrated(ledger, revision)
    names = fill(ledger)
    before = rows(ledger, names)
    assert set(before) == set(names)
    assert all(before.values())

    opened = store._open.__wrapped__(ledger_url)  # as a process of this version does
    try:
        after = rows(opened, names)
        kept = {name: set(some[0]) for name, some in after.items()}  # a later version may have taken a column out
        for name, some in only(kept, before).items():
            assert after[name][: len(some)] == some, name
        with opened.read() as session:
            assert session.scalar(sa.text("SELECT version_num FROM alembic_version")) == store.HEAD
            for mapper in Base.registry.mappers:
                session.scalars(sa.select(mapper)).all()  # and this version's code can read it
    finally:
        opened.engine.dispose()

    migrated(ledger, revision)
    assert only(kept, rows(ledger, names)) == only(kept, before)


class TestTheHistorysHashes:
    """They are digits until 0008, and bytes from 0009 on."""

    def test_they_vouch_for_the_same_rows(self, ledger: Ledger, email: MakeEmail) -> None:
        add_work(ledger, email())
        before = audit.verify(ledger)
        for revision in ("0008", "head"):
            migrated(ledger, revision)
        after = audit.verify(ledger, expect=before.head.hash)
        assert (after.passed, after.head, after.history) == (True, before.head, before.history)
        add_work(ledger, email())
        assert audit.verify(ledger, expect=before.head.hash).passed

    @pytest.mark.parametrize("written", ["", "no hash", "AB" * 32, "é" * 64])
    def test_what_is_none_does_not_keep_the_ledger_closed_and_is_found(
        self, ledger: Ledger, email: MakeEmail, written: str
    ) -> None:
        add_work(ledger, email())
        migrated(ledger, "0008")
        with ledger.engine.connect() as connection, connection.begin():
            connection.execute(sa.text("UPDATE history SET hash = :written WHERE id = 2"), {"written": written})
        migrated(ledger, "head")
        assert "history/2" in {finding.subject for finding in audit.verify(ledger).findings}


def test_every_earlier_version_is_looked_at() -> None:
    assert [f"{number:04}" for number in range(1, int(store.HEAD))] == EARLIER

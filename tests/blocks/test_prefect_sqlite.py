"""Prefect's server on SQLite: nobody is refused who could wait, and a refusal does not stop its event loop later."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from blocks import prefect_sqlite

OURS = {"handle_error": prefect_sqlite.close_cursor, "before_cursor_execute": prefect_sqlite.begin_as_writer}

BUSY_SECONDS = 5
"""How long a connection waits for the lock; Prefect's wait for 60."""


@pytest.fixture
def without() -> Iterator[None]:
    """As it would be without us."""
    for name, listener in OURS.items():
        sa.event.remove(sa.Engine, name, listener)
    yield
    for name, listener in OURS.items():
        sa.event.listen(sa.Engine, name, listener, retval=name == "before_cursor_execute")


@pytest.fixture
def collected_by_hand() -> Iterator[None]:
    """Garbage is collected when the test says so."""
    gc.disable()
    yield
    gc.enable()


def engine(folder: Path) -> AsyncEngine:
    """A database as Prefect's server has one: WAL, transactions begun by hand, and patience for the lock."""
    made = create_async_engine(f"sqlite+aiosqlite:///{folder / 'prefect.db'}")

    @sa.event.listens_for(made.sync_engine, "connect")
    def _set_up(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", f"busy_timeout = {BUSY_SECONDS * 1000}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return made


async def fail(one: AsyncConnection, other: AsyncConnection) -> OperationalError:
    """What comes of a write after a read when somebody has written in between."""
    await one.exec_driver_sql("BEGIN")
    await one.exec_driver_sql("SELECT * FROM said")
    await other.exec_driver_sql("INSERT INTO said VALUES ('other')")
    with pytest.raises(OperationalError, match="database is locked") as caught:
        await one.exec_driver_sql("INSERT INTO said VALUES ('one')")
    await one.exec_driver_sql("ROLLBACK")
    return caught.value


async def the_failed_one_waits(folder: Path) -> str:
    """How a wait for the lock ends during which an earlier failure of the same connection is collected as garbage."""
    database = engine(folder)
    async with database.connect() as one, database.connect() as other:
        await other.exec_driver_sql("CREATE TABLE said (text)")
        error: list[object] = [await fail(one, other)]
        error.append(error)  # only the collector frees it
        await other.exec_driver_sql("BEGIN IMMEDIATE")
        begun = threading.Event()
        driver = (await one.get_raw_connection()).driver_connection
        await driver.set_trace_callback(lambda _: begun.set())  # type: ignore[union-attr]
        waits = asyncio.create_task(one.exec_driver_sql("INSERT INTO said VALUES ('one')"))
        await asyncio.to_thread(begun.wait)  # from now on its thread has the mutex, until it has the lock
        del error
        gc.collect()
        await other.exec_driver_sql("COMMIT")
        try:
            await waits
            ended = "written"
        except OperationalError as wrong:
            ended = str(wrong.orig)
    await database.dispose()
    return ended


async def both_write(folder: Path) -> str:
    """How a transaction of Prefect's ends that reads, and writes when somebody else wants to have written before."""
    prefect = AioSqliteConfiguration(f"sqlite+aiosqlite:///{folder / 'prefect.db'}")
    database = await prefect.engine()
    async with database.connect() as other, await prefect.session(database) as session:
        await other.exec_driver_sql("CREATE TABLE said (text)")
        try:
            async with prefect.begin_transaction(session):
                await session.execute(sa.text("SELECT * FROM said"))
                theirs = asyncio.create_task(other.exec_driver_sql("INSERT INTO said VALUES ('other')"))
                await asyncio.wait([theirs], timeout=0.5)
                await session.execute(sa.text("INSERT INTO said VALUES ('one')"))
        except OperationalError as wrong:
            return str(wrong.orig)
        finally:
            await theirs
        said = await other.exec_driver_sql("SELECT text FROM said ORDER BY text")
        return " and ".join(said.scalars())


def test_who_read_first_may_still_write(tmp_path: Path) -> None:
    assert asyncio.run(both_write(tmp_path)) == "one and other"


@pytest.mark.usefixtures("without")
def test_it_would_be_refused_without_us(tmp_path: Path) -> None:
    """When this fails, Prefect begins as a writer, and `begin_as_writer` can go."""
    assert asyncio.run(both_write(tmp_path)) == "database is locked"


@pytest.mark.usefixtures("collected_by_hand")
def test_the_loop_goes_on_so_that_the_lock_is_let_go(tmp_path: Path) -> None:
    assert asyncio.run(the_failed_one_waits(tmp_path)) == "written"


@pytest.mark.usefixtures("collected_by_hand", "without")
def test_it_is_still_needed(tmp_path: Path) -> None:
    """When this fails, SQLAlchemy closes such cursors itself, and `blocks/prefect_sqlite.py` can go."""
    assert asyncio.run(the_failed_one_waits(tmp_path)) == "database is locked"


def test_prefect_imports_it_by_itself() -> None:
    code = (
        "import sqlalchemy, sys; from prefect.plugins import load_prefect_collections;"
        "loaded = load_prefect_collections()['signoff'];"
        "print(sqlalchemy.event.contains(sqlalchemy.Engine, 'handle_error', loaded.close_cursor),"
        "sqlalchemy.event.contains(sqlalchemy.Engine, 'before_cursor_execute', loaded.begin_as_writer))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]

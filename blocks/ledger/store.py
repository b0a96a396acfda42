"""Opening the ledger, and its transactions."""

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from blocks.ledger.history import seal_new_rows

HERE = Path(__file__).parent
HEAD = "0002"
"""The newest migration. Opening compares it with the database, so that Alembic is imported only when there is work."""

BUSY_SECONDS = 30

PRIMARY_CODE = 0xFF
"""SQLite keeps the error in the lowest byte of its code, and the finer reason above (sqlite.org/rescode.html)."""


class LedgerError(Exception):
    """The ledger cannot be used; the message names it and the way out."""


def default_url() -> str:
    """`SIGNOFF_LEDGER_URL`, or a SQLite file in `SIGNOFF_HOME`, which is this checkout's `.signoff/` by default."""
    home = Path(os.environ.get("SIGNOFF_HOME") or HERE.parents[1] / ".signoff")
    return os.environ.get("SIGNOFF_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}"


class WriteSession(Session):
    """A session whose new rows enter the history by themselves."""


event.listen(WriteSession, "after_flush", seal_new_rows)


class Ledger:
    """A connection pool to the ledger's database, with its schema up to date."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str | None = None) -> "Ledger":
        """Open (and create or migrate) the ledger at `url`, by default `default_url()`. One pool a process and URL.

        Raises:
            LedgerError: the database cannot be opened, or is newer than this code.
        """
        return _open(url or default_url())

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may write. Committed at the end of the block, undone on any exception."""
        with WriteSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that only reads; it blocks nobody. Its rows may be used after the block."""
        engine = self.engine.execution_options(signoff_read=True)
        with Session(engine, expire_on_commit=False) as session:
            yield session
            session.expunge_all()


@cache
def _open(url: str) -> Ledger:
    try:
        parsed = sa.make_url(url)
        engine = sa.create_engine(parsed)
    except (sa.exc.ArgumentError, ImportError) as error:  # ImportError: the database's driver is not installed
        raise LedgerError(f"SIGNOFF_LEDGER_URL cannot be used ({error}); try sqlite:////path/ledger.db") from error
    where = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"the ledger {where} cannot be opened: {error}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        _migrate(engine)
    except sa.exc.DBAPIError as error:
        raise LedgerError(f"the ledger {where} cannot be opened: {error.orig}") from error
    return Ledger(engine)


def _configure_sqlite(connection: Any, _: Any) -> None:
    # The driver must not begin transactions by itself: `_begin_sqlite` decides which kind.
    connection.isolation_level = None
    # First, so that the statements below wait too when another process is opening the same new file.
    connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    _enter_wal(connection)
    # FULL, not NORMAL: after a power cut an intent that was journalled must still be there, or it is acted twice.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _enter_wal(connection: Any) -> None:
    """Switch a new file to WAL. SQLite waits for no lock here: two openers that both wait would wait for each other."""
    patience = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                raise
            time.sleep(random.uniform(0.001, 0.02))
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns writer half way fails when another wrote meanwhile; an immediate one waits.
    read_only = connection.get_execution_options().get("signoff_read", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        if _version(connection) == HEAD:
            return
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(HERE / "migrations"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise LedgerError(
                f"the ledger has schema {_version(connection)}, which this version of Signoff does not know "
                f"(it knows {HEAD}): update Signoff, or restore a backup"
            ) from error


def _version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return version

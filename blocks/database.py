"""What the ledger and the library share of SQLite and PostgreSQL: their addresses, and how they are connected to."""

import random
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

POSTGRESQL = frozenset({"postgres", "postgresql", "postgresql+psycopg"})
"""What a PostgreSQL URL may begin with; the driver is psycopg, whichever of them it is."""

LIBPQ: dict[str, str | int] = {
    "application_name": "signoff",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""libpq's settings, where the URL says nothing else: by its own it would wait for hours for a server that is gone."""

PRIMARY_CODE = 0xFF
"""SQLite keeps the error in the lowest byte of its code, and the finer reason above (sqlite.org/rescode.html)."""


def with_driver(url: str) -> str:
    """The URL with psycopg as PostgreSQL's driver: one database has one pool, however its address is spelt."""
    scheme, colon, rest = url.partition("://")
    return f"postgresql+psycopg{colon}{rest}" if scheme in POSTGRESQL else url


def engine_options(url: sa.URL) -> dict[str, Any]:
    """What `sqlalchemy.create_engine` is told beside the URL."""
    if url.get_backend_name() == "sqlite":
        return {}
    # A server that was restarted leaves dead connections in the pool; the ping finds them before they are used.
    settings = {name: value for name, value in LIBPQ.items() if name not in url.query}
    return {"pool_pre_ping": True, "connect_args": settings}


@dataclass(frozen=True)
class Turns:
    """How the writers of a database take turns.

    Reading a figure and writing what follows from it is then safe everywhere, also in code that nobody wrote with two
    writers in mind, and no two transactions can lock each other out.
    """

    lock: int
    """The advisory lock at which PostgreSQL's writers wait for each other: any number, always the same."""
    busy_seconds: float
    """How long a writer waits for the others before it gives up."""
    idle_seconds: float
    """After so long without a word in the middle of a transaction, PostgreSQL undoes it: whoever was cut off must not
    keep the others from writing. Shorter than `busy_seconds`, so that those who wait outlast it."""
    durable: bool
    """Whether what was committed must survive a power cut."""


def take_turns(engine: Engine, turns: Turns) -> None:
    """Configure every connection of an engine, and how its transactions begin."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: _configure_sqlite(connection, turns))
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", lambda connection, _: _configure_postgresql(connection, turns))
        event.listen(engine, "begin", lambda connection: _begin_postgresql(connection, turns))


def reading(engine: Engine) -> Engine:
    """The same pool, for transactions that see the database as it was at their first look, and change nothing."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(signoff_read=True)
    return engine.execution_options(signoff_read=True, isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _only_reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("signoff_read", False))


def _configure_postgresql(connection: Any, turns: Turns) -> None:
    connection.execute(f"SET lock_timeout = '{turns.busy_seconds * 1000:.0f}ms'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{turns.idle_seconds * 1000:.0f}ms'")
    # Whatever the server's default is.
    connection.execute(f"SET synchronous_commit = {'on' if turns.durable else 'off'}")
    connection.commit()


def _begin_postgresql(connection: Connection, turns: Turns) -> None:
    if not _only_reads(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({turns.lock})")


def _configure_sqlite(connection: Any, turns: Turns) -> None:
    # The driver must not begin transactions by itself: `_begin_sqlite` decides which kind.
    connection.isolation_level = None
    # First, so that the statements below wait too when another process is opening the same new file.
    connection.execute(f"PRAGMA busy_timeout={turns.busy_seconds * 1000:.0f}")
    _enter_wal(connection, turns.busy_seconds)
    connection.execute(f"PRAGMA synchronous={'FULL' if turns.durable else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns writer half way fails when another wrote meanwhile; an immediate one waits.
    connection.exec_driver_sql("BEGIN" if _only_reads(connection) else "BEGIN IMMEDIATE")


def _enter_wal(connection: Any, patience_seconds: float) -> None:
    """Switch a new file to WAL. SQLite waits for no lock here: two openers that both wait would wait for each other."""
    until = time.monotonic() + patience_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.001, 0.02))
        else:
            return

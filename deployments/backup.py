"""`signoff ledger backup` and `restore`: one file that holds all that happened, taken while work goes on.

Only the ledger needs it. The library is read anew from its sources, and what waits for a person is asked anew by the
next run of its workflow where the Prefect server has no form of it any more.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from blocks.ledger import Ledger
from blocks.ledger.store import default_url
from deployments import views
from deployments.errors import CommandError
from deployments.running import running
from tasks import audit

SIDES = ("", "-wal", "-shm")
"""The files of one SQLite database: its own, and those of what was written last."""

NEWEST = "SELECT id, iif(typeof(hash) = 'blob', lower(hex(hash)), hash) FROM history ORDER BY id DESC LIMIT 1"
"""The history's end, in the ledger of any version: one that this version has not opened yet holds it as digits."""


def backup(target: Path) -> int:
    """Write the ledger, as it is at this moment, into a new file that only its owner can read.

    Raises:
        CommandError: the ledger is no SQLite file, there is none yet, or the file exists or cannot be written.
    """
    source = _file("pg_dump --format=custom --file=FILE")
    if not source.exists():
        raise CommandError(f"there is no ledger at {source} yet: nothing to back up")
    if target.exists():
        raise CommandError(f"{target} exists: choose another name, a backup overwrites nothing")
    try:
        # Made before anything is in it: the copy holds people's mail.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_connect(source, "ro")) as reading, closing(_connect(target, "rw")) as copy:
            reading.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, with none beside it
            number, newest = copy.execute(NEWEST).fetchone()
    except (OSError, sqlite3.Error) as error:
        target.unlink(missing_ok=True)
        raise CommandError(f"the ledger could not be written to {target}: {error}") from error
    views.console.print(
        f"{target}: {target.stat().st_size:,} bytes. Its history ends with row {number:,}:\n{newest}\n"
        "Keep that line somewhere else; after a restore, `signoff audit verify --expect LINE` compares.",
        markup=False,
        soft_wrap=True,
    )
    return 0


def restore(source: Path) -> int:
    """Put a backup in the ledger's place, once it was found whole. What was there is kept beside it.

    Raises:
        CommandError: something is up that writes to the ledger, or the file is no ledger, or not as it was written.
        LedgerError: it is newer than this version of Signoff.
    """
    place = _file("pg_restore --clean --if-exists --dbname=URL FILE")
    if found := running():
        raise CommandError(f"`signoff up` or `signoff demo` is running (process {found['pid']}): stop it first")
    if not source.is_file():
        raise CommandError(f"there is no file {source}")
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f"{place.name}.restoring")
    for side in SIDES:
        Path(f"{new}{side}").unlink(missing_ok=True)
    try:
        shutil.copyfile(source, new)
        new.chmod(0o600)
        checked = _checked(new, source)
    except BaseException:
        for side in SIDES:
            Path(f"{new}{side}").unlink(missing_ok=True)
        raise
    kept = _put_aside(place)
    for side in SIDES:
        if (part := Path(f"{new}{side}")).exists():
            part.replace(f"{place}{side}")
    views.console.print(f"Restored: {checked:,} rows of the history, each as it was written.", markup=False)
    if kept:
        views.console.print(f"What was there is kept: {kept}", markup=False, soft_wrap=True)
    views.console.print(
        "What was done after the backup is looked for at the vendors before it is done again; look at the doubts after "
        "the next runs: signoff ledger doubts",
        markup=False,
    )
    return 0


def _file(instead: str) -> Path:
    url = sa.make_url(default_url())
    if url.get_backend_name() != "sqlite" or not url.database:
        raise CommandError(f"the ledger is in {url.get_backend_name()}, which has its own way: {instead}")
    return Path(url.database).resolve()


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode={mode}", uri=True)


def _checked(new: Path, source: Path) -> int:
    """How long the history of a copy is; it was migrated to this version's schema, and every row looked at."""
    try:
        with closing(_connect(new, "ro")) as reading:
            tables = {name for (name,) in reading.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise CommandError(f"{source} is no backup of a ledger: {error}") from error
    if not {"alembic_version", "records", "actions"} <= tables:
        raise CommandError(f"{source} is no backup of a ledger: it has not the ledger's tables")
    ledger = Ledger.open(f"sqlite:///{new}")
    try:
        verified = audit.verify(ledger)
    finally:
        ledger.engine.dispose()
    if not verified.passed:
        raise CommandError(
            f"{source} is not as it was written, so nothing was changed. What is wrong with it: "
            f"SIGNOFF_LEDGER_URL=sqlite:///{source.resolve()} signoff audit verify"
        )
    return verified.history


def _put_aside(place: Path) -> Path | None:
    """Move the ledger that is there out of the way; where to."""
    if not place.exists():
        return None
    kept = place.with_name(f"{place.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    for side in SIDES:
        if (part := Path(f"{place}{side}")).exists():
            part.replace(f"{kept}{side}")
    return kept

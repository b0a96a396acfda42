"""Prefect's database as it is before anything was done: to migrate a new one takes longer than all else at a start.

For stacks that begin with nothing: the pretend company's and the tests'. What `signoff up` keeps is made by Prefect.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

__all__ = ["begin", "keep"]


def begin(folder: Path, kept: Path) -> None:
    """Let the stack in `folder` begin with a copy of the empty database that is kept in `kept`, if there is one."""
    theirs = _of_server(folder)
    if (ready := _ready(kept)).exists() and not theirs.exists():
        theirs.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(ready, theirs)


def keep(folder: Path, kept: Path) -> None:
    """Keep the database of the stack in `folder`, whose server has done nothing yet, unless one is kept."""
    ready, theirs = _ready(kept), _of_server(folder)
    if ready.exists() or not theirs.exists():  # on PostgreSQL it is not in the folder
        return
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    for older in kept.glob("prefect-*.db"):
        older.unlink(missing_ok=True)
    # Stacks may start side by side: each makes a file of its own, and the last one stays.
    handle, beside = tempfile.mkstemp(dir=kept, suffix=".part")
    os.close(handle)
    try:
        with closing(sqlite3.connect(theirs)) as source, closing(sqlite3.connect(beside)) as copy:
            source.backup(copy)
        os.replace(beside, ready)
    finally:
        Path(beside).unlink(missing_ok=True)


def _of_server(folder: Path) -> Path:
    return folder / "prefect" / "prefect.db"


def _ready(kept: Path) -> Path:
    """Another version of Prefect has another schema."""
    return kept / f"prefect-{version('prefect')}.db"

"""The empty database that a stack begins with: kept once, copied afterwards, and never instead of one that is there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from deployments import empty_database


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where it is kept; nothing is yet."""
    return tmp_path / "kept"


def stack_with(folder: Path, text: str) -> Path:
    """The folder of a stack whose database holds a text, which its server still has open."""
    (folder / "prefect").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "prefect" / "prefect.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE said (text)")
        database.execute("INSERT INTO said VALUES (?)", (text,))
        database.commit()
    return folder


def said(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "prefect" / "prefect.db")) as database:
        found: str = database.execute("SELECT text FROM said").fetchone()[0]
    return found


def test_the_first_stack_leaves_one_for_the_next(tmp_path: Path, kept: Path) -> None:
    first, second = stack_with(tmp_path / "first", "empty"), tmp_path / "second"
    empty_database.begin(second, kept)
    assert not second.exists(), "nothing is kept yet: the server makes its own"
    empty_database.keep(first, kept)
    empty_database.begin(second, kept)
    assert said(second) == "empty"
    assert [path.name for path in kept.iterdir()] == [f"prefect-{version('prefect')}.db"]


def test_a_database_that_is_there_stays(tmp_path: Path, kept: Path) -> None:
    empty_database.keep(stack_with(tmp_path / "first", "empty"), kept)
    mine = stack_with(tmp_path / "mine", "a year of work")
    empty_database.begin(mine, kept)
    empty_database.keep(mine, kept)
    empty_database.begin(tmp_path / "next", kept)
    assert (said(mine), said(tmp_path / "next")) == ("a year of work", "empty")


def test_what_another_version_of_prefect_kept_is_not_used(tmp_path: Path, kept: Path) -> None:
    kept.mkdir()
    (kept / "prefect-1.0.0.db").write_bytes(b"another schema")
    empty_database.begin(tmp_path / "second", kept)
    assert not (tmp_path / "second").exists()
    empty_database.keep(stack_with(tmp_path / "first", "empty"), kept)
    assert [path.name for path in kept.iterdir()] == [f"prefect-{version('prefect')}.db"]


def test_without_a_file_nothing_is_kept(tmp_path: Path, kept: Path) -> None:
    empty_database.keep(tmp_path / "on-postgresql", kept)
    assert not kept.exists()

"""`signoff ledger backup` and `restore`, on real files, with a writer at work and after tampering."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from blocks.ledger import Ledger, Record, history, store
from tests.deployments.machinery import Finished
from tests.migrating import migrated

Signoff = Callable[..., Finished]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the ledger is; nothing is there yet, and no stack is up."""
    path = tmp_path / "home" / "ledger.db"
    monkeypatch.setenv("SIGNOFF_LEDGER_URL", f"sqlite:///{path}")
    monkeypatch.setattr("deployments.backup.running", lambda: None)
    return path


@pytest.fixture
def ledger(place: Path) -> Ledger:
    """A ledger in which something has happened."""
    made = Ledger.open(f"sqlite:///{place}")
    add(made, "first")
    return made


def add(ledger: Ledger, title: str) -> None:
    with ledger.write() as session:
        record = Record(
            workflow="lead-triage", source="x", external_id=title, version="1", title=title, payload={}, state="done"
        )
        session.add(record)
        session.flush()
        history.note(session, "record came", f"records/{record.id}")


def titles(place: Path) -> list[str]:
    with closing(sqlite3.connect(place)) as connection:
        return [title for (title,) in connection.execute("SELECT title FROM records ORDER BY id")]


@pytest.mark.parametrize("version", [store.HEAD, "0008"])
def test_what_was_lost_is_there_again_and_what_was_there_is_kept(
    in_process: Signoff, place: Path, ledger: Ledger, tmp_path: Path, version: str
) -> None:
    copy = tmp_path / "copy.db"
    if version != store.HEAD:
        migrated(ledger, version)  # one that this version has not opened yet: its hashes are digits
    saved = in_process("ledger", "backup", str(copy))
    assert saved.code == 0, saved.err
    migrated(ledger, "head")
    newest = saved.out.splitlines()[1]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(tmp_path.glob("copy.db*")) == [copy]
    add(ledger, "after the backup")
    ledger.engine.dispose()
    restored = in_process("ledger", "restore", str(copy))
    assert restored.code == 0, restored.err
    assert titles(place) == ["first"]
    (kept,) = place.parent.glob("ledger.db.before-*[0-9]")
    assert str(kept) in restored.out
    assert titles(kept) == ["first", "after the backup"]
    verified = in_process("audit", "verify", "--expect", newest)
    assert verified.code == 0, verified.out
    assert "nothing up to it was rewritten" in verified.out


def test_a_backup_while_others_write_is_of_one_moment(in_process: Signoff, ledger: Ledger, tmp_path: Path) -> None:
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            add(ledger, f"number {number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [tmp_path / f"copy{number}.db" for number in range(3)]
        for copy in copies:
            assert in_process("ledger", "backup", str(copy)).code == 0
    finally:
        ended.set()
        writer.join()
    for copy in copies:
        with closing(sqlite3.connect(copy)) as connection:
            (records,) = connection.execute("SELECT count(*) FROM records").fetchone()
            (events,) = connection.execute("SELECT count(*) FROM history WHERE event = 'record came'").fetchone()
        assert records == events


@pytest.mark.usefixtures("ledger")
def test_a_backup_that_was_changed_is_not_restored(in_process: Signoff, place: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    in_process("ledger", "backup", str(copy))
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE history SET subject = 'records/99' WHERE event = 'record came'")
        connection.commit()
    said = in_process("ledger", "restore", str(copy)).refused()
    assert "is not as it was written, so nothing was changed" in said
    assert titles(place) == ["first"]
    assert [path.name for path in place.parent.glob("ledger.db.*")] == []


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("content", [b"", b"not a database, but a text that is long enough to be read as one" * 50])
def test_what_is_no_ledger_is_named_and_nothing_is_changed(
    in_process: Signoff, place: Path, tmp_path: Path, content: bytes
) -> None:
    other = tmp_path / "other"
    other.write_bytes(content)
    assert f"{other} is no backup of a ledger" in in_process("ledger", "restore", str(other)).refused()
    assert titles(place) == ["first"]
    assert f"there is no file {other}x" in in_process("ledger", "restore", f"{other}x").refused()


@pytest.mark.usefixtures("ledger")
def test_nothing_is_overwritten(in_process: Signoff, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("precious")
    assert "exists: choose another name" in in_process("ledger", "backup", str(there)).refused()
    assert there.read_text() == "precious"


def test_without_a_ledger_there_is_nothing_to_back_up(in_process: Signoff, place: Path, tmp_path: Path) -> None:
    assert f"there is no ledger at {place} yet" in in_process("ledger", "backup", str(tmp_path / "copy")).refused()


@pytest.mark.usefixtures("ledger")
def test_nothing_is_restored_under_a_stack_that_is_up(
    in_process: Signoff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.backup.running", lambda: {"pid": "4711"})
    assert "is running (process 4711): stop it first" in in_process("ledger", "restore", str(tmp_path)).refused()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_postgresql_is_left_to_its_own_tools(
    in_process: Signoff, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.setenv("SIGNOFF_LEDGER_URL", "postgresql://ann:secret-word@db/ledger")
    said = in_process("ledger", command, str(tmp_path / "x")).refused()
    assert "the ledger is in postgresql, which has its own way: pg_" in said
    assert "secret-word" not in said


def test_a_ledger_of_a_newer_version_is_not_restored(
    in_process: Signoff, place: Path, ledger: Ledger, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    in_process("ledger", "backup", str(copy))
    with ledger.read() as session:
        head = session.scalar(sa.text("SELECT version_num FROM alembic_version"))
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    said = in_process("ledger", "restore", str(copy)).refused()
    assert f"which this version of Signoff does not know (it knows {head})" in said
    assert titles(place) == ["first"]

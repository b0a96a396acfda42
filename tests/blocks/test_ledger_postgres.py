"""The ledger on PostgreSQL: its address, and what happens when the server or a writer goes away."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from blocks.ledger import (
    Cursor,
    History,
    Ledger,
    LedgerError,
    LedgerUnavailable,
    ModelCall,
    Receipt,
    Record,
    Run,
    history,
    store,
    utcnow,
)
from tests.postgres import Postgres

ROOT = Path(store.__file__).parents[2]
SOON = 10.0

HOLD = """
import sys
from blocks.ledger import Cursor, Ledger
with Ledger.open(sys.argv[1]).write() as session:
    session.add(Cursor(workflow="w", source="held", value="1"))
    session.flush()
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def database() -> str:
    return "postgresql"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, ledger_url: str) -> Iterator[Ledger]:
    """A second pool on the test's database, whose writers wait a fifth of a second for each other."""
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(store, "IDLE_SECONDS", 0.2)
    opened = store._open.__wrapped__(ledger_url)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def holder(ledger_url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that is in the middle of writing, until it reads a line or is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, ledger_url],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def put(ledger: Ledger, source: str) -> None:
    with ledger.write() as session:
        session.add(Cursor(workflow="w", source=source, value="1"))


def sources(ledger: Ledger) -> list[str]:
    with ledger.read() as session:
        return sorted(session.scalars(sa.select(Cursor.source)))


def database_of(ledger: Ledger) -> str:
    name = ledger.engine.url.database
    assert name
    return name


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_the_address_is_the_same_pool(ledger: Ledger, ledger_url: str, scheme: str) -> None:
    assert Ledger.open(re.sub(r"^\w+", scheme, ledger_url)) is ledger


def test_a_socket_will_do_as_well(ledger: Ledger, postgres: Postgres) -> None:
    put(ledger, "over tcp")
    by_socket = Ledger.open(postgres.socket_url(database_of(ledger)))
    assert sources(by_socket) == ["over tcp"]
    by_socket.engine.dispose()


def test_another_driver_is_refused_with_the_way_out() -> None:
    with pytest.raises(LedgerError, match=r"not postgresql\+asyncpg.*postgresql://user@host/database"):
        Ledger.open("postgresql+asyncpg://there/x")


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(LedgerError, match=r"ann:\*\*\*@127\.0\.0\.1:1/x cannot be opened: .*refused") as caught:
        Ledger.open("postgresql://ann:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there_is_named(postgres: Postgres) -> None:
    with pytest.raises(LedgerError, match=r'cannot be opened: .*"nowhere" does not exist'):
        Ledger.open(postgres.url("nowhere"))


def test_a_connection_that_is_lost_in_the_middle_undoes_it_and_says_so(ledger: Ledger, postgres: Postgres) -> None:
    def write_and_lose() -> None:
        with ledger.write() as session:
            session.add(Cursor(workflow="w", source="lost", value="1"))
            session.flush()
            assert postgres.cut_off(database_of(ledger)) >= 1

    with pytest.raises(LedgerUnavailable, match=r"cannot be used now .*whatever was not committed is undone") as caught:
        write_and_lose()
    assert isinstance(caught.value, LedgerError)
    assert sources(ledger) == []
    put(ledger, "next")
    assert sources(ledger) == ["next"]


def test_a_connection_that_is_lost_while_reading_is_said(ledger: Ledger, postgres: Postgres) -> None:
    def read_and_lose() -> None:
        with ledger.read() as session:
            session.scalar(sa.select(Cursor.value))
            postgres.cut_off(database_of(ledger))
            session.scalar(sa.select(Cursor.value))

    with pytest.raises(LedgerUnavailable, match="cannot be used now"):
        read_and_lose()
    assert sources(ledger) == []


def test_connections_that_died_while_nobody_used_them_are_not_noticed(ledger: Ledger, postgres: Postgres) -> None:
    put(ledger, "before")
    assert postgres.cut_off(database_of(ledger)) >= 1
    put(ledger, "after")
    assert sources(ledger) == ["after", "before"]


def test_what_the_caller_did_wrong_stays_what_it_is(ledger: Ledger) -> None:
    put(ledger, "twice")
    with pytest.raises(sa.exc.IntegrityError):
        put(ledger, "twice")
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as session:
        session.add(Receipt(action_id=999, vendor="v", external_id="x", detail={}))


def test_reading_changes_nothing_even_when_asked_to(ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailable, match="read-only transaction"), ledger.read() as session:
        session.execute(sa.delete(Cursor))


def test_a_writer_waits_for_the_others_and_a_reader_does_not(ledger: Ledger, holder: subprocess.Popen[str]) -> None:
    writer = threading.Thread(target=put, args=(ledger, "mine"))
    writer.start()
    assert sources(ledger) == []
    assert writer.is_alive()
    assert holder.communicate("go on\n", timeout=SOON)[1] == ""
    writer.join(SOON)
    assert sources(ledger) == ["held", "mine"]


def test_opening_waits_for_no_writer(ledger_url: str, holder: subprocess.Popen[str]) -> None:
    store._open.__wrapped__(ledger_url).engine.dispose()
    assert holder.poll() is None


def test_a_writer_that_is_kept_waiting_too_long_says_so(impatient: Ledger, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LedgerUnavailable, match="lock timeout"):
        put(impatient, "mine")
    assert holder.poll() is None


def test_a_writer_that_is_killed_keeps_nobody_waiting(ledger: Ledger, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    began = time.monotonic()
    put(ledger, "mine")
    assert time.monotonic() - began < SOON
    assert sources(ledger) == ["mine"]


def test_a_writer_that_was_cut_off_is_undone_and_lets_the_others_in(ledger: Ledger, impatient: Ledger) -> None:
    def stuck() -> None:
        with impatient.write() as session:
            session.add(Cursor(workflow="w", source="stuck", value="1"))
            session.flush()
            put(ledger, "mine")  # gets its turn when the server has given up on the one around it
            session.execute(sa.select(1))

    with pytest.raises(LedgerUnavailable, match="idle-in-transaction"):
        stuck()
    assert sources(ledger) == ["mine"]


def test_writers_who_take_the_same_rows_in_opposite_order_do_not_lock_each_other_out(ledger: Ledger) -> None:
    for name in "ab":
        put(ledger, name)

    def swap(order: str) -> None:
        for _ in range(30):
            with ledger.write() as session:
                for name in order:
                    session.execute(sa.update(Cursor).where(Cursor.source == name).values(value="2"))

    failures = at_once(lambda: swap("ab"), lambda: swap("ba"), lambda: swap("ab"), lambda: swap("ba"))
    assert failures == []


def test_the_history_of_many_writers_is_one_unbroken_chain(ledger: Ledger) -> None:
    def tell(who: int) -> None:
        for number in range(20):
            with ledger.write() as session:
                history.note(session, "told", f"thread/{who}", number=number)

    assert at_once(*(lambda who=who: tell(who) for who in range(6))) == []
    with ledger.read() as session:
        rows = list(session.scalars(sa.select(History).order_by(History.id)))
    assert len(rows) == 1 + 6 * 20
    assert [row.previous for row in rows] == [history.GENESIS, *(row.hash for row in rows[:-1])]
    for row in rows:
        assert row.hash == history.link(row.at, row.event, row.subject, row.detail, row.seal, row.previous)


def test_text_that_postgresql_cannot_keep_is_kept_without_the_nul(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(Record(workflow="w", source="s", external_id="1", title="a\0b", payload={"t": "c\0d"}, state="new"))
    with ledger.write() as session:
        session.execute(sa.update(Record).values(reason="e\0f"))
    with ledger.read() as session:
        row = session.scalars(sa.select(Record)).one()
    assert (row.title, row.reason, row.payload) == ("a\ufffdb", "e\ufffdf", {"t": "c\0d"})


def test_a_sealed_text_with_a_nul_is_sealed_as_it_is_kept(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(Run(id="r", workflow="w", stage="gated", started_at=utcnow(), heartbeat_at=utcnow()))
        session.flush()
        session.add(Record(id=1, workflow="w", source="s", external_id="1", payload={}, state="new"))
        session.flush()
        call = {"workflow": "w", "record_id": 1, "run_id": "r", "prompt": "p", "prompt_version": "1", "model": "m"}
        paid = {"input_tokens": 1, "output_tokens": 1, "cost": Decimal("0.1"), "seconds": 0.1 + 0.2}
        session.add(ModelCall(**call, **paid, attempt=1, reply="a\0b", stop_reason="end_turn"))
    with ledger.read() as session:
        seal = session.scalars(sa.select(History.seal).where(History.event == "model call")).one()
        assert seal == history.seal_of(session.scalars(sa.select(ModelCall)).one())


def at_once(*functions: Callable[[], None]) -> list[BaseException]:
    """Run all of them at the same moment; returns what they raised."""
    start = threading.Barrier(len(functions))
    failures: list[BaseException] = []

    def run(function: Callable[[], None]) -> None:
        start.wait(SOON)
        try:
            function()
        except Exception as error:  # noqa: BLE001 - told to the test, which judges it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return failures

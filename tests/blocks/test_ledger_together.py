"""Changes of several threads in one transaction: each as if it were alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from blocks.ledger import Cursor, Ledger, LedgerUnavailable, Record, history, store
from tasks import audit

pytestmark = pytest.mark.both_databases
PATIENCE = 20


@pytest.fixture
def commits(ledger: Ledger) -> list[str]:
    """An entry for each commit from now on."""
    seen: list[str] = []
    event.listen(ledger.engine, "commit", lambda _: seen.append("commit"))
    return seen


def add_one(session: Session) -> int:
    row = session.get_one(Cursor, ("w", "s"))
    row.value = str(int(row.value) + 1)
    history.note(session, "counted", "cursors/s", value=row.value)
    return int(row.value)


@contextmanager
def queued(ledger: Ledger, changes: list[Callable[[Session], object]]) -> Iterator[list[Future[object]]]:
    """All of them wait, in this order, while the block goes on inside a writer's turn; they are committed after it."""
    with ThreadPoolExecutor(len(changes)) as pool, ledger._queue.turn(PATIENCE):
        futures = []
        for number, change in enumerate(changes, 1):
            futures.append(pool.submit(ledger.together, change))
            waiting = threading.Event()
            while len(ledger._queue._waiting) < number:
                waiting.wait(0.001)
        yield futures


def test_changes_that_wait_are_committed_at_once_in_order(
    ledger: Ledger, counter: Callable[[], int], commits: list[str]
) -> None:
    with queued(ledger, [add_one] * 6) as futures:
        assert counter() == 0
    assert [future.result(PATIENCE) for future in futures] == [1, 2, 3, 4, 5, 6]
    assert counter() == 6
    assert commits == ["commit"]
    assert audit.verify(ledger).passed


def test_one_that_raises_is_undone_alone_and_its_caller_is_told(ledger: Ledger, counter: Callable[[], int]) -> None:
    class Boom(Exception):
        pass

    def half(session: Session) -> None:
        add_one(session)
        session.add(Record(workflow="w", source="s", external_id="1", payload={}, state="fetched"))
        session.flush()
        raise Boom

    def refers_to_nothing(session: Session) -> None:
        session.add(Record(workflow="w", source="s", external_id="2", payload={}, state="fetched", run_id="nobody"))

    with queued(ledger, [add_one, half, refers_to_nothing, add_one]) as (first, second, third, fourth):
        pass
    assert (first.result(PATIENCE), fourth.result(PATIENCE)) == (1, 2)
    with pytest.raises(Boom):
        second.result(PATIENCE)
    with pytest.raises(sa.exc.IntegrityError):
        third.result(PATIENCE)
    assert counter() == 2
    with ledger.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Record)) == 0
    assert audit.verify(ledger).passed


def test_a_commit_that_fails_leaves_nothing_of_anybodys_and_tells_all(
    ledger: Ledger, counter: Callable[[], int]
) -> None:
    fails = True

    def refuse(_: object) -> None:
        if fails:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the disk is full"))

    event.listen(ledger.engine, "commit", refuse)
    try:
        with queued(ledger, [add_one] * 3) as futures:
            pass
        for future in futures:
            with pytest.raises(LedgerUnavailable, match="the disk is full"):
                future.result(PATIENCE)
    finally:
        fails = False
    assert counter() == 0
    assert ledger.together(add_one) == 1


def test_who_is_stopped_while_it_commits_tells_the_others_that_nobody_knows(
    ledger: Ledger, counter: Callable[[], int]
) -> None:
    def stopped(_: Session) -> None:
        raise KeyboardInterrupt

    with queued(ledger, [add_one, stopped, add_one]) as futures:
        pass
    errors = [future.exception(PATIENCE) for future in futures]
    assert {type(error) for error in errors} == {LedgerUnavailable, KeyboardInterrupt}
    assert sum(isinstance(error, KeyboardInterrupt) for error in errors) == 1
    assert counter() == 0
    assert ledger.together(add_one) == 1


def test_many_threads_beside_writers_of_their_own_lose_nothing(ledger: Ledger, counter: Callable[[], int]) -> None:
    def alone(_: int) -> None:
        with ledger.write() as session:
            add_one(session)

    with ThreadPoolExecutor(12) as pool:
        both = [pool.submit(alone, n) if n % 4 == 0 else pool.submit(ledger.together, add_one) for n in range(200)]
        for future in both:
            future.result(PATIENCE)
    assert counter() == 200
    assert audit.verify(ledger).passed


def test_rows_may_be_used_afterwards(ledger: Ledger) -> None:
    def come_in(session: Session) -> Record:
        record = Record(workflow="w", source="s", external_id="1", payload={}, state="fetched")
        session.add(record)
        return record

    record = ledger.together(come_in)
    assert (record.external_id, record.id) == ("1", 1)


def test_a_thread_does_not_wait_for_its_process_for_ever(
    ledger: Ledger, counter: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.05)
    with (
        ledger._queue.turn(PATIENCE),
        pytest.raises(LedgerUnavailable, match="has been writing"),
        ledger.write() as session,
    ):
        add_one(session)
    assert counter() == 0

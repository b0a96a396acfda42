"""Group commit: changes that several threads want at once go into one transaction.

A commit waits for the disk, and on SQLite whoever finds another writer sleeps and looks again. So the threads of one
process queue here instead: the first takes along all that have come meanwhile, each in a savepoint of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

T = TypeVar("T")
Change = Callable[[Session], Any]


class Busy(Exception):
    """The process's other writers keep the ledger."""


class Interrupted(Exception):
    """The thread that was committing several threads' changes was stopped. Nobody can tell whether it had committed."""


class _Wanted:
    """A change that waits for its transaction, and what came of it."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_over = False


class Queue:
    """The turn of one process's threads to write, and the changes that wait for it."""

    def __init__(self, make_session: Callable[[Connection], Session]) -> None:
        self._make_session = make_session
        self._turn = threading.Lock()
        self._waiting: deque[_Wanted] = deque()

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Wait for the process's other writers.

        Raises:
            Busy: they have not come to an end within `seconds`.
        """
        if not self._turn.acquire(timeout=seconds):
            raise Busy(f"this process has been writing for {seconds:g} s")
        try:
            yield
        finally:
            self._turn.release()

    def commit(self, change: Callable[[Session], T], begin: Callable[[], Any]) -> T:
        """Make the change in a transaction that `begin` gives a connection of, perhaps with others that wait.

        Whoever has the turn ends it within the database's own patience, so nothing else bounds the wait here.

        Raises:
            Exception: what the change raised (it alone is undone), or why the transaction could not be committed.
        """
        mine = _Wanted(change)
        self._waiting.append(mine)
        with self._turn:
            if not mine.is_over:
                self._lead(begin)
        if mine.error:
            raise mine.error
        result: T = mine.result
        return result

    def _lead(self, begin: Callable[[], Any]) -> None:
        """Commit all that waits: ours is among it, as nobody takes anything out without the turn."""
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with begin() as connection:
                self._make(connection, taken)
        except BaseException as error:  # not committed, or nobody knows: that is so for everyone
            told = error if isinstance(error, Exception) else Interrupted("the thread that was committing was stopped")
            for wanted in taken:
                wanted.error = wanted.error or told
            if told is not error:  # Ctrl-C is for the one thread that it reached
                raise
        finally:
            for wanted in taken:
                wanted.is_over = True

    def _make(self, connection: Connection, taken: Sequence[_Wanted]) -> None:
        for wanted in taken:
            with self._make_session(connection) as session:
                try:
                    with session.begin():
                        wanted.result = wanted.change(session)
                except Exception as error:  # noqa: BLE001  # it alone is undone, and its caller is told
                    wanted.error = error

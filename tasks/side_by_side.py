"""Several looks at once, each with a time limit: one that hangs is told of, and holds up nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

T = TypeVar("T")


class TookTooLong(Exception):
    """There was no answer within the time that was given."""


class _Look(Generic[T]):
    """One of them, in a thread of its own."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        # With this thread's context: Prefect keeps its settings there. A daemon: the process may end without it.
        run = copy_context().run
        self._thread = threading.Thread(target=run, args=(self._do,), name="signoff-look", daemon=True)
        self._thread.start()

    def _do(self) -> None:
        try:
            self._result: T | Exception = self._function()
        except Exception as error:  # noqa: BLE001  whatever it is, it is the caller's to judge
            self._result = error

    def result(self, until: float) -> T | Exception:
        self._thread.join(max(0.0, until - time.monotonic()))
        return TookTooLong() if self._thread.is_alive() else self._result


def side_by_side(functions: Sequence[Callable[[], T]], seconds: float) -> list[T | Exception]:
    """What each function returns, or the exception that it raised, in their order.

    Args:
        functions: they run at the same time, each in a thread.
        seconds: after so long, one that is not done counts as `TookTooLong`, and is left behind.
    """
    looks = [_Look(function) for function in functions]
    until = time.monotonic() + seconds
    return [look.result(until) for look in looks]

"""Several looks at once: in order, each with its own end, and none that holds up the others."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from tasks.side_by_side import TookTooLong, side_by_side

SETTING: ContextVar[str] = ContextVar("setting", default="none")


def test_results_and_exceptions_come_in_the_order_of_the_functions() -> None:
    def fail() -> int:
        raise LookupError("gone")

    one, two, three = side_by_side([lambda: 1, fail, lambda: 3], 5)
    assert (one, three) == (1, 3)
    assert isinstance(two, LookupError)


def test_they_run_at_the_same_time() -> None:
    together = threading.Barrier(3)
    assert side_by_side([lambda: together.wait(5)] * 3, 5) != []
    assert not together.broken


def test_one_that_hangs_is_told_of_and_holds_up_nothing() -> None:
    end = threading.Event()
    began = time.monotonic()
    done, hung = side_by_side([lambda: "done", lambda: str(end.wait(60))], 0.2)
    assert time.monotonic() - began < 5
    assert done == "done"
    assert isinstance(hung, TookTooLong)
    end.set()


def test_each_sees_the_callers_context() -> None:
    token = SETTING.set("the caller's")
    try:
        assert side_by_side([SETTING.get], 5) == ["the caller's"]
    finally:
        SETTING.reset(token)


def test_a_process_may_end_while_one_hangs() -> None:
    end = threading.Event()
    side_by_side([lambda: end.wait(60)], 0.05)
    left = [thread for thread in threading.enumerate() if thread.name == "signoff-look"]
    end.set()
    assert left
    assert all(thread.daemon for thread in left)


@pytest.mark.parametrize("count", [0, 1])
def test_few_are_fine_too(count: int) -> None:
    assert side_by_side([lambda: "x"] * count, 1) == ["x"] * count

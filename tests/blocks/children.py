"""Child processes that are looked at from outside, and one that lies."""

import time
from collections.abc import Callable
from pathlib import Path

from blocks.confined.parent import Parent

_LYING = """
import os
from blocks.confined import wire
os.write(1, wire.frame({"ready": True}))
os.read(0, 1 << 16)
os.write(1, %r)
os.read(0, 1 << 16)
"""


def lying(answer: bytes) -> list[str]:
    """The command of a child that answers this, whatever it is asked."""
    return ["-c", _LYING % answer]


def pid_of(parent: Parent) -> int:
    assert parent._child is not None
    return parent._child.pid


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

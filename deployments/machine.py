"""Processes and ports of this machine: starting in a group, ending as a family, and who listens where."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TextIO

HOST = "127.0.0.1"


def busy(port: int) -> bool:
    """Whether something listens on this machine's `port`."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


_RESERVED: dict[int, TextIO] = {}
"""The ports that this process means to use, each with the locked file that says so to other processes of ours."""


def free_port(preferred: int) -> int:
    """`preferred`, or another free port when it is taken.

    It stays reserved while this process lives: a server takes seconds until it listens, and another demo that looked
    for a port meanwhile would come to the same answer.
    """
    port = preferred
    while busy(port) or not _reserve(port):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
    return port


def _reserve(port: int) -> bool:
    lock = lock_file(Path(tempfile.gettempdir()) / f"signoff-{os.getuid()}-port-{port}.lock")
    if lock is None:
        return False
    _RESERVED[port] = lock
    return True


def lock_file(file: Path) -> TextIO | None:
    """Lock a file until it is closed, by the end of this process at the latest; None where another holds it."""
    lock = file.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def answers(url: str) -> bool:
    """Whether `url` answers 200 within two seconds."""
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def server_home(url: str, password: str | None = None, *, seconds: float = 5) -> Path | None:
    """Where the Prefect server at `url` keeps its state, or None when it does not say so within `seconds`."""
    import json
    from base64 import b64encode
    from urllib.request import Request, urlopen

    basic = b64encode((password or "").encode()).decode()
    asked = Request(f"{url}/api/admin/settings", headers={"Authorization": f"Basic {basic}"} if password else {})
    try:
        with urlopen(asked, timeout=seconds) as reply:
            return Path(json.load(reply)["home"])
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def ends_cleanly() -> Iterator[None]:
    """Let SIGTERM, and a terminal window that is closed, end the block as Ctrl-C does: nothing is left running."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back until the block is through.

    A process that has begun must be known before anything ends us: nobody else would stop it.
    """
    if threading.current_thread() is not threading.main_thread():  # no other is ever interrupted
        yield
        return
    came: list[int] = []
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda this, _: came.append(this)) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if came:
        signal.raise_signal(came[0])


def wait_for_the_end() -> None:
    """Sleep until Ctrl-C or SIGTERM, and return."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return


def descendants(pid: int) -> list[int]:
    """A process's living children, and theirs. A worker gives each flow run a session of its own."""
    children: dict[int, list[int]] = {}
    for child, parent in _family_tree():
        children.setdefault(parent, []).append(child)
    found, left = [], [pid]
    while left:
        mine = children.get(left.pop(), [])
        found += mine
        left += mine
    return found


def _family_tree() -> Iterator[tuple[int, int]]:
    """Every process's id, with its parent's."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        yield from ((int(pid), int(parent)) for pid, parent in map(str.split, listed.splitlines()))
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since it was listed
            # The second field is the name, in brackets, and may hold anything.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            yield int(folder.name), int(fields[1])


def kill_group(pid: int) -> None:
    """Kill a process, and its group where it leads one."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process group, if it is still there."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def command_of(pid: int) -> str:
    """A process's command line, empty when it has ended."""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout

"""A command in a pseudo-terminal of 80 columns: what it shows, and what a person types."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from deployments.running import ROOT
from tests.deployments.machinery import BIN

STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SECONDS = 60.0


class Terminal:
    """A command that believes to be watched by a person."""

    def __init__(self, process: subprocess.Popen[bytes], side: int) -> None:
        self._process, self._side = process, side
        self.seen = ""
        """All that it has shown so far, without colours."""
        self._raw = ""
        self._at = 0

    def see(self, pattern: str, seconds: float = SECONDS) -> re.Match[str]:
        """Wait until it shows this, wherever its lines are broken, after what was waited for before."""
        until = time.monotonic() + seconds
        wanted = re.compile(pattern.replace(" ", r"\s+"), re.DOTALL)
        while not (found := wanted.search(self.seen, self._at)):
            if not self._read(until):
                pytest.fail(f"it never showed {pattern!r}:\n{self.seen}")
        self._at = found.end()
        return found

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._side, f"{text}\n".encode())

    def answer(self, pattern: str, text: str) -> None:
        """Type a line when it shows this."""
        self.see(pattern)
        self.type(text)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait until it ends, and return its exit code."""
        until = time.monotonic() + SECONDS
        while self._read(until):
            pass
        return self._process.wait(SECONDS)

    def _read(self, until: float) -> bool:
        if time.monotonic() > until or not select.select([self._side], [], [], until - time.monotonic())[0]:
            return False
        try:
            piece = os.read(self._side, 1 << 16)
        except OSError:  # how a pseudo-terminal says that nobody holds its other side any more
            return False
        self._raw += piece.decode("utf-8", "replace")
        self.seen = STEERING.sub("", self._raw)
        return bool(piece)


@contextmanager
def terminal(*arguments: str, environment: dict[str, str], cwd: Path = ROOT) -> Iterator[Terminal]:
    """Run `signoff ...` in a terminal; with `cwd`, in another checkout, which the environment's PYTHONPATH names."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    streams: dict[str, Any] = {"stdin": its, "stdout": its, "stderr": its}
    command = [str(BIN / "signoff"), *arguments]
    # Ctrl-C is ignored where the tests themselves run in the background, and a child inherits that.
    ours_ignores = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment | {"TERM": "xterm"}, start_new_session=True, **streams
        )
    finally:
        signal.signal(signal.SIGINT, ours_ignores)
    os.close(its)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)

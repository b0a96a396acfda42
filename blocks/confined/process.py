"""A confined process as its parent sees it: the pipes to it, its time, and the reason of its death."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from blocks.confined import wire

Done = TypeVar("Done")

_ANSWER_SECONDS = 30.0  # from its first byte to its last; until the caller takes it, most of an answer is not sent
_ROOT = Path(__file__).parents[2]
# No key or token of ours: whoever takes the child over finds none.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_OURS = {
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "1",  # each of its threads sets 60 MB of address space aside
    "MALLOC_ARENA_MAX": "2",  # and so does each thread that allocates
    "PYTHONUNBUFFERED": "1",
}
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|[Oo]ut of memory|[Cc]annot allocate|[Ff]ailed to allocate|failed to map segment"
    r"|can.t start new thread|[Tt]hread creation failed|pthread_create failed"
)


class Died(Exception):
    """The child is gone. The message is the reason for people; `anew` whether another child may do better."""

    def __init__(self, reason: str, *, anew: bool) -> None:
        super().__init__(reason)
        self.anew = anew


@dataclass(frozen=True)
class Trade:
    """What a kind of child does with files, and what it is granted for it."""

    verb: str
    """`read`, as in `longer than 9 seconds to read`, and in `the program that reads it`."""
    files: str
    """What it is done with, as in `the process that reads files`."""
    start_seconds: float
    """Until it has loaded all that it needs, on a machine that is busy with other things."""
    more_seconds: float
    """By how much each `more` that it says puts off the end of a file's time."""
    most_more: int
    """How often it may say that of one file."""
    most_frame: int
    """Bytes of an answer."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What its libraries want besides what every child has."""


@dataclass
class Sent(Generic[Done]):
    """A file that the child has, or is about to get."""

    trade: Trade
    asked: dict[str, Any]
    """What is wanted of it, in the trade's own terms."""
    content: bytes
    seconds: float
    """Of wall time that it may take, without what `more` adds."""
    made: Callable[[dict[str, Any]], Done]
    """What the child's last word means. Raises Garbled where that is nothing, and whatever the file is refused with."""
    on_more: Callable[[], None] = lambda: None
    begun: float = field(default_factory=time.monotonic)
    more: int = 0
    """How often the child has asked for more time."""

    @property
    def limit(self) -> float:
        """Seconds that it may take altogether, as far as is known by now."""
        return self.seconds + self.more * self.trade.more_seconds

    @property
    def left(self) -> float:
        """Seconds that are left of them."""
        return self.begun + self.limit - time.monotonic()

    @property
    def request(self) -> bytes:
        """What goes before the file."""
        return wire.frame(self.asked | {"size": len(self.content), "seconds": self.seconds})

    def begin(self) -> None:
        """Its time begins, perhaps once again."""
        self.begun, self.more = time.monotonic(), 0


class Process:
    """A process and the pipes to it."""

    def __init__(self, trade: Trade, command: Sequence[str], memory: int) -> None:
        """Start it, and wait until it is ready.

        Args:
            trade: what it is for.
            command: what Python is called with, before the memory.
            memory: bytes of address space that it may have.

        Raises:
            RuntimeError: it does not come up, which is no file's fault.
        """
        self.files = 0
        self._trade = trade
        self._memory = memory
        self._sent: Sent[Any] | None = None
        self._noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  what it prints, for the reason of its death
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, *command, str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            cwd=_ROOT,  # so that it finds its package, wherever it was started from
            env={**passed_on, **_OURS, **trade.environment},
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        self._received = bytearray()
        self.ready = self._until_ready()
        """What it said when it was."""

    @property
    def pid(self) -> int:
        """Its id, for whoever measures it."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        """Whether it has a file of which it has not said its last word."""
        return self._sent is not None

    def give(self, sent: Sent[Any]) -> None:
        """Hand over a file. Raises Died."""
        self.files, self._sent = self.files + 1, sent
        pipe = self._process.stdin
        assert pipe is not None
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_WRITE)
            for piece in (sent.request, sent.content):
                todo = memoryview(piece)
                while todo:
                    if not selector.select(max(sent.left, 0)):
                        raise self._too_slow(sent)
                    try:
                        todo = todo[os.write(pipe.fileno(), todo[: 1 << 20]) :]
                    except BrokenPipeError as error:
                        raise self._dead() from error

    def result(self, sent: Sent[Done]) -> Done:
        """What became of the file. Raises Died, and what `sent.made` refuses it with."""
        said = self._last_word(sent)
        self._sent = None
        try:
            return sent.made(said)
        except wire.Garbled as error:
            raise self._nonsense() from error

    def end(self) -> None:
        """Kill it: it has nothing to lose."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._noise):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _until_ready(self) -> dict[str, Any]:
        try:
            return self._receive(time.monotonic() + self._trade.start_seconds)
        except (Died, TimeoutError) as error:
            self.end()
            process = f"the process that {self._trade.verb}s {self._trade.files}"
            raise RuntimeError(f"{process} does not start: {str(error) or 'it hangs'}") from error

    def _last_word(self, sent: Sent[Any]) -> dict[str, Any]:
        while True:
            try:
                said = self._receive(sent.begun + sent.limit)
            except TimeoutError as error:
                raise self._too_slow(sent) from error
            if "memory" in said:
                raise self._too_large()
            if "more" not in said or sent.more >= self._trade.most_more:
                return said
            sent.more += 1
            sent.on_more()

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next frame. Raises Died, and TimeoutError."""
        size = int.from_bytes(self._take(wire.HEAD, deadline), "big")
        if size > self._trade.most_frame:
            raise self._nonsense()
        try:
            return wire.message(self._take(size, max(deadline, time.monotonic() + _ANSWER_SECONDS)))
        except wire.Garbled as error:
            raise self._nonsense() from error

    def _take(self, size: int, deadline: float) -> bytes:
        pipe = self._process.stdout
        assert pipe is not None
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while len(self._received) < size:
                # What is there already is taken also after the deadline: the caller came late, not the child.
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError
                piece = os.read(pipe.fileno(), 1 << 20)
                if not piece:
                    raise self._dead()
                self._received += piece
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _dead(self) -> Died:
        """Why it ended by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its output and live on
            self._process.wait(5)
        self._process.kill()
        code = self._process.wait()
        noise = self._last_noise()
        if code == -signal.SIGALRM and self._sent:
            return self._too_slow(self._sent)
        if _OUT_OF_MEMORY.search(noise):
            return self._too_large()
        return Died(f"the program that {self._trade.verb}s it {_manner(code, noise)}", anew=True)

    def _last_noise(self) -> str:
        self._noise.seek(max(self._noise.seek(0, os.SEEK_END) - 20_000, 0))
        return self._noise.read().decode("utf-8", "replace")

    def _too_slow(self, sent: Sent[Any]) -> Died:
        return Died(f"it took longer than {sent.limit:g} seconds to {self._trade.verb}", anew=False)

    def _too_large(self) -> Died:
        return Died(f"it needs more memory than {self._memory / 1e9:g} GB to {self._trade.verb}", anew=True)

    def _nonsense(self) -> Died:
        return Died(f"the program that {self._trade.verb}s it answered nonsense", anew=False)


def _manner(code: int, noise: str) -> str:
    """How it ended, by its exit code and what it printed."""
    if code == -signal.SIGKILL:
        return "was killed (signal 9): the machine may be out of memory"
    if code == -signal.SIGABRT:  # which is how PDFium, and C++, end where they get no memory
        return "gave up (signal 6), most likely for want of memory"
    if code < 0:
        return f"crashed on it (signal {-code})"
    last = next((line.strip() for line in reversed(noise.splitlines()) if line.strip()), f"exit {code}")
    return f"failed on it: {last[:300]}"

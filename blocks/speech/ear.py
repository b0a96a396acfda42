"""Recordings heard in a process of their own, which may hang, crash or run out of memory without any harm done.

In the manner of `blocks.documents.Reader`; this one's child has other limits and other libraries.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from blocks.documents.model import Unreadable
from blocks.speech import wire
from blocks.speech.kinds import Kind, kind_of, misnamed
from blocks.speech.limits import MOST_BYTES, MOST_WINDOWS, WINDOW_SECONDS
from blocks.speech.model import Transcript, marked
from blocks.vendor import VendorError

MEMORY = 1_200_000_000
"""Bytes of address space, of which 0.2 GB are libraries' code that is mapped and hardly ever touched."""
SECONDS = 120.0
_ANSWER_SECONDS = 30.0
_START_SECONDS = 120.0  # with the model in it, two seconds; on a machine that is busy with other things, longer
_COMMAND = ["-m", "blocks.speech.child"]
_ROOT = Path(__file__).parents[2]
# No key or token of ours: whoever takes the child over finds none.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_OURS = {
    "OMP_NUM_THREADS": "2",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait would take the cores from whatever else runs
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "CT2_USE_MKL": "0",  # it sets 0.9 GB of address space aside, for a sixth of the time
    "HF_HUB_OFFLINE": "1",  # nothing asks the hub for anything; this way nothing can
    "PYTHONUNBUFFERED": "1",
}
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|[Oo]ut of memory|[Cc]annot allocate|[Ff]ailed to allocate|failed to map segment"
    r"|can.t start new thread|[Tt]hread creation failed|pthread_create failed"
)


def hear(
    content: bytes, name: str, *, language: str | None = None, asks_for_time: Callable[[], None] = lambda: None
) -> Transcript:
    """What is said in a recording: WAV, FLAC, MP3, Ogg, Opus, MPEG-4, WebM and others, told by what they hold.

    This process has one child for it, which is started when it is first needed (a second or two), kept for the next
    file, and ends with this process. Safe to call from many threads, which wait for each other.

    Args:
        content: the file.
        name: the file's name, of which only a wrong ending counts, as a note.
        language: as `en`, when it is known; else it is found out from the first half minute.
        asks_for_time: called before each window of up to a minute is heard, which may take as long.

    Raises:
        Unreadable: it is no recording, broken, empty, longer than two hours, or was a crash; with the reason.
        VendorError: permanent; a package or its weights are missing, or are not the ones we pinned.
        ValueError: `language` is none that can be heard.
        RuntimeError: the child cannot be started at all.
    """
    with _lock:
        return _shared().hear(content, name, language=language, asks_for_time=asks_for_time)


_lock = threading.Lock()
_ear: Ear | None = None


def _shared() -> Ear:
    global _ear  # a child that has loaded the model takes half a gigabyte: one is enough
    if _ear is None:
        _ear = Ear()
        atexit.register(_ear.close)
    return _ear


def _after_fork() -> None:
    """The child of another process is not ours to talk to."""
    global _ear, _lock
    if _ear:
        atexit.unregister(_ear.close)
    _ear, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class _Died(Exception):
    """The child is gone. The message is the reason for people; `anew` whether another child may do better."""

    def __init__(self, reason: str, *, anew: bool) -> None:
        super().__init__(reason)
        self.anew = anew


@dataclass
class _Sent:
    """A file that the child has, or is about to get."""

    content: bytes
    kind: Kind
    language: str | None
    seconds: float
    asks_for_time: Callable[[], None]
    begun: float = field(default_factory=time.monotonic)
    windows: int = 0

    @property
    def limit(self) -> float:
        """Seconds that it may take altogether, as far as is known by now."""
        return self.seconds + self.windows * WINDOW_SECONDS

    @property
    def left(self) -> float:
        return self.begun + self.limit - time.monotonic()

    @property
    def request(self) -> bytes:
        asked = {"kind": self.kind.demuxer, "language": self.language, "size": len(self.content)}
        return wire.frame(asked | {"seconds": self.seconds})

    def more(self) -> None:
        """Another window begins."""
        self.windows += 1
        self.asks_for_time()


class Ear:
    """Owns one child process, which hears one file after the other, and is replaced when a file has killed it.

    Use it as a context manager, by one thread at a time. The child ends with this process, also after `kill -9`.
    """

    def __init__(self, *, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        """Bound what hearing a file may cost.

        Args:
            memory: bytes of address space that the child may have.
            seconds: of wall time for one file; each window that is heard adds `WINDOW_SECONDS`.
        """
        self._memory = memory
        self._seconds = seconds
        self._child: _Child | None = None

    def __enter__(self) -> Ear:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child. The next file starts another."""
        child, self._child = self._child, None
        if child:
            child.end()

    def hear(
        self,
        content: bytes,
        name: str,
        *,
        language: str | None = None,
        asks_for_time: Callable[[], None] = lambda: None,
    ) -> Transcript:
        """As the function `hear`."""
        if len(content) > MOST_BYTES:
            raise Unreadable(f"it has {len(content):,} bytes; at most {MOST_BYTES:,} are heard: save it as mp3 or m4a")
        kind = kind_of(content)
        sent = _Sent(content, kind, language, self._seconds, asks_for_time)
        try:
            heard = self._result(sent)
        except BaseException as error:
            # Whoever is interrupted while he waits leaves no child behind that answers the next file with this one's.
            if not isinstance(error, Unreadable | VendorError | ValueError):
                self.close()
            raise
        note = misnamed(kind, name)
        return replace(heard, words=marked(heard.words), notes=(*((note,) if note else ()), *heard.notes))

    def _result(self, sent: _Sent) -> Transcript:
        while True:
            if self._child is None:
                self._child = _Child(self._memory)
                sent.begun = time.monotonic()
            try:
                return self._child.hear(sent)
            except _Died as died:
                fresh = self._child.files <= 1
                self.close()
                if fresh or not died.anew:
                    raise Unreadable(str(died)) from died
            # The files before may have left the child in a bad state: this one is blamed only for what it does alone.
            sent.begun, sent.windows = time.monotonic(), 0


class _Child:
    """A process and the pipes to it."""

    def __init__(self, memory: int) -> None:
        """Raises RuntimeError when it does not come up, and VendorError without its weights: no file's fault."""
        self.files = 0
        self._sent: _Sent | None = None
        self._memory = memory
        self._noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  what it prints, for the reason of its death
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _OURS
        self._process = subprocess.Popen(
            [sys.executable, *_COMMAND, str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            cwd=_ROOT,  # so that it finds this package, wherever it was started from
            env=environment,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        self._received = bytearray()
        try:
            said = self._receive(time.monotonic() + _START_SECONDS)
        except (_Died, TimeoutError) as error:
            self.end()
            raise RuntimeError(f"the process that hears recordings does not start: {error or 'it hangs'}") from error
        if "refused" in said:
            self.end()
            raise VendorError("speech", "load", str(said["refused"])[:500], permanent=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self, sent: _Sent) -> Transcript:
        """What is said in a file. Raises Unreadable, ValueError, and _Died."""
        self.files, self._sent = self.files + 1, sent
        self._give(sent)
        while True:
            try:
                said = self._receive(sent.begun + sent.limit)
            except TimeoutError as error:
                raise self._too_slow(sent) from error
            if "more" in said and sent.windows < MOST_WINDOWS:
                sent.more()
            elif "memory" in said:
                raise _Died(self._too_large(), anew=True)
            elif "unreadable" in said:
                raise Unreadable(str(said["unreadable"])[:500])
            elif "language" in said:
                raise ValueError(str(said["language"])[:500])
            else:
                return self._made(said)

    def end(self) -> None:
        """Kill it: it has nothing to lose."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._noise):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _give(self, sent: _Sent) -> None:
        """Hand over a file. Raises _Died."""
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

    def _made(self, said: dict[str, Any]) -> Transcript:
        try:
            return wire.to_transcript(said.get("transcript"))
        except wire.Garbled as error:
            raise _Died("the program that hears it answered nonsense", anew=False) from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next frame. Raises _Died, and TimeoutError."""
        size = int.from_bytes(self._take(wire.HEAD, deadline), "big")
        if size > wire.MOST_FRAME:
            raise _Died("the program that hears it answered nonsense", anew=False)
        try:
            return wire.message(self._take(size, max(deadline, time.monotonic() + _ANSWER_SECONDS)))
        except wire.Garbled as error:
            raise _Died("the program that hears it answered nonsense", anew=False) from error

    def _take(self, size: int, deadline: float) -> bytes:
        pipe = self._process.stdout
        assert pipe is not None
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while len(self._received) < size:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError
                piece = os.read(pipe.fileno(), 1 << 20)
                if not piece:
                    raise self._dead()
                self._received += piece
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _too_slow(self, sent: _Sent) -> _Died:
        return _Died(f"it took longer than {sent.limit:g} seconds to hear", anew=False)

    def _too_large(self) -> str:
        return f"it needs more memory than {self._memory / 1e9:g} GB to hear"

    def _dead(self) -> _Died:
        """Why it ended by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its output and live on
            self._process.wait(5)
        self._process.kill()
        code = self._process.wait()
        self._noise.seek(max(self._noise.seek(0, os.SEEK_END) - 20_000, 0))
        noise = self._noise.read().decode("utf-8", "replace")
        if code == -signal.SIGALRM and self._sent:
            return self._too_slow(self._sent)
        if _OUT_OF_MEMORY.search(noise):
            return _Died(self._too_large(), anew=True)
        if code == -signal.SIGKILL:
            return _Died("the program that hears it was killed (signal 9): the machine may be out of memory", anew=True)
        if code == -signal.SIGABRT:  # which is how C++ ends where it gets no memory
            return _Died("the program that hears it gave up (signal 6), most likely for want of memory", anew=True)
        if code < 0:
            return _Died(f"the program that hears it crashed on it (signal {-code})", anew=True)
        last = next((line.strip() for line in reversed(noise.splitlines()) if line.strip()), f"exit {code}")
        return _Died(f"the program that hears it failed on it: {last[:300]}", anew=True)

"""Files read in a process of their own, which may hang, crash or run out of memory without any harm done."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

from blocks.documents import wire
from blocks.documents.limits import MOST_BYTES, MOST_OCR_PAGES, OCR_SECONDS
from blocks.documents.model import Document, Unreadable
from blocks.documents.sheet import Box, Sheet, unpacked

Key = TypeVar("Key")
Done = TypeVar("Done")

MEMORY = 1_500_000_000
SECONDS = 120.0
_ANSWER_SECONDS = 30.0  # from its first byte to its last; until the caller takes it, most of an answer is not sent
_START_SECONDS = 60.0  # it takes half a second; on a machine that is busy with other things, longer
_COMMAND = ["-m", "blocks.documents.child"]
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


class _Died(Exception):
    """The child is gone. The message is the reason for people; `anew` whether another child may do better."""

    def __init__(self, reason: str, *, anew: bool) -> None:
        super().__init__(reason)
        self.anew = anew


class Reader:
    """Owns one child process, which reads one file after the other, and is replaced when a file has killed it.

    Use it as a context manager, by one thread at a time. The child ends with this process, also after `kill -9`.
    """

    def __init__(self, *, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        """Bound what reading a file may cost.

        Args:
            memory: bytes of address space that the child may have. OCR takes up to 1.2 GB of it, a PDF with text 0.2.
            seconds: of wall time for one file; each page that is read by OCR adds `OCR_SECONDS`.
        """
        self._memory = memory
        self._seconds = seconds
        self._child: _Child | None = None
        self._waiting = False

    def __enter__(self) -> Reader:
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

    def read(self, content: bytes, name: str, mime_type: str | None = None) -> Document:
        """As `blocks.documents.read`, and Unreadable too when the file took too long or too much, or was a crash.

        Raises:
            Unreadable: with the reason.
            RuntimeError: the child cannot be started at all, or a file of `read_many` is still being read.
        """
        return self._do(_READ, content, name, mime_type)

    def look(self, content: bytes, name: str, mime_type: str | None = None) -> Sheet:
        """As `blocks.documents.looking.look`; raises as `read` does."""
        return self._do(_LOOK, content, name, mime_type)

    def picture(self, content: bytes, name: str, page: int = 1, box: Box | None = None, *, dpi: float = 100) -> bytes:
        """As `blocks.documents.looking.picture`; raises as `read` does."""
        job = _Job("picture", base64.b64decode, {"page": page, "box": box, "dpi": dpi})
        return self._do(job, content, name, None)

    def read_many(
        self, files: Iterable[tuple[Key, Callable[[], bytes], str, str | None]]
    ) -> Iterator[tuple[Key, Document | Unreadable]]:
        """Read files in their order; the next is being read while the caller is busy with the one before.

        Args:
            files: of each a key of the caller's, how to get its bytes, its name and its type. What `bytes` raises is
                raised here, after the file before was yielded; but Unreadable is yielded.
        """
        source = iter(files)
        before: tuple[Key, _Sent[Document] | Unreadable] | None = None
        more = True
        try:
            while more:
                # The file before is finished first: a child has one file at a time, and one to blame.
                done = [(before[0], self._outcome(before[1]))] if before else []
                before = None
                try:
                    file = next(source, None)
                    before = self._begin(*file) if file is not None else None
                finally:  # also when the next file could not be had
                    yield from done
                more = before is not None
        finally:
            self._abandon()

    def _do(self, job: _Job[Done], content: bytes, name: str, mime_type: str | None) -> Done:
        return self._result(self._send(content, name, mime_type, job))

    def _begin(
        self, key: Key, content: Callable[[], bytes], name: str, mime_type: str | None
    ) -> tuple[Key, _Sent[Document] | Unreadable]:
        try:
            return key, self._send(content(), name, mime_type, _READ)
        except Unreadable as error:
            return key, error

    def _outcome(self, sent: _Sent[Document] | Unreadable) -> Document | Unreadable:
        if isinstance(sent, Unreadable):
            return sent
        try:
            return self._result(sent)
        except Unreadable as error:
            return error

    def _abandon(self) -> None:
        """Nobody waits any longer for the file that is being read."""
        if self._waiting:
            self._waiting = False
            self.close()

    def _send(self, content: bytes, name: str, mime_type: str | None, job: _Job[Done]) -> _Sent[Done]:
        if self._waiting:
            raise RuntimeError("the reader is busy with a file of read_many: use another Reader beside it")
        if len(content) > MOST_BYTES:
            raise Unreadable(f"it has {len(content):,} bytes; at most {MOST_BYTES:,} are read")
        sent = _Sent(job, content, name, mime_type, self._seconds)
        self._hand_over(sent)
        return sent

    def _hand_over(self, sent: _Sent[Any]) -> None:
        if self._child is None:
            self._child = _Child(self._memory)
        sent.begun = time.monotonic()
        # Of one that dies while it takes the file one hears when it is asked for the result.
        with contextlib.suppress(_Died):
            self._child.give(sent)
        self._waiting = True

    def _result(self, sent: _Sent[Done]) -> Done:
        if self._child is None:
            raise RuntimeError("the reader was closed while a file was being read")
        try:
            return self._child.result(sent)
        except _Died as died:
            fresh = self._child.files <= 1
            self.close()
            if fresh or not died.anew:
                raise Unreadable(str(died)) from died
        finally:
            self._waiting = False
        # The files before may have left the child in a bad state: this one is blamed only for what it does alone.
        self._hand_over(sent)
        return self._result(sent)


@dataclass(frozen=True)
class _Job(Generic[Done]):
    """What is wanted of a file."""

    wanted: str
    """The answer's name, in the answer."""
    of_json: Callable[[Any], Done]
    """Raises ValueError when the answer is none."""
    arguments: dict[str, Any] = field(default_factory=dict)


_READ = _Job("document", wire.to_document)
_LOOK = _Job("sheet", unpacked)


@dataclass
class _Sent(Generic[Done]):
    """A file that the child has, or is about to get."""

    job: _Job[Done]
    content: bytes
    name: str
    mime_type: str | None
    seconds: float
    begun: float = field(default_factory=time.monotonic)
    ocr_pages: int = 0

    @property
    def limit(self) -> float:
        """Seconds that it may take altogether, as far as is known by now."""
        return self.seconds + self.ocr_pages * OCR_SECONDS

    @property
    def left(self) -> float:
        return self.begun + self.limit - time.monotonic()

    @property
    def request(self) -> bytes:
        asked = {"name": self.name, "mime_type": self.mime_type, "size": len(self.content), "seconds": self.seconds}
        return wire.frame(asked | {"wanted": self.job.wanted, "arguments": self.job.arguments})


class _Child:
    """A process and the pipes to it."""

    def __init__(self, memory: int) -> None:
        """Raises RuntimeError when it does not come up, which is no file's fault."""
        self.files = 0
        self._sent: _Sent[Any] | None = None
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
            self._receive(time.monotonic() + _START_SECONDS)
        except (_Died, TimeoutError) as error:
            self.end()
            raise RuntimeError(f"the process that reads files does not start: {error or 'it hangs'}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, sent: _Sent[Any]) -> None:
        """Hand over a file. Raises _Died."""
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

    def result(self, sent: _Sent[Done]) -> Done:
        """What became of the file. Raises Unreadable, and _Died."""
        while True:
            try:
                said = self._receive(sent.begun + sent.limit)
            except TimeoutError as error:
                raise self._too_slow(sent) from error
            if "more" in said and sent.ocr_pages < MOST_OCR_PAGES:
                sent.ocr_pages += 1
            elif "memory" in said:
                raise _Died(self._too_large(), anew=True)
            elif "unreadable" in said:
                raise Unreadable(str(said["unreadable"])[:500])
            else:
                return self._made(sent.job, said)

    def end(self) -> None:
        """Kill it: it has nothing to lose."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._noise):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _made(self, job: _Job[Done], said: dict[str, Any]) -> Done:
        try:
            return job.of_json(said.get(job.wanted))
        except (ValueError, TypeError) as error:
            raise _Died("the program that reads it answered nonsense", anew=False) from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next frame. Raises _Died, and TimeoutError."""
        head = self._take(wire.HEAD, deadline)
        deadline = max(deadline, time.monotonic() + _ANSWER_SECONDS)
        size = int.from_bytes(head, "big")
        if size > wire.MOST_FRAME:
            raise _Died("the program that reads it answered nonsense", anew=False)
        try:
            return wire.message(self._take(size, deadline))
        except wire.Garbled as error:
            raise _Died("the program that reads it answered nonsense", anew=False) from error

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

    def _too_slow(self, sent: _Sent[Any]) -> _Died:
        return _Died(f"it took longer than {sent.limit:g} seconds to read", anew=False)

    def _too_large(self) -> str:
        return f"it needs more memory than {self._memory / 1e9:g} GB to read"

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
            return _Died("the program that reads it was killed (signal 9): the machine may be out of memory", anew=True)
        if code == -signal.SIGABRT:  # which is how PDFium, and C++, end where they get no memory
            return _Died("the program that reads it gave up (signal 6), most likely for want of memory", anew=True)
        if code < 0:
            return _Died(f"the program that reads it crashed on it (signal {-code})", anew=True)
        last = next((line.strip() for line in reversed(noise.splitlines()) if line.strip()), f"exit {code}")
        return _Died(f"the program that reads it failed on it: {last[:300]}", anew=True)

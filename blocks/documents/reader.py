"""Files read in a process of their own, which may hang, crash or run out of memory without any harm done."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from blocks.confined.parent import Parent
from blocks.confined.process import Died, Process, Sent, Trade
from blocks.confined.wire import Garbled
from blocks.documents import wire
from blocks.documents.limits import MOST_BYTES, MOST_OCR_PAGES, OCR_SECONDS
from blocks.documents.model import Document, Unreadable
from blocks.documents.sheet import Box, Sheet, unpacked

Key = TypeVar("Key")
Done = TypeVar("Done")

MEMORY = 1_500_000_000
SECONDS = 120.0
_COMMAND = ["-m", "blocks.documents.child"]
_TRADE = Trade(
    verb="read",
    files="files",
    start_seconds=60.0,  # it takes half a second; on a machine that is busy with other things, longer
    more_seconds=OCR_SECONDS,
    most_more=MOST_OCR_PAGES,
    most_frame=wire.MOST_FRAME,
)


class Reader(Parent):
    """Owns one child process, which reads one file after the other, and is replaced when a file has killed it.

    Use it as a context manager, by one thread at a time. The child ends with this process, also after `kill -9`.
    """

    def __init__(self, *, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        """Bound what reading a file may cost.

        Args:
            memory: bytes of address space that the child may have. OCR takes up to 1.2 GB of it, a PDF with text 0.2.
            seconds: of wall time for one file; each page that is read by OCR adds `OCR_SECONDS`.
        """
        super().__init__(memory, seconds)
        self._waiting = False

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
        before: tuple[Key, Sent[Document] | Unreadable] | None = None
        more = True
        try:
            while more:
                # The file before is finished first: a child has one file at a time, and one to blame.
                done = [(before[0], self._outcome(before[1]))] if before else []
                before = None
                try:
                    file = next(source, None)
                    before = self._ahead(*file) if file is not None else None
                finally:  # also when the next file could not be had
                    yield from done
                more = before is not None
        finally:
            self._abandon()

    def _do(self, job: _Job[Done], content: bytes, name: str, mime_type: str | None) -> Done:
        return self._result(self._send(content, name, mime_type, job))

    def _ahead(
        self, key: Key, content: Callable[[], bytes], name: str, mime_type: str | None
    ) -> tuple[Key, Sent[Document] | Unreadable]:
        try:
            return key, self._send(content(), name, mime_type, _READ)
        except Unreadable as error:
            return key, error

    def _outcome(self, sent: Sent[Document] | Unreadable) -> Document | Unreadable:
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

    def _send(self, content: bytes, name: str, mime_type: str | None, job: _Job[Done]) -> Sent[Done]:
        if self._waiting:
            raise RuntimeError("the reader is busy with a file of read_many: use another Reader beside it")
        if len(content) > MOST_BYTES:
            raise Unreadable(f"it has {len(content):,} bytes; at most {MOST_BYTES:,} are read")
        asked = {"name": name, "mime_type": mime_type, "wanted": job.wanted, "arguments": job.arguments}
        sent = Sent(_TRADE, asked, content, self._seconds, job.made)
        self._begin(sent)
        self._waiting = True
        return sent

    def _result(self, sent: Sent[Done]) -> Done:
        self._waiting = False
        if self._child is None:
            raise RuntimeError("the reader was closed while a file was being read")
        try:
            return self._finish(sent)
        except Died as died:
            raise Unreadable(str(died)) from died

    def _start(self) -> Process:
        return Process(_TRADE, _COMMAND, self._memory)


@dataclass(frozen=True)
class _Job(Generic[Done]):
    """What is wanted of a file."""

    wanted: str
    """The answer's name, in the answer."""
    of_json: Callable[[Any], Done]
    """Raises ValueError when the answer is none."""
    arguments: dict[str, Any] = field(default_factory=dict)

    def made(self, said: dict[str, Any]) -> Done:
        """What the child answers. Raises Unreadable, and Garbled when it is no answer."""
        if "unreadable" in said:
            raise Unreadable(str(said["unreadable"])[:500])
        try:
            return self.of_json(said.get(self.wanted))
        except (ValueError, TypeError) as error:
            raise Garbled(f"no {self.wanted}") from error


_READ = _Job("document", wire.to_document)
_LOOK = _Job("sheet", unpacked)

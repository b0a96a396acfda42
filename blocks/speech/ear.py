"""Recordings heard in a process of their own, which may hang, crash or run out of memory without any harm done."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from blocks.confined.parent import Parent
from blocks.confined.process import Died, Process, Sent, Trade
from blocks.documents.model import Unreadable
from blocks.speech import wire
from blocks.speech.kinds import kind_of, misnamed
from blocks.speech.limits import MOST_BYTES, MOST_WINDOWS, WINDOW_SECONDS
from blocks.speech.model import Transcript, marked
from blocks.vendor import VendorError

MEMORY = 1_200_000_000
"""Bytes of address space, of which 0.2 GB are libraries' code that is mapped and hardly ever touched."""
SECONDS = 120.0
_COMMAND = ["-m", "blocks.speech.child"]
_TRADE = Trade(
    verb="hear",
    files="recordings",
    start_seconds=120.0,  # with the model in it, two seconds; on a machine that is busy with other things, longer
    more_seconds=WINDOW_SECONDS,
    most_more=MOST_WINDOWS,
    most_frame=wire.MOST_FRAME,
    environment={
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait would take the cores from whatever else runs
        "CT2_USE_MKL": "0",  # it sets 0.9 GB of address space aside, for a sixth of the time
        "HF_HUB_OFFLINE": "1",  # nothing asks the hub for anything; this way nothing can
    },
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


class Ear(Parent):
    """Owns one child process, which hears one file after the other, and is replaced when a file has killed it.

    Use it as a context manager, by one thread at a time. The child ends with this process, also after `kill -9`.
    """

    def __init__(self, *, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        """Bound what hearing a file may cost.

        Args:
            memory: bytes of address space that the child may have.
            seconds: of wall time for one file; each window that is heard adds `WINDOW_SECONDS`.
        """
        super().__init__(memory, seconds)

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
        asked = {"kind": kind.demuxer, "language": language}
        sent = Sent(_TRADE, asked, content, self._seconds, _made, asks_for_time)
        self._begin(sent)
        try:
            heard = self._finish(sent)
        except Died as died:
            raise Unreadable(str(died)) from died
        note = misnamed(kind, name)
        return replace(heard, words=marked(heard.words), notes=(*((note,) if note else ()), *heard.notes))

    def _start(self) -> Process:
        """Raises RuntimeError when it does not come up, and VendorError without its weights: no file's fault."""
        child = Process(_TRADE, _COMMAND, self._memory)
        if "refused" in child.ready:
            child.end()
            raise VendorError("speech", "load", str(child.ready["refused"])[:500], permanent=True)
        return child


def _made(said: dict[str, Any]) -> Transcript:
    """What the child answers. Raises Unreadable, ValueError for the language, and Garbled when it is no answer."""
    if "unreadable" in said:
        raise Unreadable(str(said["unreadable"])[:500])
    if "language" in said:
        raise ValueError(str(said["language"])[:500])
    return wire.to_transcript(said.get("transcript"))

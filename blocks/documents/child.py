"""The process in which files are read for a `Reader`: `python -m blocks.documents.child MEMORY`.

It takes a frame and a file from standard input, and answers with frames on what was standard output. It ends when its
input does, that is, when its parent is gone, however that came about.
"""

import base64
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from blocks.documents import wire
from blocks.documents.limits import OCR_SECONDS
from blocks.documents.model import Unreadable

_MOST_NOISE = 10_000_000
"""Bytes that a library may complain in. There is nothing else that it should write to a file."""
_LATE = 5.0
"""Seconds after which the child ends itself, when its parent is too busy to look at the clock."""


def main(memory: int) -> None:
    """Read files until there are no more. Bytes of memory: all that this process may have, libraries included."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a file of all its memory for each crash helps nobody
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_NOISE, _MOST_NOISE))
    answers = _own_output()
    requests: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue(maxsize=1)
    threading.Thread(target=_take, args=(requests,), daemon=True).start()
    from blocks.documents import looking, reading, text  # noqa: F401  what every file needs is loaded before the first comes

    _send(answers, {"ready": True})
    while True:
        asked, content = requests.get()
        answer = _answer(asked, content, answers)
        _send(answers, answer)
        if "memory" in answer:
            os._exit(0)  # what is left of its memory may be in pieces


def _own_output() -> BinaryIO:
    """Where answers go. Whatever a library prints goes to standard error from now on, also from C."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _take(requests: "queue.Queue[tuple[dict[str, Any], bytes]]") -> None:
    """In a thread of its own, so that the end of the input is seen while a file is read."""
    while True:
        try:
            asked = wire.message(_exactly(int.from_bytes(_exactly(wire.HEAD), "big")))
            content = _exactly(asked["size"])
        except MemoryError:  # the main thread waits for what will never come, and the parent for its answer
            os.write(2, b"MemoryError\n")
            os._exit(1)
        requests.put((asked, content))


def _exactly(size: int) -> bytes:
    """So many bytes of the input; at its end the process ends."""
    taken = bytearray()
    while len(taken) < size:
        # Not through sys.stdin, whose lock would turn any error of the main thread into a crash on its way out.
        piece = os.read(0, min(size - len(taken), 1 << 20))
        if not piece:
            os._exit(0)
        taken += piece
    return bytes(taken)


def _answer(asked: dict[str, Any], content: bytes, answers: BinaryIO) -> dict[str, Any]:
    last = time.monotonic() + float(asked["seconds"]) + _LATE

    def more_time() -> None:
        nonlocal last
        last += OCR_SECONDS
        _end_at(last)
        _send(answers, {"more": True})

    _end_at(last)
    try:
        return {asked["wanted"]: _done(asked, content, more_time)}
    except Unreadable as error:
        return {"unreadable": str(error)}
    except MemoryError:
        return {"memory": True}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _done(asked: dict[str, Any], content: bytes, more_time: Callable[[], None]) -> object:
    """What is wanted of the file, as JSON."""
    from blocks.documents import looking, reading

    name, mime_type, wanted = asked["name"], asked["mime_type"], asked["wanted"]
    if wanted == "document":
        return wire.to_json(reading.read(content, name, mime_type, asks_for_time=more_time))
    if wanted == "sheet":
        return looking.look(content, name, mime_type, asks_for_time=more_time).packed()
    return base64.b64encode(looking.picture(content, name, **asked["arguments"])).decode()


def _end_at(moment: float) -> None:
    """Nothing handles the signal, so that it ends the process also within a library that never returns."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(moment - time.monotonic(), 0.001))


def _send(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(wire.frame(message))
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))

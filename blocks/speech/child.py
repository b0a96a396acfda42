"""The process in which recordings are heard for an `Ear`: `python -m blocks.speech.child MEMORY`.

It takes a frame and a file from standard input, and answers with frames on what was standard output. It ends when its
input does, that is, when its parent is gone, however that came about.
"""

import os
import queue
import resource
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

from blocks.documents.model import Unreadable
from blocks.speech import hearing, wire
from blocks.speech.kinds import KINDS
from blocks.speech.limits import WINDOW_SECONDS
from blocks.vendor import VendorError

_MOST_NOISE = 10_000_000
"""Bytes that a library may complain in. There is nothing else that it should write to a file."""
_LATE = 5.0
"""Seconds after which the child ends itself, when its parent is too busy to look at the clock."""


def main(memory: int) -> None:
    """Hear files until there are no more. Bytes of memory: all that this process may have, libraries included."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = _own_output()
    requests: queue.Queue[tuple[dict[str, Any], bytearray]] = queue.Queue(maxsize=1)
    threading.Thread(target=_take, args=(requests,), daemon=True).start()
    # Before a file comes: the model needs the most memory while it is loaded, a long recording needs much itself.
    ready = _ready()
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_NOISE, _MOST_NOISE))
    _send(answers, ready)
    while True:
        answer = _answer(*requests.get(), answers)
        _send(answers, answer)
        if "memory" in answer:
            os._exit(0)  # what is left of its memory may be in pieces


def _ready() -> dict[str, Any]:
    try:
        hearing.prepare()
    except VendorError as error:
        return {"refused": error.reason}
    except ModuleNotFoundError as error:
        return {"refused": f"{error}. Run `make install` again"}
    return {"ready": True}


def _own_output() -> BinaryIO:
    """Where answers go. Whatever a library prints goes to standard error from now on, also from C."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _take(requests: "queue.Queue[tuple[dict[str, Any], bytearray]]") -> None:
    """In a thread of its own, so that the end of the input is seen while a file is heard."""
    try:
        while True:
            asked = wire.message(bytes(_exactly(int.from_bytes(_exactly(wire.HEAD), "big"))))
            requests.put((asked, _exactly(asked["size"])))
    except MemoryError:
        os.write(2, b"MemoryError\n")  # for the parent, who would else wait for an answer
        os._exit(1)


def _exactly(size: int) -> bytearray:
    """So many bytes of the input, in one piece that is never copied; at its end the process ends."""
    taken = bytearray(size)
    todo = memoryview(taken)
    while todo:
        # Not through sys.stdin, whose lock would turn any error of the main thread into a crash on its way out.
        count = os.readv(0, [todo[: 1 << 20]])
        if not count:
            os._exit(0)
        todo = todo[count:]
    return taken


def _answer(asked: dict[str, Any], content: bytearray, answers: BinaryIO) -> dict[str, Any]:
    last = time.monotonic() + float(asked["seconds"]) + _LATE

    def more_time() -> None:
        nonlocal last
        last += WINDOW_SECONDS
        _end_at(last)
        _send(answers, {"more": True})

    _end_at(last)
    try:
        heard = hearing.hear(memoryview(content), KINDS[asked["kind"]], asked["language"], more_time)
    except Unreadable as error:
        return {"unreadable": str(error)}
    except hearing.UnknownLanguage as error:
        return {"language": str(error)}
    except MemoryError:
        return {"memory": True}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"transcript": wire.to_json(heard)}


def _end_at(moment: float) -> None:
    """Nothing handles the signal, so that it ends the process also within a library that never returns."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(moment - time.monotonic(), 0.001))


def _send(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(wire.frame(message))
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))

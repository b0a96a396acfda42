"""What runs in a confined process: it takes a frame and a file from standard input, and answers with frames.

They go to what was standard output. The process ends when its input does, that is, when its parent is gone, however
that came about.
"""

import os
import queue
import resource
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from blocks.confined import wire

Answer = Callable[[dict[str, Any], bytes, Callable[[], None]], dict[str, Any]]
Requests = queue.Queue[tuple[dict[str, Any], bytes]]

_MOST_NOISE = 10_000_000
"""Bytes that a library may complain in. There is nothing else that it should write to a file."""
_LATE = 5.0
"""Seconds after which the child ends itself, when its parent is too busy to look at the clock."""


def serve(memory: int, prepare: Callable[[], dict[str, Any]], answer: Answer, more_seconds: float) -> NoReturn:
    """Answer for one file after the other until there are no more.

    Args:
        memory: bytes of address space, all that this process may have, libraries included.
        prepare: loads what every file needs, before the first comes: it may need much memory for a moment, as a large
            file does later. Gives what the parent is told first.
        answer: gives what is said of a file. It takes what was asked and the file, and calls the third, before each
            part that takes long, for `more_seconds` of time.
        more_seconds: of wall time that each such part adds.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a file of all its memory for each crash helps nobody
    answers = _own_output()
    requests: Requests = queue.Queue(maxsize=1)
    threading.Thread(target=_take, args=(requests,), daemon=True).start()
    ready = prepare()
    # Not before: a model may have to be put together in a file. No stranger's file has been looked at yet.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_NOISE, _MOST_NOISE))
    _send(answers, ready)
    while True:
        said = _said(answers, answer, more_seconds, *requests.get())
        _send(answers, said)
        if "memory" in said:
            os._exit(0)  # what is left of its memory may be in pieces


def _own_output() -> BinaryIO:
    """Where answers go. Whatever a library prints goes to standard error from now on, also from C."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _take(requests: Requests) -> None:
    """In a thread of its own, so that the end of the input is seen while a file is worked on."""
    # Not sys.stdin, whose lock would turn any error of the main thread into a crash on its way out.
    source = open(0, "rb", closefd=False)  # noqa: SIM115
    try:
        while True:
            asked = wire.message(_exactly(source, int.from_bytes(_exactly(source, wire.HEAD), "big")))
            # No name for the file here: it would be kept until the next has come.
            requests.put((asked, _exactly(source, asked["size"])))
    except MemoryError:  # the main thread waits for what will never come, and the parent for its answer
        os.write(2, b"MemoryError\n")
        os._exit(1)


def _exactly(source: BinaryIO, size: int) -> bytes:
    """So many bytes of the input, read into one piece that is never copied; at its end the process ends."""
    taken = source.read(size)
    if len(taken) < size:
        os._exit(0)
    return taken


def _said(
    answers: BinaryIO, answer: Answer, more_seconds: float, asked: dict[str, Any], content: bytes
) -> dict[str, Any]:
    """The answer, which there is in time, or no process."""
    last = time.monotonic() + float(asked["seconds"]) + _LATE

    def more_time() -> None:
        nonlocal last
        last += more_seconds
        _end_at(last)
        _send(answers, {"more": True})

    _end_at(last)
    try:
        return answer(asked, content, more_time)
    except MemoryError:
        return {"memory": True}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _end_at(moment: float) -> None:
    """Nothing handles the signal, so that it ends the process also within a library that never returns."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(moment - time.monotonic(), 0.001))


def _send(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(wire.frame(message))
    answers.flush()

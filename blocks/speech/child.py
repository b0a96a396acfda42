"""The process in which recordings are heard for an `Ear`: `python -m blocks.speech.child MEMORY`."""

import sys
from collections.abc import Callable
from typing import Any

from blocks.confined import child
from blocks.documents.model import Unreadable
from blocks.speech import hearing, wire
from blocks.speech.kinds import KINDS
from blocks.speech.limits import WINDOW_SECONDS
from blocks.vendor import VendorError


def main(memory: int) -> None:
    """Hear files until there are no more. Bytes of memory: all that this process may have, libraries included."""
    child.serve(memory, _prepare, _answer, WINDOW_SECONDS)


def _prepare() -> dict[str, Any]:
    try:
        hearing.prepare()
    except VendorError as error:
        return {"refused": error.reason}
    except ModuleNotFoundError as error:
        return {"refused": f"{error}. Run `make install` again"}
    return {"ready": True}


def _answer(asked: dict[str, Any], content: bytes, more_time: Callable[[], None]) -> dict[str, Any]:
    try:
        heard = hearing.hear(memoryview(content), KINDS[asked["kind"]], asked["language"], more_time)
    except Unreadable as error:
        return {"unreadable": str(error)}
    except hearing.UnknownLanguage as error:
        return {"language": str(error)}
    return {"transcript": wire.to_json(heard)}


if __name__ == "__main__":
    main(int(sys.argv[1]))

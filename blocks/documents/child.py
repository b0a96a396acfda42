"""The process in which files are read for a `Reader`: `python -m blocks.documents.child MEMORY`."""

import base64
import sys
from collections.abc import Callable
from typing import Any

from blocks.confined import child
from blocks.documents import wire
from blocks.documents.limits import OCR_SECONDS
from blocks.documents.model import Unreadable


def main(memory: int) -> None:
    """Read files until there are no more. Bytes of memory: all that this process may have, libraries included."""
    child.serve(memory, _prepare, _answer, OCR_SECONDS)


def _prepare() -> dict[str, Any]:
    from blocks.documents import looking, reading, text  # noqa: F401  what every file needs

    return {"ready": True}


def _answer(asked: dict[str, Any], content: bytes, more_time: Callable[[], None]) -> dict[str, Any]:
    try:
        return {asked["wanted"]: _done(asked, content, more_time)}
    except Unreadable as error:
        return {"unreadable": str(error)}


def _done(asked: dict[str, Any], content: bytes, more_time: Callable[[], None]) -> object:
    """What is wanted of the file, as JSON."""
    from blocks.documents import looking, reading

    name, mime_type, wanted = asked["name"], asked["mime_type"], asked["wanted"]
    if wanted == "document":
        return wire.to_json(reading.read(content, name, mime_type, asks_for_time=more_time))
    if wanted == "sheet":
        return looking.look(content, name, mime_type, asks_for_time=more_time).packed()
    return base64.b64encode(looking.picture(content, name, **asked["arguments"])).decode()


if __name__ == "__main__":
    main(int(sys.argv[1]))

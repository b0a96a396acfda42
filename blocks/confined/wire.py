"""What a confined process and its parent say to each other: frames of four bytes of length and that much JSON.

Not pickle: a child that a file has taken over could make its parent run anything with it.
"""

import json
from typing import Any

HEAD = 4


class Garbled(ValueError):
    """What came is no frame, or says something that a child does not say."""


def frame(message: dict[str, Any]) -> bytes:
    """Ready to be sent."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    return len(body).to_bytes(HEAD, "big") + body


def message(body: bytes) -> dict[str, Any]:
    """What a frame says. Raises Garbled when it is no JSON object."""
    try:
        said = json.loads(body)
    except ValueError as error:
        raise Garbled("no JSON") from error
    if not isinstance(said, dict):
        raise Garbled("no object")
    return said

"""The body of a request, as long as it is neither too large nor too slow."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect


class BadBody(Exception):
    """It is not taken; the message is for whoever has sent it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """The whole body.

    Args:
        request: whose.
        most: bytes that it may have.
        seconds: how long it may take to come.

    Raises:
        BadBody: it has more, takes longer, or ends before its end.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large(most)
                parts.append(part)
    except TimeoutError:
        raise BadBody(408, "too slow") from None
    except ClientDisconnect:  # nobody hears it
        raise BadBody(400, "the request ended before its body did") from None
    return b"".join(parts)


def too_large(most: int) -> BadBody:
    """What is said of a body of more bytes than that."""
    return BadBody(413, f"more than {most:,} bytes")

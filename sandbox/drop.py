"""Cut a connection in the middle of a request, which no ASGI message can express."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import ClassVar

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

Address = tuple[str, int]


class Dropped(Exception):
    """Raised by whatever decides that this call gets no reply."""

    def __init__(self, *, hard: bool = False) -> None:
        """`hard` sends a TCP reset, else the connection just closes."""
        super().__init__(hard)
        self.hard = hard


class DroppableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which remembers the transport of every open connection."""

    transports: ClassVar[dict[Address, asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection by the address uvicorn puts into the scope."""
        super().connection_made(transport)
        if self.client is not None:
            self.transports[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self.client is not None:
            self.transports.pop(self.client, None)
        super().connection_lost(exc)


async def drop(scope: Scope, receive: Receive, *, hard: bool) -> None:
    """Close the caller's connection without a word, and wait until it is closed."""
    transport = DroppableProtocol.transports.get(scope["client"])
    if transport is None:
        raise ConnectionResetError("The sandbox can only drop connections that its own server accepted.")
    if hard:
        linger_none = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
    transport.abort()
    # uvicorn answers 500 for an app that returns silently, unless it has already seen the disconnect.
    while (await receive())["type"] != "http.disconnect":
        pass

"""What the receiver does besides answering: in threads, from its start to its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

Watch = Callable[[threading.Event], None]
"""Goes on until the event is set."""


@asynccontextmanager
async def in_threads(watches: Mapping[str, Watch], woken: threading.Event, seconds: float) -> AsyncIterator[None]:
    """Let each watch until the end of the block, in a thread of that name.

    Args:
        watches: by name.
        woken: set at the end, for those that wait for it.
        seconds: how long each is waited for. They are daemons: one that hangs on a vendor holds up no end.
    """
    ended = threading.Event()
    threads = [threading.Thread(target=watch, args=(ended,), name=name, daemon=True) for name, watch in watches.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        woken.set()
        for thread in threads:
            await asyncio.to_thread(thread.join, seconds)

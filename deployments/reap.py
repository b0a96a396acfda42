"""`signoff reap`: find runs whose process has died, and take up their work again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from blocks.ledger import Ledger
from deployments import views
from deployments.machine import ends_cleanly, wait_for_the_end
from tasks.reaper import EVERY_SECONDS, Reaper


def reap(*, once: bool, local: bool) -> int:
    """Look once, or every few seconds until Ctrl-C."""
    if once:
        started = Reaper(Ledger.open(), local=local).look()
        views.console.print(f"Started again: {', '.join(started)}." if started else "Nobody has died.", markup=False)
        return 0
    views.console.print(f"Looking for dead runs every {EVERY_SECONDS:g} s. Ctrl-C ends it.")
    with ends_cleanly(), reaping(local=local):
        wait_for_the_end()
    return 0


@contextmanager
def reaping(*, local: bool) -> Iterator[None]:
    """Let the reaper look, in a thread of its own, until the end of the block."""
    ended = threading.Event()
    reaper = Reaper(Ledger.open(), local=local)
    thread = threading.Thread(target=reaper.watch, args=(ended,), name="signoff-reaper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

"""Where what arrives is put: into the ledger, before the vendor is told that we have it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from blocks.ledger import Ledger, LedgerUnavailable, WebhookEvent, insert
from blocks.webhook_events import Arrived
from deployments.triggers import Trigger, find

STORED, STARTED, IGNORED, FAILED = "stored", "started", "ignored", "failed"
"""The states of an event."""

NOBODY = "nothing here is interested in it: deployments/triggers.py has no line for it"

MOST_TOGETHER = 100
"""Requests that one transaction takes."""

LOOK_SECONDS = 1.0
"""How old the number of those that wait may be."""

Rows = Sequence[dict[str, Any]]


class PostboxFull(Exception):
    """The ledger is kept by others or cannot take more. The vendor keeps the event, and sends it again."""


@dataclass(frozen=True)
class Backlog:
    """What waits for its run."""

    waiting: int
    oldest: datetime | None


def rows_of(source: str, events: Sequence[Arrived], triggers: Sequence[Trigger], now: datetime) -> list[dict[str, Any]]:
    """The events as the ledger takes them. What nobody is interested in waits for nothing."""
    return [
        {
            "source": source,
            "external_id": event.external_id,
            "kind": event.kind,
            "payload": event.payload,
            "received_at": now,
            "attempts": 0,
        }
        | (
            {"state": STORED, "reason": None, "handled_at": None}
            if find(triggers, source, event.kind)
            else {"state": IGNORED, "reason": NOBODY, "handled_at": now}
        )
        for event in events
    ]


def store(ledger: Ledger, rows: Rows) -> None:
    """One insert; what was here before is left as it is.

    Raises:
        LedgerUnavailable: it is locked, full or gone. Nothing was stored.
    """
    with ledger.write() as session:
        session.execute(insert(session, WebhookEvent).on_conflict_do_nothing(), list(rows))


def backlog(ledger: Ledger) -> Backlog:
    """How many wait, and since when the oldest does."""
    waiting = sa.select(sa.func.count(), sa.func.min(WebhookEvent.received_at)).where(WebhookEvent.state == STORED)
    with ledger.read() as session:
        count, oldest = session.execute(waiting).one()
    return Backlog(count, oldest)


class Postbox:
    """Stores what requests hand in: all that came while the last transaction was under way in the next one.

    A transaction waits for the disk, so one for each request would bound how many a second can be taken; and one
    thread in the ledger keeps a locked one from taking up all the others.
    """

    def __init__(self, ledger: Ledger, patience: float) -> None:
        self._ledger, self._patience = ledger, patience
        self._waiting: list[tuple[Rows, asyncio.Future[None]]] = []
        self._handed_in = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "signoff-postbox")
        self._reader = ThreadPoolExecutor(1, "signoff-backlog")
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_SECONDS
        self._backlog: Backlog | PostboxFull = Backlog(0, None)

    def open(self) -> None:
        """Begin to store."""
        self._task = asyncio.create_task(self._empty_it())

    @property
    def is_open(self) -> bool:
        """Whether what is handed in is stored."""
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        """Store nothing more. What was handed in and not stored, nobody was told that we have."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for pool in (self._thread, self._reader):
            pool.shutdown(wait=False, cancel_futures=True)

    async def put(self, rows: Rows) -> None:
        """Return when the events are in the ledger.

        Raises:
            PostboxFull: they are not.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        self._handed_in.set()
        try:
            async with asyncio.timeout(self._patience):
                await done
        except TimeoutError:  # and the future is cancelled: what is still in the box is not stored
            raise PostboxFull(f"the ledger was busy for {self._patience:g} s") from None
        except LedgerUnavailable as error:
            raise PostboxFull(str(error)) from error

    async def backlog(self) -> Backlog:
        """What waits, as of a second ago at most.

        Raises:
            PostboxFull: the ledger cannot be read.
        """
        async with self._looking:
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._backlog = await self._look()
                self._looked_at = time.monotonic()
        if isinstance(self._backlog, PostboxFull):
            raise self._backlog
        return self._backlog

    async def _look(self) -> Backlog | PostboxFull:
        looking = asyncio.get_running_loop().run_in_executor(self._reader, backlog, self._ledger)
        try:
            async with asyncio.timeout(self._patience):
                return await looking
        except TimeoutError:
            return PostboxFull(f"the ledger could not be read within {self._patience:g} s")
        except LedgerUnavailable as error:
            return PostboxFull(str(error))

    async def _empty_it(self) -> None:
        while True:
            await self._handed_in.wait()
            self._handed_in.clear()
            while self._waiting:
                batch = self._next()
                if not await self._store(batch):
                    # One of them is something that the database does not take: the others must not suffer for it.
                    for one in batch:
                        await self._store([one])

    def _next(self) -> list[tuple[Rows, asyncio.Future[None]]]:
        taken, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        return [(rows, done) for rows, done in taken if not done.done()]

    async def _store(self, batch: Sequence[tuple[Rows, asyncio.Future[None]]]) -> bool:
        """Whether all of them have their answer now."""
        if not batch:
            return True
        try:
            rows = [row for some, _ in batch for row in some]
            await asyncio.get_running_loop().run_in_executor(self._thread, store, self._ledger, rows)
        except LedgerUnavailable as error:
            _answer(batch, error)
        except Exception as error:  # noqa: BLE001 - the box outlives it, and these vendors keep what they have
            if len(batch) > 1:
                return False
            # By its name only: what SQLAlchemy says holds the event.
            logging.getLogger(__name__).warning("an event could not be stored: %s", type(error).__name__)
            _answer(batch, LedgerUnavailable(f"the ledger does not take it ({type(error).__name__})"))
        else:
            _answer(batch, None)
        return True


def _answer(batch: Sequence[tuple[Rows, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in batch:
        if done.done():  # its request has given up
            continue
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)

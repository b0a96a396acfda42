"""Asking a model about many cases: within a dollar limit, several at once, and nothing that was paid for is lost."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeVar, runtime_checkable

from blocks.anthropic_batches import BATCH_PRICE
from blocks.models import Model, Reply, Request
from blocks.vendor import VendorError
from tasks import verb

T = TypeVar("T")

NEIGHBOURS = 20
"""Requests of like length that are priced as one."""

TOGETHER = 50
"""Requests that a model which can answers together, so that progress shows and little is lost with the process."""

GROUP_SECONDS = 0.05
"""How long answers wait for others to be written with them: a transaction each would cost more than the answer. A
process that is killed loses these, and the calls that are under way."""

Wanted = Mapping[str, tuple[Request, Decimal]]
"""What is to be asked, by the key of the case, and the most US dollars that it can cost."""

Came = Sequence[tuple[str, Reply]]
"""Answers with the keys of their cases."""

Keep = Callable[[Came], None]
"""Writes answers down, in one transaction."""


@runtime_checkable
class Together(Protocol):
    """A model that answers many requests faster than one by one."""

    def ask_many(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each as `ask` does, in order."""


@runtime_checkable
class Batches(Protocol):
    """A model that answers within a day at `BATCH_PRICE` of the price, such as Claude."""

    def submit_batch(self, requests: Mapping[str, Request]) -> str:
        """Hand requests in, by custom id; returns the batch's id."""

    def batch_results(self, batch_id: str) -> dict[str, Reply | VendorError] | None:
        """What became of each request, by custom id; None while it is being worked on."""


class OverLimit(Exception):
    """The next call was not made, because at worst it would have gone over the limit."""


class CallFailed(Exception):
    """A call failed for good. Where it is about one case, `key` is the case's."""

    def __init__(self, error: VendorError, key: str | None = None) -> None:
        super().__init__(str(error))
        self.error, self.key = error, key


class Purse:
    """The dollars of one evaluation. Every call is set aside at its worst before it is made. Shared between threads."""

    def __init__(self, limit: Decimal, spent: Decimal = Decimal(0)) -> None:
        self.limit, self.spent = limit, spent
        self.refused = False
        """Whether a call did not fit any more."""
        self.closed = threading.Event()
        """Set when no further call is to be begun."""
        self._aside = Decimal(0)
        self._calls = 0
        self._changed = threading.Condition()

    def take(self, worst: Decimal) -> bool:
        """Set `worst` dollars aside; False when they do not fit, whatever the calls under way turn out to cost."""
        with self._changed:
            # A call costs far less than its worst: once those under way are settled, this one may fit.
            self._changed.wait_for(lambda: self.closed.is_set() or self._fits(worst) or not self._calls)
            if self.closed.is_set():
                return False
            if not self._fits(worst):
                self.refused = True
                self.close()
                return False
            self._aside, self._calls = self._aside + worst, self._calls + 1
            return True

    def settle(self, worst: Decimal, paid: Decimal) -> None:
        """A call for which `worst` was set aside has ended, and cost `paid`."""
        with self._changed:
            self._aside, self._calls, self.spent = self._aside - worst, self._calls - 1, self.spent + paid
            self._changed.notify_all()

    def close(self) -> None:
        """Let no further call begin, and wake those that wait to."""
        with self._changed:
            self.closed.set()
            self._changed.notify_all()

    def _fits(self, worst: Decimal) -> bool:
        return self.spent + self._aside + worst <= self.limit


@dataclass(frozen=True)
class Line:
    """What is to be asked, of whom, out of which purse, and where the answers go."""

    model: Model
    wanted: Wanted
    purse: Purse
    keep: Keep
    look: Callable[[], None]
    """Called each time that something was kept."""

    def ask(self) -> None:
        """Ask everything; what has come is kept, however it ends.

        Raises:
            OverLimit: not all of it fits into the purse.
            CallFailed: a call failed for good, or as often as it is tried.
        """
        if not self.wanted:
            return
        if isinstance(self.model, Together):
            self._ask_together(self.model)
        else:
            self._ask_each()
        if self.purse.refused:
            raise OverLimit

    def _ask_together(self, model: Together) -> None:
        for group in grouped(list(self.wanted), TOGETHER):
            requests = [self.wanted[key][0] for key in group]
            worst = sum((self.wanted[key][1] for key in group), Decimal(0))
            if not self.purse.take(worst):
                return
            try:
                replies = model.ask_many(requests)
            except VendorError as error:
                self.purse.settle(worst, worst if error.unknown else Decimal(0))
                raise CallFailed(error) from error
            self.purse.settle(worst, sum((reply.cost for reply in replies), Decimal(0)))
            self.keep(list(zip(group, replies, strict=True)))
            self.look()

    def _ask_each(self) -> None:
        todo, came = deque(self.wanted), deque[tuple[str, Reply]]()
        workers = min(verb.WORKERS, len(todo))
        try:
            with ThreadPoolExecutor(workers, thread_name_prefix="signoff-eval") as pool:
                futures = [pool.submit(copy_context().run, self._work, todo, came) for _ in range(workers)]
                try:
                    while wait(futures, timeout=GROUP_SECONDS).not_done:
                        if self._write(came):
                            self.look()
                finally:
                    self.purse.close()  # after Ctrl-C, say: those under way are waited for, and no other is begun
        finally:
            self._write(came)
        self.look()
        for error in filter(None, (future.exception() for future in futures)):
            raise error

    def _write(self, came: deque[tuple[str, Reply]]) -> bool:
        """Keep what has come; False when nothing has."""
        if group := list(came):
            self.keep(group)
            for _ in group:  # only now: what could not be written is tried once more at the end
                came.popleft()
        return bool(group)

    def _work(self, todo: deque[str], came: deque[tuple[str, Reply]]) -> None:
        """One of the workers: the next case, until there is none, the purse is empty, or a call has failed for good."""
        try:
            while (key := _next(todo)) and (reply := self._patiently(key)):
                came.append((key, reply))
        except BaseException:
            self.purse.close()
            raise

    def _patiently(self, key: str) -> Reply | None:
        """Ask about one case, and again after a failure that may pass; None when no further call is to be made."""
        backoffs = iter(verb.BACKOFF_SECONDS)
        while True:
            try:
                return self._once(*self.wanted[key])
            except VendorError as error:
                pause = pause_after(error, next(backoffs, None))
                if pause is None:
                    raise CallFailed(error, key) from error
            if self.purse.closed.wait(pause):
                return None

    def _once(self, request: Request, worst: Decimal) -> Reply | None:
        if not self.purse.take(worst):
            return None
        paid = worst  # a reply that was lost may have been paid for
        try:
            reply = self.model.ask(request)
            paid = reply.cost
        except VendorError as error:
            paid = worst if error.unknown else Decimal(0)
            raise
        finally:
            self.purse.settle(worst, paid)
        return reply


def priced(model: Model, requests: Mapping[str, tuple[Request, int]]) -> Wanted:
    """What each request can cost at worst.

    Neighbours in length cost what the longest of them does: to price each by itself takes as long as a tenth of the
    call. It is never too little, since a model is paid by length.

    Args:
        model: whose prices they are.
        requests: of one prompt, each with its length in bytes.
    """
    wanted: dict[str, tuple[Request, Decimal]] = {}
    for group in grouped(sorted(requests, key=lambda key: requests[key][1]), NEIGHBOURS):
        worst = model.worst_cost(requests[group[-1]][0])
        wanted |= {key: (requests[key][0], worst) for key in group}
    return {key: wanted[key] for key in requests}


def submit(model: Batches, wanted: Wanted, purse: Purse) -> str:
    """Hand in a batch of everything; returns its id.

    Raises:
        OverLimit: at worst it would go over the limit; nothing was handed in.
        CallFailed: it was refused, or the reply was lost.
    """
    worst = sum((cost for _, cost in wanted.values()), Decimal(0)) * BATCH_PRICE
    if not purse.take(worst):
        raise OverLimit
    paid = Decimal(0)  # what it costs is known when it has ended
    try:
        return model.submit_batch({key: request for key, (request, _) in wanted.items()})
    except VendorError as error:
        paid = worst if error.unknown else paid
        raise CallFailed(error) from error
    finally:
        purse.settle(worst, paid)


def results(
    model: Batches, batch_id: str, poll_seconds: float, look: Callable[[], None]
) -> dict[str, Reply | VendorError]:
    """Wait for a batch; `look` is called each time that it is not there yet.

    Raises:
        CallFailed: the batch is gone, or cannot be looked at.
    """
    backoffs = iter(verb.BACKOFF_SECONDS)
    while True:
        try:
            found = model.batch_results(batch_id)
        except VendorError as error:
            pause = pause_after(error, next(backoffs, None))
            if pause is None:
                raise CallFailed(error) from error
        else:
            if found is not None:
                return found
            pause, backoffs = poll_seconds, iter(verb.BACKOFF_SECONDS)
        look()
        time.sleep(pause)


def pause_after(error: VendorError, backoff: float | None) -> float | None:
    """Seconds to wait before trying again; None when that cannot help, or was done often enough."""
    return None if backoff is None else verb.pause_before_retry(error, backoff)


def grouped(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _next(todo: deque[str]) -> str | None:
    try:
        return todo.popleft()
    except IndexError:
        return None

"""What makes a function a verb: a Prefect task over a batch of records, retried as `VendorError` says."""

import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import task_run
from prefect.tasks import Task
from prefect.utilities.annotations import opaque

import tasks.heartbeats  # noqa: F401 - a run ends without waiting for Prefect's
from blocks.guard import guarded_by
from blocks.ledger import Ledger, LedgerUnavailable, utcnow
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from tasks import tracing
from tasks.circuit import CircuitOpen
from tasks.discipline import discipline
from tasks.run import Run

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

BACKOFF_SECONDS = (2.0, 10.0, 30.0)
LONGEST_WAIT_SECONDS = 300.0
"""A vendor that asks for a longer wait than this is left to the next run."""

WORKERS = 8
"""Calls in flight at once within a batch: under every vendor's own limit, and enough to hide their latency."""


TOGETHER_SECONDS = 0.03
"""What becomes ready within this time is written in one transaction; a crash costs at most these answers."""


def verb(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a Prefect task that is retried when its `VendorError` says that this can help.

    Nothing is cached: the ledger knows which records of a batch are done, and a retry takes up the others.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        base: Task[P, R] = Task(
            _disciplined(tracing.verb(name, function)),
            name=name,
            retries=len(BACKOFF_SECONDS),
            cache_policy=NO_CACHE,
            persist_result=False,
        )

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            until = next((arg.deadline for arg in args if isinstance(arg, Run)), None)
            # A copy for each call: the wait that the vendor asks for is written into the task.
            once = base.with_options(retry_condition_fn=_waits_as_asked(until))
            # Opaque: Prefect would walk through all that a run holds, several times a task, for results of other tasks.
            whole = [opaque(arg) for arg in args]
            return once(*whole, **{name: opaque(arg) for name, arg in kwargs.items()})  # type: ignore[arg-type]

        return call

    return decorate


def _disciplined(function: Callable[P, R]) -> Callable[P, R]:
    """The function with the discipline of its ledger around every request that it makes to a vendor."""

    @functools.wraps(function)
    def watched(*args: P.args, **kwargs: P.kwargs) -> R:
        stores = (arg.ledger if isinstance(arg, Run) else arg for arg in args)
        store = next((store for store in stores if isinstance(store, Ledger)), None)
        with guarded_by(discipline(store)) if store else nullcontext():
            return function(*args, **kwargs)

    return watched


def _waits_as_asked(deadline: datetime | None) -> Callable[[Task[..., Any], TaskRun, State[Any]], bool]:
    # A function, not a `partial`: Prefect takes anything else for a plain value, and never retries.
    def wait_as_asked(this: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
        error = state.data
        if isinstance(error, LedgerUnavailable):  # nothing half-written: what was not committed is done again
            this.retry_delay_seconds = [BACKOFF_SECONDS[min(run.run_count, len(BACKOFF_SECONDS)) - 1]]
            return True
        if not isinstance(error, VendorError):
            return False
        wait = pause_before_retry(error, BACKOFF_SECONDS[min(run.run_count, len(BACKOFF_SECONDS)) - 1], deadline)
        if wait is None:
            return False
        this.retry_delay_seconds = [wait]
        return True

    return wait_as_asked


def pause_before_retry(error: VendorError, backoff: float, deadline: datetime | None = None) -> float | None:
    """Seconds to wait before trying again, at least `backoff`; None when that cannot help, or not before `deadline`."""
    # An open circuit is no matter of seconds: the run ends and says so, and the next one looks again.
    if error.permanent or isinstance(error, CircuitOpen):
        return None
    wait = max(backoff, error.retry_after or 0.0)
    in_time = deadline is None or utcnow() + timedelta(seconds=wait) < deadline
    return wait if wait <= LONGEST_WAIT_SECONDS and in_time else None


def last_attempt() -> bool:
    """Whether this task run has no retry left (also outside a task run, where nothing retries)."""
    count = task_run.run_count
    return not count or int(count) > len(BACKOFF_SECONDS)


def concurrently(
    function: Callable[[T], R], items: Sequence[T], workers: int = WORKERS
) -> Iterator[tuple[T, R | VendorError]]:
    """Call `function` on each item, several at once; yield each item with its result, or the `VendorError` it raised.

    Any other exception is a bug: it is raised as soon as it is seen, and the items not yet begun are not begun.
    """
    for group in as_they_come(function, items, workers):
        yield from group


def as_they_come(
    function: Callable[[T], R], items: Sequence[T], workers: int = WORKERS
) -> Iterator[list[tuple[T, R | VendorError]]]:
    """The same, but all that is ready at a time comes together, so that it can be written in one transaction."""
    if len(items) == 1:  # a thread for it would cost more than many a call
        yield [(items[0], _here(function, items[0]))]
        return
    with ThreadPoolExecutor(max_workers=max(1, min(workers, len(items)))) as pool:
        pending = {pool.submit(contextvars.copy_context().run, function, item): item for item in items}
        try:
            while pending:
                wait(pending, return_when=FIRST_COMPLETED)
                # A moment longer, for those that are nearly ready: the others' calls go on meanwhile.
                ready, _ = wait(pending, timeout=TOGETHER_SECONDS)
                yield [(pending.pop(future), _result(future)) for future in ready]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _here(function: Callable[[T], R], item: T) -> R | VendorError:
    try:
        return function(item)
    except VendorError as error:
        return error


def _result(future: Future[Any]) -> Any:
    error = future.exception()
    return error if isinstance(error, VendorError) else future.result()


ACCOUNT = frozenset({401, 402, 403})
"""The refusals that are about the account: every other call would meet them too."""


def raise_if_worth_retrying(errors: Sequence[VendorError], succeeded: int) -> None:
    """After a batch: raise what Prefect should retry, or what stops the run; else the failed records wait their turn.

    A permanent error that is about the account (401, 402, 403), or a reply that has changed its shape, would fail every
    other record too, so it is raised at once. On the last attempt a batch with some successes goes on without its
    failures: one bad record never fails its batch.
    """
    if not errors:
        return
    everybodys = next((e for e in errors if e.permanent and (e.status in ACCOUNT or isinstance(e, SchemaDrift))), None)
    if everybodys:
        raise everybodys
    if paused := next((e for e in errors if isinstance(e, CircuitOpen)), None):
        raise paused
    retryable = [e for e in errors if not e.permanent]
    if retryable and not (last_attempt() and succeeded):
        raise max(retryable, key=lambda e: e.retry_after or 0.0)

"""What stands between us and a vendor: a guard decides when a request is sent, and hears how it went.

The blocks know only this; pace and circuit breaker are in `tasks/discipline.py`. Without a guard, requests just pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from blocks.vendor import VendorError


class Guard(Protocol):
    """Asked before each request, told after it."""

    def before(self, vendor: str, units: int) -> None:
        """Wait until the request may be sent.

        Args:
            vendor: as in `VendorError.vendor`.
            units: what the request counts for in the vendor's own quota.

        Raises:
            VendorError: the vendor is left alone for now; nothing was sent.
        """

    def after(self, vendor: str, error: VendorError | None) -> None:
        """Hear how the request went; None is a success."""


_GUARD: ContextVar[Guard | None] = ContextVar("signoff_guard", default=None)


@contextmanager
def guarded_by(guard: Guard) -> Iterator[None]:
    """Let `guard` watch every request that is made in the block, also by threads that copy its context."""
    token = _GUARD.set(guard)
    try:
        yield
    finally:
        _GUARD.reset(token)


@contextmanager
def request(vendor: str, units: int = 1) -> Iterator[None]:
    """One request to a vendor, which is made in the block and fails with a `VendorError` or not at all."""
    guard = _GUARD.get()
    if guard is None:
        yield
        return
    guard.before(vendor, units)
    try:
        yield
    except VendorError as error:
        guard.after(vendor, error)
        raise
    except BaseException:  # our own fault, after the vendor had answered
        guard.after(vendor, None)
        raise
    guard.after(vendor, None)

"""The pace at which each vendor may be asked, by all workers together: a Prefect global concurrency limit each.

They are made by `signoff up` with the vendors' published quotas, and can be changed under Concurrency in the Prefect UI
to those of one's own plan. A vendor without one is not held back by us.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import NamedTuple

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import rate_limit
from prefect.exceptions import ObjectNotFound

from blocks.vendor import VendorError


class Quota(NamedTuple):
    """How much a vendor allows: `burst` units at once, and `per_second` in the long run."""

    burst: int
    per_second: float
    lease: int
    """Units that a process takes from the common limit at a time, so that not every request costs one to the server."""


QUOTAS = {
    "gmail": Quota(burst=6000, per_second=100, lease=100),  # 6,000 quota units a minute and user
    "hubspot": Quota(burst=100, per_second=10, lease=10),  # 100 requests in 10 s; 190 on Professional and up
    "slack": Quota(burst=3, per_second=1, lease=1),  # one message a second and channel, short bursts allowed
    "claude": Quota(burst=100, per_second=16, lease=5),  # 1,000 requests a minute; the vendor's own 429s say the rest
    "stripe": Quota(burst=25, per_second=20, lease=5),  # 25 requests a second in test mode, 100 in live mode
    "notion": Quota(burst=9, per_second=3, lease=3),  # 3 requests a second and integration on average, bursts allowed
    "drive": Quota(burst=325_000, per_second=5_400, lease=5_000),  # 325,000 quota units a minute and user
}

FRESH_SECONDS = 10.0
"""Leased units that were not used by then are forgotten: they belong to a rate, not to us."""

LOOK_SECONDS = 60.0
"""How often a process looks whether a vendor has a limit."""

PATIENCE_SECONDS = 300.0


def limit_name(vendor: str) -> str:
    """The name of a vendor's limit in Prefect."""
    return f"signoff-{vendor}"


class Pace:
    """One process's share of one vendor's limit. Shared between threads, which queue here rather than at the server."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor
        self._turn = threading.Lock()
        self._left = 0
        self._leased_at = 0.0
        self._looked_at: float | None = None
        self._limit: int | None = None
        """The most units that may be asked for at once; None without a limit."""

    def take(self, units: int) -> None:
        """Wait until `units` may be used.

        Raises:
            VendorError: not within `PATIENCE_SECONDS`.
        """
        with self._turn:
            now = time.monotonic()
            if now - self._leased_at > FRESH_SECONDS:
                self._left = 0
            if self._left < units:
                self._lease(units)
            self._left = max(0, self._left - units)

    def _lease(self, units: int) -> None:
        try:
            limit = self._look()
            if limit is None:
                return
            wanted = min(limit, max(units, QUOTAS[self._vendor].lease))
            rate_limit(limit_name(self._vendor), occupy=wanted, timeout_seconds=PATIENCE_SECONDS)
        except TimeoutError:
            reason = f"no room within {PATIENCE_SECONDS:.0f} s under the limit {limit_name(self._vendor)} in Prefect"
            raise VendorError(self._vendor, "wait for its rate limit", reason, permanent=False) from None
        except Exception:  # whatever Prefect raises: a limit that cannot be asked must not stop the work
            logging.getLogger(__name__).warning("%s goes unpaced for now", self._vendor, exc_info=True)
            self._limit, self._looked_at = None, time.monotonic()
            return
        self._left, self._leased_at = self._left + wanted, time.monotonic()

    def _look(self) -> int | None:
        if self._looked_at is None or time.monotonic() - self._looked_at > LOOK_SECONDS:
            with get_client(sync_client=True) as client:
                try:
                    found = client.read_global_concurrency_limit_by_name(limit_name(self._vendor))
                    self._limit = found.limit if found.active and found.slot_decay_per_second else None
                except ObjectNotFound:
                    self._limit = None
            self._looked_at = time.monotonic()
        return self._limit

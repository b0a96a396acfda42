"""Vendor discipline in one place: what happens around every request that a verb makes to a vendor."""

from __future__ import annotations

from functools import cache

from blocks.ledger import Ledger
from blocks.vendor import VendorError
from tasks.circuit import Breaker
from tasks.pace import QUOTAS, Pace


class Discipline:
    """The guard of every verb: first the circuit, then the pace; afterwards the circuit hears how it went."""

    def __init__(self, store: Ledger) -> None:
        self._breaker = Breaker(store)
        self._paces = {vendor: Pace(vendor) for vendor in QUOTAS}

    def before(self, vendor: str, units: int) -> None:
        """Wait for room under the vendor's rate limit.

        Raises:
            VendorError: the vendor is left alone (`CircuitOpen`), or there was no room for minutes. Nothing was sent.
        """
        self._breaker.check(vendor)
        if pace := self._paces.get(vendor):
            try:
                pace.take(units)
            except VendorError:
                self._breaker.gave_up(vendor)
                raise

    def after(self, vendor: str, error: VendorError | None) -> None:
        """Take in how the request went."""
        self._breaker.heard(vendor, error)


@cache
def discipline(store: Ledger) -> Discipline:
    """The process's guard over a ledger: circuits and leases are shared by all its verbs."""
    return Discipline(store)

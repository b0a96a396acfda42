"""The spending limits of one run, checked before each call."""

import threading
from decimal import Decimal


class BudgetExceeded(Exception):
    """A call was not made because it could have gone over a limit.

    Attributes:
        kind: which limit, `usd_per_run` or `usd_per_month`.
        value: US dollars that would have been spent at worst.
        limit: the limit in US dollars.
    """

    def __init__(self, kind: str, value: Decimal, limit: Decimal) -> None:
        super().__init__(f"{kind} is ${limit:.4f}, and the next call could bring it to ${value:.4f}")
        self.kind = kind
        self.value = value
        self.limit = limit


class Budget:
    """Dollars reserved and spent. Shared between threads: a reservation counts until it is settled."""

    def __init__(self, per_run: Decimal, per_month: Decimal, spent_this_month: Decimal = Decimal(0)) -> None:
        self.spent = Decimal(0)
        self._limits = (("usd_per_run", Decimal(0), per_run), ("usd_per_month", spent_this_month, per_month))
        self._reserved = Decimal(0)
        self._settled = threading.Condition()

    def reserve(self, worst: Decimal) -> None:
        """Set aside the most that a call can cost, in US dollars.

        Waits while only other calls' reservations are in the way: they mostly cost less than was set aside.

        Raises:
            BudgetExceeded: it does not fit; nothing was set aside.
        """
        with self._settled:
            while (exceeded := self._exceeded(worst)) and self._reserved:
                self._settled.wait()
            if exceeded:
                raise exceeded
            self._reserved += worst

    def settle(self, worst: Decimal, cost: Decimal) -> None:
        """Replace a reservation by what the call did cost, in US dollars."""
        with self._settled:
            self._reserved -= worst
            self.spent += cost
            self._settled.notify_all()

    def _exceeded(self, worst: Decimal) -> BudgetExceeded | None:
        for kind, before, limit in self._limits:
            value = before + self.spent + self._reserved + worst
            if value > limit:
                return BudgetExceeded(kind, value, limit)
        return None

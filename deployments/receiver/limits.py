"""What strangers may cost: everything that anybody on the network can make the receiver do has a bound."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Limits:
    """The bounds. The defaults are far above what vendors send to a team of ten, and small on any machine."""

    body: int = 1024 * 1024
    """Bytes of a request's body. HubSpot sends 100 events at most, Stripe's largest are under 100 KB."""
    body_seconds: float = 10.0
    """How long a body may take to come."""
    head: int = 16 * 1024
    """Bytes of a request's line and headers."""
    head_seconds: float = 10.0
    """How long they may take to come."""
    headers: int = 64
    at_once: int = 64
    """Requests in work: all that they say is here."""
    bodies: int = 256
    """Requests whose body is still on its way ..."""
    bodies_of_one: int = 32
    """... and how many of them may be one address's. Vendors' bodies come along with their heads."""
    connections: int = 512
    per_second: float = 50.0
    """Signed requests of one source, in the long run ..."""
    burst: int = 250
    """... and how many may come at once."""
    backlog: int = 10_000
    """Events that wait for their run. Beyond it vendors keep what they have, and send it again."""
    store_seconds: float = 2.5
    """How long a request may wait for the ledger: Slack gives up after three seconds."""
    failures: int = 20
    """Bad signatures of one address in `failure_seconds`, before further ones are neither logged nor told to be bad. A
    good one is taken from anywhere."""
    failure_seconds: float = 60.0


class Turns:
    """How many requests are in work, and of how many the body is on its way.

    These are counted apart, so that connections that say nothing take no place from those that have said all.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.working = 0
        self.coming: Counter[str] = Counter()

    @contextmanager
    def turn(self, address: str) -> Iterator[Turn]:
        """One request, for the length of the block."""
        turn = Turn(self, self._limits, _network(address))
        try:
            yield turn
        finally:
            turn.end()


class Turn:
    """One request: at first its body may be on its way, then it is in work."""

    def __init__(self, turns: Turns, limits: Limits, network: str | None) -> None:
        self._turns, self._limits = turns, limits
        self._of, self._from_elsewhere = network or "", network is not None
        self._is_coming = self._is_in_work = False

    def wait(self) -> bool:
        """Whether there is room for one more whose body is on its way."""
        coming = self._turns.coming
        # A proxy on this machine that does not say for whom it calls has everybody behind it.
        if coming.total() >= self._limits.bodies or (
            self._from_elsewhere and coming[self._of] >= self._limits.bodies_of_one
        ):
            return False
        coming[self._of] += 1
        self._is_coming = True
        return True

    def work(self) -> bool:
        """Whether there is room for one more in work. Its body is here: that has no place of its own any more."""
        self._has_come()
        if not self._is_in_work:
            if self._turns.working >= self._limits.at_once:
                return False
            self._turns.working += 1
            self._is_in_work = True
        return True

    def end(self) -> None:
        """Give its place to others."""
        self._has_come()
        self._turns.working -= self._is_in_work
        self._is_in_work = False

    def _has_come(self) -> None:
        if self._is_coming:
            self._is_coming = False
            self._turns.coming[self._of] -= 1
            if not self._turns.coming[self._of]:
                del self._turns.coming[self._of]


class Rate:
    """A token bucket for each source."""

    def __init__(self, per_second: float, burst: int, clock: Clock = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left: dict[str, tuple[float, float]] = {}

    def wait(self, source: str) -> float:
        """Take one token; seconds until there is another when there is none, else 0.

        Only configured sources are asked for, so the table stays as small as their number.
        """
        now = self._clock()
        left, at = self._left.get(source, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_second)
        if left < 1:
            self._left[source] = left, now
            return (1 - left) / self._per_second
        self._left[source] = left - 1, now
        return 0.0


class Failures:
    """Who has failed lately. The longest ago are forgotten when there are too many of them.

    Args:
        most: so many failures of one in `seconds`, and they wait until the first of those is as old.
        seconds: how long one counts.
        clock: in seconds.
    """

    MOST = 10_000

    def __init__(self, most: int, seconds: float, clock: Clock = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, who: str) -> None:
        """One more."""
        self._seen.setdefault(who, deque(maxlen=self._most)).append(self._clock())
        self._seen.move_to_end(who)
        if len(self._seen) > self.MOST:
            self._seen.popitem(last=False)

    def wait(self, who: str) -> float:
        """Seconds until they may try again; 0 when they may now."""
        seen = self._seen.get(who)
        if not seen or len(seen) < self._most:
            return 0.0
        return max(0.0, seen[0] + self._seconds - self._clock())


class Suspects(Failures):
    """Addresses whose signatures were bad lately."""

    def __init__(self, failures: int, seconds: float, clock: Clock = time.monotonic) -> None:
        super().__init__(failures, seconds, clock)
        self.total = 0
        """Bad signatures since the start."""

    def add(self, who: str) -> None:
        """One more bad signature from an address."""
        self.total += 1
        if network := _network(who):
            super().add(network)

    def wait(self, who: str) -> float:
        """Seconds until that address is listened to again; 0 when it is."""
        return super().wait(_network(who) or "")


def customer(address: str) -> str:
    """An address; of version 6 the network that one customer has. What is no address stays as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and not found.is_loopback:
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


def _network(address: str) -> str | None:
    """Whose an address is, as `customer` says; None for this machine itself.

    A proxy on this machine that does not say for whom it calls has the vendors behind it as well: they would not be
    listened to because of others.
    """
    of = customer(address)
    try:
        return of if not ipaddress.ip_network(of).is_loopback else None
    except ValueError:
        return None

"""What strangers may cost: everything that anybody on the network can make the receiver do has a bound."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
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
    """Requests in work."""
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
    """Bad signatures of one address in `failure_seconds`, before it is not listened to for the rest of them."""
    failure_seconds: float = 60.0


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


def _network(address: str) -> str | None:
    """An address; of version 6 the network that one customer has; None for this machine itself.

    A proxy on this machine that does not say for whom it calls has the vendors behind it as well: they would not be
    listened to because of others.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            found = found.ipv4_mapped
        elif not found.is_loopback:
            return str(ipaddress.ip_network((int(found), 64), strict=False))
    return None if found.is_loopback else str(found)

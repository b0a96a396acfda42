"""The faults of the matrix: every one that the sandbox offers, and how each is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args

from sandbox.faults import HOME, Kind

FOR_EVER = 600.0
NONE = "none"


@dataclass(frozen=True, eq=False)
class Fault:
    """One way in which a vendor can fail us."""

    name: str
    kind: Kind | None
    settings: dict[str, Any] = field(default_factory=dict)
    lasting: bool = False
    """Not an outage but how the vendor is: it goes on to the end, and every attempt has to live with it."""

    @property
    def final(self) -> bool:
        """Whether it is a no for good: a person is told, and it is not tried again."""
        return self.kind in ("bad_request", "refusal")

    def strikes(self, vendor: str) -> bool:
        """Whether it can happen at this vendor."""
        return self.kind is None or HOME.get(self.kind, (vendor,))[0] == vendor

    @property
    def at_home(self) -> bool:
        """Whether it belongs to certain calls, rather than to any."""
        return self.kind in HOME


VARIANTS: dict[str, list[Fault]] = {
    "hang": [
        Fault("hang", "hang", {"seconds": FOR_EVER}),
        Fault("hang, done", "hang", {"seconds": FOR_EVER, "commit": True}),
    ],
    "rate_limited": [
        Fault("rate limited", "rate_limited"),
        Fault("rate limited, wait", "rate_limited", {"retry_after": 30}),
    ],
    "message_id_rewrite": [Fault("message id rewrite", "message_id_rewrite", {"times": None}, lasting=True)],
    "search_lag": [Fault("search lag", "search_lag", {"times": None, "seconds": 3600}, lasting=True)],
    "renamed_field": [Fault("renamed field", "renamed_field", {"rename": {"id": "identifier"}})],
}
"""Faults with settings; any other, also one that the sandbox learns later, is asked for as it is."""

NO_FAULT = Fault(NONE, None)


@cache
def every_fault() -> list[Fault]:
    """All of them, and the fair-weather case first."""
    faults = [NO_FAULT]
    for kind in get_args(Kind):
        faults += VARIANTS.get(kind, [Fault(kind.replace("_", " "), kind)])
    return faults

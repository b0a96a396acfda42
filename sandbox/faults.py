"""Faults on request: which call goes wrong, how, and how often."""

from __future__ import annotations

import time
from fnmatch import fnmatch
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "reply_lost",
    "reset",
    "hang",
    "rate_limited",
    "bad_gateway",
    "overloaded",
    "server_error",
    "unauthorized",
    "bad_request",
    "leaky_error",
    "invalid_grant",
    "history_expired",
    "message_id_rewrite",
    "topic_forbidden",
    "search_lag",
    "renamed_field",
    "prose",
    "truncated_json",
    "refusal",
]
Vendor = Literal["google", "hubspot", "slack", "anthropic", "stripe", "notion"]

HOME: dict[str, tuple[Vendor, str]] = {
    "invalid_grant": ("google", "*/token"),
    "history_expired": ("google", "*/history"),
    "message_id_rewrite": ("google", "*/send"),
    "topic_forbidden": ("google", "*/watch"),
    "search_lag": ("hubspot", "*/search"),
    "prose": ("anthropic", "*/v1/messages"),
    "truncated_json": ("anthropic", "*/v1/messages"),
    "refusal": ("anthropic", "*/v1/messages"),
}
"""Faults that make sense in one place only go there unless told otherwise."""


class Fault(BaseModel):
    """One fault: `times` calls that match, after `after` matching calls went well."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    vendor: Vendor | None = None
    path: str = Field("", description="Part of the path, or a pattern with *")
    method: str | None = None
    times: int | None = Field(1, description="None means until it is deleted")
    after: int = 0
    seconds: float = Field(0, description="How long to hang, or how far the search index lags")
    commit: bool = Field(
        False, description="For hang: do the work first, then withhold the reply; for Stripe's server_error: keep it"
    )
    retry_after: float | None = None
    status: int = Field(401, description="For leaky_error: the refusal's status")
    body: str = Field("", description="Part of the request's body")
    rename: dict[str, str] = Field(
        default_factory=dict, description="For renamed_field: old key -> new key; an empty one leaves the field out"
    )
    values: dict[str, Any] = Field(default_factory=dict, description="For renamed_field: key -> what it holds instead")

    id: int = 0
    seen: int = 0
    fired: int = 0
    since: float = Field(default_factory=time.time)

    def model_post_init(self, _context: object) -> None:
        """Send a fault that has a natural place there."""
        vendor, path = HOME.get(self.kind, (None, ""))
        self.vendor = self.vendor or vendor
        self.path = self.path or path

    def matches(self, vendor: str, method: str, path: str, body: str = "") -> bool:
        """Say whether this call is one that the fault is about."""
        here = fnmatch(path, self.path) if "*" in self.path else self.path in path
        about = here and self.vendor in (None, vendor) and (self.method or method).upper() == method
        return about and self.body in body

    def due(self) -> bool:
        """Count a matching call, and say whether it goes wrong."""
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True


class FaultBook:
    """The faults that were asked for, oldest first."""

    def __init__(self) -> None:
        """Start with none."""
        self.faults: list[Fault] = []
        self._made = 0

    def add(self, fault: Fault) -> Fault:
        """Book a fault and give it a number."""
        self._made += 1
        fault.id, fault.since = self._made, time.time()
        self.faults.append(fault)
        return fault

    def remove(self, number: int | None = None) -> None:
        """Forget one fault, or all of them."""
        self.faults = [fault for fault in self.faults if number is not None and fault.id != number]

    @property
    def reads_bodies(self) -> bool:
        """Say whether any fault looks at what is sent."""
        return any(fault.body for fault in self.faults)

    def take(self, vendor: str, method: str, path: str, body: str = "") -> Fault | None:
        """Return the fault that strikes this call, if any."""
        for fault in self.faults:
            if fault.matches(vendor, method, path, body) and fault.due():
                return fault
        return None

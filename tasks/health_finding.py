"""What a health check finds, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from blocks.ledger import Alert, Ledger
from tasks.card import Card

EASE = 0.8
"""A value that can go up and down around its limit is over only under so much of it: an alert must not flap."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    key: str
    """The alert's key. It begins with the name of the check that finds it: `disk:free:/srv`."""
    message: str
    """For a person: what is wrong, and the way out. Nothing personal."""
    workflow: str | None = None
    may_pass: bool = False
    """It may be over in a minute by itself, so it is told only when two looks in a row have met it."""


@dataclass(frozen=True)
class Look:
    """What every check is given."""

    ledger: Ledger
    cards: Sequence[Card]
    now: datetime
    """UTC."""
    open: Mapping[str, Alert]
    """The alerts that are open, by key."""

    def eased(self, key: str, limit: float) -> float:
        """The limit, or a good deal less of it while the alert is open."""
        return limit * EASE if key in self.open else limit

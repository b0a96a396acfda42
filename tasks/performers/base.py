"""What every performer works with: the attempt, its journal, and what the vendor gave back."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class Superseded(Exception):
    """It is not wanted any more: something has happened since it was approved. The message says what."""


class NotNow(Exception):
    """It is to be done, but not yet; the message says when. The workflow's next run tries again."""


class InDoubt(Exception):
    """Nobody but a person can say whether it was done; the message holds the evidence."""


@dataclass(frozen=True)
class Done:
    """What the vendor gave back."""

    vendor: str
    external_id: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One attempt at an action: its natural key, and what earlier attempts left in the journal."""

    key: str
    progress: dict[str, Any]
    write: Callable[[dict[str, Any]], None]
    since: datetime
    """When the action was first wanted: nothing older can be its doing."""
    record_id: int | None = None
    """The ledger's record that wants it."""

    def save(self, **progress: Any) -> None:
        """Put progress into the ledger at once, before the next call to the vendor.

        Raises:
            LostClaim: this run was taken for dead, and another has the action.
        """
        self.progress.update(progress)
        self.write(self.progress)

    @property
    def marker(self) -> str:
        """The key in a form that fits into a header or a note, and tells an outsider nothing."""
        return f"signoff-{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Performer:
    """The two functions of a kind: `perform(block, action, attempt)` and `find(block, action, attempt)`."""

    perform: Callable[[Any, Any, Attempt], Done]
    find: Callable[[Any, Any, Attempt], Done | None]

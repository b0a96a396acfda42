"""What each block type declares about how its account is connected: a new one needs no code in `signoff connect`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = "SIGNOFF"


@dataclass(frozen=True)
class Standalone:
    """A block that workflows use without naming it on their cards."""

    name: str
    """What it is saved as."""
    serves: str
    """What it is for, as the end of a sentence: `traces of every run are sent there`."""


@dataclass(frozen=True)
class Connecting:
    """Where a block's values come from, and what its account must allow."""

    permissions: str
    """The least that it needs, by the vendor's own names."""
    found: str
    """Where the credential is made."""
    environment: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By field, the variables that people may have already; the first that is set counts. Two blocks that list the
    same variable want the same value, so whoever has given it for one need not type it again for the other."""
    asked: tuple[str, ...] = ()
    """Fields that have a default, and about which a person is asked all the same."""
    scopes: tuple[str, ...] = ()
    """Google's: the refresh token comes from a person's consent to these in the browser."""
    probe: Callable[[Any], object] | None = None
    """One more read, of what `check` leaves out: whether the values besides the key are right, too."""
    caution: Callable[[Any], str] | None = None
    """What is wrong with this very credential although it works, such as that it may do more than it needs; empty
    where nothing is. Its text never holds the credential."""
    standalone: Standalone | None = None


def variables(block: type, credential: str, name: str) -> tuple[str, ...]:
    """The environment variables in which a field's value is looked for, in this order.

    Every field of every block has two of ours, as `SIGNOFF_NOTION_MEETINGS_DATA_SOURCE` for one account and
    `SIGNOFF_NOTION_DATA_SOURCE` for all of its type; after them come those that the type declares.
    """
    slug, account = (part.replace("-", "_").upper() for part in credential.split("/"))
    of_ours = (f"{PREFIX}_{slug}_{account}_{name.upper()}", f"{PREFIX}_{slug}_{name.upper()}")
    return of_ours + how(block).environment.get(name, ())


def how(block: type) -> Connecting:
    """What a block type declares."""
    found: Connecting = vars(block)["connecting"]
    return found

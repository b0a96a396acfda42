"""Who may read a document, and who reads an answer. An answer quotes only what all of its readers may see.

Readers are written as Google Drive names them: `anyone`, `domain:dockwell.example`, `group:support@dockwell.example`,
`user:ann@dockwell.example`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

ANYONE = "anyone"
READER = re.compile(r"anyone|domain:[^@\s:]+|(?:user|group):[^@\s:]+@[^@\s:]+")

Readers = frozenset[str]


def readers_of(names: Iterable[str]) -> Readers:
    """The names, checked and lower-cased.

    Raises:
        ValueError: one of them is no reader.
    """
    found = frozenset(name.strip().lower() for name in names)
    for name in sorted(found):
        if not READER.fullmatch(name):
            raise ValueError(f"'{name}' is no reader; write anyone, domain:..., group:... or user:...")
    return found


STRANGERS = frozenset({ANYONE})
"""An audience of which nothing is known: it sees what anyone may see."""


def audience_of(address: str) -> Readers:
    """Whom a document may be shared with so that the owner of an e-mail address can see it; what is none is a stranger.

    Of the groups somebody is in nothing is known, so what is shared with a group only is shown to none of its members.
    """
    user = f"user:{address.strip().lower()}"
    if not READER.fullmatch(user):
        return STRANGERS
    return STRANGERS | {user, f"domain:{user.partition('@')[2]}"}


def may_see(readers: Set[str], audiences: Iterable[Set[str]]) -> bool:
    """Whether every one of the audiences may see what is shared with `readers`."""
    return all(not readers.isdisjoint(audience) for audience in audiences)

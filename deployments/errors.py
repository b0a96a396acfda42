"""What the commands themselves refuse."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CommandError(Exception):
    """A command was asked for something that cannot be done; the message says what, and what to do instead."""


class StackError(Exception):
    """A process could not be started; the message names it, the log to read and the way out."""


def unknown(what: str, name: str, there: Iterable[str]) -> CommandError:
    """That there is no `what` of that name, which one may be meant, and all that there are."""
    names = list(there)
    known = ", ".join(names) or "none"
    if close := get_close_matches(name, names, n=1):
        return CommandError(f"there is no {what} {name}; did you mean {close[0]}? There are {known}")
    return CommandError(f"there is no {what} {name}; there are {known}")

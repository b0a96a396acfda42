"""What the commands themselves refuse."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CommandError(Exception):
    """A command was asked for something that cannot be done; the message says what, and what to do instead."""


class StackError(Exception):
    """A process could not be started; the message names it, the log to read and the way out."""


def unknown(what: str, name: str, there: Iterable[str], *, where: str = "") -> CommandError:
    """That there is no `what` of that name (`where`: in which place), all that there are, and which may be meant."""
    names = list(there)
    close = get_close_matches(name, names, n=1)
    meant = f". Did you mean {close[0]}?" if close else ""
    return CommandError(f"there is no {what} {name}{where}; there are {', '.join(names) or 'none'}{meant}")

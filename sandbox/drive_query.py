"""The part of Drive's search language that the sandbox speaks. It refuses the rest rather than match nothing."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.folders import Drive, Item

Test = Callable[["Item"], bool]
TOKEN = re.compile(r"\s*(?:'((?:\\.|[^'\\])*)'|(!=|<=|>=|[=<>()])|([A-Za-z]+))")
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}
DEEPEST = 20


class NotSpoken(ValueError):
    """The query is wrong, or uses a part of the language that the sandbox does not speak."""


class NoSuchFolder(LookupError):
    """The query names a folder that is not there."""


def compile_query(query: str, drive: Drive) -> Test:
    """Return a test that an item must pass.

    Raises:
        NotSpoken: Google would not understand it either, or the sandbox does not.
        NoSuchFolder: what stands before `in parents` is not there.
    """
    if not query.strip():
        return lambda _: True
    return Parser(query, drive).whole()


def words(query: str) -> list[tuple[str, str]]:
    """Split a query into texts, symbols and words."""
    found: list[tuple[str, str]] = []
    query, at = query.rstrip(), 0
    while at < len(query):
        match = TOKEN.match(query, at)
        if not match:
            raise NotSpoken(query[at:])
        text, symbol, word = match.groups()
        found.append(("text", re.sub(r"\\(.)", r"\1", text)) if text is not None else ("word", symbol or word))
        at = match.end()
    return found


class Parser:
    """Reads `term and (term or not term)`."""

    def __init__(self, query: str, drive: Drive) -> None:
        """Start at the first word."""
        self._words, self._at, self._depth, self._drive = words(query), 0, 0, drive

    def whole(self) -> Test:
        """Return the test for all of it."""
        test = self._either()
        if self._at < len(self._words):
            raise NotSpoken(self._words[self._at][1])
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._took("or"):
            tests.append(self._both())
        return lambda item: any(test(item) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._took("and"):
            tests.append(self._one())
        return lambda item: all(test(item) for test in tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotSpoken("too deep")
        if self._took("not"):
            inner = self._one()
            test: Test = lambda item: not inner(item)  # noqa: E731
        elif self._took("("):
            test = self._either()
            self._need(")")
        else:
            test = self._term()
        self._depth -= 1
        return test

    def _term(self) -> Test:
        kind, word = self._next()
        if kind == "text":
            self._need("in")
            self._need("parents")
            folder = self._drive.find(word)
            if folder is None:
                raise NoSuchFolder(word)
            return lambda item: item.parent == folder.id
        return self._compared(word, self._next()[1], *self._next())

    def _compared(self, name: str, sign: str, kind: str, value: str) -> Test:
        match name, sign, kind:
            case "trashed", "=" | "!=", "word" if value in ("true", "false"):
                return lambda item: self._drive.in_trash(item) is ((value == "true") == (sign == "="))
            case "name", "=" | "!=", "text":
                return lambda item: (item.name.lower() == value.lower()) == (sign == "=")
            case "name", "contains", "text":  # the beginnings of words, as in Drive
                starts = re.compile(r"\b" + re.escape(value), re.IGNORECASE)
                return lambda item: bool(starts.search(item.name))
            case "mimeType", "=" | "!=", "text":
                return lambda item: (item.mime_type == value) == (sign == "=")
            case "mimeType", "contains", "text":
                return lambda item: item.mime_type.startswith(value)
            case (("modifiedTime" | "createdTime"), ("<" | "<=" | "=" | "!=" | ">" | ">="), "text"):
                then, compare = moment(value), ORDER[sign]
                return lambda item: compare(item.modified if name == "modifiedTime" else item.created, then)
        raise NotSpoken(f"{name} {sign} {value}")

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._words):
            raise NotSpoken("the end")
        self._at += 1
        return self._words[self._at - 1]

    def _took(self, word: str) -> bool:
        if self._at < len(self._words) and self._words[self._at] == ("word", word):
            self._at += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._took(word):
            raise NotSpoken(word)


def moment(text: str) -> float:
    """Read a time; without a zone it is UTC."""
    try:
        then = datetime.fromisoformat(text)
    except ValueError as error:
        raise NotSpoken(text) from error
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()

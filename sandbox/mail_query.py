"""The part of Gmail's search language that the sandbox speaks. It refuses the rest rather than match nothing."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox import mime

if TYPE_CHECKING:
    from sandbox.mailbox import Mail, Mailbox

Test = Callable[["Mail"], bool]
DAYS = {"d": 1, "m": 30, "y": 365}
OPERATOR = re.compile(r"^([a-z0-9_]+):(.+)$", re.I | re.S)
PLACES = {
    "inbox": "INBOX",
    "sent": "SENT",
    "trash": "TRASH",
    "spam": "SPAM",
    "draft": "DRAFT",
    "drafts": "DRAFT",
    "starred": "STARRED",
    "important": "IMPORTANT",
    "unread": "UNREAD",
}


class UnknownOperator(ValueError):
    """The query uses a part of the language that the sandbox does not speak."""


def compile_query(query: str, box: Mailbox) -> Test:
    """Return a test that a message must pass."""
    tests = [term(word, box) for word in words(query)]
    return lambda mail: all(test(mail) for test in tests)


def looks_everywhere(query: str) -> bool:
    """Say whether the query asks for trash and spam too."""
    return bool(re.search(r"\b(in|label|is):(anywhere|trash|spam)\b", query, re.I)) or "rfc822msgid:" in query


def words(query: str) -> list[str]:
    """Split a query on spaces outside quotes."""
    lexer = shlex.shlex(query, posix=True)
    lexer.whitespace_split, lexer.quotes, lexer.commenters, lexer.escape = True, '"', "", ""
    try:
        return list(lexer)
    except ValueError as error:
        raise UnknownOperator(f"unbalanced quotes in {query!r}") from error


def term(word: str, box: Mailbox) -> Test:
    """Return the test for one term."""
    if word.startswith("-") and len(word) > 1:
        inner = term(word[1:], box)
        return lambda mail: not inner(mail)
    if word in ("OR", "AND") or word[0] in "({":
        raise UnknownOperator(f"{word!r}: the sandbox does not speak OR and groups")
    if found := OPERATOR.match(word):
        return operator(found[1].lower(), found[2], box)
    return plain(word)


def plain(word: str) -> Test:
    """Match words anywhere a person would see them."""
    needle = word.lower()
    return lambda mail: needle in mail.searchable


def operator(name: str, value: str, box: Mailbox) -> Test:
    """Return the test for `name:value`."""
    match name:
        case "in" | "is" | "label":
            return place(value, box)
        case "from" | "to" | "cc" | "bcc" | "subject" | "deliveredto":
            return in_header(name, value)
        case "rfc822msgid":
            return lambda mail: mail.message_id == f"<{value.strip('<>')}>"
        case "after" | "newer":
            return lambda mail: mail.internal_date >= moment(value)
        case "before" | "older":
            return lambda mail: mail.internal_date < moment(value)
        case "newer_than":
            return lambda mail: mail.internal_date >= ago(value)
        case "older_than":
            return lambda mail: mail.internal_date < ago(value)
        case "has" if value == "attachment":
            return lambda mail: any(part.get_filename() for part in mime.leaves(mail.message))
        case _:
            raise UnknownOperator(f"{name}:{value}: the sandbox does not speak this operator")


def place(value: str, box: Mailbox) -> Test:
    """Match `in:`, `is:` and `label:`."""
    if value == "anywhere":
        return lambda _: True
    if value == "read":
        return lambda mail: "UNREAD" not in mail.labels
    label = PLACES.get(value.lower()) or box.label_id(value)
    return lambda mail: label in mail.labels


def in_header(name: str, value: str) -> Test:
    """Match words in one header; `to:` looks at all recipients."""
    names = {"to": ("To", "Cc", "Bcc"), "deliveredto": ("Delivered-To",)}.get(name, (name,))
    needle = value.strip("()").lower()
    return lambda mail: any(needle in mime.header(mail.message, each).lower() for each in names)


def moment(value: str) -> float:
    """Read seconds since the epoch or YYYY/MM/DD (UTC here; Gmail takes the account's zone) as milliseconds."""
    if value.isdigit() and len(value) > 4:
        return int(value) * 1000
    try:
        year, month, day = (int(piece) for piece in re.split("[/-]", value))
        return datetime(year, month, day, tzinfo=UTC).timestamp() * 1000
    except ValueError as error:
        raise UnknownOperator(f"{value!r} is not a date") from error


def ago(value: str) -> float:
    """Read `7d`, `2m` or `1y` as the moment that long ago, in milliseconds."""
    found = re.fullmatch(r"(\d+)([dmy])", value)
    if not found:
        raise UnknownOperator(f"{value!r} is not an age such as 7d")
    return (time.time() - int(found[1]) * DAYS[found[2]] * 86400) * 1000

"""Small work on plain text."""

import re


def one_line(text: str) -> str:
    """The words of a text with one space between them."""
    return " ".join(text.split())


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, cut between words where there is one."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    words = head if text[limit - 1].isspace() else head.rpartition(" ")[0]
    return (words if len(words) > limit // 2 else head).rstrip(" ,;:-–—\n") + "…"


def any_of(*patterns: str) -> re.Pattern[str]:
    """A pattern for any of these as whole words, in either case."""
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b", re.IGNORECASE)

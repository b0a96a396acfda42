"""What a Notion page is made of: texts, property values and blocks, within the limits that Notion sets a request.

Source: https://developers.notion.com/reference/request-limits
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Json = dict[str, Any]

TEXT = 2_000
"""Characters of one rich text, as JavaScript counts them: an emoji is two."""

TEXTS = 100
"""Rich texts in a row."""

BLOCK = 10 * TEXT
"""Characters that we put into one block: a hundred such blocks are easier to handle than one of two megabytes."""

BLOCKS = 100
"""Blocks that one request may add."""

BYTES = 400_000
"""Of a request's blocks. Notion takes 500 kB in all; the properties need room too."""

BULLET = re.compile(r"[-*•]\s+(.*)")
NUMBERED = re.compile(r"\d{1,3}[.)]\s+(.*)")
TO_DO = re.compile(r"[-*]\s+\[([ xX])\]\s*(.*)")
HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
RULE = re.compile(r"(?:-{3,}|\*{3,}|_{3,})")
BOLD = re.compile(r"\*\*(?=\S)([^*\n]+)(?<=\S)\*\*")

MOST = 10**15
"""Numbers from here on would lose digits: Notion keeps them as JavaScript does."""

YES, NO = ("yes", "true", "x"), ("no", "false", "")
DATE = re.compile(r"\d{4}-\d\d-\d\d")


def rich_text(text: str) -> list[Json]:
    """A text as Notion keeps it. Nothing in it is read as a mention or a link.

    Raises:
        ValueError: it is longer than a property or a block can hold.
    """
    return _runs([(text, False)])


def _runs(parts: Sequence[tuple[str, bool]]) -> list[Json]:
    runs: list[Json] = []
    for text, bold in parts:
        for piece in pieces(text, TEXT):
            run: Json = {"type": "text", "text": {"content": piece}}
            runs.append(run | ({"annotations": {"bold": True}} if bold else {}))
    if len(runs) > TEXTS:
        raise ValueError(f"is longer than the {TEXT * TEXTS:,} characters that Notion takes")
    return runs


def pieces(text: str, most: int) -> Iterator[str]:
    """The text in pieces of at most `most` characters of UTF-16, cut at a space where there is one."""
    while units(text) > most:
        end = _end(text, most)
        space = text.rfind(" ", end // 2, end)
        end = space + 1 if space >= 0 else end
        yield text[:end]
        text = text[end:]
    if text:
        yield text


def units(text: str) -> int:
    """A text's length as JavaScript, and so Notion, counts it."""
    return len(text) + sum(character > "\uffff" for character in text)


def _end(text: str, most: int) -> int:
    """How many characters of the text fit into `most` units."""
    left = most
    for index, character in enumerate(text):
        left -= 1 + (character > "\uffff")
        if left < 0:
            return index
    return len(text)


# Properties


def value(kind: str, text: str) -> Json:
    """A property's value, from its text.

    Args:
        kind: the property's type, by Notion's name.
        text: as a person writes it; empty for no value.

    Raises:
        ValueError: the text is none of that type, or nothing can be written into a property of that type.
    """
    if kind not in VALUES:
        raise ValueError(f"is of the type {kind}, into which no text can be written")
    return {kind: VALUES[kind](text.strip())}


def _number(text: str) -> int | float | None:
    if not text:
        return None
    try:
        number = Decimal(text)
        if not number.is_finite() or abs(number) >= MOST:
            raise ValueError
    except (InvalidOperation, ValueError):
        raise ValueError("takes a number, such as 1234.50") from None
    return int(number) if number == number.to_integral_value() else float(number)


def _date(text: str) -> Json | None:
    if not text:
        return None
    try:
        date.fromisoformat(text) if DATE.fullmatch(text) else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("takes a date, such as 2026-03-31") from None
    return {"start": text}


def _option(text: str) -> Json | None:
    if "," in text:
        raise ValueError("takes one option, whose name Notion allows no comma")
    return {"name": text} if text else None


def _options(text: str) -> list[Json]:
    return [{"name": name.strip()} for name in text.split(",") if name.strip()]


def _checkbox(text: str) -> bool:
    if text.lower() not in YES + NO:
        raise ValueError("takes yes or no")
    return text.lower() in YES


def _plain(text: str) -> str | None:
    return text or None


VALUES: Mapping[str, Callable[[str], Any]] = {
    "title": rich_text,
    "rich_text": rich_text,
    "number": _number,
    "select": _option,
    "status": _option,
    "multi_select": _options,
    "date": _date,
    "checkbox": _checkbox,
    "url": _plain,
    "email": _plain,
    "phone_number": _plain,
}
"""By a property's type, how its value is made from a text."""


# The body


def blocks(markdown: str) -> list[Json]:
    """The blocks of a page's body, each of them on the top level.

    Of Markdown it reads headings, bullets, numbers, to-dos, rules and bold; every other line is a paragraph.
    """
    return [block for line in markdown.splitlines() if line.strip() for block in _of_line(line.strip())]


def _of_line(line: str) -> Iterator[Json]:
    if RULE.fullmatch(line):
        yield {"object": "block", "type": "divider", "divider": {}}
    elif found := HEADING.fullmatch(line):
        yield from _block(f"heading_{min(3, len(found[1]))}", found[2])
    elif found := TO_DO.fullmatch(line):
        yield from _block("to_do", found[2], checked=found[1] != " ")
    elif found := BULLET.fullmatch(line):
        yield from _block("bulleted_list_item", found[1])
    elif found := NUMBERED.fullmatch(line):
        yield from _block("numbered_list_item", found[1])
    else:
        yield from _block("paragraph", line)


def _block(kind: str, text: str, **more: Any) -> Iterator[Json]:
    """One block, and paragraphs after it for what does not fit into it."""
    for number, piece in enumerate(pieces(text, BLOCK)):
        one, content = ("paragraph", {}) if number else (kind, more)
        yield {"object": "block", "type": one, one: {"rich_text": _runs(list(_bold(piece))), **content}}


def _bold(text: str) -> Iterator[tuple[str, bool]]:
    end = 0
    for found in BOLD.finditer(text):
        yield text[end : found.start()], False
        yield found[1], True
        end = found.end()
    yield text[end:], False


def batches(blocks: Sequence[Json]) -> Iterator[list[Json]]:
    """The blocks, in as few requests as Notion's limits allow."""
    batch: list[Json] = []
    size = 0
    for block in blocks:
        bytes_ = len(json.dumps(block, ensure_ascii=False).encode())
        if batch and (len(batch) == BLOCKS or size + bytes_ > BYTES):
            yield batch
            batch, size = [], 0
        batch.append(block)
        size += bytes_
    if batch:
        yield batch

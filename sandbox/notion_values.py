"""What Notion takes for a property or a block, and in which words it refuses the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sandbox.wire import Json

TEXT, TEXTS, CHILDREN, BLOCKS, URL, OPTION = 2_000, 100, 100, 1_000, 2_000, 100
"""Notion's request limits: characters of a text, texts in a row, children and blocks of a request, ..."""
BYTES = 500_000
DEPTH = 2
"""How deep blocks may lie in one another in one request."""

COLOR = "default"
PLAIN = {
    "bold": False, "italic": False, "strikethrough": False, "underline": False, "code": False, "color": COLOR,
}  # fmt: skip
WITH_TEXT = {
    "paragraph": {"color"},
    "heading_1": {"color", "is_toggleable"},
    "heading_2": {"color", "is_toggleable"},
    "heading_3": {"color", "is_toggleable"},
    "bulleted_list_item": {"color"},
    "numbered_list_item": {"color"},
    "to_do": {"color", "checked"},
    "toggle": {"color"},
    "quote": {"color"},
}
"""The kinds of block that hold a text, and what else each may have."""


class Invalid(Exception):
    """Notion refuses it, in these words."""


def broken(place: str, expected: str, value: Any) -> Invalid:
    """Return the refusal of a body that does not fit Notion's schema."""
    shown = "undefined" if value is None else json.dumps(value, ensure_ascii=False)
    return Invalid(f"body failed validation: {place} should be {expected}, instead was `{shown}`.")


def too_much(place: str, most: int, count: int) -> Invalid:
    """Return the refusal of what is longer than Notion allows."""
    return Invalid(f"body failed validation: {place}.length should be ≤ `{most}`, instead was `{count}`.")


def check_keys(body: Mapping[str, Any], place: str, known: set[str]) -> None:
    """Refuse a key that Notion does not know: since 2021-08-16 that is an error."""
    for key, value in body.items():
        if key not in known:
            raise broken(f"{place}.{key}", "not present", value)


def length(text: str) -> int:
    """Return a text's length as JavaScript counts it."""
    return len(text.encode("utf-16-le")) // 2


# Texts


def texts(value: Any, place: str) -> list[Json]:
    """Return rich texts as Notion gives them back."""
    if not isinstance(value, list):
        raise broken(place, "an array", value)
    if len(value) > TEXTS:
        raise too_much(place, TEXTS, len(value))
    return [one_text(each, f"{place}[{index}]") for index, each in enumerate(value)]


def one_text(value: Any, place: str) -> Json:
    """Return one rich text as Notion gives it back."""
    if not isinstance(value, dict):
        raise broken(place, "an object", value)
    check_keys(value, place, {"type", "text", "annotations"})
    text = value.get("text")
    if not isinstance(text, dict):
        raise broken(f"{place}.text", "defined", text)
    check_keys(text, f"{place}.text", {"content", "link"})
    content = text.get("content")
    if not isinstance(content, str):
        raise broken(f"{place}.text.content", "a string", content)
    if length(content) > TEXT:
        raise too_much(f"{place}.text.content", TEXT, length(content))
    annotations = value.get("annotations") or {}
    check_keys(annotations, f"{place}.annotations", set(PLAIN))
    link = text.get("link")
    return {
        "type": "text",
        "text": {"content": content, "link": link},
        "annotations": PLAIN | annotations,
        "plain_text": content,
        "href": link and link.get("url"),
    }


def plain(found: list[Json]) -> str:
    """Return rich texts without what they look like."""
    return "".join(each["plain_text"] for each in found)


# Properties


class Property:
    """A column of a data source."""

    def __init__(self, id: str, kind: str, options: list[str] | None = None) -> None:
        """Make it, with the options that people have given it."""
        self.id, self.kind, self.options = id, kind, list(options or [])

    def view(self, name: str) -> Json:
        """Return it as a data source shows it."""
        listed = [{"id": f"{self.id}-{option}", "name": option, "color": COLOR} for option in self.options]
        about: Json = {"format": "number"} if self.kind == "number" else {}
        if self.kind in ("select", "multi_select", "status"):
            about = {"options": listed}
        return {"id": self.id, "name": name, "type": self.kind, self.kind: about, "description": None}

    def empty(self) -> Any:
        """Return what a page has that says nothing here."""
        return {"title": [], "rich_text": [], "multi_select": [], "people": [], "checkbox": False}.get(self.kind)

    def take(self, value: Any, place: str) -> Any:
        """Return a value as a page keeps it, or refuse it."""
        taken = TAKES[self.kind](self, value, f"{place}.{self.kind}")
        return self.empty() if taken is None else taken

    def option(self, value: Any, place: str) -> Json:
        """Return an option; a new one of a select comes into being."""
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name:
            raise broken(f"{place}.name", "a populated string", name)
        if "," in name:
            raise Invalid(f"Invalid {self.kind} option, commas not allowed: {name}")
        if length(name) > OPTION:
            raise too_much(f"{place}.name", OPTION, length(name))
        if name not in self.options:
            if self.kind == "status":
                raise Invalid(f'Invalid status option. Status option "{name}" does not exist.')
            self.options.append(name)
        return {"id": f"{self.id}-{name}", "name": name, "color": COLOR}


def take_texts(_property: Property, value: Any, place: str) -> list[Json]:
    """Take a title or a text."""
    return texts(value, place)


def take_number(_property: Property, value: Any, place: str) -> Any:
    """Take a number."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise broken(place, "a number or `null`", value)
    return value


def take_option(the: Property, value: Any, place: str) -> Json | None:
    """Take one option."""
    return None if value is None else the.option(value, place)


def take_options(the: Property, value: Any, place: str) -> list[Json]:
    """Take some options."""
    if not isinstance(value, list):
        raise broken(place, "an array", value)
    return [the.option(each, f"{place}[{index}]") for index, each in enumerate(value)]


def take_date(_property: Property, value: Any, place: str) -> Json | None:
    """Take a day, a moment, or a time between two."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise broken(place, "an object or `null`", value)
    check_keys(value, place, {"start", "end", "time_zone"})
    for name in ("start", "end"):
        moment: Any = value.get(name)
        if moment is None and name == "end":
            continue
        try:
            datetime.fromisoformat(moment)  # which takes a day, too
        except (TypeError, ValueError):
            raise broken(f"{place}.{name}", "a valid ISO 8601 date string", moment) from None
    return {"start": value["start"], "end": value.get("end"), "time_zone": value.get("time_zone")}


def take_checkbox(_property: Property, value: Any, place: str) -> bool:
    """Take a tick."""
    if not isinstance(value, bool):
        raise broken(place, "a boolean", value)
    return value


def take_line(_property: Property, value: Any, place: str) -> str | None:
    """Take an address of the web or of e-mail, or a telephone number: Notion looks only at its length."""
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise broken(place, "a populated string or `null`", value)
    if length(value) > URL:
        raise too_much(place, URL, length(value))
    return value


TAKES: Mapping[str, Callable[[Property, Any, str], Any]] = {
    "title": take_texts,
    "rich_text": take_texts,
    "number": take_number,
    "select": take_option,
    "status": take_option,
    "multi_select": take_options,
    "date": take_date,
    "checkbox": take_checkbox,
    "url": take_line,
    "email": take_line,
    "phone_number": take_line,
}
READ_ONLY = ("people", "formula", "created_time")
"""Kinds that the sandbox shows and nobody writes."""


def shown(value: Any) -> str:
    """Return a property's value for reading."""
    match value:
        case None | False | []:
            return ""
        case True:
            return "yes"
        case {"start": start}:
            return str(start)
        case {"name": name}:
            return str(name)
        case [{"plain_text": _}, *_]:
            return plain(value)
        case [*options]:
            return ", ".join(str(each["name"]) for each in options)
        case _:
            return str(value)


# Blocks


def children(value: Any, place: str = "body.children", depth: int = 0) -> list[Json]:
    """Return blocks as Notion gives them back, without ids; those within them are under `children`."""
    if not isinstance(value, list):
        raise broken(place, "an array", value)
    if depth > DEPTH:
        raise broken(place, "not present", value)
    if len(value) > CHILDREN:
        raise too_much(place, CHILDREN, len(value))
    return [one_block(each, f"{place}[{index}]", depth) for index, each in enumerate(value)]


def one_block(value: Any, place: str, depth: int) -> Json:
    """Return one block."""
    if not isinstance(value, dict):
        raise broken(place, "an object", value)
    kinds = [key for key in value if key not in ("object", "type")]
    if len(kinds) != 1 or value.get("type", kinds[0]) != kinds[0] or kinds[0] not in {*WITH_TEXT, "divider"}:
        raise broken(f"{place}.type", "the type of the block's one content", value.get("type"))
    kind, content = kinds[0], value[kinds[0]]
    if kind == "divider":
        check_keys(content, f"{place}.divider", set())
        return {"type": kind, kind: {}, "children": []}
    check_keys(content, f"{place}.{kind}", {"rich_text", "children", *WITH_TEXT[kind]})
    held = {"rich_text": texts(content.get("rich_text"), f"{place}.{kind}.rich_text"), "color": COLOR}
    held |= {name: content[name] for name in WITH_TEXT[kind] if name in content}
    inner = children(content["children"], f"{place}.{kind}.children", depth + 1) if "children" in content else []
    return {"type": kind, kind: held, "children": inner}


def count(blocks: list[Json]) -> int:
    """Return how many blocks there are, with those within them."""
    return sum(1 + count(block["children"]) for block in blocks)

"""The records behind the HubSpot API: objects, associations, and what a search finds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from sandbox.crm_schema import (
    ASSOCIATION_TYPES,
    MODIFIED,
    SUPPORT,
    Pipeline,
    Property,
    known_properties,
)

Properties = dict[str, str | None]
Key = tuple[str, str]
TOKENS = re.compile(r"[\w@.+-]+")
TAG = re.compile(r"<[^>]+>")
FIRST_ID = 100


@dataclass
class Thing:
    """One CRM object."""

    type: str
    id: str
    properties: Properties
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    archived_at: float | None = None

    def value(self, name: str) -> str | None:
        """Return a property; the ones HubSpot keeps itself are computed."""
        match name:
            case "hs_object_id":
                return self.id
            case "createdate" | "hs_createdate":
                return self.properties.get(name) or iso(self.created)
            case _ if name == MODIFIED[self.type]:
                return iso(self.updated)
            case _:
                return self.properties.get(name)


class Crm:
    """All objects, by type and id, and who belongs to whom."""

    def __init__(self) -> None:
        """Start with empty tables."""
        self.things: dict[Key, Thing] = {}
        self.links: dict[Key, dict[Key, set[int]]] = {}
        self.properties: dict[str, dict[str, Property]] = {
            kind: {each.name: each for each in known_properties(kind)} for kind in MODIFIED
        }
        self.pipelines = {SUPPORT.id: SUPPORT}
        self.owners: list[dict[str, Any]] = []
        self._last_id = FIRST_ID

    def add(self, kind: str, properties: Properties, thing_id: str | None = None) -> Thing:
        """Create an object."""
        thing_id = thing_id or self.next_id()
        self._last_id = max(self._last_id, int(thing_id) if thing_id.isdigit() else 0)
        thing = Thing(kind, thing_id, properties)
        self.things[kind, thing_id] = thing
        return thing

    def change(self, thing: Thing, properties: Properties) -> None:
        """Set some properties."""
        thing.properties.update(properties)
        thing.updated = max(time.time(), thing.updated + 0.001)

    def find(self, kind: str, value: str, by: str = "hs_object_id") -> Thing | None:
        """Return a live object by its id or by another property."""
        if by == "hs_object_id":
            thing = self.things.get((kind, value))
            return thing if thing and thing.archived_at is None else None
        wanted = value.lower()
        return next((each for each in self.live(kind) if (each.value(by) or "").lower() == wanted), None)

    def live(self, kind: str) -> Iterator[Thing]:
        """Yield the objects of a type that are not archived."""
        return (each for each in self.things.values() if each.type == kind and each.archived_at is None)

    def link(self, one: Thing, other: Thing, type_id: int | None = None) -> tuple[int, int]:
        """Associate two objects, and return the types there and back."""
        there = type_id or ASSOCIATION_TYPES[one.type, other.type]
        back = ASSOCIATION_TYPES[other.type, one.type]
        a, b = (one.type, one.id), (other.type, other.id)
        self.links.setdefault(a, {}).setdefault(b, set()).add(there)
        self.links.setdefault(b, {}).setdefault(a, set()).add(back)
        return there, back

    def unlink(self, one: Thing, kind: str, other_id: str) -> None:
        """Take an association away, both ways."""
        a, b = (one.type, one.id), (kind, other_id)
        self.links.get(a, {}).pop(b, None)
        self.links.get(b, {}).pop(a, None)

    def linked(self, thing: Thing, kind: str) -> list[tuple[Thing, set[int]]]:
        """Return the live objects of a type that belong to this one."""
        far_ends = self.links.get((thing.type, thing.id), {})
        found = ((self.find(*end), types) for end, types in far_ends.items() if end[0] == kind)
        return [(other, types) for other, types in found if other is not None]

    def add_pipeline(self, pipeline: Pipeline) -> None:
        """Let tickets go through another pipeline."""
        self.pipelines[pipeline.id] = pipeline
        known = self.properties["tickets"]
        for name, ids in (("hs_pipeline", [pipeline.id]), ("hs_pipeline_stage", [each.id for each in pipeline.stages])):
            known[name] = replace(known[name], options=(*known[name].options, *ids))

    def is_closed(self, stage_id: str | None) -> bool:
        """Say whether tickets in this stage are done with."""
        return any(stage.id == stage_id and stage.closed for each in self.pipelines.values() for stage in each.stages)

    def next_id(self) -> str:
        """Return an id that nothing has yet."""
        self._last_id += 1
        return str(self._last_id)


def iso(moment: float) -> str:
    """Return a moment as HubSpot writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Search

Filter = dict[str, Any]


def passes(thing: Thing, groups: Iterable[dict[str, list[Filter]]]) -> bool:
    """Say whether an object meets all filters of at least one group."""
    groups = list(groups)
    return not groups or any(all(meets(thing, each) for each in group["filters"]) for group in groups)


def meets(thing: Thing, rule: Filter) -> bool:
    """Say whether an object meets one filter."""
    value = thing.value(rule["propertyName"])
    return OPERATORS[rule["operator"]](value or "", rule)


def contains_token(value: str, rule: Filter) -> bool:
    """Match whole words, with * as a wildcard; HTML is looked through."""
    text = TAG.sub(" ", value).lower()
    wanted = str(rule["value"]).lower()
    candidates = [*text.split(), *TOKENS.findall(text), *re.findall(r"\w+", text)]
    return all(any(fnmatchcase(each, word) for each in candidates) for word in wanted.split())


def compared(value: str, other: Any) -> int:
    """Order two values as numbers, as times or as text; -1, 0 or 1."""
    one, two = comparable(value), comparable(str(other))
    if type(one) is not type(two):
        one, two = value.lower(), str(other).lower()
    return (one > two) - (one < two)  # type: ignore[operator]


def comparable(text: str) -> float | str:
    """Read a number or a time (as epoch milliseconds), else text."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp() * 1000
    except ValueError:
        return text.lower()


def one_of(value: str, rule: Filter) -> bool:
    """Match any of several values."""
    return value.lower() in {str(each).lower() for each in rule.get("values", [])}


OPERATORS: dict[str, Callable[[str, Filter], bool]] = {
    "EQ": lambda value, rule: value != "" and compared(value, rule["value"]) == 0,
    "NEQ": lambda value, rule: value == "" or compared(value, rule["value"]) != 0,
    "GT": lambda value, rule: value != "" and compared(value, rule["value"]) > 0,
    "GTE": lambda value, rule: value != "" and compared(value, rule["value"]) >= 0,
    "LT": lambda value, rule: value != "" and compared(value, rule["value"]) < 0,
    "LTE": lambda value, rule: value != "" and compared(value, rule["value"]) <= 0,
    "BETWEEN": lambda value, rule: (
        value != "" and compared(value, rule["value"]) >= 0 >= compared(value, rule["highValue"])
    ),
    "IN": one_of,
    "NOT_IN": lambda value, rule: not one_of(value, rule),
    "HAS_PROPERTY": lambda value, _: value != "",
    "NOT_HAS_PROPERTY": lambda value, _: value == "",
    "CONTAINS_TOKEN": contains_token,
    "NOT_CONTAINS_TOKEN": lambda value, rule: not contains_token(value, rule),
}


def sort_key(name: str) -> Callable[[Thing], tuple[bool, float, str]]:
    """Return a key that sorts numbers and times by size, text by letter, and blanks first."""

    def key(thing: Thing) -> tuple[bool, float, str]:
        text = thing.value(name) or ""
        value = comparable(text)
        return (text != "", value, "") if isinstance(value, float) else (text != "", 0.0, value)

    return key

"""Markdown of tables, and what type annotations are in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr, StringConstraints
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tasks.actions import Address, Text
from tasks.card import Credential, Currency, SlackChannel

PLAIN: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    Decimal: "number",
    bool: "`True` or `False`",
    Any: "anything",
    SecretStr: "secret text",
    bytes: "bytes",
}
BOUNDS: Mapping[type, tuple[str, str]] = {
    annotated_types.Gt: ("gt", "more than"),
    annotated_types.Ge: ("ge", "at least"),
    annotated_types.Lt: ("lt", "less than"),
    annotated_types.Le: ("le", "at most"),
}


def _pattern(alias: Any) -> str:
    return next(str(each.pattern) for each in alias.__metadata__ if getattr(each, "pattern", None))


KNOWN = {
    _pattern(Address): "one e-mail address",
    _pattern(Text): "no control characters",
    _pattern(Credential): "`block-type/block-name`",
    _pattern(SlackChannel): "`slack/` and a block's name",
    _pattern(Currency): "a currency's code in small letters",
}
"""What a regular expression means, for people."""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a column that is empty in every row is left out."""
    cells = [[cell(text) for text in row] for row in rows]
    if not cells:
        return ""
    kept = [number for number, _ in enumerate(titles) if any(row[number] for row in cells)]
    lines = [[titles[number] for number in kept], ["---"] * len(kept)]
    lines += [[row[number] for number in kept] for row in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cell(text: str) -> str:
    """A text on one line, in which no character ends the cell."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def code(text: object) -> str:
    """A text as it is typed."""
    return f"`{text}`"


def codes(texts: Iterable[object]) -> str:
    """Several, with commas between them."""
    return ", ".join(code(text) for text in texts)


def anchor(heading: str) -> str:
    """Where a heading's link leads, as MkDocs makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def words(annotation: Any, linked: Iterable[type] = ()) -> str:
    """A type, for people; those of `linked` lead to a heading of their name on the same page."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return words(inside[0], linked)
    if origin in (Union, UnionType):
        return " or ".join(words(each, linked) for each in inside if each is not NoneType) + (
            ", or `None`" if NoneType in inside else ""
        )
    if origin is Literal:
        return " or ".join(code(each) for each in inside)
    if origin in (tuple, list, set, frozenset):
        return f"list of {words(inside[0], linked)}" if inside else "list"
    if origin is not None and issubclass(origin, Mapping):
        return f"{words(inside[0], linked)} → {words(inside[1], linked)}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(code(each.value) for each in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = annotation.__name__
        return f"[{name}](#{anchor(name)})" if annotation in linked else code(name)
    return PLAIN.get(annotation) or code(getattr(annotation, "__name__", annotation))


def default(field: FieldInfo) -> str:
    """What a field is without being given; `required` where it must be."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value == "" or value == () or value == {}:
        return "empty"
    return code(value.value if isinstance(value, Enum) else value)


def limits(field: FieldInfo) -> str:
    """What a field's value must keep to; empty where anything of its type will do."""
    kinds = [each for each in get_args(field.annotation) if each is not NoneType] or [field.annotation]
    noun = " characters" if kinds[0] is str and get_origin(field.annotation) is not tuple else ""
    return "; ".join(dict.fromkeys([*_limits(field.metadata, noun), *_limits(_inside(field.annotation))]))


def _inside(annotation: Any) -> list[Any]:
    """What is said of the values within: of a list's, of an optional one."""
    found = list(annotation.__metadata__) if get_origin(annotation) is Annotated else []
    for part in get_args(annotation):
        if get_origin(annotation) is not Literal and part is not NoneType:
            found += _inside(part)
    return found


def _limits(metadata: Iterable[Any], noun: str = "") -> Iterable[str]:
    for said in metadata:
        if type(said) in BOUNDS:
            name, in_words = BOUNDS[type(said)]
            yield f"{in_words} {getattr(said, name):,}"
        elif isinstance(said, annotated_types.MinLen):
            yield f"at least {said.min_length}{noun or ' of them'}"
        elif isinstance(said, annotated_types.MaxLen):
            yield f"at most {said.max_length:,}{noun or ' of them'}"
        elif isinstance(said, FieldInfo):
            yield from _limits(said.metadata, noun)
        elif isinstance(said, StringConstraints) or hasattr(said, "pattern"):
            yield from _of_text(said)


def _of_text(said: Any) -> Iterable[str]:
    if (least := getattr(said, "min_length", None)) is not None:
        yield "not blank" if least == 1 else f"at least {least} characters"
    if (most := getattr(said, "max_length", None)) is not None:
        yield f"at most {most} characters"
    if pattern := getattr(said, "pattern", None):
        yield KNOWN.get(str(pattern)) or f"matches {code(pattern)}"

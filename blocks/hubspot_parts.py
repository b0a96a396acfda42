"""What HubSpot's replies have in common: objects with the properties that were asked for, and pages of them."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ConfigDict, create_model
from typing_extensions import TypedDict

from blocks.shape import CamelPart, Id

OBJECT_KNOWS = frozenset(
    {
        "createdAt", "updatedAt", "archived", "archivedAt", "associations", "new", "url",
        "propertiesWithHistory", "objectWriteTraceId",
    }
)  # fmt: skip
ALWAYS = ("createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate", "hs_object_id", "email")
"""The properties that HubSpot adds to those that were asked for: none of them is another's new name."""


class Object(CamelPart):
    """A contact, a note, a ticket, ..."""

    known = OBJECT_KNOWS | {"properties"}

    id: Id


class Next(CamelPart):
    """Where the next page begins."""

    known = frozenset({"link"})

    after: Id


class Paging(CamelPart):
    """Left out on the last page."""

    known = frozenset({"prev"})

    next: Next | None = None


K = TypeVar("K", bound=Object)


def with_properties(base: type[K], types: dict[str, Any]) -> type[K]:
    """The kind of object that was read with these properties, each of its type.

    HubSpot gives null for one that is blank, and passes over a name that it does not know without a word: only the
    missing key tells that a property was renamed.
    """
    properties = TypedDict("properties", types)  # type: ignore[misc]
    properties.__pydantic_config__ = ConfigDict(strict=True)  # type: ignore[attr-defined]  # and no camel case
    kind = create_model("_Read", __base__=base, properties=(properties, ...))
    kind.known = base.known - {"properties"} | {*ALWAYS}
    return kind


def sentence(message: str) -> str:
    """HubSpot's message without the JSON in it: a list of what is wrong with each value, every reason in it twice."""
    words, bracket, _ = message.partition("[{")
    if not bracket:
        return message
    try:
        problems, end = json.JSONDecoder().raw_decode(message, len(words))
    except ValueError:
        return message
    reasons = [_reason(problem) for problem in problems]
    return f"{words}{'; '.join(filter(None, reasons))}{message[end:]}".strip(" :")


def _reason(problem: Any) -> str:
    if not isinstance(problem, dict):
        return ""
    said = problem.get("localizedErrorMessage") or problem.get("message") or problem.get("error") or ""
    name = problem.get("name")
    return f"{name}: {said}" if name and str(name) not in str(said) else str(said)

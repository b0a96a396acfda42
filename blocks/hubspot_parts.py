"""What HubSpot's replies have in common: objects with the properties that were asked for, and pages of them."""

from __future__ import annotations

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

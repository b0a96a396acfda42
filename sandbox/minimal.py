"""The smallest value that a JSON schema accepts: what the sandbox's model answers when nobody scripted it."""

from __future__ import annotations

import re
from typing import Any

TEXTS = {
    "date-time": "2026-01-15T09:00:00Z",
    "date": "2026-01-15",
    "time": "09:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
# The anthropic SDK moves limits that the API does not take into the description, as `{minimum: 1, maximum: 10}`.
MOVED_LIMIT = re.compile(
    r"\b(minimum|maximum|exclusiveMinimum|exclusiveMaximum|minLength|maxLength|minItems): (-?[\d.]+)"
)


def instance(schema: dict[str, Any], root: dict[str, Any] | None = None, name: str = "text") -> Any:
    """Return a minimal valid instance, the same every time."""
    root = schema if root is None else root
    if reference := schema.get("$ref"):
        return instance(resolve(reference, root), root, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if options := schema.get(choice):
            return instance(options[0], root, name)
    kind = schema.get("type", "object")
    return of_type(kind[0] if isinstance(kind, list) else kind, schema, root, name)


def of_type(kind: str, schema: dict[str, Any], root: dict[str, Any], name: str) -> Any:
    """Return a minimal value of one JSON type."""
    limits = limits_of(schema)
    match kind:
        case "object":
            properties = schema.get("properties", {})
            needed = schema.get("required", list(properties))
            return {key: instance(properties.get(key, {}), root, key) for key in needed}
        case "array":
            return [instance(schema.get("items", {}), root, name) for _ in range(int(limits.get("minItems", 0)))]
        case "string":
            return text(schema, limits, name)
        case "integer":
            return int(number(limits, step=1))
        case "number":
            return number(limits, step=0.5)
        case "boolean":
            return False
        case _:
            return None


def limits_of(schema: dict[str, Any]) -> dict[str, float]:
    """Return the limits, whether stated as keywords or moved into the description."""
    moved = {key: float(value) for key, value in MOVED_LIMIT.findall(str(schema.get("description", "")))}
    return moved | {key: value for key, value in schema.items() if isinstance(value, int | float)}


def text(schema: dict[str, Any], limits: dict[str, float], name: str) -> str:
    """Return a short text that says which field it fills."""
    value = TEXTS.get(schema.get("format", ""), name.replace("_", " "))
    value = value.ljust(int(limits.get("minLength", 0)), ".")
    return value[: int(limits["maxLength"])] if "maxLength" in limits else value


def number(limits: dict[str, float], step: float) -> float:
    """Return a number within the limits, zero if it can be."""
    floor = limits.get("minimum", limits.get("exclusiveMinimum", float("-inf")))
    ceiling = limits.get("maximum", limits.get("exclusiveMaximum", float("inf")))
    low = floor + step * ("exclusiveMinimum" in limits)
    high = ceiling - step * ("exclusiveMaximum" in limits)
    return max(low, min(high, 0)) if low <= high else (floor + ceiling) / 2


def resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the document."""
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return dict(node)

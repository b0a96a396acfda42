"""Google's `fields` parameter: of a reply, only what was asked for is sent."""

from __future__ import annotations

import re
from typing import Any

Tree = dict[str, "Tree"]
"""Names, each with the names that are asked for inside it; none inside means all."""

TOKEN = re.compile(r"\s*([A-Za-z0-9_]+|[*,/().])")
DEEPEST = 20


class UnknownField(ValueError):
    """The mask is malformed, or asks for a field that there is not; the text is the field."""


def leaves(names: str, **inner: Tree) -> Tree:
    """Return a tree of names without anything inside, and of those that have."""
    return {name: {} for name in names.split()} | inner


def parse(mask: str) -> Tree:
    """Read `a,b/c,d(e,f)`."""
    tokens, at = [], 0
    while at < len(mask.rstrip()):
        match = TOKEN.match(mask, at)
        if not match:
            raise UnknownField(mask[at:])
        tokens.append(match[1])
        at = match.end()
    tree, rest = _list(tokens, 0)
    if rest:
        raise UnknownField(rest[0])
    return tree


def _list(tokens: list[str], depth: int) -> tuple[Tree, list[str]]:
    tree: Tree = {}
    while True:
        names, tokens = _path(tokens)
        inner: Tree = {}
        if tokens[:1] == ["("]:
            if depth > DEEPEST:
                raise UnknownField("(")
            inner, tokens = _list(tokens[1:], depth + 1)
            if tokens[:1] != [")"]:
                raise UnknownField(tokens[0] if tokens else ")")
            tokens = tokens[1:]
        _put(tree, names, inner)
        if tokens[:1] != [","]:
            return tree, tokens
        tokens = tokens[1:]


def _path(tokens: list[str]) -> tuple[list[str], list[str]]:
    names: list[str] = []
    while tokens and tokens[0] not in ",/().":
        names.append(tokens[0])
        tokens = tokens[1:]
        if tokens[:1] not in (["/"], ["."]):
            return names, tokens
        tokens = tokens[1:]
    raise UnknownField(tokens[0] if tokens else "")


def _put(tree: Tree, names: list[str], inner: Tree) -> None:
    for name in names[:-1]:
        tree = tree.setdefault(name, {})
    tree.setdefault(names[-1], {}).update(inner)


def check(wanted: Tree, known: Tree) -> None:
    """Refuse a mask that asks for what there is not.

    Raises:
        UnknownField: it names the first such field.
    """
    for name, inner in wanted.items():
        if name == "*":
            continue
        if name not in known or (inner and not known[name]):
            raise UnknownField(name)
        check(inner, known[name])


def masked(value: Any, wanted: Tree) -> Any:
    """Return what of a value was asked for."""
    if isinstance(value, list):
        return [masked(each, wanted) for each in value]
    if not wanted or "*" in wanted or not isinstance(value, dict):
        return value
    return {name: masked(inner, wanted[name]) for name, inner in value.items() if name in wanted}

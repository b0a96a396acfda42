"""Values put into a starter's source: where they stand, Python's own parser says; everything else stays as it is."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal

WIDTH = 120


def with_card(source: str, values: Mapping[str, object]) -> str:
    """The source with these values on its CARD; `baseline.minutes` is the `minutes` of its `baseline`."""
    card = _assigned(source, "CARD")
    changes = {_argument(card, path): value for path, value in values.items()}
    return _edited(source, {node: _literal(value, node) for node, value in changes.items()})


def with_constant(source: str, name: str, value: str) -> str:
    """The source with another value of a constant; as it is where it has no such constant."""
    try:
        node = _assigned(source, name)
    except KeyError:
        return source
    return _edited(source, {node: _literal(value, node)})


def with_docstring(source: str, text: str) -> str:
    """The source with another docstring of its own."""
    first = ast.parse(source).body[0]
    assert isinstance(first, ast.Expr)
    return _edited(source, {first.value: f'"""{text}"""'})


def with_texts(source: str, new: Mapping[str, str]) -> str:
    """The source with other values for the texts that are exactly these."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant) and node.value in new]
    return _edited(source, {node: _quoted(new[str(node.value)]) for node in nodes})


def constants(source: str, names: Collection[str]) -> Iterator[tuple[str, object]]:
    """The values of these constants and of these fields of the CARD, where the source spells them out.

    Raises:
        SyntaxError: it is no Python.
    """
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        keywords = node.value.keywords if isinstance(node.value, ast.Call) and node.targets[0].id == "CARD" else []
        found = {node.targets[0].id: node.value} | {keyword.arg: keyword.value for keyword in keywords if keyword.arg}
        for name in names:
            if name in found:
                with suppress(ValueError):  # it is made of other things than values
                    yield name, ast.literal_eval(found[name])


def _assigned(source: str, name: str) -> ast.expr:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node.value
    raise KeyError(name)


def _argument(call: ast.expr, path: str) -> ast.expr:
    for name in path.split("."):
        assert isinstance(call, ast.Call)
        call = next(keyword.value for keyword in call.keywords if keyword.arg == name)
    return call


def _literal(value: object, at: ast.expr) -> str:
    """The value as ruff would write it."""
    match value:
        case Decimal():
            return f'Decimal("{value}")'
        case tuple():
            return f"({', '.join(map(_quoted, value))}{',' if len(value) == 1 else ''})"
        case str():
            return _quoted(value) if at.col_offset + len(_quoted(value)) < WIDTH - 1 else _wrapped(value)
        case float():
            return f"{value:g}"
        case _:
            return repr(value)


def _wrapped(value: str) -> str:
    """A long text in pieces, in brackets of their own."""
    indent = " " * 8
    pieces = textwrap.wrap(value, WIDTH - len(indent) - 6, drop_whitespace=False, break_on_hyphens=False)
    return "\n".join(["(", *(f"{indent}{_quoted(piece)}" for piece in pieces), f"{indent[4:]})"])


def _quoted(text: str) -> str:
    """Python's own form of it, in double quotes unless it holds some and no single ones."""
    found = repr(text)
    return found if found[0] == '"' or '"' in text else f'"{found[1:-1]}"'


def _edited(source: str, changes: Mapping[ast.expr, str]) -> str:
    """The source with other text in the place of these nodes. Offsets are bytes of UTF-8 within a line."""
    data = source.encode()
    starts = list(_line_starts(data))
    for node in sorted(changes, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        data = data[:start] + changes[node].encode() + data[end:]
    return data.decode()


def _line_starts(data: bytes) -> Iterator[int]:
    at = 0
    for line in data.splitlines(keepends=True):
        yield at
        at += len(line)

"""What only the source text knows: the notes under attributes, the messages of a function, the keys of alerts."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def notes(kind: type) -> dict[str, str]:
    """What stands under each attribute of a class and of those that it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        path = Path(getattr(sys.modules.get(each.__module__), "__file__", None) or "")
        if path.suffix == ".py" and path.is_relative_to(ROOT):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ClassDef) and node.name == each.__name__:
                    found |= dict(_noted(node.body))
    return found


def members(kind: type) -> list[tuple[str, str]]:
    """The members of an enumeration, each with its note, in their order."""
    found = notes(kind)
    return [(str(each.value), found.get(each.name, "")) for each in kind]  # type: ignore[attr-defined]


def _noted(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    before: ast.stmt | None = None
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            target = before.target if isinstance(before, ast.AnnAssign) else None
            if isinstance(before, ast.Assign):
                target = before.targets[0]  # type: ignore[assignment]
            if isinstance(target, ast.Name):
                yield target.id, inspect.cleandoc(node.value.value)
        before = node


def comments(path: Path) -> dict[int, str]:
    """The comment at the end of a line, by the line's number."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number: line.partition("  # ")[2] for number, line in enumerate(lines, 1) if "  # " in line}


def docstring(path: Path) -> str:
    """What a module says of itself."""
    return ast.get_docstring(tree(path)) or ""


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def said_by(*functions: Any) -> list[str]:
    """Every message that stands in these functions, in order, with a name in capitals where a value is filled in."""
    return list(dict.fromkeys(text for function in functions for text in _messages(function)))


def _messages(function: Any) -> Iterator[str]:
    parsed = ast.parse(textwrap.dedent(inspect.getsource(function)))
    inner = {id(part) for node in ast.walk(parsed) if isinstance(node, ast.JoinedStr) for part in node.values}
    body = parsed.body[0].body  # type: ignore[attr-defined]
    documented = body[0].value if isinstance(body[0], ast.Expr) else None
    found = [
        node
        for node in ast.walk(ast.Module(body, []))
        if id(node) not in inner and node is not documented
        and (isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)))
    ]  # fmt: skip
    for node in sorted(found, key=lambda each: (each.lineno, each.col_offset)):
        text = literal(node)
        if text and " " in text.strip():
            yield " ".join(text.split())


def literal(node: ast.expr | ast.Constant | ast.JoinedStr) -> str | None:
    """A text as it is written, with a name in capitals where a value is filled in; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else blank(part.value)  # type: ignore[attr-defined,misc]
            for part in node.values
        )
    return None


def blank(node: ast.expr) -> str:
    """The name in capitals that stands for a value."""
    while isinstance(node, ast.Call | ast.Subscript):
        nested = node.args[-1] if isinstance(node, ast.Call) and node.args else None
        node = nested if nested is not None else node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Attribute):
        of = node.value.id if isinstance(node.value, ast.Name) else ""
        return (of if node.attr in ("name", "stem", "id") and of not in ("self", "") else node.attr).upper().strip("_")
    return node.id.upper() if isinstance(node, ast.Name) else "..."

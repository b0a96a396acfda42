"""The keys of all alerts that the code can open, read off the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs._build.source import ROOT, blank, tree

FOLDERS = ("tasks", "flows", "deployments")
OPENERS = {"open_alert": (1, "key"), "Finding": (0, "key")}
"""What opens an alert, with the place of its key among the arguments."""
NO_ALERTS = {"deployments/check.py", "tasks/audit.py"}
"""Files with a `Finding` of their own, which is no alert."""
PASSED_ON = {("tasks/health.py", "key")}
"""Where an alert is opened under the key that its finding brings: those are read where the findings are made."""


class UnreadableKey(Exception):
    """A key is put together in a way that is not understood here; the message says where."""


@dataclass(frozen=True)
class AlertKey:
    """One kind of alert."""

    text: str
    """With a name in capitals where it differs from case to case: `disk:free:MOUNT`."""
    where: str
    """The file that opens it."""


def alert_keys() -> list[AlertKey]:
    """Every kind of alert, by key.

    Raises:
        UnreadableKey: one is opened with a key that cannot be read off the code.
    """
    found: dict[str, AlertKey] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            text = path.read_text(encoding="utf-8")
            if name not in NO_ALERTS and any(f"{opener}(" in text for opener in OPENERS):
                for key in _opened_in(path, name):
                    found.setdefault(key, AlertKey(key, name))
    return [found[text] for text in sorted(found)]


def _opened_in(path: Path, name: str) -> Iterator[str]:
    parsed = tree(path)
    for function in ast.walk(parsed):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and (place := _place(node)) is not None:
                    if (name, ast.unparse(place)) in PASSED_ON:
                        continue
                    key = _Scope(parsed, function).read(place)
                    if key is None:
                        raise UnreadableKey(f"{path}:{node.lineno}: the key {ast.unparse(place)} cannot be read")
                    yield key


def _place(call: ast.Call) -> ast.expr | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in OPENERS:
        return None
    position, keyword = OPENERS[name]
    named = next((each.value for each in call.keywords if each.arg == keyword), None)
    return named or (call.args[position] if len(call.args) > position else None)


@dataclass(frozen=True)
class _Scope:
    """Where names are looked up: a function, then its file."""

    module: ast.Module
    function: ast.FunctionDef | None

    def read(self, node: ast.expr) -> str | None:
        """The key that an expression makes."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._part(part) for part in node.values)
        if isinstance(node, ast.Name) and (value := self._assigned(node)) is not None:
            return self.read(value)
        if isinstance(node, ast.Call):
            return self._returned(node.func)
        return None

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        value = self._assigned(part.value) if isinstance(part.value, ast.Name) else None
        known = self.read(value) if value is not None else None
        return known if known is not None else blank(part.value)

    def _assigned(self, name: ast.Name) -> ast.expr | None:
        """What a name was last set to: in the function before this line, else in the file."""
        within = [node for node in ast.walk(self.function) if isinstance(node, ast.Assign)] if self.function else []
        before = sorted((node for node in within if node.lineno <= name.lineno), key=lambda node: -node.lineno)
        for node in [*before, *(each for each in self.module.body if isinstance(each, ast.Assign))]:
            for target, value in _pairs(node.targets[0], node.value):
                if isinstance(target, ast.Name) and target.id == name.id:
                    return value
        return None

    def _returned(self, called: ast.expr) -> str | None:
        """What a function of this file, or of the module that is named, makes."""
        module, name = self.module, getattr(called, "id", None)
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            path = ROOT / "tasks" / f"{called.value.id}.py"
            if not path.is_file():
                return None
            module, name = tree(path), called.attr
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                made = next((each.value for each in ast.walk(node) if isinstance(each, ast.Return)), None)
                return _Scope(module, node).read(made) if made is not None else None
        return None


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value

"""A deployment's entry put into prefect.yaml: as text, so that comments, order and everything else stay as they are."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import yaml

from deployments.errors import CommandError

FILE = "prefect.yaml"
HOLDS = "it must hold a list of deployments, each of them on lines of its own"


def read(path: Path) -> str:
    """The file's text, its line ends as they are.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise CommandError(f"there is no {FILE} in {path.parent}, where the deployments are declared") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{FILE} cannot be read: {error}") from error


def with_entry(text: str, entry: str) -> str:
    """The text with an entry at the end of its deployments.

    Raises:
        CommandError: it is no such file, or lacks what the entry refers to.
    """
    deployments = _deployments(text)
    dash = deployments.value[0].start_mark.column - 2
    ends = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    at = _end(lines, deployments, dash)
    if at and not lines[at - 1].endswith(("\n", "\r")):
        lines[at - 1] += ends
    changed = "".join([*lines[:at], _added(entry, dash, ends), *lines[at:]])
    _compare(text, changed, entry)
    return changed


def names(text: str) -> list[str]:
    """The names of the deployments.

    Raises:
        CommandError: the file cannot be read as one that declares deployments.
    """
    _deployments(text)
    return [str(entry.get("name", "")) for entry in yaml.safe_load(text)["deployments"]]


def refuse_another(text: str, name: str) -> None:
    """Whether a deployment may be called so.

    Raises:
        CommandError: there is one of that name, or the file cannot be read as one that declares deployments.
    """
    if name in names(text):
        raise CommandError(f"{FILE} has a deployment called {name} already: choose another name")


def _deployments(text: str) -> yaml.SequenceNode:
    try:
        node, data = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise CommandError(f"{FILE}{where} cannot be read: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(node, yaml.MappingNode) or not isinstance(data, dict):
        raise CommandError(f"{FILE} cannot be added to: {HOLDS}")
    found = next((value for key, value in node.value if key.value == "deployments"), None)
    if not isinstance(found, yaml.SequenceNode) or found.flow_style or not found.value:
        raise CommandError(f"{FILE} cannot be added to: {HOLDS}")
    if not all(isinstance(entry, dict) for entry in data["deployments"]):
        raise CommandError(f"{FILE} cannot be added to: {HOLDS}")
    return found


def _end(lines: list[str], deployments: yaml.SequenceNode, dash: int) -> int:
    """The number of lines up to the end of the last entry, without the blank ones and comments that follow it."""
    at: int = min(deployments.end_mark.line, len(lines))
    if at < len(lines) and deployments.end_mark.column and lines[at].strip():
        at += 1
    while at and (not lines[at - 1].strip() or _is_comment_outside(lines[at - 1], dash)):
        at -= 1
    return at


def _is_comment_outside(line: str, dash: int) -> bool:
    return line.lstrip().startswith("#") and len(line) - len(line.lstrip()) <= dash


def _compare(before: str, after: str, entry: str) -> None:
    """Whether what was there is unchanged and the entry is the last one."""
    try:
        old, new = yaml.safe_load(before), yaml.safe_load(after)
    except yaml.YAMLError as error:
        why = getattr(error, "problem", None) or error
        raise CommandError(f"{FILE} cannot take the entry: {why}. It must define &pool, as the others use it") from None
    entries: list[dict[str, Any]] = new["deployments"]
    if new | {"deployments": entries[:-1]} != old or f"name: {entries[-1].get('name')}" not in entry:
        raise CommandError(f"{FILE} cannot be added to: {HOLDS}")


def without_entry(text: str, entry: str) -> str | None:
    """The text without an entry that stands there as it was put; None when it does not."""
    ends = "\r\n" if "\r\n" in text else "\n"
    for dash in range(9):
        added = _added(entry, dash, ends)
        if text.count(added) == 1:
            return text.replace(added, "")
    return None


def _added(entry: str, dash: int, ends: str) -> str:
    """An entry as it is put: after a blank line, its dash in this column."""
    block = textwrap.indent(textwrap.dedent(entry).rstrip("\n"), " " * dash)
    return "".join(f"{line}{ends}" for line in ["", *block.split("\n")])

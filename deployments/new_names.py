"""What a new workflow may be called: one name for its file, flow, prompt folder and deployment."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from deployments.errors import CommandError
from deployments.running import ROOT

LONGEST = 40
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def checked(name: str, root: Path = ROOT) -> str:
    """The workflow's name with dashes, as Prefect has it.

    Raises:
        CommandError: it cannot be a name, or something of that name is there; the message names it and the way out.
    """
    dashed = name.strip().replace("_", "-")
    if not NAME.fullmatch(dashed):
        raise CommandError(
            f"{name!r} cannot be a workflow's name: small letters, digits and dashes, as in "
            f"{likely(name) or 'ticket-tagging'}"
        )
    if len(dashed) > LONGEST:
        raise CommandError(f"{dashed} is {len(dashed)} characters long; a workflow's name has at most {LONGEST}")
    _refuse_modules(dashed, root)
    _refuse_what_is_there(dashed, root)
    return dashed


def module_of(dashed: str) -> str:
    """The same name as Python has it."""
    return dashed.replace("-", "_")


def likely(name: str) -> str:
    """What was meant, perhaps: `Ticket Tagging!` is `ticket-tagging`; empty when nothing is left."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    found = "-".join(words)[:LONGEST].strip("-")
    return found if NAME.fullmatch(found) else ""


def _refuse_modules(dashed: str, root: Path) -> None:
    module = module_of(dashed)
    instead = f"try {dashed}-mail or the like"
    if keyword.iskeyword(module):
        raise CommandError(f"{module} is a word of Python's own: {instead}")
    if module in sys.stdlib_module_names or module in sys.builtin_module_names:
        raise CommandError(
            f"{module} is a module of Python's own, which flows/{module}.py would hide (Prefect puts flows/ on the "
            f"import path): {instead}"
        )
    if (root / "flows" / f"{module}.py").exists():
        return  # found as a module by whoever has imported flows; said better below
    spec = find_spec(module)
    if spec is not None:
        raise CommandError(
            f"{module} is an installed package or a folder here, which flows/{module}.py would hide (Prefect puts "
            f"flows/ on the import path): {instead}"
        )


def _refuse_what_is_there(dashed: str, root: Path) -> None:
    module = module_of(dashed)
    flow, prompt = root / "flows" / f"{module}.py", root / "prompts" / module
    for path in (flow, prompt, prompt.with_suffix(".py")):
        if path.exists() or path.is_symlink():
            what = f"{path.relative_to(root)}{'/' if path.is_dir() else ''}"
            raise CommandError(f"{what} is there already, and nothing is overwritten: choose another name")

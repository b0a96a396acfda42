"""Finding every workflow's card, every prompt, and every deployment that is declared."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

import prompts
from deployments import their_errors, views
from deployments.errors import CommandError, unknown
from deployments.running import ROOT
from prompts import Prompt
from tasks import actions, flow_cards
from tasks.card import Card

FLOWS = ROOT / "flows"


def flow_files() -> list[Path]:
    """Every flow file, by name."""
    return flow_cards.files(FLOWS)


def flow_modules() -> list[ModuleType]:
    """Every flow file that can be imported. What is wrong with another is told, once, and keeps none from its work."""
    modules, broken = flow_cards.imported(flow_files())
    for path, error in broken.items():
        _left_out(path.stem, their_errors.text_of(error))
    return modules


@cache
def _left_out(workflow: str, why: str) -> None:
    views.errors.print(f"signoff: {workflow.replace('_', '-')} is left out: {why}", markup=False, soft_wrap=True)


def cards() -> list[Card]:
    """The card of every flow that has one."""
    return flow_cards.cards_of(flow_modules())


def declared_deployments() -> list[dict[str, Any]]:
    """The entries of prefect.yaml.

    Raises:
        CommandError: it cannot be read; the message says where.
    """
    try:
        found = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise CommandError(f"prefect.yaml cannot be read: {' '.join(str(error).split())}") from None
    entries = found.get("deployments") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise CommandError("prefect.yaml has no list `deployments`: each workflow has its entry there")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not entry.get("name"):
            raise CommandError(f"prefect.yaml: entry {number} of its deployments has no name")
    return entries


def card_of(workflow: str) -> Card:
    """The card of a workflow, by its name or its file's. What is wrong with another workflow does not matter here.

    Raises:
        CommandError: there is none of that name; the message lists those that there are.
        Exception: whatever its file raises.
    """
    names = workflow_names()
    if (name := workflow.replace("_", "-")) not in names:
        raise unknown("workflow", workflow, names)
    card: Card = importlib.import_module(f"flows.{name.replace('-', '_')}").CARD
    return card


def workflow_names() -> list[str]:
    """The names of the workflows, without importing one: that takes long, and fails where one is being written."""
    return [path.stem.replace("_", "-") for path in flow_files() if "\nCARD = " in path.read_text(encoding="utf-8")]


def prompt_names() -> list[str]:
    """The names of the prompts' folders."""
    return sorted(path.parent.name for path in prompts.FOLDER.glob("*/prompt.md"))


def prompt_of(name: str) -> Prompt:
    """The prompt of a folder, by its name or as a workflow is spelt.

    Raises:
        CommandError: there is none; the message lists those that there are.
    """
    folder = name.replace("-", "_")
    if not (prompts.FOLDER / folder / "prompt.md").is_file():
        raise unknown("prompt", name, prompt_names())
    return prompts.load(folder)


def known_names(workflow: str | None, kind: str | None = None) -> None:
    """Refuse names by which nothing can ever be found.

    Raises:
        CommandError: there is no such workflow, or no such kind of action.
    """
    if workflow and workflow not in (names := workflow_names()):
        raise unknown("workflow", workflow, names)
    if kind and kind not in actions.KINDS:
        raise unknown("kind", kind, sorted(actions.KINDS))

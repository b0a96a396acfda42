"""Finding every workflow's card, every prompt, and every deployment that is declared."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

import prompts
from deployments.errors import unknown
from deployments.running import ROOT
from prompts import Prompt
from tasks import actions, flow_cards
from tasks.card import Card

FLOWS = ROOT / "flows"


def flow_files() -> list[Path]:
    """Every flow file, by name."""
    return flow_cards.files(FLOWS)


def flow_modules() -> Iterator[ModuleType]:
    """Every flow file, imported.

    Raises:
        CardError: a card is incomplete; the message names the fields.
    """
    for path in flow_files():
        yield importlib.import_module(f"flows.{path.stem}")


def cards() -> list[Card]:
    """The card of every flow that has one."""
    return [module.CARD for module in flow_modules() if isinstance(getattr(module, "CARD", None), Card)]


def declared_deployments() -> list[dict[str, Any]]:
    """The entries of prefect.yaml."""
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    return found


def card_of(workflow: str) -> Card:
    """The card of a workflow, by its name or its file's.

    Raises:
        CommandError: there is none of that name; the message lists those that there are.
    """
    found = {card.workflow: card for card in cards()}
    try:
        return found[workflow.replace("_", "-")]
    except KeyError:
        raise unknown("workflow", workflow, sorted(found)) from None


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

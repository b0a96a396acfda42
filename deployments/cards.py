"""Finding every workflow's card."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from deployments.running import ROOT
from tasks.card import Card

FLOWS = ROOT / "flows"


def flow_files() -> list[Path]:
    """Every flow file, by name."""
    return sorted(path for path in FLOWS.glob("*.py") if path.name != "__init__.py")


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

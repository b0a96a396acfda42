"""The cards of the workflows in a folder of flow files. Which folder, the caller says: nothing here knows of a flow."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tasks.card import Card


def files(folder: Path) -> list[Path]:
    """Every flow file of a folder, by name."""
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def imported(flows: Iterable[Path]) -> tuple[list[ModuleType], dict[Path, Exception]]:
    """Every flow file that can be imported, and what is wrong with each that cannot."""
    modules: list[ModuleType] = []
    broken: dict[Path, Exception] = {}
    for path in flows:
        try:
            modules.append(import_module(f"{path.parent.name}.{path.stem}"))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one workflow, the caller judges
            broken[path] = error
    return modules, broken


def cards_of(modules: Iterable[ModuleType]) -> list[Card]:
    """The card of every flow that has one."""
    found = (getattr(module, "CARD", None) for module in modules)
    return [card for card in found if isinstance(card, Card)]


def readable(flows: Iterable[Path]) -> tuple[list[Card], dict[Path, Exception]]:
    """The card of every flow that has one, and what is wrong with each file that cannot be imported."""
    modules, broken = imported(flows)
    return cards_of(modules), broken


def beside(file: str) -> tuple[list[Card], dict[Path, Exception]]:
    """The same of the flows that lie beside a flow's own file, which need not import itself."""
    here = Path(file)
    return readable([path for path in files(here.parent) if path.stem != here.stem])


def all_beside(file: str) -> list[Card]:
    """The cards of the flows that lie beside a flow's own file.

    Raises:
        Exception: whatever one of them raises that cannot be imported: its own run would, too.
    """
    cards, broken = beside(file)
    for error in broken.values():
        raise error
    return cards

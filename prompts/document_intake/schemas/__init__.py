"""The kinds of document of which rows are made: each a pydantic class, in a module of this package.

Another kind is another module with one class in it, as `invoice.py` is: the model is told of it, the rules look for its
labels, and its rows land in a table of its own.
"""

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from pydantic import BaseModel

from prompts.document_intake.schemas.paper import (
    LINES,
    LineSum,
    Order,
    Paper,
    PaperLine,
    Product,
    Rule,
    Sum,
    line_of,
    mark_of,
    marks,
    rule_of,
    title_of,
)

__all__ = [
    "LINES",
    "OTHER",
    "LineSum",
    "Order",
    "Paper",
    "PaperLine",
    "Product",
    "Rule",
    "Sum",
    "find",
    "line_of",
    "mark_of",
    "marks",
    "rule_of",
    "schemas",
    "title_of",
    "told",
]

OTHER = "other"
"""What a document is that is none of the kinds."""


@cache
def schemas() -> dict[str, type[Paper]]:
    """All kinds, by name.

    Raises:
        ValueError: two have the same name or table, or one names a field that it does not have.
    """
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__name__}.{module.name}")
    found: dict[str, type[Paper]] = {}
    for kind in Paper.__subclasses__():
        if kind.__module__.startswith(f"{__name__}."):
            _check(kind, found)
            found[kind.name] = kind
    return dict(sorted(found.items()))


def find(name: str) -> type[Paper]:
    """The kind of this name. Raises KeyError, with those that there are."""
    if name not in schemas():
        raise KeyError(f"there is no schema {name!r}: there are {', '.join(schemas())}")
    return schemas()[name]


def told() -> str:
    """All kinds with their fields, as a model is told of them."""
    return " ".join(_told(kind) for kind in schemas().values())


def _told(kind: type[Paper]) -> str:
    line = line_of(kind)
    of_lines = f" Of its lines: {_fields(line)}." if line else ""
    return f"For `{kind.name}` ({(kind.__doc__ or '').splitlines()[0].rstrip('.')}): {_fields(kind)}.{of_lines}"


def _fields(kind: type[BaseModel]) -> str:
    return "; ".join(
        f"{name}{f' ({(field.description or mark.told).rstrip(chr(46))})'}" for name, field, mark in marks(kind)
    )


def _check(kind: type[Paper], others: dict[str, type[Paper]]) -> None:
    if twin := next((other for other in others.values() if kind.name == other.name or kind.table == other.table), None):
        raise ValueError(f"the schemas {kind.__name__} and {twin.__name__} have the same name or table")
    for name in (*kind.key, *kind.needed):
        if name not in kind.model_fields:
            raise ValueError(f"the schema {kind.__name__} names a field that it does not have: {name}")

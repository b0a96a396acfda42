"""What a kind of document is: a pydantic class whose fields say what stands on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from prompts.document_intake.schemas.kinds import Printed

R = TypeVar("R")


@dataclass(frozen=True)
class Sum:
    """The field `total` is the sum of the fields `parts`; a part that is not there counts nothing."""

    total: str
    parts: tuple[str, ...]
    most: Decimal | None = None
    """How much of the total the last part is at most, 0 to 1: no tax is half of a bill."""


@dataclass(frozen=True)
class LineSum:
    """The lines' `column` adds up to one of the fields `totals`: bills have lines with or without tax."""

    column: str
    totals: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """In each line `total` is the product of the columns `factors`."""

    total: str
    factors: tuple[str, str]


@dataclass(frozen=True)
class Order:
    """The date `first` is not after the date `then`."""

    first: str
    then: str


Rule = Sum | LineSum | Product | Order


class PaperLine(BaseModel):
    """One line of a paper's table."""

    model_config = ConfigDict(extra="forbid", frozen=True)


LINES = "lines"
"""The field of a paper's lines."""


class Paper(BaseModel):
    """A kind of document. Another kind is another class in a module of this package: it is found by itself.

    Each field is `Annotated[<type> | None, <a mark of .kinds>] = None`; the field `lines`, if there is one, is
    `tuple[<a PaperLine>, ...] = ()`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    """What a model calls it, and `--schema`: one word."""
    table: ClassVar[str]
    """The table that its rows land in; its lines land in `<table>_lines`."""
    titles: ClassVar[tuple[str, ...]]
    """What such a paper calls itself, in lower case, in any language. `rechnung` is `jahresrechnung`, too."""
    signs: ClassVar[tuple[str, ...]] = ()
    """Words that stand on hardly any other paper, in lower case: by them one is known that has no title."""
    key: ClassVar[tuple[str, ...]]
    """The fields that are the same on no two papers: where all are, it was sent twice."""
    needed: ClassVar[tuple[str, ...]] = ()
    """The fields without which a person has to look at it."""
    steady: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Fields that stay the same on all papers of the party in another field: a new value is looked at by a person."""
    rules: ClassVar[tuple[Rule, ...]] = ()
    """What must be right about its numbers and dates."""


def marks(kind: type[BaseModel]) -> Iterator[tuple[str, FieldInfo, Printed]]:
    """The fields of a paper or a line that stand on it, each with its mark; without `lines`."""
    for name, field in kind.model_fields.items():
        mark = next((mark for mark in field.metadata if isinstance(mark, Printed)), None)
        if mark is not None:
            yield name, field, mark


def mark_of(kind: type[BaseModel], name: str) -> Printed:
    """A field's mark. Raises KeyError where there is no such field."""
    return next((mark for each, _, mark in marks(kind) if each == name), None) or _unknown(kind, name)


def rule_of(kind: type[Paper], of: type[R]) -> R | None:
    """Its first rule of a type, if it has one."""
    return next((rule for rule in kind.rules if isinstance(rule, of)), None)


def line_of(kind: type[Paper]) -> type[PaperLine] | None:
    """The type of its lines, if it has any."""
    field = kind.model_fields.get("lines")
    found: type[PaperLine] | None = get_args(field.annotation)[0] if field else None
    return found


def title_of(name: str) -> str:
    """A field's name for people: `due_date` is "Due date"."""
    words = name.replace("_", " ").capitalize()
    return {"Iban": "IBAN", "Seller vat id": "Seller VAT id"}.get(words, words)


def _unknown(kind: type[BaseModel], name: str) -> Printed:
    raise KeyError(f"{kind.__name__} has no field {name}")

"""Marks on an answer type's fields: how a model that cannot write fills them in.

Claude ignores these. The embedded model reads them from the field's metadata, so that one answer type serves both.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Label:
    """One of the field's `Literal` values, classified from the prompt's example cases."""


@dataclass(frozen=True)
class Extract:
    """The sentence of the input that says most, at most `max_chars` characters."""

    max_chars: int = 200


@dataclass(frozen=True)
class Template:
    """The prompt folder's reply template for the label in field `by`; empty when the folder has none."""

    by: str


@dataclass(frozen=True)
class Quote:
    """Sentences (`text`, `sources`) taken word for word from the passages in variable `passages`; none when none fits.

    Each passage there is a mapping with `number`, `heading` and `text`.
    """

    passages: str


@dataclass(frozen=True)
class Minuted:
    """What a transcript says in so many words, of the field that is named here; its numbered lines are the variable in
    the prompt's `trim`.
    """

    what: Literal["outcome", "summary", "decisions", "actions", "unsure"]


@dataclass(frozen=True)
class Recognise:
    """Which kind of document the text in variable `text` is: one of the field's `Literal` values, by what it calls
    itself and which labels it has.
    """

    text: str


@dataclass(frozen=True)
class ReadOff:
    """What stands on the document in variable `text`, whose kind is in field `kind`, found by the labels beside it."""

    text: str
    kind: str
    part: Literal["values", "lines"]
    own: str = ""
    """The variable with our own company's name."""


@dataclass(frozen=True)
class Probability:
    """The calibrated probability, 0 to 1, of the label in field `of`: by it the answer is given or left to a person."""

    of: str


def annotated(field: FieldInfo) -> Any:
    """A field's type with its bounds and marks, for a type of which the field is only a part."""
    # Added one by one: `Annotated[kind, *marks]` is read differently by type checkers.
    kind: Any = field.annotation
    for mark in field.metadata:
        kind = Annotated[kind, mark]
    return kind


def probability_field(answer: type[BaseModel]) -> str | None:
    """The field that says how probable the answer is, by its `Probability` mark; None when no field does."""
    for name, field in answer.model_fields.items():
        if any(isinstance(mark, Probability) for mark in field.metadata):
            return name
    return None

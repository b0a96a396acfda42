"""What a workflow would do about answers that none of a try's records has had: each label of its prompt, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from blocks.ledger import Record
from deployments.try_errors import told
from prompts.fields import Label

RECORDS = 10
"""Records on which each label is tried: what is done may depend on the rest of one, too."""


def untold(module: ModuleType, answer: type[BaseModel], records: Sequence[Record]) -> dict[str, list[str]]:
    """The builder's errors that only other answers would show: each with the labels that lead there.

    Nothing is carried out: `decide` and `explain` of a flow only say what they want. A flow without them has none.

    Args:
        module: the flow's module.
        answer: its prompt's answer type.
        records: those of the try that have an answer.
    """
    steps: list[Callable[[Record], Any]] = [
        step for name in ("decide", "explain") if callable(step := getattr(module, name, None))
    ]
    found: dict[str, list[str]] = {}
    for field, label in labels(answer):
        for record in records[:RECORDS]:
            other = _with(record, answer, field, label)
            for step in steps if other else ():
                text = _error_of(step, other)
                if text and f"{field} {label}" not in found.setdefault(text, []):
                    found[text].append(f"{field} {label}")
    return found


def labels(answer: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Every label that a model may give, with its field."""
    for name, field in answer.model_fields.items():
        if any(isinstance(mark, Label) for mark in field.metadata):
            yield from ((name, str(label)) for label in get_args(field.annotation))


def _with(record: Record, answer: type[BaseModel], field: str, label: str) -> Record | None:
    """A record like this one with another label, of which the model is sure; None where the rest does not fit that."""
    try:
        changed = answer.model_validate((record.answer or {}) | {field: label})
    except ValidationError:
        return None
    columns = {column.key: getattr(record, column.key) for column in Record.__table__.columns}
    return Record(**columns | {"answer": changed.model_dump(mode="json"), "sure": True})


def _error_of(step: Callable[[Record], Any], record: Record | None) -> str | None:
    try:
        step(record)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - whatever it is: it is told where it is theirs
        return told(error)
    return None

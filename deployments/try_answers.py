"""What a workflow would do about answers that none of a try's records has had: each label of its prompt, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError

from blocks.ledger import Record
from deployments.their_errors import told
from prompts import Prompt
from prompts.cases import label_fields

RECORDS = 10
"""Records on which each label is tried: what is done may depend on the rest of one, too."""


def untold(module: ModuleType, prompt: Prompt, records: Sequence[Record]) -> dict[str, list[str]]:
    """The builder's errors that only other answers would show: each with the labels that lead there.

    Nothing is carried out: `decide` and `explain` of a flow only say what they want. A flow without them has none.

    Args:
        module: the flow's module.
        prompt: its prompt, which names the labels.
        records: those of the try that have an answer.
    """
    steps = [step for name in ("decide", "explain") if callable(step := getattr(module, name, None))]
    found: dict[str, list[str]] = {}
    for field, label in [(field, label) for field, values in label_fields(prompt).items() for label in values]:
        others = filter(None, (_with(record, prompt.answer, field, label) for record in records[:RECORDS]))
        errors = (_error_of(step, other) for other in others for step in steps)
        for text in dict.fromkeys(filter(None, errors)):
            found.setdefault(text, []).append(f"{field} {label}")
    return found


def _with(record: Record, answer: type[BaseModel], field: str, label: Any) -> Record | None:
    """A record like this one with another label, of which the model is sure; None where the rest does not fit that."""
    try:
        changed = answer.model_validate((record.answer or {}) | {field: label})
    except ValidationError:
        return None
    columns = {column.key: getattr(record, column.key) for column in Record.__table__.columns}
    return Record(**columns | {"answer": changed.model_dump(mode="json"), "sure": True})


def _error_of(step: Callable[[Record], Any], record: Record) -> str | None:
    try:
        step(record)
    except Exception as error:  # noqa: BLE001 - whatever it is: it is told where it is theirs
        return told(error)
    return None

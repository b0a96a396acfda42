"""Scores: how right a set of answers is. Plain functions over cases and answers; nothing here asks a model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FieldScore(BaseModel):
    """How often one field was right."""

    model_config = ConfigDict(frozen=True)

    field: str
    right: int
    of: int
    low: float
    high: float
    """The Wilson interval at 95 % of the share, 0 to 1."""
    confusion: dict[str, dict[str, int]]
    """Expected value to answered value to count; an unusable answer is counted under `(none)`."""


class Scores(BaseModel):
    """How a prompt version did on a set of cases. Kept in `Evaluation.scores`."""

    model_config = ConfigDict(frozen=True)

    cases: int
    usable: int
    """Cases that got an answer which is one; the others count as wrong in every field."""
    fields: tuple[FieldScore, ...]
    """Every field that the cases expect and that can be right or wrong: texts cannot."""
    similarity: dict[str, float]
    """Texts that the cases expect: how alike the answers are, 0 to 1, on average."""
    threshold: float | None
    """The probability under which an answer is left to a person; None when the answer states none."""
    sure: int | None
    """Cases at or above the threshold: the coverage is `sure / cases`."""
    sure_and_right: int | None
    """Of those, in the field that the probability is about: the precision is `sure_and_right / sure`."""
    calibration_error: float | None
    seconds_median: float
    seconds_p95: float
    input_tokens: int
    output_tokens: int
    cost: float
    """US dollars that the answers cost, whenever they were paid."""

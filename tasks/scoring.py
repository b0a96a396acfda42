"""Scores: how right a set of answers is. Plain functions over cases and answers; nothing here asks a model."""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from prompts import Case, Prompt
from prompts.cases import partial
from prompts.fields import Extract, Probability, Template, annotated, probability_field

NOTHING = "(none)"
"""What an unusable answer is counted under."""

Z = 1.959963984540054
"""Standard deviations to either side that hold 95 % of a normal distribution."""

BINS = 8
"""Groups of answers of like certainty, among which stated and actual certainty are compared."""


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


@dataclass(frozen=True)
class Answered:
    """What a model answered to one case: its first answer, since one that has to be asked for again is no good one."""

    answer: BaseModel | None
    """None when what came is no answer. Of a `prompts.cases.partial` type where it was read by `partly_read`."""
    complaint: str
    """What was wrong with it then."""
    input_tokens: int
    output_tokens: int
    cost: Decimal
    """US dollars."""
    seconds: float
    """Until the answer was there; 0 where nobody waited for it, as in a batch."""


@dataclass(frozen=True)
class Part:
    """One field of one answer that can be right or wrong, beside what the case expects there."""

    right: bool
    expected: str
    got: str
    """As text, like `expected`; `(none)` where the answer is unusable."""


@dataclass(frozen=True)
class Judged:
    """One case, and how right its answer is."""

    case: Case
    answered: Answered
    parts: Mapping[str, Part]
    """By field, in the answer type's order."""


def case_key(case: Case) -> str:
    """SHA-256 over a case's inputs: the ledger knows its answers by it."""
    return hashlib.sha256(json.dumps(case.inputs, sort_keys=True).encode()).hexdigest()


def score(prompt: Prompt, cases: Sequence[Case], answers: Mapping[str, Answered], threshold: float) -> Scores:
    """How right the answers are.

    Args:
        prompt: whose answer type says what can be right or wrong.
        cases: at least one.
        answers: by `case_key`, of every case.
        threshold: the probability, 0 to 1, under which an answer is left to a person.
    """
    found = judged(prompt, cases, answers)
    came = [one.answered for one in found]
    stated = probability_field(prompt.answer)
    certain = _certainties(found, prompt.answer, stated) if stated else None
    sure = None if certain is None else [right for certainty, right in certain if certainty >= threshold]
    waited = sorted(one.seconds for one in came if one.seconds)
    return Scores(
        cases=len(cases),
        usable=sum(one.answer is not None for one in came),
        fields=tuple(_field_score(name, found) for name in can_be_wrong(prompt.answer, cases)),
        similarity={name: _similarity(name, found) for name in _texts(prompt.answer, cases)},
        threshold=threshold if stated else None,
        sure=None if sure is None else len(sure),
        sure_and_right=None if sure is None else sum(sure),
        calibration_error=calibration_error(certain) if certain else None,
        seconds_median=statistics.median(waited) if waited else 0.0,
        seconds_p95=waited[math.ceil(0.95 * len(waited)) - 1] if waited else 0.0,
        input_tokens=sum(one.input_tokens for one in came),
        output_tokens=sum(one.output_tokens for one in came),
        cost=float(sum(one.cost for one in came)),
    )


def judged(prompt: Prompt, cases: Iterable[Case], answers: Mapping[str, Answered]) -> list[Judged]:
    """Each case beside its answer, which must be there."""
    return [_judged(prompt.answer, case, answers[case_key(case)]) for case in cases]


def can_be_wrong(kind: type[BaseModel], cases: Iterable[Case]) -> tuple[str, ...]:
    """The fields that the cases expect and that can be right or wrong, in the answer type's order."""
    expected = {name for case in cases for name in case.expect}
    return tuple(name for name in kind.model_fields if name in expected and _is_right_or_wrong(kind, name))


def partly_read(kind: type[BaseModel], text: str) -> BaseModel | None:
    """What an answer of another type says in this type's fields, as far as it can be read; None when it is none."""
    try:
        said = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    fields: dict[str, Any] = {}
    for name in kind.model_fields.keys() & said.keys():
        with suppress(ValidationError):
            fields[name] = _reader(kind, name).validate_json(json.dumps(said[name]))
    return partial(kind).model_construct(set(fields), **fields)


def wilson(right: int, of: int) -> tuple[float, float]:
    """The Wilson score interval at 95 % of `right` in `of`, two shares of 0 to 1."""
    share, spread = right / of, Z * Z / of
    middle = share + spread / 2
    reach = Z * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, (middle - reach) / (1 + spread)), min(1.0, (middle + reach) / (1 + spread))


def calibration_error(certainties: Sequence[tuple[float, bool]], bins: int = BINS) -> float:
    """How far stated and actual certainty are apart, 0 to 1: expected calibration error over bins of equal size.

    Args:
        certainties: at least one; the stated probability, and whether the answer was right.
        bins: how many groups.
    """
    ordered, count = sorted(certainties), min(bins, len(certainties))
    edges = [len(ordered) * number // count for number in range(count + 1)]
    groups = [ordered[start:end] for start, end in pairwise(edges)]
    return sum(abs(sum(p for p, _ in group) - sum(right for _, right in group)) for group in groups) / len(ordered)


def _judged(kind: type[BaseModel], case: Case, came: Answered) -> Judged:
    names = can_be_wrong(kind, [case])
    if came.answer is not None and not isinstance(came.answer, kind):  # what was not there is neither right nor wrong
        names = tuple(name for name in names if name in came.answer.model_fields_set)
    return Judged(case, came, {name: _part(kind, name, case.expect[name], came.answer) for name in names})


def _part(kind: type[BaseModel], name: str, expected: Any, answer: BaseModel | None) -> Part:
    """By value, not by letter: 1.50 is 1.5, and 2026-03-01 the first of March."""
    reader = _reader(kind, name)
    wanted = reader.validate_json(json.dumps(expected))
    if answer is None:
        return Part(False, _as_text(reader, wanted), NOTHING)
    got = getattr(answer, name)
    return Part(bool(got == wanted), _as_text(reader, wanted), _as_text(reader, got))


@cache
def _reader(kind: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Reads one field of an answer type, and writes it."""
    return TypeAdapter(annotated(kind.model_fields[name]))


def _as_text(reader: TypeAdapter[Any], value: Any) -> str:
    plain = reader.dump_python(value, mode="json")
    return plain if isinstance(plain, str) else json.dumps(plain, sort_keys=True, ensure_ascii=False)


@cache
def _is_right_or_wrong(kind: type[BaseModel], name: str) -> bool:
    field = kind.model_fields[name]
    return not _is_text(field) and not any(isinstance(mark, Probability) for mark in field.metadata)


def _is_text(field: FieldInfo) -> bool:
    """Whether a field is words of the model's own, of which many are as good as those that a case expects."""
    annotation: Any = field.annotation
    union = get_origin(annotation) in (Union, types.UnionType)
    kinds = {kind for kind in (get_args(annotation) if union else (annotation,)) if kind is not type(None)}
    return kinds == {str} or any(isinstance(mark, Template | Extract) for mark in field.metadata)


def _texts(kind: type[BaseModel], cases: Iterable[Case]) -> Iterator[str]:
    expected = {name for case in cases for name in case.expect}
    return (name for name, field in kind.model_fields.items() if name in expected and _is_text(field))


def _field_score(name: str, found: Iterable[Judged]) -> FieldScore:
    parts = [one.parts[name] for one in found if name in one.parts]
    right = sum(part.right for part in parts)
    low, high = wilson(right, len(parts))
    confusion: dict[str, dict[str, int]] = {}
    for part in parts:
        row = confusion.setdefault(part.expected, {})
        row[part.got] = row.get(part.got, 0) + 1
    return FieldScore(field=name, right=right, of=len(parts), low=low, high=high, confusion=confusion)


def _similarity(name: str, found: Iterable[Judged]) -> float:
    both = [(one.case.expect[name], one.answered.answer) for one in found if name in one.case.expect]
    return statistics.fmean(alike(text or "", getattr(answer, name) or "") if answer else 0.0 for text, answer in both)


def alike(one: str, other: str, most: int | None = None) -> float:
    """How alike two texts are, 0 to 1, by their words in order, at most the first `most`; case does not matter."""
    left, right = (re.findall(r"\w+", text.casefold())[:most] for text in (one, other))
    return SequenceMatcher(None, left, right, autojunk=False).ratio()


def _certainties(found: Iterable[Judged], kind: type[BaseModel], stated: str) -> list[tuple[float, bool]] | None:
    """Each usable answer's stated probability, and whether it was right; None when no case expects its field."""
    about = next(mark.of for mark in kind.model_fields[stated].metadata if isinstance(mark, Probability))
    both = [(one.answered.answer, one.parts[about].right) for one in found if about in one.parts]
    return [(float(getattr(answer, stated)), right) for answer, right in both if answer] if both else None


def percent(right: int, of: int) -> str:
    """A share as per cent; cut, not rounded: 89.97 is not the 90 that it misses."""
    return f"{1000 * right // of / 10:g}%"

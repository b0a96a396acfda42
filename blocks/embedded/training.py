"""From a prompt's example cases to a trained classifier for each of its `Label` fields."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic.fields import FieldInfo

from blocks import minilm
from blocks.embedded import papers
from blocks.embedded.abstention import Abstention, abstention, stated
from blocks.embedded.calibration import Integers
from blocks.embedded.classifier import Classifier, Prediction, fit
from blocks.embedded.inputs import classified, clean, text_of
from blocks.embedded.marks import judged_field, mark_of
from prompts import Case, Prompt, PromptError
from prompts.fields import Label, Recognise


@dataclass(frozen=True)
class Learnt:
    """What a prompt's examples taught."""

    classifiers: Mapping[str, Classifier]
    """By the name of each `Label` field."""
    judged: str | None
    """The field whose probability the answer states."""
    abstention: Abstention | None
    """When that field, and with it the answer, is left to a person; None when the answer states no probability."""


def train(prompt: Prompt, examples: Sequence[Case], folder: Path | None) -> Learnt:
    """One classifier for each `Label` field, over one embedding of the examples.

    Args:
        prompt: whose answer type names the fields.
        examples: cases that say what is expected in these fields; a case may leave one out.
        folder: as `minilm.embed`.

    Raises:
        PromptError: a field that cannot be learnt from the examples, or an example that does not fit; by name.
        VendorError: as `minilm.embed`.
    """
    judged = judged_field(prompt)
    fields = {n: f for n, f in prompt.answer.model_fields.items() if isinstance(mark_of(prompt, n, f), Label)}
    texts = [_text(prompt, case) for case in examples]
    vectors = minilm.embed(texts if fields else [], folder)
    classifiers = {}
    for name, field in fields.items():
        labels = _labels(prompt, name, field)
        rows = [row for row, case in enumerate(examples) if name in case.expect]
        targets = _targets(prompt, name, labels, [examples[row] for row in rows])
        classifiers[name] = fit(labels, [texts[row] for row in rows], vectors[rows], targets)
    if judged is None:
        return Learnt(classifiers, None, None)
    unseen = classifiers[judged].unseen if judged in classifiers else tuple(_recognised(prompt, judged, examples))
    return Learnt(classifiers, judged, abstention(unseen, prompt.settings.precision))


def _recognised(prompt: Prompt, name: str, examples: Sequence[Case]) -> Iterator[tuple[float, bool]]:
    """Of each example that says what kind of document it is: the probability stated, and whether it was right.

    What rules recognise is not learnt from the examples; but they show from which probability on it is right.
    """
    for case in examples:
        if name in case.expect:
            found = recognitions(prompt, clean(case.inputs))[name]
            yield stated(found.probability), found.label == case.expect[name]


def recognitions(prompt: Prompt, inputs: Mapping[str, Any]) -> dict[str, Prediction]:
    """By the name of each `Recognise` field, what kind of document it is about."""
    marks = {name: mark_of(prompt, name, field) for name, field in prompt.answer.model_fields.items()}
    return {
        name: Prediction(*papers.recognised(text_of(inputs, mark.text)))
        for name, mark in marks.items()
        if isinstance(mark, Recognise)
    }


def _text(prompt: Prompt, case: Case) -> str:
    try:
        return classified(prompt, clean(case.inputs))
    except PromptError as error:
        raise PromptError(f"prompt {prompt.name}: case {case.name}: {error}") from error


def _labels(prompt: Prompt, name: str, field: FieldInfo) -> tuple[Any, ...]:
    if get_origin(field.annotation) is not Literal:
        raise PromptError(f"prompt {prompt.name}: field {name} is a Label, so its type must be a Literal")
    # Sorted, as the folds go by it: Python's typing takes `Literal["a", "b"]` for `Literal["b", "a"]`, and which of the
    # two it hands out depends on what was imported before.
    return tuple(sorted(get_args(field.annotation), key=str))


def _targets(prompt: Prompt, name: str, labels: tuple[Any, ...], cases: Sequence[Case]) -> Integers:
    """The index in `labels` of what each case expects in the field `name`, shape [len(cases)]."""
    targets = [_target(prompt, name, labels, case) for case in cases]
    if len(set(targets)) < min(2, len(labels)):
        raise PromptError(
            f"prompt {prompt.name}: field {name} needs example cases of at least two labels in cases.jsonl; "
            "the embedded model learns from them"
        )
    return np.array(targets)


def _target(prompt: Prompt, name: str, labels: tuple[Any, ...], case: Case) -> int:
    expected = case.expect[name]
    if expected not in labels:
        raise PromptError(
            f"prompt {prompt.name}: case {case.name} expects {expected!r} in {name}, "
            f"which is none of {', '.join(map(str, labels))}"
        )
    return labels.index(expected)

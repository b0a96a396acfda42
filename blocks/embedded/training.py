"""From a prompt's example cases to a trained classifier for each of its `Label` fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic.fields import FieldInfo

from blocks import minilm
from blocks.embedded.abstention import Abstention, abstention
from blocks.embedded.calibration import Integers
from blocks.embedded.classifier import Classifier, fit
from blocks.embedded.inputs import classified, clean
from blocks.embedded.marks import judged_field, mark_of
from prompts import Case, Prompt, PromptError
from prompts.fields import Label


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
    vectors = minilm.embed(texts, folder)
    classifiers = {}
    for name, field in fields.items():
        labels = _labels(prompt, name, field)
        rows = [row for row, case in enumerate(examples) if name in case.expect]
        targets = _targets(prompt, name, labels, [examples[row] for row in rows])
        classifiers[name] = fit(labels, [texts[row] for row in rows], vectors[rows], targets)
    found = abstention(classifiers[judged].unseen, prompt.settings.precision) if judged else None
    return Learnt(classifiers, judged, found)


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

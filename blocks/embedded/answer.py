"""One answer: every field filled in as its mark says."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from blocks.embedded import papers
from blocks.embedded.abstention import stated
from blocks.embedded.inputs import body, text_of
from blocks.embedded.marks import mark_of, max_chars, min_chars
from blocks.embedded.minutes import Minutes, minutes
from blocks.embedded.quote import Embed, quotes
from blocks.embedded.reply import reply, template_title
from blocks.embedded.summary import summary
from blocks.embedded.text import cut
from prompts import Prompt, PromptError
from prompts.fields import Extract, Label, Minuted, Probability, Quote, ReadOff, Recognise, Template

if TYPE_CHECKING:
    from blocks.embedded.classifier import Prediction

REPLY_CHARS = 1_000_000  # of a reply field that sets no limit


def answer(
    prompt: Prompt, inputs: Mapping[str, Any], predictions: Mapping[str, "Prediction"], embed: Embed
) -> tuple[str, dict[str, Any]]:
    """The answer as JSON, and what to tell about it: probabilities, and which template filled which field.

    Args:
        prompt: whose answer type is filled in.
        inputs: its variables, cleaned.
        predictions: by the name of each `Label` and each `Recognise` field.
        embed: rows of length 1 for texts, where a field quotes.

    Raises:
        PromptError: a field cannot be filled in, or a template names what is not known; by name.
    """
    values, templates = _filled(prompt, inputs, predictions, embed)
    _check(prompt, values)
    told = {name: _by_name(prediction.probabilities) for name, prediction in predictions.items()}
    return json.dumps(values, ensure_ascii=False), {"probabilities": told, "drafted_from_template": templates}


def _filled(
    prompt: Prompt, inputs: Mapping[str, Any], predictions: Mapping[str, "Prediction"], embed: Embed
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values by alias, and by name the template of each reply that has one."""
    values: dict[str, Any] = {}
    templates: dict[str, str] = {}
    found: Minutes | None = None
    for name, field in prompt.answer.model_fields.items():
        match mark_of(prompt, name, field):
            case Label() | Recognise():
                value: Any = predictions[name].label
            case Probability(of=label):
                prediction = _predicted(prompt, name, label, predictions)
                value = stated(prediction.probability)
            case Extract(max_chars=limit):
                value = summary(prompt, inputs, min_chars(field), max_chars(field, limit))
            case Template(by=label):
                title = template_title(prompt, _predicted(prompt, name, label, predictions).label, inputs)
                value = cut(reply(prompt, title, inputs), max_chars(field, REPLY_CHARS)) if title else ""
                templates |= {name: title} if title else {}
            case Quote(passages=passages):
                value = quotes(prompt, inputs, passages, embed)
            case ReadOff(text=text, kind=kind, part=part, own=own):
                value = papers.read_off(text_of(inputs, text), values[kind], part, text_of(inputs, own))
            case Minuted(what=what):
                found = found or minutes(body(prompt, inputs))
                value = getattr(found, what)
            case _:
                continue
        values[field.alias or name] = value
    return values, templates


def _predicted(prompt: Prompt, name: str, label: str, predictions: Mapping[str, "Prediction"]) -> "Prediction":
    if label not in predictions:
        raise PromptError(f"prompt {prompt.name}: field {name} refers to {label}, which is not a Label field")
    return predictions[label]


def _check(prompt: Prompt, values: Mapping[str, Any]) -> None:
    try:
        prompt.answer.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PromptError(f"prompt {prompt.name}: cannot fill field {where}: {first['msg']}") from error


def _by_name(probabilities: Mapping[Any, float]) -> dict[str, float]:
    return {str(label): stated(probability) for label, probability in probabilities.items()}

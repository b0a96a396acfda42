"""Answers: a model's text is read by the prompt's answer type, or it is said what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from blocks.models import Model
from prompts import Prompt

STOPPED = {
    "refusal": "the model refused to answer",
    "max_tokens": "the answer was cut off at the prompt's max_tokens",
    "model_context_window_exceeded": "the input did not fit the model's context",
}


@dataclass(frozen=True)
class Verdict:
    """What became of one reply: the answer, or what was wrong with it. One of them is set."""

    text: str
    stop_reason: str
    answer: BaseModel | None = None
    complaint: str = ""


def judge(kind: type[BaseModel], text: str, stop_reason: str = "end_turn") -> Verdict:
    """Read a model's text as an answer; what is wrong with it is said for the model and for a person."""
    if stop_reason in STOPPED:
        return Verdict(text, stop_reason, complaint=STOPPED[stop_reason])
    try:
        return Verdict(text, stop_reason, answer=kind.model_validate_json(text))
    except ValidationError as error:
        return Verdict(text, stop_reason, complaint=_complaint(error))


def threshold_of(confidence: float, prompt: Prompt, model: Model) -> float:
    """The probability under which an answer is left to a person: the higher of the card's and the model's own."""
    return max(confidence, model.threshold(prompt))


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"the answer is not JSON: {first['ctx']['error']}"
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()[:5])

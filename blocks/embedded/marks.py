"""What an answer type asks of a field: its mark of `prompts.fields`, and the lengths that it allows."""

from pydantic.fields import FieldInfo

from prompts import Prompt, PromptError
from prompts.fields import Extract, Label, Minuted, Probability, Quote, ReadOff, Recognise, Template

Mark = Label | Extract | Template | Quote | Minuted | Recognise | ReadOff | Probability


def mark_of(prompt: Prompt, name: str, field: FieldInfo) -> Mark | None:
    """The field's mark; None for a field that keeps its default.

    Raises:
        PromptError: the field has neither.
    """
    for mark in field.metadata:
        if isinstance(mark, Mark):
            return mark
    if field.is_required():
        raise PromptError(
            f"prompt {prompt.name}: field {name} has neither a mark of prompts.fields nor a default, "
            "and the embedded model cannot write"
        )
    return None


def judged_field(prompt: Prompt) -> str | None:
    """The `Label` or `Recognise` field that the answer's first `Probability` is about; None when it states none.

    Raises:
        PromptError: what it is about is not a `Label` field, or a field has neither a mark nor a default; by name.
    """
    marks = {name: mark_of(prompt, name, field) for name, field in prompt.answer.model_fields.items()}
    for name, mark in marks.items():
        if isinstance(mark, Probability):
            if not isinstance(marks.get(mark.of), Label | Recognise):
                raise PromptError(f"prompt {prompt.name}: field {name} refers to {mark.of}, which is not a Label field")
            return mark.of
    return None


def min_chars(field: FieldInfo) -> int:
    """The fewest characters that the field allows."""
    return _bound(field, "min_length", 0)


def max_chars(field: FieldInfo, limit: int) -> int:
    """The most characters that the field allows, and no more than `limit`."""
    return min(limit, _bound(field, "max_length", limit))


def _bound(field: FieldInfo, kind: str, default: int) -> int:
    found = [getattr(mark, kind) for mark in field.metadata if isinstance(getattr(mark, kind, None), int)]
    return found[0] if found else default

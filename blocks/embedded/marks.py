"""What an answer type asks of a field: its mark of `prompts.fields`, and the lengths that it allows."""

from pydantic.fields import FieldInfo

from prompts import Prompt, PromptError
from prompts.fields import Extract, Label, Probability, Template


def mark_of(prompt: Prompt, name: str, field: FieldInfo) -> Label | Extract | Template | Probability | None:
    """The field's mark; None for a field that keeps its default.

    Raises:
        PromptError: the field has neither.
    """
    for mark in field.metadata:
        if isinstance(mark, Label | Extract | Template | Probability):
            return mark
    if field.is_required():
        raise PromptError(
            f"prompt {prompt.name}: field {name} has neither a mark of prompts.fields nor a default, "
            "and the embedded model cannot write"
        )
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

"""What the embedded model reads of a prompt's variables."""

import re
from collections.abc import Mapping
from typing import Any

from blocks import minilm
from blocks.embedded.text import one_line
from prompts import Prompt, PromptError

REPLY_PREFIX = re.compile(r"^(?:\s*(?:re|fwd?|aw|wg|tr|rv)\s*:)+\s*", re.IGNORECASE)


def clean(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables, with a space for every character that does not print, but for line breaks and tabs."""
    return {name: _printable(value) if isinstance(value, str) else value for name, value in variables.items()}


def _printable(text: str) -> str:
    # Control and direction marks can hide what a mail says, and a NUL or a lone surrogate breaks the ledger.
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text)


def classified(prompt: Prompt, inputs: Mapping[str, Any]) -> str:
    """What the classifier reads: the variables in `settings.classify`, one after the other.

    Raises:
        PromptError: one of them is missing, by name.
    """
    missing = [name for name in prompt.settings.classify if name not in inputs]
    if missing:
        raise PromptError(f"prompt {prompt.name}: {', '.join(missing)} is missing; `classify` names it")
    return "\n".join(text_of(inputs, name) for name in prompt.settings.classify)[: minilm.WINDOW_CHARS]


def body(prompt: Prompt, inputs: Mapping[str, Any]) -> str:
    """The long text: the variable in `settings.trim`, or else what is classified, without the subject."""
    names = (prompt.settings.trim,) if prompt.settings.trim in inputs else prompt.settings.classify
    return "\n\n".join(text_of(inputs, name) for name in names if name != "subject")


def subject(inputs: Mapping[str, Any]) -> str:
    """The subject on one line, without `Re:` and its like in four languages; empty without one."""
    return one_line(REPLY_PREFIX.sub("", text_of(inputs, "subject")))


def text_of(inputs: Mapping[str, Any], name: str) -> str:
    """One variable as text; empty when it is None or missing."""
    value = inputs.get(name)
    return "" if value is None else str(value)

"""The reply: a template of the prompt folder, with the few facts that are known of a mail."""

from collections.abc import Mapping
from typing import Any

from blocks.embedded.first_name import first_name
from blocks.embedded.inputs import body, subject
from blocks.embedded.language import language_of
from blocks.embedded.text import cut
from prompts import Prompt

FACT_CHARS = 120  # the longest fact that a template is filled with


def template_title(prompt: Prompt, label: Any, inputs: Mapping[str, Any]) -> str:
    """The section of `replies.md` for a label, in the writer's language if there is one; else empty."""
    language = language_of(body(prompt, inputs))
    return next((title for title in (f"{label}.{language}", str(label)) if title in prompt.replies), "")


def reply(prompt: Prompt, title: str, inputs: Mapping[str, Any]) -> str:
    """The section `title` of `replies.md`, filled in.

    Raises:
        PromptError: the template names what is neither a variable nor a fact, by name.
    """
    return prompt.fill(prompt.replies[title], {**inputs, **_facts(inputs)}).strip()


def _facts(inputs: Mapping[str, Any]) -> dict[str, str]:
    """What a template may name beside the prompt's variables: each on one line, empty when not known."""
    facts = {"first_name": first_name(inputs), "subject": subject(inputs)}
    return {name: cut(fact, FACT_CHARS) for name, fact in facts.items()}

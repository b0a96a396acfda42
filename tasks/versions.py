"""Prompt versions: what was asked, word for word, stays in the ledger under the hash that names it."""

from __future__ import annotations

from typing import Any

from blocks.ledger import Ledger, PromptVersion, insert
from blocks.models import Model, version_of
from prompts import Prompt


def remember(ledger: Ledger, prompt: Prompt, model: Model) -> str:
    """The version of this prompt as this model answers it; its text is kept, once."""
    version = version_of(prompt, model)
    with ledger.read() as session:
        known = session.get(PromptVersion, version)
    if known is None:
        row = {"version": version, "prompt": prompt.name, "model": model.identity(prompt), "content": content(prompt)}
        with ledger.write() as session:
            session.execute(insert(session, PromptVersion).on_conflict_do_nothing(), [row])
    return version


def content(prompt: Prompt) -> dict[str, Any]:
    """All of a prompt that is in its version, but the model."""
    return {
        "system": prompt.system,
        "user": prompt.user,
        "schema": prompt.schema,
        "settings": prompt.settings.model_dump(mode="json"),
        "replies": prompt.replies,
    }

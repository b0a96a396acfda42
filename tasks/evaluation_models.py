"""Which model an evaluation asks: the card's, or one that was named for it."""

from __future__ import annotations

from blocks import connections
from blocks.anthropic import Claude
from blocks.models import Model
from blocks.prices import Tokens, list_cost
from tasks.card import Card
from tasks.comparison import family
from tasks.run import model_of

EMBEDDED = "embedded"


class ModelError(Exception):
    """There is no such model to ask; the message says what to name, or what to save first."""


def named(name: str | None, card: Card | None, prompt: str) -> Model:
    """The model that `name` says.

    Args:
        name: `embedded`, a block such as `claude/triage`, or a Claude model's name, which is asked with the key and
            address of the card's block; None for the card's model.
        card: of the workflow that uses the prompt; None when none does.
        prompt: the prompt's name, for errors.

    Raises:
        ModelError: the name is of no model, or there is no block with a key for it.
        MissingCredential: nobody has saved the block.
    """
    if name == EMBEDDED or (name is None and card is None):
        from blocks.embedded import EmbeddedModel

        return EmbeddedModel()
    if name is None and card is not None:
        return model_of(card)
    if name and "/" in name:
        return _block(name)
    return _with_the_cards_key(name or "", card, prompt)


def of_identity(identity: str, card: Card | None, prompt: str) -> Model:
    """The model that a remembered version was asked of, by the version's `PromptVersion.model`.

    It is asked where the card's block is: whoever asks compares the version, which another address changes.

    Raises:
        ModelError: it is the embedded one; or as `named`.
    """
    if identity.startswith(EMBEDDED):
        raise ModelError("the embedded model has learnt from other examples since")
    return _with_the_cards_key(family(identity), card, prompt)


def _block(name: str) -> Claude:
    found = connections.load_if_present(name) if name.startswith("claude/") else None
    if found is None and name.startswith("claude/"):
        raise ModelError(f"there is no block {name} on this Prefect server; save one, or name another model")
    if not isinstance(found, Claude):
        raise ModelError(f"{name} is no model: name embedded, a block such as claude/triage, or a Claude model")
    return found


def _with_the_cards_key(model: str, card: Card | None, prompt: str) -> Claude:
    if card is None:
        raise ModelError(
            f"no card uses {prompt}, so that there is no key for {model}: name a block, as in claude/triage"
        )
    block = connections.load_if_present(card.model)
    if not isinstance(block, Claude):
        raise ModelError(f"nobody has saved the block {card.model}, whose key and address {model} would be asked with")
    changes: dict[str, object] = {"model": model}
    if _is_listed(model):  # prices in the block are those of the block's own model
        changes |= {"usd_per_million_input": None, "usd_per_million_output": None}
    # Deep: what the block has found out about its own model must not be taken for granted of this one.
    return block if block.model == model else block.model_copy(update=changes, deep=True)


def _is_listed(model: str) -> bool:
    try:
        list_cost("anthropic", model, Tokens(0, 0))
    except LookupError:
        return False
    return True

"""Try every prompt that is in use on its held-out cases, so that a change for the worse is noticed within a day."""

from __future__ import annotations

from prefect import flow

from blocks.ledger import Ledger
from tasks import flow_cards
from tasks.evaluation_task import evaluate_card, evaluate_library
from tasks.retrieval_eval import questions_of


class NotEvaluated(Exception):
    """Some prompts could not be evaluated; the message names each, with the reason."""


@flow(name="evaluate-prompts")
def evaluate_prompts(prompt: str | None = None) -> dict[str, str]:
    """Evaluate the prompt of every card, or only the one named, each within its card's dollars.

    Returns the verdicts, by workflow: two cards may share a prompt, each with a model and a bar of its own.

    A prompt that misses its card's bar opens an alert. Answers that are known already cost nothing again, so that a day
    without a change is free. The library is asked the questions of each such prompt's folder, where it has any.
    """
    chosen = [card for card in flow_cards.all_beside(__file__) if prompt in (None, card.prompt)]
    if not chosen:
        raise NotEvaluated(f"no card uses the prompt {prompt}")
    ledger = Ledger.open()
    # By state: one prompt that fails does not keep the others from being evaluated.
    states = {card.workflow: evaluate_card(ledger, card, return_state=True) for card in chosen}
    for name in sorted({card.prompt for card in chosen if questions_of(card.prompt).is_file()}):
        states[f"{name}: library"] = evaluate_library(ledger, name, return_state=True)
    if failed := [f"{name}: {state.message}" for name, state in states.items() if not state.is_completed()]:
        raise NotEvaluated("; ".join(failed))
    return {name: str(state.result()) for name, state in states.items()}

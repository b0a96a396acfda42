"""A workflow that meets real accounts for the first time does nothing but watch."""

from __future__ import annotations

from prefect.variables import Variable

from deployments.cards import cards
from tasks.card import Stage
from tasks.run import stage_variable


def lower_new_workflows() -> list[tuple[str, str]]:
    """Set each workflow's stage Variable to shadow where there is none; returns (workflow, variable) of those."""
    lowered = []
    for card in cards():
        name = stage_variable(card.workflow)
        if Variable.get(name) is None:
            Variable.set(name, Stage.SHADOW.value)
            lowered.append((card.workflow, name))
    return lowered

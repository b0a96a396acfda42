"""Which event starts which workflow. A line in `TRIGGERS` is all that another one needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from blocks.webhook_events import at_path
from deployments.cards import declared_deployments
from deployments.errors import CommandError
from deployments.running import ROOT
from deployments.their_errors import text_of


@dataclass(frozen=True)
class Trigger:
    """Events of one source that start a deployment."""

    source: str
    """The name of the webhook endpoint's block: `stripe` for webhook-endpoint/stripe."""
    deployment: str
    """As in prefect.yaml."""
    kinds: tuple[str, ...] = ()
    """The vendor's own names of what happened; none for everything."""
    together: bool = False
    """The event only says "look again": all that wait at a moment start one run, and none that has yet to begin is
    doubled. Otherwise each starts a run of its own."""
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The flow's parameters that are taken from the event, each with where it stands there: `data.object.id`. Nothing
    else of an event reaches a run."""

    def wants(self, source: str, kind: str) -> bool:
        """Whether an event is one of these."""
        return source == self.source and (not self.kinds or kind in self.kinds)


TRIGGERS: tuple[Trigger, ...] = (
    Trigger("gmail", "lead-triage", together=True),
    Trigger("hubspot", "deal-followup", ("deal.creation", "deal.propertyChange"), together=True),
    Trigger("hubspot", "support-answer", ("ticket.creation", "ticket.propertyChange"), together=True),
    Trigger("stripe", "billing-agent", ("invoice.overdue",), together=True),
)
"""For a web form of your own whose flow takes its events with `tasks.events.new`, and a flow that is told of one:

    Trigger("web-form", "form-intake", together=True),
    Trigger("shop", "order-check", ("order.paid",), parameters={"order": "data.id"}),
"""


class TriggerError(CommandError):
    """A trigger is wrong; the message names it and the way out."""


class NoValue(Exception):
    """An event lacks what a parameter is to be taken from, or holds no plain value there."""


def find(triggers: Sequence[Trigger], source: str, kind: str) -> Trigger | None:
    """The trigger that an event is for, if there is one."""
    return next((trigger for trigger in triggers if trigger.wants(source, kind)), None)


def parameters_of(trigger: Trigger, payload: Mapping[str, Any] | None) -> dict[str, Any]:
    """A run's parameters, from the event.

    Raises:
        NoValue: the event does not hold one of them.
    """
    found = {name: at_path(payload, path) for name, path in trigger.parameters.items()}
    for name, value in found.items():
        # Nothing with an inside: Prefect would fill in the templates and variables that an object can ask for.
        if not isinstance(value, str | int | float):
            raise NoValue(f"the event has no plain value at {trigger.parameters[name]}, which {name} is to be")
    return found


def refuse_wrong(triggers: Sequence[Trigger] = TRIGGERS) -> None:
    """Return if every trigger can start what it names.

    Raises:
        TriggerError: one cannot.
    """
    for problem in problems(triggers, declared_deployments()):
        raise TriggerError(f"deployments/triggers.py: {problem}")


def problems(triggers: Sequence[Trigger], deployments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with the triggers, each with the way out."""
    known = {str(entry["name"]): entry for entry in deployments}
    for trigger in triggers:
        if trigger.deployment in known:
            yield from _does_not_fit(trigger, known[trigger.deployment])
        else:
            yield f"prefect.yaml has no deployment {trigger.deployment}; it has {', '.join(sorted(known))}"
    for one, other in combinations(triggers, 2):
        both = set(one.kinds) & set(other.kinds) if one.kinds and other.kinds else {"everything"}
        if one.source == other.source and both:
            which = f"{', '.join(sorted(both))} of {one.source}"
            yield f"{which} would start {one.deployment} and {other.deployment}: an event starts one of them"


def _does_not_fit(trigger: Trigger, entry: Mapping[str, Any]) -> Iterator[str]:
    name = f"{trigger.source} -> {trigger.deployment}"
    if trigger.together and trigger.parameters:
        yield f"{name}: events that start a run together cannot give it parameters"
    limit = entry.get("concurrency_limit")
    if isinstance(limit, Mapping) and limit.get("collision_strategy") == "CANCEL_NEW":
        yield f"{name}: prefect.yaml cancels its new runs while one is on, and the event would be lost: say ENQUEUE"
    try:
        unknown = set(trigger.parameters) - _parameters(str(entry["entrypoint"]))
    except SyntaxError as error:
        yield f"{name}: {text_of(error)}"
        return
    if unknown:
        yield f"{name}: the flow has no parameter {', '.join(sorted(unknown))}"


def _parameters(entrypoint: str) -> set[str]:
    """The parameters of a flow function, by its source: importing all flows takes seconds."""
    file, _, function = entrypoint.partition(":")
    tree = ast.parse((ROOT / Path(file)).read_text(encoding="utf-8"), str(ROOT / file))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            return {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    return set()

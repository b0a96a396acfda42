"""Schema drift, told to people: which workflow stops, which of its prompts use the field, and when that is over."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import sqlalchemy as sa

import prompts
from blocks.ledger import Alert, ModelCall, Receipt
from blocks.shape import SchemaDrift
from tasks import alerts
from tasks.budget import LOST

if TYPE_CHECKING:
    from jinja2 import nodes

    from tasks.run import Run

KEY = "drift:"
READ_BY_FETCH = frozenset(
    {
        "gmail:message", "gmail:message-list", "gmail:history", "gmail:profile",
        "hubspot:contact", "hubspot:contact-batch", "hubspot:ticket", "hubspot:ticket-list", "hubspot:deal",
        "hubspot:deal-list", "stripe:list", "stripe:invoice",
    }
)  # fmt: skip
"""The objects of which `fetch` says itself which it has read and found in shape."""

FIELD_BY_FIELD = frozenset({"hubspot:contact"})
"""Those of which each workflow reads other fields."""


@contextmanager
def told(run: Run) -> Iterator[None]:
    """Around everything that a run does: a reply that has changed its shape ends it loudly and opens an alert.

    A run that comes to its end closes the alerts about whatever it has read, which is as it should be again.

    Raises:
        SchemaDrift: the one that was raised, with what it means for this workflow in its message.
    """
    try:
        yield
    except SchemaDrift as error:
        message = f"{error}. {consequence(run, error)}"
        error.args = (message,)
        alerts.open_alert(run.ledger, key(error), message, run.card.workflow)
        raise
    _close_mended(run)


def key(error: SchemaDrift) -> str:
    """The alert's key: `drift:hubspot:contact.firstname`."""
    return f"{KEY}{error.vendor}:{error.path}"


def consequence(run: Run, error: SchemaDrift) -> str:
    """What the drift means for the run's workflow, in a sentence."""
    card = run.card
    if error.vendor == card.model.split("/")[0]:
        return (
            f"{card.workflow} reads the answers to the prompt {card.prompt} with it and stops until this is mended; "
            "what was asked counts as paid."
        )
    stops = f"{card.workflow} {_use(card.prompt, error, card.fields_of(error.vendor))} and stops until this is mended"
    asked = _asked(run)
    sent = "no prompt was sent" if not asked else f"no other prompt was sent after the {asked} of this run"
    return f"{stops}; {sent}."


def seen(run: Run, what: str, fields: Collection[str] = ()) -> None:
    """Note that `what` (`gmail:message`, say) was read by this run and is in shape, with these fields of its own."""
    run.in_shape.add(what)
    run.in_shape.update(f"{what}.{name}" for name in fields)


def _use(prompt: str, error: SchemaDrift, fields: Collection[str]) -> str:
    variable, name = error.object, error.field.split(".")[-1]
    if name not in fields:
        return "needs it"
    if variable not in _variables(prompt) or _prompt_uses(prompt, variable, name):
        # Mail comes to the prompt in parts that have other names; then the card's word counts.
        return f"uses it in the prompt {prompt}"
    return "uses it in its decisions"


@cache
def _variables(prompt: str) -> frozenset[str]:
    from jinja2 import meta

    return frozenset(meta.find_undeclared_variables(_tree(prompt)))


@cache
def _prompt_uses(prompt: str, variable: str, field: str) -> bool:
    """Whether the prompt's text has `variable.field`, or hands the variable on whole, as `variable.items()` does."""
    from jinja2 import nodes

    tree = _tree(prompt)
    dots = [n for n in tree.find_all(nodes.Getattr) if _is(n.node, variable)]
    brackets = [n for n in tree.find_all(nodes.Getitem) if _is(n.node, variable)]
    named = {n.attr for n in dots} | {n.arg.value for n in brackets if isinstance(n.arg, nodes.Const)}
    only_asked_for = sum(_is(n.test, variable) for n in tree.find_all(nodes.If))
    everywhere = sum(_is(n, variable) for n in tree.find_all(nodes.Name))
    whole = everywhere > len(dots) + len(brackets) + only_asked_for or bool(named & {"items", "values"})
    return whole or field in named


def _is(node: object, variable: str) -> bool:
    return getattr(node, "name", None) == variable and type(node).__name__ == "Name"


@cache
def _tree(name: str) -> nodes.Template:
    import jinja2

    prompt = prompts.load(name)
    return jinja2.Environment(autoescape=False).parse(f"{prompt.system}\n{prompt.user}")


def _asked(run: Run) -> int:
    with run.ledger.read() as session:
        return session.scalar(sa.select(sa.func.count()).where(ModelCall.run_id == run.id)) or 0


def _close_mended(run: Run) -> None:
    for alert in alerts.still_open(run.ledger):
        if alert.key.startswith(KEY) and _is_mended(run, alert):
            alerts.close_alert(run.ledger, alert.key)


def _is_mended(run: Run, alert: Alert) -> bool:
    """Whether this run has read the alert's field, and found it as it should be."""
    if alert.seen_at >= run.started_at:  # met again since, by this run or by an approved action's
        return False
    path = alert.key.removeprefix(KEY)
    what, vendor = path.split(".")[0], path.split(":")[0]
    if what in READ_BY_FETCH:
        return (path if what in FIELD_BY_FIELD else what) in run.in_shape
    return _answered(run) if vendor == run.card.model.split("/")[0] else _acted(run, vendor)


def _answered(run: Run) -> bool:
    query = sa.select(ModelCall.id).where(ModelCall.run_id == run.id, ModelCall.stop_reason != LOST).limit(1)
    with run.ledger.read() as session:
        return session.scalar(query) is not None


def _acted(run: Run, vendor: str) -> bool:
    """Whether the vendor has given a receipt since the run began: what is read to act is then in shape."""
    query = sa.select(Receipt.id).where(Receipt.vendor == vendor, Receipt.created_at >= run.started_at).limit(1)
    with run.ledger.read() as session:
        return session.scalar(query) is not None

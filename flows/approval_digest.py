"""Tell everybody on weekday mornings what waits for their sign-off, and what runs out today."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from prefect import flow

from blocks.ledger import Ledger
from tasks import approval_notices
from tasks.card import Card


@flow(name="approval-digest")
def approval_digest() -> str:
    """Tell people what waits for them, once a day however often this runs, and whatever else they are to hear of it."""
    ledger, found = Ledger.open(), list(cards())
    told = [*approval_notices.digest(ledger, found), *approval_notices.tell_due(ledger, found)]
    states = Counter(one.state for one in told)
    return ", ".join(f"{count} {state}" for state, count in states.most_common()) or "nothing waits for anybody"


def cards() -> Iterator[Card]:
    """The card of every flow beside this one."""
    here = Path(__file__)
    for path in sorted(here.parent.glob("*.py")):
        if path.stem not in ("__init__", here.stem):
            card = getattr(import_module(f"flows.{path.stem}"), "CARD", None)
            if isinstance(card, Card):
                yield card

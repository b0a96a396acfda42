"""Tell everybody on weekday mornings what waits for their sign-off, and what runs out today."""

from __future__ import annotations

from collections import Counter

from prefect import flow

from blocks.ledger import Ledger
from tasks import approval_notices, flow_cards


@flow(name="approval-digest")
def approval_digest() -> str:
    """Tell people what waits for them, once a day however often this runs, and whatever else they are to hear of it."""
    ledger, found = Ledger.open(), flow_cards.all_beside(__file__)
    told = [*approval_notices.digest(ledger, found), *approval_notices.tell_due(ledger, found)]
    states = Counter(one.state for one in told)
    return ", ".join(f"{count} {state}" for state, count in states.most_common()) or "nothing waits for anybody"

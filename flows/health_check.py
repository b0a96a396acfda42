"""Look whether everything is well, and tell people what is not: once when it begins, and once when it is over."""

from __future__ import annotations

import logging

from prefect import flow

from blocks.ledger import Ledger
from tasks import approval_notices, flow_cards, health, mail_watch, notices
from tasks.card import Card
from tasks.health_finding import Finding


@flow(name="health-check")
def health_check() -> health.Summary:
    """Look at accounts, work, runs and machine; open and close alerts; delete what has no use; tell people.

    Who is asked to decide is told first of what runs out: where that has reached nobody, it is a finding. So it is
    where Google's push of an inbox, which ends after seven days, could not be renewed.
    """
    ledger = Ledger.open()
    cards, broken = cards_and_broken()
    mail_watch.renew(ledger)
    told = approval_notices.tell_due(ledger, cards)
    report = health.look(ledger, cards).with_findings(health.FLOWS, broken)
    settled = health.settle(ledger, report)
    pruned = health.prune(ledger)
    told += notices.send(ledger, cards)
    return health.publish(ledger, report, settled, pruned, told)


def cards_and_broken() -> tuple[list[Card], list[Finding]]:
    """The card of every flow beside this one, and a finding for each file that cannot be imported."""
    cards, wrong = flow_cards.beside(__file__)
    broken = []
    for path, error in wrong.items():
        logging.getLogger(__name__).warning("flows/%s cannot be imported", path.name, exc_info=error)
        why = " ".join(f"{type(error).__name__}: {error}".split())
        broken.append(Finding(f"flows:{path.stem}", f"flows/{path.name} cannot be imported: {why}"))
    return cards, broken

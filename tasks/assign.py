"""Who is asked to decide: the card's owner, until somebody passes it on to another who may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from blocks.ledger import Action, Assignment, Ledger, history
from tasks.approvals import ApprovalError, action_in, check_waits
from tasks.card import Card, of_workflow

LAST_PART = 0.25
"""An approval of whose life only so much is left is told of."""

NOBODY = "nobody in particular"
"""Who is asked where the workflow's card is gone."""


def people(cards: Iterable[Card]) -> list[str]:
    """Everybody whom the cards name by an address of their own."""
    named = {entry.lower() for card in cards for entry in (card.owner, *card.allowed) if "@" in entry}
    return sorted(named)


def who_may(person: str, cards: Iterable[Card]) -> str | None:
    """The address in the one spelling that counts, if that person decides anywhere; None for a stranger."""
    return person.strip().lower() if any(card.names(person) for card in cards) else None


def asked(ledger: Ledger, actions: Sequence[Action], cards: Sequence[Card]) -> dict[int, str]:
    """By action, who is asked to decide on it."""
    owners = {card.workflow: card.owner for card in cards}
    newest = passed_on(ledger, [action.id for action in actions])
    return {action.id: newest.get(action.id) or owners.get(action.workflow, NOBODY) for action in actions}


class Expiring(Protocol):
    """An approval with an end."""

    @property
    def created_at(self) -> datetime:
        """When it was asked for."""

    @property
    def expires_at(self) -> datetime | None:
        """When nobody can decide any more."""


def is_ending(approval: Expiring, now: datetime) -> bool:
    """Whether only the last part of an approval's life is left."""
    until = approval.expires_at
    return until is not None and until - now < LAST_PART * (until - approval.created_at)


def passed_on(ledger: Ledger, action_ids: Sequence[int]) -> Mapping[int, str]:
    """By action, to whom it was passed on last; those that nobody has passed on are missing."""
    query = sa.select(Assignment.action_id, Assignment.person).order_by(Assignment.id)
    if len(action_ids) < 200:  # for more, the whole table is read faster than a list of so many numbers
        query = query.where(Assignment.action_id.in_(action_ids))
    with ledger.read() as session:
        return {number: person for number, person in session.execute(query)}


def assign(
    ledger: Ledger, action_id: int, person: str, *, by: str, comment: str = "", cards: Sequence[Card]
) -> Assignment:
    """Ask somebody else to decide on a waiting action. `tasks.approval_notices` tells them.

    Raises:
        ApprovalError: it does not wait, or that person may not decide on it.
    """
    with ledger.write() as session:
        action = action_in(session, action_id)
        check_waits(action)
        if why := why_not(person, action.workflow, cards):
            raise ApprovalError(why)
        row = Assignment(action_id=action_id, person=person.strip().lower(), by=by, comment=comment.strip())
        session.add(row)
        session.flush()
        history.note(session, "passed on", f"actions/{action_id}", assignment=row.id, person=row.person, by=by)
    return row


def why_not(person: str, workflow: str, cards: Iterable[Card]) -> str:
    """Why somebody may not decide for a workflow, and the way out; empty when they may.

    Its owner may, and whoever is on the card's `allowed` list, on which a domain stands for everybody in it.
    """
    card = of_workflow(workflow, cards)
    if card is None:
        return f"{workflow} has no card that can be read, so nobody can say who may decide on it"
    if card.names(person):
        return ""
    listed = ", ".join(dict.fromkeys((card.owner, *(entry for entry in card.allowed if not entry.startswith("+")))))
    return (
        f"{person} may not decide for {workflow}: its card names {listed}. "
        "Put the address on the card's allowed list first"
    )

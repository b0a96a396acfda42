"""Who is asked to decide: the card's owner, until somebody passes it on to another who may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from blocks.ledger import Action, Assignment, Ledger, history
from tasks.approvals import ApprovalError
from tasks.card import Card

NOBODY = "nobody in particular"
"""Who is asked where the workflow's card is gone."""


def may_decide(person: str, card: Card) -> bool:
    """Whether somebody signs off for a workflow: its owner does, and whoever is on the card's `allowed` list.

    A domain on that list stands for everybody in it, as it does for notices.
    """
    address = person.strip().lower()
    ours = {entry.lower() for entry in (card.owner, *card.allowed)}
    return "@" in address and (address in ours or address.rpartition("@")[2] in ours)


def people(cards: Iterable[Card]) -> list[str]:
    """Everybody whom the cards name by an address of their own."""
    named = {entry.lower() for card in cards for entry in (card.owner, *card.allowed) if "@" in entry}
    return sorted(named)


def who_may(person: str, cards: Iterable[Card]) -> str | None:
    """The address in the one spelling that counts, if that person decides anywhere; None for a stranger."""
    return person.strip().lower() if any(may_decide(person, card) for card in cards) else None


def asked(ledger: Ledger, actions: Sequence[Action], cards: Sequence[Card]) -> dict[int, str]:
    """By action, who is asked to decide on it."""
    owners = {card.workflow: card.owner for card in cards}
    newest = passed_on(ledger, [action.id for action in actions])
    return {action.id: newest.get(action.id) or owners.get(action.workflow, NOBODY) for action in actions}


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
        action = session.get(Action, action_id)
        if action is None:
            raise ApprovalError(f"there is no action {action_id}; `signoff approvals list` shows those that wait")
        if action.state != "waiting":
            raise ApprovalError(f"action {action_id} ({action.title}) does not wait for anybody: it is {action.state}")
        card = next((card for card in cards if card.workflow == action.workflow), None)
        if card is None or not may_decide(person, card):
            raise ApprovalError(not_allowed(person, action.workflow, card))
        row = Assignment(action_id=action_id, person=person.strip().lower(), by=by, comment=comment.strip())
        session.add(row)
        session.flush()
        history.note(session, "passed on", f"actions/{action_id}", assignment=row.id, person=row.person, by=by)
    return row


def not_allowed(person: str, workflow: str, card: Card | None) -> str:
    """Why somebody may not decide, and the way out."""
    if card is None:
        return f"{workflow} has no card any more, so nobody can say who may decide on it"
    listed = ", ".join(dict.fromkeys((card.owner, *(entry for entry in card.allowed if not entry.startswith("+")))))
    return (
        f"{person} may not decide for {workflow}: its card names {listed}. "
        "Put the address on the card's allowed list first"
    )

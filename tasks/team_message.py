"""A message of code of ours to the team's own Slack channel: an action like any other, which needs nobody's word."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Action, Decision, Ledger, history
from tasks import actions
from tasks.actions import BY_CARD, PostMessage


def add(session: Session, message: Action, text: str, allowed_by: str) -> None:
    """Journal a message, which is posted once, whatever crashes.

    Args:
        session: of a transaction.
        message: which one it is: its key, workflow, title, credential, stage and end.
        text: what it says.
        allowed_by: what in a flow's file has allowed it.
    """
    message.payload = PostMessage(text=text).model_dump(mode="json")
    message.digest = actions.digest(PostMessage.kind, message.payload, message.credential)
    message.kind, message.impact = PostMessage.kind, PostMessage.impact
    message.explanation, message.state = "", "pending"
    session.add(message)
    session.flush()
    allowed = {"verdict": "approved", "approver": BY_CARD, "comment": allowed_by}
    session.add(Decision(action_id=message.id, payload=message.payload, digest=message.digest, **allowed))


def refuse_late(ledger: Ledger, mine: sa.ColumnElement[bool], why: str, now: datetime) -> None:
    """Refuse those of these messages that could not be posted by now, and that nobody is posting."""
    late = sa.and_(mine, Action.state.in_(("pending", "unknown")), Action.run_id.is_(None), Action.expires_at <= now)
    with ledger.read() as session:  # a run that has none takes no writer's turn for it
        if session.scalar(sa.select(Action.id).where(late).limit(1)) is None:
            return
    refused = sa.update(Action).where(late).values(state="refused", reason=why, updated_at=now)
    with ledger.write() as session:
        for number in session.scalars(refused.returning(Action.id)).all():
            history.note(session, "action refused", f"actions/{number}")

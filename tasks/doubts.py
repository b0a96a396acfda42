"""Actions that only a person can help: nobody knows whether they were done, or their vendor refused them for good."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Action, Decision, Ledger, Receipt, history
from tasks import actions
from tasks.actions import Impact
from tasks.approvals import ApprovalError, unreadable, wanted
from tasks.going_on import ALIVE, OPEN
from tasks.retention import redacted_on


def doubts(store: Ledger) -> list[Action]:
    """The actions in doubt, oldest first; each one's `reason` holds the evidence."""
    with store.read() as session:
        return list(session.scalars(sa.select(Action).where(Action.state == "unknown").order_by(Action.id)))


def settle(store: Ledger, action_id: int, *, done: bool, by: str, comment: str = "") -> None:
    """Take a person's word for it: done, or not done and therefore to be done by the workflow's next run.

    One that has failed was not done, whatever anybody says: `retry` has it tried again, and `handled` takes a person's
    word that they have done it instead.

    Raises:
        ApprovalError: the action is not in doubt.
    """
    with store.write() as session:
        action = _in(session, action_id, "unknown", called="in doubt", listed="doubts")
        if done:
            detail = {"settled_by": by, "comment": comment, "evidence": action.reason}
            vendor = action.kind.split(".")[0]
            session.add(Receipt(action_id=action_id, vendor=vendor, external_id="", detail=detail, found=True))
            action.state, action.reason = "done", None
        else:
            # What an earlier attempt had begun is gone, so the next one begins at the beginning.
            action.state, action.progress = "pending", None
            action.reason = f"{by} says that it was not done{': ' if comment else ''}{comment}"
        action.run_id = None
        said = "done" if done else "not done"
        history.note(session, "action settled", f"actions/{action_id}", by=by, said=said)


def has_failed() -> sa.ColumnElement[bool]:
    """Whether an action was allowed and has failed for good."""
    return sa.and_(Action.state == "failed", _is_allowed())


def failures(store: Ledger) -> list[Action]:
    """The allowed actions that failed for good, oldest first; each one's `reason` says why."""
    query = sa.select(Action).where(has_failed()).order_by(Action.id)
    with store.read() as session:
        return list(session.scalars(query))


def retry(store: Ledger, action_id: int, *, by: str) -> Action:
    """Let the workflow's next run try a failed action once more, by the decision that allowed it.

    What the attempt before had begun stays known, so that it is looked for first; where that leaves a doubt, the action
    is in doubt again, and `settle` decides. Nothing that moves money is tried so, and nothing of which the like was
    wanted elsewhere meanwhile: a failed action keeps nobody from asking for it anew.

    Raises:
        ApprovalError: the action has not failed, is not allowed, cannot be read, moves money, was wanted anew, or was
            redacted.
    """
    with store.write() as session:
        action = _in(session, action_id, "failed", called="failed", listed="failed")
        if why := _no_retry(session, action):
            raise ApprovalError(f"action {action_id} ({action.title}) is not tried again: {why}")
        action.state, action.run_id, action.reason = "pending", None, f"to be tried again, says {by}"
        history.note(session, "action retried", f"actions/{action_id}", by=by)
        return action


def handled(store: Ledger, action_id: int, *, by: str, comment: str = "") -> Action | None:
    """Take a person's word that they have done by hand what was allowed and has failed. It is no success of ours.

    Returns:
        What would do the same and is still open, if anything is: somebody should reject it.

    Raises:
        ApprovalError: the action has not failed, was never allowed, or was redacted.
    """
    with store.write() as session:
        action = _in(session, action_id, "failed", called="failed", listed="failed")
        if not session.scalar(sa.select(sa.exists().where(Action.id == action_id, has_failed()))):
            raise ApprovalError(
                f"action {action_id} ({action.title}) was never allowed: there is nothing to do by hand"
            )
        if action.redacted_at:
            why = f"what it held was {redacted_on(action.redacted_at)}"
            raise ApprovalError(f"action {action_id} ({action.title}) stays as it is: {why}")
        read = wanted(action)
        twin = (other for other in _others(session, action) if read and _is_like(action, read, other))
        still_open = next((other for other in twin if other.state in OPEN), None)
        action.state, action.reason = "handled", f"{by} has done it by hand{': ' if comment else ''}{comment}"
        history.note(session, "action settled", f"actions/{action_id}", by=by, said="done by hand")
        return still_open


def _in(session: Session, action_id: int, state: str, *, called: str, listed: str) -> Action:
    """The action, which must be in this state.

    Raises:
        ApprovalError: it is not; `called` says what it would be, and `listed` which command lists those that are.
    """
    action = session.get(Action, action_id)
    if action is None or action.state != state:
        now = "not in the ledger" if action is None else action.state
        raise ApprovalError(
            f"action {action_id} is {now}, not {called}; `signoff ledger {listed}` shows those that are"
        )
    return action


def _is_allowed() -> sa.ColumnElement[bool]:
    return sa.exists().where(Decision.action_id == Action.id, Decision.verdict == "approved")


def _no_retry(session: Session, action: Action) -> str | None:
    if action.redacted_at:
        return f"what it held was {redacted_on(action.redacted_at)}"
    read = wanted(action)
    if read is None:
        return unreadable(action)
    if read.money:
        return "it moves money, and its case may have asked for it anew. Do it by hand"
    if other := next(filter(partial(_is_like, action, read), _others(session, action)), None):
        return f"the like was wanted elsewhere, #{other.id}, and is {other.state}. Do it by hand if it is still missing"
    allowed = session.scalar(sa.select(Action.id).where(Action.id == action.id, _is_allowed()))
    return None if allowed else "nobody has approved it"


def _others(session: Session, action: Action) -> Sequence[Action]:
    """What of the same kind is alive of the same record, or was wanted since: of years of replies not all are read."""
    of_record = sa.and_(Action.record_id.is_not(None), Action.record_id == action.record_id)
    query = sa.select(Action).where(
        Action.kind == action.kind,
        Action.id != action.id,
        Action.state.in_(ALIVE),
        sa.or_(Action.id > action.id, of_record),
    )
    return session.scalars(query.order_by(Action.id.desc())).all()


def _is_like(action: Action, read: actions.Action, other: Action) -> bool:
    """Whether doing both might do the same twice: the same payload; or, of what leaves the company, the same record
    at any time, or the same target since."""
    if action.digest == other.digest and other.id > action.id:
        return True
    if action.impact != Impact.HIGH:
        return False
    if action.record_id is not None and action.record_id == other.record_id:
        return True
    theirs = wanted(other)
    return other.id > action.id and theirs is not None and bool(set(read.targets()) & set(theirs.targets()))

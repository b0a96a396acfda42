"""Actions that only a person can help: nobody knows whether they were done, or their vendor refused them for good."""

from __future__ import annotations

import sqlalchemy as sa

from blocks.ledger import Action, Decision, Ledger, Receipt, history
from tasks import actions
from tasks.approval_runs import ApprovalError
from tasks.retention import redacted_on


def doubts(store: Ledger) -> list[Action]:
    """The actions in doubt, oldest first; each one's `reason` holds the evidence."""
    with store.read() as session:
        return list(session.scalars(sa.select(Action).where(Action.state == "unknown").order_by(Action.id)))


def settle(store: Ledger, action_id: int, *, done: bool, by: str, comment: str = "") -> None:
    """Take a person's word for it: done, or not done and therefore to be done by the workflow's next run.

    Raises:
        ApprovalError: the action is not in doubt.
    """
    with store.write() as session:
        action = session.get(Action, action_id)
        if action is None or action.state != "unknown":
            state = "not in the ledger" if action is None else action.state
            raise ApprovalError(
                f"action {action_id} is {state}, not in doubt; `signoff ledger doubts` shows those that are"
            )
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


def failures(store: Ledger) -> list[Action]:
    """The allowed actions that failed for good, oldest first; each one's `reason` says why."""
    query = sa.select(Action).where(Action.state == "failed", _is_allowed()).order_by(Action.id)
    with store.read() as session:
        return list(session.scalars(query))


def retry(store: Ledger, action_id: int, *, by: str) -> Action:
    """Let the workflow's next run try a failed action once more, by the decision that allowed it.

    It looks first whether it was done after all. Nothing that moves money is tried so: its case may have asked anew.

    Raises:
        ApprovalError: the action has not failed, is not allowed, moves money, or was redacted.
    """
    with store.write() as session:
        action = session.get(Action, action_id)
        if action is None or action.state != "failed":
            state = "not in the ledger" if action is None else action.state
            raise ApprovalError(
                f"action {action_id} is {state}, not failed; `signoff ledger failed` shows those that are"
            )
        if why := _no_retry(action):
            raise ApprovalError(f"action {action_id} ({action.title}) is not tried again: {why}")
        if session.scalar(sa.select(Action.id).where(Action.id == action_id, _is_allowed())) is None:
            raise ApprovalError(f"action {action_id} ({action.title}) is not tried again: nobody has approved it")
        # What an earlier attempt had begun may be gone, so the next one begins at the beginning.
        action.state, action.progress, action.run_id = "pending", None, None
        action.reason = f"to be tried again, says {by}; before: {action.reason}"
        history.note(session, "action retried", f"actions/{action_id}", by=by)
        return action


def _is_allowed() -> sa.ColumnElement[bool]:
    return sa.exists().where(Decision.action_id == Action.id, Decision.verdict == "approved")


def _no_retry(action: Action) -> str | None:
    if action.redacted_at:
        return f"what it held was {redacted_on(action.redacted_at)}"
    if action.kind not in actions.KINDS:
        return f"this version of Signoff does not know {action.kind}"
    if actions.load(action.kind, action.payload).money:
        return "it moves money, and its case may have asked for it anew. Do it by hand"
    return None

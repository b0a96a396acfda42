"""Actions of which only a person can say whether they were done, and what the person says."""

from __future__ import annotations

import sqlalchemy as sa

from blocks.ledger import Action, Ledger, Receipt, history
from tasks.approval_runs import ApprovalError


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

"""Carry out one action as a person decided."""

from prefect import flow

from blocks.ledger import Ledger
from tasks import act, approvals, going_on
from tasks.run import alive


@flow(name="perform-action", persist_result=True)
def perform_action(action_id: int) -> str:
    """Take a person's decision, and do exactly that.

    Its runs are created suspended and start when somebody has answered the form: one for each high-impact action, and
    one for all else that a record wants. Of those that were approved together, one carries out all.
    """
    ledger = Ledger.open()
    decision = approvals.take_in(ledger, action_id)
    action = approvals.action_of(ledger, decision.action_id)
    if decision.verdict != "approved":
        going_on.call_back(ledger, action.id)
        return f"{action.title}: {decision.verdict} by {decision.approver or 'nobody'}"
    try:
        with alive(ledger, action.workflow, action.stage) as run_id:
            act.decided(ledger, run_id, act.Approved(action.id, decision.id))
    finally:
        going_on.call_back(ledger, action.id)
    now = approvals.action_of(ledger, action.id)
    why = f" ({now.reason})" if now.state != "done" and now.reason else ""
    return f"{action.title}: {now.state}{why}, as approved by {decision.approver}"

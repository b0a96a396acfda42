"""Carry out one action as a person decided."""

from prefect import flow

from blocks.ledger import Ledger
from tasks import act, approvals
from tasks.run import alive


@flow(name="perform-action", persist_result=True)
def perform_action(action_id: int) -> str:
    """Take a person's decision on one action, and do exactly that.

    Its runs are created suspended, one for each action, and start when somebody has answered the form. Of those that
    were approved together, one carries out all.
    """
    ledger = Ledger.open()
    decision = approvals.settle(ledger, action_id, approvals.answer(ledger, action_id))
    action = approvals.action(ledger, action_id)
    if decision.verdict != "approved":
        return f"{action.title}: {decision.verdict} by {decision.approver or 'nobody'}"
    with alive(ledger, action.workflow, action.stage) as run_id:
        act.decided(ledger, run_id, act.Approved(action_id, decision.id))
    return f"{action.title}: {approvals.action(ledger, action_id).state}, as approved by {decision.approver}"

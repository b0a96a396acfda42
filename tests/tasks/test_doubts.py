"""What a person says of an action in doubt is what counts."""

from collections.abc import Callable

import pytest

from blocks.ledger import Action, Ledger, Receipt
from sandbox.client import Sandbox
from tasks import actions
from tasks.act import Approved
from tasks.approvals import ApprovalError
from tasks.doubts import doubts, settle

pytestmark = pytest.mark.both_databases

Allow = Callable[..., Approved]


@pytest.fixture
def in_doubt(ledger: Ledger, wanted: Callable[[str], actions.Action], allow: Allow) -> Approved:
    """A reply whose draft is gone, and of which nothing says that it was sent."""
    approved = allow(wanted("gmail.send_reply"))
    with ledger.write() as session:
        row = session.get_one(Action, approved.action_id)
        row.state, row.attempts, row.progress = "unknown", 1, {"draft_id": "gone"}
        row.reason = "the draft gone is gone from Gmail"
    return approved


def state(ledger: Ledger, approved: Approved) -> str:
    with ledger.read() as session:
        return session.get_one(Action, approved.action_id).state


def test_doubts_are_listed_with_their_evidence(ledger: Ledger, in_doubt: Approved) -> None:
    (found,) = doubts(ledger)
    assert (found.id, found.reason) == (in_doubt.action_id, "the draft gone is gone from Gmail")


def test_what_a_person_saw_done_is_not_done_again(
    sandbox: Sandbox, ledger: Ledger, in_doubt: Approved, do: Callable[[Approved], None]
) -> None:
    settle(ledger, in_doubt.action_id, done=True, by="Mara", comment="it is in Sent")
    do(in_doubt)
    assert sandbox.sent() == []
    with ledger.read() as session:
        receipt = session.query(Receipt).one()
    assert (receipt.found, receipt.detail["settled_by"], receipt.vendor) == (True, "Mara", "gmail")
    assert doubts(ledger) == []


def test_what_was_not_done_is_done_once(
    sandbox: Sandbox, ledger: Ledger, in_doubt: Approved, do: Callable[[Approved], None]
) -> None:
    settle(ledger, in_doubt.action_id, done=False, by="Mara")
    do(in_doubt)
    do(in_doubt)
    assert len(sandbox.sent()) == 1
    assert state(ledger, in_doubt) == "done"


@pytest.mark.parametrize("action_id", [1, 99])
def test_only_what_is_in_doubt_can_be_settled(
    ledger: Ledger, wanted: Callable[[str], actions.Action], allow: Allow, action_id: int
) -> None:
    allow(wanted("gmail.send_reply"))
    with pytest.raises(ApprovalError, match=f"action {action_id} is .*, not in doubt"):
        settle(ledger, action_id, done=True, by="Mara")

"""What a person says of an action in doubt is what counts; a failed one is tried again when a person says so."""

from collections.abc import Callable

import pytest

from blocks.ledger import Action, Decision, History, Ledger, Receipt, utcnow
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from tasks import actions, audit
from tasks.act import Approved
from tasks.approvals import ApprovalError
from tasks.doubts import doubts, failures, handled, retry, settle

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


@pytest.fixture
def failed(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], actions.Action],
    allow: Allow,
    do: Callable[[Approved], None],
) -> Approved:
    """A note on a ticket that HubSpot has refused."""
    sandbox.fault("bad_request", "hubspot", method="POST", path="/crm/v3/objects/notes")
    approved = allow(wanted("hubspot.note_ticket"))
    with pytest.raises(VendorError, match="400"):
        do(approved)
    assert state(ledger, approved) == "failed"
    return approved


def test_a_failed_one_is_listed_with_the_reason_and_tried_again_when_a_person_says_so(
    sandbox: Sandbox, ledger: Ledger, failed: Approved, resume: Callable[[], list[str]]
) -> None:
    (found,) = failures(ledger)
    assert found.id == failed.action_id
    assert "400" in str(found.reason)
    before = len(sandbox.records("notes"))
    resume()
    assert state(ledger, failed) == "failed"  # not by itself
    retry(ledger, failed.action_id, by="Mara")
    assert failures(ledger) == []
    for _ in range(2):
        resume()
    assert (state(ledger, failed), len(sandbox.records("notes"))) == ("done", before + 1)
    with ledger.read() as session:
        told = session.query(History).filter(History.event == "action retried").one()
    assert told.detail == {"by": "Mara"}
    assert audit.verify(ledger).passed


def test_one_that_was_done_after_all_is_not_done_again(
    sandbox: Sandbox, ledger: Ledger, failed: Approved, do: Callable[[Approved], None]
) -> None:
    retry(ledger, failed.action_id, by="Mara")
    do(failed)
    with ledger.write() as session:  # as if the answer had been lost, and the refusal had come from elsewhere
        session.get_one(Action, failed.action_id).state = "failed"
        session.query(Receipt).delete()
    notes = len(sandbox.records("notes"))
    retry(ledger, failed.action_id, by="Mara")
    do(failed)
    assert (state(ledger, failed), len(sandbox.records("notes"))) == ("done", notes)


def test_one_that_a_person_did_by_hand_is_theirs_and_no_success_of_ours(
    sandbox: Sandbox, ledger: Ledger, failed: Approved, resume: Callable[[], list[str]]
) -> None:
    notes = len(sandbox.records("notes"))
    assert handled(ledger, failed.action_id, by="Mara", comment="wrote it myself") is None
    resume()
    assert (state(ledger, failed), failures(ledger), len(sandbox.records("notes"))) == ("handled", [], notes)
    with ledger.read() as session:
        assert session.query(Receipt).all() == []  # the vendor has proved nothing
        told = session.query(History).filter(History.event == "action settled").one().detail
        assert session.get_one(Action, failed.action_id).reason == "Mara has done it by hand: wrote it myself"
    assert told == {"by": "Mara", "said": "done by hand"}
    assert audit.verify(ledger).passed
    with pytest.raises(ApprovalError, match="is handled, not failed"):
        handled(ledger, failed.action_id, by="Ann")
    with pytest.raises(ApprovalError, match="is handled, not failed"):
        retry(ledger, failed.action_id, by="Ann")


def test_what_was_redacted_or_never_allowed_is_not_taken_for_done_by_hand(ledger: Ledger, failed: Approved) -> None:
    with ledger.write() as session:
        session.get_one(Action, failed.action_id).redacted_at = utcnow()
    with pytest.raises(ApprovalError, match="stays as it is: what it held was redacted"):
        handled(ledger, failed.action_id, by="Mara", comment="Phoned Ann")
    with ledger.write() as session:
        session.get_one(Action, failed.action_id).redacted_at = None
        session.query(Decision).delete()
    with pytest.raises(ApprovalError, match="was never allowed"):
        handled(ledger, failed.action_id, by="Mara")


def test_the_like_that_is_still_open_is_told_of(
    ledger: Ledger, wanted: Callable[[str], actions.Action], allow: Allow
) -> None:
    reply = wanted("gmail.send_reply")
    first = allow(reply, "one")
    with ledger.write() as session:
        session.get_one(Action, first.action_id).state = "failed"
    again = allow(reply.model_copy(update={"body": "In other words."}), "two")
    twin = handled(ledger, first.action_id, by="Mara")
    assert twin is not None
    assert (twin.id, twin.state) == (again.action_id, "pending")


def test_what_was_wanted_anew_meanwhile_is_not_done_twice(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], actions.Action], allow: Allow, do: Callable[..., None]
) -> None:
    reply = wanted("gmail.send_reply")
    first = allow(reply, "one")
    with ledger.write() as session:
        session.get_one(Action, first.action_id).state = "failed"
    again = allow(reply.model_copy(update={"body": "In other words."}), "two")
    do(again)
    with pytest.raises(ApprovalError, match=f"the like was wanted elsewhere, #{again.action_id}, and is done"):
        retry(ledger, first.action_id, by="Mara")
    assert len(sandbox.sent()) == 1


def test_what_an_earlier_attempt_had_begun_is_looked_for(
    sandbox: Sandbox, ledger: Ledger, in_doubt: Approved, do: Callable[[Approved], None]
) -> None:
    with ledger.write() as session:
        session.get_one(Action, in_doubt.action_id).state = "failed"
    retry(ledger, in_doubt.action_id, by="Mara")
    do(in_doubt)
    assert state(ledger, in_doubt) == "unknown"  # its draft is gone: sent by hand, perhaps
    assert sandbox.sent() == []


def test_one_that_this_version_cannot_read_is_refused_in_words(
    ledger: Ledger, wanted: Callable[[str], actions.Action], allow: Allow
) -> None:
    approved = allow(wanted("hubspot.note_ticket"))
    with ledger.write() as session:
        row = session.get_one(Action, approved.action_id)
        row.state, row.payload = "failed", {}
    with pytest.raises(
        ApprovalError, match="is not tried again: this version of Signoff cannot read an action of kind"
    ):
        retry(ledger, approved.action_id, by="Mara")


def test_what_moves_money_or_has_not_failed_is_not_tried_again(
    ledger: Ledger, wanted: Callable[[str], actions.Action], allow: Allow
) -> None:
    money, note, rejected = (
        allow(wanted("stripe.refund"), "one"),
        allow(wanted("hubspot.note_ticket"), "two"),
        allow(wanted("slack.post_message"), "three", verdict="rejected"),
    )
    with ledger.write() as session:
        for one in (money, rejected):
            session.get_one(Action, one.action_id).state = "failed"
    assert [each.id for each in failures(ledger)] == [money.action_id]
    for number, why in (
        (money.action_id, "it moves money"),
        (note.action_id, f"action {note.action_id} is pending, not failed"),
        (rejected.action_id, "nobody has approved it"),
        (99, "action 99 is not in the ledger, not failed"),
    ):
        with pytest.raises(ApprovalError, match=why):
            retry(ledger, number, by="Mara")

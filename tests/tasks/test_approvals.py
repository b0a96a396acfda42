"""Approvals: a person's answer, once, to exactly what was shown, and nothing else, lets an action happen."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Failed

from blocks import ledger as tables
from blocks.ledger import Decision, Ledger, utcnow
from flows.lead_triage import decide, explain
from flows.perform_action import perform_action
from sandbox.client import Delivered, Sandbox
from tasks import act, actions, approval_runs, approvals, gate
from tasks.act import Approved, NotApproved
from tasks.approvals import ApprovalError
from tasks.card import Stage
from tasks.run import Run
from tests.deciding import Desk, contact, note

Begin = Callable[..., AbstractContextManager[Run]]
ANN = "ann@northwind.example"


@pytest.fixture
def mail(sandbox: Sandbox) -> Delivered:
    """The e-mail that waits for an answer."""
    return sandbox.write(sender=ANN, subject="A demo", body="Could we see a demo?")


@pytest.fixture
def waiting(
    mail: Delivered,
    begin: Begin,
    ledger: Ledger,
    deployment: UUID,  # noqa: ARG001
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> int:
    """A reply that waits for a sign-off; its number."""
    number = add_record(
        "validated",
        triaged(reply="Hello Ann, of course."),
        message_id=mail.id,
        thread_id=mail.thread_id,
        rfc822_message_id=mail.message_id,
    )
    with begin() as run:
        gate.check(run, [number], lambda r: [a for a in decide(r) if a.kind == "gmail.send_reply"], explain)
    return only_action(ledger).id


def only_action(ledger: Ledger) -> tables.Action:
    with ledger.read() as session:
        return session.scalars(sa.select(tables.Action)).one()


def only_decision(ledger: Ledger) -> Decision:
    with ledger.read() as session:
        return session.scalars(sa.select(Decision)).one()


def decisions(ledger: Ledger) -> int:
    with ledger.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Decision)) or 0


def work(ledger: Ledger) -> State[Any]:
    """What a worker does with the action's run: run it in this process."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(only_action(ledger).flow_run_id))
    flow: Any = perform_action
    return cast("State[Any]", run_flow(flow, flow_run=run, parameters=run.parameters, return_type="state"))


def prefect_state(ledger: Ledger) -> str:
    with get_client(sync_client=True) as client:
        return str(client.read_flow_run(UUID(only_action(ledger).flow_run_id)).state_name)


def let_expire(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.execute(sa.update(tables.Action).values(expires_at=utcnow() - timedelta(seconds=1)))


def test_an_approved_reply_is_sent_once_as_it_was_shown(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    approvals.respond(ledger, waiting, approve=True, approver="Mara", comment="fine")
    state = work(ledger)
    assert state.is_completed(), state
    assert state.result() == f"Send reply to {ANN}: done, as approved by Mara"
    (sent,) = sandbox.sent()
    assert (sent.to, sent.body) == (ANN, "Hello Ann, of course.")
    decision = only_decision(ledger)
    assert (decision.verdict, decision.approver, decision.comment, decision.edited) == (
        "approved",
        "Mara",
        "fine",
        False,
    )
    assert decision.used_at is not None
    assert only_action(ledger).state == "done"


def test_an_edited_reply_is_sent_as_it_was_edited(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    approvals.respond(ledger, waiting, approve=True, approver="Mara", edits={"body": "Hello Ann, on Tuesday."})
    work(ledger)
    assert [mail.body for mail in sandbox.sent()] == ["Hello Ann, on Tuesday."]
    decision, action = only_decision(ledger), only_action(ledger)
    assert decision.edited
    assert action.payload["body"] == "Hello Ann, of course."
    assert decision.digest == actions.digest(
        action.kind, action.payload | {"body": "Hello Ann, on Tuesday."}, action.credential
    )


def test_a_rejected_reply_is_not_sent_and_the_reason_is_kept(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    approvals.respond(ledger, waiting, approve=False, approver="Mara", comment="too eager")
    assert work(ledger).result() == f"Send reply to {ANN}: rejected by Mara"
    assert sandbox.sent() == sandbox.drafts() == []
    assert (only_action(ledger).state, only_action(ledger).reason) == ("rejected", "too eager")
    with pytest.raises(NotApproved, match="was rejected"):
        act.do(ledger, "nobody", Approved(waiting, only_decision(ledger).id))


def test_a_second_answer_is_refused_before_and_after_the_worker_took_the_first(ledger: Ledger, waiting: int) -> None:
    approvals.respond(ledger, waiting, approve=False, approver="Mara")
    with pytest.raises(ApprovalError, match="does not wait for anybody: it is rejected"):
        approvals.respond(ledger, waiting, approve=True, approver="Tom")
    work(ledger)
    with pytest.raises(ApprovalError, match="does not wait for anybody: it is rejected"):
        approvals.respond(ledger, waiting, approve=True, approver="Tom")
    assert only_decision(ledger).approver == "Mara"


def test_the_same_answer_settled_twice_is_one_decision(ledger: Ledger, waiting: int) -> None:
    yes = {"decision": "approve", "approver": "Mara", "body": "Hello Ann."}
    first = approvals.settle(ledger, waiting, yes)
    second = approvals.settle(ledger, waiting, yes | {"decision": "reject"})
    assert (second.id, second.verdict) == (first.id, "approved")
    assert decisions(ledger) == 1


def test_a_run_that_is_done_twice_sends_once(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    approvals.respond(ledger, waiting, approve=True, approver="Mara")
    work(ledger)
    with get_client(sync_client=True) as client:
        from prefect.states import Scheduled

        client.set_flow_run_state(UUID(only_action(ledger).flow_run_id), Scheduled(), force=True)
    assert work(ledger).is_completed()
    assert len(sandbox.sent()) == 1


@pytest.mark.usefixtures("fast_retries")
def test_a_lost_reply_within_the_approved_run_sends_once(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    approvals.respond(ledger, waiting, approve=True, approver="Mara")
    sandbox.fault("reply_lost", "google", "*/drafts")
    sandbox.fault("reply_lost", "google", "*/drafts/send")
    assert work(ledger).is_completed()
    assert (len(sandbox.sent()), len(sandbox.drafts())) == (1, 0)
    assert only_action(ledger).state == "done"


def test_an_approved_payload_that_was_tampered_with_is_not_sent(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    approvals.respond(ledger, waiting, approve=True, approver="Mara")
    answer = approval_runs.answer_of(str(only_action(ledger).flow_run_id))
    assert answer
    approvals.settle(ledger, waiting, answer)
    with ledger.write() as session:
        session.execute(
            sa.update(Decision).values(payload=only_decision(ledger).payload | {"to": "mallory@evil.example"})
        )
    state = work(ledger)
    assert state.is_failed()
    with pytest.raises(NotApproved, match="it was changed afterwards"):
        state.result()
    assert sandbox.sent() == sandbox.drafts() == []


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"decision": "approve"},
        {"decision": "approve", "approver": "", "body": "Hi"},
        {"decision": "yes", "approver": "Mara", "body": "Hi"},
        {"decision": ["approve"], "approver": "Mara", "body": "Hi"},
        {"decision": "approve", "approver": "Mara"},
        {"decision": "approve", "approver": "Mara", "body": ""},
        {"decision": True, "approver": "Mara", "body": "Hi"},
    ],
)
def test_an_answer_that_cannot_be_read_never_approves(ledger: Ledger, waiting: int, answer: dict[str, Any]) -> None:
    decision = approvals.settle(ledger, waiting, answer)
    assert decision.verdict == "rejected"
    assert decision.comment.startswith("the answer could not be read: ")
    assert only_action(ledger).state == "rejected"


@pytest.mark.parametrize(("approver", "body"), [("", "Hi"), ("Mara", "")])
def test_the_form_refuses_an_incomplete_answer_and_the_action_goes_on_waiting(
    ledger: Ledger, waiting: int, approver: str, body: str
) -> None:
    with pytest.raises(ApprovalError, match="cannot be decided"):
        approvals.respond(ledger, waiting, approve=True, approver=approver, edits={"body": body})
    assert only_action(ledger).state == "waiting"
    approvals.respond(ledger, waiting, approve=False, approver="Mara")


@pytest.mark.usefixtures("deployment")
def test_only_a_text_can_be_edited(
    ledger: Ledger,
    begin: Begin,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    number = add_record("validated", triaged("spam"))
    with begin(stage=Stage.GATED) as run:
        gate.check(run, [number], decide, explain)
    with pytest.raises(ApprovalError, match="has no text to edit"):
        approvals.respond(ledger, only_action(ledger).id, approve=True, approver="Mara", edits={"body": "Hi"})
    approvals.respond(ledger, only_action(ledger).id, approve=True, approver="Mara")


def test_an_action_that_does_not_exist_is_told_with_the_way_out(ledger: Ledger) -> None:
    with pytest.raises(ApprovalError, match=r"there is no action 99; `signoff approvals list`"):
        approvals.respond(ledger, 99, approve=True, approver="Mara")


@pytest.mark.parametrize("state", ["shadow", "refused", "failed"])
def test_what_nobody_was_asked_about_cannot_be_approved(ledger: Ledger, waiting: int, state: str) -> None:
    with ledger.write() as session:
        session.execute(sa.update(tables.Action).values(state=state))
    with pytest.raises(ApprovalError, match=f"does not wait for anybody: it is {state}"):
        approvals.respond(ledger, waiting, approve=True, approver="Mara")
    with pytest.raises(ApprovalError, match=f"does not wait for anybody: it is {state}"):
        approvals.settle(ledger, waiting, {"decision": "approve", "approver": "Mara", "body": "Hi"})
    assert decisions(ledger) == 0


def test_what_nobody_answers_expires_and_its_run_is_cancelled(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    let_expire(ledger)
    with pytest.raises(ApprovalError, match="expired at"):
        approvals.respond(ledger, waiting, approve=True, approver="Mara")
    approvals.catch_up(ledger, "lead-triage")
    approvals.catch_up(ledger, "lead-triage")
    decision = only_decision(ledger)
    assert (decision.verdict, decision.approver, decision.comment) == ("expired", "", "nobody decided in time")
    assert only_action(ledger).state == "expired"
    assert prefect_state(ledger) == "Cancelled"
    assert sandbox.sent() == []


@pytest.mark.parametrize("caught_up", [False, True])
def test_an_approval_given_in_time_holds_when_the_worker_is_late(
    sandbox: Sandbox, ledger: Ledger, waiting: int, caught_up: bool
) -> None:
    approvals.respond(ledger, waiting, approve=True, approver="Mara")
    let_expire(ledger)
    if caught_up:
        approvals.catch_up(ledger, "lead-triage")
    assert work(ledger).result() == f"Send reply to {ANN}: done, as approved by Mara"
    assert len(sandbox.sent()) == 1


@pytest.mark.usefixtures("waiting")
def test_another_workflows_approvals_are_not_expired(ledger: Ledger) -> None:
    let_expire(ledger)
    approvals.catch_up(ledger, "other")
    assert only_action(ledger).state == "waiting"


@pytest.mark.usefixtures("waiting")
def test_an_answer_in_the_browser_whose_worker_died_is_taken_up_by_the_next_run(
    sandbox: Sandbox, ledger: Ledger, begin: Begin
) -> None:
    yes = {"decision": "approve", "approver": "Mara", "body": "Hello Ann."}
    assert approval_runs.resume(str(only_action(ledger).flow_run_id), yes) is None
    assert only_action(ledger).state == "waiting"
    with begin() as run:
        approvals.catch_up(ledger, "lead-triage")
        act.resume(run)
    assert len(sandbox.sent()) == 1
    assert work(ledger).is_completed()
    assert len(sandbox.sent()) == 1


@pytest.mark.usefixtures("waiting")
def test_what_nobody_has_answered_is_left_waiting_by_the_next_run(
    sandbox: Sandbox, ledger: Ledger, begin: Begin
) -> None:
    with begin() as run:
        approvals.catch_up(ledger, "lead-triage")
        act.resume(run)
    assert only_action(ledger).state == "waiting"
    assert prefect_state(ledger) == "Suspended"
    assert sandbox.sent() == []


def test_a_run_that_somebody_forces_on_without_an_answer_sends_nothing(
    sandbox: Sandbox, ledger: Ledger, waiting: int
) -> None:
    from prefect.states import Scheduled

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(only_action(ledger).flow_run_id), Scheduled(), force=True)
    with pytest.raises(Pause):
        work(ledger)
    assert sandbox.sent() == sandbox.drafts() == []
    assert only_action(ledger).state == "waiting"
    assert decisions(ledger) == 0
    assert prefect_state(ledger) == "Suspended"
    approvals.respond(ledger, waiting, approve=True, approver="Mara")
    work(ledger)
    assert len(sandbox.sent()) == 1


def test_an_action_whose_form_was_deleted_is_asked_about_again(sandbox: Sandbox, ledger: Ledger, waiting: int) -> None:
    first = only_action(ledger).flow_run_id
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(first))
    approvals.catch_up(ledger, "lead-triage")
    again = only_action(ledger)
    assert (again.state, again.flow_run_id not in (None, first)) == ("waiting", True)
    assert prefect_state(ledger) == "Suspended"
    approvals.respond(ledger, waiting, approve=True, approver="Mara")
    work(ledger)
    assert len(sandbox.sent()) == 1


def test_an_answer_given_in_the_browser_is_not_overruled_by_a_bulk_decision(
    sandbox: Sandbox, ledger: Ledger, waiting: int
) -> None:
    no = {"decision": "reject", "approver": "Ann", "body": "-"}
    assert approval_runs.resume(str(only_action(ledger).flow_run_id), no) is None  # no worker takes it up yet
    (error,) = approvals.respond_together(ledger, [waiting], approve=True, approver="Bob").values()
    assert "was answered in Prefect already" in str(error)
    approvals.catch_up(ledger, "lead-triage")
    assert (only_action(ledger).state, only_decision(ledger).approver) == ("rejected", "Ann")
    assert sandbox.sent() == []


def unheard_of(ledger: Ledger, *numbers: int) -> None:
    """Let actions be of a kind that this version does not know."""
    with ledger.write() as session:
        session.execute(sa.update(tables.Action).where(tables.Action.id.in_(numbers)).values(kind="hubspot.unheard_of"))


class TestOfAKindThatThisVersionDoesNotKnow:
    def test_it_cannot_be_approved_and_waits(self, ledger: Ledger, waiting: int) -> None:
        unheard_of(ledger, waiting)
        with pytest.raises(ApprovalError, match="cannot be approved: this version of Signoff cannot read an action of"):
            approvals.respond(ledger, waiting, approve=True, approver="Mara")
        (error,) = approvals.respond_together(ledger, [waiting], approve=True, approver="Mara").values()
        assert "cannot read" in str(error)
        assert (only_action(ledger).state, prefect_state(ledger)) == ("waiting", "Suspended")

    @pytest.mark.parametrize("together", [True, False], ids=["together", "alone"])
    def test_it_can_be_rejected(self, ledger: Ledger, waiting: int, together: bool) -> None:
        unheard_of(ledger, waiting)
        if together:
            assert approvals.respond_together(ledger, [waiting], approve=False, approver="Mara") == {waiting: None}
        else:
            approvals.respond(ledger, waiting, approve=False, approver="Mara", comment="too new")
        assert (only_action(ledger).state, only_decision(ledger).approver) == ("rejected", "Mara")

    @pytest.mark.parametrize(
        ("answer", "approver", "why"),
        [
            (
                {"decision": "approve", "approver": "Mara", "body": "x"},
                "",
                "the answer could not be read: this version of",
            ),
            ({"decision": "reject", "approver": "Mara", "body": "x"}, "Mara", ""),
        ],
    )
    def test_the_workflows_next_run_takes_in_what_was_answered_in_prefect(
        self, ledger: Ledger, waiting: int, answer: dict[str, Any], approver: str, why: str
    ) -> None:
        unheard_of(ledger, waiting)
        assert approval_runs.resume(str(only_action(ledger).flow_run_id), answer) is None
        approvals.catch_up(ledger, "lead-triage")
        found = only_decision(ledger)
        assert (found.verdict, found.approver) == ("rejected", approver)
        assert found.comment.startswith(why)

    def test_it_expires(self, ledger: Ledger, waiting: int) -> None:
        unheard_of(ledger, waiting)
        let_expire(ledger)
        approvals.catch_up(ledger, "lead-triage")
        assert only_action(ledger).state == "expired"

    @pytest.mark.usefixtures("deployment")
    @pytest.mark.parametrize("odd", [1, 2], ids=["one", "two"])
    def test_the_others_on_its_form_are_asked_about_and_decided(self, ledger: Ledger, odd: int) -> None:
        desk = Desk(ledger)
        ids = desk.put(note("a@x.example"), contact(), note("b@x.example"), note("c@x.example"))
        (*read, last), unread = ids[odd:], ids[:odd]
        unheard_of(ledger, *unread)
        approvals.respond(ledger, last, approve=True, approver="Tom")  # which describes the form anew without it
        with get_client(sync_client=True) as client:
            client.delete_flow_run(UUID(desk.action(read[0]).flow_run_id))
        approvals.catch_up(ledger, "lead-triage")  # which makes new forms: one for each that cannot be read
        forms = [desk.action(number).flow_run_id for number in ids]
        assert None not in forms
        assert len({desk.action(number).flow_run_id for number in [read[0], *unread]}) == 1 + odd
        done = approvals.respond_together(ledger, [*read, *unread], approve=True, approver="Tom")
        assert [number for number, error in done.items() if error] == unread
        assert desk.states() == ["waiting"] * odd + ["pending"] * (4 - odd)

    @pytest.mark.usefixtures("deployment")
    def test_a_form_with_some_that_was_forced_on_is_asked_anew(self, ledger: Ledger) -> None:
        desk = Desk(ledger)
        ids = desk.put(note(), contact(), note("b@x.example"))
        unheard_of(ledger, *ids[1:])
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(desk.action(ids[0]).flow_run_id), Failed(), force=True)
        approvals.catch_up(ledger, "lead-triage")
        assert desk.states() == ["waiting"] * 3
        yes = {"decision": "approve", "approver": "Mara"}
        assert approval_runs.resume(str(desk.action(ids[0]).flow_run_id), yes) is None
        approvals.catch_up(ledger, "lead-triage")
        assert desk.states() == ["pending", "waiting", "waiting"]
        assert len({desk.action(number).flow_run_id for number in ids} - {None}) == 3  # each is asked about by itself

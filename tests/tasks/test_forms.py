"""What one e-mail leads to in the CRM is one form; what leaves the company is a form of its own."""

import json
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
from prefect.states import Failed, Scheduled

from blocks.hubspot import HubSpot
from blocks.ledger import Action, Decision, Ledger, utcnow
from flows.lead_triage import decide, explain
from flows.perform_action import perform_action
from sandbox.client import Sandbox
from tasks import approval_runs, approvals, gate
from tasks.approvals import ApprovalError
from tasks.card import Stage
from tasks.plain import plain
from tasks.run import Run

Begin = Callable[..., AbstractContextManager[Run]]
ANN = "ann@northwind.example"
YES = {"decision": "approve", "approver": "Mara"}
NO = {"decision": "reject", "approver": "Mara", "comment": "known already"}


@pytest.fixture
def wanted(
    begin: Begin,
    ledger: Ledger,
    sandbox: Sandbox,
    deployment: UUID,  # noqa: ARG001
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> dict[str, Action]:
    """All that a demo request leads to, gated: contact, note, task, reply and label, by kind."""
    mail = sandbox.write(sender=ANN, subject="A demo", body="Could we see a demo?")
    number = add_record("validated", triaged(), message_id=mail.id, thread_id=mail.thread_id)
    with begin(stage=Stage.GATED) as run:
        gate.check(run, [number], decide, explain)
    return now(ledger)


def now(ledger: Ledger) -> dict[str, Action]:
    with ledger.read() as session:
        return {a.kind.split(".")[1]: a for a in session.scalars(sa.select(Action).order_by(Action.id))}


def states(ledger: Ledger) -> dict[str, str]:
    return {kind: action.state for kind, action in now(ledger).items()}


def decided(ledger: Ledger) -> dict[int, tuple[str, str]]:
    with ledger.read() as session:
        return {d.action_id: (d.verdict, d.approver) for d in session.scalars(sa.select(Decision))}


def form_of(action: Action) -> tuple[str, str]:
    """The state of an action's run in Prefect, and what its form says."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(action.flow_run_id))
        key = (run.state.state_details.run_input_keyset or {}).get("description") if run.state else None
        text = client.read_flow_run_input(run.id, key or "suspended-decision-description")
    return str(run.state_name), str(json.loads(text))


def work(action: Action, **parameters: Any) -> State[Any]:
    """What a worker does with the action's run: run it in this process."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(action.flow_run_id))
    flow: Any = perform_action
    return cast("State[Any]", run_flow(flow, flow_run=run, parameters=run.parameters | parameters, return_type="state"))


LOW = ("upsert_contact", "add_note", "create_task", "apply_label")


def test_the_reply_has_a_form_of_its_own_and_the_rest_shares_one(wanted: dict[str, Action]) -> None:
    assert len({wanted[kind].flow_run_id for kind in LOW}) == 1
    assert wanted["send_reply"].flow_run_id != wanted["apply_label"].flow_run_id
    state, said = form_of(wanted["upsert_contact"])
    assert state == "Suspended"
    assert "4 things are decided together" in said
    assert [kind for kind in LOW if plain(wanted[kind].title) not in said] == [], said


def test_two_records_share_no_form(
    wanted: dict[str, Action], begin: Begin, ledger: Ledger, add_record: Callable[..., int], triaged: Callable[..., Any]
) -> None:
    number = add_record("validated", triaged("spam"), message_id="m2")
    with begin(stage=Stage.GATED) as run:
        gate.check(run, [number], decide, explain)
    with ledger.read() as session:
        (other,) = session.scalars(sa.select(Action).where(Action.record_id == number))
    assert other.flow_run_id not in {a.flow_run_id for a in wanted.values()}


def test_approved_in_the_browser_all_of_it_is_done_and_the_reply_still_waits(
    wanted: dict[str, Action], ledger: Ledger, sandbox: Sandbox
) -> None:
    assert approval_runs.resume(wanted["add_note"].flow_run_id or "", YES) is None
    assert work(wanted["add_note"]).is_completed()
    assert states(ledger) == {**dict.fromkeys(LOW, "done"), "send_reply": "waiting"}
    assert len(sandbox.state()["contacts"]) == 1
    assert set(decided(ledger).values()) == {("approved", "Mara")}


def test_rejected_in_the_browser_none_of_it_is(wanted: dict[str, Action], ledger: Ledger, sandbox: Sandbox) -> None:
    assert approval_runs.resume(wanted["add_note"].flow_run_id or "", NO) is None
    assert work(wanted["add_note"]).is_completed()
    assert states(ledger) == {**dict.fromkeys(LOW, "rejected"), "send_reply": "waiting"}
    assert sandbox.state()["contacts"] == []


def test_an_answer_whose_worker_died_is_taken_in_whole(wanted: dict[str, Action], ledger: Ledger) -> None:
    assert approval_runs.resume(wanted["add_note"].flow_run_id or "", YES) is None
    approvals.catch_up(ledger, "lead-triage")
    assert states(ledger) == {**dict.fromkeys(LOW, "pending"), "send_reply": "waiting"}


def test_one_of_them_is_decided_on_alone_and_the_form_shows_the_others(
    wanted: dict[str, Action], ledger: Ledger, hubspot: HubSpot
) -> None:
    first = wanted["upsert_contact"]
    approvals.respond(ledger, first.id, approve=False, approver="Tom", comment="known already")
    assert states(ledger) == {
        **dict.fromkeys(LOW[1:], "waiting"),
        "upsert_contact": "rejected",
        "send_reply": "waiting",
    }
    state, said = form_of(wanted["apply_label"])
    assert (state, "3 things are decided together" in said, plain(first.title) in said) == ("Suspended", True, False)
    # Its run's parameter names the action that was taken out: the others are what it is about.
    hubspot.upsert_contact(ANN, {})
    assert approval_runs.resume(wanted["apply_label"].flow_run_id or "", YES) is None
    assert work(wanted["apply_label"]).is_completed()
    assert states(ledger) == {**dict.fromkeys(LOW[1:], "done"), "upsert_contact": "rejected", "send_reply": "waiting"}
    assert decided(ledger)[first.id] == ("rejected", "Tom")


def test_one_that_is_approved_alone_is_carried_out_alone(wanted: dict[str, Action], ledger: Ledger) -> None:
    approvals.respond(ledger, wanted["apply_label"].id, approve=True, approver="Tom")
    assert work(now(ledger)["apply_label"]).is_completed()
    assert states(ledger)["apply_label"] == "done"
    assert decided(ledger) == {wanted["apply_label"].id: ("approved", "Tom")}


def test_a_bulk_decision_by_kind_touches_nothing_else(wanted: dict[str, Action], ledger: Ledger) -> None:
    numbers = [wanted["apply_label"].id, wanted["upsert_contact"].id]
    assert set(approvals.respond_together(ledger, numbers, approve=True, approver="Tom").values()) == {None}
    assert work(now(ledger)["apply_label"]).is_completed()
    kept = {"add_note": "waiting", "create_task": "waiting", "send_reply": "waiting"}
    assert states(ledger) == {"apply_label": "done", "upsert_contact": "done", **kept}


def test_a_bulk_decision_over_forms_is_one_run(wanted: dict[str, Action], ledger: Ledger, sandbox: Sandbox) -> None:
    numbers = [action.id for action in wanted.values()]
    approvals.respond_together(ledger, numbers, approve=True, approver="Tom")
    assert len({action.flow_run_id for action in now(ledger).values()}) == 1
    assert work(now(ledger)["send_reply"]).is_completed()
    assert set(states(ledger).values()) == {"done"}
    assert len(sandbox.sent()) == 1


def test_rejecting_all_ends_every_form(wanted: dict[str, Action], ledger: Ledger) -> None:
    approvals.respond_together(ledger, [a.id for a in wanted.values()], approve=False, approver="Tom")
    assert set(states(ledger).values()) == {"rejected"}
    with get_client(sync_client=True) as client:
        ended = {client.read_flow_run(UUID(a.flow_run_id)).state_name for a in wanted.values()}
    assert ended == {"Rejected"}


def test_nobody_in_time_expires_all_of_it_once(wanted: dict[str, Action], ledger: Ledger) -> None:
    with ledger.write() as session:
        session.execute(sa.update(Action).values(expires_at=utcnow() - timedelta(seconds=1)))
    approvals.catch_up(ledger, "lead-triage")
    assert set(states(ledger).values()) == {"expired"}
    assert len(decided(ledger)) == len(wanted)


def test_a_form_that_was_deleted_is_made_anew_for_all_of_it(wanted: dict[str, Action], ledger: Ledger) -> None:
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(wanted["add_note"].flow_run_id))
    approvals.catch_up(ledger, "lead-triage")
    again = now(ledger)
    assert len({again[kind].flow_run_id for kind in LOW}) == 1
    assert again["add_note"].flow_run_id != wanted["add_note"].flow_run_id
    assert again["send_reply"].flow_run_id == wanted["send_reply"].flow_run_id


def test_a_text_cannot_be_edited_where_there_is_none(wanted: dict[str, Action], ledger: Ledger) -> None:
    with pytest.raises(ApprovalError, match="has no text to edit"):
        approvals.respond(ledger, wanted["add_note"].id, approve=True, approver="Tom", edits={"body": "Hello"})
    assert set(states(ledger).values()) == {"waiting"}


def forced_on(action: Action) -> None:
    """Somebody changes the state of a form's run in the UI, without an answer."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(action.flow_run_id), Scheduled(), force=True)


def test_a_run_that_is_forced_on_without_an_answer_shows_all_of_it_again(
    wanted: dict[str, Action], ledger: Ledger
) -> None:
    forced_on(wanted["add_note"])
    with pytest.raises(Pause):
        work(wanted["add_note"])
    assert set(states(ledger).values()) == {"waiting"}
    _, said = form_of(wanted["add_note"])
    assert [kind for kind in LOW if plain(wanted[kind].title) not in said] == []


def test_a_run_whose_parameter_names_another_action_is_about_its_own(wanted: dict[str, Action], ledger: Ledger) -> None:
    forced_on(wanted["send_reply"])
    with pytest.raises(Pause):
        work(wanted["send_reply"], action_id=wanted["apply_label"].id)
    _, said = form_of(wanted["send_reply"])
    assert plain(wanted["send_reply"].title) in said
    assert plain(wanted["apply_label"].title) not in said
    assert now(ledger)["apply_label"].flow_run_id == wanted["apply_label"].flow_run_id


def test_an_answer_in_the_browser_is_not_overruled_for_one_of_it(wanted: dict[str, Action], ledger: Ledger) -> None:
    assert approval_runs.resume(wanted["apply_label"].flow_run_id or "", NO) is None  # no worker takes it up yet
    with pytest.raises(ApprovalError, match="was answered in Prefect already"):
        approvals.respond(ledger, wanted["apply_label"].id, approve=True, approver="Tom")
    approvals.catch_up(ledger, "lead-triage")
    assert states(ledger) == {**dict.fromkeys(LOW, "rejected"), "send_reply": "waiting"}


def test_an_answer_that_comes_while_one_is_taken_out_wins(
    wanted: dict[str, Action], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = approval_runs.create

    def answered_meanwhile(forms: Any) -> Any:
        approval_runs.resume(wanted["apply_label"].flow_run_id or "", NO)
        return create(forms)

    monkeypatch.setattr(approval_runs, "create", answered_meanwhile)
    with pytest.raises(ApprovalError, match="was answered in Prefect already"):
        approvals.respond(ledger, wanted["apply_label"].id, approve=True, approver="Tom")
    assert decided(ledger)[wanted["apply_label"].id] == ("rejected", "Mara")


def test_what_breaks_off_while_one_is_taken_out_never_hides_it(
    wanted: dict[str, Action], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ConnectionError("the server is away")

    monkeypatch.setattr(approval_runs, "create", broken)
    with pytest.raises(ConnectionError):
        approvals.respond(ledger, wanted["apply_label"].id, approve=False, approver="Tom")
    _, said = form_of(wanted["apply_label"])
    assert [kind for kind in LOW if plain(wanted[kind].title) not in said] == []


def test_the_note_comes_after_the_contact_that_it_needs(wanted: dict[str, Action], ledger: Ledger) -> None:
    approvals.respond_together(ledger, [a.id for a in wanted.values()], approve=True, approver="Tom")
    assert work(now(ledger)["upsert_contact"]).is_completed()
    assert {action.attempts for action in now(ledger).values()} == {1}


def test_a_form_whose_run_has_failed_asks_again(wanted: dict[str, Action], ledger: Ledger) -> None:
    run_id = wanted["add_note"].flow_run_id
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run_id), Failed(), force=True)
    approvals.catch_up(ledger, "lead-triage")
    state, said = form_of(now(ledger)["add_note"])
    assert (state, "4 things are decided together" in said) == ("Suspended", True)
    assert approval_runs.resume(run_id or "", YES) is None
    assert work(wanted["add_note"]).is_completed()
    assert states(ledger)["add_note"] == "done"


def test_a_deleted_form_is_said_to_be_deleted(wanted: dict[str, Action], ledger: Ledger) -> None:
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(wanted["add_note"].flow_run_id))
    with pytest.raises(ApprovalError, match="its form was deleted in Prefect"):
        approvals.respond(ledger, wanted["add_note"].id, approve=True, approver="Tom")


def test_a_cancelled_form_says_so(wanted: dict[str, Action], ledger: Ledger) -> None:
    approval_runs.cancel([wanted["add_note"].flow_run_id or ""], "not today")
    approvals.catch_up(ledger, "lead-triage")
    assert decided(ledger)[wanted["add_note"].id] == ("rejected", "Prefect")

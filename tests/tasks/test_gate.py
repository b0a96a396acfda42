"""The gate: the stage and the card say what passes, what waits for a person and what is refused."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter

from blocks import ledger as tables
from blocks.ledger import Ledger, Record, utcnow
from flows.lead_triage import CARD, decide, explain
from tasks import act, actions, approval_runs, approvals, gate
from tasks.actions import KINDS, Action, ApplyLabel, Impact, PostMessage, SendReply
from tasks.approvals import ApprovalError
from tasks.card import Stage
from tasks.gate import state_for
from tasks.run import Run

Begin = Callable[..., AbstractContextManager[Run]]
LABEL = ApplyLabel(message_id="m1", label="Signoff/Lead", archive=False)
POST = PostMessage(text="hello")
REPLY = SendReply(message_id="m1", thread_id="t1", to="a@b.example", subject="s", body="b", in_reply_to="")


@pytest.fixture
def check(begin: Begin) -> Callable[..., None]:
    """One run that only gates these records."""

    def run_once(*ids: int, deciding: Any = decide, explaining: Any = explain, **changes: object) -> None:
        with begin(**changes) as run:
            gate.check(run, ids, deciding, explaining)

    return run_once


def all_actions(ledger: Ledger) -> list[tables.Action]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(tables.Action).order_by(tables.Action.id)))


def decisions(ledger: Ledger) -> list[tables.Decision]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(tables.Decision)))


def reply_of(ledger: Ledger) -> tables.Action:
    return next(a for a in all_actions(ledger) if a.kind == "gmail.send_reply")


def runs_of(deployment: UUID) -> list[Any]:
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"deployment_id": {"any_": [deployment]}})
        )


def stored(flow_run_id: str | None, key: str) -> Any:
    with get_client(sync_client=True) as client:
        return orjson.loads(client.read_flow_run_input(UUID(flow_run_id), key))


@pytest.mark.parametrize(
    ("stage", "action", "state"),
    [
        ("shadow", LABEL, "shadow"),
        ("shadow", REPLY, "shadow"),
        ("gated", LABEL, "waiting"),
        ("gated", REPLY, "waiting"),
        ("selective", LABEL, "pending"),
        ("selective", REPLY, "waiting"),
    ],
)
def test_the_stage_says_what_passes(stage: str, action: Action, state: str) -> None:
    assert state_for(action, CARD, Stage(stage)) == (state, None)


@pytest.mark.parametrize("stage", Stage)
def test_a_kind_that_the_card_does_not_name_is_refused_at_every_stage(stage: Stage) -> None:
    card = CARD.model_copy(update={"writes": CARD.writes[:1]})
    assert state_for(LABEL, card, stage) == ("refused", "the card of lead-triage does not name gmail.apply_label")


def test_approval_on_the_card_makes_a_low_impact_action_wait() -> None:
    writes = tuple(line.model_copy(update={"approval": True}) for line in CARD.writes)
    assert state_for(LABEL, CARD.model_copy(update={"writes": writes}), Stage.SELECTIVE) == ("waiting", None)


def test_high_impact_waits_even_on_a_card_that_was_made_past_its_checks() -> None:
    writes = tuple(line.model_copy(update={"approval": False}) for line in CARD.writes)
    assert state_for(REPLY, CARD.model_copy(update={"writes": writes}), Stage.SELECTIVE) == ("waiting", None)


def test_in_shadow_everything_is_recorded_and_nothing_done(
    check: Callable[..., None],
    begin: Begin,
    ledger: Ledger,
    sandbox: Any,
    deployment: UUID,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    number = add_record("validated", triaged())
    check(number, stage=Stage.SHADOW, shadow_report=None)
    with begin(stage=Stage.SHADOW, shadow_report=None) as run:
        act.resume(run)
        act.perform(run, [number])
    wanted = [action.kind for action in decide(_record(ledger, number))]
    assert [(a.kind, a.state, a.stage) for a in all_actions(ledger)] == [(kind, "shadow", "shadow") for kind in wanted]
    assert decisions(ledger) == []
    assert runs_of(deployment) == []
    writes = [c for c in sandbox.requests() if c["method"] != "GET" and not c["path"].endswith(("/token", "/read"))]
    assert writes == []
    assert _record(ledger, number).state == "done"


def _record(ledger: Ledger, number: int) -> Record:
    with ledger.read() as session:
        return session.get_one(Record, number)


def test_gated_everything_waits_with_a_run_for_each(
    check: Callable[..., None],
    ledger: Ledger,
    deployment: UUID,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    check(add_record("validated", triaged()), stage=Stage.GATED)
    found = all_actions(ledger)
    assert {a.state for a in found} == {"waiting"}
    runs = {str(run.id): run for run in runs_of(deployment)}
    assert {a.flow_run_id for a in found} == set(runs)
    assert {run.state_name for run in runs.values()} == {"Suspended"}


@pytest.mark.usefixtures("deployment")
def test_selective_low_impact_passes_by_the_card_and_high_impact_waits(
    check: Callable[..., None],
    ledger: Ledger,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    check(add_record("validated", triaged()))
    by_state = {a.id: a for a in all_actions(ledger)}
    assert {a.kind for a in by_state.values() if a.state == "waiting"} == {"gmail.send_reply"}
    passed = {i for i, a in by_state.items() if a.state == "pending"}
    assert all(by_state[i].impact == Impact.LOW for i in passed)
    assert {d.action_id for d in decisions(ledger)} == passed
    for decision in decisions(ledger):
        assert (decision.verdict, decision.approver) == ("approved", "card")
        assert decision.comment == "low impact, stage selective"
        assert decision.digest == by_state[decision.action_id].digest


def test_a_form_is_stored_with_the_run_as_prefects_ui_needs_it(
    check: Callable[..., None],
    ledger: Ledger,
    deployment: UUID,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    check(add_record("validated", triaged(reply="Hello *Ann*"), subject="[Click](http://evil.example)"))
    reply = reply_of(ledger)
    (run,) = runs_of(deployment)
    assert run.name == f"Send reply to ann@northwind.example (#{reply.id})"
    assert run.parameters == {"action_id": reply.id}
    assert set(run.tags) == {"lead-triage", "gmail.send_reply"}
    schema = stored(reply.flow_run_id, "suspended-decision-schema")
    assert schema["properties"]["decision"]["title"] == "Decision: type approve or reject"
    assert {"decision", "approver"} <= set(schema["required"])
    assert schema["properties"]["body"]["default"] == "Hello *Ann*"
    description = stored(reply.flow_run_id, "suspended-decision-description")
    assert description == reply.explanation
    assert "[Click](http" not in description
    assert "ann\\@northwind\\.example" in description


@pytest.mark.usefixtures("deployment")
def test_an_action_without_editable_text_has_a_form_without_one(
    check: Callable[..., None],
    ledger: Ledger,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    check(add_record("validated", triaged("spam")), stage=Stage.GATED)
    (action,) = all_actions(ledger)
    assert "body" not in stored(action.flow_run_id, "suspended-decision-schema")["properties"]


@pytest.mark.usefixtures("deployment")
def test_a_kind_that_the_card_does_not_name_is_recorded_as_refused(
    check: Callable[..., None],
    ledger: Ledger,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    writes = tuple(line for line in CARD.writes if not line.kind.startswith("hubspot."))
    check(add_record("validated", triaged()), writes=writes)
    refused = [a for a in all_actions(ledger) if a.state == "refused"]
    assert {a.kind for a in refused} == {"hubspot.upsert_contact", "hubspot.add_note", "hubspot.create_task"}
    assert all("does not name" in (a.reason or "") for a in refused)
    assert not {a.id for a in refused} & {d.action_id for d in decisions(ledger)}


@pytest.mark.usefixtures("deployment")
def test_an_optional_kind_without_its_credential_is_recorded_as_refused(
    check: Callable[..., None],
    ledger: Ledger,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    slack = CARD.writes_of("slack.post_message")
    assert slack
    writes = (
        *(line for line in CARD.writes if line is not slack),
        slack.model_copy(update={"credential": "slack/nobody"}),
    )
    check(add_record("validated", triaged("support", urgency="high")), writes=writes)
    (refused,) = [a for a in all_actions(ledger) if a.state == "refused"]
    assert (refused.kind, refused.reason) == ("slack.post_message", "nobody has saved the credential slack/nobody")


def test_gating_again_adds_nothing_even_after_a_crash_that_set_the_record_back(
    check: Callable[..., None],
    ledger: Ledger,
    deployment: UUID,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    number = add_record("validated", triaged())
    check(number)
    before = [(a.id, a.key, a.flow_run_id) for a in all_actions(ledger)]
    check(number)
    with ledger.write() as session:
        session.execute(sa.update(Record).values(state="validated"))
    check(number)
    assert [(a.id, a.key, a.flow_run_id) for a in all_actions(ledger)] == before
    assert len(runs_of(deployment)) == 1


@pytest.mark.usefixtures("deployment")
def test_the_same_kind_twice_for_one_record_has_two_keys(
    check: Callable[..., None],
    ledger: Ledger,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    check(add_record("validated", triaged()), deciding=lambda _: [LABEL, LABEL, POST])
    keys = [a.key for a in all_actions(ledger)]
    assert len(set(keys)) == 3
    assert keys[1] == f"{keys[0]}#2"


@pytest.mark.usefixtures("deployment")
def test_the_ledger_itself_refuses_a_second_action_of_the_same_key(
    check: Callable[..., None], ledger: Ledger, add_record: Callable[..., int], triaged: Any
) -> None:
    check(add_record("validated", triaged("spam")))
    (action,) = all_actions(ledger)
    columns = {c.name: getattr(action, c.name) for c in tables.Action.__table__.columns if c.name != "id"}
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as session:
        session.add(tables.Action(**columns))


@pytest.mark.usefixtures("deployment")
def test_a_decision_that_cannot_be_made_an_action_sets_the_record_aside_and_the_others_go_on(
    check: Callable[..., None],
    ledger: Ledger,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
) -> None:
    good = add_record("validated", triaged("other"), message_id="m1")
    bad = add_record("validated", triaged(), message_id="m2", sender="a;b@x.example")
    check(good, bad)
    assert _record(ledger, good).state == "gated"
    assert _record(ledger, bad).state == "quarantined"
    assert (_record(ledger, bad).reason or "").startswith("no action could be made of it: ")
    assert {a.record_id for a in all_actions(ledger)} == {good}


def test_a_crash_between_the_actions_and_their_runs_is_made_up_for(
    check: Callable[..., None],
    ledger: Ledger,
    deployment: UUID,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(Exception):
        pass

    def crash(*_: Any) -> None:
        raise Interrupted

    number = add_record("validated", triaged())
    with monkeypatch.context() as patch:
        patch.setattr(approval_runs, "_save_form", crash)  # the run is made, form and note are not
        with pytest.raises(Interrupted):
            check(number)
    assert reply_of(ledger).flow_run_id is None
    approvals.catch_up(ledger, "lead-triage")
    approvals.request(ledger, [reply_of(ledger).id])
    (run,) = runs_of(deployment)
    assert reply_of(ledger).flow_run_id == str(run.id)
    assert stored(str(run.id), "suspended-decision-description") == reply_of(ledger).explanation


def test_without_the_deployment_the_error_says_so_and_the_next_run_makes_up_for_it(
    check: Callable[..., None],
    ledger: Ledger,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
    request: pytest.FixtureRequest,
) -> None:
    number = add_record("validated", triaged())
    with pytest.raises(ApprovalError, match=r"perform-action/perform-action does not exist.*prefect deploy --all"):
        check(number)
    assert _record(ledger, number).state == "gated"
    assert reply_of(ledger).state == "waiting"
    deployment = request.getfixturevalue("deployment")
    approvals.catch_up(ledger, "lead-triage")
    assert len(runs_of(deployment)) == 1


def test_more_actions_than_one_request_holds_all_get_their_run(
    check: Callable[..., None],
    ledger: Ledger,
    deployment: UUID,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(approval_runs, "BULK", 2)
    numbers = [add_record("validated", triaged("spam"), message_id=f"m{n}") for n in range(5)]
    check(*numbers, stage=Stage.GATED)
    by_run = {str(run.id): run.parameters["action_id"] for run in runs_of(deployment)}
    assert by_run == {a.flow_run_id: a.id for a in all_actions(ledger)}
    assert len(by_run) == 5


@pytest.mark.usefixtures("deployment")
def test_a_sign_off_expires_after_the_cards_days(
    check: Callable[..., None], ledger: Ledger, add_record: Callable[..., int], triaged: Any
) -> None:
    check(add_record("validated", triaged()))
    expires = reply_of(ledger).expires_at
    assert expires
    assert timedelta(days=4.99) < expires - utcnow() <= timedelta(days=5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_is(kind: str) -> None:
    action = KINDS[kind]
    assert action.noun
    assert action.impact in Impact
    assert action.editable is None or action.editable in action.model_fields


def test_a_digest_is_of_the_kind_the_exact_payload_and_the_credential() -> None:
    payload, inbox = REPLY.model_dump(mode="json"), "gmail/inbox"
    digests = {actions.digest(REPLY.kind, payload | {name: "other"}, inbox) for name in payload}
    digests |= {actions.digest(REPLY.kind, payload, "gmail/other"), actions.digest(REPLY.kind, payload, inbox)}
    digests |= {actions.digest(LABEL.kind, payload, inbox)}
    assert len(digests) == len(payload) + 3
    assert actions.digest(REPLY.kind, dict(reversed(payload.items())), inbox) in digests


def test_a_run_that_was_taken_for_dead_decides_nothing_beside_its_successor(
    ledger: Ledger, begin: Begin, add_record: Callable[..., int], triaged: Callable[..., dict[str, Any]]
) -> None:
    number = add_record("validated", answer=triaged())
    with begin() as late, begin() as successor:
        with ledger.write() as session:
            session.execute(sa.update(Record).values(run_id=successor.id))
            session.execute(sa.update(tables.Run).where(tables.Run.id == late.id).values(ended_at=utcnow()))
        gate.check(late, [number], decide, explain)
        with ledger.read() as session:
            assert session.get_one(Record, number).state == "validated"
            assert session.scalars(sa.select(tables.Action)).all() == []
        assert list(late.batches([number], 25)) == []
        assert late.notes[-1] == "was taken for dead in the middle of its work: another run has it"

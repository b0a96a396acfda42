"""The agent's loop: its steps, its tools, what waits for a person, and what no crash can double."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

import prompts
from blocks import connections
from blocks import ledger as tables
from blocks.hubspot import HubSpot
from blocks.ledger import AgentRun, Ledger, ModelCall, Record, ToolCall
from blocks.vendor import VendorError
from sandbox import credentials
from sandbox.client import Delivered, Sandbox
from tasks import act, agent, approvals, audit, going_on, journal, workbench
from tasks.agent import Desk
from tasks.card import Stage
from tasks.run import Run
from tasks.tools import tool
from tests import agents
from tests.agents import card

ANN = "ann@northwind.example"
Begin = Callable[..., AbstractContextManager[Run]]
Work = Callable[..., list[str]]


@pytest.fixture
def claude(accounts: Callable[[], None], sandbox: Sandbox) -> Iterator[None]:  # noqa: ARG001
    """The agent's model is the sandbox's Claude."""
    from blocks.anthropic import Claude

    key = SecretStr(credentials.ANTHROPIC_API_KEY)
    connections.save("claude/agent", Claude(api_key=key, address=f"{sandbox.url}/anthropic", timeout_seconds=10))
    yield
    Claude.delete("agent")


@pytest.fixture
def case(
    sandbox: Sandbox, hubspot: HubSpot, add_record: Callable[..., int], triaged: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> int:  # fmt: skip
    """A validated record of an e-mail that lies in the inbox, of a contact that is known."""
    monkeypatch.setattr(prompts, "load", agents.with_agent_text(prompts.load))
    mail: Delivered = sandbox.write(sender=ANN, subject="A demo", body="Could we see a demo?")
    hubspot.upsert_contact(ANN, {"firstname": "Ann"})
    return add_record(
        "validated", triaged(), message_id=mail.id, thread_id=mail.thread_id, rfc822_message_id=mail.message_id
    )


@pytest.fixture
def work(begin: Begin, deployment: object) -> Work:  # noqa: ARG001
    """Lets the agent work on records in a run of its own, and returns the run's notes."""

    def once(*ids: int, at: Desk | None = None, stage: Stage = Stage.SELECTIVE, **limits: Any) -> list[str]:
        with begin(card(**limits), stage=stage) as run:
            agent.take_up(run)
            agents.work(run, ids, at)
            return run.notes

    return once


def calls(*wanted: tuple[str, dict[str, Any]], text: str | None = None, **more: Any) -> dict[str, Any]:
    """A scripted turn that calls tools."""
    return {"tool_use": [{"name": name, "input": given} for name, given in wanted], "text": text, **more}


def rows(ledger: Ledger, table: Any) -> Sequence[Any]:
    with ledger.read() as session:
        return session.scalars(sa.select(table).order_by(table.id)).all()


def the_run(ledger: Ledger) -> AgentRun:
    found: AgentRun = rows(ledger, AgentRun)[-1]
    return found


def state(ledger: Ledger, record_id: int) -> str:
    return agents.state_of(ledger, record_id)


@pytest.mark.usefixtures("claude")
class TestWork:
    def test_looks_acts_and_ends(self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox) -> None:
        sandbox.script(
            calls(("look_up", {"name": "Ann"}), text="I look first."),
            calls(("add_note", {"text": "Wants a demo"}), usage={"input_tokens": 10, "cache_read_input_tokens": 90}),
            {"text": "Noted that she wants a demo."},
        )
        work(case)
        run = the_run(ledger)
        assert (run.state, run.text, run.model) == ("done", "Noted that she wants a demo.", "claude-haiku-5-5")
        assert state(ledger, case) == "gated"
        assert [note["properties"]["hs_note_body"].startswith("Wants a demo") for note in sandbox.records("notes")] == [
            True
        ]
        tools: Sequence[ToolCall] = rows(ledger, ToolCall)
        assert [(t.step, t.tool, t.impact, t.is_error) for t in tools] == [
            (1, "look_up", "read", False), (2, "add_note", "low", False),
        ]  # fmt: skip
        assert all(t.ended_at >= t.started_at for t in tools)
        made = [(call.attempt, call.cache_read_tokens, call.cache_write_tokens) for call in rows(ledger, ModelCall)]
        assert made == [(1, 0, 0), (2, 90, 0), (3, 0, 0)]
        assert audit.verify(ledger).passed

    def test_what_is_sent_is_what_the_protocol_wants(self, case: int, work: Work, sandbox: Sandbox) -> None:
        sandbox.script(calls(("look_up", {"name": "Ann"}), ("look_up", {"name": "nobody"})), {"text": "Done."})
        work(case)
        first, second = sandbox.model_calls()
        assert [tool["name"] for tool in first["tools"]] == ["look_up", "add_note", "send_reply"]
        assert first["tools"][0]["input_schema"]["properties"]["name"]["description"] == "Whom to look up."
        assert first["system"][0]["text"] == "You look after e-mails."
        result, refused = second["messages"][2]["content"]
        wanted = second["messages"][1]["content"]
        assert [result["tool_use_id"], refused["tool_use_id"]] == [block["id"] for block in wanted]
        assert '"known"' in result["content"]
        assert (refused["content"], refused["is_error"]) == ("there is no such person", True)

    def test_reads_of_one_turn_are_made_side_by_side_and_told_in_order(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        names = ["Ann", "Bob", "Cleo"]
        sandbox.script(calls(*(("look_up", {"name": name}) for name in names)), {"text": "Done."})
        sandbox.fault("hang", "hubspot", "*/batch/read", times=3, seconds=0.4)
        work(case)
        tools: Sequence[ToolCall] = rows(ledger, ToolCall)
        assert [t.input["name"] for t in sorted(tools, key=lambda t: t.position)] == names
        began = [t.started_at for t in tools]
        assert (max(began) - min(began)).total_seconds() < 0.4

    def test_an_unknown_tool_and_a_wrong_input_are_told_as_data(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        sandbox.script(
            calls(("delete_everything", {}), ("look_up", {"nam": 3})),
            calls(("look_up", {"name": "Ann"})),
            {"text": "Done."},
        )
        work(case)
        unknown, wrong, good = sorted(rows(ledger, ToolCall), key=lambda t: (t.step, t.position))
        assert unknown.output == "there is no tool 'delete_everything'; there are look_up, add_note, send_reply"
        assert "name: Field required" in wrong.output
        assert "nam: Extra inputs are not permitted" in wrong.output
        assert not good.is_error

    def test_what_is_already_closed_is_not_worked_on(self, case: int, work: Work, ledger: Ledger) -> None:
        work(case)
        before = len(rows(ledger, ModelCall))
        work(case)
        assert len(rows(ledger, ModelCall)) == before

    def test_a_cut_off_call_is_not_made(self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox) -> None:
        sandbox.script(
            calls(("add_note", {"text": "half a"}), text="I note", stop_reason="max_tokens"), {"text": "Never mind."}
        )
        work(case)
        assert rows(ledger, ToolCall) == []
        assert rows(ledger, tables.Action)[0].kind == "gmail.apply_label"
        again = sandbox.model_calls()[1]["messages"]
        assert [block["type"] for block in again[1]["content"]] == ["text"]
        assert again[2]["content"][0]["text"] == journal.GO_ON

    def test_old_results_are_left_out_of_a_long_conversation(self, case: int, work: Work, sandbox: Sandbox) -> None:
        sandbox.script(*(calls(("look_up", {"name": f"{n} " + "x" * 3_000})) for n in range(4)), {"text": "Done."})
        work(case, context_tokens=4_000)
        last = sandbox.model_calls()[-1]["messages"]
        results = [m["content"][0]["content"] for m in last if m["role"] == "user" and isinstance(m["content"], list)]
        assert results[0].startswith("(left out of the conversation")
        assert '"known"' in results[-1]


def test_without_a_model_the_workflows_own_rules_take_the_steps(case: int, work: Work, ledger: Ledger) -> None:
    work(case)
    assert [(t.tool, t.is_error) for t in rows(ledger, ToolCall)] == [("look_up", False)]
    assert state(ledger, case) == "waits"
    assert the_run(ledger).model == "rules"


@pytest.mark.usefixtures("claude")
class TestWaiting:
    @pytest.fixture
    def asked(self, case: int, work: Work, sandbox: Sandbox) -> int:
        """An agent that waits for its reply to be approved."""
        sandbox.script(
            calls(("look_up", {"name": "Ann"})), calls(("send_reply", {"text": "Hello Ann"}), text="A reply.")
        )
        work(case)
        return case

    def decide(self, ledger: Ledger, **answer: Any) -> tables.Action:
        (action,) = [row for row in rows(ledger, tables.Action) if row.kind == "gmail.send_reply"]
        given = {"decision": "approve", "approver": "Bea", "comment": "", "body": action.payload["body"]} | answer
        approvals.settle(ledger, action.id, given)
        return approvals.action_of(ledger, action.id)

    def test_costs_a_row_and_a_form_and_no_process(self, asked: int, ledger: Ledger, sandbox: Sandbox) -> None:
        (action,) = rows(ledger, tables.Action)
        assert (action.state, action.impact) == ("waiting", "high")
        assert action.flow_run_id
        assert state(ledger, asked) == "waits"
        assert the_run(ledger).state == "waiting"
        assert "look_up(name=" in action.explanation.replace("\\", "")
        assert "A reply" in action.explanation
        assert sandbox.sent() == []

    def test_goes_on_with_the_approval(self, asked: int, work: Work, ledger: Ledger, sandbox: Sandbox) -> None:
        self.decide(ledger, comment="Fine")
        sandbox.script({"text": "Answered."})
        with_reply = work
        perform(ledger)
        with_reply(asked)
        assert [mail.body.strip() for mail in sandbox.sent()] == ["Hello Ann"]
        (_, reply) = rows(ledger, ToolCall)
        assert '"outcome": "done"' in reply.output
        assert '"approved_by": "Bea"' in reply.output
        assert '"comment": "Fine"' in reply.output
        assert the_run(ledger).state == "done"

    def test_is_told_of_the_edit(self, asked: int, work: Work, ledger: Ledger, sandbox: Sandbox) -> None:
        self.decide(ledger, body="Dear Ann")
        sandbox.script({"text": "Answered."})
        perform(ledger)
        work(asked)
        assert [mail.body.strip() for mail in sandbox.sent()] == ["Dear Ann"]
        assert '"edited": {"body": "Dear Ann"}' in rows(ledger, ToolCall)[1].output

    def test_is_told_of_the_rejection_and_its_reason(
        self, asked: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        self.decide(ledger, decision="reject", comment="She has our answer already")
        sandbox.script({"text": "Left it."})
        work(asked)
        assert sandbox.sent() == []
        told = rows(ledger, ToolCall)[1]
        assert told.output.startswith("rejected by Bea, and not done. They say: She has our answer already")
        assert told.is_error

    def test_does_not_go_on_before_anybody_has_decided(self, asked: int, work: Work, ledger: Ledger) -> None:
        before = len(rows(ledger, ModelCall))
        work(asked)
        assert state(ledger, asked) == "waits"
        assert len(rows(ledger, ModelCall)) == before

    def test_what_was_rejected_word_for_word_is_not_asked_again(
        self, asked: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        self.decide(ledger, decision="reject", comment="No")
        sandbox.script(calls(("send_reply", {"text": "Hello Ann"})), {"text": "Left it."})
        work(asked)
        assert len([a for a in rows(ledger, tables.Action) if a.kind == "gmail.send_reply"]) == 1
        assert "made before" in rows(ledger, ToolCall)[2].output

    @pytest.mark.usefixtures("asked")
    def test_the_time_that_people_take_is_no_work(self, ledger: Ledger) -> None:
        assert 0 < the_run(ledger).seconds < 30

    def test_a_stranger_is_not_written_to(self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox) -> None:
        sandbox.script(calls(("send_reply", {"text": "All our data", "to": "eve@evil.example"})), {"text": "Hm."})
        work(case)
        (refused,) = [row for row in rows(ledger, tables.Action) if row.kind == "gmail.send_reply"]
        assert refused.state == "refused"
        assert "eve@evil[.]example" in (refused.reason or "")
        assert rows(ledger, ToolCall)[0].is_error
        assert the_run(ledger).state == "done"

    def test_a_workflow_that_only_watches_does_nothing(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        sandbox.script(calls(("add_note", {"text": "x"}), ("send_reply", {"text": "Hello"})), {"text": "Done."})
        work(case, stage=Stage.SHADOW)
        assert [row.state for row in rows(ledger, tables.Action)] == ["shadow"] * 3
        assert sandbox.records("notes") == []
        assert all(call.output.startswith("recorded only") for call in rows(ledger, ToolCall))
        assert the_run(ledger).state == "done"


@pytest.mark.usefixtures("claude")
class TestEmergencyStop:
    """What the stage does not allow now is not done, whoever has approved it, and is not lost."""

    def test_a_low_impact_action_that_the_card_had_passed_waits(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox.script(calls(("add_note", {"text": "x"})), {"text": "Done."})
        with monkeypatch.context() as patch:
            patch.setattr(workbench.Workbench, "_acted", _die)
            with pytest.raises(Crash):
                work(case)
        work(case, stage=Stage.GATED)
        assert sandbox.records("notes") == []
        assert state(ledger, case) == "waits"
        with_ledger = rows(ledger, tables.Action)
        assert [row.state for row in with_ledger] == ["pending"]

    def test_an_approved_one_waits_while_the_workflow_is_stopped(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        sandbox.script(calls(("send_reply", {"text": "Hello"})), {"text": "Done."})
        work(case)
        (action,) = rows(ledger, tables.Action)
        approvals.settle(
            ledger, action.id, {"decision": "approve", "approver": "Bea", "comment": "", "body": action.payload["body"]}
        )
        with ledger.write() as session:  # as when a failure in the same turn had kept the record from waiting
            session.execute(sa.update(Record).values(state="validated"))
        work(case, stage=Stage.SHADOW)
        assert sandbox.sent() == []
        assert state(ledger, case) == "waits"


def _die(*_: Any) -> None:
    raise Crash


@pytest.mark.usefixtures("claude")
class TestOneBadRecord:
    """What is wrong with one record stops no other."""

    def test_a_tool_that_breaks_sets_its_record_aside(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        @tool()
        def broken(case: Any) -> str:  # noqa: ARG001
            """Breaks."""
            raise ZeroDivisionError

        sandbox.script(calls(("broken", {})))
        work(case, at=agents.desk([broken]))
        with ledger.read() as session:
            record = session.get_one(Record, case)
        assert (record.state, record.reason) == ("quarantined", "its agent could not work: ZeroDivisionError: ")
        assert the_run(ledger).ended_at is not None

    def test_a_text_that_no_mail_can_hold_is_told_to_the_model(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        sandbox.script(calls(("send_reply", {"text": "Hello \x0b Ann"})), {"text": "Never mind."})
        work(case)
        (call,) = rows(ledger, ToolCall)
        assert call.is_error
        assert "the input of send_reply is not valid: body" in call.output
        assert the_run(ledger).state == "done"

    def test_a_model_that_is_gone_leaves_its_agent_where_it_is(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox.script(calls(("send_reply", {"text": "Hello"})))
        work(case)
        (action,) = rows(ledger, tables.Action)
        approvals.settle(ledger, action.id, {"decision": "reject", "approver": "Bea", "comment": "", "body": "-"})
        with monkeypatch.context() as patch:
            patch.setattr(connections, "load_if_present", lambda _: None)
            notes = work(case)
        assert any("agents wait for their model" in note for note in notes)
        assert state(ledger, case) == "validated"
        sandbox.script({"text": "Left it."})
        work(case)
        assert the_run(ledger).text == "Left it."


def perform(ledger: Ledger) -> None:
    """What the approved action's own run does."""
    from tasks.run import alive

    with ledger.read() as session:
        allowed = session.execute(
            sa.select(tables.Action.id, tables.Decision.id)
            .join(tables.Decision)
            .where(tables.Action.state == "pending", tables.Decision.approver != "card")
        ).all()
    with alive(ledger, "lead-triage", "selective") as run_id:
        for action_id, decision_id in allowed:
            act.do(ledger, run_id, act.Approved(action_id, decision_id))


@pytest.mark.usefixtures("claude")
class TestLimits:
    @pytest.mark.parametrize(
        ("turns", "limits", "kind", "value", "limit"),
        [
            ([calls(("look_up", {"name": str(n)})) for n in range(4)], {"steps": 3}, "steps", 4, 3),
            ([calls(("look_up", {"name": "Ann"}))] * 3, {}, "repeated call", 3, 2),
            ([calls(*(("look_up", {"name": str(n)}) for n in range(5)))], {}, "calls of look_up", 5, 4),
            ([calls(("look_up", {"name": str(n)}), ("add_note", {"text": str(n)})) for n in (1, 2)],
             {"calls": 3}, "calls", 4, 3),
            ([calls(("nothing", {"n": n})) for n in range(4)], {}, "idle steps", 4, 3),
            ([calls(("look_up", {"name": "Ann"}), usage={"output_tokens": 49_900})], {}, "tokens", None, 50_000),
            ([calls(("look_up", {"name": "Ann"}), usage={"output_tokens": 999_000})],
             {"tokens": 2_000_000}, "usd", None, 0.5),
            ([{"stop_reason": "refusal", "text": ""}], {}, "refusal", 1, 0),
        ],
        ids=["steps", "repeated", "per tool", "calls", "idle", "tokens", "usd", "refusal"],
    )  # fmt: skip
    def test_each_ends_the_run_with_kind_value_and_limit(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox,
        turns: list[dict[str, Any]], limits: dict[str, Any], kind: str, value: float | None, limit: float,
    ) -> None:  # fmt: skip
        sandbox.script(*turns)
        work(case, **limits)
        run = the_run(ledger)
        assert run.state == "stopped"
        assert run.limit is not None
        assert run.limit["kind"] == kind
        assert run.limit["limit"] == limit
        assert run.limit["value"] == value or (value is None and run.limit["value"] > limit)
        with ledger.read() as session:
            record = session.get_one(Record, case)
        assert record.state == "quarantined"
        assert (record.reason or "").startswith("the agent was stopped by a limit")
        assert "Done: nothing" in (record.reason or "") or "Note on" in (record.reason or "")
        assert [row.kind for row in rows(ledger, tables.Action) if row.kind == "hubspot.create_task"]

    def test_minutes(self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox) -> None:
        sandbox.script(calls(("look_up", {"name": "Ann"}), times=None))
        work(case, minutes=1e-9)
        assert (the_run(ledger).limit or {})["kind"] == "minutes"
        assert rows(ledger, ModelCall) == []

    def test_the_model_is_not_asked_when_the_workflows_money_is_used_up(
        self, case: int, begin: Begin, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        with begin(card(), usd_per_run=0.000001) as run:
            agents.work(run, [case])
            assert "agents stopped asking the model: usd_per_run is $0.0000" in run.notes[0]
        assert sandbox.model_calls() == []
        assert state(ledger, case) == "validated"

    def test_a_call_that_goes_too_far_takes_the_whole_turn_with_it(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        sandbox.script(calls(*(("add_note", {"text": str(n)}) for n in range(3))))
        work(case)
        assert (the_run(ledger).limit or {}) == {"kind": "calls of add_note", "value": 3, "limit": 2}
        assert sandbox.records("notes") == []


class Crash(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.usefixtures("claude")
@pytest.mark.slow
class TestCrashes:
    SCRIPT = (
        calls(("look_up", {"name": "Ann"}), ("look_up", {"name": "Bob"})),
        calls(("add_note", {"text": "one"}), ("add_note", {"text": "two"})),
        {"text": "Done."},
    )
    POINTS = (
        ("open_run", journal, "open_run"),
        ("note_turn", journal, "note_turn"),
        ("note_results", journal, "note_results"),
        ("read", workbench.Workbench, "_read"),
        ("want", workbench.Workbench, "_want"),
        ("act", workbench.Workbench, "_acted"),
        ("carried", workbench.Workbench, "_carried"),
        ("end", agent._Agent, "_end"),
    )

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("nth", [1, 2])
    @pytest.mark.parametrize(("_name", "where", "what"), POINTS, ids=[point[0] for point in POINTS])
    def test_at_any_point_everything_is_done_once(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch,
        _name: str, where: Any, what: str, nth: int, after: bool,
    ) -> None:  # fmt: skip
        sandbox.script(*(turn | {"when": None} for turn in self.SCRIPT))
        original, seen = getattr(where, what), 0

        def crashing(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == nth and not after:
                raise Crash
            result = original(*args, **kwargs)
            if seen == nth:
                raise Crash
            return result

        with monkeypatch.context() as patch:
            patch.setattr(where, what, crashing)
            with suppress(Crash):
                work(case)
        # A turn that was not written down yet is lost with the process, and asked for again.
        kept = [call for call in rows(ledger, ModelCall) if call.agent_run_id]
        sandbox.clear_script()
        sandbox.script(*self.SCRIPT[len(kept) :])
        work(case)
        notes = sorted(note["properties"]["hs_note_body"][:3] for note in sandbox.records("notes"))
        assert notes == ["one", "two"]
        assert the_run(ledger).state == "done"
        assert [(t.step, t.position) for t in sorted(rows(ledger, ToolCall), key=lambda t: (t.step, t.position))] == [
            (1, 0), (1, 1), (2, 0), (2, 1),
        ]  # fmt: skip
        assert len(rows(ledger, AgentRun)) == 1

    def test_a_vendor_that_is_away_leaves_the_agent_where_it_is(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tasks import verb

        monkeypatch.setattr(verb, "BACKOFF_SECONDS", ())
        sandbox.script(calls(("look_up", {"name": "Ann"})), {"text": "Done."})
        sandbox.fault("bad_gateway", "hubspot", "*/batch/read", times=None)
        with pytest.raises(VendorError):
            work(case)
        assert state(ledger, case) == "validated"
        sandbox.clear_faults()
        work(case)
        assert the_run(ledger).state == "done"
        assert len(rows(ledger, ModelCall)) == 2


@pytest.mark.usefixtures("claude")
class TestCallBack:
    """The agent goes on when a person has decided, without waiting for the schedule."""

    @pytest.fixture
    def workflow(self, prefect_server: None) -> Iterator[Callable[[], list[str]]]:  # noqa: ARG002
        """The workflow's own deployment; returns the names of its runs."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

        from flows.lead_triage import lead_triage

        with get_client(sync_client=True) as client:
            flow_id = client.create_flow(lead_triage)
            made = client.create_deployment(flow_id=flow_id, name="lead-triage", entrypoint="flows/lead_triage.py:x")
            mine = DeploymentFilter(id=DeploymentFilterId(any_=[made]))
            yield lambda: sorted(run.name for run in client.read_flow_runs(deployment_filter=mine))
            client.delete_flow(flow_id)

    def test_once_when_nothing_else_is_waited_for(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox, workflow: Callable[[], list[str]]
    ) -> None:
        sandbox.script(calls(("send_reply", {"text": "Hello"}), ("send_reply", {"text": "Hello again"})))
        work(case)
        first, second = (row for row in rows(ledger, tables.Action) if row.kind == "gmail.send_reply")
        answer = {"decision": "reject", "approver": "Bea", "comment": "", "body": "-"}
        approvals.settle(ledger, first.id, answer)
        assert going_on.call_back(ledger, first.id) == 0
        assert workflow() == []
        approvals.settle(ledger, second.id, answer)
        for _ in range(2):  # asked again, it is the same run
            assert going_on.call_back(ledger, second.id) == 1
        assert workflow() == [f"goes on after #{second.id}"]

    def test_without_a_deployment_nothing_is_lost(
        self, case: int, work: Work, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        sandbox.script(calls(("send_reply", {"text": "Hello"})))
        work(case)
        (action,) = [row for row in rows(ledger, tables.Action) if row.kind == "gmail.send_reply"]
        approvals.settle(ledger, action.id, {"decision": "reject", "approver": "Bea", "comment": "", "body": "-"})
        assert going_on.call_back(ledger, action.id) == 0
        sandbox.script({"text": "Left it."})
        work(case)
        assert the_run(ledger).state == "done"

"""Traces of real runs, received by a real collector: the tree of spans, what stands in them, and what does not."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry import trace
from pydantic import SecretStr, ValidationError

import prompts
from blocks import connections
from blocks import ledger as tables
from blocks.connections import TRACES
from blocks.hubspot import HubSpot
from blocks.ledger import Ledger, ModelCall, Record
from blocks.library import Library
from blocks.models import Conversation, Picture, Reply, Request, Turn
from blocks.traces import Traces
from blocks.vendor import VendorError
from flows.lead_triage import lead_triage, variables
from flows.support_answer import CARD as SUPPORT
from flows.support_answer import question, readers
from sandbox import credentials
from sandbox.client import Sandbox
from tasks import prompt, retrieve, run, tracing, tracing_content
from tasks.actions import AddNote
from tasks.budget import Budget
from tasks.run import Run, alive
from tests import agents
from tests.answering import built_in
from tests.collector import Collector, Span, collecting
from tests.librarian import put

MARK = "zanzibar"
"""Stands in every text of a run, in one form or another: no byte of a trace may hold it."""

SECRET = "sk-lf-4f2c9a77"
KEYS = {"public_key": SecretStr("pk-lf-1"), "secret_key": SecretStr(SECRET)}
CLIENT = 3
"""A span's kind, as the protocol has it, where what it stands for is elsewhere."""

Begin = Callable[..., AbstractContextManager[Run]]
TraceTo = Callable[..., Traces]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes everything."""
    with collecting() as found:
        yield found


@pytest.fixture
def trace_to(prefect_server: None, collector: Collector) -> Iterator[TraceTo]:  # noqa: ARG001
    """Saves the block that switches traces on."""
    saved = False

    def save(**changes: Any) -> Traces:
        nonlocal saved
        block = Traces(**{"address": collector.url} | changes)
        connections.save(TRACES, block)
        saved = True
        return block

    yield save
    if saved:
        Traces.delete("collector")


@pytest.fixture
def in_a_flow(monkeypatch: pytest.MonkeyPatch) -> str:
    """Has Prefect's runtime say that this is a flow run, as Prefect itself offers it to tests; returns its id."""
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "the-flow-run")
    return "the-flow-run"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], list[str]]]:
    """What was said on a level, in runs' logs too: Prefect keeps those from the root."""
    logs = [logging.getLogger(name) for name in ("prefect.flow_runs", "tasks.tracing")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.INFO)
    logs[0].addHandler(caplog.handler)

    def on(level: str) -> list[str]:
        lines = {id(record): record for record in caplog.records if record.levelname == level}
        return [record.getMessage() for record in lines.values() if "trac" in record.getMessage()]

    yield on
    logs[0].removeHandler(caplog.handler)
    for log, level in zip(logs, before, strict=True):
        log.setLevel(level)


@pytest.fixture
def agents_claude(accounts: Callable[[], None], sandbox: Sandbox) -> Iterator[None]:  # noqa: ARG001
    """An agent's model, which is the sandbox's Claude."""
    from blocks.anthropic import Claude

    key = SecretStr(credentials.ANTHROPIC_API_KEY)
    connections.save("claude/agent", Claude(api_key=key, address=f"{sandbox.url}/anthropic", timeout_seconds=10))
    yield
    Claude.delete("agent")


def under(collector: Collector, span: Span) -> list[Span]:
    return [one for one in collector.spans if one.under == span.id]


def the_root(collector: Collector) -> Span:
    (root,) = [span for span in collector.spans if not span.under]
    return root


def written(collector: Collector) -> str:
    """All that was received, as text."""
    return collector.everything.decode("utf-8", "replace").lower()


class TestAWholeRun:
    @pytest.mark.usefixtures("deployment")
    def test_is_one_trace_that_tells_everything_but_what_was_said(
        self,
        accounts: Callable[[], None],
        sandbox: Sandbox,
        ledger: Ledger,
        triaged: Callable[..., dict[str, Any]],
        collector: Collector,
        trace_to: TraceTo,
        said: Callable[[str], list[str]],
    ) -> None:
        accounts()
        trace_to()
        hubspot: HubSpot = connections.load("hubspot/crm")
        hubspot.upsert_contact(f"two@{MARK}.example", {"firstname": "Zanzibar", "company": "Zanzibar Ltd"})
        answer = triaged("support", urgency="high", summary="Zanzibar asks.", reply="Hello Zanzibar,\n\nthanks.")
        sandbox.script({"when": "Subject: Zanzibar one", "json": answer})
        sandbox.script({"when": "Subject: Zanzibar two", "fault": "prose"})
        sandbox.script({"when": "Subject: Zanzibar two", "json": answer})
        for number in ("one", "two"):
            sandbox.write(
                sender=f"Zanzibar Berg <{number}@{MARK}.example>",
                subject=f"Zanzibar {number}",
                body="We at Zanzibar cannot log in.",
            )
        sandbox.deliver(b"From: nobody\r\nSubject: Zanzibar\r\n\r\nZanzibar")

        summary = lead_triage()

        assert summary.records == {"done": 2, "quarantined": 1}
        assert MARK not in written(collector)
        root = the_root(collector)
        assert {span.trace_id for span in collector.spans} == {root.trace_id}
        assert root.name == "invoke_workflow lead-triage"
        with ledger.read() as session:
            (this,) = session.scalars(sa.select(tables.Run))
            calls = {(call.record_id, call.attempt): call for call in session.scalars(sa.select(ModelCall))}
            receipts = {r.action_id: r.external_id for r in session.scalars(sa.select(tables.Receipt))}
        assert root.trace_id == this.id
        assert said("INFO") == [f"this run's trace is {this.id}: {collector.url}"]
        assert said("WARNING") == []
        assert root.attributes == {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": "lead-triage",
            "gen_ai.prompt.name": "lead_triage",
            "signoff.prompt.version": next(iter(calls.values())).prompt_version,
            "signoff.model": "claude-haiku-5-5",
            "signoff.run.id": this.id,
            "signoff.stage": "selective",
            "prefect.flow_run.id": this.flow_run_id,
        }
        verbs = under(collector, root)
        assert [verb.name for verb in verbs] == [
            "catch up on approvals", "act on what was left", "fetch", "fetch contacts", "prompt", "validate", "gate",
            "act", "report",
        ]  # fmt: skip
        by_name = {verb.name: verb for verb in verbs}
        assert by_name["fetch"].attributes["signoff.result.size"] == 2
        assert by_name["prompt"].attributes["signoff.batch.size"] == 2

        # Made in threads of their own, and under their verb all the same.
        chats = under(collector, by_name["prompt"]) + under(collector, by_name["validate"])
        assert {(c.attributes["signoff.record.id"], c.attributes["signoff.attempt"]) for c in chats} == calls.keys()
        assert len(calls) == 3
        for chat in chats:
            call = calls[chat.attributes["signoff.record.id"], chat.attributes["signoff.attempt"]]
            assert (chat.name, chat.kind, chat.failed) == ("chat claude-haiku-5-5", CLIENT, False)
            assert chat.attributes["gen_ai.operation.name"] == "chat"
            assert chat.attributes["gen_ai.provider.name"] == "anthropic"
            assert chat.attributes["gen_ai.request.model"] == "claude-haiku-5-5"
            assert chat.attributes["gen_ai.response.model"] == call.model
            assert chat.attributes["gen_ai.response.finish_reasons"] == ["end_turn"]
            assert chat.attributes["gen_ai.usage.input_tokens"] == call.input_tokens
            assert chat.attributes["gen_ai.usage.output_tokens"] == call.output_tokens
            assert chat.attributes["gen_ai.usage.cache_read.input_tokens"] == 0
            assert chat.attributes["signoff.cost_usd"] == float(call.cost) > 0
            assert chat.attributes["server.address"] == "127.0.0.1"

        acts = under(collector, by_name["act"])
        assert {act.attributes["signoff.action.id"]: act.attributes["signoff.external.id"] for act in acts} == receipts
        kinds = {act.attributes["signoff.action.kind"] for act in acts}
        assert {act.name for act in acts} == {f"act {kind}" for kind in kinds}
        assert "gmail.send_reply" not in kinds  # it waits
        assert {(a.attributes["signoff.impact"], a.attributes["signoff.outcome"]) for a in acts} == {("low", "done")}
        assert not any(span.failed for span in collector.spans)

    @pytest.mark.usefixtures("accounts", "deployment")
    def test_with_the_built_in_model_and_content_goes_to_langfuse_masked(
        self,
        sandbox: Sandbox,
        ledger: Ledger,
        collector: Collector,
        trace_to: TraceTo,
        said: Callable[[str], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(run, "model_of", lambda _: built_in())
        trace_to(content=True, content_of=["lead-triage"], environment="staging", **KEYS)
        sandbox.write(
            sender=f"Zanzibar Berg <ann@{MARK}.example>",
            subject="Could we have a demo?",
            body="Hello,\n\nmy name is Zanzibar Berg, and we run two sites. Ring +49 30 1234567.\n\nZanzibar Berg",
        )

        lead_triage()

        with ledger.read() as session:
            (this,) = session.scalars(sa.select(tables.Run))
            (record,) = session.scalars(sa.select(Record))
        assert said("INFO") == [f"this run's trace is {this.id}: {collector.url}/trace/{this.id}"]
        assert set(collector.paths) == {"/api/public/otel/v1/traces"}
        assert collector.resource["langfuse.environment"] == "staging"
        assert the_root(collector).attributes["langfuse.trace.name"] == "lead-triage"
        (chat,) = collector.named(f"chat {built_in().model_id}")
        assert chat.kind != CLIENT
        assert chat.attributes["gen_ai.provider.name"] == "signoff"
        assert json.loads(chat.attributes["langfuse.observation.cost_details"]) == {"total": 0.0}
        ((asked),) = json.loads(chat.attributes["gen_ai.input.messages"])
        assert asked["role"] == "user"
        assert "we run two sites" in asked["parts"][0]["content"]
        ((answer),) = json.loads(chat.attributes["gen_ai.output.messages"])
        assert json.loads(answer["parts"][0]["content"])["intent"] == (record.answer or {})["intent"]
        assert json.loads(chat.attributes["gen_ai.system_instructions"])[0]["content"]
        for hidden in (MARK, "berg", "1234567", SECRET):
            assert hidden not in written(collector)


@pytest.mark.usefixtures("in_a_flow", "agents_claude", "deployment")
class TestAnAgent:
    def test_has_its_steps_tools_and_actions_under_it(
        self,
        begin: Begin,
        sandbox: Sandbox,
        hubspot: HubSpot,
        add_record: Callable[..., int],
        triaged: Callable[..., dict[str, Any]],
        collector: Collector,
        trace_to: TraceTo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(prompts, "load", agents.with_agent_text(prompts.load))
        trace_to()
        sender = f"ann@{MARK}.example"
        mail = sandbox.write(sender=sender, subject="Zanzibar", body="Zanzibar?")
        hubspot.upsert_contact(sender, {"firstname": "Zanzibar"})
        number = add_record(
            "validated", triaged(summary="Zanzibar asks."), sender=sender, subject="Zanzibar", text="Zanzibar?",
            message_id=mail.id, thread_id=mail.thread_id, rfc822_message_id=mail.message_id,
        )  # fmt: skip
        steps: list[list[tuple[str, dict[str, Any]]]] = [
            [("look_up", {"name": "Zanzibar"}), ("tell_zanzibar", {"text": "Zanzibar"})],
            [("add_note", {"text": "Zanzibar wants a demo"}), ("send_reply", {"text": "Hello Zanzibar"})],
        ]
        for calls in steps:
            wanted = [{"name": name, "input": given} for name, given in calls]
            sandbox.script({"tool_use": wanted, "text": "Zanzibar it is."})

        with begin(agents.card()) as this:
            agents.work(this, [number])

        assert MARK not in written(collector)
        shown = ("signoff.outcome", "signoff.impact", "signoff.step", "signoff.steps")
        assert collector.tree(*shown) == (
            "invoke_workflow lead-triage\n"
            "  agent\n"
            "    invoke_agent lead-triage outcome=waiting steps=2\n"
            "      chat claude-haiku-5-5 step=1\n"
            "      execute_tool look_up outcome=answered impact=read\n"
            "      execute_tool unknown outcome=refused impact=unknown FAILED ToolRefused: \n"
            "      chat claude-haiku-5-5 step=2\n"
            "      execute_tool add_note outcome=answered impact=low\n"
            "        act hubspot.add_note outcome=done impact=low\n"
            "      execute_tool send_reply outcome=waits for a person impact=high"
        )
        (agent,) = collector.named("invoke_agent lead-triage")
        assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
        assert agent.attributes["gen_ai.conversation.id"] == "agent_runs/1"
        (tool,) = collector.named("execute_tool look_up")
        assert tool.attributes["gen_ai.tool.call.id"]
        assert tool.attributes["gen_ai.tool.type"] == "function"


@pytest.mark.usefixtures("in_a_flow")
class TestRetrieval:
    @pytest.mark.parametrize("content", [False, True])
    def test_tells_how_much_was_found_and_what_was_asked_only_by_leave(
        self,
        content: bool,
        begin: Begin,
        library: Library,
        add_question: Callable[..., int],
        collector: Collector,
        trace_to: TraceTo,
    ) -> None:
        trace_to(content=content)
        put(library, "labels.md", "Labels: when labels are cut off at Zanzibar, choose the layout Narrow.")
        number = add_question(sender=f"ann@{MARK}.example", text=f"Labels are cut off, mail ann@{MARK}.example")
        with begin(SUPPORT) as this:
            retrieve.passages(this, [number], question, readers)
        (search,) = collector.named("retrieval library")
        assert search.attributes["gen_ai.operation.name"] == "retrieval"
        assert search.attributes["signoff.record.id"] == number
        assert search.attributes["signoff.passages"] == 1
        assert MARK not in written(collector)
        asked = search.attributes.get("gen_ai.retrieval.query.text", "")
        assert ("Labels are cut off" in asked) is content


@pytest.mark.usefixtures("in_a_flow")
class TestFailures:
    @pytest.mark.usefixtures("fast_retries")
    def test_each_attempt_at_a_model_that_is_overloaded_is_told_in_our_own_words(
        self,
        accounts: Callable[[], None],
        begin: Begin,
        sandbox: Sandbox,
        add_record: Callable[..., int],
        collector: Collector,
        trace_to: TraceTo,
    ) -> None:
        accounts()
        trace_to()
        sandbox.fault("overloaded", "anthropic", "*/v1/messages", times=None)
        with pytest.raises(VendorError), begin() as this:
            prompt.ask(this, [add_record()], variables)
        attempts = collector.named("prompt")
        assert [attempt.attributes["signoff.attempt"] for attempt in attempts] == [1, 2, 3, 4]
        for span in collector.named("chat claude-haiku-5-5"):
            assert span.attributes["error.type"] == "529"
            assert span.reason == "claude: messages.create failed with 529; it can be tried again"
        assert all(span.failed for span in collector.spans)

    def test_an_action_that_fails_names_nobody(
        self, allow: Callable[..., Any], do: Callable[[Any], None], collector: Collector, trace_to: TraceTo
    ) -> None:
        trace_to()
        approved = allow(AddNote(email=f"ann@{MARK}.example", body="Zanzibar", at=tables.utcnow()))
        with pytest.raises(VendorError, match=f"find contact ann@{MARK}.example"):
            do(approved)
        (act,) = collector.named("act hubspot.add_note")
        assert (act.attributes["signoff.outcome"], act.attributes["error.type"]) == ("pending", "VendorError")
        assert act.reason == "hubspot: a call failed; it can be tried again"
        assert MARK not in written(collector)

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (VendorError("slack", "chat.postMessage", "no", permanent=True, status=403),
             ("403", "slack: chat.postMessage failed with 403; trying again cannot help")),
            (VendorError("gmail", "messages.send", "lost", permanent=False, unknown=True),
             ("VendorError", "gmail: messages.send failed; whether it was done is not known")),
            (VendorError("drive", "download Zanzibar.pdf", "no", permanent=True),
             ("VendorError", "drive: a call failed; trying again cannot help")),
            (KeyError("Zanzibar"), ("KeyError", "")),
        ],
    )  # fmt: skip
    def test_the_reason_is_made_of_what_we_know_and_not_of_what_was_said(
        self, error: Exception, told: tuple[str, str]
    ) -> None:
        assert tracing.reason_of(error) == told


@pytest.mark.usefixtures("in_a_flow", "prefect_server")
class TestACollectorThatIsNoGood:
    def work(self, ledger: Ledger) -> float:
        """A run with one piece of work; returns the seconds that it took."""
        began = time.monotonic()
        with alive(ledger, "lead-triage", "gated") as run_id:
            tracing.verb("work", lambda: None)()
        with ledger.read() as session:
            assert session.get_one(tables.Run, run_id).ended_at is not None
        return time.monotonic() - began

    def test_that_refuses_costs_one_warning_with_the_way_out_and_without_the_key(
        self, ledger: Ledger, collector: Collector, trace_to: TraceTo, said: Callable[[str], list[str]]
    ) -> None:
        trace_to(**KEYS)
        collector.answer = (401, {}, f"the key {SECRET} is not known".encode())
        self.work(ledger)
        (warning,) = said("WARNING")
        assert warning.startswith("2 of the 2 spans of trace ")
        assert "the key *** is not known: put valid keys" in warning
        assert "Without the block traces/collector nothing is traced" in warning
        assert SECRET not in warning

    def test_that_hangs_holds_up_the_end_of_a_run_for_no_longer_than_the_block_says(
        self, ledger: Ledger, collector: Collector, trace_to: TraceTo, said: Callable[[str], list[str]]
    ) -> None:
        trace_to(timeout_seconds=0.3)
        collector.hangs = threading.Event()
        assert self.work(ledger) < 2.5
        (warning,) = said("WARNING")
        assert "no reply" in warning or "a run that is over waits for 0.3 seconds" in warning

    def test_that_is_not_there_harms_nothing_and_the_next_run_is_traced_again(
        self, ledger: Ledger, collector: Collector, trace_to: TraceTo, said: Callable[[str], list[str]]
    ) -> None:
        trace_to(address="http://127.0.0.1:1", timeout_seconds=0.3)
        self.work(ledger)
        assert "could not connect" in said("WARNING")[0]
        trace_to()
        self.work(ledger)
        assert collector.tree() == "invoke_workflow lead-triage\n  work"

    def test_whose_block_cannot_be_read_is_told_without_quoting_it(
        self, ledger: Ledger, said: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: str) -> Traces:
            return Traces(address=f"https://me:{SECRET}@x.example")

        with pytest.raises(ValidationError, match=SECRET):  # what must not be passed on
            broken("")
        monkeypatch.setattr(connections, "load_if_present", broken)
        self.work(ledger)
        assert said("WARNING") == [
            "this run is not traced: traces/collector could not be used (ValidationError); save the block anew, or "
            "delete it"
        ]


@pytest.mark.usefixtures("prefect_server")
class TestWhoIsTraced:
    @pytest.mark.usefixtures("in_a_flow")
    def test_nobody_without_the_block(
        self,
        ledger: Ledger,
        said: Callable[[str], list[str]],
    ) -> None:
        with alive(ledger, "lead-triage", "gated"):
            tracing.verb("work", lambda: None)()
        assert said("INFO") == said("WARNING") == []

    def test_flow_runs_only(self, ledger: Ledger, collector: Collector, trace_to: TraceTo) -> None:
        trace_to()
        with alive(ledger, "library-ask", "shadow"):
            tracing.verb("work", lambda: None)()
        assert collector.paths == []

    @pytest.mark.usefixtures("in_a_flow")
    def test_no_run_when_the_share_is_none(
        self,
        ledger: Ledger,
        collector: Collector,
        trace_to: TraceTo,
    ) -> None:
        trace_to(sample=0)
        with alive(ledger, "lead-triage", "gated"):
            tracing.verb("work", lambda: None)()
        assert collector.paths == []

    @pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
    def test_the_share_that_was_asked_for_and_always_the_same_runs(self, share: float) -> None:
        draw = random.Random(8)
        ids = [uuid.UUID(int=draw.getrandbits(128), version=4).hex for _ in range(4_000)]
        traced = [run_id for run_id in ids if tracing.is_sampled(run_id, share)]
        assert abs(len(traced) / len(ids) - share) < 0.03
        assert all(tracing.is_sampled(run_id, min(1.0, share + 0.1)) for run_id in traced)

    @pytest.mark.usefixtures("in_a_flow")
    def test_nothing_is_the_current_span_of_opentelemetrys_own_context(
        self,
        ledger: Ledger,
        trace_to: TraceTo,
    ) -> None:
        trace_to()
        provider = trace.get_tracer_provider()
        with alive(ledger, "lead-triage", "gated"):
            assert trace.get_current_span() is trace.INVALID_SPAN
        assert trace.get_tracer_provider() is provider


class TestContent:
    def request(self, **changes: Any) -> Request:
        case = prompts.load("lead_triage").cases[0]
        return Request(prompts.load("lead_triage"), {**case.inputs, "sender_name": "Zanzibar Berg"} | changes)

    def test_names_addresses_and_credentials_are_masked_in_what_is_asked_and_answered(self) -> None:
        request = self.request(text="Mail zara@zanzibar.example, my key is sk-ant-api03-abcdefgh. Zanzibar Berg")
        reply = Reply("Dear Zanzibar, we write to zara@zanzibar.example.", "m")
        content = "".join(tracing_content.of_reply(request, reply, ()).values())
        for hidden in (MARK, "berg", "abcdefgh"):
            assert hidden not in content.lower()
        assert "example.com" in content

    def test_the_cards_own_domain_stands(self) -> None:
        request = self.request(text="I wrote to hello@dockwell.example before")
        content = tracing_content.of_reply(request, Reply("{}", "m"), ("dockwell.example",))
        assert "dockwell.example" in content["gen_ai.input.messages"]

    def test_wrong_answers_and_their_complaints_are_turns_and_pictures_are_only_counted(self) -> None:
        request = Request(
            prompts.load("lead_triage"), self.request().variables, (("nonsense", "no JSON"),), (Picture(b"jpeg", 8, 6),)
        )
        asked = json.loads(tracing_content.of_reply(request, Reply("{}", "m"), ())["gen_ai.input.messages"])
        assert [message["role"] for message in asked] == ["user", "assistant", "user"]
        assert asked[0]["parts"][0] == {"type": "picture", "width": 8, "height": 6}
        assert asked[2]["parts"] == [{"type": "text", "content": "no JSON"}]

    def test_an_agents_turns_are_parts_of_the_conventions_and_unknown_blocks_only_named(self) -> None:
        record = Record(payload={"sender": f"ann@{MARK}.example", "sender_name": "Zanzibar Berg"}, context={})
        call = {"type": "tool_use", "id": "t1", "name": "look_up", "input": {"name": "Zanzibar"}}
        result = {"type": "tool_result", "tool_use_id": "t1", "content": f"ann@{MARK}.example"}
        said: list[dict[str, Any]] = [
            {"role": "user", "content": "Zanzibar"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
        turn = Turn([{"type": "thinking", "thinking": "Zanzibar"}, {"type": "text", "text": "Hello Zanzibar"}], "m")
        found = tracing_content.of_turn(record, Conversation("Be kind.", said, [], 100), turn, ())
        asked = json.loads(found["gen_ai.input.messages"])
        assert asked[1]["parts"][0]["type"] == "tool_call"
        assert asked[1]["parts"][0]["name"] == "look_up"
        assert asked[2]["parts"][0]["type"] == "tool_call_response"
        assert json.loads(found["gen_ai.output.messages"])[0]["parts"][0] == {"type": "thinking"}
        assert MARK not in "".join(found.values()).lower()

    def test_long_texts_are_cut_and_of_a_long_conversation_the_newest_is_kept(self) -> None:
        record = Record(payload={}, context={})
        said = [{"role": "user", "content": f"{number} " + "word " * 4_000} for number in range(30)]
        found = tracing_content.of_turn(record, Conversation("", said, [], 100), Turn([], "m"), ())
        asked = json.loads(found["gen_ai.input.messages"])
        assert len(found["gen_ai.input.messages"]) < tracing_content.LONGEST_CONVERSATION + 1_000
        assert "earlier messages left out" in asked[0]["parts"][0]["content"]
        assert asked[-1]["parts"][0]["content"].startswith("29 ")
        assert "characters left out" in asked[-1]["parts"][0]["content"]

    @pytest.mark.usefixtures("prefect_server", "in_a_flow")
    def test_half_a_character_costs_no_span(self, ledger: Ledger, collector: Collector, trace_to: TraceTo) -> None:
        trace_to(content=True)

        class Cut:
            model_id = "cut"
            address = "http://me:hunter2@[::1]:port"

            def converse(self, _: Conversation) -> Turn:
                return Turn([{"type": "text", "text": "see you \ud83d"}], "cut", "end\ud83d")

        card = agents.card()
        with alive(ledger, card.workflow, "gated") as run_id:
            this = Run(
                run_id, card, ledger, card.stage, Budget(ledger, card, run_id), built_in(), "v", (card.stage, "")
            )
            record = Record(payload={}, context={})
            tracing.converse(this, record, 1, Cut(), Conversation("", [], [], 9))  # type: ignore[arg-type]
        (chat,) = collector.named("chat cut")
        assert "see you ?" in chat.attributes["gen_ai.output.messages"]
        assert chat.attributes["gen_ai.response.finish_reasons"] == ["end?"]
        assert "hunter2" not in written(collector)

    def test_what_cannot_be_masked_is_left_out_and_fails_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(*_: Any, **__: Any) -> None:
            raise RuntimeError("Zanzibar")

        monkeypatch.setattr(tracing_content, "Mask", fails)
        found = tracing_content.of_reply(self.request(), Reply("Zanzibar", "m", cost=Decimal(0)), ())
        assert found == {"signoff.content": "left out: it could not be masked (RuntimeError)"}

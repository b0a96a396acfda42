"""The team is told what a run in shadow would have done: once for each record, and nothing else leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, Decision, Ledger, Record, utcnow
from flows.lead_triage import CARD, decide, explain
from sandbox.client import Sandbox
from sandbox.faults import Kind
from tasks import act, audit, doubts, gate, retention, shadow_report
from tasks.budget import Budget
from tasks.card import CardError, Stage
from tasks.run import Run, model_of
from tasks.shadow_report import MARK, told_in
from tests.shadowed import in_shadow

Begin = Callable[..., AbstractContextManager[Run]]
Triaged = Callable[..., dict[str, Any]]
IN_SHADOW: dict[str, Any] = {"stage": Stage.SHADOW, "shadow_report": "slack/team"}


@pytest.fixture
def shadow(begin: Begin) -> Callable[..., Run]:
    """One run in shadow that gates these records, tells of them and acts; returns it, for its notes."""

    def once(*ids: int, acts: bool = True, **changes: Any) -> Run:
        with begin(**IN_SHADOW | changes) as run:
            gate.check(run, ids, decide, explain)
            shadow_report.tell(run, ids)
            if acts:
                act.perform(run, ids)
            return run

    return once


@pytest.fixture
def add(add_record: Callable[..., int], triaged: Triaged) -> Callable[..., int]:
    """Puts a record into the ledger that is ready to be decided on."""

    def put(name: str = "m1", intent: str = "demo_request", answer: dict[str, Any] | None = None, **mail: Any) -> int:
        return add_record("validated", triaged(intent, **answer or {}), message_id=name, **mail)

    return put


def reports(ledger: Ledger) -> list[Action]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Action).where(Action.key.contains(f":{MARK}:")).order_by(Action.id)))


def posts(sandbox: Sandbox) -> list[str]:
    return [post["text"] for post in sandbox.posts()]


@pytest.fixture
def told(ledger: Ledger, accounts: Callable[[], None]) -> Callable[..., list[str]]:  # noqa: ARG001
    """What would be posted about these records, before it is escaped."""

    def tell(*ids: int) -> list[str]:
        for number in ids:
            in_shadow(ledger, number)
        card = CARD.model_copy(update=IN_SHADOW)
        run = Run("r", card, ledger, Stage.SHADOW, Budget(ledger, card, "r"), model_of(card), "v", (Stage.GATED, ""))
        shadow_report.tell(run, ids)
        return [str(report.payload["text"]) for report in reports(ledger)]

    return tell


class TestWhatIsTold:
    def test_each_record_with_what_was_wanted_and_the_draft(
        self, told: Callable[..., list[str]], add: Callable[..., int]
    ) -> None:
        (text,) = told(add(), add("m2", "spam", sender="seo@spam.example", subject="First page"))
        head, demo, spam, foot = text.splitlines()
        assert head == "lead-triage only watches (shadow): nothing was done. With 2 records it would have done this:"
        assert demo == (
            "• A demo (ann@northwind.example): Save contact ann@northwind.example; Note on ann@northwind.example; "
            "Task: Book the demo: Ann Berg; Send reply to ann@northwind.example: "
            "“Hello Ann, thank you for asking. Dockwell”; Label as Signoff/Lead"
        )
        assert spam == "• First page (seo@spam.example): Archive as Signoff/Spam"
        assert foot == "What people really did: signoff shadow lead-triage"

    def test_long_texts_are_cut_to_a_line(self, told: Callable[..., list[str]], add: Callable[..., int]) -> None:
        (text,) = told(add(answer={"reply": "Hello.\n\n" + "word " * 400}, subject="long " * 100))
        line = text.splitlines()[1]
        assert len(line) < 600
        assert "“Hello. word word" in line
        assert "…" in line

    def test_a_stranger_rings_nobodys_phone_and_makes_no_lines(
        self, shadow: Callable[..., Run], add: Callable[..., int], sandbox: Sandbox
    ) -> None:
        shadow(add(subject="<!channel> & <http://evil.example|click>\r\nsecond\x00 line\x1b[2J"))
        text = posts(sandbox)[0]
        assert "&lt;!channel&gt; &amp; &lt;http://evil.example|click&gt; second line[2J" in text
        assert len(text.splitlines()) == 3

    def test_what_was_refused_is_not_told_as_wanted(
        self, shadow: Callable[..., Run], add: Callable[..., int], sandbox: Sandbox
    ) -> None:
        shadow(add(answer={"reply": "Pay at https://evil.example/pay now."}))
        assert "Send reply" not in posts(sandbox)[0]

    def test_many_records_are_several_messages(
        self, told: Callable[..., list[str]], add: Callable[..., int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shadow_report, "MOST_RECORDS", 2)
        texts = told(*[add(f"m{n}", "spam") for n in range(5)])
        assert [len(text.splitlines()) - 2 for text in texts] == [2, 2, 1]


class TestOnce:
    @pytest.mark.both_databases
    def test_however_often_the_batch_is_gone_through(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger, sandbox: Sandbox
    ) -> None:
        number = add()
        for _ in range(3):
            shadow(number)
            with ledger.write() as session:
                session.execute(sa.update(Record).values(state="gated"))
        assert len(posts(sandbox)) == 1
        (report,) = reports(ledger)
        assert (report.key, report.state, report.record_id) == (f"lead-triage:{MARK}:{number}", "done", None)
        assert audit.verify(ledger).findings == ()

    def test_a_run_that_dies_before_it_posts_is_made_up_for_by_the_next(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger, sandbox: Sandbox
    ) -> None:
        first = add()
        shadow(first, acts=False)
        assert posts(sandbox) == []
        shadow(first, add("m2", "spam"))  # the records come again, in another batch than before
        assert [len(text.splitlines()) - 2 for text in posts(sandbox)] == [1, 1]
        assert [told_in(report.key) for report in reports(ledger)] == [{first}, {first + 1}]

    def test_a_run_that_dies_before_it_tells_is_made_up_for_too(
        self, shadow: Callable[..., Run], add: Callable[..., int], begin: Begin, sandbox: Sandbox
    ) -> None:
        number = add()
        with begin(stage=Stage.SHADOW, shadow_report=None) as run:
            gate.check(run, [number], decide, explain)
        shadow(number)
        assert len(posts(sandbox)) == 1

    @pytest.mark.usefixtures("fast_retries")
    @pytest.mark.parametrize("kind", ["reply_lost", "overloaded", "rate_limited"])
    def test_whatever_happens_to_the_post(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger, sandbox: Sandbox, kind: Kind
    ) -> None:
        sandbox.fault(kind, "slack", "*chat.postMessage")
        shadow(add())
        shadow()
        assert len(posts(sandbox)) == 1
        assert [report.state for report in reports(ledger)] == ["done"]

    def test_a_person_who_says_that_it_was_not_done(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger, sandbox: Sandbox
    ) -> None:
        number = add()
        shadow(number, acts=False)
        with ledger.write() as session:
            session.execute(sa.update(Action).where(Action.key.contains(MARK)).values(state="unknown"))
        doubts.settle(ledger, reports(ledger)[0].id, done=False, by="Mara")
        shadow(number)
        shadow(number)
        assert len(posts(sandbox)) == 1


class TestWhatAllowsIt:
    def test_the_card_is_who_decided(self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger) -> None:
        shadow(add())
        (report,) = reports(ledger)
        with ledger.read() as session:
            decision = session.scalars(sa.select(Decision)).one()
        assert (decision.action_id, decision.approver, decision.verdict) == (report.id, "card", "approved")
        assert (report.credential, report.impact, report.stage) == ("slack/team", "low", "shadow")

    def test_it_needs_no_line_for_slack_on_the_card(
        self, shadow: Callable[..., Run], add: Callable[..., int], sandbox: Sandbox
    ) -> None:
        shadow(add(), writes=tuple(line for line in CARD.writes if line.kind != "slack.post_message"))
        assert len(posts(sandbox)) == 1

    def test_nothing_else_leaves(self, shadow: Callable[..., Run], add: Callable[..., int], sandbox: Sandbox) -> None:
        shadow(add(), add("m2", "support", {"urgency": "high"}), add("m3", "spam"))
        writes = [c for c in sandbox.requests() if c["method"] != "GET" and not c["path"].endswith(("/token", "/read"))]
        assert [call["path"] for call in writes] == ["/api/chat.postMessage"]

    def test_what_was_allowed_at_another_stage_waits_through_an_emergency_stop(
        self, shadow: Callable[..., Run], add: Callable[..., int], begin: Begin, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        with begin(stage=Stage.SELECTIVE) as run:
            gate.check(run, [add("m1", "spam")], decide, explain)
        shadow(add("m2"))
        with begin(**IN_SHADOW) as run:
            act.resume(run)
        with ledger.read() as session:
            states = dict(session.execute(sa.select(Action.stage, Action.state).distinct()).tuples().all())
        assert states["selective"] == "pending"
        assert len(posts(sandbox)) == 1
        assert sandbox.state()["labels"] == []

    @pytest.mark.parametrize("changes", [{"shadow_report": None}, {"stage": Stage.SELECTIVE}])
    @pytest.mark.usefixtures("deployment")
    def test_without_it_or_at_another_stage_nothing_is_told(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger, changes: dict[str, Any]
    ) -> None:
        shadow(add(), acts=False, **changes)
        assert reports(ledger) == []

    def test_a_report_is_posted_after_the_stage_was_raised(
        self, shadow: Callable[..., Run], add: Callable[..., int], begin: Begin, sandbox: Sandbox
    ) -> None:
        shadow(add(), acts=False)
        with begin(stage=Stage.GATED) as run:
            act.resume(run)
        assert len(posts(sandbox)) == 1

    def test_only_a_slack_channel_can_be_told(self) -> None:
        with pytest.raises(CardError, match="shadow_report"):
            type(CARD)(**CARD.model_dump() | {"shadow_report": "gmail/inbox"})


class TestWithoutSlack:
    def test_a_channel_that_nobody_saved_is_noted_once(
        self, add: Callable[..., int], ledger: Ledger, begin: Begin
    ) -> None:
        with begin(stage=Stage.SHADOW, shadow_report="slack/nobody") as run:
            for name in ("m1", "m2"):
                number = add(name)
                gate.check(run, [number], decide, explain)
                shadow_report.tell(run, [number])
        noted = [note for note in run.notes if "slack/nobody" in note]
        assert noted == ["nobody has saved slack/nobody: no channel is told what this run would have done"]
        assert reports(ledger) == []

    def test_nothing_to_tell_asks_nobody(self, shadow: Callable[..., Run]) -> None:
        assert not [note for note in shadow(shadow_report="slack/nobody").notes if "slack" in note]

    @pytest.mark.usefixtures("fast_retries")
    @pytest.mark.parametrize(
        ("fault", "tries"),
        [
            ({"kind": "server_error"}, 4),
            ({"kind": "rate_limited", "retry_after": 3600}, 1),
            ({"kind": "bad_request"}, 1),
        ],
    )
    def test_a_slack_that_does_not_answer_stops_nothing(
        self,
        shadow: Callable[..., Run],
        add: Callable[..., int],
        ledger: Ledger,
        sandbox: Sandbox,
        fault: dict[str, Any],
        tries: int,
    ) -> None:
        sandbox.fault(**fault, vendor="slack", path="*chat.postMessage", times=None)
        number = add()
        run = shadow(number, writes=tuple(line for line in CARD.writes if line.kind != "slack.post_message"))
        assert any("could not all be done: slack" in note for note in run.notes)
        assert len([call for call in sandbox.requests() if call["path"] == "/api/chat.postMessage"]) == tries
        with ledger.read() as session:
            assert session.get_one(Record, number).state == "done"

    def test_a_dead_token_stops_nothing_and_is_made_up_for(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger, sandbox: Sandbox
    ) -> None:
        writes = tuple(line for line in CARD.writes if line.kind != "slack.post_message")
        sandbox.fault("unauthorized", "slack")
        number = add()
        run = shadow(number, writes=writes)
        assert any("invalid_auth" in note for note in run.notes)
        with ledger.read() as session:
            assert session.get_one(Record, number).state == "done"
        shadow(writes=writes)
        assert len(posts(sandbox)) == 1


class TestRedaction:
    def test_a_report_goes_with_any_of_its_records(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger
    ) -> None:
        first, second = add(), add("m2", sender="bob@fabrikam.example", subject="About Fabrikam")
        shadow(first, second)
        retention.redact(ledger, [second], by="Mara")
        (report,) = reports(ledger)
        with ledger.read() as session:
            decision = session.scalars(sa.select(Decision).where(Decision.action_id == report.id)).one()
        assert (report.payload, decision.payload) == ({}, {})
        assert report.title == "Slack (redacted)"
        assert report.redacted_at is not None
        assert audit.verify(ledger).findings == ()
        shadow(first)  # and what it told is not told again
        assert len(reports(ledger)) == 1

    def test_one_that_is_still_to_be_posted_keeps_its_records_whole(
        self, shadow: Callable[..., Run], add: Callable[..., int], ledger: Ledger, sandbox: Sandbox
    ) -> None:
        first, second = add(), add("m2", "spam")
        shadow(first, second, acts=False)
        with ledger.write() as session:
            session.execute(sa.update(Record).values(state="done"))
        plan = retention.plan(ledger, [first, second])
        assert plan.ready == []
        assert [left.why for left in plan.left] == [f"its Slack #{reports(ledger)[0].id} is pending: {LATER}"] * 2
        assert retention.redact(ledger, [first, second], by="Mara").records == 0
        shadow()
        assert len(posts(sandbox)) == 1
        assert retention.redact(ledger, [first, second], by="Mara").records == 2

    def test_one_that_could_not_be_posted_in_time_is_given_up_and_keeps_nothing(
        self, shadow: Callable[..., Run], add: Callable[..., int], begin: Begin, ledger: Ledger, sandbox: Sandbox
    ) -> None:
        number = add()
        shadow(number, acts=False)
        with ledger.write() as session:
            session.execute(sa.update(Record).values(state="done"))
        with begin(**IN_SHADOW):
            assert reports(ledger)[0].state == "pending"  # there is time yet
        with ledger.write() as session:
            session.execute(sa.update(Action).where(Action.key.contains(MARK)).values(expires_at=utcnow()))
            session.execute(sa.update(Record).values(updated_at=utcnow() - timedelta(days=100)))
            session.execute(sa.update(Action).values(updated_at=utcnow() - timedelta(days=100)))
        shadow(number)
        (report,) = reports(ledger)
        assert (report.state, report.payload, posts(sandbox)) == ("refused", {}, [])
        with ledger.read() as session:
            assert session.get_one(Record, number).redacted_at is not None


LATER = "the workflow's next run does it"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([7], "7"), ([3, 4, 5], "3-5"), ([1, 3, 4, 9, 10], "1,3-4,9-10"), (list(range(1, 200, 2)), None)],
)
def test_the_key_names_the_records(numbers: list[int], text: str | None) -> None:
    ranges = shadow_report._ranges(numbers)
    assert text in (None, ranges)
    assert told_in(f"lead-triage:{MARK}:{ranges}") == set(numbers)


@pytest.mark.parametrize("key", ["lead-triage:gmail:x:m1:1:slack.post_message", "a:b", "", f"w:{MARK}:", f"w:{MARK}:x"])
def test_other_keys_name_none(key: str) -> None:
    assert told_in(key) == set()

"""Approvals in Slack: what is posted, who may press, and that the message says what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client

from blocks.ledger import Action, Ledger, Notice
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from sandbox.faults import Kind
from tasks import approval_runs, approval_slack, approvals, notices
from tasks.approval_slack import Desk as Channel
from tasks.approval_slack import read_press
from tests import pressing
from tests.deciding import CARDS, KOFI, TOM, TRIAGE, Desk, mail, note, refund, reply
from tests.pressing import buttons, interaction, press, said, whispers

Accounts = Callable[[], None]


@pytest.fixture
def at(accounts: Accounts) -> Iterator[Channel]:  # noqa: ARG001
    with pressing.desk() as made:
        yield made


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger)


def post(desk: Desk, at: Channel, **changes: Any) -> int:
    return approval_slack.post(desk.ledger, CARDS, at, **{"buttons": True} | changes)


def decide(desk: Desk, at: Channel, message: dict[str, Any], label: str, user: str = "U0TOM", **changes: Any) -> str:
    return approval_slack.decide(desk.ledger, CARDS, at, press(message, label, user, **changes))


def only(sandbox: Sandbox) -> dict[str, Any]:
    (message,) = sandbox.posts()
    return message


class TestPosting:
    def test_what_is_high_impact_is_posted_whole_and_once(self, desk: Desk, at: Channel, sandbox: Sandbox) -> None:
        desk.put(note(), forms=False)
        (number,) = desk.put(reply(body="Hello Ann,\n\nof course."), email=mail("Could we?\n\u202eNow?"), forms=False)
        assert post(desk, at) == 0  # Prefect has no form of it yet
        desk.as_if_with_forms()
        assert [post(desk, at), post(desk, at)] == [1, 0]
        message = only(sandbox)
        shown = said(message)
        for part in (
            "Send reply to ann@northwind.example", "To: ann@northwind.example", "Subject: A demo",
            "It leaves the company", f"#{number}, lead-triage, 92% sure, $0.0012, asked: {TOM}, until ",
            "It answers “A demo”:\nCould we?\nNow?", "Hello Ann,\n\nof course.",
        ):  # fmt: skip
            assert part in shown
        assert buttons(message) == ["Approve", "Reject", "Open"]
        (open_,) = [e for b in message["blocks"] if b["type"] == "actions" for e in b["elements"] if "url" in e]
        assert open_["url"] == f"http://127.0.0.1:4280/inbox/{number}"
        assert "confirm" in next(e for b in message["blocks"] if b["type"] == "actions" for e in b["elements"])

    def test_nothing_from_outside_is_a_link_or_a_mention(self, desk: Desk, at: Channel, sandbox: Sandbox) -> None:
        hostile = "<!channel> <https://evil.example|Approve> *b* :wave: <@U0TOM>"
        desk.put(reply(subject=hostile, body=hostile), email=mail(hostile, subject=hostile), forms=False)
        desk.as_if_with_forms()
        post(desk, at)
        message = only(sandbox)
        for block in message["blocks"]:
            for text in [block.get("text"), *block.get("elements", [])]:
                if text and "text" in text:
                    inner = text["text"] if isinstance(text["text"], dict) else text
                    assert inner["type"] == "plain_text"
                    assert inner["emoji"] is False
        assert "<" not in message["text"]

    def test_many_are_one_message_that_leads_to_the_page(self, desk: Desk, at: Channel, sandbox: Sandbox) -> None:
        for n in range(30):
            desk.put(reply(f"r{n}@x.example"), forms=False)
        desk.as_if_with_forms()
        assert post(desk, at) == 30
        message = only(sandbox)
        assert "30 sign-offs wanted" in said(message)
        assert "and 10 more" in said(message)
        assert buttons(message) == ["Open"]
        assert post(desk, at) == 0

    def test_what_is_not_seen_whole_cannot_be_approved_there(self, desk: Desk, at: Channel, sandbox: Sandbox) -> None:
        desk.put(reply(body="x" * 12_000), reply("b@x.example", body="pay\u200bpal"), forms=False)
        desk.as_if_with_forms()
        post(desk, at)
        long, odd = sandbox.posts()
        assert buttons(long) == buttons(odd) == ["Reject", "Open"]
        assert "approved only where it is seen whole" in said(long)
        assert "characters that nobody can see" in said(odd)
        forged = interaction(long, "Reject")
        forged["actions"][0]["action_id"] = approval_slack.APPROVE
        found = read_press(forged)
        assert found is not None
        assert "seen whole: http" in approval_slack.decide(desk.ledger, CARDS, at, found)
        assert desk.states() == ["waiting", "waiting"]

    @pytest.mark.parametrize("hidden", ["\U000e0100", "\u3164", "\ufe01", "\u2800", "\u200d"])
    def test_a_text_in_which_something_hides_is_approved_only_in_the_inbox(
        self, desk: Desk, at: Channel, sandbox: Sandbox, hidden: str
    ) -> None:
        desk.put(reply(body=f"Hello{hidden} Ann"), forms=False)
        desk.as_if_with_forms()
        post(desk, at)
        message = only(sandbox)
        assert buttons(message) == ["Reject", "Open"]
        assert "characters that nobody can see" in said(message)
        assert "Hello Ann" in said(message)

    def test_without_an_endpoint_there_is_no_button_that_does_nothing(
        self, desk: Desk, at: Channel, sandbox: Sandbox
    ) -> None:
        desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        post(desk, at, buttons=False)
        assert buttons(only(sandbox)) == ["Open"]

    @pytest.mark.usefixtures("accounts")
    def test_where_nobody_may_approve_nothing_is_posted(self) -> None:
        assert approval_slack.desk() is None
        with pressing.desk(approvers={}, approve_by_email=True):
            found = approval_slack.desk()
        assert found is not None
        assert found.channel == "slack/approvals/approvals"

    @pytest.mark.parametrize("kind", ["reply_lost", "reset", "overloaded", "rate_limited"])
    def test_whatever_happens_to_a_post_it_is_there_once(
        self, desk: Desk, at: Channel, sandbox: Sandbox, kind: Kind, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tasks.approval_slack.discipline", lambda _: None)  # the pause is another module's matter
        desk.put(reply(), reply("b@x.example"), forms=False)
        desk.as_if_with_forms()
        sandbox.fault(kind, "slack", "chat.postMessage", times=1, commit=kind == "reply_lost")
        with pytest.raises(VendorError):
            post(desk, at)
        post(desk, at)
        assert sorted(message["text"] for message in sandbox.posts()) == [
            "Sign-off wanted: Send reply to ann@northwind.example",
            "Sign-off wanted: Send reply to b@x.example",
        ]
        assert {row.state for row in rows(desk.ledger)} == {notices.SENT}

    def test_a_dead_process_leaves_its_message_to_the_next(
        self, desk: Desk, at: Channel, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        with monkeypatch.context() as patch:
            patch.setattr("tasks.approval_slack._post_all", lambda *_, **__: None)  # it ends before it has posted
            post(desk, at)
        assert post(desk, at) == 0
        assert sandbox.posts() == []  # this process lives: it may be posting still
        monkeypatch.setattr("tasks.notices.is_gone", lambda _: True)
        post(desk, at)
        assert len(sandbox.posts()) == 1

    def test_nobody_else_sends_what_is_begun_here(self, desk: Desk, at: Channel, sandbox: Sandbox) -> None:
        desk.put(reply(), forms=False)
        desk.as_if_with_forms()
        post(desk, at)
        assert notices.send(desk.ledger, [TRIAGE]) == []
        assert len(sandbox.posts()) == 1


def rows(ledger: Ledger) -> list[Notice]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Notice).order_by(Notice.id)))


class TestPressing:
    @pytest.fixture
    def message(
        self,
        desk: Desk,
        at: Channel,
        sandbox: Sandbox,
        deployment: UUID,  # noqa: ARG002
    ) -> dict[str, Any]:
        desk.put(reply())
        post(desk, at)
        return only(sandbox)

    @pytest.mark.parametrize(("label", "verdict"), [("Approve", "approved"), ("Reject", "rejected")])
    def test_a_press_decides_in_the_persons_name_and_the_message_says_so(
        self, desk: Desk, at: Channel, sandbox: Sandbox, message: dict[str, Any], label: str, verdict: str
    ) -> None:
        assert decide(desk, at, message, label) == ""
        decision = desk.decision(1)
        assert decision is not None
        assert (decision.verdict, decision.approver, decision.edited) == (verdict, TOM, False)
        shown = only(sandbox)
        assert shown["ts"] == message["ts"]
        assert said(shown).split("\n")[1].startswith(f"{verdict.capitalize()} by {TOM} on ")
        assert buttons(shown) == []
        assert whispers(sandbox) == []

    def test_who_is_not_known_is_told_alone_and_nothing_is_done(
        self, desk: Desk, at: Channel, sandbox: Sandbox, message: dict[str, Any]
    ) -> None:
        decide(desk, at, message, "Approve", user="U0GUEST")
        ((user, words),) = whispers(sandbox)
        assert user == "U0GUEST"
        assert "Signoff does not know you: put U0GUEST under" in words
        assert "Nothing was done by your press" in words
        assert desk.states() == ["waiting"]
        assert buttons(only(sandbox)) == ["Approve", "Reject", "Open"]

    def test_who_is_not_on_the_card_may_not(self, desk: Desk, at: Channel, message: dict[str, Any]) -> None:
        cards = [TRIAGE.model_copy(update={"allowed": ()})]
        told = approval_slack.decide(desk.ledger, cards, at, press(message, "Approve", "U0KOFI"))
        assert told.startswith(f"{KOFI} may not decide for lead-triage")
        assert desk.states() == ["waiting"]

    @pytest.mark.parametrize(
        ("user", "may"),
        [(user, user == "U0MARA") for user in ("U0MARA", "U0GUEST", "U0LEFT", "U0CLAIMS", "U0ABROAD", "U0X")],
    )
    def test_by_their_address_in_slack_where_that_is_switched_on(
        self, desk: Desk, sandbox: Sandbox, at: Channel, message: dict[str, Any], user: str, may: bool
    ) -> None:
        by_mail = Channel(at.credential, at.slack.model_copy(update={"approve_by_email": True, "approvers": {}}))
        approval = press(message, "Approve", user)
        if user == "U0X":  # nobody whom Slack could whisper to
            with pytest.raises(VendorError, match="user_not_in_channel"):
                approval_slack.decide(desk.ledger, CARDS, by_mail, approval)
        else:
            told = approval_slack.decide(desk.ledger, CARDS, by_mail, approval)
            assert (told == "") is may
        assert desk.states() == ["pending" if may else "waiting"]
        assert sandbox.posts()

    def test_what_has_changed_since_is_refused(
        self, desk: Desk, at: Channel, sandbox: Sandbox, message: dict[str, Any]
    ) -> None:
        with desk.ledger.write() as session:
            session.execute(sa.update(Action).values(digest="f" * 64))
        assert "not the one that this message shows" in decide(desk, at, message, "Approve")
        assert desk.states() == ["waiting"]
        assert len(whispers(sandbox)) == 1

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"team": {"id": "T0EVIL"}}, "only full members of Signoff's own workspace"),
            ({"team": None}, "only full members of Signoff's own workspace"),
            ({"user": {"id": "U0TOM", "team_id": "T0EVIL"}}, "only full members of Signoff's own workspace"),
            ({"user": {"id": "U0TOM"}}, "only full members of Signoff's own workspace"),
            ({"container": {"message_ts": "1.000001"}}, "not the newest message about it"),
            ({"container": None}, "not the newest message about it"),
        ],
    )
    def test_a_press_elsewhere_is_refused_whoever_it_says_it_is(
        self, desk: Desk, at: Channel, message: dict[str, Any], changes: dict[str, Any], why: str
    ) -> None:
        pressed = read_press(interaction(message, "Approve") | changes)
        assert pressed is not None
        assert why in approval_slack.decide(desk.ledger, CARDS, at, pressed)
        assert desk.states() == ["waiting"]

    def test_nobody_decides_while_slack_does_not_say_where(
        self, desk: Desk, at: Channel, sandbox: Sandbox, message: dict[str, Any]
    ) -> None:
        sandbox.fault("server_error", "slack", "*/auth.test")
        assert "did not say which workspace" in decide(desk, at, message, "Approve")
        assert desk.states() == ["waiting"]

    def test_who_is_slower_is_told_and_sees_by_whom(
        self, desk: Desk, at: Channel, sandbox: Sandbox, message: dict[str, Any]
    ) -> None:
        approvals.respond(desk.ledger, 1, approve=False, approver="Mara", comment="by <phone>")
        assert "it is rejected. Nothing was done" in decide(desk, at, message, "Approve")
        assert "Rejected by Mara on " in said(only(sandbox))
        assert said(only(sandbox)).split("\n")[1].endswith(": by <phone>")

    def test_prefects_form_answers_first(self, desk: Desk, at: Channel, message: dict[str, Any]) -> None:
        answer = {"decision": "reject", "approver": "Mara", "comment": "", "body": "x"}
        assert approval_runs.resume(str(desk.action(1).flow_run_id), answer) is None
        assert "was answered in Prefect already" in decide(desk, at, message, "Approve")
        assert desk.decision(1) is None

    def test_the_same_press_twice_decides_once(
        self, desk: Desk, at: Channel, sandbox: Sandbox, message: dict[str, Any]
    ) -> None:
        decide(desk, at, message, "Approve")
        assert "it is pending" in decide(desk, at, message, "Approve")
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(UUID(str(desk.action(1).flow_run_id)))
        assert run.state_name != "Suspended"
        assert len(sandbox.posts()) == 1

    def test_a_message_about_many_follows_what_is_decided(self, desk: Desk, at: Channel, sandbox: Sandbox) -> None:
        for n in range(5):
            desk.put(refund(1_000 + n), workflow="billing-agent", confidence="x", forms=False)
        desk.as_if_with_forms()
        post(desk, at)
        approvals.settle(desk.ledger, 2, {"decision": "reject", "approver": "Mara"})
        assert [approval_slack.refresh(desk.ledger, CARDS, at) for _ in range(2)] == [1, 0]
        shown = said(only(sandbox))
        assert "4 sign-offs wanted" in shown
        assert "#2 Refund EUR 10.01 to ann@northwind.example: Rejected by Mara" in shown
        for number in (1, 3, 4, 5):
            approvals.settle(desk.ledger, number, {"decision": "reject", "approver": "Mara"})
        approval_slack.refresh(desk.ledger, CARDS, at)
        assert "All 5 are decided" in said(only(sandbox))
        assert buttons(only(sandbox)) == []


class TestReading:
    MESSAGE: dict[str, Any] = {  # noqa: RUF012
        "ts": "1.1", "channel_id": "C1", "channel": "c",
        "blocks": [
            {"type": "actions", "elements": [{
                "type": "button", "text": {"text": "Approve"}, "action_id": approval_slack.APPROVE,
                "value": f"12:{'a' * 64}",
            }]},
        ],
    }  # fmt: skip

    def test_a_press_is_read(self) -> None:
        found = press(self.MESSAGE, "Approve")
        assert (found.user, found.approve, found.action_id) == ("U0TOM", True, 12)

    @pytest.mark.parametrize(
        "changes",
        [
            {"type": "view_submission"},
            {"type": None},
            {"actions": []},
            {"actions": None},
            {"actions": ["x"]},
            {"actions": [{"action_id": "signoff_open"}]},
            {"actions": [{"action_id": "signoff_approve", "value": "12"}]},
            {"actions": [{"action_id": "signoff_approve", "value": "12:short"}]},
            {"actions": [{"action_id": "signoff_approve", "value": f"-1:{'a' * 64}"}]},
            {"actions": [{"action_id": "signoff_approve", "value": f"٣:{'a' * 64}"}]},
            {"actions": [{"action_id": "signoff_approve", "value": f"{'9' * 30}:{'a' * 64}"}]},
            {"actions": [{"action_id": "signoff_approve", "value": ["12"]}]},
            {"actions": [{"action_id": "signoff_approve", "value": f"1:{'a' * 64}"}] * 2},
            {"type": "message_action"},
        ],
    )
    def test_what_is_no_decision_of_ours_is_left(self, changes: dict[str, Any]) -> None:
        assert read_press(interaction(self.MESSAGE, "Approve", **changes)) is None

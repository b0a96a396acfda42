"""Notices: people are told once in each channel, whatever crashes, and whichever channel is down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.context import SyncClientContext
from prefect.variables import Variable
from pydantic import SecretStr, ValidationError

from blocks.ledger import Alert, Ledger, Notice, utcnow
from blocks.outgoing_webhook import OutgoingWebhook, signed
from blocks.vendor import VendorError
from flows.lead_triage import CARD
from sandbox.client import Sandbox
from tasks import alerts, notices
from tasks.notice_channels import VARIABLE, SettingError, Settings, as_settings, why_not_written_to
from tests.telling import OWNER, SECRET, Receiver, mails, posts, receiving

BILLING = CARD.model_copy(update={"workflow": "billing-agent", "owner": "mara@dockwell.example"})
CARDS = (CARD, BILLING)
SLACK, MAIL, WEBHOOK = "slack/team", f"gmail/inbox/{OWNER}", "outgoing-webhook/alerts"
Elsewhere = Callable[[str], Any]


@pytest.fixture(autouse=True)
def _no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.events.emit_event", lambda **_: None)


@pytest.fixture
def receiver(accounts: Callable[[], None]) -> Iterator[Receiver]:  # noqa: ARG001
    with SyncClientContext.get_or_create(), receiving() as heard:  # one client of Prefect's, as in a flow
        yield heard


@pytest.fixture
def settings(prefect_server: None) -> Iterator[Callable[[Any], None]]:  # noqa: ARG001
    """Sets the Prefect Variable."""

    def change(value: Any) -> None:
        Variable.set(VARIABLE, value, overwrite=True)

    yield change
    Variable.unset(VARIABLE)


def send(ledger: Ledger) -> dict[str, str]:
    """Tell whatever is to be told; the states by channel."""
    return {told.channel: told.state for told in notices.send(ledger, [CARD])}


def rows(ledger: Ledger, channel: str | None = None) -> list[Notice]:
    with ledger.read() as session:
        found = session.scalars(sa.select(Notice).order_by(Notice.id)).all()
    return [row for row in found if channel in (None, row.channel)]


def age(ledger: Ledger, table: type[Alert] | type[Notice], by: timedelta, *columns: str) -> None:
    """Let time pass for a table's rows."""
    with ledger.write() as session:
        for row in session.scalars(sa.select(table)):
            for column in columns:
                setattr(row, column, getattr(row, column) - by)


def counts(sandbox: Sandbox, receiver: Receiver) -> tuple[int, int, int]:
    """The messages in Slack, to the owner, and to the receiver."""
    return len(posts(sandbox)), len(mails(sandbox)), len(receiver.heard)


class TestOnce:
    def test_what_opens_and_what_is_over_is_told_once_in_each_channel(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        alerts.open_alert(ledger, "disk:free:/", "no room")
        assert send(ledger) == {SLACK: "sent", MAIL: "sent", WEBHOOK: "sent"}
        assert send(ledger) == {}
        assert posts(sandbox) == ["Alert: no room\n\nsignoff alerts shows what is open."]
        assert sandbox.sent()[0].subject == "Signoff: Alert: no room"
        assert mails(sandbox) == posts(sandbox)
        assert receiver.texts() == ["Alert: no room"]
        alerts.close_alert(ledger, "disk:free:/")
        send(ledger)
        send(ledger)
        assert counts(sandbox, receiver) == (2, 2, 2)
        assert posts(sandbox)[1].startswith("Over, after 1 minute: no room")
        assert [row.external_id is not None and row.sent_at is not None for row in rows(ledger)] == [True] * 6

    def test_an_alert_that_opens_again_is_another(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        for _ in range(2):
            alerts.open_alert(ledger, "a", "no room")
            send(ledger)
            alerts.close_alert(ledger, "a")
            send(ledger)
        assert counts(sandbox, receiver) == (4, 4, 4)

    def test_a_storm_is_one_message(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        with ledger.write() as session:
            session.add_all(Alert(key=f"a{number}", message=f"number {number} is wrong") for number in range(200))
        send(ledger)
        assert counts(sandbox, receiver) == (1, 1, 1)
        lines = posts(sandbox)[0].splitlines()
        assert lines[0] == "200 new alerts:"
        assert lines[1] == "• Alert: number 0 is wrong"
        assert lines[21] == "... and 180 more."
        assert len(receiver.texts()) == 200
        with ledger.write() as session:
            session.execute(sa.update(Alert).values(closed_at=utcnow()))
        send(ledger)
        assert counts(sandbox, receiver) == (2, 2, 2)
        assert posts(sandbox)[1].startswith("200 alerts over:")

    @pytest.mark.both_databases
    def test_many_that_send_at_once_send_once(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        alerts.open_alert(ledger, "a", "no room")
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: notices.send(ledger, [CARD]), range(6)))
        assert counts(sandbox, receiver) == (1, 1, 1)

    def test_over_is_told_only_of_what_was_told(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        alerts.open_alert(ledger, "long ago", "x")
        alerts.close_alert(ledger, "long ago")
        age(ledger, Alert, timedelta(hours=2), "closed_at")
        assert send(ledger) == {}
        alerts.open_alert(ledger, "a blink", "y")
        alerts.close_alert(ledger, "a blink")
        send(ledger)
        assert counts(sandbox, receiver) == (1, 1, 1)
        assert receiver.texts() == ["Alert: y", "Over, after 1 minute: y"]


class TestTell:
    def test_once_for_a_key(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        for _ in range(2):
            told = notices.tell(ledger, "digest/2026-11-27", "3 wait\nfor you", [CARD], subject="Today")
            assert {each.channel: each.state for each in told} == {SLACK: "sent", MAIL: "sent", WEBHOOK: "sent"}
        assert counts(sandbox, receiver) == (1, 1, 1)
        assert posts(sandbox) == ["Today\n\n3 wait\nfor you"]
        assert sandbox.sent()[0].subject == "Signoff: Today"
        notices.tell(ledger, "x", "y", [CARD], subject="Signoff: 3 wait", via=("gmail",))
        assert sandbox.sent()[0].subject == "Signoff: 3 wait"

    def test_one_person_by_e_mail_alone(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        told = notices.tell(ledger, "expiry/4", "It runs out", CARDS, to=["mara@dockwell.example"], via=("gmail",))
        assert [(each.channel, each.state) for each in told] == [("gmail/inbox/mara@dockwell.example", "sent")]
        assert (posts(sandbox), receiver.heard) == ([], [])
        assert mails(sandbox, "mara@dockwell.example") == ["It runs out"]

    def test_nobody_else_is_written_to(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        (told,) = notices.tell(ledger, "expiry/4", "x", CARDS, to=["eve@attacker.example"], via=("gmail",))
        assert told.state == "left out"
        assert "neither it nor attacker.example is on any card's allowed list" in told.reason
        assert (sandbox.sent(), receiver.heard) == ([], [])

    def test_what_is_not_about_an_alert_is_a_message_of_its_own(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        receiver.status = 503
        alerts.open_alert(ledger, "a", "one")
        alerts.open_alert(ledger, "b", "two")
        notices.send(ledger, [CARD])
        told = {each.channel: each for each in notices.tell(ledger, "digest/1", "3 wait", [CARD])}
        assert (told[WEBHOOK].state, told[SLACK].reason) == ("pending", "")
        assert "503" in told[WEBHOOK].reason, "it waits behind one that was refused"
        receiver.status = 204
        send(ledger)
        assert [len(message["data"]["notices"]) for message in receiver.heard] == [2, 1]
        assert len(posts(sandbox)) == 2

    def test_no_credential_and_no_markup_gets_out(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        key = "sk-ant-api03-" + "x" * 40
        notices.tell(ledger, "t", f"<!channel> said {key} \x1b[2J and Bearer abcdefghij", [CARD])
        assert posts(sandbox) == ["&lt;!channel&gt; said *** [2J and Bearer ***"]
        said = json.dumps([row.text for row in rows(ledger)]) + json.dumps(receiver.heard) + mails(sandbox)[0]
        assert key not in said
        assert "abcdefghij" not in said


class TestWho:
    def test_an_owner_hears_of_the_own_workflows_and_of_what_is_everybodys(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        alerts.open_alert(ledger, "a", "triage", "lead-triage")
        alerts.open_alert(ledger, "b", "billing", "billing-agent")
        alerts.open_alert(ledger, "c", "disk")
        alerts.open_alert(ledger, "d", "report", "weekly-report")
        notices.send(ledger, CARDS)
        for address, mine, others in ((OWNER, "triage", "billing"), ("mara@dockwell.example", "billing", "triage")):
            (mail,) = mails(sandbox, address)
            assert all(f"Alert: {each}" in mail for each in (mine, "disk", "report"))
            assert others not in mail
        assert len(receiver.texts()) == 4

    def test_the_variable_says_who_else_and_where_not(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver, settings: Callable[[Any], None]
    ) -> None:
        settings({"mail": ["ops@dockwell.example", "eve@attacker.example"], "off": ["slack"]})
        alerts.open_alert(ledger, "b", "billing", "billing-agent")
        told = {each.channel: each.state for each in notices.send(ledger, CARDS)}
        assert mails(sandbox, "ops@dockwell.example") == ["Alert: billing\n\nsignoff alerts shows what is open."]
        assert told["gmail/inbox/eve@attacker.example"] == "left out"
        assert (posts(sandbox), mails(sandbox), len(receiver.heard)) == ([], [], 1)

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ({"quiet": ["25:00", "07:00"]}, "quiet.0: Input should be in a valid time format"),
            ({"mails": []}, "mails: Extra inputs are not permitted"),
            ({"timezone": "Mars/North"}, "there is no time zone 'Mars/North'"),
            ("nonsense", "Invalid JSON"),
            ({"off": ["pigeon"]}, "off.0: Input should be 'slack', 'gmail' or 'outgoing-webhook'"),
        ],
    )
    def test_a_variable_that_cannot_be_read_is_told_by_its_field(self, value: Any, said: str) -> None:
        with pytest.raises(SettingError, match=VARIABLE) as refused:
            as_settings(value)
        assert said in str(refused.value)

    def test_and_keeps_nobody_from_being_told(
        self, ledger: Ledger, receiver: Receiver, settings: Callable[[Any], None]
    ) -> None:
        settings({"mails": []})
        alerts.open_alert(ledger, "a", "x")
        told = notices.send(ledger, [CARD])
        assert VARIABLE in [each.channel for each in told if each.state == "left out"]
        assert len(receiver.heard) == 1

    @pytest.mark.parametrize(
        ("address", "mailbox", "said"),
        [
            (OWNER, "hello@company.example", ""),
            ("TOM@Dockwell.example", "hello@company.example", ""),
            (OWNER, "hello@acme.com", "is only an example: put your own address on the card"),
            ("sam@example.com", "hello@acme.com", "owns no card"),
            ("tom@dockwell.example.evil.com", "hello@company.example", "owns no card"),
        ],
    )
    def test_who_may_be_written_to(self, address: str, mailbox: str, said: str) -> None:
        why = why_not_written_to(address, [CARD], mailbox)
        assert said in why
        assert bool(said) == bool(why)

    @pytest.mark.parametrize(
        ("now", "quiet"), [("21:59", False), ("22:00", True), ("03:00", True), ("07:00", False), ("12:00", False)]
    )
    def test_quiet_hours_are_by_the_peoples_clock(self, now: str, quiet: bool) -> None:
        settings = Settings.model_validate({"quiet": ["22:00", "07:00"], "timezone": "Europe/Berlin"})
        berlin = datetime.fromisoformat(f"2026-01-15T{now}+01:00")
        assert settings.is_quiet(berlin.astimezone(UTC)) is quiet
        assert not Settings().is_quiet(berlin)

    @pytest.mark.usefixtures("receiver")
    def test_in_quiet_hours_people_wait_and_machines_do_not(
        self, ledger: Ledger, sandbox: Sandbox, settings: Callable[[Any], None]
    ) -> None:
        now = utcnow()
        settings({"quiet": [f"{now - timedelta(hours=1):%H:%M}", f"{now + timedelta(hours=1):%H:%M}"]})
        alerts.open_alert(ledger, "a", "x")
        assert send(ledger) == {WEBHOOK: "sent"}
        notices.tell(ledger, "urgent", "y", [CARD], urgent=True, via=("slack",))
        assert len(posts(sandbox)) == 2, "what is urgent takes along what waits"
        settings({})
        assert send(ledger) == {MAIL: "sent"}

    def test_with_nothing_connected_nothing_happens(self, ledger: Ledger, settings: Callable[[Any], None]) -> None:
        settings({"off": ["slack", "gmail"]})
        alerts.open_alert(ledger, "a", "x")
        assert notices.send(ledger, [CARD]) == []
        assert rows(ledger) == []


class TestDown:
    @pytest.mark.parametrize("kind", ["unauthorized", "bad_gateway"])
    def test_a_channel_that_is_down_stops_no_other_and_is_told_later(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver, kind: Any
    ) -> None:
        sandbox.fault(kind, "slack", "chat.postMessage", times=2)
        alerts.open_alert(ledger, "a", "x")
        told = send(ledger)
        assert told[SLACK] in ("pending", "sending")
        assert (told[MAIL], told[WEBHOOK]) == ("sent", "sent")
        send(ledger)
        assert counts(sandbox, receiver) == (0, 1, 1)
        assert [found.is_lost for found in notices.missed(ledger, utcnow())] == [False]
        alerts.close_alert(ledger, "a")
        assert send(ledger)[SLACK] == "sent"
        send(ledger)
        told_of = " ".join(posts(sandbox))
        assert (told_of.count("Alert: x"), told_of.count("Over, after")) == (1, 1)
        assert list(notices.missed(ledger, utcnow())) == []

    def test_after_a_day_it_is_given_up_and_that_it_is_over_is_not_told(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        receiver.status = 503
        alerts.open_alert(ledger, "a", "x")
        assert send(ledger)[WEBHOOK] == "pending"
        age(ledger, Notice, timedelta(days=1, minutes=1), "created_at")
        receiver.status = 204
        alerts.close_alert(ledger, "a")
        send(ledger)
        (failed,) = rows(ledger, WEBHOOK)
        assert failed.state == "failed"
        assert (failed.reason or "").startswith("not within a day: outgoing-webhook: POST: 503")
        assert counts(sandbox, receiver) == (2, 2, 0)
        assert [(each.channel, each.is_lost) for each in notices.missed(ledger, utcnow())] == [(WEBHOOK, True)]

    def test_a_draft_that_cannot_be_sent_is_sent_later_and_is_the_only_one(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        sandbox.fault("rate_limited", "google", "*/drafts/send", times=2)
        alerts.open_alert(ledger, "a", "x")
        assert [send(ledger).get(MAIL) for _ in range(3)] == ["sending", "sending", "sent"]
        assert (len(sandbox.drafts()), *counts(sandbox, receiver)) == (0, 1, 1, 1)


class TestLost:
    def test_a_post_whose_reply_was_lost_is_found(self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver) -> None:
        sandbox.fault("reply_lost", "slack", "chat.postMessage")
        alerts.open_alert(ledger, "a", "x")
        assert send(ledger)[SLACK] == "sending"
        assert send(ledger) == {SLACK: "sent"}
        assert counts(sandbox, receiver) == (1, 1, 1)

    @pytest.mark.parametrize("path", ["*/drafts", "*/drafts/send"])
    def test_an_e_mail_whose_reply_was_lost_is_found(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver, path: str
    ) -> None:
        sandbox.fault("reply_lost", "google", path, method="POST")
        alerts.open_alert(ledger, "a", "x")
        assert send(ledger)[MAIL] == "sending"
        assert send(ledger) == {MAIL: "sent"}
        assert (len(sandbox.drafts()), *counts(sandbox, receiver)) == (0, 1, 1, 1)

    def test_a_draft_that_somebody_deleted_is_unknown(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        sandbox.fault("rate_limited", "google", "*/drafts/send")
        alerts.open_alert(ledger, "a", "x")
        send(ledger)
        (draft,) = sandbox.drafts()
        sandbox.fault("bad_request", "google", "*/drafts/send", times=None)
        with ledger.write() as session:
            row = session.scalars(sa.select(Notice).where(Notice.channel == MAIL)).one()
            row.reason = (row.reason or "").replace(str(draft.draft_id), "r-gone")
        assert send(ledger) == {MAIL: "unknown"}
        assert counts(sandbox, receiver) == (1, 0, 1)

    def test_a_webhook_without_a_reply_is_unknown_and_not_repeated(
        self, ledger: Ledger, sandbox: Sandbox, receiver: Receiver
    ) -> None:
        receiver.status = 0
        alerts.open_alert(ledger, "a", "x")
        assert send(ledger)[WEBHOOK] == "unknown"
        receiver.status = 204
        assert send(ledger) == {}
        assert counts(sandbox, receiver) == (1, 1, 1)
        (found,) = notices.missed(ledger, utcnow())
        assert (found.channel, found.notices, found.is_lost) == (WEBHOOK, 1, True)

    @pytest.mark.usefixtures("accounts")
    def test_one_that_cannot_be_looked_for_within_a_day_is_unknown(self, ledger: Ledger, sandbox: Sandbox) -> None:
        sandbox.fault("reply_lost", "slack", "chat.postMessage")
        sandbox.fault("server_error", "slack", "conversations.history", times=2)
        alerts.open_alert(ledger, "a", "x")
        assert [send(ledger)[SLACK] for _ in range(2)] == ["sending", "sending"]
        age(ledger, Notice, timedelta(days=1, minutes=1), "created_at")
        assert send(ledger)[SLACK] == "unknown"
        assert len(posts(sandbox)) == 1


KILLED = """
import os, signal, sys
from unittest import mock
from blocks.gmail import Gmail
from blocks.ledger import Ledger
from blocks.outgoing_webhook import OutgoingWebhook
from blocks.slack import Slack
from flows.lead_triage import CARD
from tasks import alerts, notices
from tasks.notice_channels import configured

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function):
    def call(*args, **kwargs):
        function(*args, **kwargs)
        kill()
    return call

MOMENTS = [
    ("outgoing-webhook", OutgoingWebhook, "post", False), ("outgoing-webhook", OutgoingWebhook, "post", True),
    ("slack", Slack, "post", False), ("slack", Slack, "post", True),
    ("gmail", Gmail, "create_draft", False), ("gmail", Gmail, "create_draft", True),
    ("gmail", Gmail, "send_draft", False), ("gmail", Gmail, "send_draft", True),
]
for number, (kind, block, method, afterwards) in enumerate(MOMENTS):
    child = os.fork()
    if child == 0:
        ledger = Ledger.open()
        channels = configured([CARD], via=(kind,))
        alerts._emit = lambda *_: None
        alerts.open_alert(ledger, f"moment-{number}", f"moment {number}")
        notices._note_alerts(ledger, channels.usable)
        with mock.patch.object(block, method, after(getattr(block, method)) if afterwards else kill):
            notices._deliver_all(ledger, channels)
        os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (number, status)
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        told = notices.send(Ledger.open(), [CARD])
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 2
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_is_told_and_never_twice_though_two_processes_make_up_for_it(
    ledger: Ledger, sandbox: Sandbox, receiver: Receiver, elsewhere: Elsewhere
) -> None:
    done = elsewhere(KILLED)
    assert done.returncode == 0, done.stderr[-3000:]
    send(ledger)
    for channel, told in (("slack", posts(sandbox)), ("gmail", mails(sandbox)), ("webhook", receiver.texts())):
        for number in range(8):
            count = " ".join(told).count(f"Alert: moment {number}")
            lost = channel == "webhook" and number == 0  # killed before the call: only the receiver could know
            assert count == (0 if lost else 1), (channel, number, told)
    unknown = {row.key for row in rows(ledger) if row.state == "unknown"}
    assert len(unknown) == 2, "killed before the call, and after it"
    assert {row.state for row in rows(ledger) if row.key not in unknown} == {"sent"}
    (found,) = notices.missed(ledger, utcnow())
    assert (found.channel, found.notices, found.is_lost) == (WEBHOOK, 2, True)
    assert sandbox.drafts() == []


class TestOutgoingWebhook:
    def test_signs_as_standard_webhooks_does(self) -> None:
        # The vector that is published with the specification's libraries.
        secret = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        headers = signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
        assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"url": "http://alerts.example.com/hook"}, "must begin with https://"),
            ({"url": "alerts.example.com"}, "must begin with https://"),
            ({"url": "http://localhost.evil.com/"}, "must begin with https://"),
            ({"secret": "short"}, "16 bytes or more"),
            ({"secret": "whsec_c2hvcnQ="}, "16 bytes or more"),
            ({"secret": "whsec_no base64 at all, but long"}, "is not base64"),
        ],
    )
    def test_refuses_what_would_be_open_to_others(self, changes: dict[str, str], said: str) -> None:
        fields = {"url": "https://alerts.example.com/hook", "secret": SECRET} | changes
        with pytest.raises(ValidationError, match=said):
            OutgoingWebhook.model_validate(fields)

    def test_its_errors_hold_neither_secret_nor_address(self, receiver: Receiver) -> None:
        receiver.status = 503
        block = OutgoingWebhook(url=SecretStr(receiver.url), secret=SecretStr(SECRET))
        with pytest.raises(VendorError) as refused:
            block.post({}, "k")
        assert (refused.value.unknown, refused.value.permanent) == (False, False)
        wrong = OutgoingWebhook(url=SecretStr(receiver.url), secret=SecretStr("another secret of mine"))
        with pytest.raises(VendorError, match="compare the secrets") as denied:
            wrong.post({}, "k")
        gone = OutgoingWebhook(url=SecretStr("http://127.0.0.1:1/token-in-path"), secret=SecretStr(SECRET))
        with pytest.raises(VendorError, match="could not connect") as away:
            gone.post({}, "k")
        assert not away.value.unknown
        for error in (refused, denied, away):
            assert "hook" not in str(error.value).replace("outgoing-webhook", "")
            assert "token-in-path" not in str(error.value)
            assert "secret of" not in str(error.value)

    def test_its_check_tells_the_receiver_nothing(self, receiver: Receiver) -> None:
        block = OutgoingWebhook(url=SecretStr(receiver.url), secret=SecretStr(SECRET))
        assert block.check() == "127.0.0.1 answers"
        assert receiver.heard == []

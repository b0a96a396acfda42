"""The Slack block against the sandbox, and Slack's refusals against a transport that plays them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from blocks.slack import Slack
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from sandbox.faults import Kind


def answering(body: dict[str, Any], headers: dict[str, str] | None = None) -> Slack:
    """A block whose vendor always answers with this."""
    slack = Slack(bot_token=SecretStr("planted-token"), channel="C1")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body, headers=headers))
    slack._client.get(lambda: httpx.Client(base_url=slack.address, transport=transport))
    return slack


def test_check_names_bot_and_team(slack: Slack) -> None:
    assert slack.check() == "signoff in Sandbox"


def test_message_is_found_by_its_key(slack: Slack, sandbox: Sandbox) -> None:
    blocks = [{"type": "section", "text": {"type": "plain_text", "text": "Hello"}}]
    ts = slack.post("Hello, zażółć", key="a1", blocks=blocks)
    slack.post("Hello", key="a2")
    assert slack.find("a1") == ts
    assert slack.find("a3") is None
    first, _second = sandbox.posts()
    assert (first["text"], first["blocks"]) == ("Hello, zażółć", blocks)
    assert first["metadata"] == {"event_type": "signoff_action", "event_payload": {"key": "a1"}}


def test_find_reads_every_page(slack: Slack, calls: Callable[..., int]) -> None:
    ts = slack.post("oldest", key="oldest")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: slack.post(f"no {n}", key=f"k{n}"), range(200)))
    assert slack.find("oldest") == ts
    assert calls("conversations.history") == 2


def test_find_goes_back_only_as_far_as_asked(slack: Slack) -> None:
    ts = slack.post("Hello", key="a1")
    now = datetime.now(UTC)
    assert slack.find("a1", since=now) == ts
    assert slack.find("a1", since=now + timedelta(hours=1)) is None


@pytest.mark.parametrize("kind", ["reply_lost", "reset"])
def test_lost_reply_to_a_post_is_unknown_and_never_repeated(
    slack: Slack, sandbox: Sandbox, kind: Kind, calls: Callable[..., int]
) -> None:
    slack.check()
    sandbox.fault(kind, path="chat.postMessage")
    with pytest.raises(VendorError) as caught:
        slack.post("Hello", key="a1")
    assert (caught.value.unknown, caught.value.permanent) == (True, False)
    assert calls("chat.postMessage") == 1
    assert (slack.find("a1") is not None) == (kind == "reply_lost")


def test_lost_reply_to_a_read_can_be_retried(slack: Slack, sandbox: Sandbox, calls: Callable[..., int]) -> None:
    sandbox.fault("reply_lost", path="conversations.history")
    with pytest.raises(VendorError) as caught:
        slack.find("a1")
    assert (caught.value.unknown, caught.value.permanent) == (False, False)
    assert calls("conversations.history") == 1


@pytest.mark.parametrize(
    ("kind", "status", "unknown"), [("rate_limited", 429, False), ("overloaded", 503, True), ("bad_gateway", 502, True)]
)
def test_refused_post(
    slack: Slack, sandbox: Sandbox, kind: Kind, status: int, unknown: bool, calls: Callable[..., int]
) -> None:
    sandbox.fault(kind, retry_after=3)
    with pytest.raises(VendorError) as caught:
        slack.post("Hello", key="a1")
    error = caught.value
    assert (error.status, error.permanent, error.unknown) == (status, False, unknown)
    assert error.retry_after == (None if kind == "bad_gateway" else 3)
    assert calls("chat.postMessage") == 1


@pytest.mark.parametrize("name", ["approvals", "#approvals"])
def test_channel_may_be_named(connect_slack: Callable[..., Slack], sandbox: Sandbox, name: str) -> None:
    slack = connect_slack(channel=name)
    ts = slack.post("Hello", key="a1")
    assert slack.find("a1") == ts
    assert [post["ts"] for post in sandbox.posts("approvals")] == [ts]


@pytest.mark.parametrize("channel", ["C9", "nowhere"])
def test_wrong_channel_says_what_to_do(connect_slack: Callable[..., Slack], channel: str) -> None:
    with pytest.raises(VendorError, match="use the channel's id") as caught:
        connect_slack(channel=channel).post("Hello", key="a1")
    assert (caught.value.permanent, caught.value.status) == (True, 403)


@pytest.mark.parametrize(
    ("code", "status", "way_out"),
    [
        ("invalid_auth", 401, "new bot token"),
        ("token_revoked", 401, "new bot token"),
        ("missing_scope", 403, "needed: chat:write"),
        ("not_in_channel", 403, "invite the app"),
        ("msg_too_long", None, "msg_too_long"),
    ],
)
def test_error_code_that_needs_a_person(code: str, status: int | None, way_out: str) -> None:
    slack = answering({"ok": False, "error": code, **({"needed": "chat:write"} if code == "missing_scope" else {})})
    with pytest.raises(VendorError, match=way_out) as caught:
        slack.post("Hello", key="a1")
    assert (caught.value.permanent, caught.value.status, caught.value.unknown) == (True, status, False)


def test_rate_limit_inside_a_success_is_retryable() -> None:
    with pytest.raises(VendorError) as caught:
        answering({"ok": False, "error": "ratelimited"}, {"retry-after": "30"}).post("Hello", key="a1")
    assert (caught.value.permanent, caught.value.retry_after, caught.value.unknown) == (False, 30, False)


def test_internal_error_leaves_a_post_unknown() -> None:
    slack = answering({"ok": False, "error": "internal_error"})
    with pytest.raises(VendorError) as caught:
        slack.post("Hello", key="a1")
    assert (caught.value.permanent, caught.value.unknown) == (False, True)
    with pytest.raises(VendorError) as caught:
        slack.find("a1")
    assert (caught.value.permanent, caught.value.unknown) == (False, False)


def test_redirect_is_refused_not_followed() -> None:
    slack = Slack(bot_token=SecretStr("planted-token"), channel="C1")
    transport = httpx.MockTransport(lambda _: httpx.Response(302, headers={"location": "https://elsewhere"}))
    slack._client.get(lambda: httpx.Client(base_url=slack.address, transport=transport))
    with pytest.raises(VendorError, match="302") as caught:
        slack.post("Hello", key="a1")
    assert caught.value.permanent
    assert not slack.get_client().follow_redirects


def test_page_instead_of_json_is_an_unknown_outcome() -> None:
    slack = Slack(bot_token=SecretStr("planted-token"), channel="C1")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, html="<h1>Please log in</h1>"))
    slack._client.get(lambda: httpx.Client(base_url=slack.address, transport=transport))
    with pytest.raises(VendorError, match="not JSON: Please log in") as caught:
        slack.post("Hello", key="a1")
    assert (caught.value.permanent, caught.value.unknown) == (False, True)


def test_token_is_in_no_error_and_no_repr() -> None:
    slack = answering({"ok": False, "error": "invalid_auth planted-token"})
    with pytest.raises(VendorError) as caught:
        slack.check()
    assert "planted" not in f"{slack!r} {format_exception(caught.value)} {vars(caught.value)} {slack.model_dump()}"

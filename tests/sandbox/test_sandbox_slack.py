"""The pretend Slack, over plain HTTP as Signoff calls it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox import credentials
from sandbox.client import Sandbox

Json = dict[str, Any]


@pytest.fixture
def slack(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Return a client with the bot's token."""
    headers = {"Authorization": f"Bearer {credentials.SLACK_BOT_TOKEN}"}
    with httpx.Client(base_url=sandbox.at("slack") + "/api/", headers=headers, trust_env=False) as client:
        yield client


def call(slack: httpx.Client, method: str, **arguments: Any) -> Json:
    """Call a method; Slack answers 200 whatever happens."""
    reply = slack.post(method, json=arguments)
    assert reply.status_code == 200
    answer: Json = reply.json()
    return answer


def test_post_update_and_read_back(slack: httpx.Client, sandbox: Sandbox) -> None:
    metadata = {"event_type": "signoff_action", "event_payload": {"id": "action-7"}}
    first = call(slack, "chat.postMessage", channel="#approvals", text="Please look", metadata=metadata)
    second = call(slack, "chat.postMessage", channel=first["channel"], text="And this")
    assert float(second["ts"]) > float(first["ts"])
    changed = call(slack, "chat.update", channel=first["channel"], ts=first["ts"], text="Done")
    assert (changed["ok"], changed["text"]) == (True, "Done")
    bare = call(slack, "conversations.history", channel=first["channel"])["messages"]
    assert [(each["text"], "metadata" in each) for each in bare] == [("And this", False), ("Done", False)]
    query = {"channel": first["channel"], "include_all_metadata": "true", "oldest": "0"}
    full = slack.get("conversations.history", params=query).json()["messages"]
    assert full[1]["metadata"] == metadata
    assert [post["text"] for post in sandbox.posts("approvals")] == ["Done", "And this"]


def test_form_with_json_inside(slack: httpx.Client, sandbox: Sandbox) -> None:
    form = {"channel": "general", "text": "Hi", "blocks": json.dumps([{"type": "divider"}])}
    assert slack.post("chat.postMessage", data=form).json()["ok"]
    assert sandbox.posts()[0]["blocks"] == [{"type": "divider"}]


def test_lists_and_cursors(slack: httpx.Client) -> None:
    first = call(slack, "conversations.list", limit=2)
    rest = call(slack, "conversations.list", cursor=first["response_metadata"]["next_cursor"])
    assert [each["name"] for each in first["channels"] + rest["channels"]] == ["general", "approvals", "alerts"]
    assert rest["response_metadata"]["next_cursor"] == ""
    for number in range(3):
        call(slack, "chat.postMessage", channel="general", text=str(number))
    page = call(slack, "conversations.history", channel=first["channels"][0]["id"], limit=2)
    assert ([each["text"] for each in page["messages"]], page["has_more"]) == (["2", "1"], True)
    newer = call(slack, "conversations.history", channel=first["channels"][0]["id"], oldest=page["messages"][1]["ts"])
    assert [each["text"] for each in newer["messages"]] == ["2"]


def test_auth_test(slack: httpx.Client) -> None:
    assert call(slack, "auth.test")["bot_id"]


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"channel": "nowhere", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "general"}, "no_text"),
        ("chat.postMessage", {"channel": "general", "text": "x", "metadata": {"a": 1}}, "invalid_metadata_format"),
        ("chat.update", {"channel": "C0000000001", "ts": "1.0", "text": "x"}, "message_not_found"),
        ("conversations.history", {"channel": "general"}, "channel_not_found"),
        ("conversations.list", {"cursor": "x"}, "invalid_cursor"),
        ("chat.shout", {}, "unknown_method"),
    ],
)
def test_errors_are_answers(slack: httpx.Client, method: str, arguments: Json, error: str) -> None:
    assert call(slack, method, **arguments) == {"ok": False, "error": error}


@pytest.mark.parametrize(("headers", "error"), [({}, "not_authed"), ({"Authorization": "Bearer x"}, "invalid_auth")])
def test_other_tokens_are_refused(sandbox: Sandbox, headers: dict[str, str], error: str) -> None:
    reply = httpx.post(sandbox.at("slack") + "/api/auth.test", headers=headers)
    assert reply.json() == {"ok": False, "error": error}

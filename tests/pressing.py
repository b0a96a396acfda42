"""Slack as the approvals use it: who may press, what is in the channel, and a press as Slack sends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from blocks import connections
from blocks.slack import Slack
from sandbox.client import Sandbox
from sandbox.slack import TEAM
from tasks.approval_slack import APPROVE, REJECT, Desk, Press, read_press
from tests.deciding import TOM

APPROVERS = {"U0TOM": TOM, "U0KOFI": "kofi@dockwell.example"}


@contextmanager
def desk(**changes: Any) -> Iterator[Desk]:
    """The channel in which people approve, saved as `slack/approvals`."""
    slack: Slack = connections.load("slack/team")
    made = slack.model_copy(update={"approvers": APPROVERS} | changes)
    made._client, made._channel = type(slack._client)(), type(slack._channel)()
    connections.save("slack/approvals", made)
    try:
        yield Desk("slack/approvals", made)
    finally:
        Slack.delete("approvals")


def said(message: dict[str, Any]) -> str:
    """All that a message shows, without its buttons."""
    texts = [block["text"]["text"] for block in message["blocks"] if "text" in block]
    contexts = [each["text"] for block in message["blocks"] if block["type"] == "context" for each in block["elements"]]
    return "\n".join([*texts, *contexts])


def buttons(message: dict[str, Any]) -> list[str]:
    """The labels of a message's buttons."""
    return [
        each["text"]["text"] for block in message["blocks"] if block["type"] == "actions" for each in block["elements"]
    ]


def interaction(message: dict[str, Any], label: str, user: str = "U0TOM", **changes: Any) -> dict[str, Any]:
    """What Slack sends when a member presses a button of a message."""
    elements = [each for block in message["blocks"] if block["type"] == "actions" for each in block["elements"]]
    pressed = next(each for each in elements if each["text"]["text"] == label)
    action = {name: pressed[name] for name in ("type", "action_id", "value", "text", "style") if name in pressed}
    return {
        "type": "block_actions",
        "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": TEAM},
        "api_app_id": "A0SIGNOFF",
        "token": "not-used-any-more",
        "container": {"type": "message", "message_ts": message["ts"], "channel_id": message["channel_id"]},
        "trigger_id": "1.2.3",
        "team": {"id": TEAM, "domain": "sandbox"},
        "enterprise": None,
        "channel": {"id": message["channel_id"], "name": message["channel"]},
        "message": message,
        "state": {"values": {}},
        "response_url": "https://hooks.slack.com/actions/T0SANDBOX/1/x",
        "actions": [action | {"block_id": "b", "action_ts": "1.2"}],
    } | changes


def press(message: dict[str, Any], label: str, user: str = "U0TOM", **changes: Any) -> Press:
    """The same, read."""
    found = read_press(interaction(message, label, user, **changes))
    assert found is not None
    return found


def whispers(sandbox: Sandbox) -> list[tuple[str, str]]:
    """What members were told alone: who, and what."""
    return [(one["user"], one["text"]) for one in sandbox.state()["slack_whispers"]]


def form(payload: dict[str, Any]) -> bytes:
    """An interaction's body, as Slack writes it."""
    from urllib.parse import urlencode

    return urlencode({"payload": json.dumps(payload)}).encode()


__all__ = ["APPROVE", "APPROVERS", "REJECT", "buttons", "desk", "form", "interaction", "press", "said", "whispers"]

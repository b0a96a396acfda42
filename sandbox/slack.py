"""Slack's Web API, in Slack's words: errors are `ok: false` inside a 200."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import credentials
from sandbox.wire import Ask, BadJson, Json, json_reply, read

if TYPE_CHECKING:
    from sandbox.world import World

TEAM, BOT_USER, BOT = "T0SANDBOX", "U0SIGNOFF", "B0SIGNOFF"
MEMBERS: dict[str, Json] = {
    "U0TOM": {"name": "tom", "profile": {"email": "tom@dockwell.example"}},
    "U0MARA": {"name": "mara", "profile": {"email": "mara@dockwell.example"}},
    "U0KOFI": {"name": "kofi", "profile": {"email": "kofi@dockwell.example"}},
    "U0GUEST": {"name": "guest", "profile": {"email": "guest@agency.example"}, "is_restricted": True},
    "U0LEFT": {"name": "left", "profile": {"email": "left@dockwell.example"}, "deleted": True},
    "U0CLAIMS": {"name": "claims", "profile": {"email": "tom@dockwell.example"}, "is_email_confirmed": False},
    "U0ABROAD": {"name": "abroad", "profile": {"email": "tom@dockwell.example"}, "team_id": "T0OTHER"},
}
"""Who is in the workspace: people of the company's, a guest, one who has left, and two who are not who they seem."""


MOST_BLOCKS = 50
LONGEST = {"header": 150, "section": 3000, "context": 3000}
"""Characters of a text, by the block that it stands in."""


class SlackError(Exception):
    """A call that Slack answers with `ok: false`."""


@dataclass
class Channel:
    """A channel and what was posted in it, oldest first."""

    id: str
    name: str
    messages: list[Json] = field(default_factory=list)
    whispers: list[Json] = field(default_factory=list)
    """What only one member was shown; Slack itself keeps none of it."""


class Workspace:
    """The state behind the Slack API."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Open a workspace in which the bot is in every channel."""
        self.channels = [Channel(f"C{number:010}", name) for number, name in enumerate(names, 1)]
        self._last_ts = 0.0

    def channel(self, wanted: Any, *, by_name: bool = True) -> Channel:
        """Return a channel by id, or by name where Slack takes names."""
        for channel in self.channels:
            if wanted == channel.id or (by_name and str(wanted).lstrip("#") == channel.name):
                return channel
        raise SlackError("channel_not_found")

    def next_ts(self) -> str:
        """Return a timestamp later than every one before; Slack uses it as the message's id."""
        self._last_ts = max(time.time(), self._last_ts + 0.000_001)
        return f"{self._last_ts:.6f}"


def fault_reply(kind: str, retry_after: float | None) -> Response:
    """Return what Slack says when it is not well."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    match kind:
        case "rate_limited":
            return json_reply({"ok": False, "error": "ratelimited"}, 429, headers)
        case "unauthorized":
            return json_reply({"ok": False, "error": "invalid_auth"}, 200, headers)
        case "overloaded":
            return json_reply({"ok": False, "error": "service_unavailable"}, 503, headers)
        case "bad_request":
            return json_reply({"ok": False, "error": "invalid_arguments"}, 200, headers)
        case _:
            return json_reply({"ok": False, "error": "internal_error"}, 500, headers)


def post_message(slack: Workspace, ask: Ask) -> Json:
    """chat.postMessage."""
    channel = slack.channel(ask.body.get("channel"))
    message = {"type": "message", "user": BOT_USER, "bot_id": BOT, "team": TEAM, "ts": slack.next_ts()}
    message |= contents(ask.body)
    if not message.get("text") and not message.get("blocks"):
        raise SlackError("no_text")
    channel.messages.append(message)
    return {"channel": channel.id, "ts": message["ts"], "message": dict(message)}


def update_message(slack: Workspace, ask: Ask) -> Json:
    """chat.update."""
    channel = slack.channel(ask.body.get("channel"), by_name=False)
    for message in channel.messages:
        if message["ts"] == ask.body.get("ts"):
            message |= contents(ask.body) | {"edited": {"user": BOT_USER, "ts": slack.next_ts()}}
            return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": dict(message)}
    raise SlackError("message_not_found")


def post_ephemeral(slack: Workspace, ask: Ask) -> Json:
    """chat.postEphemeral."""
    channel = slack.channel(ask.body.get("channel"))
    user = str(ask.body.get("user", ""))
    if user not in MEMBERS:
        raise SlackError("user_not_in_channel")
    channel.whispers.append({"user": user, "ts": slack.next_ts()} | contents(ask.body))
    return {"message_ts": channel.whispers[-1]["ts"]}


def user_info(_slack: Workspace, ask: Ask) -> Json:
    """users.info, with the address: for a token with the scope users:read.email."""
    user = str(arguments(ask).get("user", ""))
    if user not in MEMBERS:
        raise SlackError("user_not_found")
    usual: Json = {"team_id": TEAM, "deleted": False, "is_bot": False, "is_restricted": False}
    return {"user": usual | {"id": user, "is_email_confirmed": True, "tz": "Europe/Dublin"} | MEMBERS[user]}


def contents(body: Json) -> Json:
    """Return what a caller may put into a message; a form sends structures as JSON text."""
    given: Json = {"text": str(body.get("text", ""))}
    for name in ("blocks", "attachments", "metadata"):
        if name in body:
            given[name] = structure(body[name])
    if not all(fits(block) for block in given.get("blocks", [])) or len(given.get("blocks", [])) > MOST_BLOCKS:
        raise SlackError("invalid_blocks")
    if "thread_ts" in body:
        given["thread_ts"] = str(body["thread_ts"])
    metadata = given.get("metadata")
    if metadata is not None and not {"event_type", "event_payload"} <= set(metadata):
        raise SlackError("invalid_metadata_format")
    return given


def fits(block: Json) -> bool:
    """Whether a block's texts are within Slack's limits, those of its buttons too."""
    elements = block.get("elements", [])
    buttons = [each for each in elements if each.get("type") == "button"]
    texts = [each for each in (block.get("text"), *block.get("fields", []), *elements) if each and each not in buttons]
    most = LONGEST.get(block.get("type", ""), 3000)
    return all(0 < len(each["text"]) <= most for each in texts) and all(
        len(each["text"]["text"]) <= 75
        and len(each.get("value", "")) <= 2000
        and len(each.get("confirm", {}).get("text", {}).get("text", "")) <= 300
        for each in buttons
    )


def structure(value: Any) -> Any:
    """Read JSON text, leave structures alone."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise SlackError("invalid_arguments") from error


def history(slack: Workspace, ask: Ask) -> Json:
    """conversations.history, newest first; metadata only when asked for."""
    wanted = arguments(ask)
    channel = slack.channel(wanted.get("channel"), by_name=False)
    oldest, latest = float(wanted.get("oldest") or 0), float(wanted.get("latest") or "inf")
    found = [each for each in reversed(channel.messages) if oldest < float(each["ts"]) < latest]
    with_metadata = str(wanted.get("include_all_metadata", "")).lower() in ("true", "1")
    page, after = cut(found, wanted, most=999)
    messages = [each if with_metadata else without_metadata(each) for each in page]
    return {"messages": messages, "has_more": bool(after), "response_metadata": {"next_cursor": after}}


def without_metadata(message: Json) -> Json:
    """Return a message as Slack shows it by default."""
    return {name: value for name, value in message.items() if name != "metadata"}


def list_channels(slack: Workspace, ask: Ask) -> Json:
    """conversations.list."""
    page, after = cut(slack.channels, arguments(ask), most=1000)
    channels = [{"id": each.id, "name": each.name, "is_channel": True, "is_member": True} for each in page]
    return {"channels": channels, "response_metadata": {"next_cursor": after}}


def auth_test(_slack: Workspace, _ask: Ask) -> Json:
    """auth.test."""
    return {
        "url": "https://sandbox.slack.example/",
        "team": "Sandbox",
        "user": "signoff",
        "team_id": TEAM,
        "user_id": BOT_USER,
        "bot_id": BOT,
    }


def arguments(ask: Ask) -> Json:
    """Return arguments from the query or the body: Slack reads both."""
    return dict(ask.query) | ask.body


def cut(items: list[Any], wanted: Json, most: int) -> tuple[list[Any], str]:
    """Return a page and the cursor to the next, which is empty at the end."""
    limit = min(int(wanted.get("limit") or 100), most)
    cursor = str(wanted.get("cursor") or "0")
    if not cursor.isdigit():
        raise SlackError("invalid_cursor")
    end = int(cursor) + limit
    return items[int(cursor) : end], str(end) if end < len(items) else ""


METHODS: dict[str, Callable[[Workspace, Ask], Json]] = {
    "chat.postMessage": post_message,
    "chat.update": update_message,
    "chat.postEphemeral": post_ephemeral,
    "users.info": user_info,
    "conversations.history": history,
    "conversations.list": list_channels,
    "auth.test": auth_test,
}


def routes(world: World) -> Iterator[Route]:
    """Yield Slack's routes, relative to `/slack`."""
    yield Route("/api/{method}", endpoint_of(world), methods=["GET", "POST"])


def endpoint_of(world: World) -> Callable[[Request], Awaitable[Response]]:
    """Return the one endpoint that answers every method."""

    async def serve(request: Request) -> Response:
        try:
            check(request)
            method = METHODS.get(request.path_params["method"])
            if method is None:
                raise SlackError("unknown_method")
            return json_reply({"ok": True} | method(world.slack, await read(request)))
        except SlackError as error:
            return json_reply({"ok": False, "error": str(error)})
        except BadJson:
            return json_reply({"ok": False, "error": "invalid_json"})

    return serve


def check(request: Request) -> None:
    """Refuse a call without the bot's token."""
    authorization = request.headers.get("authorization", "")
    if not authorization:
        raise SlackError("not_authed")
    if authorization != f"Bearer {credentials.SLACK_BOT_TOKEN}":
        raise SlackError("invalid_auth")

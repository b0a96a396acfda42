"""Slack: posts to one channel, and finds again what it posted.

Plain httpx: slack_sdk posts twice when a connection drops, and three calls need no SDK. Incoming webhooks
will not do, because what they posted cannot be found again.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

import httpx
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr

from blocks import guard
from blocks.connecting import Connecting
from blocks.shape import Id, Part, Shape
from blocks.vendor import Failures, Once, VendorError, retry_after_seconds, without_frames

EVENT_TYPE = "signoff_action"
CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]+")
PAGE = 200  # Slack's advice for conversations.history; its ceiling is 999
CONNECTIONS = 16
CLOCK_SKEW_SECONDS = 300  # a message's timestamp is by Slack's clock, `since` by ours

CONNECT_AGAIN = "install the Slack app again and put its new bot token into the block"
# Slack says no with 200 and an error code: https://api.slack.com/methods/chat.postMessage#errors
WAYS_OUT = {
    "invalid_auth": CONNECT_AGAIN,
    "not_authed": CONNECT_AGAIN,
    "token_revoked": CONNECT_AGAIN,
    "token_expired": CONNECT_AGAIN,
    "account_inactive": CONNECT_AGAIN,
    "missing_scope": "add the scopes chat:write and channels:history to the Slack app and install it again",
    "channel_not_found": "use the channel's id (C...), and invite the app to it if it is private",
    "not_in_channel": "invite the app to the channel: /invite @name-of-the-app",
    "is_archived": "unarchive the channel, or put another one into the block",
}
# What the code amounts to: callers know by 401 and 403 that every other call on the account will fail too.
STATUS = {code: 401 if way_out == CONNECT_AGAIN else 403 for code, way_out in WAYS_OUT.items()}

RETRYABLE = frozenset({"ratelimited", "rate_limited", "service_unavailable", "request_timeout"})
# Slack on both: "It's possible some aspect of the operation succeeded before the error was raised."
HALF_DONE = frozenset({"internal_error", "fatal_error"})


class _Reply(Part):
    """What every reply has. The error's own name is only for people: a refusal without one is a refusal too."""

    known = frozenset(
        {"error", "warning", "channel", "ts", "message", "messages", "channels", "response_metadata", "user", "text"}
    )

    ok: bool


class _Posted(Part):
    known = frozenset({"ok", "channel", "message", "warning", "response_metadata"})

    ts: Id


class _Metadata(Part):
    event_type: str
    event_payload: dict[str, Any]


class _Post(Part):
    ts: Id
    metadata: _Metadata | None = None


class _Channel(Part):
    id: Id
    name: Id


class _Profile(Part):
    email: str


class SlackUser(Part):
    """A member of the workspace. Whatever is missing here is a reason not to trust them."""

    id: Id
    team_id: Id
    deleted: bool
    is_bot: bool
    is_restricted: bool
    is_email_confirmed: bool
    profile: _Profile


class _Home(Part):
    known = frozenset({"ok", "url", "team", "user", "user_id", "bot_id", "is_enterprise_install"})

    team_id: Id


class _Paging(Part):
    next_cursor: str | None = None


class _Page(Part):
    known = frozenset({"ok", "has_more", "pin_count", "channel_actions_ts", "channel_actions_count", "warning"})

    response_metadata: _Paging | None = None


class _Posts(_Page):
    messages: list[_Post]


class _Channels(_Page):
    channels: list[_Channel]


REPLY_SHAPE = Shape("slack", "reply", _Reply)
POSTED_SHAPE = Shape("slack", "posted-message", _Posted)
POSTS_SHAPE = Shape("slack", "history", _Posts)
CHANNELS_SHAPE = Shape("slack", "channel-list", _Channels)
HOME_SHAPE = Shape("slack", "workspace", _Home)
USER_SHAPE = Shape("slack", "user", SlackUser)
Page = TypeVar("Page", bound=_Page)


class Slack(Block):
    """One Slack channel, as a bot."""

    _block_type_name: ClassVar[str | None] = "Slack"
    _block_type_slug: ClassVar[str | None] = "slack"
    _description: ClassVar[str | None] = (
        "The channel that workflows post to. The app needs the scopes chat:write and channels:history "
        "(groups:history for a private channel) and must be a member of the channel."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="the scopes chat:write and channels:history (groups:history for a private channel), and the app "
        "invited to the channel",
        found="api.slack.com/apps, your app, OAuth & Permissions",
        environment={"bot_token": ("SLACK_BOT_TOKEN",), "channel": ("SLACK_CHANNEL", "SLACK_CHANNEL_ID")},
        probe=lambda slack: slack.find("signoff connect", since=datetime.now(UTC)),
    )

    bot_token: SecretStr = Field(
        title="Bot token", description="Starts with xoxb-; from the app's page, OAuth & Permissions."
    )
    channel: str = Field(
        title="Channel",
        description="The channel's id, which starts with C and stands at the end of its details. The name of a public "
        "channel will do if the app also has the scope channels:read.",
    )
    approvers: dict[str, str] = Field(
        default_factory=dict,
        title="Who may approve here",
        description="By a member's id, which starts with U and stands in their profile's menu, the e-mail address by "
        'which the cards know them: {"U0123ABCD": "mara@example.com"}. Nobody else can approve in Slack; with nobody '
        "here, what waits is not posted to the channel.",
    )
    approve_by_email: bool = Field(
        default=False,
        title="Approve by e-mail address",
        description="Also let members approve whose confirmed address in Slack is on a card. Only where people cannot "
        "give themselves another address; the app needs the scopes users:read and users:read.email.",
    )
    address: str = Field(
        default="https://slack.com",
        title="Address",
        description="Slack's API. Change it only to use a sandbox or a proxy.",
    )
    timeout_seconds: float = Field(
        default=20,
        gt=0,
        title="Timeout (seconds)",
        description="How long to wait to connect, and for each piece of a reply.",
    )

    _client: Once[httpx.Client] = PrivateAttr(default_factory=Once)
    _channel: Once[str] = PrivateAttr(default_factory=Once)

    def get_client(self) -> httpx.Client:
        """An httpx client with the token, which neither retries nor follows redirects. Thread-safe."""
        return self._client.get(self._build_client)

    def check(self) -> str:
        """Ask Slack who we are (`auth.test`): `signoff-bot in Example Inc`."""
        who = self._call("POST", "auth.test")
        return f"{who.get('user', '?')} in {who.get('team', '?')}"

    def post(self, text: str, key: str, blocks: Sequence[dict[str, Any]] | None = None) -> str:
        """Post a message and return its timestamp, which is its id. `find` finds it again by `key`.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        message: dict[str, Any] = {
            "channel": self._channel_id(),
            "text": text,
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"key": key}},
        }
        if blocks:
            message["blocks"] = list(blocks)
        reply = self._call("POST", "chat.postMessage", write=True, json=message)
        return POSTED_SHAPE.read(reply, "chat.postMessage", write=True).ts

    def update(self, ts: str, text: str, blocks: Sequence[dict[str, Any]]) -> None:
        """Change a message that `post` has posted. Doing it again changes nothing more."""
        message = {"channel": self._channel_id(), "ts": ts, "text": text, "blocks": list(blocks)}
        self._call("POST", "chat.update", json=message)

    def whisper(self, user: str, text: str) -> None:
        """Say something in the channel that only one member sees."""
        self._call("POST", "chat.postEphemeral", json={"channel": self._channel_id(), "user": user, "text": text})

    def team(self) -> str:
        """The id of the bot's own workspace: members of others can be in a shared channel."""
        return HOME_SHAPE.read(self._call("POST", "auth.test"), "auth.test").team_id

    def user(self, user: str) -> SlackUser:
        """A member, by id.

        Raises:
            VendorError: Slack does not say all that is needed to know them.
        """
        return USER_SHAPE.read(self._call("GET", "users.info", params={"user": user}).get("user"), "users.info")

    def find(self, key: str, since: datetime | None = None) -> str | None:
        """The timestamp of the message that was posted with `key`, or None.

        Args:
            key: as given to `post`.
            since: read the channel back to this moment only; None reads all of it.
        """
        oldest = f"{since.timestamp() - CLOCK_SKEW_SECONDS:.6f}" if since else None
        for message in self._history(oldest):
            metadata = message.metadata
            if metadata and metadata.event_type == EVENT_TYPE and metadata.event_payload.get("key") == key:
                return message.ts
        return None

    def _channel_id(self) -> str:
        # Posting takes a name, history does not: without its id, a post whose reply was lost could not be found.
        return self._channel.get(self._look_up_channel)

    def _look_up_channel(self) -> str:
        if CHANNEL_ID.fullmatch(self.channel):
            return self.channel
        name = self.channel.lstrip("#")
        for page in self._pages(CHANNELS_SHAPE, "conversations.list", exclude_archived="true"):
            for channel in page.channels:
                if channel.name == name:
                    return channel.id
        raise self._failures().error(
            "conversations.list",
            f"no public channel is named {name!r}: {WAYS_OUT['channel_not_found']}",
            permanent=True,
            status=STATUS["channel_not_found"],
        )

    def _history(self, oldest: str | None) -> Iterator[_Post]:
        wanted = {"channel": self._channel_id(), "include_all_metadata": "true"}
        if oldest:
            wanted["oldest"] = oldest
        for page in self._pages(POSTS_SHAPE, "conversations.history", **wanted):
            yield from page.messages

    def _pages(self, shape: Shape[Page], method: str, **arguments: str) -> Iterator[Page]:
        """All pages of one of Slack's list methods."""
        cursor = ""
        while True:
            more = {"cursor": cursor} if cursor else {}
            reply = self._call("GET", method, params={"limit": str(PAGE), **arguments, **more})
            page = shape.read(reply, method)
            yield page
            cursor = (page.response_metadata and page.response_metadata.next_cursor) or ""
            if not cursor:
                return

    @without_frames
    def _call(self, verb: str, method: str, *, write: bool = False, **request: Any) -> dict[str, Any]:
        failures = self._failures()
        with guard.request(failures.vendor):
            try:
                response = self.get_client().request(verb, f"/api/{method}", **request)
            except httpx.HTTPError as error:
                raise failures.lost(method, error, write=write) from None
            if not response.is_success:
                raise failures.refused(method, response.status_code, response.content, response.headers, write=write)
        return self._read(method, response, write)

    def _read(self, method: str, response: httpx.Response, write: bool) -> dict[str, Any]:
        try:
            reply = response.json()
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise self._failures().unreadable(method, response.content, write=write)
        if not REPLY_SHAPE.read(reply, method, write=write).ok:
            raise self._refusal(method, reply, response, write)
        return reply

    def _refusal(self, method: str, reply: dict[str, Any], response: httpx.Response, write: bool) -> VendorError:
        said = str(reply.get("error") or "no error code")
        code = said.split(" ", 1)[0] if said.split(" ", 1)[0] in STATUS else said
        detail = said[len(code) :] + (f" (needed: {reply['needed']})" if reply.get("needed") else "")
        way_out = f": {WAYS_OUT[code]}" if code in WAYS_OUT else ""
        return self._failures().error(
            method,
            f"{code}{detail}{way_out}",
            permanent=code not in RETRYABLE | HALF_DONE,
            retry_after=retry_after_seconds(response.headers),
            unknown=write and code in HALF_DONE,
            status=STATUS.get(code),
        )

    def _failures(self) -> Failures:
        return Failures("slack", (self.bot_token,), {401: CONNECT_AGAIN})

    def _build_client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.address.rstrip("/"),
            headers={"authorization": f"Bearer {self.bot_token.get_secret_value()}"},
            timeout=self.timeout_seconds,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        )

"""The blocks, connected to the sandbox."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.anthropic import Claude
from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.ledger import Cursor, Ledger
from blocks.notion import Notion
from blocks.slack import Slack
from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.notion import source_id

MAILBOX = "hello@company.example"


@pytest.fixture
def calls(sandbox: Sandbox) -> Callable[..., int]:
    """Counts the calls that the sandbox got, by the end of their path."""

    def count(path: str = "", method: str | None = None) -> int:
        return sum(call["path"].endswith(path) and method in (None, call["method"]) for call in sandbox.requests())

    return count


@pytest.fixture
def connect_gmail(sandbox: Sandbox) -> Callable[..., Gmail]:
    """Makes Gmail blocks on the sandbox."""

    def connect(**changes: Any) -> Gmail:
        fields: dict[str, Any] = {
            "mailbox": MAILBOX,
            "client_id": credentials.GOOGLE_CLIENT_ID,
            "client_secret": SecretStr(credentials.GOOGLE_CLIENT_SECRET),
            "refresh_token": SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
            "address": f"{sandbox.url}/google/",
            "token_address": f"{sandbox.url}/google/token",
            "timeout_seconds": 5,
        }
        return Gmail(**fields | changes)

    return connect


@pytest.fixture
def connect_hubspot(sandbox: Sandbox) -> Callable[..., HubSpot]:
    """Makes HubSpot blocks on the sandbox."""

    def connect(**changes: Any) -> HubSpot:
        fields: dict[str, Any] = {
            "access_token": SecretStr(credentials.HUBSPOT_TOKEN),
            "address": f"{sandbox.url}/hubspot",
            "timeout_seconds": 5,
        }
        return HubSpot(**fields | changes)

    return connect


@pytest.fixture
def connect_slack(sandbox: Sandbox) -> Callable[..., Slack]:
    """Makes Slack blocks on the sandbox's first channel."""

    def connect(**changes: Any) -> Slack:
        fields: dict[str, Any] = {
            "bot_token": SecretStr(credentials.SLACK_BOT_TOKEN),
            "channel": "C0000000001",
            "address": f"{sandbox.url}/slack",
            "timeout_seconds": 5,
        }
        return Slack(**fields | changes)

    return connect


@pytest.fixture
def connect_notion(sandbox: Sandbox) -> Callable[..., Notion]:
    """Makes Notion blocks on the sandbox's meeting notes."""

    def connect(**changes: Any) -> Notion:
        fields: dict[str, Any] = {
            "token": SecretStr(credentials.NOTION_TOKEN),
            "data_source": source_id("Meeting notes"),
            "address": f"{sandbox.url}/notion",
            "timeout_seconds": 5,
        }
        return Notion(**fields | changes)

    return connect


@pytest.fixture
def connect_claude(sandbox: Sandbox) -> Callable[..., Claude]:
    """Makes Claude blocks on the sandbox."""

    def connect(**changes: Any) -> Claude:
        fields: dict[str, Any] = {
            "api_key": SecretStr(credentials.ANTHROPIC_API_KEY),
            "address": f"{sandbox.url}/anthropic",
            "timeout_seconds": 5,
        }
        return Claude(**fields | changes)

    return connect


@pytest.fixture
def gmail(connect_gmail: Callable[..., Gmail]) -> Gmail:
    """The sandbox's mailbox."""
    return connect_gmail()


@pytest.fixture
def hubspot(connect_hubspot: Callable[..., HubSpot]) -> HubSpot:
    """The sandbox's CRM."""
    return connect_hubspot()


@pytest.fixture
def slack(connect_slack: Callable[..., Slack]) -> Slack:
    """The sandbox's first channel."""
    return connect_slack()


@pytest.fixture
def notion(connect_notion: Callable[..., Notion]) -> Notion:
    """The sandbox's meeting notes."""
    return connect_notion()


@pytest.fixture
def claude(connect_claude: Callable[..., Claude]) -> Claude:
    """The sandbox's model."""
    return connect_claude()


@pytest.fixture
def counter(ledger: Ledger) -> Callable[[], int]:
    """A cursor that starts at 0; call it to read the cursor."""
    with ledger.write() as session:
        session.add(Cursor(workflow="w", source="s", value="0"))

    def read() -> int:
        with ledger.read() as session:
            return int(session.get_one(Cursor, ("w", "s")).value)

    return read

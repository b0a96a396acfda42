"""What a pretend company brings along when the sandbox opens."""

from __future__ import annotations

from typing import Any, Protocol


class Company(Protocol):
    """The shape of `sandbox.company.load()`; tests bring their own small ones."""

    @property
    def name(self) -> str:
        """The company's name."""

    @property
    def domain(self) -> str:
        """Its domain."""

    @property
    def mailbox(self) -> str:
        """The address of the inbox the sandbox plays."""

    @property
    def emails(self) -> tuple[bytes, ...]:
        """Inbound messages (RFC 822), in order of arrival."""

    @property
    def sent(self) -> tuple[bytes, ...]:
        """Messages the mailbox sent earlier."""

    @property
    def hubspot(self) -> dict[str, list[dict[str, Any]]]:
        """Object type -> records with `id`, `properties` and `associations`."""

    @property
    def drive(self) -> tuple[dict[str, Any], ...]:
        """Folders and files, those above first.

        Each has `id`, `name`, `mime_type`, `parent` (an id, or `root`), `content` (bytes), `days_ago` (since it was
        modified), `limited` (to whom it is shared with directly) and `readers` (`anyone`, `domain:a.example`, ...).
        """

    @property
    def stripe(self) -> tuple[dict[str, Any], ...]:
        """Customers with `id`, `email`, `name`, `days_ago`, and their `invoices`, `charges` and `subscriptions`."""

    @property
    def slack_channels(self) -> tuple[str, ...]:
        """Names of the channels that the bot is in."""

    @property
    def notion(self) -> tuple[dict[str, Any], ...]:
        """Databases with `name` and `properties`: by name a type of Notion's, or the options of a select."""


NOTION: tuple[dict[str, Any], ...] = (
    {
        "name": "Meeting notes",
        "properties": {
            "Name": "title",
            "Key": "rich_text",
            "Date": "date",
            "Summary": "rich_text",
            "Status": ["Draft", "Final"],
        },
    },
    {
        "name": "Documents",
        "properties": {
            "Name": "title",
            "Key": "rich_text",
            "Kind": ["Invoice", "Contract", "Receipt"],
            "Number": "rich_text",
            "Date": "date",
            "Amount": "number",
            "Currency": ["EUR", "GBP", "USD"],
            "Counterparty": "rich_text",
            "File": "rich_text",
        },
    },
)
"""The two databases that a company of the sandbox begins with."""


class EmptyCompany:
    """A company on its first day: an address and a channel, nothing else."""

    name = "Example Company"
    domain = "company.example"
    mailbox = "hello@company.example"
    emails: tuple[bytes, ...] = ()
    sent: tuple[bytes, ...] = ()
    drive: tuple[dict[str, Any], ...] = ()
    stripe: tuple[dict[str, Any], ...] = ()
    slack_channels = ("general", "approvals", "alerts")
    notion = NOTION

    @property
    def hubspot(self) -> dict[str, list[dict[str, Any]]]:
        """No CRM records yet."""
        return {}

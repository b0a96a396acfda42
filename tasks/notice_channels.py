"""Where people are told something: Slack, e-mail to ourselves, and a webhook. Each says whether a message has arrived.

What is set up is what is saved: `slack/alerts`, or else `slack/team`; `gmail/alerts`, or else the inbox that a card
reads, from which the cards' owners are written to; `outgoing-webhook/alerts`. The Prefect Variable `signoff_notices`
says more, for example

    {"mail": ["ops@example.com"], "off": ["slack"], "quiet": ["22:00", "07:00"], "timezone": "Europe/Berlin"}
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from prefect.client.orchestration import get_client
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from blocks import connections
from blocks.gmail import Gmail
from blocks.outgoing_webhook import OutgoingWebhook
from blocks.slack import Slack
from tasks.actions import Address, SendReply
from tasks.card import Card
from tasks.performers import gmail as mail
from tasks.performers.base import Attempt, InDoubt
from tasks.periods import PeriodError, zone_of

Kind = Literal["slack", "gmail", "outgoing-webhook"]
KINDS: tuple[Kind, ...] = ("slack", "gmail", "outgoing-webhook")
"""The kinds of channel, by the types of their blocks."""

VARIABLE = "signoff_notices"
RESERVED = frozenset({"example", "invalid", "test", "localhost"})
"""Ends of names that nobody has (RFC 2606): the owners on the cards that the repository comes with."""

EXAMPLES = frozenset({"example.com", "example.net", "example.org"})


class SettingError(Exception):
    """The Prefect Variable cannot be read; the message names what is wrong, and the way out."""


class Settings(BaseModel):
    """What the Prefect Variable `signoff_notices` may hold. Without it, everything that is connected is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mail: tuple[Address, ...] = ()
    """Who gets every notice by e-mail, beside the cards' owners, who get their own workflows'."""
    off: tuple[Kind, ...] = ()
    """The kinds of channel that are not used."""
    quiet: tuple[time, time] | None = None
    """From when to when Slack and e-mail wait, as ["22:00", "07:00"]. A webhook never does: it is a machine."""
    timezone: str = "UTC"
    """Whose clock that is, as Europe/Berlin."""

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            return zone_of(name).key
        except PeriodError as error:
            raise ValueError(str(error)) from None

    def is_quiet(self, now: datetime) -> bool:
        """Whether people want to hear nothing at this moment."""
        if self.quiet is None:
            return False
        clock, (begin, end) = now.astimezone(ZoneInfo(self.timezone)).time(), self.quiet
        return begin <= clock < end if begin <= end else clock >= begin or clock < end


@dataclass(frozen=True)
class Message:
    """What is sent at once: one notice, or several together."""

    key: str
    """By which it is known again at the vendor's."""
    subject: str
    text: str
    content: Mapping[str, Any]
    """The same for programs."""
    since: datetime
    """When it was first tried: nothing older can be it."""


Save = Callable[[dict[str, Any]], None]
"""Puts progress into the ledger at once."""


class Channel(Protocol):
    """One place where people are told."""

    @property
    def name(self) -> str:
        """As in `Notice.channel`: the credential, with an address behind it where there are many."""

    @property
    def kind(self) -> Kind:
        """The type of its block."""

    def concerns(self, workflow: str | None) -> bool:
        """Whether what is said of a workflow (None: of everything) is for this place."""

    def send(self, message: Message, progress: dict[str, Any], save: Save) -> str:
        """Send it, and return the vendor's own id of it.

        Raises:
            VendorError: it was not sent; or, `unknown`, nobody knows.
        """

    def find(self, message: Message, progress: dict[str, Any], save: Save) -> str | None:
        """The vendor's id of the message, if it was sent; None when it surely was not.

        Raises:
            InDoubt: this channel cannot tell.
            VendorError: the vendor could not be asked.
        """


@dataclass(frozen=True)
class SlackChannel:
    """A channel of Slack. What was posted is found by the key in its metadata."""

    name: str
    slack: Slack
    kind: Kind = "slack"

    def concerns(self, workflow: str | None) -> bool:  # noqa: ARG002
        """Everything."""
        return True

    def send(self, message: Message, progress: dict[str, Any], save: Save) -> str:  # noqa: ARG002
        """Escaped, because a vendor's words may hold `<!channel>`."""
        return self.slack.post(html.escape(message.text, quote=False), key=message.key)

    def find(self, message: Message, progress: dict[str, Any], save: Save) -> str | None:  # noqa: ARG002
        """By the key."""
        return self.slack.find(message.key, since=message.since)


@dataclass(frozen=True)
class MailChannel:
    """E-mail from our own inbox to one address of ours, drafted first: a draft goes out only once."""

    name: str
    gmail: Gmail
    address: str
    others: frozenset[str]
    """The workflows that are other people's."""
    kind: Kind = "gmail"

    def concerns(self, workflow: str | None) -> bool:
        """The address's own workflows, and what is everybody's."""
        return workflow not in self.others

    def send(self, message: Message, progress: dict[str, Any], save: Save) -> str:
        """As any other e-mail that is to go out once."""
        return mail.send_reply(self.gmail, self._mail(message), self._attempt(message, progress, save)).external_id

    def find(self, message: Message, progress: dict[str, Any], save: Save) -> str | None:
        """By our header, or by the draft that is still there."""
        found = mail.find_reply(self.gmail, self._mail(message), self._attempt(message, progress, save))
        return found.external_id if found else None

    def _mail(self, message: Message) -> SendReply:
        return SendReply(to=self.address, subject=message.subject, body=message.text, begins=True)

    def _attempt(self, message: Message, progress: dict[str, Any], save: Save) -> Attempt:
        return Attempt(key=message.key, progress=progress, write=save, since=message.since)


@dataclass(frozen=True)
class WebhookChannel:
    """A webhook of one's own. Whether a call without a reply has arrived, only its receiver knows."""

    name: str
    webhook: OutgoingWebhook
    kind: Kind = "outgoing-webhook"

    def concerns(self, workflow: str | None) -> bool:  # noqa: ARG002
        """Everything."""
        return True

    def send(self, message: Message, progress: dict[str, Any], save: Save) -> str:  # noqa: ARG002
        """With the key as its id."""
        self.webhook.post(message.content, message.key)
        return message.key

    def find(self, message: Message, progress: dict[str, Any], save: Save) -> str | None:  # noqa: ARG002
        """It cannot be found."""
        raise InDoubt(f"its reply was lost; the receiver knows whether it has the id {message.key}")


@dataclass(frozen=True)
class Channels:
    """Where people can be told, and where not although it is set up."""

    usable: tuple[Channel, ...]
    settings: Settings
    left_out: Mapping[str, str] = field(default_factory=dict)
    """By channel, why it is not used."""


def configured(cards: Sequence[Card], via: Sequence[Kind] = KINDS, to: Sequence[str] | None = None) -> Channels:
    """The channels that are connected and switched on.

    Args:
        cards: their owners may be written to, and who else stands on their `allowed` lists.
        via: only these kinds.
        to: by e-mail only these addresses; None for the cards' owners and the Variable's `mail`.
    """
    usable: list[Channel] = []
    left_out: dict[str, str] = {}
    try:
        settings = read_settings()
    except SettingError as error:
        settings, left_out[VARIABLE] = Settings(), str(error)
    wanted = [kind for kind in KINDS if kind in via and kind not in settings.off]
    if "slack" in wanted and (found := _first(("slack/alerts", "slack/team"), left_out)):
        usable.append(SlackChannel(*found))
    if "gmail" in wanted and (found := _first(("gmail/alerts", *_inboxes(cards)), left_out)):
        people = dict.fromkeys(to) if to is not None else dict.fromkeys((*(c.owner for c in cards), *settings.mail))
        for address in people:
            name = f"{found[0]}/{address}"
            if why := why_not_written_to(address, cards, found[1].mailbox):
                left_out[name] = why
            else:
                usable.append(MailChannel(name, found[1], address, _others(address, cards, settings)))
    if "outgoing-webhook" in wanted and (found := _first(("outgoing-webhook/alerts",), left_out)):
        usable.append(WebhookChannel(*found))
    return Channels(tuple(usable), settings, left_out)


def read_settings() -> Settings:
    """What the Prefect Variable says; the defaults where nobody has made it.

    Raises:
        SettingError: it cannot be read.
    """
    with get_client(sync_client=True) as client:
        variable = client.read_variable_by_name(VARIABLE)
    return Settings() if variable is None else as_settings(variable.value)


def as_settings(value: Any) -> Settings:
    """What the Prefect Variable holds, read.

    Raises:
        SettingError: it cannot be read.
    """
    try:
        return Settings.model_validate_json(value) if isinstance(value, str) else Settings.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise SettingError(
            f"the Prefect Variable {VARIABLE} cannot be read, so notices go where they would without it: {what}. It "
            'may hold mail, off, quiet and timezone, as {"quiet": ["22:00", "07:00"], "timezone": "Europe/Berlin"}'
        ) from None


def why_not_written_to(address: str, cards: Sequence[Card], mailbox: str) -> str:
    """Why an address gets no e-mail of ours; empty when it may: it is an owner's, or on a card's `allowed` list."""
    domain, home = (_domain(each) for each in (address, mailbox))
    if not any(card.names(address) for card in cards):
        return f"{address} owns no card, and neither it nor {domain} is on any card's allowed list"
    if _is_example(domain) and not _is_example(home):
        return f"{address} is only an example: put your own address on the card"
    return ""


def _domain(address: str) -> str:
    return address.lower().rpartition("@")[2]


def _is_example(domain: str) -> bool:
    return domain.rpartition(".")[2] in RESERVED or domain in EXAMPLES


def _others(address: str, cards: Sequence[Card], settings: Settings) -> frozenset[str]:
    """The workflows of which an owner hears nothing; somebody who was named for all notices gets them all."""
    owns = any(card.owner == address for card in cards)
    if address in settings.mail or not owns:
        return frozenset()
    return frozenset(card.workflow for card in cards if card.owner != address)


def _inboxes(cards: Sequence[Card]) -> list[str]:
    named = (card.credential_for("gmail") for card in cards)
    return list(dict.fromkeys(f"gmail/{name}" for name in named if name))


def _first(names: Sequence[str], left_out: dict[str, str]) -> tuple[str, Any] | None:
    """The first of these credentials that is saved, with its block."""
    for name in names:
        try:
            block = connections.load_if_present(name)
        except ValidationError as error:  # saved by another version of Signoff, or past its form
            fields = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}))
            left_out[name] = f"the block {name} cannot be used (see {fields or 'its fields'}): signoff connect {name}"
            continue
        if block is not None:
            return name, block
    return None

"""What comes in at the pretend company for one workflow to be tried on: e-mails under its label, some more tickets.

Or e-mails of the builder's own, and then nothing else: for a workflow of tickets, each is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from email.utils import formatdate
from types import ModuleType
from typing import NamedTuple

import httpx

from blocks import connections
from blocks.mail import Email, MalformedMail, parse
from blocks.mail.saved import Saved
from deployments.errors import CommandError
from sandbox import credentials
from sandbox.client import Sandbox
from tasks import fetch, tickets
from tasks.card import Card
from tasks.plain import counted

HEAD = re.compile(rb"\A.*?(?=\r?\n\r?\n|\Z)", re.DOTALL)
DATE = re.compile(rb"^Date:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE)
"""The header, with the lines that it goes on in."""

NEW, CLOSED = "1", "4"
"""Stages of HubSpot's own pipeline of tickets."""


class Ticket(NamedTuple):
    """One that somebody opens."""

    contact: str | None
    """The contact's id."""
    subject: str
    content: str


TICKETS = (
    Ticket(
        "106",
        "Nobody can book, the page stays white",
        "Since half past six the booking page is white for all of our carriers and on our own screens, too. Eleven "
        "trucks stand at the gate, and we can let none of them in. Please call as soon as you can.",
    ),
    Ticket(
        "104",
        "Charged twice this month",
        "The invoice for our two sites was taken from our card on the 3rd and again on the 5th. Please refund the "
        "second payment and send a corrected invoice.",
    ),
    Ticket(
        "109",
        "A wish: colours for carriers",
        "It would be nice if each carrier had a colour of its own on the board. I know it is not possible today; "
        "perhaps in a later version? No hurry.",
    ),
)
"""The company's own new tickets are all questions."""


def refuse(module: ModuleType, card: Card, mine: Sequence[Saved]) -> None:
    """Refuse e-mails of the builder's own that could not come in.

    Raises:
        CommandError: the workflow reads neither e-mails nor tickets, or one cannot be read, of which no ticket comes.
    """
    if not (_reads_mail(module, card) or _reads_tickets(module)):
        raise CommandError(f"{card.workflow} reads neither e-mails nor tickets: leave out --mail")
    if not _reads_mail(module, card):
        _read(mine)


def bring(url: str, module: ModuleType, card: Card, limit: int, mine: Sequence[Saved] = ()) -> list[str]:
    """Bring the workflow something to do at the pretend company at `url`; returns what, a sentence each.

    Args:
        url: where the company is.
        module: the workflow.
        card: its card.
        limit: at most so many of the company's e-mails are put under its label.
        mine: the builder's own e-mails, which come in instead of the company's.
    """
    if mine:
        return [_bring_only(url, module, card, mine)]
    said = []
    label = _label_of(module)
    if label and card.credential_for("gmail"):
        found = connections.load(f"gmail/{card.credential_for('gmail')}").list_message_ids("in:inbox", limit)
        _label(card, label, found)
        said.append(f"{len(found)} of its e-mails were put under the label {label}.")
    if _reads_tickets(module):
        _open(url, TICKETS)
        said.append(f"{len(TICKETS)} more tickets came in.")
    return said


def _bring_only(url: str, module: ModuleType, card: Card, mine: Sequence[Saved]) -> str:
    came = f"{counted(len(mine), 'e-mail')} of yours came in"
    if _reads_tickets(module):
        _close_tickets(card)
    if not _reads_mail(module, card):
        _open(url, _as_tickets(card, mine))
        return f"{came}, each as a ticket, and nothing else."
    with Sandbox(url) as company:
        company.archive()
        arrived = [company.deliver(dated_now(each.raw)).id for each in mine]
    if label := _label_of(module):
        _label(card, label, arrived)
        return f"{came} under the label {label}, and nothing else."
    return f"{came}, and nothing else."


def dated_now(raw: bytes) -> bytes:
    """The e-mail as it would come in today: what was saved years ago is no news, and what is due of it long over."""
    now = b"Date: " + formatdate(usegmt=True).encode("ascii")
    return HEAD.sub(lambda head: DATE.sub(now, head[0], count=1), raw, count=1)


def _reads_mail(module: ModuleType, card: Card) -> bool:
    return card.credential_for("gmail") is not None and fetch in vars(module).values()


def _reads_tickets(module: ModuleType) -> bool:
    return tickets in vars(module).values()


def _label_of(module: ModuleType) -> str | None:
    label = getattr(module, "LABEL", None)
    return label if isinstance(label, str) else None


def _close_tickets(card: Card) -> None:
    hubspot = connections.load(f"hubspot/{card.credential_for('hubspot')}")
    for ticket in hubspot.tickets(stage=NEW):
        hubspot.update_ticket(ticket.id, {"hs_pipeline_stage": CLOSED})


def _as_tickets(card: Card, mine: Sequence[Saved]) -> Iterator[Ticket]:
    """What each would be as a ticket of its sender, who becomes a contact."""
    hubspot = connections.load(f"hubspot/{card.credential_for('hubspot')}")
    for email in _read(mine):
        name = {"firstname": email.sender_name} if email.sender_name else {}
        contact = hubspot.upsert_contact(email.sender, name) if email.sender else None
        yield Ticket(contact, email.subject, email.text)


def _read(mine: Sequence[Saved]) -> list[Email]:
    """Them as a workflow would see them.

    Raises:
        CommandError: one cannot be read.
    """
    read = []
    for each in mine:
        try:
            read.append(parse(each.raw, message_id="", thread_id="", received_at=each.changed_at))
        except MalformedMail as error:
            raise CommandError(f"{each.name} cannot be read: {error.reason}") from error
    return read


def _label(card: Card, label: str, message_ids: Sequence[str]) -> None:
    gmail = connections.load(f"gmail/{card.credential_for('gmail')}")
    for message_id in message_ids:
        gmail.label(message_id, label)


def _open(url: str, some: Iterable[Ticket]) -> None:
    contact_of_ticket = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 16}
    headers = {"Authorization": f"Bearer {credentials.HUBSPOT_TOKEN}"}
    with httpx.Client(base_url=f"{url}/hubspot", headers=headers, trust_env=False, timeout=30) as hubspot:
        for contact, subject, content in some:
            properties = {"subject": subject, "content": content, "hs_pipeline": "0", "hs_pipeline_stage": NEW}
            to = [{"to": {"id": contact}, "types": [contact_of_ticket]}] if contact else []
            ticket = {"properties": properties, "associations": to}
            hubspot.post("/crm/v3/objects/tickets", json=ticket).raise_for_status()

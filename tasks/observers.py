"""How people's own work is seen: for each kind of action, whether somebody has done it instead of the workflow.

The counterpart of `tasks/performers`. An observer looks at the vendor, and changes nothing there. What Signoff sent
or wrote itself, for another record perhaps, is no work of people: it would be evidence for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from functools import cached_property
from typing import Any, Literal

from blocks.gmail import Gmail, InThread, MessageGone
from blocks.hubspot import HubSpot
from blocks.ledger import Record
from blocks.mail import MalformedMail, parse
from blocks.vendor import VendorError
from tasks.actions import (
    AddNote,
    AddRow,
    ApplyLabel,
    CreateInvoice,
    CreatePage,
    CreateTask,
    IssueCredit,
    NoteTicket,
    PostMessage,
    Refund,
    SendFollowUp,
    SendReminder,
    SendReply,
    UpdateTicket,
    UpsertContact,
)
from tasks.output import FREE_MAIL
from tasks.performers.gmail import ACTION_HEADER
from tasks.scoring import alike

MOST_WORDS = 2_000
"""Of each text, in a comparison: it takes time in proportion to their product."""

MARKER = re.compile(r"signoff-[0-9a-f]{16}")
"""What stands in every note and task of Signoff's own: see `tasks.performers.Attempt.marker`."""

USER_LABEL = "Label_"
"""How the ids of the labels begin that are not Gmail's own."""


@dataclass(frozen=True)
class Seen:
    """What was found at the vendor for one action."""

    agreed: bool | None
    """Whether people did it too; None while they have done nothing."""
    what: str
    similar: float | None = None
    """How alike the texts are, 0 to 1."""
    message_id: str | None = None
    """The message that people sent instead of ours."""


class Thread:
    """What the mailbox shows of an e-mail and of its thread."""

    def __init__(self, gmail: Gmail, record: Record) -> None:
        self._gmail = gmail
        self._record = record

    @cached_property
    def messages(self) -> list[InThread]:
        """The thread, oldest first; empty when it was deleted.

        Raises:
            VendorError: Gmail could not be read; or the block is for another mailbox than the e-mail came to.
        """
        if self._record.source != f"gmail:{self._gmail.mailbox}":
            reason = f"it came from {self._record.source}, and the block is for {self._gmail.mailbox}"
            raise VendorError("gmail", f"look for record {self._record.id}", reason, permanent=True, status=404)
        try:
            return self._gmail.messages_of(str(self._record.payload.get("thread_id", "")), ("From", ACTION_HEADER))
        except MessageGone:
            return []

    @cached_property
    def mail(self) -> InThread | None:
        """The record's own message; None when it was deleted."""
        return next((m for m in self.messages if m.id == self._record.external_id), None)

    @cached_property
    def reply(self) -> InThread | None:
        """What somebody of ours sent in the thread after the e-mail had come: the first such message."""
        came = self.mail.received_at if self.mail else came_at(self._record)
        later = (m for m in self.messages if m.received_at > came and m.id != self._record.external_id)
        return next((m for m in later if self._is_ours(m)), None)

    @property
    def left_as(self) -> str | None:
        """How the e-mail left the inbox, in words; None while it lies there."""
        if self.mail is None:
            return "deleted"
        labels = self.mail.label_ids
        if "TRASH" in labels or "SPAM" in labels:
            return "put into the trash" if "TRASH" in labels else "marked as spam"
        return None if "INBOX" in labels else "archived"

    @property
    def was_read(self) -> bool:
        """Whether somebody has opened the e-mail."""
        return self.mail is not None and "UNREAD" not in self.mail.label_ids

    def has_label(self, name: str) -> bool:
        """Whether the e-mail has the label of this name."""
        theirs = [label for label in self.mail.label_ids if label.startswith(USER_LABEL)] if self.mail else []
        if not theirs:
            return False
        names = self._gmail.label_names()
        return name.lower() in {names[label].lower() for label in theirs if label in names}

    def text_of(self, message: InThread) -> str:
        """What a message says, without what it quotes; empty when that cannot be read."""
        try:
            raw = self._gmail.get_raw(message.id)
            return parse(raw.raw, message_id=raw.id, thread_id=raw.thread_id, received_at=raw.received_at).text
        except (MessageGone, MalformedMail):
            return ""

    def _is_ours(self, message: InThread) -> bool:
        """Sent by a person from this mailbox, or by a colleague, whose mail comes in like any other."""
        if "DRAFT" in message.label_ids or ACTION_HEADER.lower() in message.headers:
            return False
        return "SENT" in message.label_ids or self._is_colleague(parseaddr(message.headers.get("from", ""))[1].lower())

    def _is_colleague(self, sender: str) -> bool:
        home = self._gmail.mailbox.lower().rpartition("@")[2]
        wrote_it = sender == str(self._record.payload.get("sender")).lower()
        return sender.endswith(f"@{home}") and not FREE_MAIL.fullmatch(home) and not wrote_it


class Crm:
    """What the CRM holds about one contact."""

    def __init__(self, hubspot: HubSpot, record: Record) -> None:
        self._hubspot = hubspot
        self._record = record
        self._contacts: dict[str, str | None] = {}

    def contact(self, email: str) -> str | None:
        """The contact's id, if there is one with this address."""
        email = email.strip().lower()
        if email not in self._contacts:
            known = self._hubspot.contacts_by_email([email], ["email"]).get(email)
            self._contacts[email] = str(known["id"]) if known else None
        return self._contacts[email]

    def has_new(self, email: str, what: Literal["note", "task"]) -> bool:
        """Whether somebody has put a note, or a task, on the contact since the e-mail came."""
        contact, came = self.contact(email), came_at(self._record)
        made = self._hubspot.made_on(contact, what) if contact else ()
        return any(each.at > came and not MARKER.search(each.body) for each in made)


def seen_reply(thread: Thread, action: SendReply) -> Seen:
    """Somebody replied; or the e-mail left the inbox without a reply."""
    if not action.thread_id:
        return Seen(None, "it did not come by e-mail, and people may have answered it anywhere")
    if thread.reply:
        similar = similarity(action.body, thread.text_of(thread.reply))
        return Seen(True, "somebody replied", similar, thread.reply.id)
    if thread.left_as:
        return Seen(False, f"it was {thread.left_as} without a reply")
    return Seen(None, "nobody has replied yet")


def seen_label(thread: Thread, action: ApplyLabel) -> Seen:
    """An e-mail that we would have archived is out of the inbox; of a plain label, that somebody uses it too."""
    if not action.archive:
        if thread.has_label(action.label):
            return Seen(True, "somebody put the same label on it")
        return Seen(None, "the label is ours: that nobody else uses it says nothing")
    if thread.left_as:
        return Seen(True, f"it was {thread.left_as}")
    if thread.reply:
        return Seen(False, "somebody replied to it")
    if thread.was_read:
        return Seen(False, "somebody read it and left it in the inbox")
    return Seen(None, "nobody has looked at it yet")


def seen_contact(crm: Crm, action: UpsertContact) -> Seen:
    """The contact exists."""
    if crm.contact(action.email):
        return Seen(True, "the contact is in the CRM")
    return Seen(None, "nobody has made the contact yet")


def seen_note(crm: Crm, action: AddNote) -> Seen:
    """The contact has a note that is newer than the e-mail."""
    if crm.has_new(action.email, "note"):
        return Seen(True, "somebody made a note on the contact")
    return Seen(None, "nobody has made a note yet")


def seen_task(crm: Crm, action: CreateTask) -> Seen:
    """The contact has a task that is newer than the e-mail."""
    if crm.has_new(action.email, "task"):
        return Seen(True, "somebody made a task on the contact")
    return Seen(None, "nobody has made a task yet")


OBSERVERS: Mapping[str, Callable[[Any, Any], Seen]] = {
    SendReply.kind: seen_reply,
    ApplyLabel.kind: seen_label,
    UpsertContact.kind: seen_contact,
    AddNote.kind: seen_note,
    CreateTask.kind: seen_task,
}
"""By kind: what people did, from the vendor's `Thread` or `Crm` and the action. Read-only, every one of them."""

UNKNOWABLE: Mapping[str, str] = {
    NoteTicket.kind: "what people note on a ticket is their own, and seldom the same",
    UpdateTicket.kind: "a ticket's category and stage are set by people and by HubSpot's own rules alike",
    SendReminder.kind: "whoever else wrote or rang about an invoice cannot be seen from here",
    SendFollowUp.kind: "whoever else wrote or rang, in whichever mailbox, cannot be seen from here",
    Refund.kind: "what people give back they may give back for reasons of their own",
    IssueCredit.kind: "what people credit they may credit for reasons of their own",
    CreateInvoice.kind: "which of people's invoices would have been this one, nobody can tell",
    AddRow.kind: "people keep such lists in many places, none of which is known here",
    CreatePage.kind: "people write down the same thing in other words, and where they like",
    PostMessage.kind: "people tell each other in many places, and in other words",
}
"""The kinds that no observer can judge, and why."""

SYSTEMS: Mapping[str, Callable[[Any, Record], Any]] = {"gmail": Thread, "hubspot": Crm}
"""By vendor, what its observers look at."""


def similarity(one: str, other: str) -> float:
    """As `scoring.alike`, of texts of any length."""
    return round(alike(one, other, MOST_WORDS), 4)


def came_at(record: Record) -> datetime:
    """When what the record is about came to us (UTC): what people did before is no answer to it."""
    try:
        return min(datetime.fromisoformat(str(record.payload.get("sent_at"))), record.created_at)
    except (ValueError, TypeError):  # it has none, or one without a time zone
        return record.created_at

"""How each kind of action is carried out once, and how to find out whether it already was.

`perform` does it; `find` looks for it in the vendor's system by the action's natural key. An action that was ever begun
is looked for before it is done again, whatever stopped it.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from blocks.gmail import Gmail, MessageGone, SentMessage
from blocks.hubspot import HubSpot, Note, Task
from blocks.hubspot_tickets import TicketGone
from blocks.mail import compose_reply
from blocks.slack import Slack
from blocks.vendor import VendorError
from tasks.actions import (
    AddNote,
    ApplyLabel,
    CreateTask,
    NoteTicket,
    PostMessage,
    SendReply,
    UpdateTicket,
    UpsertContact,
)

ACTION_HEADER = "X-Signoff-Action"


class InDoubt(Exception):
    """Nobody but a person can say whether it was done; the message holds the evidence."""


@dataclass(frozen=True)
class Done:
    """What the vendor gave back."""

    vendor: str
    external_id: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One attempt at an action: its natural key, and what earlier attempts left in the journal."""

    key: str
    progress: dict[str, Any]
    write: Callable[[dict[str, Any]], None]
    since: datetime
    """When the action was first wanted: nothing older can be its doing."""

    def save(self, **progress: Any) -> None:
        """Put progress into the ledger at once, before the next call to the vendor.

        Raises:
            LostClaim: this run was taken for dead, and another has the action.
        """
        self.progress.update(progress)
        self.write(self.progress)

    @property
    def marker(self) -> str:
        """The key in a form that fits into a header or a note, and tells an outsider nothing."""
        return f"signoff-{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Performer:
    """The two functions of a kind: `perform(block, action, attempt)` and `find(block, action, attempt)`."""

    perform: Callable[[Any, Any, Attempt], Done]
    find: Callable[[Any, Any, Attempt], Done | None]


def send_reply(gmail: Gmail, action: SendReply, attempt: Attempt) -> Done:
    """Draft, journal the draft's id, send: Gmail deletes a draft when it sends it, so it can go out only once."""
    draft_id = attempt.progress.get("draft_id")
    raw, thread_id = _raw_reply(gmail, action, attempt), action.thread_id or None
    if draft_id is None:
        draft_id = gmail.create_draft(raw, thread_id)
    else:
        # It may have lain in the mailbox for a while, for anybody to edit: what was approved is what is sent.
        gmail.update_draft(draft_id, raw, thread_id)
    attempt.save(draft_id=draft_id)
    sent = gmail.send_draft(draft_id)
    return Done("gmail", sent.id, {"thread_id": sent.thread_id})


def _raw_reply(gmail: Gmail, action: SendReply, attempt: Attempt) -> bytes:
    try:
        return compose_reply(
            to=action.to,
            subject=action.subject,
            body=action.body,
            in_reply_to=action.in_reply_to,
            references=action.references,
            sender=gmail.mailbox,
            headers={ACTION_HEADER: attempt.marker},
        )
    except ValueError as error:
        raise VendorError("gmail", "compose the reply", str(error), permanent=True) from error


def find_reply(gmail: Gmail, action: SendReply, attempt: Attempt) -> Done | None:
    """A sent message with our header in the thread, or to the address; a draft that is still there was not sent.

    Raises:
        InDoubt: the draft is gone, and nothing says that it was sent.
    """
    sent = _sent(gmail, action, attempt)
    if sent is not None:
        return Done("gmail", sent.id, {"thread_id": sent.thread_id})
    draft_id = attempt.progress.get("draft_id")
    if draft_id is not None:
        if gmail.draft_exists(draft_id):
            return None
        raise InDoubt(
            f"the draft {draft_id} is gone from Gmail, but {_where(action)} no sent message with {attempt.marker}: "
            "it was sent and removed, or somebody deleted the draft"
        )
    drafts = gmail.drafts(action.thread_id or None)
    orphan = next((d.id for d in drafts if d.headers.get(ACTION_HEADER.lower()) == attempt.marker), None)
    if orphan is not None:
        attempt.save(draft_id=orphan)
    return None


def _sent(gmail: Gmail, action: SendReply, attempt: Attempt) -> SentMessage | None:
    if action.thread_id:
        return gmail.sent_with_header(action.thread_id, ACTION_HEADER, attempt.marker)
    return gmail.sent_to(action.to, attempt.since, ACTION_HEADER, attempt.marker)


def _where(action: SendReply) -> str:
    return "the thread holds" if action.thread_id else f"to {action.to} there is"


def apply_label(gmail: Gmail, action: ApplyLabel, attempt: Attempt) -> Done:  # noqa: ARG001
    """Absolute, so doing it again changes nothing."""
    label = gmail.ensure_label(action.label)
    gmail.modify_labels(action.message_id, add=[label], remove=["INBOX"] if action.archive else [])
    return Done("gmail", action.message_id, {"label": label})


def find_label(gmail: Gmail, action: ApplyLabel, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """Whether the message is as it should be. Doing it again would harm nothing, but a refusal would then be a lie."""
    label = gmail.ensure_label(action.label)
    try:
        labels = gmail.labels_of(action.message_id)
    except MessageGone:
        return None
    done = label in labels and not (action.archive and "INBOX" in labels)
    return Done("gmail", action.message_id, {"label": label}) if done else None


def upsert_contact(hubspot: HubSpot, action: UpsertContact, attempt: Attempt) -> Done:  # noqa: ARG001
    """By e-mail address, and only what is still blank: a person may have filled it in since it was wanted."""
    known = hubspot.contacts_by_email([action.email], list(action.properties)).get(action.email.lower(), {})
    blank = {name: value for name, value in action.properties.items() if not known.get(name)}
    return Done("hubspot", hubspot.upsert_contact(action.email, blank))


def find_contact(hubspot: HubSpot, action: UpsertContact, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """The contact, if nothing of what was wanted is blank any more."""
    known = hubspot.contacts_by_email([action.email], list(action.properties)).get(action.email.lower())
    if known is None or not all(known.get(name) for name in action.properties):
        return None
    return Done("hubspot", str(known["id"]))


def add_note(hubspot: HubSpot, action: AddNote, attempt: Attempt) -> Done:
    """A note whose last line is the marker by which it is found again."""
    contact = _contact(hubspot, action.email)
    body = f"{_as_html(action.body)}<br><small>{attempt.marker}</small>"
    return Done("hubspot", hubspot.create_note(contact, body, action.at), {"contact": contact})


def find_note(hubspot: HubSpot, action: AddNote, attempt: Attempt) -> Done | None:
    """The contact's note that carries the marker. Read through associations: HubSpot's search lags."""
    contact = _contact(hubspot, action.email)
    return _marked(hubspot.notes_of(contact), attempt.marker)


def create_task(hubspot: HubSpot, action: CreateTask, attempt: Attempt) -> Done:
    """A task whose body ends with the marker by which it is found again."""
    contact = _contact(hubspot, action.email)
    body = f"{_as_html(action.body)}<br><small>{attempt.marker}</small>"
    task = hubspot.create_task(contact, action.subject, body, due=action.due)
    return Done("hubspot", task, {"contact": contact})


def find_task(hubspot: HubSpot, action: CreateTask, attempt: Attempt) -> Done | None:
    """The contact's task that carries the marker."""
    contact = _contact(hubspot, action.email)
    return _marked(hubspot.tasks_of(contact), attempt.marker)


def note_ticket(hubspot: HubSpot, action: NoteTicket, attempt: Attempt) -> Done:
    """A note whose last line is the marker by which it is found again."""
    body = f"{_as_html(action.body)}<br><small>{attempt.marker}</small>"
    try:
        note = hubspot.create_ticket_note(action.ticket_id, body, action.at)
    except VendorError as error:
        if error.status == 400:  # HubSpot's word for a ticket that was deleted, too; the ticket itself says it plainly
            hubspot.ticket(action.ticket_id)
        raise
    return Done("hubspot", note, {"ticket": action.ticket_id})


def find_ticket_note(hubspot: HubSpot, action: NoteTicket, attempt: Attempt) -> Done | None:
    """The ticket's note that carries the marker."""
    return _marked(hubspot.notes_of_ticket(action.ticket_id), attempt.marker)


def update_ticket(hubspot: HubSpot, action: UpdateTicket, attempt: Attempt) -> Done:  # noqa: ARG001
    """Only what is still blank: a person may have filled it in since it was wanted."""
    held = hubspot.ticket(action.ticket_id, properties=tuple(action.properties)).properties
    if blank := {name: value for name, value in action.properties.items() if not held.get(name)}:
        hubspot.update_ticket(action.ticket_id, blank)
    return Done("hubspot", action.ticket_id, {"set": sorted(blank)})


def find_ticket(hubspot: HubSpot, action: UpdateTicket, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """The ticket, if nothing of what was wanted is blank any more; when it was deleted there is nothing to find."""
    try:
        held = hubspot.ticket(action.ticket_id, properties=tuple(action.properties)).properties
    except TicketGone:
        return None
    return Done("hubspot", action.ticket_id) if all(held.get(name) for name in action.properties) else None


def post_message(slack: Slack, action: PostMessage, attempt: Attempt) -> Done:
    """With the marker in the message's metadata. Escaped: a stranger's `<!channel>` must not ring everybody's phone."""
    return Done("slack", slack.post(html.escape(action.text, quote=False), key=attempt.marker))


def find_message(slack: Slack, action: PostMessage, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """The channel's message whose metadata carries the marker."""
    found = slack.find(attempt.marker, since=attempt.since)
    return Done("slack", found) if found else None


PERFORMERS: dict[str, Performer] = {
    SendReply.kind: Performer(send_reply, find_reply),
    ApplyLabel.kind: Performer(apply_label, find_label),
    UpsertContact.kind: Performer(upsert_contact, find_contact),
    AddNote.kind: Performer(add_note, find_note),
    CreateTask.kind: Performer(create_task, find_task),
    NoteTicket.kind: Performer(note_ticket, find_ticket_note),
    UpdateTicket.kind: Performer(update_ticket, find_ticket),
    PostMessage.kind: Performer(post_message, find_message),
}


def _contact(hubspot: HubSpot, email: str) -> str:
    known = hubspot.contacts_by_email([email], ["email"]).get(email.lower())
    if known is None:
        # Not permanent: saving the contact may still wait for its own sign-off.
        raise VendorError("hubspot", f"find contact {email}", "there is no such contact yet", permanent=False)
    return str(known["id"])


def _marked(objects: Sequence[Note | Task], marker: str) -> Done | None:
    return next((Done("hubspot", found.id) for found in objects if marker in found.body), None)


def _as_html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")

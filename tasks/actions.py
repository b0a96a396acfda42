"""The actions that a workflow can want: what each holds, what it touches, how much it matters.

A flow's `decide` returns these; the gate stores them in the ledger; `tasks/performers.py` carries them out.
"""

import hashlib
import json
from abc import ABC
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Address = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+$")]
"""One bare e-mail address."""

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
"""Text that people can read: no control characters but tabs and line ends."""


BY_CARD = "card"
"""The approver that the ledger names when the card's own rule let a low-impact action pass."""


class Impact(StrEnum):
    """What a mistake would cost."""

    LOW = "low"
    """Seen only inside the company, and easily undone."""
    HIGH = "high"
    """Leaves the company, moves money or binds it: a person signs off each one, at every stage."""


class Action(BaseModel, ABC):
    """One thing to be done in one vendor's system, with everything that is needed to do it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    impact: ClassVar[Impact]
    noun: ClassVar[str]
    """One word for it, where there is no room for the title."""
    editable: ClassVar[str | None] = None
    """The field that the approver may rewrite. Recipients and amounts never are."""

    @property
    def title(self) -> str:
        """What is done, to whom, on one line."""
        raise NotImplementedError

    def preview(self) -> dict[str, str]:
        """The facts that an approver must see, by label, without the editable text."""
        raise NotImplementedError

    def targets(self) -> tuple[str, ...]:
        """Whom and what it goes to: addresses and ids. The gate refuses any that the record does not come from."""
        raise NotImplementedError

    def texts(self) -> tuple[str, ...]:
        """Every text that somebody will read. The gate refuses what it points to when the record does not."""
        raise NotImplementedError


class SendReply(Action):
    """Send a reply in an e-mail thread; or, to what did not come by e-mail, as an e-mail of its own."""

    kind = "gmail.send_reply"
    noun = "reply"
    impact = Impact.HIGH
    editable = "body"

    message_id: str = ""
    thread_id: str = ""
    """Both empty where there is no e-mail that it answers."""
    to: Address
    subject: str
    body: Text = Field(min_length=1)
    in_reply_to: str = ""
    references: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"Send reply to {self.to}"

    def preview(self) -> dict[str, str]:
        return {"To": self.to, "Subject": self.subject}

    def targets(self) -> tuple[str, ...]:
        return (self.to, self.message_id, self.thread_id, self.in_reply_to, *self.references)

    def texts(self) -> tuple[str, ...]:
        return (self.subject, self.body)


class ApplyLabel(Action):
    """Put a label on an e-mail, and take it out of the inbox when `archive` is set."""

    kind = "gmail.apply_label"
    noun = "label"
    impact = Impact.LOW

    message_id: str
    label: str
    archive: bool

    @property
    def title(self) -> str:
        return f"{'Archive' if self.archive else 'Label'} as {self.label}"

    def preview(self) -> dict[str, str]:
        return {"Label": self.label, "Leaves the inbox": "yes" if self.archive else "no"}

    def targets(self) -> tuple[str, ...]:
        return (self.message_id,)

    def texts(self) -> tuple[str, ...]:
        return (self.label,)


class UpsertContact(Action):
    """Create a contact by its e-mail address, or fill in the properties of the one that is there."""

    kind = "hubspot.upsert_contact"
    noun = "contact"
    impact = Impact.LOW

    email: Address
    properties: dict[str, str]

    @property
    def title(self) -> str:
        return f"Save contact {self.email}"

    def preview(self) -> dict[str, str]:
        return {"Contact": self.email, **self.properties}

    def targets(self) -> tuple[str, ...]:
        return (self.email,)

    def texts(self) -> tuple[str, ...]:
        return tuple(self.properties.values())


class AddNote(Action):
    """Put a note on a contact's timeline."""

    kind = "hubspot.add_note"
    noun = "note"
    impact = Impact.LOW

    email: Address
    body: str
    at: datetime

    @property
    def title(self) -> str:
        return f"Note on {self.email}"

    def preview(self) -> dict[str, str]:
        return {"Contact": self.email, "Note": self.body}

    def targets(self) -> tuple[str, ...]:
        return (self.email,)

    def texts(self) -> tuple[str, ...]:
        return (self.body,)


class CreateTask(Action):
    """Put a task with a due time on a contact."""

    kind = "hubspot.create_task"
    noun = "task"
    impact = Impact.LOW

    email: Address
    subject: str
    body: str
    due: datetime

    @property
    def title(self) -> str:
        return f"Task: {self.subject}"

    def preview(self) -> dict[str, str]:
        return {"Contact": self.email, "Task": self.subject, "Due": f"{self.due:%Y-%m-%d %H:%M} UTC"}

    def targets(self) -> tuple[str, ...]:
        return (self.email,)

    def texts(self) -> tuple[str, ...]:
        return (self.subject, self.body)


class NoteTicket(Action):
    """Put a note on a ticket's timeline."""

    kind = "hubspot.note_ticket"
    noun = "note"
    impact = Impact.LOW

    ticket_id: str
    body: str
    at: datetime

    @property
    def title(self) -> str:
        return f"Note on ticket {self.ticket_id}"

    def preview(self) -> dict[str, str]:
        return {"Ticket": self.ticket_id, "Note": self.body}

    def targets(self) -> tuple[str, ...]:
        return (self.ticket_id,)

    def texts(self) -> tuple[str, ...]:
        return (self.body,)


class UpdateTicket(Action):
    """Fill in what is blank of a ticket's properties: its category, its priority."""

    kind = "hubspot.update_ticket"
    noun = "ticket"
    impact = Impact.LOW

    ticket_id: str
    properties: dict[str, str]

    @property
    def title(self) -> str:
        return f"Update ticket {self.ticket_id}"

    def preview(self) -> dict[str, str]:
        return {"Ticket": self.ticket_id, **self.properties}

    def targets(self) -> tuple[str, ...]:
        return (self.ticket_id,)

    def texts(self) -> tuple[str, ...]:
        return tuple(self.properties.values())


class PostMessage(Action):
    """Post to the team's own Slack channel."""

    kind = "slack.post_message"
    noun = "Slack"
    impact = Impact.LOW

    text: str

    @property
    def title(self) -> str:
        return "Post to Slack"

    def preview(self) -> dict[str, str]:
        return {"Message": self.text}

    def targets(self) -> tuple[str, ...]:
        return ()  # the channel is the credential's, which no record and no model can choose

    def texts(self) -> tuple[str, ...]:
        return (self.text,)


_ALL: tuple[type[Action], ...] = (
    SendReply, ApplyLabel, UpsertContact, AddNote, CreateTask, NoteTicket, UpdateTicket, PostMessage,
)  # fmt: skip

KINDS: dict[str, type[Action]] = {action.kind: action for action in _ALL}


def load(kind: str, payload: dict[str, Any]) -> Action:
    """The action that a ledger row holds."""
    return KINDS[kind].model_validate(payload)


def digest(kind: str, payload: dict[str, Any], credential: str) -> str:
    """SHA-256 over an action's kind, exact payload and credential: what is approved is what is done, to the letter.

    The credential too, or what was approved for one mailbox could be sent from another.
    """
    text = json.dumps([kind, payload, credential], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

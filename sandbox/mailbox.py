"""One mailbox: messages, threads, labels, drafts and the history of all changes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formatdate
from functools import cached_property

from sandbox import mime

SYSTEM_LABELS = [
    "INBOX",
    "SENT",
    "DRAFT",
    "TRASH",
    "SPAM",
    "UNREAD",
    "STARRED",
    "IMPORTANT",
    "CHAT",
    "CATEGORY_PERSONAL",
    "CATEGORY_SOCIAL",
    "CATEGORY_PROMOTIONS",
    "CATEGORY_UPDATES",
    "CATEGORY_FORUMS",
]
FIXED_LABELS = {"SENT", "DRAFT", "CHAT"}
FIRST_ID = 0x19A0_0000_0000_0000
FIRST_HISTORY_ID = 1000


@dataclass
class Mail:
    """A message as the mailbox keeps it."""

    id: str
    thread_id: str
    raw: bytes
    labels: list[str]
    internal_date: int
    history_id: int = 0

    @cached_property
    def message(self) -> Message:
        """The parsed message."""
        return mime.parse(self.raw)

    @cached_property
    def message_id(self) -> str:
        """Its Message-ID header, with the angle brackets."""
        return next(iter(mime.message_ids(self.message, "Message-ID")), "")

    @cached_property
    def snippet(self) -> str:
        """Its first words."""
        return mime.snippet(self.message)

    @cached_property
    def searchable(self) -> str:
        """What plain words in a search look at."""
        shown = [mime.header(self.message, name) for name in ("Subject", "From", "To", "Cc")]
        return "\n".join([*shown, mime.text(self.message)]).lower()


@dataclass(frozen=True)
class Change:
    """One entry of the mailbox's history."""

    id: int
    kind: str
    mail_id: str
    thread_id: str
    labels: tuple[str, ...]
    labels_after: tuple[str, ...]


@dataclass
class Label:
    """A label; system labels have their name as id."""

    id: str
    name: str
    system: bool = False
    message_list: str = "show"
    label_list: str = "labelShow"
    color: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Push:
    """Where Gmail tells of the mailbox's changes, by Pub/Sub."""

    topic: str
    ends_ms: int


class Mailbox:
    """The state behind the Gmail API, and the rules by which it changes."""

    def __init__(self, address: str) -> None:
        """Open an empty mailbox."""
        self.address = address
        self.mails: dict[str, Mail] = {}
        self.drafts: dict[str, str] = {}
        self.labels = {name: Label(name, name, system=True) for name in SYSTEM_LABELS}
        self.history: list[Change] = []
        self.history_id = FIRST_HISTORY_ID
        self.oldest_history_id = FIRST_HISTORY_ID
        self.push: Push | None = None
        self._mails_made = self._drafts_made = self._labels_made = 0

    def deliver(self, raw: bytes, labels: Iterable[str] = ("INBOX", "UNREAD")) -> Mail:
        """Take in a message from outside; it joins a thread that its References name."""
        mail_date = mime.date_ms(mime.parse(raw))
        return self._store(raw, list(labels), self.thread_by_reference(raw), mail_date)

    def send(self, raw: bytes, thread_id: str | None, *, rewrite_id: bool = False) -> Mail:
        """Send a message: complete its headers, and file it under SENT."""
        raw = self.complete(raw)
        if rewrite_id:
            raw = self.rewritten(raw)
        return self._store(raw, ["SENT"], self.thread_for(raw, thread_id), None)

    def complete(self, raw: bytes) -> bytes:
        """Add the headers that Gmail adds to a message without them."""
        message = mime.parse(raw)
        defaults = {
            "Message-ID": f"<sandbox-{self._mails_made + 1}@mail.{self.address.partition('@')[2]}>",
            "Date": formatdate(localtime=False),
            "From": self.address,
        }
        for name, value in defaults.items():
            if not mime.header(message, name):
                raw = mime.set_header(raw, name, value)
        return raw

    def rewritten(self, raw: bytes) -> bytes:
        """Give a message an id of Gmail's own; the sender's survives in another header."""
        original = mime.header(mime.parse(raw), "Message-ID")
        raw = mime.set_header(raw, "X-Google-Original-Message-ID", original)
        return mime.set_header(raw, "Message-ID", f"<CASandbox{self._mails_made + 1}=rewritten@mail.gmail.com>")

    def thread_by_reference(self, raw: bytes) -> str | None:
        """Return the thread of a message that this one answers."""
        wanted = set(mime.message_ids(mime.parse(raw), "In-Reply-To", "References"))
        known = (mail for mail in self.mails.values() if mail.message_id in wanted)
        return next((mail.thread_id for mail in known), None)

    def thread_for(self, raw: bytes, thread_id: str | None) -> str | None:
        """Return the thread asked for, if the message belongs there by Gmail's three rules."""
        thread, message = self.thread(thread_id or ""), mime.parse(raw)
        answered = set(mime.message_ids(message, "In-Reply-To", "References"))
        if not answered & {mail.message_id for mail in thread}:
            return None
        subject = mime.base_subject(mime.header(message, "Subject"))
        same = any(mime.base_subject(mime.header(mail.message, "Subject")) == subject for mail in thread)
        return thread_id if same else None

    def thread(self, thread_id: str) -> list[Mail]:
        """Return a thread's messages, oldest first."""
        found = [mail for mail in self.mails.values() if mail.thread_id == thread_id]
        return sorted(found, key=lambda mail: (mail.internal_date, mail.id))

    def newest_first(self) -> list[Mail]:
        """Return all messages as lists show them."""
        return sorted(self.mails.values(), key=lambda mail: (mail.internal_date, mail.id), reverse=True)

    def relabel(self, mail: Mail, add: Iterable[str], remove: Iterable[str]) -> None:
        """Change labels; what changes nothing leaves no trace in the history."""
        removed = tuple(label for label in dict.fromkeys(remove) if label in mail.labels)
        mail.labels = [label for label in mail.labels if label not in removed]
        added = tuple(label for label in dict.fromkeys(add) if label not in mail.labels)
        mail.labels += added
        if added:
            self._log("labelAdded", mail, added)
        if removed:
            self._log("labelRemoved", mail, removed)

    def delete(self, mail: Mail) -> None:
        """Delete a message for good."""
        del self.mails[mail.id]
        self._log("messageDeleted", mail)

    def draft(self, raw: bytes, thread_id: str | None) -> str:
        """Keep a draft and return its id."""
        self._drafts_made += 1
        draft_id = f"r-{7_000_000_000 + self._drafts_made}"
        self.drafts[draft_id] = self._store_draft(raw, thread_id).id
        return draft_id

    def redraft(self, draft_id: str, raw: bytes, thread_id: str | None) -> None:
        """Replace a draft's message; the message gets a new id, the draft keeps its own."""
        old = self.mails[self.drafts[draft_id]]
        self.drafts[draft_id] = self._store_draft(raw, thread_id or old.thread_id).id
        self.delete(old)

    def discard(self, draft_id: str) -> Mail:
        """Remove a draft and return the message it held."""
        mail = self.mails[self.drafts.pop(draft_id)]
        self.delete(mail)
        return mail

    def send_draft(self, draft_id: str, *, rewrite_id: bool = False) -> Mail:
        """Send a draft: it is gone afterwards, and its message is a new one under SENT."""
        draft = self.mails[self.drafts[draft_id]]
        sent = self.send(draft.raw, draft.thread_id, rewrite_id=rewrite_id)
        self.discard(draft_id)
        return sent

    def label_id(self, name_or_id: str) -> str | None:
        """Find a label by id or name; search queries write spaces as dashes."""
        wanted = name_or_id.lower()
        for label in self.labels.values():
            names = {label.id.lower(), label.name.lower(), label.name.lower().replace(" ", "-").replace("/", "-")}
            if wanted in names:
                return label.id
        return None

    def add_label(self, name: str) -> Label:
        """Create a user label."""
        self._labels_made += 1
        label = Label(f"Label_{self._labels_made}", name)
        self.labels[label.id] = label
        return label

    def remove_label(self, label: Label) -> None:
        """Delete a label and take it off every message."""
        for mail in self.mails.values():
            self.relabel(mail, (), (label.id,))
        del self.labels[label.id]

    def forget_history(self) -> None:
        """Let all history so far expire, as Gmail does after about a week."""
        self.history_id += 1
        self.oldest_history_id = self.history_id
        self.history.clear()

    def _store_draft(self, raw: bytes, thread_id: str | None) -> Mail:
        raw = self.complete(raw)
        return self._store(raw, ["DRAFT"], self.thread_for(raw, thread_id), None)

    def _store(self, raw: bytes, labels: list[str], thread_id: str | None, date_ms: int | None) -> Mail:
        self._mails_made += 1
        mail_id = f"{FIRST_ID + self._mails_made:016x}"
        now = int(time.time() * 1000)
        mail = Mail(mail_id, thread_id or mail_id, raw, labels, now if date_ms is None else date_ms)
        self.mails[mail_id] = mail
        self._log("messageAdded", mail)
        return mail

    def _log(self, kind: str, mail: Mail, labels: tuple[str, ...] = ()) -> None:
        self.history_id += 1
        mail.history_id = self.history_id
        self.history.append(Change(self.history_id, kind, mail.id, mail.thread_id, labels, tuple(mail.labels)))

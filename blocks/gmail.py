"""Gmail: reads one inbox, keeps drafts, sends them.

There is no plain `send`: Gmail may rewrite our Message-ID on `messages.send`, so an e-mail whose reply was
lost could not be found again. Sending is two phases, each of which leaves something to look for:
`create_draft`, whose id the caller records, then `send_draft`, which deletes the draft as it sends.
"""

import base64
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import httpx
from prefect.blocks.core import Block
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from blocks.connecting import Connecting
from blocks.google_account import GoogleAccount, Service
from blocks.shape import Bytes, CamelPart, Digits, Id, Millis, Part, Shape
from blocks.vendor import Once, VendorError, as_kind, without_frames

PAGE = 500  # the most that messages.list, drafts.list and history.list return at once

LABEL_SECONDS = 60.0
DEFAULT_UNITS = 5
QUOTA_UNITS = (
    ("POST", r"/(drafts/send|watch)$", 100),
    ("POST", r"/stop$", 50),
    ("PUT", r"/drafts/[^/]+$", 15),
    ("POST", r"/drafts$", 10),
    ("GET", r"/threads/[^/]+$", 10),
    ("GET", r"/history$", 2),
    ("GET", r"/(profile|labels)$", 1),
)
"""What differs from the default, by method and the path's end."""

WAYS_OUT = {
    401: "connect the Google account again",
    403: "connect the Google account again with access to Gmail, whose API the project must have enabled",
}


PAGED = frozenset({"resultSizeEstimate"})
MESSAGE = frozenset({"snippet", "historyId", "payload", "sizeEstimate", "classificationLabelValues"})


class _Named(CamelPart):
    """What the lists give of a message."""

    known = MESSAGE | {"raw", "internalDate"}

    id: Id
    thread_id: Id
    label_ids: list[str] | None = None


class _Message(CamelPart):
    known = MESSAGE

    id: Id
    thread_id: Id
    label_ids: list[str] | None = None
    internal_date: Millis
    raw: Bytes


class _Ref(CamelPart):
    """What is read of a message where only its id matters."""

    known = MESSAGE | {"threadId", "labelIds", "internalDate", "raw"}

    id: Id


class _MessageList(CamelPart):
    known = PAGED

    messages: list[_Ref] | None = None
    next_page_token: str | None = None


class _Added(CamelPart):
    known = frozenset({"labelIds"})

    message: _Ref


class _Labelled(CamelPart):
    message: _Ref
    label_ids: list[str]


class _Change(CamelPart):
    known = frozenset({"id", "messages", "messagesDeleted", "labelsRemoved"})

    messages_added: list[_Added] | None = None
    labels_added: list[_Labelled] | None = None


class _History(CamelPart):
    history: list[_Change] | None = None
    history_id: Digits
    next_page_token: str | None = None


class _Profile(CamelPart):
    known = frozenset({"threadsTotal"})

    email_address: Id
    history_id: Digits
    messages_total: int | None = None


class _Watch(CamelPart):
    history_id: Digits
    expiration: Millis


class _Header(CamelPart):
    name: str
    value: str


class _Payload(CamelPart):
    known = frozenset({"partId", "mimeType", "filename", "body", "parts"})

    headers: list[_Header] | None = None


class _WithHeaders(CamelPart):
    known = MESSAGE | {"raw", "internalDate"}

    id: Id
    thread_id: Id
    label_ids: list[str] | None = None
    payload: _Payload


class _Draft(CamelPart):
    id: Id
    message: _Named


class _DraftWithHeaders(CamelPart):
    id: Id
    message: _WithHeaders


class _DraftList(CamelPart):
    known = PAGED

    drafts: list[_Draft] | None = None
    next_page_token: str | None = None


class _Thread(CamelPart):
    known = frozenset({"id", "snippet", "historyId"})

    messages: list[_WithHeaders]


class _InThread(_WithHeaders):
    known = _WithHeaders.known - {"internalDate"}

    internal_date: Millis


class _Conversation(CamelPart):
    known = _Thread.known

    messages: list[_InThread]


class _Label(CamelPart):
    known = frozenset({"type", "messageListVisibility", "labelListVisibility", "color"})

    id: Id
    name: str


class _LabelList(CamelPart):
    labels: list[_Label]  # never empty: every mailbox has Gmail's own


P = TypeVar("P", bound=Part)


def _shape(object: str, kind: type[P]) -> Shape[P]:
    return Shape("gmail", object, kind)


MESSAGE_SHAPE = _shape("message", _Message)
LABELS_SHAPE = _shape("message", _Named)
MESSAGES_SHAPE = _shape("message-list", _MessageList)
HISTORY_SHAPE = _shape("history", _History)
PROFILE_SHAPE = _shape("profile", _Profile)
WATCH_SHAPE = _shape("watch", _Watch)
DRAFT_SHAPE = _shape("draft", _Draft)
DRAFT_HEADERS_SHAPE = _shape("draft", _DraftWithHeaders)
DRAFTS_SHAPE = _shape("draft-list", _DraftList)
SENT_SHAPE = _shape("sent-message", _Named)
SENT_HEADERS_SHAPE = _shape("sent-message", _WithHeaders)
THREAD_SHAPE = _shape("thread", _Thread)
CONVERSATION_SHAPE = _shape("thread", _Conversation)
LABEL_SHAPE = _shape("label", _Label)
LABEL_LIST_SHAPE = _shape("label-list", _LabelList)

MESSAGE_FIELDS = ("id", "threadId", "labelIds", "internalDate", "raw")
"""What `get_raw` reads of a message, by Gmail's names: a card says which of them its workflow needs."""


class HistoryExpired(VendorError):
    """The history id is too old (Gmail keeps about a week, sometimes hours): list the whole inbox instead."""


class DraftGone(VendorError):
    """There is no such draft: it was sent, or a person deleted it. Look into the thread to know which."""


class MessageGone(VendorError):
    """There is no such message: somebody deleted it for good."""


@dataclass(frozen=True)
class RawMessage:
    """One message as it came over the wire."""

    id: str
    thread_id: str
    label_ids: frozenset[str]
    received_at: datetime  # UTC, when Gmail accepted it
    raw: bytes  # RFC 5322


@dataclass(frozen=True)
class InThread:
    """A message of a thread, without its text."""

    id: str
    label_ids: frozenset[str]
    received_at: datetime  # UTC, when Gmail accepted it
    headers: Mapping[str, str]  # those that were asked for; lower-cased names


@dataclass(frozen=True)
class Draft:
    """A draft that has not been sent."""

    id: str
    message_id: str
    thread_id: str
    headers: Mapping[str, str]  # lower-cased names


@dataclass(frozen=True)
class SentMessage:
    """A message that has left."""

    id: str
    thread_id: str


@dataclass(frozen=True)
class Apis:
    """The parts of Google's client that are used; each access to one costs it a millisecond and more."""

    users: Any
    messages: Any
    drafts: Any
    threads: Any
    history: Any
    labels: Any


def quota_units(operation: str) -> int:
    """What a request (`POST /gmail/v1/users/me/drafts/send`) counts for in Gmail's quota.

    Source: https://developers.google.com/workspace/gmail/api/reference/quota, per-method usage.
    """
    method, _, path = operation.partition(" ")
    return next((units for verb, end, units in QUOTA_UNITS if method == verb and re.search(end, path)), DEFAULT_UNITS)


class _Mailbox(BaseModel):
    """A base of its own, because a form shows what its bases have in their order: first whose account it is."""

    mailbox: str = Field(
        title="Mailbox",
        description="The inbox's e-mail address: the sender of replies, and how our own mail is told apart.",
    )


class Gmail(GoogleAccount, _Mailbox, Block):
    """One Gmail inbox, by OAuth with offline access."""

    _block_type_name: ClassVar[str | None] = "Gmail"
    _block_type_slug: ClassVar[str | None] = "gmail"
    _description: ClassVar[str | None] = (
        "The inbox that workflows read, label, and answer from. Its refresh token dies after 7 days while "
        "the OAuth app is in Testing, after 6 months unused, and on a change of password."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="the scope gmail.modify: read, label, draft and send, but not delete for good",
        found="console.cloud.google.com: enable the Gmail API, then under Google Auth Platform, Clients, create an "
        "OAuth client of the type Desktop app",
        environment={
            "mailbox": ("GMAIL_MAILBOX",),
            "client_id": ("GMAIL_OAUTH_CLIENT_ID", "GOOGLE_OAUTH_CLIENT_ID", "GOOGLE_CLIENT_ID"),
            "client_secret": ("GMAIL_OAUTH_CLIENT_SECRET", "GOOGLE_OAUTH_CLIENT_SECRET", "GOOGLE_CLIENT_SECRET"),
            "refresh_token": ("GMAIL_OAUTH_REFRESH_TOKEN", "GOOGLE_OAUTH_REFRESH_TOKEN"),
        },
        scopes=("https://www.googleapis.com/auth/gmail.modify",),
    )

    service: ClassVar[Service] = Service("gmail", "v1", WAYS_OUT, quota_units)

    refresh_token: SecretStr = Field(
        title="Refresh token",
        description="What Google gave when the account was connected with offline access.",
    )
    address: str = Field(
        default="https://gmail.googleapis.com",
        title="Address",
        description="Gmail's API. Change it only to use a sandbox or a proxy.",
    )

    _apis: Once[Apis] = PrivateAttr(default_factory=Once)
    _labels: dict[str, tuple[str, float]] = PrivateAttr(default_factory=dict)
    """Ids by name in lower case, and when each was found, on the monotonic clock."""

    @without_frames
    def check(self) -> str:
        """Renew the token and read the profile: `ann@example.com (1234 messages)`.

        Raises:
            VendorError: permanent when the connection is dead, or is to another mailbox than `mailbox`.
        """
        self._renew()
        profile = self._read(PROFILE_SHAPE, self._api().users.getProfile(userId="me"))
        address = profile.email_address
        if address.lower() != self.mailbox.lower():
            raise self._failures().error(
                "check the mailbox",
                f"connected to {address}, but the block says {self.mailbox}: correct one of them",
                permanent=True,
            )
        return f"{address} ({'?' if profile.messages_total is None else profile.messages_total} messages)"

    def history_id(self) -> str:
        """Where the mailbox's history stands now; `added_since` takes it."""
        return self._read(PROFILE_SHAPE, self._api().users.getProfile(userId="me")).history_id

    def watch(self, topic: str) -> datetime:
        """Let Google tell a Pub/Sub topic whenever something changes in the inbox; safe to repeat.

        Google goes on for seven days, and wants to be asked again before they are over, best once a day.
        Source: https://developers.google.com/workspace/gmail/api/guides/push.

        Args:
            topic: `projects/PROJECT/topics/TOPIC`, of the OAuth client's own project, to which
                gmail-api-push@system.gserviceaccount.com may publish.

        Returns:
            When Google stops (UTC).

        Raises:
            VendorError: permanent where the topic is not so, or the mailbox is watched for another topic.
        """
        body = {"topicName": topic, "labelIds": ["INBOX"], "labelFilterBehavior": "include"}
        return self._read(WATCH_SHAPE, self._api().users.watch(userId="me", body=body)).expiration

    def stop_watch(self) -> None:
        """Let Google tell no topic any more. Safe to repeat."""
        self._ask(self._api().users.stop(userId="me"))

    def list_message_ids(self, query: str, limit: int | None = None) -> list[str]:
        """The ids of the messages that match Gmail's search `query`, newest first, at most `limit`."""
        messages = self._api().messages
        ids: list[str] = []
        size = PAGE if limit is None else min(PAGE, max(limit, 1))
        for page in self._pages(MESSAGES_SHAPE, messages.list, userId="me", q=query, maxResults=size):
            ids += [message.id for message in page.messages or ()]
            if limit is not None and len(ids) >= limit:
                return ids[:limit]
        return ids

    def added_since(self, history_id: str) -> tuple[list[str], str]:
        """The ids of the messages that came into the inbox since, oldest first, and the next history id.

        Into the inbox comes what arrives, and what a person puts there: out of spam, for example.

        The next id is the one of the first page: what arrives while later pages are read is reported again
        next time, rather than never. A message may have been deleted meanwhile; `get_raw` then says so.

        Raises:
            HistoryExpired: Gmail no longer knows `history_id`.
        """
        history = self._api().history
        ids: dict[str, None] = {}
        newest = history_id
        try:
            for number, page in enumerate(
                self._pages(
                    HISTORY_SHAPE,
                    history.list,
                    userId="me",
                    startHistoryId=history_id,
                    historyTypes=["messageAdded", "labelAdded"],
                    labelId="INBOX",
                    maxResults=PAGE,
                )
            ):
                if number == 0:
                    newest = page.history_id
                ids |= dict.fromkeys(_arrived(page))
        except VendorError as error:
            raise as_kind(HistoryExpired, error) from None
        return list(ids), newest

    def get_raw(self, message_id: str) -> RawMessage:
        """One message, complete.

        Raises:
            MessageGone: it was deleted.
            SchemaDrift: Gmail's messages are no longer what they were.
        """
        request = self._api().messages.get(userId="me", id=message_id, format="raw")
        message = self._read(MESSAGE_SHAPE, request, gone=MessageGone)
        if message.label_ids is None and self._is_in_inbox(message):
            raise MESSAGE_SHAPE.missing("labelIds", f"GET {message_id}")
        return RawMessage(
            id=message.id,
            thread_id=message.thread_id,
            label_ids=frozenset(message.label_ids or ()),
            received_at=message.internal_date,
            raw=message.raw,
        )

    def create_draft(self, raw: bytes, thread_id: str | None = None) -> str:
        """Keep a draft and return its id.

        Args:
            raw: an RFC 5322 message. It joins the thread only with References, In-Reply-To and a matching
                Subject.
            thread_id: the thread that it answers; None begins a new one.

        Raises:
            VendorError: `unknown` when the reply was lost; `drafts` then finds it by a header.
        """
        message = _message(raw, thread_id)
        request = self._api().drafts.create(userId="me", body={"message": message})
        return self._read(DRAFT_SHAPE, request, write=True).id

    def update_draft(self, draft_id: str, raw: bytes, thread_id: str | None = None) -> None:
        """Replace what a draft says. Safe to repeat.

        Raises:
            DraftGone: it was sent, or deleted by a person.
        """
        message = _message(raw, thread_id)
        self._ask(self._api().drafts.update(userId="me", id=draft_id, body={"message": message}), gone=DraftGone)

    def draft_exists(self, draft_id: str) -> bool:
        """Whether the draft is still there: neither sent nor deleted."""
        return self.get_draft_message_id(draft_id) is not None

    def get_draft_message_id(self, draft_id: str) -> str | None:
        """The id of the draft's message, or None when there is no such draft."""
        try:
            draft = self._read(DRAFT_SHAPE, self._api().drafts.get(userId="me", id=draft_id, format="minimal"))
        except VendorError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return draft.message.id

    def send_draft(self, draft_id: str) -> SentMessage:
        """Send the draft as it stands; Gmail deletes it. Calling again after a lost reply cannot send twice.

        Raises:
            DraftGone: sent before, or deleted by a person; `sent_with_header` tells which.
            VendorError: `unknown` when the reply was lost.
        """
        request = self._api().drafts.send(userId="me", body={"id": draft_id})
        message = self._read(SENT_SHAPE, request, gone=DraftGone, write=True)
        return SentMessage(message.id, message.thread_id)

    def drafts(self, thread_id: str | None = None) -> list[Draft]:
        """The drafts of a thread, or all that there are, with their headers; one that was just sent is left out."""
        found = (
            self._draft(draft.id)
            for page in self._pages(DRAFTS_SHAPE, self._api().drafts.list, userId="me", maxResults=PAGE)
            for draft in page.drafts or ()
            if thread_id in (None, draft.message.thread_id)
        )
        return [draft for draft in found if draft]

    def sent_with_header(self, thread_id: str, name: str, value: str) -> SentMessage | None:
        """The message of the thread that was sent with this header, or None.

        Raises:
            VendorError: permanent, status 404, when the whole thread is gone: nobody can tell what was sent.
        """
        threads = self._api().threads
        request = threads.get(userId="me", id=thread_id, format="metadata", metadataHeaders=[name])
        for message in self._read(THREAD_SHAPE, request).messages:
            if _headers(message).get(name.lower()) != value:
                continue
            if message.label_ids is None:  # ours is a draft or was sent, and both are labels
                raise THREAD_SHAPE.missing("messages.labelIds", request.methodId)
            if "SENT" in message.label_ids:
                return SentMessage(message.id, message.thread_id)
        return None

    def sent_to(self, address: str, since: datetime, name: str, value: str) -> SentMessage | None:
        """The message to an address that was sent with this header since then, or None."""
        messages = self._api().messages
        for message_id in self.list_message_ids(f"in:sent to:{address} after:{int(since.timestamp())}"):
            request = messages.get(userId="me", id=message_id, format="metadata", metadataHeaders=[name])
            try:
                message = self._read(SENT_HEADERS_SHAPE, request, gone=MessageGone)
            except MessageGone:
                continue
            if _headers(message).get(name.lower()) == value:
                return SentMessage(message.id, message.thread_id)
        return None

    def label(self, message_id: str, name: str, remove: Collection[str] = ()) -> str:
        """Put the label with this name on a message, created if need be; take others off, by id. Safe to repeat.

        The labels' ids are remembered for `LABEL_SECONDS`.

        Returns:
            The label's id.

        Raises:
            MessageGone: it was deleted.
        """
        known = self._labels.get(name.lower())
        if known and time.monotonic() - known[1] < LABEL_SECONDS:
            try:
                self.modify_labels(message_id, [known[0]], remove)
            except VendorError as error:
                if error.status != httpx.codes.BAD_REQUEST:
                    raise
                del self._labels[name.lower()]  # somebody may have deleted it since it was found
            else:
                return known[0]
        label_id = self.ensure_label(name)
        self.modify_labels(message_id, [label_id], remove)
        self._labels[name.lower()] = (label_id, time.monotonic())
        return label_id

    def ensure_label(self, name: str) -> str:
        """The id of the label with this name, created if need be. Safe to repeat and to race."""
        label_id = self._label_id(name)
        if label_id:
            return label_id
        body = {"name": name, "labelListVisibility": "labelShow", "messageListVisibility": "show"}
        try:
            label = self._read(LABEL_SHAPE, self._api().labels.create(userId="me", body=body), write=True)
        except VendorError as error:
            label_id = self._label_id(name) if error.status == httpx.codes.CONFLICT else None
            if label_id:
                return label_id
            raise
        return label.id

    def modify_labels(self, message_id: str, add: Collection[str], remove: Collection[str] = ()) -> None:
        """Put labels on a message and take others off, by id. Safe to repeat.

        Raises:
            MessageGone: it was deleted.
        """
        body = {"addLabelIds": sorted(add), "removeLabelIds": sorted(remove)}
        self._ask(self._api().messages.modify(userId="me", id=message_id, body=body), gone=MessageGone)

    def labels_of(self, message_id: str) -> frozenset[str]:
        """The ids of a message's labels.

        Raises:
            MessageGone: it was deleted.
        """
        request = self._api().messages.get(userId="me", id=message_id, format="minimal")
        return frozenset(self._read(LABELS_SHAPE, request, gone=MessageGone).label_ids or ())

    def messages_of(self, thread_id: str, headers: Sequence[str]) -> list[InThread]:
        """The messages of a thread with these headers, oldest first: drafts, sent ones and those in the trash, too.

        Raises:
            MessageGone: there is no such thread (any more).
        """
        threads = self._api().threads
        request = threads.get(userId="me", id=thread_id, format="metadata", metadataHeaders=list(headers))
        messages = self._read(CONVERSATION_SHAPE, request, gone=MessageGone).messages
        return [
            InThread(m.id, frozenset(m.label_ids or ()), m.internal_date, _headers(m))
            for m in sorted(messages, key=lambda m: m.internal_date)
        ]

    def label_names(self) -> dict[str, str]:
        """The name of every label of the mailbox, by id."""
        labels = self._read(LABEL_LIST_SHAPE, self._api().labels.list(userId="me")).labels
        return {label.id: label.name for label in labels}

    def _api(self) -> Apis:
        return self._apis.get(self._build_apis)

    def _is_in_inbox(self, message: _Message) -> bool:
        """Whether Gmail lists it there. It leaves out `labelIds` where there are none, which alone proves nothing."""
        second = timedelta(seconds=1)
        after, before = int((message.internal_date - second).timestamp()), message.internal_date + 2 * second
        return message.id in self.list_message_ids(f"in:inbox after:{after} before:{int(before.timestamp())}")

    def _draft(self, draft_id: str) -> Draft | None:
        request = self._api().drafts.get(userId="me", id=draft_id, format="metadata")
        try:
            return _draft(self._read(DRAFT_HEADERS_SHAPE, request, gone=DraftGone))
        except DraftGone:
            return None

    def _label_id(self, name: str) -> str | None:
        return next((id for id, known in self.label_names().items() if known.lower() == name.lower()), None)

    def _build_apis(self) -> Apis:
        users: Any = self.get_client().users()
        return Apis(users, users.messages(), users.drafts(), users.threads(), users.history(), users.labels())


def _arrived(page: _History) -> Iterator[str]:
    for change in page.history or ():
        yield from (added.message.id for added in change.messages_added or ())
        yield from (labelled.message.id for labelled in change.labels_added or () if "INBOX" in labelled.label_ids)


def _message(raw: bytes, thread_id: str | None) -> dict[str, str]:
    return {"raw": base64.urlsafe_b64encode(raw).decode("ascii")} | ({"threadId": thread_id} if thread_id else {})


def _draft(draft: _DraftWithHeaders) -> Draft:
    return Draft(draft.id, draft.message.id, draft.message.thread_id, _headers(draft.message))


def _headers(message: _WithHeaders) -> dict[str, str]:
    return {header.name.lower(): header.value for header in message.payload.headers or ()}

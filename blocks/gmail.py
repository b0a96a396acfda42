"""Gmail: reads one inbox, keeps drafts, sends them.

There is no plain `send`: Gmail may rewrite our Message-ID on `messages.send`, so an e-mail whose reply was
lost could not be found again. Sending is two phases, each of which leaves something to look for:
`create_draft`, whose id the caller records, then `send_draft`, which deletes the draft as it sends.
"""

import base64
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr

from blocks.vendor import Failures, Once, VendorError

if TYPE_CHECKING:
    from googleapiclient.discovery import Resource

    from blocks.google import GoogleHttp

PAGE = 500  # the most that messages.list, drafts.list and history.list return at once
CONNECTIONS = 16

WAYS_OUT = {
    401: "connect the Google account again",
    403: "connect the Google account again with access to Gmail, whose API the project must have enabled",
}


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


class Gmail(Block):
    """One Gmail inbox, by OAuth with offline access."""

    _block_type_name: ClassVar[str | None] = "Gmail"
    _block_type_slug: ClassVar[str | None] = "gmail"
    _description: ClassVar[str | None] = (
        "The inbox that workflows read, label, and answer from. Its refresh token dies after 7 days while "
        "the OAuth app is in Testing, after 6 months unused, and on a change of password."
    )

    mailbox: str = Field(
        title="Mailbox",
        description="The inbox's e-mail address: the sender of replies, and how our own mail is told apart.",
    )
    client_id: str = Field(
        title="OAuth client id", description="From Google Cloud Console, APIs & Services, Credentials."
    )
    client_secret: SecretStr = Field(title="OAuth client secret", description="Shown beside the client id.")
    refresh_token: SecretStr = Field(
        title="Refresh token",
        description="What Google gave when the account was connected with offline access.",
    )
    address: str = Field(
        default="https://gmail.googleapis.com",
        title="Address",
        description="Gmail's API. Change it only to use a sandbox or a proxy.",
    )
    token_address: str = Field(
        default="https://oauth2.googleapis.com/token",
        title="Token address",
        description="Google's token endpoint. Change it together with the address.",
    )
    timeout_seconds: float = Field(
        default=30,
        gt=0,
        title="Timeout (seconds)",
        description="How long to wait to connect, and for each piece of a reply.",
    )

    _http: Once["GoogleHttp"] = PrivateAttr(default_factory=Once)
    _service: Once["Resource"] = PrivateAttr(default_factory=Once)
    _apis: Once[Apis] = PrivateAttr(default_factory=Once)

    def get_client(self) -> "Resource":
        """Google's own client for Gmail v1, over a transport that sends nothing twice. Thread-safe."""
        return self._service.get(self._build_service)

    def check(self) -> str:
        """Renew the token and read the profile: `ann@example.com (1234 messages)`.

        Raises:
            VendorError: permanent when the connection is dead, or is to another mailbox than `mailbox`.
        """
        self._http.get(self._build_http).renew()
        profile = self._profile()
        address = str(profile["emailAddress"])
        if address.lower() != self.mailbox.lower():
            raise self._failures().error(
                "check the mailbox",
                f"connected to {address}, but the block says {self.mailbox}: correct one of them",
                permanent=True,
            )
        return f"{address} ({profile.get('messagesTotal', '?')} messages)"

    def history_id(self) -> str:
        """Where the mailbox's history stands now; `added_since` takes it."""
        return str(self._profile()["historyId"])

    def list_message_ids(self, query: str, limit: int | None = None) -> list[str]:
        """The ids of the messages that match Gmail's search `query`, newest first, at most `limit`."""
        messages = self._api().messages
        ids: list[str] = []
        size = PAGE if limit is None else min(PAGE, max(limit, 1))
        for page in _pages(messages.list, q=query, maxResults=size):
            ids += [str(message["id"]) for message in page.get("messages", [])]
            if limit is not None and len(ids) >= limit:
                return ids[:limit]
        return ids

    def added_since(self, history_id: str) -> tuple[list[str], str]:
        """The ids of the messages that came into the inbox since, oldest first, and the next history id.

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
                _pages(
                    history.list,
                    startHistoryId=history_id,
                    historyTypes=["messageAdded"],
                    labelId="INBOX",
                    maxResults=PAGE,
                )
            ):
                if number == 0:
                    newest = str(page.get("historyId", history_id))
                ids |= dict.fromkeys(_added(page))
        except VendorError as error:
            raise _as(HistoryExpired, error) from None
        return list(ids), newest

    def get_raw(self, message_id: str) -> RawMessage:
        """One message, complete.

        Raises:
            MessageGone: it was deleted.
        """
        try:
            message = self._api().messages.get(userId="me", id=message_id, format="raw").execute()
        except VendorError as error:
            raise _as(MessageGone, error) from None
        return RawMessage(
            id=str(message["id"]),
            thread_id=str(message["threadId"]),
            label_ids=frozenset(message.get("labelIds", [])),
            received_at=datetime.fromtimestamp(int(message["internalDate"]) / 1000, UTC),
            raw=_decode(message["raw"]),
        )

    def create_draft(self, raw: bytes, thread_id: str) -> str:
        """Keep a draft in a thread and return its id.

        Args:
            raw: an RFC 5322 message. It joins the thread only with References, In-Reply-To and a matching
                Subject.
            thread_id: the thread that it answers.

        Raises:
            VendorError: `unknown` when the reply was lost; `drafts_in_thread` then finds it by a header.
        """
        message = {"raw": base64.urlsafe_b64encode(raw).decode("ascii"), "threadId": thread_id}
        draft = self._api().drafts.create(userId="me", body={"message": message}).execute()
        return str(draft["id"])

    def update_draft(self, draft_id: str, raw: bytes, thread_id: str) -> None:
        """Replace what a draft says. Safe to repeat.

        Raises:
            DraftGone: it was sent, or deleted by a person.
        """
        message = {"raw": base64.urlsafe_b64encode(raw).decode("ascii"), "threadId": thread_id}
        try:
            self._api().drafts.update(userId="me", id=draft_id, body={"message": message}).execute()
        except VendorError as error:
            raise _as(DraftGone, error) from None

    def draft_exists(self, draft_id: str) -> bool:
        """Whether the draft is still there: neither sent nor deleted."""
        return self.get_draft_message_id(draft_id) is not None

    def get_draft_message_id(self, draft_id: str) -> str | None:
        """The id of the draft's message, or None when there is no such draft."""
        try:
            draft = self._api().drafts.get(userId="me", id=draft_id, format="minimal").execute()
        except VendorError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return str(draft["message"]["id"])

    def send_draft(self, draft_id: str) -> SentMessage:
        """Send the draft as it stands; Gmail deletes it. Calling again after a lost reply cannot send twice.

        Raises:
            DraftGone: sent before, or deleted by a person; `sent_with_header` tells which.
            VendorError: `unknown` when the reply was lost.
        """
        try:
            message = self._api().drafts.send(userId="me", body={"id": draft_id}).execute()
        except VendorError as error:
            raise _as(DraftGone, error) from None
        return SentMessage(str(message["id"]), str(message["threadId"]))

    def drafts_in_thread(self, thread_id: str) -> list[Draft]:
        """The drafts of a thread, with their headers."""
        drafts = self._api().drafts
        return [
            _draft(drafts.get(userId="me", id=draft["id"], format="metadata").execute())
            for page in _pages(drafts.list, maxResults=PAGE)
            for draft in page.get("drafts", [])
            if draft["message"].get("threadId") == thread_id
        ]

    def sent_with_header(self, thread_id: str, name: str, value: str) -> SentMessage | None:
        """The message of the thread that was sent with this header, or None.

        Raises:
            VendorError: permanent, status 404, when the whole thread is gone: nobody can tell what was sent.
        """
        threads = self._api().threads
        thread = threads.get(userId="me", id=thread_id, format="metadata", metadataHeaders=[name]).execute()
        for message in thread.get("messages", []):
            if "SENT" in message.get("labelIds", []) and _headers(message).get(name.lower()) == value:
                return SentMessage(str(message["id"]), str(message["threadId"]))
        return None

    def ensure_label(self, name: str) -> str:
        """The id of the label with this name, created if need be. Safe to repeat and to race."""
        label_id = self._label_id(name)
        if label_id:
            return label_id
        body = {"name": name, "labelListVisibility": "labelShow", "messageListVisibility": "show"}
        try:
            label = self._api().labels.create(userId="me", body=body).execute()
        except VendorError as error:
            label_id = self._label_id(name) if error.status == httpx.codes.CONFLICT else None
            if label_id:
                return label_id
            raise
        return str(label["id"])

    def modify_labels(self, message_id: str, add: Collection[str], remove: Collection[str] = ()) -> None:
        """Put labels on a message and take others off, by id. Safe to repeat.

        Raises:
            MessageGone: it was deleted.
        """
        body = {"addLabelIds": sorted(add), "removeLabelIds": sorted(remove)}
        try:
            self._api().messages.modify(userId="me", id=message_id, body=body).execute()
        except VendorError as error:
            raise _as(MessageGone, error) from None

    def labels_of(self, message_id: str) -> frozenset[str]:
        """The ids of a message's labels.

        Raises:
            MessageGone: it was deleted.
        """
        try:
            message = self._api().messages.get(userId="me", id=message_id, format="minimal").execute()
        except VendorError as error:
            raise _as(MessageGone, error) from None
        return frozenset(message.get("labelIds", []))

    def _api(self) -> Apis:
        return self._apis.get(self._build_apis)

    def _profile(self) -> dict[str, Any]:
        profile: dict[str, Any] = self._api().users.getProfile(userId="me").execute()
        return profile

    def _label_id(self, name: str) -> str | None:
        labels = self._api().labels.list(userId="me").execute().get("labels", [])
        return next((str(label["id"]) for label in labels if label["name"].lower() == name.lower()), None)

    def _failures(self) -> Failures:
        return Failures("gmail", (self.client_secret, self.refresh_token), WAYS_OUT)

    def _build_http(self) -> "GoogleHttp":
        from google.oauth2.credentials import Credentials

        from blocks.google import GoogleHttp

        credentials = Credentials(  # type: ignore[no-untyped-call]
            token=None,
            refresh_token=self.refresh_token.get_secret_value(),
            token_uri=self.token_address,
            client_id=self.client_id,
            client_secret=self.client_secret.get_secret_value(),
        )
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        client = httpx.Client(timeout=self.timeout_seconds, follow_redirects=False, limits=limits)
        return GoogleHttp(credentials, client, self._failures())

    def _build_service(self) -> "Resource":
        from googleapiclient.discovery import build_from_document
        from googleapiclient.discovery_cache import get_static_doc

        document = json.loads(get_static_doc("gmail", "v1"))
        # The document, not `client_options`, because that one breaks media and batch addresses.
        document["rootUrl"] = self.address.rstrip("/") + "/"
        document["baseUrl"] = document["rootUrl"] + document["servicePath"]
        document.pop("mtlsRootUrl", None)
        return build_from_document(document, http=self._http.get(self._build_http))

    def _build_apis(self) -> Apis:
        users: Any = self.get_client().users()
        return Apis(users, users.messages(), users.drafts(), users.threads(), users.history(), users.labels())


def _pages(list_: Callable[..., Any], **arguments: Any) -> Iterator[dict[str, Any]]:
    """Every page of one of Gmail's list methods."""
    token: str | None = None
    while True:
        page: dict[str, Any] = list_(userId="me", pageToken=token, **arguments).execute()
        yield page
        token = page.get("nextPageToken")
        if not token:
            return


def _added(page: dict[str, Any]) -> list[str]:
    return [
        str(added["message"]["id"]) for record in page.get("history", []) for added in record.get("messagesAdded", [])
    ]


def _draft(draft: dict[str, Any]) -> Draft:
    message = draft["message"]
    return Draft(str(draft["id"]), str(message["id"]), str(message["threadId"]), _headers(message))


def _headers(message: dict[str, Any]) -> dict[str, str]:
    headers = message.get("payload", {}).get("headers", [])
    return {str(header["name"]).lower(): str(header["value"]) for header in headers}


def _decode(text: str) -> bytes:
    # Gmail leaves out the padding that Python's decoder insists on.
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _as(kind: type[VendorError], error: VendorError) -> VendorError:
    """The same failure as `kind` when it is a 404, else unchanged."""
    if error.status != httpx.codes.NOT_FOUND:
        return error
    return kind(error.vendor, error.operation, error.reason, permanent=True, status=error.status)

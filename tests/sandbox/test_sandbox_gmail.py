"""The pretend Gmail, through Google's own client, judged by Google's own discovery document."""

import base64
import json
import time
from collections.abc import Callable
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

import google.auth.exceptions
import googleapiclient
import httplib2  # type: ignore[import-untyped]
import httpx
import pytest
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest

from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.gmail import OPERATIONS

TOPIC = "projects/sandbox/topics/gmail"
JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


@cache
def discovery() -> dict[str, Any]:
    """Return the description of Gmail that ships with Google's client."""
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    document: dict[str, Any] = json.loads((folder / "gmail.v1.json").read_text())
    return document


def methods(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return all methods of a resource and the resources inside it, by id."""
    found = {each["id"]: each for each in resource.get("methods", {}).values()}
    for inner in resource.get("resources", {}).values():
        found |= methods(inner)
    return found


def assert_conforms(value: Any, schema: dict[str, Any], where: str) -> None:
    """Fail on any field that Google does not know, or that has another type there."""
    if "$ref" in schema:
        schema = discovery()["schemas"][schema["$ref"]]
    expected = JSON_TYPES[schema["type"]]
    assert isinstance(value, expected), f"{where} is {value!r}, not a {schema['type']}"
    assert expected is bool or not isinstance(value, bool), f"{where} is a boolean"
    if schema.get("format") in ("int64", "uint64"):
        assert str(value).lstrip("-").isdigit(), f"{where} is not a number in a string"
    if "enum" in schema:
        assert value in schema["enum"], f"{where} is {value!r}"
    if isinstance(value, list):
        for number, item in enumerate(value):
            assert_conforms(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict):
        unknown = set(value) - set(schema["properties"])
        assert not unknown, f"{where} has {sorted(unknown)}, which Gmail has not"
        for name, item in value.items():
            assert_conforms(item, schema["properties"][name], f"{where}.{name}")


class CheckedRequest(HttpRequest):  # type: ignore[misc]
    """A request of Google's client whose every reply is held against the discovery document."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run it and check what came back."""
        reply = super().execute(*args, **kwargs)
        schema = methods(discovery())[self.methodId].get("response")
        if schema:
            assert_conforms(reply, schema, self.methodId)
        else:
            assert not reply
        return reply


def login(sandbox: Sandbox, **changes: str) -> Credentials:
    """Return credentials that the sandbox accepts, unless changed."""
    accepted = {
        "refresh_token": credentials.GOOGLE_REFRESH_TOKEN,
        "client_id": credentials.GOOGLE_CLIENT_ID,
        "client_secret": credentials.GOOGLE_CLIENT_SECRET,
    }
    return Credentials(token=None, token_uri=sandbox.at("google") + "/token", **(accepted | changes))  # type: ignore[no-untyped-call]


def build(sandbox: Sandbox, creds: Credentials, timeout: float = 10) -> Any:
    """Return the users resource of Google's client, pointed at the sandbox."""
    root = sandbox.at("google") + "/"
    document = discovery() | {"rootUrl": root, "baseUrl": root + discovery()["servicePath"]}
    document.pop("mtlsRootUrl", None)
    http = AuthorizedHttp(creds, http=httplib2.Http(timeout=timeout, proxy_info=None))
    return build_from_document(document, http=http, requestBuilder=CheckedRequest).users()


@pytest.fixture
def users(sandbox: Sandbox) -> Any:
    """Return Gmail's users resource."""
    return build(sandbox, login(sandbox))


def letter(subject: str = "Hello", body: str = "Some words", **headers: str) -> EmailMessage:
    """Return a message to somebody."""
    message = EmailMessage()
    message["To"] = headers.pop("to", "someone@example.com")
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


def raw(message: EmailMessage) -> dict[str, str]:
    """Return the body that Gmail takes for a message."""
    return {"raw": base64.urlsafe_b64encode(message.as_bytes()).decode()}


def ids(listing: dict[str, Any], kind: str = "messages") -> list[str]:
    """Return the ids in a list reply; Gmail leaves the list out when it is empty."""
    return [each["id"] for each in listing.get(kind, [])]


def refused(call: Any) -> HttpError:
    """Return the error that a call ends with."""
    with pytest.raises(HttpError) as caught:
        call.execute()
    return caught.value


class TestContract:
    """The table of operations against Google's."""

    @pytest.mark.parametrize(("name", "method", "path"), [each[:3] for each in OPERATIONS])
    def test_every_operation_is_one_of_gmails(self, name: str, method: str, path: str) -> None:
        known = methods(discovery())[f"gmail.users.{name}"]
        assert (known["httpMethod"], known["path"]) == (method, f"gmail/v1/users/{{userId}}/{path}")


class TestAuthorisation:
    """Tokens, as google-auth asks for them."""

    def test_refresh_token_opens_the_mailbox(self, users: Any) -> None:
        profile = users.getProfile(userId="me").execute()
        assert profile["emailAddress"] == "hello@company.example"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [({"refresh_token": "stolen"}, "invalid_grant"), ({"client_secret": "guess"}, "invalid_client")],
    )
    def test_other_credentials_are_refused(self, sandbox: Sandbox, changes: dict[str, str], reason: str) -> None:
        users = build(sandbox, login(sandbox, **changes))
        with pytest.raises(google.auth.exceptions.RefreshError, match=reason) as caught:
            users.getProfile(userId="me").execute()
        assert not caught.value.retryable

    def test_wrong_bearer_gets_googles_401(self, sandbox: Sandbox) -> None:
        reply = httpx.get(
            sandbox.at("google") + "/gmail/v1/users/me/profile", headers={"Authorization": "Bearer ya29.wrong"}
        )
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["status"]) == (401, 401, "UNAUTHENTICATED")
        assert error["errors"][0]["reason"] == "authError"

    def test_client_logs_in_again_when_its_token_ends(self, sandbox: Sandbox, users: Any) -> None:
        users.getProfile(userId="me").execute()
        sandbox.expire_google_tokens()
        assert users.getProfile(userId="me").execute()
        assert [call["status"] for call in sandbox.requests("google")] == [200, 200, 401, 200, 200]

    def test_other_peoples_mailbox_is_closed(self, users: Any) -> None:
        assert refused(users.getProfile(userId="boss@company.example")).status_code == 403


class TestMessages:
    """Reading, finding and changing messages."""

    def test_formats(self, sandbox: Sandbox, users: Any) -> None:
        made = sandbox.write(sender="Ann <ann@customer.example>", subject="Größe", body="Fünf Türen\n", html="<p>5</p>")
        get = users.messages().get
        full = get(userId="me", id=made.id).execute()
        headers = {each["name"]: each["value"] for each in full["payload"]["headers"]}
        assert headers["Subject"] == "Größe"
        assert full["labelIds"] == ["INBOX", "UNREAD"]
        assert full["snippet"] == "Fünf Türen"
        assert [part["mimeType"] for part in full["payload"]["parts"]] == ["text/plain", "text/html"]
        assert base64.urlsafe_b64decode(full["payload"]["parts"][0]["body"]["data"]).decode() == "Fünf Türen\n"
        assert "payload" not in get(userId="me", id=made.id, format="minimal").execute()
        source = base64.urlsafe_b64decode(get(userId="me", id=made.id, format="raw").execute()["raw"])
        assert made.message_id.encode() in source
        listed = get(userId="me", id=made.id, format="metadata", metadataHeaders=["From", "subject"]).execute()
        assert [each["name"] for each in listed["payload"]["headers"]] == ["From", "Subject"]
        assert refused(get(userId="me", id="19a0ffffffffffff")).status_code == 404

    def test_text_is_utf8_whatever_its_charset(self, sandbox: Sandbox, users: Any) -> None:
        source = "From: a@b.example\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nCafé".encode("latin-1")
        made = sandbox.deliver(source)
        full = users.messages().get(userId="me", id=made.id).execute()
        assert base64.urlsafe_b64decode(full["payload"]["body"]["data"]) == "Café".encode()

    def test_attachment(self, sandbox: Sandbox, users: Any) -> None:
        message = letter()
        message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="offer.pdf")
        made = sandbox.deliver(message.as_bytes())
        full = users.messages().get(userId="me", id=made.id).execute()
        part = full["payload"]["parts"][1]
        assert (part["filename"], part["body"]["size"], "data" in part["body"]) == ("offer.pdf", 8, False)
        attachments = users.messages().attachments()
        found = attachments.get(userId="me", messageId=made.id, id=part["body"]["attachmentId"]).execute()
        assert base64.urlsafe_b64decode(found["data"]) == b"%PDF-1.7"
        assert ids(users.messages().list(userId="me", q="has:attachment").execute()) == [made.id]

    def test_hostile_mail_does_no_harm(self, sandbox: Sandbox, users: Any) -> None:
        for source in (
            b"",
            b"\xff\xfe no headers",
            b"Subject: =?utf-9?q?x?=\nDate: never\nContent-Type: text/;;\n\n\xff",
        ):
            made = sandbox.deliver(source)
            users.messages().get(userId="me", id=made.id).execute()
        assert httpx.get(sandbox.url).status_code == 200

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("in:inbox", "new old"),
            ("from:ann@customer.example", "old"),
            ("from:customer.example", "new old"),
            ("to:hello", "new old"),
            ("subject:invoice", "old"),
            ('subject:"second invoice"', ""),
            ("pallets", "new"),
            ("-pallets in:inbox", "old"),
            ("after:2026/11/01", "new"),
            ("after:2026/10/01 before:2026/11/01", "old"),
            ("before:1793491200", "old"),
            ("newer_than:1d", ""),
            ("is:unread", "new"),
            ("is:read in:inbox", "old"),
            ("label:to-do", "old"),
            ("rfc822msgid:<new@customer.example>", "new"),
            ("rfc822msgid:other@customer.example", ""),
            ("in:trash", ""),
        ],
    )
    def test_search(self, sandbox: Sandbox, users: Any, query: str, found: str) -> None:
        old = sandbox.write(
            sender="ann@customer.example", subject="Invoice", date="Mon, 05 Oct 2026 09:00:00 +0000", body="Please pay"
        )
        new = sandbox.write(
            sender="bo@customer.example",
            subject="Question",
            date="Mon, 02 Nov 2026 09:00:00 +0000",
            body="How many pallets?",
            message_id="<new@customer.example>",
        )
        label = users.labels().create(userId="me", body={"name": "To do"}).execute()
        changes = {"addLabelIds": [label["id"]], "removeLabelIds": ["UNREAD"]}
        users.messages().modify(userId="me", id=old.id, body=changes).execute()
        names = {old.id: "old", new.id: "new"}
        listing = users.messages().list(userId="me", q=query).execute()
        assert " ".join(names[each] for each in ids(listing)) == found

    def test_search_refuses_what_it_does_not_speak(self, users: Any) -> None:
        for query in ("larger:5M", "a OR b", 'subject:"open'):
            assert refused(users.messages().list(userId="me", q=query)).status_code == 400

    def test_pages_stay_put_when_mail_arrives(self, sandbox: Sandbox, users: Any) -> None:
        made = [sandbox.write(date=f"Mon, 02 Nov 2026 09:0{minute}:00 +0000").id for minute in range(5)]
        listing = users.messages().list(userId="me", labelIds=["INBOX"], maxResults=2)
        seen = ids(first := listing.execute())
        sandbox.write(date="Tue, 03 Nov 2026 09:00:00 +0000")
        listing = users.messages().list_next(listing, first)
        while listing is not None:
            page = listing.execute()
            seen += ids(page)
            listing = users.messages().list_next(listing, page)
        assert seen == made[::-1]

    def test_empty_list_has_no_messages_key(self, users: Any) -> None:
        assert users.messages().list(userId="me").execute() == {"resultSizeEstimate": 0}

    def test_modify_trash_and_delete(self, sandbox: Sandbox, users: Any) -> None:
        one, two = sandbox.write(), sandbox.write()
        read = users.messages().modify(userId="me", id=one.id, body={"removeLabelIds": ["UNREAD"]}).execute()
        assert read["labelIds"] == ["INBOX"]
        body = {"ids": [one.id, two.id, "gone"], "addLabelIds": ["STARRED"], "removeLabelIds": ["INBOX"]}
        users.messages().batchModify(userId="me", body=body).execute()
        assert sandbox.inbox() == []
        users.messages().trash(userId="me", id=two.id).execute()
        assert ids(users.messages().list(userId="me").execute()) == [one.id]
        assert len(ids(users.messages().list(userId="me", includeSpamTrash=True).execute())) == 2
        users.messages().untrash(userId="me", id=two.id).execute()
        users.messages().delete(userId="me", id=two.id).execute()
        assert ids(users.messages().list(userId="me").execute()) == [one.id]
        for label in ("Nonsense", "SENT"):
            changing = users.messages().modify(userId="me", id=one.id, body={"addLabelIds": [label]})
            assert refused(changing).status_code == 400


class TestSending:
    """Sending, drafts, and Gmail's rules for threads."""

    def test_send(self, sandbox: Sandbox, users: Any) -> None:
        made = users.messages().send(userId="me", body=raw(letter(to="Ann <ann@customer.example>"))).execute()
        assert made["labelIds"] == ["SENT"]
        (mail,) = sandbox.sent()
        assert (mail.id, mail.to, mail.sender, mail.body) == (
            made["id"],
            "Ann <ann@customer.example>",
            "hello@company.example",
            "Some words",
        )
        assert mail.message_id
        assert mail.date

    @pytest.mark.parametrize("body", [{}, {"raw": "not base64!"}, {"raw": "U3ViamVjdDogeA=="}, {"threadId": "nope"}])
    def test_send_refuses_nonsense(self, sandbox: Sandbox, users: Any, body: dict[str, str]) -> None:
        assert refused(users.messages().send(userId="me", body=body)).status_code in (400, 404)
        assert sandbox.sent() == []

    @pytest.mark.parametrize(
        ("subject", "referring", "with_thread", "joins"),
        [
            ("Re: Quote", "In-Reply-To", True, True),
            ("RE: Re: quote", "References", True, True),
            ("Re: Quote", "In-Reply-To", False, False),
            ("Re: Quote", "", True, False),
            ("Another matter", "In-Reply-To", True, False),
        ],
    )
    def test_reply_joins_a_thread_by_three_rules(
        self, sandbox: Sandbox, users: Any, subject: str, referring: str, with_thread: bool, joins: bool
    ) -> None:
        asked = sandbox.write(subject="Quote")
        reply = letter(subject)
        if referring:
            reply[referring] = asked.message_id
        body = raw(reply) | ({"threadId": asked.thread_id} if with_thread else {})
        draft = users.drafts().create(userId="me", body={"message": body}).execute()
        sent = users.drafts().send(userId="me", body={"id": draft["id"]}).execute()
        assert (sent["threadId"] == asked.thread_id) is joins
        thread = users.threads().get(userId="me", id=asked.thread_id).execute()
        assert len(thread["messages"]) == 1 + joins

    def test_answer_to_a_sent_message_joins_its_thread(self, sandbox: Sandbox, users: Any) -> None:
        sent = users.messages().send(userId="me", body=raw(letter(Message_ID="<ours@company.example>"))).execute()
        answer = sandbox.write(subject="Re: Hello", in_reply_to="<ours@company.example>")
        assert answer.thread_id == sent["threadId"]

    def test_draft_life(self, sandbox: Sandbox, users: Any) -> None:
        drafts = users.drafts()
        made = drafts.create(userId="me", body={"message": raw(letter("One"))}).execute()
        changed = drafts.update(userId="me", id=made["id"], body={"message": raw(letter("Two"))}).execute()
        assert changed["id"] == made["id"]
        assert changed["message"]["id"] != made["message"]["id"]
        assert ids(drafts.list(userId="me", q="subject:two").execute(), "drafts") == [made["id"]]
        assert drafts.get(userId="me", id=made["id"], format="raw").execute()["message"]["labelIds"] == ["DRAFT"]
        sent = drafts.send(userId="me", body={"id": made["id"]}).execute()
        assert sent["labelIds"] == ["SENT"]
        assert [mail.subject for mail in sandbox.sent()] == ["Two"]
        assert sandbox.drafts() == []
        assert refused(drafts.send(userId="me", body={"id": made["id"]})).status_code == 404
        assert refused(drafts.get(userId="me", id=made["id"])).status_code == 404
        orphan = drafts.create(userId="me", body={"message": raw(letter())}).execute()
        drafts.delete(userId="me", id=orphan["id"]).execute()
        assert sandbox.drafts() == []

    def test_headers_of_ours_survive(self, sandbox: Sandbox, users: Any) -> None:
        users.messages().send(userId="me", body=raw(letter(X_Action_Id="action-7"))).execute()
        assert sandbox.sent()[0].header("X-Action-Id") == "action-7"


class TestThreads:
    """Threads."""

    def test_list_get_modify(self, sandbox: Sandbox, users: Any) -> None:
        first = sandbox.write(subject="Door", date="Mon, 02 Nov 2026 09:00:00 +0000")
        sandbox.write(
            subject="Re: Door", in_reply_to=first.message_id, date="Mon, 02 Nov 2026 11:00:00 +0000", body="Last word"
        )
        other = sandbox.write(date="Mon, 02 Nov 2026 10:00:00 +0000")
        listing = users.threads().list(userId="me").execute()
        assert ids(listing, "threads") == [first.thread_id, other.thread_id]
        assert listing["threads"][0]["snippet"] == "Last word"
        body = {"removeLabelIds": ["INBOX"]}
        changed = users.threads().modify(userId="me", id=first.thread_id, body=body).execute()
        assert [each["labelIds"] for each in changed["messages"]] == [["UNREAD"], ["UNREAD"]]
        assert refused(users.threads().get(userId="me", id="nope")).status_code == 404


class TestLabels:
    """Labels."""

    def test_life(self, sandbox: Sandbox, users: Any) -> None:
        labels = users.labels()
        made = labels.create(userId="me", body={"name": "Signoff/Done", "labelListVisibility": "labelHide"}).execute()
        assert refused(labels.create(userId="me", body={"name": "signoff/done"})).status_code == 409
        assert refused(labels.create(userId="me", body={"name": " "})).status_code == 400
        mail = sandbox.write()
        users.messages().modify(userId="me", id=mail.id, body={"addLabelIds": [made["id"]]}).execute()
        assert labels.get(userId="me", id=made["id"]).execute()["messagesUnread"] == 1
        renamed = labels.patch(userId="me", id=made["id"], body={"name": "Done"}).execute()
        assert (renamed["name"], renamed["labelListVisibility"]) == ("Done", "labelHide")
        assert labels.update(userId="me", id=made["id"], body={"name": "Over"}).execute()["name"] == "Over"
        assert {each["name"] for each in labels.list(userId="me").execute()["labels"]} >= {"INBOX", "SENT", "Over"}
        labels.delete(userId="me", id=made["id"]).execute()
        assert sandbox.inbox()[0].labels == ("INBOX", "UNREAD")
        assert refused(labels.get(userId="me", id=made["id"])).status_code == 404
        assert refused(labels.delete(userId="me", id="INBOX")).status_code == 400


class TestHistory:
    """What changed since."""

    @pytest.fixture
    def since(self, users: Any) -> Callable[..., dict[str, Any]]:
        start = users.getProfile(userId="me").execute()["historyId"]

        def read(**options: Any) -> dict[str, Any]:
            reply: dict[str, Any] = users.history().list(userId="me", **{"startHistoryId": start} | options).execute()
            return reply

        return read

    def test_every_kind_of_change(self, sandbox: Sandbox, users: Any, since: Callable[..., dict[str, Any]]) -> None:
        assert "history" not in since()
        mail = sandbox.write()
        change = {"addLabelIds": ["STARRED"], "removeLabelIds": ["INBOX", "IMPORTANT"]}
        for _ in range(2):
            users.messages().modify(userId="me", id=mail.id, body=change).execute()
        users.messages().delete(userId="me", id=mail.id).execute()
        told = since()
        kinds = [key for entry in told["history"] for key in entry if key not in ("id", "messages")]
        assert kinds == ["messagesAdded", "labelsAdded", "labelsRemoved", "messagesDeleted"]
        assert told["history"][0]["messagesAdded"][0]["message"]["labelIds"] == ["INBOX", "UNREAD"]
        assert told["history"][2]["labelsRemoved"][0]["labelIds"] == ["INBOX"]
        assert "history" not in since(startHistoryId=told["historyId"])
        assert len(since(historyTypes=["messageAdded", "labelAdded"])["history"]) == 2
        assert len(since(labelId="STARRED", historyTypes=["messageAdded"]).get("history", [])) == 0
        assert len(since(labelId="INBOX", historyTypes=["messageAdded"])["history"]) == 1

    def test_pages(self, sandbox: Sandbox, since: Callable[..., dict[str, Any]]) -> None:
        made = [sandbox.write().id for _ in range(5)]
        told = since(maxResults=2)
        seen = told["history"]
        while token := told.get("nextPageToken"):
            told = since(maxResults=2, pageToken=token)
            seen += told["history"]
        assert [entry["messagesAdded"][0]["message"]["id"] for entry in seen] == made

    def test_history_that_is_too_old(self, sandbox: Sandbox, users: Any, since: Callable[..., dict[str, Any]]) -> None:
        sandbox.forget_gmail_history()
        with pytest.raises(HttpError) as caught:
            since()
        assert caught.value.status_code == 404
        fresh = users.getProfile(userId="me").execute()["historyId"]
        sandbox.write()
        assert len(since(startHistoryId=fresh)["history"]) == 1


def test_a_mailbox_is_watched_for_seven_days_for_one_topic_at_a_time(users: Any) -> None:
    def watch(topic: str = TOPIC, **more: Any) -> Any:
        return users.watch(userId="me", body={"topicName": topic} | more).execute()

    before = time.time()
    told = watch(labelIds=["INBOX"], labelFilterBehavior="include")
    assert told["historyId"] == users.getProfile(userId="me").execute()["historyId"]
    assert before + 7 * 86_400 - 1 <= int(told["expiration"]) / 1_000 <= time.time() + 7 * 86_400
    assert int(watch()["expiration"]) >= int(told["expiration"])
    with pytest.raises(HttpError, match="Only one user push notification client allowed"):
        watch(f"{TOPIC}-2")
    for _ in range(2):
        users.stop(userId="me").execute()
    assert watch(f"{TOPIC}-2")["expiration"]


def test_what_google_says_of_a_topic_that_will_not_do(users: Any, sandbox: Sandbox) -> None:
    with pytest.raises(HttpError, match="Invalid topicName") as caught:
        users.watch(userId="me", body={"topicName": "gmail"}).execute()
    assert caught.value.status_code == 400
    with pytest.raises(HttpError, match="Invalid label: NOPE"):
        users.watch(userId="me", body={"topicName": TOPIC, "labelIds": ["NOPE"]}).execute()
    sandbox.fault("topic_forbidden")
    with pytest.raises(HttpError, match="User not authorized to perform this action") as caught:
        users.watch(userId="me", body={"topicName": TOPIC}).execute()
    assert caught.value.status_code == 403


def test_the_judge_is_strict() -> None:
    """Replies that Gmail would never send must fail, or the checks above prove nothing."""
    for wrong in (
        {"historyId": 5},
        {"history_id": "5"},
        {"labelIds": "INBOX"},
        {"payload": {"headers": [{"key": ""}]}},
    ):
        with pytest.raises(AssertionError):
            assert_conforms(wrong, {"$ref": "Message"}, "message")

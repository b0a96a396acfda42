"""The Gmail block, through Google's own client, against the sandbox."""

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from traceback import format_exception

import httpx
import pytest
from google.oauth2.credentials import Credentials
from pydantic import SecretStr

from blocks.gmail import DraftGone, Gmail, HistoryExpired, MessageGone
from blocks.google import GoogleHttp
from blocks.vendor import Failures, VendorError
from sandbox import credentials
from sandbox.client import Delivered, Sandbox
from sandbox.faults import Kind

ACTION = "X-Signoff-Action"


def answer(to: Delivered, action: str = "a1") -> bytes:
    """A reply as the product writes it."""
    message = EmailMessage()
    message["From"] = "hello@company.example"
    message["To"] = "ann@sender.example"
    message["Subject"] = "Re: Prices"
    message["In-Reply-To"] = message["References"] = to.message_id
    message[ACTION] = action
    message.set_content("Dear Ann, zażółć.")
    return message.as_bytes()


@pytest.fixture
def mail(sandbox: Sandbox) -> Delivered:
    return sandbox.write(sender="ann@sender.example", subject="Prices", body="How much? zażółć")


def test_check_names_the_mailbox(gmail: Gmail) -> None:
    assert gmail.check() == "hello@company.example (0 messages)"


def test_check_refuses_another_mailbox(connect_gmail: Callable[..., Gmail]) -> None:
    with pytest.raises(VendorError, match=r"connected to hello@company\.example, but the block says") as caught:
        connect_gmail(mailbox="other@company.example").check()
    assert caught.value.permanent


def test_raw_message_is_what_came_over_the_wire(gmail: Gmail, mail: Delivered) -> None:
    message = gmail.get_raw(mail.id)
    assert (message.id, message.thread_id) == (mail.id, mail.thread_id)
    assert message.label_ids >= {"INBOX", "UNREAD"}
    assert datetime.now(UTC) - message.received_at < timedelta(minutes=5)
    assert BytesParser().parsebytes(message.raw)["Subject"] == "Prices"


def test_list_is_newest_first_over_all_pages(gmail: Gmail, sandbox: Sandbox, calls: Callable[..., int]) -> None:
    ids = [sandbox.write(subject=f"no {n}", body="x").id for n in range(1, 503)]
    assert gmail.list_message_ids("in:inbox") == ids[::-1]
    assert calls("/messages") == 2
    assert gmail.list_message_ids("in:inbox", limit=3) == ids[:-4:-1]
    assert gmail.list_message_ids("subject:nothing") == []


def test_added_since_tells_new_mail_oldest_first(gmail: Gmail, sandbox: Sandbox) -> None:
    sandbox.write(subject="before", body="x")
    start = gmail.history_id()
    ids = [sandbox.write(subject=f"after {n}", body="x").id for n in range(3)]
    gmail.modify_labels(ids[0], ["STARRED"])
    found, cursor = gmail.added_since(start)
    assert found == ids
    assert gmail.added_since(cursor) == ([], cursor)


def test_added_since_reads_every_page(gmail: Gmail, sandbox: Sandbox) -> None:
    start = gmail.history_id()
    ids = [sandbox.write(subject=f"no {n}", body="x").id for n in range(502)]
    found, cursor = gmail.added_since(start)
    assert found == ids
    assert gmail.added_since(cursor)[0] == []


def test_expired_history_is_said_so(gmail: Gmail, sandbox: Sandbox) -> None:
    sandbox.fault("history_expired")
    with pytest.raises(HistoryExpired) as caught:
        gmail.added_since("1000")
    assert caught.value.permanent


def test_history_failure_of_another_kind_is_not_an_expiry(gmail: Gmail, sandbox: Sandbox) -> None:
    sandbox.fault("overloaded", path="history")
    with pytest.raises(VendorError) as caught:
        gmail.added_since("1000")
    assert type(caught.value) is VendorError
    assert not caught.value.permanent


def test_draft_becomes_one_message_in_the_thread(gmail: Gmail, sandbox: Sandbox, mail: Delivered) -> None:
    draft_id = gmail.create_draft(answer(mail), mail.thread_id)
    assert gmail.draft_exists(draft_id)
    assert gmail.get_draft_message_id(draft_id)
    assert gmail.sent_with_header(mail.thread_id, ACTION, "a1") is None
    sent = gmail.send_draft(draft_id)
    assert sent.thread_id == mail.thread_id
    assert not gmail.draft_exists(draft_id)
    assert gmail.sent_with_header(mail.thread_id, ACTION, "a1") == sent
    assert gmail.sent_with_header(mail.thread_id, ACTION.lower(), "a1") == sent
    assert gmail.sent_with_header(mail.thread_id, ACTION, "a2") is None
    assert len(sandbox.sent()) == 1


def test_draft_that_was_sent_or_deleted_is_gone(gmail: Gmail, mail: Delivered) -> None:
    draft_id = gmail.create_draft(answer(mail), mail.thread_id)
    gmail.send_draft(draft_id)
    for gone in (draft_id, "r-never"):
        with pytest.raises(DraftGone):
            gmail.send_draft(gone)


def test_drafts_are_found_by_our_header(gmail: Gmail, sandbox: Sandbox, mail: Delivered) -> None:
    other = sandbox.write(subject="Other", body="x")
    gmail.create_draft(answer(other, "b1"), other.thread_id)
    draft_id = gmail.create_draft(answer(mail), mail.thread_id)
    (draft,) = gmail.drafts(mail.thread_id)
    assert (draft.id, draft.thread_id, draft.headers[ACTION.lower()]) == (draft_id, mail.thread_id, "a1")


def test_missing_thread_is_not_taken_for_unsent(gmail: Gmail) -> None:
    with pytest.raises(VendorError) as caught:
        gmail.sent_with_header("ffff", ACTION, "a1")
    assert (caught.value.permanent, caught.value.status) == (True, 404)


def test_missing_message_is_gone(gmail: Gmail) -> None:
    for call in (gmail.get_raw, gmail.labels_of, lambda gone: gmail.modify_labels(gone, ["STARRED"])):
        with pytest.raises(MessageGone):
            call("ffff")


def test_labels_can_be_put_on_twice(gmail: Gmail, mail: Delivered) -> None:
    label = gmail.ensure_label("Signoff/Lead")
    assert gmail.ensure_label("signoff/lead") == label
    for _ in range(2):
        gmail.modify_labels(mail.id, [label], ["INBOX"])
    labels = gmail.labels_of(mail.id)
    assert label in labels
    assert "INBOX" not in labels


def test_label_race_ends_with_one_label(gmail: Gmail, sandbox: Sandbox) -> None:
    start = threading.Barrier(8)

    def ensure(_: int) -> str:
        start.wait()
        return gmail.ensure_label("Signoff/Lead")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ensure, range(8)))) == 1
    assert sandbox.state()["labels"] == ["Signoff/Lead"]


@pytest.mark.parametrize("kind", ["reply_lost", "reset"])
def test_lost_reply_to_a_send_is_unknown_and_never_repeated(
    gmail: Gmail, sandbox: Sandbox, mail: Delivered, kind: Kind, calls: Callable[..., int]
) -> None:
    draft_id = gmail.create_draft(answer(mail), mail.thread_id)
    sandbox.fault(kind, path="drafts/send")
    with pytest.raises(VendorError) as caught:
        gmail.send_draft(draft_id)
    assert (caught.value.unknown, caught.value.permanent) == (True, False)
    assert calls("drafts/send") == 1
    # The caller's second look tells the two apart, and one e-mail is sent either way.
    if gmail.sent_with_header(mail.thread_id, ACTION, "a1") is None:
        gmail.send_draft(draft_id)
    assert len(sandbox.sent()) == 1


def test_lost_reply_to_a_draft_leaves_one_to_be_found(gmail: Gmail, sandbox: Sandbox, mail: Delivered) -> None:
    sandbox.fault("reply_lost", path="drafts", method="POST")
    with pytest.raises(VendorError) as caught:
        gmail.create_draft(answer(mail), mail.thread_id)
    assert caught.value.unknown
    assert len(gmail.drafts(mail.thread_id)) == 1


def test_lost_reply_to_a_read_can_be_retried(
    gmail: Gmail, sandbox: Sandbox, mail: Delivered, calls: Callable[..., int]
) -> None:
    gmail.check()
    sandbox.fault("reply_lost", path="messages", method="GET")
    with pytest.raises(VendorError) as caught:
        gmail.get_raw(mail.id)
    assert (caught.value.unknown, caught.value.permanent) == (False, False)
    assert calls(mail.id) == 1


def test_hanging_write_ends_at_the_timeout(
    connect_gmail: Callable[..., Gmail], sandbox: Sandbox, mail: Delivered
) -> None:
    gmail = connect_gmail(timeout_seconds=0.2)
    draft_id = gmail.create_draft(answer(mail), mail.thread_id)
    sandbox.fault("hang", path="drafts/send", seconds=30)
    with pytest.raises(VendorError, match="ReadTimeout") as caught:
        gmail.send_draft(draft_id)
    assert caught.value.unknown


def test_unreachable_vendor_did_nothing(connect_gmail: Callable[..., Gmail]) -> None:
    gmail = connect_gmail(address="http://127.0.0.1:9/")
    with pytest.raises(VendorError, match="could not connect") as caught:
        gmail.create_draft(b"x", "t")
    assert (caught.value.unknown, caught.value.permanent) == (False, False)


@pytest.mark.parametrize(
    ("kind", "status", "permanent", "unknown", "retry_after"),
    [
        ("rate_limited", 429, False, False, 7),
        ("overloaded", 503, False, True, 7),
        ("server_error", 500, False, True, None),
        ("bad_gateway", 502, False, True, None),
    ],
)
def test_refused_write(
    gmail: Gmail,
    sandbox: Sandbox,
    mail: Delivered,
    kind: Kind,
    status: int,
    permanent: bool,
    unknown: bool,
    retry_after: float | None,
    calls: Callable[..., int],
) -> None:
    sandbox.fault(kind, path="drafts", retry_after=retry_after)
    with pytest.raises(VendorError) as caught:
        gmail.create_draft(answer(mail), mail.thread_id)
    error = caught.value
    assert (error.status, error.permanent, error.unknown) == (status, permanent, unknown)
    assert error.retry_after == retry_after
    assert "<" not in str(error)
    assert calls("/drafts") == 1


def answered_by(gmail: Gmail, handler: Callable[[httpx.Request], httpx.Response]) -> Gmail:
    """The block, with a Google that plays what the sandbox does not."""
    credentials = Credentials(token="ya29.alive")  # type: ignore[no-untyped-call]
    client = httpx.Client(transport=httpx.MockTransport(handler))
    gmail._http.get(lambda: GoogleHttp(credentials, client, Failures("gmail")))
    return gmail


@pytest.mark.parametrize(
    ("reason", "permanent"),
    [("userRateLimitExceeded", False), ("rateLimitExceeded", False), ("insufficientPermissions", True)],
)
def test_403_is_a_rate_limit_or_a_missing_permission(gmail: Gmail, reason: str, permanent: bool) -> None:
    error = {"code": 403, "message": "No.", "errors": [{"reason": reason}], "status": "PERMISSION_DENIED"}
    with pytest.raises(VendorError) as caught:
        answered_by(gmail, lambda _: httpx.Response(403, json={"error": error})).history_id()
    assert (caught.value.permanent, caught.value.status) == (permanent, 403)


def test_mail_that_arrives_between_two_pages_is_asked_for_again(gmail: Gmail) -> None:
    def history(request: httpx.Request) -> httpx.Response:
        first = "pageToken" not in request.url.params
        added = [{"message": {"id": "m1" if first else "m2"}}]
        page = {"history": [{"messagesAdded": added}], "historyId": "10" if first else "12"}
        return httpx.Response(200, json=page | ({"nextPageToken": "2"} if first else {}))

    assert answered_by(gmail, history).added_since("5") == (["m1", "m2"], "10")


def test_the_inbox_is_watched_for_seven_days(gmail: Gmail, sandbox: Sandbox) -> None:
    until = gmail.watch("projects/p/topics/t")
    assert timedelta(days=7, minutes=-5) < until - datetime.now(UTC) <= timedelta(days=7)
    with pytest.raises(VendorError, match="call /stop then try again") as caught:
        gmail.watch("projects/p/topics/other")
    assert (caught.value.permanent, caught.value.status) == (True, 400)
    gmail.stop_watch()
    gmail.stop_watch()
    sandbox.fault("topic_forbidden")
    with pytest.raises(VendorError, match="User not authorized to perform this action") as caught:
        gmail.watch("projects/p/topics/other")
    assert (caught.value.permanent, caught.value.status) == (True, 403)
    assert gmail.watch("projects/p/topics/other") >= until


def test_expired_access_token_is_renewed_once(
    gmail: Gmail, sandbox: Sandbox, mail: Delivered, calls: Callable[..., int]
) -> None:
    gmail.get_raw(mail.id)
    sandbox.expire_google_tokens()
    assert gmail.get_raw(mail.id).id == mail.id
    assert calls("/token") == 2


def test_refused_credential_is_permanent_and_names_the_way_out(
    gmail: Gmail, sandbox: Sandbox, mail: Delivered, calls: Callable[..., int]
) -> None:
    sandbox.fault("unauthorized", path="messages", times=None)
    with pytest.raises(VendorError, match="connect the Google account again") as caught:
        gmail.get_raw(mail.id)
    assert (caught.value.permanent, caught.value.status) == (True, 401)
    assert calls(mail.id) == 2


def test_revoked_refresh_token_is_permanent_and_names_the_way_out(gmail: Gmail, sandbox: Sandbox) -> None:
    sandbox.fault("invalid_grant")
    with pytest.raises(VendorError, match=r"invalid_grant.*connect the Google account again") as caught:
        gmail.history_id()
    assert (caught.value.permanent, caught.value.status) == (True, 401)


def test_wrong_client_secret_says_what_to_check(connect_gmail: Callable[..., Gmail]) -> None:
    gmail = connect_gmail(client_secret=SecretStr("planted-secret"))
    with pytest.raises(VendorError, match="check the OAuth client's id and secret") as caught:
        gmail.history_id()
    assert caught.value.permanent


@pytest.mark.parametrize("kind", ["overloaded", "reply_lost", "rate_limited"])
def test_token_endpoint_in_trouble_is_left_to_prefect(
    gmail: Gmail, sandbox: Sandbox, kind: Kind, calls: Callable[..., int]
) -> None:
    sandbox.fault(kind, path="token", retry_after=9 if kind == "rate_limited" else None)
    with pytest.raises(VendorError) as caught:
        gmail.history_id()
    assert not caught.value.permanent
    assert caught.value.retry_after == (9 if kind == "rate_limited" else None)
    assert calls("/token") == 1


def test_eight_threads_each_get_their_own_message(gmail: Gmail, sandbox: Sandbox, calls: Callable[..., int]) -> None:
    ids = [sandbox.write(subject=f"no {n}", body=f"body {n}").id for n in range(40)]

    def right(number: int) -> bool:
        raw = gmail.get_raw(ids[number]).raw
        return BytesParser().parsebytes(raw)["Subject"] == f"no {number}"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, list(range(40)) * 4))
    assert calls("/token") == 1


def test_eight_threads_share_one_renewal(gmail: Gmail, calls: Callable[..., int]) -> None:
    gmail.check()
    http = gmail._http.get(gmail._build_http)
    stale = http.renew()
    before = calls("/token")
    with ThreadPoolExecutor(8) as pool:
        fresh = set(pool.map(lambda _: http.renew(stale), range(8)))
    assert len(fresh - {stale}) == len(fresh) == 1
    assert calls("/token") == before + 1


def test_secrets_are_in_no_error_and_no_repr(connect_gmail: Callable[..., Gmail], sandbox: Sandbox) -> None:
    gmail = connect_gmail(refresh_token=SecretStr("planted-refresh"))
    with pytest.raises(VendorError) as caught:
        gmail.check()
    sandbox.fault("bad_gateway", path="profile")
    fine = connect_gmail()
    with pytest.raises(VendorError) as also:
        fine.check()
    errors = "".join(format_exception(caught.value) + format_exception(also.value))
    shown = f"{gmail!r} {fine!r} {errors} {vars(caught.value)} {gmail.model_dump()}"
    for secret in ("planted-refresh", credentials.GOOGLE_CLIENT_SECRET, credentials.GOOGLE_REFRESH_TOKEN, "ya29"):
        assert secret not in shown


def test_block_travels_after_use(gmail: Gmail) -> None:
    gmail.check()
    for other in (copy.deepcopy(gmail), pickle.loads(pickle.dumps(gmail))):
        assert other.check() == gmail.check()


def test_a_message_of_its_own_is_found_by_our_header(gmail: Gmail, sandbox: Sandbox, mail: Delivered) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    draft = gmail.create_draft(answer(mail, "alone"))
    assert [found.id for found in gmail.drafts() if found.headers["x-signoff-action"] == "alone"] == [draft]
    assert gmail.sent_to("ann@sender.example", since, ACTION, "alone") is None
    gmail.update_draft(draft, answer(mail, "alone"))
    sent = gmail.send_draft(draft)
    assert gmail.sent_to("ann@sender.example", since, ACTION, "alone") == sent
    assert gmail.sent_to("ann@sender.example", since, ACTION, "other") is None
    assert gmail.sent_to("bob@sender.example", since, ACTION, "alone") is None
    assert gmail.sent_to("ann@sender.example", since + timedelta(days=1), ACTION, "alone") is None
    assert len(sandbox.sent()) == 1

"""Gmail v1 and Google's token endpoint, in Google's words."""

from __future__ import annotations

import base64
import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import credentials, mime
from sandbox.google_consent import Consent, Consents, lifetime
from sandbox.mail_query import UnknownOperator, compile_query, looks_everywhere
from sandbox.mailbox import FIXED_LABELS, Change, Label, Mail, Mailbox, Push
from sandbox.wire import Ask, Json, Refused, endpoint, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

TOKEN_SECONDS = 3599
PUSH_SECONDS = 7 * 24 * 3600
"""How long Gmail goes on telling of changes after each call of users.watch."""

TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")
HISTORY_KEYS = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}
Handler = Callable[[Mailbox, Ask], Json | None]


# Tokens


class Tokens:
    """The access tokens that were handed out, when each ends, and what it may do."""

    def __init__(self) -> None:
        """Hand out none yet."""
        self._ends: dict[str, float] = {}
        self._consents: dict[str, Consent] = {}
        self._numbers = itertools.count(1)

    def grant(self, consent: Consent) -> str:
        """Return a new access token."""
        token = f"ya29.sandbox-{next(self._numbers)}"
        self._ends[token] = time.monotonic() + TOKEN_SECONDS
        self._consents[token] = consent
        return token

    def accepts(self, token: str) -> bool:
        """Say whether a bearer is ours and alive."""
        return self._ends.get(token, 0) > time.monotonic()

    def check(self, request: Request, api: str) -> None:
        """Refuse a bearer that is not ours and alive, or has no scope for `api`, such as `gmail`."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.accepts(bearer):
            raise unauthorized()
        named = (scope.replace("mail.google.com", "gmail").rstrip("/") for scope in self._consents[bearer].scopes)
        if not any(scope.rpartition("/")[2].startswith(api) for scope in named):
            raise out_of_scope()

    def account(self, headers: Headers) -> str | None:
        """Return whose a bearer is; None is the company's own."""
        return self._consents[headers["authorization"].partition(" ")[2]].account

    def expire(self) -> None:
        """End every token now; the refresh token goes on working."""
        self._ends.clear()


def token(tokens: Tokens, consents: Consents, ask: Ask) -> Json:
    """Exchange a refresh token, or the code from the consent page, for an access token."""
    client = (ask.body.get("client_id"), ask.body.get("client_secret"))
    if client != (credentials.GOOGLE_CLIENT_ID, credentials.GOOGLE_CLIENT_SECRET):
        raise Refused(401, {"error": "invalid_client", "error_description": "The OAuth client was not found."})
    if ask.body.get("grant_type") not in ("refresh_token", "authorization_code"):
        raise Refused(400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"})
    if ask.body["grant_type"] == "authorization_code":
        consent, refresh_token = consents.exchange(ask)
    else:
        consent, refresh_token = consents.of(ask.body.get("refresh_token")) or Consent(None, ()), None
    if ask.meets("invalid_grant") or not consent.scopes:
        raise Refused(400, INVALID_GRANT)
    given: Json = {
        "access_token": tokens.grant(consent),
        "expires_in": TOKEN_SECONDS,
        "scope": " ".join(consent.scopes),
        "token_type": "Bearer",
    }
    return given | ({"refresh_token": refresh_token} if refresh_token else {}) | lifetime(consent)


INVALID_GRANT = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}


# Errors


def error(code: int, status: str, message: str, reason: str, domain: str = "global") -> Refused:
    """Return a refusal in Google's error JSON."""
    detail = {"message": message, "domain": domain, "reason": reason}
    return Refused(code, {"error": {"code": code, "message": message, "errors": [detail], "status": status}})


def invalid(message: str) -> Refused:
    """Return a 400."""
    return error(400, "INVALID_ARGUMENT", message, "invalidArgument")


def missing() -> Refused:
    """Return the 404 that Gmail gives for anything it does not have."""
    return error(404, "NOT_FOUND", "Requested entity was not found.", "notFound")


def unauthorized() -> Refused:
    """Return the 401 for a bearer that is wrong or too old."""
    refusal = error(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        "other valid authentication credential. See "
        "https://developers.google.com/identity/sign-in/web/devconsole-project.",
        "authError",
    )
    detail = {"message": "Invalid Credentials", "location": "Authorization", "locationType": "header"}
    refusal.body["error"]["errors"][0] |= detail
    return refusal


def out_of_scope() -> Refused:
    """Return the 403 for a bearer that may not use this API."""
    message = "Request had insufficient authentication scopes."
    refusal = error(403, "PERMISSION_DENIED", message, "insufficientPermissions")
    refusal.body["error"]["errors"][0]["message"] = "Insufficient Permission"
    return refusal


def fault_reply(kind: str, retry_after: float | None) -> Response:
    """Return what Google says when it is not well."""
    match kind:
        case "rate_limited":
            refusal = error(429, "RESOURCE_EXHAUSTED", "User-rate limit exceeded.", "rateLimitExceeded", "usageLimits")
        case "unauthorized":
            refusal = unauthorized()
        case "overloaded":
            refusal = error(503, "UNAVAILABLE", "The service is currently unavailable.", "backendError")
        case "bad_request":
            refusal = error(400, "FAILED_PRECONDITION", "Precondition check failed.", "failedPrecondition")
        case _:
            refusal = error(500, "INTERNAL", "Internal error encountered.", "backendError")
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return json_reply(refusal.body, refusal.status, headers)


# Messages


def brief(mail: Mail) -> Json:
    """Return a message as replies to changes show it."""
    return {"id": mail.id, "threadId": mail.thread_id, "labelIds": list(mail.labels)}


def shown(mail: Mail, fmt: str, only_headers: list[str] | None = None) -> Json:
    """Return a message in one of Gmail's four formats."""
    view = brief(mail) | {
        "snippet": mail.snippet,
        "historyId": str(mail.history_id),
        "internalDate": str(mail.internal_date),
        "sizeEstimate": len(mail.raw),
    }
    match fmt.lower():
        case "full":
            view["payload"] = mime.payload(mail.message, mail.id)
        case "metadata":
            listed = mime.header_list(mail.message, only_headers)
            view["payload"] = {"mimeType": mail.message.get_content_type(), "headers": listed}
        case "raw":
            view["raw"] = mime.encode(mail.raw)
        case "minimal":
            pass
        case _:
            raise invalid(f"Invalid value at 'format' (type.googleapis.com/gmail.Format), \"{fmt}\"")
    return view


def profile(box: Mailbox, _ask: Ask) -> Json:
    """users.getProfile."""
    return {
        "emailAddress": box.address,
        "messagesTotal": len(box.mails),
        "threadsTotal": len({mail.thread_id for mail in box.mails.values()}),
        "historyId": str(box.history_id),
    }


def list_messages(box: Mailbox, ask: Ask) -> Json:
    """users.messages.list."""
    page, after = cut(matching(box, ask), ask)
    listed = [{"id": mail.id, "threadId": mail.thread_id} for mail in page]
    return compact({"messages": listed, "nextPageToken": after}) | {"resultSizeEstimate": len(page)}


def get_message(box: Mailbox, ask: Ask) -> Json:
    """users.messages.get."""
    return shown(mail_of(box, ask.path["id"]), ask.query.get("format", "full"), ask.many("metadataHeaders"))


def get_attachment(box: Mailbox, ask: Ask) -> Json:
    """users.messages.attachments.get."""
    mail = mail_of(box, ask.path["messageId"])
    data = mime.attachment(mail.message, mail.id, ask.path["id"])
    if data is None:
        raise invalid("Invalid attachment token")
    return {"size": len(data), "data": mime.encode(data)}


def modify_message(box: Mailbox, ask: Ask) -> Json:
    """users.messages.modify."""
    mail = mail_of(box, ask.path["id"])
    box.relabel(mail, *label_changes(box, ask))
    return brief(mail)


def batch_modify(box: Mailbox, ask: Ask) -> None:
    """users.messages.batchModify; ids that are gone are passed over, as Gmail does."""
    changes = label_changes(box, ask)
    for mail_id in ask.body.get("ids", []):
        if mail := box.mails.get(mail_id):
            box.relabel(mail, *changes)


def send_message(box: Mailbox, ask: Ask) -> Json:
    """users.messages.send."""
    raw, thread_id = outgoing(box, ask.body)
    return brief(box.send(with_recipient(raw), thread_id, rewrite_id=ask.meets("message_id_rewrite")))


def trash_message(box: Mailbox, ask: Ask) -> Json:
    """users.messages.trash."""
    mail = mail_of(box, ask.path["id"])
    box.relabel(mail, ("TRASH",), ("INBOX",))
    return brief(mail)


def untrash_message(box: Mailbox, ask: Ask) -> Json:
    """users.messages.untrash."""
    mail = mail_of(box, ask.path["id"])
    box.relabel(mail, (), ("TRASH",))
    return brief(mail)


def delete_message(box: Mailbox, ask: Ask) -> None:
    """users.messages.delete."""
    box.delete(mail_of(box, ask.path["id"]))


def mail_of(box: Mailbox, mail_id: str) -> Mail:
    """Return a message or refuse."""
    if mail := box.mails.get(mail_id):
        return mail
    raise missing()


def matching(box: Mailbox, ask: Ask) -> list[Mail]:
    """Return the messages that a list call asks for, newest first."""
    query, wanted = ask.query.get("q", ""), set(ask.many("labelIds"))
    try:
        test = compile_query(query, box)
    except UnknownOperator as unknown:
        raise invalid(str(unknown)) from unknown
    hidden = set() if everywhere(ask, query, wanted) else {"TRASH", "SPAM"}
    return [
        mail
        for mail in box.newest_first()
        if wanted <= set(mail.labels) and not hidden & set(mail.labels) and test(mail)
    ]


def everywhere(ask: Ask, query: str, wanted: set[str]) -> bool:
    """Say whether trash and spam belong in the answer."""
    asked = ask.query.get("includeSpamTrash", "").lower() == "true"
    return asked or looks_everywhere(query) or bool(wanted & {"TRASH", "SPAM"})


def cut(mails: list[Mail], ask: Ask) -> tuple[list[Mail], str | None]:
    """Return a page. The token names the last message seen, so mail that arrives meanwhile moves nothing."""
    size = ask.number("maxResults", 100, 500)
    if page_token := ask.query.get("pageToken"):
        date, mail_id = read_page_token(page_token)
        mails = [mail for mail in mails if (mail.internal_date, mail.id) < (date, mail_id)]
    page = mails[:size]
    more = len(mails) > size
    return page, page_token_for(f"{page[-1].internal_date}:{page[-1].id}") if more else None


def page_token_for(text: str) -> str:
    """Return an opaque token."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_page_token(page_token: str) -> tuple[int, str]:
    """Read a token that `page_token_for` made."""
    try:
        date, _, mail_id = base64.urlsafe_b64decode(page_token).decode().partition(":")
        return int(date), mail_id
    except ValueError as bad:
        raise invalid("Invalid pageToken") from bad


def label_changes(box: Mailbox, ask: Ask) -> tuple[list[str], list[str]]:
    """Return the labels to add and to remove, all of which must exist and may change."""
    add, remove = ask.body.get("addLabelIds", []), ask.body.get("removeLabelIds", [])
    for label in [*add, *remove]:
        if label not in box.labels or label in FIXED_LABELS:
            raise invalid(f"Invalid label: {label}")
    return add, remove


def outgoing(box: Mailbox, message: Json) -> tuple[bytes, str | None]:
    """Return the bytes to send and the thread they were meant for."""
    thread_id = message.get("threadId")
    if thread_id and not box.thread(thread_id):
        raise missing()
    if not message.get("raw"):
        raise invalid("'raw' RFC822 payload message string or uploading message via /upload/* URL required")
    try:
        return mime.decode(message["raw"]), thread_id
    except ValueError as bad:
        raise invalid("Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed") from bad


def with_recipient(raw: bytes) -> bytes:
    """Refuse a message that goes to nobody."""
    if not mime.addresses(mime.parse(raw), "To", "Cc", "Bcc"):
        raise invalid("Recipient address required")
    return raw


def compact(body: Json) -> Json:
    """Drop what is empty: Gmail leaves out a list that has nothing in it."""
    return {key: value for key, value in body.items() if value not in (None, [])}


# Threads


def list_threads(box: Mailbox, ask: Ask) -> Json:
    """users.threads.list."""
    latest = {mail.thread_id: mail for mail in reversed(matching(box, ask))}
    newest = sorted(latest.values(), key=lambda mail: (mail.internal_date, mail.id), reverse=True)
    page, after = cut(newest, ask)
    listed = [
        {"id": mail.thread_id, "snippet": mail.snippet, "historyId": thread_history(box, mail.thread_id)}
        for mail in page
    ]
    return compact({"threads": listed, "nextPageToken": after}) | {"resultSizeEstimate": len(page)}


def get_thread(box: Mailbox, ask: Ask) -> Json:
    """users.threads.get."""
    fmt, only = ask.query.get("format", "full"), ask.many("metadataHeaders")
    messages = [shown(mail, fmt, only) for mail in thread_of(box, ask)]
    thread_id = ask.path["id"]
    return {"id": thread_id, "historyId": thread_history(box, thread_id), "messages": messages}


def modify_thread(box: Mailbox, ask: Ask) -> Json:
    """users.threads.modify."""
    changes = label_changes(box, ask)
    thread = thread_of(box, ask)
    for mail in thread:
        box.relabel(mail, *changes)
    return {"id": ask.path["id"], "messages": [brief(mail) for mail in thread]}


def thread_of(box: Mailbox, ask: Ask) -> list[Mail]:
    """Return a thread's messages or refuse."""
    if thread := box.thread(ask.path["id"]):
        return thread
    raise missing()


def thread_history(box: Mailbox, thread_id: str) -> str:
    """Return the id of the thread's last change."""
    return str(max(mail.history_id for mail in box.thread(thread_id)))


# History


def list_history(box: Mailbox, ask: Ask) -> Json:
    """users.history.list."""
    start = ask.query.get("startHistoryId", "")
    if not start.isdigit():
        raise invalid("Invalid value at 'start_history_id' (TYPE_UINT64)")
    if ask.meets("history_expired") or int(start) < box.oldest_history_id:
        raise missing()
    wanted = changes_for(ask)
    passed = int(ask.query.get("pageToken") or start)
    found = [change for change in box.history if change.id > max(passed, int(start)) and wanted(change)]
    size = ask.number("maxResults", 100, 500)
    after = str(found[size - 1].id) if len(found) > size else None
    entries = [history_entry(change) for change in found[:size]]
    return compact({"history": entries, "nextPageToken": after}) | {"historyId": str(box.history_id)}


def changes_for(ask: Ask) -> Callable[[Change], bool]:
    """Return the test for `historyTypes` and `labelId`."""
    kinds, label = ask.many("historyTypes"), ask.query.get("labelId")
    if unknown := set(kinds) - set(HISTORY_KEYS):
        raise invalid(f"Invalid value at 'history_types': {sorted(unknown)}")
    return lambda change: (
        (not kinds or change.kind in kinds) and (not label or label in change.labels or label in change.labels_after)
    )


def history_entry(change: Change) -> Json:
    """Return one change as Gmail tells it."""
    message = {"id": change.mail_id, "threadId": change.thread_id}
    told: Json = {"message": message | {"labelIds": list(change.labels_after)}}
    if change.labels:
        told["labelIds"] = list(change.labels)
    return {"id": str(change.id), "messages": [message], HISTORY_KEYS[change.kind]: [told]}


# Labels


def label_view(label: Label) -> Json:
    """Return a label as lists show it."""
    view: Json = {"id": label.id, "name": label.name, "type": "system" if label.system else "user"}
    if not label.system:
        view |= {"messageListVisibility": label.message_list, "labelListVisibility": label.label_list}
    return view | ({"color": label.color} if label.color else {})


def list_labels(box: Mailbox, _ask: Ask) -> Json:
    """users.labels.list."""
    return {"labels": [label_view(label) for label in box.labels.values()]}


def get_label(box: Mailbox, ask: Ask) -> Json:
    """users.labels.get."""
    label = label_of(box, ask)
    mails = [mail for mail in box.mails.values() if label.id in mail.labels]
    unread = [mail for mail in mails if "UNREAD" in mail.labels]
    return label_view(label) | {
        "messagesTotal": len(mails),
        "messagesUnread": len(unread),
        "threadsTotal": len({mail.thread_id for mail in mails}),
        "threadsUnread": len({mail.thread_id for mail in unread}),
    }


def create_label(box: Mailbox, ask: Ask) -> Json:
    """users.labels.create."""
    label = box.add_label(free_name(box, ask.body.get("name")))
    return change_label(label, ask.body)


def update_label(box: Mailbox, ask: Ask) -> Json:
    """users.labels.update and users.labels.patch."""
    label = user_label(box, ask)
    if ask.body.get("name", label.name) != label.name:
        label.name = free_name(box, ask.body["name"])
    return change_label(label, ask.body)


def delete_label(box: Mailbox, ask: Ask) -> None:
    """users.labels.delete."""
    box.remove_label(user_label(box, ask))


def change_label(label: Label, body: Json) -> Json:
    """Take over the settings that the caller may set."""
    label.message_list = body.get("messageListVisibility", label.message_list)
    label.label_list = body.get("labelListVisibility", label.label_list)
    label.color = body.get("color", label.color)
    return label_view(label)


def free_name(box: Mailbox, name: Any) -> str:
    """Return a name that a label may have."""
    if not isinstance(name, str) or not name.strip() or name.upper() in FIXED_LABELS | {"INBOX", "TRASH", "SPAM"}:
        raise invalid("Invalid label name")
    if any(label.name.lower() == name.lower() for label in box.labels.values()):
        raise error(409, "ABORTED", "Label name exists or conflicts", "aborted")
    return name


def label_of(box: Mailbox, ask: Ask) -> Label:
    """Return a label or refuse."""
    if label := box.labels.get(ask.path["id"]):
        return label
    raise missing()


def user_label(box: Mailbox, ask: Ask) -> Label:
    """Return a label that may be changed, or refuse."""
    label = label_of(box, ask)
    if label.system:
        raise invalid("Invalid update request")
    return label


# Drafts


def draft_view(box: Mailbox, draft_id: str, fmt: str = "") -> Json:
    """Return a draft; without a format its message is only named."""
    mail = box.mails[box.drafts[draft_id]]
    return {"id": draft_id, "message": shown(mail, fmt) if fmt else brief(mail)}


def create_draft(box: Mailbox, ask: Ask) -> Json:
    """users.drafts.create."""
    return draft_view(box, box.draft(*outgoing(box, ask.body.get("message", {}))))


def get_draft(box: Mailbox, ask: Ask) -> Json:
    """users.drafts.get."""
    return draft_view(box, draft_of(box, ask.path["id"]), ask.query.get("format", "full"))


def list_drafts(box: Mailbox, ask: Ask) -> Json:
    """users.drafts.list."""
    holder = {mail_id: draft_id for draft_id, mail_id in box.drafts.items()}
    page, after = cut([mail for mail in matching(box, ask) if mail.id in holder], ask)
    listed = [{"id": holder[mail.id], "message": {"id": mail.id, "threadId": mail.thread_id}} for mail in page]
    return compact({"drafts": listed, "nextPageToken": after}) | {"resultSizeEstimate": len(page)}


def update_draft(box: Mailbox, ask: Ask) -> Json:
    """users.drafts.update."""
    draft_id = draft_of(box, ask.path["id"])
    box.redraft(draft_id, *outgoing(box, ask.body.get("message", {})))
    return draft_view(box, draft_id)


def delete_draft(box: Mailbox, ask: Ask) -> None:
    """users.drafts.delete."""
    box.discard(draft_of(box, ask.path["id"]))


def send_draft(box: Mailbox, ask: Ask) -> Json:
    """users.drafts.send; a message in the body replaces the draft's first."""
    draft_id = draft_of(box, ask.body.get("id", ""))
    if ask.body.get("message", {}).get("raw"):
        box.redraft(draft_id, *outgoing(box, ask.body["message"]))
    with_recipient(box.mails[box.drafts[draft_id]].raw)
    return brief(box.send_draft(draft_id, rewrite_id=ask.meets("message_id_rewrite")))


def draft_of(box: Mailbox, draft_id: str) -> str:
    """Return a draft's id or refuse."""
    if draft_id in box.drafts:
        return draft_id
    raise missing()


# Push


def watch(box: Mailbox, ask: Ask) -> Json:
    """users.watch. A mailbox has one topic at a time; the same one again counts its days afresh. Nothing is pushed."""
    topic = str(ask.body.get("topicName", ""))
    if not TOPIC.fullmatch(topic):
        raise invalid("Invalid topicName does not match projects/sandbox/topics/*")
    if unknown := [label for label in ask.body.get("labelIds", []) if label not in box.labels]:
        raise invalid(f"Invalid label: {unknown[0]}")
    if ask.meets("topic_forbidden"):
        said = f"Error sending test message to Cloud PubSub {topic} : User not authorized to perform this action."
        raise error(403, "PERMISSION_DENIED", said, "forbidden")
    now = int(time.time() * 1000)
    if box.push and box.push.ends_ms > now and box.push.topic != topic:
        said = "Only one user push notification client allowed per developer (call /stop then try again)"
        raise error(400, "FAILED_PRECONDITION", said, "failedPrecondition")
    box.push = Push(topic, now + PUSH_SECONDS * 1000)
    return {"historyId": str(box.history_id), "expiration": str(box.push.ends_ms)}


def stop(box: Mailbox, _ask: Ask) -> None:
    """users.stop; where nothing is watched, it changes nothing."""
    box.push = None


# The table: ids, methods and paths are those of Google's discovery document, and a test compares them.

OPERATIONS: tuple[tuple[str, str, str, Handler], ...] = (
    ("getProfile", "GET", "profile", profile),
    ("watch", "POST", "watch", watch),
    ("stop", "POST", "stop", stop),
    ("messages.list", "GET", "messages", list_messages),
    ("messages.get", "GET", "messages/{id}", get_message),
    ("messages.attachments.get", "GET", "messages/{messageId}/attachments/{id}", get_attachment),
    ("messages.modify", "POST", "messages/{id}/modify", modify_message),
    ("messages.batchModify", "POST", "messages/batchModify", batch_modify),
    ("messages.send", "POST", "messages/send", send_message),
    ("messages.trash", "POST", "messages/{id}/trash", trash_message),
    ("messages.untrash", "POST", "messages/{id}/untrash", untrash_message),
    ("messages.delete", "DELETE", "messages/{id}", delete_message),
    ("threads.list", "GET", "threads", list_threads),
    ("threads.get", "GET", "threads/{id}", get_thread),
    ("threads.modify", "POST", "threads/{id}/modify", modify_thread),
    ("history.list", "GET", "history", list_history),
    ("labels.list", "GET", "labels", list_labels),
    ("labels.get", "GET", "labels/{id}", get_label),
    ("labels.create", "POST", "labels", create_label),
    ("labels.update", "PUT", "labels/{id}", update_label),
    ("labels.patch", "PATCH", "labels/{id}", update_label),
    ("labels.delete", "DELETE", "labels/{id}", delete_label),
    ("drafts.create", "POST", "drafts", create_draft),
    ("drafts.get", "GET", "drafts/{id}", get_draft),
    ("drafts.list", "GET", "drafts", list_drafts),
    ("drafts.update", "PUT", "drafts/{id}", update_draft),
    ("drafts.send", "POST", "drafts/send", send_draft),
    ("drafts.delete", "DELETE", "drafts/{id}", delete_draft),
)


def routes(world: World, tokens: Tokens) -> Iterator[Route]:
    """Yield Google's routes, relative to `/google`."""

    def check(request: Request) -> None:
        tokens.check(request, "gmail")
        mine = world.mail_of(tokens.account(request.headers)).address.lower()
        if request.path_params["userId"].lower() not in ("me", mine):
            raise error(403, "PERMISSION_DENIED", "Delegation denied for the sandbox", "forbidden")

    def bad_json() -> Refused:
        return invalid("Invalid JSON payload received.")

    def on_mailbox(handler: Handler) -> Callable[[Ask], Json | None]:
        return lambda ask: handler(world.mail_of(tokens.account(ask.headers)), ask)

    def exchange(ask: Ask) -> Json:
        return token(tokens, world.consents, ask)

    yield Route("/token", endpoint(exchange, lambda _: None, bad_json), methods=["POST"])
    for _, method, path, handler in OPERATIONS:
        serve = endpoint(on_mailbox(handler), check, bad_json)
        yield Route(f"/gmail/v1/users/{{userId}}/{path}", serve, methods=[method])

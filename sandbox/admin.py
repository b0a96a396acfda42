"""The sandbox's own API: deliver mail, ask for faults, script the model, look at everything."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import mime, notion
from sandbox.anthropic import Reply
from sandbox.crm import Thing, iso
from sandbox.crm_schema import MODIFIED
from sandbox.drive_admin import item_view
from sandbox.faults import Fault
from sandbox.mailbox import Mail
from sandbox.stripe_seed import fill_books
from sandbox.wire import Json, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

REPLIES = TypeAdapter(list[Reply])


def mail_view(mail: Mail) -> Json:
    """Return a message as a person would look at it."""
    message = mail.message
    shown = {name.lower(): mime.header(message, name) for name in ("From", "To", "Cc", "Subject", "Date")}
    return shown | {
        "id": mail.id,
        "thread_id": mail.thread_id,
        "labels": list(mail.labels),
        "message_id": mail.message_id,
        "in_reply_to": mime.header(message, "In-Reply-To"),
        "at": mail.internal_date / 1000,
        "body": mime.text(message).strip(),
        "headers": mime.headers(message),
    }


def thing_view(world: World, thing: Thing) -> Json:
    """Return a CRM object with all that it has."""
    linked = {kind: [other.id for other, _ in world.crm.linked(thing, kind)] for kind in MODIFIED}
    return {
        "id": thing.id,
        "properties": {name: value for name, value in thing.properties.items() if value is not None},
        "associations": {kind: ids for kind, ids in linked.items() if ids},
        "created_at": iso(thing.created),
        "updated_at": iso(thing.updated),
    }


def state(world: World) -> Json:
    """Return everything there is, the newest mail first."""
    mails = world.mail.newest_first()
    everything: Json = {
        "company": world.name,
        "mailbox": world.mail.address,
        "sent": [mail_view(mail) for mail in mails if "SENT" in mail.labels],
        "inbox": [mail_view(mail) for mail in mails if "INBOX" in mail.labels],
        "drafts": [
            {"draft_id": draft_id} | mail_view(world.mail.mails[mail_id])
            for draft_id, mail_id in world.mail.drafts.items()
        ],
        "labels": [label.name for label in world.mail.labels.values() if not label.system],
        "label_names": {label.id: label.name for label in world.mail.labels.values() if not label.system},
        "slack": [
            {"channel": channel.name, "channel_id": channel.id} | message
            for channel in world.slack.channels
            for message in channel.messages
        ],
        "slack_whispers": [whisper for channel in world.slack.channels for whisper in channel.whispers],
        "notion": [notion.view(world.notion, page) for page in world.notion.pages.values()],
        "drive": [item_view(world.drive, item) for item in world.drive.items.values() if item.parent is not None],
        "model_calls": list(world.model.calls),
    }
    for kind in ("customer", "invoice", "charge", "refund", "credit_note", "subscription"):
        everything[f"stripe_{kind}s"] = list(world.stripe.all(kind))
    for kind in MODIFIED:
        everything[kind] = [thing_view(world, thing) for thing in world.crm.live(kind)]
    counts = {name: len(value) for name, value in everything.items() if isinstance(value, list)}
    return everything | {"counts": counts | {"model_calls": world.model.made, "messages": len(mails)}}


def written(fields: Json, mailbox: str) -> bytes:
    """Return a message made from simple fields."""
    message = EmailMessage()
    message["From"] = fields.get("from", "someone@example.com")
    message["To"] = fields.get("to", mailbox)
    message["Subject"] = fields.get("subject", "")
    message["Date"] = fields.get("date") or formatdate(localtime=False)
    message["Message-ID"] = fields.get("message_id") or make_msgid(domain="sender.example")
    if answered := fields.get("in_reply_to"):
        message["In-Reply-To"] = answered
        message["References"] = fields.get("references", answered)
    message.set_content(fields.get("body", ""))
    if rich := fields.get("html"):
        message.add_alternative(rich, subtype="html")
    return message.as_bytes()


def routes(world: World) -> Iterator[Route]:
    """Yield the admin routes, relative to `/sandbox`."""

    async def show_state(_request: Request) -> Response:
        return json_reply(state(world))

    async def deliver(request: Request) -> Response:
        as_json = request.headers.get("content-type", "").startswith("application/json")
        fields: Json = await request.json() if as_json else {}
        raw = written(fields, world.mail.address) if as_json else await request.body()
        mail = world.mail.deliver(raw, (fields.get("label", "INBOX"), "UNREAD"))
        return json_reply({"id": mail.id, "thread_id": mail.thread_id, "message_id": mail.message_id}, 201)

    async def archive(_request: Request) -> Response:
        for mail in world.mail.newest_first():
            world.mail.relabel(mail, (), ("INBOX",))
        return Response(status_code=204)

    async def add_fault(request: Request) -> Response:
        try:
            fault = Fault.model_validate(await request.json())
        except ValidationError as error:
            return complaint(error)
        return json_reply(world.faults.add(fault).model_dump(), 201)

    async def list_faults(_request: Request) -> Response:
        return json_reply({"faults": [fault.model_dump() for fault in world.faults.faults]})

    async def remove_faults(request: Request) -> Response:
        number = request.query_params.get("id")
        world.faults.remove(int(number) if number else None)
        return Response(status_code=204)

    async def add_script(request: Request) -> Response:
        try:
            world.model.script += REPLIES.validate_python((await request.json())["replies"])
        except ValidationError as error:
            return complaint(error)
        return json_reply({"waiting": len(world.model.script)}, 201)

    async def remove_script(_request: Request) -> Response:
        world.model.script.clear()
        return Response(status_code=204)

    async def set_batches(request: Request) -> Response:
        wanted = await request.json()
        if wanted.get("archive"):
            world.batches.archive()
        world.batches.polls, world.batches.expire = wanted["polls"], tuple(wanted["expire"])
        return Response(status_code=204)

    async def list_requests(request: Request) -> Response:
        vendor = request.query_params.get("vendor")
        return json_reply({"requests": [each for each in world.requests if vendor in (None, each["vendor"])]})

    async def reset(request: Request) -> Response:
        world.reset(empty=request.query_params.get("empty") == "true")
        return Response(status_code=204)

    async def bill(request: Request) -> Response:
        fill_books(world.stripe, (await request.json())["customers"])
        return Response(status_code=204)

    async def change_in_books(request: Request) -> Response:
        asked = await request.json()
        world.stripe.objects[asked["kind"]][asked["id"]] |= asked["fields"]
        return Response(status_code=204)

    async def forget_in_books(request: Request) -> Response:
        world.stripe.forget(keys=(await request.json())["keys"])
        return Response(status_code=204)

    async def expire_tokens(_request: Request) -> Response:
        world.tokens.expire()
        return Response(status_code=204)

    async def forget_history(_request: Request) -> Response:
        world.mail.forget_history()
        return Response(status_code=204)

    async def change_database(request: Request) -> Response:
        notion.change(world.notion, await request.json())
        return Response(status_code=204)

    async def delete_page(request: Request) -> Response:
        world.notion.delete(request.path_params["id"])
        return Response(status_code=204)

    yield Route("/state", show_state)
    yield Route("/mail", deliver, methods=["POST"])
    yield Route("/mail/archive", archive, methods=["POST"])
    yield Route("/faults", add_fault, methods=["POST"])
    yield Route("/faults", list_faults)
    yield Route("/faults", remove_faults, methods=["DELETE"])
    yield Route("/script", add_script, methods=["POST"])
    yield Route("/script", remove_script, methods=["DELETE"])
    yield Route("/batches", set_batches, methods=["POST"])
    yield Route("/requests", list_requests)
    yield Route("/reset", reset, methods=["POST"])
    yield Route("/books", bill, methods=["POST"])
    yield Route("/books/change", change_in_books, methods=["POST"])
    yield Route("/books/forget", forget_in_books, methods=["POST"])
    yield Route("/notion/databases", change_database, methods=["POST"])
    yield Route("/notion/pages/{id}", delete_page, methods=["DELETE"])
    yield Route("/google/expire-tokens", expire_tokens, methods=["POST"])
    yield Route("/google/forget-history", forget_history, methods=["POST"])


def complaint(error: ValidationError) -> Response:
    """Say which field of an admin call is wrong."""
    problems: list[dict[str, Any]] = error.errors(include_url=False, include_context=False, include_input=False)  # type: ignore[assignment]
    return json_reply({"errors": [{"field": list(each["loc"]), "message": each["msg"]} for each in problems]}, 400)

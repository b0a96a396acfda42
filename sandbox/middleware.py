"""What stands between the socket and the vendors: the record of calls, and the faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_plus

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import anthropic, gmail, hubspot, notion, slack, stripe
from sandbox.drop import Dropped, drop
from sandbox.faults import Fault
from sandbox.world import World

FAULT_REPLIES: dict[str, Callable[[str, float | None], Response]] = {
    "google": gmail.fault_reply,
    "hubspot": hubspot.fault_reply,
    "slack": slack.fault_reply,
    "anthropic": anthropic.fault_reply,
    "stripe": stripe.fault_reply,
    "notion": notion.fault_reply,
}
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Recorder:
    """Writes down every call to a vendor: what was asked, what it got, and which fault struck."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        """Wrap the app."""
        self.app, self.world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        vendor, path = split(scope)
        if vendor not in FAULT_REPLIES:
            return await self.app(scope, receive, send)
        call: dict[str, Any] = {
            "vendor": vendor,
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode("latin-1"),
            "status": None,
            "fault": None,
            "at": time.time(),
        }
        self.world.requests.append(call)
        scope["call"] = call

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                call["status"] = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            call["ms"] = round((time.time() - call["at"]) * 1000, 2)


class FaultLine:
    """Lets a call go wrong in the way somebody asked for."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        """Wrap the app."""
        self.app, self.world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if "call" not in scope:
            return await self.app(scope, receive, send)
        vendor, path = split(scope)
        body = ""
        if self.world.faults.reads_bodies:
            body, receive = await whole(receive)
        fault = self.world.faults.take(vendor, scope["method"], path, body)
        if fault:
            scope["fault"], scope["call"]["fault"] = fault, fault.kind
        try:
            await self.strike(fault, vendor, scope, receive, send)
        except Dropped as dropped:
            await drop(scope, receive, hard=dropped.hard)

    async def strike(self, fault: Fault | None, vendor: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Do what the fault says, and serve the call as far as it lets us."""
        if fault is None:
            return await self.app(scope, receive, send)
        # A reply, or a reset, that overtakes the request's body would fail in the caller's hands in yet another way.
        receive, gone = await buffered(receive)
        held: list[Message] = []
        match fault.kind:
            case "reset":
                raise Dropped(hard=True)
            case "reply_lost":
                await self.app(scope, receive, swallow)
                raise Dropped
            case "hang" if fault.commit:
                await self.app(scope, receive, collector(held))
                if not await gone(fault.seconds):
                    await replay(held, send)
            case "hang":
                if not await gone(fault.seconds):
                    await self.app(scope, receive, send)
            case "server_error" if fault.commit:
                await self.app(scope, receive, send)
            case "bad_gateway":
                await Response(BAD_GATEWAY, 502, media_type="text/html")(scope, receive, send)
            case "rate_limited" | "overloaded" | "server_error" | "unauthorized" | "bad_request" as kind:
                await FAULT_REPLIES[vendor](kind, fault.retry_after)(scope, receive, send)
            case "leaky_error":
                await self.leak(fault, vendor, scope, receive, send)
            case "renamed_field":
                await self.app(scope, receive, collector(held))
                await renamed(held, fault.rename, fault.values)(scope, receive, send)
            case _:
                await self.app(scope, receive, send)

    async def leak(self, fault: Fault, vendor: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, and quote the caller's credential in the body, as careless gateways and debug pages do."""
        body, _ = await whole(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        sent = [headers[name] for name in CREDENTIAL_HEADERS if name in headers]
        # Decoded as well: a form is echoed as it came by one server, and as it was read by another.
        form = [body, unquote_plus(body)] if "x-www-form-urlencoded" in headers.get("content-type", "") else []
        refusal = FAULT_REPLIES[vendor]("unauthorized", None)
        told = quoting(json.loads(bytes(refusal.body)), " ".join(["refused credential:", *sent, *form]))
        status = refusal.status_code if vendor == "slack" else fault.status
        await Response(json.dumps(told), status, {"x-echo": " ".join(sent)}, "application/json")(scope, receive, send)


CREDENTIAL_HEADERS = ("authorization", "x-api-key", "cookie")


def quoting(value: Any, words: str) -> Any:
    """Put `words` at the end of every text in a refusal but its codes, or of `error` where it has nothing else."""
    if isinstance(value, dict):
        said = ("message", "error_description") if {"message", "error_description"} & set(value) else ("error",)
        return {
            key: f"{inner} ({words})" if key in said and isinstance(inner, str) else quoting(inner, words)
            for key, inner in value.items()
        }
    return [quoting(each, words) for each in value] if isinstance(value, list) else value


def split(scope: Scope) -> tuple[str, str]:
    """Return the vendor that a path belongs to, and the rest of the path."""
    if scope["type"] != "http":
        return "", ""
    vendor, slash, rest = scope["path"].removeprefix("/").partition("/")
    return vendor, slash + rest


async def swallow(message: Message) -> None:
    """Send nothing: the work was done, the reply gets lost."""


def collector(held: list[Message]) -> Send:
    """Return a `send` that keeps everything."""

    async def collect(message: Message) -> None:
        held.append(message)

    return collect


async def replay(held: list[Message], send: Send) -> None:
    """Send what was kept."""
    for message in held:
        await send(message)


def renamed(held: list[Message], names: dict[str, str], values: dict[str, Any]) -> Response:
    """Return the reply that was kept, with keys of its JSON renamed or holding something else."""
    status = next(message["status"] for message in held if "status" in message)
    body = b"".join(message.get("body", b"") for message in held)
    text = json.dumps(rename(json.loads(body), names, values)) if body else ""
    return Response(text, status, media_type="application/json")


async def whole(receive: Receive) -> tuple[str, Receive]:
    """Read the request's body, and return a way to read it again."""
    messages: list[Message] = []
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())
    waiting = iter(messages)

    async def again() -> Message:
        return next(waiting, None) or await receive()

    return b"".join(message.get("body", b"") for message in messages).decode("utf-8", "replace"), again


async def buffered(receive: Receive) -> tuple[Receive, Callable[[float], Awaitable[bool]]]:
    """Read the request; return a way to read it again, and one to wait some seconds for the caller to leave."""
    messages: list[Message] = []
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())
    waiting = iter(messages)

    async def again() -> Message:
        return next(waiting, None) or await receive()

    async def gone(seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            return bool((await asyncio.wait_for(receive(), seconds))["type"] == "http.disconnect")
        return False

    return again, gone


def rename(value: Any, names: dict[str, str], values: dict[str, Any]) -> Any:
    """Rename keys, leave them out or give them another value, however deep."""
    if isinstance(value, dict):
        kept = ((key, inner) for key, inner in value.items() if names.get(key, key))
        return {
            names.get(key, key): values[key] if key in values else rename(inner, names, values) for key, inner in kept
        }
    return [rename(each, names, values) for each in value] if isinstance(value, list) else value

"""The receiver's web application: `POST /hooks/NAME` for the vendors, `GET /health` for whoever watches it.

A request is judged in this order, and answered at the first that fails: its size, whether there is such an endpoint,
its signature, its rate, what it says, and whether the ledger takes it. Of a signature nobody is told more than that it
is wrong.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from blocks.ledger import Ledger, utcnow
from blocks.vendor import VendorError
from blocks.webhook_events import BadEvent
from blocks.webhook_signatures import BadSignature, Headers
from blocks.webhooks import WebhookEndpoint
from deployments.inbox.service import Inbox
from deployments.receiver.body import BadBody, read_body, too_large
from deployments.receiver.dispatch import Dispatcher
from deployments.receiver.endpoints import PRESSED_AT, Endpoints
from deployments.receiver.limits import Limits, Rate, Suspects, Turns
from deployments.receiver.postbox import Postbox, PostboxFull, rows_of
from deployments.receiver.threads import Watch, in_threads
from deployments.triggers import TRIGGERS, Trigger

OnInteraction = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Takes what somebody has pressed in Slack: its signature holds. What it returns is Slack's answer, None an empty one.

It is called in a thread, and Slack waits for three seconds at most: acknowledge first, then work.
"""

SECURITY = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""On every answer that does not say otherwise itself."""

AGAIN_SECONDS = 5
"""When a vendor may send again what could not be taken."""

BUSY = {"retry-after": "1"}

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def whole(ledger: Ledger) -> FastAPI:
    """The application as `signoff receive` serves it. Further pages, and who takes presses in Slack, are given here."""
    inbox = Inbox(ledger)
    app = create_app(ledger, Endpoints(), routers=(inbox.router,), on_interaction=inbox.on_interaction)
    app.add_api_route("/", lambda: RedirectResponse("/inbox"), methods=["GET"], response_class=RedirectResponse)
    return app


def create_app(
    ledger: Ledger,
    endpoints: Endpoints,
    *,
    triggers: Sequence[Trigger] = TRIGGERS,
    routers: Sequence[APIRouter] = (),
    on_interaction: OnInteraction | None = None,
    limits: Limits | None = None,
    now: Callable[[], datetime] = utcnow,
) -> FastAPI:
    """The application. It asks Prefect for the endpoints, and starts runs, in threads of its own while it is up.

    Args:
        ledger: where events are stored.
        endpoints: whose requests are taken.
        triggers: which event starts which workflow.
        routers: further pages, each at addresses of its own.
        on_interaction: who is told what somebody has pressed in Slack.
        limits: what strangers may cost.
        now: by which clock signatures are judged.
    """
    bounds = limits or Limits()
    hooks = Hooks(ledger, endpoints, triggers, bounds, on_interaction, now)
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lambda _: hooks.open()
    )
    app.add_api_route("/hooks/{source}", hooks.take, methods=["POST"])
    app.add_api_route("/health", hooks.health, methods=["GET"])
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(HTTPException, _in_json)
    app.add_middleware(Guarded, limits=bounds)
    return app


class Hooks:
    """The vendors' side."""

    def __init__(
        self,
        ledger: Ledger,
        endpoints: Endpoints,
        triggers: Sequence[Trigger],
        limits: Limits,
        on_interaction: OnInteraction | None,
        now: Callable[[], datetime],
    ) -> None:
        self._endpoints, self._triggers, self._limits = endpoints, triggers, limits
        self._on_interaction, self._now = on_interaction, now
        self._dispatcher = Dispatcher(ledger, triggers)
        self._postbox = Postbox(ledger, limits.store_seconds)
        self._rate = Rate(limits.per_second, limits.burst)
        self._suspects = Suspects(limits.failures, limits.failure_seconds)
        self._woken = threading.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Store what comes, look for endpoints and start runs until the end of the block."""
        watches: dict[str, Watch] = {
            "signoff-endpoints": self._endpoints.watch,
            "signoff-dispatch": lambda ended: self._dispatcher.watch(ended, self._woken),
        }
        self._postbox.open()
        # What they leave undone is stored.
        async with in_threads(watches, self._woken, seconds=2):
            try:
                yield
            finally:
                await self._postbox.close()

    async def health(self) -> JSONResponse:
        """Whether it is up and stores what comes, how many events wait for their run, and for how long the oldest."""
        if not self._postbox.is_open:
            return _refuse(503, "nothing is stored any more: start it again", AGAIN_SECONDS)
        try:
            found = await self._postbox.backlog()
        except PostboxFull:
            return _refuse(503, "the ledger cannot be read", AGAIN_SECONDS)
        waits = None if found.oldest is None else round((utcnow() - found.oldest).total_seconds())
        return JSONResponse({"status": "up", "backlog": found.waiting, "oldest_seconds": waits})

    async def take(self, source: str, request: Request) -> JSONResponse:
        """A vendor's request."""
        address = request.client.host if request.client else ""
        try:
            body = await _body(request, self._limits)
        except BadBody as error:
            return _refuse(error.status, str(error))
        if not self._endpoints.known:
            return _refuse(503, "starting", AGAIN_SECONDS)
        endpoint = self._endpoints.find(source)
        if endpoint is None:
            return _refuse(404, "there is no such endpoint")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        judge = partial(endpoint.verify, headers, body, self._now(), query=request.url.query)
        try:
            if endpoint.fetches:
                await run_in_threadpool(judge)
            else:
                judge()
        except BadSignature as error:
            # Only now: strangers share a proxy's address with the vendors, whose own is refused to nobody.
            if wait := self._suspects.wait(address):
                return _refuse(429, "too many bad signatures", wait)
            self._suspects.add(address)
            log.warning("%s: refused, from %s: %s (%d so far)", source, address, error, self._suspects.total)
            return _refuse(401, "the signature does not hold")
        except VendorError as error:
            log.warning("%s: cannot be judged now: %s", source, error)
            return _refuse(503, "the signature cannot be checked now", AGAIN_SECONDS)
        # Only now: a stranger's flood must not use up what is the vendor's.
        if wait := self._rate.wait(source):
            return _refuse(429, "too many requests", wait)
        return await self._read(source, endpoint, headers, body)

    async def _read(self, source: str, endpoint: WebhookEndpoint, headers: Headers, body: bytes) -> JSONResponse:
        try:
            said = endpoint.read(headers, body)
        except BadEvent as error:
            log.warning("%s: is signed, and cannot be read: %s", source, error)
            return _refuse(400, str(error))
        if said.answer is not None:
            return JSONResponse(said.answer)
        if said.interaction is not None:
            return await self._pressed(source, said.interaction)
        if said.left_out:
            why = "; ".join(dict.fromkeys(said.left_out))
            log.warning("%s: %d of its events are left out, for they are none: %s", source, len(said.left_out), why)
        if not said.events:
            return JSONResponse({"events": 0})
        try:
            if (await self._postbox.backlog()).waiting >= self._limits.backlog:
                log.warning("%s: %d events wait for their run; no more are taken", source, self._limits.backlog)
                return _refuse(503, "too much waits", AGAIN_SECONDS)
            await self._postbox.put(rows_of(source, said.events, self._triggers, utcnow()))
        except PostboxFull as error:
            log.warning("%s: could not be stored: %s", source, error)
            return _refuse(503, "it could not be stored", AGAIN_SECONDS)
        self._woken.set()
        return JSONResponse({"events": len(said.events)})

    async def _pressed(self, source: str, payload: dict[str, Any]) -> JSONResponse:
        if self._on_interaction is None or source != PRESSED_AT:
            log.warning("%s: somebody has pressed something, and nothing here takes that", source)
            return _refuse(404, f"interactions are taken at /hooks/{PRESSED_AT}, if at all")
        return JSONResponse(await run_in_threadpool(self._on_interaction, payload) or {})


class Guarded:
    """Around everything, others' pages too: how many requests are in work, and what stands on every answer."""

    def __init__(self, app: App, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._turns = Turns(limits)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request, or the server's own start and end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}
                added = [(name, value) for name, value in SECURITY.items() if name not in said]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        if self._head_is_too_large(scope):
            await _refuse(431, "too many headers, or too large ones")(scope, receive, send_safely)
            return
        address = (scope.get("client") or ("",))[0]
        with self._turns.turn(address) as turn:

            async def receive_counted() -> Message:
                message = await receive()
                if message["type"] == "http.request" and not message.get("more_body") and not turn.work():
                    raise HTTPException(503, "busy", BUSY)
                return message

            may_come = turn.wait() if _has_body(scope) else turn.work()
            app: App = self._app if may_come else _refuse(503, "busy", 1)
            await app(scope, receive_counted, send_safely)

    def _head_is_too_large(self, scope: Message) -> bool:
        # The server itself bounds only what comes in several pieces.
        headers = scope["headers"]
        size = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(n) + len(v) for n, v in headers)
        return len(headers) > self._limits.headers or size > self._limits.head


def _has_body(scope: Message) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


async def _body(request: Request, limits: Limits) -> bytes:
    """The body, as long as it is neither too large nor too slow."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > limits.body:
        raise too_large(limits.body)
    return await read_body(request, limits.body, limits.body_seconds)


def _refuse(status: int, why: str, wait: float | None = None) -> JSONResponse:
    headers = {"connection": "close"} if status in (408, 413) else {}
    if wait is not None:
        headers["retry-after"] = str(max(1, math.ceil(wait)))
    return JSONResponse({"error": why}, status, headers)


async def _in_json(_request: Request, error: Exception) -> JSONResponse:
    """What the routing refuses: no such page, or another method."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

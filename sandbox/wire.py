"""How a vendor's module talks to HTTP: it gets an `Ask`, and returns JSON, nothing, or raises `Refused`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from sandbox.faults import Fault

Json = dict[str, Any]
Answer = Response | Json | tuple[int, Json] | None


class Refused(Exception):
    """The vendor says no, in its own words."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        """Keep what the reply will say."""
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers

    def response(self) -> Response:
        """Return the refusal as it goes over the wire."""
        return json_reply(self.body, self.status, self.headers)


class BadJson(Exception):
    """The body was not JSON; each vendor words that differently."""


@dataclass(frozen=True)
class Ask:
    """One request, already read: handlers are plain functions of it."""

    path: dict[str, str]
    query: QueryParams
    headers: Headers
    body: Json
    fault: Fault | None
    url: str

    def many(self, name: str) -> list[str]:
        """Return a list given as `a=1&a=2` or as `a=1,2`."""
        return [item for value in self.query.getlist(name) for item in value.split(",") if item]

    def number(self, name: str, default: int, most: int) -> int:
        """Return an integer query parameter, held to the vendor's limit."""
        text = self.query.get(name, "")
        return min(int(text), most) if text.isdigit() else default

    def meets(self, kind: str) -> bool:
        """Say whether a fault of this kind was asked for on this request."""
        return self.fault is not None and self.fault.kind == kind


def json_reply(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON without the cost of a model."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, headers, media_type="application/json")


def endpoint(
    handler: Callable[[Ask], Answer],
    check: Callable[[Request], None],
    bad_json: Callable[[], Refused],
) -> Callable[[Request], Awaitable[Response]]:
    """Return a Starlette endpoint that checks the credential, reads the body, and runs the handler.

    The handler is synchronous: it runs whole on the event loop, so no two requests interleave.
    """

    async def serve(request: Request) -> Response:
        try:
            check(request)
            return as_response(handler(await read(request)))
        except Refused as no:
            return no.response()
        except BadJson:
            return bad_json().response()

    return serve


async def read(request: Request) -> Ask:
    """Read a request, form or JSON, into an `Ask`."""
    raw = await request.body()
    return Ask(
        path={name: str(value) for name, value in request.path_params.items()},
        query=request.query_params,
        headers=request.headers,
        body=parsed(raw, request.headers.get("content-type", "")),
        fault=request.scope.get("fault"),
        url=str(request.url).split("?")[0],
    )


def parsed(raw: bytes, content_type: str) -> Json:
    """Return the body as a mapping; a bare list comes under `items`."""
    if not raw:
        return {}
    if content_type.startswith("application/x-www-form-urlencoded"):
        return {name: values[-1] for name, values in parse_qs(raw.decode()).items()}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise BadJson from error
    if isinstance(body, list):
        return {"items": body}
    if not isinstance(body, dict):
        raise BadJson
    return body


def as_response(answer: Answer) -> Response:
    """Turn what a handler returned into a response."""
    match answer:
        case Response():
            return answer
        case None:
            return Response(status_code=204)
        case (int() as status, body):
            return json_reply(body, status)
        case _:
            return json_reply(answer)

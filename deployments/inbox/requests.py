"""What is looked at in every request, before a handler sees it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from deployments.receiver.body import BadBody, read_body
from deployments.receiver.limits import customer
from tasks import inbox
from tasks.inbox import Filter

LARGEST = 1024 * 1024
"""Bytes of a form."""

SECONDS = 10.0
"""How long it may take to come."""

MOST_FIELDS = 3000
"""Fields of a form: a thousand that are decided on together, and more."""

INSIDE = re.compile(r"/inbox(/\d{1,9})?(\?[\w=&.%+@-]*)?", re.ASCII)
"""Where somebody may be led who has logged in."""

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d+)?")
ORIGIN = re.compile(r"https?://([^/]+)")

Form = Sequence[tuple[str, str]]
"""A form's fields, in their order."""


class Refused(Exception):
    """A request that is not done; the message is for the person who made it."""

    def __init__(self, status: int, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.status, self.wait = status, wait


async def read_form(request: Request) -> Form:
    """The form that a request brings. Line ends are single: browsers send two characters for one.

    Raises:
        Refused: it brings none, or too much, or too slowly.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "this takes a form as a browser sends it")
    try:
        body = await read_body(request, LARGEST, SECONDS)
    except BadBody as error:
        raise Refused(error.status, str(error)) from None
    try:
        found = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Refused(400, "this is no form, or has too many fields") from None
    if any("\0" in value for _, value in found):  # which PostgreSQL keeps in no text
        raise Refused(400, "this form holds a character that no text can have")
    return [(name, lines(value)) for name, value in found]


def lines(text: str) -> str:
    """With single line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_host(request: Request) -> None:
    """Let through what is addressed to us, by a name that is ours.

    Raises:
        Refused: it is addressed to somebody else, whose name points here.
    """
    ours = urlsplit(inbox.base_url()).netloc.lower()
    given = request.headers.get("host", "").lower()
    named = HOST.fullmatch(given)
    if given != ours and not (named and is_here(named[1].strip("[]"))):
        raise Refused(421, f"this page is at {inbox.base_url()}; {inbox.URL} says where else it may be")


def check_origin(request: Request) -> None:
    """Let through a form that comes from a page of ours.

    Raises:
        Refused: it comes from elsewhere, or does not say.
    """
    origin = ORIGIN.fullmatch(request.headers.get("origin", "").lower())
    ours = {request.headers.get("host", "").lower(), urlsplit(inbox.base_url()).netloc.lower()}
    if origin is None or origin[1] not in ours:
        raise Refused(403, "this form was not sent from this page")


def is_here(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_secure(request: Request) -> bool:
    """Whether a browser that asks has come by https, to us or to a proxy that does not say so.

    Not wherever our address is https: on this machine the page is also at a plain one, where no browser would have to
    keep a cookie that is for https only.
    """
    ours = urlsplit(inbox.base_url())
    return (
        request.url.scheme == "https"
        or request.headers.get("origin", "").lower().startswith("https:")
        or (ours.scheme == "https" and request.headers.get("host", "").lower() == ours.netloc.lower())
    )


def whole(text: str, most: int) -> int | None:
    """The number that a text is, of at most so many digits; else None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= most else None


def address(request: Request) -> str:
    """Who asks, as far as the network says; of version 6 the network that one customer has."""
    return customer(request.client.host if request.client else "")


def wants_json(request: Request) -> bool:
    """Whether the page's own script asks, and not the browser itself."""
    return request.headers.get("accept", "").startswith("application/json")


def filter_of(request: Request) -> Filter:
    """What the address says about which are shown."""
    given = request.query_params
    return Filter(**{name: given.get(name, "")[:200] for name in fields(Filter())})


def fields(chosen: Filter) -> dict[str, str]:
    """By the names that they have in an address."""
    return {name: str(getattr(chosen, name)) for name in ("workflow", "kind", "impact", "person", "words")}


def verdict(values: Mapping[str, str]) -> bool:
    """Whether a form approves.

    Raises:
        Refused: it says neither.
    """
    match values.get("decision"):
        case "approve":
            return True
        case "reject":
            return False
    raise Refused(422, "say whether to approve or to reject")


def back(values: Mapping[str, str]) -> str:
    """The list again, as it was filtered."""
    query = values.get("query", "")
    to = f"/inbox?{query}" if query else "/inbox"
    return to if INSIDE.fullmatch(to) else "/inbox"

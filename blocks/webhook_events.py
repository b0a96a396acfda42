"""What a webhook says, once its signature holds: the events in it, each with the id by which it is known again."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

ID = re.compile(r"[\x21-\x7e]{1,255}")
KIND = re.compile(r"[\w.:/-]{1,100}", re.ASCII)

DEEPEST = 64
"""Levels of an event. Python reads as many as its stack has room for: more where it arrives than in a run later on."""

HALF = re.compile("[\ud800-\udfff]")
"""Half of a character, which JSON can escape and no UTF-8 can hold: neither a request nor every column takes it."""

NEVER_TWICE = ("attemptNumber",)
"""What HubSpot counts up when it sends the same event again."""

HUBSPOT_OBJECTS = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-5": "ticket",
    "0-7": "product",
    "0-8": "line_item",
}
"""Its objects' numbers. New subscriptions say `object.creation` with one of them, older ones say `deal.creation`."""


class BadEvent(Exception):
    """It is signed, and yet no event as its vendor makes them. The message says what is wrong, and may be sent back."""


@dataclass(frozen=True)
class Arrived:
    """One event."""

    external_id: str
    """The vendor's own id, or a digest where it has none that counts: the same event has the same again."""
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Said:
    """All that one request says."""

    events: Sequence[Arrived] = ()
    answer: Mapping[str, Any] | None = None
    """What the vendor wants to hear, where it asks whether anybody is there."""
    interaction: dict[str, Any] | None = None
    """What a person has pressed."""
    left_out: Sequence[str] = ()
    """What is wrong with each of those that came along and are no event."""


def stripe(body: bytes) -> Said:
    """One event, as Stripe's webhooks send it: of version 1, or a thin one of version 2.

    Raises:
        BadEvent: it is none.
    """
    event = _object(body)
    return Said([Arrived(_id(event, "id"), _kind(event.get("type"), "type"), event)])


def hubspot(body: bytes) -> Said:
    """A list of events. HubSpot's `eventId` is not unique, by its own word, so each is known by a digest.

    One that is none costs the others nothing: it is left out.

    Raises:
        BadEvent: it is none, or has not one event in it.
    """
    batch = read_json(body)
    if not isinstance(batch, list):
        raise BadEvent("the body is no list of objects")
    events, left_out = [], []
    for event in batch:
        try:
            events.append(_hubspot_event(event))
        except BadEvent as error:
            left_out.append(str(error))
    if left_out and not events:
        raise BadEvent(left_out[0])
    return Said(events, left_out=left_out)


def slack(body: bytes, content_type: str) -> Said:
    """An event, the question whether anybody is there, or what a person has pressed (which comes as a form).

    Raises:
        BadEvent: it is none of them.
    """
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return Said(interaction=_without_token(_pressed(body)))
    said = _without_token(_object(body))
    if said.get("type") == "url_verification":
        challenge = said.get("challenge")
        if not isinstance(challenge, str) or len(challenge) > 1_000:
            raise BadEvent("challenge is no text")
        return Said(answer={"challenge": challenge})
    event = said.get("event")
    kind = event.get("type") if isinstance(event, dict) else said.get("type")
    external_id = _id(said, "event_id") if "event_id" in said else _digest(said)  # app_rate_limited has none
    return Said([Arrived(external_id, _kind(kind, "event.type"), said)])


def gmail(body: bytes) -> Said:
    """What Pub/Sub pushes of a mailbox: that something has changed in it, and up to which point of its history.

    Raises:
        BadEvent: it is no such message.
    """
    pushed = _object(body)
    message = pushed.get("message")
    if not isinstance(message, dict):
        raise BadEvent("message is no object")
    try:
        data = read_json(base64.b64decode(str(message.get("data", "")), validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadEvent("message.data is not base64") from error
    if not isinstance(data, dict):
        raise BadEvent("message.data holds no object")
    payload = {**pushed, "message": {**message, "data": data}}
    return Said([Arrived(_id(message, "messageId"), "mailbox.changed", payload)])


def own(body: bytes, *, signed_at: str = "", id_field: str = "", kind_field: str = "") -> Said:
    """An event of a system of one's own: a JSON object.

    Args:
        body: the request's.
        signed_at: the time that was signed along with it, so that the same words at another time are another event.
        id_field: where in the object its id is, as `data.id`; without one it is known by a digest of body and time.
        kind_field: where it says what happened; without one every event is called `event`.

    Raises:
        BadEvent: it is no object, or lacks what was declared.
    """
    payload = _object(body)
    given = at_path(payload, id_field) if id_field else None
    if id_field and (isinstance(given, bool) or not isinstance(given, str | int)):
        raise BadEvent(f"{id_field} is missing")
    external_id = _valid_id(str(given), id_field) if id_field else _sha256(signed_at.encode() + b"." + body)
    said = at_path(payload, kind_field) if kind_field else "event"
    return Said([Arrived(external_id, _kind(said, kind_field or "kind"), payload)])


def at_path(payload: Any, path: str) -> Any:
    """What stands at `data.object.id` of an object; None when nothing does."""
    for step in path.split("."):
        if not isinstance(payload, dict):
            return None
        payload = payload.get(step)
    return payload


def read_json(body: bytes) -> Any:
    """JSON as the standard has it, and as every database takes it.

    Raises:
        BadEvent: it is none, or is nested more than `DEEPEST` levels deep.
    """
    try:
        found = json.loads(body.decode("utf-8"), parse_float=_finite, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadEvent("the body is not UTF-8") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise BadEvent("the body is not JSON") from error
    return storable(found)


def storable(found: Any, levels: int = DEEPEST) -> Any:
    """What JSON held, as every database and every request takes it: U+FFFD where half a character stood.

    Raises:
        BadEvent: it has more levels than that.
    """
    if isinstance(found, str):
        return HALF.sub("\ufffd", found)
    if not isinstance(found, dict | list):
        return found
    if not levels:
        raise _too_deep()
    if isinstance(found, list):
        return [storable(value, levels - 1) for value in found]
    return {HALF.sub("\ufffd", name): storable(value, levels - 1) for name, value in found.items()}


def _too_deep() -> BadEvent:
    return BadEvent(f"the body is nested too deeply: more than {DEEPEST} levels")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadEvent("the body holds a number that is too large")
    return number


def _refuse_constant(name: str) -> Any:
    raise BadEvent(f"the body holds {name}, which JSON does not know")


def _object(body: bytes) -> dict[str, Any]:
    found = read_json(body)
    if not isinstance(found, dict):
        raise BadEvent("the body is no object")
    return found


def _pressed(body: bytes) -> dict[str, Any]:
    try:
        payloads = parse_qs(body.decode("ascii"), max_num_fields=20, errors="strict").get("payload", [])
    except ValueError as error:
        raise BadEvent("the body is no form") from error
    if len(payloads) != 1:
        raise BadEvent("the form has no payload")
    return _object(payloads[0].encode("utf-8", "surrogatepass"))


def _without_token(said: Mapping[str, Any]) -> dict[str, Any]:
    """Slack sends its old verification token along with everything: a secret, which has no place in a ledger."""
    return {name: value for name, value in said.items() if name != "token"}


def _hubspot_event(event: Any) -> Arrived:
    if not isinstance(event, dict):
        raise BadEvent("the body is no list of objects")
    return Arrived(_digest(_lasting(event)), _hubspot_kind(event), event)


def _hubspot_kind(event: Mapping[str, Any]) -> str:
    said = _kind(event.get("subscriptionType"), "subscriptionType")
    whose, _, what = said.partition(".")
    if whose != "object" or "objectTypeId" not in event:
        return said
    number = str(event["objectTypeId"])
    return _kind(f"{HUBSPOT_OBJECTS.get(number, number)}.{what}", "objectTypeId")


def _lasting(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in NEVER_TWICE}


def _id(event: Mapping[str, Any], field: str) -> str:
    given = event.get(field)
    if not isinstance(given, str):
        raise BadEvent(f"{field} is missing")
    return _valid_id(given, field)


def _valid_id(given: str, field: str) -> str:
    if not ID.fullmatch(given):
        raise BadEvent(f"{field} is no id: up to 255 printable ASCII characters without spaces")
    return given


def _kind(given: Any, field: str) -> str:
    if not isinstance(given, str) or not KIND.fullmatch(given):
        raise BadEvent(f"{field} is no name of an event: up to 100 letters, digits, and . : / _ -")
    return given


def _digest(event: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(event, sort_keys=True, separators=(",", ":")).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""HubSpot's CRM API, in HubSpot's words. The v3, v4 and 2026-09 paths serve the same objects."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import credentials
from sandbox.crm import OPERATORS, Crm, Properties, Thing, iso, passes, sort_key
from sandbox.crm_schema import (
    ASSOCIATION_TYPES,
    DEFAULTS,
    MODIFIED,
    NAMES,
    PRIMARY_TYPES,
    REQUIRED,
    SINGULAR,
    SUPPORT,
    TYPE_IDS,
    UNIQUE,
    Pipeline,
    Property,
    Stage,
)
from sandbox.wire import Answer, Ask, Json, Refused, endpoint, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

Handler = Callable[[Crm, Ask], Answer]
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
READ_ONLY = {"hs_object_id", "hs_lastmodifieddate", "lastmodifieddate"}
ACTIVITIES = ("notes", "tasks")
INLINE_ASSOCIATIONS = 100
"""How many associations of a kind a read shows with an object; the others have to be listed."""

SEARCH_RESULTS = 10_000
"""How far the results of one search can be paged through."""


# Errors


def error(status: int, category: str, message: str, **more: Any) -> Refused:
    """Return a refusal in HubSpot's error JSON."""
    body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), "category": category}
    return Refused(status, body | more)


def invalid(message: str, **more: Any) -> Refused:
    """Return a 400."""
    return error(400, "VALIDATION_ERROR", message, **more)


def missing() -> Refused:
    """Return a 404 for an object."""
    return error(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")


def unauthorized() -> Refused:
    """Return the 401 for a token that is missing or wrong."""
    return error(
        401,
        "INVALID_AUTHENTICATION",
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more "
        "details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
    )


def fault_reply(kind: str, retry_after: float | None) -> Response:
    """Return what HubSpot says when it is not well."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    match kind:
        case "rate_limited":
            body = {
                "status": "error",
                "message": "You have reached your ten_secondly_rolling limit.",
                "errorType": "RATE_LIMIT",
                "correlationId": str(uuid.uuid4()),
                "policyName": "TEN_SECONDLY_ROLLING",
                "groupName": "publicapi:private-app-api-calls-ten-secondly:0",
            }
            return json_reply(body, 429, headers)
        case "unauthorized":
            return unauthorized().response()
        case "overloaded":
            refusal = error(503, "SERVICE_UNAVAILABLE", "The service is temporarily unavailable.")
        case "bad_request":
            refusal = invalid("Invalid input JSON: an id is not valid")
        case _:
            refusal = error(500, "INTERNAL_ERROR", "internal error")
    return json_reply(refusal.body, refusal.status, headers)


# Views


def kind_of(name: str) -> str:
    """Return the object type that a path names, in any of its spellings."""
    if kind := NAMES.get(name.lower()):
        return kind
    raise invalid(f"Unable to infer object type from: {name}")


def thing_view(thing: Thing, wanted: Iterable[str]) -> Json:
    """Return an object with some of its properties; what it does not have comes as null."""
    view: Json = {
        "id": thing.id,
        "properties": {name: thing.value(name) for name in wanted},
        "createdAt": iso(thing.created),
        "updatedAt": iso(thing.updated),
        "archived": thing.archived_at is not None,
    }
    return view | ({"archivedAt": iso(thing.archived_at)} if thing.archived_at is not None else {})


def read_names(crm: Crm, kind: str, asked: list[str]) -> list[str]:
    """Return which properties a read shows: the ones asked for, else HubSpot's short default."""
    known = [name for name in asked if name in crm.properties[kind]]
    return list(dict.fromkeys([*known, *always(kind)])) if asked else list(DEFAULTS[kind])


def always(kind: str) -> list[str]:
    """Return the properties that every reply has."""
    return ["createdate" if "createdate" in DEFAULTS[kind] else "hs_createdate", MODIFIED[kind], "hs_object_id"]


def written(thing: Thing) -> Json:
    """Return an object as a write answers: with everything that is set."""
    return thing_view(thing, dict.fromkeys([*thing.properties, *always(thing.type)]))


def associations_view(crm: Crm, thing: Thing, names: list[str]) -> Json:
    """Return the `associations` block of a read."""
    block: Json = {}
    for name in names:
        kind = kind_of(name)
        label = f"{SINGULAR[thing.type]}_to_{SINGULAR[kind]}"
        if results := [{"id": other.id, "type": label} for other, _ in crm.linked(thing, kind)]:
            url = f"/crm/v3/objects/{thing.type}/{thing.id}/associations/{kind}"
            page, paging = paged(results, None, INLINE_ASSOCIATIONS, url)
            block[kind] = {"results": page} | paging
    return {"associations": block} if block else {}


def paged(things: list[Any], ask_after: Any, limit: int, url: str) -> tuple[list[Any], Json]:
    """Return a page and the `paging` block that leads to the next."""
    start = int(ask_after) if str(ask_after or "").isdigit() else 0
    page = things[start : start + limit]
    end = start + limit
    paging = {"paging": {"next": {"after": str(end), "link": f"{url}?after={end}"}}} if end < len(things) else {}
    return page, paging


# Writing


def checked(crm: Crm, kind: str, given: Any) -> Properties:
    """Return properties as HubSpot stores them, or refuse the ones it would refuse."""
    if not isinstance(given, dict):
        raise invalid("Invalid input JSON: properties is required")
    problems = [problem for name, value in given.items() for problem in problems_with(crm, kind, name, value)]
    if problems:
        raise invalid(f"Property values were not valid: {json.dumps(problems)}")
    return {name: stored(crm.properties[kind][name], value) for name, value in given.items()}


def problems_with(crm: Crm, kind: str, name: str, value: Any) -> Iterator[Json]:
    """Yield what is wrong with a property's value."""

    def problem(code: str, message: str) -> Json:
        return {"isValid": False, "message": message, "error": code, "name": name, "localizedErrorMessage": message}

    known = crm.properties[kind].get(name)
    if known is None:
        yield problem("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    elif name in READ_ONLY:
        yield problem("READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
    elif value in (None, ""):
        return
    elif known.options and str(value) not in known.options:
        allowed = ", ".join(known.options)
        yield problem("INVALID_OPTION", f"{value} was not one of the allowed options: [{allowed}]")
    elif known.type == "number" and not re.fullmatch(r"-?\d+(\.\d+)?", str(value)):
        yield problem("INVALID_INTEGER", f"{value} was not a valid number.")
    elif known.type == "datetime" and moment(value) is None:
        yield problem("INVALID_DATE", f"{value} was not a valid long.")
    elif name == "email" and not EMAIL.fullmatch(str(value)):
        yield problem("INVALID_EMAIL", f"Email address {value} is invalid")


def stored(known: Property, value: Any) -> str | None:
    """Return a value as the string HubSpot gives back."""
    if value is None or value == "":
        return None
    if known.type == "datetime":
        return moment(value)
    return str(value).lower() if known.name == "email" else str(value)


def moment(value: Any) -> str | None:
    """Read epoch milliseconds or ISO 8601, and return ISO 8601 in UTC."""
    text = str(value)
    try:
        if text.isdigit():
            return iso(int(text) / 1000)
        read = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return iso(read.replace(tzinfo=read.tzinfo or UTC).timestamp())


def refuse_duplicate(crm: Crm, kind: str, properties: Properties, own_id: str | None = None) -> None:
    """Refuse a value that must be unique and is taken."""
    for name in UNIQUE.get(kind, ()):
        taken = properties.get(name) and crm.find(kind, str(properties[name]), name)
        if taken and taken.id != own_id:
            label = SINGULAR[kind].capitalize()
            raise error(409, "CONFLICT", f"{label} already exists. Existing ID: {taken.id}")


def make(crm: Crm, kind: str, body: Json) -> Thing:
    """Create an object with its associations; nothing is kept if any part is refused."""
    properties = checked(crm, kind, body.get("properties"))
    if absent := [name for name in REQUIRED.get(kind, ()) if not properties.get(name)]:
        label = SINGULAR[kind].upper()
        message = f"Error creating {label}. Some required properties were not set."
        raise invalid(message, context={"properties": absent})
    refuse_duplicate(crm, kind, properties)
    links = [link for each in body.get("associations") or [] for link in wanted_links(crm, kind, each)]
    thing = crm.add(kind, properties | staged(crm, kind, properties, None))
    for other, type_id in links:
        crm.link(thing, other, type_id)
        if kind in ACTIVITIES:
            crm.change(other, {})  # HubSpot counts a record's activities in properties of it, so its last change moves
    return thing


ENTERED = "hs_v2_date_entered_current_stage"


def staged(crm: Crm, kind: str, given: Properties, old: Thing | None) -> Properties:
    """Return what HubSpot sets itself: of a deal, since when it is in its stage; of a ticket, where a new one stands
    and when it was closed.

    Whether the date goes away when a ticket is opened again is documented nowhere; here it stays.
    """
    if kind == "deals":
        moved = given.get("dealstage") and given["dealstage"] != (old.value("dealstage") if old else None)
        return {ENTERED: given.get(ENTERED) or iso(time.time())} if moved else {}
    if kind != "tickets":
        return {}
    added: Properties = {}
    if old is None:
        first = {"hs_pipeline": SUPPORT.id, "hs_pipeline_stage": SUPPORT.stages[0].id}
        added = {name: given.get(name) or value for name, value in first.items()}
    before = old.value("hs_pipeline_stage") if old else None
    after = (given | added).get("hs_pipeline_stage") or before
    if after != before and crm.is_closed(after) and not given.get("closed_date"):
        added["closed_date"] = iso(time.time())
    return added


def wanted_links(crm: Crm, kind: str, association: Json) -> Iterator[tuple[Thing, int]]:
    """Yield the objects that an inline association names; the type id tells what kind they are."""
    if not association.get("types"):
        raise invalid("Invalid input JSON: associations.types is required")
    for spec in association["types"]:
        type_id = spec.get("associationTypeId")
        other_kind = target_kind(kind, type_id)
        other = other_kind and crm.find(other_kind, str(association.get("to", {}).get("id", "")))
        if not other:
            to = association.get("to", {}).get("id")
            raise invalid(f"No {SINGULAR[kind]} association of type {type_id} is possible with object {to}")
        yield other, type_id


def target_kind(kind: str, type_id: Any) -> str | None:
    """Return the object type at the far end of an association type."""
    for (source, target), known in [*ASSOCIATION_TYPES.items(), *PRIMARY_TYPES.items()]:
        if source == kind and known == type_id:
            return target
    return None


def update(crm: Crm, thing: Thing, given: Any) -> Thing:
    """Change an object's properties."""
    properties = checked(crm, thing.type, given)
    refuse_duplicate(crm, thing.type, properties, thing.id)
    crm.change(thing, properties | staged(crm, thing.type, properties, thing))
    return thing


# One object


def create_one(crm: Crm, ask: Ask) -> Answer:
    """POST /objects/{type}."""
    return 201, written(make(crm, kind_of(ask.path["kind"]), ask.body))


def get_one(crm: Crm, ask: Ask) -> Answer:
    """GET /objects/{type}/{id}."""
    kind, wants_archived = kind_of(ask.path["kind"]), ask.query.get("archived", "").lower() == "true"
    thing = crm.things.get((kind, ask.path["id"])) if wants_archived else found(crm, ask)
    if thing is None or (wants_archived and thing.archived_at is None):
        raise missing()
    view = thing_view(thing, read_names(crm, kind, ask.many("properties")))
    return view | associations_view(crm, thing, ask.many("associations"))


def update_one(crm: Crm, ask: Ask) -> Answer:
    """PATCH /objects/{type}/{id}."""
    return written(update(crm, found(crm, ask), ask.body.get("properties")))


def archive_one(crm: Crm, ask: Ask) -> None:
    """DELETE /objects/{type}/{id}; doing it twice is no error."""
    if thing := crm.find(kind_of(ask.path["kind"]), ask.path["id"]):
        thing.archived_at = time.time()


def list_all(crm: Crm, ask: Ask) -> Answer:
    """GET /objects/{type}: by id, each page after the last one's last, so that none is missed when others go."""
    kind, limit, last = kind_of(ask.path["kind"]), ask.number("limit", 10, 100), in_turn(ask.query.get("after", ""))
    rest = sorted((each for each in crm.live(kind) if in_turn(each.id) > last), key=lambda each: in_turn(each.id))
    page, names, linked = rest[:limit], read_names(crm, kind, ask.many("properties")), ask.many("associations")
    more: Json = {}
    if len(rest) > limit:
        more = {"paging": {"next": {"after": page[-1].id, "link": f"{ask.url}?after={page[-1].id}"}}}
    return {"results": [thing_view(each, names) | associations_view(crm, each, linked) for each in page]} | more


def in_turn(thing_id: str) -> tuple[int, str]:
    """Order ids as the numbers they are."""
    return len(thing_id), thing_id


def found(crm: Crm, ask: Ask) -> Thing:
    """Return the object that a path names by id or by `idProperty`, or refuse."""
    by = ask.query.get("idProperty", "hs_object_id")
    if thing := crm.find(kind_of(ask.path["kind"]), ask.path["id"], by):
        return thing
    raise missing()


def search(crm: Crm, ask: Ask) -> Answer:
    """POST /objects/{type}/search."""
    kind, body = kind_of(ask.path["kind"]), ask.body
    groups, limit = body.get("filterGroups") or [], body.get("limit", 10)
    check_search(groups, limit, body.get("after"))
    query = str(body.get("query") or "").lower()
    hits = [
        each
        for each in crm.live(kind)
        if indexed(each, ask) and passes(each, groups) and (not query or mentions(each, query))
    ]
    hits = in_order(hits, body.get("sorts") or [])
    page, paging = paged(hits, body.get("after"), limit, ask.url)
    names = read_names(crm, kind, body.get("properties") or [])
    return {"total": len(hits), "results": [thing_view(each, names) for each in page]} | paging


def check_search(groups: list[Json], limit: Any, after: Any) -> None:
    """Refuse what HubSpot's search refuses."""
    if not isinstance(limit, int) or not 0 < limit <= 200:
        raise invalid("The 'limit' must be between 1 and 200.")
    if str(after or "").isdigit() and int(after) + limit > SEARCH_RESULTS:
        raise invalid(f"Paging ends after {SEARCH_RESULTS} results.")
    if len(groups) > 6:
        raise invalid("Too many filter groups. The maximum is 6.")
    for rule in (rule for group in groups for rule in group.get("filters", [])):
        if rule.get("operator") not in OPERATORS or not rule.get("propertyName"):
            raise invalid(f"Invalid input JSON: unknown filter {json.dumps(rule)}")
        if rule["operator"] in ("IN", "NOT_IN") and not rule.get("values"):
            raise invalid(f"operator {rule['operator']} requires values")


def indexed(thing: Thing, ask: Ask) -> bool:
    """Say whether the search index has caught up with an object."""
    if not ask.meets("search_lag") or ask.fault is None:
        return True
    horizon = time.time() - ask.fault.seconds if ask.fault.seconds else ask.fault.since
    return thing.created < horizon


def mentions(thing: Thing, query: str) -> bool:
    """Say whether any property has the words."""
    return any(query in (value or "").lower() for value in thing.properties.values())


def in_order(things: list[Thing], sorts: list[Any]) -> list[Thing]:
    """Sort by `-name`, `name`, or `{propertyName, direction}`; the oldest comes first otherwise."""
    if len(sorts) > 1:
        raise invalid("Only one sort is supported.")
    for sort in sorts:
        if isinstance(sort, dict):
            name, down = sort.get("propertyName", ""), sort.get("direction") == "DESCENDING"
        else:
            name, down = sort.lstrip("-"), sort.startswith("-")
        return sorted(things, key=sort_key(name), reverse=down)
    return things


# Batches


def batch(results: list[Json], problems: list[Json], since: float, ok: int = 200) -> Answer:
    """Return a batch's answer: 207 when part of it failed."""
    body: Json = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": iso(since),
        "completedAt": iso(time.time()),
    }
    return (207, body | {"numErrors": len(problems), "errors": problems}) if problems else (ok, body)


def not_found(kind: str, ids: list[str]) -> list[Json]:
    """Return the batch error for ids that do not exist."""
    if not ids:
        return []
    label = SINGULAR[kind].upper()
    return [
        {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": f"Could not get {label} objects, they may be deleted or not exist. Check that ids are valid.",
            "context": {"ids": ids},
            "errors": [],
            "links": {},
        }
    ]


def inputs(ask: Ask) -> list[Json]:
    """Return a batch's inputs, at most 100 as HubSpot takes them."""
    given = ask.body.get("inputs")
    if not isinstance(given, list) or len(given) > 100:
        raise invalid("Invalid input JSON: inputs must be a list of at most 100")
    return given


def batch_read(crm: Crm, ask: Ask) -> Answer:
    """POST /objects/{type}/batch/read."""
    since, kind = time.time(), kind_of(ask.path["kind"])
    by = ask.body.get("idProperty") or "hs_object_id"
    pairs = [(each["id"], crm.find(kind, str(each["id"]), by)) for each in inputs(ask)]
    names = read_names(crm, kind, ask.body.get("properties") or [])
    if by not in names:
        names.append(by)
    absent = [wanted for wanted, thing in pairs if thing is None]
    return batch([thing_view(each, names) for _, each in pairs if each], not_found(kind, absent), since)


def batch_create(crm: Crm, ask: Ask) -> Answer:
    """POST /objects/{type}/batch/create; the first refusal stops it."""
    since, kind = time.time(), kind_of(ask.path["kind"])
    return batch([written(make(crm, kind, each)) for each in inputs(ask)], [], since, ok=201)


def batch_update(crm: Crm, ask: Ask) -> Answer:
    """POST /objects/{type}/batch/update."""
    since, kind = time.time(), kind_of(ask.path["kind"])
    pairs = [(each, crm.find(kind, str(each["id"]), each.get("idProperty") or "hs_object_id")) for each in inputs(ask)]
    results = [written(update(crm, thing, each.get("properties"))) for each, thing in pairs if thing]
    return batch(results, not_found(kind, [str(each["id"]) for each, thing in pairs if not thing]), since)


def batch_upsert(crm: Crm, ask: Ask) -> Answer:
    """POST /objects/{type}/batch/upsert."""
    since, kind = time.time(), kind_of(ask.path["kind"])
    return batch([upsert(crm, kind, each) for each in inputs(ask)], [], since)


def upsert(crm: Crm, kind: str, given: Json) -> Json:
    """Update the object with that unique value, or create it."""
    by = given.get("idProperty") or "hs_object_id"
    if thing := crm.find(kind, str(given["id"]), by):
        return written(update(crm, thing, given.get("properties"))) | {"new": False}
    properties = given.get("properties") or {}
    if by != "hs_object_id":
        properties = {by: given["id"]} | properties
    return written(make(crm, kind, {"properties": properties})) | {"new": True}


def batch_archive(crm: Crm, ask: Ask) -> None:
    """POST /objects/{type}/batch/archive."""
    kind = kind_of(ask.path["kind"])
    for thing in (crm.find(kind, str(each["id"])) for each in inputs(ask)):
        if thing:
            thing.archived_at = time.time()


# Associations


def associate_default(crm: Crm, ask: Ask) -> Answer:
    """PUT .../associations/default/{toType}/{toId}."""
    since, one, other = time.time(), found(crm, ask), far_end(crm, ask)
    return batch(default_links(crm, one, other), [], since)


def default_links(crm: Crm, one: Thing, other: Thing) -> list[Json]:
    """Associate two objects and tell both directions."""
    there, back = crm.link(one, other)
    return [link_view(one, other, there), link_view(other, one, back)]


def link_view(one: Thing, other: Thing, type_id: int) -> Json:
    """Return one direction of an association."""
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}
    return {"from": {"id": one.id}, "to": {"id": other.id}, "associationSpec": spec}


def associate_batch(crm: Crm, ask: Ask) -> Answer:
    """POST /associations/{fromType}/{toType}/batch/associate/default."""
    since, kind, to_kind = time.time(), kind_of(ask.path["kind"]), kind_of(ask.path["to_kind"])
    results = []
    for each in inputs(ask):
        one, other = crm.find(kind, str(each["from"]["id"])), crm.find(to_kind, str(each["to"]["id"]))
        if one is None or other is None:
            raise missing()
        results += default_links(crm, one, other)
    return batch(results, [], since)


def associate_labelled(crm: Crm, ask: Ask) -> Answer:
    """PUT .../associations/{toType}/{toId} with a list of association types."""
    one, other = found(crm, ask), far_end(crm, ask)
    crm.link(one, other)
    return 201, {
        "fromObjectTypeId": TYPE_IDS[one.type],
        "fromObjectId": one.id,
        "toObjectTypeId": TYPE_IDS[other.type],
        "toObjectId": other.id,
        "labels": [],
    }


def list_associations(crm: Crm, ask: Ask) -> Answer:
    """GET .../associations/{toType}, with association types."""
    return linked_page(crm, ask, lambda _thing, other, types: linked_view(other, types))


def list_associations_v3(crm: Crm, ask: Ask) -> Answer:
    """GET .../associations/{toType} as v3 answered it."""

    def view(thing: Thing, other: Thing, _types: set[int]) -> Json:
        return {"id": other.id, "type": f"{SINGULAR[thing.type]}_to_{SINGULAR[other.type]}"}

    return linked_page(crm, ask, view)


def linked_page(crm: Crm, ask: Ask, view: Callable[[Thing, Thing, set[int]], Json]) -> Answer:
    """Return a page of an object's associations."""
    thing = found(crm, ask)
    linked = crm.linked(thing, kind_of(ask.path["to_kind"]))
    page, paging = paged(linked, ask.query.get("after"), ask.number("limit", 500, 500), ask.url)
    return {"results": [view(thing, other, types) for other, types in page]} | paging


def linked_view(other: Thing, types: set[int]) -> Json:
    """Return the far end of an association and its types."""
    listed = [{"category": "HUBSPOT_DEFINED", "typeId": each, "label": None} for each in sorted(types)]
    return {"toObjectId": other.id, "associationTypes": listed}


def read_associations(crm: Crm, ask: Ask) -> Answer:
    """POST /associations/{fromType}/{toType}/batch/read."""
    since, kind, to_kind = time.time(), kind_of(ask.path["kind"]), kind_of(ask.path["to_kind"])
    things = [crm.find(kind, str(each["id"])) for each in inputs(ask)]
    linked = [(thing, crm.linked(thing, to_kind)) for thing in things if thing]
    return batch(
        [{"from": {"id": thing.id}, "to": [linked_view(*pair) for pair in pairs]} for thing, pairs in linked if pairs],
        [],
        since,
    )


def disassociate(crm: Crm, ask: Ask) -> None:
    """DELETE .../associations/{toType}/{toId}."""
    crm.unlink(found(crm, ask), kind_of(ask.path["to_kind"]), ask.path["to_id"])


def far_end(crm: Crm, ask: Ask) -> Thing:
    """Return the object that an association points to, or refuse."""
    if other := crm.find(kind_of(ask.path["to_kind"]), ask.path["to_id"]):
        return other
    raise missing()


# Properties, owners, account


def property_view(kind: str, known: Property) -> Json:
    """Return a property's definition."""
    field_types = {"enumeration": "select", "number": "number", "datetime": "date"}
    return {
        "name": known.name,
        "label": known.label or known.name.replace("_", " ").capitalize(),
        "type": known.type,
        "fieldType": field_types.get(known.type, "text"),
        "description": "",
        "groupName": known.group or f"{SINGULAR[kind]}information",
        "options": [
            {"label": each, "value": each, "displayOrder": i, "hidden": False} for i, each in enumerate(known.options)
        ],
        "hasUniqueValue": known.name in UNIQUE.get(kind, ()),
        "hidden": False,
        "formField": False,
        "hubspotDefined": not known.custom,
        "archived": False,
    }


def list_properties(crm: Crm, ask: Ask) -> Answer:
    """GET /properties/{type}."""
    kind = kind_of(ask.path["kind"])
    return {"results": [property_view(kind, each) for each in crm.properties[kind].values()]}


def get_property(crm: Crm, ask: Ask) -> Answer:
    """GET /properties/{type}/{name}."""
    kind, name = kind_of(ask.path["kind"]), ask.path["name"]
    if name not in crm.properties[kind]:
        raise error(404, "OBJECT_NOT_FOUND", f"property {name} does not exist")
    return property_view(kind, crm.properties[kind][name])


def create_property(crm: Crm, ask: Ask) -> Answer:
    """POST /properties/{type}."""
    kind, body = kind_of(ask.path["kind"]), ask.body
    if absent := [name for name in ("name", "label", "type", "fieldType", "groupName") if not body.get(name)]:
        raise invalid(f"Invalid input JSON: {', '.join(absent)} required")
    if body["name"] in crm.properties[kind]:
        raise error(409, "OBJECT_ALREADY_EXISTS", f"A property named '{body['name']}' already exists.")
    options = tuple(each["value"] for each in body.get("options") or [])
    known = Property(body["name"], body["type"], options, body["label"], body["groupName"], custom=True)
    crm.properties[kind][known.name] = known
    return 201, property_view(kind, known)


def pipeline_view(pipeline: Pipeline) -> Json:
    """Return a pipeline and its stages."""
    about = {"archived": False, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"}
    stages = [about | stage_view(order, each) for order, each in enumerate(pipeline.stages)]
    return about | {"id": pipeline.id, "label": pipeline.label, "displayOrder": 0, "stages": stages}


def stage_view(order: int, stage: Stage) -> Json:
    """Return what a stage has of its own."""
    metadata = {"ticketState": "CLOSED" if stage.closed else "OPEN", "isClosed": str(stage.closed).lower()}
    own = {"id": stage.id, "label": stage.label, "displayOrder": order, "metadata": metadata}
    return own | {"writePermissions": "CRM_PERMISSIONS_ENFORCEMENT"}


def list_pipelines(crm: Crm, ask: Ask) -> Answer:
    """GET /pipelines/{type}."""
    of_tickets(ask)
    return {"results": [pipeline_view(each) for each in crm.pipelines.values()]}


def create_pipeline(crm: Crm, ask: Ask) -> Answer:
    """POST /pipelines/{type}."""
    of_tickets(ask)
    stages = tuple(
        Stage(crm.next_id(), each["label"], (each.get("metadata") or {}).get("ticketState") == "CLOSED")
        for each in ask.body.get("stages") or []
    )
    if not stages or not ask.body.get("label"):
        raise invalid("Invalid input JSON: label and stages are required")
    pipeline = Pipeline(crm.next_id(), ask.body["label"], stages)
    crm.add_pipeline(pipeline)
    return 201, pipeline_view(pipeline)


def of_tickets(ask: Ask) -> None:
    """Refuse other types: nobody asks for their pipelines yet."""
    if kind_of(ask.path["kind"]) != "tickets":
        raise missing()


def list_owners(crm: Crm, ask: Ask) -> Answer:
    """GET /owners."""
    wanted = ask.query.get("email", "").lower()
    owners = [each for each in crm.owners if not wanted or each["email"].lower() == wanted]
    page, paging = paged(owners, ask.query.get("after"), ask.number("limit", 100, 500), ask.url)
    return {"results": page} | paging


def get_owner(crm: Crm, ask: Ask) -> Answer:
    """GET /owners/{id}."""
    for owner in crm.owners:
        if owner["id"] == ask.path["id"]:
            return dict(owner)
    raise missing()


def account(_crm: Crm, _ask: Ask) -> Answer:
    """GET /account-info/.../details."""
    return {
        "portalId": 4242,
        "accountType": "STANDARD",
        "timeZone": "UTC",
        "companyCurrency": "USD",
        "additionalCurrencies": [],
        "utcOffset": "+00:00",
        "utcOffsetMilliseconds": 0,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    }


# Routes

OBJECT_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/{kind}/search", search),
    ("POST", "/{kind}/batch/read", batch_read),
    ("POST", "/{kind}/batch/create", batch_create),
    ("POST", "/{kind}/batch/update", batch_update),
    ("POST", "/{kind}/batch/upsert", batch_upsert),
    ("POST", "/{kind}/batch/archive", batch_archive),
    ("POST", "/{kind}", create_one),
    ("GET", "/{kind}", list_all),
    ("GET", "/{kind}/{id}", get_one),
    ("PATCH", "/{kind}/{id}", update_one),
    ("DELETE", "/{kind}/{id}", archive_one),
    ("PUT", "/{kind}/{id}/associations/default/{to_kind}/{to_id}", associate_default),
    ("PUT", "/{kind}/{id}/associations/{to_kind}/{to_id}", associate_labelled),
    ("DELETE", "/{kind}/{id}/associations/{to_kind}/{to_id}", disassociate),
)
ASSOCIATION_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/{kind}/{to_kind}/batch/associate/default", associate_batch),
    ("POST", "/{kind}/{to_kind}/batch/read", read_associations),
)
PROPERTY_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/{kind}", list_properties),
    ("POST", "/{kind}", create_property),
    ("GET", "/{kind}/{name}", get_property),
)
PIPELINE_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/{kind}", list_pipelines),
    ("POST", "/{kind}", create_pipeline),
)
OWNER_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "", list_owners),
    ("GET", "/", list_owners),
    ("GET", "/{id}", get_owner),
)
LISTING = "/{kind}/{id}/associations/{to_kind}"
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    *(
        (method, base + path, handler)
        for base in ("/crm/v3/objects", "/crm/v4/objects", "/crm/objects/2026-09")
        for method, path, handler in OBJECT_ROUTES
    ),
    ("GET", "/crm/v3/objects" + LISTING, list_associations_v3),
    ("GET", "/crm/v4/objects" + LISTING, list_associations),
    ("GET", "/crm/objects/2026-09" + LISTING, list_associations),
    *(
        (method, base + path, handler)
        for base in ("/crm/v4/associations", "/crm/associations/2026-09")
        for method, path, handler in ASSOCIATION_ROUTES
    ),
    *(
        (method, base + path, handler)
        for base in ("/crm/v3/properties", "/crm/properties/2026-09")
        for method, path, handler in PROPERTY_ROUTES
    ),
    *(
        (method, base + path, handler)
        for base in ("/crm/v3/pipelines", "/crm/pipelines/2026-09")
        for method, path, handler in PIPELINE_ROUTES
    ),
    *(
        (method, base + path, handler)
        for base in ("/crm/v3/owners", "/crm/owners/2026-09")
        for method, path, handler in OWNER_ROUTES
    ),
    ("GET", "/account-info/v3/details", account),
    ("GET", "/account-info/2026-09/details", account),
)


def routes(world: World) -> Iterator[Route]:
    """Yield HubSpot's routes, relative to `/hubspot`."""

    def check(request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {credentials.HUBSPOT_TOKEN}":
            raise unauthorized()

    def bad_json() -> Refused:
        return invalid("Invalid input JSON")

    def on_crm(handler: Handler) -> Callable[[Ask], Answer]:
        return lambda ask: handler(world.crm, ask)

    for method, path, handler in ROUTES:
        yield Route(path, endpoint(on_crm(handler), check, bad_json), methods=[method])

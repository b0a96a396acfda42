"""Notion's API, in Notion's words: pages in data sources, of the version that splits those from databases."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import credentials
from sandbox.notion_values import (
    BLOCKS,
    BYTES,
    TAKES,
    WITH_TEXT,
    Invalid,
    Property,
    broken,
    check_keys,
    children,
    count,
    plain,
    shown,
)
from sandbox.wire import Answer, Ask, Json, Refused, endpoint, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

Handler = Callable[["Notebook", Ask], Json]

VERSION = "2026-03-11"
BOT = "b0700000-0000-4000-8000-000000000000"
INTEGRATION = "Signoff"
PAGE = 100
ARCHIVED = "Can't edit block that is archived. You must unarchive the block before editing."
UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def source_id(name: str) -> str:
    """Return the id of the data source that is called so."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox/data-source/{name}"))


def database_id(name: str) -> str:
    """Return the id of the database that the data source is in."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox/database/{name}"))


def iso(moment: float) -> str:
    """Return a moment in Notion's notation, which knows only minutes."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:00.000Z")


@dataclass
class Source:
    """A data source, in a database of its own."""

    name: str
    properties: dict[str, Property]
    shared: bool = True
    beside: list[str] = field(default_factory=list)
    """Names of other data sources of the same database."""

    @property
    def id(self) -> str:
        """Return its id."""
        return source_id(self.name)


@dataclass
class Block:
    """A block, or a page, in another one."""

    id: str
    content: Json
    inside: list[str] = field(default_factory=list)


@dataclass
class Page:
    """A page of a data source."""

    id: str
    source: Source
    values: dict[str, Any]
    """By a property's id."""
    created: float
    edited: float
    in_trash: bool = False

    @property
    def title(self) -> str:
        """Return the page's title."""
        return next(
            (plain(self.values.get(each.id) or []) for each in self.source.properties.values() if each.kind == "title"),
            "",
        )


class Notebook:
    """The state behind the Notion API."""

    def __init__(self, databases: tuple[Mapping[str, Any], ...]) -> None:
        """Open a workspace whose databases are shared with the integration."""
        self.sources: dict[str, Source] = {}
        self.pages: dict[str, Page] = {}
        self.blocks: dict[str, Block] = {}
        self._last = 0.0
        for database in databases:
            self.add_source(database["name"], database["properties"])

    def add_source(self, name: str, described: Mapping[str, Any]) -> Source:
        """Make a data source from its properties: each a type, or a list of options."""
        properties = {}
        for number, (column, about) in enumerate(described.items()):
            kind, options = ("select", about) if isinstance(about, list) else (about, None)
            properties[column] = Property("title" if kind == "title" else f"p{number:03}", kind, options)
        source = Source(name, properties)
        self.sources[source.id] = source
        return source

    def named(self, name: str) -> Source:
        """Return the data source that people call so."""
        return self.sources[source_id(name)]

    def source(self, wanted: str) -> Source:
        """Return a data source that the integration may see."""
        found = self.sources.get(wanted)
        if found is None or not found.shared:
            raise missing("data_source", wanted)
        return found

    def page(self, wanted: str) -> Page:
        """Return a page that the integration may see."""
        found = self.pages.get(wanted)
        if found is None or not found.source.shared:
            raise missing("page", wanted)
        return found

    def now(self) -> float:
        """Return a moment later than every one before, so that what was made later sorts later."""
        self._last = max(time.time(), self._last + 0.000_001)
        return self._last

    def put(self, parent: str, made: list[Json], before: int | None = None) -> list[str]:
        """Put blocks into a page or a block; returns their ids."""
        ids = []
        for each in made:
            inner = each.pop("children")
            block = Block(str(uuid.uuid4()), each)
            self.blocks[block.id] = block
            self.put(block.id, inner)
            ids.append(block.id)
        held = self.blocks[parent].inside
        place = len(held) if before is None else before
        held[place:place] = ids
        return ids

    def delete(self, page_id: str) -> None:
        """Delete a page for good, as a person can who empties the trash."""
        del self.pages[page_id], self.blocks[page_id]

    def text_of(self, parent: str) -> list[str]:
        """Return what blocks say, a line each, with a mark for their kind."""
        return [line_of(self.blocks[each].content) for each in self.blocks[parent].inside]


MARKS = {"heading_1": "# ", "heading_2": "## ", "heading_3": "### ", "bulleted_list_item": "- ",
         "numbered_list_item": "1. ", "quote": "> "}  # fmt: skip


def line_of(content: Json) -> str:
    """Return a block as a line of Markdown."""
    kind = content["type"]
    if kind not in WITH_TEXT:
        return "---"
    mark = MARKS.get(kind, "")
    if kind == "to_do":
        mark = "- [x] " if content[kind].get("checked") else "- [ ] "
    return mark + plain(content[kind]["rich_text"])


# Errors


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Refused:
    """Return a refusal in Notion's error JSON."""
    body = {"object": "error", "status": status, "code": code, "message": message, "request_id": str(uuid.uuid4())}
    return Refused(status, body, headers)


def invalid(message: str) -> Refused:
    """Return a 400."""
    return error(400, "validation_error", message)


def missing(what: str, wanted: str) -> Refused:
    """Return the 404, which is the same for what is not there and for what is not shared."""
    return error(
        404,
        "object_not_found",
        f"Could not find {what} with ID: {wanted}. Make sure the relevant pages and databases are shared with your "
        f'integration "{INTEGRATION}".',
    )


def fault_reply(kind: str, retry_after: float | None) -> Response:
    """Return what Notion says when it is not well."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    match kind:
        case "rate_limited":
            refusal = error(429, "rate_limited", "You have been rate limited. Please try again in a few minutes.")
        case "unauthorized":
            refusal = error(401, "unauthorized", "API token is invalid.")
        case "overloaded":
            refusal = error(503, "service_unavailable", "Notion is unavailable, please try again later.")
        case "bad_request":
            refusal = invalid("body failed validation: body.nonsense should be not present, instead was `true`.")
        case _:
            refusal = error(500, "internal_server_error", "Unexpected error occurred.")
    return json_reply(refusal.body, refusal.status, headers)


# Views


def person() -> Json:
    """Return the integration's user, as other objects name it."""
    return {"object": "user", "id": BOT}


def page_view(page: Page) -> Json:
    """Return a page as Notion shows it."""
    slug = "-".join(re.findall(r"\w+", page.title)) or "Untitled"
    return {
        "object": "page",
        "id": page.id,
        "created_time": iso(page.created),
        "last_edited_time": iso(page.edited),
        "created_by": person(),
        "last_edited_by": person(),
        "cover": None,
        "icon": None,
        "parent": {
            "type": "data_source_id",
            "data_source_id": page.source.id,
            "database_id": database_id(page.source.name),
        },
        "in_trash": page.in_trash,
        "is_locked": False,
        "properties": {
            name: {"id": each.id, "type": each.kind, each.kind: page.values.get(each.id, each.empty())}
            for name, each in page.source.properties.items()
        },
        "url": f"https://www.notion.so/{slug}-{page.id.replace('-', '')}",
        "public_url": None,
    }


def source_view(source: Source) -> Json:
    """Return a data source as Notion shows it."""
    return {
        "object": "data_source",
        "id": source.id,
        "created_time": iso(0),
        "last_edited_time": iso(0),
        "created_by": person(),
        "last_edited_by": person(),
        "cover": None,
        "icon": None,
        "title": [{"type": "text", "text": {"content": source.name, "link": None}, "plain_text": source.name}],
        "description": [],
        "parent": {"type": "database_id", "database_id": database_id(source.name)},
        "database_parent": {"type": "workspace", "workspace": True},
        "properties": {name: each.view(name) for name, each in source.properties.items()},
        "in_trash": False,
        "is_inline": False,
        "url": f"https://www.notion.so/{database_id(source.name).replace('-', '')}",
        "public_url": None,
    }


def block_view(notes: Notebook, block: Block) -> Json:
    """Return a block as Notion shows it: what lies in it has to be asked for."""
    return {
        "object": "block",
        "id": block.id,
        "created_time": iso(0),
        "last_edited_time": iso(0),
        "created_by": person(),
        "last_edited_by": person(),
        "has_children": bool(notes.blocks[block.id].inside),
        "in_trash": False,
    } | block.content


def listed(kind: str, items: list[Json], after: str | None) -> Json:
    """Return one page of a list."""
    return {
        "object": "list",
        "results": items,
        "next_cursor": after,
        "has_more": after is not None,
        "type": kind,
        kind: {},
    }


def cut(ids: list[str], size: Any, cursor: Any, place: str) -> tuple[list[str], str | None]:
    """Return a page of ids, and where the next one begins."""
    size = PAGE if size is None else size
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise broken(f"{place}.page_size", "a number", size)
    if size > PAGE:
        raise Invalid(f"{place} failed validation: {place}.page_size should be ≤ `{PAGE}`, instead was `{size}`.")
    if cursor is not None and cursor not in ids:
        raise Invalid(f"The start_cursor provided is invalid: {cursor}")
    start = 0 if cursor is None else ids.index(cursor)
    end = start + size
    return ids[start:end], ids[end] if end < len(ids) else None


# Handlers


def whoami(_notes: Notebook, _ask: Ask) -> Json:
    """GET /v1/users/me."""
    about = {"owner": {"type": "workspace", "workspace": True}, "workspace_name": "Sandbox", "workspace_id": BOT}
    return {"object": "user", "id": BOT, "name": INTEGRATION, "avatar_url": None, "type": "bot", "bot": about}


def get_database(notes: Notebook, ask: Ask) -> Json:
    """GET /v1/databases/{id}."""
    wanted = identity(ask, "database_id")
    for source in notes.sources.values():
        if database_id(source.name) == wanted and source.shared:
            names = [source.name, *source.beside]
            sources = [{"id": source_id(name), "name": name} for name in names]
            return {
                "object": "database",
                "id": wanted,
                "title": source_view(source)["title"],
                "parent": {"type": "workspace", "workspace": True},
                "is_inline": False,
                "in_trash": False,
                "created_time": iso(0),
                "last_edited_time": iso(0),
                "data_sources": sources,
                "url": f"https://www.notion.so/{wanted.replace('-', '')}",
                "icon": None,
                "cover": None,
            }
    raise missing("database", wanted)


def get_source(notes: Notebook, ask: Ask) -> Json:
    """GET /v1/data_sources/{id}."""
    return source_view(notes.source(identity(ask, "data_source_id")))


def query(notes: Notebook, ask: Ask) -> Json:
    """POST /v1/data_sources/{id}/query. Pages in the trash are left out."""
    source = notes.source(identity(ask, "data_source_id"))
    check_keys(ask.body, "body", {"filter", "sorts", "start_cursor", "page_size", "result_type"})
    pages = [page for page in notes.pages.values() if page.source is source and not page.in_trash]
    if "filter" in ask.body:
        passes = condition(source, ask.body["filter"])
        pages = [page for page in pages if passes(page)]
    pages.sort(key=lambda page: page.created, reverse=True)
    for sort in reversed(ask.body.get("sorts", [])):
        pages.sort(key=sort_key(source, sort), reverse=sort.get("direction") == "descending")
    ids, after = cut([page.id for page in pages], ask.body.get("page_size"), ask.body.get("start_cursor"), "body")
    found = listed("page_or_data_source", [page_view(notes.pages[each]) for each in ids], after)
    return found | {"request_status": {"type": "complete"}}


def condition(source: Source, wanted: Any) -> Callable[[Page], bool]:
    """Return what a filter asks of a page."""
    if not isinstance(wanted, dict):
        raise broken("body.filter", "an object", wanted)
    for word, join in (("and", all), ("or", any)):
        if word in wanted:
            inner = [condition(source, each) for each in wanted[word]]
            return lambda page, join=join, inner=inner: join(each(page) for each in inner)  # type: ignore[misc]
    column = property_of(source, wanted.get("property"))
    if column is None:
        raise Invalid(f"Could not find property with name or id: {wanted.get('property')}")
    kinds = [key for key in wanted if key not in ("property", "type")]
    if len(kinds) != 1 or not isinstance(wanted[kinds[0]], dict) or len(wanted[kinds[0]]) != 1:
        raise broken("body.filter", "one condition on one property", wanted)
    if kinds[0] != column.kind:
        raise Invalid(
            "The property type in the database does not match the property type of the filter provided: database "
            f"property {column.kind} does not match filter {kinds[0]}"
        )
    ((operator, operand),) = wanted[kinds[0]].items()
    if operator not in OPERATORS:
        raise broken(f"body.filter.{kinds[0]}", "a condition", wanted[kinds[0]])
    return lambda page: OPERATORS[operator](page.values.get(column.id, column.empty()), operand)


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": lambda held, wanted: held == wanted if isinstance(held, bool | int | float) else shown(held) == wanted,
    "does_not_equal": lambda held, wanted: shown(held) != wanted,
    "contains": lambda held, wanted: wanted in shown(held),
    "starts_with": lambda held, wanted: shown(held).startswith(wanted),
    "is_empty": lambda held, _: not shown(held),
    "is_not_empty": lambda held, _: bool(shown(held)),
    "on_or_after": lambda held, wanted: bool(held) and shown(held) >= wanted,
    "on_or_before": lambda held, wanted: bool(held) and shown(held) <= wanted,
    "greater_than": lambda held, wanted: held is not None and held > wanted,
    "less_than": lambda held, wanted: held is not None and held < wanted,
}


def sort_key(source: Source, sort: Json) -> Callable[[Page], Any]:
    """Return by what pages are sorted."""
    if "timestamp" in sort:
        return (lambda page: page.created) if sort["timestamp"] == "created_time" else (lambda page: page.edited)
    column = property_of(source, sort.get("property"))
    if column is None:
        raise Invalid(f"Could not find sort property with name or id: {sort.get('property')}")
    return lambda page: shown(page.values.get(column.id))


def create_page(notes: Notebook, ask: Ask) -> Json:
    """POST /v1/pages, into a data source: the only parent that the sandbox knows."""
    check_keys(ask.body, "body", {"parent", "properties", "children"})
    if not isinstance(ask.body.get("parent"), dict):
        raise broken("body.parent", "defined", None)
    wanted = ask.body["parent"].get("data_source_id")
    if not isinstance(wanted, str):
        raise broken("body.parent.data_source_id", "defined", None)
    if not UUID.fullmatch(wanted):
        raise broken("body.parent.data_source_id", "a valid uuid", wanted)
    source = notes.source(str(uuid.UUID(wanted)))
    body = blocks_of(ask)
    values = values_of(source, ask.body.get("properties"))
    now = notes.now()
    page = Page(str(uuid.uuid4()), source, values, now, now)
    notes.pages[page.id] = page
    notes.blocks[page.id] = Block(page.id, {})
    notes.put(page.id, body)
    return page_view(page)


def get_page(notes: Notebook, ask: Ask) -> Json:
    """GET /v1/pages/{id}."""
    return page_view(notes.page(identity(ask, "page_id")))


def update_page(notes: Notebook, ask: Ask) -> Json:
    """PATCH /v1/pages/{id}."""
    page = notes.page(identity(ask, "page_id"))
    check_keys(ask.body, "body", {"properties", "in_trash"})
    trash = ask.body.get("in_trash")
    if trash is not None and not isinstance(trash, bool):
        raise broken("body.in_trash", "a boolean", trash)
    if page.in_trash and trash is not False:
        raise Invalid(ARCHIVED)
    values = values_of(page.source, ask.body["properties"]) if "properties" in ask.body else {}
    page.values |= values
    page.in_trash = page.in_trash if trash is None else trash
    page.edited = notes.now()
    return page_view(page)


def get_children(notes: Notebook, ask: Ask) -> Json:
    """GET /v1/blocks/{id}/children."""
    block = block_of(notes, ask)
    size = ask.query.get("page_size")
    if size is not None and not size.isdigit():
        raise broken("query.page_size", "a number", size)
    cursor = ask.query.get("start_cursor")
    ids, after = cut(block.inside, None if size is None else int(size), cursor, "query")
    return listed("block", [block_view(notes, notes.blocks[each]) for each in ids], after)


def append_children(notes: Notebook, ask: Ask) -> Json:
    """PATCH /v1/blocks/{id}/children."""
    block = block_of(notes, ask)
    check_keys(ask.body, "body", {"children", "position"})
    if "children" not in ask.body:
        raise broken("body.children", "defined", None)
    if block.id in notes.pages and notes.pages[block.id].in_trash:
        raise Invalid(ARCHIVED)
    body = blocks_of(ask)
    match ask.body.get("position", {"type": "end"}):
        case {"type": "end"}:
            place = None
        case {"type": "start"}:
            place = 0
        case {"type": "after_block", "after_block": {"id": str() as after}} if after in block.inside:
            place = block.inside.index(after) + 1
        case other:
            raise broken("body.position", "a position among the block's children", other)
    ids = notes.put(block.id, body, place)
    return listed("block", [block_view(notes, notes.blocks[each]) for each in ids], None)


def block_of(notes: Notebook, ask: Ask) -> Block:
    """Return the page or block that the path names."""
    wanted = identity(ask, "block_id")
    page = notes.pages.get(wanted)
    if wanted not in notes.blocks or (page and not page.source.shared):
        raise missing("block", wanted)
    return notes.blocks[wanted]


def blocks_of(ask: Ask) -> list[Json]:
    """Return the blocks that a request brings, within Notion's limits."""
    body = children(ask.body.get("children", []))
    if count(body) > BLOCKS:
        raise Invalid(f"body failed validation: body has {count(body)} blocks, which is more than {BLOCKS}.")
    return body


def property_of(source: Source, wanted: Any) -> Property | None:
    """Return a property by name or id."""
    return source.properties.get(wanted) or next(
        (each for each in source.properties.values() if each.id == wanted), None
    )


def values_of(source: Source, given: Any) -> dict[str, Any]:
    """Return a page's values, by a property's id; all that is wrong with them is told at once."""
    if not isinstance(given, dict):
        raise broken("body.properties", "defined", None)
    wrong, values = [], {}
    for name, value in given.items():
        column = property_of(source, name)
        if column is None:
            wrong.append(f"{name} is not a property that exists.")
        elif not isinstance(value, dict) or column.kind not in value or column.kind not in TAKES:
            wrong.append(f"{name} is expected to be {column.kind}.")
        else:
            check_keys(value, f"body.properties.{name}", {"id", "type", "name", column.kind})
            values[column.id] = column.take(value[column.kind], f"body.properties.{name}")
    if wrong:
        raise Invalid(" ".join(wrong))
    return values


def identity(ask: Ask, name: str) -> str:
    """Return an id from the path, with or without dashes in it."""
    given = ask.path["id"]
    if not UUID.fullmatch(given):
        raise Invalid(f'path failed validation: path.{name} should be a valid uuid, instead was `"{given}"`.')
    return str(uuid.UUID(given))


# What people do


def change(notes: Notebook, wanted: Json) -> None:
    """Let a person change a database: `rename` or `retype` properties, add one, take it away from the integration.

    `beside` adds a data source of that name to the same database.
    """
    source = notes.named(wanted["database"])
    for old, new in wanted.get("rename", {}).items():
        source.properties[new] = source.properties.pop(old)
    for name, kind in wanted.get("retype", {}).items():
        source.properties[name] = Property(f"{source.properties[name].id}x", kind)
    source.shared = wanted.get("shared", source.shared)
    if "beside" in wanted:
        notes.add_source(wanted["beside"], {"Name": "title", "Key": "rich_text"})
        source.beside.append(wanted["beside"])


def view(notes: Notebook, page: Page) -> Json:
    """Return a page as a person would look at it."""
    properties = {name: shown(page.values.get(each.id)) for name, each in page.source.properties.items()}
    return {
        "id": page.id,
        "database": page.source.name,
        "title": page.title,
        "properties": {name: text for name, text in properties.items() if text},
        "body": notes.text_of(page.id),
        "in_trash": page.in_trash,
        "at": page.created,
    }


# The wire

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/users/me", whoami),
    ("GET", "/v1/databases/{id}", get_database),
    ("GET", "/v1/data_sources/{id}", get_source),
    ("POST", "/v1/data_sources/{id}/query", query),
    ("POST", "/v1/pages", create_page),
    ("GET", "/v1/pages/{id}", get_page),
    ("PATCH", "/v1/pages/{id}", update_page),
    ("GET", "/v1/blocks/{id}/children", get_children),
    ("PATCH", "/v1/blocks/{id}/children", append_children),
)
READS = {whoami, get_database, get_source, query, get_page, get_children}


def routes(world: World) -> Iterator[Route]:
    """Yield Notion's routes, relative to `/notion`."""
    for method, path, handler in ROUTES:
        yield Route(path, endpoint(bound(world, handler), checker(handler), bad_json), methods=[method])

    async def nowhere(_request: Request) -> Response:
        return error(400, "invalid_request_url", "Invalid request URL.").response()

    yield Route("/{path:path}", nowhere, methods=["GET", "POST", "PATCH", "DELETE", "PUT"])


def bound(world: World, handler: Handler) -> Callable[[Ask], Answer]:
    """Return the handler on this world, with Notion's refusals for what does not fit."""

    def answer(ask: Ask) -> Answer:
        if int(ask.headers.get("content-length") or 0) > BYTES:
            raise invalid(f"body failed validation: body is larger than {BYTES // 1000} kB.")
        try:
            return handler(world.notion, ask) | {"request_id": str(uuid.uuid4())}
        except Invalid as wrong:
            raise invalid(str(wrong)) from None

    return answer


def checker(handler: Handler) -> Callable[[Request], None]:
    """Return the check of a call's token and version."""

    def check(request: Request) -> None:
        tokens = {f"Bearer {credentials.NOTION_TOKEN}", f"Bearer {credentials.NOTION_TOKEN_READS}"}
        given = request.headers.get("authorization", "")
        if given not in tokens:
            raise error(401, "unauthorized", "API token is invalid.")
        version = request.headers.get("notion-version")
        if version is None:
            told = "Notion-Version header should be defined, instead was `undefined`."
            raise error(400, "missing_version", f"Notion-Version header failed validation: {told}")
        if version != VERSION:
            told = f'Notion-Version header should be `"{VERSION}"`, instead was `"{version}"`.'
            raise error(400, "missing_version", f"Notion-Version header failed validation: {told}")
        if handler not in READS and given == f"Bearer {credentials.NOTION_TOKEN_READS}":
            raise error(403, "restricted_resource", "Insufficient permissions for this endpoint.")

    return check


def bad_json() -> Refused:
    """Return what Notion says of a body that is not JSON."""
    return error(400, "invalid_json", "Error parsing JSON body.")

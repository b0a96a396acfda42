"""Notion: pages in one database, each with a key by which it is found again.

Plain httpx: Notion has no Python SDK of its own, and eight calls need none. A database's rows live in *data sources*,
most often one; since the API's version 2025-09-03 they are what is read and written.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, NamedTuple

import httpx
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr

from blocks import guard
from blocks.connecting import Connecting
from blocks.notion_parts import VALUES, Json, value
from blocks.shape import ALIKE, Id, Part, SchemaDrift, Shape
from blocks.vendor import Failures, Once, VendorError, as_kind, without_frames

VERSION = "2026-03-11"
"""The version that each request names; Notion changes what it answers only from one to the next.

Source: https://developers.notion.com/reference/changes-by-version
"""

PAGE = 100  # the most that a list gives at once
CONNECTIONS = 16
ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)

SHARE = "share the database with the integration: open it in Notion, then ..., Connections"
WAYS_OUT = {
    401: "put the integration's token into the block: Notion, Settings, Connections, Develop or manage integrations",
    403: f"give the integration the capabilities to read, insert and update content, and {SHARE}",
}
NOT_FOUND, NOT_SHARED = 404, 403
# Callers know by 403 that every other call on the block will fail too; a 404 would be about one thing only.


class PageGone(VendorError):
    """There is no such page for this integration: it was deleted for good, or is no longer shared."""


class _Object(Part):
    known = frozenset(
        {
            "object", "created_time", "last_edited_time", "created_by", "last_edited_by", "cover", "icon", "parent",
            "properties", "public_url", "is_locked", "is_archived", "archived", "request_id",
        }
    )  # fmt: skip

    id: Id


class _Hit(_Object):
    known = _Object.known | {"in_trash"}

    url: Id


class _Page(_Object):
    url: Id
    in_trash: bool


class _Found(Part):
    known = frozenset(
        {"object", "type", "page_or_data_source", "next_cursor", "has_more", "request_status", "request_id"}
    )

    results: list[_Hit]


class _Block(_Object):
    """Only counted."""


class _Children(Part):
    known = frozenset({"object", "type", "block", "has_more", "request_id"})

    results: list[_Block]
    next_cursor: str | None


class _Property(Part):
    type: Id


class _Text(Part):
    known = frozenset({"type", "text", "mention", "equation", "annotations", "href"})

    plain_text: str


class _Source(_Object):
    known = _Object.known | {"description", "database_parent", "is_inline", "in_trash", "url"}

    title: list[_Text]
    properties: dict[str, dict[str, Any]]


class _OneSource(Part):
    id: Id
    name: str


class _Database(_Object):
    known = _Object.known | {"title", "description", "is_inline", "in_trash", "url"}

    data_sources: list[_OneSource]


PAGE_SHAPE = Shape("notion", "page", _Page)
FOUND_SHAPE = Shape("notion", "query", _Found)
CHILDREN_SHAPE = Shape("notion", "block-children", _Children)
SOURCE_SHAPE = Shape("notion", "data-source", _Source)
PROPERTY_SHAPE = Shape("notion", "property", _Property)
DATABASE_SHAPE = Shape("notion", "database", _Database)


class Page(NamedTuple):
    """A page of the database."""

    id: str
    url: str
    in_trash: bool = False


class Database(NamedTuple):
    """What the pages of a database have."""

    name: str
    """As people see it."""
    types: Mapping[str, str]
    """By property's name its type, in Notion's words: `title`, `rich_text`, `select`, ..."""

    @property
    def title(self) -> str:
        """The property that is the page's title; there is always exactly one."""
        return next((name for name, kind in self.types.items() if kind == "title"), "title")


class Notion(Block):
    """One Notion database, by an integration that it is shared with."""

    _block_type_name: ClassVar[str | None] = "Notion"
    _block_type_slug: ClassVar[str | None] = "notion"
    _description: ClassVar[str | None] = (
        "The database that workflows add pages to. Make an internal integration with the capabilities to read, insert "
        "and update content, share the database with it, and give the database a text property called Key."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="the capabilities to read, insert and update content; the database shared with the integration",
        found="Notion, Settings, Connections, Develop or manage integrations",
        environment={"token": ("NOTION_TOKEN", "NOTION_API_KEY")},
        probe=lambda notion: notion.find("signoff connect"),
    )

    token: SecretStr = Field(
        title="Integration token",
        description="Starts with ntn_ (older ones with secret_); from the integration's page, Configuration.",
    )
    data_source: str = Field(
        title="Database",
        description="The link of the database, or its data source's id: in the database's settings under "
        "Manage data sources. It must be the id where a database has several data sources.",
    )
    key_property: str = Field(
        default="Key",
        title="Key property",
        description="The text property in which the key of each page is kept: by it a page is found again, and never "
        "made twice. People need not see it in their views.",
    )
    address: str = Field(
        default="https://api.notion.com",
        title="Address",
        description="Notion's API. Change it only to use a sandbox or a proxy.",
    )
    timeout_seconds: float = Field(
        default=30,
        gt=0,
        title="Timeout (seconds)",
        description="How long to wait to connect, and for each piece of a reply.",
    )

    _client: Once[httpx.Client] = PrivateAttr(default_factory=Once)
    _source: Once[str] = PrivateAttr(default_factory=Once)

    def get_client(self) -> httpx.Client:
        """An httpx client with token and version, which neither retries nor follows redirects. Thread-safe."""
        return self._client.get(self._build_client)

    def check(self) -> str:
        """Ask Notion who we are: `Signoff in Example Inc`."""
        who = self._call("GET", "/v1/users/me", "read the integration's own user")
        bot = who.get("bot")
        workspace = bot.get("workspace_name") if isinstance(bot, dict) else None
        return f"{who.get('name') or '?'} in {workspace or '?'}"

    def database(self) -> Database:
        """The database's name and its properties, as they are now."""
        return self._read_database(self._source_id())

    def find(self, key: str) -> Page | None:
        """The page that was created with `key`, or None; a page in the trash is not found.

        Raises:
            SchemaDrift: the database has lost its key property.
        """
        operation = "query the database"
        question = {
            "filter": {"property": self.key_property, "rich_text": {"equals": key}},
            "sorts": [{"timestamp": "created_time", "direction": "ascending"}],
            "page_size": 1,
        }
        path = f"/v1/data_sources/{self._source_id()}/query"
        try:
            reply = self._about_source("POST", path, operation, json=question)
        except VendorError as error:
            if error.status == httpx.codes.BAD_REQUEST:  # most likely because of its one property: say which, and why
                self._check_key(self.database(), operation)
            raise
        found = FOUND_SHAPE.read(reply, operation).results
        return Page(found[0].id, found[0].url) if found else None

    def page(self, page_id: str) -> Page:
        """A page, which may be in the trash.

        Raises:
            PageGone: there is no such page any more.
        """
        operation = "read a page"
        return _page(PAGE_SHAPE.read(self._about_page("GET", f"/v1/pages/{page_id}", operation), operation))

    def create(self, title: str, properties: Mapping[str, str], key: str, blocks: Sequence[Json] = ()) -> Page:
        """Create a page in the database, and return it. `find` finds it again by `key`.

        Args:
            title: the page's.
            properties: by name, as a person writes them; those without a text are left out.
            key: what no other page of the database has.
            blocks: the beginning of its body: one of `notion_parts.batches`. `append` adds the others.

        Raises:
            SchemaDrift: the database has no such property, or none that a text can be written into.
            VendorError: a text is no value of its property; `unknown` when the reply was lost.
        """
        operation = "create a page"
        database = self.database()
        self._check_key(database, operation)
        texts = {database.title: title, **properties, self.key_property: key}
        new: Json = {
            "parent": {"type": "data_source_id", "data_source_id": self._source_id()},
            "properties": self._values(database, texts, operation),
        }
        if blocks:
            new["children"] = list(blocks)
        reply = self._about_source("POST", "/v1/pages", operation, write=True, json=new)
        return _page(PAGE_SHAPE.read(reply, operation, write=True))

    def append(self, page_id: str, blocks: Sequence[Json]) -> None:
        """Add blocks at the end of a page: one of `notion_parts.batches`.

        Raises:
            PageGone: there is no such page any more.
            VendorError: `unknown` when the reply was lost; `length` tells whether they were added.
        """
        self._about_page(
            "PATCH", f"/v1/blocks/{page_id}/children", "append blocks", write=True, json={"children": list(blocks)}
        )

    def length(self, page_id: str) -> int:
        """How many blocks the page has on its top level.

        Raises:
            PageGone: there is no such page any more.
        """
        operation, path = "read a page's blocks", f"/v1/blocks/{page_id}/children"
        count, cursor = 0, None
        while True:
            more: dict[str, str] = {"start_cursor": cursor} if cursor else {}
            reply = self._about_page("GET", path, operation, params={"page_size": str(PAGE), **more})
            children = CHILDREN_SHAPE.read(reply, operation)
            count, cursor = count + len(children.results), children.next_cursor
            if not cursor:
                return count

    def update(self, page_id: str, properties: Mapping[str, str]) -> None:
        """Set a page's properties; an empty text clears one. Safe to repeat: the values are absolute.

        Raises:
            PageGone: there is no such page any more.
            SchemaDrift: the database has no such property, or none that a text can be written into.
            VendorError: a text is no value of its property, or the page is in the trash.
        """
        operation = "update a page"
        values = self._values(self.database(), properties, operation, clear=True)
        self._about_page("PATCH", f"/v1/pages/{page_id}", operation, write=True, json={"properties": values})

    def archive(self, page_id: str) -> None:
        """Move a page to the trash, from where `restore` and people can take it back. Safe to repeat.

        Raises:
            PageGone: there is no such page any more.
        """
        self._move(page_id, in_trash=True)

    def restore(self, page_id: str) -> None:
        """Take a page out of the trash. Safe to repeat.

        Raises:
            PageGone: there is no such page any more.
        """
        self._move(page_id, in_trash=False)

    def _move(self, page_id: str, *, in_trash: bool) -> None:
        operation = "move a page to the trash" if in_trash else "take a page out of the trash"
        try:
            self._about_page("PATCH", f"/v1/pages/{page_id}", operation, write=True, json={"in_trash": in_trash})
        except VendorError as error:
            # Notion refuses any change of a page in the trash, this one too.
            if error.status != httpx.codes.BAD_REQUEST or self.page(page_id).in_trash is not in_trash:
                raise

    # The database

    def _source_id(self) -> str:
        return self._source.get(self._look_up_source)

    def _look_up_source(self) -> str:
        """The data source's id, from what a person has put into the block."""
        operation = "find the database"
        # A link's last id is the database's; what follows the question mark is a view's.
        ids = ID.findall(self.data_source.split("?")[0])
        if not ids:
            raise self._not_shared(operation, f"the block's database is {self.data_source[:80]!r}, which holds no id")
        given = ids[-1]
        try:
            return SOURCE_SHAPE.read(self._call("GET", f"/v1/data_sources/{given}", operation), operation).id
        except VendorError as error:
            if error.status != NOT_FOUND:
                raise
        reply = self._about_source("GET", f"/v1/databases/{given}", operation)
        sources = DATABASE_SHAPE.read(reply, operation).data_sources
        if len(sources) != 1:
            named = ", ".join(f"{source.name} ({source.id})" for source in sources) or "none"
            raise self._not_shared(operation, f"put the id of one of its data sources into the block; it has {named}")
        return sources[0].id

    def _read_database(self, source_id: str) -> Database:
        operation = "read the database"
        source = SOURCE_SHAPE.read(self._about_source("GET", f"/v1/data_sources/{source_id}", operation), operation)
        types = {name: PROPERTY_SHAPE.read(described, operation).type for name, described in source.properties.items()}
        return Database("".join(text.plain_text for text in source.title) or "Untitled", types)

    def _check_key(self, database: Database, operation: str) -> None:
        kind = database.types.get(self.key_property)
        if kind is None:
            raise _lost(database, self.key_property, operation, "add it as a text property, or name it in the block")
        if kind != "rich_text":
            raise _retyped(database, self.key_property, operation, "a text property")

    def _values(
        self, database: Database, texts: Mapping[str, str], operation: str, *, clear: bool = False
    ) -> dict[str, Json]:
        values = {}
        for name, text in texts.items():
            if not text.strip() and not clear:
                continue
            if name not in database.types:
                raise _lost(database, name, operation, "add it, or rename the one that it has become")
            if database.types[name] not in VALUES:
                raise _retyped(database, name, operation, "one that holds a text, number, date or option")
            try:
                values[name] = value(database.types[name], text)
            except ValueError as error:
                raise self._failures().error(operation, f"{name} {error}", permanent=True) from None
        return values

    # The wire

    def _about_source(self, verb: str, path: str, operation: str, **request: Any) -> dict[str, Any]:
        """A call that fails with 404 only where the database is not shared, or the block names a wrong one."""
        try:
            return self._call(verb, path, operation, **request)
        except VendorError as error:
            if error.status != NOT_FOUND:
                raise
            raise self._not_shared(operation, f"{error.reason[:200]}: {SHARE}") from None

    def _about_page(self, verb: str, path: str, operation: str, **request: Any) -> dict[str, Any]:
        try:
            return self._call(verb, path, operation, **request)
        except VendorError as error:
            raise as_kind(PageGone, error) from None

    def _not_shared(self, operation: str, reason: str) -> VendorError:
        return self._failures().error(operation, reason, permanent=True, status=NOT_SHARED)

    @without_frames
    def _call(self, verb: str, path: str, operation: str, *, write: bool = False, **request: Any) -> dict[str, Any]:
        failures = self._failures()
        with guard.request(failures.vendor):
            try:
                response = self.get_client().request(verb, path, **request)
            except httpx.HTTPError as error:
                raise failures.lost(operation, error, write=write) from None
            if not response.is_success:
                raise failures.refused(operation, response.status_code, response.content, response.headers, write=write)
        try:
            reply = response.json()
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise failures.unreadable(operation, response.content, write=write)
        return reply

    def _failures(self) -> Failures:
        return Failures("notion", (self.token,), WAYS_OUT)

    def _build_client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.address.rstrip("/"),
            headers={"authorization": f"Bearer {self.token.get_secret_value()}", "notion-version": VERSION},
            timeout=self.timeout_seconds,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        )


def _page(page: _Page) -> Page:
    return Page(page.id, page.url, page.in_trash)


def _lost(database: Database, name: str, operation: str, way_out: str) -> SchemaDrift:
    return SchemaDrift(
        "notion", operation, object=database.name, field=name, problem=f"is no property of the database: {way_out}",
        expected="a property", came="nothing", keys=tuple(database.types),
        new=get_close_matches(name, database.types, 1, ALIKE),
    )  # fmt: skip


def _retyped(database: Database, name: str, operation: str, expected: str) -> SchemaDrift:
    kind = database.types[name]
    return SchemaDrift(
        "notion", operation, object=database.name, field=name, problem=f"is of the type {kind}, not {expected}",
        expected=expected, came=kind, keys=tuple(database.types),
    )  # fmt: skip

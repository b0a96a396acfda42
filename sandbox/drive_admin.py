"""The sandbox's own API for its Drive: put files into it, change, share and delete them, and look at them."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.folders import Drive, Grant, Item
from sandbox.wire import Json, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

Handler = Callable[[Drive, Json, dict[str, str]], Json | None]
SETTINGS = ("limited", "can_share", "can_download", "target")


class Wrong(Exception):
    """The call asks for what cannot be; the text says what."""


def item_view(drive: Drive, item: Item) -> Json:
    """Return an item as a person would look at it."""
    return {
        "id": item.id,
        "name": item.name,
        "path": [folder.name for folder in drive.above(item)][::-1],
        "mime_type": item.mime_type,
        "size": len(item.data),
        "at": item.modified,
        "trashed": drive.in_trash(item),
        "readers": sorted(who(grant) for grant, _ in drive.permissions(item)),
    }


def who(grant: Grant) -> str:
    """Return whom a permission is for, in the words in which it is given."""
    name = grant.email or grant.domain
    return f"{grant.type}:{name}" if name else grant.type


def item_of(drive: Drive, item_id: str) -> Item:
    """Return an item that is there."""
    if item := drive.find(item_id):
        return item
    raise Wrong(f"there is no item {item_id} in the drive")


def content_of(fields: Json) -> bytes | None:
    """Return the content that a call brings, if it brings one."""
    return base64.b64decode(fields["content"]) if "content" in fields else None


def set_up(item: Item, fields: Json) -> bool:
    """Take over the settings that a call brings, and say whether it brought any."""
    brought = [name for name in SETTINGS if name in fields]
    for name in brought:
        setattr(item, name, fields[name])
    return bool(brought)


def put(drive: Drive, fields: Json, _path: dict[str, str]) -> Json:
    """Create files or folders."""
    return {"ids": [put_one(drive, each).id for each in fields["files"]]}


def put_one(drive: Drive, fields: Json) -> Item:
    """Create one."""
    parent = item_of(drive, fields.get("parent", "root"))
    item = drive.add(fields["name"], fields["mime_type"], parent, data=content_of(fields) or b"")
    set_up(item, fields)
    for reader in fields.get("readers", []):
        drive.grant(item, Grant.of(reader))
    return item


def change(drive: Drive, fields: Json, path: dict[str, str]) -> None:
    """Give an item another name, content, place or setting."""
    item = item_of(drive, path["id"])
    if "parent" in fields:
        parent = item_of(drive, fields["parent"])
        if parent.drive_id != item.drive_id or parent is item or parent in drive.beneath(item):
            raise Wrong(f"{item.name} cannot be moved there")
        drive.move(item, parent)
    if "trashed" in fields:
        drive.trash(item, fields["trashed"])
    if set_up(item, fields):
        drive.note(item)
    if "name" in fields or "content" in fields:
        drive.edit(item, name=fields.get("name"), data=content_of(fields))


def delete(drive: Drive, _fields: Json, path: dict[str, str]) -> None:
    """Delete an item for good."""
    drive.delete(item_of(drive, path["id"]))


def share(drive: Drive, fields: Json, path: dict[str, str]) -> None:
    """Let somebody read an item."""
    drive.grant(item_of(drive, path["id"]), Grant.of(fields.pop("who"), **fields))


def unshare(drive: Drive, fields: Json, path: dict[str, str]) -> None:
    """Take back what was shared on this very item."""
    drive.revoke(item_of(drive, path["id"]), Grant.of(fields["who"]))


def open_drive(drive: Drive, fields: Json, _path: dict[str, str]) -> Json:
    """Make a shared drive."""
    return {"id": drive.open_shared_drive(fields["name"]).id}


def forget_changes(drive: Drive, _fields: Json, _path: dict[str, str]) -> None:
    """Let all tokens of changes be unknown."""
    drive.forget_changes()


OPERATIONS: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/drive/files", put),
    ("PATCH", "/drive/files/{id}", change),
    ("DELETE", "/drive/files/{id}", delete),
    ("POST", "/drive/files/{id}/readers", share),
    ("DELETE", "/drive/files/{id}/readers", unshare),
    ("POST", "/drive/drives", open_drive),
    ("POST", "/google/forget-changes", forget_changes),
)


def routes(world: World) -> Iterator[Route]:
    """Yield the admin routes, relative to `/sandbox`."""

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            fields: Json = await request.json() if await request.body() else {}
            try:
                made = handler(world.drive, fields, request.path_params)
            except Wrong as wrong:
                return json_reply({"error": str(wrong)}, 400)
            return Response(status_code=204) if made is None else json_reply(made, 201)

        return serve

    for method, path, handler in OPERATIONS:
        yield Route(path, endpoint(handler), methods=[method])

"""Drive v3, in Google's words."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import fields, gmail
from sandbox.drive_query import NoSuchFolder, NotSpoken, compile_query
from sandbox.fields import Tree, leaves
from sandbox.folders import DOCUMENT, FOLDER, SHEET, SHORTCUT, SLIDES, Drive, Entry, Grant, Item
from sandbox.gmail import Tokens, compact
from sandbox.wire import Ask, Json, Refused, endpoint, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

Handler = Callable[[Drive, Ask], Response]
T = TypeVar("T")

MOST_EXPORT = 10 * 1024 * 1024
STORAGE = 15 * 1024**3
LINK = "https://drive.example"

LINKS = {DOCUMENT: "document/d/{}/edit", SHEET: "spreadsheets/d/{}/edit", SLIDES: "presentation/d/{}/edit"}
EXPORTS: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    DOCUMENT: {"text/markdown": lambda data: data, "text/plain": lambda data: unmarked(data)},
    SHEET: {"text/csv": lambda data: data},
    SLIDES: {"text/plain": lambda data: data},
}
"""What the sandbox can turn its documents into; Google can do more. Documents are kept as Markdown."""

# What can be asked for, by Google's names; a test compares them with its discovery document.

PERMISSION: Tree = leaves(
    "kind id type role emailAddress domain displayName expirationTime deleted view pendingOwner allowFileDiscovery "
    "inheritedPermissionsDisabled",
    permissionDetails=leaves("permissionType role inherited inheritedFrom"),
)
USER: Tree = leaves("kind displayName me permissionId emailAddress")
FILE: Tree = leaves(
    "kind id name mimeType parents createdTime modifiedTime version trashed explicitlyTrashed size md5Checksum "
    "headRevisionId fileExtension originalFilename webViewLink driveId ownedByMe shared permissionIds "
    "inheritedPermissionsDisabled copyRequiresWriterPermission",
    permissions=PERMISSION,
    owners=USER,
    shortcutDetails=leaves("targetId targetMimeType"),
)
FILES: Tree = leaves("kind nextPageToken incompleteSearch", files=FILE)
PERMISSIONS: Tree = leaves("kind nextPageToken", permissions=PERMISSION)
CHANGE: Tree = leaves("kind changeType type removed time fileId driveId", file=FILE)
CHANGES: Tree = leaves("kind nextPageToken newStartPageToken", changes=CHANGE)
START: Tree = leaves("kind startPageToken")
ABOUT: Tree = leaves("kind", user=USER, storageQuota=leaves("limit usage usageInDrive usageInDriveTrash"))

# What is sent when nothing is asked for.

BRIEF = "kind,id,name,mimeType"
BRIEF_FILES = f"kind,nextPageToken,incompleteSearch,files({BRIEF})"
BRIEF_PERMISSIONS = "kind,nextPageToken,permissions(kind,id,type,role)"
BRIEF_CHANGES = (
    f"kind,nextPageToken,newStartPageToken,changes(kind,changeType,type,removed,time,fileId,driveId,file({BRIEF}))"
)


# Errors


def refusal(code: int, reason: str, message: str, location: str = "") -> Refused:
    """Return a refusal in Drive's error JSON, which is older than Gmail's."""
    place = {"locationType": "parameter", "location": location} if location else {}
    detail = {"domain": "global", "reason": reason, "message": message} | place
    return Refused(code, {"error": {"errors": [detail], "code": code, "message": message}})


def invalid(location: str) -> Refused:
    """Return the 400 for a parameter that says nothing to Drive."""
    return refusal(400, "invalid", "Invalid Value", location)


def required(location: str) -> Refused:
    """Return the 400 for a parameter that is missing."""
    return refusal(400, "required", f"Required parameter: {location}", location)


def missing(item_id: str) -> Refused:
    """Return the 404 for a file that there is not, or that the caller may not know of."""
    return refusal(404, "notFound", f"File not found: {item_id}.", "fileId")


# Parameters


def says(ask: Ask, name: str) -> bool:
    """Say whether a flag is up."""
    return ask.query.get(name, "").lower() == "true"


def page_size(ask: Ask, default: int, most: int) -> int:
    """Return how many to list."""
    text = ask.query.get("pageSize")
    if text is None:
        return default
    if not re.fullmatch(r"-?\d+", text):
        raise gmail.invalid(f"Invalid value at 'page_size' (TYPE_INT32), \"{text}\"")
    if int(text) < 1:
        raise invalid("pageSize")
    return min(int(text), most)


def reply(ask: Ask, body: Json, known: Tree, default: str = "*") -> Response:
    """Return of a reply what was asked for."""
    try:
        wanted = fields.parse(ask.query.get("fields", default))
        fields.check(wanted, known)
    except fields.UnknownField as unknown:
        raise refusal(400, "invalidParameter", f"Invalid field selection {unknown}", "fields") from unknown
    return json_reply(fields.masked(body, wanted))


def cut(found: Sequence[T], number: Callable[[T], int], ask: Ask, size: int) -> tuple[Sequence[T], str | None]:
    """Return a page, in the order of the numbers. The token names the last one seen, so that nothing moves."""
    after = read_page_token(ask.query["pageToken"]) if ask.query.get("pageToken") else 0
    rest = sorted((each for each in found if number(each) > after), key=number)
    page = rest[:size]
    return page, page_token(number(page[-1])) if len(rest) > size else None


def page_token(number: int) -> str:
    """Return an opaque token."""
    return "~!!~" + base64.urlsafe_b64encode(f"after {number}".encode()).decode()


def read_page_token(token: str) -> int:
    """Read a token that `page_token` made."""
    try:
        text = base64.urlsafe_b64decode(token.removeprefix("~!!~")).decode()
        return int(text.removeprefix("after "))
    except ValueError as bad:
        raise invalid("pageToken") from bad


def with_drives(ask: Ask) -> bool:
    """Say whether items of shared drives are wanted, which takes two flags."""
    if says(ask, "includeItemsFromAllDrives") and not says(ask, "supportsAllDrives"):
        message = "The 'supportsAllDrives' parameter must be true when 'includeItemsFromAllDrives' is true."
        raise refusal(403, "supportsTeamDrivesRequired", message, "supportsAllDrives")
    return says(ask, "includeItemsFromAllDrives")


def shared_drive(drive: Drive, ask: Ask) -> str | None:
    """Return the id of the shared drive that a list is about, if it is about one."""
    drive_id = ask.query.get("driveId")
    if drive_id is None:
        return None
    if not with_drives(ask):
        raise required("includeItemsFromAllDrives")
    return known_drive(drive, drive_id)


def known_drive(drive: Drive, drive_id: str) -> str:
    """Return the id of a shared drive that is there, or refuse."""
    found = drive.find(drive_id)
    if found is None or found.drive_id != found.id:
        raise refusal(404, "notFound", f"Shared drive not found: {drive_id}", "driveId")
    return drive_id


def item_of(drive: Drive, ask: Ask) -> Item:
    """Return the item of a request; one in a shared drive only to those who say that they know such."""
    item_id = ask.path["fileId"]
    item = drive.find(item_id)
    if item is None or (item.drive_id and not says(ask, "supportsAllDrives")):
        raise missing(item_id)
    return item


# Views


def rfc3339(moment: float) -> str:
    """Write a time as Google does."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user(account: str) -> Json:
    """Return the caller, who owns all of My Drive."""
    return {
        "kind": "drive#user",
        "displayName": account.partition("@")[0].title(),
        "me": True,
        "permissionId": Grant("user", email=account).id,
        "emailAddress": account,
    }


def permission(grant: Grant, inherited: bool, item: Item) -> Json:
    """Return a permission with all that it has; of a deleted account, Google does not know the address."""
    detail = {"permissionType": "file", "role": grant.role, "inherited": inherited}
    view: Json = {
        "kind": "drive#permission",
        "id": grant.id,
        "type": grant.type,
        "role": grant.role,
        "emailAddress": "" if grant.deleted else grant.email,
        "domain": grant.domain,
        "displayName": grant.domain or grant.email.partition("@")[0].title(),
        "expirationTime": grant.expires,
        "view": grant.view,
        "permissionDetails": [detail],
    }
    if grant.type in ("user", "group"):
        view["deleted"] = grant.deleted
    if grant.type in ("domain", "anyone"):
        view["allowFileDiscovery"] = False
    if item.limited:
        view["inheritedPermissionsDisabled"] = True
    return {name: value for name, value in view.items() if value != ""}


def shown(drive: Drive, item: Item) -> Json:
    """Return an item with all that it has."""
    permissions = drive.permissions(item)
    path = "drive/folders/{}" if item.mime_type == FOLDER else LINKS.get(item.mime_type, "file/d/{}/view")
    view: Json = {
        "kind": "drive#file",
        "id": item.id,
        "name": item.name,
        "mimeType": item.mime_type,
        "createdTime": rfc3339(item.created),
        "modifiedTime": rfc3339(item.modified),
        "version": str(item.version),
        "trashed": drive.in_trash(item),
        "explicitlyTrashed": item.trashed,
        "webViewLink": f"{LINK}/{path.format(item.id)}",
        "permissionIds": [grant.id for grant, _ in permissions],
        "copyRequiresWriterPermission": not item.can_download,
    }
    if item.parent is not None:
        view["parents"] = [item.parent]
    if item.mime_type == FOLDER:
        view["inheritedPermissionsDisabled"] = item.limited
    return view | content_view(item) | sharing_view(drive, item, permissions)


def content_view(item: Item) -> Json:
    """Return what is known of an item's content."""
    if item.mime_type == FOLDER:
        return {}
    if item.mime_type == SHORTCUT:
        return {"shortcutDetails": {"targetId": item.target}}
    if item.native:
        return {"size": str(len(item.data))}
    return {
        "size": str(len(item.data)),
        "md5Checksum": item.checksum,
        "headRevisionId": f"rev-{item.checksum[:12]}",
        "originalFilename": item.name,
        "fileExtension": item.name.rpartition(".")[2],
    }


def sharing_view(drive: Drive, item: Item, permissions: list[tuple[Grant, bool]]) -> Json:
    """Return what is shown of whom an item is shared with: not to mere readers, and never in a shared drive."""
    if item.drive_id:
        return {"driveId": item.drive_id}
    view: Json = {"ownedByMe": True, "owners": [user(drive.account)], "shared": len(permissions) > 1}
    if item.can_share:
        view["permissions"] = [permission(grant, inherited, item) for grant, inherited in permissions]
    return view


# Files


def list_files(drive: Drive, ask: Ask) -> Response:
    """files.list; oldest first, which Google does not promise."""
    page, after = cut(matching(drive, ask), lambda item: item.number, ask, page_size(ask, 100, 1000))
    listed: Json = {
        "kind": "drive#fileList",
        "incompleteSearch": False,
        "files": [shown(drive, item) for item in page],
    }
    return reply(ask, listed | compact({"nextPageToken": after}), FILES, BRIEF_FILES)


def matching(drive: Drive, ask: Ask) -> list[Item]:
    """Return the items that a list call asks for; a drive's own folder is in no list."""
    belongs = corpus(drive, ask)
    try:
        test = compile_query(ask.query.get("q", ""), drive)
    except NotSpoken as error:
        raise invalid("q") from error
    except NoSuchFolder as error:
        raise missing("") from error  # Google does not repeat the id here
    return [item for item in drive.items.values() if item.parent is not None and belongs(item) and test(item)]


def corpus(drive: Drive, ask: Ask) -> Callable[[Item], bool]:
    """Return the test for `corpora` and `driveId`."""
    drive_id, wide = shared_drive(drive, ask), with_drives(ask)
    match ask.query.get("corpora", "drive" if drive_id else "user"):
        case "user" if not drive_id:
            return lambda item: item.drive_id is None
        case "drive" if drive_id:
            return lambda item: item.drive_id == drive_id
        case "allDrives" if wide and not drive_id:
            return lambda _: True
    raise invalid("corpora")


def get_file(drive: Drive, ask: Ask) -> Response:
    """files.get, with or without `alt=media`."""
    item = item_of(drive, ask)
    if ask.query.get("alt") != "media":
        return reply(ask, shown(drive, item), FILE, BRIEF)
    if item.native:
        message = "Only files with binary content can be downloaded. Use Export with Docs Editors files."
        raise refusal(403, "fileNotDownloadable", message, "alt")
    if not item.can_download:
        raise refusal(403, "cannotDownloadFile", "This file cannot be downloaded by the user.")
    return Response(item.data, media_type=item.mime_type)


def export_file(drive: Drive, ask: Ask) -> Response:
    """files.export. A shared drive's documents need no flag here, because the method has none."""
    item_id, wanted = ask.path["fileId"], ask.query.get("mimeType")
    item = drive.find(item_id)
    if item is None:
        raise missing(item_id)
    if not wanted:
        raise required("mimeType")
    if not item.native or item.mime_type == FOLDER:
        raise refusal(403, "fileNotExportable", "Export only supports Docs Editors files.")
    convert = EXPORTS.get(item.mime_type, {}).get(wanted)
    if convert is None:
        raise refusal(400, "badRequest", "The requested conversion is not supported.", "convertTo")
    if not item.can_download:
        raise refusal(403, "cannotExportFile", "This file cannot be exported by the user.")
    content = convert(item.data)
    if len(content) > MOST_EXPORT:
        raise refusal(403, "exportSizeLimitExceeded", "This file is too large to be exported.")
    return Response(content, media_type=wanted)


def unmarked(data: bytes) -> bytes:
    """Return Markdown without its marks, as Drive writes plain text: with a byte order mark and CRLF."""
    text = re.sub(r"(?m)^(#{1,6}|>) +|[*`]|^\|?[-| :]{3,}$\n?", "", data.decode("utf-8"))
    return "\ufeff".encode() + text.replace("\n", "\r\n").encode()


# Permissions


def list_permissions(drive: Drive, ask: Ask) -> Response:
    """permissions.list."""
    item = item_of(drive, ask)
    if not item.can_share:
        message = "The user does not have sufficient permissions for this file."
        raise refusal(403, "insufficientFilePermissions", message)
    everybody = list(enumerate(drive.permissions(item), 1))
    size = page_size(ask, 100 if item.drive_id else max(len(everybody), 1), 100)
    page, after = cut(everybody, lambda each: each[0], ask, size)
    listed: Json = {
        "kind": "drive#permissionList",
        "permissions": [permission(grant, inherited, item) for _, (grant, inherited) in page],
    }
    return reply(ask, listed | compact({"nextPageToken": after}), PERMISSIONS, BRIEF_PERMISSIONS)


# Changes


def start_page_token(drive: Drive, ask: Ask) -> Response:
    """changes.getStartPageToken."""
    if drive_id := ask.query.get("driveId"):
        if not says(ask, "supportsAllDrives"):
            raise required("supportsAllDrives")
        known_drive(drive, drive_id)
    return reply(ask, {"kind": "drive#startPageToken", "startPageToken": str(drive.last_change)}, START)


def list_changes(drive: Drive, ask: Ask) -> Response:
    """changes.list. The account's own log has nothing of what happens inside shared drives."""
    token = ask.query.get("pageToken")
    if not token:
        raise required("pageToken")
    if not token.isdecimal() or not drive.oldest_change <= int(token) <= drive.last_change:
        raise invalid("pageToken")
    found = drive.changes(int(token), shared_drive(drive, ask))
    if ask.query.get("includeRemoved", "true").lower() == "false":
        found = [entry for entry in found if entry.item_id in drive.items]
    size = page_size(ask, 100, 1000)
    listed: Json = {"kind": "drive#changeList", "changes": [change(drive, entry) for entry in found[:size]]}
    last = (
        {"nextPageToken": str(found[size - 1].id)}
        if len(found) > size
        else {"newStartPageToken": str(drive.last_change)}
    )
    return reply(ask, listed | last, CHANGES, BRIEF_CHANGES)


def change(drive: Drive, entry: Entry) -> Json:
    """Return a change with the state that its item is in now."""
    at = {"kind": "drive#change", "time": rfc3339(entry.at)}
    item = drive.items.get(entry.item_id)
    if item is not None and item.id == item.drive_id:
        return at | {"changeType": "drive", "type": "teamDrive", "removed": False, "driveId": item.id}
    told = at | {"changeType": "file", "type": "file", "removed": item is None, "fileId": entry.item_id}
    return told if item is None else told | {"file": shown(drive, item)}


# The account


def about(drive: Drive, ask: Ask) -> Response:
    """about.get."""
    if "fields" not in ask.query:
        raise refusal(400, "required", "The 'fields' parameter is required for this method.", "fields")
    used = str(sum(len(item.data) for item in drive.items.values()))
    quota = {"limit": str(STORAGE), "usage": used, "usageInDrive": used, "usageInDriveTrash": "0"}
    return reply(ask, {"kind": "drive#about", "user": user(drive.account), "storageQuota": quota}, ABOUT)


# The table: ids, methods and paths are those of Google's discovery document, and a test compares them.

OPERATIONS: tuple[tuple[str, str, str, Handler], ...] = (
    ("about.get", "GET", "about", about),
    ("changes.getStartPageToken", "GET", "changes/startPageToken", start_page_token),
    ("changes.list", "GET", "changes", list_changes),
    ("files.list", "GET", "files", list_files),
    ("files.get", "GET", "files/{fileId}", get_file),
    ("files.export", "GET", "files/{fileId}/export", export_file),
    ("permissions.list", "GET", "files/{fileId}/permissions", list_permissions),
)


def routes(world: World, tokens: Tokens) -> Iterator[Route]:
    """Yield Drive's routes, relative to `/google`."""

    def check(request: Request) -> None:
        tokens.check(request, "drive")

    def bad_json() -> Refused:
        return gmail.invalid("Invalid JSON payload received.")

    def on_drive(handler: Handler) -> Callable[[Ask], Any]:
        return lambda ask: handler(world.drive_of(tokens.account(ask.headers)), ask)

    for _, method, path, handler in OPERATIONS:
        yield Route(f"/drive/v3/{path}", endpoint(on_drive(handler), check, bad_json), methods=[method])

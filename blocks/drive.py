"""Google Drive: the files beneath a folder, who may read them, what has changed, and what they say. It only reads."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar

import httpx
from prefect.blocks.core import Block
from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr
from pydantic_core import PydanticCustomError

from blocks.connecting import Connecting
from blocks.google_account import GoogleAccount, Service
from blocks.shape import CamelPart, Digits, Id, Part, Shape
from blocks.vendor import Once, VendorError, as_kind, without_frames

PAGE = 1000  # the most that files.list and changes.list return at once
READERS_PAGE = 100  # and permissions.list

DEFAULT_UNITS = 5
QUOTA_UNITS = (
    (r"\?alt=media$", 200),
    (r"/(files|changes|permissions)$", 100),
)
"""What differs from the default, by the path's end."""

NATIVE = "application/vnd.google-apps."
"""How the types of all that is made in Google's own editors begin."""
FOLDER = NATIVE + "folder"
SHORTCUT = NATIVE + "shortcut"
EXPORTS = {
    NATIVE + "document": "text/markdown",
    NATIVE + "spreadsheet": "text/csv",
    NATIVE + "presentation": "text/plain",
}
"""As what a file from one of Google's editors is read. Of a spreadsheet, Drive gives only the first sheet as text.

Source: https://developers.google.com/workspace/drive/api/guides/ref-export-formats
"""

DRIVE_ID = re.compile(r"[\w-]+", re.ASCII)

WAYS_OUT = {
    401: "connect the Google account again",
    403: "connect the Google account again with read access to Drive, whose API the project must have enabled",
}
REFUSALS = {
    "cannotDownloadFile": "only editors may download this file; its owner can change that under Share, Settings",
    "cannotExportFile": "only editors may download this file; its owner can change that under Share, Settings",
    "cannotDownloadAbusiveFile": "Google takes this file for malware or spam",
    "domainPolicy": "the administrator of the file's Google domain keeps it from apps",
    "downloadQuotaExceeded": "too many have downloaded this file today; Google gives it out again tomorrow",
    "exportSizeLimitExceeded": "as text it is larger than the 10 MB that Google exports; split it, or keep it as a PDF",
    "fileNotDownloadable": "this kind of file has no content to download",
    "fileNotExportable": "this kind of file cannot be exported as text",
    "insufficientFilePermissions": "the connected account may not do that with this file",
}
"""What Google's reason for a 403 means to a person."""

UNKNOWN_TOKEN = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND, httpx.codes.GONE})


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PydanticCustomError("not_converted", "not converted", {"expected": "a moment (RFC 3339)"})
    return moment.astimezone(UTC)


Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Detail(CamelPart):
    inherited: bool | None = None


class _Permission(CamelPart):
    type: str
    role: str
    email_address: str | None = None
    domain: str | None = None
    expiration_time: Moment | None = None
    deleted: bool | None = None
    view: str | None = None
    inherited_permissions_disabled: bool | None = None
    permission_details: list[_Detail] | None = None


class _PermissionList(CamelPart):
    permissions: list[_Permission] | None = None
    next_page_token: str | None = None


class _File(CamelPart):
    id: Id
    name: str
    mime_type: Id
    modified_time: Moment
    trashed: bool
    md5_checksum: Id | None = None
    size: Digits | None = None
    web_view_link: str | None = None
    parents: list[str] | None = None
    permissions: list[_Permission] | None = None


class _FileList(CamelPart):
    files: list[_File] | None = None
    next_page_token: str | None = None
    incomplete_search: bool | None = None


class _Folder(CamelPart):
    id: Id
    name: str
    mime_type: Id
    trashed: bool
    drive_id: str | None = None


class _Change(CamelPart):
    change_type: str
    removed: bool
    file_id: str | None = None
    drive_id: str | None = None
    file: _File | None = None


class _ChangeList(CamelPart):
    changes: list[_Change] | None = None
    next_page_token: str | None = None
    new_start_page_token: str | None = None


class _StartToken(CamelPart):
    start_page_token: Id


class _User(CamelPart):
    email_address: Id


class _Storage(CamelPart):
    usage: Digits
    limit: Digits | None = None


class _About(CamelPart):
    user: _User
    storage_quota: _Storage


P = TypeVar("P", bound=Part)


def _shape(object: str, kind: type[P]) -> Shape[P]:
    return Shape("drive", object, kind)


ABOUT_SHAPE = _shape("account", _About)
FOLDER_SHAPE = _shape("folder", _Folder)
FILE_SHAPE = _shape("file", _File)
FILES_SHAPE = _shape("file-list", _FileList)
PERMISSIONS_SHAPE = _shape("permission-list", _PermissionList)
START_SHAPE = _shape("start-token", _StartToken)
CHANGES_SHAPE = _shape("change-list", _ChangeList)

# Google gives what is asked for, and little else: without these there are no permissions and no checksums.
ABOUT_FIELDS = "user(emailAddress),storageQuota(usage,limit)"
FOLDER_FIELDS = "id,name,mimeType,trashed,driveId"
PERMISSION_FIELDS = (
    "type,role,emailAddress,domain,expirationTime,deleted,view,inheritedPermissionsDisabled,"
    "permissionDetails(inherited)"
)
FILE_FIELDS = (
    f"id,name,mimeType,modifiedTime,trashed,md5Checksum,size,webViewLink,parents,permissions({PERMISSION_FIELDS})"
)
FILES_FIELDS = f"nextPageToken,incompleteSearch,files({FILE_FIELDS})"
PERMISSIONS_FIELDS = f"nextPageToken,permissions({PERMISSION_FIELDS})"
CHANGES_FIELDS = f"nextPageToken,newStartPageToken,changes(changeType,removed,fileId,driveId,file({FILE_FIELDS}))"


class FileGone(VendorError):
    """There is no such file or folder for this account: it was deleted, or is no longer shared with it."""


class ChangesExpired(VendorError):
    """Google no longer knows the token: walk the folder again, from a new token."""


@dataclass(frozen=True)
class DriveFile:
    """A file as it was when it was listed."""

    id: str
    name: str
    mime_type: str
    modified_at: datetime  # UTC
    version: str
    """Another one whenever the content is another: a checksum, or where Google keeps none, when it was modified."""
    size: int | None  # bytes; None where Google's editors keep the content, whose size as text is not known before
    link: str  # opens it in a browser, for those who may; empty when Drive gives none
    parents: tuple[str, ...]
    path: tuple[str, ...]
    """The names of the folders above, from the one that was asked for. Empty from `changes`, which does not say."""
    readers: frozenset[str]
    """Who may read it, in lower case: `anyone` (who has the link), `domain:dockwell.example`, `group:a@b.example`,
    `user:ann@b.example`. Empty means that nobody is known to, not that everybody may: Google shows the readers only
    to accounts that may share the file."""


@dataclass(frozen=True)
class Change:
    """What became of one file or folder."""

    file_id: str
    removed: bool
    """Deleted, in the trash, or no longer shared with this account."""
    is_folder: bool
    """Whatever is beneath may now have another place or other readers, and no changes of its own."""
    file: DriveFile | None
    """As it is now; None when it was removed or is a folder."""


@dataclass(frozen=True)
class Apis:
    """The parts of Google's client that are used; each access to one costs it a millisecond and more."""

    about: Any
    changes: Any
    files: Any
    permissions: Any


def quota_units(operation: str) -> int:
    """What a request (`GET /drive/v3/files`) counts for in Drive's quota: a list 100, a download 200, else 5.

    Source: https://developers.google.com/workspace/drive/api/guides/limits, per-method quota. Google Cloud
    projects from before May 2026 have 12,000 requests a minute instead, whatever is asked.
    """
    return next((units for end, units in QUOTA_UNITS if re.search(end, operation)), DEFAULT_UNITS)


class Drive(GoogleAccount, Block):
    """One account's Google Drive and the shared drives it is a member of, by OAuth with offline access."""

    _block_type_name: ClassVar[str | None] = "Google Drive"
    _block_type_slug: ClassVar[str | None] = "drive"
    _description: ClassVar[str | None] = (
        "The folders whose documents workflows look things up in. Connect an account that may edit them: Google does "
        "not tell viewers who else may read a file. Its refresh token dies after 7 days while the OAuth app is in "
        "Testing, after 6 months unused, and on a change of password."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="the scope drive.readonly, given by an account that may edit the folders",
        found="console.cloud.google.com: enable the Drive API, then under Google Auth Platform, Clients, create an "
        "OAuth client of the type Desktop app",
        environment={
            "client_id": ("GOOGLE_OAUTH_CLIENT_ID", "GOOGLE_CLIENT_ID", "GMAIL_OAUTH_CLIENT_ID"),
            "client_secret": ("GOOGLE_OAUTH_CLIENT_SECRET", "GOOGLE_CLIENT_SECRET", "GMAIL_OAUTH_CLIENT_SECRET"),
            "refresh_token": ("GOOGLE_DRIVE_OAUTH_REFRESH_TOKEN", "GOOGLE_OAUTH_REFRESH_TOKEN"),
        },
        scopes=("https://www.googleapis.com/auth/drive.readonly",),
    )

    service: ClassVar[Service] = Service("drive", "v3", WAYS_OUT, quota_units, REFUSALS)

    refresh_token: SecretStr = Field(
        title="Refresh token",
        description="What Google gave when the account was connected with offline access and the scope drive.readonly.",
    )
    address: str = Field(
        default="https://www.googleapis.com",
        title="Address",
        description="Drive's API. Change it only to use a sandbox or a proxy.",
    )

    _apis: Once[Apis] = PrivateAttr(default_factory=Once)

    @without_frames
    def check(self) -> str:
        """Renew the token and ask who we are: `ann@example.com (1.2 of 15.0 GB used)`.

        Raises:
            VendorError: permanent when the connection is dead, or may not read Drive.
        """
        self._renew()
        about = self._read(ABOUT_SHAPE, self._api().about.get(fields=ABOUT_FIELDS))
        used, limit = about.storage_quota.usage, about.storage_quota.limit
        of = f" of {_gigabytes(limit)}" if limit else ""
        return f"{about.user.email_address} ({_gigabytes(used)}{of} GB used)"

    def files(self, folder_id: str) -> Iterator[DriveFile]:
        """Every file beneath a folder, however deep, each once.

        Shortcuts are left out: what they point to has its place, and its readers, elsewhere. So is what is deleted
        while we look; what is added may or may not be in it, and is then in `changes` since a token from before.

        Args:
            folder_id: what its address ends in; `root` is the account's whole My Drive. A shared drive's id will do.

        Raises:
            FileGone: there is no such folder, or it is in the trash.
            VendorError: permanent when it is no folder.
        """
        top = self._folder(folder_id)
        waiting: deque[tuple[str, tuple[str, ...]]] = deque([(top.id, (top.name,))])
        seen = {top.id}
        while waiting:
            parent, path = waiting.popleft()
            for found in self._children(parent, top):
                if found.id in seen:
                    continue
                seen.add(found.id)
                if found.mime_type == FOLDER:
                    waiting.append((found.id, (*path, found.name)))
                elif found.mime_type != SHORTCUT and (file := self._file(found, path)):
                    yield file

    def file(self, file_id: str) -> DriveFile:
        """One file or folder as it is now; its `path` is not looked up.

        Raises:
            FileGone: it was deleted, is in the trash, or is no longer shared with this account.
        """
        request = self._api().files.get(fileId=self._checked(file_id), fields=FILE_FIELDS, supportsAllDrives=True)
        found = self._read(FILE_SHAPE, request, gone=FileGone)
        file = None if found.trashed else self._file(found, ())
        if file is None:
            raise FileGone("drive", f"look at {found.name}", "it is in the trash, or was deleted", permanent=True)
        return file

    def start_token(self, folder_id: str | None = None) -> str:
        """Where the log of changes stands now; `changes` takes it. Get it before you walk a folder.

        Args:
            folder_id: whose changes are wanted, because each shared drive has its own log. Without one, those of
                the account's My Drive and of what others share with it.

        Raises:
            FileGone: there is no such folder.
        """
        drive = None if folder_id is None else self._folder(folder_id).drive_id
        request = self._api().changes.getStartPageToken(supportsAllDrives=True, driveId=drive)
        return _token(drive, self._read(START_SHAPE, request, gone=FileGone).start_page_token)

    def changes(self, token: str) -> tuple[list[Change], str]:
        """What has changed in the whole drive since, each file or folder once, and the next token.

        The last state counts, and not every change of a file is told: when a folder is moved, renamed, trashed or
        shared differently, Google may tell of the folder alone. So after a change with `is_folder`, or of an id
        that is not known (a folder that was deleted for good), walk the folder again; and do so once a day anyway.

        Raises:
            ChangesExpired: Google does not know the token (any more), or the shared drive is gone.
        """
        drive, page = _read_token(token)
        told: dict[str, _Change] = {}
        while True:
            reply = self._changes_page(page, drive)
            told |= {change.file_id or change.drive_id or "": change for change in reply.changes or ()}
            if not reply.next_page_token:
                break
            page = reply.next_page_token
        if reply.new_start_page_token is None:
            raise CHANGES_SHAPE.missing("newStartPageToken", "GET changes")
        return [self._change(id, change) for id, change in told.items()], _token(drive, reply.new_start_page_token)

    def content(self, file: DriveFile, most_bytes: int) -> tuple[bytes, str]:
        """What a file says, and as which type: a Google document as Markdown, a spreadsheet's first sheet as CSV, a
        presentation as plain text; any other file as it is. It may be newer than `file.version`.

        Args:
            file: from `files`, `file` or `changes`.
            most_bytes: a larger one is refused, if its size is known before anything is downloaded.

        Raises:
            FileGone: it was deleted since it was listed.
            VendorError: permanent when it is too large, may not be downloaded, or is of a kind that has no text.
        """
        if file.size is not None and file.size > most_bytes:
            raise self._failures().error(
                f"download {file.name}", f"it has {file.size:,} bytes, and {most_bytes:,} may be read", permanent=True
            )
        export = EXPORTS.get(file.mime_type)
        if export:
            request = self._api().files.export_media(fileId=file.id, mimeType=export)
        elif file.mime_type.startswith(NATIVE):
            kind = file.mime_type.removeprefix(NATIVE)
            raise self._failures().error(f"download {file.name}", f"a Google {kind} has no text", permanent=True)
        else:
            request = self._api().files.get_media(fileId=file.id, supportsAllDrives=True)
        content = self._ask(request, gone=FileGone, most_bytes=most_bytes)
        return content if isinstance(content, bytes) else b"", export or file.mime_type

    def _folder(self, folder_id: str) -> _Folder:
        """A folder that is there.

        Raises:
            FileGone: there is no such folder, or it is in the trash.
            VendorError: permanent when it is no folder, or the id is no id.
        """
        operation = f"look at folder {folder_id}"
        request = self._api().files.get(fileId=self._checked(folder_id), fields=FOLDER_FIELDS, supportsAllDrives=True)
        folder = self._read(FOLDER_SHAPE, request, gone=FileGone)
        if folder.mime_type != FOLDER:
            raise self._failures().error(operation, f"{folder.name} is a file, not a folder", permanent=True)
        if folder.trashed:
            raise FileGone("drive", operation, f"{folder.name} is in the trash", permanent=True)
        return folder

    def _checked(self, id: str) -> str:
        """An id that may stand in an address and between a query's quotes."""
        if DRIVE_ID.fullmatch(id):
            return id
        reason = "this is no id: take the part of its address after /folders/ or /d/"
        raise self._failures().error(f"look at {id[:100]}", reason, permanent=True)

    def _children(self, parent: str, top: _Folder) -> Iterator[_File]:
        """What is directly in a folder, which may be gone unless it is the one that was asked for."""
        where = {"corpora": "drive", "driveId": top.drive_id} if top.drive_id else {"corpora": "user"}
        pages = self._pages(
            FILES_SHAPE,
            self._api().files.list,
            gone=FileGone,
            q=f"'{parent}' in parents and trashed = false",
            pageSize=PAGE,
            fields=FILES_FIELDS,
            supportsAllDrives=True,
            includeItemsFromAllDrives=True,
            **where,
        )
        try:
            for page in pages:
                if page.incomplete_search:
                    # Taken for complete, every file that is left out would look deleted.
                    raise self._failures().error("list a folder", "Google did not search everywhere", permanent=False)
                yield from page.files or ()
        except FileGone:
            if parent == top.id:
                raise

    def _changes_page(self, page: str, drive: str | None) -> _ChangeList:
        request = self._api().changes.list(
            pageToken=page,
            driveId=drive,
            pageSize=PAGE,
            fields=CHANGES_FIELDS,
            includeRemoved=True,
            supportsAllDrives=True,
            includeItemsFromAllDrives=True,
        )
        try:
            return self._read(CHANGES_SHAPE, request)
        except VendorError as error:
            raise as_kind(ChangesExpired, error, UNKNOWN_TOKEN) from None

    def _change(self, id: str, change: _Change) -> Change:
        found = change.file
        if change.change_type == "drive":  # its name, or who is a member of it
            return Change(id, change.removed, True, None)
        if change.removed:
            return Change(id, True, False, None)
        if found is None:
            raise CHANGES_SHAPE.missing("changes.file", "GET changes")
        if found.mime_type == FOLDER:
            return Change(id, found.trashed, True, None)
        file = None if found.trashed else self._file(found, ())
        return Change(id, file is None, False, file)

    def _file(self, found: _File, path: tuple[str, ...]) -> DriveFile | None:
        """A file with its readers; None when it is gone meanwhile."""
        permissions = found.permissions
        if permissions is None:
            try:
                permissions = self._permissions(found.id)
            except FileGone:
                return None
        now = datetime.now(UTC)
        native = found.mime_type.startswith(NATIVE)
        return DriveFile(
            id=found.id,
            name=found.name,
            mime_type=found.mime_type,
            modified_at=found.modified_time,
            # Not Google's own `version`: that one counts every view of the file.
            version=found.md5_checksum or found.modified_time.isoformat(),
            size=None if native or found.size is None else int(found.size),
            link=found.web_view_link or "",
            parents=tuple(found.parents or ()),
            path=path,
            readers=frozenset(reader for each in permissions if (reader := _reader(each, now))),
        )

    def _permissions(self, file_id: str) -> list[_Permission]:
        """Those of a file that came without, as all files of shared drives do; none where we may not see them."""
        pages = self._pages(
            PERMISSIONS_SHAPE,
            self._api().permissions.list,
            gone=FileGone,
            fileId=file_id,
            pageSize=READERS_PAGE,
            fields=PERMISSIONS_FIELDS,
            supportsAllDrives=True,
        )
        try:
            return [permission for page in pages for permission in page.permissions or ()]
        except VendorError as error:
            if error.status == httpx.codes.FORBIDDEN and error.permanent:
                return []
            raise

    def _api(self) -> Apis:
        return self._apis.get(self._build_apis)

    def _build_apis(self) -> Apis:
        client: Any = self.get_client()
        return Apis(client.about(), client.changes(), client.files(), client.permissions())


def _reader(permission: _Permission, now: datetime) -> str | None:
    """Whom a permission lets read now, if anybody."""
    if permission.deleted or permission.view or not _reaches(permission):
        return None  # a view (`metadata`, `published`) shows something else than the content
    if permission.expiration_time and permission.expiration_time <= now:
        return None
    match permission.type:
        case "anyone":
            return "anyone"
        case "domain" if permission.domain:
            return f"domain:{permission.domain}".lower()
        case "user" | "group" if permission.email_address:
            return f"{permission.type}:{permission.email_address}".lower()
    return None


def _reaches(permission: _Permission) -> bool:
    """Whether a permission from a folder further up gets past one with limited access."""
    if not permission.inherited_permissions_disabled or permission.role in ("owner", "organizer"):
        return True
    return any(not detail.inherited for detail in permission.permission_details or ())


def _token(drive: str | None, page: str) -> str:
    """A token that remembers which shared drive's log it is of, if any."""
    return f"{drive or ''}:{page}"


def _read_token(token: str) -> tuple[str | None, str]:
    drive, _, page = token.partition(":")
    return drive or None, page


def _gigabytes(size: str) -> str:
    return f"{int(size) / 1e9:.1f}"

"""One Google Drive: its files and folders, who may read them, and the log of all changes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

NATIVE = "application/vnd.google-apps."
FOLDER = NATIVE + "folder"
SHORTCUT = NATIVE + "shortcut"
DOCUMENT = NATIVE + "document"
SHEET = NATIVE + "spreadsheet"
SLIDES = NATIVE + "presentation"
ROOT = "0AMyDriveOfTheSandbox"
KEEPERS = ("owner", "organizer")
"""The roles that no folder with limited access shuts out."""
FIRST_CHANGE = 1000


@dataclass
class Grant:
    """One permission, as it was given."""

    type: str
    role: str = "reader"
    email: str = ""
    domain: str = ""
    expires: str = ""
    deleted: bool = False
    view: str = ""

    @property
    def id(self) -> str:
        """Google's id of whom it is for."""
        if self.type == "anyone":
            return "anyoneWithLink"
        digest = hashlib.sha256(f"{self.type}:{self.email}{self.domain}".lower().encode()).digest()
        return f"{int.from_bytes(digest[:8], 'big'):020d}" + ("k" if self.type == "domain" else "")

    @classmethod
    def of(cls, who: str, **more: str | bool) -> Grant:
        """Read `anyone`, `domain:a.example`, `user:ann@a.example` or `group:all@a.example`."""
        kind, _, name = who.partition(":")
        fields = {"domain": name} if kind == "domain" else {"email": name}
        return cls(kind, **fields, **more)  # type: ignore[arg-type]


@dataclass
class Item:
    """A file, a folder or a shortcut."""

    id: str
    name: str
    mime_type: str
    parent: str | None
    number: int
    drive_id: str | None = None
    data: bytes = b""
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    version: int = 1
    trashed: bool = False
    limited: bool = False
    """A folder that only those get into who were let into it directly."""
    can_share: bool = True
    """Whether the account may share it, and so see who else may read it."""
    can_download: bool = True
    target: str = ""
    """Of a shortcut: what it points to."""
    grants: dict[str, Grant] = field(default_factory=dict)
    _checksum: str = ""

    @property
    def native(self) -> bool:
        """Whether one of Google's editors keeps it."""
        return self.mime_type.startswith(NATIVE)

    @property
    def checksum(self) -> str:
        """The MD5 of its content."""
        self._checksum = self._checksum or hashlib.md5(self.data).hexdigest()
        return self._checksum

    def write(self, data: bytes) -> None:
        """Replace the content."""
        self.data, self._checksum = data, ""


@dataclass(frozen=True)
class Entry:
    """One line of the log: something happened to this item."""

    id: int
    item_id: str
    drive_id: str | None
    at: float


class Drive:
    """The state behind the Drive API, and the rules by which it changes."""

    def __init__(self, account: str) -> None:
        """Open an empty My Drive, whose owner is the account."""
        self.account = account
        self.items: dict[str, Item] = {}
        self.log: list[Entry] = []
        self.last_change = self.oldest_change = FIRST_CHANGE
        self._made = 0
        self._open(ROOT, "My Drive", None)

    @property
    def root(self) -> Item:
        """My Drive itself."""
        return self.items[ROOT]

    def find(self, item_id: str) -> Item | None:
        """Return an item by its id, or by `root`."""
        return self.items.get(ROOT if item_id == "root" else item_id)

    def open_shared_drive(self, name: str) -> Item:
        """Make a shared drive that the account organizes, and return its folder."""
        drive_id = f"0ASharedDrive{self._made + 1}"
        return self._open(drive_id, name, drive_id)

    def add(self, name: str, mime_type: str, parent: Item, *, id: str = "", data: bytes = b"") -> Item:
        """Put a new item into a folder."""
        self._made += 1
        item = Item(
            id or f"1SandboxItem{self._made:06d}", name, mime_type, parent.id, self._made, parent.drive_id, data
        )
        self.items[item.id] = item
        self.note(item)
        return item

    def edit(self, item: Item, *, name: str | None = None, data: bytes | None = None) -> None:
        """Give an item another name or content."""
        item.name = item.name if name is None else name
        if data is not None:
            item.write(data)
        item.modified = max(time.time(), item.modified + 0.001)
        self.note(item)

    def move(self, item: Item, parent: Item) -> None:
        """Put an item into another folder of the same drive; whoever may read that may read this."""
        item.parent = parent.id
        self.note(item)

    def trash(self, item: Item, trashed: bool) -> None:
        """Put an item, and all beneath it, into the trash or take it out."""
        item.trashed = trashed
        self.note(item)

    def delete(self, item: Item) -> None:
        """Delete an item, and all beneath it, for good."""
        for each in [*self.beneath(item), item]:
            del self.items[each.id]
            self.note(each)

    def grant(self, item: Item, grant: Grant) -> None:
        """Let somebody read an item, and all beneath it."""
        item.grants[grant.id] = grant
        self.note(item)

    def revoke(self, item: Item, grant: Grant) -> None:
        """Take back what was given on this very item."""
        item.grants.pop(grant.id, None)
        self.note(item)

    def note(self, item: Item) -> None:
        """Enter a change into the log: of this item only, because Google need not tell of what is beneath it."""
        item.version += 1
        self.last_change += 1
        self.log.append(Entry(self.last_change, item.id, item.drive_id, time.time()))

    def changes(self, after: int, drive_id: str | None) -> list[Entry]:
        """Return what happened since, oldest first; of each item only the last, as Google does."""
        latest = {entry.item_id: entry for entry in self.log if entry.id > after and entry.drive_id == drive_id}
        return sorted(latest.values(), key=lambda entry: entry.id)

    def forget_changes(self) -> None:
        """Let all tokens of changes so far be unknown."""
        self.last_change += 1
        self.oldest_change = self.last_change
        self.log.clear()

    def children(self, item: Item) -> list[Item]:
        """Return what is directly in a folder."""
        return [each for each in self.items.values() if each.parent == item.id]

    def beneath(self, item: Item) -> Iterator[Item]:
        """Yield all that is in a folder, however deep."""
        for child in self.children(item):
            yield child
            yield from self.beneath(child)

    def above(self, item: Item) -> Iterator[Item]:
        """Yield the folders above an item, the nearest first."""
        while item.parent is not None and (parent := self.items.get(item.parent)):
            yield parent
            item = parent

    def in_trash(self, item: Item) -> bool:
        """Say whether an item or a folder above it was trashed."""
        return item.trashed or any(folder.trashed for folder in self.above(item))

    def permissions(self, item: Item) -> list[tuple[Grant, bool]]:
        """Return who may read an item, and whether that comes from a folder above."""
        found = {grant.id: (grant, False) for grant in item.grants.values()}
        limited = item.limited
        for folder in self.above(item):
            for grant in folder.grants.values():
                if not limited or grant.role in KEEPERS:
                    found.setdefault(grant.id, (grant, True))
            limited = limited or folder.limited
        return list(found.values())

    def _open(self, id: str, name: str, drive_id: str | None) -> Item:
        self._made += 1
        top = Item(id, name, FOLDER, None, self._made, drive_id)
        owner = Grant("user", "organizer" if drive_id else "owner", self.account)
        top.grants[owner.id] = owner
        self.items[id] = top
        return top

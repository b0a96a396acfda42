"""Where the library's documents come from: folders on this machine, Google Drive, HubSpot's closed tickets."""

from __future__ import annotations

import html
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self
from urllib.parse import quote, unquote_to_bytes

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from blocks import connections
from blocks.library import ANYONE, Item, readers_of

if TYPE_CHECKING:
    from blocks.drive import Drive, DriveFile
    from blocks.hubspot import HubSpot
    from blocks.hubspot_tickets import Ticket

JUNK = frozenset({"thumbs.db", "desktop.ini"})
"""What systems leave in folders, in lower case. Hidden files and office programs' lock files (`~$...`) are left out."""

Readers = Annotated[tuple[str, ...], AfterValidator(lambda names: tuple(sorted(readers_of(names))))]


class SourceError(Exception):
    """A source cannot be looked at; the message says why. What was indexed of it stays."""


class Gone(Exception):
    """A document was removed between being listed and being fetched."""


@dataclass(frozen=True)
class Look:
    """What a source holds now."""

    items: Mapping[str, Item] | None
    """By external id; None when nothing has changed since the cursor."""
    cursor: str | None = None
    """Where to go on the next time."""


class Source(BaseModel, ABC):
    """One place that documents come from. Its name is what searches and cards call it by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    empty_is_odd: ClassVar[bool] = False
    """Whether that nothing is there at all, where something was, is more likely an accident than meant."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")

    @property
    @abstractmethod
    def place(self) -> str:
        """In words: which folder, whose."""

    @abstractmethod
    def look(self, cursor: str | None) -> Look:
        """What is there now.

        Raises:
            SourceError: it cannot be looked at.
            MissingCredential: nobody has saved its credential.
            VendorError: the vendor could not be reached or refused.
        """

    @abstractmethod
    def fetch(self, item: Item, most_bytes: int) -> tuple[bytes, str | None]:
        """A document's content, and its MIME type where the source knows it.

        Raises:
            Gone: it is not there any more.
            VendorError: permanent when it is this document that cannot be had.
            OSError: the file cannot be read.
        """


class Folder(Source):
    """Files beneath a folder of this machine: documents, help pages saved as HTML, an export of old tickets."""

    empty_is_odd = True  # an empty folder is what is left of a disk that is not mounted

    path: str
    """Relative paths begin in this checkout; `~` is the home of whoever runs it."""
    readers: Readers = Field(min_length=1)
    """Who may see what is in it: `anyone` for what customers may read, else for example `domain:dockwell.example`."""
    link: str = ""
    """Where a file is on the web: `{path}` stands for its path in the folder, `{stem}` for that without its ending."""

    @property
    def place(self) -> str:
        return str(self._root)

    @property
    def _root(self) -> Path:
        path = Path(self.path).expanduser()
        return path if path.is_absolute() else Path(__file__).parents[1] / path

    def look(self, cursor: str | None) -> Look:  # noqa: ARG002
        """Every file, by its path. A symbolic link is not followed: it could lead anywhere, or round in a circle."""
        root = self._root
        if not root.is_dir():
            raise SourceError(f"{root} is no folder (any more); what was indexed of it stays")
        return Look({item.external_id: item for item in self._items(root)})

    def fetch(self, item: Item, most_bytes: int) -> tuple[bytes, str | None]:
        """The file's bytes; one more than `most_bytes` when it has more."""
        inside = item.external_id
        if item.name != inside:
            inside = os.fsdecode(unquote_to_bytes(inside))
        try:
            with open(self._root / inside, "rb", opener=_not_a_link) as file:
                return file.read(most_bytes + 1), None
        except FileNotFoundError as error:
            raise Gone(item.name) from error

    def _items(self, root: Path) -> Iterator[Item]:
        for folder, folders, names in os.walk(root, onerror=self._unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.startswith((".", "~$")) or name.lower() in JUNK:
                    continue
                path = Path(folder, name)
                try:
                    seen = path.lstat()
                except FileNotFoundError:  # deleted while we look
                    continue
                if not stat.S_ISREG(seen.st_mode):
                    continue
                inside = path.relative_to(root).as_posix()
                # The bytes of an old system's name may be no text: it is then known by them, percent-encoded.
                name = os.fsencode(inside).decode(errors="replace")
                yield Item(
                    external_id=inside if name == inside else quote(os.fsencode(inside)),
                    name=name,
                    version=f"{seen.st_mtime_ns}-{seen.st_size}",
                    readers=frozenset(self.readers),
                    link=self._link(inside),
                    size=seen.st_size,
                )

    def _unreadable(self, error: OSError) -> None:
        """Taken for empty, a folder that cannot be read would have all of it forgotten."""
        is_gone = isinstance(error, FileNotFoundError) and Path(error.filename) != self._root
        if not is_gone:
            raise SourceError(f"{error.filename}: {error.strerror}; what was indexed of it stays") from error

    def _link(self, inside: str) -> str:
        stem = inside.removesuffix(Path(inside).suffix)
        path, stem = quote(os.fsencode(inside)), quote(os.fsencode(stem))
        return self.link.format(path=path, stem=stem) if self.link else ""


def _not_a_link(path: str, flags: int) -> int:
    """It was a file when it was listed, and may be a link by now."""
    return os.open(path, flags | os.O_NOFOLLOW)


class DriveFolder(Source):
    """What is beneath a folder of Google Drive, for those with whom Drive says that it is shared."""

    credential: str = Field(pattern=r"^drive/[a-z0-9-]+$")
    folder: str
    """What the folder's address ends in."""
    quotable: bool = False
    """Whether replies to customers may quote what is shared as widely as the folder itself. A file that is shared with
    fewer people than its folder is still kept to those."""

    @property
    def place(self) -> str:
        return f"Google Drive folder {self.folder}"

    def look(self, cursor: str | None) -> Look:
        """Every file, unless Drive's own log tells of no change since.

        Any change at all has the folder walked anew: when a folder above a file is moved or shared otherwise, Drive
        tells of the folder alone.
        """
        from blocks.drive import ChangesExpired

        drive: Drive = connections.load(self.credential)
        if cursor:
            try:
                changes, reached = drive.changes(cursor)
            except ChangesExpired:
                changes = None
            if changes == []:
                return Look(None, reached)
        token = drive.start_token(self.folder)
        widest = drive.file(self.folder).readers
        return Look({file.id: self._item(file, widest) for file in drive.files(self.folder)}, token)

    def fetch(self, item: Item, most_bytes: int) -> tuple[bytes, str | None]:
        """The file; a Google document as Markdown."""
        from blocks.drive import FileGone

        drive: Drive = connections.load(self.credential)
        try:
            return drive.content(drive.file(item.external_id), most_bytes)
        except FileGone as error:
            raise Gone(item.name) from error

    def _item(self, file: DriveFile, widest: frozenset[str]) -> Item:
        readers = file.readers
        if self.quotable and widest and widest <= readers:
            readers |= {ANYONE}
        name = "/".join([*file.path[1:], file.name])
        # Google's own pages take no anchors but their own.
        return Item(
            file.id, name, file.version, readers, file.link, anchored=False, size=file.size, mime_type=file.mime_type
        )


class ClosedTickets(Source):
    """HubSpot's closed tickets, each with the notes that tell how it was solved.

    They are full of customers' names and troubles, so name readers with care: colleagues, never `anyone`.
    """

    credential: str = Field(pattern=r"^hubspot/[a-z0-9-]+$")
    readers: Readers = Field(min_length=1)

    @property
    def place(self) -> str:
        return "HubSpot's closed tickets"

    @model_validator(mode="after")
    def _not_for_everybody(self) -> Self:
        if ANYONE in self.readers:
            raise ValueError("closed tickets hold what customers wrote in confidence: name readers other than anyone")
        return self

    def look(self, cursor: str | None) -> Look:  # noqa: ARG002
        """Every closed ticket. One that is opened again is let go of until it is closed once more."""
        hubspot: HubSpot = connections.load(self.credential)
        found = hubspot.tickets(closed=True)
        return Look({ticket.id: self._item(ticket) for ticket in found})

    def fetch(self, item: Item, most_bytes: int) -> tuple[bytes, str | None]:  # noqa: ARG002
        """The ticket as a page: what was asked, and what was noted about it, oldest first."""
        from blocks.hubspot_tickets import TicketGone

        hubspot: HubSpot = connections.load(self.credential)
        try:
            ticket = hubspot.ticket(item.external_id)
        except TicketGone as error:
            raise Gone(item.name) from error
        notes = hubspot.notes_of_ticket(ticket.id)
        parts = [("h1", ticket.subject), ("h2", "Question"), ("div", ticket.content)]
        for note in notes:
            parts += [("h2", "Answer"), ("div", note.body)]
        page = "".join(f"<{tag}>{_markup(text)}</{tag}>" for tag, text in parts)
        return f"<!doctype html><html><body><main>{page}</main></body></html>".encode(), "text/html"

    def _item(self, ticket: Ticket) -> Item:
        name = f"{ticket.subject or '(no subject)'} (ticket {ticket.id})"
        return Item(ticket.id, name, ticket.modified_at.isoformat(), frozenset(self.readers))


TAG = re.compile(
    r"</?(?:a|b|blockquote|br|code|div|em|h[1-6]|hr|i|img|li|ol|p|pre|s|span|strong|su[bp]|t[a-z]{0,5}|u|ul)\b[^<>]*>",
    re.IGNORECASE,
)


def _markup(text: str) -> str:
    """What HubSpot holds as HTML, or plain text with its line breaks; `a < b` is no HTML."""
    return text if TAG.search(text) else html.escape(text).replace("\n", "<br>")

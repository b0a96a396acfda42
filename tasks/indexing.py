"""Indexing: what a source holds is compared with what the library knows of it, and only what differs is read.

Each document is one transaction, so a crash leaves whole documents, and the next run does the rest.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from blocks.documents import Document, Reader, Unreadable
from blocks.documents.limits import MOST_BYTES
from blocks.library import INDEXED, Item, Known, Library
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from tasks.sources import Gone, Source, SourceError
from tasks.verb import ACCOUNT, concurrently

AHEAD = 8
"""Documents that are fetched at once, while others are read."""


@dataclass(frozen=True)
class Plan:
    """What there is to do about one source."""

    source: Source
    to_read: tuple[Item, ...]
    """New, changed, or asked for again."""
    unchanged: int
    removed: int
    cursor: str | None

    def tally(self) -> Tally:
        """What is done once the source was looked at: all but the reading."""
        return Tally(self.source.name, unchanged=self.unchanged, removed=self.removed)


@dataclass
class Tally:
    """What became of one source's documents."""

    source: str
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """By name, with the reason: they are set aside, and the library says so until they are mended."""
    left: dict[str, str] = field(default_factory=dict)
    """By name, with the reason: they could not be had this time, and the next run tries again."""
    pages: int = 0
    seconds: float = 0.0
    problem: str | None = None
    """Why the source could not be looked at."""
    connected: bool = True
    """Whether its credential was saved. Where nobody has, nothing is wrong: it is not used (yet)."""

    def add(self, other: Tally) -> None:
        """Take in what another batch of the same source came to."""
        for name in ("added", "changed", "unchanged", "removed", "pages", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refused |= other.refused
        self.left |= other.left


@dataclass(frozen=True)
class Done:
    """One document, dealt with: what a progress bar is told."""

    item: Item
    outcome: str
    """`indexed`, `unchanged`, `refused`, `removed` or `left`."""


Tell = Callable[[Done], None]


def silent(_: Done) -> None:
    """Tells nobody."""


def look(library: Library, source: Source, *, again: bool = False) -> Plan:
    """Compare a source with what is known of it; what is gone, or shared with others now, is put right at once.

    Args:
        library: what is known.
        source: where to look.
        again: read the documents that were refused once more, though they are as they were.

    Raises:
        SourceError, MissingCredential, VendorError: the source cannot be looked at; nothing was changed.
        LibraryError: the library cannot be used.
    """
    library.begin(source.name, source.place)
    known = library.known(source.name)
    found = source.look(library.cursor(source.name))
    if found.items is None:
        waiting = again and [e for e, k in known.items() if k.state != INDEXED]
        if not waiting:
            library.walked(source.name, found.cursor)
            return Plan(source, (), len(known), 0, found.cursor)
        found = source.look(None)
    items = found.items or {}
    if known and not items and source.empty_is_odd:
        raise SourceError(
            f"source {source.name}: {source.place} holds nothing any more, as a disk that is not mounted does; what "
            f"was indexed stays. If that is meant: signoff library forget {source.name}"
        )
    removed = library.remove(source.name, [external_id for external_id in known if external_id not in items])
    library.relabel(source.name, [item for item in items.values() if _is_relabelled(item, known)])
    to_read = tuple(item for item in items.values() if _is_to_be_read(item, known, again=again))
    return Plan(source, to_read, len(items) - len(to_read), removed, found.cursor)


def take_in(library: Library, source: Source, items: Sequence[Item], reader: Reader, tell: Tell = silent) -> Tally:
    """Fetch, read and index documents. One that cannot be had or read is set aside with the reason; the others go on.

    Raises:
        VendorError: the account is refused, or of several documents none can be had: the vendor is down.
        LibraryError: the library cannot be used.
    """
    began = time.monotonic()
    tally = Tally(source.name)
    known = library.known(source.name)
    for item, read in _read(library, source, items, known, reader, tally, tell):
        content, outcome = read
        if isinstance(outcome, Document):
            library.put(source.name, item, content, outcome)
            tally.pages += outcome.pages or 0
            if _was_indexed(item, known):
                tally.changed += 1
            else:
                tally.added += 1
            tell(Done(item, "indexed"))
        else:
            _refuse(library, source, item, str(outcome), tally, tell, content)
    tally.seconds = time.monotonic() - began
    return tally


def _read(
    library: Library,
    source: Source,
    items: Sequence[Item],
    known: dict[str, Known],
    reader: Reader,
    tally: Tally,
    tell: Tell,
) -> Iterator[tuple[Item, tuple[str, Document | Unreadable]]]:
    """Each document whose content is new, read. While one is indexed, the next is read, and more are fetched."""
    hashes: dict[str, str] = {}

    def jobs() -> Iterator[tuple[Item, Callable[[], bytes], str, str | None]]:
        for item, (content, mime_type) in _fetched(library, source, items, tally, tell):
            hashes[item.external_id] = hashlib.sha256(content).hexdigest()
            before = known.get(item.external_id)
            if before and before.state == INDEXED and before.content == hashes[item.external_id]:
                library.relabel(source.name, [item], version=True)
                tally.unchanged += 1
                tell(Done(item, "unchanged"))
            else:
                yield item, partial(bytes, content), item.name, mime_type

    for item, outcome in reader.read_many(jobs()):
        yield item, (hashes.pop(item.external_id), outcome)


def _fetched(
    library: Library, source: Source, items: Sequence[Item], tally: Tally, tell: Tell
) -> Iterator[tuple[Item, tuple[bytes, str | None]]]:
    """Each document that can be had, with its content. A few at a time: contents are large."""
    failures: list[VendorError] = []
    for start in range(0, len(items), AHEAD):
        for item, outcome in concurrently(lambda one: _fetch(source, one), items[start : start + AHEAD]):
            match outcome:
                case (content, _) if len(content) <= MOST_BYTES:
                    yield item, outcome
                case (content, _):
                    _refuse(library, source, item, f"it has more than {MOST_BYTES:,} bytes", tally, tell)
                case Gone():
                    tally.removed += library.remove(source.name, [item.external_id])
                    tell(Done(item, "removed"))
                case OSError():
                    tally.left[item.name] = outcome.strerror or str(outcome)
                    tell(Done(item, "left"))
                case VendorError() if outcome.status in ACCOUNT - {403} or isinstance(outcome, SchemaDrift):
                    raise outcome
                case VendorError(permanent=True):
                    _refuse(library, source, item, outcome.reason, tally, tell)
                case VendorError():
                    failures.append(outcome)
                    tally.left[item.name] = str(outcome)
                    tell(Done(item, "left"))
    if len(failures) > 1 and len(failures) == len(items):
        raise failures[0]


def _fetch(source: Source, item: Item) -> tuple[bytes, str | None] | Gone | OSError:
    try:
        return source.fetch(item, MOST_BYTES)
    except (Gone, OSError) as error:
        return error


def _refuse(
    library: Library, source: Source, item: Item, reason: str, tally: Tally, tell: Tell, content: str | None = None
) -> None:
    library.refuse(source.name, item, content, reason)
    tally.refused[item.name] = reason
    tell(Done(item, "refused"))


def _is_to_be_read(item: Item, known: dict[str, Known], *, again: bool) -> bool:
    before = known.get(item.external_id)
    return before is None or before.version != item.version or (again and before.state != INDEXED)


def _is_relabelled(item: Item, known: dict[str, Known]) -> bool:
    """Whether others may read it now, or it has another name: that holds before it is read again, if it ever is."""
    before = known.get(item.external_id)
    return before is not None and (before.readers, before.name) != (item.readers, item.name)


def _was_indexed(item: Item, known: dict[str, Known]) -> bool:
    before = known.get(item.external_id)
    return before is not None and before.state == INDEXED


def finish(library: Library, plan: Plan, tally: Tally) -> None:
    """Write down how far a source was looked at; where a document is left, the next run looks at all of it."""
    library.walked(plan.source.name, None if tally.left else plan.cursor)


def work(library: Library, plan: Plan, tally: Tally, tell: Tell = silent) -> None:
    """Do all that a plan says, in this process, and count it.

    Raises:
        VendorError, LibraryError: as `take_in`; what was taken in before stays.
    """
    if plan.to_read:
        with Reader() as reader:
            tally.add(take_in(library, plan.source, plan.to_read, reader, tell))
    finish(library, plan, tally)


def index(library: Library, source: Source, tell: Tell = silent, *, again: bool = False) -> Tally:
    """Look at a source and do all that there is to do about it.

    Raises:
        SourceError, MissingCredential, VendorError: as `look` and `take_in`.
        LibraryError: the library cannot be used.
    """
    plan = look(library, source, again=again)
    tally = plan.tally()
    work(library, plan, tally, tell)
    return tally

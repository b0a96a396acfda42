"""The machine: room on its disks, how the databases grow and when they would be full, and its clock."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from prefect.client.orchestration import get_client

from blocks import connections
from blocks.database import with_driver
from blocks.ledger import Cursor, Ledger, insert
from blocks.library.store import default_url as library_url
from tasks.health_finding import EASE, Finding, Look
from tasks.side_by_side import side_by_side

WATCH = "health-check"
"""Whose rows in `cursors` hold what a health check must still know the next time."""

MB, GB = 10**6, 10**9
LEAST_FREE = 2 * GB
"""Bytes that must be free on every disk that holds one of our databases."""

SOON = timedelta(days=14)
"""A disk that would be full before then, if its databases go on growing as they do, is told of."""

LEAST_DAYS = 3
MOST_DAYS = 30
"""Days of growth that it takes to say so, and that are kept."""

FAR_DAYS = 1_000

LARGEST_WAL = 512 * MB
"""SQLite writes a WAL back at about 4 MB. One that has grown so large is held up by a reader that never ends."""

LARGE_PREFECT = 2 * GB
"""From here on it matters that Prefect's database keeps every run for ever."""

CLOCK_SECONDS = 120.0
"""How far this machine's clock may be off: signatures and tokens are refused at five minutes."""

ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Store:
    """One of our databases."""

    name: str
    size: int
    """Bytes."""
    path: Path | None
    """Its file, where it is one on this machine."""
    wal: int = 0
    """Bytes in its write-ahead log."""
    per_day: float | None = None
    """Bytes by which it grows a day; None while that is not known."""


def stores(ledger: Ledger, now: datetime) -> list[Store]:
    """The ledger, the library and Prefect's database, as far as they can be seen from here, with their growth."""
    found = [store_of("ledger", ledger.engine.url), store_of("library", sa.make_url(with_driver(library_url())))]
    with get_client(sync_client=True) as client:
        home = Path(client.request("GET", "/admin/settings").json()["home"])
    found.append(_of_file("prefect", home / "prefect.db"))
    known = [store for store in found if store is not None]
    growth = _growth(ledger, {store.name: store.size for store in known}, now.date())
    return [Store(s.name, s.size, s.path, s.wal, growth.get(s.name)) for s in known]


def disk(look: Look) -> Iterator[Finding]:
    """Disks with little room, or none in two weeks; write-ahead logs that only grow; a Prefect that keeps all runs."""
    known = stores(look.ledger, look.now)
    for mount, here in _by_disk(known).items():
        yield from _room(look, mount, here, shutil.disk_usage(mount).free)
    for store in known:
        key = f"disk:wal:{store.name}"
        if store.wal > look.eased(key, LARGEST_WAL):
            said = f"the write-ahead log of {store.name} has {size(store.wal)}: some process reads it without end"
            yield Finding(key, f"{said}. Restart signoff up, and whatever else has {store.path} open")
        if store.name == "prefect" and store.size > LARGE_PREFECT and not prunes_runs():
            yield Finding("disk:prefect", f"Prefect's database has {size(store.size)}, and {KEEPS_ALL}")


def _room(look: Look, mount: str, here: Sequence[Store], free: int) -> Iterator[Finding]:
    """A disk is well again at a quarter more than the limits."""
    names, days = ", ".join(store.name for store in here), days_left(free, here)
    key = f"disk:free:{mount}"
    if free < (LEAST_FREE / EASE if key in look.open else LEAST_FREE):
        yield Finding(key, f"{size(free)} are free on the disk that holds {names}: make room, or move them")
    key = f"disk:full:{mount}"
    if days is not None and days < (SOON.days / EASE if key in look.open else SOON.days):
        grown = ", ".join(f"{store.name} {size(store.per_day or 0)}" for store in here)
        said = f"the disk that holds {names} is full on {look.now + timedelta(days=days):%d %b}, if they go on growing"
        yield Finding(key, f"{said} as they do (a day: {grown}): make room, or move them")


KEEPS_ALL = (
    "keeps every run for ever: set PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs where the server is "
    "started, and those of 90 days ago and more go"
)


def prunes_runs() -> bool:
    """Whether Prefect's server deletes old runs."""
    with get_client(sync_client=True) as client:
        settings: dict[str, Any] = client.request("GET", "/admin/settings").json()
    enabled = settings["server"]["services"]["db_vacuum"]["enabled"]
    return enabled is True or (not isinstance(enabled, bool) and "flow_runs" in (enabled or ()))


def days_left(free: int, here: Sequence[Store]) -> float | None:
    """Days until a disk is full, if its databases go on growing; None where they do not, or it is not known."""
    growth = sum(store.per_day or 0 for store in here)
    return free / growth if growth > 0 else None


def full_on(known: Sequence[Store], now: datetime) -> dict[str, str]:
    """By store, the day on which its disk would be full, in words."""
    said: dict[str, str] = {}
    for mount, here in _by_disk(known).items():
        days = days_left(shutil.disk_usage(mount).free, here)
        day = "-" if days is None else "not for years" if days > FAR_DAYS else f"{now + timedelta(days=days):%d %b %Y}"
        said |= {store.name: day for store in here}
    return said


def grows_by(samples: Sequence[tuple[date, int]]) -> float | None:
    """Bytes a day between the oldest sample and the newest; None with less than three days in between."""
    if not samples:
        return None
    (first, before), (last, after) = min(samples), max(samples)
    days = (last - first).days
    return (after - before) / days if days >= LEAST_DAYS else None


def size(count: float) -> str:
    """`12.3 GB`, `4 MB`, `0 MB`."""
    return f"{count / GB:,.1f} GB" if abs(count) >= GB else f"{count / MB:,.0f} MB"


def store_of(name: str, url: sa.URL) -> Store | None:
    """The database at an address, with its size; None where it is a file that is not there."""
    if url.get_backend_name() == "sqlite":
        return _of_file(name, Path(url.database or ""))
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return Store(name, connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0, None)
    finally:
        engine.dispose()


def _of_file(name: str, path: Path) -> Store | None:
    if not path.is_file():
        return None
    wal = path.with_name(f"{path.name}-wal")
    return Store(name, path.stat().st_size, path, wal.stat().st_size if wal.is_file() else 0)


def _by_disk(known: Sequence[Store]) -> dict[str, list[Store]]:
    """The databases that share a disk, by the mount point that holds them."""
    found: dict[str, list[Store]] = {}
    for store in known:
        if store.path is not None:
            found.setdefault(_mount_of(store.path), []).append(store)
    return found


def _mount_of(path: Path) -> str:
    place = path.resolve().parent
    while not place.is_mount():
        place = place.parent
    return str(place)


def _growth(ledger: Ledger, sizes: Mapping[str, int], today: date) -> dict[str, float]:
    """Bytes a day, by store. Today's sizes are noted down, once a day."""
    known = remembered(ledger, "sizes")
    if str(today) not in known:
        days = sorted([*known, str(today)])[-MOST_DAYS:]
        known = {day: known.get(day, dict(sizes)) for day in days}
        remember(ledger, "sizes", known)
    found = {}
    for name, now in sizes.items():
        samples = [(date.fromisoformat(day), seen[name]) for day, seen in known.items() if name in seen]
        grown = grows_by([*(each for each in samples if each[0] < today), (today, now)])
        if grown is not None:
            found[name] = grown
    return found


def remembered(ledger: Ledger, what: str) -> dict[str, Any]:
    """What an earlier health check has noted down under this name."""
    with ledger.read() as session:
        row = session.get(Cursor, (WATCH, what))
    found: dict[str, Any] = json.loads(row.value) if row else {}
    return found


def remember(ledger: Ledger, what: str, value: Mapping[str, Any]) -> None:
    """Note something down for the next health check."""
    text = json.dumps(value)
    with ledger.write() as session:
        new = insert(session, Cursor).values(workflow=WATCH, source=what, value=text, updated_at=datetime.now(UTC))
        changed = {"value": text, "updated_at": datetime.now(UTC)}
        session.execute(new.on_conflict_do_update(index_elements=[Cursor.workflow, Cursor.source], set_=changed))


def clock(look: Look) -> Iterator[Finding]:
    """This machine's clock, beside those of the vendors: the least difference counts, for theirs may be off as well."""
    blocks = (connections.load_if_present(each) for each in {line.credential for c in look.cards for line in c.reads})
    addresses = sorted({str(address) for block in blocks if (address := getattr(block, "address", None))})
    answers = side_by_side([partial(skew, address) for address in addresses], ANSWER_SECONDS)
    found = [answer for answer in answers if isinstance(answer, float)]
    least = min(found, key=abs, default=0.0)
    if abs(least) > look.eased("clock", CLOCK_SECONDS):
        way = "behind" if least > 0 else "ahead of"
        said = f"this machine's clock is {abs(least):,.0f} s {way} the vendors': signatures and tokens will be refused."
        yield Finding("clock", f"{said} Let it set itself (timedatectl set-ntp true)")


def skew(address: str) -> float | None:
    """Seconds by which a server's clock is ahead of ours, by its `Date` header; None where it has none."""
    before = datetime.now(UTC)
    with httpx.Client(timeout=ANSWER_SECONDS, follow_redirects=False) as client:
        reply = client.head(address)
    after = datetime.now(UTC)
    try:
        told = parsedate_to_datetime(reply.headers["date"])
    except (KeyError, ValueError):
        return None
    # The header has whole seconds, cut off: on average it is half a second later than it says.
    return (told - before - (after - before) / 2).total_seconds() + 0.5

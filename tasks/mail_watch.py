"""Gmail push: Google tells a Pub/Sub topic of changes in an inbox, for seven days. The health check renews that daily.

What is watched is a row of `cursors` for each mailbox, with the topic and when Google stops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from blocks import connections
from blocks.gmail import Gmail
from blocks.guard import guarded_by
from blocks.ledger import Cursor, Ledger, insert, utcnow
from blocks.vendor import VendorError
from tasks.discipline import discipline
from tasks.health_finding import Finding, Look
from tasks.side_by_side import TookTooLong, side_by_side

PUSH = "gmail-push"
"""Whose rows in `cursors` they are; the source is the credential, as `gmail/inbox`."""

DAILY = timedelta(days=1)
"""How often a watch is renewed: Google ends it after seven days, and recommends once a day."""

SECONDS = 20.0
"""How long Google may take to renew one."""

WAY_OUT = (
    "The topic must be in the OAuth client's own project, and gmail-api-push@system.gserviceaccount.com must have the "
    "role Pub/Sub Publisher on it"
)


@dataclass(frozen=True)
class Watch:
    """A mailbox of whose changes Google tells a topic."""

    credential: str
    """As `gmail/inbox`."""
    topic: str
    """As `projects/PROJECT/topics/TOPIC`."""
    until: datetime
    """When Google stops (UTC)."""
    renewed_at: datetime
    failure: str = ""
    """Why it could not be renewed the last time that was tried; empty when it was."""

    @property
    def value(self) -> str:
        """As it is kept."""
        times = {"until": self.until.isoformat(), "renewed_at": self.renewed_at.isoformat()}
        return json.dumps({"topic": self.topic, **times, "failure": self.failure})

    @classmethod
    def read(cls, row: Cursor) -> Watch:
        """As it was kept."""
        kept = json.loads(row.value)
        until, renewed_at = (datetime.fromisoformat(kept[name]) for name in ("until", "renewed_at"))
        return cls(row.source, kept["topic"], until, renewed_at, kept["failure"])


def start(ledger: Ledger, credential: str, topic: str) -> Watch:
    """Watch a mailbox, or go on for seven days from now; one that is watched for another topic is moved to this.

    Raises:
        MissingCredential: the mailbox is not connected.
        VendorError: Google refuses, or cannot be asked. What was watched before is watched still, unless it was moved.
    """
    gmail: Gmail = connections.load(credential)
    before = watch_of(ledger, credential)
    with guarded_by(discipline(ledger)):
        if before and before.topic != topic:
            gmail.stop_watch()
        watch = Watch(credential, topic, gmail.watch(topic), utcnow())
    new = {"workflow": PUSH, "source": credential, "value": watch.value, "updated_at": watch.renewed_at}
    changed = {name: new[name] for name in ("value", "updated_at")}
    with ledger.write() as session:
        added = insert(session, Cursor).values(new)
        session.execute(added.on_conflict_do_update(index_elements=[Cursor.workflow, Cursor.source], set_=changed))
    return watch


def stop(ledger: Ledger, credential: str) -> bool:
    """Watch a mailbox no more; False where it was not watched by us. Google is told in any case.

    Raises:
        MissingCredential: the mailbox is not connected.
        VendorError: Google cannot be asked; nothing has changed.
    """
    gmail: Gmail = connections.load(credential)
    with guarded_by(discipline(ledger)):
        gmail.stop_watch()
    mine = sa.delete(Cursor).where(Cursor.workflow == PUSH, Cursor.source == credential).returning(Cursor.source)
    with ledger.write() as session:
        return session.scalar(mine) is not None


def watched(ledger: Ledger) -> list[Watch]:
    """What is watched, by credential."""
    query = sa.select(Cursor).where(Cursor.workflow == PUSH).order_by(Cursor.source)
    with ledger.read() as session:
        return [Watch.read(row) for row in session.scalars(query)]


def watch_of(ledger: Ledger, credential: str) -> Watch | None:
    """What a mailbox is watched for; None where it is not."""
    return next((each for each in watched(ledger) if each.credential == credential), None)


def renew(ledger: Ledger, now: datetime | None = None) -> list[Watch]:
    """Renew what was not renewed for a day, or could not be when it was tried last; those, as they stand now.

    Whatever goes wrong is written down, and `lapsing` tells of it. Without a watch it costs one look at an index.
    """
    now = now or utcnow()
    due = [each for each in watched(ledger) if each.failure or now - each.renewed_at >= DAILY]
    results = side_by_side([partial(_ask, ledger, each) for each in due], SECONDS)
    renewed = [_renewed(watch, result, now) for watch, result in zip(due, results, strict=True)]
    if renewed:
        with ledger.write() as session:
            for watch in renewed:  # never added: somebody may have stopped it meanwhile
                mine = (Cursor.workflow == PUSH, Cursor.source == watch.credential)
                session.execute(sa.update(Cursor).where(*mine).values(value=watch.value, updated_at=now))
    return renewed


def _ask(ledger: Ledger, watch: Watch) -> datetime:
    gmail: Gmail = connections.load(watch.credential)
    with guarded_by(discipline(ledger)):
        return gmail.watch(watch.topic)


def _renewed(watch: Watch, result: datetime | Exception, now: datetime) -> Watch:
    match result:
        case datetime():
            return replace(watch, until=result, renewed_at=now, failure="")
        case TookTooLong():
            return replace(watch, failure=f"no answer within {SECONDS:g} s")
        case VendorError() | connections.MissingCredential():
            return replace(watch, failure=str(result))
        case _:  # by its kind only: a value that no library takes is quoted in its text
            return replace(watch, failure=f"one of its values is not what it should be ({type(result).__name__})")


def lapsing(look: Look) -> Iterator[Finding]:
    """Mailboxes of which Google stops to tell, because that could not be renewed.

    A dead account, or a Gmail that does not answer, is told of already.
    """
    for watch in watched(look.ledger):
        told = {f"accounts:{watch.credential}", f"accounts:{watch.credential}:silent", "circuit:gmail"}
        if not watch.failure or told & look.open.keys():
            continue
        when = f"{watch.until:%d %b %H:%M} UTC"
        ends = f"Google stops on {when}" if watch.until > look.now else f"Google has stopped on {when}"
        said = f"that Google tells us of changes in {watch.credential} could not be renewed: {watch.failure}. {ends}; "
        way = f"the inbox is polled all the same. {WAY_OUT}. Then: signoff webhooks watch {watch.credential}"
        yield Finding(f"push:{watch.credential}", said + way, may_pass=True)

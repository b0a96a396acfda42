"""Alerts: what a person must know, told once however often it is met, and closed when it is over.

Each is a row in the ledger, and on opening and closing an event in Prefect (`signoff.alert.opened`, `.closed`), so that
an automation there can notify somebody.
"""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Alert, Ledger, insert, utcnow
from blocks.vendor import scrub

LONGEST = 2_000
"""Characters of a message: it may quote a vendor, and Prefect refuses events that are too large."""


def open_alert(ledger: Ledger, key: str, message: str, workflow: str | None = None) -> bool:
    """Open the alert `key`, or count once more that it was met. One open alert a key, whoever opens it.

    Not to be called inside a `ledger.write()` block: SQLite has one writer at a time.

    Args:
        ledger: where it is kept.
        key: what it is about, for example `drift:hubspot:contact.firstname`.
        message: for a person: what is wrong, and the way out; what looks like a credential is blanked.
        workflow: whose it is; None when it is everybody's.

    Returns:
        Whether it is newly opened.
    """
    message = scrub(message)[:LONGEST]
    with ledger.write() as session:
        opened: bool = session.scalar(_upsert(session, key=key, message=message, workflow=workflow)) == 1
    if opened:
        _emit("opened", key, message, workflow)
    return opened


def close_alert(ledger: Ledger, key: str) -> bool:
    """Close the alert `key`; False when none was open."""
    if not _is_open(ledger, key):  # nearly always: an idle look must not wait for the ledger's one writer
        return False
    closing = (
        sa.update(Alert)
        .where(Alert.key == key, Alert.closed_at.is_(None))
        .values(closed_at=utcnow())
        .returning(Alert.message, Alert.workflow)
    )
    with ledger.write() as session:
        closed = session.execute(closing).first()
    if closed is None:
        return False
    _emit("closed", key, closed.message, closed.workflow)
    return True


def still_open(ledger: Ledger, workflow: str | None = None) -> list[Alert]:
    """The open alerts, oldest first; of a workflow, with those that are everybody's, if one is named."""
    query = sa.select(Alert).where(Alert.closed_at.is_(None)).order_by(Alert.id)
    if workflow is not None:
        query = query.where(sa.or_(Alert.workflow == workflow, Alert.workflow.is_(None)))
    with ledger.read() as session:
        return list(session.scalars(query))


def every(ledger: Ledger, limit: int = 100) -> list[Alert]:
    """The newest `limit` alerts, open or closed, newest first."""
    with ledger.read() as session:
        return list(session.scalars(sa.select(Alert).order_by(Alert.id.desc()).limit(limit)))


def _is_open(ledger: Ledger, key: str) -> bool:
    with ledger.read() as session:
        return session.scalar(sa.select(Alert.id).where(Alert.key == key, Alert.closed_at.is_(None))) is not None


def _upsert(session: Session, **values: Any) -> Any:
    """One statement, which the unique index on open keys makes safe between processes; gives back `times`."""
    now = utcnow()
    return (
        insert(session, Alert)
        .values(**values, times=1, opened_at=now, seen_at=now)
        .on_conflict_do_update(
            index_elements=[Alert.key],
            index_where=Alert.closed_at.is_(None),
            set_={"times": Alert.times + 1, "seen_at": now},
        )
        .returning(Alert.times)
    )


def _emit(what: str, key: str, message: str, workflow: str | None) -> None:
    try:
        from prefect.events import emit_event

        emit_event(
            event=f"signoff.alert.{what}",
            resource={"prefect.resource.id": f"signoff.alert.{key}", "prefect.resource.name": key},
            payload={"message": message, "workflow": workflow},
        )
    except Exception:  # whatever Prefect's event client raises: the alert is in the ledger, and the run must go on
        logging.getLogger(__name__).exception("the event for the alert %s could not be sent", key)

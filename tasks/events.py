"""Events: what a web form, or any system that can sign a POST, has told the receiver becomes records, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from blocks.ledger import Cursor, Ledger, LedgerUnavailable, Record, WebhookEvent, insert, utcnow
from blocks.webhook_events import BadEvent, storable
from tasks import records
from tasks.checks import Suite, unfit
from tasks.fetch import claim
from tasks.retention import OF_AN_EVENT
from tasks.run import Run
from tasks.verb import verb

PREFIX = OF_AN_EVENT
"""What the source of such a record begins with; the endpoint's name follows. Retention finds the event by it."""

LONGEST_TITLE = 200

UNREADABLE = "it cannot be read: look for it with signoff webhooks"


@verb("fetch events")
def new(run: Run, source: str, kinds: tuple[str, ...] = (), *, limit: int, suite: Suite) -> list[int]:
    """Take the stored events of an endpoint into the ledger as records, and claim up to `limit` unfinished ones.

    The records and how far was read are stored in one transaction, so a crash neither loses nor repeats an event. It
    counts for nothing here whether a trigger started a run for it: a scheduled flow may take events, too.

    Args:
        run: the run.
        source: the endpoint's name, as `web-form`.
        kinds: only events of these kinds; without any, all.
        limit: at most so many records are taken in and claimed.
        suite: what an event must be like. Its columns are the payload's own fields, and `id`; a field that an event
            does not have is null, which only `ExpectColumnValuesToNotBeNull` refuses.

    Returns:
        The claimed records' ids, those from other sources too, oldest first.
    """
    events = _after_the_cursor(run, source, kinds, limit)
    rows = [row for event in events if (row := _arrived(run, event))]
    _check([row for row in rows if row["state"] == records.FETCHED], suite)
    if events:
        reached = {"source": _cursor(source, kinds), "value": str(events[-1].id), "updated_at": utcnow()}
        with run.ledger.write() as session:
            _store(session, rows)
            session.merge(Cursor(workflow=run.card.workflow, **reached))
    if len(events) == limit:
        run.left_outside = 1  # at least, or none: the next run finds out
        run.note(f"took {limit} events of {source}, the limit of a run; more may wait")
    return claim(run, limit)


def unread() -> sa.Select[tuple[WebhookEvent]]:
    """Events without what they say: one that cannot be read is no obstacle to the others. `said` reads one."""
    return sa.select(WebhookEvent).options(defer(WebhookEvent.payload, raiseload=True))


def said(ledger: Ledger, number: int) -> Any:
    """What one event says, as a record or a request takes it; None when it was redacted.

    Raises:
        BadEvent: it has too many levels. An older version took more than this one does.
        RecursionError, ValueError: it cannot be read at all.
    """
    with ledger.read() as session:
        return storable(session.scalar(sa.select(WebhookEvent.payload).where(WebhookEvent.id == number)))


def _after_the_cursor(run: Run, source: str, kinds: Sequence[str], limit: int) -> Sequence[WebhookEvent]:
    """The oldest events that were not taken yet: writers take turns, so none gets a lower number than one seen here."""
    with run.ledger.read() as session:
        cursor = session.get(Cursor, (run.card.workflow, _cursor(source, kinds)))
        query = unread().where(WebhookEvent.source == source, WebhookEvent.id > (int(cursor.value) if cursor else 0))
        if kinds:
            query = query.where(WebhookEvent.kind.in_(kinds))
        return session.scalars(query.order_by(WebhookEvent.id).limit(limit)).all()


def _cursor(source: str, kinds: Sequence[str]) -> str:
    """One for each choice of kinds: a flow may take some of them here, and others there."""
    return f"{PREFIX}{source}" + (f" {' '.join(sorted(kinds))}" if kinds else "")


def _arrived(run: Run, event: WebhookEvent) -> dict[str, Any] | None:
    """The event as a record, set aside if it cannot be one; None when it was redacted."""
    try:
        payload, reason = said(run.ledger, event.id), None
    except LedgerUnavailable:
        raise
    except BadEvent as error:
        payload, reason = {}, str(error)
    except (RecursionError, ValueError):  # of many levels, or no JSON at all
        payload, reason = {}, UNREADABLE
    return None if payload is None else _row(run.card.workflow, event, payload, reason)


def _row(workflow: str, event: WebhookEvent, payload: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    subject = payload.get("subject")
    return {
        "workflow": workflow,
        "source": PREFIX + event.source,
        "external_id": event.external_id,
        "version": "1",
        "title": (subject if isinstance(subject, str) and subject else event.kind)[:LONGEST_TITLE],
        "payload": payload,
        "state": records.QUARANTINED if reason else records.FETCHED,
        "reason": reason,
        "failures": 0,
    }


def _store(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """All of them; when the database does not take them together, each that it takes, and of the others that they came.

    Raises:
        LedgerUnavailable: it takes nothing now.
    """
    if not rows:
        return
    adding = insert(session, Record).on_conflict_do_nothing()
    try:
        with session.begin_nested():
            session.execute(adding, list(rows))
    except (sa.exc.OperationalError, sa.exc.InterfaceError):  # locked, full or gone
        raise
    except sa.exc.StatementError:
        if len(rows) > 1:
            for row in rows:
                _store(session, [row])
            return
        (row,) = rows
        aside = {"title": "", "payload": {}, "state": records.QUARANTINED, "reason": UNREADABLE}
        session.execute(adding, [row | aside])


def _check(rows: Sequence[dict[str, Any]], suite: Suite) -> None:
    """Quarantine, in place, the events that the suite refuses, or that it cannot even be asked about."""
    if not rows:
        return
    # A field that no event of the batch has would be no column, and the suite could not be asked at all.
    blank = {column: None for expectation in suite() if (column := getattr(expectation, "column", None))}
    checked = [{**blank, **row["payload"], "id": row["external_id"]} for row in rows]
    reasons = _unfit(checked, suite)
    for row in rows:
        if reason := reasons.get(row["external_id"]):
            row |= {"state": records.QUARANTINED, "reason": reason}


def _unfit(checked: Sequence[Mapping[str, Any]], suite: Suite) -> dict[str, str]:
    try:
        return unfit(checked, suite)
    except (TypeError, ValueError, ArithmeticError):
        # A sender can put a text where a number belongs, on which an expectation fails as a whole. One bad event must
        # not fail its batch.
        if len(checked) == 1:
            return {str(checked[0]["id"]): "its fields are of other types than the workflow expects"}
    half = len(checked) // 2
    return _unfit(checked[:half], suite) | _unfit(checked[half:], suite)

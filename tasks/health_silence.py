"""Silence: a source from which usually something comes by now, and nothing has come.

What is usual is read from the source's own past: the same hours of the same weekdays in the weeks before. So nights and
weekends are no silence, a source that brings little is given longer, and one whose season is over is left alone. An
hour is left off at both ends of the window, because clocks change by one, and nobody knows by whose clock people write.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from blocks.ledger import Record
from tasks import workdays
from tasks.card import Card
from tasks.health_finding import Finding, Look
from tasks.plain import counted

WEEK = timedelta(weeks=1)
WEEKS = 4
"""How far back is looked."""

LEAST_WEEKS = 2
"""With less history than this nobody can say what is usual."""

FEWEST = 6
"""So many must have come in these hours in each of the weeks that are known: fewer can be missing by chance."""

SHORTEST = timedelta(hours=3)
"""A shorter silence is none."""

CLOCKS_CHANGE = timedelta(hours=1)


@dataclass(frozen=True)
class Silence:
    """Nothing has come since, where this much usually does."""

    since: datetime
    usually: int
    """The fewest of the weeks that are known."""


def silences(look: Look) -> Iterator[Finding]:
    """Every source of a workflow that is silent. An alert that is open stays so until something comes."""
    earliest = look.now - (WEEKS + 1) * WEEK
    query = sa.select(Record.workflow, Record.source, Record.created_at).where(Record.created_at > earliest)
    with look.ledger.read() as session:
        rows = session.execute(query.order_by(Record.created_at)).all()
    arrivals: dict[tuple[str, str], list[datetime]] = {}
    for workflow, source, at in rows:
        arrivals.setdefault((workflow, source), []).append(at)
    cards = {card.workflow: card for card in look.cards}
    for (workflow, source), times in arrivals.items():
        if workflow not in cards:
            continue
        key = f"silence:{workflow}:{source}"
        alert, found = look.open.get(key), silence(times, look.now)
        if found and not _is_holiday(found.since, look.now, cards[workflow]):
            yield Finding(key, _said(source, found, look.now), workflow)
        elif alert and times[-1] < alert.opened_at:
            yield Finding(key, f"nothing has come from {source} since {times[-1]:%d %b %H:%M} UTC", workflow)


def silence(arrivals: Sequence[datetime], now: datetime) -> Silence | None:
    """Whether a source has been silent for longer than it ever is.

    Args:
        arrivals: when something came, in order, for five weeks or as long as the source is known.
        now: when it is asked.
    """
    if not arrivals or now - arrivals[-1] < SHORTEST:
        return None
    begin, end = max(arrivals[-1], now - WEEK) + CLOCKS_CHANGE, now - CLOCKS_CHANGE
    usually = []
    for weeks in range(1, WEEKS + 1):
        back = weeks * WEEK
        if begin - back < arrivals[0]:
            break
        usually.append(bisect_right(arrivals, end - back) - bisect_left(arrivals, begin - back))
    if len(usually) < LEAST_WEEKS or min(usually) < FEWEST:
        return None
    return Silence(arrivals[-1], min(usually))


def _said(source: str, found: Silence, now: datetime) -> str:
    hours = round((now - found.since).total_seconds() / 3600)
    return (
        f"nothing has come from {source} for {counted(hours, 'hour')}, since {found.since:%d %b %H:%M} UTC; in these "
        f"hours of the week it has been {found.usually} or more. See whether mail (or whatever it is) still gets there"
    )


def _is_holiday(begin: datetime, end: datetime, card: Card) -> bool:
    """Whether one of these days is a public holiday of the card's calendar: then nothing is as usual."""
    if card.calendar is None:
        return False
    days = (begin.date() + timedelta(days=ahead) for ahead in range((end.date() - begin.date()).days + 1))
    return any(day.weekday() < 5 and workdays.day_off(day, card.calendar) for day in days)

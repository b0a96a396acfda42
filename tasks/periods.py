"""The days that a report is about, in a time zone, and as many before them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

WEEK = re.compile(r"(\d{4})-W(\d{2})")
MOST_DAYS = 366


class PeriodError(Exception):
    """There is no such time zone, week or number of days; the message names it, and what there is."""


@dataclass(frozen=True)
class Period:
    """From the beginning of a day in a time zone to a moment on its last day, or to the end of that."""

    since: datetime
    until: datetime
    """This moment is no longer in it. Both are in UTC."""
    zone: ZoneInfo

    @cached_property
    def days(self) -> tuple[date, ...]:
        """Every day of it, in order."""
        first = self.since.astimezone(self.zone).date()
        last = (self.until - timedelta(microseconds=1)).astimezone(self.zone).date()
        return tuple(first + timedelta(days=n) for n in range((last - first).days + 1))

    @property
    def is_whole(self) -> bool:
        """Whether its last day is over, too."""
        return self.until == _midnight(self.days[-1] + timedelta(days=1), self.zone)

    @cached_property
    def before(self) -> Period:
        """As long a time, just before: to the same hour of its last day, so that a day that goes on is no fall."""
        back = timedelta(days=len(self.days))
        until = (self.until.astimezone(self.zone) - back).astimezone(UTC)  # by the clock on the wall
        return Period(_midnight(self.days[0] - back, self.zone), until, self.zone)

    @property
    def label(self) -> str:
        """`16 to 22 Nov 2026`; the year and month of the first day where they are others."""
        first, last = self.days[0], self.days[-1]
        if first == last:
            return f"{last.day} {last:%b %Y}"
        same_month, same_year = (first.year, first.month) == (last.year, last.month), first.year == last.year
        begins = "" if same_month else f" {first:%b}" if same_year else f" {first:%b %Y}"
        return f"{first.day}{begins} to {last.day} {last:%b %Y}"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        PeriodError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as Europe
        raise PeriodError(f"there is no time zone {name!r}; try UTC, Europe/Dublin or America/New_York") from None


def last_days(count: int, zone: ZoneInfo, now: datetime) -> Period:
    """The newest so many days, of which the last is today, so far.

    Raises:
        PeriodError: that is no number of days.
    """
    if not 1 <= count <= MOST_DAYS:
        raise PeriodError(f"a report is about 1 to {MOST_DAYS} days, not {count}")
    first = now.astimezone(zone).date() - timedelta(days=count - 1)
    return Period(_midnight(first, zone), now, zone)


def iso_week(name: str | None, zone: ZoneInfo, now: datetime) -> Period:
    """A whole week, Monday to Sunday: `2026-W48`, or the newest that is over.

    Raises:
        PeriodError: it is no week, or it is not over yet.
    """
    today = now.astimezone(zone).date()
    monday = _monday_of(name) if name else today - timedelta(days=today.weekday() + 7)
    next_monday = monday + timedelta(days=7)
    if next_monday > today:
        raise PeriodError(f"the week {name} is not over yet: it ends on {next_monday - timedelta(days=1):%d %b %Y}")
    return Period(_midnight(monday, zone), _midnight(next_monday, zone), zone)


def week_of(period: Period) -> str:
    """The ISO name of the week in which a period begins: `2026-W48`."""
    year, week, _ = period.days[0].isocalendar()
    return f"{year}-W{week:02}"


def _monday_of(name: str) -> date:
    found = WEEK.fullmatch(name)
    try:
        if found:
            return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError:
        pass
    raise PeriodError(f"{name!r} is no week; write it as 2026-W48")


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


# In SQL


def inside(column: sa.SQLColumnExpression[datetime], period: Period) -> sa.ColumnElement[bool]:
    """Whether a time is in the period."""
    return sa.and_(column >= period.since, column < period.until)


def within(column: sa.SQLColumnExpression[datetime], period: Period) -> sa.ColumnElement[bool]:
    """Whether a time is in the period, or in the one before it."""
    return sa.or_(inside(column, period), inside(column, period.before))


def day_of(column: sa.SQLColumnExpression[datetime], period: Period, dialect: str) -> sa.ColumnElement[str]:
    """A time's day in the period's zone, as `2026-11-27`; right also where the clocks are changed in between."""
    minutes = _minutes_ahead(column, _offsets(period))
    if dialect == "postgresql":
        shifted = sa.func.timezone("UTC", column) + sa.func.make_interval(0, 0, 0, 0, 0, minutes)
        return sa.func.to_char(shifted, "YYYY-MM-DD", type_=sa.String)
    return sa.func.date(column, sa.cast(minutes, sa.String).concat(" minutes"), type_=sa.String)


def _minutes_ahead(
    column: sa.SQLColumnExpression[datetime], offsets: Sequence[tuple[datetime, int]]
) -> sa.ColumnElement[int]:
    (_, first), *changes = offsets
    if not changes:
        return sa.literal(first)
    return sa.case(*((column >= moment, minutes) for moment, minutes in reversed(changes)), else_=first)


def _offsets(period: Period) -> list[tuple[datetime, int]]:
    """How many minutes the zone is ahead of UTC, from the period before on, and from each change of the clocks on."""
    moment, minutes = period.before.since, _ahead(period.before.since, period.zone)
    found = [(moment, minutes)]
    while moment < period.until:
        later = moment + timedelta(days=1)
        if (then := _ahead(later, period.zone)) != minutes:
            found.append((_change(moment, later, period.zone), then))
            minutes = then
        moment = later
    return found


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The minute between two moments at which the clocks are changed."""
    before = _ahead(low, zone)
    while high - low > timedelta(minutes=1):
        middle = low + ((high - low) // timedelta(minutes=2)) * timedelta(minutes=1)
        if _ahead(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


def _ahead(moment: datetime, zone: ZoneInfo) -> int:
    return round((moment.astimezone(zone).utcoffset() or timedelta()).total_seconds() / 60)

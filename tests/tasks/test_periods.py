"""Days and weeks in a time zone, also where the clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from blocks.ledger import Ledger, Record
from tasks import periods
from tasks.periods import Period, PeriodError, iso_week, last_days, week_of, zone_of

NOW = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
UTC_ZONE, NEW_YORK, KATHMANDU = (ZoneInfo(name) for name in ("UTC", "America/New_York", "Asia/Kathmandu"))


def test_the_newest_days_end_with_today_so_far() -> None:
    found = last_days(7, UTC_ZONE, NOW)
    assert (found.days[0], found.days[-1], len(found.days)) == (date(2026, 11, 21), date(2026, 11, 27), 7)
    assert (found.since, found.until) == (datetime(2026, 11, 21, tzinfo=UTC), NOW)
    assert not found.is_whole


def test_the_period_before_ends_at_the_same_hour_of_its_last_day() -> None:
    before = last_days(7, UTC_ZONE, NOW).before
    assert (before.since, before.until) == (datetime(2026, 11, 14, tzinfo=UTC), NOW - timedelta(days=7))


def test_today_is_todays_date_in_the_zone() -> None:
    late = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
    assert last_days(1, KATHMANDU, late).days == (date(2026, 11, 28),)
    assert last_days(1, NEW_YORK, late).since == datetime(2026, 11, 27, 5, tzinfo=UTC)


def test_the_hour_before_is_the_one_on_the_wall_also_when_the_clocks_were_changed() -> None:
    monday = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)  # 10:00 in winter; on 1 November the clocks went back
    assert last_days(7, NEW_YORK, monday).before.until == datetime(2026, 10, 26, 14, 0, tzinfo=UTC)


def test_a_week_is_the_newest_whole_one_or_the_one_named() -> None:
    found = iso_week(None, UTC_ZONE, NOW)
    assert (week_of(found), found.label, found.is_whole) == ("2026-W47", "16 to 22 Nov 2026", True)
    assert iso_week("2026-W47", UTC_ZONE, NOW) == found
    assert iso_week("2026-W46", UTC_ZONE, NOW).until == found.since == found.before.until


def test_the_week_that_the_year_begins_in_has_its_own_year() -> None:
    assert week_of(iso_week(None, UTC_ZONE, datetime(2027, 1, 5, tzinfo=UTC))) == "2026-W53"


def test_on_a_monday_the_week_before_is_over() -> None:
    monday = datetime(2026, 11, 23, 0, 1, tzinfo=UTC)
    assert week_of(iso_week(None, UTC_ZONE, monday)) == "2026-W47"
    assert week_of(iso_week(None, NEW_YORK, monday)) == "2026-W46"  # there it is still Sunday


@pytest.mark.parametrize("name", ["2026-48", "W48", "2026-W54", "2026-W00", "0000-W01", "2026-W48\n"])
def test_what_is_no_week_is_refused_with_how_to_write_one(name: str) -> None:
    with pytest.raises(PeriodError, match="is no week; write it as 2026-W48"):
        iso_week(name, UTC_ZONE, NOW)


def test_a_week_that_goes_on_is_refused() -> None:
    with pytest.raises(PeriodError, match="2026-W48 is not over yet: it ends on 29 Nov 2026"):
        iso_week("2026-W48", UTC_ZONE, NOW)


@pytest.mark.parametrize("count", [0, -1, 367])
def test_a_number_of_days_has_limits(count: int) -> None:
    with pytest.raises(PeriodError, match=f"1 to 366 days, not {count}"):
        last_days(count, UTC_ZONE, NOW)


@pytest.mark.parametrize("name", ["Atlantis", "Europe", "../etc/passwd", "", "a\0b"])
def test_a_zone_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(PeriodError, match="there is no time zone"):
        zone_of(name)


@pytest.mark.parametrize(
    ("first", "last", "label"),
    [
        ((2026, 11, 27), (2026, 11, 27), "27 Nov 2026"),
        ((2026, 11, 16), (2026, 11, 22), "16 to 22 Nov 2026"),
        ((2026, 10, 30), (2026, 11, 5), "30 Oct to 5 Nov 2026"),
        ((2026, 12, 28), (2027, 1, 3), "28 Dec 2026 to 3 Jan 2027"),
    ],
)
def test_the_label_repeats_nothing(first: tuple[int, int, int], last: tuple[int, int, int], label: str) -> None:
    until = datetime(*last, tzinfo=UTC) + timedelta(days=1)
    assert Period(datetime(*first, tzinfo=UTC), until, UTC_ZONE).label == label


@pytest.mark.both_databases
def test_the_database_finds_the_same_day_as_the_clock(ledger: Ledger) -> None:
    # Over both changes of the clocks (by half an hour on Lord Howe), before and after midnight.
    start = datetime(2026, 3, 1, 3, 17, tzinfo=UTC)
    moments = [start + timedelta(minutes=97 * n) for n in range(4_000)]
    with ledger.write() as session:
        rows = [
            {"workflow": "w", "source": "s", "external_id": str(n), "payload": {}, "state": "done", "created_at": at}
            for n, at in enumerate(moments)
        ]
        session.execute(sa.insert(Record), rows)
    for zone in (UTC_ZONE, NEW_YORK, KATHMANDU, ZoneInfo("Australia/Lord_Howe")):
        period = last_days(300, zone, moments[-1])
        with ledger.read() as session:
            day = periods.day_of(Record.created_at, period, session.get_bind().dialect.name)
            found = session.execute(sa.select(Record.created_at, day)).tuples().all()
        assert len(found) == len(moments)
        assert [at for at, name in found if str(at.astimezone(zone).date()) != name] == [], zone

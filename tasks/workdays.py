"""Workdays: not a weekend, and not a public holiday of a country or of one of its regions."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holidays import HolidayBase

LONGEST = 30
"""Days without a workday that no calendar has."""


def calendar(name: str) -> HolidayBase:
    """The holidays of a calendar: a country such as DE, or a region of it such as DE-BY (ISO 3166).

    Raises:
        ValueError: there is none; the message says what is wrong with the name.
    """
    return _calendar(name)


@cache
def _calendar(name: str) -> HolidayBase:
    import holidays  # a tenth of a second, which whoever asks for no calendar need not pay

    country, _, region = name.partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        raise ValueError(f"'{name}' is no calendar: give a country's code (DE, GB, US), or a region's (DE-BY, GB-SCT)")
    if region and region not in known[country]:
        raise ValueError(f"{country} has no region '{region}'; there are {', '.join(known[country])}")
    return holidays.country_holidays(country, subdiv=region or None, language=_language(country))


def _language(country: str) -> str | None:
    """English, where the calendar has its holidays' names in it: colleagues read them in a note."""
    import holidays

    known = getattr(holidays, country, None)
    names = getattr(known, "supported_languages", ())
    return next((name for name in ("en_US", "en_GB", "en") if name in names), None)


def day_off(day: date, name: str) -> str:
    """Why nobody works that day: `Saturday`, or the holiday's name; empty on a workday."""
    if day.weekday() >= 5:
        return f"{day:%A}"
    return str(calendar(name).get(day) or "")


def next_workday(day: date, name: str) -> date:
    """The first workday after a day."""
    later = (day + timedelta(days=ahead) for ahead in range(1, LONGEST))
    return next(each for each in later if not day_off(each, name))

"""When something is due: the words that say it (`by Friday`, `bis Ende der Woche`), and the day that they mean.

A day is counted from the day on which the words were said. What can mean two days says so: a date that is guessed looks
like one that was agreed.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mon montag mo", "tuesday tue tues dienstag di", "wednesday wed mittwoch mi",
            "thursday thu thur thurs donnerstag do", "friday fri freitag fr", "saturday sat samstag sonnabend sa",
            "sunday sun sonntag so",
        )
    )
    for name in names.split()
}  # fmt: skip
SPOKEN_DAYS = "|".join(sorted((name for name in WEEKDAYS if len(name) > 4), key=len, reverse=True))
"""Without the short forms: `so`, `do`, `sat` and `sun` are words of their own."""
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar jan jänner", "february februar feb", "march märz mar", "april apr", "may mai",
            "june juni jun", "july juli jul", "august aug", "september sept sep", "october oktober oct okt",
            "november nov", "december dezember dec dez",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
MONTH = rf"(?!(?-i:may|march|mar)\b)(?:{'|'.join(sorted(MONTHS, key=len, reverse=True))})"
"""Not `12 may wait`."""
NUMBERS = {
    word: number
    for number, words in enumerate(
        (
            "a an one einem einer ein eine", "two zwei", "three drei", "four vier", "five fünf", "six sechs",
            "seven sieben", "eight acht", "nine neun", "ten zehn",
        ),
        start=1,
    )
    for word in words.split()
}  # fmt: skip
COUNT = rf"(?P<count>\d{{1,2}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
YEAR = r"(?P<year>20\d\d)"

ON = (
    r"(?:(?:by|on|before|until|till|for|bis|am|vor|zum|spätestens|latest|no\s+later\s+than|the|den|dem|der|kommenden|coming)"
    r"\s+){0,3}"
)
PATTERNS = tuple(
    (kind, re.compile(rf"\b{ON}{pattern}", re.IGNORECASE))
    for kind, pattern in (
        ("iso", rf"{YEAR}-(?P<month>\d\d)-(?P<day>\d\d)\b"),
        ("dotted", r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.(?:\s?(?P<year>20\d\d)\b)?(?!\d)"),
        ("named", rf"(?P<day>\d{{1,2}})\.?(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>{MONTH})\b\.?(?:,?\s+{YEAR}\b)?"),
        ("named", rf"(?P<name>{MONTH})\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s*[:%]|\d)(?:,?\s+{YEAR}\b)?"),
        ("nth", r"the\s+(?P<day>\d{1,2})(?:st|nd|rd|th)\b(?!\s+(?:of|site|floor|time|one|version))"),
        ("today", r"(?:today|tonight|this\s+(?:afternoon|evening|morning)|heute(?:\s+(?:noch|nachmittag|abend))?|"
                  r"end\s+of\s+(?:the\s+)?(?:day|play)|eod|cob|close\s+of\s+business)\b"),
        ("after_tomorrow", r"(?:day\s+after\s+tomorrow|übermorgen)\b"),
        ("tomorrow", r"(?:tomorrow(?:\s+(?:morning|afternoon|evening))?|"
                     r"morgen(?:\s+(?:früh|vormittag|nachmittag|mittag))?)\b"),
        ("week_end", r"(?:end\s+of\s+(?:the\s+|this\s+)?week|eow|ende\s+(?:der|dieser)\s+woche|"
                     r"this\s+week|diese\s+woche)\b"),
        ("next_week_end", r"(?:end\s+of\s+next\s+week|ende\s+(?:der\s+)?nächste[rn]\s+woche)\b"),
        ("next_week", r"(?:(?:some\s?time\s+)?next\s+week|(?:in\s+der\s+)?(?:nächste|kommende)[rn]?\s+woche)\b"),
        ("weekend", r"(?:this\s+|dem\s+)?(?:weekend|wochenende)\b"),
        ("month_end", r"(?:end\s+of\s+(?:the\s+|this\s+)?month|eom|ende\s+(?:des|dieses)\s+monats?|monatsende|"
                      r"this\s+month|diesen\s+monat)\b"),
        ("month_name_end", rf"(?:end\s+of|ende)\s+(?P<name>{MONTH})\b"),
        ("quarter_end", r"(?:end\s+of\s+(?:the\s+|this\s+)?quarter|ende\s+(?:des|dieses)\s+quartals|quartalsende)\b"),
        ("weeks", rf"(?:in|within|innerhalb\s+von|binnen)\s+{COUNT}\s+(?:weeks?|wochen?)(?:['’]s?\s+time)?\b"),
        ("fortnight", r"in\s+a\s+fortnight\b"),
        ("days", rf"(?:in|within|innerhalb\s+von|binnen)\s+{COUNT}\s+(?:days?|tage?n?)\b"),
        ("months", rf"(?:in|within)\s+{COUNT}\s+(?:months?|monat(?:en)?)\b"),
        ("next_day", rf"(?:next|nächste[nrs]?)\s+(?P<weekday>{SPOKEN_DAYS})\b"),
        ("day_next_week", rf"(?P<weekday>{SPOKEN_DAYS})\s+(?:next\s+week|nächster?\s+woche)\b"),
        ("weekday", rf"(?:this\s+|diesen\s+)?(?P<weekday>{SPOKEN_DAYS})(?:\s*(?:morning|afternoon|evening|noon|früh|"
                    r"vormittag|nachmittag|abend))?\b(?!s)"),
    )
)  # fmt: skip
"""The longest that matches at a place counts: `Friday next week` is no `Friday`."""

CLOSE = re.compile(r"\b(?:end\s+of\s+(?:the\s+)?(?:day|play)|eod|cob|close\s+of\s+business)$", re.IGNORECASE)
LONGEST = 400
"""Characters of a text that are read for a date."""


@dataclass(frozen=True)
class Due:
    """A day, and what there is to doubt about it."""

    day: date
    doubt: str = ""
    """Why the words can mean another day; empty when they cannot."""


def words_in(text: str) -> list[str]:
    """The phrases of a text that name a day, as they stand there, in order: `by Friday`, `next week`."""
    return [match[0].strip() for _, match in _matches(text[:LONGEST])]


def resolve(words: str, said_on: date) -> Due | None:
    """The day that such words mean, said on a day; None when they name no day, or one that does not exist.

    `by Friday` on a Friday, `next Friday`, and a date that has gone by this year can each mean two days: the later is
    given, with the doubt.
    """
    found: dict[date, Due] = {}
    matches = list(_matches(words[:LONGEST]))
    for kind, match in matches:
        if CLOSE.search(match[0]) and len(matches) > 1:  # of the day that is named beside it
            continue
        try:
            due = _day(kind, match.groupdict(), said_on)
        except (ValueError, OverflowError):  # the 31st of June
            return None
        found.setdefault(due.day, due)
    if not found:
        return None
    last = found[max(found)]
    return last if len(found) == 1 else Due(last.day, "several days were named")


def dates_in(text: str) -> Iterator[date]:
    """The days that a text names with their year."""
    for kind, match in _matches(text[:LONGEST]):
        if match.groupdict().get("year"):
            try:
                yield _day(kind, match.groupdict(), date(2000, 1, 1)).day
            except ValueError:
                continue


def _matches(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """From left to right, at each place the longest."""
    every = [
        (match.start(), -match.end(), kind, match) for kind, pattern in PATTERNS for match in pattern.finditer(text)
    ]
    since = 0
    for start, _, kind, match in sorted(every, key=lambda one: one[:2]):
        if start >= since:
            yield kind, match
            since = match.end()


def _day(kind: str, parts: dict[str, str | None], said_on: date) -> Due:
    today = said_on.weekday()
    match kind:
        case "iso" | "dotted" | "named":
            month = MONTHS[str(parts["name"]).lower()] if parts.get("name") else int(parts["month"] or 0)
            return _in_year(said_on, month, int(parts["day"] or 0), parts.get("year"))
        case "nth":
            day = int(parts["day"] or 0)
            first = said_on.replace(day=1) if day >= said_on.day else _months_on(said_on.replace(day=1), 1)
            doubt = "it was said on that very day of the month" if day == said_on.day else ""
            return Due(first.replace(day=day), doubt)
        case "today":
            return Due(said_on)
        case "tomorrow":
            return Due(said_on + timedelta(days=1))
        case "after_tomorrow":
            return Due(said_on + timedelta(days=2))
        case "week_end":
            doubt = "the week was over" if today > 4 else ""
            return Due(said_on + timedelta(days=(4 - today) % 7), doubt)
        case "weekend":
            return Due(said_on + timedelta(days=(4 - today) % 7), "it is not said whether before the weekend or on it")
        case "next_week" | "next_week_end":
            doubt = "no day of the week was named" if kind == "next_week" else ""
            return Due(said_on + timedelta(days=7 - today + 4), doubt)
        case "month_end":
            return Due(_last_of(said_on))
        case "month_name_end":
            number = MONTHS[str(parts["name"]).lower()]
            return Due(_last_of(date(said_on.year + (number < said_on.month), number, 1)))
        case "quarter_end":
            return Due(_last_of(date(said_on.year, (said_on.month + 2) // 3 * 3, 1)))
        case "weeks":
            return Due(said_on + timedelta(weeks=_count(parts)))
        case "fortnight":
            return Due(said_on + timedelta(weeks=2))
        case "days":
            return Due(said_on + timedelta(days=_count(parts)))
        case "months":
            return Due(_months_on(said_on, _count(parts)))
        case "day_next_week":
            return Due(said_on + timedelta(days=7 - today + WEEKDAYS[str(parts["weekday"]).lower()]))
        case _:
            return _weekday(kind, WEEKDAYS[str(parts["weekday"]).lower()], said_on)


def _weekday(kind: str, wanted: int, said_on: date) -> Due:
    ahead = (wanted - said_on.weekday()) % 7
    if ahead == 0:
        return Due(said_on + timedelta(days=7), "it was said on that very day of the week")
    if kind == "next_day":
        this_week = said_on.weekday() < wanted
        doubt = "it can be this week's or the next's" if this_week else ""
        return Due(said_on + timedelta(days=ahead + (7 if this_week else 0)), doubt)
    return Due(said_on + timedelta(days=ahead))


def _in_year(said_on: date, month: int, day: int, year: str | None) -> Due:
    if year:
        return Due(date(int(year), month, day))
    this_year = date(said_on.year, month, day)
    if this_year >= said_on:
        return Due(this_year)
    return Due(date(said_on.year + 1, month, day), "no year was named, and this year's had gone by")


def _count(parts: dict[str, str | None]) -> int:
    said = str(parts["count"]).lower()
    return int(said) if said.isdigit() else NUMBERS[said]


def _last_of(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def _months_on(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 + months
    year, month = divmod(number, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))

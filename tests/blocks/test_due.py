"""By when: the words that name a day, the day they mean, and where they can mean two."""

from __future__ import annotations

import time
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.due import dates_in, resolve, words_in

WEDNESDAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("today", "2026-03-04"),
        ("by the end of the day", "2026-03-04"),
        ("tomorrow morning", "2026-03-05"),
        ("the day after tomorrow", "2026-03-06"),
        ("by Friday", "2026-03-06"),
        ("on Monday", "2026-03-09"),
        ("Friday next week", "2026-03-13"),
        ("by the end of the week", "2026-03-06"),
        ("by the end of next week", "2026-03-13"),
        ("in two weeks", "2026-03-18"),
        ("in a fortnight", "2026-03-18"),
        ("within three days", "2026-03-07"),
        ("in a month", "2026-04-04"),
        ("by the end of the month", "2026-03-31"),
        ("end of February", "2027-02-28"),
        ("end of the quarter", "2026-03-31"),
        ("the 12th", "2026-03-12"),
        ("by the 1st", "2026-04-01"),
        ("12 March", "2026-03-12"),
        ("March 12th, 2027", "2027-03-12"),
        ("2026-05-01", "2026-05-01"),
        ("close of business Thursday", "2026-03-05"),
        ("heute noch", "2026-03-04"),
        ("morgen früh", "2026-03-05"),
        ("übermorgen", "2026-03-06"),
        ("bis Freitag", "2026-03-06"),
        ("bis Ende der Woche", "2026-03-06"),
        ("in zwei Wochen", "2026-03-18"),
        ("bis zum 12.3.", "2026-03-12"),
        ("am 12. März 2027", "2027-03-12"),
        ("Ende des Monats", "2026-03-31"),
    ],
)
def test_words_mean_one_day(words: str, day: str) -> None:
    due = resolve(words, WEDNESDAY)
    assert due is not None
    assert (due.day.isoformat(), due.doubt) == (day, "")


@pytest.mark.parametrize(
    ("words", "day", "doubt"),
    [
        ("by Wednesday", "2026-03-11", "that very day of the week"),
        ("next Friday", "2026-03-13", "this week's or the next's"),
        ("next week", "2026-03-13", "no day of the week"),
        ("3 March", "2027-03-03", "had gone by"),
        ("the 4th", "2026-03-04", "that very day of the month"),
        ("Thursday or Friday", "2026-03-06", "several days"),
        ("over the weekend", "2026-03-06", "before the weekend or on it"),
    ],
)
def test_what_can_mean_two_days_says_so(words: str, day: str, doubt: str) -> None:
    due = resolve(words, WEDNESDAY)
    assert due is not None
    assert due.day.isoformat() == day
    assert doubt in due.doubt


@pytest.mark.parametrize(
    "words", ["", "soon", "when we can", "the 31st of June", "on Mondays", "bis zum 31.6.", "99.99."]
)
def test_what_names_no_day_gives_none(words: str) -> None:
    assert resolve(words, WEDNESDAY) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I'll send it by Friday, the short one first.", ["by Friday"]),
        ("12 may wait, and so do we.", []),
        ("Das schicke ich bis Ende der Woche.", ["bis Ende der Woche"]),
        ("Between Monday and the 12th.", ["Monday", "the 12th"]),
    ],
)
def test_the_words_stand_in_the_text(text: str, words: list[str]) -> None:
    assert words_in(text) == words


def test_only_dates_with_a_year_are_days_of_their_own() -> None:
    assert list(dates_in("Mar 2, 2026, 3 March, 04.05.2026")) == [date(2026, 3, 2), date(2026, 5, 4)]


@given(st.text(max_size=300), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_any_text_gives_a_day_that_is_not_before_it_was_said(text: str, said_on: date) -> None:
    due = resolve(text, said_on)
    assert due is None or isinstance(due.day, date)
    for words in words_in(text):
        assert words in text


@pytest.mark.parametrize("weekday", range(7))
def test_a_weekday_is_within_a_week(weekday: int) -> None:
    said_on = WEDNESDAY + timedelta(days=weekday)
    due = resolve("by Friday", said_on)
    assert due is not None
    assert due.day.weekday() == 4
    assert timedelta(0) < due.day - said_on <= timedelta(days=7)


def test_a_long_text_takes_no_long_time() -> None:
    began = time.perf_counter()
    words_in("by the by on before until " * 20_000)
    resolve("in " * 50_000, WEDNESDAY)
    assert time.perf_counter() - began < 2

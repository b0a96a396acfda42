"""Where everything of a chart stands: plain arithmetic, which `report.html` draws as SVG.

Each chart is made for a width of its own, so that its letters are as large on a telephone as on a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

LEFT, RIGHT, TOP, BOTTOM = 60, 8, 34, 24
"""Room for the labels of the axes, and above the highest bar for its figure and for what changed."""

LETTER = 6.6
"""About as wide as a digit of the charts' letters is."""

LINES = 4
"""At most so many lines across."""

FEW_DAYS = 14
"""With more of them only the highest bar has its figure printed: nobody reads sixty."""

ROW = 44
"""How high one bar of `across` is, with the words above it."""


@dataclass(frozen=True)
class Bar:
    """A piece of a bar; `look` is its class, `said` what it stands for."""

    x: float
    y: float
    width: float
    height: float
    look: str
    said: str


@dataclass(frozen=True)
class Label:
    """Words at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A line from top to bottom, at which something changed."""

    x: float
    text: str
    anchor: str
    """Where its words begin: `start`, or `end` where there is no more room on the right."""


@dataclass(frozen=True)
class Chart:
    """All that is drawn."""

    width: float
    height: float
    bars: tuple[Bar, ...] = ()
    lines: tuple[Label, ...] = ()
    """Across, each with its value."""
    days: tuple[Label, ...] = ()
    values: tuple[Label, ...] = ()
    """Printed at the bars."""
    marks: tuple[Mark, ...] = ()
    path: str = ""
    """The points of a line, as SVG takes them."""
    limit: Label | None = None
    """A line across that must be reached."""

    @property
    def left(self) -> float:
        """Where the bars begin."""
        return LEFT

    @property
    def right(self) -> float:
        """Where they end."""
        return self.width - RIGHT

    @property
    def bottom(self) -> float:
        """Where they stand."""
        return self.height - BOTTOM


@dataclass(frozen=True)
class Series:
    """One part of every day's bar."""

    name: str
    look: str
    values: Sequence[float]


def stacked(
    days: Sequence[date],
    series: Sequence[Series],
    *,
    width: int,
    height: int = 210,
    said: Callable[[float], str],
    marks: Mapping[date, str] | None = None,
    whole: bool = True,
) -> Chart:
    """A bar for each day, its parts one on the other.

    Args:
        days: in order.
        series: the parts, the lowest first; none is negative.
        width: in the units of the letters: pixels, where the page is as wide.
        height: likewise.
        said: how a value is printed.
        marks: what changed on a day.
        whole: whether only whole numbers make sense.
    """
    sums = [sum(one.values[n] for one in series) for n in range(len(days))]
    top, step = scale(max(sums, default=0), whole=whole)
    wide = (width - LEFT - RIGHT) / max(1, len(days))
    gap = min(6.0, wide * 0.2)

    def up(value: float) -> float:
        return height - BOTTOM - (height - BOTTOM - TOP) * value / top

    bars = []
    for n, day in enumerate(days):
        below = 0.0
        for one in series:
            value = one.values[n]
            if value > 0:
                x, high = LEFT + n * wide + gap / 2, up(below) - up(below + value)
                named = f"{day:%a} {day.day} {day:%b}, {one.name}: {said(value)}"
                box = _round(x), _round(up(below + value)), _round(wide - gap), _round(high)
                bars.append(Bar(*box, one.look, named))
                below += value
    return Chart(
        width=width,
        height=height,
        bars=tuple(bars),
        lines=_lines(top, step, up, said),
        days=tuple(_days(days, width, wide, height)),
        values=tuple(_values(sums, wide, up, said)),
        marks=tuple(_mark(LEFT + days.index(day) * wide, text, width) for day, text in (marks or {}).items()),
    )


def rising(
    days: Sequence[date],
    values: Sequence[float],
    *,
    width: int,
    height: int = 210,
    said: Callable[[float], str],
    limit: tuple[float, str] | None = None,
) -> Chart:
    """A line of what has come together day by day, and where it has to get to."""
    highest = max([*values, limit[0] if limit else 0, 0])
    lowest = min([*values, 0])
    top, step = scale(max(highest, -lowest), whole=False)
    least = -step * math.ceil(-lowest / step) if lowest < 0 else 0.0
    wide = (width - LEFT - RIGHT) / max(1, len(days))

    def up(value: float) -> float:
        return height - BOTTOM - (height - BOTTOM - TOP) * (value - least) / (top - least)

    def beside(words: str) -> float:
        """Where the limit's words begin: at the left the line crosses the limit once it has come far beyond it."""
        is_passed = limit is not None and bool(values) and values[-1] > 2 * limit[0]
        return width - RIGHT - len(words) * LETTER if is_passed else LEFT + 4

    points = [(LEFT + (n + 0.5) * wide, up(value)) for n, value in enumerate(values)]
    last = (
        [Label(min(_round(points[-1][0]), width - 30), _round(points[-1][1] - 7), said(values[-1]))] if points else []
    )
    return Chart(
        width=width,
        height=height,
        lines=_lines(top, step, up, said, least),
        days=tuple(_days(days, width, wide, height)),
        values=tuple(last),
        path=" ".join(f"{_round(x)},{_round(y)}" for x, y in points),
        limit=Label(beside(limit[1]), _round(up(limit[0])), limit[1]) if limit else None,
    )


@dataclass(frozen=True)
class Row:
    """One bar from left to right, with its words."""

    name: str
    value: float
    said: str
    look: str
    begins: float = 0.0
    """Where it begins: at what others before it have left."""
    beside: float | None = None
    """Something to compare it with, as a line across the bar."""


def across(rows: Sequence[Row], *, width: int, reach: float = 0.0) -> Chart:
    """Bars from left to right, each under its own words. Negative ones reach to the left of where they begin.

    Args:
        rows: from top to bottom.
        width: in the units of the letters.
        reach: what the whole width stands for at least.
    """
    ends = [end for row in rows for end in (row.begins, row.begins + row.value, row.beside or 0.0, reach)]
    least, most = min([*ends, 0.0]), max([*ends, 0.0])
    span = (most - least) or 1.0

    def along(value: float) -> float:
        return 2 + (width - 4) * (value - least) / span

    bars, names, values, marks = [], [], [], []
    for n, row in enumerate(rows):
        y = n * ROW
        left, right = sorted((along(row.begins), along(row.begins + row.value)))
        said = f"{row.name}: {row.said}"
        bars.append(Bar(_round(left), y + 20, _round(max(right - left, 1.5 if row.value else 0)), 15, row.look, said))
        names.append(Label(2, y + 14, row.name))
        values.append(Label(width - 2, y + 14, row.said))
        if row.beside is not None:
            marks.append(Mark(_round(along(row.beside)), str(y), "start"))
    return Chart(width, len(rows) * ROW, tuple(bars), tuple(names), (), tuple(values), tuple(marks))


def scale(most: float, *, whole: bool) -> tuple[float, float]:
    """The highest value of an axis, and the step between its lines: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0, 1.0
    power = 10.0 ** math.floor(math.log10(most / LINES))
    step = next(power * times for times in (1, 2, 5, 10) if power * times * LINES >= most * 0.999999)
    if whole:
        step = max(1.0, step)
    return step * math.ceil(most / step - 1e-9), step


def _lines(
    top: float, step: float, up: Callable[[float], float], said: Callable[[float], str], least: float = 0.0
) -> tuple[Label, ...]:
    count = round((top - least) / step)
    return tuple(Label(LEFT - 6, _round(up(least + n * step)), said(least + n * step)) for n in range(count + 1))


def _days(days: Sequence[date], width: float, wide: float, height: float) -> list[Label]:
    """Every day's name where there is room, or its first letters; else the Mondays', or every other Monday's."""
    place = {day: LEFT + (n + 0.5) * wide for n, day in enumerate(days)}
    names = {day: f"{day:%a} {day.day}" if wide > 7.5 * LETTER else f"{day:%a}" for day in days}
    if wide < 4.5 * LETTER:
        mondays = [day for day in days if day.weekday() == 0] or list(days[:1])
        room = (width - LEFT - RIGHT) / (7 * LETTER)
        names = {day: f"{day.day} {day:%b}" for day in mondays[:: max(1, math.ceil(len(mondays) / room))]}
    half = 3 * LETTER
    return [Label(_round(min(max(place[day], half), width - half)), height - 7, name) for day, name in names.items()]


def _values(
    sums: Sequence[float], wide: float, up: Callable[[float], float], said: Callable[[float], str]
) -> list[Label]:
    """What each bar comes to, where there is room; else only the highest."""
    longest = max((len(said(value)) for value in sums), default=0)
    fit = len(sums) <= FEW_DAYS and wide > (longest + 1) * LETTER
    chosen = range(len(sums)) if fit else [max(range(len(sums)), key=sums.__getitem__)]
    return [
        Label(_round(LEFT + (n + 0.5) * wide), _round(up(sums[n]) - 5), said(sums[n])) for n in chosen if sums[n] > 0
    ]


def _mark(x: float, text: str, width: float) -> Mark:
    return Mark(_round(x), text, "end" if x + len(text) * LETTER > width else "start")


def _round(value: float) -> float:
    return round(value, 1)

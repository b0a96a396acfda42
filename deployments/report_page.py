"""The report as a page for a browser: one file that asks the network for nothing, runs no script, and prints on A4."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from pathlib import Path

import jinja2

from blocks.ledger import utcnow
from deployments.charts import Chart, Row, Series, across, rising, stacked
from deployments.report import busy_versions, facts, is_shown, sums
from tasks import roi_advice, roi_statement, roi_words
from tasks.plain import capitalised, counted
from tasks.roi import Report, WorkflowReport
from tasks.roi_statement import Statement
from tasks.roi_words import BECAME, FEW, FIRST, change, dollars, hours, rate, rates, share

WIDE, NARROW = 560, 340
"""Every chart is drawn twice; the page shows the one that fits."""

QUARTER = 0.25
"""What the whole width of a chart of shares stands for at least: a small share must look small."""

VERSION_LOOKS = 5
"""Versions that have a colour of their own; then they come again."""

LONGEST_VERSION = 10
"""Characters of a version's name in a chart."""


@dataclass(frozen=True)
class Figure:
    """One chart, at both widths, and the same as a table."""

    title: str
    kind: str
    """`stacked`, `across` or `rising`."""
    wide: Chart
    narrow: Chart
    legend: tuple[tuple[str, str], ...]
    """Look and words."""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One workflow."""

    report: WorkflowReport
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]


def page(found: Report) -> str:
    """The whole page. Whatever comes from outside is escaped by the template."""
    shown = [each for each in found.workflows if is_shown(each)]
    said = roi_statement.statement(found) if len(found.period.days) >= roi_statement.FROM_DAYS else None
    # StrictUndefined: a name that is misspelt here must not become an empty place on the page.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
    advice = roi_advice.advise(found)
    return template.render(
        found=found, tiles=list(_tiles(found)), notes=list(roi_words.notes(found)), became=roi_words.became(found.now),
        how_saved=roi_words.how_saved(found.minutes), first=advice[:FIRST], rest=advice[FIRST:],
        overview=_overview(shown) if len(shown) > 1 else None, sections=[_section(each, found) for each in shown],
        idle=[each.workflow for each in found.workflows if not is_shown(each)],
        statement=said, sums=list(sums(said)) if said else [],
        payback=_payback_chart(found, said) if said and found.begins else None,
        hours=hours, dollars=dollars, rates=rates, busy_versions=busy_versions, capitalised=capitalised,
        made_at=utcnow(),
    )  # fmt: skip


def _tiles(found: Report) -> Iterator[tuple[str, str, str]]:
    """The few figures that are looked at first: name, value, and beside what."""
    now, before, compares = found.now, found.before, found.compares

    def beside(value: str, against: str) -> str:
        return f"{value} before{f', {against}' if against else ''}" if compares else ""

    saved, saved_before = found.minutes.saved, found.minutes_before.saved
    of = f"of {counted(now.used, 'result')}, {counted(now.forms, 'form')}"
    yield "saved, net", hours(saved), beside(hours(saved_before), change(saved, saved_before)) or of
    yield "came in", f"{now.came_in:,}", beside(f"{before.came_in:,}", change(now.came_in, before.came_in))
    yield "model calls", dollars(now.usd), beside(dollars(before.usd), change(now.usd, before.usd))
    few = "too few for a share" if 0 < now.ended < FEW else f"of {now.ended:,}" if now.ended else ""
    then = beside(rate(before.wrong, before.ended), "")
    yield "went wrong", rate(now.wrong, now.ended), "; ".join(filter(None, (few, then)))


def _overview(shown: Sequence[WorkflowReport]) -> Figure:
    rows = [
        Row(each.workflow, each.minutes.saved, hours(each.minutes.saved), "saved" if each.minutes.saved > 0 else "bad")
        for each in shown
        if each.minutes
    ]
    head = ("Workflow", "Came in", "Done", "Wait", "Set aside", "Saved", "Model", "Wrong", "By hand")
    table = tuple(
        (
            each.workflow, f"{each.now.came_in:,}", f"{each.now.done:,}", f"{each.now.waiting:,}",
            f"{each.now.quarantined:,}", hours(each.minutes.saved if each.minutes else None), dollars(each.now.usd),
            rate(each.now.wrong, each.now.ended), share(each.baseline_rate),
        )
        for each in shown
    )  # fmt: skip
    return _across("Hours saved, by workflow", rows, head, table)


def _section(each: WorkflowReport, found: Report) -> Section:
    said = tuple((label, what) for label, what in facts(each, found) if label != "per day")
    return Section(each, said, tuple(_figures(each, found)))


def _figures(each: WorkflowReport, found: Report) -> Iterator[Figure]:
    days = found.period.days
    marks = {
        one.since.astimezone(found.period.zone).date(): f"now {_short(one.version)}"
        for one in each.versions
        if one.is_change and one.since
    }
    if each.now.came_in:
        parts = [
            Series(name, key, [getattr(each.days[day], key) for day in days])
            for key, name in BECAME
            if getattr(each.now, key)
        ]
        yield _stacked("Records a day, and what became of them", days, parts, lambda value: f"{value:,.0f}", marks)
    if each.minutes and each.now.used + each.now.forms:
        yield _minutes(each)
    if each.now.usd:
        yield _cost(each, days, marks)
    if max(each.now.ended, each.now.decided) >= FEW:
        yield _rates(each)


def _short(version: str | None) -> str:
    return (version or "none asked")[:LONGEST_VERSION]


def _stacked(
    title: str,
    days: Sequence[date],
    parts: Sequence[Series],
    said: Callable[[float], str],
    marks: Mapping[date, str],
    *,
    whole: bool = True,
) -> Figure:
    wide, narrow = (stacked(days, parts, width=width, said=said, marks=marks, whole=whole) for width in (WIDE, NARROW))
    rows = tuple(
        (f"{day:%a} {day.day} {day:%b}", *(said(one.values[n]) for one in parts), said(sum(o.values[n] for o in parts)))
        for n, day in enumerate(days)
    )
    legend = tuple((one.look, f"{one.name} {said(sum(one.values))}") for one in parts)
    return Figure(title, "stacked", wide, narrow, legend, ("Day", *(one.name for one in parts), "together"), rows)


def _across(
    title: str, rows: Sequence[Row], head: tuple[str, ...], table: tuple[tuple[str, ...], ...], reach: float = 0.0
) -> Figure:
    wide, narrow = (across(rows, width=width, reach=reach) for width in (WIDE, NARROW))
    return Figure(title, "across", wide, narrow, (), head, table)


def _minutes(each: WorkflowReport) -> Figure:
    """How what is saved comes about: each bar takes away from the one above."""
    minutes = each.minutes
    assert minutes is not None
    left = minutes.by_hand - minutes.mended
    rows = (
        Row("by hand it would have been", minutes.by_hand, hours(minutes.by_hand), "gross"),
        Row("done by hand after all", -minutes.mended, hours(-minutes.mended), "bad", minutes.by_hand),
        Row("signing off", -minutes.review, hours(-minutes.review), "waiting", left),
        Row("saved", minutes.saved, hours(minutes.saved), "saved" if minutes.saved > 0 else "bad"),
    )
    return _across("Where the hours went", rows, ("", "Time"), tuple((row.name, row.said) for row in rows))


def _cost(each: WorkflowReport, days: Sequence[date], marks: Mapping[date, str]) -> Figure:
    """Dollars a day, each version of the prompt in its own colour."""
    costly = [one for one in each.versions if one.figures.usd]
    parts = [
        Series(_short(one.version), f"v{n % VERSION_LOOKS}", [float(each.usd_of(one.version, day)) for day in days])
        for n, one in enumerate(costly)
    ]
    limit = f" (the card allows {dollars(each.card.usd_per_day)})" if each.card else ""
    title = f"Model cost a day{limit}, by version of the prompt"
    return _stacked(title, days, parts, _dollars, marks, whole=False)


def _dollars(value: float) -> str:
    """Short, for an axis."""
    return f"${value:,.2f}" if value == 0 or value >= 0.1 else f"${value:.3f}"


def _rates(each: WorkflowReport) -> Figure:
    """Of a hundred: what went wrong, beside what people get wrong by hand; and what people changed and rejected."""
    now = each.now
    found = (
        ("went wrong", now.wrong, now.ended, "quarantined", each.baseline_rate),
        ("changed by people", now.edited, now.decided, "waiting", None),
        ("rejected by people", now.rejected, now.decided, "bad", None),
    )
    rows = [
        Row(f"{name}{f' (line: by hand {share(beside)})' if beside is not None else ''}", count / of,
            f"{share(count / of)} of {counted(of, 'record')}", look, beside=beside)
        for name, count, of, look, beside in found
        if of >= FEW
    ]  # fmt: skip
    table = tuple((row.name, row.said) for row in rows)
    return _across("Errors and corrections", rows, ("", "Share"), table, QUARTER)


def _payback_chart(found: Report, said: Statement) -> Figure:
    """Hours saved since the first day, together; and the hours of set-up that they have to make up for."""
    days = found.period.days
    minutes = [sum(each.minutes_by_day[day].saved for each in found.workflows if each.card) for day in days]
    saved = [one / 60 for one in minutes]
    together = [so_far / 60 for so_far in accumulate(minutes)]
    set_up = found.assumptions.set_up_hours
    limit = (set_up, f"set-up, {set_up:g} h") if set_up else None
    wide, narrow = (
        rising(days, together, width=width, said=lambda value: f"{value:,.1f} h", limit=limit)
        for width in (WIDE, NARROW)
    )
    rows = tuple(
        (f"{day:%a} {day.day} {day:%b}", f"{one:.1f} h", f"{all_of_it:.1f} h")
        for day, one, all_of_it in zip(days, saved, together, strict=True)
    )
    legend = (("saved", f"hours saved, together {hours(said.minutes.saved)}"),)
    return Figure("Hours saved since the first day", "rising", wide, narrow, legend, ("Day", "saved", "together"), rows)

"""`signoff report`: what the workflows came to, in the terminal, for programs, and as a page for a browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger, utcnow
from deployments import views
from deployments.cards import cards
from deployments.errors import CommandError, unknown
from tasks import roi, roi_advice, roi_statement, roi_words
from tasks.periods import PeriodError, last_days, zone_of
from tasks.plain import capitalised, counted
from tasks.roi import Minutes, Report, VersionReport, WorkflowReport
from tasks.roi_figures import Figures
from tasks.roi_statement import Statement
from tasks.roi_words import FEW, FIRST, change, dollars, hours, long, rate, rates, share

BARS = " ▁▂▃▄▅▆▇█"
MOST_BARS = 50
"""Days that fit beside the label."""


def report(
    workflows: Sequence[str], *, days: int, html: str | None, timezone: str, given: roi.Assumptions, as_json: bool
) -> int:
    """Print the report of the newest days, and write the page if one is asked for."""
    try:
        period = last_days(days, zone_of(timezone), utcnow())
    except PeriodError as error:
        raise CommandError(str(error)) from error
    found = roi.report(Ledger.open(), cards(), period, given)
    if workflows:
        found = found.only(_named(workflows, found))
    if html is not None:
        _write(Path(html), found)
    if as_json:
        views.as_json(told(found))
    else:
        show(found)
        if html is not None:
            views.console.print(f"\nThe page: {views.printable(html)}", markup=False, soft_wrap=True)
    return 0


def assumptions(review_seconds: float, hourly_rate: str | None, set_up_hours: float | None) -> roi.Assumptions:
    """What was said on the command line.

    Raises:
        CommandError: a number makes no sense.
    """
    rate = None if hourly_rate is None else _amount(hourly_rate)
    for name, value in (
        ("--review-seconds", review_seconds),
        ("--hourly-rate", rate),
        ("--set-up-hours", set_up_hours),
    ):
        if value is not None and not 0 <= value < 100_000:
            raise CommandError(f"{name} is 0 or more, and less than 100,000: not {value}")
    return roi.Assumptions(review_seconds=review_seconds, hourly_rate=rate, set_up_hours=set_up_hours)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise CommandError(f"--hourly-rate {text!r} is no amount; write it as 45 or 45.50")
    return amount


def _named(workflows: Sequence[str], found: Report) -> list[str]:
    there = [each.workflow for each in found.workflows]
    wanted = [name if name in there else name.replace("_", "-") for name in workflows]
    if missing := [name for name in wanted if name not in there]:
        raise unknown("workflow", missing[0], there)
    return wanted


def _write(path: Path, found: Report) -> None:
    from deployments.report_page import page

    try:
        path.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{views.printable(str(path))} cannot be written: {error.strerror or error}") from error


# For people


def show(found: Report) -> None:
    """Print the totals, each workflow, what to improve next, and the statement of a longer time."""
    say = views.console.print
    so_far = "" if found.period.is_whole else ", so far"
    say(Text(f"{found.period.label} ({found.period.zone.key}{so_far})", style="bold"))
    say(f"{capitalised(roi_words.became(found.now))}.", markup=False)
    say(_saved(found))
    for note in roi_words.notes(found):
        say(Text(f"{views.printable(note)}.", style="dim"))
    if found.begins is None:
        say("signoff demo fills a pretend company's; signoff up starts yours.", markup=False)
        return
    say(_totals(found))
    if idle := ", ".join(each.workflow for each in found.workflows if not is_shown(each)):
        say(Text(f"Nothing of {views.printable(idle)}.", style="dim"))
    for each in filter(is_shown, found.workflows):
        _show_workflow(each, found)
    _show_advice(found)
    if len(found.period.days) >= roi_statement.FROM_DAYS:
        _show_statement(found, roi_statement.statement(found))


def _saved(found: Report) -> Text:
    said = Text(f"{hours(found.minutes.saved)} saved", style="bold green" if found.minutes.saved > 0 else "bold")
    said.append(f" ({roi_words.how_saved(found.minutes)}); ", style="not bold default")
    said.append(f"model calls cost {dollars(found.now.usd)}.", style="not bold default")
    if found.compares:
        before = f" The {counted(len(found.period.days), 'day')} before: {hours(found.minutes_before.saved)}, "
        said.append(f"{before}{dollars(found.before.usd)}.", style="not bold dim")
    return said


def _totals(found: Report) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("Workflow", ratio=1, overflow="ellipsis", no_wrap=True)
    for title in ("In", "Done", "Wait", "Aside", "Saved", "Model", "Wrong", "By hand"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in filter(is_shown, found.workflows):
        now = each.now
        counts = (f"{count:,}" for count in (now.came_in, now.done, now.waiting, now.quarantined))
        saved = hours(each.minutes.saved if each.minutes else None)
        cells = (saved, dollars(now.usd), _wrong(each), share(each.baseline_rate))
        table.add_row(Text(views.printable(each.workflow)), *counts, *cells)
    return table


def is_shown(each: WorkflowReport) -> bool:
    """Whether there is anything to say of a workflow."""
    return bool(each.now or each.standing.waiting or each.standing.in_doubt)


def _wrong(each: WorkflowReport) -> Text:
    now, by_hand = each.now, each.baseline_rate
    worse = now.error_rate is not None and by_hand is not None and now.error_rate > by_hand and now.ended >= FEW
    return Text(rate(now.wrong, now.ended), style="red" if worse else "")


def _show_workflow(each: WorkflowReport, found: Report) -> None:
    stage = f" ({each.standing.stage})" if each.standing.stage else ""
    views.console.print(Text(f"\n{views.printable(each.workflow)}{stage}", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(width=10, style="dim")
    table.add_column(ratio=1, overflow="fold")
    for label, said in facts(each, found):
        table.add_row(label, Text(views.printable(said) if label != "per day" else said))
    views.console.print(table)
    if any(one.is_change for one in each.versions):
        views.console.print(_versions(busy_versions(each)))


def busy_versions(each: WorkflowReport) -> list[VersionReport]:
    """The versions of which there is something to say: an empty row would only be wondered at."""
    return [one for one in each.versions if one.is_change or any(_seen(one.figures))]


def _seen(now: Figures) -> tuple[int, ...]:
    return now.came_in, now.ended, now.decided, now.calls


def facts(each: WorkflowReport, found: Report) -> Iterator[tuple[str, str]]:
    """What there is to say of a workflow, line by line."""
    now = each.now
    if now.came_in:
        yield "per day", _bars([figures.came_in for figures in each.days.values()])
    yield "became", roi_words.became(now) + _against(now.came_in, each.before.came_in, found)
    if each.minutes:
        against = _against(each.minutes.saved, each.minutes_before.saved if each.minutes_before else None, found)
        yield "saved", f"{hours(each.minutes.saved)}: {roi_words.how_saved(each.minutes)}{against}"
    if now.decided:
        yield "people", _people(each)
    if now.ended:
        again = (
            f"; of {counted(now.decided, 'decided record')} people rejected {rate(now.rejected, now.decided)}, "
            f"changed {rate(now.edited, now.decided)}"
            if now.decided
            else ""
        )
        yield "errors", f"{roi_words.went_wrong(each)}{again}"
    if done := ", ".join(kind.several(kind.done) for kind in each.kinds if kind.done):
        yield "done", done
    if each.reasons:
        yield "set aside", "; ".join(f"{reason} ({count:,})" for reason, count in each.reasons)
    if now.calls:
        yield "model", _model(each)
        yield "limits", limits(each)
    if now.retried or now.found or now.expired or each.standing.in_doubt:
        yield "recovered", _recovered(each)


def _people(each: WorkflowReport) -> str:
    now, latency = each.now, each.latency
    said = f"decided on {counted(now.decided, 'record')}, {counted(now.forms, 'form')}"
    if latency is None:
        return said
    return f"{said}; half within {long(latency.half)}, nine of ten within {long(latency.most)}"


def _model(each: WorkflowReport) -> str:
    now = each.now
    tokens = f"{now.input_tokens:,} tokens in{_cached(now)}, {now.output_tokens:,} out"
    again = f", {now.asked_again:,} asked again" if now.asked_again else ""
    lost = f", {now.lost:,} never answered (counted at their worst)" if now.lost else ""
    tried = f"; trying the prompt {dollars(each.evaluations)}" if each.evaluations else ""
    said = f"{dollars(now.usd)}, {dollars(now.usd_per_record)} a record; {counted(now.calls, 'call')}"
    return f"{said}{again}{lost}; {tokens}{tried}"


def _cached(now: Figures) -> str:
    """What of the input the vendor's cache held, at a tenth of the price or so, and what was put into it, at more."""
    if not (now.cache_read_tokens or now.cache_write_tokens):
        return ""
    read, written = (tokens / now.input_tokens for tokens in (now.cache_read_tokens, now.cache_write_tokens))
    return f" ({read:.0%} from the vendor's cache, {written:.0%} put into it)"


def limits(each: WorkflowReport) -> str:
    """What the dearest day and the month have cost, of what the card allows."""
    spent, month = each.spending, each.spending.month
    if each.card is None:
        return f"dearest day {dollars(spent.highest)}, month {dollars(month)}; no card, no limit"
    day = f"{dollars(spent.highest)} of {dollars(each.card.usd_per_day)}"
    return f"dearest day {day}, month {dollars(month)} of {dollars(each.card.usd_per_month)}"


def _recovered(each: WorkflowReport) -> str:
    now = each.now
    parts = (
        (now.retried, counted(now.retried, "attempt") + " more than actions"),
        (now.found, counted(now.found, "doubt") + " settled as done"),
        (each.standing.in_doubt, f"{each.standing.in_doubt:,} in doubt now"),
        (now.expired, f"{now.expired:,} expired"),
    )
    return ", ".join(said for count, said in parts if count)


def _against(now: float, before: float | None, found: Report) -> str:
    said = change(now, before) if found.compares else ""
    return f" ({said})" if said == "as before" else f" ({said} against before)" if said else ""


def _bars(counts: Sequence[int]) -> str:
    """A bar for each day, with the highest; days together where there are too many."""
    size = -(-len(counts) // MOST_BARS)
    sums = [sum(counts[start : start + size]) for start in range(0, len(counts), size)]
    most = max(sums, default=0)
    drawn = "".join(BARS[-(-count * (len(BARS) - 1) // most)] if most else BARS[0] for count in sums)
    return f"{drawn}  at most {most:,}" + ("" if size == 1 else f" in {size} days")


def _versions(versions: Sequence[VersionReport]) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("Version", ratio=1, overflow="ellipsis", no_wrap=True)
    for title in ("Since", "In", "Rejected", "Changed", "Wrong", "Model", "A record"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in versions:
        now = one.figures
        since = f"{one.since:%d %b}" if one.since else ""
        cost = (dollars(now.usd), dollars(now.usd_per_record))
        name = views.printable(one.version or "(none asked)")
        table.add_row(Text(name, style="bold" if one.is_change else ""), since, f"{now.came_in:,}", *rates(now), *cost)
    return table


def _show_advice(found: Report) -> None:
    advice = roi_advice.advise(found)
    if not advice:
        return
    views.console.print(Text("\nWhat to improve next", style="bold"))
    for number, one in enumerate(advice[:FIRST], start=1):
        views.console.print(Text(f"{number}. {views.printable(roi_words.counsel(one))}"))
        views.console.print(Text(f"   {views.printable(one.command)}", style="cyan"), soft_wrap=True)
    if len(advice) > FIRST:
        views.console.print(Text(f"{len(advice) - FIRST} more with --html or --json.", style="dim"))


def _show_statement(found: Report, said: Statement) -> None:
    views.console.print(Text(f"\nWhat {counted(len(found.period.days), 'day')} have brought", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for what, amount in sums(said):
        table.add_row(what, Text(amount, style="bold" if what in ("saved", "balance") else ""))
    views.console.print(table)
    views.console.print(said.payback, markup=False)
    believed = Table(title="Assumed", title_justify="left", expand=True, pad_edge=False)
    for title, ratio in (("What", 4), ("Value", 3), ("From", 4)):
        believed.add_column(title, ratio=ratio)
    for one in said.assumptions:
        believed.add_row(*(Text(views.printable(part)) for part in (one.what, one.value, one.source)))
    views.console.print(believed)
    views.console.print(Text("Not counted", style="italic"))
    for each in said.not_counted:
        views.console.print(Text(f"- {views.printable(each)}"))


def sums(said: Statement) -> Iterator[tuple[str, str]]:
    """The statement, line by line: hours first, dollars apart from them."""
    yield "by hand it would have been", hours(said.minutes.by_hand)
    yield "done by hand after all", hours(-said.minutes.mended)
    yield "signing off", hours(-said.minutes.review)
    yield "saved", hours(said.minutes.saved)
    if said.worth is not None:
        yield "worth", dollars(said.worth)
    yield "model calls", dollars(said.model_usd)
    yield "trying prompts on their cases", dollars(said.evaluations_usd)
    if said.set_up_usd is not None:
        yield "setting it up", dollars(said.set_up_usd)
    if said.balance is not None:
        yield "balance", dollars(said.balance)


# For programs


def told(found: Report) -> dict[str, Any]:
    """Minutes are numbers, dollars strings, shares 0 to 1."""
    whole = len(found.period.days) >= roi_statement.FROM_DAYS
    return {
        "since": found.period.since.isoformat(),
        "until": found.period.until.isoformat(),
        "timezone": found.period.zone.key,
        "days": len(found.period.days),
        "begins": found.begins.isoformat() if found.begins else None,
        "compares": found.compares,
        "notes": list(roi_words.notes(found)),
        "assumptions": asdict(found.assumptions),
        "total": _figures(found.now, found.minutes),
        "before": _figures(found.before, found.minutes_before),
        "workflows": [_workflow(each) for each in found.workflows],
        "advice": [asdict(one) for one in roi_advice.advise(found)],
        "statement": _statement(roi_statement.statement(found)) if whole else None,
    }


def _figures(figures: Figures, minutes: Minutes | None) -> dict[str, Any]:
    rates = {
        "error_rate": figures.error_rate,
        "rejection_rate": figures.rejection_rate,
        "edit_rate": figures.edit_rate,
        "usd_per_record": figures.usd_per_record,
    }
    return asdict(figures) | rates | {"minutes": asdict(minutes) | {"saved": minutes.saved} if minutes else None}


def _workflow(each: WorkflowReport) -> dict[str, Any]:
    card = each.card
    return {
        "workflow": each.workflow,
        "card": card and {
            "prompt": card.prompt,
            "stage": card.stage,
            "minutes": card.baseline.minutes,
            "failure_rate": card.baseline.failure_rate,
            "usd_per_day": card.usd_per_day,
            "usd_per_month": card.usd_per_month,
        },
        "now": _figures(each.now, each.minutes),
        "before": _figures(each.before, each.minutes_before),
        "days": {str(day): _figures(figures, each.minutes_by_day.get(day)) for day, figures in each.days.items()},
        "versions": [
            {"version": one.version, "model": one.model, "since": one.since, "is_change": one.is_change}
            | _figures(one.figures, None)
            for one in each.versions
        ],
        "kinds": [asdict(kind) for kind in each.kinds],
        "latency_seconds": each.latency and asdict(each.latency),
        "reasons": [{"reason": reason, "records": count} for reason, count in each.reasons],
        "spending": asdict(each.spending),
        "evaluations": each.evaluations,
        "standing": asdict(each.standing),
        "by_hand": each.by_hand and asdict(each.by_hand),
        "unproven": each.unproven,
    }  # fmt: skip


def _statement(said: Statement) -> dict[str, Any]:
    return asdict(said) | {"minutes": asdict(said.minutes) | {"saved": said.minutes.saved}}

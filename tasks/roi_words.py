"""How a report's figures are said: on the run's page, in Slack, in the terminal and in the browser alike."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tasks import roi_advice
from tasks.periods import week_of
from tasks.plain import counted, one_line, plain
from tasks.roi import Minutes, Report, WorkflowReport
from tasks.roi_advice import Advice
from tasks.roi_figures import Figures

FIRST = 3
"""Advice that is told where there is little room."""

BECAME = (
    ("done", "done"),
    ("turned_down", "turned down"),
    ("waiting", "waiting"),
    ("quarantined", "set aside"),
    ("watched", "only watched"),
    ("open", "under way"),
    ("skipped", "skipped"),
)
"""What became of records: the figure's name, and what it is called. In the chart the first is the lowest."""

FEW = 20
"""Of fewer than so many no share is told: one of two would be 50%, and says nothing."""


def hours(minutes: float | None) -> str:
    """`48 min`, `14.2 h`; `-` where nobody can say."""
    if minutes is None:
        return "-"
    # By adding nothing what rounds to -0 becomes 0.
    return f"{round(minutes) + 0} min" if abs(minutes) < 59.5 else f"{minutes / 60:,.1f} h"


def dollars(amount: Decimal | None) -> str:
    """`$12.30`; small amounts to the hundredth of a cent."""
    if amount is None:
        return "-"
    return f"${amount:,.2f}" if amount == 0 or abs(amount) >= Decimal("0.995") else f"${amount:.4f}"


def share(part: float | None) -> str:
    """`2.3%`; `-` of nothing."""
    return "-" if part is None else f"{part:.1%}"


def rate(count: int, of: int) -> str:
    """`2.3%`; `1 of 2` where there are too few for a share; `-` of nothing."""
    return f"{count:,} of {of:,}" if 0 < of < FEW else share(count / of if of else None)


def long(seconds: float) -> str:
    """`40 s`, `12 min`, `3.4 h`, `2.1 d`."""
    for most, unit, size in ((99.5, "s", 1), (5_970, "min", 60), (172_800, "h", 3_600)):
        if seconds < most:
            return f"{seconds / size:.1f} {unit}" if unit == "h" else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def change(now: float | Decimal | None, before: float | Decimal | None) -> str:
    """`+12%`, or `as before`; empty where there is nothing to compare."""
    if now is None or not before or before < 0:
        return ""
    percent = round((float(now) / float(before) - 1) * 100)
    return f"{percent:+d}%" if percent else "as before"


def became(figures: Figures) -> str:
    """`132 came in: 110 done, 4 wait, 3 set aside`."""
    said = ", ".join(f"{count:,} {what}" for name, what in BECAME if (count := getattr(figures, name)))
    return f"{figures.came_in:,} came in: {said}" if figures.came_in else "nothing came in"


def how_saved(minutes: Minutes) -> str:
    """How the minutes that were saved come about."""
    return (
        f"{hours(minutes.by_hand)} by hand, less {hours(minutes.mended)} done by hand after all, "
        f"less {hours(minutes.review)} of sign-off"
    )


def rates(figures: Figures) -> tuple[str, str, str]:
    """What people rejected, what they changed, and what went wrong, for the columns of a table."""
    decided = figures.decided
    return rate(figures.rejected, decided), rate(figures.edited, decided), rate(figures.wrong, figures.ended)


def went_wrong(each: WorkflowReport) -> str:
    """The error rate, of how many, beside that of people."""
    wrong, ended = each.now.wrong, each.now.ended
    by_hand = f" (by hand {share(each.baseline_rate)})" if each.card else ""
    if 0 < ended < FEW:
        return f"{rate(wrong, ended)} went wrong, too few for a share{by_hand}"
    return f"{rate(wrong, ended)} of {ended:,} went wrong{by_hand}"


def notes(found: Report) -> Iterator[str]:
    """What a reader must know of the figures before believing them."""
    if found.begins is None:
        yield "The ledger holds no record yet"
        return
    begins = found.begins.astimezone(found.period.zone)
    if found.is_young:
        days = counted((found.period.days[-1] - begins.date()).days + 1, "day")
        yield f"The ledger begins on {begins:%d %b %Y}: this is about {days}, and nothing is extrapolated"
    elif not found.compares:
        yield f"The ledger begins on {begins:%d %b %Y}, so the period before is not whole and is not compared"
    if found.compares and not found.period.is_whole:
        yield f"{found.period.days[-1]:%d %b} is not over: it is compared with the same hours before"
    if gone := found.without_card:
        yield f"{', '.join(gone)}: there is no flow file any more, so nobody can say what was saved"
    if unproven := sum(each.unproven for each in found.workflows):
        yield f"{counted(unproven, 'action')} said to be done without a receipt: not counted"
    if watched := found.now.watched:
        yield f"{counted(watched, 'record')} only watched (shadow): nothing was done with them, so they save nothing"


def as_markdown(found: Report) -> str:
    """The report as a page on a run. What comes from outside is escaped."""
    now, zone = found.now, found.period.zone.key
    lines = [f"**{found.period.label}** ({plain(zone)}): {became(now)}.", ""]
    lines += [f"**{hours(found.minutes.saved)} saved** ({how_saved(found.minutes)}); "
              f"model calls cost **{dollars(now.usd)}**.{_before(found)}", ""]  # fmt: skip
    lines += [f"- {plain(note)}." for note in notes(found)]
    if found.workflows:
        lines += ["", "| Workflow | Came in | Done | Wait | Set aside | Saved | Model | Wrong | By hand |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
    for each in found.workflows:
        figures, saved = each.now, each.minutes.saved if each.minutes else None
        cells = (
            plain(each.workflow), f"{figures.came_in:,}", f"{figures.done:,}", f"{figures.waiting:,}",
            f"{figures.quarantined:,}", hours(saved), dollars(figures.usd), rate(figures.wrong, figures.ended),
            share(each.baseline_rate),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    lines += list(_versions(found))
    if advice := roi_advice.advise(found):
        lines += ["", "**What to improve next**", ""]
        lines += [f"1. {plain(one.said)} (up to {hours(one.minutes)}): `{one.command}`" for one in advice]
    return "\n".join(lines)


def _versions(found: Report) -> Iterator[str]:
    several = [each for each in found.workflows if any(one.is_change for one in each.versions)]
    for each in several:
        yield ""
        yield f"**{plain(each.workflow)}** changed its prompt:"
        yield ""
        yield "| Version | Came in | Rejected | Changed | Wrong | Model | Cost a record |"
        yield "|---|---|---|---|---|---|---|"
        for one in each.versions:
            figures = one.figures
            cells = (plain(one.version or "none asked"), f"{figures.came_in:,}", *rates(figures))
            yield f"| {' | '.join(cells)} | {dollars(figures.usd)} | {dollars(figures.usd_per_record)} |"


def _before(found: Report) -> str:
    if not found.compares:
        return ""
    return f" The period before: {hours(found.minutes_before.saved)}, {dollars(found.before.usd)}."


def as_message(found: Report) -> str:
    """The report of a week for the team's channel. It is escaped where it is posted, as every text is."""
    lines = [
        f"*Signoff, week {week_of(found.period)}* ({found.period.label})",
        f"{hours(found.minutes.saved)} saved ({how_saved(found.minutes)}); model calls cost "
        f"{dollars(found.now.usd)}.{_before(found)}",
    ]
    for each in found.workflows:
        if not (each.now or each.before):
            continue
        saved = f"; {hours(each.minutes.saved)} saved" if each.minutes else ""
        wrong = f"; {went_wrong(each)}" if each.now.ended else ""
        lines.append(f"• {each.workflow}: {became(each.now)}{saved}; {dollars(each.now.usd)}{wrong}")
    if advice := roi_advice.advise(found)[:FIRST]:
        lines += ["To improve next:", *(f"{n}. {counsel(one)}: {one.command}" for n, one in enumerate(advice, start=1))]
    lines.append("All of it: signoff report --html report.html")
    return "\n".join(map(one_line, lines))


def counsel(advice: Advice) -> str:
    """What is advised, with its workflow and what it could bring."""
    worth = f" (up to {hours(advice.minutes)})" if advice.minutes else ""
    return f"{advice.workflow}: {advice.said}{worth}"

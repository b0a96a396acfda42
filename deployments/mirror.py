"""`signoff mirror`: a workflow done by hand, record by record and with a clock, and what was measured by it."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger
from deployments import views
from deployments.cards import card_of
from deployments.cases import Dialog, choose, grid, offer, sources, with_cases
from deployments.errors import CommandError
from prompts import Prompt
from prompts.cases import choices
from tasks import lessons
from tasks import mirror as mirrors
from tasks.card import Baseline, Card
from tasks.lessons import OWN_NAME, Source
from tasks.mirror import FEW, Done, Measured, Stopwatch, Work

LONGEST = 6_000
"""Characters of a text that are shown."""

LONGEST_STEP = 200

SHORT = 1.5
"""Under so many hours, minutes are told."""

OFFERED = 9
"""So many steps that were taken before are offered by number."""

COMMANDS = "At any question: p pauses the clock, s skips the record, q stops. What is done is kept."


class Skipped(Exception):
    """The person leaves this record for another time."""


class Stopped(Exception):
    """The person wants to do no more."""


@dataclass
class Session:
    """Who does which workflow by hand, and how they are asked."""

    ledger: Ledger
    source: Source
    prompt: Prompt
    person: str
    dialog: Dialog
    clock: Callable[[], float] = time.monotonic
    """Seconds; never goes back."""


def mirror(name: str, *, limit: int, mail: Path | None, report: bool, person: str | None, as_json: bool) -> int:
    """Do records by hand, print what was measured so far, and offer to make cases of them."""
    if limit < 1:
        raise CommandError("--limit is at least 1")
    card = card_of(name)
    [source] = sources(lambda one: one.workflow == card.workflow)
    # Programs get nothing but the figures on stdout.
    dialog = Dialog(views.errors if as_json else views.console)
    session = Session(Ledger.open(), source, with_cases(card.prompt), person or getpass.getuser(), dialog)
    done = 0 if report else do(session, limit, mail)
    found = mirrors.measured(session.ledger, card, session.prompt)
    if not as_json:
        tell(card, found, dialog)
    if done:
        offer_cases(session, limit)
    if as_json:
        views.as_json(report_json(card, found))
    return 0


def do(session: Session, limit: int, mail: Path | None) -> int:
    """Go through the records that this person has not done yet; returns how many were done.

    Raises:
        CommandError: there is none, and never was.
        NoSavedMail: there is no mail at that place.
    """
    only = None if mail is None else _enter(session, mail)
    todo, more = mirrors.to_do(session.ledger, session.source, session.person, limit, only)
    if not todo:
        _refuse_if_empty(session)
        session.dialog.say("There is nothing left that you have not done.")
        return 0
    waiting = f"; {more} more wait" if more else ""
    session.dialog.say(f"{len(todo)} to do{waiting}. The clock runs from when you see it to your last step.")
    session.dialog.say(COMMANDS)
    steps, done = mirrors.steps_so_far(session.ledger, session.source.card.workflow), 0
    for number, work in enumerate(todo, start=1):
        session.dialog.say(Rule(f"{number} of {len(todo)}: record {work.record.id}"))
        try:
            done += do_one(session, work, steps)
        except Skipped:
            session.dialog.say("Skipped. It comes again next time.")
        except (Stopped, EOFError):
            session.dialog.say("Stopped.")
            break
    return done


def do_one(session: Session, work: Work, steps: list[str]) -> bool:
    """Show one record, ask what the person did about it, and commit that at once; whether it is new.

    Args:
        session: who does it.
        work: the record.
        steps: those that are offered; new ones are added.

    Raises:
        Skipped: the person leaves it out.
        Stopped: they want to end.
        EOFError: nobody is there any more.
    """
    watch = Stopwatch(session.clock)
    _show(session, work)
    watch.go()

    def ask(question: str) -> str:
        return _answer(session.dialog, watch, question)

    labels = {
        name: choose(ask, name, values, otherwise="leave it open") for name, values in choices(session.prompt).items()
    }
    taken = _steps(session.dialog, ask, steps)
    watch.pause()  # what follows is not the work
    failed = ask("Was it late, wrong or not done at all? [y/N]").lower() in ("y", "yes")
    comment = ask("Anything to say about it? (Enter: no)")
    answer = {name: value for name, value in labels.items() if value is not None}
    kept = mirrors.keep(
        session.ledger, work.record, session.person, Done(answer, taken, watch.seconds, failed, comment)
    )
    steps += [step for step in dict.fromkeys(taken) if step not in steps]
    session.dialog.say(f"{watch.seconds / 60:.1f} minutes." if kept else "Not kept: you have done it before.")
    return kept


def _enter(session: Session, place: Path) -> list[int]:
    entered = mirrors.enter_mail(session.ledger, session.source.card.workflow, place)
    for name, why in entered.left_out:
        session.dialog.say(f"Left out: {views.printable(f'{name}: {why}')}")
    if not entered.ids:
        raise CommandError(f"nothing of {place} is work for anybody")
    return entered.ids


def _refuse_if_empty(session: Session) -> None:
    card = session.source.card
    if mirrors.measured(session.ledger, card, session.prompt) is None:
        raise CommandError(
            f"the ledger has no record of {card.workflow} to do by hand. Let it read some and do nothing about them "
            f"(signoff stage {card.workflow} shadow, then signoff run {card.workflow}), "
            "or give saved e-mails (.eml), one or a folder: --mail PLACE"
        )


def _show(session: Session, work: Work) -> None:
    """What the prompt would be told: the short facts first, then the text."""
    body = session.prompt.settings.trim
    facts = {name: _plain(value) for name, value in work.told.items() if name not in (OWN_NAME, body)}
    session.dialog.say(grid({name: fact for name, fact in facts.items() if fact}, LONGEST))
    text = views.printable(str(work.told.get(body) or ""), lines=True)
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}\n[... {len(text) - LONGEST:,} more characters]"
    session.dialog.say(f"{cut}\n")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items() if inner not in (None, ""))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _answer(dialog: Dialog, watch: Stopwatch, question: str) -> str:
    """What the person answers, once it is no command."""
    while (given := dialog.ask(question)).lower() == "p":
        ran = watch.runs
        watch.pause()
        dialog.ask("Paused. Enter goes on.")
        if ran:
            watch.go()
    if given.lower() == "s":
        raise Skipped
    if given.lower() == "q":
        raise Stopped
    return given


def _steps(dialog: Dialog, ask: Callable[[str], str], known: list[str]) -> list[str]:
    """The steps that the person took, new ones in their words and known ones by number, until an empty line."""
    offered = known[:OFFERED]
    for number, step in enumerate(offered, start=1):
        dialog.say(f"  {number}  {views.printable(step)}")
    by_number = " or number" if offered else ""
    taken: list[str] = []
    while given := ask(f"Step {len(taken) + 1}? (one step{by_number} a line; Enter: that was all)"):
        numbers = given.replace(",", " ").split()
        if not all(map(str.isdecimal, numbers)):
            taken.append(views.printable(given)[:LONGEST_STEP])
        elif all(0 < int(number) <= len(offered) for number in numbers):
            taken += [offered[int(number) - 1] for number in numbers]
        else:
            dialog.say("There is no step of that number.")
    return taken


def offer_cases(session: Session, limit: int) -> None:
    """Make cases of what was labelled by hand, if the person wants to."""
    found = lessons.by_hand(session.ledger, session.source, session.prompt)
    proposals = lessons.propose(session.prompt, found.lessons, limit)
    count = len(proposals.chosen)
    if count and session.dialog.agrees(f"Make {count} new case{'' if count == 1 else 's'} of it? You see them first."):
        offer(session.prompt, proposals, session.dialog, yes=False, ask=True)


# What was measured


def tell(card: Card, found: Measured | None, dialog: Dialog) -> None:
    """Print what was measured, and what follows from it for the card."""
    if found is None:
        dialog.say(f"Nothing was measured yet: signoff mirror {card.workflow}")
        return
    dialog.say(Text(f"\n{card.workflow} by hand: {found.records} done by {', '.join(found.people)}", style="bold"))
    dialog.say(_figures(found))
    if found.steps:
        dialog.say(_steps_table(found))
    for line in _for_the_card(card, found):
        dialog.say(line)


def report_json(card: Card, found: Measured | None) -> dict[str, Any]:
    """The same for programs: minutes, shares of 0 to 1, hours."""
    present = {"minutes": card.baseline.minutes, "failure_rate": card.baseline.failure_rate}
    if found is None:
        return {"workflow": card.workflow, "records": 0, "card": present}
    minutes, rate = found.baseline
    more = {
        "failure_rate": found.failure_rate,
        "hours_of_thousand": found.hours_of_thousand,
        "baseline": {"minutes": minutes, "failure_rate": rate},
        "card": present,
    }
    steps = [{"step": step, "records": count} for step, count in found.steps]
    return {"workflow": card.workflow} | asdict(found) | {"steps": steps} | more


def _figures(found: Measured) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    minutes = f"{found.minutes_median:.1f} median, {found.minutes_mean:.1f} mean"
    table.add_row("minutes", f"{minutes}, from {found.minutes_least:.1f} to {found.minutes_most:.1f}")
    reach = f"between {found.failed_low:.0%} and {found.failed_high:.0%}"
    table.add_row("failed", f"{found.failed} of {found.records}: {found.failure_rate:.0%}, probably {reach}")
    table.add_row("1,000 records", f"{_long(found.hours_of_thousand)} by hand")
    for name, agreement in found.agreement.items():
        table.add_row(f"model's {name}", f"the same as yours in {agreement.same} of {agreement.of}")
    return table


def _long(hours: float) -> str:
    return f"{hours:,.0f} hours" if hours >= SHORT else f"{hours * 60:,.0f} minutes"


def _steps_table(found: Measured) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("records", justify="right")
    table.add_column("step", overflow="fold")
    for step, count in found.steps:
        table.add_row(str(count), Text(views.printable(step)))
    return table


def _for_the_card(card: Card, found: Measured) -> Iterator[str]:
    minutes, rate = found.baseline
    yield f"\nFor the card in flows/{card.workflow.replace('-', '_')}.py:"
    yield f"    baseline=Baseline(minutes={minutes:g}, failure_rate={rate:g}),"
    yield f"It says minutes={card.baseline.minutes:g}, failure_rate={card.baseline.failure_rate:g} now: " + _compared(
        card.baseline, found
    )
    if found.records < FEW:
        yield f"So far this is {found.records} of the {FEW} records that make it worth believing."


def _compared(present: Baseline, found: Measured) -> str:
    share = found.minutes_mean / present.minutes - 1
    longer = "it takes as long" if abs(share) < 0.05 else f"it takes {abs(share):.0%} {'more' if share > 0 else 'less'}"
    fits = found.failed_low <= present.failure_rate <= found.failed_high
    return f"{longer}, and that failure rate {'agrees with' if fits else 'is not'} what was measured."

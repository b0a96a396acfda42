"""What people are told of approvals: what waits each morning, what runs out, what has run out, what is passed on.

Each once, however often this looks (`tasks.notices.tell` has a key for each). To one person alone it goes by e-mail;
where no mailbox is connected, or that address may not be written to, to the team's Slack channel. What runs out is told
of here alone: the health check sends these notices too, and opens an alert only where one has reached nobody.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from blocks.ledger import Action, Assignment, Ledger, Notice, utcnow
from tasks import assign, inbox, notices
from tasks.card import Card
from tasks.inbox import Waiting
from tasks.notices import Told
from tasks.plain import age, counted, one_line

AT_ONCE = timedelta(hours=1)
"""What runs out within the same hour is told together; where a card gives less than eight, within an eighth of it."""

FORGOTTEN = timedelta(days=2)
"""That something has run out is told no more after so long."""

NIGHT = timedelta(hours=12)
"""The longest that quiet hours are taken to last."""

EXPIRY = "expiry/"
"""How the keys of notices begin that something runs out: with the person, the workflow and when, behind it."""

MOST_LINES = 25
LONGEST_TITLE = 90


def digest(ledger: Ledger, cards: Sequence[Card], now: datetime | None = None) -> list[Told]:
    """Tell everybody who is asked what waits for them, oldest first, and the team how much it is; once a day (UTC)."""
    now = now or utcnow()
    day = f"{now:%Y-%m-%d}"
    by_person: dict[str, list[Waiting]] = defaultdict(list)
    for row in _open(inbox.waiting(ledger, cards), now):
        by_person[row.asked].append(row)
    told: list[Told] = []
    for person, rows in sorted(by_person.items()):
        subject = f"Signoff: {counted(len(rows), 'approval')} {_verb(rows, 'wait')} for you"
        text = _digest_text(rows, now)
        told += _by_mail(ledger, f"digest/{day}/{person}", subject, text, cards, person)
    if by_person:
        who = "; ".join(f"{person}: {_how_many(rows, now)}" for person, rows in sorted(by_person.items()))
        text = f"Approvals that wait. {who}\n{inbox.link()}"
        told += notices.tell(ledger, f"digest/{day}", text, cards, via=("slack", "outgoing-webhook"))
    return told


def _open(rows: Iterable[Waiting], now: datetime) -> Iterator[Waiting]:
    return (row for row in rows if row.expires_at is None or row.expires_at > now)


def _digest_text(rows: Sequence[Waiting], now: datetime) -> str:
    today = [row for row in rows if _is_today(row, now)]
    parts = []
    if today:
        parts.append(f"Run out today ({len(today)}):\n" + "\n".join(_lines(today, now)))
    rest = [row for row in rows if not _is_today(row, now)]
    if rest:
        parts.append(
            f"{'Also wait' if today else 'Wait'}, oldest first ({len(rest)}):\n" + "\n".join(_lines(rest, now))
        )
    return "\n\n".join([*parts, f"All of it: {inbox.link()}"])


def _how_many(rows: Sequence[Waiting], now: datetime) -> str:
    today = sum(_is_today(row, now) for row in rows)
    return counted(len(rows), "approval") + (
        f", of which {today} {'runs' if today == 1 else 'run'} out today" * bool(today)
    )


def _is_today(row: Waiting, now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at.date() <= now.date()


def _lines(rows: Sequence[Waiting], now: datetime) -> Iterator[str]:
    for row in rows[:MOST_LINES]:
        until = f", until {row.expires_at:%d %b %H:%M} UTC" if row.expires_at else ""
        title = one_line(row.title)[:LONGEST_TITLE]
        yield f"- #{row.id} {title} ({row.workflow}, for {age(now - row.created_at)}{until})\n  {inbox.link(row.id)}"
    if len(rows) > MOST_LINES:
        yield f"- and {len(rows) - MOST_LINES:,} more"


def _verb(rows: Sequence[Waiting], verb: str) -> str:
    return f"{verb}s" if len(rows) == 1 else verb


def tell_due(ledger: Ledger, cards: Sequence[Card], now: datetime | None = None) -> list[Told]:
    """Tell of what runs out soon, what has run out, and what was passed on, as far as it is not told yet.

    Cheap when there is nothing to tell: a few queries, and nobody is asked anything.
    """
    now = now or utcnow()
    due = {
        key: (subject, text, person)
        for key, subject, text, person in (
            *_running_out(ledger, cards, now),
            *_ran_out(ledger, cards, now),
            *_passed_on(ledger, now),
        )
    }
    told: list[Told] = []
    for key in sorted(due.keys() - _known(ledger, due.keys())):
        subject, text, person = due[key]
        told += _by_mail(ledger, key, subject, text, cards, person)
    return told


Due = Iterator[tuple[str, str, str, str]]
"""Key, subject, text and person."""


def _running_out(ledger: Ledger, cards: Sequence[Card], now: datetime) -> Due:
    for (person, workflow, until), some in _ending(ledger, cards, now).items():
        what = f"{counted(len(some), 'approval')} of {workflow} {'runs' if len(some) == 1 else 'run'} out soon"
        text = "\n".join([*_lines(some, now), "", "What nobody decides is not done."])
        yield f"{EXPIRY}{person}/{workflow}/{until}", f"Signoff: {what}", text, person


def _ending(ledger: Ledger, cards: Sequence[Card], now: datetime) -> dict[tuple[str, str, str], list[Waiting]]:
    """What runs out together, as `_together` has it, where only the last part of a life is left."""
    rows = [row for row in inbox.waiting(ledger, cards) if row.expires_at and row.expires_at > now]
    return {
        key: some for key, some in _together(rows, cards).items() if any(assign.is_ending(row, now) for row in some)
    }


@dataclass(frozen=True)
class Ending:
    """Approvals that run out together, and whoever is asked to decide on them."""

    person: str
    workflow: str
    ids: tuple[int, ...]
    """The numbers of the actions, the first to run out first."""
    until: datetime
    """When the first one does (UTC)."""


def untold(ledger: Ledger, cards: Sequence[Card], now: datetime) -> list[Ending]:
    """What runs out soon without anybody having been told: there is no channel, or none has taken the notice.

    A notice that nobody has tried to send yet is on its way for `NIGHT`: the hours may be quiet.
    """
    ending = _ending(ledger, cards, now)
    keys = {f"{EXPIRY}{'/'.join(key)}": key for key in ending}
    untried = sa.and_(Notice.attempts == 0, Notice.created_at > now - NIGHT)
    on_its_way = sa.and_(Notice.state == notices.PENDING, untried)
    well = sa.select(Notice.key).where(Notice.key.in_(list(keys)), sa.or_(Notice.state == notices.SENT, on_its_way))
    with ledger.read() as session:
        told = set(session.scalars(well))
    return [_as_ending(*keys[key][:2], ending[keys[key]]) for key in keys if key not in told]


def _as_ending(person: str, workflow: str, rows: Sequence[Waiting]) -> Ending:
    by_end = sorted((row.expires_at, row.id) for row in rows if row.expires_at)
    return Ending(person, workflow, tuple(number for _, number in by_end), by_end[0][0])


def _ran_out(ledger: Ledger, cards: Sequence[Card], now: datetime) -> Due:
    """What ran out in an hour that is over: all of it together, so that nothing comes after it."""
    table = Action
    query = sa.select(table).where(
        table.state.in_(("waiting", "expired")), table.expires_at > now - FORGOTTEN, table.expires_at <= now
    )
    with ledger.read() as session:
        actions = session.scalars(query.order_by(table.id)).all()
    asked = assign.asked(ledger, actions, cards)
    rows = [inbox.brief(action, asked[action.id]) for action in actions]
    for (person, workflow, until), some in _together(rows, cards).items():
        if until > f"{now:%Y-%m-%dT%H:%M:%S}":
            continue
        what = f"{counted(len(some), 'approval')} of {workflow} ran out"
        lines = [f"- #{row.id} {row.title[:LONGEST_TITLE]}" for row in some[:MOST_LINES]]
        more = [f"- and {len(some) - MOST_LINES:,} more"] if len(some) > MOST_LINES else []
        text = "\n".join(["Nobody decided in time, so this was not done:", *lines, *more])
        yield f"expired/{person}/{workflow}/{until}", f"Signoff: {what}", text, person


def _together(rows: Sequence[Waiting], cards: Sequence[Card]) -> dict[tuple[str, str, str], list[Waiting]]:
    """By person, workflow and the end of the stretch of time in which it runs out.

    The stretch is a matter of the clock and the card alone: whoever looks, and whenever, finds the same ones.
    """
    lives = {card.workflow: timedelta(days=card.thresholds.approval_days) for card in cards}
    found: dict[tuple[str, str, str], list[Waiting]] = defaultdict(list)
    for row in rows:
        if row.expires_at is None:
            continue
        stretch = min(AT_ONCE, lives.get(row.workflow, AT_ONCE) / 8).total_seconds()
        ends = datetime.fromtimestamp(math.ceil(row.expires_at.timestamp() / stretch) * stretch, UTC)
        found[row.asked, row.workflow, f"{ends:%Y-%m-%dT%H:%M:%S}"].append(row)
    return found


def _passed_on(ledger: Ledger, now: datetime) -> Due:
    query = (
        sa.select(Assignment, Action)
        .join(Action)
        .where(Action.state == "waiting", Assignment.created_at > now - timedelta(days=1))
    )
    with ledger.read() as session:
        found = session.execute(query.order_by(Assignment.id)).all()
    for row, action in found:
        if row.person == row.by:  # they know
            continue
        said = f"\n\n{row.by} says: {one_line(row.comment)}" if row.comment else ""
        until = f" until {action.expires_at:%d %b %H:%M} UTC" if action.expires_at else ""
        text = (
            f"{row.by} asks you to decide{until} on #{action.id}: {one_line(action.title)} ({action.workflow})."
            f"{said}\n\n{inbox.link(action.id)}"
        )
        yield f"passed-on/{row.id}", f"Signoff: you are asked to decide on #{action.id}", text, row.person


def _known(ledger: Ledger, keys: Iterable[str]) -> set[str]:
    with ledger.read() as session:
        return set(session.scalars(sa.select(Notice.key).where(Notice.key.in_(list(keys)))))


def _by_mail(ledger: Ledger, key: str, subject: str, text: str, cards: Sequence[Card], person: str) -> list[Told]:
    """To one person: by e-mail, or else where the team reads it."""
    told = notices.tell(ledger, key, text, cards, subject=subject, to=[person], via=("gmail",))
    if any(one.state != "left out" for one in told):
        return told
    return told + notices.tell(ledger, key, f"For {person}. {text}", cards, subject=subject, via=("slack",))

"""How the work goes, as the ledger tells it: errors, doubts, money, approvals, and events that nobody has handled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from blocks.ledger import Action, ModelCall, Record, WebhookEvent
from tasks import approval_notices, assign, notices, records
from tasks.approval_notices import Ending
from tasks.card import Card
from tasks.doubts import has_failed
from tasks.health_finding import Finding, Look
from tasks.plain import counted

DAY = timedelta(days=1)

FEWEST_RECORDS = 10
"""Closed within a day: of fewer, a share says nothing."""

FEWEST_QUARANTINED = 5
RISES_BY = 3
"""So many set aside in a day, so many times what is usual in a day of the week before, and more than half of the share
that the card allows."""

DOUBT = timedelta(hours=1)
"""An action in doubt is settled by the workflow's next run, as a rule. What is older needs a person."""

LATELY = timedelta(days=7)
"""So long an action that was allowed and has failed is told of. Then whoever wanted it has seen it, or nobody will."""

SPENT = Decimal("0.8")
"""The share of a ceiling at which people are told first."""

CALLS_LEFT = 5
"""A ceiling counts as reached when less is left than so many of the dearest calls of the last month: a call is set
aside at its worst, which is several times what it costs in the end, and so is refused before the ceiling itself."""

MOST_WAITING = 20
"""Approvals of one workflow that may wait at a time."""

BACKLOG = timedelta(minutes=15)
"""A webhook event that has not started its run by then waits too long."""


def record_errors(look: Look) -> Iterator[Finding]:
    """Workflows that set aside more than their card allows, or much more than they did.

    The card's limit is `evidence.errors`, over the records that were closed within a day, if those are ten or more.
    """
    closed = Record.state.in_((records.DONE, records.QUARANTINED))
    recent = sa.select(Record.workflow, Record.state, Record.updated_at).where(
        closed, Record.updated_at > look.now - 8 * DAY
    )
    with look.ledger.read() as session:
        rows = session.execute(recent).all()
    day, week = look.now - DAY, Counter[str]()
    today: dict[str, Counter[str]] = {}
    for workflow, state, at in rows:
        if at > day:
            today.setdefault(workflow, Counter())[state] += 1
        elif state == records.QUARANTINED:
            week[workflow] += 1
    for card in look.cards:
        yield from _errors(look, card, today.get(card.workflow, Counter()), week[card.workflow])


def _errors(look: Look, card: Card, today: Counter[str], week: int) -> Iterator[Finding]:
    aside, closed = today[records.QUARANTINED], today.total()
    see = f"See signoff quarantine list --workflow {card.workflow}"
    key = f"errors:{card.workflow}:rate"
    if closed >= FEWEST_RECORDS and aside / closed > look.eased(key, card.evidence.errors):
        said = f"{aside} of {counted(closed, 'record')} ({aside / closed:.0%}) were set aside within a day; the card "
        yield Finding(key, f"{card.workflow}: {said}allows {card.evidence.errors:.0%}. {see}", card.workflow)
        return
    key = f"errors:{card.workflow}:rising"
    many = aside >= FEWEST_QUARANTINED and aside / closed > card.evidence.errors / 2
    if many and aside > look.eased(key, RISES_BY * week / 7):
        said = f"{counted(aside, 'record')} set aside within a day, and {week} in the seven days before"
        yield Finding(key, f"{card.workflow}: {said}. {see}", card.workflow)


def doubts(look: Look) -> Iterator[Finding]:
    """Actions of which nobody knows whether they were done, and that no run has settled within an hour."""
    old = sa.and_(Action.state == "unknown", Action.updated_at < look.now - DOUBT)
    query = sa.select(Action.workflow, sa.func.count()).where(old).group_by(Action.workflow)
    with look.ledger.read() as session:
        found = session.execute(query).all()
    for workflow, count in found:
        said = f"of {counted(count, 'action')} of {workflow} nobody knows whether they were done: signoff ledger doubts"
        yield Finding(f"doubts:{workflow}", said, workflow)


def failures(look: Look) -> Iterator[Finding]:
    """Actions that were allowed and that their vendor has refused for good, within a week: nobody does them now."""
    lately = sa.and_(has_failed(), Action.updated_at > look.now - LATELY)
    with look.ledger.read() as session:
        found = session.execute(sa.select(Action.workflow, Action.updated_at).where(lately)).all()
    # One for each day: an old one that nobody minds must not hide what fails today.
    for workflow, day in sorted({(workflow, f"{at:%Y-%m-%d}") for workflow, at in found}):
        said = f"something that {workflow} was allowed to do failed for good on {day} (UTC): signoff ledger failed"
        yield Finding(f"failed:{workflow}:{day}", said, workflow)


def spending(look: Look) -> Iterator[Finding]:
    """Ceilings of a day or a month (UTC) that are used up to 80 %, or wholly: once each for each day or month."""
    month = look.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    day = look.now.replace(hour=0, minute=0, second=0, microsecond=0)
    calls = ModelCall
    today = sa.func.sum(sa.case((calls.created_at >= day, calls.cost), else_=Decimal(0)))
    this_month = sa.func.sum(sa.case((calls.created_at >= month, calls.cost), else_=Decimal(0)))
    query = sa.select(calls.workflow, today, this_month, sa.func.max(calls.cost)).group_by(calls.workflow)
    with look.ledger.read() as session:
        rows = session.execute(query.where(calls.created_at >= month - 31 * DAY)).all()
    spent = {workflow: (today, this_month, dearest) for workflow, today, this_month, dearest in rows}
    for card in look.cards:
        today, this_month, dearest = spent.get(card.workflow, (Decimal(0),) * 3)
        yield from _ceiling(look, card, f"{look.now:%Y-%m-%d}", "day", today, card.usd_per_day, dearest)
        yield from _ceiling(look, card, f"{look.now:%Y-%m}", "month", this_month, card.usd_per_month, dearest)


def _ceiling(
    look: Look, card: Card, period: str, word: str, spent: Decimal, limit: Decimal, dearest: Decimal
) -> Iterator[Finding]:
    key = f"spend:{card.workflow}:{period}"
    said = f"{card.workflow} has spent ${spent:.2f} of the ${limit:.2f} that its card allows a {word} ({period} UTC)"
    full = spent > 0 and limit - spent < CALLS_LEFT * dearest
    if full:
        rest = f"what is left waits until the next {word}, or until usd_per_{word} on the card is raised"
        yield Finding(f"{key}:100", f"{said}: {rest}", card.workflow)
    # Where it was used up at one go, one alert says it all.
    if spent >= SPENT * limit and (not full or f"{key}:80" in look.open):
        yield Finding(f"{key}:80", f"{said}, which is {spent / limit:.0%}", card.workflow)


def waiting_approvals(look: Look) -> Iterator[Finding]:
    """What nobody decides because nobody was told, or because too many wait.

    That an approval runs out soon, whoever is asked is told by `tasks.approval_notices`. This says only what that
    cannot: that such a notice has reached nobody, that nobody is asked, and that a workflow asks for too much.
    """
    columns = load_only(Action.id, Action.workflow, Action.created_at, Action.expires_at)
    in_time = sa.or_(Action.expires_at.is_(None), Action.expires_at > look.now)
    query = sa.select(Action).options(columns).where(Action.state == "waiting", in_time).order_by(Action.id)
    with look.ledger.read() as session:
        rows = session.scalars(query).all()
    asked = assign.asked(look.ledger, rows, look.cards)
    by_workflow: dict[str, list[Action]] = {}
    for row in rows:
        by_workflow.setdefault(row.workflow, []).append(row)
    for workflow, every in by_workflow.items():
        people = Counter(asked[row.id] for row in every).most_common()
        whom = f"Asked: {', '.join(f'{person} ({count})' for person, count in people)}. signoff approvals list"
        key = f"approvals:{workflow}:many"
        if len(every) > look.eased(key, MOST_WAITING):
            oldest = f"the oldest since {every[0].created_at:%d %b %H:%M} UTC"
            yield Finding(key, f"{len(every)} approvals of {workflow} wait, {oldest}. {whom}", workflow)
    yield from _nobody_asked([row for row in rows if asked[row.id] == assign.NOBODY])
    yield from _untold(look)


def _nobody_asked(rows: Sequence[Action]) -> Iterator[Finding]:
    for workflow, count in Counter(row.workflow for row in rows).items():
        way_out = "Bring its flow back, or reject them: signoff approvals list"
        said = f"{counted(count, 'approval')} of {workflow} {'waits' if count == 1 else 'wait'}, and nobody is asked"
        yield Finding(f"approvals:{workflow}:nobody", f"{said}: its card is gone. {way_out}", workflow)


def _untold(look: Look) -> Iterator[Finding]:
    """May pass: the notice is sent by the same flow that looks here, and by the inbox."""
    untold: dict[str, list[Ending]] = {}
    for ending in approval_notices.untold(look.ledger, look.cards, look.now):
        untold.setdefault(ending.workflow, []).append(ending)
    for workflow, every in untold.items():
        count, first = sum(len(each.ids) for each in every), min(every, key=lambda each: each.until)
        people = ", ".join(sorted({each.person for each in every}))
        said = f"{counted(count, 'approval')} of {workflow} {'runs' if count == 1 else 'run'} out soon, the first "
        when = f"(#{first.ids[0]}) on {first.until:%d %b %H:%M} UTC, and {people} could not be told"
        way_out = "signoff approvals list; signoff alerts test tries every channel"
        yield Finding(f"approvals:{workflow}:untold", f"{said}{when}. {way_out}", workflow, may_pass=True)


def webhook_backlog(look: Look) -> Iterator[Finding]:
    """Sources whose events are stored and have started nothing."""
    table = WebhookEvent
    late = sa.and_(table.state == "stored", table.received_at < look.now - BACKLOG)
    query = sa.select(table.source, sa.func.count(), sa.func.min(table.received_at)).where(late).group_by(table.source)
    with look.ledger.read() as session:
        found = session.execute(query).all()
    for source, count, oldest in found:
        said = f"{counted(count, 'webhook event')} of {source} wait to start a run, the oldest since "
        yield Finding(f"events:{source}", f"{said}{oldest:%d %b %H:%M} UTC: see whether signoff receive is up")


def missed_notices(look: Look) -> Iterator[Finding]:
    """Channels in which people may have missed a notice: they are told in the others, and in that one when it works."""
    for found in notices.missed(look.ledger, look.now):
        said = f"{counted(found.notices, 'notice')} may not have arrived in {found.channel}: {found.reason}. "
        way_out = "signoff alerts shows what is open, signoff alerts test tries every channel"
        yield Finding(f"channel:{found.channel}", f"{said}{way_out}", may_pass=not found.is_lost)

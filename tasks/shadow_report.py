"""The shadow report: the team's Slack channel is told what a run would have done, in one message a batch.

It is an action like any other: journalled before it is posted, looked for in the channel after a crash, so told once.
The card's `shadow_report` is what allows it. Nothing else leaves in shadow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks import connections
from blocks.ledger import Action, Ledger, Record, utcnow
from tasks import team_message
from tasks.actions import KINDS, PostMessage
from tasks.card import Stage
from tasks.plain import counted, one_line

if TYPE_CHECKING:
    from tasks.run import Run

MARK = "shadow-report"

MOST_RECORDS = 50
"""In one message. Slack cuts a text off at 40,000 characters."""

TOO_LATE = "nobody could be told in time"
"""The reason of a report that is given up."""

LONGEST_NAME = 80
LONGEST_WANTED = 400
LONGEST_DRAFT = 120
"""Characters of a record's title or sender, of what was wanted for it, and of a draft."""

RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def tell(run: Run, ids: Sequence[int]) -> None:
    """Put into the journal that the team is to hear what would have been done with these records, once for each.

    `act.perform` posts it with the batch, or the next run does. Nothing happens at another stage, or where the card has
    no `shadow_report`; where nobody has saved its block, the run says so.
    """
    credential = run.card.shadow_report
    if run.stage is not Stage.SHADOW or credential is None:
        return
    with run.ledger.read() as session:
        if not _untold(session, run.card.workflow, ids):
            return
    if connections.load_if_present(credential) is None:  # not inside the transaction: it asks Prefect's server
        run.note(f"nobody has saved {credential}: no channel is told what this run would have done")
        return
    with run.ledger.write() as session:
        wanted = _untold(session, run.card.workflow, ids)
        numbers = sorted(wanted)
        for start in range(0, len(numbers), MOST_RECORDS):
            some = numbers[start : start + MOST_RECORDS]
            _add(session, run, credential, some, _message(session, run.card.workflow, {i: wanted[i] for i in some}))


def give_up(ledger: Ledger, workflow: str | None = None) -> None:
    """Refuse the reports that could not be posted within the card's `approval_days`.

    Else one for a channel that is gone would keep its records from losing their personal data for ever.
    """
    mine = is_one() if workflow is None else sa.and_(is_one(), Action.workflow == workflow)
    team_message.refuse_late(ledger, mine, TOO_LATE, utcnow())


def is_one() -> sa.ColumnElement[bool]:
    """The actions that are such a report: what a flow wants in shadow is never `pending`, so nothing else can leave."""
    return sa.and_(Action.record_id.is_(None), Action.stage == Stage.SHADOW, Action.kind == PostMessage.kind)


def about(session: Session, ids: Collection[int]) -> dict[int, set[int]]:
    """The reports that were not redacted yet and tell of any of these records: action number -> those records."""
    query = sa.select(Action.id, Action.key).where(is_one(), Action.redacted_at.is_(None))
    found = ((number, told_in(key) & set(ids)) for number, key in session.execute(query))
    return {number: told for number, told in found if told}


def told_in(key: str) -> set[int]:
    """The records that a report tells of, by its key; none when it is another action's key."""
    _, mark, numbers = key.partition(f":{MARK}:")
    ranges = (RANGE.fullmatch(part) for part in numbers.split(",")) if mark else ()
    return {i for found in ranges if found for i in range(int(found[1]), int(found[2] or found[1]) + 1)}


def _untold(session: Session, workflow: str, ids: Sequence[int]) -> dict[int, list[Action]]:
    """What was only recorded for these records and has not been told, by record."""
    query = sa.select(Action).where(Action.record_id.in_(ids), Action.state == "shadow", Action.redacted_at.is_(None))
    wanted: dict[int, list[Action]] = {}
    for action in session.scalars(query.order_by(Action.id)):
        wanted.setdefault(action.record_id or 0, []).append(action)
    if not wanted:
        return {}
    first = min(action.id for each in wanted.values() for action in each)  # what tells of it came after it
    reports = sa.select(Action.key).where(is_one(), Action.id > first, Action.workflow == workflow)
    told = {number for key in session.scalars(reports) for number in told_in(key)}
    return {number: each for number, each in wanted.items() if number not in told}


def _add(session: Session, run: Run, credential: str, ids: Sequence[int], text: str) -> None:
    report = Action(
        key=f"{run.card.workflow}:{MARK}:{_ranges(ids)}",
        workflow=run.card.workflow,
        title=f"Tell Slack what would have been done with {counted(len(ids), 'record')}",
        credential=credential,
        stage=Stage.SHADOW,
        expires_at=utcnow() + timedelta(days=run.card.thresholds.approval_days),
    )
    team_message.add(session, report, text, "the card's shadow_report")


def _message(session: Session, workflow: str, wanted: Mapping[int, Sequence[Action]]) -> str:
    """The text for Slack. It is escaped where it is posted, as every text is."""
    records = session.scalars(sa.select(Record).where(Record.id.in_(wanted)).order_by(Record.id))
    lines = [f"• {_named(record)}: {_cut(_wanted(wanted[record.id]), LONGEST_WANTED)}" for record in records]
    these = counted(len(wanted), "record")
    head = f"{workflow} only watches (shadow): nothing was done. With {these} it would have done this:"
    return "\n".join([head, *lines, f"What people really did: signoff shadow {workflow}"])


def _named(record: Record) -> str:
    sender = _cut(str(record.payload.get("sender") or ""), LONGEST_NAME)
    return f"{_cut(record.title, LONGEST_NAME)}{f' ({sender})' if sender else ''}"


def _wanted(each: Iterable[Action]) -> str:
    return "; ".join(_with_draft(action) for action in each)


def _with_draft(action: Action) -> str:
    editable = KINDS[action.kind].editable if action.kind in KINDS else None
    draft = _cut(str(action.payload.get(editable, "")), LONGEST_DRAFT) if editable else ""
    return f"{_cut(action.title, LONGEST_DRAFT)}{f': “{draft}”' if draft else ''}"


def _cut(text: str, most: int) -> str:
    """On one line, without what cannot be seen, and no longer than `most` characters."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short: `3-7,9`."""
    runs = (list(run) for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]))
    return ",".join(_range(run[0][1], run[-1][1]) for run in runs)


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"

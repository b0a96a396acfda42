"""What a run did, for people: a row per record, the same in the terminal and as an artifact on the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel

from blocks.ledger import Action, Ledger, ModelCall, Record
from tasks import audit, records
from tasks.actions import KINDS
from tasks.plain import plain
from tasks.retention import redacted_on
from tasks.run import Run
from tasks.verb import verb

DOING = {
    "shadow": "would be done",
    "pending": "to do",
    "acting": "being done",
    "failed": "failed",
    "handled": "done by hand",
    "unknown": "in doubt",
    "refused": "refused",
}


SAID_WHY = ("refused", "failed", "unknown")
"""Where the state alone leaves the question why."""


@dataclass(frozen=True)
class Row:
    """One record: what came in, what the model said, what was done, what waits, what it cost in US dollars."""

    id: int
    sender: str
    title: str
    state: str
    reason: str
    answer: dict[str, Any]
    done: tuple[str, ...]
    waits: tuple[str, ...]
    other: tuple[str, ...]
    """Actions in any other state, with the state."""
    cost: Decimal
    redacted_at: datetime | None = None
    """When its content was taken out (UTC); the title says so too."""

    @property
    def label(self) -> str:
        """What the model says that it is: an answer's first field."""
        return str(next(iter(self.answer.values()), ""))

    @property
    def outcome(self) -> str:
        """In one word: the record's state, or what it waits for."""
        return "waits for sign-off" if self.waits else self.state


class Summary(BaseModel):
    """What one run of a workflow came to."""

    workflow: str
    stage: str
    records: dict[str, int]
    """How many of the run's records are in each state."""
    actions: dict[str, int]
    """How many of their actions are in each state."""
    usd: Decimal
    """US dollars spent on models by this run."""
    notes: tuple[str, ...]
    head: audit.Head | None = None
    """The newest row of the ledger's history when the run was over. Prefect keeps it, out of the ledger's reach."""


@verb("report")
def publish(run: Run, ids: Sequence[int]) -> Summary:
    """Put the run's results on its page in the Prefect UI, and return them counted.

    To the records that the run worked on come those that it set aside, or had nothing to do about, when they came in.
    """
    ids = sorted({*ids, *_closed_on_arrival(run)})
    rows = of_records(run.ledger, ids)
    with run.ledger.read() as session:
        states = session.execute(
            sa.select(Action.state, sa.func.count()).where(Action.record_id.in_(ids)).group_by(Action.state)
        ).all()
    summary = Summary(
        workflow=run.card.workflow,
        stage=run.stage,
        records=dict(Counter(row.state for row in rows)),
        actions={state: count for state, count in states},
        usd=run.budget.spent,
        notes=tuple(run.notes),
        head=audit.head(run.ledger),
    )
    create_markdown_artifact(
        key=f"{run.card.workflow}-results", markdown=as_markdown(summary, rows), description=run.card.sentence
    )
    return summary


def _closed_on_arrival(run: Run) -> Sequence[int]:
    query = sa.select(Record.id).where(
        Record.workflow == run.card.workflow,
        Record.state.in_((records.SKIPPED, records.QUARANTINED)),
        Record.created_at >= run.started_at,
    )
    with run.ledger.read() as session:
        return session.scalars(query).all()


def of_records(ledger: Ledger, ids: Sequence[int]) -> list[Row]:
    """The rows of these records, in order."""
    with ledger.read() as session:
        found = session.scalars(sa.select(Record).where(Record.id.in_(ids)).order_by(Record.id)).all()
        actions = session.scalars(sa.select(Action).where(Action.record_id.in_(ids)).order_by(Action.id)).all()
        spent = session.execute(
            sa.select(ModelCall.record_id, sa.func.sum(ModelCall.cost))
            .where(ModelCall.record_id.in_(ids))
            .group_by(ModelCall.record_id)
        ).all()
    costs = {record_id: cost for record_id, cost in spent}
    wanted: dict[int | None, list[Action]] = {}
    for action in actions:
        wanted.setdefault(action.record_id, []).append(action)
    return [_row(record, wanted.get(record.id, []), costs.get(record.id)) for record in found]


def _row(record: Record, actions: Sequence[Action], cost: Decimal | None) -> Row:
    return Row(
        id=record.id,
        sender=record.payload.get("sender", ""),
        title=f"({redacted_on(record.redacted_at)})" if record.redacted_at else record.title,
        redacted_at=record.redacted_at,
        state=record.state,
        reason=record.reason or "",
        answer=record.answer or {},
        done=tuple(KINDS[a.kind].noun for a in actions if a.state == "done"),
        waits=tuple(f"{KINDS[a.kind].noun} #{a.id}" for a in actions if a.state == "waiting"),
        other=tuple(
            f"{KINDS[a.kind].noun} #{a.id} {DOING.get(a.state, a.state)}"
            + (f": {a.reason}" if a.state in SAID_WHY and a.reason else "")
            for a in actions
            if a.state not in ("done", "waiting")
        ),
        cost=cost or Decimal(0),
    )


def as_markdown(summary: Summary, rows: Sequence[Row]) -> str:
    """The results as a markdown page. Text from outside is escaped."""
    counts = ", ".join(f"{count} {state}" for state, count in sorted(summary.records.items())) or "nothing new"
    lines = [f"**{counts}** · stage {summary.stage} · ${summary.usd:.4f}", ""]
    lines += [f"- {plain(note)}" for note in summary.notes]
    if rows:
        lines += [
            "",
            "| # | From | Subject | Answer | Done | Waits for sign-off | Cost |",
            "|---|---|---|---|---|---|---|",
        ]
    for row in rows:
        urgency = str(row.answer.get("urgency", ""))
        answer = " · ".join(filter(None, (row.label, urgency))) or row.reason or row.state
        cells = (row.sender, row.title, answer, ", ".join(row.done + row.other), ", ".join(row.waits))
        lines.append(f"| {row.id} | " + " | ".join(plain(cell) for cell in cells) + f" | ${row.cost:.4f} |")
    if summary.head:
        lines += ["", _witness(summary.head)]
    return "\n".join(lines)


def _witness(head: audit.Head) -> str:
    """The head in short, for people, and the command that checks whether the ledger still goes back to it."""
    return (
        f"The ledger's history ends at row {head.number}, {head.short}. Whether anything up to it was rewritten later, "
        f"this tells: `signoff audit verify --expect {head.hash}`"
    )

"""What was entered is passed on to where the team reads it: once for each row, as it was entered, edits included."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from blocks import ledger
from blocks.ledger import Decision, Record
from tasks import approvals, gate, output
from tasks.actions import Action, AddRow
from tasks.run import Run
from tasks.verb import verb

MOST = 200
"""Rows that a run passes on."""


@verb("pass on")
def rows(run: Run, kind: str, made_of: Callable[[AddRow], Action], explain: gate.Explain) -> list[int]:
    """Want one action more for every row that is in its table and has none of that kind yet.

    Not together with the row: a person may change it first. Nothing is wanted while nobody has connected the place.

    Args:
        run: the run.
        kind: the action's.
        made_of: makes it of a row, as that was entered.
        explain: what an approver must know of the row's document.

    Returns:
        The records' ids, for `act.perform`.
    """
    if kind in run.left_out:
        return []
    entered, other = ledger.Action, aliased(ledger.Action)
    passed = sa.exists().where(other.record_id == entered.record_id, other.kind == kind)
    query = (
        sa.select(Record, Decision.payload)
        .join(entered, entered.record_id == Record.id)
        .join(Decision, Decision.action_id == entered.id)
        .where(entered.workflow == run.card.workflow, entered.kind == AddRow.kind, entered.state == "done")
        .where(Record.redacted_at.is_(None), ~passed)
        .order_by(Record.id)
        .limit(MOST)
    )
    with run.ledger.read() as session:
        found = [(record, payload) for record, payload in session.execute(query)]
    wanted = []
    for record, payload in found:
        row = AddRow.model_validate(payload)
        # What a person has written, or code has put into one notation, is the record's own by now.
        known = output.Known(Record(payload=record.payload | {"entered": row.fields}, context=record.context))
        action = made_of(row)
        one = gate.row(run, record, action, known, key=f"{gate.natural_key(record)}:{kind}")
        if one.state != "pending":
            one.explanation = gate.explanation(action, explain(record), Decimal(0))
        wanted.append(one)
    with run.ledger.write() as session:
        gate.want(session, run, wanted)
    approvals.request(run.ledger, gate.waiting_without_run(run))
    return [record.id for record, _ in found]

"""Evidence as it grows in a ledger: evaluations, answered records, and what people decided about them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from blocks.ledger import Action, Decision, Evaluation, Ledger, PromptVersion, Record, insert, utcnow
from tasks.actions import BY_CARD
from tasks.scoring import FieldScore, Scores

WORKFLOW = "lead-triage"
SOURCE = "past"


def evaluated(ledger: Ledger, version: str, right: int = 95, of: int = 100, **changes: Any) -> None:
    """An evaluation in which the intent was right so often."""
    score = FieldScore(field="intent", right=right, of=of, low=0.5, high=1.0, confusion={})
    scores = Scores(
        cases=of, usable=of, fields=(score, score.model_copy(update={"field": "urgency", "right": 0})), similarity={},
        threshold=0.6, sure=of, sure_and_right=right, calibration_error=0.0, seconds_median=0.0, seconds_p95=0.0,
        input_tokens=0, output_tokens=0, cost=0.0,
    )  # fmt: skip
    fields: dict[str, Any] = {"source": "held_out", "state": "done", "scores": scores.model_dump(mode="json")}
    with ledger.write() as session:
        row = {"version": version, "prompt": "lead_triage", "model": "m", "content": {}, "created_at": utcnow()}
        session.execute(insert(session, PromptVersion).on_conflict_do_nothing(), [row])
        session.add(
            Evaluation(
                prompt="lead_triage",
                prompt_version=version,
                model="m",
                cases_digest="d",
                cases=of,
                ended_at=utcnow(),
                **fields | changes,
            )
        )


def answered(ledger: Ledger, version: str, count: int, state: str = "done") -> list[int]:
    """So many records that this version has answered."""
    with ledger.write() as session:
        start = session.scalar(sa.select(sa.func.count()).select_from(Record)) or 0
        rows = [
            Record(
                workflow=WORKFLOW, source=SOURCE, external_id=f"e{start + n}", payload={}, state=state,
                prompt_version=version,
            )
            for n in range(count)
        ]  # fmt: skip
        session.add_all(rows)
        session.flush()
        return [row.id for row in rows]


def decided(
    ledger: Ledger, records: list[int], verdict: str = "approved", *, edited: bool = False, by: str = "Mara"
) -> None:
    """A person, or the card, has decided on an action of each of these records."""
    with ledger.write() as session:
        for number in records:
            nth = session.scalar(sa.select(sa.func.count()).where(Action.record_id == number)) or 0
            action = Action(
                key=f"k{number}-{nth}", workflow=WORKFLOW, record_id=number, kind="gmail.apply_label", impact="low",
                title="Label", payload={}, digest="d", credential="gmail/inbox", explanation="", stage="gated",
                state="done" if verdict == "approved" else verdict,
            )  # fmt: skip
            session.add(action)
            session.flush()
            session.add(
                Decision(action_id=action.id, verdict=verdict, approver=by, payload={}, digest="d", edited=edited)
            )


def earn(ledger: Ledger, version: str, count: int = 50) -> None:
    """All that selective needs."""
    evaluated(ledger, version)
    decided(ledger, answered(ledger, version, count))


__all__ = ["BY_CARD", "SOURCE", "answered", "decided", "earn", "evaluated"]

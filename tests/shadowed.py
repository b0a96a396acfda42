"""What the gate leaves behind in shadow, without the run that it takes."""

from __future__ import annotations

import sqlalchemy as sa

from blocks.ledger import Action, Ledger, Record
from flows.lead_triage import CARD, decide


def in_shadow(ledger: Ledger, number: int) -> None:
    """Put into the ledger what the lead triage would do about a record."""
    with ledger.write() as session:
        record = session.scalars(sa.select(Record).where(Record.id == number)).one()
        for action in decide(record):
            line = CARD.writes_of(action.kind)
            assert line is not None
            session.add(
                Action(
                    key=f"{record.external_id}:{action.kind}", workflow=record.workflow, record_id=record.id,
                    kind=action.kind, impact=action.impact, title=action.title, digest="d", explanation="",
                    payload=action.model_dump(mode="json"), credential=line.credential, stage="shadow", state="shadow",
                )
            )  # fmt: skip

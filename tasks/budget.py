"""What a workflow may spend on models: set aside in the ledger before each call.

The limits hold for all runs of the workflow together, and across crashes: what was set aside for a call of which nobody
knows the end counts as spent, at its worst.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Ledger, ModelCall, Reservation, utcnow
from tasks.card import Card

LOST = "lost"
"""The stop reason that the ledger gives a call that was never answered."""


class BudgetExceeded(Exception):
    """A call was not made because it could have gone over a limit.

    Attributes:
        kind: which limit: `usd_per_run`, `usd_per_day` or `usd_per_month`.
        value: US dollars that would have been spent at worst.
        limit: the limit in US dollars.
    """

    def __init__(self, kind: str, value: Decimal, limit: Decimal) -> None:
        super().__init__(f"{kind} is ${limit:.4f}, and the next call could bring it to ${value:.4f}")
        self.kind = kind
        self.value = value
        self.limit = limit


@dataclass(frozen=True)
class Call:
    """A call that is wanted, and the most US dollars that it can cost."""

    record_id: int
    prompt_version: str
    model: str
    worst: Decimal


@dataclass(frozen=True)
class Granted:
    """The records that may be asked about, and the limit that the first of the others met."""

    records: list[int]
    refused: BudgetExceeded | None


class Budget:
    """The dollars of one run, and of its workflow's day and month (UTC)."""

    def __init__(self, store: Ledger, card: Card, run_id: str) -> None:
        self._store, self._card, self._run_id = store, card, run_id

    @property
    def spent(self) -> Decimal:
        """US dollars that this run has spent."""
        with self._store.read() as session:
            return _sum(session, ModelCall.cost, ModelCall.run_id == self._run_id)

    def reserve(self, calls: Sequence[Call]) -> Granted:
        """Set aside what these calls can cost at worst, in order, as many as fit; each must be settled."""
        if not any(call.worst for call in calls):  # a model that is free
            return Granted([call.record_id for call in calls], None)
        reserved: list[Reservation] = []
        refused = None
        with self._store.write() as session:
            # Left by an attempt whose end could not be written: what it had asked may have been paid.
            mine = Reservation.run_id == self._run_id
            lose(session, mine, Reservation.record_id.in_([call.record_id for call in calls]))
            limits = self._limits(session)
            for call in calls:
                if refused := _exceeded(limits, call.worst):
                    break
                limits = [(kind, used + call.worst, limit) for kind, used, limit in limits]
                reserved.append(self._reservation(call))
            session.add_all(reserved)
        return Granted([row.record_id for row in reserved], refused)

    def settle(self, session: Session, records: Iterable[int]) -> None:
        """Give back what was set aside for these records; what was paid is a `ModelCall` in the same transaction."""
        mine = Reservation.run_id == self._run_id
        session.execute(sa.delete(Reservation).where(mine, Reservation.record_id.in_(list(records))))

    def lose(self, session: Session, record_id: int) -> None:
        """The call was never answered: it counts at its worst."""
        lose(session, Reservation.run_id == self._run_id, Reservation.record_id == record_id)

    def _limits(self, session: Session) -> list[tuple[str, Decimal, Decimal]]:
        """Each limit: its name, what is used up or set aside, and how far it goes."""
        card, workflow = self._card, self._card.workflow
        day = utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
        aside = _sum(session, Reservation.worst, Reservation.workflow == workflow)
        run = _sum(session, Reservation.worst, Reservation.run_id == self._run_id)
        run += _sum(session, ModelCall.cost, ModelCall.run_id == self._run_id)
        return [
            ("usd_per_run", run, card.usd_per_run),
            ("usd_per_day", aside + spent_since(session, workflow, day), card.usd_per_day),
            ("usd_per_month", aside + spent_since(session, workflow, day.replace(day=1)), card.usd_per_month),
        ]

    def _reservation(self, call: Call) -> Reservation:
        return Reservation(
            workflow=self._card.workflow,
            record_id=call.record_id,
            run_id=self._run_id,
            prompt=self._card.prompt,
            prompt_version=call.prompt_version,
            model=call.model,
            worst=call.worst,
        )


def spent_since(session: Session, workflow: str, moment: datetime) -> Decimal:
    """US dollars that a workflow has spent on models since then."""
    return _sum(session, ModelCall.cost, ModelCall.workflow == workflow, ModelCall.created_at >= moment)


def lose(session: Session, *which: sa.ColumnElement[bool]) -> None:
    """Reservations that nobody will settle any more become lost calls, spent at their worst."""
    rows = list(session.scalars(sa.select(Reservation).where(*which)))
    session.add_all(lost_call(row) for row in rows)
    session.execute(sa.delete(Reservation).where(Reservation.id.in_([row.id for row in rows])))


def lost_call(reservation: Reservation) -> ModelCall:
    """A call of which nobody knows whether it was answered, and paid for."""
    return ModelCall(
        workflow=reservation.workflow,
        record_id=reservation.record_id,
        run_id=reservation.run_id,
        prompt=reservation.prompt,
        prompt_version=reservation.prompt_version,
        model=reservation.model,
        attempt=0,
        reply="",
        stop_reason=LOST,
        input_tokens=0,
        output_tokens=0,
        cost=reservation.worst,
        seconds=0.0,
    )


def _exceeded(limits: Sequence[tuple[str, Decimal, Decimal]], worst: Decimal) -> BudgetExceeded | None:
    return next(
        (BudgetExceeded(kind, used + worst, limit) for kind, used, limit in limits if worst and used + worst > limit),
        None,
    )


def _sum(session: Session, column: sa.orm.InstrumentedAttribute[Decimal], *where: sa.ColumnElement[bool]) -> Decimal:
    return session.scalar(sa.select(sa.func.sum(column)).where(*where)) or Decimal(0)

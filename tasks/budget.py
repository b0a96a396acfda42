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


def _total(column: sa.orm.InstrumentedAttribute[Decimal], *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[Decimal]:
    return sa.select(sa.func.sum(column)).where(*where).scalar_subquery()


# Written once: before each of an agent's steps they are asked, and to build them would take as long as to run them.
_WORKFLOW: sa.BindParameter[str] = sa.bindparam("workflow")
_RUN: sa.BindParameter[str] = sa.bindparam("run")
_DAY: sa.BindParameter[datetime] = sa.bindparam("day")
USED = sa.select(
    _total(Reservation.worst, Reservation.workflow == _WORKFLOW),
    _total(Reservation.worst, Reservation.run_id == _RUN),
    _total(ModelCall.cost, ModelCall.run_id == _RUN),
    _total(ModelCall.cost, ModelCall.workflow == _WORKFLOW, ModelCall.created_at >= _DAY),
)
"""What is set aside by the workflow and by the run, and what the run, and the workflow since `day`, have spent."""

LEFT = (
    sa.select(Reservation.__table__.c.id)
    .where(Reservation.run_id == _RUN, Reservation.record_id.in_(sa.bindparam("records", expanding=True)))
    .limit(1)
)

SETTLED = sa.delete(Reservation.__table__).where(  # type: ignore[arg-type]
    Reservation.run_id == _RUN, Reservation.record_id == sa.bindparam("record")
)


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
        self._earlier: tuple[datetime, Decimal] | None = None
        """What this month had cost before today (UTC): it changes no more."""

    @property
    def spent(self) -> Decimal:
        """US dollars that this run has spent."""
        with self._store.read() as session:
            return _sum(session, ModelCall.cost, ModelCall.run_id == self._run_id)

    def reserve(self, calls: Sequence[Call]) -> Granted:
        """Set aside what these calls can cost at worst, in order, as many as fit; each must be settled."""
        if not any(call.worst for call in calls):  # a model that is free
            return Granted([call.record_id for call in calls], None)
        with self._store.write() as session:
            return self.reserve_in(session, calls)

    def reserve_in(self, session: Session, calls: Sequence[Call]) -> Granted:
        """The same, in a transaction that is under way."""
        reserved: list[Reservation] = []
        refused = None
        # Left by an attempt whose end could not be written: what it had asked may have been paid.
        ids = [call.record_id for call in calls]
        if session.connection().execute(LEFT, {"run": self._run_id, "records": ids}).first():
            lose(session, Reservation.run_id == self._run_id, Reservation.record_id.in_(ids))
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
        rows = [{"run": self._run_id, "record": record_id} for record_id in records]
        if rows:
            session.connection().execute(SETTLED, rows)

    def lose(self, session: Session, record_id: int) -> None:
        """The call was never answered: it counts at its worst."""
        lose(session, Reservation.run_id == self._run_id, Reservation.record_id == record_id)

    def _limits(self, session: Session) -> list[tuple[str, Decimal, Decimal]]:
        """Each limit: its name, what is used up or set aside, and how far it goes."""
        card = self._card
        day = utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
        which = {"workflow": card.workflow, "run": self._run_id, "day": day}
        aside, run_aside, run, today = (
            amount or Decimal(0) for amount in session.connection().execute(USED, which).one()
        )
        month = today + self._before(session, day)
        return [
            ("usd_per_run", run_aside + run, card.usd_per_run),
            ("usd_per_day", aside + today, card.usd_per_day),
            ("usd_per_month", aside + month, card.usd_per_month),
        ]

    def _before(self, session: Session, day: datetime) -> Decimal:
        if self._earlier is None or self._earlier[0] != day:
            this_month = ModelCall.created_at >= day.replace(day=1), ModelCall.created_at < day
            mine = ModelCall.workflow == self._card.workflow
            self._earlier = day, _sum(session, ModelCall.cost, mine, *this_month)
        return self._earlier[1]

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

"""The figures behind a report: counted in the ledger's database, by workflow, prompt version and day.

Whatever happened is counted on the day on which it happened: a record on the day it came in, a result on the day on
which the last of it was done, a decision and a model call on their own. So each is in one week only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks.ledger import Action, Decision, ModelCall, Receipt, Record
from tasks import mirror, records
from tasks.actions import BY_CARD, KINDS, Impact
from tasks.actions import Action as Kind
from tasks.approvals import TAKEN_BACK
from tasks.budget import LOST
from tasks.card import Stage
from tasks.going_on import OPEN
from tasks.periods import Period, day_of, within

FELL_SHORT = ("failed", "handled", "expired")
"""And of one that a person has to do instead."""

TURNED_DOWN = ("rejected", "refused")
"""And of one that somebody, or the card, did not want."""

NOBODY = (BY_CARD, "", TAKEN_BACK["approver"])
"""The approvers who took no time: the card's own rule, unreadable forms, and cancelled runs."""

OWN_FORM = tuple(sorted(name for name, kind in KINDS.items() if kind.editable or kind.blanks is not Kind.blanks))
"""The kinds that are decided on a form of their own; what else a record wants shares one (`tasks/approvals.py`)."""


class Key(NamedTuple):
    """What figures are counted by."""

    workflow: str
    version: str | None
    """None before a prompt was asked."""
    day: date


@dataclass
class Figures:
    """What was counted. All of it can be added up."""

    came_in: int = 0
    done: int = 0
    waiting: int = 0
    quarantined: int = 0
    skipped: int = 0
    open: int = 0
    """Still being worked on."""
    turned_down: int = 0
    """People wanted nothing of it."""
    watched: int = 0
    """In shadow: recorded, and nothing done."""
    unsure: int = 0
    """Of those that came in, left to a person because the model was not sure."""
    wrong: int = 0
    """Of those that came in, set aside, or with an action that failed or that nobody decided on in time."""
    failed: int = 0
    """Of those that came in, with an action that failed."""
    used: int = 0
    """Records of which everything has been decided and something was done, as proven by a receipt."""
    mended: int = 0
    """Of those, with something rejected, changed, failed or expired: a person did it after all."""
    forms: int = 0
    """Forms that people decided on."""
    shared_forms: int = 0
    """Of those, the ones with nothing but low-impact actions, none of which has a text to edit."""
    decided: int = 0
    """Records that people decided on."""
    rejected: int = 0
    edited: int = 0
    """Of those, with at least one rejected action, or changed text."""
    expired: int = 0
    """Actions that nobody decided on in time."""
    actions: int = 0
    """Done, each with a receipt."""
    retried: int = 0
    """Attempts at them beyond the first."""
    found: int = 0
    """Of them, those that were in doubt and turned out to have been done."""
    calls: int = 0
    asked_again: int = 0
    lost: int = 0
    """Calls that were never answered, counted at their worst."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Of the input, what the vendors' caches held, and what was put into them, as far as it was written down."""
    usd: Decimal = Decimal(0)

    def add(self, other: Figures | Mapping[str, Any]) -> None:
        """Count these as well."""
        for name in NAMES:
            more = other.get(name) if isinstance(other, Mapping) else getattr(other, name)
            if more:
                setattr(self, name, getattr(self, name) + more)

    @property
    def ended(self) -> int:
        """Records that came to an end while more than watched."""
        return self.done + self.turned_down + self.quarantined

    @property
    def error_rate(self) -> float | None:
        """The share of them that went wrong."""
        return self.wrong / self.ended if self.ended else None

    @property
    def rejection_rate(self) -> float | None:
        """The share of the records that people decided on of which they rejected something."""
        return self.rejected / self.decided if self.decided else None

    @property
    def edit_rate(self) -> float | None:
        """And changed something."""
        return self.edited / self.decided if self.decided else None

    @property
    def usd_per_record(self) -> Decimal | None:
        """Dollars of model calls for each record that came in."""
        return self.usd / self.came_in if self.came_in else None

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in NAMES)


NAMES = tuple(field.name for field in fields(Figures))

Cube = dict[Key, Figures]


def total(some: Iterable[Figures]) -> Figures:
    """All of them together."""
    found = Figures()
    for each in some:
        found.add(each)
    return found


def counted(session: Session, period: Period) -> Cube:
    """What happened in the period and in the one before it."""
    look = _Look(session, period)
    cube: Cube = {}
    for query in (look.came_in(), look.used(), look.decided(), look.expired(), look.performed(), look.asked()):
        for workflow, version, day, *counts in session.execute(query).tuples():
            names = list(query.selected_columns.keys())[3:]
            key = Key(workflow, version, date.fromisoformat(day))
            # PostgreSQL adds large numbers up to a Decimal.
            some = {name: n if name == "usd" else int(n) for name, n in zip(names, counts, strict=True)}
            cube.setdefault(key, Figures()).add(some)
    return cube


class _Look:
    """The queries. Each gives workflow, prompt version and day, and then figures by their names."""

    def __init__(self, session: Session, period: Period) -> None:
        self.period = period
        self.dialect = session.get_bind().dialect.name

    def came_in(self) -> sa.Select[Any]:
        """What came in, and what has become of it by now."""
        each = (
            sa.select(
                Record.workflow,
                Record.prompt_version,
                self._day(Record.created_at).label("day"),
                Record.state,
                Record.sure,
                # NULL without any action: nothing was to be done, which is no watching.
                sa.func.max(sa.case((Action.stage != Stage.SHADOW, 1), (Action.id.is_not(None), 0))).label("live"),
                _any(Action.state == "waiting").label("waits"),
                _any(Action.state.in_(FELL_SHORT)).label("short"),
                _any(Action.state == "failed").label("failed"),
                _any(Action.state == "rejected").label("rejected"),
                _any(Action.state.not_in(TURNED_DOWN)).label("wanted"),
            )
            .outerjoin(Action, Action.record_id == Record.id)
            # What was done by hand in the mirror was no work of the workflow.
            .where(within(Record.created_at, self.period), Record.source != mirror.SOURCE)
            .group_by(Record.id)
            .subquery()
        )
        row = each.c
        outcome = sa.case(
            (row.state == records.QUARANTINED, "quarantined"),
            (row.state == records.SKIPPED, "skipped"),
            (sa.or_(row.state == records.WAITS, row.waits == 1), "waiting"),
            (row.live == 0, "watched"),
            (sa.and_(row.state == records.DONE, row.rejected == 1, row.wanted == 0), "turned_down"),
            (row.state == records.DONE, "done"),
            else_="open",
        )
        outcomes = ("done", "turned_down", "waiting", "quarantined", "skipped", "open", "watched")
        acted = sa.and_(outcome.in_(("done", "turned_down", "waiting")), row.sure.is_(False))
        wrong = sa.or_(outcome == "quarantined", sa.and_(outcome == "done", row.short == 1))
        return _grouped(
            (row.workflow, row.prompt_version, row.day),
            came_in=sa.func.count(),
            **{name: sum_of(outcome == name) for name in outcomes},
            unsure=sum_of(acted),
            wrong=sum_of(wrong),
            failed=sa.func.coalesce(sa.func.sum(row.failed), 0),
        )

    def used(self) -> sa.Select[Any]:
        """The records with a result that was used, on the day on which the last of it was done."""
        lately = (
            sa.select(Action.record_id)
            .join(Receipt, Receipt.action_id == Action.id)
            .where(within(Receipt.created_at, self.period), Action.record_id.is_not(None))
        )
        turned_down = sa.and_(Decision.approver.not_in(NOBODY), Decision.verdict == "rejected")
        each = (
            sa.select(
                Record.workflow,
                Record.prompt_version,
                sa.func.max(Receipt.created_at).label("at"),
                _any(sa.or_(turned_down, Decision.edited, Action.state.in_(FELL_SHORT))).label("mended"),
            )
            .join(Action, Action.record_id == Record.id)
            .outerjoin(Decision, Decision.action_id == Action.id)
            .outerjoin(Receipt, Receipt.action_id == Action.id)
            .where(Record.id.in_(lately), Record.state != records.QUARANTINED, Record.sure.is_not(False))
            .group_by(Record.id)
            .having(_any(Action.state.in_(OPEN)) == 0)
            .subquery()
        )
        row = each.c
        query = _grouped(
            (row.workflow, row.prompt_version, self._day(row.at)), used=sa.func.count(), mended=sa.func.sum(row.mended)
        )
        return query.where(within(row.at, self.period))

    def decided(self) -> sa.Select[Any]:
        """What people decided, record by record: however many actions it had, they looked at it as one thing."""
        own = sa.or_(Action.impact == Impact.HIGH, Action.kind.in_(OWN_FORM), Action.record_id.is_(None))
        each = (
            sa.select(
                Action.workflow,
                Record.prompt_version,
                sa.func.min(Decision.created_at).label("at"),
                sum_of(own).label("own"),
                _any(~own).label("shared"),
                _any(Decision.verdict == "rejected").label("rejected"),
                _any(Decision.edited).label("edited"),
            )
            .join(Action, Action.id == Decision.action_id)
            .outerjoin(Record, Record.id == Action.record_id)
            .where(within(Decision.created_at, self.period), by_people())
            .group_by(Action.workflow, Record.prompt_version, sa.func.coalesce(Action.record_id, -Action.id))
            .group_by(sa.case((Decision.created_at >= self.period.since, 1), else_=0))
            .subquery()
        )
        row = each.c
        return _grouped(
            (row.workflow, row.prompt_version, self._day(row.at)),
            forms=sa.func.sum(row.own + row.shared),
            shared_forms=sa.func.sum(row.shared),
            decided=sa.func.count(),
            rejected=sa.func.sum(row.rejected),
            edited=sa.func.sum(row.edited),
        )

    def expired(self) -> sa.Select[Any]:
        """The actions that nobody decided on in time."""
        query = _grouped(
            (Action.workflow, Record.prompt_version, self._day(Decision.created_at)), expired=sa.func.count()
        )
        return (
            query.select_from(Decision)
            .join(Action, Action.id == Decision.action_id)
            .outerjoin(Record, Record.id == Action.record_id)
            .where(Decision.verdict == "expired", within(Decision.created_at, self.period))
        )

    def performed(self) -> sa.Select[Any]:
        """The actions of records that were done, as their receipts say."""
        query = _grouped(
            (Action.workflow, Record.prompt_version, self._day(Receipt.created_at)),
            actions=sa.func.count(),
            retried=sa.func.sum(sa.case((Action.attempts > 1, Action.attempts - 1), else_=0)),
            found=sum_of(Receipt.found),
        )
        return (
            query.select_from(Receipt)
            .join(Action, Action.id == Receipt.action_id)
            .join(Record, Record.id == Action.record_id)
            .where(within(Receipt.created_at, self.period))
        )

    def asked(self) -> sa.Select[Any]:
        """The model calls."""
        calls = ModelCall
        again = sa.and_(calls.attempt > 1, calls.agent_run_id.is_(None))  # an agent's attempts are its steps
        query = _grouped(
            (calls.workflow, calls.prompt_version, self._day(calls.created_at)),
            calls=sa.func.count(),
            asked_again=sum_of(again),
            lost=sum_of(calls.stop_reason == LOST),
            input_tokens=sa.func.sum(calls.input_tokens),
            output_tokens=sa.func.sum(calls.output_tokens),
            cache_read_tokens=sa.func.sum(sa.func.coalesce(calls.cache_read_tokens, 0)),
            cache_write_tokens=sa.func.sum(sa.func.coalesce(calls.cache_write_tokens, 0)),
            usd=sa.func.sum(calls.cost),
        )
        return query.where(within(calls.created_at, self.period))

    def _day(self, column: Any) -> sa.ColumnElement[str]:
        return day_of(column, self.period, self.dialect)


def _grouped(by: tuple[Any, Any, Any], **figures: Any) -> sa.Select[Any]:
    # By place: PostgreSQL takes an expression with parameters for another one when it comes a second time.
    return sa.select(*by, *(figure.label(name) for name, figure in figures.items())).group_by(sa.text("1, 2, 3"))


def sum_of(condition: Any) -> sa.ColumnElement[int]:
    """In how many rows it holds."""
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _any(condition: Any) -> sa.ColumnElement[int]:
    return sa.func.max(sa.case((condition, 1), else_=0))


def by_people() -> sa.ColumnElement[bool]:
    """Whether a decision is a person's word."""
    return sa.and_(Decision.approver.not_in(NOBODY), Decision.verdict.in_(("approved", "rejected")))

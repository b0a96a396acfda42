"""The budget: set aside in the ledger before the spend, for all runs of a workflow together."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.ledger import Ledger, ModelCall, Reservation, utcnow
from blocks.ledger import Run as RunRow
from flows.lead_triage import CARD
from tasks import run as runs
from tasks.budget import LOST, Budget, Call

pytestmark = pytest.mark.both_databases

ROOT = Path(runs.__file__).parents[1]
dollars = st.decimals(0, 2, places=4)

DIE_AFTER_RESERVING = """
import os, signal, sys
from decimal import Decimal
from blocks.ledger import Ledger
from flows.lead_triage import CARD
from tasks.budget import Budget, Call
from tasks.run import alive
ledger = Ledger.open(sys.argv[1])
with alive(ledger, CARD.workflow, "selective") as run_id:
    Budget(ledger, CARD, run_id).reserve([Call(int(sys.argv[2]), "v1", "haiku", Decimal("0.3"))])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def budget_of(ledger: Ledger) -> Callable[..., Budget]:
    """Makes the budget of a run of a card that differs from the lead triage's."""

    def make(run_id: str = "r1", **limits: Decimal) -> Budget:
        with ledger.write() as session:
            if session.get(RunRow, run_id) is None:
                now = utcnow()
                session.add(RunRow(id=run_id, workflow=CARD.workflow, stage="gated", started_at=now, heartbeat_at=now))
        return Budget(ledger, CARD.model_copy(update=limits), run_id)

    return make


@pytest.fixture
def records(add_record: Callable[..., int]) -> list[int]:
    """The numbers of a few records."""
    return [add_record(message_id=f"m{n}") for n in range(30)]


def call(record: int, worst: Decimal | str) -> Call:
    return Call(record, "v1", "haiku", Decimal(worst))


def pay(ledger: Ledger, budget: Budget, record: int, cost: Decimal | str, run_id: str = "r1", **more: Any) -> None:
    with ledger.write() as session:
        session.add(
            ModelCall(
                workflow=CARD.workflow, record_id=record, run_id=run_id, prompt="p", prompt_version="v1", model="haiku",
                attempt=1, reply="{}", stop_reason="end_turn", input_tokens=1, output_tokens=1, cost=Decimal(cost),
                seconds=0.1, **more,
            )
        )  # fmt: skip
        budget.settle(session, [record])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=dollars, day=dollars, calls=st.lists(st.tuples(dollars, dollars), max_size=12))
def test_no_order_of_calls_in_eight_threads_and_two_runs_goes_over_a_limit(
    limit: Decimal,
    day: Decimal,
    calls: list[tuple[Decimal, Decimal]],
    ledger: Ledger,
    records: list[int],
    budget_of: Callable[..., Budget],
) -> None:
    with ledger.write() as session:
        session.execute(sa.delete(ModelCall))
    limits = {"usd_per_run": limit, "usd_per_day": day}
    budgets = {run_id: budget_of(run_id, **limits) for run_id in ("r1", "r2")}

    def spend(numbered: tuple[int, tuple[Decimal, Decimal]]) -> None:
        number, (one, other) = numbered
        run_id = ("r1", "r2")[number % 2]
        if budgets[run_id].reserve([call(records[number], max(one, other))]).records:
            pay(ledger, budgets[run_id], records[number], min(one, other), run_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(spend, enumerate(calls)))
    assert all(budget.spent <= limit for budget in budgets.values())
    assert sum((budget.spent for budget in budgets.values()), Decimal(0)) <= day
    with ledger.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Reservation)) == 0


def test_a_limit_may_be_used_up_to_the_last_cent(
    ledger: Ledger, records: list[int], budget_of: Callable[..., Budget]
) -> None:
    budget = budget_of(usd_per_run=Decimal(1))
    assert budget.reserve([call(records[0], "1")]).records == [records[0]]
    pay(ledger, budget, records[0], "1")
    assert budget.reserve([call(records[1], "0")]).records == [records[1]]
    assert budget.reserve([call(records[2], "0.000000001")]).records == []


def test_a_refusal_says_which_limit_how_much_and_how_far(
    ledger: Ledger, records: list[int], budget_of: Callable[..., Budget]
) -> None:
    budget = budget_of(usd_per_day=Decimal(10))
    pay(ledger, budget, records[0], "9.5", created_at=utcnow().replace(hour=0, minute=0, second=0))
    error = budget_of("r2", usd_per_day=Decimal(10), usd_per_run=Decimal(1)).reserve([call(records[1], "0.75")]).refused
    assert error is not None
    assert (error.kind, error.value, error.limit) == ("usd_per_day", Decimal("10.25"), Decimal(10))
    assert str(error) == "usd_per_day is $10.0000, and the next call could bring it to $10.2500"


def test_yesterday_counts_for_the_month_only(
    ledger: Ledger, records: list[int], budget_of: Callable[..., Budget]
) -> None:
    now = utcnow()
    yesterday = now - timedelta(days=1) if now.day > 1 else now.replace(hour=0, minute=0, second=0, microsecond=0)
    budget = budget_of(usd_per_day=Decimal(1), usd_per_month=Decimal(3), usd_per_run=Decimal(9))
    pay(ledger, budget, records[0], "2.5", created_at=yesterday)
    refused = budget.reserve([call(records[1], "0.9")]).refused
    assert refused is not None
    assert refused.kind == ("usd_per_month" if now.day > 1 else "usd_per_day")


def test_as_many_calls_are_granted_as_fit_in_order(records: list[int], budget_of: Callable[..., Budget]) -> None:
    granted = budget_of(usd_per_run=Decimal(1)).reserve([call(r, "0.3") for r in records[:5]])
    assert granted.records == records[:3]
    assert granted.refused is not None
    assert granted.refused.kind == "usd_per_run"


def test_what_a_call_did_not_cost_is_free_again(
    ledger: Ledger, records: list[int], budget_of: Callable[..., Budget]
) -> None:
    budget = budget_of(usd_per_run=Decimal(1))
    for record in records[:5]:
        assert budget.reserve([call(record, "0.9")]).records
        pay(ledger, budget, record, "0.02")
    assert budget.spent == Decimal("0.10")


def test_another_run_of_the_workflow_counts_while_it_is_asking(
    records: list[int], budget_of: Callable[..., Budget]
) -> None:
    assert budget_of("r1", usd_per_day=Decimal(1)).reserve([call(records[0], "0.4")]).records
    other = budget_of("r2", usd_per_day=Decimal(1), usd_per_run=Decimal(9))
    refused = other.reserve([call(records[1], "0.7")]).refused
    assert refused is not None
    assert refused.kind == "usd_per_day"


@pytest.mark.usefixtures("accounts")
def test_a_call_that_was_under_way_when_its_process_was_killed_counts_at_its_worst(
    ledger: Ledger, records: list[int]
) -> None:
    command = [sys.executable, "-c", DIE_AFTER_RESERVING, ledger.engine.url.render_as_string(), str(records[0])]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode == -9
    with ledger.write() as session:
        session.execute(sa.update(RunRow).values(heartbeat_at=utcnow() - timedelta(minutes=5)))

    with runs.begin(CARD, ledger) as run:
        with ledger.read() as session:
            (lost,) = session.scalars(sa.select(ModelCall))
            assert session.scalar(sa.select(sa.func.count()).select_from(Reservation)) == 0
        assert (lost.stop_reason, lost.cost, lost.record_id) == (LOST, Decimal("0.3"), records[0])
        assert run.budget.spent == 0, "it was the dead run that spent it"
        tight = Budget(ledger, CARD.model_copy(update={"usd_per_day": Decimal("0.5")}), run.id)
        assert not tight.reserve([call(records[1], "0.3")]).records


def test_what_an_attempt_could_not_settle_counts_as_spent_when_it_is_asked_again(
    ledger: Ledger, records: list[int], budget_of: Callable[..., Budget]
) -> None:
    budget = budget_of(usd_per_run=Decimal(1))
    assert budget.reserve([call(records[0], "0.3")]).records  # answered and paid, and then the ledger went away
    assert budget.reserve([call(records[0], "0.3")]).records
    pay(ledger, budget, records[0], "0.1")
    assert budget.spent == Decimal("0.4")

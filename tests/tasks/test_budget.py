"""The budget: checked before the spend, shared between threads."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.budget import Budget, BudgetExceeded

dollars = st.decimals(0, 2, places=4)


@settings(max_examples=50, deadline=None)
@given(limit=dollars, month=dollars, before=dollars, calls=st.lists(st.tuples(dollars, dollars), max_size=30))
def test_no_order_of_calls_in_eight_threads_goes_over_a_limit(
    limit: Decimal, month: Decimal, before: Decimal, calls: list[tuple[Decimal, Decimal]]
) -> None:
    budget = Budget(limit, month, before)

    def spend(call: tuple[Decimal, Decimal]) -> Decimal:
        cost, worst = min(call), max(call)
        try:
            budget.reserve(worst)
        except BudgetExceeded:
            return Decimal(0)
        budget.settle(worst, cost)
        return cost

    with ThreadPoolExecutor(8) as pool:
        paid = sum(pool.map(spend, calls), Decimal(0))
    assert paid == budget.spent
    assert paid <= limit
    assert paid == 0 or before + paid <= month


def test_a_limit_may_be_used_up_to_the_last_cent() -> None:
    budget = Budget(Decimal(1), Decimal(10))
    budget.reserve(Decimal(1))
    budget.settle(Decimal(1), Decimal(1))
    budget.reserve(Decimal(0))
    budget.settle(Decimal(0), Decimal(0))
    with pytest.raises(BudgetExceeded):
        budget.reserve(Decimal("0.000000001"))


def test_a_refusal_says_which_limit_how_much_and_how_far() -> None:
    budget = Budget(Decimal(1), Decimal(10), spent_this_month=Decimal("9.5"))
    with pytest.raises(BudgetExceeded) as caught:
        budget.reserve(Decimal("0.75"))
    error = caught.value
    assert (error.kind, error.value, error.limit) == ("usd_per_month", Decimal("10.25"), Decimal(10))
    assert str(error) == "usd_per_month is $10.0000, and the next call could bring it to $10.2500"


def test_what_a_call_did_not_cost_is_free_again() -> None:
    budget = Budget(Decimal(1), Decimal(10))
    for _ in range(5):
        budget.reserve(Decimal("0.9"))
        budget.settle(Decimal("0.9"), Decimal("0.02"))
    assert budget.spent == Decimal("0.10")


def test_a_call_waits_for_others_to_settle_rather_than_give_up() -> None:
    budget = Budget(Decimal(1), Decimal(10))
    budget.reserve(Decimal("0.9"))
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(budget.reserve, Decimal("0.9"))
        assert not second.done()
        budget.settle(Decimal("0.9"), Decimal("0.05"))
        second.result(timeout=30)
    budget.settle(Decimal("0.9"), Decimal("0.05"))
    assert budget.spent == Decimal("0.10")

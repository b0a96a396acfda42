"""Amounts: whole numbers of a currency's smallest unit, and how they are said."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.money import THREE_DECIMAL, ZERO_DECIMAL, in_words, to_major, to_minor


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (8_900, "eur", "EUR 89.00"),
        (5, "usd", "USD 0.05"),
        (123_456_789, "usd", "USD 1,234,567.89"),
        (500, "jpy", "JPY 500"),
        (1_500, "kwd", "KWD 1.500"),
        (500, "ugx", "UGX 5.00"),
        (500, "isk", "ISK 5.00"),
        (0, "eur", "EUR 0.00"),
    ],
)
def test_is_said_with_the_currencys_own_decimals(amount: int, currency: str, said: str) -> None:
    assert in_words(amount, currency) == said


@given(st.integers(-(10**12), 10**12), st.sampled_from(["eur", *sorted(ZERO_DECIMAL), *sorted(THREE_DECIMAL)]))
def test_there_and_back_is_the_same(amount: int, currency: str) -> None:
    assert to_minor(to_major(amount, currency), currency) == amount


@pytest.mark.parametrize(("amount", "currency"), [("0.001", "eur"), ("0.5", "jpy"), ("1.0001", "bhd")])
def test_a_coin_that_there_is_not_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match="no whole number of the currency's smallest unit"):
        to_minor(Decimal(amount), currency)


@pytest.mark.parametrize("currency", ["", "eu", "euro", "€€€", "12a"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="is no currency"):
        in_words(1, currency)

"""Amounts as vendors keep them: whole numbers of a currency's smallest unit."""

from decimal import Decimal

# Stripe's lists (docs.stripe.com/currencies), which differ from ISO 4217 in some currencies. UGX and ISK have no cents,
# but Stripe goes on counting them in hundredths: 500 is UGX 5.
ZERO_DECIMAL = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def decimals(currency: str) -> int:
    """How many decimals a currency has: EUR 2, JPY 0, KWD 3.

    Raises:
        ValueError: this is no currency's code.
    """
    code = currency.lower()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise ValueError(f"{currency!r} is no currency: give its three letters, such as eur")
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def to_major(amount: int, currency: str) -> Decimal:
    """8900 and eur: 89.00."""
    return Decimal(amount).scaleb(-decimals(currency))


def to_minor(amount: Decimal, currency: str) -> int:
    """89.00 and eur: 8900.

    Raises:
        ValueError: the currency has no such small coin.
    """
    minor = amount.scaleb(decimals(currency))
    if minor != minor.to_integral_value():
        raise ValueError(f"{amount} {currency.upper()} is no whole number of the currency's smallest unit")
    return int(minor)


def in_words(amount: int, currency: str) -> str:
    """8900 and eur: `EUR 89.00`."""
    return f"{currency.upper()} {to_major(amount, currency):,.{decimals(currency)}f}"

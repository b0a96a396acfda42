"""Customers with a past: what they were billed and have paid, as old as it says."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sandbox.stripe import new_invoice
from sandbox.stripe_books import Books


def fill_books(books: Books, rows: Iterable[dict[str, Any]]) -> None:
    """Make a company's customers, with what they were billed and have paid."""
    for row in rows:
        created = ago(row["days_ago"])
        customer = books.new(
            "customer", id=row["id"], email=row["email"], name=row["name"], currency=None, balance=0, delinquent=False,
            description=None, created=created,
        )  # fmt: skip
        for bill in row.get("invoices", []):
            fill_invoice(books, customer, bill)
        for charge in row.get("charges", []):
            books.charge(customer["id"], charge["amount"], "eur", created=ago(charge["days_ago"]),
                         description=charge["description"], disputed=charge.get("disputed", False))  # fmt: skip
        for plan in row.get("subscriptions", []):
            fill_subscription(books, customer, plan)


def fill_invoice(books: Books, customer: dict[str, Any], bill: dict[str, Any]) -> None:
    """Write one invoice, as old as it says; paid, where it says so."""
    created = ago(bill["days_ago"])
    due_date = int(created + bill.get("days_until_due", 14) * 86_400)
    invoice = new_invoice(books, customer, "eur", description=bill.get("memo"), created=created, due_date=due_date)
    for line in bill["lines"]:
        books.add_item(invoice, line["description"], line["amount"], line.get("quantity", 1))
    books.finalize(invoice)
    if "paid_days_ago" in bill:
        books.pay(invoice, created=ago(bill["paid_days_ago"]))


def fill_subscription(books: Books, customer: dict[str, Any], plan: dict[str, Any]) -> None:
    """Write one subscription."""
    every = {"interval": "month", "interval_count": plan.get("months", 1)}
    price = {"object": "price", "unit_amount": plan["amount"], "currency": "eur", "nickname": plan["plan"],
             "recurring": every}  # fmt: skip
    item = {"object": "subscription_item", "price": price, "quantity": plan.get("quantity", 1),
            "current_period_end": int(ago(-plan.get("days_left", 20)))}  # fmt: skip
    books.subscribe(customer, [item], description=None, created=customer["created"])


def ago(days: float) -> float:
    """Return a moment so many days back."""
    return time.time() - days * 86_400

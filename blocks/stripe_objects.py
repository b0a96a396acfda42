"""Stripe's objects as far as they are read: what each is here, and the shape of the reply that it is made of.

Amounts are whole numbers of the currency's smallest unit, currencies their ISO codes in lower case, times UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from blocks.shape import Id, Part, Shape


def _text(value: object) -> object:
    """A reference may come expanded to the object that it names."""
    return value.get("id") if isinstance(value, Mapping) else value


Reference = Annotated[str | None, BeforeValidator(_text)]
Amount = Annotated[int, Field(ge=0)]


class _Listed(Part):
    known = frozenset({"object", "url", "total_count"})

    data: list[dict[str, Any]]
    has_more: bool


class _Customer(Part):
    id: Id
    email: str | None = None
    name: str | None = None
    currency: str | None = None
    balance: int = 0
    deleted: bool = False


class _PaymentOfInvoice(Part):
    payment_intent: Reference = None


class _InvoicePayment(Part):
    payment: _PaymentOfInvoice


class _InvoicePayments(Part):
    data: list[_InvoicePayment]


class _Line(Part):
    description: str | None
    amount: int
    quantity: int | None = None


class _Lines(Part):
    data: list[_Line]
    has_more: bool


class _Invoice(Part):
    id: Id
    customer: Annotated[str, BeforeValidator(_text)]
    status: str | None
    currency: Id
    total: int
    amount_due: Amount
    amount_paid: Amount
    amount_remaining: Amount
    post_payment_credit_notes_amount: Amount
    created: int
    due_date: int | None
    number: str | None
    customer_email: str | None
    hosted_invoice_url: str | None
    description: str | None
    lines: _Lines
    metadata: dict[str, str] | None
    payments: _InvoicePayments | None = None


class _Charge(Part):
    id: Id
    customer: Reference
    payment_intent: Reference
    amount_captured: Amount
    amount_refunded: Amount
    currency: Id
    status: Id
    created: int
    description: str | None
    disputed: bool


class _Refund(Part):
    id: Id
    amount: Amount
    currency: Id
    status: str | None
    metadata: dict[str, str] | None


class _CreditNote(Part):
    id: Id
    number: Id
    amount: Amount
    currency: Id
    status: Id
    metadata: dict[str, str] | None


class _Recurring(Part):
    interval: Id
    interval_count: int


class _Price(Part):
    unit_amount: int | None
    currency: Id
    nickname: str | None = None
    recurring: _Recurring | None


class _Item(Part):
    price: _Price
    quantity: int | None = None
    current_period_end: int


class _Items(Part):
    data: list[_Item]


class _Subscription(Part):
    id: Id
    status: Id
    cancel_at_period_end: bool
    items: _Items
    description: str | None = None


class _Account(Part):
    id: Id


class _EventData(Part):
    object: dict[str, Any]


class _Event(Part):
    id: Id
    type: Id
    data: _EventData


LIST_SHAPE = Shape("stripe", "list", _Listed)
CUSTOMER_SHAPE = Shape("stripe", "customer", _Customer)
INVOICE_SHAPE = Shape("stripe", "invoice", _Invoice)
CHARGE_SHAPE = Shape("stripe", "charge", _Charge)
REFUND_SHAPE = Shape("stripe", "refund", _Refund)
CREDIT_NOTE_SHAPE = Shape("stripe", "credit-note", _CreditNote)
SUBSCRIPTION_SHAPE = Shape("stripe", "subscription", _Subscription)
ACCOUNT_SHAPE = Shape("stripe", "account", _Account)
EVENT_SHAPE = Shape("stripe", "event", _Event)


@dataclass(frozen=True)
class Customer:
    """Somebody who is billed. Several may have one e-mail address."""

    id: str
    email: str
    name: str
    currency: str | None
    """None until the first invoice."""
    balance: int
    """Below zero: credit, which the next invoice uses up."""

    @classmethod
    def read(cls, reply: object, operation: str) -> Customer | None:
        """From a reply; None for one that was deleted."""
        found = CUSTOMER_SHAPE.read(reply, operation)
        if found.deleted:
            return None
        return cls(found.id, found.email or "", found.name or "", found.currency, found.balance)


@dataclass(frozen=True)
class Line:
    """A line of an invoice."""

    description: str
    quantity: int
    amount: int


@dataclass(frozen=True)
class Invoice:
    """An invoice. `memo` is Stripe's description: whatever somebody has typed there."""

    id: str
    number: str
    """Its id while it is a draft and has none."""
    customer_id: str
    customer_email: str
    status: str
    """`draft`, `open`, `paid`, `uncollectible` or `void`."""
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    created: datetime
    due_date: datetime | None
    hosted_invoice_url: str
    memo: str
    lines: tuple[Line, ...]
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    payment_intent_ids: tuple[str, ...] = ()
    """By which it was paid, where that was asked for."""
    amount_credited_since: int = 0
    """Of what was paid, credited after that. What was credited before lowered what was to be paid."""
    has_more_lines: bool = False
    """Stripe shows ten with an invoice."""

    @property
    def amount_creditable(self) -> int:
        """What of it can still be credited: of an open invoice what is to be paid, of a paid one what was."""
        if self.status == "open":
            return self.amount_remaining
        return max(0, self.amount_paid - self.amount_credited_since) if self.status == "paid" else 0

    @classmethod
    def read(cls, reply: object, operation: str, *, write: bool = False) -> Invoice:
        """From a reply."""
        found = INVOICE_SHAPE.read(reply, operation, write=write)
        paid = found.payments.data if found.payments else []
        return cls(
            id=found.id,
            number=found.number or found.id,
            customer_id=found.customer,
            customer_email=(found.customer_email or "").lower(),
            status=found.status or "draft",
            currency=found.currency,
            total=found.total,
            amount_due=found.amount_due,
            amount_paid=found.amount_paid,
            amount_remaining=found.amount_remaining,
            created=moment(found.created),
            due_date=moment(found.due_date) if found.due_date is not None else None,
            hosted_invoice_url=found.hosted_invoice_url or "",
            memo=found.description or "",
            lines=tuple(Line(each.description or "", each.quantity or 1, each.amount) for each in found.lines.data),
            metadata=found.metadata or {},
            payment_intent_ids=tuple(p.payment.payment_intent for p in paid if p.payment.payment_intent),
            amount_credited_since=found.post_payment_credit_notes_amount,
            has_more_lines=found.lines.has_more,
        )


@dataclass(frozen=True)
class Payment:
    """Money that came in: a charge, by the payment intent that it belongs to."""

    payment_intent_id: str
    charge_id: str
    customer_id: str
    amount: int
    amount_refunded: int
    currency: str
    status: str
    created: datetime
    description: str
    disputed: bool
    invoice_id: str | None
    """The invoice that it paid, where Stripe knows one."""

    @property
    def amount_refundable(self) -> int:
        """What was paid and not given back yet."""
        return max(0, self.amount - self.amount_refunded) if self.status == "succeeded" else 0

    @classmethod
    def read(cls, reply: object, operation: str, invoice_of: Mapping[str, str]) -> Payment | None:
        """From a charge; None for one without a payment intent, as only very old accounts have."""
        found = CHARGE_SHAPE.read(reply, operation)
        if found.payment_intent is None:
            return None
        return cls(
            payment_intent_id=found.payment_intent,
            charge_id=found.id,
            customer_id=found.customer or "",
            amount=found.amount_captured,
            amount_refunded=found.amount_refunded,
            currency=found.currency,
            status=found.status,
            created=moment(found.created),
            description=found.description or "",
            disputed=found.disputed,
            invoice_id=invoice_of.get(found.payment_intent),
        )


@dataclass(frozen=True)
class Given:
    """A refund, or a credit note: money that went the other way."""

    id: str
    amount: int
    currency: str
    status: str
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def refund(cls, reply: object, operation: str, *, write: bool = False) -> Given:
        """From a refund's reply."""
        found = REFUND_SHAPE.read(reply, operation, write=write)
        return cls(found.id, found.amount, found.currency, found.status or "", found.metadata or {})

    @classmethod
    def credit_note(cls, reply: object, operation: str, *, write: bool = False) -> Given:
        """From a credit note's reply."""
        found = CREDIT_NOTE_SHAPE.read(reply, operation, write=write)
        return cls(found.id, found.amount, found.currency, found.status, found.metadata or {})


@dataclass(frozen=True)
class Subscription:
    """What a customer pays for again and again."""

    id: str
    status: str
    plan: str
    amount: int
    """Of one period, all items together."""
    currency: str
    interval: str
    """How long a period is: `month`, or `3 months`."""
    current_period_end: datetime
    cancel_at_period_end: bool

    @classmethod
    def read(cls, reply: object, operation: str) -> Subscription:
        """From a reply."""
        found = SUBSCRIPTION_SHAPE.read(reply, operation)
        items = found.items.data
        names = [f"{each.quantity or 1} x {each.price.nickname or found.description or 'plan'}" for each in items]
        return cls(
            id=found.id,
            status=found.status,
            plan=", ".join(names),
            amount=sum((each.price.unit_amount or 0) * (each.quantity or 1) for each in items),
            currency=items[0].price.currency if items else "",
            interval=_every(items[0].price.recurring) if items else "",
            current_period_end=moment(min((each.current_period_end for each in items), default=0)),
            cancel_at_period_end=found.cancel_at_period_end,
        )


def _every(recurring: _Recurring | None) -> str:
    if recurring is None:
        return ""
    return recurring.interval if recurring.interval_count == 1 else f"{recurring.interval_count} {recurring.interval}s"


@dataclass(frozen=True)
class Books:
    """What a customer was billed and has paid. What was given back in one way is not there to be given in the other."""

    invoices: tuple[Invoice, ...]
    payments: tuple[Payment, ...]

    def refundable(self, payment: Payment) -> int:
        """What of a payment can still be refunded, without what its invoice was credited after it was paid."""
        invoice = next((each for each in self.invoices if each.id == payment.invoice_id), None)
        return max(0, payment.amount_refundable - (invoice.amount_credited_since if invoice else 0))

    def creditable(self, invoice: Invoice) -> int:
        """What of an invoice can still be credited, without what was refunded of its payments."""
        if invoice.status != "paid":
            return invoice.amount_creditable
        refunded = sum(payment.amount_refunded for payment in self.payments if payment.invoice_id == invoice.id)
        return max(0, invoice.amount_creditable - refunded)


def moment(seconds: int) -> datetime:
    """Stripe's times are seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)

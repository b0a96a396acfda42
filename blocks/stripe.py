"""Stripe: customers, invoices, payments, and what is given back.

Every write carries a key of our own, and none is repeated here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr

from blocks import guard
from blocks.connecting import Connecting
from blocks.stripe_objects import (
    ACCOUNT_SHAPE,
    EVENT_SHAPE,
    LIST_SHAPE,
    Books,
    Customer,
    Given,
    Invoice,
    Payment,
    Subscription,
)
from blocks.vendor import Failures, Once, VendorError, as_kind, without_frames

if TYPE_CHECKING:
    from stripe import StripeClient, StripeError

__all__ = ["Customer", "CustomerGone", "Given", "Invoice", "InvoiceGone", "Payment", "Stripe", "Subscription"]

API_VERSION = "2026-10-28.endive"
"""The version whose shapes are read here. Pinned: an account's own default would change them under us."""

PAGE = 100
MOST = 1_000
"""Objects that one listing takes at most, newest first; where one that was left out would cost money, all are taken."""

WAYS_OUT = {
    401: "put a valid key into the block",
    403: "give the restricted key the permission that is named, under Developers, API keys",
}

Reason = Literal["duplicate", "requested_by_customer"]


class CustomerGone(VendorError):
    """There is no such customer, or it was deleted. Permanent."""


class InvoiceGone(VendorError):
    """There is no such invoice, or it was a draft that was deleted. Permanent."""


class Stripe(Block):
    """A Stripe account. Implements what billing needs of it."""

    _block_type_name: ClassVar[str | None] = "Stripe"
    _block_type_slug: ClassVar[str | None] = "stripe"
    _description: ClassVar[str | None] = (
        "A Stripe account, by a restricted key with the permissions: read for customers, charges, payment intents, "
        "subscriptions, events; write for invoices, credit notes, refunds."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="a restricted key: read for customers, charges, payment intents, subscriptions, events; write for "
        "invoices, credit notes, refunds",
        found="dashboard.stripe.com, Developers, API keys, Create restricted key",
        environment={"api_key": ("STRIPE_API_KEY", "STRIPE_SECRET_KEY")},
        caution=lambda stripe: stripe.caution,
    )

    api_key: SecretStr = Field(
        title="API key",
        description="A restricted key, which begins with rk_; a secret key may do far more than it needs.",
    )
    address: str = Field(
        default="https://api.stripe.com",
        title="Address",
        description="Without /v1. Change it to use a sandbox or a proxy.",
    )
    timeout_seconds: float = Field(
        default=30, gt=0, title="Timeout (seconds)", description="How long to wait for an answer."
    )

    _client: Once[StripeClient] = PrivateAttr(default_factory=Once)

    def get_client(self) -> StripeClient:
        """The SDK's client, without retries. Thread-safe."""
        return self._client.get(self._build_client)

    @without_frames
    def check(self) -> str:
        """Ask for the account, which is free: `acct_1 in test mode at https://api.stripe.com`."""
        raw = self._send("accounts.retrieve_current", lambda: self.get_client().v1.accounts.retrieve_current())
        mode = "test" if "_test_" in self.api_key.get_secret_value() else "live"
        return f"{ACCOUNT_SHAPE.read(raw, 'accounts.retrieve_current').id} in {mode} mode at {self.address}"

    @property
    def caution(self) -> str:
        """What is wrong with the key as such, by its form; empty where nothing is."""
        if self.api_key.get_secret_value().startswith("sk_live_"):
            return "an unrestricted live key: whoever has it can do everything; make a restricted one, rk_live_..."
        return ""

    @without_frames
    def customers_by_email(self, email: str) -> list[Customer]:
        """All customers with this address, newest first: Stripe lets several have the same.

        Raises:
            VendorError: Stripe could not be read.
        """
        # Stripe compares this to the letter; people write theirs in either case.
        found: dict[str, Customer] = {}
        for spelling in dict.fromkeys((email, email.lower())):
            for raw in self._all("customers.list", self.get_client().v1.customers.list, {"email": spelling}):
                if customer := Customer.read(raw, "customers.list"):
                    found[customer.id] = customer
        return list(found.values())

    @without_frames
    def customer(self, customer_id: str) -> Customer:
        """One customer.

        Raises:
            CustomerGone: there is none, or no longer.
        """
        operation = "customers.retrieve"
        try:
            raw = self._send(operation, lambda: self.get_client().v1.customers.retrieve(customer_id))
        except VendorError as error:
            raise as_kind(CustomerGone, error) from None
        if found := Customer.read(raw, operation):
            return found
        raise CustomerGone("stripe", operation, f"{customer_id} was deleted", permanent=True, status=404)

    @without_frames
    def invoices(self, customer_id: str, status: str | None = None) -> list[Invoice]:
        """A customer's invoices, newest first, with the payments that paid them.

        Args:
            customer_id: whose.
            status: `draft`, `open`, `paid`, `uncollectible` or `void`; all without it.
        """
        params: dict[str, Any] = {"customer": customer_id, "expand": ["data.payments"]}
        if status:
            params["status"] = status
        return [Invoice.read(raw, "invoices.list") for raw in self._all_invoices(params)]

    @without_frames
    def overdue_invoices(self, now: datetime) -> list[Invoice]:
        """All customers' open invoices that were due before `now`, the longest due first."""
        params = {"status": "open", "due_date": {"lt": int(now.timestamp())}}
        found = [Invoice.read(raw, "invoices.list") for raw in self._all_invoices(params, bounded=False)]
        return sorted(found, key=lambda invoice: invoice.due_date or now)

    @without_frames
    def invoice(self, invoice_id: str) -> Invoice:
        """One invoice.

        Raises:
            InvoiceGone: there is none, or no longer.
        """
        try:
            raw = self._send("invoices.retrieve", lambda: self.get_client().v1.invoices.retrieve(invoice_id))
        except VendorError as error:
            raise as_kind(InvoiceGone, error) from None
        return Invoice.read(raw, "invoices.retrieve")

    @without_frames
    def payments(self, customer_id: str, invoices: Sequence[Invoice] | None = None) -> list[Payment]:
        """What a customer has paid, newest first.

        Args:
            customer_id: who.
            invoices: theirs, if they are known already; else they are asked for, to say which a payment was for.
        """
        theirs = self.invoices(customer_id) if invoices is None else invoices
        invoice_of = {intent: invoice.id for invoice in theirs for intent in invoice.payment_intent_ids}
        charges = self._all("charges.list", self.get_client().v1.charges.list, {"customer": customer_id})
        found = (Payment.read(raw, "charges.list", invoice_of) for raw in charges)
        return [payment for payment in found if payment]

    @without_frames
    def books(self, customer_id: str) -> Books:
        """A customer's invoices and payments together, newest first."""
        invoices = self.invoices(customer_id)
        return Books(tuple(invoices), tuple(self.payments(customer_id, invoices)))

    @without_frames
    def payment(self, payment_intent_id: str) -> Payment:
        """The successful charge of a payment intent, as it is now.

        Raises:
            VendorError: permanent (404) when there is none.
        """
        params = {"payment_intent": payment_intent_id}
        for raw in self._all("charges.list", self.get_client().v1.charges.list, params):
            found = Payment.read(raw, "charges.list", {})
            if found and found.status == "succeeded":
                return found
        reason = f"{payment_intent_id} has no successful charge"
        raise VendorError("stripe", "charges.list", reason, permanent=True, status=404)

    @without_frames
    def refunds(self, payment_intent_id: str) -> list[Given]:
        """The refunds of a payment, newest first."""
        params = {"payment_intent": payment_intent_id}
        listed = self._all("refunds.list", self.get_client().v1.refunds.list, params)
        return [Given.refund(raw, "refunds.list") for raw in listed]

    @without_frames
    def refund(
        self, payment_intent_id: str, amount: int, reason: Reason, *, key: str, metadata: Mapping[str, str]
    ) -> Given:
        """Give money back.

        Args:
            payment_intent_id: of the payment.
            amount: in the currency's smallest unit.
            reason: as Stripe has it.
            key: the idempotency key: with the same one Stripe does it once, for at least 24 hours.
            metadata: by which it is found again after that.

        Raises:
            VendorError: `unknown` when the reply was lost: look before doing it again.
        """
        params: Any = {
            "payment_intent": payment_intent_id, "amount": amount, "reason": reason, "metadata": dict(metadata),
        }  # fmt: skip
        raw = self._write("refunds.create", self.get_client().v1.refunds.create, params, key)
        return Given.refund(raw, "refunds.create", write=True)

    @without_frames
    def credit_notes(self, invoice_id: str) -> list[Given]:
        """The credit notes of an invoice, newest first."""
        listed = self._all("credit_notes.list", self.get_client().v1.credit_notes.list, {"invoice": invoice_id})
        return [Given.credit_note(raw, "credit_notes.list") for raw in listed]

    @without_frames
    def create_credit_note(
        self, invoice: Invoice, amount: int, memo: str, *, key: str, metadata: Mapping[str, str]
    ) -> Given:
        """Credit an invoice: of an open one less is to be paid, of a paid one it goes to the customer's balance.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        params: Any = {"invoice": invoice.id, "amount": amount, "memo": memo, "metadata": dict(metadata)}
        if invoice.status == "paid":
            params["credit_amount"] = amount
        raw = self._write("credit_notes.create", self.get_client().v1.credit_notes.create, params, key)
        return Given.credit_note(raw, "credit_notes.create", write=True)

    @without_frames
    def create_invoice(
        self, customer_id: str, currency: str, days_until_due: int, memo: str, *, key: str, metadata: Mapping[str, str]
    ) -> Invoice:
        """A draft without lines, which Stripe does not finalize by itself.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        params: Any = {
            "customer": customer_id, "currency": currency, "collection_method": "send_invoice",
            "days_until_due": days_until_due, "auto_advance": False, "pending_invoice_items_behavior": "exclude",
            "metadata": dict(metadata), **({"description": memo} if memo else {}),
        }  # fmt: skip
        raw = self._write("invoices.create", self.get_client().v1.invoices.create, params, key)
        return Invoice.read(raw, "invoices.create", write=True)

    @without_frames
    def add_line(self, invoice: Invoice, description: str, quantity: int, unit_amount: int, *, key: str) -> None:
        """Put a line on a draft.

        Args:
            invoice: the draft.
            description: what it is for; the customer reads it.
            quantity: how many.
            unit_amount: of one of them, in the currency's smallest unit.
            key: the idempotency key.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        params: Any = {
            "customer": invoice.customer_id, "invoice": invoice.id, "currency": invoice.currency,
            "description": description, "quantity": quantity, "unit_amount_decimal": Decimal(unit_amount),
        }  # fmt: skip
        self._write("invoice_items.create", self.get_client().v1.invoice_items.create, params, key)

    @without_frames
    def finalize_invoice(self, invoice_id: str, *, key: str) -> Invoice:
        """Make a draft an open invoice, with a number. Nothing is sent.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        finalize = self.get_client().v1.invoices.finalize_invoice
        raw = self._write(
            "invoices.finalize", lambda **more: finalize(invoice_id, **more), {"auto_advance": False}, key
        )
        return Invoice.read(raw, "invoices.finalize", write=True)

    @without_frames
    def send_invoice(self, invoice_id: str, *, key: str) -> Invoice:
        """Have Stripe e-mail an open invoice. Each call e-mails again.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        send = self.get_client().v1.invoices.send_invoice
        raw = self._write("invoices.send", lambda **more: send(invoice_id, **more), {}, key)
        return Invoice.read(raw, "invoices.send", write=True)

    @without_frames
    def void_invoice(self, invoice_id: str, *, key: str) -> Invoice:
        """Make an open invoice count no more.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        void = self.get_client().v1.invoices.void_invoice
        raw = self._write("invoices.void", lambda **more: void(invoice_id, **more), {}, key)
        return Invoice.read(raw, "invoices.void", write=True)

    @without_frames
    def was_sent(self, invoice_id: str, since: datetime) -> bool:
        """Whether Stripe has e-mailed an invoice since then. Its events tell, for 30 days; the invoice does not."""
        params = {"type": "invoice.sent", "created": {"gte": int(since.timestamp())}}
        events = self._all("events.list", self.get_client().v1.events.list, params, bounded=False)
        return any(EVENT_SHAPE.read(raw, "events.list").data.object.get("id") == invoice_id for raw in events)

    @without_frames
    def subscriptions(self, customer_id: str) -> list[Subscription]:
        """A customer's subscriptions that have not ended, newest first."""
        params = {"customer": customer_id}
        listed = self._all("subscriptions.list", self.get_client().v1.subscriptions.list, params)
        return [Subscription.read(raw, "subscriptions.list") for raw in listed]

    def _all_invoices(self, params: dict[str, Any], *, bounded: bool = True) -> Iterator[dict[str, Any]]:
        return self._all("invoices.list", self.get_client().v1.invoices.list, params, bounded=bounded)

    def _all(
        self, operation: str, listing: Callable[..., Any], params: dict[str, Any], *, bounded: bool = True
    ) -> Iterator[dict[str, Any]]:
        """A list's objects, page after page, as they came; at most `MOST` if bounded."""
        asked, taken = {**params, "limit": PAGE}, 0
        while True:
            raw = self._send(operation, lambda: listing(params=asked))  # noqa: B023 - called at once
            page = LIST_SHAPE.read(raw, operation)
            yield from page.data
            taken += len(page.data)
            if not page.has_more or not page.data or (bounded and taken >= MOST):
                return
            asked = {**asked, "starting_after": page.data[-1]["id"]}

    def _write(self, operation: str, call: Callable[..., Any], params: Any, key: str) -> object:
        return self._send(operation, lambda: call(params=params, options={"idempotency_key": key}), write=True)

    def _send(self, operation: str, call: Callable[[], Any], *, write: bool = False) -> object:
        """Make one request; returns the reply's JSON as it came."""
        from stripe import StripeError

        failures = Failures("stripe", (self.api_key,), WAYS_OUT)
        with guard.request("stripe"):
            try:
                answer = call()
            except StripeError as error:
                raise _told(operation, error, failures, write=write) from None
            except json.JSONDecodeError as error:
                raise failures.unreadable(operation, error.doc, write=write) from None
        return answer.last_response.data

    def _build_client(self) -> StripeClient:
        import stripe

        # Telemetry would tell Stripe how long each earlier request took; nobody here has agreed to that.
        stripe.enable_telemetry = False
        return stripe.StripeClient(
            self.api_key.get_secret_value(),
            stripe_version=API_VERSION,
            base_addresses={"api": self.address.rstrip("/")},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=self.timeout_seconds),
        )


def _told(operation: str, error: StripeError, failures: Failures, *, write: bool) -> VendorError:
    """An SDK's error as a `VendorError`."""
    if error.http_status is None:
        return failures.lost(operation, _cause(error), write=write)
    body = error.http_body or str(error.user_message or error)
    headers = {str(name): str(value) for name, value in (error.headers or {}).items()}
    if error.http_status == 200:  # a page of somebody else's, where Stripe's JSON should be
        return failures.unreadable(operation, body, write=write)
    return failures.refused(operation, error.http_status, body, headers, write=write)


def _cause(error: Exception) -> Exception:
    """What the transport said, under the words of the SDK and of `requests`: it tells whether anything was sent."""
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    reason = getattr(cause.args[0], "reason", None) if cause.args else None
    return reason if isinstance(reason, Exception) else cause

"""Refunds, credits and invoices at Stripe, each done once.

Stripe itself does a key's request once, for a day; the marker in the metadata tells for good whether it was done. What
is wanted is compared with the customer's objects once more at the last moment: days may have passed, and money moved.
"""

from datetime import timedelta

from blocks.ledger import utcnow
from blocks.money import in_words
from blocks.stripe import Given, Invoice, InvoiceGone, Stripe
from blocks.vendor import VendorError
from tasks.actions import CreateInvoice, IssueCredit, Refund
from tasks.performers.base import Attempt, Done, InDoubt

EVENTS_KEPT = timedelta(days=29)
"""Stripe keeps its events for 30 days."""

CLOCK_SKEW = timedelta(minutes=5)
"""When something was made is by Stripe's clock, when it was wanted by ours."""

MARKER = "signoff_action"
"""The metadata's field by which what we did is found again."""


def refund(stripe: Stripe, action: Refund, attempt: Attempt) -> Done:
    """With the marker as idempotency key and in the metadata. Never more than is left of the payment now."""
    payment = stripe.payment(action.payment_intent_id)
    if payment.customer_id != action.customer_id:
        raise _no("refund", f"{action.payment_intent_id} is no payment of {action.customer_id}")
    if payment.disputed:
        raise _no("refund", f"{action.payment_intent_id} is disputed by now: the bank decides on it")
    books = stripe.books(action.customer_id)
    listed = (each for each in books.payments if each.charge_id == payment.charge_id)
    most = min((books.refundable(each) for each in listed), default=0)
    if action.currency != payment.currency or action.amount > most:
        left = in_words(most, payment.currency)
        raise _no("refund", f"{in_words(action.amount, action.currency)} is more than can still be refunded: {left}")
    made = stripe.refund(
        action.payment_intent_id, action.amount, action.reason, key=attempt.marker, metadata={MARKER: attempt.marker}
    )
    return _done(made, payment_intent=action.payment_intent_id)


def find_refund(stripe: Stripe, action: Refund, attempt: Attempt) -> Done | None:
    """The payment's refund that carries the marker.

    Raises:
        VendorError: permanent; it was made, and the bank did not take it: a person must find another way.
    """
    made = _marked(stripe.refunds(action.payment_intent_id), attempt.marker)
    if made and made.status in ("failed", "canceled"):
        raise _no("refund", f"{made.id} was made, and has {made.status} since: the money is still here")
    return _done(made, payment_intent=action.payment_intent_id) if made else None


def issue_credit(stripe: Stripe, action: IssueCredit, attempt: Attempt) -> Done:
    """A credit note of the invoice, for no more than is open or was paid."""
    invoice = _theirs(stripe.invoice(action.invoice_id), action.customer_id, "issue_credit")
    if invoice.status not in ("open", "paid"):
        raise _no("issue_credit", f"{invoice.number} is {invoice.status}: only an open or paid invoice can be credited")
    most = stripe.books(action.customer_id).creditable(invoice)
    if action.currency != invoice.currency or action.amount > most:
        left = in_words(most, invoice.currency)
        raise _no("issue_credit", f"{in_words(action.amount, action.currency)} is more than can be credited: {left}")
    made = stripe.create_credit_note(
        invoice, action.amount, action.memo, key=attempt.marker, metadata={MARKER: attempt.marker}
    )
    return _done(made, invoice=invoice.id)


def find_credit(stripe: Stripe, action: IssueCredit, attempt: Attempt) -> Done | None:
    """The invoice's credit note that carries the marker; with the invoice gone there is none."""
    try:
        made = _marked(stripe.credit_notes(action.invoice_id), attempt.marker)
    except VendorError as error:
        if error.status in (400, 404):
            return None
        raise
    return _done(made, invoice=action.invoice_id) if made else None


def create_invoice(stripe: Stripe, action: CreateInvoice, attempt: Attempt) -> Done:
    """Draft, lines, finalize, send; each step with a key of its own, and the draft's id in the journal.

    An attempt that goes on where an earlier one ended does what is left of it. Stripe sends it to the address that the
    customer has by then, so one that is not the approved address any more gets nothing.
    """
    customer = stripe.customer(action.customer_id)
    if customer.email.lower() != action.customer_email.lower():
        raise _no(
            "create_invoice", f"the address of {customer.id} is no longer {action.customer_email}: nothing was sent"
        )
    invoice = _begun(stripe, action, attempt) or stripe.create_invoice(
        action.customer_id, action.currency, action.days_until_due, action.memo,
        key=f"{attempt.marker}-draft", metadata={MARKER: attempt.marker},
    )  # fmt: skip
    attempt.save(invoice_id=invoice.id)
    if invoice.status == "draft":
        _fill(stripe, action, attempt, invoice)
        invoice = stripe.finalize_invoice(invoice.id, key=f"{attempt.marker}-finalize")
    if invoice.status == "open":
        attempt.save(sending=True)
        invoice = stripe.send_invoice(invoice.id, key=f"{attempt.marker}-send")
    return Done("stripe", invoice.id, {"number": invoice.number, "link": invoice.hosted_invoice_url})


def _fill(stripe: Stripe, action: CreateInvoice, attempt: Attempt, draft: Invoice) -> None:
    """Put the lines on a draft that are not there yet.

    Raises:
        VendorError: permanent; it has lain at Stripe for a while, and somebody has edited it: what was approved is sent
            or nothing is.
    """
    for number, line in enumerate(action.lines):
        if number >= len(draft.lines):  # Stripe keeps them in the order in which they came
            key = f"{attempt.marker}-line-{number}"
            stripe.add_line(draft, line.description, line.quantity, line.unit_amount, key=key)
    wanted = [(line.description, line.quantity, line.quantity * line.unit_amount) for line in action.lines]
    filled = stripe.invoice(draft.id)
    held = [(line.description, line.quantity, line.amount) for line in filled.lines]
    if held != wanted or filled.has_more_lines:
        raise _no("create_invoice", f"the draft {draft.id} has other lines than were approved: somebody has changed it")


def find_invoice(stripe: Stripe, action: CreateInvoice, attempt: Attempt) -> Done | None:
    """The customer's invoice that carries the marker, if it was sent: before that it is not done.

    Raises:
        InDoubt: it was voided or deleted by somebody, or Stripe no longer says whether it was sent.
    """
    invoice = _begun(stripe, action, attempt)
    if invoice is None or invoice.status == "draft":
        return None
    if invoice.status in ("void", "uncollectible"):
        raise InDoubt(f"the invoice {invoice.number} was made, and somebody has made it {invoice.status} since")
    if invoice.status == "open" and not stripe.was_sent(invoice.id, attempt.since - CLOCK_SKEW):
        if attempt.progress.get("sending") and utcnow() - attempt.since > EVENTS_KEPT:
            raise InDoubt(f"whether the invoice {invoice.number} was e-mailed, Stripe's events tell no longer")
        return None
    return Done("stripe", invoice.id, {"number": invoice.number, "link": invoice.hosted_invoice_url})


def _begun(stripe: Stripe, action: CreateInvoice, attempt: Attempt) -> Invoice | None:
    """What an earlier attempt has made of it."""
    if known := attempt.progress.get("invoice_id"):
        try:
            return _theirs(stripe.invoice(str(known)), action.customer_id, "create_invoice")
        except InvoiceGone:
            raise InDoubt(f"the draft {known} was made, and somebody has deleted it since") from None
    theirs = stripe.invoices(action.customer_id)
    return next((each for each in theirs if each.metadata.get(MARKER) == attempt.marker), None)


def _theirs(invoice: Invoice, customer_id: str, operation: str) -> Invoice:
    if invoice.customer_id != customer_id:
        raise _no(operation, f"{invoice.number} is no invoice of {customer_id}")
    return invoice


def _marked(given: list[Given], marker: str) -> Given | None:
    return next((each for each in given if each.metadata.get(MARKER) == marker), None)


def _done(made: Given, **detail: str) -> Done:
    return Done("stripe", made.id, {"status": made.status, **detail})


def _no(operation: str, reason: str) -> VendorError:
    """By our own rules: it is at odds with what is there. Stripe was not asked to do it."""
    return VendorError("stripe", operation, reason, permanent=True)

"""What stands in the pretend company's Stripe account: its objects, and what follows from each change."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

CARD_DECLINED = "pm_card_chargeDeclined"
DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
"""The intervals of a price, and how long each is here."""


class No(Exception):
    """The account says no, with Stripe's own code."""

    def __init__(self, message: str, code: str | None = None, param: str | None = None, status: int = 400) -> None:
        """Keep what the refusal will say."""
        super().__init__(message)
        self.message, self.code, self.param, self.status = message, code, param, status


class Books:
    """All objects by kind, newest last, and the events that tell of their changes."""

    def __init__(self) -> None:
        """Start with none."""
        self.objects: dict[str, dict[str, Json]] = {kind: {} for kind in PREFIXES}
        self.keys: dict[str, tuple[str, int, Json]] = {}
        """By idempotency key: what was asked, and the reply that was given."""
        self._numbers = itertools.count(1)

    def new(self, kind: str, **fields: Any) -> Json:
        """Make an object, with an id unless it has one."""
        thing = {
            "id": fields.pop("id", None) or f"{PREFIXES[kind]}_{next(self._numbers):08}",
            "object": kind,
            "created": int(fields.pop("created", None) or time.time()),
            "livemode": False,
            "metadata": fields.pop("metadata", None) or {},
            **fields,
        }
        for name in LACKS.get(kind, ()):
            del thing[name]
        self.objects[kind][thing["id"]] = thing
        return thing

    def get(self, kind: str, id: str) -> Json:
        """Return one object."""
        if id not in self.objects[kind]:
            raise No(f"No such {kind}: '{id}'", "resource_missing", "id", 404)
        return self.objects[kind][id]

    def all(self, kind: str, wanted: Callable[[Json], bool] = lambda _: True) -> Iterator[Json]:
        """Yield the objects of a kind, newest first."""
        numbered = enumerate(self.objects[kind].values())
        newest = sorted(numbered, key=lambda pair: (pair[1]["created"], pair[0]), reverse=True)
        return (thing for _, thing in newest if wanted(thing))

    def tell(self, kind: str, thing: Json) -> None:
        """Write down an event, with the object as it is now."""
        self.new("event", type=kind, data={"object": dict(thing)}, api_version=None, pending_webhooks=0)

    def forget(self, *, keys: bool) -> None:
        """Forget the idempotency keys, as after a day, or else the events, as after a month."""
        (self.keys if keys else self.objects["event"]).clear()

    # Invoices

    def add_item(self, invoice: Json, description: str, amount: int, quantity: int = 1) -> Json:
        """Put a line on a draft."""
        if invoice["status"] != "draft":
            raise No("This invoice is no longer editable", "invoice_not_editable", "invoice")
        line = {
            "id": f"il_{next(self._numbers):08}", "object": "line_item", "description": description, "amount": amount,
            "quantity": quantity, "currency": invoice["currency"], "metadata": {},
        }  # fmt: skip
        invoice["lines"]["data"].append(line)
        self.settle(invoice)
        return line

    def settle(self, invoice: Json) -> None:
        """Bring an invoice's sums in order."""
        invoice["total"] = invoice["subtotal"] = sum(line["amount"] for line in invoice["lines"]["data"])
        before, after = (self.credited(invoice, before_payment=when) for when in (True, False))
        invoice |= {"pre_payment_credit_notes_amount": before, "post_payment_credit_notes_amount": after}
        invoice["amount_due"] = max(0, invoice["total"] - before)
        invoice["amount_remaining"] = max(0, invoice["amount_due"] - invoice["amount_paid"])

    def credited(self, invoice: Json, *, before_payment: bool) -> int:
        """Return what was credited of an invoice, before or after it was paid."""
        kind = "pre_payment" if before_payment else "post_payment"
        mine = (note for note in self.objects["credit_note"].values() if note["invoice"] == invoice["id"])
        return sum(note["amount"] for note in mine if note["type"] == kind and note["status"] == "issued")

    def finalize(self, invoice: Json) -> Json:
        """Give a draft its number, and open it."""
        if invoice["status"] != "draft":
            raise No("Invoices can be finalized only when they are drafts.", "invoice_not_editable")
        if not invoice["lines"]["data"]:
            raise No("You cannot finalize an invoice without lines.", "invoice_no_customer_line_items")
        count = sum(bool(each["number"]) for each in self.objects["invoice"].values()) + 1
        invoice["number"] = f"DW-{count:04}"
        invoice["status"] = "open" if invoice["amount_due"] else "paid"
        invoice["hosted_invoice_url"] = f"https://invoice.stripe.example/i/{invoice['id']}"
        invoice["due_date"] = invoice["due_date"] or int(time.time()) + invoice.pop("_days", 30) * 86_400
        self.tell("invoice.finalized", invoice)
        return invoice

    def send(self, invoice: Json) -> Json:
        """E-mail it. Each time anew."""
        if invoice["status"] not in ("open", "paid"):
            raise No(f"You can't send an invoice that is {invoice['status']}.", "invoice_not_editable")
        invoice["_sent"] = invoice.get("_sent", 0) + 1
        self.tell("invoice.sent", invoice)
        return invoice

    def void(self, invoice: Json) -> Json:
        """Let it count no more."""
        if invoice["status"] not in ("open", "uncollectible"):
            raise No(f"You can only void open invoices; this one is {invoice['status']}.", "invoice_not_editable")
        invoice["status"] = "void"
        self.tell("invoice.voided", invoice)
        return invoice

    def pay(self, invoice: Json, created: float | None = None) -> Json:
        """Have the customer pay it by card."""
        if invoice["status"] != "open":
            raise No(f"Invoice is already {invoice['status']}", "invoice_already_paid")
        amount = invoice["amount_remaining"]
        charge = self.charge(invoice["customer"], amount, invoice["currency"], created=created,
                             description=f"Payment for Invoice {invoice['number']}")  # fmt: skip
        paid_by = {"type": "payment_intent", "payment_intent": charge["payment_intent"]}
        self.new("invoice_payment", invoice=invoice["id"], amount_paid=amount, status="paid", payment=paid_by)
        invoice |= {"status": "paid", "amount_paid": invoice["amount_paid"] + amount, "amount_remaining": 0}
        self.tell("invoice.paid", invoice)
        return invoice

    def payments_of(self, invoice: Json) -> list[Json]:
        """Return by what an invoice was paid."""
        return [each for each in self.all("invoice_payment") if each["invoice"] == invoice["id"]]

    # Money

    def charge(self, customer: str, amount: int, currency: str, card: str = "pm_card_visa", **more: Any) -> Json:
        """Take money by card, unless the card is one that is declined."""
        created, paid = more.pop("created", None), card != CARD_DECLINED
        taken = amount if paid else 0
        intent = self.new(
            "payment_intent", customer=customer, amount=amount, currency=currency, amount_received=taken,
            status="succeeded" if paid else "requires_payment_method", created=created,
            description=more.get("description"),
        )  # fmt: skip
        charge = self.new(
            "charge", customer=customer, amount=amount, amount_captured=taken, amount_refunded=0, currency=currency,
            payment_intent=intent["id"], status="succeeded" if paid else "failed", paid=paid, captured=paid,
            refunded=False, disputed=more.get("disputed", False), created=created,
            description=more.get("description"), receipt_email=None,
        )  # fmt: skip
        intent["latest_charge"] = charge["id"]
        self.tell(f"charge.{charge['status']}", charge)
        return charge

    def refund(self, charge: Json, amount: int | None, **more: Any) -> Json:
        """Give back of a charge what is left of it, at most."""
        left = charge["amount_captured"] - charge["amount_refunded"]
        if charge["disputed"]:
            raise No(f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge_disputed")
        if left <= 0:
            raise No(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
        wanted = left if amount is None else amount
        if wanted > left:
            raise No(f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({left})", None, "amount")
        charge["amount_refunded"] += wanted
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        made = self.new("refund", amount=wanted, currency=charge["currency"], charge=charge["id"],
                        payment_intent=charge["payment_intent"], status="succeeded", **more)  # fmt: skip
        self.tell("refund.created", made)
        self.tell("charge.refunded", charge)
        return made

    def credit(self, invoice: Json, amount: int, **more: Any) -> Json:
        """Credit an open or a paid invoice."""
        if invoice["status"] not in ("open", "paid"):
            raise No(
                "You can only create a credit note for an open or paid invoice.", "invoice_not_editable", "invoice"
            )
        paid = invoice["status"] == "paid"
        left = (
            invoice["amount_paid"] - self.credited(invoice, before_payment=False)
            if paid
            else invoice["amount_remaining"]
        )
        if amount > left:
            raise No(
                f"The credit note amount ({amount}) is greater than what can be credited ({left}).", None, "amount"
            )
        count = len(self.objects["credit_note"]) + 1
        note = self.new("credit_note", invoice=invoice["id"], customer=invoice["customer"], amount=amount,
                        total=amount, currency=invoice["currency"], status="issued", number=f"DW-CN-{count:04}",
                        type="post_payment" if paid else "pre_payment", **more)  # fmt: skip
        if paid:
            customer = self.get("customer", invoice["customer"])
            customer["balance"] -= amount
        self.settle(invoice)
        if not paid and not invoice["amount_remaining"]:
            invoice["status"] = "paid"
        self.tell("credit_note.created", note)
        return note

    # Subscriptions

    def subscribe(self, customer: Json, items: list[Json], **more: Any) -> Json:
        """Have a customer pay again and again."""
        made = self.new(
            "subscription", customer=customer["id"], status="active", cancel_at_period_end=False,
            items={"object": "list", "data": items, "has_more": False}, **more,
        )  # fmt: skip
        self.tell("customer.subscription.created", made)
        return made

    def cancel(self, subscription: Json) -> Json:
        """End it."""
        if subscription["status"] == "canceled":
            raise No(f"No such subscription: '{subscription['id']}'", "resource_missing", "id", 404)
        subscription["status"] = "canceled"
        self.tell("customer.subscription.deleted", subscription)
        return subscription


PREFIXES = {
    "customer": "cus", "invoice": "in", "invoiceitem": "ii", "invoice_payment": "inpay", "payment_intent": "pi",
    "charge": "ch", "refund": "re", "credit_note": "cn", "subscription": "sub", "event": "evt",
}  # fmt: skip
"""The kinds of object, and how the ids of each begin."""

LACKS = {"refund": ("livemode",), "event": ("metadata",)}
"""What the objects of a kind do not have, and any other has."""

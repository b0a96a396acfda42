"""Refunds, credits and invoices: what is approved is what is done, once, whatever is lost or changed on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from blocks.ledger import Ledger, utcnow
from blocks.stripe import CustomerGone, Stripe
from blocks.vendor import VendorError
from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.faults import Kind
from tasks import performers
from tasks.act import Approved
from tasks.actions import Action, CreateInvoice, InvoiceLine, IssueCredit, Refund
from tasks.actions.base import Money
from tasks.performers import PERFORMERS, Attempt, Done, InDoubt

ANN = "ann@northwind.example"
MONEY: dict[str, Any] = {"customer_id": "cus_ann", "customer_email": ANN, "currency": "eur"}
LINE = {"description": "Pro", "amount": 8_900}
BILLED = {
    "id": "cus_ann", "email": ANN, "name": "Northwind", "days_ago": 90,
    "invoices": [{"days_ago": 40, "lines": [LINE], "paid_days_ago": 30}, {"days_ago": 5, "lines": [LINE]}],
}  # fmt: skip
TWO_LINES = (
    InvoiceLine(description="A desk", quantity=2, unit_amount=500),
    InvoiceLine(description="A chair", unit_amount=300),
)


class Killed(Exception):
    """As if the process had ended here."""


@dataclass
class Work:
    """One action, and what the ledger holds of the attempts at it."""

    stripe: Stripe
    action: Action
    kept: dict[str, Any] = field(default_factory=dict)
    saves: int = 0
    dies_at_save: int = 0
    since: datetime = field(default_factory=utcnow)

    def attempt(self) -> Attempt:
        """The next attempt, with what the earlier ones left in the journal."""
        return Attempt(f"billing-agent:k:{self.action.kind}", dict(self.kept), self._write, self.since)

    def go(self) -> Done:
        """As `act.do` goes about it: look first, then do it.

        Raises:
            VendorError: as the performer raises it.
        """
        performer, attempt = PERFORMERS[self.action.kind], self.attempt()
        found = performer.find(self.stripe, self.action, attempt)
        return found or performer.perform(self.stripe, self.action, attempt)

    def find(self) -> Done | None:
        """Look only."""
        return PERFORMERS[self.action.kind].find(self.stripe, self.action, self.attempt())

    def _write(self, progress: dict[str, Any]) -> None:
        self.saves += 1
        if self.saves == self.dies_at_save:
            raise Killed
        self.kept = dict(progress)


@pytest.fixture
def stripe(sandbox: Sandbox) -> Stripe:
    """The account, in which Ann has paid one invoice and has one open."""
    sandbox.bill(BILLED)
    return Stripe(api_key=SecretStr(credentials.STRIPE_KEY), address=f"{sandbox.url}/stripe", timeout_seconds=5)


@pytest.fixture
def refund(stripe: Stripe) -> Work:
    """A refund of EUR 40.00 of the EUR 89.00 that Ann has paid."""
    payment = stripe.payments("cus_ann")[0].payment_intent_id
    action = Refund(**MONEY, payment_intent_id=payment, amount=4_000, reason="duplicate", why="It was paid twice")
    return Work(stripe, action)


def credit(stripe: Stripe, status: str, amount: int = 900) -> Work:
    """A credit on Ann's invoice of this status."""
    invoice = stripe.invoices("cus_ann", status)[0]
    of = {"invoice_id": invoice.id, "invoice_number": invoice.number}
    return Work(stripe, IssueCredit(**MONEY, **of, amount=amount, memo="For the outage"))


@pytest.fixture
def bill(stripe: Stripe) -> Work:
    """An invoice of EUR 13.00."""
    return Work(stripe, CreateInvoice(**MONEY, lines=TWO_LINES, days_until_due=14, memo="With thanks"))


def made(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The invoices that carry a marker of ours."""
    return [each for each in sandbox.state()["stripe_invoices"] if "signoff_action" in each["metadata"]]


class TestWords:
    def test_titles_and_previews_say_the_amount(self) -> None:
        refund = Refund(**MONEY, payment_intent_id="pi_1", amount=8_900, reason="duplicate", why="Twice")
        assert (refund.title, refund.money) == (f"Refund EUR 89.00 to {ANN}", Money(8_900, "eur"))
        assert refund.preview() == {
            "Amount": "EUR 89.00", "Customer": f"{ANN} (cus_ann)", "Payment": "pi_1", "Reason": "duplicate",
            "Why": "Twice",
        }  # fmt: skip
        invoice = CreateInvoice(**MONEY | {"currency": "jpy"}, lines=TWO_LINES, days_until_due=14)
        assert (invoice.title, invoice.money) == (f"Invoice JPY 1,300 to {ANN}", Money(1_300, "jpy"))
        assert invoice.preview()["Line 1"] == "2 x A desk: JPY 500 each"
        assert {"A desk", "A chair"} <= set(invoice.texts())

    def test_only_a_credits_memo_can_be_edited(self) -> None:
        assert [kind.editable for kind in (Refund, IssueCredit, CreateInvoice)] == [None, "memo", None]

    @pytest.mark.parametrize(
        "changes",
        [{"amount": 0}, {"amount": -1}, {"currency": "EUR"}, {"currency": "euro"}, {"reason": "fraudulent"},
         {"customer_email": "no address"}, {"why": "a bell \x07"}],
    )  # fmt: skip
    def test_a_refund_that_cannot_be(self, changes: dict[str, Any]) -> None:
        fields = {**MONEY, "payment_intent_id": "pi_1", "amount": 1, "reason": "duplicate", "why": "Twice"}
        with pytest.raises(ValidationError):
            Refund(**fields | changes)

    @pytest.mark.parametrize(
        "changes", [{"lines": ()}, {"lines": TWO_LINES * 6}, {"days_until_due": 0}, {"days_until_due": 91}]
    )
    def test_an_invoice_that_cannot_be(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            CreateInvoice(**{**MONEY, "lines": TWO_LINES, "days_until_due": 14} | changes)


class TestRefund:
    def test_is_made_once_however_often_it_is_asked_for(self, refund: Work, sandbox: Sandbox) -> None:
        first, again = refund.go(), refund.go()
        (one,) = sandbox.state()["stripe_refunds"]
        assert (one["amount"], one["id"]) == (4_000, first.external_id)
        assert again == first
        assert one["metadata"] == {"signoff_action": refund.attempt().marker}

    @pytest.mark.parametrize("kind", ["reply_lost", "reset", "bad_gateway", "rate_limited", "server_error"])
    def test_a_day_after_a_failure_it_is_still_made_once(self, refund: Work, sandbox: Sandbox, kind: Kind) -> None:
        sandbox.fault(kind, "stripe", "*/refunds", method="POST")
        with pytest.raises(VendorError):
            refund.go()
        sandbox.forget_stripe_keys()
        refund.go()
        assert len(sandbox.state()["stripe_refunds"]) == 1

    def test_a_failure_that_stripe_keeps_is_the_answer_until_the_key_is_forgotten(
        self, refund: Work, sandbox: Sandbox
    ) -> None:
        sandbox.fault("server_error", "stripe", "*/refunds", method="POST", commit=True)
        for _ in range(2):
            with pytest.raises(VendorError, match="An unknown error occurred") as caught:
                refund.go()
            assert caught.value.unknown
        sandbox.forget_stripe_keys()
        refund.go()
        assert len(sandbox.state()["stripe_refunds"]) == 1

    def test_what_a_colleague_has_refunded_meanwhile_is_not_refunded_again(
        self, refund: Work, stripe: Stripe, sandbox: Sandbox
    ) -> None:
        payment = stripe.payments("cus_ann")[0].payment_intent_id
        stripe.refund(payment, 5_000, "duplicate", key="by hand", metadata={})
        with pytest.raises(VendorError, match=r"EUR 40\.00 is more than can still be refunded: EUR 39\.00") as caught:
            refund.go()
        assert caught.value.permanent
        assert len(sandbox.state()["stripe_refunds"]) == 1

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"customer_id": "cus_bob"}, "is no payment of cus_bob"),
            ({"currency": "usd"}, r"USD 40\.00 is more than can still be refunded: EUR 89\.00"),
            ({"payment_intent_id": "pi_never"}, "no successful charge"),
        ],
    )
    def test_what_does_not_fit_the_payment_is_refused(
        self, refund: Work, sandbox: Sandbox, changes: dict[str, Any], said: str
    ) -> None:
        refund.action = refund.action.model_copy(update=changes)
        with pytest.raises(VendorError, match=said) as caught:
            performers.stripe.refund(refund.stripe, refund.action, refund.attempt())  # type: ignore[arg-type]
        assert caught.value.permanent
        assert sandbox.state()["stripe_refunds"] == []

    def test_a_payment_that_is_disputed_by_now_is_left_to_the_bank(self, refund: Work, sandbox: Sandbox) -> None:
        sandbox.change_in_books("charge", sandbox.state()["stripe_charges"][0]["id"], disputed=True)
        with pytest.raises(VendorError, match="disputed by now") as caught:
            refund.go()
        assert caught.value.permanent

    def test_one_that_the_bank_did_not_take_is_told_and_not_made_again(self, refund: Work, sandbox: Sandbox) -> None:
        done = refund.go()
        sandbox.change_in_books("refund", done.external_id, status="failed")
        with pytest.raises(VendorError, match=f"{done.external_id} was made, and has failed since") as caught:
            refund.go()
        assert caught.value.permanent
        assert len(sandbox.state()["stripe_refunds"]) == 1


class TestCredit:
    @pytest.mark.parametrize("status", ["open", "paid"])
    @pytest.mark.parametrize("kind", ["reply_lost", "reset"])
    def test_a_day_after_a_failure_it_is_still_issued_once(
        self, stripe: Stripe, sandbox: Sandbox, status: str, kind: Kind
    ) -> None:
        work = credit(stripe, status)
        sandbox.fault(kind, "stripe", "*/credit_notes", method="POST")
        with pytest.raises(VendorError):
            work.go()
        sandbox.forget_stripe_keys()
        assert work.go() == work.go()
        (note,) = sandbox.state()["stripe_credit_notes"]
        assert (note["amount"], note["memo"]) == (900, "For the outage")
        assert stripe.customer("cus_ann").balance == (-900 if status == "paid" else 0)

    def test_what_was_credited_before_it_was_paid_does_not_count_twice(self, stripe: Stripe) -> None:
        invoice = stripe.invoices("cus_ann", "open")[0]
        stripe.create_credit_note(invoice, 900, "Sorry", key="by hand", metadata={})
        stripe.get_client().v1.invoices.pay(invoice.id)
        paid = stripe.invoice(invoice.id)
        assert (paid.status, paid.amount_paid, paid.amount_creditable) == ("paid", 8_000, 8_000)
        stripe.create_credit_note(paid, 1_000, "Sorry", key="by hand too", metadata={})
        assert stripe.invoice(invoice.id).amount_creditable == 7_000

    @pytest.mark.parametrize("status", ["open", "paid"])
    def test_more_than_there_is_is_refused_in_words(self, stripe: Stripe, sandbox: Sandbox, status: str) -> None:
        with pytest.raises(VendorError, match=r"EUR 89\.01 is more than can be credited: EUR 89\.00") as caught:
            credit(stripe, status, 8_901).go()
        assert caught.value.permanent
        assert sandbox.state()["stripe_credit_notes"] == []

    def test_a_void_invoice_is_not_credited(self, stripe: Stripe) -> None:
        work = credit(stripe, "open")
        stripe.void_invoice(stripe.invoices("cus_ann", "open")[0].id, key="by hand")
        with pytest.raises(VendorError, match="is void: only an open or paid invoice can be credited"):
            work.go()

    def test_an_invoice_of_somebody_else_is_not_credited(self, stripe: Stripe) -> None:
        work = credit(stripe, "open")
        work.action = work.action.model_copy(update={"customer_id": "cus_bob"})
        with pytest.raises(VendorError, match="is no invoice of cus_bob"):
            work.go()

    def test_an_invoice_that_is_gone_has_no_credit_note(self, stripe: Stripe) -> None:
        work = credit(stripe, "open")
        work.action = work.action.model_copy(update={"invoice_id": "in_never"})
        assert work.find() is None


STEPS = [("*/v1/invoices", 0), ("*/v1/invoiceitems", 0), ("*/v1/invoiceitems", 1), ("*/finalize", 0), ("*/send", 0)]


class TestInvoice:
    def is_right(self, sandbox: Sandbox) -> None:
        """One, with the approved lines, that was e-mailed once."""
        (one,) = made(sandbox)
        assert (one["status"], one["total"], one["_sent"]) == ("open", 1_300, 1)
        lines = [(line["description"], line["quantity"], line["amount"]) for line in one["lines"]["data"]]
        assert lines == [("A desk", 2, 1_000), ("A chair", 1, 300)]

    def test_is_made_and_sent_once_however_often_it_is_asked_for(self, bill: Work, sandbox: Sandbox) -> None:
        first, again = bill.go(), bill.go()
        self.is_right(sandbox)
        assert first == again
        assert first.detail["number"] == made(sandbox)[0]["number"]
        assert made(sandbox)[0]["description"] == "With thanks"

    @pytest.mark.parametrize("forgotten", [False, True], ids=["soon", "after a day"])
    @pytest.mark.parametrize("kind", ["reply_lost", "reset", "rate_limited"])
    @pytest.mark.parametrize(("path", "after"), STEPS)
    def test_whichever_call_fails_it_is_gone_on_with(
        self, bill: Work, sandbox: Sandbox, path: str, after: int, kind: Kind, forgotten: bool
    ) -> None:
        sandbox.fault(kind, "stripe", path, method="POST", after=after)
        with pytest.raises(VendorError):
            bill.go()
        if forgotten:
            sandbox.forget_stripe_keys()
        bill.go()
        self.is_right(sandbox)

    @pytest.mark.parametrize("forgotten", [False, True], ids=["soon", "after a day"])
    @pytest.mark.parametrize("save", [1, 2])
    def test_whichever_journal_entry_is_the_last_it_is_gone_on_with(
        self, bill: Work, sandbox: Sandbox, save: int, forgotten: bool
    ) -> None:
        bill.dies_at_save = save
        with pytest.raises(Killed):
            bill.go()
        assert bill.find() is None
        if forgotten:
            sandbox.forget_stripe_keys()
        bill.go()
        self.is_right(sandbox)

    def test_an_attempt_that_failed_at_every_step_ends_with_one_invoice(self, bill: Work, sandbox: Sandbox) -> None:
        for path, after in STEPS:
            sandbox.fault("reply_lost", "stripe", path, method="POST", after=after)
        for _ in range(len(STEPS)):
            with suppress(VendorError):
                bill.go()
            sandbox.forget_stripe_keys()
        bill.go()
        self.is_right(sandbox)

    @pytest.mark.parametrize("lines", [TWO_LINES, TWO_LINES * 5], ids=["two lines", "ten lines"])
    def test_a_draft_that_somebody_has_changed_meanwhile_is_not_sent(
        self, bill: Work, stripe: Stripe, sandbox: Sandbox, lines: tuple[InvoiceLine, ...]
    ) -> None:
        bill.action = bill.action.model_copy(update={"lines": lines})
        sandbox.fault("rate_limited", "stripe", "*/finalize")
        with pytest.raises(VendorError):
            bill.go()
        draft = stripe.invoice(bill.kept["invoice_id"])
        stripe.add_line(draft, "A sofa", 1, 90_000, key="by hand")
        with pytest.raises(VendorError, match="other lines than were approved") as caught:
            bill.go()
        assert caught.value.permanent
        assert made(sandbox)[0]["status"] == "draft"

    def test_nothing_goes_to_an_address_that_was_not_approved(self, bill: Work, sandbox: Sandbox) -> None:
        sandbox.change_in_books("customer", "cus_ann", email="eve@elsewhere.example")
        with pytest.raises(VendorError, match=f"is no longer {ANN}: nothing was sent") as caught:
            bill.go()
        assert caught.value.permanent
        assert made(sandbox) == []

    def test_a_customer_that_is_gone_gets_none(self, bill: Work, stripe: Stripe) -> None:
        stripe.get_client().v1.customers.delete("cus_ann")
        with pytest.raises(CustomerGone):
            bill.go()

    def test_an_invoice_that_somebody_has_voided_leaves_it_in_doubt(self, bill: Work, stripe: Stripe) -> None:
        bill.dies_at_save = 2
        with pytest.raises(Killed):
            bill.go()
        stripe.void_invoice(bill.kept["invoice_id"], key="by hand")
        with pytest.raises(InDoubt, match="somebody has made it void since"):
            bill.go()

    def test_a_draft_that_somebody_has_deleted_leaves_it_in_doubt(
        self, bill: Work, stripe: Stripe, sandbox: Sandbox
    ) -> None:
        sandbox.fault("rate_limited", "stripe", "*/finalize")
        with pytest.raises(VendorError):
            bill.go()
        stripe.get_client().v1.invoices.delete(bill.kept["invoice_id"])
        with pytest.raises(InDoubt, match="somebody has deleted it since"):
            bill.go()

    def test_one_that_was_paid_before_anybody_looked_was_done(
        self, bill: Work, stripe: Stripe, sandbox: Sandbox
    ) -> None:
        sandbox.fault("reply_lost", "stripe", "*/send")
        with pytest.raises(VendorError):
            bill.go()
        stripe.get_client().v1.invoices.pay(bill.kept["invoice_id"])
        assert bill.go().external_id == bill.kept["invoice_id"]
        assert made(sandbox)[0]["_sent"] == 1

    def test_when_the_events_are_gone_a_person_must_say_whether_it_was_sent(self, bill: Work, sandbox: Sandbox) -> None:
        sandbox.fault("reply_lost", "stripe", "*/send")
        with pytest.raises(VendorError):
            bill.go()
        sandbox.forget_stripe_events()
        sandbox.forget_stripe_keys()
        bill.since = utcnow() - timedelta(days=31)
        with pytest.raises(InDoubt, match="Stripe's events tell no longer"):
            bill.go()
        assert made(sandbox)[0]["_sent"] == 1


class TestThroughTheLedger:
    @pytest.mark.parametrize("save", [1, 2, 3])
    def test_a_crash_at_any_entry_of_the_journal_leads_to_one_invoice_that_is_sent_once(
        self,
        save: int,
        sandbox: Sandbox,
        ledger: Ledger,  # noqa: ARG002
        wanted: Callable[[str], Action],
        allow: Callable[..., Approved],
        do: Callable[[Approved], None],
        resume: Callable[[], list[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        kept, count = Attempt.save, 0

        def dying(self: Attempt, **progress: Any) -> None:
            nonlocal count
            count += 1
            if count == save:
                raise Killed
            kept(self, **progress)

        approved = allow(wanted("stripe.create_invoice"))
        with monkeypatch.context() as patch:
            patch.setattr(Attempt, "save", dying)
            with pytest.raises(Killed):
                do(approved)
        resume()
        resume()
        assert [each["_sent"] for each in made(sandbox)] == [1]

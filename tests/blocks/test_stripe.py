"""The Stripe block, with the real SDK, against the sandbox: what it reads, what it writes once, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from traceback import format_exception
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.ledger import utcnow
from blocks.shape import SchemaDrift
from blocks.stripe import CustomerGone, InvoiceGone, Stripe
from blocks.vendor import VendorError
from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.faults import Kind

ANN = "ann@northwind.example"
LINE = {"description": "Pro, 1 site", "amount": 21_900}
PAID = {"days_ago": 40, "lines": [LINE], "paid_days_ago": 30}
LATE = {"days_ago": 20, "lines": [LINE], "memo": "With thanks"}
Connect = Callable[..., Stripe]


@pytest.fixture
def connect(sandbox: Sandbox) -> Connect:
    """Makes Stripe blocks on the sandbox."""

    def make(key: str = credentials.STRIPE_KEY, **changes: Any) -> Stripe:
        return Stripe(api_key=SecretStr(key), address=f"{sandbox.url}/stripe", **{"timeout_seconds": 5} | changes)

    return make


@pytest.fixture
def stripe(connect: Connect) -> Stripe:
    """The account's block."""
    return connect()


@pytest.fixture
def bill(sandbox: Sandbox) -> Callable[..., str]:
    """Makes a customer with these invoices; returns its id."""

    def make(*invoices: dict[str, Any], id: str = "cus_ann", email: str = ANN, **more: Any) -> str:
        sandbox.bill({"id": id, "email": email, "name": "Northwind", "days_ago": 90, "invoices": invoices, **more})
        return id

    return make


class TestReads:
    def test_check_says_which_account_in_which_mode(self, stripe: Stripe) -> None:
        assert stripe.check() == f"acct_sandbox in test mode at {stripe.address}"

    def test_the_version_is_pinned_and_nothing_is_told_about_earlier_requests(
        self, stripe: Stripe, sandbox: Sandbox
    ) -> None:
        import stripe as sdk

        stripe.check()
        stripe.check()  # the SDK's telemetry would go along with the second
        assert [call["status"] for call in sandbox.requests("stripe")] == [200, 200]
        assert sdk.enable_telemetry is False

    def test_customers_are_found_in_either_spelling_and_all_of_them(
        self, stripe: Stripe, bill: Callable[..., str]
    ) -> None:
        bill()
        bill(id="cus_second")
        bill(id="cus_other", email="bob@contoso.example")
        found = stripe.customers_by_email("Ann@Northwind.example")
        assert {customer.id for customer in found} == {"cus_ann", "cus_second"}
        assert found[0].name == "Northwind"

    def test_a_deleted_customer_is_gone(self, stripe: Stripe, bill: Callable[..., str]) -> None:
        bill()
        stripe.get_client().v1.customers.delete("cus_ann")
        assert stripe.customers_by_email(ANN) == []
        for id in ("cus_ann", "cus_never"):
            with pytest.raises(CustomerGone):
                stripe.customer(id)

    def test_invoices_with_lines_dates_and_the_payment_that_paid_them(
        self, stripe: Stripe, bill: Callable[..., str]
    ) -> None:
        late, paid = stripe.invoices(bill(PAID, LATE))
        assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 21_900, 0)
        assert [(line.description, line.quantity, line.amount) for line in late.lines] == [("Pro, 1 site", 1, 21_900)]
        assert (late.memo, late.number, late.currency) == ("With thanks", "DW-0002", "eur")
        assert late.due_date is not None
        assert timedelta(days=5) < utcnow() - late.due_date < timedelta(days=7)
        (payment,) = stripe.payments("cus_ann")
        assert paid.payment_intent_ids == (payment.payment_intent_id,)
        assert (payment.invoice_id, payment.amount_refundable) == (paid.id, 21_900)
        assert [invoice.id for invoice in stripe.invoices("cus_ann", "open")] == [late.id]

    def test_a_long_list_is_read_page_after_page(
        self, stripe: Stripe, bill: Callable[..., str], sandbox: Sandbox
    ) -> None:
        bill(*[PAID] * 130)
        assert len(stripe.invoices("cus_ann")) == 130
        assert sum(call["path"].endswith("/invoices") for call in sandbox.requests("stripe")) == 2

    def test_a_customers_invoices_are_read_up_to_a_bound_and_overdue_ones_to_the_last(
        self, stripe: Stripe, bill: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("blocks.stripe.MOST", 100)
        bill(*[LATE] * 130)
        assert len(stripe.invoices("cus_ann")) == 100
        assert len(stripe.overdue_invoices(utcnow())) == 130

    def test_overdue_invoices_of_all_customers_the_longest_due_first(
        self, stripe: Stripe, bill: Callable[..., str]
    ) -> None:
        bill(PAID, LATE, {"days_ago": 2, "lines": [LINE]})
        bill(LATE | {"days_ago": 50}, id="cus_bob", email="bob@contoso.example")
        found = stripe.overdue_invoices(utcnow())
        assert [invoice.customer_email for invoice in found] == ["bob@contoso.example", ANN]

    def test_an_invoice_that_is_not_there(self, stripe: Stripe) -> None:
        with pytest.raises(InvoiceGone):
            stripe.invoice("in_never")

    def test_subscriptions_in_words(self, stripe: Stripe, bill: Callable[..., str]) -> None:
        bill(subscriptions=[{"plan": "Pro, per site", "amount": 21_900, "quantity": 3}])
        (found,) = stripe.subscriptions("cus_ann")
        assert (found.plan, found.amount, found.interval, found.status) == (
            "3 x Pro, per site",
            65_700,
            "month",
            "active",
        )
        assert found.current_period_end > utcnow()

    def test_a_period_of_several_months_and_one_that_is_to_end(self, stripe: Stripe, bill: Callable[..., str]) -> None:
        bill(subscriptions=[{"plan": "Network, by quote", "amount": 297_000, "months": 3}])
        (found,) = stripe.subscriptions("cus_ann")
        assert (found.interval, found.cancel_at_period_end) == ("3 months", False)
        theirs = stripe.get_client().v1.subscriptions
        theirs.update(found.id, {"cancel_at_period_end": True})
        assert stripe.subscriptions("cus_ann")[0].cancel_at_period_end
        theirs.cancel(found.id)
        assert stripe.subscriptions("cus_ann") == []

    def test_a_card_that_was_declined_paid_nothing(self, stripe: Stripe, bill: Callable[..., str]) -> None:
        from stripe import CardError

        intents, customer = stripe.get_client().v1.payment_intents, bill()
        for card in ("pm_card_visa", "pm_card_chargeDeclined"):
            with suppress(CardError):
                intents.create({
                    "amount": 900, "currency": "eur", "customer": customer, "payment_method": card, "confirm": True,
                })  # fmt: skip
        declined, paid = stripe.payments(customer)
        assert (declined.status, declined.amount_refundable) == ("failed", 0)
        assert stripe.payment(paid.payment_intent_id) == paid
        with pytest.raises(VendorError, match="no successful charge"):
            stripe.payment(declined.payment_intent_id)

    def test_threads_do_not_get_each_others_replies(self, stripe: Stripe, bill: Callable[..., str]) -> None:
        ids = [bill(PAID, id=f"cus_{n}", email=f"p{n}@x.example") for n in range(12)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(stripe.invoices, ids * 5))
        assert [invoices[0].customer_id for invoices in found] == ids * 5

    def test_a_field_that_was_renamed_is_named(
        self, stripe: Stripe, bill: Callable[..., str], sandbox: Sandbox
    ) -> None:
        bill(LATE)
        sandbox.fault("renamed_field", "stripe", "*/invoices", rename={"amount_remaining": "remaining_amount"})
        with pytest.raises(SchemaDrift, match=r"invoice\.amount_remaining"):
            stripe.invoices("cus_ann")


class TestWrites:
    @pytest.fixture
    def payment(self, stripe: Stripe, bill: Callable[..., str]) -> str:
        """A payment of EUR 219.00."""
        bill(PAID)
        return stripe.payments("cus_ann")[0].payment_intent_id

    def test_a_refund_is_made_once_for_a_key(self, stripe: Stripe, payment: str, sandbox: Sandbox) -> None:
        first = stripe.refund(payment, 5_000, "duplicate", key="k", metadata={"signoff_action": "m"})
        again = stripe.refund(payment, 5_000, "duplicate", key="k", metadata={"signoff_action": "m"})
        assert first == again
        assert first.metadata == {"signoff_action": "m"}
        assert len(sandbox.state()["stripe_refunds"]) == 1
        assert stripe.refunds(payment) == [first]
        assert stripe.payment(payment).amount_refundable == 16_900

    def test_the_same_key_for_something_else_is_refused(self, stripe: Stripe, payment: str) -> None:
        stripe.refund(payment, 5_000, "duplicate", key="k", metadata={})
        with pytest.raises(VendorError, match="same parameters") as caught:
            stripe.refund(payment, 6_000, "duplicate", key="k", metadata={})
        assert caught.value.permanent

    @pytest.mark.parametrize("amount", [21_901, 10**9])
    def test_more_than_was_paid_is_refused(self, stripe: Stripe, payment: str, amount: int, sandbox: Sandbox) -> None:
        with pytest.raises(VendorError, match="greater than unrefunded amount") as caught:
            stripe.refund(payment, amount, "duplicate", key="k", metadata={})
        assert (caught.value.permanent, caught.value.status) == (True, 400)
        assert sandbox.state()["stripe_refunds"] == []

    def test_a_credit_note_lowers_what_is_open_and_credits_what_was_paid(
        self, stripe: Stripe, bill: Callable[..., str]
    ) -> None:
        late, paid = stripe.invoices(bill(PAID, LATE))
        stripe.create_credit_note(late, 900, "Sorry", key="a", metadata={})
        stripe.create_credit_note(paid, 400, "Sorry", key="b", metadata={})
        assert stripe.invoice(late.id).amount_remaining == 21_000
        assert stripe.customer("cus_ann").balance == -400
        assert [note.amount for note in stripe.credit_notes(paid.id)] == [400]
        with pytest.raises(VendorError, match="greater than what can be credited"):
            stripe.create_credit_note(stripe.invoice(late.id), 21_001, "Sorry", key="c", metadata={})

    def test_an_invoice_from_draft_to_sent_and_void(self, stripe: Stripe, bill: Callable[..., str]) -> None:
        draft = stripe.create_invoice(bill(), "eur", 14, "Thanks", key="d", metadata={"signoff_action": "m"})
        assert (draft.status, draft.number, draft.lines) == ("draft", draft.id, ())
        for key in ("l", "l"):  # a second time with the same key is no second line
            stripe.add_line(draft, "A desk", 2, 500, key=key)
        finalized = stripe.finalize_invoice(draft.id, key="f")
        assert (finalized.status, finalized.total) == ("open", 1_000)
        assert [(line.description, line.quantity, line.amount) for line in finalized.lines] == [("A desk", 2, 1_000)]
        assert finalized.due_date is not None
        assert not stripe.was_sent(draft.id, draft.created)
        stripe.send_invoice(draft.id, key="s")
        assert stripe.was_sent(draft.id, draft.created)
        assert stripe.void_invoice(draft.id, key="v").status == "void"
        with pytest.raises(VendorError, match="only void open invoices"):
            stripe.void_invoice(draft.id, key="v2")

    @pytest.mark.parametrize(
        ("kind", "done"), [("reply_lost", True), ("reset", False), ("bad_gateway", False), ("server_error", False)]
    )
    def test_a_lost_reply_is_unknown_and_never_repeated(
        self, stripe: Stripe, payment: str, sandbox: Sandbox, kind: Kind, done: bool
    ) -> None:
        sandbox.fault(kind, "stripe", "*/refunds", method="POST")
        with pytest.raises(VendorError) as caught:
            stripe.refund(payment, 5_000, "duplicate", key="k", metadata={"signoff_action": "m"})
        assert (caught.value.unknown, caught.value.permanent) == (True, False)
        posts = [c for c in sandbox.requests("stripe") if c["method"] == "POST" and c["path"].endswith("/refunds")]
        assert len(posts) == 1
        assert bool(stripe.refunds(payment)) == done
        stripe.refund(payment, 5_000, "duplicate", key="k", metadata={"signoff_action": "m"})
        assert len(stripe.refunds(payment)) == 1


class TestFailures:
    def test_a_wrong_key_says_what_to_do_and_not_which(self, connect: Connect) -> None:
        with pytest.raises(VendorError, match="put a valid key into the block") as caught:
            connect("rk_test_planted").check()
        assert (caught.value.status, caught.value.permanent) == (401, True)
        assert "planted" not in str(caught.value)

    def test_a_key_without_the_permission_says_which(self, connect: Connect, bill: Callable[..., str]) -> None:
        bill(PAID)
        reads_only = connect(credentials.STRIPE_KEY_WITHOUT_WRITES)
        payment = reads_only.payments("cus_ann")[0].payment_intent_id
        with pytest.raises(VendorError, match="rak_write: give the restricted key the permission") as caught:
            reads_only.refund(payment, 1, "duplicate", key="k", metadata={})
        assert caught.value.status == 403

    def test_a_key_that_is_in_use_this_moment_can_be_tried_again(self, stripe: Stripe, sandbox: Sandbox) -> None:
        sandbox.fault("leaky_error", "stripe", status=409, method="POST")
        with pytest.raises(VendorError) as caught:
            stripe.refund("pi_1", 1, "duplicate", key="k", metadata={})
        assert (caught.value.status, caught.value.permanent, caught.value.unknown) == (409, False, False)

    def test_a_rate_limit_says_how_long_to_wait(self, stripe: Stripe, sandbox: Sandbox) -> None:
        sandbox.fault("rate_limited", "stripe", retry_after=7)
        with pytest.raises(VendorError) as caught:
            stripe.check()
        assert (caught.value.permanent, caught.value.retry_after, caught.value.unknown) == (False, 7, False)

    @pytest.mark.parametrize("kind", ["reply_lost", "reset", "bad_gateway"])
    def test_a_read_that_failed_can_be_made_again(self, stripe: Stripe, sandbox: Sandbox, kind: Kind) -> None:
        sandbox.fault(kind, "stripe")
        with pytest.raises(VendorError) as caught:
            stripe.check()
        assert (caught.value.permanent, caught.value.unknown) == (False, False)
        stripe.check()

    def test_a_server_that_hangs_is_given_up(self, connect: Connect, sandbox: Sandbox) -> None:
        sandbox.fault("hang", "stripe", seconds=5)
        with pytest.raises(VendorError, match="no reply"):
            connect(timeout_seconds=0.3).check()

    def test_a_credential_that_a_gateway_quotes_is_blanked(self, connect: Connect, sandbox: Sandbox) -> None:
        sandbox.fault("leaky_error", "stripe", status=500)
        with pytest.raises(VendorError) as caught:
            connect().check()
        assert credentials.STRIPE_KEY not in "".join(format_exception(caught.value))

    def test_nobody_there(self, connect: Connect) -> None:
        gone = connect().model_copy(update={"address": "http://127.0.0.1:1"})
        with pytest.raises(VendorError, match="could not connect") as caught:
            gone.refund("pi_1", 1, "duplicate", key="k", metadata={})
        assert not caught.value.unknown

"""The pretend Stripe in Stripe's own words: forms, pages, errors, and keys that are used once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.stripe import ROUTES, nested

PAID = {"days_ago": 40, "lines": [{"description": "Pro", "amount": 900}], "paid_days_ago": 30}


@pytest.fixture
def stripe(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Plain HTTP, as the wire has it."""
    headers = {"Authorization": f"Bearer {credentials.STRIPE_KEY}", "Stripe-Version": "2026-10-28.endive"}
    with httpx.Client(base_url=f"{sandbox.url}/stripe/v1", headers=headers, trust_env=False) as client:
        sandbox.bill({"id": "cus_a", "email": "a@x.example", "name": "A", "days_ago": 50, "invoices": [PAID] * 3})
        yield client


def test_nested_fields() -> None:
    pairs = [("metadata[a]", "1"), ("expand[1]", "y"), ("expand[0]", "x"), ("due_date[lt]", "5"), ("limit", "3")]
    assert nested(pairs) == {"metadata": {"a": "1"}, "expand": ["x", "y"], "due_date": {"lt": "5"}, "limit": "3"}


def test_pages(stripe: httpx.Client) -> None:
    first = stripe.get("/invoices", params={"customer": "cus_a", "limit": 2}).json()
    assert (first["object"], len(first["data"]), first["has_more"]) == ("list", 2, True)
    params = {"customer": "cus_a", "limit": 2, "starting_after": first["data"][-1]["id"]}
    second = stripe.get("/invoices", params=params).json()
    assert (len(second["data"]), second["has_more"]) == (1, False)
    assert second["data"][0]["id"] not in {each["id"] for each in first["data"]}


@pytest.mark.parametrize(
    ("method", "path", "form", "status", "code", "param"),
    [
        ("POST", "/refunds", {"nonsense": "1"}, 400, "parameter_unknown", "nonsense"),
        ("POST", "/refunds", {}, 400, "parameter_missing", "payment_intent"),
        ("POST", "/refunds", {"payment_intent": "pi_never"}, 404, "resource_missing", "id"),
        ("GET", "/invoices/in_never", {}, 404, "resource_missing", "id"),
        ("POST", "/payment_intents", {"customer": "cus_a", "amount": "x", "currency": "eur", "confirm": "true"}, 400,
         "parameter_invalid_integer", "amount"),
    ],
)  # fmt: skip
def test_errors(
    stripe: httpx.Client, method: str, path: str, form: dict[str, str], status: int, code: str, param: str
) -> None:
    reply = stripe.request(method, path, data=form or None)
    assert reply.status_code == status
    assert reply.headers["request-id"].startswith("req_")
    error = reply.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)


def test_a_key_is_used_once_even_for_a_refusal(stripe: httpx.Client) -> None:
    intent = stripe.get("/charges", params={"customer": "cus_a"}).json()["data"][0]["payment_intent"]
    form = {"payment_intent": intent, "amount": "5000"}
    refused, again = (stripe.post("/refunds", data=form, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert "Idempotent-Replayed" not in refused.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert refused.json() == again.json()
    other = stripe.post("/refunds", data=form | {"amount": "1"}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_charge_that_was_refunded_whole_is_refused_by_its_code(stripe: httpx.Client) -> None:
    intent = stripe.get("/charges", params={"customer": "cus_a"}).json()["data"][0]["payment_intent"]
    assert stripe.post("/refunds", data={"payment_intent": intent}).json()["amount"] == 900
    again = stripe.post("/refunds", data={"payment_intent": intent})
    assert again.json()["error"]["code"] == "charge_already_refunded"


def test_every_change_is_an_event(stripe: httpx.Client) -> None:
    kinds = {event["type"] for event in stripe.get("/events", params={"limit": 100}).json()["data"]}
    assert kinds >= {"invoice.finalized", "invoice.paid", "charge.succeeded"}
    paid = stripe.get("/events", params={"type": "invoice.paid"}).json()["data"]
    assert len(paid) == 3


def test_nothing_of_the_sandboxs_own_is_shown(stripe: httpx.Client) -> None:
    invoice = stripe.get("/invoices", params={"customer": "cus_a"}).json()["data"][0]
    assert [name for name in invoice if name.startswith("_")] == []


@pytest.mark.parametrize("header", ["Authorization", "Stripe-Version"])
def test_without_a_key_or_a_version_nothing_is_told(stripe: httpx.Client, header: str) -> None:
    del stripe.headers[header]
    assert stripe.get("/account").status_code in (400, 401)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Customer", "customers"),
        ("Invoice", "invoices"),
        ("Charge", "charges"),
        ("Refund", "refunds"),
        ("CreditNote", "credit_notes"),
        ("Subscription", "subscriptions"),
        ("Event", "events"),
    ],
)
def test_the_fields_are_those_of_the_sdk(stripe: httpx.Client, sandbox: Sandbox, kind: str, path: str) -> None:
    """The SDK's own types say what an object has: the sandbox invents none."""
    import stripe as sdk

    plan = {"plan": "Pro", "amount": 900}
    sandbox.bill({
        "id": "cus_b", "email": "b@x.example", "name": "B", "days_ago": 50, "invoices": [PAID], "subscriptions": [plan],
    })  # fmt: skip
    invoice = stripe.get("/invoices", params={"customer": "cus_b"}).json()["data"][0]["id"]
    stripe.post("/credit_notes", data={"invoice": invoice, "amount": "100", "credit_amount": "100"})
    intent = stripe.get("/charges", params={"customer": "cus_b"}).json()["data"][0]["payment_intent"]
    stripe.post("/refunds", data={"payment_intent": intent})
    shown = stripe.get(f"/{path}").json()["data"][0]
    assert set(shown) - set(getattr(sdk, kind).__annotations__) == set()


PARAMS = {
    "GET /v1/customers": "CustomerListParams",
    "POST /v1/customers": "CustomerCreateParams",
    "GET /v1/invoices": "InvoiceListParams",
    "POST /v1/invoices": "InvoiceCreateParams",
    "POST /v1/invoices/{id}/finalize": "InvoiceFinalizeInvoiceParams",
    "POST /v1/invoices/{id}/pay": "InvoicePayParams",
    "POST /v1/invoiceitems": "InvoiceItemCreateParams",
    "GET /v1/charges": "ChargeListParams",
    "POST /v1/payment_intents": "PaymentIntentCreateParams",
    "GET /v1/refunds": "RefundListParams",
    "POST /v1/refunds": "RefundCreateParams",
    "GET /v1/credit_notes": "CreditNoteListParams",
    "POST /v1/credit_notes": "CreditNoteCreateParams",
    "GET /v1/subscriptions": "SubscriptionListParams",
    "POST /v1/subscriptions": "SubscriptionCreateParams",
    "POST /v1/subscriptions/{id}": "SubscriptionUpdateParams",
    "GET /v1/events": "EventListParams",
}


@pytest.mark.parametrize(("method", "path", "allowed"), [(m, p, a) for m, p, _, a in ROUTES if a])
def test_the_parameters_are_those_of_the_sdk(method: str, path: str, allowed: str) -> None:
    """What Stripe would refuse, the sandbox refuses."""
    from stripe import params

    known: dict[str, Any] = getattr(params, PARAMS[f"{method} {path}"]).__annotations__
    assert set(allowed.split()) - set(known) == set()


def test_a_request_that_was_not_understood_leaves_its_key_unused(stripe: httpx.Client) -> None:
    key = {"Idempotency-Key": "k"}
    assert stripe.post("/customers", data={"nonsense": "1"}, headers=key).status_code == 400
    assert stripe.post("/customers", data={"email": "c@x.example"}, headers=key).json()["email"] == "c@x.example"


def test_an_error_of_stripes_own_is_kept_where_that_is_asked_for(stripe: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.fault("server_error", "stripe", "*/customers", method="POST", commit=True)
    asked = [stripe.post("/customers", data={"email": "c@x.example"}, headers={"Idempotency-Key": "k"}) for _ in "ab"]
    assert [(reply.status_code, reply.json()["error"]["type"]) for reply in asked] == [(500, "api_error")] * 2
    assert asked[1].headers["Idempotent-Replayed"] == "true"
    sandbox.forget_stripe_keys()
    assert stripe.post("/customers", data={"email": "c@x.example"}, headers={"Idempotency-Key": "k"}).is_success


@pytest.mark.parametrize(
    ("params", "status", "param"),
    [
        ({"starting_after": "in_never"}, 404, "starting_after"),
        ({"due_date[before]": "1"}, 400, "due_date[before]"),
        ({"created[gte]": "soon"}, 400, "created"),
    ],
)
def test_a_list_that_cannot_be(stripe: httpx.Client, params: dict[str, str], status: int, param: str) -> None:
    reply = stripe.get("/invoices", params=params)
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)


def test_a_subscription_from_its_price_to_its_end(stripe: httpx.Client) -> None:
    price = "items[0][price_data]"
    form = {
        "customer": "cus_a", "items[0][quantity]": "2", f"{price}[currency]": "eur", f"{price}[unit_amount]": "8900",
        f"{price}[product]": "prod_1", f"{price}[recurring][interval]": "year",
    }  # fmt: skip
    made = stripe.post("/subscriptions", data=form).json()
    assert made["items"]["data"][0]["price"]["recurring"] == {"interval": "year", "interval_count": 1}
    assert stripe.delete(f"/subscriptions/{made['id']}").json()["status"] == "canceled"
    assert stripe.get("/subscriptions").json()["data"] == []
    assert len(stripe.get("/subscriptions", params={"status": "all"}).json()["data"]) == 1
    form[f"{price}[recurring][interval]"] = "quarter"
    assert (
        "must be one of day, week, month, year" in stripe.post("/subscriptions", data=form).json()["error"]["message"]
    )


def test_a_declined_card_is_a_card_error_and_a_failed_charge(stripe: httpx.Client) -> None:
    form = {"customer": "cus_a", "amount": "900", "currency": "eur", "confirm": "true"}
    reply = stripe.post("/payment_intents", data=form | {"payment_method": "pm_card_chargeDeclined"})
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["code"]) == (402, "card_error", "card_declined")
    assert stripe.get("/charges", params={"customer": "cus_a"}).json()["data"][0]["status"] == "failed"
    paid = stripe.post("/payment_intents", data=form | {"payment_method": "pm_card_visa"}).json()
    assert paid["status"] == "succeeded"


def test_a_charge_that_is_disputed_is_not_refunded(stripe: httpx.Client, sandbox: Sandbox) -> None:
    charge = stripe.get("/charges", params={"customer": "cus_a"}).json()["data"][0]
    sandbox.change_in_books("charge", charge["id"], disputed=True)
    refused = stripe.post("/refunds", data={"payment_intent": charge["payment_intent"]}).json()["error"]
    assert refused["code"] == "charge_disputed"


def test_the_page_shows_invoices_refunds_and_credit_notes(stripe: httpx.Client, sandbox: Sandbox) -> None:
    invoice = stripe.get("/invoices", params={"customer": "cus_a"}).json()["data"][0]
    stripe.post(f"/invoices/{invoice['id']}/send")
    form = {"invoice": invoice["id"], "amount": "150", "credit_amount": "150", "memo": "<b>Sorry</b>"}
    stripe.post("/credit_notes", data=form)
    intent = stripe.get("/charges", params={"customer": "cus_a"}).json()["data"][0]["payment_intent"]
    stripe.post("/refunds", data={"payment_intent": intent, "amount": "325", "reason": "duplicate"})
    page = httpx.get(sandbox.url).text
    for words in (invoice["number"], "e-mailed", "EUR 9.00", "EUR 3.25", "duplicate", "DW-CN-0001: EUR 1.50"):
        assert words in page
    assert "&lt;b&gt;Sorry" in page


def test_dockwells_account_agrees_with_its_mail_and_its_crm() -> None:
    from sandbox.company import load
    from sandbox.world import World

    company = load()
    books = World(company).stripe
    contacts = {each["properties"]["email"] for each in company.hubspot["contacts"]}
    assert {customer["email"] for customer in books.all("customer")} <= contacts
    now = time.time()
    open_ones = list(books.all("invoice", lambda each: each["status"] == "open"))
    overdue = sorted(int(now - each["due_date"]) // 86_400 for each in open_ones if each["due_date"] < now)
    assert overdue == [5, 18, 40]
    twice = [each["amount"] for each in books.all("charge", lambda each: each["customer"] == "cus_moeller")]
    assert twice == [8_900, 8_900]
    assert len(list(books.all("invoice", lambda each: each["customer"] == "cus_moeller"))) == 1
    assert sum("SYSTEM" in (each["description"] or "") for each in books.all("invoice")) == 1

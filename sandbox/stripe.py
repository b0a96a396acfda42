"""Stripe's API, in Stripe's words: forms in, JSON out, idempotency keys compared with what they were first used for."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import credentials
from sandbox.stripe_books import DAYS, Books, No
from sandbox.wire import Answer, Ask, Json, Refused, endpoint, json_reply

if TYPE_CHECKING:
    from sandbox.world import World

Handler = Callable[["World", Ask, Json], Json]

PARTS = re.compile(r"[^\[\]]+")
_requests = itertools.count(1)

TYPES = {401: "invalid_request_error", 402: "card_error", 403: "invalid_request_error", 404: "invalid_request_error",
         429: "rate_limit_error", 409: "idempotency_error"}  # fmt: skip


def error(status: int, message: str, code: str | None = None, param: str | None = None, **more: Any) -> Refused:
    """Return a refusal in Stripe's error JSON."""
    kind = more.pop("type", None) or TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    found = {"type": kind, "message": message, "code": code, "param": param}
    body = {"error": {name: value for name, value in found.items() if value is not None}}
    return Refused(status, body, {"request-id": request_id(), **more.pop("headers", {})})


def request_id() -> str:
    """Return a new request id."""
    return f"req_sandbox{next(_requests):08}"


def fault_reply(kind: str, retry_after: float | None) -> Response:
    """Return what Stripe says when it is not well."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    match kind:
        case "rate_limited":
            return error(429, "Request rate limit exceeded.", "rate_limit", headers=headers).response()
        case "unauthorized":
            return error(401, "Invalid API Key provided: rk_test_****").response()
        case "bad_request":
            return error(400, "Received unknown parameter: nonsense", "parameter_unknown", "nonsense").response()
        case "overloaded":
            return error(503, "The service is temporarily unavailable.", headers=headers).response()
        case _:
            return error(500, "An unknown error occurred.").response()


# Requests


def nested(pairs: Any) -> Json:
    """Return `a[b][c]=1` as {"a": {"b": {"c": "1"}}}; `expand[0]=x` as a list."""
    found: Json = {}
    for name, value in pairs:
        *path, last = PARTS.findall(name)
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return {name: _listed(value) for name, value in found.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        if value and all(key.isdigit() for key in value):
            return [_listed(value[key]) for key in sorted(value, key=int)]
        return {key: _listed(each) for key, each in value.items()}
    return value


SHOWN_LINES = 10
RANGES = ("created", "due_date")
BOUNDS = ("gt", "gte", "lt", "lte")


def known_only(given: Mapping[str, Any], allowed: str) -> None:
    """Refuse a parameter that the operation does not have."""
    inside = [
        (f"{name}[{bound}]", bound in BOUNDS)
        for name in RANGES
        if isinstance(given.get(name), dict)
        for bound in given[name]
    ]
    for name, known in [*((name, name in (*allowed.split(), "expand")) for name in given), *inside]:
        if not known:
            raise No(f"Received unknown parameter: {name}", "parameter_unknown", name)


def number(given: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Return a whole number of the request's."""
    value = given.get(name)
    if value in (None, "") and default is not None:
        return default
    if value in (None, ""):
        raise No(f"Missing required param: {name}.", "parameter_missing", name)
    try:
        return int(str(value))
    except ValueError:
        raise No(f"Invalid integer: {value}", "parameter_invalid_integer", name) from None


def wanted(given: Mapping[str, Any], name: str) -> str:
    """Return a text of the request's."""
    if not given.get(name):
        raise No(f"Missing required param: {name}.", "parameter_missing", name)
    return str(given[name])


def shown(thing: Json) -> Json:
    """Return an object without what is the sandbox's own about it, and of an invoice's lines the first ten."""
    told = {name: value for name, value in thing.items() if not name.startswith("_")}
    if thing.get("object") == "invoice" and "lines" in thing:
        lines = thing["lines"]["data"]
        told["lines"] = thing["lines"] | {"data": lines[:SHOWN_LINES], "has_more": len(lines) > SHOWN_LINES}
    return told


def page(ask: Ask, things: Iterator[Json]) -> Json:
    """Return the page of a list that was asked for."""
    given = nested(ask.query.multi_items())
    made = span(given, "created")
    rows = [shown(thing) for thing in things if in_range(thing["created"], made)]
    after = given.get("starting_after")
    start = next((at + 1 for at, row in enumerate(rows) if row["id"] == after), None) if after else 0
    if start is None:
        raise No(f"No such object: '{after}'", "resource_missing", "starting_after", 404)
    limit = min(number(given, "limit", 10), 100)
    return {
        "object": "list",
        "url": ask.url,
        "has_more": len(rows) > start + limit,
        "data": rows[start : start + limit],
    }


def span(given: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return the bounds that a time was asked for with; a bare number is both."""
    asked = given.get(name) or {}
    bounds = asked if isinstance(asked, dict) else {"gte": asked, "lte": asked}
    return {bound: number({name: value}, name) for bound, value in bounds.items()}


def in_range(value: int | None, bounds: Mapping[str, int]) -> bool:
    """Say whether a time lies within `gt`, `gte`, `lt` and `lte`."""
    if value is None:
        return not bounds
    tests = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
    return all(tests[name](bound) for name, bound in bounds.items())


# Operations


def list_customers(world: World, ask: Ask, given: Json) -> Json:
    """GET /v1/customers. The address is compared to the letter."""
    alive = world.stripe.all("customer", lambda customer: "deleted" not in customer)
    return page(ask, (each for each in alive if given.get("email") in (None, each["email"])))


def create_customer(world: World, _ask: Ask, given: Json) -> Json:
    """POST /v1/customers."""
    return world.stripe.new(
        "customer", email=given.get("email"), name=given.get("name"), currency=None, balance=0, delinquent=False,
        metadata=given.get("metadata"), description=given.get("description"),
    )  # fmt: skip


def get_customer(world: World, ask: Ask, _given: Json) -> Json:
    """GET /v1/customers/{id}."""
    return world.stripe.get("customer", ask.path["id"])


def delete_customer(world: World, ask: Ask, _given: Json) -> Json:
    """DELETE /v1/customers/{id}."""
    found = world.stripe.get("customer", ask.path["id"])
    gone = {"id": found["id"], "object": "customer", "deleted": True, "created": found["created"]}
    world.stripe.objects["customer"][found["id"]] = gone
    return {name: value for name, value in gone.items() if name != "created"}


def list_invoices(world: World, ask: Ask, given: Json) -> Json:
    """GET /v1/invoices."""
    books = world.stripe
    due = span(given, "due_date")

    def fits(invoice: Json) -> bool:
        mine = given.get("customer") in (None, invoice["customer"]) and given.get("status") in (None, invoice["status"])
        return mine and in_range(invoice["due_date"], due)

    found = page(ask, books.all("invoice", fits))
    if "data.payments" in given.get("expand", []):
        for row in found["data"]:
            row["payments"] = {"object": "list", "has_more": False, "data": books.payments_of(row)}
    return found


def create_invoice(world: World, _ask: Ask, given: Json) -> Json:
    """POST /v1/invoices."""
    customer = world.stripe.get("customer", wanted(given, "customer"))
    if given.get("collection_method") == "send_invoice" and not (given.get("days_until_due") or given.get("due_date")):
        raise No("You must pass days_until_due or due_date.", "parameter_missing", "days_until_due")
    invoice = new_invoice(world.stripe, customer, given.get("currency") or customer["currency"] or "eur",
                          description=given.get("description"), metadata=given.get("metadata"))  # fmt: skip
    invoice["_days"] = number(given, "days_until_due", 30)
    return invoice


def new_invoice(books: Books, customer: Json, currency: str, **more: Any) -> Json:
    """Return a draft without lines."""
    customer["currency"] = customer["currency"] or currency
    return books.new(
        "invoice", customer=customer["id"], customer_email=customer["email"], customer_name=customer["name"],
        currency=currency, status="draft", number=None, collection_method="send_invoice", auto_advance=False,
        description=more.pop("description", None), due_date=more.pop("due_date", None), hosted_invoice_url=None,
        lines={"object": "list", "data": [], "has_more": False}, total=0, subtotal=0, amount_due=0, amount_paid=0,
        amount_remaining=0, pre_payment_credit_notes_amount=0, post_payment_credit_notes_amount=0, **more,
    )  # fmt: skip


def get_invoice(world: World, ask: Ask, _given: Json) -> Json:
    """GET /v1/invoices/{id}."""
    return world.stripe.get("invoice", ask.path["id"])


def delete_invoice(world: World, ask: Ask, _given: Json) -> Json:
    """DELETE /v1/invoices/{id}: of a draft only."""
    found = world.stripe.get("invoice", ask.path["id"])
    if found["status"] != "draft":
        raise No("You can only delete draft invoices.", "invoice_not_editable")
    del world.stripe.objects["invoice"][found["id"]]
    return {"id": found["id"], "object": "invoice", "deleted": True}


def change_invoice(change: str) -> Handler:
    """Return the handler of POST /v1/invoices/{id}/<change>."""

    def handler(world: World, ask: Ask, _given: Json) -> Json:
        changed: Json = getattr(world.stripe, change)(world.stripe.get("invoice", ask.path["id"]))
        return changed

    return handler


def create_item(world: World, _ask: Ask, given: Json) -> Json:
    """POST /v1/invoiceitems."""
    invoice = world.stripe.get("invoice", wanted(given, "invoice"))
    if invoice["customer"] != given.get("customer"):
        raise No("The invoice belongs to another customer.", None, "invoice")
    if given.get("currency") != invoice["currency"]:
        raise No("The currency must match the invoice's.", None, "currency")
    if "amount" in given and ("unit_amount_decimal" in given or "quantity" in given):
        raise No("You may only specify one of these parameters: amount, unit_amount_decimal.", None, "amount")
    quantity = number(given, "quantity", 1)
    amount = quantity * number(given, "unit_amount_decimal") if "amount" not in given else number(given, "amount")
    text = given.get("description")
    line = world.stripe.add_item(invoice, str(text or ""), amount, quantity)
    return world.stripe.new("invoiceitem", invoice=invoice["id"], customer=invoice["customer"], amount=amount,
                            currency=invoice["currency"], description=text, line=line["id"])  # fmt: skip


def list_charges(world: World, ask: Ask, given: Json) -> Json:
    """GET /v1/charges."""
    names = [name for name in ("customer", "payment_intent") if name in given]
    return page(ask, world.stripe.all("charge", lambda c: all(c[name] == given[name] for name in names)))


def create_intent(world: World, _ask: Ask, given: Json) -> Json:
    """POST /v1/payment_intents: confirmed at once, by a test card."""
    customer = world.stripe.get("customer", wanted(given, "customer"))
    if given.get("confirm") != "true":
        raise No("The sandbox takes only what is confirmed at once: confirm=true.", "parameter_missing", "confirm")
    charge = world.stripe.charge(
        customer["id"], number(given, "amount"), wanted(given, "currency"), wanted(given, "payment_method"),
        description=given.get("description"),
    )  # fmt: skip
    if charge["status"] == "failed":
        raise No("Your card was declined.", "card_declined", None, 402)
    return world.stripe.get("payment_intent", charge["payment_intent"])


def get_intent(world: World, ask: Ask, _given: Json) -> Json:
    """GET /v1/payment_intents/{id}."""
    return world.stripe.get("payment_intent", ask.path["id"])


def list_refunds(world: World, ask: Ask, given: Json) -> Json:
    """GET /v1/refunds."""
    names = [name for name in ("charge", "payment_intent") if name in given]
    return page(ask, world.stripe.all("refund", lambda r: all(r[name] == given[name] for name in names)))


def create_refund(world: World, _ask: Ask, given: Json) -> Json:
    """POST /v1/refunds."""
    intent = world.stripe.get("payment_intent", wanted(given, "payment_intent"))
    reason = given.get("reason")
    if reason not in (None, "duplicate", "fraudulent", "requested_by_customer"):
        raise No("Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer", None, "reason")
    amount = number(given, "amount") if "amount" in given else None
    if amount is not None and amount < 1:
        raise No("Invalid positive integer", "parameter_invalid_integer", "amount")
    charge = world.stripe.get("charge", intent["latest_charge"])
    return world.stripe.refund(charge, amount, reason=reason, metadata=given.get("metadata"))


def list_credit_notes(world: World, ask: Ask, given: Json) -> Json:
    """GET /v1/credit_notes."""
    if "invoice" in given:
        world.stripe.get("invoice", given["invoice"])
    return page(ask, world.stripe.all("credit_note", lambda note: given.get("invoice") in (None, note["invoice"])))


def create_credit_note(world: World, _ask: Ask, given: Json) -> Json:
    """POST /v1/credit_notes."""
    invoice = world.stripe.get("invoice", wanted(given, "invoice"))
    amount = number(given, "amount")
    if invoice["status"] == "paid" and number(given, "credit_amount", 0) != amount:
        raise No(
            "The sum of credit, refund and out of band amounts must equal the credit note's.", None, "credit_amount"
        )
    if invoice["status"] == "open" and "credit_amount" in given:
        raise No("credit_amount can only be given for a paid invoice.", None, "credit_amount")
    return world.stripe.credit(invoice, amount, memo=given.get("memo"), metadata=given.get("metadata"))


def list_subscriptions(world: World, ask: Ask, given: Json) -> Json:
    """GET /v1/subscriptions: those that have not ended, unless all of them or the ended ones are asked for."""
    status = given.get("status")

    def fits(subscription: Json) -> bool:
        is_now = subscription["status"]
        asked = status == "all" or (is_now == status if status else is_now != "canceled")
        return asked and given.get("customer") in (None, subscription["customer"])

    return page(ask, world.stripe.all("subscription", fits))


def create_subscription(world: World, _ask: Ask, given: Json) -> Json:
    """POST /v1/subscriptions: of prices that are given with it."""
    customer = world.stripe.get("customer", wanted(given, "customer"))
    items = given.get("items")
    if not isinstance(items, list) or not items:
        raise No("Missing required param: items.", "parameter_missing", "items")
    made = [new_item(number(each, "quantity", 1), each.get("price_data") or {}) for each in items]
    return world.stripe.subscribe(customer, made, description=given.get("description"), metadata=given.get("metadata"))


def new_item(quantity: int, price: Mapping[str, Any]) -> Json:
    """Return a subscription's item of a price that is given with it."""
    recurring = price.get("recurring") or {}
    interval, count = wanted(recurring, "interval"), number(recurring, "interval_count", 1)
    if interval not in DAYS:
        raise No(f"Invalid interval: must be one of {', '.join(DAYS)}", None, "interval")
    made = {"object": "price", "unit_amount": number(price, "unit_amount"), "currency": wanted(price, "currency"),
            "nickname": None, "recurring": {"interval": interval, "interval_count": count}}  # fmt: skip
    ends = int(time.time()) + count * DAYS[interval] * 86_400
    return {"object": "subscription_item", "price": made, "quantity": quantity, "current_period_end": ends}


def change_subscription(world: World, ask: Ask, given: Json) -> Json:
    """POST /v1/subscriptions/{id}: whether it ends with its period."""
    found = world.stripe.get("subscription", ask.path["id"])
    if "cancel_at_period_end" in given:
        found["cancel_at_period_end"] = given["cancel_at_period_end"] == "true"
    world.stripe.tell("customer.subscription.updated", found)
    return found


def cancel_subscription(world: World, ask: Ask, _given: Json) -> Json:
    """DELETE /v1/subscriptions/{id}: at once."""
    return world.stripe.cancel(world.stripe.get("subscription", ask.path["id"]))


def list_events(world: World, ask: Ask, given: Json) -> Json:
    """GET /v1/events."""
    kinds = given.get("types") or ([given["type"]] if "type" in given else [])
    return page(ask, world.stripe.all("event", lambda event: not kinds or event["type"] in kinds))


def get_account(_world: World, _ask: Ask, _given: Json) -> Json:
    """GET /v1/account."""
    return {"id": "acct_sandbox", "object": "account", "email": "billing@dockwell.example"}


NEW_INVOICE = (
    "customer currency collection_method days_until_due auto_advance pending_invoice_items_behavior description "
    "due_date metadata"
)
NEW_ITEM = "customer invoice currency description amount quantity unit_amount_decimal metadata"
NEW_INTENT = "amount currency customer payment_method confirm description off_session metadata"

ROUTES: tuple[tuple[str, str, Handler, str], ...] = (
    ("GET", "/v1/account", get_account, ""),
    ("GET", "/v1/customers", list_customers, "email limit starting_after created"),
    ("POST", "/v1/customers", create_customer, "email name description phone metadata"),
    ("GET", "/v1/customers/{id}", get_customer, ""),
    ("DELETE", "/v1/customers/{id}", delete_customer, ""),
    ("GET", "/v1/invoices", list_invoices, "customer status due_date limit starting_after created collection_method"),
    ("POST", "/v1/invoices", create_invoice, NEW_INVOICE),
    ("GET", "/v1/invoices/{id}", get_invoice, ""),
    ("DELETE", "/v1/invoices/{id}", delete_invoice, ""),
    ("POST", "/v1/invoices/{id}/finalize", change_invoice("finalize"), "auto_advance"),
    ("POST", "/v1/invoices/{id}/send", change_invoice("send"), ""),
    ("POST", "/v1/invoices/{id}/void", change_invoice("void"), ""),
    ("POST", "/v1/invoices/{id}/pay", change_invoice("pay"), "payment_method"),
    ("POST", "/v1/invoiceitems", create_item, NEW_ITEM),
    ("GET", "/v1/charges", list_charges, "customer payment_intent limit starting_after created"),
    ("POST", "/v1/payment_intents", create_intent, NEW_INTENT),
    ("GET", "/v1/payment_intents/{id}", get_intent, ""),
    ("GET", "/v1/refunds", list_refunds, "payment_intent charge limit starting_after created"),
    ("POST", "/v1/refunds", create_refund, "payment_intent amount reason metadata"),
    ("GET", "/v1/credit_notes", list_credit_notes, "invoice customer limit starting_after created"),
    ("POST", "/v1/credit_notes", create_credit_note, "invoice amount memo reason credit_amount metadata"),
    ("GET", "/v1/subscriptions", list_subscriptions, "customer status limit starting_after created"),
    ("POST", "/v1/subscriptions", create_subscription, "customer items description metadata"),
    ("POST", "/v1/subscriptions/{id}", change_subscription, "cancel_at_period_end"),
    ("DELETE", "/v1/subscriptions/{id}", cancel_subscription, ""),
    ("GET", "/v1/events", list_events, "type types created limit starting_after"),
)
"""Method, path, handler, and the parameters that it takes besides `expand`: any other is refused, as Stripe does."""


def served(world: World, ask: Ask, handler: Handler, allowed: str) -> Answer:
    """Run an operation once for each idempotency key, and give the first reply again, whatever it was."""
    given = nested(ask.query.multi_items()) if not ask.body else nested(ask.body.items())
    key = ask.headers.get("idempotency-key")
    asked = json.dumps([ask.url.partition("/stripe")[2], given], sort_keys=True)
    if key and (before := world.stripe.keys.get(key)):
        if before[0] != asked:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            raise error(400, message, type="idempotency_error")
        return json_reply(before[2], before[1], {"request-id": request_id(), "Idempotent-Replayed": "true"})
    begun = True
    try:
        known_only(given, allowed)
        if ask.meets("server_error"):
            raise No("An unknown error occurred.", status=500)
        status, body = 200, shown(handler(world, ask, given))
    except No as no:
        refused = error(no.status, no.message, no.code, no.param)
        status, body = refused.status, refused.body
        begun = not (no.code or "").startswith("parameter_")  # Stripe keeps no reply of what it has not begun
    if key and begun:
        world.stripe.keys[key] = (asked, status, json.loads(json.dumps(body)))
    return json_reply(body, status, {"request-id": request_id()})


def routes(world: World) -> Iterator[Route]:
    """Yield Stripe's routes, relative to `/stripe`."""

    def check(request: Request) -> None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise error(401, "You did not provide an API key.")
        if key == credentials.STRIPE_KEY_WITHOUT_WRITES and request.method == "POST":
            message = "The provided key 'rk_test_***' does not have the required permissions: rak_write"
            raise error(403, message, "more_permissions_required")
        if key not in (credentials.STRIPE_KEY, credentials.STRIPE_KEY_WITHOUT_WRITES):
            raise error(401, "Invalid API Key provided: rk_test_****")
        if "stripe-version" not in request.headers:
            raise error(400, "The sandbox wants a pinned Stripe-Version.")

    def bad_json() -> Refused:
        return error(400, "Invalid request")

    def in_world(handler: Handler, allowed: str) -> Callable[[Ask], Answer]:
        return lambda ask: served(world, ask, handler, allowed)

    for method, path, handler, allowed in ROUTES:
        yield Route(path, endpoint(in_world(handler, allowed), check, bad_json), methods=[method])

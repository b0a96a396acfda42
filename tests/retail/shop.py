"""A shop with orders to cancel, change, return and exchange: what the retail tasks of tau2-bench work on.

Nothing here is idempotent: an order that is changed twice shows it. The rules are those of the data set's policy.
"""

from __future__ import annotations

import ast
import json
import operator
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Thing = dict[str, Any]


class ShopError(Exception):
    """The shop says no."""


class Shop:
    """Products, users and orders, each a row; and the marker of every change that was made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trap: Callable[[], None] = lambda: None
        """Called on either side of a change's commit."""

    @classmethod
    def open(cls, path: Path, things: Mapping[str, Mapping[str, Thing]]) -> Shop:
        """Make a shop that holds these."""
        shop = cls(path)
        with shop._connected() as database:
            database.execute("CREATE TABLE things (kind TEXT, id TEXT, content TEXT, PRIMARY KEY (kind, id))")
            database.execute("CREATE TABLE made (marker TEXT)")
            rows = ((kind, id, json.dumps(thing)) for kind, all in things.items() for id, thing in all.items())
            database.executemany("INSERT INTO things VALUES (?, ?, ?)", rows)
        return shop

    def get(self, kind: str, id: str) -> Thing:
        """One thing, as it is now."""
        with self._connected() as database:
            return _get(database, kind, id)

    def find(self, kind: str, wanted: Callable[[Thing], bool]) -> Thing:
        """The first thing that is wanted."""
        with self._connected() as database:
            for (content,) in database.execute("SELECT content FROM things WHERE kind = ? ORDER BY id", (kind,)):
                if wanted(thing := json.loads(content)):
                    return thing  # type: ignore[no-any-return]
        raise ShopError(f"no such {kind}")

    def change(self, name: str, given: Mapping[str, Any], marker: str) -> str:
        """Make a change, and keep the marker with it."""
        with self._connected() as database:
            thing = CHANGES[name](database, **given)
            thing["changed"] = thing.get("changed", 0) + 1
            kind = "orders" if "order_id" in thing else "users"
            id = thing.get("order_id") or thing["user_id"]
            database.execute("UPDATE things SET content = ? WHERE kind = ? AND id = ?", (json.dumps(thing), kind, id))
            database.execute("INSERT INTO made VALUES (?)", (marker,))
            self.trap()
        self.trap()
        return str(id)

    def was_made(self, marker: str) -> bool:
        """Whether a change with this marker is there."""
        with self._connected() as database:
            return database.execute("SELECT 1 FROM made WHERE marker = ?", (marker,)).fetchone() is not None

    def state(self) -> list[tuple[str, str, str]]:
        """All that it holds, without the markers; a thing's fields in the order of their names."""
        with self._connected() as database:
            rows = list(database.execute("SELECT kind, id, content FROM things ORDER BY kind, id"))
        return [(kind, id, json.dumps(json.loads(content), sort_keys=True)) for kind, id, content in rows]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=30)
        try:
            with database:
                yield database
        finally:
            database.close()


def _get(database: sqlite3.Connection, kind: str, id: str) -> Thing:
    row = database.execute("SELECT content FROM things WHERE kind = ? AND id = ?", (kind, id)).fetchone()
    if row is None:
        raise ShopError(f"{kind} has no {id}")
    thing: Thing = json.loads(row[0])
    return thing


def _order(database: sqlite3.Connection, order_id: str, status: str) -> Thing:
    order = _get(database, "orders", order_id)
    if order["status"] != status:
        raise ShopError(f"{order_id} is {order['status']}, not {status}")
    return order


def cancel_pending_order(database: sqlite3.Connection, order_id: str, reason: str) -> Thing:
    order = _order(database, order_id, "pending")
    refunds = [{**paid, "transaction_type": "refund"} for paid in order["payment_history"]]
    return order | {"status": "cancelled", "reason": reason, "payment_history": order["payment_history"] + refunds}


def modify_pending_order_address(database: sqlite3.Connection, order_id: str, **address: str) -> Thing:
    return _order(database, order_id, "pending") | {"address": address}


def modify_pending_order_payment(database: sqlite3.Connection, order_id: str, payment_method_id: str) -> Thing:
    order = _order(database, order_id, "pending")
    paid = order["payment_history"][0] | {"payment_method_id": payment_method_id}
    return order | {"payment_history": [*order["payment_history"], paid]}


def modify_pending_order_items(
    database: sqlite3.Connection, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Thing:
    order = _order(database, order_id, "pending")
    changed = {"paid_with": payment_method_id, "status": "pending (items modified)"}
    return order | changed | {"items": _exchanged(database, order, item_ids, new_item_ids)}


def exchange_delivered_order_items(
    database: sqlite3.Connection, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Thing:
    order = _order(database, order_id, "delivered")
    changed = {"exchange_with": payment_method_id, "status": "exchange requested"}
    return order | changed | {"exchanged": _exchanged(database, order, item_ids, new_item_ids)}


def return_delivered_order_items(
    database: sqlite3.Connection, order_id: str, item_ids: list[str], payment_method_id: str
) -> Thing:
    order = _order(database, order_id, "delivered")
    held = [item["item_id"] for item in order["items"]]
    if any(item_ids.count(item) > held.count(item) for item in item_ids):
        raise ShopError("the order has not so many of these items")
    return order | {"status": "return requested", "returned": sorted(item_ids), "refund_to": payment_method_id}


def modify_user_address(database: sqlite3.Connection, user_id: str, **address: str) -> Thing:
    return _get(database, "users", user_id) | {"address": address}


def _exchanged(database: sqlite3.Connection, order: Thing, item_ids: list[str], new_item_ids: list[str]) -> list[Thing]:
    items = [dict(item) for item in order["items"]]
    for old, new in zip(item_ids, new_item_ids, strict=True):
        item = next((each for each in items if each["item_id"] == old), None)
        if item is None:
            raise ShopError(f"the order has no {old}")
        variant = _get(database, "products", item["product_id"])["variants"].get(new)
        if variant is None or not variant["available"]:
            raise ShopError(f"{new} is not to be had")
        item |= {"item_id": new, "price": variant["price"], "options": variant["options"]}
    return items


CHANGES: dict[str, Callable[..., Thing]] = {
    each.__name__: each
    for each in (
        cancel_pending_order, modify_pending_order_address, modify_pending_order_payment, modify_pending_order_items,
        exchange_delivered_order_items, return_delivered_order_items, modify_user_address,
    )
}  # fmt: skip


def look(shop: Shop, name: str, given: Mapping[str, Any]) -> Any:
    """One of the reads."""
    match name, dict(given):
        case "get_order_details", {"order_id": id}:
            return shop.get("orders", id)
        case "get_user_details", {"user_id": id}:
            return shop.get("users", id)
        case "get_product_details", {"product_id": id}:
            return shop.get("products", id)
        case "get_item_details", {"item_id": id}:
            return shop.find("products", lambda product: id in product["variants"])["variants"][id]
        case "find_user_id_by_email", {"email": email}:
            return shop.find("users", lambda user: user["email"].lower() == email.lower())["user_id"]
        case "find_user_id_by_name_zip", {"first_name": first, "last_name": last, "zip": code}:
            return shop.find("users", lambda user: _is_called(user, first, last, code))["user_id"]
        case "calculate", {"expression": text}:
            return f"{calculated(ast.parse(text, mode='eval').body):.2f}"
        case "transfer_to_human_agents", _:
            return "Transfer successful"
    raise ShopError(f"there is no {name}")


READS = (
    "get_order_details", "get_user_details", "get_product_details", "get_item_details", "find_user_id_by_email",
    "find_user_id_by_name_zip", "calculate", "transfer_to_human_agents",
)  # fmt: skip


def _is_called(user: Thing, first: str, last: str, code: str) -> bool:
    name = user["name"]
    called = (name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"])
    return called == (first.lower(), last.lower(), code)


OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def calculated(node: ast.expr) -> float:
    """The value of a sum, and of nothing else that Python could do."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](calculated(left), calculated(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -calculated(operand)
    raise ShopError("this is no sum")

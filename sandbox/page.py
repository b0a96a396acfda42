"""The page that shows the pretend company to a person."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from sandbox.folders import FOLDER
from sandbox.wire import Json

TITLES = {
    "notes": "Notes",
    "tasks": "Tasks",
    "contacts": "Contacts",
    "deals": "Deals",
    "tickets": "Tickets",
    "companies": "Companies",
}
NAMED_BY = ("dealname", "hs_task_subject", "subject", "name", "hs_note_body", "email")
BOOKS = {"stripe_invoices": "invoices", "stripe_refunds": "refunds", "stripe_credit_notes": "credit notes"}
HIDDEN = {*NAMED_BY, "firstname", "lastname", "createdate", "hs_createdate", "hubspot_owner_id"} - {"email"}
TAG = re.compile(r"<[^>]+>")


def plain(value: str) -> str:
    """Return rich text without its tags."""
    return " ".join(TAG.sub(" ", value).split())


def title_of(thing: Json) -> str:
    """Return what a person would call a record."""
    properties = thing["properties"]
    person = " ".join(properties[each] for each in ("firstname", "lastname") if each in properties)
    return person or next((plain(properties[each]) for each in NAMED_BY if each in properties), thing["id"])


def when(moment: float) -> str:
    """Return a moment for reading."""
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b %Y, %H:%M UTC")


def amount(thing: Json, name: str = "amount") -> str:
    """Return an amount of Stripe's for reading; the company's currencies all have cents."""
    return f"{thing['currency'].upper()} {thing[name] / 100:,.2f}"


def environment() -> Environment:
    """Return a template environment in which everything is escaped."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    made.filters |= {"when": when, "plain": plain, "title_of": title_of, "amount": amount}
    return made


TEMPLATE = environment().from_string((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))


def render(state: Json) -> str:
    """Return the page for a state of the sandbox."""
    shown = ("sent", "slack", "notion", "inbox", *TITLES, *BOOKS, "files")
    names = {"sent": "sent", "slack": "Slack posts", "notion": "Notion pages", "inbox": "in the inbox", **BOOKS}
    names["files"] = "files in Drive"
    files = [item for item in state["drive"] if item["mime_type"] != FOLDER]
    counts = state["counts"] | {"files": len(files)}
    return TEMPLATE.render(
        state,
        sections=[(each, names.get(each, each), counts[each]) for each in shown],
        files=files,
        billed={each["id"]: each["email"] for each in state["stripe_customers"] if "email" in each},
        records=[(kind, title, state[kind]) for kind, title in TITLES.items()],
        names=record_names(state),
        labels_by_id=state["label_names"],
        hidden=HIDDEN,
    )


def record_names(state: Json) -> dict[str, str]:
    """Return what each record is called, for the chips that say what belongs to whom."""
    things: list[tuple[str, Any]] = [(kind, thing) for kind in TITLES for thing in state[kind]]
    return {f"{kind}/{thing['id']}": title_of(thing)[:40] for kind, thing in things}

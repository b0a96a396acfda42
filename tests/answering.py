"""What the tests of the support answers share: the pretend company's documents in a library, and a trained model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from blocks.documents import read
from blocks.embedded import EmbeddedModel
from blocks.hubspot import HubSpot
from blocks.library import Item, Library
from sandbox.company import drive
from sandbox.folders import DOCUMENT

DATA = Path(os.environ.get("SIGNOFF_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""What is too large for the repository; a test that needs it is skipped without it."""

ANSWERS: dict[str, dict[str, Any]] = json.loads((drive.HERE / "answers.json").read_text(encoding="utf-8"))
"""By e-mail: which articles answer it, and what would show that the handbook did."""

ANSWERED_FROM = ("help-centre", "handbook")
"""The folders of the company's Drive that support answers come from; meetings and papers lie in others."""

INTERNAL = sorted({leak for answer in ANSWERS.values() for leak in answer.get("internal", ())})
"""What no stranger may read."""


def company_library(folder: Path) -> str:
    """The address of a library that holds the pretend company's Drive; made in this folder, once."""
    path = folder / "company.db"
    url = f"sqlite:///{path}"
    if not path.exists():
        library = Library.open(url)
        for source, item, content, mime_type in documents():
            library.begin(source, "the pretend company's Drive")
            library.put(source, item, hashlib.sha256(content).hexdigest(), read(content, item.name, mime_type))
        library.engine.dispose()
    return url


@cache
def built_in() -> EmbeddedModel:
    """The built-in model, the same for all tests of this process: it takes seconds to learn a prompt."""
    return EmbeddedModel()


def documents() -> Iterator[tuple[str, Item, bytes, str]]:
    """Each file that the company answers from, with the source that it is indexed from, and its type."""
    rows = {row["id"]: row for row in json.loads((drive.HERE / "index.json").read_text(encoding="utf-8"))}
    for row in rows.values():
        source = row.get("file", "").split("/")[0]
        if source in ANSWERED_FROM:
            mime_type, content = drive.content_of(row)
            link = f"https://docs.google.com/document/d/{row['id']}/edit"
            item = Item(row["id"], row["name"], "1", readers_of(row, rows), link, anchored=False)
            yield source, item, content, "text/markdown" if mime_type == DOCUMENT else mime_type


def readers_of(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> frozenset[str]:
    """Whom a file is shared with, by itself or through the folders above it."""
    own = frozenset(row.get("readers", ()))
    if row.get("limited") or row.get("parent", "root") == "root":
        return own
    return own | readers_of(rows[row["parent"]], rows)


def leaks(text: str) -> list[str]:
    """What of the handbook stands in a text, whatever the markup around it."""
    plain = " ".join(text.replace("*", "").split()).casefold()
    return [leak for leak in INTERNAL if " ".join(leak.replace("*", "").split()).casefold() in plain]


TICKET_TO_CONTACT = 16  # hubspot.crm.AssociationType


def open_ticket(hubspot: HubSpot, contact: str = "", **properties: str) -> str:
    """Open a ticket in HubSpot, of the contact with this address when one is named; returns its id."""
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TICKET_TO_CONTACT}]
    links = [{"to": {"id": hubspot.upsert_contact(contact, {})}, "types": types}] if contact else []
    fields = {"subject": "Labels", "content": "The labels are cut off.", "hs_pipeline": "0", "hs_pipeline_stage": "1"}
    made = hubspot.get_client().crm.tickets.basic_api.create({"properties": fields | properties, "associations": links})
    return str(made.id)


DEAL_TO_CONTACT = 3  # hubspot.crm.AssociationType


def open_deal(hubspot: HubSpot, contact: str = "", **properties: str) -> str:
    """Make a deal whose contract was sent, of the contact with this address when one is named; returns its id."""
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": DEAL_TO_CONTACT}]
    links = [{"to": {"id": hubspot.upsert_contact(contact, {})}, "types": types}] if contact else []
    fields = {"dealname": "Northwind - 2 sites", "dealstage": "contractsent", "pipeline": "default", "amount": "900"}
    made = hubspot.get_client().crm.deals.basic_api.create({"properties": fields | properties, "associations": links})
    return str(made.id)

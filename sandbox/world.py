"""The whole state of the sandbox: mailbox, drive, CRM, workspace, account, notes, model, and what happened."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import Any

from sandbox import mime
from sandbox.anthropic import Model
from sandbox.batches import Batches
from sandbox.crm import Crm, Thing
from sandbox.crm_schema import MODIFIED, UNIQUE, Property
from sandbox.faults import FaultBook
from sandbox.folders import Drive, Grant
from sandbox.gmail import Tokens
from sandbox.google_consent import Consents
from sandbox.mailbox import Mailbox
from sandbox.notion import Notebook
from sandbox.seed import Company, EmptyCompany
from sandbox.slack import Workspace
from sandbox.stripe_books import Books
from sandbox.stripe_seed import fill_books

KEPT_REQUESTS = 10_000


class World:
    """Everything the sandbox remembers. Google's tokens outlive a reset, so that clients need not log in again."""

    def __init__(self, company: Company | None = None) -> None:
        """Open for business, with the company's records if there is one."""
        self.company: Company = company or EmptyCompany()
        self.tokens = Tokens()
        self.consents = Consents()
        self.reset()

    def reset(self, *, empty: bool = False) -> None:
        """Go back to the first moment; `empty` leaves the company's records out."""
        company: Company = EmptyCompany() if empty else self.company
        self.name = company.name
        self.mail = Mailbox(company.mailbox)
        self.drive = Drive(company.mailbox)
        self.crm = Crm()
        self.slack = Workspace(company.slack_channels)
        self.stripe = Books()
        self.notion = Notebook(company.notion)
        self.model = Model()
        self.batches = Batches()
        self.faults = FaultBook()
        self.requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        fill_mailbox(self.mail, company)
        fill_drive(self.drive, company)
        fill_crm(self.crm, company)
        fill_books(self.stripe, company.stripe)

    def mail_of(self, account: str | None) -> Mailbox:
        """Return the mailbox of a Google account: the company's, or that of a stranger, which is empty."""
        return self.mail if account is None else Mailbox(account)

    def drive_of(self, account: str | None) -> Drive:
        """Return the Drive of a Google account: the company's, or that of a stranger, which is empty."""
        return self.drive if account is None else Drive(account)


def fill_mailbox(box: Mailbox, company: Company) -> None:
    """Deliver the company's mail, sent and received, in the order of its dates."""
    sent = [(raw, ("SENT",)) for raw in company.sent]
    received = [(raw, ("INBOX", "UNREAD")) for raw in company.emails]
    for raw, labels in sorted([*sent, *received], key=lambda each: arrival(each[0])):
        box.deliver(raw, labels)


def arrival(raw: bytes) -> float:
    """Return when a message came; one without a usable date comes last, because it counts as just arrived."""
    date = mime.date_ms(mime.parse(raw))
    return float("inf") if date is None else date


def fill_drive(drive: Drive, company: Company) -> None:
    """Put the company's folders and files in their places, and share them as it says."""
    for row in company.drive:
        parent = drive.root if row["parent"] == "root" else drive.items[row["parent"]]
        item = drive.add(row["name"], row["mime_type"], parent, id=row["id"], data=row["content"])
        item.created = item.modified = time.time() - row["days_ago"] * 86400
        item.limited = row["limited"]
        for who in row["readers"]:
            drive.grant(item, Grant.of(who))


def fill_crm(crm: Crm, company: Company) -> None:
    """Create the company's records, then associate them; properties that only they have become custom ones."""
    records = company.hubspot
    crm.owners = [owner(record) for record in records.get("owners", [])] or [founder(company)]
    kinds = {kind: rows for kind, rows in records.items() if kind in MODIFIED}
    for kind, rows in kinds.items():
        for row in rows:
            fill_record(crm, kind, row)
    for kind, rows in kinds.items():
        for row in rows:
            for each in row.get("associations", []):
                crm.link(crm.things[kind, row["id"]], crm.things[each["to_type"], each["to_id"]])


def fill_record(crm: Crm, kind: str, row: dict[str, Any]) -> Thing:
    """Create one record with the dates it states."""
    texts = {name: None if value in (None, "") else str(value) for name, value in row["properties"].items()}
    for name in UNIQUE.get(kind, ()):
        texts[name] = (texts.get(name) or "").lower() or None
    for name in texts:
        crm.properties[kind].setdefault(name, Property(name, custom=True))
    thing = crm.add(kind, texts, row["id"])
    created = texts.get("createdate") or texts.get("hs_createdate") or texts.get("hs_timestamp")
    thing.created = moment(created) or thing.created
    thing.updated = moment(texts.pop(MODIFIED[kind], None)) or thing.created
    return thing


def moment(text: str | None) -> float | None:
    """Read an ISO 8601 time."""
    return datetime.fromisoformat(text).timestamp() if text else None


def owner(record: dict[str, Any]) -> dict[str, Any]:
    """Return an owner as HubSpot shows one."""
    properties = record.get("properties", record)
    return {
        "id": str(record["id"]),
        "email": properties.get("email", ""),
        "type": "PERSON",
        "firstName": properties.get("firstName", properties.get("firstname", "")),
        "lastName": properties.get("lastName", properties.get("lastname", "")),
        "userId": int(record["id"]),
        "userIdIncludingInactive": int(record["id"]),
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "archived": False,
    }


def founder(company: Company) -> dict[str, Any]:
    """Return the one owner of a company that names none."""
    return owner({"id": "1", "email": company.mailbox, "firstName": company.name, "lastName": ""})

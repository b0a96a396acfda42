"""Dockwell, the pretend company: its inbox, what it sent before, its CRM, and its Drive.

Dockwell sells loading-bay booking to warehouses (Starter 89 EUR and Pro 219 EUR per site a month, Network by
quote). Six people: Mara Lindqvist (founder), Joel Abara (technology), Priya Nair (customers), Tom Hadley
(sales), Inés Robles (engineering) and Kofi Mensah (operations and finance). `expected.json` says what a
sensible person would make of each e-mail; only tests read it.

The files carry ages instead of dates, so that the inbox looks fresh whenever it is opened: `X-Days-Ago: 2.35`
becomes the Date header, and `[[2.35 %d %b %Y]]`, anywhere, becomes that moment in that format.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from sandbox.company import drive
from sandbox.seed import NOTION

HERE = Path(__file__).parent
AGE_HEADER = re.compile(rb"^X-Days-Ago: *([0-9.]+)\r?$", re.MULTILINE)
MOMENT = re.compile(r"\[\[(-?[0-9.]+) ([^\]]+)\]\]")


@dataclass(frozen=True)
class CompanyData:
    name: str
    domain: str
    mailbox: str
    emails: tuple[bytes, ...]
    sent: tuple[bytes, ...]
    hubspot: dict[str, list[dict[str, Any]]]
    slack_channels: tuple[str, ...]
    drive: tuple[dict[str, Any], ...]
    stripe: tuple[dict[str, Any], ...]
    notion: tuple[dict[str, Any], ...]


def load() -> CompanyData:
    now = datetime.now(UTC).replace(microsecond=0)
    return CompanyData(
        name="Dockwell",
        domain="dockwell.example",
        mailbox="hello@dockwell.example",
        emails=read_folder(HERE / "inbox", now),
        sent=read_folder(HERE / "sent", now),
        hubspot=json.loads(date_text((HERE / "hubspot.json").read_text(encoding="utf-8"), now)),
        slack_channels=("general", "sales", "support", "approvals", "alerts"),
        drive=drive.load(),
        stripe=tuple(json.loads((HERE / "stripe.json").read_text(encoding="utf-8"))),
        notion=NOTION,
    )


def read_folder(folder: Path, now: datetime) -> tuple[bytes, ...]:
    return tuple(date_email(path.read_bytes(), now) for path in sorted(folder.glob("*.eml")))


def date_email(template: bytes, now: datetime) -> bytes:
    """The message as it would come off the wire: dated, and with CRLF line ends."""
    dated = AGE_HEADER.sub(lambda found: b"Date: " + rfc2822(now, float(found[1])), template, count=1)
    # Bodies are in many charsets; latin-1 maps every byte to one character and back, so nothing else changes.
    text = date_text(dated.decode("latin-1"), now)
    return re.sub(r"\r?\n", "\r\n", text).encode("latin-1")


def date_text(template: str, now: datetime) -> str:
    return MOMENT.sub(lambda found: (now - timedelta(days=float(found[1]))).strftime(found[2]), template)


def rfc2822(now: datetime, days_ago: float) -> bytes:
    return format_datetime(now - timedelta(days=days_ago)).encode("ascii")

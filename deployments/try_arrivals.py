"""What comes in at the pretend company for one workflow to be tried on: e-mails under its label, some more tickets."""

from __future__ import annotations

from types import ModuleType

import httpx

from blocks import connections
from sandbox import credentials
from tasks import tickets
from tasks.card import Card

NEW = "1"
TICKETS = (
    (
        "106",
        "Nobody can book, the page stays white",
        "Since half past six the booking page is white for all of our carriers and on our own screens, too. Eleven "
        "trucks stand at the gate, and we can let none of them in. Please call as soon as you can.",
    ),
    (
        "104",
        "Charged twice this month",
        "The invoice for our two sites was taken from our card on the 3rd and again on the 5th. Please refund the "
        "second payment and send a corrected invoice.",
    ),
    (
        "109",
        "A wish: colours for carriers",
        "It would be nice if each carrier had a colour of its own on the board. I know it is not possible today; "
        "perhaps in a later version? No hurry.",
    ),
)
"""Of each: the contact's id, the subject, what is written. The company's own new tickets are all questions."""


def bring(url: str, module: ModuleType, card: Card, limit: int) -> list[str]:
    """Bring the workflow something to do at the pretend company at `url`; returns what, a sentence each."""
    said = []
    label = getattr(module, "LABEL", None)
    if isinstance(label, str) and card.credential_for("gmail"):
        said.append(f"{_label(card, label, limit)} of its e-mails were put under the label {label}.")
    if tickets in vars(module).values():
        _open_tickets(url)
        said.append(f"{len(TICKETS)} more tickets came in.")
    return said


def _label(card: Card, label: str, limit: int) -> int:
    gmail = connections.load(f"gmail/{card.credential_for('gmail')}")
    found = gmail.list_message_ids("in:inbox", limit)
    for message_id in found:
        gmail.label(message_id, label)
    return len(found)


def _open_tickets(url: str) -> None:
    contact_of_ticket = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 16}
    headers = {"Authorization": f"Bearer {credentials.HUBSPOT_TOKEN}"}
    with httpx.Client(base_url=f"{url}/hubspot", headers=headers, trust_env=False, timeout=30) as hubspot:
        for contact, subject, content in TICKETS:
            ticket = {
                "properties": {"subject": subject, "content": content, "hs_pipeline": "0", "hs_pipeline_stage": NEW},
                "associations": [{"to": {"id": contact}, "types": [contact_of_ticket]}],
            }
            hubspot.post("/crm/v3/objects/tickets", json=ticket).raise_for_status()

"""What a workflow may add to a contact in the CRM: only what is not there yet. What is there, people wrote."""

from __future__ import annotations

from collections.abc import Mapping

from blocks.ledger import Record
from blocks.mail import Email
from tasks.actions import Action, UpsertContact
from tasks.fetch import CONTACT


def filled_in(record: Record, address: str, properties: Mapping[str, str]) -> list[Action]:
    """Create the sender's contact, or fill in what it lacks; nothing to do, and nobody to ask, where it lacks nothing.

    Args:
        record: with what `fetch.contacts` has found.
        address: the contact's e-mail address.
        properties: HubSpot's names and our values; empty ones are left out.
    """
    known = (record.context or {}).get(CONTACT)
    new = {name: value for name, value in properties.items() if value and not (known or {}).get(name)}
    return [] if known and not new else [UpsertContact(email=address, properties=new)]


def names_of(email: Email) -> dict[str, str]:
    """First and last name as the sender writes them; none of a web form, which writes in a visitor's name."""
    first, _, last = ("" if email.reply_to else email.sender_name).partition(" ")
    return {"firstname": first, "lastname": last}

"""Contacts, notes, tasks and tickets in HubSpot, each done once."""

import html
from collections.abc import Sequence

from blocks.hubspot import HubSpot, Note, Task
from blocks.hubspot_tickets import TicketGone
from blocks.vendor import VendorError
from tasks.actions import AddNote, CreateTask, NoteTicket, UpdateTicket, UpsertContact
from tasks.performers.base import Attempt, Done


def upsert_contact(hubspot: HubSpot, action: UpsertContact, attempt: Attempt) -> Done:  # noqa: ARG001
    """By e-mail address, and only what is still blank: a person may have filled it in since it was wanted."""
    known = hubspot.contacts_by_email([action.email], list(action.properties)).get(action.email.lower(), {})
    blank = {name: value for name, value in action.properties.items() if not known.get(name)}
    return Done("hubspot", hubspot.upsert_contact(action.email, blank))


def find_contact(hubspot: HubSpot, action: UpsertContact, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """The contact, if nothing of what was wanted is blank any more."""
    known = hubspot.contacts_by_email([action.email], list(action.properties)).get(action.email.lower())
    if known is None or not all(known.get(name) for name in action.properties):
        return None
    return Done("hubspot", str(known["id"]))


def add_note(hubspot: HubSpot, action: AddNote, attempt: Attempt) -> Done:
    """A note whose last line is the marker by which it is found again."""
    contact = _contact(hubspot, action.email)
    body = f"{_as_html(action.body)}<br><small>{attempt.marker}</small>"
    return Done("hubspot", hubspot.create_note(contact, body, action.at), {"contact": contact})


def find_note(hubspot: HubSpot, action: AddNote, attempt: Attempt) -> Done | None:
    """The contact's note that carries the marker. Read through associations: HubSpot's search lags."""
    contact = _contact(hubspot, action.email)
    return _marked(hubspot.notes_of(contact), attempt.marker)


def create_task(hubspot: HubSpot, action: CreateTask, attempt: Attempt) -> Done:
    """A task whose body ends with the marker by which it is found again."""
    contact = _contact(hubspot, action.email)
    body = f"{_as_html(action.body)}<br><small>{attempt.marker}</small>"
    task = hubspot.create_task(contact, action.subject, body, due=action.due)
    return Done("hubspot", task, {"contact": contact})


def find_task(hubspot: HubSpot, action: CreateTask, attempt: Attempt) -> Done | None:
    """The contact's task that carries the marker."""
    contact = _contact(hubspot, action.email)
    return _marked(hubspot.tasks_of(contact), attempt.marker)


def note_ticket(hubspot: HubSpot, action: NoteTicket, attempt: Attempt) -> Done:
    """A note whose last line is the marker by which it is found again."""
    body = f"{_as_html(action.body)}<br><small>{attempt.marker}</small>"
    try:
        note = hubspot.create_ticket_note(action.ticket_id, body, action.at)
    except VendorError as error:
        if error.status == 400:  # HubSpot's word for a ticket that was deleted, too; the ticket itself says it plainly
            hubspot.ticket(action.ticket_id)
        raise
    return Done("hubspot", note, {"ticket": action.ticket_id})


def find_ticket_note(hubspot: HubSpot, action: NoteTicket, attempt: Attempt) -> Done | None:
    """The ticket's note that carries the marker."""
    return _marked(hubspot.notes_of_ticket(action.ticket_id), attempt.marker)


def update_ticket(hubspot: HubSpot, action: UpdateTicket, attempt: Attempt) -> Done:  # noqa: ARG001
    """Only what is still blank: a person may have filled it in since it was wanted."""
    held = hubspot.ticket(action.ticket_id, properties=tuple(action.properties)).properties
    if blank := {name: value for name, value in action.properties.items() if not held.get(name)}:
        hubspot.update_ticket(action.ticket_id, blank)
    return Done("hubspot", action.ticket_id, {"set": sorted(blank)})


def find_ticket(hubspot: HubSpot, action: UpdateTicket, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """The ticket, if nothing of what was wanted is blank any more; when it was deleted there is nothing to find."""
    try:
        held = hubspot.ticket(action.ticket_id, properties=tuple(action.properties)).properties
    except TicketGone:
        return None
    return Done("hubspot", action.ticket_id) if all(held.get(name) for name in action.properties) else None


def _contact(hubspot: HubSpot, email: str) -> str:
    known = hubspot.contacts_by_email([email], ["email"]).get(email.lower())
    if known is None:
        # Not permanent: saving the contact may still wait for its own sign-off.
        raise VendorError("hubspot", f"find contact {email}", "there is no such contact yet", permanent=False)
    return str(known["id"])


def _marked(objects: Sequence[Note | Task], marker: str) -> Done | None:
    return next((Done("hubspot", found.id) for found in objects if marker in found.body), None)


def _as_html(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")

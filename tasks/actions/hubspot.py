"""What can be done in the CRM."""

from datetime import datetime

from tasks.actions.base import Action, Address, Impact


class UpsertContact(Action):
    """Create a contact by its e-mail address, or fill in the properties of the one that is there."""

    kind = "hubspot.upsert_contact"
    noun = "contact"
    impact = Impact.LOW

    email: Address
    properties: dict[str, str]

    @property
    def title(self) -> str:
        return f"Save contact {self.email}"

    def preview(self) -> dict[str, str]:
        return {"Contact": self.email, **self.properties}

    def targets(self) -> tuple[str, ...]:
        return (self.email,)

    def texts(self) -> tuple[str, ...]:
        return tuple(self.properties.values())


class AddNote(Action):
    """Put a note on a contact's timeline."""

    kind = "hubspot.add_note"
    noun = "note"
    impact = Impact.LOW

    email: Address
    body: str
    at: datetime

    @property
    def title(self) -> str:
        return f"Note on {self.email}"

    def preview(self) -> dict[str, str]:
        return {"Contact": self.email, "Note": self.body}

    def targets(self) -> tuple[str, ...]:
        return (self.email,)

    def texts(self) -> tuple[str, ...]:
        return (self.body,)


class CreateTask(Action):
    """Put a task with a due time on a contact."""

    kind = "hubspot.create_task"
    noun = "task"
    impact = Impact.LOW

    email: Address
    subject: str
    body: str
    due: datetime

    @property
    def title(self) -> str:
        return f"Task: {self.subject}"

    def preview(self) -> dict[str, str]:
        return {"Contact": self.email, "Task": self.subject, "Due": f"{self.due:%Y-%m-%d %H:%M} UTC"}

    def targets(self) -> tuple[str, ...]:
        return (self.email,)

    def texts(self) -> tuple[str, ...]:
        return (self.subject, self.body)


class NoteTicket(Action):
    """Put a note on a ticket's timeline."""

    kind = "hubspot.note_ticket"
    noun = "note"
    impact = Impact.LOW

    ticket_id: str
    body: str
    at: datetime

    @property
    def title(self) -> str:
        return f"Note on ticket {self.ticket_id}"

    def preview(self) -> dict[str, str]:
        return {"Ticket": self.ticket_id, "Note": self.body}

    def targets(self) -> tuple[str, ...]:
        return (self.ticket_id,)

    def texts(self) -> tuple[str, ...]:
        return (self.body,)


class UpdateTicket(Action):
    """Fill in what is blank of a ticket's properties: its category, its priority."""

    kind = "hubspot.update_ticket"
    noun = "ticket"
    impact = Impact.LOW

    ticket_id: str
    properties: dict[str, str]

    @property
    def title(self) -> str:
        return f"Update ticket {self.ticket_id}"

    def preview(self) -> dict[str, str]:
        return {"Ticket": self.ticket_id, **self.properties}

    def targets(self) -> tuple[str, ...]:
        return (self.ticket_id,)

    def texts(self) -> tuple[str, ...]:
        return tuple(self.properties.values())

"""HubSpot's support tickets: what one is, when it is closed, and what of the replies about them is read.

The calls themselves are made by `blocks/hubspot.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from blocks.hubspot_parts import Object, Paging, with_properties
from blocks.shape import AnyId, CamelPart, Id, Shape
from blocks.vendor import VendorError, as_kind

NOTE_TO_TICKET = 228  # hubspot.crm.AssociationType

CLOSED = "CLOSED"
"""A stage's `ticketState` when the tickets in it are closed; else it is OPEN, or left out."""


@dataclass(frozen=True)
class Ticket:
    """A customer's request for help."""

    id: str
    subject: str
    content: str
    """As HubSpot has it: plain text, with HTML in it where whoever made the ticket put some."""
    pipeline: str
    stage: str
    """The stage's id, which differs from account to account: 1 to 4 (new, waiting on contact, waiting on us, closed)
    only in the pipeline that each begins with."""
    created_at: datetime
    modified_at: datetime
    """When anything about it changed (UTC), also what HubSpot counts itself, such as its notes."""
    closed_at: datetime | None
    """`closed_date`: when it was last closed (UTC). One that was opened again may have it still."""
    contact_emails: tuple[str, ...] = ()
    """Of its contacts, in HubSpot's order; a contact without an address is left out. HubSpot knows no primary contact
    of a ticket, only a primary company."""
    properties: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    """The others that were asked for, by name; None where blank."""


class TicketGone(VendorError):
    """The ticket was deleted, or the key may not see it. Permanent."""


@contextmanager
def unless_gone() -> Iterator[None]:
    """Around a call about one ticket: a 404 is a `TicketGone`."""
    try:
        yield
    except VendorError as error:
        raise as_kind(TicketGone, error) from None


# Which ones


@dataclass(frozen=True)
class Wanted:
    """Which tickets were asked for; None asks for any."""

    stage: str | None
    pipeline: str | None
    modified_since: datetime | None
    closed: bool | None
    closed_stages: Collection[tuple[str, str]]
    """Pipeline and stage of those that count as closed; needed where `closed` is not None."""

    def takes(self, ticket: Ticket) -> bool:
        """Whether the ticket is one of them."""
        return (
            self.stage in (None, ticket.stage)
            and self.pipeline in (None, ticket.pipeline)
            and (self.modified_since is None or ticket.modified_at >= self.modified_since)
            and self.closed in (None, (ticket.pipeline, ticket.stage) in self.closed_stages)
        )


class Listed(NamedTuple):
    """A ticket as a list has it: with the ids of its contacts, not yet with their addresses."""

    ticket: Ticket
    contacts: tuple[str, ...]
    has_more: bool
    """It has more contacts than a list shows."""


def oldest(found: Iterable[Listed], limit: int | None) -> list[Listed]:
    """The oldest, oldest first. HubSpot lists in no documented order, and `createdate` can be set by an import."""
    return sorted(found, key=_age) if limit is None else heapq.nsmallest(limit, found, key=_age)


def _age(listed: Listed) -> tuple[datetime, int, str]:
    return listed.ticket.created_at, len(listed.ticket.id), listed.ticket.id  # of two ids, the longer is the newer


# Replies


def _moment_text(value: object) -> str:
    """Checked, and left a text: a workflow may have asked for the property by name."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PydanticCustomError("not_converted", "not converted", {"expected": "a moment (ISO 8601)"})
    return str(value)


def blank_as_none(value: object) -> object:
    """What was set once and cleared is as if it had never been set."""
    return None if value == "" else value  # which HubSpot gives for what was set once, and cleared


Moment = Annotated[str, BeforeValidator(_moment_text)]

OWN: Mapping[str, Any] = {
    "subject": str | None,
    "content": str | None,
    "hs_pipeline": Id,
    "hs_pipeline_stage": Id,
    "createdate": Moment,
    "hs_lastmodifieddate": Moment,
    "closed_date": Annotated[Moment | None, BeforeValidator(blank_as_none)],
}
"""The properties that make a `Ticket`."""


class _Linked(CamelPart):
    known = frozenset({"type"})

    id: AnyId


class _Contacts(CamelPart):
    results: list[_Linked]
    paging: Paging | None = None


class Associations(CamelPart):
    """What an object belongs to."""

    contacts: _Contacts | None = None


class _Ticket(Object):
    associations: Associations | None = None


class _Tickets(CamelPart):
    results: list[dict[str, Any]]
    paging: Paging | None = None


class _Kind(CamelPart):
    known = frozenset({"isClosed", "probability"})

    ticket_state: str | None = None


class _Stage(CamelPart):
    id: Id
    metadata: _Kind


class _Pipeline(CamelPart):
    id: Id
    stages: list[_Stage]


class _Pipelines(CamelPart):
    results: list[_Pipeline]


TICKETS_SHAPE = Shape("hubspot", "ticket-list", _Tickets)
UPDATED_SHAPE = Shape("hubspot", "ticket", Object)
PIPELINES_SHAPE = Shape("hubspot", "ticket-pipelines", _Pipelines)


def asked(properties: Collection[str]) -> tuple[str, ...]:
    """The names to ask HubSpot for: those, and what makes a `Ticket`."""
    return tuple(sorted({*OWN, *properties}))


@lru_cache(maxsize=256)
def ticket_shape(names: tuple[str, ...]) -> Shape[Any]:
    """A ticket that was read with these properties."""
    types = {name: OWN.get(name, str | None) for name in names}
    return Shape("hubspot", "ticket", with_properties(_Ticket, types), inside="properties")


def read_ticket(reply: object, operation: str, properties: Collection[str]) -> Listed:
    """One ticket of a reply.

    Raises:
        SchemaDrift: it came back without one of the properties, which was renamed or deleted in HubSpot.
    """
    found = ticket_shape(asked(properties)).read(reply, operation)
    values = found.properties
    contacts = (found.associations or Associations()).contacts or _Contacts(results=[])
    ticket = Ticket(
        id=found.id,
        subject=values["subject"] or "",
        content=values["content"] or "",
        pipeline=values["hs_pipeline"],
        stage=values["hs_pipeline_stage"],
        created_at=utc(values["createdate"]),
        modified_at=utc(values["hs_lastmodifieddate"]),
        closed_at=utc(values["closed_date"]) if values["closed_date"] else None,
        properties={name: values[name] for name in properties},
    )
    return Listed(ticket, contacts_of(found.associations), bool(contacts.paging and contacts.paging.next))


def contacts_of(associations: Associations | None) -> tuple[str, ...]:
    """The ids of the contacts; one is listed once for each label that it has there."""
    listed = associations.contacts if associations else None
    return tuple(dict.fromkeys(each.id for each in listed.results)) if listed else ()


def closed_stages(reply: object, operation: str) -> frozenset[tuple[str, str]]:
    """Pipeline and stage of each stage in which tickets are closed."""
    return frozenset(
        (pipeline.id, stage.id)
        for pipeline in PIPELINES_SHAPE.read(reply, operation).results
        for stage in pipeline.stages
        if stage.metadata.ticket_state == CLOSED
    )


def utc(text: str) -> datetime:
    """A moment of HubSpot's, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)

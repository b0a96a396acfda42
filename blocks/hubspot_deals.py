"""HubSpot's deals: what one is, what of the replies about them is read, and what has happened around them.

The calls themselves are made by `blocks/hubspot.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from blocks.hubspot_parts import Object, Paging, with_properties
from blocks.hubspot_tickets import Associations, Moment, blank_as_none, contacts_of, utc
from blocks.shape import CamelPart, Id, Shape
from blocks.vendor import VendorError, as_kind

ENTERED = "hs_v2_date_entered_current_stage"
"""HubSpot's own property: when the deal came into the stage that it is in."""

OWN: Mapping[str, Any] = {
    "dealname": str | None,
    "dealstage": Id,
    "pipeline": Id,
    "amount": str | None,
    "deal_currency_code": str | None,
    "hs_lastmodifieddate": Moment,
    ENTERED: Annotated[Moment | None, BeforeValidator(blank_as_none)],
}
"""The properties that make a `Deal`."""

ASKED = tuple(sorted(OWN))


class DealGone(VendorError):
    """The deal was deleted, or the key may not see it. Permanent."""


@contextmanager
def unless_gone() -> Iterator[None]:
    """Around a call about one deal: a 404 is a `DealGone`."""
    try:
        yield
    except VendorError as error:
        raise as_kind(DealGone, error) from None


@dataclass(frozen=True)
class Deal:
    """Something that may be sold, and how far that has got."""

    id: str
    name: str
    pipeline: str
    stage: str
    """The stage's id: in HubSpot's own pipeline `appointmentscheduled`, `qualifiedtobuy`, ..., `closedwon`."""
    amount: str
    """As HubSpot has it, empty where nobody has given one."""
    currency: str
    entered_at: datetime
    """When it came into this stage (UTC); where HubSpot does not say, when anything about it last changed."""
    contact_ids: tuple[str, ...]


class DealContact(NamedTuple):
    """A contact of a deal."""

    id: str
    email: str
    firstname: str
    lastname: str
    company: str
    replied_at: datetime | None
    """When they last answered an e-mail that somebody sent or logged through HubSpot (UTC)."""


class Happened(NamedTuple):
    """A note on a deal or a task, and when it was, or is due (UTC)."""

    at: datetime
    text: str
    open_task: bool


CONTACT_PROPERTIES = ("email", "firstname", "lastname", "company", "hs_sales_email_last_replied")


class _Deal(Object):
    associations: Associations | None = None


class _Deals(CamelPart):
    results: list[dict[str, Any]]
    paging: Paging | None = None


DEALS_SHAPE = Shape("hubspot", "deal-list", _Deals)
DEAL_SHAPE: Shape[Any] = Shape("hubspot", "deal", with_properties(_Deal, dict(OWN)), inside="properties")


def read_deal(reply: object, operation: str) -> Deal:
    """One deal of a reply.

    Raises:
        SchemaDrift: it came back without one of the properties, which was renamed or deleted in HubSpot.
    """
    found = DEAL_SHAPE.read(reply, operation)
    values = found.properties
    return Deal(
        id=found.id,
        name=values["dealname"] or "",
        pipeline=values["pipeline"],
        stage=values["dealstage"],
        amount=values["amount"] or "",
        currency=values["deal_currency_code"] or "",
        entered_at=utc(values[ENTERED] or values["hs_lastmodifieddate"]),
        contact_ids=contacts_of(found.associations),
    )


def read_contact(id: str, properties: Mapping[str, Any]) -> DealContact | None:
    """A contact of a deal; None for one without an address."""
    if not properties["email"]:
        return None
    replied = properties["hs_sales_email_last_replied"]
    first, last, company = (properties[name] or "" for name in ("firstname", "lastname", "company"))
    return DealContact(id, properties["email"].lower(), first, last, company, utc(replied) if replied else None)


Read = Iterable[tuple[str, Mapping[str, Any]]]
"""Objects by id, with their properties."""


def happened(notes: Read, tasks: Read) -> list[Happened]:
    """What was noted and is to be done, the oldest first. What has no date says nothing about when."""
    dated = [(p["hs_timestamp"], p["hs_note_body"], False) for _, p in notes]
    dated += [(p["hs_timestamp"], p["hs_task_subject"], p["hs_task_status"] != "COMPLETED") for _, p in tasks]
    return sorted(Happened(utc(at), text or "", is_open) for at, text, is_open in dated if at)

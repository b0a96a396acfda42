"""What HubSpot defines itself: object types, properties, and association types."""

from __future__ import annotations

from dataclasses import dataclass

MODIFIED = {
    "contacts": "lastmodifieddate",
    "companies": "hs_lastmodifieddate",
    "deals": "hs_lastmodifieddate",
    "tickets": "hs_lastmodifieddate",
    "notes": "hs_lastmodifieddate",
    "tasks": "hs_lastmodifieddate",
}
"""The object types, each with the property that tells its last change."""

SINGULAR = {
    "contacts": "contact",
    "companies": "company",
    "deals": "deal",
    "tickets": "ticket",
    "notes": "note",
    "tasks": "task",
}
TYPE_IDS = {
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "tickets": "0-5",
    "notes": "0-46",
    "tasks": "0-27",
}
NAMES = {alias: kind for kind in MODIFIED for alias in (kind, SINGULAR[kind], TYPE_IDS[kind])}
"""Every spelling of an object type that a path may use."""

UNIQUE = {"contacts": ("email",)}
"""Properties no two objects of a type may share."""

REQUIRED = {"notes": ("hs_timestamp",), "tasks": ("hs_timestamp",)}

DEFAULTS = {
    "contacts": ("email", "firstname", "lastname", "createdate", "lastmodifieddate", "hs_object_id"),
    "companies": ("name", "domain", "createdate", "hs_lastmodifieddate", "hs_object_id"),
    "deals": (
        "dealname",
        "dealstage",
        "pipeline",
        "amount",
        "closedate",
        "createdate",
        "hs_lastmodifieddate",
        "hs_object_id",
    ),
    "tickets": (
        "subject",
        "content",
        "hs_pipeline",
        "hs_pipeline_stage",
        "hs_ticket_category",
        "hs_ticket_priority",
        "createdate",
        "hs_lastmodifieddate",
        "hs_object_id",
    ),
    "notes": ("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
    "tasks": ("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
}
"""What a read returns when it does not say which properties it wants."""

ASSOCIATION_TYPES = {
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("contacts", "deals"): 4,
    ("deals", "contacts"): 3,
    ("contacts", "tickets"): 15,
    ("tickets", "contacts"): 16,
    ("companies", "deals"): 342,
    ("deals", "companies"): 341,
    ("companies", "tickets"): 340,
    ("tickets", "companies"): 339,
    ("deals", "tickets"): 27,
    ("tickets", "deals"): 28,
    ("notes", "contacts"): 202,
    ("contacts", "notes"): 201,
    ("notes", "companies"): 190,
    ("companies", "notes"): 189,
    ("notes", "deals"): 214,
    ("deals", "notes"): 213,
    ("notes", "tickets"): 228,
    ("tickets", "notes"): 227,
    ("tasks", "contacts"): 204,
    ("contacts", "tasks"): 203,
    ("tasks", "companies"): 192,
    ("companies", "tasks"): 191,
    ("tasks", "deals"): 216,
    ("deals", "tasks"): 215,
    ("tasks", "tickets"): 230,
    ("tickets", "tasks"): 229,
}
PRIMARY_TYPES = {
    ("contacts", "companies"): 1,
    ("companies", "contacts"): 2,
    ("deals", "companies"): 5,
    ("companies", "deals"): 6,
    ("tickets", "companies"): 26,
    ("companies", "tickets"): 25,
}


@dataclass(frozen=True)
class Stage:
    """A stage of a pipeline; tickets in a closed one are done with."""

    id: str
    label: str
    closed: bool = False


@dataclass(frozen=True)
class Pipeline:
    """The stages that tickets go through."""

    id: str
    label: str
    stages: tuple[Stage, ...]


SUPPORT = Pipeline(
    "0",
    "Support Pipeline",
    (
        Stage("1", "New"),
        Stage("2", "Waiting on contact"),
        Stage("3", "Waiting on us"),
        Stage("4", "Closed", closed=True),
    ),
)
"""The pipeline of tickets that each account begins with."""


@dataclass(frozen=True)
class Property:
    """A property's definition, as far as it is checked."""

    name: str
    type: str = "string"
    options: tuple[str, ...] = ()
    label: str = ""
    group: str = ""
    custom: bool = False


COMMON = "hs_object_id hubspot_owner_id createdate:datetime hs_lastmodifieddate:datetime hs_createdate:datetime"
CATALOGUE = {
    "contacts": "email firstname lastname phone mobilephone company website jobtitle address city state zip country "
    "hs_additional_emails message industry notes_last_contacted:datetime lastmodifieddate:datetime "
    "lifecyclestage=subscriber|lead|marketingqualifiedlead|salesqualifiedlead|opportunity|customer|evangelist|other "
    "hs_sales_email_last_replied:datetime "
    "hs_lead_status=NEW|OPEN|IN_PROGRESS|OPEN_DEAL|UNQUALIFIED|ATTEMPTED_TO_CONTACT|CONNECTED|BAD_TIMING",
    "companies": "name domain website industry phone address city state zip country description "
    "numberofemployees:number annualrevenue:number "
    "lifecyclestage=subscriber|lead|marketingqualifiedlead|salesqualifiedlead|opportunity|customer|evangelist|other",
    "deals": "dealname dealstage pipeline description deal_currency_code closed_lost_reason closed_won_reason "
    "amount:number closedate:datetime hs_v2_date_entered_current_stage:datetime "
    "hs_priority=low|medium|high dealtype=newbusiness|existingbusiness",
    "tickets": "subject content source_type closed_date:datetime "
    "hs_ticket_category=PRODUCT_ISSUE|BILLING_ISSUE|FEATURE_REQUEST|GENERAL_INQUIRY "
    "hs_pipeline=0 hs_pipeline_stage=1|2|3|4 hs_ticket_priority=LOW|MEDIUM|HIGH|URGENT",
    "notes": "hs_note_body hs_attachment_ids hs_timestamp:datetime",
    "tasks": "hs_task_subject hs_task_body hs_timestamp:datetime hs_task_reminders "
    "hs_task_status=NOT_STARTED|IN_PROGRESS|WAITING|COMPLETED|DEFERRED hs_task_priority=NONE|LOW|MEDIUM|HIGH "
    "hs_task_type=TODO|CALL|EMAIL",
}


def known_properties(kind: str) -> list[Property]:
    """Return the properties that an object type has from the start."""
    return [read(text) for text in f"{COMMON} {CATALOGUE[kind]}".split()]


def read(text: str) -> Property:
    """Read `name`, `name:type` or `name=option|option`."""
    if "=" in text:
        name, _, options = text.partition("=")
        return Property(name, "enumeration", tuple(options.split("|")))
    name, _, kind = text.partition(":")
    return Property(name, kind or "string")

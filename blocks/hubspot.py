"""HubSpot: contacts and support tickets, and the notes and tasks on them.

The typed client, over a pool of ours. Its own has no timeout, repeats reads, is built anew on every access to
an API, and turns a TLS failure into an AttributeError.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, NotRequired, TypeVar
from urllib.parse import urlsplit

import urllib3
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr

from blocks import guard, hubspot_deals, hubspot_tickets
from blocks.connecting import Connecting
from blocks.hubspot_deals import Deal, DealContact, Happened
from blocks.hubspot_parts import Object, Paging, sentence, with_properties
from blocks.hubspot_tickets import NOTE_TO_TICKET, Listed, Ticket
from blocks.shape import AnyId, CamelPart, Part, Shape
from blocks.vendor import Failures, Once, without_frames

if TYPE_CHECKING:
    from hubspot import HubSpot as Client

BATCH = 100  # HubSpot's limit for batch endpoints
PAGE = 500  # and for a page of associations
CONNECTIONS = 16

RAW: dict[str, Any] = {"_preload_content": False}
"""Makes the typed client hand out the reply as it came."""

# HubSpot's own association types: hubspot.crm.AssociationType
NOTE_TO_CONTACT = 202
TASK_TO_CONTACT = 204

SCOPES = "crm.objects.contacts.read and crm.objects.contacts.write (and tickets, for workflows that use tickets)"
WAYS_OUT = {
    401: "create a new Service Key (or private app token) in HubSpot and put it into the block",
    403: f"give the Service Key the scopes {SCOPES}",
}


BATCH_KNOWS = frozenset({"status", "startedAt", "completedAt", "requestedAt", "links", "numErrors"})

ASKED_ALWAYS = ("email", "hs_additional_emails")
"""What `contacts_by_email` reads whatever was asked for: a contact's addresses."""

SOMETIMES = frozenset({"hs_additional_emails"})
"""Properties that not every account has: we ask for them, and no card does."""


class _Error(CamelPart):
    message: str


class _Batch(CamelPart):
    known = BATCH_KNOWS

    results: list[dict[str, Any]]
    errors: list[_Error] | None = None


class _Associated(CamelPart):
    known = frozenset({"associationTypes"})

    to_object_id: AnyId


class _Associations(CamelPart):
    results: list[_Associated]
    paging: Paging | None = None


P = TypeVar("P", bound=Part)


def _shape(object: str, kind: type[P]) -> Shape[P]:
    return Shape("hubspot", object, kind)


CONTACTS_SHAPE = _shape("contact-batch", _Batch)
UPSERTS_SHAPE = _shape("contact-upsert", _Batch)
UPSERTED_SHAPE = _shape("contact", Object)
ASSOCIATIONS_SHAPE = _shape("association", _Associations)
BATCH_SHAPES = {"note": _shape("note-batch", _Batch), "task": _shape("task-batch", _Batch)}
MADE_SHAPES = {"note": _shape("note", Object), "task": _shape("task", Object)}


@lru_cache(maxsize=256)
def _with_properties(object: str, names: tuple[str, ...]) -> Shape[Any]:
    """An object that was read with these properties."""
    types = {name: NotRequired[str | None] if name in SOMETIMES else str | None for name in names}
    return Shape("hubspot", object, with_properties(Object, types), inside="properties")


class Note(NamedTuple):
    """A note on the timeline of a contact or a ticket."""

    id: str
    body: str


class Task(NamedTuple):
    """A task on a contact."""

    id: str
    body: str
    subject: str


class Made(NamedTuple):
    """A note or a task, and when it was made (UTC); where it stands on the timeline is another date."""

    id: str
    at: datetime
    body: str


class Pool(urllib3.PoolManager):
    """Sends what the typed client asks for: once, within the timeout, and every failure a `VendorError`."""

    def __init__(self, failures: Failures, timeout_seconds: float) -> None:
        super().__init__(
            num_pools=1,
            maxsize=CONNECTIONS,
            retries=urllib3.Retry(total=False),
            timeout=urllib3.Timeout(connect=timeout_seconds, read=timeout_seconds),
        )
        self._failures = failures

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        """Send once.

        Raises:
            VendorError: for every reply that is not a success, and for none.
        """
        path = urlsplit(url).path
        operation = f"{method} {path}"
        write = method != "GET" and not path.endswith(("/batch/read", "/search"))
        arguments.pop("timeout", None)  # the typed client passes None, which means to wait for ever
        arguments["preload_content"] = (
            True  # it passes False where the raw reply is wanted; here is where reading fails
        )
        with guard.request(self._failures.vendor):
            try:
                response = super().request(method, url, redirect=False, **arguments)
            except urllib3.exceptions.HTTPError as error:
                raise self._failures.lost(operation, error, write=write) from None
            if not 200 <= response.status <= 299:
                raise self._failures.refused(operation, response.status, response.data, response.headers, write=write)
            if response.data and "json" not in response.headers.get("content-type", ""):
                raise self._failures.unreadable(operation, response.data, write=write)
        return response


@dataclass(frozen=True)
class Apis:
    """The parts of the typed client that are used, built once."""

    pool: Pool
    contacts: Any
    tickets: Any
    deals: Any
    pipelines: Any
    notes: Any
    note_batch: Any
    tasks: Any
    task_batch: Any
    associations: Any


class HubSpot(Block):
    """One HubSpot account, by a Service Key."""

    _block_type_name: ClassVar[str | None] = "HubSpot"
    _block_type_slug: ClassVar[str | None] = "hubspot"
    _description: ClassVar[str | None] = (
        f"The CRM that workflows read contacts from and write notes and tasks to. Needs the scopes {SCOPES}."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="the scopes crm.objects.contacts.read and crm.objects.contacts.write; tickets, for workflows that "
        "use tickets; crm.objects.deals.read, for those that use deals",
        found="HubSpot, Development, Keys, Service Keys",
        environment={"access_token": ("HUBSPOT_PRIVATE_APP_TOKEN", "HUBSPOT_SERVICE_KEY", "HUBSPOT_ACCESS_TOKEN")},
    )

    access_token: SecretStr = Field(
        title="Access token", description="A Service Key, or the token of a private app that exists already."
    )
    address: str = Field(
        default="https://api.hubapi.com",
        title="Address",
        description="HubSpot's API. Change it only to use a sandbox or a proxy.",
    )
    timeout_seconds: float = Field(
        default=20,
        gt=0,
        title="Timeout (seconds)",
        description="How long to wait to connect, and for each piece of a reply.",
    )

    _client: Once["Client"] = PrivateAttr(default_factory=Once)
    _apis: Once[Apis] = PrivateAttr(default_factory=Once)

    def get_client(self) -> "Client":
        """HubSpot's typed client. Each access to one of its APIs builds a new pool: hold on to them."""
        return self._client.get(self._build_client)

    @without_frames
    def check(self) -> str:
        """Read the account's details: `account 12345 (app.hubspot.com)`."""
        account = self.account()
        return f"account {account.get('portalId', '?')} ({account.get('uiDomain', 'HubSpot')})"

    @without_frames
    def account(self) -> dict[str, Any]:
        """The account's details, as HubSpot words them (`portalId`, `timeZone`, `companyCurrency`, ...)."""
        url = f"{self.address.rstrip('/')}/account-info/2026-09/details"
        headers = {"authorization": f"Bearer {self.access_token.get_secret_value()}"}
        details = self._json("account details", self._api().pool.request("GET", url, headers=headers))
        return details if isinstance(details, dict) else {}

    @without_frames
    def contacts_by_email(self, emails: Collection[str], properties: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The contacts that have these addresses, by lower-cased address; unknown addresses are left out.

        Each contact is its `properties`, plus `id`. One found by a secondary address is listed under that.

        Raises:
            SchemaDrift: a contact came back without one of the properties, which was renamed or deleted in HubSpot.
        """
        from hubspot.crm.contacts import BatchReadInputSimplePublicObjectId, SimplePublicObjectId

        wanted = sorted({email.strip().lower() for email in emails})
        # Without it each model object builds a configuration of its own, logging and all: 0.8 ms apiece.
        shared = self._api().contacts.api_client.configuration
        asked = tuple(sorted({*properties, *ASKED_ALWAYS}))
        shape = _with_properties("contact", asked)
        found: dict[str, dict[str, Any]] = {}
        for chunk in _chunks(wanted):
            question = BatchReadInputSimplePublicObjectId(
                id_property="email",
                inputs=[SimplePublicObjectId(id=email, local_vars_configuration=shared) for email in chunk],
                properties=list(asked),
                properties_with_history=[],
                local_vars_configuration=shared,
            )
            reply = self._json("read contacts", self._api().contacts.read(question, **RAW))
            for result in CONTACTS_SHAPE.read(reply, "read contacts").results:
                contact = shape.read(result, "read contacts")
                known = {"id": contact.id, **{name: contact.properties[name] for name in properties}}
                found |= dict.fromkeys(_addresses(contact.properties) & set(chunk), known)
        return found

    @without_frames
    def upsert_contact(self, email: str, properties: Mapping[str, str]) -> str:
        """Create the contact with this address, or set the properties of the one there is, and return its id.

        Safe to repeat: the values are absolute.
        """
        from hubspot.crm.contacts import (
            BatchInputSimplePublicObjectBatchInputUpsert,
            SimplePublicObjectBatchInputUpsert,
        )

        email = email.strip().lower()
        contact = SimplePublicObjectBatchInputUpsert(
            id=email, id_property="email", properties={**properties, "email": email}
        )
        question = BatchInputSimplePublicObjectBatchInputUpsert(inputs=[contact])
        raw = self._json("upsert contact", self._api().contacts.upsert(question, **RAW), write=True)
        reply = UPSERTS_SHAPE.read(raw, "upsert contact", write=True)
        if not reply.results:
            # A batch that fails as a whole still comes back as a success (207), with the reasons inside.
            said = "; ".join(sentence(error.message) for error in reply.errors or ())
            raise self._failures().error("upsert contact", said or "no contact came back", permanent=True)
        return UPSERTED_SHAPE.read(reply.results[0], "upsert contact", write=True).id

    @without_frames
    def create_note(self, contact_id: str, body: str, at: datetime) -> str:
        """Put a note on a contact's timeline and return its id.

        Args:
            contact_id: HubSpot's id.
            body: HTML or plain text; put something unique in it, by which `notes_of` can find it again.
            at: where it stands on the timeline.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        properties = {"hs_note_body": body, "hs_timestamp": _utc(at)}
        return self._create("note", self._api().notes, contact_id, NOTE_TO_CONTACT, properties)

    @without_frames
    def create_task(self, contact_id: str, subject: str, body: str, due: datetime) -> str:
        """Put an open task on a contact and return its id.

        Args:
            contact_id: HubSpot's id.
            subject: the task in one line.
            body: HTML or plain text; put something unique in it, by which `tasks_of` can find it again.
            due: when it must be done; HubSpot keeps it in `hs_timestamp`.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        properties = {
            "hs_task_subject": subject,
            "hs_task_body": body,
            "hs_timestamp": _utc(due),
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": "TODO",
        }
        return self._create("task", self._api().tasks, contact_id, TASK_TO_CONTACT, properties)

    @without_frames
    def notes_of(self, contact_id: str) -> list[Note]:
        """The notes on a contact. Read through associations, because search lags behind writes."""
        return self._notes(self._associated("contact", contact_id, "notes"))

    @without_frames
    def tasks_of(self, contact_id: str) -> list[Task]:
        """The tasks on a contact, open or not. Read through associations, like `notes_of`."""
        ids = self._associated("contact", contact_id, "tasks")
        read = self._read_by_id("task", self._api().task_batch, ids, ("hs_task_body", "hs_task_subject"))
        return [
            Task(id, properties["hs_task_body"] or "", properties["hs_task_subject"] or "") for id, properties in read
        ]

    @without_frames
    def made_on(self, contact_id: str, what: Literal["note", "task"]) -> list[Made]:
        """The notes, or the tasks, on a contact, with the moment at which each was made."""
        apis = {"note": self._api().note_batch, "task": self._api().task_batch}
        ids = self._associated("contact", contact_id, f"{what}s")
        read = self._read_by_id(what, apis[what], ids, ("hs_createdate", f"hs_{what}_body"))
        return [
            Made(id, datetime.fromisoformat(found["hs_createdate"]), found[f"hs_{what}_body"] or "")
            for id, found in read
            if found["hs_createdate"]
        ]

    @without_frames
    def tickets(
        self,
        *,
        stage: str | None = None,
        pipeline: str | None = None,
        modified_since: datetime | None = None,
        closed: bool | None = None,
        limit: int | None = None,
        properties: Sequence[str] = (),
    ) -> list[Ticket]:
        """The tickets that meet all that is asked, the oldest first; deleted ones are left out.

        Lists all tickets of the account, a hundred a request, and chooses here. HubSpot's search would choose there,
        but by an index that lags behind: a ticket could be missed, or found in a stage that it has left and be
        answered twice. It also ends after 10,000 results, and tells no associations.

        Args:
            stage: a stage's id.
            pipeline: a pipeline's id; "0" is the one that each account begins with.
            modified_since: changed then or later; with a time zone.
            closed: in a stage, whatever its id, that the account's settings call closed (a ticket has no property
                that says so), or in none of them.
            limit: at most so many, the oldest.
            properties: others to read, by HubSpot's names.

        Raises:
            SchemaDrift: a ticket came back without a property that is read, which was renamed or deleted in HubSpot.
        """
        ends = frozenset() if closed is None else self._closed_stages()
        wanted = hubspot_tickets.Wanted(stage, pipeline, modified_since, closed, ends)
        found = (each for each in self._all_tickets(properties) if wanted.takes(each.ticket))
        return self._with_emails(hubspot_tickets.oldest(found, limit))

    @without_frames
    def ticket(self, ticket_id: str, properties: Sequence[str] = ()) -> Ticket:
        """One ticket, as it is now.

        Raises:
            TicketGone: it was deleted.
            SchemaDrift: like `tickets`.
        """
        names, operation = hubspot_tickets.asked(properties), "read ticket"
        with hubspot_tickets.unless_gone():
            reply = self._api().tickets.get_by_id(ticket_id, properties=names, associations=["contacts"], **RAW)
        listed = hubspot_tickets.read_ticket(self._json(operation, reply), operation, properties)
        return self._with_emails([listed])[0]

    @without_frames
    def update_ticket(self, ticket_id: str, properties: Mapping[str, str]) -> None:
        """Set properties of a ticket; an empty text clears one. Safe to repeat: the values are absolute.

        HubSpot sets `closed_date` itself when `hs_pipeline_stage` becomes a closed one.

        Raises:
            TicketGone: it was deleted.
            VendorError: `unknown` when the reply was lost.
        """
        with hubspot_tickets.unless_gone():
            reply = self._api().tickets.update(ticket_id, {"properties": dict(properties)}, **RAW)
        changed = self._json("update ticket", reply, write=True)
        hubspot_tickets.UPDATED_SHAPE.read(changed, "update ticket", write=True)

    @without_frames
    def create_ticket_note(self, ticket_id: str, body: str, at: datetime) -> str:
        """Put a note on a ticket's timeline and return its id. Like `create_note`; `notes_of_ticket` finds it again.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        properties = {"hs_note_body": body, "hs_timestamp": _utc(at)}
        return self._create("note", self._api().notes, ticket_id, NOTE_TO_TICKET, properties)

    @without_frames
    def notes_of_ticket(self, ticket_id: str) -> list[Note]:
        """The notes on a ticket. Read through associations, like `notes_of`.

        Raises:
            TicketGone: it was deleted.
        """
        with hubspot_tickets.unless_gone():
            ids = self._associated("ticket", ticket_id, "notes")
        return self._notes(ids)

    @without_frames
    def deals(self, stages: Collection[str]) -> list[Deal]:
        """The deals that are in one of these stages, the longest there first; deleted ones are left out.

        Lists all deals of the account and chooses here, as `tickets` does: HubSpot's search lags behind.

        Raises:
            SchemaDrift: a deal came back without a property that is read, which was renamed or deleted in HubSpot.
        """
        ask = partial(
            self._api().deals.get_page, limit=BATCH, properties=hubspot_deals.ASKED, associations=["contacts"]
        )
        listed = self._pages("list deals", hubspot_deals.DEALS_SHAPE, ask)
        found = (hubspot_deals.read_deal(each, "list deals") for each in listed)
        return sorted((deal for deal in found if deal.stage in stages), key=lambda deal: (deal.entered_at, deal.id))

    @without_frames
    def deal(self, deal_id: str) -> Deal:
        """One deal, as it is now.

        Raises:
            DealGone: it was deleted.
            SchemaDrift: like `deals`.
        """
        with hubspot_deals.unless_gone():
            reply = self._api().deals.get_by_id(
                deal_id, properties=hubspot_deals.ASKED, associations=["contacts"], **RAW
            )
        return hubspot_deals.read_deal(self._json("read deal", reply), "read deal")

    @without_frames
    def contacts_of_deals(self, deals: Collection[Deal]) -> dict[str, list[DealContact]]:
        """By deal, its contacts that have an address, in HubSpot's order; it knows no primary one."""
        wanted = dict.fromkeys(id for deal in deals for id in deal.contact_ids)
        read = self._read_by_id("contact", self._api().contacts, wanted, hubspot_deals.CONTACT_PROPERTIES)
        known = {id: found for id, properties in read if (found := hubspot_deals.read_contact(id, properties))}
        return {deal.id: [known[id] for id in deal.contact_ids if id in known] for deal in deals}

    @without_frames
    def history_of_deal(self, deal_id: str) -> list[Happened]:
        """The notes and tasks on a deal, oldest first.

        Raises:
            DealGone: it was deleted.
        """
        with hubspot_deals.unless_gone():
            notes = self._associated("deal", deal_id, "notes")
            tasks = self._associated("deal", deal_id, "tasks")
        read_notes = self._read_by_id("note", self._api().note_batch, notes, ("hs_note_body", "hs_timestamp"))
        read_tasks = self._read_by_id(
            "task", self._api().task_batch, tasks, ("hs_task_subject", "hs_task_status", "hs_timestamp")
        )
        return hubspot_deals.happened(read_notes, read_tasks)

    def _all_tickets(self, properties: Sequence[str]) -> Iterator[Listed]:
        operation, names = "list tickets", hubspot_tickets.asked(properties)
        ask = partial(self._api().tickets.get_page, limit=BATCH, properties=names, associations=["contacts"])
        for result in self._pages(operation, hubspot_tickets.TICKETS_SHAPE, ask):
            yield hubspot_tickets.read_ticket(result, operation, properties)

    def _closed_stages(self) -> frozenset[tuple[str, str]]:
        operation = "read the pipelines of tickets"
        reply = self._json(operation, self._api().pipelines.get_all("tickets", **RAW))
        return hubspot_tickets.closed_stages(reply, operation)

    def _with_emails(self, tickets: Sequence[Listed]) -> list[Ticket]:
        contacts = {
            ticket.id: self._associated("ticket", ticket.id, "contacts") if has_more else ids
            for ticket, ids, has_more in tickets
        }
        wanted = dict.fromkeys(id for ids in contacts.values() for id in ids)
        read = self._read_by_id("contact", self._api().contacts, wanted, ("email",))
        emails = {id: properties["email"] for id, properties in read if properties["email"]}
        return [
            replace(ticket, contact_emails=tuple(emails[id] for id in contacts[ticket.id] if id in emails))
            for ticket, _, _ in tickets
        ]

    def _notes(self, ids: Sequence[str]) -> list[Note]:
        read = self._read_by_id("note", self._api().note_batch, ids, ("hs_note_body",))
        return [Note(id, properties["hs_note_body"] or "") for id, properties in read]

    def _create(self, what: str, api: Any, owner_id: str, type_id: int, properties: dict[str, str]) -> str:
        # Plain JSON, because every object type has a copy of the same model classes. One request, the
        # association inside: a second one could fail and leave a note that hangs on nobody.
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
        new = {"properties": properties, "associations": [{"to": {"id": owner_id}, "types": types}]}
        made = self._json(f"create {what}", api.create(new, **RAW), write=True)
        return MADE_SHAPES[what].read(made, f"create {what}", write=True).id

    def _associated(self, what: str, id: str, kind: str) -> list[str]:
        ask = partial(self._api().associations.get_page, f"{what}s", id, kind, limit=PAGE)
        pages = self._pages(f"read the {what}'s {kind}", ASSOCIATIONS_SHAPE, ask)
        return [item.to_object_id for item in pages]

    def _pages(self, operation: str, shape: Shape[Any], ask: Callable[..., Any]) -> Iterator[Any]:
        """What is on all pages of a list."""
        more: dict[str, str] = {}
        while True:
            page = shape.read(self._json(operation, ask(**more, **RAW)), operation)
            yield from page.results
            if not page.paging or not page.paging.next:
                return
            more = {"after": page.paging.next.after}

    def _read_by_id(
        self, what: str, api: Any, ids: Iterable[str], names: tuple[str, ...]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        operation, shape = f"read {what}s", _with_properties(what, names)
        batch = BATCH_SHAPES.get(what, CONTACTS_SHAPE)
        for chunk in _chunks(list(ids)):
            question = {
                "inputs": [{"id": id} for id in chunk],
                "properties": list(names),
                "propertiesWithHistory": [],
            }
            reply = batch.read(self._json(operation, api.read(question, **RAW)), operation)
            for result in reply.results:
                item = shape.read(result, operation)
                yield item.id, item.properties

    def _json(self, operation: str, response: Any, *, write: bool = False) -> object:
        """What HubSpot answered, as it came: its client would drop what it does not know, and so hide a new name."""
        try:
            return json.loads(response.data)
        except ValueError:
            raise self._failures().unreadable(operation, response.data, write=write) from None

    def _failures(self) -> Failures:
        return Failures("hubspot", (self.access_token,), WAYS_OUT, sentence)

    def _build_client(self) -> "Client":
        from hubspot import HubSpot as Client

        return Client(
            access_token=self.access_token.get_secret_value(),
            host=self.address.rstrip("/"),
            retry=urllib3.Retry(total=False),
        )

    def _api(self) -> Apis:
        return self._apis.get(self._build_apis)

    def _build_apis(self) -> Apis:
        crm = self.get_client().crm
        pool = Pool(self._failures(), self.timeout_seconds)
        over = _onto(pool)
        return Apis(
            pool=pool,
            contacts=over(crm.contacts.batch_api),
            tickets=over(crm.tickets.basic_api),
            deals=over(crm.deals.basic_api),
            pipelines=over(crm.pipelines.pipelines_api),
            notes=over(crm.objects.notes.basic_api),
            note_batch=over(crm.objects.notes.batch_api),
            tasks=over(crm.objects.tasks.basic_api),
            task_batch=over(crm.objects.tasks.batch_api),
            associations=over(crm.associations.v4.basic_api),
        )


def _onto(pool: Pool) -> Callable[[Any], Any]:
    """Puts one of the typed APIs onto our pool."""

    def place(api: Any) -> Any:
        api.api_client.rest_client.pool_manager = pool
        return api

    return place


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _addresses(properties: Mapping[str, Any]) -> set[str]:
    """A contact's addresses, lower-cased; the secondary ones are in one field, between semicolons."""
    listed = [properties.get("email") or "", *(properties.get("hs_additional_emails") or "").split(";")]
    return {address.strip().lower() for address in listed if address.strip()}


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

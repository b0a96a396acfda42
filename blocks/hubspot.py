"""HubSpot: contacts, and the notes and tasks on them.

The typed client, over a pool of ours. Its own has no timeout, repeats reads, is built anew on every access to
an API, and turns a TLS failure into an AttributeError.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import urllib3
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr

from blocks.vendor import Failures, Once

if TYPE_CHECKING:
    from hubspot import HubSpot as Client

BATCH = 100  # HubSpot's limit for batch endpoints
PAGE = 500  # and for a page of associations
CONNECTIONS = 16

# HubSpot's own association types: hubspot.crm.AssociationType
NOTE_TO_CONTACT = 202
TASK_TO_CONTACT = 204

SCOPES = "crm.objects.contacts.read and crm.objects.contacts.write"
WAYS_OUT = {
    401: "create a new Service Key (or private app token) in HubSpot and put it into the block",
    403: f"give the Service Key the scopes {SCOPES}",
}


class Note(NamedTuple):
    """A note on a contact's timeline."""

    id: str
    body: str


class Task(NamedTuple):
    """A task on a contact."""

    id: str
    body: str
    subject: str


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

    def check(self) -> str:
        """Read the account's details: `account 12345 (app.hubspot.com)`."""
        account = self.account()
        return f"account {account.get('portalId', '?')} ({account.get('uiDomain', 'HubSpot')})"

    def account(self) -> dict[str, Any]:
        """The account's details, as HubSpot words them (`portalId`, `timeZone`, `companyCurrency`, ...)."""
        url = f"{self.address.rstrip('/')}/account-info/2026-09/details"
        headers = {"authorization": f"Bearer {self.access_token.get_secret_value()}"}
        details: dict[str, Any] = json.loads(self._api().pool.request("GET", url, headers=headers).data)
        return details

    def contacts_by_email(self, emails: Collection[str], properties: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The contacts that have these addresses, by lower-cased address; unknown addresses are left out.

        Each contact is its `properties`, plus `id`. One found by a secondary address is listed under that.
        """
        from hubspot.crm.contacts import BatchReadInputSimplePublicObjectId, SimplePublicObjectId

        wanted = sorted({email.strip().lower() for email in emails})
        # Without it each model object builds a configuration of its own, logging and all: 0.8 ms apiece.
        shared = self._api().contacts.api_client.configuration
        found: dict[str, dict[str, Any]] = {}
        for chunk in _chunks(wanted):
            question = BatchReadInputSimplePublicObjectId(
                id_property="email",
                inputs=[SimplePublicObjectId(id=email, local_vars_configuration=shared) for email in chunk],
                properties=sorted({*properties, "email", "hs_additional_emails"}),
                properties_with_history=[],
                local_vars_configuration=shared,
            )
            for contact in self._api().contacts.read(question).results:
                known = {"id": str(contact.id), **{name: contact.properties.get(name) for name in properties}}
                found |= dict.fromkeys(_addresses(contact.properties) & set(chunk), known)
        return found

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
        reply = self._api().contacts.upsert(BatchInputSimplePublicObjectBatchInputUpsert(inputs=[contact]))
        if not reply.results:
            # A batch that fails as a whole still comes back as a success (207), with the reasons inside.
            said = "; ".join(str(error.message) for error in getattr(reply, "errors", None) or [])
            raise self._failures().error("upsert contact", said or "no contact came back", permanent=True)
        return str(reply.results[0].id)

    def create_note(self, contact_id: str, body: str, at: datetime) -> str:
        """Put a note on a contact's timeline and return its id.

        Args:
            contact_id: HubSpot's id.
            body: HTML or plain text; put something unique in it, by which `notes_of` can find it again.
            at: where it stands on the timeline.

        Raises:
            VendorError: `unknown` when the reply was lost.
        """
        return self._create(
            self._api().notes, contact_id, NOTE_TO_CONTACT, {"hs_note_body": body, "hs_timestamp": _utc(at)}
        )

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
        return self._create(self._api().tasks, contact_id, TASK_TO_CONTACT, properties)

    def notes_of(self, contact_id: str) -> list[Note]:
        """The notes on a contact. Read through associations, because search lags behind writes."""
        read = self._read_by_id(self._api().note_batch, self._associated(contact_id, "notes"), ["hs_note_body"])
        return [Note(id, properties.get("hs_note_body") or "") for id, properties in read]

    def tasks_of(self, contact_id: str) -> list[Task]:
        """The tasks on a contact, open or not. Read through associations, like `notes_of`."""
        names = ["hs_task_body", "hs_task_subject"]
        read = self._read_by_id(self._api().task_batch, self._associated(contact_id, "tasks"), names)
        return [
            Task(id, properties.get("hs_task_body") or "", properties.get("hs_task_subject") or "")
            for id, properties in read
        ]

    def _create(self, api: Any, contact_id: str, type_id: int, properties: dict[str, str]) -> str:
        # Plain JSON, because every object type has a copy of the same model classes. One request, the
        # association inside: a second one could fail and leave a note that hangs on nobody.
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}]
        made = api.create({"properties": properties, "associations": [{"to": {"id": contact_id}, "types": types}]})
        return str(made.id)

    def _associated(self, contact_id: str, kind: str) -> list[str]:
        ids: list[str] = []
        after: str | None = None
        while True:
            more = {"after": after} if after else {}
            page = self._api().associations.get_page("contacts", contact_id, kind, limit=PAGE, **more)
            ids += [str(item.to_object_id) for item in page.results]
            after = page.paging.next.after if page.paging and page.paging.next else None
            if not after:
                return ids

    def _read_by_id(self, api: Any, ids: Iterable[str], names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for chunk in _chunks(list(ids)):
            question = {
                "inputs": [{"id": id} for id in chunk],
                "properties": list(names),
                "propertiesWithHistory": [],
            }
            for item in api.read(question).results:
                yield str(item.id), item.properties

    def _failures(self) -> Failures:
        return Failures("hubspot", (self.access_token,), WAYS_OUT)

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

"""The HubSpot block's support tickets, through the typed client, against the sandbox."""

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest

from blocks import hubspot_tickets
from blocks.hubspot import HubSpot
from blocks.hubspot_tickets import Listed, Ticket, TicketGone
from blocks.shape import SchemaDrift, Shape
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from sandbox.faults import Kind
from tests.blocks.test_shape import Change, Path, alter, fields

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TICKET_TO_CONTACT = 16
LIST = "*/objects/tickets"
ONE = "*/objects/tickets/*"

Make = Callable[..., str]


@pytest.fixture
def make(hubspot: HubSpot) -> Make:
    """Makes a ticket, for the contacts with these ids."""
    api = hubspot.get_client().crm.tickets.basic_api

    def made(subject: str = "Crash", contacts: list[str] | None = None, **properties: str) -> str:
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TICKET_TO_CONTACT}]
        links = [{"to": {"id": contact}, "types": types} for contact in contacts or []]
        return str(api.create({"properties": {"subject": subject, **properties}, "associations": links}).id)

    return made


def subjects(tickets: list[Ticket]) -> list[str]:
    return [ticket.subject for ticket in tickets]


class TestWhatATicketIs:
    def test_all_of_it(self, hubspot: HubSpot, make: Make) -> None:
        ann = hubspot.upsert_contact("Ann@Sender.example", {})
        made = make(
            contacts=[ann],
            content="It <b>stops</b> at < 5 %",
            createdate="2026-11-02T09:00:00+01:00",
            closed_date="2026-11-05T10:00:00Z",
            hs_pipeline_stage="4",
            hs_ticket_priority="HIGH",
        )
        (ticket,) = hubspot.tickets(properties=["hs_ticket_priority", "source_type"])
        assert ticket == Ticket(
            id=made,
            subject="Crash",
            content="It <b>stops</b> at < 5 %",
            pipeline="0",
            stage="4",
            created_at=datetime(2026, 11, 2, 8, tzinfo=UTC),
            modified_at=ticket.modified_at,
            closed_at=datetime(2026, 11, 5, 10, tzinfo=UTC),
            contact_emails=("ann@sender.example",),
            properties={"hs_ticket_priority": "HIGH", "source_type": None},
        )
        assert datetime.now(UTC) - ticket.modified_at < timedelta(minutes=1)
        assert hubspot.ticket(made, ["hs_ticket_priority", "source_type"]) == ticket
        assert len({ticket, hubspot.ticket(made)}) == 2

    def test_blank_one(self, hubspot: HubSpot, make: Make) -> None:
        ticket = hubspot.ticket(make(subject=""))
        assert (ticket.subject, ticket.content, ticket.closed_at, ticket.stage) == ("", "", None, "1")
        assert (ticket.contact_emails, ticket.properties) == ((), {})

    def test_date_that_was_cleared_is_none(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        made = make()
        sandbox.fault("renamed_field", path=ONE, values={"closed_date": ""})
        assert hubspot.ticket(made).closed_at is None

    def test_moments_are_in_utc(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        made = make()
        sandbox.fault("renamed_field", path=ONE, values={"createdate": "2026-11-23T13:00:00+01:00"})
        assert hubspot.ticket(made).created_at.isoformat() == "2026-11-23T12:00:00+00:00"

    def test_own_property_asked_for_by_name_is_text(self, hubspot: HubSpot, make: Make) -> None:
        made = make(createdate="2026-11-02T09:00:00Z")
        assert hubspot.ticket(made, ["createdate"]).properties == {"createdate": "2026-11-02T09:00:00.000Z"}


class TestContacts:
    def test_of_several_in_order(self, hubspot: HubSpot, make: Make) -> None:
        people = [hubspot.upsert_contact(f"{name}@sender.example", {}) for name in ("bob", "ann", "cy")]
        make("Crash", people)
        make("Smoke", [people[1]])
        make("Nobody's")
        assert [ticket.contact_emails for ticket in hubspot.tickets()] == [
            ("bob@sender.example", "ann@sender.example", "cy@sender.example"),
            ("ann@sender.example",),
            (),
        ]

    def test_each_is_read_once(self, hubspot: HubSpot, make: Make, calls: Callable[..., int]) -> None:
        ann = hubspot.upsert_contact("ann@sender.example", {})
        for _ in range(3):
            make("Crash", [ann])
        assert {ticket.contact_emails for ticket in hubspot.tickets()} == {("ann@sender.example",)}
        assert calls("contacts/batch/read") == 1

    def test_without_an_address_or_deleted_is_left_out(self, hubspot: HubSpot, make: Make) -> None:
        api = hubspot.get_client().crm.contacts.basic_api
        silent = api.create({"properties": {"firstname": "Silent"}}).id
        gone = hubspot.upsert_contact("gone@sender.example", {})
        made = make("Crash", [silent, gone, hubspot.upsert_contact("ann@sender.example", {})])
        api.archive(gone)
        assert hubspot.ticket(made).contact_emails == ("ann@sender.example",)

    def test_deleted_while_we_read_is_left_out(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        made = make("Crash", [hubspot.upsert_contact("ann@sender.example", {})])
        sandbox.fault("renamed_field", path=ONE, values={"results": [{"id": "999", "type": "ticket_to_contact"}]})
        assert hubspot.ticket(made).contact_emails == ()

    def test_listed_under_two_labels_counts_once(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        ann = hubspot.upsert_contact("ann@sender.example", {})
        made = make("Crash", [ann])
        twice = [{"id": ann, "type": label} for label in ("ticket_to_contact", "requester")]
        sandbox.fault("renamed_field", path=ONE, values={"results": twice})
        assert hubspot.ticket(made).contact_emails == ("ann@sender.example",)

    def test_more_than_a_read_shows(self, hubspot: HubSpot, make: Make, calls: Callable[..., int]) -> None:
        batch = hubspot.get_client().crm.contacts.batch_api
        chunks = [[{"properties": {"email": f"p{n}@sender.example"}} for n in part] for part in (range(100), [100])]
        people = [each.id for chunk in chunks for each in batch.create({"inputs": chunk}).results]
        make("Crash", people)
        (ticket,) = hubspot.tickets()
        assert ticket.contact_emails == tuple(f"p{n}@sender.example" for n in range(101))
        assert calls("associations/contacts") == 1


class TestWhichOnes:
    def test_by_stage_and_pipeline(self, hubspot: HubSpot, make: Make) -> None:
        other = hubspot.get_client().crm.pipelines.pipelines_api.create(
            "tickets", {"label": "Hardware", "displayOrder": 1, "stages": [{"label": "Broken"}]}
        )
        make("New")
        make("Waiting", hs_pipeline_stage="2")
        make("Broken", hs_pipeline=other.id, hs_pipeline_stage=other.stages[0].id)
        assert subjects(hubspot.tickets(stage="1")) == ["New"]
        assert subjects(hubspot.tickets(pipeline="0")) == ["New", "Waiting"]
        assert subjects(hubspot.tickets(stage=other.stages[0].id, pipeline=other.id)) == ["Broken"]
        assert subjects(hubspot.tickets(stage="1", pipeline=other.id)) == []

    def test_closed_is_what_the_settings_call_closed(self, hubspot: HubSpot, make: Make) -> None:
        stages = [{"label": "Broken"}, {"label": "Mended", "metadata": {"ticketState": "CLOSED"}}]
        other = hubspot.get_client().crm.pipelines.pipelines_api.create(
            "tickets", {"label": "Hardware", "displayOrder": 1, "stages": stages}
        )
        make("Broken", hs_pipeline=other.id, hs_pipeline_stage=other.stages[0].id)
        make("Mended", hs_pipeline=other.id, hs_pipeline_stage=other.stages[1].id)
        make("Closed", hs_pipeline_stage="4")
        again = make("Opened again", hs_pipeline_stage="4")
        hubspot.update_ticket(again, {"hs_pipeline_stage": "3"})
        assert subjects(hubspot.tickets(closed=True)) == ["Mended", "Closed"]
        assert subjects(hubspot.tickets(closed=False)) == ["Broken", "Opened again"]
        assert hubspot.ticket(again).closed_at is not None
        assert subjects(hubspot.tickets(closed=True, pipeline="0", limit=5)) == ["Closed"]

    def test_modified_then_or_later(self, hubspot: HubSpot, make: Make) -> None:
        old, answered, new = make("Old"), make("Answered"), make("New")
        since = hubspot.ticket(new).modified_at
        hubspot.create_ticket_note(answered, "Sent the manual", NOON)
        assert subjects(hubspot.tickets(modified_since=since)) == ["Answered", "New"]
        abroad = since.astimezone(timezone(timedelta(hours=9)))
        assert subjects(hubspot.tickets(modified_since=abroad)) == ["Answered", "New"]
        hubspot.update_ticket(old, {"hs_ticket_priority": "LOW"})
        assert len(hubspot.tickets(modified_since=since)) == 3

    def test_oldest_first_though_imported_last(self, hubspot: HubSpot, make: Make) -> None:
        make("New")
        make("Newer")
        make("Imported", createdate="2024-05-01T00:00:00Z")
        assert subjects(hubspot.tickets()) == ["Imported", "New", "Newer"]
        assert subjects(hubspot.tickets(limit=2)) == ["Imported", "New"]
        assert hubspot.tickets(limit=0) == []

    def test_of_the_same_moment_the_lower_id(self, hubspot: HubSpot, make: Make) -> None:
        for number in range(5):
            make(f"Crash {number}", createdate="2026-11-01T00:00:00Z")
        assert subjects(hubspot.tickets(limit=4)) == [f"Crash {number}" for number in range(4)]

    def test_order_owes_nothing_to_the_list(self) -> None:
        ages = [("100", NOON), ("99", NOON), ("7", NOON + timedelta(seconds=1)), ("101", NOON - timedelta(days=1))]
        listed = [Listed(Ticket(id, "", "", "0", "1", at, at, None), (), False) for id, at in ages]
        assert [each.ticket.id for each in hubspot_tickets.oldest(listed, None)] == ["101", "99", "100", "7"]
        assert [each.ticket.id for each in hubspot_tickets.oldest(listed, 2)] == ["101", "99"]

    def test_deleted_ones_are_left_out(self, hubspot: HubSpot, make: Make) -> None:
        gone = make("Gone")
        make("Here")
        hubspot.get_client().crm.tickets.basic_api.archive(gone)
        assert subjects(hubspot.tickets()) == ["Here"]

    def test_new_one_is_there_while_search_lags(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        sandbox.fault("search_lag", times=None)
        made = make("New")
        assert subjects(hubspot.tickets(stage="1")) == ["New"]
        hubspot.update_ticket(made, {"hs_pipeline_stage": "2"})
        assert hubspot.tickets(stage="1") == []

    def test_none(self, hubspot: HubSpot, calls: Callable[..., int]) -> None:
        assert hubspot.tickets(stage="1") == []
        assert calls() == 1

    @pytest.mark.parametrize(("count", "pages"), [(100, 1), (101, 2), (10_001, 101)])
    def test_many(self, hubspot: HubSpot, calls: Callable[..., int], count: int, pages: int) -> None:
        ann = hubspot.upsert_contact("ann@sender.example", {})
        batch = hubspot.get_client().crm.tickets.batch_api
        types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": TICKET_TO_CONTACT}]
        links = [{"to": {"id": ann}, "types": types}]
        new = [{"properties": {"subject": f"{n}"}, "associations": links} for n in range(count)]
        for start in range(0, count, 100):
            batch.create({"inputs": new[start : start + 100]}, _preload_content=False)
        found = hubspot.tickets(stage="1")
        assert subjects(found) == [f"{n}" for n in range(count)]
        assert found[-1].contact_emails == ("ann@sender.example",)
        assert calls("objects/tickets", "GET") == pages
        assert calls("contacts/batch/read") == 1


class TestWrites:
    def test_update_is_one_request_and_safe_to_repeat(
        self, hubspot: HubSpot, make: Make, calls: Callable[..., int]
    ) -> None:
        made = make(content="Stops")
        for _ in range(2):
            hubspot.update_ticket(made, {"hs_pipeline_stage": "4", "content": ""})
        closed = hubspot.ticket(made)
        assert (closed.stage, closed.content) == ("4", "")
        assert closed.closed_at is not None
        assert calls(f"tickets/{made}", "PATCH") == 2
        assert calls(f"tickets/{made}", "GET") == 1

    def test_note_hangs_on_its_ticket(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        made, other = make(), make("Smoke")
        note = hubspot.create_ticket_note(made, "Sent the manual [a1]", NOON)
        assert hubspot.notes_of_ticket(made) == [(note, "Sent the manual [a1]")]
        assert hubspot.notes_of_ticket(other) == []
        (seen,) = sandbox.records("notes")
        assert seen["associations"] == {"tickets": [made]}
        assert datetime.fromisoformat(seen["properties"]["hs_timestamp"]) == NOON

    def test_note_is_found_while_search_lags(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        sandbox.fault("search_lag", times=None)
        made = make()
        hubspot.create_ticket_note(made, "[a1]", NOON)
        assert [note.body for note in hubspot.notes_of_ticket(made)] == ["[a1]"]

    @pytest.mark.parametrize("kind", ["reply_lost", "reset"])
    def test_lost_reply_to_a_note_is_unknown_and_never_repeated(
        self, hubspot: HubSpot, sandbox: Sandbox, make: Make, kind: Kind, calls: Callable[..., int]
    ) -> None:
        made = make()
        sandbox.fault(kind, path="/notes", method="POST")
        with pytest.raises(VendorError) as caught:
            hubspot.create_ticket_note(made, "[a1]", NOON)
        assert (caught.value.unknown, caught.value.permanent) == (True, False)
        assert calls("objects/notes", "POST") == 1
        assert [note.body for note in hubspot.notes_of_ticket(made)] == (["[a1]"] if kind == "reply_lost" else [])

    @pytest.mark.parametrize("kind", ["reply_lost", "reset"])
    def test_lost_reply_to_an_update_is_unknown_and_never_repeated(
        self, hubspot: HubSpot, sandbox: Sandbox, make: Make, kind: Kind, calls: Callable[..., int]
    ) -> None:
        made = make()
        sandbox.fault(kind, method="PATCH")
        with pytest.raises(VendorError) as caught:
            hubspot.update_ticket(made, {"hs_pipeline_stage": "2"})
        assert (caught.value.unknown, caught.value.permanent) == (True, False)
        assert calls(f"tickets/{made}", "PATCH") == 1
        assert hubspot.ticket(made).stage == ("2" if kind == "reply_lost" else "1")

    def test_rejected_value_is_permanent_and_said(self, hubspot: HubSpot, make: Make) -> None:
        with pytest.raises(VendorError, match="hs_pipeline_stage: nowhere was not") as caught:
            hubspot.update_ticket(make(), {"hs_pipeline_stage": "nowhere"})
        assert (caught.value.permanent, caught.value.unknown) == (True, False)

    def test_a_value_that_is_no_option_is_told_once_and_without_json(self, hubspot: HubSpot, make: Make) -> None:
        with pytest.raises(VendorError) as caught:
            hubspot.update_ticket(make(), {"hs_ticket_category": "PRAISE"})
        assert caught.value.reason == (
            "400 Property values were not valid: hs_ticket_category: PRAISE was not one of the allowed options: "
            "[PRODUCT_ISSUE, BILLING_ISSUE, FEATURE_REQUEST, GENERAL_INQUIRY]"
        )

    def test_note_on_nothing_is_permanent(self, hubspot: HubSpot, sandbox: Sandbox) -> None:
        with pytest.raises(VendorError) as caught:
            hubspot.create_ticket_note("999999", "[a1]", NOON)
        assert caught.value.permanent
        assert sandbox.records("notes") == []


CALLS: dict[str, Callable[[HubSpot, str], object]] = {
    "tickets": lambda hubspot, _: hubspot.tickets(),
    "closed tickets": lambda hubspot, _: hubspot.tickets(closed=True),
    "ticket": lambda hubspot, id: hubspot.ticket(id),
    "notes_of_ticket": lambda hubspot, id: hubspot.notes_of_ticket(id),
    "update_ticket": lambda hubspot, id: hubspot.update_ticket(id, {"subject": "x"}),
    "create_ticket_note": lambda hubspot, id: hubspot.create_ticket_note(id, "x", NOON),
}
WRITES = {"update_ticket", "create_ticket_note"}


class TestFailures:
    @pytest.mark.parametrize("call", ["ticket", "notes_of_ticket", "update_ticket"])
    def test_ticket_that_was_deleted(self, hubspot: HubSpot, make: Make, call: str) -> None:
        made = make()
        hubspot.get_client().crm.tickets.basic_api.archive(made)
        with pytest.raises(TicketGone, match="Object not found") as caught:
            CALLS[call](hubspot, made)
        copy = pickle.loads(pickle.dumps(caught.value))
        for error in (caught.value, copy):
            assert isinstance(error, TicketGone)
            assert (error.vendor, error.permanent, error.status, error.unknown) == ("hubspot", True, 404, False)

    @pytest.mark.parametrize("call", list(CALLS))
    def test_every_call_says_when_to_come_back(
        self, hubspot: HubSpot, sandbox: Sandbox, make: Make, call: str, calls: Callable[..., int]
    ) -> None:
        made = make()
        before = calls()
        sandbox.fault("rate_limited", retry_after=7)
        with pytest.raises(VendorError) as caught:
            CALLS[call](hubspot, made)
        error = caught.value
        assert (error.status, error.retry_after, error.permanent, error.unknown) == (429, 7, False, False)
        assert calls() == before + 1

    @pytest.mark.parametrize("call", list(CALLS))
    @pytest.mark.parametrize("kind", ["bad_gateway", "server_error"])
    def test_server_error_leaves_only_writes_unknown(
        self, hubspot: HubSpot, sandbox: Sandbox, make: Make, call: str, kind: Kind
    ) -> None:
        made = make()
        sandbox.fault(kind)
        with pytest.raises(VendorError) as caught:
            CALLS[call](hubspot, made)
        assert (caught.value.permanent, caught.value.unknown) == (False, call in WRITES)

    @pytest.mark.parametrize("call", list(CALLS))
    def test_every_call_has_a_timeout(
        self, connect_hubspot: Callable[..., HubSpot], sandbox: Sandbox, make: Make, call: str
    ) -> None:
        made = make()
        sandbox.fault("hang", seconds=30)
        with pytest.raises(VendorError, match="ReadTimeoutError") as caught:
            CALLS[call](connect_hubspot(timeout_seconds=0.2), made)
        assert (caught.value.permanent, caught.value.unknown) == (False, call in WRITES)

    def test_second_page_fails_as_a_whole(self, hubspot: HubSpot, sandbox: Sandbox, make: Make) -> None:
        for _ in range(101):
            make()
        sandbox.fault("rate_limited", path=LIST, method="GET", after=1, retry_after=1)
        with pytest.raises(VendorError) as caught:
            hubspot.tickets()
        assert caught.value.retry_after == 1
        assert len(hubspot.tickets()) == 101

    def test_key_without_the_scope(self, hubspot: HubSpot, sandbox: Sandbox) -> None:
        sandbox.fault("leaky_error", status=403)
        with pytest.raises(VendorError, match="and tickets, for workflows that use tickets") as caught:
            hubspot.tickets()
        assert caught.value.permanent


class TestDrift:
    @pytest.mark.parametrize("call", ["tickets", "ticket"])
    def test_renamed_property(self, hubspot: HubSpot, sandbox: Sandbox, make: Make, call: str) -> None:
        made = make()
        sandbox.fault("renamed_field", rename={"subject": "hs_subject"})
        with pytest.raises(SchemaDrift) as caught:
            CALLS[call](hubspot, made)
        assert str(caught.value) == "hubspot: ticket.subject is missing from the reply (hs_subject is new)"
        assert (caught.value.permanent, caught.value.unknown) == (True, False)

    def test_property_that_the_account_has_not(self, hubspot: HubSpot, make: Make) -> None:
        made = make()
        with pytest.raises(SchemaDrift, match=r"ticket\.product_area is missing from the reply"):
            hubspot.ticket(made, ["product_area"])
        with pytest.raises(SchemaDrift, match=r"ticket\.product_area is missing from the reply"):
            hubspot.tickets(properties=["product_area"])

    @pytest.mark.parametrize("value", ["yesterday", "2026-11-23T12:00:00", 1795428000000, ""])
    def test_date_that_is_none(self, hubspot: HubSpot, sandbox: Sandbox, make: Make, value: object) -> None:
        made = make()
        sandbox.fault("renamed_field", path=ONE, values={"createdate": value})
        with pytest.raises(SchemaDrift, match=r"ticket\.createdate is .*a moment \(ISO 8601\)"):
            hubspot.ticket(made)

    def test_after_an_update_that_cannot_be_read_nobody_knows(
        self, hubspot: HubSpot, sandbox: Sandbox, make: Make
    ) -> None:
        made = make()
        sandbox.fault("renamed_field", method="PATCH", rename={"id": "objectId"})
        with pytest.raises(SchemaDrift) as caught:
            hubspot.update_ticket(made, {"hs_pipeline_stage": "2"})
        assert caught.value.unknown
        assert hubspot.ticket(made).stage == "2"


SHAPES: dict[str, tuple[Shape[Any], str]] = {
    "list": (hubspot_tickets.TICKETS_SHAPE, "tickets"),
    "pipelines": (hubspot_tickets.PIPELINES_SHAPE, "closed tickets"),
    "updated": (hubspot_tickets.UPDATED_SHAPE, "update_ticket"),
    "ticket": (hubspot_tickets.ticket_shape(hubspot_tickets.asked(())), "tickets"),
}
DRIFTS = [
    pytest.param(name, path, change, id=f"{name}-{'.'.join(path)}-{change}")
    for name, (shape, _) in SHAPES.items()
    for path, always in sorted(fields(shape.kind))
    for change in get_args(Change)
    if always or change != "remove"
]


@pytest.mark.parametrize(("name", "path", "change"), DRIFTS)
def test_a_used_field_that_drifts_is_named(
    hubspot: HubSpot, make: Make, monkeypatch: pytest.MonkeyPatch, name: str, path: Path, change: Change
) -> None:
    """As `test_shape` does it for the other shapes. Each field has a value here, so that every change is noticed."""
    shape, call = SHAPES[name]
    people = [hubspot.upsert_contact(f"{who}@sender.example", {}) for who in ("ann", "bob")]
    made = make("Crash", people, content="It stops", hs_pipeline_stage="4")
    read, touched = Shape.read, [0]

    def changed(self: Shape[Any], reply: Any, operation: str, *, write: bool = False) -> Any:
        if (self.object, self.kind) == (shape.object, shape.kind):
            more = {"next": {"after": "9"}}
            if name == "list":
                reply.setdefault("paging", more)
            if name == "ticket":
                reply["associations"]["contacts"].setdefault("paging", more)
            touched[0] += alter(reply, path, change)
        return read(self, reply, operation, write=write)

    monkeypatch.setattr(Shape, "read", changed)
    with pytest.raises(SchemaDrift) as caught:
        CALLS[call](hubspot, made)
    assert touched[0] > 0
    told = ".".join(path[1:] if len(path) > 1 and path[0] == shape.inside else path)
    assert (caught.value.object, caught.value.field) == (shape.object, told)
    if change == "rename":
        assert caught.value.new[0] == f"{path[-1]}_v2"

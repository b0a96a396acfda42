"""The pretend HubSpot, through HubSpot's own client, judged by the client's own models."""

from typing import Any

import httpx
import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import models as v4_models
from hubspot.crm.contacts import (
    BatchInputSimplePublicObjectBatchInput,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchInputSimplePublicObjectId,
    BatchReadInputSimplePublicObjectId,
    PublicObjectSearchRequest,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.contacts import models as contact_models
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.crm.objects.notes import SimplePublicObjectInputForCreate as NoteInput
from hubspot.crm.owners import models as owner_models
from hubspot.crm.pipelines import PipelineInput
from hubspot.crm.pipelines import models as pipeline_models
from hubspot.crm.properties import PropertyCreate
from hubspot.crm.properties import models as property_models
from hubspot.crm.tickets import PublicObjectSearchRequest as TicketSearch
from hubspot.crm.tickets import SimplePublicObjectInput as TicketChange
from hubspot.crm.tickets import models as ticket_models

from sandbox import company, credentials
from sandbox.client import Sandbox
from sandbox.crm_schema import ASSOCIATION_TYPES
from sandbox.world import World

Json = dict[str, Any]


@pytest.fixture
def hubspot(sandbox: Sandbox) -> Any:
    """Return HubSpot's client, pointed at the sandbox."""
    return HubSpot(access_token=credentials.HUBSPOT_TOKEN, host=sandbox.at("hubspot"))


@pytest.fixture
def crm(sandbox: Sandbox) -> Any:
    """Return a plain client that keeps the replies as they came over the wire."""
    headers = {"Authorization": f"Bearer {credentials.HUBSPOT_TOKEN}"}
    with httpx.Client(base_url=sandbox.at("hubspot"), headers=headers, trust_env=False) as client:
        yield client


def add(crm: httpx.Client, kind: str, associations: list[Json] | None = None, **properties: str) -> str:
    """Create a record and return its id."""
    body = {"properties": properties, "associations": associations or []}
    reply = crm.post(f"/crm/v3/objects/{kind}", json=body)
    assert reply.status_code == 201, reply.text
    made: str = reply.json()["id"]
    return made


def to(other_id: str, type_id: int) -> Json:
    """Return an inline association."""
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id}
    return {"to": {"id": other_id}, "types": [spec]}


def assert_conforms(value: Any, kind: str, models: Any, where: str) -> None:
    """Fail on fields that HubSpot's model has not, on wrong types, and on required fields that are absent."""
    if kind.startswith("list["):
        assert isinstance(value, list), f"{where} is {value!r}, not a list"
        for number, item in enumerate(value):
            assert_conforms(item, kind[5:-1], models, f"{where}[{number}]")
    elif kind.startswith("dict["):
        assert isinstance(value, dict), f"{where} is {value!r}, not a mapping"
        for name, item in value.items():
            assert_conforms(item, kind[5:-1].split(", ", 1)[1], models, f"{where}.{name}")
    elif kind in ("str", "datetime"):
        assert value is None or isinstance(value, str), f"{where} is {value!r}, not text"
    elif kind in ("int", "bool"):
        assert type(value) is {"int": int, "bool": bool}[kind], f"{where} is {value!r}, not {kind}"
    else:
        assert_is_model(value, getattr(models, kind), models, where)


def assert_is_model(value: Json, model: Any, models: Any, where: str) -> None:
    """Hold one object against one model of HubSpot's client."""
    attribute_of = {key: attribute for attribute, key in model.attribute_map.items()}
    assert set(value) <= set(attribute_of), f"{where} has {set(value) - set(attribute_of)}, which HubSpot has not"
    for key, item in value.items():
        assert_conforms(item, model.openapi_types[attribute_of[key]], models, f"{where}.{key}")
    given = {attribute_of[key]: item for key, item in value.items()}
    model(**given)  # raises ValueError when a required field is absent


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "models", "model"),
    [
        ("GET", "/crm/v3/objects/contacts/{ann}", None, 200, contact_models, "SimplePublicObjectWithAssociations"),
        (
            "GET",
            "/crm/v3/objects/contacts/{ann}?associations=companies,notes&properties=phone",
            None,
            200,
            contact_models,
            "SimplePublicObjectWithAssociations",
        ),
        (
            "GET",
            "/crm/v3/objects/contacts?limit=1",
            None,
            200,
            contact_models,
            "CollectionResponseSimplePublicObjectWithAssociationsForwardPaging",
        ),
        (
            "POST",
            "/crm/v3/objects/contacts",
            {"properties": {"email": "new@b.example"}},
            201,
            contact_models,
            "SimplePublicObject",
        ),
        (
            "PATCH",
            "/crm/v3/objects/contacts/{ann}",
            {"properties": {"phone": "1"}},
            200,
            contact_models,
            "SimplePublicObject",
        ),
        (
            "POST",
            "/crm/v3/objects/contacts/search",
            {"limit": 1},
            200,
            contact_models,
            "CollectionResponseWithTotalSimplePublicObjectForwardPaging",
        ),
        (
            "POST",
            "/crm/v3/objects/contacts/batch/read",
            {"inputs": [{"id": "{ann}"}]},
            200,
            contact_models,
            "BatchResponseSimplePublicObject",
        ),
        (
            "POST",
            "/crm/v3/objects/contacts/batch/read",
            {"inputs": [{"id": "1"}]},
            207,
            contact_models,
            "BatchResponseSimplePublicObjectWithErrors",
        ),
        (
            "POST",
            "/crm/v3/objects/contacts/batch/upsert",
            {"inputs": [{"id": "x@b.example", "idProperty": "email", "properties": {"phone": "2"}}]},
            200,
            contact_models,
            "BatchResponseSimplePublicUpsertObject",
        ),
        ("GET", "/crm/v3/objects/contacts/none", None, 404, contact_models, "Error"),
        (
            "GET",
            "/crm/v4/objects/contacts/{ann}/associations/companies",
            None,
            200,
            v4_models,
            "CollectionResponseMultiAssociatedObjectWithLabelForwardPaging",
        ),
        (
            "GET",
            "/crm/v3/objects/contacts/{ann}/associations/companies",
            None,
            200,
            contact_models,
            "CollectionResponseAssociatedId",
        ),
        (
            "PUT",
            "/crm/v4/objects/contacts/{ann}/associations/default/companies/{acme}",
            None,
            200,
            v4_models,
            "BatchResponsePublicDefaultAssociation",
        ),
        (
            "PUT",
            "/crm/v4/objects/contacts/{ann}/associations/companies/{acme}",
            [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}],
            201,
            v4_models,
            "LabelsBetweenObjectPair",
        ),
        (
            "POST",
            "/crm/v4/associations/contacts/companies/batch/associate/default",
            {"inputs": [{"from": {"id": "{ann}"}, "to": {"id": "{acme}"}}]},
            200,
            v4_models,
            "BatchResponsePublicDefaultAssociation",
        ),
        (
            "POST",
            "/crm/v4/associations/contacts/companies/batch/read",
            {"inputs": [{"id": "{ann}"}]},
            200,
            v4_models,
            "BatchResponsePublicAssociationMultiWithLabel",
        ),
        ("GET", "/crm/v3/properties/contacts", None, 200, property_models, "CollectionResponsePropertyNoPaging"),
        ("GET", "/crm/v3/properties/tasks/hs_task_status", None, 200, property_models, "ModelProperty"),
        (
            "GET",
            "/crm/v3/objects/tickets/{crash}?associations=contacts&properties=closed_date",
            None,
            200,
            ticket_models,
            "SimplePublicObjectWithAssociations",
        ),
        (
            "GET",
            "/crm/v3/objects/tickets?associations=contacts&limit=1",
            None,
            200,
            ticket_models,
            "CollectionResponseSimplePublicObjectWithAssociationsForwardPaging",
        ),
        (
            "POST",
            "/crm/v3/objects/tickets/search",
            {"filterGroups": [{"filters": [{"propertyName": "hs_pipeline_stage", "operator": "EQ", "value": "1"}]}]},
            200,
            ticket_models,
            "CollectionResponseWithTotalSimplePublicObjectForwardPaging",
        ),
        (
            "POST",
            "/crm/v3/objects/tickets/batch/read",
            {"inputs": [{"id": "{crash}"}], "properties": ["subject"]},
            200,
            ticket_models,
            "BatchResponseSimplePublicObject",
        ),
        (
            "PATCH",
            "/crm/v3/objects/tickets/{crash}",
            {"properties": {"hs_pipeline_stage": "4"}},
            200,
            ticket_models,
            "SimplePublicObject",
        ),
        (
            "GET",
            "/crm/v4/objects/tickets/{crash}/associations/contacts",
            None,
            200,
            v4_models,
            "CollectionResponseMultiAssociatedObjectWithLabelForwardPaging",
        ),
        ("GET", "/crm/v3/pipelines/tickets", None, 200, pipeline_models, "CollectionResponsePipelineNoPaging"),
        (
            "POST",
            "/crm/v3/pipelines/tickets",
            {"label": "Hardware", "displayOrder": 1, "stages": [{"label": "Broken", "displayOrder": 0}]},
            201,
            pipeline_models,
            "Pipeline",
        ),
        ("GET", "/crm/v3/owners/", None, 200, owner_models, "CollectionResponsePublicOwnerForwardPaging"),
        ("GET", "/crm/v3/owners/1", None, 200, owner_models, "PublicOwner"),
    ],
)
def test_replies_conform(
    crm: httpx.Client, method: str, path: str, body: Any, status: int, models: Any, model: str
) -> None:
    acme = add(crm, "companies", name="Acme", domain="acme.example")
    ann = add(crm, "contacts", [to(acme, 279)], email="ann@acme.example", firstname="Ann")
    add(crm, "contacts", email="bo@acme.example")
    crash = add(crm, "tickets", [to(ann, 16)], subject="Crash")
    add(crm, "tickets", subject="Smoke")

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        if not isinstance(value, str):
            return value
        return value.replace("{ann}", ann).replace("{acme}", acme).replace("{crash}", crash)

    reply = crm.request(method, filled(path), json=filled(body))
    assert reply.status_code == status, reply.text
    answer = reply.json()
    if model == "Error":
        answer.pop("status")  # in every error body, but not in the client's model
    assert_conforms(answer, model, models, model)


class TestTypedClient:
    """The calls that a block would make."""

    def test_contact_life(self, hubspot: Any) -> None:
        api = hubspot.crm.contacts.basic_api
        made = api.create(
            SimplePublicObjectInputForCreate(properties={"email": "Ann@Acme.example", "firstname": "Ann"})
        )
        assert made.properties["email"] == "ann@acme.example"
        assert api.get_by_id("ann@acme.example", id_property="email").id == made.id
        changed = api.update(made.id, SimplePublicObjectInput(properties={"phone": "123"}))
        assert changed.properties["phone"] == "123"
        assert changed.updated_at > made.updated_at
        seen = api.get_by_id(made.id, properties=["phone", "jobtitle"]).properties
        assert (seen["phone"], seen["jobtitle"], "firstname" in seen) == ("123", None, False)
        assert set(api.get_by_id(made.id).properties) >= {"email", "firstname", "lastname"}
        api.archive(made.id)
        with pytest.raises(ApiException) as caught:
            api.get_by_id(made.id)
        assert caught.value.status == 404
        assert api.get_by_id(made.id, archived=True).archived

    def test_duplicate_email(self, hubspot: Any, sandbox: Sandbox) -> None:
        api = hubspot.crm.contacts.basic_api
        wanted = SimplePublicObjectInputForCreate(properties={"email": "ann@acme.example"})
        made = api.create(wanted)
        with pytest.raises(ApiException) as caught:
            api.create(wanted)
        assert caught.value.status == 409
        assert f"Contact already exists. Existing ID: {made.id}" in caught.value.body
        assert len(sandbox.records("contacts")) == 1

    def test_batches(self, hubspot: Any) -> None:
        api = hubspot.crm.contacts.batch_api
        inputs = [{"properties": {"email": f"{name}@acme.example"}} for name in ("ann", "bo")]
        made = api.create(BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs)).results
        assert [each.properties["email"] for each in made] == ["ann@acme.example", "bo@acme.example"]
        updates = [{"id": made[0].id, "properties": {"phone": "1"}}]
        api.update(BatchInputSimplePublicObjectBatchInput(inputs=updates))
        upserts = [
            {"id": f"{name}@acme.example", "idProperty": "email", "properties": {"city": "Cork"}}
            for name in ("bo", "cy")
        ]
        news = [each.new for each in api.upsert(BatchInputSimplePublicObjectBatchInputUpsert(inputs=upserts)).results]
        assert news == [False, True]
        wanted = [{"id": f"{name}@acme.example"} for name in ("ann", "nobody", "cy")]
        read = api.read(
            BatchReadInputSimplePublicObjectId(
                id_property="email", inputs=wanted, properties=["phone", "city"], properties_with_history=[]
            )
        )
        assert [(each.properties["phone"], each.properties["city"]) for each in read.results] == [
            ("1", None),
            (None, "Cork"),
        ]
        assert read.errors[0].context == {"ids": ["nobody@acme.example"]}
        api.archive(BatchInputSimplePublicObjectId(inputs=[{"id": made[0].id}]))
        assert len(hubspot.crm.contacts.get_all()) == 2

    def test_note_with_inline_association_is_found_from_the_contact(self, hubspot: Any, crm: httpx.Client) -> None:
        ann = add(crm, "contacts", email="ann@acme.example")
        properties = {"hs_note_body": "Called. <b>action-7</b>", "hs_timestamp": "2026-11-23T10:00:00Z"}
        note = hubspot.crm.objects.notes.basic_api.create(NoteInput(properties=properties, associations=[to(ann, 202)]))
        linked = hubspot.crm.associations.v4.basic_api.get_page("contacts", ann, "notes")
        assert [each.to_object_id for each in linked.results] == [note.id]
        seen = hubspot.crm.contacts.basic_api.get_by_id(ann, associations=["notes"])
        assert seen.associations["notes"].results[0].to_dict() == {"id": note.id, "type": "contact_to_note"}

    def test_search_with_the_typed_client(self, hubspot: Any, crm: httpx.Client) -> None:
        add(crm, "contacts", email="ann@acme.example")
        request = PublicObjectSearchRequest(
            filter_groups=[{"filters": [{"propertyName": "email", "operator": "EQ", "value": "ANN@acme.example"}]}],
            sorts=["-createdate"],
            properties=["email"],
            limit=10,
            after="0",
        )
        assert hubspot.crm.contacts.search_api.do_search(request).total == 1

    def test_custom_property(self, hubspot: Any, crm: httpx.Client) -> None:
        refused = crm.post("/crm/v3/objects/deals", json={"properties": {"risk": "high"}})
        assert (refused.status_code, "PROPERTY_DOESNT_EXIST" in refused.text) == (400, True)
        wanted = PropertyCreate(
            name="risk", label="Risk", type="string", field_type="text", group_name="dealinformation"
        )
        hubspot.crm.properties.core_api.create("deals", wanted)
        assert add(crm, "deals", dealname="A", risk="high")
        assert "risk" in [each.name for each in hubspot.crm.properties.core_api.get_all("deals").results]

    def test_owners_and_account(self, hubspot: Any, sandbox: Sandbox) -> None:
        (owner,) = hubspot.crm.owners.owners_api.get_page(email="hello@company.example").results
        assert hubspot.crm.owners.owners_api.get_by_id(int(owner.id)).email == "hello@company.example"
        reply = hubspot.api_request({"path": "/account-info/2026-09/details", "base_url": sandbox.at("hubspot")})
        assert reply.json()["portalId"]


class TestTickets:
    """What HubSpot does with tickets of its own accord."""

    def test_new_ticket_stands_at_the_beginning(self, hubspot: Any, crm: httpx.Client) -> None:
        names = ["hs_pipeline", "hs_pipeline_stage", "closed_date"]
        seen = hubspot.crm.tickets.basic_api.get_by_id(add(crm, "tickets", subject="Crash"), properties=names)
        assert [seen.properties[name] for name in names] == ["0", "1", None]

    def test_date_of_closing_is_set_once_and_stays(self, hubspot: Any, crm: httpx.Client) -> None:
        api, crash = hubspot.crm.tickets.basic_api, add(crm, "tickets", subject="Crash")

        def moved(stage: str, **more: str) -> str | None:
            change = TicketChange(properties={"hs_pipeline_stage": stage, **more})
            found: str | None = api.update(crash, change).properties.get("closed_date")
            return found

        assert moved("3") is None
        closed = moved("4")
        assert closed
        assert [moved("4"), moved("3")] == [closed, closed]
        assert moved("4", closed_date="2026-01-02T03:04:05Z") == "2026-01-02T03:04:05.000Z"

    def test_ticket_made_as_closed_has_the_date(self, crm: httpx.Client, sandbox: Sandbox) -> None:
        add(crm, "tickets", subject="Crash", hs_pipeline_stage="4")
        assert "closed_date" in sandbox.records("tickets")[0]["properties"]

    def test_stages_are_those_of_the_pipelines(self, hubspot: Any, crm: httpx.Client) -> None:
        crash = add(crm, "tickets", subject="Crash")
        stages = [{"label": "Broken"}, {"label": "Mended", "metadata": {"ticketState": "CLOSED"}}]
        made = hubspot.crm.pipelines.pipelines_api.create(
            "tickets", PipelineInput(label="Hardware", display_order=1, stages=stages)
        )
        assert [each.metadata["ticketState"] for each in made.stages] == ["OPEN", "CLOSED"]
        assert [each.id for each in hubspot.crm.pipelines.pipelines_api.get_all("tickets").results] == ["0", made.id]
        move = {"hs_pipeline": made.id, "hs_pipeline_stage": made.stages[1].id}
        changed = hubspot.crm.tickets.basic_api.update(crash, TicketChange(properties=move))
        assert changed.properties["closed_date"]
        refused = crm.patch(f"/crm/v3/objects/tickets/{crash}", json={"properties": {"hs_pipeline_stage": "99"}})
        assert (refused.status_code, "INVALID_OPTION" in refused.text) == (400, True)

    def test_note_hangs_on_it_and_counts_as_a_change(self, hubspot: Any, crm: httpx.Client) -> None:
        crash = add(crm, "tickets", subject="Crash")
        before = hubspot.crm.tickets.basic_api.get_by_id(crash).updated_at
        note = add(crm, "notes", [to(crash, 228)], hs_timestamp="2026-11-23T10:00:00Z", hs_note_body="Mended")
        seen = hubspot.crm.tickets.basic_api.get_by_id(crash, associations=["notes"])
        assert seen.associations["notes"].results[0].to_dict() == {"id": note, "type": "ticket_to_note"}
        assert seen.updated_at > before
        (back,) = hubspot.crm.associations.v4.basic_api.get_page("notes", note, "tickets").results
        assert (back.to_object_id, back.association_types[0].type_id) == (crash, 228)

    @pytest.mark.parametrize(
        ("rule", "found"),
        [
            ({"propertyName": "hs_pipeline_stage", "operator": "IN", "values": ["2", "4"]}, ["Smoke", "Old"]),
            ({"propertyName": "closed_date", "operator": "HAS_PROPERTY"}, ["Old"]),
            ({"propertyName": "closed_date", "operator": "NOT_HAS_PROPERTY"}, ["Crash", "Smoke"]),
            ({"propertyName": "createdate", "operator": "LT", "value": "2026-01-01T00:00:00Z"}, ["Old"]),
            ({"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "2026-01-01T00:00:00Z"}, None),
            ({"propertyName": "hs_lastmodifieddate", "operator": "LT", "value": "1767225600000"}, []),
        ],
    )
    def test_search(self, hubspot: Any, crm: httpx.Client, rule: Json, found: list[str] | None) -> None:
        add(crm, "tickets", subject="Crash")
        add(crm, "tickets", subject="Smoke", hs_pipeline_stage="2")
        add(crm, "tickets", subject="Old", hs_pipeline_stage="4", createdate="2025-05-01T00:00:00Z")
        request = TicketSearch(filter_groups=[{"filters": [rule]}], properties=["subject"], limit=10)
        results = hubspot.crm.tickets.search_api.do_search(request).results
        assert [each.properties["subject"] for each in results] == (
            ["Crash", "Smoke", "Old"] if found is None else found
        )

    def test_search_ends_after_ten_thousand(self, crm: httpx.Client) -> None:
        for after, status in (("9800", 200), ("9801", 400)):
            assert crm.post("/crm/v3/objects/tickets/search", json={"limit": 200, "after": after}).status_code == status

    def test_list_goes_on_after_the_last_one_seen(self, hubspot: Any, crm: httpx.Client) -> None:
        ids = [add(crm, "tickets", subject=f"Crash {number}") for number in range(4)]
        api = hubspot.crm.tickets.basic_api
        first = api.get_page(limit=2)
        api.archive(ids[0])
        second = api.get_page(limit=2, after=first.paging.next.after)
        assert [each.id for each in first.results + second.results] == ids
        assert second.paging is None
        assert [each.id for each in api.get_page(limit=10).results] == ids[1:]

    def test_a_read_shows_a_hundred_contacts(self, hubspot: Any, crm: httpx.Client) -> None:
        inputs = [{"properties": {"email": f"p{number}@acme.example"}} for number in range(101)]
        people = [
            each["id"]
            for chunk in (inputs[:100], inputs[100:])
            for each in crm.post("/crm/v3/objects/contacts/batch/create", json={"inputs": chunk}).json()["results"]
        ]
        crash = add(crm, "tickets", [to(person, 16) for person in people], subject="Crash")
        seen = hubspot.crm.tickets.basic_api.get_by_id(crash, associations=["contacts"]).associations["contacts"]
        assert (len(seen.results), bool(seen.paging.next.after)) == (100, True)
        listed = hubspot.crm.associations.v4.basic_api.get_page("tickets", crash, "contacts", limit=500)
        assert [each.to_object_id for each in listed.results] == people


def test_company_has_new_tickets_and_closed_ones_with_how_they_were_solved() -> None:
    crm = World(company.load()).crm
    new = [each for each in crm.live("tickets") if each.value("hs_pipeline_stage") == "1"]
    closed = [each for each in crm.live("tickets") if crm.is_closed(each.value("hs_pipeline_stage"))]
    assert (len(new), len(closed)) == (4, 8)
    for ticket in new + closed:
        assert all(person.value("email") for person, _ in crm.linked(ticket, "contacts"))
        assert crm.linked(ticket, "contacts"), ticket.id
    for ticket in closed:
        dates = [ticket.value(name) or "" for name in ("createdate", "closed_date", "hs_lastmodifieddate")]
        assert dates == sorted(dates)
        assert all(dates), ticket.id
        assert crm.linked(ticket, "notes"), ticket.id
    assert not any(ticket.value("closed_date") for ticket in new)


def test_new_paths_serve_the_same_objects(crm: httpx.Client) -> None:
    ann = add(crm, "contacts", email="ann@acme.example")
    assert crm.get(f"/crm/objects/2026-09/contacts/{ann}").json()["id"] == ann
    assert crm.get(f"/crm/objects/2026-09/0-1/{ann}").json()["id"] == ann
    note = add(crm, "notes", hs_timestamp="1795428000000", hs_note_body="x")
    crm.put(f"/crm/objects/2026-09/notes/{note}/associations/default/contacts/{ann}").raise_for_status()
    linked = crm.get(f"/crm/objects/2026-09/contacts/{ann}/associations/notes").json()["results"]
    assert linked[0]["toObjectId"] == note
    crm.delete(f"/crm/objects/2026-09/notes/{note}/associations/contacts/{ann}").raise_for_status()
    assert crm.get(f"/crm/objects/2026-09/contacts/{ann}/associations/notes").json()["results"] == []
    assert (
        crm.get(f"/crm/objects/2026-09/notes/{note}?properties=hs_timestamp")
        .json()["properties"]["hs_timestamp"]
        .startswith("2026-11-23T")
    )


@pytest.mark.parametrize(
    ("kind", "properties", "code"),
    [
        ("contacts", {"email": "no address"}, "INVALID_EMAIL"),
        ("contacts", {"lifecyclestage": "friend"}, "INVALID_OPTION"),
        ("contacts", {"hs_object_id": "7"}, "READ_ONLY_VALUE"),
        ("deals", {"amount": "a lot"}, "INVALID_INTEGER"),
        ("notes", {"hs_note_body": "x"}, "required properties"),
        ("tasks", {"hs_timestamp": "tomorrow"}, "INVALID_DATE"),
        ("tasks", {"hs_timestamp": "2026-11-23T10:00:00Z", "hs_task_status": "DONE"}, "INVALID_OPTION"),
        ("tickets", {"subject": "Hi", "hs_pipeline_stage": "1", "hs_ticket_category": "BUG"}, "INVALID_OPTION"),
    ],
)
def test_bad_values_are_refused_and_not_kept(
    crm: httpx.Client, sandbox: Sandbox, kind: str, properties: Json, code: str
) -> None:
    reply = crm.post(f"/crm/v3/objects/{kind}", json={"properties": properties})
    assert reply.status_code == 400
    assert reply.json()["category"] == "VALIDATION_ERROR"
    assert code in reply.json()["message"]
    assert sandbox.records(kind) == []


@pytest.mark.parametrize("wrong", [{"to": {"id": "1"}, "types": []}, to("{ann}", 214), to("999", 202)])
def test_bad_association_keeps_nothing(crm: httpx.Client, sandbox: Sandbox, wrong: Json) -> None:
    ann = add(crm, "contacts", email="ann@acme.example")
    wrong["to"]["id"] = wrong["to"]["id"].replace("{ann}", ann)
    body = {"properties": {"hs_timestamp": "2026-11-23T10:00:00Z"}, "associations": [wrong]}
    assert crm.post("/crm/v3/objects/notes", json=body).status_code == 400
    assert sandbox.records("notes") == []


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic abc"])
def test_other_tokens_are_refused(sandbox: Sandbox, token: str) -> None:
    reply = httpx.get(sandbox.at("hubspot") + "/account-info/2026-09/details", headers={"Authorization": token})
    assert (reply.status_code, reply.json()["category"]) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"propertyName": "amount", "operator": "GT", "value": "90"}, "big huge"),
        ({"propertyName": "amount", "operator": "LTE", "value": "100"}, "big small"),
        ({"propertyName": "amount", "operator": "BETWEEN", "value": "10", "highValue": "100"}, "big"),
        ({"propertyName": "dealname", "operator": "EQ", "value": "BIG"}, "big"),
        ({"propertyName": "dealname", "operator": "NEQ", "value": "big"}, "huge small"),
        ({"propertyName": "dealname", "operator": "IN", "values": ["small", "huge"]}, "huge small"),
        ({"propertyName": "dealname", "operator": "NOT_IN", "values": ["small", "huge"]}, "big"),
        ({"propertyName": "closedate", "operator": "HAS_PROPERTY"}, "big"),
        ({"propertyName": "closedate", "operator": "NOT_HAS_PROPERTY"}, "huge small"),
        ({"propertyName": "closedate", "operator": "GTE", "value": "1767225600000"}, "big"),
        ({"propertyName": "closedate", "operator": "LT", "value": "2026-01-01T00:00:00Z"}, ""),
        ({"propertyName": "description", "operator": "CONTAINS_TOKEN", "value": "loading"}, "huge"),
        ({"propertyName": "description", "operator": "CONTAINS_TOKEN", "value": "load"}, ""),
        ({"propertyName": "description", "operator": "CONTAINS_TOKEN", "value": "load*"}, "huge"),
        ({"propertyName": "description", "operator": "NOT_CONTAINS_TOKEN", "value": "loading"}, "big small"),
    ],
)
def test_search_operators(crm: httpx.Client, rule: Json, found: str) -> None:
    add(crm, "deals", dealname="small", amount="9")
    add(crm, "deals", dealname="huge", amount="1000.5", description="<p>Two loading bays</p>")
    add(crm, "deals", dealname="big", amount="100", closedate="2026-06-01T00:00:00Z")
    body = {"filterGroups": [{"filters": [rule]}], "sorts": [{"propertyName": "dealname", "direction": "ASCENDING"}]}
    results = crm.post("/crm/v3/objects/deals/search", json=body).json()["results"]
    assert " ".join(each["properties"]["dealname"] for each in results) == found


def test_search_groups_pages_and_limits(crm: httpx.Client) -> None:
    for number in range(5):
        add(crm, "tickets", subject=f"Gate {number}", content="Stuck")
    groups = [
        {"filters": [{"propertyName": "subject", "operator": "EQ", "value": f"Gate {number}"}]} for number in (1, 2, 3)
    ]
    body = {"filterGroups": groups, "limit": 2, "sorts": ["-subject"], "query": "stuck"}
    first = crm.post("/crm/v3/objects/tickets/search", json=body).json()
    second = crm.post("/crm/v3/objects/tickets/search", json=body | {"after": first["paging"]["next"]["after"]}).json()
    subjects = [each["properties"]["subject"] for each in first["results"] + second["results"]]
    assert (subjects, first["total"], "paging" in second) == (["Gate 3", "Gate 2", "Gate 1"], 3, False)
    for wrong in ({"limit": 201}, {"filterGroups": groups * 3}, {"sorts": ["a", "b"]}):
        assert crm.post("/crm/v3/objects/tickets/search", json=wrong).status_code == 400
    unknown = {"filterGroups": [{"filters": [{"propertyName": "subject", "operator": "LIKE", "value": "x"}]}]}
    assert crm.post("/crm/v3/objects/tickets/search", json=unknown).status_code == 400


def test_association_types_are_those_of_the_client() -> None:
    from hubspot.crm import AssociationType

    published = {
        name: value for name, value in vars(AssociationType).items() if name.isupper() and isinstance(value, int)
    }
    singular = {"contacts": "CONTACT", "companies": "COMPANY", "deals": "DEAL", "tickets": "TICKET", "notes": "NOTE"}
    checked = 0
    for (one, other), type_id in ASSOCIATION_TYPES.items():
        name = f"{singular.get(one, one[:-1].upper())}_TO_{singular.get(other, other[:-1].upper())}"
        if name in published:
            assert published[name] == type_id, name
            checked += 1
    assert checked > 20


def test_search_index_lags_on_request(sandbox: Sandbox, crm: httpx.Client) -> None:
    def found() -> int:
        total: int = crm.post("/crm/v3/objects/contacts/search", json={}).json()["total"]
        return total

    add(crm, "contacts", email="old@acme.example")
    sandbox.fault("search_lag", times=2)
    new = add(crm, "contacts", email="new@acme.example")
    assert crm.get(f"/crm/v3/objects/contacts/{new}").status_code == 200
    assert [found(), found(), found()] == [1, 1, 2]
    sandbox.fault("search_lag", seconds=3600)
    assert [found(), found()] == [0, 2]


def test_time_moves_on_every_update(crm: httpx.Client) -> None:
    ann = add(crm, "contacts", email="ann@acme.example")
    stamps = [
        crm.patch(f"/crm/v3/objects/contacts/{ann}", json={"properties": {"phone": "1"}}).json()["updatedAt"]
        for _ in range(3)
    ]
    assert stamps == sorted(set(stamps))

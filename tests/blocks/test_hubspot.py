"""The HubSpot block, through the typed client, against the sandbox."""

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from traceback import format_exception
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.hubspot import HubSpot
from blocks.hubspot_parts import sentence
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from sandbox.faults import Kind

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_check_names_the_account(hubspot: HubSpot) -> None:
    assert hubspot.check() == "account 4242 (app.hubspot.com)"


def test_contact_is_created_then_changed(hubspot: HubSpot, sandbox: Sandbox) -> None:
    first = hubspot.upsert_contact("Ann@Sender.example", {"firstname": "Ann"})
    again = hubspot.upsert_contact("ann@sender.example", {"company": "Sender"})
    assert first == again
    (contact,) = sandbox.records("contacts")
    assert contact["properties"]["firstname"] == "Ann"
    assert contact["properties"]["company"] == "Sender"


def test_contacts_are_found_by_address_whatever_its_case(hubspot: HubSpot) -> None:
    ids = [hubspot.upsert_contact(f"p{n}@sender.example", {"firstname": f"P{n}"}) for n in range(3)]
    found = hubspot.contacts_by_email(["P0@Sender.example", "p2@sender.example", "no@sender.example"], ["firstname"])
    assert found == {
        "p0@sender.example": {"id": ids[0], "firstname": "P0"},
        "p2@sender.example": {"id": ids[2], "firstname": "P2"},
    }
    assert hubspot.contacts_by_email([], ["firstname"]) == {}


def test_contacts_are_read_a_hundred_at_a_time(hubspot: HubSpot, calls: Callable[..., int]) -> None:
    hubspot.upsert_contact("p150@sender.example", {})
    found = hubspot.contacts_by_email([f"p{n}@sender.example" for n in range(201)], [])
    assert list(found) == ["p150@sender.example"]
    assert calls("batch/read") == 3


def test_note_hangs_on_its_contact(hubspot: HubSpot, sandbox: Sandbox, calls: Callable[..., int]) -> None:
    contact = hubspot.upsert_contact("ann@sender.example", {})
    other = hubspot.upsert_contact("bob@sender.example", {})
    warsaw = timezone(timedelta(hours=1))
    note = hubspot.create_note(contact, "Wants prices [a1]", NOON.astimezone(warsaw))
    assert hubspot.notes_of(contact) == [(note, "Wants prices [a1]")]
    assert hubspot.notes_of(other) == []
    (seen,) = sandbox.records("notes")
    assert datetime.fromisoformat(seen["properties"]["hs_timestamp"]) == NOON
    assert calls("/notes", "POST") == 1


def test_task_hangs_on_its_contact_and_is_due(hubspot: HubSpot, sandbox: Sandbox) -> None:
    contact = hubspot.upsert_contact("ann@sender.example", {})
    task = hubspot.create_task(contact, "Call Ann", "She asked [a2]", due=NOON)
    (found,) = hubspot.tasks_of(contact)
    assert (found.id, found.body, found.subject) == (task, "She asked [a2]", "Call Ann")
    (seen,) = sandbox.records("tasks")
    assert datetime.fromisoformat(seen["properties"]["hs_timestamp"]) == NOON
    assert seen["properties"]["hs_task_status"] == "NOT_STARTED"


def test_notes_are_found_while_search_lags(hubspot: HubSpot, sandbox: Sandbox) -> None:
    sandbox.fault("search_lag", times=None)
    contact = hubspot.upsert_contact("ann@sender.example", {})
    hubspot.create_note(contact, "Wants prices [a1]", NOON)
    assert len(hubspot.notes_of(contact)) == 1


def test_many_notes_are_read_in_chunks(hubspot: HubSpot, calls: Callable[..., int]) -> None:
    contact = hubspot.upsert_contact("ann@sender.example", {})
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: hubspot.create_note(contact, f"note {n}", NOON), range(101)))
    assert {note.id for note in hubspot.notes_of(contact)} == set(ids)
    assert calls("notes/batch/read") == 2


def test_notes_of_nobody(hubspot: HubSpot) -> None:
    with pytest.raises(VendorError) as caught:
        hubspot.notes_of("999999")
    assert (caught.value.permanent, caught.value.status) == (True, 404)


@pytest.mark.parametrize("kind", ["reply_lost", "reset"])
def test_lost_reply_to_a_note_is_unknown_and_never_repeated(
    hubspot: HubSpot, sandbox: Sandbox, kind: Kind, calls: Callable[..., int]
) -> None:
    contact = hubspot.upsert_contact("ann@sender.example", {})
    sandbox.fault(kind, path="/notes", method="POST")
    with pytest.raises(VendorError) as caught:
        hubspot.create_note(contact, "[a1]", NOON)
    assert (caught.value.unknown, caught.value.permanent) == (True, False)
    assert calls("objects/notes", "POST") == 1
    assert len(hubspot.notes_of(contact)) == (1 if kind == "reply_lost" else 0)


def test_lost_reply_to_a_read_is_left_to_prefect(hubspot: HubSpot, sandbox: Sandbox, calls: Callable[..., int]) -> None:
    contact = hubspot.upsert_contact("ann@sender.example", {})
    for path in ("batch/read", "associations/notes"):
        sandbox.fault("reply_lost", path=path)
    with pytest.raises(VendorError) as read:
        hubspot.contacts_by_email(["ann@sender.example"], [])
    with pytest.raises(VendorError) as listed:
        hubspot.notes_of(contact)
    for error in (read.value, listed.value):
        assert (error.unknown, error.permanent) == (False, False)
    assert calls("contacts/batch/read") == 1
    assert calls("associations/notes") == 1


def test_every_call_has_a_timeout(
    connect_hubspot: Callable[..., HubSpot], sandbox: Sandbox, calls: Callable[..., int]
) -> None:
    hubspot = connect_hubspot(timeout_seconds=0.2)
    sandbox.fault("hang", seconds=30, times=None)
    methods: list[Callable[[], Any]] = [
        hubspot.account,
        lambda: hubspot.contacts_by_email(["a@b.example"], []),
        lambda: hubspot.upsert_contact("a@b.example", {}),
        lambda: hubspot.create_note("1", "x", NOON),
        lambda: hubspot.create_task("1", "x", "x", NOON),
        lambda: hubspot.notes_of("1"),
        lambda: hubspot.tasks_of("1"),
    ]
    for method in methods:
        with pytest.raises(VendorError, match="ReadTimeoutError") as caught:
            method()
        assert not caught.value.permanent
    assert calls() == len(methods)


def test_unreachable_vendor_did_nothing(connect_hubspot: Callable[..., HubSpot]) -> None:
    with pytest.raises(VendorError, match="could not connect") as caught:
        connect_hubspot(address="http://127.0.0.1:9").create_note("1", "x", NOON)
    assert (caught.value.unknown, caught.value.permanent) == (False, False)


@pytest.mark.parametrize(
    ("kind", "status", "unknown", "retry_after"),
    [
        ("rate_limited", 429, False, 4),
        ("rate_limited", 429, False, None),
        ("server_error", 500, True, None),
        ("bad_gateway", 502, True, None),
    ],
)
def test_refused_write(
    hubspot: HubSpot,
    sandbox: Sandbox,
    kind: Kind,
    status: int,
    unknown: bool,
    retry_after: float | None,
    calls: Callable[..., int],
) -> None:
    sandbox.fault(kind, retry_after=retry_after)
    with pytest.raises(VendorError) as caught:
        hubspot.create_note("1", "x", NOON)
    error = caught.value
    assert (error.status, error.permanent, error.unknown) == (status, False, unknown)
    assert error.retry_after == retry_after
    assert "<" not in str(error)
    assert calls() == 1


def test_rejected_value_is_permanent_and_said_in_a_sentence(hubspot: HubSpot) -> None:
    with pytest.raises(VendorError) as caught:
        hubspot.upsert_contact("ann@sender.example", {"no_such_property": "x", "lifecyclestage": "friend"})
    assert caught.value.permanent
    first, second = caught.value.reason.split("; ")
    assert first == '400 Property values were not valid: Property "no_such_property" does not exist'
    assert second.startswith("lifecyclestage: friend was not one of the allowed options: [subscriber, lead, ")
    assert second.endswith("]")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Object not found.", "Object not found."),
        (
            'Not valid: [{"message": "Long", "localizedErrorMessage": "Short", "name": "stage"}]',
            "Not valid: stage: Short",
        ),
        ('Not valid: [{"error": "INVALID_DATE"}, "x", {}]', "Not valid: INVALID_DATE"),
        ('[{"message": "No number"}] (row 3)', "No number (row 3)"),
        ('Not valid: [{"message": "cut', 'Not valid: [{"message": "cut'),
        ("Not valid: [{}]", "Not valid"),
    ],
)
def test_what_hubspot_says_is_said_without_its_json(message: str, said: str) -> None:
    assert sentence(message) == said


def test_dead_token_is_permanent_and_appears_nowhere(connect_hubspot: Callable[..., HubSpot]) -> None:
    hubspot = connect_hubspot(access_token=SecretStr("planted-token"))
    with pytest.raises(VendorError, match="create a new Service Key") as caught:
        hubspot.check()
    assert (caught.value.permanent, caught.value.status) == (True, 401)
    assert "planted" not in f"{hubspot!r} {format_exception(caught.value)} {vars(caught.value)} {hubspot.model_dump()}"


def test_token_that_a_rejected_value_holds_appears_nowhere(hubspot: HubSpot) -> None:
    token = hubspot.access_token.get_secret_value()
    with pytest.raises(VendorError, match="was not one of the allowed options") as caught:
        hubspot.upsert_contact("ann@sender.example", {"lifecyclestage": token})
    assert token not in f"{format_exception(caught.value)} {vars(caught.value)}"


def test_eight_threads_each_get_their_own_contact(hubspot: HubSpot) -> None:
    emails = [f"p{n}@sender.example" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        ids = dict(zip(emails, pool.map(lambda email: hubspot.upsert_contact(email, {}), emails), strict=True))
        found = pool.map(lambda email: hubspot.contacts_by_email([email], []), emails * 3)
    assert all(contact["id"] == ids[email] for one in found for email, contact in one.items())


def test_block_travels_after_use(hubspot: HubSpot) -> None:
    hubspot.check()
    assert pickle.loads(pickle.dumps(hubspot)).check() == hubspot.check()

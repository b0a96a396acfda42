"""Events as records: each enters once, what is unfit is set aside with the reason, and one bad event harms no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Cursor, Ledger, Record, WebhookEvent, utcnow
from flows.lead_triage import CARD
from tasks import audit, events, quarantine, retention
from tasks.run import Run

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

Begin = Callable[..., AbstractContextManager[Run]]
Take = Callable[..., tuple[list[int], list[str]]]
ANN = "ann@northwind.example"


def fit() -> Sequence[Expectation]:
    """What a message from the web form must be like."""
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToNotBeNull(column="email", notes="it has no address"),
        gxe.ExpectColumnValuesToMatchRegex(column="email", regex="@", notes="its address is none"),
        gxe.ExpectColumnValuesToBeBetween(column="seats", min_value=1, max_value=500, notes="nobody has so many seats"),
    ]


def free() -> Sequence[Expectation]:
    """Anything will do."""
    return []


@pytest.fixture
def take(begin: Begin) -> Take:
    """One run that only takes in events; returns the claimed records and the run's notes."""

    def once(*kinds: str, source: str = "web-form", limit: int = 100, suite: Any = fit) -> tuple[list[int], list[str]]:
        with begin(CARD) as run:
            return events.new(run, source, kinds, limit=limit, suite=suite), run.notes

    return once


def arrive(ledger: Ledger, *ids: str, kind: str = "asked", source: str = "web-form", **payload: Any) -> None:
    """As the receiver stores them."""
    said = {"email": ANN, "subject": f"About {', '.join(ids)}", "seats": 5} | payload
    with ledger.write() as session:
        for name in ids:
            made = {"source": source, "external_id": name, "kind": kind, "payload": said}
            session.add(WebhookEvent(**made, state="started", handled_at=utcnow()))


def rows(ledger: Ledger) -> list[Record]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Record).order_by(Record.id)))


def test_an_event_enters_once_with_all_that_it_said(ledger: Ledger, take: Take) -> None:
    arrive(ledger, "f1", note="Could we see a demo?")
    (first,), notes = take()
    assert (notes, take()[0]) == ([], [first])  # what nobody finished is claimed again
    (record,) = rows(ledger)
    identity = (record.workflow, record.source, record.external_id, record.version)
    assert identity == ("lead-triage", "webhook:web-form", "f1", "1")
    assert (record.title, record.state, record.reason) == ("About f1", "fetched", None)
    assert record.payload == {"email": ANN, "subject": "About f1", "seats": 5, "note": "Could we see a demo?"}


def test_only_this_endpoints_events_of_these_kinds_are_taken(ledger: Ledger, take: Take) -> None:
    arrive(ledger, "a", kind="asked")
    arrive(ledger, "b", kind="viewed", subject=None)
    arrive(ledger, "c", source="shop")
    take("asked", "bought")
    assert [row.external_id for row in rows(ledger)] == ["a"]
    arrive(ledger, "d", kind="asked")
    take("viewed")
    take("asked", "bought")
    assert [(row.external_id, row.title) for row in rows(ledger)] == [
        ("a", "About a"), ("b", "viewed"), ("d", "About d")
    ]  # fmt: skip


def test_a_limit_takes_the_oldest_and_leaves_the_rest_to_the_next_run(ledger: Ledger, take: Take) -> None:
    arrive(ledger, *"abcde")
    ids, notes = take(limit=2)
    assert [row.external_id for row in rows(ledger)] == ["a", "b"]
    assert (len(ids), notes) == (2, ["took 2 events of web-form, the limit of a run; more may wait"])
    take(limit=2)
    take(limit=2)
    assert [row.external_id for row in rows(ledger)] == list("abcde")
    with ledger.read() as session:
        cursor = session.get_one(Cursor, ("lead-triage", "webhook:web-form"))
    assert cursor.value == "5"


def test_what_is_unfit_is_set_aside_with_the_reason_and_can_be_put_back(ledger: Ledger, take: Take) -> None:
    arrive(ledger, "good")
    arrive(ledger, "no address", email=None)
    arrive(ledger, "nonsense", email="nobody", seats=9_000)
    assert len(take()[0]) == 1
    aside = {row.external_id: row for row in rows(ledger) if row.state == "quarantined"}
    assert {name: row.reason for name, row in aside.items()} == {
        "no address": "it has no address",
        "nonsense": "its address is none; nobody has so many seats",
    }
    quarantine.replay(ledger, [aside["nonsense"].id], by="sam")
    assert len(take()[0]) == 2


@pytest.mark.parametrize("seats", ["five", {"from": 1}, [1, 2], True], ids=str)
def test_a_field_of_another_type_sets_aside_its_own_event_only(ledger: Ledger, take: Take, seats: Any) -> None:
    arrive(ledger, "a", "b")
    arrive(ledger, "odd", seats=seats)
    arrive(ledger, "c")
    assert len(take()[0]) >= 3
    states = {row.external_id: row.state for row in rows(ledger)}
    assert [states[name] for name in "abc"] == ["fetched"] * 3


def test_a_field_that_no_event_has_is_null_and_no_failure_of_the_batch(ledger: Ledger, take: Take) -> None:
    with ledger.write() as session:
        made = {"source": "web-form", "external_id": "x", "kind": "asked", "payload": {"id": "theirs"}}
        session.add(WebhookEvent(**made, state="ignored"))
    assert take()[0] == []
    (record,) = rows(ledger)
    assert (record.state, record.reason) == ("quarantined", "it has no address")
    assert record.external_id == "x"


@pytest.mark.both_databases
@pytest.mark.parametrize("levels", [64, 950])
def test_what_no_record_can_hold_is_set_aside_and_the_next_is_taken(ledger: Ledger, take: Take, levels: int) -> None:
    arrive(ledger, "deep", "good")
    deep = '{"a":' * levels + "1" + "}" * levels  # as an older version took it, on another stack
    with ledger.write() as session:
        session.connection().exec_driver_sql(
            f"UPDATE webhook_events SET payload = '{{\"note\":{deep}}}' WHERE external_id = 'deep'"
        )
    assert len(take()[0]) == 1
    assert take()[0] == [2]
    aside, good = rows(ledger)
    assert (aside.external_id, aside.state, aside.payload, aside.title) == ("deep", "quarantined", {}, "asked")
    assert str(aside.reason).startswith(("the body is nested too deeply", "it cannot be read"))
    assert good.state == "fetched"


@pytest.mark.both_databases
def test_half_a_character_of_an_older_event_is_replaced(ledger: Ledger, take: Take) -> None:
    arrive(ledger, "half", subject="a\ud800", note={"\udfff": "b\x00"})
    assert len(take()[0]) == 1
    (record,) = rows(ledger)
    assert record.title == "a\ufffd"
    assert record.payload is not None
    assert "\ufffd" in record.payload["note"]


def test_what_the_database_does_not_take_is_set_aside_alone(
    ledger: Ledger, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(ledger, "a", "b")
    arrive(ledger, "odd", note="odd")
    arrive(ledger, "c")
    odd = {"email": ANN, "note": object()}  # which is no JSON
    monkeypatch.setattr(events, "storable", lambda said: odd if said.get("note") == "odd" else said)
    assert len(take(suite=free)[0]) == 3
    assert [(row.external_id, row.state) for row in rows(ledger)] == [
        ("a", "fetched"), ("b", "fetched"), ("odd", "quarantined"), ("c", "fetched")
    ]  # fmt: skip
    (aside,) = [row for row in rows(ledger) if row.external_id == "odd"]
    assert (aside.payload, aside.reason) == ({}, events.UNREADABLE)


def test_a_number_larger_than_any_column_sets_aside_nobody_else(ledger: Ledger, take: Take) -> None:
    arrive(ledger, "large", seats=10**400)
    arrive(ledger, "good")
    take()
    assert {row.external_id: row.state for row in rows(ledger)} == {"large": "quarantined", "good": "fetched"}


def test_two_runs_at_once_take_each_once(ledger: Ledger, begin: Begin) -> None:
    arrive(ledger, *"abc")
    with begin(CARD) as one, begin(CARD) as two:
        first = events.new(one, "web-form", limit=100, suite=free)
        second = events.new(two, "web-form", limit=100, suite=free)
    assert (len(first), second) == (3, [])
    assert len(rows(ledger)) == 3


@pytest.mark.both_databases
class TestRetention:
    def test_handled_events_lose_what_they_said_by_age_and_the_history_tells_of_it(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(retention.SETTING, "30")
        arrive(ledger, "old", "older")
        arrive(ledger, "young")
        with ledger.write() as session:
            ages = {"old": 31, "older": 40, "young": 29}
            for event in session.scalars(sa.select(WebhookEvent)):
                event.received_at = utcnow() - timedelta(days=ages[event.external_id])
            made = {"source": "stripe", "external_id": "waits", "kind": "x", "payload": {"email": ANN}}
            session.add(WebhookEvent(**made, state="stored", received_at=utcnow() - timedelta(days=99)))
        for _ in range(2):
            retention.apply(ledger)
        with ledger.read() as session:
            left = {e.external_id: e.payload is not None for e in session.scalars(sa.select(WebhookEvent))}
        assert left == {"old": False, "older": False, "young": True, "waits": True}
        assert audit.verify(ledger).findings == ()

    def test_a_record_that_is_redacted_takes_its_event_with_it(self, ledger: Ledger) -> None:
        arrive(ledger, "f1", "f2")
        with ledger.write() as session:
            for name, source in (("f1", "webhook:web-form"), ("f2", "gmail:x@y.example")):
                made = {"workflow": "lead-triage", "source": source, "external_id": name, "payload": {"email": ANN}}
                session.add(Record(**made, state="skipped"))
        retention.redact(ledger, [1, 2], by="sam")
        with ledger.read() as session:
            left = {e.external_id: e.payload is not None for e in session.scalars(sa.select(WebhookEvent))}
        assert left == {"f1": False, "f2": True}
        assert audit.verify(ledger).findings == ()

"""Alerts: one open for a key, whoever opens it; told to Prefect when it opens and when it closes."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Alert, Ledger
from tasks import alerts

pytestmark = pytest.mark.both_databases

KEY = "drift:hubspot:contact.firstname"


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events that would go to Prefect."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr("prefect.events.emit_event", lambda **event: events.append(event))
    return events


def test_opened_once_and_counted_after_that(ledger: Ledger, emitted: list[dict[str, Any]]) -> None:
    assert alerts.open_alert(ledger, KEY, "it is gone", "lead-triage")
    (first,) = alerts.still_open(ledger)
    assert not alerts.open_alert(ledger, KEY, "it is still gone", "lead-triage")
    (alert,) = alerts.still_open(ledger)
    assert (alert.times, alert.message, alert.workflow) == (2, "it is gone", "lead-triage")
    assert alert.opened_at == first.opened_at < alert.seen_at
    assert [e["event"] for e in emitted] == ["signoff.alert.opened"]


def test_closed_and_opened_again_is_another(ledger: Ledger, emitted: list[dict[str, Any]]) -> None:
    alerts.open_alert(ledger, KEY, "gone")
    assert alerts.close_alert(ledger, KEY)
    assert not alerts.close_alert(ledger, KEY)
    assert alerts.still_open(ledger) == []
    assert alerts.open_alert(ledger, KEY, "gone again")
    newest, oldest = alerts.every(ledger)
    assert (newest.closed_at, newest.times, oldest.message) == (None, 1, "gone")
    assert oldest.closed_at is not None
    assert [e["event"].split(".")[-1] for e in emitted] == ["opened", "closed", "opened"]


def test_the_event_names_alert_and_message(ledger: Ledger, emitted: list[dict[str, Any]]) -> None:
    alerts.open_alert(ledger, KEY, "it is gone", "lead-triage")
    (event,) = emitted
    assert event["resource"]["prefect.resource.id"] == f"signoff.alert.{KEY}"
    assert event["payload"] == {"message": "it is gone", "workflow": "lead-triage"}
    json.dumps(event)


def test_a_workflow_sees_its_own_and_everybodys(ledger: Ledger, emitted: list[dict[str, Any]]) -> None:
    alerts.open_alert(ledger, "a", "mine", "lead-triage")
    alerts.open_alert(ledger, "b", "another's", "billing")
    alerts.open_alert(ledger, "c", "everybody's")
    assert [a.key for a in alerts.still_open(ledger, "lead-triage")] == ["a", "c"]
    assert [a.key for a in alerts.still_open(ledger)] == ["a", "b", "c"]
    assert len(emitted) == 3


def test_two_that_open_it_at_once_open_one(ledger: Ledger, emitted: list[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda n: alerts.open_alert(ledger, KEY, f"no {n}"), range(24)))
    assert opened.count(True) == 1
    (alert,) = alerts.still_open(ledger)
    assert alert.times == 24
    assert len(emitted) == 1


def test_the_database_itself_holds_to_one_open_alert_a_key(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(Alert(key=KEY, message="one"))
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as session:
        session.add(Alert(key=KEY, message="two"))


def test_an_event_that_cannot_be_sent_fails_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("no server")

    monkeypatch.setattr("prefect.events.emit_event", broken)
    with caplog.at_level(logging.ERROR):
        assert alerts.open_alert(ledger, KEY, "gone")
        assert alerts.close_alert(ledger, KEY)
    assert "could not be sent" in caplog.text


def test_what_looks_like_a_credential_is_blanked_and_a_long_message_cut(
    ledger: Ledger, emitted: list[dict[str, Any]]
) -> None:
    alerts.open_alert(ledger, KEY, "Bearer abcdef123456 " + "x" * 9_000)
    (alert,) = alerts.still_open(ledger)
    assert "abcdef" not in alert.message
    assert len(alert.message) == alerts.LONGEST
    assert emitted[0]["payload"]["message"] == alert.message


def test_a_real_server_takes_the_event(ledger: Ledger, prefect_server: None) -> None:  # noqa: ARG001
    from prefect.client.orchestration import get_client

    key = f"{KEY}:{time.time()}"
    alerts.open_alert(ledger, key, "it is gone", "lead-triage")
    wanted = {"filter": {"resource": {"id": [f"signoff.alert.{key}"]}, "event": {"name": ["signoff.alert.opened"]}}}
    patience = time.monotonic() + 20
    events: list[dict[str, Any]] = []
    with get_client(sync_client=True) as client:
        while not events and time.monotonic() < patience:
            time.sleep(0.1)
            events = client._client.post("/events/filter", json=wanted).json()["events"]
    (event,) = events
    assert event["payload"] == {"message": "it is gone", "workflow": "lead-triage"}

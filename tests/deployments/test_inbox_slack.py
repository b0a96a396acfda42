"""Presses in Slack, as they arrive at the receiver: signed and of now, answered at once, and only then worked on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.testclient import TestClient

from blocks.ledger import Ledger
from deployments.inbox.service import Inbox
from deployments.receiver.app import create_app
from deployments.receiver.endpoints import Endpoints
from sandbox.client import Sandbox
from tasks import approval_slack
from tests import pressing
from tests.deciding import CARDS, TOM, Desk, reply, service
from tests.deployments.machinery import eventually
from tests.deployments.receiving import ENDPOINTS, endpoint
from tests.pressing import form, interaction, whispers

FORM = "application/x-www-form-urlencoded"
SLACK = {"slack": ENDPOINTS["slack"]}


@pytest.fixture(autouse=True)
def _no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.receiver.app.Dispatcher.watch", lambda *_: None)


@pytest.fixture
def desk(
    ledger: Ledger,
    deployment: UUID,  # noqa: ARG001
) -> Desk:
    """One reply that waits."""
    made = Desk(ledger)
    made.put(reply())
    return made


@pytest.fixture
def inbox(ledger: Ledger, tmp_path: Path) -> Inbox:
    return service(ledger, tmp_path)


@pytest.fixture
def client(
    inbox: Inbox,
    accounts: Callable[[], None],  # noqa: ARG001
) -> Iterator[TestClient]:
    """The receiver, with Slack's endpoint."""
    endpoints = Endpoints(lambda: (SLACK, []))
    app = create_app(inbox.ledger, endpoints, routers=(inbox.router,), on_interaction=inbox.on_interaction)
    with pressing.desk(), TestClient(app, client=("203.0.113.9", 1)) as made:
        eventually("it knows its endpoints", lambda: endpoints.known, 10, 0.005)
        yield made


@pytest.fixture
def message(client: TestClient, desk: Desk, sandbox: Sandbox) -> dict[str, Any]:
    """What is in the channel."""
    assert client
    at = approval_slack.desk()
    assert at is not None
    approval_slack.post(desk.ledger, CARDS, at, buttons=True)
    (posted,) = sandbox.posts()
    return posted


def send(client: TestClient, body: bytes, *, at: datetime | None = None, path: str = "slack", **headers: str) -> Any:
    signed = ENDPOINTS["slack"].sign(body, at or datetime.now(UTC))
    return client.post(f"/hooks/{path}", content=body, headers={"content-type": FORM} | signed | headers)


def test_a_press_is_answered_at_once_and_then_decides(
    client: TestClient, desk: Desk, sandbox: Sandbox, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    decide = approval_slack.decide

    def slow(*given: Any) -> str:
        may_go_on.wait(10)
        return decide(*given)

    monkeypatch.setattr("tasks.approval_slack.decide", slow)
    answer = send(client, form(interaction(message, "Approve")))
    assert (answer.status_code, answer.json()) == (200, {})
    assert desk.states() == ["waiting"]
    may_go_on.set()
    decision = eventually("it is decided", lambda: desk.decision(1), 10, 0.02)
    assert (decision.verdict, decision.approver) == ("approved", TOM)
    eventually("the message says so", lambda: "Approved by" in pressing.said(sandbox.posts()[0]), 10, 0.02)


@pytest.mark.parametrize(
    ("minutes", "status"), [(-6, 401), (6, 401), (-4, 200), (4, 200)], ids=["old", "future", "late", "early"]
)
def test_the_age_counts_both_ways(
    client: TestClient, desk: Desk, message: dict[str, Any], minutes: int, status: int
) -> None:
    body = form(interaction(message, "Reject", user="U0GUEST"))
    assert send(client, body, at=datetime.now(UTC) + timedelta(minutes=minutes)).status_code == status
    assert desk.states() == ["waiting"]


def test_what_is_forged_decides_nothing(
    client: TestClient, desk: Desk, message: dict[str, Any], sandbox: Sandbox
) -> None:
    body = form(interaction(message, "Approve"))
    others = endpoint("slack", secret="another-secret-of-somebody").sign(body, datetime.now(UTC))
    good = ENDPOINTS["slack"].sign(body, datetime.now(UTC))
    answers = [
        client.post("/hooks/slack", content=body, headers={"content-type": FORM}),
        client.post("/hooks/slack", content=body, headers={"content-type": FORM} | others),
        client.post("/hooks/slack", content=body.replace(b"U0TOM", b"U0KOF"), headers={"content-type": FORM} | good),
        client.post(
            "/hooks/slack", content=body, headers={"content-type": FORM} | {**good, "X-Slack-Signature": "v0="}
        ),
        client.get(f"/hooks/slack?payload={body.decode()}"),
        send(client, body, path="nobody"),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 405, 404]
    time.sleep(0.05)
    assert desk.states() == ["waiting"]
    assert whispers(sandbox) == []


@pytest.mark.parametrize("body", [b"payload=", b"payload={", b"payload=[]", b"x=1", b"payload={}&payload={}", b"\xff"])
def test_what_cannot_be_read_is_refused_in_words(client: TestClient, desk: Desk, body: bytes) -> None:
    assert send(client, body).status_code == 400
    assert desk.states() == ["waiting"]


def test_other_interactions_are_acknowledged_and_left(client: TestClient, desk: Desk, message: dict[str, Any]) -> None:
    for payload in (
        interaction(message, "Open"),
        interaction(message, "Approve", type="view_submission"),
        {"type": "block_actions"},
        {"type": "shortcut"},
    ):
        assert send(client, form(payload)).json() == {}
    assert desk.states() == ["waiting"]


def test_one_press_that_is_sent_again_decides_once(
    client: TestClient, desk: Desk, sandbox: Sandbox, message: dict[str, Any]
) -> None:
    body = form(interaction(message, "Reject"))
    for _ in range(3):
        assert send(client, body).status_code == 200
    eventually("the others are told", lambda: len(whispers(sandbox)) == 2, 10, 0.02)
    assert desk.states() == ["rejected"]


def test_prefect_is_away_and_the_person_is_told(
    client: TestClient,
    desk: Desk,
    sandbox: Sandbox,
    message: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise httpx.ConnectError("no Prefect")

    monkeypatch.setattr("tasks.approvals.respond", away)
    send(client, form(interaction(message, "Approve")))
    told = eventually("they are told", lambda: whispers(sandbox), 10, 0.02)
    assert told == [("U0TOM", "Signoff could not take this now, and nothing was done: press again.")]
    assert desk.states() == ["waiting"]


@pytest.mark.usefixtures("accounts")
def test_the_receiver_posts_and_follows_by_itself(
    desk: Desk, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.inbox.service.SLACK_SECONDS", 0.05)
    monkeypatch.setattr("deployments.inbox.service.saved", lambda: (SLACK, []))
    inbox = service(desk.ledger, tmp_path, tells=True, hold_seconds=0)
    app = create_app(desk.ledger, Endpoints(lambda: (SLACK, [])), routers=(inbox.router,))
    with pressing.desk(), TestClient(app):
        (message,) = eventually("it is posted", sandbox.posts, 20, 0.02)
        assert pressing.buttons(message) == ["Approve", "Reject", "Open"]
        inbox.holding.hold(TOM, {1: desk.action(1).digest}, approve=True, said="x")  # on the page
        eventually("the message says so", lambda: "Approved by" in pressing.said(sandbox.posts()[0]), 20, 0.05)
    assert desk.states() == ["pending"]


def on_7(label: str) -> dict[str, Any]:
    """A press about action 7."""
    return {
        "type": "block_actions",
        "user": {"id": "U0TOM", "team_id": "T0"},
        "team": {"id": "T0"},
        "container": {"message_ts": "1.2"},
        "actions": [{"action_id": label, "value": f"7:{'d' * 64}"}],
    }


def test_an_end_lets_end_what_was_accepted(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    ending, done = threading.Event(), []
    shutdown = inbox._presses.shutdown

    def end(**given: Any) -> None:
        ending.set()
        shutdown(**given)

    def press(one: approval_slack.Press) -> None:
        assert ending.wait(10)
        done.append(one.action_id)

    monkeypatch.setattr(inbox, "_press", press)
    monkeypatch.setattr(inbox._presses, "shutdown", end)

    async def life() -> None:
        async with inbox.open():
            for _ in range(6):  # more than are worked on at once
                inbox.on_interaction(on_7(approval_slack.APPROVE))

    asyncio.run(life())
    assert done == [7] * 6


def test_an_end_names_what_it_cannot_wait_for(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    over, done = threading.Event(), []

    def press(one: approval_slack.Press) -> None:
        over.wait(10)
        done.append(one.action_id)

    monkeypatch.setattr(inbox, "_press", press)
    monkeypatch.setattr("deployments.inbox.service.PRESS_SECONDS", 0)
    caplog.set_level(logging.ERROR)
    for _ in range(6):
        inbox.on_interaction(on_7(approval_slack.REJECT))
    inbox._finish_presses()
    over.set()
    shown = "action 7: rejecting it in Slack was not done before the end: press again"
    assert [record.getMessage() for record in caplog.records] == [shown] * 6
    inbox._presses.shutdown(wait=True)
    assert done == [7] * 4

"""`signoff webhooks`, `signoff receive` and the triggers' part of `signoff check`, as a person meets them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from blocks import connections
from blocks.ledger import History, Ledger, WebhookEvent, utcnow
from blocks.webhooks import SLUG, WebhookEndpoint
from deployments import check, triggers
from deployments import webhooks as commands
from deployments.receiver import app, serve
from deployments.receiver.endpoints import Endpoints
from deployments.receiver.endpoints import saved as blocks_on_the_server
from deployments.stack import RECEIVER_URL
from deployments.triggers import Trigger
from tests.deployments.machinery import Finished, clean_environment, eventually, run, unused_port
from tests.deployments.receiving import EACH, ENDPOINTS, SECRET, deployed, endpoint, runs, saved, served

Signoff = Callable[..., Finished]
SAID = {"id": "evt_1", "note": "Hello \x1b[2J[red]you[/red] J\u00f8rgen"}


@pytest.fixture(scope="module")
def blocks(prefect_server: None) -> Iterator[None]:  # noqa: ARG001
    """The tests' endpoints, as blocks."""
    with saved():
        yield


@pytest.fixture
def receiver(blocks: None, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: ARG001
    """A receiver that commands find, and which starts no runs; its triggers are the tests'."""
    monkeypatch.setattr("deployments.receiver.app.Dispatcher.watch", lambda *_: None)
    monkeypatch.setattr(commands, "TRIGGERS", EACH)
    monkeypatch.setattr(commands, "TEST_SECONDS", 0.5)
    made = app.create_app(ledger, Endpoints(lambda: (ENDPOINTS, [])), triggers=EACH)
    with served(made) as url:
        eventually("it is up", lambda: httpx.post(f"{url}/hooks/nobody").status_code == 404, 10, 0.01)
        monkeypatch.setenv(RECEIVER_URL, url)
        yield url


def add(ledger: Ledger, **values: object) -> int:
    given = {
        "source": "stripe", "external_id": "evt_1", "kind": "invoice.overdue", "payload": SAID, "state": "started",
        "received_at": datetime(2026, 11, 27, 9, 30, 5, tzinfo=UTC),
    } | values  # fmt: skip
    with ledger.write() as session:
        event = WebhookEvent(**given)
        session.add(event)
        session.flush()
        return event.id


def event(ledger: Ledger, number: int) -> WebhookEvent:
    with ledger.read() as session:
        return session.get_one(WebhookEvent, number)


class TestListAndShow:
    def test_an_empty_ledger_says_so(self, in_process: Signoff, ledger: Ledger) -> None:  # noqa: ARG002
        assert in_process("webhooks", "list").out.strip() == "No webhook has come in yet."
        assert in_process("webhooks", "list", "--state", "failed").out.strip() == "No event matches."
        assert in_process("webhooks", "list", "--json").json == []

    def test_each_says_what_became_of_it_in_80_columns(self, in_process: Signoff, ledger: Ledger) -> None:
        add(ledger, deployment="billing-agent", flow_run_id="0f0f0f0f-0000-4000-8000-000000000000")
        add(ledger, external_id="2", state="failed", deployment="x", reason="there is no deployment x " + "why " * 30)
        add(ledger, external_id="3", state="stored", source="a-form-with-a-long-name", kind="k" * 60)
        out = in_process("webhooks", "list").out
        assert max(map(len, out.splitlines())) <= 80
        for part in ("started billing-agent", "failed", "waits for its run", "27 Nov 09:30:05"):
            assert part in out
        assert [row["id"] for row in in_process("webhooks", "list", "--json").json] == [1, 2, 3]
        assert [row["id"] for row in in_process("webhooks", "list", "--json", "--limit", "2").json] == [2, 3]
        assert [row["id"] for row in in_process("webhooks", "list", "--json", "--state", "failed").json] == [2]
        assert [row["id"] for row in in_process("webhooks", "list", "--json", "--source", "stripe").json] == [1, 2]

    def test_one_is_shown_with_all_that_it_said_and_cannot_steer_the_terminal(
        self, in_process: Signoff, ledger: Ledger
    ) -> None:
        run_id = "0f0f0f0f-0000-4000-8000-000000000000"
        number = add(ledger, deployment="billing-agent", flow_run_id=run_id, attempts=2)
        out = in_process("webhooks", "show", str(number)).out
        assert "\x1b" not in out
        for part in (
            "stripe invoice.overdue",
            "27 Nov 2026 09:30:05 UTC, as evt_1",
            "2 attempts",
            "[red]you",
            "Jørgen",
        ):
            assert part in out
        assert in_process("webhooks", "show", str(number), "--json").json["payload"] == SAID
        with ledger.write() as session:
            row = session.get_one(WebhookEvent, number)
            row.payload, row.redacted_at = None, datetime(2026, 12, 1, tzinfo=UTC)
        assert "redacted on 2026-12-01" in in_process("webhooks", "show", str(number)).out

    def test_what_is_not_there_is_refused(self, in_process: Signoff, ledger: Ledger) -> None:  # noqa: ARG002
        assert "no webhook event 9" in in_process("webhooks", "show", "9").refused()
        message = in_process("webhooks", "list", "--state", "lost").refused()
        assert "there are stored, started, ignored, failed" in message


@pytest.mark.usefixtures("prefect_server")
class TestReplay:
    @pytest.fixture(autouse=True)
    def _triggers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commands, "TRIGGERS", EACH)

    def test_a_run_is_started_anew_and_the_history_says_who_wanted_it(
        self, in_process: Signoff, ledger: Ledger
    ) -> None:
        with deployed("on-invoice") as made:
            number = add(ledger, state="failed", reason="there is no deployment on-invoice")
            for _ in range(2):
                done = in_process("webhooks", "replay", str(number))
                assert done.code == 0, done.err
                assert "started on-invoice" in done.out
            keys = {str(run.idempotency_key) for run in runs(made["on-invoice"])}
        assert len(keys) == 2
        assert all(key.startswith("webhook:stripe:evt_1:again:") for key in keys)
        row = event(ledger, number)
        assert (row.state, row.deployment) == ("started", "on-invoice")
        assert str(row.reason).startswith("replayed by ")
        with ledger.read() as session:
            told = session.scalars(sa.select(History).where(History.event == "webhook event replayed")).all()
        assert [entry.subject for entry in told] == [f"webhook_events/{number}"] * 2

    def test_all_that_failed_after_a_question(self, in_process: Signoff, ledger: Ledger) -> None:
        assert "no event has failed" in in_process("webhooks", "replay", "--failed", "--yes").refused()
        for number in range(2):
            add(ledger, external_id=f"evt_{number}", state="failed")
        assert "add --yes" in in_process("webhooks", "replay", "--failed").refused()
        with deployed("on-invoice") as made:
            shown = in_process("webhooks", "replay", "--failed", "--yes", "--json").json
            assert [row["state"] for row in shown] == ["started", "started"]
            assert len(runs(made["on-invoice"])) == 2

    def test_what_cannot_be_is_refused_before_anything_is_started(self, in_process: Signoff, ledger: Ledger) -> None:
        good = add(ledger)
        waits = add(ledger, external_id="2", state="stored")
        nobodys = add(ledger, external_id="3", kind="customer.created", state="ignored")
        blank = add(ledger, external_id="4", source="web-form", payload=None)
        with deployed("on-invoice", "on-form") as made:
            for numbers, why in (
                ((good, waits), f"event {waits} waits for its run already"),
                ((good, nobodys), "deployments/triggers.py has no line for it"),
                ((good, 99), "no webhook event 99"),
                ((blank,), "no plain value at number"),
                ((), "say which"),
            ):
                assert why in in_process("webhooks", "replay", *map(str, numbers)).refused()
            assert runs(*made.values()) == []
        assert "there is no deployment on-invoice" in in_process("webhooks", "replay", str(good)).refused()
        assert event(ledger, good).state == "started"


class TestTry:
    @pytest.mark.parametrize("source", ["stripe", "hubspot", "slack", "web-form"])
    def test_a_signed_event_goes_through_the_real_endpoint(
        self, receiver: str, in_process: Signoff, ledger: Ledger, source: str
    ) -> None:
        extra = ("--kind", "signoff.test") if source != "web-form" else ()
        done = in_process("webhooks", "test", source, *extra)
        assert done.code == 0, done.err
        assert f"{receiver}/hooks/{source} has taken it." in done.out
        row = event(ledger, 1)
        assert (row.source, row.kind) == (source, "signoff.test")
        expected = "waits for its run" if source in ("hubspot", "web-form") else "ignored"
        assert f"It is event 1: {expected}" in done.out
        assert max(map(len, done.out.splitlines())) <= 80

    def test_what_goes_wrong_is_told_with_the_way_out(
        self, receiver: str, in_process: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = "hubspot, slack, stripe, web-form"
        assert f"no endpoint shop; there are {there}" in in_process("webhooks", "test", "shop").refused()
        other = endpoint("stripe", secret=SECRET + "-changed")
        connections.save(f"{SLUG}/stripe", other)
        try:
            assert "answers 401: the signature does not hold" in in_process("webhooks", "test", "stripe").refused()
        finally:
            connections.save(f"{SLUG}/stripe", ENDPOINTS["stripe"])
        monkeypatch.setenv(RECEIVER_URL, f"http://127.0.0.1:{unused_port()}")
        assert "no receiver answers at" in in_process("webhooks", "test", "stripe").refused()
        assert receiver

    def test_a_receiver_with_another_ledger_is_noticed(
        self, receiver: str, in_process: Signoff, monkeypatch: pytest.MonkeyPatch, new_url: str
    ) -> None:
        monkeypatch.setenv("SIGNOFF_LEDGER_URL", new_url)
        assert "another SIGNOFF_LEDGER_URL" in in_process("webhooks", "test", "stripe").refused()
        assert receiver

    def test_only_google_can_sign_for_gmail(self, blocks: None, in_process: Signoff) -> None:  # noqa: ARG002
        connections.save(f"{SLUG}/gmail", endpoint("gmail", service_account="a@b.example"))
        try:
            assert "only Google can sign" in in_process("webhooks", "test", "gmail").refused()
        finally:
            WebhookEndpoint.delete("gmail")

    def test_a_block_that_could_check_nothing_is_left_out_and_named(
        self, blocks: None, in_process: Signoff  # noqa: ARG002
    ) -> None:  # fmt: skip
        # Prefect's form takes what the block itself would not.
        WebhookEndpoint.model_construct(scheme="stripe", secret=SecretStr(""), public_url="").save("broken")
        try:
            found, wrong = blocks_on_the_server()
            assert "broken" not in found
            assert wrong == [
                "webhook-endpoint/broken cannot be used: an endpoint needs a secret of at least 16 characters"
            ]
            assert wrong[0] in in_process("webhooks", "test", "broken").refused()
        finally:
            WebhookEndpoint.delete("broken")


class TestReceive:
    def test_a_wrong_trigger_is_refused_at_the_start_and_by_check(
        self, in_process: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = (Trigger("stripe", "no-such-flow"),)
        monkeypatch.setattr(triggers, "TRIGGERS", wrong)
        monkeypatch.setattr(triggers.refuse_wrong, "__defaults__", (wrong,))
        monkeypatch.setattr(check, "flow_files", lambda: [])
        why = "deployments/triggers.py: prefect.yaml has no deployment no-such-flow"
        assert why in in_process("receive").refused()
        checked = in_process("check", "--offline")
        assert (checked.code, why in checked.err) == (1, True)

    def test_a_taken_port_is_refused(self, in_process: Signoff) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert f"port {port} is in use" in in_process("receive", "--port", str(port)).refused()
        assert serve.END_SECONDS

    def test_addresses_are_the_blocks_or_this_machines(self, blocks: None) -> None:  # noqa: ARG002
        found = dict(commands.addresses("http://127.0.0.1:4280"))
        assert found["stripe"] == "https://hooks.example.com/hooks/stripe"
        connections.save(f"{SLUG}/stripe", endpoint("stripe", public_url=""))
        try:
            assert dict(commands.addresses("http://127.0.0.1:4280"))["stripe"] == "http://127.0.0.1:4280/hooks/stripe"
        finally:
            connections.save(f"{SLUG}/stripe", ENDPOINTS["stripe"])

    @pytest.mark.parametrize("command", [["receive"], ["webhooks"], ["webhooks", "test"]], ids=" ".join)
    def test_help_fits_80_columns(self, command: list[str]) -> None:
        done = run(["signoff", *command, "--help"], clean_environment())
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= 80

    def test_json_is_what_programs_read(self, in_process: Signoff, ledger: Ledger) -> None:
        add(ledger, handled_at=utcnow())
        assert json.loads(in_process("webhooks", "list", "--json").out)[0]["received_at"].startswith("2026-11-27")

"""Events become runs: each once, by however many receivers; those that only say "look again" together; none is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Pending, Running

from blocks.ledger import Ledger, WebhookEvent, utcnow
from blocks.webhook_events import Arrived
from deployments import triggers
from deployments.cards import declared_deployments
from deployments.receiver import dispatch
from deployments.receiver.dispatch import BATCH, Dispatcher, NotNow
from deployments.receiver.postbox import rows_of, store
from deployments.triggers import TRIGGERS, Trigger, TriggerError
from tasks import alerts
from tasks.approval_runs import create_runs
from tests.deployments.machinery import unused_port
from tests.deployments.receiving import EACH, TOGETHER, deployed, runs

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def made() -> Iterator[dict[str, UUID]]:
    """The deployments that the tests' triggers name."""
    with deployed("on-invoice", "on-deal", "on-form", "look-again") as found:
        yield found


def put(ledger: Ledger, *ids: str, source: str = "stripe", kind: str = "invoice.overdue", **payload: Any) -> None:
    """Store events, whoever is interested in them."""
    arrived = [Arrived(external_id, kind, {"id": external_id} | payload) for external_id in ids]
    store(ledger, rows_of(source, arrived, (*EACH, Trigger(source, "x")), utcnow()))


def events(ledger: Ledger) -> list[WebhookEvent]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(WebhookEvent).order_by(WebhookEvent.id)))


def look(ledger: Ledger, wanted: tuple[Trigger, ...] = EACH) -> int:
    """As the receiver does it: again, where Prefect's SQLite had no time."""
    for _ in range(20):
        try:
            return Dispatcher(ledger, wanted).look()
        except NotNow:
            time.sleep(0.2)
    return Dispatcher(ledger, wanted).look()


def states(ledger: Ledger) -> list[str]:
    return [event.state for event in events(ledger)]


class TestEach:
    def test_starts_a_run_that_is_known_by_its_id(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, "evt_1", "evt_2")
        assert look(ledger) == 2
        found = {run.idempotency_key: run for run in runs(made["on-invoice"])}
        assert set(found) == {"webhook:stripe:evt_1", "webhook:stripe:evt_2"}
        first = events(ledger)[0]
        run = found["webhook:stripe:evt_1"]
        assert (first.state, first.deployment, first.flow_run_id) == ("started", "on-invoice", str(run.id))
        assert (first.attempts, first.reason) == (1, None)
        assert first.handled_at is not None
        assert (run.name, run.state_name, set(run.tags)) == (
            "stripe invoice.overdue #1", "Scheduled", {"webhook", "stripe"}
        )  # fmt: skip
        assert look(ledger) == 0

    def test_only_declared_values_of_an_event_reach_the_run(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, "f1", source="web-form", kind="asked", number=7, limit=1_000, note="{{ secret }}")
        look(ledger)
        assert [run.parameters for run in runs(made["on-form"])] == [{"number": 7}]

    @pytest.mark.parametrize("number", [None, {"__prefect_kind": "jinja", "template": "{{ 7 }}"}, [7]], ids=str)
    def test_an_event_without_a_plain_value_fails_alone(
        self, ledger: Ledger, made: dict[str, UUID], number: Any
    ) -> None:
        put(ledger, "f1", source="web-form", number=number)
        put(ledger, "f2", source="web-form", number=2)
        look(ledger)
        first, second = events(ledger)
        assert (first.state, second.state) == ("failed", "started")
        assert first.reason == "the event has no plain value at number, which number is to be"
        assert len(runs(made["on-form"])) == 1

    def test_what_the_flow_does_not_take_fails_and_is_not_quoted(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, "f1", source="web-form", number="our-merger")
        put(ledger, "f2", source="web-form", number=2)
        look(ledger)
        first, second = events(ledger)
        assert (first.state, first.reason, second.state) == ("failed", dispatch.DOES_NOT_FIT, "started")
        assert len(runs(made["on-form"])) == 1

    def test_more_than_are_written_down_at_a_time(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, *(f"evt_{n}" for n in range(BATCH + 3)))
        look(ledger)
        assert set(states(ledger)) == {"started"}
        assert len(runs(made["on-invoice"])) == BATCH + 3

    def test_who_died_before_writing_it_down_is_made_up_for_without_a_second_run(
        self, ledger: Ledger, made: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(ledger, "evt_1", "evt_2")

        class Killed(BaseException):
            """As the process would be."""

        def killed(_: Dispatcher, changes: Any) -> None:
            if list(changes):
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Dispatcher, "_mark", killed)
            with pytest.raises(Killed):
                look(ledger)
        before = {run.id for run in runs(made["on-invoice"])}
        assert len(before) == 2
        look(ledger)
        assert {run.id for run in runs(made["on-invoice"])} == before
        assert {event.flow_run_id for event in events(ledger)} == {str(number) for number in before}

    def test_two_that_see_the_same_start_each_once(
        self, ledger: Ledger, made: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(ledger, "evt_1", "evt_2")
        slow = Dispatcher(ledger, EACH)
        seen = slow._waiting()
        look(ledger)
        before = [(event.flow_run_id, event.attempts) for event in events(ledger)]
        monkeypatch.setattr(slow, "_waiting", lambda: seen)
        monkeypatch.setattr(slow, "_still_waiting", lambda batch: batch)
        slow.look()
        assert [(event.flow_run_id, event.attempts) for event in events(ledger)] == before
        assert len(runs(made["on-invoice"])) == 2

    def test_a_line_that_was_taken_out_since_leaves_nothing_waiting(self, ledger: Ledger) -> None:
        put(ledger, "evt_1")
        assert Dispatcher(ledger, ()).look() == 1
        assert states(ledger) == ["ignored"]


class TestTogether:
    def test_all_that_wait_start_one_run(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, "evt_1", "evt_2", "evt_3")
        look(ledger, TOGETHER)
        (run,) = runs(made["look-again"])
        assert run.idempotency_key == "webhook:stripe:evt_1"
        assert run.name == "stripe invoice.overdue #1 and 2 more"
        assert [event.flow_run_id for event in events(ledger)] == [str(run.id)] * 3

    def test_as_long_as_it_has_not_begun_later_ones_are_its_too(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        for n in range(3):
            put(ledger, f"evt_{n}")
            look(ledger, TOGETHER)
            self.set_state(runs(made["look-again"])[0].id, Pending())
        assert len(runs(made["look-again"])) == 1
        assert len({event.flow_run_id for event in events(ledger)}) == 1

    @pytest.mark.parametrize("state", [Running(), Cancelled()], ids=["running", "cancelled"])
    def test_once_it_has_begun_or_is_over_they_start_another(
        self, ledger: Ledger, made: dict[str, UUID], state: Any
    ) -> None:
        put(ledger, "evt_1")
        look(ledger, TOGETHER)
        self.set_state(runs(made["look-again"])[0].id, state)
        put(ledger, "evt_2", "evt_3")
        look(ledger, TOGETHER)
        assert len(runs(made["look-again"])) == 2
        first, second, third = events(ledger)
        assert first.flow_run_id != second.flow_run_id == third.flow_run_id

    def test_a_run_that_was_made_and_not_written_down_and_has_looked_counts_for_the_first_alone(
        self, ledger: Ledger, made: dict[str, UUID]
    ) -> None:
        put(ledger, "evt_1")
        with get_client(sync_client=True) as client:  # another receiver, which then died; meanwhile more came
            theirs = client.create_flow_run_from_deployment(
                made["look-again"], idempotency_key="webhook:stripe:evt_1", state=Running()
            )
        put(ledger, "evt_2", "evt_3")
        look(ledger, TOGETHER)
        assert states(ledger) == ["started", "stored", "stored"]
        look(ledger, TOGETHER)
        first, second, third = events(ledger)
        assert first.flow_run_id == str(theirs.id)
        assert second.flow_run_id == third.flow_run_id != first.flow_run_id
        assert len(runs(made["look-again"])) == 2

    def test_a_deleted_run_is_no_run(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, "evt_1")
        look(ledger, TOGETHER)
        with get_client(sync_client=True) as client:
            client.delete_flow_run(runs(made["look-again"])[0].id)
        put(ledger, "evt_2")
        look(ledger, TOGETHER)
        assert [run.idempotency_key for run in runs(made["look-again"])] == ["webhook:stripe:evt_2"]

    def set_state(self, flow_run_id: UUID, state: Any) -> None:
        """As a worker would."""
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run_id, state, force=True)


class TestTrouble:
    def test_while_prefect_is_down_events_wait_and_are_not_failed(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, "evt_1")
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{unused_port()}/api"}):
            for attempt in (1, 2):
                with pytest.raises(NotNow, match="does not answer"):
                    Dispatcher(ledger, EACH).look()
                (event,) = events(ledger)
                assert (event.state, event.attempts) == ("stored", attempt)
                assert event.reason == "will be tried again: Prefect does not answer (ConnectError)"
        look(ledger)
        (event,) = events(ledger)
        assert (event.state, event.reason, len(runs(made["on-invoice"]))) == ("started", None, 1)

    def test_a_missing_deployment_fails_with_the_way_out_and_an_alert_until_it_is_there(self, ledger: Ledger) -> None:
        put(ledger, "evt_1", "evt_2")
        look(ledger)
        assert states(ledger) == ["failed", "failed"]
        reason = str(events(ledger)[0].reason)
        assert reason.startswith("there is no deployment on-invoice on the Prefect server")
        assert "signoff webhooks replay" in reason
        (alert,) = alerts.still_open(ledger)
        assert (alert.key, alert.workflow) == ("webhooks:deployment:on-invoice", "on-invoice")
        with deployed("on-invoice"):
            put(ledger, "evt_3")
            look(ledger)
        assert states(ledger) == ["failed", "failed", "started"]
        assert alerts.still_open(ledger) == []

    def test_what_prefect_has_no_time_for_keeps_its_place_and_what_was_made_before_and_beside_it_is_written_down(
        self, ledger: Ledger, made: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(ledger, "evt_1", "evt_2", "evt_3")
        put(ledger, "f1", source="web-form", number=1)
        real = SyncPrefectClient.request

        def busy(client: SyncPrefectClient, method: Any, path: Any, **more: Any) -> Any:
            reply = real(client, method, path, **more)
            results = reply.json()["results"] if str(path).endswith("/bulk") else []
            for result, wanted in zip(results, more.get("json", ()), strict=False):
                if wanted["idempotency_key"] == "webhook:stripe:evt_2":
                    result |= {"status": "FAILED", "error": "database is locked\n[SQL: our-merger]"}
            return httpx.Response(200, json={"results": results}) if results else reply

        with monkeypatch.context() as patch:
            patch.setattr(dispatch, "WAITS", (0.0, 0.0))
            patch.setattr(SyncPrefectClient, "request", busy)
            with pytest.raises(NotNow, match="database is locked") as caught:
                Dispatcher(ledger, EACH).look()
        assert "our-merger" not in str(caught.value)
        assert states(ledger) == ["started", "stored", "started", "started"]
        look(ledger)
        assert set(states(ledger)) == {"started"}
        assert len(runs(made["on-invoice"])) == 3

    def test_what_was_tried_often_comes_after_what_was_not(self, ledger: Ledger, made: dict[str, UUID]) -> None:
        put(ledger, "stuck")
        with ledger.write() as session:
            session.execute(sa.update(WebhookEvent).values(attempts=9, received_at=utcnow() - timedelta(days=1)))
        put(ledger, "fresh")
        assert [event.external_id for event in Dispatcher(ledger, EACH)._waiting()] == ["fresh", "stuck"]
        assert made


class TestOddEvents:
    """One event, whatever is in it, keeps no other waiting."""

    def test_half_a_character_that_an_older_version_stored_stops_nobody(
        self, ledger: Ledger, made: dict[str, UUID]
    ) -> None:
        put(ledger, "f1", source="web-form", kind="asked", number="\ud800")
        put(ledger, "f2", source="web-form", kind="asked", number=2)
        put(ledger, "evt_1")
        look(ledger)
        assert [(event.state, event.reason) for event in events(ledger)] == [
            ("failed", dispatch.DOES_NOT_FIT), ("started", None), ("started", None)
        ]  # fmt: skip
        assert len(runs(*made.values())) == 2

    @pytest.mark.parametrize("odd", [RecursionError(), ValueError("somebody's words"), TypeError()], ids=repr)
    def test_one_that_cannot_be_read_fails_alone(
        self,
        ledger: Ledger,
        made: dict[str, UUID],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        odd: Exception,
    ) -> None:
        put(ledger, "f1", source="web-form", number="odd")
        put(ledger, "f2", source="web-form", number=2)
        put(ledger, "evt_1")

        def storable(said: Any) -> Any:
            if said["number"] == "odd":
                raise odd
            return said

        monkeypatch.setattr("tasks.events.storable", storable)
        look(ledger)
        first, *others = events(ledger)
        assert (first.state, first.attempts) == ("failed", 1)
        assert first.reason == f"no run can be made of it ({type(odd).__name__})"
        assert [event.state for event in others] == ["started"] * 2
        assert "somebody's words" not in caplog.text
        assert made

    def test_one_with_which_no_batch_can_be_made_is_asked_for_alone_and_fails_after_its_attempts(
        self, ledger: Ledger, made: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(ledger, "f1", "f2", "f3", source="web-form", number=1)

        def picky(client: Any, deployment_id: UUID, wanted: Any) -> Any:
            if any(run["idempotency_key"] == "webhook:web-form:f2" for run in wanted):
                raise RuntimeError("nobody has foreseen it")
            return create_runs(client, deployment_id, wanted)

        monkeypatch.setattr(dispatch, "create_runs", picky)
        for _ in range(dispatch.ATTEMPTS - 1):
            with pytest.raises(NotNow):
                Dispatcher(ledger, EACH).look()
            assert states(ledger) == ["started", "stored", "started"]
        Dispatcher(ledger, EACH).look()
        assert states(ledger) == ["started", "failed", "started"]
        second = events(ledger)[1]
        assert second.attempts == dispatch.ATTEMPTS
        assert str(second.reason).startswith("no run can be made of it (RuntimeError in picky")
        assert len(runs(made["on-form"])) == 2

    def test_a_source_whose_runs_cannot_be_made_is_counted_and_the_others_go_on(
        self, ledger: Ledger, made: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(ledger, "f1", source="web-form", number=1)
        put(ledger, "evt_1")
        real = Dispatcher._start

        def start(self: Dispatcher, client: Any, trigger: Trigger, some: Any) -> None:
            if trigger.source == "web-form":
                raise RuntimeError("nobody has foreseen it")
            real(self, client, trigger, some)

        monkeypatch.setattr(Dispatcher, "_start", start)
        for attempt in (1, 2):
            with pytest.raises(NotNow, match="on-form: RuntimeError"):
                Dispatcher(ledger, EACH).look()
            assert states(ledger) == ["stored", "started"]
            assert events(ledger)[0].attempts == attempt
        assert made


class TestTriggers:
    def test_those_of_the_repository_hold(self) -> None:
        triggers.refuse_wrong()
        assert list(triggers.problems(TRIGGERS, declared_deployments())) == []

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ((Trigger("stripe", "billing"),), "prefect.yaml has no deployment billing; it has "),
            (
                (Trigger("stripe", "billing-agent"), Trigger("stripe", "lead-triage", ("x",))),
                "everything of stripe would start billing-agent and lead-triage",
            ),
            (
                (Trigger("s", "billing-agent", ("x", "y")), Trigger("s", "lead-triage", ("y", "z"))),
                "y of s would start billing-agent and lead-triage",
            ),
            (
                (Trigger("s", "billing-agent", together=True, parameters={"limit": "n"}),),
                "cannot give it parameters",
            ),
            ((Trigger("s", "billing-agent", parameters={"limits": "n"}),), "the flow has no parameter limits"),
            ((Trigger("drive", "index-documents", together=True),), "cancels its new runs while one is on"),
        ],
    )
    def test_one_that_cannot_start_what_it_names_is_refused(self, wrong: tuple[Trigger, ...], why: str) -> None:
        with pytest.raises(TriggerError, match=r"^deployments/triggers\.py: ") as caught:
            triggers.refuse_wrong(wrong)
        assert why in str(caught.value)

    def test_a_parameter_that_the_flow_has_may_be_taken_from_the_event(self) -> None:
        assert (
            list(triggers.problems((Trigger("s", "billing-agent", parameters={"limit": "n"}),), declared_deployments()))
            == []
        )

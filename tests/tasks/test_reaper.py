"""The reaper: the dead are found, told and made up for; the living are left in peace."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Pending, Running

from blocks.ledger import Ledger, Record, utcnow
from blocks.ledger import Run as RunRow
from flows.lead_triage import CARD, lead_triage
from tasks import alerts, reaper
from tasks.processes import is_gone, this_process
from tasks.reaper import Reaper
from tasks.run import Run

Begin = Callable[..., AbstractContextManager[Run]]


@pytest.fixture
def prefect(prefect_server: None) -> Iterator[SyncPrefectClient]:  # noqa: ARG001
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def triage_deployment(prefect: SyncPrefectClient) -> Iterator[UUID]:
    """The lead triage's deployment; no worker."""
    flow_id = prefect.create_flow(lead_triage)
    yield prefect.create_deployment(flow_id=flow_id, name=CARD.workflow, entrypoint="flows/lead_triage.py:lead_triage")
    prefect.delete_flow(flow_id)


@pytest.fixture
def dead_process() -> tuple[str, int]:
    """The identity and number of a process that has ended."""
    code = "from tasks.processes import this_process; import os; print(this_process(), os.getpid())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    identity, _, number = told.rpartition(" ")
    return identity, int(number)


@pytest.fixture
def flow_run(prefect: SyncPrefectClient, triage_deployment: UUID) -> FlowRun:
    """A run of the lead triage that Prefect believes to be running."""
    run = prefect.create_flow_run_from_deployment(triage_deployment, state=Pending())
    prefect.set_flow_run_state(run.id, Running(), force=True)
    return prefect.read_flow_run(run.id)


@pytest.fixture
def row(ledger: Ledger) -> Callable[..., str]:
    """Puts a run into the ledger."""

    def add(process: str | None, flow_run: FlowRun | None = None, ended_ago: float | None = None) -> str:
        now = utcnow()
        with ledger.write() as session:
            session.add(
                RunRow(
                    id="r1",
                    workflow=CARD.workflow,
                    flow_run_id=str(flow_run.id) if flow_run else None,
                    stage="gated",
                    started_at=now,
                    heartbeat_at=now,
                    process=process,
                    ended_at=None if ended_ago is None else now - timedelta(seconds=ended_ago),
                )
            )
        return "r1"

    return add


def started_after_a_crash(prefect: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate(
        {"deployment_id": {"any_": [deployment]}, "tags": {"all_": ["after a crash"]}}
    )
    return prefect.read_flow_runs(flow_run_filter=wanted)


def test_a_process_is_told_from_another_with_its_number(dead_process: tuple[str, int]) -> None:
    assert is_gone(this_process()) is False
    assert is_gone(dead_process[0]) is True
    machine, number, began = this_process().split()
    assert is_gone(f"{machine} {number} {began}1") is True
    assert is_gone(f"elsewhere {number} {began}") is None


def test_a_zombie_has_ended() -> None:
    code = "from tasks.processes import this_process; print(this_process(), flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        identity = child.stdout.readline().strip()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has collected it
        assert is_gone(identity) is True


def test_a_dead_run_is_told_to_prefect_and_its_workflow_starts_again_once(
    ledger: Ledger,
    prefect: SyncPrefectClient,
    triage_deployment: UUID,
    flow_run: FlowRun,
    row: Callable[..., str],
    dead_process: tuple[str, int],
    add_record: Callable[..., int],
) -> None:
    number, run_id = add_record(), row(dead_process[0], flow_run)
    with ledger.write() as session:
        session.execute(sa.update(Record).values(run_id=run_id))
    assert Reaper(ledger).look() == [CARD.workflow]
    state = prefect.read_flow_run(flow_run.id).state
    assert state is not None
    assert (state.name, state.message) == ("Crashed", reaper.MESSAGE)
    assert len(started_after_a_crash(prefect, triage_deployment)) == 1
    with ledger.read() as session:
        assert session.get_one(Record, number).run_id is None
    assert Reaper(ledger).look() == []
    assert len(started_after_a_crash(prefect, triage_deployment)) == 1


@pytest.mark.usefixtures("triage_deployment")
def test_a_living_run_is_left_in_peace_however_long_it_is_silent(
    ledger: Ledger, prefect: SyncPrefectClient, flow_run: FlowRun, row: Callable[..., str]
) -> None:
    row(this_process(), flow_run)
    with ledger.write() as session:
        session.execute(sa.update(RunRow).values(heartbeat_at=utcnow() - timedelta(minutes=5)))
    assert Reaper(ledger, local=True).look() == []
    assert prefect.read_flow_run(flow_run.id).state_name == "Running"


def test_a_run_that_never_got_to_the_ledger_is_told_by_its_process(
    ledger: Ledger,
    prefect: SyncPrefectClient,
    triage_deployment: UUID,
    flow_run: FlowRun,
    row: Callable[..., str],
    dead_process: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reaper, "EVERY_SECONDS", -1.0)
    row(this_process())  # the workflow is one of ours
    prefect.update_flow_run(flow_run.id, infrastructure_pid=str(os.getpid()))
    assert Reaper(ledger, local=True).look() == []
    prefect.update_flow_run(flow_run.id, infrastructure_pid=str(dead_process[1]))
    assert Reaper(ledger, local=False).look() == [], "on another machine the number means nothing"
    assert prefect.read_flow_run(flow_run.id).state_name == "Running"
    assert Reaper(ledger, local=True).look() == [CARD.workflow]
    assert prefect.read_flow_run(flow_run.id).state_name == "Crashed"
    assert len(started_after_a_crash(prefect, triage_deployment)) == 1


@pytest.mark.usefixtures("triage_deployment")
@pytest.mark.parametrize(("ended_ago", "state"), [(5, "Running"), (90, "Crashed")])
def test_a_run_that_ended_in_the_ledger_has_a_minute_to_tell_prefect(
    ledger: Ledger,
    prefect: SyncPrefectClient,
    flow_run: FlowRun,
    row: Callable[..., str],
    ended_ago: float,
    state: str,
) -> None:
    row(this_process(), flow_run, ended_ago)
    Reaper(ledger).look()
    assert prefect.read_flow_run(flow_run.id).state_name == state


def test_a_run_whose_worker_died_before_it_started_is_put_back(
    ledger: Ledger, prefect: SyncPrefectClient, triage_deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prefect.create_flow_run_from_deployment(triage_deployment, state=Pending())
    Reaper(ledger, local=True).look()
    assert prefect.read_flow_run(run.id).state_name == "Pending", "it may be starting"
    monkeypatch.setattr(reaper, "STARTING_SECONDS", -1.0)
    Reaper(ledger, local=True).look()
    assert prefect.read_flow_run(run.id).state_name == "Scheduled"


def test_a_look_that_fails_is_made_good_by_the_next(
    ledger: Ledger,
    prefect: SyncPrefectClient,
    triage_deployment: UUID,
    row: Callable[..., str],
    dead_process: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row(dead_process[0])
    mine = Reaper(ledger)

    def away(**_: object) -> None:
        raise ConnectionError("the server is away")

    with monkeypatch.context() as patch:
        patch.setattr(reaper, "get_client", away)
        with pytest.raises(ConnectionError):
            mine.look()
    assert mine.look() == [CARD.workflow]
    assert len(started_after_a_crash(prefect, triage_deployment)) == 1


def test_the_watch_goes_on_after_a_failure_and_holds_still_after_a_sleep(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, looks, clock = threading.Event(), [], iter([0.0, 1.0, 1.0, 500.0, 500.0, 501.0, 501.0])
    monkeypatch.setattr(reaper, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr("tasks.reaper.time", SimpleNamespace(time=lambda: next(clock)))

    def look(_: Reaper) -> list[str]:
        looks.append(1)
        if len(looks) == 2:
            ended.set()
        raise ConnectionError("the server is away")

    monkeypatch.setattr(Reaper, "look", look)
    Reaper(ledger).watch(ended)
    assert len(looks) == 2, "the one after the gap of 499 s was left out"


def test_what_dies_twice_in_a_row_is_left_to_the_schedule_with_an_alert(
    ledger: Ledger,
    prefect: SyncPrefectClient,
    triage_deployment: UUID,
    row: Callable[..., str],
    dead_process: tuple[str, int],
) -> None:
    second = prefect.create_flow_run_from_deployment(triage_deployment, state=Pending(), tags=[reaper.TAG])
    prefect.set_flow_run_state(second.id, Running(), force=True)
    row(dead_process[0], second)
    assert Reaper(ledger).look() == []
    assert prefect.read_flow_run(second.id).state_name == "Crashed"
    (alert,) = alerts.still_open(ledger)
    assert alert.key == f"crash:{CARD.workflow}"
    assert "died twice in a row" in alert.message


@pytest.mark.usefixtures("triage_deployment")
def test_a_run_that_is_retried_by_hand_is_not_taken_for_its_first_attempt(
    ledger: Ledger, prefect: SyncPrefectClient, flow_run: FlowRun, row: Callable[..., str]
) -> None:
    row(this_process(), flow_run, ended_ago=90)
    states: list[State[Any]] = [Pending(), Running()]
    for state in states:
        prefect.set_flow_run_state(flow_run.id, state, force=True)
        assert Reaper(ledger, local=True).look() == []
        assert prefect.read_flow_run(flow_run.id).state_name == state.name

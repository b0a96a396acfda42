"""The reaper: runs whose process has died are found within seconds, and their work is taken up again.

Prefect leaves a killed run Running for ever, and its own zombie detection goes by events that a busy run may not send.
We go by the process itself and by the ledger's heartbeat: nothing here ends anything that still runs.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed, Scheduled

from blocks import ledger
from blocks.ledger import Ledger, utcnow
from tasks import alerts
from tasks.run import bury_the_dead

EVERY_SECONDS = 5.0

SLEPT_SECONDS = 30.0
"""A gap this long between two looks means that this machine slept: everybody's heartbeat is old, and nobody is dead."""

STARTING_SECONDS = 120.0
"""A run that a worker has taken up, but has not started by then, was taken up by a worker that died."""

ENDING_SECONDS = 60.0
"""How long a flow may take to end once its work is over."""

MESSAGE = "Its process died. What it was doing is in the ledger, and another run takes it up."
TAG = "after a crash"
"""What the runs that we start can be told by."""

UNDER_WAY = ("Pending", "Running")
PAGE = 200
"""The most runs that Prefect's API returns at once."""


class Reaper:
    """Looks for the dead.

    Args:
        store: the ledger.
        local: every worker of this Prefect server runs on this machine, so that runs can be told by their process.
    """

    def __init__(self, store: Ledger, *, local: bool = False) -> None:
        self._store, self._local = store, local
        self._owed: dict[str, str] = {}
        """The workflows that are to be started again, each with the death that this is for."""
        self._dead: dict[str, tuple[str | None, str]] = {}
        """The runs that were found dead, with their flow run and workflow, until Prefect knows."""

    def watch(self, ended: threading.Event) -> None:
        """Look every `EVERY_SECONDS` until `ended` is set. A look that fails is logged; the next one makes it good."""
        # The wall clock: the other one stands still while a machine sleeps.
        looked_at = time.time()
        while not ended.wait(EVERY_SECONDS):
            slept, looked_at = time.time() - looked_at > SLEPT_SECONDS, time.time()
            if slept:
                continue
            try:
                self.look()
            except Exception:  # whatever went wrong, the reaper must outlive it
                logging.getLogger(__name__).warning("the reaper could not look; it will again", exc_info=True)

    def look(self) -> list[str]:
        """Find the dead, let go of what they held, tell Prefect, and start each of their workflows once more.

        Returns:
            The workflows that were started again.

        Raises:
            Exception: whatever Prefect raises when it cannot be asked; the next look makes up for it.
        """
        with self._store.write() as session:
            dead = [(run.id, run.flow_run_id, run.workflow) for run in bury_the_dead(session)]
        self._dead |= {run_id: (flow_run_id, workflow) for run_id, flow_run_id, workflow in dead}
        with get_client(sync_client=True) as client:
            for run_id, (flow_run_id, workflow) in self._dead.items():
                self._owe(workflow, run_id, again=_was_after_a_crash(client, flow_run_id))
            for flow_run in _under_way(client):
                if self._is_over(client, flow_run) and _still_under_way(client, flow_run):
                    client.set_flow_run_state(flow_run.id, Crashed(message=MESSAGE), force=True)
                    if workflow_name := self._workflow_of(client, flow_run):
                        self._owe(workflow_name, str(flow_run.id), again=TAG in flow_run.tags)
            started = [workflow for workflow, death in self._owed.items() if _start(client, workflow, death)]
        self._owed.clear()
        self._dead.clear()
        return started

    def _owe(self, workflow: str, death: str, *, again: bool) -> None:
        """What dies of its own work would die again at once: its second death in a row is left to the schedule."""
        if not again:
            self._owed.setdefault(workflow, death)
            return
        alerts.open_alert(
            self._store,
            f"crash:{workflow}",
            f"{workflow} died twice in a row: its next scheduled run tries again. See the worker's log; a record that "
            "it was working on may be the cause (signoff ledger show).",
            workflow,
        )

    def _is_over(self, client: SyncPrefectClient, run: FlowRun) -> bool:
        """Whether a run that Prefect believes in has died; one that never started is put back for another worker."""
        if str(run.id) in {flow_run_id for flow_run_id, _ in self._dead.values()}:
            return True
        if ends := self._ends(run):
            return all(end is not None and utcnow() - end > timedelta(seconds=ENDING_SECONDS) for end in ends)
        if not self._local or run.state is None:
            return False
        age = utcnow() - run.state.timestamp
        if run.infrastructure_pid:
            return age > timedelta(seconds=EVERY_SECONDS) and not _is_there(run.infrastructure_pid)
        if run.state_name == "Pending" and age > timedelta(seconds=STARTING_SECONDS):
            client.set_flow_run_state(run.id, Scheduled(message="Its worker died before it started."), force=True)
        return False

    def _ends(self, run: FlowRun) -> list[datetime | None]:
        """When the ledger saw this attempt of it end; empty when it has not got there (again)."""
        rows, attempt = ledger.Run, run.state.timestamp if run.state and run.state_name == "Running" else utcnow()
        ends = sa.select(rows.ended_at).where(rows.flow_run_id == str(run.id), rows.started_at >= attempt)
        with self._store.read() as session:
            return list(session.scalars(ends))

    def _workflow_of(self, client: SyncPrefectClient, run: FlowRun) -> str | None:
        """Whose work a run did: its action's workflow, or the one that it is named after."""
        action_id = run.parameters.get("action_id")
        with self._store.read() as session:
            if action_id is not None:
                return session.scalar(sa.select(ledger.Action.workflow).where(ledger.Action.id == action_id))
            name = client.read_flow(run.flow_id).name
            return session.scalar(sa.select(ledger.Run.workflow).where(ledger.Run.workflow == name).limit(1))


def _start(client: SyncPrefectClient, workflow: str, death: str) -> bool:
    """Start a workflow once more, once for each death, however often that is found."""
    try:
        deployment = client.read_deployment_by_name(f"{workflow}/{workflow}")
    except ObjectNotFound:
        return False
    client.create_flow_run_from_deployment(
        deployment.id, name=f"{workflow} after a crash", idempotency_key=f"after:{death}", tags=[TAG]
    )
    logging.getLogger(__name__).warning("a run of %s had died; another one takes up its work", workflow)
    return True


def _was_after_a_crash(client: SyncPrefectClient, flow_run_id: str | None) -> bool:
    if flow_run_id is None:
        return False
    try:
        return TAG in client.read_flow_run(UUID(flow_run_id)).tags
    except ObjectNotFound:
        return False


def _under_way(client: SyncPrefectClient) -> Sequence[FlowRun]:
    wanted = FlowRunFilter.model_validate(
        {"state": {"name": {"any_": list(UNDER_WAY)}}, "deployment_id": {"is_null_": False}}
    )
    return client.read_flow_runs(flow_run_filter=wanted, limit=PAGE)


def _still_under_way(client: SyncPrefectClient, run: FlowRun) -> bool:
    """It may have said how it ended, and gone, since it was listed."""
    return client.read_flow_run(run.id).state_name in UNDER_WAY


def _is_there(pid: str) -> bool:
    try:
        os.kill(int(pid.rpartition(":")[2]), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True
    return True

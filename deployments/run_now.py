"""`signoff run`: a workflow now, instead of when its schedule says."""

from __future__ import annotations

import time
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from blocks.ledger import Action, Ledger, utcnow
from deployments import views
from deployments.cards import declared_deployments
from deployments.errors import CommandError, unknown
from deployments.running import command_name
from deployments.waiting import ui_url
from tasks.doubts import has_failed
from tasks.plain import counted

LOOK_SECONDS = 0.5


def run(name: str, *, limit: int | None, wait: bool) -> int:
    """Start a run of the deployment and print its link; with `wait`, 1 unless it ends well.

    Of a deployment that runs one at a time, the run under way is waited for, too: Prefect cancels any beside it.

    Raises:
        CommandError: there is no such deployment, or it takes no such limit.
    """
    wanted, since = name.replace("_", "-"), utcnow()
    parameters = {} if limit is None else {"limit": limit}
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{wanted}/{wanted}")
            started = _started(client, deployment.id, parameters, wanted)
        except ObjectNotFound as error:
            known = [str(entry["name"]) for entry in declared_deployments()]
            if wanted in known:
                why = f"the deployment {wanted} is not on the Prefect server yet: start `signoff up` again"
                raise CommandError(why) from error
            raise unknown("deployment", wanted, known, where=" on the Prefect server") from error
        except PrefectHTTPStatusError as error:
            raise CommandError(f"{wanted} does not take --limit {limit}: {_reason(error)}") from error
        if not wait:
            return 0
        while _found_another(state := _end_of(client, started)):
            views.say("Another run of it is under way: this one begins when that has ended.")
            _wait_for_others(client, deployment.id)
            started = _started(client, deployment.id, parameters, wanted)
    said = f": {state.message}" if state.message else ""
    views.console.print(f"It ended as {state.name}{said}", markup=False, soft_wrap=True)
    if failed := _failed(wanted, since):
        views.say(f"{counted(failed, 'action')} failed on the way, and why: {command_name()} ledger failed")
    return 0 if state.is_completed() else 1


def _started(client: SyncPrefectClient, deployment_id: UUID, parameters: dict[str, int], name: str) -> UUID:
    run_id = client.create_flow_run_from_deployment(deployment_id, parameters=parameters).id
    views.say(f"{name} was started: {ui_url()}/runs/flow-run/{run_id}")
    return run_id


def _failed(workflow: str, since: datetime) -> int:
    """How many of a workflow's actions were allowed and have failed for good since then: `signoff ledger failed`."""
    mine = sa.and_(Action.workflow == workflow, has_failed(), Action.updated_at >= since)
    with Ledger.open().read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Action).where(mine)) or 0


def _found_another(state: State[object]) -> bool:
    """Whether Prefect cancelled it because the deployment has as many runs as it may."""
    return state.is_cancelled() and state.message == "Deployment concurrency limit reached."


def _wait_for_others(client: SyncPrefectClient, deployment_id: UUID) -> None:
    under_way = FlowRunFilter.model_validate(
        {"deployment_id": {"any_": [str(deployment_id)]}, "state": {"type": {"any_": ["PENDING", "RUNNING"]}}}
    )
    with views.console.status("Waiting for the other run ..."):
        while client.read_flow_runs(flow_run_filter=under_way, limit=1):
            time.sleep(LOOK_SECONDS)


def _end_of(client: SyncPrefectClient, run_id: UUID) -> State[object]:
    with views.console.status("Waiting for a worker ...") as status:
        while True:
            state = client.read_flow_run(run_id).state
            if state is not None and state.is_final():
                return state
            if state is not None:
                status.update(f"{state.name} ...")
            time.sleep(LOOK_SECONDS)


def _reason(error: PrefectHTTPStatusError) -> str:
    try:
        return str(error.response.json().get("detail", error.response.status_code))
    except ValueError:
        return str(error.response.status_code)

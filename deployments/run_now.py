"""`signoff run`: a workflow now, instead of when its schedule says."""

from __future__ import annotations

import time
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from deployments import views
from deployments.cards import declared_deployments
from deployments.errors import CommandError, unknown
from deployments.waiting import ui_url

LOOK_SECONDS = 0.5


def run(name: str, *, limit: int | None, wait: bool) -> int:
    """Start a run of the deployment and print its link; with `wait`, 1 unless it ends well.

    Raises:
        CommandError: there is no such deployment, or it takes no such limit.
    """
    wanted = name.replace("_", "-")
    parameters = {} if limit is None else {"limit": limit}
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{wanted}/{wanted}")
            started = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        except ObjectNotFound as error:
            known = [str(entry["name"]) for entry in declared_deployments()]
            if wanted in known:
                why = f"the deployment {wanted} is not on the Prefect server yet: start `signoff up` again"
                raise CommandError(why) from error
            raise unknown("deployment", wanted, known, where=" on the Prefect server") from error
        except PrefectHTTPStatusError as error:
            raise CommandError(f"{wanted} does not take --limit {limit}: {_reason(error)}") from error
        link = f"{ui_url()}/runs/flow-run/{started.id}"
        views.console.print(f"{wanted} was started: {link}", markup=False, soft_wrap=True)
        if not wait:
            return 0
        state = _end_of(client, started.id)
    said = f": {state.message}" if state.message else ""
    views.console.print(f"It ended as {state.name}{said}", markup=False, soft_wrap=True)
    return 0 if state.is_completed() else 1


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

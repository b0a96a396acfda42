"""Whether runs are made, started and finished, as Prefect's server tells it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort

from tasks import drift
from tasks.health_finding import Finding, Look
from tasks.plain import counted

LATE = timedelta(minutes=15)
"""A run that should have begun this long ago, and has not."""

SELDOM = timedelta(hours=20)
"""Where runs are this far apart, one that fails is enough; elsewhere it takes two in a row."""

NO_WORKER = timedelta(minutes=5)
"""A worker says every half a minute that it is there."""

PAGE = 200
"""The most that Prefect's API returns at once."""

WAITS_FOR_A_WORKER = ("Scheduled", "Late")


def runs(look: Look) -> Iterator[Finding]:
    """Deployments whose runs fail or do not begin, and work pools that no worker asks for work."""
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(limit=PAGE)
        ended = {each.id: _ended(client, each) for each in deployments}
        late = client.read_flow_runs(flow_run_filter=_late(look.now), limit=PAGE)
        pools = sorted({each.work_pool_name for each in deployments if each.work_pool_name})
        heard = {pool: _heard(client, pool) for pool in pools}
    for deployment in deployments:
        newest = ended[deployment.id]
        if failing(newest) and not _is_told_of(look, newest[0]):
            yield _failing(look, deployment, newest[0])
        waiting = [run for run in late if run.deployment_id == deployment.id and run.state_name in WAITS_FOR_A_WORKER]
        if waiting:
            yield _not_begun(look, deployment, waiting)
    for pool, at in heard.items():
        if at is None or look.now - at > NO_WORKER:
            since = f"since {at:%d %b %H:%M} UTC" if at else "and none ever has"
            said = f"no worker asks the work pool {pool} for work, {since}: nothing runs. Start signoff up, or a worker"
            yield Finding(f"runs:pool:{pool}", said)


def failing(newest: Sequence[FlowRun]) -> bool:
    """Whether a deployment's newest ended runs (the newest first) say that it does not work at present."""
    if not newest or _is_well(newest[0]):
        return False
    if len(newest) > 1 and _is_well(newest[1]):
        last, before = newest[0].end_time, newest[1].end_time
        return bool(last and before and last - before > SELDOM)
    return True


def _is_told_of(look: Look, run: FlowRun) -> bool:
    """Whether an open alert says already why it failed: a field that has drifted, or a vendor that is left alone."""
    said = _message(run)
    drifted = any(alert.message[:200] in said for key, alert in look.open.items() if key.startswith(drift.KEY))
    circuits = (key.partition(":")[2] for key in look.open if key.startswith("circuit:"))
    return drifted or any(f"{vendor}: paused: " in said for vendor in circuits)


def _message(run: FlowRun) -> str:
    return (run.state and run.state.message) or ""


def _is_well(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_completed()


def _failing(look: Look, deployment: DeploymentResponse, run: FlowRun) -> Finding:
    how = (run.state_name or "Failed").lower()
    why = " ".join((_message(run) or "no reason given").split())[:300]
    message = f"the last runs of {deployment.name} did not succeed; the newest ({run.name}) has {how}: {why}"
    return Finding(f"runs:{deployment.name}:failing", message, _workflow(look, deployment))


def _not_begun(look: Look, deployment: DeploymentResponse, waiting: Sequence[FlowRun]) -> Finding:
    since = min(run.expected_start_time for run in waiting if run.expected_start_time)
    said = (
        f"{counted(len(waiting), 'run')} of {deployment.name} should have begun, the first at {since:%d %b %H:%M} UTC"
    )
    way_out = "see whether a worker is there, and whether it has too much to do"
    return Finding(f"runs:{deployment.name}:late", f"{said}: {way_out}", _workflow(look, deployment))


def _workflow(look: Look, deployment: DeploymentResponse) -> str | None:
    return deployment.name if any(card.workflow == deployment.name for card in look.cards) else None


def _ended(client: SyncPrefectClient, deployment: DeploymentResponse) -> list[FlowRun]:
    """Its two newest runs that have come to an end of any kind but a person's or a limit's."""
    wanted = {
        "deployment_id": {"any_": [deployment.id]},
        "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}},
    }
    flow_runs = FlowRunFilter.model_validate(wanted)
    return client.read_flow_runs(flow_run_filter=flow_runs, sort=FlowRunSort.END_TIME_DESC, limit=2)


def _late(now: datetime) -> FlowRunFilter:
    due = {"before_": now - LATE}
    wanted = {"state": {"name": {"any_": list(WAITS_FOR_A_WORKER)}}, "expected_start_time": due}
    return FlowRunFilter.model_validate(wanted | {"deployment_id": {"is_null_": False}})


def _heard(client: SyncPrefectClient, pool: str) -> datetime | None:
    """When a worker of the pool was last heard of."""
    times = [worker.last_heartbeat_time for worker in client.read_workers_for_work_pool(pool)]
    return max((at for at in times if at), default=None)

"""More has come in than one run takes: others take it at once, instead of whenever the schedule comes round again.

A run of a deployment that has had its full share starts its successor, which does the same, until nothing is left.
Where `SIGNOFF_PARALLEL_RUNS` allows it, several go side by side, each with records of its own: the ledger's claims keep
them apart, whatever machines they are on. A run that somebody has given a limit takes so many and no more.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.runtime import deployment, flow_run

from blocks import ledger
from blocks.ledger import Record
from tasks import records

if TYPE_CHECKING:
    from tasks.run import Run

PARALLEL = "SIGNOFF_PARALLEL_RUNS"
MOST = 64
TAG = "signoff:backlog"
"""A run that was started for what another one had left over."""

LIMIT = "limit"
"""The parameter by which a person says how many records a run takes."""


class BacklogError(Exception):
    """The setting cannot be read; the message names it and what it may be."""


def parallel() -> int:
    """How many runs of a workflow may take what waits, at once: `SIGNOFF_PARALLEL_RUNS`, by default 1.

    Raises:
        BacklogError: it is no number from 1 to 64.
    """
    text = os.environ.get(PARALLEL, "").strip() or "1"
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise BacklogError(f"{PARALLEL} is {text!r}: it is a number of runs, from 1 to {MOST}")
    return int(text)


def intake(limit: int) -> int:
    """How many new records a run stores that claims `limit`: the others are for the runs beside it."""
    return limit * parallel() if _goes_on() else limit


def is_of_one() -> bool:
    """Whether this run was started for what is in the ledger already."""
    return TAG in (flow_run.tags or ())


def beside(run: Run) -> None:
    """Start further runs for what is left over in the ledger, up to `SIGNOFF_PARALLEL_RUNS` of the workflow in all.

    Those that were started for it themselves start none: each has its own successor.
    """
    if not run.claimed or is_of_one() or parallel() == 1:
        return
    wanted = min(parallel() - _living(run), math.ceil(free(run) / len(run.claimed)))
    if wanted > 0 and _goes_on():
        _start(run, [f"beside:{number}" for number in range(wanted)])


def after(run: Run) -> None:
    """Start the run's successor when something is left over, and this one has got through all that it had.

    Records that it could not finish wait for a vendor, or for money: to try again at once would help nobody.
    """
    if run.claimed and (run.left_outside or free(run)) and not _unfinished(run) and _goes_on():
        _start(run, ["after"])


def free(run: Run) -> int:
    """How many of the workflow's records in the ledger no run has claimed and none has begun to wait with."""
    open_ones = [state for state in records.UNFINISHED if state != records.GATED]
    mine = sa.and_(Record.workflow == run.card.workflow, Record.state.in_(open_ones), Record.run_id.is_(None))
    with run.ledger.read() as session:
        return session.scalar(sa.select(sa.func.count()).where(mine)) or 0


def _unfinished(run: Run) -> int:
    states = [state for state in records.UNFINISHED if state != records.GATED]
    with run.ledger.read() as session:
        mine = sa.and_(Record.id.in_(run.claimed), Record.state.in_(states))
        return session.scalar(sa.select(sa.func.count()).where(mine)) or 0


def _living(run: Run) -> int:
    runs = ledger.Run
    with run.ledger.read() as session:
        mine = sa.and_(runs.workflow == run.card.workflow, runs.ended_at.is_(None))
        return session.scalar(sa.select(sa.func.count()).where(mine)) or 0


def _goes_on() -> bool:
    """Whether this run is a deployment's, and nobody has said how many records it shall take."""
    if deployment.id is None or flow_run.id is None:
        return False
    with _left_to_the_schedule(), get_client(sync_client=True) as client:
        return LIMIT not in client.read_flow_run(UUID(flow_run.id)).parameters
    return False


def _start(run: Run, names: list[str]) -> None:
    with _left_to_the_schedule(), get_client(sync_client=True) as client:
        for name in names:
            key = f"backlog:{run.id}:{name}"
            client.create_flow_run_from_deployment(UUID(deployment.id), idempotency_key=key, tags=[TAG])


@contextmanager
def _left_to_the_schedule() -> Iterator[None]:
    """Whatever Prefect raises is logged: this run's own work is done, and must not fail for what comes after it."""
    try:
        yield
    except Exception:
        logging.getLogger(__name__).warning("no further run was started: the schedule does it", exc_info=True)

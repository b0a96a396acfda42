"""What happens when a person has decided on what an agent waits for: the agent goes on, at once."""

from __future__ import annotations

import logging

import sqlalchemy as sa
import sqlalchemy.orm
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from blocks.ledger import Action, Ledger, Record
from tasks import records
from tasks.act import TO_DO

OPEN = ("waiting", "acting", *TO_DO)
"""The states of an action in which its agent waits for it."""

ALIVE = (*OPEN, "done", "handled")
"""The states of an action that will do something, or has, or that a person has done instead."""


def call_back(store: Ledger, action_id: int) -> int:
    """Start a run of the workflow whose agents have waited for this action, or for others on its form.

    One that waits for something else too goes on when that is decided. The workflow's schedule would do it as well,
    only later: where no deployment of that name is found, nothing is lost.

    Returns:
        How many agents can go on.
    """
    with store.read() as session:
        action = session.get_one(Action, action_id)
        ready = session.scalars(_ready(action)).all()
    if not ready:
        return 0
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{action.workflow}/{action.workflow}")
        except ObjectNotFound:
            logging.getLogger(__name__).warning("%s is not deployed: its agents wait for its next run", action.workflow)
            return 0
        name, key = f"goes on after #{action.id}", f"go-on:{action.key}"
        client.create_flow_run_from_deployment(deployment.id, name=name, idempotency_key=key)
    return len(ready)


def _ready(action: Action) -> sa.Select[tuple[int]]:
    """The records whose agents have waited for the action's form, and of which nothing is open any more."""
    here, other = sa.orm.aliased(Action), sa.orm.aliased(Action)
    same_form = here.flow_run_id == action.flow_run_id if action.flow_run_id else here.id == action.id
    mine = sa.select(here.record_id).where(same_form, here.workflow == action.workflow)
    still_open = sa.exists().where(other.record_id == Record.id, other.state.in_(OPEN))
    return sa.select(Record.id).where(Record.id.in_(mine), Record.state == records.WAITS, ~still_open)

"""`signoff approvals approve --wait`: what became of what was approved."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from blocks.ledger import Action, Ledger
from deployments import views
from tasks import approval_runs
from tasks.act import TO_DO
from tasks.approvals import ENDED
from tasks.card import Stage
from tasks.report import DOING
from tasks.run import lowered_to

LOOK_SECONDS = 0.5
LEFT = "its run has ended, and the workflow's next one does it"
UNSETTLED = ("pending", "acting")
OVER = (*ENDED, *approval_runs.CANCELLED)
"""The names of the states in which a run does no more."""


def wait(ledger: Ledger, approved: Sequence[Action]) -> list[Action]:
    """The approved actions, once each is settled, or the run that was to do it has ended without.

    Until then the wheel says what Prefect says of the runs. One that a retry is to do later, or for which no worker is
    there, is waited for. In shadow nothing is done, and so nothing waited for.
    """
    is_watching = {name: lowered_to(name)[0] is Stage.SHADOW for name in {action.workflow for action in approved}}
    numbers = [action.id for action in approved if not is_watching[action.workflow]]
    if numbers and not views.console.is_terminal:
        views.errors.print("Waiting for the worker; Ctrl-C ends the waiting, and nothing else.", markup=False)
    with views.console.status("Waiting for the worker ...") as status:
        while True:
            runs = approval_runs.states(sorted({str(action.flow_run_id) for action in _read(ledger, numbers)}))
            actions = _read(ledger, numbers)  # after the runs: what one has done by its end is in the ledger then
            if left := [action for action in actions if not _is_over(action, runs)]:
                told = ", ".join(sorted({runs[str(action.flow_run_id)] for action in left}))
                status.update(f"{told} ...")
                time.sleep(LOOK_SECONDS)
                continue
            return actions


def tell(actions: Sequence[Action]) -> None:
    """Print how each stands."""
    for action in actions:
        reason = action.reason or (LEFT if action.state in TO_DO else "")
        why = f": {views.printable(reason)}" if reason and action.state != "done" else ""
        became = f"{views.printable(action.title)}: {DOING.get(action.state, action.state)}{why}"
        views.prose(f"{action.id}  {became}", hang=len(f"{action.id}  "))


def _read(ledger: Ledger, numbers: Sequence[int]) -> list[Action]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Action).where(Action.id.in_(numbers)).order_by(Action.id)))


def _is_over(action: Action, runs: Mapping[str, str]) -> bool:
    """A run that somebody has deleted does no more, either."""
    return action.state not in UNSETTLED or runs.get(str(action.flow_run_id), OVER[0]) in OVER

"""`signoff ledger doubts` and `settle`, `signoff ledger failed` and `retry`."""

from __future__ import annotations

import getpass
from collections.abc import Sequence

from rich.text import Text

from blocks.ledger import Action, Ledger
from deployments import views
from deployments.errors import CommandError
from deployments.waiting import about, ui_url
from tasks import doubts
from tasks.approvals import action_of
from tasks.card import Stage
from tasks.run import lowered_to


def list_doubts(*, as_json: bool) -> int:
    """Print what a person must look at, with the evidence."""
    then = (
        "The workflow's next run looks again. If you know better: signoff ledger settle NUMBER --done (or --not-done)"
    )
    ledger = Ledger.open()
    return _list(ledger, doubts.doubts(ledger), then, none="Nothing is in doubt.", as_json=as_json)


def list_failed(*, as_json: bool) -> int:
    """Print what was approved and has failed for good, with the reason."""
    then = (
        "Once the cause is mended, have it tried again: signoff ledger retry NUMBER. If you do it by hand: "
        "signoff ledger settle NUMBER --done"
    )
    ledger = Ledger.open()
    return _list(ledger, doubts.failures(ledger), then, none="Nothing that was approved has failed.", as_json=as_json)


def retry(action_id: int, *, by: str | None) -> int:
    """Let a failed action be tried again."""
    ledger = Ledger.open()
    workflow = action_of(ledger, action_id).workflow
    stage, _ = lowered_to(workflow)  # before anything is changed: Prefect may not be there
    action = doubts.retry(ledger, action_id, by=by or getpass.getuser())
    views.say(f"{action_id}  {views.printable(action.title)}")
    if stage is Stage.SHADOW:
        views.say(f"       Tried once it is not in shadow any more: signoff stage {workflow} gated")
    else:
        views.say(f"       The next run tries it again: signoff run {workflow}")
        views.say("       It sends what was approved: a change in the flow does not reach it.")
    return 0


def _list(ledger: Ledger, found: Sequence[Action], then: str, *, none: str, as_json: bool) -> int:
    if as_json:
        records = about(ledger, found)
        views.as_json([views.approval_json(action, records[action.id], ui_url()) for action in found])
        return 0
    for action in found:
        line = Text(f"{action.id:>5}  ", style="bold")
        line.append(views.printable(action.title))
        line.append(f"\n       {views.printable(action.reason or 'its run died in the middle')}", style="not bold")
        views.console.print(views.hanging(line, 7))
    views.console.print(f"\n{then}" if found else none)
    return 0


def settle(action_id: int, *, done: bool | None, comment: str, by: str | None) -> int:
    """Write a person's word into the ledger."""
    if done is None:
        raise CommandError("say --done, or --not-done to have it done again")
    ledger, who = Ledger.open(), by or getpass.getuser()
    if action_of(ledger, action_id).state == "failed":
        return _handled(ledger, action_id, done=done, by=who, comment=comment)
    doubts.settle(ledger, action_id, done=done, by=who, comment=comment)
    views.console.print(f"{action_id}  {'done' if done else 'not done: the next run does it'}", markup=False)
    return 0


def _handled(ledger: Ledger, action_id: int, *, done: bool, by: str, comment: str) -> int:
    if not done:
        way_out = f"signoff ledger retry {action_id} has it tried again"
        raise CommandError(f"action {action_id} has failed, so it was not done: {way_out}")
    twin = doubts.handled(ledger, action_id, by=by, comment=comment)
    views.say(f"{action_id}  done by hand")
    if twin:
        views.say(f"       Careful: the like is still open, #{twin.id} ({twin.state}), and would be done as well.")
    return 0

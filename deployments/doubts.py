"""`signoff ledger doubts` and `signoff ledger settle`."""

from __future__ import annotations

import getpass

from rich.text import Text

from blocks.ledger import Ledger
from deployments import views
from deployments.errors import CommandError
from deployments.waiting import ui_url
from tasks import doubts


def list_doubts(*, as_json: bool) -> int:
    """Print what a person must look at, with the evidence."""
    found = doubts.doubts(Ledger.open())
    if as_json:
        views.as_json([views.approval_json(action, ui_url()) for action in found])
        return 0
    for action in found:
        line = Text(f"{action.id:>5}  ", style="bold")
        line.append(views.printable(action.title))
        line.append(f"\n       {views.printable(action.reason or 'its run died in the middle')}", style="not bold")
        views.console.print(line)
    views.console.print(
        "\nThe workflow's next run looks again. If you know better: signoff ledger settle NUMBER --done (or --not-done)"
        if found
        else "Nothing is in doubt."
    )
    return 0


def settle(action_id: int, *, done: bool | None, comment: str, by: str | None) -> int:
    """Write a person's word into the ledger."""
    if done is None:
        raise CommandError("say --done, or --not-done to have it done again")
    doubts.settle(Ledger.open(), action_id, done=done, by=by or getpass.getuser(), comment=comment)
    views.console.print(f"{action_id}  {'done' if done else 'not done: the next run does it'}", markup=False)
    return 0

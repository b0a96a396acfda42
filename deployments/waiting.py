"""`signoff approvals list`: what waits for a person. Apart from what decides, which brings all of Prefect along."""

from __future__ import annotations

import os

import sqlalchemy as sa
from sqlalchemy.orm import load_only

from blocks.ledger import Action, Ledger
from deployments import views

LISTED = (Action.id, Action.title, Action.workflow, Action.expires_at, Action.flow_run_id)
"""What the list shows: of ten thousand actions, payloads and explanations take longer than all the rest."""


def ui_url() -> str:
    """Where the Prefect UI is."""
    if url := os.environ.get("PREFECT_UI_URL"):  # as `signoff up` says it; Prefect takes a second to be asked
        return url
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

    return str(PREFECT_UI_URL.value() or str(PREFECT_API_URL.value() or "").removesuffix("/api"))


def waiting(
    ledger: Ledger, *, workflow: str | None = None, kind: str | None = None, whole: bool = True
) -> list[Action]:
    """The actions that wait for a person, oldest first; not `whole`, they have what is `LISTED` and no more."""
    query = sa.select(Action).where(Action.state == "waiting").order_by(Action.id)
    if not whole:
        query = query.options(load_only(*LISTED, raiseload=True))
    if workflow:
        query = query.where(Action.workflow == workflow)
    if kind:
        query = query.where(Action.kind == kind)
    with ledger.read() as session:
        return list(session.scalars(query))


def list_waiting(*, workflow: str | None, kind: str | None, as_json: bool) -> int:
    """Print what waits."""
    found = waiting(Ledger.open(), workflow=workflow, kind=kind, whole=as_json)
    if as_json:
        views.as_json([views.approval_json(action, ui_url()) for action in found])
    elif found:
        views.approvals(found, ui_url())
        views.console.print(
            f"\n{len(found)} actions wait, on {len(views.forms(found))} forms. Decide in the browser, or here: "
            "signoff approvals approve NUMBER (or reject)",
            soft_wrap=True,
        )
    else:
        views.console.print("Nothing waits for a decision.")
    return 0

"""`signoff approvals list`: what waits for a person. Apart from what decides, which brings all of Prefect along."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

from blocks.ledger import Action, Ledger
from deployments import views
from tasks.plain import counted

LISTED = [getattr(Action, name) for name in views.Listed._fields]
"""The columns that the list shows: of ten thousand actions, the payloads and explanations take longer than the rest."""


def ui_url() -> str:
    """Where the Prefect UI is."""
    if url := os.environ.get("PREFECT_UI_URL"):  # as `signoff up` says it; Prefect takes a second to be asked
        return url
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

    return str(PREFECT_UI_URL.value() or str(PREFECT_API_URL.value() or "").removesuffix("/api"))


def waiting(ledger: Ledger, *, workflow: str | None = None, kind: str | None = None) -> list[Action]:
    """The actions that wait for a person, oldest first."""
    with ledger.read() as session:
        return list(session.scalars(_waiting(sa.select(Action), workflow, kind)))


def _waiting(query: sa.Select[Any], workflow: str | None, kind: str | None) -> sa.Select[Any]:
    query = query.where(Action.state == "waiting").order_by(Action.id)
    if workflow:
        query = query.where(Action.workflow == workflow)
    return query.where(Action.kind == kind) if kind else query


def list_waiting(*, workflow: str | None, kind: str | None, as_json: bool) -> int:
    """Print what waits."""
    ledger = Ledger.open()
    if as_json:
        everything = waiting(ledger, workflow=workflow, kind=kind)
        views.as_json([views.approval_json(action, ui_url()) for action in everything])
        return 0
    with ledger.read() as session:
        rows = session.execute(_waiting(sa.select(*LISTED), workflow, kind))
        found = [views.Listed(*row) for row in rows]
    if found:
        forms = views.forms(found)
        views.approvals(forms, ui_url())
        views.say(
            f"\n{counted(len(found), 'action')} waiting, on {counted(len(forms), 'form')}. "
            "Decide in the browser, or here:\nsignoff approvals approve NUMBER (or reject)"
        )
        return 0
    from deployments.cards import known_names

    known_names(workflow, kind)
    views.console.print("Nothing waits for a decision.")
    return 0

"""`signoff approvals list`: what waits for a person. Apart from what decides, which brings all of Prefect along."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from blocks.ledger import Action, Ledger, Record
from deployments import views
from deployments.views import About
from tasks.plain import counted

LISTED = [getattr(Action, name) for name in views.Listed._fields if name != "about"]
"""The columns that the list shows: of ten thousand actions, the payloads and explanations take longer than the rest."""

OF_RECORD = (Record.title, Record.payload["sender"].as_string())
"""What `About` holds. The rest of the payload stays in the ledger."""


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


def listed(ledger: Ledger, *, workflow: str | None = None, kind: str | None = None) -> list[views.Listed]:
    """What a list shows of the actions that wait, oldest first: one query, however many."""
    with ledger.read() as session:
        rows = session.execute(_with_record(_waiting(sa.select(*LISTED, *OF_RECORD), workflow, kind))).all()
    count = len(LISTED)
    return [views.Listed._make((*row[:count], About._make(row[count:]))) for row in rows]


def about(ledger: Ledger, actions: Sequence[Action]) -> dict[int, About]:
    """The record of each action, by the action's number: one query."""
    query = _with_record(sa.select(Action.id, *OF_RECORD)).where(Action.id.in_([action.id for action in actions]))
    with ledger.read() as session:
        return {number: About(title, sender) for number, title, sender in session.execute(query)}


def _with_record(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.join(Record, Record.id == Action.record_id, isouter=True)


def _waiting(query: sa.Select[Any], workflow: str | None, kind: str | None) -> sa.Select[Any]:
    query = query.where(Action.state == "waiting").order_by(Action.id)
    if workflow:
        query = query.where(Action.workflow == workflow)
    return query.where(Action.kind == kind) if kind else query


def list_waiting(*, workflow: str | None, kind: str | None, as_json: bool) -> int:
    """Print what waits."""
    ledger = Ledger.open()
    if as_json:
        with ledger.read() as session:
            query = _with_record(_waiting(sa.select(Action, *OF_RECORD), workflow, kind))
            rows = session.execute(query).all()
        views.as_json([views.approval_json(action, About(title, sender), ui_url()) for action, title, sender in rows])
        return 0
    found = listed(ledger, workflow=workflow, kind=kind)
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

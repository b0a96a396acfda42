"""The accounts: whether each can be used, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator

from blocks.guard import guarded_by
from tasks import credentials, drift
from tasks.credentials import CredentialState
from tasks.discipline import discipline
from tasks.health_finding import Finding, Look


def accounts(look: Look) -> Iterator[Finding]:
    """Accounts that cannot be used any more, that end soon, or whose vendor does not answer.

    One that nobody has connected is no finding: `signoff doctor` says so, and a workflow that needs it fails with its
    name. What the circuit breaker or the watch over fields has told of already is not told again.
    """
    with guarded_by(discipline(look.ledger)):
        states = credentials.check_all(look.cards)
    for state in states:
        if state.present and (finding := _finding(look, state)):
            yield finding


def _finding(look: Look, state: CredentialState) -> Finding | None:
    vendor, key = state.credential.split("/")[0], f"accounts:{state.credential}"
    workflow = state.workflows[0] if len(state.workflows) == 1 else None
    used = f"{'Needed' if state.required else 'Used where it is there'} by {', '.join(state.workflows)}"
    if state.ok:
        said = f"{state.credential} still works, but {state.reason}. {used}. Way out: {state.way_out}"
        return Finding(f"{key}:ends", said, workflow) if state.reason else None
    if _is_told_of(look, vendor, state.reason):
        return None
    if state.lasting:
        said = f"{state.credential} cannot be used: {state.reason}. {used}. Way out: {state.way_out}"
        return Finding(key, said, workflow)
    said = f"{state.credential} does not answer: {state.reason}. {used}; it goes on by itself when it answers again"
    return Finding(f"{key}:silent", said, workflow, may_pass=True)


def _is_told_of(look: Look, vendor: str, reason: str) -> bool:
    drifted = any(key.startswith(f"{drift.KEY}{vendor}:") and key.rpartition(":")[2] in reason for key in look.open)
    return drifted or f"circuit:{vendor}" in look.open

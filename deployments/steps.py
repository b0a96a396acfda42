"""`signoff ledger steps`: what an agent did about a record, step by step, as the ledger has it."""

from __future__ import annotations

import textwrap
from typing import Any

import sqlalchemy as sa

from blocks.ledger import Action, AgentRun, Ledger, ModelCall, ToolCall
from deployments import views
from deployments.errors import CommandError
from tasks.plain import one_line

WIDTH, CALL = 74, 56
"""Columns of what a tool gave back, and of its call."""


def show(record_id: int, *, as_json: bool) -> int:
    """Print the steps, as lines or as JSON."""
    ledger = Ledger.open()
    if as_json:
        views.as_json(_as_json(ledger, record_id))
        return 0
    for line in of_record(ledger, record_id):
        views.console.print(line, markup=False, soft_wrap=True)
    return 0


def of_record(ledger: Ledger, record_id: int) -> list[str]:
    """The agent's runs on a record, a line for each thing that happened.

    Raises:
        CommandError: no agent has worked on it.
    """
    lines: list[str] = []
    for run in _runs(ledger, record_id):
        lines.append(f"{run.created_at:%d %b %H:%M} UTC, by {run.model}: {_state(run)}")
        turns, calls = _steps(ledger, run)
        for step in sorted({*turns, *(call.step for call in calls)}):
            turn = turns.get(step)
            cost = f", ${turn.cost:.4f}" if turn and turn.cost else ""
            lines.append(f"step {step}{cost}")
            made = [call for call in calls if call.step == step]
            for call in made:
                lines += _lines_of(call)
            if not made and step == max({*turns, *(call.step for call in calls)}):
                lines.append("  asks for what stands below" if _waiting(ledger, record_id) else "  uses no tool")
        lines += [_cut(f"waits: #{action.id} {action.title}", WIDTH) for action in _waiting(ledger, record_id)]
        lines += textwrap.wrap(f"says: {views.printable(one_line(run.text))}", WIDTH) if run.text else []
    return lines


def _state(run: AgentRun) -> str:
    if run.limit:
        return f"stopped by a limit, {run.limit['kind']}: {run.limit['value']:g} would be over {run.limit['limit']:g}"
    return {"waiting": "waits for a person", "working": "not finished"}.get(run.state, run.state)


def _lines_of(call: ToolCall) -> list[str]:
    took = (call.ended_at - call.started_at).total_seconds()
    given = ", ".join(f"{name}={value!r}" for name, value in call.input.items())
    failed = "failed: " if call.is_error else ""
    return [
        f"  {_cut(f'{call.tool}({given})', CALL)}  [{call.impact}, {took:.2f} s]",
        f"    {failed}{_cut(call.output, WIDTH - len(failed))}",
    ]


def _cut(text: str, width: int) -> str:
    text = views.printable(one_line(text))
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _runs(ledger: Ledger, record_id: int) -> list[AgentRun]:
    query = sa.select(AgentRun).where(AgentRun.record_id == record_id).order_by(AgentRun.id)
    with ledger.read() as session:
        found = list(session.scalars(query))
    if not found:
        raise CommandError(f"no agent has worked on record {record_id}; `signoff ledger show` lists the records")
    return found


def _steps(ledger: Ledger, run: AgentRun) -> tuple[dict[int, ModelCall], list[ToolCall]]:
    calls = sa.select(ToolCall).where(ToolCall.agent_run_id == run.id).order_by(ToolCall.step, ToolCall.position)
    with ledger.read() as session:
        turns = session.scalars(sa.select(ModelCall).where(ModelCall.agent_run_id == run.id)).all()
        return {turn.attempt: turn for turn in turns}, list(session.scalars(calls))


def _waiting(ledger: Ledger, record_id: int) -> list[Action]:
    query = sa.select(Action).where(Action.record_id == record_id, Action.state == "waiting").order_by(Action.id)
    with ledger.read() as session:
        return list(session.scalars(query))


def _as_json(ledger: Ledger, record_id: int) -> list[dict[str, Any]]:
    found = []
    for run in _runs(ledger, record_id):
        turns, calls = _steps(ledger, run)
        keys = ("step", "tool", "impact", "input", "output", "is_error", "action_id", "started_at", "ended_at")
        found.append(
            {
                "model": run.model,
                "state": run.state,
                "limit": run.limit,
                "tools": run.tools,
                "seconds": run.seconds,
                "text": run.text,
                "usd": str(sum(turn.cost for turn in turns.values())),
                "steps": len(turns),
                "calls": [{key: getattr(call, key) for key in keys} for call in calls],
            }
        )
    return found

"""An agent's journal: its steps as the ledger holds them, and the conversation that follows from them.

Nothing of an agent lives anywhere else: whatever stops it, a crash or days of waiting for a person, here it goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from blocks import ledger
from blocks.ledger import AgentRun, Ledger, ModelCall, Record, ToolCall, utcnow
from blocks.models import Turn
from tasks.budget import LOST

WORKING, WAITING, DONE, STOPPED = "working", "waiting", "done", "stopped"
"""The states of an agent run."""

NO_ANSWER = "(no answer)"
"""What stands for an empty turn, which the API does not take back."""

GO_ON = "Your turn was cut off or empty. Call a tool, or end with one or two sentences."
"""What the model is told after a turn that called nothing and was no end."""

LEFT_OUT = "(left out of the conversation to keep it short: {size:,} characters; call the tool again if you need it)"

KEPT_STEPS = 2
"""The newest steps whose results are never left out."""

SMALL = 200
"""Characters of a result that is not worth leaving out."""

BYTES_PER_TOKEN = 3
"""For the trimming rule only: English has four, German and JSON about three."""


class LostClaim(Exception):
    """This run was taken for dead, and another has the record: it must not write for it any more."""


class Wanted(NamedTuple):
    """A call that the model wants."""

    call_id: str
    tool: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Made:
    """A call whose result is known."""

    wanted: Wanted
    output: str
    is_error: bool
    impact: str
    started_at: datetime
    action_id: int | None = None
    ended_at: datetime = field(default_factory=utcnow)

    @property
    def tool(self) -> str:
        """The tool's name."""
        return self.wanted.tool

    @property
    def input(self) -> Mapping[str, Any]:
        """What it was given."""
        return self.wanted.input


@dataclass
class Step:
    """One turn of the model, and what came of its calls. `made` is by the call's place among them."""

    number: int
    content: list[dict[str, Any]]
    stop_reason: str
    tokens: int
    """In and out together."""
    made: dict[int, Made] = field(default_factory=dict)

    @property
    def wanted(self) -> list[Wanted]:
        """The calls of this turn. One that was cut off in the middle of a call has none: its input is not whole."""
        if self.stop_reason == "max_tokens":
            return []
        blocks = [block for block in self.content if block.get("type") == "tool_use"]
        return [Wanted(str(block["id"]), str(block["name"]), dict(block["input"])) for block in blocks]

    @property
    def open(self) -> list[int]:
        """The places of the calls whose result is not known."""
        return [place for place in range(len(self.wanted)) if place not in self.made]

    @property
    def text(self) -> str:
        """What it said in words."""
        return "\n".join(str(block.get("text", "")) for block in self.content if block.get("type") == "text").strip()

    @property
    def is_end(self) -> bool:
        """Whether the agent has ended with it: it said something, wants nothing more, and was not cut off."""
        return not self.wanted and self.stop_reason in ("end_turn", "stop_sequence") and bool(self.text)

    def results(self) -> list[Made]:
        """What came of its calls, in their order."""
        return [self.made[place] for place in sorted(self.made)]


@dataclass
class Journal:
    """One agent run with all its steps."""

    run: AgentRun
    steps: list[Step]
    spent: Decimal
    """US dollars, calls that were lost counted at their worst."""

    @property
    def tokens(self) -> int:
        """Of all steps, in and out."""
        return sum(step.tokens for step in self.steps)

    def add(self, turn: Turn) -> None:
        """Take in what the model said next."""
        content = [dict(block) for block in turn.content]
        tokens = turn.input_tokens + turn.output_tokens
        self.steps.append(Step(len(self.steps) + 1, content, turn.stop_reason, tokens))
        self.spent += turn.cost


def open_run(store: Ledger, record: Record, model: str, tools: Sequence[str]) -> Journal:
    """The record's agent run that has not ended, with its steps; or a new one."""
    table = AgentRun
    with store.write() as session:
        unended = sa.select(table).where(table.record_id == record.id, table.ended_at.is_(None))
        run = session.scalars(unended.order_by(table.id.desc()).limit(1)).first()
        if run is None:
            run = AgentRun(workflow=record.workflow, record_id=record.id, model=model, state=WORKING, tools=list(tools))
            session.add(run)
            session.flush()
            return Journal(run, [], Decimal(0))
        run.state = WORKING
    return _read(store, run)


def _read(store: Ledger, run: AgentRun) -> Journal:
    calls, tools = ModelCall, ToolCall
    with store.read() as session:
        turns = session.scalars(sa.select(calls).where(calls.agent_run_id == run.id).order_by(calls.attempt)).all()
        made = session.scalars(sa.select(tools).where(tools.agent_run_id == run.id)).all()
        since = (calls.record_id == run.record_id, calls.created_at >= run.created_at)
        lost = session.scalar(sa.select(sa.func.sum(calls.cost)).where(*since, calls.stop_reason == LOST))
    steps = {turn.attempt: _step(turn) for turn in turns}
    for call in made:
        # A person's own assistant calls tools without turns of ours.
        step = steps.setdefault(call.step, Step(call.step, [], "tool_use", 0))
        step.made[call.position] = Made(
            Wanted(call.call_id, call.tool, call.input),
            call.output, call.is_error, call.impact, call.started_at, call.action_id, call.ended_at,
        )  # fmt: skip
    spent = sum((turn.cost for turn in turns), lost or Decimal(0))
    return Journal(run, [steps[number] for number in sorted(steps)], spent)


def _step(call: ModelCall) -> Step:
    content: list[dict[str, Any]] = json.loads(call.reply)
    return Step(call.attempt, content, call.stop_reason, call.input_tokens + call.output_tokens)


HELD = (
    sa.update(AgentRun)
    .where(
        AgentRun.id == sa.bindparam("agent"),
        sa.exists().where(
            Record.id == AgentRun.record_id, sa.or_(Record.run_id.is_(None), Record.run_id == sa.bindparam("run"))
        ),
    )
    .values(seconds=sa.bindparam("worked"), updated_at=sa.bindparam("now"))
)


def hold(session: Session, journal: Journal, run_id: str, seconds: float) -> None:
    """Make sure, in a transaction that writes for the record, that this run still has it; and note the time it took.

    Args:
        session: the transaction.
        journal: the agent's.
        run_id: the run's.
        seconds: that the agent has worked in all.

    Raises:
        LostClaim: another run has taken it over.
    """
    which = {"agent": journal.run.id, "run": run_id, "worked": seconds, "now": utcnow()}
    if session.connection().execute(HELD, which).rowcount == 0:
        raise LostClaim(f"record {journal.run.record_id} was taken over by another run")
    journal.run.seconds = seconds


def note_turn(
    session: Session, journal: Journal, step: Step, turn: Turn, *, run_id: str, prompt: str, version: str
) -> None:
    """Write a step's paid turn down, in the session's transaction."""
    session.add(
        ModelCall(
            workflow=journal.run.workflow,
            record_id=journal.run.record_id,
            run_id=run_id,
            agent_run_id=journal.run.id,
            prompt=prompt,
            prompt_version=version,
            model=turn.model,
            attempt=step.number,
            reply=json.dumps(step.content, ensure_ascii=False),
            stop_reason=turn.stop_reason,
            input_tokens=turn.input_tokens,
            output_tokens=turn.output_tokens,
            cache_read_tokens=turn.cache_read_tokens,
            cache_write_tokens=turn.cache_write_tokens,
            cost=turn.cost,
            seconds=turn.seconds,
        )
    )


def next_step(session: Session, journal: Journal) -> int:
    """The number of the next step, in a transaction that writes: nobody else has it."""
    taken = sa.select(sa.func.max(ToolCall.step)).where(ToolCall.agent_run_id == journal.run.id)
    return (session.scalar(taken) or 0) + 1


def note_results(session: Session, journal: Journal, made: Sequence[tuple[Step, int, Made]], *, run_id: str) -> None:
    """Write the results of calls down, in the session's transaction: each with its step and its place there."""
    session.add_all(
        ToolCall(
            agent_run_id=journal.run.id,
            record_id=journal.run.record_id,
            run_id=run_id,
            step=step.number,
            position=place,
            call_id=call.wanted.call_id,
            tool=call.tool,
            impact=call.impact,
            input=dict(call.input),
            output=call.output,
            is_error=call.is_error,
            action_id=call.action_id,
            started_at=call.started_at,
            ended_at=call.ended_at,
        )
        for step, place, call in made
    )


def change(session: Session, journal: Journal, **values: Any) -> None:
    """Change the agent run's row, and the journal's copy of it."""
    table = ledger.AgentRun
    session.execute(sa.update(table).where(table.id == journal.run.id).values(**values, updated_at=utcnow()))
    for name, value in values.items():
        setattr(journal.run, name, value)


def messages(opening: str, steps: Iterable[Step], context_tokens: int) -> list[dict[str, Any]]:
    """The conversation so far, in the form of the Messages protocol, kept under about `context_tokens`.

    Over that, the oldest results are left out until half of it is free again: in strides, so that the vendor's cache of
    the beginning holds in between. The newest steps are kept whole, and so is everything that the model said itself.
    """
    limit = context_tokens * BYTES_PER_TOKEN
    said: list[dict[str, Any]] = [{"role": "user", "content": opening}]
    size = len(opening.encode())
    results: list[list[dict[str, Any]]] = []
    for step in steps:
        answer = _answer(step)
        if step.wanted:
            results.append(answer)
        said.append({"role": "assistant", "content": _sayable(step)})
        said.append({"role": "user", "content": answer})
        size += len(json.dumps([step.content, answer], ensure_ascii=False).encode())
        if size > limit:
            size -= _leave_out(results[:-KEPT_STEPS], size - limit // 2)
    return said


def _sayable(step: Step) -> list[dict[str, Any]]:
    """The turn as it may be sent back: without a call that was cut off, and never empty."""
    whole = [block for block in step.content if step.wanted or block.get("type") != "tool_use"]
    return whole or [{"type": "text", "text": NO_ANSWER}]


def _answer(step: Step) -> list[dict[str, Any]]:
    if not step.wanted:
        return [{"type": "text", "text": GO_ON}]
    return [
        {"type": "tool_result", "tool_use_id": made.wanted.call_id, "content": made.output}
        | ({"is_error": True} if made.is_error else {})
        for made in step.results()
    ]


def _leave_out(results: Sequence[list[dict[str, Any]]], wanted: int) -> int:
    """Take `wanted` bytes or more out of these results, oldest first, if they have so many; returns how many."""
    freed = 0
    for block in (block for answer in results for block in answer):
        if freed >= wanted:
            break
        text = block["content"]
        if len(text) > SMALL and not text.startswith(LEFT_OUT[:20]):
            block["content"] = LEFT_OUT.format(size=len(text))
            freed += len(text.encode()) - len(block["content"])
    return freed

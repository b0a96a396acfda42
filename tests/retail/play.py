"""The agent's loop over one recorded task: with the recorded calls for a model, and a person who approves them."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar

import sqlalchemy as sa
from pydantic import ConfigDict, create_model

from blocks import connections
from blocks.ledger import Action as ActionRow
from blocks.ledger import AgentRun, Ledger, Record
from blocks.models import Conversation, Turn
from blocks.vendor import VendorError
from flows.lead_triage import CARD
from tasks import act, actions, agent, approvals, fetch, records
from tasks import run as runs
from tasks.actions import Action, Impact
from tasks.agent import Desk
from tasks.budget import Budget
from tasks.card import Agent, Stage, Writes
from tasks.performers import PERFORMERS, Attempt, Done, Performer
from tasks.run import Run, alive
from tasks.tools import Tool, ToolRefused
from tests import agents
from tests.retail.shop import CHANGES, READS, Shop, ShopError, look

ALONE = ("modify_user_address", "modify_pending_order_address")
"""The changes that nobody has to approve."""

Recorded = Sequence[Sequence[Mapping[str, Any]]]
"""A task's calls, turn by turn: reads that follow each other are made in one."""


class _Change(Action):
    """A change of the shop's, as an action."""

    noun = "change"
    operation: str
    given: str

    @property
    def title(self) -> str:
        return f"{self.operation} {self.given}"

    def preview(self) -> dict[str, str]:
        return {"Change": self.title}

    def targets(self) -> tuple[str, ...]:
        return ()

    def texts(self) -> tuple[str, ...]:
        return ()


class Low(_Change):
    kind: ClassVar[str] = "shop.change_alone"
    impact: ClassVar[Impact] = Impact.LOW


class High(_Change):
    kind: ClassVar[str] = "shop.change"
    impact: ClassVar[Impact] = Impact.HIGH


def perform(shop: Shop, action: _Change, attempt: Attempt) -> Done:
    """Make the change."""
    try:
        return Done("shop", shop.change(action.operation, json.loads(action.given), attempt.marker))
    except ShopError as error:
        raise VendorError("shop", action.operation, str(error), permanent=True, status=409) from None


def find(shop: Shop, action: _Change, attempt: Attempt) -> Done | None:
    return Done("shop", action.operation) if shop.was_made(attempt.marker) else None


class Recording(Tool):
    """A tool of the data set's name, which takes whatever was recorded."""

    @classmethod
    def called(cls, name: str) -> Tool:
        """The tool of this name."""
        inputs = create_model(f"{name}_input", __config__=ConfigDict(extra="allow"))
        writes = None if name in READS else Low if name in ALONE else High
        return cls(name, name.replace("_", " "), inputs, look, writes, most=100)

    def call(self, case: Any, inputs: Any) -> Any:
        given = dict(inputs.model_extra or {})
        if self.writes:
            return self.writes(operation=self.name, given=json.dumps(given, sort_keys=True))  # type: ignore[call-arg]
        try:
            return look(case, self.name, given)
        except ShopError as error:
            raise ToolRefused(str(error)) from None


class Replay:
    """A model that says what was recorded. Implements `blocks.models.Converser`."""

    model_id = "recorded"

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded

    def size(self, conversation: Conversation) -> int:
        return len(str(conversation.messages))

    def count(self, conversation: Conversation) -> int:
        return self.size(conversation)

    def price(self, input_tokens: int, output_tokens: int) -> Decimal:
        return Decimal(input_tokens + output_tokens) / 10**9

    def converse(self, conversation: Conversation) -> Turn:
        turn = sum(message["role"] == "assistant" for message in conversation.messages)
        if turn == len(self.recorded):
            return Turn([{"type": "text", "text": "That is all."}], self.model_id, cost=Decimal("0.000001"))
        calls = [
            {"type": "tool_use", "id": f"call_{turn}_{place}", "name": call["name"], "input": dict(call["arguments"])}
            for place, call in enumerate(self.recorded[turn])
        ]
        return Turn(calls, self.model_id, "tool_use", 100, 50, cost=Decimal("0.000001"))


def recorded(task: Mapping[str, Any]) -> Recorded:
    """A task's calls in turns: reads together, each change alone."""
    calls = task["evaluation_criteria"].get("actions") or []
    turns: list[list[Mapping[str, Any]]] = []
    for is_read, group in itertools.groupby(calls, key=lambda call: call["name"] in READS):
        together = list(group)
        turns += [together] if is_read else [[call] for call in together]
    return turns


def directly(shop: Shop, task: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What the shop holds when the recorded changes are simply made, one after the other."""
    for number, call in enumerate(task["evaluation_criteria"].get("actions") or []):
        if call["name"] in CHANGES:
            try:
                shop.change(call["name"], call["arguments"], str(number))
            except ShopError:
                continue
    return shop.state()


def prepare(shop_of: Callable[[], Shop]) -> None:
    """Cut the ties to Prefect, and let the shop be a vendor."""
    import prompts

    runs.lowered_to = lambda workflow: (Stage.SELECTIVE, f"{workflow} has no Prefect server here")
    vars(runs)["supported"] = lambda *_: (Stage.SELECTIVE, "what was earned is not the subject here")
    vars(approvals)["request"] = lambda *_: None
    vars(prompts)["load"] = agents.with_agent_text(prompts.load)
    for kind in (Low, High):
        actions.KINDS[kind.kind] = kind
        PERFORMERS[kind.kind] = Performer(perform, find)
    connections.load = lambda _: shop_of()  # type: ignore[assignment]


def card() -> Any:
    """A card that allows all of it."""
    limits = Agent(model="claude/agent", steps=50, calls=200, tokens=10**7, usd=Decimal(5), repeats=10, idle_steps=10)
    writes = [
        Writes(kind=kind.kind, where="the shop", credential="shop/x", approval=kind is High) for kind in (Low, High)
    ]
    return CARD.model_copy(update={"agent": limits, "writes": (*writes, *CARD.writes)})


def add_case(ledger: Ledger) -> int:
    """The record that the agent works on."""
    with ledger.write() as session:
        record = Record(
            workflow=CARD.workflow, source="retail", external_id="1", payload={"text": "Help me"},
            state=records.VALIDATED, answer={},
        )  # fmt: skip
        session.add(record)
        session.flush()
        return record.id


def play(ledger: Ledger, shop: Shop, calls: Recorded) -> str:
    """Work, approve what waits, carry it out, and go on, until the agent has ended; returns how."""
    model = Replay(calls)
    connections.load_if_present = lambda _: model  # type: ignore[assignment]
    while True:
        with alive(ledger, CARD.workflow, Stage.SELECTIVE) as run_id:
            run = _run(ledger, run_id)
            act.resume.__wrapped__(run)  # type: ignore[attr-defined]
            agent.take_up(run)
            for record in records.in_state(ledger, fetch.claim(run, 10), records.VALIDATED):
                agent._let_work(run, record, _desk(shop))
            if ended := _ended(ledger):
                return ended
            _approve_what_waits(ledger)


def _run(ledger: Ledger, run_id: str) -> Run:
    this = card()
    return Run(
        id=run_id, card=this, ledger=ledger, stage=Stage.SELECTIVE, budget=Budget(ledger, this, run_id),
        model=None, prompt_version="v", earned=(Stage.SELECTIVE, ""),  # type: ignore[arg-type]
    )  # fmt: skip


def _desk(shop: Shop) -> Desk:
    tools = [Recording.called(name) for name in (*READS, *CHANGES)]
    return agents.desk(tools, case=lambda *_: shop, closing=lambda *_: ())


def _ended(ledger: Ledger) -> str | None:
    with ledger.read() as session:
        return session.scalar(sa.select(AgentRun.state).where(AgentRun.ended_at.is_not(None)))


def _approve_what_waits(ledger: Ledger) -> None:
    with ledger.read() as session:
        waiting = session.scalars(sa.select(ActionRow.id).where(ActionRow.state == "waiting")).all()
    for action_id in waiting:
        approvals.settle(ledger, action_id, {"decision": "approve", "approver": "Bea", "comment": ""})


@contextmanager
def killed_at(ledger: Ledger, shop: Shop, point: int) -> Any:
    """A kill -9 at the `point`th moment, around each commit of the ledger's and the shop's; yields the count."""
    passed = [0]

    def trap(*_: Any) -> None:
        passed[0] += 1
        if passed[0] == point:
            os.kill(os.getpid(), signal.SIGKILL)

    for moment in ("commit", "begin"):
        sa.event.listen(ledger.engine, moment, trap)
    shop.trap = trap
    yield passed

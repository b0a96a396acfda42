"""Agent: a model with tools works on one record at a time, within limits, and waits for a person before what matters.

Each step is in the ledger before the next begins (see `tasks/journal.py`), so a crash costs at most the step that was
under way, and no action is ever done twice. A record whose agent waits costs a row, not a process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import prompts
from blocks import connections, ledger
from blocks.ledger import LedgerError, Record, utcnow
from blocks.models import Conversation, Converser, Turn
from blocks.vendor import VendorError
from tasks import act, approvals, gate, journal, records, tracing
from tasks.actions import Action
from tasks.budget import Call
from tasks.going_on import OPEN
from tasks.journal import LostClaim, Made, Step
from tasks.limits import LimitReached, Watch
from tasks.prompt import after_failures
from tasks.run import Run
from tasks.tools import Tool
from tasks.verb import concurrently, verb
from tasks.workbench import Workbench

RULES = "rules"
"""What the ledger names where a workflow's own rules take the steps."""

SMALLEST_TURN = 256
"""Tokens: a model that is left less than this for its turn is not asked."""

ADDED_TOKENS = 200
"""What the vendor may add to a conversation with each step, besides what we send."""

Rule = Callable[[Any, Sequence[Made]], Sequence[tuple[str, dict[str, Any]]] | str]
"""A workflow's own way without a model: from the case and the calls so far to the next calls, or to its last words.
It raises `GivenUp` where a person must look instead."""


@dataclass(frozen=True)
class Ended:
    """How an agent's run ended."""

    text: str
    """Its last words; empty when it was stopped."""
    stopped: str
    """Why it was stopped; empty when it ended by itself."""
    account: str
    """What was done and what was not, a line each."""


@dataclass(frozen=True)
class Desk:
    """All that is a workflow's own about its agent."""

    tools: Callable[[Record], Sequence[Tool]]
    """What it may use for this record. The less, the less can go wrong."""
    case: Callable[[Run, Record], Any]
    """What each of its tools is given first."""
    variables: Callable[[Record], Mapping[str, Any]]
    """What `agent.md` is told."""
    explain: Callable[[Record], str]
    """What an approver must know of the record, as markdown."""
    rules: Rule
    closing: Callable[[Record, Ended], Sequence[Action]]
    """What is done about a record whose agent has ended: a label, a note, a task for a person when it was stopped."""
    unfit: Callable[[Record], str] = lambda _: ""
    """Why no agent is to work on this record; empty when one is. `closing` then says what is done instead."""


@verb("agent")
def work(run: Run, ids: Sequence[int], desk: Desk) -> None:
    """Let the agent work on every validated record of the batch, until it has ended, waits for a person, or is stopped.

    Raises:
        VendorError: the model or a vendor could not be reached; every step that was finished is kept. A record of
            which this is said too often is set aside.
        ApprovalError: actions wait for a person, but nobody could approve them.
    """
    run.look_at_stage()
    batch = [r for r in records.in_state(run.ledger, ids, records.VALIDATED) if r.run_id in (None, run.id)]
    outcomes = concurrently(lambda record: _let_work(run, record, desk), batch)
    failures = {record.id: outcome for record, outcome in outcomes if isinstance(outcome, VendorError)}
    approvals.request(run.ledger, gate.waiting_without_run(run))
    after_failures(run, {record.id: record for record in batch}, failures, succeeded=len(ids) - len(failures))


def take_up(run: Run) -> int:
    """Put the records back to work whose agents have waited, and wait no longer; returns how many.

    They are then claimed like any other unfinished record, and each agent goes on where it was.
    """
    table, actions = Record, ledger.Action
    still = sa.exists().where(actions.record_id == table.id, actions.state.in_(OPEN))
    waiting = sa.update(table).where(table.workflow == run.card.workflow, table.state == records.WAITS, ~still)
    with run.ledger.write() as session:
        back = session.scalars(waiting.values(state=records.VALIDATED, updated_at=utcnow()).returning(table.id))
        return len(back.all())


def _let_work(run: Run, record: Record, desk: Desk) -> None:
    try:
        if why := desk.unfit(record):
            _leave_alone(run, record, desk, why)
        else:
            _Agent(run, record, desk).work()
    except (LostClaim, act.LostClaim) as error:
        run.note(str(error))
    except (VendorError, LedgerError, connections.MissingCredential, act.NotApproved):
        raise
    except Exception as error:  # noqa: BLE001 - the desk is the builder's own code: one record must not stop them all
        _set_aside(run, record, f"its agent could not work: {type(error).__name__}: {error}")


def _set_aside(run: Run, record: Record, why: str) -> None:
    """For a person to look at. Its agent's run is over: put back, the record begins with another."""
    table = ledger.AgentRun
    unended = sa.update(table).where(table.record_id == record.id, table.ended_at.is_(None))
    with run.ledger.write() as session:
        session.execute(unended.values(state=journal.STOPPED, ended_at=utcnow(), updated_at=utcnow()))
        records.move(session, [records.quarantine(record.id, why)])


def _leave_alone(run: Run, record: Record, desk: Desk, why: str) -> None:
    """No agent begins; what is done instead is wanted at once."""
    closing = gate.rows(run, record, desk.closing(record, Ended("", why, "No agent has worked on it.")), desk.explain)
    with run.ledger.write() as session:
        gate.want(session, run, closing)
        records.move(session, [{"id": record.id, "state": records.GATED, "reason": None}])


class _Agent:
    """One agent on one record."""

    def __init__(self, run: Run, record: Record, desk: Desk) -> None:
        limits = run.card.agent
        if limits is None:
            raise TypeError(f"the card of {run.card.workflow} has no agent")
        self.run, self.record, self.desk, self.limits = run, record, desk, limits
        tools = {tool.name: tool for tool in desk.tools(record)}
        self.model: Converser | None = connections.load_if_present(limits.model)
        self.journal = journal.open_run(run.ledger, record, self.model.model_id if self.model else RULES, list(tools))
        self.bench = Workbench(run, record, self.journal, tools, desk.case(run, record), desk.explain)
        self.watch = Watch(limits, tools)
        for step in self.journal.steps:
            if not step.open:
                self.watch.after_step(step.results())
        self.system, self.opening = prompts.load(run.card.prompt).render_agent(desk.variables(record))
        self.began = time.monotonic() - self.journal.run.seconds
        self.unwritten: list[tuple[Step, int, Made]] = []
        """Results that go into the ledger with whatever is written next."""
        self.unwritten_turn: Turn | None = None
        """And a turn. One transaction a step is enough where it only reads: what a crash takes is asked for again, and
        what was set aside for it is counted as spent. Before anything is done to the world, all of it is written."""

    @property
    def seconds(self) -> float:
        """Of work, over all runs that it took."""
        return time.monotonic() - self.began

    def work(self) -> None:
        """Go on from wherever it was, as far as it goes now."""
        if self.model is None and self.journal.run.model != RULES and self.journal.steps:
            self.run.note(f"agents wait for their model: nobody has saved {self.limits.model} (any more)")
            return
        with tracing.agent(self.run, self.journal):
            try:
                while not self._goes_no_further():
                    continue
            except LimitReached as error:
                self._end(stopped=error)

    def _goes_no_further(self) -> bool:
        """Do the next thing, and say whether it was the last for now."""
        last = self.journal.steps[-1] if self.journal.steps else None
        if last and last.open:
            return not self._make_calls(last)
        if last and last.is_end:
            self._end(text=last.text)
            return True
        if last and last.stop_reason in ("refusal", "model_context_window_exceeded"):
            raise LimitReached(last.stop_reason, 1, 0)
        if utcnow() >= self.run.deadline:
            self.run.note("agents that had not ended by the run's end go on in the next one")
            return True
        self.watch.before_step(self.seconds)
        turn = self._by_rules() if self.model is None else self._by_model(self.model)
        return turn is None

    def _make_calls(self, step: Step) -> bool:
        """Make a turn's calls; False when some of them wait for a person."""
        self.watch.before_calls([(call.tool, call.input) for call in step.wanted])
        if any(self.bench.writes(call) for call in step.wanted):
            self._write_down()
        made = self.bench.make(step, self.watch)
        step.made.update(made.known)
        self.unwritten += [(step, place, call) for place, call in made.known.items()]
        if made.failed:
            self._write_down()
            raise made.failed
        if step.open:
            self._wait()
            return False
        self.watch.after_step(step.results())
        return True

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A transaction for this record, which takes along what was not written yet.

        Raises:
            LostClaim: another run has the record.
        """
        run = self.run
        with run.ledger.write() as session:
            journal.hold(session, self.journal, run.id, self.seconds)
            if self.unwritten_turn:
                step, prompt = self.journal.steps[-1], run.card.prompt
                journal.note_turn(
                    session, self.journal, step, self.unwritten_turn,
                    run_id=run.id, prompt=prompt, version=run.prompt_version,
                )  # fmt: skip
                run.budget.settle(session, [self.record.id])
            journal.note_results(session, self.journal, self.unwritten, run_id=run.id)
            yield session
        self.unwritten.clear()
        self.unwritten_turn = None

    def _write_down(self) -> None:
        """Whatever is not in the ledger yet."""
        with self._writing():
            pass

    def _by_rules(self) -> Turn:
        """The next turn by the workflow's own rules, which cost nothing."""
        so_far = [made for step in self.journal.steps for made in step.results()]
        wanted = self.desk.rules(self.bench.case, so_far)
        if isinstance(wanted, str):
            turn = Turn([{"type": "text", "text": wanted}], RULES)
        else:
            number = len(self.journal.steps) + 1
            calls = [
                {"type": "tool_use", "id": f"rule_{number}_{place}", "name": name, "input": given}
                for place, (name, given) in enumerate(wanted)
            ]
            turn = Turn(calls, RULES, "tool_use")
        self._note(turn)
        return turn

    def _by_model(self, model: Converser) -> Turn | None:
        """The model's next turn; None when the workflow has no money for it now.

        Raises:
            LimitReached: of the agent's own tokens or dollars.
            VendorError: the model could not be reached; when its reply may have been lost, it counts as spent.
        """
        conversation, tokens = self._conversation(model)
        worst = model.price(tokens, conversation.max_tokens)
        if self.journal.spent + worst > self.limits.usd:
            raise LimitReached("usd", float(self.journal.spent + worst), float(self.limits.usd))
        budget = self.run.budget
        with self._writing() as session:
            granted = budget.reserve_in(session, [Call(self.record.id, self.run.prompt_version, model.model_id, worst)])
        if granted.refused:
            over = f"{granted.refused.kind} is ${granted.refused.limit:.4f}, and the next step could go over it"
            self.run.note(f"agents stopped asking the model: {over}; they go on in the next run")
            return None
        try:
            turn = tracing.converse(self.run, self.record, len(self.journal.steps) + 1, model, conversation)
        except VendorError as error:
            with self.run.ledger.write() as session:
                if error.unknown:
                    budget.lose(session, self.record.id)
                budget.settle(session, [self.record.id])
            raise
        self._note(turn)
        return turn

    def _conversation(self, model: Converser) -> tuple[Conversation, int]:
        """What the model is sent, with as long a turn as the agent's tokens leave it; and its tokens at most.

        Raises:
            LimitReached: they leave it none.
        """
        said = journal.messages(self.opening, self.journal.steps, self.limits.context_tokens)
        tools = [tool.spec for tool in self.bench.tools.values()]
        whole = Conversation(self.system, said, tools, self.limits.turn_tokens)
        left, tokens = self.limits.tokens - self.journal.tokens, self._at_most(model, whole)
        # The vendor counts exactly, and free of charge. Later it is enough that each answer says what had gone in, and
        # that no tokenizer makes more tokens than bytes of what is new; but nobody is stopped by a guess.
        if not self.journal.steps or left - tokens < self.limits.turn_tokens:
            tokens = min(tokens, model.count(whole) + ADDED_TOKENS)
        room = min(self.limits.turn_tokens, left - tokens)
        if room < SMALLEST_TURN:
            raise LimitReached("tokens", self.journal.tokens + tokens + SMALLEST_TURN, self.limits.tokens)
        return Conversation(self.system, said, tools, room), tokens

    def _at_most(self, model: Converser, whole: Conversation) -> int:
        """Tokens of a conversation, never too few: what had gone in and come out before, and the new bytes."""
        before = self.journal.steps[-1].tokens if self.journal.steps else 0
        if not before:
            return model.size(whole)
        return before + len(json.dumps(whole.messages[-1], ensure_ascii=False).encode()) + ADDED_TOKENS

    def _note(self, turn: Turn) -> None:
        """Take a turn into the journal; it is written down with what follows from it."""
        self.journal.add(turn)
        self.unwritten_turn = turn
        if not self.journal.steps[-1].wanted:
            self.watch.after_step([])

    def _wait(self) -> None:
        """The record waits for a person, and its place in this run is free."""
        with self._writing() as session:
            journal.change(session, self.journal, state=journal.WAITING)
            records.move(session, [{"id": self.record.id, "state": records.WAITS, "run_id": None}])

    def _end(self, *, text: str = "", stopped: LimitReached | None = None) -> None:
        """End the agent's run, and want what the workflow does about that, in one transaction."""
        ended = Ended(text, str(stopped or ""), self.bench.account())
        wanted, again = self.desk.closing(self.record, ended), f":{self.journal.run.id}"
        closing = gate.rows(self.run, self.record, wanted, self.desk.explain, again=again)
        state = {"state": records.GATED, "reason": None}
        if stopped:
            state = records.quarantine(self.record.id, f"the agent was stopped by a limit: {stopped}. {ended.account}")
        with self._writing() as session:
            journal.change(
                session,
                self.journal,
                state=journal.STOPPED if stopped else journal.DONE,
                text=text,
                limit=stopped.as_json() if stopped else None,
                ended_at=utcnow(),
            )
            gate.want(session, self.run, closing)
            records.move(session, [{"id": self.record.id, **state}])

"""A person's own assistant on our tools: the same tools, the same checks, the same gate, whoever's model it is.

The assistant opens a case for one customer, and calls tools on it. What waits for a person waits here too: the
assistant is told the number and can ask what became of it. Every call is in the ledger, under the person's name.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from blocks.guard import guarded_by
from blocks.hubspot import HubSpot
from blocks.ledger import Action, Ledger, Receipt, Record, utcnow
from tasks import approvals, billing, gate, journal, output, records
from tasks.card import Card
from tasks.discipline import discipline
from tasks.journal import Step, Wanted
from tasks.limits import LimitReached, Watch
from tasks.plain import plain
from tasks.run import Run, begin
from tasks.tools import Tool, ToolRefused
from tasks.workbench import Workbench, outcome_of

SHORTEST, LONGEST = 5, 500
"""Characters of what a case is about."""

MOST_CASES = 100
"""Cases that one person's assistant may open in a day: the card's limits hold for each of them."""

Answer = tuple[str, bool]
"""What the assistant is told, and whether it is a failure."""


@dataclass(frozen=True)
class Assistant:
    """One person's assistant, on one workflow's tools."""

    ledger: Ledger
    card: Card
    tools: Mapping[str, Tool]
    person: str
    form_of: Callable[[Action], str]
    """Where a person decides on an action that waits."""
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def source(self) -> str:
        """What the ledger calls its cases."""
        return f"mcp:{self.person}"

    def open_case(self, email: str, about: str) -> Answer:
        """Begin a case for the customer with this address, whom the CRM has to know."""
        address, about = email.strip().lower(), about.strip()
        if not SHORTEST <= len(about) <= LONGEST:
            return f"say what it is about in {SHORTEST} to {LONGEST} characters", True
        if self._opened_today() >= MOST_CASES:
            return f"{MOST_CASES} cases were opened for {self.person} today, which is the limit", True
        with self._run() as run:
            hubspot: HubSpot = run.connection("hubspot")
            contact = hubspot.contacts_by_email([address], run.card.fields_of("hubspot")).get(address)
            if contact is None:
                return f"the CRM does not know {address}: only a contact of ours can have a case", True
            payload = {"sender": address, "subject": about, "text": about, "sent_at": utcnow().isoformat()}
            record = Record(
                workflow=self.card.workflow, source=self.source, external_id=uuid.uuid4().hex, title=about,
                payload={"sender": address}, context=billing.context_of(run, address, contact), state=records.DONE,
                sure=True,
            )  # fmt: skip
            # What a text may name is what the record holds: the assistant must not put it there itself.
            if foreign := output.first_foreign(about, output.Known(record), run.card.allowed):
                return f"it {foreign}, which the customer's own data does not have: say it in plain words", True
            record.payload = payload
            with self.ledger.write() as session:
                session.add(record)
                session.flush()
                return f"case {record.id} is open: {address}. Give this number with every call", False

    def _opened_today(self) -> int:
        since = utcnow() - timedelta(days=1)
        mine = sa.select(sa.func.count()).where(Record.source == self.source, Record.created_at > since)
        with self.ledger.read() as session:
            return session.scalar(mine) or 0

    def call(self, tool: str, case: int, given: Mapping[str, Any]) -> Answer:
        """Call a tool on a case that this person has opened. One after the other: the limits count all of them."""
        with self.turn:
            record = self._case(case)
            if record is None:
                return f"there is no case {case} of yours: open one with open_case", True
            with self._run() as run:
                at = journal.open_run(self.ledger, record, self.source, list(self.tools))
                # A place of its own for each call, known before anything is wanted: whatever fails after that, the next
                # call is another one.
                salt = f"{uuid.uuid4().hex}."
                bench = Workbench(run, record, at, self.tools, billing.Case(run, record), self._explain, salt)
                return self._made(run, bench, _step(len(at.steps) + 1, tool, given))

    def what_became_of(self, action_id: int) -> Answer:
        """How an action stands that one of this person's cases has asked for."""
        with self.ledger.read() as session:
            action = session.get(Action, action_id)
            record = session.get(Record, action.record_id) if action and action.record_id else None
            if action is None or record is None or record.source != self.source:
                return f"there is no action {action_id} of yours", True
            decision = approvals.decision_in(session, action_id)
            receipt = session.scalar(sa.select(Receipt).where(Receipt.action_id == action_id))
        return outcome_of(action, decision, receipt) or (self._waits(action), False)

    def _made(self, run: Run, bench: Workbench, step: Step) -> Answer:
        watch, began = _watch(run, bench), time.monotonic()
        (wanted,) = step.wanted
        try:
            watch.before_step(bench.journal.run.seconds)
            watch.before_calls([(wanted.tool, wanted.input)])
        except LimitReached as error:
            return str(error), True
        outcome = bench.make(step, watch)
        made = outcome.known.get(0)
        if made is None and outcome.failed:
            impact = self.tools[wanted.tool].impact
            made = journal.Made(wanted, str(outcome.failed), True, impact, utcnow())
        made = made or self._waiting(bench, step, wanted)
        with self.ledger.write() as session:
            journal.hold(session, bench.journal, run.id, bench.journal.run.seconds + time.monotonic() - began)
            step.number = journal.next_step(session, bench.journal)
            journal.note_results(session, bench.journal, [(step, 0, made)], run_id=run.id)
            session.execute(sa.update(Record).where(Record.id == bench.record.id).values(updated_at=utcnow()))
        approvals.request(self.ledger, gate.waiting_without_run(run))
        return self._with_its_form(made), made.is_error

    def _with_its_form(self, made: journal.Made) -> str:
        """What a call was answered; of one that waits, with the form that was made since."""
        if made.action_id is None or made.is_error:
            return made.output
        action = approvals.action_of(self.ledger, made.action_id)
        return self._waits(action) if action.state == "waiting" else made.output

    def _waiting(self, bench: Workbench, step: Step, wanted: Wanted) -> journal.Made:
        """A call that waits for a person: its assistant does not wait with it."""
        action = bench.wanted_at(wanted, f"{step.number}.0")
        if action is None:
            raise ToolRefused("it could not be put down: ask again")
        impact = self.tools[wanted.tool].impact
        return journal.Made(wanted, self._waits(action), False, impact, action.created_at, action.id)

    def _waits(self, action: Action) -> str:
        if action.state != "waiting":
            return f"#{action.id}, {action.title}, is {action.state}"
        where = self.form_of(action)
        return (
            f"#{action.id}, {action.title}, waits for a person's decision at {where}. Ask what_became_of({action.id})"
        )

    def _case(self, number: int) -> Record | None:
        with self.ledger.read() as session:
            found = session.get(Record, number)
        mine = found is not None and found.source == self.source and found.redacted_at is None
        return found if mine else None

    def _explain(self, record: Record) -> str:
        about = str(record.payload.get("text", ""))
        return f"**Why:** {plain(self.person)} asked for it through their own assistant: {plain(about)}"

    @contextmanager
    def _run(self) -> Iterator[Run]:
        """A run for one call: the stage of that moment holds, and so do the vendors' rate limits and circuits."""
        with guarded_by(discipline(self.ledger)), begin(self.card, self.ledger, whole=False) as run:
            yield run


def _step(number: int, tool: str, given: Mapping[str, Any]) -> Step:
    block = {"type": "tool_use", "id": f"mcp_{number}", "name": tool, "input": dict(given)}
    return Step(number, [block], "tool_use", 0)


def _watch(run: Run, bench: Workbench) -> Watch:
    """The card's limits hold for a case, whoever calls."""
    if run.card.agent is None:
        raise TypeError(f"the card of {run.card.workflow} has no agent")
    watch = Watch(run.card.agent, bench.tools)
    for step in bench.journal.steps:
        watch.after_step(step.results())
    return watch


def names(tools: Sequence[Tool]) -> dict[str, Tool]:
    """Tools by name."""
    return {tool.name: tool for tool in tools}

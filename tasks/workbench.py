"""Where an agent's tools are used: reads at once and side by side, writes one after the other and through the gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from blocks import ledger
from blocks.ledger import Decision, ModelCall, Receipt, Record, utcnow
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from tasks import act, gate, output, tracing
from tasks.actions import BY_CARD, KINDS, Action, load
from tasks.approvals import decision_in
from tasks.going_on import OPEN
from tasks.journal import Journal, Made, Step, Wanted
from tasks.limits import Watch
from tasks.plain import one_line, plain
from tasks.run import Run
from tasks.tools import READ, Tool, ToolRefused, told
from tasks.verb import ACCOUNT, concurrently

READERS = 4
"""Reads of one turn that are made side by side."""

ASKED = 12
"""The newest calls that an approver is shown."""

SHOWN = 160
"""Characters of each that are shown."""

NOT_ASKED_AGAIN = ("rejected", "expired")
"""A person has said no, or nobody yes in time: money is not asked for again."""

NO_HOLDS = timedelta(days=30)
"""How long that no holds for other cases of the same customer."""


@dataclass
class Outcome:
    """What came of a turn's calls in one go."""

    known: dict[int, Made] = field(default_factory=dict)
    """By place; a call that waits for a person is not among them."""
    failed: VendorError | None = None
    """What kept the others from being made now."""


@dataclass
class Workbench:
    """An agent's tools, laid out for one record."""

    run: Run
    record: Record
    journal: Journal
    tools: Mapping[str, Tool]
    case: Any
    explain: Callable[[Record], str]
    salt: str = ""
    """What tells the places of calls apart that no journal counts: those of a person's own assistant."""

    def make(self, step: Step, watch: Watch) -> Outcome:
        """Make those calls of a turn whose result is not known yet.

        Raises:
            NotApproved: the ledger holds something that nobody approved.
        """
        outcome = Outcome()
        wanted = {place: step.wanted[place] for place in step.open}
        reads = {place: call for place, call in wanted.items() if not self.writes(call)}
        for place, made in concurrently(lambda place: self._read(reads[place]), list(reads), READERS):
            if isinstance(made, VendorError):
                outcome.failed = outcome.failed or made
            else:
                outcome.known[place] = made
        writes = {place: call for place, call in wanted.items() if self.writes(call)}
        for place, call in writes.items():
            try:
                made_now = self.write(call, f"{step.number}.{place}", again=watch.was_made(call.tool, call.input))
            except VendorError as error:
                outcome.failed = outcome.failed or error
                continue
            if made_now:
                outcome.known[place] = made_now
        return outcome

    def writes(self, call: Wanted) -> bool:
        """Whether a call would change something."""
        return (tool := self.tools.get(call.tool)) is not None and tool.writes is not None

    @tracing.tool
    def _read(self, call: Wanted) -> Made:
        started_at, tool = utcnow(), self.tools.get(call.tool)
        if tool is None:
            names = ", ".join(self.tools)
            return Made(call, f"there is no tool {call.tool!r}; there are {names}", True, "unknown", started_at)
        try:
            result = told(tool.call(self.case, tool.parse(call.input)))
        except ToolRefused as error:
            return Made(call, str(error), True, READ, started_at)
        except VendorError as error:
            return Made(call, _for_the_model(error), True, READ, started_at)
        return Made(call, result, False, READ, started_at)

    @tracing.tool
    def write(self, call: Wanted, place: str, *, again: bool = False) -> Made | None:
        """Want what a tool wants, do it if the card lets it pass, and tell what came of it; None while it waits.

        Args:
            call: the call.
            place: its place in the agent's run, by which it is the same call after a crash.
            again: an earlier step made the very same call.

        Raises:
            VendorError: it passed, and could not be done now.
        """
        started_at, tool = utcnow(), self.tools[call.tool]
        key, action = self._key(call, place), self.wanted_at(call, place)
        if action is None:
            try:
                if again:
                    raise ToolRefused("this call was made before: its result stands above, and nothing was done now")
                action = self._want(tool.call(self.case, tool.parse(call.input)), key)
            except ToolRefused as error:
                return Made(call, str(error), True, tool.impact, started_at)
            except VendorError as error:
                return Made(call, _for_the_model(error), True, tool.impact, started_at)
        return self._carried(call, tool, self._acted(action), started_at)

    def _key(self, call: Wanted, place: str) -> str:
        kind = tool.writes.kind if (tool := self.tools[call.tool]).writes else tool.name
        return f"{gate.natural_key(self.record)}:{kind}:{self.journal.run.id}.{self.salt}{place}"

    def wanted_at(self, call: Wanted, place: str) -> ledger.Action | None:
        """The action that a call has wanted, by its place in the agent's run."""
        key = self._key(call, place)
        with self.run.ledger.read() as session:
            return session.scalar(sa.select(ledger.Action).where(ledger.Action.key == key))

    def _want(self, action: Action, key: str) -> ledger.Action:
        """Put the action into the ledger, in the state that the gate gives it.

        Raises:
            ToolRefused: the same was wanted before, or a person has said no to such a thing.
        """
        row = gate.row(self.run, self.record, action, output.Known(self.record), key=key)
        if row.state != "pending":
            row.explanation = gate.explanation(action, self._why(), self._cost())
        with self.run.ledger.write() as session:
            # In the transaction that writes it: another case may want the same money in this moment.
            for earlier in session.scalars(_like(action, self.record)):
                if objection := _not_again(action, row, earlier):
                    raise ToolRefused(objection)
            gate.want(session, self.run, [row])
        return row

    def _acted(self, action: ledger.Action) -> ledger.Action:
        """The action as it stands once it was tried, if it may be.

        Raises:
            VendorError: it could not be done now.
        """
        if action.state not in act.TO_DO:
            return action
        # As for any other action: what the stage does not allow now waits in the ledger, whoever has approved it.
        mine = act.allowed(self.run.look_at_stage()).where(ledger.Action.id == action.id)
        with self.run.ledger.read() as session:
            decision = next((number for _, number in session.execute(mine)), None)
        refused: VendorError | None = None
        if decision is not None:
            try:
                act.do(self.run.ledger, self.run.id, act.Approved(action.id, decision))
            except VendorError as error:
                refused = error
        with self.run.ledger.read() as session:
            action = session.get_one(ledger.Action, action.id)
        if refused and action.state in act.TO_DO:  # else it has failed for good, which the agent is told
            raise refused
        return action

    def _carried(self, call: Wanted, tool: Tool, action: ledger.Action, started_at: datetime) -> Made | None:
        with self.run.ledger.read() as session:
            decision = decision_in(session, action.id)
            receipt = session.scalar(sa.select(Receipt).where(Receipt.action_id == action.id))
        answer = outcome_of(action, decision, receipt)
        if answer is None:
            return None
        text, is_error = answer
        return Made(call, text, is_error, tool.impact, started_at, action.id)

    def _why(self) -> str:
        """What an approver must know: the record, and what the agent has done so far."""
        said = next((step.text for step in reversed(self.journal.steps) if step.text), "")
        calls = [made for step in self.journal.steps for made in step.results()][-ASKED:]
        lines = [f"- {plain(line_of(made))}" for made in calls]
        parts = [self.explain(self.record)]
        if said:
            parts.append(f"**The agent says:** {plain(said)}")
        if lines:
            parts.append("**What it has looked at and done:**\n\n" + "\n".join(lines))
        return "\n\n".join(parts)

    def _cost(self) -> Any:
        calls = ModelCall
        with self.run.ledger.read() as session:
            return session.scalar(sa.select(sa.func.sum(calls.cost)).where(calls.record_id == self.record.id)) or 0

    def account(self) -> str:
        """What was done and what was not, for people, a line each."""
        table = ledger.Action
        with self.run.ledger.read() as session:
            wanted = session.scalars(sa.select(table).where(table.record_id == self.record.id).order_by(table.id)).all()
        done = [f"{each.title} (#{each.id})" for each in wanted if each.state == "done"]
        others = [f"{each.title} (#{each.id}: {each.state})" for each in wanted if each.state != "done"]
        step = self.journal.steps[-1] if self.journal.steps else None
        others += [f"{call.tool} (not made)" for call in (step.wanted if step else []) if step and step.open]
        return f"Done: {'; '.join(done) or 'nothing'}. Not done: {'; '.join(others) or 'nothing'}."


def line_of(made: Made) -> str:
    """A call on one line: `list_invoices(status="open") -> [{"number": ...`."""
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in made.input.items())
    failed = "failed: " if made.is_error else ""
    return f"{one_line(f'{made.tool}({given})')[:SHOWN]} -> {failed}{one_line(made.output)[:SHOWN]}"


def outcome_of(action: ledger.Action, decision: Decision | None, receipt: Receipt | None) -> tuple[str, bool] | None:
    """What an agent is told of its action, and whether that is a failure; None while nobody knows."""
    who = f" by {decision.approver}" if decision and decision.approver else ""
    comment = f" They say: {decision.comment}" if decision and decision.comment else ""
    match action.state:
        case "done":
            return told({"outcome": "done", **_approved(action, decision), **_received(receipt)}), False
        case "shadow":
            return "recorded only: this workflow still watches, and nothing was done. Go on as if it had been.", False
        case "refused":
            return f"refused, and not done: {action.reason}", True
        case "rejected":
            return f"rejected{who}, and not done.{comment} Do not try it in another way.", True
        case "expired":
            return "nobody decided in time, so it was not done. Do not ask again; escalate if it matters.", True
        case "handled":
            return "it failed, and a person has done it instead. Do not do it again.", False
        case "failed":
            return f"it failed, and was not done: {action.reason}", True
    return None


def _approved(action: ledger.Action, decision: Decision | None) -> dict[str, Any]:
    if decision is None or decision.approver in ("", BY_CARD):
        return {}
    found: dict[str, Any] = {"approved_by": decision.approver}
    if decision.comment:
        found["comment"] = decision.comment
    if decision.edited and (name := KINDS[action.kind].editable):
        found["edited"] = {name: decision.payload[name]}
    return found


def _received(receipt: Receipt | None) -> dict[str, Any]:
    return {"id": receipt.external_id, **receipt.detail} if receipt else {}


def _like(action: Action, record: Record) -> sa.Select[tuple[ledger.Action]]:
    """What was wanted before of this kind for this record; and where it moves money, whatever else does, anywhere."""
    table = ledger.Action
    mine = sa.and_(table.record_id == record.id, table.kind == action.kind)
    if action.money:
        moves_money = table.kind.in_([name for name, kind in KINDS.items() if kind.money is not Action.money])
        lately = table.created_at > utcnow() - NO_HOLDS
        stands = sa.or_(table.state.in_(OPEN), sa.and_(table.state.in_(NOT_ASKED_AGAIN), lately))
        mine = sa.or_(mine, sa.and_(moves_money, stands))
    return sa.select(table).where(mine).order_by(table.id)


def _not_again(action: Action, row: ledger.Action, earlier: ledger.Action) -> str | None:
    """Why an action is not wanted beside an earlier one, or None."""
    if earlier.redacted_at is not None or earlier.state in ("refused", "failed", "shadow"):
        return None
    if earlier.digest == row.digest and earlier.record_id == row.record_id:
        return f"the same was wanted before: #{earlier.id} is {earlier.state}. Nothing was done now"
    if not action.money:
        return None
    before = load(earlier.kind, earlier.payload)
    said_no = earlier.state in NOT_ASKED_AGAIN
    told = f"#{earlier.id}, {earlier.title}, {'was' if said_no else 'is'} {earlier.state}"
    if earlier.record_id == row.record_id:
        # In one case a no is a no to any money of this customer, by whatever name it is asked for.
        same = said_no and before.targets()[:1] == action.targets()[:1]
        return f"{told}: it is not asked for again, whatever the amount or the way" if same else None
    if said_no:
        return f"{told} in another case: a person must ask for it" if before.targets() == action.targets() else None
    # And two cases of one customer do not ask for money at the same time: each would look right by itself.
    return f"another case asks already: {told}" if before.targets()[:1] == action.targets()[:1] else None


def _for_the_model(error: VendorError) -> str:
    """A vendor's refusal as data.

    Raises:
        VendorError: it is no answer to this one call: the vendor is away, or shut to us, or no longer what it was.
    """
    if not error.permanent or error.status in ACCOUNT or isinstance(error, SchemaDrift):
        raise error
    return f"{error.vendor} refused: {error.reason}"

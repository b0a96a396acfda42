"""What happens in a cell, by what it is about: an action, a decision, the intake of mail, a question to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from blocks.ledger import Action, Decision, ModelCall, Record, utcnow
from tasks import actions
from tasks.performers import Attempt
from tests.chaos.cells import DECISION, INTAKE, MODEL, Approval, Cell, Crash
from tests.chaos.child import WORKFLOW
from tests.chaos.destinations import DESTINATIONS, MAILBOX
from tests.chaos.faults import FOR_EVER, NO_FAULT, Fault
from tests.chaos.verdict import Verdict

if TYPE_CHECKING:
    from tests.chaos.lane import Lane

ENOUGH = 6
"""Runs in fair weather, after which what is not settled counts as lost."""

SETTLED = ("done", "failed", "refused", "rejected", "expired", "waiting")
MAILS = 4
NOBODY = 999_999_999
ANSWER = {
    "intent": "demo_request",
    "urgency": "normal",
    "summary": "Ann Berg of Northwind wants a demo.",
    "reply": "Hello Ann,\n\nthank you for asking.\n\nDockwell",
    "confidence": 0.95,
}


class Story:
    """What all cells have in common: an attempt with a fault, one with a crash, then fair weather."""

    def __init__(self, lane: Lane, cell: Cell) -> None:
        self.lane, self.cell = lane, cell
        self.verdict = Verdict(cells=1)
        self.job = self.prepare()

    def prepare(self) -> dict[str, Any]:
        """Set the scene; returns the child's job."""
        raise NotImplementedError

    def settled(self) -> bool:
        """Whether there is nothing left to do."""
        raise NotImplementedError

    def judge(self) -> None:
        """Ask the pretend company, and the ledger, what happened."""
        raise NotImplementedError

    def between(self) -> None:
        """What people do after the crash."""

    def tell(self) -> None:
        """From the first attempt to the last."""
        if self.cell.fault.lasting:
            self._strike(self.cell.fault)
        steps = [self._with_fault, self._with_crash]
        for step in reversed(steps) if self.cell.crash_first else steps:
            step()
        for _ in range(ENOUGH):
            if self.settled():
                return
            self.attempt()

    def attempt(self, cell: Cell | None = None) -> None:
        """One more run."""
        self.lane.bury()
        ended = self.lane.send(self.job, cell)
        self.verdict.crashes += ended.killed
        if ended.error:
            self.verdict.errors += 1
            self.verdict.tracebacks.append(ended.error)

    def complain(self, what: str) -> None:
        """Say what is wrong, with the cell."""
        self.verdict.complaints.append(f"{self.cell}: {what}")

    def _with_fault(self) -> None:
        if self.cell.fault is NO_FAULT or self.cell.fault.lasting:
            return
        self._strike(self.cell.fault)
        self.attempt()
        self._clear()

    def _with_crash(self) -> None:
        cell = self.cell
        if cell.crash is Crash.NONE:
            return
        if cell.crash.held:
            hang = Fault("held", "hang", {"seconds": FOR_EVER, "commit": cell.crash is Crash.HELD_DONE})
            self._strike(hang, cell.crash_call)
        self.attempt(cell)
        self._clear(counted=not cell.crash.held)
        self.between()

    def _strike(self, fault: Fault, call: int | None = None) -> None:
        after = 0 if fault.at_home else (call or self.cell.fault_call) - 1
        assert fault.kind
        vendor: Any = self.cell.vendor
        self.lane.sandbox.fault(fault.kind, vendor, **({"after": after} | fault.settings))

    def _clear(self, counted: bool = True) -> None:
        """Fair weather again, but for what is lasting."""
        for fault in self.lane.sandbox.faults():
            lasting = fault["times"] is None
            if counted and not lasting:
                self.verdict.faults += fault["fired"]
            if not lasting:
                self.lane.sandbox.clear_faults(fault["id"])

    def count_lasting(self) -> None:
        """Lasting faults are counted at the end."""
        self.verdict.faults += sum(fault["fired"] for fault in self.lane.sandbox.faults())


class Acting(Story):
    """An action on its way to its destination."""

    def prepare(self) -> dict[str, Any]:
        cell = self.cell
        self._destination = DESTINATIONS[cell.target]
        self._action = self._destination.want(self.lane.sandbox, self.lane.accounts)
        self._key, self._allowed = self.lane.key, 0
        self._id, decision = self._put(self._key)
        if cell.approval is Approval.MISSING:
            decision = NOBODY
        elif cell.approval is Approval.OTHERS:
            decision = self._put(f"{self._key}:other", state="done")[1]
        return {"work": "act", "action": self._id, "decision": decision}

    def settled(self) -> bool:
        allowed = self.cell.approval in (Approval.APPROVED, Approval.CHANGED_LATER)
        return allowed and self._state() in SETTLED

    def between(self) -> None:
        if self.cell.approval is Approval.CHANGED_LATER:
            self._allowed = self._effects()  # what was done while it was still allowed stays done
            self._tamper()
        if self.cell.deleted:
            self._delete_the_evidence()

    def judge(self) -> None:
        self.count_lasting()
        effects = self._effects()
        if self.cell.approval is Approval.APPROVED:
            self._judge_approved(effects)
        else:
            self._judge_unapproved(effects)

    def _judge_approved(self, effects: int) -> None:
        verdict, state = self.verdict, self._state()
        doubt = state == "unknown"
        verdict.wanted = 1
        verdict.done, verdict.doubt = int(effects > 0 and not doubt), int(doubt)
        verdict.refused = int(not effects and state == "failed" and self.cell.fault.final)
        verdict.twice = max(0, effects - 1)
        verdict.lost = int(not effects and not doubt and not verdict.refused and not self.cell.deleted)
        if doubt != self.cell.deleted:
            verdict.untrue = 1
            self.complain(f"in doubt is {doubt}, and should be {self.cell.deleted}")
        elif not doubt and (state == "done") != (effects > 0):
            verdict.untrue = 1
            self.complain(f"the ledger says {state}, and it was done {effects} times: {self._reason()}")
        if verdict.twice or verdict.lost:
            self.complain(f"done {effects} times, the ledger says {state}: {self._reason()}")

    def _judge_unapproved(self, effects: int) -> None:
        self.verdict.unapproved = max(0, effects - self._allowed)
        if self.verdict.unapproved:
            self.complain(f"done {effects} times without leave, the ledger says {self._state()}")

    def _effects(self) -> int:
        marker = Attempt(self._key, {}, lambda _: None, utcnow()).marker
        return self._destination.effects(self.lane.sandbox.state(), self._action, marker)

    def _put(self, key: str, state: str = "pending") -> tuple[int, int]:
        """The action and the decision about it, as gate and approval would have written them."""
        action, credential = self._action, self._destination.credential
        approval = self.cell.approval
        payload = action.model_dump(mode="json")
        digest = actions.digest(action.kind, payload, credential)
        row = Action(
            key=key,
            workflow=WORKFLOW,
            kind=action.kind,
            impact=action.impact,
            title=action.title,
            payload=payload,
            digest=digest,
            credential=credential,
            explanation="",
            stage="selective",
            state="waiting" if approval is Approval.WAITING else state,
        )
        with self.lane.ledger.write() as session:
            session.add(row)
            session.flush()
            if row.state == "waiting":
                return row.id, NOBODY
            verdict = approval.value if approval in (Approval.REJECTED, Approval.EXPIRED) else "approved"
            decision = Decision(action_id=row.id, verdict=verdict, approver="Ann", payload=payload, digest=digest)
            session.add(decision)
            session.flush()
        if approval in (Approval.PAYLOAD_CHANGED, Approval.ACCOUNT_CHANGED):
            self._tamper(row.id)
        return row.id, decision.id

    def _tamper(self, action_id: int | None = None) -> None:
        """Somebody writes into the ledger past us."""
        number = action_id or self._id
        with self.lane.ledger.write() as session:
            if self.cell.approval is Approval.ACCOUNT_CHANGED:
                session.get_one(Action, number).credential = "gmail/other"
                self.lane.tampered.add(f"actions/{number}")
                return
            decision = session.scalars(sa.select(Decision).where(Decision.action_id == number)).one()
            field = next(name for name, value in decision.payload.items() if isinstance(value, str))
            decision.payload = decision.payload | {field: "mallory@evil.example"}
            self.lane.tampered.add(f"decisions/{decision.id}")

    def _delete_the_evidence(self) -> None:
        users = self.lane.accounts["gmail/inbox"].get_client().users()
        for draft in self.lane.sandbox.drafts():
            users.drafts().delete(userId="me", id=draft.draft_id).execute()
        for mail in self.lane.sandbox.sent():
            users.messages().delete(userId="me", id=mail.id).execute()

    def _row(self) -> Action:
        with self.lane.ledger.read() as session:
            return session.get_one(Action, self._id)

    def _state(self) -> str:
        return self._row().state

    def _reason(self) -> str:
        return self._row().reason or "no reason given"


class Deciding(Acting):
    """A person's answer on its way into the ledger."""

    def prepare(self) -> dict[str, Any]:
        self._destination = DESTINATIONS["gmail.send_reply"]
        self._action = self._destination.want(self.lane.sandbox, self.lane.accounts)
        self._id = self._put(self.lane.key, state="waiting")[0]
        answer = {"decision": "approve", "approver": "Ann", "comment": "", "body": "Hello Ann, on Tuesday."}
        return {"work": "settle", "action": self._id, "answer": answer}

    def settled(self) -> bool:
        return self._state() != "waiting"

    def judge(self) -> None:
        self.attempt()  # the form's run comes along once more
        with self.lane.ledger.read() as session:
            found = list(session.scalars(sa.select(Decision).where(Decision.action_id == self._id)))
        verdict = self.verdict
        verdict.wanted, verdict.done, verdict.twice = 1, int(bool(found)), max(0, len(found) - 1)
        verdict.lost = int(not found)
        if [(d.verdict, d.payload["body"]) for d in found] != [("approved", "Hello Ann, on Tuesday.")] or (
            self._state() != "pending"
        ):
            verdict.untrue = 1
            self.complain(f"{len(found)} decisions, and the action is {self._state()}")


class Intake(Story):
    """New e-mails on their way into the ledger."""

    def prepare(self) -> dict[str, Any]:
        with self.lane.ledger.write() as session:  # an inbox that was never read
            session.execute(sa.delete(Record).where(Record.source == f"gmail:{MAILBOX}"))
            session.execute(sa.text("DELETE FROM cursors"))
        self._mails = {
            self.lane.sandbox.write(sender=f"buyer{n}@{n}.example", subject=f"Doors {n}", body="A demo, please?").id
            for n in range(MAILS)
        }
        return {"work": "fetch", "limit": 100}

    def settled(self) -> bool:
        return set(self._taken()) == self._mails

    def judge(self) -> None:
        self.count_lasting()
        self.attempt()
        taken = self._taken()
        verdict = self.verdict
        verdict.wanted, verdict.done = len(self._mails), len(self._mails & set(taken))
        verdict.twice, verdict.lost = len(taken) - len(set(taken)), len(self._mails - set(taken))
        if verdict.twice or verdict.lost:
            self.complain(f"the inbox holds {sorted(self._mails)}, the ledger {sorted(taken)}")

    def _taken(self) -> list[str]:
        with self.lane.ledger.read() as session:
            return list(session.scalars(sa.select(Record.external_id).where(Record.source == f"gmail:{MAILBOX}")))


class Asking(Story):
    """A question to the model: what was paid for is not paid for again, and what may have been is counted."""

    def prepare(self) -> dict[str, Any]:
        self.lane.sandbox.script({"json": ANSWER, "times": None})
        with self.lane.ledger.write() as session:
            session.execute(sa.update(Record).values(state="done"))
            record = Record(
                workflow=WORKFLOW,
                source="model",
                external_id=self.lane.key,
                title="A demo",
                payload=_mail(),
                state="fetched",
            )
            session.add(record)
            session.flush()
            self._id = record.id
        return {"work": "ask", "limit": 1}

    def settled(self) -> bool:
        return self._record().state in ("validated", "quarantined")

    def judge(self) -> None:
        self.count_lasting()
        self.attempt()
        verdict, record = self.verdict, self._record()
        with self.lane.ledger.read() as session:
            calls = list(session.scalars(sa.select(ModelCall).where(ModelCall.record_id == self._id)))
        made = self.lane.sandbox.state()["counts"]["model_calls"]
        verdict.wanted, verdict.done = 1, int(record.state == "validated")
        verdict.refused = int(record.state == "quarantined" and self.cell.fault.final)
        verdict.lost = 1 - verdict.done - verdict.refused
        usable = [call for call in calls if call.stop_reason == "end_turn" and call.reply.startswith("{")]
        verdict.twice = max(0, len(usable) - 1)  # a usable answer that is stored is not paid for again
        if made > len(calls):
            verdict.untrue = 1
            self.complain(f"{made} calls were paid for, and the ledger counts {len(calls)}")
        if verdict.lost or verdict.twice:
            self.complain(f"the record is {record.state} ({record.reason}); {made} calls, {len(usable)} usable")

    def _record(self) -> Record:
        with self.lane.ledger.read() as session:
            return session.get_one(Record, self._id)


def _mail() -> dict[str, Any]:
    from blocks.mail import Email

    return Email(
        message_id="m1",
        thread_id="t1",
        rfc822_message_id="<m1@northwind.example>",
        references=(),
        sender="ann@northwind.example",
        sender_name="Ann Berg",
        reply_to="",
        to=(MAILBOX,),
        cc=(),
        subject="A demo",
        sent_at=utcnow(),
        text="Could we see a demo?",
        quoted="",
        signature="",
        attachments=(),
        machine="",
        defects=(),
    ).model_dump(mode="json")


def story_of(lane: Lane, cell: Cell) -> Story:
    """The story that the cell tells."""
    kinds: dict[str, type[Story]] = {DECISION: Deciding, INTAKE: Intake, MODEL: Asking}
    return kinds.get(cell.target, Acting)(lane, cell)

"""A ledger with work in it, as the verbs leave it; and a hand that writes into it past Signoff."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from blocks.ledger import (
    Action,
    AgentRun,
    Decision,
    Ledger,
    ModelCall,
    Receipt,
    Record,
    Run,
    ToolCall,
    history,
    utcnow,
)  # fmt: skip
from blocks.mail import Email

ANN = "ann@northwind.example"
SECRET = "our-merger-with-Fabrikam"
"""Stands in every text of the work, for a test to look for."""

TEXT = f"{SECRET}, says {ANN}"


@dataclass(frozen=True)
class Work:
    """The numbers of one record's rows."""

    record: int
    call: int
    action: int
    decision: int
    receipt: int
    tool_call: int

    @property
    def subjects(self) -> set[str]:
        """The rows that are sealed, as the history names them."""
        return {
            f"model_calls/{self.call}",
            f"actions/{self.action}",
            f"decisions/{self.decision}",
            f"receipts/{self.receipt}",
            f"tool_calls/{self.tool_call}",
        }


def reply(body: str = TEXT) -> dict[str, Any]:
    """The payload of a reply."""
    return {
        "message_id": "m1", "thread_id": "t1", "to": ANN, "subject": TEXT, "body": body,
        "in_reply_to": "<m1@northwind.example>", "references": ["<m0@northwind.example>"],
    }  # fmt: skip


def add_work(
    ledger: Ledger,
    email: Email,
    *,
    state: str = "done",
    action_state: str = "done",
    days_ago: float = 0,
    **changes: Any,
) -> Work:
    """A record with a model call, a reply that was approved and sent, and its receipt; last touched `days_ago`."""
    then = utcnow() - timedelta(days=days_ago)
    times = {"created_at": then, "updated_at": then}
    answer = {"intent": "support", "urgency": "high", "confidence": 0.5, "summary": TEXT, "reply": TEXT}
    with ledger.write() as session:
        if session.get(Run, "r") is None:
            session.add(Run(id="r", workflow="lead-triage", stage="gated", started_at=then, heartbeat_at=then))
            session.flush()
        fields: dict[str, Any] = {
            "workflow": "lead-triage", "source": "gmail:x", "external_id": f"m{utcnow().timestamp()}", "title": TEXT,
            "payload": email.model_dump(mode="json"), "context": {"contact": {"email": ANN, "company": TEXT}},
            "state": state, "reason": f"somebody said so: {TEXT}", "answer": answer,
        }  # fmt: skip
        record = Record(**times | fields | changes)
        session.add(record)
        session.flush()
        call = ModelCall(
            workflow="lead-triage", record_id=record.id, run_id="r", prompt="lead_triage", prompt_version="v",
            model="claude", attempt=1, reply=TEXT, stop_reason="end_turn", input_tokens=100, output_tokens=50,
            cost=Decimal("0.001234567"), seconds=2, created_at=then,
        )  # fmt: skip
        action = Action(
            key=f"k{record.id}", workflow="lead-triage", record_id=record.id, kind="gmail.send_reply", impact="high",
            title=f"Send reply to {ANN}", payload=reply(), digest="d", credential="gmail/inbox", explanation=TEXT,
            stage="gated", state=action_state, reason=TEXT, progress={"draft_id": "d1"}, **times,
        )  # fmt: skip
        session.add_all([call, action])
        session.flush()
        decision = Decision(
            action_id=action.id, verdict="approved", approver="Mara", comment=TEXT, payload=reply(), digest="d",
            edited=True, created_at=then,
        )  # fmt: skip
        receipt = Receipt(
            action_id=action.id, vendor="gmail", external_id="sent1", detail={"thread_id": "t1", "evidence": TEXT},
            created_at=then,
        )  # fmt: skip
        agent = AgentRun(
            workflow="lead-triage",
            record_id=record.id,
            model="claude",
            state="done",
            tools=["send"],
            text=TEXT,
            **times,
        )
        session.add_all([decision, receipt, agent])
        session.flush()
        tool = ToolCall(
            agent_run_id=agent.id, record_id=record.id, run_id="r", step=1, position=0, call_id="toolu_1", tool="send",
            impact="high", input={"text": TEXT}, output=TEXT, is_error=False, action_id=action.id, started_at=then,
            ended_at=then,
        )  # fmt: skip
        session.add(tool)
        session.flush()
        history.note(session, "action acting", f"actions/{action.id}", run="r", attempt=1)
        return Work(record.id, call.id, action.id, decision.id, receipt.id, tool.id)


def tamper(ledger: Ledger, statement: str, **values: Any) -> int:
    """Write into the database as somebody would who has its address and no scruples; returns how many rows it met."""
    if ledger.engine.dialect.name == "sqlite":
        with sqlite3.connect(str(ledger.engine.url.database)) as connection:
            met = connection.execute(statement, values).rowcount
        connection.close()
        return met
    with ledger.engine.connect() as session, session.begin():
        session.execute(sa.text("SET LOCAL session_replication_role = replica"))  # foreign keys are not looked at
        return session.execute(sa.text(statement), values).rowcount


def rows(ledger: Ledger, table: str) -> list[dict[str, Any]]:
    """Everything in a table, as the database holds it."""
    with ledger.read() as session:
        return [dict(row) for row in session.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1")).mappings()]

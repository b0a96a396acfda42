"""A ledger with work of many days in it: record by record, or a whole company's, without the runs that it takes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from blocks.ledger import Action, Decision, Ledger, Mirror, ModelCall, PromptVersion, Receipt, Record, Run
from tasks.actions import KINDS

TEXT = "Good morning, we run two sites and would like to see how the gates are booked. " * 25
"""As long as an ordinary e-mail."""

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass
class Wanted:
    """One action of a record, and what became of it."""

    kind: str = "gmail.send_reply"
    state: str = "done"
    by: str = "Mara"
    """Who decided; nobody when it is empty."""
    edited: bool = False
    after: timedelta = HOUR
    """How long after the record came in it was decided on, and done."""
    stage: str = "gated"
    attempts: int = 1
    proven: bool = True
    found: bool = False


@dataclass
class Books:
    """What is to be written into a ledger, with its numbers."""

    ledger: Ledger
    rows: dict[type, list[dict[str, Any]]] = field(default_factory=dict)
    explained: str = ""

    def record(
        self,
        at: datetime,
        *wanted: Wanted,
        workflow: str = "lead-triage",
        state: str = "done",
        version: str | None = "v1",
        usd: str = "0.002",
        asked: int = 1,
        **changes: Any,
    ) -> int:
        """A record that came in then, was asked about so often, and for which this was wanted; returns its number."""
        number = len(self.rows.get(Record, ())) + 1
        fields: dict[str, Any] = {
            "workflow": workflow, "source": "gmail:x", "external_id": f"m{number}", "title": "A demo", "sure": True,
            "payload": {"text": TEXT}, "answer": {"intent": "demo_request"}, "state": state, "prompt_version": version,
            "created_at": at, "updated_at": at,
        }  # fmt: skip
        self._add(Record, id=number, **fields | changes)
        for attempt in range(1, asked + 1):
            self._add(
                ModelCall, workflow=workflow, record_id=number, run_id=workflow, prompt=workflow.replace("-", "_"),
                prompt_version=version or "v1", model="m", attempt=attempt, reply="{}", stop_reason="end_turn",
                input_tokens=900, output_tokens=120, cost=Decimal(usd), seconds=1.0, created_at=at + MINUTE,
            )  # fmt: skip
        for nth, one in enumerate(wanted):
            self._want(one, at + MINUTE, workflow, number, f"{number}:{nth}")
        return number

    def _want(self, one: Wanted, at: datetime, workflow: str, record: int | None, key: str) -> None:
        number = len(self.rows.get(Action, ())) + 1
        done_at = at + one.after
        self._add(
            Action, id=number, key=key, workflow=workflow, record_id=record, kind=one.kind, title="Send",
            impact=KINDS[one.kind].impact, payload={"text": "Hello Ann."}, digest="d", credential="x/y",
            explanation=self.explained if one.by not in ("", "card") else "", stage=one.stage, state=one.state,
            attempts=one.attempts, created_at=at, updated_at=done_at,
        )  # fmt: skip
        decided = {"done": "approved", "failed": "approved", "unknown": "approved"}.get(one.state, one.state)
        if decided in ("approved", "rejected", "expired"):
            by = "" if decided == "expired" else one.by
            self._add(
                Decision, action_id=number, verdict=decided, approver=by, payload={}, digest="d", edited=one.edited,
                created_at=at if by == "card" else done_at,
            )  # fmt: skip
        if one.state == "done" and one.proven:
            self._add(
                Receipt, action_id=number, vendor="v", external_id="e", detail={}, found=one.found, created_at=done_at
            )

    def mirrored(self, record: int, minutes: float, at: datetime, workflow: str = "lead-triage") -> None:
        """Somebody did this record by hand, with a clock."""
        measured = {"person": "Mara", "seconds": minutes * 60, "answer": {}, "steps": [], "failed": False}
        self._add(Mirror, workflow=workflow, record_id=record, created_at=at, **measured)

    def version(self, name: str, at: datetime, prompt: str = "lead_triage", model: str = "claude-haiku-5-5") -> None:
        """The prompt, under a version."""
        self._add(PromptVersion, version=name, prompt=prompt, model=model, content={}, created_at=at)

    def write(self) -> None:
        """All of it, in one transaction."""
        workflows = {row["workflow"]: row["created_at"] for row in self.rows.get(Record, ())}
        with self.ledger.write() as session:
            known = set(session.scalars(sa.select(Run.id)))
            for name, at in workflows.items():
                if name not in known:
                    session.add(Run(id=name, workflow=name, stage="gated", started_at=at, heartbeat_at=at, ended_at=at))
            session.flush()
            for table in (PromptVersion, Record, Mirror, ModelCall, Action, Decision, Receipt):
                if rows := self.rows.get(table):
                    session.execute(sa.insert(table), rows)

    def _add(self, table: type, **fields: Any) -> None:
        self.rows.setdefault(table, []).append(fields)


SHARES = {"lead-triage": 0.62, "support-answer": 0.26, "billing-agent": 0.12}


def filled(ledger: Ledger, records: int, now: datetime, days: int, also: Books | None = None) -> None:
    """A company's work of so many days: weekends are quiet, the prompt is changed once, drafts get better by it.

    What stands in the books `also` is written with it.
    """
    chance = random.Random(7)
    books = also or Books(ledger)
    books.explained = TEXT
    for name in SHARES:
        for version in ("1", "2"):
            books.version(f"{name[:4]}{version}", now - timedelta(days=days), name.replace("-", "_"))
    for nth in range(records):
        at = _moment(chance, now, days, nth / records)
        workflow = chance.choices(list(SHARES), list(SHARES.values()))[0]
        changed = now - at < timedelta(days=days * 0.35)
        version = f"{workflow[:4]}{'2' if changed else '1'}"
        _one(books, chance, at, workflow, version, now, better=changed)
    books.write()


def _moment(chance: random.Random, now: datetime, days: int, share: float) -> datetime:
    while True:
        at = now - timedelta(days=days * (1 - share)) + timedelta(hours=chance.uniform(-6, 6))
        if at < now - timedelta(minutes=5) and (at.weekday() < 5 or chance.random() < 0.15):
            return at
        share = min(0.999, max(0.0, share + chance.uniform(-0.06, 0.06)))


def _one(
    books: Books, chance: random.Random, at: datetime, workflow: str, version: str, now: datetime, *, better: bool
) -> None:
    luck, price = chance.random(), f"{chance.uniform(0.001, 0.006):.6f}"
    common: dict[str, Any] = {"workflow": workflow, "version": version, "usd": price}
    if luck < 0.03:
        reason = chance.choice(["the model's answer was not usable: intent is missing", "the e-mail has no sender"])
        books.record(at, state="quarantined", reason=reason, asked=3, **common)
    elif luck < 0.12:
        books.record(at, state="skipped", reason="our own mail", asked=0, **common | {"version": None})
    elif luck < 0.2:
        books.record(at, Wanted("gmail.apply_label", by="card", after=MINUTE), sure=False, **common)
    else:
        after = timedelta(minutes=chance.lognormvariate(4.3, 1.1))
        fate = chance.random()
        state = "rejected" if fate < 0.05 else "expired" if fate < 0.07 else "failed" if fate < 0.075 else "done"
        if at + after > now - timedelta(minutes=1):
            state = "waiting"
        low = [Wanted(kind, by="card", after=MINUTE) for kind in ("hubspot.upsert_contact", "gmail.apply_label")]
        edited = state == "done" and chance.random() < (0.12 if better else 0.3)
        asked = 2 if chance.random() < 0.08 else 1
        reply = Wanted(state=state, edited=edited, after=after, attempts=2 if chance.random() < 0.03 else 1)
        books.record(at, *low, reply, asked=asked, **common)

"""What waits for a person, with all that it takes to decide: plain queries on the ledger. Nothing is changed here."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import defer

from blocks.ledger import Action, Assignment, Decision, Ledger, ModelCall, Record
from tasks import actions, assign, gate, visible
from tasks.actions import Blank, Impact
from tasks.actions.base import Action as Wanted
from tasks.approval_rules import Facts
from tasks.approvals import action_in, decision_in, unreadable, wanted
from tasks.card import Card, Stage, of_workflow
from tasks.plain import one_line, plain, quoted

URL = "SIGNOFF_INBOX_URL"
DEFAULT_URL = "http://127.0.0.1:4280"
ADDRESSES = ("to", "email", "customer_email")
"""The fields of an action that say to whom outside it goes."""

GIST = 160
"""Characters of a low-impact action that the list shows: many of them are decided on without being opened."""

QUOTED = 4000
"""Characters of what came in that the explanation shows, as `tasks.plain.quoted` cuts it."""

TEXT, WHOLE = "text", 200_000
"""Where a record has what somebody wrote, and how much of it is shown at most."""


def base_url() -> str:
    """Where people reach the receiver, without a slash at the end: `SIGNOFF_INBOX_URL`, or this machine."""
    return (os.environ.get(URL) or DEFAULT_URL).rstrip("/")


def link(action_id: int | None = None) -> str:
    """Where the inbox is, or one action in it. Whoever follows it has to be logged in, and has decided nothing."""
    return f"{base_url()}/inbox" + ("" if action_id is None else f"/{action_id}")


@dataclass(frozen=True)
class Filter:
    """Which of what waits is looked at. Empty: all."""

    workflow: str = ""
    kind: str = ""
    impact: str = ""
    person: str = ""
    words: str = ""
    """In the title, or in what the record is called."""


@dataclass(frozen=True)
class Waiting:
    """One action that waits, as a list shows it."""

    id: int
    workflow: str
    record_id: int | None
    record: str
    """What came in is called; cleaned of what cannot be seen."""
    kind: str
    noun: str
    impact: str
    title: str
    gist: str
    digest: str
    asked: str
    confidence: float | None
    created_at: datetime
    expires_at: datetime | None
    flow_run_id: str | None
    """The run that is its form in Prefect."""
    unreadable: str = ""
    """Why this version cannot read it; nobody can approve it then."""

    @property
    def has_form(self) -> bool:
        """Whether Prefect has its form, without which nobody can decide yet."""
        return self.flow_run_id is not None

    @property
    def is_high(self) -> bool:
        """Whether a person signs off each one by itself."""
        return self.impact == Impact.HIGH


@dataclass(frozen=True)
class Box:
    """Something that the approver may rewrite."""

    blank: Blank
    unseen: tuple[str, ...]
    """The names of characters in it that nobody can see."""

    @property
    def rows(self) -> int:
        """How high it is on a page; 1 for a value."""
        return min(24, max(len(self.blank.text) // 80 + self.blank.text.count("\n") + 2, 5)) if self.is_long else 1

    @property
    def is_long(self) -> bool:
        """Whether it is a text, not a value."""
        return self.blank.name in ("body", "lines") or "\n" in self.blank.text or len(self.blank.text) > 100


@dataclass(frozen=True)
class Sight:
    """One action with everything that an approver needs, whatever its state."""

    row: Waiting
    state: str
    reason: str
    decision: Decision | None
    facts: Sequence[tuple[str, str]]
    """What would be done exactly, by label."""
    boxes: Sequence[Box]
    why_asked: Sequence[str]
    evidence: str
    """Markdown: why, what it answers, what it rests on."""
    quote: str
    """What somebody wrote, as it came in; empty for what nobody wrote."""
    whole: str
    """The same, line by line without what cannot be seen, where the evidence shows only its beginning."""
    sure: bool | None
    cost: Decimal
    passed_on: Sequence[Assignment] = field(default_factory=tuple)

    @property
    def unreadable(self) -> str:
        """Why this version cannot read the action; nobody can approve it then."""
        return self.row.unreadable

    @property
    def waits(self) -> bool:
        """Whether somebody can still decide."""
        return self.state == "waiting"


def waiting(ledger: Ledger, cards: Sequence[Card], wanted: Filter | None = None) -> list[Waiting]:
    """What waits, oldest first: three queries, however many."""
    chosen = wanted or Filter()
    query = sa.select(Action, *_OF_RECORD).join(Record, Record.id == Action.record_id, isouter=True)
    query = query.options(defer(Action.explanation)).where(Action.state == "waiting").order_by(Action.id)
    for column, value in ((Action.workflow, chosen.workflow), (Action.kind, chosen.kind)):
        if value:
            query = query.where(column == value)
    if chosen.impact:
        query = query.where(Action.impact == chosen.impact)
    with ledger.read() as session:
        found = session.execute(query).all()
    asked = assign.asked(ledger, [action for action, *_ in found], cards)
    rows = [_row(action, title, _share(said), asked[action.id]) for action, title, said in found]
    return [row for row in rows if _is_meant(row, chosen)]


# As words: a builder's own prompt may call something else its confidence, and PostgreSQL would refuse to count it.
_OF_RECORD = (Record.title, Record.answer["confidence"].as_string())


def waiting_ids(ledger: Ledger) -> list[int]:
    """The numbers of all that waits: what a page that is open asks for every few seconds."""
    with ledger.read() as session:
        return list(session.scalars(sa.select(Action.id).where(Action.state == "waiting").order_by(Action.id)))


def _share(said: object) -> float | None:
    """A confidence, whatever the answer's type has made of it."""
    try:
        found = float(str(said))
    except ValueError:
        return None
    return found if 0 <= found <= 1 else None


def _is_meant(row: Waiting, chosen: Filter) -> bool:
    if chosen.person and row.asked.lower() != chosen.person.strip().lower():
        return False
    return all(word in f"{row.title} {row.record} {row.id}".lower() for word in chosen.words.lower().split())


def brief(action: Action, asked: str) -> Waiting:
    """An action as a list shows it, without what is known of its record."""
    return _row(action, None, None, asked)


def _row(action: Action, title: str | None, confidence: float | None, asked: str) -> Waiting:
    return _row_of(action, wanted(action), title, confidence, asked)


def _row_of(action: Action, read: Wanted | None, title: str | None, confidence: float | None, asked: str) -> Waiting:
    kind = actions.KINDS.get(action.kind)
    return Waiting(
        id=action.id,
        workflow=action.workflow,
        record_id=action.record_id,
        record=one_line(title or "") or "(without a subject)",
        kind=action.kind,
        noun=kind.noun if kind else action.kind,
        impact=action.impact,
        title=one_line(action.title),
        gist=_gist(action, read) if action.impact != Impact.HIGH else "",
        digest=action.digest,
        asked=asked,
        confidence=confidence,
        created_at=action.created_at,
        expires_at=action.expires_at,
        flow_run_id=action.flow_run_id,
        unreadable="" if read else unreadable(action),
    )


def _gist(action: Action, read: Wanted | None) -> str:
    """What a low-impact action holds, on a line, without what its title says already."""
    if read is None:
        return "this version cannot read it"
    shown = read.preview().items()
    said = one_line("; ".join(f"{label}: {value}" for label, value in shown if value not in action.title))
    return said if len(said) <= GIST else f"{said[: GIST - 1].rstrip()}…"


def sight(ledger: Ledger, cards: Sequence[Card], action_id: int) -> Sight:
    """One action with its evidence.

    Raises:
        ApprovalError: there is none.
    """
    with ledger.read() as session:
        action = action_in(session, action_id)
        record = session.get(Record, action.record_id) if action.record_id else None
        decision = decision_in(session, action_id)
        spent = sa.select(sa.func.sum(ModelCall.cost)).where(ModelCall.record_id == action.record_id)
        cost = session.scalar(spent) or Decimal(0)
        query = sa.select(Assignment).where(Assignment.action_id == action_id).order_by(Assignment.id)
        passed_on = session.scalars(query).all()
    confidence = _share(((record.answer if record else None) or {}).get("confidence"))
    asked = assign.asked(ledger, [action], cards)[action.id]
    card = of_workflow(action.workflow, cards)
    read = wanted(action)
    return Sight(
        row=_row_of(action, read, record.title if record else None, confidence, asked),
        state=action.state,
        reason=action.reason or "",
        decision=decision,
        facts=[(label, one_line(text)) for label, text in read.preview().items()] if read else [],
        boxes=[Box(blank, unseen(blank.text)) for blank in read.blanks()] if read else [],
        why_asked=list(why_asked(action, read, card)),
        evidence=_evidence(action.explanation, read),
        quote=_quote(record),
        whole=_whole(_quote(record)),
        sure=record.sure if record else None,
        cost=cost,
        passed_on=passed_on,
    )


def why_asked(action: Action, wanted: Wanted | None, card: Card | None) -> Iterator[str]:
    """Why a person decides on this one."""
    if action.impact == Impact.HIGH:
        yield (
            "It moves money: a person signs off each one."
            if wanted is not None and wanted.money
            else "It leaves the company: a person signs off each one."
        )
    if wanted is not None:
        yield from (f"{doubt}." for doubt in wanted.doubts)
    if action.stage == Stage.GATED:
        yield f"{action.workflow} runs gated: a person decides everything."
    line = card.writes_of(action.kind) if card else None
    if line is not None and line.approval and action.impact != Impact.HIGH:
        yield f"The card of {action.workflow} wants a person to see each {action.kind}."


def _evidence(explanation: str, wanted: Wanted | None) -> str:
    """The explanation without what a page shows in places of its own: the title, the facts, the draft and the cost."""
    if wanted is None:
        return explanation
    facts = "\n".join(f"- **{label}:** {plain(value)}" for label, value in wanted.preview().items())
    rest = explanation.removeprefix(f"**{plain(wanted.title)}**\n\n{facts}\n\n")
    rest = re.sub(r"\n\n\*\*Cost so far:\*\* \$\d+\.\d{4}\Z", "", rest)
    if wanted.editable:
        draft = quoted(str(getattr(wanted, wanted.editable)))
        rest = rest.removesuffix("\n\n".join(["", "**The text:**", draft, gate.EDITED]))
    return rest


def _quote(record: Record | None) -> str:
    text = (record.payload or {}).get(TEXT) if record else None
    return text if isinstance(text, str) else ""


def _whole(text: str) -> str:
    if len(text) <= QUOTED:
        return ""
    shown = "\n".join(one_line(line) for line in text[:WHOLE].splitlines())
    return shown if len(text) <= WHOLE else f"{shown}\n[... {len(text) - WHOLE:,} more characters]"


def unseen(text: str) -> tuple[str, ...]:
    """The characters of a text that nobody sees, by name: they can turn its direction round, or hide in a word."""
    odd = visible.unseen(text)
    return tuple(f"U+{ord(c):04X} {unicodedata.name(c, 'without a name').lower()}" for c in odd)


def facts(row: Waiting, action: Action, now: datetime) -> Facts:
    """What a rule is told of a waiting action."""
    try:
        wanted = actions.load(action.kind, action.payload)
        money = wanted.money
    except (KeyError, ValidationError):
        money = None
    given: dict[str, Any] = action.payload
    found = (str(given.get(name) or "").lower().rpartition("@")[2] for name in ADDRESSES if name in given)
    return Facts(
        workflow=row.workflow,
        kind=row.kind,
        impact=row.impact,
        confidence=row.confidence,
        age=now - row.created_at,
        amount=money,
        domains=frozenset(filter(None, found)),
        person=row.asked.lower(),
    )

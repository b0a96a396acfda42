"""Shadow mode's other half: what people really did where the workflow only recorded what it would have done.

What the observers (`tasks/observers.py`) have found for good, agreed or not, is kept and not looked for again; while
nobody has done anything, the next comparison looks anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from blocks import connections
from blocks.guard import guarded_by
from blocks.ledger import Action, Ledger, Observation, Record, insert, utcnow
from blocks.vendor import VendorError
from tasks import actions
from tasks.actions import SendReply
from tasks.card import Card
from tasks.discipline import discipline
from tasks.observers import OBSERVERS, SYSTEMS, UNKNOWABLE, Seen
from tasks.verb import concurrently

ONE_OBJECTS = frozenset({400, 404, 422})
"""The refusals that are about one thread or contact. Any other would meet the vendor's other ones too."""


@dataclass(frozen=True)
class Counts:
    """One kind of action."""

    kind: str
    actions: int
    agreed: int
    differed: int
    unknown: int
    """Nobody has done anything yet, or nobody could look."""
    similarity: float | None
    """The mean over the texts that could be compared, 0 to 1."""
    unknowable: str | None = None
    """Why nobody can tell, for the kinds that have no observer."""

    @property
    def agreement(self) -> float | None:
        """The share, 0 to 1, of what is known."""
        known = self.agreed + self.differed
        return self.agreed / known if known else None


@dataclass(frozen=True)
class Difference:
    """An action that people did not do."""

    record_id: int
    title: str
    sender: str
    action_id: int
    kind: str
    wanted: str
    found: str


@dataclass(frozen=True)
class Missed:
    """A record that somebody replied to, and the workflow would not have."""

    record_id: int
    title: str
    sender: str


@dataclass(frozen=True)
class Comparison:
    """A workflow's shadow actions beside what people did."""

    workflow: str
    records: int
    """How many records these are of, the newest."""
    counts: tuple[Counts, ...]
    differences: tuple[Difference, ...]
    missed: tuple[Missed, ...] | None
    """None when nobody looked."""
    unreachable: dict[str, str]
    """By vendor, why it could not be asked; what it knows stays unknown."""


@dataclass
class Pair:
    """An action that was only recorded, and what is known about it."""

    action: Action
    seen: Observation | None

    @property
    def open(self) -> bool:
        """Whether it is worth looking: nothing final is known, and what was wanted is still on record."""
        final = self.seen is not None and self.seen.agreed is not None
        return self.action.kind in OBSERVERS and not final and self.action.redacted_at is None


@dataclass
class Case:
    """One record, with its shadow actions."""

    record: Record
    pairs: list[Pair]
    wants_reply: bool
    """Whether the workflow wanted to reply, even if that was refused."""


@dataclass
class Look:
    """What is to be looked at in one vendor's system for one record, with one credential."""

    vendor: str
    credential: str
    record: Record
    actions: list[Action] = field(default_factory=list)
    for_reply: bool = False
    """Whether to look for a reply too that nobody wanted."""


@dataclass
class Findings:
    """What all the looks have brought."""

    seen: dict[int, Seen] = field(default_factory=dict)
    """By action."""
    replied: set[int] = field(default_factory=set)
    """The records that somebody replied to, of those where that was looked for."""
    unreachable: dict[str, str] = field(default_factory=dict)


def compare(ledger: Ledger, card: Card, limit: int = 50, *, offline: bool = False) -> Comparison:
    """What the workflow would have done with its newest records in shadow, beside what people did.

    A vendor that cannot be asked is left out: what it would know stays unknown, and the comparison says so.

    Args:
        ledger: where the actions are, and what was found about them.
        card: the workflow's.
        limit: at most so many records.
        offline: ask no vendor, show what earlier comparisons found.
    """
    cases = _cases(ledger, card.workflow, limit)
    findings = Findings()
    if not offline:
        with guarded_by(discipline(ledger)):
            findings = _look_at_all(list(_looks(cases, card)))
        _store(ledger, findings.seen)
        cases = _cases(ledger, card.workflow, limit)
    missed = [Missed(*_named(case.record)) for case in cases if case.record.id in findings.replied]
    return Comparison(
        workflow=card.workflow,
        records=len(cases),
        counts=tuple(_counts([pair for case in cases for pair in case.pairs])),
        differences=tuple(difference for case in cases for difference in _differences(case)),
        missed=None if offline else tuple(missed),
        unreachable=findings.unreachable,
    )


def _cases(ledger: Ledger, workflow: str, limit: int) -> list[Case]:
    """The newest records that something is in shadow for, newest first, with what is known about them."""
    shadow = sa.and_(Action.workflow == workflow, Action.state == "shadow", Action.record_id.is_not(None))
    newest = sa.select(Action.record_id).where(shadow).distinct().order_by(Action.record_id.desc()).limit(limit)
    with ledger.read() as session:
        ids = session.scalars(newest).all()
        records = session.scalars(sa.select(Record).where(Record.id.in_(ids)).order_by(Record.id.desc())).all()
        observed = sa.select(Action, Observation).outerjoin(Observation, Observation.action_id == Action.id)
        rows = session.execute(observed.where(shadow, Action.record_id.in_(ids)).order_by(Action.id)).all()
        replies = sa.select(Action.record_id).where(Action.record_id.in_(ids), Action.kind == SendReply.kind)
        wanting = set(session.scalars(replies))
    pairs: dict[int | None, list[Pair]] = {}
    for action, seen in rows:
        pairs.setdefault(action.record_id, []).append(Pair(action, seen))
    return [Case(record, pairs[record.id], record.id in wanting) for record in records]


def _looks(cases: Sequence[Case], card: Card) -> Iterator[Look]:
    """What is worth looking at: one look for each record and credential."""
    inbox = card.credential_for("gmail")
    for case in cases:
        looks: dict[str, Look] = {}
        if inbox and not case.wants_reply and case.record.redacted_at is None and "thread_id" in case.record.payload:
            looks[f"gmail/{inbox}"] = Look("gmail", f"gmail/{inbox}", case.record, for_reply=True)
        for action in (pair.action for pair in case.pairs if pair.open):
            vendor, name = action.kind.split(".")[0], action.credential
            looks.setdefault(name, Look(vendor, name, case.record)).actions.append(action)
        yield from looks.values()


def _look_at_all(looks: Sequence[Look]) -> Findings:
    """Several looks at once. After the first that a vendor does not answer, it is not asked again."""
    findings = Findings()

    def look(one: Look) -> tuple[dict[int, Seen], bool] | None:
        if one.vendor in findings.unreachable:
            return None
        try:
            return _look(one)
        except connections.MissingCredential as error:  # keeps nobody from asking the other vendors
            raise VendorError(one.vendor, "look", str(error), permanent=True) from None

    for one, outcome in concurrently(look, looks):
        if isinstance(outcome, VendorError):
            if outcome.status not in ONE_OBJECTS:
                findings.unreachable.setdefault(one.vendor, str(outcome))
        elif outcome is not None:
            findings.seen |= outcome[0]
            findings.replied |= {one.record.id} if outcome[1] else set()
    return findings


def _look(look: Look) -> tuple[dict[int, Seen], bool]:
    """What was found for each action, and whether there is a reply that nobody wanted."""
    system = SYSTEMS[look.vendor](connections.load(look.credential), look.record)
    seen = {action.id: _observe(system, action) for action in look.actions}
    return seen, look.for_reply and system.reply is not None


def _observe(system: Any, action: Action) -> Seen:
    try:
        wanted = actions.load(action.kind, action.payload)
    except ValidationError:
        return Seen(None, "this version of Signoff cannot read what was wanted")
    return OBSERVERS[action.kind](system, wanted)


def _store(ledger: Ledger, seen: Mapping[int, Seen]) -> None:
    """Keep what was found. What is final stays as it is, and nothing is added to what was redacted meanwhile."""
    if not seen:
        return
    with ledger.write() as session:
        whole = sa.select(Action.id).where(Action.id.in_(seen), Action.redacted_at.is_(None))
        for number in session.scalars(whole).all():
            found = {"what": seen[number].what, "similar": seen[number].similar, "message_id": seen[number].message_id}
            values = {"agreed": seen[number].agreed, "found": {k: v for k, v in found.items() if v is not None}}
            row = insert(session, Observation).values(action_id=number, created_at=utcnow(), **values)
            session.execute(
                row.on_conflict_do_update(index_elements=["action_id"], set_=values, where=Observation.agreed.is_(None))
            )


def _counts(pairs: Sequence[Pair]) -> Iterator[Counts]:
    """One for each kind, in the order of `KINDS`."""
    for kind in actions.KINDS:
        mine = [pair for pair in pairs if pair.action.kind == kind]
        if not mine:
            continue
        known = [pair.seen for pair in mine if pair.seen is not None and pair.seen.agreed is not None]
        similar = [float(seen.found["similar"]) for seen in known if "similar" in seen.found]
        yield Counts(
            kind=kind,
            actions=len(mine),
            agreed=sum(seen.agreed is True for seen in known),
            differed=sum(seen.agreed is False for seen in known),
            unknown=len(mine) - len(known),
            similarity=sum(similar) / len(similar) if similar else None,
            unknowable=UNKNOWABLE.get(kind),
        )


def _differences(case: Case) -> Iterator[Difference]:
    for pair in case.pairs:
        if pair.seen is not None and pair.seen.agreed is False:
            found = str(pair.seen.found.get("what") or "its content was redacted")
            yield Difference(*_named(case.record), pair.action.id, pair.action.kind, pair.action.title, found)


def _named(record: Record) -> tuple[int, str, str]:
    return record.id, record.title, str(record.payload.get("sender") or "")

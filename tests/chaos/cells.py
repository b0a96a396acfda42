"""The cells of the matrix: which fault meets which crash, where, and on what."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle

from tests.chaos.destinations import DESTINATIONS
from tests.chaos.faults import NO_FAULT, Fault, every_fault
from tests.chaos.traps import At, Trap


class Crash(StrEnum):
    """When the process dies, seen from one call to the vendor, or from the ledger's row that says how it ended."""

    NONE = "none"
    UNSENT = "before the call"
    HELD = "during it, not done"
    HELD_DONE = "during it, done"
    UNREAD = "reply not read"
    UNWRITTEN = "before the receipt"
    WRITTEN = "after the receipt"

    @property
    def held(self) -> bool:
        """Whether the parent kills the child while the vendor has its request."""
        return self in (Crash.HELD, Crash.HELD_DONE)

    @property
    def about_a_call(self) -> bool:
        """Whether it happens at one of the calls."""
        return self in (Crash.UNSENT, Crash.HELD, Crash.HELD_DONE, Crash.UNREAD)


class Approval(StrEnum):
    """What the ledger says about a person's consent."""

    APPROVED = "approved"
    MISSING = "missing"
    OTHERS = "another action's"
    WAITING = "not decided"
    REJECTED = "rejected"
    EXPIRED = "expired"
    PAYLOAD_CHANGED = "payload changed"
    ACCOUNT_CHANGED = "account changed"
    CHANGED_LATER = "changed after a crash"


DECISION, INTAKE, MODEL = "decision", "intake", "model"
"""No actions, but they must survive too: an answer that is taken in, an e-mail that enters, a reply that is paid."""

ROW = {DECISION: "decisions", INTAKE: "records", MODEL: "model_calls"}
"""The table that gets the row which says how it ended; for actions that is `receipts`."""

INTAKE_VENDOR, MODEL_VENDOR = "google", "anthropic"


@dataclass(frozen=True)
class Cell:
    """One story: a fault and a crash, in either order, then fair weather until it is settled."""

    target: str
    """A kind of action, or `DECISION`, `INTAKE`, `MODEL`."""
    fault: Fault = NO_FAULT
    crash: Crash = Crash.NONE
    fault_call: int = 1
    crash_call: int = 1
    crash_first: bool = False
    approval: Approval = Approval.APPROVED
    deleted: bool = False
    """A person deletes, after the crash, what alone could tell whether it was done: nobody can know, so in doubt."""

    @property
    def vendor(self) -> str:
        """The sandbox's name of the vendor that is called."""
        if self.target in DESTINATIONS:
            return DESTINATIONS[self.target].vendor
        return MODEL_VENDOR if self.target == MODEL else INTAKE_VENDOR

    @property
    def trap(self) -> Trap | None:
        """How the child kills itself, when it is not the parent who does."""
        row = ROW.get(self.target, "receipts")
        match self.crash:
            case Crash.UNSENT:
                return Trap(At.REQUEST, self.crash_call)
            case Crash.UNREAD:
                return Trap(At.REPLY, self.crash_call)
            case Crash.UNWRITTEN:
                return Trap(At.COMMIT, table=row)
            case Crash.WRITTEN:
                return Trap(At.COMMITTED, table=row)
        return None

    def __str__(self) -> str:
        order = "crash first" if self.crash_first else "fault first"
        fault = self.fault.name if self.fault is NO_FAULT else f"{self.fault.name} at call {self.fault_call}"
        crash = f"{self.crash} {self.crash_call}" if self.crash.about_a_call else str(self.crash)
        extra = "" if self.approval is Approval.APPROVED else f", {self.approval}"
        return f"{self.target}: {fault}; crash: {crash}; {order}{extra}{', evidence deleted' if self.deleted else ''}"


def matrix(calls: Mapping[str, int], seed: int) -> list[Cell]:
    """All cells; `calls` says how many calls each target makes when nothing goes wrong."""
    cells: list[Cell] = []
    chance = random.Random(seed)
    for target in calls:
        cells += _with_faults(target, calls[target], chance)
    for kind in [target for target in calls if target in DESTINATIONS]:
        cells += _unapproved(kind, calls[kind])
    if "gmail.send_reply" in calls:
        cells += _deleted(calls["gmail.send_reply"])
    return cells


def sample(calls: Mapping[str, int], seed: int, extra: int = 0) -> list[Cell]:
    """The fewest cells in which every fault meets every target and every crash, and every crash every target.

    Beyond these pairs, every call of every target is died at, and every state of approval is there; `extra` cells more
    are drawn from the matrix.
    """
    cells = matrix(calls, seed)
    random.Random(seed).shuffle(cells)
    chosen = list(_pairwise(cells))
    rest = [cell for cell in cells if cell not in chosen]
    return chosen + rest[:extra]


def _with_faults(target: str, calls: int, chance: random.Random) -> Iterator[Cell]:
    for crash in Crash:
        for call in range(1, calls + 1) if crash.about_a_call else [1]:
            yield Cell(target, crash=crash, crash_call=call)
    if not calls:
        return
    calls_in_turn = cycle(chance.sample(range(1, calls + 1), calls))
    firsts = cycle([False, True])
    for fault in every_fault()[1:]:
        if not fault.strikes(Cell(target).vendor):
            continue
        for call in [1] if fault.at_home else range(1, calls + 1):
            yield Cell(target, fault, fault_call=call)
        if fault.final and calls > 1:  # refused for good, when it may have been done already
            for call in range(1, calls + 1):
                yield Cell(target, fault, Crash.UNREAD, call, calls, crash_first=True)
        for crash in list(Crash)[1:]:
            yield Cell(target, fault, crash, next(calls_in_turn), chance.randint(1, calls), next(firsts))


def _unapproved(kind: str, calls: int) -> Iterator[Cell]:
    for approval in list(Approval)[1:-1]:
        for crash in (Crash.NONE, Crash.UNSENT, Crash.UNWRITTEN, Crash.WRITTEN):
            yield Cell(kind, crash=crash, approval=approval)
    for crash in (Crash.UNSENT, Crash.HELD, Crash.HELD_DONE, Crash.UNREAD):
        yield Cell(kind, crash=crash, crash_call=calls, approval=Approval.CHANGED_LATER)


def _deleted(calls: int) -> Iterator[Cell]:
    for crash in (Crash.UNSENT, Crash.HELD, Crash.HELD_DONE, Crash.UNREAD, Crash.UNWRITTEN):
        yield Cell("gmail.send_reply", crash=crash, crash_call=calls, deleted=True)


def _pairwise(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Greedy: whoever brings the most pairs that are still missing comes next."""
    missing = set().union(*(_pairs(cell) for cell in cells))
    left = list(cells)
    while missing:
        best = max(left, key=lambda cell: len(_pairs(cell) & missing))
        missing -= _pairs(best)
        left.remove(best)
        yield best


def _pairs(cell: Cell) -> set[tuple[str, ...]]:
    if cell.approval is not Approval.APPROVED or cell.deleted:
        return {("consent", cell.approval, str(cell.deleted), cell.crash)}
    target, fault = cell.target, cell.fault.name
    pairs: set[tuple[str, ...]] = {
        ("target", target, fault),
        ("crash", target, cell.crash),
        ("both", fault, cell.crash),
    }
    if cell.crash.about_a_call and cell.fault is NO_FAULT:
        pairs.add(("call", target, str(cell.crash_call)))
    return pairs

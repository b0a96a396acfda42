"""Plays many cells on several lanes at once, and adds up what became of them."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.cells import DECISION, INTAKE, MODEL, Cell
from tests.chaos.destinations import kinds
from tests.chaos.lane import Lane, opened
from tests.chaos.verdict import Counts, Verdict
from tests.postgres import Postgres
from tests.postgres import running as running_postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"

Plan = Callable[[dict[str, int]], list[Cell]]
"""Chooses the cells, given how many calls each target makes."""


@dataclass
class Result:
    """What is known of the cells that were played."""

    planned: int = 0
    seconds: float = 0.0
    total: Counts = field(default_factory=Counts)
    by_database: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    by_fault: dict[tuple[str, str], Counts] = field(default_factory=lambda: defaultdict(Counts))
    by_crash: dict[tuple[str, str], Counts] = field(default_factory=lambda: defaultdict(Counts))
    complaints: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nothing twice, nothing lost, nothing without leave, nothing untrue, no exception that nobody expects."""
        return not self.total.broken and not self.total.errors

    def add_audit(self, database: str, complaints: list[str]) -> None:
        """Count what the ledger's own history shows at the end."""
        for counts in (self.total, self.by_database[database]):
            counts.untrue += len(complaints)
        self.complaints += [f"{database}: {complaint}" for complaint in complaints]

    def add(self, database: str, cell: Cell, verdict: Verdict) -> None:
        """Count one cell."""
        self.total += verdict
        self.by_database[database] += verdict
        self.by_fault[cell.fault.name, cell.target] += verdict
        self.by_crash[cell.crash, cell.target] += verdict
        self.complaints += [f"{database}: {complaint}" for complaint in verdict.complaints]
        self.tracebacks += [traceback for traceback in verdict.tracebacks if traceback not in self.tracebacks]


def targets(only: str | None = None) -> list[str]:
    """What the matrix is about: every kind of action, and intake, model and decisions; or those that begin so.

    Raises:
        LookupError: there is none.
    """
    found = [target for target in [*kinds(), INTAKE, MODEL, DECISION] if target.startswith(only or "")]
    if not found:
        raise LookupError(f"there is no kind {only}; there are {', '.join([*kinds(), INTAKE, MODEL, DECISION])}")
    return found


class Player:
    """Several lanes on one or both databases, side by side."""

    def __init__(self, databases: Sequence[str], lanes: int = 1) -> None:
        self.result = Result()
        self._databases = [database for database in databases for _ in range(lanes)]
        self._stop = threading.Event()
        self._counting = threading.Lock()

    def play(self, wanted: Sequence[str], plan: Plan, seconds: float = float("inf")) -> Result:
        """Play the plan's cells on each database, as far as the time goes."""
        began = time.monotonic()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="signoff-chaos-", dir=_memory())))
            postgres = stack.enter_context(running_postgres()) if POSTGRESQL in self._databases else None
            pool = stack.enter_context(ThreadPoolExecutor(len(self._databases)))
            playing: list[Future[None]] = []
            try:
                opening = [
                    pool.submit(
                        stack.enter_context, opened(_url(database, folder, number, postgres), _sub(folder, number))
                    )
                    for number, database in enumerate(self._databases)
                ]
                lanes = [opened.result() for opened in opening]
                cells = plan({target: lanes[0].calls(target) for target in wanted})
                shares = _shares(cells, self._databases)
                self.result.planned = sum(map(len, shares))
                until = began + seconds
                playing = [
                    pool.submit(self._play_all, lane, database, share, until)
                    for lane, database, share in zip(lanes, self._databases, shares, strict=True)
                ]
                for played in playing:
                    played.result()
            finally:
                self._stop.set()  # also on Ctrl-C: the lanes end with the cell that they are at,
                wait(playing)  # and only then what they stand on is taken away
        self.result.seconds = time.monotonic() - began
        return self.result

    def _play_all(self, lane: Lane, database: str, cells: Sequence[Cell], until: float) -> None:
        for cell in cells:
            if self._stop.is_set():
                return
            if time.monotonic() > until:
                break
            verdict = lane.play(cell)
            with self._counting:
                self.result.add(database, cell, verdict)
        told = lane.audit()
        with self._counting:
            self.result.add_audit(database, told)


def _shares(cells: Sequence[Cell], databases: Sequence[str]) -> list[list[Cell]]:
    """All cells for each database; lanes on the same one share them out."""
    shares = []
    for number, database in enumerate(databases):
        nth, of = databases[:number].count(database), databases.count(database)
        shares.append(list(cells[nth::of]))
    return shares


def _memory() -> str | None:
    """Where there is such a thing: what a kill -9 leaves behind is the same there, and a commit costs no disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _sub(folder: Path, number: int) -> Path:
    sub = folder / str(number)
    sub.mkdir()
    return sub


def _url(database: str, folder: Path, number: int, postgres: Postgres | None) -> str:
    if postgres and database == POSTGRESQL:
        return postgres.url(postgres.create())
    return f"sqlite:///{folder / f'ledger{number}.db'}"

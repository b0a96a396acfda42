"""Plays cells one after the other: a sandbox, a zygote and a ledger that nobody else uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from blocks.ledger import Ledger, Run, utcnow
from sandbox.client import Sandbox, running
from tasks import audit
from tests.chaos.cells import Cell
from tests.chaos.destinations import accounts
from tests.chaos.faults import FOR_EVER
from tests.chaos.stories import story_of
from tests.chaos.verdict import Verdict
from tests.chaos.zygote import ATTEMPT_SECONDS, Ended, Zygote, ZygoteError

LONG_AGO = timedelta(hours=1)


class Lane:
    """One after the other; several lanes go side by side."""

    def __init__(self, url: str, sandbox: Sandbox, zygote: Zygote) -> None:
        self.ledger = Ledger.open(url)
        self.sandbox = sandbox
        self.accounts = accounts(sandbox.url)
        self._url = url
        self._zygote = zygote
        self._number = 0
        self.tampered: set[str] = set()
        """What was changed past Signoff on purpose, as the history names it."""
        self.broken: str | None = None
        """One of `child.BREAKS`, to see whether it is seen."""

    def play(self, cell: Cell) -> Verdict:
        """Play one cell, and ask the pretend company what happened."""
        self._number += 1
        self.sandbox.reset(empty=True)
        story = story_of(self, cell)
        story.tell()
        story.judge()
        return story.verdict

    def calls(self, target: str) -> int:
        """How many calls the target makes when nothing goes wrong."""
        self.sandbox.reset(empty=True)
        self._number += 1
        story = story_of(self, Cell(target))
        vendor: Any = story.cell.vendor
        before = len(self.sandbox.requests(vendor))
        story.attempt()
        return len(self.sandbox.requests(vendor)) - before

    def audit(self) -> list[str]:
        """What the history shows: it must be whole, and tell of every row that was tampered with and of no other."""
        checked = audit.verify(self.ledger)
        found = {finding.subject: finding.means for finding in checked.findings}
        wrong = [f"{subject} {means}" for subject, means in found.items() if subject not in self.tampered]
        if len(found) + checked.more != len(self.tampered):
            wrong.append(
                f"{len(self.tampered)} rows were tampered with, and {len(found) + checked.more} were found out"
            )
        return [f"the history: {each}" for each in wrong]

    @property
    def key(self) -> str:
        """A name that no other cell has."""
        return f"cell:{self._number}"

    def bury(self) -> None:
        """The dead are known to be dead: their heartbeat is set back, rather than waited for."""
        with self.ledger.write() as session:
            gone = sa.update(Run).where(Run.ended_at.is_(None))
            session.execute(gone.values(heartbeat_at=utcnow() - LONG_AGO))

    def send(self, job: dict[str, Any], cell: Cell | None) -> Ended:
        """One attempt; with a cell, it dies as the cell says."""
        trap = cell.trap if cell else None
        self._zygote.begin({**job, "ledger": self._url, "break": self.broken, "trap": trap.as_json() if trap else None})
        if cell and cell.crash.held:
            self._kill_once_held()
        ended = self._zygote.ended()
        if ended is None:
            self._zygote.kill()
            self._zygote.ended()
            raise ZygoteError(f"an attempt at {cell} did not end within {ATTEMPT_SECONDS} s")
        return ended

    def _kill_once_held(self) -> None:
        while not any(fault["fired"] for fault in self.sandbox.faults() if fault["seconds"] == FOR_EVER):
            if self._zygote.poll():
                return  # it never made the call: there is nobody to kill
        self._zygote.kill()


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Lane]:
    """A lane on the ledger at `url`, with its sandbox and its zygote."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(running(empty=True))
        zygote = stack.enter_context(Zygote(url, sandbox.url, folder / "zygote.log"))
        lane = Lane(url, sandbox, zygote)
        stack.callback(lane.ledger.engine.dispose)
        yield lane

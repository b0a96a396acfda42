"""The circuit breaker: a vendor that has stopped answering is left alone for a while, by all workers together.

An outage costs each run its retries, and each retry keeps a worker busy and a struggling vendor down. So after a streak
of failures the vendor's circuit opens: calls fail at once, unsent, until one call may try again; when that is answered
the circuit closes. What waits keeps its place in the ledger.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

import sqlalchemy as sa

from blocks.ledger import Circuit, Ledger, utcnow
from blocks.vendor import VendorError
from tasks import alerts

OPEN_AFTER = 8
"""Failures in a row, in one process, with no answer in between ..."""

OPEN_AFTER_SECONDS = 20.0
"""... over at least this long: a blip is what retries are for."""

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=15)
"""How long an open circuit stays shut to calls: the first time, and at most. It doubles with each failed trial."""

LOOK_SECONDS = 5.0
"""How old the knowledge of what other workers have found may be."""


class CircuitOpen(VendorError):
    """The vendor is left alone for now; nothing was sent."""

    def __init__(self, vendor: str, retry_at: datetime, reason: str) -> None:
        super().__init__(
            vendor,
            "paused",
            f"it does not answer and is left alone until {retry_at:%H:%M:%S} UTC; last: {reason}",
            permanent=False,
        )


class Breaker:
    """One process's view of the circuits, which are in the ledger. Shared between threads."""

    def __init__(self, store: Ledger) -> None:
        self._store = store
        self._circuits: dict[str, _View] = {}
        self._lock = threading.Lock()

    def check(self, vendor: str) -> None:
        """Let a call pass, or wait for the one that is trying whether the vendor answers again.

        Raises:
            CircuitOpen: the vendor is left alone.
        """
        view = self._view(vendor)
        with view.turn:
            view.trial_ended.wait_for(lambda: not view.trying, timeout=FIRST_WAIT.total_seconds())
            circuit = self._look(vendor, view)
            if circuit is None or circuit.retry_at is None:
                return
            if utcnow() < circuit.retry_at or not self._take_trial(vendor):
                raise CircuitOpen(vendor, circuit.retry_at, circuit.reason or "no reason given")
            view.trying = True

    def gave_up(self, vendor: str) -> None:
        """The call that was let pass is not made after all."""
        view = self._view(vendor)
        with view.turn:
            view.trying, view.seen_at = False, None
            view.trial_ended.notify_all()

    def heard(self, vendor: str, error: VendorError | None) -> None:
        """Take in how a call went."""
        if isinstance(error, CircuitOpen):
            return
        failed = error is not None and is_outage(error)
        view = self._view(vendor)
        with view.turn:
            was_trial, view.trying = view.trying, False
            if not failed:
                view.streak = 0
            elif view.streak == 0:
                view.streak, view.since = 1, time.monotonic()
            else:
                view.streak += 1
            opens = failed and (was_trial or view.is_over())
            if opens:
                self._open(vendor, str(error), failed_trial=was_trial)
            elif was_trial:
                self._close(vendor)
            if opens or was_trial:
                view.seen_at, view.streak = None, 0
            view.trial_ended.notify_all()

    def _view(self, vendor: str) -> _View:
        with self._lock:
            return self._circuits.setdefault(vendor, _View())

    def _look(self, vendor: str, view: _View) -> Circuit | None:
        if view.seen_at is None or time.monotonic() - view.seen_at > LOOK_SECONDS:
            with self._store.read() as session:
                view.circuit = session.get(Circuit, vendor)
            view.seen_at = time.monotonic()
        return view.circuit

    def _take_trial(self, vendor: str) -> bool:
        """Only one of all workers may try; if it dies over it, another may after `FIRST_WAIT`."""
        due = sa.update(Circuit).where(Circuit.vendor == vendor, Circuit.retry_at <= utcnow())
        with self._store.write() as session:
            taken = due.values(retry_at=utcnow() + FIRST_WAIT).returning(Circuit.vendor)
            return session.scalar(taken) is not None

    def _open(self, vendor: str, reason: str, *, failed_trial: bool) -> None:
        with self._store.write() as session:
            circuit = session.get(Circuit, vendor) or Circuit(vendor=vendor, failures=0)
            circuit.failures = circuit.failures + 1 if failed_trial else 0
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(circuit.failures, 10))
            circuit.opened_at = circuit.opened_at or utcnow()
            circuit.retry_at, circuit.reason = utcnow() + wait, reason
            session.add(circuit)
        minutes = LONGEST_WAIT // timedelta(minutes=1)
        alerts.open_alert(
            self._store,
            f"circuit:{vendor}",
            f"{vendor} does not answer, so it is left alone for up to {minutes} minutes at a time, and what uses it "
            f"pauses; it goes on by itself when {vendor} answers again. It began with: {reason}",
        )

    def _close(self, vendor: str) -> None:
        with self._store.write() as session:
            session.execute(sa.delete(Circuit).where(Circuit.vendor == vendor))
        alerts.close_alert(self._store, f"circuit:{vendor}")


class _View:
    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.trial_ended = threading.Condition(self.turn)
        self.circuit: Circuit | None = None
        self.seen_at: float | None = None
        self.trying = False
        self.streak = 0
        self.since = 0.0

    def is_over(self) -> bool:
        return self.streak >= OPEN_AFTER and time.monotonic() - self.since >= OPEN_AFTER_SECONDS


def is_outage(error: VendorError) -> bool:
    """Whether the failure says that the vendor is down, rather than busy with us (429) or at odds with one request."""
    return not error.permanent and (error.status is None or error.status == 408 or error.status >= 500)

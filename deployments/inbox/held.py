"""Decisions that can still be taken back: each is a file until it is sent, some seconds after it was made.

So it is lost neither with the tab nor with the receiver: whichever receiver runs next sends what is there. Of those
that run at once only one sends, the one that holds the lock. To send, a file is renamed; to undo, it is taken away.
Whoever makes, renames or takes one away does so alone, of all receivers: nothing is decided twice, and what was taken
back is not sent.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import httpx

from blocks.ledger import LedgerUnavailable
from deployments.password import make_private

SECONDS = 6.0
"""How long a decision can be taken back."""

LOOK_SECONDS = 0.5
AGAIN_SECONDS = 5.0
"""When what could not be sent is tried again."""

MOST_TOLD = 500

WAITS, SENDING = ".json", ".sending"

AWAY = (httpx.TransportError, LedgerUnavailable)
"""What no decision could be sent with, so that the others are not tried one by one."""


class HeldAlready(Exception):
    """Somebody has decided on it, and that is about to be sent."""

    def __init__(self, action_id: int) -> None:
        super().__init__(f"action {action_id} is decided on already, and about to be sent")


@dataclass(frozen=True)
class Held:
    """One decision, on one action or on several."""

    id: str
    person: str
    actions: Mapping[str, str]
    """By action's number, the digest of what was shown."""
    approve: bool
    said: str
    """What it is about, for people."""
    due: float
    comment: str = ""
    edits: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""
    """Why it could not be sent yet."""

    @property
    def ids(self) -> list[int]:
        """The actions' numbers."""
        return [int(number) for number in self.actions]


@dataclass(frozen=True)
class Told:
    """What came of a decision that was sent."""

    number: int
    """Later ones have higher ones, in another process too."""
    person: str
    action_id: int
    approve: bool
    problem: str
    """Why it was not taken; empty when it was."""


Outcomes = Mapping[tuple[str, int], str]
"""By the decision's id and the action, why it was not taken, or an empty text."""

Send = Callable[[Sequence[Held]], Outcomes]
"""Sends decisions; what came of each.

It raises when nothing can be said yet (Prefect does not answer): they are then tried again.
"""


class Holding:
    """The decisions that wait to be sent."""

    def __init__(self, folder: Path, send: Send, seconds: float = SECONDS) -> None:
        self._folder, self._send, self.seconds = folder, send, seconds
        self._told: deque[Told] = deque(maxlen=MOST_TOLD)
        self._again: dict[str, tuple[float, str]] = {}  # not on the disk: it may be full
        self._lock = -1
        self._sending = threading.Lock()
        make_private(folder)

    def hold(
        self,
        person: str,
        actions: Mapping[int, str],
        *,
        approve: bool,
        said: str,
        comment: str = "",
        edits: Mapping[str, str] | None = None,
    ) -> Held:
        """Keep a decision until it is due; it is on the disk when this returns.

        Raises:
            HeldAlready: there is one on such an action, by whomever.
        """
        given = {str(number): digest for number, digest in actions.items()}
        held = Held(
            id=f"{time.time_ns():020d}-{secrets.token_hex(4)}",
            person=person,
            actions=given,
            approve=approve,
            said=said,
            due=time.time() + self.seconds,
            comment=comment,
            edits=dict(edits or {}),
        )
        with self._alone():
            taken = {number for suffix in (WAITS, SENDING) for one in self._read(suffix) for number in one.ids}
            for number in held.ids:
                if number in taken:
                    raise HeldAlready(number)
            self._write(held)
        return held

    def undo(self, held_id: str, person: str) -> Held | None:
        """Take one's own decision back, with whatever else one has decided on the same; None when it is too late."""
        with self._alone():
            waiting = [one for one in self._read(WAITS) if one.person == person]
            held = next((one for one in waiting if one.id == held_id), None)
            if held is None:
                return None
            if any(one.person == person and _share(one, held) for one in self._read(SENDING)):
                return None
            # One is all that `hold` lets be. An older version let be more: none of them may be sent after this.
            for one in waiting:
                if _share(one, held):
                    self._path(one, WAITS).unlink(missing_ok=True)
        return held

    def all(self) -> list[Held]:
        """What can still be taken back, oldest first."""
        found = []
        for held in self._read(WAITS):
            due, trouble = self._again.get(held.id, (held.due, held.trouble))
            found.append(replace(held, due=due, trouble=trouble))
        return found

    def told(self, after: int = 0) -> list[Told]:
        """What has come of decisions since then."""
        return [one for one in list(self._told) if one.number > after]

    def watch(self, ended: threading.Event) -> None:
        """Send what is due, until `ended` is set; then what is there, since nobody could take it back any more."""
        while not ended.wait(LOOK_SECONDS):
            self._try_to_send(time.time())
        self._try_to_send(float("inf"))
        self._let_go()

    def send_due(self, now: float) -> int:
        """Send what is due, if no other receiver does that; returns how many decisions."""
        with self._sending:
            if not self._is_mine():
                return 0
            taken = self._take_due(now)
            if taken:
                self._send_all(taken)
            return len(taken)

    def _take_due(self, now: float) -> list[Held]:
        """Mark what is due as being sent. What is marked so already is left over from a crash, or a full disk."""
        with self._alone():
            for path in self._folder.glob(f"*{SENDING}"):
                path.rename(path.with_suffix(WAITS))
            waiting = self.all()
            self._again = {held.id: self._again[held.id] for held in waiting if held.id in self._again}
            due = [held for held in waiting if held.due <= now]
            for held in due:
                self._path(held, WAITS).rename(self._path(held, SENDING))
        return due

    def _send_all(self, taken: Sequence[Held]) -> None:
        """Send them together; where that fails, each by itself, so that one keeps no other back.

        Raises:
            Exception: some could not be sent. They wait again.
        """
        try:
            outcomes = self._send(taken)
        except Exception as error:
            if len(taken) == 1 or isinstance(error, AWAY):
                self._wait_again(taken, error)
                raise
            with ExitStack() as each:  # which calls all, and raises what was raised only then
                for held in reversed(taken):
                    each.callback(self._send_all, [held])
            return
        for held in taken:
            for number in held.ids:
                problem = outcomes.get((held.id, number), "")
                self._told.append(Told(time.time_ns(), held.person, number, held.approve, problem))
            self._path(held, SENDING).unlink()

    def _wait_again(self, taken: Sequence[Held], error: Exception) -> None:
        why = " ".join(str(error).split()) or type(error).__name__
        with self._alone():
            for held in taken:
                self._again[held.id] = time.time() + AGAIN_SECONDS, why[:300]
                self._path(held, SENDING).rename(self._path(held, WAITS))

    def _try_to_send(self, now: float) -> None:
        try:
            self.send_due(now)
        except Exception:  # whatever it is, the decisions are on the disk, and tried again
            logging.getLogger(__name__).warning("decisions could not be sent, and are tried again", exc_info=True)

    def _is_mine(self) -> bool:
        """Whether this process sends."""
        if self._lock >= 0:
            return True
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _let_go(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes what is held meanwhile, another receiver neither."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read(self, suffix: str) -> list[Held]:
        found = []
        for path in sorted(self._folder.glob(f"*{suffix}")):
            try:
                found.append(Held(**json.loads(path.read_text())))
            except FileNotFoundError:  # sent or taken back in this moment
                continue
            except (ValueError, TypeError):
                logging.getLogger(__name__).warning("%s cannot be read, and is left alone", path)
        return found

    def _write(self, held: Held) -> None:
        beside = self._folder / f".{held.id}"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(asdict(held), out)
            out.flush()
            os.fsync(out.fileno())
        beside.rename(self._path(held, WAITS))

    def _path(self, held: Held, suffix: str) -> Path:
        return self._folder / f"{held.id}{suffix}"


def _share(one: Held, other: Held) -> bool:
    """Whether two decisions are on the same action."""
    return not one.actions.keys().isdisjoint(other.actions)

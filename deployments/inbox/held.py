"""Decisions that can still be taken back: each is a file until it is sent, some seconds after it was made.

So it is lost neither with the tab nor with the receiver: whichever receiver runs next sends what is there. Of those
that run at once only one sends, the one that holds the lock. To send, a file is renamed; to undo, it is taken away; of
two who try at once, one finds nothing.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from deployments.password import make_private

SECONDS = 6.0
"""How long a decision can be taken back."""

LOOK_SECONDS = 0.5
AGAIN_SECONDS = 5.0
"""When what could not be sent is tried again."""

MOST_TOLD = 500

WAITS, SENDING = ".json", ".sending"


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


Send = Callable[[Sequence[Held]], Mapping[int, str]]
"""Sends decisions; by action, why it could not be decided, or an empty text.

It raises when nothing can be said yet (Prefect does not answer): they are then tried again.
"""


class Holding:
    """The decisions that wait to be sent."""

    def __init__(self, folder: Path, send: Send, seconds: float = SECONDS) -> None:
        self._folder, self._send, self.seconds = folder, send, seconds
        self._told: deque[Told] = deque(maxlen=MOST_TOLD)
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
        """Keep a decision until it is due; it is on the disk when this returns."""
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
        self._write(held)
        return held

    def undo(self, held_id: str, person: str) -> Held | None:
        """Take one's own decision back; None when it is too late."""
        held = next((one for one in self.all() if one.id == held_id and one.person == person), None)
        if held is None:
            return None
        try:
            self._path(held, WAITS).unlink()
        except FileNotFoundError:
            return None
        return held

    def all(self) -> list[Held]:
        """What can still be taken back, oldest first."""
        found = []
        for path in sorted(self._folder.glob(f"*{WAITS}")):
            try:
                found.append(Held(**json.loads(path.read_text())))
            except FileNotFoundError:  # sent or taken back in this moment
                continue
            except (ValueError, TypeError):
                logging.getLogger(__name__).warning("%s cannot be read, and is left alone", path)
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
            due = [held for held in self.all() if held.due <= now]
            taken = [held for held in due if self._take(held)]
            if not taken:
                return 0
            try:
                outcomes = self._send(taken)
            except Exception as error:
                why = " ".join(str(error).split()) or type(error).__name__
                for held in taken:
                    self._write(replace(held, due=time.time() + AGAIN_SECONDS, trouble=why[:300]))
                    self._path(held, SENDING).unlink()
                raise
            for held in taken:
                for number in held.ids:
                    problem = outcomes.get(number, "")
                    self._told.append(Told(time.time_ns(), held.person, number, held.approve, problem))
                self._path(held, SENDING).unlink()
            return len(taken)

    def _try_to_send(self, now: float) -> None:
        try:
            self.send_due(now)
        except Exception:  # whatever it is, the decisions are on the disk, and tried again
            logging.getLogger(__name__).warning("decisions could not be sent, and are tried again", exc_info=True)

    def _is_mine(self) -> bool:
        """Whether this process sends; the first time, what one that was killed was sending waits again."""
        if self._lock >= 0:
            return True
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        for path in self._folder.glob(f"*{SENDING}"):
            path.rename(path.with_suffix(WAITS))
        return True

    def _let_go(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self, held: Held) -> bool:
        try:
            self._path(held, WAITS).rename(self._path(held, SENDING))
        except FileNotFoundError:  # taken back in this moment
            return False
        return True

    def _write(self, held: Held) -> None:
        beside = self._folder / f".{held.id}"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(asdict(held), out)
            out.flush()
            os.fsync(out.fileno())
        beside.rename(self._path(held, WAITS))

    def _path(self, held: Held, suffix: str) -> Path:
        return self._folder / f"{held.id}{suffix}"

"""Who is at the page: a signed cookie, got for the server's password or a one-time code of this machine's.

Nothing secret stands in an address: the code of a link is behind its #, which browsers send to nobody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from deployments.password import make_private
from deployments.receiver.limits import Clock, Failures

COOKIE = "signoff_inbox"
LIFE_SECONDS = 12 * 3600
"""A working day, and no longer: then the password is asked for again."""

STRANGER_SECONDS = 3600
"""How long the page that asks for it may stay open."""

CODE_SECONDS = 600
"""How long a one-time code counts."""

SLOW_SECONDS = 1.0
"""How long each try takes while many are wrong."""


@dataclass(frozen=True)
class Session:
    """What the cookie says."""

    person: str
    """Their e-mail address; empty for somebody who has yet to say who they are."""
    id: str
    until: int
    """Seconds since 1970."""


class Sessions:
    """Makes and reads cookies. Whoever changes the server's password ends them all.

    Those that people have ended are an empty file each, so that other receivers know of them, and later ones.
    """

    def __init__(self, key: bytes, password: str | None, ended: Path, clock: Clock = time.time) -> None:
        self._key = hmac.digest(key, (password or "").encode(), "sha256")
        self._ended = ended
        self._clock = clock

    @property
    def now(self) -> int:
        """Seconds since 1970, by the clock that sessions end by."""
        return int(self._clock())

    def begin(self, person: str = "") -> Session:
        """A session of somebody who was let in; or, without a person, of a stranger."""
        life = LIFE_SECONDS if person else STRANGER_SECONDS
        return Session(person, secrets.token_urlsafe(12), int(self._clock()) + life)

    def cookie(self, session: Session) -> str:
        """What the browser keeps."""
        said = base64.urlsafe_b64encode(json.dumps(asdict(session)).encode()).decode()
        return f"{said}.{self._sign('cookie', said)}"

    def read(self, cookie: str) -> Session | None:
        """The session that a cookie is of; None when it is forged, over, or was ended."""
        said, _, signature = cookie.partition(".")
        if not hmac.compare_digest(self._sign("cookie", said).encode(), signature.encode()):
            return None
        session = Session(**json.loads(base64.urlsafe_b64decode(said)))
        return session if session.until > self._clock() and not (self._ended / session.id).exists() else None

    def end(self, session: Session) -> None:
        """Let nobody in by it any more, a copy of the cookie neither."""
        make_private(self._ended)
        now, ended = self._clock(), self._ended / session.id
        ended.touch(0o600)
        os.utime(ended, (now, now))
        for old in self._ended.iterdir():
            with suppress(FileNotFoundError):  # another was faster
                if old.stat().st_mtime < now - LIFE_SECONDS:
                    old.unlink()

    def token(self, session: Session) -> str:
        """What every form of this session must hold: another site cannot know it."""
        return self._sign("form", session.id)

    def is_token(self, session: Session, given: str) -> bool:
        """Whether a form is this session's own."""
        return hmac.compare_digest(self.token(session).encode(), given.encode())

    def _sign(self, what: str, said: str) -> str:
        return hmac.digest(self._key, f"{what}:{said}".encode(), "sha256").hex()


class Doors:
    """One-time codes: a file each, which only this machine's user can make, and whoever takes it away has used it."""

    def __init__(self, folder: Path, clock: Clock = time.time) -> None:
        self._folder, self._clock = folder, clock

    def open(self, person: str) -> str:
        """A code that lets this person in, once, within ten minutes."""
        make_private(self._folder.parent)
        make_private(self._folder)
        for old in self._folder.iterdir():
            if old.stat().st_mtime < self._clock() - CODE_SECONDS:
                old.unlink(missing_ok=True)
        code = secrets.token_urlsafe(18)
        said = json.dumps({"person": person, "until": self._clock() + CODE_SECONDS})
        _write_new(self._path(code), said.encode())
        return code

    def enter(self, code: str) -> str | None:
        """Who a code lets in; None where there is no such code, or not any more. It is used by this."""
        path = self._path(code)
        try:
            said = json.loads(path.read_text())
            path.unlink()  # of two at once, one finds nothing to take away
        except (OSError, ValueError):
            return None
        person: str = said["person"]
        return person if said["until"] > self._clock() else None

    def _path(self, code: str) -> Path:
        return self._folder / hashlib.sha256(code.encode()).hexdigest()


class Attempts:
    """Wrong tries lately. Who has made many has to wait; when there are many of all together, all are slow.

    Not more than slow: else anybody who guesses would keep everybody out.
    """

    def __init__(self, each: int = 5, every: int = 50, seconds: float = 60.0, clock: Clock = time.monotonic) -> None:
        self._by_address = Failures(each, seconds, clock)
        self._all = Failures(every, seconds, clock)
        self._lock = threading.Lock()

    def judge(self, address: str, *, right: bool) -> float:
        """Seconds until that address may try again; 0 when this try counts. It is counted when it was wrong."""
        with self._lock:  # many at once are not told more than many in a row
            seconds = self._by_address.wait(address)
            if not seconds and not right:
                self._by_address.add(address)
                self._all.add("all")
        return seconds

    def delay(self, address: str) -> float:
        """Seconds for which a try of that address is held up first."""
        with self._lock:
            return SLOW_SECONDS if self._all.wait("all") and not self._by_address.wait(address) else 0.0


def is_password(given: str, kept: str | None) -> bool:
    """Whether it is the server's password: the whole line of the file, or what stands behind its colon."""
    if not kept:
        return False
    ways = (kept, kept.partition(":")[2])
    return any([bool(way) and hmac.compare_digest(given.encode(), way.encode()) for way in ways])


def key(folder: Path) -> bytes:
    """The key that cookies are signed with, made up once and kept in a file that only its owner can read."""
    make_private(folder)
    path = folder / "key"
    with suppress(FileExistsError):
        _write_new(path, secrets.token_bytes(32))
    found = path.read_bytes()
    if len(found) != 32:  # a full disk, or a crash in the middle
        path.unlink()
        return key(folder)
    return found


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    try:
        os.link(beside, path)
    finally:
        beside.unlink()

"""Where a process can be made to kill itself: at a request to a vendor, or at what it says to the ledger.

Set only in children that were forked for one attempt: what is patched here is patched for good.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from blocks.ledger import Ledger

VERBS = (b"GET ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ")
REPLY_SECONDS = 20


class At(StrEnum):
    """The moments at which a trap can spring."""

    REQUEST = "before a request is sent"
    REPLY = "when the vendor has answered and nobody has read it"
    COMMIT = "before a commit"
    COMMITTED = "after a commit"
    STATEMENT = "before a statement or a commit"


@dataclass(frozen=True)
class Trap:
    """Kill the process at the `number`-th request or statement, or at the commit that first wrote to `table`."""

    at: At
    number: int = 1
    table: str = ""

    def as_json(self) -> dict[str, Any]:
        """What crosses the pipe to the zygote."""
        return asdict(self)


def set_trap(trap: Trap, ledger: Ledger) -> None:
    """Arm it in this process."""
    if trap.at in (At.REQUEST, At.REPLY):
        _Wire(trap).tap()
    elif trap.at is At.STATEMENT:
        _count_statements(trap, ledger)
    else:
        _watch_commits(trap, ledger)


def die() -> None:
    """As a power cut or the OOM killer would have it: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Wire:
    """All of this process's plain HTTP, whichever client sends it: each of them ends up in a Python socket."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._lock = threading.Lock()
        self._begun = 0
        self._marked: set[int] = set()

    def tap(self) -> None:
        """Put ourselves between the sockets and their callers."""
        kinds: Any = socket.socket
        for name in ("send", "sendall"):
            setattr(kinds, name, self._sending(getattr(kinds, name)))
        for name in ("recv", "recv_into"):
            setattr(kinds, name, self._receiving(getattr(kinds, name)))

    def _sending(self, original: Any) -> Any:
        def send(sock: socket.socket, data: Any, *more: Any) -> Any:
            if bytes(data[:8]).startswith(VERBS):
                self._begin(sock)
            return original(sock, data, *more)

        return send

    def _receiving(self, original: Any) -> Any:
        def receive(sock: socket.socket, *arguments: Any) -> Any:
            if sock.fileno() in self._marked:
                select.select([sock], [], [], REPLY_SECONDS)
                die()
            return original(sock, *arguments)

        return receive

    def _begin(self, sock: socket.socket) -> None:
        with self._lock:
            self._begun += 1
            if self._begun != self._trap.number:
                return
        if self._trap.at is At.REQUEST:
            die()
        self._marked.add(sock.fileno())


def _count_statements(trap: Trap, ledger: Ledger) -> None:
    said = 0

    def count(*_: Any) -> None:
        nonlocal said
        said += 1
        if said == trap.number:
            die()

    event.listen(ledger.engine, "before_cursor_execute", count)
    event.listen(ledger.engine, "commit", count)


def _watch_commits(trap: Trap, ledger: Ledger) -> None:
    dialect: Any = ledger.engine.dialect
    commit = dialect.do_commit
    wrote = threading.local()

    @event.listens_for(ledger.engine, "before_cursor_execute")
    def look(_connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(f"INSERT INTO {trap.table.upper()} "):
            wrote.here = True

    def do_commit(connection: Any) -> None:
        here, wrote.here = getattr(wrote, "here", False), False
        if here and trap.at is At.COMMIT:
            die()
        commit(connection)
        if here and trap.at is At.COMMITTED:
            die()

    dialect.do_commit = do_commit

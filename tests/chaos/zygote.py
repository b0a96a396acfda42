"""A process that has imported everything and does nothing but fork: an attempt costs a fork, not an import."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
ATTEMPT_SECONDS = 60.0


class ZygoteError(Exception):
    """The zygote did not start, or an attempt neither ended nor died."""


@dataclass(frozen=True)
class Ended:
    """How an attempt ended."""

    code: int
    """Its exit code; negative for the signal that killed it."""
    error: str = ""
    """The traceback of an exception that no run expects."""

    @property
    def killed(self) -> bool:
        """Whether it died of a kill -9."""
        return self.code == -signal.SIGKILL


class Zygote:
    """The parent's side."""

    def __init__(self, ledger_url: str, sandbox_url: str, log: Path) -> None:
        """Start the process; its warnings go to `log`."""
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote", ledger_url, sandbox_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
            text=True,
            bufsize=1,
        )
        self._hear(START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()  # it takes its child along when nobody speaks to it any more
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def begin(self, job: dict[str, Any]) -> None:
        """Fork a child that does the job."""
        self._tell({"job": job})

    def kill(self) -> None:
        """End the child with a kill -9, unless it has ended by itself."""
        self._tell({"kill": True})

    def ended(self, within: float = ATTEMPT_SECONDS) -> Ended | None:
        """How the child ended; None if it has not after `within` seconds."""
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], within)[0]:
            return None
        told = self._hear(within)
        return Ended(told["code"], told["error"])

    def poll(self, within: float = 0.002) -> bool:
        """Whether the child has ended; `ended` says how."""
        assert self._process.stdout
        return bool(select.select([self._process.stdout], [], [], within)[0])

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _hear(self, within: float) -> dict[str, Any]:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], within)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise ZygoteError(f"the zygote said nothing within {within} s; see {self._log.name}")
        told: dict[str, Any] = json.loads(line)
        return told


def _environment() -> dict[str, str]:
    # Nowhere: whatever still wants to talk to Prefect's server fails at once, and starts none of its own.
    nowhere = {"PREFECT_API_URL": "http://127.0.0.1:1/api", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
    quiet = {"PREFECT_LOGGING_LEVEL": "CRITICAL", "DO_NOT_TRACK": "1"}
    return os.environ | nowhere | quiet | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def serve(ledger_url: str, sandbox_url: str) -> None:
    """The zygote: one child at a time, until nobody speaks to it any more."""
    from tests.chaos import child

    child.prepare(ledger_url, sandbox_url)
    if threading.active_count() > 1:
        raise ZygoteError(f"a process with threads cannot be forked safely: {threading.enumerate()}")
    gc.freeze()  # the children's collector would copy every page that it looks at
    _say({"ready": True})
    pid, died = 0, -1
    buffer = b""
    while True:
        watched = [sys.stdin.fileno(), *([died] if pid else [])]
        ready, _, _ = select.select(watched, [], [])
        if pid and died in ready:
            _say(_bury(pid, died))
            pid, died = 0, -1
        if sys.stdin.fileno() in ready:
            heard = os.read(sys.stdin.fileno(), 65536)
            if not heard:
                break
            *lines, buffer = (buffer + heard).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "job" in message:
                    pid, died = _fork(message["job"])
                elif pid:
                    os.kill(pid, signal.SIGKILL)  # not yet waited for, so the number is still its own
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fork(job: dict[str, Any]) -> tuple[int, int]:
    """The child's number, and a pipe that ends when it does; what it complains about comes through that."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    os.close(read)
    code = 1
    try:
        from tests.chaos import child

        code = child.attempt(job)
    except BaseException:  # noqa: BLE001 - told to the parent, which counts it
        os.write(write, traceback.format_exc().encode()[-8000:])
    finally:
        os._exit(code)


def _bury(pid: int, died: int) -> dict[str, Any]:
    said = b""
    while more := os.read(died, 65536):
        said += more
    os.close(died)
    _, status = os.waitpid(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status), "error": said.decode("utf-8", "replace")}


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def wait_until(true: Any, seconds: float, every: float = 0.003) -> bool:
    """Poll until `true()`, or give up after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


if __name__ == "__main__":
    serve(*sys.argv[1:])

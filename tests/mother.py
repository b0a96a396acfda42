"""A process that has imported what others' children need, and forks one for each: a fork costs no import."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[1]
START_SECONDS = 120


class MotherError(Exception):
    """It did not start, or a child did not end in time."""


class Mother:
    """The tests' side. What a child sees is what `python -c` would see: its code, arguments, folder and environment."""

    def __init__(self, *modules: str) -> None:
        """Start the process, which imports `modules`."""
        self._folder = tempfile.TemporaryDirectory(prefix="signoff-mother-")
        log = Path(self._folder.name, "log")
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mother", *modules],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        self._hear(START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()  # it ends when nobody speaks to it any more
        self._process.wait()
        self._process.stdout.close()
        self._log.close()
        self._folder.cleanup()

    def run(
        self,
        code: str,
        arguments: Sequence[str] = (),
        *,
        cwd: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        given: str = "",
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run the code in a child of its own until it ends; it reads `given`.

        Raises:
            MotherError: it has not ended after so many seconds.
        """
        folder = Path(self._folder.name)
        (folder / "in").write_text(given)
        job = {
            "code": code,
            "arguments": list(arguments),
            "cwd": str(cwd),
            "environment": dict(os.environ if environment is None else environment),
            "streams": [str(folder / name) for name in ("in", "out", "err")],
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        ended = self._hear(seconds)["code"]
        return subprocess.CompletedProcess(code, ended, (folder / "out").read_text(), (folder / "err").read_text())

    def _hear(self, within: float) -> dict[str, Any]:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], within)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self._process.kill()
            raise MotherError(f"nothing within {within} s: {Path(self._log.name).read_text()[-2000:]}")
        told: dict[str, Any] = json.loads(line)
        return told


def serve(modules: Sequence[str]) -> None:
    """The mother: one child at a time, until nobody speaks to her any more."""
    for module in modules:
        importlib.import_module(module)
    if threading.active_count() > 1:
        raise MotherError(f"a process with threads cannot be forked safely: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # the children's collector would copy every page that it looks at
    _say({"ready": True})
    for line in sys.stdin:
        job = json.loads(line)
        if (child := os.fork()) == 0:
            _be_born(job)
        _say({"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _be_born(job: dict[str, Any]) -> None:
    code = 1
    try:
        _take_over(job)
        exec(compile(job["code"], "<string>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as asked:
        code = _exit_code(asked.code)
    except BaseException:  # noqa: BLE001 - told on stderr, as Python does
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _take_over(job: dict[str, Any]) -> None:
    """Become what a new process would be: its streams, folder, arguments and environment, and Prefect's view of it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path in enumerate(job["streams"]):
        os.dup2(os.open(path, flags if number else os.O_RDONLY), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the old one has read ahead in what is said to the mother
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["-c", *job["arguments"]]
    sys.path[0] = ""
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if "prefect.context" in sys.modules:
        sys.modules["prefect.context"].refresh_global_settings_context()


def _exit_code(asked: object) -> int:
    if asked is None or isinstance(asked, int):
        return int(asked or 0)
    print(asked, file=sys.stderr)  # noqa: T201 - as Python does
    return 1


if __name__ == "__main__":
    serve(sys.argv[1:])

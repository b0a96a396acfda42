"""The peers: each in an environment of its own, which is made on request and is no part of the product.

Their versions are pinned whole in `adapters/NAME.txt`, beside the script that runs in there. PyTorch is among txtai's:
where it would come as a CUDA build of several GB, install `torch` for the CPU first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = Path(__file__).parent / "adapters"
PEERS = tuple(sorted(path.stem for path in ADAPTERS.glob("*.txt")))
OURS = "ours"
THREADS = 2  # as many as `blocks.minilm` takes
LAST_WORDS = 400  # characters of a dead process's standard error

# Nothing here has a network to use, and nobody is told what was run.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "OMP_NUM_THREADS": str(THREADS),
    "OPENBLAS_NUM_THREADS": str(THREADS),
    "TOKENIZERS_PARALLELISM": "true",
}


class SystemFailed(Exception):
    """A system's process ended before it answered."""


@dataclass(frozen=True)
class System:
    """Something that can index and search: a name, the interpreter that has what it needs, and its adapter."""

    name: str
    python: Path
    module: str


def ours() -> System:
    """The library, in the environment that this runs in."""
    return System(OURS, Path(sys.executable), "benchmarks.retrieval.ours")


def installed(folder: Path, names: Sequence[str] = PEERS) -> list[System]:
    """The peers that have an environment below the folder."""
    pythons = {name: folder / name / "bin" / "python" for name in names}
    return [
        System(name, python, f"benchmarks.retrieval.adapters.{name}")
        for name, python in pythons.items()
        if (folder / name / "installed").exists() and python.exists()
    ]


def install(folder: Path, names: Sequence[str] = PEERS) -> None:
    """Make each peer's environment, unless its pins are installed already."""
    for name in names:
        pins = (ADAPTERS / f"{name}.txt").read_text()
        done = folder / name / "installed"
        if done.exists() and done.read_text() == pins:
            continue
        venv.create(folder / name, with_pip=True)
        command = [folder / name / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "-r", ADAPTERS / f"{name}.txt"], check=True)
        done.write_text(pins)


class Running:
    """A system's process. Use as a context manager; it ends with it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - __exit__ does
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [system.python, "-m", system.module],
            cwd=ROOT,
            env={**os.environ, **QUIET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            encoding="utf-8",
        )
        self.ready = self._read()
        self.import_seconds = time.perf_counter() - began
        """Until it could take work: interpreter, imports, and the model loaded."""

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request, wait for the reply.

        Raises:
            SystemFailed: it ended without one.
        """
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it is dead: reading tells of what
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            words = self.errors.read().strip()[-LAST_WORDS:]
            raise SystemFailed(f"{self.system.name}: {words.splitlines()[-1] if words else 'ended without a word'}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()

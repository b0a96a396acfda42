"""Signoff past one process of each, for tests and benchmarks: `signoff up` with several servers and workers.

PostgreSQL and Redis are real processes of this machine; the accounts are the pretend company's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from blocks.ledger import Action, Ledger, ModelCall, Record
from deployments.machine import descendants
from deployments.running import ROOT
from sandbox import client as sandbox_client
from sandbox.client import Sandbox
from tests import postgres, redis_server
from tests.ports import unused_ports

PASSWORDLESS = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
START_SECONDS = 300
MAIN = "from deployments.cli import main; main()"
SPAM = {"intent": "spam", "urgency": "low", "summary": "They sell lists.", "reply": "", "confidence": 0.99}


class ClusterFailed(Exception):
    """It did not come up, or did not do what was asked of it in time; the message says what the logs say."""


@dataclass
class Cluster:
    """A running one, seen from outside."""

    process: subprocess.Popen[bytes]
    home: Path
    port: int
    sandbox: Sandbox
    ledger: Ledger
    environment: dict[str, str]

    @property
    def api(self) -> str:
        """The first server's address."""
        return f"http://127.0.0.1:{self.port}/api"

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """Ask Prefect's API, of whichever server answers: one of them may have been killed a moment ago."""
        for port in (self.port, self.port + 1):
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30, trust_env=False) as client:
                    token = client.get("/csrf-token", params={"client": "tests"}).raise_for_status().json()["token"]
                    headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"}
                    reply = client.request(method, path, json=body or None, headers=headers)
            except httpx.TransportError:
                continue
            reply.raise_for_status()
            return reply.json() if reply.content else None
        raise ClusterFailed("no server answers")

    def start(self, deployment: str = "lead-triage", **parameters: Any) -> str:
        """Start a run; returns its id."""
        found = self.ask("GET", f"/deployments/name/{deployment}/{deployment}")
        return str(self.ask("POST", f"/deployments/{found['id']}/create_flow_run", parameters=parameters)["id"])

    def runs(self) -> list[dict[str, Any]]:
        """The runs of lead-triage."""
        wanted = {"deployments": {"name": {"any_": ["lead-triage"]}}}
        found: list[dict[str, Any]] = self.ask("POST", "/flow_runs/filter", **wanted)
        return found

    def count(self, *states: str) -> int:
        """How many e-mails' records are in one of these states."""
        mine = sa.and_(Record.source.startswith("gmail:"), Record.state.in_(states))
        with self.ledger.read() as session:
            return session.scalar(sa.select(sa.func.count()).where(mine)) or 0

    def calls(self) -> int:
        """How many calls of the model are in the ledger."""
        with self.ledger.read() as session:
            mine = sa.select(ModelCall.id).join(Record).where(Record.source.startswith("gmail:")).subquery()
            return session.scalar(sa.select(sa.func.count()).select_from(mine)) or 0

    def actions(self) -> list[Action]:
        """What was wanted of the e-mails."""
        with self.ledger.read() as session:
            mine = sa.select(Action).join(Record).where(Record.source.startswith("gmail:"))
            return list(session.scalars(mine))

    def pid_of(self, *words: str) -> list[int]:
        """The processes below `signoff up` with all these words in their command lines."""
        found = []
        for pid in descendants(self.process.pid):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:  # it has ended since
                continue
            if all(word in line for word in words):
                found.append(pid)
        return found

    def wait(self, what: str, found: Callable[[], Any], seconds: float) -> Any:
        """Poll until `found()` is true.

        Raises:
            ClusterFailed: not within `seconds`, or `signoff up` has ended.
        """
        until = time.monotonic() + seconds
        while not (result := found()):
            if self.process.poll() is not None or time.monotonic() > until:
                raise ClusterFailed(f"{what}: not within {seconds:.0f} s; {self.logs()}")
            time.sleep(0.1)
        return result

    def logs(self) -> str:
        """The ends of all logs."""
        files = sorted([*self.home.glob("*.log"), self.home / "up.txt"])
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files)

    def deliver(self, count: int) -> None:
        """Put so many different e-mails into the inbox."""
        for number in range(count):
            mail = EmailMessage()
            mail["From"] = f"Person {number} <person{number}@customer{number}.example>"
            mail["To"] = "hello@dockwell.example"
            mail["Subject"] = f"Your product, question {number}"
            mail["Message-ID"] = f"<cluster-{number}-{time.time_ns()}@customer.example>"
            mail.set_content("Hello,\n\nwe run two sites and would like to see how this works. " * 5)
            self.sandbox.deliver(mail.as_bytes())


@contextmanager
def running(home: Path, *, servers: int = 2, workers: int = 4, runs: int = 1, parallel: int = 4) -> Iterator[Cluster]:
    """Start everything with an empty company and lead-triage in `selective`, and stop it at the end.

    Raises:
        NoPostgres, NoRedis: this machine lacks one of them.
        ClusterFailed: it does not come up.
    """
    with ExitStack() as stack:
        database = stack.enter_context(postgres.running(whole=True))  # Prefect needs pg_trgm
        cache = stack.enter_context(redis_server.running())
        sandbox = stack.enter_context(sandbox_client.running(empty=True))
        port = unused_ports(servers)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PREFECT_", "SIGNOFF_"))}
        ledger_url = database.url(database.create())
        environment = {
            **kept,
            **PASSWORDLESS,
            "SIGNOFF_HOME": str(home),
            "SIGNOFF_LEDGER_URL": ledger_url,
            "SIGNOFF_PARALLEL_RUNS": str(parallel),
        }
        options = ["--port", port, "--servers", servers, "--workers", workers, "--runs", runs]
        shared = ["--database", database.url(database.create()), "--redis", cache]
        with (home / "up.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", MAIN, "up", *map(str, [*options, *shared])],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_listen_to_ctrl_c,
            )
        stack.callback(_stop, process)
        cluster = Cluster(process, home, port, sandbox, Ledger.open(ledger_url), environment)
        cluster.wait("signoff up", lambda: "Ctrl-C stops everything" in (home / "up.txt").read_text(), START_SECONDS)
        _prepare(cluster)
        yield cluster


def _prepare(cluster: Cluster) -> None:
    """The pretend company's accounts, no schedules, and the evidence that lets lead-triage act by itself."""
    code = (
        "import sys, prompts\n"
        "from blocks import connections\n"
        "from blocks.ledger import Ledger\n"
        "from blocks.models import version_of\n"
        "from deployments.pretend import connect\n"
        "from benchmarks.ways import claude_at\n"
        "from prefect.variables import Variable\n"
        "from tests.earned import earn\n"
        "connect(sys.argv[1], 'hello@dockwell.example')\n"
        "connections.save('claude/triage', claude_at(sys.argv[1]))\n"
        "Variable.set('lead_triage_stage', 'selective', overwrite=True)\n"
        "earn(Ledger.open(), version_of(prompts.load('lead_triage'), claude_at(sys.argv[1])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, cluster.sandbox.url],
        cwd=ROOT,
        env=cluster.environment | {"PREFECT_API_URL": cluster.api, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ClusterFailed(f"the accounts could not be connected: {done.stderr[-2000:]}")
    for deployment in cluster.ask("POST", "/deployments/filter"):
        for schedule in deployment["schedules"]:
            cluster.ask("PATCH", f"/deployments/{deployment['id']}/schedules/{schedule['id']}", active=False)


def _listen_to_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = descendants(process.pid)
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue

"""The processes of one machine: Prefect's server, a worker, the deployments, and for the demo the pretend company."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from deployments import empty_database, running, telemetry
from deployments.errors import StackError
from deployments.machine import (
    HOST,
    answers,
    busy,
    command_of,
    descendants,
    kill_group,
    server_home,
    signal_group,
    undisturbed,
)
from deployments.password import make_private
from deployments.running import HOME, PORT, ROOT
from deployments.scale import PREPARED, Scale

RECEIVER_PORT = 4280
"""Where webhooks arrive."""

RECEIVER_URL = "SIGNOFF_RECEIVER_URL"
"""Where commands in other terminals find the receiver."""

PROCESSES = "processes.json"
POOL = "signoff"

COMMAND = "python -m prefect.engine"
"""How a worker starts a run. Left to itself (Prefect 3.8), it starts Python twice: once to look where the code is."""

START_SECONDS = 120
STOP_SECONDS = 10

PREFECT_SETTINGS = {
    **telemetry.OFF,
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The worker asks for work this often: an approved action waits for it.
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    # In memory, the default, a run's concurrency slot would stay taken for good when the server ends before the run.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # One row at a time costs the server 22-28 ms CPU per task run, batches 6-8 ms.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
}


NOTIFICATIONS = (
    *("SlackWebhook", "MicrosoftTeamsWebhook", "DiscordWebhook", "MattermostWebhook", "CustomWebhookNotificationBlock"),
    *("PagerDutyWebHook", "OpsgenieWebhook", "TwilioSMS", "SendgridEmail"),
)
"""Prefect's blocks by which an automation tells somebody: `automations/alerts.yaml` names one."""


class _Started(NamedTuple):
    """How a process was started, so that it can be started again."""

    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass
class Stack:
    """The processes that keep their state and logs in `home`. Use as a context manager: leaving stops them all."""

    home: Path
    port: int = PORT
    ledger_url: str | None = None
    library_url: str | None = None
    """Where the ledger is; by default a SQLite file in `home`."""
    host: str = HOST
    """The address that the server listens on."""
    password: str | None = None
    """What the server asks for (`user:password`); None where only this machine can reach it."""
    receiver_url: str | None = None
    """Where the receiver is, from this machine, once it was started."""
    ui_url: str | None = None
    """Where people find Prefect's pages, when a proxy stands before them (`https://signoff.example.com`)."""
    scale: Scale = field(default_factory=Scale)
    begins_empty: bool = False
    """Whether nothing of before is wanted: Prefect's database then begins as a copy of an empty one."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _started: dict[str, _Started] = field(default_factory=dict)

    def __enter__(self) -> Self:
        make_private(self.home)
        self.stop_leftovers()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        running.withdraw()

    @property
    def url(self) -> str:
        """Where the Prefect server is, from this machine."""
        return self._local(self.port)

    def _local(self, port: int) -> str:
        host = HOST if self.host in ("0.0.0.0", "::", "localhost") else self.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def public_url(self) -> str:
        """Where the Prefect UI is, from wherever the server can be reached."""
        if self.ui_url:
            return self.ui_url.rstrip("/")
        if self.host not in ("0.0.0.0", "::"):
            return self.url
        name = socket.getfqdn()
        return f"http://{socket.gethostname() if name.startswith('localhost') else name}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this stack, and a command that talks to it, must have in its environment."""
        auth = {"PREFECT_SERVER_API_AUTH_STRING": self.password, "PREFECT_API_AUTH_STRING": self.password}
        return {
            **PREFECT_SETTINGS,
            **({name: value for name, value in auth.items() if value}),
            **({RECEIVER_URL: self.receiver_url} if self.receiver_url else {}),
            **self.scale.environment,
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_UI_URL": self.public_url,
            "PREFECT_UI_API_URL": f"{self.public_url}/api",
            "SIGNOFF_ROOT": str(ROOT),
            "SIGNOFF_LEDGER_URL": self.ledger_url or f"sqlite:///{self.home / 'ledger.db'}",
            "SIGNOFF_LIBRARY_URL": self.library_url or f"sqlite:///{self.home / 'library.db'}",
            # Any web page that is open in a browser on this machine could otherwise approve, and read every secret.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.public_url,
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"])),
        }

    @property
    def ports(self) -> list[int]:
        """The port of each API server, the first of them the stack's own."""
        return [self.port + number for number in range(self.scale.servers)]

    def start_server(self) -> None:
        """Start Prefect's server, or several and their services, and wait until they answer.

        Raises:
            StackError: a port is taken, the database cannot be used, or a server did not come up.
        """
        self.launch_server()
        self.wait_for_server()

    def launch_server(self) -> None:
        """Start Prefect's server, or several and their services, and return at once.

        Raises:
            StackError: a port is taken, or the database cannot be used.
        """
        for port in self.ports:
            if busy(port):
                used = f"port {port} is in use{_by_prefect(self._local(port))}"
                raise StackError(f"{used}: stop that, or choose another --port")
        if self.begins_empty:
            empty_database.begin(self.home, HOME)
        if self.scale.apart:
            self._start("database", ["prefect", "server", "database", "upgrade", "--yes"])
            self._end("database")
            self._start("services", ["prefect", "server", "services", "start"])
        for number, port in enumerate(self.ports, 1):
            command = ["prefect", "server", "start", "--host", self.host, "--port", str(port)]
            if self.scale.apart:
                self._start(_nth("server", number), [*command, "--no-services"], PREPARED)
            else:
                self._start("server", command)

    def wait_for_server(self) -> None:
        """Wait until the servers answer.

        Raises:
            StackError: one did not come up.
        """
        for number, port in enumerate(self.ports, 1):
            url = self._local(port)
            self.wait_for(_nth("server", number), lambda url=url: answers(f"{url}/api/health"))  # type: ignore[misc]
            # Two that start at once both find the port free: the second one's answers come from the first one's server.
            if self._home_of(url, _nth("server", number)) != self.home / "prefect":
                raise StackError(f"port {port} was taken by another Prefect server meanwhile: choose another --port")
        if self.begins_empty:
            empty_database.keep(self.home, HOME)

    def _home_of(self, url: str, name: str) -> Path | None:
        """Where the server at `url` keeps its state, once it says so: on a busy machine its first answers are late."""
        found: list[Path | None] = []

        def says() -> bool:
            found.append(server_home(url, self.password))
            return found[-1] is not None

        self.wait_for(name, says)
        return found[-1]

    def announce(self) -> None:
        """Let commands in other terminals find this stack while it is up."""
        running.announce(self.environment)

    def start_worker(self) -> None:
        """Start the workers of the pool, which they make when it is not there. Each has one of the servers."""
        limit = ["--limit", str(self.scale.runs)] if self.scale.runs else []
        for number in range(1, self.scale.workers + 1):
            name = _nth("local", number)
            command = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name, *limit]
            server = self.ports[(number - 1) % len(self.ports)]
            self._start(_nth("worker", number), command, {"PREFECT_API_URL": f"{self._local(server)}/api"})

    def start_reaper(self) -> None:
        """Start a process that finds dead runs; `signoff up` does it in a thread of its own."""
        self._start("reaper", ["signoff", "reap", "--local"])

    def start_receiver(self, port: int = RECEIVER_PORT) -> str:
        """Start what webhooks arrive at, on the address that the server listens on; returns where that is.

        Raises:
            StackError: the port is taken, or it did not come up.
        """
        if busy(port):
            raise StackError(f"port {port} is in use: stop what is there")
        self._start("receiver", ["signoff", "receive", "--host", self.host, "--port", str(port)])
        url = self._local(port)
        self.wait_for("receiver", lambda: answers(f"{url}/health"))
        self.receiver_url = url
        return url

    def start_sandbox(self, port: int = 0) -> str:
        """Start the pretend company; returns its address.

        Raises:
            StackError: it did not come up.
        """
        self.launch_sandbox(port)
        return self.wait_for_sandbox()

    def launch_sandbox(self, port: int = 0) -> None:
        """Start the pretend company, and return at once."""
        self._sandbox_is_ready.unlink(missing_ok=True)
        ready = ["--ready-file", str(self._sandbox_is_ready)]
        self._start("sandbox", [sys.executable, "-m", "sandbox", "--port", str(port), *ready])

    def wait_for_sandbox(self) -> str:
        """Wait until the pretend company answers; returns its address.

        Raises:
            StackError: it did not come up.
        """
        ready = self._sandbox_is_ready
        self.wait_for("sandbox", lambda: ready.exists() and ready.read_text().endswith("}"))
        url: str = json.loads(ready.read_text())["url"]
        return url

    @property
    def _sandbox_is_ready(self) -> Path:
        return self.home / "sandbox.json"

    def deploy(self) -> None:
        """Put every deployment of `prefect.yaml` on the server.

        Raises:
            StackError: Prefect refused.
        """
        self.launch_deploy()
        self.wait_for_deploy()

    def launch_deploy(self) -> None:
        """Begin to put every deployment of `prefect.yaml` on the server; the block types are there on return."""
        create_pool()
        self._start("deploy", ["prefect", "--no-prompt", "deploy", "--all"])
        register_blocks()

    def wait_for_deploy(self) -> None:
        """Wait until every deployment is on the server.

        Raises:
            StackError: Prefect refused.
        """
        self._end("deploy")

    def ended(self) -> dict[str, int]:
        """The processes that have ended by themselves, with their exit codes; a signal's number is negative."""
        return {name: code for name, process in self.processes.items() if (code := process.poll()) is not None}

    def start_again(self, name: str) -> None:
        """Start a process that has ended as it was started before; what it leaves behind is killed first.

        Its log goes on where it was: it says why the process ended.
        """
        signal_group(self.processes[name].pid, signal.SIGKILL)
        started = self._started[name]
        self._start(name, started.command, started.environment, again=True)

    def restart_worker(self) -> None:
        """Kill the worker and what it runs, without ceremony, and start another."""
        self.kill("worker")
        self.start_worker()

    def kill(self, name: str) -> None:
        """Kill a process and all its children at once, as a power cut would."""
        process = self.processes.pop(name)
        for pid in [*descendants(process.pid), process.pid]:
            kill_group(pid)
        process.wait()

    def stop(self) -> None:
        """Stop everything, the worker first, the server last. Whoever does not listen is killed."""
        for name in reversed(list(self.processes)):
            process = self.processes.pop(name)
            family = descendants(process.pid)
            signal_group(process.pid, signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                signal_group(process.pid, signal.SIGKILL)
                process.wait()
            signal_group(process.pid, signal.SIGKILL)  # what the process left behind, in its group and out of it
            for pid in family:
                kill_group(pid)

    def log(self, name: str) -> Path:
        """Where a process's output goes."""
        return self.home / f"{name}.log"

    def wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until `ready()`, while the process `name` lives.

        Raises:
            StackError: it ended, or took longer than `START_SECONDS`.
        """
        process = self.processes[name]
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None:
                raise StackError(
                    f"the {name} ended at once: {_last_line(self.log(name))} (all of it: {self.log(name)})"
                )
            if time.monotonic() > deadline:
                raise StackError(f"the {name} did not answer within {START_SECONDS} s; see {self.log(name)}")
            time.sleep(0.1)

    def stop_leftovers(self) -> None:
        """Kill what an earlier stack in this home left behind when it was itself killed."""
        try:
            earlier: dict[str, int] = json.loads((self.home / PROCESSES).read_text())
        except (OSError, ValueError):
            return
        for pid in earlier.values():
            # The number may belong to somebody else by now.
            if any(word in command_of(pid) for word in ("prefect", "sandbox", "signoff receive")):
                signal_group(pid, signal.SIGKILL)

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None, *, again: bool = False
    ) -> None:
        more = environment or {}
        self._started[name] = _Started(command, more)
        with undisturbed(), self.log(name).open("ab" if again else "wb") as log:
            # A group of its own: Ctrl-C reaches only us, and we stop the processes in order.
            self.processes[name] = subprocess.Popen(
                in_venv(command),
                cwd=ROOT,
                env={**os.environ, "PATH": venv_path(), **self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.home / PROCESSES).write_text(json.dumps({n: p.pid for n, p in self.processes.items()}))

    def _end(self, name: str) -> None:
        """Wait for a process that ends by itself, and forget it."""
        code = self.processes[name].wait()
        del self.processes[name]
        if code:
            raise StackError(f"{name} failed: {_last_line(self.log(name))} (all of it: {self.log(name)})")


def _nth(name: str, number: int) -> str:
    """`worker`, `worker-2`, `worker-3`: with one of each, as it has always been called."""
    return name if number == 1 else f"{name}-{number}"


def register_blocks() -> None:
    """Put our block types, and Prefect's for notifications, on the server, so that the UI has forms for them."""
    from prefect.blocks import notifications

    from blocks.connections import BLOCKS, block_class

    theirs = [getattr(notifications, name) for name in NOTIFICATIONS]
    for block in [*map(block_class, BLOCKS), *theirs]:
        block.register_type_and_schema()


def create_pool() -> None:
    """Make the work pool. One that is there as Prefect makes it gets our command, any other stays as it is."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    theirs = ProcessWorker.get_default_base_job_template()
    ours = deepcopy(theirs)
    ours["variables"]["properties"]["command"]["default"] = COMMAND
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=ours))
        except ObjectAlreadyExists:
            if client.read_work_pool(POOL).base_job_template == theirs:
                client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=ours))


def create_limits() -> None:
    """Make the vendors' rate limits, those that are not there: what somebody has changed in the UI stays."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectNotFound

    from tasks.pace import QUOTAS, limit_name

    with get_client(sync_client=True) as client:
        for vendor, quota in QUOTAS.items():
            try:
                client.read_global_concurrency_limit_by_name(limit_name(vendor))
            except ObjectNotFound:
                limit = GlobalConcurrencyLimitCreate(
                    name=limit_name(vendor), limit=quota.burst, slot_decay_per_second=quota.per_second
                )
                client.create_global_concurrency_limit(limit)


def _by_prefect(url: str) -> str:
    return " by a Prefect server (perhaps an earlier `signoff up`)" if answers(f"{url}/api/health") else ""


def in_venv(command: Sequence[str]) -> list[str]:
    """The command, taken from the environment that runs us, whether or not that is on the PATH."""
    beside = Path(sys.executable).parent / command[0]
    return [str(beside) if beside.exists() else command[0], *command[1:]]


def venv_path() -> str:
    """The PATH on which a worker finds the `python` of the environment that runs us, whether or not it was there."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"

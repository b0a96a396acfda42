"""What the tests of the whole machine ask of it: commands, Prefect's API, the ledger, the processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

import prompts
from blocks.embedded import EmbeddedModel
from blocks.ledger import Action, Decision, Ledger, Record
from blocks.models import Model, version_of
from deployments.machine import HOST
from deployments.running import ROOT
from deployments.stack import Stack
from sandbox.client import MailSeen, Sandbox
from tests import earned
from tests.mother import Mother

BIN = Path(sys.executable).parent
TRIAGE_SECONDS = 300
ACTION_SECONDS = 240


def eventually(what: str, found: Callable[[], Any], seconds: float = ACTION_SECONDS, every: float = 0.1) -> Any:
    """Poll until `found()` is true, and return it; a failure that names `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
    return result


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**changes: str) -> dict[str, str]:
    """This process's environment without what other tests, or the person who runs them, have put there for us."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "SIGNOFF_"))}
    return kept | {"NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost", "COLUMNS": "80"} | changes


def run(
    command: Sequence[str], environment: dict[str, str], *, given: str = "", seconds: float = TRIAGE_SECONDS + 60
) -> Finished:
    """Run one of the environment's commands without a terminal."""
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def forked(mother: Mother, environment: dict[str, str], *arguments: str, cwd: Path = ROOT, given: str = "") -> Finished:
    """Run `signoff ...` without a terminal, in a process that the mother forks; with `cwd`, another checkout's."""
    code = "from deployments.cli import main; main()"
    limit = TRIAGE_SECONDS + 60
    done = mother.run(code, arguments, cwd=cwd, environment=environment, given=given, seconds=limit)
    return Finished(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, read."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self) -> str:
        """The one line on stderr with which a command says no."""
        assert self.code == 1, (self.code, self.out, self.err)
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("signoff: ")
        return lines[0]


class Machine:
    """The stack's processes, and what a test asks of them. Nothing here touches this process's own settings."""

    def __init__(self, stack: Stack, sandbox: Sandbox, mother: Mother) -> None:
        self.stack, self.sandbox, self._mother = stack, sandbox, mother
        self.environment = clean_environment(**stack.environment)
        self.ledger = Ledger.open(stack.environment["SIGNOFF_LEDGER_URL"])
        self.api = httpx.Client(base_url=f"{stack.url}/api", timeout=30, trust_env=False)
        token = self.api.get("/csrf-token", params={"client": "tests"}).raise_for_status().json()["token"]
        self.api.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"})

    def signoff(self, *arguments: str, given: str = "", cwd: Path = ROOT) -> Finished:
        """Run `signoff ...`; with `cwd`, another checkout's."""
        environment = self.environment if cwd == ROOT else self.environment | {"PYTHONPATH": str(cwd)}
        return forked(self._mother, environment, *arguments, cwd=cwd, given=given)

    def prefect(self, *arguments: str) -> Finished:
        """Run `prefect ...`."""
        return run(["prefect", *arguments], self.environment)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """Ask Prefect's API, again where it says that its database is busy, as Prefect's own client does."""
        until = time.monotonic() + 60
        while (reply := self.api.request(method, path, json=body or None)).status_code == 503:
            assert time.monotonic() < until, f"Prefect has been busy for a minute: {reply.text}"
            time.sleep(float(reply.headers.get("Retry-After", "1")))
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def start(self, deployment: str, **parameters: Any) -> str:
        """Start a run of a deployment; returns its id."""
        found = self.ask("GET", f"/deployments/name/{deployment}/{deployment}")
        created = self.ask("POST", f"/deployments/{found['id']}/create_flow_run", parameters=parameters)
        return str(created["id"])

    def state_of(self, flow_run_id: str) -> str:
        """The name of a run's state."""
        return str(self.ask("GET", f"/flow_runs/{flow_run_id}")["state"]["name"])

    def triage(self) -> None:
        """Run lead-triage to its end."""
        flow_run_id = self.start("lead-triage")
        ended = ("Completed", "Failed", "Crashed", "Cancelled")
        state = eventually(
            "lead-triage ends",
            lambda: state if (state := self.state_of(flow_run_id)) in ended else None,
            TRIAGE_SECONDS,
        )
        assert state == "Completed", self.stack.log("worker").read_text()[-3000:]

    def approve_low_impact(self) -> None:
        """Approve all that waits and is no message to anybody outside, as a person would: with one command."""
        numbers = [str(a.id) for a in self.actions() if a.state == "waiting" and a.impact == "low"]
        done = self.signoff("approvals", "approve", *numbers, "--yes", "--as", "Mara")
        assert done.code == 0, done.out + done.err
        for number in numbers:
            self.becomes(int(number), "done")

    def earn(self, model: Model | None = None) -> None:
        """From now on the evidence for the prompt with this model, or the built-in one, supports selective."""
        earned.earn(self.ledger, version_of(prompts.load("lead_triage"), model or EmbeddedModel()))

    def records(self, *, after: int = 0) -> list[Record]:
        """What came in, with a higher number than `after`, without the past that was made up."""
        mine = sa.and_(Record.id > after, Record.source != earned.SOURCE)
        with self.ledger.read() as session:
            return list(session.scalars(sa.select(Record).where(mine).order_by(Record.id)))

    def newest_record(self) -> int:
        """The highest record number."""
        with self.ledger.read() as session:
            return session.scalar(sa.select(sa.func.max(Record.id))) or 0

    def actions(self, *, after: int = 0) -> list[Action]:
        """The actions of the records with a higher number than `after`, without the past that was made up."""
        with self.ledger.read() as session:
            found = session.scalars(sa.select(Action).where(Action.record_id > after).order_by(Action.id))
            return [action for action in found if action.key.startswith("lead-triage:")]

    def action(self, number: int) -> Action:
        """One action."""
        with self.ledger.read() as session:
            return session.get_one(Action, number)

    def decision(self, number: int) -> Decision | None:
        """The decision on an action."""
        with self.ledger.read() as session:
            return session.scalar(sa.select(Decision).where(Decision.action_id == number))

    def becomes(self, number: int, *states: str) -> Action:
        """Wait until an action is in one of these states."""
        eventually(f"action {number} becomes {states}", lambda: self.action(number).state in states)
        return self.action(number)

    def waiting(self) -> Action:
        """The oldest reply that waits for a person and that no answer is on its way to."""
        replies = [a for a in self.actions() if a.state == "waiting" and a.kind == "gmail.send_reply"]
        found = next((a for a in replies if self.state_of(str(a.flow_run_id)) == "Suspended"), None)
        assert found is not None, "no reply waits any more: the tests before this one have used them up"
        return found

    def sent_in(self, action: Action) -> list[MailSeen]:
        """What the company has sent in an action's thread since the sandbox was started."""
        mails = [mail for mail in self.sandbox.sent() if mail.thread_id == action.payload["thread_id"]]
        return [mail for mail in mails if mail.header("X-Signoff-Action")]


def processes_naming(text: str) -> list[str]:
    """The living processes that have `text` in their command line or environment."""
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [" ".join(row)[:200] for row in rows if text in row[-1] and "Z" not in row[1] and int(row[0]) != os.getpid()]

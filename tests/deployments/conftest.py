"""A whole machine: the Prefect server, a worker, the deployments and the pretend company, each a process."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from deployments import their_errors, views
from deployments.cli import app
from deployments.known_errors import exit_code_of
from deployments.machine import HOST
from deployments.stack import Stack
from sandbox.client import Sandbox
from tests.deployments import machinery
from tests.deployments.browser import CHROMIUM, FLAGS
from tests.deployments.machinery import TRIAGE_SECONDS, Finished, Machine, unused_port
from tests.mother import Mother

HEAVY = (
    *("prefect.blocks.core", "prefect.client.orchestration", "prefect.flows", "alembic.command", "sqlalchemy.orm"),
    *("sqlalchemy.dialects.postgresql", "cyclopts", "holidays", "inscriptis", "jinja2", "rich.markdown", "rich.table"),
)
"""What a command imports that is not ours: two of its three seconds."""


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Runs `signoff ...` in this process, as in a terminal of 80 columns that nobody types into."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)  # whoever runs the tests may have set it: sentences come whole
    for console in (views.console, views.errors):
        monkeypatch.setattr(console, "_width", 80)

    def call(*arguments: str) -> Finished:
        capsys.readouterr()
        try:
            code = exit_code_of(lambda: app(arguments, result_action="return_value"))
        except SystemExit as ended:  # how cyclopts tells of Ctrl-C
            code = int(ended.code or 0)
        seen = capsys.readouterr()
        return Finished(code, seen.out, seen.err)

    return call


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flow file of a builder's, in a checkout that holds nothing else; the file is not there yet."""
    monkeypatch.setattr(their_errors, "ROOT", tmp_path)
    monkeypatch.setattr(their_errors, "THEIRS", (tmp_path / "flows", tmp_path / "prompts"))
    file = tmp_path / "flows" / "new_one.py"
    file.parent.mkdir()
    return file


@pytest.fixture(scope="session")
def mother() -> Iterator[Mother]:
    """A process that has imported what is heavy and nothing of ours, and forks one for each command."""
    with Mother(*HEAVY) as started:
        yield started


@pytest.fixture
def forked(mother: Mother) -> Callable[..., Finished]:
    """Runs `signoff ...` in a process of its own: given its environment, and its arguments."""
    return partial(machinery.forked, mother)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of Debian's Chromium, for one module: while it is open, nothing else here can run an event loop."""
    if not CHROMIUM.exists():
        pytest.skip(f"Chromium is not installed: there is no {CHROMIUM}")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=os.fspath(CHROMIUM), args=FLAGS)
        made = browser.new_page(viewport={"width": 1280, "height": 900})
        made.set_default_timeout(20_000)
        yield made
        browser.close()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, mother: Mother) -> Iterator[Machine]:
    """The whole stack in a folder of its own, on free ports, with schedules off: runs start when a test says so."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from deployments.pretend import connect
    from sandbox.company import load

    made_of = Stack(tmp_path_factory.mktemp("stack"), unused_port(), begins_empty=True)
    with pytest.MonkeyPatch.context() as patch, made_of as stack:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, f"{HOST},localhost")
        patch.setenv("PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS", "5")  # by default it looks once a minute
        url = stack.start_sandbox()
        stack.start_server()
        with temporary_settings({PREFECT_API_URL: f"{stack.url}/api"}):
            stack.deploy()
            connect(url, load().mailbox)
        with Sandbox(url) as sandbox:
            made = Machine(stack, sandbox, mother)
            for deployment in made.ask("POST", "/deployments/filter"):
                for schedule in deployment["schedules"]:
                    made.ask("PATCH", f"/deployments/{deployment['id']}/schedules/{schedule['id']}", active=False)
            for automation in made.ask("POST", "/automations/filter"):
                made.ask("PATCH", f"/automations/{automation['id']}", enabled=False)
            stack.start_worker()
            yield made
            made.api.close()


@pytest.fixture(scope="session")
def triaged(machine: Machine) -> Machine:
    """The stack after a first triage of the pretend company's inbox, started as a user would.

    It runs gated, for want of evidence. A person approves what is low-impact; after that the evidence is there.
    """
    done = machine.prefect(
        "deployment", "run", "lead-triage/lead-triage", "--watch", "--watch-timeout", str(TRIAGE_SECONDS)
    )
    assert done.code == 0, done.out + done.err
    assert {a.state for a in machine.actions()} <= {"waiting", "refused"}
    machine.approve_low_impact()
    machine.earn()
    return machine

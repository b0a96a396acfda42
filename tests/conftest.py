"""What every test may use: a sandbox process, a ledger of its own, a real Prefect server."""

import functools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from pydantic import SecretStr

from blocks import connections
from blocks.ledger import Ledger, Record
from blocks.library import Library, LibraryError
from blocks.mail import Email
from deployments.stack import PREFECT_SETTINGS
from sandbox import credentials
from sandbox.client import Sandbox, running
from tests.librarian import Lasting
from tests.postgres import NoPostgres, Postgres
from tests.postgres import running as running_postgres

MAILBOX = "hello@company.example"
SURE = 0.6
"""The lead triage's card: under this probability an answer is left to a person."""

# The same examples each time: a commit must not fail by chance. `HYPOTHESIS_PROFILE=explore` looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("explore", derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Read by Prefect when it is first imported, which the tests do inside themselves.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
for _name, _value in PREFECT_SETTINGS.items():
    if _name.startswith("PREFECT_SERVER_SERVICES_"):  # how the server writes down what it is told
        os.environ.setdefault(_name, _value)

# Everything here is on loopback, without TLS. But each HTTP client reads all the authorities that it might meet, which
# costs 25 ms CPU, most of what a Prefect task costs: so there is only one, for the processes that tests start, too.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("authority.pem"))


@pytest.fixture(autouse=True)
def _evidence_is_there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage has been earned, except where a test is about how it is earned: `pytest.mark.earns_its_stage`."""
    if "earns_its_stage" not in request.keywords:
        from tasks import run
        from tasks.card import Stage

        monkeypatch.setattr(run, "supported", lambda *_: (Stage.SELECTIVE, "the evidence supports it"))


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    """Start `python -m sandbox --empty` once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        with running(empty=True) as sandbox:
            yield sandbox


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    """The sandbox as it was on its first moment."""
    sandbox_process.reset()
    return sandbox_process


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Any test goes to whoever is free, but for those that share what is dear."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    # Not by `xdist_group`: xdist 3.8 renames the items for that, and pytest 9.2 no longer hears of it.
    class WhatIsShared(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return shared_by(nodeid.split("::")[0]) or nodeid

    return WhatIsShared(config, log)


@functools.cache
def shared_by(file: str) -> str | None:
    """What holds a file's tests together: the one stack of processes, or a fixture that is made once for the file."""
    text = (Path(__file__).parents[1] / file).read_text(encoding="utf-8")
    if "machinery import" in text and re.search(r"\b(machine|triaged): Machine\b", text):
        return "stack"
    return file if 'scope="module"' in text else None


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of the tests that run on both databases."""
    config.addinivalue_line("markers", "earns_its_stage: the evidence in the ledger decides what may pass")
    config.addinivalue_line(
        "markers", "slow: a whole stack, a browser, many kills, or PostgreSQL; for `make test-slow`"
    )
    config.addinivalue_line("markers", "workdays: the test is about weekends and holidays")
    config.addinivalue_line(
        "markers", "both_databases: the database matters here, so it runs on SQLite and again on PostgreSQL"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the marked tests that use a ledger or a library once on each database."""
    if "database" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_databases"):
        there = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
        metafunc.parametrize("database", there, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Which database the test's ledger or library is in.

    SQLite, and PostgreSQL too for the tests marked `both_databases`; `SIGNOFF_TEST_DATABASE=postgresql` puts all others
    there as well, which takes too long for every day.
    """
    chosen: str = getattr(request, "param", os.environ.get("SIGNOFF_TEST_DATABASE", "sqlite"))
    return chosen


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty ledger: to copy it is ten times as fast as to migrate a new one."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    Ledger.open(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for this process's tests, which are skipped where there is none."""
    try:
        with running_postgres() as server:
            yield server
    except NoPostgres as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """The database that each test's is a copy of: an empty ledger."""
    template = postgres.create()
    Ledger.open(postgres.url(template)).engine.dispose()
    return template


@pytest.fixture
def new_url(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database that does not hold a ledger yet."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'ledger.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def ledger_url(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty ledger that only this test has."""
    if database == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('empty_ledger'), tmp_path / 'ledger.db')}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create(request.getfixturevalue("postgres_template"))
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def ledger(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """An empty ledger, which is also the default one while the test runs."""
    monkeypatch.setenv("SIGNOFF_LEDGER_URL", ledger_url)
    opened = Ledger.open(ledger_url)
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="session")
def empty_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty library."""
    path = tmp_path_factory.mktemp("library") / "empty.db"
    Library.open(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture(scope="session")
def library_database(postgres: Postgres) -> str:
    """The database that all libraries of this process's tests are in, one after the other. Skips without pgvector."""
    database = postgres.create()
    try:
        Library.open(postgres.url(database)).engine.dispose()
    except LibraryError as error:
        if "install pgvector" not in str(error):
            raise
        pytest.skip(str(error))
    return database


@pytest.fixture
def library_url(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of an empty library that only this test has."""
    if database == "sqlite":
        return f"sqlite:///{shutil.copy(request.getfixturevalue('empty_library'), tmp_path / 'library.db')}"
    name: str = request.getfixturevalue("library_database")
    server: Postgres = request.getfixturevalue("postgres")
    server.cut_off(name)
    opened = Library.open(server.url(name))
    with opened.write() as connection:  # a tenth of the time that a copy takes
        opened._make_anew(connection)
    return server.url(name)


@pytest.fixture
def library(library_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """An empty library, which is also the default one while the test runs."""
    monkeypatch.setenv("SIGNOFF_LIBRARY_URL", library_url)
    opened = Library.open(library_url)
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="session")
def lasting_reader() -> Iterator[Lasting]:
    """A reader of documents, started when it is first needed."""
    reader = Lasting()
    yield reader
    reader.close()


@pytest.fixture
def reader(lasting_reader: Lasting, monkeypatch: pytest.MonkeyPatch) -> Lasting:
    """The reader of every `tasks.indexing.index`; it counts the files that it is given."""
    monkeypatch.setattr("tasks.indexing.Reader", lambda: lasting_reader)
    lasting_reader.files = 0
    return lasting_reader


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect server with an empty database, for all tests of this process."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    # A run ends up to a second late for its thread of heartbeats, and nothing of ours looks at those.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), prefect_test_harness(server_startup_timeout=60):
        yield


@pytest.fixture(scope="session")
def saved_accounts(prefect_server: None, sandbox_process: Sandbox) -> None:  # noqa: ARG001
    """The pretend company's Gmail, HubSpot and Slack, saved as blocks once: that takes a dozen requests."""
    from blocks.slack import Slack
    from deployments.pretend import connect

    connect(sandbox_process.url, MAILBOX)
    # The empty sandbox has one channel only.
    slack: Slack = connections.load("slack/team")
    connections.save("slack/team", slack.model_copy(update={"channel": "C0000000001"}))
    # From here on the blocks and their clients are shared, as in a real process.
    connections.load.cache_clear()


@pytest.fixture
def accounts(saved_accounts: None, sandbox: Sandbox) -> Iterator[Callable[[], None]]:  # noqa: ARG001
    """The pretend company's Gmail, HubSpot and Slack, saved as blocks. Call it to save its Claude as well."""
    from blocks.anthropic import Claude
    from blocks.gmail import Gmail

    inbox: Gmail = connections.load("gmail/inbox")
    inbox._labels.clear()  # the mailbox of this test is another one, though its block is shared
    key = SecretStr(credentials.ANTHROPIC_API_KEY)
    claude = Claude(api_key=key, address=f"{sandbox.url}/anthropic", timeout_seconds=10)
    saved = False

    def with_claude() -> None:
        nonlocal saved
        connections.save("claude/triage", claude)
        saved = True

    yield with_claude
    if saved:  # the server lives on: the next test must not find the key that this one saved
        with suppress(ValueError):
            Claude.delete("triage")


@pytest.fixture
def deployment(prefect_server: None) -> Iterator[UUID]:  # noqa: ARG001
    """The deployment that approved actions run in, on the server as `prefect deploy --all` would put it; no worker."""
    from prefect.client.orchestration import get_client

    from flows.perform_action import perform_action

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(perform_action)
        made = client.create_deployment(
            flow_id=flow_id, name="perform-action", entrypoint="flows/perform_action.py:perform_action"
        )
        yield made
        # With its runs: the next test may ask for the same action, and would be given this one's run.
        client.delete_flow(flow_id)


@pytest.fixture
def fast_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect retries as often as ever, and waits hardly at all."""
    from tasks import verb

    monkeypatch.setattr(verb, "BACKOFF_SECONDS", (0.01, 0.02, 0.03))


@pytest.fixture
def triaged() -> Callable[..., dict[str, Any]]:
    """Makes what a model answers to the triage prompt."""

    def make(intent: str = "demo_request", **changes: Any) -> dict[str, Any]:
        answer = {
            "intent": intent,
            "urgency": "normal",
            "summary": "Ann Berg of Northwind wants a demo.",
            "reply": "Hello Ann,\n\nthank you for asking.\n\nDockwell",
            "confidence": 0.95,
        }
        return answer | changes

    return make


@pytest.fixture
def email() -> Callable[..., Email]:
    """Makes e-mails as they come out of the parser."""

    def make(**changes: Any) -> Email:
        fields: dict[str, Any] = {
            "message_id": "m1",
            "thread_id": "t1",
            "rfc822_message_id": "<m1@northwind.example>",
            "references": (),
            "sender": "ann@northwind.example",
            "sender_name": "Ann Berg",
            "reply_to": "",
            "to": (MAILBOX,),
            "cc": (),
            "subject": "A demo",
            "sent_at": datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
            "text": "Could we see a demo?",
            "quoted": "",
            "signature": "",
            "attachments": (),
            "machine": "",
            "defects": (),
        }
        return Email(**fields | changes)

    return make


@pytest.fixture
def add_record(ledger: Ledger, email: Callable[..., Email]) -> Callable[..., int]:
    """Puts one e-mail of the lead triage into the ledger, in any state, and returns its number."""

    def add(state: str = "fetched", answer: dict[str, Any] | None = None, **changes: Any) -> int:
        mail = email(**changes)
        with ledger.write() as session:
            record = Record(
                workflow="lead-triage",
                source=f"gmail:{MAILBOX}",
                external_id=mail.message_id,
                title=mail.subject,
                payload=mail.model_dump(mode="json"),
                state=state,
                answer=answer,
                sure=answer and answer.get("confidence", 0) >= SURE,
            )
            session.add(record)
            session.flush()
            return record.id

    return add

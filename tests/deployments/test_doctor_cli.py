"""`signoff doctor`: what is well, what is not, what to do and whose it is; and that it changes nothing."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from blocks.ledger import Action, Ledger, Record, Run
from deployments import doctor, doctor_checks
from deployments.cards import cards
from deployments.doctor_checks import Level, Line
from deployments.machine import HOST
from sandbox import credentials as keys
from sandbox.client import Sandbox
from tasks import alerts
from tests.deployments.machinery import Finished, Machine, clean_environment, eventually, run, unused_port

Signoff = Callable[..., Finished]
Look = Callable[..., dict[str, list[Line]]]


def things(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    by_thing: dict[str, list[dict[str, Any]]] = {}
    for line in found:
        by_thing.setdefault(line["thing"], []).append(line)
    return by_thing


@pytest.fixture
def examine(accounts: None, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Look:  # noqa: ARG001
    """Looks at everything, with the pretend company's accounts, and tells what was found, by thing."""
    monkeypatch.setattr("prefect.events.emit_event", lambda **_: None)

    def look() -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for line in doctor.examine():
            found.setdefault(line.thing, []).append(line)
        return found

    return look


class TestAccounts:
    def test_each_is_there_as_whom_or_with_what_to_do_and_whose_it_is(self, examine: Look, sandbox: Sandbox) -> None:
        sandbox.fault("unauthorized", "stripe", times=None)
        sandbox.fault("overloaded", "hubspot", times=None)
        found = examine()
        gmail, stripe, hubspot = (found[name][0] for name in ("gmail/inbox", "stripe/billing", "hubspot/crm"))
        assert (gmail.level, gmail.said) == (Level.OK, "hello@company.example (0 messages)")
        assert stripe.level is Level.BROKEN
        assert stripe.said.endswith("signoff connect stripe/billing")
        assert stripe.owner == next(card.owner for card in cards() if card.workflow == "billing-agent")
        assert hubspot.level is Level.WARNING
        assert "look again later" in hubspot.said
        assert found["claude/triage"][0].said == "not connected, and optional: signoff connect claude/triage"

    def test_every_workflow_says_what_it_may_do_and_why_not_more(self, examine: Look) -> None:
        found = examine()
        for card in cards():
            assert any(line.said.startswith("runs ") and line.owner == card.owner for line in found[card.workflow])
        assert any("runs gated, the card asks for selective: " in line.said for line in found["lead-triage"]), found[
            "lead-triage"
        ]


class TestWork:
    def test_dead_runs_open_alerts_and_what_the_health_check_would_find_are_told(
        self, examine: Look, ledger: Ledger
    ) -> None:
        owner = next(card.owner for card in cards() if card.workflow == "lead-triage")
        begun = datetime.now(UTC) - timedelta(hours=2)
        alerts.open_alert(ledger, "drift:gmail:message.raw", "gmail: raw is gone: look at it", "lead-triage")
        with ledger.write() as session:
            session.add(
                Run(id="r", workflow="lead-triage", stage="gated", started_at=begun, heartbeat_at=begun, process=None)
            )
            record = Record(
                workflow="lead-triage", source="gmail:x", external_id="m", title="x", state="done", payload={}
            )
            session.add(record)
            session.flush()
            doubt = {"key": "k", "kind": "gmail.send_reply", "impact": "high", "title": "t", "digest": "d"}
            doubt |= {"credential": "gmail/inbox", "explanation": "", "stage": "gated", "state": "unknown"}
            session.add(Action(workflow="lead-triage", record_id=record.id, payload={}, updated_at=begun, **doubt))
        found = examine()
        (drift,) = found["drift gmail"]
        assert (drift.level, drift.owner) == (Level.WARNING, owner)
        assert "look at it (an alert since " in drift.said
        (dead,) = [line for line in found["lead-triage"] if line.level is Level.WARNING]
        assert "looks dead: signoff reap --once" in dead.said
        assert "signoff ledger doubts" in found["doubts lead-triage"][0].said

    def test_nothing_is_changed(self, examine: Look, ledger: Ledger) -> None:
        def content() -> list[str]:
            with ledger.engine.connect() as connection:
                raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
                return list(raw.iterdump())

        before = content()
        assert examine()
        assert content() == before


class TestServer:
    def test_what_prefect_yaml_has_and_the_server_has_not_is_broken(
        self,
        examine: Look,
        deployment: UUID,  # noqa: ARG002
    ) -> None:
        missing, other = sorted(examine()["deployments"], key=lambda line: line.level)
        assert missing.level is Level.BROKEN
        assert "not on the server, and so never run: start signoff up again (" in missing.said
        assert "lead-triage" in missing.said
        assert "perform-action" not in missing.said
        assert (other.level, other.said) == (
            Level.WARNING, "not as prefect.yaml says: start signoff up again (perform-action)",
        )  # fmt: skip

    def test_no_worker_is_broken(self, examine: Look) -> None:
        (worker,) = examine()["worker"]
        assert worker.level is Level.BROKEN
        assert "so nothing runs: start signoff up" in worker.said

    def test_another_version_is_a_warning(self, examine: Look, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("prefect.__version__", "9.9.9")
        (server,) = examine()["server"]
        assert server.level is Level.WARNING
        assert "and this checkout has 9.9.9" in server.said

    def test_a_clock_that_is_off_is_broken(self, examine: Look, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor_checks, "skew", lambda _: -400.0)
        (clock,) = examine()["clock"]
        assert clock.level is Level.BROKEN
        assert "400 s ahead of the server's" in clock.said

    @pytest.mark.usefixtures("examine")
    def test_a_look_that_hangs_or_fails_is_told_of_and_the_others_go_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        end = threading.Event()

        def fail() -> list[Line]:
            raise ValueError("it broke: Bearer abcdefghij")

        monkeypatch.setattr(doctor_checks, "worker", lambda: [Line(Level.OK, "x", str(end.wait(60)))])
        monkeypatch.setattr(doctor_checks, "deployments", fail)
        monkeypatch.setattr(doctor_checks, "accounts", lambda _: [Line(Level.OK, "gmail/inbox", "well")])
        found = {line.thing: line for line in doctor.examine(3)}
        end.set()
        assert "gave no answer within 3 s" in found["worker"].said
        assert found["deployments"].said == "could not be looked at (ValueError: it broke: Bearer ***)"
        assert found["gmail/inbox"].level is Level.OK

    def test_without_a_server_the_rest_is_looked_at(self, tmp_path: Path) -> None:
        environment = clean_environment(
            PREFECT_HOME=str(tmp_path / "prefect"),
            PREFECT_API_URL=f"http://{HOST}:{unused_port()}/api",
            SIGNOFF_LEDGER_URL=f"sqlite:///{tmp_path / 'ledger.db'}",
        )
        done = run(["signoff", "doctor", "--json"], environment)
        assert done.code == 1
        found = things(json.loads(done.out))
        assert "does not answer: start signoff up" in found["server"][0]["said"]
        assert "not there yet" in found["ledger"][0]["said"]
        assert "gmail/inbox" not in found
        assert not (tmp_path / "ledger.db").exists()


class TestLedger:
    @pytest.fixture
    def line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Line]:
        """Looks at a ledger that is like this."""

        def look(make: Callable[[Path], None] | str) -> Line:
            url = make if isinstance(make, str) else f"sqlite:///{tmp_path / 'ledger.db'}"
            if not isinstance(make, str):
                make(tmp_path / "ledger.db")
            monkeypatch.setenv("SIGNOFF_LEDGER_URL", url)
            (found,) = doctor_checks.ledger()
            return found

        return look

    @pytest.mark.parametrize(
        ("url", "level"),
        [
            ("mysql://a:hidden@h/x", Level.BROKEN),
            ("no url", Level.BROKEN),
            ("postgresql://u:hidden@127.0.0.1:1/x", Level.BROKEN),
        ],
    )
    def test_an_address_that_cannot_be_used(self, line: Callable[[Any], Line], url: str, level: Level) -> None:
        found = line(url)
        assert found.level is level
        assert "SIGNOFF_LEDGER_URL" in found.said
        assert "hidden" not in found.said

    def test_a_file_that_is_no_database(self, line: Callable[[Any], Line]) -> None:
        found = line(lambda path: path.write_text("shopping list\n" * 100))
        assert found.level is Level.BROKEN
        assert "not a database" in found.said

    @pytest.mark.parametrize(
        ("version", "level", "said"),
        [("0001", Level.WARNING, "make a backup first"), ("9999", Level.BROKEN, "newer than this Signoff's")],
    )
    def test_another_schema_is_told_and_left_as_it_is(
        self, line: Callable[[Any], Line], tmp_path: Path, version: str, level: Level, said: str
    ) -> None:
        def make(path: Path) -> None:
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE alembic_version (version_num TEXT)")
                database.execute("INSERT INTO alembic_version VALUES (?)", (version,))
            database.close()

        found = line(make)
        assert (found.level, said in found.said) == (level, True)
        database = sqlite3.connect(tmp_path / "ledger.db")
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == (version,)
        database.close()

    @pytest.mark.both_databases
    def test_one_that_is_well_says_how_large_it_is(self, ledger: Ledger) -> None:  # noqa: ARG002
        (found,) = doctor_checks.ledger()
        assert found.level is Level.OK
        assert " MB, can be written, at " in found.said

    def test_little_room_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor_checks, "LEAST_FREE", 10**18)
        (found,) = doctor_checks.disk()
        assert found.level is Level.WARNING
        assert "make room" in found.said


class TestWhatIsShown:
    @pytest.fixture
    def show(self, in_process: Signoff, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
        """Runs `signoff doctor`, which finds these."""

        def run(*lines: Line, arguments: tuple[str, ...] = ()) -> Finished:
            monkeypatch.setattr(doctor, "examine", lambda: list(lines))
            return in_process("doctor", *arguments)

        return run

    def test_by_owner_the_worst_first_within_80_columns(self, show: Callable[..., Finished]) -> None:
        done = show(
            Line(Level.OK, "gmail/inbox", "ann@example.com (3 messages)", "ann@example.com"),
            Line(Level.BROKEN, "stripe/billing", "401 \x1b[2Jno such key " + "long " * 30, "ann@example.com"),
            Line(Level.WARNING, "disk", "is nearly full"),
        )
        assert done.code == 1
        assert [line for line in done.out.splitlines() if len(line) > 80] == []
        assert "\x1b[2J" not in done.out
        order = [done.out.index(each) for each in ("Whoever runs Signoff", "disk", "ann@", "stripe/", "gmail/")]
        assert order == sorted(order)
        assert "1 broken, 1 to be minded." in done.out

    def test_only_what_is_broken_fails(self, show: Callable[..., Finished]) -> None:
        assert show(Line(Level.WARNING, "disk", "is nearly full")).code == 0
        assert "All is well." in show(Line(Level.OK, "disk", "is empty")).out

    def test_for_programs(self, show: Callable[..., Finished]) -> None:
        done = show(Line(Level.BROKEN, "disk", "is full"), arguments=("--json",))
        assert (done.code, json.loads(done.out)) == (
            1, [{"level": "broken", "thing": "disk", "said": "is full", "owner": ""}],
        )  # fmt: skip


@pytest.fixture(scope="module")
def told(machine: Machine) -> dict[str, list[dict[str, Any]]]:
    """What the command says of the whole stack, once its worker has asked for work for the first time."""
    workers = "/work_pools/signoff/workers/filter"
    eventually("a worker asks", lambda: any(one["last_heartbeat_time"] for one in machine.ask("POST", workers)))
    done = machine.signoff("doctor", "--json")
    for secret in (keys.GOOGLE_CLIENT_SECRET, keys.GOOGLE_REFRESH_TOKEN, keys.HUBSPOT_TOKEN, keys.SLACK_BOT_TOKEN):
        assert secret not in done.out + done.err
    return things(json.loads(done.out))


@pytest.mark.slow
class TestOnARealMachine:
    def test_server_worker_ledger_and_accounts_are_well(self, told: dict[str, list[dict[str, Any]]]) -> None:
        for thing in ("server", "worker", "ledger", "disk", "gmail/inbox", "hubspot/crm", "drive/company"):
            assert [line["level"] for line in told[thing]] == ["ok"], told[thing]
        assert "last seen at" in told["worker"][0]["said"]

    def test_the_deployments_are_as_declared_with_their_schedules_off(
        self, told: dict[str, list[dict[str, Any]]]
    ) -> None:
        (off,) = told["deployments"]  # the machine of these tests starts nothing by itself
        assert off["level"] == "warning"
        assert off["said"].startswith("the schedule is off")


def test_the_servers_clock_is_asked_for(prefect_server: None) -> None:  # noqa: ARG001
    from prefect.settings import PREFECT_API_URL

    assert httpx.get(f"{PREFECT_API_URL.value()}/health").headers["date"]
    assert [line.level for line in doctor_checks.server()] == [Level.OK]

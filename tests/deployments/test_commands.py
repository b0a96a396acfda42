"""The command line where nothing runs: help, empty and unusable ledgers, taken ports, the check of a checkout."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.ledger import Action, Ledger, Record
from deployments.machine import HOST
from deployments.running import ROOT
from tests.checkout import copied_to
from tests.deployments.machinery import BIN, Finished, clean_environment, run, unused_port

COMMANDS: list[list[str]] = [
    [], ["demo"], ["up"], ["sandbox"], ["check"], ["approvals"], ["approvals", "list"], ["approvals", "show"],
    ["approvals", "approve"], ["approvals", "reject"], ["ledger"], ["ledger", "show"], ["ledger", "redact"],
    ["audit"], ["audit", "verify"], ["audit", "head"], ["audit", "show"],
    ["run"], ["deploy"], ["cases"], ["mirror"], ["eval"], ["evidence"], ["stage"], ["shadow"],
]  # fmt: skip
Signoff = Callable[..., Finished]
HEAVY = ("prefect", "anthropic", "great_expectations", "sqlalchemy", "httpx", "onnxruntime", "sklearn", "ctranslate2")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A ledger and a Prefect of this test's own; no server answers."""
    return clean_environment(
        PREFECT_HOME=str(tmp_path / "prefect"),
        PREFECT_API_URL=f"http://{HOST}:{unused_port()}/api",
        SIGNOFF_LEDGER_URL=f"sqlite:///{tmp_path / 'ledger.db'}",
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that something else listens on."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_fits_80_columns_and_says_something_of_everything(self, command: list[str]) -> None:
        done = run(["signoff", *command, "--help"], clean_environment())
        assert done.code == 0
        lines = done.out.splitlines()
        assert max(map(len, lines)) <= 80
        assert f"Usage: {' '.join(['signoff', *command])}" in done.out
        assert len([line for line in lines if line.strip()]) > 3

    def test_imports_nothing_heavy(self) -> None:
        code = (
            "import sys; from deployments.cli import app; app(['--help'], result_action='return_value');"
            f"sys.stderr.write(repr([m for m in {HEAVY!r} if m in sys.modules]))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stderr == "[]"

    def test_what_waits_is_listed_without_prefect(self, environment: dict[str, str]) -> None:
        """It takes two of the three seconds that the list would take."""
        code = (
            "import sys; from deployments.cli import app; app(['approvals', 'list'], result_action='return_value');"
            "sys.stderr.write(repr('prefect' in sys.modules))"
        )
        beside_a_server = environment | {"PREFECT_UI_URL": f"http://{HOST}:{unused_port()}"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=beside_a_server, capture_output=True, text=True, check=True
        )
        assert (done.stdout.strip(), done.stderr) == ("Nothing waits for a decision.", "False")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, a disk without room")
    def test_a_full_disk_is_one_clear_line(self) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [str(BIN / "signoff"), "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert (done.returncode, done.stderr) == (1, "signoff: there is no room left on the disk\n")

    def test_unknown_commands_and_options_are_refused(self, forked: Signoff) -> None:
        for arguments in (["approv"], ["ledger", "show", "--jsn"], ["approvals", "approve", "four"]):
            done = forked(clean_environment(), *arguments)
            assert done.code == 2, arguments
            assert "Traceback" not in done.err + done.out
            assert arguments[-1] in done.err + done.out


class TestLedgerWithoutServer:
    def test_empty_ledger_says_so(self, forked: Signoff, environment: dict[str, str]) -> None:
        shown = forked(environment, "ledger", "show")
        assert (shown.code, shown.out.strip(), shown.err) == (0, "Nothing has come in yet.", "")
        aside = forked(environment, "ledger", "show", "--quarantined")
        assert (aside.code, aside.out.strip()) == (0, "Nothing was set aside.")
        assert forked(environment, "ledger", "show", "--json").json == []

    def test_a_record_that_is_not_there(self, forked: Signoff, environment: dict[str, str]) -> None:
        assert "no record 999" in forked(environment, "ledger", "show", "999").refused()

    def test_nothing_waits(self, forked: Signoff, environment: dict[str, str]) -> None:
        listed = forked(environment, "approvals", "list")
        assert (listed.code, listed.out.strip()) == (0, "Nothing waits for a decision.")
        assert forked(environment, "approvals", "list", "--json").json == []
        for option, name, meant in (("workflow", "lead-triag", "lead-triage"), ("kind", "gmail.send", "gmail.send_")):
            wrong = forked(environment, "approvals", "list", f"--{option}", name).refused()
            assert f"there is no {option} {name}; there are " in wrong
            assert f"Did you mean {meant}" in wrong

    @pytest.mark.parametrize(
        "url",
        ["not a url", "sqlite:////proc/nowhere/ledger.db", "sqlite:////", "nosuchdb://host/x", "mysql://a:secret@b/c"],
    )
    def test_unusable_address_is_one_clear_line(self, forked: Signoff, environment: dict[str, str], url: str) -> None:
        message = forked(environment | {"SIGNOFF_LEDGER_URL": url}, "ledger", "show").refused()
        assert "secret" not in message
        assert "ledger" in message.lower()

    def test_a_file_that_is_no_database(self, forked: Signoff, environment: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "ledger.db").write_text("shopping list\n" * 100)
        assert "ledger.db" in forked(environment, "ledger", "show").refused()

    def test_what_waits_is_listed_and_deciding_says_that_no_server_answers(
        self, forked: Signoff, environment: dict[str, str]
    ) -> None:
        number = a_waiting_action(Ledger.open(environment["SIGNOFF_LEDGER_URL"]))
        listed = forked(environment, "approvals", "list")
        assert listed.code == 0, listed.err
        assert "Send reply to jo@example.com" in listed.out
        assert "\n       Hello, from jo@example.com\n" in listed.out
        (row,) = forked(environment, "approvals", "list", "--json").json
        assert (row["record_title"], row["record_sender"]) == ("Hello", "jo@example.com")
        assert forked(environment, "approvals", "show", str(number)).code == 0
        assert "no Prefect server answers" in forked(environment, "approvals", "approve", str(number)).refused()

    def test_text_from_outside_cannot_steer_the_terminal(self, forked: Signoff, environment: dict[str, str]) -> None:
        a_waiting_action(Ledger.open(environment["SIGNOFF_LEDGER_URL"]), said="\x1b[2J\x1b]0;own\x07[red]free[/red]")
        for command in (["ledger", "show"], ["approvals", "list"], ["approvals", "show", "1"]):
            out = forked(environment, *command).out
            assert "\x1b" not in out
            assert "\x07" not in out
        assert "[red]free[/red]" in forked(environment, "ledger", "show").out


def a_waiting_action(ledger: Ledger, said: str = "Hello") -> int:
    """A record with a reply that waits, as the gate would leave it; returns the action's number."""
    reply = {
        "message_id": "m", "thread_id": "t", "to": "jo@example.com", "subject": said, "body": said,
        "in_reply_to": "<m@example.com>", "references": [],
    }  # fmt: skip
    with ledger.write() as session:
        record = Record(
            workflow="lead-triage", source="gmail:x", external_id="m", title=said, state="done",
            payload={"sender": "jo@example.com", "subject": said},
        )  # fmt: skip
        session.add(record)
        session.flush()
        action = Action(
            key="k", workflow="lead-triage", record_id=record.id, kind="gmail.send_reply", impact="high",
            title="Send reply to jo@example.com", payload=reply, digest="d", credential="gmail/inbox",
            explanation="Why", stage="gated", state="waiting", flow_run_id="0b1e2d8e-7a4b-4f1c-9a53-0b1d5c2f9d11",
        )  # fmt: skip
        session.add(action)
        session.flush()
        return action.id


class TestPorts:
    @pytest.mark.parametrize("command", ["demo", "up"])
    def test_a_taken_port_is_named(self, command: str, taken_port: int, signoff: Signoff) -> None:
        message = signoff(command, "--port", str(taken_port)).refused()
        assert str(taken_port) in message
        assert "--port" in message


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository, to break."""
    return copied_to(tmp_path / "checkout")


@pytest.fixture
def signoff(forked: Signoff, checkout: Path) -> Signoff:
    """Runs `signoff ...` of that checkout."""
    environment = clean_environment(PYTHONPATH=str(checkout), PREFECT_HOME=str(checkout / "prefect"))
    return lambda *arguments: forked(environment, *arguments, cwd=checkout)


class TestCheck:
    def test_passes_offline_on_a_copy(self, signoff: Signoff) -> None:
        done = signoff("check", "--offline")
        assert done.code == 0, done.out + done.err

    def test_without_a_server_it_says_so(self, forked: Signoff, environment: dict[str, str]) -> None:
        done = forked(environment, "check")
        assert done.code == 1
        assert "lead-triage" in done.out
        assert "no Prefect server answers" in done.err
        assert "`signoff check --offline` leaves them out" in done.err

    @pytest.mark.parametrize(
        ("file", "line"),
        [
            ("flows/lead_triage.py", "import no_such_module"),
            ("flows/lead_triage.py", "half = ["),
            ("prompts/lead_triage/answer.py", "half = ["),
            ("prompts/lead_triage/answer.py", "no_such_name"),
        ],
    )
    def test_what_cannot_be_imported_is_named_and_the_others_are_looked_at(
        self, signoff: Signoff, checkout: Path, file: str, line: str
    ) -> None:
        number = len((checkout / file).read_text().splitlines()) + 1
        with (checkout / file).open("a") as broken:
            broken.write(f"{line}\n")
        done = signoff("check", "--offline")
        assert done.code == 1
        assert f"{file}, line {number}: " in done.err
        assert "Traceback" not in done.err
        assert "support-answer" in done.out
        assert "1 problem" in done.out

    @pytest.mark.parametrize(
        ("before", "after", "said"),
        [
            ("  - name: lead-triage\n", "  - nam: lead-triage\n", "of its deployments has no name"),
            ("deployments:\n", "deployments: [\n", "prefect.yaml cannot be read: "),
            ("deployments:\n", "deploymentz:\n", "prefect.yaml has no list `deployments`"),
        ],
    )
    def test_what_is_wrong_with_prefect_yaml_is_one_line(
        self, signoff: Signoff, checkout: Path, before: str, after: str, said: str
    ) -> None:
        file = checkout / "prefect.yaml"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1))
        assert said in signoff("check", "--offline").refused()

    def test_a_file_that_is_being_written_keeps_no_other_workflow_from_its_commands(
        self, signoff: Signoff, checkout: Path
    ) -> None:
        with (checkout / "flows" / "ticket_sorting.py").open("w") as broken:
            broken.write('"""Sorts tickets."""\nCARD = Card(\n')
        for command in (("report",), ("cases", "lead_triage"), ("shadow", "lead-triage")):
            done = signoff(*command)
            assert (done.code, "Traceback" in done.err) == (0, False), (command, done.err)
        assert "ticket-sorting is left out: flows/ticket_sorting.py, line 2: SyntaxError" in signoff("report").err
        assert "flows/ticket_sorting.py, line 2: SyntaxError" in signoff("shadow", "ticket-sorting").err

    @pytest.mark.parametrize(
        ("line", "instead", "named"),
        [
            ('owner="tom@dockwell.example"', 'owner=""', "owner"),
            ('usd_per_run=Decimal("0.50")', 'usd_per_run=Decimal("0")', "usd_per_run"),
            ("on_garbage=", "on_rubbish=", "on_garbage"),
            ('prompt="lead_triage"', 'prompt="lead_sorting"', "lead_sorting"),
            ('workflow="lead-triage"', 'workflow="triage"', "triage"),
            ('fields=("id", "threadId", "labelIds", "internalDate", "raw")', "fields=()", "a Reads whose fields"),
            (
                '            fields=("id", "threadId", "labelIds", "internalDate", "raw"),\n',
                "",
                "a Reads whose fields is missing",
            ),
            ('"internalDate", "raw"', '"internalDate", "subject"', "its card reads subject from gmail, of which id,"),
            ("approval=True", "approval=False", "'gmail.send_reply' is high-impact"),
        ],
    )
    def test_a_bad_card_is_named(self, signoff: Signoff, checkout: Path, line: str, instead: str, named: str) -> None:
        file = checkout / "flows" / "lead_triage.py"
        text = file.read_text()
        assert line in text
        file.write_text(text.replace(line, instead))
        done = signoff("check", "--offline")
        assert done.code == 1
        assert named in done.err
        assert "lead_triage.py" in done.err
        assert "Traceback" not in done.err

    def test_a_label_without_a_case_is_told_and_keeps_nobody_from_running_it(
        self, signoff: Signoff, checkout: Path
    ) -> None:
        file = checkout / "prompts" / "support_answer" / "answer.py"
        text = file.read_text()
        assert '"data", "request"]' in text
        file.write_text(text.replace('"data", "request"]', '"data", "request", "shipping"]'))
        done = signoff("check", "--offline")
        assert done.code == 0, done.err
        assert done.err.startswith("prompts/support_answer/cases.jsonl: no case has topic=shipping: the built-in ")
        assert done.err.rstrip().endswith("signoff cases support_answer says more")

    @pytest.mark.parametrize("command", ["cases", "eval"])
    def test_a_case_that_cannot_be_read_is_one_line(self, signoff: Signoff, checkout: Path, command: str) -> None:
        (checkout / "prompts" / "lead_triage" / "cases.jsonl").write_text("{\n")
        message = signoff(command, "lead_triage").refused()
        assert "cases.jsonl:1: " in message
        checked = signoff("check", "--offline")
        assert (checked.code, "cases.jsonl:1: " in checked.err) == (1, True)

    def test_a_missing_deployment_is_named(self, signoff: Signoff, checkout: Path) -> None:
        file = checkout / "prefect.yaml"
        file.write_text(file.read_text().replace("- name: perform-action", "- name: act"))
        done = signoff("check", "--offline")
        assert done.code == 1
        assert "no deployment called perform-action" in done.err

    def test_a_deployment_whose_flow_is_gone_is_named(self, signoff: Signoff, checkout: Path) -> None:
        (checkout / "flows" / "deal_followup.py").unlink()
        done = signoff("check", "--offline")
        assert done.code == 1
        assert "prefect.yaml: deal-followup is to run flows/deal_followup.py, which is not there" in done.err

    def test_a_flow_that_would_hide_a_module_is_named(self, signoff: Signoff, checkout: Path) -> None:
        shutil.copy(checkout / "flows" / "lead_triage.py", checkout / "flows" / "anthropic.py")
        done = signoff("check", "--offline")
        assert done.code == 1
        assert "must not be called anthropic" in done.err

    def test_a_flow_without_a_card_is_named(self, signoff: Signoff, checkout: Path) -> None:
        (checkout / "flows" / "bare_one.py").write_text('"""Nothing."""\n')
        done = signoff("check", "--offline")
        assert done.code == 1
        assert "bare_one.py: it has no CARD" in done.err

    def test_a_flow_that_cannot_be_imported_is_named(self, signoff: Signoff, checkout: Path) -> None:
        (checkout / "flows" / "broken_one.py").write_text("import nowhere_to_be_found\n")
        done = signoff("check", "--offline")
        assert done.code == 1
        assert "broken_one" in done.err
        assert "nowhere_to_be_found" in done.err

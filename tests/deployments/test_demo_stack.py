"""`signoff demo`, as a first-time user runs it: without a terminal, and in one with Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from deployments.machine import HOST
from deployments.running import PORT
from tests.checkout import copied_to
from tests.deployments.machinery import clean_environment, eventually, processes_naming

SECONDS = 600
"""A whole demo, on a machine that does much else besides: it takes a tenth of that on a quiet one."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]
COMMAND = [sys.executable, "-c", "from deployments.cli import main; main()", "demo"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository: the demo's state is in the checkout, and somebody may be looking at this one's."""
    return copied_to(tmp_path_factory.mktemp("demo") / "checkout")


@pytest.fixture
def busy_default_port() -> Iterator[None]:
    """Something that is no Prefect listens on Prefect's port."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken by something else already: as good
            holder.bind((HOST, PORT))
            holder.listen()
        yield


def environment(checkout: Path) -> dict[str, str]:
    """Nothing is set but where the code is."""
    return clean_environment(PYTHONPATH=str(checkout))


def nothing_is_left(checkout: Path) -> None:
    """No process of that checkout lives."""
    try:
        eventually("every process has ended", lambda: not processes_naming(str(checkout)), 60)
    except pytest.fail.Exception as failure:  # which one, or nobody finds out why
        pytest.fail(f"{failure}: {processes_naming(str(checkout))}")


def ran_already() -> str | None:
    """What the demo has printed a moment ago, in this very checkout, where CI has run it anyway."""
    printed = os.environ.get("SIGNOFF_DEMO_OUTPUT")
    return Path(printed).read_text(encoding="utf-8") if printed else None


def test_without_a_terminal_it_approves_one_and_ends(checkout: Path) -> None:
    printed = ran_already() or run_without_a_terminal(checkout)
    rows = [int(number) for number in re.findall(r"^│ *(\d+) │", printed, re.MULTILINE)]
    inbox = len(list((checkout / "sandbox" / "company" / "inbox").glob("*.eml")))
    tickets = json.loads((checkout / "sandbox" / "company" / "hubspot.json").read_text(encoding="utf-8"))["tickets"]
    new = [ticket for ticket in tickets if ticket["properties"].get("hs_pipeline_stage") == "1"]
    customers = json.loads((checkout / "sandbox" / "company" / "stripe.json").read_text(encoding="utf-8"))
    unpaid = [each for customer in customers for each in customer["invoices"] if "paid_days_ago" not in each]
    overdue = [each for each in unpaid if each["days_ago"] >= 14 + 3]
    meetings = list((checkout / "sandbox" / "company" / "drive" / "meetings").iterdir())
    # Side by side, the workflows' records come in as they may.
    assert sorted(rows) == list(range(1, inbox + len(new) + len(overdue) + len(meetings) + 1))
    assert re.search(r"^  waits: #\d+ Remind \S+@\S+\.example of an invoice$", printed, re.MULTILINE)
    assert re.search(r"^#\d+, the notes for a guest, as they wait for sign-off:$", printed, re.MULTILINE)
    assert f"{inbox} e-mails:" in printed
    assert re.search(r"^In .*lead-triage.* a person decides everything", printed, re.MULTILINE)
    assert re.search(r"^#\d+, Send e-mail to \S+, as it waits for sign-off:$", printed, re.MULTILINE)
    assert re.search(r"^  \| \[1\] \S", printed, re.MULTILINE)
    assert "Carried out" in printed
    assert re.search(r"^  To: \S+@\S+\.example", printed, re.MULTILINE)
    assert "Traceback" not in printed
    nothing_is_left(checkout)


def run_without_a_terminal(checkout: Path) -> str:
    """All that `signoff demo` prints; it has ended well."""
    done = subprocess.run(
        COMMAND,
        cwd=checkout,
        env=environment(checkout),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


class Terminal:
    """A command attached to a terminal, and all that it has printed."""

    def __init__(self, pid: int, screen: int) -> None:
        self.pid, self.screen, self.printed = pid, screen, ""

    def read_until(self, text: str, seconds: float = SECONDS) -> str:
        """Read until `text` was printed."""
        deadline = time.monotonic() + seconds
        while text not in self.printed:
            if time.monotonic() > deadline or not self._read(1):
                pytest.fail(f"{text!r} was not printed; this was: {self.printed[-2000:]}")
        return self.printed

    def end(self, seconds: float = 60) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + seconds
        while self._read(1):
            assert time.monotonic() < deadline, f"it does not end: {self.printed[-500:]}"
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self, seconds: float) -> bool:
        if not select.select([self.screen], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.screen, 65536)
        except OSError:  # Linux says so when the other side has closed
            return False
        self.printed += data.decode(errors="replace")
        return bool(data)


@contextmanager
def in_terminal(checkout: Path) -> Iterator[Terminal]:
    """The demo in a terminal of its own."""
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(checkout)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests themselves run in the background
        os.execve(COMMAND[0], COMMAND, environment(checkout) | {"TERM": "xterm", "COLUMNS": "100"})
    try:
        yield Terminal(pid, screen)
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(screen)


@pytest.mark.usefixtures("busy_default_port")
def test_in_a_terminal_it_stays_until_ctrl_c(checkout: Path) -> None:
    with in_terminal(checkout) as terminal:
        printed = terminal.read_until("Ctrl-C stops everything.")
        assert f"Port {PORT} is in use" in printed
        links = re.findall(r"http://127\.0\.0\.1:\d+/runs/flow-run/[0-9a-f-]{36}", printed)
        assert links
        exports = dict(re.findall(r"(PREFECT_API_URL|SIGNOFF_LEDGER_URL)=(\S+)", printed))
        listed = subprocess.run(
            [sys.executable, "-c", "from deployments.cli import main; main()", "approvals", "list", "--json"],
            cwd=checkout,
            env=environment(checkout) | exports,
            capture_output=True,
            text=True,
            check=True,
        )
        assert links[0].rpartition("/")[2] in listed.stdout
        inbox = re.search(r"http://127\.0\.0\.1:\d+/inbox/login#\S+", printed)
        assert inbox, printed[-2000:]
        assert httpx.get(inbox[0]).status_code == 200
        assert processes_naming(str(checkout))
        os.write(terminal.screen, b"\x03")
        assert terminal.end() == 0
        assert "Stopping" in terminal.printed
        assert "Traceback" not in terminal.printed
    nothing_is_left(checkout)


@pytest.mark.parametrize("moment", ["Prefect server", "Triaging the inbox:"])
def test_ctrl_c_in_the_middle_stops_everything_too(checkout: Path, moment: str) -> None:
    with in_terminal(checkout) as terminal:
        terminal.read_until(moment)
        os.write(terminal.screen, b"\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.printed
    nothing_is_left(checkout)

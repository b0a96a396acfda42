"""`signoff try` in a checkout of its own: what it shows of a new workflow, and of the builder's errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.machine import busy
from deployments.try_it import TRY_PORT
from tests.checkout import copied_to
from tests.deployments.machinery import Finished, eventually, run
from tests.deployments.terminal import terminal
from tests.deployments.test_new_cli import environment_of

pytestmark = pytest.mark.slow

Signoff = Callable[..., Finished]
TRY_SECONDS = 300


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, with a workflow of each starter."""
    made = copied_to(tmp_path_factory.mktemp("try") / "checkout")
    for like, name in (("tickets", "ticket-tagging"), ("mail", "mail-sorting")):
        done = run(["signoff", "new", name, "--like", like, "--yes"], environment_of(made))
        assert done.code == 0, done.err
    return made


@pytest.fixture
def signoff(checkout: Path) -> Signoff:
    """Runs `signoff ...` of that checkout. No fork: what it starts must end with it."""
    return lambda *arguments: run(["signoff", *arguments], environment_of(checkout))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Two e-mails that somebody has saved years ago."""
    (folder := tmp_path / "my mail").mkdir()
    for number, (name, subject, text) in enumerate(
        (
            (
                "Ann Berg",
                "Nobody can book",
                "The booking page shows an error for all our drivers. Please help at once.",
            ),
            ("Bo Lund", "Invoices", "How do I change who gets the invoices by e-mail?"),
        )
    ):
        head = f"From: {name} <{name.split()[0].lower()}@own.example>\nSubject: {subject}"
        mail = f"{head}\nDate: Mon, 2 Mar\n 2020 09:30:00 +0000\n\n{text}\n"
        (folder / f"{number}.eml").write_text(mail, encoding="utf-8", newline="\r\n")
    return folder


def numbers(out: str) -> list[int]:
    """The records' numbers in the table."""
    return [int(number) for number in re.findall(r"^│ +(\d+) │", out, re.MULTILINE)]


class TestATry:
    def test_of_tickets_shows_what_waits_and_the_next_one_begins_afresh(self, signoff: Signoff) -> None:
        for _ in range(2):
            done = signoff("try", "ticket-tagging")
            assert done.code == 0, done.out + done.err
            assert "3 more tickets came in." in done.out
            assert numbers(done.out) == [1, 2, 3, 4, 5, 6, 7]
            for said in (
                "hs_ticket_category: PRODUCT_ISSUE", "hs_ticket_category: BILLING_ISSUE", "Post to Slack",
                "Message: Urgent ticket", "7 records came in, 0 of them set aside.", "0 done, 0 refused.", "It took",
            ):  # fmt: skip
                assert said in done.out
            assert max(map(len, done.out.splitlines())) <= 80
            assert "INFO" not in done.out + done.err

    def test_of_mail_takes_as_many_as_it_is_told(self, signoff: Signoff) -> None:
        done = signoff("try", "mail-sorting", "--limit", "8")
        assert done.code == 0, done.out + done.err
        assert "8 of its e-mails were put under the label To sort." in done.out
        assert len(numbers(done.out)) <= 8
        assert "Send reply to" in done.out
        assert "  | Kind regards" in done.out

    def test_of_the_builders_own_mail_takes_that_and_nothing_else(self, signoff: Signoff, mine: Path) -> None:
        for workflow, came, record, more in (
            ("mail-sorting", " under the label To sort", r"│ ann@own\.example", "To: ann@own.example"),
            ("ticket-tagging", ", each as a ticket", r"│ Nobody can book", "hs_ticket_category"),
        ):
            done = signoff("try", workflow, "--mail", str(mine), "--limit", "1")
            assert done.code == 0, done.out + done.err
            assert f"2 e-mails of yours came in{came}, and nothing else." in done.out
            assert numbers(done.out) == [1, 2]
            assert re.search(record, done.out)
            assert more in done.out
            assert "2020" not in done.out  # as if it came today
            assert f"signoff try {workflow} --mail {str(mine)!r} --stay" in done.out

    def test_says_where_the_builders_own_code_has_failed(self, signoff: Signoff, checkout: Path) -> None:
        file = checkout / "flows" / "ticket_tagging.py"
        text = file.read_text(encoding="utf-8")
        try:
            file.write_text(text.replace("{ticket.ticket_id}, from", "{tickt.ticket_id}, from"), encoding="utf-8")
            done = signoff("try", "ticket-tagging")
        finally:
            file.write_text(text, encoding="utf-8")
        line = 1 + text[: text.index("Urgent ticket")].count("\n")
        assert done.code == 1
        assert f"flows/ticket_tagging.py, line {line}, in alert: NameError: name 'tickt' is not defined" in done.err
        assert "set aside for it: 1 record" in done.err
        assert "Traceback" not in done.out + done.err

    def test_the_runs_notes_are_shown_and_a_label_that_no_record_has_is_tried_as_well(
        self, signoff: Signoff, checkout: Path
    ) -> None:
        file = checkout / "flows" / "ticket_tagging.py"
        text = file.read_text(encoding="utf-8")
        assert text.count('"low": "LOW", ') == text.count("found = tickets.new(") == 1
        changed = text.replace('"low": "LOW", ', "").replace("found =", 'run.note("the moon is full")\n        found =')
        try:
            file.write_text(changed, encoding="utf-8")
            done = signoff("try", "ticket-tagging", "--limit", "1")
        finally:
            file.write_text(text, encoding="utf-8")
        assert done.code == 1
        assert "in tags: KeyError: 'low'" in done.err
        assert "no record came there now; one would with urgency low" in done.err
        assert "The run notes: the moon is full" in done.out

    def test_what_cannot_be_tried_is_said(self, signoff: Signoff) -> None:
        assert "perform-action has no CARD" in signoff("try", "perform-action").refused()
        assert "there is no workflow nowhere; there are billing-agent, " in signoff("try", "nowhere").refused()

    def test_mail_that_cannot_be_given_is_refused(self, signoff: Signoff, mine: Path) -> None:
        (bad := mine.parent / "bad.eml").write_bytes(b"")
        for workflow, mail, said in (
            ("deal-followup", mine, "deal-followup reads neither e-mails nor tickets: leave out --mail"),
            ("ticket-tagging", bad, "bad.eml cannot be read: "),
            ("ticket-tagging", mine / "nowhere", "nowhere cannot be read: No such file or directory"),
        ):
            assert said in signoff("try", workflow, "--mail", str(mail)).refused()

    @pytest.mark.parametrize(
        ("file", "old", "new", "said"),
        [
            ("flows/mail_sorting.py", "def decide(", "def decide((", ": SyntaxError: "),
            ("flows/mail_sorting.py", "from tasks.run", "from tasks.nowhere", "ModuleNotFoundError"),
            ("flows/mail_sorting.py", 'owner="', 'owner="at ', "owner"),
            ("prompts/mail_sorting/answer.py", '"sales", ', "", "cases.jsonl:1"),
        ],
    )
    def test_what_cannot_even_be_read_is_told_without_a_traceback(
        self, signoff: Signoff, checkout: Path, file: str, old: str, new: str, said: str
    ) -> None:
        text = (checkout / file).read_text(encoding="utf-8")
        assert old in text
        try:
            (checkout / file).write_text(text.replace(old, new, 1), encoding="utf-8")
            done = signoff("try", "mail-sorting")
        finally:
            (checkout / file).write_text(text, encoding="utf-8")
        assert done.code == 1
        assert said in done.err
        assert "Traceback" not in done.out + done.err

    def test_stays_for_decisions_until_ctrl_c(self, checkout: Path) -> None:
        environment = environment_of(checkout)
        with terminal("try", "ticket-tagging", "--stay", environment=environment, cwd=checkout) as shown:
            port = int(shown.see(r"All that waits: http://127.0.0.1:(\d+)/runs", TRY_SECONDS)[1])
            shown.see("Ctrl-C stops everything")
            listed = run(["signoff", "approvals", "list"], environment | {"SIGNOFF_HOME": str(checkout / ".signoff")})
            assert "Post to Slack" in listed.out
            shown.interrupt()
            assert shown.end() == 0
        eventually("the server is gone", lambda: not busy(port), seconds=30)
        assert port >= TRY_PORT

"""`signoff mirror`: a conversation with a person who does the work, and with a script that only talks to stdin."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console

import prompts
from blocks.ledger import Ledger, Mirror, Record
from blocks.mail.saved import NoSavedMail
from deployments.cases import Dialog
from deployments.cli import app
from deployments.errors import CommandError
from deployments.known_errors import exit_code_of
from deployments.mirror import Session, do, tell
from flows.lead_triage import CARD, variables
from tasks import mirror
from tasks.lessons import Source
from tests.deployments.machinery import Finished, clean_environment, run

MAIL = "From: Ann Berg <ann@northwind.example>\nSubject: {}\nDate: Mon, 2 Mar 2026 09:30:00 +0000\n\n{}\n"
SUPPORT, NORMAL, NO, NOTHING, END = "2", "2", "n", "", ""
Signoff = Callable[..., Finished]


class Person:
    """Types what the script says, and takes the seconds that stand beside it."""

    def __init__(self, script: Sequence[str | tuple[str, float]]) -> None:
        self.script = list(script)
        self.now = 1000.0

    def read(self) -> str:
        if not self.script:
            raise EOFError
        step = self.script.pop(0)
        said, seconds = (step, 0.0) if isinstance(step, str) else step
        if said == "^C":
            raise KeyboardInterrupt
        self.now += seconds
        return said

    def clock(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The lead triage's prompt folder, copied, without cases."""
    shutil.copytree(prompts.FOLDER / "lead_triage", tmp_path / "prompts" / "lead_triage")
    monkeypatch.setattr(prompts, "FOLDER", tmp_path / "prompts")
    (tmp_path / "prompts" / "lead_triage" / "cases.jsonl").write_text("", encoding="utf-8")
    prompts.load.cache_clear()
    yield tmp_path / "prompts" / "lead_triage"
    prompts.load.cache_clear()


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """A folder with two e-mails."""
    made = tmp_path / "mail"
    made.mkdir()
    (made / "1.eml").write_text(MAIL.format("Broken", "The import fails.\nSee the \x1b[2Jlog [red]x[/red]."))
    (made / "2.eml").write_text(MAIL.format("Prices", "What would ten seats cost?"))
    return made


@pytest.fixture
def seen() -> Iterator[io.StringIO]:
    """What the person sees."""
    with io.StringIO() as made:
        yield made


@pytest.fixture
def works(ledger: Ledger, seen: io.StringIO) -> Callable[..., int]:
    """Lets a person do records by hand; returns how many they did."""

    def work(*script: str | tuple[str, float], name: str = "Tom", limit: int = 20, mail: Path | None = None) -> int:
        person = Person(script)
        dialog = Dialog(Console(file=seen, width=80, highlight=False), person.read)
        prompt = prompts.load("lead_triage")
        return do(Session(ledger, Source(CARD, variables), prompt, name, dialog, person.clock), limit, mail)

    return work


@pytest.fixture
def signoff(
    ledger: Ledger,  # noqa: ARG001
    folder: Path,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    in_process: Callable[..., Finished],
) -> Signoff:
    """Runs `signoff mirror lead-triage ...` in this process, with these lines on stdin."""

    def call(*arguments: str, given: Sequence[str] = ()) -> Finished:
        prompts.load.cache_clear()
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in given)))
        return in_process("mirror", "lead-triage", *arguments)

    return call


def kept(ledger: Ledger) -> list[Mirror]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Mirror).order_by(Mirror.id)))


class TestConversation:
    @pytest.mark.both_databases
    def test_a_record_is_shown_timed_and_kept(
        self, ledger: Ledger, works: Callable[..., int], seen: io.StringIO, mail: Path
    ) -> None:
        script = [
            (SUPPORT, 20.0), ("high", 10.0), ("look at the log", 60.0), ("write [b]back[/b]", 30.0), (END, 5.0),
            ("y", 500.0), ("too late", 500.0), "q",
        ]  # fmt: skip
        assert works(*script, mail=mail) == 1
        [row] = kept(ledger)
        assert (row.person, row.seconds, row.failed, row.comment) == ("Tom", 125.0, True, "too late")
        assert row.answer == {"intent": "support", "urgency": "high"}
        assert row.steps == ["look at the log", "write [b]back[/b]"]
        shown = seen.getvalue()
        assert max(map(len, shown.splitlines())) <= 80
        for said in ("ann@northwind.example", "Ann Berg", "Broken", "Monday 02 March 2026", "The import fails."):
            assert said in shown
        assert "See the [2Jlog [red]x[/red]." in shown
        assert "\x1b" not in shown
        assert "2.1 minutes." in shown

    def test_pauses_skips_and_what_is_left_open(
        self, ledger: Ledger, works: Callable[..., int], seen: io.StringIO, mail: Path
    ) -> None:
        first = [("p", 10.0), (NOTHING, 3600.0), (NOTHING, 5.0), ("p", 5.0), (NOTHING, 3600.0), ("3", 5.0)]
        assert works(*first, "reply", END, "p", NOTHING, (NO, 50.0), NOTHING, ("s", 60.0), mail=mail) == 1
        [row] = kept(ledger)
        assert (row.seconds, row.answer) == (25.0, {"urgency": "high"})
        assert "Paused. Enter goes on." in seen.getvalue()
        assert "Skipped. It comes again next time." in seen.getvalue()
        assert works(SUPPORT, NORMAL, END, NO, NOTHING, mail=mail) == 1
        assert works(mail=mail) == 0
        assert "There is nothing left that you have not done." in seen.getvalue()
        assert works(SUPPORT, NORMAL, END, NO, NOTHING, "q", name="Ann", mail=mail) == 1

    def test_steps_are_offered_by_number(
        self, ledger: Ledger, works: Callable[..., int], seen: io.StringIO, mail: Path
    ) -> None:
        first = [SUPPORT, NORMAL, "open the CRM", "reply", END, NO, NOTHING]
        second = [SUPPORT, NORMAL, "2, 1", "3", "0", "call", "1", END, NO, NOTHING]
        assert works(*first, *second, mail=mail) == 2
        assert [row.steps for row in kept(ledger)] == [
            ["open the CRM", "reply"],
            ["reply", "open the CRM", "call", "open the CRM"],
        ]
        assert "  1  open the CRM\n  2  reply\n" in seen.getvalue()
        assert seen.getvalue().count("There is no step of that number.") == 2

    @pytest.mark.parametrize("end", ["q", None])
    def test_ending_in_the_middle_loses_only_the_current_one(
        self, ledger: Ledger, works: Callable[..., int], seen: io.StringIO, mail: Path, end: str | None
    ) -> None:
        script = [SUPPORT, NORMAL, "reply", END, NO, NOTHING, SUPPORT, NORMAL, "half a st", *filter(None, [end])]
        assert works(*script, mail=mail) == 1
        assert len(kept(ledger)) == 1
        assert "Stopped." in seen.getvalue()

    def test_ctrl_c_too(self, ledger: Ledger, works: Callable[..., int], mail: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            works(SUPPORT, NORMAL, "reply", END, NO, NOTHING, SUPPORT, "^C", mail=mail)
        assert len(kept(ledger)) == 1

    def test_one_that_was_done_in_another_window_is_not_kept_twice(
        self, ledger: Ledger, seen: io.StringIO, mail: Path
    ) -> None:
        number = mirror.enter_mail(ledger, CARD.workflow, mail).ids[0]
        with ledger.read() as session:
            row = session.get_one(Record, number)

        class Elsewhere(Person):
            def read(self) -> str:
                mirror.keep(ledger, row, "Tom", mirror.Done({"intent": "spam"}, [], 1, failed=False))
                return super().read()

        person = Elsewhere([SUPPORT, NORMAL, END, NO, NOTHING, "q"])
        dialog = Dialog(Console(file=seen, width=80), person.read)
        session_ = Session(ledger, Source(CARD, variables), prompts.load("lead_triage"), "Tom", dialog, person.clock)
        assert do(session_, 20, mail) == 0
        assert "Not kept: you have done it before." in seen.getvalue()
        assert [one.answer["intent"] for one in kept(ledger)] == ["spam"]

    def test_the_workflows_own_records(
        self, works: Callable[..., int], seen: io.StringIO, add_record: Callable[..., int]
    ) -> None:
        numbers = [add_record("done", message_id=f"m{n}", text="x" * (7000 if n else 1)) for n in range(3)]
        assert works("s", "q", limit=2) == 0
        shown = seen.getvalue()
        assert "2 to do; 1 more wait." in shown
        assert f"1 of 2: record {numbers[0]} " in shown
        assert "[... 1,000 more characters]" in shown

    def test_nothing_to_do_says_both_ways_out(self, works: Callable[..., int], tmp_path: Path) -> None:
        with pytest.raises(CommandError) as error:
            works()
        assert "signoff stage lead-triage shadow, then signoff run" in str(error.value)
        assert "--mail PLACE" in str(error.value)
        with pytest.raises(NoSavedMail, match=r"has no \.eml file"):
            works(mail=tmp_path)
        (tmp_path / "x.eml").write_text(
            MAIL.format("Away", "x").replace("Date:", "Auto-Submitted: auto-replied\nDate:")
        )
        with pytest.raises(CommandError, match="is work for anybody"):
            works(mail=tmp_path)


class TestReport:
    def test_before_the_first(self, signoff: Signoff) -> None:
        assert signoff("--report").out == "Nothing was measured yet: signoff mirror lead-triage\n"
        assert signoff("--report", "--json").json == {
            "workflow": "lead-triage",
            "records": 0,
            "card": {"minutes": 6.0, "failure_rate": 0.08},
        }

    def test_what_was_measured_and_what_it_means_for_the_card(
        self, ledger: Ledger, works: Callable[..., int], mail: Path
    ) -> None:
        first = [(SUPPORT, 60.0), NORMAL, ("reply", 60.0), END, NO, NOTHING]
        works(*first, SUPPORT, NORMAL, ("reply", 1200.0), END, "y", NOTHING, mail=mail)
        with ledger.write() as session:
            for record in session.scalars(sa.select(Record)):
                record.answer = {"intent": "support", "urgency": "low"}
        found = mirror.measured(ledger, CARD, prompts.load("lead_triage"))
        report = io.StringIO()
        tell(CARD, found, Dialog(Console(file=report, width=80, highlight=False)))
        said = " ".join(report.getvalue().split())
        assert max(map(len, report.getvalue().splitlines())) <= 80
        for part in (
            "lead-triage by hand: 2 done by Tom",
            "minutes 11.0 median, 11.0 mean, from 2.0 to 20.0",
            "failed 1 of 2: 50%, probably between 9% and 91%",
            "1,000 records 183 hours by hand",
            "model's intent the same as yours in 2 of 2",
            "model's urgency the same as yours in 0 of 2",
            "2 reply",
            "For the card in flows/lead_triage.py: baseline=Baseline(minutes=11, failure_rate=0.5),",
            "It says minutes=6, failure_rate=0.08 now: it takes 83% more, and that failure rate is not what was",
            "So far this is 2 of the 20 records that make it worth believing.",
        ):
            assert part in said, said

    def test_for_programs(self, signoff: Signoff, works: Callable[..., int], mail: Path) -> None:
        works((SUPPORT, 90.0), NORMAL, "reply", END, NO, NOTHING, mail=mail)
        found = signoff("--report", "--json").json
        assert (found["records"], found["people"], found["minutes_mean"]) == (1, ["Tom"], 1.5)
        assert found["baseline"] == {"minutes": 1.5, "failure_rate": 0.0}
        assert found["steps"] == [{"step": "reply", "records": 1}]
        assert found["hours_of_thousand"] == 25


class TestCommand:
    def test_what_was_labelled_becomes_cases_if_one_wants(self, signoff: Signoff, mail: Path, folder: Path) -> None:
        work = [SUPPORT, NORMAL, "reply", END, NO, NOTHING, "1", NORMAL, END, NO, NOTHING]
        shown = signoff("--mail", str(mail), "--as", "Tom", given=[*work, "y", "y"])
        assert shown.code == 0, shown.err
        assert max(map(len, shown.out.splitlines())) <= 80
        said = " ".join(shown.out.split())
        assert "lead-triage by hand: 2 done by Tom" in said
        assert "Make 2 new cases of it? You see them first. [y/N]" in said
        assert "Tom did it by hand" in said
        assert "2 cases added." in said
        cases = [json.loads(line) for line in (folder / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [case["expect"]["intent"] for case in cases] == ["support", "demo_request"]
        assert {case["inputs"]["sender"] for case in cases} == {"person1@example.com"}

    @pytest.mark.parametrize("answers", [["n"], [], ["y", "n"], ["y"]])
    def test_nothing_is_written_that_nobody_agreed_to(
        self, signoff: Signoff, mail: Path, folder: Path, answers: list[str]
    ) -> None:
        work = [SUPPORT, NORMAL, END, NO, NOTHING, "q"]
        assert signoff("--mail", str(mail), given=[*work, *answers]).code == 0
        assert (folder / "cases.jsonl").read_text(encoding="utf-8") == ""

    def test_programs_get_the_figures_alone(self, signoff: Signoff, mail: Path) -> None:
        done = signoff("--mail", str(mail), "--json", given=[SUPPORT, NORMAL, END, NO, NOTHING, "q", "n"])
        assert done.json["records"] == 1
        assert "1 of 2: record" in done.err

    def test_what_is_wrong_is_one_line(self, signoff: Signoff, tmp_path: Path) -> None:
        assert "at least 1" in signoff("--limit", "0").refused()
        assert "cannot be read" in signoff("--mail", str(tmp_path / "nowhere")).refused()
        assert "--mail PLACE" in signoff().refused()

    def test_through_a_pipe_it_is_a_plain_conversation(self, mail: Path, tmp_path: Path) -> None:
        environment = clean_environment(SIGNOFF_LEDGER_URL=f"sqlite:///{tmp_path / 'l.db'}", PREFECT_API_URL="http://x")
        given = "\n".join([SUPPORT, NORMAL, "look", "reply", END, NO, "fine", "q", "n", ""])
        done = run(["signoff", "mirror", "lead-triage", "--mail", str(mail), "--as", "Tom"], environment, given=given)
        assert (done.code, done.err) == (0, "")
        assert "lead-triage by hand: 1 done by Tom" in done.out
        [row] = kept(Ledger.open(environment["SIGNOFF_LEDGER_URL"]))
        assert (row.person, row.steps, row.comment) == ("Tom", ["look", "reply"], "fine")
        assert 0 < row.seconds < 60

    def test_help_fits_80_columns(self) -> None:
        done = run(["signoff", "mirror", "--help"], clean_environment())
        assert done.code == 0
        assert max(map(len, done.out.splitlines())) <= 80


def test_an_unknown_workflow_is_refused() -> None:
    code: Any = exit_code_of(lambda: app(["mirror", "nothing"], result_action="return_value"))
    assert code == 1

"""`signoff cases` as people and programs see it; no server is needed."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import prompts
from blocks.embedded import EmbeddedModel
from blocks.ledger import Action, Decision, Ledger
from deployments.cases import choose
from tests.deployments.machinery import Finished, clean_environment, run

Signoff = Callable[..., Finished]
Decide = Callable[..., int]
ANSWER = {"intent": "demo_request", "urgency": "normal", "summary": "A demo", "reply": "Draft", "confidence": 0.95}
UNDO = "undo with git checkout prompts/lead_triage/cases.jsonl"


class Terminal(io.StringIO):
    """What a person types, at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The lead triage's prompt folder, copied, with its first three cases."""
    shutil.copytree(prompts.FOLDER / "lead_triage", tmp_path / "lead_triage")
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    file = tmp_path / "lead_triage" / "cases.jsonl"
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    yield tmp_path / "lead_triage"
    prompts.load.cache_clear()


@pytest.fixture
def signoff(
    ledger: Ledger,  # noqa: ARG001
    folder: Path,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    in_process: Callable[..., Finished],
) -> Signoff:
    """Runs `signoff cases ...` in this process at 80 columns; with `typed`, as in a terminal."""

    def call(*arguments: str, typed: str | None = None) -> Finished:
        prompts.load.cache_clear()
        monkeypatch.setattr("sys.stdin", io.StringIO() if typed is None else Terminal(typed))
        return in_process("cases", *arguments)

    return call


@pytest.fixture
def decide(ledger: Ledger, add_record: Callable[..., int]) -> Decide:
    """Adds an e-mail that was answered as a demo request, and what Mara decided on its reply."""

    def add(verdict: str, comment: str = "", text: str = "Could Ann see a demo?", edited: str = "") -> int:
        number = add_record("done", ANSWER, message_id=text, subject="Prices", text=text)
        with ledger.write() as session:
            action = Action(
                key=text, workflow="lead-triage", record_id=number, kind="gmail.send_reply", impact="high",
                title="Send", payload={"body": "Draft"}, digest="d", credential="gmail/inbox", explanation="",
                stage="gated", state="done",
            )  # fmt: skip
            session.add(action)
            session.flush()
            session.add(
                Decision(
                    action_id=action.id, verdict=verdict, approver="Mara", comment=comment,
                    payload={"body": edited or "Draft"}, digest="d", edited=bool(edited),
                )
            )  # fmt: skip
        return number

    return add


def lines(folder: Path) -> list[dict[str, Any]]:
    """The cases that the file holds."""
    return [json.loads(line) for line in (folder / "cases.jsonl").read_text(encoding="utf-8").splitlines()]


def test_help_fits_80_columns() -> None:
    done = run(["signoff", "cases", "--help"], clean_environment())
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert "--from-decisions" in done.out


class TestOverview:
    def test_counts_and_what_is_missing(self, signoff: Signoff) -> None:
        shown = signoff("lead_triage")
        assert shown.code == 0, shown.err
        assert max(map(len, shown.out.splitlines())) <= 80
        assert "prompts/lead_triage/cases.jsonl: 3 cases, 2 to learn from and 1 held out" in shown.out
        said = " ".join(shown.out.split())
        assert "Careful: intent=spam has no case to learn from, so the embedded model cannot know it." in said
        assert "intent=spam has no held-out case, so nothing shows whether it is got right" in said
        assert "1 case held out, and the card of lead-triage needs 20" in said

    def test_the_same_for_programs(self, signoff: Signoff) -> None:
        found = signoff("lead-triage", "--json").json
        assert (found["prompt"], found["cases"], found["splits"]) == ("lead_triage", 3, {"example": 2, "held_out": 1})
        assert found["labels"]["intent"]["demo_request"] == {"example": 2, "held_out": 1}
        assert found["labels"]["urgency"]["high"] == {"example": 0, "held_out": 0}
        assert len(found["warnings"]) == 4 * 2 + 2 * 2 + 1

    def test_what_is_wrong_is_one_clear_line(self, signoff: Signoff, folder: Path) -> None:
        assert "there is no prompt triage; there are lead_triage" in signoff("triage").refused()
        with (folder / "cases.jsonl").open("a") as file:
            file.write('{"name": "x"}\n')
        assert "cases.jsonl:4: inputs: Field required" in signoff("lead_triage").refused()
        assert "cases.jsonl:4: " in signoff("lead_triage", "--from-decisions").refused()

    def test_a_prompt_that_no_card_uses(self, signoff: Signoff, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("deployments.cases.flow_modules", lambda: iter(()))
        assert "and a card needs 20" in " ".join(signoff("lead_triage").out.split())
        assert "no workflow's card uses the prompt" in signoff("lead_triage", "--from-decisions").refused()
        assert len(lines(folder)) == 3


class TestFromDecisions:
    def test_nothing_was_decided(self, signoff: Signoff) -> None:
        assert signoff("lead_triage", "--from-decisions").out == "There is no new case to add.\n"
        assert "at least 1" in signoff("lead_triage", "--from-decisions", "--limit", "0").refused()

    def test_without_a_terminal_it_shows_and_writes_nothing(
        self, signoff: Signoff, folder: Path, decide: Decide
    ) -> None:
        number = decide("rejected", "intent=support [red]x[/red]", "Ann Berg of Northwind cannot log in")
        shown = signoff("lead_triage", "--from-decisions")
        assert shown.code == 0, shown.err
        assert max(map(len, shown.out.splitlines())) <= 80
        said = " ".join(shown.out.split())
        assert f"+ support-{number}" in said
        assert f"correction, record {number}: Mara rejected it: “intent=support [red]x[/red]”" in said
        assert "expect intent=support" in said
        assert "model intent=demo_request, urgency=normal, 95% sure" in said
        assert "masked 1 address, 2 names, 1 company" in said
        assert "text Averin Ashmark of Alderworks cannot log in" in said
        assert "A rule cannot see everything" in said
        assert "Nothing was written. To add 1 case to prompts/lead_triage/cases.jsonl" in said
        assert "--yes" in said
        assert "Northwind" not in shown.out
        assert len(lines(folder)) == 3

    def test_agreed_in_the_terminal_it_writes(self, signoff: Signoff, folder: Path, decide: Decide) -> None:
        decide("approved", text="A demo of part one?")
        decide("approved", edited="Better", text="A demo of part two?")
        assert "Nothing was written." in signoff("lead_triage", "--from-decisions", typed="n\n").out
        assert "Nothing was written." in signoff("lead_triage", "--from-decisions", typed="").out
        before = lines(folder)
        shown = signoff("lead_triage", "--from-decisions", typed="y\n")
        said = " ".join(shown.out.split())
        assert "Add 2 cases to prompts/lead_triage/cases.jsonl? [y/N]" in said
        assert f"2 cases added. Review it with git diff; {UNDO}" in said
        after = lines(folder)
        assert after[:3] == before
        assert [case["expect"].get("reply") for case in after[3:]] == ["Better", None]
        assert signoff("lead_triage").code == 0
        assert "There is no new case" in signoff("lead_triage", "--from-decisions", "--yes").out
        assert lines(folder) == after

    def test_it_says_whether_a_model_learns_from_it(self, signoff: Signoff, decide: Decide) -> None:
        told = set()
        for text in map(str, range(50)):
            decide("approved", text=text)
            prompts.load.cache_clear()
            before = EmbeddedModel().identity(prompts.load("lead_triage"))
            said = " ".join(signoff("lead_triage", "--from-decisions", "--yes").out.split())
            prompts.load.cache_clear()
            changed = EmbeddedModel().identity(prompts.load("lead_triage")) != before
            assert ("it has a new version now, and starts over at its own evidence" in said) == changed
            assert ("All of them are held out: no model learns from them." in said) != changed
            told.add(changed)
            if len(told) == 2:
                return
        pytest.fail("all fifty fell on one side")

    def test_doubts_are_asked_about_where_somebody_is(self, signoff: Signoff, folder: Path, decide: Decide) -> None:
        first, second = decide("rejected", "wrong", "We resell software"), decide("rejected", text="Buy links")
        listed = " ".join(signoff("lead_triage", "--from-decisions").out.split())
        assert "Needs a person: run this in a terminal, or reject with a comment such as intent=support:" in listed
        assert f"record {first} of lead-triage: Mara rejected it: “wrong”" in listed
        assert f"record {second} of lead-triage: Mara rejected it" in listed
        # What it is, how urgent, and a slip of the finger in between; the second one is skipped.
        shown = signoff("lead_triage", "--from-decisions", typed="9\n4\n\n\n\ny\n")
        said = " ".join(shown.out.split())
        assert "Of 2 rejected answers nobody has said what is right." in said
        assert "intent 1:demo_request 2:support 3:spam 4:partnership 5:other (Enter: skip)" in said
        assert "intent a number from 1 to 5, please" in said
        assert [case["expect"] for case in lines(folder)[3:]] == [{"intent": "partnership"}]
        assert f"record {second} of lead-triage" in said
        assert f"record {first} of lead-triage" not in said
        again = signoff("lead_triage", "--from-decisions", typed="").out
        assert "Of 1 rejected answer nobody" in again
        assert "The others are left as they are." in again

    def test_contradictions_redacted_and_the_limit_are_told(self, signoff: Signoff, decide: Decide) -> None:
        decide("rejected", "intent=spam", "A demo, says Ann?")
        decide("rejected", "intent=support", "A demo says Ann!")
        decide("approved", text="Another")
        said = " ".join(signoff("lead_triage", "--from-decisions", "--limit", "2").out.split())
        assert "Contradicts a case that is there; one of the two is wrong:" in said
        assert "expects intent=spam, and here it is support" in said
        few = " ".join(signoff("lead_triage", "--from-decisions", "--limit", "1").out.split())
        assert "2 not looked at, see --limit" in few

    def test_for_programs(self, signoff: Signoff, folder: Path, decide: Decide) -> None:
        number, doubted = decide("approved", text="A demo for Ann?"), decide("rejected", "hm", text="From Ann Berg")
        found = signoff("lead_triage", "--from-decisions", "--json", typed="").json
        [proposal] = found["proposals"]
        assert (proposal["record"], proposal["kind"], proposal["split"]) == (number, "confirmation", "example")
        assert proposal["inputs"]["text"] == "A demo for Averin?"
        assert proposal["expect"] == {"intent": "demo_request", "urgency": "normal"}
        [doubt] = found["needs_person"]
        assert (doubt["record"], doubt["inputs"]["text"]) == (doubted, "From Averin Ashmark")
        assert (found["written"], found["known"], found["redacted"], len(lines(folder))) == (False, 0, 0, 3)
        assert signoff("lead_triage", "--from-decisions", "--json", "--yes").json["written"] is True
        assert lines(folder)[3]["name"] == proposal["name"]
        again = signoff("lead_triage", "--from-decisions", "--json", "--yes").json
        assert (again["written"], again["known"], again["proposals"]) == (False, 1, [])

    def test_a_file_that_cannot_be_replaced(
        self, signoff: Signoff, folder: Path, decide: Decide, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decide("approved")

        def refuse(*_: object) -> None:
            raise OSError(13, "Permission denied")

        monkeypatch.setattr("os.replace", refuse)
        assert "nothing was written: " in signoff("lead_triage", "--from-decisions", "--yes").refused()
        assert len(lines(folder)) == 3


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [(["2"], "high"), (["HIGH"], "high"), (["3", "0", "x", "1"], "low"), ([""], None), (["so so"], "so_so")],
)
def test_a_value_is_chosen_by_number_or_name(typed: list[str], chosen: str | None) -> None:
    answers = iter(typed)
    values = ["low", "so_so"] if chosen == "so_so" else ["low", "high"]
    assert choose(lambda _: next(answers), "urgency", values) == chosen
    assert list(answers) == []

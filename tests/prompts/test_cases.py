"""Cases: read strictly, split by a hash of their words, and appended all or none."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts
from prompts import Case, CaseError, Prompt
from prompts.cases import append, choices, key_of, parse, read, refusal, split_of

INPUTS: dict[str, Any] = {
    "sender": "person1@example.com", "sender_name": "", "subject": "Prices", "text": "How much is it?",
    "company": "Dockwell", "date": "Monday 02 March 2026", "attachments": [], "contact": None,
}  # fmt: skip


@pytest.fixture
def prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prompt]:
    """The lead triage's folder, copied, with two cases."""
    shutil.copytree(prompts.FOLDER / "lead_triage", tmp_path / "lead_triage")
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    prompts.load.cache_clear()
    found = prompts.load("lead_triage")
    found.cases_file.write_text("\n".join([line("one", text="a"), line("two", text="b")]), encoding="utf-8")
    yield found
    prompts.load.cache_clear()


def line(name: str = "one", expect: dict[str, Any] | None = None, **changes: Any) -> str:
    """A line of the file."""
    return json.dumps({"name": name, "inputs": INPUTS | changes, "expect": expect or {"intent": "support"}})


def case(prompt: Prompt, name: str, expect: dict[str, Any] | None = None, **changes: Any) -> Case:
    """A case that could be appended."""
    inputs = INPUTS | changes
    return Case(name=name, split=split_of(prompt, inputs), inputs=inputs, expect=expect or {"intent": "support"})


class TestSplit:
    def test_it_goes_by_the_words_that_are_classified_and_nothing_else(self, prompt: Prompt) -> None:
        same = INPUTS | {"sender": "x@example.com", "subject": "  PRICES!", "text": "how much is it"}
        assert key_of(prompt, same) == key_of(prompt, INPUTS)
        assert split_of(prompt, same) == split_of(prompt, INPUTS)
        assert key_of(prompt, INPUTS | {"text": "How much is that?"}) != key_of(prompt, INPUTS)

    def test_a_letter_is_the_same_however_it_is_encoded(self, prompt: Prompt) -> None:
        composed, apart = (INPUTS | {"text": normalize(form, "Müller, café ﬁne")} for form in ("NFC", "NFKD"))
        assert composed != apart
        assert key_of(prompt, composed) == key_of(prompt, apart)
        with pytest.raises(CaseError, match="case two says the same as one"):
            parse(prompt, [(1, line("one", **composed)), (2, line("two", **apart))], "f")

    def test_a_quarter_is_held_out(self, prompt: Prompt) -> None:
        sides = [split_of(prompt, INPUTS | {"text": str(number)}) for number in range(2000)]
        assert 0.22 < sides.count("held_out") / len(sides) < 0.28

    def test_a_file_that_its_maker_has_parted_stays_so(self, prompt: Prompt) -> None:
        assert {one.split for one in read(prompt, prompt.cases_file, "held_out")} == {"held_out"}

    @given(st.text(max_size=50))
    def test_every_input_falls_on_a_side(self, text: str) -> None:
        assert split_of(prompts.load("lead_triage"), INPUTS | {"text": text}) in ("example", "held_out")


class TestReading:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "f:1: Invalid JSON"),
            (line().replace('"name": "one", ', ""), "f:1: name: Field required"),
            (line().replace('"name"', '"nam": 1, "name"'), "f:1: nam: Extra inputs"),
            (line(extra=1), "case one has extra, which the prompt does not name"),
            (line().replace('"sender": "person1@example.com", ', ""), "case one lacks sender"),
            (line(expect={"intent": "nothing"}), "expects what no answer can be: intent: Input should be"),
            (line(expect={"mood": "good"}), "expects what no answer can be: mood: Extra inputs"),
            (line(expect={"confidence": "1"}), "expects what no answer can be: confidence"),
            (line().replace('{"intent": "support"}', "{}"), "case one expects nothing"),
            (f"{line()}\n{line(text='b')}", "f:2: there is another case called one"),
            (f"{line()}\n{line('two', subject='prices?')}", "f:2: case two says the same as one"),
        ],
    )
    def test_a_line_that_does_not_fit_is_named(self, prompt: Prompt, text: str, said: str) -> None:
        with pytest.raises(CaseError) as error:
            parse(prompt, enumerate(text.split("\n"), start=1), "f")
        assert said in str(error.value)

    def test_blank_lines_are_none_and_numbers_are_the_files(self, prompt: Prompt) -> None:
        prompt.cases_file.write_text(f"\n\n{line()}\n\n{{", encoding="utf-8")
        with pytest.raises(CaseError, match=r"cases\.jsonl:5: "):
            read(prompt, prompt.cases_file)

    def test_a_file_that_cannot_be_read(self, prompt: Prompt, tmp_path: Path) -> None:
        with pytest.raises(CaseError, match="cannot be read"):
            read(prompt, tmp_path / "nowhere.jsonl")
        prompt.cases_file.write_bytes(b"\xff")
        with pytest.raises(CaseError, match="cannot be read"):
            read(prompt, prompt.cases_file)

    def test_a_case_is_written_as_it_is_read(self, prompt: Prompt) -> None:
        made = case(prompt, "é", {"reply": "Hallo\u2028Ännchen\n"}, text="zwei\nZeilen")
        assert parse(prompt, [(1, made.line())], "f") == (made,)
        assert "\n" not in made.line()


class TestAnswers:
    def test_the_fields_that_are_one_of_a_few_values(self, prompt: Prompt) -> None:
        assert choices(prompt) == {
            "intent": ("demo_request", "support", "spam", "partnership", "other"),
            "urgency": ("low", "normal", "high"),
        }

    def test_what_no_answer_can_be(self, prompt: Prompt) -> None:
        assert refusal(prompt, {"intent": "support", "reply": "x"}) == ""
        assert refusal(prompt, {"reply": "x" * 4001}).startswith("reply: ")
        assert refusal(prompt, {"intent": "nobody"}).startswith("intent: ")


class TestAppending:
    def test_they_stand_at_the_end_and_the_rest_as_it_stood(self, prompt: Prompt) -> None:
        before = prompt.cases_file.read_text(encoding="utf-8")
        prompt.cases_file.chmod(0o640)
        new = [case(prompt, "three", text="c"), case(prompt, "four", text="d")]
        assert [one.name for one in append(prompt, new)] == ["one", "two", "three", "four"]
        after = prompt.cases_file.read_text(encoding="utf-8")
        assert after == f"{before}\n{new[0].line()}\n{new[1].line()}\n"
        assert stat.S_IMODE(prompt.cases_file.stat().st_mode) == 0o640
        assert append(prompt, [case(prompt, "five", text="e")])[-1].name == "five"
        assert "\n\n" not in prompt.cases_file.read_text(encoding="utf-8")

    def test_into_an_empty_file(self, prompt: Prompt) -> None:
        prompt.cases_file.write_text("", encoding="utf-8")
        assert append(prompt, [case(prompt, "one")]) == read(prompt, prompt.cases_file)

    def test_one_that_does_not_fit_keeps_all_out(self, prompt: Prompt) -> None:
        before = prompt.cases_file.read_bytes()
        good = case(prompt, "three", text="c")
        for bad in (case(prompt, "one", text="d"), case(prompt, "four", text="A!"), case(prompt, "x", {"intent": "?"})):
            with pytest.raises(CaseError, match=r"cases\.jsonl:4: "):
                append(prompt, [good, bad])
        assert prompt.cases_file.read_bytes() == before
        assert [path.name for path in prompt.cases_file.parent.glob("*.jsonl*")] == ["cases.jsonl"]

    def test_a_file_that_is_wrong_already_is_left(self, prompt: Prompt) -> None:
        prompt.cases_file.write_text("{\n", encoding="utf-8")
        with pytest.raises(CaseError, match=r"cases\.jsonl:1: "):
            append(prompt, [case(prompt, "one")])
        assert prompt.cases_file.read_text(encoding="utf-8") == "{\n"

    def test_a_crash_before_the_rename_leaves_the_file_as_it_was(
        self, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = prompt.cases_file.read_bytes()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(CaseError, match=r"cannot be written: .*No space left"):
            append(prompt, [case(prompt, "three", text="c")])
        assert prompt.cases_file.read_bytes() == before
        assert [path.name for path in prompt.cases_file.parent.iterdir() if "jsonl" in path.name] == ["cases.jsonl"]

"""Prompts as folders: complete, versioned by everything that can change an answer."""

import dataclasses
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

import prompts
from prompts import Prompt, PromptError
from prompts.lead_triage.answer import LeadTriage

FRONT = "---\nmax_tokens: 10\ntrim: text\nclassify: [text]\n---\n"
COMPLETE = f"{FRONT}# System\nBe brief.\n# User\n{{{{ text }}}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prompt's folder elsewhere, with the answer type of the lead triage; `prompt.md` is still missing."""
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    monkeypatch.setattr(prompts, "_answer_type", lambda _: LeadTriage)
    made = tmp_path / "made_up"
    made.mkdir()
    return made


def read(folder: Path, text: str) -> Prompt:
    (folder / "prompt.md").write_text(text, encoding="utf-8")
    return prompts.load.__wrapped__(folder.name)


def test_a_complete_folder_is_read(folder: Path) -> None:
    found = read(folder, COMPLETE)
    assert (found.system, found.user, found.settings.max_tokens, found.replies) == ("Be brief.", "{{ text }}", 10, {})
    assert found.render({"text": "R&D <b>"}) == ("Be brief.", "R&D <b>")


@pytest.mark.usefixtures("folder")
def test_a_missing_prompt_is_named_with_what_it_should_hold() -> None:
    with pytest.raises(PromptError, match=r"prompts/made_up/prompt\.md does not exist; it holds the prompt's text"):
        prompts.load.__wrapped__("made_up")


@pytest.mark.parametrize("text", ["# System\nx\n# User\ny\n", "x" + COMPLETE, ""])
def test_a_prompt_without_settings_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(PromptError, match="must begin with settings between two lines of ---"):
        read(folder, text)


@pytest.mark.parametrize("title", ["System", "User"])
def test_a_missing_or_empty_section_is_named(folder: Path, title: str) -> None:
    with pytest.raises(PromptError, match=rf"has no '# {title}' section"):
        read(folder, COMPLETE.replace(f"# {title}\n", "# Other\n"))
    text = f"{FRONT}# System\n{'' if title == 'System' else 'x'}\n# User\n{'' if title == 'User' else 'x'}\n"
    with pytest.raises(PromptError, match=rf"has no '# {title}' section"):
        read(folder, text)


@pytest.mark.parametrize("front", ["max_tokens: 10\ntrim: text\n", "max_tokens: 1\ntrim: t\nclassify: [t]\nmodel: x\n"])
def test_a_missing_or_unknown_setting_is_named(folder: Path, front: str) -> None:
    with pytest.raises(ValidationError, match=r"classify|model"):
        read(folder, f"---\n{front}---\n# System\nx\n# User\ny\n")


def test_a_missing_variable_is_named(folder: Path) -> None:
    with pytest.raises(PromptError, match="prompt made_up: 'text' is undefined"):
        read(folder, COMPLETE).render({})


def test_a_version_changes_with_all_that_can_change_an_answer() -> None:
    class Other(BaseModel):
        intent: str

    found = prompts.load("lead_triage")
    changed = [
        dataclasses.replace(found, system=found.system + "."),
        dataclasses.replace(found, user=found.user + "."),
        dataclasses.replace(found, replies=found.replies | {"other": "x"}),
        dataclasses.replace(found, settings=found.settings.model_copy(update={"max_tokens": 1})),
        dataclasses.replace(found, answer=Other),
    ]
    versions = {found.version("m"), found.version("other"), *(prompt.version("m") for prompt in changed)}
    assert len(versions) == len(changed) + 2
    assert all(len(version) == 12 for version in versions)
    assert dataclasses.replace(found).version("m") == found.version("m")


@pytest.mark.parametrize("name", [path.parent.name for path in prompts.FOLDER.glob("*/prompt.md")])
def test_every_prompt_here_has_cases_that_its_answer_type_and_text_take(name: str) -> None:
    found = prompts.load(name)
    assert {case.split for case in found.cases} == {"example", "held_out"}
    assert len({case.name for case in found.cases}) == len(found.cases)
    for case in found.cases:
        assert set(case.expect) <= set(found.answer.model_fields), case.name


def test_the_triage_answer_takes_only_what_it_defines() -> None:
    good = {"intent": "spam", "urgency": "low", "summary": "Sells links.", "reply": "", "confidence": 0.9}
    assert LeadTriage.model_validate(good).intent == "spam"
    for change in ({"intent": "SPAM"}, {"summary": ""}, {"confidence": 1.1}, {"more": 1}, {"reply": "x" * 4001}):
        with pytest.raises(ValidationError):
            LeadTriage.model_validate(good | change)

"""What a flow would do about each label that its prompt may give, tried on the records that came."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

from pydantic import BaseModel, model_validator

from blocks.ledger import Record
from deployments.try_answers import untold
from prompts import Prompt, Settings
from prompts.cases import label_fields
from prompts.fields import Extract, Label


class Answer(BaseModel):
    """Two labels, of which one pair cannot be."""

    topic: Annotated[Literal["a", "b", "c"], Label()]
    urgency: Annotated[Literal["low", "high"], Label()]
    summary: Annotated[str, Extract()] = "."

    @model_validator(mode="after")
    def _a_is_never_high(self) -> Answer:
        if (self.topic, self.urgency) == ("a", "high"):
            raise ValueError("a is never urgent")
        return self


SETTINGS = Settings(max_tokens=100, trim="text", classify=("text",))
PROMPT = Prompt("new_one", SETTINGS, system="", user="", replies={}, answer=Answer)


def module(file: Path, source: str) -> ModuleType:
    """The file, imported."""
    file.write_text(source)
    made = ModuleType("new_one")
    exec(compile(source, str(file), "exec"), vars(made))
    return made


def record(topic: str, urgency: str = "low", *, sure: bool = True) -> Record:
    """A record that a model has answered."""
    answer = {"topic": topic, "urgency": urgency, "summary": "."}
    return Record(
        id=1, workflow="w", source="s", external_id="1", payload={}, state="gated", answer=answer, sure=sure,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


MISSING_C = "TO = {'a': 1, 'b': 2}\ndef decide(record):\n    return TO[record.answer['topic']]\n"


def test_the_labels_are_those_that_a_model_may_give() -> None:
    assert [(field, label) for field, values in label_fields(PROMPT).items() for label in values] == [
        ("topic", "a"), ("topic", "b"), ("topic", "c"), ("urgency", "low"), ("urgency", "high"),
    ]  # fmt: skip


def test_a_label_that_is_in_no_table_is_found_though_no_record_has_it(theirs: Path) -> None:
    found = untold(module(theirs, MISSING_C), PROMPT, [record("a"), record("b")])
    assert found == {
        "flows/new_one.py, line 3, in decide: KeyError: 'c'\n    return TO[record.answer['topic']]": ["topic c"]
    }


def test_of_an_unsure_record_the_sure_branch_is_tried(theirs: Path) -> None:
    source = MISSING_C.replace("    return TO", "    if not record.sure:\n        return 0\n    return TO")
    assert list(untold(module(theirs, source), PROMPT, [record("a", sure=False)]).values()) == [["topic c"]]


def test_what_is_explained_is_tried_as_well(theirs: Path) -> None:
    source = (
        "def decide(record):\n    return []\ndef explain(record):\n    return {'low': ''}[record.answer['urgency']]\n"
    )
    assert list(untold(module(theirs, source), PROMPT, [record("b")]).values()) == [["urgency high"]]


def test_an_answer_that_cannot_be_is_not_tried(theirs: Path) -> None:
    source = "def decide(record):\n    return {'low': ''}[record.answer['urgency']]\n"
    assert untold(module(theirs, source), PROMPT, [record("a")]) == {}


def test_the_records_stay_as_they_were(theirs: Path) -> None:
    mine = record("a", sure=False)
    untold(module(theirs, MISSING_C), PROMPT, [mine])
    assert (mine.answer, mine.sure) == ({"topic": "a", "urgency": "low", "summary": "."}, False)


def test_a_flow_that_decides_elsewhere_has_none(theirs: Path) -> None:
    assert untold(module(theirs, "x = 1\n"), PROMPT, [record("a")]) == {}
    assert untold(module(theirs, MISSING_C), PROMPT, []) == {}

"""Scores: right by value, texts by likeness, unusable answers wrong, honest intervals and certainty."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from prompts import Case, Prompt
from prompts.fields import Template
from tasks.scoring import NOTHING, Answered, Scores, calibration_error, can_be_wrong, case_key, judged, score, wilson
from tests.evaluating import answered, answers, case, held_out, prompt_of, ticket

PROMPT = prompt_of()
CASES = held_out()


def scored(cases: tuple[Case, ...] = CASES, threshold: float = 0.5, **by_name: dict[str, Any] | None) -> Scores:
    return score(PROMPT, cases, answers(cases, **by_name), threshold)


def test_each_field_is_counted_with_its_interval_and_confusions() -> None:
    found = scored(billing_held_0=ticket("access"), praise_held_1=ticket("billing", mood=2))
    topic, mood = found.fields
    assert (topic.field, topic.right, topic.of) == ("topic", 10, 12)
    assert topic.confusion == {
        "billing": {"access": 1, "billing": 3},
        "access": {"access": 4},
        "praise": {"praise": 3, "billing": 1},
    }
    assert (topic.low, topic.high) == wilson(10, 12)
    assert (mood.field, mood.right, mood.of) == ("mood", 12, 12)
    assert found.cases == found.usable == 12


def test_an_unusable_answer_is_wrong_in_every_field() -> None:
    found = scored(access_held_2=None)
    assert (found.cases, found.usable) == (12, 11)
    assert [field.right for field in found.fields] == [11, 11]
    assert found.fields[0].confusion["access"] == {"access": 3, NOTHING: 1}


def test_coverage_and_precision_are_those_of_the_answers_that_it_stands_by() -> None:
    found = scored(
        threshold=0.8,
        billing_held_0=ticket("access", confidence=0.8),
        billing_held_1=ticket("access", confidence=0.79),
        billing_held_2=ticket("billing", confidence=0.1),
        billing_held_3=None,
    )
    assert (found.threshold, found.sure, found.sure_and_right) == (0.8, 9, 8)


def test_an_answer_that_states_no_probability_has_no_coverage() -> None:
    class Plain(BaseModel):
        topic: Literal["a", "b"]

    found = one_field(Plain, "topic", "a", {"topic": "a"})
    assert (found.threshold, found.sure, found.sure_and_right, found.calibration_error) == (None,) * 4


def test_texts_are_alike_and_never_right_or_wrong() -> None:
    cases = (case("a", "x", "billing", expect={"summary": "The bill is too high."}),
             case("b", "y", "billing", expect={"summary": "Nothing alike", "topic": "billing"}))  # fmt: skip
    found = score(
        PROMPT,
        cases,
        {case_key(cases[0]): answered(ticket(summary="the BILL is too high")), case_key(cases[1]): answered(None)},
        0.5,
    )
    assert found.similarity == {"summary": 0.5}
    assert [(field.field, field.right, field.of) for field in found.fields] == [("topic", 0, 1)]


class Thing(BaseModel):
    kind: str
    parts: list[int]


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Decimal
    share: float
    day: date | None
    paid: bool
    tags: list[str]
    thing: Thing
    note: str
    reply: Annotated[str, Template(by="kind")]
    code: Annotated[str, StringConstraints(max_length=9)]
    maybe: str | None
    named: str = Field(alias="Named")


GIVEN: dict[str, Any] = {
    "amount": "1.50", "share": 0.1, "day": "2026-03-01", "paid": True, "tags": ["a", "b"],
    "thing": {"kind": "x", "parts": [1]}, "note": "n", "reply": "r", "code": "c", "maybe": None, "Named": "n",
}  # fmt: skip


def one_field(kind: type[BaseModel], name: str, expected: Any, answer: dict[str, Any]) -> Scores:
    prompt: Prompt = prompt_of(answer=kind)
    one = case("one", "x", "billing", expect={name: expected})
    read = Answered(kind.model_validate(answer), "", 1, 1, Decimal(0), 1.0)
    return score(prompt, [one], {case_key(one): read}, 0.5)


@pytest.mark.parametrize(
    ("name", "expected", "right"),
    [
        ("amount", "1.5", 1), ("amount", "1.51", 0), ("share", 0.1, 1), ("day", "2026-03-01", 1), ("day", None, 0),
        ("paid", True, 1), ("paid", False, 0), ("tags", ["a", "b"], 1), ("tags", ["b", "a"], 0),
        ("thing", {"parts": [1], "kind": "x"}, 1), ("thing", {"parts": [], "kind": "x"}, 0),
    ],
)  # fmt: skip
def test_other_fields_are_compared_by_value(name: str, expected: Any, right: int) -> None:
    (field,) = one_field(Everything, name, expected, GIVEN).fields
    assert (field.field, field.right, field.of) == (name, right, 1)


@pytest.mark.parametrize("name", ["note", "reply", "code", "maybe", "named"])
def test_words_of_the_models_own_are_texts(name: str) -> None:
    found = one_field(Everything, name, "n", GIVEN)
    assert (found.fields, list(found.similarity)) == ((), [name])


def test_a_stated_probability_is_neither_right_nor_wrong() -> None:
    cases = [case("a", "x", "billing", expect={"confidence": 0.9, "topic": "billing"})]
    assert can_be_wrong(PROMPT.answer, cases) == ("topic",)


def test_each_case_is_shown_beside_what_came() -> None:
    (one,) = judged(PROMPT, CASES[:1], answers(CASES[:1], billing_held_0=ticket("praise")))
    assert {name: (part.right, part.expected, part.got) for name, part in one.parts.items()} == {
        "topic": (False, "billing", "praise"),
        "mood": (False, "1", "2"),
    }


def test_time_tokens_and_dollars_are_those_of_the_answers_and_a_batch_takes_nobodys_time() -> None:
    found = answers(CASES)
    seconds = iter([*range(1, 11), 0.0, 0.0])
    timed = {key: answered(ticket("billing"), seconds=float(next(seconds))) for key in found}
    scores = score(PROMPT, CASES, timed, 0.5)
    assert (scores.seconds_median, scores.seconds_p95) == (5.5, 10.0)
    assert (scores.input_tokens, scores.output_tokens) == (1200, 120)
    assert scores.cost == pytest.approx(0.012)


@pytest.mark.parametrize(
    ("right", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 90, 0.8209, 0.9465)]
)
def test_the_wilson_interval(right: int, of: int, low: float, high: float) -> None:
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-4)


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_holds_the_share(counts: tuple[int, int]) -> None:
    right, of = counts
    low, high = wilson(right, of)
    assert 0 <= low <= right / of + 1e-12
    assert right / of - 1e-12 <= high <= 1


def test_certainty_is_honest_when_it_is_borne_out() -> None:
    honest = [(0.75, number % 4 != 0) for number in range(400)]
    assert calibration_error(honest, bins=1) == pytest.approx(0.0)
    assert calibration_error([(1.0, False)] * 10) == pytest.approx(1.0)
    assert calibration_error([(0.9, True)]) == pytest.approx(0.1)


def test_the_key_of_a_case_is_its_inputs_and_a_batch_takes_it() -> None:
    one = case("a", "x", "billing")
    assert case_key(one) == case_key(case("b", "x", "praise"))
    assert case_key(one) != case_key(case("a", "x ", "billing"))
    assert len(case_key(one)) == 64

"""What the embedded model leaves to a person: the rule, and that the model keeps to it."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, create_model

import prompts
from benchmarks.embedded import prompt_of, with_cases
from blocks.embedded import Abstention, EmbeddedModel
from blocks.embedded.abstention import abstention, stated
from blocks.models import Reply, Request
from prompts import Prompt, Settings
from prompts.fields import Label, Probability

FOUND = st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.7, 0.9, 0.95, 0.99]), st.booleans()), max_size=60)
PROMISE = st.floats(0.5, 0.98)

MONEY = ("invoice", "refund", "receipt", "payment", "price", "bill", "card charge", "discount")
TIMES = ("today", "last week", "in March", "again", "twice")
ENTRY = ("password", "login", "account", "sign-in page", "two-factor code", "locked profile", "access", "user name")


def tickets(kinds: dict[str, tuple[str, ...]], each: int = 40) -> list[tuple[str, str, str]]:
    """Rows for `prompt_of`: this many of each kind, easily told apart."""
    return [
        ("example", f"There is something wrong with the {word}, we saw it {when}.", kind)
        for kind, words in kinds.items()
        for word, when in [(word, when) for when in TIMES for word in words][:each]
    ]


MODEL = EmbeddedModel()


def learnt(prompt: Prompt) -> Abstention:
    found = MODEL.abstention(prompt)
    assert found is not None
    return found


def ask(prompt: Prompt, text: str) -> Reply:
    return MODEL.ask(Request(prompt, {"text": text}))


def test_when_all_is_right_and_sure_all_is_answered() -> None:
    assert abstention([(0.97, True), (0.93, True), (0.99, True)], 0.9) == Abstention(0.93, 1.0, 1.0, 3)


@pytest.mark.parametrize("found", [[], [(0.99, False)] * 30, [(0.5, True)] * 30, [(0.99, True), (0.99, False)] * 20])
def test_when_nothing_keeps_the_promise_everything_is_left_to_a_person(found: list[tuple[float, bool]]) -> None:
    assert abstention(found, 0.9) == Abstention(1.0, None, 0.0, len(found))


def test_it_takes_the_lowest_threshold_at_which_enough_is_right() -> None:
    found = [(0.99, True)] * 30 + [(0.98, False)] + [(0.9, True)] * 30 + [(0.8, False)] * 10

    assert abstention(found, 0.9) == Abstention(0.9, 60 / 61, 61 / 71, 71)


def test_no_answer_is_given_that_is_much_less_sure_than_promised() -> None:
    found = [(0.99, True)] * 30 + [(0.88, True)] * 10 + [(0.87, True)] * 10 + [(0.76, True)] * 10

    assert abstention(found, 0.9).threshold == 0.88
    assert abstention(found, 0.8).threshold == 0.76


def test_answers_that_are_equally_sure_are_not_parted() -> None:
    assert abstention([(0.95, True)] * 15 + [(0.95, False)] * 5, 0.9).coverage == 0


@given(FOUND, PROMISE)
def test_whatever_was_found_the_promise_is_kept_where_it_was_found(
    found: list[tuple[float, bool]], promise: float
) -> None:
    result = abstention(found, promise)

    given = [right for probability, right in found if probability >= result.threshold]
    assert 0 < result.threshold <= 1
    assert result.examples == len(found)
    assert result.coverage == (len(given) / len(found) if found else 0)
    assert result.precision == (sum(given) / len(given) if given else None)
    assert result.precision is None or result.precision >= promise


@given(FOUND, PROMISE, PROMISE, st.randoms(use_true_random=False))
def test_more_precision_never_answers_more_and_the_order_does_not_matter(
    found: list[tuple[float, bool]], one: float, other: float, chance: Any
) -> None:
    shuffled = chance.sample(found, len(found))

    assert abstention(shuffled, one) == abstention(found, one)
    assert abstention(found, max(one, other)).threshold >= abstention(found, min(one, other)).threshold


@pytest.mark.parametrize(("probability", "says"), [(0.99999, 0.9999), (1.0, 1.0), (0.12345, 0.1234), (0.0, 0.0)])
def test_only_what_is_certain_is_stated_as_1(probability: float, says: float) -> None:
    assert stated(probability) == says


def test_what_is_easily_told_apart_is_answered() -> None:
    prompt = prompt_of("ticket", tickets({"money": MONEY, "entry": ENTRY}))

    found, reply = learnt(prompt), ask(prompt, "There is something wrong with the refund, we saw it on Monday.")

    assert found.coverage > 0.9
    assert found.examples == 80
    assert found.precision is not None
    assert found.precision >= 0.9
    assert reply.metadata["threshold"] == found.threshold
    assert reply.metadata["abstains"] is False
    assert json.loads(reply.text)["label"] == "money"


@pytest.mark.parametrize("text", ["", "?", "Zebras graze."])
def test_what_it_does_not_know_is_left_to_a_person(text: str) -> None:
    prompt = prompt_of("ticket", tickets({"money": MONEY, "entry": ENTRY}))

    reply = ask(prompt, text)

    assert json.loads(reply.text)["confidence"] < reply.metadata["threshold"]
    assert reply.metadata["abstains"] is True


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(tickets({"money": MONEY, "entry": ENTRY}, each=2), id="four examples"),
        pytest.param(tickets({"one": MONEY, "other": MONEY[::-1]}), id="nothing tells the labels apart"),
    ],
)
def test_without_enough_to_go_by_everything_is_left_to_a_person(rows: list[tuple[str, str, str]]) -> None:
    prompt = prompt_of("ticket", rows)

    assert learnt(prompt) == Abstention(1.0, None, 0.0, len(rows))
    assert MODEL.threshold(prompt) == 1.0
    assert all(ask(prompt, text).metadata["abstains"] for _, text, _ in rows[:3])


def test_the_only_label_is_always_answered() -> None:
    prompt = prompt_of("ticket", tickets({"money": MONEY}, each=5))

    assert learnt(prompt).coverage == 1
    assert [ask(prompt, text).metadata["abstains"] for text in ("A refund?", "")] == [False, False]


def test_a_prompt_says_how_precise_it_must_be() -> None:
    rows = tickets({"money": MONEY, "entry": ENTRY}, each=20) + tickets({"entry": MONEY}, each=4)
    prompt = prompt_of("ticket", [(split, f"{text} {n}", label) for n, (split, text, label) in enumerate(rows)])
    thresholds = [
        learnt(with_cases(replace(prompt, settings=precise), prompt.cases)).threshold
        for precise in (prompt.settings.model_copy(update={"precision": promise}) for promise in (0.6, 0.9, 0.999))
    ]

    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[2] == 1.0


@pytest.mark.parametrize("precision", [0, 1, -0.1, 1.5])
def test_no_prompt_can_promise_what_cannot_be_kept(precision: float) -> None:
    with pytest.raises(ValidationError, match="precision"):
        Settings(max_tokens=9, trim="text", classify=("text",), precision=precision)


def test_an_answer_that_states_no_probability_is_never_left_to_a_person() -> None:
    prompt = prompt_of("ticket", tickets({"money": MONEY, "entry": ENTRY}, each=5))
    fields: dict[str, Any] = {"label": (Annotated[Literal["money", "entry"], Label()], ...)}
    kind = create_model("Plain", **fields)
    plain = with_cases(replace(prompt, answer=kind), prompt.cases)

    assert MODEL.abstention(plain) is None
    assert MODEL.threshold(plain) == 0
    assert ask(plain, "A refund?").metadata["abstains"] is False


def test_another_process_finds_the_same_threshold() -> None:
    code = """if True:
        from blocks.embedded import EmbeddedModel
        from benchmarks.embedded import prompt_of
        import json, sys
        prompt = prompt_of("ticket", json.load(sys.stdin))
        print(EmbeddedModel().abstention(prompt), EmbeddedModel().identity(prompt))
    """
    rows = tickets({"money": MONEY, "entry": ENTRY}, each=12)
    prompt = prompt_of("ticket", rows)

    run = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(rows), capture_output=True, text=True, check=True
    )

    assert run.stdout.strip() == f"{learnt(prompt)} {MODEL.identity(prompt)}"


def test_the_order_of_the_labels_makes_no_difference() -> None:
    rows = tickets({"money": MONEY, "entry": ENTRY}, each=12) + tickets({"entry": MONEY}, each=4)
    prompt = prompt_of("ticket", [(split, f"{text} {n}", label) for n, (split, text, label) in enumerate(rows)])
    # With a note beside the mark: typing's cache does not tell the two apart, and would give the first one twice.
    one = Annotated[Literal["money", "entry"], Label(), "one"]
    other = Annotated[Literal["entry", "money"], Label(), "other"]

    def learnt_by(kind: Any) -> Abstention:
        fields: dict[str, Any] = {"label": (kind, ...), "confidence": (Annotated[float, Probability(of="label")], ...)}
        return learnt(with_cases(replace(prompt, answer=create_model("Ordered", **fields)), prompt.cases))

    assert get_args(get_args(one)[0]) != get_args(get_args(other)[0])
    assert learnt_by(one) == learnt_by(other)


def test_the_lead_triage_learns_in_seconds_what_it_can_answer() -> None:
    prompt = prompts.load("lead_triage")
    examples = [case for case in prompt.cases if case.split == "example"]
    began = time.process_time()

    found = learnt(prompt)

    # 3 s of both cores on a quiet machine; a busy one does not slow down the process's own time much.
    assert time.process_time() - began < 60
    assert found.examples == len(examples)
    assert found.precision is not None
    assert found.precision >= prompt.settings.precision
    assert found.coverage > 0.3

"""The conversation that follows from the journal: whole, in order, and never longer than the model's context."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import journal
from tasks.card import Agent
from tasks.journal import Made, Step, Wanted
from tasks.limits import LimitReached, Watch

WHEN = datetime(2026, 3, 2, tzinfo=UTC)


def a_step(number: int, *outputs: str, stop_reason: str = "tool_use", text: str = "") -> Step:
    """A step that called `look` once for each output."""
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": f"t{number}_{place}", "name": "look", "input": {"at": place}}
        for place, _ in enumerate(outputs)
    ]
    said = [{"type": "text", "text": text}] if text else []
    step = Step(number, [*said, *calls], stop_reason, 10)
    step.made = {
        place: Made(wanted, out, False, "read", WHEN)
        for place, (wanted, out) in enumerate(zip(step.wanted, outputs, strict=False))
    }
    return step


def results(said: list[dict[str, Any]]) -> list[str]:
    return [
        block["content"]
        for message in said
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]


class TestMessages:
    def test_every_call_is_answered_in_its_place(self) -> None:
        said = journal.messages("Go", [a_step(1, "a", "b"), a_step(2, "c")], 10_000)
        assert [message["role"] for message in said] == ["user", "assistant", "user", "assistant", "user"]
        assert [block["tool_use_id"] for block in said[2]["content"]] == ["t1_0", "t1_1"]
        assert results(said) == ["a", "b", "c"]

    def test_a_cut_off_turn_is_told_to_go_on_without_its_half_call(self) -> None:
        step = a_step(1, "a", stop_reason="max_tokens", text="Half a")
        said = journal.messages("Go", [step], 10_000)
        assert [block["type"] for block in said[1]["content"]] == ["text"]
        assert said[2]["content"] == [{"type": "text", "text": journal.GO_ON}]

    def test_an_empty_turn_is_no_empty_message(self) -> None:
        said = journal.messages("Go", [Step(1, [], "end_turn", 1)], 10_000)
        assert said[1]["content"] == [{"type": "text", "text": journal.NO_ANSWER}]

    @given(st.lists(st.integers(0, 8_000), max_size=25), st.integers(4_000, 20_000))
    def test_stays_short_and_keeps_the_newest_results_whole(self, sizes: list[int], context: int) -> None:
        steps = [a_step(number, "x" * size) for number, size in enumerate(sizes, start=1)]
        said = journal.messages("Go", steps, context)
        told = results(said)
        assert told[-journal.KEPT_STEPS :] == ["x" * size for size in sizes][-journal.KEPT_STEPS :]
        older = sum(len(text) for text in told[: -journal.KEPT_STEPS])
        newest = 8_000 * journal.KEPT_STEPS
        assert older <= context * journal.BYTES_PER_TOKEN + newest
        assert len(said) == 1 + 2 * len(sizes)

    @given(st.lists(st.integers(0, 6_000), min_size=2, max_size=20))
    def test_what_was_left_out_stays_out_and_the_rest_stays(self, sizes: list[int]) -> None:
        """In strides: as long as nothing new is left out, the beginning is the same to the letter, and stays cached."""
        steps = [a_step(number, "y" * size) for number, size in enumerate(sizes, start=1)]
        before, after = (journal.messages("Go", steps[:upto], 6_000) for upto in (len(steps) - 1, len(steps)))
        gone = [i for i, text in enumerate(results(before)) if text.startswith("(left out")]
        assert all(results(after)[i].startswith("(left out") for i in gone)
        if results(after)[: len(results(before))] == results(before):
            assert json.dumps(after[: len(before)]) == json.dumps(before)


class TestWatch:
    LIMITS = Agent(model="claude/agent", steps=3, calls=4, repeats=2, idle_steps=2, minutes=1)

    def fed(self, *steps: Step) -> Watch:
        watch = Watch(self.LIMITS, {})
        for step in steps:
            watch.after_step(step.results())
        return watch

    def test_counts_from_the_journal_alone(self) -> None:
        watch = self.fed(a_step(1, "a"), a_step(2, "b", "c"))
        assert (watch.steps, watch.calls["look"], watch.idle) == (2, 3, 0)

    def test_the_order_of_the_fields_makes_no_other_call(self) -> None:
        watch = self.fed()
        made = Made(Wanted("t", "look", {"a": 1, "b": 2}), "x", False, "read", WHEN)
        watch.after_step([made])
        assert watch.was_made("look", {"b": 2, "a": 1})
        assert not watch.was_made("look", {"b": 2})

    def test_a_step_that_only_fails_or_repeats_is_idle(self) -> None:
        failed = Made(Wanted("t", "look", {"at": 9}), "no", True, "read", WHEN)
        watch = self.fed(a_step(1, "a"))
        watch.after_step([failed])
        watch.after_step(a_step(3, "a").results())
        assert watch.idle == 2
        with pytest.raises(LimitReached, match="steps: 4 would be over the limit of 3"):
            watch.before_step(0)

    def test_says_kind_value_and_limit(self) -> None:
        with pytest.raises(LimitReached) as caught:
            self.fed().before_calls([("look", {"at": n}) for n in range(5)])
        assert caught.value.as_json() == {"kind": "calls", "value": 5, "limit": 4}

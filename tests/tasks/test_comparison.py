"""Two versions are compared on the same cases, and one that is worse does not take the other's place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest

from blocks.ledger import CaseAnswer, Evaluation, Ledger, ModelCall, PromptVersion, Record, Run, utcnow
from tasks import versions
from tasks.card import Evidence
from tasks.comparison import (
    Comparison,
    ComparisonError,
    Reference,
    compare,
    family,
    find_version,
    gate,
    mcnemar,
    pair,
    points,
    rebuilt,
    shortage,
    version_in_use,
)
from tasks.evaluate import Outcome
from tasks.evaluation_report import Report, report, verdict
from tasks.scoring import case_key, partly_read, percent, score
from tests.evaluating import Ticket, answered, answers, card_of, held_out, prompt_of, ticket

PROMPT = prompt_of()
CASES = held_out()
NOTHING: Any = ({},) * len(CASES)
OTHER = Reference("b1", "m", "as asked")


def compared(ours: dict[str, Any], theirs: dict[str, Any], **options: Any) -> Comparison:
    return compare(PROMPT, CASES, answers(CASES, **ours), answers(CASES, **theirs), OTHER, **options)


class TestPairs:
    def test_each_field_tells_who_was_right_and_which_cases_changed(self) -> None:
        ours = {"billing_held_0": ticket("access"), "billing_held_1": ticket("access"), "praise_held_0": None}
        theirs = {"billing_held_1": ticket("access"), "access_held_3": ticket("billing")}
        topic, mood = compared(ours, theirs).fields
        assert (topic.both, topic.ours, topic.theirs, topic.neither, topic.of) == (8, 1, 2, 1, 12)
        assert topic.worse == ("billing-held-0", "praise-held-0")
        assert topic.better == ("access-held-3",)
        assert topic.loss == pytest.approx(1 / 12)
        assert topic.p_value == 1.0
        assert (mood.field, mood.worse, mood.better) == ("mood", ("praise-held-0",), ())

    def test_only_shared_cases_and_wanted_fields_count(self) -> None:
        theirs = answers(CASES[:5])
        found = compare(PROMPT, CASES, answers(CASES), theirs, OTHER, fields=("topic",))
        assert (found.cases, [one.field for one in found.fields]) == (5, ["topic"])
        assert compare(PROMPT, CASES, answers(CASES), {}, OTHER).fields == ()

    @pytest.mark.parametrize(
        ("one", "other", "p"),
        [
            (0, 0, 1.0),
            (5, 5, 1.0),
            (0, 1, 1.0),
            (0, 5, 0.0625),
            (0, 6, 0.03125),
            (1, 9, 22 / 1024),
            (400, 600, 2.7e-10),
        ],
    )
    def test_mcnemar_is_the_exact_two_sided_binomial_test(self, one: int, other: int, p: float) -> None:
        assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(p, rel=0.05)


def rule(**changes: Any) -> Evidence:
    fields: dict[str, Any] = {"cases": 10, "accuracy": 0.9, "worse_by": 0.02}
    return Evidence(**fields | changes)


class TestGate:
    @pytest.mark.parametrize("wrong", [0, 1])
    def test_what_meets_the_bar_passes(self, wrong: int) -> None:
        by_name = {f"billing_held_{n}": ticket("access") for n in range(wrong)}
        assert gate(rule(), score(PROMPT, CASES, answers(CASES, **by_name), 0.5), None) == ()

    def test_a_field_under_the_bar_fails_and_says_by_how_much(self) -> None:
        scores = score(PROMPT, CASES, answers(CASES, billing_held_0=ticket("access"), access_held_0=None), 0.5)
        assert gate(rule(), scores, None) == ("topic: 83.3% right is 6.7 points under 90%",)
        assert gate(rule(judged=("mood",)), scores, None) == ()
        assert gate(rule(accuracy=0.8), scores, None) == ()

    def test_too_few_cases_fail(self) -> None:
        scores = score(PROMPT, CASES, answers(CASES), 0.5)
        assert gate(rule(cases=20, judged=("topic",)), scores, None) == (
            "topic: 12 cases are too few, the card asks for 20",
        )

    def test_a_field_that_no_case_expects_fails(self) -> None:
        scores = score(PROMPT, CASES, answers(CASES), 0.5)
        assert gate(rule(judged=("topic", "colour")), scores, None) == (
            "no case expects colour, which the card judges by",
        )
        texts = tuple(one.model_copy(update={"expect": {"summary": "x"}}) for one in CASES)
        only = score(PROMPT, texts, answers(CASES), 0.5)
        assert gate(rule(), only, None) == ("no case expects a field that can be right or wrong",)

    def test_a_regression_fails_and_a_smaller_one_passes(self) -> None:
        worse = compared({"billing_held_0": ticket("access")}, {})
        scores = score(PROMPT, CASES, answers(CASES, billing_held_0=ticket("access")), 0.5)
        assert gate(rule(), scores, worse) == (
            "topic: 8.4 points worse than b1 on 12 cases, at most 2.0 points are allowed",
        )
        assert gate(rule(worse_by=0.09), scores, worse) == ()
        assert gate(rule(), scores, compared({}, {"billing_held_0": ticket("access")})) == ()

    def test_a_regression_of_just_what_is_allowed_passes(self) -> None:
        one = pair("topic", [(str(n), n != 0, True) for n in range(50)])
        same = Comparison(version="b1", model="m", why="", cases=50, fields=(one,))
        scores = score(PROMPT, CASES, answers(CASES), 0.5)
        assert gate(rule(worse_by=0.02), scores, same) == ()
        assert gate(rule(worse_by=0.019), scores, same) != ()

    def test_shares_are_cut_and_differences_never_shown_as_nothing(self) -> None:
        assert percent(8997, 10_000) == "89.9%"
        assert points(0.0001) == "0.1 points"


@pytest.fixture
def remembered(ledger: Ledger) -> Callable[..., str]:
    """Puts a version into the ledger, with answers to some cases, and an evaluation."""

    def put(
        version: str, *, model: str = "claude-haiku-5-5", cases: Any = CASES, evaluated: bool = True,
        replies: Any = NOTHING,
    ) -> str:  # fmt: skip
        row = PromptVersion(version=version, prompt="ticket", model=model, content=versions.content(PROMPT))
        with ledger.write() as session:
            session.add(row)
            session.flush()
            evaluation = Evaluation(
                prompt="ticket", prompt_version=version, model=model, source="held_out", cases_digest="d", cases=12,
                state="done" if evaluated else "stopped",
            )  # fmt: skip
            session.add(evaluation)
            session.flush()
            session.add_all(
                CaseAnswer(
                    evaluation_id=evaluation.id, prompt_version=version, case_key=case_key(case),
                    reply=json.dumps(reply),
                    stop_reason="end_turn", input_tokens=1, output_tokens=1, cost=Decimal(0), seconds=1.0,
                )
                for case, reply in zip(cases, replies, strict=False)
            )  # fmt: skip
        return version

    return put


def used(ledger: Ledger, *asked: str, workflow: str = "tickets") -> None:
    """The workflow asks these versions, in this order."""
    with ledger.write() as session:
        session.add(Run(id=workflow, workflow=workflow, stage="gated", started_at=utcnow(), heartbeat_at=utcnow()))
        record = Record(workflow=workflow, source="s", external_id="e", payload={}, state="done")
        session.add(record)
        session.flush()
        session.add_all(
            ModelCall(
                workflow=workflow, record_id=record.id, run_id=workflow, prompt="ticket", prompt_version=version,
                model="m", attempt=1, reply="{}", stop_reason="end_turn", input_tokens=1, output_tokens=1,
                cost=Decimal(0), seconds=1.0,
            )
            for version in asked
        )  # fmt: skip


class Wider(Ticket):
    product: Literal["app", "site"]


class TestAnotherAnswerType:
    """What was answered in other fields is compared in those that both have."""

    def report(self, ledger: Ledger, remembered: Callable[..., str], asked: bool = True, renamed: Any = ()) -> Report:
        remembered("old", replies=renamed or tuple(ticket(case.expect["topic"]) for case in CASES))
        wider = prompt_of(answer=Wider)
        replies = {case_key(case): ticket(case.expect["topic"], product="app") for case in CASES}
        for case in CASES[:3]:
            replies[case_key(case)]["topic"] = "praise"
        ours = {key: replace(answered(None), answer=Wider(**said), complaint="") for key, said in replies.items()}
        outcome = Outcome(
            id=1, prompt=wider, version="new", model="m", source="held_out", cases=CASES, answers=ours, known=0,
            scores=score(wider, CASES, ours, 0.5), usd=Decimal(0), seconds=1.0,
        )  # fmt: skip
        card = card_of(accuracy=0.5)
        return report(ledger, outcome, card, Reference("old", "m", "as asked") if asked else None)

    def test_a_regression_in_a_field_that_both_have_fails(self, ledger: Ledger, remembered: Callable[..., str]) -> None:
        found = self.report(ledger, remembered)
        assert found.comparison is not None
        topic, _ = found.comparison.fields
        assert (found.comparison.cases, topic.both, topic.theirs) == (12, 9, 3)
        assert found.failures == ("topic: 25.0 points worse than old on 12 cases, at most 2.0 points are allowed",)

    @pytest.mark.parametrize("asked", [True, False])
    def test_what_cannot_be_compared_is_told_and_fails_where_it_was_asked_for(
        self, ledger: Ledger, remembered: Callable[..., str], asked: bool
    ) -> None:
        renamed = tuple({"about": "billing"} for _ in CASES)
        found = self.report(ledger, remembered, asked, renamed=renamed)
        says = "NOT COMPARED with old: its answers had other fields than today's, and only 0 of them can be compared"
        assert says in "; ".join(found.failures if asked else found.notes)
        assert found.passed is not asked
        assert ("worse than old" in verdict(found)) is False

    def test_a_single_field_that_cannot_be_compared_is_named(
        self, ledger: Ledger, remembered: Callable[..., str]
    ) -> None:
        renamed = tuple({"about": "billing", "mood": case.expect["mood"]} for case in CASES)
        found = self.report(ledger, remembered, renamed=renamed)
        assert found.notes == ("NOT COMPARED with old, whose answers had other fields: topic",)
        assert found.comparison is not None
        assert [one.field for one in found.comparison.fields] == ["mood"]

    def test_what_is_no_answer_in_any_type_is_wrong(self) -> None:
        assert partly_read(Wider, "Sure!") is None
        assert partly_read(Wider, "[1]") is None
        read = partly_read(Wider, '{"topic": "billing", "mood": 3, "else": 1}')
        assert read is not None
        assert read.model_fields_set == {"topic"}

    def test_few_shared_cases_are_told(self) -> None:
        few = compare(PROMPT, CASES, answers(CASES), answers(CASES[:9]), OTHER)
        assert shortage(rule(), few).startswith("only 9 cases are answered by b1 as well, the card asks for 10")
        assert shortage(rule(), compared({}, {})) == ""


class TestVersionInUse:
    def found(self, ledger: Ledger, version: str = "ours") -> Reference | None:
        return version_in_use(ledger, PROMPT, version, CASES, "tickets")

    def test_it_is_the_other_one_that_the_workflow_asked_last(
        self, ledger: Ledger, remembered: Callable[..., str]
    ) -> None:
        for version in ("old", "used", "ours", "newest"):
            remembered(version)
        used(ledger, "used", "old", "used", "ours")
        used(ledger, "newest", workflow="elsewhere")
        assert self.found(ledger) == Reference("used", "claude-haiku-5-5", "in use by tickets")

    def test_one_without_answers_to_the_cases_cannot_be_compared_with(
        self, ledger: Ledger, remembered: Callable[..., str]
    ) -> None:
        remembered("old")
        remembered("used", cases=())
        remembered("ours")
        used(ledger, "old", "used")
        found = self.found(ledger)
        assert found is not None
        assert found.version == "old"

    def test_else_it_is_the_newest_evaluated_one_of_the_same_kind_of_model(
        self, ledger: Ledger, remembered: Callable[..., str]
    ) -> None:
        remembered("first", model="embedded-minilm-1+aaa")
        remembered("second", model="embedded-minilm-1+bbb")
        remembered("claude")
        remembered("stopped", model="embedded-minilm-1+ccc", evaluated=False)
        remembered("ours", model="embedded-minilm-1+ddd")
        assert self.found(ledger) == Reference("second", "embedded-minilm-1+bbb", "the newest other version")
        remembered("theirs", model="claude-opus-5-5")
        assert self.found(ledger, "theirs") == Reference("ours", "embedded-minilm-1+ddd", "the newest other version")

    def test_else_there_is_none(self, ledger: Ledger, remembered: Callable[..., str]) -> None:
        remembered("ours")
        assert self.found(ledger) is None
        assert version_in_use(ledger, PROMPT, "ours", CASES, None) is None


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("claude-haiku-5-5", "claude-haiku-5-5"),
        ("claude-haiku-5-5@127.0.0.1:8080/40000", "claude-haiku-5-5"),
        ("maker/model@own.example", "maker/model"),
        ("embedded-minilm-1+abc", "embedded-minilm-1"),
    ],
)
def test_a_models_name_is_found_in_its_identity(identity: str, name: str) -> None:
    assert family(identity) == name


class TestVersions:
    def test_a_prefix_finds_the_one_that_begins_with_it(self, ledger: Ledger, remembered: Callable[..., str]) -> None:
        for version in ("ab12", "ab34", "cd56"):
            remembered(version)
        assert find_version(ledger, PROMPT, "cd56", "ab1").version == "ab12"
        assert find_version(ledger, PROMPT, "ab12", "ab").version == "ab34"

    @pytest.mark.parametrize(
        ("prefix", "says"),
        [
            ("ab", r"several versions of ticket begin with ab: ab34 \(\d\d \w+ \d{4}, claude-haiku-5-5\), ab12 \("),
            ("ff", r"no version of ticket begins with ff; there are ab34 \(.*ab12 \("),
            ("cd", r"cd56 is the version itself; there are ab34 \("),
        ],
    )
    def test_any_other_prefix_is_told_with_what_there_is(
        self, ledger: Ledger, remembered: Callable[..., str], prefix: str, says: str
    ) -> None:
        for version in ("ab12", "ab34", "cd56"):
            remembered(version)
            with ledger.write() as session:  # so that one is older than the other, however coarse the clock
                session.get_one(PromptVersion, version).created_at = utcnow() + timedelta(seconds=ord(version[2]))
        with pytest.raises(ComparisonError, match=says):
            find_version(ledger, PROMPT, "cd56", prefix)

    def test_of_many_the_newest_ten_are_named(self, ledger: Ledger, remembered: Callable[..., str]) -> None:
        for number in range(13):
            remembered(f"a{number:02}", cases=())
        with pytest.raises(ComparisonError, match="and 3 older ones"):
            find_version(ledger, PROMPT, "ours", "a")
        with pytest.raises(ComparisonError, match="there is no other yet"):
            find_version(ledger, prompt_of(name="else"), "ours", "a")

    def test_a_version_can_be_asked_again_as_it_was(self, ledger: Ledger, remembered: Callable[..., str]) -> None:
        remembered("was")
        with ledger.read() as session:
            row = session.get_one(PromptVersion, "was")
        changed = prompt_of(system="Sort better.")
        assert rebuilt(changed, row).version("m") == PROMPT.version("m")

    @pytest.mark.parametrize(
        ("content", "says"),
        [({}, "the text of version was is not in the ledger"), ({"schema": {}}, "had other fields than today's")],
    )
    def test_unless_its_text_is_gone_or_its_answers_were_others(self, content: dict[str, Any], says: str) -> None:
        full = versions.content(PROMPT) | content if content else {}
        row = PromptVersion(version="was", prompt="ticket", model="m", content=full)
        with pytest.raises(ComparisonError, match=says):
            rebuilt(PROMPT, row)

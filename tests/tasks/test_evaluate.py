"""An evaluation pays for each answer once, never goes over its limit, and loses nothing that was answered."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from blocks.anthropic import Claude
from blocks.embedded import EmbeddedModel
from blocks.ledger import CaseAnswer, Evaluation, History, Ledger, PromptVersion
from blocks.models import Reply, Request, version_of
from blocks.vendor import VendorError
from prompts import Case, Prompt, PromptError
from sandbox.client import Sandbox
from tasks.evaluate import Outcome, evaluate
from tasks.evaluation_calls import Purse, priced
from tasks.evaluation_sheet import EvaluationStopped, Progress, digest, known_answers
from tasks.scoring import case_key
from tasks.verb import WORKERS
from tests.evaluating import EXAMPLES, case, claude_at, held_out, many, prompt_of, replies, ticket

ROOT = __file__.rsplit("/tests/", 1)[0]
PROMPT = prompt_of()
EMBEDDED = EmbeddedModel()
CENT = Decimal("0.01")


class Paid:
    """A model that costs what it is told to, and remembers what was asked, and at what risk."""

    def __init__(self, worst: str = "0.10", cost: str = "0.04", error: VendorError | None = None) -> None:
        self.worst, self.cost, self.error = Decimal(worst), Decimal(cost), error
        self.asked: list[str] = []
        self.spent = self.aside = self.most = Decimal(0)
        self._lock = threading.Lock()

    @property
    def model_id(self) -> str:
        return "paid"

    @property
    def sees(self) -> bool:
        return False

    def identity(self, prompt: Prompt) -> str:  # noqa: ARG002
        return "paid"

    def threshold(self, prompt: Prompt) -> float:  # noqa: ARG002
        return 0.0

    def worst_cost(self, request: Request) -> Decimal:  # noqa: ARG002
        return self.worst

    def input_limit(self) -> int:
        return 1000

    def ask(self, request: Request) -> Reply:
        with self._lock:
            self.asked.append(request.variables["text"])
            self.aside += self.worst
            self.most = max(self.most, self.spent + self.aside)
        text = request.variables["text"]
        with self._lock:
            self.aside -= self.worst
            if self.error and "broken" in text:
                self.spent += self.worst if self.error.unknown else 0
                raise self.error
            self.spent += self.cost
        topic = next((topic for topic in EXAMPLES if topic in text), "billing")
        return Reply(json.dumps(ticket(topic)), "paid", cost=self.cost, input_tokens=10, output_tokens=1, seconds=0.5)


def run(ledger: Ledger, model: Any, cases: Sequence[Case] = (), **changes: Any) -> Outcome:
    options: dict[str, Any] = {"source": "held_out", "usd": Decimal(10), "poll_seconds": 0}
    prompt = changes.pop("prompt", PROMPT)
    return evaluate(ledger, prompt, model, cases or held_out(), **options | changes)


def rows(ledger: Ledger, table: Any = Evaluation) -> list[Any]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(table).order_by(table.id)))


@pytest.fixture
def claude(prefect_server: None, sandbox: Sandbox) -> Claude:  # noqa: ARG001
    """The sandbox's Claude. Prefect is asked for the pace at which it may be used."""
    return claude_at(sandbox.url)


def calls(sandbox: Sandbox) -> int:
    return int(sandbox.state()["counts"]["model_calls"])


class TestEmbedded:
    def test_an_evaluation_is_scored_and_kept_with_the_prompts_text(self, ledger: Ledger) -> None:
        seen: list[Progress] = []
        found = run(ledger, EMBEDDED, on_progress=seen.append, confidence=0.5)
        (row,) = rows(ledger)
        assert found.version == row.prompt_version == version_of(PROMPT, EMBEDDED)
        assert (row.state, row.source, row.cases, row.model) == ("done", "held_out", 12, "embedded-minilm-1")
        assert row.scores == found.scores.model_dump(mode="json")
        assert row.cases_digest == digest(held_out()[::-1])
        assert row.cost == found.usd == found.known == 0
        assert row.seconds > 0
        assert row.ended_at is not None
        assert found.scores.fields[0].right >= 9
        assert found.scores.threshold is not None
        assert found.scores.threshold >= 0.5
        assert [progress.answered for progress in seen] == [0, 12]
        assert len(rows(ledger, CaseAnswer)) == 12
        with ledger.read() as session:
            assert session.get_one(PromptVersion, found.version).content["system"] == PROMPT.system

    def test_the_history_tells_of_it_without_a_case(self, ledger: Ledger) -> None:
        found = run(ledger, EMBEDDED)
        (entry,) = [row for row in rows(ledger, History) if row.event == "evaluation"]
        assert entry.subject == f"evaluations/{found.id}"
        assert (entry.detail["prompt"], entry.detail["version"]) == ("ticket", found.version)
        topic = found.scores.fields[0]
        assert entry.detail["accuracy"]["topic"] == round(topic.right / topic.of, 4)
        assert "billing-held" not in str(entry.detail)

    @pytest.mark.both_databases
    def test_what_is_known_is_not_asked_again_unless_it_is_wanted(self, ledger: Ledger) -> None:
        first = run(ledger, EMBEDDED)
        second = run(ledger, EMBEDDED)
        assert (first.known, second.known, len(rows(ledger, CaseAnswer))) == (0, 12, 12)
        assert second.scores.fields == first.scores.fields
        third = run(ledger, EMBEDDED, again=True)
        assert (third.known, len(rows(ledger, CaseAnswer))) == (0, 24)
        assert [row.state for row in rows(ledger)] == ["done"] * 3

    def test_an_example_more_is_a_version_with_nothing_known(self, ledger: Ledger) -> None:
        run(ledger, EMBEDDED)
        taught = prompt_of()
        extra = case("extra", "The discount is missing on our bill.", "billing", split="example")
        vars(taught)["cases"] = (*PROMPT.cases, extra)
        assert run(ledger, EMBEDDED, prompt=taught).known == 0

    def test_a_thousand_cases_are_embedded_together(self, ledger: Ledger) -> None:
        sizes: list[int] = []

        class Told(EmbeddedModel):
            def ask_many(self, requests: Sequence[Request]) -> list[Reply]:
                sizes.append(len(requests))
                return super().ask_many(requests)

        found = run(ledger, Told(), many(120))
        assert sizes == [50, 50, 20]
        assert found.scores.cases == 120

    def test_a_field_that_it_cannot_fill_in_is_told(self, ledger: Ledger) -> None:
        with pytest.raises(PromptError, match="nothing uses subject"):
            run(ledger, EMBEDDED, prompt=prompt_of(user="{{ text }}", settings=PROMPT.settings.model_copy(
                update={"classify": ("text",)})))  # fmt: skip
        assert rows(ledger) == []

    def test_it_takes_no_batches(self, ledger: Ledger) -> None:
        with pytest.raises(EvaluationStopped, match="embedded-minilm-1 takes no batches: leave out --batch"):
            run(ledger, EMBEDDED, batch=True)
        assert rows(ledger) == []


class TestClaude:
    def test_answers_are_paid_for_once(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        sandbox.script(*replies(held_out(), wrong=("billing-held-1",), usage={"input_tokens": 1000}))
        found = run(ledger, claude)
        assert calls(sandbox) == 12
        assert [field.right for field in found.scores.fields] == [11, 11]
        assert found.usd == sum(row.cost for row in rows(ledger, CaseAnswer)) == rows(ledger)[0].cost > 0
        assert found.scores.seconds_median > 0
        again = run(ledger, claude, (*held_out(), *many(2)))
        assert (calls(sandbox), again.known, len(again.answers)) == (14, 12, 14)
        assert 0 < again.usd < found.usd
        assert again.scores.cost == pytest.approx(float(found.usd + again.usd))

    def test_an_unusable_answer_is_not_asked_for_again(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        sandbox.script({"fault": "refusal"}, {"text": "Sure! It is about billing."}, *replies(held_out()))
        found = run(ledger, claude)
        assert (calls(sandbox), found.scores.usable, found.scores.fields[0].right) == (12, 10, 10)
        complaints = {one.complaint.split(":")[0] for one in found.answers.values() if one.answer is None}
        assert complaints == {"the model refused to answer", "the answer is not JSON"}
        assert run(ledger, claude).known == 12

    @pytest.mark.usefixtures("fast_retries")
    def test_what_may_pass_is_tried_again(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        sandbox.script({"fault": "overloaded"}, {"fault": "rate_limited", "retry_after": 0}, *replies(held_out()))
        found = run(ledger, claude)
        assert (calls(sandbox), found.scores.fields[0].right) == (14, 12)

    @pytest.mark.usefixtures("fast_retries")
    def test_what_does_not_pass_stops_it_and_what_came_is_kept(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        broken = held_out()[6]
        sandbox.script({"fault": "server_error", "when": broken.inputs["text"], "times": None}, *replies(held_out()))
        with pytest.raises(EvaluationStopped, match=rf"stopped at case {broken.name}: .*1[01] of 12 cases are ans"):
            run(ledger, claude)
        sandbox.clear_script()
        before, there = calls(sandbox), len(rows(ledger, CaseAnswer))
        sandbox.script(*replies(held_out()))
        found = run(ledger, claude)
        assert [row.state for row in rows(ledger)] == ["stopped", "done"]
        assert (found.known, calls(sandbox) - before) == (there, 12 - there)

    def test_a_dead_key_stops_it_at_once(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        sandbox.script({"fault": "unauthorized", "times": None})
        with pytest.raises(EvaluationStopped, match=r"401.*0 of 40 cases.*the same command goes on"):
            run(ledger, claude, many(40))
        assert calls(sandbox) <= 8

    def test_a_price_that_nobody_knows_is_told_before_anything_is_begun(self, ledger: Ledger, sandbox: Sandbox) -> None:
        with pytest.raises(VendorError, match="the price list has no model 'own'"):
            run(ledger, claude_at(sandbox.url, model="own"))
        assert rows(ledger) == []
        assert calls(sandbox) == 0

    def test_the_limit_holds_and_says_the_way_out(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        cases = many(60)
        sandbox.script(*replies(cases, usage={"input_tokens": 1000}))
        worst = claude.worst_cost(Request(PROMPT, cases[0].inputs))
        limit = 15 * worst
        with pytest.raises(EvaluationStopped, match=r"of 60 cases are answered.*go on with --max-usd 0\.\d\d") as told:
            run(ledger, claude, cases, usd=limit)
        (row,) = rows(ledger)
        there = len(rows(ledger, CaseAnswer))
        assert row.state == "stopped"
        assert 15 <= there < 60
        assert limit - worst < row.cost <= limit
        enough = Decimal(str(told.value).rsplit("--max-usd ", 1)[1])
        assert run(ledger, claude, cases, usd=enough).known == there
        assert calls(sandbox) == 60

    def test_an_input_that_does_not_fit_is_shortened_as_a_run_does_or_unusable(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        cases = (case("long", "billing " * 300, "billing"), *many(2))
        sandbox.script({"json": ticket(), "times": None})
        small = claude.model_copy(update={"input_characters": 1000})
        run(ledger, small, cases)
        sent = max(len(str(body["messages"])) for body in sandbox.model_calls())
        assert sent < 1200
        tiny = claude.model_copy(update={"input_characters": 200})
        found = run(ledger, tiny, cases, again=True)
        assert (calls(sandbox), found.scores.usable) == (5, 2)


class TestLimit:
    @pytest.mark.parametrize("limit", ["0.05", "0.10", "0.35", "1.00", "1.61"])
    def test_it_is_never_passed_however_many_ask_at_once(self, ledger: Ledger, limit: str) -> None:
        model = Paid()
        with pytest.raises(EvaluationStopped, match="stopped at the limit"):
            run(ledger, model, many(50), usd=Decimal(limit))
        assert model.most <= Decimal(limit)
        assert model.spent == rows(ledger)[0].cost
        # Nothing is refused while what is under way may still turn out to be cheap.
        assert model.spent + model.worst > Decimal(limit)

    def test_a_lost_reply_counts_at_its_worst(self, ledger: Ledger) -> None:
        lost = VendorError("paid", "ask", "no reply", permanent=True, unknown=True)
        model = Paid(error=lost)
        with pytest.raises(EvaluationStopped, match="no reply"):
            run(ledger, model, [case("one", "broken", "billing")], usd=Decimal(1))
        assert rows(ledger)[0].cost == model.spent == Decimal("0.10")

    @pytest.mark.usefixtures("fast_retries")
    def test_and_once_more_each_time_that_it_is_tried_again(self, ledger: Ledger) -> None:
        model = Paid(error=VendorError("paid", "ask", "no reply", permanent=False, unknown=True))
        with pytest.raises(EvaluationStopped, match="no reply"):
            run(ledger, model, [case("one", "broken", "billing")], usd=Decimal(1))
        assert len(model.asked) == 4
        assert rows(ledger)[0].cost == model.spent == Decimal("0.40")

    def test_a_refused_call_costs_nothing(self, ledger: Ledger) -> None:
        model = Paid(error=VendorError("paid", "ask", "no", permanent=True, status=400))
        with pytest.raises(EvaluationStopped, match="case one: paid: ask: no"):
            run(ledger, model, [case("one", "broken", "billing")], usd=Decimal(1))
        assert rows(ledger)[0].cost == 0

    @given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 100)), min_size=1, max_size=40), st.integers(1, 200))
    def test_the_purse_holds_for_any_calls(self, planned: list[tuple[int, int]], limit: int) -> None:
        purse, most = Purse(Decimal(limit)), [Decimal(0)]

        def call(plan: tuple[int, int]) -> None:
            worst = Decimal(plan[0])
            if purse.take(worst):
                most.append(purse.spent)
                purse.settle(worst, worst * plan[1] / 100)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(call, planned))
        assert purse.spent <= limit
        assert max(most) <= limit

    def test_neighbours_in_length_are_priced_as_the_longest(self) -> None:
        claude = claude_at("http://127.0.0.1:1")
        requests = {str(n): Request(PROMPT, {"subject": "", "text": "é<" * n}) for n in range(0, 900, 7)}
        sized = {key: (each, len("".join(PROMPT.render(each.variables)).encode())) for key, each in requests.items()}
        wanted = priced(claude, sized)
        assert list(wanted) == list(requests)
        for request, worst in wanted.values():
            exact = claude.worst_cost(request)
            assert exact <= worst <= exact + claude.worst_cost(requests["133"]) - claude.worst_cost(requests["0"])


def test_ctrl_c_waits_for_what_is_under_way_and_keeps_it(ledger: Ledger) -> None:
    def press(progress: Progress) -> None:
        if progress.answered:
            raise KeyboardInterrupt

    model = Paid()
    with pytest.raises(KeyboardInterrupt):
        run(ledger, model, many(40), on_progress=press)
    kept = [row.case_key for row in rows(ledger, CaseAnswer)]
    assert len(kept) == len(set(kept)) == len(model.asked)
    (row,) = rows(ledger)
    assert (row.state, row.cost) == ("stopped", model.spent)


KILLED = """
import os, signal, sys
from decimal import Decimal
from blocks.ledger import Ledger
from tasks.evaluate import evaluate
from tests.evaluating import claude_at, many, prompt_of

def stop(progress):
    if progress.answered >= 10:
        os.kill(os.getpid(), signal.SIGKILL)

model, usd = claude_at(sys.argv[1]), Decimal(10)
evaluate(Ledger.open(), prompt_of(), model, many(60), source="held_out", usd=usd, on_progress=stop)
"""


def test_a_kill_minus_9_loses_at_most_what_is_under_way(
    ledger: Ledger, sandbox: Sandbox, claude: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL

    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    cases = many(60)
    sandbox.script(*replies(cases))
    slow = sandbox.fault("hang", "anthropic", seconds=0.1, commit=True, times=None)
    died = subprocess.run([sys.executable, "-c", KILLED, sandbox.url], cwd=ROOT, check=False, timeout=60)
    sandbox.clear_faults(slow)
    assert died.returncode == -signal.SIGKILL
    paid, kept = calls(sandbox), len(rows(ledger, CaseAnswer))
    assert 10 <= kept < 60
    assert paid - kept <= 2 * WORKERS  # those under way, and those that came while the last ones were written
    (row,) = rows(ledger)
    assert row.state == "running"
    assert row.cost >= sum(each.cost for each in rows(ledger, CaseAnswer))
    found = run(ledger, claude, cases)
    assert (found.known, calls(sandbox) - paid) == (kept, 60 - kept)
    assert found.scores.fields[0].right == 60
    assert [row.state for row in rows(ledger)] == ["stopped", "done"]


def leave(progress: Progress) -> None:
    """Press Ctrl-C once the batch is under way."""
    if progress.batch:
        raise KeyboardInterrupt


class TestBatch:
    def test_it_costs_half_and_is_scored(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        cases = held_out()
        sandbox.script(*replies(cases, wrong=("access-held-0",), usage={"input_tokens": 1000, "output_tokens": 100}))
        sandbox.batches(polls=2)
        seen: list[Progress] = []
        found = run(ledger, claude, batch=True, on_progress=seen.append)
        assert [field.right for field in found.scores.fields] == [11, 11]
        assert found.usd == rows(ledger)[0].cost
        one = run(ledger, claude, cases, again=True)
        assert found.usd * 2 == one.usd
        assert found.scores.seconds_median == 0.0
        assert {progress.batch for progress in seen} == {"msgbatch_sandbox00000001", ""}
        assert seen[-1].answered == 12
        assert rows(ledger)[0].batch_id is None

    def test_one_that_was_left_is_taken_up_and_not_handed_in_twice(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        sandbox.script(*replies(held_out()))
        sandbox.batches(polls=1)
        with pytest.raises(KeyboardInterrupt):
            run(ledger, claude, batch=True, on_progress=leave)
        (row,) = rows(ledger)
        assert (row.state, row.batch_id, row.ended_at) == ("running", "msgbatch_sandbox00000001", None)
        found = run(ledger, claude, batch=True)
        assert (found.id, calls(sandbox), found.scores.fields[0].right) == (row.id, 12, 12)
        (row,) = rows(ledger)
        assert (row.state, row.batch_id) == ("done", None)

    def test_one_that_was_left_is_not_paid_for_again_one_by_one(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        sandbox.script(*replies(held_out()))
        sandbox.batches(polls=2)
        with pytest.raises(KeyboardInterrupt):
            run(ledger, claude, batch=True, on_progress=leave)
        with pytest.raises(EvaluationStopped, match=r"msgbatch_sandbox00000001 is under way .*signoff eval ticket --b"):
            run(ledger, claude)
        assert [(row.state, row.batch_id) for row in rows(ledger)] == [("running", "msgbatch_sandbox00000001")]
        found = run(ledger, claude, (*held_out(), *many(1)))  # it has ended: only what it leaves is asked
        assert (calls(sandbox), found.scores.cases, found.usd) == (13, 13, rows(ledger)[-1].cost)
        assert len(rows(ledger, CaseAnswer)) == 13

    def test_again_asks_whatever_is_under_way(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        sandbox.script(*replies(held_out()))
        sandbox.batches(polls=2)
        with pytest.raises(KeyboardInterrupt):
            run(ledger, claude, batch=True, on_progress=leave)
        assert run(ledger, claude, again=True).known == 0
        assert [(row.state, row.batch_id is None) for row in rows(ledger)] == [("running", False), ("done", True)]

    def test_a_row_never_has_the_source_of_one_and_the_scores_of_another(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        sandbox.script(*replies((*held_out(), *many(3))))
        sandbox.batches(polls=1)

        def meanwhile(progress: Progress) -> None:
            if progress.batch and len(rows(ledger)) == 1:
                run(ledger, claude, many(3), batch=True, source="other.jsonl")

        found = run(ledger, claude, batch=True, on_progress=meanwhile)
        mine, other = rows(ledger)
        assert (mine.id, mine.source, mine.cases, mine.scores["cases"]) == (found.id, "held_out", 12, 12)
        assert (other.source, other.cases, other.scores["cases"]) == ("other.jsonl", 3, 3)
        assert {mine.state, other.state} == {"done"}
        assert mine.batch_id is other.batch_id is None
        assert len(rows(ledger, CaseAnswer)) == 15
        assert mine.cost + other.cost == sum(row.cost for row in rows(ledger, CaseAnswer))

    def test_cases_that_have_come_since_are_handed_in_after_it(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        more = (*held_out(), *many(3))
        sandbox.script(*replies(more))
        sandbox.batches(polls=1)
        with pytest.raises(KeyboardInterrupt):
            run(ledger, claude, batch=True, on_progress=leave)
        found = run(ledger, claude, more, batch=True)
        assert (calls(sandbox), found.scores.cases, found.scores.fields[0].right) == (15, 15, 15)

    def test_its_worst_at_half_price_must_fit_before_it_is_handed_in(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        worst = sum((claude.worst_cost(Request(PROMPT, each.inputs)) for each in held_out()), Decimal(0))
        with pytest.raises(EvaluationStopped, match=r"stopped at the limit.*\$0\.\d\d with --batch"):
            run(ledger, claude, batch=True, usd=worst / 2 - CENT / 10)
        assert calls(sandbox) == 0
        sandbox.script(*replies(held_out()))
        assert run(ledger, claude, batch=True, usd=worst / 2 + CENT / 10).usd <= worst / 2

    def test_what_expired_is_left_to_the_next(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        late = held_out()[3]
        sandbox.script(*replies(held_out()))
        sandbox.batches(expire=[case_key(late)])
        with pytest.raises(EvaluationStopped, match=rf"stopped at case {late.name}: .*24 hours.*11 of 12"):
            run(ledger, claude, batch=True)
        sandbox.batches()
        found = run(ledger, claude, batch=True)
        assert (found.known, calls(sandbox), found.scores.fields[0].right) == (11, 12, 12)

    def test_one_whose_results_are_gone_is_not_waited_for_for_ever(
        self, ledger: Ledger, sandbox: Sandbox, claude: Claude
    ) -> None:
        sandbox.script(*replies(held_out()))

        sandbox.batches(polls=1)
        with pytest.raises(KeyboardInterrupt):
            run(ledger, claude, batch=True, on_progress=leave)
        assert claude.batch_results("msgbatch_sandbox00000001")
        sandbox.batches(archive=True)
        with pytest.raises(EvaluationStopped, match="are gone; submit it again"):
            run(ledger, claude, batch=True)
        assert [(row.state, row.batch_id) for row in rows(ledger)] == [("stopped", None)]
        assert run(ledger, claude, batch=True).scores.fields[0].right == 12

    @pytest.mark.usefixtures("fast_retries")
    def test_one_that_cannot_be_looked_at_now_runs_on(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        sandbox.script(*replies(held_out()))
        number = sandbox.fault("server_error", "anthropic", "*/results", times=None)
        with pytest.raises(EvaluationStopped, match="batch msgbatch_sandbox00000001 runs on"):
            run(ledger, claude, batch=True)
        sandbox.clear_faults(number)
        sandbox.fault("overloaded", "anthropic", "*/results", times=2)
        assert run(ledger, claude, batch=True).scores.fields[0].right == 12
        assert calls(sandbox) == 12

    @pytest.mark.both_databases
    def test_two_that_wait_for_one_batch_count_it_once(self, ledger: Ledger, sandbox: Sandbox, claude: Claude) -> None:
        sandbox.script(*replies(held_out()))

        sandbox.batches(polls=1)
        others: list[Outcome] = []

        def be_overtaken(progress: Progress) -> None:
            if progress.batch and not others:
                others.append(run(ledger, claude, batch=True))

        found = run(ledger, claude, batch=True, on_progress=be_overtaken)
        assert (calls(sandbox), len(rows(ledger, CaseAnswer))) == (12, 12)
        assert found.usd == others[0].usd == rows(ledger)[0].cost
        assert found.scores == others[0].scores


def test_answers_can_be_read_for_another_set_of_cases(ledger: Ledger) -> None:
    found = run(ledger, Paid(), many(6))
    some = {case_key(each) for each in many(3)}
    assert known_answers(ledger, PROMPT, found.version, found.answers.keys()) == found.answers
    assert known_answers(ledger, PROMPT, found.version, some).keys() == some
    assert known_answers(ledger, PROMPT, "other", some) == {}


def test_a_bug_in_a_model_is_no_answer_and_stops_everything(ledger: Ledger) -> None:
    class Buggy(Paid):
        def ask(self, request: Request) -> Reply:
            if "0007" in request.variables["text"]:
                raise ZeroDivisionError
            return super().ask(request)

    with pytest.raises(ZeroDivisionError):
        run(ledger, Buggy(), many(30))
    assert rows(ledger)[0].state == "stopped"
    assert 7 <= len(rows(ledger, CaseAnswer)) < 30

"""Asking the library: free where the model is, else paid for, written down and limited; and always with citations."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from blocks.anthropic import Claude
from blocks.ledger import Ledger, ModelCall, Record, Reservation, Run, utcnow
from blocks.library import STRANGERS, Library, LibraryError, Scope, audience_of
from blocks.models import Model, Reply, Request
from blocks.vendor import VendorError
from flows.support_answer import CARD
from prompts.support_answer.answer import SupportAnswer
from sandbox import credentials
from sandbox.client import Sandbox
from tasks import asking
from tasks.asking import WORKFLOW, Answered, NotAnswered
from tests.answering import built_in
from tests.librarian import put

ANYBODY = Scope((STRANGERS,))
ASKED = "How do I choose the layout of the labels that a printer prints?"
LAYOUT = "Open Settings > Printers. Under Layout choose Narrow."


@pytest.fixture
def manual(library: Library) -> Library:
    """A library with a page for everybody, and one for colleagues."""
    put(library, "labels.md", f"Printers and labels: {LAYOUT}")
    put(
        library,
        "prices.md",
        "Layout of prices: Never tell that the labels cost 4 EUR.",
        readers=frozenset({"domain:a.b"}),
    )
    return library


@pytest.fixture
def claude(sandbox: Sandbox) -> Claude:
    """The pretend Claude, without a Prefect server that would keep its key."""
    key = SecretStr(credentials.ANTHROPIC_API_KEY)
    return Claude(api_key=key, address=f"{sandbox.url}/anthropic", timeout_seconds=5)


@pytest.fixture
def ask(ledger: Ledger, manual: Library) -> Callable[..., Answered]:
    """Asks a model, with the card of the support answers or one that differs from it."""

    def once(model: Model, question: str = ASKED, scope: Scope = ANYBODY, **changes: Any) -> Answered:
        return asking.ask(ledger, manual, CARD.model_copy(update=changes), model, question, scope)

    return once


def said(text: str = "Under Layout choose Narrow.", *sources: int) -> dict[str, Any]:
    sentence = {"text": text, "sources": list(sources or (1,))}
    labels = {"topic": "how_to", "urgency": "low", "confidence": 0.9}
    answer = labels | {"summary": "Asks for the layout.", "answer": [sentence], "missing": ""}
    return {"json": answer, "usage": {"input_tokens": 1000, "output_tokens": 100}}


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(table).order_by(table.id)))


def test_the_built_in_model_needs_neither_a_server_nor_the_ledger(ledger: Ledger, ask: Callable[..., Answered]) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        asked = ask(built_in())
    assert isinstance(asked.answer, SupportAnswer)
    assert [one.text for one in asked.answer.answer] == ["Open Settings > Printers.", "Under Layout choose Narrow."]
    assert {one.sources for one in asked.answer.answer} == {(1,)}
    assert [passage["document"] for passage in asked.passages] == ["labels.md"]
    assert asked.model == built_in().model_id
    for table in (Record, ModelCall, Reservation, Run):
        assert rows(ledger, table) == []


def test_a_paid_answer_is_written_down_with_what_it_cost(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered]
) -> None:
    sandbox.script(said())
    asked = ask(claude)
    assert asked.answer == SupportAnswer.model_validate(said()["json"])
    assert asked.model == claude.model_id
    (record,), (call,), (run,) = (rows(ledger, table) for table in (Record, ModelCall, Run))
    assert (record.workflow, record.source, record.state, record.title) == (WORKFLOW, "terminal", "done", ASKED)
    assert record.payload == {"text": ASKED}
    assert (call.workflow, call.record_id, call.run_id, call.attempt) == (WORKFLOW, record.id, run.id, 1)
    assert (call.input_tokens, call.output_tokens, call.prompt) == (1000, 100, "support_answer")
    assert call.cost > 0
    assert (run.workflow, run.stage) == (WORKFLOW, "shadow")
    assert run.ended_at is not None
    assert rows(ledger, Reservation) == []
    (sent,) = sandbox.model_calls()
    assert "<question>\nFrom: \n" in sent["messages"][0]["content"]
    assert ASKED in sent["messages"][0]["content"]
    assert LAYOUT in sent["messages"][0]["content"]


def test_what_a_call_can_cost_is_set_aside_while_it_is_made(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered], monkeypatch: pytest.MonkeyPatch
) -> None:
    aside: list[list[Decimal]] = []
    asks = Claude.ask

    def watched(model: Claude, request: Request) -> Reply:
        aside.append([row.worst for row in rows(ledger, Reservation)])
        assert aside[-1] == [model.worst_cost(request)]
        return asks(model, request)

    monkeypatch.setattr(Claude, "ask", watched)
    sandbox.script(said("Choose 5."), said())
    ask(claude)
    assert [len(each) for each in aside] == [1, 1]
    assert rows(ledger, Reservation) == []


def test_a_bad_citation_is_asked_again_with_what_is_wrong(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered]
) -> None:
    sandbox.script(said("Choose layout 77."), {"fault": "prose"}, said())
    assert ask(claude).answer == SupportAnswer.model_validate(said()["json"])
    first, second, third = (call["messages"] for call in sandbox.model_calls())
    assert [len(turns) for turns in (first, second, third)] == [1, 3, 5]
    assert "says 77, which passage 1 does not hold" in second[2]["content"]
    assert "the answer is not JSON" in third[4]["content"]
    assert [call.attempt for call in rows(ledger, ModelCall)] == [1, 2, 3]
    assert len(rows(ledger, Record)) == 1


def test_after_three_bad_answers_there_is_none_and_the_reason_is_told(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered]
) -> None:
    sandbox.script(said("Choose Wide.", 2) | {"times": None})
    with pytest.raises(NotAnswered) as caught:
        ask(claude)
    assert str(caught.value) == (
        "no usable answer after 3 attempts: "
        "sentence 1 (Choose Wide.) cites passage 2, which was not given; given were 1"
    )
    assert len(rows(ledger, ModelCall)) == len(sandbox.model_calls()) == 3
    assert all(call.cost > 0 for call in rows(ledger, ModelCall))


def test_a_refusal_is_not_asked_again(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered]
) -> None:
    sandbox.script({"fault": "refusal", "times": None})
    with pytest.raises(NotAnswered, match="no usable answer after 1 attempt: the model refused to answer"):
        ask(claude)
    assert len(rows(ledger, ModelCall)) == 1


@pytest.mark.parametrize("limit", ["usd_per_run", "usd_per_day", "usd_per_month"])
def test_a_dollar_limit_is_kept_before_the_first_call(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered], limit: str
) -> None:
    with pytest.raises(NotAnswered, match=rf"stopped asking the model: {limit} is \$0\.0001"):
        ask(claude, **{limit: Decimal("0.0001")})
    assert sandbox.model_calls() == []
    assert rows(ledger, ModelCall) == rows(ledger, Reservation) == []


def test_a_dollar_limit_is_kept_between_the_calls_and_the_account_is_its_own(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered], add_question: Callable[..., int]
) -> None:
    theirs = add_question("done")
    with ledger.write() as session:
        session.add(Run(id="r", workflow=CARD.workflow, stage="gated", started_at=utcnow(), heartbeat_at=utcnow()))
        session.flush()
        session.add(
            ModelCall(
                workflow=CARD.workflow, record_id=theirs, run_id="r", prompt="support_answer", prompt_version="v",
                model="m", attempt=1, reply="{}", stop_reason="end_turn", input_tokens=1, output_tokens=1,
                cost=Decimal("4.9999"), seconds=1,
            )
        )  # fmt: skip
    sandbox.script(said("Choose 5.") | {"usage": {"input_tokens": 9000, "output_tokens": 1200}}, said())
    ask(claude, usd_per_day=Decimal("5"))
    spent = sum(call.cost for call in rows(ledger, ModelCall) if call.workflow == WORKFLOW)
    made = len(sandbox.model_calls())
    sandbox.script(said())
    with pytest.raises(NotAnswered, match="usd_per_day"):
        ask(claude, usd_per_day=spent + Decimal("0.0001"))
    assert len(sandbox.model_calls()) == made == 2


def test_a_lost_reply_counts_at_its_worst_and_the_error_is_told(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered]
) -> None:
    sandbox.fault("reply_lost", "anthropic")
    with pytest.raises(VendorError) as caught:
        ask(claude)
    assert caught.value.unknown
    (call,) = rows(ledger, ModelCall)
    assert (call.stop_reason, call.cost > 0) == ("lost", True)
    assert rows(ledger, Reservation) == []
    assert rows(ledger, Run)[0].ended_at is not None


def test_only_what_the_reader_may_see_is_told_to_the_model(
    sandbox: Sandbox, claude: Claude, ask: Callable[..., Answered]
) -> None:
    sandbox.script(said() | {"times": None})
    assert [passage["document"] for passage in ask(claude).passages] == ["labels.md"]
    assert "4 EUR" not in sandbox.model_calls()[-1]["messages"][0]["content"]
    everything = ask(claude, scope=Scope(()))
    colleague = ask(claude, scope=Scope((audience_of("ann@a.b"),)))
    for asked in (everything, colleague):
        assert {passage["document"] for passage in asked.passages} == {"labels.md", "prices.md"}


@pytest.mark.usefixtures("sandbox")
def test_a_library_that_cannot_be_used_costs_nothing(
    ledger: Ledger, claude: Claude, manual: Library, ask: Callable[..., Answered]
) -> None:
    with manual.write() as connection:
        connection.exec_driver_sql("UPDATE library_meta SET value = 'old' WHERE key = 'format'")
    with pytest.raises(LibraryError, match="signoff library index"):
        ask(claude)
    assert rows(ledger, Record) == rows(ledger, Run) == []


def test_old_questions_lose_their_words_as_everything_else_does(
    sandbox: Sandbox, ledger: Ledger, claude: Claude, ask: Callable[..., Answered]
) -> None:
    sandbox.script(said() | {"times": None})
    ask(claude)
    with ledger.write() as session:
        session.execute(sa.update(Record).values(updated_at=utcnow() - timedelta(days=91)))
    ask(claude, question=f"{ASKED} Please.")
    old, new = rows(ledger, Record)
    assert (old.title, old.payload, old.redacted_at is None) == ("", {}, False)
    assert (new.payload, new.redacted_at) == ({"text": f"{ASKED} Please."}, None)
    first, second = rows(ledger, ModelCall)
    assert (first.reply, json.loads(second.reply)) == ("", said()["json"])

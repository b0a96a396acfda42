"""A model's answer is asked for once, checked, asked for again with the complaint, or set aside; within the budget."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

import prompts
from blocks import connections
from blocks.anthropic import Claude
from blocks.embedded import EmbeddedModel
from blocks.ledger import Ledger, ModelCall, Record, utcnow
from blocks.ledger import Run as RunRow
from blocks.models import Request, version_of
from blocks.vendor import VendorError
from flows.lead_triage import variables
from sandbox import credentials
from sandbox.client import Sandbox
from tasks import fetch, prompt, validate
from tasks.budget import spent_since
from tasks.prompt import SHORTEST, TooLong, fit
from tasks.run import Run

Begin = Callable[..., AbstractContextManager[Run]]
Answer = Callable[..., dict[str, Any]]


@pytest.fixture
def triage(accounts: Callable[[], None], begin: Begin) -> Callable[..., list[str]]:
    """One run that claims what there is, asks Claude and validates; returns the run's notes."""
    accounts()

    def run_once(**changes: object) -> list[str]:
        with begin(**changes) as run:
            ids = fetch.claim(run, 100)
            prompt.ask(run, ids, variables)
            validate.answers(run, ids, variables)
            return run.notes

    return run_once


@pytest.fixture
def save_claude(accounts: Callable[[], None], sandbox: Sandbox) -> Callable[..., None]:
    """Saves the pretend Claude with other settings."""
    accounts()

    def save(**changes: Any) -> None:
        fields: dict[str, Any] = {
            "api_key": SecretStr(credentials.ANTHROPIC_API_KEY),
            "address": f"{sandbox.url}/anthropic",
            "timeout_seconds": 5,
        }
        connections.save("claude/triage", Claude(**fields | changes))

    return save


def get(ledger: Ledger, number: int) -> Record:
    with ledger.read() as session:
        return session.get_one(Record, number)


def calls(ledger: Ledger) -> list[ModelCall]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(ModelCall).order_by(ModelCall.id)))


def states(ledger: Ledger) -> list[str]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Record.state).order_by(Record.id)))


def spend_before(ledger: Ledger, record: int, usd: str) -> None:
    with ledger.write() as session:
        session.add(RunRow(id="r", workflow="lead-triage", stage="gated", started_at=utcnow(), heartbeat_at=utcnow()))
        session.flush()
        session.add(
            ModelCall(
                workflow="lead-triage",
                record_id=record,
                run_id="r",
                prompt="lead_triage",
                prompt_version="v",
                model="m",
                attempt=1,
                reply="{}",
                stop_reason="end_turn",
                input_tokens=1,
                output_tokens=1,
                cost=Decimal(usd),
                seconds=1,
            )
        )


def worst_cost(ledger: Ledger, number: int) -> Decimal:
    claude = connections.load_if_present("claude/triage")
    assert isinstance(claude, Claude)
    return claude.worst_cost(Request(prompts.load("lead_triage"), variables(get(ledger, number))))


def test_a_good_answer_is_stored_with_what_it_cost(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]], triaged: Answer
) -> None:
    number = add_record()
    usage = {"input_tokens": 200, "output_tokens": 100, "cache_read_input_tokens": 700}
    sandbox.script({"json": triaged("support"), "usage": usage | {"cache_creation_input_tokens": 100}})
    assert triage() == []
    record, (call,) = get(ledger, number), calls(ledger)
    assert (record.state, record.answer) == ("validated", triaged("support"))
    assert (call.input_tokens, call.output_tokens, call.attempt) == (1000, 100, 1)
    assert (call.cache_read_tokens, call.cache_write_tokens) == (700, 100)
    paid = 200 + Decimal("0.1") * 700 + Decimal("1.25") * 100 + 5 * 100  # output costs five times as much as input
    assert call.cost == paid * Decimal("0.1") / 1_000_000
    assert json.loads(call.reply) == triaged("support")
    version = version_of(prompts.load("lead_triage"), connections.load("claude/triage"))
    assert call.prompt_version == record.prompt_version == version
    assert call.run_id


GARBAGE: dict[str, tuple[dict[str, Any], str]] = {
    "prose": ({"fault": "prose"}, "the answer is not JSON"),
    "truncated": ({"fault": "truncated_json"}, "the answer was cut off at the prompt's max_tokens"),
    "broken off": ({"text": '{"intent": "spam", "urge'}, "the answer is not JSON"),
    "fenced": ({"text": '```json\n{"intent": "spam"}\n```'}, "the answer is not JSON"),
    "wrong enum": ({"json": {"intent": "sales"}}, "intent: Input should be 'demo_request', "),
    "over-long summary": ({"json": {"summary": "x" * 201}}, "summary: String should have at most 200 characters"),
    "too sure": ({"json": {"confidence": 1.5}}, "confidence: Input should be less than or equal to 1"),
    "unknown field": ({"json": {"priority": 1}}, "priority: Extra inputs are not permitted"),
}


def garbage(name: str, triaged: Answer) -> tuple[dict[str, Any], str]:
    reply, complaint = GARBAGE[name]
    return ({"json": triaged(**reply["json"])} if "json" in reply else reply), complaint


@pytest.mark.parametrize("name", GARBAGE)
def test_an_unusable_answer_is_asked_for_again_with_the_complaint(
    sandbox: Sandbox,
    ledger: Ledger,
    add_record: Callable[..., int],
    triage: Callable[..., list[str]],
    triaged: Answer,
    name: str,
) -> None:
    number = add_record()
    bad, complaint = garbage(name, triaged)
    sandbox.script(bad, {"json": triaged()})
    triage()
    assert get(ledger, number).state == "validated"
    first, second = (call["messages"] for call in sandbox.model_calls())
    assert second[0] == first[0]
    assert [turn["role"] for turn in second] == ["user", "assistant", "user"]
    assert second[1]["content"] == calls(ledger)[0].reply
    assert complaint in second[2]["content"]
    assert [call.attempt for call in calls(ledger)] == [1, 2]


@pytest.mark.parametrize("name", ["prose", "wrong enum"])
def test_after_two_more_attempts_the_record_is_set_aside_and_the_others_go_on(
    sandbox: Sandbox,
    ledger: Ledger,
    add_record: Callable[..., int],
    triage: Callable[..., list[str]],
    triaged: Answer,
    name: str,
) -> None:
    bad, complaint = garbage(name, triaged)
    good = [add_record(message_id=f"m{n}", subject=f"Fine {n}") for n in range(3)]
    hopeless = add_record(message_id="bad", subject="Hopeless")
    sandbox.script(bad | {"when": "Hopeless", "times": None}, {"json": triaged(), "times": None})
    triage()
    record = get(ledger, hopeless)
    assert record.state == "quarantined"
    assert (record.reason or "").startswith(f"no usable answer after 3 attempts: {complaint}")
    assert [get(ledger, number).state for number in good] == ["validated"] * 3
    assert [call.attempt for call in calls(ledger) if call.record_id == hopeless] == [1, 2, 3]
    last = sandbox.model_calls()[-1]["messages"]
    assert [turn["role"] for turn in last] == ["user", "assistant", "user", "assistant", "user"]
    triage()
    assert len(calls(ledger)) == 6


def test_a_refusal_is_set_aside_at_once(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    number = add_record()
    sandbox.script({"fault": "refusal"})
    triage()
    assert len(calls(ledger)) == 1
    assert get(ledger, number).reason == "no usable answer after 1 attempts: the model refused to answer"


@pytest.mark.usefixtures("fast_retries")
def test_answers_that_were_paid_for_are_not_asked_for_again_on_a_retry(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]], triaged: Answer
) -> None:
    for number in range(4):
        add_record(message_id=f"m{number}", subject=f"Mail {number}")
    sandbox.script({"when": "Mail 2", "fault": "overloaded"}, {"json": triaged(), "times": None})
    triage()
    assert states(ledger) == ["validated"] * 4
    assert len(calls(ledger)) == 4
    assert len(sandbox.model_calls()) == 5


def test_an_answer_of_a_run_that_died_is_validated_by_the_next_without_another_call(
    begin: Begin, sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    number = add_record()
    with begin() as run:
        prompt.ask(run, [number], variables)
    triage()
    assert get(ledger, number).state == "validated"
    assert len(sandbox.model_calls()) == 1


def test_attempts_of_a_run_that_died_count(
    begin: Begin,
    sandbox: Sandbox,
    ledger: Ledger,
    add_record: Callable[..., int],
    triage: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = add_record()
    sandbox.script({"fault": "prose", "times": None})
    with monkeypatch.context() as patch, begin() as run:
        patch.setattr(validate, "within_budget", lambda *_: None)  # stopped after the first attempt
        prompt.ask(run, [number], variables)
        validate.answers(run, [number], variables)
    assert get(ledger, number).state == "prompted"
    triage()
    assert get(ledger, number).state == "quarantined"
    assert [call.attempt for call in calls(ledger)] == [1, 2, 3]


@pytest.mark.usefixtures("fast_retries")
def test_an_overloaded_model_is_asked_again(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]], triaged: Answer
) -> None:
    add_record()
    sandbox.script({"fault": "overloaded", "times": 3}, {"json": triaged()})
    assert triage() == []
    assert states(ledger) == ["validated"]


@pytest.mark.usefixtures("fast_retries")
def test_an_overloaded_model_is_asked_again_for_a_correction_too(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]], triaged: Answer
) -> None:
    add_record()
    sandbox.script({"fault": "prose"}, {"fault": "overloaded", "times": 3}, {"json": triaged()})
    triage()
    assert states(ledger) == ["validated"]
    assert [call.attempt for call in calls(ledger)] == [1, 2]


@pytest.mark.usefixtures("fast_retries")
def test_an_outage_sets_nothing_aside_however_long(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    add_record(message_id="m1")
    add_record(message_id="m2")
    sandbox.fault("overloaded", "anthropic", times=None)
    for _ in range(3):
        with pytest.raises(VendorError, match="529"):
            triage()
    assert states(ledger) == ["fetched", "fetched"]
    sandbox.clear_faults()
    triage()
    assert states(ledger) == ["validated", "validated"]


@pytest.mark.usefixtures("fast_retries")
def test_one_record_that_the_model_chokes_on_fails_neither_its_batch_nor_for_ever(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]], triaged: Answer
) -> None:
    good, poison = add_record(message_id="m1"), add_record(message_id="m2", subject="Poison")
    sandbox.script({"when": "Poison", "fault": "server_error", "times": None}, {"json": triaged(), "times": None})
    assert any("left to the next run" in note for note in triage())
    assert get(ledger, good).state == "validated"
    add_record(message_id="m3")  # that the model answers about another e-mail is what says whose fault it is
    triage()
    record = get(ledger, poison)
    assert (record.state, record.failures) == ("quarantined", 8)
    assert (record.reason or "").endswith("(8 times)")


def test_a_request_that_the_model_refuses_for_good_is_set_aside_and_the_others_go_on(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]], triaged: Answer
) -> None:
    good, bad = add_record(message_id="m1"), add_record(message_id="m2", subject="Strange")
    sandbox.script({"when": "Strange", "status": 400, "message": "odd input"}, {"json": triaged()})
    triage()
    assert get(ledger, good).state == "validated"
    assert get(ledger, bad).state == "quarantined"
    assert "odd input" in (get(ledger, bad).reason or "")


@pytest.mark.usefixtures("fast_retries")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"api_key": SecretStr("wrong")}, "401 invalid x-api-key: put a valid API key into the block"),
        ({"model": "claude-haiku-4-4"}, "check the model's name|the price list has no model 'claude-haiku-4-4'"),
        (
            {"model": "nameless", "usd_per_million_input": 0, "usd_per_million_output": 0},
            "404 .*check the model's name",
        ),
    ],
    ids=["dead key", "model of no price", "model that does not exist"],
)
def test_a_wrong_set_up_stops_the_run_with_the_way_out_and_costs_no_record_its_place(
    sandbox: Sandbox,
    ledger: Ledger,
    add_record: Callable[..., int],
    triage: Callable[..., list[str]],
    save_claude: Callable[..., None],
    changes: dict[str, Any],
    message: str,
) -> None:
    add_record(message_id="m1")
    add_record(message_id="m2")
    save_claude(**changes)
    with pytest.raises(VendorError, match=message) as caught:
        triage()
    assert caught.value.permanent
    assert len(sandbox.model_calls()) <= 2  # no retries
    assert states(ledger) == ["fetched", "fetched"]
    save_claude()
    triage()
    assert states(ledger) == ["validated", "validated"]


def test_without_a_key_the_embedded_model_answers_for_nothing(
    begin: Begin, sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int]
) -> None:
    number = add_record()
    with begin() as run:
        assert isinstance(run.model, EmbeddedModel)
        prompt.ask(run, [number], variables)
        validate.answers(run, [number], variables)
    assert get(ledger, number).state == "validated"
    assert sandbox.model_calls() == []
    assert calls(ledger)[0].cost == 0


def test_the_budget_is_checked_before_the_first_call(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    for number in range(3):
        add_record(message_id=f"m{number}", text="longer and longer" * 1000 * number)
    notes = triage(usd_per_run=Decimal("0.0001"))
    assert sandbox.model_calls() == []
    assert states(ledger) == ["fetched"] * 3
    assert len(notes) == 1
    assert "stopped asking the model: usd_per_run is $0.0001" in notes[0]
    assert "the rest waits for the next run" in notes[0]


def test_what_does_not_fit_the_budget_waits_for_the_next_run(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    numbers = [add_record(message_id=f"m{n}") for n in range(12)]
    worst = worst_cost(ledger, numbers[0])
    usage = {"input_tokens": 4000, "output_tokens": 800}
    sandbox.script({"usage": usage, "times": None})
    for _ in range(12):
        notes = triage(usd_per_run=worst * Decimal("1.5"))
        if "fetched" not in states(ledger):
            break
        assert "usd_per_run" in notes[0]
    assert states(ledger) == ["validated"] * 12
    assert len(calls(ledger)) == 12
    with ledger.read() as session:
        spent = session.scalars(sa.select(sa.func.sum(ModelCall.cost)).group_by(ModelCall.run_id)).all()
    assert len(spent) > 1
    assert max(spent) <= worst * Decimal("1.5")


@pytest.mark.usefixtures("save_claude")
def test_eight_threads_together_do_not_overspend(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], begin: Begin
) -> None:
    numbers = [add_record(message_id=f"m{n}") for n in range(24)]
    worst = worst_cost(ledger, numbers[0])
    limit = worst * Decimal("3.5")
    sandbox.script({"usage": {"input_tokens": 6000, "output_tokens": 900}, "times": None})
    with begin(usd_per_run=limit) as run:
        prompt.ask(run, numbers, variables)
    paid = sum(call.cost for call in calls(ledger))
    assert 0 < paid == run.budget.spent <= limit
    assert len(calls(ledger)) == len(sandbox.model_calls()) < len(numbers)


def test_the_monthly_ceiling_counts_earlier_runs(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    number = add_record()
    spend_before(ledger, number, "39.9999")
    (note,) = triage(usd_per_day=Decimal(100))
    assert "usd_per_month is $40.0000" in note
    assert sandbox.model_calls() == []


def test_the_budget_holds_for_corrections_too(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    number = add_record()
    limit = worst_cost(ledger, number) * Decimal("1.1")
    sandbox.script({"fault": "prose", "times": None, "usage": {"input_tokens": 9000, "output_tokens": 900}})
    notes = triage(usd_per_run=limit)
    assert len(sandbox.model_calls()) == 1
    assert get(ledger, number).state == "prompted"
    assert "usd_per_run" in notes[0]


@pytest.mark.usefixtures("fast_retries", "save_claude")
def test_a_lost_reply_counts_as_paid(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], begin: Begin
) -> None:
    number = add_record()
    worst = worst_cost(ledger, number)
    sandbox.fault("reply_lost", "anthropic")
    with begin() as run:
        prompt.ask(run, [number], variables)
    lost, answered = calls(ledger)
    assert (lost.stop_reason, lost.cost) == ("lost", worst)
    assert run.budget.spent == worst + answered.cost
    with ledger.read() as session:
        assert spent_since(session, run.card.workflow, run.started_at - timedelta(hours=1)) == run.budget.spent


def test_a_long_text_is_cut_in_the_middle(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], triage: Callable[..., list[str]]
) -> None:
    number = add_record(text="THE HEAD " + "blah " * 40_000 + "THE TAIL")
    triage()
    (call,) = sandbox.model_calls()
    said = call["messages"][0]["content"]
    assert len(said) + len(call["system"][0]["text"]) <= 90_000
    assert "THE HEAD" in said
    assert "THE TAIL" in said
    assert "characters left out" in said
    assert get(ledger, number).state == "validated"


def test_what_does_not_even_fit_when_cut_is_set_aside(
    sandbox: Sandbox,
    ledger: Ledger,
    add_record: Callable[..., int],
    triage: Callable[..., list[str]],
    save_claude: Callable[..., None],
) -> None:
    number = add_record()
    save_claude(input_characters=1000)
    triage()
    assert sandbox.model_calls() == []
    assert get(ledger, number).state == "quarantined"
    assert (get(ledger, number).reason or "").startswith("too long for the model: ")


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=5000), room=st.integers(0, 5000))
def test_whatever_the_text_a_request_that_fits_is_within_the_limit(text: str, room: int) -> None:
    folder = prompts.load("lead_triage")
    values: dict[str, Any] = {"company": "x", "sender": "s", "sender_name": "n", "subject": "s", "date": "d"}
    values |= {"attachments": [], "contact": None}
    empty = sum(map(len, folder.render(values | {"text": ""})))
    request = Request(folder, values | {"text": text})
    try:
        fitted = fit(request, empty + room)
    except TooLong:
        assert len(text) > room
        assert room < SHORTEST + 200
        return
    assert sum(map(len, folder.render(dict(fitted.variables)))) <= empty + room
    if len(text) <= room:
        assert fitted is request
    else:
        cut = fitted.variables["text"]
        assert text.startswith(cut[: SHORTEST // 2])
        assert text.endswith(cut[-SHORTEST // 8 :])

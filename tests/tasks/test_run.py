"""A run's stage, budget and claims."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, Ledger, LedgerUnavailable, ModelCall, Record, utcnow
from blocks.ledger import Run as RunRow
from flows.lead_triage import CARD
from tasks import fetch
from tasks import run as runs
from tasks.budget import spent_since
from tasks.card import Stage
from tasks.processes import this_process
from tasks.run import Run, effective_stage

pytestmark = pytest.mark.both_databases

EARNED = (Stage.SELECTIVE, "the evidence supports it")

Begin = Callable[..., AbstractContextManager[Run]]


@pytest.fixture
def variable(prefect_server: None) -> Iterator[Callable[[str], None]]:  # noqa: ARG001
    """Sets the kill switch of the lead triage."""
    from prefect.variables import Variable

    def set_to(value: str) -> None:
        Variable.set("lead_triage_stage", value, overwrite=True)

    yield set_to
    set_to("selective")


@pytest.fixture
def other_run(ledger: Ledger) -> Callable[..., str]:
    """Another run's row, with a heartbeat some seconds ago, and ended or not."""

    def add(
        heartbeat_ago: float = 0, workflow: str = "lead-triage", ended: bool = False, process: str | None = None
    ) -> str:
        beat = utcnow() - timedelta(seconds=heartbeat_ago)
        with ledger.write() as session:
            session.add(
                RunRow(
                    id="other",
                    workflow=workflow,
                    stage="gated",
                    started_at=beat,
                    heartbeat_at=beat,
                    ended_at=beat if ended else None,
                    process=process,
                )
            )
        return "other"

    return add


def hold(ledger: Ledger, record: int, run_id: str) -> None:
    with ledger.write() as session:
        session.execute(sa.update(Record).where(Record.id == record).values(run_id=run_id))


@pytest.mark.parametrize(
    ("card", "wanted", "runs_at"),
    [
        ("selective", "shadow", "shadow"),
        ("selective", " Gated ", "gated"),
        ("gated", "shadow", "shadow"),
        ("gated", "selective", "gated"),
        ("shadow", "selective", "shadow"),
        ("gated", "gated", "gated"),
        ("selective", "shaddow", "shadow"),
        ("selective", "off", "shadow"),
        ("gated", "", "shadow"),
    ],
)
def test_the_variable_lowers_a_stage_and_never_raises_it(
    variable: Callable[[str], None], card: str, wanted: str, runs_at: str
) -> None:
    variable(wanted)
    stage, reason = effective_stage(CARD.model_copy(update={"stage": Stage(card)}), EARNED)
    assert stage == runs_at
    assert ("variable" in reason) == (runs_at != card)


@pytest.mark.usefixtures("prefect_server")
def test_without_a_variable_the_card_decides() -> None:
    assert effective_stage(CARD, EARNED) == (Stage.SELECTIVE, "the card's stage")


def test_a_lowered_stage_is_said_in_the_notes(begin: Begin, variable: Callable[[str], None]) -> None:
    variable("shaddow")
    with begin() as run:
        assert run.stage is Stage.SHADOW
        assert run.notes == [
            "runs shadow instead of selective: the variable lead_triage_stage holds 'shaddow', which is no stage"
        ]


def test_a_note_is_kept_once(begin: Begin) -> None:
    with begin() as run:
        run.note("the same")
        run.note("the same")
        assert run.notes == ["the same"]


@pytest.mark.parametrize(
    "life",
    [
        {"heartbeat_ago": 5},
        {"heartbeat_ago": 5, "process": "another-machine 1 2"},
        {"heartbeat_ago": runs.STUCK_SECONDS - 30, "process": this_process()},  # busy, or the lid was closed
    ],
    ids=["heard of", "heard of elsewhere", "silent, and its process is there"],
)
def test_a_living_runs_records_are_not_taken(
    ledger: Ledger,
    begin: Begin,
    add_record: Callable[..., int],
    other_run: Callable[..., str],
    life: dict[str, Any],
) -> None:
    held, free = add_record(message_id="m1"), add_record(message_id="m2")
    hold(ledger, held, other_run(**life))
    with begin() as run:
        assert fetch.claim(run, 10) == [free]


@pytest.mark.parametrize(
    "death",
    [
        {"heartbeat_ago": runs.ALIVE_SECONDS + 1},
        {"heartbeat_ago": runs.ALIVE_SECONDS + 1, "process": "another-machine 1 2"},
        {"heartbeat_ago": 0, "process": f"{this_process()}0"},  # the number is somebody else's by now
        {"heartbeat_ago": runs.STUCK_SECONDS + 1, "process": this_process()},
        {"ended": True},
    ],
    ids=["silent", "silent elsewhere", "its process is gone", "stuck", "ended and still holding on"],
)
def test_a_dead_runs_records_are_taken_up(
    ledger: Ledger,
    begin: Begin,
    add_record: Callable[..., int],
    other_run: Callable[..., str],
    death: dict[str, Any],
) -> None:
    held, free = add_record(message_id="m1"), add_record(message_id="m2")
    hold(ledger, held, other_run(**death))
    with begin() as run:
        assert fetch.claim(run, 10) == [held, free]


def test_another_workflows_dead_run_is_left_to_that_workflow(
    ledger: Ledger, begin: Begin, add_record: Callable[..., int], other_run: Callable[..., str]
) -> None:
    held = add_record()
    hold(ledger, held, other_run(heartbeat_ago=999, workflow="other"))
    with begin() as run:
        assert fetch.claim(run, 10) == []


def test_a_run_lets_go_of_its_claims_when_it_ends_even_by_an_error(
    ledger: Ledger, begin: Begin, add_record: Callable[..., int]
) -> None:
    number = add_record()

    def work() -> None:
        with begin() as run:
            assert fetch.claim(run, 10) == [number]
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        work()
    with ledger.read() as session:
        assert session.get_one(Record, number).run_id is None
        assert session.scalars(sa.select(RunRow)).one().ended_at is not None


def test_claims_are_the_oldest_first_and_at_most_the_limit(begin: Begin, add_record: Callable[..., int]) -> None:
    numbers = [add_record(message_id=f"m{n}") for n in range(5)]
    with begin() as run:
        assert fetch.claim(run, 3) == numbers[:3]


def test_a_living_runs_heart_beats(ledger: Ledger, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "HEARTBEAT_SECONDS", 0.01)
    with begin() as run:
        with ledger.read() as session:
            first = session.get_one(RunRow, run.id).heartbeat_at
        for _ in range(10_000):
            with ledger.read() as session:
                if session.get_one(RunRow, run.id).heartbeat_at > first:
                    return
    pytest.fail("the heart never beat")


def test_a_beat_that_cannot_be_written_does_not_stop_the_heart(
    ledger: Ledger, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "HEARTBEAT_SECONDS", 0.01)
    with begin() as run:
        with monkeypatch.context() as patch:
            missed = threading.Event()

            def away(_: Ledger) -> None:
                missed.set()
                raise LedgerUnavailable("the ledger went away")

            patch.setattr(Ledger, "write", away)
            assert missed.wait(30)
        with ledger.write() as session:
            session.execute(sa.update(RunRow).values(heartbeat_at=utcnow() - timedelta(hours=1)))
        for _ in range(10_000):
            with ledger.read() as session:
                if session.get_one(RunRow, run.id).heartbeat_at > utcnow() - timedelta(minutes=1):
                    return
    pytest.fail("the heart has stopped")


def test_an_action_whose_run_died_is_in_doubt_and_free(
    ledger: Ledger, begin: Begin, other_run: Callable[..., str]
) -> None:
    dead = other_run(heartbeat_ago=999)
    with ledger.write() as session:
        session.add(
            Action(
                key="k",
                workflow="lead-triage",
                kind="slack.post_message",
                impact="low",
                title="Post",
                payload={"text": "hi"},
                digest="d",
                credential="slack/team",
                explanation="",
                stage="selective",
                state="acting",
                run_id=dead,
            )
        )
    with begin(), ledger.read() as session:
        action = session.scalars(sa.select(Action)).one()
    assert (action.state, action.run_id, action.reason) == ("unknown", None, "the run that was doing it died")


def test_the_months_spend_is_this_months_and_this_workflows(ledger: Ledger, add_record: Callable[..., int]) -> None:
    number, month = add_record(), utcnow().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with ledger.write() as session:
        session.add(RunRow(id="r", workflow="w", stage="gated", started_at=utcnow(), heartbeat_at=utcnow()))
    spent = [
        ("lead-triage", month, "1.000000001"),
        ("lead-triage", utcnow(), "0.25"),
        ("lead-triage", month - timedelta(microseconds=1), "100"),
        ("other", utcnow(), "1000"),
    ]
    with ledger.write() as session:
        for workflow, when, cost in spent:
            session.add(
                ModelCall(
                    workflow=workflow,
                    record_id=number,
                    run_id="r",
                    prompt="p",
                    prompt_version="v",
                    model="m",
                    attempt=1,
                    reply="",
                    stop_reason="end_turn",
                    input_tokens=1,
                    output_tokens=1,
                    cost=Decimal(cost),
                    seconds=0.1,
                    created_at=when,
                )
            )
    with ledger.read() as session:
        assert spent_since(session, "lead-triage", month) == Decimal("1.250000001")
        assert spent_since(session, "nobody", month) == 0


def test_batches_keep_the_order_and_leave_nothing_out(begin: Begin) -> None:
    with begin() as run:
        assert list(run.batches([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
        assert list(run.batches([], 2)) == []
        assert run.notes == []


def test_a_run_takes_up_nothing_after_its_deadline_and_says_what_is_left(begin: Begin) -> None:
    with begin() as run:
        run.started_at -= timedelta(minutes=29, seconds=59)
        batches = run.batches([1, 2, 3, 4, 5], 2)
        assert next(batches) == [1, 2]
        run.started_at -= timedelta(seconds=2)
        assert list(batches) == []
        assert run.notes == ["ended after 30 minutes; 3 records wait for the next run"]


def test_a_run_begins_with_what_the_retention_rule_says(
    ledger: Ledger, begin: Begin, add_record: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = add_record("done", message_id="m1"), add_record("done", message_id="m2")
    with ledger.write() as session:
        session.execute(sa.update(Record).where(Record.id == old).values(updated_at=utcnow() - timedelta(days=31)))
    monkeypatch.setenv("SIGNOFF_RETENTION_DAYS", "30")
    with begin() as run, ledger.read() as session:
        assert run.notes == ["1 old records lost their personal data, as SIGNOFF_RETENTION_DAYS says"]
        assert session.get_one(Record, old).redacted_at is not None
        assert session.get_one(Record, new).redacted_at is None

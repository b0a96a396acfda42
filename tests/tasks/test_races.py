"""Several processes' worth of runs at the same moment, on both databases: nothing is decided or done twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from blocks import ledger as tables
from blocks.ledger import Action, Alert, Decision, History, Ledger, ModelCall, Receipt, Record, Reservation, utcnow
from flows.lead_triage import CARD, decide, explain
from sandbox.client import Sandbox
from tasks import act, alerts, approvals, doubts, fetch, gate, records
from tasks.act import Approved, LostClaim
from tasks.approval_runs import ApprovalError
from tasks.budget import Budget, Call
from tasks.performers import PERFORMERS, Done, Performer
from tasks.run import Run, alive

pytestmark = pytest.mark.both_databases

Begin = Callable[..., AbstractContextManager[Run]]
Allow = Callable[..., Approved]
AT_ONCE = 6
SOON = 30.0


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Run all of them at the same moment, each on a connection of its own; what each returned or raised."""
    start = threading.Barrier(len(functions))
    outcomes: list[Any] = [None] * len(functions)

    def run(number: int, function: Callable[[], Any]) -> None:
        start.wait(SOON)
        try:
            outcomes[number] = function()
        except Exception as error:  # noqa: BLE001 - told to the test, which judges it
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert not any(thread.is_alive() for thread in threads)
    return outcomes


def errors(outcomes: Sequence[Any]) -> list[Exception]:
    return [outcome for outcome in outcomes if isinstance(outcome, Exception)]


@pytest.fixture
def run_row(ledger: Ledger) -> Callable[..., str]:
    """A run's row, alive or dead for an hour."""

    def add(name: str, dead: bool = False) -> str:
        beat = utcnow() - timedelta(hours=dead)
        with ledger.write() as session:
            session.add(
                tables.Run(id=name, workflow="lead-triage", stage="selective", started_at=beat, heartbeat_at=beat)
            )
        return name

    return add


@pytest.fixture
def runs(run_row: Callable[..., str]) -> list[str]:
    """The runs that race."""
    return [run_row(f"run{number}") for number in range(AT_ONCE)]


@pytest.fixture
def waiting(ledger: Ledger, allow: Allow, wanted: Callable[[str], Any]) -> int:
    """A reply that waits for a person, and on which nobody has decided."""
    approved = allow(wanted("gmail.send_reply"), state="waiting", flow_run_id="form")
    with ledger.write() as session:
        session.execute(sa.delete(Decision))
    return approved.action_id


def count(ledger: Ledger, table: type[Any]) -> int:
    with ledger.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def row(ledger: Ledger, action_id: int) -> Action:
    with ledger.read() as session:
        return session.get_one(Action, action_id)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Slack posts that take long enough for every other run to come along; the keys of those that were made."""
    posted: list[str] = []

    def perform(_block: Any, _action: Any, attempt: Any) -> Done:
        posted.append(attempt.key)
        time.sleep(0.05)
        return Done("slack", "1")

    monkeypatch.setitem(PERFORMERS, "slack.post_message", Performer(perform, lambda *_: None))
    return posted


def test_an_action_that_many_runs_want_at_once_is_done_by_one(
    ledger: Ledger, allow: Allow, wanted: Callable[[str], Any], slow: list[str], runs: list[str]
) -> None:
    approved = allow(wanted("slack.post_message"))
    outcomes = at_once(*(lambda run=run: act.do(ledger, run, approved) for run in runs))
    assert errors(outcomes) == []
    assert len(slow) == 1
    assert (row(ledger, approved.action_id).state, row(ledger, approved.action_id).attempts) == ("done", 1)
    assert count(ledger, Receipt) == 1


def test_a_run_that_was_taken_for_dead_writes_nothing_once_another_has_its_action(
    ledger: Ledger, allow: Allow, wanted: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, runs: list[str]
) -> None:
    approved = allow(wanted("slack.post_message"))

    def taken_over(_block: Any, _action: Any, attempt: Any) -> Done:
        with ledger.write() as session:
            session.execute(sa.update(Action).values(run_id=runs[1]))
        attempt.save(step="mine")
        raise AssertionError("it was told that it had lost its claim")

    monkeypatch.setitem(PERFORMERS, "slack.post_message", Performer(taken_over, lambda *_: None))
    with pytest.raises(LostClaim):
        act.do(ledger, runs[0], approved)
    found = row(ledger, approved.action_id)
    assert (found.run_id, found.state, found.progress) == (runs[1], "acting", None)
    assert count(ledger, Receipt) == 0


def test_many_answers_at_once_are_one_decision(ledger: Ledger, waiting: int) -> None:
    def answer(number: int) -> Callable[[], Decision]:
        verdict = "approve" if number % 2 else "reject"
        form = {"decision": verdict, "approver": f"Ann {number}", "comment": "", "body": f"Version {number}"}
        return lambda: approvals.settle(ledger, waiting, form)

    decided = at_once(*(answer(number) for number in range(AT_ONCE)))
    assert errors(decided) == []
    assert {decision.approver for decision in decided} == {decided[0].approver}
    assert count(ledger, Decision) == 1
    state = {"approved": "pending", "rejected": "rejected"}[decided[0].verdict]
    assert row(ledger, waiting).state == state


@pytest.mark.usefixtures("prefect_server")
def test_an_answer_in_the_moment_of_expiry_is_one_decision(ledger: Ledger, waiting: int) -> None:
    form = {"decision": "approve", "approver": "Ann", "comment": "", "body": "Yes"}
    decided = at_once(
        lambda: approvals.settle(ledger, waiting, form),
        lambda: approvals.settle(ledger, waiting, None),
        lambda: approvals._bind(ledger, waiting, "another"),
    )
    assert errors(decided) == []
    assert decided[0].verdict == decided[1].verdict
    assert row(ledger, waiting).state == {"approved": "pending", "expired": "expired"}[decided[0].verdict]


def test_two_people_who_settle_a_doubt_at_once_do_not_both_prevail(
    ledger: Ledger, allow: Allow, wanted: Callable[[str], Any]
) -> None:
    approved = allow(wanted("slack.post_message"), state="unknown")
    outcomes = at_once(
        *(
            lambda done=done: doubts.settle(ledger, approved.action_id, done=done, by="Ann")
            for done in (True, False) * 3
        )
    )
    assert len(errors(outcomes)) == len(outcomes) - 1
    assert {type(error) for error in errors(outcomes)} == {ApprovalError}
    found = row(ledger, approved.action_id)
    assert (found.state, count(ledger, Receipt)) in (("done", 1), ("pending", 0))


def test_runs_that_claim_at_once_share_the_records_out(begin: Begin, add_record: Callable[..., int]) -> None:
    ids = [add_record(message_id=f"m{number}") for number in range(30)]
    with begin() as one, begin() as two, begin() as three:
        claimed = at_once(*(lambda run=run: fetch.claim(run, 10) for run in (one, two, three)))
    assert errors(claimed) == []
    assert sorted(number for share in claimed for number in share) == ids


def test_what_a_dead_run_left_is_let_go_of_once(
    ledger: Ledger,
    allow: Allow,
    wanted: Callable[[str], Any],
    add_record: Callable[..., int],
    run_row: Callable[..., str],
) -> None:
    dead, record = run_row("dead", dead=True), add_record()
    approved = allow(wanted("slack.post_message"), state="acting", run_id=dead)
    with ledger.write() as session:
        session.execute(sa.update(Record).values(run_id=dead))
        session.add(
            Reservation(
                workflow="lead-triage",
                record_id=record,
                run_id=dead,
                prompt="lead_triage",
                prompt_version="1",
                model="m",
                worst=Decimal("0.25"),
            )
        )

    def come_alive() -> None:
        with alive(ledger, "lead-triage", "selective"):
            pass

    assert errors(at_once(*[come_alive] * AT_ONCE)) == []
    found = row(ledger, approved.action_id)
    assert (found.state, found.run_id) == ("unknown", None)
    with ledger.read() as session:
        assert list(session.scalars(sa.select(ModelCall.cost))) == [Decimal("0.25")]
        told = session.scalars(sa.select(History.subject).where(History.event == "action unknown"))
        assert list(told) == [f"actions/{found.id}"]
    assert count(ledger, Reservation) == 0


def test_a_budget_that_many_runs_share_is_not_overdrawn(
    ledger: Ledger, add_record: Callable[..., int], runs: list[str]
) -> None:
    record = add_record()
    card = CARD.model_copy(update={"usd_per_run": Decimal(1), "usd_per_day": Decimal(1), "usd_per_month": Decimal(1)})
    calls = [Call(record, "1", "m", Decimal("0.1"))] * 3
    granted = at_once(*(lambda run=run: Budget(ledger, card, run).reserve(calls) for run in runs))
    assert errors(granted) == []
    assert sum(len(grant.records) for grant in granted) == 10
    assert count(ledger, Reservation) == 10


def test_an_alert_that_many_runs_meet_at_once_is_open_once(ledger: Ledger) -> None:
    opened = at_once(*[lambda: alerts.open_alert(ledger, "drift:x", "x is gone", "lead-triage")] * AT_ONCE)
    assert errors(opened) == []
    assert sorted(opened) == [False] * (AT_ONCE - 1) + [True]
    with ledger.read() as session:
        assert session.scalars(sa.select(Alert)).one().times == AT_ONCE


def test_runs_that_move_the_same_records_in_any_order_do_not_lock_each_other_out(
    ledger: Ledger, add_record: Callable[..., int]
) -> None:
    ids = [add_record(message_id=f"m{number}") for number in range(20)]

    def move(order: Sequence[int], state: str) -> None:
        for _ in range(5):
            with ledger.write() as session:
                records.move(session, [{"id": number, "state": state} for number in order])

    moved = at_once(*(lambda n=n: move(ids[::-1] if n % 2 else ids, f"state{n}") for n in range(AT_ONCE)))
    assert errors(moved) == []
    with ledger.read() as session:
        assert len(set(session.scalars(sa.select(Record.state)))) == 1


def test_a_record_that_two_runs_decide_on_at_once_wants_each_action_once(
    ledger: Ledger,
    begin: Begin,
    add_record: Callable[..., int],
    triaged: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The runs in Prefect have idempotency keys of their own; its test server's SQLite does not like to be hurried.
    monkeypatch.setattr(approvals, "request", lambda *_: None)
    number = add_record("validated", answer=triaged())
    with begin() as one, begin() as two:
        outcomes = at_once(*(lambda run=run: gate.check(run, [number], decide, explain) for run in (one, two)))
    assert errors(outcomes) == []
    with ledger.read() as session:
        keys = list(session.scalars(sa.select(Action.key)))
    assert len(keys) == len(set(keys)) > 1


def test_a_record_is_closed_only_when_nothing_is_left_to_do_for_it(
    ledger: Ledger, add_record: Callable[..., int], allow: Allow, wanted: Callable[[str], Any], sandbox: Sandbox
) -> None:
    number = add_record("gated")
    approved = allow(wanted("slack.post_message"), state="unknown", record_id=number)
    at_once(
        lambda: act._close(ledger, [number]),
        lambda: doubts.settle(ledger, approved.action_id, done=False, by="Ann"),
        lambda: act._close(ledger, [number]),
    )
    with ledger.read() as session:
        assert session.get_one(Record, number).state == records.GATED
    assert sandbox.posts() == []

"""Around every request to a vendor: the pace, the circuit breaker, and who hears of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from blocks import guard
from blocks.hubspot import HubSpot
from blocks.ledger import Alert, Circuit, Ledger, LedgerUnavailable, utcnow
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from tasks import circuit, pace
from tasks.circuit import FIRST_WAIT, LONGEST_WAIT, OPEN_AFTER, Breaker, CircuitOpen, is_outage
from tasks.discipline import Discipline, discipline
from tasks.pace import Pace, limit_name
from tasks.run import Run
from tasks.verb import raise_if_worth_retrying, verb

DOWN = VendorError("hubspot", "GET /x", "502 Bad Gateway", permanent=False, status=502)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A streak need not last: the circuit opens after its count alone, and looks are always fresh."""
    monkeypatch.setattr(circuit, "OPEN_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(circuit, "LOOK_SECONDS", -1.0)


@pytest.fixture
def breaker(ledger: Ledger, at_once: None) -> Breaker:  # noqa: ARG001
    return Breaker(ledger)


def fail(breaker: Breaker, times: int = OPEN_AFTER) -> None:
    for _ in range(times):
        breaker.heard("hubspot", DOWN)


def make_due(ledger: Ledger) -> None:
    """As if the wait were over."""
    with ledger.write() as session:
        session.execute(sa.update(Circuit).values(retry_at=utcnow() - timedelta(seconds=1)))


def the_circuit(ledger: Ledger) -> Circuit | None:
    with ledger.read() as session:
        return session.get(Circuit, "hubspot")


def alerts(ledger: Ledger) -> list[Alert]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Alert)))


@pytest.mark.parametrize(
    ("status", "permanent", "down"),
    [
        (502, False, True),
        (529, False, True),
        (None, False, True),
        (408, False, True),
        (429, False, False),
        (409, False, False),
        (401, True, False),
        (500, True, False),
    ],
)
def test_an_outage_is_told_from_a_limit_and_from_a_refusal(status: int | None, permanent: bool, down: bool) -> None:
    assert is_outage(VendorError("v", "o", "r", permanent=permanent, status=status)) is down


def test_a_streak_opens_the_circuit_for_everybody_and_says_so(breaker: Breaker, ledger: Ledger) -> None:
    fail(breaker, OPEN_AFTER - 1)
    breaker.check("hubspot")
    fail(breaker, 1)
    with pytest.raises(CircuitOpen, match=r"is left alone until .* UTC; last: .*502 Bad Gateway") as caught:
        Breaker(ledger).check("hubspot")  # another worker
    assert not caught.value.permanent
    breaker.check("gmail")  # the others are none of its business
    (alert,) = alerts(ledger)
    assert (alert.key, alert.closed_at) == ("circuit:hubspot", None)
    assert "goes on by itself when hubspot answers again" in alert.message


def test_one_answer_in_between_breaks_the_streak(breaker: Breaker) -> None:
    fail(breaker, OPEN_AFTER - 1)
    breaker.heard("hubspot", None)
    fail(breaker, OPEN_AFTER - 1)
    breaker.check("hubspot")


def test_a_blip_does_not_open_it(ledger: Ledger) -> None:
    breaker = Breaker(ledger)
    fail(breaker, 5 * OPEN_AFTER)  # all within the same second
    breaker.check("hubspot")
    assert the_circuit(ledger) is None


def test_when_the_wait_is_over_one_call_of_all_workers_may_try(breaker: Breaker, ledger: Ledger) -> None:
    fail(breaker)
    make_due(ledger)
    breaker.check("hubspot")
    with pytest.raises(CircuitOpen):
        Breaker(ledger).check("hubspot")
    breaker.heard("hubspot", None)
    Breaker(ledger).check("hubspot")
    assert the_circuit(ledger) is None
    assert alerts(ledger)[0].closed_at is not None


def test_threads_of_the_same_worker_wait_for_the_trial_and_then_pass(breaker: Breaker, ledger: Ledger) -> None:
    fail(breaker)
    make_due(ledger)
    breaker.check("hubspot")
    waiting = threading.Barrier(5)

    def wait_and_check() -> None:
        waiting.wait(timeout=30)
        breaker.check("hubspot")

    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(wait_and_check) for _ in range(4)]
        waiting.wait(timeout=30)
        assert not any(other.done() for other in others)
        breaker.heard("hubspot", None)
        for other in others:
            other.result(timeout=30)


def test_each_failed_trial_doubles_the_wait_up_to_a_quarter_of_an_hour(breaker: Breaker, ledger: Ledger) -> None:
    fail(breaker)
    waits = []
    for _ in range(7):
        opened = the_circuit(ledger)
        assert opened is not None
        assert opened.retry_at is not None
        waits.append(opened.retry_at - utcnow())
        make_due(ledger)
        breaker.check("hubspot")
        breaker.heard("hubspot", DOWN)
    expected = [min(LONGEST_WAIT, FIRST_WAIT * 2**n) for n in range(7)]
    assert all(abs(wait - wanted) < timedelta(seconds=5) for wait, wanted in zip(waits, expected, strict=True))
    assert [alert.times for alert in alerts(ledger)] == [8]


def test_a_trial_whose_worker_died_is_another_workers_after_a_while(breaker: Breaker, ledger: Ledger) -> None:
    fail(breaker)
    make_due(ledger)
    breaker.check("hubspot")  # and never heard of again
    other = Breaker(ledger)
    with pytest.raises(CircuitOpen):
        other.check("hubspot")
    make_due(ledger)
    other.check("hubspot")


def test_an_open_circuit_sends_nothing_and_closes_on_the_first_answer(
    sandbox: Sandbox, ledger: Ledger, hubspot: HubSpot, breaker: Breaker
) -> None:
    watched = Discipline(ledger)
    watched._breaker = breaker
    sandbox.fault("bad_gateway", "hubspot", times=OPEN_AFTER)
    with guard.guarded_by(watched):
        for _ in range(OPEN_AFTER):
            with pytest.raises(VendorError, match="502"):
                hubspot.contacts_by_email(["ann@northwind.example"], ["email"])
        sent = len(sandbox.requests("hubspot"))
        with pytest.raises(CircuitOpen):
            hubspot.contacts_by_email(["ann@northwind.example"], ["email"])
        assert len(sandbox.requests("hubspot")) == sent
        make_due(ledger)
        assert hubspot.contacts_by_email(["ann@northwind.example"], ["email"]) == {}
    assert the_circuit(ledger) is None


def test_a_run_is_not_kept_waiting_by_an_open_circuit(begin: Callable[..., Any]) -> None:
    attempts = []

    @verb("ask")
    def ask(run: Run) -> None:  # noqa: ARG001
        attempts.append(1)
        raise CircuitOpen("hubspot", utcnow(), "down")

    @flow
    def asking() -> None:
        with begin() as run:
            ask(run)

    with pytest.raises(CircuitOpen):
        asking()
    assert len(attempts) == 1


@pytest.mark.usefixtures("fast_retries")
@pytest.mark.parametrize(("asked_to_wait", "attempts"), [(60.0, 1), (None, 4)], ids=["too long", "no time"])
def test_no_retry_is_begun_that_the_deadline_would_cut_off(
    begin: Callable[..., Any], asked_to_wait: float | None, attempts: int
) -> None:
    made = []

    @verb("ask")
    def ask(run: Run) -> None:  # noqa: ARG001
        made.append(1)
        raise VendorError("hubspot", "GET /x", "429", permanent=False, retry_after=asked_to_wait, status=429)

    @flow
    def asking() -> None:
        with begin() as run:
            run.started_at -= timedelta(minutes=29, seconds=15)
            ask(run)

    with pytest.raises(VendorError, match="429"):
        asking()
    assert len(made) == attempts


@pytest.mark.usefixtures("fast_retries")
def test_a_ledger_that_is_away_for_a_moment_fails_no_run(begin: Callable[..., Any]) -> None:
    made = []

    @verb("store")
    def store(run: Run) -> str:  # noqa: ARG001
        made.append(1)
        if len(made) < 3:
            raise LedgerUnavailable("the ledger went away")
        return "stored"

    @flow
    def storing() -> str:
        with begin() as run:
            return store(run)

    assert storing() == "stored"
    assert len(made) == 3


def test_an_open_circuit_stops_the_batch_even_when_some_succeeded() -> None:
    paused = CircuitOpen("hubspot", utcnow(), "down")
    with pytest.raises(CircuitOpen):
        raise_if_worth_retrying([DOWN, paused], succeeded=3)


def test_a_verb_puts_the_guard_around_its_requests(
    begin: Callable[..., Any], hubspot: HubSpot, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, VendorError | None]] = []
    monkeypatch.setattr(Discipline, "after", lambda _, vendor, error: heard.append((vendor, error)))

    @verb("look")
    def look(run: Run) -> None:  # noqa: ARG001
        hubspot.contacts_by_email(["ann@northwind.example"], ["email"])

    @flow
    def looking() -> None:
        with begin() as run:
            look(run)

    looking()
    assert heard == [("hubspot", None)]
    assert discipline(ledger) is discipline(ledger)


@pytest.fixture
def limit(prefect_server: None) -> Iterator[Callable[..., None]]:  # noqa: ARG001
    """Makes HubSpot's limit on the server, as `signoff up` does, and takes it away again."""
    name = limit_name("hubspot")

    def make(units: int, per_second: float, **more: Any) -> None:
        wanted = GlobalConcurrencyLimitCreate(name=name, limit=units, slot_decay_per_second=per_second, **more)
        with get_client(sync_client=True) as client:
            client.create_global_concurrency_limit(wanted)

    yield make
    with get_client(sync_client=True) as client:
        client.delete_global_concurrency_limit_by_name(name)


def test_two_workers_share_one_limit(limit: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    limit(20, 0.001)
    one, other = Pace("hubspot"), Pace("hubspot")
    for _ in range(10):
        one.take(1)  # the first takes 10 units from the common limit, the others cost no request
        other.take(1)
    monkeypatch.setattr(pace, "PATIENCE_SECONDS", 0.5)  # only now: a busy server may take as long to say yes
    with pytest.raises(VendorError, match=r"no room within .* signoff-hubspot in Prefect") as caught:
        one.take(1)
    assert not caught.value.permanent


def test_what_was_leased_long_ago_is_not_used_in_a_burst(
    limit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "FRESH_SECONDS", -1.0)
    limit(20, 0.001)
    mine = Pace("hubspot")
    mine.take(1)
    mine.take(1)
    monkeypatch.setattr(pace, "PATIENCE_SECONDS", 0.5)  # only now: a busy server may take as long to say yes
    with pytest.raises(VendorError):
        mine.take(1)


@pytest.mark.parametrize("switched_off", [{"active": False}, None], ids=["switched off", "none"])
def test_without_a_limit_nobody_is_held_back(
    prefect_server: None,  # noqa: ARG001
    switched_off: dict[str, Any] | None,
    request: pytest.FixtureRequest,
) -> None:
    if switched_off:
        request.getfixturevalue("limit")(1, 0.001, **switched_off)
    mine = Pace("hubspot")
    for _ in range(50):
        mine.take(1)


def test_a_server_that_cannot_be_asked_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("the server is away")

    monkeypatch.setattr(pace, "get_client", broken)
    Pace("hubspot").take(1)

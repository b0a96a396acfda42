"""Receivers as processes: 200 webhooks at once are all stored and each run once; what was acknowledged, stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL

from blocks.ledger import Ledger, WebhookEvent
from tests.deployments.machinery import eventually
from tests.deployments.receiving import Process, deployed, mixed, overdue, runs, saved

pytestmark = pytest.mark.slow

MANY = 200
Receiver = Callable[..., Process]


@pytest.fixture(scope="module")
def prefect(prefect_server: None) -> Iterator[dict[str, UUID]]:  # noqa: ARG001
    """The endpoints and the deployments, on a real Prefect server."""
    with saved(), deployed("on-invoice", "on-deal", "on-form", "look-again") as made:
        yield made


@pytest.fixture
def receiver(prefect: dict[str, UUID], ledger_url: str, tmp_path: Path) -> Iterator[Receiver]:  # noqa: ARG001
    """Makes receivers on this test's ledger, and starts them at the same time; they end with the test."""
    made: list[Process] = []
    environment = {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "SIGNOFF_LEDGER_URL": ledger_url,
    }

    def make(triggers: str = "each") -> Process:
        process = Process(tmp_path / f"receiver-{len(made)}.log", environment, triggers)
        made.append(process)
        process.start()
        return process

    yield make
    for process in made:
        process.stop()


def events(ledger: Ledger) -> list[WebhookEvent]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(WebhookEvent).order_by(WebhookEvent.id)))


def waiting(ledger: Ledger) -> int:
    return sum(event.state == "stored" for event in events(ledger))


def test_200_at_two_receivers_are_all_stored_and_each_run_once(
    receiver: Receiver, ledger: Ledger, prefect: dict[str, UUID], tmp_path: Path
) -> None:
    before = {run.id for run in runs(*prefect.values())}
    both = [receiver(), receiver()]
    for one in both:
        one.wait()
    requests = [mixed(number, of=tmp_path.name) for number in range(MANY)]
    with httpx.Client(timeout=20) as client, ThreadPoolExecutor(8) as pool:

        def send(number: int) -> int:
            status = requests[number].to(client, both[number % 2].url).status_code
            if number % 10 == 0:  # the vendor did not hear us, and comes again, to the other one
                requests[number].to(client, both[(number + 1) % 2].url)
            return int(status)

        statuses = list(pool.map(send, range(MANY)))
    assert statuses == [200] * MANY
    assert len(events(ledger)) == MANY
    eventually("all have their run", lambda: waiting(ledger) == 0, 120, 0.5)
    started = events(ledger)
    assert {event.state for event in started} == {"started"}, {event.reason for event in started}
    made = [run for run in runs(*prefect.values()) if run.id not in before]
    assert len(made) == MANY
    assert {event.flow_run_id for event in started} == {str(run.id) for run in made}
    assert {run.state_name for run in made} <= {"Scheduled", "Late"}  # a worker will find every one of them


def test_what_was_acknowledged_survives_a_kill_at_any_moment_and_is_run_once(
    receiver: Receiver, ledger: Ledger, prefect: dict[str, UUID]
) -> None:
    before = {run.id for run in runs(*prefect.values())}
    first, second = receiver(), receiver()
    first.wait()
    acknowledged: list[str] = []
    ended = threading.Event()

    def send(thread: int) -> None:
        number = 0
        with httpx.Client(timeout=20) as client:
            while not ended.is_set():
                name = f"evt_{thread}_{number}"
                with suppress(httpx.HTTPError):
                    if overdue(name).to(client, first.url).status_code == 200:
                        acknowledged.append(name)
                number += 1

    with ThreadPoolExecutor(4) as pool:
        for thread in range(4):
            pool.submit(send, thread)
        eventually("it is in the middle of it", lambda: len(acknowledged) >= 40, 60, 0.001)
        first.kill()
        ended.set()
    stored = {event.external_id for event in events(ledger)}
    assert stored >= set(acknowledged)
    second.wait()
    with httpx.Client(timeout=20) as client:  # the vendor sends again what it heard nothing of
        for name in [f"evt_{thread}_0" for thread in range(4)]:
            assert overdue(name).to(client, second.url).status_code == 200
    eventually("the other one takes up what was left", lambda: waiting(ledger) == 0, 120, 0.2)
    made = [run for run in runs(*prefect.values()) if run.id not in before]
    assert sorted(str(run.idempotency_key) for run in made) == sorted(
        f"webhook:stripe:{event.external_id}" for event in events(ledger)
    )

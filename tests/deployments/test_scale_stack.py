"""Two API servers, four workers, PostgreSQL and Redis, each a process of its own, as `signoff up` starts them."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

from blocks.ledger import Receipt, Record
from tasks.backlog import TAG
from tests import cluster as clusters
from tests.cluster import SPAM, Cluster
from tests.postgres import NoPostgres
from tests.redis_server import NoRedis

pytestmark = pytest.mark.slow

LIMIT = 200
"""Records that a run of lead-triage takes when nobody says otherwise."""

SECONDS = 400
PER_SECOND, BURST = 20, 10


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The whole, for this module."""
    try:
        with clusters.running(tmp_path_factory.mktemp("cluster")) as made:
            made.sandbox.script({"json": SPAM, "times": None})
            yield made
    except (NoPostgres, NoRedis) as error:
        pytest.skip(str(error))


def newest(cluster: Cluster) -> int:
    """The highest record number so far."""
    with cluster.ledger.read() as session:
        return session.scalar(sa.select(sa.func.max(Record.id))) or 0


def all_done(cluster: Cluster, count: int) -> None:
    """Wait until so many e-mails are done in all."""
    cluster.wait(f"{count} e-mails are done", lambda: cluster.count("done") >= count, SECONDS)


def each_once(cluster: Cluster, after: int, count: int) -> None:
    """Every e-mail after that record was labelled once: by the ledger's receipts, and in the mailbox's own books."""
    actions = [action for action in cluster.actions() if (action.record_id or 0) > after]
    with cluster.ledger.read() as session:
        receipts = Counter(session.scalars(sa.select(Receipt.action_id)))
    assert len(actions) == count
    assert {action.state for action in actions} == {"done"}
    assert all(receipts[action.id] == 1 for action in actions)
    modified = Counter(
        call["path"]
        for call in cluster.sandbox.requests()
        if call["path"].endswith("/modify") and call["status"] == 200
    )
    wanted = {str(action.payload["message_id"]) for action in actions}
    done = {path.split("/")[-2]: times for path, times in modified.items()}
    assert {message: done.get(message) for message in wanted} == dict.fromkeys(wanted, 1)


def test_more_mail_than_a_run_takes_is_shared_by_several_and_done_once(cluster: Cluster) -> None:
    count = 2 * LIMIT + 10
    cluster.deliver(count)
    cluster.start()
    all_done(cluster, count)
    each_once(cluster, 0, count)
    assert cluster.calls() == count
    runs = cluster.runs()
    assert sum(TAG in run["tags"] for run in runs) >= 2
    cluster.wait("all runs end", lambda: all(run["state_type"] == "COMPLETED" for run in cluster.runs()), SECONDS)
    first, second = (run for run in sorted(runs, key=lambda run: run["expected_start_time"])[:2])
    assert second["start_time"] < first["end_time"], "they went one after the other"


def test_a_worker_and_a_server_that_are_killed_in_the_middle_lose_nothing(cluster: Cluster) -> None:
    before, after, count = cluster.count("done"), newest(cluster), LIMIT + 50
    slow = cluster.sandbox.fault("hang", "anthropic", "/v1/messages", seconds=0.2, times=None)
    cluster.deliver(count)
    cluster.start()
    cluster.wait("some are done", lambda: cluster.count("done") > before + 10, SECONDS)
    runs = cluster.pid_of("prefect.engine") or cluster.pid_of("prefect.flow_engine")
    assert runs
    victims = [cluster.pid_of("worker", "start", "--name")[0], runs[0], cluster.pid_of("server", str(cluster.port))[0]]
    for pid in victims:
        with suppress(ProcessLookupError):  # the run that had just ended
            os.kill(pid, signal.SIGKILL)
    all_done(cluster, before + count)
    cluster.sandbox.clear_faults(slow)
    each_once(cluster, after, count)
    said = (cluster.home / "up.txt").read_text()
    assert "The server ended (signal 9) and is started again" in said
    assert "The worker" in said


def test_a_vendors_rate_limit_is_shared_by_all_of_them(cluster: Cluster) -> None:
    before, count = cluster.count("done"), LIMIT + 40
    limits = cluster.ask("POST", "/v2/concurrency_limits/filter")
    claude = next(limit for limit in limits if limit["name"] == "signoff-claude")
    cluster.ask("PATCH", f"/v2/concurrency_limits/{claude['id']}", limit=BURST, slot_decay_per_second=PER_SECOND)
    cluster.deliver(count)
    began = time.time()
    cluster.start()
    all_done(cluster, before + count)
    asked = sorted(c["at"] for c in cluster.sandbox.requests() if "/v1/messages" in c["path"] and c["at"] > began)
    assert len(asked) == count
    # What several processes had leased before may be spent late: a lease of five each, beside the common burst.
    allowance = BURST + 4 * 5
    for number, moment in enumerate(asked):
        window = sum(1 for other in asked[number:] if other < moment + 5)
        assert window <= allowance + 5 * PER_SECOND * 1.1

"""How much do more workers help? Two API servers, PostgreSQL, Redis, and one, two and four workers.

Each way starts everything anew, with the same e-mails and a model that takes 200 ms for an answer. Counted is from the
first record that is done to the last: how a run begins (a worker looks for work every two seconds, a process starts) is
told beside it. With four workers two cores have enough to do; on more cores the figure is better.

Needs PostgreSQL and Redis: apt-get install postgresql redis-server.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests import cluster
from tests.cluster import SPAM
from tests.postgres import NoPostgres
from tests.redis_server import NoRedis

ANSWER_SECONDS = 0.2
PATIENCE_SECONDS = 900
UNPACED = ("signoff-claude", "signoff-gmail", "signoff-hubspot")


def main() -> None:
    """Measure each number of workers and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=800)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    print(f"{options.records} records, the model answers after {ANSWER_SECONDS * 1000:.0f} ms")  # noqa: T201
    first: float | None = None
    for workers in options.workers:
        try:
            started, rate = measured(options.records, workers)
        except (NoPostgres, NoRedis) as error:
            print(f"not measured: {error}")  # noqa: T201
            return
        first = first or rate
        said = f"{workers} workers: {rate:6.1f} records/s, {rate / first:4.2f} times one worker's"
        print(f"{said}; the first was done {started:.0f} s after the start")  # noqa: T201


def measured(records: int, workers: int) -> tuple[float, float]:
    """Seconds until the first record is done, and from then on records per second."""
    home = Path(tempfile.mkdtemp(prefix="signoff-scale-"))
    with cluster.running(home, workers=workers, parallel=workers) as made:
        made.sandbox.script({"json": SPAM, "times": None})
        made.sandbox.fault("hang", "anthropic", "/v1/messages", seconds=ANSWER_SECONDS, times=None)
        for limit in made.ask("POST", "/v2/concurrency_limits/filter"):
            if limit["name"] in UNPACED:  # what is measured is us, not the vendors' quotas
                wide = {"limit": 100_000, "slot_decay_per_second": 10_000}
                made.ask("PATCH", f"/v2/concurrency_limits/{limit['id']}", **wide)
        made.deliver(records)
        began = time.monotonic()
        made.start()
        made.wait("the first is done", lambda: made.count("done"), PATIENCE_SECONDS)
        first, already = time.monotonic(), made.count("done")
        made.wait("all are done", lambda: made.count("done") >= records, PATIENCE_SECONDS)
        return first - began, (records - already) / (time.monotonic() - first)


if __name__ == "__main__":
    main()

"""How fast are webhooks taken, and how soon do they run? `python -m benchmarks.webhooks`

A real Prefect server and a real receiver, each a process, on SQLite. The requests are signed, by three vendors:

- paced: 200 of them in five seconds, as the promise is; how long the vendor waits for its answer (p50, p99), and how
  long after the last one every event has its run, once;
- at once: 200 as fast as eight connections can;
- bad: 10,000 forgeries, and by how much the receiver has grown after them.

Absolute figures belong to the machine and the minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from deployments.machine import free_port
from deployments.running import use
from deployments.stack import Stack

MANY, SECONDS, CONNECTIONS = 200, 5.0, 8
BAD = 10_000


def main() -> None:
    """Run each once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bad", type=int, default=BAD, help="how many forgeries")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder:
        stack = Stack(Path(folder), free_port(4200), begins_empty=True)
        use(stack.environment | {"PREFECT_LOGGING_LEVEL": "ERROR"})
        with stack:
            stack.start_server()
            figures = measured(Path(folder), stack.environment, options.bad)
    if options.json:
        print(json.dumps(figures, indent=2))  # noqa: T201
        return
    for name, value in figures.items():
        print(f"{name:<44} {value:>10,.1f}")  # noqa: T201


def measured(folder: Path, environment: dict[str, str], bad: int) -> dict[str, float]:
    """All figures, by what they are of."""
    from blocks.ledger import Ledger
    from tests.deployments.receiving import Process, deployed, runs, saved

    ledger = Ledger.open()
    receiver = Process(folder / "receiver.log", environment)
    with saved(), deployed("on-invoice", "on-deal", "on-form") as made:
        receiver.start()
        try:
            receiver.wait()
            figures = {}
            for name, pace in (("paced", SECONDS / MANY), ("at once", 0.0)):
                sent = send(receiver.url, name.replace(" ", "-"), pace)
                began = time.monotonic()
                wait_until(lambda: waiting(ledger) == 0)
                figures |= {f"{name}: {what}": value for what, value in sent.items()}
                figures[f"{name}: all have their run after, s"] = time.monotonic() - began
            figures["events stored"] = float(count(ledger))
            figures["runs made"] = float(len(runs(*made.values())))
            figures |= forged(receiver, bad)
        finally:
            receiver.stop()
    return figures


def send(url: str, of: str, pace: float) -> dict[str, float]:
    """Send them from several threads; a request every `pace` seconds, or as fast as they are answered."""
    from tests.deployments.receiving import mixed

    requests = [mixed(number, of) for number in range(MANY)]
    began = time.monotonic()

    def one(number: int) -> tuple[int, float]:
        time.sleep(max(0.0, began + number * pace - time.monotonic()))
        asked = time.monotonic()
        status = requests[number].to(client, url).status_code
        return int(status), (time.monotonic() - asked) * 1_000

    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(one, range(MANY)))
    took = time.monotonic() - began
    millis = sorted(value for _, value in answers)
    return {
        "answered 200": float(sum(status == 200 for status, _ in answers)),
        "took, s": took,
        "p50, ms": statistics.median(millis),
        "p99, ms": millis[int(len(millis) * 0.99) - 1],
    }


def forged(receiver: Any, many: int) -> dict[str, float]:
    """Bad signatures from ever other addresses, and what they leave behind in the receiver's memory."""

    def some(thread: int) -> None:
        with httpx.Client(timeout=30) as client:
            for number in range(many // CONNECTIONS):
                address = f"10.{thread}.{number >> 8}.{number & 255}"
                headers = {"stripe-signature": "t=1,v1=00", "x-forwarded-for": address}
                client.post(f"{receiver.url}/hooks/stripe", content=b"x" * 2_000, headers=headers)

    before, began = resident(receiver.process.pid), time.monotonic()
    threads = [threading.Thread(target=some, args=(thread,)) for thread in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    grown = (resident(receiver.process.pid) - before) / 1_000_000
    return {f"bad: a second, of {many:,}": many / took, "bad: the receiver grew by, MB": grown}


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1_024


def waiting(ledger: Any) -> int:
    """Events without a run."""
    from blocks.ledger import WebhookEvent

    with ledger.read() as session:
        return int(session.scalar(sa.select(sa.func.count()).where(WebhookEvent.state == "stored")) or 0)


def count(ledger: Any) -> int:
    """All events."""
    from blocks.ledger import WebhookEvent

    with ledger.read() as session:
        return int(session.scalar(sa.select(sa.func.count()).select_from(WebhookEvent)) or 0)


def wait_until(true: Callable[[], bool], seconds: float = 300) -> None:
    """Look every tenth of a second."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"not within {seconds:g} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()

"""What ten thousand approvals that wait cost: rows, bytes, seconds to list them; and how fast the command line is.

The ledger is filled as the gate would; no Prefect server is needed to list what waits. Each figure is of whole
processes, as a person has them.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from blocks.ledger import Action, Ledger, Record, utcnow

CHUNK = 500
BIN = Path(sys.executable).parent


def main() -> None:
    """Fill a ledger and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder:
        file = Path(folder) / "ledger.db"
        environment = os.environ | {
            "SIGNOFF_LEDGER_URL": f"sqlite:///{file}",
            "SIGNOFF_HOME": folder,
            "PREFECT_API_URL": "http://127.0.0.1:1/api",
        }
        fill(Ledger.open(f"sqlite:///{file}"), options.waiting)
        ways = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "signoff --help": [str(BIN / "signoff"), "--help"],
            "signoff approvals list": [str(BIN / "signoff"), "approvals", "list"],
            "signoff approvals list --json": [str(BIN / "signoff"), "approvals", "list", "--json"],
        }
        size = file.stat().st_size
        said = f"{options.waiting:,} approvals wait: {size / options.waiting / 1000:.1f} kB of the ledger for each"
        print(f"{said}, no process")  # noqa: T201
        for name, command in ways.items():
            times = [seconds(command, environment) for _ in range(options.rounds)]
            spread = f"{statistics.median(times):.2f} s [{min(times):.2f}-{max(times):.2f}]"
            print(f"{name:<32}{spread}")  # noqa: T201
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    print(f"the largest of these processes had {peak:.0f} MB")  # noqa: T201


def fill(ledger: Ledger, count: int) -> None:
    """Records of e-mails, each with a reply that waits."""
    for start in range(0, count, CHUNK):
        with ledger.write() as session:
            numbers = range(start, min(start + CHUNK, count))
            made = [_record(number) for number in numbers]
            session.add_all(made)
            session.flush()
            session.add_all([_reply(record, number) for number, record in zip(numbers, made, strict=True)])


def _record(number: int) -> Record:
    text = "we run two sites and would like to see how this works. " * 5
    payload = {"message_id": f"m{number}", "thread_id": f"t{number}", "subject": f"Question {number}", "text": text}
    return Record(
        workflow="lead-triage",
        source="gmail:hello@bench.example",
        external_id=f"m{number}",
        version="1",
        title=f"Question {number}",
        payload=payload,
        state="done",
    )


def _reply(record: Record, number: int) -> Action:
    to = f"person{number}@customer{number}.example"
    body = "Hello,\n\nthank you for writing. Would Tuesday suit you?\n\nKind regards"
    return Action(
        record_id=record.id,
        workflow="lead-triage",
        kind="gmail.send_reply",
        title=f"Send reply to {to}",
        payload={"message_id": f"m{number}", "thread_id": f"t{number}", "to": to, "subject": "Re", "body": body},
        credential="gmail/inbox",
        impact="high",
        key=f"lead-triage:{number}:gmail.send_reply",
        digest=uuid4().hex,
        stage="gated",
        state="waiting",
        flow_run_id=str(uuid4()),
        explanation=f"**Why:** a demo request.\n\n> {record.payload['text']}",
        expires_at=utcnow() + timedelta(days=5),
    )


def seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    """The wall seconds of a process from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

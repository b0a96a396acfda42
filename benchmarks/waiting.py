"""What ten thousand approvals that wait cost: rows, bytes, seconds to list them; and how fast the command line is.

The ledger is filled as the gate would; no Prefect server is needed to list what waits. Each figure is of whole
processes, as a person has them.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from benchmarks.spread import spread
from blocks.ledger import Action, Ledger, Record, utcnow

CHUNK = 500
BIN = Path(sys.executable).parent


def main() -> None:
    """Fill a ledger and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    report(Console(), options.waiting, options.rounds)


def report(console: Console, count: int, rounds: int) -> dict[str, Any]:
    """Fill a ledger, print the figures and return them."""
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder:
        file = Path(folder) / "ledger.db"
        environment = os.environ | {
            "SIGNOFF_LEDGER_URL": f"sqlite:///{file}",
            "SIGNOFF_HOME": folder,
            "PREFECT_API_URL": "http://127.0.0.1:1/api",
            "PREFECT_UI_URL": "http://127.0.0.1:1",  # as it stands beside a running `signoff up`
        }
        ledger = Ledger.open(f"sqlite:///{file}")
        empty = size(file)
        fill(ledger, count)
        each = (size(file) - empty) / count
        ways = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "signoff --help": [str(BIN / "signoff"), "--help"],
            "signoff approvals list": [str(BIN / "signoff"), "approvals", "list"],
            "signoff approvals list --json": [str(BIN / "signoff"), "approvals", "list", "--json"],
        }
        times = {name: [seconds(command, environment) for _ in range(rounds)] for name, command in ways.items()}
    table = Table(title=f"{count:,} approvals wait", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("seconds, median [range]", justify="right")
    for name, some in times.items():
        table.add_row(name, spread(some, ".2f"))
    console.print(table)
    console.print(f"Each is {each / 1000:.1f} kB of the ledger and no process.\n")
    return {"seconds": times, "bytes_each": each}


def size(file: Path) -> int:
    """The bytes of a SQLite database, with what its log still holds."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    pages, bytes_each = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    connection.close()
    return int(pages) * int(bytes_each)


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
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

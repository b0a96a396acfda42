"""How fast is a triage, next to the bare SDK? `make bench`

One run starts a sandbox and a Prefect server, and in each round times, on the same mail and the same prompt:

- the bare SDK: a loop over `messages.create`, one at a time (the floor), and eight at a time;
- ours, fetch to gate: 200 e-mails from the inbox to decided actions, everything recorded in the ledger. From the first
  verb to the last: how a flow run begins and ends (its last wait is up to a second for Prefect's heartbeat thread,
  whatever the run's size) is start-up, not throughput, and is in the next one;
- ours, the whole flow on mail of which every piece becomes an approval (a suspended run with its form).

The model answers at once, so what is measured is us. Absolute figures belong to the machine and the minute; the ratios
within one round are what to compare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from deployments.machine import free_port
from deployments.running import use
from deployments.stack import Stack

SPAM = {"intent": "spam", "urgency": "low", "summary": "They sell lists.", "reply": "", "confidence": 0.99}
LEAD = {
    "intent": "demo_request",
    "urgency": "normal",
    "summary": "They want to see the product for two sites.",
    "reply": "Hello,\n\nthank you for writing. Would Tuesday suit you?\n\nKind regards",
    "confidence": 0.99,
}


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as folder:
        stack = Stack(Path(folder), free_port(4200))
        use(stack.environment | {"PREFECT_LOGGING_LEVEL": "ERROR"})
        with stack:
            url = stack.start_sandbox()
            stack.start_server()
            stack.deploy()
            rounds = [one_round(url, options.records) for _ in range(options.rounds)]
    if options.json:
        print(json.dumps(rounds, indent=2))  # noqa: T201
    else:
        print_table(rounds, options.records)


def one_round(url: str, records: int) -> dict[str, float]:
    """Records per second of each way, one after the other."""
    return {
        "bare SDK, one at a time": bare(url, records, threads=1),
        "bare SDK, eight at a time": bare(url, records, threads=8),
        "fetch to gate": triage(url, records, SPAM, whole=False),
        "whole flow, all approvals": triage(url, records, LEAD, whole=True),
    }


def bare(url: str, records: int, threads: int) -> float:
    """The SDK alone: a prompt and a schema of the same size, nothing recorded."""
    from anthropic import Anthropic, transform_schema

    import prompts
    from sandbox.credentials import ANTHROPIC_API_KEY

    sandbox = prepared(url, 1, SPAM)
    prompt = prompts.load("lead_triage")
    system, user = prompt.render(prompt.cases[0].inputs)
    client = Anthropic(api_key=ANTHROPIC_API_KEY, base_url=f"{url}/anthropic", max_retries=0)
    schema = transform_schema(prompt.answer)

    def call(_: int) -> Any:
        return client.messages.create(
            model="claude-haiku-5-5",
            max_tokens=900,
            system=system,
            messages=[{"role": "user", "content": user}],
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )

    call(0)
    seconds = timed(lambda: [call(i) for i in range(records)] if threads == 1 else pooled(call, records, threads))
    sandbox.close()
    return records / seconds


def triage(url: str, records: int, answer: dict[str, Any], *, whole: bool) -> float:
    """Ours, in this process, against the real server. Without `whole`, act and report are left out."""
    from prefect import flow

    import prompts
    from blocks import connections
    from blocks.ledger import Action, Ledger, Record
    from blocks.models import version_of
    from deployments.pretend import connect
    from flows import lead_triage as module
    from tasks import checks, fetch, gate, prompt, validate
    from tasks.run import begin
    from tests.earned import earn

    sandbox = prepared(url, records, answer)
    connect(url, "hello@bench.example")
    connections.load.cache_clear()
    connections.save("claude/triage", claude_at(url))
    ledger = Ledger.open(f"sqlite:///{tempfile.mkdtemp()}/ledger.db")
    # Low impact passes: without evidence everything would wait, and the whole be bound by the approvals' runs.
    earn(ledger, version_of(prompts.load(module.CARD.prompt), claude_at(url)))

    @flow(name="bench-fetch-to-gate")
    def to_gate() -> float:
        return timed(verbs)

    def verbs() -> None:
        with begin(module.CARD, ledger) as run:
            ids = fetch.inbox(run, query="in:inbox", limit=records, suite=checks.answerable)
            for batch in run.batches(ids, module.BATCH):
                fetch.contacts(run, batch, module.sender_of)
                prompt.ask(run, batch, module.variables)
                validate.answers(run, batch, module.variables)
                gate.check(run, batch, module.decide, module.explain)

    @flow(name="bench-whole")
    def all_of_it() -> None:
        with connections_to(ledger):
            module.lead_triage.fn(limit=records)

    checks.answerable()  # Great Expectations' import is start-up, not throughput
    seconds = timed(all_of_it) if whole else to_gate()
    sandbox.close()
    with ledger.read() as session:
        mine = Record.source.startswith("gmail:")
        decided = session.scalar(sa.select(sa.func.count(sa.distinct(Action.record_id))).join(Record).where(mine))
    assert decided == records, f"only {decided} of {records} e-mails were decided on"
    return records / seconds


def connections_to(ledger: Any) -> Any:
    """Make `ledger` the default one."""
    import os
    from contextlib import contextmanager

    @contextmanager
    def swapped() -> Any:
        before = os.environ["SIGNOFF_LEDGER_URL"]
        os.environ["SIGNOFF_LEDGER_URL"] = str(ledger.engine.url)
        try:
            yield
        finally:
            os.environ["SIGNOFF_LEDGER_URL"] = before

    return swapped()


def prepared(url: str, records: int, answer: dict[str, Any]) -> Any:
    """The sandbox with `records` e-mails in its inbox and a model that always gives `answer`."""
    from sandbox.client import Sandbox

    sandbox = Sandbox(url)
    sandbox.reset(empty=True)
    for number in range(records):
        mail = EmailMessage()
        mail["From"] = f"Person {number} <person{number}@customer{number}.example>"
        mail["To"] = "hello@bench.example"
        mail["Subject"] = f"Your product, question {number}"
        mail["Message-ID"] = f"<bench-{number}-{time.time_ns()}@customer.example>"
        mail.set_content("Hello,\n\nwe run two sites and would like to see how this works. " * 5)
        sandbox.deliver(mail.as_bytes())
    sandbox.script({"json": answer, "times": None})
    return sandbox


def claude_at(url: str) -> Any:
    """The pretend company's Claude."""
    from pydantic import SecretStr

    from blocks.anthropic import Claude
    from sandbox.credentials import ANTHROPIC_API_KEY

    return Claude(api_key=SecretStr(ANTHROPIC_API_KEY), address=f"{url}/anthropic")


def pooled(call: Callable[[int], Any], records: int, threads: int) -> list[Any]:
    """The calls, several at a time."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, range(records)))


def timed(function: Callable[[], Any]) -> float:
    """Wall seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def print_table(rounds: list[dict[str, float]], records: int) -> None:
    """Median and range of each way, and its ratio to the floor within the round."""
    from rich.console import Console
    from rich.table import Table

    floor = next(iter(rounds[0]))
    table = Table(title=f"{records} records, {len(rounds)} rounds", title_justify="left")
    for title in ("", "records/s, median [range]", f"ratio to {floor}"):
        table.add_column(title)
    for way in rounds[0]:
        rates = [r[way] for r in rounds]
        ratios = [r[way] / r[floor] for r in rounds]
        table.add_row(way, _spread(rates, ".0f"), _spread(ratios, ".2f"))
    Console().print(table)


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"


if __name__ == "__main__":
    main()

"""What does a step of the agent's loop cost, next to the bare SDK's loop? `python -m benchmarks.agent`

In each round the same scripted conversations (one read tool, called anew in every step) are had twice, one after the
other: by the loop that the SDK's own documentation shows, which keeps nothing; and by ours, with every step and call in
the ledger, budget and limits looked at, on SQLite. The model answers at once, so what is measured is us.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sandbox.client import Sandbox, running
from sandbox.credentials import ANTHROPIC_API_KEY

GOAL_MS = 5.0


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=15)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with running(empty=True) as sandbox, tempfile.TemporaryDirectory() as folder:
        ours = Ours(sandbox, Path(folder), chosen.steps)
        one_round(sandbox, ours, 2, chosen.steps)  # whatever is only imported or compiled when it is first used
        rounds = [one_round(sandbox, ours, chosen.records, chosen.steps) for _ in range(chosen.rounds)]
    print_table(rounds, chosen.records, chosen.steps)


def one_round(sandbox: Sandbox, ours: Ours, records: int, steps: int) -> tuple[float, float]:
    """Milliseconds a step: the bare SDK's, then ours."""
    script(sandbox, records, steps)
    bare_ms = timed(lambda: [bare(sandbox, number) for number in range(records)]) / (records * steps)
    script(sandbox, records, steps)
    ids = [ours.add() for _ in range(records)]
    our_ms = timed(lambda: ours.work(ids)) / (records * steps)
    return bare_ms, our_ms


def script(sandbox: Sandbox, records: int, steps: int) -> None:
    """As many conversations of so many steps each, the last of them in words."""
    sandbox.clear_script()
    turn = [{"tool_use": [{"name": "look_up", "input": {"name": f"person {n}"}}]} for n in range(steps - 1)]
    sandbox.script(*[*turn, {"text": "That is all."}] * records)


def bare(sandbox: Sandbox, number: int) -> None:
    """The loop as the SDK's documentation shows it."""
    client = _client(sandbox)
    messages: list[Any] = [{"role": "user", "content": f"The e-mail: number {number}"}]
    while True:
        answer = client.messages.create(
            model="claude-haiku-5-5", max_tokens=2_000, system="You look after e-mails.", messages=messages, tools=TOOLS
        )
        messages.append({"role": "assistant", "content": answer.content})
        calls = [block for block in answer.content if block.type == "tool_use"]
        if not calls:
            return
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": look(**call.input)} for call in calls]
        messages.append({"role": "user", "content": results})


TOOLS: Any = [
    {
        "name": "look_up",
        "description": "Look a person up.",
        "input_schema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    }
]
_CLIENTS: dict[str, Any] = {}


def _client(sandbox: Sandbox) -> Any:
    from anthropic import Anthropic

    if sandbox.url not in _CLIENTS:
        _CLIENTS[sandbox.url] = Anthropic(api_key=ANTHROPIC_API_KEY, base_url=f"{sandbox.url}/anthropic", max_retries=0)
    return _CLIENTS[sandbox.url]


def look(name: str) -> str:
    """What the tool finds: a page of text, as a CRM gives it."""
    return f"{name}: " + "known since 2024, two sites, invoices paid in time. " * 10


class Ours:
    """Our loop, without Prefect's server: what is measured is a step, not the start of a run."""

    def __init__(self, sandbox: Sandbox, folder: Path, steps: int) -> None:
        import prompts
        from blocks import connections
        from blocks.anthropic import Claude
        from blocks.ledger import Ledger
        from tasks.tools import tool
        from tests import agents

        claude = Claude(api_key=SecretStr(ANTHROPIC_API_KEY), address=f"{sandbox.url}/anthropic")
        connections.load_if_present = lambda _: claude  # type: ignore[assignment]
        vars(prompts)["load"] = agents.with_agent_text(prompts.load)

        def look_up(_case: Any, name: str) -> str:
            """Look a person up."""
            return look(name)

        self.ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
        self.card = agents.card(steps=steps + 1, calls=200, tokens=10**7)
        self.desk = agents.desk([tool(most=200)(look_up)], closing=lambda *_: ())

    def add(self) -> int:
        """A record to work on."""
        from blocks.ledger import Record

        text = {"text": "number 1", "sender": "ann@northwind.example"}
        with self.ledger.write() as session:
            record = Record(
                workflow=self.card.workflow, source="bench", external_id=str(time.time_ns()), payload=MAIL | text,
                state="validated", answer={},
            )  # fmt: skip
            session.add(record)
            session.flush()
            return record.id

    def work(self, ids: list[int]) -> None:
        """The conversations, one after the other, in one run."""
        import sqlalchemy as sa

        from blocks.ledger import Record
        from tasks import agent, records
        from tasks.budget import Budget
        from tasks.card import Stage
        from tasks.run import Run, alive

        with alive(self.ledger, self.card.workflow, Stage.SELECTIVE) as run_id:
            run = Run(
                id=run_id, card=self.card, ledger=self.ledger, stage=Stage.SELECTIVE,
                budget=Budget(self.ledger, self.card, run_id), model=None, prompt_version="v",  # type: ignore[arg-type]
                earned=(Stage.SELECTIVE, ""),
            )  # fmt: skip
            for record in records.in_state(self.ledger, ids, records.VALIDATED):
                agent._let_work(run, record, self.desk)
        with self.ledger.read() as session:
            ended = sa.select(sa.func.count()).where(Record.id.in_(ids), Record.state == records.GATED)
            assert session.scalar(ended) == len(ids), "not every conversation has ended"


MAIL: dict[str, Any] = {
    "message_id": "m", "thread_id": "t", "rfc822_message_id": "<m@x.example>", "references": [], "sender_name": "Ann",
    "reply_to": "", "to": [], "cc": [], "subject": "Hello", "sent_at": "2026-03-02T09:30:00Z", "quoted": "",
    "signature": "", "attachments": [], "machine": "", "defects": [],
}  # fmt: skip


def timed(function: Any) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000


def print_table(rounds: list[tuple[float, float]], records: int, steps: int) -> None:
    """Median and range, and what a step of ours costs more, within each round."""
    more = [ours - bare for bare, ours in rounds]
    ratios = [ours / bare for bare, ours in rounds]
    lines = (
        ("bare SDK, ms a step", [bare for bare, _ in rounds], ".2f"),
        ("ours, ms a step", [ours for _, ours in rounds], ".2f"),
        (f"more, ms a step (goal: under {GOAL_MS:g})", more, ".2f"),
        ("ratio", ratios, ".2f"),
    )
    sys.stdout.write(f"{records} conversations of {steps} steps, {len(rounds)} rounds: median [range]\n")
    for name, values, form in lines:
        spread = f"{statistics.median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"
        sys.stdout.write(f"  {name:42} {spread}\n")


if __name__ == "__main__":
    main()

"""How fast is `signoff eval`, next to the bare SDK? `python -m benchmarks.evaluate`

In each round the same 1,000 cases of the same prompt are asked, eight at a time, of a server that answers at once:

- the bare SDK: a pool of threads that render the prompt and call `messages.create`; nothing is checked or kept;
- ours: the whole evaluation, from looking up what is known to the scores, every answer in the ledger.

The server is a process of its own that does next to nothing, so that what is measured is us. Absolute figures belong to
the machine and the minute; the ratio within one round is what to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from deployments.machine import HOST, free_port

THREADS = 8
GOAL = 1.3
ANSWER = {
    "intent": "demo_request",
    "urgency": "normal",
    "summary": "They want to see the product for two sites.",
    "reply": "Hello,\n\nthank you for writing. Would Tuesday suit you?\n\nKind regards",
    "confidence": 0.99,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-5-5",
    "content": [{"type": "text", "text": json.dumps(ANSWER)}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 2000, "output_tokens": 90},
}
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with serving() as url:
        # Prefect is asked once for the pace that Claude may be asked at: here there is none.
        os.environ |= {"PREFECT_API_URL": f"{url}/api", "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false"}
        rounds = [one_round(url, options.cases) for _ in range(options.rounds)]
    if options.json:
        print(json.dumps(rounds, indent=2))  # noqa: T201
    else:
        print_table(rounds, options.cases)


def one_round(url: str, cases: int) -> dict[str, float]:
    """Seconds of each way, one after the other."""
    return {"bare SDK": bare(url, cases), "signoff eval": ours(url, cases)}


def bare(url: str, cases: int) -> float:
    """The SDK alone: the same prompt and schema, no limit, nothing read or recorded."""
    from anthropic import Anthropic, transform_schema

    import prompts

    prompt = prompts.load("lead_triage")
    client = Anthropic(api_key="sk-none", base_url=url, max_retries=0)
    schema = transform_schema(prompt.answer)

    def call(number: int) -> Any:
        system, user = prompt.render(prompt.cases[0].inputs | {"subject": f"{number}"})
        return client.messages.create(
            model="claude-haiku-5-5",
            max_tokens=900,
            system=system,
            messages=[{"role": "user", "content": user}],
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )

    def every() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(call, range(cases)))

    call(0)
    return timed(every)


def ours(url: str, cases: int) -> float:
    """The evaluation, with a new ledger."""
    from pydantic import SecretStr

    import prompts
    from blocks.anthropic import Claude
    from blocks.ledger import Ledger
    from tasks.evaluate import evaluate

    prompt = prompts.load("lead_triage")
    first = prompt.cases[0]
    every = [
        first.model_copy(update={"name": f"c{n}", "inputs": first.inputs | {"subject": f"{n}"}}) for n in range(cases)
    ]
    model = Claude(api_key=SecretStr("sk-none"), address=url)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db")
        evaluate(ledger, prompt, model, every[:1], source="warm-up", usd=Decimal(1))
        seconds = timed(lambda: evaluate(ledger, prompt, model, every, source="bench", usd=Decimal(1000), again=True))
        ledger.engine.dispose()
    return seconds


def timed(function: Callable[[], Any]) -> float:
    """Wall seconds."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


@contextmanager
def serving() -> Iterator[str]:
    """A server of the Messages protocol, in a process of its own; yields its address."""
    port = free_port(4290)
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=serve, args=(port, ready), daemon=True)
    process.start()
    ready.wait(10)
    os.environ |= {"NO_PROXY": HOST, "no_proxy": HOST}
    try:
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.join()


def serve(port: int, ready: Any) -> None:
    """Answer every message with the same one, and anything else with a 404, until the process ends."""
    body = json.dumps(MESSAGE).encode()
    found = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    missing = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(found if head.startswith(b"POST /v1/messages ") else missing)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def forever() -> None:
        server = await asyncio.start_server(answer, HOST, port)
        ready.set()
        await server.serve_forever()

    asyncio.run(forever())


def print_table(rounds: list[dict[str, float]], cases: int) -> None:
    """Median and range of each way, and the ratio within the round."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{cases} cases, {len(rounds)} rounds, {THREADS} at a time", title_justify="left")
    for title in ("", "seconds, median [range]", "cases/s", "times the bare SDK"):
        table.add_column(title)
    for way in rounds[0]:
        seconds, ratios = [r[way] for r in rounds], [r[way] / r["bare SDK"] for r in rounds]
        table.add_row(way, _spread(seconds), f"{cases / statistics.median(seconds):.0f}", _spread(ratios))
    Console().print(table)
    Console().print(f"The goal is a ratio of at most {GOAL}.")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


if __name__ == "__main__":
    main()

"""After a triage full of failures that quote credentials, none of them is anywhere on the machine or in Prefect's API.

The vendors' tokens are planted: the sandbox accepts no other. Blocks are looked for too, which Prefect keeps encrypted.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from blocks.ledger import Action, Record
from blocks.vendor import written_forms
from sandbox import credentials
from tests.deployments.machinery import TRIAGE_SECONDS, Machine, eventually

pytestmark = pytest.mark.slow

CLAUDE_KEY = credentials.ANTHROPIC_API_KEY
PLANTED = (
    credentials.GOOGLE_CLIENT_SECRET,
    credentials.GOOGLE_REFRESH_TOKEN,
    credentials.HUBSPOT_TOKEN,
    credentials.SLACK_BOT_TOKEN,
    CLAUDE_KEY,
)
FORMS = sorted({form for secret in PLANTED for form in written_forms(secret)})
ACCESS_TOKEN = re.compile(rb"ya29\.sandbox-\d")
"""What the sandbox hands out for the refresh token."""

API = (
    *("logs", "artifacts", "flow_runs", "task_runs", "flow_run_states", "task_run_states"),
    *("block_documents", "variables", "deployments", "work_pools"),
)


def traces(data: bytes) -> list[str]:
    """The credentials that stand in these bytes, in any form and encoding."""
    found = [form for form in FORMS if form.encode() in data or form.encode("utf-16-le") in data]
    return found + [match.decode() for match in ACCESS_TOKEN.findall(data)]


@pytest.fixture(scope="module")
def leaked(triaged: Machine) -> Iterator[Machine]:
    """The stack after every vendor has quoted our credential at us, in a run that fails and in one that goes on.

    Nothing is left for a later run, which other tests start and count.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from blocks import connections
    from blocks.anthropic import Claude

    machine, sandbox = triaged, triaged.sandbox
    claude = Claude(api_key=SecretStr(CLAUDE_KEY), address=sandbox.at("anthropic"))
    with temporary_settings({PREFECT_API_URL: f"{machine.stack.url}/api"}):
        connections.save("claude/triage", claude)
    machine.earn(claude)  # low impact is done, so that every vendor is met
    try:
        # A connection that was revoked fails the whole run: its exception goes through Prefect's own logs and states.
        sandbox.fault("leaky_error", "google", "/token", times=None)
        run_to_its_end(machine, "Failed")
        struck(machine, 1)

        for number, subject in enumerate(("Leak unasked", "Leak undone")):
            answer = {"intent": "support", "urgency": "high", "summary": subject, "reply": "Hello", "confidence": 0.9}
            sandbox.script({"when": f"Subject: {subject}", "json": answer})
            sandbox.write(sender=f"pat{number}@leak{number}.example", subject=subject, body="It is all broken.")
        sandbox.fault("leaky_error", "google", "*/modify", status=400)
        sandbox.fault("leaky_error", "anthropic", status=400, body="Leak unasked")
        sandbox.fault("leaky_error", "hubspot", "/notes", method="POST", status=400)
        sandbox.fault("leaky_error", "slack", "chat.postMessage")
        sandbox.fault("reset", "hubspot", "/batch/read")
        run_to_its_end(machine, "Completed")
        struck(machine, 5)
        yield machine
    finally:
        sandbox.clear_faults()
        sandbox.clear_script()
        with temporary_settings({PREFECT_API_URL: f"{machine.stack.url}/api"}):
            Claude.delete("triage")


def run_to_its_end(machine: Machine, wanted: str) -> None:
    run = eventually("a run is accepted", lambda: started(machine))
    ended = ("Completed", "Failed", "Crashed", "Cancelled")
    state = eventually("the triage ends", lambda: s if (s := machine.state_of(run)) in ended else None, TRIAGE_SECONDS)
    assert state == wanted, machine.stack.log("worker").read_text()[-3000:]


def started(machine: Machine) -> str | None:
    """A new run's id; None while the server's SQLite is busy with what the triage before has left it to write."""
    try:
        return machine.start("lead-triage")
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return None
        raise


def struck(machine: Machine, faults: int) -> None:
    """Every fault was met, or there was nothing to leak."""
    fired = [fault["kind"] for fault in machine.sandbox.faults() if fault["fired"]]
    assert len(fired) == len(machine.sandbox.faults()) == faults, fired
    machine.sandbox.clear_faults()


def test_the_failures_did_quote_them_and_were_blanked(leaked: Machine) -> None:
    told: list[str] = []
    with leaked.ledger.read() as session:
        for column in (Record.reason, Action.reason):
            told += filter(None, session.scalars(sa.select(column).where(column.contains("refused credential"))))
    assert {reason.split(":")[0] for reason in told if "***" in reason} >= {"claude", "gmail", "hubspot", "slack"}


def test_no_file_of_the_stack_holds_one(leaked: Machine) -> None:
    files = [path for path in leaked.stack.home.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert names >= {"ledger.db", "prefect.db", "worker.log", "server.log", "processes.json"}, names
    assert {path.relative_to(leaked.stack.home): found for path in files if (found := traces(read(path)))} == {}
    # The search itself works: what is meant to be there is found in the same way.
    assert any(b"refused credential" in read(path) for path in files if path.name.startswith("ledger.db"))
    assert any(b"hubspot" in read(path) for path in files if path.name.startswith("prefect.db"))


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # SQLite's journals come and go
        return b""


@pytest.mark.parametrize("what", API)
def test_prefects_api_returns_none(leaked: Machine, what: str) -> None:
    pages = list(everything(leaked, what))
    assert pages
    assert traces(json.dumps(pages, ensure_ascii=False).encode()) == []
    if what == "logs":
        assert "refused credential" in json.dumps(pages)


def test_no_event_holds_one(leaked: Machine) -> None:
    since = {"occurred": {"since": "2020-01-01T00:00:00Z"}}
    page = leaked.ask("POST", "/events/filter", filter=since, limit=50)
    seen = 0
    while True:
        seen += len(page["events"])
        assert traces(json.dumps(page).encode()) == []
        if not page["next_page"]:
            break
        page = leaked.api.get(page["next_page"]).raise_for_status().json()
    assert seen > 50


def everything(machine: Machine, what: str) -> Iterator[dict[str, Any]]:
    """All that Prefect's API lists of a kind."""
    if what.endswith("_states"):
        kind = what.removesuffix("_states")
        for run in everything(machine, f"{kind}s"):
            yield from machine.ask("GET", f"/{what}/?{kind}_id={run['id']}")
        return
    offset = 0
    while page := machine.ask("POST", f"/{what}/filter", limit=200, offset=offset):
        yield from page
        offset += len(page)
        if len(page) < 200:
            return


def test_what_the_commands_print_holds_none(leaked: Machine) -> None:
    for command in (
        ("ledger", "show", "--limit", "500", "--json"),
        ("approvals", "list", "--json"),
        ("ledger", "doubts"),
    ):
        done = leaked.signoff(*command)
        assert done.code == 0, done.err
        assert traces((done.out + done.err).encode()) == []


def test_the_search_sees_every_form() -> None:
    token = credentials.HUBSPOT_TOKEN
    for form in (token.encode(), token.encode("utf-16-le"), base64.b64encode(token.encode()), b"Bearer ya29.sandbox-7"):
        assert traces(b"\x00\xff" + form + b"\x00")
    assert traces(b"ya29. and sandbox") == []

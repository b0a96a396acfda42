"""`signoff ledger steps`: what an agent did, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import AgentRun, Ledger
from blocks.mail import Email
from tests.work import ANN, add_work


@pytest.fixture
def signoff(in_process: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a command as the terminal would; no line is longer than 80 columns."""

    def command(*arguments: str) -> Any:
        said = in_process(*arguments)
        assert all(len(line) <= 80 for line in said.out.splitlines()) or "--json" in arguments, said.out
        return said

    return command


@pytest.fixture
def record(ledger: Ledger, email: Callable[..., Email]) -> int:
    """A record on which an agent has worked."""
    return add_work(ledger, email()).record


def test_each_call_with_its_impact_time_and_result(signoff: Callable[..., Any], record: int) -> None:
    said = signoff("ledger", "steps", str(record))
    assert said.code == 0
    assert "by claude: done" in said.out
    assert "step 1" in said.out
    assert "send(text=" in said.out
    assert "[high, 0.00 s]" in said.out
    assert ANN in said.out


def test_a_limit_is_told_with_its_value(signoff: Callable[..., Any], record: int, ledger: Ledger) -> None:
    with ledger.write() as session:
        limit = {"kind": "steps", "value": 13, "limit": 12}
        session.execute(sa.update(AgentRun).values(state="stopped", limit=limit))
    assert "stopped by a limit, steps: 13 would be over 12" in signoff("ledger", "steps", str(record)).out


def test_for_programs(signoff: Callable[..., Any], record: int) -> None:
    (run,) = json.loads(signoff("ledger", "steps", str(record), "--json").out)
    assert (run["model"], run["state"], run["tools"]) == ("claude", "done", ["send"])
    assert [call["tool"] for call in run["calls"]] == ["send"]


def test_a_record_without_an_agent_says_so(signoff: Callable[..., Any], record: int) -> None:
    said = signoff("ledger", "steps", str(record + 99))
    assert said.code == 1
    assert f"no agent has worked on record {record + 99}" in said.err

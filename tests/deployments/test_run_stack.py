"""`signoff run`: a workflow at once, on a real server and worker."""

from __future__ import annotations

import re

import pytest

from tests.deployments.machinery import Machine, eventually

pytestmark = pytest.mark.slow


def test_starts_a_workflow_and_waits_for_its_end(machine: Machine) -> None:
    done = machine.signoff("run", "health_check", "--wait")
    assert done.code == 0, done.out + done.err
    link = re.search(r"health-check was started: \S+/runs/flow-run/([0-9a-f-]{36})", done.out)
    assert link, done.out
    assert machine.state_of(link[1]) == "Completed"
    assert "It ended as Completed" in done.out


def test_where_only_one_may_run_it_waits_for_its_turn(machine: Machine) -> None:
    other = machine.start("health-check")
    eventually("the other runs", lambda: machine.state_of(other) == "Running", 60)
    done = machine.signoff("run", "health-check", "--wait")
    assert done.code == 0, done.out + done.err
    assert "It ended as Completed" in done.out
    assert machine.state_of(other) == "Completed"


def test_a_name_that_is_none_is_answered_with_those_that_are(machine: Machine) -> None:
    said = machine.signoff("run", "lead-triag").refused()
    assert "there is no deployment lead-triag on the Prefect server; there are lead-triage, support-answer" in said
    assert said.endswith(". Did you mean lead-triage?")


def test_a_limit_that_the_workflow_does_not_take_starts_nothing(machine: Machine) -> None:
    before = len(machine.ask("POST", "/flow_runs/filter"))
    said = machine.signoff("run", "lead-triage", "--limit", "5000").refused()
    assert "lead-triage does not take --limit 5000" in said
    assert len(machine.ask("POST", "/flow_runs/filter")) == before

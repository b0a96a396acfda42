"""The schedule in `prefect.yaml` makes runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployments.machinery import Machine, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def scheduled(machine: Machine) -> Iterator[dict[str, Any]]:
    """The triage's deployment with its schedule on; it is off again after the test, with what it had planned."""
    triage: dict[str, Any] = machine.ask("GET", "/deployments/name/lead-triage/lead-triage")
    (schedule,) = triage["schedules"]
    path = f"/deployments/{triage['id']}/schedules/{schedule['id']}"
    machine.ask("PATCH", path, active=True)
    yield triage
    machine.ask("PATCH", path, active=False)


def test_the_schedule_plans_the_next_runs(machine: Machine, scheduled: dict[str, Any]) -> None:
    def planned() -> list[dict[str, Any]]:
        wanted = {"deployment_id": {"any_": [scheduled["id"]]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
        found: list[dict[str, Any]] = machine.ask("POST", "/flow_runs/filter", flow_runs=wanted)
        return [run for run in found if run["auto_scheduled"]]

    eventually("the server plans runs", planned, 200, every=0.5)
    log = machine.stack.log("server").read_text(errors="replace")
    assert "schedule_deployments" not in "".join(line for line in log.splitlines() if "ERROR" in line)

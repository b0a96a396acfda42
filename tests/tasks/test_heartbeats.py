"""A run of ours does not wait for Prefect's heartbeats at its end, unless somebody wants them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prefect import flow

import tasks.heartbeats  # noqa: F401 - what is tested
from deployments.running import ROOT
from tests.deployments.machinery import clean_environment

CODE = """
import tasks.verb
from prefect.settings import get_current_settings
print(get_current_settings().flows.heartbeat_frequency)
"""


@pytest.mark.parametrize(("asked", "seconds"), [({}, "None"), ({"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "45"}, "45")])
def test_they_are_off_unless_somebody_has_asked_for_them(asked: dict[str, str], seconds: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env=clean_environment(**asked),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == seconds


@pytest.mark.usefixtures("prefect_server")
def test_a_run_emits_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Prefect no longer takes `None` for "none", this says so."""
    emitted: list[str] = []
    monkeypatch.setattr("prefect.flow_engine.emit_event", lambda event, **_: emitted.append(event))

    @flow
    def nothing() -> None:
        """Nothing."""

    nothing()
    assert emitted == []

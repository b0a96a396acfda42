"""The work pool: how its workers start a run, and what of it is left to those who have changed it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from deployments.stack import COMMAND, POOL, create_pool, venv_path

Made = Callable[[], WorkPool]


@pytest.fixture
def pool(prefect_server: None) -> Iterator[Made]:  # noqa: ARG001
    """Makes the pool as `signoff deploy` does, and tells what it then is; there is none before and after."""
    with get_client(sync_client=True) as client:

        def made() -> WorkPool:
            create_pool()
            return client.read_work_pool(POOL)

        _forget()
        yield made
        _forget()


def _forget() -> None:
    with get_client(sync_client=True) as client:
        try:
            client.delete_work_pool(POOL)
        except ObjectNotFound:
            return


def there(template: dict[str, Any], kind: str = ProcessWorker.type) -> None:
    """Somebody has made it before."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=kind, base_job_template=template))


def command(pool: WorkPool) -> Any:
    return pool.base_job_template["variables"]["properties"]["command"].get("default")


def test_a_new_one_starts_runs_with_our_command(pool: Made) -> None:
    assert command(pool()) == COMMAND
    assert command(pool()) == COMMAND


def test_one_as_prefect_makes_it_gets_our_command(pool: Made) -> None:
    there(ProcessWorker.get_default_base_job_template())
    assert command(pool()) == COMMAND


def test_one_that_somebody_has_changed_stays(pool: Made) -> None:
    template = ProcessWorker.get_default_base_job_template()
    template["variables"]["properties"]["stream_output"]["default"] = False
    there(template)
    assert pool().base_job_template == template


def test_one_of_another_type_stays(pool: Made) -> None:
    template = {"job_configuration": {"command": "{{ command }}"}, "variables": {"properties": {"command": {}}}}
    there(template, "kubernetes")
    assert (made := pool()).type == "kubernetes"
    assert command(made) is None


def test_our_workers_find_the_python_that_runs_us_without_an_activated_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    found = shutil.which(COMMAND.split()[0], path=venv_path())
    assert found is not None
    assert Path(found).parent == Path(sys.executable).parent

"""What several servers and workers share, the containers that hold the same, and what is started again."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.templating import find_placeholders

from deployments.cli import app
from deployments.errors import StackError
from deployments.keeper import Keeper
from deployments.machine import HOST
from deployments.running import ROOT
from deployments.scale import ON_REDIS, PREPARED, Scale
from deployments.stack import POOL, PREFECT_SETTINGS, Stack
from deployments.up import proxied_url
from tests.deployments.machinery import eventually, unused_port

DATABASE, REDIS = "postgresql://ann:secret-word@db/prefect", "redis://cache:6379"
ENDS = [sys.executable, "-c", "raise SystemExit(3)"]
STAYS = [sys.executable, "-c", "import time; time.sleep(600)"]


class TestScale:
    def test_one_of_each_needs_nothing(self) -> None:
        assert Scale().environment == {}
        assert not Scale().apart

    def test_servers_that_share_postgresql_and_redis(self) -> None:
        scale = Scale(servers=2, workers=4, database=DATABASE, redis=f"{REDIS}/")
        assert scale.apart
        assert scale.environment == ON_REDIS | {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://ann:secret-word@db/prefect",
            "PREFECT_REDIS_MESSAGING_URL": "redis://cache:6379/0",
            "PREFECT_SERVER_DOCKET_URL": "redis://cache:6379/1",
        }

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"servers": 0}, "--servers is 0: it must be between 1 and 64"),
            ({"workers": 1000}, "--workers is 1000"),
            ({"runs": 0}, "--runs is 0"),
            ({"servers": 2}, "needs --database (PostgreSQL) and --redis"),
            ({"redis": REDIS}, "--redis needs --database"),
            ({"database": "mysql://ann:secret-word@db/prefect"}, "--database cannot be used: it is an address like"),
            ({"database": "secret-word"}, "--database cannot be used"),
            ({"database": DATABASE, "redis": "cache:6379"}, "--redis cannot be used"),
            ({"database": DATABASE, "redis": f"{REDIS}/3"}, "names a database of Redis"),
        ],
    )
    def test_what_does_not_go_together_is_told_without_a_password(self, wrong: dict[str, Any], said: str) -> None:
        with pytest.raises(StackError) as error:
            Scale(**wrong)
        assert said in str(error.value)
        assert "secret-word" not in str(error.value)

    def test_a_stack_has_a_port_for_each_server(self, tmp_path: Path) -> None:
        stack = Stack(tmp_path, 5000, scale=Scale(servers=3, database=DATABASE, redis=REDIS))
        assert stack.ports == [5000, 5001, 5002]
        assert stack.environment["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == "prefect_redis.lease_storage"


class TestBehindAProxy:
    def test_prefects_pages_are_told_where_they_are(self, tmp_path: Path) -> None:
        stack = Stack(tmp_path, 5000, ui_url="https://signoff.example.com/")
        address = "https://signoff.example.com"
        assert stack.environment["PREFECT_UI_URL"] == address
        assert stack.environment["PREFECT_UI_API_URL"] == f"{address}/api"
        assert stack.environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == address
        assert stack.environment["PREFECT_API_URL"] == "http://127.0.0.1:5000/api"  # ours go there directly

    def test_what_is_no_address_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PREFECT_UI_URL", "signoff.example.com")
        with pytest.raises(StackError, match=r"write it with https://, as in https://signoff\.example\.com"):
            proxied_url()


class TestCompose:
    @pytest.fixture
    def compose(self) -> dict[str, Any]:
        """The file, read."""
        found: dict[str, Any] = yaml.safe_load((ROOT / "deployments" / "compose.yaml").read_text())
        return found

    def test_holds_the_settings_that_up_uses(self, compose: dict[str, Any]) -> None:
        environment = compose["services"]["server"]["environment"]
        expected = (
            PREFECT_SETTINGS | PREPARED | Scale(servers=2, database=DATABASE, redis="redis://redis:6379").environment
        )
        for name, value in expected.items():
            if name != "PREFECT_SERVER_DATABASE_CONNECTION_URL":
                assert environment.get(name) == value, name
        assert environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://")

    def test_calls_commands_that_exist(self, compose: dict[str, Any]) -> None:
        ours = [each["command"] for each in compose["services"].values() if each.get("command", [""])[0] == "signoff"]
        assert {command[1] for command in ours} == {"deploy", "receive", "reap"}
        for command in ours:
            assert command[1] in app

    def test_each_variable_is_explained(self, compose: dict[str, Any]) -> None:
        used = set(re.findall(r"\$\{([A-Z_]+)", yaml.safe_dump(compose)))
        explained = (ROOT / "deployments" / "compose.env.example").read_text()
        assert used == set(re.findall(r"^([A-Z_]+)=", explained, re.MULTILINE))

    def test_what_waits_for_another_service_names_one(self, compose: dict[str, Any]) -> None:
        services = compose["services"]
        for each in services.values():
            assert set(each.get("depends_on", ())) <= set(services)
        assert services["server"]["deploy"]["replicas"] == 2
        assert services["worker"]["deploy"]["replicas"] == 4


class TestKeeper:
    @pytest.fixture
    def stack(self, tmp_path: Path) -> Iterator[Stack]:
        """One that has started nothing yet."""
        with Stack(tmp_path, unused_port(), host=HOST) as made:
            yield made

    def test_what_ended_is_started_again_and_its_log_goes_on(self, stack: Stack) -> None:
        said: list[str] = []
        stack._start("worker", [sys.executable, "-c", "print('first words'); raise SystemExit(3)"])
        stack._start("receiver", STAYS)
        eventually("it ends", stack.ended)
        before = stack.processes["receiver"].pid
        assert Keeper(stack, said.append).look(100.0) == ["worker"]
        assert said == [f"The worker ended (exit code 3) and is started again. Its log: {stack.log('worker')}"]
        eventually("it ends again", stack.ended)
        assert stack.log("worker").read_text().count("first words") == 2
        assert stack.processes["receiver"].pid == before

    def test_what_ends_at_once_again_is_tried_less_and_less_often(self, stack: Stack) -> None:
        keeper = Keeper(stack, lambda _: None)
        stack._start("worker", ENDS)
        started = []
        for second in range(300):
            eventually("it ends", stack.ended)
            if keeper.look(float(second)):
                started.append(second)
        assert started[:7] == [0, 1, 3, 7, 15, 31, 63]
        assert [later - earlier for earlier, later in pairwise(started[6:])] == [60, 60, 60]

    def test_nothing_is_done_while_all_live(self, stack: Stack) -> None:
        stack._start("worker", STAYS)
        assert Keeper(stack, pytest.fail).look(0.0) == []


class TestKubernetes:
    TEMPLATE: dict[str, Any] = json.loads((ROOT / "deployments" / "kubernetes" / "job-template.json").read_text())

    def test_every_value_of_the_job_is_declared_and_every_declared_one_is_used(self) -> None:
        used = {found.name for found in find_placeholders(self.TEMPLATE["job_configuration"])}
        assert used == set(self.TEMPLATE["variables"]["properties"])

    def test_settings_come_from_the_secret_and_the_job_runs_as_the_images_user(self) -> None:
        pod = self.TEMPLATE["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "{{ secret }}"}}]
        assert "default" not in self.TEMPLATE["variables"]["properties"]["env"]
        image = (ROOT / "deployments" / "Dockerfile").read_text()
        assert f"--uid {pod['securityContext']['runAsUser']} signoff" in image

    def test_the_notes_make_the_pool_that_the_deployments_name(self) -> None:
        notes = (ROOT / "deployments" / "kubernetes" / "README.md").read_text()
        assert f"prefect work-pool create {POOL} --type kubernetes" in notes
        assert f"--pool {POOL} --type kubernetes" in notes

"""The automations for people who want to be told elsewhere: the real server takes them, and they fire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from blocks.ledger import Ledger
from deployments.running import ROOT
from tasks import alerts
from tests.deployments.machinery import clean_environment, eventually, run

pytestmark = pytest.mark.slow

SHIPPED = ROOT / "deployments" / "automations" / "alerts.yaml"
NOBODY = str(UUID(int=0))
"""What stands in the file for the id of one's own block."""

SHORTEST_SECONDS = 10
"""The shortest time that Prefect lets a proactive automation wait; it looks every five seconds."""


@pytest.fixture
def heard() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a receiver on this machine, and what it was sent."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()
        thread.join()


def pager(address: str) -> str:
    """A block that sends its notices there; its id."""
    CustomWebhookNotificationBlock.register_type_and_schema()
    body = {"subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="pager", url=address, json_data=body)
    return str(block.save("pager", overwrite=True))


@pytest.mark.usefixtures("prefect_server")
def test_prefect_takes_them_and_an_alert_reaches_the_block(
    ledger: Ledger, heard: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    address, bodies = heard
    text = SHIPPED.read_text(encoding="utf-8")
    assert text.count(NOBODY) == 2
    mine = tmp_path / SHIPPED.name
    mine.write_text(text.replace(NOBODY, pager(address)), encoding="utf-8")
    environment = clean_environment(PREFECT_API_URL=str(PREFECT_API_URL.value()))
    made = run(["prefect", "automation", "create", "--from-file", str(mine)], environment)
    assert made.code == 0, made.out + made.err
    names = [each["name"] for each in yaml.safe_load(text)["automations"]]
    with get_client(sync_client=True) as client:
        there = {each["name"]: each["id"] for each in client.request("POST", "/automations/filter", json={}).json()}
        try:
            assert set(names) <= there.keys()
            alerts.open_alert(ledger, "disk:free:/", "no room")
            alerts.close_alert(ledger, "disk:free:/")
            eventually("the block is told of both", lambda: len(bodies) >= 2, seconds=60)
        finally:
            for name in names:
                client.request("DELETE", "/automations/{id}", path_params={"id": there[name]})
    assert sorted(each["subject"] for each in bodies) == [
        "signoff.alert.closed disk:free:/",
        "signoff.alert.opened disk:free:/",
    ]
    assert {each["body"] for each in bodies} == {"no room"}


@pytest.mark.usefixtures("prefect_server")
def test_a_health_check_that_is_missing_reaches_the_block_and_one_that_ends_well_keeps_it_quiet(
    heard: tuple[str, list[dict[str, Any]]],
) -> None:
    """Beside a twin that waits for a flow which never runs: when that one fires, so would a deaf one have."""
    address, bodies = heard
    (missing,) = [
        each for each in yaml.safe_load(SHIPPED.read_text("utf-8"))["automations"] if "missing" in each["name"]
    ]
    shipped = json.loads(json.dumps(missing).replace(NOBODY, pager(address)))
    shipped["trigger"]["within"] = SHORTEST_SECONDS
    twin = json.loads(json.dumps(shipped).replace("health-check", "a-flow-that-never-runs"))
    twin["name"] = twin["actions"][0]["subject"] = "twin"
    subject = shipped["actions"][0]["subject"]

    @flow(name="health-check")
    def health_check() -> str:
        return "well"

    def told(by: str) -> bool:
        return any(each["subject"] == by for each in bodies)

    with get_client(sync_client=True) as client:
        made = [client.request("POST", "/automations/", json=each).json()["id"] for each in (shipped, twin)]
        try:
            eventually("the twin fires", lambda: health_check() and told("twin"), seconds=60, every=2)
            assert not told(subject)
            eventually("the shipped one fires", lambda: told(subject), seconds=60)
        finally:
            for number in made:
                client.request("DELETE", "/automations/{id}", path_params={"id": number})
    (body,) = {each["body"] for each in bodies if each["subject"] == subject}
    assert body.startswith("No health check has ended well for an hour")

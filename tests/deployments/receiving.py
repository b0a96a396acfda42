"""What the receiver's tests send, and a receiver as a process of its own: `python -m tests.deployments.receiving`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import uvicorn
from fastapi import FastAPI
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from pydantic import SecretStr

from blocks import connections
from blocks.webhooks import SLUG, Scheme, WebhookEndpoint
from deployments.machine import HOST, answers
from deployments.receiver.limits import Limits
from deployments.running import ROOT
from deployments.triggers import Trigger
from tests.deployments.machinery import clean_environment, eventually, unused_port

SECRET = "a-secret-of-the-receivers-tests"
EACH = (
    Trigger("stripe", "on-invoice", ("invoice.overdue",)),
    Trigger("hubspot", "on-deal"),
    Trigger("web-form", "on-form", parameters={"number": "number"}),
)
"""Where every event starts a run of its own."""

TOGETHER = (Trigger("stripe", "look-again", together=True),)
SETS = {"each": EACH, "together": TOGETHER}


def endpoint(scheme: Scheme, **fields: Any) -> WebhookEndpoint:
    """An endpoint with the tests' secret."""
    given = {"secret": SecretStr(SECRET), "public_url": f"https://hooks.example.com/hooks/{scheme}"} | fields
    return WebhookEndpoint(scheme=scheme, **given)


ENDPOINTS = {
    "stripe": endpoint("stripe"),
    "hubspot": endpoint("hubspot"),
    "slack": endpoint("slack"),
    "web-form": endpoint("own", id_field="id", kind_field="kind"),
}


@dataclass
class Sent:
    """A request as a vendor makes it."""

    source: str
    body: bytes
    headers: dict[str, str]

    def to(self, client: Any, url: str = "") -> Any:
        """Send it, by a client of httpx or of Starlette's tests; returns the reply."""
        return client.post(f"{url}/hooks/{self.source}", content=self.body, headers=self.headers)


def signed(source: str, said: Any, at: datetime | None = None, headers: Mapping[str, str] | None = None) -> Sent:
    """Something that a vendor says, with its signature and further headers."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    made = ENDPOINTS[source].sign(body, at or datetime.now(UTC))
    return Sent(source, body, {"content-type": "application/json"} | made | dict(headers or {}))


def overdue(name: str, **more: Any) -> Sent:
    """Stripe says that an invoice is overdue."""
    return signed("stripe", {"id": name, "type": "invoice.overdue", "object": "event"} | more)


def mixed(number: int, of: str = "") -> Sent:
    """One event of one of three vendors; another `of` makes another of the same number."""
    match number % 3:
        case 0:
            return overdue(f"evt_{number}{of}")
        case 1:
            event = {"eventId": number, "subscriptionType": "deal.creation", "objectId": number, "sourceId": of}
            return signed("hubspot", [event])
        case _:
            return signed("web-form", {"id": f"form-{number}{of}", "kind": "asked", "number": number})


@contextmanager
def deployed(*names: str) -> Iterator[dict[str, UUID]]:
    """Deployments of these names on the Prefect server, which nobody works for; gone afterwards, with their runs."""
    with get_client(sync_client=True) as client:
        flows = {name: client.create_flow_from_name(name) for name in names}
        schema = {"type": "object", "properties": {"number": {"type": "integer"}}}
        made = {
            name: client.create_deployment(
                flow_id=flow, name=name, entrypoint="x.py:x", parameter_openapi_schema=schema
            )
            for name, flow in flows.items()
        }
        yield made
        for flow in flows.values():
            client.delete_flow(flow)


def runs(*deployment_ids: UUID) -> list[FlowRun]:
    """Every run of these deployments."""
    wanted = FlowRunFilter.model_validate({"deployment_id": {"any_": list(deployment_ids)}})
    found: list[FlowRun] = []
    with get_client(sync_client=True) as client:
        while page := client.read_flow_runs(flow_run_filter=wanted, limit=200, offset=len(found)):
            found += page
    return found


@contextmanager
def saved() -> Iterator[None]:
    """The tests' endpoints, as blocks on the Prefect server."""
    for name, block in ENDPOINTS.items():
        connections.save(f"{SLUG}/{name}", block)
    yield
    for name in ENDPOINTS:
        WebhookEndpoint.delete(name)


@contextmanager
def served(app: FastAPI, limits: Limits | None = None) -> Iterator[str]:
    """The application on a port of this process, by the same settings as `signoff receive`; yields its address."""
    from deployments.receiver.serve import config

    port = unused_port()
    server = uvicorn.Server(config(app, HOST, port, limits or Limits()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually("the receiver answers", lambda: server.started, 20, 0.01)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Process:
    """A receiver that can be killed."""

    log: Path
    environment: Mapping[str, str]
    triggers: str = "each"
    port: int = field(default_factory=unused_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, without waiting."""
        command = [sys.executable, "-m", "tests.deployments.receiving", str(self.port), self.triggers]
        environment = clean_environment(**self.environment)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until it knows its endpoints."""
        eventually(f"the receiver is up ({self.log})", lambda: answers(f"{self.url}/health"), 60)
        eventually("it knows them", lambda: httpx.post(f"{self.url}/hooks/stripe").status_code == 401, 60)

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def main(arguments: Sequence[str]) -> None:
    """Serve on a port, with one of the sets of triggers."""
    import logging

    from blocks.ledger import Ledger
    from deployments.receiver.app import create_app
    from deployments.receiver.endpoints import Endpoints
    from deployments.receiver.serve import config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    port, triggers = int(arguments[0]), SETS[arguments[1]]
    app = create_app(Ledger.open(os.environ["SIGNOFF_LEDGER_URL"]), Endpoints(), triggers=triggers)
    uvicorn.Server(config(app, HOST, port, Limits())).run()


if __name__ == "__main__":
    main(sys.argv[1:])

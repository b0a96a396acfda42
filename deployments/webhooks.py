"""`signoff webhooks`: what vendors have told us by themselves, what became of it, and trying an endpoint."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import httpx
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger, WebhookEvent, history, utcnow
from blocks.webhook_signatures import BadSignature
from blocks.webhooks import SLUG, WebhookEndpoint
from deployments import views
from deployments.errors import CommandError, unknown
from deployments.receiver.dispatch import key, run_name, tags
from deployments.receiver.endpoints import EVERY_SECONDS, saved
from deployments.receiver.postbox import FAILED, IGNORED, NOBODY, STARTED, STORED
from deployments.stack import RECEIVER_PORT, RECEIVER_URL
from deployments.triggers import TRIGGERS, NoValue, Trigger, find, parameters_of
from tasks.plain import counted
from tasks.retention import redacted_on

STATES = (STORED, STARTED, IGNORED, FAILED)
STYLE = {STARTED: "green", STORED: "yellow", IGNORED: "dim", FAILED: "red"}
LONGEST_PAYLOAD = 4_000
"""Characters of a payload that are shown; `--json` has all of them."""

TEST_KIND = "signoff.test"
TEST_SECONDS = 20.0
"""How long a test event may wait for its run."""


def list_events(*, state: str | None, source: str | None, limit: int, as_json: bool) -> int:
    """Print the newest events, oldest of them first."""
    if state is not None and state not in STATES:
        raise unknown("state", state, STATES)
    query = sa.select(WebhookEvent).order_by(WebhookEvent.id.desc()).limit(limit)
    if state:
        query = query.where(WebhookEvent.state == state)
    if source:
        query = query.where(WebhookEvent.source == source)
    with Ledger.open().read() as session:
        found = session.scalars(query).all()[::-1]
    if as_json:
        views.as_json([_as_json(event) for event in found])
    elif found:
        views.console.print(_table(found))
    else:
        views.console.print("No event matches." if state or source else "No webhook has come in yet.")
    return 0


def show(number: int, *, as_json: bool) -> int:
    """Print one event: what it said, and what became of it."""
    event = _event(Ledger.open(), number)
    if as_json:
        views.as_json(_as_json(event) | {"payload": event.payload})
        return 0
    views.console.print(Text(f"{event.source} {event.kind}", style="bold"))
    views.console.print(f"Came at {event.received_at:%d %b %Y %H:%M:%S} UTC, as {event.external_id}", markup=False)
    views.console.print(
        Text.assemble(_outcome(event), f" ({counted(event.attempts, 'attempt')})" if event.attempts else "")
    )
    if event.flow_run_id:
        views.console.print(f"Run {event.flow_run_id}", style="dim")
    if event.redacted_at:
        views.console.print(f"\nWhat it said was {redacted_on(event.redacted_at)}.")
        return 0
    said = views.printable(json.dumps(event.payload, indent=2, ensure_ascii=False), lines=True)
    views.console.print(Text(f"\n{said[:LONGEST_PAYLOAD]}"))
    if len(said) > LONGEST_PAYLOAD:
        views.console.print(f"[... {len(said) - LONGEST_PAYLOAD:,} more characters: --json ...]", markup=False)
    return 0


def replay(numbers: Sequence[int], *, failed: bool, yes: bool, as_json: bool) -> int:
    """Start a run anew for each of these events."""
    ledger = Ledger.open()
    events = _chosen(ledger, numbers, failed=failed)
    triggers = [_trigger_of(event) for event in events]  # all of them, before a run is started
    if not numbers and not yes:
        question = f"Start {len(events)} runs anew?"
        if not views.agrees(question, f"{len(events)} events match: add --yes to start their runs"):
            raise CommandError("nothing was started")
    done = [_again(ledger, event, trigger) for event, trigger in zip(events, triggers, strict=True)]
    if as_json:
        views.as_json([_as_json(event) for event in done])
        return 0
    for event in done:
        views.console.print(Text.assemble(f"{event.id:>5}  {event.source} {event.kind}: ", _outcome(event)))
    return 0


def try_endpoint(source: str, *, kind: str, public: bool, as_json: bool) -> int:
    """Send a signed event of our own through an endpoint, and say what became of it; 1 when it was not taken."""
    endpoint = _endpoint(source)
    address = _address(source, endpoint, public=public)
    body = json.dumps(_test_event(endpoint, kind)).encode()
    headers = {"content-type": "application/json"}
    try:
        headers |= endpoint.sign(body, utcnow())
    except BadSignature:
        raise CommandError(
            "only Google can sign for Gmail: publish a message to the topic instead "
            "(gcloud pubsub topics publish TOPIC --message '{}'), then: signoff webhooks list"
        ) from None
    status, said = _send(address, headers, body)
    if status != httpx.codes.OK:
        raise CommandError(f"{address} answers {status}: {said}{_hint(status)}")
    (arrived,) = endpoint.read(list(headers.items()), body).events
    event = _wait_for(Ledger.open(), source, arrived.external_id)
    if event is None:
        raise CommandError(
            f"{address} has taken it, and this ledger does not have it: the receiver uses another "
            "SIGNOFF_LEDGER_URL than this command"
        )
    if as_json:
        views.as_json(_as_json(event))
        return 0
    views.console.print(f"{address} has taken it.", markup=False, soft_wrap=True)
    views.console.print(Text.assemble(f"It is event {event.id}: ", _outcome(event)))
    if kind == TEST_KIND and event.state == IGNORED:
        views.console.print("That is as it should be: --kind with a name from there starts its workflow.")
    return 0


def addresses(url: str) -> list[tuple[str, str]]:
    """Each endpoint's name, with the address that its vendor is given: the block's, or where it is on this machine."""
    found, _ = saved()
    return [(name, block.public_url or f"{url}/hooks/{name}") for name, block in sorted(found.items())]


def _chosen(ledger: Ledger, numbers: Sequence[int], *, failed: bool) -> list[WebhookEvent]:
    if bool(numbers) == failed:
        raise CommandError("say which: numbers from `signoff webhooks list`, or --failed for all that failed")
    if numbers:
        return [_event(ledger, number) for number in dict.fromkeys(numbers)]
    query = sa.select(WebhookEvent).where(WebhookEvent.state == FAILED).order_by(WebhookEvent.id)
    with ledger.read() as session:
        found = list(session.scalars(query))
    if not found:
        raise CommandError("no event has failed")
    return found


def _trigger_of(event: WebhookEvent) -> Trigger:
    if event.state == STORED:
        raise CommandError(f"event {event.id} waits for its run already; the receiver starts it")
    trigger = find(TRIGGERS, event.source, event.kind)
    if trigger is None:
        raise CommandError(f"event {event.id} ({event.source} {event.kind}) starts nothing: {NOBODY}")
    return trigger


def _again(ledger: Ledger, event: WebhookEvent, trigger: Trigger) -> WebhookEvent:
    """One run, under a key of its own: the event's key would give back the run that it had."""
    name = trigger.deployment
    by, anew = getpass.getuser(), uuid4().hex
    try:
        parameters = parameters_of(trigger, event.payload)
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(f"{name}/{name}")
            # Before the run is made: whatever happens next, the history knows who wanted it.
            with ledger.write() as session:
                history.note(session, "webhook event replayed", f"webhook_events/{event.id}", by=by, deployment=name)
            run = client.create_flow_run_from_deployment(
                deployment.id,
                parameters=parameters,
                name=f"{run_name(event)} again",
                tags=tags(event),
                idempotency_key=f"{key(event)}:again:{anew}",
            )
    except NoValue as error:
        raise CommandError(f"event {event.id} cannot start {name}: {error}") from error
    except ObjectNotFound as error:
        raise CommandError(f"there is no deployment {name} on the Prefect server: prefect deploy --all") from error
    except PrefectHTTPStatusError as error:
        raise CommandError(f"Prefect did not start {name}: it answers {error.response.status_code}") from error
    with ledger.write() as session:
        row = session.get_one(WebhookEvent, event.id)
        row.state, row.deployment, row.flow_run_id = STARTED, name, str(run.id)
        row.reason, row.handled_at, row.attempts = f"replayed by {by}", utcnow(), row.attempts + 1
    return row


def _endpoint(source: str) -> WebhookEndpoint:
    found, wrong = saved()
    if source in found:
        return found[source]
    if problem := next((one for one in wrong if one.startswith(f"{SLUG}/{source} ")), ""):
        raise CommandError(problem)
    there = f"; there are {', '.join(sorted(found))}" if found else ""
    raise CommandError(f"there is no endpoint {source}{there}. Make it: signoff connect {SLUG}/{source}")


def _address(source: str, endpoint: WebhookEndpoint, *, public: bool) -> str:
    if not public:
        return f"{os.environ.get(RECEIVER_URL) or f'http://127.0.0.1:{RECEIVER_PORT}'}/hooks/{source}"
    if not endpoint.public_url:
        raise CommandError(f"the block {SLUG}/{source} has no public address")
    return endpoint.public_url


def _send(address: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    try:
        reply = httpx.post(address, headers=dict(headers), content=body, timeout=TEST_SECONDS)
    except httpx.HTTPError as error:
        raise CommandError(
            f"no receiver answers at {address} ({type(error).__name__}): start one with `signoff up` or "
            "`signoff receive`"
        ) from error
    try:
        said = str(reply.json().get("error", ""))
    except (ValueError, AttributeError):
        said = "not the receiver: another program answers there"
    return reply.status_code, views.printable(said)


def _hint(status: int) -> str:
    looks = f". The receiver looks at the blocks every {EVERY_SECONDS:g} seconds"
    return {
        401: f"{looks}: has the secret been changed just now?",
        404: f"{looks}: is it on the same Prefect server?",
    }.get(status, "")


def _test_event(endpoint: WebhookEndpoint, kind: str) -> Any:
    """An event as the vendor makes them, with nothing in it."""
    name = f"evt_signoff_{uuid4().hex}"
    match endpoint.scheme:
        case "hubspot":
            return [{"eventId": uuid4().int % 10**9, "subscriptionType": kind, "occurredAt": time.time_ns() // 10**6}]
        case "slack":
            return {"type": "event_callback", "event_id": name, "event": {"type": kind}}
        case "own":
            event: dict[str, Any] = {"signoff_test": name}
            _put(event, endpoint.id_field, name)
            _put(event, endpoint.kind_field, kind)
            return event
        case _:
            return {"id": name, "object": "event", "type": kind, "data": {"object": {}}}


def _put(event: dict[str, Any], path: str, value: str) -> None:
    *steps, last = path.split(".")
    for step in steps:
        event = event.setdefault(step, {})
    if last:
        event[last] = value


def _wait_for(ledger: Ledger, source: str, external_id: str) -> WebhookEvent | None:
    """The event, once it waits for nothing more, or has waited for long enough."""
    mine = sa.select(WebhookEvent).where(WebhookEvent.source == source, WebhookEvent.external_id == external_id)
    until = time.monotonic() + TEST_SECONDS
    while True:
        with ledger.read() as session:
            event = session.scalar(mine)
        if event is None or event.state != STORED or time.monotonic() > until:
            return event
        time.sleep(0.2)


def _event(ledger: Ledger, number: int) -> WebhookEvent:
    with ledger.read() as session:
        found = session.get(WebhookEvent, number)
    if found is None:
        raise CommandError(f"the ledger has no webhook event {number}: see signoff webhooks list")
    return found


def _table(events: Sequence[WebhookEvent]) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("#", justify="right", style="dim")
    for name, ratio in (("Came (UTC)", None), ("Event", 2), ("What became of it", 3)):
        table.add_column(name, ratio=ratio, overflow="fold", no_wrap=ratio is None)
    for event in events:
        what = Text(f"{event.source}\n{event.kind}")
        table.add_row(str(event.id), f"{event.received_at:%d %b %H:%M:%S}", what, _outcome(event))
    return table


def _outcome(event: WebhookEvent) -> Text:
    said = {
        STORED: "waits for its run",
        STARTED: f"started {event.deployment}",
        IGNORED: "ignored",
        FAILED: "failed",
    }.get(event.state, event.state)
    outcome = Text(said, style=STYLE.get(event.state, ""))
    if event.reason:
        outcome.append(f"\n{views.printable(event.reason)}")
    return outcome


def _as_json(event: WebhookEvent) -> dict[str, Any]:
    keys = (
        "id", "source", "external_id", "kind", "state", "reason", "deployment", "flow_run_id", "attempts",
        "received_at", "handled_at", "redacted_at",
    )  # fmt: skip
    return {key: getattr(event, key) for key in keys}

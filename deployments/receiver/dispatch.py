"""Runs are made of what is stored: by any receiver, again after a crash, and each once.

The run carries the event's id as its idempotency key, so Prefect makes one of it however often and by however many it
is asked for; whoever asks writes down which run it is. As long as Prefect does not answer, the events wait.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import httpx
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentFlowRunCreate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from blocks.ledger import Ledger, LedgerUnavailable, WebhookEvent, utcnow
from blocks.vendor import REASON_LENGTH
from blocks.webhook_events import BadEvent
from deployments.receiver.postbox import FAILED, IGNORED, NOBODY, STARTED, STORED
from deployments.triggers import NoValue, Trigger, find, parameters_of
from tasks import alerts
from tasks.approval_runs import create_runs
from tasks.events import said, unread

EVERY_SECONDS = 2.0
SOON_SECONDS, LONGEST_SECONDS = 1.0, 60.0
"""Between two looks when Prefect did not answer: at first, most often because its SQLite had no time, and at last."""

MOST = 500
"""Events of one look."""

BATCH = 10
"""Runs that are made in one request. More of them keep the server's other writers waiting, and those are it itself."""

WAITS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds before Prefect is asked again for runs that its database had no time for."""

TOGETHER = "together"
"""The tag of a run that events which only say "look again" have started."""

NOT_BEGUN = ("Scheduled", "Late", "AwaitingConcurrencySlot", "Pending")
"""The states of a run that has not looked at anything yet. One that resumes has."""

REFUSED = "Parameter validation failed"
"""How Prefect says that the parameters are at fault. All else that it says may pass."""

DOES_NOT_FIT = "the flow does not take what the event gives it: its parameters are of other types"
"""Prefect's own words quote the value, which is somebody's."""

ATTEMPTS = 10
"""After so many an event fails of which alone no run could be made, for a reason that nobody has foreseen."""

NO_RUN = "no run can be made of it"

WAY_OUT = "put it on the server (`prefect deploy --all`), then: signoff webhooks replay"

log = logging.getLogger(__name__)

Groups = dict[Trigger, list[WebhookEvent]]


class NotNow(Exception):
    """Prefect could not make the runs now. The events wait."""


class Dispatcher:
    """Looks for events that wait, and starts their runs."""

    def __init__(self, ledger: Ledger, triggers: Sequence[Trigger]) -> None:
        self._ledger, self._triggers = ledger, triggers

    def watch(self, ended: threading.Event, woken: threading.Event) -> None:
        """Look when something was stored, and every so often, until `ended` is set; less often while it is no use."""
        pause = SOON_SECONDS
        while not ended.is_set():
            woken.clear()
            try:
                while self.look() == MOST:
                    pass
            except Exception as error:  # whatever went wrong, the events are stored, and the dispatcher must outlive it
                expected = isinstance(error, NotNow | LedgerUnavailable)
                log.warning("no run could be started, again in %.0f s: %s", pause, error, exc_info=not expected)
                ended.wait(pause)
                pause = min(LONGEST_SECONDS, pause * 2)
            else:
                pause = SOON_SECONDS
                woken.wait(EVERY_SECONDS)

    def look(self) -> int:
        """Start the runs of what waits, the oldest first.

        Returns:
            How many events were looked at.

        Raises:
            NotNow: Prefect could not be asked, or had no time; what was started until then is written down.
        """
        events = self._waiting()
        groups, uninteresting = self._grouped(events)
        self._mark((event, {"state": IGNORED, "reason": NOBODY}) for event in uninteresting)
        if not groups:
            return len(events)
        late: list[NotNow] = []
        with get_client(sync_client=True) as client:
            for trigger, some in groups.items():
                try:
                    self._start(client, trigger, some)
                except LedgerUnavailable:
                    raise
                except NotNow as error:
                    self._count(some, str(error))
                    late.append(error)
                except Exception as error:  # noqa: BLE001 - one source's trouble must not be all the others'
                    log.warning("no run of %s could be started: %s", trigger.deployment, _where(error))
                    self._count(some, type(error).__name__)
                    late.append(NotNow(f"{trigger.deployment}: {type(error).__name__}"))
        if late:
            raise late[0]
        return len(events)

    def _waiting(self) -> Sequence[WebhookEvent]:
        # By attempts first: events that Prefect never takes must not keep all others waiting.
        order = (WebhookEvent.attempts, WebhookEvent.id)
        query = unread().where(WebhookEvent.state == STORED).order_by(*order).limit(MOST)
        with self._ledger.read() as session:
            return session.scalars(query).all()

    def _still_waiting(self, some: Sequence[WebhookEvent]) -> Sequence[WebhookEvent]:
        """Those that no other receiver has started since."""
        ids = [event.id for event in some]
        waits = unread().where(WebhookEvent.id.in_(ids), WebhookEvent.state == STORED)
        with self._ledger.read() as session:
            return session.scalars(waits.order_by(WebhookEvent.id)).all()

    def _grouped(self, events: Iterable[WebhookEvent]) -> tuple[Groups, list[WebhookEvent]]:
        groups: Groups = {}
        uninteresting = []
        for event in events:
            if trigger := find(self._triggers, event.source, event.kind):
                groups.setdefault(trigger, []).append(event)
            else:
                uninteresting.append(event)  # its line was taken out since it came
        return groups, uninteresting

    def _start(self, client: SyncPrefectClient, trigger: Trigger, events: Sequence[WebhookEvent]) -> None:
        name = trigger.deployment
        try:
            deployment_id = client.read_deployment_by_name(f"{name}/{name}").id
            if trigger.together:
                self._start_together(client, trigger, deployment_id, events)
            else:
                for batch in _shuffled(events):
                    self._start_each(client, trigger, deployment_id, self._still_waiting(batch))
        except ObjectNotFound:
            self._missing(trigger, events)
        except PrefectHTTPStatusError as error:
            raise NotNow(f"Prefect answers {error.response.status_code}") from error
        except httpx.HTTPError as error:
            raise NotNow(f"Prefect does not answer ({type(error).__name__})") from error
        else:
            alerts.close_alert(self._ledger, _alert(trigger))

    def _start_together(
        self, client: SyncPrefectClient, trigger: Trigger, deployment_id: UUID, events: Sequence[WebhookEvent]
    ) -> None:
        """One run for all of them: one that has yet to begin, or a new one that carries the first one's id.

        A run that has begun may have looked before the others came. So it counts for the first alone, for which it was
        made: by another receiver, or by one that died before it wrote that down.
        """
        first = events[0]
        run = self._yet_to_begin(client, trigger) or client.create_flow_run_from_deployment(
            deployment_id, name=run_name(first, len(events)), idempotency_key=key(first), tags=[*tags(first), TOGETHER]
        )
        covered = events if _has_not_begun(run) else events[:1]
        started = {"state": STARTED, "deployment": trigger.deployment, "flow_run_id": str(run.id)}
        self._mark((event, started) for event in covered)

    def _yet_to_begin(self, client: SyncPrefectClient, trigger: Trigger) -> FlowRun | None:
        """The newest run that such events have started, as long as it waits: without a worker, one is enough."""
        newest = (
            sa.select(WebhookEvent.flow_run_id)
            .where(
                WebhookEvent.state == STARTED,
                WebhookEvent.source == trigger.source,
                WebhookEvent.deployment == trigger.deployment,
            )
            .order_by(WebhookEvent.id.desc())
            .limit(1)
        )
        with self._ledger.read() as session:
            flow_run_id = session.scalar(newest)
        if flow_run_id is None:
            return None
        try:
            run = client.read_flow_run(UUID(flow_run_id))
        except ObjectNotFound:
            return None
        return run if _has_not_begun(run) and TOGETHER in run.tags else None

    def _start_each(
        self, client: SyncPrefectClient, trigger: Trigger, deployment_id: UUID, events: Sequence[WebhookEvent]
    ) -> None:
        wanted: dict[int, dict[str, Any]] = {}
        became: list[tuple[WebhookEvent, dict[str, Any]]] = []
        for event in events:
            try:
                payload = said(self._ledger, event.id) if trigger.parameters else None
                wanted[event.id] = _run(event, parameters_of(trigger, payload))
            except LedgerUnavailable:
                raise
            except (NoValue, BadEvent) as error:
                became.append((event, {"state": FAILED, "reason": str(error)}))
            except Exception as error:  # noqa: BLE001 - the same the next time: nothing is asked but the event
                log.warning("no run can be made of event %d: %s", event.id, _where(error))
                became.append((event, {"state": FAILED, "reason": f"{NO_RUN} ({type(error).__name__})"}))
        outcomes, late = self._create(client, deployment_id, wanted, {event.id: event.attempts for event in events})
        became += [(event, outcomes[event.id]) for event in events if event.id in outcomes]
        self._mark((event, {"deployment": trigger.deployment} | values) for event, values in became)
        if late:
            raise NotNow(f"some runs could not be made ({late})")

    def _create(
        self,
        client: SyncPrefectClient,
        deployment_id: UUID,
        wanted: Mapping[int, dict[str, Any]],
        attempts: Mapping[int, int],
    ) -> tuple[dict[int, dict[str, Any]], str]:
        """As `create` says it; when all fail together, each alone, so that one is no obstacle to those beside it."""
        try:
            return create(client, deployment_id, wanted)
        except json.JSONDecodeError as error:
            raise NotNow("what answers is not Prefect") from error
        except (ObjectNotFound, httpx.HTTPError) as error:
            if not _refuses(error):
                raise
            why = _where(error)
        except Exception as error:  # noqa: BLE001 - an event that nobody has foreseen: the others go on
            why = _where(error)
        outcomes: dict[int, dict[str, Any]] = {}
        late = ""
        if len(wanted) > 1:
            for number, run in wanted.items():
                made, its_late = self._create(client, deployment_id, {number: run}, attempts)
                outcomes |= made
                late = late or its_late
            return outcomes, late
        (number,) = wanted
        log.warning("no run could be made of event %d: %s", number, why)
        if attempts[number] + 1 < ATTEMPTS:
            return {}, why
        return {number: {"state": FAILED, "reason": f"{NO_RUN} ({why})"}}, ""

    def _missing(self, trigger: Trigger, events: Sequence[WebhookEvent]) -> None:
        reason = f"there is no deployment {trigger.deployment} on the Prefect server: {WAY_OUT} NUMBER"
        failed = {"state": FAILED, "deployment": trigger.deployment, "reason": reason}
        self._mark((event, failed) for event in events)
        alerts.open_alert(
            self._ledger,
            _alert(trigger),
            f"Events of {trigger.source} came, and there is no deployment {trigger.deployment} that they start: "
            f"{WAY_OUT} --failed",
            trigger.deployment,
        )

    def _mark(self, changes: Iterable[tuple[WebhookEvent, Mapping[str, Any]]]) -> None:
        """Only what still waits: another receiver may have been faster."""
        if not (all_of_them := list(changes)):
            return
        done = {"attempts": WebhookEvent.attempts + 1, "handled_at": utcnow()}
        with self._ledger.write() as session:
            for event, values in all_of_them:
                session.execute(_these([event]).values({"reason": None} | done | dict(values)))

    def _count(self, events: Sequence[WebhookEvent], why: str) -> None:
        with self._ledger.write() as session:
            reason = f"will be tried again: {why}"
            session.execute(_these(events).values(attempts=WebhookEvent.attempts + 1, reason=reason))


def create(
    client: SyncPrefectClient, deployment_id: UUID, wanted: Mapping[int, dict[str, Any]]
) -> tuple[dict[int, dict[str, Any]], str]:
    """Make the runs of these events; what becomes of each, and why some are still missing, if they are.

    Many in one request and one transaction: on a busy SQLite server every second transaction has no time, and a client
    that makes them one by one waits two seconds each time.
    """
    outcomes: dict[int, dict[str, Any]] = {}
    late = ""
    for patience in (*WAITS, None):
        left = [number for number in wanted if number not in outcomes]
        if not left:
            return outcomes, ""
        results = create_runs(client, deployment_id, [wanted[number] for number in left])
        for number, result in zip(left, results, strict=True):
            said = str(result.get("error")).partition("\n")[0]  # after that comes SQL, with what is in it
            if result["status"] == "CREATED":
                outcomes[number] = {"state": STARTED, "flow_run_id": str(result["flow_run_id"])}
            elif said.startswith(REFUSED):
                outcomes[number] = {"state": FAILED, "reason": DOES_NOT_FIT}
            else:
                late = said[:REASON_LENGTH]
        if patience is not None and len(outcomes) < len(wanted):
            time.sleep(patience)
    return outcomes, late if len(outcomes) < len(wanted) else ""


def _shuffled(events: Sequence[WebhookEvent]) -> list[Sequence[WebhookEvent]]:
    """In batches, in any order: two receivers that look at the same events then seldom ask for the same run."""
    batches = [events[first : first + BATCH] for first in range(0, len(events), BATCH)]
    random.shuffle(batches)
    return batches


def key(event: WebhookEvent) -> str:
    """What a run is known by, however often it is asked for."""
    return f"webhook:{event.source}:{event.external_id}"


def tags(event: WebhookEvent) -> list[str]:
    """By which the Prefect UI finds the runs that events have started."""
    return ["webhook", event.source]


def run_name(event: WebhookEvent, count: int = 1) -> str:
    """A run's name: which event it is of."""
    more = f" and {count - 1} more" if count > 1 else ""
    return f"{event.source} {event.kind} #{event.id}{more}"


def _run(event: WebhookEvent, parameters: Mapping[str, Any]) -> dict[str, Any]:
    run = DeploymentFlowRunCreate(
        parameters=dict(parameters), name=run_name(event), idempotency_key=key(event), tags=tags(event)
    )
    made = run.model_dump(mode="json", exclude_unset=True)
    json.dumps(made, ensure_ascii=False, allow_nan=False).encode()  # as httpx will, for the whole batch at once
    return made


def _refuses(error: Exception) -> bool:
    """Whether Prefect can be asked and does not take what it is given."""
    return isinstance(error, PrefectHTTPStatusError) and error.response.status_code in (400, 413, 422)


def _where(error: BaseException) -> str:
    """An error without its message, which may hold somebody's words."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, line {last.lineno}"


def _has_not_begun(run: FlowRun) -> bool:
    return run.state_name in NOT_BEGUN


def _alert(trigger: Trigger) -> str:
    return f"webhooks:deployment:{trigger.deployment}"


def _these(events: Sequence[WebhookEvent]) -> sa.Update:
    ids = [event.id for event in events]
    return sa.update(WebhookEvent).where(WebhookEvent.id.in_(ids), WebhookEvent.state == STORED)

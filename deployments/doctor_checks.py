"""What `signoff doctor` looks at, each in a function of its own. None of them changes anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import prefect
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL

from blocks.database import with_driver
from blocks.ledger import Ledger, LedgerError, Run, default_url, utcnow
from blocks.ledger.store import HEAD
from deployments import triggers
from deployments.cards import declared_deployments, flow_files
from deployments.check import Finding, look_at, still_pretend
from deployments.evidence import assessed
from deployments.running import HOME, NOBODY, is_try, no_server
from deployments.stack import POOL
from tasks import alerts, credentials, health
from tasks.card import Card
from tasks.credentials import LOOK_SECONDS, CredentialState
from tasks.health_machine import CLOCK_SECONDS, LEAST_FREE, size, skew, store_of
from tasks.run import effective_stage, is_dead
from tasks.side_by_side import TookTooLong, side_by_side

PAGE = 200
"""The most deployments that Prefect's API returns at once."""

OWN = frozenset({"accounts", "disk"})
"""The health check's looks that are made here in another way: they write down what they saw, or tell less."""

SERVERS = frozenset({"runs", "clock"})
"""Those that ask the Prefect server."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True)
class Line:
    """One thing that was looked at."""

    level: Level
    thing: str
    """What: `gmail/inbox`, `server`, `lead-triage`."""
    said: str
    """How it is and, unless it is well, what to do."""
    owner: str = ""
    """Whose it is; empty for what whoever runs Signoff sees to."""


def server() -> list[Line]:
    """Whether Prefect's server answers, in the version that this checkout has, by the same clock."""
    url = PREFECT_API_URL.value()
    if not url:
        return [
            Line(Level.BROKEN, "server", "no Prefect server is named: run this in the checkout, or start signoff up")
        ]
    if url == NOBODY:
        return [Line(Level.BROKEN, "server", no_server())]
    try:
        with get_client(sync_client=True) as client:
            version = client.request("GET", "/admin/version").json()
    except (httpx.HTTPError, ValueError) as error:
        refused = isinstance(error, PrefectHTTPStatusError) and error.response.status_code == httpx.codes.UNAUTHORIZED
        why = "wants a password: set PREFECT_API_AUTH_STRING" if refused else "does not answer: start signoff up"
        return [Line(Level.BROKEN, "server", f"the Prefect server at {url} {why}")]
    if version != prefect.__version__:
        way = "stop it, and start it from this checkout with signoff up"
        said = f"the server at {url} is Prefect {version}, and this checkout has {prefect.__version__}: {way}"
        return [Line(Level.WARNING, "server", said)]
    return [Line(Level.OK, "server", f"Prefect {version} at {url}"), *_clock(f"{url}/health")]


def _clock(address: str) -> Iterator[Line]:
    ahead = skew(address)
    if ahead is not None and abs(ahead) > CLOCK_SECONDS:
        way = "behind" if ahead > 0 else "ahead of"
        said = f"this machine's clock is {abs(ahead):,.0f} s {way} the server's: timedatectl set-ntp true, on both"
        yield Line(Level.BROKEN, "clock", said)


def deployments() -> list[Line]:
    """Whether what prefect.yaml declares is on the server, as declared, and starts by itself."""
    with get_client(sync_client=True) as client:
        there = {each.name: each for each in client.read_deployments(limit=PAGE)}
    declared = {entry["name"]: entry for entry in declared_deployments()}
    if is_try():  # which puts up one workflow, without its schedule
        declared = {name: {**entry, "schedules": []} for name, entry in declared.items() if name in there}
    problems: dict[tuple[Level, str], list[str]] = {}
    for name, entry in declared.items():
        for problem in _problems(entry, there.get(name)):
            problems.setdefault(problem, []).append(name)
    if extra := sorted(there.keys() - declared.keys()):
        said = "on the server, but not in prefect.yaml: prefect deployment delete NAME/NAME, if it is not wanted"
        problems[Level.WARNING, said] = extra
    if not problems:
        return [Line(Level.OK, "deployments", f"all {len(declared)} are on the server as prefect.yaml has them")]
    return [Line(level, "deployments", f"{said} ({', '.join(names)})") for (level, said), names in problems.items()]


def _problems(entry: Mapping[str, Any], there: DeploymentResponse | None) -> Iterator[tuple[Level, str]]:
    if there is None:
        yield Level.BROKEN, "not on the server, and so never run: start signoff up again"
        return
    if (there.entrypoint, there.work_pool_name) != (entry["entrypoint"], entry["work_pool"]["name"]):
        yield Level.WARNING, "not as prefect.yaml says: start signoff up again"
    if entry.get("schedules") and (there.paused or not any(schedule.active for schedule in there.schedules)):
        yield Level.WARNING, "the schedule is off, and nothing starts by itself: switch it on in the Prefect UI"


def worker() -> list[Line]:
    """Whether a worker asks for work, and when it last did."""
    try:
        with get_client(sync_client=True) as client:
            known = client.read_workers_for_work_pool(POOL)
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
        return [Line(Level.BROKEN, "worker", f"there is no work pool {POOL}, so nothing runs: start signoff up")]
    seen = max((each.last_heartbeat_time for each in known if each.last_heartbeat_time), default=None)
    if not any(each.status == "ONLINE" for each in known):
        since = f"none since {seen:%d %b %H:%M:%S} UTC" if seen else "none ever has"
        said = f"no worker asks the pool {POOL} for work ({since}), so nothing runs: start signoff up, or a worker"
        return [Line(Level.BROKEN, "worker", said)]
    return [Line(Level.OK, "worker", f"asks the pool {POOL} for work, last seen at {seen:%H:%M:%S} UTC")]


def ledger() -> list[Line]:
    """Whether the ledger is there, of this version, and can be written; how large it is. It is not migrated here."""
    url = default_url()
    try:
        found = sa.make_url(with_driver(url))
        file = Path(found.database) if found.get_backend_name() == "sqlite" and found.database else None
        if file is not None and not file.is_file():
            return [Line(Level.OK, "ledger", f"not there yet; the first run makes {file}")]
        version = _version(found)
        if version != HEAD:
            return [_other_version(version)]
        with Ledger.open(url).write():  # takes a writer's turn, and writes nothing
            pass
        store = store_of("ledger", found)
    except (sa.exc.SQLAlchemyError, ImportError, LedgerError) as error:
        why = " ".join(str(getattr(error, "orig", None) or error).split())
        return [Line(Level.BROKEN, "ledger", f"cannot be used ({why}): see SIGNOFF_LEDGER_URL, and its database")]
    there = size(store.size + store.wal if store else 0)
    return [Line(Level.OK, "ledger", f"{there}, can be written, at {found.render_as_string()}")]


def _version(url: sa.URL) -> str | None:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            version: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return version
    finally:
        engine.dispose()


def _other_version(version: str | None) -> Line:
    if version is None:
        return Line(Level.OK, "ledger", "its database is empty; the first run makes the tables")
    if version < HEAD:
        said = f"has schema {version}; the next command brings it to {HEAD}: make a backup first"
        return Line(Level.WARNING, "ledger", said)
    return Line(Level.BROKEN, "ledger", f"has schema {version}, newer than this Signoff's {HEAD}: update Signoff")


def disk() -> list[Line]:
    """Whether there is room where our state and logs are kept."""
    place = next(folder for folder in (HOME, *HOME.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    said = f"{size(free)} are free in {place}"
    if free < LEAST_FREE:
        return [Line(Level.WARNING, "disk", f"{said}: make room, or set SIGNOFF_HOME to a larger disk")]
    return [Line(Level.OK, "disk", said)]


def cards(seconds: float) -> tuple[list[Card], list[Line]]:
    """Every workflow's card, and what is wrong with a flow, its card, its prompt or its entry in prefect.yaml."""
    found: list[Card] = []
    lines: list[Line] = []
    entries, files = declared_deployments(), flow_files()
    # One after the other, though in a watched thread: threads that import at once wait for each other's modules.
    seen: list[Finding | Exception] = []
    side_by_side([partial(_look_at_each, files, entries, seen)], seconds)
    seen += [TookTooLong(f"not within {seconds:g} s")] if len(seen) < len(files) else []
    for path, result in zip(files, list(seen), strict=False):
        name = f"flows/{path.name}"
        if isinstance(result, Exception):
            lines.append(Line(Level.BROKEN, name, f"cannot be imported ({type(result).__name__}: {result})"))
            continue
        owner = result.card.owner if result.card else ""
        lines += [Line(Level.BROKEN, name, problem, owner) for problem in result.problems]
        found += [result.card] if result.card else []
    lines += [Line(Level.BROKEN, "triggers", problem) for problem in triggers.problems(triggers.TRIGGERS, entries)]
    return found, lines or [Line(Level.OK, "flows", f"{len(found)} workflows, and every card is complete")]


def _look_at_each(files: Sequence[Path], entries: list[dict[str, Any]], seen: list[Finding | Exception]) -> None:
    for path in files:
        try:
            seen.append(look_at(path, entries))
        except Exception as error:  # noqa: BLE001  whatever a flow's file raises is told with its name
            seen.append(error)


def accounts(of: Sequence[Card]) -> list[Line]:
    """Every account that the cards name; and whether they are real while the cards are still the pretend company's."""
    pretend = still_pretend(of)
    said = [Line(Level.WARNING, "cards", pretend)] if pretend else []
    return [*(_account(state) for state in credentials.check_all(of)), *said]


def _account(state: CredentialState) -> Line:
    way = f": {state.way_out}"
    if not state.present:
        level = Level.BROKEN if state.required else Level.OK
        said = f"{'not connected' if state.required else 'not connected, and optional'}{way}"
    elif not state.ok:
        level = Level.BROKEN if state.lasting else Level.WARNING
        said = f"{state.reason}{way}"
    else:
        level = Level.WARNING if state.warning else Level.OK
        said = f"{state.as_whom}; {state.warning}{way}" if state.warning else state.as_whom
    return Line(level, state.credential, said, state.owner)


def stages(store: Ledger, of: Sequence[Card]) -> list[Line]:
    """What each workflow may do, and why it is no more where its card asks for more."""
    lines = []
    for card in of:
        found = assessed(store, card)
        stage, why = effective_stage(card, (found.stage, found.why))
        said = f"runs {stage}" if stage is card.stage else f"runs {stage}, the card asks for {card.stage}: {why}"
        more = "" if stage is card.stage else f": signoff evidence {card.workflow}"
        level = Level.WARNING if "which is no stage" in why else Level.OK
        lines.append(Line(level, card.workflow, said + more, card.owner))
    return lines


def dead_runs(store: Ledger, owners: Mapping[str, str]) -> list[Line]:
    """Runs that have not ended, and whose process has died or says nothing."""
    with store.read() as session:
        open_ones = list(session.scalars(sa.select(Run).where(Run.ended_at.is_(None)).order_by(Run.started_at)))
    return [
        Line(
            Level.WARNING,
            run.workflow,
            f"its run of {_when(run.started_at)} looks dead: signoff reap --once (signoff up does it by itself)",
            owners.get(run.workflow, ""),
        )
        for run in open_ones
        if is_dead(run)
    ]


def work(store: Ledger, of: Sequence[Card], owners: Mapping[str, str], *, online: bool) -> list[Line]:
    """What the health check would find now, and the alerts that are open already."""
    left_out = OWN if online else OWN | SERVERS
    looks = {name: check for name, check in health.CHECKS.items() if name not in left_out}
    report = health.look(store, of, looks, LOOK_SECONDS)
    found = [each for each in report.findings if each.key != f"runs:pool:{POOL}"]  # `worker` tells of it
    told = {each.key for each in found}
    lines = [Line(Level.WARNING, _about(each.key), each.message, owners.get(each.workflow or "", "")) for each in found]
    for alert in alerts.still_open(store):
        if alert.key not in told and not alert.key.startswith(tuple(f"{name}:" for name in OWN)):
            said = f"{alert.message} (an alert since {_when(alert.opened_at)})"
            lines.append(Line(Level.WARNING, _about(alert.key), said, owners.get(alert.workflow or "", "")))
    return lines


def _about(key: str) -> str:
    """What an alert's key is about, short enough for a column."""
    return " ".join(key.split(":")[:2])


def _when(at: datetime) -> str:
    return f"{at:%d %b %H:%M} UTC" if at.date() != utcnow().date() else f"{at:%H:%M} UTC"

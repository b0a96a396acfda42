"""The health check: every look at accounts, work, runs and machine, and what becomes of what they find.

A finding opens an alert. What may pass by itself does so only when two checks in a row have met it; and an alert is
over when two checks in a row have not met it any more. A check that fails, or takes too long, is a finding itself,
keeps none of the others from looking, and leaves its own alerts as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import sqlalchemy as sa
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel

from blocks import connections
from blocks.ledger import Alert, Ledger, Notice, utcnow
from blocks.vendor import scrub
from tasks import alerts, health_machine, mail_watch, notices, retention
from tasks.card import Card
from tasks.credentials import needs
from tasks.health_accounts import accounts
from tasks.health_finding import Finding, Look
from tasks.health_machine import clock, disk, remember, remembered
from tasks.health_runs import runs
from tasks.health_silence import silences
from tasks.health_work import (
    doubts,
    failures,
    missed_notices,
    record_errors,
    spending,
    waiting_approvals,
    webhook_backlog,
)
from tasks.notices import Told
from tasks.plain import counted, plain
from tasks.side_by_side import TookTooLong, side_by_side

Check = Callable[[Look], Iterable[Finding]]

CHECKS: Mapping[str, Check] = {
    "accounts": accounts,
    "push": mail_watch.lapsing,
    "silence": silences,
    "errors": record_errors,
    "doubts": doubts,
    "failed": failures,
    "spend": spending,
    "approvals": waiting_approvals,
    "events": webhook_backlog,
    "channel": missed_notices,
    "runs": runs,
    "disk": disk,
    "clock": clock,
}
"""By name. The keys of a check's findings begin with its name."""

FLOWS = "flows"
"""How the key of the finding begins that a flow's file cannot be imported, which the flow itself looks at."""

FAILED = "check"
"""How the key of the finding begins that a check has failed."""

SECONDS = 60.0
"""How long they may take, all at the same time."""

IN_A_ROW = 2
"""Checks that must agree before an alert closes, and before one opens that may pass by itself."""

MOST_PRUNED = 1_000
"""Alerts that are deleted at a time."""

KEPT_DAYS = 90
"""Alerts that are over, notices, and webhook events that were handled, are kept so long."""


@dataclass(frozen=True)
class Report:
    """What one health check has found."""

    findings: tuple[Finding, ...]
    looked: frozenset[str]
    """The checks that came to their end: only their alerts can be over."""

    def with_findings(self, check: str, findings: Sequence[Finding]) -> Report:
        """The same, with what a further check has found."""
        return Report((*self.findings, *findings), self.looked | {check})


class Summary(BaseModel):
    """What one run of the health check came to."""

    findings: dict[str, str]
    """What is wrong, by key."""
    opened: tuple[str, ...]
    closed: tuple[str, ...]
    told: dict[str, int]
    """How many notices were sent, or not, by channel and state."""
    pruned: dict[str, int]
    """Rows that were deleted, by table."""


def look(
    ledger: Ledger, cards: Sequence[Card], checks: Mapping[str, Check] = CHECKS, seconds: float = SECONDS
) -> Report:
    """Let every check look, all at the same time.

    Args:
        ledger: what they look at.
        cards: of all workflows.
        checks: by name.
        seconds: one that is not done by then has failed.
    """
    opened = {alert.key: alert for alert in alerts.still_open(ledger)}
    given = Look(ledger, tuple(cards), utcnow(), opened)
    connections.import_blocks(need.credential for need in needs(cards))
    results = side_by_side([partial(_run, name, check, given) for name, check in checks.items()], seconds)
    findings: list[Finding] = []
    looked = {FAILED}
    for name, result in zip(checks, results, strict=True):
        if isinstance(result, Exception):
            findings.append(_failed(name, result, seconds))
        else:
            findings += result
            looked.add(name)
    return Report(tuple(findings), frozenset(looked))


def _run(name: str, check: Check, given: Look) -> list[Finding]:
    found = list(check(given))
    if strange := [finding.key for finding in found if finding.key.partition(":")[0] != name]:
        raise ValueError(f"the check {name} must not use the keys {', '.join(strange)}")
    return found


def _failed(name: str, error: Exception, seconds: float) -> Finding:
    if isinstance(error, TookTooLong):
        why = f"it was not done within {seconds:g} s"
    else:
        logging.getLogger(__name__).warning("the check %s failed", name, exc_info=error)
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
    said = f"the health check cannot look at {name}: {why}. Nobody would notice if something went wrong there"
    return Finding(f"{FAILED}:{name}", scrub(said), may_pass=True)


def settle(ledger: Ledger, report: Report) -> tuple[list[str], list[str]]:
    """Open alerts for what was found, and close those of ours that are over.

    Returns:
        The keys that were opened, and those that were closed.
    """
    before = remembered(ledger, "in a row")
    mine = {alert.key for alert in alerts.still_open(ledger) if alert.key.partition(":")[0] in {*CHECKS, FLOWS, FAILED}}
    found = {finding.key: finding for finding in report.findings}
    times = {key: before.get("found", {}).get(key, 0) + 1 for key in found}
    opened = [
        key
        for key, finding in found.items()
        if (not finding.may_pass or times[key] >= IN_A_ROW or key in mine)
        and alerts.open_alert(ledger, key, finding.message, finding.workflow)
    ]
    well = [key for key in mine - found.keys() if key.partition(":")[0] in report.looked]
    gone = {key: before.get("gone", {}).get(key, 0) + 1 for key in well}
    closed = [key for key in sorted(gone) if gone[key] >= IN_A_ROW and alerts.close_alert(ledger, key)]
    after = {"found": times, "gone": {key: count for key, count in gone.items() if key not in closed}}
    if after != before:
        remember(ledger, "in a row", after)
    return opened, closed


def prune(ledger: Ledger) -> dict[str, int]:
    """Delete what has no use any more; returns how many rows of each table.

    Alerts that were closed long ago, with their notices; and other notices that are not to be sent any more. Everything
    that is open, and every other table, is left alone: records and webhook events lose their content by the rule of
    retention, and the history holds that they are there.
    """
    days = retention.days()
    if not days:
        return {}
    long_ago = utcnow() - timedelta(days=max(days, KEPT_DAYS))
    over = sa.select(Alert.id).where(Alert.closed_at < long_ago).order_by(Alert.id).limit(MOST_PRUNED)
    with ledger.read() as session:
        old = list(session.scalars(over))
    keys = [f"{notices.ALERT}{number}/{what}" for number in old for what in ("opened", "closed")]
    about_nothing_open = sa.or_(Notice.key.in_(keys), sa.not_(Notice.key.startswith(notices.ALERT)))
    settled = Notice.state.in_((notices.SENT, notices.FAILED, notices.UNKNOWN))
    doomed: dict[str, tuple[type, sa.ColumnElement[bool]]] = {
        "notices": (Notice, sa.and_(Notice.created_at < long_ago, settled, about_nothing_open)),
        "alerts": (Alert, Alert.id.in_(old)),
    }
    with ledger.read() as session:
        counts = {
            name: session.scalar(sa.select(sa.func.count()).select_from(table).where(which)) or 0
            for name, (table, which) in doomed.items()
        }
    if any(counts.values()):
        with ledger.write() as session:
            for table, which in doomed.values():
                session.execute(sa.delete(table).where(which))
        logging.getLogger(__name__).info("deleted what has no use any more: %s", counts)
    return {name: count for name, count in counts.items() if count}


def publish(
    ledger: Ledger, report: Report, settled: tuple[list[str], list[str]], pruned: dict[str, int], told: Sequence[Told]
) -> Summary:
    """What the run came to; as a page of the run where there is anything to say: each costs the server some room."""
    opened, closed = settled
    by_channel: dict[str, int] = {}
    for each in told:
        name = f"{each.channel}: {each.state}"
        by_channel[name] = by_channel.get(name, 0) + 1
    summary = Summary(
        findings={finding.key: finding.message for finding in report.findings},
        opened=tuple(opened),
        closed=tuple(closed),
        told=by_channel,
        pruned=pruned,
    )
    if opened or closed or report.findings:
        create_markdown_artifact(key="health-check", markdown=as_markdown(ledger, summary), description="What is wrong")
    return summary


def as_markdown(ledger: Ledger, summary: Summary) -> str:
    """The summary as a page. Text from outside is escaped."""
    count = len(summary.findings)
    lines = [f"**{counted(count, 'finding')}**" if count else "**All is well**", ""]
    lines += [f"- `{key}`: {plain(message)}" for key, message in sorted(summary.findings.items())]
    for word, keys in (("Opened", summary.opened), ("Over", summary.closed)):
        lines += ["", f"{word}: {', '.join(f'`{key}`' for key in keys)}"] if keys else []
    lines += ["", "| Channel | Notices |", "|---|---|"] if summary.told else []
    lines += [f"| {plain(channel)} | {number} |" for channel, number in summary.told.items()]
    lines += ["", "| Database | Size | Grows a day | Disk is full on |", "|---|---|---|---|"]
    stores = health_machine.stores(ledger, utcnow())
    full = health_machine.full_on(stores, utcnow())
    for store in stores:
        grows = "not known yet" if store.per_day is None else health_machine.size(store.per_day)
        size, day = health_machine.size(store.size), full.get(store.name, "-")
        lines.append(f"| {store.name} | {size} | {grows} | {day} |")
    if not health_machine.prunes_runs():
        lines += ["", f"Prefect's database {health_machine.KEEPS_ALL}."]
    if summary.pruned:
        lines += ["", "Deleted, for want of any use: " + ", ".join(f"{n:,} {t}" for t, n in summary.pruned.items())]
    return "\n".join(lines)

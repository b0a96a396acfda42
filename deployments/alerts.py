"""`signoff alerts`: what a person must know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from blocks.ledger import Alert, Ledger
from deployments import views
from deployments.running import is_try
from tasks import alerts


def list_alerts(*, every: bool, as_json: bool) -> int:
    """Print the alerts that are open, oldest first; with `every` also those that are over, newest first."""
    ledger = Ledger.open()
    found = alerts.every(ledger) if every else alerts.still_open(ledger)
    if as_json:
        views.as_json([_as_json(alert) for alert in found])
        return 0
    for alert in found:
        views.console.print(_told(alert))
    views.console.print(_summary(found, every=every))
    return 0


def reminder(ledger: Ledger) -> str:
    """What `signoff check` says of open alerts; nothing when there are none."""
    count = len(alerts.still_open(ledger))
    if not count:
        return ""
    return f"{count} alert{'s are' if count > 1 else ' is'} open: signoff alerts"


def _told(alert: Alert) -> Text:
    state = Text("over  " if alert.closed_at else "open  ", style="dim" if alert.closed_at else "bold red")
    state.append(views.printable(alert.message), style="not bold default")
    state.append(f"\n      {views.printable(alert.key)}", style="not bold cyan")
    state.append(f"\n      {_when(alert)}", style="not bold dim")
    return state


def _when(alert: Alert) -> str:
    times = "once" if alert.times == 1 else f"{alert.times} times, last {alert.seen_at:%d %b %H:%M}"
    over = f", over since {alert.closed_at:%d %b %H:%M}" if alert.closed_at else ""
    whose = f"{alert.workflow}, " if alert.workflow else ""
    return f"{whose}since {alert.opened_at:%d %b %Y %H:%M} UTC, met {times}{over}"


def _summary(found: Sequence[Alert], *, every: bool) -> str:
    if not found and is_try():
        return (
            "No alert: the health check, which opens most of them, does not run in a try. `signoff doctor` looks now."
        )
    if not found:
        return "There never was an alert." if every else "No alert is open."
    count = sum(alert.closed_at is None for alert in found)
    return f"\n{count} open. An alert closes by itself when its cause is mended."


def _as_json(alert: Alert) -> dict[str, Any]:
    keys = ("id", "key", "workflow", "message", "times", "opened_at", "seen_at", "closed_at")
    return {key: getattr(alert, key) for key in keys}

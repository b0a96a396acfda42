"""Each deployment of prefect.yaml, and the events that start one."""

from __future__ import annotations

from typing import Any

from deployments.cards import declared_deployments
from deployments.triggers import TRIGGERS
from docs._build.source import ROOT, docstring
from docs._build.text import code, codes, table

HEAD = """# Deployments

Each deployment in `prefect.yaml`: what it runs, when, and how many of its runs there may be at once. `signoff up` and
`signoff deploy` put them on the Prefect server.

"""


def page() -> str:
    """The Markdown."""
    rows = [
        (code(entry["name"]), _about(entry), code(entry["entrypoint"]), _when(entry), _at_once(entry))
        for entry in declared_deployments()
    ]
    return HEAD + table(("Deployment", "What it does", "Entrypoint", "When", "At once"), rows) + _events()


def _about(entry: dict[str, Any]) -> str:
    return " ".join(docstring(ROOT / entry["entrypoint"].partition(":")[0]).split("\n\n")[0].split())


def _when(entry: dict[str, Any]) -> str:
    found = [_schedule(each) for each in entry.get("schedules", ())]
    found += [f"on {codes(each['expect'])}" for each in entry.get("triggers", ())]
    return "; ".join(found) or "when it is asked for"


def _schedule(schedule: dict[str, Any]) -> str:
    if "interval" in schedule:
        return f"every {schedule['interval'] // 60} minutes"
    return f"cron {code(schedule['cron'])} {schedule.get('timezone', 'UTC')}"


def _at_once(entry: dict[str, Any]) -> str:
    limit = entry.get("concurrency_limit")
    return f"{limit['limit']} ({limit['collision_strategy']})" if limit else ""


def _events() -> str:
    rows = [
        (
            code(each.source),
            codes(each.kinds) or "every one",
            code(each.deployment),
            "all that wait start one run" if each.together else "each starts a run of its own",
        )
        for each in TRIGGERS
    ]
    return (
        "\n## Events that start one\n\nThe lines of `TRIGGERS` in `deployments/triggers.py`. The source is the name of "
        "a webhook endpoint's block.\n\n" + table(("Source", "Kinds", "Deployment", "Runs"), rows)
    )

"""`signoff check`: is every workflow complete, and is everything there that it needs?"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from prefect import Flow
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.table import Table
from rich.text import Text

import prompts
from blocks import connections
from blocks.gmail import MESSAGE_FIELDS
from blocks.ledger import Ledger
from deployments import alerts, triggers, views
from deployments.cards import declared_deployments, flow_files
from deployments.running import ROOT
from tasks.card import Card, CardError

HELPERS = {"approval_digest", "evaluate_prompts", "health_check", "index_documents", "perform_action", "weekly_report"}
"""Flows that serve the others (they carry out, measure, report or read documents), and so have no card of their own."""


@dataclass
class Finding:
    """What was found about one flow file."""

    file: Path
    card: Card | None = None
    problems: list[str] = field(default_factory=list)


def check(*, offline: bool) -> int:
    """Print a row per flow and every problem with its way out; 1 when there is any."""
    declared = declared_deployments()
    findings = [look_at(path, declared) for path in flow_files()]
    if not offline:
        for finding in findings:
            finding.problems += missing_credentials([finding.card] if finding.card else [])
    views.console.print(_table(findings))
    if not offline and (reminder := alerts.reminder(Ledger.open())):
        views.console.print(Text(reminder, style="yellow"))
    for finding in findings:
        for problem in finding.problems:
            views.errors.print(f"flows/{finding.file.name}: {problem}", markup=False, soft_wrap=True)
    wrong = list(triggers.problems(triggers.TRIGGERS, declared))
    for problem in wrong:
        views.errors.print(f"deployments/triggers.py: {problem}", markup=False, soft_wrap=True)
    return 1 if wrong or any(finding.problems for finding in findings) else 0


def look_at(path: Path, deployments: list[dict[str, Any]]) -> Finding:
    """Everything about a flow file that can be judged without a server."""
    finding = Finding(path)
    name = path.stem
    if _shadows(name):
        finding.problems.append(
            f"a flow must not be called {name}: Prefect puts flows/ on the import path, and it would hide the "
            f"module {name}. Rename the file"
        )
        return finding
    try:
        module = importlib.import_module(f"flows.{name}")
    except CardError as error:
        finding.problems.append(str(error))
        return finding
    except ValidationError as error:  # a part of the card, which does not know whose it is
        finding.problems += [_readable(error.title, problem) for problem in error.errors()]
        return finding
    finding.problems += _deployment_problems(name, deployments)
    found = getattr(module, name, None)
    if not isinstance(found, Flow) or found.name != name.replace("_", "-"):
        finding.problems.append(f'it has no flow function {name} with @flow(name="{name.replace("_", "-")}")')
    if name not in HELPERS:
        finding.problems += list(_card_problems(module, finding))
    return finding


def _card_problems(module: ModuleType, finding: Finding) -> Iterator[str]:
    card = getattr(module, "CARD", None)
    if not isinstance(card, Card):
        yield "it has no CARD; copy one from flows/lead_triage.py and fill it in"
        return
    finding.card = card
    if card.workflow != finding.file.stem.replace("_", "-"):
        yield f"its card is called {card.workflow}: file, flow, prompt folder and deployment carry one name"
    if card.prompt != finding.file.stem:
        yield f"its card's prompt is {card.prompt}: file, flow, prompt folder and deployment carry one name"
    yield from unknown_fields(card)
    try:
        prompts.load(card.prompt)
    except prompts.PromptError as error:
        yield str(error)


def _readable(part: str, problem: ErrorDetails) -> str:
    field = ".".join(str(step) for step in problem["loc"])
    what = "is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
    return f"its card has a {part} whose {field} {what}" if field else f"its card has a {part} that is wrong: {what}"


def unknown_fields(card: Card) -> Iterator[str]:
    """The fields on the card that are not read from the vendor at all. HubSpot's are everybody's own."""
    readable = {"gmail": MESSAGE_FIELDS}
    for vendor, known in readable.items():
        for name in card.fields_of(vendor):
            if name not in known:
                yield f"its card reads {name} from {vendor}, of which {', '.join(known)} are read"


def _deployment_problems(name: str, deployments: list[dict[str, Any]]) -> list[str]:
    dashed = name.replace("_", "-")
    entry = next((d for d in deployments if d.get("name") == dashed), None)
    wanted = f"flows/{name}.py:{name}"
    if entry is None:
        return [f"prefect.yaml has no deployment called {dashed}"]
    if entry.get("entrypoint") != wanted:
        return [f"prefect.yaml: the entrypoint of {dashed} is {entry.get('entrypoint')}, not {wanted}"]
    return []


def missing_credentials(cards: Sequence[Card]) -> Iterator[str]:
    """What the cards need and nobody has saved on the server, each with the way out."""
    needed = {line.credential for card in cards for line in card.reads}
    needed |= {line.credential for card in cards for line in card.writes if not line.optional}
    for credential in sorted(needed):
        try:
            connections.load(credential)
        except connections.MissingCredential as error:
            yield str(error)


def _shadows(name: str) -> bool:
    """Whether a top-level module of that name exists outside flows/."""
    spec = find_spec(name)
    return spec is not None and (spec.origin is None or Path(spec.origin).parent != ROOT / "flows")


def _count(problems: list[str]) -> str:
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"


def _table(findings: list[Finding]) -> Table:
    table = Table(expand=True, pad_edge=False)
    for title, width in (("Workflow", None), ("Stage", 9), ("Owner", None), ("$/run", 6), ("$/month", 7), ("", 11)):
        table.add_column(title, width=width)
    for finding in findings:
        card = finding.card
        verdict = Text(_count(finding.problems), "red") if finding.problems else Text("ok", "green")
        cells = (str(card.stage), card.owner, f"{card.usd_per_run}", f"{card.usd_per_month}") if card else ("-",) * 4
        table.add_row(finding.file.stem.replace("_", "-"), *cells, verdict)
    return table

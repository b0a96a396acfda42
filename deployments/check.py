"""`signoff check`: is every workflow complete, and is everything there that it needs?"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
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
from deployments.running import ROOT, no_server
from deployments.their_errors import text_of
from prompts.cases import without_case
from tasks.card import Card, CardError

HELPERS = {"approval_digest", "evaluate_prompts", "health_check", "index_documents", "perform_action", "weekly_report"}
"""Flows that serve the others (they carry out, measure, report or read documents), and so have no card of their own."""


RESERVED = ".example"
"""Where the pretend company's addresses end."""


@dataclass
class Finding:
    """What was found about one flow file."""

    file: Path
    card: Card | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What is worth a look and keeps nobody from running it."""
    missing: list[str] = field(default_factory=list)
    """The accounts that it cannot run without and that nobody has connected."""


def check(*, offline: bool) -> int:
    """Print a row per flow and every problem with its way out; 1 when there is any."""
    declared = declared_deployments()
    findings = [look_at(path, declared) for path in flow_files()]
    cards = [finding.card for finding in findings if finding.card]
    missing: dict[str, list[str]] = {}
    pretend, away = "", ""
    if not offline:
        try:
            missing, pretend = not_connected(cards), still_pretend(cards)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            away = f"{no_server()}. Without one no account can be looked at: `signoff check --offline` leaves them out"
    for finding in findings:
        if finding.card:
            finding.missing = [name for name, workflows in missing.items() if finding.card.workflow in workflows]
    views.console.print(_table(findings))
    if not offline and (reminder := alerts.reminder(Ledger.open())):
        views.console.print(Text(reminder, style="yellow"))
    for finding in findings:
        for problem in finding.problems:
            views.errors.print(f"flows/{finding.file.name}: {problem}", markup=False, soft_wrap=True)
        for warning in finding.warnings:
            where = f"prompts/{finding.file.stem}/cases.jsonl"
            views.errors.print(f"{where}: {warning}", style="yellow", markup=False, soft_wrap=True)
    for credential, workflows in missing.items():
        said = f"{credential} is not connected, which {', '.join(workflows)} cannot run without"
        views.errors.print(f"{said}: signoff connect {credential}", markup=False, soft_wrap=True)
    for said in filter(None, (pretend, away)):
        views.errors.print(f"signoff: {said}", markup=False, soft_wrap=True)
    lost = list(without_a_flow(declared))
    wrong = [] if lost else list(triggers.problems(triggers.TRIGGERS, declared))  # it loads the flows that they start
    for problem in wrong:
        views.errors.print(f"deployments/triggers.py: {problem}", markup=False, soft_wrap=True)
    for problem in lost:
        views.errors.print(f"prefect.yaml: {problem}", markup=False, soft_wrap=True)
    return 1 if wrong or lost or missing or away or any(finding.problems for finding in findings) else 0


def without_a_flow(deployments: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Deployments whose flow's file is not there: `prefect deploy` would fail on the first of them."""
    for entry in deployments:
        file = str(entry.get("entrypoint", "")).partition(":")[0]
        if not file or not (ROOT / file).is_file():
            yield f"{entry.get('name')} is to run {file or 'nothing'}, which is not there: remove its entry"


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
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are looked at
        finding.problems.append(f"it cannot be imported: {text_of(error)}")
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
        prompt = prompts.load(card.prompt)
        unseen = without_case(prompt)
    except (prompts.PromptError, prompts.CaseError) as error:
        yield str(error)
        return
    except Exception as error:  # noqa: BLE001 - answer.py is the builder's own code, too
        yield f"its prompt cannot be loaded: {text_of(error)}"
        return
    if unseen:
        finding.warnings.append(
            f"no case has {', '.join(unseen)}: the built-in model cannot know it, and no evaluation tries it. "
            f"signoff cases {prompt.name} says more"
        )


def _readable(part: str, problem: ErrorDetails) -> str:
    field = ".".join(str(step) for step in problem["loc"])
    what = "is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
    a_part = f"{'an' if part[0] in 'AEIOU' else 'a'} {part}"
    return f"its card has {a_part} whose {field} {what}" if field else f"its card has {a_part} that is wrong: {what}"


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


def not_connected(cards: Sequence[Card]) -> dict[str, list[str]]:
    """The accounts that nobody has saved on the server, each with the workflows that cannot run without it."""
    missing: dict[str, list[str]] = {}
    for card in cards:
        needed = {line.credential for line in card.reads}
        needed |= {line.credential for line in card.writes if not line.optional}
        for credential in sorted(needed):
            if connections.load_if_present(credential) is None:
                missing.setdefault(credential, []).append(card.workflow)
    return dict(sorted(missing.items()))


def still_pretend(cards: Sequence[Card]) -> str:
    """That cards still name the pretend company's people, once real accounts are connected; nothing when none does.

    `.example` is nobody's (RFC 2606): no alert would arrive, and a draft that names your own domain would be held back.
    """
    inbox = connections.load_if_present("gmail/inbox")
    if inbox is None or str(inbox.mailbox).endswith(RESERVED):
        return ""
    names = [card.workflow for card in cards if any(name.endswith(RESERVED) for name in (card.owner, *card.allowed))]
    if not names:
        return ""
    many = ", ".join(names)
    return f"the cards of {many} still name the pretend company: put your own owner, COMPANY and allowed into flows/"


def _shadows(name: str) -> bool:
    """Whether a top-level module of that name exists outside flows/."""
    spec = find_spec(name)
    return spec is not None and (spec.origin is None or Path(spec.origin).parent != ROOT / "flows")


def _count(problems: int) -> str:
    return f"{problems} problem{'s' if problems > 1 else ''}"


def _table(findings: list[Finding]) -> Table:
    table = Table(expand=True, pad_edge=False)
    for title, width in (("Workflow", 16), ("Card asks", 9), ("Owner", None), ("$/run", 6), ("$/month", 7), ("Is", 10)):
        table.add_column(title, width=width)
    for finding in findings:
        card = finding.card
        wrong = len(finding.problems) + len(finding.missing)
        verdict = Text(_count(wrong), "red") if wrong else Text("ok", "green")
        cells = (str(card.stage), card.owner, f"{card.usd_per_run}", f"{card.usd_per_month}") if card else ("-",) * 4
        table.add_row(finding.file.stem.replace("_", "-"), *cells, verdict)
    return table

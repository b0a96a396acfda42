"""`signoff quarantine`: what was set aside and why, and putting it back."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from rich.text import Text

from blocks.ledger import Ledger, ModelCall, Record
from deployments import views
from deployments.cards import known_names
from deployments.errors import CommandError
from tasks import quarantine
from tasks.quarantine import QuarantineError

LONGEST_TEXT = 2_000
"""Characters of an e-mail or of an answer that are shown; `--json` has all of them."""


def list_held(*, workflow: str | None, reason: str | None, as_json: bool) -> int:
    """Print what is set aside, oldest first."""
    found = quarantine.held(Ledger.open(), workflow=workflow, reason=reason)
    if as_json:
        views.as_json([_as_json(record) for record in found])
        return 0
    for record in found:
        views.console.print(_line(record))
    if found:
        views.console.print(
            f"\n{len(found)} set aside. signoff quarantine show NUMBER, or replay NUMBER once the cause is mended."
        )
    else:
        known_names(workflow)
        views.console.print("No record matches." if workflow or reason else "Nothing is set aside.")
    return 0


def show(record_id: int, *, as_json: bool) -> int:
    """Print one record: what came in, why it was set aside, what the model answered."""
    ledger = Ledger.open()
    try:
        record = quarantine.record(ledger, record_id)
    except QuarantineError as error:
        raise CommandError(str(error)) from error
    answers = _answers(ledger, record_id)
    if as_json:
        views.as_json(_as_json(record) | {"payload": record.payload, "answers": answers})
        return 0
    views.console.print(_line(record))
    for name, text in _content(record, answers):
        views.console.print(Text(f"\n{name}", style="bold"))
        views.console.print(Text(text))
    why = quarantine.why_not(record)
    views.console.print(
        Text(f"\nIt cannot be replayed: {why}" if why else f"\nPut it back: signoff quarantine replay {record_id}")
    )
    return 0


def replay(
    ids: Sequence[int], *, every: bool, workflow: str | None, reason: str | None, yes: bool, as_json: bool
) -> int:
    """Put records back."""
    ledger = Ledger.open()
    chosen = _chosen(ledger, ids, every=every, workflow=workflow, reason=reason)
    if not ids and not yes:
        _confirm(chosen)
    try:
        done = quarantine.replay(ledger, [record.id for record in chosen], by=getpass.getuser())
    except QuarantineError as error:
        raise CommandError(str(error)) from error
    if as_json:
        views.as_json([{"id": r.id, "title": r.title, "workflow": r.workflow, "replayed": True} for r in done])
        return 0
    for record in done:
        views.console.print(Text(f"{record.id:>5}  {views.printable(record.title)}: put back"))
    for name in sorted({record.workflow for record in done}):
        views.console.print(
            f"\nThe next run of {name} takes them from the start. To run it now:\nsignoff run {name}",
            markup=False,
        )
    return 0


def _chosen(
    ledger: Ledger, ids: Sequence[int], *, every: bool, workflow: str | None, reason: str | None
) -> list[Record]:
    if ids and (every or workflow or reason):
        raise CommandError("give numbers or a filter, not both")
    try:
        if ids:
            return [quarantine.record(ledger, i) for i in dict.fromkeys(ids)]
    except QuarantineError as error:
        raise CommandError(f"{error}: see signoff quarantine list") from error
    if not (every or workflow or reason):
        raise CommandError("say which: numbers from `signoff quarantine list`, --reason, --workflow, or --all")
    found = quarantine.held(ledger, workflow=workflow, reason=reason)
    chosen = [record for record in found if not quarantine.why_not(record)]  # redacted ones stay, and stop nobody else
    if not chosen:
        raise CommandError("nothing that is set aside matches" if workflow or reason else "nothing is set aside")
    return chosen


def _confirm(chosen: Sequence[Record]) -> None:
    for record in chosen if sys.stdin.isatty() else ():
        views.console.print(_line(record))
    unattended = f"{len(chosen)} match: add --yes to put them all back without being asked"
    if not views.agrees(f"Put these {len(chosen)} back?", unattended):
        raise CommandError("nothing was put back")


def _line(record: Record) -> Text:
    line = Text(f"{record.id:>5}  ", style="bold")
    sender = str(record.payload.get("sender") or "")
    line.append(views.printable(f"{record.title}  {sender}".strip()))
    line.append(f"\n       {record.workflow}, since {record.updated_at:%d %b %Y %H:%M} UTC", style="not bold dim")
    if record.redacted_at:
        line.append(f", redacted on {record.redacted_at:%d %b %Y}", style="not bold dim")
    if record.reason:
        line.append(f"\n       {views.printable(record.reason)}", style="not bold red")
    return line


def _content(record: Record, answers: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    parts = [
        (f"From {record.source}, message {record.external_id}", _cut(str(record.payload.get("text") or "(nothing)")))
    ]
    known = (record.context or {}).get("contact")
    if known:
        parts.append(("In the CRM", _cut(json.dumps(known, ensure_ascii=False))))
    for answer in answers:
        parts.append((f"The model answered ({answer['model']}, {answer['stop_reason']})", _cut(answer["reply"])))
    return parts


def _cut(text: str) -> str:
    text = views.printable(text, lines=True)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\n[... {len(text) - LONGEST_TEXT:,} more ...]"


def _answers(ledger: Ledger, record_id: int) -> list[dict[str, Any]]:
    query = sa.select(ModelCall).where(ModelCall.record_id == record_id).order_by(ModelCall.id)
    keys = ("model", "prompt_version", "attempt", "reply", "stop_reason", "created_at")
    with ledger.read() as session:
        return [{key: getattr(call, key) for key in keys} for call in session.scalars(query)]


def _as_json(record: Record) -> dict[str, Any]:
    keys = (
        "id", "workflow", "source", "external_id", "title", "state", "reason", "failures", "prompt_version",
        "created_at", "updated_at", "redacted_at",
    )  # fmt: skip
    row = {key: getattr(record, key) for key in keys}
    return row | {"sender": record.payload.get("sender", ""), "replayable": not quarantine.why_not(record)}

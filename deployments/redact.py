"""`signoff ledger redact`."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from dataclasses import asdict

from blocks.ledger import Ledger
from deployments import views
from deployments.errors import CommandError
from tasks import retention
from tasks.retention import Plan, Redaction


def redact(*, older_than_days: int | None, records: Sequence[int], person: str | None, yes: bool, as_json: bool) -> int:
    """Redact what was asked for; 1 when a record that was asked for by name had to be left."""
    if sum(1 for chosen in (older_than_days is not None, bool(records), person is not None) if chosen) > 1:
        raise CommandError("give one of --older-than-days, --record and --person")
    ledger = Ledger.open()
    mentioned: list[int] = []
    events: list[int] = []
    if person is not None:
        found = retention.of_person(ledger, person)
        plan, mentioned, events = retention.plan(ledger, found.records), found.mentioned, found.events
    elif records:
        plan = retention.plan(ledger, records)
    else:
        plan = Plan(ready=retention.due(ledger, _age(older_than_days)), left=[])
    if (plan.ready or events) and not yes:
        _confirm(plan, len(events))
    done = retention.redact(ledger, plan.ready, by=getpass.getuser())
    told = retention.redact_events(ledger, events, by=getpass.getuser())
    if as_json:
        views.as_json(
            asdict(done) | {"events": told.rows, "left": [asdict(one) for one in plan.left], "mentioned": mentioned}
        )
    else:
        _tell(done, plan, mentioned, told.rows)
    return 1 if plan.left else 0


def _age(older_than_days: int | None) -> int:
    if older_than_days is not None and older_than_days < 1:
        raise CommandError("--older-than-days is at least 1")
    age = older_than_days or retention.days()
    if not age:
        raise CommandError(f"{retention.SETTING} is 0, so nothing is redacted by its age; say --older-than-days")
    return age


def _confirm(plan: Plan, events: int) -> None:
    also = f" and {_events(events)}" if events else ""
    what = f"the personal data of {_records(len(plan.ready))}{also}"
    if not sys.stdin.isatty():
        raise CommandError(f"this would take out {what} for good: add --yes to do it without being asked")
    answer = views.console.input(f"Take out {what}, for good? \\[y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was redacted")


def _tell(done: Redaction, plan: Plan, mentioned: Sequence[int], events: int) -> None:
    if events:
        views.console.print(f"{_events(events)} redacted.")
    if done.records:
        views.console.print(f"{_records(done.records)} redacted: {done.fields:,} fields in {done.rows:,} rows.")
    elif not plan.left and not events:
        views.console.print("Nothing to redact.")
    for left in plan.left:
        views.console.print(f"record {left.record_id} is left: {left.why}", markup=False)
    if mentioned:
        numbers = ", ".join(map(str, mentioned[:20])) + (", ..." if len(mentioned) > 20 else "")
        views.console.print(
            f"The address also stands in {_records(len(mentioned))} of other people: {numbers}.\n"
            "Look at them, and redact them by number if that is asked for: --record NUMBER",
            markup=False,
        )


def _events(count: int) -> str:
    return f"{count:,} webhook event{'' if count == 1 else 's'} without a record"


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"

"""`signoff ledger show`."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from blocks.ledger import Ledger, Record
from deployments import views
from deployments.errors import CommandError
from tasks import report
from tasks.records import QUARANTINED


def show_records(ids: Sequence[int], *, workflow: str | None, quarantined: bool, limit: int, as_json: bool) -> int:
    """Print records as a table or as JSON."""
    ledger = Ledger.open()
    wanted = list(ids) or _newest(ledger, workflow=workflow, quarantined=quarantined, limit=limit)
    rows = report.of_records(ledger, wanted)
    missing = set(ids) - {row.id for row in rows}
    if missing:
        raise CommandError(f"the ledger has no record {', '.join(map(str, sorted(missing)))}")
    if as_json:
        views.as_json([views.record_json(row) for row in rows])
    elif rows:
        views.console.print(views.records_table(rows))
    else:
        views.console.print("Nothing was set aside." if quarantined else "Nothing has come in yet.")
    return 0


def _newest(ledger: Ledger, *, workflow: str | None, quarantined: bool, limit: int) -> list[int]:
    query = sa.select(Record.id).order_by(Record.id.desc()).limit(limit)
    if workflow:
        query = query.where(Record.workflow == workflow)
    if quarantined:
        query = query.where(Record.state == QUARANTINED)
    with ledger.read() as session:
        return list(session.scalars(query))

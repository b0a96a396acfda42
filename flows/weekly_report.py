"""Say once a week what the workflows came to: what they saved, what they cost, and what to improve next."""

from __future__ import annotations

from prefect import flow

from blocks.ledger import Ledger, utcnow
from tasks import flow_cards, roi, weekly
from tasks.periods import iso_week, zone_of
from tasks.run import alive

CHANNEL: str | None = "slack/team"
"""The Slack block whose channel is told, once a week; None tells nobody. Where nobody has saved it, there is only the
page on the run."""

ZONE = "UTC"
"""The time zone in which days and weeks begin, such as Europe/Dublin."""

REVIEW_SECONDS = roi.REVIEW_SECONDS
"""How long a person looks at a form before deciding."""


@flow(name="weekly-report")
def weekly_report(week: str | None = None) -> str:
    """Report on a week such as 2026-W48, by default the newest that is over.

    The page on the run is made each time; the message is posted once for each week, however often this runs.
    """
    ledger = Ledger.open()
    period = iso_week(week, zone_of(ZONE), utcnow())
    with alive(ledger, weekly.WORKFLOW, "report") as run_id:
        given = roi.Assumptions(review_seconds=REVIEW_SECONDS)
        found = roi.report(ledger, flow_cards.all_beside(__file__), period, given)
        return weekly.publish(ledger, run_id, found, CHANNEL)

"""The weekly report: a page on the run, and one message a week to the team's own channel.

The message is an action like any other: journalled before it is posted, looked for in the channel after a crash, so
told once. The channel that `flows/weekly_report.py` names is what allows it, as a card's `shadow_report` does. It holds
figures, and nothing of what anybody wrote.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from prefect.artifacts import create_markdown_artifact

from blocks import connections
from blocks.ledger import Action, Ledger, utcnow
from tasks import act, roi_words, team_message
from tasks.actions import PostMessage
from tasks.card import Stage
from tasks.periods import week_of
from tasks.roi import Report
from tasks.verb import raise_if_worth_retrying, verb

WORKFLOW = "weekly-report"

STALE = timedelta(days=6)
"""After so long nobody is told of a week any more: the next one's report is at hand."""

TOO_LATE = "its week was over before anybody could be told"


class NotPosted(Exception):
    """The message could not be posted; the message says why. The next run of the same week tries again."""


def publish(ledger: Ledger, run_id: str, found: Report, channel: str | None) -> str:
    """Put the report on the run's page, and tell the channel; returns what became of it.

    Args:
        ledger: where the message is journalled.
        run_id: the run's, which holds the message while it is posted.
        found: the report of a week.
        channel: the Slack block, such as slack/team; None tells nobody.

    Raises:
        VendorError: Slack could not be reached. The page is there, and the message waits for another run.
        NotPosted: Slack refuses it for good.
    """
    week = week_of(found.period)
    create_markdown_artifact(
        key=WORKFLOW, markdown=roi_words.as_markdown(found), description=f"What the workflows came to in {week}"
    )
    if found.begins is None:
        return f"{week}: the ledger holds no record yet, so nobody is told"
    if channel is None:
        return f"{week}: no channel is named in flows/weekly_report.py"
    if connections.load_if_present(channel) is None:  # not inside a transaction: it asks Prefect's server
        return f"{week}: nobody has saved {channel}, so no channel is told"
    team_message.refuse_late(ledger, Action.workflow == WORKFLOW, TOO_LATE, utcnow())  # what missed its own week
    return f"{week}: {post(ledger, run_id, journal(ledger, week, channel, roi_words.as_message(found)))}"


def journal(ledger: Ledger, week: str, channel: str, text: str) -> int:
    """Write down that a channel is to be told of a week, once; returns the action's number.

    A week that is there already keeps its first words, whatever the figures are by now.
    """
    key = f"{WORKFLOW}:{PostMessage.kind}:{week}"
    with ledger.write() as session:
        known = session.scalar(sa.select(Action.id).where(Action.key == key))
        if known is not None:
            return known
        row = Action(
            key=key,
            workflow=WORKFLOW,
            title=f"Tell Slack what the workflows came to in {week}",
            credential=channel,
            stage=Stage.SELECTIVE,
            expires_at=utcnow() + STALE,
        )
        team_message.add(session, row, text, "the channel in flows/weekly_report.py")
        return row.id


@verb("post")
def post(ledger: Ledger, run_id: str, action_id: int) -> str:
    """Post a week's message, unless that was done already; returns what became of it.

    Raises:
        VendorError: Slack could not be reached.
        NotPosted: Slack refuses it for good.
    """
    with ledger.read() as session:
        mine = act.allowed(Stage.SELECTIVE).where(Action.id == action_id)
        wanted = [(action, decision) for action, decision in session.execute(mine)]
    raise_if_worth_retrying(act.carry_out(ledger, run_id, wanted), succeeded=0)
    with ledger.read() as session:
        row = session.get_one(Action, action_id)
    if row.state == "failed":
        raise NotPosted(f"action {row.id} ({row.title}) failed: {row.reason}")
    if row.state == "done":
        return "the channel is told" if wanted else "the channel was told before"
    return f"the channel is not told yet: {row.reason or 'another run is at it'}"

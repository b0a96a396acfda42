"""`signoff alerts test`: whether people would hear of an alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.text import Text

from blocks.ledger import Ledger, utcnow
from deployments import views
from deployments.cards import cards
from tasks import notices

SUBJECT = "This is a test of Signoff's alerts"
TEXT = "Nothing is wrong. This is where you would hear of it."


def try_channels(*, as_json: bool) -> int:
    """Send a test through every channel; 1 when one that is set up was not told, or when there is none."""
    key = f"test/{utcnow():%Y-%m-%dT%H:%M:%S.%f}"
    told = notices.tell(Ledger.open(), key, TEXT, cards(), subject=SUBJECT, urgent=True)
    if as_json:
        views.as_json([asdict(each) for each in told])
    else:
        for each in told:
            views.console.print(_tried(each))
        views.console.print(_verdict(told))
    return 0 if told and all(each.state == notices.SENT for each in told) else 1


def _tried(told: notices.Told) -> Text:
    sent = told.state == notices.SENT
    line = Text(f"{'told' if sent else 'not told':<9} ", style="green" if sent else "bold red")
    line.append(views.printable(told.channel), style="not bold default")
    if told.reason:
        line.append(f"\n{' ' * 10}{views.printable(told.reason)}", style="not bold dim")
    return line


def _verdict(told: Sequence[notices.Told]) -> str:
    if not told:
        return (
            "Nobody would hear of an alert. Connect Slack, Gmail or a webhook of your own: "
            "signoff connect slack/alerts, gmail/inbox or outgoing-webhook/alerts"
        )
    missed = sum(each.state != notices.SENT for each in told)
    return f"\n{missed} of {len(told)} were not told." if missed else "\nEverybody was told."

"""The weekly report in a real run: a page each time, and one message a week whatever crashes or runs twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from markdown_it import MarkdownIt
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

from blocks import connections
from blocks.ledger import Action, Decision, Ledger, Run
from blocks.slack import Slack
from blocks.vendor import VendorError
from flows import weekly_report as module
from flows.lead_triage import CARD
from flows.weekly_report import weekly_report
from sandbox.client import Sandbox
from tasks import act, audit, flow_cards, roi, weekly
from tasks.card import Stage
from tasks.periods import PeriodError, iso_week, zone_of
from tasks.run import alive
from tasks.weekly import WORKFLOW, NotPosted
from tests.reporting import MINUTE, Books, Wanted

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
"""A Monday morning; the newest week that is over is 2026-W47."""

DAY = timedelta(days=1)
HOSTILE = "gone <!channel> | [x](http://evil.example)"


@pytest.fixture
def monday(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the day that the report believes in."""

    def set_to(now: datetime) -> None:
        monkeypatch.setattr(module, "utcnow", lambda: now)
        monkeypatch.setattr(weekly, "utcnow", lambda: now)

    set_to(NOW)
    return set_to


@pytest.fixture
def worked(ledger: Ledger, monday: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch) -> Books:  # noqa: ARG001
    """Two weeks of work in the ledger, of a workflow with a card and of one without."""
    monkeypatch.setattr(flow_cards, "all_beside", lambda _: [CARD])
    books = Books(ledger)
    for n in range(6):
        books.record(NOW - (8 + n % 2) * DAY, Wanted())
        books.record(NOW - (2 + n % 3) * DAY, Wanted("gmail.apply_label", by="card"), Wanted(edited=n == 0))
    books.record(NOW - 2 * DAY, Wanted(), workflow=HOSTILE)
    books.write()
    return books


def posts(sandbox: Sandbox) -> list[str]:
    return [post["text"] for post in sandbox.posts()]


def messages(ledger: Ledger) -> list[Action]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Action).where(Action.workflow == WORKFLOW).order_by(Action.id)))


def page() -> str:
    with get_client(sync_client=True) as client:
        wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[WORKFLOW]))
        (artifact,) = client.read_latest_artifacts(artifact_filter=wanted)
    return str(artifact.data)


def test_it_finds_every_card_beside_it() -> None:
    assert CARD in flow_cards.all_beside(str(module.__file__))


@pytest.mark.usefixtures("accounts", "worked")
def test_a_week_is_told_once_and_shown_each_time(ledger: Ledger, sandbox: Sandbox) -> None:
    assert weekly_report() == "2026-W47: the channel is told"
    (text,) = posts(sandbox)
    head, saved, *lines = text.splitlines()
    assert head == "*Signoff, week 2026-W47* (16 to 22 Nov 2026)"
    assert saved.startswith("24 min saved (36 min by hand, less 6 min done by hand after all, less 6 min of sign-off)")
    assert (
        "• lead-triage: 6 came in: 6 done; 24 min saved; $0.0120; 0 of 6 went wrong, too few for a share (by hand 8.0%)"
        in lines
    )
    assert "signoff cases lead_triage --from-decisions" in text
    assert "• gone &lt;!channel&gt; | [x](http://evil.example): 1 came in" in text
    assert len(text) < 3_000

    html = MarkdownIt("commonmark").enable("table").render(page())
    assert "<strong>24 min saved</strong>" in html
    assert "<td>gone &lt;!channel&gt; | [x](http://evil.example)</td>" in html
    assert "<a " not in html

    assert weekly_report() == weekly_report("2026-W47") == "2026-W47: the channel was told before"
    assert len(posts(sandbox)) == 1
    (row,) = messages(ledger)
    with ledger.read() as session:
        decision = session.scalars(sa.select(Decision).where(Decision.action_id == row.id)).one()
        stages = session.scalars(sa.select(Run.stage).where(Run.workflow == WORKFLOW)).all()
    assert (row.key, row.state, row.record_id) == (f"{WORKFLOW}:slack.post_message:2026-W47", "done", None)
    assert (decision.approver, decision.comment) == ("card", "the channel in flows/weekly_report.py")
    assert set(stages) == {"report"}
    # What it tells of does not grow by its having been told.
    assert roi.report(ledger, (CARD,), iso_week("2026-W47", zone_of("UTC"), NOW)).now.actions == 13


@pytest.mark.usefixtures("accounts", "worked")
def test_each_week_has_its_own_message(ledger: Ledger, sandbox: Sandbox, monday: Callable[[datetime], None]) -> None:
    before = audit.verify(ledger).findings  # the work itself was written past the history
    weekly_report("2026-W46")
    weekly_report()
    monday(NOW + 7 * DAY)
    weekly_report()
    assert [text.split("*")[1] for text in posts(sandbox)] == [f"Signoff, week 2026-W{week}" for week in (46, 47, 48)]
    assert "nothing came in" in posts(sandbox)[-1]  # silence is news
    assert audit.verify(ledger).findings == before


class Sent:
    """One week's message, journalled and posted without the flow around it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        found = roi.report(ledger, (CARD,), iso_week(None, zone_of("UTC"), NOW))
        self.number = weekly.journal(ledger, "2026-W47", "slack/team", "text of the week")
        assert found.begins

    def post(self) -> str:
        with alive(self.ledger, WORKFLOW, "report") as run_id:
            return weekly.post(self.ledger, run_id, self.number)


@pytest.fixture
def sent(accounts: Callable[[], None], worked: Books) -> Sent:  # noqa: ARG001
    """The message of the week, in the journal."""
    return Sent(worked.ledger)


@pytest.mark.usefixtures("fast_retries")
@pytest.mark.parametrize("kind", ["reply_lost", "overloaded", "rate_limited"])
def test_whatever_happens_to_the_post_it_is_there_once(sent: Sent, sandbox: Sandbox, kind: Any) -> None:
    sandbox.fault(kind, "slack", "*chat.postMessage")
    assert sent.post() == "the channel is told"
    assert sent.post() == "the channel was told before"
    assert posts(sandbox) == ["text of the week"]


def test_a_run_that_died_after_posting_is_reconciled(sent: Sent, ledger: Ledger, sandbox: Sandbox) -> None:
    sent.post()
    with ledger.write() as session:  # as it is when the process dies between the post and its receipt
        session.execute(sa.text("DELETE FROM receipts WHERE action_id = :n"), {"n": sent.number})
        session.execute(sa.update(Action).where(Action.id == sent.number).values(state="unknown"))
    assert sent.post() == "the channel is told"
    assert len(posts(sandbox)) == 1


def test_a_week_keeps_its_first_words(sent: Sent, ledger: Ledger) -> None:
    assert weekly.journal(ledger, "2026-W47", "slack/team", "other words") == sent.number
    assert [row.payload["text"] for row in messages(ledger)] == ["text of the week"]


def test_while_another_run_posts_it_this_one_does_not(sent: Sent, ledger: Ledger, sandbox: Sandbox) -> None:
    with alive(ledger, WORKFLOW, "report") as other:
        with ledger.write() as session:
            session.execute(sa.update(Action).where(Action.id == sent.number).values(state="acting", run_id=other))
        with alive(ledger, WORKFLOW, "report") as run_id:
            assert weekly.post(ledger, run_id, sent.number) == "the channel is not told yet: another run is at it"
    assert posts(sandbox) == []


@pytest.mark.usefixtures("fast_retries")
def test_what_slack_refuses_fails_the_run_and_is_posted_by_the_next(
    sent: Sent, ledger: Ledger, sandbox: Sandbox
) -> None:
    team: Slack = connections.load("slack/team")
    elsewhere = Slack(bot_token=team.bot_token, address=team.address, channel="C0000000404")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "load", lambda _: elsewhere)
        with pytest.raises(VendorError, match="channel_not_found"):
            sent.post()
    assert messages(ledger)[0].state == "pending"
    assert sent.post() == "the channel is told"
    assert len(posts(sandbox)) == 1


def test_what_is_refused_for_good_says_so(sent: Sent, ledger: Ledger) -> None:
    with ledger.write() as session:
        values = {"state": "failed", "reason": "slack: msg_too_long"}
        session.execute(sa.update(Action).where(Action.id == sent.number).values(**values))
    with pytest.raises(NotPosted, match="msg_too_long"):
        sent.post()


def test_what_could_not_be_told_in_its_week_is_given_up(
    sent: Sent, ledger: Ledger, sandbox: Sandbox, monday: Callable[[datetime], None]
) -> None:
    monday(NOW + 7 * DAY + MINUTE)
    weekly_report()
    first, _ = messages(ledger)
    assert (first.id, first.state, first.reason) == (sent.number, "refused", weekly.TOO_LATE)
    assert ["2026-W48" in text for text in posts(sandbox)] == [True]


@pytest.mark.usefixtures("prefect_server", "worked")
def test_nobody_is_told_where_there_is_nobody_or_nothing_to_tell(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "load_if_present", lambda _: None)
    assert weekly_report() == "2026-W47: nobody has saved slack/team, so no channel is told"
    monkeypatch.setattr(module, "CHANNEL", None)
    assert weekly_report() == "2026-W47: no channel is named in flows/weekly_report.py"
    for table in ("receipts", "decisions", "actions", "model_calls", "records"):
        with ledger.write() as session:
            session.execute(sa.text(f"DELETE FROM {table}"))
    assert weekly_report() == "2026-W47: the ledger holds no record yet, so nobody is told"
    assert messages(ledger) == []


@pytest.mark.usefixtures("prefect_server", "ledger")
def test_a_week_that_is_not_over_is_refused(monday: Callable[[datetime], None]) -> None:
    monday(NOW)
    with pytest.raises(PeriodError, match="2026-W48 is not over yet"):
        weekly_report("2026-W48")


def test_the_decision_allows_exactly_this_message(sent: Sent, ledger: Ledger, sandbox: Sandbox) -> None:
    with ledger.write() as session:
        session.execute(sa.update(Decision).values(payload={"text": "something else"}))
    with pytest.raises(act.Tampered):
        sent.post()
    assert (messages(ledger)[0].state, posts(sandbox)) == ("refused", [])
    assert messages(ledger)[0].stage == Stage.SELECTIVE

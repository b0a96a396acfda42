"""What people are told of approvals: to whom, when, once, and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, Assignment, Ledger, Notice, utcnow
from sandbox.client import Sandbox
from tasks import approval_notices, approvals, assign, flow_cards
from tasks.plain import age
from tests.deciding import ANN, BILLING, CARDS, KOFI, MARA, TOM, TRIAGE, Desk, note, refund, reply
from tests.telling import mails, posts

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _accounts(accounts: Callable[[], None]) -> None:
    """The company's mailbox and Slack."""


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger)


def tell(desk: Desk, now: datetime | None = None) -> list[str]:
    """Tell what is due; the keys that were new."""
    before = keys(desk.ledger)
    approval_notices.tell_due(desk.ledger, CARDS, now)
    return [key for key in keys(desk.ledger) if key not in before]


def keys(ledger: Ledger) -> list[str]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Notice.key).order_by(Notice.id)))


class TestDigest:
    def test_each_is_told_what_waits_for_them_once_a_day_what_runs_out_today_first(
        self, desk: Desk, sandbox: Sandbox
    ) -> None:
        now = utcnow().replace(hour=7, minute=0)
        old, _ = desk.put(reply(), note(), forms=False)
        (soon,) = desk.put(reply("bo@x.example"), forms=False)
        with desk.ledger.write() as session:
            session.execute(sa.update(Action).where(Action.id == soon).values(expires_at=now + timedelta(hours=2)))
        desk.put(refund(), workflow="billing-agent", confidence="x", forms=False)
        for _ in range(2):
            approval_notices.digest(desk.ledger, CARDS, now)
        (mine,) = mails(sandbox, TOM)
        first, second = mine.split("Also wait, oldest first (2):")
        assert "Run out today (1):" in first
        assert f"- #{soon} Send reply to bo@x.example (lead-triage, for " in first
        assert f"/inbox/{soon}" in first
        assert second.index(f"#{old} ") < second.index(f"#{old + 1} ")
        assert "All of it: http://127.0.0.1:4280/inbox" in mine
        (others,) = mails(sandbox, KOFI)
        assert "Refund EUR 40.00" in others
        assert "Send reply" not in others
        assert mails(sandbox, ANN) == []
        assert posts(sandbox) == [
            f"Approvals that wait. {KOFI}: 1 approval; {TOM}: 3 approvals, of which 1 runs out today\n"
            "http://127.0.0.1:4280/inbox"
        ]
        subjects = [mail.subject for mail in sandbox.sent()]
        assert sorted(subjects) == ["Signoff: 1 approval waits for you", "Signoff: 3 approvals wait for you"]
        approval_notices.digest(desk.ledger, CARDS, now + DAY)
        assert len(mails(sandbox, TOM)) == 2

    def test_who_was_passed_something_is_told_and_not_the_owner(self, desk: Desk, sandbox: Sandbox) -> None:
        (number,) = desk.put(reply(), forms=False)
        assign.assign(desk.ledger, number, MARA, by=TOM, cards=CARDS)
        approval_notices.digest(desk.ledger, CARDS)
        assert len(mails(sandbox, MARA)) == 1
        assert mails(sandbox, TOM) == []

    def test_nothing_waits_and_nobody_is_told(self, desk: Desk, sandbox: Sandbox) -> None:
        desk.put(reply(), age=timedelta(days=6), forms=False)  # it has run out
        assert approval_notices.digest(desk.ledger, CARDS) == []
        assert (sandbox.sent(), posts(sandbox)) == ([], [])

    def test_many_are_counted(self, desk: Desk, sandbox: Sandbox) -> None:
        desk.put(*(note(f"n{n}@x.example") for n in range(40)), forms=False)
        approval_notices.digest(desk.ledger, CARDS)
        (mine,) = mails(sandbox, TOM)
        assert mine.count("/inbox/") == 25
        assert "- and 15 more" in mine


class TestRunningOut:
    def test_who_is_asked_is_told_when_a_quarter_is_left_and_then_that_it_ran_out(
        self, desk: Desk, sandbox: Sandbox
    ) -> None:
        made = utcnow()
        desk.put(reply(), note(), age=timedelta(0), life=timedelta(days=4), forms=False)
        assert tell(desk, made + 2.9 * DAY) == []
        assert len(tell(desk, made + 3.1 * DAY)) == 1
        assert tell(desk, made + 3.2 * DAY) == tell(desk, made + 3.9 * DAY) == []
        (said,) = mails(sandbox, TOM)
        assert "#1 Send reply" in said
        assert "#2 Note on" in said
        assert "What nobody decides is not done." in said
        (key,) = tell(desk, made + 4.2 * DAY)
        assert key.startswith(f"expired/{TOM}/lead-triage/")
        assert tell(desk, made + 4.3 * DAY) == []
        assert "so this was not done:\n- #1 Send reply" in mails(sandbox, TOM)[1]

    def test_what_was_decided_is_not_told_of(self, desk: Desk, sandbox: Sandbox) -> None:
        first, second = desk.put(reply(), note(), age=timedelta(days=4), forms=False)
        for number in (first, second):
            approvals.settle(desk.ledger, number, {"decision": "reject", "approver": "x"})
        assert tell(desk) == tell(desk, utcnow() + 3 * DAY) == []
        assert sandbox.sent() == []

    def test_short_lives_are_told_of_in_time(self, desk: Desk) -> None:
        hasty = TRIAGE.model_copy(update={"thresholds": TRIAGE.thresholds.model_copy(update={"approval_days": 1 / 24})})
        made = utcnow()
        desk.put(reply(), age=timedelta(0), life=timedelta(hours=1), forms=False)
        approval_notices.tell_due(desk.ledger, [hasty], made + timedelta(minutes=44))
        assert keys(desk.ledger) == []
        approval_notices.tell_due(desk.ledger, [hasty], made + timedelta(minutes=46))
        assert len(keys(desk.ledger)) == 1

    def test_what_ran_out_long_ago_is_not_told_of(self, desk: Desk) -> None:
        desk.put(reply(), age=timedelta(days=8), life=timedelta(days=5), forms=False)
        assert tell(desk) == []


class TestPassedOn:
    def test_who_it_is_passed_to_is_told_with_the_comment(self, desk: Desk, sandbox: Sandbox) -> None:
        (number,) = desk.put(reply(), forms=False)
        assign.assign(desk.ledger, number, MARA, by=TOM, comment="You know <them>\nbetter", cards=CARDS)
        assert tell(desk) == ["passed-on/1"]
        assert tell(desk) == []
        (said,) = mails(sandbox, MARA)
        assert said.startswith(f"Signoff: you are asked to decide on #1\n\n{TOM} asks you to decide until ")
        assert f"{TOM} says: You know <them> better" in said
        assert said.endswith(f"/inbox/{number}")

    def test_whoever_takes_it_themselves_knows(self, desk: Desk) -> None:
        (number,) = desk.put(reply(), forms=False)
        assign.assign(desk.ledger, number, MARA, by=MARA, cards=CARDS)
        assert tell(desk) == []

    def test_who_has_no_mail_of_ours_is_told_where_the_team_reads(self, desk: Desk, sandbox: Sandbox) -> None:
        with desk.ledger.write() as session:
            session.add(Action(**_bare(1)))
            session.flush()
            session.add(Assignment(action_id=1, person="eve@elsewhere.example", by=TOM))
        assert tell(desk) == ["passed-on/1"]
        assert sandbox.sent() == []
        assert posts(sandbox)[0].split("\n\n")[1].startswith("For eve@elsewhere.example. ")


def _bare(number: int) -> dict[str, object]:
    return {
        "id": number, "key": "k", "workflow": BILLING.workflow, "kind": "stripe.refund", "impact": "high",
        "title": "Refund", "payload": {}, "digest": "d", "credential": "c", "explanation": "", "stage": "gated",
        "state": "waiting",
    }  # fmt: skip


def test_the_flow_tells_everybody_by_the_cards_beside_it(desk: Desk, sandbox: Sandbox) -> None:
    from flows.approval_digest import approval_digest

    cards = flow_cards.all_beside("flows/approval_digest.py")
    assert {card.workflow for card in cards} >= {"lead-triage", "billing-agent", "meeting-notes"}
    assert len(cards) < len(list(Path("flows").glob("*.py")))
    desk.put(reply(), age=timedelta(days=4, hours=12), forms=False)
    assert approval_digest() == "3 sent"
    approval_digest()
    assert len(mails(sandbox, TOM)) == 2  # the digest, and that it runs out
    assert len(posts(sandbox)) == 1


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (timedelta(seconds=-5), "0 minutes"),
        (timedelta(seconds=61), "1 minute"),
        (timedelta(hours=3), "3 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_how_long(time: timedelta, said: str) -> None:
    assert age(time) == said

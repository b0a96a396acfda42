"""Who may decide, who is asked, and passing it on."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from blocks.ledger import Assignment, History, Ledger
from tasks import approvals, assign, inbox
from tasks.approvals import ApprovalError
from tests.deciding import BILLING, CARDS, KOFI, MARA, STRANGER, TOM, TRIAGE, Desk, refund, reply

NARROW = TRIAGE.model_copy(update={"allowed": ("mara@dockwell.example", "+353 1 555 0123")})


@pytest.mark.parametrize(
    ("person", "may"),
    [
        (TOM, True),
        (" Tom@DOCKWELL.example ", True),
        ("mara@dockwell.example", True),
        ("kofi@dockwell.example", False),
        ("dockwell.example", False),
        ("@dockwell.example", False),
        ("tom@dockwell.example.evil.example", False),
        ("tom", False),
        ("", False),
    ],
)
def test_the_owner_and_who_is_on_the_allowed_list_may_decide(person: str, may: bool) -> None:
    assert NARROW.names(person) is may


def test_a_domain_on_the_list_stands_for_everybody_in_it() -> None:
    assert TRIAGE.names("new@dockwell.example")
    assert not TRIAGE.names("new@sub.dockwell.example")
    for several in (
        "evil@evil.example,x@dockwell.example", "evil@evil.example\nx@dockwell.example", "<b>@dockwell.example",
        "a b@dockwell.example", "a\0@dockwell.example", "a@evil.example@dockwell.example", "a\u202e@dockwell.example",
    ):  # fmt: skip
        assert not TRIAGE.names(several)
    assert assign.who_may("NEW@dockwell.example", CARDS) == "new@dockwell.example"
    assert assign.who_may(STRANGER, CARDS) is None
    assert assign.people([NARROW, BILLING]) == [KOFI, MARA, TOM]


def test_the_newest_passing_on_counts(ledger: Ledger) -> None:
    desk = Desk(ledger)
    first, second = desk.put(reply(), reply("bo@x.example"), forms=False)
    (third,) = desk.put(refund(), workflow="billing-agent", forms=False)
    assign.assign(ledger, first, "MARA@dockwell.example", by=TOM, comment=" you know them ", cards=CARDS)
    assign.assign(ledger, first, KOFI, by=MARA, cards=CARDS)
    assign.assign(ledger, second, MARA, by=TOM, cards=CARDS)
    assert {row.id: row.asked for row in inbox.waiting(ledger, CARDS)} == {first: KOFI, second: MARA, third: KOFI}
    sight = inbox.sight(ledger, CARDS, first)
    assert [(one.person, one.by, one.comment) for one in sight.passed_on] == [
        (MARA, TOM, "you know them"),
        (KOFI, MARA, ""),
    ]
    with ledger.read() as session:
        noted = session.scalars(sa.select(History).where(History.event == "passed on").order_by(History.id)).all()
    assert [(one.subject, one.detail["person"]) for one in noted] == [
        (f"actions/{first}", MARA),
        (f"actions/{first}", KOFI),
        (f"actions/{second}", MARA),
    ]
    assert "you know them" not in str([one.detail for one in noted])


def test_who_may_not_decide_is_refused_with_the_way_out(ledger: Ledger) -> None:
    (number,) = Desk(ledger).put(reply(), forms=False)
    for person in (STRANGER, "", "dockwell.example"):
        with pytest.raises(ApprovalError, match=r"may not decide for lead-triage: its card names tom@.*allowed list"):
            assign.assign(ledger, number, person, by=TOM, cards=CARDS)
    with pytest.raises(ApprovalError, match="has no card that can be read"):
        assign.assign(ledger, number, TOM, by=TOM, cards=[BILLING])
    with ledger.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Assignment)) == 0


def test_only_what_waits_is_passed_on(ledger: Ledger) -> None:
    (number,) = Desk(ledger).put(reply(), forms=False)
    approvals.settle(ledger, number, {"decision": "reject", "approver": "x"})
    with pytest.raises(ApprovalError, match="it is rejected"):
        assign.assign(ledger, number, TOM, by=TOM, cards=CARDS)
    with pytest.raises(ApprovalError, match="there is no action 999"):
        assign.assign(ledger, 999, TOM, by=TOM, cards=CARDS)

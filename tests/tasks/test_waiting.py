"""What an approver is shown of what waits: everything, from the ledger alone, and nothing that cannot be seen."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, Ledger
from tasks import approvals, inbox
from tasks.approvals import ApprovalError
from tasks.inbox import Filter, unseen
from tests.deciding import ANN, CARDS, KOFI, TOM, Desk, contact, mail, note, refund, reply


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger)


@pytest.mark.both_databases
def test_what_waits_is_listed_with_what_is_known(desk: Desk) -> None:
    ids = desk.put(reply(), note(body="Wants\na \u202edemo"), forms=False)
    desk.put(refund(), workflow="billing-agent", confidence="very", forms=False)
    rows = inbox.waiting(desk.ledger, CARDS)
    assert [(row.id, row.impact, row.noun, row.asked, row.confidence) for row in rows] == [
        (ids[0], "high", "reply", TOM, 0.92),
        (ids[1], "low", "note", TOM, 0.92),
        (ids[1] + 1, "high", "refund", KOFI, None),
    ]
    assert rows[1].gist == "Note: Wants a demo"  # whose contact it is, the title says
    assert rows[0].gist == ""
    assert {row.record for row in rows} == {"A demo"}
    assert inbox.waiting_ids(desk.ledger) == desk.ids
    approvals.settle(desk.ledger, ids[0], {"decision": "reject", "approver": "x"})
    assert inbox.waiting_ids(desk.ledger) == desk.ids[1:]


def test_filters_are_joined(desk: Desk) -> None:
    desk.put(reply(), note(), forms=False)
    desk.put(contact("bo@x.example"), email=mail(subject="Prices"), forms=False)

    def found(**chosen: str) -> list[int]:
        return [row.id for row in inbox.waiting(desk.ledger, CARDS, Filter(**chosen))]

    assert found() == [1, 2, 3]
    assert found(impact="low", words="note") == [2]
    assert found(words="PRICES bo@") == [3]
    assert found(person=TOM.upper()) == [1, 2, 3]
    assert found(person=KOFI) == found(kind="x") == found(words="%") == []


def test_a_sight_holds_all_that_it_takes_to_decide(desk: Desk) -> None:
    text = "Could we see a demo?\n\nKind regards, Ann"
    number, _ = desk.put(reply(body="Hello Ann"), note(), email=mail(text), forms=False)
    sight = inbox.sight(desk.ledger, CARDS, number)
    assert sight.facts == [("To", ANN), ("Subject", "A demo")]
    assert [(box.blank.name, box.blank.text, box.unseen) for box in sight.boxes] == [("body", "Hello Ann", ())]
    assert sight.why_asked == [
        "It leaves the company: a person signs off each one.",
        "lead-triage runs gated: a person decides everything.",
    ]
    assert (sight.row.confidence, sight.sure, sight.cost) == (0.92, True, Decimal("0.0012"))
    assert "Ann Berg of Northwind wants a demo" in sight.evidence
    assert "> Could we see a demo?" in sight.evidence
    assert sight.quote == text
    assert sight.whole == ""
    assert sight.waits


def test_the_evidence_does_not_say_again_what_has_a_place_of_its_own(desk: Desk) -> None:
    number, other = desk.put(reply(body="A draft of _ours_"), note(), forms=False)
    for sight in (inbox.sight(desk.ledger, CARDS, number), inbox.sight(desk.ledger, CARDS, other)):
        for part in ("Send reply", "**To:**", "A draft of", "Cost so far", "Note on", "**The text:**"):
            assert part not in sight.evidence
        assert sight.evidence.startswith("**Why:**")


def test_what_the_form_cuts_is_there_whole(desk: Desk) -> None:
    text = "\n".join(f"line {n} \u202e" for n in range(600))
    (number,) = desk.put(reply(), email=mail(text), forms=False)
    sight = inbox.sight(desk.ledger, CARDS, number)
    assert "more characters" in sight.evidence
    assert sight.whole.endswith("line 599")
    assert "\u202e" not in sight.whole


def test_money_and_doubt_are_reasons(desk: Desk) -> None:
    (number,) = desk.put(refund(), workflow="billing-agent", confidence="x", forms=False)
    sight = inbox.sight(desk.ledger, CARDS, number)
    assert sight.why_asked[0] == "It moves money: a person signs off each one."
    assert sight.boxes == []


def test_what_this_version_cannot_read_is_told_and_not_shown_as_something_else(desk: Desk) -> None:
    (number,) = desk.put(note(), forms=False)
    with desk.ledger.write() as session:
        session.execute(sa.update(Action).values(payload={"to": 1}))
    sight = inbox.sight(desk.ledger, CARDS, number)
    assert "cannot read an action of kind hubspot.add_note" in sight.unreadable
    assert inbox.waiting(desk.ledger, CARDS)[0].gist == "this version cannot read it"


def test_there_is_no_such_action(desk: Desk) -> None:
    with pytest.raises(ApprovalError, match="there is no action 7"):
        inbox.sight(desk.ledger, CARDS, 7)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Hello\n\tAnn\u00a0Berg, 12\u202f000 👩\u200d🚀 é", ()),
        ("pay\u200bpal", ("U+200B zero width space",)),
        ("\u202egnp.exe \u202e", ("U+202E right-to-left override",)),
        ("\u2066x\u2069", ("U+2066 left-to-right isolate", "U+2069 pop directional isolate")),
        ("\x07", ("U+0007 without a name",)),
    ],
)
def test_what_nobody_sees_is_named(text: str, named: tuple[str, ...]) -> None:
    assert unseen(text) == named


def test_links_lead_to_where_people_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGNOFF_INBOX_URL", raising=False)
    assert inbox.link(3) == "http://127.0.0.1:4280/inbox/3"
    monkeypatch.setenv("SIGNOFF_INBOX_URL", "https://signoff.example.com/")
    assert inbox.link() == "https://signoff.example.com/inbox"


def test_what_has_expired_still_says_so(desk: Desk) -> None:
    (number,) = desk.put(reply(), age=timedelta(days=9), forms=False)
    row = inbox.sight(desk.ledger, CARDS, number).row
    assert row.expires_at is not None
    assert row.expires_at < row.created_at + timedelta(days=9)

"""Rules that say which approvals are meant: what they match, what they never match, and where they are wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.ledger import Ledger, utcnow
from tasks import inbox
from tasks.actions.base import Money
from tasks.approval_rules import Facts, RuleError, read
from tasks.approvals import ApprovalError
from tests.deciding import CARDS, KOFI, TOM, Desk, note, refund, reply

NOTE = Facts(
    workflow="lead-triage",
    kind="hubspot.add_note",
    impact="low",
    confidence=0.92,
    age=timedelta(hours=3),
    amount=None,
    domains=frozenset({"northwind.example"}),
    person="tom@dockwell.example",
)


def facts(**changes: Any) -> Facts:
    return Facts(**vars(NOTE) | changes)


REFUND = facts(kind="stripe.refund", impact="high", amount=Money(4_000, "eur"), confidence=None)


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("kind = hubspot.add_note", True),
        ("kind = hubspot.add_note and confidence >= 0.9 and age > 1h", True),
        ("KIND = hubspot.add_note AND impact = LOW", True),
        ("kind != hubspot.add_note", False),
        ("kind in (hubspot.add_note, hubspot.create_task)", True),
        ("kind in (hubspot.create_task)", False),
        ("workflow = lead-triage", True),
        ("workflow='lead-triage'", True),
        ('workflow = "support-answer"', False),
        ("impact = high", False),
        ("confidence > 92%", False),
        ("confidence>=92%", True),
        ("confidence = 0.92", True),
        ("age < 3h", False),
        ("age <= 180m", True),
        ("age > 0.1d", True),
        ("age < 1w", True),
        ("to-domain = northwind.example", True),
        ("to-domain = @Northwind.example", True),
        ("to-domain != northwind.example", False),
        ("to-domain in (a.example, northwind.example)", True),
        ("person = TOM@dockwell.example", True),
        ("amount < 50 eur", False),
    ],
)
def test_what_a_rule_matches(rule: str, holds: bool) -> None:
    assert read(rule).matches(NOTE) is holds


@pytest.mark.parametrize(
    ("rule", "meets", "matches"),
    [
        ("amount < 50 eur", True, False),
        ("impact = high", True, False),
        ("workflow = lead-triage", True, False),
        ("kind != gmail.send_reply", True, False),
        ("kind = stripe.refund", True, True),
        ("kind = stripe.refund and amount <= 40.00 EUR", True, True),
        ("kind in (stripe.refund, hubspot.add_note) and age > 1h", True, True),
        ("kind = stripe.refund and amount < 40 eur", False, False),
        ("kind = stripe.refund and amount < 50 usd", False, False),
        ("kind = stripe.refund and amount != 50 usd", False, False),
        ("kind = stripe.refund and confidence >= 0", False, False),
        ("kind = stripe.refund and confidence != 1", False, False),
    ],
)
def test_what_is_high_impact_is_matched_by_its_kind_alone(rule: str, meets: bool, matches: bool) -> None:
    assert (read(rule).meets(REFUND), read(rule).matches(REFUND)) == (meets, matches)


def test_what_goes_nowhere_and_is_not_known_matches_no_domain() -> None:
    nowhere = facts(domains=frozenset())
    for rule in ("to-domain = x.example", "to-domain != x.example", "to-domain in (x.example)"):
        assert not read(rule).matches(nowhere)
    both = facts(domains=frozenset({"a.example", "b.example"}))
    assert not read("to-domain = a.example").matches(both)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "ends after character 0, where a field: workflow, kind"),
        ("  ", "where a field"),
        ("knd = x", "character 1, “knd”: there is no such field; there are workflow, kind"),
        ("kind", "ends after character 4, where a sign after kind"),
        ("kind =", "ends after character 6, where a value for kind is missing"),
        ("kind = hubspot.nothing", "character 8, “hubspot.nothing”: there is no such kind"),
        ("kind > hubspot.add_note", "character 6, “>”: kind takes =, !=, in"),
        ("confidence in (1)", "character 12, “in”: confidence takes <=, >="),
        ("confidence >= 90", "character 15, “90”: a confidence is a number from 0 to 1, or 90%"),
        ("confidence >= nan", "a confidence is a number"),
        ("age > 1", "character 7, “1”: an age is written as 30m, 1h, 2d or 1w"),
        ("age > -1h", "an age is written"),
        ("age > 9999999w", "an age is written"),
        ("amount < 50", "ends after character 11, where a currency: amount < 50 eur"),
        ("amount < 50 euros", "an amount is written with its currency"),
        ("amount < 0.001 eur", "no whole number of the currency's smallest unit"),
        ("impact = medium", "an impact is low or high"),
        ("age > 1h or age < 2h", "character 10, “or”: here comes and, or the end"),
        ("age > 1h and", "where a condition after and is missing"),
        ("kind in hubspot.add_note", "in takes a list: in (one, another)"),
        ("kind in (hubspot.add_note", "where , or ) is missing"),
        ("kind in (hubspot.add_note hubspot.create_task)", "here comes a comma or )"),
        ("kind = = x", "here comes a value for kind"),
        ("kind = 'x", "nothing can begin like this"),
        ("not kind = x", "there is no such field"),
        ("(kind = x)", "there is no such field"),
        ("__class__ = x", "there is no such field"),
    ],
)
def test_a_mistake_names_its_place(rule: str, said: str) -> None:
    with pytest.raises(RuleError) as error:
        read(rule)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text(max_size=60))
def test_whatever_is_written_is_read_or_refused(rule: str) -> None:
    try:
        found = read(rule)
    except ApprovalError:
        return
    found.matches(NOTE)
    assert not found.matches(REFUND) or "stripe.refund" in rule


def test_the_facts_of_what_waits(ledger: Ledger) -> None:
    desk = Desk(ledger)
    ids = desk.put(reply("Bo@Fabrikam.example"), note(), forms=False, confidence="sure")
    ids += desk.put(refund(), workflow="billing-agent", confidence=0.7, forms=False)
    rows = inbox.waiting(ledger, CARDS)
    found = [inbox.facts(row, desk.action(row.id), utcnow()) for row in rows]
    assert [one.domains for one in found] == [{"fabrikam.example"}, {"northwind.example"}, {"northwind.example"}]
    assert [one.amount for one in found] == [None, None, Money(4_000, "eur")]
    assert [one.confidence for one in found] == [None, None, 0.7]
    assert [one.person for one in found] == [TOM, TOM, KOFI]
    assert all(timedelta(hours=2.9) < one.age < timedelta(hours=3.1) for one in found)
    assert [row.id for row, one in zip(rows, found, strict=True) if read("kind = stripe.refund").matches(one)] == ids[
        2:
    ]

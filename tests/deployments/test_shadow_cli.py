"""`signoff shadow`: at 80 columns, as JSON, and where there is nothing to compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.parser import BytesParser

import pytest
import sqlalchemy as sa

from blocks import connections
from blocks.gmail import Gmail
from blocks.ledger import Ledger, Observation
from blocks.mail import compose_reply
from sandbox.client import Sandbox
from tests.deployments.machinery import Finished
from tests.shadowed import in_shadow

ANN = "ann@northwind.example"
DATE = "Mon, 02 Mar 2026 09:30:00 +0000"


@pytest.fixture
def shadow(in_process: Callable[..., Finished]) -> Callable[..., Finished]:
    """Runs `signoff shadow` as the terminal would."""

    def command(*arguments: str) -> Finished:
        said = in_process("shadow", *arguments)
        if "--json" not in arguments:
            assert all(len(line) <= 80 for line in said.out.splitlines()), said.out
        return said

    return command


@pytest.fixture
def gmail(accounts: Callable[[], None]) -> Gmail:  # noqa: ARG001
    """The inbox's block."""
    block: Gmail = connections.load("gmail/inbox")
    return block


@pytest.fixture
def arrive(sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int]) -> Callable[..., tuple[int, str]]:
    """Lets an e-mail come in, with what the lead triage would do about it; returns its record's and its own number."""

    def come(intent: str = "demo_request", subject: str = "A demo", **changes: str) -> tuple[int, str]:
        there = sandbox.write(sender=ANN, subject=subject, body="Could we?", date=DATE)
        place = {"message_id": there.id, "thread_id": there.thread_id, "rfc822_message_id": there.message_id}
        answer = {"intent": intent, "urgency": "normal", "summary": "A demo.", "reply": "Hello Ann.", "confidence": 0.9}
        number = add_record("done", answer | changes, **place, subject=subject)
        in_shadow(ledger, number)
        return number, there.id

    return come


def archive(gmail: Gmail, message_id: str) -> None:
    gmail.modify_labels(message_id, [], ["INBOX", "UNREAD"])


def reply(gmail: Gmail, message_id: str) -> None:
    there = gmail.get_raw(message_id)
    answered = BytesParser().parsebytes(there.raw)
    raw = compose_reply(
        to=ANN, subject=answered["Subject"], body="Hello Ann.", in_reply_to=answered["Message-ID"], references=()
    )
    gmail.send_draft(gmail.create_draft(raw, there.thread_id))


def test_a_table_then_what_differed_then_what_was_missed(
    shadow: Callable[..., Finished], arrive: Callable[..., tuple[int, str]], gmail: Gmail
) -> None:
    answered, differed, spam, other = (
        arrive(),
        arrive(subject="A demo, and something else in a subject that is far too long for one line of a terminal"),
        arrive("support", urgency="high"),
        arrive("other", subject="Just a question"),
    )
    reply(gmail, answered[1])
    archive(gmail, differed[1])
    archive(gmail, spam[1])
    reply(gmail, other[1])
    said = shadow("lead-triage")
    assert (said.code, said.err) == (0, "")
    assert "lead-triage: its newest 4 records in shadow, 17 actions" in said.out
    table = [line.replace("│", " ").split() for line in said.out.splitlines() if "│" in line]
    assert ["reply", "3", "1", "2", "0", "33%", "100%"] in table
    assert ["Slack", "1", "0", "0", "1", "-", "-"] in table
    assert "Slack: nobody can tell; people tell each other in many places" in said.out
    assert f"would have: Send reply to {ANN}\n       found: it was archived without a reply" in said.out
    after = said.out.partition("What people replied to, and it would not have:")[2]
    assert f"{other[0]}  Just a question  {ANN}" in after
    assert "something else in a subject that is far too long" in said.out
    assert said.out.count("…") == 1


def test_json_has_all_of_it(
    shadow: Callable[..., Finished], arrive: Callable[..., tuple[int, str]], gmail: Gmail
) -> None:
    number, message = arrive()
    archive(gmail, message)
    said = shadow("lead-triage", "--json")
    found = json.loads(said.out)
    assert (found["workflow"], found["records"], found["missed"], found["unreachable"]) == ("lead-triage", 1, [], {})
    counts = {each["kind"]: each for each in found["counts"]}
    assert counts["gmail.send_reply"] == {
        "kind": "gmail.send_reply", "actions": 1, "agreed": 0, "differed": 1, "unknown": 0, "similarity": None,
        "unknowable": None, "agreement": 0.0,
    }  # fmt: skip
    (difference,) = found["differences"]
    assert (difference["record_id"], difference["sender"]) == (number, ANN)
    assert difference["found"] == "it was archived without a reply"


def test_a_vendor_that_is_down_is_named(
    shadow: Callable[..., Finished], arrive: Callable[..., tuple[int, str]], sandbox: Sandbox, gmail: Gmail
) -> None:
    archive(gmail, arrive()[1])
    sandbox.fault("overloaded", "hubspot", times=None)
    said = shadow("lead-triage")
    assert said.code == 0
    assert "HubSpot could not be asked, so what it knows stays unknown:" in said.out
    assert "it was archived without a reply" in said.out


def test_offline_says_that_nobody_was_asked(
    shadow: Callable[..., Finished], arrive: Callable[..., tuple[int, str]], gmail: Gmail, sandbox: Sandbox
) -> None:
    archive(gmail, arrive()[1])
    before = len(sandbox.requests())
    said = shadow("lead-triage", "--offline")
    assert "No vendor was asked: this is what earlier comparisons found." in said.out
    assert len(sandbox.requests()) == before


def test_many_differences_are_counted(
    shadow: Callable[..., Finished], arrive: Callable[..., tuple[int, str]], ledger: Ledger
) -> None:
    for _ in range(5):
        arrive()
    with ledger.write() as session:
        for number in session.scalars(sa.text("SELECT id FROM actions")).all():
            session.add(Observation(action_id=number, agreed=False, found={"what": "\x1b[2Jsomething else"}))
    said = shadow("lead-triage", "--offline")
    assert said.out.count("found: [2Jsomething else") == 20
    assert "... and 5 more (--json has all of them)" in said.out


@pytest.mark.usefixtures("ledger", "accounts")
def test_with_nothing_in_shadow_it_says_how_to_get_there(shadow: Callable[..., Finished]) -> None:
    said = shadow("lead-triage")
    assert said.code == 0
    assert "Nothing of lead-triage is in shadow." in said.out
    assert "signoff stage lead-triage shadow" in said.out
    assert json.loads(shadow("lead-triage", "--json").out)["counts"] == []


@pytest.mark.usefixtures("ledger")
def test_a_workflow_that_is_not_there(shadow: Callable[..., Finished]) -> None:
    said = shadow("lead-triaje")
    assert (said.code, said.out) == (1, "")
    assert "there is no workflow lead-triaje; there are " in said.err
    assert "lead-triage" in said.err


@pytest.mark.usefixtures("ledger")
def test_a_limit_that_is_none(shadow: Callable[..., Finished]) -> None:
    assert "--limit is at least 1" in shadow("lead-triage", "--limit", "0").err

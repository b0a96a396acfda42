"""Replay: what was set aside is put back, read anew and judged anew, and nothing of it is done twice."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.gmail import Gmail
from blocks.ledger import History, Ledger, Record
from blocks.mail import Email, MalformedMail
from flows.lead_triage import CARD
from sandbox.client import Sandbox
from tasks import fetch, quarantine, records
from tasks.checks import Suite, answerable
from tasks.quarantine import QuarantineError
from tasks.run import Run

pytestmark = pytest.mark.both_databases

Begin = Callable[..., AbstractContextManager[Run]]
Take = Callable[..., list[str]]


@pytest.fixture
def take(begin: Begin) -> Take:
    """One run that only takes in mail; returns its notes."""

    def run_once(suite: Suite = answerable) -> list[str]:
        with begin() as run:
            fetch.inbox(run, query="in:inbox", limit=100, suite=suite)
            return run.notes

    return run_once


@pytest.fixture
def the(ledger: Ledger) -> Callable[[], Record]:
    """The only record."""

    def read() -> Record:
        with ledger.read() as session:
            return session.scalars(sa.select(Record)).one()

    return read


def set_aside(ledger: Ledger, **changes: Any) -> None:
    with ledger.write() as session:
        session.execute(sa.update(Record).values({"state": records.QUARANTINED, "reason": "it was odd", **changes}))


def put_back(ledger: Ledger, *ids: int) -> None:
    quarantine.replay(ledger, ids or [1], by="Ann")


def test_malformed_mail_is_read_anew_with_todays_code(
    sandbox: Sandbox, ledger: Ledger, take: Take, the: Callable[[], Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = sandbox.write(sender="ann@northwind.example", subject="Prices", body="How much?")

    def yesterdays(*_: Any, **__: Any) -> Email:
        raise MalformedMail("yesterday's parser did not understand it")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "parse", yesterdays)
        take()
        assert (the().state, the().payload) == ("quarantined", {"message_id": mail.id, "thread_id": mail.thread_id})
        put_back(ledger)
        notes = take()
    assert notes == ["1 replayed records went back to quarantine: malformed: yesterday's parser did not understand it"]
    assert the().state == "quarantined"

    put_back(ledger)
    assert (the().state, the().reason, the().failures) == ("replay", None, 0)
    assert take() == []
    assert (the().state, the().title, the().payload["text"]) == ("fetched", "Prices", "How much?")


def test_what_great_expectations_refused_is_checked_anew(
    sandbox: Sandbox, ledger: Ledger, take: Take, the: Callable[[], Record]
) -> None:
    sandbox.write(sender="ann@northwind.example", subject="", body="")
    take()
    assert "it says nothing" in (the().reason or "")
    put_back(ledger)
    take()
    assert (the().state, "it says nothing" in (the().reason or "")) == ("quarantined", True)
    put_back(ledger)
    take(suite=lambda: answerable()[:1])
    assert (the().state, the().reason) == ("fetched", None)


def test_a_message_that_has_gone_meanwhile_is_taken_from_the_ledger_if_it_is_there(
    sandbox: Sandbox, ledger: Ledger, take: Take, the: Callable[[], Record], gmail: Gmail
) -> None:
    mail = sandbox.write(sender="ann@northwind.example", subject="Prices", body="How much?")
    take()
    set_aside(ledger, answer={"intent": "x"}, context={"contact": None}, failures=8, prompt_version="v")
    gmail.get_client().users().messages().delete(userId="me", id=mail.id).execute()
    put_back(ledger)
    take()
    record = the()
    assert (record.state, record.payload["text"], record.reason) == ("fetched", "How much?", None)
    assert (record.answer, record.context, record.failures, record.prompt_version) == (None, None, 0, None)

    set_aside(ledger, payload={"message_id": mail.id, "thread_id": mail.thread_id})
    put_back(ledger)
    take()
    assert the().state == "quarantined"
    assert the().reason == "its message was deleted, and the ledger holds no more of it than its ids"


def test_a_record_of_another_mailbox_is_not_left_hanging(
    sandbox: Sandbox, ledger: Ledger, take: Take, the: Callable[[], Record]
) -> None:
    sandbox.write(sender="ann@northwind.example", subject="Prices", body="How much?")
    take()
    set_aside(ledger, source="gmail:old@company.example")
    sandbox.reset()
    put_back(ledger)
    take()
    assert (the().state, the().payload["text"]) == ("fetched", "How much?")
    set_aside(ledger, payload={})
    put_back(ledger)
    take()
    assert "in another mailbox than hello@company.example" in (the().reason or "")


def test_mail_that_was_archived_since_is_done_all_the_same_but_not_what_is_in_the_trash(
    sandbox: Sandbox, ledger: Ledger, take: Take, the: Callable[[], Record], gmail: Gmail
) -> None:
    mail = sandbox.write(sender="ann@northwind.example", subject="Prices", body="How much?")
    take()
    set_aside(ledger)
    gmail.modify_labels(mail.id, [], ["INBOX"])
    put_back(ledger)
    take()
    assert the().state == "fetched"
    set_aside(ledger)
    gmail.modify_labels(mail.id, ["TRASH"])
    put_back(ledger)
    take()
    assert (the().state, the().reason) == ("skipped", "it is in the trash")


@pytest.mark.usefixtures("fast_retries")
def test_a_replay_that_cannot_be_read_waits_and_in_the_end_goes_back(
    sandbox: Sandbox, ledger: Ledger, take: Take, the: Callable[[], Record]
) -> None:
    mail = sandbox.write(sender="ann@northwind.example", subject="Prices", body="How much?")
    take()
    set_aside(ledger)
    put_back(ledger)
    sandbox.fault("server_error", "google", f"/messages/{mail.id}", times=None)
    for _ in range(fetch.UNREADABLE_AFTER):
        assert the().state == "replay"
        take()
    assert the().state == "quarantined"
    assert "could not be read in 5 runs" in (the().reason or "")
    assert the().payload["text"] == "How much?"


def test_two_runs_at_once_take_a_replay_up_once(
    sandbox: Sandbox,
    ledger: Ledger,
    take: Take,
    the: Callable[[], Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.write(sender="ann@northwind.example", subject="Prices", body="How much?")
    take()
    set_aside(ledger)
    put_back(ledger)
    read_all = fetch._read_all

    def other_run_first(*arguments: Any) -> fetch.Outcomes:
        monkeypatch.setattr(fetch, "_read_all", read_all)
        take()
        with ledger.write() as session:  # and the other one is faster with everything else, too
            session.execute(sa.update(Record).values(state="prompted"))
        return read_all(*arguments)

    monkeypatch.setattr(fetch, "_read_all", other_run_first)
    take()
    assert the().state == "prompted"


def test_a_source_that_cannot_be_read_anew_begins_with_what_the_ledger_holds(
    ledger: Ledger, add_record: Callable[..., int]
) -> None:
    number = add_record()
    set_aside(ledger, source="stripe:acct_1")
    put_back(ledger, number)
    with ledger.read() as session:
        assert session.get_one(Record, number).state == "fetched"


def test_the_history_tells_who_replayed_what_without_personal_data(
    ledger: Ledger, add_record: Callable[..., int]
) -> None:
    number = add_record()
    set_aside(ledger, reason="hubspot: jo.public@x.example is no address")
    quarantine.replay(ledger, [number], by="Ann")
    with ledger.read() as session:
        row = session.scalars(sa.select(History).where(History.event == "record replayed")).one()
    assert row.subject == f"records/{number}"
    assert row.detail == {"by": "Ann", "reason": "hubspot"}


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("done", "it is done"),
        ("skipped", "it was skipped"),
        ("replay", "it is put back already"),
        ("unread", "tries again by itself"),
        ("gated", "still being worked on"),
        ("fetched", "still being worked on"),
    ],
)
def test_what_is_not_quarantined_is_refused_with_the_way_out(
    ledger: Ledger, add_record: Callable[..., int], state: str, why: str
) -> None:
    good, bad = add_record("quarantined", message_id="m1"), add_record(state, message_id="m2", subject="Prices")
    with pytest.raises(QuarantineError, match=rf"record {bad} \(Prices\) cannot be replayed: it is not.*{why}"):
        quarantine.replay(ledger, [good, bad], by="Ann")
    with ledger.read() as session:
        assert session.get_one(Record, good).state == "quarantined"  # all of them, or none
        assert not session.scalar(sa.select(sa.func.count()).select_from(History).where(History.event.like("%replay%")))


def test_what_was_redacted_is_refused(ledger: Ledger, add_record: Callable[..., int]) -> None:
    number = add_record("quarantined")
    set_aside(ledger, redacted_at=datetime(2026, 11, 1, tzinfo=UTC))
    with pytest.raises(QuarantineError, match=r"its content was redacted on 01 Nov 2026; nothing is left"):
        quarantine.replay(ledger, [number], by="Ann")


def test_what_does_not_exist_is_refused(ledger: Ledger) -> None:
    with pytest.raises(QuarantineError, match="no record 7, 9: see signoff quarantine list"):
        quarantine.replay(ledger, [7, 9], by="Ann")
    with pytest.raises(QuarantineError, match="no record 7"):
        quarantine.record(ledger, 7)


def test_the_list_can_be_narrowed(ledger: Ledger, add_record: Callable[..., int]) -> None:
    one = add_record("quarantined", message_id="m1")
    set_aside(ledger, reason="Malformed: 100% odd")
    two = add_record("quarantined", message_id="m2")
    add_record("done", message_id="m3")
    assert [r.id for r in quarantine.held(ledger)] == [one, two]
    assert [r.id for r in quarantine.held(ledger, reason="malformed")] == [one]
    assert [r.id for r in quarantine.held(ledger, reason="%")] == [one]
    assert quarantine.held(ledger, workflow="billing") == []
    assert [r.id for r in quarantine.held(ledger, workflow=CARD.workflow)] == [one, two]

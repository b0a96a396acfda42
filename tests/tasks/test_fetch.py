"""Intake: each e-mail enters once, whatever is interrupted; what cannot be used is set aside with the reason."""

import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.connections import MissingCredential
from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.ledger import Cursor, Ledger, Record
from blocks.vendor import VendorError
from flows.lead_triage import CARD, sender_of
from flows.support_answer import CARD as SUPPORT
from flows.support_answer import LABEL
from sandbox.client import Sandbox
from tasks import fetch, quarantine
from tasks.checks import Suite, answerable
from tasks.run import Run

Begin = Callable[..., AbstractContextManager[Run]]
MAILBOX = "hello@company.example"

DIE_BEFORE_THE_COMMIT = """
import os, signal
from flows.lead_triage import CARD
from tasks import fetch
from tasks.run import begin
with begin(CARD) as run:
    fetch.inbox(run, query="in:inbox", limit=10, suite=lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


class Interrupted(Exception):
    """Stands for any crash."""


@pytest.fixture
def take(begin: Begin) -> Callable[..., tuple[list[int], list[str]]]:
    """One run that only takes in mail; returns the claimed records and the run's notes."""

    def run_once(limit: int = 100, suite: Suite = answerable, **changes: object) -> tuple[list[int], list[str]]:
        with begin(**changes) as run:
            return fetch.inbox(run, query="in:inbox", limit=limit, suite=suite), run.notes

    return run_once


@pytest.fixture
def taken(ledger: Ledger) -> Callable[[], list[str]]:
    """The titles of all records, as they came in."""

    def read() -> list[str]:
        with ledger.read() as session:
            return list(session.scalars(sa.select(Record.title).order_by(Record.id)))

    return read


@pytest.fixture
def before_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Does something between the listing of the messages and the reading of them."""
    read_all = fetch._read_all

    def do(something: Callable[[], object]) -> None:
        def first(gmail: Gmail, ids: Sequence[str]) -> fetch.Outcomes:
            monkeypatch.setattr(fetch, "_read_all", read_all)
            something()
            return read_all(gmail, ids)

        monkeypatch.setattr(fetch, "_read_all", first)

    return do


def write(sandbox: Sandbox, *subjects: str) -> None:
    for subject in subjects:
        sandbox.write(sender="ann@northwind.example", subject=subject, body="Could we see a demo?")


def only(ledger: Ledger, title: str) -> Record:
    with ledger.read() as session:
        return session.scalars(sa.select(Record).where(Record.title == title)).one()


def test_each_message_enters_once_across_runs(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    write(sandbox, "one", "two")
    first, _ = take()
    write(sandbox, "three")
    second, _ = take()
    take()
    assert taken() == ["one", "two", "three"]
    assert (first, second) == ([1, 2], [1, 2, 3])  # what nobody finished is claimed again


@pytest.mark.both_databases
def test_two_runs_that_read_the_same_inbox_at_once_take_each_message_once(
    sandbox: Sandbox,
    take: Callable[..., Any],
    taken: Callable[[], list[str]],
    before_reading: Callable[[Callable[[], object]], None],
) -> None:
    write(sandbox, "one", "two")
    before_reading(take)
    take()
    assert taken() == ["one", "two"]


@pytest.mark.usefixtures("ledger")
def test_a_crash_before_the_commit_neither_loses_nor_repeats(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    write(sandbox, "one", "two")

    def crash() -> Any:
        raise Interrupted

    with pytest.raises(Interrupted):
        take(suite=crash)
    assert taken() == []
    take()
    take()
    assert taken() == ["one", "two"]


@pytest.mark.both_databases
def test_a_crash_inside_the_transaction_stores_neither_records_nor_cursor(
    sandbox: Sandbox,
    ledger: Ledger,
    take: Callable[..., Any],
    taken: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take()
    with ledger.read() as session:
        before = session.scalars(sa.select(Cursor.value)).one()
    write(sandbox, "one")
    insert = fetch._insert_new

    def insert_and_crash(*arguments: Any) -> None:
        insert(*arguments)
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_insert_new", insert_and_crash)
        with pytest.raises(Interrupted):
            take()
    assert taken() == []
    with ledger.read() as session:
        assert session.scalars(sa.select(Cursor.value)).one() == before
    take()
    assert taken() == ["one"]


@pytest.mark.both_databases
@pytest.mark.usefixtures("accounts", "ledger")
def test_a_process_killed_before_the_commit_neither_loses_nor_repeats(
    sandbox: Sandbox,
    elsewhere: Callable[[str], "subprocess.CompletedProcess[str]"],
    take: Callable[..., Any],
    taken: Callable[[], list[str]],
) -> None:
    write(sandbox, "one", "two")
    died = elsewhere(DIE_BEFORE_THE_COMMIT)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert sandbox.requests("google"), "it died before it had read anything"
    assert taken() == []
    take()
    take()
    assert taken() == ["one", "two"]


def test_an_expired_history_is_said_and_the_inbox_read_in_full_without_doubles(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    write(sandbox, "one", "two")
    take()
    sandbox.forget_gmail_history()
    write(sandbox, "three")
    _, notes = take()
    assert taken() == ["one", "two", "three"]
    assert any("history had expired" in note for note in notes)
    write(sandbox, "four")
    _, notes = take()
    assert taken() == ["one", "two", "three", "four"]
    assert notes == []


@pytest.mark.parametrize("synced_before", [False, True])
def test_a_limit_leaves_the_rest_to_the_next_runs_and_loses_nothing(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]], synced_before: bool
) -> None:
    if synced_before:
        take()
    subjects = ["one", "two", "three", "four", "five"]
    write(sandbox, *subjects)
    ids, notes = take(limit=2)
    assert taken() == subjects[:2]
    assert len(ids) == 2
    assert notes == ["3 more e-mails wait in the inbox (limit 2 a run)"]
    take(limit=2)
    _, notes = take(limit=2)
    assert taken() == subjects
    assert notes == []


def test_a_limit_counts_what_earlier_runs_left_unfinished(
    sandbox: Sandbox, add_record: Callable[..., int], take: Callable[..., Any]
) -> None:
    left = [add_record("prompted", message_id=f"old{n}") for n in range(2)]
    write(sandbox, "one", "two")
    ids, _ = take(limit=3)
    assert ids[:2] == left
    assert len(ids) == 3


def test_finished_records_are_not_claimed(add_record: Callable[..., int], begin: Begin) -> None:
    for number, state in enumerate(("done", "skipped", "quarantined")):
        add_record(state, message_id=f"m{number}")
    wanted = [add_record(state, message_id=state) for state in ("fetched", "prompted", "validated", "gated")]
    with begin() as run:
        assert fetch.claim(run, 10) == wanted


def test_what_cannot_be_used_is_set_aside_with_the_reason_and_the_rest_goes_on(
    sandbox: Sandbox, ledger: Ledger, take: Callable[..., Any]
) -> None:
    write(sandbox, "good")
    sandbox.deliver(b"\r\n\r\n")
    sandbox.deliver(b"From: nobody in particular\r\nSubject: no sender\r\n\r\nHello there")
    sandbox.deliver(b"From: quiet@x.example\r\nSubject: \r\n\r\n\r\n")
    ids, _ = take()
    assert ids == [only(ledger, "good").id]
    expected = {
        "(unreadable)": "malformed: neither sender, subject nor text can be read",
        "no sender": "it has no sender that could be answered",
        "(no subject)": "it says nothing: no subject and no text",
    }
    for title, reason in expected.items():
        record = only(ledger, title)
        assert record.state == "quarantined"
        assert record.reason is not None
        assert reason in record.reason


@pytest.mark.usefixtures("ledger")
def test_an_e_mail_with_only_a_subject_or_only_a_text_is_taken(sandbox: Sandbox, take: Callable[..., Any]) -> None:
    sandbox.write(sender="a@x.example", subject="Call me about a demo", body="")
    sandbox.write(sender="a@x.example", subject="", body="Call me about a demo")
    assert len(take()[0]) == 2


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (
            b"From: ann@x.example\r\nSubject: Away\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.",
            "auto-reply: not written by a person to us",
        ),
        (
            b"From: mailer-daemon@x.example\r\nReturn-Path: <>\r\nSubject: Undelivered\r\n\r\nNo such user.",
            "bounce: not written by a person to us",
        ),
        (
            b"From: news@x.example\r\nSubject: Weekly\r\nList-Unsubscribe: <https://x.example/u>\r\n\r\nNews!",
            "newsletter: not written by a person to us",
        ),
        (b"From: Hello@Company.example\r\nSubject: Note to self\r\n\r\nHi me", "our own mail"),
    ],
    ids=["auto-reply", "bounce", "newsletter", "our own"],
)
def test_what_no_person_wrote_to_us_is_skipped(
    sandbox: Sandbox, ledger: Ledger, take: Callable[..., Any], raw: bytes, why: str
) -> None:
    sandbox.deliver(raw)
    assert take()[0] == []
    with ledger.read() as session:
        record = session.scalars(sa.select(Record)).one()
    assert (record.state, record.reason) == ("skipped", why)


def test_a_message_deleted_between_list_and_read_is_left_out(
    sandbox: Sandbox,
    gmail: Gmail,
    take: Callable[..., Any],
    taken: Callable[[], list[str]],
    before_reading: Callable[[Callable[[], object]], None],
) -> None:
    write(sandbox, "stays")
    gone = sandbox.write(sender="ann@x.example", subject="goes", body="Bye")
    before_reading(gmail.get_client().users().messages().delete(userId="me", id=gone.id).execute)
    take()
    assert taken() == ["stays"]
    write(sandbox, "later")
    take()
    assert taken() == ["stays", "later"]


def test_a_message_that_somebody_took_out_of_the_inbox_is_left_alone(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    take: Callable[..., Any],
    before_reading: Callable[[Callable[[], object]], None],
) -> None:
    moved = sandbox.write(sender="ann@x.example", subject="archived", body="Bye")
    before_reading(lambda: gmail.modify_labels(moved.id, [], ["INBOX"]))
    assert take()[0] == []
    assert only(ledger, "archived").state == "skipped"


@pytest.mark.usefixtures("fast_retries")
@pytest.mark.parametrize("kind", ["rate_limited", "server_error", "bad_gateway", "reset"])
def test_a_vendor_that_fails_for_a_moment_is_asked_again(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]], kind: Any
) -> None:
    write(sandbox, "one", "two", "three")
    sandbox.fault(kind, "google", "/messages", times=2)
    take()
    assert sum(call["fault"] == kind for call in sandbox.requests("google")) == 2
    assert sorted(taken()) == ["one", "three", "two"]
    write(sandbox, "four")
    take()
    assert len(taken()) == 4


@pytest.mark.usefixtures("fast_retries")
def test_a_vendor_that_stays_down_is_given_up_after_three_retries_and_nothing_is_lost(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    write(sandbox, "one")
    sandbox.fault("server_error", "google", "/messages", times=None)
    with pytest.raises(VendorError, match=r"gmail: .*500"):
        take()
    assert sum(call["fault"] == "server_error" for call in sandbox.requests("google")) == 4
    sandbox.clear_faults()
    take()
    assert taken() == ["one"]


@pytest.mark.usefixtures("fast_retries")
def test_one_message_that_cannot_be_read_is_made_up_for_later_and_the_others_go_on(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    write(sandbox, "one", "three")
    bad = sandbox.write(sender="ann@northwind.example", subject="two", body="Hi")
    sandbox.fault("server_error", "google", f"/messages/{bad.id}", times=None)
    assert len(take()[0]) == 2
    assert taken() == ["one", "three", "(not read yet)"]
    sandbox.clear_faults()
    ids, notes = take()
    assert taken() == ["one", "three", "two"]
    assert (len(ids), notes) == (3, [])


@pytest.mark.usefixtures("fast_retries")
@pytest.mark.parametrize("kind", ["bad_request", "server_error"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_message_that_can_never_be_read_holds_nothing_up_and_is_set_aside_in_the_end(
    sandbox: Sandbox,
    ledger: Ledger,
    take: Callable[..., Any],
    taken: Callable[[], list[str]],
    kind: Any,
    alone: bool,
) -> None:
    take()
    with ledger.read() as session:
        before = session.scalars(sa.select(Cursor.value)).one()
    bad = sandbox.write(sender="ann@northwind.example", subject="two", body="Hi")
    if not alone:
        write(sandbox, "one")
    sandbox.fault(kind, "google", f"/messages/{bad.id}", times=None)
    _, notes = take()
    assert notes == ["1 e-mail could not be read; the next runs try again: signoff ledger show"]
    with ledger.read() as session:
        assert session.scalars(sa.select(Cursor.value)).one() != before
    first = sum(call["fault"] == kind for call in sandbox.requests("google"))
    for _ in range(fetch.UNREADABLE_AFTER - 2):
        take()
    waits = only(ledger, "(not read yet)")
    assert (waits.state, waits.failures) == ("unread", fetch.UNREADABLE_AFTER - 1)
    assert (waits.reason or "").startswith("will be read again: gmail: GET")
    take()
    aside = only(ledger, "(not read yet)")
    assert (aside.state, aside.external_id) == ("quarantined", bad.id)
    assert (aside.reason or "").startswith(
        f"its message could not be read in {fetch.UNREADABLE_AFTER} runs: gmail: GET"
    )
    later = sum(call["fault"] == kind for call in sandbox.requests("google"))
    assert later == first + fetch.UNREADABLE_AFTER - 1  # once a run: nobody waits for its retries any more
    write(sandbox, "three")
    take()
    assert taken()[-1] == "three"


@pytest.mark.usefixtures("fast_retries")
def test_an_outage_is_no_messages_fault(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    write(sandbox, "one", "two")
    sandbox.fault("server_error", "google", "/messages/", times=None)
    for _ in range(fetch.UNREADABLE_AFTER + 1):
        with pytest.raises(VendorError, match="500"):
            take()
    assert taken() == []
    sandbox.clear_faults()
    take()
    assert taken() == ["one", "two"]


def test_mail_that_a_person_rescues_from_spam_comes_in_once(
    sandbox: Sandbox, gmail: Gmail, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    take()
    spam = sandbox.write(sender="ann@northwind.example", subject="rescued", body="A demo?", label="SPAM")
    write(sandbox, "one")
    take()
    assert taken() == ["one"]
    gmail.modify_labels(spam.id, ["INBOX"], ["SPAM"])
    take()
    gmail.modify_labels(spam.id, [], ["INBOX"])
    gmail.modify_labels(spam.id, ["INBOX"])
    take()
    assert taken() == ["one", "rescued"]


def test_a_label_of_ones_own_is_no_arrival(
    sandbox: Sandbox, gmail: Gmail, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    old = sandbox.write(
        sender="ann@northwind.example", subject="old", body="Hi", date="Mon, 02 Mar 2020 09:00:00 +0000"
    )
    take()
    assert taken() == []
    gmail.modify_labels(old.id, [gmail.ensure_label("Mine")])
    take()
    assert taken() == []


def test_a_contact_batch_with_one_bad_address_sets_aside_only_its_record(
    sandbox: Sandbox, hubspot: HubSpot, ledger: Ledger, add_record: Callable[..., int], begin: Begin
) -> None:
    hubspot.upsert_contact("ann@northwind.example", {"firstname": "Ann"})
    good = add_record(message_id="m1", sender="ann@northwind.example")
    other = add_record(message_id="m2", sender="bob@nowhere.example")
    bad = add_record(message_id="m3", sender="odd@x.example", subject="bad")
    sandbox.fault("bad_request", "hubspot", "contacts/batch/read", body="odd@x.example", times=None)
    with begin() as run:
        fetch.contacts(run, [good, other, bad], sender_of)
    with ledger.read() as session:
        rows = {r.id: r for r in session.scalars(sa.select(Record))}
    assert ((rows[good].context or {})["contact"]["firstname"], rows[good].state) == ("Ann", "fetched")
    assert (rows[other].context, rows[other].state) == ({"contact": None}, "fetched")
    assert rows[bad].state == "quarantined"
    assert (rows[bad].reason or "").startswith("hubspot: POST /hubspot/crm/v3/objects/contacts/batch/read: 400 Invalid")


def test_a_contact_request_that_is_wrong_as_such_blames_nobody(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], begin: Begin
) -> None:
    add_record()
    sandbox.fault("bad_request", "hubspot", "contacts/batch/read", times=None)
    with pytest.raises(VendorError, match="400"), begin() as run:
        fetch.contacts(run, [1], sender_of)
    assert only(ledger, "A demo").state == "fetched"


def test_a_wait_that_is_too_long_is_left_to_the_next_run(
    sandbox: Sandbox, take: Callable[..., Any], taken: Callable[[], list[str]]
) -> None:
    write(sandbox, "one")
    sandbox.fault("rate_limited", "google", "/messages", retry_after=3600)
    with pytest.raises(VendorError, match="429"):
        take()
    assert sum(call["fault"] == "rate_limited" for call in sandbox.requests("google")) == 1
    take()
    assert taken() == ["one"]


@pytest.mark.usefixtures("fast_retries")
def test_a_dead_connection_is_not_tried_again(sandbox: Sandbox, take: Callable[..., Any]) -> None:
    sandbox.fault("invalid_grant", times=None)
    sandbox.expire_google_tokens()
    with pytest.raises(VendorError, match="gmail: ") as caught:
        take()
    assert caught.value.permanent
    assert len([c for c in sandbox.requests("google") if c["path"].endswith("/token")]) == 1


def test_a_missing_credential_is_named_with_the_way_out(take: Callable[..., Any]) -> None:
    reads = tuple(line.model_copy(update={"credential": "gmail/nobody"}) for line in CARD.reads[:1])
    with pytest.raises(MissingCredential, match=r"no credential gmail/nobody.*`signoff connect gmail/nobody` makes it"):
        take(reads=reads)


def test_a_card_without_the_credential_is_told_so(take: Callable[..., Any]) -> None:
    with pytest.raises(MissingCredential, match="the card of lead-triage names no gmail credential"):
        take(reads=CARD.reads[1:], writes=CARD.writes[2:])


def test_what_the_crm_knows_of_the_senders_is_kept_with_each_record_in_one_call(
    sandbox: Sandbox, hubspot: HubSpot, ledger: Ledger, add_record: Callable[..., int], begin: Begin
) -> None:
    hubspot.upsert_contact("ann@northwind.example", {"firstname": "Ann", "company": "Northwind"})
    known = add_record(message_id="m1", sender="Ann@Northwind.example")
    unknown = add_record(message_id="m2", sender="bob@nowhere.example")
    form = add_record(message_id="m3", sender="forms@x.example", reply_to="ann@northwind.example")
    before = len(sandbox.requests("hubspot"))
    with begin() as run:
        fetch.contacts(run, [known, unknown, form], sender_of)
        fetch.contacts(run, [known, unknown, form], sender_of)
    assert len(sandbox.requests("hubspot")) == before + 1
    with ledger.read() as session:
        contexts = {r.id: r.context for r in session.scalars(sa.select(Record))}
    assert contexts[unknown] == {"contact": None}
    for number in (known, form):
        assert (contexts[number] or {})["contact"]["company"] == "Northwind"


@pytest.mark.usefixtures("fast_retries")
def test_a_crm_that_is_down_leaves_the_records_where_they_are(
    sandbox: Sandbox, ledger: Ledger, add_record: Callable[..., int], begin: Begin
) -> None:
    number = add_record()
    sandbox.fault("server_error", "hubspot", times=None)
    with pytest.raises(VendorError, match="hubspot"), begin() as run:
        fetch.contacts(run, [number], sender_of)
    assert only(ledger, "A demo").state == "fetched"


# By label


@pytest.fixture
def take_labelled(begin: Begin) -> Callable[..., tuple[list[int], list[str]]]:
    """One run of the support answers that only takes in what carries their label."""

    def run_once(limit: int = 100) -> tuple[list[int], list[str]]:
        with begin(SUPPORT) as run:
            return fetch.labelled(run, LABEL, limit=limit, suite=answerable), run.notes

    return run_once


@pytest.fixture
def put_label(gmail: Gmail) -> Callable[..., str]:
    """Puts a label on messages, making it when there is none; returns its id."""

    def put(*ids: str, label: str = LABEL) -> str:
        number = gmail.ensure_label(label)
        for message_id in ids:
            gmail.modify_labels(message_id, [number])
        return number

    return put


def test_what_carries_the_label_is_taken_once_wherever_it_lies_and_nothing_else(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    take_labelled: Callable[..., Any],
    taken: Callable[[], list[str]],
    put_label: Callable[..., str],
) -> None:
    assert take_labelled() == ([], [])  # there is no such label yet
    mails = {name: sandbox.write(sender="ann@x.example", subject=name, body="Why?") for name in ("in", "out", "none")}
    old = sandbox.write(sender="ann@x.example", subject="old", body="Why?", date="Mon, 02 Mar 2020 09:00:00 +0000")
    bin_, spam = (sandbox.write(sender="ann@x.example", subject=name, body="Why?") for name in ("bin", "spam"))
    put_label(mails["in"].id, mails["out"].id, old.id, bin_.id, spam.id)
    put_label(mails["none"].id, label="Support/Old")
    gmail.modify_labels(mails["out"].id, [], ["INBOX", "UNREAD"])
    gmail.modify_labels(bin_.id, ["TRASH"], ["INBOX"])
    gmail.modify_labels(spam.id, ["SPAM"], ["INBOX"])
    first, notes = take_labelled()
    assert (taken(), notes) == (["in", "out"], [])
    put_label(mails["none"].id)  # whenever a person puts it there
    assert (take_labelled()[0], taken()) == ([*first, 3], ["in", "out", "none"])
    with ledger.read() as session:
        assert session.scalars(sa.select(Cursor)).all() == []


@pytest.mark.parametrize(
    ("add", "remove", "why"),
    [
        ([], [LABEL], "somebody has taken the label Support off it"),
        (["TRASH"], [], "it is in the trash"),
        (["SPAM"], [LABEL], "it is in spam"),
    ],
)
def test_what_a_person_took_away_before_it_was_read_is_skipped_with_the_reason(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    take_labelled: Callable[..., Any],
    put_label: Callable[..., str],
    before_reading: Callable[[Callable[[], object]], None],
    add: list[str],
    remove: list[str],
    why: str,
) -> None:
    mail = sandbox.write(sender="ann@x.example", subject="changed", body="Why?")
    support = put_label(mail.id)
    before_reading(lambda: gmail.modify_labels(mail.id, add, [support for _ in remove]))
    assert take_labelled()[0] == []
    assert (only(ledger, "changed").state, only(ledger, "changed").reason) == ("skipped", why)


def test_labelled_mail_that_no_person_wrote_to_us_is_skipped(
    sandbox: Sandbox, ledger: Ledger, take_labelled: Callable[..., Any], put_label: Callable[..., str]
) -> None:
    ours = sandbox.write(sender=MAILBOX, subject="ours", body="Hello Ann")
    away = sandbox.deliver(b"From: ann@x.example\r\nSubject: away\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.")
    put_label(ours.id, away.id)
    assert take_labelled()[0] == []
    assert only(ledger, "ours").reason == "our own mail"
    assert (only(ledger, "away").reason or "").startswith("auto-reply")


def test_a_limit_on_labelled_mail_leaves_the_newest_to_the_next_runs(
    sandbox: Sandbox, take_labelled: Callable[..., Any], taken: Callable[[], list[str]], put_label: Callable[..., str]
) -> None:
    subjects = ["one", "two", "three"]
    put_label(*(sandbox.write(sender="ann@x.example", subject=subject, body="Why?").id for subject in subjects))
    assert take_labelled(limit=2)[1] == ["1 more e-mails wait in the inbox (limit 2 a run)"]
    assert taken() == subjects[:2]
    take_labelled(limit=3)
    assert taken() == subjects


def test_a_replayed_e_mail_is_taken_though_its_label_is_gone(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    take_labelled: Callable[..., Any],
    put_label: Callable[..., str],
) -> None:
    mail = sandbox.write(sender="ann@x.example", subject="again", body="Why?")
    support = put_label(mail.id)
    (number,), _ = take_labelled()
    gmail.modify_labels(mail.id, [], [support, "INBOX"])
    with ledger.write() as session:
        session.execute(sa.update(Record).values(state="quarantined", reason="the model was wrong"))
    quarantine.replay(ledger, [number], by="Mara")
    assert take_labelled()[0] == [number]
    assert only(ledger, "again").state == "fetched"


def test_what_is_labelled_for_another_workflow_is_left_to_it(
    sandbox: Sandbox, ledger: Ledger, begin: Begin, put_label: Callable[..., str]
) -> None:
    def take(unless: str) -> list[int]:
        with begin() as run:
            return fetch.inbox(run, query="in:inbox", limit=10, suite=answerable, unless=(unless,))

    write(sandbox, "before")
    assert len(take("Support")) == 1  # as long as nobody has made the label
    mails = [sandbox.write(sender="ann@x.example", subject=name, body="Why?") for name in ("theirs", "ours")]
    put_label(mails[0].id, label="support")
    asked = len(sandbox.requests("google"))
    assert len(take("SUPPORT")) == 2
    names = [call["path"] for call in sandbox.requests("google")[asked:] if call["path"].endswith("/labels")]
    assert len(names) == 1
    assert only(ledger, "ours").state == "fetched"
    record = only(ledger, "theirs")
    assert (record.state, record.reason) == ("skipped", "labelled SUPPORT: another workflow's")

"""Tickets: each new one enters once, oldest first, and what cannot be answered is set aside with the reason."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.ledger import Action as ActionRow
from blocks.ledger import Ledger, Receipt, Record
from blocks.mail import compose_reply
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from flows.support_answer import CARD, NEW, asked, asker, question
from sandbox.client import Delivered, Sandbox
from tasks import fetch, performers, quarantine, tickets
from tasks.act import Approved
from tasks.actions import Action, SendReply, UpdateTicket
from tasks.checks import answerable
from tasks.run import Run
from tasks.tickets import SOURCE, AskedByTicket
from tests.answering import open_ticket

pytestmark = pytest.mark.usefixtures("sandbox")

Begin = Callable[..., AbstractContextManager[Run]]
Take = Callable[..., tuple[list[int], list[str]]]
Allow = Callable[..., Approved]
Do = Callable[[Approved], None]
Resume = Callable[[], list[str]]
ANN = "ann@northwind.example"


@pytest.fixture
def take(begin: Begin) -> Take:
    """One run that only takes in tickets; returns the claimed records and the run's notes."""

    def once(limit: int = 100, stage: str = NEW) -> tuple[list[int], list[str]]:
        with begin(CARD) as run:
            return tickets.new(run, stage=stage, limit=limit, suite=answerable), run.notes

    return once


def rows(ledger: Ledger) -> list[Record]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Record).order_by(Record.id)))


def titles(ledger: Ledger) -> list[str]:
    return [row.title for row in rows(ledger)]


def test_a_new_ticket_enters_once_with_all_that_is_asked(ledger: Ledger, hubspot: HubSpot, take: Take) -> None:
    number = open_ticket(
        hubspot, "Ann@Northwind.example", content="They are <b>cut</b> off.<p>Why?", createdate="2026-11-02T09:00:00Z"
    )
    (first,), notes = take()
    assert (notes, take()[0]) == ([], [first])  # what nobody finished is claimed again
    (record,) = rows(ledger)
    identity = (record.workflow, record.source, record.external_id, record.version)
    assert identity == ("support-answer", SOURCE, number, "1")
    assert (record.title, record.state, record.reason) == ("Labels", "fetched", None)
    ticket = asked(record)
    assert isinstance(ticket, AskedByTicket)
    assert (ticket.ticket_id, ticket.sender) == (number, ANN)
    assert " ".join(ticket.text.split()) == "They are cut off. Why?"
    assert ticket.sent_at == datetime(2026, 11, 2, 9, tzinfo=UTC)
    assert asker(record) == ANN
    assert question(record) == f"Labels\n{ticket.text}"


def test_what_was_taken_is_not_read_again_whatever_becomes_of_it(ledger: Ledger, hubspot: HubSpot, take: Take) -> None:
    number = open_ticket(hubspot, ANN)
    take()
    api = hubspot.get_client().crm.tickets.basic_api
    api.update(number, {"properties": {"subject": "Never mind"}})
    take()
    api.update(number, {"properties": {"hs_pipeline_stage": "2"}})
    take()
    api.archive(number)
    assert len(take()[0]) == 1
    assert titles(ledger) == ["Labels"]


def test_only_the_stage_in_which_nobody_has_answered_is_looked_at(ledger: Ledger, hubspot: HubSpot, take: Take) -> None:
    for stage in "1234":
        open_ticket(hubspot, ANN, subject=f"stage {stage}", hs_pipeline_stage=stage)
    take()
    assert titles(ledger) == ["stage 1"]
    take(stage="3")
    assert titles(ledger) == ["stage 1", "stage 3"]


def test_a_limit_takes_the_oldest_and_leaves_the_rest_to_the_next_runs(
    ledger: Ledger, hubspot: HubSpot, take: Take
) -> None:
    for day in (4, 1, 3, 2, 5):
        open_ticket(hubspot, ANN, subject=f"day {day}", createdate=f"2026-11-0{day}T09:00:00Z")
    ids, notes = take(limit=2)
    assert titles(ledger) == ["day 1", "day 2"]
    assert (len(ids), notes) == (2, ["3 more tickets wait (limit 2 a run)"])
    take(limit=2)
    assert take(limit=2)[1] == []
    assert titles(ledger) == [f"day {day}" for day in (1, 2, 3, 4, 5)]


def test_what_cannot_be_answered_is_set_aside_with_the_reason_and_the_rest_goes_on(
    ledger: Ledger, hubspot: HubSpot, take: Take
) -> None:
    silent = hubspot.get_client().crm.contacts.basic_api.create({"properties": {"firstname": "Silent"}}).id
    assert silent
    open_ticket(hubspot, subject="Nobody's")
    open_ticket(hubspot, ANN, subject="", content=" <br> ")
    open_ticket(hubspot, ANN, subject="Long", content="x" * 200_001)
    good = [open_ticket(hubspot, ANN, subject="Only a subject", content=""), open_ticket(hubspot, ANN, subject="")]
    ids, _ = take()
    told = {row.title: (row.state, row.reason) for row in rows(ledger) if row.external_id not in good}
    assert told == {
        "Nobody's": ("quarantined", "it has no sender that could be answered"),
        "(no subject)": ("quarantined", "it says nothing: no subject and no text"),
        "Long": ("quarantined", "its text is longer than 200,000 characters"),
    }
    assert [row.external_id for row in rows(ledger) if row.id in ids] == good


def test_of_several_contacts_the_first_is_answered(ledger: Ledger, hubspot: HubSpot, take: Take) -> None:
    number = open_ticket(hubspot, ANN)
    bob = hubspot.upsert_contact("bob@northwind.example", {})
    hubspot.get_client().crm.associations.v4.basic_api.create_default("tickets", number, "contacts", bob)
    take()
    assert asker(rows(ledger)[0]) == ANN


def test_e_mails_and_tickets_are_claimed_together_and_the_limit_counts_both(
    ledger: Ledger, hubspot: HubSpot, add_question: Callable[..., int], take: Take
) -> None:
    mail = add_question()
    for number in range(3):
        open_ticket(hubspot, ANN, subject=f"ticket {number}")
    ids, _ = take(limit=2)
    assert ids[0] == mail
    assert len(ids) == 2
    assert len(rows(ledger)) == 3  # taken in, though not all of them claimed
    assert len(take()[0]) == 4


def test_a_ticket_of_the_same_number_as_an_e_mail_is_another_record(
    ledger: Ledger, hubspot: HubSpot, add_question: Callable[..., int], take: Take
) -> None:
    number = open_ticket(hubspot, ANN)
    mail = add_question(message_id=number)
    assert len(take()[0]) == 2
    assert {(row.source, row.external_id) for row in rows(ledger)} == {
        (SOURCE, number), ("gmail:hello@company.example", number),
    }  # fmt: skip
    assert rows(ledger)[0].id == mail


@pytest.mark.both_databases
def test_two_runs_that_look_at_once_take_each_ticket_once(
    ledger: Ledger, hubspot: HubSpot, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ticket(hubspot, ANN)
    unknown = fetch.unknown

    def meanwhile(*arguments: Any) -> list[str]:
        found = unknown(*arguments)
        monkeypatch.setattr(tickets, "unknown", unknown)
        take()
        return found

    monkeypatch.setattr(tickets, "unknown", meanwhile)
    take()
    assert titles(ledger) == ["Labels"]


@pytest.mark.usefixtures("fast_retries")
def test_a_crm_that_is_down_loses_nothing(
    sandbox: Sandbox, ledger: Ledger, hubspot: HubSpot, add_question: Callable[..., int], take: Take
) -> None:
    open_ticket(hubspot, ANN)
    waiting = add_question()
    sandbox.fault("server_error", "hubspot", "*/tickets", times=3)
    assert len(take()[0]) == 2
    open_ticket(hubspot, ANN, subject="Another")
    sandbox.fault("server_error", "hubspot", "*/tickets", times=None)
    with pytest.raises(VendorError, match="hubspot"):
        take()
    assert {row.state for row in rows(ledger)} == {"fetched"}
    assert {row.run_id for row in rows(ledger)} == {None}
    sandbox.clear_faults()
    ids, _ = take()
    assert (ids[0], len(ids)) == (waiting, 3)


def test_a_field_that_is_gone_stops_the_run_and_nothing_is_taken(
    sandbox: Sandbox, ledger: Ledger, hubspot: HubSpot, take: Take
) -> None:
    open_ticket(hubspot, ANN)
    sandbox.fault("renamed_field", "hubspot", "*/tickets", rename={"content": "description"})
    with pytest.raises(SchemaDrift, match="content"):
        take()
    assert rows(ledger) == []
    assert len(take()[0]) == 1


def test_a_replayed_ticket_begins_again_with_what_the_ledger_holds(
    ledger: Ledger, hubspot: HubSpot, take: Take, add_question: Callable[..., int]
) -> None:
    aside = add_question("quarantined", ticket="77", context={"library": [], "contact": None})
    quarantine.replay(ledger, [aside], by="Mara")
    hubspot.upsert_contact(ANN, {})
    assert take()[0] == [aside]
    (record,) = rows(ledger)
    assert (record.state, record.reason, record.context) == ("fetched", None, None)
    assert asked(record).text == "The labels are cut off."


# What is done about them

DIE_BETWEEN_DRAFT_AND_SEND = """
import os, signal
from blocks.gmail import Gmail
from blocks.ledger import Ledger
from tasks import act
from tasks.run import alive
Gmail.send_draft = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ledger = Ledger.open()
with alive(ledger, "lead-triage", "gated") as run_id:
    act.do(ledger, run_id, act.Approved({action}, {decision}))
"""


def action_of(ledger: Ledger, approved: Approved) -> ActionRow:
    with ledger.read() as session:
        return session.get_one(ActionRow, approved.action_id)


def found(ledger: Ledger) -> list[bool]:
    """Of each receipt, whether what it tells of was found to be done already."""
    with ledger.read() as session:
        return list(session.scalars(sa.select(Receipt.found).order_by(Receipt.id)))


@pytest.fixture
def letter() -> SendReply:
    """What a ticket's contact is to be sent."""
    return SendReply(to=ANN, subject="Labels", body="Hello Ann, choose the layout Narrow.")


def test_the_reply_is_an_e_mail_of_its_own(
    sandbox: Sandbox, mail: Delivered, letter: SendReply, allow: Allow, do: Do
) -> None:
    do(allow(letter))
    (sent,) = sandbox.sent()
    assert (sent.to, sent.subject, sent.body) == (ANN, "Re: Labels", letter.body)
    assert (sent.in_reply_to, sent.header("References")) == ("", None)
    assert sent.thread_id != mail.thread_id
    assert sandbox.drafts() == []


@pytest.mark.parametrize("path", ["*/drafts", "*/drafts/send"])
def test_a_lost_reply_of_gmail_leaves_one_e_mail(
    sandbox: Sandbox,
    ledger: Ledger,
    letter: SendReply,
    allow: Allow,
    do: Do,
    resume: Resume,
    path: str,
) -> None:
    approved = allow(letter)
    sandbox.fault("reply_lost", "google", path, method="POST")
    with pytest.raises(VendorError):
        do(approved)
    assert action_of(ledger, approved).state == "unknown"
    resume()
    assert (len(sandbox.sent()), len(sandbox.drafts())) == (1, 0)
    assert found(ledger) == [path == "*/drafts/send"]


def test_a_process_killed_between_draft_and_send_leads_to_one_e_mail(
    sandbox: Sandbox,
    ledger: Ledger,
    letter: SendReply,
    allow: Allow,
    elsewhere: Callable[[str], subprocess.CompletedProcess[str]],
    resume: Resume,
) -> None:
    approved = allow(letter)
    died = elsewhere(DIE_BETWEEN_DRAFT_AND_SEND.format(action=approved.action_id, decision=approved.decision_id))
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (len(sandbox.drafts()), sandbox.sent()) == (1, [])
    assert action_of(ledger, approved).progress == {"draft_id": sandbox.drafts()[0].draft_id}
    resume()
    resume()
    assert (len(sandbox.sent()), len(sandbox.drafts())) == (1, 0)
    assert action_of(ledger, approved).state == "done"


def test_a_draft_that_was_not_journalled_is_found_among_all_drafts_and_sent(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    letter: SendReply,
    allow: Allow,
    do: Do,
    resume: Resume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(Exception):
        pass

    def crash(*_: Any, **__: Any) -> None:
        raise Interrupted

    # Another's draft to the same person, which must stay one.
    other = compose_reply(to=ANN, subject="Labels", body="x", in_reply_to="", references=(), sender=gmail.mailbox)
    gmail.create_draft(other, None)
    approved = allow(letter)
    with monkeypatch.context() as patch:
        patch.setattr(Gmail, "send_draft", crash)
        patch.setattr(performers.Attempt, "save", lambda *_, **progress: crash() if progress else None)
        with pytest.raises(Interrupted):
            do(approved)
    assert (action_of(ledger, approved).progress, len(sandbox.drafts())) == (None, 2)
    resume()
    assert [mail.body for mail in sandbox.sent()] == [letter.body]
    assert [mail.body for mail in sandbox.drafts()] == ["x"]


def test_a_draft_that_a_person_deleted_is_told_without_a_thread(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    letter: SendReply,
    allow: Allow,
    do: Do,
    resume: Resume,
) -> None:
    approved = allow(letter)
    sandbox.fault("rate_limited", "google", "*/drafts/send")
    with pytest.raises(VendorError):
        do(approved)
    (draft,) = sandbox.drafts()
    gmail.get_client().users().drafts().delete(userId="me", id=draft.draft_id).execute()
    resume()
    action = action_of(ledger, approved)
    assert action.state == "unknown"
    told = f"the draft {draft.draft_id} is gone from Gmail, but to {ANN} there is no sent message with signoff-"
    assert (action.reason or "").startswith(told)
    assert "thread" not in (action.reason or "")
    assert sandbox.sent() == sandbox.drafts() == []


def test_two_tickets_of_one_person_get_a_reply_each(
    sandbox: Sandbox,
    ledger: Ledger,
    letter: SendReply,
    allow: Allow,
    do: Do,
    resume: Resume,
) -> None:
    first, second = allow(letter, "one"), allow(letter.model_copy(update={"body": "Another."}), "two")
    do(first)
    with ledger.write() as session:  # as if its run had died before it could write the receipt
        session.execute(sa.delete(Receipt))
        session.execute(sa.update(ActionRow).where(ActionRow.id == first.action_id).values(state="unknown"))
    resume()
    assert sorted(mail.body for mail in sandbox.sent()) == ["Another.", letter.body]
    assert {action_of(ledger, one).state for one in (first, second)} == {"done"}
    assert sorted(found(ledger)) == [False, True]


def test_a_draft_that_is_sent_while_we_look_keeps_no_reply_from_going_out(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    letter: SendReply,
    allow: Allow,
    do: Do,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two replies go out at once: the one is a draft while the other looks through all drafts, and then is none."""
    raw = compose_reply(to="bob@x.example", subject="x", body="x", in_reply_to="", references=(), sender=gmail.mailbox)
    gmail.create_draft(raw, None)
    read = Gmail._draft

    def meanwhile(block: Gmail, draft_id: str) -> object:
        monkeypatch.setattr(Gmail, "_draft", read)
        block.send_draft(draft_id)
        return read(block, draft_id)

    monkeypatch.setattr(Gmail, "_draft", meanwhile)
    approved = allow(letter)
    do(approved)
    assert (action_of(ledger, approved).state, action_of(ledger, approved).reason) == ("done", None)
    assert sorted(mail.to for mail in sandbox.sent()) == [ANN, "bob@x.example"]


def test_a_note_shows_a_strangers_text_as_text(
    sandbox: Sandbox, wanted: Callable[[str], Action], allow: Allow, do: Do
) -> None:
    action = wanted("hubspot.note_ticket")
    do(allow(action))
    (note,) = sandbox.records("notes")
    assert note["associations"] == {"tickets": [action.targets()[0]]}
    assert "Answered: &lt;Layout&gt;<br>and more<br><small>signoff-" in note["properties"]["hs_note_body"]


def test_what_people_have_set_on_a_ticket_stays(
    hubspot: HubSpot, wanted: Callable[[str], Action], allow: Allow, do: Do
) -> None:
    ticket = wanted("hubspot.update_ticket").targets()[0]
    hubspot.update_ticket(ticket, {"hs_ticket_priority": "LOW"})
    properties = {"hs_ticket_priority": "HIGH", "hs_ticket_category": "BILLING_ISSUE"}
    do(allow(UpdateTicket(ticket_id=ticket, properties=properties)))
    kept = hubspot.ticket(ticket, properties=tuple(properties)).properties
    assert kept == {"hs_ticket_priority": "LOW", "hs_ticket_category": "BILLING_ISSUE"}


@pytest.mark.parametrize("kind", ["hubspot.note_ticket", "hubspot.update_ticket"])
def test_a_ticket_that_was_deleted_meanwhile_fails_its_actions_with_the_reason(
    sandbox: Sandbox,
    ledger: Ledger,
    hubspot: HubSpot,
    wanted: Callable[[str], Action],
    allow: Allow,
    resume: Resume,
    kind: str,
) -> None:
    action = wanted(kind)
    approved = allow(action)
    hubspot.get_client().crm.tickets.basic_api.archive(action.targets()[0])
    resume()
    resume()
    failed = action_of(ledger, approved)
    assert (failed.state, failed.attempts) == ("failed", 1)
    assert "404" in (failed.reason or "")
    assert sandbox.records("notes") == []

"""What a workflow would have done, beside what people did: seen at the vendors, without touching anything there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.ledger import Action, Ledger, Observation, Record, utcnow
from blocks.mail import compose_reply
from blocks.vendor import VendorError
from flows.lead_triage import CARD
from flows.support_answer import CARD as SUPPORT
from sandbox.client import Delivered, Sandbox
from tasks import actions, observers, retention, shadows
from tasks.actions import KINDS, PostMessage, SendReply, UpsertContact
from tasks.observers import OBSERVERS, SYSTEMS, UNKNOWABLE
from tasks.performers.gmail import ACTION_HEADER
from tasks.shadows import Comparison, Counts
from tests.shadowed import in_shadow

Triaged = Callable[..., dict[str, Any]]
ANN = "ann@northwind.example"
DATE = "Mon, 02 Mar 2026 09:30:00 +0000"
"""The day of the e-mails, as in the `email` fixture: whatever is sent or made now comes after it."""
DRAFT = "Hello Ann,\n\nthank you for asking. Tuesday at ten suits us well.\n\nDockwell"


@pytest.fixture
def arrive(sandbox: Sandbox, add_record: Callable[..., int], ledger: Ledger, triaged: Triaged) -> Callable[..., Mail]:
    """Lets an e-mail come in, and puts into the ledger what the lead triage would do about it, in shadow."""

    def come(intent: str = "demo_request", sender: str = ANN, answer: dict[str, Any] | None = None) -> Mail:
        there = sandbox.write(sender=sender, subject="A demo", body="Could we see a demo?", date=DATE)
        said = triaged(intent, **{"reply": DRAFT} | (answer or {}))
        place = {"message_id": there.id, "thread_id": there.thread_id, "rfc822_message_id": there.message_id}
        number = add_record("done", said, **place, sender=sender)
        in_shadow(ledger, number)
        return Mail(number, there)

    return come


class Mail:
    """An e-mail that came in: its record, and the message in the mailbox."""

    def __init__(self, record: int, there: Delivered) -> None:
        self.record = record
        self.id, self.thread_id, self.message_id = there.id, there.thread_id, there.message_id


@pytest.fixture
def compare(ledger: Ledger, accounts: Callable[[], None]) -> Callable[..., Comparison]:  # noqa: ARG001
    """Compares the newest records of the lead triage."""
    return lambda limit=50, **changes: shadows.compare(ledger, CARD, limit, **changes)


def of(found: Comparison, kind: str) -> Counts:
    return next(each for each in found.counts if each.kind == kind)


def figures(found: Comparison, kind: str) -> tuple[int, int, int]:
    """How often people agreed, differed, and how much is not known."""
    counts = of(found, kind)
    assert counts.actions == counts.agreed + counts.differed + counts.unknown
    return counts.agreed, counts.differed, counts.unknown


def reply_to(gmail: Gmail, mail: Mail, body: str = DRAFT, **headers: str) -> None:
    """Somebody replies from the mailbox."""
    raw = compose_reply(
        to=ANN, subject="A demo", body=body, in_reply_to=mail.message_id, references=(), sender=gmail.mailbox,
        headers=headers,
    )  # fmt: skip
    gmail.send_draft(gmail.create_draft(raw, mail.thread_id))


def observations(ledger: Ledger) -> list[Observation]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Observation).order_by(Observation.action_id)))


def test_every_kind_has_an_observer_or_a_reason_why_not() -> None:
    assert set(OBSERVERS) | set(UNKNOWABLE) == set(KINDS)
    assert not set(OBSERVERS) & set(UNKNOWABLE)
    assert all(len(reason) > 20 for reason in UNKNOWABLE.values())
    assert {kind.split(".")[0] for kind in OBSERVERS} <= set(SYSTEMS)


class TestReplies:
    def test_a_reply_that_says_the_same(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        reply_to(gmail, arrive(), f"{DRAFT}\n\nOn Mon, 2 Mar 2026 at 09:30, Ann <{ANN}> wrote:\n> Could we see a demo?")
        found = compare()
        assert figures(found, SendReply.kind) == (1, 0, 0)
        assert of(found, SendReply.kind).agreement == 1
        assert of(found, SendReply.kind).similarity == pytest.approx(1, abs=0.1)

    def test_a_reply_that_says_something_else(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        reply_to(gmail, arrive(), "Sorry, we are closed for the summer.")
        found = compare()
        assert figures(found, SendReply.kind) == (1, 0, 0)
        assert (of(found, SendReply.kind).similarity or 1) < 0.2

    def test_a_colleagues_reply_counts(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], sandbox: Sandbox
    ) -> None:
        mail = arrive()
        sandbox.write(sender="Sam <sam@company.example>", subject="Re: A demo", body=DRAFT, in_reply_to=mail.message_id)
        assert figures(compare(), SendReply.kind) == (1, 0, 0)

    def test_what_is_no_reply_of_ours(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], sandbox: Sandbox, gmail: Gmail
    ) -> None:
        mail = arrive()
        for sender in (ANN, "Bob <bob@fabrikam.example>", "eve@notcompany.example", "eve@company.example.org"):
            sandbox.write(sender=sender, subject="Re: A demo", body="Any news?", in_reply_to=mail.message_id)
        raw = compose_reply(to=ANN, subject="A demo", body="x", in_reply_to=mail.message_id, references=())
        gmail.create_draft(raw, mail.thread_id)
        reply_to(gmail, mail, **{ACTION_HEADER: "signoff-0123456789abcdef"})  # ours, with another record's sign-off
        assert figures(compare(), SendReply.kind) == (0, 0, 1)

    def test_what_was_sent_before_the_e_mail_came_is_no_reply_to_it(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], sandbox: Sandbox
    ) -> None:
        mail = arrive()
        date = "Mon, 02 Mar 2026 09:29:59 +0000"
        sandbox.write(sender="sam@company.example", subject="A demo", in_reply_to=mail.message_id, date=date)
        assert figures(compare(), SendReply.kind) == (0, 0, 1)

    @pytest.mark.parametrize(
        ("add", "remove", "words"),
        [
            ([], ["INBOX"], "archived"),
            (["TRASH"], ["INBOX"], "put into the trash"),
            (["SPAM"], ["INBOX"], "marked as spam"),
        ],
    )
    def test_an_e_mail_that_left_the_inbox_without_a_reply(
        self,
        arrive: Callable[..., Mail],
        compare: Callable[..., Comparison],
        gmail: Gmail,
        add: list[str],
        remove: list[str],
        words: str,
    ) -> None:
        mail = arrive()
        gmail.modify_labels(mail.id, add, remove)
        found = compare()
        assert figures(found, SendReply.kind) == (0, 1, 0)
        (difference,) = found.differences
        assert (difference.record_id, difference.title, difference.sender) == (mail.record, "A demo", ANN)
        assert difference.wanted == f"Send reply to {ANN}"
        assert difference.found == f"it was {words} without a reply"

    def test_a_thread_that_was_deleted(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        mail = arrive()
        gmail.get_client().users().messages().delete(userId="me", id=mail.id).execute()
        assert compare().differences[0].found == "it was deleted without a reply"

    def test_what_lies_in_the_inbox_unanswered_is_not_known_yet(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        mail = arrive()
        gmail.modify_labels(mail.id, [], ["UNREAD"])
        found = compare()
        assert figures(found, SendReply.kind) == (0, 0, 1)
        assert of(found, SendReply.kind).agreement is None

    def test_another_mailbox_says_nothing(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail, ledger: Ledger
    ) -> None:
        gmail.modify_labels(arrive().id, [], ["INBOX"])
        with ledger.write() as session:
            session.execute(sa.update(Record).values(source="gmail:old@company.example"))
        found = compare()
        assert figures(found, SendReply.kind) == (0, 0, 1)
        assert found.unreachable == {}

    @pytest.mark.parametrize(
        ("mailbox", "sender", "is_one"),
        [
            ("hello@company.example", "sam@company.example", True),
            ("hello@company.example", "form@company.example", False),  # whose e-mail it is
            ("hello@company.example", "sam@company.example.org", False),
            ("dockwell@gmail.com", "sam@gmail.com", False),  # where everybody has an address
        ],
    )
    def test_who_is_a_colleague(self, gmail: Gmail, mailbox: str, sender: str, is_one: bool) -> None:
        record = Record(payload={"sender": "Form@company.example"})
        thread = observers.Thread(gmail.model_copy(update={"mailbox": mailbox}), record)
        assert thread._is_colleague(sender) is is_one


class TestLabels:
    @pytest.mark.parametrize(("add", "remove"), [([], ["INBOX"]), (["TRASH"], []), (["SPAM"], ["INBOX"])])
    def test_spam_that_people_put_away(
        self,
        arrive: Callable[..., Mail],
        compare: Callable[..., Comparison],
        gmail: Gmail,
        add: list[str],
        remove: list[str],
    ) -> None:
        gmail.modify_labels(arrive("spam").id, add, remove)
        assert figures(compare(), "gmail.apply_label") == (1, 0, 0)

    def test_spam_that_people_read_and_left(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        gmail.modify_labels(arrive("spam").id, [], ["UNREAD"])
        found = compare()
        assert figures(found, "gmail.apply_label") == (0, 1, 0)
        assert found.differences[0].wanted == "Archive as Signoff/Spam"

    def test_spam_that_people_answered(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        mail = arrive("spam")
        reply_to(gmail, mail, "Hello, this is no spam at all.")
        found = compare()
        assert figures(found, "gmail.apply_label") == (0, 1, 0)
        assert [missed.record_id for missed in found.missed or ()] == [mail.record]

    def test_spam_that_nobody_has_seen(self, arrive: Callable[..., Mail], compare: Callable[..., Comparison]) -> None:
        arrive("spam")
        assert figures(compare(), "gmail.apply_label") == (0, 0, 1)

    def test_a_plain_label_is_ours_unless_somebody_uses_it_too(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        used, other, plain = arrive(), arrive(), arrive()
        gmail.modify_labels(used.id, [gmail.ensure_label("signoff/LEAD")])
        gmail.modify_labels(other.id, [gmail.ensure_label("Customers")])
        gmail.modify_labels(plain.id, [], ["INBOX", "UNREAD"])
        assert figures(compare(), "gmail.apply_label") == (1, 0, 2)


class TestTheCrm:
    KINDS = ("hubspot.upsert_contact", "hubspot.add_note", "hubspot.create_task")

    def test_what_nobody_has_done_is_not_known_yet(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison]
    ) -> None:
        arrive()
        found = compare()
        assert [figures(found, kind) for kind in self.KINDS] == [(0, 0, 1)] * 3

    def test_what_people_did_after_the_e_mail(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], hubspot: HubSpot
    ) -> None:
        arrive(sender="Ann@Northwind.example")
        contact = hubspot.upsert_contact(ANN, {})
        found = compare()
        assert [figures(found, kind) for kind in self.KINDS] == [(1, 0, 0), (0, 0, 1), (0, 0, 1)]
        hubspot.create_note(contact, "Called her", utcnow())
        hubspot.create_task(contact, "Book the demo", "Soon", utcnow())
        found = compare()
        assert [figures(found, kind) for kind in self.KINDS] == [(1, 0, 0)] * 3

    def test_notes_from_before_and_those_of_signoff_do_not_count(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], hubspot: HubSpot, ledger: Ledger
    ) -> None:
        contact = hubspot.upsert_contact(ANN, {})
        hubspot.create_note(contact, "Met at the fair", datetime(2030, 1, 1, tzinfo=UTC))
        hubspot.create_task(contact, "Call her", "", utcnow())
        mail = arrive()
        with ledger.write() as session:  # it came just now, and the sender's clock is far ahead
            record = session.get_one(Record, mail.record)
            record.payload = record.payload | {"sent_at": "2031-01-01T00:00:00+00:00"}
        marker = "<br><small>signoff-0123456789abcdef</small>"
        hubspot.create_note(contact, f"Wants a demo{marker}", utcnow())
        hubspot.create_task(contact, "Book the demo", f"Soon{marker}", utcnow())
        found = compare()
        assert [figures(found, kind) for kind in self.KINDS] == [(1, 0, 0), (0, 0, 1), (0, 0, 1)]


class TestComparing:
    def test_nothing_is_changed_anywhere(
        self,
        arrive: Callable[..., Mail],
        compare: Callable[..., Comparison],
        gmail: Gmail,
        hubspot: HubSpot,
        sandbox: Sandbox,
    ) -> None:
        reply_to(gmail, arrive())
        hubspot.create_note(hubspot.upsert_contact(ANN, {}), "Called her", utcnow())
        arrive("spam")
        before = len(sandbox.requests())
        compare()
        calls = sandbox.requests()[before:]
        assert len(calls) > 5
        assert [c for c in calls if c["method"] != "GET" and not c["path"].endswith(("/token", "/read"))] == []

    def test_what_is_final_is_not_asked_again(
        self,
        arrive: Callable[..., Mail],
        compare: Callable[..., Comparison],
        gmail: Gmail,
        hubspot: HubSpot,
        sandbox: Sandbox,
    ) -> None:
        mail = arrive()
        gmail.modify_labels(mail.id, [], ["INBOX"])
        contact = hubspot.upsert_contact(ANN, {})
        hubspot.create_note(contact, "Called her", utcnow())
        hubspot.create_task(contact, "Book the demo", "", utcnow())
        first = compare()
        reply_to(gmail, mail)  # too late
        before = len(sandbox.requests("hubspot"))
        assert figures(compare(), SendReply.kind) == figures(first, SendReply.kind) == (0, 1, 0)
        assert len(sandbox.requests("hubspot")) == before

    @pytest.mark.both_databases
    def test_what_was_not_known_may_be_known_later(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail, ledger: Ledger
    ) -> None:
        mail = arrive()
        compare()
        assert {seen.agreed for seen in observations(ledger)} == {None}
        reply_to(gmail, mail)
        assert figures(compare(), SendReply.kind) == (1, 0, 0)
        (reply,) = [seen for seen in observations(ledger) if seen.agreed]
        assert reply.found["what"] == "somebody replied"
        assert reply.found["message_id"]
        assert 0 < reply.found["similar"] <= 1
        assert len(observations(ledger)) == 5

    def test_an_answer_that_another_process_found_first_stays(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], ledger: Ledger
    ) -> None:
        arrive()
        compare()
        seen = observations(ledger)[0]
        with ledger.write() as session:
            session.execute(sa.update(Observation).values(agreed=True))
        shadows._store(ledger, {seen.action_id: observers.Seen(False, "late")})
        assert observations(ledger)[0].agreed is True

    def test_one_vendor_that_is_down_does_not_stop_the_others(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail, sandbox: Sandbox
    ) -> None:
        for _ in range(3):
            reply_to(gmail, arrive())
        sandbox.fault("overloaded", "hubspot", times=None)
        found = compare()
        assert figures(found, SendReply.kind) == (3, 0, 0)
        assert figures(found, UpsertContact.kind) == (0, 0, 3)
        assert list(found.unreachable) == ["hubspot"]
        assert "503" in found.unreachable["hubspot"]
        sandbox.clear_faults()
        assert compare().unreachable == {}

    def test_a_vendor_that_does_not_answer_is_not_asked_on_and_on(
        self, arrive: Callable[..., Mail], ledger: Ledger, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(4):
            arrive()
        monkeypatch.setattr(
            shadows, "concurrently", lambda look, items: ((item, _outcome(look, item)) for item in items)
        )
        sandbox.fault("unauthorized", "hubspot", times=None)
        before = len(sandbox.requests("hubspot"))
        found = shadows.compare(ledger, CARD)
        assert len(sandbox.requests("hubspot")) - before == 1
        assert "put it into the block" in found.unreachable["hubspot"]

    def test_a_credential_that_is_gone_is_named(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], ledger: Ledger
    ) -> None:
        arrive()
        with ledger.write() as session:
            hubspots = sa.update(Action).where(Action.kind.startswith("hubspot."))
            session.execute(hubspots.values(credential="hubspot/gone"))
        assert "no credential hubspot/gone" in compare().unreachable["hubspot"]

    def test_offline_shows_what_is_known_and_asks_nobody(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail, sandbox: Sandbox
    ) -> None:
        reply_to(gmail, arrive())
        online = compare()
        before = len(sandbox.requests())
        offline = compare(offline=True)
        assert len(sandbox.requests()) == before
        assert offline == replace(online, missed=None)

    def test_only_the_newest(self, arrive: Callable[..., Mail], compare: Callable[..., Comparison]) -> None:
        mails = [arrive("other") for _ in range(3)]
        found = compare(2)
        assert (found.records, of(found, "gmail.apply_label").actions) == (2, 2)
        assert len({mail.record for mail in mails}) == 3

    def test_nothing_in_shadow(self, compare: Callable[..., Comparison]) -> None:
        assert compare() == Comparison("lead-triage", 0, (), (), (), {})

    def test_slack_is_counted_and_never_judged(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison]
    ) -> None:
        arrive("support", answer={"urgency": "high"})
        counts = of(compare(), PostMessage.kind)
        assert (counts.actions, counts.unknown, counts.agreement) == (1, 1, None)
        assert counts.unknowable == UNKNOWABLE[PostMessage.kind]

    def test_missed_are_replies_that_were_not_wanted(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail
    ) -> None:
        answered, quiet, wanted = arrive("other"), arrive("other"), arrive()
        reply_to(gmail, answered)
        reply_to(gmail, wanted)
        gmail.modify_labels(quiet.id, [], ["INBOX"])
        assert [missed.record_id for missed in compare().missed or ()] == [answered.record]

    def test_a_draft_that_was_held_back_was_wanted_all_the_same(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail, ledger: Ledger
    ) -> None:
        reply_to(gmail, arrive())
        with ledger.write() as session:
            session.execute(sa.update(Action).where(Action.kind == SendReply.kind).values(state="refused"))
        found = compare()
        assert found.missed == ()
        assert SendReply.kind not in {each.kind for each in found.counts}

    def test_what_an_older_version_stored_is_left_alone(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], ledger: Ledger
    ) -> None:
        arrive("other")
        with ledger.write() as session:
            session.execute(sa.update(Action).values(payload={"message": "m1"}))
        assert figures(compare(), "gmail.apply_label") == (0, 0, 1)


class TestTickets:
    """What came by ticket has no thread: nobody looks for one, and nothing is taken for known."""

    @pytest.fixture
    def wanted_for(self, ledger: Ledger, add_question: Callable[..., int]) -> Callable[..., int]:
        def want(*actions: actions.Action, **changes: Any) -> int:
            number = add_question("done", **changes)
            with ledger.write() as session:
                for action in actions:
                    payload = action.model_dump(mode="json")
                    session.add(
                        Action(
                            key=f"{number}:{action.kind}", workflow="support-answer", record_id=number,
                            kind=action.kind, impact=action.impact, title=action.title, payload=payload, digest="d",
                            credential=f"{action.kind.split('.')[0]}/{'inbox' if 'gmail' in action.kind else 'crm'}",
                            explanation="", stage="shadow", state="shadow",
                        )
                    )  # fmt: skip
            return number

        return want

    REPLY = SendReply(to=ANN, subject="Labels", body="Choose Narrow.")

    @pytest.mark.usefixtures("accounts")
    def test_what_people_did_about_it_is_not_known(
        self, sandbox: Sandbox, ledger: Ledger, wanted_for: Callable[..., int], gmail: Gmail
    ) -> None:
        note = actions.NoteTicket(ticket_id="7", body="Answered.", at=utcnow())
        tags = actions.UpdateTicket(ticket_id="7", properties={"hs_ticket_priority": "HIGH"})
        wanted_for(self.REPLY, note, tags, ticket="7")
        raw = compose_reply(to=ANN, subject="Labels", body="Choose Narrow.", in_reply_to="", references=())
        gmail.send_draft(gmail.create_draft(raw, None))
        before = len(sandbox.requests())
        found = shadows.compare(ledger, SUPPORT)
        assert len(sandbox.requests()) == before
        assert {each.kind: (each.agreed, each.differed, each.unknown) for each in found.counts} == {
            each.kind: (0, 0, 1) for each in (self.REPLY, note, tags)
        }
        assert (found.unreachable, found.missed, found.differences) == ({}, (), ())
        (seen,) = observations(ledger)
        assert seen.found["what"] == "it did not come by e-mail, and people may have answered it anywhere"
        unknowable = {each.kind: each.unknowable for each in found.counts if each.unknowable}
        assert unknowable == {kind: UNKNOWABLE[kind] for kind in (note.kind, tags.kind)}

    @pytest.mark.usefixtures("accounts")
    def test_it_stands_beside_an_e_mail_that_is_compared_as_ever(
        self, sandbox: Sandbox, ledger: Ledger, wanted_for: Callable[..., int], gmail: Gmail
    ) -> None:
        there = sandbox.write(sender=ANN, subject="Labels", body="They are cut off.", date=DATE)
        place = {"message_id": there.id, "thread_id": there.thread_id}
        wanted_for(self.REPLY.model_copy(update=place), **place, rfc822_message_id=there.message_id)
        wanted_for(self.REPLY, ticket="7")
        wanted_for(actions.NoteTicket(ticket_id="8", body="Not answered.", at=utcnow()), ticket="8")
        raw = compose_reply(to=ANN, subject="Labels", body="Narrow.", in_reply_to=there.message_id, references=())
        gmail.send_draft(gmail.create_draft(raw, there.thread_id))
        found = shadows.compare(ledger, SUPPORT)
        assert figures(found, SendReply.kind) == (1, 0, 1)
        assert (found.records, found.unreachable, found.missed) == (3, {}, ())
        assert shadows.compare(ledger, SUPPORT, offline=True).counts == found.counts


class TestRedacted:
    def test_figures_stay_and_nothing_is_added(
        self, arrive: Callable[..., Mail], compare: Callable[..., Comparison], gmail: Gmail, ledger: Ledger
    ) -> None:
        mail = arrive()
        gmail.modify_labels(mail.id, [], ["INBOX"])
        before = compare()
        retention.redact(ledger, [mail.record], by="Mara")
        seen = observations(ledger)
        after = compare()
        assert [(c.kind, c.agreed, c.differed) for c in after.counts] == [
            (c.kind, c.agreed, c.differed) for c in before.counts
        ]
        assert (after.differences[0].title, after.differences[0].sender) == ("", "")
        assert after.differences[0].found == "its content was redacted"
        assert [(s.id, s.found) for s in observations(ledger)] == [(s.id, s.found) for s in seen]

    def test_what_is_redacted_while_somebody_looks_is_not_written_about(
        self, arrive: Callable[..., Mail], ledger: Ledger
    ) -> None:
        arrive()
        with ledger.write() as session:
            session.execute(sa.update(Action).values(redacted_at=utcnow()))
            number = session.scalars(sa.select(Action.id)).first() or 0
        shadows._store(ledger, {number: observers.Seen(True, "late")})
        assert observations(ledger) == []


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Hello Ann, Tuesday suits.", "hello ann - TUESDAY suits!", 1.0),
        ("Hello Ann", "Goodbye Bob", 0.0),
        ("a b c d", "a b x y", 0.5),
        ("", "", 1.0),
        ("", "a", 0.0),
        ("word " * 100_000, "word " * 100_000, 1.0),
    ],
)
def test_texts_are_compared_by_their_words(one: str, other: str, alike: float) -> None:
    assert observers.similarity(one, other) == alike


def test_when_a_record_came_nobodys_clock_can_move_forward() -> None:
    made = datetime(2026, 3, 2, 10, tzinfo=UTC)

    def came(**payload: Any) -> timedelta:
        return observers.came_at(Record(payload=payload, created_at=made)) - made

    assert came(sent_at="2026-03-02T09:00:00+00:00") == timedelta(hours=-1)
    assert came(sent_at="2026-03-02T11:00:00+00:00") == timedelta()
    assert came(sent_at="2026-03-02T09:00:00") == came(sent_at="soon") == came() == timedelta()


def _outcome(look: Callable[[Any], Any], item: Any) -> Any:
    try:
        return look(item)
    except VendorError as error:
        return error

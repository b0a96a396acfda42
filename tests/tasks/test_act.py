"""Acting: only what the ledger allows, once, whatever is lost on the way."""

import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from blocks import connections
from blocks import ledger as tables
from blocks.gmail import Gmail
from blocks.ledger import Decision, History, Ledger, Receipt, Record, utcnow
from blocks.vendor import VendorError
from sandbox.client import Delivered, Sandbox
from tasks import act, alerts, performers
from tasks.act import Approved, NotApproved
from tasks.actions import Action, AddNote, AddRow, UpsertContact
from tasks.performers import PERFORMERS
from tasks.run import Run

pytestmark = pytest.mark.both_databases

Begin = Callable[..., AbstractContextManager[Run]]
Allow = Callable[..., Approved]
ANN = "ann@northwind.example"
WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

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


def row(ledger: Ledger, approved: Approved) -> tables.Action:
    with ledger.read() as session:
        return session.get_one(tables.Action, approved.action_id)


def receipts(ledger: Ledger) -> list[Receipt]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(Receipt)))


def effects(sandbox: Sandbox, kind: str) -> int:
    """How often this kind of action shows in the vendor's system."""
    state = sandbox.state()
    match kind:
        case "gmail.send_reply" | "gmail.send_followup" | "gmail.send_reminder":
            return len(state["sent"]) + len(state["drafts"])
        case "gmail.apply_label":
            labelled = [m for m in state["inbox"] if set(m["labels"]) & set(state["label_names"])]
            return len(state["labels"]) if not labelled and not state["inbox"] else 0
        case "hubspot.upsert_contact":
            return sum(contact["properties"].get("lastname") == "Berg" for contact in state["contacts"])
        case "hubspot.add_note" | "hubspot.note_ticket":
            return len(state["notes"])
        case "hubspot.update_ticket":
            return sum(ticket["properties"].get("hs_ticket_priority") == "HIGH" for ticket in state["tickets"])
        case "hubspot.create_task":
            return len(state["tasks"])
        case "stripe.refund" | "stripe.issue_credit":
            return len(state["stripe_refunds"]) + len(state["stripe_credit_notes"])
        case "stripe.create_invoice":
            return sum(invoice.get("_sent", 0) for invoice in state["stripe_invoices"])
        case "notion.create_page":
            return len(state["notion"])
        case _:
            return len(state["slack"])


LOST = [
    ("gmail.send_reply", "google", "POST", "*/drafts"),
    ("gmail.send_reply", "google", "POST", "*/drafts/send"),
    ("gmail.send_followup", "google", "POST", "*/drafts/send"),
    ("gmail.apply_label", "google", "POST", "*/labels"),
    ("gmail.apply_label", "google", "POST", "*/modify"),
    ("hubspot.upsert_contact", "hubspot", "POST", "*/upsert"),
    ("hubspot.add_note", "hubspot", "POST", "*/notes"),
    ("hubspot.create_task", "hubspot", "POST", "*/tasks"),
    ("hubspot.note_ticket", "hubspot", "POST", "*/notes"),
    ("hubspot.update_ticket", "hubspot", "PATCH", "*/tickets/*"),
    ("slack.post_message", "slack", "POST", "*chat.postMessage"),
    ("notion.create_page", "notion", "POST", "*/pages"),
    ("stripe.refund", "stripe", "POST", "*/refunds"),
    ("stripe.issue_credit", "stripe", "POST", "*/credit_notes"),
    ("stripe.create_invoice", "stripe", "POST", "*/invoices"),
    ("stripe.create_invoice", "stripe", "POST", "*/invoiceitems"),
    ("stripe.create_invoice", "stripe", "POST", "*/finalize"),
    ("stripe.create_invoice", "stripe", "POST", "*/send"),
]


@pytest.mark.parametrize("kind", [kind for kind in PERFORMERS if kind != AddRow.kind])  # test_row_crashes.py has that
def test_each_kind_is_done_once_however_often_it_is_asked_for(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
    kind: str,
) -> None:
    approved = allow(wanted(kind))
    do(approved)
    do(approved)
    resume()
    assert effects(sandbox, kind) == 1
    assert (row(ledger, approved).state, row(ledger, approved).attempts) == ("done", 1)
    (receipt,) = receipts(ledger)
    assert (receipt.action_id, receipt.found) == (approved.action_id, False)
    assert receipt.external_id
    with ledger.read() as session:
        assert session.get_one(Decision, approved.decision_id).used_at is not None


@pytest.mark.parametrize(("kind", "vendor", "method", "path"), LOST)
def test_a_reply_that_is_lost_after_the_commit_leaves_exactly_one_effect(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
    kind: str,
    vendor: Any,
    method: str,
    path: str,
) -> None:
    approved = allow(wanted(kind))
    sandbox.fault("reply_lost", vendor, path, method=method)
    with pytest.raises(VendorError) as caught:
        do(approved)
    assert caught.value.unknown
    assert row(ledger, approved).state == "unknown"
    resume()
    assert effects(sandbox, kind) == 1
    assert row(ledger, approved).state == "done"
    assert len(receipts(ledger)) == 1


@pytest.mark.parametrize(("kind", "vendor", "method", "path"), LOST)
def test_a_call_that_never_reached_the_vendor_is_made_again(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
    kind: str,
    vendor: Any,
    method: str,
    path: str,
) -> None:
    approved = allow(wanted(kind))
    sandbox.fault("rate_limited", vendor, path, method=method)
    with pytest.raises(VendorError):
        do(approved)
    assert row(ledger, approved).state == "pending"
    resume()
    assert effects(sandbox, kind) == 1
    assert row(ledger, approved).state == "done"


def test_a_reply_goes_out_in_the_right_thread_to_the_right_person(
    sandbox: Sandbox, mail: Delivered, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    do(allow(wanted("gmail.send_reply")))
    (sent,) = sandbox.sent()
    assert (sent.to, sent.subject, sent.body) == (ANN, "Re: A demo", "Hello Ann, of course.")
    assert sent.thread_id == mail.thread_id
    assert sent.in_reply_to == mail.message_id
    assert (sent.header("X-Signoff-Action") or "").startswith("signoff-")
    assert sandbox.drafts() == []


def test_a_note_shows_a_strangers_text_as_text(
    sandbox: Sandbox, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    do(allow(wanted("hubspot.add_note")))
    (note,) = sandbox.records("notes")
    assert "Wants a &lt;demo&gt;<br>soon" in note["properties"]["hs_note_body"]


def test_a_process_killed_between_draft_and_send_leads_to_one_mail_in_the_right_thread(
    sandbox: Sandbox,
    ledger: Ledger,
    mail: Delivered,
    wanted: Callable[[str], Action],
    allow: Allow,
    elsewhere: Callable[[str], "subprocess.CompletedProcess[str]"],
    resume: Callable[[], list[str]],
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    died = elsewhere(DIE_BETWEEN_DRAFT_AND_SEND.format(action=approved.action_id, decision=approved.decision_id))
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(sandbox.drafts()) == 1
    assert sandbox.sent() == []
    assert row(ledger, approved).state == "acting"
    with ledger.write() as session:  # as if it had run on another machine, of which only the heartbeat is known
        session.execute(sa.update(tables.Run).values(process="elsewhere 1 2"))
    resume()
    assert sandbox.sent() == [], "its heart has only just stopped: it may be alive"
    with ledger.write() as session:
        session.execute(sa.update(tables.Run).values(heartbeat_at=utcnow() - timedelta(hours=1)))
    resume()
    resume()
    (sent,) = sandbox.sent()
    assert (sent.thread_id, sent.to) == (mail.thread_id, ANN)
    assert sandbox.drafts() == []
    assert row(ledger, approved).state == "done"


def test_a_draft_that_was_made_but_not_journalled_is_found_and_sent(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(Exception):
        pass

    def crash(*_: Any, **__: Any) -> None:
        raise Interrupted

    approved = allow(wanted("gmail.send_reply"))
    with monkeypatch.context() as patch:
        patch.setattr(performers.Attempt, "save", crash)
        with pytest.raises(Interrupted):
            do(approved)
    assert row(ledger, approved).progress is None
    resume()
    assert (len(sandbox.sent()), len(sandbox.drafts())) == (1, 0)


def test_a_crash_after_the_send_is_found_out_and_nothing_is_sent_again(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(Exception):
        pass

    def crash(*_: Any, **__: Any) -> None:
        raise Interrupted

    approved = allow(wanted("gmail.send_reply"))
    with monkeypatch.context() as patch:
        patch.setattr(act, "_finished", crash)
        with pytest.raises(Interrupted):
            do(approved)
    resume()
    (sent,) = sandbox.sent()
    (receipt,) = receipts(ledger)
    assert (receipt.external_id, receipt.found) == (sent.id, True)


def test_a_draft_that_a_person_deleted_leaves_the_action_in_doubt_with_the_evidence(
    sandbox: Sandbox,
    ledger: Ledger,
    gmail: Gmail,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    sandbox.fault("rate_limited", "google", "*/drafts/send")
    with pytest.raises(VendorError):
        do(approved)
    (draft,) = sandbox.drafts()
    gmail.get_client().users().drafts().delete(userId="me", id=draft.draft_id).execute()
    for _ in range(2):
        resume()
        found = row(ledger, approved)
        assert found.state == "unknown"
        assert f"the draft {draft.draft_id} is gone from Gmail" in (found.reason or "")
    assert sandbox.sent() == []
    assert sandbox.drafts() == []
    assert receipts(ledger) == []


@pytest.mark.parametrize(
    "kind",
    [
        "gmail.send_reply",
        "hubspot.add_note",
        "hubspot.create_task",
        "hubspot.note_ticket",
        "slack.post_message",
        "notion.create_page",
    ],
)
def test_what_a_dead_run_was_doing_is_looked_for_before_it_is_done_again(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
    kind: str,
) -> None:
    approved = allow(wanted(kind))
    do(approved)
    with ledger.write() as session:  # as if the run had died before it could write the receipt
        session.execute(sa.delete(Receipt))
        session.add(
            tables.Run(
                id="dead",
                workflow="lead-triage",
                stage="selective",
                started_at=utcnow(),
                heartbeat_at=utcnow() - timedelta(hours=1),
            )
        )
        session.flush()
        session.execute(sa.update(tables.Action).values(state="acting", run_id="dead"))
    resume()
    assert effects(sandbox, kind) == 1
    assert [receipt.found for receipt in receipts(ledger)] == [True]


@pytest.mark.parametrize("fault", ["unauthorized", "server_error"])
def test_what_may_have_been_sent_stays_in_doubt_while_nobody_can_look(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    fault: Any,
) -> None:
    approved = allow(wanted("slack.post_message"))
    sandbox.fault("reply_lost", "slack", "*chat.postMessage")
    with pytest.raises(VendorError):
        do(approved)
    sandbox.fault(fault, "slack", "*conversations.history")
    with pytest.raises(VendorError):
        do(approved)
    assert row(ledger, approved).state == "unknown"
    do(approved)
    assert effects(sandbox, "slack.post_message") == 1


def test_an_action_without_a_decision_cannot_be_done(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    first, second = allow(wanted("gmail.send_reply"), "one"), allow(wanted("slack.post_message"), "two")
    for forged in (Approved(first.action_id, 999), Approved(999, first.decision_id)):
        with pytest.raises(NotApproved, match="no decision in the ledger belongs to action"):
            do(forged)
    with pytest.raises(NotApproved, match="no decision in the ledger belongs"):
        do(Approved(first.action_id, second.decision_id))
    assert sandbox.sent() == sandbox.drafts() == []
    assert sandbox.posts() == []
    assert row(ledger, first).state == "pending"


@pytest.mark.parametrize("verdict", ["rejected", "expired"])
def test_what_was_not_approved_cannot_be_done(
    sandbox: Sandbox,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    resume: Callable[[], list[str]],
    verdict: str,
) -> None:
    approved = allow(wanted("gmail.send_reply"), verdict=verdict)
    with pytest.raises(NotApproved, match=f"was {verdict}, not approved"):
        do(approved)
    resume()
    assert sandbox.sent() == []


@pytest.mark.parametrize("change", [{"to": "mallory@evil.example"}, {"body": "Pay here"}])
def test_a_payload_that_was_changed_after_the_approval_is_not_done(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    do: Callable[[Approved], None],
    change: dict[str, str],
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    with ledger.write() as session:
        decision = session.get_one(Decision, approved.decision_id)
        decision.payload = decision.payload | change
    with pytest.raises(NotApproved, match="is not what was approved: it was changed"):
        do(approved)
    assert sandbox.sent() == sandbox.drafts() == []
    assert row(ledger, approved).state == "refused"  # out of the way of the others
    assert "it was changed afterwards" in (row(ledger, approved).reason or "")


def test_a_strangers_mention_rings_nobody_in_slack(
    sandbox: Sandbox, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    message = wanted("slack.post_message").model_copy(update={"text": "Urgent: <!channel> <@U1> & now"})
    do(allow(message))
    assert [post["text"] for post in sandbox.posts()] == ["Urgent: &lt;!channel&gt; &lt;@U1&gt; &amp; now"]


def test_what_is_sent_is_the_approved_text_and_not_the_first_draft(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    with ledger.write() as session:
        action = session.get_one(tables.Action, approved.action_id)
        action.payload = action.payload | {"body": "Changed behind everybody's back"}
    do(approved)
    assert sandbox.sent()[0].body == "Hello Ann, of course."


def test_a_text_that_cannot_be_sent_fails_the_action_and_keeps_no_run_from_its_work(
    sandbox: Sandbox,
    ledger: Ledger,
    wanted: Callable[[str], Action],
    allow: Allow,
    resume: Callable[[], list[str]],
) -> None:
    reply = wanted("gmail.send_reply").model_copy(update={"body": "Hello\x00there"})
    approved, other = allow(reply, "one"), allow(wanted("slack.post_message"), "two")
    resume()
    assert row(ledger, approved).state == "failed"
    assert "cannot read what was stored" in (row(ledger, approved).reason or "")
    assert row(ledger, other).state == "done"
    assert sandbox.sent() == sandbox.drafts() == []


def test_a_missing_credential_leaves_the_action_to_do_and_says_how_to_make_it(
    ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, resume: Callable[[], list[str]]
) -> None:
    approved = allow(wanted("slack.post_message"), credential="slack/nobody")
    resume()
    assert row(ledger, approved).state == "pending"
    assert "no credential slack/nobody" in (row(ledger, approved).reason or "")


def test_a_dead_credential_leaves_the_actions_to_do(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, resume: Callable[[], list[str]]
) -> None:
    approved = allow(wanted("hubspot.upsert_contact"))
    sandbox.fault("unauthorized", "hubspot")
    (note,) = resume()
    assert "401" in note
    assert row(ledger, approved).state == "pending"
    resume()
    assert row(ledger, approved).state == "done"


@pytest.mark.usefixtures("sandbox")
def test_an_action_that_the_vendor_refuses_for_good_fails_and_is_not_tried_again(
    ledger: Ledger, gmail: Gmail, wanted: Callable[[str], Action], allow: Allow, mail: Delivered,
    resume: Callable[[], list[str]],
) -> None:  # fmt: skip
    approved = allow(wanted("gmail.apply_label"))
    gmail.get_client().users().messages().delete(userId="me", id=mail.id).execute()
    resume()
    resume()
    assert (row(ledger, approved).state, row(ledger, approved).attempts) == ("failed", 1)


@pytest.mark.usefixtures("fast_retries", "sandbox")
def test_actions_of_a_record_keep_their_order_and_one_failure_fails_no_other_record(
    ledger: Ledger, begin: Begin, add_record: Callable[..., int], allow: Allow
) -> None:
    new, other = (add_record("gated", message_id=f"m{n}") for n in range(2))
    email = "new@northwind.example"
    wants: list[Action] = [
        UpsertContact(email=email, properties={"firstname": "New"}),
        AddNote(email=email, body="Hi", at=WHEN),
    ]
    done = [allow(action, "new", record_id=new) for action in wants]
    stuck = allow(AddNote(email="nobody@x.example", body="Hi", at=WHEN), "other", record_id=other)
    with begin() as run:
        act.perform(run, [new, other])
        assert "there is no such contact yet" in run.notes[0]
    assert [row(ledger, approved).state for approved in done] == ["done", "done"]
    assert row(ledger, stuck).state == "pending"
    with ledger.read() as session:
        assert [session.get_one(Record, number).state for number in (new, other)] == ["done", "gated"]


@pytest.mark.usefixtures("fast_retries")
def test_a_vendor_that_fails_for_a_moment_is_asked_again_within_the_run(
    sandbox: Sandbox, ledger: Ledger, begin: Begin, add_record: Callable[..., int], wanted: Any, allow: Allow
) -> None:
    number = add_record("gated")
    approved = allow(wanted("slack.post_message"), record_id=number)
    sandbox.fault("server_error", "slack", times=3)
    with begin() as run:
        act.perform(run, [number])
    assert row(ledger, approved).state == "done"
    assert len(sandbox.posts()) == 1


@pytest.mark.usefixtures("fast_retries")
def test_what_an_earlier_run_left_keeps_no_run_from_new_work(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, resume: Callable[[], list[str]]
) -> None:
    approved = allow(wanted("slack.post_message"))
    sandbox.fault("rate_limited", "slack", times=None)
    (note,) = resume()
    assert "could not all be done" in note
    assert row(ledger, approved).state == "pending"


def test_an_action_that_another_run_is_doing_is_left_alone(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    with ledger.write() as session:
        session.add(
            tables.Run(id="r", workflow="lead-triage", stage="gated", started_at=utcnow(), heartbeat_at=utcnow())
        )
    approved = allow(wanted("slack.post_message"), state="acting", run_id="r")
    do(approved)
    assert sandbox.posts() == []


@pytest.mark.usefixtures("ledger")
def test_a_marker_is_the_same_for_the_same_action_and_tells_nothing() -> None:
    def marker(key: str) -> str:
        return performers.Attempt(key, {}, lambda _: None, WHEN).marker

    assert marker("lead-triage:gmail:ann@x:1") == marker("lead-triage:gmail:ann@x:1")
    assert marker("a") != marker("b")
    assert "ann" not in marker("lead-triage:gmail:ann@x:1")


@pytest.mark.usefixtures("accounts")
def test_the_blocks_are_read_once_a_process() -> None:
    assert connections.load("slack/team") is connections.load("slack/team")


def test_an_approval_for_one_mailbox_is_no_approval_for_another(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    with ledger.write() as session:
        session.execute(sa.update(tables.Action).values(credential="gmail/other"))
    with pytest.raises(act.Tampered, match="changed afterwards"):
        do(approved)
    assert row(ledger, approved).state == "refused"
    assert sandbox.sent() == []


def test_an_approval_is_used_once_whatever_is_written_into_the_ledger(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    do(approved)
    with ledger.write() as session:
        session.execute(sa.update(tables.Action).values(state="pending", progress=None, attempts=0))
    with pytest.raises(act.Tampered, match="its approval is used up"):
        do(approved)
    assert row(ledger, approved).state == "refused"
    assert len(sandbox.sent()) == 1


def test_the_history_tells_what_was_tried_and_how_it_ended(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    sandbox.fault("rate_limited", "google", "drafts/send")
    with pytest.raises(VendorError):
        do(approved)
    do(approved)
    with ledger.read() as session:
        told = list(session.scalars(sa.select(History.event).order_by(History.id)))
    assert told[1:] == [
        "action wanted", "decision", "action acting", "action pending", "action acting", "receipt",
    ]  # fmt: skip


def test_an_action_that_was_redacted_is_left_as_it_is(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    do(approved)
    with ledger.write() as session:
        session.execute(sa.update(tables.Action).values(payload={}, redacted_at=utcnow()))
    with pytest.raises(NotApproved, match="was closed, and what it held was redacted"):
        do(approved)
    assert row(ledger, approved).state == "done"
    assert len(sandbox.sent()) == 1
    with ledger.read() as session:
        assert "action refused" not in session.scalars(sa.select(History.event)).all()


def test_a_reply_that_changed_its_shape_while_acting_opens_an_alert_and_leaves_the_action_to_do(
    sandbox: Sandbox, ledger: Ledger, wanted: Callable[[str], Action], allow: Allow, do: Callable[[Approved], None]
) -> None:
    approved = allow(wanted("gmail.send_reply"))
    sandbox.fault("renamed_field", "google", "*/threads/*", rename={"id": "thread_key"})
    with pytest.raises(VendorError, match="thread_key"):
        do(approved)
    assert row(ledger, approved).state in ("pending", "unknown")
    (alert,) = alerts.still_open(ledger)
    assert alert.key.startswith("drift:gmail:")
    do(approved)
    assert len(sandbox.sent()) == 1

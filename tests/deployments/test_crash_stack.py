"""kill -9 in the middle: nothing is lost and nothing is done twice, as the vendors themselves see it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import pytest

from blocks.ledger import Action
from tasks import records
from tests.deployments.machinery import Machine, eventually

pytestmark = pytest.mark.slow

MAILS = 40


@pytest.fixture
def crashing(triaged: Machine) -> Iterator[Machine]:
    """The stack, with low-impact actions that pass; it has a worker and no fault again after the test."""
    triaged.earn()  # anew: other tests have rejected this and that
    yield triaged
    triaged.sandbox.clear_faults()
    if "worker" not in triaged.stack.processes:
        triaged.stack.start_worker()


def states(machine: Machine, after: int) -> Counter[str]:
    """How many of the newer records are in each state."""
    return Counter(r.state for r in machine.records(after=after))


def marker(action: Action) -> str:
    """What the vendors can tell the action by."""
    return f"signoff-{hashlib.sha256(action.key.encode()).hexdigest()[:16]}"


def crash(machine: Machine) -> None:
    """The worker and all that it runs are gone at once; another worker comes."""
    machine.stack.restart_worker()


def test_a_triage_that_is_killed_twice_is_finished_by_the_next(crashing: Machine) -> None:
    machine, after = crashing, crashing.newest_record()
    delivered = [
        machine.sandbox.write(
            sender=f"Buyer {n} <buyer{n}@crash{n}.example>",
            subject=f"Demo for {n + 2} loading doors",
            body=f"Hello, we run {n + 2} doors in one warehouse. Could we get a demo next week, and your prices?",
        )
        for n in range(MAILS)
    ]

    machine.start("lead-triage")
    eventually("some records are past fetched", lambda: set(states(machine, after)) - {records.FETCHED}, 200, 0.01)
    crash(machine)
    assert states(machine, after)[records.DONE] < MAILS, "it was killed too late to prove anything"

    machine.start("lead-triage")
    eventually(
        "some low-impact actions are done, others not",
        lambda: {"done", "acting"} & {a.state for a in machine.actions(after=after)},
        200,
        0.01,
    )
    crash(machine)
    assert states(machine, after)[records.DONE] < MAILS, "it was killed too late to prove anything"

    machine.triage()
    assert states(machine, after) == {records.DONE: MAILS}
    held = machine.records(after=after)
    assert sorted(r.external_id for r in held) == sorted(mail.id for mail in delivered)
    keys = Counter(a.key for a in machine.actions(after=after))
    assert set(keys.values()) == {1}
    per_record = Counter(a.record_id for a in machine.actions(after=after))
    assert set(per_record) == {r.id for r in held}
    assert len(set(per_record.values())) == 1, per_record

    for action in machine.actions(after=after):
        assert action.state == ("waiting" if action.impact == "high" else "done"), (action.title, action.reason)
    seen_once(machine, machine.actions(after=after))


def seen_once(machine: Machine, actions: list[Action]) -> None:
    """The pretend company holds what each action that is done made, once."""
    state = machine.sandbox.state()
    bodies = {
        "hubspot.add_note": [note["properties"].get("hs_note_body", "") for note in state["notes"]],
        "hubspot.create_task": [task["properties"].get("hs_task_body", "") for task in state["tasks"]],
    }
    contacts = Counter(contact["properties"].get("email", "").lower() for contact in state["contacts"])
    labels = {mail["id"]: [state["label_names"].get(x, x) for x in mail["labels"]] for mail in state["inbox"]}
    for action in actions:
        if action.kind in bodies:
            assert sum(marker(action) in body for body in bodies[action.kind]) == 1, action.title
        elif action.kind == "hubspot.upsert_contact":
            assert contacts[action.payload["email"].lower()] == 1, action.title
        elif action.kind == "gmail.apply_label":
            assert labels[action.payload["message_id"]].count(action.payload["label"]) == 1, action.title
        elif action.kind == "gmail.send_reply":
            assert machine.sent_in(action) == [], action.title
            drafts = [mail for mail in machine.sandbox.drafts() if mail.header("X-Signoff-Action") == marker(action)]
            assert drafts == [], action.title


@pytest.mark.parametrize("sent", [True, False], ids=["after it was sent", "before it was sent"])
def test_an_approved_reply_whose_worker_is_killed_is_sent_once(crashing: Machine, sent: bool) -> None:
    machine, action = crashing, crashing.waiting()
    machine.sandbox.fault("hang", "google", "drafts/send", seconds=600, commit=sent)
    assert machine.signoff("approvals", "approve", str(action.id), "--as", "Ana").code == 0
    eventually("the reply is being sent", lambda: any(fault["fired"] for fault in machine.sandbox.faults()))
    eventually("the mail is out", lambda: len(machine.sent_in(action)) == sent)
    assert machine.action(action.id).state == "acting"
    machine.stack.kill("worker")
    machine.sandbox.clear_faults()
    machine.stack.start_worker()
    machine.triage()
    assert machine.becomes(action.id, "done", "unknown", "failed").state == "done"
    (mail,) = machine.sent_in(action)
    assert mail.header("X-Signoff-Action") == marker(action)
    assert machine.action(action.id).attempts == 2
    machine.triage()
    assert len(machine.sent_in(action)) == 1
    assert machine.sandbox.drafts() == []


def test_the_reaper_takes_up_the_work_of_a_killed_run_within_a_minute(crashing: Machine) -> None:
    machine, after = crashing, crashing.newest_record()
    for n in range(MAILS):
        machine.sandbox.write(
            sender=f"Reader {n} <reader{n}@reaped{n}.example>",
            subject=f"Demo for {n + 2} gates",
            body=f"Hello, we run {n + 2} gates in one depot. Could we get a demo next week, and your prices?",
        )
    killed = machine.start("lead-triage")
    eventually("some records are past fetched", lambda: set(states(machine, after)) - {records.FETCHED}, 200, 0.01)
    machine.stack.restart_worker()
    assert states(machine, after)[records.DONE] < MAILS, "it was killed too late to prove anything"
    machine.stack.start_reaper()
    try:
        eventually("Prefect knows that it is dead", lambda: machine.state_of(killed) == "Crashed", 120)
        eventually("another run has done its work", lambda: states(machine, after) == {records.DONE: MAILS}, 300)
    finally:
        machine.stack.kill("reaper")
    seen_once(machine, machine.actions(after=after))

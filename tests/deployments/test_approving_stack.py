"""Approve, edit and reject on a real server and worker, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.client import MailSeen
from tests.checkout import copied_to
from tests.deployments.machinery import TRIAGE_SECONDS, Machine, eventually

pytestmark = pytest.mark.slow


def the_one_sent(machine: Machine, number: int) -> MailSeen:
    """Wait until the action is done; the one mail that it sent, in the thread that it answers."""
    action = machine.becomes(number, "done", "failed", "unknown", "rejected")
    assert action.state == "done", action.reason
    (mail,) = machine.sent_in(action)
    assert mail.to == action.payload["to"]
    assert mail.in_reply_to == action.payload["in_reply_to"]
    return mail


def test_an_approved_reply_is_sent_once_as_drafted(triaged: Machine) -> None:
    action = triaged.waiting()
    done = triaged.signoff("approvals", "approve", str(action.id), "--as", "Ana", "--comment", "Good.")
    assert done.code == 0, done.err
    assert action.title in done.out
    mail = the_one_sent(triaged, action.id)
    assert mail.body.split() == action.payload["body"].split()
    decision = triaged.decision(action.id)
    assert decision is not None
    assert (decision.verdict, decision.approver, decision.comment, decision.edited) == (
        "approved",
        "Ana",
        "Good.",
        False,
    )
    assert decision.used_at is not None


def test_whoever_waits_is_told_what_became_of_it(triaged: Machine) -> None:
    action = triaged.waiting()
    done = triaged.signoff("approvals", "approve", str(action.id), "--as", "Ana", "--wait")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"{action.id}  {action.title}: approved, the worker does it now",
        f"{action.id}  {action.title}: done",
    ]
    assert len(triaged.sent_in(action)) == 1


def test_a_refusal_by_the_vendor_is_told_to_whoever_waits(triaged: Machine) -> None:
    action = triaged.waiting()
    triaged.sandbox.fault("bad_request", "google", "/drafts", method="POST")
    done = triaged.signoff("approvals", "approve", str(action.id), "--as", "Ana", "--wait", "--json")
    triaged.sandbox.clear_faults()
    assert done.code == 1, done.out
    (told,) = json.loads(done.out)
    assert (told["decided"], told["state"]) == (True, "failed")
    assert "400" in told["reason"]


def test_a_comment_that_names_no_label_is_told(triaged: Machine) -> None:
    action = triaged.waiting()
    reject = ("approvals", "reject", str(action.id), "--as", "Ben", "--comment")
    said = triaged.signoff(*reject, "intent=suport").refused()
    assert "nothing was decided: intent cannot be suport; it can be demo_request, support" in said
    assert triaged.decision(action.id) is None
    done = triaged.signoff(*reject, "intent: suport")
    assert done.code == 0
    assert "the comment will teach nothing: intent cannot be suport; it can be demo_request, support" in done.err
    assert triaged.decision(action.id).comment == "intent: suport"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["flows/lead_triage.py", "prompts/lead_triage/answer.py"])
def test_what_somebody_is_writing_keeps_no_decision_back(triaged: Machine, tmp_path: Path, name: str) -> None:
    action, checkout = triaged.waiting(), copied_to(tmp_path / "checkout")
    (checkout / name).write_text("def half_a_line(")
    arguments = ("approvals", "reject", str(action.id), "--as", "Ben", "--comment", "intent: suport")
    done = triaged.signoff(*arguments, cwd=checkout)
    assert (done.code, "Traceback" in done.err) == (0, False), done.err
    assert triaged.decision(action.id).comment == "intent: suport"  # type: ignore[union-attr]


def test_a_second_approval_is_refused(triaged: Machine) -> None:
    number = str(triaged.waiting().id)
    assert triaged.signoff("approvals", "approve", number, "--as", "Ana").code == 0
    again = triaged.signoff("approvals", "approve", number, "--as", "Ana").refused()
    assert number in again
    the_one_sent(triaged, int(number))
    after = triaged.signoff("approvals", "reject", number, "--as", "Ana").refused()
    assert "it is done" in after
    assert len(triaged.sent_in(triaged.action(int(number)))) == 1


def test_a_rejected_reply_is_not_sent_and_the_reason_is_kept(triaged: Machine) -> None:
    action = triaged.waiting()
    done = triaged.signoff("approvals", "reject", str(action.id), "--as", "Ben", "--comment", "We do not serve Malta")
    assert done.code == 0, done.err
    action = triaged.becomes(action.id, "rejected", "done")
    assert action.state == "rejected"
    assert action.reason == "We do not serve Malta"
    decision = triaged.decision(action.id)
    assert decision is not None
    assert (decision.verdict, decision.approver, decision.comment) == ("rejected", "Ben", "We do not serve Malta")
    assert triaged.sent_in(action) == []
    eventually("the run ends", lambda: triaged.state_of(str(action.flow_run_id)) == "Completed")


def test_a_text_from_a_file_is_what_is_sent(triaged: Machine, tmp_path: Path) -> None:
    action, text = triaged.waiting(), "Grüße,\n\n- one\n- two\n\nInés"
    (tmp_path / "reply.txt").write_text(text, encoding="utf-8")
    done = triaged.signoff(
        "approvals", "approve", str(action.id), "--as", "Ana", "--body-file", str(tmp_path / "reply.txt")
    )
    assert done.code == 0, done.err
    assert the_one_sent(triaged, action.id).body.split() == text.split()
    decision = triaged.decision(action.id)
    assert decision is not None
    assert decision.edited
    assert decision.payload["body"] == text
    assert decision.payload["to"] == action.payload["to"]
    shown = triaged.signoff("approvals", "show", str(action.id)).out
    assert "approved by Ana on 2" in shown
    assert text in shown.partition("with another text than the draft above:")[2]


def test_a_text_from_stdin_is_what_is_sent(triaged: Machine) -> None:
    number = triaged.waiting().id
    done = triaged.signoff("approvals", "approve", str(number), "--as", "Ana", "--body-file", "-", given="From stdin.")
    assert done.code == 0, done.err
    assert the_one_sent(triaged, number).body.strip() == "From stdin."


def test_a_text_that_cannot_be_read_decides_nothing(triaged: Machine) -> None:
    number = str(triaged.waiting().id)
    message = triaged.signoff("approvals", "approve", number, "--as", "Ana", "--body-file", "/no/such/file").refused()
    assert "/no/such/file" in message
    assert triaged.action(int(number)).state == "waiting"


def test_an_empty_text_decides_nothing(triaged: Machine) -> None:
    number = str(triaged.waiting().id)
    done = triaged.signoff("approvals", "approve", number, "--as", "Ana", "--body-file", "-", given="")
    assert done.code == 1, "an empty text was taken as an answer"
    assert triaged.action(int(number)).state == "waiting"


def test_several_at_once_need_yes_without_a_terminal(triaged: Machine) -> None:
    waiting = {a.id for a in triaged.actions() if a.state == "waiting"}
    done = triaged.signoff("approvals", "reject", "--kind", "gmail.send_reply", "--as", "Ana")
    assert done.code == 1
    assert "--yes" in done.err
    assert all(str(number) in done.out for number in waiting)
    assert {a.id for a in triaged.actions() if a.state == "waiting"} == waiting


def test_several_numbers_with_yes(triaged: Machine) -> None:
    first = triaged.waiting()
    second = next(a for a in triaged.actions() if a.state == "waiting" and a.id > first.id)
    numbers = [str(first.id), str(second.id)]
    done = triaged.signoff("approvals", "reject", *numbers, "--as", "Ana", "--comment", "Both.", "--yes", "--json")
    assert [(row["id"], row["decided"], row["error"]) for row in done.json] == [
        (first.id, True, None),
        (second.id, True, None),
    ]
    for action in (first, second):
        assert triaged.becomes(action.id, "rejected").reason == "Both."
        assert triaged.state_of(str(action.flow_run_id)) == "Rejected"


def test_many_approved_at_once_are_carried_out_by_one_process(triaged: Machine) -> None:
    waiting = [a for a in triaged.actions() if a.state == "waiting" and a.kind == "gmail.send_reply"][-12:]
    numbers = [str(action.id) for action in waiting]
    done = triaged.signoff("approvals", "approve", *numbers, "--as", "Ana", "--yes", "--json")
    assert all(row["decided"] for row in done.json)
    for action in waiting:
        now = triaged.becomes(action.id, "done")
        assert now.flow_run_id == waiting[0].flow_run_id, "its link leads to the run that carried it out"
        assert len(triaged.sent_in(action)) == 1
    states = [triaged.state_of(str(action.flow_run_id)) for action in waiting[1:]]
    assert set(states) == {"Approved"}
    pids = [triaged.ask("GET", f"/flow_runs/{action.flow_run_id}")["infrastructure_pid"] for action in waiting]
    assert [pid for pid in pids if pid] == pids[:1]


def test_a_number_that_does_not_exist(triaged: Machine) -> None:
    assert "999999" in triaged.signoff("approvals", "approve", "999999", "--as", "Ana").refused()
    assert "999999" in triaged.signoff("approvals", "show", "999999").refused()


def test_nothing_to_choose_from_is_said(triaged: Machine) -> None:
    assert "--workflow" in triaged.signoff("approvals", "approve").refused()
    assert "not both" in triaged.signoff("approvals", "approve", "1", "--kind", "gmail.send_reply").refused()
    assert "nothing" in triaged.signoff("approvals", "approve", "--kind", "no.such_kind", "--yes").refused()


def test_the_list_and_its_json(triaged: Machine) -> None:
    waiting = [a for a in triaged.actions() if a.state == "waiting"]
    rows = triaged.signoff("approvals", "list", "--json").json
    assert [row["id"] for row in rows] == [a.id for a in waiting]
    assert {row["url"] for row in rows} == {f"{triaged.stack.url}/runs/flow-run/{a.flow_run_id}" for a in waiting}
    table = triaged.signoff("approvals", "list").out
    assert all(a.title.split()[-1] in table for a in waiting)


def test_one_is_shown_with_all_that_an_approver_needs(triaged: Machine) -> None:
    action = triaged.waiting()
    shown = " ".join(triaged.signoff("approvals", "show", str(action.id)).out.split())
    for part in (action.payload["to"], "Why:", "Answers", *action.payload["body"].split()):
        assert part in shown
    assert triaged.signoff("approvals", "show", str(action.id), "--json").json["payload"] == action.payload


def test_a_run_started_by_hand_asks_before_anything_is_done(triaged: Machine) -> None:
    action = triaged.waiting()
    by_hand = triaged.start("perform-action", action_id=action.id)
    eventually("the run suspends", lambda: triaged.state_of(by_hand) in ("Suspended", "Failed", "Completed", "Crashed"))
    assert triaged.state_of(by_hand) == "Suspended"
    assert triaged.action(action.id).state == "waiting"
    assert triaged.sent_in(action) == []
    answer = {"decision": "approve", "approver": "Ana", "comment": "", "body": "Decided in the run by hand."}
    resumed = triaged.ask("POST", f"/flow_runs/{by_hand}/resume", run_input=answer)
    assert resumed["status"] == "ACCEPT", resumed
    # Prefect may lose a resume that comes while the suspending process is still ending; the answer itself is not lost.
    next_run = ("deployment", "run", "lead-triage/lead-triage", "--watch", "--watch-timeout", str(TRIAGE_SECONDS))
    assert triaged.prefect(*next_run).code == 0
    assert the_one_sent(triaged, action.id).body.strip() == "Decided in the run by hand."
    assert "it is done" in triaged.signoff("approvals", "approve", str(action.id), "--as", "Ana").refused()


def test_an_approval_given_while_no_worker_runs_is_carried_out_by_the_next(triaged: Machine) -> None:
    action = triaged.waiting()
    triaged.stack.kill("worker")
    assert triaged.signoff("approvals", "approve", str(action.id), "--as", "Ana").code == 0
    assert triaged.action(action.id).state == "pending"
    triaged.stack.start_worker()
    the_one_sent(triaged, action.id)

"""`signoff inbox`, approving by rule, and passing on, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from blocks.ledger import Ledger
from deployments.inbox.sessions import Doors
from sandbox.client import Sandbox
from tests.deciding import MARA, TOM, Desk, contact, note, refund, reply
from tests.deployments.machinery import Finished
from tests.telling import mails

Signoff = Callable[..., Finished]


@pytest.fixture
def desk(ledger: Ledger) -> Desk:
    return Desk(ledger)


class TestByRule:
    @pytest.fixture(autouse=True)
    def _waits(
        self,
        desk: Desk,
        deployment: UUID,  # noqa: ARG002
    ) -> None:
        desk.put(reply(), note(), contact())
        desk.put(note("bo@x.example"), confidence=0.6)
        desk.put(refund(), workflow="billing-agent", confidence="x")

    def test_what_matches_is_shown_and_then_approved(self, in_process: Signoff, desk: Desk) -> None:
        rule = "kind = hubspot.add_note and confidence >= 0.9 and age > 1h"
        shown = in_process("approvals", "approve", "--where", rule, "--dry-run")
        assert shown.code == 0
        assert "Note on ann@northwind.example" in shown.out
        assert "1 match. Nothing was decided" in shown.out
        assert max(map(len, shown.out.splitlines())) <= 80
        assert "add --yes to approve them all" in in_process("approvals", "approve", "--where", rule).refused()
        assert set(desk.states()) == {"waiting"}
        done = in_process("approvals", "approve", "--where", rule, "--yes", "--as", TOM)
        assert done.code == 0, done.err
        assert desk.states() == ["waiting", "pending", "waiting", "waiting", "waiting"]
        decision = desk.decision(2)
        assert decision is not None
        assert decision.approver == TOM

    def test_high_impact_is_left_out_unless_it_is_named(self, in_process: Signoff, desk: Desk) -> None:
        found = in_process("approvals", "approve", "--where", "age > 1h", "--dry-run", "--json")
        assert [one["id"] for one in json.loads(found.out)] == [2, 3, 4]
        assert "2 high-impact left out: name the kind (gmail.send_reply, stripe.refund)" in " ".join(found.err.split())
        found = in_process("approvals", "approve", "--where", "kind = stripe.refund and amount < 50 eur", "--yes")
        assert found.code == 0, found.err
        assert desk.states() == ["waiting"] * 4 + ["pending"]

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (["--where", "knd = x"], "character 1, “knd”: there is no such field"),
            (["--where", "confidence > 0.99"], "nothing that waits matches this rule"),
            (["--dry-run"], "--dry-run goes with a rule"),
            (["1", "--where", "age > 1h"], "give --where alone"),
            (["--where", "age > 1h", "--kind", "hubspot.add_note"], "give --where alone"),
        ],
    )
    def test_mistakes(self, in_process: Signoff, desk: Desk, arguments: list[str], why: str) -> None:
        assert why in in_process("approvals", "approve", *arguments).refused()
        assert set(desk.states()) == {"waiting"}


@pytest.mark.usefixtures("accounts")
def test_it_is_passed_on_and_the_person_is_told(in_process: Signoff, desk: Desk, sandbox: Sandbox) -> None:
    (number,) = desk.put(reply(), forms=False)
    done = in_process("approvals", "assign", str(number), MARA, "--comment", "You know them", "--as", TOM)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == f"{MARA} is asked to decide on action {number}."
    assert f"gmail/inbox/{MARA}: sent" in done.out
    assert "You know them" in mails(sandbox, MARA)[0]
    stranger = in_process("approvals", "assign", str(number), "eve@elsewhere.example")
    assert "may not decide for lead-triage" in stranger.refused()
    assert "there is no action 99" in in_process("approvals", "assign", "99", MARA).refused()


class TestOpening:
    @pytest.fixture(autouse=True)
    def _home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("deployments.inbox.open.HOME", tmp_path)
        monkeypatch.setenv("SIGNOFF_RECEIVER_URL", "http://127.0.0.1:4999")

    def test_a_link_that_counts_once_is_printed_and_opened(
        self, in_process: Signoff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[str] = []
        monkeypatch.setattr("deployments.inbox.open.answers", lambda _: True)
        monkeypatch.setattr("webbrowser.open", opened.append)
        done = in_process("inbox", "--as", "Tom@dockwell.example")
        assert done.out.startswith(
            "For tom@dockwell.example, once, within 10 minutes:\nhttp://127.0.0.1:4999/inbox/login#"
        )
        (link,) = opened
        assert link in done.out
        doors = Doors(tmp_path / "inbox" / "codes")
        code = link.partition("#")[2]
        assert (doors.enter(code), doors.enter(code)) == (TOM, None)
        in_process("inbox", "--as", TOM, "--no-browser")
        assert len(opened) == 1

    def test_who_you_are_must_be_known(self, in_process: Signoff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("deployments.inbox.open.answers", lambda _: True)
        assert "may not decide anywhere: the cards name" in in_process("inbox", "--as", "eve@x.example").refused()
        assert "say who you are: --as" in in_process("inbox").refused()

    def test_there_must_be_a_receiver(self, in_process: Signoff) -> None:
        assert "nothing answers at http://127.0.0.1:4999" in in_process("inbox", "--as", TOM).refused()

"""`signoff quarantine` and `signoff alerts` as people and programs see them; no server is needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from blocks.ledger import Ledger, ModelCall, Record, Run, utcnow
from tasks import alerts
from tests.deployments.machinery import Finished, clean_environment, run

COMMANDS: list[list[str]] = [
    ["alerts"], ["quarantine"], ["quarantine", "list"], ["quarantine", "show"], ["quarantine", "replay"],
]  # fmt: skip
REASON = "no usable answer after 3 attempts: the answer is not JSON"


Signoff = Callable[..., Finished]


@pytest.fixture
def signoff(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, in_process: Signoff) -> Signoff:  # noqa: ARG001
    """Runs `signoff ...`, on a ledger of its own; no event is sent, since no server is there."""
    monkeypatch.setattr("prefect.events.emit_event", lambda **_: None)
    return in_process


def add(ledger: Ledger, state: str = "quarantined", **changes: Any) -> int:
    fields: dict[str, Any] = {
        "workflow": "lead-triage",
        "source": "gmail:hello@company.example",
        "external_id": f"m{utcnow().timestamp()}",
        "title": "Prices",
        "payload": {"sender": "ann@northwind.example", "text": "How much is it?"},
        "state": state,
        "reason": REASON,
    }
    with ledger.write() as session:
        record = Record(**fields | changes)
        session.add(record)
        session.flush()
        return record.id


def state_of(ledger: Ledger, number: int) -> str:
    with ledger.read() as session:
        return session.get_one(Record, number).state


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fits_80_columns(command: list[str]) -> None:
    done = run(["signoff", *command, "--help"], clean_environment())
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert f"Usage: {' '.join(['signoff', *command])}" in done.out


class TestQuarantine:
    def test_empty(self, signoff: Signoff) -> None:
        assert signoff("quarantine", "list").out.strip() == "Nothing is set aside."
        assert signoff("quarantine", "list", "--json").json == []
        assert "nothing is set aside" in signoff("quarantine", "replay", "--all").refused()

    def test_list_tells_what_and_why_at_80_columns(self, signoff: Signoff, ledger: Ledger) -> None:
        number = add(ledger, title="Pric\x1b[2Jes", reason="x" * 200)
        other = add(ledger, reason="malformed: odd")
        listed = signoff("quarantine", "list")
        assert max(map(len, listed.out.splitlines())) <= 80
        assert "\x1b" not in listed.out
        assert "ann@northwind.example" in listed.out
        assert "2 set aside" in listed.out
        assert f"{number:>5}  " in listed.out
        only = signoff("quarantine", "list", "--reason", "MALFORMED", "--json").json
        assert [(r["id"], r["reason"], r["replayable"]) for r in only] == [(other, "malformed: odd", True)]
        none = signoff("quarantine", "list", "--workflow", "billing-agent")
        assert none.out.strip() == "No record matches."
        wrong = signoff("quarantine", "list", "--workflow", "billing").refused()
        assert "there is no workflow billing; there are billing-agent, " in wrong

    def test_show_tells_mail_reason_and_answers(self, signoff: Signoff, ledger: Ledger) -> None:
        number = add(ledger)
        with ledger.write() as session:
            now = utcnow()
            session.add(Run(id="r", workflow="lead-triage", stage="gated", started_at=now, heartbeat_at=now))
            session.flush()
            session.add(
                ModelCall(
                    workflow="lead-triage", record_id=number, run_id="r", prompt="p", prompt_version="v", model="m",
                    attempt=1, reply="Sure! Here it is", stop_reason="end_turn", input_tokens=1, output_tokens=1,
                    cost=0, seconds=1,
                )
            )  # fmt: skip
        shown = signoff("quarantine", "show", str(number))
        for said in (REASON, "How much is it?", "Sure! Here it is", f"signoff quarantine replay {number}"):
            assert said in " ".join(shown.out.split())
        as_json = signoff("quarantine", "show", str(number), "--json").json
        assert as_json["payload"]["text"] == "How much is it?"
        assert [answer["reply"] for answer in as_json["answers"]] == ["Sure! Here it is"]
        assert "no record 99" in signoff("quarantine", "show", "99").refused()

    def test_replay_by_number(self, signoff: Signoff, ledger: Ledger) -> None:
        one, two = add(ledger), add(ledger)
        done = signoff("quarantine", "replay", str(one))
        assert done.code == 0
        assert f"{one}  Prices: put back" in done.out
        assert "The next run of lead-triage takes them from the start" in done.out
        assert (state_of(ledger, one), state_of(ledger, two)) == ("replay", "quarantined")
        again = signoff("quarantine", "replay", str(one)).refused()
        assert f"record {one} (Prices) cannot be replayed: it is not quarantined: it is put back already" in again

    def test_replay_by_filter_asks_first(self, signoff: Signoff, ledger: Ledger) -> None:
        one = add(ledger)
        two = add(ledger, reason="malformed: odd")
        gone = add(ledger, redacted_at=datetime(2026, 11, 1, tzinfo=UTC))
        refused = signoff("quarantine", "replay", "--all").refused()
        assert "2 match: add --yes" in refused
        done = signoff("quarantine", "replay", "--reason", "malformed", "--yes", "--json")
        assert [(r["id"], r["replayed"]) for r in done.json] == [(two, True)]
        assert signoff("quarantine", "replay", "--all", "--yes").code == 0
        assert [state_of(ledger, n) for n in (one, two, gone)] == ["replay", "replay", "quarantined"]

    def test_replay_says_what_is_wrong_and_the_way_out(self, signoff: Signoff, ledger: Ledger) -> None:
        done, gone = add(ledger, "done"), add(ledger, redacted_at=datetime(2026, 11, 1, tzinfo=UTC))
        for arguments, said in (
            ([], "say which: numbers from `signoff quarantine list`"),
            ([str(done), "--all"], "give numbers or a filter, not both"),
            ([str(done)], "it is not quarantined: it is done"),
            ([str(gone)], "its content was redacted on 01 Nov 2026"),
            (["99"], "no record 99: see signoff quarantine list"),
            (["--reason", "nowhere", "--yes"], "nothing that is set aside matches"),
        ):
            assert said in signoff("quarantine", "replay", *arguments).refused()


class TestAlerts:
    def test_none(self, signoff: Signoff) -> None:
        assert signoff("alerts").out.strip() == "No alert is open."
        assert signoff("alerts", "--all").out.strip() == "There never was an alert."
        assert signoff("alerts", "--json").json == []

    def test_open_ones_are_told_whole_at_80_columns(self, signoff: Signoff, ledger: Ledger) -> None:
        message = "hubspot: contact.firstname is missing from the reply (first_name is new). " + "word " * 40
        alerts.open_alert(ledger, "drift:hubspot:contact.firstname", message, "lead-triage")
        alerts.open_alert(ledger, "drift:hubspot:contact.firstname", message, "lead-triage")
        alerts.open_alert(ledger, "over", "was down\x1b[2J")
        alerts.close_alert(ledger, "over")
        shown = signoff("alerts")
        assert max(map(len, shown.out.splitlines())) <= 80
        assert " ".join(message.split()) in " ".join(shown.out.split())
        assert "met 2 times" in shown.out
        assert "1 open." in shown.out
        assert "was down" not in shown.out
        every = signoff("alerts", "--all")
        assert "was down" in every.out
        assert "\x1b" not in every.out
        as_json = signoff("alerts", "--json").json
        assert [(a["key"], a["times"], a["closed_at"]) for a in as_json] == [
            ("drift:hubspot:contact.firstname", 2, None)
        ]

    def test_check_mentions_them(self, ledger: Ledger) -> None:
        from deployments.alerts import reminder

        assert reminder(ledger) == ""
        alerts.open_alert(ledger, "a", "x")
        assert reminder(ledger) == "1 alert is open: signoff alerts"
        alerts.open_alert(ledger, "b", "x")
        assert reminder(ledger) == "2 alerts are open: signoff alerts"

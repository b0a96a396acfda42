"""Replay through the whole flow: set aside, mended, put back, done once."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, Ledger, ModelCall, Record
from blocks.mail import MalformedMail
from flows.lead_triage import lead_triage
from sandbox.client import Sandbox
from tasks import fetch, gate, quarantine, records

Answer = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("deployment", "fast_retries")


@pytest.fixture
def spam(accounts: Callable[[], None], sandbox: Sandbox, triaged: Answer) -> dict[str, Any]:
    """What the model says of everything, unless it is told otherwise."""
    accounts()
    sandbox.write(sender="ann@northwind.example", subject="Prices", body="How much?")
    return {"json": triaged("spam", urgency="low", reply=""), "times": None}


def the(ledger: Ledger) -> Record:
    with ledger.read() as session:
        return session.scalars(sa.select(Record)).one()


def actions(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger.read() as session:
        return [(a.kind, a.state) for a in session.scalars(sa.select(Action).order_by(Action.id))]


def labels(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [call for call in sandbox.requests("google") if call["path"].endswith("/modify")]


def test_malformed_mail_that_todays_code_can_read(
    spam: dict[str, Any], sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.script(spam)

    def yesterdays(*_: Any, **__: Any) -> Any:
        raise MalformedMail("odd")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "parse", yesterdays)
        assert lead_triage().records == {"quarantined": 1}
    quarantine.replay(ledger, [1], by="Ann")
    assert lead_triage().records == {"done": 1}
    assert actions(ledger) == [("gmail.apply_label", "done")]
    assert lead_triage().records == {}
    assert len(labels(sandbox)) == 1


def test_a_model_that_answered_prose_is_asked_anew_with_all_its_attempts(
    spam: dict[str, Any], sandbox: Sandbox, ledger: Ledger
) -> None:
    sandbox.script({"fault": "prose", "times": None})
    assert lead_triage().records == {"quarantined": 1}
    asked = len(sandbox.model_calls())
    assert "no usable answer after 3 attempts" in (the(ledger).reason or "")
    sandbox.clear_script()
    sandbox.script({"fault": "prose", "times": 2}, spam)  # what it got wrong before does not count
    quarantine.replay(ledger, [1], by="Ann")
    assert lead_triage().records == {"done": 1}
    assert len(sandbox.model_calls()) == asked + 3
    with ledger.read() as session:
        attempts = session.scalars(sa.select(ModelCall.attempt).order_by(ModelCall.id)).all()
    assert attempts == [1, 2, 3, 1, 2, 3]
    assert actions(ledger) == [("gmail.apply_label", "done")]


def test_what_was_refused_by_the_suite_and_is_let_through_now(
    spam: dict[str, Any], sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.script(spam)
    sandbox.reset()
    sandbox.script(spam)
    sandbox.write(sender="ann@northwind.example", subject="", body="")
    assert lead_triage().records == {"quarantined": 1}
    quarantine.replay(ledger, [1], by="Ann")
    monkeypatch.setattr("tasks.checks.answerable", lambda: [])
    assert lead_triage().records == {"done": 1}


def test_a_record_that_has_actions_never_wants_them_twice(
    spam: dict[str, Any], sandbox: Sandbox, ledger: Ledger, triaged: Answer
) -> None:
    """It was done, and then set aside by hand: its label is there, and another answer wants more."""
    sandbox.script(spam)
    assert lead_triage().records == {"done": 1}
    with ledger.write() as session:
        session.execute(sa.update(Record).values(records.quarantine(1, "somebody doubts it") | {"id": 1}))
    quarantine.replay(ledger, [1], by="Ann")
    assert lead_triage().records == {"done": 1}
    assert actions(ledger) == [("gmail.apply_label", "done")]
    assert len(labels(sandbox)) == 1

    sandbox.clear_script()
    sandbox.script({"json": triaged("partnership", reply="Hello Ann"), "times": None})
    with ledger.write() as session:
        session.execute(sa.update(Record).values(state=records.QUARANTINED, reason="the model was wrong"))
    quarantine.replay(ledger, [1], by="Ann")
    lead_triage()
    wanted = [kind for kind, _ in actions(ledger)]
    assert sorted(wanted) == sorted(set(wanted))
    assert len(labels(sandbox)) == 1  # the label that was there keeps its key, whatever the new answer wants
    assert (len(sandbox.records("notes")), sandbox.sent()) == (1, [])


def test_a_run_that_dies_after_the_actions_were_stored_and_is_replayed(
    spam: dict[str, Any], sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.script(spam)

    def crash(*_: Any) -> None:
        raise RuntimeError("died")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.act.perform", crash)
        with pytest.raises(RuntimeError, match="died"):
            lead_triage()
    assert actions(ledger) == [("gmail.apply_label", "pending")]
    with ledger.write() as session:
        session.execute(sa.update(Record).values(state=records.QUARANTINED, reason="set aside in the middle"))
    quarantine.replay(ledger, [1], by="Ann")
    assert lead_triage().records == {"done": 1}
    assert actions(ledger) == [("gmail.apply_label", "done")]
    assert len(labels(sandbox)) == 1
    assert gate._key(the(ledger), "gmail.apply_label", 1).endswith(":1:gmail.apply_label")

"""`signoff audit verify` finds whatever was done past Signoff, and says nothing where nothing was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, Decision, History, Ledger, history
from blocks.mail import Email
from tasks import audit, retention
from tasks.audit import AuditError, Head
from tests.work import Work, add_work, rows, tamper

MakeEmail = Callable[..., Email]

pytestmark = pytest.mark.both_databases


@pytest.fixture
def work(ledger: Ledger, email: MakeEmail) -> Work:
    """The second of three records' rows."""
    add_work(ledger, email())
    middle = add_work(ledger, email())
    add_work(ledger, email())
    return middle


def found(ledger: Ledger, expect: str | None = None) -> dict[str, str]:
    return {finding.subject: finding.means for finding in audit.verify(ledger, expect).findings}


def compute_anew(ledger: Ledger, *, since: int) -> None:
    """What somebody would do who knows how the chain is made: every hash from this row on."""
    with ledger.read() as session:
        told = list(session.scalars(sa.select(History).order_by(History.id)))
    previous = history.GENESIS
    changes = []
    for row in told:
        if row.id >= since:
            digest = history.link(row.at, row.event, row.subject, row.detail, row.seal, previous)
            changes.append((row.id, previous, digest))
            previous = digest
        else:
            previous = row.hash
    for number, before, digest in changes:
        tamper(
            ledger,
            "UPDATE history SET previous = :before, hash = :digest WHERE id = :id",
            before=bytes.fromhex(before), digest=bytes.fromhex(digest), id=number,
        )  # fmt: skip


def number_of(ledger: Ledger, subject: str) -> int:
    with ledger.read() as session:
        return session.scalars(sa.select(History.id).where(History.subject == subject)).first() or 0


class TestNothingWrong:
    @pytest.mark.usefixtures("work")
    def test_everything_is_counted(self, ledger: Ledger) -> None:
        checked = audit.verify(ledger)
        assert checked.passed
        assert checked.history == 1 + 3 * 6
        assert checked.sealed == {"model_calls": 3, "actions": 3, "decisions": 3, "receipts": 3, "tool_calls": 3}
        assert (checked.redacted, checked.older, checked.noted, checked.more) == (0, 0, None, 0)
        assert checked.head == audit.head(ledger)
        assert checked.head.number == rows(ledger, "history")[-1]["id"]

    def test_an_empty_ledger_has_the_beginning_only(self, ledger: Ledger) -> None:
        checked = audit.verify(ledger)
        assert (checked.passed, checked.history, checked.sealed) == (True, 1, {})
        assert checked.head.hash != history.GENESIS

    def test_what_may_change_may_change(self, ledger: Ledger, work: Work) -> None:
        with ledger.write() as session:
            action = session.get_one(Action, work.action)
            action.state, action.attempts, action.reason = "unknown", 7, "who knows"
            session.get_one(Decision, work.decision).used_at = action.updated_at
        assert audit.verify(ledger).passed

    @pytest.mark.parametrize("page", [1, 2, 5, 16])
    def test_pages_make_no_difference(
        self, ledger: Ledger, work: Work, monkeypatch: pytest.MonkeyPatch, page: int
    ) -> None:
        monkeypatch.setattr(audit, "PAGE", page)
        checked = audit.verify(ledger)
        assert (checked.passed, checked.history, sum(checked.sealed.values())) == (True, 19, 15)
        tamper(ledger, "UPDATE decisions SET approver = 'Mallory' WHERE id = :id", id=work.decision)
        assert set(found(ledger)) == {f"decisions/{work.decision}"}

    def test_what_is_written_meanwhile_is_no_finding(
        self, ledger: Ledger, work: Work, email: MakeEmail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages = audit._Check._pages
        written: list[Work] = []

        def pages_and_a_writer(self: Any) -> Any:
            for page in pages(self):
                if not written:
                    written.append(add_work(ledger, email()))
                    retention.redact(ledger, [work.record], by="Mara")
                yield page

        monkeypatch.setattr(audit, "PAGE", 3)
        monkeypatch.setattr(audit._Check, "_pages", pages_and_a_writer)
        assert found(ledger) == {}
        assert written


class TestTheHistory:
    @pytest.mark.parametrize(
        "change", ["event = 'x'", "subject = 'runs/1'", "detail = '{}'", "seal = NULL", "at = '2020-01-01 00:00:00'"]
    )
    def test_a_changed_row(self, ledger: Ledger, work: Work, change: str) -> None:
        number = number_of(ledger, f"decisions/{work.decision}")
        tamper(ledger, f"UPDATE history SET {change} WHERE id = :id", id=number)
        assert "was changed" in found(ledger)[f"history/{number}"]

    def test_a_changed_row_whose_hash_was_computed_anew(self, ledger: Ledger, work: Work) -> None:
        number = number_of(ledger, f"decisions/{work.decision}")
        with ledger.read() as session:
            row = session.get_one(History, number)
        forged = row.detail | {"approver": "Mallory"}
        digest = history.link(row.at, row.event, row.subject, forged, row.seal, row.previous)
        tamper(ledger, "UPDATE history SET hash = :digest WHERE id = :id", digest=bytes.fromhex(digest), id=number)
        with ledger.engine.connect() as connection, connection.begin():
            connection.execute(sa.update(History).where(History.id == number).values(detail=forged))
        assert set(found(ledger)) == {f"history/{number + 1}"}

    def test_a_deleted_row(self, ledger: Ledger, work: Work) -> None:
        number = number_of(ledger, f"actions/{work.action}")
        tamper(ledger, "DELETE FROM history WHERE id = :id", id=number)
        findings = found(ledger)
        assert "does not follow" in findings[f"history/{number + 1}"]

    @pytest.mark.usefixtures("work")
    def test_a_deleted_beginning(self, ledger: Ledger) -> None:
        tamper(ledger, "DELETE FROM history WHERE id <= 2")
        assert "others came before it" in found(ledger)["history/3"]

    @pytest.mark.usefixtures("work")
    def test_two_rows_that_changed_places(self, ledger: Ledger) -> None:
        for old, new in ((4, -4), (5, 4), (-4, 5)):
            tamper(ledger, "UPDATE history SET id = :new WHERE id = :old", old=old, new=new)
        assert {"history/4", "history/5", "history/6"} <= set(found(ledger))

    @pytest.mark.usefixtures("work")
    def test_a_row_in_front_of_the_beginning(self, ledger: Ledger) -> None:
        copied = (
            "INSERT INTO history (id, at, event, subject, detail, previous, hash) "
            "SELECT 0, at, 'decision', 'decisions/9', detail, previous, 'x' FROM history WHERE id = 1"
        )
        tamper(ledger, copied)
        assert {"history/0", "history/1"} <= set(found(ledger))

    @pytest.mark.usefixtures("work")
    def test_a_hash_that_is_none_stops_no_work(self, ledger: Ledger, email: MakeEmail) -> None:
        newest = audit.head(ledger).number
        tamper(ledger, "UPDATE history SET hash = 'x' WHERE id = :id", id=newest)
        add_work(ledger, email())
        assert set(found(ledger)) == {f"history/{newest}"}

    def test_everything_deleted(self, ledger: Ledger, work: Work) -> None:
        tamper(ledger, "DELETE FROM history")
        findings = found(ledger)
        assert "every row of it was deleted" in findings["history"]
        assert work.subjects <= set(findings)
        assert audit.head(ledger) == Head(number=0, hash=history.GENESIS)

    @pytest.mark.usefixtures("work")
    def test_another_beginning(self, ledger: Ledger) -> None:
        """All hashes fit; but what does not begin like a history has left something out."""
        tamper(ledger, "UPDATE history SET event = 'noted' WHERE id = 1")
        compute_anew(ledger, since=1)
        assert "is not the first row of a history" in found(ledger)["history/1"]


class TestNotedHeads:
    @pytest.mark.usefixtures("work")
    def test_a_head_that_was_noted_down_is_found_again(self, ledger: Ledger, email: MakeEmail) -> None:
        noted = audit.head(ledger)
        add_work(ledger, email())
        for text in (noted.hash, f" {noted.hash.upper()}\n", noted.short):
            checked = audit.verify(ledger, expect=text)
            assert (checked.passed, checked.noted) == (True, noted.number)

    def test_a_cut_end_shows_only_against_it(self, ledger: Ledger, work: Work) -> None:
        noted = audit.head(ledger)
        with ledger.write() as session:
            history.note(session, "action unknown", f"actions/{work.action}")
        later = audit.head(ledger)
        tamper(ledger, "DELETE FROM history WHERE id > :id", id=noted.number)
        assert found(ledger) == {}
        assert found(ledger, noted.hash) == {}
        assert "its end was cut off" in found(ledger, later.hash)["history"]

    def test_an_end_that_was_computed_anew_shows_only_against_it(self, ledger: Ledger, work: Work) -> None:
        noted = audit.head(ledger)
        number = number_of(ledger, f"decisions/{work.decision}")
        with ledger.engine.connect() as connection, connection.begin():
            connection.execute(sa.update(Decision).where(Decision.id == work.decision).values(approver="Mallory"))
        with ledger.read() as session:
            seal = history.seal_of(session.get_one(Decision, work.decision))
        tamper(ledger, "UPDATE history SET seal = :seal WHERE id = :id", seal=bytes.fromhex(seal), id=number)
        compute_anew(ledger, since=number)
        assert found(ledger) == {}
        assert "computed anew" in found(ledger, noted.hash)["history"]

    @pytest.mark.parametrize("text", ["", "abc", "g" * 64, "a" * 65, "row 12"])
    def test_what_is_no_hash_is_refused(self, ledger: Ledger, text: str) -> None:
        with pytest.raises(AuditError, match="is no hash of the history"):
            audit.verify(ledger, expect=text)


class TestSealedRows:
    @pytest.mark.parametrize(
        ("table", "change"),
        [
            ("actions", "payload = '{}'"),
            ("actions", "title = 'Send reply to nobody'"),
            ("actions", "explanation = 'All is well'"),
            ("actions", "credential = 'gmail/other'"),
            ("decisions", "verdict = 'rejected'"),
            ("decisions", "approver = 'Mallory'"),
            ("decisions", "payload = '{}'"),
            ("receipts", "external_id = 'another'"),
            ("model_calls", "cost = 1"),
            ("model_calls", "reply = '{}'"),
        ],
    )
    @pytest.mark.usefixtures("work")
    def test_a_changed_one(self, ledger: Ledger, table: str, change: str) -> None:
        tamper(ledger, f"UPDATE {table} SET {change} WHERE id = 2")
        assert found(ledger) == {f"{table}/2": "was changed after it was written"}

    @pytest.mark.parametrize("table", ["actions", "decisions", "receipts", "model_calls"])
    @pytest.mark.usefixtures("work")
    def test_a_deleted_one(self, ledger: Ledger, table: str) -> None:
        tamper(ledger, f"DELETE FROM {table} WHERE id = 2")
        findings = found(ledger)
        assert set(findings) == {f"{table}/2"}
        assert findings[f"{table}/2"].startswith("was deleted")

    @pytest.mark.usefixtures("work")
    def test_a_decision_that_nobody_took(self, ledger: Ledger) -> None:
        copied = (
            "INSERT INTO decisions (id, action_id, verdict, approver, comment, payload, digest, edited, created_at) "
            "SELECT 99, 99, 'approved', approver, comment, payload, digest, edited, created_at "
            "FROM decisions WHERE id = 2"
        )
        tamper(ledger, copied)
        assert found(ledger) == {"decisions/99": "was put in past Signoff: the history knows nothing of it"}

    def test_more_than_can_be_told_is_counted(self, ledger: Ledger, email: MakeEmail) -> None:
        for _ in range(8):
            add_work(ledger, email())
        for table in ("actions", "decisions", "receipts"):
            tamper(ledger, f"UPDATE {table} SET created_at = '2020-01-01 00:00:00'")
        checked = audit.verify(ledger)
        assert (len(checked.findings), checked.more) == (20, 4)


class TestRedactedRows:
    @pytest.fixture
    def redacted(self, ledger: Ledger, work: Work) -> Work:
        retention.redact(ledger, [work.record], by="Mara")
        assert found(ledger) == {}
        return work

    @pytest.mark.usefixtures("redacted")
    def test_are_counted(self, ledger: Ledger) -> None:
        checked = audit.verify(ledger)
        assert (checked.redacted, sum(checked.sealed.values())) == (7, 10)

    @pytest.mark.parametrize("table", ["records", "actions", "decisions", "receipts", "model_calls"])
    @pytest.mark.usefixtures("work")
    def test_a_mark_that_the_history_knows_nothing_of(self, ledger: Ledger, table: str) -> None:
        """It would be the way to change a row unseen, if the mark alone were believed."""
        tamper(ledger, f"UPDATE {table} SET redacted_at = created_at WHERE id = 2")
        assert found(ledger) == {f"{table}/2": "is marked as redacted, but the history knows of no redaction"}

    @pytest.mark.parametrize("table", ["records", "actions", "decisions", "receipts", "model_calls"])
    @pytest.mark.usefixtures("redacted")
    def test_a_mark_that_was_taken_away(self, ledger: Ledger, table: str) -> None:
        tamper(ledger, f"UPDATE {table} SET redacted_at = NULL WHERE id = 2")
        assert set(found(ledger)) == {f"{table}/2"}

    def test_are_sealed_anew(self, ledger: Ledger, redacted: Work) -> None:
        tamper(ledger, "UPDATE decisions SET approver = 'Mallory' WHERE id = :id", id=redacted.decision)
        assert found(ledger) == {f"decisions/{redacted.decision}": "was changed after it was redacted"}

    def test_cannot_be_deleted_unseen(self, ledger: Ledger, redacted: Work) -> None:
        tamper(ledger, "DELETE FROM records WHERE id = :id", id=redacted.record)
        assert found(ledger)[f"records/{redacted.record}"].startswith("was deleted")


class TestStory:
    def test_tells_all_of_an_action_and_of_no_other(self, ledger: Ledger, work: Work) -> None:
        action, events = audit.story(ledger, work.action)
        assert action
        assert action.id == work.action
        told = [(event.event, event.subject) for event in events]
        assert told == [
            ("action wanted", f"actions/{work.action}"),
            ("model call", f"model_calls/{work.call}"),
            ("decision", f"decisions/{work.decision}"),
            ("receipt", f"receipts/{work.receipt}"),
            ("tool call", f"tool_calls/{work.tool_call}"),
            ("action acting", f"actions/{work.action}"),
        ]
        assert [event.number for event in events] == sorted(event.number for event in events)
        assert events[2].detail["approver"] == "Mara"

    def test_tells_of_its_redaction(self, ledger: Ledger, work: Work) -> None:
        retention.redact(ledger, [work.record], by="Mara")
        _, events = audit.story(ledger, work.action)
        redactions = {event.subject for event in events if event.event == history.REDACTED}
        assert redactions == work.subjects | {f"records/{work.record}"}

    def test_outlives_the_row(self, ledger: Ledger, work: Work) -> None:
        tamper(ledger, "DELETE FROM actions WHERE id = :id", id=work.action)
        action, events = audit.story(ledger, work.action)
        assert action is None
        assert {event.event for event in events} == {"action wanted", "decision", "receipt", "action acting"}

    def test_of_an_action_that_never_was(self, ledger: Ledger) -> None:
        with pytest.raises(AuditError, match="there is no action 99"):
            audit.story(ledger, 99)


def test_memory_does_not_grow_with_the_ledger(
    ledger: Ledger, email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more rows at once than a page has, however many there are."""
    for _ in range(6):
        add_work(ledger, email())
    most = 0
    fetch = audit._Check._fetch

    def counted(self: Any, query: Any) -> Any:
        nonlocal most
        fetched = fetch(self, query)
        most = max(most, len(fetched))
        return fetched

    monkeypatch.setattr(audit, "PAGE", 4)
    monkeypatch.setattr(audit._Check, "_fetch", counted)
    assert audit.verify(ledger).passed
    assert most == 4

"""The manual mirror: which records are to be done, what is kept of them, and what is measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import prompts
from blocks.ledger import Ledger, Mirror, Record, utcnow
from blocks.mail.saved import NoSavedMail
from flows.lead_triage import CARD, variables
from tasks import mirror, quarantine, records, retention
from tasks.lessons import Source
from tasks.mirror import Agreement, Done, Stopwatch, Work
from tasks.quarantine import QuarantineError
from tasks.tickets import AskedByTicket

SOURCE = Source(CARD, variables)
WORKFLOW = CARD.workflow
MAIL = "From: Ann Berg <ann@northwind.example>\r\nSubject: {}\r\nDate: Mon, 2 Mar 2026 09:30:00 +0000\r\n\r\n{}\r\n"
Add = Callable[..., int]


def done(intent: str = "support", *, minutes: float = 2, failed: bool = False, steps: tuple[str, ...] = ()) -> Done:
    return Done({"intent": intent, "urgency": "normal"}, list(steps), minutes * 60, failed)


def ids(found: tuple[list[Work], int]) -> list[int]:
    return [work.record.id for work in found[0]]


def record(ledger: Ledger, number: int) -> Record:
    with ledger.read() as session:
        return session.get_one(Record, number)


def change(ledger: Ledger, number: int, **values: Any) -> None:
    with ledger.write() as session:
        row = session.get_one(Record, number)
        for name, value in values.items():
            setattr(row, name, value)


class TestToDo:
    @pytest.mark.both_databases
    def test_the_oldest_that_this_person_has_not_done(self, ledger: Ledger, add_record: Add) -> None:
        numbers = [add_record("done", message_id=f"m{n}") for n in range(4)]
        mirror.keep(ledger, record(ledger, numbers[0]), "Tom", done())
        mirror.keep(ledger, record(ledger, numbers[1]), "Ann", done())
        assert ids(mirror.to_do(ledger, SOURCE, "Tom", 10)) == numbers[1:]
        assert ids(mirror.to_do(ledger, SOURCE, "Eve", 10)) == numbers
        few = mirror.to_do(ledger, SOURCE, "Tom", 2)
        assert (ids(few), few[1]) == (numbers[1:3], 1)
        assert ids(mirror.to_do(ledger, SOURCE, "Tom", 10, only=[numbers[0], numbers[3]])) == [numbers[3]]
        assert few[0][0].told["subject"] == "A demo"

    @pytest.mark.both_databases
    def test_not_what_nobody_has_to_do(self, ledger: Ledger, add_record: Add) -> None:
        add_record("skipped", message_id="newsletter")
        add_record("unread", message_id="unread")
        change(ledger, add_record("quarantined", message_id="malformed"), payload={"message_id": "x"})
        change(ledger, add_record("done", message_id="old"), redacted_at=utcnow())
        change(ledger, add_record("done", message_id="else"), workflow="another")
        refused = add_record("quarantined", message_id="refused")
        assert ids(mirror.to_do(ledger, SOURCE, "Tom", 10)) == [refused]


class TestKeeping:
    @pytest.mark.both_databases
    def test_a_record_is_kept_once_a_person(self, ledger: Ledger, add_record: Add) -> None:
        row = record(ledger, add_record("done"))
        said = Done({"intent": "spam"}, ["look", "delete"], 90.5, failed=True, comment="too late")
        assert mirror.keep(ledger, row, "Tom", said)
        assert not mirror.keep(ledger, row, "Tom", done())
        assert mirror.keep(ledger, row, "Ann", done())
        with ledger.read() as session:
            first = session.scalars(sa.select(Mirror).order_by(Mirror.id)).first()
        assert first is not None
        assert (first.person, first.seconds, first.steps, first.failed) == ("Tom", 90.5, ["look", "delete"], True)
        assert (first.answer, first.comment, first.workflow) == ({"intent": "spam"}, "too late", WORKFLOW)

    @pytest.mark.both_databases
    def test_steps_are_offered_by_how_often_they_were_taken(self, ledger: Ledger, add_record: Add) -> None:
        for number, steps in enumerate((("open CRM", "reply"), ("reply",), ("call", "reply", "open CRM"))):
            mirror.keep(ledger, record(ledger, add_record("done", message_id=f"m{number}")), "Tom", done(steps=steps))
        assert mirror.steps_so_far(ledger, WORKFLOW) == ["reply", "open CRM", "call"]
        assert mirror.steps_so_far(ledger, "another") == []


class TestMailFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Two e-mails, one that no person wrote, one that is none, and something else."""
        made = tmp_path / "mail"
        made.mkdir()
        for name, text in (
            ("a.eml", MAIL.format("A demo", "Could we see one?")),
            ("b.EML", MAIL.format("Broken", "The import fails")),
            ("c.eml", MAIL.format("Away", "Back on Monday").replace("Date:", "Auto-Submitted: auto-replied\r\nDate:")),
            ("d.eml", ""),
            ("notes.txt", "no mail"),
        ):
            (made / name).write_bytes(text.encode())
        return made

    @pytest.mark.both_databases
    def test_its_mail_enters_once(self, ledger: Ledger, folder: Path) -> None:
        entered = mirror.enter_mail(ledger, WORKFLOW, folder)
        assert [name for name, _ in entered.left_out] == ["c.eml", "d.eml"]
        assert entered.left_out[0][1] == "auto-reply: not written by a person to us"
        assert len(set(entered.ids)) == 2
        (folder / "copy of a.eml").write_bytes((folder / "a.eml").read_bytes())
        assert mirror.enter_mail(ledger, WORKFLOW, folder) == entered
        rows = [record(ledger, number) for number in entered.ids]
        assert [row.title for row in rows] == ["A demo", "Broken"]
        assert {row.source for row in rows} == {"mirror"}
        assert [work.told["text"] for work in mirror.to_do(ledger, SOURCE, "Tom", 9)[0]] == [
            "Could we see one?",
            "The import fails",
        ]

    def test_a_workflow_of_tickets_has_each_as_a_ticket(self, ledger: Ledger, folder: Path) -> None:
        told = []

        def of_ticket(each: Record) -> dict[str, str]:
            ticket = AskedByTicket.model_validate(each.payload)
            told.append(ticket.ticket_id)
            return {"text": ticket.text, "sender": ticket.sender}

        numbers = mirror.enter_mail(ledger, WORKFLOW, folder).ids
        found = mirror.to_do(ledger, Source(CARD, of_ticket), "Tom", 9)[0]
        assert [(work.told["sender"], work.told["text"]) for work in found] == [
            ("ann@northwind.example", "Could we see one?"),
            ("ann@northwind.example", "The import fails"),
        ]
        assert told == [record(ledger, number).external_id for number in numbers]

    def test_no_run_ever_acts_on_it(self, ledger: Ledger, folder: Path) -> None:
        number = mirror.enter_mail(ledger, WORKFLOW, folder).ids[0]
        row = record(ledger, number)
        assert row.state not in (*records.UNFINISHED, *records.TO_READ)
        assert row.reason == "for the mirror alone: no run takes it up"
        with pytest.raises(QuarantineError, match="it is not quarantined"):
            quarantine.replay(ledger, [number], by="Tom")

    def test_its_content_goes_when_it_is_redacted(self, ledger: Ledger, folder: Path) -> None:
        numbers = mirror.enter_mail(ledger, WORKFLOW, folder).ids
        mirror.keep(ledger, record(ledger, numbers[0]), "Tom", done(steps=("ask Ann Berg",)))
        assert retention.redact(ledger, numbers, by="Tom").records == 2
        assert ids(mirror.to_do(ledger, SOURCE, "Eve", 9)) == []
        found = mirror.measured(ledger, CARD, prompts.load("lead_triage"))
        assert found is not None
        assert (found.records, found.minutes_mean, found.steps) == (1, 2, [])

    def test_a_folder_without_mail_is_refused(self, ledger: Ledger, tmp_path: Path) -> None:
        (notes := tmp_path / "notes.txt").write_text("no mail", encoding="utf-8")
        for place, said in (
            (tmp_path / "nowhere.eml", "cannot be read: No such file"),
            (tmp_path, "has no .eml file"),
            (notes, "is no .eml file"),
        ):
            with pytest.raises(NoSavedMail, match=said):
                mirror.enter_mail(ledger, WORKFLOW, place)

    def test_what_only_looks_like_mail_is_passed_over(self, ledger: Ledger, folder: Path) -> None:
        (folder / "folder.eml").mkdir()
        (folder / "nowhere.eml").symlink_to(folder / "gone")
        os.mkfifo(folder / "pipe.eml")
        assert len(mirror.enter_mail(ledger, WORKFLOW, folder).ids) == 2
        with pytest.raises(NoSavedMail, match=r"pipe\.eml is no \.eml file"):
            mirror.enter_mail(ledger, WORKFLOW, folder / "pipe.eml")

    def test_one_of_its_files_may_be_named(self, ledger: Ledger, folder: Path) -> None:
        assert len(mirror.enter_mail(ledger, WORKFLOW, folder / "b.EML").ids) == 1


class TestStopwatch:
    def test_pauses_do_not_count(self) -> None:
        now = 100.0
        watch = Stopwatch(lambda: now)
        assert (watch.seconds, watch.runs) == (0, False)
        watch.go()
        now = 130
        assert (watch.seconds, watch.runs) == (30, True)
        watch.pause()
        now = 1000
        watch.pause()
        assert watch.seconds == 30
        watch.go()
        watch.go()
        now = 1012.5
        assert watch.seconds == 42.5


class TestMeasured:
    @pytest.mark.both_databases
    def test_what_was_measured(self, ledger: Ledger, add_record: Add, triaged: Callable[..., dict[str, Any]]) -> None:
        prompt = prompts.load("lead_triage")
        assert mirror.measured(ledger, CARD, prompt) is None
        models = (triaged("support"), triaged("spam"), None, {"intent": "support"})
        for number, answer in enumerate(models):
            row = record(ledger, add_record("done", answer, message_id=f"m{number}"))
            steps = ("look", "look", "reply") if number else ("look",)
            said = done(minutes=(1, 2, 3, 10)[number], failed=number == 3, steps=steps)
            mirror.keep(ledger, row, "Tom" if number else "Ann", said)
        found = mirror.measured(ledger, CARD, prompt)
        assert found is not None
        assert (found.records, found.people) == (4, ["Ann", "Tom"])
        assert (found.minutes_median, found.minutes_mean, found.minutes_least, found.minutes_most) == (2.5, 4, 1, 10)
        assert (found.failed, found.failure_rate) == (1, 0.25)
        assert found.failed_low == pytest.approx(0.0456, abs=1e-4)
        assert found.failed_high == pytest.approx(0.6994, abs=1e-4)
        assert found.steps == [("look", 4), ("reply", 3)]
        assert found.agreement == {"intent": Agreement(2, 3), "urgency": Agreement(2, 2)}
        assert found.baseline == (4, 0.25)
        assert found.hours_of_thousand == pytest.approx(66.67, abs=0.01)

    def test_a_baseline_is_never_nothing(self, ledger: Ledger, add_record: Add) -> None:
        mirror.keep(ledger, record(ledger, add_record("done")), "Tom", done(minutes=0.001))
        found = mirror.measured(ledger, CARD, prompts.load("lead_triage"))
        assert found is not None
        assert found.baseline == (0.01, 0)

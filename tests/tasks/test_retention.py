"""Redaction takes the personal data out of what is closed, all of it, and nothing that is counted or still needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from pydantic import BaseModel

import prompts
from blocks.ledger import (
    Action,
    Assignment,
    CaseAnswer,
    Decision,
    Evaluation,
    History,
    Ledger,
    Mirror,
    ModelCall,
    Observation,
    Paper,
    PromptVersion,
    Receipt,
    Record,
    WebhookEvent,
    history,
    utcnow,
)
from blocks.mail import Email
from tasks import audit, quarantine, records, report, retention
from tasks.evaluation_sheet import known_answers
from tasks.retention import Left, RetentionError
from tests.work import ANN, SECRET, TEXT, Work, add_work, rows, tamper

MakeEmail = Callable[..., Email]
TABLES = ("records", "model_calls", "actions", "decisions", "receipts")


@pytest.fixture
def secret(email: MakeEmail) -> Email:
    """An e-mail from Ann with something in every field that nobody else may read for ever."""
    fields = dict.fromkeys(("sender_name", "subject", "text", "quoted", "signature"), SECRET)
    return email(**fields, cc=(ANN,), references=(f"<{SECRET}@northwind.example>",))


def one(ledger: Ledger, kind: Any, number: int) -> Any:
    with ledger.read() as session:
        return session.get_one(kind, number)


def everything(ledger: Ledger) -> str:
    """All that the ledger says, as text."""
    tables = (*TABLES, "history")
    return json.dumps({table: rows(ledger, table) for table in tables}, default=str, ensure_ascii=False)


def is_whole(ledger: Ledger, work: Work) -> bool:
    return SECRET in one(ledger, Record, work.record).title and SECRET in one(ledger, Decision, work.decision).comment


@pytest.mark.both_databases
class TestWhatGoesAndWhatStays:
    def test_no_text_and_no_address_is_left(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        assert SECRET in everything(ledger)
        done = retention.redact(ledger, [work.record], by="Mara")
        left = everything(ledger)
        assert SECRET not in left
        assert "northwind" not in left
        assert "Ann" not in left
        assert (done.records, done.rows) == (1, 7)
        assert audit.verify(ledger).findings == ()

    def test_what_recognises_the_message_stays(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        retention.redact(ledger, [work.record], by="Mara")
        record = one(ledger, Record, work.record)
        assert record.payload == {"message_id": "m1", "thread_id": "t1", "sent_at": "2026-03-02T09:30:00Z"}
        assert record.external_id.startswith("m")
        assert one(ledger, Receipt, work.receipt).detail == {"thread_id": "t1"}
        assert one(ledger, Receipt, work.receipt).external_id == "sent1"

    def test_an_id_that_is_an_address_goes(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret, payload={"id": ANN, "thread_id": 7})
        retention.redact(ledger, [work.record], by="Mara")
        assert one(ledger, Record, work.record).payload == {"thread_id": 7}

    def test_what_is_counted_stays(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret, days_ago=30)
        before = {table: rows(ledger, table)[0] for table in TABLES}
        retention.redact(ledger, [work.record], by="Mara")
        after = {table: rows(ledger, table)[0] for table in TABLES}
        changed = {f"{t}.{name}" for t in TABLES for name, value in after[t].items() if value != before[t][name]}
        assert changed == {
            "records.title", "records.payload", "records.context", "records.answer", "records.reason",
            "records.redacted_at", "model_calls.reply", "model_calls.redacted_at", "actions.title", "actions.payload",
            "actions.explanation", "actions.progress", "actions.reason", "actions.redacted_at", "decisions.payload",
            "decisions.comment", "decisions.redacted_at", "receipts.detail", "receipts.redacted_at",
        }  # fmt: skip
        assert one(ledger, ModelCall, work.call).cost == Decimal("0.001234567")

    def test_the_answers_labels_stay_and_its_texts_go(self, ledger: Ledger, secret: Email) -> None:
        answer = {"intent": "support", "urgency": ANN, "confidence": 0.5, "summary": "spam", "reply": "", "new": "text"}
        work = add_work(ledger, secret, answer=answer)
        retention.redact(ledger, [work.record], by="Mara")
        assert one(ledger, Record, work.record).answer == {"intent": "support", "confidence": 0.5}

    def test_a_prompt_that_is_gone_leaves_only_numbers(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        tamper(ledger, "UPDATE model_calls SET prompt = 'gone'")
        retention.redact(ledger, [work.record], by="Mara")
        assert one(ledger, Record, work.record).answer == {"confidence": 0.5}

    def test_the_history_says_who_had_how_much_taken_out(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        done = retention.redact(ledger, [work.record], by="Mara")
        with ledger.read() as session:
            told = session.scalars(sa.select(History).where(History.event == history.REDACTED)).all()
        fields = {row.subject.partition("/")[0]: row.detail["fields"] for row in told}
        assert fields == {
            "records": 5, "model_calls": 1, "actions": 5, "decisions": 2, "receipts": 1, "agent_runs": 1,
            "tool_calls": 2,
        }  # fmt: skip
        assert done.fields == sum(fields.values())
        assert {row.detail["by"] for row in told} == {"Mara"}

    def test_a_file_goes_with_its_words_and_is_known_again(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        with ledger.write() as session:
            paper = Paper(
                record_id=work.record, workflow="document-intake", name=f"{SECRET}.pdf", mime_type="application/pdf",
                size=4, sha256="a" * 64, content=SECRET.encode(), sheet=SECRET.encode(),
            )  # fmt: skip
            session.add(paper)
        retention.redact(ledger, [work.record], by="Mara")
        left = one(ledger, Paper, paper.id)
        assert (left.name, left.content, left.sheet) == ("", None, None)
        assert (left.sha256, left.size) == ("a" * 64, 4)
        assert left.redacted_at is not None
        assert audit.verify(ledger).findings == ()

    def test_rows_that_say_nothing_personal_are_not_marked(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        with ledger.write() as session:
            session.execute(sa.update(Action).values(state="done"))
            session.delete(session.get_one(Receipt, work.receipt))
        with ledger.write() as session:
            plain = Receipt(action_id=work.action, vendor="slack", external_id="1", detail={})
            session.add(plain)
        retention.redact(ledger, [work.record], by="Mara")
        assert one(ledger, Receipt, plain.id).redacted_at is None


@pytest.mark.both_databases
class TestWhatPeopleDid:
    """Rows that only some records have: what was seen in shadow, and what somebody did by hand."""

    def test_what_was_seen_goes_but_for_its_figures(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret, action_state="shadow")
        found = {"what": f"somebody replied: {SECRET}", "similar": 0.75, "message_id": "sent1", "to": ANN}
        with ledger.write() as session:
            session.add(Observation(id=1, action_id=work.action, agreed=True, found=found))
        done = retention.redact(ledger, [work.record], by="Mara")
        seen = one(ledger, Observation, 1)
        assert (seen.agreed, seen.found) == (True, {"message_id": "sent1", "similar": 0.75})
        assert seen.redacted_at is not None
        assert done.rows == 8

    def test_what_was_done_by_hand_goes_but_for_the_time_it_took(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        answer = {"intent": "support", "confidence": 1.0, "summary": SECRET, "reply": f"Dear {ANN}"}
        fields: dict[str, Any] = {"workflow": "lead-triage", "record_id": work.record, "person": "Mara"}
        with ledger.write() as session:
            session.add(
                Mirror(id=1, **fields, seconds=93.5, answer=answer, steps=[f"called {ANN}"], failed=True, comment=TEXT)
            )
        retention.redact(ledger, [work.record], by="Mara")
        mirror = one(ledger, Mirror, 1)
        assert (mirror.person, mirror.seconds, mirror.failed) == ("Mara", 93.5, True)
        assert (mirror.answer, mirror.steps, mirror.comment) == ({"intent": "support", "confidence": 1.0}, [], "")
        assert mirror.redacted_at is not None

    def test_labels_stay_where_no_model_answered(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        tamper(ledger, "DELETE FROM model_calls")
        answer = {"intent": "support", "summary": "spam"}
        fields: dict[str, Any] = {"workflow": "lead-triage", "record_id": work.record, "person": "Mara", "steps": []}
        with ledger.write() as session:
            session.add(Mirror(id=1, **fields, seconds=1.0, answer=answer, failed=False))
        retention.redact(ledger, [work.record], by="Mara")
        assert one(ledger, Mirror, 1).answer == {"intent": "support"}

    def test_the_history_tells_of_both_and_nothing_is_left(self, ledger: Ledger, secret: Email) -> None:
        work, other = add_work(ledger, secret), add_work(ledger, secret)
        with ledger.write() as session:
            for number, action, record in ((1, work.action, work.record), (2, other.action, other.record)):
                session.add(Observation(id=number, action_id=action, agreed=None, found={"what": TEXT}))
                session.add(
                    Mirror(
                        id=number, workflow="lead-triage", record_id=record, person="Mara", seconds=1.0,
                        answer={"summary": TEXT}, steps=[TEXT], failed=False, comment=TEXT,
                    )
                )  # fmt: skip
        retention.redact(ledger, [work.record], by="Mara")
        with ledger.read() as session:
            redacted = sa.select(History.subject, History.detail).where(History.event == history.REDACTED)
            told = {subject: detail["fields"] for subject, detail in session.execute(redacted)}
        assert (told["observations/1"], told["mirrors/1"]) == (1, 3)
        assert not told.keys() & {"observations/2", "mirrors/2"}
        left = json.dumps([rows(ledger, "observations")[0], rows(ledger, "mirrors")[0]], default=str)
        assert SECRET not in left
        assert SECRET in one(ledger, Mirror, 2).comment
        assert audit.verify(ledger).findings == ()


def test_sqlite_keeps_nothing_in_its_file(ledger: Ledger, secret: Email) -> None:
    """It would leave what is overwritten in the free parts of its pages, for anybody who opens the file."""
    ledger.engine.dispose()
    # Some SQLites are built to overwrite anyway, as Debian's is.
    sa.event.listen(ledger.engine, "connect", lambda connection, _: connection.execute("PRAGMA secure_delete=OFF"))
    work = [add_work(ledger, secret.model_copy(update={"text": SECRET * 500})).record for _ in range(3)]
    path = Path(str(ledger.engine.url.database))
    retention.redact(ledger, work, by="Mara")
    ledger.engine.dispose()  # the last one out moves the journal into the file
    assert SECRET.encode() not in path.read_bytes()
    assert not path.with_name(path.name + "-wal").exists()


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("our own mail", "our own mail"),
        ("newsletter: not written by a person to us", "newsletter"),
        (f"no action could be made of it: ValueError: {SECRET}", "no action could be made of it"),
        (f"{ANN} said so", None),
        (None, None),
    ],
)
def test_of_a_reason_our_own_words_stay(ledger: Ledger, secret: Email, reason: str | None, left: str | None) -> None:
    work = add_work(ledger, secret, reason=reason)
    retention.redact(ledger, [work.record], by="Mara")
    assert one(ledger, Record, work.record).reason == left


class Colour(Enum):
    RED = "red"


class Inner(BaseModel):
    kind: Literal["a", "b"]
    text: str
    inner: Inner | None = None


class Answer(BaseModel):
    plain: Literal["yes"]
    one_of: Literal["x", "y"] | None
    colour: Colour
    several: list[Literal["m", "n"]]
    inner: Inner
    text: str


def test_every_way_to_offer_a_choice_is_understood() -> None:
    schema = Answer.model_json_schema()
    offered = {name: set(retention._offered(s, schema["$defs"])) for name, s in schema["properties"].items()}
    assert offered == {
        "plain": {"yes"}, "one_of": {"x", "y"}, "colour": {"red"}, "several": {"m", "n"}, "inner": set(), "text": set(),
    }  # fmt: skip
    choices = {name: frozenset(texts) for name, texts in offered.items()}
    answer = {
        "plain": "yes", "one_of": None, "colour": "blue", "several": ["m", "n"], "inner": {"kind": "a", "text": "t"},
        "text": "red", "score": 3, "sure": True,
    }  # fmt: skip
    kept = {"plain": "yes", "one_of": None, "several": ["m", "n"], "score": 3, "sure": True}
    assert retention._labels(answer, choices) == kept
    assert retention._labels({"several": ["m", SECRET]}, choices) == {}


@pytest.mark.both_databases
class TestOpenWork:
    @pytest.mark.parametrize("state", [*records.UNFINISHED, "replay", "anything new"])
    def test_an_open_record_is_left(self, ledger: Ledger, secret: Email, state: str) -> None:
        work = add_work(ledger, secret, state=state, days_ago=1000)
        self.is_left(ledger, work, f"still open ({state})")

    @pytest.mark.parametrize("state", ["waiting", "pending", "acting", "unknown", "anything new"])
    def test_an_open_action_keeps_its_record_whole(self, ledger: Ledger, secret: Email, state: str) -> None:
        work = add_work(ledger, secret, action_state=state, days_ago=1000)
        self.is_left(ledger, work, f"its reply #{work.action} ")

    def is_left(self, ledger: Ledger, work: Work, why: str) -> None:
        assert retention.due(ledger, 1) == []
        plan = retention.plan(ledger, [work.record])
        assert plan.ready == []
        assert why in plan.left[0].why
        assert retention.redact(ledger, [work.record], by="Mara").records == 0
        assert is_whole(ledger, work)
        assert audit.verify(ledger).redacted == 0

    @pytest.mark.parametrize("state", records.UNFINISHED)
    def test_what_is_opened_again_after_the_plan_is_left(self, ledger: Ledger, secret: Email, state: str) -> None:
        work = add_work(ledger, secret)
        plan = retention.plan(ledger, [work.record])
        with ledger.write() as session:
            session.get_one(Record, work.record).state = state
        assert retention.redact(ledger, plan.ready, by="Mara").records == 0
        assert is_whole(ledger, work)

    @pytest.mark.parametrize("state", retention.CLOSED)
    @pytest.mark.parametrize("action_state", retention.SETTLED)
    def test_everything_closed_can_be_redacted(
        self, ledger: Ledger, secret: Email, state: str, action_state: str
    ) -> None:
        work = add_work(ledger, secret, state=state, action_state=action_state)
        assert retention.redact(ledger, [work.record], by="Mara").records == 1
        assert SECRET not in everything(ledger)


@pytest.mark.both_databases
class TestAgain:
    def test_a_second_time_changes_nothing(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        retention.redact(ledger, [work.record], by="Mara")
        before = everything(ledger)
        assert retention.redact(ledger, [work.record], by="Mara") == retention.Redaction(0, 0, 0)
        assert everything(ledger) == before
        on = f"{one(ledger, Record, work.record).redacted_at:%Y-%m-%d}"
        assert retention.plan(ledger, [work.record]).left == [Left(work.record, f"it was redacted on {on} already")]

    def test_what_was_stopped_half_way_goes_on_where_it_was(
        self, ledger: Ledger, secret: Email, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        works = [add_work(ledger, secret) for _ in range(3)]
        ids = [work.record for work in works]
        monkeypatch.setattr(retention, "BATCH", 1)
        write, calls = history.write, 0

        def die_in_the_second(*arguments: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KeyboardInterrupt
            write(*arguments)

        monkeypatch.setattr(history, "write", die_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            retention.redact(ledger, ids, by="Mara")
        assert [is_whole(ledger, work) for work in works] == [False, True, True]
        assert audit.verify(ledger).findings == ()
        monkeypatch.setattr(history, "write", write)
        assert retention.redact(ledger, ids, by="Mara").records == 2
        assert SECRET not in everything(ledger)
        assert audit.verify(ledger).findings == ()

    def test_a_redacted_record_cannot_be_replayed(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret, state="quarantined")
        retention.redact(ledger, [work.record], by="Mara")
        with pytest.raises(quarantine.QuarantineError, match="its content was redacted on"):
            quarantine.replay(ledger, [work.record], by="Mara")
        assert one(ledger, Record, work.record).state == "quarantined"

    def test_it_does_not_come_in_a_second_time(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret, external_id="m1")
        retention.redact(ledger, [work.record], by="Mara")
        with pytest.raises(sa.exc.IntegrityError):
            add_work(ledger, secret, external_id="m1")


class TestByAge:
    def test_the_rule_takes_what_is_older(self, ledger: Ledger, secret: Email) -> None:
        old, young = add_work(ledger, secret, days_ago=90.1), add_work(ledger, secret, days_ago=89.9)
        assert retention.apply(ledger) == 1
        assert (is_whole(ledger, old), is_whole(ledger, young)) == (False, True)
        assert retention.apply(ledger) == 0
        with ledger.read() as session:
            told = session.scalars(sa.select(History).where(History.event == history.REDACTED)).all()
        assert {row.detail["by"] for row in told} == {retention.BY_RULE}

    def test_a_young_action_keeps_an_old_record(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret, days_ago=100)
        with ledger.write() as session:
            session.get_one(Action, work.action).updated_at = utcnow() - timedelta(days=1)
        assert retention.apply(ledger) == 0
        assert retention.due(ledger, 90) == []

    @pytest.mark.parametrize(("setting", "redacted"), [("", 1), ("0", 0), ("99", 1), ("101", 0), (" 30 ", 1)])
    def test_the_setting_counts(
        self, ledger: Ledger, secret: Email, monkeypatch: pytest.MonkeyPatch, setting: str, redacted: int
    ) -> None:
        add_work(ledger, secret, days_ago=100)
        monkeypatch.setenv(retention.SETTING, setting)
        assert retention.apply(ledger) == redacted

    @pytest.mark.parametrize("setting", ["ninety", "-1", "1.5"])
    def test_a_setting_that_cannot_be_read_is_refused(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, setting: str
    ) -> None:
        monkeypatch.setenv(retention.SETTING, setting)
        with pytest.raises(RetentionError, match=r"SIGNOFF_RETENTION_DAYS is .* whole number of days"):
            retention.apply(ledger)

    def test_only_of_the_workflow_that_asks(self, ledger: Ledger, secret: Email) -> None:
        mine = add_work(ledger, secret, days_ago=100)
        other = add_work(ledger, secret, days_ago=100, workflow="invoices")
        assert retention.apply(ledger, "lead-triage") == 1
        assert (is_whole(ledger, mine), is_whole(ledger, other)) == (False, True)

    def test_a_run_takes_so_many_at_most_the_longest_untouched_first(
        self, ledger: Ledger, secret: Email, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        works = [add_work(ledger, secret, days_ago=days) for days in (100, 300, 200)]
        monkeypatch.setattr(retention, "MOST", 2)
        assert retention.apply(ledger, "lead-triage") == 2
        assert [is_whole(ledger, work) for work in works] == [True, False, False]
        assert retention.apply(ledger, "lead-triage") == 1

    def test_where_nothing_is_due_only_an_index_is_looked_at(self, ledger: Ledger) -> None:
        """A year of redacted records must not be read again at the start of every run."""
        plans: list[str] = []

        def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
            if "FROM records" in statement:
                cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans.extend(row[3] for row in cursor.fetchall())

        sa.event.listen(ledger.engine, "before_cursor_execute", explain)
        assert retention.apply(ledger, "lead-triage") == 0
        sa.event.remove(ledger.engine, "before_cursor_execute", explain)
        assert plans[0] == "SEARCH records USING INDEX ix_records_unredacted (workflow=? AND updated_at<?)"
        assert not [step for step in plans if "SCAN records" in step or "TEMP B-TREE" in step]


@pytest.mark.both_databases
def test_answers_to_private_cases_go_by_age_and_their_scores_stay(ledger: Ledger) -> None:
    old, young = utcnow() - timedelta(days=91), utcnow() - timedelta(days=89)
    sources = [("mine.jsonl", old), ("mine.jsonl", young), ("held_out", old)]
    with ledger.write() as session:
        session.add(PromptVersion(version="v", prompt="lead_triage", model="m", content={}))
        session.flush()
        for number, (source, at) in enumerate(sources, start=1):
            evaluation = Evaluation(
                id=number, prompt="lead_triage", prompt_version="v", model="m", source=source, cases_digest="d",
                cases=1, state="done", scores={"fields": []}, created_at=at,
            )  # fmt: skip
            session.add(evaluation)
            session.flush()
            session.add(
                CaseAnswer(
                    id=number, evaluation_id=number, prompt_version="v", case_key=f"k{number}", reply=TEXT,
                    stop_reason="end_turn", input_tokens=1, output_tokens=1, cost=Decimal(1), seconds=1, created_at=at,
                )
            )  # fmt: skip
    for _ in range(2):
        assert retention.apply(ledger, "lead-triage") == 0
    assert [one(ledger, CaseAnswer, n).reply for n in (1, 2, 3)] == ["", TEXT, TEXT]
    # A blank is never found again, and so never taken for the answer of another evaluation.
    known = known_answers(ledger, prompts.load("lead_triage"), "v", {"k1", "k2", "k3"})
    assert known.keys() == {"k2", "k3"}
    assert one(ledger, Evaluation, 1).scores == {"fields": []}
    with ledger.read() as session:
        told = session.scalars(sa.select(History).where(History.event == history.REDACTED)).all()
    assert [(row.subject, row.detail["fields"]) for row in told] == [("evaluations/1", 1)]
    assert audit.verify(ledger).findings == ()


@pytest.mark.both_databases
class TestOnePerson:
    def test_all_that_came_from_an_address_is_found_whatever_its_case(self, ledger: Ledger, email: MakeEmail) -> None:
        theirs = add_work(ledger, email(sender="Ann@Northwind.example"), context=None, answer=None)
        form = add_work(ledger, email(sender="form@company.example", reply_to=ANN), context=None, answer=None)
        add_work(ledger, email(sender="joann@northwind.example.org"), context=None, answer=None)
        add_work(ledger, email(sender="bob@fabrikam.example"), context=None, answer=None)
        about = add_work(ledger, email(sender="bob@fabrikam.example", text=f"Ask {ANN}."), context=None, answer=None)
        found = retention.of_person(ledger, f" {ANN.upper()} ")
        assert found.records == [theirs.record, form.record]
        assert about.record in found.mentioned

    def test_what_is_redacted_is_found_no_more(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        retention.redact(ledger, retention.of_person(ledger, ANN).records, by="Mara")
        assert retention.of_person(ledger, ANN) == retention.Person([], [])
        assert not is_whole(ledger, work)

    def test_events_that_became_no_record_are_found_and_redacted_by_themselves(
        self, ledger: Ledger, secret: Email
    ) -> None:
        def event(number: int, said: str, **changes: Any) -> WebhookEvent:
            values = {"state": "ignored", "handled_at": utcnow()} | changes
            return WebhookEvent(
                source="stripe", external_id=f"evt_{number}", kind="x", payload={"data": {"email": said}}, **values
            )

        add_work(ledger, secret, source="webhook:stripe", external_id="evt_2", state="waits")
        with ledger.write() as session:
            session.add_all([event(1, ANN.upper()), event(2, ANN), event(3, f"jo{ANN}.org"), event(4, "bob@x.example")])
            session.add(event(5, ANN, state="stored", handled_at=None))
        found = retention.of_person(ledger, ANN)
        assert found.events == [1]
        done = retention.redact_events(ledger, found.events, by="Mara")
        assert (done.rows, done.fields) == (1, 1)
        with ledger.read() as session:
            payloads = {event.id: event.payload for event in session.scalars(sa.select(WebhookEvent))}
        assert [number for number, payload in payloads.items() if payload is None] == [1]
        assert retention.of_person(ledger, ANN).events == []
        assert audit.verify(ledger).findings == ()

    def test_what_was_said_when_it_was_passed_on_goes_too(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        with ledger.write() as session:
            session.add(Assignment(action_id=work.action, person="mara@x.example", by="tom", comment=f"You know {ANN}"))
        retention.redact(ledger, [work.record], by="Mara")
        with ledger.read() as session:
            (assigned,) = session.scalars(sa.select(Assignment))
        assert (assigned.comment, assigned.person, assigned.by) == ("", "mara@x.example", "tom")
        assert assigned.redacted_at is not None
        assert audit.verify(ledger).findings == ()

    @pytest.mark.parametrize("address", ["%@%", "_nn@northwind.example", "ann@northwind_example"])
    def test_it_is_an_address_not_a_pattern(self, ledger: Ledger, secret: Email, address: str) -> None:
        add_work(ledger, secret)
        assert retention.of_person(ledger, address) == retention.Person([], [])

    @pytest.mark.parametrize("address", ["", "ann", "@", "a b@c"])
    def test_what_is_no_address_is_refused(self, ledger: Ledger, address: str) -> None:
        with pytest.raises(RetentionError, match="is no e-mail address"):
            retention.of_person(ledger, address)

    def test_a_record_that_is_not_there_is_named(self, ledger: Ledger, secret: Email) -> None:
        work = add_work(ledger, secret)
        with pytest.raises(RetentionError, match="the ledger has no record 98, 99"):
            retention.plan(ledger, [99, work.record, 98])


def test_a_redacted_record_says_so_in_a_report(ledger: Ledger, secret: Email) -> None:
    work = add_work(ledger, secret)
    (before,) = report.of_records(ledger, [work.record])
    retention.redact(ledger, [work.record], by="Mara")
    (after,) = report.of_records(ledger, [work.record])
    assert after.title == f"(redacted on {utcnow():%Y-%m-%d})"
    assert (after.sender, after.cost, after.done, after.state) == ("", before.cost, before.done, before.state)
    assert after.answer == {"intent": "support", "urgency": "high", "confidence": 0.5}

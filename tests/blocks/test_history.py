"""The history: one chain, whoever writes; and whatever is changed in it, or in what it has sealed, is found."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from blocks.ledger import Action, Decision, History, Ledger, ModelCall, Receipt, Record, history, store, utcnow
from blocks.ledger.tables import Base
from blocks.mail import Email
from tasks import audit
from tests.work import Work, add_work, rows, tamper

ROOT = Path(store.__file__).parents[2]
MakeEmail = Callable[..., Email]

WRITE = """
import sys
from blocks.ledger import Decision, Ledger, history
ledger = Ledger.open(sys.argv[1])
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
for n in range(int(sys.argv[2])):
    with ledger.write() as session:
        history.note(session, "noted", f"runs/{sys.argv[3]}", n=n)
"""
DIE_INSIDE = """
import os, signal, sys
from blocks.ledger import Action, Ledger, history
with Ledger.open(sys.argv[1]).write() as session:
    session.add(Action(key="dying", workflow="w", kind="k", impact="low", title="t", payload={}, digest="d",
                       credential="c/c", explanation="", stage="gated", state="pending"))
    session.flush()
    history.note(session, "noted", "runs/1")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def work(ledger: Ledger, email: MakeEmail) -> Work:
    """The second of three records' rows: something comes before, and something after."""
    add_work(ledger, email())
    middle = add_work(ledger, email())
    add_work(ledger, email())
    return middle


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def an_action(**changes: Any) -> Action:
    fields: dict[str, Any] = {
        "key": "k", "workflow": "w", "kind": "slack.post_message", "impact": "low", "title": "t", "payload": {},
        "digest": "d", "credential": "slack/team", "explanation": "", "stage": "gated", "state": "pending",
    }  # fmt: skip
    return Action(**fields | changes)


@pytest.mark.both_databases
def test_each_row_carries_the_hash_of_the_one_before(ledger: Ledger, work: Work) -> None:
    told = rows(ledger, "history")
    assert [row["previous"] for row in told] == [bytes(32), *(row["hash"] for row in told[:-1])]
    assert told[0]["event"] == "history begins"
    assert {row["subject"] for row in told if row["seal"]} >= work.subjects
    assert audit.verify(ledger).passed


@pytest.mark.both_databases
def test_a_transaction_that_is_undone_leaves_nothing_in_the_history(ledger: Ledger) -> None:
    def write_and_crash() -> None:
        with ledger.write() as session:
            session.add(an_action())
            session.flush()
            history.note(session, "noted", "runs/1")
            raise ZeroDivisionError

    before = rows(ledger, "history")
    with pytest.raises(ZeroDivisionError):
        write_and_crash()
    assert rows(ledger, "history") == before


@pytest.mark.both_databases
def test_processes_that_write_at_once_keep_one_chain(ledger: Ledger) -> None:
    url = ledger.engine.url.render_as_string(hide_password=False)
    writers = [python(WRITE, url, "40", name) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for n in range(20):
        with ledger.write() as session:
            history.note(session, "noted", "runs/c", n=n)
    assert [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers] == [("", 0)] * 2
    checked = audit.verify(ledger)
    assert (checked.findings, checked.history) == ((), 1 + 40 + 40 + 20)
    by_writer: dict[str, list[int]] = {}
    with ledger.read() as session:
        for row in session.scalars(sa.select(History).where(History.event == "noted").order_by(History.id)):
            by_writer.setdefault(row.subject, []).append(row.detail["n"])
    assert by_writer == {"runs/a": list(range(40)), "runs/b": list(range(40)), "runs/c": list(range(20))}


@pytest.mark.both_databases
@pytest.mark.usefixtures("work")
def test_a_process_killed_inside_a_write_leaves_a_whole_chain(ledger: Ledger) -> None:
    before = audit.verify(ledger)
    victim = python(DIE_INSIDE, ledger.engine.url.render_as_string(hide_password=False))
    assert victim.communicate(timeout=60)[1] == ""
    assert victim.returncode == -signal.SIGKILL
    assert audit.verify(ledger).head == before.head
    with ledger.write() as session:
        session.add(an_action())
    after = audit.verify(ledger, expect=before.head.hash)
    assert (after.passed, after.noted, after.history) == (True, before.head.number, before.history + 1)


class TestSeals:
    @pytest.mark.both_databases
    def test_hold_whatever_form_a_value_was_given_in(self, ledger: Ledger, work: Work) -> None:
        there = datetime(2026, 7, 1, 12, 30, 15, 250_001, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        odd = {"1": [1, 1.0, True, None], "ü\u2028": {"nested": "💥"}, "e": 1e-9}
        with ledger.write() as session:
            session.add(an_action(payload=odd, title="ü 💥", expires_at=there))
            session.add(
                ModelCall(
                    workflow="w", record_id=work.record, run_id="r", prompt="p", prompt_version="v", model="m",
                    attempt=1, reply="", stop_reason="end_turn", input_tokens=1, output_tokens=1,
                    cost=Decimal("0.0000000005"), seconds=3,
                )
            )  # fmt: skip
        assert audit.verify(ledger).findings == ()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        payload=st.dictionaries(
            st.text(st.characters(codec="utf-8")),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
                max_leaves=5,
            ),
            max_size=4,
        ),
        title=st.text(st.characters(codec="utf-8")),
        at=st.datetimes(timezones=st.just(UTC)),
    )
    def test_hold_whatever_a_row_says(self, ledger: Ledger, payload: dict[str, Any], title: str, at: datetime) -> None:
        with ledger.write() as session:
            row = an_action(key=f"k{utcnow().timestamp()}", payload=payload, credential=title, expires_at=at)
            session.add(row)
            session.flush()
            told = history.seal_of(row)
        with ledger.read() as session:
            assert history.seal_of(session.get_one(Action, row.id)) == told

    @pytest.mark.usefixtures("work")
    @pytest.mark.parametrize("kind", list(history.SEALED), ids=lambda kind: kind.__tablename__)
    def test_outlast_a_migration_that_adds_a_column(
        self, monkeypatch: pytest.MonkeyPatch, ledger: Ledger, kind: Any
    ) -> None:
        with ledger.read() as session:
            row = session.scalars(sa.select(kind).limit(1)).one()
        values = {column.key: getattr(row, column.key) for column in sa.inspect(kind).column_attrs}
        columns = history._lasting(kind) | {"added": sa.String()}
        told = history.seal(kind, values)
        monkeypatch.setattr(history, "_lasting", lambda _: columns)
        assert history.seal(kind, values | {"added": None}) == told
        assert history.seal(kind, values | {"added": "x"}) != told

    def test_leave_out_only_what_may_change(self) -> None:
        """Whatever is approved, done or paid for is sealed: a new column is too, unless somebody says otherwise."""
        free = {kind.__tablename__: sorted(columns) for kind, (_, columns) in history.SEALED.items()}
        assert free == {
            "actions": [
                "attempts", "flow_run_id", "progress", "reason", "redacted_at", "run_id", "state", "updated_at",
            ],
            "decisions": ["redacted_at", "used_at"],
            "receipts": ["redacted_at"],
            "model_calls": ["redacted_at"],
            "tool_calls": ["redacted_at"],
        }  # fmt: skip


SEALED_COLUMNS = {
    kind.__tablename__: [c.key for c in sa.inspect(kind).column_attrs if c.key not in free | {"id"}]
    for kind, (_, free) in history.SEALED.items()
} | {"history": ["at", "event", "subject", "detail", "seal", "previous", "hash"]}

TYPES: dict[str, dict[str, Any]] = {
    table.name: {column.name: column.type for column in table.c} for table in Base.metadata.sorted_tables
}


def other_value(table: str, column: str) -> st.SearchStrategy[Any]:
    """What somebody might write there: of the column's kind, or nonsense."""
    of = TYPES[table][column]
    if isinstance(of, sa.Boolean):
        return st.sampled_from([0, 1])
    nonsense = st.text(max_size=5) | st.binary(min_size=1, max_size=5) | st.integers(-(2**31), 2**31) | st.none()
    if isinstance(of, sa.JSON):
        return nonsense | st.sampled_from(["{}", "[]", '{"a": 1}', "null", "{", "[" * 10_000])
    if "Utc" in type(of).__name__:
        return nonsense | st.datetimes().map(lambda at: at.strftime("%Y-%m-%d %H:%M:%S.%f"))
    if isinstance(of, sa.Integer | sa.Double) or "Usd" in type(of).__name__:
        return st.integers(-(2**40), 2**40) | st.sampled_from(["many", 1e300, b"\xff"])
    return nonsense | st.sampled_from(["approved", "rejected", "0" * 64])


@st.composite
def tampering(draw: st.DrawFn) -> tuple[str, str, Any]:
    table = draw(st.sampled_from(sorted(SEALED_COLUMNS)))
    column = draw(st.sampled_from(SEALED_COLUMNS[table]))
    return table, column, draw(other_value(table, column))


class TestTampering:
    @pytest.fixture
    def by_hand(self, ledger: Ledger) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(str(ledger.engine.url.database), isolation_level=None)
        connection.text_factory = bytes
        yield connection
        connection.close()

    @pytest.mark.usefixtures("work")
    @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(what=tampering(), place=st.integers(0, 10**6))
    def test_of_any_field_in_any_row_is_found(
        self, ledger: Ledger, by_hand: sqlite3.Connection, what: tuple[str, str, Any], place: int
    ) -> None:
        table, column, value = what
        ids = [row[0] for row in by_hand.execute(f"SELECT id FROM {table} ORDER BY id")]
        number = ids[place % len(ids)]
        read = f"SELECT typeof({column}), {column} FROM {table} WHERE id = ?"
        before = by_hand.execute(read, (number,)).fetchone()
        write = f"UPDATE {table} SET {column} = {{}} WHERE id = ?"
        try:
            by_hand.execute(write.format("?"), (value, number))
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            assume(False)  # the database itself refuses it
        try:
            assume(by_hand.execute(read, (number,)).fetchone() != before)
            checked = audit.verify(ledger)
            assert not checked.passed
            assert f"{table}/{number}" in {finding.subject for finding in checked.findings} or table == "history"
        finally:
            text = before[0] == b"text"
            by_hand.execute(write.format("CAST(? AS TEXT)" if text else "?"), (before[1], number))
        assert audit.verify(ledger).passed

    @pytest.mark.usefixtures("work")
    @pytest.mark.parametrize(("table", "column"), [("history", "event"), ("decisions", "approver")])
    def test_with_bytes_that_are_no_text_is_a_finding_and_no_crash(
        self, ledger: Ledger, table: str, column: str
    ) -> None:
        tamper(ledger, f"UPDATE {table} SET {column} = CAST(x'c3ff' AS TEXT) WHERE id = 2")
        findings = {finding.subject: finding.means for finding in audit.verify(ledger).findings}
        assert findings[f"{table}/2"] == "was changed after it was written: it cannot be read"

    @pytest.mark.both_databases
    @pytest.mark.parametrize("table", ["history", "actions", "decisions", "receipts", "model_calls"])
    def test_of_one_row_among_many_names_it_alone(self, ledger: Ledger, work: Work, table: str) -> None:
        column = {"history": "event", "model_calls": "model", "receipts": "external_id"}.get(table, "digest")
        number = {"history": 7, "model_calls": work.call}.get(table, work.action)
        assert tamper(ledger, f"UPDATE {table} SET {column} = 'forged' WHERE id = :id", id=number) == 1
        assert [finding.subject for finding in audit.verify(ledger).findings] == [f"{table}/{number}"]


@pytest.mark.both_databases
class TestMigration:
    @pytest.fixture
    def of_0001(self, new_url: str) -> str:
        """The address of a ledger of the first revision, with work in it."""
        from alembic import command
        from alembic.config import Config

        if new_url.startswith("sqlite"):
            Path(new_url.removeprefix("sqlite:///")).parent.mkdir()
        engine = sa.create_engine(store._parse(new_url))
        with engine.connect() as connection, connection.begin():
            config = Config()
            config.set_main_option("script_location", str(store.HERE / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            self.fill(connection)
        engine.dispose()
        return new_url

    def fill(self, connection: sa.Connection) -> None:
        tables = sa.MetaData()
        tables.reflect(connection)
        now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        made: dict[str, dict[str, Any]] = {
            "runs": {"id": "r", "workflow": "w", "stage": "gated", "started_at": now, "heartbeat_at": now},
            "records": {
                "id": 1, "workflow": "w", "source": "s", "external_id": "m", "version": "1", "title": "A demo",
                "payload": {"text": "hello"}, "state": "done", "failures": 0, "created_at": now, "updated_at": now,
            },
            "model_calls": {
                "id": 1, "workflow": "w", "record_id": 1, "run_id": "r", "prompt": "p", "prompt_version": "v",
                "model": "m", "attempt": 1, "reply": "{}", "stop_reason": "end_turn", "complaint": "none",
                "input_tokens": 1, "output_tokens": 1, "cost": 5, "seconds": 0.5, "created_at": now,
            },
            "actions": {
                "id": 1, "key": "k", "workflow": "w", "record_id": 1, "kind": "slack.post_message", "impact": "low",
                "title": "t", "payload": {"text": "x"}, "digest": "d", "credential": "c/c", "explanation": "",
                "stage": "gated", "state": "done", "attempts": 1, "created_at": now, "updated_at": now,
            },
            "decisions": {
                "id": 1, "action_id": 1, "verdict": "approved", "approver": "Mara", "comment": "",
                "payload": {"text": "x"}, "digest": "d", "edited": False, "created_at": now,
            },
            "receipts": {
                "id": 1, "action_id": 1, "vendor": "slack", "external_id": "e", "detail": {}, "found": False,
                "created_at": now,
            },
        }  # fmt: skip
        for table, values in made.items():
            connection.execute(tables.tables[table].insert().values(values))
        if connection.dialect.name == "postgresql":  # the numbers were given by hand
            for table in ("records", "model_calls", "actions", "decisions", "receipts"):
                connection.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1)"))

    def test_an_older_ledger_keeps_its_rows_and_begins_its_history_after_them(
        self, of_0001: str, email: MakeEmail
    ) -> None:
        ledger = Ledger.open(of_0001)
        with ledger.read() as session:
            record = session.get_one(Record, 1)
            assert (record.title, record.payload, record.redacted_at) == ("A demo", {"text": "hello"}, None)
            assert session.get_one(ModelCall, 1).cost == Decimal(5) / 10**9
            assert session.get_one(Decision, 1).approver == "Mara"
            assert session.get_one(Receipt, 1).external_id == "e"
        checked = audit.verify(ledger)
        assert (checked.findings, checked.history, checked.older, checked.sealed) == ((), 1, 4, {})
        add_work(ledger, email())
        checked = audit.verify(ledger)
        assert (checked.findings, checked.older, sum(checked.sealed.values())) == ((), 4, 5)
        ledger.engine.dispose()

    def test_nothing_can_be_put_among_the_older_rows(self, of_0001: str) -> None:
        ledger = Ledger.open(of_0001)
        copied = (
            "INSERT INTO decisions (id, action_id, verdict, approver, comment, payload, digest, edited, created_at) "
            "SELECT -1, 999, verdict, 'Mallory', comment, payload, digest, edited, created_at FROM decisions"
        )
        tamper(ledger, copied)
        assert [finding.subject for finding in audit.verify(ledger).findings] == ["decisions/-1"]
        ledger.engine.dispose()

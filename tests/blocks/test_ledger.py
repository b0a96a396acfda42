"""The ledger: nothing half-written, nothing lost, whoever else writes or dies."""

import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.ledger import Cursor, Ledger, LedgerError, ModelCall, Record, Run, history, store, utcnow
from blocks.ledger.tables import Base
from tests.migrating import migrated

pytestmark = pytest.mark.both_databases

ROOT = Path(store.__file__).parents[2]

COUNT = """
import sys
import sqlalchemy as sa
from blocks.ledger import Cursor, Ledger
ledger = Ledger.open(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with ledger.write() as session:
        row = session.get(Cursor, ("w", "s"))
        row.value = str(int(row.value) + 1)
"""
OPEN = """
import sys
from blocks.ledger import Ledger
sys.stdin.readline()
with Ledger.open(sys.argv[1]).read() as session:
    pass
"""
DIE_INSIDE = """
import os, signal, sys
import sqlalchemy as sa
from blocks.ledger import Cursor, Ledger, Record
with Ledger.open(sys.argv[1]).write() as session:
    session.add(Record(workflow="w", source="s", external_id="2", payload={}, state="fetched"))
    session.execute(sa.update(Cursor).values(value="2"))
    session.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def url(ledger: Ledger) -> str:
    return ledger.engine.url.render_as_string()


def python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def add_one(ledger: Ledger) -> None:
    with ledger.write() as session:
        row = session.get_one(Cursor, ("w", "s"))
        row.value = str(int(row.value) + 1)


def test_the_code_knows_the_newest_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(store.HERE / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [store.HEAD]


def test_the_migrations_make_exactly_the_tables_of_the_models(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_what_was_validated_before_0003_is_judged_again_and_the_way_back_loses_nothing(ledger: Ledger) -> None:
    migrated(ledger, "0002")
    with ledger.engine.connect() as connection, connection.begin():
        now = utcnow()
        connection.execute(sa.insert(Run).values(id="r", workflow="w", stage="gated", started_at=now, heartbeat_at=now))
        for number, state in ((1, "validated"), (2, "done")):
            values = {"workflow": "w", "source": "s", "external_id": str(number), "payload": {}, "state": state}
            connection.execute(sa.insert(Record).values(id=number, **values))
            connection.execute(
                sa.insert(ModelCall).values(
                    id=number, workflow="w", record_id=number, run_id="r", prompt="p", prompt_version="v", model="m",
                    attempt=1, reply="{}", stop_reason="end_turn", input_tokens=1, output_tokens=1, cost=1, seconds=1,
                )
            )  # fmt: skip
    migrated(ledger, "head")
    states = sa.text("SELECT id, state FROM records ORDER BY id")
    with ledger.read() as session:
        assert [(r.id, r.state, r.sure) for r in session.scalars(sa.select(Record).order_by(Record.id))] == [
            (1, "prompted", None),
            (2, "done", None),
        ]
    migrated(ledger, "0002")
    with ledger.read() as session:
        assert session.execute(states).tuples().all() == [(1, "prompted"), (2, "done")]
        assert session.scalar(sa.text("SELECT count(*) FROM model_calls")) == 2
        assert "sure" not in {column["name"] for column in sa.inspect(session.connection()).get_columns("records")}


def test_a_call_from_before_0008_has_no_cached_tokens_and_its_seal_holds(ledger: Ledger) -> None:
    with ledger.write() as session:
        now = utcnow()
        session.add(Run(id="r", workflow="w", stage="gated", started_at=now, heartbeat_at=now))
        session.add(Record(id=1, workflow="w", source="s", external_id="1", payload={}, state="done"))
        session.flush()
        call = ModelCall(
            workflow="w", record_id=1, run_id="r", prompt="p", prompt_version="v", model="m", attempt=1, reply="{}",
            stop_reason="end_turn", input_tokens=9, output_tokens=1, cost=Decimal(1), seconds=1,
        )  # fmt: skip
        session.add(call)
        session.flush()
        before = history.seal_of(call)
    for revision in ("0007", "head"):
        migrated(ledger, revision)
    with ledger.read() as session:
        call = session.get_one(ModelCall, 1)
        assert (call.cache_read_tokens, call.cache_write_tokens) == (None, None)
        assert history.seal_of(call) == before


def test_opening_again_in_a_process_gives_the_same_pool(ledger: Ledger, url: str) -> None:
    assert Ledger.open(url) is ledger
    assert Ledger.open() is ledger


def test_two_processes_may_open_a_new_ledger_at_once(new_url: str) -> None:
    openers = [python(OPEN, new_url) for _ in range(2)]
    for opener in openers:
        assert opener.stdin
        opener.stdin.write("go\n")
        opener.stdin.flush()
    assert [(opener.communicate(timeout=60)[1], opener.returncode) for opener in openers] == [("", 0)] * 2
    ledger = Ledger.open(new_url)
    with ledger.read() as session:
        assert list(session.scalars(sa.text("SELECT version_num FROM alembic_version"))) == [store.HEAD]
    ledger.engine.dispose()


def test_many_threads_may_open_a_new_ledger_at_once(new_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: store._open.__wrapped__(new_url), range(8)))
    with opened[-1].read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Record)) == 0
    for each in opened:
        each.engine.dispose()


def test_a_newer_ledger_is_refused_with_the_way_out(ledger: Ledger, url: str) -> None:
    with ledger.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match=r"schema 9999.*update Signoff, or restore a backup"):
        store._open.__wrapped__(url)


@pytest.mark.parametrize("url", ["not a url", "/var/ledger.db", "oracle9://there", "mssql+nodriver://there/x"])
def test_an_unusable_url_is_refused_with_the_way_out(url: str) -> None:
    with pytest.raises(LedgerError, match=r"SIGNOFF_LEDGER_URL .*try sqlite:////path/ledger\.db"):
        Ledger.open(url)


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError, match=r"file/ledger\.db"):
        Ledger.open(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")


def test_a_folder_in_place_of_the_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("Dear diary, " * 1000)
    with pytest.raises(LedgerError, match=r"ledger\.db cannot be opened: file is not a database"):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_a_password_in_the_url_is_not_shown() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open("sqlite://ann:hunter2@there/ledger.db")
    assert "hunter2" not in str(caught.value)


def test_the_default_is_a_file_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_LEDGER_URL", "")
    assert store.default_url() == f"sqlite:///{ROOT}/.signoff/ledger.db"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(-10_000, 10_000, places=9), min_size=1, max_size=20))
def test_dollars_come_back_and_add_up_to_the_last_digit(ledger: Ledger, amounts: list[Decimal]) -> None:
    cost = sa.literal(amounts[0], ModelCall.cost.type)
    with ledger.read() as session:
        assert [session.scalar(sa.select(sa.literal(a, ModelCall.cost.type))) for a in amounts] == amounts
        rows = sa.union_all(*(sa.select(sa.literal(a, ModelCall.cost.type).label("usd")) for a in amounts)).subquery()
        assert session.scalar(sa.select(sa.func.sum(rows.c.usd))) == sum(amounts)
        assert session.scalar(sa.select(cost)) == amounts[0]


def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.StatementError, match="aware times only"), ledger.write() as session:
        session.add(Cursor(workflow="w", source="s", value="1", updated_at=datetime(2026, 1, 1)))


def test_times_come_back_in_utc_whatever_their_zone(ledger: Ledger) -> None:
    there = datetime(2026, 7, 1, 12, 30, 15, 250_000, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with ledger.write() as session:
        session.add(Cursor(workflow="w", source="s", value="1", updated_at=there))
    with ledger.read() as session:
        here = session.get_one(Cursor, ("w", "s")).updated_at
    assert here == there
    assert here.tzinfo is UTC


def test_a_transaction_that_raises_leaves_nothing(ledger: Ledger, counter: Callable[[], int]) -> None:
    class Boom(Exception):
        pass

    def write_and_crash() -> None:
        with ledger.write() as session:
            session.execute(sa.update(Cursor).values(value="9"))
            session.add(Record(workflow="w", source="s", external_id="1", payload={}, state="fetched"))
            session.flush()
            raise Boom

    with pytest.raises(Boom):
        write_and_crash()
    assert counter() == 0
    with ledger.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Record)) == 0


def test_rows_may_be_used_after_reading(ledger: Ledger, counter: Callable[[], int]) -> None:
    with ledger.read() as session:
        row = session.get_one(Cursor, ("w", "s"))
    assert (row.value, counter()) == ("0", 0)


def test_a_row_that_refers_to_nothing_is_refused(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError), ledger.write() as session:
        session.add(Record(workflow="w", source="s", external_id="1", payload={}, state="fetched", run_id="nobody"))


def test_reading_waits_for_no_writer_and_sees_nothing_half_written(ledger: Ledger, counter: Callable[[], int]) -> None:
    with ledger.write() as session:
        session.execute(sa.update(Cursor).values(value="5"))
        session.flush()
        assert counter() == 0
    assert counter() == 5


def test_what_was_read_stays_what_it_was_until_the_reading_ends(ledger: Ledger, counter: Callable[[], int]) -> None:
    with ledger.read() as session:
        before = session.scalar(sa.select(Cursor.value))
        add_one(ledger)
        assert session.scalar(sa.select(Cursor.value)) == before
    assert counter() == 1


def test_writers_in_threads_and_processes_lose_no_update(ledger: Ledger, url: str, counter: Callable[[], int]) -> None:
    others = [python(COUNT, url, "40") for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: add_one(ledger), range(160)))
    assert [(other.communicate(timeout=60)[1], other.returncode) for other in others] == [("", 0)] * 2
    assert counter() == 160 + 2 * 40


def test_a_process_killed_inside_a_transaction_leaves_nothing_of_it(
    ledger: Ledger, url: str, counter: Callable[[], int]
) -> None:
    victim = python(DIE_INSIDE, url)
    assert victim.communicate(timeout=60)[1] == ""
    assert victim.returncode == -signal.SIGKILL
    assert counter() == 0
    add_one(ledger)
    assert counter() == 1
    with ledger.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Record)) == 0
        if ledger.engine.dialect.name == "sqlite":
            assert session.scalar(sa.text("PRAGMA integrity_check")) == "ok"


def test_what_was_committed_is_on_disk_at_once(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        if ledger.engine.dialect.name == "postgresql":
            assert connection.scalar(sa.text("SHOW synchronous_commit")) == "on"
            return
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(sa.text("PRAGMA synchronous")) == 2
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1


def test_a_record_enters_once_for_each_workflow_source_and_version(ledger: Ledger) -> None:
    def add(**changes: str) -> None:
        fields = {"workflow": "w", "source": "s", "external_id": "1", "version": "1", "state": "fetched"} | changes
        with ledger.write() as session:
            session.add(Record(**fields, payload={}))

    add()
    add(version="2")
    add(workflow="other")
    with pytest.raises(sa.exc.IntegrityError):
        add()


def test_the_ledger_takes_a_run_that_has_not_ended(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(Run(id="r", workflow="w", stage="shadow", started_at=utcnow(), heartbeat_at=utcnow()))
    with ledger.read() as session:
        assert session.scalars(sa.select(Run)).one().ended_at is None

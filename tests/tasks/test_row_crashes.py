"""A row is added once: whenever its process is killed, however many runs want it, and of whatever file it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from blocks.ledger import Action, Ledger, Paper, Receipt, Record, Run, utcnow
from blocks.rows import Rows
from prompts.document_intake.schemas.invoice import Invoice
from sandbox import papers
from sandbox.client import Sandbox
from tasks import act
from tasks.act import Approved
from tasks.actions import AddRow
from tests.chaos.lane import LONG_AGO
from tests.chaos.traps import At, Trap
from tests.chaos.zygote import Zygote
from tests.tasks.test_races import at_once, errors

pytestmark = [pytest.mark.slow, pytest.mark.both_databases]

Allow = Callable[..., Approved]
BILL = AddRow(
    paper="invoice",
    fields={"number": "CH-1", "seller": "Cartwright & Hale", "total": "1623.60"},
    lines=({"description": "Review", "amount": "840.00"}, {"description": "Addendum", "amount": "480.00"}),
    file="bill.pdf",
    sha256="00",
)
RUNS = 4


@pytest.fixture
def bill(allow: Allow) -> Callable[..., Approved]:
    """A row that may be added."""

    def approved(key: str = "a", **changes: Any) -> Approved:
        return allow(BILL.model_copy(update=changes), key=key, credential="ledger/rows", workflow="document-intake")

    return approved


@pytest.fixture
def zygote(ledger_url: str, sandbox: Sandbox, tmp_path: Path) -> Iterator[Zygote]:
    with Zygote(ledger_url, sandbox.url, tmp_path / "zygote.log") as started:
        yield started


@pytest.fixture
def runs(ledger: Ledger) -> list[str]:
    """Runs that are alive."""
    names = [f"run{number}" for number in range(RUNS)]
    with ledger.write() as session:
        session.add_all(
            Run(id=name, workflow="document-intake", stage="selective", started_at=utcnow(), heartbeat_at=utcnow())
            for name in names
        )
    return names


def all_of(ledger: Ledger, table: type[Any]) -> Sequence[Any]:
    with ledger.read() as session:
        return session.scalars(sa.select(table).order_by(table.id)).all()


@pytest.fixture
def attempt(ledger: Ledger, ledger_url: str, zygote: Zygote) -> Callable[..., bool]:
    """Does a job in a process of its own, and tells whether that was killed: at a statement, where one is named."""

    def once(job: dict[str, Any], killed_at: int | None = None) -> bool:
        trap = None if killed_at is None else Trap(At.STATEMENT, number=killed_at).as_json()
        zygote.begin({**job, "ledger": ledger_url, "trap": trap})
        ended = zygote.ended()
        assert ended is not None
        assert not ended.error
        if ended.killed:
            with ledger.write() as session:  # the dead are known to be dead, rather than waited for
                gone = sa.update(Run).where(Run.ended_at.is_(None))
                session.execute(gone.values(heartbeat_at=utcnow() - LONG_AGO))
        return ended.killed

    return once


def test_whatever_statement_a_process_is_killed_at_the_next_leaves_one_row_with_all_its_lines(
    ledger: Ledger, bill: Callable[..., Approved], attempt: Callable[..., bool]
) -> None:
    for killed in count():
        approved = bill(f"k{killed}", fields=BILL.fields | {"number": f"CH-{killed}"})
        job = {"work": "act", "action": approved.action_id, "decision": approved.decision_id}
        if not attempt(job, killed + 1):
            break
        assert not attempt(job)
    assert killed > 10
    rows = Rows(ledger).read(Invoice)
    assert {row["number"] for row in rows} == {f"CH-{number}" for number in range(killed + 1)}
    assert len(rows) == killed + 1
    assert {len(row["lines"]) for row in rows} == {2}
    assert {action.state for action in all_of(ledger, Action)} == {"done"}
    assert len(all_of(ledger, Receipt)) == killed + 1


def test_whatever_statement_taking_in_is_killed_at_every_file_is_one_document(
    ledger: Ledger, tmp_path: Path, attempt: Callable[..., bool]
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    job = {"work": "take in", "folder": str(folder)}
    put = 0
    for killed in count(1, 4):
        for _ in range(2):
            put += 1
            (folder / f"bill {put}.pdf").write_bytes(papers.typed(f"Invoice CH-{put}\nTotal: 1.00"))
        if not attempt(job, killed):
            break
        assert not attempt(job)
    assert killed > 10
    records, kept = all_of(ledger, Record), all_of(ledger, Paper)
    assert sorted(record.title for record in records) == sorted(f"bill {number}.pdf" for number in range(1, put + 1))
    assert {record.state for record in records} == {"fetched"}
    assert [paper.record_id for paper in kept] == [record.id for record in records]
    assert all(paper.content and paper.sheet for paper in kept)


def test_many_runs_at_once_add_it_once(ledger: Ledger, bill: Callable[..., Approved], runs: list[str]) -> None:
    approved = bill()
    outcomes = at_once(*(lambda run=run: act.do(ledger, run, approved) for run in runs))
    assert errors(outcomes) == []
    assert Rows(ledger).count(Invoice) == 1
    assert len(all_of(ledger, Receipt)) == 1


def test_of_two_files_of_one_paper_that_nobody_was_asked_about_one_is_added_and_the_other_says_why(
    ledger: Ledger, bill: Callable[..., Approved], runs: list[str]
) -> None:
    wanted = [bill(f"file{number}", file=f"scan {number}.pdf") for number in range(RUNS)]
    outcomes = at_once(
        *(lambda run=run, one=one: act.do(ledger, run, one) for run, one in zip(runs, wanted, strict=True))
    )
    assert errors(outcomes) == []
    assert Rows(ledger).count(Invoice) == 1
    found = sorted((action.state, action.reason or "") for action in all_of(ledger, Action))
    assert found == [("done", ""), *[("refused", "invoices row 1 is of the same paper")] * (RUNS - 1)]


def test_one_that_a_person_has_allowed_knowing_of_the_other_is_added(
    ledger: Ledger, bill: Callable[..., Approved], runs: list[str]
) -> None:
    first, second = bill("a"), bill("b", twin="row 1 of invoices")
    for approved in (first, second):
        act.do(ledger, runs[0], approved)
    assert Rows(ledger).count(Invoice) == 2

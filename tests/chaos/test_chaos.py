"""A sample of the fault matrix (`make chaos` plays all of it), and whether the matrix sees what it is there to see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.faults import HOME
from tests.chaos import cells, faults, report
from tests.chaos.cells import DECISION, INTAKE, MODEL, Approval, Cell, Crash
from tests.chaos.destinations import DESTINATIONS, kinds
from tests.chaos.lane import Lane, opened
from tests.chaos.play import POSTGRESQL, SQLITE, Player, Result, targets
from tests.chaos.verdict import Verdict
from tests.postgres import NoPostgres

pytestmark = pytest.mark.slow

SEED = 1
CALLS = dict.fromkeys([*DESTINATIONS, INTAKE, MODEL], 3) | {DECISION: 0}
BY_NAME = {fault.name: fault for fault in faults.every_fault()}


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """One on SQLite."""
    folder = tmp_path_factory.mktemp("lane")
    with opened(f"sqlite:///{folder / 'ledger.db'}", folder) as made:
        yield made


@pytest.fixture
def broken(lane: Lane) -> Iterator[Lane]:
    """The lane, to be broken on purpose."""
    yield lane
    lane.broken = None


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("database", "share"), [(SQLITE, 0), (POSTGRESQL, 1)])
def test_whatever_fails_and_dies_nothing_is_lost_or_done_twice_or_without_leave(database: str, share: int) -> None:
    """Half of the pairs on each database: every fault meets every destination and every crash on one of them."""
    try:
        result = Player([database]).play(targets(), lambda calls: cells.sample(calls, SEED)[share::2])
    except NoPostgres as error:
        pytest.skip(str(error))
    print(report.as_text(result, targets()))  # noqa: T201 - shown when it fails
    assert result.complaints == []
    assert result.tracebacks == []
    assert result.good
    assert result.total.cells == result.planned
    assert result.total.doubt > 0
    assert result.total.crashes > result.total.cells / 3


def test_the_sample_holds_every_pair() -> None:
    chosen = cells.sample(CALLS, SEED)
    everything = cells.matrix(CALLS, SEED)
    assert set().union(*map(cells._pairs, chosen)) == set().union(*map(cells._pairs, everything))
    assert len(chosen) < len(everything) / 4
    for target in CALLS:
        strikes = {fault.name for fault in faults.every_fault() if fault.strikes(Cell(target).vendor)}
        met = {cell.fault.name for cell in chosen if cell.target == target}
        assert met == (strikes if CALLS[target] else {faults.NONE})
    assert {cell.approval for cell in chosen} == set(Approval)


def test_every_fault_of_the_sandbox_has_a_row_and_every_kind_of_action_a_column() -> None:
    assert {fault.kind for fault in faults.every_fault()} >= set(HOME)
    assert kinds() == list(DESTINATIONS)


@pytest.mark.parametrize("crash", [Crash.UNSENT, Crash.HELD, Crash.HELD_DONE, Crash.UNREAD])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_crash_strikes_where_it_was_aimed(lane: Lane, crash: Crash, call: int) -> None:
    cell = Cell("gmail.apply_label", crash=crash, crash_call=call)
    verdict = lane.play(cell)
    assert (verdict.crashes, verdict.done, verdict.complaints) == (1, 1, [])
    first = [request["status"] for request in lane.sandbox.requests("google")][:call]
    # The sandbox has no status for a call that it never answered.
    assert first[call - 1 :] != [None] if crash in (Crash.UNSENT, Crash.UNREAD) else first[call - 1 :] == [None]


def test_a_deleted_draft_is_in_doubt_and_nothing_else_is(lane: Lane) -> None:
    told = lane.play(
        Cell("gmail.send_reply", crash=Crash.HELD, crash_call=lane.calls("gmail.send_reply"), deleted=True)
    )
    assert (told.doubt, told.done, told.lost, told.complaints) == (1, 0, 0, [])


@pytest.mark.parametrize(
    ("how", "cell", "seen"),
    [
        ("never look", Cell("slack.post_message", crash=Crash.UNREAD), "twice"),
        ("never look", Cell("hubspot.add_note", BY_NAME["reply lost"], fault_call=2), "twice"),
        ("ask nobody", Cell("slack.post_message", approval=Approval.REJECTED), "unapproved"),
        ("ask nobody", Cell("slack.post_message", approval=Approval.PAYLOAD_CHANGED), "unapproved"),
        ("take silence for a no", Cell("slack.post_message", BY_NAME["hang"]), "lost"),
        ("take silence for a no", Cell("slack.post_message", BY_NAME["reply lost"]), "untrue"),
        ("forget the intent", Cell("slack.post_message", crash=Crash.UNSENT), "lost"),
    ],
)
def test_the_matrix_sees_what_it_is_there_to_see(broken: Lane, how: str, cell: Cell, seen: str) -> None:
    broken.broken = how
    verdict = broken.play(cell)
    assert getattr(verdict, seen) == 1
    assert verdict.complaints
    result = Result(planned=1)
    result.add(SQLITE, cell, verdict)
    assert not result.good
    assert str(cell) in report.as_text(result, targets())


def test_the_table_fits_a_terminal() -> None:
    result = Result(planned=2, seconds=12)
    for database in (SQLITE, POSTGRESQL):
        for cell in cells.matrix(CALLS, SEED):
            result.add(database, cell, Verdict(cells=1, wanted=1, done=1))
    text = report.as_text(result, targets())
    assert max(map(len, text.splitlines())) <= report.WIDTH
    assert result.good


def test_a_destination_that_the_matrix_does_not_know_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(DESTINATIONS, "slack.post_message")
    with pytest.raises(LookupError, match=r"knows nothing of slack\.post_message: add them there"):
        targets()


def test_only_what_exists_can_be_chosen() -> None:
    crm = ["upsert_contact", "add_note", "create_task", "note_ticket", "update_ticket"]
    assert targets("hubspot") == [f"hubspot.{kind}" for kind in crm]
    with pytest.raises(LookupError, match="there is no kind fax"):
        targets("fax")

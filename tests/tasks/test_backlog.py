"""What is left over when a run has had its share. How several runs share it is in `test_scale_stack.py`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from sandbox.client import Sandbox
from tasks import backlog, checks, fetch
from tasks.backlog import BacklogError
from tasks.run import Run


@pytest.mark.parametrize(("text", "runs"), [(None, 1), ("", 1), (" 4 ", 4), ("64", 64)])
def test_how_many_runs_may_go_side_by_side(monkeypatch: pytest.MonkeyPatch, text: str | None, runs: int) -> None:
    monkeypatch.delenv(backlog.PARALLEL, raising=False)
    if text is not None:
        monkeypatch.setenv(backlog.PARALLEL, text)
    assert backlog.parallel() == runs


@pytest.mark.parametrize("text", ["0", "65", "-1", "many", "1.5", "٣٣٣"])
def test_a_setting_that_is_no_such_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(backlog.PARALLEL, text)
    with pytest.raises(BacklogError, match=r"SIGNOFF_PARALLEL_RUNS is '.+': it is a number of runs, from 1 to 64"):
        backlog.parallel()


def test_a_run_of_no_deployment_takes_its_share_and_starts_nobody(
    begin: Callable[..., AbstractContextManager[Run]], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backlog.PARALLEL, "4")
    monkeypatch.setattr(backlog, "_start", pytest.fail)
    for number in range(5):
        sandbox.write(sender=f"ann{number}@x.example", subject=f"Question {number}", body="Hello?")
    with begin() as run:
        claimed = fetch.inbox(run, query="in:inbox", limit=2, suite=checks.answerable)
        assert len(claimed) == 2
        assert run.claimed == claimed
        assert run.left_outside == 3
        assert backlog.free(run) == 0

"""`signoff alerts test`, against the pretend company's Slack and inbox and a real receiver."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prefect.variables import Variable

from blocks.ledger import Ledger
from sandbox.client import Sandbox
from tasks.notice_channels import VARIABLE
from tests.deployments.machinery import Finished, clean_environment, run
from tests.telling import mails, posts, receiving

Signoff = Callable[..., Finished]


def test_help_fits_80_columns() -> None:
    done = run(["signoff", "alerts", "test", "--help"], clean_environment())
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.usefixtures("accounts", "ledger")
def test_each_channel_is_told_anew_and_says_what_became_of_it(sandbox: Sandbox, in_process: Signoff) -> None:
    with receiving() as receiver:
        for times in (1, 2):
            done = in_process("alerts", "test")
            assert done.code == 0, done.out
            assert "told      slack/team" in done.out
            assert "Everybody was told." in done.out
            assert (len(posts(sandbox)), len(mails(sandbox)), len(receiver.heard)) == (times, times, times)
        receiver.status = 503
        sandbox.fault("unauthorized", "slack", "chat.postMessage")
        done = in_process("alerts", "test")
    assert done.code == 1
    assert max(map(len, done.out.splitlines())) <= 80
    assert "not told  slack/team" in done.out
    assert "install the Slack app again" in " ".join(done.out.split())
    assert "not told  outgoing-webhook/alerts" in done.out
    assert "were not told." in done.out


@pytest.mark.usefixtures("accounts")
def test_where_nobody_would_hear_of_it_it_says_so(ledger: Ledger, sandbox: Sandbox, in_process: Signoff) -> None:
    Variable.set(VARIABLE, {"off": ["slack", "gmail", "outgoing-webhook"]}, overwrite=True)
    try:
        done = in_process("alerts", "test")
        as_json = in_process("alerts", "test", "--json")
    finally:
        Variable.unset(VARIABLE)
    assert done.code == 1
    assert "Nobody would hear of an alert" in done.out
    assert as_json.out.strip() == "[]"
    assert (posts(sandbox), sandbox.sent()) == ([], [])
    assert ledger

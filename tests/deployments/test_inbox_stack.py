"""The inbox on a whole machine: from `signoff inbox` to the sent reply, with the receiver killed in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deployments.stack import RECEIVER_URL
from tests.deployments.machinery import Machine, eventually, run, unused_port

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver(triaged: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The receiver as `signoff up` starts it; yields the environment of a command in another terminal."""
    monkeypatch.setenv("SIGNOFF_HOME", str(tmp_path))
    url = triaged.stack.start_receiver(unused_port())
    yield triaged.environment | {RECEIVER_URL: url, "SIGNOFF_HOME": str(tmp_path)}
    if "receiver" in triaged.stack.processes:
        triaged.stack.kill("receiver")
    triaged.stack.receiver_url = None


def test_a_reply_that_is_edited_on_the_page_is_sent_as_edited_though_the_receiver_is_killed(
    triaged: Machine, page: Page, receiver: dict[str, str]
) -> None:
    action = triaged.waiting()
    opened = run(["signoff", "inbox", "--as", "tom@dockwell.example", "--no-browser"], receiver)
    assert opened.code == 0, opened.err
    page.goto(opened.out.split()[-1])
    expect(page.locator(".who")).to_contain_text("tom@dockwell.example")
    url = receiver[RECEIVER_URL]
    page.goto(f"{url}/inbox/{action.id}")
    text = f"{action.payload['body']}\n\nP.S. Edited in the inbox."
    page.get_by_label("Text to send").fill(text)
    page.get_by_role("button", name="Approve a", exact=True).click()
    expect(page.locator("#held")).to_contain_text("Approved")
    triaged.stack.kill("receiver")
    assert triaged.action(action.id).state == "waiting"
    triaged.stack.start_receiver(int(url.rpartition(":")[2]))
    assert triaged.becomes(action.id, "done", "failed", "rejected").state == "done"
    (mail,) = triaged.sent_in(action)
    assert "P.S. Edited in the inbox." in mail.body
    decision = eventually("it is decided", lambda: triaged.decision(action.id))
    assert (decision.verdict, decision.approver, decision.edited) == ("approved", "tom@dockwell.example", True)
    page.goto(f"{url}/inbox/{action.id}")
    expect(page.locator("#item-problem")).to_contain_text("Approved by tom@dockwell.example")

"""What a run says it did."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
from markdown_it import MarkdownIt

from blocks.ledger import Action, Ledger, history
from tasks import audit, report, run
from tasks.audit import Head
from tasks.report import Row, Summary

Begin = Callable[..., AbstractContextManager[run.Run]]


def row(**changes: Any) -> Row:
    fields: dict[str, Any] = {
        "id": 1,
        "sender": "ann@northwind.example",
        "title": "A demo",
        "state": "done",
        "reason": "",
        "answer": {"intent": "demo_request", "urgency": "high", "summary": "not shown"},
        "done": ("contact",),
        "waits": (),
        "other": (),
        "cost": Decimal("0.0123"),
    }
    return Row(**fields | changes)


def summary(**changes: Any) -> Summary:
    fields: dict[str, Any] = {
        "workflow": "w",
        "stage": "gated",
        "records": {"done": 2, "quarantined": 1},
        "actions": {},
        "usd": Decimal("0.5"),
        "notes": (),
    }
    return Summary(**fields | changes)


def test_the_page_counts_and_lists() -> None:
    page = report.as_markdown(summary(notes=("3 more wait",)), [row()])
    assert page.startswith("**2 done, 1 quarantined** · stage gated · $0.5000")
    assert "- 3 more wait" in page
    html = MarkdownIt("commonmark").enable("table").render(page)
    assert "<td>ann@northwind.example</td>" in html
    assert "<td>demo_request · high</td>" in html
    assert "<td>$0.0123</td>" in html


def test_the_page_ends_with_the_whole_hash_of_the_history() -> None:
    head = Head(number=1204, hash="0123456789ab" + "c" * 52)
    page = report.as_markdown(summary(head=head), [row()])
    last = page.splitlines()[-1]
    assert "row 1204, 0123456789ab." in last
    assert last.endswith(f"`signoff audit verify --expect {head.hash}`")
    html = MarkdownIt("commonmark").enable("table").render(page)
    assert html.index("</table>") < html.index(head.hash)


def test_a_run_leaves_its_head_in_prefect(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(report, "create_markdown_artifact", lambda **given: kept.update(given))
    with begin() as run:
        with run.ledger.write() as session:
            history.note(session, "noted", "runs/1")
        published = report.publish(run, [])
        assert published.head == audit.head(run.ledger)
        assert published.head.number == 2
        assert published.head.hash in kept["markdown"].splitlines()[-1]
        assert Summary.model_validate_json(published.model_dump_json()) == published


def test_nothing_new_is_said_as_such() -> None:
    assert report.as_markdown(summary(records={}), []).startswith("**nothing new**")


def test_a_subject_cannot_break_the_table() -> None:
    page = report.as_markdown(summary(), [row(title="a | b\n| c | [x](http://evil.example) <b>")])
    html = MarkdownIt("commonmark").enable("table").render(page)
    assert html.count("<tr>") == 2
    assert "<td>a | b | c | [x](http://evil.example) &lt;b&gt;</td>" in html
    assert "<a " not in html


def test_a_record_without_an_answer_shows_its_reason() -> None:
    assert "our own mail" in report.as_markdown(summary(), [row(answer={}, reason="our own mail")])


def test_a_record_that_waits_says_so() -> None:
    assert row(waits=("reply #1",)).outcome == "waits for sign-off"
    assert row().outcome == "done"


def test_rows_tell_what_was_done_what_waits_and_the_rest(ledger: Ledger, add_record: Callable[..., int]) -> None:
    number = add_record("gated")
    states = ["done", "waiting", "pending", "unknown", "rejected", "failed"]
    with ledger.write() as session:
        for state in states:
            session.add(
                Action(
                    key=state,
                    workflow="lead-triage",
                    record_id=number,
                    kind="slack.post_message",
                    impact="low",
                    title="t",
                    payload={},
                    digest="d",
                    credential="slack/team",
                    explanation="",
                    stage="gated",
                    state=state,
                    reason="the channel is archived" if state == "failed" else None,
                )
            )
    (found,) = report.of_records(ledger, [number])
    assert found.done == ("Slack",)
    assert found.waits == ("Slack #2",)
    assert found.other == (
        "Slack #3 to do",
        "Slack #4 in doubt",
        "Slack #5 rejected",
        "Slack #6 failed: the channel is archived",
    )
    assert found.cost == 0

"""Approve in a real browser, on the page that the links lead to."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.deployments.browser import choose, open_form, submit
from tests.deployments.machinery import Machine

pytestmark = pytest.mark.slow

SUBJECT = "Demo for 12 doors <b>now</b> [prices](https://buyer.example)"
TEXT = (
    "Hello, we run a warehouse with 12 loading doors and have outgrown our spreadsheet. Could we get a demo next week? "
    "What would it cost for three sites and 25 users? We want to choose a system this quarter. Kind regards, Jo\n\n"
    "![plan](http://buyer.example/p.png) <script>alert(1)</script> [Approve](https://buyer.example/a)\n"
    "www.buyer.example\n```\n# Approved\n````\n~~~\n<a href='https://buyer.example'>click</a>"
)


def test_an_edited_reply_is_sent_as_edited(triaged: Machine, page: Page) -> None:
    action = triaged.waiting()
    form = open_form(page, triaged, action)
    said = form.inner_text()
    record = next(r for r in triaged.records() if r.id == action.record_id)
    for part in (action.title, action.payload["to"], action.payload["subject"], "Why:", record.payload["text"][:60]):
        assert " ".join(part.split()) in " ".join(said.split())
    draft = form.locator("textarea").last
    assert draft.input_value() == action.payload["body"]
    edited = f"{action.payload['body']}\n\nP.S. Edited in the browser."
    draft.fill(edited)
    choose(form, "approve")
    submit(form)
    assert triaged.becomes(action.id, "done", "failed", "rejected").state == "done"
    (mail,) = triaged.sent_in(action)
    assert "P.S. Edited in the browser." in mail.body
    assert mail.to == action.payload["to"]
    decision = triaged.decision(action.id)
    assert decision is not None
    assert (decision.verdict, decision.approver, decision.edited) == ("approved", "Ana Browser", True)
    assert decision.payload["body"] == edited


def test_the_form_says_what_each_field_is_for(triaged: Machine, page: Page) -> None:
    form = open_form(page, triaged, triaged.waiting())
    said = form.inner_text()
    for part in ("Decision", "Your name", "Comment", "Text to send", "what stands here is what is sent"):
        assert part in said


def test_a_hostile_mail_is_shown_to_the_letter(triaged: Machine, page: Page) -> None:
    before = triaged.newest_record()
    triaged.sandbox.write(
        sender='"[Ana](https://evil.example) <b>x</b>" <jo@buyer.example>',
        subject=SUBJECT,
        body=TEXT,
    )
    triaged.triage()
    action = next(a for a in triaged.actions(after=before) if a.kind == "gmail.send_reply")
    form = open_form(page, triaged, action)
    shown = form.locator("article").first
    for element in ("a", "img", "script", "iframe", "h1", "b"):
        assert shown.locator(element).count() == 0, f"<{element}> in {shown.inner_html()}"
    said = " ".join(shown.inner_text().split())
    assert " ".join(TEXT.split()) in said
    assert SUBJECT in said


def test_a_form_without_a_decision_is_not_taken(triaged: Machine, page: Page) -> None:
    action = triaged.waiting()
    form = open_form(page, triaged, action)
    form.get_by_role("button", name="Submit").click()
    page.wait_for_timeout(1000)
    assert form.is_visible()
    assert triaged.state_of(str(action.flow_run_id)) == "Suspended"


def test_the_results_table_can_be_read(triaged: Machine, page: Page) -> None:
    page.goto(f"{triaged.stack.url}/artifacts/key/lead-triage-results")
    page.locator("a[href*='/artifacts/artifact/']").last.click()
    table = page.locator("table").first
    table.wait_for()
    headings = [cell.inner_text() for cell in table.locator("th").all()]
    assert headings[:3] == ["#", "From", "Subject"]
    assert "hannah.yates@kestrelhome.example" in page.locator("body").inner_text()


@pytest.mark.parametrize("slug", ["gmail", "hubspot", "slack", "notion", "claude"])
def test_a_block_can_be_made_in_the_browser(triaged: Machine, page: Page, slug: str) -> None:
    from blocks.connections import BLOCKS, block_class

    assert triaged.prefect("block", "register", "-m", BLOCKS[slug][0]).code == 0
    page.goto(f"{triaged.stack.url}/blocks/catalog/{slug}/create")
    page.get_by_text("Block Name").wait_for()
    said = page.locator("body").inner_text()
    for field_ in block_class(slug).model_fields.values():
        assert field_.title
        assert field_.title in said
        assert (field_.description or "")[:60] in said

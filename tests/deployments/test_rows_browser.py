"""A document's row, looked at and put right in a real browser, on the page that the links lead to."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from blocks.ledger import Action
from tests.deployments.browser import box, choose, open_form, submit
from tests.deployments.machinery import Machine, eventually

pytestmark = pytest.mark.slow

PRINTER = "harbour print 20655.pdf"


@pytest.fixture(scope="module")
def read(triaged: Machine) -> Machine:
    """The stack after the papers of the pretend company's Drive were read."""
    run = triaged.start("document-intake")
    ended = ("Completed", "Failed", "Crashed")
    state = eventually("document-intake ends", lambda: s if (s := triaged.state_of(run)) in ended else None, 300)
    assert state == "Completed", triaged.stack.log("worker").read_text()[-3000:]
    return triaged


def of(machine: Machine, file: str) -> Action:
    """The row that waits for a document."""
    with machine.ledger.read() as session:
        found = session.scalars(sa.select(Action).where(Action.kind == "ledger.add_row", Action.state == "waiting"))
        return next(action for action in found if action.payload["file"] == file)


def test_a_doubtful_row_shows_what_it_was_read_from(read: Machine, page: Page) -> None:
    form = open_form(page, read, of(read, PRINTER))
    for part in (
        "Net, tax and total: read as “337.00”, “77.51” and “441.51” (page 1).",
        "Please check: net 337.00 + tax 77.51 is not total 441.51.",
        "Written as 1234.50; empty when there is none.",
        "One a line: description | quantity | unit price | amount.",
    ):
        expect(form).to_contain_text(part)
    pictures = form.locator("article img").all()
    assert pictures
    for picture in pictures:
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 100


def test_it_is_added_as_it_was_put_right(read: Machine, page: Page) -> None:
    action = of(read, PRINTER)
    form = open_form(page, read, action)
    box(form, "Number").fill("20655")
    box(form, "Date").fill("")
    box(form, "Total").fill("4x4")
    choose(form, "approve")
    form.get_by_role("button", name="Submit").click()
    page.get_by_text("Validation failed for field 'total'").first.wait_for()
    assert read.action(action.id).state == "waiting"
    box(form, "Total").fill("414.51")
    submit(form)
    assert read.becomes(action.id, "done", "failed", "rejected", "refused").state == "done"
    (row,) = read.signoff("rows", "list", "invoice", "--json").json
    assert {name: row[name] for name in ("number", "date", "seller", "total", "iban")} == {
        "number": "20655",
        "date": None,
        "seller": "Harbour Print & Sign Ltd",
        "total": "414.51",
        "iban": None,
    }
    assert [line["amount"] for line in row["lines"]] == ["248", "89"]

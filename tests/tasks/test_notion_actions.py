"""Pages in Notion: what the form shows and takes, and that each is made once, with all of its body."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from blocks import connections
from blocks import ledger as tables
from blocks.ledger import Decision, Ledger, Receipt
from blocks.notion import Notion
from blocks.vendor import VendorError
from sandbox.client import Sandbox
from tasks import alerts, gate, performers
from tasks.act import Approved
from tasks.actions import CreatePage, load

Allow = Callable[..., Approved]
LINES = ["# Decisions", *(f"- No. {number}" for number in range(250))]
LONG = CreatePage(name="Weekly", properties={"Date": "2026-03-02"}, body="\n".join(LINES))


@pytest.fixture
def notion(accounts: Callable[[], None]) -> Notion:  # noqa: ARG001
    """The block, as the verbs see it."""
    block: Notion = connections.load("notion/meetings")
    return block


def row(ledger: Ledger, approved: Approved) -> tables.Action:
    with ledger.read() as session:
        return session.get_one(tables.Action, approved.action_id)


class TestForm:
    ACTION = CreatePage(
        name="Weekly\nmeeting",
        properties={"Date": "2026-03-02", "decision": "Two doors", "Empty": ""},
        body="# Decisions\n- Two doors",
    )

    def test_it_reads_well(self) -> None:
        assert self.ACTION.title == "Notion page: Weekly meeting"
        shown = gate.explanation(self.ACTION, "**Why:** it was said", Decimal(0)).replace("\\", "")
        assert "- **Date:** 2026-03-02" in shown
        assert "> - Two doors" in shown
        assert "Empty" not in shown

    def test_every_part_has_a_box_of_its_own_name(self) -> None:
        boxes = {blank.name: blank.text for blank in self.ACTION.blanks()}
        assert boxes == {
            "title": "Weekly\nmeeting", "property_1": "2026-03-02", "property_2": "Two doors", "property_3": "",
            "body": "# Decisions\n- Two doors",
        }  # fmt: skip
        assert [blank.title for blank in self.ACTION.blanks()] == ["Title", "Date", "decision", "Empty", "Text"]

    def test_what_a_person_writes_is_what_is_wanted(self) -> None:
        boxes = {blank.name: blank.text for blank in self.ACTION.blanks()}
        assert self.ACTION.filled(boxes)["name"] == self.ACTION.name
        changed = self.ACTION.filled(boxes | {"title": "Monthly", "property_1": " 2026-03-03 ", "property_2": ""})
        edited = load(self.ACTION.kind, self.ACTION.model_dump(mode="json") | changed)
        assert isinstance(edited, CreatePage)
        assert edited.name == "Monthly"
        assert edited.properties == {"Date": "2026-03-03", "decision": "", "Empty": ""}
        assert edited.body == self.ACTION.body

    @pytest.mark.parametrize("change", [{"name": " "}, {"name": "x" * 2_001}, {"body": "a\x00b"}])
    def test_what_cannot_be_a_page_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            CreatePage(**{"name": "Weekly", **change})

    def test_every_text_is_compared_with_the_record(self) -> None:
        assert set(self.ACTION.texts()) == {self.ACTION.name, "2026-03-02", "Two doors", "", self.ACTION.body}
        assert self.ACTION.targets() == ()


class TestOnce:
    def test_what_is_made_is_what_was_approved(
        self, sandbox: Sandbox, ledger: Ledger, allow: Allow, do: Callable[[Approved], None]
    ) -> None:
        action = CreatePage(name="Weekly", properties={"Status": "Draft", "Summary": ""}, body="- <b>Two</b> doors")
        approved = allow(action)
        do(approved)
        (page,) = sandbox.pages("Meeting notes")
        marker = performers.Attempt(row(ledger, approved).key, {}, lambda _: None, tables.utcnow()).marker
        assert page["properties"] == {"Name": "Weekly", "Key": marker, "Status": "Draft"}
        assert page["body"] == ["- <b>Two</b> doors"]
        with ledger.read() as session:
            (receipt,) = session.scalars(sa.select(Receipt))
        assert (receipt.vendor, receipt.external_id, receipt.detail) == ("notion", page["id"], {})

    @pytest.mark.parametrize("kind", ["reply_lost", "rate_limited", "server_error", "reset"])
    @pytest.mark.parametrize("after", [0, 1])
    def test_a_long_body_is_gone_on_with_where_it_broke_off(
        self,
        sandbox: Sandbox,
        ledger: Ledger,
        allow: Allow,
        do: Callable[[Approved], None],
        resume: Callable[[], list[str]],
        kind: Any,
        after: int,
    ) -> None:
        approved = allow(LONG)
        sandbox.fault(kind, "notion", "*/children", method="PATCH", after=after)
        with pytest.raises(VendorError):
            do(approved)
        assert row(ledger, approved).state in ("pending", "unknown")
        resume()
        assert row(ledger, approved).state == "done"
        (page,) = sandbox.pages()
        assert page["body"] == LINES

    def test_a_ledger_that_was_restored_makes_no_second_page(
        self, sandbox: Sandbox, ledger: Ledger, allow: Allow, do: Callable[[Approved], None]
    ) -> None:
        approved = allow(LONG)
        do(approved)
        with ledger.write() as session:  # as a backup from before it was done would be
            session.execute(sa.delete(Receipt))
            session.execute(sa.update(tables.Action).values(state="pending", progress=None, attempts=0))
            session.execute(sa.update(Decision).values(used_at=None))
        do(approved)
        (page,) = sandbox.pages()
        assert page["body"] == LINES

    @pytest.mark.parametrize("how", ["trash", "delete"])
    def test_what_a_person_has_thrown_away_meanwhile_is_not_made_again(
        self,
        sandbox: Sandbox,
        ledger: Ledger,
        notion: Notion,
        allow: Allow,
        do: Callable[[Approved], None],
        resume: Callable[[], list[str]],
        how: str,
    ) -> None:
        approved = allow(LONG)
        sandbox.fault("rate_limited", "notion", "*/children", method="PATCH")
        with pytest.raises(VendorError):
            do(approved)
        (page,) = sandbox.pages()
        notion.archive(page["id"]) if how == "trash" else sandbox.delete_page(page["id"])
        resume()
        assert row(ledger, approved).state == "done"
        assert len([page for page in sandbox.pages() if not page["in_trash"]]) == 0

    def test_half_a_page_is_none(
        self, sandbox: Sandbox, ledger: Ledger, allow: Allow, do: Callable[[Approved], None]
    ) -> None:
        approved = allow(LONG)
        sandbox.fault("bad_request", "notion", "*/children", method="PATCH", after=1)
        with pytest.raises(VendorError, match="append blocks: 400"):
            do(approved)
        assert row(ledger, approved).state == "failed"
        assert [page["in_trash"] for page in sandbox.pages()] == [True]

    def test_half_a_page_whose_failure_nobody_wrote_down_is_gone_on_with(
        self, sandbox: Sandbox, ledger: Ledger, allow: Allow, do: Callable[[Approved], None],
        resume: Callable[[], list[str]],
    ) -> None:  # fmt: skip
        approved = allow(LONG)
        sandbox.fault("bad_request", "notion", "*/children", method="PATCH")
        with pytest.raises(VendorError):
            do(approved)
        with ledger.write() as session:  # as if the run had died with the page in the trash
            session.execute(sa.update(tables.Action).values(state="pending"))
        resume()
        assert row(ledger, approved).state == "done"
        assert [(page["in_trash"], page["body"] == LINES) for page in sandbox.pages()] == [(False, True)]

    def test_it_is_undone_by_the_trash(
        self, sandbox: Sandbox, ledger: Ledger, notion: Notion, allow: Allow, do: Callable[[Approved], None]
    ) -> None:
        do(allow(LONG))
        with ledger.read() as session:
            (receipt,) = session.scalars(sa.select(Receipt))
        notion.archive(receipt.external_id)
        assert [page["in_trash"] for page in sandbox.pages()] == [True]


class TestAccount:
    def test_a_database_that_is_not_shared_leaves_it_to_do(
        self, sandbox: Sandbox, ledger: Ledger, allow: Allow, do: Callable[[Approved], None]
    ) -> None:
        approved = allow(LONG)
        sandbox.change_database("Meeting notes", shared=False)
        with pytest.raises(VendorError, match="share the database with the integration"):
            do(approved)
        assert row(ledger, approved).state == "pending"
        sandbox.change_database("Meeting notes", shared=True)
        do(approved)
        assert row(ledger, approved).state == "done"

    def test_a_renamed_property_opens_an_alert_and_leaves_it_to_do(
        self, sandbox: Sandbox, ledger: Ledger, allow: Allow, do: Callable[[Approved], None]
    ) -> None:
        approved = allow(LONG)
        sandbox.change_database("Meeting notes", rename={"Date": "Day"})
        with pytest.raises(VendorError, match=r"Meeting notes\.Date is no property of the database"):
            do(approved)
        assert row(ledger, approved).state == "pending"
        (alert,) = alerts.still_open(ledger)
        assert alert.key == "drift:notion:Meeting notes.Date"
        sandbox.change_database("Meeting notes", rename={"Day": "Date"})
        do(approved)
        assert row(ledger, approved).state == "done"

    def test_a_text_that_is_no_value_fails_for_good(
        self, sandbox: Sandbox, ledger: Ledger, allow: Allow, resume: Callable[[], list[str]]
    ) -> None:
        approved = allow(CreatePage(name="Weekly", properties={"Date": "on Friday"}))
        resume()
        assert row(ledger, approved).state == "failed"
        assert "Date takes a date, such as 2026-03-31" in (row(ledger, approved).reason or "")
        assert sandbox.pages() == []

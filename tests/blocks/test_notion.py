"""The Notion block against the sandbox, and Notion's refusals against a transport that plays them."""

from collections.abc import Callable
from traceback import format_exception
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from blocks.notion import VERSION, Notion, PageGone
from blocks.notion_parts import BLOCK, BLOCKS, TEXT, batches, blocks, rich_text, units, value
from blocks.shape import SchemaDrift
from blocks.vendor import VendorError
from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.faults import Kind
from sandbox.notion import database_id, source_id

NOTES = "Meeting notes"
SOMEBODY = "00000000-0000-4000-8000-000000000001"
Connect = Callable[..., Notion]


def answering(reply: httpx.Response) -> Notion:
    """A block whose vendor always answers with this."""
    notion = Notion(token=SecretStr("planted-token"), data_source=SOMEBODY)
    transport = httpx.MockTransport(lambda _: reply)
    notion._client.get(lambda: httpx.Client(base_url=notion.address, transport=transport))
    notion._source.get(lambda: SOMEBODY)
    return notion


def refusal(status: int, code: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"object": "error", "status": status, "code": code, "message": message})


class TestReads:
    def test_check_names_integration_and_workspace(self, notion: Notion, calls: Callable[..., int]) -> None:
        assert notion.check() == "Signoff in Sandbox"
        assert calls() == calls("/users/me") == 1

    def test_the_databases_properties_come_with_their_types(self, notion: Notion) -> None:
        database = notion.database()
        assert (database.name, database.title) == (NOTES, "Name")
        assert database.types == {
            "Name": "title", "Key": "rich_text", "Date": "date", "Summary": "rich_text", "Status": "select",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "given",
        [
            source_id(NOTES),
            source_id(NOTES).replace("-", ""),
            database_id(NOTES),
            f"https://www.notion.so/acme/Meeting-notes-{database_id(NOTES).replace('-', '')}?v={'a' * 32}&pvs=4",
        ],
    )
    def test_the_database_may_be_given_by_id_or_link(self, connect_notion: Connect, given: str) -> None:
        assert connect_notion(data_source=given).database().name == NOTES

    def test_of_several_data_sources_one_must_be_chosen(self, connect_notion: Connect, sandbox: Sandbox) -> None:
        sandbox.change_database(NOTES, beside="Old notes")
        with pytest.raises(VendorError, match=rf"Old notes \({source_id('Old notes')}\)") as caught:
            connect_notion(data_source=database_id(NOTES)).database()
        assert (caught.value.permanent, caught.value.status) == (True, 403)
        assert connect_notion(data_source=source_id("Old notes")).database().name == "Old notes"

    def test_a_block_without_an_id_says_so(self, connect_notion: Connect) -> None:
        with pytest.raises(VendorError, match="which holds no id"):
            connect_notion(data_source="Meeting notes").database()

    def test_what_is_not_shared_says_how_to_share_it(self, notion: Notion, sandbox: Sandbox) -> None:
        notion.database()
        sandbox.change_database(NOTES, shared=False)
        for call in (notion.database, lambda: notion.find("k"), lambda: notion.create("T", {}, "k")):
            with pytest.raises(VendorError, match=r"share the database with the integration") as caught:
                call()
            assert (caught.value.permanent, caught.value.status) == (True, 403)

    def test_the_version_is_named_with_every_request(self, notion: Notion) -> None:
        assert notion.get_client().headers["notion-version"] == VERSION == "2026-03-11"


class TestPages:
    def test_a_page_is_found_by_its_key_with_all_that_it_was_given(self, notion: Notion, sandbox: Sandbox) -> None:
        body = blocks(
            "# Decisions\n\n- Two **doors**\n- [ ] Ann sends the plan\n- [x] done\n1. one\n---\nBye, zażółć 🙂"
        )
        made = notion.create("Weekly", {"Date": "2026-03-31", "Status": "Draft", "Summary": ""}, "k1", body)
        notion.create("Another", {}, "k2")
        found = notion.find("k1")
        assert found == made
        assert notion.find("k3") is None
        page, _ = sandbox.pages(NOTES)
        assert (page["id"], page["title"]) == (made.id, "Weekly")
        assert page["properties"] == {"Name": "Weekly", "Key": "k1", "Date": "2026-03-31", "Status": "Draft"}
        assert page["body"] == [
            "# Decisions", "- Two doors", "- [ ] Ann sends the plan", "- [x] done", "1. one", "---", "Bye, zażółć 🙂",
        ]  # fmt: skip

    def test_every_type_takes_a_text(self, connect_notion: Connect, sandbox: Sandbox) -> None:
        documents = connect_notion(data_source=source_id("Documents"))
        sandbox.change_database("Documents", retype={"File": "url", "Counterparty": "multi_select"})
        texts = {"Kind": "Invoice", "Date": "2026-02-03", "Amount": "1234.50", "Currency": "EUR",
                 "Counterparty": "Acme, Northwind", "File": "https://x.example/a.pdf"}  # fmt: skip
        documents.create("Invoice 7", texts, "k")
        (page,) = sandbox.pages("Documents")
        assert page["properties"] == texts | {"Name": "Invoice 7", "Key": "k", "Amount": "1234.5"}

    def test_a_new_option_comes_into_being(self, notion: Notion, sandbox: Sandbox) -> None:
        notion.create("Weekly", {"Status": "Sent"}, "k1")
        assert sandbox.pages()[0]["properties"]["Status"] == "Sent"

    def test_properties_are_set_and_cleared(self, notion: Notion, sandbox: Sandbox) -> None:
        page = notion.create("Weekly", {"Summary": "Short", "Status": "Draft"}, "k1")
        for _ in range(2):
            notion.update(page.id, {"Summary": "", "Status": "Final", "Name": "Weekly 14"})
        assert sandbox.pages()[0]["properties"] == {"Name": "Weekly 14", "Key": "k1", "Status": "Final"}

    def test_into_the_trash_and_out_of_it(self, notion: Notion, sandbox: Sandbox) -> None:
        page = notion.create("Weekly", {}, "k1")
        for _ in range(2):
            notion.archive(page.id)
            assert sandbox.pages()[0]["in_trash"]
            assert notion.page(page.id).in_trash
            assert notion.find("k1") is None
        for _ in range(2):
            notion.restore(page.id)
            assert notion.find("k1") == page

    def test_what_is_in_the_trash_is_not_changed(self, notion: Notion) -> None:
        page = notion.create("Weekly", {}, "k1")
        notion.archive(page.id)
        refused: tuple[Callable[[], object], ...] = (
            lambda: notion.update(page.id, {"Summary": "x"}),
            lambda: notion.append(page.id, blocks("x")),
        )
        for call in refused:
            with pytest.raises(VendorError, match="must unarchive the block before editing") as caught:
                call()
            assert (caught.value.permanent, caught.value.status) == (True, 400)

    @pytest.mark.parametrize("what", ["page", "length", "archive", "restore"])
    def test_a_page_that_is_gone_is_told_from_a_database_that_is(
        self, notion: Notion, sandbox: Sandbox, what: str
    ) -> None:
        page = notion.create("Weekly", {}, "k1")
        sandbox.delete_page(page.id)
        with pytest.raises(PageGone) as caught:
            getattr(notion, what)(page.id)
        assert (caught.value.permanent, caught.value.status) == (True, 404)

    def test_a_long_body_is_counted_over_all_pages_of_the_list(self, notion: Notion, calls: Callable[..., int]) -> None:
        first, *rest = batches(blocks("\n".join(f"line {n}" for n in range(250))))
        page = notion.create("Long", {}, "k1", first)
        for batch in rest:
            notion.append(page.id, batch)
        assert notion.length(page.id) == 250
        assert (calls("/children", "PATCH"), calls("/children", "GET")) == (2, 3)


class TestDrift:
    def test_a_renamed_property_is_named_with_its_likely_new_name(self, notion: Notion, sandbox: Sandbox) -> None:
        sandbox.change_database(NOTES, rename={"Summary": "Summary (short)"})
        with pytest.raises(SchemaDrift, match=r"notion: Meeting notes\.Summary is no property") as caught:
            notion.create("Weekly", {"Summary": "x"}, "k1")
        assert (caught.value.path, caught.value.new) == ("Meeting notes.Summary", ("Summary (short)",))
        assert (caught.value.permanent, caught.value.unknown) == (True, False)
        assert sandbox.pages() == []

    def test_a_property_that_no_text_can_be_written_into(self, notion: Notion, sandbox: Sandbox) -> None:
        sandbox.change_database(NOTES, retype={"Summary": "people"})
        with pytest.raises(SchemaDrift, match=r"Meeting notes\.Summary is of the type people, not one that holds"):
            notion.create("Weekly", {"Summary": "x"}, "k1")

    def test_the_title_may_be_called_anything(self, notion: Notion, sandbox: Sandbox) -> None:
        sandbox.change_database(NOTES, rename={"Name": "Besprechung"})
        notion.create("Weekly", {}, "k1")
        assert sandbox.pages()[0]["title"] == "Weekly"

    @pytest.mark.parametrize("change", [{"rename": {"Key": "Keys"}}, {"retype": {"Key": "number"}}])
    def test_without_its_key_nothing_is_made_and_nothing_is_taken_for_missing(
        self, notion: Notion, sandbox: Sandbox, change: dict[str, Any]
    ) -> None:
        sandbox.change_database(NOTES, **change)
        refused: tuple[Callable[[], object], ...] = (
            lambda: notion.find("k1"),
            lambda: notion.create("Weekly", {}, "k1"),
        )
        for call in refused:
            with pytest.raises(SchemaDrift, match=r"Meeting notes\.Key is "):
                call()
        assert sandbox.pages() == []

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("Date", "next Friday", "Date takes a date, such as 2026-03-31"),
            ("Status", "Draft, Final", "Status takes one option, whose name Notion allows no comma"),
            ("Summary", "x" * 200_001, "Summary is longer than the 200,000 characters"),
        ],
    )
    def test_a_text_that_does_not_fit_is_told_by_property_and_not_by_value(
        self, notion: Notion, sandbox: Sandbox, name: str, text: str, said: str
    ) -> None:
        with pytest.raises(VendorError, match=said) as caught:
            notion.create("Weekly", {name: text}, "k1")
        assert (caught.value.permanent, isinstance(caught.value, SchemaDrift)) == (True, False)
        assert text not in str(caught.value)
        assert sandbox.pages() == []


class TestFailures:
    @pytest.mark.parametrize("kind", ["reply_lost", "reset", "hang"])
    def test_a_lost_reply_to_a_page_is_unknown_and_never_repeated(
        self, connect_notion: Connect, sandbox: Sandbox, kind: Kind, calls: Callable[..., int]
    ) -> None:
        notion = connect_notion(timeout_seconds=0.3)
        notion.check()
        sandbox.fault(kind, "notion", "/v1/pages", seconds=5, commit=True)
        with pytest.raises(VendorError) as caught:
            notion.create("Weekly", {}, "k1")
        assert (caught.value.unknown, caught.value.permanent) == (True, False)
        assert calls("/pages", "POST") == 1
        assert (notion.find("k1") is not None) == (kind != "reset")

    def test_a_lost_reply_to_a_read_can_be_retried(
        self, notion: Notion, sandbox: Sandbox, calls: Callable[..., int]
    ) -> None:
        notion.database()
        sandbox.fault("reply_lost", "notion", "/query")
        with pytest.raises(VendorError) as caught:
            notion.find("k1")
        assert (caught.value.unknown, caught.value.permanent) == (False, False)
        assert calls("/query") == 1

    @pytest.mark.parametrize(
        ("kind", "status", "unknown"),
        [("rate_limited", 429, False), ("overloaded", 503, True), ("server_error", 500, True),
         ("bad_gateway", 502, True)],
    )  # fmt: skip
    def test_a_refused_page(
        self, notion: Notion, sandbox: Sandbox, kind: Kind, status: int, unknown: bool, calls: Callable[..., int]
    ) -> None:
        sandbox.fault(kind, "notion", "/v1/pages", retry_after=3)
        with pytest.raises(VendorError) as caught:
            notion.create("Weekly", {}, "k1")
        error = caught.value
        assert (error.status, error.permanent, error.unknown) == (status, False, unknown)
        assert error.retry_after == (None if kind == "bad_gateway" else 3)
        assert calls("/pages", "POST") == 1

    def test_a_dead_token_says_what_to_do(self, connect_notion: Connect) -> None:
        with pytest.raises(VendorError, match=r"API token is invalid\.: put the integration's token") as caught:
            connect_notion(token=SecretStr("ntn_old")).check()
        assert (caught.value.permanent, caught.value.status) == (True, 401)

    def test_a_token_without_the_capability_says_what_to_do(self, connect_notion: Connect) -> None:
        reader = connect_notion(token=SecretStr(credentials.NOTION_TOKEN_READS))
        assert reader.find("k1") is None
        with pytest.raises(VendorError, match="capabilities to read, insert and update content") as caught:
            reader.create("Weekly", {}, "k1")
        assert (caught.value.permanent, caught.value.status, caught.value.unknown) == (True, 403, False)

    def test_a_conflict_can_be_tried_again(self) -> None:
        notion = answering(refusal(409, "conflict_error", "Conflict occurred while saving."))
        with pytest.raises(VendorError, match="Conflict occurred") as caught:
            notion.append(SOMEBODY, blocks("x"))
        assert (caught.value.permanent, caught.value.unknown, caught.value.status) == (False, False, 409)

    def test_a_validation_error_names_the_property(self) -> None:
        notion = answering(refusal(400, "validation_error", "Summary is expected to be rich_text."))
        with pytest.raises(VendorError, match="Summary is expected to be rich_text") as caught:
            notion.append(SOMEBODY, blocks("x"))
        assert (caught.value.permanent, caught.value.unknown, caught.value.status) == (True, False, 400)

    def test_a_page_instead_of_json_is_an_unknown_outcome(self) -> None:
        notion = answering(httpx.Response(200, html="<h1>Please log in</h1>"))
        with pytest.raises(VendorError, match="not JSON: Please log in") as caught:
            notion.append(SOMEBODY, blocks("x"))
        assert (caught.value.permanent, caught.value.unknown) == (False, True)

    def test_after_a_page_that_cannot_be_read_nobody_knows(self, notion: Notion, sandbox: Sandbox) -> None:
        sandbox.fault("renamed_field", "notion", "/v1/pages", rename={"url": "href"})
        with pytest.raises(SchemaDrift, match=r"notion: page\.url is missing from the reply \(href is new\)") as caught:
            notion.create("Weekly", {}, "k1")
        assert caught.value.unknown

    def test_a_redirect_is_refused_not_followed(self) -> None:
        notion = answering(httpx.Response(302, headers={"location": "https://elsewhere.example"}))
        with pytest.raises(VendorError, match="302") as caught:
            notion.check()
        assert caught.value.permanent
        assert not Notion(token=SecretStr("x"), data_source=SOMEBODY).get_client().follow_redirects

    def test_the_token_is_in_no_error_and_no_repr(self) -> None:
        notion = answering(refusal(401, "unauthorized", "planted-token is invalid"))
        with pytest.raises(VendorError) as caught:
            notion.check()
        assert (
            "planted" not in f"{notion!r} {format_exception(caught.value)} {vars(caught.value)} {notion.model_dump()}"
        )


class TestParts:
    def test_a_long_text_is_cut_at_spaces_and_nothing_of_it_is_lost(self) -> None:
        text = "word " * 1_000
        pieces = [each["text"]["content"] for each in rich_text(text)]
        assert "".join(pieces) == text
        assert max(map(len, pieces)) <= TEXT
        assert all(piece.endswith(" ") for piece in pieces)

    def test_an_emoji_counts_twice_and_is_not_cut_in_two(self, notion: Notion) -> None:
        text = "🙂" * 1_500
        pieces = [each["text"]["content"] for each in rich_text(text)]
        assert [units(piece) for piece in pieces] == [2_000, 1_000]
        notion.create(text, {"Summary": "x" + text}, "k1", blocks(text))

    @pytest.mark.parametrize("line", ["x" * 70_000, "- " + "point " * 9_000, "# " + "é" * 45_000, "🙂" * 20_000])
    def test_a_line_that_is_too_long_for_a_block_goes_on_in_the_next(self, line: str) -> None:
        made = blocks(line)
        texts = ["".join(run["text"]["content"] for run in block[block["type"]]["rich_text"]) for block in made]
        assert "".join(texts).strip() == line.removeprefix("- ").removeprefix("# ").strip()
        assert all(units(text) <= BLOCK for text in texts)
        assert [block["type"] for block in made[1:]] == ["paragraph"] * (len(made) - 1)

    def test_batches_hold_to_notions_limits(self, notion: Notion, sandbox: Sandbox) -> None:
        lines = ["short"] * 250 + ["ü" * 19_000] * 60 + ["\\" * 19_000] * 60
        made = list(batches(blocks("\n".join(lines))))
        assert sum(map(len, made)) == len(lines)
        assert max(map(len, made)) == BLOCKS
        page = notion.create("Long", {}, "k1", made[0])
        for batch in made[1:]:
            notion.append(page.id, batch)
        assert sandbox.pages()[0]["body"] == lines

    def test_no_blocks_make_no_batch(self) -> None:
        assert list(batches(blocks(" \n\n"))) == []

    @pytest.mark.parametrize(
        ("kind", "text", "made"),
        [
            ("number", "1234.50", 1234.5),
            ("number", "12", 12),
            ("number", "", None),
            ("date", "2026-03-31T09:30:00+02:00", {"start": "2026-03-31T09:30:00+02:00"}),
            ("date", "", None),
            ("select", " Draft ", {"name": "Draft"}),
            ("status", "", None),
            ("multi_select", "a, b,", [{"name": "a"}, {"name": "b"}]),
            ("checkbox", "Yes", True),
            ("checkbox", "", False),
            ("url", "", None),
            ("email", "ann@x.example", "ann@x.example"),
        ],
    )
    def test_a_text_becomes_a_value(self, kind: str, text: str, made: Any) -> None:
        assert value(kind, text) == {kind: made}

    @pytest.mark.parametrize(
        ("kind", "text"),
        [("number", "twelve"), ("number", "NaN"), ("number", "1e999999"), ("date", "31.3.2026"), ("checkbox", "maybe"),
         ("people", "Ann")],
    )  # fmt: skip
    def test_what_is_no_value_is_refused(self, kind: str, text: str) -> None:
        with pytest.raises(ValueError, match=r"^(takes|is of)"):
            value(kind, text)

    def test_a_strangers_markdown_stays_text(self) -> None:
        (block,) = blocks("[click](https://evil.example) @Ann <b> **")
        (run,) = block["paragraph"]["rich_text"]
        assert run == {"type": "text", "text": {"content": "[click](https://evil.example) @Ann <b> **"}}

    def test_bold_is_the_only_look_that_is_read(self) -> None:
        (block,) = blocks("Two **doors** and *one* `gate`")
        runs = block["paragraph"]["rich_text"]
        assert [(run["text"]["content"], "annotations" in run) for run in runs] == [
            ("Two ", False), ("doors", True), (" and *one* `gate`", False),
        ]  # fmt: skip

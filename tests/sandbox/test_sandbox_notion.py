"""The pretend Notion, over plain HTTP as Signoff calls it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.notion import VERSION, database_id, source_id

Json = dict[str, Any]
NOTES, DOCUMENTS = source_id("Meeting notes"), source_id("Documents")
NOBODY = "00000000-0000-4000-8000-000000000001"


def text(content: str) -> list[Json]:
    return [{"type": "text", "text": {"content": content}}]


def paragraph(content: str) -> Json:
    return {"object": "block", "type": "paragraph", "paragraph": {"rich_text": text(content)}}


def client_of(sandbox: Sandbox, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=sandbox.at("notion") + "/v1/", headers=headers, trust_env=False)


@pytest.fixture
def notion(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Return a client with token and version."""
    authorization = f"Bearer {credentials.NOTION_TOKEN}"
    with client_of(sandbox, **{"Authorization": authorization, "Notion-Version": VERSION}) as client:
        yield client


def create(notion: httpx.Client, properties: Json, source: str = NOTES, **more: Any) -> httpx.Response:
    return notion.post("pages", json={"parent": {"data_source_id": source}, "properties": properties, **more})


def page(notion: httpx.Client, title: str, key: str = "", **more: Any) -> Json:
    """Create a page that must be accepted."""
    reply = create(notion, {"Name": {"title": text(title)}, "Key": {"rich_text": text(key)}}, **more)
    assert reply.status_code == 200, reply.text
    made: Json = reply.json()
    return made


def message(reply: httpx.Response, status: int = 400, code: str = "validation_error") -> str:
    """Return what a refusal says, which must have Notion's shape."""
    body = reply.json()
    assert set(body) == {"object", "status", "code", "message", "request_id"}
    assert (reply.status_code, body["object"], body["status"], body["code"]) == (status, "error", status, code)
    return str(body["message"])


class TestDoor:
    @pytest.mark.parametrize("token", ["", "Bearer wrong", credentials.NOTION_TOKEN])
    def test_other_tokens_are_refused(self, sandbox: Sandbox, token: str) -> None:
        with client_of(sandbox, **{"Authorization": token, "Notion-Version": VERSION}) as client:
            assert message(client.get("users/me"), 401, "unauthorized") == "API token is invalid."

    @pytest.mark.parametrize("version", [{}, {"Notion-Version": "2022-06-28"}])
    def test_the_version_must_be_named(self, sandbox: Sandbox, version: dict[str, str]) -> None:
        with client_of(sandbox, Authorization=f"Bearer {credentials.NOTION_TOKEN}", **version) as client:
            assert message(client.get("users/me"), 400, "missing_version").startswith("Notion-Version header failed")

    def test_who_may_only_read_may_not_write(self, sandbox: Sandbox) -> None:
        authorization = f"Bearer {credentials.NOTION_TOKEN_READS}"
        with client_of(sandbox, **{"Authorization": authorization, "Notion-Version": VERSION}) as client:
            assert client.post(f"data_sources/{NOTES}/query", json={}).status_code == 200
            assert "Insufficient permissions" in message(create(client, {}), 403, "restricted_resource")

    def test_what_is_no_json_and_no_address(self, notion: httpx.Client) -> None:
        assert message(notion.post("pages", content=b"{"), 400, "invalid_json") == "Error parsing JSON body."
        assert message(notion.get("nowhere"), 400, "invalid_request_url") == "Invalid request URL."
        assert message(notion.get("pages/x")) == (
            'path failed validation: path.page_id should be a valid uuid, instead was `"x"`.'
        )

    @pytest.mark.parametrize("path", [f"pages/{NOBODY}", f"blocks/{NOBODY}/children", f"data_sources/{NOBODY}",
                                      f"databases/{NOBODY}"])  # fmt: skip
    def test_what_is_not_there_may_not_be_shared(self, notion: httpx.Client, path: str) -> None:
        said = message(notion.get(path), 404, "object_not_found")
        assert said.startswith(f"Could not find {path.split('/')[0].removesuffix('s')} with ID: {NOBODY}. Make sure")

    def test_nothing_of_a_database_that_is_not_shared_is_seen(self, notion: httpx.Client, sandbox: Sandbox) -> None:
        made = page(notion, "Weekly")
        sandbox.change_database("Meeting notes", shared=False)
        paths = [f"pages/{made['id']}", f"blocks/{made['id']}/children", f"data_sources/{NOTES}"]
        assert [notion.get(path).status_code for path in paths] == [404] * 3
        assert create(notion, {}).status_code == 404


class TestDatabases:
    def test_a_database_names_its_sources(self, notion: httpx.Client) -> None:
        shown = notion.get(f"databases/{database_id('Documents').replace('-', '')}").json()
        assert shown["data_sources"] == [{"id": DOCUMENTS, "name": "Documents"}]

    def test_a_source_shows_its_properties(self, notion: httpx.Client) -> None:
        shown = notion.get(f"data_sources/{DOCUMENTS}").json()
        kinds = {name: about["type"] for name, about in shown["properties"].items()}
        assert kinds == {
            "Name": "title", "Key": "rich_text", "Kind": "select", "Number": "rich_text", "Date": "date",
            "Amount": "number", "Currency": "select", "Counterparty": "rich_text", "File": "rich_text",
        }  # fmt: skip
        assert shown["title"][0]["plain_text"] == "Documents"
        assert [each["name"] for each in shown["properties"]["Currency"]["select"]["options"]] == ["EUR", "GBP", "USD"]

    def test_people_rename_and_retype(self, notion: httpx.Client, sandbox: Sandbox) -> None:
        made = page(notion, "Weekly", "k1")
        sandbox.change_database("Meeting notes", rename={"Key": "Id"}, retype={"Date": "rich_text"})
        properties = notion.get(f"pages/{made['id']}").json()["properties"]
        assert properties["Id"]["rich_text"][0]["plain_text"] == "k1"
        assert properties["Date"] == {"id": properties["Date"]["id"], "type": "rich_text", "rich_text": []}


class TestPages:
    def test_create_read_change_trash_and_restore(self, notion: httpx.Client, sandbox: Sandbox) -> None:
        made = page(notion, "Weekly", "k1", children=[paragraph("Hello"), {"divider": {}}])
        path = f"pages/{made['id']}"
        assert made["parent"]["data_source_id"] == NOTES
        assert made["properties"]["Name"]["title"][0]["plain_text"] == "Weekly"
        assert notion.get(path).json()["in_trash"] is False
        changed = notion.patch(path, json={"properties": {"Status": {"select": {"name": "Final"}}}}).json()
        assert changed["properties"]["Status"]["select"]["name"] == "Final"
        assert notion.patch(path, json={"in_trash": True}).json()["in_trash"] is True
        refused: tuple[Json, ...] = ({"in_trash": True}, {"properties": {}})
        for body in refused:
            assert message(notion.patch(path, json=body)).startswith("Can't edit block that is archived.")
        append = notion.patch(f"blocks/{made['id']}/children", json={"children": [paragraph("x")]})
        assert message(append).startswith("Can't edit block that is archived.")
        assert notion.patch(path, json={"in_trash": False}).json()["in_trash"] is False
        (seen,) = sandbox.pages()
        assert (seen["body"], seen["properties"]["Status"]) == (["Hello", "---"], "Final")

    @pytest.mark.parametrize(
        ("properties", "said"),
        [
            ({"Nope": {"rich_text": []}}, "Nope is not a property that exists."),
            ({"Date": {"rich_text": []}}, "Date is expected to be date."),
            ({"Nope": {}, "Amount": {}}, "Nope is not a property that exists. Amount is expected to be number."),
            (
                {"Amount": {"number": "12"}},
                'properties.Amount.number should be a number or `null`, instead was `"12"`.',
            ),
            ({"Kind": {"select": {"name": "A, B"}}}, "Invalid select option, commas not allowed: A, B"),
            (
                {"Date": {"date": {"start": "tomorrow"}}},
                'properties.Date.date.start should be a valid ISO 8601 date string, instead was `"tomorrow"`.',
            ),
            (
                {"Number": {"rich_text": text("x" * 2001)}},
                "properties.Number.rich_text[0].text.content.length should be ≤ `2000`, instead was `2001`.",
            ),
            (
                {"Number": {"rich_text": text("🙂" * 1001)}},
                "properties.Number.rich_text[0].text.content.length should be ≤ `2000`, instead was `2002`.",
            ),
            (
                {"Number": {"rich_text": text("x") * 101}},
                "properties.Number.rich_text.length should be ≤ `100`, instead was `101`.",
            ),
        ],
    )
    def test_a_property_that_does_not_fit(
        self, notion: httpx.Client, sandbox: Sandbox, properties: Json, said: str
    ) -> None:
        assert message(create(notion, properties, DOCUMENTS)).endswith(said)
        assert sandbox.pages() == []

    def test_a_new_option_comes_into_being_with_the_page_only(self, notion: httpx.Client) -> None:
        create(notion, {"Kind": {"select": {"name": "Quote"}}}, DOCUMENTS)
        create(notion, {"Kind": {"select": {"name": "Lost"}}}, DOCUMENTS, children=[{"odd": {}}])
        options = notion.get(f"data_sources/{DOCUMENTS}").json()["properties"]["Kind"]["select"]["options"]
        assert [each["name"] for each in options] == ["Invoice", "Contract", "Receipt", "Quote"]

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({}, "body.parent should be defined"),
            ({"parent": {"database_id": NOBODY}, "properties": {}}, "body.parent.data_source_id should be defined"),
            ({"parent": {"data_source_id": NOTES}}, "body.properties should be defined"),
            ({"parent": {"data_source_id": NOTES}, "properties": {}, "archived": False}, "body.archived should be not"),
        ],
    )
    def test_a_body_that_does_not_fit(self, notion: httpx.Client, body: Json, said: str) -> None:
        assert said in message(notion.post("pages", json=body))


class TestBlocks:
    def test_children_in_order_and_in_pages(self, notion: httpx.Client) -> None:
        made = page(notion, "Long", children=[paragraph(str(n)) for n in range(100)])
        path = f"blocks/{made['id']}/children"
        notion.patch(path, json={"children": [paragraph(str(n)) for n in range(100, 150)]})
        notion.patch(path, json={"children": [paragraph("first")], "position": {"type": "start"}})
        said: list[str] = []
        cursor = None
        while True:
            listed = notion.get(path, params={"start_cursor": cursor} if cursor else {}).json()
            assert len(listed["results"]) <= 100
            said += [each["paragraph"]["rich_text"][0]["plain_text"] for each in listed["results"]]
            cursor = listed["next_cursor"]
            assert listed["has_more"] == (cursor is not None)
            if cursor is None:
                break
        assert said == ["first", *map(str, range(150))]

    def test_blocks_within_blocks_are_asked_for(self, notion: httpx.Client) -> None:
        inner = {"bulleted_list_item": {"rich_text": text("in"), "children": [paragraph("deep")]}}
        made = page(notion, "P", children=[{"bulleted_list_item": {"rich_text": text("out"), "children": [inner]}}])
        (outer,) = notion.get(f"blocks/{made['id']}/children").json()["results"]
        assert (outer["has_children"], "children" in outer["bulleted_list_item"]) == (True, False)
        (found,) = notion.get(f"blocks/{outer['id']}/children").json()["results"]
        assert found["bulleted_list_item"]["rich_text"][0]["plain_text"] == "in"

    @pytest.mark.parametrize(
        ("children", "said"),
        [
            ([paragraph("x")] * 101, "body.children.length should be ≤ `100`, instead was `101`."),
            ([paragraph("x" * 2001)], "body.children[0].paragraph.rich_text[0].text.content.length should be ≤ `2000`"),
            ([{"paragraph": {}}], "body.children[0].paragraph.rich_text should be an array, instead was `undefined`."),
            ([{"type": "to_do", "paragraph": {"rich_text": []}}], "body.children[0].type should be"),
            (
                [{"paragraph": {"rich_text": [], "checked": True}}],
                "body.children[0].paragraph.checked should be not present",
            ),
        ],
    )
    def test_blocks_that_do_not_fit(self, notion: httpx.Client, children: list[Json], said: str) -> None:
        made = page(notion, "P")
        assert said in message(notion.patch(f"blocks/{made['id']}/children", json={"children": children}))
        assert notion.get(f"blocks/{made['id']}/children").json()["results"] == []

    def test_more_than_500_kb_are_refused(self, notion: httpx.Client) -> None:
        made = page(notion, "P")
        children = [{"paragraph": {"rich_text": text("x" * 2000) * 3}}] * 100
        assert "500 kB" in message(notion.patch(f"blocks/{made['id']}/children", json={"children": children}))

    def test_four_levels_are_too_deep(self, notion: httpx.Client) -> None:
        block: Json = paragraph("deepest")
        for _ in range(3):
            block = {"toggle": {"rich_text": [], "children": [block]}}
        reply = notion.patch(f"blocks/{page(notion, 'P')['id']}/children", json={"children": [block]})
        assert "should be not present" in message(reply)


class TestQueries:
    def ask(self, notion: httpx.Client, source: str = NOTES, **body: Any) -> httpx.Response:
        return notion.post(f"data_sources/{source}/query", json=body)

    def test_by_key_without_the_trash(self, notion: httpx.Client) -> None:
        made = [page(notion, f"No {n}", f"k{n}") for n in range(3)]
        wanted = {"property": "Key", "rich_text": {"equals": "k1"}}
        assert [each["id"] for each in self.ask(notion, filter=wanted).json()["results"]] == [made[1]["id"]]
        notion.patch(f"pages/{made[1]['id']}", json={"in_trash": True})
        assert self.ask(notion, filter=wanted).json()["results"] == []

    def test_filters_sorts_and_cursors(self, notion: httpx.Client) -> None:
        for n, kind in enumerate(["Invoice", "Contract", "Invoice"]):
            create(notion, {"Number": {"rich_text": text(f"N{n}")}, "Kind": {"select": {"name": kind}},
                            "Amount": {"number": n}}, DOCUMENTS)  # fmt: skip
        both = {"and": [{"property": "Kind", "select": {"equals": "Invoice"}},
                        {"property": "Amount", "number": {"greater_than": 0}}]}  # fmt: skip
        assert len(self.ask(notion, DOCUMENTS, filter=both).json()["results"]) == 1
        sorts = [{"property": "Number", "direction": "descending"}]
        first = self.ask(notion, DOCUMENTS, sorts=sorts, page_size=2).json()
        rest = self.ask(notion, DOCUMENTS, sorts=sorts, page_size=2, start_cursor=first["next_cursor"]).json()
        numbers = [
            each["properties"]["Number"]["rich_text"][0]["plain_text"] for each in first["results"] + rest["results"]
        ]
        assert (numbers, first["has_more"], rest["has_more"]) == (["N2", "N1", "N0"], True, False)
        oldest = [{"timestamp": "created_time", "direction": "ascending"}]
        newest_first = self.ask(notion, DOCUMENTS).json()["results"]
        assert self.ask(notion, DOCUMENTS, sorts=oldest).json()["results"] == newest_first[::-1]

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"filter": {"property": "Nope", "rich_text": {"equals": "x"}}}, "property with name or id: Nope"),
            ({"filter": {"property": "Key", "select": {"equals": "x"}}}, "rich_text does not match filter select"),
            ({"filter": {"property": "Key", "rich_text": {"resembles": "x"}}}, "body.filter.rich_text should be"),
            ({"page_size": 101}, "body.page_size should be ≤ `100`, instead was `101`."),
            ({"start_cursor": NOBODY}, f"The start_cursor provided is invalid: {NOBODY}"),
            ({"archived": True}, "body.archived should be not present"),
        ],
    )
    def test_a_query_that_does_not_fit(self, notion: httpx.Client, body: Json, said: str) -> None:
        assert said in message(self.ask(notion, **body))


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "status", "code"),
        [
            ("rate_limited", 429, "rate_limited"),
            ("unauthorized", 401, "unauthorized"),
            ("overloaded", 503, "service_unavailable"),
            ("server_error", 500, "internal_server_error"),
            ("bad_request", 400, "validation_error"),
        ],
    )
    def test_each_in_notions_words(
        self, notion: httpx.Client, sandbox: Sandbox, kind: Any, status: int, code: str
    ) -> None:
        sandbox.fault(kind, "notion", retry_after=2)
        reply = notion.get("users/me")
        assert message(reply, status, code)
        assert status == 401 or reply.headers["retry-after"] == "2"
        assert notion.get("users/me").status_code == 200

    def test_a_reply_that_is_lost_after_the_commit(self, notion: httpx.Client, sandbox: Sandbox) -> None:
        sandbox.fault("reply_lost", "notion", "/pages")
        with pytest.raises(httpx.HTTPError):
            page(notion, "Weekly")
        assert len(sandbox.pages()) == 1


def test_the_page_shows_pages_as_text(notion: httpx.Client, sandbox: Sandbox) -> None:
    evil = "<script>alert(1)</script>"
    made = page(notion, evil, "signoff-0123", children=[paragraph(evil), {"to_do": {"rich_text": text("Call")}}])
    notion.patch(f"pages/{made['id']}", json={"in_trash": True})
    shown = httpx.get(sandbox.url).text
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") >= 2
    assert "- [ ] Call" in shown
    assert "in the trash" in shown
    assert "Notion pages" in shown
    assert "signoff-0123" not in shown


def test_a_reset_empties_it(notion: httpx.Client, sandbox: Sandbox) -> None:
    page(notion, "Weekly")
    sandbox.reset(empty=True)
    assert sandbox.pages() == []
    assert notion.get(f"data_sources/{NOTES}").status_code == 200

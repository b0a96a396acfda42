"""Tools: what a model is told of a typed function, and what it may give and get."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from tasks import tools
from tasks.actions import AddNote, PostMessage, SendReply
from tasks.tools import ToolRefused, tool


@tool(most=3)
def search(
    case: str,
    query: Annotated[str, Field(min_length=2, description="What to look for.")],
    kind: Literal["a", "b"] | None = None,
    title: str = "",
) -> dict[str, Any]:
    """Look for something."""
    return {"case": case, "query": query, "kind": kind, "title": title}


@tool(writes=PostMessage)
def post(case: str, text: str) -> PostMessage:
    """Tell the team."""
    return PostMessage(text=f"{case}: {text}")


class TestSpec:
    def test_is_made_of_the_function(self) -> None:
        assert (search.name, search.spec.description, search.most) == ("search", "Look for something.", 3)
        schema = search.spec.input_schema
        assert schema["properties"]["query"] == {"type": "string", "minLength": 2, "description": "What to look for."}
        assert schema["required"] == ["query"]
        assert schema["additionalProperties"] is False

    def test_has_no_titles_that_nobody_wrote_and_keeps_a_parameter_of_that_name(self) -> None:
        assert "title" in search.spec.input_schema["properties"]
        assert '"title": "' not in json.dumps(search.spec.input_schema)

    @pytest.mark.parametrize(("kind", "impact", "waits"), [(search, "read", False), (post, "low", False)])
    def test_says_its_impact(self, kind: tools.Tool, impact: str, waits: bool) -> None:
        assert (kind.impact, kind.waits) == (impact, waits)

    def test_money_and_mail_wait(self) -> None:
        @tool(writes=SendReply)
        def send(case: str) -> SendReply:
            """Send."""
            raise NotImplementedError

        assert (send.impact, send.waits) == ("high", True)

    def test_without_a_docstring_it_is_no_tool(self) -> None:
        def silent(case: str) -> str:
            return case

        with pytest.raises(TypeError, match="silent has no docstring"):
            tool()(silent)


class TestCall:
    def test_gets_the_case_and_what_was_given(self) -> None:
        made = search.call("c", search.parse({"query": "  ann ", "kind": "b"}))
        assert made == {"case": "c", "query": "ann", "kind": "b", "title": ""}
        assert post.call("c", post.parse({"text": "x"})) == PostMessage(text="c: x")

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({}, "query: Field required"),
            ({"query": "x"}, "query: String should have at least 2 characters"),
            ({"query": "ann", "kind": "c"}, "kind: Input should be 'a' or 'b'"),
            ({"query": "ann", "limit": 3}, "limit: Extra inputs are not permitted"),
        ],
    )
    def test_a_wrong_input_is_refused_by_field(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(ToolRefused, match=said):
            search.parse(given)

    def test_a_read_that_wants_something_and_a_write_of_another_kind_are_bugs(self) -> None:
        @tool()
        def sly(case: str) -> PostMessage:
            """Says that it only reads."""
            return PostMessage(text=case)

        @tool(writes=AddNote)
        def other(case: str) -> PostMessage:
            """Wants another kind than it declares."""
            return PostMessage(text=case)

        for each in (sly, other):
            with pytest.raises(TypeError, match="which it does not declare"):
                each.call("c", each.parse({}))


class TestTold:
    def test_is_json_with_money_and_times_in_words(self) -> None:
        result = {"price": Decimal("1.50"), "at": datetime(2026, 3, 2, tzinfo=UTC), "who": "Jürgen"}
        assert json.loads(tools.told(result)) == {"price": "1.50", "at": "2026-03-02T00:00:00Z", "who": "Jürgen"}
        assert "Jürgen" in tools.told(result)

    def test_too_much_is_cut_and_says_so(self) -> None:
        text = tools.told("x" * (tools.LONGEST_RESULT + 500))
        assert len(text) < tools.LONGEST_RESULT + 80
        assert text.endswith("[... 500 characters left out; ask for less]")

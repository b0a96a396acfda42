"""Text from outside in markdown: it shows what it says and does nothing."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tasks.plain import plain, quoted
from tasks.visible import seen

# Three readers of markdown: the standard, everything that GitHub adds, and raw HTML let through.
READERS = [MarkdownIt("commonmark"), MarkdownIt("js-default", {"html": True}), MarkdownIt("commonmark", {"html": True})]
HARMLESS = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak", "hardbreak"}

hostile = st.text(
    st.one_of(
        st.sampled_from(list("\\`*_{}[]()<>#+-.!|~&:/@=\n \t1aA\"'$^%")), st.characters(exclude_categories=["Cs"])
    )
)
TRICKS = [
    "[Approve](http://evil.example)",
    "![x](http://evil.example/pixel.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "https://evil.example www.evil.example ann@evil.example",
    "**To:** boss@company.example",
    "# Approved",
    "> quoted",
    "1. one",
    "1) one",
    "- [x] done",
    "| a | b |\n|---|---|",
    "```\ncode\n```",
    "~~~\ncode\n~~~",
    "&lt;b&gt; &#91;x&#93;(y)",
    "text\n===",
    "[a]: http://evil.example\n\n[a]",
    "\\[escaped\\](x)",
    "    indented",
]


def tokens(reader: MarkdownIt, text: str) -> list[Token]:
    found: list[Token] = []
    for token in reader.parse(text):
        found += [token, *(token.children or [])]
    return found


def shown(reader: MarkdownIt, text: str) -> str:
    return "".join(t.content for t in tokens(reader, text) if t.type in ("text", "text_special"))


@settings(max_examples=300, deadline=None)
@given(hostile)
@example("1) one")
@example("a = b\n===")
def test_whatever_a_sender_writes_is_plain_text_to_the_letter(text: str) -> None:
    for reader in READERS:
        line = plain(text)
        assert {t.type for t in tokens(reader, line)} <= HARMLESS
        readable = " ".join(seen(" ".join(text.split())).split())
        assert shown(reader, line) == readable


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("prefix", ["", "**Why:** ", "- ", "| 1 | "])
def test_no_trick_works_wherever_the_text_stands(trick: str, prefix: str) -> None:
    for reader in READERS:
        kinds = {t.type for t in tokens(reader, f"{prefix}{plain(trick)}")}
        assert not kinds & {"link_open", "image", "html_block", "html_inline", "heading_open", "table_open", "fence"}
        assert "code_inline" not in kinds


@settings(max_examples=300, deadline=None)
@given(hostile, st.integers(1, 500))
@example("```\n# out\n", 4000)
@example("\n\n# out of the quote", 4000)
@example("a heading\n===", 4000)
@example("0\r=", 3)
def test_a_quote_cannot_be_left_from_inside(text: str, limit: int) -> None:
    for reader in READERS:
        for token in reader.parse(f"before\n\n{quoted(text, limit)}\n\nafter"):
            if token.type == "inline" and token.content not in ("before", "after"):
                assert token.level >= 2, token.content
            assert token.type in HARMLESS | {"blockquote_open", "blockquote_close"}
            assert {child.type for child in token.children or []} <= HARMLESS


def test_a_quote_keeps_the_lines_and_says_how_much_was_cut() -> None:
    assert quoted("one\n\ntwo") == "> one  \n>\n> two  "
    assert quoted("x" * 5000, 4000).endswith("more characters\\]  ")
    assert "1,000 more" in quoted("x" * 5000, 4000).replace("\\", "")

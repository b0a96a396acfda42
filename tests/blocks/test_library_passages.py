"""Cutting documents: nothing is lost, nothing is found twice, nothing is longer than the model reads."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from blocks import minilm
from blocks.documents import Document, Section
from blocks.library.passages import (
    LONGEST_TOKEN,
    OVERLAP_TOKENS,
    PASSAGE_TOKENS,
    Chunk,
    Passage,
    heading_of,
    passages_of,
    said,
)

WINDOW = minilm.WINDOW - 2
"""What is left of the model's window when its two marks are in it."""

REPEATED = ["word ", "a line\n", "a paragraph\n\n", "One sentence. ", "unfathomably quizzical zyzzyvas, "]
REPEATED += ["x", "7f3a", "QmFzZTY0+", "a.b,c;", "東京", "été", "\u0e01", "🎉"]
PIECES = st.one_of(
    st.text("abcé ß東.,-_/\n", max_size=60),
    st.builds(lambda piece, times: piece * times, st.sampled_from(REPEATED), st.integers(1, 400)),
)
TEXTS = st.lists(PIECES, max_size=4).map("".join)
PATHS = st.lists(st.one_of(st.just("Billing"), st.text(max_size=30), st.just("Zyzzyvas everywhere " * 40)), max_size=3)
SECTIONS = st.builds(Section, PATHS.map(tuple), TEXTS)
SENTENCE = "Ann moves the slot to Tuesday and tells the carrier about it. "


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    minilm.encoder()


def tokens(text: str) -> int:
    return len(minilm.encoder().places(text))


def cut(*sections: Section, title: str = "Manual") -> list[Passage]:
    return list(passages_of(Document(title, sections), minilm.encoder().places))


def held(passage: Passage, section: Section) -> list[int]:
    """Which characters of the section are in the passage's chunks, blanks left out."""
    places = [
        place for chunk in passage.chunks for place in range(passage.start + chunk.start, passage.start + chunk.end)
    ]
    return [place for place in places if not section.text[place].isspace()]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SECTIONS, max_size=3), st.sampled_from(["", "Manual", "Billing", "Title " * 50]))
@example([Section(("Zyzzyvas everywhere " * 40,) * 2, SENTENCE * 60)], "Zyzzyvas " * 50)
@example([Section((), "unfathomably quizzical zyzzyvas, " * 200)], "Zyzzyvas")
def test_every_word_is_in_one_chunk_which_the_model_reads_to_its_end(sections: list[Section], title: str) -> None:
    passages = cut(*sections, title=title)
    for number, section in enumerate(sections):
        mine = [passage for passage in passages if passage.section == number]
        written = [place for place, letter in enumerate(section.text) if not letter.isspace()]
        assert [place for passage in mine for place in held(passage, section)] == written
        for passage in mine:
            assert passage.path == section.path
            assert passage.text == section.text[passage.start : passage.start + len(passage.text)]
            assert tokens(passage.text) <= PASSAGE_TOKENS
            assert len(passage.text) <= PASSAGE_TOKENS * LONGEST_TOKEN
            for chunk in passage.chunks:
                assert 0 <= chunk.start <= chunk.end <= len(passage.text)
                whole = said(title, passage, chunk, minilm.encoder().places)
                assert whole.endswith(passage.text[chunk.start : chunk.end])
                assert tokens(whole) <= WINDOW


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SECTIONS)
def test_neighbours_share_at_most_the_overlap(section: Section) -> None:
    for before, after in pairwise(cut(section)):
        assert before.start < after.start
        assert before.start + len(before.text) < after.start + len(after.text)
        shared = section.text[after.start : before.start + len(before.text)]
        assert tokens(shared) <= OVERLAP_TOKENS


def test_a_word_without_end_is_cut_like_any_other_text() -> None:
    section = Section((), "x" * 10_000)
    passages = cut(section)
    assert max(len(passage.text) for passage in passages) <= PASSAGE_TOKENS
    assert [place for passage in passages for place in held(passage, section)] == list(range(10_000))


def test_a_log_in_one_line_is_cut_between_its_words() -> None:
    words = [f"08:{minute % 60:02}:17 unloading at gate {minute}" for minute in range(600)]
    passages = cut(Section(("Log",), "; ".join(words)))
    chunks = [passage.text[chunk.start : chunk.end] for passage in passages for chunk in passage.chunks]
    assert len(passages) > 10
    assert set(" ".join(chunks).split()) == set("; ".join(words).split())


def test_a_long_section_is_cut_between_paragraphs_and_its_passages_overlap() -> None:
    paragraphs = [f"Paragraph {number}. {SENTENCE * 3}".strip() for number in range(40)]
    passages = cut(Section(("Gates", "Slots"), "\n\n".join(paragraphs)))
    for passage in passages:
        assert all(paragraph in paragraphs for paragraph in passage.text.split("\n\n"))
    for before, after in pairwise(passages):
        first = after.text.split("\n\n")[0]
        assert first in before.text
        assert after.chunks[0].start > len(first), "what overlaps is found by the passage before"


def test_no_passage_crosses_a_heading() -> None:
    passages = cut(Section(("A",), "One."), Section(("A", "B"), "Two.", page=3, anchor="b"), Section(("C",), "Three."))
    assert [(p.section, p.path, p.text, p.page, p.anchor) for p in passages] == [
        (0, ("A",), "One.", None, ""),
        (1, ("A", "B"), "Two.", 3, "b"),
        (2, ("C",), "Three.", None, ""),
    ]


def test_a_section_of_a_heading_alone_is_found_by_it() -> None:
    [passage] = cut(Section(("Fax number",), " \n "))
    assert (passage.text, passage.start, passage.chunks) == ("", 0, (Chunk(0, 0),))
    assert said("Contact", passage, passage.chunks[0], minilm.encoder().places) == "Contact > Fax number\n"
    assert cut(Section((), " \n ")) == []
    assert cut() == []


@pytest.mark.parametrize(
    ("title", "path", "heading"),
    [
        ("Manual", ("Billing", "VAT"), "Manual > Billing > VAT"),
        ("Billing", ("BILLING", "VAT"), "BILLING > VAT"),
        ("Manual", (), "Manual"),
        ("", ("Billing",), "Billing"),
        ("", (), ""),
    ],
)
def test_the_title_stands_before_the_headings_unless_it_is_the_first(
    title: str, path: tuple[str, ...], heading: str
) -> None:
    assert heading_of(title, path) == heading

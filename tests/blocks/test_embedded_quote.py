"""Quoting: the built-in model answers with sentences of one passage, word for word, or not at all."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prompts
from blocks import minilm
from blocks.embedded import quote
from blocks.embedded.answer import answer
from blocks.embedded.classifier import Prediction
from blocks.embedded.language import language_of
from blocks.library import STRANGERS, Library, Scope, search, within
from blocks.mail import parse
from prompts.support_answer.answer import Sentence
from sandbox import company
from tasks import retrieve
from tasks.citations import objections
from tests.answering import ANSWERS, company_library

pytestmark = pytest.mark.slow

PROMPT = prompts.load("support_answer")
LABELS = "Open Settings > Printers. Under Layout choose Narrow. Print a test label, and scan it."
CODES = "The gate code works from 2 hours before the slot. After three wrong tries wait 15 minutes."

Passage = dict[str, Any]
Embed = Callable[[Sequence[str]], Any]


def passage(text: str, number: int = 1, heading: str = "Help") -> Passage:
    return {"number": number, "heading": heading, "text": text}


def quoted(asked: str, *passages: Passage, subject: str = "", embed: Embed = minilm.embed) -> list[dict[str, Any]]:
    return quote.quotes(PROMPT, {"subject": subject, "text": asked, "passages": list(passages)}, "passages", embed)


def by_length(texts: Sequence[str]) -> Any:
    """An embedding by which everything is alike, so that something is always quoted, and not always the same."""
    angles = np.array([len(text) % 7 for text in texts]) / 40
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def checked(sentences: Sequence[dict[str, Any]], passages: Sequence[Passage]) -> list[str]:
    texts = {one["number"]: f"{one['heading']}\n{one['text']}" for one in passages}
    return list(objections([Sentence.model_validate(one) for one in sentences], texts))


def test_the_passage_that_is_like_the_question_is_quoted_word_for_word() -> None:
    found = quoted(
        "How do I choose the layout of the labels that a printer prints?",
        passage(CODES, 1, "Gate codes"),
        passage(LABELS, 2, "Printers and labels"),
    )
    assert [one["text"] for one in found] == [
        "Open Settings > Printers.", "Under Layout choose Narrow.", "Print a test label, and scan it.",
    ]  # fmt: skip
    assert {one["sources"][0] for one in found} == {2}


@pytest.mark.parametrize(
    "asked",
    [
        "Do you have a comment on the merger for our newspaper?",
        "Hello,\n\nThanks a lot!\n\nKind regards\nAnn",
        "",
        " . ",
    ],
)
def test_what_the_passages_do_not_answer_is_not_answered(asked: str) -> None:
    assert quoted(asked, passage(LABELS, 1), passage(CODES, 2)) == []


def test_without_passages_there_is_no_answer() -> None:
    assert quoted("How do I choose the layout of the labels?") == []
    assert quoted("How do I choose the layout of the labels?", passage(""), passage(" \n* * *\n 1.\n", 2)) == []


def test_the_subject_is_part_of_the_question() -> None:
    asked = "Where do I choose this?"
    assert quoted(asked, passage(LABELS, 1, "Printers and labels"), subject="Re: AW: layout of printer labels")
    assert not quoted(asked, passage(LABELS, 1, "Printers and labels"))


def test_at_most_three_sentences_of_two_passages_are_quoted_and_they_follow_each_other() -> None:
    texts = [" ".join(f"Layout {word} of printer {number}." for word in "abcdefghijkl") for number in range(4)]
    found = quoted("How do I choose the layout of a printer?", *(passage(t, n) for n, t in enumerate(texts)))
    numbers = [one["sources"][0] for one in found]
    assert len(found) == 6
    assert numbers == [numbers[0]] * 3 + [numbers[3]] * 3
    for number in dict.fromkeys(numbers):
        together = " ".join(one["text"] for one in found if one["sources"] == [number])
        assert together in texts[number]


def test_a_list_is_quoted_without_its_bullets() -> None:
    text = "1. Open the menu.\n2) Choose the layout.\n- Print a label.\n\u2022 Scan it."
    found = quoted("layout", passage(text), embed=by_length)
    assert not [one for one in found if re.match(r"[\d\u2022-]", one["text"])]


def test_what_is_no_sentence_any_more_is_not_quoted() -> None:
    text = "layout " * 200 + ".\nChoose the layout."
    assert [one["text"] for one in quoted("layout", passage(text), embed=by_length)] == ["Choose the layout."]


LINES = [
    *("Open Settings > API.", "It costs 89 EUR, or 1.000,50 Euro.", "1. On 12 March 2026", "2) Release 4.12 of v1:0"),
    *(
        "- Press Ctrl+F5!",
        "am 12. März wird es",
        "3",
        "A | B | 3 %",
        "Is it? Yes. No 5.",
        "\u2022 UTF-8",
        "",
        "May 4. 5 is",
    ),
]


@settings(max_examples=150)
@given(st.lists(st.lists(st.sampled_from(LINES), max_size=6).map("\n".join), max_size=4))
def test_every_quotation_passes_the_check_of_its_citation_and_is_of_one_passage(texts: list[str]) -> None:
    passages = [passage(text, number) for number, text in enumerate(texts, start=1)]
    found = quoted("How?", *passages, embed=by_length)
    assert checked(found, passages) == []
    for one in found:
        (number,) = one["sources"]
        assert one["text"] in " ".join(texts[number - 1].split())


HOSTILE = {
    "lines": "Choose the layout of the printer here.\n" * 100_000,
    "bullets": "- 1) - 2. \n" * 100_000,
    "one word": "x" * 1_000_000,
    "blanks": "It is. " + " " * 1_000_000 + "Layout",
    "full stops": ". " * 500_000,
    "long sentences": ("layout " * 80 + ".\n") * 20_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_passage_costs_little_time(text: str) -> None:
    embedded: list[str] = []

    def embed(texts: Sequence[str]) -> Any:
        embedded.extend(texts)
        return by_length(texts)

    began = time.process_time()
    found = quoted("How do I choose the layout of a printer?", *(passage(text, n) for n in range(50)), embed=embed)
    assert time.process_time() - began < 20
    assert len(embedded) <= 2 + quote.READ_PASSAGES * quote.READ_SENTENCES
    assert sum(map(len, embedded)) < 4 * quote.READ_PASSAGES * quote.READ_CHARS
    assert all(len(one["text"]) <= quote.LONGEST_SENTENCE for one in found)


def test_a_hostile_question_costs_little_time() -> None:
    began = time.process_time()
    quoted("How do I choose the layout of it? " * 50_000, passage(LABELS))
    assert time.process_time() - began < 20


def test_the_answer_is_filled_with_the_quotations_and_nothing_else_is_written() -> None:
    passages = [passage(LABELS, 1, "Printers and labels")]
    asked = "How do I choose the layout of the labels that a printer prints?"
    inputs = {"company": "Dockwell", "sender_name": "", "subject": "", "date": "", "text": asked, "passages": passages}
    guesses = {"topic": Prediction("how_to", {"how_to": 0.9}), "urgency": Prediction("low", {"low": 0.8})}
    told = json.loads(answer(PROMPT, inputs, guesses, minilm.embed)[0])
    assert told["answer"] == quoted(asked, *passages) != []
    assert "missing" not in told
    assert json.loads(answer(PROMPT, inputs | {"passages": []}, guesses, minilm.embed)[0])["answer"] == []


# What it makes of the pretend company's questions


def answered(library: Library) -> dict[str, list[str]]:
    """By e-mail in English, the articles that the built-in model quotes."""
    articles = {known.name: number for number, known in library.known("help-centre").items()}
    rows: dict[str, Any] = {}

    def embed(texts: Sequence[str]) -> Any:
        """The same passages are found again and again: each is embedded once."""
        new = [text for text in texts if text not in rows]
        rows.update(zip(new, minilm.embed(new), strict=True))
        return np.stack([rows[text] for text in texts])

    found = {}
    for path, raw in zip(sorted((company.HERE / "inbox").glob("*.eml")), company.load().emails, strict=True):
        if ANSWERS.get(path.name, {}).get("answer") not in ("full", "none"):
            continue
        mail = parse(raw, message_id="m", thread_id="t", received_at=datetime.now(UTC))
        if language_of(mail.text) == "en":
            hits = search(library, f"{mail.subject}\n{mail.text}", Scope((STRANGERS,)), retrieve.CANDIDATES)
            kept = [retrieve.as_passage(n, hit) for n, hit in zip(range(1, 9), within(hits, 2000), strict=False)]
            sentences = quoted(mail.text, *kept, subject=mail.subject, embed=embed)
            assert checked(sentences, kept) == []
            found[path.name] = [articles[kept[one["sources"][0] - 1]["document"]] for one in sentences]
    return found


def test_of_the_companys_questions_half_are_answered_from_the_right_article_and_few_that_none_answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    quotes = answered(Library.open(company_library(tmp_path_factory.getbasetemp())))
    full = [name for name in quotes if ANSWERS[name]["answer"] == "full"]
    none = [name for name in quotes if ANSWERS[name]["answer"] == "none"]
    right = [name for name in full if set(quotes[name]) & set(ANSWERS[name]["files"])]
    wrong = [name for name in full if quotes[name] and name not in right]
    assert (len(full) >= 15, len(none) >= 12) == (True, True)
    assert len(right) > 0.5 * len(full), right
    assert wrong == []
    assert sum(bool(quotes[name]) for name in none) <= 1

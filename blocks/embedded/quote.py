"""The answer: no sentence is written, those of the passages are quoted that are most like what is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from blocks.embedded.inputs import body, subject
from blocks.embedded.phrases import GREETING, PLEASANTRY
from blocks.embedded.summary import own_words, sentences_of
from blocks.embedded.text import one_line
from prompts import Prompt

if TYPE_CHECKING:
    from blocks.embedded.calibration import Floats

Embed = Callable[[Sequence[str]], "Floats"]

LIKE_ENOUGH = 0.65
"""The cosine of a question and a quotation under which the passages are taken not to answer. Of 100 questions about a
product's documentation 88 reached it with that documentation, and none with another company's."""

NEARLY_AS_LIKE = 0.06
"""By how much a second passage's quotation may be less like the question than the first's, to be quoted too."""

WINDOW = 3
"""Sentences that are quoted together: steps come one after the other."""

READ_PASSAGES = 6
READ_CHARS = 10_000
READ_SENTENCES = 40
"""Of each passage: the library's are shorter, but what is not need not be worked through."""
READ_QUESTIONS = 12
"""Sentences of what is asked."""
LONGEST_SENTENCE = 600

LINE = re.compile(r"\n+")
END = re.compile(r"(?<=[.!?])\s+(?=[^\W\d_a-z]|\d)")
BULLET = re.compile(r"^(?:[-*\u2022]|\d{1,2}[.)])\s+")


class _Quotation(NamedTuple):
    likeness: float
    number: int
    sentences: list[str]


def quotes(prompt: Prompt, inputs: Mapping[str, Any], passages: str, embed: Embed) -> list[dict[str, Any]]:
    """Sentences that answer, word for word, each with the number of its passage; none when nothing is like enough.

    Args:
        prompt: says which variables hold what is asked.
        inputs: its variables, cleaned.
        passages: the variable with the passages: `number`, `heading` and `text` of each.
        embed: rows of length 1 for texts.
    """
    asked = _asked(prompt, inputs)
    windows = [
        (passage, window) for passage in inputs[passages][:READ_PASSAGES] for window in _windows(str(passage["text"]))
    ]
    if not asked or not windows:
        return []
    rows = embed([*asked, *(f"{passage['heading']}\n{' '.join(window)}" for passage, window in windows)])
    likenesses = (rows[len(asked) :] @ rows[: len(asked)].T).max(axis=1)
    best: dict[int, _Quotation] = {}
    for (passage, window), likeness in zip(windows, likenesses, strict=True):
        number = int(passage["number"])
        if number not in best or likeness > best[number].likeness:
            best[number] = _Quotation(float(likeness), number, window)
    ranked = sorted(best.values(), key=lambda one: -one.likeness)
    floor = max(LIKE_ENOUGH, ranked[0].likeness - NEARLY_AS_LIKE)
    chosen = [quotation for quotation in ranked[:2] if quotation.likeness >= floor]
    return [{"text": text, "sources": [one.number]} for one in chosen for text in one.sentences]


def _asked(prompt: Prompt, inputs: Mapping[str, Any]) -> list[str]:
    """The sentences that ask or report, each with the subject, and the whole; a greeting asks nothing."""
    topic = subject(inputs)
    text = GREETING.sub("", own_words(body(prompt, inputs)), count=1)
    sentences = [one for one in sentences_of(text) if not PLEASANTRY.search(one) and len(one.split()) > 3]
    whole = one_line(f"{topic}. {text}")
    return [one for one in (whole, *(f"{topic}: {one}" for one in sentences[:READ_QUESTIONS])) if one.strip(" .:")]


def _windows(text: str) -> Iterator[list[str]]:
    """A passage's sentences, those that follow each other together."""
    sentences = [
        one_line(BULLET.sub("", sentence.strip()))
        for line in LINE.split(text[:READ_CHARS])
        for sentence in END.split(line)
        if any(c.isalpha() for c in sentence)
    ][:READ_SENTENCES]
    sentences = [sentence for sentence in sentences if len(sentence) <= LONGEST_SENTENCE]
    for start in range(max(1, len(sentences) - WINDOW + 1) if sentences else 0):
        yield sentences[start : start + WINDOW]

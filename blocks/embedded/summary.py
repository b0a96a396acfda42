"""The summary: no sentence is written, the one that says most is picked."""

import re
from collections.abc import Mapping
from typing import Any

from blocks.embedded.inputs import body, subject
from blocks.embedded.phrases import (
    ABBREVIATION,
    DEADLINE,
    GREETING,
    PLEASANTRY,
    PROBLEM,
    REQUEST,
    SENTENCE_END,
    SIGN_OFF,
)
from blocks.embedded.text import cut, one_line
from prompts import Prompt

READ_CHARS = 10_000  # of the text; bounds the work on a monstrous mail
SHORT_CHARS = 45  # "Would you be up for it?" says nothing alone: a second sentence is shown with it


def summary(prompt: Prompt, inputs: Mapping[str, Any], at_least: int, at_most: int) -> str:
    """`Subject — sentence`, on one line: the subject, and the sentence that asks or reports most.

    Args:
        prompt: says which variables hold the text.
        inputs: its variables, cleaned.
        at_least: characters; what is shorter is marked `(almost no text)`.
        at_most: characters.
    """
    topic, sentence = subject(inputs), _telling_sentence(body(prompt, inputs)[:READ_CHARS])
    if sentence.casefold().startswith(topic.casefold()):
        topic = ""
    topic = cut(topic, at_most // 2 if sentence else at_most)
    found = cut(" — ".join(part for part in (topic, sentence) if part), at_most)
    return found if len(found) >= max(at_least, 1) else f"(almost no text) {found}".strip()[:at_most]


def _telling_sentence(text: str) -> str:
    """The sentence to show for the whole text, and a second where it is short; empty without words."""
    sentences = sentences_of(GREETING.sub("", own_words(text), count=1))
    if not sentences:
        return one_line(text)
    ranked = sorted(range(len(sentences)), key=lambda index: -_weight(sentences[index], index))
    shown = sorted(ranked[: 2 if len(sentences[ranked[0]]) < SHORT_CHARS else 1])
    telling = " ".join(sentences[index] for index in shown)
    return telling[0].upper() + telling[1:]


def own_words(text: str) -> str:
    """The text before its sign-off, unless nothing comes before."""
    found = SIGN_OFF.search(text)
    return text[: found.start()] if found and text[: found.start()].strip() else text


def sentences_of(text: str) -> list[str]:
    """The sentences and list items that hold a word, each on one line and without its bullet."""
    joined: list[str] = []
    for piece in SENTENCE_END.split(text):
        line = one_line(piece).lstrip("-*•> ")
        if joined and ABBREVIATION.search(joined[-1]):
            joined[-1] = f"{joined[-1]} {line}"
        elif any(char.isalpha() for char in line):
            joined.append(line)
    return joined


def _weight(sentence: str, index: int) -> float:
    """How much a reader learns from this sentence; asking and failing weigh more than coming first."""
    words = len(sentence.split())
    weight = 2.0 / (1 + index) - (4.0 if words < 4 else 0.0) - 4.0 * bool(PLEASANTRY.search(sentence))
    weight += 2.0 * bool(REQUEST.search(sentence)) + 2.0 * bool(PROBLEM.search(sentence))
    return weight + sentence.endswith("?") + bool(DEADLINE.search(sentence)) + 0.5 * bool(re.search(r"\d", sentence))

"""What a search is worth: the same rule for every system, whatever it cuts documents into.

A returned text is located in its document by its words, by the longest runs that the two have in common: headings put
in front of it, lost Markdown and other white space do not matter. A text that stands in several places counts for each.

- `recall`: the share of the answer that the first 2,000 tokens of what was returned, in its order, hold; an answer that
  is longer is held by 2,000 tokens of it. What is put in front of a text costs tokens like the rest;
- `hit`: one of the first five texts is right: at least half of it is from the answer, or it holds at least half of one
  of the answer's spans;
- `read`: the same within the first 2,000 tokens, which is all that will be read. Five texts of any length are a hit the
  more easily the longer they are: a system that returns whole chapters is only told from a good one by this;
- `rank`: one divided by the rank of the first right text (0 where none is); its mean is MRR.

A token is a word or a punctuation mark.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from benchmarks.retrieval.corpora import Question, Span

TOKEN = re.compile(r"\w+|[^\w\s]")
WORD = re.compile(r"\w+")

CONTEXT = 2_000  # tokens
TOP = 5
RUN = 5  # words in common: fewer happen by chance
FULL = 0.95


@dataclass(frozen=True)
class Hit:
    """A text that a search returned, and the document it is from."""

    document: str
    text: str


@dataclass(frozen=True)
class Score:
    """How one question went."""

    hit: float
    read: float
    recall: float
    rank: float
    full: float
    """1 where as good as all of the answer was there."""
    tokens: int
    """Of the context; fewer than 2,000 where the system returned no more."""


class Source:
    """A document's words, and where each run of five of them stands."""

    def __init__(self, text: str) -> None:
        found = list(WORD.finditer(text))
        self.text = text
        self.words = [match[0].lower() for match in found]
        self.starts = [match.start() for match in found]
        self.runs: dict[tuple[str, ...], list[int]] = {}
        for position in range(len(self.words) - RUN + 1):
            self.runs.setdefault(tuple(self.words[position : position + RUN]), []).append(position)

    def within(self, span: Span) -> set[int]:
        """Positions of the words of a span."""
        return {position for position, start in enumerate(self.starts) if span.start <= start < span.end}

    def located(self, text: str) -> set[int]:
        """Positions of the words that the text has in common with the document."""
        words = [word.lower() for word in WORD.findall(text)]
        found: set[int] = set()
        at = 0
        while at <= len(words) - RUN:
            lengths = {
                start: self._common(words, at, start) for start in self.runs.get(tuple(words[at : at + RUN]), ())
            }
            longest = max(lengths.values(), default=1)
            for start, length in lengths.items():
                if length == longest:
                    found.update(range(start, start + length))
            at += longest
        return found

    def _common(self, words: Sequence[str], at: int, start: int) -> int:
        length = 0
        for ours, theirs in zip(islice(words, at, None), islice(self.words, start, None), strict=False):
            if ours != theirs:
                break
            length += 1
        return length


def score(question: Question, hits: Sequence[Hit], sources: Mapping[str, Source]) -> Score:
    """How well these hits answer the question."""
    gold = [(span.document, sources[span.document].within(span)) for span in question.gold]
    right = [_right(hit, gold, sources) for hit in hits]
    first = right.index(True) + 1 if True in right else math.inf
    context = cut(hits)
    recall = _recall(question, context, gold, sources)
    return Score(
        hit=float(first <= TOP),
        read=float(any(_right(hit, gold, sources) for hit in context[:TOP])),
        recall=recall,
        rank=1 / first,
        full=float(recall >= FULL),
        tokens=sum(len(TOKEN.findall(hit.text)) for hit in context),
    )


def cut(hits: Sequence[Hit], tokens: int = CONTEXT) -> list[Hit]:
    """The hits that fit so many tokens, the last one cut."""
    context: list[Hit] = []
    for hit in hits:
        ends = [match.end() for match in islice(TOKEN.finditer(hit.text), tokens)]
        if not ends:
            continue
        context.append(Hit(hit.document, hit.text[: ends[-1]]))
        tokens -= len(ends)
    return context


def mean(scores: Sequence[Score]) -> dict[str, float]:
    """The mean of each figure, and how far it may be off by chance (one standard error)."""
    figures: dict[str, float] = {}
    for name in ("hit", "read", "recall", "rank", "full", "tokens"):
        values = [float(getattr(one, name)) for one in scores]
        figures[name] = statistics.fmean(values)
        figures[f"{name}_error"] = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return figures


def lead(ours: Sequence[float], theirs: Sequence[float], draws: int = 2_000) -> tuple[float, float, float]:
    """By how much we lead on the same questions, and between what that lies in 95 of 100 draws of as many questions."""
    chance = Random(0)
    differences = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    means = sorted(statistics.fmean(chance.choices(differences, k=len(differences))) for _ in range(draws))
    return statistics.fmean(differences), means[int(0.025 * draws)], means[int(0.975 * draws)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share (0 to 1) of all values lie below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def hits_of(reply: Mapping[str, Any]) -> list[Hit]:
    """The hits in a reply to a search."""
    return [Hit(hit["document"], hit["text"]) for hit in reply["hits"]]


def _right(hit: Hit, gold: Sequence[tuple[str, set[int]]], sources: Mapping[str, Source]) -> bool:
    words = len(WORD.findall(hit.text))
    located = sources[hit.document].located(hit.text)
    inside = [(len(located & span), len(span)) for document, span in gold if document == hit.document]
    return any(held >= length / 2 for held, length in inside) or (
        words > 0 and sum(held for held, _ in inside) >= words / 2
    )


def _recall(
    question: Question,
    context: Sequence[Hit],
    gold: Sequence[tuple[str, set[int]]],
    sources: Mapping[str, Source],
) -> float:
    found: dict[str, set[int]] = {}
    for hit in context:
        found.setdefault(hit.document, set()).update(sources[hit.document].located(hit.text))
    answer = {(document, position) for document, span in gold for position in span}
    held = sum(position in found.get(document, ()) for document, position in answer)
    tokens = sum(len(TOKEN.findall(sources[span.document].text[span.start : span.end])) for span in set(question.gold))
    return min(1.0, held / len(answer) * tokens / min(tokens, CONTEXT))

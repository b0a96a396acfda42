"""Folders of documents with questions whose answers are known, made from public data.

- `cookbook`: a vendor's product documentation, one Markdown file a page, and 100 questions of which the data set says
  which sections answer them;
- `qmsum`: 20 meetings as they were spoken, and 125 questions of which it says which turns answer them. Where the topics
  of a meeting do not overlap they are its headings, and turns between two topics stand under the first; the other
  meetings have none. The questions do not name their meeting, and all meetings are about the same product: it is hard;
- `many`: the same paragraphs with other words put in, over and over, for speed and memory at a size that matters. What
  is found there means nothing.

A question is for choosing settings (`tune`) or for the score (`score`), by a hash of its name: nobody is judged by what
they were tuned on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Literal

Half = Literal["tune", "score"]

FENCE = re.compile(r"\s*```")
# A comment in code, or a line of dashes under a paragraph: parsers would take them for headings, each in its own way.
ACCIDENT = re.compile(r"(\s*)(#{1,6}\s|-{3,}\s*$|={3,}\s*$)")
PLAIN = re.compile(r"(?<!\S)[\w(\"'$][^\s`#]*(?!\S)")
FEWEST_WORDS = 5  # of a gold section; some have a heading and nothing under it

SECTIONS = 25  # of a file of `many`
WORDS = (60, 105)  # of a section of `many`: with its heading it fits MiniLM's 256 tokens
CHANGED = 0.08  # of its words are replaced by other real ones
INVENTED = 0.03  # and of them by names that occur once or twice, of which every real collection is full
SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ra", "se", "ti", "vo", "wu", "xa", "yo", "ze")


@dataclass(frozen=True)
class Span:
    """Characters of a document."""

    document: str
    start: int
    end: int


@dataclass(frozen=True)
class Question:
    """A question, and where its answer stands."""

    name: str
    text: str
    gold: tuple[Span, ...]

    @property
    def half(self) -> Half:
        """What it may be used for."""
        return "score" if hashlib.sha256(self.name.encode()).digest()[0] % 2 else "tune"


@dataclass(frozen=True)
class Corpus:
    """A folder of Markdown files, each known by its path below it, and the questions."""

    name: str
    folder: Path
    questions: tuple[Question, ...]

    def texts(self) -> dict[str, str]:
        """Every document by its name."""
        paths = sorted(self.folder.rglob("*.md"))
        return {path.relative_to(self.folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}

    def checksum(self) -> str:
        """Of all texts, questions and answers."""
        told = json.dumps([self.texts(), [(one.name, one.text, str(one.gold)) for one in self.questions]])
        return hashlib.sha256(told.encode()).hexdigest()


class Page:
    """A Markdown file in the making, which tells where each piece landed."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.text = f"# {title}\n\n"

    def heading(self, title: str) -> None:
        """Begin a section."""
        self.text += f"## {title}\n\n"

    def add(self, text: str) -> Span:
        """Append a paragraph or several."""
        start = len(self.text)
        self.text += text
        span = Span(self.name, start, len(self.text))
        self.text += "\n\n"
        return span

    def write(self, folder: Path) -> None:
        """Write the file."""
        (folder / self.name).write_text(self.text, encoding="utf-8", newline="\n")


def cookbook(data: Path, folder: Path) -> Corpus:
    """Product documentation: the sections of each page in their order."""
    sections = _json(data / "cookbook_rag_docs" / "anthropic_docs.json")
    pages: dict[str, Page] = {}
    spans: dict[str, Span] = {}
    for section in sections:
        link, title = section["chunk_link"], section["chunk_heading"]
        url = link.partition("#")[0]
        page = pages.setdefault(url, _page_of(url))
        page.heading(title)
        spans[link] = page.add(neutral(section["text"].strip().removeprefix(title).strip()))
    for page in pages.values():
        page.write(folder)
    questions = [
        Question(row["id"], row["question"], _with_words(pages, [spans[link] for link in row["correct_chunks"]]))
        for row in _json(data / "cookbook_rag_docs" / "docs_evaluation_dataset.json")
    ]
    # One whose answer is a heading with nothing under it cannot be judged.
    return Corpus("cookbook", folder, tuple(question for question in questions if question.gold))


def qmsum(data: Path, folder: Path) -> Corpus:
    """Meetings: one file each, a paragraph for each turn."""
    lines = (data / "qmsum" / "val_product.jsonl").read_text(encoding="utf-8").splitlines()
    questions: list[Question] = []
    for number, meeting in enumerate(map(json.loads, lines), start=1):
        page = Page(f"meeting-{number:02}.md", f"Meeting {number}")
        topics = dict(_topics(meeting["topic_list"]))
        turns: list[Span] = []
        for position, turn in enumerate(meeting["meeting_transcripts"]):
            if position in topics:
                page.heading(topics[position])
            turns.append(page.add(neutral(f"{turn['speaker']}: {turn['content']}")))
        page.write(folder)
        for order, row in enumerate(meeting["specific_query_list"], start=1):
            gold = tuple(
                Span(page.name, turns[int(first)].start, turns[int(last)].end)
                for first, last in row["relevant_text_span"]
            )
            questions.append(Question(f"meeting-{number:02}/{order}", row["query"], gold))
    return Corpus("qmsum", folder, tuple(questions))


CORPORA: dict[str, Callable[[Path, Path], Corpus]] = {"cookbook": cookbook, "qmsum": qmsum}


def make(names: Sequence[str], data: Path, folder: Path) -> list[Corpus]:
    """The corpora of these names, each in a folder of its own below this one."""
    made = []
    for name in names:
        (folder / name).mkdir(parents=True)
        made.append(CORPORA[name](data, folder / name))
    return made


def many(corpora: Sequence[Corpus], folder: Path, sections: int, seed: int = 7) -> int:
    """Write so many sections of one paragraph, each short enough for one child chunk; the number of files."""
    folder.mkdir(parents=True)
    paragraphs = mutated(corpora, seed)
    files = -(-sections // SECTIONS)
    for number in range(files):
        page = Page(f"{number:05}.md", f"Document {number}")
        for _ in range(min(SECTIONS, sections - number * SECTIONS)):
            paragraph = next(paragraphs)
            page.heading(" ".join(paragraph.split()[3:7]).strip("#-= "))
            page.add(paragraph)
        page.write(folder)
    return files


def mutated(corpora: Sequence[Corpus], seed: int = 7) -> Iterator[str]:
    """Real paragraphs with other words put in, for ever, always in the same order."""
    chance = Random(seed)
    # Words alone: what marks a heading or a fence up would cut other sections than we count.
    texts = [text for corpus in corpora for text in corpus.texts().values()]
    sources = [words for text in texts if len(words := PLAIN.findall(text)) > WORDS[1]]
    vocabulary = sorted({word for words in sources for word in words})
    weights = [len(words) for words in sources]
    while True:
        (source,) = chance.choices(sources, weights)
        length = chance.randint(*WORDS)
        start = chance.randrange(len(source) - length + 1)
        yield " ".join(_changed(word, vocabulary, chance) for word in source[start : start + length])


def neutral(text: str) -> str:
    """The text with what only looks like a heading escaped, outside fenced code."""
    lines, fenced = [], False
    for line in text.replace("\r\n", "\n").split("\n"):
        if FENCE.match(line):
            fenced = not fenced
        lines.append(line if fenced else ACCIDENT.sub(r"\1\\\2", line, count=1) if ACCIDENT.match(line) else line)
    return "\n".join(lines)


def _page_of(url: str) -> Page:
    parts = url.partition("://")[2].strip("/").split("/")[2:]  # less the host and the language
    return Page("-".join(parts) + ".md", parts[-1].replace("-", " ").capitalize())


def _with_words(pages: dict[str, Page], spans: Sequence[Span]) -> tuple[Span, ...]:
    texts = {page.name: page.text for page in pages.values()}
    return tuple(span for span in spans if len(texts[span.document][span.start : span.end].split()) >= FEWEST_WORDS)


def _topics(topics: Sequence[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """The turn that each topic begins at; none where two topics overlap."""
    spans = sorted(
        (int(first), int(last), topic["topic"]) for topic in topics for first, last in topic["relevant_text_span"]
    )
    if all(before[1] < after[0] for before, after in pairwise(spans)):
        for first, _, title in spans:
            yield first, title


def _changed(word: str, vocabulary: Sequence[str], chance: Random) -> str:
    draw = chance.random()
    if draw < INVENTED:
        return "".join(chance.choices(SYLLABLES, k=3)).capitalize()
    return chance.choice(vocabulary) if draw < INVENTED + CHANGED else word


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

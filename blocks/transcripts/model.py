"""What a transcript is: who said what, when, in numbered lines that a summary can cite."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from blocks.documents.model import Unreadable

MOST_BYTES = 5_000_000
MOST_TEXT = 600_000
"""Characters: a day of talk has 400,000."""
MOST_LINES = 20_000
LONGEST = 600
"""Characters of a line: what somebody says at length is parted between sentences, so that a citation says where."""
MOST_PEOPLE = 100
GAP = 15
"""Seconds of silence after which what the same person says begins a new line."""

NOBODY = "?"
"""How a line is shown of which nobody knows who said it."""
SHOWN = re.compile(
    r"^\[(?P<number>\d{1,6})\](?: (?P<at>\d+:\d\d:\d\d))? (?P<speaker>[^:\n]{1,80}): (?P<text>.*)$", re.MULTILINE
)

SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’)]?\s+")
ENDS = re.compile(r"[.!?…][\"”’)]?$")


class Person(BaseModel):
    """Somebody whom the transcript names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    email: str = ""
    """In lower case; empty where the transcript gives none."""


class Line(BaseModel):
    """Something that one person said."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    """From 1: by it the line is cited."""
    speaker: str
    """As the transcript names them; empty where it does not say who speaks."""
    second: int | None
    """Since the beginning; None where the transcript does not say."""
    text: str

    @property
    def at(self) -> str:
        """`0:01:02`; empty where the transcript does not say."""
        if self.second is None:
            return ""
        return f"{self.second // 3600}:{self.second // 60 % 60:02}:{self.second % 60:02}"


def shown(lines: Iterable[Line]) -> str:
    """The lines as a prompt has them: `[12] 0:01:02 Ann Berg: I'll send it.`"""
    return "\n".join(
        f"[{line.number}] {f'{line.at} ' if line.at else ''}{line.speaker or NOBODY}: {line.text}" for line in lines
    )


def lines_of(text: str) -> Iterator[Line]:
    """The lines of a text that `shown` has made; whatever else stands in it is none."""
    for row in SHOWN.finditer(text):
        hours, minutes, seconds = map(int, row["at"].split(":")) if row["at"] else (0, 0, 0)
        speaker = "" if row["speaker"] == NOBODY else row["speaker"]
        second = hours * 3600 + minutes * 60 + seconds if row["at"] else None
        yield Line(number=int(row["number"]), speaker=speaker, second=second, text=row["text"])


class Transcript(BaseModel):
    """A meeting, as it was written down."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str
    held_on: date | None
    """Where the transcript or its name says it."""
    people: tuple[Person, ...]
    """Who spoke, in order, and then who else is named as there."""
    lines: tuple[Line, ...]
    heard: bool
    """A program has written it from speech: numbers and dates are what it believes to have heard."""

    @property
    def fingerprint(self) -> str:
        """Twenty hex digits over what was said, by whom: the same meeting in another file has the same."""
        said = " ".join(f"{line.speaker} {line.text}" for line in self.lines)
        words = re.findall(r"\w+", said.casefold())
        return hashlib.sha256(" ".join(words).encode()).hexdigest()[:20]


class Said(NamedTuple):
    """A piece of talk before it is numbered."""

    speaker: str
    second: int | None
    text: str
    until: int | None = None
    """The second in which it ends."""


def numbered(pieces: Iterable[Said]) -> tuple[Line, ...]:
    """The pieces as lines: captions that part a sentence are joined, and long speeches parted between sentences.

    Raises:
        Unreadable: there is nothing, or too much.
    """
    lines: list[Line] = []
    length = 0
    for piece in _joined(pieces):
        for text in _parts(piece.text):
            length += len(text)
            if len(lines) >= MOST_LINES or length > MOST_TEXT:
                raise Unreadable(f"it is longer than {MOST_TEXT:,} characters or {MOST_LINES:,} lines")
            speaker = re.sub(r"[:\n]", " ", piece.speaker)[:80].strip()
            lines.append(Line(number=len(lines) + 1, speaker=speaker, second=piece.second, text=text))
    if not any(any(char.isalnum() for char in line.text) for line in lines):
        raise Unreadable("nobody says anything in it")
    return tuple(lines)


def _joined(pieces: Iterable[Said]) -> Iterator[Said]:
    """Neighbours by one speaker as one, until a sentence ends: a caption ends wherever the screen does."""
    held: Said | None = None
    for piece in pieces:
        text = " ".join(piece.text.split())
        if not text:
            continue
        if held and _goes_on(held, piece):
            held = held._replace(text=f"{held.text} {text}", until=piece.until)
            continue
        if held:
            yield held
        held = piece._replace(text=text)
    if held:
        yield held


def _goes_on(held: Said, piece: Said) -> bool:
    if piece.until is None or held.until is None or piece.speaker != held.speaker:  # no captions: whole as it was said
        return False
    near = piece.second is None or piece.second - held.until <= GAP
    return near and not ENDS.search(held.text) and len(held.text) + len(piece.text) < LONGEST


def _parts(text: str) -> Iterator[str]:
    if len(text) <= LONGEST:
        yield text
        return
    part = ""
    for sentence in SENTENCE_END.split(text):
        if part and len(part) + len(sentence) >= LONGEST:
            yield part
            part = ""
        part = f"{part} {sentence}".strip()
        while len(part) > LONGEST:  # no full stop for a page: between words then, or anywhere
            at = part.rfind(" ", LONGEST // 2, LONGEST)
            at = at if at > 0 else LONGEST
            yield part[:at].rstrip()
            part = part[at:].lstrip()
    if part:
        yield part


def people_of(lines: Iterable[Line], named: Iterable[Person]) -> tuple[Person, ...]:
    """Who spoke, with the address that the header gives them, and whoever else it names."""
    listed = list(named)
    known = {person.name.casefold(): person for person in reversed(listed) if person.name}
    spoke = dict.fromkeys(line.speaker for line in lines if line.speaker)
    found = {name.casefold(): known.get(name.casefold(), Person(name=name)) for name in spoke}
    for person in listed:
        found.setdefault((person.name or person.email).casefold(), person)
    return tuple(found.values())[:MOST_PEOPLE]

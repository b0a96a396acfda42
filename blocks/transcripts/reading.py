"""From a file, or from what was heard of a recording, to a transcript."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from blocks import due
from blocks.documents.model import Unreadable
from blocks.transcripts import captions, layout
from blocks.transcripts.model import MOST_BYTES, MOST_TEXT, Person, Said, Transcript, numbered, people_of

if TYPE_CHECKING:
    from blocks.documents import Document

COMPACT = re.compile(r"(?<!\d)(20\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)")
"""`2026-03-02`, `20260302`, also in `GMT20260302-100512_Recording`."""
ALIKE = re.compile(r"(?:audio|video|meeting_saved|closed_caption|zoom_\d|double_click)", re.IGNORECASE)
ZOOM = re.compile(r"^GMT\d{8}-\d{6}_?")
SLASHED = re.compile(r"\b(20\d\d)/(\d\d)/(\d\d)\b")
"""As Google Meet dates its documents: no folders."""
ENDING = re.compile(
    r"(?:\.(?:transcript|cc|[a-z]{2}(?:-[A-Z]{2})?))?\.(?:vtt|srt|txt|md|docx|pdf|html?|mp[34]|m4[av]|wav|ogg|opus|flac|aac|mov"
    r"|mkv|webm)$",
    re.IGNORECASE,
)
IN_NAME = re.compile(
    r"\s*(?:[-–_(]\s*)?(?:transcript|transkript|notes by gemini|recording|aufzeichnung)\)?\s*$", re.IGNORECASE
)
DATE_IN_NAME = re.compile(
    r"\s*[(\[]\s*20\d\d[-/.]\d\d[-/.]\d\d\b[^)\]]{0,24}[)\]]\s*"
    r"|\s*\b20\d\d[-/.]\d\d[-/.]\d\d\b(?:\s+\d\d[.:]\d\d(?:[.:]\d\d)?)?\s*"
)
WRITTEN_IN = ("utf-8-sig", "cp1252")
CONTAINERS = (b"PK\x03\x04", b"%PDF", b"\xd0\xcf\x11\xe0")
"""How Word files and PDFs begin."""


class Reads(Protocol):
    """What reads a file that is no text: `blocks.documents.Reader`."""

    def read(self, content: bytes, name: str, mime_type: str | None = None) -> Document: ...


def read(content: bytes, name: str, mime_type: str | None = None, *, reader: Reads | None = None) -> Transcript:
    """A file as a transcript.

    Args:
        content: its bytes.
        name: its name, which may say what the meeting is called and when it was.
        mime_type: where the source knows it.
        reader: for Word files and PDFs, which without one are not read.

    Raises:
        Unreadable: it is none, is empty, or is too long; the message says which.
    """
    if len(content) > MOST_BYTES:
        raise Unreadable(f"it is larger than {MOST_BYTES / 1e6:g} MB")
    if content.startswith(CONTAINERS):
        if reader is None:
            raise Unreadable("it is no text")
        document = reader.read(content, name, mime_type)
        text = "\n\n".join("\n".join([*section.path[-1:], section.text]) for section in document.sections)
    else:
        text = _decoded(content)
    if not text.strip():
        raise Unreadable("it is empty")
    if len(text) > 3 * MOST_TEXT:  # times and tags besides what is said
        raise Unreadable(f"it is longer than {3 * MOST_TEXT:,} characters")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if captions.is_vtt(text) or captions.is_srt(text):
        return _made(list(captions.spoken(text)), [], name, heard=True)
    found = layout.taken_apart(text)
    if not found.said:
        raise Unreadable("it names no speaker: it is no transcript")
    return _made(found.said, found.head, name, heard=found.by_program)


def from_segments(
    segments: Iterable[Any], name: str, held_on: date | None = None, people: Iterable[Person] = ()
) -> Transcript:
    """What was heard of a recording.

    Args:
        segments: each with `start` and `end` (seconds), `text`, and a `speaker` where somebody can tell.
        name: the recording's.
        held_on: when it was made; without it, the day that its name gives.
        people: who was there, where that is known.

    Raises:
        Unreadable: nothing was said, or it is too long.
    """
    said = [
        Said(str(getattr(each, "speaker", "") or ""), int(each.start), str(each.text), int(each.end))
        for each in segments
    ]
    lines = numbered(said)
    return Transcript(
        title=title_of(name),
        held_on=held_on or day_in(name),
        people=people_of(lines, people),
        lines=lines,
        heard=True,
    )


def _made(said: list[Said], head: list[str], name: str, *, heard: bool) -> Transcript:
    lines = numbered(said)
    day = day_in(name) or next((day for row in head if (day := day_in(row))), None)
    return Transcript(
        title=title_of(name) or (head[0][:200] if head else ""),
        held_on=day,
        people=people_of(lines, layout.named_in(head)),
        lines=lines,
        heard=heard,
    )


def title_of(name: str) -> str:
    """What a file's name calls the meeting: without folder, ending, date and `Transcript`."""
    path = PurePosixPath(SLASHED.sub(r"\1-\2-\3", name))
    # Zoom calls all its files alike, and each meeting's folder by the meeting.
    name = path.parent.name if ALIKE.match(path.name) and path.parent.name else path.name
    stem = ZOOM.sub("", ENDING.sub("", name))
    title = IN_NAME.sub("", DATE_IN_NAME.sub(" ", IN_NAME.sub("", stem)))
    return (_spaced(title) or _spaced(stem) or _spaced(name))[:200]


def _spaced(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def day_in(text: str) -> date | None:
    """The day that a text names with its year; None when it names none, or several."""
    found: set[date] = set()
    for match in COMPACT.finditer(SLASHED.sub(r"\1-\2-\3", text)):
        try:
            found.add(date(int(match[1]), int(match[2]), int(match[3])))
        except ValueError:
            continue
    found |= set(due.dates_in(text))
    return found.pop() if len(found) == 1 else None


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError:
            raise Unreadable("it is no text") from None
    if b"\x00" in content[:100_000]:
        raise Unreadable("it is no text")
    for encoding in WRITTEN_IN:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")

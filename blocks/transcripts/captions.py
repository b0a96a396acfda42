"""WebVTT and SubRip: what Zoom, Teams and most recorders save beside a recording."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from blocks.documents.model import Unreadable
from blocks.transcripts.model import Said

TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,]\d{1,3}"
CUE = re.compile(rf"^\s*{TIME}\s*-->\s*{TIME}")
VOICE = re.compile(r"<v(?:\.[\w.-]+)?\s+([^>]{1,100})>", re.IGNORECASE)
TAG = re.compile(r"</?[a-zA-Z0-9:.][^<>]{0,100}>")
SPOKEN = re.compile(
    r"^\s*(?:[-–]\s*)?(?:\[([^\]]{1,60})\]\s*:?|([^\W\d_][^:<>\[\]\n]{0,59}?)\s?:)(?=\s)\s*(.*)$", re.DOTALL
)


def is_vtt(text: str) -> bool:
    """Whether a text calls itself WebVTT."""
    return re.match(r"\s*WEBVTT\b", text) is not None


def is_srt(text: str) -> bool:
    """Whether a text begins with a cue of SubRip."""
    return re.match(rf"\s*\d+\s*\n\s*{TIME}\s*-->", text) is not None


def spoken(text: str) -> Iterator[Said]:
    """What is said in each cue. One that names no speaker goes on with the one before where the voice is not marked.

    Raises:
        Unreadable: it has no cue that can be read.
    """
    found = False
    speaker = ""
    marked = "<v" in text.lower()
    for block in re.split(r"\n[ \t]*\n", text):
        rows = block.split("\n")
        at = next((number for number, row in enumerate(rows[:3]) if CUE.match(row)), None)
        if at is None:  # the heading, NOTE, STYLE, REGION
            continue
        found = True
        start, end = _seconds(rows[at])
        for voice, words in _voices("\n".join(rows[at + 1 :])):
            if voice or marked:
                speaker = voice
            elif (named := SPOKEN.match(words)) and _is_name(named[1] or named[2]):
                speaker, words = (named[1] or named[2]).strip(), named[3]
            yield Said(speaker, start, words, end)
    if not found:
        raise Unreadable("it has no captions that can be read")


def _seconds(row: str) -> tuple[int, int]:
    match = CUE.match(row)
    assert match
    parts = [int(part or 0) for part in match.groups()]
    return (parts[0] * 60 + parts[1]) * 60 + parts[2], (parts[3] * 60 + parts[4]) * 60 + parts[5]


def _voices(payload: str) -> Iterator[tuple[str, str]]:
    """The parts of a cue, each with the voice that it is marked with."""
    pieces = VOICE.split(payload)
    if pieces[0].strip():
        yield "", _plain(pieces[0])
    for voice, words in zip(pieces[1::2], pieces[2::2], strict=True):
        yield " ".join(html.unescape(voice).split()), _plain(words)


def _plain(words: str) -> str:
    return html.unescape(TAG.sub("", words))


def _is_name(label: str) -> bool:
    from blocks.transcripts.layout import is_speaker

    return is_speaker(label)

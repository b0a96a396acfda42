"""What `Ear` and its child process say to each other, in the frames of `blocks.confined.wire`."""

import math
from typing import Any

from blocks.confined.wire import Garbled
from blocks.speech.limits import MOST_SECONDS
from blocks.speech.model import Transcript, Word

MOST_FRAME = 20_000_000
"""Bytes. In two hours one says about 20,000 words, of which each takes 50."""
_MOST_WORDS = 200_000
_MOST_TEXT = 1_000


def to_json(transcript: Transcript) -> dict[str, Any]:
    """What was heard, for `frame`; words as rows."""
    return {
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "seconds": transcript.seconds,
        "words": [[word.text, word.start, word.end, word.probability] for word in transcript.words],
        "notes": list(transcript.notes),
    }


def to_transcript(fields: object) -> Transcript:
    """The transcript again, with every field of the type and in the bounds that it should be. Raises Garbled."""
    if not isinstance(fields, dict):
        raise Garbled("no transcript")
    words, notes = fields.get("words"), fields.get("notes")
    if not isinstance(words, list) or len(words) > _MOST_WORDS or not isinstance(notes, list):
        raise Garbled("no words")
    return Transcript(
        language=_text(fields.get("language")),
        language_probability=_number(fields.get("language_probability"), 1),
        seconds=_number(fields.get("seconds"), MOST_SECONDS),
        words=tuple(map(_word, words)),
        notes=tuple(map(_text, notes)),
    )


def _word(row: object) -> Word:
    if not isinstance(row, list) or len(row) != 4:
        raise Garbled("no word")
    text, start, end, probability = row
    if not (word := _text(text)).strip():
        raise Garbled("no letters")
    return Word(word, _number(start, 2 * MOST_SECONDS), _number(end, 2 * MOST_SECONDS), _number(probability, 1))


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise Garbled("no text")
    return value


def _number(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Garbled("no number")
    if not 0 <= value <= most:
        raise Garbled("out of bounds")
    return float(value)

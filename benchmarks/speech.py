"""How fast and how good is speech to text? `python -m benchmarks.speech DATA`

DATA is a folder with `jfk.flac` (a sentence, 11 s) and `vosk_test.wav` (fifteen digits, 8 s). A third clip of 17 s is
made of them: the sentence, and ten of the digits.

- cold: the child process is started, loads the model, and hears the clip; warm: it hears it again (median);
- peak: the most memory that the child ever had by then, the model's included;
- wrong: words that are missing, added or others, of those that are said. Digits count one by one, however written;
- marked: words that hold a number, of all that are heard: a person must confirm them.

Absolute figures belong to the machine and the minute.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blocks.speech import Ear, Transcript

ROUNDS = 3
GOAL_SECONDS = 4.0
GOAL_MB = 1_000
GOAL_CLIP = "both, cut"
SENTENCE = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"
DIGITS = "one zero zero zero one nine oh two one oh"
MORE_DIGITS = "zero one eight zero three"
NAMES = "zero one two three four five six seven eight nine".split()  # noqa: SIM905


@dataclass(frozen=True)
class Clip:
    """A recording, and what is said in it."""

    name: str
    content: bytes
    said: str


@dataclass(frozen=True)
class Measured:
    """How one clip was heard."""

    heard: Transcript
    cold: float
    warm: float
    peak_mb: float
    wrong: int
    words: int
    """That are said."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("SIGNOFF_DATA")
    default = Path(data) / "audio" if data else None
    parser.add_argument("data", nargs="?" if default else None, type=Path, default=default, help="the folder of clips")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    print_all({clip.name: measure(clip, options.rounds) for clip in clips(options.data)})


def clips(data: Path) -> list[Clip]:
    """The two clips, and one of 17 seconds made of both."""
    sentence, digits = data / "jfk.flac", data / "vosk_test.wav"
    rate = 16_000
    both = [*samples(sentence, rate), *samples(digits, rate)][: 17 * rate]
    return [
        Clip("jfk.flac", sentence.read_bytes(), SENTENCE),
        Clip("vosk_test.wav", digits.read_bytes(), f"{DIGITS} {MORE_DIGITS}"),
        Clip(GOAL_CLIP, wav(both, rate), f"{SENTENCE} {DIGITS}"),
    ]


def samples(path: Path, rate: int) -> list[int]:
    """A recording as numbers of 16 bits."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
    return [int(number) for frame in frames for number in frame.to_ndarray().reshape(-1)]


def wav(numbers: Sequence[int], rate: int) -> bytes:
    """The file of these samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(rate)
        made.writeframes(b"".join(number.to_bytes(2, "little", signed=True) for number in numbers))
    return file.getvalue()


def measure(clip: Clip, rounds: int) -> Measured:
    """Hear it in a new child, and then again."""
    with Ear() as ear:
        cold, heard = timed(ear, clip)
        warm = statistics.median(timed(ear, clip)[0] for _ in range(rounds))
        assert ear._child is not None
        peak = peak_mb(ear._child.pid)
    said = normal(clip.said)
    return Measured(heard, cold, warm, peak, distance(said, normal(heard.text)), len(said))


def timed(ear: Ear, clip: Clip) -> tuple[float, Transcript]:
    """The seconds that it took, and what was heard."""
    began = time.perf_counter()
    heard = ear.hear(clip.content, clip.name)
    return time.perf_counter() - began, heard


def peak_mb(pid: int) -> float:
    """The most memory that a process ever had; 0 where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024


def normal(text: str) -> list[str]:
    """The words, without what one cannot hear; each digit is one."""
    words: list[str] = []
    for word in re.findall(r"[a-z']+|\d", text.lower()):
        words.append(str(NAMES.index(word)) if word in NAMES else "0" if word == "oh" else word)
    return words


def distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest words to add, drop or change that make one of the other."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        left, row = row, [number]
        for at, other in enumerate(heard, 1):
            row.append(min(left[at] + 1, row[-1] + 1, left[at - 1] + (word != other)))
    return row[-1]


def print_all(measured: dict[str, Measured]) -> None:
    """The table, and whether the goals are met."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Speech to text", title_justify="left")
    table.add_column("clip")
    for title in ("length s", "cold s", "warm s", "peak MB", "wrong", "marked"):
        table.add_column(title, justify="right")
    for name, one in measured.items():
        table.add_row(
            name,
            f"{one.heard.seconds:.1f}",
            f"{one.cold:.2f}",
            f"{one.warm:.2f}",
            f"{one.peak_mb:.0f}",
            f"{one.wrong} of {one.words}",
            f"{sum(word.number for word in one.heard.words)} of {len(one.heard.words)}",
        )
    console = Console(width=80)
    console.print(table)
    goal = measured[GOAL_CLIP]
    console.print(f"{verdict(goal.cold < GOAL_SECONDS)} 17 s are heard in under {GOAL_SECONDS:g} s, from a cold start")
    most = max(one.peak_mb for one in measured.values())
    console.print(f"{verdict(0 < most < GOAL_MB)} less than {GOAL_MB:,} MB")


def verdict(met: bool) -> str:
    """A goal's mark, as wide as its absence."""
    return "met " if met else "MISS"


if __name__ == "__main__":
    main()

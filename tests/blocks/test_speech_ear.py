"""Recordings are heard in another process, one after the other; what may become of it is in `test_confined`."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from blocks.confined.wire import HEAD, frame, message
from blocks.speech import Ear, Transcript, Unreadable, Word, ear, wire
from tests.blocks.children import is_alive, lying, pid_of, wait_for
from tests.blocks.making_sound import silence, tone, tune, wav

pytestmark = pytest.mark.slow

BEEP = wav(tone(1))
HEARD = Transcript("", 0.0, 1.0, (), ("no speech was heard in it",))


@pytest.fixture
def ears() -> Iterator[Ear]:
    with Ear() as made:
        yield made


def refused(ears: Ear, content: bytes, asks_for_time: Callable[[], None] = lambda: None) -> str:
    with pytest.raises(Unreadable) as error:
        ears.hear(content, "a.wav", asks_for_time=asks_for_time)
    return str(error.value)


def test_a_child_that_died_between_two_files_is_replaced(ears: Ear) -> None:
    ears.hear(BEEP, "a.wav")
    first = pid_of(ears)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not is_alive(first))
    assert ears.hear(BEEP, "a.wav") == HEARD
    assert pid_of(ears) != first


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_heard(ears: Ear) -> None:
    ears._seconds = -1.0
    assert refused(ears, wav(tune(20))) == "it took longer than -1 seconds to hear"
    ears._seconds = 120.0
    assert ears.hear(BEEP, "a.wav") == HEARD


def test_each_window_has_time_of_its_own(ears: Ear) -> None:
    sent: list[float] = []

    def note() -> None:
        assert ears._child is not None
        assert ears._child._sent is not None
        sent.append(ears._child._sent.limit)

    ears.hear(wav(silence(100)), "a.wav", asks_for_time=note)
    assert sent == [180.0, 240.0]


def test_a_file_that_needs_too_much_memory_is_given_up_and_the_next_is_heard() -> None:
    with Ear(memory=820_000_000) as ears:
        assert refused(ears, wav(silence(7_190))) == "it needs more memory than 0.82 GB to hear"
        assert ears.hear(BEEP, "a.wav") == HEARD


def test_whoever_is_interrupted_leaves_no_answer_behind(ears: Ear) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ears.hear(wav(silence(150)), "a.wav", asks_for_time=interrupted)
    assert ears.hear(BEEP, "a.wav") == HEARD


def test_a_refused_file_does_not_cost_the_child(ears: Ear) -> None:
    ears.hear(BEEP, "a.wav")
    first = pid_of(ears)
    assert refused(ears, b"OggS" + bytes(50))
    with pytest.raises(ValueError, match="no language"):
        ears.hear(BEEP, "a.wav", language="xx")
    assert ears.hear(BEEP, "a.wav") == HEARD
    assert pid_of(ears) == first


GOOD = {"language": "en", "language_probability": 1, "seconds": 1, "words": [], "notes": []}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"transcript": GOOD | {"language": 1}},
        {"transcript": GOOD | {"language_probability": 2}},
        {"transcript": GOOD | {"seconds": True}},
        {"transcript": GOOD | {"seconds": 1e9}},
        {"transcript": GOOD | {"seconds": float("nan")}},
        {"transcript": GOOD | {"notes": "a"}},
        {"transcript": GOOD | {"words": {}}},
        {"transcript": GOOD | {"words": [["a", 1, 2]]}},
        {"transcript": GOOD | {"words": [["a", "1", 2, 0.5]]}},
        {"transcript": GOOD | {"words": [["", 1, 2, 0.5]]}},
    ],
)
def test_an_answer_that_is_no_transcript_is_the_files_fault(
    ears: Ear, answer: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "_COMMAND", lying(frame(answer)))
    assert refused(ears, BEEP) == "the program that hears it answered nonsense"


def test_what_was_heard_comes_through_the_wire_as_it_was() -> None:
    heard = Transcript("de", 0.75, 3.5, (Word("Grüße,", 0.1, 0.5, 0.9), Word("\ud800", 1.0, 1.0, 0.0)), ("Ein Wort",))
    sent = message(frame(wire.to_json(heard))[HEAD:])
    assert wire.to_transcript(sent) == Transcript(
        "de", 0.75, 3.5, (heard.words[0], Word("?", 1.0, 1.0, 0.0)), heard.notes
    )

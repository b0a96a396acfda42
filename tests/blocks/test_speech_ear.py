"""Recordings are heard in another process: whatever one does to it, the caller gets a reason, and the next is heard."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.speech import Ear, Transcript, Unreadable, Word, ear, wire
from tests.blocks.making_sound import silence, tone, tune, wav

BEEP = wav(tone(1))
HEARD = Transcript("", 0.0, 1.0, (), ("no speech was heard in it",))


@pytest.fixture
def ears() -> Iterator[Ear]:
    with Ear() as made:
        yield made


def pid_of(ears: Ear) -> int:
    assert ears._child is not None
    return ears._child.pid


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refused(ears: Ear, content: bytes, asks_for_time: Callable[[], None] = lambda: None) -> str:
    with pytest.raises(Unreadable) as error:
        ears.hear(content, "a.wav", asks_for_time=asks_for_time)
    return str(error.value)


def test_the_child_knows_nothing_of_our_keys(ears: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    ears.hear(BEEP, "a.wav")
    assert b"sk-secret" not in Path(f"/proc/{pid_of(ears)}/environ").read_bytes()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "the program that hears it was killed (signal 9): the machine may be out of memory"),
        (signal.SIGSEGV, "the program that hears it crashed on it (signal 11)"),
        (signal.SIGABRT, "the program that hears it gave up (signal 6), most likely for want of memory"),
    ],
)
def test_a_crash_is_the_files_own_where_the_child_had_no_other(ears: Ear, number: int, reason: str) -> None:
    assert refused(ears, wav(silence(150)), lambda: os.kill(pid_of(ears), number)) == reason
    assert ears._child is None
    assert ears.hear(BEEP, "a.wav") == HEARD


def test_a_crash_after_other_files_is_not_blamed_on_this_one(ears: Ear) -> None:
    ears.hear(BEEP, "a.wav")
    first = pid_of(ears)

    def kill() -> None:
        if pid_of(ears) == first:
            os.kill(first, signal.SIGKILL)

    assert ears.hear(wav(silence(150)), "a.wav", asks_for_time=kill).seconds == 150
    assert pid_of(ears) != first


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


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_the_child_ends_with_its_parent(how: str) -> None:
    program = """
import sys
from blocks.speech import hear, ear
from tests.blocks.making_sound import wav, tone
hear(wav(tone(1)), "a.wav")
print(ear._ear._child.pid, flush=True)
sys.stdin.read()
"""
    root = Path(ear.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        if how == "killed":
            parent.kill()
        parent.communicate()
    wait_for(lambda: not is_alive(child))


NOISY = """
import os
from blocks.speech import child, hearing
hear = hearing.hear
def noisy(*args):
    print("noise", flush=True)
    os.write(1, b"noise of a library in C")
    return hear(*args)
hearing.hear = noisy
child.main(1_200_000_000)
"""


def test_what_libraries_print_does_not_get_among_the_answers(ears: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ear, "_COMMAND", ["-c", NOISY])
    assert ears.hear(BEEP, "a.wav") == HEARD


def test_a_mistake_of_ours_is_a_reason_and_not_the_end(ears: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ear, "_COMMAND", ["-c", NOISY.replace("return hear(*args)", "raise ZeroDivisionError('by zero')")]
    )
    assert refused(ears, BEEP) == "the program that hears it failed on it: ZeroDivisionError: by zero"
    monkeypatch.undo()
    assert ears.hear(BEEP, "a.wav") == HEARD


def test_a_child_that_does_not_start_is_no_files_fault(ears: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ear, "_COMMAND", ["-c", "import not_installed"])
    with pytest.raises(RuntimeError, match=r"does not start: .*No module named 'not_installed'"):
        ears.hear(BEEP, "a.wav")
    monkeypatch.undo()
    assert ears.hear(BEEP, "a.wav") == HEARD


LYING = """
import os
from blocks.documents import wire
os.write(1, wire.frame({"ready": True}))
os.read(0, 1 << 16)
os.write(1, %s)
os.read(0, 1 << 16)
"""
GOOD = {"language": "en", "language_probability": 1, "seconds": 1, "words": [], "notes": []}


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\3[1]",
        b"\0\0\0\3{a}",
        wire.frame({}),
        wire.frame({"transcript": GOOD | {"language": 1}}),
        wire.frame({"transcript": GOOD | {"language_probability": 2}}),
        wire.frame({"transcript": GOOD | {"seconds": True}}),
        wire.frame({"transcript": GOOD | {"seconds": 1e9}}),
        wire.frame({"transcript": GOOD | {"seconds": float("nan")}}),
        wire.frame({"transcript": GOOD | {"notes": "a"}}),
        wire.frame({"transcript": GOOD | {"words": {}}}),
        wire.frame({"transcript": GOOD | {"words": [["a", 1, 2]]}}),
        wire.frame({"transcript": GOOD | {"words": [["a", "1", 2, 0.5]]}}),
        wire.frame({"transcript": GOOD | {"words": [["", 1, 2, 0.5]]}}),
    ],
)
def test_a_child_that_was_taken_over_cannot_answer_what_it_likes(
    ears: Ear, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "_COMMAND", ["-c", LYING % repr(answer)])
    assert refused(ears, BEEP) == "the program that hears it answered nonsense"


def test_what_was_heard_comes_through_the_wire_as_it_was() -> None:
    heard = Transcript("de", 0.75, 3.5, (Word("Grüße,", 0.1, 0.5, 0.9), Word("\ud800", 1.0, 1.0, 0.0)), ("Ein Wort",))
    sent = wire.message(wire.frame(wire.to_json(heard))[wire.HEAD :])
    assert wire.to_transcript(sent) == Transcript(
        "de", 0.75, 3.5, (heard.words[0], Word("?", 1.0, 1.0, 0.0)), heard.notes
    )

"""Files are read in another process: whatever one does to it, the caller gets a reason, and the next is read."""

import os
import select
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.documents import Document, Reader, Section, Unreadable, wire
from blocks.documents import reader as reading
from tests.blocks.making_documents import Text, drawn, pdf, saved

SLOW = b"a\n" * 400_000
"""As Markdown, five seconds of work; nobody waits for them."""
HELLO = (b"Hello", "a.txt", None)


@pytest.fixture
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def pid_of(reader: Reader) -> int:
    assert reader._child is not None
    return reader._child.pid


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def refused(reader: Reader, content: bytes, name: str) -> str:
    with pytest.raises(Unreadable) as error:
        reader.read(content, name)
    return str(error.value)


def test_files_of_all_kinds_are_read_by_one_child(reader: Reader) -> None:
    assert reader.read(*HELLO) == Document("a", (Section((), "Hello"),))
    child = pid_of(reader)
    document = reader.read(pdf([Text("Title", size=20), Text("Viele Grüße", y=600)]), "b.pdf")
    assert document == Document("Title", (Section(("Title",), "Viele Grüße", 1, "page=1"),), 1)
    assert reader.read(b"# x\n\ny", "noname", "text/markdown").sections == (Section(("x",), "y", anchor="x"),)
    assert refused(reader, b"PK\x05\x06" + bytes(18), "a.zip") == "it is an archive (.zip), which is not read"
    assert refused(reader, bytes(100_000_001), "a.pdf") == "it has 100,000,001 bytes; at most 100,000,000 are read"
    assert reader.read(b"\xe4" * 10 + b" x" * MEGABYTE, "big.txt").sections[0].text.endswith(" x x")
    assert pid_of(reader) == child


MEGABYTE = 1_000_000


def test_the_child_knows_nothing_of_our_keys(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    reader.read(*HELLO)
    assert b"sk-secret" not in Path(f"/proc/{pid_of(reader)}/environ").read_bytes()


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read() -> None:
    with Reader(seconds=0.3) as reader:
        began = time.monotonic()
        assert refused(reader, b"a\n" * 2_000_000, "slow.md") == "it took longer than 0.3 seconds to read"
        assert time.monotonic() - began < 30  # all of it would take a minute
        assert reader.read(*HELLO).title == "a"


def test_a_child_that_hangs_while_nobody_looks_ends_itself() -> None:
    # It does so five seconds after its time is over: ten milliseconds after it began, here.
    with Reader(seconds=-4.99) as reader:
        sent = reader._send(SLOW[:60_000], "slow.md", None, reading._READ)
        pid = pid_of(reader)
        wait_for(lambda: not is_alive(pid))
        assert reader._child is not None
        assert str(reader._child._dead()) == f"it took longer than {sent.limit:g} seconds to read"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "the program that reads it was killed (signal 9): the machine may be out of memory"),
        (signal.SIGSEGV, "the program that reads it crashed on it (signal 11)"),
        (signal.SIGABRT, "the program that reads it gave up (signal 6), most likely for want of memory"),
    ],
)
def test_a_crash_is_the_files_own_where_the_child_had_no_other(reader: Reader, number: int, reason: str) -> None:
    sent = reader._send(SLOW, "slow.md", None, reading._READ)
    os.kill(pid_of(reader), number)
    with pytest.raises(Unreadable) as error:
        reader._result(sent)
    assert str(error.value) == reason
    assert reader.read(*HELLO).title == "a"


def test_a_crash_after_other_files_is_not_blamed_on_this_one(reader: Reader) -> None:
    reader.read(*HELLO)
    first = pid_of(reader)
    sent = reader._send(SLOW[:100_000], "slow.md", None, reading._READ)
    os.kill(first, signal.SIGKILL)
    assert reader._result(sent).title == "slow"
    assert pid_of(reader) != first


def test_a_file_that_needs_too_much_memory_is_given_up_and_the_next_is_read() -> None:
    with Reader(memory=250_000_000) as reader:
        assert refused(reader, b"*a* " * 300_000, "a.md") == "it needs more memory than 0.25 GB to read"
        assert reader.read(*HELLO).title == "a"
        assert refused(reader, saved(drawn("x", height=100)), "a.png") == "it needs more memory than 0.25 GB to read"
        assert reader.read(*HELLO).title == "a"


def test_a_file_that_does_not_fit_into_its_memory_is_given_up_at_once_and_the_next_is_read() -> None:
    with Reader(memory=250_000_000, seconds=600) as reader:
        assert refused(reader, bytes(99 * MEGABYTE), "a.txt") == "it needs more memory than 0.25 GB to read"
        assert reader.read(*HELLO).title == "a"


def test_a_pdf_that_unpacks_to_gigabytes_is_given_up_and_the_next_is_read() -> None:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(400)) + packer.flush()
    head, tail = pdf("").split(b"<</Length 0>>\nstream\n", 1)
    bomb = head + b"<</Filter/FlateDecode/Length %d>>\nstream\n" % len(packed) + packed + tail
    with Reader(memory=500_000_000) as reader:
        assert "memory" in refused(reader, bomb, "a.pdf")
        assert reader.read(*HELLO).title == "a"


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_the_child_ends_with_its_parent(how: str) -> None:
    program = """
import sys
from blocks.documents import Reader
from blocks.documents.reader import _READ
reader = Reader()
reader._send(b"a\\n" * 10_000_000, "slow.md", None, _READ)  # minutes of work
print(reader._child.pid, flush=True)
sys.stdin.read()
"""
    root = Path(reading.__file__).parents[2]
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


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_closing_ends_the_child() -> None:
    with Reader() as reader:
        reader.read(*HELLO)
        child = pid_of(reader)
    assert not is_alive(child)
    reader.close()


def test_many_files_are_read_in_their_order_and_the_next_is_read_ahead(reader: Reader) -> None:
    asked: list[int] = []

    def content(number: int) -> Callable[[], bytes]:
        def get() -> bytes:
            asked.append(number)
            if number == 2:
                raise Unreadable("it was deleted in the meantime")
            return b"" if number == 3 else b"Text %d" % number

        return get

    files = ((number, content(number), f"{number}.txt", None) for number in range(5))
    seen = []
    for number, found in reader.read_many(files):
        assert asked[-1] == min(number + 1, 4)
        seen.append((number, str(found) if isinstance(found, Unreadable) else found.sections[0].text))
    assert seen == [
        (0, "Text 0"),
        (1, "Text 1"),
        (2, "it was deleted in the meantime"),
        (3, "it is empty"),
        (4, "Text 4"),
    ]
    assert list(reader.read_many([])) == []


def test_what_goes_wrong_in_getting_a_file_is_raised_after_the_file_before(reader: Reader) -> None:
    def missing() -> bytes:
        raise FileNotFoundError("gone")

    results = reader.read_many([(1, lambda: b"One", "a.txt", None), (2, missing, "b.txt", None)])
    key, found = next(results)
    assert (key, isinstance(found, Document)) == (1, True)
    with pytest.raises(FileNotFoundError, match="gone"):
        next(results)
    assert reader.read(*HELLO).title == "a"


def test_whoever_stops_early_leaves_a_reader_that_reads(reader: Reader) -> None:
    results = reader.read_many([(1, lambda: b"One", "a.txt", None), (2, lambda: SLOW, "slow.md", None)])
    assert next(results)[0] == 1
    with pytest.raises(RuntimeError, match="busy"):
        reader.read(*HELLO)
    results.close()  # type: ignore[attr-defined]
    assert reader.read(*HELLO).title == "a"


def test_a_slow_caller_is_not_taken_for_a_slow_file() -> None:
    with Reader() as reader:
        results = reader.read_many([(number, lambda: b"x" * 200_000, "a.txt", None) for number in range(2)])
        next(results)
        child = reader._child
        assert child is not None
        assert child._sent is not None
        # The answer is there, though not all of it fits into the pipe; and the caller comes an hour late.
        assert child._process.stdout is not None
        select.select([child._process.stdout], [], [])
        child._sent.begun -= 3600
        assert isinstance(next(results)[1], Document)


def test_ocr_has_time_of_its_own() -> None:
    with Reader(seconds=3.0) as reader:
        sent = reader._send(saved(drawn("Opening hours")), "door.png", None, reading._READ)
        assert "Opening hours" in str(reader._result(sent).sections)
        assert sent.ocr_pages == 1
        assert sent.limit == 3.0 + 20.0


def test_what_libraries_print_does_not_get_among_the_answers(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_COMMAND", ["-c", NOISY])
    assert reader.read(*HELLO).title == "a"


NOISY = """
import os
from blocks.documents import child, reading
read = reading.read
def noisy(*args, **kwargs):
    print("noise", flush=True)
    os.write(1, b"noise of a library in C")
    return read(*args, **kwargs)
reading.read = noisy
child.main(1_500_000_000)
"""
LYING = """
import os, sys
from blocks.documents import wire
os.write(1, wire.frame({"ready": True}))
os.read(0, 1 << 16)
os.write(1, %s)
os.read(0, 1 << 16)
"""


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff",
        wire.frame({})[:2] + b"\0\3[1]",
        wire.frame({"document": None}),
        wire.frame({"document": {"title": 1, "sections": []}}),
        wire.frame({"document": {"title": "a", "sections": [{"path": "a"}]}}),
        wire.frame({"document": {"title": "a", "sections": [], "pages": True, "link": "", "notes": []}}),
        b"\0\0\0\3{a}",
    ],
)
def test_a_child_that_was_taken_over_cannot_answer_what_it_likes(
    reader: Reader, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_COMMAND", ["-c", LYING % repr(answer)])
    assert refused(reader, b"Hello", "a.txt") == "the program that reads it answered nonsense"


def test_a_mistake_of_ours_is_a_reason_and_not_the_end(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = NOISY.replace("return read(*args, **kwargs)", "raise ZeroDivisionError('by zero')")
    monkeypatch.setattr(reading, "_COMMAND", ["-c", broken])
    reason = "the program that reads it failed on it: ZeroDivisionError: by zero"
    assert refused(reader, b"Hello", "a.txt") == reason
    monkeypatch.undo()
    assert reader.read(*HELLO).title == "a"


def test_a_child_that_does_not_start_is_no_files_fault(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_COMMAND", ["-c", "import not_installed"])
    with pytest.raises(RuntimeError, match=r"does not start: .*No module named 'not_installed'"):
        reader.read(*HELLO)
    monkeypatch.undo()
    assert reader.read(*HELLO).title == "a"

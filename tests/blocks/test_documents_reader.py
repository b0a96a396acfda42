"""Files are read in another process, one after the other; what may become of it is in `test_confined`."""

import select
import time
import zlib
from collections.abc import Callable, Iterator

import pytest

from blocks.confined.wire import frame
from blocks.documents import Document, Reader, Section, Unreadable
from blocks.documents import reader as reading
from tests.blocks.children import lying, pid_of
from tests.blocks.making_documents import Text, drawn, pdf, saved

SLOW = b"a\n" * 400_000
"""As Markdown, five seconds of work; nobody waits for them."""
HELLO = (b"Hello", "a.txt", None)


@pytest.fixture
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


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


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read() -> None:
    with Reader(seconds=0.3) as reader:
        began = time.monotonic()
        assert refused(reader, b"a\n" * 2_000_000, "slow.md") == "it took longer than 0.3 seconds to read"
        assert time.monotonic() - began < 30  # all of it would take a minute
        assert reader.read(*HELLO).title == "a"


def test_a_file_that_needs_too_much_memory_is_given_up_and_the_next_is_read() -> None:
    with Reader(memory=250_000_000) as reader:
        assert refused(reader, b"*a* " * 300_000, "a.md") == "it needs more memory than 0.25 GB to read"
        assert reader.read(*HELLO).title == "a"
        assert refused(reader, saved(drawn("x", height=100)), "a.png") == "it needs more memory than 0.25 GB to read"
        assert reader.read(*HELLO).title == "a"


def test_a_file_that_does_not_fit_into_its_memory_is_given_up_at_once_and_the_next_is_read() -> None:
    with Reader(memory=250_000_000, seconds=600) as reader:
        assert refused(reader, b"a" * (99 * MEGABYTE), "a.txt") == "it needs more memory than 0.25 GB to read"
        assert reader.read(*HELLO).title == "a"


def test_a_pdf_that_unpacks_to_gigabytes_is_given_up_and_the_next_is_read() -> None:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(400)) + packer.flush()
    head, tail = pdf("").split(b"<</Length 0>>\nstream\n", 1)
    bomb = head + b"<</Filter/FlateDecode/Length %d>>\nstream\n" % len(packed) + packed + tail
    with Reader(memory=500_000_000) as reader:
        assert "memory" in refused(reader, bomb, "a.pdf")
        assert reader.read(*HELLO).title == "a"


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
        assert sent.more == 1
        assert sent.limit == 3.0 + 20.0


@pytest.mark.parametrize(
    "answer",
    [
        {"document": None},
        {"document": {"title": 1, "sections": []}},
        {"document": {"title": "a", "sections": [{"path": "a"}]}},
        {"document": {"title": "a", "sections": [], "pages": True, "link": "", "notes": []}},
    ],
)
def test_an_answer_that_is_no_document_is_the_files_fault(
    reader: Reader, answer: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_COMMAND", lying(frame(answer)))
    assert refused(reader, b"Hello", "a.txt") == "the program that reads it answered nonsense"

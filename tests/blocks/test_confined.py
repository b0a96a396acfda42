"""A file is worked on in another process: whatever it does to it, the caller gets a reason, and the next one is done.

First a trade of our own, whose files come with a program that its child runs; then the two that there are.
"""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from blocks import confined
from blocks.confined.parent import Parent
from blocks.confined.process import Died, Process, Sent, Trade
from blocks.confined.wire import Garbled, frame
from blocks.documents import Reader, Unreadable
from blocks.documents import reader as reading
from blocks.speech import Ear, ear
from tests.blocks.children import is_alive, lying, pid_of, wait_for
from tests.blocks.making_sound import silence, tone, wav

ROOT = Path(confined.__file__).parents[2]
MEMORY = 250_000_000
TRADE = Trade(
    verb="run",
    files="programs",
    start_seconds=60,
    more_seconds=1000,
    most_more=2,
    most_frame=100_000,
    environment={"OURS": "1"},
)
CHILD = """
import hashlib, os, resource, signal, sys, time
from blocks.confined import child

seen = []

def answer(asked, content, more_time):
    seen.append(asked["program"])
    names = {"content": content, "more_time": more_time, "done": None} | globals()
    exec(asked["program"], names)
    return {"refused": names["refused"]} if "refused" in names else {"done": names["done"]}

child.serve(int(sys.argv[1]), lambda: {"ready": True}, answer, 1000)
"""


class Refused(Exception):
    """What a trade makes of a file that it does not like."""


class Runner(Parent):
    def __init__(self, seconds: float = 600.0) -> None:
        super().__init__(MEMORY, seconds)
        self.command = ["-c", CHILD]
        self.trade = TRADE

    def _start(self) -> Process:
        return Process(self.trade, self.command, self._memory)

    def begun(self, program: str, content: bytes = b"", meanwhile: Callable[[], None] = lambda: None) -> Sent[Any]:
        sent = Sent(self.trade, {"program": program}, content, self._seconds, _made, meanwhile)
        self._begin(sent)
        return sent

    def result(self, program: str, content: bytes = b"", meanwhile: Callable[[], None] = lambda: None) -> Any:
        return self._finish(self.begun(program, content, meanwhile))

    def reason(self, program: str, content: bytes = b"") -> str:
        with pytest.raises(Died) as died:
            self.result(program, content)
        return str(died.value)


def _made(said: dict[str, Any]) -> Any:
    if "refused" in said:
        raise Refused(said["refused"])
    if "done" not in said:
        raise Garbled("nothing is done")
    return said["done"]


@pytest.fixture
def runner() -> Iterator[Runner]:
    with Runner() as made:
        yield made


def test_files_are_done_by_one_child_and_a_refused_one_does_not_cost_it(runner: Runner) -> None:
    assert runner.result("done = 1") == 1
    first = pid_of(runner)
    with pytest.raises(Refused, match="not this one"):
        runner.result("refused = 'not this one'")
    assert runner.result("done = len(seen)") == 3
    assert pid_of(runner) == first


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 100_000, 50_000_000])
def test_a_file_comes_as_it_was(runner: Runner, size: int) -> None:
    content = os.urandom(1 << 13) * (size // (1 << 13) + 1)
    found = runner.result("done = [type(content).__name__, hashlib.sha256(content).hexdigest()]", content[:size])
    assert found == ["bytes", hashlib.sha256(content[:size]).hexdigest()]


def test_a_file_is_held_once_and_not_beside_the_next(runner: Runner) -> None:
    # Two of them would not fit, and neither would a copy.
    for _ in range(2):
        assert runner.result("done = len(content)", bytes(120_000_000)) == 120_000_000


def test_the_child_has_its_limits_and_knows_nothing_of_our_keys(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    limits = [f"resource.getrlimit(resource.RLIMIT_{name})" for name in ("AS", "CORE", "FSIZE")]
    assert runner.result(f"done = [{', '.join(limits)}]") == [[MEMORY] * 2, [0] * 2, [10_000_000] * 2]
    assert runner.result("done = [os.environ.get('ANTHROPIC_API_KEY'), os.environ['OURS']]") == [None, "1"]
    assert b"sk-secret" not in Path(f"/proc/{pid_of(runner)}/environ").read_bytes()


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_done() -> None:
    with Runner(seconds=0.3) as runner:
        assert runner.reason("time.sleep(600)") == "it took longer than 0.3 seconds to run"
        runner._seconds = 60
        assert runner.result("done = 1") == 1


def test_a_child_that_hangs_while_nobody_looks_ends_itself() -> None:
    # It does so five seconds after its time is over: ten milliseconds after it began, here.
    with Runner(seconds=-4.99) as runner:
        sent = runner.begun("while True: pass")
        pid = pid_of(runner)
        wait_for(lambda: not is_alive(pid))
        assert runner._child is not None
        assert str(runner._child._dead()) == f"it took longer than {sent.limit:g} seconds to run"


def test_what_takes_long_has_time_of_its_own(runner: Runner) -> None:
    limits: list[float] = []

    def note() -> None:
        assert runner._child is not None
        assert runner._child._sent is not None
        limits.append(runner._child._sent.limit)

    assert runner.result("more_time(); more_time(); done = 1", meanwhile=note) == 1
    assert limits == [1600.0, 2600.0]
    assert runner.reason("more_time(); more_time(); more_time()") == "the program that runs it answered nonsense"


KILLED = "was killed (signal 9): the machine may be out of memory"
ABORTED = "gave up (signal 6), most likely for want of memory"


@pytest.mark.parametrize(
    ("number", "manner"),
    [(signal.SIGKILL, KILLED), (signal.SIGSEGV, "crashed on it (signal 11)"), (signal.SIGABRT, ABORTED)],
)
def test_a_crash_is_the_files_own_where_the_child_had_no_other(runner: Runner, number: int, manner: str) -> None:
    assert runner.reason(f"os.kill(os.getpid(), {number})") == f"the program that runs it {manner}"
    assert runner._child is None
    assert runner.result("done = 1") == 1


CRASH_IF_NOT_THE_FIRST = "more_time(); done = len(seen); len(seen) > 1 and os.kill(os.getpid(), signal.SIGKILL)"


def test_a_crash_after_other_files_is_not_blamed_on_this_one(runner: Runner) -> None:
    runner.result("done = 1")
    first = pid_of(runner)
    sent = runner.begun(CRASH_IF_NOT_THE_FIRST)
    assert runner._finish(sent) == 1
    assert pid_of(runner) != first
    assert sent.more == 1  # it had its whole time again, and no more than that
    assert runner.reason("os.kill(os.getpid(), signal.SIGKILL)") == f"the program that runs it {KILLED}"


def test_a_child_that_died_between_two_files_is_replaced(runner: Runner) -> None:
    runner.result("done = 1")
    first = pid_of(runner)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not is_alive(first))
    assert runner.result("done = len(seen)", bytes(1_000_000)) == 1
    assert pid_of(runner) != first


TOO_LARGE = "it needs more memory than 0.25 GB to run"


@pytest.mark.parametrize(
    "program", ["bytearray(10**9)", "os.write(2, b'std::bad_alloc'); os.abort()", "done = 'x' * 10**8"]
)
def test_a_file_that_needs_too_much_memory_is_given_up_and_the_next_is_done(runner: Runner, program: str) -> None:
    runner.result("done = 1")
    assert runner.reason(program) == TOO_LARGE
    assert runner.result("done = 1") == 1


def test_a_file_that_does_not_fit_into_its_memory_is_given_up_at_once_and_the_next_is_done(runner: Runner) -> None:
    assert runner.reason("done = 1", bytes(MEMORY)) == TOO_LARGE
    assert runner.result("done = 1") == 1


def test_whoever_is_interrupted_leaves_no_answer_behind(runner: Runner) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.result("more_time(); done = 1", meanwhile=interrupted)
    assert runner.result("done = 2") == 2


def test_closing_ends_the_child() -> None:
    with Runner() as runner:
        runner.result("done = 1")
        child = pid_of(runner)
    assert not is_alive(child)
    runner.close()


def test_what_libraries_print_does_not_get_among_the_answers(runner: Runner) -> None:
    assert runner.result("print('noise', flush=True); os.write(1, b'noise of a library in C'); done = 1") == 1


@pytest.mark.parametrize(
    "answer", [b"\xff\xff\xff\xff", b"\0\0\0\3[1]", b"\0\0\0\3{a}", frame({}), frame({"more": True}) * 3]
)
def test_a_child_that_was_taken_over_cannot_answer_what_it_likes(runner: Runner, answer: bytes) -> None:
    runner.command = lying(answer)
    assert runner.reason("done = 1") == "the program that runs it answered nonsense"


def test_a_mistake_of_ours_is_a_reason_and_not_the_end(runner: Runner) -> None:
    reason = "the program that runs it failed on it: ZeroDivisionError: division by zero"
    assert runner.reason("1 / 0") == reason
    assert runner.reason("sys.stderr.close(); os._exit(3)") == "the program that runs it failed on it: exit 3"
    assert runner.result("done = 1") == 1


@pytest.mark.parametrize(
    ("program", "seconds", "reason"),
    [("import not_installed", 60, "ModuleNotFoundError: No module named 'not_installed'"), (CHILD, 0, "it hangs")],
)
def test_a_child_that_does_not_start_is_no_files_fault(
    runner: Runner, program: str, seconds: float, reason: str
) -> None:
    runner.command, runner.trade = ["-c", program], replace(TRADE, start_seconds=seconds)
    with pytest.raises(RuntimeError, match=f"the process that runs programs does not start: .*{reason}"):
        runner.result("done = 1")
    runner.command, runner.trade = ["-c", CHILD], TRADE
    assert runner.result("done = 1") == 1


# The trades that there are.

HEARD = wav(tone(1))
NOISY = """
import os
from {package} import child, {module}
done = {module}.{function}
def noisy(*args, **kwargs):
    print("noise", flush=True)
    os.write(1, b"noise of a library in C")
    {then}
{module}.{function} = noisy
child.main({memory})
"""
OWNER = """
import sys
{program}
print(parent._child.pid, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Real:
    """What `Reader` and `Ear` have to be called with for the same."""

    verb: str
    files: str
    parent: type[Reader] | type[Ear]
    module: ModuleType
    short: Callable[[Any], object]
    """Does a small file."""
    long: Callable[[Any, Callable[[], None]], object]
    """Does one that takes its time, and something else meanwhile."""
    noisy: dict[str, object]
    owner: str
    """A program that leaves a child, which may be busy."""

    def command(self, then: str) -> list[str]:
        """A child that prints much and then does this."""
        return ["-c", NOISY.format(then=then, **self.noisy)]

    def reason(self, parent: Any, meanwhile: Callable[[], None] | None = None) -> str:
        with pytest.raises(Unreadable) as refused:
            self.long(parent, meanwhile) if meanwhile else self.short(parent)
        return str(refused.value)


def _read_long(reader: Reader, meanwhile: Callable[[], None]) -> object:
    sent = reader._send(b"a\n" * 100_000, "slow.md", None, reading._READ)
    meanwhile()
    return reader._result(sent)


READS = Real(
    "reads",
    "files",
    Reader,
    reading,
    lambda reader: reader.read(b"Hello", "a.txt"),
    _read_long,
    {"package": "blocks.documents", "module": "reading", "function": "read", "memory": reading.MEMORY},
    """
from blocks.documents import Reader
from blocks.documents.reader import _READ
parent = Reader()
parent._send(b"a\\n" * 10_000_000, "slow.md", None, _READ)  # minutes of work
""",
)
HEARS = Real(
    "hears",
    "recordings",
    Ear,
    ear,
    lambda ears: ears.hear(HEARD, "a.wav"),
    lambda ears, meanwhile: ears.hear(wav(silence(150)), "a.wav", asks_for_time=meanwhile),
    {"package": "blocks.speech", "module": "hearing", "function": "hear", "memory": ear.MEMORY},
    """
from blocks.speech import ear, hear
from tests.blocks.making_sound import tone, wav
hear(wav(tone(1)), "a.wav")
parent = ear._ear
""",
)


@pytest.fixture(params=[READS, HEARS], ids=["reads", "hears"])
def real(request: pytest.FixtureRequest) -> Real:
    assert isinstance(request.param, Real)
    return request.param


@pytest.fixture
def parent(real: Real) -> Iterator[Reader | Ear]:
    with real.parent() as made:
        yield made


def test_no_child_knows_anything_of_our_keys(real: Real, parent: Reader | Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    real.short(parent)
    assert b"sk-secret" not in Path(f"/proc/{pid_of(parent)}/environ").read_bytes()


def test_a_crash_is_the_reason_and_not_the_end(real: Real, parent: Reader | Ear) -> None:
    found = real.reason(parent, lambda: os.kill(pid_of(parent), signal.SIGSEGV))
    assert found == f"the program that {real.verb} it crashed on it (signal 11)"
    assert parent._child is None
    assert real.short(parent)


def test_a_crash_after_others_is_not_blamed_on_the_file(real: Real, parent: Reader | Ear) -> None:
    real.short(parent)
    first = pid_of(parent)

    def kill() -> None:
        if pid_of(parent) == first:
            os.kill(first, signal.SIGKILL)

    assert real.long(parent, kill)
    assert pid_of(parent) != first


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_child_ends_with_its_parent(real: Real, how: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER.format(program=real.owner)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        assert is_alive(child)
        if how == "killed":
            owner.kill()
        owner.communicate()
    wait_for(lambda: not is_alive(child))


def test_noise_of_libraries_does_not_get_among_the_answers(
    real: Real, parent: Reader | Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = real.short(parent)
    parent.close()
    monkeypatch.setattr(real.module, "_COMMAND", real.command("return done(*args, **kwargs)"))
    assert real.short(parent) == quiet


def test_a_mistake_in_a_trade_is_a_reason_and_not_the_end(
    real: Real, parent: Reader | Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real.module, "_COMMAND", real.command("raise ZeroDivisionError('by zero')"))
    assert real.reason(parent) == f"the program that {real.verb} it failed on it: ZeroDivisionError: by zero"
    monkeypatch.undo()
    assert real.short(parent)


def test_a_trade_that_does_not_start_is_no_files_fault(
    real: Real, parent: Reader | Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real.module, "_COMMAND", ["-c", "import not_installed"])
    process = f"the process that {real.verb} {real.files}"
    with pytest.raises(RuntimeError, match=f"{process} does not start: .*No module named 'not_installed'"):
        real.short(parent)
    monkeypatch.undo()
    assert real.short(parent)

"""What `signoff try` says of an error in a workflow's own code."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from deployments.their_errors import heard, told


def error_of(file: Path, source: str, **names: object) -> Exception:
    """What running a file raises."""
    file.write_text(source)
    try:
        exec(compile(source, str(file), "exec"), names)
    except Exception as error:  # noqa: BLE001 - any is what this is about
        return error
    pytest.fail("nothing was raised")


def test_the_innermost_line_of_theirs_is_told(theirs: Path) -> None:
    error = error_of(theirs, "def decide(x):\n    return x['topic']\n\ndecide({})\n")
    assert told(error) == "flows/new_one.py, line 2, in decide: KeyError: 'topic'\n    return x['topic']"


def test_a_syntax_error_has_its_line(theirs: Path) -> None:
    error = error_of(theirs, "x = 1\ny = = 2\n")
    assert told(error) == "flows/new_one.py, line 2: SyntaxError: invalid syntax\n    y = = 2"


def test_where_a_verb_refused_is_told_too(theirs: Path) -> None:
    verb: dict[str, object] = {}
    inner = theirs.parents[1] / "tasks" / "verb.py"
    exec(compile("def ask(ids):\n    return len(ids)\n", str(inner), "exec"), verb)
    error = error_of(theirs, "ask(3)\n", ask=verb["ask"])
    text = told(error)
    assert text
    assert text.startswith("flows/new_one.py, line 1 (from tasks/verb.py, line 2): TypeError")


def test_what_is_not_theirs_is_not_told() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert told(caught.value) is None


def test_what_the_gate_logs_is_counted_by_place_and_not_printed(
    theirs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    error = error_of(theirs, "1 / 0\n")
    log = logging.getLogger("tasks.gate")
    with heard("tasks.gate") as ear:
        for number in range(3):
            log.warning("record %s: no action could be made of it", number, exc_info=error)
        log.warning("nothing of theirs")
    assert ear.found == {"flows/new_one.py, line 1: ZeroDivisionError: division by zero\n    1 / 0": 3}
    assert log.propagate
    assert capfd.readouterr().err == ""

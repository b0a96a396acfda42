"""What the terminal is given of texts from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.text import Text

from blocks.ledger import Action
from deployments import awaited, doctor, views
from deployments.views import hanging, printable


@pytest.mark.parametrize(
    ("text", "one_line", "with_lines"),
    [
        ("for all drivers.\nE-mail 7", "for all drivers. E-mail 7", "for all drivers.\nE-mail 7"),
        ("a\tb\r\nc", "a b c", "a b\nc"),
        ("\x1b[31mred\x07", "[31mred", "[31mred"),
        ("a\u2028b \u202ec", "a b c", "a b c"),
    ],
)
def test_no_control_character_is_left_and_no_words_run_together(text: str, one_line: str, with_lines: str) -> None:
    assert printable(text) == one_line
    assert printable(text, lines=True) == with_lines


Printed = Callable[[], list[str]]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    """The lines that stand in a terminal of 40 columns."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(views.console, "_width", 40)
    return lambda: capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("text", "hang", "lines"),
    [
        ("short", None, ["short"]),
        ("a sentence that is broken between its words", None, ["a sentence that is broken between its", "words"]),
        (
            "Missing:\n  of them, decided on by a person: 3, needs 50\n\n  the end",
            None,
            ["Missing:", "  of them, decided on by a person: 3,", "    needs 50", "", "  the end"],
        ),
        (
            "    7  Send reply to jo@example.com, and so on",
            7,
            ["    7  Send reply to jo@example.com, and", "       so on"],
        ),
        ("x" * 50, 2, ["x" * 40, "  " + "x" * 10]),
        ("\n" + "word " * 9, None, ["", "word word word word word word word word", "word"]),
    ],
)
def test_what_a_line_goes_on_with_stands_under_it(
    printed: Printed, text: str, hang: int | None, lines: list[str]
) -> None:
    views.prose(text, hang=hang)
    assert printed() == lines
    assert hanging(Text(text), hang).plain.replace(" ", "").replace("\n", "") == "".join(text.split())


def test_colours_go_on_where_a_line_is_broken() -> None:
    first, second, *_ = hanging(Text.assemble(("    7  ", "bold"), ("word " * 40, "red")), 7).split("\n")
    assert [str(span.style) for span in first.spans if span.style] == ["bold", "red"]
    assert [str(span.style) for span in second.spans if span.style] == ["red"]


def test_whatever_reads_it_elsewhere_gets_sentences_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    views.prose("word " * 40)
    assert capsys.readouterr().out.rstrip() == ("word " * 40).strip()


def test_what_became_of_an_approval_is_broken_under_its_row(printed: Printed) -> None:
    reason = "hubspot: PATCH /crm/v3/objects/tickets/7: 400 PRAISE was not one of the allowed options"
    awaited.tell([Action(id=12, title="Set the category of the ticket", state="failed", reason=reason)])
    first, *more = printed()
    assert first.startswith("12  Set the category of the ticket:")
    assert more
    assert all(line.startswith("    ") and len(line) <= 40 for line in more)


def test_what_the_doctor_begins_with_is_broken_between_words(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "is_try", lambda: True)
    doctor._show([])
    said = printed()
    assert said[0].startswith("What `signoff try` has started")
    assert all(len(line) <= 40 for line in said)

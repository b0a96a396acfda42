"""What the terminal is given of texts from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from rich.cells import cell_len
from rich.text import Text

from blocks.ledger import Action, Ledger, Record
from deployments import awaited, doctor, views, waiting
from deployments.views import About, Listed, about_line, hanging, printable


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


@pytest.mark.parametrize(
    ("title", "sender", "line"),
    [
        ("Prices", "jo@example.com", "Prices, from jo@example.com"),
        ("Prices\n\x1b[2J", None, "Prices [2J"),
        ("", "jo@example.com", "(without a subject), from jo@example.com"),
        ("word " * 20, "jo@example.com", "word word word word…, from jo@example.c…"),
        ("Prices", "a-very-long-name@a-very-long-name.example", "Prices, from a-very-long-name@a-very-lo…"),
        ("\u6f22" * 30, None, "\u6f22" * 19 + "…"),
        (None, None, ""),
    ],
)
def test_a_record_is_told_in_the_room_there_is(title: str | None, sender: str | None, line: str) -> None:
    told = about_line(About(title, sender), 40)
    assert told == line
    assert cell_len(told) <= 40


def test_a_list_fits_and_only_its_links_are_as_long_as_they_are(printed: Printed) -> None:
    form = [
        Listed(
            7, "Post to Slack", "ticket-tagging", None, "run", About("Nobody can book, the page stays white", "a@b")
        ),
        Listed(8, "Note on the ticket of Ann", "ticket-tagging", None, "run", About(None, None)),
    ]
    views.approvals([form, [form[1]._replace(id=9, flow_run_id=None)]], "http://127.0.0.1:4200")
    assert printed() == [
        "    7  Post to Slack",
        "       ticket-tagging, expires never",
        "    8  Note on the ticket of Ann",
        "       ticket-tagging, expires never",
        "       Nobody can book, the p…, from a@b",
        "       http://127.0.0.1:4200/runs/flow-run/run",
        "    9  Note on the ticket of Ann",
        "       ticket-tagging, expires never",
        "       (its form is being made)",
    ]
    long = form[1]._replace(title="Note on the ticket of somebody with a long name", workflow="x")
    views.approvals([[long], [long._replace(title="Note of 13 ch", workflow="x" * 3)]], "")
    assert [line for line in printed() if "/runs" not in line] == [
        "    8  Note on the ticket of somebody",
        "       with a long name",
        "       x, expires never",
        "    8  Note of 13 ch  xxx, expires never",
    ]


@pytest.mark.both_databases
def test_whose_record_each_is_about_is_asked_once_for_all(ledger: Ledger) -> None:
    with ledger.write() as session:
        payload = {"sender": "jo@example.com", "text": "Hello"}
        record = Record(
            workflow="lead-triage", source="gmail:x", external_id="m", title="Prices", state="done", payload=payload
        )
        session.add(record)
        session.flush()
        for key, number in (("a", record.id), ("b", None)):
            session.add(
                Action(
                    key=key, workflow="lead-triage", record_id=number, kind="slack.post", impact="low",
                    title="Post to Slack", payload={}, digest="d", credential="slack/team", explanation="",
                    stage="gated", state="waiting",
                )
            )  # fmt: skip
    asked: list[str] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda _, __, statement, *___: asked.append(statement))
    found = waiting.listed(ledger)
    assert [statement for statement in asked if "actions" in statement] == asked[-1:]
    assert [row.about for row in found] == [About("Prices", "jo@example.com"), About(None, None)]
    assert waiting.about(ledger, waiting.waiting(ledger)) == {row.id: row.about for row in found}

"""A sheet: words with their places, its layout as text, and what is found on it."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.documents.looking import look
from blocks.documents.sheet import MOST_PLACES, Place, Sheet, Word, around, from_speech, from_text, unpacked
from tests.blocks.making_documents import Text, paragraph, pdf

BILL = pdf(
    [
        Text("Invoice number", 72, 760),
        Text("HP-17", 300, 760),
        Text("Total", 72, 700),
        Text("1,234.56", 300, 700),
        Text("EUR", 345, 700),
    ],
    paragraph("This agreement holds for", "twelve months.", y=760),
)
LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=300)


def words(*texts: str) -> Sheet:
    return from_text("\n".join(texts))


def test_each_word_is_where_it_stands() -> None:
    sheet = look(BILL, "bill.pdf")
    assert sheet.pages == ((595, 842), (595, 842))
    number = next(word for word in sheet.words if word.text == "HP-17")
    assert (number.page, number.sure, number.second) == (1, 1.0, None)
    left, top, right, bottom = number.box
    assert (round(left), round(bottom), round(bottom - top)) == (300, 842 - 760, 10)
    assert 20 < right - left < 40


def test_the_text_shows_the_layout() -> None:
    lines = look(BILL, "bill.pdf").text.splitlines()
    assert lines[0].split("   ")[0] == "Invoice number"
    assert lines[0].endswith("   HP-17")
    assert lines[1] == ""  # a gap on the page
    assert lines[2].endswith("   1,234.56 EUR")
    assert lines[0].index("HP-17") == lines[2].index("1,234.56")
    assert lines[3:6] == ["", "--- page 2 ---", ""]
    assert lines[6:] == ["This agreement holds for", "twelve months."]


def test_what_is_found_has_its_page_and_its_boxes() -> None:
    sheet = look(BILL, "bill.pdf")
    (amount,) = sheet.find("1,234.56 EUR")
    assert (amount.page, len(amount.boxes), str(amount)) == (1, 1, "page 1")
    assert sheet.row_at(amount) == "Total 1,234.56 EUR"
    (over_two_rows,) = sheet.find("for twelve")
    assert (over_two_rows.page, len(over_two_rows.boxes)) == (2, 2)
    assert sheet.row_at(over_two_rows) == "This agreement holds for"
    assert sheet.find("HP-17", page=2) == []
    assert sheet.find("HP-17", page=1) == sheet.find("HP-17")
    assert sheet.find("HP-17", page=99) == []
    assert sheet.row_at(Place(page=7, boxes=((1, 2, 3, 4),))) == ""
    assert sheet.row_at(Place()) == ""


@pytest.mark.parametrize(
    ("text", "value", "times"),
    [
        ("DE 232 446 240", "DE232446240", 1),
        ("DE232446240", "DE 232 446 240", 1),
        ("GRAND Total", "grand total", 1),
        ("Straße 5", "STRASSE 5", 1),
        ("10 0.99 10", "10", 2),
        ("110 1012 A10 10B", "10", 0),
        ("1,234.56", "234.56", 0),
        ("1,234.56", "1,234", 0),
        ("12.03.2026", "03.2026", 0),
        ("1'234.50", "234.50", 0),
        ("(45.00)", "45.00", 1),
        ("Total:45.00.", "45.00", 1),
        ("INV-17, dated", "INV-17", 1),
        ("Dockwell Limited", "well Limited", 0),
        ("Dockwell Limited", "Dockwell Lim", 0),
        ("Dockwell Limited", "", 0),
        ("Dockwell Limited", " \n", 0),
        ("aa a a", "aa", 2),
    ],
)
def test_a_text_is_found_at_the_bounds_of_words_and_numbers(text: str, value: str, times: int) -> None:
    assert len(from_text(text).find(value)) == times


def test_text_has_lines_as_an_editor_shows_them() -> None:
    sheet = words("first", "", "", "second  cell", "", "third")
    (second,) = sheet.find("second")
    assert (second.page, second.line, str(second), sheet.row_at(second)) == (None, 4, "line 4", "second cell")
    assert [sheet.row_at(Place(line=line)) for line in (1, 2, 6, 7, -1)] == ["first", "", "third", "", ""]
    assert sheet.find("third", page=5) == sheet.find("third")  # it has no pages: whatever page somebody says
    assert sheet.text == "first\n\nsecond   cell\n\nthird"


def test_lines_go_on_over_the_pages_of_a_text() -> None:
    text = "a\n\n--- page 2 ---\n\nb\nc"
    (found,) = from_text(text).find("c")
    assert found.line == text.splitlines().index("c") + 1


LAID_OUT = """Oak Ltd                    Invoice
14 Quay Street             No. 5

Item      Amount

Bolts      10.00

--- page 2 ---

Nuts       20.00"""


@pytest.mark.parametrize(
    "text",
    [
        LAID_OUT,
        look(BILL, "bill.pdf").text,
        "one",
        "",
        "a\n\nb\nc",
        "a\n\n--- page 4 ---\n\nb",
        "\n--- page 2 ---\n\nb",
        "x" * 1000 + "   y",
    ],
)
def test_a_text_that_was_laid_out_is_laid_out_the_same_again(text: str) -> None:
    again = from_text(text)
    assert again.text == text
    assert from_text(again.text).words == again.words


@given(LETTERS)
def test_any_text_is_laid_out_once_and_for_all(text: str) -> None:
    once = from_text(text)
    twice = from_text(once.text)
    assert twice.text == once.text
    assert [word.text for word in twice.words] == [word.text for word in once.words]
    assert all(once.find(word.text) for word in once.words if len(word.text) < 200)


def test_pages_on_which_nothing_stands_are_counted() -> None:
    sheet = from_text("a\n--- page 3 ---\nb")
    assert [(word.text, word.page) for word in sheet.words] == [("a", 1), ("b", 3)]
    assert len(sheet.pages) == 3


@pytest.mark.parametrize("line", ["--- page 1 ---", "--- page 0 ---", "--- page 999999999 ---", "--- page x ---"])
def test_a_line_that_parts_no_pages_is_words(line: str) -> None:
    assert [word.page for word in from_text(f"a\n{line}").words] == [1] * 5


def test_what_was_said_has_its_second_and_how_sure_the_ear_is() -> None:
    sheet = from_speech([("Total", 3.0, 0.9), ("forty", 64.5, 0.7), ("five.", 65.0, 0.8), ("Yes.", 66.0, 1.0)])
    assert (sheet.made_by, sheet.text) == ("sound", "Total forty five.\nYes.")
    (found,) = sheet.find("forty five")
    assert (found.second, found.sure, found.page, str(found)) == (64.5, 0.7, None, "at 1:04")
    assert unpacked(json.loads(json.dumps(sheet.packed()))) == sheet


@pytest.mark.parametrize("sheet", [look(BILL, "bill.pdf"), from_text(LAID_OUT, ("a note",)), from_text("")])
def test_a_sheet_is_the_same_after_a_journey_as_json(sheet: Sheet) -> None:
    again = unpacked(json.loads(json.dumps(sheet.packed())))
    assert again.text == sheet.text
    assert again.packed() == sheet.packed()
    assert [(word.text, word.page) for word in again.words] == [(word.text, word.page) for word in sheet.words]
    assert (again.pages, again.made_by, again.notes) == (sheet.pages, sheet.made_by, sheet.notes)


GOOD = ["word", 1, 0.0, 0.0, 10.0, 10.0, 1.0, None]


def changed(index: int, value: object) -> dict[str, Any]:
    row = list(GOOD)
    row[index] = value
    return {"words": [row], "pages": [[1, 1]], "made_by": "print", "scanned": [], "notes": []}


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        "sheet",
        {},
        {"words": []},
        changed(0, None),
        changed(0, ""),
        changed(0, "two words"),
        changed(0, "line\nbreak"),
        changed(0, ["a"]),
        changed(1, 0),
        changed(1, -1),
        changed(1, "x"),
        changed(1, 2**70),
        changed(2, "x"),
        changed(2, None),
        changed(3, float("nan")),
        changed(4, float("inf")),
        changed(5, 1e300),
        changed(6, 7),
        changed(6, -0.1),
        changed(7, "x"),
        changed(7, -5),
        changed(0, "a") | {"words": [["a", 1]]},
        changed(0, "a") | {"words": [GOOD] * 100_001},
        changed(0, "a") | {"made_by": "magic"},
        changed(0, "a") | {"scanned": ["x"]},
        changed(0, "a") | {"pages": [[1]]},
        changed(0, "a") | {"notes": [1]},
    ],
)
def test_hostile_json_is_refused(fields: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(fields)


@given(st.lists(st.tuples(*[st.floats(-1e9, 1e9) for _ in range(4)]), min_size=1, max_size=20))
def test_words_in_any_place_are_laid_out(boxes: list[tuple[float, float, float, float]]) -> None:
    packed = changed(0, "a") | {"words": [["word", 1, *box, 0.5, None] for box in boxes]}
    sheet = unpacked(packed)
    assert sheet.text.split() == ["word"] * len(boxes)
    assert len(sheet.find("word")) == len(boxes)


def test_the_box_around_boxes() -> None:
    assert around([(1, 2, 3, 4), (0, 3, 2, 9)]) == (0, 2, 3, 9)


def test_what_stands_everywhere_is_told_so_often_and_no_more() -> None:
    assert len(from_text("a " * 1000).find("a")) == MOST_PLACES


@pytest.mark.parametrize("text", ["1 " * 100_000, "1" * 500_000, "a\n" * 100_000, "a   " * 100_000])
def test_hundred_thousand_words_are_laid_out_and_searched_in_bounded_time(text: str) -> None:
    began = time.process_time()
    sheet = from_text(text)
    assert sheet.text
    for _ in range(50):
        assert len(sheet.find("1")) <= MOST_PLACES
        assert len(sheet.find("11")) <= MOST_PLACES
        assert sheet.row_at(Place(line=1))
    assert time.process_time() - began < 60


def test_a_word_of_one_letter_and_one_of_none_in_height() -> None:
    sheet = Sheet((Word("a", 1, (0, 0, 0, 0)), Word("b", 1, (5, 0, 5, 0))), ((0, 0),))
    assert sheet.text.split() == ["a", "b"]

"""Files to sheets and pictures, of every kind that is read; and in a child that is given up and replaced."""

import os
import signal
import time
from collections.abc import Iterator
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from blocks.documents import Reader, Sheet, Unreadable, limits
from blocks.documents import reader as reading
from blocks.documents.looking import look, picture
from blocks.documents.sheet import Box
from tests.blocks.making_documents import Text, drawn, form, paragraph, pdf, saved, scan, word

BILL = pdf([Text("Harbour Print Ltd", y=760), Text("Total", y=700), Text("264.00", 300, 700)])
SIDEWAYS = "q BT /F1 20 Tf 0 1 -1 0 300 200 Tm (Total 264.00) Tj ET Q"
SCANNED = drawn("Harbour Print Ltd", "Total 264.00", height=600)
PNG = saved(SCANNED)


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("CH\u2011102", "CH-102"),
        ("CH\u00ad\u200b102", "CH102"),
        ("\u202eCH-102", "CH-102"),
        ("CH-\u0661\u0660\u0662", "CH-102"),
        ("\ufb01nal", "final"),
        ("M\u00f6ller", "M\u00f6ller"),
        ("\u20ac1,50", "\u20ac1,50"),
    ],
)
def test_a_word_is_as_one_would_type_it(written: str, typed: str) -> None:
    sheet = look(f"Number {written}\n".encode(), "bill.txt")
    assert [each.text for each in sheet.words] == ["Number", typed]


def refused(content: bytes, name: str) -> str:
    with pytest.raises(Unreadable) as error:
        look(content, name)
    return str(error.value)


def shown(jpeg: bytes) -> Image.Image:
    found = Image.open(BytesIO(jpeg), formats=["JPEG"])
    return found.convert("L")


def ink(look: Image.Image) -> int:
    """Dark pixels."""
    return sum(look.histogram()[:128])


def box_of(sheet: Sheet, text: str) -> Box:
    return sheet.find(text)[0].boxes[0]


def test_a_pdf_with_text_keeps_its_words_and_their_places() -> None:
    sheet = look(BILL, "bill.pdf")
    assert [word.text for word in sheet.words] == ["Harbour", "Print", "Ltd", "Total", "264.00"]
    assert all(word.sure == 1.0 for word in sheet.words)
    assert (sheet.made_by, sheet.pages, sheet.scanned, sheet.notes) == ("print", ((595, 842),), frozenset(), ())


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("page", [SIDEWAYS, [Text("Total 264.00", size=20)]], ids=["up the page", "along it"])
def test_on_a_turned_page_words_stand_upright_and_where_the_picture_shows_them(
    page: list[Text] | str, turn: int
) -> None:
    turned = pdf(page, page_extra=f"/Rotate {turn}")
    sheet = look(turned, "a.pdf")
    assert sheet.text == "Total 264.00"
    (size,) = sheet.pages
    whole = shown(picture(turned, "a.pdf", dpi=72))
    assert whole.size == pytest.approx(size, abs=1)
    both = box_of(sheet, "Total 264.00")
    assert ink(shown(picture(turned, "a.pdf", box=both, dpi=72))) > 0.8 * ink(whole) > 0
    left_half = (both[0], both[1], both[0] + 0.45 * (both[2] - both[0]), both[3])
    assert 0 < ink(shown(picture(turned, "a.pdf", box=left_half, dpi=72))) < 0.7 * ink(whole)


def test_hidden_text_is_left_out_and_told_of() -> None:
    sheet = look(pdf([Text("Total 5.00"), Text("Total 9000.00", y=600, extra="1 1 1 rg")]), "a.pdf")
    assert sheet.text == "Total 5.00"
    assert sheet.notes == ("text that cannot be seen was left out",)
    assert sheet.find("9000.00") == []


def test_what_was_filled_into_a_form_is_seen() -> None:
    sheet = look(form("Name", "Jane Doe"), "form.pdf")
    assert {word.text for word in sheet.words} >= {"Name", "Jane", "Doe"}


def test_a_picture_is_read_by_ocr() -> None:
    sheet = look(PNG, "photo.png")
    assert sheet.text.split() == ["Harbour", "Print", "Ltd", "Total", "264.00"]
    assert (sheet.scanned, sheet.notes) == (frozenset({1}), ("it was read by OCR: words may be wrong",))
    assert all(0.5 < word.sure <= 1 for word in sheet.words)
    whole = shown(picture(PNG, "photo.png"))
    found = box_of(sheet, "264.00")
    amount = shown(picture(PNG, "photo.png", box=found))
    assert 0 < ink(amount) < 0.4 * ink(whole)
    above = (found[0], found[1] - 500, found[2], found[3] - 500)
    assert ink(shown(picture(PNG, "photo.png", box=above))) == 0


def test_a_scanned_page_beside_one_with_text() -> None:
    pages = scan(drawn("Total 264.00", height=1754))
    sheet = look(pages, "scan.pdf")
    assert sheet.text == "Total 264.00"
    assert sheet.scanned == {1}
    crop = picture(pages, "scan.pdf", box=box_of(sheet, "Total 264.00"))
    assert ink(shown(crop)) > 0.8 * ink(shown(picture(pages, "scan.pdf")))


def test_a_small_picture_is_cut_in_its_own_pixels() -> None:
    small = saved(drawn("Total 264.00", width=500, height=200))
    sheet = look(small, "a.png")
    crop = shown(picture(small, "a.png", box=box_of(sheet, "Total 264.00"), dpi=300))
    assert ink(crop) > 0.8 * ink(shown(picture(small, "a.png", dpi=300))) > 0


def test_a_huge_page_is_cut_in_the_pixels_that_it_gets() -> None:
    wall = pdf([Text("Total 264.00", 3000, 3000, size=300)], box=(6000, 8000))
    sheet = look(wall, "a.pdf")
    whole = shown(picture(wall, "a.pdf", dpi=200))
    assert whole.size[0] * whole.size[1] <= 4_000_000
    crop = shown(picture(wall, "a.pdf", box=box_of(sheet, "Total 264.00"), dpi=200))
    assert ink(crop) > 0.8 * ink(whole) > 0


def test_a_picture_of_a_page_is_as_large_as_asked_for() -> None:
    assert shown(picture(BILL, "a.pdf", dpi=72)).size == (595, 842)
    assert shown(picture(BILL, "a.pdf", dpi=36)).size == (297, 421)
    assert shown(picture(PNG, "a.png", dpi=50)).size == (585, 283)


@pytest.mark.parametrize("box", [(-50.0, -50.0, 9000.0, 9000.0), (700.0, 900.0, 710.0, 910.0), (9.0, 9.0, 1.0, 1.0)])
def test_a_box_off_the_page_is_cut_to_it(box: Box) -> None:
    width, height = shown(picture(BILL, "a.pdf", box=box, dpi=72)).size
    assert 1 <= width <= 595
    assert 1 <= height <= 842


@pytest.mark.parametrize(
    ("content", "name", "page", "box", "dpi"),
    [
        (BILL, "a.pdf", 0, None, 72),
        (BILL, "a.pdf", -1, None, 72),
        (BILL, "a.pdf", 2, None, 72),
        (PNG, "a.png", 2, None, 72),
        (b"text", "a.txt", 1, None, 72),
        (b"%PDF-1.7 broken", "a.pdf", 1, None, 72),
        (PNG[:200], "a.png", 1, None, 72),
        (b"", "a.pdf", 1, None, 72),
        (BILL, "a.pdf", 1, None, 0),
        (BILL, "a.pdf", 1, None, -5),
        (BILL, "a.pdf", 1, None, float("nan")),
        (BILL, "a.pdf", 1, None, 1e9),
        (BILL, "a.pdf", 1, (0, 0, float("inf"), 5), 72),
        (PNG, "a.png", 1, (0, 0, float("nan"), 5), 72),
    ],
)
def test_what_cannot_be_shown_is_refused(content: bytes, name: str, page: int, box: Box | None, dpi: float) -> None:
    with pytest.raises(Unreadable) as error:
        picture(content, name, page, box, dpi=dpi)
    assert 5 < len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.pdf", "it is empty"),
        (b"\0\0\n", "a.png", "it is empty"),
        (b"%PDF-1.7 broken", "a.pdf", "it is damaged"),
        (BILL[:300], "a.pdf", "it is damaged"),
        (PNG[:200], "a.png", "it is damaged: the picture cannot be shown"),
        (pdf(""), "a.pdf", "no text is seen in it"),
        (saved(Image.new("RGB", (400, 400), "white")), "a.png", "no text is seen in it"),
        (bytes(range(256)) * 10, "a.pdf", "it is named .pdf and is not a PDF: it is damaged, or is something else"),
        (b"PK\x05\x06" + bytes(18), "a.pdf", "it is an archive (.zip), which is not read"),
        (bytes(100_000_001), "a.txt", "it has 100,000,001 bytes; at most 100,000,000 are read"),
        (pdf(*["" for _ in range(1000)]), "a.pdf", "it has 1,000 pages; at most 100 are read"),
        (b"a " * 100_001, "a.txt", "it has 100,001 words; a form, a bill or a contract has at most 100,000"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(content: bytes, name: str, reason: str) -> None:
    assert refused(content, name).startswith(reason)


def test_an_encrypted_pdf_is_refused() -> None:
    key = "<</Filter/Standard/V 1/R 2/P -4/O<" + "00" * 32 + ">/U<" + "00" * 32 + ">>>"
    locked = pdf([Text("secret")], trailer=f"/Encrypt {key}/ID[<00><00>]")
    assert refused(locked, "a.pdf") == "it is encrypted: save it without a password"


def test_a_wrong_extension_is_told_of() -> None:
    assert look(BILL, "a.txt").notes == ("it is named .txt and is a PDF: it was read as that",)
    assert look(PNG, "a.pdf").notes[0] == "it is named .pdf and is a picture: it was read as that"


def test_a_broken_page_leaves_the_others_their_numbers() -> None:
    pages = pdf([Text("first")], [Text("second")], [Text("third")])
    broken = pages.replace(b"/Kids[6 0 R 8 0 R 10 0 R]", b"/Kids[6 0 R 3 0 R 10 0 R]")
    assert broken != pages
    sheet = look(broken, "a.pdf")
    assert [(word.text, word.page) for word in sheet.words] == [("first", 1), ("third", 3)]
    assert sheet.pages == ((595, 842), (0, 0), (595, 842))
    assert sheet.notes == ("page 2 is damaged: nothing was read there",)
    assert "--- page 3 ---" in sheet.text


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        ("Müller\n\nTotal   5,00 €".encode("cp1252"), "a.txt", "Müller\n\nTotal   5,00 €"),
        (b"# Bill\n\n|Item|Price|\n|-|-|\n|Bolt|5.00|\n", "a.md", None),
        (b"<html><h1>Bill</h1><table><tr><td>Bolt<td>5.00</table></html>", "a.html", None),
        (word("<w:p><w:r><w:t>Bolt costs 5.00</w:t></w:r></w:p>"), "a.docx", None),
        (b"From: a@b.example\nSubject: Bill\nMIME-Version: 1.0\n\nBolt costs 5.00\n", "a.eml", None),
    ],
)
def test_what_has_no_pages_has_lines(content: bytes, name: str, text: str | None) -> None:
    sheet = look(content, name)
    assert sheet.made_by == "text"
    assert text in (None, sheet.text)
    (price,) = sheet.find("5.00") or sheet.find("5,00")
    assert (price.page, price.boxes) == (None, ())
    assert ("5.00" in sheet.row_at(price)) or ("5,00" in sheet.row_at(price))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_bytes_arrive_they_are_a_sheet_or_a_reason(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([BILL, pdf(SIDEWAYS), form("a", "b")])))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    sheet = sheet_or_reason(bytes(content))
    if isinstance(sheet, str):
        assert 5 < len(sheet) < 500
        return
    assert sheet.text.strip()
    assert all(1 <= each.page <= len(sheet.pages) for each in sheet.words)


def sheet_or_reason(content: bytes) -> Sheet | str:
    try:
        return look(content, "a.pdf")
    except Unreadable as error:
        return str(error)


@pytest.fixture
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


def child_of(reader: Reader) -> int:
    assert reader._child is not None
    return reader._child.pid


def test_a_child_looks_and_shows_as_we_do(reader: Reader) -> None:
    sheet = reader.look(BILL, "bill.pdf")
    assert (sheet.text, sheet.pages) == (look(BILL, "bill.pdf").text, ((595, 842),))
    box = box_of(sheet, "264.00")
    assert ink(shown(reader.picture(BILL, "bill.pdf", 1, box))) > 0
    assert reader.picture(BILL, "bill.pdf", dpi=72) == picture(BILL, "bill.pdf", dpi=72)
    child = child_of(reader)
    for content, name in ((b"", "a.pdf"), (b"%PDF-1.7 broken", "a.pdf"), (pdf(""), "a.pdf")):
        with pytest.raises(Unreadable, match=r"empty|damaged|no text"):
            reader.look(content, name)
    with pytest.raises(Unreadable, match="page 9 cannot be shown"):
        reader.picture(BILL, "a.pdf", 9)
    with pytest.raises(Unreadable, match="dpi"):
        reader.picture(BILL, "a.pdf", dpi=float("inf"))
    assert reader.look(b"Total 5.00", "a.txt").text == "Total 5.00"
    assert child_of(reader) == child  # none of it was the end of it


def test_a_child_that_takes_too_long_is_given_up_and_replaced() -> None:
    slow = b"a\n" * 2_000_000
    with Reader(seconds=0.3) as reader:
        with pytest.raises(Unreadable, match=r"it took longer than 0\.3 seconds to read"):
            reader.look(slow, "slow.md")
        assert reader.look(b"Total 5.00", "a.txt").text == "Total 5.00"


def test_a_child_that_dies_while_it_looks_is_replaced(reader: Reader) -> None:
    reader.look(BILL, "bill.pdf")
    first = child_of(reader)
    os.kill(first, signal.SIGSTOP)  # or it may be faster than we are
    sent = reader._send(BILL * 2, "bill.pdf", None, reading._LOOK)
    os.kill(first, signal.SIGKILL)
    assert reader._result(sent).find("264.00")
    assert child_of(reader) != first


def test_a_child_that_has_too_little_memory_is_given_up_and_replaced() -> None:
    with Reader(memory=250_000_000) as reader:
        with pytest.raises(Unreadable, match=r"more memory than 0\.25 GB"):
            reader.look(PNG, "a.png")
        assert reader.look(BILL, "bill.pdf").find("264.00")


@pytest.mark.parametrize("answer", [None, 5, "sheet", {"words": "x"}, {"words": [[1, 2]], "pages": []}])
def test_an_answer_that_is_no_sheet_is_the_files_fault(
    reader: Reader, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.look(BILL, "bill.pdf")
    assert reader._child is not None
    monkeypatch.setattr(reader._child, "_receive", lambda deadline: {"sheet": answer})  # noqa: ARG005
    with pytest.raises(Unreadable, match="the program that reads it answered nonsense"):
        reader.look(BILL, "bill.pdf")
    assert reader.look(BILL, "bill.pdf").find("264.00")


def test_many_pages_are_looked_at_up_to_the_limit() -> None:
    many = pdf(*[paragraph(f"page number {n}", y=700) for n in range(limits.MOST_LOOKED_AT)])
    began = time.process_time()
    sheet = look(many, "a.pdf")
    assert len(sheet.pages) == limits.MOST_LOOKED_AT
    assert sheet.find("page number 99")[0].page == 100
    assert time.process_time() - began < 60


def test_scanned_pages_beyond_the_limit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from blocks.documents import pdf as pdfs

    monkeypatch.setattr(pdfs, "MOST_OCR_LOOKED_AT", 0)
    strip = drawn("Total 264.00", height=1754)
    sheet = look(pdf([Text("Total 5.00")], "q 595 0 0 842 0 0 cm /P0 Do Q", pictures=[strip]), "a.pdf")
    assert sheet.notes == ("at most 0 scanned pages are read: page 2 was not",)
    assert (sheet.text, sheet.scanned, len(sheet.pages)) == ("Total 5.00", frozenset(), 2)

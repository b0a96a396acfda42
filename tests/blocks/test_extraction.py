"""Papers of many layouts and languages to values, by rules. A wrong value is worse than a blank."""

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.documents.sheet import from_text
from blocks.extraction import evidence, rules
from blocks.extraction.evidence import Extraction
from blocks.extraction.values import as_text
from prompts.document_intake.schemas import find, schemas
from tests.blocks.making_papers import PAPERS, Written

THRESHOLD = 0.8
TODAY = date(2026, 6, 1)
KINDS = {paper.about: paper for paper in PAPERS}


def weighed(kind: str, text: str) -> Extraction:
    sheet = from_text(text)
    values, lines = evidence.by_rules(rules.extract(find(kind), sheet.text))
    return evidence.weigh(find(kind), values, lines, sheet, today=TODAY, by_model=False)


def said(found: Extraction, name: str) -> str:
    return as_text(found.values[name].value) if name in found.values else ""


def sure(found: Extraction) -> dict[str, str]:
    return {name: as_text(one.value) for name, one in found.values.items() if one.confidence >= THRESHOLD}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: f"{paper.kind}: {paper.about}")
def test_what_stands_on_a_paper_is_found_and_nothing_else_is_believed(paper: Written) -> None:
    found = weighed(paper.kind, paper.text)
    assert {name: said(found, name) for name in paper.says} == {
        name: value.removeprefix("?") for name, value in paper.says.items()
    }
    assert sure(found) == {name: value for name, value in paper.says.items() if not value.startswith("?")}
    assert all(one.doubts or one.confidence >= 0.4 for one in found.values.values())


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: f"{paper.kind}: {paper.about}")
def test_a_paper_is_recognised_or_left_to_a_person(paper: Written) -> None:
    kind, confidence = rules.recognise(from_text(paper.text).text)
    assert (kind.name if kind else None) == (paper.kind if paper.recognised else None)
    assert 0 <= confidence <= 1


@pytest.mark.parametrize("text", ["", "Hello", "Dear all, the meeting is on Monday at 10:30 in room 5.", "\n" * 50])
def test_what_is_no_paper_is_none(text: str) -> None:
    kind, _ = rules.recognise(text)
    assert kind is None
    for each in schemas():
        assert sure(weighed(each, text)) == {}


@pytest.mark.parametrize(
    ("about", "lines"),
    [
        (
            "labels before their values, and look-alikes",
            [("Flyers A5", "2000", "0.05", "100.00"), ("Posters A1", "20", "6.00", "120.00")],
        ),
        (
            "labels above their values",
            [("Fenster montieren", "4", "250.00", "1000.00"), ("Silikon", "10", "12.50", "125.00")],
        ),
        (
            "French, an order date",
            [("Pain complet", "30", "2.50", "75.00"), ("Croissants", "40", "1.10", "44.00")],
        ),
        (
            "a table over two pages",
            [
                ("Server S", "1", "49.00", "49.00"),
                ("Server M", "1", "99.00", "99.00"),
                ("Server L", "1", "199.00", "199.00"),
            ],
        ),
        ("Italian, the date beside the number", [("Manutenzione", "2", "300.00", "600.00")]),
    ],
)
def test_the_lines_of_a_table(about: str, lines: list[tuple[str, ...]]) -> None:
    found = weighed("invoice", KINDS[about].text)
    columns = ("description", "quantity", "unit_price", "amount")
    assert [tuple(as_text(line[name].value) for name in columns) for line in found.lines] == lines
    assert found.doubts == ()


TABLE = """
Oak Ltd
Invoice no 5
Date 3 May 2026

Description            Qty     Price      Amount
{lines}

Total                                     {total} GBP
"""


def test_a_line_on_tax_is_a_line_and_a_sum_is_none() -> None:
    lines = """Tax advice               2    100.00      200.00
Total overhaul           1     50.00       50.00
Subtotal                                  250.00
Net curtains             1     10.00       10.00"""
    found = weighed("invoice", TABLE.format(lines=lines, total="260.00"))
    assert [as_text(line["description"].value) for line in found.lines] == [
        "Tax advice",
        "Total overhaul",
        "Net curtains",
    ]
    assert (said(found, "total"), found.doubts) == ("260.00", ())


def test_the_rest_of_a_description_is_no_line() -> None:
    lines = """Repair                   1     50.00       50.00
  of the roof
  and the door"""
    found = weighed("invoice", TABLE.format(lines=lines, total="50.00"))
    assert [as_text(line["description"].value) for line in found.lines] == ["Repair"]


def test_lines_that_do_not_add_up_are_told_of() -> None:
    found = weighed("invoice", TABLE.format(lines="Bolts                    2     10.00       20.00", total="25.00"))
    assert found.doubts == ("the lines add up to 20.00, but total is 25.00",)


PLACES = {
    "inline": "Invoice number: {number}\nInvoice date: {date}\nOrder date: 1 January 2026\nTotal due: {total}",
    "right": "Invoice number      {number}\nOrder number    PO-1\nInvoice date        {date}\nTotal due      {total}",
    "far right": "{space}Invoice number   {number}\n{space}Invoice date   {date}\n{space}Total due   {total}",
    "below": "Invoice number    Invoice date    Order number\n{number}            {date}    PO-1\n\nTotal due\n{total}",
    "a page apart": "Invoice number: {number}\nInvoice date: {date}\n\n--- page 2 ---\n\nTotal due: {total}",
    "two in a row": "Invoice number: {number}    Invoice date: {date}    Total due: {total}",
    "with dots": "Invoice number ........ {number}\nInvoice date .......... {date}\nTotal due ............. {total}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", ["HP-17", "2026/0017", "4471"])
@pytest.mark.parametrize("day", ["3 May 2026", "2026-05-03", "03.05.2026"])
@pytest.mark.parametrize("total", ["£1,234.50", "GBP 1234.50", "1.234,50 GBP"])
def test_values_stand_beside_their_labels_wherever_that_is(place: str, number: str, day: str, total: str) -> None:
    body = PLACES[place].format(number=number, date=day, total=total, space=" " * 50)
    found = weighed("invoice", f"Oak Ltd\n\nINVOICE\n\n{body}\n")
    assert {name: said(found, name) for name in ("number", "date", "total", "currency")} == {
        "number": number,
        "date": "2026-05-03",
        "total": "1234.50",
        "currency": "GBP",
    }


LOOK_ALIKES = [
    "Order number: 7702",
    "Customer number: 5503",
    "Delivery note no: DN-44",
    "Delivery note: 4404",
    "Account number 12345678",
    "Your reference: AB-12",
    "Order date: 1 April 2026",
    "Delivery date: 2 April 2026",
    "Lieferdatum: 02.04.2026",
    "Bestellnummer: B-100",
    "Kundennummer: 5503",
    "Date de commande : 02/04/2026",
    "N° client : C-99",
    "Numéro de commande : 8812",
    "Número de pedido: 8812",
    "Phone: 0117 4960123",
    "Fax: +49 30 123456",
    "Page 1 of 2",
    "Previous balance 99.00",
    "Change 5.00",
    "Discount 5.00",
    "Steuernummer: 143/555/12345",
    "HRB 12345",
]


@pytest.mark.parametrize("line", LOOK_ALIKES)
def test_a_look_alike_fills_no_blank(line: str) -> None:
    found = weighed("invoice", f"Oak Ltd\n\nINVOICE\n\n{line}\nThank you for your custom.\n")
    assert set(sure(found)) & {"number", "due_date", "total", "net", "tax", "iban", "seller_vat_id"} == set()
    # The only day on a paper is taken for its date, with the doubt that this deserves.
    assert "date" not in sure(found)


@pytest.mark.parametrize("line", LOOK_ALIKES)
@pytest.mark.parametrize("first", [True, False])
def test_a_look_alike_does_not_take_the_place_of_the_value(line: str, first: bool) -> None:
    real = "Invoice number: HP-17\nInvoice date: 3 May 2026\nDue date: 2 June 2026\nTotal due: GBP 264.00"
    body = f"{line}\n{real}" if first else f"{real}\n{line}"
    found = weighed("invoice", f"Oak Ltd\n\nINVOICE\n\n{body}\n")
    wanted = {"number": "HP-17", "date": "2026-05-03", "due_date": "2026-06-02", "total": "264.00"}
    assert {name: said(found, name) for name in wanted} == wanted


SAID = """invoice number total date due vat net € 5.00 12/03/2026 Ltd GmbH : between and notice 3 months of the laws
IBAN DE75512108001245126199 DE136695976 description amount quantity ( ) " Supplier"""
WORDS = SAID.split()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([*WORDS, "\n", "   "]),
        max_size=80,
    ).map(" ".join)
)
def test_no_text_is_too_much(text: str) -> None:
    rules.recognise(text)
    for kind in schemas():
        found = weighed(kind, text)
        assert all(0 <= one.confidence <= 1 for one in found.values.values())
        find(kind).model_validate(found.fields())


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_no_letters_are_too_much(text: str) -> None:
    for kind in schemas():
        assert weighed(kind, text).packed()["kind"] == kind


HOSTILE = {
    "numbers": "123 " * 100_000,
    "one label": "notice " * 30_000,
    "one number's label": "invoice " * 20_000,
    "labels in cells": "xxx total   " * 10_000,
    "labels above values": "total   " * 5_000 + "\n" + "5.00   " * 5_000,
    "addresses": "www." * 50_000,
    "VAT numbers": ("DE12345678901 " * 10 + "\n") * 1_500,
    "a paragraph": ("agreement between notice party and the laws of something else\n") * 3_000,
    "defined terms": '("a"a"a" ' * 15_000,
    "lines": "description   quantity   amount\n" + "a   1   1.00\n" * 33_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.slow
def test_hundred_thousand_words_of_anything_are_read_in_bounded_time(text: str) -> None:
    began = time.process_time()
    rules.recognise(text)
    for kind in schemas().values():
        rules.extract(kind, text)
    assert time.process_time() - began < 60

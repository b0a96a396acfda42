"""How far a value is believed: by what can be shown for it on the paper, whoever read it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import pytest

from blocks.documents.looking import look
from blocks.documents.sheet import Sheet, from_speech, from_text
from blocks.extraction import rules
from blocks.extraction.evidence import UNSAID, Extraction, Said, Weighed, by_rules, weigh
from blocks.extraction.values import as_text
from prompts.document_intake.schemas import find
from tests.blocks.making_documents import Text, pdf

TODAY = date(2026, 6, 1)
THRESHOLD = 0.8
INVOICE = find("invoice")
BILL = """Oak Ltd
INVOICE

Invoice number: HP-17        Order number: PO-99
Invoice date: 3 May 2026     Due date: 2 June 2026

Description        Quantity     Unit price      Amount
Bolts                     4           5.00       20.00
Nuts                      1         200.00      200.00

Subtotal                                        220.00
VAT 20%                                          44.00
Total due                                   GBP 264.00
"""


def said(**values: str) -> list[Said]:
    return [Said(name, printed) for name, printed in values.items()]


def weighed(
    values: Iterable[Said],
    text: str | Sheet = BILL,
    lines: Iterable[Iterable[Said]] = (),
    *,
    kind: str = "invoice",
    by_model: bool = True,
) -> Extraction:
    sheet = from_text(text) if isinstance(text, str) else text
    return weigh(find(kind), values, lines, sheet, today=TODAY, by_model=by_model)


def only(found: Extraction, name: str) -> Weighed:
    return found.values[name]


def test_what_a_model_and_a_label_agree_on_is_sure() -> None:
    found = weighed(said(number="HP-17", date="3 May 2026", currency="GBP"))
    for name, value in (("number", "HP-17"), ("date", "2026-05-03"), ("currency", "GBP")):
        one = only(found, name)
        assert (as_text(one.value), one.doubts) == (value, ())
        assert one.confidence > 0.95
    assert only(found, "number").place is not None
    assert str(only(found, "number").place) == "line 4"


@pytest.mark.parametrize("made_up", ["HP-18", "HP-1", "P-17", "HP-17-B", "7"])
def test_what_does_not_stand_on_the_paper_is_not_believed(made_up: str) -> None:
    one = only(weighed(said(number=made_up)), "number")
    assert (one.place, one.confidence) == (None, 0.2)
    assert "it does not stand on the paper like this" in one.doubts


@pytest.mark.parametrize("part", ["64.00", "4.00", "26"])
def test_a_part_of_a_number_does_not_stand_on_the_paper(part: str) -> None:
    one = only(weighed(said(total=part)), "total")
    assert (one.place, one.confidence) == (None, 0.2)


def test_what_the_label_says_otherwise_of_is_disputed() -> None:
    one = only(weighed(said(number="PO-99")), "number")
    assert one.place is not None
    assert one.confidence == 0.55
    assert one.doubts == ("its label stands at “HP-17”",)


def test_what_a_model_sees_where_no_label_is_is_less_sure() -> None:
    text = "Oak Ltd\n\nPlease pay 5.00 to our account before long.\n"
    found = weighed(said(total="5.00", buyer="Oak Ltd"), text)
    one = only(found, "total")
    assert (one.confidence, one.doubts) == (0.75, ())
    assert found.unsure(THRESHOLD)["total"] == (UNSAID,), "a row must have it: a person looks"
    assert only(found, "buyer").confidence == 0.85


def test_rules_do_not_confirm_themselves() -> None:
    found = rules.extract(INVOICE, from_text(BILL).text)
    values, lines = by_rules(found)
    one = only(weighed(values, lines=lines, by_model=False), "number")
    assert one.confidence == found.values["number"].score < 0.97 + 0.03
    told = only(weighed(said(number="PO-99"), by_model=False), "number")
    assert told.confidence == 0.9  # whatever rules said at another time, they are one voice


def test_what_is_no_value_of_its_kind_counts_nothing() -> None:
    found = weighed(said(date="soon", total="free", iban="ask us"))
    for name, why in (("date", "“soon” is no date"), ("total", "“free” is no amount"), ("iban", "“ask us” is no IBAN")):
        one = only(found, name)
        assert (one.value, one.confidence, one.doubts) == (None, 0.0, (why,))
    assert found.fields() == {"date": None, "total": None, "iban": None}


def test_of_a_field_that_comes_twice_the_first_counts() -> None:
    found = weighed([Said("number", "HP-17"), Said("number", "PO-99")])
    assert as_text(only(found, "number").value) == "HP-17"
    found = weighed([Said("number", "  "), Said("number", "HP-17")])
    assert as_text(only(found, "number").value) == "HP-17"  # a blank is nothing said


def test_unknown_fields_are_left_out() -> None:
    line = [Said("amount", "20.00"), Said("colour", "red"), Said("lines", "x")]
    found = weighed(
        [*said(number="HP-17", colour="red", lines="x", kind="y"), Said("", "z")], lines=[line, [], line[1:]]
    )
    assert set(found.values) == {"number"}
    assert [set(each) for each in found.lines] == [{"amount"}]


def test_needed_fields_that_are_missing_are_asked_for() -> None:
    unsure = weighed(said(number="HP-17")).unsure(THRESHOLD)
    missing = {name for name, why in unsure.items() if why == ("it was not found",)}
    assert missing == {"date", "seller", "currency", "total"}
    assert "number" not in unsure


def test_what_is_unsure_says_why() -> None:
    found = weighed(said(number="PO-99", date="3 May 2026", seller="Oak Ltd", currency="GBP", total="264.00"))
    assert found.unsure(THRESHOLD) == {"number": ("its label stands at “HP-17”",)}
    doubtless = replace(only(found, "date"), confidence=0.5, doubts=())
    assert replace(found, values={**found.values, "date": doubtless}).unsure(THRESHOLD)["date"] == (UNSAID,)
    assert found.unsure(0.0) == {}


def test_a_sum_that_is_right_makes_its_numbers_sure() -> None:
    found = weighed(said(net="220.00", tax="44.00", total="264.00"))
    assert all(only(found, name).confidence >= 0.97 for name in ("net", "tax", "total"))


@pytest.mark.parametrize(("net", "tax", "total"), [("200.00", "44.00", "264.00"), ("220.00", "44.00", "220.00")])
def test_a_sum_that_is_wrong_is_told_at_each_of_its_numbers(net: str, tax: str, total: str) -> None:
    found = weighed(said(net=net, tax=tax, total=total))
    for name in ("net", "tax", "total"):
        assert only(found, name).confidence <= 0.5
        assert f"net {net} + tax {tax} is not total {total}" in only(found, name).doubts


def test_a_cent_is_rounding_and_two_are_not() -> None:
    text = "Subtotal  10.00\nVAT  1.99\nTotal due  {}\n"
    fine = weighed(said(net="10.00", tax="1.99", total="12.00"), text.format("12.00"))
    assert only(fine, "total").doubts == ()
    off = weighed(said(net="10.00", tax="1.99", total="12.01"), text.format("12.01"))
    assert only(off, "total").confidence <= 0.5


def test_a_sum_of_which_a_part_is_missing_is_not_checked() -> None:
    assert only(weighed(said(net="220.00", total="264.00")), "total").doubts == ()
    more = weighed(said(net="264.00", total="220.00"))
    assert "net 264.00 is not total 220.00" in only(more, "total").doubts


def test_what_leaves_more_for_the_tax_than_a_tax_can_be_is_doubted() -> None:
    text = BILL.replace("264.00", "2640.00").replace("VAT 20%                                          44.00\n", "")
    why = "net 220.00 is not total 2640.00"
    assert why in only(weighed(said(net="220.00", total="2640.00"), text), "total").doubts
    assert only(weighed(said(net="220.00", total="264.00")), "total").doubts == ()
    most = weighed(said(tax="44.00", total="64.00"), BILL.replace("264.00", "64.00"))
    assert "tax 44.00 is not total 64.00" in only(most, "tax").doubts


def test_another_value_with_such_a_label_is_looked_at_whoever_agrees_on_one() -> None:
    text = BILL.replace("Order number: PO-99", "Invoice number: HP-18")
    found = weighed(said(number="HP-17"), text)
    assert found.unsure(THRESHOLD)["number"] == ("“HP-18” has such a label, too",)


def test_nobody_issues_a_paper_months_ahead() -> None:
    text = BILL.replace("2026", "2027")
    found = weighed(said(date="3 May 2027", due_date="2 June 2027"), text)
    assert only(found, "date").doubts == ("it is an unlikely date",)
    assert only(found, "due_date").doubts == ()


def test_a_line_that_is_not_on_the_paper_is_looked_at() -> None:
    found = weighed(
        said(net="220.00", total="264.00", tax="44.00"), lines=[*LINES, said(description="Gold", amount="9.99")]
    )
    assert found.unsure(THRESHOLD)["lines"] == (
        "line 3, description: it does not stand on the paper like this",
        "line 3, amount: it does not stand on the paper like this",
    )
    many = weighed([], lines=[said(description=f"Gold {number}", amount="9.99") for number in range(5)])
    assert many.unsure(THRESHOLD)["lines"][-1] == "7 more like these"


def test_a_quantity_that_is_a_hundred_times_too_large_is_no_discount() -> None:
    text = BILL.replace("4           5.00       20.00", "400           5.00       20.00")
    wrong = [said(description="Bolts", quantity="400", unit_price="5.00", amount="20.00"), LINES[1]]
    found = weighed(said(net="220.00"), text, wrong)
    assert found.unsure(THRESHOLD)["lines"] == ("line 1, amount: 400 × 5.00 is not 20.00",)


def test_a_right_sum_does_not_silence_another_doubt() -> None:
    found = weighed(said(net="220.00", tax="44.00", total="264.00", number="HP-17"), BILL.replace("264.00", "264.01"))
    assert only(found, "total").confidence == 0.2


LINES = [
    said(description="Bolts", quantity="4", unit_price="5.00", amount="20.00"),
    said(description="Nuts", quantity="1", unit_price="200.00", amount="200.00"),
]


def test_lines_that_add_up_confirm_their_total() -> None:
    found = weighed(said(net="220.00", total="264.00", tax="44.00"), lines=LINES)
    assert found.doubts == ()
    assert only(found, "net").confidence >= 0.97
    assert [[as_text(one.value) for one in line.values()] for line in found.lines] == [
        ["Bolts", "4", "5.00", "20.00"],
        ["Nuts", "1", "200.00", "200.00"],
    ]
    assert found.fields()["lines"][0] == {
        "description": "Bolts",
        "quantity": "4",
        "unit_price": "5.00",
        "amount": "20.00",
    }


def test_lines_that_do_not_add_up_are_told_of() -> None:
    found = weighed(said(net="220.00", total="264.00"), lines=LINES[:1])
    assert found.doubts == ("the lines add up to 20.00, but net is 220.00 and total is 264.00",)
    unread = [said(description="Bolts", amount="a lot"), *LINES[1:]]
    assert weighed(said(total="264.00"), lines=unread).doubts == ("not every line has an amount that can be read",)


def test_lines_do_not_confirm_a_total_that_may_be_the_net_amount() -> None:
    text = "Oak Ltd\n\nDescription      Amount\nBolts            100.00\n\nVAT    20.00\nWork 100.00 in all\n"
    line = [said(description="Bolts", amount="100.00")]
    assert only(weighed(said(total="100.00", tax="20.00"), text, line), "total").confidence < 0.97
    assert only(weighed(said(total="100.00"), text, line), "total").confidence >= 0.97


def test_a_line_that_is_no_product_is_doubted_unless_the_lines_add_up() -> None:
    text = BILL.replace("4           5.00       20.00", "4           7.00       20.00")
    wrong = [said(quantity="4", unit_price="7.00", amount="20.00"), LINES[1]]
    explained = weighed(said(net="220.00"), text, wrong).lines[0]["amount"]
    assert (explained.doubts, explained.confidence > 0.8) == (("4 × 7.00 is not 20.00",), True)
    alone = weighed([], text, wrong[:1]).lines[0]["amount"]
    assert (alone.doubts, alone.confidence <= 0.6) == (("4 × 7.00 is not 20.00",), True)
    assert weighed([], lines=LINES[:1]).lines[0]["amount"].doubts == ()


def test_a_price_may_have_been_rounded_before_it_was_multiplied() -> None:
    text = "Description  Quantity  Price  Amount\nFlyers   1000   0.05   48.75\n"
    line = said(quantity="1000", unit_price="0.05", amount="48.75")
    assert weighed([], text, [line]).lines[0]["amount"].doubts == ()


def test_dates_in_a_wrong_order_are_doubted() -> None:
    found = weighed(said(date="2 June 2026", due_date="3 May 2026"))
    for name in ("date", "due_date"):
        assert only(found, name).confidence <= 0.5
        assert "date 2026-06-02 is after due date 2026-05-03" in only(found, name).doubts
    same = weighed(said(date="3 May 2026", due_date="3 May 2026"), "Date: 3 May 2026\nDue: 3 May 2026")
    assert only(same, "due_date").doubts == ()


@pytest.mark.parametrize("day", ["3 May 1926", "3 May 2226"])
def test_an_unlikely_date_is_doubted(day: str) -> None:
    one = only(weighed(said(date=day), f"Invoice date: {day}"), "date")
    assert (one.confidence, one.doubts) == (0.5, ("it is an unlikely date",))


def test_a_date_that_can_be_read_in_two_ways_is_doubted_though_all_agree() -> None:
    one = only(weighed(said(date="03/04/2026"), "Invoice date: 03/04/2026"), "date")
    assert one.confidence < THRESHOLD
    assert one.doubts == ("“03/04/2026” may be day or month first",)


def test_other_values_with_such_a_label_are_named() -> None:
    text = "Invoice number: 17\nInvoice number: 18\n"
    one = only(weighed(said(number="17"), text), "number")
    assert "“18” has such a label, too" in one.doubts


def scanned(sheet: Sheet, sure: float) -> Sheet:
    words = tuple(replace(word, sure=sure) for word in sheet.words)
    return replace(sheet, words=words, scanned=frozenset({1}))


def test_what_ocr_read_is_as_sure_as_its_letters() -> None:
    sheet = look(pdf([Text("Invoice number: HP-17", y=700)]), "a.pdf")
    sharp = only(weighed(said(number="HP-17"), scanned(sheet, 0.99)), "number")
    assert (sharp.confidence, sharp.doubts) == (0.97, ())
    faint = only(weighed(said(number="HP-17"), scanned(sheet, 0.6)), "number")
    assert faint.doubts == ("its print is hard to read: OCR is 60% sure",)
    assert faint.confidence == pytest.approx(0.97 * 0.6)
    assert only(weighed(said(number="HP-17"), sheet), "number").confidence == 0.97


def test_a_number_that_was_heard_is_to_be_listened_to() -> None:
    words = ("The", "total", "is", "264.00", "from", "Oak", "Ltd.")
    spoken = [(word, float(second), 0.9) for second, word in enumerate(words)]
    found = weighed(said(total="264.00", seller="Oak Ltd"), from_speech(spoken))
    total, seller = only(found, "total"), only(found, "seller")
    assert total.confidence <= 0.5
    assert "a number that was heard: listen to it" in total.doubts
    assert "it was heard, not read" in seller.doubts
    assert total.place is not None
    assert total.place.second == 3.0


def test_a_value_stands_where_its_label_is() -> None:
    text = "Deposit     264.00\nBolts       264.00\n\nTotal due   264.00\n"
    one = only(weighed(said(total="264.00"), text), "total")
    assert one.place is not None
    assert one.place.line == 4


def test_a_wrong_page_is_put_right() -> None:
    sheet = look(pdf([Text("Oak Ltd")], [Text("Invoice number: HP-17")]), "a.pdf")
    (one,) = weighed([Said("number", "HP-17", page=1)], sheet).values.values()
    assert one.place is not None
    assert (one.place.page, str(one.place), len(one.place.boxes)) == (2, "page 2", 1)


def test_all_of_it_as_json() -> None:
    sheet = look(pdf([Text("Invoice number: HP-17")]), "a.pdf")
    packed = weighed(said(number="HP-17", total="9.99"), sheet, [said(amount="1.00")]).packed()
    number, total = packed["values"]["number"], packed["values"]["total"]
    assert (packed["kind"], packed["doubts"], len(packed["lines"])) == (
        "invoice",
        ["the lines add up to 1.00, but total is 9.99"],
        1,
    )
    assert (number["printed"], number["value"], number["confidence"]) == ("HP-17", "HP-17", 0.97)
    assert (number["page"], number["line"], number["second"], number["where"]) == (1, None, None, "page 1")
    assert [len(box) for box in number["boxes"]] == [4]
    assert (total["page"], total["boxes"], total["where"], total["confidence"]) == (None, [], "", 0.2)


@pytest.mark.parametrize("kind", ["invoice", "receipt", "contract"])
def test_nothing_read_of_nothing(kind: str) -> None:
    found = weighed([], "", kind=kind)
    assert (found.values, found.lines, found.fields()) == ({}, (), {})
    assert set(found.unsure(THRESHOLD)) == set(find(kind).needed)


def test_what_a_person_would_be_told_of_a_value_never_loses_a_doubt() -> None:
    one = Weighed("x", "x", 0.9, None, ("first",)).doubted("second", 0.95)
    assert (one.doubts, one.confidence) == (("first", "second"), 0.9)

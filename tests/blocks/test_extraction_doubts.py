"""What may be wrong is not sure: pieces of papers that once led the rules to a wrong value, or to none."""

from datetime import date

import pytest

from blocks.documents.sheet import from_text
from blocks.extraction import evidence, phrases, rules
from blocks.extraction.evidence import Extraction, Said
from blocks.extraction.parties import is_plain
from blocks.extraction.recognition import recognition
from blocks.extraction.values import Habits, habits_of, read
from prompts.document_intake.schemas import LINES, find
from prompts.document_intake.schemas.kinds import Currency, Day, Means
from tests.blocks.test_extraction import TODAY, said, sure, weighed

THRESHOLD = 0.8


def lines(found: Extraction) -> list[tuple[str, ...]]:
    """What is read of each line, with the confidence that they are all."""
    return [tuple(str(cell.value) for cell in line.values()) for line in found.lines]


def are_sure(found: Extraction) -> bool:
    return bool(found.lines) and LINES not in found.unsure(THRESHOLD) and not found.doubts


@pytest.mark.parametrize(
    "line",
    [
        "Original invoice:    INV-20417 dated 11/05/2026",
        "Domiciliación bancaria. Fecha de cargo: 25/05/2026",
        "Collection date: 25 May 2026",
        "Arrival: 2026-05-15       Departure: 2026-05-17",
    ],
)
def test_the_date_of_another_event_or_paper_is_not_surely_the_paper_s_own(line: str) -> None:
    found = weighed("invoice", f"Oak Ltd\nInvoice no: 5\n{line}\nTotal: 5.00 EUR\n")
    assert "date" not in sure(found)


def test_the_number_of_the_paper_that_a_credit_note_is_about_is_not_its_own() -> None:
    text = "Oak B.V.\nCreditfactuur\nGecrediteerde factuur: PB-24110\nDatum: 18-05-2026\nTotaal € -5,00\n"
    assert "number" not in sure(weighed("invoice", text))


SUMS = """
Oak Ltd
Invoice no: 5
Invoice date: 2026-05-03

{rows}
"""


def test_several_taxes_are_one_amount_if_net_and_taxes_are_the_total() -> None:
    rows = """
Sous-total / Subtotal      580.00
TPS / GST 5 %               29.00
TVQ / QST 9,975 %           57.86
TOTAL (CAD)              $ 666.86"""
    found = weighed("invoice", SUMS.format(rows=rows))
    assert [sure(found).get(name) for name in ("net", "tax", "total")] == ["580.00", "86.86", "666.86"]
    assert found.values["tax"].printed == "29.00 + 57.86"
    assert found.values["tax"].place is not None


def test_a_sum_of_amounts_of_which_one_is_not_printed_is_not_believed() -> None:
    sheet = from_text(SUMS.format(rows="Net 10.00\nVAT 2.00\nTotal 12.00 EUR"))
    one = evidence.weigh(find("invoice"), [Said("tax", "2.00 + 7.00")], (), sheet, today=TODAY).values["tax"]
    assert one.doubts == ("it does not stand on the paper like this",)
    assert one.confidence < THRESHOLD


def test_what_is_no_tax_though_it_says_so_is_not_added_to_it() -> None:
    rows = """
Honorar                     1.540,00
20 % USt                      308,00
Barauslagen (USt-frei)        160,00
Gesamtbetrag                2.008,00 €"""
    found = weighed("invoice", SUMS.format(rows=rows))
    assert (sure(found)["tax"], sure(found)["total"]) == ("308.00", "2008.00")


def test_with_a_tip_the_total_is_what_was_paid() -> None:
    text = """
JUNIPER & RYE
10/17/2026  8:52 PM
Smash Burger               64.50
Subtotal                   64.50
Tax 8.875%                  5.72
Total                      70.22
AMEX xxxxxxx1009
Tip                        13.00
Grand total               $83.22
"""
    found = weighed("receipt", text)
    assert [sure(found).get(name) for name in ("net", "tax", "total")] == ["64.50", "5.72", "83.22"]
    assert sure(found)["paid_by"] == "AMEX"


def test_a_total_below_which_something_larger_is_to_be_paid_is_not_sure() -> None:
    found = weighed("invoice", SUMS.format(rows="Total      100.00 EUR\nArrears      40.00\nNow owed      140.00"))
    assert "total" not in sure(found)
    assert found.values["total"].doubts == ("“140.00” has such a label, too",)


def test_what_was_handed_over_in_cash_is_no_larger_total() -> None:
    found = weighed("receipt", "Oak Ltd\nDate 2026-05-03\nTotal  2.30 EUR\nCash  5.00\nChange  2.70\n")
    assert sure(found)["total"] == "2.30"


def test_a_net_amount_below_which_a_discount_stands_is_not_sure() -> None:
    rows = """
SUBTOTAL             1,264.00
LESS 10% CONTRACTOR   -126.40
FREIGHT                 48.50
SALES TAX 8.25%         93.85
PLEASE PAY         $ 1,279.95"""
    found = weighed("invoice", SUMS.format(rows=rows))
    assert (sure(found)["tax"], sure(found)["total"]) == ("93.85", "1279.95"), "whatever the total is called"
    assert found.values["net"].doubts == ("what stands between it and the tax may be part of it",)


def test_a_net_amount_that_adds_up_with_nothing_is_not_sure() -> None:
    assert "net" not in sure(weighed("invoice", SUMS.format(rows="Subtotal   100.00\nTotal   130.00 EUR")))


def test_amounts_may_stand_before_what_they_are() -> None:
    rows = "£5,286.40    before VAT\n£1,057.28    VAT (20%)\n£6,343.68    to pay"
    found = weighed("invoice", SUMS.format(rows=rows))
    assert [sure(found).get(name) for name in ("net", "tax", "total")] == ["5286.40", "1057.28", "6343.68"]


@pytest.mark.parametrize(
    "name",
    [
        "between Cindermark Systems, Inc.",
        "44400), RCS Nantes, ci-après dénommée « le Prestataire",
        "in der Rechtssache Holzbau GmbH",
        "w.g. mw. E. Dijkhuis",
        "/s/ Noor Haddad",
        "gez. Kruse",
        "This Agreement is governed by nobody Ltd",
    ],
)
def test_a_piece_of_a_sentence_and_a_signature_are_no_names(name: str) -> None:
    assert not is_plain(name)


@pytest.mark.parametrize(
    "name", ["O'Neill & Sons Ltd", "van der Berg B.V.", "Keller (Schweiz) AG", "3M Deutschland GmbH"]
)
def test_names_are_names(name: str) -> None:
    assert is_plain(name)


def test_parties_are_those_that_a_sentence_names_so_and_not_who_signs() -> None:
    text = """
ONDERHOUDSOVEREENKOMST

1. Vereniging De Weezenlanden, gevestigd te Zwolle, hierna te noemen "opdrachtgever";
2. Koelink Techniek B.V., gevestigd te Hattem, hierna te noemen "opdrachtnemer";

Artikel 4 Toepasselijk recht
Op deze overeenkomst is Nederlands recht van toepassing.

opdrachtgever                                opdrachtnemer
w.g. mw. E. Dijkhuis                         w.g. R. Koelink
"""
    found = weighed("contract", text)
    assert said(found, "first_party") == "Koelink Techniek B.V."
    assert said(found, "second_party") == "Vereniging De Weezenlanden"
    assert said(found, "governing_law") == "Nederlands recht"


def test_the_first_of_two_parties_does_not_begin_with_what_leads_to_it() -> None:
    text = """This Agreement (this "Agreement") is entered into as of January 15, 2026 (the "Effective Date") by and
between Cindermark Systems, Inc., a Delaware corporation ("Provider"), and Larkspur Health Partners LLC ("Customer")."""
    found = weighed("contract", text)
    assert said(found, "first_party") == "Cindermark Systems, Inc."


@pytest.mark.parametrize(
    ("sentence", "law"),
    [
        ("Le présent contrat est soumis au droit français. Tout litige relève du tribunal.", "droit français"),
        (
            "This Agreement is governed by the laws of the State of Delaware, without regard to them.",
            "State of Delaware",
        ),
        ("Oregon law applies.", "Oregon"),
        ("El contrato se regirá por la legislación española.", "legislación española"),
        ("Either party may end it with a notice of 30 days.", None),
        ("The law firm of Smith advises them.", None),
    ],
)
def test_a_law_is_what_a_sentence_says_to_govern(sentence: str, law: str | None) -> None:
    assert phrases.governing(sentence) == law


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("Visa - 4242", "Visa"),
        ("TARJETA VISA ****8830", "VISA"),
        ("card (Mastercard)", "Mastercard"),
        ("PIN", "PIN"),
        ("4471 0921", None),
        ("Visa or Mastercard", None),
    ],
)
def test_a_means_of_payment_has_no_digits(text: str, means: str | None) -> None:
    reading = read(Means(), text, Habits())
    assert (reading.value if reading else None) == means


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("VISA DEBIT            21.65", "VISA DEBIT"),
        ("Paid   £21.65   by card (Mastercard)", "Mastercard"),
        ("Réglé par carte Visa le 17/09/2025   21.65", "Visa"),
        ("Bezahlt mit TWINT", "TWINT"),
        ("Pagamento contante   0,00", None),
        ("Card number ****1234", None),
        ("We accept Visa and Mastercard", None),
    ],
)
def test_a_receipt_says_by_what_it_was_paid_on_the_card_s_line(line: str, means: str | None) -> None:
    assert phrases.means_paid(line, "21.65") == means


TABLE = """
Oak Ltd
Invoice no: 5
Invoice date: 2026-05-03

{rows}
"""


def test_a_sum_of_lines_is_no_line_whatever_it_is_called() -> None:
    rows = """
Item                               Quantity      Unit       Amount
Linen apron                               5     28.00      -140.00
Carriage refunded                         1     15.00       -15.00
Net credit                                                 -155.00
VAT 20%                                                     -31.00
Total credit                                              £-186.00"""
    found = weighed("invoice", TABLE.format(rows=rows))
    assert [line[0] for line in lines(found)] == ["Linen apron", "Carriage refunded"]
    assert are_sure(found)


def test_lines_that_add_up_to_nothing_that_is_printed_are_not_sure() -> None:
    rows = """
Descrizione della prestazione          Importo
Rilievo                                 800,00
Direzione lavori                      1.200,00

Compenso professionale                2.000,00
Contributo Cassa 5%                     100,00
Imponibile                            2.100,00
IVA 22%                                 462,00
Totale fattura                        2.562,00 EUR"""
    found = weighed("invoice", TABLE.format(rows=rows))
    assert [line[0] for line in lines(found)] == ["Rilievo", "Direzione lavori"]
    assert not are_sure(found)


def test_a_single_row_above_the_tax_may_be_the_net_amount() -> None:
    rows = "Abschlag              8.500,00 €\n19 % Mehrwertsteuer   1.615,00 €\nAbschlag brutto      10.115,00 €"
    assert not are_sure(weighed("invoice", TABLE.format(rows=rows)))


def test_what_was_paid_and_what_is_left_from_earlier_are_no_lines() -> None:
    rows = """
Your balance last time                      £112.40
Direct Debit received 20 January, thanks   -£112.40
Balance brought forward                       £0.00
Electricity, 612 kWh                        £149.94
Standing charge, 31 days                     £18.63
Subtotal                                    £168.57
VAT at 5%                                     £8.43
Total                                       £177.00"""
    assert [line[0] for line in lines(weighed("invoice", TABLE.format(rows=rows)))] == [
        "Electricity, 612 kWh",
        "Standing charge, 31 days",
    ]


def test_a_card_s_line_is_no_line_of_a_receipt() -> None:
    text = """
Hopalong
September 12, 2026
Total                         CA$23.84
Trip fare                     CA$19.10
Booking fee                    CA$2.00
Subtotal                      CA$21.10
HST (13%)                      CA$2.74
Mastercard ....0913           CA$23.84
"""
    found = weighed("receipt", text)
    assert lines(found) == [("Trip fare", "19.10"), ("Booking fee", "2.00")]
    assert (sure(found)["currency"], sure(found)["tax"]) == ("CAD", "2.74")


def test_what_is_counted_on_the_next_line_is_named_on_the_one_above() -> None:
    text = "Oak Ltd\nDate 2026-05-03\nMILK 2L       1.75\nOAT BISCUITS\n  2 @ 1.20    2.40\nTOTAL       £4.15\n"
    assert [line[:2] for line in lines(weighed("receipt", text))] == [("MILK 2L", "1.75"), ("OAT BISCUITS", "2.40")]


def test_the_column_of_words_needs_no_heading_that_is_known() -> None:
    rows = """
                                        Qty    Price (inc GST)    Total (inc GST)
Call-out fee                              1           $99.00             $99.00
Labour, replace mixer tap               2.5          $132.00            $330.00

TOTAL (inc GST)                                                 AUD     $429.00"""
    found = weighed("invoice", TABLE.format(rows=rows))
    assert [sorted(line) for line in lines(found)] == [
        sorted(("Call-out fee", "1", "99.00", "99.00")),
        sorted(("Labour, replace mixer tap", "2.5", "132.00", "330.00")),
    ]


LETTERHEAD = """
Harrow Joinery Ltd
Unit 7, Tannery Yard
London SE1 3XF
{sign}

INVOICE no: 5
Invoice date: 2026-05-03
Total: £5.00
{foot}
"""


@pytest.mark.parametrize(
    ("sign", "foot"),
    [
        ("VAT Reg No: GB 980 7806 84", ""),
        ("hello@harrowjoinery.co.uk", ""),
        ("", "Please pay Barclays 20-00-00, account name: Harrow Joinery Ltd"),
        ("", "Harrow Joinery Ltd, registered in England, company number 08841276"),
    ],
)
def test_the_letterhead_is_the_seller_where_a_second_sign_agrees(sign: str, foot: str) -> None:
    found = weighed("invoice", LETTERHEAD.format(sign=sign, foot=foot))
    assert sure(found).get("seller") == "Harrow Joinery Ltd"


@pytest.mark.parametrize(
    ("sign", "foot"),
    [
        ("", ""),
        ("Your VAT number: GB 980 7806 84", ""),
        ("VAT 20.00", ""),
        ("hello@harrowjoinery.co.uk", "Finch Holdings Ltd, registered in England, company number 08841276"),
    ],
)
def test_a_letterhead_alone_or_beside_another_firm_is_not_surely_the_seller(sign: str, foot: str) -> None:
    assert "seller" not in sure(weighed("invoice", LETTERHEAD.format(sign=sign, foot=foot)))


def test_the_name_above_an_address_is_asked_about_as_the_buyer() -> None:
    text = (
        "Oak GmbH\nAm Ring 3\n\nHerrn\nTorsten Wiegand\nLindenallee 14\n53173 Bonn\n\nRechnung Nr. 5\nSumme 5,00 EUR\n"
    )
    found = weighed("invoice", text)
    assert said(found, "buyer") == "Torsten Wiegand"
    assert "buyer" not in sure(found)


@pytest.mark.parametrize(
    ("around", "day"),
    [
        ("1900 Harwood Ave, Fort Worth, TX 76102   Total $5.00", date(2026, 6, 11)),
        ("14 Quay Street, Bristol BS1 4QA   Total £5.00", date(2026, 11, 6)),
        ("September 12, 2026 and 9/12/26   Total $5.00", date(2026, 6, 11)),
    ],
)
def test_an_address_or_a_date_in_words_says_what_stands_first_in_a_date(around: str, day: date) -> None:
    reading = read(Day(), "06/11/2026", habits_of(around))
    assert reading is not None
    assert (reading.value, reading.doubts) == (day, ())


def test_addresses_of_two_worlds_leave_a_date_unsure() -> None:
    reading = read(Day(), "06/11/2026", habits_of("Portland, OR 97211 $5.00\nBristol BS1 4QA"))
    assert reading is not None
    assert reading.doubts


@pytest.mark.parametrize(("printed", "code"), [("CA$23.84", "CAD"), ("A$1,760.00", "AUD"), ("US$5.00", "USD")])
def test_a_sign_of_dollars_says_whose_they_are(printed: str, code: str) -> None:
    reading = read(Currency(), printed, Habits())
    assert reading is not None
    assert (reading.value, reading.doubts) == (code, ())


def test_a_label_with_its_number_beside_it_is_no_title() -> None:
    text = """
                                  RECHNUNG                  Kunde         30118
                                  Beleg                     VR2507-0931
                                  vom                       14.05.2026
Kartoffeln      27,50
Rechnungsendbetrag     27,50 EUR
"""
    assert recognition(text).name == "invoice"


def test_a_customer_s_number_beside_the_label_of_the_buyer_is_followed_by_no_name() -> None:
    text = "Oak Ltd\nRECHNUNG     Kunde    30118\n             Beleg    VR-0931\nDatum 03.05.2026\nSumme 5,00 EUR\n"
    assert "buyer" not in sure(weighed("invoice", text))


@pytest.mark.parametrize(
    ("sentence", "name", "span"),
    [
        ("Es wird fest auf die Dauer von fünf Jahren geschlossen.", "term", "5 years"),
        ("It continues for three years.", "term", "3 years"),
        ("Es verlängert sich jeweils um ein Jahr.", "renewal", "1 year"),
        ("Zij wordt telkens stilzwijgend verlengd met 12 maanden.", "renewal", "12 months"),
        ("Il se renouvelle par périodes de douze mois.", "renewal", "12 months"),
        ("Each invoice is payable within forty-five (45) days of receipt.", "payment_days", "45 days"),
        ("Les factures sont payables à 30 jours.", "payment_days", "30 days"),
        ("Betaling vindt plaats binnen 21 dagen na factuurdatum.", "payment_days", "21 days"),
    ],
)
def test_contracts_say_how_long_in_many_ways(sentence: str, name: str, span: str) -> None:
    found = weighed("contract", f"AGREEMENT between Elm Ltd and Oak Ltd.\n\n1. {sentence}\n")
    assert said(found, name) == span


def test_what_rules_find_of_a_table_that_is_not_clear_is_told() -> None:
    found = rules.extract(find("invoice"), TABLE.format(rows="Bolts   20.00\nScrews   30.00\nTotal   70.00 EUR"))
    assert found.lines == ()
    assert found.of_lines == ("it has rows that may be lines, but what they add up to is not clear",)

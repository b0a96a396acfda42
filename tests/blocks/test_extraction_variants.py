"""Other papers than the cases of the prompt, for the same rules: what is found on each; the rest is not sure."""

from datetime import date

import pytest

from blocks.documents.sheet import from_text
from blocks.extraction import evidence, rules
from blocks.extraction.evidence import Extraction
from blocks.extraction.values import Habits, as_text, find, read
from prompts.document_intake.schemas import find as schema
from prompts.document_intake.schemas.kinds import Currency, VatId

OWN = "Dockwell"
# Kind, paper, what is sure, what its lines add up from.
PAPERS: list[tuple[str, str, dict[str, str], list[str]]] = [
    (
        "invoice",
        """
Zimmerei Kolbe GmbH
Am Sägewerk 2, 87700 Memmingen

Dockwell GmbH
Speicherhof 3
28217 Bremen

Memmingen, den 4. März 2026

Schlussrechnung Nr. 2026/88

Dachstuhl richten                     4.000,00
Gerüst                                  800,00
Summe exkl. MwSt.                     4.800,00
19 % MwSt.                              912,00
Summe inkl. MwSt.                     5.712,00 EUR
Zahlbar bis 18.03.2026
""",
        {
            "number": "2026/88",
            "date": "2026-03-04",
            "due_date": "2026-03-18",
            "buyer": "Dockwell GmbH",
            "currency": "EUR",
            "net": "4800.00",
            "tax": "912.00",
            "total": "5712.00",
        },
        ["4000.00", "800.00"],
    ),
    (
        "invoice",
        """
Atelier Verne SARL
FACTURE DE TRAVAUX N° 26-118
Lyon, le 5 mars 2026
Destinataire : Dockwell France SAS

Peinture des bureaux              1 200,00 €
Fournitures                         300,00 €
Montant HT                        1 500,00 €
T.V.A. 20 %                         300,00 €
Montant TTC                       1 800,00 €
Acompte versé                       500,00 €
Reste à payer                     1 300,00 €
""",
        {
            "number": "26-118",
            "date": "2026-03-05",
            "seller": "Atelier Verne SARL",
            "buyer": "Dockwell France SAS",
            "currency": "EUR",
            "net": "1500.00",
            "tax": "300.00",
            "total": "1800.00",
        },
        ["1200.00", "300.00"],
    ),
    (
        "invoice",
        """
Bouwbedrijf Smit B.V.

FACTUUR
Nummer: 2026-041
Datum: 06-03-2026
Aan:
Dockwell B.V.
Waalhaven 12

Omschrijving              Uren   Tarief    Bedrag
Timmerwerk                10     60,00     600,00
Materiaal                                  150,00
Subtotaal                                  750,00
21% btw                                    157,50
Totaal incl. btw                         € 907,50
""",
        {
            "number": "2026-041",
            "date": "2026-03-06",
            "seller": "Bouwbedrijf Smit B.V.",
            "buyer": "Dockwell B.V.",
            "currency": "EUR",
            "net": "750.00",
            "tax": "157.50",
            "total": "907.50",
        },
        ["600.00", "150.00"],
    ),
    (
        "invoice",
        """
Orchard IT Services
Invoice 8841                     9 March 2026
Dockwell Ltd

Laptop setup, 3 units     @ 80.00     240.00
Docking station                        90.00
Net                                   330.00
VAT @ 20%                              66.00
Gross                            GBP  396.00
Deposit paid 100.00
""",
        {
            "number": "8841",
            "date": "2026-03-09",
            "buyer": "Dockwell Ltd",
            "currency": "GBP",
            "net": "330.00",
            "tax": "66.00",
            "total": "396.00",
        },
        ["240.00", "90.00"],
    ),
    (
        "receipt",
        """
EISDIELE VENEZIA
Marktplatz 1, Kempten
04.03.2026 15:12
Bon 4471
2 Kugeln            3,60
Kaffee              2,80
SUMME  EUR          6,40
enth. MwSt 19%      1,02
Bar                10,00
Zurück              3,60
""",
        {"date": "2026-03-04", "currency": "EUR", "tax": "1.02", "total": "6.40"},
        ["3.60", "2.80"],
    ),
    (
        "receipt",
        """
Hôtel du Quai
Reçu n° 88-12
Date : 04/03/2026
Chambre 12         90,00
Petit déjeuner     12,00
Total TTC         102,00 EUR
dont TVA 10%        9,27
Carte bancaire
""",
        {"date": "2026-03-04", "number": "88-12", "currency": "EUR", "tax": "9.27", "total": "102.00"},
        ["90.00", "12.00"],
    ),
    (
        "contract",
        """
CONTRATO DE ARRENDAMIENTO
entre Naves Sur, S.L. (la "Arrendadora") y Dockwell Ltd (la "Arrendataria")
Primera. Fecha de inicio: 1 de abril de 2026
Segunda. Duración: 3 años
Tercera. Renta: 2.000,00 EUR al mes
Cuarta. Preaviso: 2 meses
Quinta. Ley aplicable: España
En Sevilla, a 4 de marzo de 2026
""",
        {
            "first_party": "Naves Sur, S.L.",
            "second_party": "Dockwell Ltd",
            "signed": "2026-03-04",
            "start": "2026-04-01",
            "term": "3 years",
            "notice": "2 months",
            "fee": "2000.00",
            "currency": "EUR",
            "governing_law": "España",
        },
        [],
    ),
    (
        "contract",
        """
DIENSTVERTRAG
Zwischen
1. Dockwell GmbH, Bremen (nachfolgend "Auftraggeber")
und
2. Reinigung Blitz GmbH, Bremen (nachfolgend "Auftragnehmer")
1. Beginn: 01.05.2026
2. Kündigungsfrist: 6 Wochen
3. Vergütung: 450,00 EUR monatlich
Bremen, 04.03.2026
""",
        {
            "first_party": "Reinigung Blitz GmbH",
            "second_party": "Dockwell GmbH",
            "signed": "2026-03-04",
            "start": "2026-05-01",
            "notice": "6 weeks",
            "fee": "450.00",
            "currency": "EUR",
        },
        [],
    ),
    (
        "invoice",
        """
Ferramenta Conti S.r.l.
P.IVA 12345670017
Fattura n. 55 del 02/03/2026
Spett.le Dockwell Ltd

Viti inox               40,00
Trapano                110,00
Imponibile             150,00
IVA 22%                 33,00
Totale                 183,00 EUR
Scadenza 01/04/2026
""",
        {
            "number": "55",
            "seller": "Ferramenta Conti S.r.l.",
            "date": "2026-03-02",
            "due_date": "2026-04-01",
            "seller_vat_id": "IT12345670017",
            "currency": "EUR",
            "net": "150.00",
            "tax": "33.00",
            "total": "183.00",
        },
        ["40.00", "110.00"],
    ),
    (
        "invoice",
        """
Lakeside Printing LLC
INVOICE
Invoice # 5520
Date: March 4, 2026
Ship to: Dockwell Inc. Warehouse
Bill to: Dockwell Inc.
Customer VAT: DE136695976

500  Flyers        0.20     100.00
Setup                        25.00
Shipping                     10.00
Total                      $135.00
""",
        {
            "number": "5520",
            "date": "2026-03-04",
            "seller": "Lakeside Printing LLC",
            "buyer": "Dockwell Inc.",
            "total": "135.00",
        },
        ["100.00", "25.00", "10.00"],
    ),
    (
        "invoice",
        """
Malerbetrieb Nuss
Rechnung 77 vom 04.03.2026
Ihre USt-IdNr.: DE136695976
Bei Zahlung bis 14.03.2026 2 % Skonto, sonst zahlbar bis 03.04.2026
Angebot Nr. 12 vom 01.02.2026
Gesamt netto       100,00
zzgl. 19 % USt      19,00
Gesamt brutto      119,00
bereits bezahlt     19,00
Noch zu zahlen     100,00 EUR
""",
        {
            "number": "77",
            "date": "2026-03-04",
            "due_date": "2026-04-03",
            "currency": "EUR",
            "net": "100.00",
            "tax": "19.00",
            "total": "119.00",
        },
        [],
    ),
    (
        "contract",
        """
MAINTENANCE AGREEMENT
Dated 4 March 2026
Between: Lift & Shift Ltd (Company no. 55120) and Dockwell Ltd
Services start on 1 May 2026 and run for two years.
Fee: EUR 1,200.00 per year, payable within 30 days.
Termination: three months' notice
Law: this agreement is governed by Irish law.
""",
        {
            "first_party": "Lift & Shift Ltd",
            "second_party": "Dockwell Ltd",
            "notice": "3 months",
            "fee": "1200.00",
            "currency": "EUR",
            "payment_days": "30 days",
            "governing_law": "Irish law",
        },
        [],
    ),
]


def weighed(kind: str, text: str, own: str = OWN) -> Extraction:
    sheet = from_text(text)
    values, lines = evidence.by_rules(rules.extract(schema(kind), sheet.text, own))
    return evidence.weigh(schema(kind), values, lines, sheet, today=date(2026, 4, 15), by_model=False, own=own)


@pytest.mark.parametrize(("kind", "text", "sure", "lines"), PAPERS)
def test_what_is_sure_of_a_paper_is_what_stands_on_it(
    kind: str, text: str, sure: dict[str, str], lines: list[str]
) -> None:
    found = weighed(kind, text)
    assert {name: as_text(one.value) for name, one in found.values.items() if one.confidence >= 0.8} == sure
    assert [as_text(line["amount"].value) for line in found.lines] == lines
    assert found.doubts == ()


BILL = """
Oak Ltd
INVOICE 77
Date: 3 May 2026

{lines}
Net                150.00
VAT                 30.00
Total          EUR 180.00
"""


def test_without_a_heading_lines_that_do_not_add_up_are_none() -> None:
    right = weighed("invoice", BILL.format(lines="Oak boards         100.00\nDelivery            50.00\n"))
    assert [as_text(line["amount"].value) for line in right.lines] == ["100.00", "50.00"]
    assert weighed("invoice", BILL.format(lines="Oak boards         100.00\nDelivery            55.00\n")).lines == ()


def test_an_earlier_balance_above_the_lines_is_none_of_them() -> None:
    lines = (
        "Last balance        20.00\nPaid, thank you    -20.00\nOak boards         100.00\nDelivery            50.00\n"
    )
    found = weighed("invoice", BILL.format(lines=lines))
    assert [as_text(line["amount"].value) for line in found.lines][-2:] == ["100.00", "50.00"]


def test_quantity_and_price_are_told_where_their_product_shows_them() -> None:
    lines = "4   Oak boards   @ 25.00     100.00\nDelivery                      50.00\n"
    first, second = weighed("invoice", BILL.format(lines=lines)).lines
    assert {name: as_text(one.value) for name, one in first.items()} == {
        "description": "Oak boards",
        "quantity": "4",
        "unit_price": "25.00",
        "amount": "100.00",
    }
    assert set(second) == {"description", "amount"}


@pytest.mark.parametrize(
    "said", ["excl. VAT", "exkl. MwSt.", "exkl. USt", "(excl. VAT)", "hors taxes", "HT", "excl. btw"]
)
def test_a_total_without_its_tax_is_no_total(said: str) -> None:
    for word in ("Total", "Summe", "Totaal"):
        found = weighed("invoice", f"Oak Ltd\nINVOICE 77\n{word} {said}      150.00\nAmount due   EUR 180.00\n")
        assert as_text(found.values["total"].value) == "180.00"
        assert as_text(found.values["net"].value) == "150.00"


@pytest.mark.parametrize("label", ["Your VAT number", "Ihre USt-IdNr.", "Customer VAT no", "Votre TVA"])
def test_the_buyers_vat_number_is_not_the_sellers(label: str) -> None:
    for between in (": ", "     "):
        found = weighed("invoice", f"Oak Ltd\nINVOICE 77\n{label}{between}DE136695976\nTotal EUR 5.00\n")
        assert "seller_vat_id" not in found.values


def test_a_vat_number_below_the_buyers_name_is_looked_at() -> None:
    found = weighed("invoice", "Oak Ltd\nINVOICE 77\nBill to: Elm GmbH\nAm Ring 3\nVAT DE136695976\nTotal EUR 5.00\n")
    assert found.values["seller_vat_id"].confidence < 0.8


def test_our_own_name_alone_on_a_line_is_whom_a_bill_is_for_and_never_sells_to_us() -> None:
    bill = "Elm Joinery\nINVOICE 77\n\nDockwell GmbH\nSpeicherhof 3\n\nTotal EUR 5.00\n"
    assert as_text(weighed("invoice", bill).values["buyer"].value) == "Dockwell GmbH"
    assert "buyer" not in weighed("invoice", bill, own="").values
    other = bill.replace("INVOICE 77\n", "INVOICE 77\nBill to: Elm GmbH\n")
    assert as_text(weighed("invoice", other).values["buyer"].value) == "Elm GmbH"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Euro pallet, heat treated", []),
        ("Pounds of flour", []),
        ("5 euros", ["EUR"]),
        ("all amounts in euro", ["EUR"]),
        ("Euro", ["EUR"]),
        ("Discount of Rs -40.00", ["INR"]),
        ("EUR pallet", ["EUR"]),
    ],
)
def test_the_name_of_a_currency_counts_beside_a_number(text: str, codes: list[str]) -> None:
    assert [spot.reading.value for spot in find(Currency(), text, Habits())] == codes


@pytest.mark.parametrize(
    ("text", "value"),
    [("B58378431", "ESB58378431"), ("12345670017", "IT12345670017"), ("12345670018", None), ("hello", None)],
)
def test_a_vat_number_without_its_country_is_told_by_its_check_digits(text: str, value: str | None) -> None:
    found = read(VatId(), text, Habits())
    assert (found and found.value) == value

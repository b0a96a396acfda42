"""Printed values to typed ones: in every notation that is claimed, and never a silent guess."""

import re
import time
from datetime import date, timedelta
from decimal import Decimal

import pytest
from babel.dates import format_date
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from blocks.extraction.values import (
    LANGUAGES,
    Habits,
    Reading,
    as_text,
    end_of_name,
    find,
    habits_of,
    read,
)
from prompts.document_intake.schemas.kinds import (
    Amount,
    Code,
    Count,
    Currency,
    Day,
    Iban,
    Party,
    Printed,
    Span,
    VatId,
    Words,
)

NONE = Habits()
MARKS = (Amount(), Count(), Code(), Day(), Currency(), VatId(), Iban(), Span(), Party(), Words())


def value(mark: Printed, text: str, habits: Habits = NONE) -> str | None:
    """The value, of which there is no doubt; None where there is none."""
    reading = read(mark, text, habits)
    assert reading is None or reading.doubts == ()
    return None if reading is None else as_text(reading.value)


def doubted(mark: Printed, text: str, habits: Habits = NONE) -> str:
    """The value, of which there is a doubt."""
    reading = read(mark, text, habits)
    assert reading is not None
    assert reading.doubts
    return as_text(reading.value)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1,234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1 234,56", "1234.56"),
        ("1\u00a0234,56 €", "1234.56"),
        ("1\u202f234,56", "1234.56"),
        ("1'234.50", "1234.50"),
        ("1’234.50", "1234.50"),
        ("12,34,567.00", "1234567.00"),
        ("1.234.567,89", "1234567.89"),
        ("1,234,567.89", "1234567.89"),
        ("1.000.000", "1000000"),
        ("1,00,000", "100000"),
        ("€ 12.50", "12.50"),
        ("12,50 €", "12.50"),
        ("12.50€", "12.50"),
        ("EUR 12,50", "12.50"),
        ("45,00 EUR", "45.00"),
        ("USD 1,000,000", "1000000"),
        ("US$ 5", "5"),
        ("Rs. 319.00", "319.00"),
        ("kr 100", "100"),
        ("100 zł", "100"),
        ("CHF 45.-", "45"),
        ("45,-", "45"),
        ("£12", "12"),
        ("$1,234", "1234"),
        ("0.005", "0.005"),
        ("0,99", "0.99"),
        ("45", "45"),
        ("(45.00)", "-45.00"),
        ("(€45.00)", "-45.00"),
        ("-45.00", "-45.00"),
        ("−45,00", "-45.00"),
        ("- 45.00", "-45.00"),
        ("45.00-", "-45.00"),
        ("-$5.00", "-5.00"),
        ("$-5.00", "-5.00"),
        ("Total:5.00", "5.00"),
        ("Total: €5.00", "5.00"),
    ],
)
def test_amounts(text: str, amount: str) -> None:
    assert value(Amount(), text) == amount


@pytest.mark.parametrize("text", ["20%", "19 %", "5,00 %", "12.03.2026", "12/03", "10:30", "free", "", " ", "12.50CR"])
def test_what_is_no_amount(text: str) -> None:
    assert value(Amount(), text) is None


@pytest.mark.parametrize(
    ("text", "likely"),
    [
        ("1,234", "1234"),
        ("1.234", "1234"),
        ("1.234 €", "1234"),
        ("1 234.56", "1234.56"),
        ("EUR 1 234.50", "1234.50"),
        ("10.00 20.00", "10.00"),
        ("3 x 5.00", "5.00"),
        ("12.50 CR", "12.50"),
    ],
)
def test_what_may_be_several_amounts_is_doubted(text: str, likely: str) -> None:
    assert doubted(Amount(), text) == likely


@pytest.mark.parametrize(
    ("document", "text", "amount"),
    [
        ("9.99 12.50 1.00", "1,234", "1234"),
        ("9,99 12,50 1,00", "1.234", "1234"),
        ("01.42.34.56.78 01.42.34.56.79 and 5,00", "1.234", "1234"),
    ],
)
def test_the_rest_of_the_document_tells_how_to_read_a_number(document: str, text: str, amount: str) -> None:
    assert value(Amount(), text, habits_of(document)) == amount


def test_a_number_that_is_not_marked_as_money_is_weak() -> None:
    weak = {text: getattr(read(Amount(), text, NONE), "weak", None) for text in ("45", "1.5", "45 €", "45.00")}
    assert weak == {"45": True, "1.5": True, "45 €": False, "45.00": False}


NOTATIONS = ("en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_BR", "de_CH", "en_IN")


@given(st.sampled_from(NOTATIONS), st.decimals(0, 9_999_999, places=2), st.sampled_from(["", "-"]))
def test_an_amount_with_cents_is_read_as_it_was_written(place: str, amount: Decimal, sign: str) -> None:
    written = f"{sign}{format_decimal(amount, '#,##,##0.00' if place == 'en_IN' else '#,##0.00', locale=place)}"
    assert Decimal(value(Amount(), written) or "0") == (-amount if sign else amount)
    assert Decimal(value(Amount(), f"{written} EUR") or "0") == (-amount if sign else amount)


@pytest.mark.parametrize(
    ("text", "count"),
    [("3", "3"), ("2,5", "2.5"), ("3 pcs", "3"), ("15 %", "15"), ("1,000.00", "1000.00"), ("-1", "-1"), ("2 x", "2")],
)
def test_counts(text: str, count: str) -> None:
    assert value(Count(), text) == count


@pytest.mark.parametrize("text", ["½", "1/2", "ten", "10h"])
def test_what_is_no_count(text: str) -> None:
    assert value(Count(), text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-31",
        "2026/03/31",
        "2026.03.31",
        "2026-03-31T10:00:00",
        "31.03.2026",
        "31.3.26",
        "31/3/2026",
        "3/31/2026",
        "31 - 03 - 2026",
        "31-Mar-2026",
        "31 March 2026",
        "31st of March 2026",
        "March 31, 2026",
        "March 31st, 2026",
        "Mar. 31 2026",
        "Tuesday, 31 March 2026",
        "31. März 2026",
        "31.März 2026",
        "31 MÄRZ 2026",
        "31 mars 2026",
        "31 de marzo de 2026",
        "31 marzo 2026",
        "31 maart 2026",
        "31 mrt. 2026",
        "31 de março de 2026",
        "31 Mar 26",
    ],
)
def test_dates(text: str) -> None:
    assert value(Day(), text) == "2026-03-31"


@pytest.mark.parametrize(
    "text", ["30.02.2026", "2026-13-01", "31.03.", "March 2026", "20260331", "1.2.3.4", "31 Foo 2026", "", "0/0/2026"]
)
def test_what_is_no_date(text: str) -> None:
    assert value(Day(), text) is None


@pytest.mark.parametrize(
    ("text", "likely"),
    [("3/4/2026", "2026-04-03"), ("03-04-2026", "2026-04-03"), ("26-03-31", "2031-03-26")],
)
def test_a_date_that_can_be_read_in_two_ways_is_doubted(text: str, likely: str) -> None:
    assert doubted(Day(), text) == likely


def test_two_dates_in_one_value_are_doubted() -> None:
    assert doubted(Day(), "1 May 2026 - 31 May 2026") == "2026-05-01"


@pytest.mark.parametrize(
    ("document", "day"),
    [
        ("due 25/12/2026", "2026-04-03"),
        ("due 12/25/2026", "2026-03-04"),
        ("on 25.12.2026", "2026-04-03"),
        ("in all 5,00", "2026-04-03"),
        ("call 01.42.34.56.78, due 25/12/2026", "2026-04-03"),
        ("sort code 12-31-45, due 25/12/2026", "2026-04-03"),
    ],
)
def test_the_rest_of_the_document_tells_which_is_the_month(document: str, day: str) -> None:
    assert value(Day(), "3/4/2026", habits_of(document)) == day


@pytest.mark.parametrize("document", ["", "5.00", "25/12/2026 12/25/2026", "sort code 12-31-45", "01.42.34.56.78"])
def test_where_nothing_tells_the_month_it_stays_in_doubt(document: str) -> None:
    assert doubted(Day(), "3/4/2026", habits_of(document))


@pytest.mark.parametrize("text", ["31/12/99", "31.12.1999"])
def test_old_years_of_two_digits(text: str) -> None:
    assert value(Day(), text) == "1999-12-31"


@given(st.sampled_from(LANGUAGES), st.sampled_from(["medium", "long"]), st.dates(date(1980, 1, 1), date(2079, 12, 31)))
def test_a_date_is_read_as_it_was_written(language: str, style: str, day: date) -> None:
    written = format_date(day, style, locale=language)
    reading = read(Day(), written, Habits(day_first=True))
    assert reading is not None
    assert (reading.value, reading.doubts) == (day, ())


@given(
    st.dates(date(1980, 1, 1), date(2079, 12, 31)), st.sampled_from(["%d.%m.%Y", "%d/%m/%Y", "%Y-%m-%d", "%d.%m.%y"])
)
def test_a_date_in_numbers_is_read_as_it_was_written(day: date, style: str) -> None:
    assert value(Day(), day.strftime(style), Habits(day_first=True)) == day.isoformat()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("INV-2024/001", "INV-2024/001"),
        ("#123", "123"),
        ("Nr. 45-B", "45-B"),
        ("RE2024-1, of today", "RE2024-1"),
        ("F-2024.17.", "F-2024.17"),
        ("№ 5", "5"),
        ("2026 0017", "2026 0017"),
        ("RG 2024 17", "RG 2024 17"),
        ("BLR_WFLD2015", "BLR_WFLD2015"),
    ],
)
def test_codes(text: str, code: str) -> None:
    assert value(Code(), text) == code


@pytest.mark.parametrize("text", ["A", "ABC", "none", "#", "-"])
def test_what_is_no_code(text: str) -> None:
    assert value(Code(), text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("DE 232 446 240", "DE232446240"),
        ("DE136695976", "DE136695976"),
        ("ATU13585627", "ATU13585627"),
        ("FR 60 421 938 861", "FR60421938861"),
        ("GB 980 7806 84", "GB980780684"),
        ("IT 12345670017", "IT12345670017"),
        ("NL004495445B01", "NL004495445B01"),
        ("ESB58378431", "ESB58378431"),
        ("BE 0403.019.261", "BE0403019261"),
        ("CHE-116.281.710 MWST", "CHE116281710"),
        ("IE6388047V", "IE6388047V"),
        ("DE 811 569 869 Steuernummer 5", "DE811569869"),
    ],
)
def test_vat_numbers(text: str, number: str) -> None:
    assert value(VatId(), text) == number


@pytest.mark.parametrize("text", ["DE136695977", "ATU12345678", "GB 980 7806 85"])
def test_a_vat_number_with_a_wrong_check_digit_is_doubted(text: str) -> None:
    assert doubted(VatId(), text) == text.replace(" ", "")


@pytest.mark.parametrize("text", ["12345", "143/555/12345", "DE", "invoice 2026", "BE71 0961 2345 6769"])
def test_what_is_no_vat_number(text: str) -> None:
    assert value(VatId(), text) is None


@given(st.integers(0, 10**18 - 1))
def test_an_account_is_never_taken_for_a_vat_number(number: int) -> None:
    from stdnum import iban

    bare = f"{number:018}"
    account = f"DE{iban.calc_check_digits(f'DE00{bare}')}{bare}"
    grouped = " ".join(re.findall(".{1,4}", account))
    assert iban.is_valid(account)
    for said in (account, grouped):
        assert value(Iban(), said) == account
        assert [spot for spot in find(VatId(), said, NONE) if not spot.reading.doubts] == []


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("DE75512108001245126199", "DE75512108001245126199"),
        ("IBAN: CH93 0076 2011 6238 5295 7", "CH9300762011623852957"),
        ("GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432"),
        ("NL91 ABNA 0417 1643 00 BIC ABNANL2A", "NL91ABNA0417164300"),
        ("FR14 2004 1010 0505 0001 3M02 606", "FR1420041010050500013M02606"),
    ],
)
def test_accounts(text: str, account: str) -> None:
    assert value(Iban(), text) == account


def test_an_account_with_wrong_check_digits_is_doubted() -> None:
    assert doubted(Iban(), "DE75 5121 0800 1245 1261 98") == "DE75512108001245126198"
    assert value(Iban(), "US1234567890") is None


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("3 months", "3 months"),
        ("three (3) months", "3 months"),
        ("thirty (30) days", "30 days"),
        ("30 days' notice", "30 days"),
        ("90 calendar days", "90 days"),
        ("12-month", "12 months"),
        ("twenty-four months", "24 months"),
        ("forty-five days", "45 days"),
        ("one year", "1 year"),
        ("14 Tage", "14 days"),
        ("drei Monate", "3 months"),
        ("vierundzwanzig Monate", "24 months"),
        ("einem Jahr", "1 year"),
        ("zwei Wochen", "2 weeks"),
        ("trois mois", "3 months"),
        ("un an", "1 year"),
        ("45 jours fin de mois", "45 days"),
        ("dos años", "2 years"),
        ("30 días", "30 days"),
        ("tre mesi", "3 months"),
        ("30 giorni", "30 days"),
        ("3 maanden", "3 months"),
        ("één jaar", "1 year"),
        ("30 dias", "30 days"),
    ],
)
def test_lengths_of_time(text: str, span: str) -> None:
    assert value(Span(), text) == span


@pytest.mark.parametrize("text", ["month", "a period", "5", "see § 5", "someone yearns"])
def test_what_is_no_length_of_time(text: str) -> None:
    assert value(Span(), text) is None


def test_two_lengths_of_time_are_doubted() -> None:
    assert doubted(Span(), "30 days or 60 days") == "30 days"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EUR", "EUR"),
        ("€", "EUR"),
        ("euros", "EUR"),
        ("US$", "USD"),
        ("US dollars", "USD"),
        ("C$", "CAD"),
        ("£", "GBP"),
        ("SFr", "CHF"),
        ("Swiss francs", "CHF"),
        ("Rs.", "INR"),
        ("₹", "INR"),
        ("¥", "JPY"),
        ("R$", "BRL"),
        ("zł", "PLN"),
        ("12.50 DKK", "DKK"),
    ],
)
def test_currencies(text: str, code: str) -> None:
    assert value(Currency(), text) == code


@pytest.mark.parametrize("text", ["kr", "dollars", "money", "EURO-Palette"[4:], "12.50"])
def test_what_is_no_one_currency(text: str) -> None:
    assert value(Currency(), text) is None


def test_a_dollar_is_doubted_unless_it_is_named() -> None:
    assert doubted(Currency(), "$5") == "USD"
    assert value(Currency(), "$5", habits_of("all amounts in CAD")) == "CAD"
    assert value(Currency(), "$5", habits_of("All amounts in U.S. dollars")) == "USD"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dockwell Ltd", "Dockwell Ltd"),
        ("Dockwell Ltd, 1 Quay Street, London", "Dockwell Ltd"),
        ("ACME GmbH & Co. KG, Musterstr. 5", "ACME GmbH & Co. KG"),
        ("Müller AG - Hauptstr. 5", "Müller AG"),
        ("Dockwell Limited and others", "Dockwell Limited"),
        ("The Boat Company Ltd.", "The Boat Company Ltd."),
        ("S.A. Dupont", "S.A. Dupont"),
        ("Société Générale S.A.", "Société Générale S.A."),
        ("3M Company", "3M Company"),
        ("Attn: Jane Doe", "Jane Doe"),
        ("Firma Meier", "Meier"),
        ("Anna-Maria O'Neil", "Anna-Maria O'Neil"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert value(Party(), text) == name


@pytest.mark.parametrize("text", ["12345", "a@b.example", "GmbH", "Company", "Total 45.00", "-", "A", "x" * 200])
def test_what_is_no_name(text: str) -> None:
    assert value(Party(), text) is None


def test_where_a_name_ends() -> None:
    assert end_of_name("Dockwell Ltd and Oak Ltd") == len("Dockwell Ltd")
    assert end_of_name("Jane Doe") == 0


def test_words_are_kept_as_they_are() -> None:
    assert value(Words(), "  England and\nWales. ") == "England and Wales"
    assert value(Words(), " ") is None


def test_values_as_a_person_types_them() -> None:
    assert as_text(None) == ""
    assert as_text(Decimal("1E+3")) == "1000"
    assert as_text(date(2026, 3, 1)) == "2026-03-01"
    assert as_text("x") == "x"


PIECES = st.sampled_from(
    [
        "1",
        "12",
        ".",
        ",",
        "'",
        " ",
        "-",
        "(",
        ")",
        "€",
        "$",
        "EUR",
        "DE",
        "GB",
        "three",
        "months",
        "März",
        "31",
        "2026",
        "/",
        "%",
    ]
)


@given(
    st.one_of(
        st.text(max_size=400), st.lists(PIECES, max_size=40).map("".join), st.lists(PIECES, max_size=40).map(" ".join)
    )
)
def test_no_text_is_too_much(text: str) -> None:
    habits = habits_of(text)
    for mark in MARKS:
        reading = read(mark, text, habits)
        assert reading is None or (isinstance(reading, Reading) and as_text(reading.value))
        for spot in find(mark, text, habits):
            assert 0 <= spot.start < spot.end <= len(text)


@given(st.dates(date(2000, 1, 1), date(2060, 1, 1)), st.integers(1, 400))
def test_what_is_said_twice_is_read_once(day: date, days: int) -> None:
    later = day + timedelta(days)
    assert value(Day(), f"{day} {day}") == day.isoformat()
    assert doubted(Day(), f"{day} {later}") == day.isoformat()


@pytest.mark.parametrize(
    "text",
    [
        "123 " * 30_000,
        "1,23," * 30_000,
        "1.234." * 30_000,
        "1" * 200_000,
        "a" * 200_000,
        "one-" * 30_000,
        "one" + "-" * 100_000,
        "DE12345678901 " * 10_000,
        "DE75512108001245126198 " * 10_000,
        "1 de de de " * 15_000,
        "GmbH " * 30_000,
        "(" * 100_000,
    ],
)
def test_values_are_found_in_linear_time(text: str) -> None:
    began = time.process_time()
    habits = habits_of(text)
    for mark in MARKS:
        for _ in find(mark, text, habits):
            pass
        read(mark, text, habits)
    assert time.process_time() - began < 60

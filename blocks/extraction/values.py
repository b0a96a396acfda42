"""Values as they are printed, to values as a row holds them: amounts, dates, numbers, names, in seven languages.

What can be read in two ways is read in the way that the rest of the document is written in; where nothing tells, in the
likelier one, with the doubt beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache

from blocks.extraction import origin, phrases
from prompts.document_intake.schemas.kinds import (
    Amount,
    Code,
    Count,
    Currency,
    Day,
    Iban,
    Law,
    Means,
    Party,
    Printed,
    Span,
    VatId,
    Words,
)

Value = str | date | Decimal

LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt")
"""Whose names of months are known."""
MOST_LETTERS = 300
"""Of one value."""

_SIGNS = {"€": "EUR", "£": "GBP", "₹": "INR", "¥": "JPY", "₺": "TRY", "₩": "KRW", "₪": "ILS", "฿": "THB", "$": "USD"}
_NAMES = {
    "euro": "EUR", "euros": "EUR", "us dollars": "USD", "us dollar": "USD", "us$": "USD", "ca$": "CAD", "c$": "CAD",
    "a$": "AUD", "au$": "AUD", "hk$": "HKD", "s$": "SGD", "nz$": "NZD", "rs": "INR", "rs.": "INR", "inr": "INR",
    "rupees": "INR", "pounds sterling": "GBP", "pound sterling": "GBP", "sterling": "GBP", "sfr": "CHF", "fr.": "CHF",
    "franken": "CHF", "swiss francs": "CHF", "canadian dollars": "CAD", "australian dollars": "AUD",
    "zł": "PLN", "r$": "BRL",
}  # fmt: skip
_COMMON = (
    "EUR", "USD", "GBP", "CHF", "INR", "JPY", "CNY", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF",
    "RON", "BGN", "TRY", "ZAR", "BRL", "MXN", "SGD", "HKD", "AED", "ILS",
)  # fmt: skip


def _any_of(words: Iterable[str]) -> str:
    """A pattern for any of these, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_BESIDE_AMOUNTS = ("us$", "ca$", "c$", "a$", "au$", "hk$", "s$", "nz$", "r$", "rs", "rs.", "sfr", "fr.", "kr", "zł")
_SIGN = _any_of([*_SIGNS, *_BESIDE_AMOUNTS])
_MONEY = rf"(?:(?i:{_SIGN})|\b(?:{'|'.join(_COMMON)})\b)"
# `1 278.61` is a quantity and a price: spaces part the thousands only where a comma parts the decimals.
_DIGITS = (
    r"(?:\d{1,3}(?: \d{3}){1,5}(?=,\d)|\d{1,3}(?:(?P<sep>[.,'’\u00a0\u202f])\d{3})(?:(?P=sep)\d{3}){0,5}"
    r"|\d{1,2}(?:,\d{2}){1,5},\d{3}|\d{1,30})(?:[.,]\d{1,4})?"
)
_AMOUNT = re.compile(
    rf"(?<![\w.,/#-])(?<!\d:)(?P<before>{_MONEY})?\s?(?P<open>\()?(?P<minus>[-−–])?\s?(?P<inner>{_MONEY})?\s?(?P<number>{_DIGITS})"
    rf"(?P<after_minus>[-−](?!\w))?\)?\s?(?P<after>{_MONEY}|€)?(?![\w/:]|[.,-]\d|\s?%)"
)
# In a text this is a quantity and a price; where it stands alone it most likely is one number.
_SPACED = re.compile(r"[^\d,.]{0,5}\d{1,3}(?: \d{3}){1,5}(?:\.\d{1,2})?[^\d,.]{0,5}")
_CREDIT = re.compile(r"\s?(?:CR|DR)\b")
_TWO_NUMBERS = re.compile(r"(?<![\w/.-])(\d{1,2})\s?([-./])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})(?![\w/]|[-.]\d)")
_COUNT = re.compile(rf"(?<![\w.,/])(?P<minus>[-−])?(?P<number>{_DIGITS})\s?(?P<per>%)?(?![\w/:]|[.,]\d)")
_CODE = re.compile(
    r"(?:#|nr\.?|no\.?|n°|№)?\s*(?P<code>(?=[^\s]{0,39}\d)[A-Za-z0-9ÄÖÜ#][\w./#+–-]{0,39})", re.IGNORECASE
)
_MORE_OF_A_CODE = re.compile(r"(?: \d{1,6}){1,4}(?=$|\s?[,;|(])")
"""`2026 0017` is one number where nothing comes after it."""
_PARTS_OF_A_CODE = re.compile(r"(?:[A-Z]{1,5} )?(?=\S*\d)[\w/-]{1,30}(?: (?=\S*\d)[\w/-]{1,30}){1,4}")
_DATE = re.compile(
    r"(?<![\w/.-])(?:"
    r"(?P<y>\d{4})[-./](?P<ym>\d{1,2})[-./](?P<yd>\d{1,2})"
    r"|(?P<a>\d{1,2})(?P<sep>\s?[-./]\s?)(?P<b>\d{1,2})(?P=sep)(?P<c>\d{4}|\d{2})"
    r"|(?P<d>\d{1,2})(?:st|nd|rd|th|er|\.|º)?\s?(?:de |of )?[-\s]?(?P<dm>[^\W\d_]{3,10})"
    r"\.?,?[-\s]?\s?(?:de |del )?(?P<dy>\d{4}|\d{2})"
    r"|(?P<m>[^\W\d_]{3,10})\.?\s(?P<md>\d{1,2})(?:st|nd|rd|th)?\s?,?\s(?P<my>\d{4})"
    r")(?!(?!T\d)\w|/|-\d|\.\d)"
)
_VAT = re.compile(
    r"(?<![A-Za-z0-9])(?P<country>AT|BE|BG|HR|CY|CZ|DK|EE|FI|FR|DE|EL|HU|IE|IT|LV|LT|LU|MT|NL|PL|PT|RO|SK|SI|ES|SE|GB|XI|CHE)"
    r"[ .-]?(?P<rest>(?=(?:[A-Z*+]?[ .-]?){0,3}\d)[0-9A-Z*+](?:[ .-]?[0-9A-Z*+]){5,13})"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:\s?[A-Z0-9]){11,30}")
_UNITS = {
    word: unit
    for unit, words in {
        "day": "day days tag tage tagen jour jours día días dia dias giorno giorni dag dagen",
        "week": "week weeks woche wochen semaine semaines semana semanas settimana settimane weken",
        "month": "month months monat monate monaten monats mois mes meses mese mesi maand maanden mês",
        "year": "year years jahr jahre jahren jahres an ans année années año años anno anni jaar ano anos",
    }.items()
    for word in words.split()
}
_TO_TWELVE = (
    "one a an ein eine einen einem einer un une uno una een één um uma", "two zwei deux dos due twee dois duas",
    "three drei trois tres tre drie três", "four vier quatre cuatro quattro quatro", "five fünf cinq cinco cinque vijf",
    "six sechs seis sei zes", "seven sieben sept siete sette zeven sete", "eight acht huit ocho otto oito",
    "nine neun neuf nueve nove negen", "ten zehn dix diez dieci tien dez", "eleven elf onze once undici",
    "twelve zwölf douze doce dodici twaalf doze",
)  # fmt: skip
_TENS = {
    20: ("twenty", "zwanzig"), 30: ("thirty", "dreißig"), 40: ("forty", "vierzig"), 50: ("fifty", "fünfzig"),
    60: ("sixty", "sechzig"), 70: ("seventy", "siebzig"), 80: ("eighty", "achtzig"), 90: ("ninety", "neunzig"),
}  # fmt: skip
_OTHER_NUMBERS = {
    14: "fourteen vierzehn quatorze catorce quattordici veertien",
    15: "fifteen fünfzehn quinze quince quindici vijftien",
    18: "eighteen achtzehn dix-huit dieciocho diciotto achttien",
    24: "vingt-quatre veinticuatro ventiquattro",
    30: "trente treinta trenta dertig trinta",
    36: "trente-six",
    45: "quarante-cinq",
    60: "soixante sesenta sessanta zestig",
    90: "quatre-vingt-dix noventa novanta negentig",
}


def _number_words() -> dict[str, int]:
    """What is written out in contracts: to twelve in all languages, further in English and German."""
    found = {word: number for number, words in enumerate(_TO_TWELVE, start=1) for word in words.split()}
    for ten, (english, german) in _TENS.items():
        found |= {english: ten, german: ten}
        for unit, words in enumerate(_TO_TWELVE[:9], start=1):
            found[f"{english}-{words.split()[0]}"] = ten + unit
            found[f"{'ein' if unit == 1 else words.split()[1]}und{german}"] = ten + unit
    return found | {word: number for number, words in _OTHER_NUMBERS.items() for word in words.split()}


_NUMBERS = _number_words()
_SPAN = re.compile(
    rf"(?<!\w)(?:(?P<word>{_any_of(_NUMBERS)})\s*(?:\((?P<in>\d{{1,4}})\))?|(?P<number>\d{{1,4}}))"
    rf"[\s-]{{0,3}}(?:calendar |business |working |kalender|full |volle[nr]? )?(?P<unit>{_any_of(_UNITS)})(?!\w)",
    re.IGNORECASE,
)
LEGAL_FORM = re.compile(
    r"(?<!\w)(?:GmbH(?: & Co\.? KG(?:aA)?)?|gGmbH|GesmbH|AG|KGaA|KG|OHG|UG|GbR|PartG(?: ?mbB)?|e\.K\.|e\.V\.|SE"
    r"|Inc\.?|LLC|L\.L\.C\.|LLP|Corp\.?|Corporation|Company|Co\."
    r"|Ltd\.?|Limited|PLC|plc|DAC|SAS|SARL|S\.A\.R\.L\.|SA|S\.A\.|EURL|SCI|SRL|S\.r\.l\.|S\.p\.A\.|SpA|S\.L\.|SL|BV|B\.V\.|NV|N\.V\."
    r"|ApS|A/S|AB|Oy|AS|Pvt\.? Ltd\.?|\(?Pty\)?\.? Ltd\.?|Lda|S\.L\.U\.|SNC|S\.n\.c\.|V\.?O\.?F\.|BVBA"
    r"|s\.r\.o\.|a\.s\.|d\.o\.o\."
    r"|Sp\. z o\.o\.|Kft\.?)(?!\w|[-/]\d)"
)


_CURRENCY = re.compile(
    rf"\b(?:{'|'.join(_COMMON)})\b|(?i:(?<!\w)(?:{_any_of(_NAMES)})(?:(?<=\$)|(?!\w)))|[{''.join(_SIGNS)}]",
)


@dataclass(frozen=True)
class Reading:
    """A printed value as a row holds it."""

    value: Value
    doubts: tuple[str, ...] = ()
    """Why it may be wrong, for people."""
    weak: bool = False
    """Whether it is only taken for such a value because of where it stands: `45` may be an amount of money."""


@dataclass(frozen=True)
class Spot:
    """A value in a text."""

    start: int
    end: int
    reading: Reading


@dataclass(frozen=True)
class Habits:
    """How a document writes what can be read in two ways, told by what in it can be read in one way only."""

    decimal: str | None = None
    """The decimal sign, `.` or `,`."""
    day_first: bool | None = None
    """Whether 3/4 is the third of April."""
    dollars: str | None = None
    """The currency that `$` stands for, where it is named."""


def habits_of(text: str) -> Habits:
    """What a whole document shows of its habits."""
    points = len(re.findall(r"(?<![\d.])\d{1,9}\.\d{2}(?![\d.,])", text))
    commas = len(re.findall(r"(?<![\d,])\d{1,9},\d{2}(?![\d.,])", text))
    decimal = None if points == commas else "." if points > commas else ","
    first, second = _told_by_words(text)
    for a, sep, b, year in _TWO_NUMBERS.findall(text):
        # Bank sort codes look like dates whose year has two digits.
        if max(int(a), int(b)) <= 31 and min(int(a), int(b)) <= 12 and (len(year) == 4 or sep != "-"):
            first = first or int(a) > 12 or (sep == "." and int(b) <= 12)
            second = second or int(b) > 12
    day_first = None if first == second else first
    if not first and not second:
        american = origin.month_first(text)
        # Nobody who writes commas puts the month first.
        day_first = True if decimal == "," else None if american is None else not american
    named = next((m[0].upper() for m in re.finditer(r"\b(?:USD|CAD|AUD|HKD|SGD|NZD)\b", text)), None)
    if named is None and re.search(r"\bU\.?S\.? dollars?\b", text, re.IGNORECASE):
        named = "USD"
    named = named or origin.dollars(text)
    return Habits(decimal, day_first, named)


def _told_by_words(text: str) -> tuple[bool, bool]:
    """Whether a date in words, or with its year first, is the same as one in numbers with its day, or month, first."""
    plain = {spot.reading.value for spot in _days(text, Habits()) if not spot.reading.doubts}
    first = second = False
    for a, sep, b, year in _TWO_NUMBERS.findall(text) if plain else ():
        if sep != "." and int(a) != int(b) and max(int(a), int(b)) <= 12:
            first = first or _date_of(_year(year), int(b), int(a)) in plain
            second = second or _date_of(_year(year), int(a), int(b)) in plain
    return first and not second, second and not first


def _date_of(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def find(mark: Printed, text: str, habits: Habits) -> Iterator[Spot]:
    """The values of a kind in a text, from left to right. What may be words of any kind is found by `read` alone."""
    kind = next(each for each in type(mark).__mro__ if each in _FINDERS)
    return _FINDERS[kind](text, habits)


def read(mark: Printed, text: str, habits: Habits) -> Reading | None:
    """A value that stands alone, as it is printed; None when it is no such value."""
    text = " ".join(text.split())[:MOST_LETTERS]
    if not text:
        return None
    if isinstance(mark, Party):
        return _party(text)
    if isinstance(mark, Law | Means):
        said = phrases.law(text) if isinstance(mark, Law) else phrases.means(text)
        return Reading(said) if said else None
    if isinstance(mark, Words):
        return Reading(text.strip(" .:;"))
    if isinstance(mark, Amount | Count) and _SPACED.fullmatch(text):
        joined = read(mark, re.sub(r"(?<=\d) (?=\d)", "", text), habits)
        return joined and replace(joined, doubts=(*joined.doubts, f"“{text}” may be more than one number"))
    if isinstance(mark, Code) and _PARTS_OF_A_CODE.fullmatch(text):
        return Reading(text)
    found = list(find(mark, text, habits))
    if not found and isinstance(mark, VatId):
        return _bare_vat_id(text)
    if not found:
        return None
    values = {spot.reading.value for spot in found}
    first = next((spot.reading for spot in found if not spot.reading.weak), found[0].reading)
    if len(values) > 1 and not isinstance(mark, Code | Currency | VatId):
        return Reading(first.value, (*first.doubts, f"“{text}” holds {len(values)} such values"))
    return first


def as_text(value: Value | None) -> str:
    """As a person reads and types it: 1234.50, 2026-03-31."""
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value


def _amounts(text: str, habits: Habits) -> Iterator[Spot]:
    for match in _AMOUNT.finditer(text):
        # Where amounts are written so, a comma parts thousands.
        points = habits.decimal is None and (match["before"] or match["inner"] or "") in {"$", "£", "₹", "¥"}
        number, doubts = _number(match["number"], replace(habits, decimal=".") if points else habits)
        if _CREDIT.match(text, match.end()):
            doubts = (*doubts, "it is marked as a credit or a debit")
        negative = match["minus"] or match["after_minus"] or (match["open"] and ")" in match[0])
        weak = not (match["before"] or match["inner"] or match["after"] or re.search(r"[.,]\d{2}$", match["number"]))
        yield Spot(match.start(), match.end(), Reading(-number if negative else number, doubts, weak))


def _counts(text: str, habits: Habits) -> Iterator[Spot]:
    for match in _COUNT.finditer(text):
        number, doubts = _number(match["number"], habits)
        yield Spot(match.start(), match.end(), Reading(-number if match["minus"] else number, doubts))


def _number(text: str, habits: Habits) -> tuple[Decimal, tuple[str, ...]]:
    """What `1.234,56` is. Only one sign before three digits can be either: thousands, if nothing else tells."""
    signs = [char for char in text if not char.isdigit()]
    last = signs[-1] if signs else ""
    if text.startswith("0") and len(signs) == 1 and last in ".,":
        return Decimal(text.replace(",", ".")), ()
    decimals = len(text) - text.rfind(last) - 1 if last else 0
    doubts: tuple[str, ...] = ()
    if not signs:
        whole, part = text, ""
    elif last in ".," and decimals != 3 and signs.count(last) == 1:
        whole, part = text[: text.rfind(last)], text[text.rfind(last) + 1 :]
    elif last in ".," and decimals == 3 and len(signs) == 1 and habits.decimal != ("," if last == "." else "."):
        if habits.decimal == last:
            whole, part = text[: text.rfind(last)], text[text.rfind(last) + 1 :]
        else:
            whole, part = text, ""
        doubts = (f"“{text}” may be thousands or decimals",)
    else:
        whole, part = text, ""
    digits = re.sub(r"\D", "", whole)
    return Decimal(f"{digits}.{part}" if part else digits), doubts


def _codes(text: str, habits: Habits) -> Iterator[Spot]:  # noqa: ARG001
    for match in _CODE.finditer(text):
        more = _MORE_OF_A_CODE.match(text, match.end("code"))
        end = more.end() if more else match.end("code")
        code = text[match.start("code") : end].strip("#.-/–")
        if code and any(map(str.isdigit, code)):
            yield Spot(match.start("code"), end, Reading(code))


def _days(text: str, habits: Habits) -> Iterator[Spot]:
    for match in _DATE.finditer(text):
        reading = _day(match, habits)
        if reading:
            yield Spot(match.start(), match.end(), reading)


def _day(match: re.Match[str], habits: Habits) -> Reading | None:
    doubts: tuple[str, ...] = ()
    if match["y"]:
        year, month, day = int(match["y"]), int(match["ym"]), int(match["yd"])
    elif match["a"]:
        first, second, year = int(match["a"]), int(match["b"]), _year(match["c"])
        day, month = first, second
        if second > 12 or (first <= 12 and habits.day_first is False and "." not in match["sep"]):
            day, month = second, first
        elif first <= 12 and first != second and habits.day_first is None and "." not in match["sep"]:
            doubts = (f"“{match[0]}” may be day or month first",)
        elif match["sep"] == "-" and len(match["c"]) == 2 and int(match["c"]) <= 31:
            doubts = (f"“{match[0]}” may be year first",)
    else:
        name = (match["dm"] or match["m"]).casefold()
        found = _months().get(name)
        if found is None:
            return None
        month, day = found, int(match["d"] or match["md"])
        year = _year(match["dy"] or match["my"])
    try:
        return Reading(date(year, month, day), doubts)
    except ValueError:
        return None


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else int(text) + (2000 if int(text) < 80 else 1900)


@cache
def _months() -> dict[str, int]:
    """The number of each month by its names, whole and short."""
    from babel.dates import get_month_names

    return {
        str(name).casefold().rstrip("."): number
        for language in LANGUAGES
        for width in ("wide", "abbreviated")
        for number, name in get_month_names(width, "format", language).items()
    } | {"sept": 9, "mär": 3}


@cache
def weekdays() -> frozenset[str]:
    """The names of the days of the week, whole and short."""
    from babel.dates import get_day_names

    return frozenset(
        str(name).casefold().rstrip(".")
        for language in LANGUAGES
        for width in ("wide", "abbreviated")
        for name in get_day_names(width, "format", language).values()
    )


def _currencies(text: str, habits: Habits) -> Iterator[Spot]:
    for match in _CURRENCY.finditer(text):
        said = match[0]
        if said.isalpha() and said not in _COMMON and not _is_money(text, match):
            continue  # `Euro pallet`
        code = said if said in _COMMON else _NAMES.get(said.casefold()) or _SIGNS.get(said, "")
        if said == "$":
            yield Spot(match.start(), match.end(), _dollar(habits))
        elif code:
            yield Spot(match.start(), match.end(), Reading(code))


def _is_money(text: str, match: re.Match[str]) -> bool:
    """Whether a currency's name stands beside a number, by itself, or says what the amounts are in."""
    before, after = text[max(match.start() - 12, 0) : match.start()], text[match.end() : match.end() + 4]
    return (
        bool(re.search(r"(?:\d[\d.,]*|(?<!\w)(?:in|en|montants?|amounts?|beträge))[\s:(]*$", before, re.IGNORECASE))
        or bool(re.match(r"\.?\s?[-−(]?\d", after))
        or (not text[: match.start()].strip(" :()") and not text[match.end() :].strip(" .:()"))
    )


def _dollar(habits: Habits) -> Reading:
    if habits.dollars:
        return Reading(habits.dollars)
    return Reading("USD", ("“$” is the sign of several currencies",))


def _vat_ids(text: str, habits: Habits) -> Iterator[Spot]:
    from stdnum.ch import uid
    from stdnum.eu import vat
    from stdnum.gb import vat as gb_vat

    yield from _national(text)
    accounts = [(spot.start, spot.end) for spot in _ibans(text, habits) if not spot.reading.doubts]
    for match in _VAT.finditer(text):
        if any(start <= match.start() < end for start, end in accounts):
            continue
        for length in range(len(match["rest"]), 5, -1):
            if match["rest"][length - 1 : length + 1].isalnum() and length < len(match["rest"]):
                continue  # within a number it does not end
            said = re.sub(r"[ .-]", "", match["country"] + match["rest"][:length])
            if vat.is_valid(said) or (said.startswith("GB") and gb_vat.is_valid(said)) or uid.is_valid(said):
                yield Spot(match.start(), match.start("rest") + length, Reading(said))
                break
        else:
            said = re.sub(r"[ .-]", "", match[0])
            yield Spot(match.start(), match.end(), Reading(said, ("its check digit is wrong",), weak=True))


_NATIONAL = re.compile(
    r"(?<!\w)(?:(?P<es>[CN]\.?I\.?F\.?(?:/[CN]\.?I\.?F\.?)?)|(?P<it>P\.? ?IVA|Partita IVA))\s?(?:n\.?º?|nr\.?)?\s?:?\s?"
    r"(?P<number>[A-Z]?-?\d{7,11}-?[A-Z]?)(?![\w-])",
    re.IGNORECASE,
)
"""VAT numbers that are printed without their country, behind what only that country calls them."""


_BRITISH = re.compile(
    r"\bV\.?A\.?T\.?\s(?:(?:reg(?:istration|istered)?|number|no|id)\b[.:]?\s{0,3}){1,3}[:#]?\s{0,3}"
    r"(?P<number>\d{3} ?\d{4} ?\d{2})(?![\w-]|[.,]\d)",
    re.IGNORECASE,
)
"""A British VAT number without its country, behind what it is called in English."""


def _national(text: str) -> Iterator[Spot]:
    from stdnum.es import nif
    from stdnum.gb import vat as gb_vat
    from stdnum.it import iva

    for match in _BRITISH.finditer(text):
        bare = re.sub(r"\D", "", match["number"])
        doubts = () if gb_vat.is_valid(bare) else ("its check digit is wrong",)
        yield Spot(match.start("number"), match.end("number"), Reading(f"GB{bare}", doubts, weak=bool(doubts)))
    for match in _NATIONAL.finditer(text):
        country, valid = ("ES", nif.is_valid) if match["es"] else ("IT", iva.is_valid)
        bare = match["number"].replace("-", "").upper()
        doubts = () if valid(bare) else ("its check digit is wrong",)
        yield Spot(match.start("number"), match.end("number"), Reading(country + bare, doubts, weak=bool(doubts)))


def _bare_vat_id(text: str) -> Reading | None:
    """What is a Spanish or an Italian number by its check digits, printed without its country."""
    from stdnum.es import nif
    from stdnum.it import iva

    bare = re.sub(r"[\s.-]", "", text).upper()
    if re.fullmatch(r"[A-Z0-9]{9}|\d{11}", bare):
        country = "ES" if nif.is_valid(bare) else "IT" if iva.is_valid(bare) else ""
        return Reading(country + bare) if country else None
    return None


def _ibans(text: str, habits: Habits) -> Iterator[Spot]:  # noqa: ARG001
    from stdnum import iban

    for match in _IBAN.finditer(text):
        said = match[0]
        while said:
            bare = re.sub(r"\s", "", said)
            if iban.is_valid(bare):
                yield Spot(match.start(), match.start() + len(said), Reading(bare))
                break
            said = said.rpartition(" ")[0]
        else:
            yield Spot(
                match.start(), match.end(), Reading(re.sub(r"\s", "", match[0]), ("its check digits are wrong",))
            )


def _spans(text: str, habits: Habits) -> Iterator[Spot]:  # noqa: ARG001
    for match in _SPAN.finditer(text):
        said = match["in"] or match["number"]
        word = (match["word"] or "").casefold()
        if not said and word not in _NUMBERS:
            continue
        number = int(said) if said else _NUMBERS[word]
        unit = _UNITS[match["unit"].casefold()]
        yield Spot(match.start(), match.end(), Reading(f"{number} {unit}{'s' if number != 1 else ''}"))


def _party(text: str) -> Reading | None:
    """A name, without the address that may follow it on its line."""
    name = re.split(r"\s[-–—|·•]\s|,\s(?=\S*\d)|\s{3,}", text)[0]
    end = end_of_name(name)
    name = name[:end].lstrip(" ,;:.*-") if end else name.strip(" ,;:.*-")
    name = re.sub(r"^(?:attn|att|z\.? ?hd|messrs|firma|company)[.:]*\s+", "", name, flags=re.IGNORECASE).strip(" ,;:")
    said = len(re.findall(r"[^\W_]", LEGAL_FORM.sub("", name)))
    if said < 2 or not re.search(r"[^\W\d_]", name) or "@" in name or len(name) > 120 or LEGAL_FORM.fullmatch(name):
        return None
    if any(not spot.reading.weak for spot in _amounts(name, Habits())):
        return None
    return Reading(name)


def end_of_name(text: str) -> int:
    """Where a company's name ends, by its legal form; 0 where it has none. It may have two: `The Boat Company Ltd.`"""
    end = 0
    for form in LEGAL_FORM.finditer(text):
        if form.start() == 0:
            continue
        if end and form.start() - end > 3 and not text[:end].endswith(("Company", "Co.")):
            break
        end = form.end()
    return end


def _nothing(text: str, habits: Habits) -> Iterator[Spot]:  # noqa: ARG001
    return iter(())


_FINDERS: dict[type[Printed], Callable[[str, Habits], Iterator[Spot]]] = {
    Amount: _amounts,
    Count: _counts,
    Code: _codes,
    Day: _days,
    Currency: _currencies,
    VatId: _vat_ids,
    Iban: _ibans,
    Span: _spans,
    Party: _nothing,
    Words: _nothing,
}

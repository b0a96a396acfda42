"""Labels: the words beside a value that say what it is, wherever they stand on a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise

from blocks.documents.sheet import CELL, Sheet
from prompts.document_intake.schemas import Paper, marks
from prompts.document_intake.schemas.kinds import Amount, Code
from prompts.document_intake.schemas.others import OTHER_TITLES

VAGUE = 0.7
"""How sure the last of a field's labels is, next to the first, which is 1: `total` may be that of a page."""
NUMBERED = 0.9
"""Of a title with `No.` behind it."""
PROSE = 45
"""Letters from which on a line is one of a paragraph, which goes on in the next one."""
MOST_IN_PARAGRAPH = 100
"""Rows."""

_OTHERS = (
    "original invoice", "original invoice number", "related invoice", "previous invoice", "last invoice",
    "tax point", "tax point date", "tax date", "tax rate", "vat rate", "vat period", "total items", "total quantity",
    "total weight", "total hours", "total units", "invoice period",
    "zur rechnung", "zu rechnung", "zur rechnung nr", "storno zu rechnung", "storno zur rechnung", "credit for invoice",
    "against invoice", "relating to invoice", "refers to invoice", "in respect of invoice", "corrects invoice",
    "facture rectifiée", "annule la facture", "sur la facture", "relatif à la facture", "factura rectificada",
    "rectifica a la factura", "rettifica della fattura", "riferimento fattura", "betreft factuur", "op factuur",
    "fecha de cargo", "date de prélèvement", "data di addebito", "abbuchungsdatum", "incassodatum", "collection date",
    "arrival", "departure", "arrivée", "départ", "llegada", "salida", "anreise", "abreise", "check-in", "check-out",
    "paid to date", "deposit", "acompte", "anzahlung", "anticipo", "acconto", "aanbetaling",
    "bon de commande", "réf. devis", "devis", "presupuesto", "preventivo", "offerte", "angebot nr", "auftrag vom",
    "quote", "quotation", "order dated", "contract no", "nº contrato", "contratto n", "vertragsnummer",
    "proforma invoice", "ursprüngliche rechnung", "facture d'origine", "rechnungszeitraum",
    "livré à", "livrer à", "lieferadresse", "lieferanschrift", "adresse de livraison", "dirección de entrega",
    "afleveradres",
    "indirizzo di consegna", "deliver to", "delivered to",
    "order number", "order no", "order id", "order date", "order ref", "order", "purchase order", "po number", "po no",
    "customer number", "customer no", "customer id", "client number", "client no", "account number", "account no",
    "delivery date", "delivery note", "ship date", "shipping date", "shipping address", "ship to", "delivery address",
    "service period", "billing period", "period", "tax id", "tax no", "service tax #", "vat/tin", "tin", "phone",
    "telephone", "tel", "fax", "mobile", "swift", "bic", "page", "customer order", "your reference", "your ref",
    "our ref", "reference", "printed on", "print date", "due date for", "date of birth", "discount", "shipping",
    "charges", "credits", "rounding", "change", "cash tendered", "tendered", "previous balance", "bestellnummer",
    "bestell-nr", "bestelldatum", "auftragsnummer", "auftrags-nr", "kundennummer", "kundennr", "kunden-nr",
    "lieferdatum", "leistungsdatum", "leistungszeitraum", "lieferschein", "steuernummer", "steuer-nr", "kto-nr",
    "blz", "telefon", "seite", "rückgeld", "gegeben", "rabatt", "handelsregister", "registergericht",
    "your vat", "your vat number", "your vat no", "your vat id", "customer vat", "customer vat number",
    "customer vat no", "customer vat id", "client vat", "buyer vat", "ihre ust-idnr", "ihre ust-id-nr", "ihre ust-id",
    "ust-idnr kunde",
    "ust-idnr des kunden", "kunden-ust-idnr", "votre n° tva", "votre tva", "tva client", "n° tva client", "nif cliente",
    "nif del cliente", "cif cliente", "p. iva cliente", "partita iva cliente", "uw btw-nummer", "btw-nummer klant",
    "numéro de ligne", "id.client", "n° client", "n° commande", "numéro de client", "numéro de commande",
    "date de commande", "date de livraison", "siren", "siret", "rcs", "téléphone", "n° de compte", "número de pedido",
    "número de cliente", "numero ordine", "pagina", "página",
)  # fmt: skip
"""Labels of what is not looked for. They keep `order date` from being taken for a `date`."""


@dataclass(frozen=True)
class Segment:
    """Words that stand together: a cell, a line, or the lines of a paragraph."""

    text: str
    line: int
    """Of the page, from 0: that of its last row."""
    left: float
    right: float
    page: int
    rows: tuple[int, ...] = ()
    """Which rows of the sheet."""


@dataclass(frozen=True)
class Hit:
    """A label that stands in a segment; `fields` is empty where it is one of nothing that is looked for."""

    start: int
    end: int
    fields: tuple[tuple[str, float], ...]
    """The fields that it may be a label of, each with how sure that is, 0 to 1."""


def segments(sheet: Sheet) -> list[list[Segment]]:
    """The rows of a sheet made by `from_text`, each as its segments from left to right. Paragraphs are one segment."""
    wide, high = CELL
    found: list[list[Segment]] = []
    for number, row in enumerate(sheet.rows):
        line = round(row.bottom / high) - 1
        cells: list[list[int]] = [[0]]
        for at, (word, after) in enumerate(zip(row.words, row.words[1:], strict=False), start=1):
            if after.box[0] - word.box[2] > 1.5 * wide:
                cells.append([])
            cells[-1].append(at)
        made = []
        for cell in cells:
            words = [row.words[index] for index in cell]
            text = unspaced(" ".join(word.text for word in words))
            made.append(Segment(text, line, words[0].box[0] / wide, words[-1].box[2] / wide, row.page, (number,)))
        before = found[-1] if found else []
        if joined := _joined(before, made):
            found[-1] = [joined]
        else:
            found.append(made)
    return found


_SPACED = re.compile(r"(?<!\S)(?:[^\W\d_] ){3,30}[^\W\d_](?!\S)")


def unspaced(text: str) -> str:
    """`R E C H N U N G` as a word."""
    return _SPACED.sub(lambda match: match[0].replace(" ", ""), text)


def _joined(before: list[Segment], made: list[Segment]) -> Segment | None:
    """The paragraph that goes on with this row; None when it does not."""
    if len(before) != 1 or len(made) != 1:
        return None
    above, row = before[0], made[0]
    last_line = above.right - above.left
    if above.page != row.page or row.line - above.line != 1 or last_line < PROSE or abs(above.left - row.left) > 6:
        return None
    if len(above.rows) >= MOST_IN_PARAGRAPH or _LABELLED.match(row.text) or CLAUSE.match(row.text):
        return None
    text = f"{above.text} {row.text}"
    return Segment(
        text, row.line, min(above.left, row.left), max(above.right, row.right), row.page, above.rows + row.rows
    )


def hits(kind: type[Paper], segment: Segment) -> tuple[Hit, ...]:
    """The labels in a segment, from left to right; of those that begin at one place the longest."""
    return _hits(kind, segment.text)


def every(kind: type[Paper], rows: list[list[Segment]]) -> Iterator[tuple[int, int, tuple[Hit, ...]]]:
    """Each segment that holds a label, by its row and its place in it, with its labels."""
    for y, row in enumerate(rows):
        for x, segment in enumerate(row):
            if found := hits(kind, segment):
                yield y, x, found


@lru_cache(maxsize=20_000)
def _hits(kind: type[Paper], text: str) -> tuple[Hit, ...]:
    known, longest = _labels(kind)
    amounts = {name for name, _, mark in marks(kind) if isinstance(mark, Amount)}
    tokens = [_as_known(kind, token) for token in _tokens(text)]
    asides = [aside.span() for aside in _ASIDE.finditer(text)]
    found: list[Hit] = []
    at = 0
    while at < len(tokens):
        while asides and asides[0][1] <= tokens[at].start:
            asides.pop(0)
        if found and asides and asides[0][0] < tokens[at].start and asides[0][0] - found[-1].end <= 2:
            at += 1  # `Total (including VAT)` is no VAT
            continue
        for count in range(min(longest, len(tokens) - at), 0, -1):
            label = tuple(token.word for token in tokens[at : at + count])
            if label in known and all(_close(text, *pair) for pair in pairwise(tokens[at : at + count])):
                hit = Hit(tokens[at].start, tokens[at + count - 1].end, known[label])
                at += count
                if label == ("no",) and not _stands_alone(text, hit):
                    break  # the number of what?
                if amounts.intersection(name for name, _ in hit.fields):
                    hit = _qualified(text, hit, known)
                    while at < len(tokens) and tokens[at].start < hit.end:
                        at += 1
                if found and (_is_one(text, found[-1], hit, amounts) or _is_twice(text, found[-1], hit)):
                    hit = Hit(found[-1].start, hit.end, found.pop().fields)
                found.append(hit)
                break
        else:
            at += 1
    return tuple(found)


def _is_one(text: str, first: Hit, second: Hit, amounts: set[str]) -> bool:
    """`VAT total` is one label, and of the VAT."""
    both = all(hit.fields and amounts.issuperset(name for name, _ in hit.fields) for hit in (first, second))
    return both and not text[first.end : second.start].strip(" .")


def _is_twice(text: str, first: Hit, second: Hit) -> bool:
    """`Datum / Date` is one label in two languages."""
    between = text[first.end : second.start]
    both = {name for name, _ in first.fields} & {name for name, _ in second.fields}
    return bool(both) and bool(re.fullmatch(r"\s*[/|]\s*", between))


def _stands_alone(text: str, hit: Hit) -> bool:
    """`Nummer   26-0093`: a word that needs no other, if it is all of its cell or has a colon."""
    return hit.start == 0 and bool(re.match(r"\s*(?::|\.?\s*$|\.\s*:?\s*\S*\d\S*(?: \d+)*$)", text[hit.end :]))


def _qualified(text: str, hit: Hit, known: dict[tuple[str, ...], tuple[tuple[str, float], ...]]) -> Hit:
    """`Total excl. VAT` is no total: what a label says of the tax counts for more than the word before it."""
    rest = text[hit.end : hit.end + 60]
    for pattern, canonical in ((_WITHOUT, WITHOUT_TAX), (_WITH, WITH_TAX)):
        if (match := pattern.match(rest)) and not _is_of_tax(hit, known):
            fields = known.get(_words(canonical), ())
            return Hit(hit.start, hit.end + match.end(), fields) if fields else hit
    return hit


def _is_of_tax(hit: Hit, known: dict[tuple[str, ...], tuple[tuple[str, float], ...]]) -> bool:
    """`VAT incl.` is the tax."""
    taxes = {name for name, _ in known.get(("vat",), ())}
    return bool(taxes.intersection(name for name, _ in hit.fields))


WITHOUT_TAX, WITH_TAX = "total excl. tax", "total incl. tax"
"""The labels that a kind has for the amount without tax and with it, if it has both."""


@dataclass(frozen=True)
class _Token:
    word: str
    start: int
    end: int


_LABELLED = re.compile(r"[^\W\d_a-z][^.:;,]{2,40}:(?:\s|$)")
"""A line `Governing law: Scotland` goes on with no paragraph."""
CLAUSE = re.compile(
    r"(?:§\s?\d+[a-z]?\.?|\d{1,2}(?:\.\d{1,2}){0,2}[.)]|\(\w{1,3}\)|(?:article|artikel|artículo|articolo|art\."
    r"|clause|ziffer)\s?\d{1,3}"
    r"\.?|(?:primer|segund|tercer|cuart|quint|sext|séptim|octav)[oa]\.)\s*[-–:.)]?\s+(?=[^\W\d])",
    re.IGNORECASE,
)
"""What a clause begins with: it goes on with no paragraph, and its label stands behind it."""
_ASIDE = re.compile(r"\([^()]{0,60}\)")
_TAXES = (
    r"(?:v\.?a\.?t\.?|sales tax|tax(?:es)?|gst|mwst\.?|ust\.?|mehrwertsteuer|umsatzsteuer|steuern?|t\.?v\.?a\.?|taxes"
    r"|i\.?v\.?a\.?|impuestos|imposte|b\.?t\.?w\.?)"
)
_FILLER = r"[\s,(]{0,3}(?:(?:in\s)?(?:[A-Z]{3}|[€$£])\s)?"
_WITHOUT = re.compile(
    rf"{_FILLER}(?:(?:excl|exkl|exclusive|exclusief|excluding|ohne|before|vor|hors|zonder|sin|senza|esclus[ao]"
    rf"|ex)\b\.?\s?(?:of\s|de\s|la\s)?{_TAXES}"
    r"|(?:ht|h\.t\.|htva|net(?:to)?|iva escl\w*\.?)\b)(?!\w)",
    re.IGNORECASE,
)
_WITH = re.compile(
    rf"{_FILLER}(?:(?:incl|inkl|inclusive|inclusief|including|mit|with|inclus[ao]?|inbegrepen|con"
    rf"|ttc)\b\.?\s?(?:of\s|de\s|la\s)?{_TAXES}"
    r"|(?:ttc|t\.t\.c\.|tvac|brutto|gross|iva incl\w*\.?)\b)(?!\w)",
    re.IGNORECASE,
)
"""What says behind a total whether the tax is in it."""
_WORD = re.compile(r"n\s?[°º]\.?|№|#|[^\W_]+", re.IGNORECASE)
_NUMBER_WORDS = frozenset({"no", "nr", "num", "number", "#", "№", "n°", "nº", "numéro", "número", "numero", "nummer"})


def _tokens(text: str) -> list[_Token]:
    """The words of a text, in lower case. All ways to write "number" are one."""
    found = []
    for match in _WORD.finditer(text):
        word = match[0].casefold().replace(" ", "").rstrip(".")
        found.append(_Token("no" if word in _NUMBER_WORDS else word, match.start(), match.end()))
    return found


_LOOKS = str.maketrans({"0": "o", "1": "l", "5": "s", "|": "l"})


def _as_known(kind: type[Paper], token: _Token) -> _Token:
    """A word as it is in labels: `T0TAL` is a total, `Gebührenrechnung` a Rechnung."""
    word = token.word
    vocabulary = _vocabulary(kind)
    if word in vocabulary or len(word) < 4:
        return token
    if not word.isalpha() and not word.isdigit():
        looks = word.translate(_LOOKS)
        return replace(token, word=looks) if looks in vocabulary and sum(map(str.isdigit, word)) <= 2 else token
    title = next((title for title in _heads(kind) if word.endswith(title)), "")
    if title and not word[: -len(title)].endswith(PARTICLES) and not is_other(word):
        return replace(token, word=title)
    return token


@cache
def _vocabulary(kind: type[Paper]) -> frozenset[str]:
    return frozenset(word for label in _labels(kind)[0] for word in label)


@cache
def _heads(kind: type[Paper]) -> tuple[str, ...]:
    """The titles that may be the end of a longer word."""
    return tuple(title for title in kind.titles if title.isalpha() and len(title) >= COMPOUND)


COMPOUND = 7
"""Letters from which on a title may be the end of a longer word: `Gebührenrechnung`, `Werkvertrag`."""
PARTICLES = ("ab", "be", "auf", "an", "vor", "ver", "ge", "über")
"""`Abrechnung` and `Berechnung` are no `Rechnung`."""


@cache
def is_other(word: str) -> bool:
    """Whether it is the title of a paper of which no row is made."""
    return word in OTHER_TITLES


def _close(text: str, one: _Token, other: _Token) -> bool:
    """Whether two words of a label stand beside each other."""
    return other.start - one.end <= 3 and not re.search(r"[:;]", text[one.end : other.start])


@cache
def _labels(kind: type[Paper]) -> tuple[dict[tuple[str, ...], tuple[tuple[str, float], ...]], int]:
    """All labels by their words, each with the fields that it may be of; and how many words the longest has."""
    fields: dict[tuple[str, ...], dict[str, float]] = {_words(label): {} for label in _OTHERS}
    for name, _, mark in marks(kind):
        last = max(len(mark.labels) - 1, 1)
        for place, label in enumerate(mark.labels):
            fields.setdefault(_words(label), {}).setdefault(name, 1 - (1 - VAGUE) * place / last)
        if isinstance(mark, Code) and any(title in mark.labels for title in kind.titles):
            # What stands behind `Factura n°` stands behind `Nota de crédito n°`.
            for title in kind.titles:
                fields.setdefault((*_words(title), "no"), {}).setdefault(name, NUMBERED)
                fields.setdefault(_words(title), {}).setdefault(name, VAGUE)
    return {label: tuple(found.items()) for label, found in fields.items()}, max(map(len, fields))


def _words(label: str) -> tuple[str, ...]:
    return tuple(token.word for token in _tokens(label))

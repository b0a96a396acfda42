"""Whose law holds, and by what was paid: the few words of a sentence or of a line that say it."""

from __future__ import annotations

import re

_NATION = r"[^\W\d_][\w'’-]{2,24}(?: [A-Z][\w'’-]{2,24}){0,2}"
_LAW = re.compile(
    rf"(?P<droit>\bdroit {_NATION})"
    rf"|(?P<recht>\b[A-ZÖ][\w-]{{2,20}}(?:s|es|e) [Rr]echt)\b"
    rf"|(?P<ley>\b(?:derecho|legislaci[oó]n|legge|diritto|legislazione) (?:espa[nñ]ol[ao]?|italian[ao]|{_NATION}))"
    r"|\b(?:[Rr]echt|[Gg]esetze) (?:der|des)\s+(?P<staat>[A-ZÖ][\w ]{3,40}?)(?= Anwendung|[.,;]| gilt|$)"
    r"|\b[Ll]aws? of (?:the )?(?P<place>(?:State of |Commonwealth of |Province of |Republic of )?[A-Z][\w'’]+"
    r"(?:(?: and| of)? [A-Z][\w'’]+){0,3})"
    r"|\b(?P<law>[A-Z][\w'’]+(?: [A-Z][\w'’]+){0,2})(?P<word> law)\b(?! firm| school)"
)
_ADJECTIVE = re.compile(r"(?:ish|an|ese|ch|ss)$")
_STOP = re.compile(r"\b(?:applicable|exclusi\w+|commun\w*|compétent\w*|aplicable|vigente|applicabile)\b", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|shall|will|applies|apply|governs?|be|ist|gilt|wird|gelten|findet|est|sont|régit|soumis|es|rige"
    r"|rigen|aplica"
    r"|è|sono|regolato|van|toepassing|wordt|and the|these|this|dieser|ce|cet|deze|questo|este)\b",
    re.IGNORECASE,
)


_GOVERNS = re.compile(
    r"\b(?:governed by|construed in accordance with|law applies|laws? (?:shall )?apply|soumis|régi|es gilt|gilt"
    r"|unterliegt|anwendung"
    r"|van toepassing|beheerst|se rige|rige|regirá|regolato|si applica|disciplinato|regulated by)\b",
    re.IGNORECASE,
)


def governing(text: str) -> str | None:
    """The law of which a sentence says that it governs: `soumis au droit français`."""
    sentences = re.split(r"(?<=[^\W\d_]{3}[.;])\s", text)
    return next((found for each in sentences if _GOVERNS.search(each) and (found := _named(each))), None)


def _named(text: str) -> str | None:
    for match in _LAW.finditer(text):
        name = next(said for group, said in match.groupdict().items() if said and group != "word")
        if _STOP.search(name) or name.startswith(("The ", "This ")):
            continue
        return name + match["word"] if match["law"] and _ADJECTIVE.search(name) else name
    return None


def law(text: str) -> str | None:
    """The law that a heading, a label or a sentence names; None where it is not clear which."""
    said = text.strip(" .:;")
    if name := _named(said):
        return name
    plain = len(said.split()) <= 6 and not _VERB.search(said) and not re.search(r"[\d:;()«»\"“”]", said)
    return said if plain and said[:1].isalpha() else None


_BRANDS = (
    r"visa (?:debit|credit|electron)|visa|master ?card|maestro|v pay|amex|american express|diners(?: club)?|discover"
    r"|girocard|ec-?\s?(?:karte|cash)|apple pay|google pay|paypal|twint|postcard|postfinance|bancontact|ideal|pinpas"
    r"|bizum"
    r"|pagobancomat|bancomat|carte bleue"
)
_PLAIN = (
    r"carte bancaire|kreditkarte|credit card|debit card|carta di credito|tarjeta(?: de (?:cr[eé]dito|d[eé]bito))?"
    r"|bank transfer"
    r"|pagamento elettronico|pagamento contante"
    r"|überweisung|virement|transferencia|bonifico|direct debit|lastschrift|prélèvement|cheque|chèque|cash|bargeld"
    r"|barzahlung|bar"
    r"|esp[eè]ces|efectivo|contanti|contante|contant|pin|cb|carte|card|karte"
)
MEANS = re.compile(rf"(?<![\w-])(?:(?P<brand>{_BRANDS})|(?P<plain>{_PLAIN}))(?![\w-]|['’])", re.IGNORECASE)


def means(text: str) -> str | None:
    """By what was paid, without any number: the card's brand rather than that it was a card."""
    found = list(MEANS.finditer(text))
    brands = {match[0].casefold(): match[0] for match in found if match["brand"]}
    if len(brands) > 1:
        return None  # `We take Visa and Mastercard`
    if brands:
        return next(iter(brands.values()))
    if found:
        return found[0][0]
    said = text.strip(" .:;")
    return said if said and not re.search(r"\d", said) and len(said.split()) <= 3 else None


_PAID_BY = re.compile(
    r"\b(?:paid|payment|bezahlt|zahlung|geg\.?|gegeben|réglé|payé|paiement|règlement|pagado|pago|pagato|pagamento"
    r"|betaald|betaling)\b"
    r"[^\d]{0,25}$",
    re.IGNORECASE,
)
_WITH = re.compile(r"\b(?:by|per|mit|par|con|met)\W{1,3}(?:carte|card|karte|tarjeta|carta)?\W*$", re.IGNORECASE)
_NOTHING = re.compile(r"(?<![\d.,])0[.,]00(?!\d)")
_MASKED = re.compile(r"[*x•.]{3,}\s?\d{2,4}|\bx\d{4}\b|\d{4}\s?[*x]{2,}", re.IGNORECASE)


def means_paid(text: str, total: str) -> str | None:
    """By what a line of a receipt says that it was paid: `VISA DEBIT  21.65`, `Paid £32.00 by card (Mastercard)`.

    Args:
        text: the line.
        total: how the total is printed, empty if that is not known: what it stands beside is what it was paid by.
    """
    match = MEANS.search(text)
    if match is None or re.search(
        r"\b(?:accept|take|nehmen|akzeptieren|no|keine?|not|change|only)\b", text, re.IGNORECASE
    ):
        return None
    begins = not re.search(r"[^\W\d_]", MEANS.sub("", text[: match.end()]))
    beside = bool(total.strip("0.,")) and total in text[match.end() :]
    if begins and match[0].casefold() in ("card", "carte", "karte"):
        return None  # `Card number ****1234` is any card
    before = text[: match.start()]
    shown = begins and (beside or _MASKED.search(text))
    if not (shown or _PAID_BY.search(before) or _WITH.search(before)) or _NOTHING.search(text):
        return None
    return means(text)

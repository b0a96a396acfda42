"""Which part of the world a paper is from, by its addresses and numbers: what `3/4` and `$` mean there."""

from __future__ import annotations

import re

_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA"
    "|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC"
)
_AMERICAN = re.compile(
    rf"\b(?:{_STATES}),?\s+\d{{5}}(?:-\d{{4}})?(?![\d-])|(?<!\w)[^\W\d]{{3,20}},? (?:{_STATES})[ \t]*$", re.MULTILINE
)
"""`Portland, OR 97211`; a state without a number only where its line ends."""
_CANADIAN = re.compile(
    r"\b[A-CEGHJ-NPR-TVXY]\d[A-CEGHJ-NPR-TV-Z] ?\d[A-CEGHJ-NPR-TV-Z]\d\b|\b(?:GST|HST|QST)/?(?:HST)? ?#"
)
_AUSTRALIAN = re.compile(r"\bABN:? ?\d{2} \d{3} \d{3} \d{3}\b|\b(?:NSW|VIC|QLD|TAS|ACT|WA|SA|NT) \d{4}\b")
_ELSEWHERE = re.compile(
    r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"  # a British postcode
    r"|\b[AC-FHKNPRTV-Y]\d[\dW] [\dAC-FHKNPRTV-Y]{4}\b"  # an Irish one
    r"|\b(?:GB|IE|DE|FR|NL|ES|IT|BE|AT|PT|DK|SE|FI|PL|LU|CH)\d{2}(?: ?[A-Z0-9]{4}){3,}"  # an account
    r"|\b(?:GB|IE|DE|FR|NL|ESB?|IT|BE|ATU?|PT|DK|SE|FI|PL|LU) ?\d[\dA-Z. ]{6,12}\d"  # a VAT number
    r"|\bGSTIN\b|\+(?:44|353|49|33|31|34|39|32|43|41|61|91)\b"
)
"""Where nobody writes the month first."""


def month_first(text: str) -> bool | None:
    """Whether 3/4 is the fourth of March, by where it is from; None where that is not clear."""
    american = bool(_AMERICAN.search(text))
    if american == bool(_ELSEWHERE.search(text) or _AUSTRALIAN.search(text)) or _CANADIAN.search(text):
        return None
    # A European address alone is no proof: an American subsidiary sends its own bills.
    return True if american and "$" in text else None if american else False


def dollars(text: str) -> str | None:
    """The currency that `$` stands for, by the only country with dollars that it has an address or a number of."""
    found = [
        code for code, pattern in (("USD", _AMERICAN), ("CAD", _CANADIAN), ("AUD", _AUSTRALIAN)) if pattern.search(text)
    ]
    return found[0] if len(found) == 1 else None

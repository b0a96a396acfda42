"""Citations: every sentence of an answer names where it stands, and that place holds its numbers, names and dates.

Checked by code, since a model that makes something up also makes up where it stands. What the asker claims counts for
nothing: "Is it true that I get 500 dollars back?" must not become a sentence that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from blocks.embedded.language import language_of
from blocks.library.words import stemmed, stems

NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,:]\d+)*(?![\w]*\d)")
THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b", re.IGNORECASE)
SPELT = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
)
TENS = {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100"}
NUMBER_WORDS = {word: str(number) for number, word in enumerate(SPELT.split())} | TENS

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar janvier enero jan", "february februar février febrero feb", "march märz mars marzo mar",
            "april avril abril apr", "may mai mayo", "june juni juin junio jun", "july juli juillet julio jul",
            "august août agosto aug", "september septembre septiembre sep sept",
            "october oktober octobre octubre oct okt",
            "november novembre noviembre nov", "december dezember décembre diciembre dec dez",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
YEAR = r"(?P<y>(?:19|20)\d\d)"
DATES = (
    re.compile(rf"\b{YEAR}-(?P<m>\d\d?)-(?P<d>\d\d?)\b"),
    re.compile(rf"\b(?P<d>\d\d?)\.\s?(?P<m>\d\d?)\.\s?{YEAR}\b"),
    re.compile(
        rf"\b(?P<d>\d\d?)\.?(?:st|nd|rd|th)?\s(?:of\s|de\s)?(?P<n>{MONTH})\b\.?(?:,?\s(?:de\s)?{YEAR})?",
        re.IGNORECASE,
    ),
    re.compile(rf"\b(?P<n>{MONTH})\b\.?\s(?P<d>\d\d?)(?:st|nd|rd|th)?\b(?:,?\s{YEAR})?", re.IGNORECASE),
)
"""`2026-03-12`, `12.3.2026`, `12 March 2026`, `March 12th, 2026`, the last two also without a year. Not `3/12/2026`,
which is two different dates on either side of the Atlantic: its numbers are compared one by one."""

NAME = re.compile(r"(?<![\w&])[^\W\d_][\w&'’-]*")
FIRST_WORD = re.compile(r"(?:^|[.!?:;\n•»\"“(\[-])\s*$")


class Sentence(Protocol):
    """A sentence of an answer, and the numbers of the passages that it cites."""

    @property
    def text(self) -> str: ...
    @property
    def sources(self) -> Sequence[int]: ...


def objections(sentences: Iterable[Sentence], passages: Mapping[int, str]) -> Iterator[str]:
    """What is wrong with an answer's citations, sentence by sentence, in words that a model can act on.

    Args:
        sentences: the answer.
        passages: by number, what it was given: headings and text.
    """
    known = ", ".join(map(str, passages)) or "none at all"
    for number, sentence in enumerate(sentences, start=1):
        at = f"sentence {number} ({_short(sentence.text)})"
        if not sentence.sources:
            yield f"{at} cites no passage"
            continue
        unknown = [source for source in sentence.sources if source not in passages]
        if unknown:
            yield f"{at} cites passage {unknown[0]}, which was not given; given were {known}"
            continue
        cited = "\n".join(passages[source] for source in dict.fromkeys(sentence.sources))
        missing = list(dict.fromkeys(unsupported(sentence.text, cited)))
        if missing:
            named = " and ".join(f"passage {source}" for source in dict.fromkeys(sentence.sources))
            yield f"{at} says {', '.join(missing)}, which {named} does not hold"


def unsupported(text: str, source: str) -> Iterator[str]:
    """The dates, numbers and names of a text that its source does not hold."""
    known_dates, rest = set(_dates(source)[0]), source
    found, text = _dates(text)
    for date, said in found.items():
        if not any(_agree(date, other) for other in known_dates):
            yield said
    known = _numbers(rest)
    for said in NUMBER.findall(ORDINAL.sub("", text)):
        if _number(said) not in known:
            yield said
    words = set(stems(source))
    for name in _names(text):
        if not all(stem in words for stem in stems(name)):
            yield name


Date = tuple[int | None, int, int]


def _dates(text: str) -> tuple[dict[Date, str], str]:
    """The dates in a text, each as it is written there, and the text without them."""
    found: dict[Date, str] = {}

    def take(match: re.Match[str]) -> str:
        parts = match.groupdict()
        month = MONTHS[parts["n"].lower()] if parts.get("n") else int(parts["m"])
        if not (1 <= month <= 12 and 1 <= int(parts["d"]) <= 31):
            return match[0]
        found[int(parts["y"]) if parts.get("y") else None, month, int(parts["d"])] = match[0]
        return " "

    for pattern in DATES:
        text = pattern.sub(take, text)
    return found, text


def _agree(one: Date, other: Date) -> bool:
    return one[1:] == other[1:] and (one[0] is None or other[0] is None or one[0] == other[0])


def _numbers(text: str) -> set[str]:
    text = ORDINAL.sub("", text)
    spelt = {NUMBER_WORDS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in NUMBER_WORDS}
    return spelt | {_number(said) for said in NUMBER.findall(text)} | {_number(n) for n in re.findall(r"\d+", text)}


def _number(said: str) -> str:
    """One form for `1,000`, `1.000` and `1000`, and for `2.50` and `2,5`."""
    if THOUSANDS.fullmatch(said):
        return re.sub(r"[.,]", "", said)
    whole, point, fraction = said.replace(",", ".").partition(".")
    fraction = fraction.rstrip("0") if point and "." not in fraction else fraction
    return f"{whole}.{fraction}" if fraction else whole


def _names(text: str) -> Iterator[str]:
    """Words that are written like names: a capital in the middle of a sentence, several capitals, a letter with digits.

    German writes every noun with a capital, so there only the latter two count.
    """
    german = language_of(text) == "de"
    for match in NAME.finditer(text):
        word = match[0]
        if not any(stem for _, stem in stemmed(word)):
            continue
        capitals = sum(c.isupper() for c in word)
        odd = capitals > 1 or any(c.isdigit() for c in word) or any(c.isupper() for c in word[1:])
        begins = FIRST_WORD.search(text[: match.start()]) is not None
        if odd or (capitals and not begins and not german):
            yield word


def _short(text: str) -> str:
    words = text.split()
    return " ".join(words[:6]) + (" ..." if len(words) > 6 else "")

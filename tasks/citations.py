"""Citations: every sentence of an answer names where it stands, and that place holds its numbers, names and dates.

Checked by code, since a model that makes something up also makes up where it stands. What the asker claims counts for
nothing: "Is it true that I get 500 dollars back?" must not become a sentence that says so. What is not seen: a number
or a name that the place holds in another role, a name that begins a sentence, a sign, a negation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from blocks.embedded.language import STOP_WORDS
from blocks.library.words import stemmed, stems

NUMBER = re.compile(r"(?<!\d)(?<!\d[.,:])\d+(?:[.,:]\d+)*")
GROUPED = re.compile(r"(\d{1,3}(?:([.,])\d{3})(?:\2\d{3})*)(?:[.,](\d+))?")
SPACED = re.compile(r"(?<![\d.,:])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)")
"""`2 628`, as French has it."""
ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th|er|re|ère)\b", re.IGNORECASE)

COUNTED = {
    language: {word: str(number) for number, word in enumerate(words.split(), start=2) if word != "-"}
    for language, words in {
        "en": "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
        " eighteen nineteen twenty",
        "de": "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "fr": "deux trois quatre cinq six sept huit - dix - douze",  # `neuf` is also what is new
        "es": "dos tres cuatro cinco seis siete ocho nueve diez - doce",  # and `once` is English, too
    }.items()
}
"""Numbers that are spelt out, by language. From two: one is an article or a pronoun."""
TENS = "thirty forty fifty sixty seventy eighty ninety"
COUNTED["en"] |= {word: f"{number}0" for number, word in enumerate(TENS.split(), start=3)}
COUNTED["en"] |= {"hundred": "100", "thousand": "1000"}
ALL_COUNTED = {word: number for words in COUNTED.values() for word, number in words.items()} | {"zero": "0", "one": "1"}
NTH = "first second third fourth fifth sixth seventh eighth ninth tenth"
HELD = ALL_COUNTED | {word: str(number) for number, word in enumerate(NTH.split(), start=1)}
"""What counts as a number where a passage has it."""
WORD = re.compile(r"[^\W\d_]+")

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar janvier enero jan jän janv ene", "february februar février febrero feb févr fév",
            "march märz mars marzo mar mär", "april avril abril apr avr abr", "may mai mayo",
            "june juni juin junio jun", "july juli juillet julio jul juil", "august août agosto aug ago",
            "september septembre septiembre sep sept", "october oktober octobre octubre oct okt",
            "november novembre noviembre nov", "december dezember décembre diciembre dec dez déc dic",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
NAMES_OF_MONTHS = "|".join(sorted(MONTHS, key=len, reverse=True))
MONTH = rf"(?!(?-i:may|march)\b)(?P<n>{NAMES_OF_MONTHS})"
"""Not `up to 12 may wait`."""
YEAR = r"(?P<y>(?:19|20)\d\d)"
DATES = (
    re.compile(rf"\b{YEAR}-(?P<m>\d\d?)-(?P<d>\d\d?)\b"),
    re.compile(rf"\b(?P<d>\d\d?)\.\s?(?P<m>\d\d?)\.\s?{YEAR}\b"),
    re.compile(
        rf"\b(?<!\d[.,:])(?P<d>\d\d?)\.?(?:st|nd|rd|th|er)?\s(?:of\s|de\s)?{MONTH}\b\.?(?:,?\s(?:de\s)?{YEAR})?",
        re.IGNORECASE,
    ),
    re.compile(rf"\b{MONTH}\b\.?\s(?P<d>\d\d?)(?:st|nd|rd|th)?\b(?![.,:]\d)(?:,?\s{YEAR})?", re.IGNORECASE),
)
"""`2026-03-12`, `12.3.2026`, `12 March 2026`, `March 12th, 2026`, the last two also without a year. Not `3/12/2026`,
which is two different dates on either side of the Atlantic: its numbers are compared one by one."""

UNIT = re.compile(r"(?<=\d)(?=[^\W\d_])")
"""Between the number and the unit of `10MB`."""

NAME = re.compile(r"(?<![\w&])(?:[^\W\d_]|\d+[^\W\d_]+\d)[\w&'’-]*(?:\.\d+)*")
PART = re.compile(r"[^\W_]+(?:&[^\W_]+)*(?:\.\d+)*")
"""`SAML-based`, `l'API` and `Dockwell's` are each checked by the part that is written like a name."""
FIRST_WORD = re.compile(r"(?:^|[.!?:\n•-])\s*$")


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
    answer = list(sentences)
    language = _language(" ".join(sentence.text for sentence in answer))
    known = ", ".join(map(str, passages)) or "none at all"
    for number, sentence in enumerate(answer, start=1):
        at = f"sentence {number} ({_short(sentence.text)})"
        if not sentence.text.strip():
            yield f"sentence {number} says nothing"
            continue
        if not sentence.sources:
            yield f"{at} cites no passage"
            continue
        unknown = [source for source in sentence.sources if source not in passages]
        if unknown:
            yield f"{at} cites passage {unknown[0]}, which was not given; given were {known}"
            continue
        cited = "\n".join(passages[source] for source in dict.fromkeys(sentence.sources))
        missing = list(dict.fromkeys(unsupported(sentence.text, cited, language)))
        if missing:
            named = [f"passage {source}" for source in dict.fromkeys(sentence.sources)]
            holds = "does not hold" if len(named) == 1 else "do not hold"
            yield f"{at} says {', '.join(missing)}, which {' and '.join(named)} {holds}"


def unsupported(text: str, source: str, language: str | None = None) -> Iterator[str]:
    """The dates, numbers and names of a text that its source does not hold.

    Args:
        text: a sentence.
        source: where it is said to stand.
        language: what the text is written in (en, de, fr, es), where more than this one sentence has told.
    """
    held = _held(source)
    language = language or _language(text)
    found, text = _taken_out(text)
    yield from (said for date, said in found.items() if not held.has_date(date))
    names = list(_names(text, language))
    yield from (said for said in _said_numbers(text, names, held, language) if _number(said) not in held.numbers)
    yield from (name[0] for name, parts in names if not all(held.has_name(part) for part in parts))


Date = tuple[int | None, int, int]


class Held(NamedTuple):
    """What a source holds, to compare with."""

    dates: frozenset[Date]
    numbers: frozenset[str]
    words: frozenset[str]

    def has_date(self, date: Date) -> bool:
        """Whether it names this day; one with a year must have its year there, too."""
        year, month, day = date
        if year is None:
            return any(other[1:] == (month, day) for other in self.dates)
        return date in self.dates or ((None, month, day) in self.dates and str(year) in self.numbers)

    def has_name(self, part: str) -> bool:
        """Whether its words are there; of `ISO27001`, the letters and the number will do."""
        if all(stem in self.words for stem in stems(part)):
            return True
        pieces = re.findall(r"[^\W\d_]+|\d+", part)
        return len(pieces) > 1 and all(
            piece in self.numbers if piece.isdigit() else set(stems(piece)) <= self.words for piece in pieces
        )


@lru_cache(maxsize=256)
def _held(source: str) -> Held:
    days = [day for pattern in DATES for match in pattern.finditer(source) if (day := _day(match))]
    plain = ORDINAL.sub("", source)
    apart = ORDINAL.sub("", _without(source, (name for name, _ in _names(source, "de"))))
    numbers = {_number(said) for text in (plain, apart) for said in [*NUMBER.findall(text), *SPACED.findall(text)]}
    numbers |= {HELD[word] for word in WORD.findall(source.lower()) if word in HELD}
    numbers |= {str(part) for day in days for part in day if part}
    words = {*stems(source), *stems(UNIT.sub(" ", source))}
    return Held(frozenset(days), frozenset(numbers), frozenset(words))


def _taken_out(text: str) -> tuple[dict[Date, str], str]:
    """The dates in a text, each as it is written there, and the text without them."""
    found: dict[Date, str] = {}

    def take(match: re.Match[str]) -> str:
        day = _day(match)
        if not day:
            return match[0]
        found[day] = match[0].rstrip(".")
        return " | "

    for pattern in DATES:
        text = pattern.sub(take, text)
    return found, text


def _day(match: re.Match[str]) -> Date | None:
    """The day that a date names; None when there is no such day."""
    parts = match.groupdict()
    month = MONTHS[parts["n"].lower()] if parts.get("n") else int(parts["m"])
    if not (1 <= month <= 12 and 1 <= int(parts["d"]) <= 31):
        return None
    return int(parts["y"]) if parts.get("y") else None, month, int(parts["d"])


def _said_numbers(text: str, names: Iterable[tuple[re.Match[str], Any]], held: Held, language: str) -> Iterator[str]:
    """The numbers of a text, as they are written there. Those in names (`UTF-8`) are compared with the name."""
    text = ORDINAL.sub("", _without(text, (name for name, _ in names)))
    text = SPACED.sub(lambda match: "|" if _number(match[0]) in held.numbers else match[0], text)
    yield from NUMBER.findall(text)
    words = WORD.findall(text.lower())
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if word in COUNTED[language] and not {before, after} & ALL_COUNTED.keys():  # no `twenty-five`, `two hundred`
            yield word


def _without(text: str, found: Iterable[re.Match[str]]) -> str:
    left, since = [], 0
    for match in found:
        left.append(text[since : match.start()])
        since = match.end()
    return "|".join([*left, text[since:]])


def _number(said: str) -> str:
    """One form for `1,000`, `1.000`, `1 000` and `1000`; for `2.50` and `2,5`; for `9:00` and `09:00`; for `three`."""
    if said in HELD:
        return HELD[said]
    said = re.sub(r"\s", "", said)
    if grouped := GROUPED.fullmatch(said):
        said = re.sub(r"[.,]", "", grouped[1]) + (f".{grouped[3]}" if grouped[3] else "")
    whole, _, fraction = said.replace(",", ".").partition(".")
    fraction = fraction if "." in fraction else fraction.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction else whole


def _names(text: str, language: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Words that are written like names, with the parts that are: a capital in the middle of a sentence, several
    capitals, a letter with digits. German writes every noun with a capital, so there only the latter two count.
    """
    for match in NAME.finditer(text):
        begins = FIRST_WORD.search(text, max(0, match.start() - 40), match.start()) is not None
        parts = []
        for number, part in enumerate(PART.findall(match[0])):
            odd = any(c.isupper() for c in part[1:]) or (any(c.isdigit() for c in part) and not part.isdigit())
            plain = part[:1].isupper() and language != "de" and not (begins and number == 0)
            if (odd or plain or part.isdigit()) and any(stem for _, stem in stemmed(part)):
                parts.append(part)
        if any(not part.isdigit() for part in parts):
            yield match, parts


def _language(text: str) -> str:
    """Whose function words the text has most of, however few; English when nobody's. A sentence is short."""
    words = set(WORD.findall(text.casefold()))
    votes = {language: len(stop & words) for language, stop in STOP_WORDS.items()}
    return max(votes, key=lambda language: (votes[language], language == "en"))


def _short(text: str) -> str:
    words = text.split()
    return " ".join(words[:6]) + (" ..." if len(words) > 6 else "")

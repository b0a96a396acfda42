"""Which words hold a number: in digits of any script, or in English or German words.

Rather one too many than one too few: `one` and `second` are marked whatever they mean. Only the German article (`ein`,
`eine`) counts where a unit follows it and nowhere else, or nearly every German sentence would hold a number.
"""

import re
from collections.abc import Sequence

ENGLISH = """
zero nought naught nil one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty thirty forty fourty fifty sixty seventy eighty ninety hundred thousand million
billion trillion dozen half halves quarter double triple twice thrice first second third fourth fifth sixth seventh
eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth hundredth thousandth millionth billionth
"""
GERMAN = """
erstens drittens hälfte hälften anderthalb eineinhalb viertel dreiviertel drittel dritteln dutzend dutzende million
millionen milliarde milliarden billion billionen millionstel milliardstel
"""
UNITS = """
uhr prozent euro cent dollar franken pfund sekunde minute stunde tag woche monat jahr meter kilometer liter kilo gramm
stück hundert tausend million milliarde viertel drittel halbe halbes komma
"""
_ENGLISH = frozenset(ENGLISH.split())
_GERMAN = frozenset(GERMAN.split())
_UNITS = frozenset(UNITS.split())
_LARGE = frozenset(["dozen", "half", "quarter", "third", "hundred", "thousand", "million", "billion", "trillion"])
# What casefold makes of `ß` included.
_STEM = (
    r"(?:null|eins?|zwei|zwo|drei|vier|fünf|fuenf|sechs?|sieb(?:en)?|acht|neun|zehn|elf|zwölf|zwoelf|zwanzig|dreissig"
    r"|(?:vier|fünf|fuenf|sech|sieb|acht|neun)zig|hundert|tausend|und)"
)
_ENDING = (
    r"(?:|s?te[mnrs]?|en?|er[ns]?|mal|malige[mnrs]?|fache?[mnrs]?|erlei|s?teln?|einhalb|s?tens"
    r"|(?:jährig|stellig|stündig|minütig|tägig|köpfig|prozentig|seitig)(?:e[mnrs]?)?)"
)
_COMPOUND = re.compile(
    rf"{_STEM}+{_ENDING}|(?:erst|dritt|siebt|millionst|milliardst)e[mnrs]?|(?:halb|doppelt)(?:e[mnrs]?)?"
)
_NONE = re.compile(
    r"ein(?:|e[mnrs]?|mal|malige[mnrs]?|fach|fache[mnrs]?|er[ns]|erlei)|und(?:e[mnr]?|er[ns])?|siebe?|elfe[nr]?"
)
_ARTICLE = re.compile(r"eine?[mnrs]?")
_LETTERS = re.compile(r"[^\W\d_]+")
_MARKS = ".,;:!?…\"'”“„»«()"


def among(words: Sequence[str]) -> list[bool]:
    """Of each word whether it holds a number, or belongs to the one after it (`a hundred`, `ein Uhr`)."""
    return [_holds(word) or _leads_to(word, after) for word, after in zip(words, [*words[1:], ""], strict=False)]


def _holds(word: str) -> bool:
    return any(char.isnumeric() for char in word) or any(map(_is_number, _LETTERS.findall(word.casefold())))


def _is_number(part: str) -> bool:
    if part in _ENGLISH or part in _GERMAN:
        return True
    singular = {
        part.removesuffix("s"),
        part.removesuffix("es"),
        f"{part.removesuffix('ies')}y",
    }  # tens, sixes, twenties
    if part.endswith("s") and singular & _ENGLISH:
        return True
    return bool(_COMPOUND.fullmatch(part)) and not _NONE.fullmatch(part)


def _leads_to(word: str, after: str) -> bool:
    word, after = word.casefold().strip(_MARKS), after.casefold().strip(_MARKS)
    if _ARTICLE.fullmatch(word):
        return after in _UNITS
    if word in ("a", "an"):
        return after in _LARGE
    return word in ("minus", "plus", "point", "komma") and _holds(after)

"""The numbers that Word shows before paragraphs and does not store: "2.1", "(a)", "iv."."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from docx.oxml.ns import qn
from lxml import etree  # type: ignore[import-untyped]

LEVELS = 9
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"))
_ROMAN_UNITS = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")


@dataclass(frozen=True)
class _Level:
    form: str = "decimal"
    text: str = "%1."
    start: int = 1
    style: str = ""  # whose paragraphs have this level without saying so


@dataclass
class Numbering:
    """Counts while the document is read from its beginning to its end."""

    _lists: dict[str, dict[int, _Level]] = field(default_factory=dict)
    _abstract: dict[str, str] = field(default_factory=dict)  # lists of the same kind count on from one another
    _counts: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, root: etree._Element | None) -> "Numbering":
        """Read numbering.xml; without one, no paragraph has a number."""
        if root is None:
            return cls()
        kinds = {kind.get(qn("w:abstractNumId")): _levels(kind) for kind in root.iter(qn("w:abstractNum"))}
        made = cls()
        for number in root.iter(qn("w:num")):
            reference = number.find(qn("w:abstractNumId"))
            kind = reference.get(qn("w:val")) if reference is not None else None
            if kind in kinds:
                own = number.get(qn("w:numId"))
                made._lists[own] = kinds[kind]
                # One that starts anew counts for itself.
                made._abstract[own] = own if number.find(".//" + qn("w:startOverride")) is not None else f"kind {kind}"
        return made

    def level_of(self, number: str, style: str) -> int:
        """The level of a paragraph that has its list from its style."""
        levels = self._lists.get(number, {})
        return next((level for level, here in levels.items() if here.style == style), 0)

    def mark(self, number: str, level: int) -> str:
        """What stands before the next paragraph of this list, such as `2.1 `; a bullet is "- "."""
        levels = self._lists.get(number)
        if levels is None or number == "0":
            return ""
        here = levels.get(level, _Level())
        if here.form in ("bullet", "none"):
            return "- " if here.form == "bullet" else ""
        counts = self._counts[self._abstract[number]]
        counts[level] = counts.get(level, here.start - 1) + 1
        for deeper in [deeper for deeper in counts if deeper > level]:
            del counts[deeper]
        return self._shown(here.text, levels, counts)

    def _shown(self, text: str, levels: dict[int, _Level], counts: dict[int, int]) -> str:
        def one(match: re.Match[str]) -> str:
            level = int(match[1]) - 1
            of = levels.get(level, _Level())
            return _written(counts.get(level, of.start), of.form)

        return re.sub(r"%([1-9])", one, text[:50]).strip() + " "


def _levels(kind: etree._Element) -> dict[int, _Level]:
    found = {}
    for level in kind.iter(qn("w:lvl")):
        number = level.get(qn("w:ilvl"), "")
        if re.fullmatch("[0-8]", number):
            start = _value(level, "w:start", "1")
            found[int(number)] = _Level(
                form=_value(level, "w:numFmt", "decimal"),
                text=_value(level, "w:lvlText", ""),
                start=int(start) if re.fullmatch(r"\d{1,5}", start) else 1,
                style=_value(level, "w:pStyle", ""),
            )
    return found


def _value(element: etree._Element, name: str, default: str) -> str:
    child = element.find(qn(name))
    return default if child is None else str(child.get(qn("w:val"), default))


def _written(number: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and number > 0:
        letters = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 10)
        return letters.upper() if form == "upperLetter" else letters
    if form in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        return _roman(number).upper() if form == "upperRoman" else _roman(number)
    return f"{number:02}" if form == "decimalZero" else str(number)


def _roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        written += letters * (number // value)
        number %= value
    return written + _ROMAN_UNITS[number]

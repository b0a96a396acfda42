"""How far each value can be trusted: whether it stands on the paper, where, what its label says, whether it adds up.

Whoever read the paper, a model or rules, is believed in nothing: a value counts for as much as is shown for it here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from blocks.documents.sheet import Place, Sheet
from blocks.extraction.rules import Found, Guess, extract
from blocks.extraction.sums import JOIN
from blocks.extraction.values import Habits, Reading, Value, as_text, read
from prompts.document_intake.schemas import (
    LINES,
    LineSum,
    Order,
    Paper,
    Product,
    Sum,
    line_of,
    mark_of,
    marks,
    title_of,
)
from prompts.document_intake.schemas.kinds import Amount, Iban, Party, PastDay, Printed, Words

AGREED, LABELLED, SEEN, ALONE, DISPUTED, DOUBTED, NOT_SEEN = 0.97, 0.9, 0.85, 0.75, 0.55, 0.6, 0.2
"""How sure a value is that rules and a model agree on; that rules found; that a model found alone; that a model found
alone where a row must have one; that rules read otherwise; by what a doubt is to be multiplied; that does not stand on
the paper."""
ADDS_UP, DOES_NOT = 0.97, 0.5
"""The least that a number is sure which adds up with others, and the most of one that does not."""
HEARD = 0.5
"""The most that a number is sure which was only heard."""
OLDEST = date(1990, 1, 1)
FURTHEST, AHEAD = timedelta(days=366 * 30), timedelta(days=62)
"""From today: contracts run for long; but nobody issues a paper, or is paid, months ahead."""
CENT = Decimal("0.01")
UNSAID = "no plain label says so"
"""Why a value is unsure that nothing speaks against."""
LEAST_LEFT, MOST_ADDED = Decimal("0.3"), Decimal("1.35")
"""Of a product, after a discount; and with a tax."""
MOST_TOLD = 3
"""Of the lines' doubts."""


@dataclass(frozen=True)
class Said:
    """What somebody read: a field, and what is printed for it."""

    field: str
    printed: str
    page: int = 1


@dataclass(frozen=True)
class Weighed:
    """A value, and how far it can be trusted."""

    printed: str
    value: Value | None
    """None where what is printed is no such value."""
    confidence: float
    """0 to 1."""
    place: Place | None
    doubts: tuple[str, ...] = ()

    def doubted(self, why: str, most: float) -> Weighed:
        """The same with one doubt more."""
        return replace(self, doubts=(*self.doubts, why), confidence=min(self.confidence, most))

    def packed(self) -> dict[str, Any]:
        """As JSON."""
        place = self.place
        return {
            "printed": self.printed,
            "value": as_text(self.value),
            "confidence": round(self.confidence, 2),
            "doubts": list(self.doubts),
            "page": place.page if place else None,
            "boxes": [[round(side, 1) for side in box] for box in place.boxes] if place else [],
            "line": place.line if place else None,
            "second": place.second if place else None,
            "where": str(place) if place else "",
        }


@dataclass(frozen=True)
class Extraction:
    """A paper, read and weighed."""

    kind: type[Paper]
    values: Mapping[str, Weighed]
    """By field; a field that is not on the paper is not here."""
    lines: tuple[Mapping[str, Weighed], ...]
    doubts: tuple[str, ...]
    """What is wrong with the whole of it."""
    of_lines: tuple[str, ...] = ()
    """Why a person should look at its lines."""

    def fields(self) -> dict[str, Any]:
        """What a row holds, as the schema takes it."""
        row: dict[str, Any] = {name: as_text(one.value) or None for name, one in self.values.items()}
        if self.lines:
            row["lines"] = [{name: as_text(one.value) or None for name, one in line.items()} for line in self.lines]
        return row

    def unsure(self, threshold: float) -> dict[str, tuple[str, ...]]:
        """The fields that a person should look at, each with why; those that are needed and missing, too."""
        found = {name: one.doubts or (UNSAID,) for name, one in self.values.items() if one.confidence < threshold}
        found |= {name: ("it was not found",) for name in self.kind.needed if name not in self.values}
        lines = list(self.of_lines)
        lines += [
            f"line {number}, {title_of(name).lower()}: {'; '.join(one.doubts) or UNSAID}"
            for number, line in enumerate(self.lines, start=1)
            for name, one in line.items()
            if one.confidence < threshold
        ]
        more = (f"{len(lines) - MOST_TOLD} more like these",) if len(lines) > MOST_TOLD else ()
        return found | ({LINES: (*lines[:MOST_TOLD], *more)} if lines else {})

    def packed(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind.name,
            "values": {name: one.packed() for name, one in self.values.items()},
            "lines": [{name: one.packed() for name, one in line.items()} for line in self.lines],
            "doubts": list(self.doubts),
        }


def by_rules(found: Found) -> tuple[list[Said], list[list[Said]]]:
    """What rules found, as if somebody had said it: the values, and the lines."""
    values = [Said(name, guess.printed, guess.page) for name, guess in found.values.items()]
    lines = [[Said(name, cell.printed, line.page) for name, cell in line.cells.items()] for line in found.lines]
    return values, lines


def weigh(
    kind: type[Paper],
    values: Iterable[Said],
    lines: Iterable[Iterable[Said]],
    sheet: Sheet,
    *,
    today: date,
    by_model: bool = True,
    own: str = "",
) -> Extraction:
    """Put what was read of a paper beside the paper.

    Args:
        kind: what it is.
        values: what was read; of a field that comes twice the first counts, and one that the kind does not have is left
            out.
        lines: of each line what was read.
        sheet: the paper.
        today: dates far from it are doubted.
        by_model: whether a model read it; False when the rules did, which then cannot confirm it.
        own: our own company's name.
    """
    found = extract(kind, sheet.text, own)
    fields = {name for name, _, _ in marks(kind)}
    weighed: dict[str, Weighed] = {}
    for said in values:
        if said.field in fields and said.field not in weighed and said.printed.strip():
            mark = mark_of(kind, said.field)
            guess = found.values.get(said.field)
            one = _weighed(mark, said, sheet, found.habits, guess, by_model=by_model, today=today)
            if by_model and guess is None and (said.field in kind.needed or isinstance(mark, Iban)):
                one = replace(one, confidence=min(one.confidence, ALONE))
            weighed[said.field] = one
    row_type = line_of(kind)
    weighed_lines: list[dict[str, Weighed]] = []
    if row_type:
        columns = {name: mark for name, _, mark in marks(row_type)}
        for line in lines:
            cells = {said.field: said for said in line if said.field in columns and said.printed.strip()}
            made = {
                name: _weighed(columns[name], said, sheet, found.habits, None, by_model=by_model, today=today)
                for name, said in cells.items()
            }
            weighed_lines += [made] if made else []
    checked = _checked(kind, weighed, weighed_lines, found.extra)
    return checked if by_model else replace(checked, of_lines=found.of_lines)


def _weighed(
    mark: Printed, said: Said, sheet: Sheet, habits: Habits, guess: Guess | None, *, by_model: bool, today: date
) -> Weighed:
    parts = said.printed.split(JOIN) if isinstance(mark, Amount) else []
    if len(parts) > 1:
        reading, place = _added(mark, parts, said, sheet, habits)
    else:
        reading, place = read(mark, said.printed, habits), _place(sheet, said, mark)
    if reading is None:
        why = f"“{said.printed}” is no {mark.noun}"
        return Weighed(said.printed, None, 0.0, place, (why,))
    agrees = guess is not None and _same(guess.reading.value, reading.value)
    if not by_model:
        confidence = guess.score if guess and agrees else LABELLED
    else:
        confidence = AGREED if agrees else SEEN if guess is None else DISPUTED
    made = Weighed(said.printed, reading.value, confidence, place)
    if place is None:
        return made.doubted("it does not stand on the paper like this", NOT_SEEN)
    if guess and by_model and not agrees:
        made = made.doubted(f"its label stands at “{guess.printed}”", DISPUTED)
    for doubt in guess.doubts if guess and agrees else ():
        made = made.doubted(doubt, min(confidence, DISPUTED))
    for other in guess.others if guess and agrees else ():
        made = made.doubted(f"“{other}” has such a label, too", min(confidence, DISPUTED))
    for doubt in reading.doubts:
        made = made.doubted(doubt, confidence * DOUBTED)
    furthest = today + (AHEAD if isinstance(mark, PastDay) else FURTHEST)
    if isinstance(reading.value, date) and not OLDEST <= reading.value <= furthest:
        made = made.doubted("it is an unlikely date", DOES_NOT)
    return _as_sure_as_its_letters(made, mark, sheet)


def _added(
    mark: Printed, parts: Sequence[str], said: Said, sheet: Sheet, habits: Habits
) -> tuple[Reading | None, Place | None]:
    """Several taxes are one amount, each part of which stands on the paper: `57.86 + 29.00`."""
    readings = [read(mark, part, habits) for part in parts]
    places = [_place(sheet, replace(said, printed=part), mark) for part in parts]
    amounts = [Decimal(str(one.value)) for one in readings if one is not None]
    reading = None
    if len(amounts) == len(parts):
        reading = Reading(sum(amounts, Decimal(0)), tuple(doubt for one in readings if one for doubt in one.doubts))
    there = [place for place in places if place is not None]
    if len(there) < len(parts):
        return reading, None
    boxes = tuple(box for place in there if place.page == there[0].page for box in place.boxes)
    return reading, replace(there[0], boxes=boxes, sure=min(place.sure for place in there))


def _as_sure_as_its_letters(made: Weighed, mark: Printed, sheet: Sheet) -> Weighed:
    """What was read by OCR, or heard, is no surer than its letters."""
    assert made.place is not None
    if sheet.made_by == "sound":
        if isinstance(mark, Party | Words):
            return made.doubted("it was heard, not read", min(made.confidence, made.place.sure))
        return made.doubted("a number that was heard: listen to it", HEARD)
    if made.place.page in sheet.scanned and made.place.sure < 0.9:
        why = f"its print is hard to read: OCR is {made.place.sure:.0%} sure"
        return made.doubted(why, made.confidence * made.place.sure)
    return made


def _place(sheet: Sheet, said: Said, mark: Printed) -> Place | None:
    """Where it stands; of several places the one in a row with a label of it, or else the first."""
    places = sheet.find(said.printed, said.page) or sheet.find(said.printed)
    if len(places) < 2:
        return places[0] if places else None
    labels = [label for label in mark.labels if len(label) > 2]
    for place in places:
        row = sheet.row_at(place).casefold()
        if any(label in row for label in labels):
            return place
    return places[0]


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return _letters(one) == _letters(other)
    return one == other


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


def _checked(
    kind: type[Paper], values: dict[str, Weighed], lines: list[dict[str, Weighed]], extra: Decimal
) -> Extraction:
    doubts: list[str] = []
    added_up = False
    for rule in kind.rules:
        match rule:
            case Sum():
                _check_sum(rule, values, extra)
            case LineSum():
                parts = {name for each in kind.rules if isinstance(each, Sum) for name in each.parts}
                added_up, wrong = _check_lines(rule, values, lines, parts - set(rule.totals))
                doubts += wrong
            case Product():
                _check_product(rule, lines, explained=added_up)
            case Order():
                _check_order(rule, values)
    return Extraction(kind, values, tuple(lines), tuple(doubts))


def _check_sum(rule: Sum, values: dict[str, Weighed], extra: Decimal) -> None:
    """Whether the parts are the whole, with what is printed between them that is neither, if that is so."""
    total, parts = _number(values, rule.total), {name: _number(values, name) for name in rule.parts}
    there = {name: part for name, part in parts.items() if part is not None}
    if total is None or not there:
        return
    names = [*there, rule.total]
    added = sum(there.values(), Decimal(0))
    # Without a part nothing is wrong with a sum, unless the others are more than the whole, or leave too much of it.
    if len(there) < len(parts) and abs(added) <= abs(total) and not _is_too_much(rule, there, total):
        return
    if abs(added - total) <= CENT or (len(there) == len(parts) and abs(added + extra - total) <= CENT):
        _confirm(values, names)
        return
    said = " + ".join(f"{title_of(name).lower()} {as_text(part)}" for name, part in there.items())
    for name in names:
        values[name] = values[name].doubted(f"{said} is not {title_of(rule.total).lower()} {as_text(total)}", DOES_NOT)


def _is_too_much(rule: Sum, there: Mapping[str, Decimal], total: Decimal) -> bool:
    """Whether the last part, or what the others leave for it, is more of the whole than it can be."""
    if rule.most is None:
        return False
    last = there.get(rule.parts[-1], total - sum(there.values(), Decimal(0)))
    return abs(last) > abs(total) * rule.most


def _check_lines(
    rule: LineSum, values: dict[str, Weighed], lines: Sequence[dict[str, Weighed]], others: Collection[str]
) -> tuple[bool, list[str]]:
    """Whether the lines are shown to add up, and what is wrong if they do not."""
    amounts = [_number(line, rule.column) for line in lines]
    totals = {name: number for name in rule.totals if (number := _number(values, name)) is not None}
    if not lines or not totals:
        return False, []
    if any(amount is None for amount in amounts):
        return False, ["not every line has an amount that can be read"]
    added = sum((amount for amount in amounts if amount is not None), Decimal(0))
    fitting = [name for name, number in totals.items() if abs(number - added) <= CENT]
    if fitting:
        # With a tax beside it, what the lines add up to may be the net amount under a label of the whole.
        if len(totals) == len(rule.totals) or not any(_number(values, name) for name in others):
            _confirm(values, fitting)
        return True, []
    # Where no net amount is printed, lines and tax together are the whole.
    beside = {name: number for name in others if (number := _number(values, name)) is not None}
    if beside and len(totals) < len(rule.totals):
        with_tax = added + sum(beside.values(), Decimal(0))
        if fitting := [name for name, number in totals.items() if abs(number - with_tax) <= CENT]:
            _confirm(values, [*fitting, *beside])
            return True, []
    some = " and ".join(f"{title_of(name).lower()} is {as_text(number)}" for name, number in totals.items())
    return False, [f"the lines add up to {as_text(added)}, but {some}"]


def _check_product(rule: Product, lines: list[dict[str, Weighed]], *, explained: bool) -> None:
    """Where the lines add up, one that is no product has a discount or a tax in it, if it differs by no more than that:
    it is said, and not doubted.
    """
    for line in lines:
        one, two = (_number(line, name) for name in rule.factors)
        total = _number(line, rule.total)
        if one is None or two is None or total is None:
            continue
        # A price has been rounded to its last printed digit before it was multiplied.
        slack = CENT + abs(one) * Decimal(1).scaleb(int(two.as_tuple().exponent)) / 2
        # A credit note may write the amount below zero, and not how many there were.
        if abs(abs(one * two) - abs(total)) > slack or (total > 0 > one * two):
            why = f"{as_text(one)} × {as_text(two)} is not {as_text(total)}"
            meant = explained and LEAST_LEFT <= total / (one * two) <= MOST_ADDED if one * two else False
            line[rule.total] = line[rule.total].doubted(why, 1.0 if meant else DOUBTED)


def _check_order(rule: Order, values: dict[str, Weighed]) -> None:
    first, then = (values[name].value if name in values else None for name in (rule.first, rule.then))
    if isinstance(first, date) and isinstance(then, date) and first > then:
        why = f"{title_of(rule.first).lower()} {first} is after {title_of(rule.then).lower()} {then}"
        for name in (rule.first, rule.then):
            values[name] = values[name].doubted(why, DOES_NOT)


def _confirm(values: dict[str, Weighed], names: Iterable[str]) -> None:
    """What adds up is what it seems, unless there is another doubt about it."""
    for name in names:
        if not values[name].doubts:
            values[name] = replace(values[name], confidence=max(values[name].confidence, ADDS_UP))


def _number(values: Mapping[str, Weighed], name: str) -> Decimal | None:
    value = values[name].value if name in values else None
    return value if isinstance(value, Decimal) else None

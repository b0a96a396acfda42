"""What stands on a paper, found by its labels: no model, no key, and nothing that is not printed there.

A value is looked for after its label, right of it and below it. Where several could be meant, the one with the surest
label is taken, and the others are told, so that whoever checks knows of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product

from blocks.documents.sheet import from_text
from blocks.extraction import parties, phrases, sums, tables
from blocks.extraction.labels import CLAUSE, PROSE, Hit, Segment, every, hits, segments
from blocks.extraction.recognition import is_addressed, is_title, recognition
from blocks.extraction.values import Habits, Reading, Spot, Value, find, habits_of, read, weekdays
from prompts.document_intake.schemas import OTHER, LineSum, Paper, Sum, mark_of, marks, rule_of, schemas
from prompts.document_intake.schemas.kinds import (
    Amount,
    Code,
    Currency,
    Day,
    Iban,
    Law,
    Means,
    Party,
    PastDay,
    Printed,
    Span,
    VatId,
    Words,
)

INLINE, RIGHT, BELOW_ALONE, BELOW, BEFORE, BESIDE, SUMMED = 1.0, 0.98, 0.91, 0.9, 0.9, 0.85, 0.9
UNDER_HEADING = 0.5
"""How sure it is that a value belongs to a label, by where it stands from it. An amount under one may be a table's."""
SHOWS_ITSELF, ONLY_ONE = 0.85, 0.6
"""Of what has check digits of its own; of the only date on a paper, which nothing says to be its own."""
PLACED, TIMED, NEXT_TO = 0.85, 0.82, 0.84
"""Of the date behind a place (`Bremen, 27.02.2026`), of one with a time beside it, of one right of the number."""
QUALIFIED = 0.65
"""How much is left of how sure a date is whose label says more than that."""
NO_NAME = 0.65
"""How much is left of how sure a name is that has not the shape of one."""
LEAST = 0.5
"""A value that is less sure than this is none: a blank is seen, a wrong value is not."""
CLOSE = 0.08
"""Another value whose label is less surer than this makes the first one doubtful."""
ALONE = 0.95
MOST_ROWS = 5_000
BLOCK = 4
"""Rows below a name in which its address stands."""
MOST_OF_A_LINE = 100
"""Letters of a line on which a card or cash stands."""
MOST_CELLS = 12
"""Right of a label, among which its value may be."""
_AROUND = 200
"""Letters before and after a label, within which its value may be."""

_GAP = re.compile(
    r"[\s:#=*.()\[\]–-]*(?:(?:is|of|on|at|the|to|de|du|le|la|von|vom|am|zum|bis|den|der|el|del|il|van|in|eur|usd|gbp"
    r"|chf)\b[\s:.]*){0,3}",
    re.I,
)
_SAYS_NUMBER = re.compile(r"\s*(?:nr?|no|n[°º]|№|nummer|number|num[ée]ro|número)(?!\w)[\s.:]{1,3}", re.IGNORECASE)
_OF_WHAT = re.compile(
    r"\s+(?:(?:de|d['’]|du|des|di|del|della|für|van|of|for)\s?)(?:[^\W\d_]{1,20}\s){1,4}(?:nr\.?|no\.?|n[°º]\.?"
    r"|№)\s?:?\s?",
    re.IGNORECASE,
)
"""`Facture de loyer n° 5`: what a bill is for, between its title and its number."""
_AFTER_NUMBER = re.compile(r"[\s,/|(–-]*(?:du|vom|of|dated|from|am|del|de|date)?[\s:]*", re.IGNORECASE)
_ASIDE = re.compile(r"^\(.*\)$")


@dataclass(frozen=True)
class Candidate:
    """A value that may be a field's."""

    field: str
    printed: str
    reading: Reading
    page: int
    score: float
    """0 to 1."""


@dataclass(frozen=True)
class Guess:
    """What a field most likely is."""

    printed: str
    reading: Reading
    page: int
    score: float
    """0 to 1: how sure the label is that the value belongs to it, and how alone it is."""
    others: tuple[str, ...] = ()
    """What else was printed that it could be nearly as well."""
    doubts: tuple[str, ...] = ()
    """What on the paper speaks against it, for people."""


@dataclass(frozen=True)
class Found:
    """All that rules find on a paper."""

    kind: type[Paper]
    values: dict[str, Guess]
    lines: tuple[tables.Line, ...]
    habits: Habits
    extra: Decimal = Decimal(0)
    """What is printed between net and total that is neither net nor tax, as a tip: with it they add up."""
    of_lines: tuple[str, ...] = ()
    """Why the lines may not be all or not be right, for people."""


def recognise(text: str) -> tuple[type[Paper] | None, float]:
    """Which kind of paper a text is, and how sure that is, 0 to 1; None when it surely is none of them."""
    found = recognition(text)
    return None if found.name == OTHER else schemas()[found.name], found.confidence


def extract(kind: type[Paper], text: str, own: str = "") -> Found:
    """What stands in a text that `Sheet.text` laid out.

    Args:
        kind: what it is.
        text: what stands on it.
        own: our own company's name, which is nobody who sells to us.
    """
    rows = segments(from_text(text))[:MOST_ROWS]
    habits = habits_of(text)
    rows = [told for row in rows if (told := [cell for cell in row if not is_addressed(cell.text)])]
    rule = _sum_of(kind)
    amounts = sums.said(kind, rows, habits, rule) if rule else []
    candidates = [*_labelled(kind, rows, habits), *_unlabelled(kind, rows, habits), *_summed(kind, rows, habits)]
    candidates += _around_tax(kind, rows, habits)
    candidates += _means(
        kind, rows, {row.printed.strip("€$£ ") for row in amounts if rule and rule.total in row.fields}
    )
    named = [
        (one.field, one.printed, one.reading, one.page, one.score)
        for one in candidates
        if isinstance(mark_of(kind, one.field), Party) and one.score >= LEAST
    ]
    candidates += [Candidate(*one) for one in parties.candidates(kind, rows, named)]
    candidates += [Candidate(*one) for one in parties.ours(kind, rows, own, named)]
    candidates = [_shaped(kind, one) for one in candidates if not _is_ours(one, own)]
    candidates = [one for one in candidates if one.score >= LEAST]
    if (name := "buyer") in kind.model_fields and not any(one.field == name for one in candidates):
        sellers = [str(one.reading.value) for one in candidates if one.field == "seller"]
        candidates += [Candidate(*one) for one in parties.addressee(kind, rows, sellers)]
    values = {name: guess for name, _, _ in marks(kind) if (guess := _best(name, kind, candidates))}
    values |= _that_add_up(kind, candidates)
    extra = Decimal(0)
    if rule:
        settled, extra = _settled(rule, amounts)
        values |= settled
        values |= _contradicted(rule, amounts, values, candidates, extra)
    values |= _of_the_buyer(kind, rows, values)
    lines, doubts = _lines(kind, rows, habits, values)
    return Found(kind, values, lines, habits, extra, doubts)


_TIP = re.compile(r"\b(?:tip|gratuity|trinkgeld|pourboire|propina|mancia|fooi)\b", re.IGNORECASE)
_TENDERED = re.compile(
    r"\b(?:cash|tendered|geg(?:eben|\.)?|bar|erhalten|efectivo|entregado|contant[ei]?|esp[èe]ces|ontvangen|change"
    r"|rückgeld|wechselgeld"
    r"|cambio|vuelto|resto|rendu|wisselgeld)\b",
    re.IGNORECASE,
)
"""Of what was put on the counter, which may be more than the total."""
PROVED = 0.97
"""How sure an amount is that adds up with those around it."""


def _sum_of(kind: type[Paper]) -> Sum | None:
    """The rule that net and tax are the total, if it has that."""
    return next((rule for rule in kind.rules if isinstance(rule, Sum) and len(rule.parts) == 2), None)


def _settled(rule: Sum, amounts: Sequence[sums.Row]) -> tuple[dict[str, Guess], Decimal]:
    """Net, tax and total where the block of sums shows them; and what is in the total beside net and tax."""
    found = sums.blocks(amounts, rule)
    if not found:
        return {}, Decimal(0)
    block = max(found, key=lambda one: abs(one.total.amount))
    net, tax = rule.parts
    values = {tax: _guess_of(*block.taxes), rule.total: _guess_of(block.total)}
    if block.net:
        doubts = () if block.is_base else ("what stands between it and the tax may be part of it",)
        values[net] = replace(_guess_of(block.net), doubts=doubts)
    if (more := sums.on_top(amounts, rule, block)) is None:
        return values, block.extra
    whole, between = more
    # A tip is part of what was paid; whether anything else is part of this bill, a person says.
    others = () if all(_TIP.search(row.text) for row in between) else (block.total.printed,)
    values[rule.total] = replace(_guess_of(whole), others=others)
    return values, block.extra + sum((row.amount for row in between), Decimal(0))


def _guess_of(*said: sums.Row) -> Guess:
    """An amount, or the sum of several."""
    first = said[0]
    value = sum((row.amount for row in said), Decimal(0))
    return Guess(sums.JOIN.join(row.printed for row in said), replace(first.reading, value=value), first.page, PROVED)


def _contradicted(
    rule: Sum, amounts: Sequence[sums.Row], values: dict[str, Guess], candidates: Sequence[Candidate], extra: Decimal
) -> dict[str, Guess]:
    """Net, tax and total against which other amounts speak, with that as their doubts."""
    doubted: dict[str, Guess] = {}
    net, tax = rule.parts
    known = {name: Decimal(str(values[name].reading.value)) for name in (net, tax, rule.total) if name in values}
    whole = known.get(rule.total)
    if whole is not None and (more := _more_than(rule, amounts, whole, candidates)):
        guess = values[rule.total]
        doubted[rule.total] = replace(guess, others=tuple(dict.fromkeys((*guess.others, *more))))
    if len(known) == 3 and known[net] + known[tax] + extra == whole:
        return doubted
    if net in known and len(known) < 3 and known[net] != whole:  # with all three, their sum says it
        doubted[net] = replace(values[net], doubts=(*values[net].doubts, "it adds up with no tax and no total"))
    if tax in known and _is_off(rule, amounts, known):
        why = "its rate makes something else of the other amounts"
        doubted[tax] = replace(values[tax], doubts=(*values[tax].doubts, why))
    return doubted


def _more_than(
    rule: Sum, amounts: Sequence[sums.Row], whole: Decimal, candidates: Sequence[Candidate]
) -> tuple[str, ...]:
    """What is called a total, or stands below it, and is more, and is no cash that was handed over."""
    called = [
        one.printed
        for one in candidates
        if one.field == rule.total
        and not one.reading.weak
        and isinstance(one.reading.value, Decimal)
        and abs(one.reading.value) > abs(whole)
    ]
    at = max((row.number for row in amounts if row.amount == whole and rule.total in row.fields), default=None)
    below = [
        row.printed
        for row in (sums.after(amounts, at) if at is not None else ())
        if row.text and row.amount > abs(whole) and not _TENDERED.search(row.text)
    ]
    return (*called, *below)


def _is_off(rule: Sum, amounts: Sequence[sums.Row], known: dict[str, Decimal]) -> bool:
    """Whether a tax is not what the rate beside it makes of net or total."""
    net, tax = rule.parts
    row = next((one for one in amounts if one.amount == known[tax] and tax in one.fields), None)
    if row is None:
        return False
    bases = [known[net]] if net in known else []
    return sums.fits_rate(row, bases, [known[rule.total]] if rule.total in known else []) is False


def _of_the_buyer(kind: type[Paper], rows: list[list[Segment]], values: dict[str, Guess]) -> dict[str, Guess]:
    """A VAT number in the lines below the buyer's name may be the buyer's, if it is the only one on the paper."""
    buyer = values.get("buyer")
    on_it = {spot.reading.value for row in rows for cell in row for spot in find(VatId(), cell.text, Habits())}
    if buyer is None or len(on_it) > 1:
        return {}
    named = [(y, cell) for y, row in enumerate(rows) for cell in row if str(buyer.reading.value) in cell.text]
    doubted: dict[str, Guess] = {}
    for name, guess in values.items():
        if isinstance(mark_of(kind, name), VatId) and all(
            any(0 <= y - above <= BLOCK and abs(cell.left - over.left) <= 8 for above, over in named)
            for y, row in enumerate(rows)
            for cell in row
            if guess.printed in cell.text
        ):
            doubted[name] = replace(guess, score=min(guess.score, LEAST))
    return doubted


def _lines(
    kind: type[Paper], rows: list[list[Segment]], habits: Habits, values: dict[str, Guess]
) -> tuple[tuple[tables.Line, ...], tuple[str, ...]]:
    """The lines below a heading, or else those that add up without one; and what is not clear about them."""
    headed = tables.lines(kind, rows, habits)
    rule = rule_of(kind, LineSum)
    if rule is None:
        return headed, ()
    clear = {name: one for name, one in values.items() if not one.others}
    numbers = {name: one.reading.value for name, one in clear.items() if isinstance(one.reading.value, Decimal)}
    totals = {number for name, number in numbers.items() if name in rule.totals and isinstance(number, Decimal)}
    for each in kind.rules:
        if isinstance(each, Sum) and len(each.parts) == 2 and each.total in numbers and each.parts[1] in numbers:
            totals.add(numbers[each.total] - numbers[each.parts[1]])
    totals.discard(Decimal(0))
    found = tables.above_a_sum(kind, headed, totals)
    if not found or _added(rule, found) not in totals:
        found = tables.unheaded(kind, rows, habits, sorted(totals)) or found
    doubts = tables.doubts_of(kind, found, rows, habits)
    if found and _added(rule, found) not in totals:
        doubts = ("nothing shows that these are all its lines, and no others", *doubts)
    elif not found and tables.may_be_lines(kind, rows, habits):
        doubts = ("it has rows that may be lines, but what they add up to is not clear",)
    return found, doubts


def _added(rule: LineSum, found: Sequence[tables.Line]) -> Decimal | None:
    """What lines add up to; None where one has no amount."""
    amounts = [Decimal(str(cell.reading.value)) for line in found if (cell := line.cells.get(rule.column))]
    return sum(amounts, Decimal(0)) if len(amounts) == len(found) else None


def _shaped(kind: type[Paper], one: Candidate) -> Candidate:
    """Less sure where it has not the shape of a name; and none at all where it is somebody's signature."""
    if not isinstance(mark_of(kind, one.field), Party):
        return one
    name = str(one.reading.value)
    if parties.is_signature(name) or parties.is_signature(one.printed):
        return replace(one, score=0.0)
    return one if parties.is_plain(name) else replace(one, score=one.score * NO_NAME)


def _is_ours(candidate: Candidate, own: str) -> bool:
    """Whether we would have sold to ourselves."""
    name = str(candidate.reading.value).casefold()
    return bool(own) and candidate.field == "seller" and name.startswith(own.casefold())


def _labelled(kind: type[Paper], rows: list[list[Segment]], habits: Habits) -> Iterator[Candidate]:
    for y, x, found in every(kind, rows):
        for number, hit in enumerate(found):
            end = found[number + 1].start if number + 1 < len(found) else len(rows[y][x].text)
            for field, strength in hit.fields:
                mark = mark_of(kind, field)
                for printed, reading, page, place in _near(kind, mark, rows, y, x, hit, end, habits):
                    doubtful = 0.75 if reading.doubts else 1.0
                    score = strength * place * (min(0.7, doubtful) if reading.weak else doubtful)
                    if isinstance(mark, Day) and _is_qualified(kind, rows[y], x, found[:number], hit, printed):
                        score *= QUALIFIED
                    if isinstance(mark, Code) and _is_of_another_paper(rows[y][x].text, found[:number], hit):
                        score *= QUALIFIED
                    yield Candidate(field, printed, reading, page, score)


_GENERIC = frozenset({"date", "datum", "fecha", "data", "dated", "issued"})
"""What a day is called that may be any day's."""
_BEFORE_A_DAY = frozenset((
    "on", "at", "of", "is", "in", "by", "no", "the", "before", "until", "later", "than", "or", "from", "for", "and",
    "this", "de", "du", "del", "della", "le", "la", "el", "il", "lo", "les", "los", "der", "die", "das", "den", "dem",
    "vom", "am",
    "zum", "bis", "spätestens", "van", "op", "het", "uiterlijk", "antes", "entro", "plus", "tard", "avant", "fait",
    "due", "date", "datum", "fecha", "data", "payment", "invoice", "rechnung", "facture", "factura", "fattura",
    "factuur", "signed",
))  # fmt: skip
"""Words that may stand between a date and its label."""


def _is_qualified(
    kind: type[Paper], row: Sequence[Segment], x: int, before: Sequence[Hit], hit: Hit, printed: str
) -> bool:
    """Whether a date's label is part of another one: `Collection date`, `Fecha de cargo`, `Order 5 dated 3 May`."""
    text = row[x].text
    if text[hit.start : hit.end].casefold() not in _GENERIC:
        return False
    if hit.start:
        # What stands left of it in its row, of another paper or of nothing that is looked for, is what it is of.
        left = before[-1] if before else next((hits(kind, cell)[-1] for cell in row[:x] if hits(kind, cell)), None)
        if left is not None and not left.fields:
            return True
        word = re.search(r"([^\W\d_]{3,})[ -]$", text[: hit.start])
        known = word and (word[1].casefold() in _BEFORE_A_DAY or (before and before[-1].end >= word.end(1)))
        if word and not known:
            return True
    rest = text[hit.end : hit.end + _AROUND]
    between = rest[: rest.find(printed)] if printed in rest else rest
    said = re.findall(r"[^\W\d_]{2,}", re.sub(r"\([^()]*\)", "", between).split(":")[0])
    return any(word.casefold() not in _BEFORE_A_DAY and word.casefold() not in weekdays() for word in said)


def _is_of_another_paper(text: str, before: Sequence[Hit], hit: Hit) -> bool:
    """`Gecrediteerde factuur: PB-24110`: a title with a word before it and a colon behind it is of which one it is."""
    word = re.search(r"([^\W\d_]{3,})\s$", text[: hit.start])
    if word is None or (before and before[-1].end >= word.end(1)) or not is_title(text[hit.start : hit.end]):
        return False
    return bool(re.match(r"\s*(?:n[ro°º]?\.?\s*)?:", text[hit.end :], re.IGNORECASE))


def _near(
    kind: type[Paper], mark: Printed, rows: list[list[Segment]], y: int, x: int, hit: Hit, end: int, habits: Habits
) -> Iterator[tuple[str, Reading, int, float]]:
    """The values that may belong to a label, each as printed, with how sure its place is."""
    segment = rows[y][x]
    if isinstance(mark, Party | Words):
        yield from _named(kind, mark, rows, y, x, hit, end, habits)
        return
    rest = segment.text[hit.end : min(end, hit.end + _AROUND)]
    if isinstance(mark, Code) and (of_what := _OF_WHAT.match(segment.text[hit.end : hit.end + _AROUND])):
        rest = segment.text[hit.end + of_what.end() : hit.end + _AROUND]
    right = _right_of(kind, rows[y], x) if end == len(segment.text) else []
    if isinstance(mark, Amount) and (amounts := [spot for spot in _amounts_of(right, habits)]):
        yield from amounts if len(amounts) == 1 else [amounts[-1]]
        return
    if spot := _first(mark, rest, habits):
        yield rest[spot.start : spot.end], spot.reading, segment.page, INLINE
        return
    if isinstance(mark, Span) and (
        spot := _before(mark, before := segment.text[max(hit.start - _AROUND, 0) : hit.start], habits)
    ):
        yield before[spot.start : spot.end], spot.reading, segment.page, BEFORE
        return
    if _GAP.sub("", rest, count=1).strip(" :.#*()₹$€£"):
        return
    if isinstance(mark, Code) and is_title(segment.text[hit.start : hit.end]):
        # Below its title, or right of it, a paper may have any number; but one that says that it is one.
        for other in right[:1]:
            if (said := _SAYS_NUMBER.match(other.text)) and (spot := _whole(mark, other.text[said.end() :], habits)):
                yield other.text[said.end() :][spot.start : spot.end], spot.reading, other.page, RIGHT
        return
    for other in right[:1]:
        if spot := _whole(mark, other.text, habits):
            yield other.text[spot.start : spot.end], spot.reading, other.page, RIGHT
            return
    for place, other in _below(kind, rows, y, segment):
        spot = _whole(mark, other.text, habits)
        if (
            spot
            and isinstance(mark, Code)
            and re.search(r"[^\W_]{2}", other.text[: spot.start] + other.text[spot.end :])
        ):
            return  # `12 Quay Street`
        if spot:
            sure = UNDER_HEADING if isinstance(mark, Amount) and place != BELOW_ALONE else place
            yield other.text[spot.start : spot.end], spot.reading, other.page, sure
            return


def _right_of(kind: type[Paper], row: Sequence[Segment], x: int) -> list[Segment]:
    """The cells right of a label, up to the next label."""
    found: list[Segment] = []
    for other in row[x + 1 : x + 1 + MOST_CELLS]:
        if any(hit.start <= 2 for hit in hits(kind, other)):
            break
        found.append(other)
    return found


def _below(kind: type[Paper], rows: list[list[Segment]], y: int, label: Segment) -> Iterator[tuple[float, Segment]]:
    """What stands under a label, down to what is a label again: at most three lines away."""
    for row in rows[y + 1 : y + 4]:
        if row[0].page != label.page or row[0].line - label.line > 3:
            return
        begin = bisect_left(row, label.left - 2, key=lambda cell: cell.right)
        for other in row[begin : begin + MOST_CELLS]:
            # Amounts end where their heading ends, words begin where it begins.
            overlaps = other.left < label.right + 2 and label.left - 2 < other.right
            if overlaps and not _ASIDE.match(other.text):
                if hits(kind, other):
                    return
                yield BELOW_ALONE if len(row) == len(rows[y]) == 1 else BELOW, other
                return


def _amounts_of(cells: Sequence[Segment], habits: Habits) -> list[tuple[str, Reading, int, float]]:
    found = [(cell, list(find(Amount(), cell.text, habits))) for cell in cells]
    return [
        (cell.text[spot.start : spot.end], spot.reading, cell.page, RIGHT) for cell, spots in found for spot in spots
    ]


def _first(mark: Printed, rest: str, habits: Habits) -> Spot | None:
    """The value that begins where the label ends, but for a colon and the like."""
    gap = _GAP.match(rest)
    start = gap.end() if gap else 0
    for spot in find(mark, rest, habits):
        if spot.start <= start + 1:
            if isinstance(mark, Code) and _is_no_code(rest[spot.start :], habits):
                return None
            if isinstance(mark, Amount) and spot.reading.weak and _is_day(rest, spot.start, habits):
                return None
            return spot
        loose = (
            isinstance(mark, Day | Span | Iban | VatId | Currency | Amount)
            and len(re.findall(r"\w+", rest[: spot.start])) <= 3
        )
        return spot if loose and not re.search(r"[.;]\s", rest[: spot.start]) else None
    return None


def _whole(mark: Printed, text: str, habits: Habits) -> Spot | None:
    """The value that a cell is, or begins with."""
    if isinstance(mark, Code):
        if (len(text.split()) > 3 and not re.fullmatch(r"[\d ]{4,24}", text)) or _is_no_code(text, habits):
            return None
        spot = next(find(mark, text, habits), None)
        return spot if spot and spot.start <= 4 else None
    spot = next(find(mark, text, habits), None)
    return spot if spot and spot.start <= 12 and len(text) - (spot.end - spot.start) <= 40 else None


def _is_no_code(text: str, habits: Habits) -> bool:
    """A date or an amount is not what something is known by."""
    day, amount = next(find(Day(), text, habits), None), next(find(Amount(), text, habits), None)
    return bool((day and day.start <= 1) or (amount and amount.start <= 1 and not amount.reading.weak))


def _is_day(text: str, start: int, habits: Habits) -> bool:
    return any(day.start <= start < day.end for day in find(Day(), text, habits))


def _before(mark: Printed, text: str, habits: Habits) -> Spot | None:
    """`30 days' prior written` before `notice`."""
    spots = list(find(mark, text, habits))
    if not spots:
        return None
    between = text[spots[-1].end :]
    near = len(re.findall(r"\w{2,}", between)) <= 3 and not re.search(r"[.;,:]", between)
    return spots[-1] if near else None


def _named(
    kind: type[Paper], mark: Printed, rows: list[list[Segment]], y: int, x: int, hit: Hit, end: int, habits: Habits
) -> Iterator[tuple[str, Reading, int, float]]:
    """Names and words: only after a label that stands for itself, as one with a colon, or alone in its cell, does."""
    segment = rows[y][x]
    last = hit.end + _AROUND
    rest = segment.text[hit.end : last] if isinstance(mark, Words) else segment.text[hit.end : min(end, last)]
    colon = re.match(r"\s*[:：]\s*", rest)
    if (
        isinstance(mark, Words)
        and not colon
        and re.search(r"\b(?:by|of|de|du|das recht)$", segment.text[hit.start : hit.end], re.I)
    ):
        said = re.match(r"\s*(?:the\s+|der\s+|de\s+)?([^.,;()]{2,60})", rest)
        if said and (reading := read(mark, said[1], habits)):
            yield said[1].strip(), reading, segment.page, INLINE
        return
    if not _begins(segment.text, hit) or not (colon or not rest.strip(" .*")):
        return
    said_here = rest[colon.end() :].strip() if colon else ""
    if said_here:
        if reading := read(mark, said_here, habits):
            yield _shown(said_here, reading), reading, segment.page, INLINE
        return
    # What ends in a colon, or holds another label, is no name.
    right = [
        cell
        for cell in _right_of(kind, rows[y], x)[:1]
        if not cell.text.rstrip().endswith(":") and not (isinstance(mark, Party) and hits(kind, cell))
    ]
    if right and isinstance(mark, Party) and re.fullmatch(r"[\W\d]+", right[0].text):
        below = rows[y + 1] if y + 1 < len(rows) else []
        if any(abs(cell.left - right[0].left) <= 2 for cell in below):
            return  # its number stands where its name would: what is below it is another label, and has a value, too
    for place, other in [*((RIGHT, cell) for cell in right), *_below(kind, rows, y, segment)]:
        if not _ASIDE.match(other.text) and (reading := read(mark, other.text, habits)):
            yield _shown(other.text, reading), reading, other.page, place
            return


_LEADS = re.compile(r"(?:the|der|die|das|le|la|les|l['’]|el|los|il|lo|de|het)\s?$", re.IGNORECASE)


def _begins(text: str, hit: Hit) -> bool:
    """Whether a label is the first of its cell, but for the number of its clause and an article."""
    before = text[: hit.start]
    if clause := CLAUSE.match(text):
        before = before[clause.end() :]
    return len(_LEADS.sub("", before)) <= 2


def _shown(text: str, reading: Reading) -> str:
    """What of a text is the value, as printed."""
    return str(reading.value) if str(reading.value) in text else text


def _unlabelled(kind: type[Paper], rows: list[list[Segment]], habits: Habits) -> Iterator[Candidate]:
    """What shows by itself what it is: accounts, VAT numbers, currencies; and the date beside a number."""
    for name, _, mark in marks(kind):
        if isinstance(mark, Iban | VatId):
            for row, x, segment in ((cells, x, cell) for cells in rows for x, cell in enumerate(cells)):
                for spot in find(mark, segment.text, habits):
                    if not spot.reading.doubts and not _is_anothers(kind, row, x, spot.start):
                        printed = segment.text[spot.start : spot.end]
                        yield Candidate(name, printed, spot.reading, segment.page, SHOWS_ITSELF)
        elif isinstance(mark, Currency):
            yield from _currency(name, mark, rows, habits)
        elif isinstance(mark, Law):
            for segment in (cell for row in rows for cell in row):
                if law := phrases.governing(segment.text):
                    yield Candidate(name, law, Reading(law), segment.page, BESIDE)
    yield from _only_day(kind, rows, habits)
    yield from _own_day(kind, rows, habits)
    numbers = [name for name, _, mark in marks(kind) if isinstance(mark, Code)]
    first_day = next((name for name, _, mark in marks(kind) if isinstance(mark, Day)), None)
    if not numbers or first_day is None:
        return
    for y, x, found in every(kind, rows):
        segment = rows[y][x]
        for hit in found:
            if any(name in numbers for name, _ in hit.fields):
                rest = segment.text[hit.end : hit.end + _AROUND]
                code = _first(Code(), rest, habits)
                after = _AFTER_NUMBER.match(rest, code.end) if code else None
                day = next((s for s in find(Day(), rest, habits) if after and s.start <= after.end() + 1), None)
                if day:
                    printed = rest[day.start : day.end]
                    yield Candidate(first_day, printed, day.reading, segment.page, BESIDE)
                elif code and x + 1 < len(rows[y]) and not rest[code.end :].strip(" .,"):
                    yield from _next_to(first_day, rows[y][x + 1], habits)


def _means(kind: type[Paper], rows: list[list[Segment]], totals: Collection[str]) -> Iterator[Candidate]:
    """By what was paid, where no label says it: on the line of the card or of the cash, beside a total."""
    names = [name for name, _, mark in marks(kind) if isinstance(mark, Means)]
    for name, row in ((name, row) for name in names for row in rows):
        text = "  ".join(cell.text for cell in row)
        for total in totals or {""}:
            if len(text) <= MOST_OF_A_LINE and (said := phrases.means_paid(text, total)):
                yield Candidate(name, said, Reading(said), row[0].page, BESIDE)
                break


def _next_to(name: str, cell: Segment, habits: Habits) -> Iterator[Candidate]:
    """A date that is all of the cell right of the number, perhaps with a time."""
    spot = next(find(Day(), cell.text, habits), None)
    if (
        spot
        and spot.start == 0
        and re.fullmatch(r"\s*(?:\d{1,2}:\d{2}(?::\d{2})?\s?(?:uhr|[ap]m)?)?", cell.text[spot.end :], re.I)
    ):
        yield Candidate(name, cell.text[: spot.end], spot.reading, cell.page, NEXT_TO)


_PLACE = re.compile(
    r"(?:(?:fait|en|a|à|te|getekend te"
    r"|fatto a)\s)?[^\W\d][^\W\d. -]{1,25}(?:[ -][^\W\d]{1,20}){0,2},\s?(?:(?:den|le|a|li|lì|il|am|el|d\.d\.)\s)?",
    re.IGNORECASE,
)
_TIME = re.compile(r"\W{0,3}(?:at |um |à )?(?:[01]?\d|2[0-3])[:.][0-5]\d(?!\d|[.,]\d)")


def _own_day(kind: type[Paper], rows: list[list[Segment]], habits: Habits) -> Iterator[Candidate]:
    """`Bremen, 27.02.2026`, alone in its cell, is when a paper was made; so is a date with a time, if one must be."""
    name = next((name for name, _, mark in marks(kind) if isinstance(mark, PastDay)), None)
    if name is None:
        return
    for row in rows:
        for x, cell in enumerate(row):
            if len(cell.text) > PROSE:
                continue
            for spot in find(Day(), cell.text, habits):
                before, after = cell.text[: spot.start], cell.text[spot.end :]
                printed = cell.text[spot.start : spot.end]
                if not after.strip(" .") and before and _PLACE.fullmatch(before):
                    yield Candidate(name, printed, spot.reading, cell.page, PLACED)
                elif name in kind.needed and not before.strip():
                    beside = after or (row[x + 1].text if x + 1 < len(row) else "")
                    if _TIME.match(beside):
                        yield Candidate(name, printed, spot.reading, cell.page, TIMED)


def _around_tax(kind: type[Paper], rows: list[list[Segment]], habits: Habits) -> Iterator[Candidate]:
    """Three amounts under one another, the second of them a tax, the third the sum of both: net, tax and total."""
    for rule in kind.rules:
        if not isinstance(rule, Sum) or len(rule.parts) != 2:
            continue
        net, tax = rule.parts
        column = [found for row in rows if (found := _last_amount(row, habits))]
        for one, two, three in zip(column, column[1:], column[2:], strict=False):
            label = {name for cell in two[0][:-1] for hit in hits(kind, cell) for name, _ in hit.fields}
            a, b, c = (each[2].reading.value for each in (one, two, three))
            if tax not in label or not (a and c) or a + b != c:  # type: ignore[operator]
                continue
            for name, (row, cell, spot) in ((net, one), (tax, two), (rule.total, three)):
                if name == net and len(row) > 1:
                    continue  # what a bill with one line charges is its net amount, but nobody calls it so
                yield Candidate(name, cell.text[spot.start : spot.end], spot.reading, cell.page, SUMMED)


def _last_amount(row: list[Segment], habits: Habits) -> tuple[list[Segment], Segment, Spot] | None:
    """A row's last cell, if it is an amount."""
    cell = row[-1]
    spots = [spot for spot in find(Amount(), cell.text, habits) if not spot.reading.weak]
    if len(spots) != 1 or re.search(r"[^\W\d_]{4,}", cell.text[: spots[0].start] + cell.text[spots[0].end :]):
        return None
    return row, cell, spots[0]


def _is_anothers(kind: type[Paper], row: list[Segment], x: int, start: int) -> bool:
    """Whether what begins there stands behind a label of something else: `Your VAT number: IE3348217S`."""
    before = row[x].text[:start]
    if len(before.strip(" :.")) < 2 and x:
        before = row[x - 1].text
    found = [hit for hit in hits(kind, row[x]) if hit.end <= start] or (hits(kind, row[x - 1]) if x else ())
    if not found or len(re.findall(r"\w+", before[found[-1].end :])) > 1:
        return False
    return not found[-1].fields


def _only_day(kind: type[Paper], rows: list[list[Segment]], habits: Habits) -> Iterator[Candidate]:
    """A paper with one date on it is of that date, if it is a kind that has to have one."""
    name = next((name for name, _, mark in marks(kind) if isinstance(mark, Day) and name in kind.needed), None)
    spots = [
        (y, x, cell, spot)
        for y, row in enumerate(rows)
        for x, cell in enumerate(row)
        for spot in find(Day(), cell.text, habits)
    ]
    if name and len({spot.reading.value for *_, spot in spots}) == 1:
        if any(_is_of_another(kind, name, rows, y, x) for y, x, *_ in spots):
            return
        _, _, cell, spot = spots[0]
        yield Candidate(name, cell.text[spot.start : spot.end], spot.reading, cell.page, ONLY_ONE)


def _is_of_another(kind: type[Paper], name: str, rows: list[list[Segment]], y: int, x: int) -> bool:
    """Whether a cell, or the one left of it or above it, holds a label of something else."""
    cell = rows[y][x]
    above = rows[y - 1] if y else []
    near = [cell, *rows[y][max(x - 1, 0) : x], *(c for c in above if c.left < cell.right and cell.left < c.right)]
    found = (hit for each in near for hit in hits(kind, each))
    return any(name not in {field for field, _ in hit.fields} for hit in found)


def _summed(kind: type[Paper], rows: list[list[Segment]], habits: Habits) -> Iterator[Candidate]:
    """A row that ends in three amounts of which the third is the sum of the others: net, tax and total."""
    for rule in kind.rules:
        if not isinstance(rule, Sum) or len(rule.parts) != 2:
            continue
        for row in rows:
            spots = [
                (cell, spot) for cell in row for spot in find(Amount(), cell.text, habits) if not spot.reading.weak
            ][-3:]
            if len(spots) < 3 or not any(name == rule.total for hit in hits(kind, row[0]) for name, _ in hit.fields):
                continue
            one, two, whole = (spot.reading.value for _, spot in spots)
            if one + two == whole and whole:  # type: ignore[operator]
                for name, (cell, spot) in zip((*rule.parts, rule.total), spots, strict=True):
                    printed = cell.text[spot.start : spot.end]
                    yield Candidate(name, printed, spot.reading, cell.page, SUMMED)


def _currency(name: str, mark: Currency, rows: list[list[Segment]], habits: Habits) -> Iterator[Candidate]:
    """What most of the amounts are in, or what the paper says that they are in."""
    counts: dict[Value, list[Candidate]] = {}
    for segment in (segment for row in rows for segment in row):
        for spot in find(mark, segment.text, habits):
            score = 0.6 if spot.reading.doubts else 0.9
            printed = segment.text[spot.start : spot.end]
            counts.setdefault(spot.reading.value, []).append(
                Candidate(name, printed, spot.reading, segment.page, score)
            )
    all_of = sum(map(len, counts.values()))
    for found in counts.values():
        share = len(found) / all_of
        best = max(found, key=lambda candidate: candidate.score)
        yield Candidate(name, best.printed, best.reading, best.page, best.score * (0.5 + 0.5 * share))


def _best(name: str, kind: type[Paper], candidates: Sequence[Candidate]) -> Guess | None:
    """The surest value of a field; what comes again is a little surer."""
    groups: dict[Value, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.field == name:
            groups.setdefault(candidate.reading.value, []).append(candidate)
    if not groups:
        return None
    scores = {
        value: min(0.99, max(one.score for one in group) + 0.02 * (len(group) - 1)) for value, group in groups.items()
    }
    # Of amounts with like labels the last is the one of the whole, which no page's and no part's total comes after.
    last = isinstance(mark_of(kind, name), Amount)
    order = list(groups)[::-1] if last else list(groups)
    best = max(order, key=lambda value: round(scores[value], 2))
    one = max(groups[best], key=lambda candidate: candidate.score)
    rivals = [
        value
        for value in order
        if value != best and (scores[value] > scores[best] - CLOSE or (last and _is_more(groups[value][0], one)))
    ]
    score = scores[best] * (0.6 if rivals else 1)
    if len(groups) == 1 and not one.reading.weak and not one.reading.doubts:
        score += max(0.0, ALONE - score) / 2  # a vague label is a sure one where nothing else has any
    others = tuple(groups[value][0].printed for value in rivals)
    return Guess(one.printed, one.reading, one.page, score, others)


def _is_more(other: Candidate, one: Candidate) -> bool:
    """Of all that is called a total, the whole is the largest: `Balance due 0.00` is what is left of it."""
    more, value = other.reading.value, one.reading.value
    return (
        isinstance(more, Decimal) and isinstance(value, Decimal) and not other.reading.weak and abs(more) > abs(value)
    )


def _that_add_up(kind: type[Paper], candidates: Sequence[Candidate]) -> dict[str, Guess]:
    """Where a choice of net, tax and total adds up, it is the surest one that does."""
    better: dict[str, Guess] = {}
    for rule in kind.rules:
        if not isinstance(rule, Sum) or len(rule.parts) != 2:
            continue
        names = (*rule.parts, rule.total)
        choices = [_amounts_for(name, candidates) for name in names]
        for one, two, whole in sorted(product(*choices), key=lambda trio: -sum(each.score for each in trio)):
            a, b, c = one.reading.value, two.reading.value, whole.reading.value
            if a + b == c and c and a:  # type: ignore[operator]
                for each in (one, two, whole):
                    score = min(0.99, max(each.score, 0.9))
                    better[each.field] = Guess(each.printed, each.reading, each.page, score)
                break
    return better


def _amounts_for(name: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best candidate for each value, the eight best."""
    best: dict[Value, Candidate] = {}
    for candidate in candidates:
        if candidate.field == name and candidate.score > best.get(candidate.reading.value, candidate).score - 1e-9:
            best[candidate.reading.value] = candidate
    return sorted(best.values(), key=lambda candidate: -candidate.score)[:8]

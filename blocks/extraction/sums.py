"""The block of sums at the end of a bill: net, one tax or several, what comes on top, and the total, by what adds up.

Labels alone do not say which amount is which: `Total` may stand above a tip. Amounts that stand under one another and
add up to one that is called a total show it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from blocks.extraction.labels import Segment, hits
from blocks.extraction.values import Habits, Reading, Spot, find
from prompts.document_intake.schemas import Paper, Sum
from prompts.document_intake.schemas.kinds import Amount

MOST_BETWEEN = 7
"""Rows from the net amount to the total."""
MOST_LETTERS = 160
"""Of a cell that says one amount: what is longer is a paragraph."""
CENT = Decimal("0.02")
"""By how much a tax differs that is rounded on each line."""
JOIN = " + "
"""Between the amounts of which a value is the sum: `57.86 + 29.00`."""
_RATE = re.compile(r"(?<![\w.,])(\d{1,2}(?:[.,]\d{1,3})?)\s?%")


@dataclass(frozen=True)
class Row:
    """A row that says one amount."""

    number: int
    fields: frozenset[str]
    """Of which of net, tax and total it has a label."""
    text: str
    """What is said of it."""
    printed: str
    reading: Reading
    page: int

    @property
    def amount(self) -> Decimal:
        """How much."""
        return Decimal(str(self.reading.value))


@dataclass(frozen=True)
class Block:
    """Rows that add up: the first one and all between are what the last one is."""

    net: Row | None
    """None where the first row is the net amount of a bill that calls it something else, or is none."""
    taxes: tuple[Row, ...]
    total: Row
    extra: Decimal
    """What is in the total and neither net nor tax: a tip, an outlay, what is rounded; a discount below zero."""
    is_base: bool = True
    """Whether the tax is one on the first amount: nothing comes between them."""


def blocks(amounts: Sequence[Row], rule: Sum) -> list[Block]:
    """All that add up, from top to bottom."""
    found: list[Block] = []
    for last, total in enumerate(amounts):
        block = _ending_in(amounts, last, rule)
        # What net and taxes add up to is the total, whatever it is called.
        if block and (rule.total in total.fields or not total.text or (block.net and not total.fields)):
            found.append(block)
    return found


def _ending_in(amounts: Sequence[Row], last: int, rule: Sum) -> Block | None:
    net, tax = rule.parts
    added = Decimal(0)
    for first in range(last - 1, max(last - MOST_BETWEEN, 0) - 1, -1):
        row = amounts[first]
        if amounts[last].number - row.number > 3 * MOST_BETWEEN or row.page != amounts[last].page:
            return None
        added += row.amount
        if added != amounts[last].amount or not row.amount or tax in row.fields:
            continue
        between = amounts[first + 1 : last]
        taxes = tuple(one for one in between if tax in one.fields)
        if not taxes or any({net, rule.total} & (one.fields - {tax}) and tax not in one.fields for one in between):
            continue
        others = [one for one in between if one not in taxes]
        named = net in row.fields or not row.text
        if others and not named:
            continue  # that three amounts or more add up may be by chance
        extra = sum((one.amount for one in others), Decimal(0))
        is_base = not any(one.number < taxes[0].number for one in others) or _is_rate_of(row, taxes)
        return Block(row if named else None, taxes, amounts[last], extra, is_base)
    return None


def on_top(amounts: Sequence[Row], rule: Sum, block: Block) -> tuple[Row, list[Row]] | None:
    """A total below a total, and what it is more by: `Grand total 83.22`, and `Tip 13.00` between them."""
    below = after(amounts, block.total.number)
    for last, row in enumerate(below):
        more = sum((one.amount for one in below[:last]), Decimal(0))
        if last and rule.total in row.fields and more > 0 and row.amount == block.total.amount + more:
            return row, below[:last]
    return None


def after(amounts: Sequence[Row], number: int) -> list[Row]:
    """The rows of amounts below a row, as far as they stand near it."""
    return [row for row in amounts if 0 < row.number - number <= MOST_BETWEEN]


def _is_rate_of(net: Row, taxes: Sequence[Row]) -> bool:
    """Whether each tax is what its rate makes of the amount."""
    return all(fits_rate(one, (net.amount,)) for one in taxes)


def fits_rate(tax: Row, bases: Sequence[Decimal], wholes: Sequence[Decimal] = ()) -> bool | None:
    """Whether a tax is its printed rate of one of these amounts, or in one of the `wholes`; None without one rate."""
    rates = {Decimal(rate.replace(",", ".")) for rate in _RATE.findall(tax.text)}
    if len(rates) != 1 or not (rate := rates.pop()):
        return None
    shares = [base * rate / 100 for base in bases] + [whole * rate / (100 + rate) for whole in wholes]
    return any(abs(share - tax.amount) <= CENT for share in shares)


def said(kind: type[Paper], rows: Sequence[Sequence[Segment]], habits: Habits, rule: Sum) -> list[Row]:
    """The rows that say one amount, from top to bottom."""
    names = {*rule.parts, rule.total}
    made: list[Row] = []
    for number, row in enumerate(rows):
        found = _last(row, habits) or _first(row, habits)
        if found is None:
            continue
        cell, spot, text = found
        fields: set[str] = set()
        for each in row:
            for hit in hits(kind, each):
                if _is_aside(each.text, hit.start, hit.end):
                    continue
                if each is not cell or hit.end <= spot.start or cell is row[0]:
                    # Of `Total excl. VAT` and the like the first label says what it is.
                    fields |= {name for name, _ in hit.fields} & names if not fields else set()
        printed = cell.text[spot.start : spot.end].strip()
        made.append(Row(number, frozenset(fields), text, printed, spot.reading, cell.page))
    return made


def _is_aside(text: str, start: int, end: int) -> bool:
    """`Outlays (VAT-free)` and `VAT-exempt` are no tax."""
    return bool(
        (text[:start].count("(") > text[:start].count(")") and re.search(r"[^\W\d_]{3}", text[:start]))
        or re.match(r"[- ]?(?:frei|free|exempt|exonér|exent|esent)", text[end:], re.IGNORECASE)
    )


def _last(row: Sequence[Segment], habits: Habits) -> tuple[Segment, Spot, str] | None:
    """The amount in which a row ends, with what stands before it."""
    cell = row[-1]
    if len(cell.text) > MOST_LETTERS:
        return None
    spots = [spot for spot in find(Amount(), cell.text, habits) if not spot.reading.weak]
    if not spots or re.search(r"[^\W\d_]{4,}|\d", cell.text[spots[-1].end :]):
        return None
    if len(spots) > 1 and len(row) == 1 and not re.search(r"%|\(", cell.text):
        return None
    before = " ".join([*(one.text for one in row[:-1]), cell.text[: spots[-1].start]]).strip(" .:-–_=")
    return cell, spots[-1], re.sub(r"^(?:[A-Z]{3}|[€$£])$", "", before)


def _first(row: Sequence[Segment], habits: Habits) -> tuple[Segment, Spot, str] | None:
    """The amount left of what it is: `5,286.40   before VAT`."""
    if len(row) != 2:
        return None
    cell, said = row
    if len(cell.text) > MOST_LETTERS:
        return None
    spots = [spot for spot in find(Amount(), cell.text, habits) if not spot.reading.weak]
    if len(spots) != 1 or cell.text[: spots[0].start].strip() or cell.text[spots[0].end :].strip():
        return None
    return cell, spots[0], said.text

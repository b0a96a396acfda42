"""A paper's lines: the rows below a heading that names their columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from blocks.extraction.labels import Segment, hits
from blocks.extraction.phrases import MEANS
from blocks.extraction.values import Habits, Reading, find, read
from prompts.document_intake.schemas import LineSum, Paper, PaperLine, Product, Sum, line_of, marks, rule_of
from prompts.document_intake.schemas.kinds import Amount, Count, Printed, Words

FEWEST_COLUMNS = 2
MOST_LINES = 2_000
MOST_COLUMNS = 30
_END = re.compile(
    r"(?<!\w)(?:grand total|sub-?\s?total|subtotaal|subtotale|total|totale|totaal|summe|gesamt|gesamtbetrag"
    r"|zwischensumme|netto|"
    r"montant total|amount due|balance due|nettobetrag|tax|vat|mwst|ust|tva|iva|btw|importe|imponibile|cash"
    r"|change)(?!\w)",
    re.IGNORECASE,
)


# Of a sum's label: `zzgl. 19 % MwSt. in EUR`.
_MORE_WORDS = re.compile(
    r"(?<!\w)(?!(?:zzgl|incl|inkl|excl|plus|eur|usd|gbp|chf|sum|and|und)\b)[^\W\d_]{3,}", re.IGNORECASE
)


_CARRIED = re.compile(
    r"(?:übertrag|zwischensumme|carried forward|brought forward|carry over|subtotal|sub-total|à reporter|report|reporté"
    r"|suma y sigue|riporto|a riportare|transport|overdracht|saldo anterior)(?!\w)",
    re.IGNORECASE,
)
"""A sum that is no line, and after which the table may go on."""
_NO_LINE = re.compile(
    r"^(?:your |ihr |votre |su |uw )?(?:previous |opening |last |old |alter )?(?:balance|saldo|solde)(?!\w)"
    r"|\b(?:brought|carried) forward\b"
    r"|\b(?:payments?|direct debit|deposit|zahlung|anzahlung|abschlag|acompte|anticipo|acconto|aanbetaling"
    r"|lastschrift|virement)\b"
    r".{0,24}\b(?:received|erhalten|reçue?|recibid[oa]|ricevut[oa]|ontvangen|thank|vom|le|del|van|on)(?!\w)"
    r"|^(?:already |bereits |déjà |ya |già |reeds )?(?:paid|bezahlt|gezahlt|payé|réglé|pagad[oa]|pagat[oa]"
    r"|betaald)(?!\w)",
    re.IGNORECASE,
)
"""What was paid, or is left from earlier, is no line."""
_UNITS_ALONE = re.compile(
    r"(?:[\d.,\s@x×*/€$£-]|(?<![^\W\d_])(?:l|kg|g|ml|cl|m|km|eur|gbp|usd|chf|stk?|pcs|ea|each|per|a|à|h"
    r"|std)\.?(?![^\W\d_]))+",
    re.IGNORECASE,
)
"""`2 @ 1.20`: how much of what stands above it."""
_SPACED_COUNT = re.compile(r"\d{1,3}(?: \d{3})+(?=\s+[^\W\d]|$)")
_LEADING_COUNT = re.compile(r"\d{1,4}(?:[.,]\d{1,3})?\s?(?:x|×|st\.?|stk\.?|pcs\.?)?\s+(?=[^\W\d])", re.IGNORECASE)


@dataclass(frozen=True)
class Cell:
    """One value of a line."""

    printed: str
    reading: Reading


@dataclass(frozen=True)
class Line:
    """One row of the table, by column."""

    cells: dict[str, Cell]
    page: int
    row: int = 0
    """Which of the paper's rows it stands on."""


@dataclass(frozen=True)
class _Column:
    name: str
    """Empty for a column that is not asked for."""
    mark: Printed | None
    left: float
    right: float


def lines(kind: type[Paper], rows: Sequence[Sequence[Segment]], habits: Habits) -> tuple[Line, ...]:
    """The lines of all the paper's tables that have a heading, in their order."""
    line = line_of(kind)
    if line is None:
        return ()
    found: list[Line] = []
    columns: list[_Column] = []
    summed = False
    for number, row in enumerate(rows):
        if heading := _heading(line, row):
            columns, summed = heading, False
            continue
        if not columns or is_paid(row):
            continue
        if _is_sum(kind, row, len(columns)) and any(next(find(Amount(), cell.text, habits), None) for cell in row):
            # A sum of a part: what comes after it may go on. One of the whole ends the table.
            columns = columns if re.match(r"\s*sub", row[0].text, re.IGNORECASE) else []
            summed = True
            continue
        made = _line(kind, row, columns, habits, number)
        # Below a sum, what has no quantity where the lines have one, is a discount or freight.
        widest = max((len(one.cells) for one in found), default=0) if summed else 0
        if made and not len(made.cells) <= FEWEST_COLUMNS < widest:
            found.append(made)
        if len(found) >= MOST_LINES:
            break
    return tuple(found)


def is_paid(row: Sequence[Segment]) -> bool:
    """Whether a row is of a payment or a balance: a card's line, `Balance brought forward`."""
    text = " ".join(cell.text for cell in row[:-1]) if len(row) > 1 else row[0].text
    means = MEANS.match(text.strip())
    return bool(_NO_LINE.search(text) or (means and means["brand"]))


def above_a_sum(kind: type[Paper], found: Sequence[Line], sums: Collection[Decimal]) -> tuple[Line, ...]:
    """Lines without those from one on that is the sum of all before it, unless all of them add up."""
    rule = rule_of(kind, LineSum)
    if rule is None or len(found) < 3:
        return tuple(found)
    amounts = [Decimal(str(one.reading.value)) if (one := line.cells.get(rule.column)) else None for line in found]
    added = Decimal(0)
    if sum((amount or added for amount in amounts), added) in sums:
        return tuple(found)
    for place, amount in enumerate(amounts):
        if place > 1 and amount is not None and amount == added:
            return tuple(found[:place])
        added += amount or Decimal(0)
    return tuple(found)


def doubts_of(
    kind: type[Paper], found: Sequence[Line], rows: Sequence[Sequence[Segment]], habits: Habits
) -> tuple[str, ...]:
    """What about lines a person should look at, although they may add up."""
    line = line_of(kind)
    if line is None:
        return ()
    columns = {name: mark for name, _, mark in marks(line)}
    words = next((name for name, mark in columns.items() if isinstance(mark, Words)), None)
    rule = rule_of(kind, Product)
    doubts: list[str] = []
    for place, one in enumerate(found, start=1):
        said = one.cells.get(words) if words else None
        if words and (said is None or not re.search(r"[^\W\d_]{3}", said.printed)):
            doubts.append(f"line {place} says not what it is about")
        if len(found) == 1 and len(one.cells) <= FEWEST_COLUMNS and _is_before_tax(kind, rows, one.row, habits):
            doubts.append("its only line may be the net amount")
        if rule and sum(name in one.cells for name in rule.factors) == 1 and rule.total in one.cells:
            known = next(one.cells[name].reading.value for name in rule.factors if name in one.cells)
            numbers = [spot for cell in rows[one.row] for spot in find(Count(), cell.text, habits)]
            if known not in (Decimal(1), one.cells[rule.total].reading.value) and len(numbers) > 2:
                doubts.append(f"line {place} has a number that was left out")
    return tuple(doubts)


def may_be_lines(kind: type[Paper], rows: Sequence[Sequence[Segment]], habits: Habits) -> bool:
    """Whether rows of words with an amount stand above the first sum."""
    for row in rows:
        if _amount_at_end(row, habits) is None or is_paid(row):
            continue
        if _names_a_sum(kind, row):
            return False
        if re.search(r"[^\W\d_]{3}", " ".join(cell.text for cell in row[:-1])):
            return True
    return False


def unheaded(
    kind: type[Paper], rows: Sequence[Sequence[Segment]], habits: Habits, sums: Sequence[Decimal]
) -> tuple[Line, ...]:
    """The rows of words that end in an amount, above the first sum, if they add up to one of these.

    Without a heading nothing but this shows that they are lines: where it is not so, none is told.
    """
    line = line_of(kind)
    rule = rule_of(kind, LineSum)
    if line is None or rule is None:
        return ()
    columns = {name: mark for name, _, mark in marks(line)}
    words = next((name for name, mark in columns.items() if isinstance(mark, Words)), None)
    parts = {name for each in kind.rules if isinstance(each, Sum) for name in each.parts}
    found: list[Line] = []
    amounts: list[Decimal] = []
    for number, row in enumerate(rows):
        amount = _amount_at_end(row, habits)
        if amount is None:
            continue
        if _names_a_sum(kind, row):
            # A total may stand above a table, too; a net amount and a tax do not.
            if not _CARRIED.match(row[0].text) and (found or _names_a_sum(kind, row, parts)):
                break
            continue
        if _CARRIED.match(row[0].text) or is_paid(row):
            continue
        cells = {rule.column: amount}
        text = next((cell.text for cell in row[:-1] if re.search(r"[^\W\d_]{2}", cell.text)), None)
        if all(_UNITS_ALONE.fullmatch(cell.text) for cell in row[:-1]):
            text = _said_above(rows, number)
        if text is None:
            continue
        if words and text:
            said = _without_count(text)
            if reading := read(columns[words], said, habits):
                cells = {words: Cell(said, reading), **cells}
        found.append(Line(cells | _factors(kind, columns, row, amount, habits), row[0].page, number))
        amounts.append(Decimal(str(amount.reading.value)))
        if len(found) >= MOST_LINES:
            break
    # The last rows that add up: above them may stand an earlier balance, or a deposit.
    added = Decimal(0)
    best = 0
    for count, amount_ in enumerate(reversed(amounts), start=1):
        added += amount_
        if added in sums:
            best = count
    if best and _is_sum_of_those_above(amounts, len(amounts) - best):
        return ()
    return tuple(found[-best:]) if best else ()


def _is_sum_of_those_above(amounts: Sequence[Decimal], place: int) -> bool:
    """Whether an amount is that of two rows or more right above it: it is no line, and those may be."""
    added = Decimal(0)
    for count, amount in enumerate(reversed(amounts[:place]), start=1):
        added += amount
        if count > 1 and added == amounts[place]:
            return True
    return False


def _is_before_tax(kind: type[Paper], rows: Sequence[Sequence[Segment]], number: int, habits: Habits) -> bool:
    """Whether the next amount below a row is a tax."""
    last = {each.parts[-1] for each in kind.rules if isinstance(each, Sum)}
    for row in rows[number + 1 : number + 4]:
        if _amount_at_end(row, habits) is not None:
            return any(name in last for cell in row[:-1] for hit in hits(kind, cell) for name, _ in hit.fields)
    return False


def _said_above(rows: Sequence[Sequence[Segment]], number: int) -> str | None:
    """What stands alone on the line above, as the name of what is counted on this one."""
    above = rows[number - 1] if number else []
    if len(above) != 1 or rows[number][0].line - above[0].line != 1 or not re.search(r"[^\W\d_]{3}", above[0].text):
        return None
    return above[0].text


def _without_count(text: str) -> str:
    """`2 Iced tea` as what it is, without how many."""
    count = _LEADING_COUNT.match(text)
    return text[count.end() :] if count else text


def _amount_at_end(row: Sequence[Segment], habits: Habits) -> Cell | None:
    """The amount that a row ends in."""
    if len(row) < 2:
        return None
    spots = [spot for spot in find(Amount(), row[-1].text, habits) if not spot.reading.weak]
    if not spots or not _ENDS.fullmatch(row[-1].text[spots[-1].end :]):
        return None
    spot = spots[-1]
    return Cell(row[-1].text[spot.start : spot.end], spot.reading)


_ENDS = re.compile(r"\s*(?:[A-Z*]|[A-Z]{3}|[€$£])?\s*")
"""Behind a till's amount stands the letter of its tax."""


def _names_a_sum(kind: type[Paper], row: Sequence[Segment], only: Collection[str] = ()) -> bool:
    """Whether a row has a label of one of the paper's own amounts, or of another sum, and is no line `Tax advice`.

    Args:
        kind: what the paper is.
        row: the row.
        only: the amounts that are asked about, if not about all.
    """
    amounts = {name for name, _, mark in marks(kind) if isinstance(mark, Amount) and (not only or name in only)}
    for cell in row[:-1] if len(row) > 1 else row:
        for hit in hits(kind, cell):
            if any(name in amounts for name, _ in hit.fields):
                around = cell.text[: hit.start] + cell.text[hit.end :]
                if hit.start <= 12 and not _MORE_WORDS.search(around):
                    return True
    return not only and bool(_END.match(row[0].text))


def _factors(
    kind: type[Paper], columns: dict[str, Printed], row: Sequence[Segment], amount: Cell, habits: Habits
) -> dict[str, Cell]:
    """How many at which price, where two numbers of the row are shown to be that by their product."""
    rule = rule_of(kind, Product)
    if rule is None or not set(rule.factors) <= set(columns):
        return {}
    count, price = rule.factors
    numbers = [
        (cell.text[spot.start : spot.end], spot.reading) for cell in row for spot in find(Count(), cell.text, habits)
    ][-8:]
    for first, one in enumerate(numbers[:-1]):
        for other in numbers[first + 1 : -1]:
            a, b, whole = (Decimal(str(each.value)) for each in (one[1], other[1], amount.reading))
            if a * b == whole and a != 1 and b != 1:
                return {count: Cell(*one), price: Cell(*other)}
    return {}


def _is_sum(kind: type[Paper], row: Sequence[Segment], columns: int) -> bool:
    """Whether it is the table's `Subtotal 150.00`, and no line on `Tax advice`."""
    amounts = {name for name, _, mark in marks(kind) if isinstance(mark, Amount)}
    for cell in row[:3]:
        named = [hit for hit in hits(kind, cell) if any(name in amounts for name, _ in hit.fields)]
        if named and not _MORE_WORDS.search(cell.text[: named[0].start] + cell.text[named[-1].end :]):
            return True
    if len(row) >= columns:
        return False
    return bool(_END.match(row[0].text)) or (len(row) <= 3 and any(_END.search(cell.text) for cell in row))


def _heading(line: type[PaperLine], row: Sequence[Segment]) -> list[_Column]:
    """The columns that a row names; none when it is no heading."""
    if len(row) > MOST_COLUMNS:
        return []
    named = _named(line, row)
    columns = []
    for place, segment in enumerate(row):
        name, mark = named.get(place, ("", None))
        columns.append(_Column(name, mark, segment.left, segment.right))
    taken = {name for name, _ in named.values()}
    words = next((name for name, mark, _ in _headings(line) if isinstance(mark, Words) and name not in taken), None)
    if words and columns and not columns[0].name and len(columns) > 1:
        # What stands first without a heading that is known, is what the line is about.
        mark = next(mark for name, mark, _ in _headings(line) if name == words)
        columns[0] = _Column(words, mark, columns[0].left, columns[0].right)
        taken = taken | ({words} if len(taken - {""}) >= FEWEST_COLUMNS else set())
    if len(taken - {""}) < FEWEST_COLUMNS or not any(isinstance(column.mark, Amount) for column in columns):
        return []
    return columns


@cache
def _headings(line: type[PaperLine]) -> tuple[tuple[str, Printed, re.Pattern[str]], ...]:
    """A heading is a label, perhaps with a currency or `in EUR` behind it. Longer labels first."""
    found = [(name, mark, label) for name, _, mark in marks(line) for label in mark.labels]
    found.sort(key=lambda one: -len(one[2]))
    return tuple(
        (name, mark, re.compile(rf"{re.escape(label)}\s*(?:\(?[\w€$£₹%./ ]{{0,12}}\)?)?", re.IGNORECASE))
        for name, mark, label in found
    )


def _named(line: type[PaperLine], row: Sequence[Segment]) -> dict[int, tuple[str, Printed]]:
    """By its place in the row, which column each heading names; of `Item` and `Description` the surer one."""
    found: dict[str, tuple[int, int, Printed]] = {}
    for place, segment in enumerate(row):
        parts = [segment.text.strip(" :*."), *(part.strip() for part in segment.text.split("/") if "/" in segment.text)]
        best: tuple[int, int, str, Printed] | None = None
        for said, part in enumerate(parts):
            for name, mark, pattern in _headings(line):
                sure = mark.labels.index(label) if (label := _label_of(mark, pattern, part)) else None
                if sure is not None and not (name in found and found[name][0] <= sure) and best is None:
                    best = said, sure, name, mark
        if best:
            found[best[2]] = (best[1], place, best[3])
    return {place: (name, mark) for name, (_, place, mark) in found.items()}


def _label_of(mark: Printed, pattern: re.Pattern[str], text: str) -> str | None:
    """The label that a heading begins with, if it is one."""
    if not pattern.fullmatch(text):
        return None
    begins = [label for label in mark.labels if text.casefold().startswith(label)]
    return max(begins, key=len, default=None)


def _line(
    kind: type[Paper], row: Sequence[Segment], columns: Sequence[_Column], habits: Habits, number: int
) -> Line | None:
    """One line; None for a row that has no amount, as the second line of a description."""
    cells: dict[str, Cell] = {}
    used: set[int] = set()
    for segment in row:
        column = min(columns, key=lambda one: _distance(one, segment))
        if column.mark is None or column.name in cells or _distance(column, segment) > 12:
            continue
        if cell := _cell(column.mark, segment, habits):
            cells[column.name] = cell
            used.add(id(segment))
    if not any(isinstance(column.mark, Amount) and column.name in cells for column in columns):
        return None
    marks_ = {name: mark for name, _, mark in marks(line)} if (line := line_of(kind)) else {}
    words = next(((name, mark) for name, mark in marks_.items() if isinstance(mark, Words)), None)
    if words and words[0] not in cells:
        # A column without a heading, or with one that is not known, says what the line is about.
        said = next((each for each in row if id(each) not in used and re.search(r"[^\W\d_]{3}", each.text)), None)
        if said and (cell := _cell(words[1], said, habits)):
            cells = {words[0]: cell, **cells}
    rule = rule_of(kind, LineSum)
    amount = cells.get(rule.column) if rule else None
    if amount:
        cells |= {
            name: cell
            for name, cell in _factors(kind, marks_, row, amount, habits).items()
            if _fits(kind, cells, name, cell)
        }
    return Line(cells, row[0].page, number) if len(cells) >= FEWEST_COLUMNS else None


def _fits(kind: type[Paper], cells: dict[str, Cell], name: str, cell: Cell) -> bool:
    """Whether a factor that was found by its product is missing, and agrees with the other if that is there."""
    rule = rule_of(kind, Product)
    if rule is None or name in cells:
        return False
    other = next(each for each in rule.factors if each != name)
    if other not in cells:
        return True
    one, two, whole = (Decimal(str(each.reading.value)) for each in (cell, cells[other], cells[rule.total]))
    return one * two == whole


def _distance(column: _Column, segment: Segment) -> float:
    """Letters between a column's heading and a cell; 0 where they overlap, less where their ends agree."""
    apart = max(column.left - segment.right, segment.left - column.right, 0.0)
    return apart + 0.01 * min(abs(column.left - segment.left), abs(column.right - segment.right))


def _cell(mark: Printed, segment: Segment, habits: Habits) -> Cell | None:
    if isinstance(mark, Words):
        reading = read(mark, segment.text, habits)
        return Cell(segment.text, reading) if reading and re.search(r"[^\W\d_]", segment.text) else None
    if isinstance(mark, Count) and (spaced := _SPACED_COUNT.match(segment.text)):
        reading = read(mark, spaced[0], habits)
        return Cell(spaced[0], reading) if reading else None
    for spot in _spots(mark, segment.text, habits):
        return Cell(segment.text[spot[0] : spot[1]], spot[2])
    return None


def _spots(mark: Printed, text: str, habits: Habits) -> Iterator[tuple[int, int, Reading]]:
    for spot in find(mark, text, habits):
        if spot.start <= (4 if isinstance(mark, Count) else 8):
            yield spot.start, spot.end, spot.reading

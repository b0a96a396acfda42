"""A paper's lines: the rows below a heading that names their columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from blocks.extraction.labels import Segment, hits
from blocks.extraction.values import Habits, Reading, find, read
from prompts.document_intake.schemas import LineSum, Paper, PaperLine, Product, Sum, line_of, marks
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
    for row in rows:
        if heading := _heading(line, row):
            columns = heading
            continue
        if not columns:
            continue
        if _is_sum(kind, row, len(columns)) and any(next(find(Amount(), cell.text, habits), None) for cell in row):
            # A sum of a part: what comes after it may go on. One of the whole ends the table.
            columns = columns if re.match(r"\s*sub", row[0].text, re.IGNORECASE) else []
            continue
        if made := _line(row, columns, habits):
            found.append(made)
        if len(found) >= MOST_LINES:
            break
    return tuple(found)


def unheaded(
    kind: type[Paper], rows: Sequence[Sequence[Segment]], habits: Habits, sums: Sequence[Decimal]
) -> tuple[Line, ...]:
    """The rows of words that end in an amount, above the first sum, if they add up to one of these.

    Without a heading nothing but this shows that they are lines: where it is not so, none is told.
    """
    line = line_of(kind)
    rule = next((rule for rule in kind.rules if isinstance(rule, LineSum)), None)
    if line is None or rule is None:
        return ()
    columns = {name: mark for name, _, mark in marks(line)}
    words = next((name for name, mark in columns.items() if isinstance(mark, Words)), None)
    parts = {name for each in kind.rules if isinstance(each, Sum) for name in each.parts}
    found: list[Line] = []
    amounts: list[Decimal] = []
    for row in rows:
        amount = _amount_at_end(row, habits)
        if amount is None:
            continue
        if _names_a_sum(kind, row):
            # A total may stand above a table, too; a net amount and a tax do not.
            if not _CARRIED.match(row[0].text) and (found or _names_a_sum(kind, row, parts)):
                break
            continue
        if _CARRIED.match(row[0].text) or not re.search(
            r"[^\W\d_]{2}", row[0].text + (row[1].text if len(row) > 1 else "")
        ):
            continue
        cells = {rule.column: amount}
        if words and (text := next((cell.text for cell in row[:-1] if re.search(r"[^\W\d_]{2}", cell.text)), None)):
            said = _LEADING_COUNT.sub("", text)
            if reading := read(columns[words], said, habits):
                cells = {words: Cell(said, reading), **cells}
        elif len(row) > 1:
            continue
        found.append(Line(cells | _factors(kind, columns, row, amount, habits), row[0].page))
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
    return tuple(found[-best:]) if best else ()


def _amount_at_end(row: Sequence[Segment], habits: Habits) -> Cell | None:
    """The amount that a row ends in."""
    spots = [spot for spot in find(Amount(), row[-1].text, habits) if not spot.reading.weak]
    if not spots or len(row) < 2 or not _ENDS.fullmatch(row[-1].text[spots[-1].end :]):
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
    rule = next((rule for rule in kind.rules if isinstance(rule, Product)), None)
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
    columns: list[_Column] = []
    taken: set[str] = set()
    for segment in row:
        heading = (
            (name, mark)
            for name, mark, pattern in _headings(line)
            if name not in taken and pattern.fullmatch(segment.text.strip(" :*."))
        )
        name, mark = next(heading, ("", None))
        columns.append(_Column(name, mark, segment.left, segment.right))
        taken.add(name)
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


def _line(row: Sequence[Segment], columns: Sequence[_Column], habits: Habits) -> Line | None:
    """One line; None for a row that has no amount, as the second line of a description."""
    cells: dict[str, Cell] = {}
    for segment in row:
        column = min(columns, key=lambda one: _distance(one, segment))
        if column.mark is None or column.name in cells or _distance(column, segment) > 12:
            continue
        if cell := _cell(column.mark, segment, habits):
            cells[column.name] = cell
    has_amount = any(isinstance(column.mark, Amount) and column.name in cells for column in columns)
    return Line(cells, row[0].page) if has_amount and len(cells) >= FEWEST_COLUMNS else None


def _distance(column: _Column, segment: Segment) -> float:
    """Letters between a column's heading and a cell; 0 where they overlap, less where their ends agree."""
    apart = max(column.left - segment.right, segment.left - column.right, 0.0)
    return apart + 0.01 * min(abs(column.left - segment.left), abs(column.right - segment.right))


def _cell(mark: Printed, segment: Segment, habits: Habits) -> Cell | None:
    if isinstance(mark, Words):
        reading = read(mark, segment.text, habits)
        return Cell(segment.text, reading) if reading and re.search(r"[^\W\d_]", segment.text) else None
    for spot in _spots(mark, segment.text, habits):
        return Cell(segment.text[spot[0] : spot[1]], spot[2])
    return None


def _spots(mark: Printed, text: str, habits: Habits) -> Iterator[tuple[int, int, Reading]]:
    for spot in find(mark, text, habits):
        if spot.start <= (4 if isinstance(mark, Count) else 8):
            yield spot.start, spot.end, spot.reading

"""How much of a document do the rules read, how fast, and how often wrongly? `python -m benchmarks.documents PATH`

PATH is the folder invoice2data: bills as PDF and PNG, each with a JSON of what stands on it. Every file is read in a
child of its own by `Reader.look`, twice: the first time brings the libraries and OCR's models into memory, the second
one is timed. Then the rules, which have no model and no key, recognise it, read it and weigh it.

- ms a page: of the second reading, in the child and through the pipe; the whole of it is the file's time by its pages;
- peak MB: the most memory that the child ever had (VmHWM);
- right, wrong: a value of at least `SURE`, as the JSON has it, or not;
- unsure: a value below that, which a person is shown: right or wrong, too;
- blank: there is none.

A seller is right when one name holds the other, without legal form; a leading # of a number does not count. What the
JSON does not have is not counted. The rules were tuned on these files: see how they do on yours.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from blocks.documents import Reader, Sheet, Unreadable
from blocks.extraction import evidence, rules
from blocks.extraction.evidence import Weighed
from blocks.extraction.values import LEGAL_FORM, as_text
from prompts.document_intake.schemas import Paper, find, title_of

SURE = 0.8
TEXT_PAGE_MS, OCR_PAGE_MS, PEAK_MB = 50, 8_000, 1_000
"""The goals: at most so much."""
FILES = (".pdf", ".png", ".jpg", ".jpeg")
FIELDS = {
    "number": ("invoice_number",),
    "date": ("date",),
    "due_date": ("date_due",),
    "total": ("amount",),
    "net": ("amount_untaxed",),
    "tax": ("amount_tax",),
    "currency": ("currency",),
    "seller": ("issuer", "partner_name"),
    "seller_vat_id": ("vat",),
}
"""Each field of ours with its names in the JSON."""
OUTCOMES = ("right", "wrong", "unsure, right", "unsure, wrong", "blank")


@dataclass(frozen=True)
class Result:
    """One file, read."""

    name: str
    kind: str
    pages: int
    scanned: int
    ms: float
    """A page."""
    peak_mb: float
    outcomes: dict[str, tuple[str, str]]
    """Of each field that the JSON has: how it came out, and what was read."""


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the folder invoice2data")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    results = [measured(path, expected) for path, expected in papers(options.path)]
    if not results:
        parser.error(f"no PDF and no picture with a JSON of the same name is in {options.path}")
    if options.json:
        print(json.dumps([vars(result) for result in results], indent=2))  # noqa: T201
    else:
        report(results)


def papers(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The files, each with what stands on it."""
    for path in sorted(folder.iterdir()):
        answer = path.with_suffix(".json")
        if path.suffix.lower() in FILES and answer.exists():
            found = json.loads(answer.read_text(encoding="utf-8"))
            yield path, found[0] if isinstance(found, list) else found


def measured(path: Path, expected: dict[str, Any]) -> Result:
    """One file, in a child of its own."""
    content = path.read_bytes()
    with Reader() as reader:
        try:
            reader.look(content, path.name)
        except Unreadable:
            return Result(path.name, "unreadable", 0, 0, 0.0, peak_mb(reader), judged({}, expected))
        began = time.perf_counter()
        sheet = reader.look(content, path.name)
        ms = 1000 * (time.perf_counter() - began) / len(sheet.pages)
        peak = peak_mb(reader)
    kind, values = read(sheet)
    name = kind.name if kind else "not known"
    return Result(path.name, name, len(sheet.pages), len(sheet.scanned), ms, peak, judged(values, expected))


def peak_mb(reader: Reader) -> float:
    """The most memory that the child had."""
    if reader._child is None:
        return 0.0
    status = Path(f"/proc/{reader._child.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def read(sheet: Sheet) -> tuple[type[Paper] | None, dict[str, Weighed]]:
    """What kind of paper it is, and what stands on it. What is not recognised is read as an invoice."""
    kind, _ = rules.recognise(sheet.text)
    taken = kind or find("invoice")
    values, lines = evidence.by_rules(rules.extract(taken, sheet.text))
    today = datetime.now(UTC).date()
    return kind, dict(evidence.weigh(taken, values, lines, sheet, today=today, by_model=False).values)


def judged(values: dict[str, Weighed], expected: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """How each field came out that is expected."""
    outcomes: dict[str, tuple[str, str]] = {}
    for field, names in FIELDS.items():
        wanted = [str(expected[name]) for name in names if expected.get(name) is not None]
        if not wanted:
            continue
        one = values.get(field)
        text = as_text(one.value) if one else ""
        if one is None or not text:
            outcomes[field] = "blank", ""
            continue
        right = "right" if any(same(field, text, each) for each in wanted) else "wrong"
        outcomes[field] = (right if one.confidence >= SURE else f"unsure, {right}"), text
    return outcomes


def same(field: str, read: str, wanted: str) -> bool:
    """Whether two values are one."""
    if field in ("total", "net", "tax"):
        try:
            return Decimal(read) == Decimal(wanted)
        except InvalidOperation:
            return False
    if field == "seller":
        one, other = (letters(LEGAL_FORM.sub("", name)) for name in (read, wanted))
        return bool(one and other) and (one in other or other in one)
    return letters(read) == letters(wanted)


def letters(text: str) -> str:
    """What counts of a name or a number."""
    return "".join(filter(str.isalnum, text)).casefold()


def report(results: list[Result]) -> None:
    """The tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=80)
    files = Table(title="Files", title_justify="left")
    for title in ("file", "kind", "pages", "OCR", "ms a page", "peak MB"):
        files.add_column(title, justify="left" if title in ("file", "kind") else "right")
    for one in results:
        files.add_row(
            one.name, one.kind, str(one.pages), str(one.scanned or ""), f"{one.ms:,.0f}", f"{one.peak_mb:,.0f}"
        )
    console.print(files)
    fields = Table(title=f"Values (sure: {SURE} and more)", title_justify="left")
    for title in ("field", "expected", *OUTCOMES):
        fields.add_column(title, justify="left" if title == "field" else "right")
    totals: Counter[str] = Counter()
    for field in FIELDS:
        counts = Counter(one.outcomes[field][0] for one in results if field in one.outcomes)
        totals += counts
        fields.add_row(title_of(field), *cells(counts))
    fields.add_section()
    fields.add_row("all", *cells(totals))
    console.print(fields)
    for one in results:
        for field, (outcome, text) in one.outcomes.items():
            if outcome != "right":
                console.print(f"{one.name}: {title_of(field)} is {outcome}{f': {text}' if text else ''}")
    console.print()
    for line in goals(results):
        console.print(line)


def cells(counts: Counter[str]) -> list[str]:
    """A row of the table."""
    return [str(counts.total()), *(str(counts[outcome] or "") for outcome in OUTCOMES)]


def goals(results: list[Result]) -> Iterator[str]:
    """Of each goal: met or not."""
    text = [one.ms for one in results if one.pages and not one.scanned]
    ocr = [one.ms for one in results if one.scanned]
    for title, took, most in (("page with text", text, TEXT_PAGE_MS), ("page by OCR", ocr, OCR_PAGE_MS)):
        if took:
            figures = f"median {statistics.median(took):,.0f} ms, most {max(took):,.0f} ms"
            yield f"{verdict(max(took) < most)} {title}: {figures}; goal: under {most:,} ms"
    peak = max(one.peak_mb for one in results)
    yield f"{verdict(peak < PEAK_MB)} memory of a child: most {peak:,.0f} MB; goal: under {PEAK_MB:,} MB"
    wrong = sum(outcome == "wrong" for one in results for outcome, _ in one.outcomes.values())
    yield f"{verdict(wrong == 0)} wrong and sure: {wrong}; goal: 0"


def verdict(met: bool) -> str:
    """For the eye."""
    return "met   " if met else "MISSED"


if __name__ == "__main__":
    main()

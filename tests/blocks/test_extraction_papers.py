"""A hundred papers of which somebody else wrote down what stands on each: how much of it the rules find.

The rules were developed on these. What they show is that nothing gets worse, not how the rules do on other papers.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

import prompts
from blocks.documents.sheet import from_text
from blocks.extraction import evidence, rules
from blocks.extraction.evidence import Extraction
from blocks.extraction.recognition import recognition
from blocks.extraction.values import as_text
from prompts.document_intake.schemas import OTHER, find, marks

EXPECTED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "papers.json").read_text("utf-8"))
"""By the name of a case of the prompt: the paper's kind, and its fields; of one that can be read in several ways, all.
In `free` are fields of which either answer would be right, in `lines` the amounts of its table."""
SURE = 0.8
TODAY = date(2026, 4, 15)
OWN = "Dockwell"
SAID = ("right and sure", "right, unsure", "missed", "wrong, unsure", "wrong and sure")


@dataclass
class Outcome:
    """How all came out."""

    fields: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)
    kinds: list[tuple[str, str, str, float]] = field(default_factory=list)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    found = Outcome()
    texts = {case.name: case.inputs["text"] for case in prompts.load("document_intake").cases}
    for name, expected in EXPECTED.items():
        said = recognition(texts[name])
        found.kinds.append((name, expected["kind"], said.name, said.confidence))
        if expected["kind"] != OTHER:
            read = weighed(expected["kind"], texts[name])
            for what, how in judged(expected, read):
                found.fields[how] += 1
                found.wrong += [f"{name}: {what}"] if how == "wrong and sure" else []
            if wanted := expected["fields"].get("lines"):
                found.lines[of_lines(wanted, read)] += 1
    return found


def weighed(kind: str, text: str) -> Extraction:
    sheet = from_text(text)
    values, lines = evidence.by_rules(rules.extract(find(kind), sheet.text, OWN))
    return evidence.weigh(find(kind), values, lines, sheet, today=TODAY, by_model=False, own=OWN)


def judged(expected: dict[str, Any], read: Extraction) -> Iterator[tuple[str, str]]:
    """Of each field that stands on the paper, or was read: how it came out."""
    for name, _, _ in marks(read.kind):
        wanted, one = expected["fields"].get(name), read.values.get(name)
        if name in expected["fields"].get("free", ()) or (wanted is None and one is None):
            continue
        if one is None:
            yield name, "missed"
            continue
        right = wanted is not None and is_same(wanted, as_text(one.value) or one.printed)
        sure = one.confidence >= SURE
        yield name, f"{'right' if right else 'wrong'}{' and sure' if sure else ', unsure'}"


def is_same(wanted: str | list[str], read: str) -> bool:
    """Whether it is one of what it may be."""
    return any(
        _bare(one) == _bare(read) or _are_equal(one, read) for one in ([wanted] if isinstance(wanted, str) else wanted)
    )


def _bare(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".,")


def _are_equal(one: str, other: str) -> bool:
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def of_lines(wanted: list[str], read: Extraction) -> str:
    """Whether the amounts of a table are there, all of them and no other."""
    amounts = [line["amount"].value if "amount" in line else None for line in read.lines]
    if not amounts:
        return "none"
    right = amounts == [Decimal(one) for one in wanted]
    return "right" if right else "wrong, doubted" if read.doubts else "wrong"


def test_every_paper_is_a_case_of_the_prompt() -> None:
    cases = {case.name: case for case in prompts.load("document_intake").cases}
    for name, expected in EXPECTED.items():
        assert cases[name].expect["kind"] == expected["kind"]


def test_what_is_sure_is_right(outcome: Outcome) -> None:
    sure = outcome.fields["right and sure"] + outcome.fields["wrong and sure"]
    assert outcome.fields["wrong and sure"] <= 0.01 * sure, outcome.wrong


def test_most_of_what_stands_on_them_is_found_and_sure(outcome: Outcome) -> None:
    assert set(outcome.fields) <= set(SAID)
    assert outcome.fields["right and sure"] >= 0.82 * outcome.fields.total(), outcome.fields
    assert outcome.fields["missed"] <= 0.04 * outcome.fields.total(), outcome.fields


def test_the_lines_of_their_tables_are_found_or_none_are(outcome: Outcome) -> None:
    assert outcome.lines["wrong"] == 0
    assert outcome.lines["right"] >= 0.93 * outcome.lines.total(), outcome.lines


def test_of_the_kinds_that_are_sure_at_least_95_percent_are_right(outcome: Outcome) -> None:
    sure = [(name, kind, said) for name, kind, said, confidence in outcome.kinds if confidence >= SURE]
    wrong = [one for one in sure if one[1] != one[2]]
    assert len(wrong) <= 0.05 * len(sure), wrong
    assert len(sure) >= 0.9 * len(outcome.kinds)


def test_what_is_left_out_as_another_paper_is_none_of_ours(outcome: Outcome) -> None:
    dropped = [name for name, kind, said, _ in outcome.kinds if said == OTHER != kind]
    assert len(dropped) <= 0.01 * len(outcome.kinds), dropped

"""What an evaluation found, in words: for the terminal, for programs, and as a page on a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from blocks.ledger import Ledger, PromptVersion
from tasks import comparison as comparisons
from tasks.card import Card, Evidence
from tasks.comparison import Comparison, FieldPair, Reference, points
from tasks.evaluate import Outcome
from tasks.evaluation_sheet import known_answers
from tasks.evidence import HELD_OUT
from tasks.evidence import judged as fields_judged
from tasks.plain import plain
from tasks.scoring import FieldScore, Judged, Scores, percent

SHOWN = 20
"""Cases that went wrong which are shown one by one."""

NAMED = 8
"""Cases that a comparison names on either side."""

LABELS = 8
"""A field with more values than this has no table of confusions: nobody could read it."""

LONGEST = 100
"""Characters of an input's first line, and of a value, that are shown."""


@dataclass(frozen=True)
class Wrong:
    """A case that went wrong, beside what came."""

    name: str
    begins: str
    """The first line of its input."""
    expected: dict[str, str]
    """By field, of those that are wrong."""
    got: dict[str, str]
    complaint: str
    """Why the answer is none; empty when it is one."""


@dataclass(frozen=True)
class Report:
    """An evaluation, what it was compared with, and the verdict."""

    outcome: Outcome
    rule: Evidence
    comparison: Comparison | None
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    wrong: tuple[Wrong, ...]
    """Those in a field that the card judges by come first."""

    @property
    def passed(self) -> bool:
        """Whether the version may take the place of the one in use."""
        return not self.failures

    @property
    def judged(self) -> tuple[str, ...]:
        """The fields that the verdict goes by."""
        return tuple(one.field for one in fields_judged(self.outcome.scores, self.rule))


def report(
    ledger: Ledger,
    outcome: Outcome,
    card: Card | None,
    reference: Reference | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Judge an evaluation by its card's bar.

    Args:
        ledger: holds the answers of the version that it is compared with.
        outcome: the evaluation.
        card: of the workflow that uses the prompt; without one the defaults of `Evidence` hold.
        reference: the version to compare with, by default the one in use.
        notes: what else to say.
    """
    rule = card.evidence if card else Evidence()
    if card is None:
        notes = (*notes, f"no card uses {outcome.prompt.name}: it is judged by the defaults")
    workflow = card.workflow if card else None
    found = reference or comparisons.version_in_use(ledger, outcome.prompt, outcome.version, outcome.cases, workflow)
    compared = _compared(ledger, outcome, found, rule) if found else None
    failures = comparisons.gate(rule, outcome.scores, compared)
    if compared and (short := comparisons.shortage(rule, compared)):
        # Who asks for a comparison must not be told that it passed. One that was found by itself may be of any age.
        if reference and compared.retyped and compared.answered:
            failures = (*failures, short)
        else:
            notes = (*notes, short)
    elif compared and (thin := ", ".join(_not_compared(outcome.scores, rule, compared))):
        notes = (*notes, f"NOT COMPARED with {compared.version}, whose answers had other fields: {thin}")
    judged = {one.field for one in fields_judged(outcome.scores, rule)}
    wrong = [one for one in outcome.judged if not all(part.right for part in one.parts.values())]
    wrong.sort(key=lambda one: all(part.right for field, part in one.parts.items() if field in judged))
    return Report(
        outcome=outcome,
        rule=rule,
        comparison=compared,
        failures=failures,
        notes=tuple(notes),
        wrong=tuple(_wrong(outcome, one) for one in wrong),
    )


def _compared(ledger: Ledger, outcome: Outcome, reference: Reference, rule: Evidence) -> Comparison:
    with ledger.read() as session:
        was = session.get_one(PromptVersion, reference.version).content
    retyped = was.get("schema") != outcome.prompt.schema
    theirs = known_answers(ledger, outcome.prompt, reference.version, outcome.answers.keys(), partly=retyped)
    return comparisons.compare(
        outcome.prompt, outcome.cases, outcome.answers, theirs, reference, rule.judged, retyped=retyped
    )


def _not_compared(scores: Scores, rule: Evidence, compared: Comparison) -> Iterator[str]:
    """The judged fields that too few answers of another type have."""
    of = {one.field: one.of for one in compared.fields}
    every = fields_judged(scores, rule) if compared.retyped else ()
    return (one.field for one in every if of.get(one.field, 0) < min(rule.cases, one.of))


def _wrong(outcome: Outcome, one: Judged) -> Wrong:
    parts = {field: part for field, part in one.parts.items() if not part.right}
    said = (str(one.case.inputs.get(name) or "") for name in outcome.prompt.settings.classify)
    lines = (line.strip() for text in said for line in text.splitlines())
    return Wrong(
        name=one.case.name,
        begins=next(filter(None, lines), "")[:LONGEST],
        expected={field: part.expected for field, part in parts.items()},
        got={field: part.got for field, part in parts.items()},
        complaint=one.answered.complaint,
    )


def headline(found: Report) -> str:
    """Which prompt, version, model and cases, and what it took."""
    outcome = found.outcome
    cases = f"{len(outcome.cases)} {'held-out cases' if outcome.source == HELD_OUT else f'cases of {outcome.source}'}"
    known = f"{outcome.known} answers were known" if outcome.known else "all asked now"
    return (
        f"{outcome.prompt.name} {outcome.version}, {outcome.model}, {cases}\n"
        f"${outcome.usd:.4f} and {outcome.seconds:.1f} s now; {known}"
    )


def sentences(scores: Scores) -> Iterator[str]:
    """What the tables do not say: unusable answers, certainty, texts, time and cost."""
    if unusable := scores.cases - scores.usable:
        yield f"{unusable} answers were not usable, and count as wrong."
    if scores.threshold is not None and scores.sure is not None:
        right = percent(scores.sure_and_right or 0, scores.sure) if scores.sure else "none"
        yield (
            f"It stands by {scores.sure} of {scores.cases} answers ({percent(scores.sure, scores.cases)}), those of "
            f"{scores.threshold:.2f} and more; right: {right}. The others are a person's."
        )
    if scores.calibration_error is not None:
        yield f"Stated and actual certainty differ by {scores.calibration_error:.3f} on average."
    for field, alike in scores.similarity.items():
        yield f"{field}: {alike:.2f} of 1 like the expected text; a text is neither right nor wrong."
    if scores.seconds_median:
        yield f"An answer took {scores.seconds_median:.2f} s, 95% of them at most {scores.seconds_p95:.2f} s."
    if scores.cost:
        yield f"1,000 of them cost ${1000 * scores.cost / scores.cases:.2f}."


def compared_with(found: Report) -> Iterator[str]:
    """The comparison, a line for each field and each side of it."""
    other = found.comparison
    if other is None:
        yield "There is no other version yet to compare with."
        return
    yield f"Compared with {other.version} ({comparisons.family(other.model)}, {other.why}) on {other.cases} cases:"
    for one in other.fields:
        yield (
            f"{one.field}: both right {one.both}, only this {one.ours}, only that {one.theirs}, neither {one.neither}; "
            f"p = {one.p_value:.2g}"
        )
        yield from _changed(one)


def _changed(one: FieldPair) -> Iterator[str]:
    for what, names in (("worse", one.worse), ("better", one.better)):
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield f"  {what}: {', '.join(names[:NAMED])}{more}"


def verdict(found: Report) -> str:
    """Passed, or which bar was missed, and by how much."""
    if found.failures:
        return "Failed: " + "; ".join(found.failures)
    shares = [f"{one.field} {percent(one.right, one.of)}" for one in fields_judged(found.outcome.scores, found.rule)]
    bar = f"at least {found.rule.accuracy:.0%} of {found.rule.cases} cases or more"
    if found.comparison and not comparisons.shortage(found.rule, found.comparison):
        bar += f", and at most {points(found.rule.worse_by)} worse than {found.comparison.version}"
    return f"Passed: {', '.join(shares)} right ({bar})"


def confusable(scores: Scores) -> Iterator[tuple[FieldScore, list[str]]]:
    """The fields with a mistake and few enough values for a table, each with its values."""
    for one in scores.fields:
        answered = {got for row in one.confusion.values() for got in row}
        labels = [*one.confusion, *sorted(answered - one.confusion.keys())]
        if one.right < one.of and len(labels) <= LABELS:
            yield one, labels


def as_data(found: Report) -> dict[str, Any]:
    """Everything, for programs."""
    outcome, compared = found.outcome, found.comparison
    return {
        "evaluation": outcome.id,
        "prompt": outcome.prompt.name,
        "version": outcome.version,
        "model": outcome.model,
        "source": outcome.source,
        "cases": len(outcome.cases),
        "known": outcome.known,
        "usd": outcome.usd,
        "seconds": outcome.seconds,
        "passed": found.passed,
        "failures": found.failures,
        "notes": found.notes,
        "judged": found.judged,
        "rule": found.rule.model_dump(mode="json"),
        "scores": outcome.scores.model_dump(mode="json"),
        "wrong": [asdict(one) for one in found.wrong],
        "comparison": compared.model_dump(mode="json") if compared else None,
    }


def as_markdown(found: Report) -> str:
    """A page for a run. Text from outside is escaped."""
    scores = found.outcome.scores
    first, second = headline(found).split("\n")
    lines = [f"**{plain(verdict(found))}**", "", plain(first), "", plain(second)]
    lines += ["", "| Field | Right | of | 95% interval | judged |", "|---|---|---|---|---|"]
    for one in scores.fields:
        judged = "yes" if one.field in found.judged else ""
        share, interval = percent(one.right, one.of), f"{one.low:.1%} to {one.high:.1%}"
        lines.append(f"| {plain(one.field)} | {share} | {one.of} | {interval} | {judged} |")
    for one, labels in confusable(scores):
        lines += ["", f"| {plain(one.field)}: expected, answered | " + " | ".join(map(plain, labels)) + " |"]
        lines.append("|---" * (len(labels) + 1) + "|")
        lines += [
            f"| {plain(label)} | " + " | ".join(str(row.get(got, "")) for got in labels) + " |"
            for label, row in one.confusion.items()
        ]
    lines += ["", *(f"- {plain(line)}" for line in (*found.notes, *sentences(scores), *compared_with(found)))]
    if found.wrong:
        lines += ["", "| Case | Begins | Expected | Got |", "|---|---|---|---|"]
    for each in found.wrong[:SHOWN]:
        cells = (each.name, each.begins, _pairs(each.expected), each.complaint or _pairs(each.got))
        lines.append("| " + " | ".join(map(plain, cells)) + " |")
    if len(found.wrong) > SHOWN:
        lines += ["", f"and {len(found.wrong) - SHOWN} more"]
    return "\n".join(lines)


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{field} {value}" for field, value in values.items())

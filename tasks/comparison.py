"""Comparison: what two prompt versions answered to the same cases, and whether the newer may take the older's place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from blocks.ledger import CaseAnswer, Evaluation, Ledger, ModelCall, PromptVersion
from prompts import Case, Prompt, Settings
from tasks import evidence
from tasks.card import Evidence
from tasks.evidence import HELD_OUT
from tasks.scoring import Answered, Scores, can_be_wrong, case_key, judged, percent

LISTED = 10
"""Versions that an error names, the newest first."""

WHERE_ASKED = re.compile(r"(@[^@/]+)?(/\d+)?$")
"""What `Claude.identity` adds to the model's name."""


class ComparisonError(Exception):
    """There is no such version, or it cannot be asked; the message says which there are, or why."""


class FieldPair(BaseModel):
    """How often one field was right in both versions, in one of them, and in none."""

    model_config = ConfigDict(frozen=True)

    field: str
    both: int
    ours: int
    """Only in the version that is being judged."""
    theirs: int
    """Only in the one that it is compared with."""
    neither: int
    p_value: float
    """McNemar's exact test: how probable so lopsided a split is when both versions are equally good."""
    worse: tuple[str, ...]
    """The names of the cases that only they got right."""
    better: tuple[str, ...]
    """And of those that only we did."""

    @property
    def of(self) -> int:
        """Cases that expect the field."""
        return self.both + self.ours + self.theirs + self.neither

    @property
    def loss(self) -> float:
        """By how much of 1 our share of right answers is under theirs; negative when it is above."""
        return (self.theirs - self.ours) / self.of


class Comparison(BaseModel):
    """Two versions, on the cases that both have answered."""

    model_config = ConfigDict(frozen=True)

    version: str
    """The one that ours is compared with."""
    model: str
    why: str
    """Why with this one, in words."""
    cases: int
    fields: tuple[FieldPair, ...]
    answered: int = 0
    """Cases that both have answered, whether or not the answers can be compared."""
    retyped: bool = False
    """Whether that one had another answer type: only the fields that both have are compared."""


@dataclass(frozen=True)
class Reference:
    """A version to compare with, and why with this one."""

    version: str
    model: str
    """As `PromptVersion.model` has it: the name, and for the embedded one what it has learnt from."""
    why: str


def compare(
    prompt: Prompt,
    cases: Sequence[Case],
    ours: Mapping[str, Answered],
    theirs: Mapping[str, Answered],
    reference: Reference,
    fields: Sequence[str] = (),
    *,
    retyped: bool = False,
) -> Comparison:
    """The paired comparison.

    Args:
        prompt: whose answers they are.
        cases: those that are not answered by both are left out.
        ours: by `case_key`.
        theirs: by `case_key`.
        reference: whose `theirs` are.
        fields: the fields to compare; without any, every one that the cases expect and that can be right or wrong.
        retyped: `theirs` were of another answer type, and are read field by field. What they lack is left out.
    """
    shared = [case for case in cases if case_key(case) in ours and case_key(case) in theirs]
    both = list(zip(judged(prompt, shared, ours), judged(prompt, shared, theirs), strict=True))
    names = [name for name in can_be_wrong(prompt.answer, shared) if name in fields or not fields]
    if retyped:
        both = [(a, b) for a, b in both if any(name in b.parts for name in names)]
    results = {
        name: [(a.case.name, a.parts[name].right, b.parts[name].right) for a, b in both if name in b.parts]
        for name in names
    }
    return Comparison(
        version=reference.version,
        model=reference.model,
        why=reference.why,
        cases=len(both),
        fields=tuple(pair(name, each) for name, each in results.items() if each),
        answered=len(shared),
        retyped=retyped,
    )


def pair(field: str, results: Sequence[tuple[str, bool, bool]]) -> FieldPair:
    """One field of a comparison, from each case's name and whether we, and they, got it right."""
    better = tuple(name for name, ours, theirs in results if ours and not theirs)
    worse = tuple(name for name, ours, theirs in results if theirs and not ours)
    both = sum(ours and theirs for _, ours, theirs in results)
    return FieldPair(
        field=field,
        both=both,
        ours=len(better),
        theirs=len(worse),
        neither=len(results) - both - len(better) - len(worse),
        p_value=mcnemar(len(better), len(worse)),
        worse=worse,
        better=better,
    )


def mcnemar(one: int, other: int) -> float:
    """The two-sided exact p-value that both are equally good, from how many cases only one, and only the other, has."""
    cases, fewer = one + other, min(one, other)
    return min(1.0, 2 * sum(math.comb(cases, k) for k in range(fewer + 1)) / (1 << cases))


def gate(rule: Evidence, scores: Scores, comparison: Comparison | None) -> tuple[str, ...]:
    """What a version fails of its card's bar, each with by how much; nothing when it passes.

    Args:
        rule: the card's.
        scores: how the version did.
        comparison: with the version in use, of the judged fields; None when there is none.
    """
    found = {one.field: one for one in evidence.judged(scores, rule)}
    failures = [f"no case expects {name}, which the card judges by" for name in rule.judged if name not in found]
    if not found and not failures:
        failures = ["no case expects a field that can be right or wrong"]
    for one in found.values():
        if one.of < rule.cases:
            failures.append(f"{one.field}: {one.of} cases are too few, the card asks for {rule.cases}")
        if one.right < rule.accuracy * one.of:
            short = points(rule.accuracy - one.right / one.of)
            failures.append(f"{one.field}: {percent(one.right, one.of)} right is {short} under {rule.accuracy:.0%}")
    return (*failures, *(_regressions(rule, comparison) if comparison else ()))


def _regressions(rule: Evidence, comparison: Comparison) -> Iterator[str]:
    for one in comparison.fields:
        if one.theirs - one.ours > rule.worse_by * one.of + 1e-9:  # 0.02 * 50 is not quite 1
            worse, allowed = points(one.loss), points(rule.worse_by)
            than = f"than {comparison.version} on {one.of} cases"
            yield f"{one.field}: {worse} worse {than}, at most {allowed} are allowed"


def shortage(rule: Evidence, comparison: Comparison) -> str:
    """Why a comparison says little or nothing; empty when it is of as many cases as the card asks for."""
    if comparison.cases >= rule.cases:
        return ""
    asks = f"the card asks for {rule.cases}"
    if comparison.retyped:
        return (
            f"NOT COMPARED with {comparison.version}: its answers had other fields than today's, and only "
            f"{comparison.cases} of them can be compared, {asks}"
        )
    return f"only {comparison.cases} cases are answered by {comparison.version} as well, {asks}: that says little"


def points(difference: float) -> str:
    """A difference of two shares in percentage points; never shown as nothing."""
    return f"{math.ceil(difference * 1000 - 1e-9) / 10:.1f} points"


def version_in_use(
    ledger: Ledger, prompt: Prompt, version: str, cases: Sequence[Case], workflow: str | None
) -> Reference | None:
    """The version that `version` would replace; None when none has answered any of these cases.

    That is the one that the workflow asked last. Where it has not asked any other, it is the newest other one with a
    finished evaluation on held-out cases, of the same kind of model if there is one.
    """
    with ledger.read() as session:
        mine = session.get(PromptVersion, version)
        others = sa.and_(PromptVersion.prompt == prompt.name, PromptVersion.version != version)
        known = {row.version: row for row in session.scalars(sa.select(PromptVersion).where(others))}
        able = known.keys() & _who_answered(session, prompt.name, {case_key(case) for case in cases})
        used = [each for each in session.scalars(_used(prompt.name, workflow)) if each in able] if workflow else []
        tried = [each for each in session.scalars(_tried(prompt.name)) if each in able]
    if used:
        return Reference(used[0], known[used[0]].model, f"in use by {workflow}")
    alike = [each for each in tried if mine and family(known[each].model) == family(mine.model)]
    newest = next(iter(alike or tried), None)
    return Reference(newest, known[newest].model, "the newest other version") if newest else None


def find_version(ledger: Ledger, prompt: Prompt, version: str, prefix: str) -> PromptVersion:
    """The version other than `version` that begins with `prefix`.

    Raises:
        ComparisonError: none does, or several do; the message lists those that there are.
    """
    table = PromptVersion
    query = sa.select(table).where(table.prompt == prompt.name, table.version != version)
    with ledger.read() as session:
        rows = list(session.scalars(query.order_by(table.created_at.desc())))
    found = [row for row in rows if row.version.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if version.startswith(prefix) and not found:
        raise ComparisonError(f"{version} is the version itself; {_listed(rows)}")
    if found:
        raise ComparisonError(f"several versions of {prompt.name} begin with {prefix}: {_names(found)}")
    raise ComparisonError(f"no version of {prompt.name} begins with {prefix}; {_listed(rows)}")


def rebuilt(prompt: Prompt, row: PromptVersion) -> Prompt:
    """The prompt as it was under an older version, to be asked again.

    Raises:
        ComparisonError: its text is not remembered, or its answers had another shape than today's.
    """
    try:
        was = Prompt(
            name=prompt.name,
            settings=Settings.model_validate(row.content["settings"]),
            system=row.content["system"],
            user=row.content["user"],
            replies=row.content["replies"],
            answer=prompt.answer,
        )
    except (KeyError, ValueError):
        raise ComparisonError(f"the text of version {row.version} is not in the ledger") from None
    if row.content.get("schema") != prompt.schema:
        raise ComparisonError(f"the answers of version {row.version} had other fields than today's")
    return was


def family(identity: str) -> str:
    """A model's name, without what it has learnt from, and where and how it is asked."""
    return WHERE_ASKED.sub("", identity.partition("+")[0])


def _who_answered(session: Session, prompt: str, keys: Set[str]) -> set[str]:
    """The versions of a prompt with an answer to any of these cases."""
    query = sa.select(CaseAnswer.prompt_version, CaseAnswer.case_key).distinct()
    query = query.join(PromptVersion, PromptVersion.version == CaseAnswer.prompt_version)
    rows = session.execute(query.where(PromptVersion.prompt == prompt)).tuples()
    return {version for version, key in rows if key in keys}


def _used(prompt: str, workflow: str) -> sa.Select[tuple[str]]:
    """The versions that a workflow has asked, the one that it asked last first."""
    calls = ModelCall
    mine = sa.select(calls.prompt_version).where(calls.workflow == workflow, calls.prompt == prompt)
    return mine.group_by(calls.prompt_version).order_by(sa.func.max(calls.id).desc())


def _tried(prompt: str) -> sa.Select[tuple[str]]:
    """The versions with a finished evaluation on held-out cases, the newest first."""
    table = Evaluation
    done = sa.and_(table.prompt == prompt, table.source == HELD_OUT, table.state == "done")
    query = sa.select(table.prompt_version).where(done)
    return query.group_by(table.prompt_version).order_by(sa.func.max(table.id).desc())


def _listed(rows: Sequence[PromptVersion]) -> str:
    return f"there are {_names(rows)}" if rows else "there is no other yet"


def _names(rows: Sequence[PromptVersion]) -> str:
    more = f" and {len(rows) - LISTED} older ones" if len(rows) > LISTED else ""
    named = ", ".join(f"{row.version} ({row.created_at:%d %b %Y}, {family(row.model)})" for row in rows[:LISTED])
    return named + more

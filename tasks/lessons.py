"""Lessons: what people decided about a workflow's answers becomes cases of its prompt, with personal data masked.

An approval confirms the answer's labels, an edit says what the text should have been, and a rejection puts the labels
in doubt: then only what the reviewer names is learnt. Nothing here writes a case; `deployments/cases.py` shows them to
a person first.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal

import sqlalchemy as sa

from blocks.ledger import Action, Decision, Ledger, Mirror, ModelCall, Record
from prompts import Case, Prompt
from prompts.cases import choices, key_of, refusal, split_of
from prompts.fields import probability_field
from tasks import records
from tasks.actions import BY_CARD, KINDS, noun_of
from tasks.approvals import TAKEN_BACK
from tasks.card import Card
from tasks.masking import Mask

OWN_NAME = "company"
"""The variable by which prompts and replies name us."""

LONGEST = 20_000
"""Characters of a case's inputs. Longer ones would make the file unreadable, and no model reads them whole."""

MOST_WORDS = 6
"""A comment of more words says more than the label that it mentions."""

CROWDED = 1.2
"""A label with so many times the average label's cases needs no more of them."""

PROPOSED = ("approved", "rejected")
NOBODY = ("", TAKEN_BACK["approver"])
"""The approvers of rejections that say nothing about the answer: unreadable forms, and cancelled runs."""

Kind = Literal["correction", "edit", "by hand", "confirmation"]
KINDS_IN_ORDER: tuple[Kind, ...] = ("correction", "edit", "by hand", "confirmation")

EXPLICIT = re.compile(r"(?<!\w)([A-Za-z_]\w*)\s*([=:])\s*([\w-]+(?: [\w-]++(?!\s*[=:]))*)")
NEGATION = re.compile(
    r"\b(?:not?|never|neither|nor|isn['’]?t|kein\w*|nicht|pas|jamais|nunca)\b|n['’]t\b", re.IGNORECASE
)
CLAUSE = re.compile(r"[.,;:!?\n]")


@dataclass(frozen=True)
class Source:
    """A workflow that uses the prompt: its card, and what its flow tells the prompt about a record."""

    card: Card
    variables: Callable[[Record], Mapping[str, Any]]


@dataclass(frozen=True)
class Lesson:
    """What a person's word about one record teaches. Nothing is masked yet."""

    source: Source
    record: Record
    kind: Kind
    expect: dict[str, Any]
    """The answer's fields that are known to be right, labels and texts."""
    why: str
    """Who said so, and how."""


@dataclass(frozen=True)
class Doubt:
    """A rejected answer of which nobody said what would have been right."""

    source: Source
    record: Record
    why: str
    """Who rejected it, and the comment; what cannot be understood in it."""


@dataclass
class Heard:
    """What the decisions of one workflow, or of several, teach."""

    lessons: list[Lesson] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    redacted: int = 0
    """Records on which people decided, and whose content is gone."""


@dataclass(frozen=True)
class Masked:
    """A record as a case may hold it."""

    inputs: dict[str, Any]
    expect: dict[str, Any]
    counts: dict[str, int]
    """How many different things of each kind were masked."""


@dataclass(frozen=True)
class Proposal:
    """A case that could be added."""

    case: Case
    kind: Kind
    workflow: str
    record_id: int
    answered: dict[str, Any]
    """The labels that the model gave."""
    probability: float | None
    why: str
    masked: dict[str, int]


@dataclass(frozen=True)
class Refused:
    """A lesson that cannot become a case, and why."""

    workflow: str
    record_id: int
    why: str


@dataclass
class Proposals:
    """The most telling new cases, and what became of the other lessons."""

    chosen: list[Proposal] = field(default_factory=list)
    contradicting: list[Refused] = field(default_factory=list)
    """Their words are a case's already, which expects something else."""
    unusable: list[Refused] = field(default_factory=list)
    known: int = 0
    """Lessons that are cases already."""
    left: int = 0
    """Lessons that were not looked at, because there were enough more telling ones."""


# What people decided


def heard(ledger: Ledger, source: Source, prompt: Prompt) -> Heard:
    """What people's decisions about one workflow's records teach. Records in quarantine, and those of which an action
    still waits, teach nothing; nor does the card's own word.
    """
    found = Heard()
    for record, decided, asked_at in _decided(ledger, source.card.workflow):
        if record.redacted_at is not None:
            found.redacted += 1
        elif record.answer and not _answered_anew(asked_at, decided):
            lesson = _lesson(source, prompt, record, decided)
            if isinstance(lesson, Lesson):
                found.lessons.append(lesson)
            elif lesson is not None:
                found.doubts.append(lesson)
    return found


Decided = Sequence[tuple[Action, Decision]]


def _decided(ledger: Ledger, workflow: str) -> Iterator[tuple[Record, Decided, datetime | None]]:
    """Each record on which a person has decided, with these decisions and when the model was last asked about it."""
    by_people = sa.and_(
        Action.workflow == workflow,
        Action.record_id.is_not(None),
        Decision.action_id == Action.id,
        Decision.approver != BY_CARD,
        Decision.verdict.in_(PROPOSED),
    )
    waiting = sa.select(Action.record_id).where(Action.workflow == workflow, Action.state == "waiting")
    theirs = sa.select(Action.record_id).where(by_people)
    last_asked = sa.select(ModelCall.record_id, sa.func.max(ModelCall.created_at)).group_by(ModelCall.record_id)
    wanted = sa.select(Record).where(
        Record.id.in_(theirs), Record.id.not_in(waiting.where(Action.record_id.is_not(None)))
    )
    decided: dict[int, list[tuple[Action, Decision]]] = {}
    with ledger.read() as session:
        for action, decision in session.execute(sa.select(Action, Decision).where(by_people).order_by(Decision.id)):
            decided.setdefault(action.record_id, []).append((action, decision))
        asked = dict(session.execute(last_asked.where(ModelCall.record_id.in_(theirs))).tuples().all())
        found = list(session.scalars(wanted.where(Record.state != records.QUARANTINED).order_by(Record.id)))
    return ((record, decided[record.id], asked.get(record.id)) for record in found)


def _answered_anew(asked_at: datetime | None, decided: Decided) -> bool:
    """Whether the record was replayed after people had decided: they judged an answer that is no longer there."""
    return asked_at is not None and any(action.created_at < asked_at for action, _ in decided)


def _lesson(source: Source, prompt: Prompt, record: Record, decided: Decided) -> Lesson | Doubt | None:
    rejections = [decision for _, decision in decided if decision.verdict == "rejected"]
    if any(decision.approver in NOBODY for decision in rejections):
        return None
    labels = labels_of(prompt, record.answer)
    said = hint(prompt, (decision.comment for _, decision in decided))
    if rejections:
        named = said.expect or (hinted(prompt, (d.comment for d in rejections), labels) if not said.wrong else {})
        if not named or said.wrong:
            return Doubt(source, record, "; ".join(filter(None, (_verdict(rejections), said.wrong))))
        approved = (f"{d.approver} approved the {noun_of(a.kind)}" for a, d in decided if d.verdict == "approved")
        return Lesson(source, record, _kind(labels, named), named, "; ".join([_verdict(rejections), *approved]))
    # What the model itself left to a person was not put to anybody as right: only what the reviewer says counts.
    expect = {**({} if record.sure is False else labels), **said.expect}
    texts = _edited(prompt, record, decided)
    if not expect and not texts:
        return None
    kind = _kind(labels, expect)
    return Lesson(
        source, record, "edit" if texts and kind == "confirmation" else kind, expect | texts, _approval(decided)
    )


def _kind(labels: Mapping[str, Any], expect: Mapping[str, Any]) -> Kind:
    return "correction" if any(labels.get(name) != value for name, value in expect.items()) else "confirmation"


def _verdict(rejections: Sequence[Decision]) -> str:
    return "; ".join(
        f"{decision.approver} rejected it" + (f": “{decision.comment}”" if decision.comment else "")
        for decision in rejections
    )


def _approval(decided: Decided) -> str:
    edited = next((pair for pair in decided if pair[1].edited), None)
    action, decision = edited or decided[0]
    what = f"changed the {noun_of(action.kind)}" if edited else "approved it as it was"
    return f"{decision.approver} {what}" + (f": “{decision.comment}”" if decision.comment else "")


def _edited(prompt: Prompt, record: Record, decided: Decided) -> dict[str, str]:
    """The texts that people rewrote, by the answer's field from which each came."""
    texts: dict[str, str] = {}
    for action, decision in decided:
        editable = KINDS[action.kind].editable if action.kind in KINDS else None
        if not decision.edited or editable is None:
            continue
        came_from = _field_with(prompt, record.answer or {}, str(action.payload.get(editable)))
        if came_from:
            texts[came_from] = str(decision.payload.get(editable))
    return texts


def _field_with(prompt: Prompt, answer: Mapping[str, Any], text: str) -> str | None:
    """The answer's text that an action was made of; None when the flow had put it together."""
    labels = choices(prompt)
    same = (n for n, value in answer.items() if n not in labels and isinstance(value, str))
    return next((name for name in same if answer[name].strip() == text.strip()), None)


def labels_of(prompt: Prompt, answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of an answer that are one of a few values, without those that are none today."""
    fields = choices(prompt)
    return {name: answer[name] for name in fields if answer and answer.get(name) in fields[name]}


# What a comment says


@dataclass(frozen=True)
class Hint:
    """What comments name by `field=value`; and what in them cannot be understood."""

    expect: dict[str, Any]
    wrong: str = ""
    is_slip: bool = False
    """Whether somebody wrote `field=value` and slipped, so that what they meant can still be asked."""


def hint(prompt: Prompt, comments: Iterable[str]) -> Hint:
    """What reviewers name by `field=value`, such as `intent=support`."""
    fields = choices(prompt)
    named: dict[str, Any] = {}
    for comment in comments:
        for found in EXPLICIT.finditer(comment):
            name, is_slip, said = found[1].lower(), found[2] == "=", found[3]
            if name not in fields:
                if is_slip and _is_meant(fields, name, said):
                    return Hint({}, f"there is no {found[1]}; the answer has {', '.join(fields)}", is_slip)
                continue
            if NEGATION.search(CLAUSE.split(comment[: found.start()])[-1]):
                return Hint({}, f"it says what the {name} is not; say what it is")
            value = _value(fields[name], said)
            if value is None:
                offered = ", ".join(map(str, fields[name]))
                return Hint({}, f"{name} cannot be {said}; it can be {offered}", is_slip)
            if named.setdefault(name, value) != value:
                return Hint({}, f"{name} cannot be {named[name]} and {value}", is_slip)
    return Hint(named)


def _is_meant(fields: Mapping[str, Sequence[Any]], name: str, said: str) -> bool:
    """Whether what is no field is a slip of one: a name that is nearly one, or a label of one."""
    return bool(get_close_matches(name, fields, n=1)) or any(_value(values, said) for values in fields.values())


def hinted(prompt: Prompt, comments: Iterable[str], answered: Mapping[str, Any]) -> dict[str, Any]:
    """The one label that short comments name by itself (`support`); nothing when they say what it is not."""
    said = " ".join(comments)
    if NEGATION.search(said) or len(said.split()) > MOST_WORDS:
        return {}
    found = [(name, value) for name, values in choices(prompt).items() for value in values if _names(said, value)]
    if len(found) != 1 or answered.get(found[0][0]) == found[0][1]:
        return {}
    return dict(found)


def _value(values: Sequence[Any], said: str) -> Any:
    """The longest beginning of what was said that is one of the values: `demo request, please`."""
    words = re.split(r"[ _-]+", said.casefold())
    spelt = {"_".join(re.split(r"[ _-]+", str(value).casefold())): value for value in values}
    beginnings = ("_".join(words[:end]) for end in range(len(words), 0, -1))
    return next((spelt[beginning] for beginning in beginnings if beginning in spelt), None)


def _names(comment: str, value: Any) -> bool:
    spelt = r"[ _-]".join(map(re.escape, re.split(r"[ _-]+", str(value))))
    return re.search(rf"(?<!\w){spelt}(?!\w)", comment, re.IGNORECASE) is not None


# What people did by hand


def by_hand(ledger: Ledger, source: Source, prompt: Prompt, person: str | None = None) -> Heard:
    """What people labelled in the mirror teaches. Where two of them differ, neither is believed."""
    query = sa.select(Mirror, Record).join(Record, Record.id == Mirror.record_id)
    query = query.where(Mirror.workflow == source.card.workflow).order_by(Mirror.id)
    rows: dict[int, list[tuple[Mirror, Record]]] = {}
    with ledger.read() as session:
        for mirror, record in session.execute(query if person is None else query.where(Mirror.person == person)):
            rows.setdefault(record.id, []).append((mirror, record))
    found = Heard()
    for done in rows.values():
        record, answers = done[0][1], [labels_of(prompt, mirror.answer) for mirror, _ in done]
        if record.redacted_at is not None:
            found.redacted += 1
        elif answers[0] and all(answer == answers[0] for answer in answers):
            differs = record.answer and _kind(labels_of(prompt, record.answer), answers[0]) == "correction"
            who = " and ".join(dict.fromkeys(mirror.person for mirror, _ in done))
            kind: Kind = "correction" if differs else "by hand"
            found.lessons.append(Lesson(source, record, kind, answers[0], f"{who} did it by hand"))
    return found


# From lessons to cases


def propose(prompt: Prompt, lessons: Sequence[Lesson], limit: int) -> Proposals:
    """At most `limit` new cases, the most telling first: corrected labels, then texts that were changed, then what was
    done by hand, then what was confirmed where the model was least sure. Labels with cases in plenty come last.
    """
    crowded = _crowded(prompt)
    ordered = sorted(lessons, key=lambda lesson: _telling(prompt, lesson, crowded))
    cases = {key_of(prompt, case.inputs): case for case in prompt.cases}
    names = {case.name for case in prompt.cases}
    found = Proposals()
    for number, lesson in enumerate(ordered):
        if len(found.chosen) >= limit:
            found.left = len(ordered) - number
            break
        _sort_in(prompt, lesson, found, cases, names)
    return found


def unknown(prompt: Prompt, doubts: Iterable[Doubt]) -> Iterator[tuple[Doubt, Masked]]:
    """The doubts that no case settles already, masked."""
    known = {key_of(prompt, case.inputs) for case in prompt.cases}
    for doubt in doubts:
        masked = mask(prompt, doubt.source, doubt.record, {})
        if isinstance(masked, Masked) and key_of(prompt, masked.inputs) not in known:
            yield doubt, masked


def settled(prompt: Prompt, doubt: Doubt, expect: dict[str, Any], by: str) -> Lesson:
    """The lesson of a doubt, once a person has said what is right."""
    kind = _kind(labels_of(prompt, doubt.record.answer), expect)
    return Lesson(doubt.source, doubt.record, kind, expect, f"{by} says so; {doubt.why}")


def mask(prompt: Prompt, source: Source, record: Record, expect: Mapping[str, Any]) -> Masked | str:
    """The record as a case may hold it, all of the prompt's variables and no others; or why it cannot be one."""
    try:
        given = dict(source.variables(record))
    except Exception as error:  # noqa: BLE001 - the builder's own code: one record must not stop them all
        return f"its flow's variables() fails: {type(error).__name__}: {str(error).splitlines()[0]}"
    inputs = json.loads(json.dumps({name: given.get(name) for name in sorted(prompt.variables)}, default=str))
    if len(json.dumps(inputs)) > LONGEST:
        return f"it is longer than {LONGEST:,} characters"
    texts = {name: value for name, value in expect.items() if name not in choices(prompt)}
    hidden = Mask(
        inputs, record.payload, record.context, texts, own=[str(given.get(OWN_NAME) or "")], allowed=source.card.allowed
    )
    masked = {name: hidden.apply(value) if name in texts else value for name, value in expect.items()}
    return Masked(hidden.apply(inputs), masked, hidden.counts)


def _sort_in(prompt: Prompt, lesson: Lesson, found: Proposals, cases: dict[str, Case], names: set[str]) -> None:
    """Put one lesson where it belongs: among the chosen, the known, the contradicting or the unusable."""
    workflow, number = lesson.source.card.workflow, lesson.record.id
    masked = mask(prompt, lesson.source, lesson.record, lesson.expect)
    if isinstance(masked, str):
        found.unusable.append(Refused(workflow, number, masked))
        return
    key = key_of(prompt, masked.inputs)
    expect = {name: value for name, value in masked.expect.items() if not refusal(prompt, {name: value})}
    if not expect:
        found.unusable.append(Refused(workflow, number, f"no answer can be that: {refusal(prompt, masked.expect)}"))
    elif same := cases.get(key):
        if why := _contradiction(prompt, same, expect):
            found.contradicting.append(Refused(workflow, number, why))
        else:
            found.known += 1
    else:
        case = Case(
            name=_name(prompt, expect, number, key, names),
            split=split_of(prompt, masked.inputs),
            inputs=masked.inputs,
            expect=expect,
        )
        cases[key] = case
        names.add(case.name)
        found.chosen.append(_proposal(prompt, lesson, case, masked))


def _proposal(prompt: Prompt, lesson: Lesson, case: Case, masked: Masked) -> Proposal:
    return Proposal(
        case=case,
        kind=lesson.kind,
        workflow=lesson.source.card.workflow,
        record_id=lesson.record.id,
        answered=labels_of(prompt, lesson.record.answer),
        probability=_probability(prompt, lesson.record),
        why=lesson.why,
        masked=masked.counts,
    )


def _contradiction(prompt: Prompt, case: Case, expect: Mapping[str, Any]) -> str:
    """How a case with the same words expects another label; texts may differ, since many are as good."""
    for name in choices(prompt):
        if name in case.expect and name in expect and case.expect[name] != expect[name]:
            return f"case {case.name} expects {name}={case.expect[name]}, and here it is {expect[name]}"
    return ""


def _name(prompt: Prompt, expect: Mapping[str, Any], record_id: int, key: str, taken: Iterable[str]) -> str:
    """The label and the record's number; where another ledger's record is called so already, some of its key, too."""
    label = next((str(expect[name]) for name in choices(prompt) if name in expect), next(iter(expect)))
    name = f"{label.replace('_', '-').replace(' ', '-')}-{record_id}"
    return name if name not in taken else f"{name}-{key[:6]}"


def _telling(prompt: Prompt, lesson: Lesson, crowded: set[tuple[str, Any]]) -> tuple[int, float, int]:
    certain = _probability(prompt, lesson.record)
    doubtful = 0.5 if certain is None else certain
    plenty = lesson.kind == "confirmation" and any(item in crowded for item in lesson.expect.items())
    rank = len(KINDS_IN_ORDER) if plenty else KINDS_IN_ORDER.index(lesson.kind)
    # To be sure and wrong is the worst mistake, so that the surest corrections come first; elsewhere the least sure.
    return rank, -doubtful if lesson.kind == "correction" else doubtful, lesson.record.id


def _probability(prompt: Prompt, record: Record) -> float | None:
    name = probability_field(prompt.answer)
    value = (record.answer or {}).get(name) if name else None
    return float(value) if isinstance(value, (int, float)) else None


def _crowded(prompt: Prompt) -> set[tuple[str, Any]]:
    """The labels of the first field that have far more cases than the average one."""
    first = next(iter(choices(prompt)), None)
    counts = Counter(case.expect[first] for case in prompt.cases if first in case.expect)
    average = sum(counts.values()) / max(1, len(choices(prompt)[first])) if first else 0
    return {(str(first), label) for label, count in counts.items() if count > CROWDED * average}

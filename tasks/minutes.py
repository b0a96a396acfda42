"""Minutes: what a model says of a meeting, compared with its lines by code, item by item.

An item that its lines do not support is dropped; one whose owner, day or wording is in doubt goes to a person. Both are
said. What is not seen: a right word in a wrong role, a "not" that was left out, irony.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from blocks import due
from blocks.embedded.minutes import TO_THE_MACHINE, is_somebody, one_of
from blocks.library.words import stems
from blocks.transcripts import Line, Person
from prompts.meeting_notes.answer import ActionItem, Decision, MeetingNotes, Point
from tasks import citations, output
from tasks.plain import one_line

SUPPORT = 0.34
"""The share of an item's telling words that its lines must hold: a model puts the rest in its own."""
ALIKE = 0.6
"""Two items of one owner that share this much are one: what was taken on is said again when a meeting ends."""
SPELT = frozenset(citations.ALL_COUNTED) - {"one", "a", "an"}


@dataclass(frozen=True)
class Company:
    """Whose meeting it is."""

    name: str
    domain: str
    """That of its e-mail addresses."""
    people: Mapping[str, str]
    """By name, the address of everybody who works there."""

    def has(self, person: Person) -> bool:
        """Whether somebody works here: by the address where there is one, else by the name."""
        if person.email:
            return person.email.rpartition("@")[2] == self.domain
        return bool(one_of(person.name, list(self.people)))


class Item(NamedTuple):
    """A decision or an action item that holds."""

    text: str
    lines: tuple[int, ...]
    owner: str = ""
    """Of an action item: who does it."""
    due: date | None = None
    marks: tuple[str, ...] = ()
    """What a person should confirm about it."""

    @property
    def marked(self) -> str:
        """The text, with what is to be confirmed."""
        return f"{self.text} (to confirm: {'; '.join(self.marks)})" if self.marks else self.text


class Doubt(NamedTuple):
    """Something that a person must look at, or that was left out, and why."""

    text: str
    lines: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class Minutes:
    """What is left of the notes once code has compared them."""

    summary: str
    points: tuple[Item, ...]
    decisions: tuple[Item, ...]
    actions: tuple[Item, ...]
    to_confirm: tuple[Doubt, ...]
    dropped: tuple[Doubt, ...]


@dataclass
class _Made:
    """Minutes while they are made."""

    points: list[Item] = field(default_factory=list)
    decisions: list[Item] = field(default_factory=list)
    actions: list[Item] = field(default_factory=list)
    to_confirm: list[Doubt] = field(default_factory=list)
    dropped: list[Doubt] = field(default_factory=list)


@dataclass(frozen=True)
class Held:
    """A meeting, to compare with."""

    lines: Mapping[int, Line]
    people: tuple[Person, ...]
    company: Company
    on: date | None
    heard: bool

    @property
    def names(self) -> list[str]:
        """Everybody who was there or works here."""
        there = [person.name for person in self.people if is_somebody(person.name)]
        whole = [name for name in self.company.people if not one_of(name, there)]
        # `Tom` of the transcript is Tom Hadley of the company: one person must not be two.
        return [*there, *(name for name in whole if name.split()[0] not in there)]

    def cited(self, numbers: Sequence[int]) -> list[Line]:
        """The lines with these numbers."""
        return [self.lines[number] for number in dict.fromkeys(numbers)]

    def is_ours(self, name: str) -> bool:
        """Whether somebody of this name works here."""
        person = next((each for each in self.people if each.name.casefold() == name.casefold()), Person(name=name))
        return self.company.has(person)


def objections(held: Held, answer: MeetingNotes) -> Iterator[str]:
    """What is wrong with an answer as a whole, in words that a model can act on: lines that there are none of."""
    cited = [number for point in answer.points for number in point.lines]
    cited += [number for one in answer.decisions for number in (one.line, *one.also)]
    cited += [number for one in answer.actions for number in (one.line, *one.also)]
    cited += [one.line for one in answer.unsure]
    if unknown := sorted({number for number in cited if number not in held.lines}):
        first, last = min(held.lines), max(held.lines)
        yield f"line {unknown[0]} is cited, which was not given; given were {first} to {last}"


def made(held: Held, answers: Sequence[MeetingNotes], today: date) -> Minutes:
    """The minutes of a meeting.

    Args:
        held: the meeting.
        answers: of each of its sections, in order.
        today: a day before it is marked as gone by.
    """
    found = _Made()
    for at, answer in enumerate(answers, start=1):
        withdrawn = {number for later in answers[at:] for number in later.withdrawn}
        for point in answer.points:
            _take_point(found, held, point)
        for decision in answer.decisions:
            _take_decision(found, held, decision, withdrawn)
        for action in answer.actions:
            _take_action(found, held, action, withdrawn, today)
        for each in answer.unsure:
            if each.line in held.lines:
                found.to_confirm.append(Doubt(_safe(each.text), (each.line,), _safe(each.why)))
    told = [item.text.casefold() for item in (*found.decisions, *found.actions)]
    return Minutes(
        summary=_summary(held, answers[-1].summary) if answers else "",
        points=tuple(found.points),
        decisions=tuple(_once(found.decisions)),
        actions=tuple(_once(found.actions)),
        to_confirm=tuple(doubt for doubt in found.to_confirm if doubt.text.casefold() not in told),
        dropped=tuple(found.dropped),
    )


def _take_point(found: _Made, held: Held, point: Point) -> None:
    text, lines = _text(point.text), tuple(dict.fromkeys(point.lines))
    if why := _unsupported(held, text, lines) or _points_to(text):
        found.dropped.append(Doubt(_safe(text), lines, why))
    else:
        found.points.append(Item(text, lines, marks=tuple(_heard(held, text))))


def _take_decision(found: _Made, held: Held, decision: Decision, withdrawn: set[int]) -> None:
    text, lines = _text(decision.text), (decision.line, *decision.also)
    if decision.line in withdrawn:
        found.dropped.append(Doubt(text, lines, "it was taken back later in the meeting"))
    elif why := _unsupported(held, text, lines):
        found.dropped.append(Doubt(_safe(text), lines, why))
    elif points := _points_to(text):
        found.to_confirm.append(Doubt(_safe(text), lines, points))
    elif not any(held.is_ours(line.speaker) or not line.speaker for line in held.cited(lines)):
        found.to_confirm.append(Doubt(text, lines, f"nobody of {held.company.name} says so in these lines"))
    else:
        found.decisions.append(Item(text, lines, marks=tuple(_heard(held, text))))


def _take_action(found: _Made, held: Held, action: ActionItem, withdrawn: set[int], today: date) -> None:
    text, lines = _text(action.text), (action.line, *action.also)
    if action.line in withdrawn:
        found.dropped.append(Doubt(text, lines, "it was taken back later in the meeting"))
        return
    if why := _unsupported(held, text, lines):
        found.dropped.append(Doubt(_safe(text), lines, why))
        return
    owner = one_of(action.owner, held.names)
    if why := _points_to(text) or _not_theirs(held, action.owner, owner, lines):
        found.to_confirm.append(Doubt(_safe(f"{action.owner}: {text}"), lines, why))
        return
    day, marks = _day(held, action.due, lines, today)
    marks += [mark for mark in _heard(held, f"{text} {action.due}") if mark not in marks]
    if held.heard and not any(line.speaker for line in held.cited(lines)):
        marks.append("nobody knows who spoke")
    found.actions.append(Item(text, lines, owner, day, tuple(marks)))


def _unsupported(held: Held, text: str, numbers: Sequence[int]) -> str:
    """Why the lines do not carry a text; nothing when they do."""
    if any(number not in held.lines for number in numbers):
        return "it cites a line that there is none of"
    lines = held.cited(numbers)
    if any(TO_THE_MACHINE.search(line.text) for line in lines):
        return "its line speaks to whoever writes the notes"
    said = "\n".join(f"{line.speaker}: {line.text}" for line in lines)
    known = f"{said}\n{' '.join(held.names)}\n{held.company.name}"
    if missing := list(dict.fromkeys(citations.unsupported(text, known))):
        return f"it says {', '.join(missing[:3])}, which its lines do not hold"
    telling, there = _telling(text), _telling(said)
    if telling and len(telling & there) < SUPPORT * len(telling):
        return "its lines say something else"
    return ""


def _telling(text: str) -> set[str]:
    """The stems of a text's words, without those that every sentence has."""
    return set(stems(text))


def _not_theirs(held: Held, said: str, owner: str, numbers: Sequence[int]) -> str:
    """Why the owner is not plain; nothing when it is."""
    if not owner:
        return f"{one_line(said)} is nobody who was there, or can be several"
    lines = held.cited(numbers)
    if any(one_of(line.speaker, held.names) == owner for line in lines):
        return ""
    named = [line for line in lines if any(_names(line.text, part) for part in owner.split())]
    if not named:
        return f"its lines do not say that {owner} does it"
    # A customer cannot give our people something to do by saying that they will.
    if not any(held.is_ours(line.speaker) or not line.speaker for line in named):
        return f"nobody but somebody outside {held.company.name} says that {owner} does it"
    return ""


def _names(text: str, part: str) -> bool:
    return len(part) > 1 and re.search(rf"\b{re.escape(part)}\b", text, re.IGNORECASE) is not None


def _day(held: Held, words: str, numbers: Sequence[int], today: date) -> tuple[date | None, list[str]]:
    """The day that an item is due, and what is to be confirmed about it."""
    words = " ".join(words.split())
    if not words:
        return None, []
    said = " ".join(" ".join(line.text.split()) for line in held.cited(numbers)).casefold()
    if words.casefold() not in said:
        return None, [f"“{words}” is said in none of its lines"]
    if held.on is None:
        return None, [f"“{words}”: nobody knows on which day that was said"]
    found = due.resolve(words, held.on)
    if found is None:
        return None, [f"which day is “{words}”"]
    marks = [f"“{words}”: {found.doubt}"] if found.doubt else []
    if found.day < today:
        marks.append(f"{found.day:%d %b %Y} has gone by")
    return found.day, marks


def _heard(held: Held, text: str) -> list[str]:
    """The numbers and days of a text that a program has heard."""
    if not held.heard:
        return []
    found = [*re.findall(r"\d[\d.,:]*\d|\d", text), *due.words_in(text)]
    found += [word for word in citations.WORD.findall(text.lower()) if word in SPELT]
    return [f"heard: {', '.join(dict.fromkeys(found))}"] if found else []


def _points_to(text: str) -> str:
    """Why a text is not passed on as it is: a stranger may have said it in order to have it clicked."""
    return "" if output.find(text) is output.NOTHING else "it holds a link, an address or a long number"


def _once(items: Sequence[Item]) -> Iterator[Item]:
    """Each once: one that comes again is the same, with the last day that was said."""
    kept: list[Item] = []
    for item in items:
        twin = next((at for at, other in enumerate(kept) if _same(item, other)), None)
        if twin is None:
            kept.append(item)
            continue
        other = kept[twin]
        lines = tuple(dict.fromkeys((*other.lines, *item.lines)))
        marks = tuple(dict.fromkeys((*other.marks, *item.marks)))
        if item.due and other.due and item.due != other.due:
            marks = (*marks, f"{other.due:%d %b} was said first")
        kept[twin] = other._replace(lines=lines, due=item.due or other.due, marks=marks)
    yield from kept


def _same(one: Item, other: Item) -> bool:
    left, right = _telling(one.text), _telling(other.text)
    return one.owner == other.owner and bool(left & right) and len(left & right) >= ALIKE * len(left | right)


def _summary(held: Held, summary: str) -> str:
    """The summary, if the meeting holds all that it names."""
    text = _text(summary)
    if any(citations.unsupported(text, _whole(held))) and not text.startswith("Found by their wording"):
        return ""
    return "" if _points_to(text) else text


def _whole(held: Held) -> str:
    lines = [line for line in held.lines.values() if not TO_THE_MACHINE.search(line.text)]
    said = "\n".join(f"{line.speaker}: {line.text}" for line in lines)
    return f"{said}\n{' '.join(held.names)}\n{held.company.name}"


def _text(text: str) -> str:
    return one_line(text)


def _safe(text: str) -> str:
    """A text that is shown in spite of where it points, so that no program makes a link of it."""
    text = one_line(text)
    return output.defanged(text) if _points_to(text) else text

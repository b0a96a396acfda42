"""Written transcripts: `Ann: ...`, Google Meet's and Gemini's documents, Zoom's saved captions, Teams' Word files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from blocks.transcripts.model import Person, Said

CLOCK = r"(?:\d{1,2}:)?\d{1,2}:\d{2}"
NAME = r"[^\W\d_][^\n:\[\]<>()|]{0,59}?"
STAMPED = re.compile(rf"^[\[(]?(?P<t>{CLOCK})(?:[.,]\d{{1,3}})?[\])]?\s*[-–]?\s*(?P<n>{NAME})\s*:(?:\s+(?P<x>.*))?$")
AFTER = re.compile(rf"^(?P<n>{NAME})\s*[\[(](?P<t>{CLOCK})[\])]\s*:?(?:\s+(?P<x>.*))?$")
NAMED = re.compile(rf"^(?P<n>{NAME})\s?:(?:\s+(?P<x>.*))?$")
BRACKETED = re.compile(rf"^\[(?P<n>{NAME})\]\s+(?P<t>{CLOCK})(?P<x>)$")
HEADED = re.compile(rf"^(?P<n>{NAME})\s{{2,}}(?P<t>{CLOCK})(?P<x>)$")
ALONE = re.compile(rf"^[\[(]?(?P<t>{CLOCK})[\])]?$")

TRANSCRIPT = re.compile(r"^(?:📖\s*)?(?:transcript|transkript|transcription)$", re.IGNORECASE)
PEOPLE = re.compile(
    r"^(?:attendees|participants|present|invited|in attendance|teilnehmer(?:innen|/innen|:innen)?|teilnehmende"
    r"|anwesend|eingeladen)\b\s*:?\s*(?P<x>.*)$",
    re.IGNORECASE,
)
MADE_BY_A_PROGRAM = re.compile(
    r"computer.generated|automatically generated|auto-generated|transcription (?:started|ended)|transcribed by"
    r"|otter\.ai|automatisch (?:erstellt|generiert|transkribiert)|maschinell erstellt",
    re.IGNORECASE,
)
FOOTER = re.compile(
    r"^(?:this editable transcript was|transcription ended|(?:started|stopped) transcription$"
    r"|\S.{0,60} (?:started|stopped) transcription$)",
    re.IGNORECASE,
)
LABELS = """
action actions ap todo tasks task decision decisions decided agreed note notes agenda summary subject title date
time duration location place where when who what why topic topics re from to cc bcc http https attendees
participants present invited attachments recording transcript status result results question answer warning
important remember deadline due owner goal p.s ps nb eg ie aktion aufgabe aufgaben beschluss beschlüsse entscheidung
entscheidungen notiz notizen tagesordnung datum uhrzeit dauer ort thema themen betreff teilnehmer anwesend protokoll
ergebnis frage antwort wichtig frist zuständig system
"""
NO_SPEAKER = frozenset(LABELS.split())
"""What stands before a colon and is nobody."""
NO_SPEAKERS = re.compile(
    r"^(?:action items?|next steps?|to[ -]?dos?|meeting (?:records|notes|id)|n[äa]chste schritte)$", re.IGNORECASE
)
MARKUP = re.compile(r"\*\*|__|^[*_](?=\S)|(?<=\S)[*_]$|^#{1,6}\s+|\\(?=[\[\]*_#.!()>-])")
LINK = re.compile(r"!?\[([^\]]{0,200})\]\((mailto:)?([^)\s]{0,300})\)")
ADDRESS = r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+"
WITH_ADDRESS = re.compile(rf"(?P<n>[^\W\d_][^,;<>\[\]()@|]{{0,60}}?)\s*[<(](?P<a>{ADDRESS})[>)]")
BARE = re.compile(ADDRESS)
MOST_HEADER = 200
"""Lines before the talk that are read."""


@dataclass
class Written:
    """A written transcript, taken apart."""

    head: list[str] = field(default_factory=list)
    """What stands before the first word that is said."""
    said: list[Said] = field(default_factory=list)
    by_program: bool = False


def is_speaker(label: str) -> bool:
    """Whether what stands before a colon can be somebody's name: `Ann Berg`, `Speaker 2`; not `Action item`."""
    label = label.strip()
    words = label.split()
    if not words or len(words) > 6 or not label[0].isupper() or NO_SPEAKERS.match(label):
        return False
    if len(words) > 3 and not all(word[0].isupper() or not word[0].isalpha() or len(word) <= 3 for word in words):
        return False  # `The only thing that matters: ...`
    return words[0].casefold().strip(".") not in NO_SPEAKER and not re.search(r"[.!?;]\s|[!?;]$|//", label)


def taken_apart(text: str) -> Written:
    """The head and the talk of a written transcript, line by line."""
    found = Written()
    raw = text.split("\n")
    rows = [_plain(row) for row in raw]
    starts = [number for number, row in enumerate(rows) if TRANSCRIPT.match(row)]
    # Gemini's document has its own notes first, in which `Name:` is no speech. Those notes are not evidence.
    start = starts[-1] if starts and any(NAMED.match(row) for row in rows[starts[-1] :]) else -1
    second: int | None = None
    for number, row in enumerate(rows):
        if MADE_BY_A_PROGRAM.search(row) and (not NAMED.match(row) or FOOTER.match(row)):
            found.by_program = True
        if not row or FOOTER.match(row):
            continue
        if number <= start or (raw[number].lstrip().startswith("#") and not ALONE.match(row)):
            if not found.said and len(found.head) < MOST_HEADER:
                found.head.append(row)
            continue
        if stamp := ALONE.match(row):
            second = seconds(stamp["t"])
        elif turn := _turn(row):
            second = seconds(turn["t"]) if turn.groupdict().get("t") else second
            found.said.append(Said(turn["n"].strip(), second, turn["x"] or ""))
        elif found.said:
            last = found.said[-1]
            if _labelled(row):  # a note between the lines is nobody's speech
                found.said.append(Said("", second, row))
            else:
                found.said[-1] = last._replace(text=f"{last.text} {row}".strip())
        elif (
            _labelled(row) and not PEOPLE.match(row) and re.match(r"(?i)action|to.?do|decision|aufgabe|beschluss", row)
        ):
            found.said.append(Said("", second, row))
        elif len(found.head) < MOST_HEADER:
            found.head.append(row)
    return found


def _turn(row: str) -> re.Match[str] | None:
    for pattern in (STAMPED, AFTER, BRACKETED, HEADED, NAMED):
        turn = pattern.match(row)
        if turn and is_speaker(turn["n"]):
            return turn
    return None


def _labelled(row: str) -> bool:
    label = NAMED.match(row)
    return label is not None and not is_speaker(label["n"]) and len(label["n"].split()) <= 3


def _plain(row: str) -> str:
    """A row without Markdown; an address that a link leads to stays, in angle brackets."""
    row = LINK.sub(lambda found: f"{found[1]} <{found[3]}>" if found[2] else found[1], row.replace("\u00a0", "  "))
    row = MARKUP.sub("", row.strip())
    return row.strip().removeprefix("- ").rstrip() if row.startswith("- ") else row.strip()


def seconds(clock: str) -> int:
    """`1:02:03` and `02:03` in seconds."""
    total = 0
    for part in clock.split(":"):
        total = total * 60 + int(part)
    return total


def named_in(head: list[str]) -> Iterator[Person]:
    """Whom the head of a transcript names as there, with their addresses."""
    listing = False
    for row in head:
        people = PEOPLE.match(row)
        if people:
            yield from _people(people["x"])
            listing = not people["x"].strip()
        elif listing:
            yield from _people(row)
            listing = False
        else:
            yield from (
                Person(name=found["n"].strip(), email=found["a"].lower()) for found in WITH_ADDRESS.finditer(row)
            )


def _people(text: str) -> Iterator[Person]:
    rest = text
    for found in WITH_ADDRESS.finditer(text):
        yield Person(name=found["n"].strip(" ,;"), email=found["a"].lower())
        rest = rest.replace(found[0], ",")
    for part in re.split(r"[,;|]|\s{2,}", rest):
        name = re.sub(r"\s*\(.*?\)", "", part).strip()
        if bare := BARE.fullmatch(name):
            yield Person(name="", email=bare[0].lower())
        elif name and is_speaker(name):
            yield Person(name=name)

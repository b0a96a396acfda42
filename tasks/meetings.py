"""Meetings: transcripts and recordings become records, each meeting once; long ones are read in sections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, ValidationError

import prompts
from blocks.connections import MissingCredential
from blocks.documents import Reader
from blocks.hubspot import HubSpot
from blocks.ledger import Record, insert, utcnow
from blocks.library import Item
from blocks.models import Request
from blocks.shape import SchemaDrift
from blocks.transcripts import (
    MOST_BYTES,
    Line,
    Person,
    Transcript,
    Unreadable,
    day_in,
    from_segments,
    lines_of,
    read,
    shown,
    title_of,
)
from blocks.vendor import VendorError
from prompts.meeting_notes.answer import MeetingNotes
from tasks import drift, minutes, output, records
from tasks.answers import judge
from tasks.checks import Suite, unfit
from tasks.fetch import claim, unknown
from tasks.minutes import Company, Held
from tasks.plain import counted
from tasks.prompt import after_failures, within_budget
from tasks.run import Run
from tasks.sources import Folder, Gone, Source, SourceError
from tasks.validate import ASK_AGAIN, FINAL
from tasks.verb import ACCOUNT, verb

SECTION = 36_000
"""Characters of a transcript that a model is given at once: 50 minutes of talk. It overlooks less of a short text."""
SHORTEST_SECTION = 4_000

MOST_RECORDINGS = 2
"""That are heard in one run: an hour of talk takes five minutes."""

SETTLED = timedelta(minutes=10)
"""A file of this machine that was written to more lately may still be on its way, or its meeting still going on."""

EARLIER = "sections"
"""Where in a record's context the answers about a long meeting's earlier sections are."""
SECTION_CHARS = "section_chars"
"""And the most characters of a section."""
GUESTS = "guests"
"""And the contacts of those who were there from outside, whom the CRM knows."""

TRANSCRIPTS = re.compile(r"\.(?:vtt|srt|txt|md|docx)$", re.IGNORECASE)
RECORDINGS = re.compile(r"\.(?:mp3|m4a|wav|ogg|opus|flac|aac|mp4|m4v|mov|mkv|webm)$", re.IGNORECASE)
PREFIX = "meetings:"
"""How the ledger calls these sources."""


class Meeting(BaseModel):
    """A meeting as its record holds it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    meeting_id: str
    subject: str
    """What it is called."""
    held_on: date | None = None
    heard: bool = False
    """A program has written it from speech."""
    recorded: bool = False
    """We have heard it ourselves."""
    people: tuple[Person, ...] = ()
    text: str = ""
    """Its numbered lines, as the prompt has them; empty as long as the file could not be read."""
    link: str = ""
    """Where the file is opened; empty when nobody knows."""

    @property
    def lines(self) -> list[Line]:
        """What was said."""
        return list(lines_of(self.text))


Variables = Callable[[Record, str, Sequence[MeetingNotes]], Mapping[str, Any]]
"""What the prompt is told: of a record, the lines of one section, and the answers about those before."""


@verb("fetch meetings")
def new(run: Run, sources: Sequence[Source], *, limit: int, suite: Suite) -> list[int]:
    """Take what is new in the folders into the ledger, each meeting once, and claim unfinished records.

    The same meeting in another file, word for word, is skipped. A file that cannot be read is set aside with the
    reason; once a person has put it back, it is read again.

    Args:
        run: the run.
        sources: where transcripts and recordings are put. One that nobody has connected, or that is not there, is
            passed over with a note; so is one whose vendor is down, unless all are.
        limit: at most so many are taken, and so many claimed.
        suite: what a meeting must be like to be asked about.

    Returns:
        The claimed records' ids, oldest first.

    Raises:
        VendorError: no source could be looked at.
    """
    left = limit
    errors: list[VendorError] = []
    with Reader() as reader:
        for source in sources:
            try:
                left -= _take_in(run, source, left, reader, suite)
            except (MissingCredential, SourceError) as error:
                run.note(f"{source.name} was passed over: {error}")
            except VendorError as error:
                errors.append(error)
                run.note(f"{source.name} could not be looked at: {error}")
        if errors and len(errors) == len(sources):
            raise errors[0]
        _read_again(run, sources, reader)
    return claim(run, limit)


def _take_in(run: Run, source: Source, limit: int, reader: Reader, suite: Suite) -> int:
    """How many of a source's files were taken.

    Raises:
        VendorError: the source cannot be looked at, or none of several files could be had: the vendor is down.
    """
    items = source.look(None).items or {}
    wanted = {key: item for key, item in items.items() if _is_one(item) and _is_settled(source, item)}
    fresh = unknown(run.ledger, run.card.workflow, PREFIX + source.name, sorted(wanted))
    written = [key for key in fresh if not is_recording(wanted[key])]
    covered = {_meeting_of(item) for item in wanted.values() if not is_recording(item)}
    spoken = [key for key in fresh if is_recording(wanted[key]) and _meeting_of(wanted[key]) not in covered]
    # To hear one takes minutes: the transcripts first, and what is over waits.
    chosen = [*written, *spoken[:MOST_RECORDINGS]][:limit]
    if waiting := len(written) + len(spoken) - len(chosen):
        run.note(f"{counted(waiting, 'more file')} of {source.name} wait for the next run")
    outcomes = [_outcome(run, source, wanted[key], reader) for key in chosen]
    rows = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, VendorError)]
    _skip_the_same(run, rows)
    _set_aside(rows, suite)
    with run.ledger.write() as session:
        if rows:
            session.execute(insert(session, Record).on_conflict_do_nothing(), rows)
    if errors and not rows:
        raise errors[0]
    if errors:
        run.note(f"{counted(len(errors), 'file')} of {source.name} could not be had, and wait: {errors[0]}")
    return len(rows)


def _skip_the_same(run: Run, rows: Sequence[dict[str, Any]]) -> None:
    """Skip, in place, what was said word for word in a meeting that is there, or was heard already."""
    known = _known_versions(run, [row["version"] for row in rows])
    heard_before = _recordings(run)
    for row in rows:
        if row["state"] == records.FETCHED:
            held = Meeting.model_validate(row["payload"])
            if other := known.get(row["version"]):
                row |= {"state": records.SKIPPED, "reason": f"the same meeting, word for word, as “{other}”"}
            elif held.held_on and not held.recorded and (held.subject, held.held_on) in heard_before:
                row |= {"state": records.SKIPPED, "reason": "its recording was heard already"}
        known.setdefault(row["version"], row["title"])


def _recordings(run: Run) -> set[tuple[str, date]]:
    """The meetings that are in the ledger by what was heard: their names and days."""
    table = Record
    mine = sa.select(table.payload).where(
        table.workflow == run.card.workflow, table.source.startswith(PREFIX), table.redacted_at.is_(None)
    )
    with run.ledger.read() as session:
        held = [Meeting.model_validate(payload) for payload in session.scalars(mine) if payload.get("recorded")]
    return {(each.subject, each.held_on) for each in held if each.held_on}


def _set_aside(rows: Sequence[dict[str, Any]], suite: Suite) -> None:
    """Quarantine, in place, what the suite refuses."""
    ready = {row["external_id"]: row for row in rows if row["state"] == records.FETCHED}
    checked = [{"id": key, "subject": row["title"], "text": row["payload"]["text"]} for key, row in ready.items()]
    for key, why in unfit(checked, suite).items():
        ready[key] |= {"state": records.QUARANTINED, "reason": why}


def is_recording(item: Item) -> bool:
    """Whether a file is sound."""
    return RECORDINGS.search(item.name) is not None


def _meeting_of(item: Item) -> tuple[str, str, date | None]:
    """By what a recording and its transcript are known to be of one meeting: folder, title and day."""
    return item.name.rpartition("/")[0], title_of(item.name), day_in(item.name)


def _is_one(item: Item) -> bool:
    """Whether a file can be a transcript or a recording. Google's own documents have no ending."""
    if item.mime_type and item.mime_type.startswith("application/vnd.google-apps."):
        return item.mime_type.endswith(".document")
    return TRANSCRIPTS.search(item.name) is not None or is_recording(item)


def _is_settled(source: Source, item: Item) -> bool:
    if not isinstance(source, Folder):  # Drive shows a file when all of it is there
        return True
    written = datetime.fromtimestamp(int(item.version.partition("-")[0]) / 1e9, UTC)
    return utcnow() - written >= SETTLED


def _outcome(run: Run, source: Source, item: Item, reader: Reader) -> dict[str, Any] | VendorError | None:
    """The new record of a file; None when it is gone, or nothing here can hear it; or why it is left to the next run.

    Raises:
        VendorError: the account is refused, or a reply has changed its shape: no other file could be had either.
    """
    row = {
        "workflow": run.card.workflow,
        "source": PREFIX + source.name,
        "external_id": item.external_id,
        "version": item.external_id,  # until it is known what was said
        "title": item.name,
        "payload": Meeting(meeting_id=item.external_id, subject=item.name, link=item.link).model_dump(mode="json"),
        "state": records.QUARANTINED,
        "reason": None,
        "failures": 0,
    }
    try:
        transcript = _read(run, source, item, reader)
    except Gone:
        return None
    except Unreadable as error:
        return row | {"reason": f"it cannot be read: {error}"}
    except OSError as error:
        return row | {"reason": f"it cannot be read: {error.strerror or error}"}
    except VendorError as error:
        if error.status in ACCOUNT - {403} or isinstance(error, SchemaDrift):
            raise
        return row | {"reason": f"it cannot be had: {error.reason}"} if error.permanent else error
    if transcript is None:
        return None
    payload = _meeting(item, transcript).model_dump(mode="json")
    title = transcript.title or item.name
    return row | {"version": transcript.fingerprint, "title": title, "payload": payload, "state": records.FETCHED}


def _read(run: Run, source: Source, item: Item, reader: Reader) -> Transcript | None:
    """What a file says; None when nothing here can hear it, or there is no time left to."""
    if is_recording(item):
        return _heard(run, source, item)
    content, mime_type = source.fetch(item, MOST_BYTES)
    return read(content, item.name, mime_type, reader=reader)


def _heard(run: Run, source: Source, item: Item) -> Transcript | None:
    """What was said in a recording. Who says it, nobody can tell."""
    from blocks import speech  # only by whoever has a recording

    if utcnow() >= run.deadline:
        return None
    content, _ = source.fetch(item, speech.MOST_BYTES)
    try:
        return from_segments(speech.hear(content, item.name).sentences, item.name)
    except VendorError as error:  # the ear is not installed: that is no fault of the recording's
        run.note(f"the recording {item.name} waits for something that can hear it: {error}")
        return None


def _meeting(item: Item, transcript: Transcript) -> Meeting:
    return Meeting(
        meeting_id=item.external_id,
        subject=transcript.title or item.name,
        held_on=transcript.held_on,
        heard=transcript.heard,
        recorded=is_recording(item),
        people=transcript.people,
        text=shown(transcript.lines),
        link=item.link,
    )


def _known_versions(run: Run, versions: Sequence[str]) -> dict[str, str]:
    """By what was said, the title of the meeting that is in the ledger already."""
    table = Record
    mine = sa.select(table.version, table.title).where(
        table.workflow == run.card.workflow, table.version.in_(versions), table.source.startswith(PREFIX)
    )
    with run.ledger.read() as session:
        return {version: title for version, title in session.execute(mine.order_by(table.id.desc()))}


def _read_again(run: Run, sources: Sequence[Source], reader: Reader) -> None:
    """Files that could not be read and were put back by a person: read today, or set aside once more."""
    table = Record
    mine = sa.select(table).where(
        table.workflow == run.card.workflow,
        table.state == records.FETCHED,
        table.source.startswith(PREFIX),
        table.version == table.external_id,  # a meeting that was read is known by what was said
    )
    with run.ledger.read() as session:
        waiting = list(session.scalars(mine))
    by_name = {PREFIX + source.name: source for source in sources}
    changes: list[dict[str, Any]] = []
    for record in waiting:
        if Meeting.model_validate(record.payload).text:
            continue
        source = by_name.get(record.source)
        item = ((source.look(None).items or {}).get(record.external_id)) if source else None
        row = _outcome(run, source, item, reader) if source and item else None
        if isinstance(row, VendorError):
            raise row
        if row is None:
            changes.append(records.quarantine(record.id, "its file is not there any more"))
            continue
        _skip_the_same(run, [row])
        kept = ("version", "title", "payload", "state", "reason")
        changes.append({"id": record.id, **{name: row[name] for name in kept}})
    if changes:
        with run.ledger.write() as session:
            records.move(session, changes)


@verb("fetch guests")
def guests(run: Run, ids: Sequence[int], company: Company) -> None:
    """Look up in HubSpot who was there from outside, and keep whom it knows with the record.

    An address that a transcript names and the CRM does not know counts for nothing: anybody can be named there.

    Raises:
        VendorError: HubSpot could not be read.
        SchemaDrift: a contact came back without one of the card's fields.
    """
    batch = [r for r in records.in_state(run.ledger, ids, records.FETCHED) if GUESTS not in (r.context or {})]
    outside = {record.id: _outside(record, company) for record in batch}
    addresses = {person.email for people in outside.values() for person in people}
    known: dict[str, dict[str, Any]] = {}
    if addresses:
        hubspot: HubSpot = run.connection("hubspot")
        known = hubspot.contacts_by_email(sorted(addresses), run.card.fields_of("hubspot"))
        drift.seen(run, "hubspot:contact-batch")
    with run.ledger.write() as session:
        records.move(session, [{"id": r.id, "context": _with_guests(r, outside[r.id], known)} for r in batch])


def _outside(record: Record, company: Company) -> list[Person]:
    meeting = Meeting.model_validate(record.payload)
    return [person for person in meeting.people if person.email and not company.has(person)]


def _with_guests(record: Record, people: Sequence[Person], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found = [
        {
            "email": person.email,
            "name": f"{contact.get('firstname') or ''} {contact.get('lastname') or ''}".strip() or person.name,
            "company": str(contact.get("company") or ""),
        }
        for person in people
        if (contact := known.get(person.email)) is not None
    ]
    own = {"guest_email": [guest["email"] for guest in found]}
    return {**(record.context or {}), GUESTS: found, output.OWN: own}


@verb("prompt for the sections")
def earlier_sections(run: Run, ids: Sequence[int], variables: Variables, company: Company) -> list[int]:
    """Ask about all sections of long meetings but the last, which is asked about like a short meeting.

    Each answer is kept as soon as it is there: what was paid for is not asked again by the next run. A section without
    a usable answer sets the meeting aside; where the budget is used up, the meeting waits.

    Returns:
        The ids of the batch without those that wait or were set aside.

    Raises:
        VendorError: the model could not be reached.
    """
    batch = records.in_state(run.ledger, ids, records.FETCHED)
    waiting: set[int] = set()
    failures: dict[int, VendorError] = {}
    for record in batch:
        try:
            if not _asked_about(run, record, variables, company):
                waiting.add(record.id)
        except VendorError as error:
            failures[record.id] = error
    after_failures(run, {r.id: r for r in batch}, failures, succeeded=len(batch) - len(failures))
    waiting |= failures.keys()
    return [i for i in ids if i not in waiting]


def _asked_about(run: Run, record: Record, variables: Variables, company: Company) -> bool:
    """Whether all sections but the last have their answer now."""
    if SECTION_CHARS not in (record.context or {}):  # for good: another model must not part it elsewhere half-way
        most = max(SHORTEST_SECTION, min(SECTION, run.model.input_limit() // 2))
        _keep(run, record, SECTION_CHARS, most)
    parts = sections(record)
    held = held_of(record, company)
    while (done := len(earlier(record))) < len(parts) - 1:
        told = dict(variables(record, parts[done], earlier(record)))
        answer = _answer(run, record, told, held, parts[done])
        if answer is None:
            return False
        _keep(run, record, EARLIER, [*((record.context or {}).get(EARLIER) or []), answer.model_dump(mode="json")])
    return True


def _answer(run: Run, record: Record, told: Mapping[str, Any], held: Held, section: str) -> BaseModel | None:
    """A usable answer about one section; None when the budget is used up, or the record was set aside."""
    prompt = prompts.load(run.card.prompt)
    corrections: list[tuple[str, str]] = []
    while True:
        reply = within_budget(run, record.id, Request(prompt, told, tuple(corrections)), len(corrections) + 1)
        if reply is None:
            return None
        verdict = judge(prompt.answer, reply.text, reply.stop_reason)
        wrong = verdict.complaint or (complaint(verdict.answer, held, section) if verdict.answer else "")
        if verdict.answer and not wrong:
            return verdict.answer
        corrections.append((reply.text, wrong))
        if len(corrections) > ASK_AGAIN or reply.stop_reason in FINAL:
            why = f"no usable answer about a section after {counted(len(corrections), 'attempt')}: {wrong}"
            with run.ledger.write() as session:
                records.move(session, [records.quarantine(record.id, why)])
            return None


def _keep(run: Run, record: Record, name: str, value: Any) -> None:
    record.context = {**(record.context or {}), name: value}
    with run.ledger.write() as session:
        records.move(session, [{"id": record.id, "context": record.context}])


def complaint(answer: BaseModel, held: Held, section: str) -> str:
    """What is wrong with an answer as a whole; nothing when it can be used."""
    notes = MeetingNotes.model_validate(answer.model_dump())
    given = {line.number: line for line in lines_of(section)}
    found = list(minutes.objections(Held(given, held.people, held.company, held.on, held.heard), notes))
    wanted = "actions" if notes.actions else "decisions" if notes.decisions else "neither"
    if notes.outcome != wanted:
        found.append(f"outcome is {notes.outcome}, and the lists say {wanted}")
    return "; ".join(found)


def sections(record: Record) -> list[str]:
    """The lines of a meeting, as many at a time as the model is given."""
    most = int((record.context or {}).get(SECTION_CHARS) or SECTION)
    return list(parted(Meeting.model_validate(record.payload).text, most))


def parted(text: str, most: int) -> Iterator[str]:
    """A text in pieces of at most `most` characters, parted between lines; of about the same length each."""
    pieces = -(-len(text) // most) or 1
    aim = -(-len(text) // pieces)
    piece: list[str] = []
    length = 0
    for row in text.split("\n"):
        if piece and (length + len(row) > most or (length >= aim and pieces > 1)):
            yield "\n".join(piece)
            piece, length, pieces = [], 0, pieces - 1
        piece.append(row)
        length += len(row) + 1
    yield "\n".join(piece)


def earlier(record: Record) -> list[MeetingNotes]:
    """The answers about the sections before."""
    return [MeetingNotes.model_validate(each) for each in (record.context or {}).get(EARLIER) or []]


def answers(record: Record) -> list[MeetingNotes]:
    """The answers about all sections, in order; without the last as long as it is not there."""
    try:
        return [*earlier(record), MeetingNotes.model_validate(record.answer)]
    except ValidationError:
        return earlier(record)


def told_of(notes: Sequence[MeetingNotes]) -> str:
    """What the prompt is told of the sections before; empty when there are none."""
    if not notes:
        return ""
    rows = [notes[-1].summary]
    for each in notes:
        rows += [f"Decided in line {one.line}: {one.text}" for one in each.decisions]
        rows += [f"Taken on in line {one.line}, {one.owner}: {one.text} {one.due}".strip() for one in each.actions]
    return "\n".join(rows)


def held_of(record: Record, company: Company) -> Held:
    """The meeting of a record, to compare notes with. Guests whom the CRM knows are called as it calls them."""
    meeting = Meeting.model_validate(record.payload)
    lines = {line.number: line for line in meeting.lines}
    return Held(lines, meeting.people, company, meeting.held_on, meeting.heard)


def guests_of(record: Record) -> list[dict[str, str]]:
    """Who was there from outside and is in the CRM: `email`, `name`, `company`."""
    return list((record.context or {}).get(GUESTS) or [])

"""Write the notes of meetings: what was decided, and who does what by when, each with the lines that say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow
from pydantic import BaseModel, Field

from blocks.embedded.language import language_of
from blocks.ledger import Record, utcnow
from prompts.meeting_notes.answer import MeetingNotes
from tasks import act, approvals, gate, meetings, minutes, prompt, report, validate
from tasks.actions import Action, AddNote, CreatePage, CreateTask, PostMessage, SendReply, UpsertContact
from tasks.card import Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.meetings import Meeting
from tasks.minutes import Company, Doubt, Item, Minutes
from tasks.plain import counted, plain, quoted
from tasks.run import begin
from tasks.sources import DriveFolder, Folder, Source

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

CARD = Card(
    workflow="meeting-notes",
    sentence="Write the notes of meetings, and put what somebody took on where it is not forgotten.",
    owner="mara@dockwell.example",
    baseline=Baseline(minutes=25, failure_rate=0.35),
    reads=(
        Reads(
            what="the folder with transcripts and recordings",
            credential="drive/company",
            fields=("id", "name", "mimeType", "modifiedTime", "size"),
        ),
        Reads(
            what="the contacts of those who were there from outside",
            credential="hubspot/crm",
            fields=("email", "firstname", "lastname", "company"),
        ),
    ),
    writes=(
        Writes(
            kind="gmail.send_reply",
            where="those who were there from outside, if the CRM knows them",
            credential="gmail/inbox",
            approval=True,
            optional=True,
        ),
        Writes(kind="hubspot.upsert_contact", where="our own contact", credential="hubspot/crm", approval=False),
        Writes(
            kind="hubspot.create_task", where="a guest's contact, or ours", credential="hubspot/crm", approval=False
        ),
        Writes(kind="hubspot.add_note", where="a guest's contact, or ours", credential="hubspot/crm", approval=False),
        Writes(
            kind="slack.post_message",
            where="the team's channel",
            credential="slack/team",
            approval=False,
            optional=True,
        ),
        Writes(
            kind="notion.create_page",
            where="the database of meeting notes",
            credential="notion/meetings",
            approval=False,
            optional=True,
        ),
    ),
    prompt="meeting_notes",
    model="claude/triage",
    on_garbage="It is asked again with what is wrong, twice; then the meeting is quarantined for a person. An item "
    "that its lines do not support is dropped, and the form says so.",
    on_outage="The meeting keeps its place in the ledger, and the next run takes it up.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("1.00"),
    usd_per_day=Decimal("3"),
    usd_per_month=Decimal("40"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.6, approval_days=7),
    evidence=Evidence(judged=("outcome", "decisions", "actions")),
    allowed=("dockwell.example", "hello@dockwell.example"),
)

SOURCES: tuple[Source, ...] = (
    DriveFolder(name="meetings", credential="drive/company", folder="meetings"),
    Folder(name="recordings", path="~/signoff-meetings", readers=("domain:dockwell.example",)),
)
"""Where transcripts and recordings are put: Google Meet's own folder, and one of this machine. One that is not there is
passed over."""

COMPANY = Company(
    name="Dockwell",
    domain="dockwell.example",
    people={
        "Mara Lindqvist": "mara@dockwell.example",
        "Joel Abara": "joel@dockwell.example",
        "Priya Nair": "priya@dockwell.example",
        "Tom Hadley": "tom@dockwell.example",
        "Inés Robles": "ines@dockwell.example",
        "Kofi Mensah": "kofi@dockwell.example",
    },
)
"""Who works here: they may take things on though they were not there, and the notes are not mailed to them."""

OURS = "hello@dockwell.example"
"""The contact in the CRM on which the tasks of meetings among ourselves are put. It stands on the card's `allowed`."""

BATCH = 10
MOST_TASKS = 20
"""Tasks of one meeting; what is over stands in the note alone."""
MOST_MAILS = 5
"""Guests who are written to after one meeting."""
UNDATED = timedelta(days=7)
"""How long after the meeting an action item is due for which no day was said."""
END_OF_WORK = time(16, tzinfo=UTC)

WORDS = {
    "en": ("Hello{name},", "thank you for your time. This is what we noted of “{title}”:", "Decided:", "To do:",
           "by {day:%d %b %Y}", "If we got something wrong, a line is enough.", "Kind regards"),
    "de": ("Guten Tag{name},", "vielen Dank für Ihre Zeit. Das haben wir bei „{title}“ festgehalten:", "Entschieden:",
           "Zu tun:", "bis {day:%d.%m.%Y}", "Wenn etwas nicht stimmt, genügt eine Zeile.", "Freundliche Grüße"),
}  # fmt: skip
"""What stands around the notes that guests are sent."""


@flow(name="meeting-notes")
def meeting_notes(limit: Annotated[int, Field(ge=1, le=200)] = 20) -> report.Summary:
    """Write the notes of up to `limit` new transcripts and recordings, in the order of their folders."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        found = meetings.new(run, SOURCES, limit=limit, suite=expectations)
        for batch in run.batches(found, BATCH):
            meetings.guests(run, batch, COMPANY)
            ready = meetings.earlier_sections(run, batch, told, COMPANY)
            prompt.ask(run, ready, variables)
            validate.answers(run, ready, variables, check=complaint)
            gate.check(run, ready, decide, explain)
            act.perform(run, ready)
        return report.publish(run, found)


def expectations() -> Sequence[Expectation]:
    """What a meeting must be like to be asked about."""
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToMatchRegex(column="subject", regex=r"\S", notes="it has no name"),
        gxe.ExpectColumnValueLengthsToBeBetween(column="text", min_value=20, notes="hardly anything is said in it"),
    ]


def variables(record: Record) -> dict[str, Any]:
    """What the prompt is told of a meeting: all of it, or the last section of a long one."""
    return told(record, meetings.sections(record)[-1], meetings.earlier(record))


def told(record: Record, section: str, earlier: Sequence[MeetingNotes]) -> dict[str, Any]:
    """What the prompt is told of one section of a meeting."""
    meeting = Meeting.model_validate(record.payload)
    there = [person.name or person.email for person in meeting.people]
    ours = [name for name in COMPANY.people if name not in there]
    written = "by a program, from speech: numbers, dates and names may be misheard" if meeting.heard else "by a person"
    return {
        "company": COMPANY.name,
        "title": meeting.subject,
        "date": f"{meeting.held_on:%A %d %B %Y}" if meeting.held_on else "not known",
        "people": f"{', '.join(there) or 'not known'}; of {COMPANY.name} and not there: {', '.join(ours) or 'nobody'}",
        "written": written,
        "earlier": meetings.told_of(earlier),
        "text": section,
    }


def complaint(record: Record, answer: BaseModel) -> str:
    """What is wrong with an answer as a whole: it cites lines that it was not given, or contradicts itself."""
    return meetings.complaint(answer, meetings.held_of(record, COMPANY), meetings.sections(record)[-1])


def minutes_of(record: Record) -> Minutes:
    """What is left of the notes, once code has compared them with the lines."""
    return minutes.made(meetings.held_of(record, COMPANY), meetings.answers(record), utcnow().date())


def decide(record: Record) -> list[Action]:
    """The model said what the meeting came to; this says what we do about it."""
    found = minutes_of(record)
    if not (found.points or found.decisions or found.actions or found.to_confirm):
        return []
    where = contact_of(record)
    wanted: list[Action] = [] if where != OURS else [UpsertContact(email=OURS, properties={"firstname": COMPANY.name})]
    wanted += [task(record, item, where) for item in found.actions[:MOST_TASKS]]
    if found.to_confirm:
        wanted.append(look_at(record, found.to_confirm, where))
    wanted += [AddNote(email=where, body=as_text(record, found), at=noon(record)), page(record, found)]
    if found.decisions or found.actions:
        wanted.append(PostMessage(text=in_short(record, found)))
        wanted += [mail(record, found, guest) for guest in meetings.guests_of(record)[:MOST_MAILS]]
    return wanted


def contact_of(record: Record) -> str:
    """On whose contact tasks and note are put: the first guest's whom the CRM knows, or our own."""
    return next((guest["email"] for guest in meetings.guests_of(record)), OURS)


def task(record: Record, item: Item, where: str) -> CreateTask:
    """One action item, where it is not forgotten."""
    meeting = Meeting.model_validate(record.payload)
    undated = "" if item.due else "\n\nNo day was said, so it is put a week after the meeting."
    return CreateTask(
        email=where,
        subject=f"{item.owner}: {item.text}"[:200],
        body=f"{item.marked}{undated}\n\n{meeting.subject}, {lines(item)}:\n{cited(record, item)}",
        due=datetime.combine(item.due, END_OF_WORK) if item.due else noon(record) + UNDATED,
    )


def look_at(record: Record, doubts: Sequence[Doubt], where: str) -> CreateTask:
    """What was not plain, as one task for a person."""
    meeting = Meeting.model_validate(record.payload)
    rows = [f"- {doubt.text} ({lines(doubt)}): {doubt.why}" for doubt in doubts]
    subject = f"Look at {counted(len(doubts), 'point')} of “{meeting.subject}”"
    return CreateTask(email=where, subject=subject[:200], body="\n".join(rows), due=utcnow() + timedelta(days=1))


def as_text(record: Record, found: Minutes) -> str:
    """The whole notes, for the CRM's timeline."""
    meeting = Meeting.model_validate(record.payload)
    day = f", {meeting.held_on:%d %b %Y}" if meeting.held_on else ""
    people = ", ".join(person.name or person.email for person in meeting.people)
    parts = [f"Notes of “{meeting.subject}”{day}\nThere: {people}", found.summary]
    parts += [
        f"{title}:\n" + "\n".join(rows)
        for title, rows in (
            ("In short", [f"- {item.marked} ({lines(item)})" for item in found.points]),
            ("Decided", [f"- {item.marked} ({lines(item)})" for item in found.decisions]),
            ("To do", [f"- {in_words(item)} ({lines(item)})" for item in found.actions]),
            ("To be looked at", [f"- {doubt.text} ({lines(doubt)}): {doubt.why}" for doubt in found.to_confirm]),
        )
        if rows
    ]
    return "\n\n".join(part for part in parts if part)


def page(record: Record, found: Minutes) -> CreatePage:
    """The whole notes, as a page of their own in Notion."""
    meeting = Meeting.model_validate(record.payload)
    plain = not found.to_confirm and not any(item.marks for item in (*found.decisions, *found.actions))
    people = ", ".join(person.name or person.email for person in meeting.people)
    parts = [f"There: {people}"] if people else []
    parts += [
        "\n".join([f"## {title}", *rows])
        for title, rows in (
            ("In short", [f"- {item.marked} ({lines(item)})" for item in found.points]),
            ("Decided", [f"- {item.marked} ({lines(item)})" for item in found.decisions]),
            ("To do", [f"- [ ] {in_words(item)} ({lines(item)})" for item in found.actions]),
            ("To be looked at", [f"- {doubt.text} ({lines(doubt)}): {doubt.why}" for doubt in found.to_confirm]),
        )
        if rows
    ]
    return CreatePage(
        name=meeting.subject,
        properties={
            "Date": f"{meeting.held_on:%Y-%m-%d}" if meeting.held_on else "",
            "Summary": found.summary,
            "Status": "Final" if plain else "Draft",
        },
        body="\n\n".join(parts),
    )


def in_short(record: Record, found: Minutes) -> str:
    """What the team reads in its channel."""
    meeting = Meeting.model_validate(record.payload)
    rows = [f"Notes of “{meeting.subject}”"]
    rows += [f"Decided: {item.marked}" for item in found.decisions[:MOST_TASKS]]
    rows += [f"To do: {in_words(item)}" for item in found.actions[:MOST_TASKS]]
    if found.to_confirm:
        rows.append(f"{counted(len(found.to_confirm), 'point')} to be looked at")
    return "\n".join(rows)


def in_words(item: Item) -> str:
    """`Tom Hadley, by 06 Mar 2026: send the offer`."""
    day = f", by {item.due:%d %b %Y}" if item.due else ""
    return f"{item.owner}{day}: {item.marked}"


def mail(record: Record, found: Minutes, guest: dict[str, str]) -> SendReply:
    """What was agreed, for a guest who was there. A person reads it first, with the marks beside it: they are ours.

    A day of which something is to be confirmed is left out.
    """
    meeting = Meeting.model_validate(record.payload)
    greeting, before, decided, to_do, by, after, closing = WORDS["de" if language_of(meeting.text) == "de" else "en"]
    name = guest["name"].partition(" ")[0]
    parts = [greeting.format(name=f" {name}" if name else ""), before.format(title=meeting.subject)]
    if found.decisions:
        parts.append("\n".join([decided, *(f"- {item.text}" for item in found.decisions)]))
    if found.actions:
        rows = [
            f"- {item.owner}: {item.text}" + (f", {by.format(day=item.due)}" if item.due and not item.marks else "")
            for item in found.actions
        ]
        parts.append("\n".join([to_do, *rows]))
    parts += [after, f"{closing}\n{COMPANY.name}"]
    return SendReply(to=guest["email"], subject=meeting.subject[:200], body="\n\n".join(parts), begins=True)


def noon(record: Record) -> datetime:
    """When the meeting was, as far as anybody knows: its day at noon (UTC), or when it came in."""
    held_on = Meeting.model_validate(record.payload).held_on
    return datetime.combine(held_on, time(12, tzinfo=UTC)) if held_on else record.created_at


def lines(item: Item | Doubt) -> str:
    """`lines 4, 7`."""
    numbers = ", ".join(map(str, dict.fromkeys(item.lines)))
    return f"line{'s' if len(set(item.lines)) > 1 else ''} {numbers}"


def cited(record: Record, item: Item | Doubt) -> str:
    """What was said in an item's lines."""
    return "\n".join(said(record, item))


def said(record: Record, item: Item | Doubt) -> Iterator[str]:
    """Each of an item's lines, as it was said."""
    held = {line.number: line for line in Meeting.model_validate(record.payload).lines}
    for number in dict.fromkeys(item.lines):
        if line := held.get(number):
            yield f"[{number}] {line.speaker or '?'}: {line.text}"


def explain(record: Record) -> str:
    """What an approver must know of a meeting: what was found and where, what is in doubt, what was dropped."""
    meeting, found = Meeting.model_validate(record.payload), minutes_of(record)
    day = f"{meeting.held_on:%d %b %Y}" if meeting.held_on else "on a day that it does not name"
    by = "written down by a program, so numbers and days are marked" if meeting.heard else "written down by a person"
    people = ", ".join(person.name or person.email for person in meeting.people)
    facts = [
        f"**Why:** {plain(found.summary or 'notes of a meeting')}",
        f"**Meeting:** {plain(meeting.subject)}, {day}, {by}. There: {plain(people)}.",
    ]
    for title, items in (("Decided", found.decisions), ("To do", found.actions)):
        for item in items:
            facts += [
                f"**{title}:** {plain(in_words(item) if item.owner else item.marked)}",
                quoted(cited(record, item), 800),
            ]
    for title, doubts in (("Not plain, a person must look", found.to_confirm), ("Dropped", found.dropped)):
        if doubts:
            rows = [f"- {plain(doubt.text)} ({lines(doubt)}): {plain(doubt.why)}" for doubt in doubts]
            facts.append("\n".join([f"**{title}:**", *rows]))
    return "\n\n".join(facts)

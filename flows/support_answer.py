"""Answer support questions from the company's own documents, with citations, for a person to sign off."""

from __future__ import annotations

from collections.abc import Set
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from prefect import flow
from pydantic import BaseModel, Field

from blocks.embedded.first_name import first_name
from blocks.embedded.language import language_of
from blocks.ledger import Record
from blocks.library import audience_of
from blocks.mail import Email
from prompts.support_answer.answer import Sentence, SupportAnswer
from tasks import act, approvals, checks, citations, contacts, fetch, gate, prompt, report, retrieve, tickets, validate
from tasks.actions import (
    Action,
    ApplyLabel,
    CreateTask,
    NoteTicket,
    PostMessage,
    SendReply,
    UpdateTicket,
)
from tasks.card import Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.plain import plain, quoted
from tasks.run import begin
from tasks.tickets import AskedByTicket

CARD = Card(
    workflow="support-answer",
    sentence="Answer support questions from the company's own documents, and hand over what is not in them.",
    owner="tom@dockwell.example",
    baseline=Baseline(minutes=9, failure_rate=0.1),
    reads=(
        Reads(
            what="the e-mails that are labelled Support",
            credential="gmail/inbox",
            fields=("id", "threadId", "labelIds", "internalDate", "raw"),
        ),
        Reads(
            what="new tickets, and the askers' contacts",
            credential="hubspot/crm",
            fields=("email", "firstname", "lastname", "company"),
        ),
    ),
    writes=(
        Writes(
            kind="gmail.send_reply",
            where="the asker's thread, or a new e-mail to a ticket's contact",
            credential="gmail/inbox",
            approval=True,
        ),
        Writes(kind="gmail.apply_label", where="the e-mail", credential="gmail/inbox", approval=False),
        Writes(kind="hubspot.upsert_contact", where="the CRM", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.create_task", where="the asker's contact", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.note_ticket", where="the ticket", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.update_ticket", where="the ticket", credential="hubspot/crm", approval=False),
        Writes(
            kind="slack.post_message",
            where="the team's channel",
            credential="slack/team",
            approval=False,
            optional=True,
        ),
    ),
    prompt="support_answer",
    model="claude/triage",
    on_garbage="It is asked again with what is wrong, a bad citation too, twice; then it is quarantined for a person.",
    on_outage="The question keeps its place in the ledger, and the next run takes it up.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("1.00"),
    usd_per_day=Decimal("5"),
    usd_per_month=Decimal("60"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.6, approval_days=5),
    evidence=Evidence(judged=("topic",)),
    allowed=("dockwell.example",),
)

COMPANY = "Dockwell"
"""How the prompt and the replies name us."""

LABEL = "Support"
"""The Gmail label by which an e-mail is this workflow's: a filter for support@ sets it, or a person does."""

NEW = "1"
"""The stage of HubSpot's support pipeline in which nobody has answered yet."""

BATCH = 25
DUE = {"high": timedelta(hours=4), "normal": timedelta(days=1), "low": timedelta(days=3)}
"""How soon a person must answer what the documents do not, after it came."""

CATEGORIES = {
    "how_to": "GENERAL_INQUIRY",
    "fault": "PRODUCT_ISSUE",
    "access": "PRODUCT_ISSUE",
    "billing": "BILLING_ISSUE",
    "data": "GENERAL_INQUIRY",
    "request": "FEATURE_REQUEST",
}
"""HubSpot's own ticket categories."""

PRIORITIES = {"high": "HIGH", "normal": "MEDIUM", "low": "LOW"}

WORDS = {
    "en": ("Hello{name},", "Where this stands:", "A colleague will write to you about the rest.", "Kind regards"),
    "de": (
        "Guten Tag{name},",
        "Nachzulesen hier:",
        "Zum Übrigen schreibt Ihnen jemand aus unserem Team.",
        "Freundliche Grüße",
    ),
    "fr": ("Bonjour{name},", "À lire ici :", "Un collègue vous écrira au sujet du reste.", "Bien cordialement"),
    "es": ("Hola{name}:", "Puede leerlo aquí:", "Un compañero le escribirá sobre lo demás.", "Un cordial saludo"),
}
"""What stands around an answer: greeting, before the sources, where something is left open, and closing."""


@flow(name="support-answer")
def support_answer(limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> report.Summary:
    """Answer up to `limit` labelled e-mails and new tickets, the oldest first."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        fetch.labelled(run, LABEL, limit=limit, suite=checks.answerable)
        questions = tickets.new(run, stage=NEW, limit=limit, suite=checks.answerable)
        for batch in run.batches(questions, BATCH):
            fetch.contacts(run, batch, asker)
            retrieve.passages(run, batch, question, readers)
            prompt.ask(run, batch, variables)
            validate.answers(run, batch, variables, check=complaint)
            gate.check(run, batch, decide, explain)
            act.perform(run, batch)
        return report.publish(run, questions)


def asked(record: Record) -> Email | AskedByTicket:
    """The e-mail or ticket that a record holds."""
    kind = AskedByTicket if record.source == tickets.SOURCE else Email
    found: Email | AskedByTicket = kind.model_validate(record.payload)
    return found


def asker(record: Record) -> str:
    """Who asks, and will be answered."""
    match asked(record):
        case Email(reply_to=address) if address:  # a web form writes in a visitor's name
            return address
        case found:
            return found.sender


def question(record: Record) -> str:
    """What is looked for in the documents."""
    found = asked(record)
    return f"{found.subject}\n{found.text}"


def readers(record: Record) -> list[Set[str]]:
    """Who will read the answer: nothing is quoted that the asker may not see."""
    return [audience_of(asker(record))]


def variables(record: Record) -> dict[str, Any]:
    """What the prompt is told of a question."""
    found = asked(record)
    return {
        "company": COMPANY,
        "sender_name": name_of(record),
        "subject": found.subject,
        "date": f"{found.sent_at:%A %d %B %Y}",
        "text": found.text,
        "passages": retrieve.told(retrieve.passages_of(record)),
    }


def name_of(record: Record) -> str:
    """What the asker is called; empty when nobody knows."""
    found = asked(record)
    contact = (record.context or {}).get(fetch.CONTACT) or {}
    known = " ".join(str(contact.get(part) or "") for part in ("firstname", "lastname")).strip()
    return found.sender_name if isinstance(found, Email) and found.sender_name else known


def complaint(record: Record, answer: BaseModel) -> str:
    """What is wrong with an answer's citations; nothing when every sentence stands where it says."""
    said = SupportAnswer.model_validate(answer.model_dump())
    return "; ".join(citations.objections(said.answer, retrieve.cited_texts(retrieve.passages_of(record))))


def decide(record: Record) -> list[Action]:
    """The model said what the documents say; this says what we do about it."""
    answer = SupportAnswer.model_validate(record.answer)
    found = asked(record)
    if isinstance(found, AskedByTicket):
        return [*tags(record, found, answer), *about_ticket(record, found, answer), *alert(record, answer)]
    return [*about_email(record, found, answer), *alert(record, answer)]


def about_email(record: Record, email: Email, answer: SupportAnswer) -> list[Action]:
    """The reply; or, where the documents are silent, a task for a person."""
    topic = answer.topic.replace("_", " ").capitalize() if record.sure else "To read"
    if not answer.answer:
        return [*contact(record, email), hand_over(record, answer), label(email, "Signoff/Not in the documents")]
    rest = [*contact(record, email), hand_over(record, answer)] if answer.missing else []
    return [*rest, reply(record, answer, email), label(email, f"Signoff/{topic}")]


def about_ticket(record: Record, ticket: AskedByTicket, answer: SupportAnswer) -> list[Action]:
    """The reply, by e-mail, and a note of what was or was not found."""
    if not answer.answer:
        return [note(ticket, f"The documents do not answer this: {answer.missing or answer.summary}")]
    sources = ", ".join(dict.fromkeys(passage["heading"] for passage in cited(record, answer)))
    rest = f"\n\nStill open: {answer.missing}" if answer.missing else ""
    return [reply(record, answer), note(ticket, f"The documents answer this: {sources}{rest}")]


def reply(record: Record, answer: SupportAnswer, email: Email | None = None) -> SendReply:
    """The answer, with its sources: in the e-mail's own thread, or as an e-mail of its own."""
    body = body_of(record, answer)
    if email is None:
        return SendReply(to=asker(record), subject=asked(record).subject or "Your question", body=body)
    return SendReply(
        message_id=email.message_id,
        thread_id=email.thread_id,
        to=asker(record),
        subject=email.subject,
        body=body,
        in_reply_to=email.rfc822_message_id,
        references=email.references,
    )


def body_of(record: Record, answer: SupportAnswer) -> str:
    """The reply as it is sent: greeting, the sentences with their citations, where they stand, closing."""
    greeting, before_sources, left_open, closing = WORDS[language_of(asked(record).text)]
    called = first_name({"sender_name": name_of(record), "sender": asker(record)})
    found = cited(record, answer)
    numbers = {passage["number"]: number for number, passage in enumerate(found, start=1)}
    sources = "\n".join(
        f"[{number}] {passage['heading']}" + (f"\n    {passage['link']}" if passage["link"] else "")
        for number, passage in enumerate(found, start=1)
    )
    parts = [
        greeting.format(name=f" {called}" if called else ""),
        " ".join(with_citation(sentence, numbers) for sentence in answer.answer),
        *([left_open] if answer.missing else []),
        f"{before_sources}\n{sources}",
        f"{closing}\n{COMPANY}",
    ]
    return "\n\n".join(parts)


def with_citation(sentence: Sentence, numbers: dict[int, int]) -> str:
    """`Save the file as UTF-8 [1].`"""
    marks = "".join(f"[{numbers[source]}]" for source in dict.fromkeys(sentence.sources))
    text = sentence.text.strip()
    stop = text[-1] if text[-1] in ".!?:" else ""
    return f"{text.removesuffix(stop)} {marks}{stop}"


def cited(record: Record, answer: SupportAnswer) -> list[dict[str, Any]]:
    """The passages that the answer cites, in the order in which it does."""
    passages = {passage["number"]: passage for passage in retrieve.passages_of(record)}
    order = dict.fromkeys(source for sentence in answer.answer for source in sentence.sources)
    return [passages[number] for number in order]


def explain(record: Record) -> str:
    """What an approver must know of the question: what was found, where, and the question itself."""
    found, answer = asked(record), SupportAnswer.model_validate(record.answer)
    what = "E-mail" if isinstance(found, Email) else f"Ticket {found.ticket_id}"
    facts = [
        f"**Why:** {answer.topic.replace('_', ' ')}, urgency {answer.urgency}, {answer.confidence:.0%} sure: "
        f"{plain(answer.summary)}",
        *([f"**Not in the documents:** {plain(answer.missing)}"] if answer.missing else []),
        f"**{what}** of {plain(name_of(record) or found.sender)} ({plain(found.sender)}), "
        f"{found.sent_at:%d %b %Y %H:%M} UTC, “{plain(found.subject)}”:",
        quoted(found.text),
        *(source_of(number, passage) for number, passage in enumerate(cited(record, answer), start=1)),
    ]
    return "\n\n".join(facts)


def source_of(number: int, passage: dict[str, Any]) -> str:
    """A cited passage, for the approver's eyes: where it stands, who may read it, and what it says."""
    who = ", ".join(passage["readers"])
    where = (
        f"**Source {number}:** {plain(passage['heading'])} ({plain(passage['document'])}; may be read by {plain(who)})"
    )
    return f"{where}\n\n{quoted(passage['text'], 1500)}"


def tags(record: Record, ticket: AskedByTicket, answer: SupportAnswer) -> list[Action]:
    """The ticket's category and priority; none when the model is not sure."""
    if not record.sure:
        return []
    properties = {"hs_ticket_category": CATEGORIES[answer.topic], "hs_ticket_priority": PRIORITIES[answer.urgency]}
    return [UpdateTicket(ticket_id=ticket.ticket_id, properties=properties)]


def note(ticket: AskedByTicket, body: str) -> NoteTicket:
    """What became of the question, on the ticket."""
    return NoteTicket(ticket_id=ticket.ticket_id, body=body, at=ticket.sent_at)


def contact(record: Record, email: Email) -> list[Action]:
    """What the CRM does not know yet of who asks."""
    return contacts.filled_in(record, asker(record), contacts.names_of(email))


def hand_over(record: Record, answer: SupportAnswer) -> CreateTask:
    """A person answers what the documents do not."""
    found = asked(record)
    return CreateTask(
        email=asker(record),
        subject=f"Answer: {name_of(record) or asker(record)}",
        body=f"{answer.summary}\n\nNot in the documents: {answer.missing or 'all of it'}",
        due=found.sent_at + DUE[answer.urgency],
    )


def alert(record: Record, answer: SupportAnswer) -> list[Action]:
    """Urgent and not in the documents: somebody hears of it now."""
    if answer.urgency != "high" or answer.answer:
        return []
    return [PostMessage(text=f"Urgent, and not in the documents, from {asker(record)}: {answer.summary}")]


def label(email: Email, name: str) -> ApplyLabel:
    """The e-mail's label, so that the inbox itself shows what was done."""
    return ApplyLabel(message_id=email.message_id, label=name, archive=False)

"""Sort every inbound e-mail, put leads in the CRM, and draft the first reply for a person to sign off."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from blocks.ledger import Record
from blocks.mail import Email
from prompts.lead_triage.answer import LeadTriage
from tasks import act, approvals, checks, contacts, fetch, gate, prompt, report, validate
from tasks.actions import Action, AddNote, ApplyLabel, CreateTask, PostMessage, SendReply
from tasks.card import Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.plain import plain, quoted
from tasks.run import begin

CARD = Card(
    workflow="lead-triage",
    sentence="Sort every inbound e-mail, put leads in the CRM, and draft the first reply.",
    owner="tom@dockwell.example",
    baseline=Baseline(minutes=6, failure_rate=0.08),
    reads=(
        Reads(
            what="the shared inbox",
            credential="gmail/inbox",
            fields=("id", "threadId", "labelIds", "internalDate", "raw"),
        ),
        Reads(
            what="the sender's contact",
            credential="hubspot/crm",
            fields=("email", "firstname", "lastname", "company", "jobtitle", "lifecyclestage"),
        ),
    ),
    writes=(
        Writes(kind="gmail.send_reply", where="the sender's thread", credential="gmail/inbox", approval=True),
        Writes(kind="gmail.apply_label", where="the e-mail", credential="gmail/inbox", approval=False),
        Writes(kind="hubspot.upsert_contact", where="the CRM", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.add_note", where="the sender's contact", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.create_task", where="the sender's contact", credential="hubspot/crm", approval=False),
        Writes(
            kind="slack.post_message",
            where="the team's channel",
            credential="slack/team",
            approval=False,
            optional=True,
        ),
    ),
    prompt="lead_triage",
    model="claude/triage",
    on_garbage="It is asked again with the error, twice; then the e-mail is quarantined for a person.",
    on_outage="The e-mail keeps its place in the ledger, and the next run takes it up.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("0.50"),
    usd_per_day=Decimal("4"),
    usd_per_month=Decimal("40"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.6, approval_days=5),
    evidence=Evidence(judged=("intent",)),  # a wrong urgency only moves the date by which a person looks
    shadow_report="slack/team",
    allowed=("dockwell.example",),
)

COMPANY = "Dockwell"
"""How the prompt and the replies name us."""

ELSEWHERE = ("Support", "Billing")
"""The labels of e-mails that are left to `support_answer` and `billing_agent`."""

BATCH = 50
DUE = {"high": timedelta(hours=4), "normal": timedelta(days=1), "low": timedelta(days=3)}
"""How soon the follow-up task of a lead or a support request is due, after the e-mail came."""


@flow(name="lead-triage")
def lead_triage(limit: Annotated[int, Field(ge=1, le=1000)] = 200) -> report.Summary:
    """Triage up to `limit` e-mails of the inbox, the oldest first."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        emails = fetch.inbox(run, query="in:inbox", limit=limit, suite=checks.answerable, unless=ELSEWHERE)
        for batch in run.batches(emails, BATCH):
            fetch.contacts(run, batch, sender_of)
            prompt.ask(run, batch, variables)
            validate.answers(run, batch, variables)
            gate.check(run, batch, decide, explain)
            act.perform(run, batch)
        return report.publish(run, emails)


def variables(record: Record) -> dict[str, Any]:
    """What the prompt is told of an e-mail."""
    email = Email.model_validate(record.payload)
    return {
        "company": COMPANY,
        "sender": email.sender,
        "sender_name": email.sender_name,
        "subject": email.subject,
        "date": f"{email.sent_at:%A %d %B %Y}",
        "text": email.text,
        "attachments": [a.name for a in email.attachments],
        "contact": (record.context or {}).get("contact"),
    }


def decide(record: Record) -> list[Action]:
    """The model said what the e-mail is; this says what we do about it."""
    email = Email.model_validate(record.payload)
    lead = LeadTriage.model_validate(record.answer)
    if not record.sure:
        return [label(email, "Signoff/To read")]
    match lead.intent:
        case "spam":
            return [label(email, "Signoff/Spam", archive=True)]
        case "demo_request":
            return [
                *contact(record, email, lifecyclestage="lead"),
                note(email, lead),
                follow_up(email, lead, "Book the demo"),
                *reply(email, lead),
                label(email, "Signoff/Lead"),
            ]
        case "support":
            return [
                *contact(record, email),
                note(email, lead),
                follow_up(email, lead, "Answer"),
                *reply(email, lead),
                *alert(email, lead),
                label(email, "Signoff/Support"),
            ]
        case "partnership":
            return [
                *contact(record, email),
                note(email, lead),
                *reply(email, lead),
                label(email, "Signoff/Partner"),
            ]
        case "other":
            return [label(email, "Signoff/To read")]


def explain(record: Record) -> str:
    """What an approver must know of the e-mail: what the model made of it, and the e-mail itself."""
    email = Email.model_validate(record.payload)
    lead = LeadTriage.model_validate(record.answer)
    intent = lead.intent.replace("_", " ")
    facts = [
        f"**Why:** {intent}, urgency {lead.urgency}, {lead.confidence:.0%} sure: {plain(lead.summary)}",
        f"**Answers** {plain(email.sender_name or email.sender)} ({plain(email.sender)}), "
        f"{email.sent_at:%d %b %Y %H:%M} UTC, “{plain(email.subject)}”:",
        quoted(email.text),
        *warnings(email),
    ]
    return "\n\n".join(facts)


def warnings(email: Email) -> list[str]:
    """What is odd about the e-mail, for the approver's eyes."""
    odd = list(email.defects)
    if email.reply_to:
        odd.append(f"the reply goes to {email.reply_to}, not to the sender {email.sender}")
    if not correspondent(email).isascii():
        odd.append("the address holds letters that only look like others")
    return [f"**Careful:** {plain(one)}" for one in odd]


def sender_of(record: Record) -> str:
    """Whom to look up in the CRM."""
    return correspondent(Email.model_validate(record.payload))


def correspondent(email: Email) -> str:
    """Whom we talk to: a web form writes in a visitor's name, and says so in Reply-To."""
    return email.reply_to or email.sender


def contact(record: Record, email: Email, **properties: str) -> list[Action]:
    """What the CRM does not know yet of whom we talk to."""
    return contacts.filled_in(record, correspondent(email), contacts.names_of(email) | properties)


def note(email: Email, lead: LeadTriage) -> AddNote:
    """What came in, on the contact's timeline."""
    body = f"{lead.summary}\n\nE-mail “{email.subject}”"
    return AddNote(email=correspondent(email), body=body, at=email.sent_at)


def follow_up(email: Email, lead: LeadTriage, verb: str) -> CreateTask:
    """Somebody must look, by the time that the urgency allows."""
    return CreateTask(
        email=correspondent(email),
        subject=f"{verb}: {email.sender_name or correspondent(email)}",
        body=lead.summary,
        due=email.sent_at + DUE[lead.urgency],
    )


def reply(email: Email, lead: LeadTriage) -> list[Action]:
    """The draft, in the e-mail's own thread; none when the model had nothing to say."""
    if not lead.reply.strip():
        return []
    return [
        SendReply(
            message_id=email.message_id,
            thread_id=email.thread_id,
            to=correspondent(email),
            subject=email.subject,
            body=lead.reply,
            in_reply_to=email.rfc822_message_id,
            references=email.references,
        )
    ]


def alert(email: Email, lead: LeadTriage) -> list[Action]:
    """Urgent means that somebody hears of it now, not when they next look at the CRM."""
    if lead.urgency != "high":
        return []
    return [PostMessage(text=f"Urgent, from {correspondent(email)}: {lead.summary}")]


def label(email: Email, name: str, *, archive: bool = False) -> ApplyLabel:
    """The e-mail's label, so that the inbox itself shows what was done."""
    return ApplyLabel(message_id=email.message_id, label=name, archive=archive)

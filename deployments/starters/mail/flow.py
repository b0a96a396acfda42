"""Sort the e-mails under a Gmail label, and draft a reply to each for a person to sign off."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from blocks.ledger import Record
from blocks.mail import Email
from deployments.starters.mail.prompt.answer import SortedMail
from tasks import act, approvals, checks, fetch, gate, prompt, report, validate
from tasks.actions import Action, ApplyLabel, SendReply
from tasks.card import Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.plain import plain, quoted
from tasks.run import begin

CARD = Card(
    workflow="starter-mail",
    sentence="Sort the e-mails under a Gmail label, and draft a reply to each.",
    owner="tom@dockwell.example",
    baseline=Baseline(minutes=5, failure_rate=0.1),
    reads=(
        Reads(
            what="the e-mails under the label",
            credential="gmail/inbox",
            fields=("id", "threadId", "labelIds", "internalDate", "raw"),
        ),
    ),
    writes=(
        Writes(kind="gmail.send_reply", where="the sender's thread", credential="gmail/inbox", approval=True),
        Writes(kind="gmail.apply_label", where="the e-mail", credential="gmail/inbox", approval=False),
    ),
    prompt="starter_mail",
    model="claude/triage",
    on_garbage="It is asked again with the error, twice; then the e-mail is quarantined for a person.",
    on_outage="The e-mail keeps its place in the ledger, and the next run takes it up.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("0.50"),
    usd_per_day=Decimal("4"),
    usd_per_month=Decimal("40"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.6, approval_days=5),
    evidence=Evidence(judged=("category",)),
    allowed=("dockwell.example",),
)

COMPANY = "Dockwell"
"""How the prompt and the replies name us."""

LABEL = "To sort"
"""The Gmail label by which an e-mail is this workflow's: a filter sets it, or a person does."""

BATCH = 25

LABELS = {"sales": "Signoff/Sales", "help": "Signoff/Help", "other": "Signoff/To read"}
"""The label that an e-mail of each category gets."""


@flow(name="starter-mail")
def starter_mail(limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> report.Summary:
    """Sort up to `limit` labelled e-mails, the oldest first."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        emails = fetch.labelled(run, LABEL, limit=limit, suite=checks.answerable)
        for batch in run.batches(emails, BATCH):
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
        "text": email.text,
    }


def decide(record: Record) -> list[Action]:
    """The model said what the e-mail is; this says what we do about it."""
    email = Email.model_validate(record.payload)
    mail = SortedMail.model_validate(record.answer)
    if not record.sure:
        return [label(email, "Signoff/To read")]
    return [*reply(email, mail), label(email, LABELS[mail.category])]


def explain(record: Record) -> str:
    """What an approver must know of the e-mail: what the model made of it, and the e-mail itself."""
    email = Email.model_validate(record.payload)
    mail = SortedMail.model_validate(record.answer)
    facts = [
        f"**Why:** {mail.category}, {mail.confidence:.0%} sure: {plain(mail.summary)}",
        f"**Answers** {plain(email.sender_name or email.sender)} ({plain(email.sender)}), "
        f"{email.sent_at:%d %b %Y %H:%M} UTC, “{plain(email.subject)}”:",
        quoted(email.text),
        *(f"**Careful:** {plain(one)}" for one in warnings(email)),
    ]
    return "\n\n".join(facts)


def warnings(email: Email) -> list[str]:
    """What is odd about the e-mail, for the approver's eyes."""
    elsewhere = f"the reply goes to {email.reply_to}, not to the sender {email.sender}"
    return [*email.defects, *([elsewhere] if email.reply_to else [])]


def reply(email: Email, mail: SortedMail) -> list[Action]:
    """The draft, in the e-mail's own thread; none when there is nothing to say."""
    if not mail.reply.strip():
        return []
    return [
        SendReply(
            message_id=email.message_id,
            thread_id=email.thread_id,
            to=email.reply_to or email.sender,
            subject=email.subject,
            body=mail.reply,
            in_reply_to=email.rfc822_message_id,
            references=email.references,
        )
    ]


def label(email: Email, name: str) -> ApplyLabel:
    """The e-mail's label, so that the inbox itself shows what was done."""
    return ApplyLabel(message_id=email.message_id, label=name, archive=False)

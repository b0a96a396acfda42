"""Answer billing mail and chase overdue invoices: an agent looks, drafts and proposes; a person decides on money."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

import prompts
from blocks.embedded.first_name import first_name
from blocks.embedded.language import language_of
from blocks.ledger import Record, utcnow
from blocks.mail import Email
from blocks.money import in_words
from blocks.stripe import Invoice
from tasks import act, agent, approvals, billing, checks, fetch, prompt, report, validate
from tasks.actions import Action, AddNote, ApplyLabel, CreateTask, PostMessage
from tasks.agent import Desk, Ended
from tasks.billing import CUSTOMER, OverdueInvoice
from tasks.card import Agent, Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.journal import Made
from tasks.limits import GivenUp
from tasks.plain import plain, quoted
from tasks.run import begin
from tasks.tools import Tool

CARD = Card(
    workflow="billing-agent",
    sentence="Answer billing mail, remind of overdue invoices, and propose refunds and credits for a person to decide.",
    owner="kofi@dockwell.example",
    baseline=Baseline(minutes=14, failure_rate=0.06),
    reads=(
        Reads(
            what="the e-mails that are labelled Billing",
            credential="gmail/inbox",
            fields=("id", "threadId", "labelIds", "internalDate", "raw"),
        ),
        Reads(
            what="whose they are",
            credential="hubspot/crm",
            fields=("email", "firstname", "lastname", "company"),
        ),
        Reads(
            what="customers, invoices, payments, subscriptions",
            credential="stripe/billing",
            fields=("id", "customer", "status", "amount_remaining", "due_date"),
        ),
    ),
    writes=(
        Writes(
            kind="gmail.send_reply",
            where="the customer's thread",
            credential="gmail/inbox",
            approval=True,
        ),
        Writes(kind="gmail.send_reminder", where="the customer", credential="gmail/inbox", approval=True),
        Writes(
            kind="stripe.refund",
            where="the payment's own card or account",
            credential="stripe/billing",
            approval=True,
            most={"eur": Decimal(500), "usd": Decimal(500)},
        ),
        Writes(
            kind="stripe.issue_credit",
            where="the customer's invoice or balance",
            credential="stripe/billing",
            approval=True,
            most={"eur": Decimal(500), "usd": Decimal(500)},
        ),
        Writes(
            kind="stripe.create_invoice",
            where="the customer",
            credential="stripe/billing",
            approval=True,
            most={"eur": Decimal(5000), "usd": Decimal(5000)},
        ),
        Writes(kind="gmail.apply_label", where="the e-mail", credential="gmail/inbox", approval=False),
        Writes(kind="hubspot.add_note", where="the customer's contact", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.create_task", where="the customer's contact", credential="hubspot/crm", approval=False),
        Writes(
            kind="slack.post_message",
            where="the team's channel",
            credential="slack/team",
            approval=False,
            optional=True,
        ),
    ),
    prompt="billing_agent",
    model="claude/triage",
    agent=Agent(model="claude/agent", steps=12, usd=Decimal("0.30")),
    on_garbage="It is asked again with what is wrong, twice; then it is quarantined for a person.",
    on_outage="The agent keeps its place in the ledger, and the next run goes on from its last step.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("2.00"),
    usd_per_day=Decimal("10"),
    usd_per_month=Decimal("100"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.6, approval_days=5),
    evidence=Evidence(judged=("topic",)),
    allowed=("dockwell.example",),
)

COMPANY = "Dockwell"
"""How the prompt, the agent and the letters name us."""

LABEL = "Billing"
"""The Gmail label by which an e-mail is this workflow's: a filter for billing@ sets it, or a person does."""

BATCH = 25

FIRM = 14
"""Days after which a reminder of ours is no longer only friendly."""

READ = (billing.lookup_customer, billing.list_invoices)
TOOLS: dict[str, tuple[Tool, ...]] = {
    "refund": (*READ, billing.refund, billing.issue_credit, billing.send_reply, billing.escalate),
    "invoice": (*READ, billing.create_invoice, billing.send_reply, billing.escalate),
    "payment": (*READ, billing.send_reply, billing.escalate),
    "plan": (*READ, billing.create_invoice, billing.send_reply, billing.escalate),
    "overdue": (*READ, billing.send_reminder, billing.escalate),
}
"""What the agent may use, by what is wanted. Whoever asks about an invoice cannot talk it into a refund."""


@flow(name="billing-agent")
def billing_agent(limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> report.Summary:
    """Work on up to `limit` billing e-mails and overdue invoices, and go on where a person has decided."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        agent.take_up(run)
        billing.overdue(run, limit)
        cases = fetch.labelled(run, LABEL, limit=limit, suite=checks.answerable)
        for batch in run.batches(cases, BATCH):
            billing.customers(run, batch, asker)
            prompt.ask(run, batch, variables)
            validate.answers(run, batch, variables)
            agent.work(run, batch, DESK)
            act.perform(run, batch)
        return report.publish(run, cases)


def held(record: Record) -> Email | OverdueInvoice:
    """The e-mail or the overdue invoice that a record holds."""
    kind = OverdueInvoice if record.source == billing.SOURCE else Email
    found: Email | OverdueInvoice = kind.model_validate(record.payload)
    return found


def asker(record: Record) -> str:
    """Whose case it is, and who will be written to: where an answer to the e-mail would go."""
    match held(record):
        case Email(reply_to=address) if address:
            return address
        case found:
            return found.sender


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
    }


def told(record: Record) -> dict[str, Any]:
    """What the agent is told of its case."""
    found = held(record)
    sent_at = found.sent_at if isinstance(found, Email) else utcnow()
    return {
        "company": COMPANY,
        "sender": asker(record),
        "sender_name": customer(record).get("name", ""),
        "subject": found.subject,
        "date": f"{sent_at:%A %d %B %Y}",
        "text": found.text,
        "topic": topic(record),
        "customer": json.dumps(customer(record), ensure_ascii=False),
        "today": f"{utcnow():%A %d %B %Y}",
    }


def topic(record: Record) -> str:
    """What is wanted: as the model said, or that an invoice is overdue."""
    return str((record.answer or {}).get("topic", "other"))


def customer(record: Record) -> dict[str, Any]:
    """Whose case it is; empty when the CRM does not know them."""
    found: dict[str, Any] = (record.context or {}).get(CUSTOMER) or {}
    return found


def unfit(record: Record) -> str:
    """Why a person looks at this one, and no agent."""
    if not record.sure:
        return "the model was not sure what it is about"
    if topic(record) not in TOOLS:
        return "it is no billing matter"
    if not customer(record):
        return "the CRM does not know who wrote"
    return "" if customer(record)["at_stripe"] else "Stripe has no customer with this address"


def by_rules(case: billing.Case, made: Sequence[Made]) -> Sequence[tuple[str, dict[str, Any]]] | str:
    """Without a model: look, answer what a letter of ours can answer, and hand the rest to a person."""
    record, so_far = case.record, [call.tool for call in made]
    if not so_far:
        return [("lookup_customer", {}), ("list_invoices", {"status": "open"})]
    if len(so_far) == 2:
        return _by_letter(case, topic(record))
    failed = [call for call in made[2:] if call.is_error]
    if failed and "escalate" not in so_far:
        return [("escalate", {"what": topic(record), "details": f"A letter could not be sent. {failed[0].output}"})]
    if any(call.tool == "escalate" for call in failed):
        raise GivenUp("it could not be handed over to a colleague")
    return "By rule, without a model: " + ", then ".join(f"{call.tool}" for call in made[2:]) + "."


def _by_letter(case: billing.Case, about: str) -> Sequence[tuple[str, dict[str, Any]]]:
    found = held(case.record)
    if isinstance(found, OverdueInvoice):
        text = letter("reminder.firm" if found.days_overdue > FIRM else "reminder", case.record, facts_of(found))
        return [("send_reminder", {"invoice": found.invoice_id, "text": text})]
    to_pay = [each for each in case.invoices() if each.status == "open"]
    if about in ("invoice", "payment") and to_pay:
        text = letter("open_invoices", case.record, {"open_invoices": "\n".join(map(_line_of, to_pay))})
        return [("send_reply", {"text": text})]
    details = f"{(case.record.answer or {}).get('summary')}\n\nE-mail “{found.subject[:200]}”"
    hand_over = ("escalate", {"what": f"{about}, {asker(case.record)}"[:80], "details": details})
    if about in ("refund", "plan"):  # the letter says that a colleague looks at it
        return [hand_over, ("send_reply", {"text": letter(about, case.record, {})})]
    return [hand_over]


def letter(title: str, record: Record, facts: dict[str, Any]) -> str:
    """One of our own letters, in the language of the record."""
    called = first_name({"sender_name": customer(record).get("name", ""), "sender": asker(record)})
    known = {"company": COMPANY, "first_name": called, **facts}
    return prompts.load(CARD.prompt).letter(title, language_of(held(record).text), known)


def facts_of(invoice: OverdueInvoice) -> dict[str, Any]:
    """What a reminder names."""
    return {
        "invoice_number": invoice.number,
        "amount": in_words(invoice.amount, invoice.currency),
        "due_date": f"{invoice.due_at:%d %B %Y}",
        "days_overdue": invoice.days_overdue,
        "link": invoice.link,
    }


def _line_of(invoice: Invoice) -> str:
    due = f", due on {invoice.due_date:%d %B %Y}" if invoice.due_date else ""
    amount = in_words(invoice.amount_remaining, invoice.currency)
    return f"- {invoice.number}: {amount}{due}\n  {invoice.hosted_invoice_url}"


def closing(record: Record, ended: Ended) -> list[Action]:
    """What the agent came to, where colleagues will find it; and a task for one of them when it was stopped."""
    found = held(record)
    label = "Signoff/To read" if ended.stopped else "Signoff/Billing"
    labels = [ApplyLabel(message_id=found.message_id, label=label, archive=False)] if isinstance(found, Email) else []
    if not customer(record):
        text = f"Billing mail from {asker(record)}, whom the CRM does not know: {found.subject}"
        return [*labels, *([PostMessage(text=text)] if topic(record) in TOOLS else [])]
    if not ended.stopped:
        note = f"{ended.text}\n\n{ended.account}\n\n{found.subject}"
        return [AddNote(email=asker(record), body=note, at=utcnow()), *labels]
    if topic(record) not in TOOLS:
        return list(labels)
    body, subject = f"{ended.stopped}\n\n{ended.account}\n\n{found.subject}", f"Billing: {found.subject}"[:120]
    return [CreateTask(email=asker(record), subject=subject, body=body, due=utcnow()), *labels]


def explain(record: Record) -> str:
    """What an approver must know of a case: who it is, what they want, and their own words."""
    found, who = held(record), customer(record)
    facts = [
        f"**Why:** {topic(record)}: {plain(str((record.answer or {}).get('summary', '')))}",
        f"**Customer:** {plain(who.get('name', 'unknown'))} ({plain(asker(record))})"
        + (f", {plain(who['company'])}" if who.get("company") else ""),
    ]
    if isinstance(found, Email):
        facts += [f"**Wrote** on {found.sent_at:%d %b %Y %H:%M} UTC, “{plain(found.subject)}”:", quoted(found.text)]
        facts += [f"**Careful:** {plain(defect)}" for defect in found.defects]
    return "\n\n".join(facts)


DESK = Desk(
    tools=lambda record: TOOLS[topic(record)],
    case=billing.Case,
    variables=told,
    explain=explain,
    rules=by_rules,
    closing=closing,
    unfit=unfit,
)

"""Follow up on deals that have come to a halt: once for each stage, on workdays, and never where they have answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow
from pydantic import Field

from blocks.ledger import Record, utcnow
from prompts.deal_followup.answer import DealFollowup
from tasks import act, approvals, deals, gate, prompt, report, validate
from tasks.actions import Action, AddNote, CreateTask, SendFollowUp
from tasks.card import Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.deals import HaltedDeal
from tasks.plain import plain, quoted
from tasks.run import begin

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

CARD = Card(
    workflow="deal-followup",
    sentence="Follow up on deals that have been in one stage for too long, once a stage, if nobody has answered.",
    owner="tom@dockwell.example",
    baseline=Baseline(minutes=11, failure_rate=0.3),
    reads=(
        Reads(
            what="deals, their contacts, notes and tasks",
            credential="hubspot/crm",
            fields=("dealname", "dealstage", "amount", "email", "firstname", "lastname"),
        ),
        Reads(
            what="whether the contact has written, and when we did",
            credential="gmail/inbox",
            fields=("id", "threadId", "labelIds", "internalDate", "raw"),
        ),
    ),
    writes=(
        Writes(kind="gmail.send_followup", where="the deal's contact", credential="gmail/inbox", approval=True),
        Writes(kind="hubspot.create_task", where="the deal's contact", credential="hubspot/crm", approval=False),
        Writes(kind="hubspot.add_note", where="the deal's contact", credential="hubspot/crm", approval=False),
    ),
    prompt="deal_followup",
    model="claude/triage",
    on_garbage="It is asked again with what is wrong, twice; then the deal is quarantined for a person.",
    on_outage="The deal keeps its place in the ledger, and the next run takes it up.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("0.50"),
    usd_per_day=Decimal("1"),
    usd_per_month=Decimal("15"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.6, approval_days=7),
    calendar="IE",
    evidence=Evidence(judged=("situation",)),
    allowed=("dockwell.example",),
)

COMPANY = "Dockwell"
"""How the prompt and the letters name us."""

PATIENCE = {
    "appointmentscheduled": timedelta(days=7),
    "qualifiedtobuy": timedelta(days=7),
    "presentationscheduled": timedelta(days=10),
    "decisionmakerboughtin": timedelta(days=10),
    "contractsent": timedelta(days=5),
}
"""How long a deal may be in each stage of HubSpot's own pipeline; put your own ids here. Others are left alone."""

BATCH = 25


@flow(name="deal-followup")
def deal_followup(limit: Annotated[int, Field(ge=1, le=1000)] = 50) -> report.Summary:
    """Follow up on up to `limit` deals, the longest in their stage first."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        halted = deals.halted(run, PATIENCE, limit=limit, suite=expectations)
        for batch in run.batches(halted, BATCH):
            prompt.ask(run, batch, variables)
            validate.answers(run, batch, variables)
            gate.check(run, batch, decide, explain)
            act.perform(run, batch)
        return report.publish(run, halted)


def expectations() -> Sequence[Expectation]:
    """What a deal must be like to be asked about."""
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToMatchRegex(
            column="sender",
            regex=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
            notes="its contact's address is none",
        ),
        gxe.ExpectColumnValuesToMatchRegex(column="subject", regex=r"\S", notes="it has no name"),
    ]


def variables(record: Record) -> dict[str, Any]:
    """What the prompt is told of a deal."""
    deal = HaltedDeal.model_validate(record.payload)
    return {
        "company": COMPANY,
        "sender_name": deal.name,
        "customer": deal.company,
        "subject": deal.subject,
        "amount": deal.amount,
        "stage": deal.stage,
        "days": deal.days,
        "text": deal.text,
    }


def decide(record: Record) -> list[Action]:
    """The model said why it does not move; this says what we do about it."""
    deal = HaltedDeal.model_validate(record.payload)
    answer = DealFollowup.model_validate(record.answer)
    if not record.sure or answer.situation == "our_turn":
        return [task(deal, answer)]
    if answer.situation == "not_now" or not answer.body.strip():
        return [AddNote(email=deal.sender, body=f"No follow-up on {deal.subject}: {answer.summary}", at=utcnow())]
    return [
        SendFollowUp(
            to=deal.sender,
            subject=f"{COMPANY} for {deal.company}" if deal.company else f"Your talks with {COMPANY}",
            body=answer.body,
            deal_id=deal.deal_id,
            stage=deal.stage,
            crm="hubspot/crm",
            since=deal.since,
            calendar=str(CARD.calendar),
        )
    ]


def task(deal: HaltedDeal, answer: DealFollowup) -> CreateTask:
    """A colleague moves it: it is our turn, or nobody can tell."""
    body = f"{answer.summary}\n\nIn {deal.stage} for {deal.days} days."
    return CreateTask(email=deal.sender, subject=f"Move the deal: {deal.subject}"[:120], body=body, due=utcnow())


def explain(record: Record) -> str:
    """What an approver must know of a deal: why it halts, for how long, and what was noted."""
    deal, answer = HaltedDeal.model_validate(record.payload), DealFollowup.model_validate(record.answer)
    facts = [
        f"**Why:** {answer.situation.replace('_', ' ')}, {answer.confidence:.0%} sure: {plain(answer.summary)}",
        f"**Deal:** {plain(deal.subject)}, {plain(deal.amount)}, in {plain(deal.stage)} for {deal.days} days; "
        f"nothing from {plain(deal.name or deal.sender)} since {deal.since:%d %b %Y}.",
        "**Its history:**",
        quoted(deal.text),
    ]
    return "\n\n".join(facts)

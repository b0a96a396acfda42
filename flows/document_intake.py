"""Documents in, rows out: invoices, receipts and contracts become rows that any tool can query."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from prefect import flow
from pydantic import Field

from blocks.ledger import Record
from prompts.document_intake.answer import PaperAnswer
from prompts.document_intake.schemas import OTHER, title_of
from tasks import act, approvals, gate, papers, passing_on, prompt, report, review, validate
from tasks.actions import Action, AddRow, CreatePage, PostMessage
from tasks.card import Baseline, Card, Evidence, Reads, Stage, Thresholds, Writes
from tasks.run import begin
from tasks.sources import DriveFolder

CARD = Card(
    workflow="document-intake",
    sentence="Make rows of invoices, receipts and contracts, and ask a person about whatever is not sure.",
    owner="tom@dockwell.example",
    baseline=Baseline(minutes=6, failure_rate=0.04),
    reads=(
        Reads(
            what="the folder for documents",
            credential="drive/company",
            fields=("id", "name", "mimeType", "modifiedTime", "size"),
        ),
        Reads(
            what="what is attached to e-mails",
            credential="gmail/inbox",
            fields=("id", "threadId", "labelIds", "internalDate", "raw"),
        ),
    ),
    writes=(
        Writes(kind="ledger.add_row", where="the ledger's own database", credential="ledger/rows", approval=False),
        Writes(
            kind="slack.post_message",
            where="the team's channel",
            credential="slack/team",
            approval=False,
            optional=True,
        ),
        Writes(
            kind="notion.create_page",
            where="the database of documents",
            credential="notion/documents",
            approval=False,
            optional=True,
        ),
    ),
    prompt="document_intake",
    model="claude/triage",
    on_garbage="It is asked again with what is wrong, twice; then the document is quarantined for a person.",
    on_outage="The document keeps its place in the ledger, and the next run takes it up.",
    on_rate_limit="The batch waits as long as the vendor asks, up to five minutes.",
    usd_per_run=Decimal("2.00"),
    usd_per_day=Decimal("5"),
    usd_per_month=Decimal("60"),
    stage=Stage.SELECTIVE,
    thresholds=Thresholds(confidence=0.8, approval_days=14),
    evidence=Evidence(judged=("kind",)),
    allowed=("dockwell.example",),
)

COMPANY = "Dockwell"
"""How the prompt names us."""

SOURCES: tuple[papers.Source, ...] = (
    DriveFolder(name="documents", credential="drive/company", folder="documents-to-enter"),
    papers.Attachments(name="attachments"),
)
"""Where documents come from. A folder of this machine: `Folder(name="scans", path="~/Scans", readers=("anyone",))`."""

SOON = timedelta(days=3)
"""A bill that is due in less is told at once."""

SHOWN = ("number", "date", "start", "total", "fee", "currency", "seller", "first_party")
"""The fields that are properties of a page in Notion; the others stand in its text."""

BATCH = 10


@flow(name="document-intake")
def document_intake(limit: Annotated[int, Field(ge=1, le=1000)] = 50) -> report.Summary:
    """Read up to `limit` new documents."""
    with begin(CARD) as run:
        approvals.catch_up(run.ledger, CARD.workflow)
        act.resume(run)
        arrived = papers.arrived(run, SOURCES, limit=limit)
        for batch in run.batches(arrived, BATCH):
            prompt.ask(run, batch, variables, papers.showing(run.ledger))
            validate.answers(run, batch, variables, pictures=papers.showing(run.ledger))
            papers.inspect(run, batch, own=COMPANY)
            gate.check(run, batch, decide, review.explaining(run.ledger))
            act.perform(run, batch)
        act.perform(run, passing_on.rows(run, CreatePage.kind, page, review.explaining(run.ledger)))
        return report.publish(run, arrived)


variables = papers.telling(COMPANY)


def decide(record: Record) -> list[Action]:
    """One row for each document that is of a known kind; the others are left where they are."""
    answer = PaperAnswer.model_validate(record.answer)
    if answer.kind == OTHER:
        return []
    row = papers.row_of(record)
    return [row, *tell(record, row)]


def tell(record: Record, row: AddRow) -> list[Action]:
    """A bill that is due within days of its coming is told in the team's channel."""
    due = getattr(row.row(), "due_date", None)
    if due is None or not record.sure or due > (record.created_at + SOON).date():
        return []
    amount = f"{row.fields.get('total', '?')} {row.fields.get('currency', '')}".strip()
    return [PostMessage(text=f"{row.title}: {amount}, to be paid by {due}")]


def page(row: AddRow) -> CreatePage:
    """What was entered, as a page in Notion; in Notion nothing is calculated with it, so it is kept short."""
    fields = row.fields
    others = [f"- {title_of(name)}: {value}" for name, value in fields.items() if name not in SHOWN]
    lines = [f"- {', '.join(filter(None, line.values()))}" for line in row.lines]
    parts = ["\n".join(others), "\n".join(["## Lines", *lines]) if lines else ""]
    return CreatePage(
        name=row.title,
        properties={
            "Kind": title_of(row.paper),
            "Number": fields.get("number", ""),
            "Date": fields.get("date") or fields.get("start", ""),
            "Amount": fields.get("total") or fields.get("fee", ""),
            "Currency": fields.get("currency", ""),
            "Counterparty": fields.get("seller") or fields.get("first_party", ""),
            "File": row.file,
        },
        body="\n\n".join(filter(None, parts)),
    )

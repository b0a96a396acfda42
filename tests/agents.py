"""A small agent for tests: tools on the pretend company, and a desk around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

import prompts
from blocks import connections
from blocks.hubspot import HubSpot
from blocks.ledger import Ledger, Record
from blocks.mail import Email
from flows.lead_triage import CARD
from tasks import agent
from tasks.actions import Action, AddNote, ApplyLabel, CreateTask, SendReply
from tasks.agent import Desk, Ended
from tasks.card import Agent, Card
from tasks.journal import Made
from tasks.run import Run
from tasks.tools import Tool, ToolRefused, tool

WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LIMITS = Agent(model="claude/agent", steps=8, calls=12, usd=Decimal("0.50"), tokens=50_000)


@dataclasses.dataclass
class Case:
    """What the test's tools work with."""

    email: Email
    looked: list[str] = dataclasses.field(default_factory=list)
    """What was looked up, in order."""


@tool(most=4)
def look_up(case: Case, name: Annotated[str, Field(description="Whom to look up.")]) -> dict[str, Any]:
    """Look a person up in the CRM."""
    if name == "nobody":
        raise ToolRefused("there is no such person")
    case.looked.append(name)
    hubspot: HubSpot = connections.load("hubspot/crm")
    return {"name": name, "known": hubspot.contacts_by_email([case.email.sender], ["email"])}


@tool(writes=AddNote, most=2)
def add_note(case: Case, text: str) -> AddNote:
    """Put a note on the sender's contact."""
    return AddNote(email=case.email.sender, body=text, at=WHEN)


@tool(writes=SendReply, most=2)
def send_reply(case: Case, text: str, to: str = "") -> SendReply:
    """Send a reply to the e-mail."""
    mail = case.email
    return SendReply(
        message_id=mail.message_id, thread_id=mail.thread_id, to=to or mail.sender, subject=mail.subject, body=text,
        in_reply_to=mail.rfc822_message_id,
    )  # fmt: skip


TOOLS: Sequence[Tool] = (look_up, add_note, send_reply)


def by_rules(_case: Case, made: Sequence[Made]) -> Sequence[tuple[str, dict[str, Any]]] | str:
    """Looks the sender up, replies, and ends."""
    steps: list[list[tuple[str, dict[str, Any]]]] = [
        [("look_up", {"name": "Ann"})],
        [("send_reply", {"text": "Hello"})],
    ]
    return steps[len(made)] if len(made) < len(steps) else "Looked up and answered."


def closing(record: Record, ended: Ended) -> list[Action]:
    """A label; and a task for a person when it was stopped."""
    mail = Email.model_validate(record.payload)
    if not ended.stopped:
        return [ApplyLabel(message_id=mail.message_id, label="Signoff/Agent", archive=False)]
    return [CreateTask(email=mail.sender, subject="Look", body=ended.account, due=WHEN)]


def desk(tools: Sequence[Tool] = TOOLS, **changes: Any) -> Desk:
    """The test agent's desk."""
    cases: dict[int, Case] = {}

    def case(_run: Run, record: Record) -> Case:
        return cases.setdefault(record.id, Case(Email.model_validate(record.payload)))

    made = Desk(
        tools=lambda _: tools,
        case=case,
        variables=lambda record: {"text": record.payload["text"]},
        explain=lambda _: "**Why:** a test",
        rules=by_rules,
        closing=closing,
    )
    return dataclasses.replace(made, **changes)


def card(**limits: Any) -> Card:
    """The lead triage's card with an agent."""
    return CARD.model_copy(update={"agent": LIMITS.model_copy(update=limits)})


def with_agent_text(load: Callable[[str], prompts.Prompt]) -> Callable[[str], prompts.Prompt]:
    """`prompts.load`, with an agent's text in every folder."""

    def loaded(name: str) -> prompts.Prompt:
        return dataclasses.replace(load(name), agent=("You look after e-mails.", "The e-mail: {{ text }}"))

    return loaded


def state_of(ledger: Ledger, record_id: int) -> str:
    """A record's state."""
    with ledger.read() as session:
        return session.get_one(Record, record_id).state


def work(run: Run, ids: Sequence[int], at: Desk | None = None) -> None:
    """Let the agent work, once, without Prefect's retries."""
    agent.work(run, ids, at or desk())

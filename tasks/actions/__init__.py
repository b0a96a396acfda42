"""The actions that a workflow can want, by vendor.

A flow's `decide`, or an agent's tool, returns these; the gate stores them in the ledger; `tasks/performers` carries
them out.
"""

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from tasks.actions.base import Action, Address, Blank, Impact, Text
from tasks.actions.gmail import ApplyLabel, SendFollowUp, SendReminder, SendReply
from tasks.actions.hubspot import AddNote, CreateTask, NoteTicket, UpdateTicket, UpsertContact
from tasks.actions.notion import CreatePage
from tasks.actions.rows import AddRow
from tasks.actions.slack import PostMessage
from tasks.actions.stripe import CreateInvoice, InvoiceLine, IssueCredit, Refund

__all__ = [
    "BY_CARD",
    "KINDS",
    "Action",
    "AddNote",
    "AddRow",
    "Address",
    "ApplyLabel",
    "Blank",
    "CreateInvoice",
    "CreatePage",
    "CreateTask",
    "Impact",
    "InvoiceLine",
    "IssueCredit",
    "NoteTicket",
    "PostMessage",
    "Refund",
    "SendFollowUp",
    "SendReminder",
    "SendReply",
    "Text",
    "UpdateTicket",
    "UpsertContact",
    "blanks",
    "digest",
    "load",
    "noun_of",
]

BY_CARD = "card"
"""The approver that the ledger names when the card's own rule let a low-impact action pass."""

_ALL: tuple[type[Action], ...] = (
    SendReply, ApplyLabel, UpsertContact, AddNote, CreateTask, NoteTicket, UpdateTicket, PostMessage,
    Refund, IssueCredit, CreateInvoice, SendFollowUp, SendReminder, AddRow, CreatePage,
)  # fmt: skip

KINDS: dict[str, type[Action]] = {action.kind: action for action in _ALL}


def noun_of(kind: str) -> str:
    """What an action of this kind is called in a sentence; the kind itself where this version does not know it."""
    return KINDS[kind].noun if kind in KINDS else kind


def load(kind: str, payload: dict[str, Any]) -> Action:
    """The action that a ledger row holds."""
    return KINDS[kind].model_validate(payload)


def blanks(kind: str, payload: dict[str, Any]) -> tuple[Blank, ...]:
    """What the approver of a ledger row's action may rewrite; nothing of one that this version cannot read."""
    try:
        return load(kind, payload).blanks()
    except (KeyError, ValidationError):
        return ()


def digest(kind: str, payload: dict[str, Any], credential: str) -> str:
    """SHA-256 over an action's kind, exact payload and credential: what is approved is what is done, to the letter.

    The credential too, or what was approved for one mailbox could be sent from another.
    """
    text = json.dumps([kind, payload, credential], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

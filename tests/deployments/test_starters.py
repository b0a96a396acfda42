"""What the starters decide: people learn from them, so each rule is shown by a test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from blocks.ledger import Record
from blocks.mail import Email
from deployments.starters.mail import flow as mail
from deployments.starters.mail.prompt.answer import SortedMail
from deployments.starters.tickets import flow as tickets
from deployments.starters.tickets.prompt.answer import TicketTag
from tasks import output
from tasks.actions import ApplyLabel, NoteTicket, PostMessage, SendReply, UpdateTicket
from tasks.card import Stage
from tasks.gate import state_for
from tasks.tickets import SOURCE, AskedByTicket

WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def ticket(*, sure: bool = True, **said: Any) -> Record:
    """A validated record of a ticket."""
    asked = AskedByTicket(ticket_id="7", sender="ann@north.example", subject="Board", text="It is white.", sent_at=WHEN)
    answer = {"category": "problem", "urgency": "normal", "summary": "Ann's board is white.", "confidence": 0.9} | said
    return Record(source=SOURCE, external_id="7", payload=asked.model_dump(mode="json"), answer=answer, sure=sure)


class TestTickets:
    def test_a_ticket_gets_its_category_its_priority_and_a_note(self) -> None:
        tagged, noted = tickets.decide(ticket())
        assert isinstance(tagged, UpdateTicket)
        assert tagged.properties == {"hs_ticket_category": "PRODUCT_ISSUE", "hs_ticket_priority": "MEDIUM"}
        assert isinstance(noted, NoteTicket)
        assert noted.body == "problem: Ann's board is white."

    @pytest.mark.parametrize("sure", [True, False])
    def test_slack_hears_of_an_urgent_one_however_sure_the_model_is(self, sure: bool) -> None:
        *_, last = tickets.decide(ticket(sure=sure, urgency="high"))
        assert isinstance(last, PostMessage)
        assert last.text == "Urgent ticket 7, from ann@north.example: Ann's board is white."

    def test_one_that_the_model_is_not_sure_of_is_only_noted(self) -> None:
        (noted,) = tickets.decide(ticket(sure=False))
        assert isinstance(noted, NoteTicket)
        assert noted.body.startswith("Please read: ")

    def test_every_label_has_a_name_in_hubspot(self) -> None:
        labels = set(TicketTag.model_json_schema()["properties"]["category"]["enum"])
        assert set(tickets.CATEGORIES) == labels
        assert set(tickets.PRIORITIES) == set(TicketTag.model_json_schema()["properties"]["urgency"]["enum"])

    def test_the_prompt_is_told_what_its_cases_hold_and_the_form_shows_the_ticket(self) -> None:
        record = ticket()
        assert tickets.variables(record) == {
            "company": "Dockwell", "sender": "ann@north.example", "subject": "Board", "text": "It is white.",
        }  # fmt: skip
        assert "> It is white" in tickets.explain(record)
        assert "90% sure" in tickets.explain(record)

    @pytest.mark.parametrize("stage", [Stage.GATED, Stage.SELECTIVE])
    def test_nothing_leaves_the_company(self, stage: Stage) -> None:
        record = ticket(urgency="high")
        for action in tickets.decide(record):
            assert output.objection(action, output.Known(record), tickets.CARD.allowed) is None
            assert state_for(action, tickets.CARD, stage)[0] == {"gated": "waiting", "selective": "pending"}[stage]


@pytest.fixture
def sorted_mail(email: Callable[..., Email]) -> Callable[..., Record]:
    """Makes validated records of e-mails."""

    def make(*, sure: bool = True, reply_to: str = "", **said: Any) -> Record:
        answer = {
            "category": "sales",
            "summary": "Ann wants a price.",
            "reply": "Hello Ann,\n\nyes.",
            "confidence": 0.9,
        }
        mail_in = email(subject="Price", text="What does it cost?", reply_to=reply_to)
        payload = mail_in.model_dump(mode="json")
        return Record(source="gmail:x", external_id="m", payload=payload, answer=answer | said, sure=sure)

    return make


class TestMail:
    def test_a_draft_waits_for_a_person_at_every_stage_and_a_label_does_not(
        self, sorted_mail: Callable[..., Record]
    ) -> None:
        reply, label = mail.decide(sorted_mail())
        assert isinstance(reply, SendReply)
        assert isinstance(label, ApplyLabel)
        assert label.label == "Signoff/Sales"
        assert state_for(reply, mail.CARD, Stage.SELECTIVE)[0] == "waiting"
        assert state_for(label, mail.CARD, Stage.SELECTIVE)[0] == "pending"

    def test_without_a_draft_or_where_the_model_is_not_sure_there_is_only_the_label(
        self, sorted_mail: Callable[..., Record]
    ) -> None:
        for record in (sorted_mail(category="other", reply=""), sorted_mail(sure=False)):
            (label,) = mail.decide(record)
            assert isinstance(label, ApplyLabel)
            assert label.label == "Signoff/To read"

    def test_a_reply_that_goes_elsewhere_is_pointed_out(self, sorted_mail: Callable[..., Record]) -> None:
        record = sorted_mail(reply_to="visitor@form.example")
        assert mail.decide(record)[0].targets()[0] == "visitor@form.example"
        assert "the reply goes to visitor" in mail.explain(record)
        assert "Careful" not in mail.explain(sorted_mail())

    def test_every_label_of_the_model_has_one_in_gmail(self) -> None:
        assert set(mail.LABELS) == set(SortedMail.model_json_schema()["properties"]["category"]["enum"])

"""What may be added to a contact: only what the CRM does not hold."""

from __future__ import annotations

import pytest

from blocks.ledger import Record, utcnow
from blocks.mail import parse
from tasks.actions import UpsertContact
from tasks.contacts import filled_in, names_of

ANN = "ann@northwind.example"
NAMES = {"firstname": "Ann", "lastname": "Berg"}


def known(**properties: str) -> Record:
    return Record(context={"contact": {"id": "1", **properties}})


@pytest.mark.parametrize("context", [None, {}, {"contact": None}])
def test_whom_the_crm_does_not_know_is_created(context: dict[str, None] | None) -> None:
    assert filled_in(Record(context=context), ANN, NAMES) == [UpsertContact(email=ANN, properties=NAMES)]


def test_whom_nobody_knows_anything_of_is_created_all_the_same() -> None:
    assert filled_in(Record(), ANN, {"firstname": ""}) == [UpsertContact(email=ANN, properties={})]


def test_only_what_is_lacking_is_filled_in() -> None:
    (action,) = filled_in(known(firstname="Anna", lastname=""), ANN, NAMES)
    assert action == UpsertContact(email=ANN, properties={"lastname": "Berg"})


def test_nobody_is_asked_about_a_contact_that_lacks_nothing() -> None:
    assert filled_in(known(firstname="Anna", lastname="Bergen"), ANN, NAMES) == []


@pytest.mark.parametrize(("reply_to", "first"), [("", "Ann"), ("visitor@x.example", "")])
def test_a_web_form_tells_no_name(reply_to: str, first: str) -> None:
    other = f"Reply-To: {reply_to}\r\n" if reply_to else ""
    raw = f"From: Ann van Berg <{ANN}>\r\n{other}Subject: Hello\r\n\r\nHello".encode()
    email = parse(raw, message_id="1", thread_id="1", received_at=utcnow())
    assert names_of(email) == {"firstname": first, "lastname": "van Berg" if first else ""}

"""What a model's text may point to: what its record, or its card, holds. And what is no pointer at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import prompts
from blocks.embedded import EmbeddedModel
from blocks.ledger import Record
from blocks.mail import Email, MalformedMail, parse
from blocks.models import Request
from flows.lead_triage import CARD, decide, variables
from sandbox import company
from tasks.actions import AddNote, ApplyLabel, CreateTask, PostMessage, SendReply, UpsertContact
from tasks.card import Card, CardError
from tasks.output import NOTHING, SHOWN, Known, allowed_entry, defanged, find, first_foreign, folded, objection

ANN = "ann@northwind.example"
WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
OURS = ("dockwell.example", "billing@partner.example", "+44 20 7946 0000")


@pytest.fixture
def known(email: Callable[..., Email]) -> Callable[..., Known]:
    """What a record holds whose e-mail says this."""

    def make(text: str = "", context: dict[str, Any] | None = None, **changes: Any) -> Known:
        payload = email(text=text, **changes).model_dump(mode="json")
        return Known(Record(payload=payload, context=context, external_id="m1"))

    return make


LINKS = [
    "https://evil.example/pay",
    "http://evil.example",
    "HTTPS://EVIL.EXAMPLE/",
    "see evil.example for more",
    "www.evil.example",
    "www.evil-without-an-ending",
    "pay.evil.co.uk/now?x=1",
    "(evil.com)",
    "evil.com.",
    "**evil.com**",
    "_evil.com_",
    "[our portal](https://evil.example/login)",
    "[1]: //evil.com/x",
    '<a href="https://evil.example">here</a>',
    "<https://evil.example|click>",
    "![](http://evil.example/pixel.png)",
    "hxxps://evil.example",
    "evil[.]example",
    "evil(dot)com",
    "evil [dot] com",
    "evil {.} com",
    "http[:]//evil.example",
    "https[://]evil.example",
    "write to evil dot com",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "https:/\\evil.example",
    "https://northwind.example@evil.example/",
    "https://northwind.example%40evil.example/",
    "https://northwind.example\\@evil.example",
    "https://northwind.example.evil.example/",
    "https://evil%2eexample/",
    "https://3232235777/",
    "https://192.0.2.7/x",
    "192.0.2.7:8080/x",
    "https://[2001:db8::1]/",
    "ev\u200bil.exam\u00adple",
    "evil\u2060.\ufeffcom",
    "ｅｖｉｌ．ｃｏｍ",
    "evil\u3002com",
    "𝐞𝐯𝐢𝐥.𝐜𝐨𝐦",
    "nоrthwind.example",  # a Cyrillic o
    "xn--nrthwind-66f.example",
    "northwi\u0301nd.example",
    "\U000e0065evil.com",
    "evil\x00.com",
    "evil\x0b.com",
    "javascript:alert(1)",
    "data:text/html;base64,PHNjcmlwdD4=",
    "tel:112",
    "bitcoin:bc1q",
    "mailto:ann@northwind.example?bcc=eve@evil.example",
    "file:///etc/passwd",
    "слова.рф",
]

ADDRESSES = [
    "eve@evil.example",
    "Eve <eve@evil.example>",
    "mailto:eve@evil.example",
    "eve(at)evil(dot)com",
    "eve [at] evil.com",
    "eve＠evil.example",
    "ann@northwind.example.evil.com",
    "ann+x@northwind.example",
    "аnn@northwind.example",  # a Cyrillic a
    '"ann b"@evil.com',
]

NUMBERS = [
    "+44 161 496 0999",
    "call 0161-496-0999",
    "(0161) 496 0999",
    "0161.496.0999",
    "tel:+441614960999",
    "01 23 45 67 89",
    "DE89 3704 0044 0532 0130 00",
    "GB33BUKB20201555555555",
    "sort code 20-20-15, account 55555555",
    "4111 1111 1111 1111",
    "٠١٦١٤٩٦٠٩٩٩",
    "０１６１ ４９６ ０９９９",
    "0161\u200b4960999",
]

CODES = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
]

HARMLESS = [
    "",
    "e.g. node.js, i.e. the usual. Inc.Ltd and Co.Ltd, S.p.A. and e.K.",
    "at 10:30, 10.30 or 10.am; 9.30-11.00 on 2026-03-02 09:30 and 2.3.2026, 3/2/26, 02-03-2026",
    "version 1.2.3, v10.0.1-rc.2, section 4.2.1.7 of 2025-2026",
    "1,200,000 EUR, € 1.200.000, 1.200.000 €, 1 200 000,00 EUR, $1,234.56, 12.50",
    "order 123456, invoice INV-4711, 12 doors, 40 bookings a day, 98.5 %",
    "Dr.Who said: no! And/or maybe... (see above) [1]",
    "Straße, naïve, Ünïcödé, 你好。谢谢。, こんにちは。第12回のご案内です。よろしくお願いいたします。",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "CSV, report.csv, image.png, a.b, x_y.z_w",
    "@channel and @here",
    "Re: your e-mail: thanks:)",
    "one\ntwo.\nThree",
]


@pytest.mark.parametrize("text", LINKS + ADDRESSES + NUMBERS + CODES)
def test_what_the_record_does_not_hold_is_seen_however_it_is_written(text: str, known: Callable[..., Known]) -> None:
    assert first_foreign(f"Hello Ann, {text} thanks", known(), OURS)
    assert first_foreign(text, known(), ())


@pytest.mark.parametrize("text", LINKS + ADDRESSES + NUMBERS + CODES)
def test_what_the_record_holds_may_be_repeated(text: str, known: Callable[..., Known]) -> None:
    assert first_foreign(f"You wrote: {text}", known(f"Please look at {text}"), ()) is None
    assert first_foreign(text, known(context={"contact": {"note": text}}), ()) is None
    assert first_foreign(text, known(signature=text), ()) is None


@pytest.mark.parametrize("text", HARMLESS)
def test_what_points_nowhere_is_left_alone(text: str, known: Callable[..., Known]) -> None:
    assert find(text) is NOTHING
    assert first_foreign(text, known(), ()) is None


def test_none_of_the_templates_points_anywhere() -> None:
    for title, template in prompts.load("lead_triage").replies.items():
        assert find(template) is NOTHING, title


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("https://a.example/one/two?three=4", "https://a.example/one/two"),
        ("https://a.example/one/two?three=4", "a.example/one…"),
        ("https://a.example/one", "http://www.a.example"),
        ("https://www.a.example/one", "a.example"),
        ("mail bob@mail.firm.co.uk", "firm.co.uk"),
        ("ring +44 161 496 0999", "0161 496 0999"[1:]),
        ("ring 0161 496 0999", "0161-4960999"),
        ("IBAN DE89370400440532013000", "DE89 3704 0044 0532 0130 00"),
    ],
)
def test_less_of_it_or_the_same_in_other_words_tells_nothing_new(
    record: str, text: str, known: Callable[..., Known]
) -> None:
    assert first_foreign(text, known(record), ()) is None


@pytest.mark.parametrize(
    ("record", "text"),
    [
        # A link that is opened by whoever previews it must not carry away what the CRM says.
        ("https://a.example/one", "https://a.example/one?said=secret"),
        ("https://a.example/", "https://a.example/secret"),
        ("https://a.example/", "https://secret.a.example/"),
        ("https://a.example/", "https://secret@a.example/"),
        ("https://a.example/", "https://a.example:8443/"),
        ("https://a.example/one", "https://a.example/one)secret"),
        ("a.example", "https://a.example.evil.example"),
        ("bob@a.example", "eve@a.example"),
        ("0161 496 0999", "0161 496 0998"),
        ("0161 496 0999", "+44 900 0161 496 0999"),
        ("paypal.com", "pаypal.com"),  # a Cyrillic a
        ("firm.co.uk", "co.uk"),
        ("bob@shop.github.io", "github.io"),
    ],
)
def test_more_than_the_record_holds_is_foreign(record: str, text: str, known: Callable[..., Known]) -> None:
    assert first_foreign(text, known(record), ())


@pytest.mark.parametrize(
    "text",
    ["dockwell.example", "https://app.dockwell.example/x?y", "joel@dockwell.example", "joel@eu.dockwell.example",
     "billing@partner.example", "+44 (20) 7946-0000"],
)  # fmt: skip
def test_what_is_the_companys_own_may_always_stand_there(text: str, known: Callable[..., Known]) -> None:
    assert first_foreign(text, known(), OURS) is None
    assert first_foreign(text, known(), ())


@pytest.mark.parametrize(
    "text", ["evildockwell.example", "dockwell.example.evil.com", "sales@partner.example", "partner.example",
             "https://dockwell.example@evil.com", "+44 20 7946 0001"],
)  # fmt: skip
def test_what_only_looks_like_the_companys_own_is_foreign(text: str, known: Callable[..., Known]) -> None:
    assert first_foreign(text, known(), OURS)


def test_a_reason_names_what_was_found_and_can_be_clicked_nowhere(known: Callable[..., Known]) -> None:
    why = first_foreign("Pay at https://evil.example/now\u202e", known(), ())
    assert why == "links to evil[.]example/now"
    assert first_foreign("Ring 0161 496 0999", known(), ()) == "gives the number 01614960999"
    assert first_foreign("Ask eve@evil.example", known(), ()) == "names the address eve@evil[.]example"
    assert (first_foreign(CODES[0], known(), ()) or "").startswith("holds the code 0x5290")
    assert len(defanged("a" * 500)) < SHOWN + 10
    assert find(defanged("https://evil.example")) != NOTHING  # a person's note of it is still read as what it is


def reply(**changes: Any) -> SendReply:
    fields: dict[str, Any] = {
        "message_id": "m1",
        "thread_id": "t1",
        "to": ANN,
        "subject": "A demo",
        "body": "Hello",
        "in_reply_to": "<m1@northwind.example>",
    }
    return SendReply(**fields | changes)


def test_what_goes_to_the_records_own_sender_is_not_objected_to(known: Callable[..., Known]) -> None:
    for action in (
        reply(),
        reply(to="ANN@northwind.example"),
        reply(in_reply_to=""),
        ApplyLabel(message_id="m1", label="Signoff/Lead", archive=False),
        UpsertContact(email=ANN, properties={"firstname": "Ann"}),
        AddNote(email=ANN, body="Wants a demo", at=WHEN),
        CreateTask(email=ANN, subject="Book", body="Soon", due=WHEN),
        PostMessage(text=f"Urgent, from {ANN}"),
    ):
        assert objection(action, known(), ()) is None
    assert objection(reply(to="form@visitor.example"), known(reply_to="form@visitor.example"), ()) is None
    assert objection(reply(references=("<a@b.example>",)), known(references=("<a@b.example>",)), ()) is None


@pytest.mark.parametrize(
    "action",
    [
        reply(to="eve@evil.example"),
        reply(message_id="m2"),
        reply(thread_id="t2"),
        reply(in_reply_to="<x@evil.example>"),
        reply(references=("<x@evil.example>",)),
        ApplyLabel(message_id="m2", label="x", archive=True),
        UpsertContact(email="eve@evil.example", properties={}),
        AddNote(email="eve@evil.example", body="x", at=WHEN),
        CreateTask(email="eve@evil.example", subject="x", body="x", due=WHEN),
    ],
)
def test_what_goes_anywhere_else_is_refused_even_when_the_mail_asks_for_it(
    action: Any, known: Callable[..., Known]
) -> None:
    asked = {
        "subject": "eve@evil.example",
        "text": "m2 t2 <x@evil.example> eve@evil.example",
        "cc": ("eve@evil.example",),
    }
    assert (objection(action, known(**asked), ("evil.example",)) or "").startswith("it would go to ")


def test_a_recipient_may_be_an_address_of_the_card_and_not_just_in_its_domain(known: Callable[..., Known]) -> None:
    action = reply(to="billing@partner.example")
    assert objection(action, known(), ("billing@partner.example",)) is None
    assert objection(action, known(), ("partner.example",))


@pytest.mark.parametrize(
    "action",
    [
        reply(body="See https://evil.example"),
        reply(subject="evil.example"),
        ApplyLabel(message_id="m1", label="evil.example", archive=True),
        UpsertContact(email=ANN, properties={"company": "evil.example"}),
        AddNote(email=ANN, body="See evil.example", at=WHEN),
        CreateTask(email=ANN, subject="evil.example", body="x", due=WHEN),
        CreateTask(email=ANN, subject="x", body="evil.example", due=WHEN),
        PostMessage(text="evil.example"),
    ],
)
def test_every_text_of_an_action_is_read(action: Any, known: Callable[..., Known]) -> None:
    assert objection(action, known(), ()) == "it links to evil[.]example, which neither the record nor the card has"


@pytest.mark.parametrize("entry", OURS)
def test_a_card_takes_domains_addresses_and_numbers(entry: str) -> None:
    assert allowed_entry(f" {entry} ") == entry


@pytest.mark.parametrize(
    "entry",
    ["", "com", "co.uk", "gmail.com", "outlook.de", "github.io", "example", "*.dockwell.example", "https://dockwell.example",
     "dockwell.example/path", "12345", "not a domain", "a@b", "@dockwell.example", "ann@gmail", "all"],
)  # fmt: skip
def test_a_card_takes_nothing_that_would_let_strangers_in(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is no domain|is shared by strangers"):
        allowed_entry(entry)
    fields = {name: getattr(CARD, name) for name in Card.model_fields}
    with pytest.raises(CardError, match=r"(?m)^  allowed\.0: .*(is no domain|is shared by strangers)"):
        Card(**fields | {"allowed": (entry,)})


def test_a_card_need_not_allow_anything() -> None:
    fields = {name: getattr(CARD, name) for name in Card.model_fields if name != "allowed"}
    assert Card(**fields).allowed == ()


MEGABYTE = 1_000_000
BOMBS = {
    "letters": "a",
    "dots": ".",
    "labels": "a.",
    "underscores": "a_",
    "hyphens": "a-",
    "digits": "1 ",
    "thousands": "111 ",
    "euros": "€1.111",
    "at-signs": "a@",
    "addresses": "a@b.example ",
    "half addresses": "a@a.",
    "schemes": "https://",
    "users": "https://a@",
    "links": "https://a.example/1 ",
    "domains": "a.com ",
    "escapes": "https://%41",
    "brackets": "(",
    "half brackets": "(dot",
    "spaces": " ",
    "codes": "a1",
    "accents": "\u0315\u0300",
    "one sign that is eighteen": "\ufdfa",
    "zero width": "\u200b.",
    "every sign": "".join(map(chr, range(0x21, 0x3000))),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.slow
def test_a_megabyte_of_anything_is_read_in_time(bomb: str, known: Callable[..., Known]) -> None:
    text = BOMBS[bomb] * (MEGABYTE // len(BOMBS[bomb]))
    times = []
    for text_said, record_said in (
        (text, ""),
        ("https://a.com/x a.com 0123456789", text),
        (text[: MEGABYTE // 2],) * 2,
    ):
        began = time.process_time()
        first_foreign(text_said, known(record_said), OURS)
        times.append(time.process_time() - began)
    # Under a second on a quiet machine; quadratic time would be many minutes on any.
    assert max(times) < 60, times


@given(st.text(max_size=200))
@example("https://[")
@example("http://\ud800")
def test_no_text_is_too_odd_to_read(text: str) -> None:
    known = Known(Record(payload={"text": text}, context=None, external_id=""))
    assert first_foreign(text, known, ()) is None
    first_foreign(text, Known(Record(payload={}, context=None, external_id="")), OURS)
    assert folded(folded(text)) == folded(text) or "(" in text or "[" in text or "{" in text or "<" in text


def test_the_embedded_models_answers_to_the_whole_inbox_are_never_objected_to() -> None:
    model, prompt = EmbeddedModel(), prompts.load("lead_triage")
    actions = 0
    for number, raw in enumerate(company.load().emails):
        try:
            mail = parse(raw, message_id=f"m{number}", thread_id=f"t{number}", received_at=WHEN)
        except MalformedMail:
            continue
        record = Record(payload=mail.model_dump(mode="json"), context={}, external_id=f"m{number}", sure=True)
        answer = json.loads(model.ask(Request(prompt, variables(record))).text)
        for intent in ("demo_request", "support", "partnership", "other", "spam") if mail.sender else ():
            record.answer = answer | {
                "intent": intent,
                "urgency": "high",
                "confidence": 1,
                "reply": answer["reply"] or "-",
            }
            for action in decide(record):
                actions += 1
                assert objection(action, Known(record), ()) is None, mail.subject
    assert actions > 800

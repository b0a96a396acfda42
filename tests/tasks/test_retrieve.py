"""Retrieving: each record is given its passages once, and none that one of its readers may not see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from blocks import library as libraries
from blocks import minilm
from blocks.ledger import Ledger, Record
from blocks.library import Library, LibraryError, audience_of
from blocks.library.tables import meta
from flows.support_answer import CARD, question, readers
from tasks import retrieve
from tasks.run import Run
from tasks.tickets import SOURCE, AskedByTicket
from tests.answering import company_library
from tests.librarian import put

Begin = Callable[..., AbstractContextManager[Run]]
Add = Callable[..., int]
US = frozenset({"domain:dockwell.example"})
MARA = "mara@dockwell.example"
LABELS = "Labels: When labels are cut off, choose the layout Narrow."
REFUNDS = "Refunds: When labels are cut off, pay back at most 250 EUR."


@pytest.fixture
def give(begin: Begin) -> Callable[..., list[str]]:
    """One run that only retrieves; returns its notes."""

    def once(*ids: int, audiences: retrieve.Audiences = readers, **options: Any) -> list[str]:
        with begin(CARD) as run:
            retrieve.passages(run, ids, question, audiences, **options)
            return run.notes

    return once


@pytest.fixture
def manual(library: Library) -> Library:
    """A library with a page for everybody, and one for colleagues."""
    put(library, "labels.md", LABELS, title="Manual", link="https://docs.dockwell.example/labels")
    put(library, "refunds.md", REFUNDS, source="handbook", readers=US)
    return library


def get(ledger: Ledger, number: int) -> Record:
    with ledger.read() as session:
        return session.get_one(Record, number)


def names(ledger: Ledger, number: int) -> list[str]:
    return [passage["document"] for passage in retrieve.passages_of(get(ledger, number))]


@pytest.mark.usefixtures("manual", "sandbox")
def test_what_is_found_is_kept_with_the_record_beside_what_is_known_of_its_sender(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]]
) -> None:
    number = add_question(context={"contact": {"firstname": "Ann"}})
    assert give(number) == []
    record = get(ledger, number)
    assert record.state == "fetched"
    assert record.context is not None
    assert record.context["contact"] == {"firstname": "Ann"}
    (passage,) = record.context["library"]
    similar = passage.pop("similarity")
    assert 0.3 < similar <= 1
    assert passage == {
        "number": 1,
        "heading": "Manual > Labels",
        "text": "When labels are cut off, choose the layout Narrow.",
        "link": "https://docs.dockwell.example/labels",
        "document": "labels.md",
        "source": "manual",
        "readers": ["anyone"],
    }
    assert retrieve.told(retrieve.passages_of(record)) == [
        {name: passage[name] for name in ("number", "heading", "text")}
    ]
    assert retrieve.cited_texts(retrieve.passages_of(record)) == {1: f"Manual > Labels\n{passage['text']}"}


@pytest.mark.usefixtures("sandbox")
def test_what_was_found_once_stays_whatever_becomes_of_the_documents(
    ledger: Ledger, manual: Library, add_question: Add, give: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, nothing = add_question(), add_question(message_id="m2")
    give(found)
    give(nothing, sources=[])
    before = get(ledger, found).context
    assert get(ledger, nothing).context == {"library": []}
    manual.forget("manual")
    monkeypatch.setattr(retrieve, "search", lambda *_: pytest.fail("it was looked for again"))
    give(found, nothing)
    assert get(ledger, found).context == before
    assert names(ledger, found) == ["labels.md"]


@pytest.mark.usefixtures("manual", "sandbox")
def test_only_what_was_not_asked_about_yet_is_given_passages(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]]
) -> None:
    states = ("prompted", "validated", "gated", "done", "skipped", "quarantined")
    numbers = [add_question(state, message_id=state) for state in states]
    give(*numbers)
    assert [get(ledger, number).context for number in numbers] == [None] * len(states)


@pytest.mark.usefixtures("manual", "sandbox")
def test_a_crash_before_all_are_stored_stores_none(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [add_question(message_id=f"m{n}") for n in range(3)]
    asked = []

    def crash_at_the_third(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) == 3:
            raise LibraryError("gone")
        return libraries.search(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(retrieve, "search", crash_at_the_third)
        with pytest.raises(LibraryError, match="gone"):
            give(*numbers)
    assert len(asked) == 3, "a library that is gone is not tried again within the run"
    assert [get(ledger, number).context for number in numbers] == [None] * 3
    give(*numbers)
    assert [names(ledger, number) for number in numbers] == [["labels.md"]] * 3


@pytest.mark.usefixtures("sandbox")
def test_no_more_is_given_than_a_prompt_is_to_hold(
    ledger: Ledger, library: Library, add_question: Add, give: Callable[..., list[str]]
) -> None:
    for number in range(12):
        put(library, f"short-{number}", f"Labels {number}: The labels are cut off, say {number}.")
    few = add_question()
    give(few)
    assert len(names(ledger, few)) == retrieve.MOST
    assert [passage["number"] for passage in retrieve.passages_of(get(ledger, few))] == list(range(1, 9))
    library.forget("manual")
    for number in range(12):
        put(library, f"long-{number}", f"Labels {number}: " + f"The labels are cut off {number}, said we. " * 45)
    long = add_question(message_id="m2")
    give(long)
    texts = [f"{one['heading']}\n{one['text']}" for one in retrieve.passages_of(get(ledger, long))]
    tokens = sum(len(minilm.encoder().places(text)) for text in texts)
    assert 1 < len(texts) < retrieve.MOST
    assert tokens <= retrieve.TOKENS


# Who may be told what


OURS = {"labels.md", "refunds.md"}
ASKERS: list[tuple[dict[str, str], set[str]]] = [
    ({}, {"labels.md"}),
    ({"sender": MARA}, OURS),
    ({"sender": "Mara@Dockwell.example"}, OURS),
    ({"sender": "mara@dockwell.example.evil.example"}, {"labels.md"}),
    ({"sender": "mara@sub.dockwell.example"}, {"labels.md"}),
    ({"sender": "domain:dockwell.example"}, {"labels.md"}),
    ({"sender": MARA, "reply_to": "eve@attacker.example"}, {"labels.md"}),  # the answer goes there
    ({"sender": "form@site.example", "reply_to": MARA}, OURS),
    ({"ticket": "1"}, {"labels.md"}),
    ({"ticket": "2", "sender": MARA}, OURS),
    ({"ticket": "3", "sender": ""}, {"labels.md"}),
]


@pytest.mark.usefixtures("manual", "sandbox")
def test_nobody_is_given_what_they_may_not_see(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]]
) -> None:
    numbers = [
        add_question(**{"message_id": f"m{n}"} | asked) if "ticket" not in asked else add_question(**asked)
        for n, (asked, _) in enumerate(ASKERS)
    ]
    give(*numbers)
    found = [(asked, set(names(ledger, number))) for number, (asked, _) in zip(numbers, ASKERS, strict=True)]
    assert found == ASKERS


@pytest.mark.usefixtures("manual", "sandbox")
def test_several_readers_are_given_what_all_of_them_may_see(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]]
) -> None:
    colleagues, mixed = add_question(), add_question(message_id="m2")
    give(colleagues, audiences=lambda _: [audience_of(MARA), audience_of("joel@dockwell.example")])
    give(mixed, audiences=lambda _: [audience_of(MARA), audience_of("ann@northwind.example")])
    assert set(names(ledger, colleagues)) == {"labels.md", "refunds.md"}
    assert names(ledger, mixed) == ["labels.md"]


@pytest.mark.usefixtures("manual", "sandbox")
def test_only_the_sources_that_are_named_are_looked_at(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]]
) -> None:
    numbers = [add_question(message_id=f"m{n}", sender=MARA) for n in range(3)]
    for number, sources in zip(numbers, (["handbook"], ["manual", "handbook"], []), strict=True):
        give(number, sources=sources)
    assert [set(names(ledger, number)) for number in numbers] == [{"refunds.md"}, {"labels.md", "refunds.md"}, set()]


# What is wrong with the library


@pytest.mark.usefixtures("library", "sandbox")
def test_an_empty_library_is_told_and_the_record_goes_on_without_passages(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]]
) -> None:
    number = add_question()
    (note,) = give(number)
    assert note == "the library holds no document yet, so nothing can be answered from it: signoff library index"
    assert get(ledger, number).context == {"library": []}


@pytest.mark.usefixtures("sandbox")
def test_a_library_of_another_version_fails_the_run_with_the_way_out_and_costs_no_record_its_place(
    ledger: Ledger, manual: Library, add_question: Add, give: Callable[..., list[str]]
) -> None:
    number = add_question()
    with manual.write() as connection:
        connection.execute(sa.update(meta).where(meta.c.key == "format").values(value="0.0.0.old"))
    with pytest.raises(
        LibraryError, match="indexed by another version or embedding model: run `signoff library index`"
    ):
        give(number)
    record = get(ledger, number)
    assert (record.state, record.context, record.run_id) == ("fetched", None, None)


@pytest.mark.usefixtures("sandbox")
def test_a_library_that_cannot_be_opened_is_named(
    ledger: Ledger, add_question: Add, give: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = add_question()
    monkeypatch.setenv("SIGNOFF_LIBRARY_URL", "sqlite:////proc/nowhere/library.db")
    with pytest.raises(LibraryError, match=r"/proc/nowhere/library\.db"):
        give(number)
    assert get(ledger, number).state == "fetched"


# The pretend company's documents; all that is asked of them: tests/flows/test_support_answer_flow.py


@pytest.fixture
def companys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is the pretend company's."""
    monkeypatch.setenv("SIGNOFF_LIBRARY_URL", company_library(tmp_path_factory.getbasetemp()))


def stored(ledger: Ledger, records: list[Record]) -> list[int]:
    with ledger.write() as session:
        for number, record in enumerate(records):
            record.workflow, record.external_id, record.state = "support-answer", f"q{number}", "fetched"
        session.add_all(records)
        session.flush()
        return [record.id for record in records]


@pytest.mark.usefixtures("companys", "sandbox")
def test_colleagues_are_given_the_handbook_and_the_board_alone_what_is_the_boards(
    ledger: Ledger, give: Callable[..., list[str]]
) -> None:
    asked = {"subject": "Commission", "text": "What is the commission of the sales team, and the discount ladder?"}
    found = {}
    for name in ("mara", "tom"):
        fields = {"ticket_id": name, "sender": f"{name}@dockwell.example", "sent_at": datetime.now(UTC)}
        found[name] = Record(source=SOURCE, payload=AskedByTicket(**fields, **asked).model_dump(mode="json"))
    mara, tom = stored(ledger, list(found.values()))
    give(mara, tom)
    assert {"Commission plan", "Discount ladder"} <= set(names(ledger, mara))
    assert "Discount ladder" in names(ledger, tom)
    assert "Commission plan" not in names(ledger, tom)

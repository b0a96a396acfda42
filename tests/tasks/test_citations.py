"""Citations: whatever a passage does not hold is objected to, and whatever it does hold is not."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from blocks.documents import read
from blocks.ledger import Ledger, ModelCall, Record
from flows.support_answer import CARD, complaint, variables
from prompts.support_answer.answer import Sentence
from sandbox.client import Sandbox
from sandbox.company import drive
from tasks import citations, fetch, prompt, validate
from tasks.citations import objections, unsupported
from tasks.run import Run
from tests.answering import ANSWERED_FROM, DATA

Begin = Callable[..., AbstractContextManager[Run]]
Passage = tuple[str, str]
"""Heading and text."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
COOKBOOK = DATA / "cookbook_rag_docs" / "anthropic_docs.json"


def said(text: str, *sources: int) -> Sentence:
    return Sentence(text=text, sources=sources)


def wrong(text: str, passage: str) -> list[str]:
    """What one sentence says that its passage does not hold."""
    return list(unsupported(text, passage))


def sentences(text: str) -> list[str]:
    return [one for piece in SENTENCE_END.split(text) if (one := piece.strip())]


def help_centre() -> list[Passage]:
    """Every section of the pretend company's help articles and of its handbook."""
    rows = json.loads((drive.HERE / "index.json").read_text(encoding="utf-8"))
    found = []
    for row in rows:
        if row.get("file", "").split("/")[0] in ANSWERED_FROM:
            text = (drive.HERE / row["file"]).read_bytes()
            for section in read(text, Path(row["file"]).name).sections:
                found.append((" > ".join((row["name"], *section.path)), section.text))
    return found


def cookbook() -> list[Passage]:
    """The documentation of another company's product."""
    if not COOKBOOK.is_file():
        pytest.skip(f"no documents at {COOKBOOK}: set SIGNOFF_DATA")
    return [(page["chunk_heading"], page["text"]) for page in json.loads(COOKBOOK.read_text(encoding="utf-8"))]


CORPORA = {"help-centre": help_centre, "cookbook": cookbook}


# Where it stands


def test_a_sentence_that_stands_where_it_says_is_let_through() -> None:
    passages = {1: "Prices\nStarter costs 89 EUR per site a month.", 2: "Trials\nThe trial takes 14 days."}
    assert list(objections([said("Starter costs 89 EUR.", 1), said("It can be tried for 14 days.", 2)], passages)) == []
    assert list(objections([], passages)) == list(objections([], {})) == []


def test_two_passages_may_hold_it_together_and_each_alone_may_not() -> None:
    passages = {1: "Starter costs 89 EUR.", 2: "Pro costs 219 EUR."}
    both = "Starter costs 89 EUR, and Pro costs 219 EUR."
    assert list(objections([said(both, 1, 2)], passages)) == []
    (told,) = objections([said(both, 2)], passages)
    assert told == "sentence 1 (Starter costs 89 EUR, and Pro ...) says 89, which passage 2 does not hold"


@pytest.mark.parametrize(
    ("sentence", "complaint"),
    [
        (said("It is free."), "sentence 2 (It is free.) cites no passage"),
        (said("It is free.", 7), "sentence 2 (It is free.) cites passage 7, which was not given; given were 1, 2"),
        (said("It is free.", 1, 0), "sentence 2 (It is free.) cites passage 0, which was not given; given were 1, 2"),
        (said("It is free.", -1), "sentence 2 (It is free.) cites passage -1, which was not given; given were 1, 2"),
        (said(" \n ", 1), "sentence 2 says nothing"),
        (
            said("Sam pays 5 EUR, and so does Ann Berg since 3 May 2026.", 1, 2, 1),
            "sentence 2 (Sam pays 5 EUR, and so ...) says 3 May 2026, 5, EUR, Ann, Berg, "
            "which passage 1 and passage 2 do not hold",
        ),
    ],
)
def test_a_complaint_names_the_sentence_what_is_wrong_and_the_passage(sentence: Sentence, complaint: str) -> None:
    passages = {1: "All is well.", 2: "Nothing is wrong."}
    assert list(objections([said("All is well.", 1), sentence], passages)) == [complaint]


def test_with_no_passages_nothing_can_be_cited() -> None:
    (told,) = objections([said("It is free.", 1)], {})
    assert told.endswith("cites passage 1, which was not given; given were none at all")


def test_a_complaint_about_a_long_sentence_stays_short_and_names_each_thing_once() -> None:
    (told,) = objections([said("It takes 77 days, 77 days, " + "and then it goes on " * 20, 1)], {1: "It takes a day."})
    assert told == "sentence 1 (It takes 77 days, 77 days, ...) says 77, which passage 1 does not hold"


def test_what_the_asker_claims_counts_for_nothing() -> None:
    """`You owe me 500 dollars, Tom said so`: the question is no passage, and cannot be cited as one."""
    passages = {1: "A second charge is paid back in full."}
    told = " ".join(objections([said("You get back 500 dollars, as Tom has said.", 1)], passages))
    assert "says 500, Tom, which passage 1 does not hold" in told


# Numbers

HELD = [
    ("It costs 89 EUR.", "Starter: 89 EUR"),
    ("It costs €89.", "Starter: 89 EUR"),
    ("It costs $1,000.", "It costs 1000 dollars."),
    ("Das kostet 1.000 Euro im Monat.", "It costs 1,000 EUR."),
    ("Jusqu'à 1 000 réservations.", "Up to 1,000 bookings."),
    ("Jusqu'à 12\u202f628 réservations.", "Up to 12,628 bookings."),
    ("It costs 1,000.50.", "It costs 1000.50."),
    ("It costs 1.000,50.", "It costs 1,000.5."),
    ("Es sind 99,96 %.", "It is 99.96 %."),
    ("It is 2.50 EUR.", "It is 2,5 EUR."),
    ("It takes 10-15 minutes.", "It takes from 10 to 15 minutes."),
    ("It takes 10 to 15 minutes.", "It takes 10–15 minutes."),
    ("It opens at 12:30.", "Open from 12:30 on."),
    ("It opens at 09:00.", "Open from 9:00 on."),
    ("It is in release 4.12.", "since release 4.12"),
    ("Use 10.0.0.1.", "The address is 10.0.0.1/24"),
    ("At most 10 MB.", "At most 10MB."),
    ("It takes 5min.", "It takes 5 min."),
    ("Labels have 203dpi.", "Narrow (203 dpi)"),
    ("A fifth of a 2nd door.", "the second door, and a fifth"),
    ("It takes three days.", "It takes 3 days."),
    ("It takes 3 days.", "It takes three days."),
    ("Das dauert drei Tage.", "It takes three days."),
    ("Cela prend trois jours.", "It takes 3 days."),
    ("Son tres días para todos.", "It takes three days."),
    ("It takes 70 days.", "It takes seventy days."),
    ("In 2026 it was 5.", "On 12.3.2026 there were 5."),
    ("Press F5.", "Press Ctrl+F5."),
    ("It meets ISO27001.", "It meets ISO 27001."),
    ("It is one of them.", "It is."),
    ("It costs 89 EUR.", "There are 89 doors, and EUR is a currency."),  # in another role: nobody can tell
    ("It is -18 degrees.", "It is 18 degrees."),  # nor is a sign seen
    ("It is open.", "It is not open."),  # nor a negation
    ("It takes twenty-five days.", "It takes 3 days."),  # nor a number of several words
]


@pytest.mark.parametrize(("text", "passage"), HELD, ids=[text for text, _ in HELD])
def test_a_number_that_the_passage_holds_is_not_objected_to(text: str, passage: str) -> None:
    assert wrong(text, passage) == []


ABSENT = [
    ("It costs 98 EUR.", "It costs 89 EUR.", ["98"]),
    ("It costs $20.", "It costs $200.", ["20"]),
    ("It costs 10 EUR.", "It costs 10,000 EUR.", ["10"]),
    ("It costs 1,000.60.", "It costs 1,000.50.", ["1,000.60"]),
    ("It is 99 %.", "It is 99.96 %.", ["99"]),
    ("It is 50% off.", "It is 5 % off.", ["50"]),
    ("It takes 10-16 minutes.", "It takes 10-15 minutes.", ["16"]),
    ("It opens at 12:45.", "It opens at 12:30.", ["12:45"]),
    ("It is in release 4.13.", "It is in release 4.12.", ["4.13"]),
    ("It is in release v4.13.", "It is in release v4.12.", ["v4.13"]),
    ("Use 10.0.0.2.", "Use 10.0.0.1.", ["10.0.0.2"]),
    ("At most 20MB.", "At most 10MB.", ["20"]),
    ("At most 100m2.", "At most 500m2.", ["100m2"]),
    ("Labels of 10x20.", "Labels of 10x30.", ["10x20"]),
    ("It comes at 12h45.", "It comes at 12h30.", ["12h45"]),
    ("It is the 3rd door.", "It is the 2nd door.", ["3"]),
    ("It takes five days.", "It takes three days.", ["five"]),
    ("It takes Five days.", "It takes 3 days.", ["Five"]),
    ("It takes thirty days.", "It takes 3 days.", ["thirty"]),
    ("Das dauert fünf Tage.", "It takes three days.", ["fünf"]),
    ("Cela prend cinq jours pour vous.", "It takes three days.", ["cinq"]),
    ("Son cinco días para todos.", "It takes three days.", ["cinco"]),
    ("Press F6.", "Press F5.", ["F6"]),
    ("Save it as UTF-16.", "Save it as UTF-8.", ["UTF-16"]),
    ("Press F5 or F55.", "Press F5 or F6.", ["F55"]),
    ("It costs 2 628 EUR.", "It costs 2,629 EUR.", ["2", "628"]),
]


@pytest.mark.parametrize(("text", "passage", "told"), ABSENT, ids=[text for text, _, _ in ABSENT])
def test_a_number_that_the_passage_does_not_hold_is_objected_to(text: str, passage: str, told: list[str]) -> None:
    assert wrong(text, passage) == told


@given(number=st.integers(0, 10**9), other=st.integers(0, 10**9))
def test_any_number_is_its_own_and_no_other(number: int, other: int) -> None:
    spaced = f"{number:,}".replace(",", " ")
    assume(other != number and other not in map(int, spaced.split()))  # which may be several
    forms = [f"{number}", f"{number:,}", f"{number:,}".replace(",", "."), spaced]
    for passage in (f"For {form} EUR you get it." for form in forms):
        assert wrong(f"It costs {other} EUR.", passage) == [str(other)]
        for form in forms:
            assert wrong(f"It costs {form} EUR.", passage) == []


# Dates

SAME_DAY = [
    "2026-03-12", "12.3.2026", "12. 3. 2026", "12.03.2026", "12 March 2026", "12th of March 2026", "March 12, 2026",
    "March 12th, 2026", "Mar 12, 2026", "12. März 2026", "12 mars 2026", "12 de marzo de 2026", "12 de marzo, 2026",
]  # fmt: skip


@pytest.mark.parametrize("text", SAME_DAY)
def test_a_day_is_the_same_in_every_form_and_language_and_no_other(text: str) -> None:
    for passage in SAME_DAY:
        assert wrong(f"It ends on {text}, at noon.", f"The offer ends on {passage}.") == []
    for other in ("2026-03-13", "2026-04-12", "2027-03-12"):
        assert wrong(f"It ends on {text}, at noon.", f"The offer ends on {other}.") == [text]


@pytest.mark.parametrize(
    ("text", "passage", "told"),
    [
        ("It ends on 12 March.", "It ends on 12 March 2026.", []),
        ("It ends on 12 March 2026.", "It ends on 12 March.", ["12 March 2026"]),
        ("It ends on 12 March 2026.", "In 2026 it ends on 12 March.", []),
        ("It ends on 12 March.", "It ends on 13 March.", ["12 March"]),
        ("It ends le 1er avril.", "It ends on 1 May.", ["1er avril"]),
        ("It ends le 1er avril.", "It ends on 1 April.", []),
        ("It ends on 31.2.2026.", "It ends on 3.2.2026.", ["31.2.2026"]),
        ("It ends on 3/12/2026.", "It ends on 3/12/2026.", []),
        ("It ends on 4/12/2026.", "It ends on 3/12/2026.", ["4"]),
        ("It began in March 2025.", "It began in March 2026.", ["2025"]),
        ("It began in April 2026.", "It began in March 2026.", ["April"]),
        ("March 5 is open.", "So it is on the 12. March 5 is open.", []),
        ("March 4.12 is new.", "In March 4.12 is new.", []),
        ("Up to 12 may wait.", "There is room for 12.", []),
        ("Up to 13 may wait.", "There is room for 12.", ["13"]),
        ("It ends on 45 March 2026.", "It ends in March 2026.", ["45"]),
    ],
)
def test_days_without_a_year_and_what_only_looks_like_a_day(text: str, passage: str, told: list[str]) -> None:
    assert wrong(text, passage) == told


NAMED = "January February March April May June July August September October November December".split()  # noqa: SIM905


DAYS = st.dates(date(1900, 1, 1), date(2099, 12, 31))


@given(day=DAYS, other=DAYS)
def test_any_day_is_its_own_and_no_other(day: date, other: date) -> None:
    assume(day != other)
    for text in (day.isoformat(), f"{day.day}.{day.month}.{day.year}", f"{day.day} {NAMED[day.month - 1]} {day.year}"):
        assert wrong(f"It ends on {text}.", f"Until {day.isoformat()} it is open.") == []
        assert wrong(f"It ends on {text}.", f"Until {other.isoformat()} it is open.") == [text]


# Names


@pytest.mark.parametrize(
    ("text", "passage", "told"),
    [
        ("You can use Okta.", "Okta and others work.", []),
        ("You can use Fabrikam.", "Okta and others work.", ["Fabrikam"]),
        ("You can use (Fabrikam).", "Okta and others work.", ["Fabrikam"]),
        ("You can use “Fabrikam”.", "Okta and others work.", ["Fabrikam"]),
        ("Fabrikam Cloud works.", "Okta and others work.", ["Cloud"]),
        ("Fabrikam works.", "Okta and others work.", []),  # at the beginning every word has a capital
        ("It works. Fabrikam too.", "Okta and others work.", []),
        ("SAML works.", "OIDC works.", ["SAML"]),
        ("It works with saml.", "OIDC works.", []),  # what is not written like a name is no name
        ("Dockwell's board shows it.", "The Dockwell board", []),
        ("It is on Dockwell’s board.", "The Dockwell board", []),
        ("It is on Fabrikam's board.", "The Dockwell board", ["Fabrikam's"]),
        ("It needs SAML-based sign-on.", "It needs SAML.", []),
        ("It needs SCIM-based sign-on.", "It needs SAML.", ["SCIM-based"]),
        ("Ask iPhone users.", "iPhone and Android", []),
        ("Ask iPad users.", "iPhone and Android", ["iPad"]),
        ("CALL US NOW.", "You can call us now.", []),
        ("CALL FABRIKAM NOW.", "You can call us now.", ["FABRIKAM"]),
        ("I think that I'm right.", "It is.", []),
        ("Die Datei wird als UTF-8 gespeichert.", "Save the file as UTF-8.", []),
        ("Speichern Sie die Datei als UTF-8.", "Save the file as UTF-8.", []),  # two German words are enough
        ("Abrechnung erfolgt monatlich im Voraus.", "You are billed in advance.", []),
        ("Die CSV-Datei ist im API-Schlüssel.", "A CSV file, an API key.", []),
        ("Die CSV-Datei ist im SAP-Ordner.", "A CSV file, an API key.", ["SAP-Ordner"]),
        ("Utilisez l'API pour exporter les données.", "Use the API to export.", []),
        ("Ouvrez le fichier d’Excel et celui de l’ERP.", "Open the Excel file.", ["l’ERP"]),
    ],
)
def test_names(text: str, passage: str, told: list[str]) -> None:
    assert wrong(text, passage) == told


def test_a_short_german_sentence_is_known_by_the_others() -> None:
    answer = [said("Sie finden das im Menü.", 1), said("Konto wählen, Datei löschen.", 1)]
    assert list(objections(answer, {1: "Open the menu, choose an account."})) == []
    assert wrong("Konto wählen, Datei löschen.", "Open the menu.") == ["Datei"]


# False alarms


@pytest.mark.parametrize("corpus", CORPORA)
def test_no_sentence_of_a_passage_is_objected_to(corpus: str) -> None:
    objected, looked_at = [], 0
    for heading, text in CORPORA[corpus]():
        mine = sentences(text)
        looked_at += len(mine)
        passage = f"{heading}\n{text}"
        objected += [(one, told) for one in mine if (told := wrong(one, passage))]
    assert looked_at > 500
    assert objected == []


PARAPHRASED = json.loads(Path(__file__).with_name("paraphrases.json").read_text(encoding="utf-8"))
"""What a careful writer makes of a help article, in four languages; of each the article."""


TRANSLATED = {"TVA", "IVA", "Francfort"}
"""Abbreviations and places that are called otherwise in another language: objected to, and then left out or kept."""


def test_what_a_careful_writer_makes_of_an_article_is_not_objected_to() -> None:
    articles = {path.name: path.read_text(encoding="utf-8") for path in (drive.HERE / "help-centre").iterdir()}
    told = {one["text"]: wrong(one["text"], articles[one["article"]]) for one in PARAPHRASED}
    assert len(told) == len(PARAPHRASED) >= 70
    assert {text: things for text, things in told.items() if set(things) - TRANSLATED} == {}
    assert sum(map(bool, told.values())) == len(TRANSLATED)


# Misses


def swapped(corpus: Sequence[Passage], what: re.Pattern[str], others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Sentences in which one thing is another one, that the passage does not hold; each with its passage."""
    chance = random.Random(1)
    for heading, text in corpus:
        passage = f"{heading}\n{text}"
        for one in sentences(text):
            for match in what.finditer(one):
                other = chance.choice(others)
                if other not in passage and other not in citations._held(passage).numbers:
                    yield f"{one[: match.start()]}{other}{one[match.end() :]}", passage


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize(
    ("what", "others"),
    [
        (r"\d+", [str(number) for number in range(2, 10_000, 7)]),
        (r"(?<=[a-z,] )[A-Z][a-z]{3,}\b", ["Fabrikam", "Contoso", "Zurich", "Telegram", "Brazil", "Wingtip"]),
    ],
    ids=["numbers", "names"],
)
def test_a_number_or_name_that_became_another_is_caught(corpus: str, what: str, others: list[str]) -> None:
    known = [page for page in CORPORA[corpus]() if len(page[1]) < 4_000]
    cases = list(swapped(known, re.compile(what), others))
    missed = [text for text, passage in cases if not wrong(text, passage)]
    assert len(cases) > 100
    assert len(missed) <= 0.01 * len(cases), missed


# Bounds


@settings(max_examples=200)
@given(text=st.text(max_size=300), passage=st.text(max_size=300))
def test_any_text_can_be_looked_at_and_holds_itself(text: str, passage: str) -> None:
    list(unsupported(text, passage))
    assert wrong(text, f"{passage}\n{text}") == []


PIECES = [
    *(
        "12",
        "3",
        "2026",
        "March",
        "mars",
        "may",
        "1er",
        "of",
        "de",
        "4.12",
        "1,000",
        "1 000",
        "v1:0",
        "6bc0",
        "x20",
        "A",
    ),
    *("UTF-8", "10MB", "two", "hundred", "O'Neil", "12th", "-", ".", ",", ":", " ", " ", " ", "\n", ". ", "und", "Der"),
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_no_sentence_is_objected_to_wherever_a_passage_is_cut(passage: str) -> None:
    for one in sentences(passage):
        assert wrong(one, passage) == []


@pytest.mark.parametrize("piece", ["1", "1.", "1,", "a-", "A", "A1", "1a1", " ", "1 000 ", "May ", "12 March ", "."])
@pytest.mark.timeout(20)
def test_a_long_text_takes_time_in_proportion(piece: str) -> None:
    list(unsupported(piece * 600, piece * 20_000))


# Asked again

CONTEXT = {"contact": None, "library": [{"number": 1, "heading": "Prices", "text": "Starter costs 89 EUR a month."}]}
USAGE = {"input_tokens": 1000, "output_tokens": 100}


def answer(text: str = "Starter costs 89 EUR.", *sources: int) -> dict[str, Any]:
    """What a model answers, with one sentence."""
    sentence = {"text": text, "sources": list(sources or (1,))}
    labels = {"topic": "billing", "urgency": "low", "confidence": 0.9}
    return {"json": labels | {"summary": "Asks for the price.", "answer": [sentence], "missing": ""}, "usage": USAGE}


@pytest.fixture
def validated(accounts: Callable[[], None], begin: Begin) -> Callable[..., Run]:
    """One run that claims what there is, asks Claude, and checks the citations."""
    accounts()

    def once() -> Run:
        with begin(CARD) as run:
            ids = fetch.claim(run, 100)
            prompt.ask(run, ids, variables)
            validate.answers(run, ids, variables, check=complaint)
            return run

    return once


def get(ledger: Ledger, number: int) -> Record:
    with ledger.read() as session:
        return session.get_one(Record, number)


def calls(ledger: Ledger, number: int) -> list[ModelCall]:
    with ledger.read() as session:
        return list(session.scalars(sa.select(ModelCall).where(ModelCall.record_id == number).order_by(ModelCall.id)))


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (answer("Starter costs 98 EUR."), "sentence 1 (Starter costs 98 EUR.) says 98, which passage 1 does not hold"),
        (answer("Starter costs 89 EUR.", 3), "cites passage 3, which was not given; given were 1"),
        (answer("Starter is cheap, says Sam.", 1), "says Sam, which passage 1 does not hold"),
    ],
    ids=["number", "passage", "name"],
)
def test_a_bad_citation_is_asked_again_with_what_is_wrong_and_every_call_is_paid_for(
    sandbox: Sandbox,
    ledger: Ledger,
    add_question: Callable[..., int],
    validated: Callable[[], Run],
    bad: dict[str, Any],
    told: str,
) -> None:
    number = add_question(context=CONTEXT)
    sandbox.script(bad, answer())
    run = validated()
    record = get(ledger, number)
    assert (record.state, record.answer) == ("validated", answer()["json"])
    first, second = (call["messages"] for call in sandbox.model_calls())
    assert second[0] == first[0]
    assert json.loads(second[1]["content"]) == bad["json"]
    assert told in second[2]["content"]
    found = calls(ledger, number)
    assert [(call.attempt, call.input_tokens, call.output_tokens) for call in found] == [(1, 1000, 100), (2, 1000, 100)]
    assert found[0].cost == found[1].cost > 0
    assert run.budget.spent == found[0].cost * 2


def test_after_three_bad_citations_the_question_is_set_aside_with_the_reason_and_the_others_go_on(
    sandbox: Sandbox, ledger: Ledger, add_question: Callable[..., int], validated: Callable[[], Run]
) -> None:
    good = add_question(context=CONTEXT)
    bad = add_question(message_id="m2", subject="Hopeless", context=CONTEXT)
    sandbox.script({"when": "Hopeless", "times": None} | answer("It costs 5 EUR."), answer())
    run = validated()
    assert get(ledger, good).state == "validated"
    record = get(ledger, bad)
    assert (record.state, record.answer) == ("quarantined", None)
    assert record.reason == (
        "no usable answer after 3 attempts: sentence 1 (It costs 5 EUR.) says 5, which passage 1 does not hold"
    )
    assert [call.attempt for call in calls(ledger, bad)] == [1, 2, 3]
    assert run.budget.spent == sum(call.cost for number in (good, bad) for call in calls(ledger, number))
    last = sandbox.model_calls()[-1]["messages"]
    assert [turn["role"] for turn in last] == ["user", "assistant", "user", "assistant", "user"]


def test_a_bad_citation_of_a_run_that_died_counts(
    sandbox: Sandbox, ledger: Ledger, add_question: Callable[..., int], begin: Begin, validated: Callable[[], Run]
) -> None:
    number = add_question(context=CONTEXT)
    sandbox.script(answer("It costs 5 EUR."), {"fault": "prose"}, answer())
    with begin(CARD) as run:
        prompt.ask(run, [number], variables)
    validated()
    assert get(ledger, number).state == "validated"
    assert [call.attempt for call in calls(ledger, number)] == [1, 2, 3]


def test_an_empty_answer_needs_no_citation(
    sandbox: Sandbox, ledger: Ledger, add_question: Callable[..., int], validated: Callable[[], Run]
) -> None:
    number = add_question(context={"contact": None, "library": []})
    silent = answer()["json"] | {"answer": [], "missing": "The price."}
    sandbox.script({"json": silent})
    validated()
    assert get(ledger, number).answer == silent

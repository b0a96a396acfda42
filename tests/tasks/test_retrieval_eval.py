"""Questions whose answers' places are known: how they are scored, kept, and compared with the last time."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

import prompts
from blocks.documents import Document, Section
from blocks.ledger import Ledger
from blocks.library import Library
from tasks import audit, retrieval_eval
from tasks.retrieval_eval import Place, Question, QuestionError, evaluate, newest, read
from tests.librarian import item, put

GATES, RAMP = Place(title="Gates", heading="Opening"), Place(title="Ramp", heading="Repair")
DATA = Path(os.environ.get("SIGNOFF_DATA") or Path(__file__).parents[3] / "shared" / "data") / "cookbook_rag_docs"


@pytest.fixture
def two(library: Library) -> Library:
    """A library of two documents."""
    put(library, "gates.md", "Opening: The gates open at six in the morning.", title="Gates")
    put(library, "ramp.md", "Repair: The ramp is repaired in March.", title="Ramp")
    return library


def asked(question: str, *places: Place, contains: tuple[str, ...] = ()) -> Question:
    return Question(question=question, sections=places, contains=contains)


def test_what_is_found_first_is_scored_and_kept_in_the_ledger(ledger: Ledger, two: Library) -> None:
    questions = [
        asked("When do the gates open?", GATES, contains=("open at six",)),
        asked("When is the ramp repaired?", RAMP, contains=("in March", "in May")),
        asked("Who won the football match?"),
    ]
    found = evaluate(ledger, two, questions, "questions.jsonl")
    scores = found.scores
    assert (scores.questions, scores.answerable) == (3, 2)
    assert (scores.recall_at_3, scores.mrr, scores.ndcg_at_10, scores.hit_at_5) == (1, 1, 1, 1)
    assert scores.contained == 0.75
    assert scores.answerable_similarity is not None
    assert scores.unanswerable_similarity is not None
    assert scores.answerable_similarity > scores.unanswerable_similarity + 0.2
    assert (found.missed, found.unknown, found.previous, found.is_worse) == ((), (), None, False)
    row, kept = newest(ledger) or pytest.fail("nothing was kept")
    assert (row.prompt, row.source, row.cases, row.state) == ("library", "questions.jsonl", 3, "done")
    assert kept == scores
    assert audit.verify(ledger).passed


def test_a_question_that_finds_something_else_is_named(ledger: Ledger, two: Library) -> None:
    for number in range(4):
        put(two, f"{number}.md", "Opening: The gates open at six in the morning.", title=f"Copy {number}")
    put(two, "gates.md", "Opening: Nothing is here.", title="Gates")
    found = evaluate(ledger, two, [asked("When do the gates open in the morning?", GATES)], "x")
    assert found.scores.recall_at_3 == 0
    assert found.scores.mrr == pytest.approx(1 / 5)
    assert found.scores.ndcg_at_10 == pytest.approx(1 / math.log2(6), abs=1e-4)
    [missed] = found.missed
    assert (missed.wanted, len(missed.found)) == ("Gates > Opening", 3)


def test_passages_of_one_section_count_as_one(ledger: Ledger, library: Library) -> None:
    long = "\n\n".join(
        f"The gates open at six on day {number} of the month, as on all others." for number in range(120)
    )
    library.begin("manual", "a folder")
    document = Document("Gates", (Section(("Opening",), long), Section(("Closing",), "The gates close at ten.")))
    assert library.put("manual", item("gates.md"), "hash", document) > 2
    closing = Place(title="Gates", heading="Closing")
    found = evaluate(ledger, library, [asked("When do the gates open?", GATES, closing)], "x")
    assert found.scores.recall_at_3 == 1


def test_the_same_questions_are_compared_with_the_last_time(ledger: Ledger, two: Library) -> None:
    questions = [asked("When do the gates open?", GATES), asked("When is the ramp repaired?", RAMP)]
    first = evaluate(ledger, two, questions, "x").scores
    assert evaluate(ledger, two, questions[:1], "x").previous is None
    two.remove("manual", ["ramp.md"])
    again = evaluate(ledger, two, questions[::-1], "x")
    assert again.previous == first
    assert again.is_worse
    assert again.unknown == ("Ramp > Repair",)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", r"q\.jsonl:1: .*JSON"),
        ('{"question": "When?"}', r"q\.jsonl:1: sections: Field required"),
        ('{"question": "When?", "sections": [], "answer": 1}', r"q\.jsonl:1: answer: Extra inputs"),
        ('{"question": "", "sections": []}', r"q\.jsonl:1: question: "),
        ("", "holds no question"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(QuestionError, match=why):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="cannot be read"):
        read(tmp_path / "nothing.jsonl")


def test_a_library_of_other_documents_measures_nothing(ledger: Ledger, two: Library) -> None:
    elsewhere = Place(title="Prices", heading="Plans")
    with pytest.raises(QuestionError, match=r"none of the sections that x asks about \(Prices > Plans,"):
        evaluate(ledger, two, [asked("What does it cost?", elsewhere)], "x")
    assert newest(ledger) is None


def test_questions_that_nothing_answers_measure_nothing(ledger: Ledger, two: Library) -> None:
    with pytest.raises(QuestionError, match="none of the questions names a section"):
        evaluate(ledger, two, [asked("Who won the match?")], "x")


@pytest.mark.parametrize("path", [*prompts.FOLDER.glob("*/questions.jsonl")], ids=lambda path: path.parent.name)
def test_the_questions_of_a_prompts_folder_can_be_read(path: Path) -> None:
    questions = read(path)
    assert len({question.question for question in questions}) == len(questions) >= 20
    assert path == retrieval_eval.questions_of(path.parent.name)


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_the_public_documentation_set_is_found(ledger: Ledger, library: Library) -> None:
    if not DATA.is_dir():
        pytest.skip(f"the public data set is not there: no folder {DATA}")
    sections = json.loads((DATA / "anthropic_docs.json").read_text(encoding="utf-8"))
    places = {one["chunk_link"]: Place(title=page_of(one), heading=one["chunk_heading"]) for one in sections}
    library.begin("docs", "a folder")
    for title in dict.fromkeys(map(page_of, sections)):
        mine = [one for one in sections if page_of(one) == title]
        cut = [Section((one["chunk_heading"],), one["text"].removeprefix(one["chunk_heading"]).strip()) for one in mine]
        library.put("docs", item(title), title, Document(title, tuple(cut)))
    rows = json.loads((DATA / "docs_evaluation_dataset.json").read_text(encoding="utf-8"))
    questions = [asked(row["question"], *dict.fromkeys(places[link] for link in row["correct_chunks"])) for row in rows]
    scores = evaluate(ledger, library, questions, "cookbook").scores
    print(scores)  # noqa: T201 - shown when it fails
    assert scores.recall_at_3 >= 0.70
    assert scores.mrr >= 0.88


def page_of(section: dict[str, str]) -> str:
    return " ".join(section["chunk_link"].partition("#")[0].rpartition("/docs/")[2].replace("-", " ").split("/"))

"""How well the library finds: questions whose answers' places are known are asked of it and scored.

The scores are kept in the ledger's evaluations, beside those of the prompts.

A question names the sections that answer it, by document title and heading, and may name phrases that must be among
what a model is then shown. One that names no section is answered nowhere: of those it is counted how many a model would
be shown something that looks like an answer.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import prompts
from blocks.ledger import Evaluation, Ledger, PromptVersion, history, insert, utcnow
from blocks.library import RULES, Hit, Library, Scope, search, within
from tasks.retrieve import CANDIDATES, TOKENS

PROMPT = "library"
"""What the evaluations table calls it, where a prompt's name stands."""

NEAR, DEPTH = 3, 10
"""How many sections recall looks at, and nDCG."""

WORSE = 0.05
"""By how much recall may be less than the last time before somebody should look."""


class QuestionError(Exception):
    """A question cannot be read; the message names file, line and field."""


class Place(BaseModel):
    """A section that answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    """The document's title."""
    heading: str = ""
    """The section's own heading; empty for what stands before a document's first."""


class Question(BaseModel):
    """One question, and where it is answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field(min_length=3)
    sections: tuple[Place, ...]
    """Empty when the documents do not answer it."""
    contains: tuple[str, ...] = ()
    """Phrases of the documents that the answer needs."""


class RetrievalScores(BaseModel):
    """How the library did. Kept in `Evaluation.scores`; shares are 0 to 1."""

    model_config = ConfigDict(frozen=True)

    questions: int
    answerable: int
    recall_at_3: float
    """Of the sections that answer a question, those among its first three; the mean over the answerable questions."""
    mrr: float
    """1 / the rank of the first section that answers; the mean."""
    ndcg_at_10: float
    hit_at_5: float
    contained: float
    """Of a question's phrases (or, where it names none, its sections), those within the 2,000 tokens that a model is
    shown; the mean."""
    unanswerable_similarity: float | None
    """The mean cosine of the best passage where nothing answers; beside `answerable_similarity` it says how well the
    two can be told apart."""
    answerable_similarity: float | None
    seconds: float
    """Of one search; the median."""


@dataclass(frozen=True)
class Missed:
    """A question of which no section that answers was among the first three."""

    question: str
    wanted: str
    found: tuple[str, ...]
    """The headings that came instead."""


@dataclass(frozen=True)
class Outcome:
    """An evaluation of the library."""

    scores: RetrievalScores
    missed: tuple[Missed, ...]
    unknown: tuple[str, ...]
    """Sections that questions name and the library does not hold: renamed, or not indexed."""
    version: str
    previous: RetrievalScores | None
    """The newest evaluation before, on the same questions."""

    @property
    def is_worse(self) -> bool:
        """Whether less is found than the last time, by more than chance would have it."""
        return self.previous is not None and self.scores.recall_at_3 < self.previous.recall_at_3 - WORSE


def questions_of(prompt: str) -> Path:
    """Where the questions of a prompt's folder are, if it has any."""
    return prompts.FOLDER / prompt / "questions.jsonl"


def read(path: Path) -> tuple[Question, ...]:
    """The questions of a file, one JSON object a line.

    Raises:
        QuestionError: the file or a line cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"{path} cannot be read: {error}") from error
    questions = tuple(_parsed(line, f"{path}:{n}") for n, line in enumerate(text.split("\n"), start=1) if line.strip())
    if not questions:
        raise QuestionError(f"{path} holds no question")
    return questions


def _parsed(line: str, at: str) -> Question:
    try:
        return Question.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        raise QuestionError(f"{at}: {field + ': ' if field else ''}{problem['msg']}") from None


def evaluate(ledger: Ledger, library: Library, questions: Sequence[Question], source: str) -> Outcome:
    """Ask every question, score what is found, and keep the scores in the ledger.

    Args:
        ledger: where evaluations are kept.
        library: what is asked.
        questions: at least one of them answerable.
        source: what the ledger calls the questions: a file's name.

    Raises:
        QuestionError: no question names a section, or the library holds none of those that they name.
        LibraryError: the library cannot be used.
    """
    places = {place for question in questions for place in question.sections}
    if not places:
        raise QuestionError("none of the questions names a section that answers it")
    unknown = tuple(_unknown(library, questions))
    if len(unknown) == len(places):
        raise QuestionError(
            f"the library holds none of the sections that {source} asks about ({unknown[0]}, ...): index those "
            "documents first, or write questions about your own"
        )
    began = utcnow()
    answers = [(question, _ask(library, question)) for question in questions]
    scores = _scored(answers)
    version = _version(library)
    digest = hashlib.sha256("\n".join(sorted(q.model_dump_json() for q in questions)).encode()).hexdigest()
    previous = _keep(ledger, library, scores, version, source, digest, (utcnow() - began).total_seconds())
    return Outcome(scores, tuple(_missed(answers)), unknown, version, previous)


@dataclass(frozen=True)
class _Answer:
    hits: Sequence[Hit]
    shown: Sequence[Hit]
    seconds: float


def _ask(library: Library, question: Question) -> _Answer:
    began = time.perf_counter()
    hits = search(library, question.question, Scope(()), CANDIDATES)
    seconds = time.perf_counter() - began
    return _Answer(hits, list(within(hits, TOKENS)), seconds)


def _scored(answers: Sequence[tuple[Question, _Answer]]) -> RetrievalScores:
    good = [(question, answer) for question, answer in answers if question.sections]
    bad = [answer for question, answer in answers if not question.sections]
    ranks = [_ranks(question, answer.hits) for question, answer in good]
    times = sorted(answer.seconds for _, answer in answers)
    return RetrievalScores(
        questions=len(answers),
        answerable=len(good),
        recall_at_3=_mean([_recall(found, len(q.sections)) for (q, _), found in zip(good, ranks, strict=True)]),
        mrr=_mean([1 / found[0] if found else 0.0 for found in ranks]),
        ndcg_at_10=_mean([_ndcg(found, len(q.sections)) for (q, _), found in zip(good, ranks, strict=True)]),
        hit_at_5=_mean([float(bool(found) and found[0] <= 5) for found in ranks]),
        contained=_mean([_contained(question, answer.shown) for question, answer in good]),
        unanswerable_similarity=_similarity(bad),
        answerable_similarity=_similarity([answer for _, answer in good]),
        seconds=times[len(times) // 2],
    )


def _ranks(question: Question, hits: Sequence[Hit]) -> list[int]:
    """At which ranks the sections that answer come, each once; passages of one section count as one."""
    order = dict.fromkeys(place_of(hit) for hit in hits)
    return [rank for rank, place in enumerate(order, start=1) if place in question.sections]


def place_of(hit: Hit) -> Place:
    """The section that a passage is of."""
    return Place(title=hit.title, heading=hit.path[-1] if hit.path else "")


def _recall(ranks: Sequence[int], relevant: int) -> float:
    return sum(rank <= NEAR for rank in ranks) / relevant


def _ndcg(ranks: Sequence[int], relevant: int) -> float:
    gain = sum(1 / math.log2(rank + 1) for rank in ranks if rank <= DEPTH)
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(relevant, DEPTH) + 1))


def _contained(question: Question, shown: Sequence[Hit]) -> float:
    if not question.contains:
        return len({place_of(hit) for hit in shown} & set(question.sections)) / len(question.sections)
    said = " ".join(" ".join(hit.text.split()) for hit in shown)
    return sum(" ".join(phrase.split()) in said for phrase in question.contains) / len(question.contains)


def _similarity(answers: Sequence[_Answer]) -> float | None:
    best = [max((hit.similarity or 0.0 for hit in answer.hits), default=0.0) for answer in answers]
    return _mean(best) if best else None


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _missed(answers: Sequence[tuple[Question, _Answer]]) -> Iterator[Missed]:
    for question, answer in answers:
        ranks = _ranks(question, answer.hits)
        if question.sections and not (ranks and ranks[0] <= NEAR):
            wanted = "; ".join(f"{place.title} > {place.heading}".rstrip("> ") for place in question.sections)
            yield Missed(question.question, wanted, tuple(hit.heading for hit in answer.hits[:3]))


def _unknown(library: Library, questions: Sequence[Question]) -> Iterator[str]:
    held = library.sections()
    for place in dict.fromkeys(place for question in questions for place in question.sections):
        if (place.title, place.heading) not in held:
            yield f"{place.title} > {place.heading}".rstrip("> ")


def _version(library: Library) -> str:
    """Twelve hex digits over all that decides what is found, but the documents."""
    return hashlib.sha256(json.dumps([library.format, *RULES, TOKENS]).encode()).hexdigest()[:12]


def _keep(
    ledger: Ledger, library: Library, scores: RetrievalScores, version: str, source: str, digest: str, seconds: float
) -> RetrievalScores | None:
    """Write an evaluation down; returns the newest before it, of the same questions."""
    row = {"version": version, "prompt": PROMPT, "model": library.format, "content": {"tokens": TOKENS}}
    mine = sa.and_(Evaluation.prompt == PROMPT, Evaluation.cases_digest == digest, Evaluation.state == "done")
    with ledger.write() as session:
        before = session.scalar(sa.select(Evaluation).where(mine).order_by(Evaluation.id.desc()).limit(1))
        session.execute(insert(session, PromptVersion).on_conflict_do_nothing(), [row])
        done = Evaluation(
            prompt=PROMPT,
            prompt_version=version,
            model=library.format,
            source=source,
            cases_digest=digest,
            cases=scores.questions,
            state="done",
            scores=scores.model_dump(mode="json"),
            cost=Decimal(0),
            seconds=seconds,
            ended_at=utcnow(),
        )
        session.add(done)
        session.flush()
        history.note(
            session,
            "evaluation",
            f"evaluations/{done.id}",
            prompt=PROMPT,
            version=version,
            source=source,
            cases=scores.questions,
            recall_at_3=scores.recall_at_3,
            mrr=scores.mrr,
        )
        return RetrievalScores.model_validate(before.scores) if before else None


def newest(ledger: Ledger) -> tuple[Evaluation, RetrievalScores] | None:
    """The newest evaluation of the library, whatever its questions."""
    mine = sa.and_(Evaluation.prompt == PROMPT, Evaluation.state == "done")
    with ledger.read() as session:
        row = session.scalar(sa.select(Evaluation).where(mine).order_by(Evaluation.id.desc()).limit(1))
    return (row, RetrievalScores.model_validate(row.scores)) if row else None

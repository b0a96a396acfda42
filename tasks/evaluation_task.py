"""The evaluation that runs by itself: a card's prompt on its held-out cases, with a page on the run and an alert."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

import prompts
from blocks.ledger import Ledger
from blocks.library import Library
from tasks import alerts, retrieval_eval
from tasks.card import Card
from tasks.evaluate import evaluate
from tasks.evaluation_report import Report, as_markdown, report, verdict
from tasks.evaluation_sheet import EvaluationStopped
from tasks.evidence import HELD_OUT
from tasks.run import model_of

LIBRARY_ALERT = "evaluation:library"


@task(name="evaluate", task_run_name="evaluate-{card.workflow}", cache_policy=NO_CACHE, persist_result=False)
def evaluate_card(ledger: Ledger, card: Card) -> str:
    """Evaluate the prompt of a card with the card's model, within the card's dollars; returns the verdict.

    Not retried by Prefect: the calls are, each by itself, and what was answered is kept for the next run.

    Raises:
        EvaluationStopped: not every case was answered, or there is none.
    """
    found = measured(ledger, card)
    create_markdown_artifact(
        key=f"{card.workflow.replace('_', '-')}-evaluation",
        markdown=as_markdown(found),
        description=f"How {card.prompt} does on its held-out cases",
    )
    _alert(ledger, card, found)
    return verdict(found)


@task(name="evaluate-library", cache_policy=NO_CACHE, persist_result=False)
def evaluate_library(ledger: Ledger, prompt: str) -> str:
    """Ask the library the questions of a prompt's folder; an alert opens when less is found than the last time.

    Raises:
        QuestionError: the questions cannot be read.
        LibraryError: the library cannot be used.
    """
    library, path = Library.open(), retrieval_eval.questions_of(prompt)
    if not any(source.documents for source in library.status()):
        return "the library holds nothing yet"
    found = retrieval_eval.evaluate(ledger, library, retrieval_eval.read(path), path.name)
    said = f"{found.scores.recall_at_3:.0%} of the sections that answer are among the first three"
    if found.is_worse and found.previous:
        message = f"the library finds less than before: {said}, and {found.previous.recall_at_3:.0%} the last time"
        alerts.open_alert(ledger, LIBRARY_ALERT, f"{message}; signoff library eval says which are missed")
    else:
        alerts.close_alert(ledger, LIBRARY_ALERT)
    return said


def held_out(prompt: prompts.Prompt) -> tuple[prompts.Case, ...]:
    """The prompt's own held-out cases.

    Raises:
        EvaluationStopped: it has none.
    """
    cases = tuple(case for case in prompt.cases if case.split == HELD_OUT)
    if not cases:
        raise EvaluationStopped(
            f"{prompt.name} has no held-out cases among its {len(prompt.cases)}: add more to {prompt.cases_file}"
        )
    return cases


def measured(ledger: Ledger, card: Card) -> Report:
    """Evaluate the prompt of a card on its held-out cases, with the card's model and within the card's dollars.

    Raises:
        EvaluationStopped: not every case was answered, or there is none.
    """
    prompt = prompts.load(card.prompt)
    outcome = evaluate(
        ledger,
        prompt,
        model_of(card),
        held_out(prompt),
        source=HELD_OUT,
        usd=card.evidence.usd_per_evaluation,
        confidence=card.thresholds.confidence,
    )
    return report(ledger, outcome, card)


def _alert(ledger: Ledger, card: Card, found: Report) -> None:
    key = f"evaluation:{card.workflow}"
    if found.passed:
        alerts.close_alert(ledger, key)
    else:
        version, failures = found.outcome.version, "; ".join(found.failures)
        message = (
            f"{card.prompt} {version} fails on its held-out cases: {failures}. signoff eval {card.prompt} shows them"
        )
        alerts.open_alert(ledger, key, message, card.workflow)

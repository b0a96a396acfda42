"""`signoff eval`: a prompt is tried on its cases, compared with the version in use, and held against its card's bar."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger
from blocks.models import Model, version_of
from blocks.vendor import VendorError
from deployments import views
from deployments.cards import cards as every_card
from deployments.cards import prompt_of
from deployments.errors import CommandError
from prompts import Case, Prompt, PromptError
from prompts import cases as case_files
from tasks import comparison, evaluation_report
from tasks.card import Card, Evidence
from tasks.comparison import ComparisonError, Reference
from tasks.evaluate import Outcome
from tasks.evaluate import evaluate as run
from tasks.evaluation_calls import Batches
from tasks.evaluation_models import EMBEDDED, ModelError, named, of_identity
from tasks.evaluation_report import SHOWN, Report, Wrong
from tasks.evaluation_sheet import EvaluationStopped, Progress, known_answers
from tasks.evaluation_task import held_out
from tasks.evidence import HELD_OUT
from tasks.scoring import FieldScore, case_key, percent

A_MODELS = re.compile(r"[-/.:]")
"""What a model's name, or a block's, has in it, and a version never."""

ELSEWHERE = "it was asked at another address, or what is remembered of it is not all"


@dataclass(frozen=True)
class Job:
    """What all evaluations of one command have in common."""

    ledger: Ledger
    prompt: Prompt
    card: Card | None
    cases: Sequence[Case]
    source: str


@dataclass(frozen=True)
class Other:
    """What ours is compared with, and how it can be asked about the cases that it has not answered."""

    reference: Reference
    prompt: Prompt | None = None
    model: Model | None = None
    why_not: str = ""
    """Why it cannot be asked."""


def evaluate(
    name: str,
    *,
    model: str | None,
    cases: str | None,
    against: str | None,
    batch: bool,
    again: bool,
    max_usd: float | None,
    as_json: bool,
) -> int:
    """Evaluate, and print what was found; 1 when the version fails its card's bar."""
    try:
        found = _found(name, model, cases, against, max_usd, batch=batch, again=again)
    except (ComparisonError, EvaluationStopped, ModelError) as error:
        raise CommandError(str(error)) from error
    if as_json:
        views.as_json(evaluation_report.as_data(found))
    else:
        _print(found)
    return 0 if found.passed else 1


def _found(
    name: str, model: str | None, cases: str | None, against: str | None, max_usd: float | None, *, batch: bool,
    again: bool,
) -> Report:  # fmt: skip
    prompt = prompt_of(name)
    card = next((card for card in every_card() if card.prompt == prompt.name), None)
    usd = _usd(max_usd, card.evidence if card else Evidence())
    job = Job(Ledger.open(), prompt, card, *_cases(prompt, cases))
    asked = _asked(model, card, prompt)
    other = _other(job, against, version_of(prompt, asked)) if against else None  # an error before anything is spent
    outcome = _evaluate(job, prompt, asked, usd, batch=batch, again=again)
    notes = _let_answer(job, other, usd - outcome.usd, batch=batch) if other else []
    return evaluation_report.report(job.ledger, outcome, card, other.reference if other else None, notes)


def _usd(most: float | None, rule: Evidence) -> Decimal:
    if most is not None and not (math.isfinite(most) and most >= 0):
        raise CommandError(f"--max-usd {most} is no number of dollars")
    return rule.usd_per_evaluation if most is None else Decimal(str(most))


def _cases(prompt: Prompt, file: str | None) -> tuple[tuple[Case, ...], str]:
    """The cases, and how the ledger calls their source."""
    if file is None:
        return held_out(prompt), HELD_OUT
    cases = case_files.read(prompt, Path(file), split="held_out")
    if not cases:
        raise CommandError(f"{file} has no cases")
    # Only the folder's own count as evidence, whatever a file is called.
    return cases, f"file {HELD_OUT}" if Path(file).name == HELD_OUT else Path(file).name


def _asked(name: str | None, card: Card | None, prompt: Prompt) -> Model:
    try:
        return named(name, card, prompt.name)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise CommandError(
            "no Prefect server answers, which keeps the models' keys; start one with `signoff up` or `signoff demo`, "
            "or add --model embedded"
        ) from None


def _other(job: Job, against: str, version: str) -> Other:
    """What `--against` names."""
    if against == EMBEDDED or A_MODELS.search(against):
        model = _asked(against, job.card, job.prompt)
        found = version_of(job.prompt, model)
        if found == version:
            raise ComparisonError(f"--against {against} is the same prompt and model as ours, version {version}")
        return Other(Reference(found, model.identity(job.prompt), "as asked"), job.prompt, model)
    row = comparison.find_version(job.ledger, job.prompt, version, against)
    reference = Reference(row.version, row.model, "as asked")
    try:
        was, model = comparison.rebuilt(job.prompt, row), of_identity(row.model, job.card, job.prompt.name)
        same = version_of(was, model) == row.version
    except (ComparisonError, ModelError) as error:
        return Other(reference, why_not=str(error))
    return Other(reference, was, model) if same else Other(reference, why_not=ELSEWHERE)


def _let_answer(job: Job, other: Other, usd: Decimal, *, batch: bool) -> list[str]:
    """Ask the other version about the cases that it has not answered yet; returns what there is to say about that."""
    version = other.reference.version
    there = len(known_answers(job.ledger, job.prompt, version, {case_key(case) for case in job.cases}))
    if there == len(job.cases):
        return []
    why_not = other.why_not
    if other.prompt and other.model:
        try:
            _evaluate(job, other.prompt, other.model, usd, batch=batch and isinstance(other.model, Batches))
        except (EvaluationStopped, PromptError, VendorError) as error:
            why_not = str(error)
        else:
            return []
    return [f"{version} has not answered all {len(job.cases)} cases: {why_not}"]


def _evaluate(
    job: Job, prompt: Prompt, model: Model, usd: Decimal, *, batch: bool = False, again: bool = False
) -> Outcome:
    """One evaluation, with a bar where somebody looks on."""
    confidence = job.card.thresholds.confidence if job.card else 0.0
    with _bar(f"{prompt.name} {model.model_id}") as tell:
        return run(
            job.ledger,
            prompt,
            model,
            job.cases,
            source=job.source,
            usd=usd,
            confidence=confidence,
            again=again,
            batch=batch,
            on_progress=tell,
        )


@contextmanager
def _bar(title: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal, nothing elsewhere. After Ctrl-C it says what is kept."""
    last: list[Progress] = []
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Bar(*columns, console=views.errors, transient=True, disable=not views.errors.is_terminal)

    def tell(progress: Progress) -> None:
        last[:] = [progress]
        waits = f"batch {progress.batch}" if progress.batch else f"{title} ${progress.usd:.4f}"
        bar.update(line, completed=progress.answered, total=progress.of, description=waits)

    line = bar.add_task(title, total=None)
    try:
        with bar:
            yield tell
    except KeyboardInterrupt:
        if last:
            views.errors.print(_interrupted(last[0]), markup=False, soft_wrap=True)
        raise


def _interrupted(last: Progress) -> str:
    if last.batch:
        return f"signoff: batch {last.batch} runs on; the same command takes it up again"
    return f"signoff: {last.answered} of {last.of} cases are answered; the same command pays only for the rest"


def _print(found: Report) -> None:
    say = views.console.print
    first, second = evaluation_report.headline(found).split("\n")
    say(Text(views.printable(first), style="bold"))
    say(Text(second, style="dim"))
    if found.outcome.scores.fields:
        say(_fields(found))
    for field, labels in evaluation_report.confusable(found.outcome.scores):
        say(_confusion(field, labels))
    for line in evaluation_report.sentences(found.outcome.scores):
        say(views.printable(line), markup=False)
    if found.wrong:
        say(_wrong(found.wrong))
    for line in (*found.notes, *evaluation_report.compared_with(found)):
        say(Text(views.printable(line) if not line.startswith(" ") else f"  {views.printable(line)}"))
    say(Text(views.printable(evaluation_report.verdict(found)), style="green" if found.passed else "bold red"))


def _fields(found: Report) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("Field", "Right", "95% interval", "Cases", ""):
        table.add_column(title, justify="right" if title in ("Right", "Cases") else "left")
    for one in found.outcome.scores.fields:
        share, interval = percent(one.right, one.of), f"{one.low:.1%} to {one.high:.1%}"
        judged = "judged by the card" if one.field in found.judged else ""
        table.add_row(Text(one.field), share, interval, str(one.of), Text(judged, style="dim"))
    return table


def _confusion(field: FieldScore, labels: Sequence[str]) -> Table:
    """Of more than five values, only the rows with a mistake."""
    title = Text(f"{field.field}: expected down, answered across")
    table = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for label in labels:
        table.add_column(_words(label), justify="right", overflow="fold")
    for expected, row in field.confusion.items():
        if len(field.confusion) <= 5 or set(row) != {expected}:
            cells = (Text(str(row.get(got, "")), style="" if got == expected else "red") for got in labels)
            table.add_row(_words(expected), *cells)
    return table


def _wrong(wrong: Sequence[Wrong]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column(Text(f"{len(wrong)} wrong"), ratio=3, overflow="fold")
    table.add_column("Expected", ratio=2, overflow="fold")
    table.add_column("Got", ratio=2, overflow="fold")
    for one in wrong[:SHOWN]:
        case = Text(views.printable(one.name))
        case.append(f"\n{views.printable(one.begins)}", style="dim")
        got = Text(views.printable(one.complaint), style="red") if one.complaint else _values(one.got)
        table.add_row(case, _values(one.expected), got)
    if len(wrong) > SHOWN:
        table.add_row(Text(f"and {len(wrong) - SHOWN} more; --json has them all", style="dim"))
    return table


def _values(values: dict[str, str]) -> Text:
    return Text("\n".join(f"{field} {views.printable(value)}" for field, value in values.items()))


def _words(label: str) -> Text:
    """With spaces, so that a narrow column can break it."""
    return Text(views.printable(label.replace("_", " ")))

"""`signoff evidence` and `signoff stage`: what a workflow may do, what it has earned, what is missing for more."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from prefect.variables import Variable
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

import prompts
from blocks.ledger import Ledger
from blocks.models import version_of
from deployments import views
from deployments.cards import card_of
from deployments.errors import CommandError, unknown
from deployments.running import is_try
from tasks import evidence, retrieval_eval
from tasks.card import Card, Stage
from tasks.evidence import Assessment, Line
from tasks.run import effective_stage, lowered_to, model_of, stage_variable


def show(name: str, *, as_json: bool) -> int:
    """Print the evidence for a workflow's present prompt version, and what is missing for the next stage."""
    card, store = card_of(name), Ledger.open()
    found = assessed(store, card)
    stage, why = effective_stage(card, (found.stage, found.why))
    if as_json:
        views.as_json(_json(store, card, found, stage, why))
        return 0
    say = views.console.print
    views.prose(Text.assemble((card.workflow, "bold"), f" runs {stage}: ", why))
    say(f"prompt {card.prompt}, version {found.version}, model {model_of(card).model_id}\n", markup=False)
    say(_table(found))
    if found.figures.agreed or found.figures.differed:
        of = found.figures.agreed + found.figures.differed
        say(f"In shadow: people did the same {found.figures.agreed} times of {of}; see signoff shadow {card.workflow}")
    views.prose(_next(card, found, stage))
    if line := _library(store, card):
        views.prose(line)
    if is_try():
        views.prose("This is the try's own ledger, which began empty: what was evaluated before is not in it.")
    for change in evidence.changes(store, card.workflow, 5):
        say(
            f"  {change.created_at:%Y-%m-%d %H:%M}  {change.prompt_version}  {change.previous} -> {change.stage}: "
            f"{change.why}",
            markup=False,
        )
    return 0


def _library(store: Ledger, card: Card) -> str:
    """How the documents that a workflow answers from are found, where its prompt's folder has questions about them."""
    if not retrieval_eval.questions_of(card.prompt).is_file():
        return ""
    newest = retrieval_eval.newest(store)
    if newest is None:
        return "How well its documents are found was never measured: signoff library eval"
    row, scores = newest
    return (
        f"Its documents: of {scores.answerable} questions, {scores.recall_at_3:.0%} of the sections that answer are "
        f"among the first three found, {scores.contained:.0%} are shown to the model ({row.created_at:%Y-%m-%d %H:%M})"
    )


def set_stage(name: str, to: str | None, *, yes: bool) -> int:
    """Print the stage with its three limits, or set the Variable that lowers it."""
    card, store = card_of(name), Ledger.open()
    if to is None:
        _print_limits(card, assessed(store, card))
        return 0
    wanted = _stage(to)
    found = assessed(store, card)
    raised = wanted.rank > lowered_to(card.workflow)[0].rank
    if raised and wanted.rank > found.stage.rank and not _sure(card, found, wanted, yes=yes):
        views.console.print("Nothing was changed.")
        return 1
    Variable.set(stage_variable(card.workflow), wanted.value, overwrite=True)
    if wanted is not Stage.SHADOW and evidence.reinstate(store, card, found.version, getpass.getuser()):
        found = assessed(store, card)
    _print_limits(card, found)
    return 0


def assessed(store: Ledger, card: Card) -> Assessment:
    """What the evidence says about the card's prompt as its model answers it today."""
    return evidence.assess(store, card, version_of(prompts.load(card.prompt), model_of(card)))


def _stage(text: str) -> Stage:
    try:
        return Stage(text.strip().lower())
    except ValueError:
        raise unknown("stage", text, Stage) from None


def _sure(card: Card, found: Assessment, wanted: Stage, *, yes: bool) -> bool:
    """Whether to raise the Variable although evidence is missing: what was not earned is not done anyway."""
    if not found.missing:
        return True
    views.console.print(f"The evidence for {card.workflow} is not complete:", markup=False)
    for line in found.missing:
        views.console.print(f"  {line.what}: {line.has}, needs {line.needs}", markup=False)
    then = "a person decides every action" if found.stage is not Stage.SHADOW else "people are asked again"
    views.console.print(f"Set to {wanted}, it will run no higher than gated: {then}.", markup=False)
    if yes:
        return True
    if not views.console.is_terminal:
        raise CommandError("say --yes to go on all the same")
    return Confirm.ask("Go on?", console=views.console, default=False)


def _print_limits(card: Card, found: Assessment) -> None:
    earned = (found.stage, found.why)
    stage, why = effective_stage(card, earned)
    lowered, by = lowered_to(card.workflow)
    name = stage_variable(card.workflow)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("the card", str(card.stage), f"flows/{card.workflow.replace('-', '_')}.py")
    table.add_row("the variable", str(lowered), by if lowered.rank < card.stage.rank else f"{name} in Prefect")
    table.add_row("the evidence", str(found.stage), found.why)
    views.prose(Text.assemble((card.workflow, "bold"), f" runs {stage}: ", why))
    views.console.print(table)


def _table(found: Assessment) -> Table:
    table = Table(pad_edge=False, expand=True)
    table.add_column("For selective", ratio=4)
    table.add_column("There is", ratio=3)
    table.add_column("Needed", ratio=3)
    table.add_column("", width=4)
    for line in found.lines:
        table.add_row(line.what, line.has, line.needs, Text("yes", "green") if line.met else Text("no", "red"))
    scores = found.figures.scores
    if scores and scores.threshold is not None and scores.sure is not None:
        table.add_section()
        precision = f"{(scores.sure_and_right or 0) / scores.sure:.0%} right" if scores.sure else "none"
        table.add_row(
            f"held-out answers it stands by (at {scores.threshold:.2f} and more)",
            f"{scores.sure / scores.cases:.0%} of {scores.cases}: {precision}",
            "the rest goes to a person",
            "",
        )
    return table


def _next(card: Card, found: Assessment, stage: Stage) -> str:
    """What to do for the next stage, in a sentence or two."""
    if found.stage is Stage.SHADOW:
        return (
            f"Lost: {found.why}. A new prompt version starts afresh; signoff stage {card.workflow} gated tries again."
        )
    if stage is Stage.SHADOW:
        return f"It only watches. signoff stage {card.workflow} gated: a person then decides every action."
    if found.missing:
        lines = [f"  {line.what}: {line.has}, needs {line.needs}" for line in found.missing]
        return "\n".join(["Missing for selective:", *lines, *_ways(card, found.missing)])
    if card.stage is not Stage.SELECTIVE:
        file = f"flows/{card.workflow.replace('-', '_')}.py"
        return f"Everything is there. To use it, write stage=Stage.SELECTIVE on the card in {file}."
    return "Low-impact actions pass by themselves. Money, contracts and messages outside ask a person for ever."


def _ways(card: Card, missing: Sequence[Line]) -> list[str]:
    """The command that brings what is missing, on a line of its own: it stays whole."""
    is_held_out = any(line.what.startswith("held-out") for line in missing)
    return [f"The held-out cases are tried by: signoff eval {card.prompt}"] if is_held_out else []


def _json(store: Ledger, card: Card, found: Assessment, stage: Stage, why: str) -> dict[str, Any]:
    scores = found.figures.scores
    return {
        "workflow": card.workflow,
        "prompt": card.prompt,
        "version": found.version,
        "runs": stage,
        "why": why,
        "card": card.stage,
        "supported": found.stage,
        "lines": [asdict(line) for line in found.lines],
        "missing": [line.what for line in found.missing],
        "scores": scores.model_dump(mode="json") if scores else None,
        "agreed": found.figures.agreed,
        "differed": found.figures.differed,
        "changes": [
            {
                "at": change.created_at.isoformat(),
                "version": change.prompt_version,
                "previous": change.previous,
                "stage": change.stage,
                "why": change.why,
            }
            for change in evidence.changes(store, card.workflow)
        ],
    }

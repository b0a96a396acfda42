"""How fast and how good is the embedded model? `python -m benchmarks.embedded [DATA]`

- speed: a new process loads the model, learns the lead triage from its examples, and answers 1,000 e-mails of the
  pretend company's inbox one by one. The wall clock runs from the start of the process to its end;
- quality: on examples parted at random, again and again, into some to learn from and some to be judged by. Always those
  of `lead_triage`, a fifth of them held out (its own held-out cases are not touched: they judge the prompt). Where DATA
  names a folder with `cookbook_tickets`, these as their authors parted them, and `seed5way`, mail that is easily
  confused, 16 of each intent to learn from and 6 to be judged by.

Precision and coverage are of the answers at or above the threshold that the model chose itself. A split keeps the
promise when their precision is at least that of the prompt's settings; with few such answers a split can miss it by
chance, so the precision over all splits together says more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

from pydantic import create_model

import prompts
from blocks.embedded import EmbeddedModel
from blocks.models import Request
from prompts import Case, Prompt, Settings
from prompts.fields import Label, Probability

MAILS = 1_000
SPLITS = 20


@dataclass(frozen=True)
class Judged:
    """One answer to a case that the model had not learnt from."""

    right: bool
    probability: float
    answered: bool
    """Not left to a person."""


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="a folder with cookbook_tickets and seed5way")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--answer", type=int, metavar="N", help="only answer N e-mails, and print each one's seconds")
    options = parser.parse_args()
    if options.answer:
        print(json.dumps(answer_mails(options.answer)))  # noqa: T201
        return
    print_speed(*cold(MAILS))
    print_quality(dict(judged_sets(options.data, options.splits)))


def cold(mails: int) -> tuple[float, list[float]]:
    """Wall seconds of a new process that answers so many e-mails, and the seconds of each; the first one trains."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.embedded", "--answer", str(mails)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, json.loads(run.stdout)


def answer_mails(count: int) -> list[float]:
    """Answer so many e-mails one by one; the seconds of each."""
    model, prompt = EmbeddedModel(), prompts.load("lead_triage")
    seconds = []
    for variables in islice(cycle(inbox()), count):
        began = time.perf_counter()
        model.ask(Request(prompt, variables))
        seconds.append(time.perf_counter() - began)
    return seconds


def inbox() -> list[dict[str, Any]]:
    """What the lead triage is told of each e-mail in the pretend company's inbox."""
    from blocks.mail import MalformedMail, parse
    from sandbox import company

    told: list[dict[str, Any]] = []
    for number, raw in enumerate(company.load().emails):
        try:
            mail = parse(raw, message_id=f"m{number}", thread_id=f"t{number}", received_at=datetime.now(UTC))
        except MalformedMail:
            continue
        words = {"subject": mail.subject, "text": mail.text, "sender": mail.sender, "sender_name": mail.sender_name}
        told.append(words | {"company": "Dockwell", "date": "today", "attachments": [], "contact": None})
    return told


def judged_sets(data: Path | None, splits: int) -> Iterator[tuple[str, list[list[Judged]]]]:
    """The name of each set of cases, and how the model did on each of its splits."""
    triage = prompts.load("lead_triage")
    own = [case for case in triage.cases if case.split == "example"]
    yield "lead_triage", over_splits(triage, own, "intent", 0.2, splits)
    if data:
        tickets = cookbook_tickets(data)
        yield "cookbook_tickets", [judge(tickets, "label")]
        mails = seed5way(data)
        yield "seed5way", over_splits(mails, mails.cases, "label", 6 / 22, splits)


def over_splits(prompt: Prompt, cases: Sequence[Case], field: str, held_out: float, splits: int) -> list[list[Judged]]:
    """Part the cases anew each time, and judge what the model learns."""
    return [
        judge(with_cases(prompt, parted(cases, field, held_out, Random(number))), field) for number in range(splits)
    ]


def parted(cases: Sequence[Case], field: str, held_out: float, chance: Random) -> Iterator[Case]:
    """The cases, of each label this share (0 to 1) held out."""
    for label in sorted({case.expect[field] for case in cases}):
        alike = [case for case in cases if case.expect[field] == label]
        held = set(chance.sample(range(len(alike)), round(held_out * len(alike))))
        for number, case in enumerate(alike):
            yield case.model_copy(update={"split": "held_out" if number in held else "example"})


def judge(prompt: Prompt, field: str) -> list[Judged]:
    """What a model that learnt from the examples answers to the held-out cases."""
    held = [case for case in prompt.cases if case.split == "held_out"]
    replies = EmbeddedModel().ask_many([Request(prompt, case.inputs) for case in held])
    return [
        Judged(
            json.loads(reply.text)[field] == case.expect[field],
            max(reply.metadata["probabilities"][field].values()),
            not reply.metadata["abstains"],
        )
        for case, reply in zip(held, replies, strict=True)
    ]


def cookbook_tickets(data: Path) -> Prompt:
    """Anthropic's insurance tickets of ten kinds: 68 to learn from, 68 to be judged by."""
    rows: list[tuple[str, str, str]] = []
    for split, name in (("example", "train.tsv"), ("held_out", "test.tsv")):
        lines = (data / "cookbook_tickets" / name).read_text(encoding="utf-8").splitlines()[1:]
        rows += [(split, text, label) for text, label in (line.split("\t") for line in lines)]
    return prompt_of("ticket", rows)


def seed5way(data: Path) -> Prompt:
    """Mail of five business intents that are easily confused, 22 of each."""
    lines = (data / "seed5way" / "emails.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("|", 2) for line in lines if line.count("|") >= 2]
    return prompt_of("mail", [("example", text, intent) for intent, _, text in rows])


def prompt_of(name: str, rows: Iterable[tuple[str, str, str]]) -> Prompt:
    """A prompt that has no folder, of rows of split, text and label."""
    cases = [
        Case.model_validate(
            {"name": f"{name}-{number}", "split": split, "inputs": {"text": text}, "expect": {"label": label}}
        )
        for number, (split, text, label) in enumerate(rows)
    ]
    labels = tuple(sorted({case.expect["label"] for case in cases}))
    fields: dict[str, Any] = {
        "label": (Annotated[Literal[labels], Label()], ...),
        "confidence": (Annotated[float, Probability(of="label")], ...),
    }
    settings = Settings(max_tokens=100, trim="text", classify=("text",))
    return with_cases(Prompt(name, settings, "Sort.", "{{ text }}", {}, create_model("Sorted", **fields)), cases)


def with_cases(prompt: Prompt, cases: Iterable[Case]) -> Prompt:
    """The prompt with these cases in place of its folder's."""
    changed = replace(prompt)
    vars(changed)["cases"] = tuple(cases)
    return changed


def print_speed(wall: float, seconds: list[float]) -> None:
    """The whole process, and one e-mail in it."""
    first, later = seconds[0], sorted(seconds[1:])
    print(  # noqa: T201
        f"{len(seconds):,} e-mails, one by one, in a new process: {wall:.1f} s with loading and training\n"
        f"the first answer, with training: {first:.2f} s; each later one: median {1000 * statistics.median(later):.0f} "
        f"ms, 95 % within {1000 * later[int(0.95 * len(later))]:.0f} ms, the longest {1000 * later[-1]:.0f} ms\n"
    )


def print_quality(sets: dict[str, list[list[Judged]]]) -> None:
    """One line for each set of cases."""
    from rich.console import Console
    from rich.table import Table

    promise = Settings.model_fields["precision"].default
    table = Table(title="On what it has not learnt from", title_justify="left")
    for title in ("examples of", "accuracy", "precision", "coverage", f"splits >= {promise}", "certainty off by"):
        table.add_column(title, min_width=max(map(len, title.split())), no_wrap=title == "examples of")
    for name, splits in sets.items():
        every = [one for split in splits for one in split]
        given = [one.right for one in every if one.answered]
        each = [[one.right for one in split if one.answered] for split in splits]
        table.add_row(
            name,
            f"{_share([one.right for one in every]):.1%}",
            f"{_share(given):.1%}",
            f"{len(given) / len(every):.0%}",
            f"{sum(_share(right) >= promise for right in each)} of {len(each)}",
            f"{_calibration_error(every):.3f}",
        )
    Console().print(table)


def _share(right: Sequence[bool]) -> float:
    """0 to 1; of no answers none is wrong."""
    return statistics.fmean(right) if right else 1.0


def _calibration_error(judged: Sequence[Judged]) -> float:
    import numpy as np

    from blocks.embedded.calibration import calibration_error

    return calibration_error(np.array([one.probability for one in judged]), np.array([one.right for one in judged]))


if __name__ == "__main__":
    main()

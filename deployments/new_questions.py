"""The checklist's questions: what a card must say, asked one after the other, each with what Enter takes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from deployments import views
from deployments.errors import CommandError, unknown
from prompts.fields import annotated
from tasks.card import Baseline, Card

LABEL = re.compile(r"[a-z][a-z0-9_]{1,30}")


@dataclass(frozen=True)
class Question:
    """One thing that the card says."""

    path: str
    """Where on the card: `owner`, `baseline.minutes`."""
    text: str
    wants: str
    """What a right answer is, told with a wrong one."""
    part: type[BaseModel] = Card

    @property
    def option(self) -> str:
        """How the command line calls it: `--usd-per-run`."""
        return f"--{self.field.replace('_', '-')}"

    @property
    def field(self) -> str:
        """The field's own name."""
        return self.path.rpartition(".")[2]


QUESTIONS = (
    Question("sentence", "What does it do, in one sentence?", "one sentence of at least 15 characters"),
    Question("owner", "Whose is it? The one person who answers for it.", "one e-mail address"),
    Question(
        "baseline.minutes",
        "How many minutes does one record take by hand today?",
        "a number of minutes over 0, as in 3 or 1.5",
        Baseline,
    ),
    Question(
        "baseline.failure_rate",
        "How many of them go wrong by hand, are late or never done?",
        "a share, as in 10% or 0.1",
        Baseline,
    ),
    Question("on_garbage", "What happens when the model's answer is unusable?", "a sentence of at least 15 characters"),
    Question("on_outage", "What happens when a vendor is down?", "a sentence of at least 15 characters"),
    Question("on_rate_limit", "What happens when a vendor asks to wait?", "a sentence of at least 15 characters"),
    Question("usd_per_run", "The most dollars that one run may spend on models?", "dollars over 0, as in 0.50"),
    Question("usd_per_day", "And a day?", "dollars over 0, as in 4"),
    Question("usd_per_month", "And a month?", "dollars over 0, as in 40"),
)


def value_of(question: Question, said: str) -> object:
    """What a card holds for an answer in words.

    Raises:
        CommandError: it is no answer to the question; the message says what would be one.
    """
    said = said.strip()
    try:
        typed = _typed(question, said)
        found = getattr(
            _one_field(question.part, question.field).model_validate({question.field: typed}), question.field
        )
    except (ValidationError, ValueError, ArithmeticError):
        raise CommandError(f"{views.printable(said)!r} will not do: it must be {question.wants}") from None
    if isinstance(found, str) and not found.isprintable():
        raise CommandError(f"it holds characters that do not print: it must be {question.wants}")
    return found


def _typed(question: Question, said: str) -> Any:
    match question.field:
        case "failure_rate" if said.endswith("%"):
            return float(Decimal(said.removesuffix("%")) / 100)
        case "minutes" | "failure_rate":
            number = float(said)
            return int(number) if number.is_integer() and number >= 1 else number
        case "usd_per_run" | "usd_per_day" | "usd_per_month":
            return Decimal(said.removeprefix("$"))
        case _:
            return said


@cache
def _one_field(part: type[BaseModel], name: str) -> type[BaseModel]:
    """A model with only this field of the card's part, and all its limits."""
    definition: dict[str, Any] = {name: (annotated(part.model_fields[name]), ...)}
    return create_model(f"Only{name}", **definition)


def ceilings_fit(card: Mapping[str, object]) -> None:
    """A run's dollars fit into a day's, and a day's into a month's, as far as they are known.

    Raises:
        CommandError: they do not.
    """
    for less, more in (("run", "day"), ("day", "month")):
        low, high = card.get(f"usd_per_{less}"), card.get(f"usd_per_{more}")
        if low is not None and high is not None and Decimal(str(low)) > Decimal(str(high)):
            raise CommandError(f"${high} a {more} is less than ${low} a {less}, which could then never be spent")


def labels_of(said: str, labels: Sequence[str]) -> dict[str, str]:
    """The new names of labels, from `problem=bug, wish=idea`.

    Raises:
        CommandError: a label is unknown, its new name cannot be one, or two would have the same.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in said.split(","))):
        old, _, new = (piece.strip() for piece in part.partition("="))
        if new and old not in labels:
            raise unknown("label", views.printable(old), labels)
        if not LABEL.fullmatch(new):
            raise CommandError(
                f"{views.printable(part)!r} will not do: write OLD=NEW, the new name in small letters, as in "
                f"{old}={old}_two"
            )
        found[old] = new
    renamed = [found.get(label, label) for label in labels]
    if twice := next((label for label in renamed if renamed.count(label) > 1), None):
        raise CommandError(f"two labels would be called {twice}: each needs a name of its own")
    return {old: new for old, new in found.items() if old != new}


def asked(text: str, default: str, check: Callable[[str], Any]) -> Any:
    """Ask until the answer will do; Enter takes the default.

    Raises:
        CommandError: the person at the terminal ends it with Ctrl-D.
    """
    views.console.print()
    for line in textwrap.wrap(text, 78):
        views.console.print(line, style="bold", markup=False)
    for line in textwrap.wrap(f"Enter: {default}", 76):
        views.console.print(f"  {line}", style="dim", markup=False)
    while True:
        try:
            said = input("> ").strip()
        except EOFError:
            views.console.print()
            raise CommandError("no answer, so nothing was written") from None
        try:
            return check(said or default)
        except CommandError as error:
            views.console.print(f"  {error}", style="red", markup=False)

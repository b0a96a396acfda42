"""`signoff new`: a working workflow, copied from a starter, with the checklist filled in."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from deployments import new_names, new_questions, new_source, new_unit, new_yaml, views
from deployments.cards import declared_deployments
from deployments.check import look_at
from deployments.errors import CommandError, unknown
from deployments.new_questions import QUESTIONS, Question
from deployments.new_unit import Starter, Unit, Wanted
from deployments.running import ROOT, command_name
from tasks import flow_cards
from tasks.card import Card

AS_THEY_ARE = "as they are"


def new(
    name: str,
    *,
    like: str | None,
    given: Mapping[str, str],
    labels: Sequence[str],
    company: str | None,
    yes: bool,
) -> int:
    """Ask what is not given, write the workflow, check it, and say what comes next.

    Args:
        name: the new workflow's.
        like: the starter that is copied; asked for, or the first one, without.
        given: answers in words, by where they stand on the card.
        labels: new names of the starter's labels, as `problem=bug`.
        company: how the prompt names us; by default as the other workflows have it.
        yes: ask nothing.

    Raises:
        CommandError: the name or an answer will not do, a file cannot be written, or `signoff check` would find
            something wrong with what was made; nothing was written.
    """
    with new_unit.alone():
        for half in new_unit.mend():
            views.say(f"What an earlier call had left half of {half} was removed.")
        name = new_names.checked(name)
        new_yaml.refuse_another(new_yaml.read(ROOT / new_yaml.FILE), name)
        walk = _Walk(name, asks=not yes and sys.stdin.isatty() and sys.stdout.isatty())
        wanted = walk.wanted(like, given, labels, company)
        made = new_unit.unit(wanted)
        new_unit.write(made)
        _check(made)
    _tell(made)
    return 0


def undo(name: str) -> int:
    """Take back a workflow that nobody has changed since it was made.

    Raises:
        CommandError: it was not made here, or something of it was changed; nothing was taken back.
    """
    with new_unit.alone():
        gone = new_unit.undo(name.replace("_", "-"))
    views.say("Taken back: " + ", ".join(gone) + ".")
    return 0


class _Walk:
    """The questions, one after the other; the answers that were given already are not asked for."""

    def __init__(self, name: str, *, asks: bool) -> None:
        self.name, self.asks = name, asks

    def wanted(self, like: str | None, given: Mapping[str, str], labels: Sequence[str], company: str | None) -> Wanted:
        """What the new workflow is to be."""
        if self.asks:
            views.say(f"A new workflow, {self.name}.")
            views.say("Enter takes what is shown. Ctrl-C ends it, and nothing is written.")
        house = of_the_others()
        starter = self._starter(like)
        card = self._card(starter, given, {"owner": house.owner} if house.owner else {})
        card |= {"allowed": house.allowed} if house.allowed else {}
        return Wanted(
            name=self.name,
            like=starter,
            card=card,
            company=company or house.company,
            labels=self._labels(starter, labels),
        )

    def _starter(self, like: str | None) -> Starter:
        found = {starter.name: starter for starter in new_unit.starters()}

        def known(said: str) -> Starter:
            if said not in found:
                raise unknown("starter", views.printable(said), found)
            return found[said]

        if like is not None or not self.asks:
            return known(like or next(iter(found)))
        says = "; ".join(f"{starter.name}: {starter.says}" for starter in found.values())
        picked: Starter = new_questions.asked(f"Which one is it like? {says}", next(iter(found)), known)
        return picked

    def _card(self, starter: Starter, given: Mapping[str, str], usual: Mapping[str, str]) -> dict[str, object]:
        answers: dict[str, object] = {}
        for question in QUESTIONS:

            def check(said: str, question: Question = question) -> object:
                found = new_questions.value_of(question, said)
                if question.field.startswith("usd_"):
                    new_questions.ceilings_fit(answers | {question.path: found})
                return found

            default = usual.get(question.path) or _default(starter.flow.CARD, question.path)
            if question.path in given:
                answers[question.path] = _named(question, check, given[question.path])
            elif self.asks:
                answers[question.path] = new_questions.asked(question.text, default, check)
            else:
                answers[question.path] = _named(question, check, default)
        return answers

    def _labels(self, starter: Starter, given: Sequence[str]) -> dict[str, str]:
        if given or not self.asks:
            return new_questions.labels_of(",".join(given), starter.labels)
        text = (
            f"The model chooses from: {', '.join(starter.labels)}. Other names for them? As in "
            f"{starter.labels[0]}=bug, {starter.labels[-1]}=idea. (Others than these: README, Add your own.)"
        )
        found: dict[str, str] = new_questions.asked(
            text, AS_THEY_ARE, lambda said: new_questions.labels_of(said.replace(AS_THEY_ARE, ""), starter.labels)
        )
        return found


@dataclass(frozen=True)
class House:
    """What the workflows that are there have in common, most of them: a new one begins with it."""

    owner: str | None = None
    company: str | None = None
    allowed: tuple[str, ...] = ()


def of_the_others() -> House:
    """Read off the flow files, none of which is run: one that is broken today is no hindrance."""
    found: dict[str, Counter[object]] = {"owner": Counter(), "COMPANY": Counter(), "allowed": Counter()}
    for path in flow_cards.files(ROOT / "flows"):
        with suppress(SyntaxError, ValueError, OSError):
            for name, value in new_source.constants(path.read_text(encoding="utf-8"), found):
                found[name][value] += 1
    owner, company, allowed = (next((value for value, _ in each.most_common(1)), None) for each in found.values())
    return House(
        owner=str(owner) if owner else None,
        company=str(company) if company else None,
        allowed=allowed if isinstance(allowed, tuple) else (),
    )


def _default(card: Card, path: str) -> str:
    """What the starter's card says there, in words."""
    value: object = card
    for name in path.split("."):
        value = getattr(value, name)
    if path == "baseline.failure_rate" and isinstance(value, float):
        return f"{value:.0%}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _named(question: Question, check: Callable[[str], object], said: str) -> object:
    """The value of an option, whose refusal names it."""
    try:
        return check(said)
    except CommandError as error:
        raise CommandError(f"{question.option}: {error}") from None


def _check(made: Unit) -> None:
    """As `signoff check` does; what does not pass is taken back.

    Raises:
        CommandError: it does not pass.
    """
    importlib.invalidate_caches()
    try:
        if problems := look_at(made.flow_path, declared_deployments()).problems:
            raise CommandError(f"nothing was written, because of what `signoff check` would say: {'; '.join(problems)}")
    except BaseException:
        new_unit.undo(made.name)
        raise


def _tell(made: Unit) -> None:
    """What is there, and what to do now."""
    module = new_names.module_of(made.name)
    views.say(
        f"\n{made.name} is there. `signoff check --offline` finds nothing wrong with it.\n"
        f"  flows/{module}.py\n"
        "      its card; what it reads, and in decide() what it does about it\n"
        f"  prompts/{module}/\n"
        f"      what the model is told, what it answers, and {made.cases} cases\n"
        f"  {new_yaml.FILE}\n"
        "      its deployment and schedule\n"
        "\n"
        "Run it on the pretend company, with no account and no key:\n"
        f"  {command_name()} try {made.name}\n"
        "Change it as you like, and try again:\n"
        "  a label    answer.py lists it, prompt.md says what it means, cases.jsonl has\n"
        "             a dozen examples of it, the flow file says what is done about it\n"
        "  an action  decide() in the flow file wants it, a line of the card's writes\n"
        "             allows it\n"
        "On your own accounts it only watches (shadow) until somebody says:\n"
        f"  {command_name()} stage {made.name} gated\n"
        "Take it back, as long as nothing of it is changed:\n"
        f"  {command_name()} new {made.name} --undo"
    )

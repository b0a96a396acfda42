"""`signoff cases`: a prompt's cases counted and checked, and new ones made of what people decided."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from blocks.ledger import Ledger
from deployments import views
from deployments.cards import flow_modules, prompt_of
from deployments.errors import CommandError
from prompts import Case, CaseError, Prompt
from prompts.cases import append, choices, label_fields
from tasks import lessons
from tasks.card import Card, Evidence
from tasks.lessons import Doubt, Heard, Lesson, Masked, Proposal, Proposals, Refused, Source
from tasks.masking import summary
from tasks.plain import counted

SHOWN = 300
"""Characters of a text that are shown of each new case."""

SHOWN_OF_DOUBT = 2_000
"""And where a person is asked what it is."""

LOOK = (
    "A rule cannot see everything: look for nicknames, places and projects, and for what only one person could have "
    "written."
)


@dataclass(frozen=True)
class Dialog:
    """A conversation with a person in the terminal or, where stdin is none, line by line with what comes from it."""

    console: Console
    read: Callable[[], str] = input

    def say(self, what: RenderableType = "") -> None:
        """Print, with nothing in it taken for markup."""
        self.console.print(Text(what) if isinstance(what, str) else what)

    def ask(self, question: str) -> str:
        """One line of answer, stripped.

        Raises:
            EOFError: nobody answers any more.
        """
        self.console.print(Text(question), end=" " if sys.stdin.isatty() else "\n")
        return self.read().strip()

    def agrees(self, question: str) -> bool:
        """Whether the answer is yes; no answer is none."""
        try:
            return self.ask(f"{question} [y/N]").lower() in ("y", "yes")
        except EOFError:
            return False


def choose(ask: Callable[[str], str], name: str, values: Sequence[Any], *, otherwise: str = "skip") -> Any:
    """One of the values, by its number or its name; None for an empty line. Asks again for anything else."""
    numbered = {str(number): value for number, value in enumerate(values, start=1)}
    named = {str(value).lower(): value for value in values}
    menu = "  ".join(f"{number}:{value}" for number, value in numbered.items())
    question = f"{name}  {menu}  (Enter: {otherwise})"
    while given := ask(question).lower().replace(" ", "_"):
        if given in numbered or given in named:
            return numbered.get(given, named.get(given))
        question = f"{name}  a number from 1 to {len(values)}, please"
    return None


def cases(name: str, *, from_decisions: bool, limit: int, yes: bool, as_json: bool) -> int:
    """Print the counts and what is missing; or show, and write once somebody agrees, what people's decisions teach."""
    prompt = with_cases(name)
    if not from_decisions:
        return _overview(prompt, as_json=as_json)
    if limit < 1:
        raise CommandError("--limit is at least 1")
    users = sources(lambda card: card.prompt == prompt.name)
    if not users:
        raise CommandError(f"no workflow's card uses the prompt {prompt.name}, so nobody has decided on its answers")
    return _from_decisions(prompt, users, limit=limit, yes=yes, as_json=as_json)


def with_cases(name: str) -> Prompt:
    """The prompt of a folder, with its cases read: what is wrong with them is told before anything is begun.

    Raises:
        CommandError: there is no such prompt.
        CaseError: its cases cannot be read.
    """
    prompt = prompt_of(name)
    _ = prompt.cases
    return prompt


def sources(wanted: Callable[[Card], bool]) -> list[Source]:
    """The workflows with such a card, and what their flows tell the prompt.

    Raises:
        CommandError: a flow has no function `variables`.
    """
    found = []
    for module in flow_modules():
        card, variables = getattr(module, "CARD", None), getattr(module, "variables", None)
        if not isinstance(card, Card) or not wanted(card):
            continue
        if not callable(variables):
            file = module.__name__.replace(".", "/")
            raise CommandError(f"{file}.py has no function variables(record), which says what its prompt is told")
        found.append(Source(card, variables))
    return found


# Counts and checks


def _overview(prompt: Prompt, *, as_json: bool) -> int:
    counts, warnings = _counts(prompt), _warnings(prompt)
    splits = {split: sum(case.split == split for case in prompt.cases) for split in ("example", "held_out")}
    if as_json:
        found = {"prompt": prompt.name, "file": _file(prompt), "cases": len(prompt.cases), "splits": splits}
        views.as_json(found | {"labels": counts, "warnings": warnings})
        return 0
    say = Dialog(views.console).say
    held_out, example = splits["held_out"], splits["example"]
    say(f"{_file(prompt)}: {counted(len(prompt.cases), 'case')}, {example} to learn from and {held_out} held out")
    for field, labels in counts.items():
        say(_label_table(field, labels))
    for warning in warnings:
        say(Text(f"Careful: {warning}.", style="yellow"))
    return 0


def _counts(prompt: Prompt) -> dict[str, dict[str, dict[str, int]]]:
    """Field to label to split to count, for the fields that are classified."""
    fields = label_fields(prompt)
    counts = {n: {str(value): {"example": 0, "held_out": 0} for value in values} for n, values in fields.items()}
    for case in prompt.cases:
        for name in fields.keys() & case.expect.keys():
            counts[name][str(case.expect[name])][case.split] += 1
    return counts


def _warnings(prompt: Prompt) -> list[str]:
    labels = ((n, label, splits) for n, found in _counts(prompt).items() for label, splits in found.items())
    warnings = []
    for name, label, splits in labels:
        if not splits["example"]:
            warnings.append(f"{name}={label} has no case to learn from, so the embedded model cannot know it")
        if not splits["held_out"]:
            warnings.append(f"{name}={label} has no held-out case, so nothing shows whether it is got right")
    held_out = sum(case.split == "held_out" for case in prompt.cases)
    users = [source.card for source in sources(lambda card: card.prompt == prompt.name)]
    for rule, who in [(c.evidence, f"the card of {c.workflow}") for c in users] or [(Evidence(), "a card")]:
        if held_out < rule.cases:
            warnings.append(f"{counted(held_out, 'case')} held out, and {who} needs {rule.cases}")
    return warnings


def _label_table(field: str, labels: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(field, min_width=24)
    for title in ("to learn from", "held out", "together"):
        table.add_column(title, justify="right")
    for label, splits in labels.items():
        table.add_row(label, str(splits["example"]), str(splits["held_out"]), str(sum(splits.values())))
    return table


# New cases of what people decided


def _from_decisions(prompt: Prompt, users: Sequence[Source], *, limit: int, yes: bool, as_json: bool) -> int:
    heard, ledger = Heard(), Ledger.open()
    for source in users:
        found = lessons.heard(ledger, source, prompt)
        heard.lessons += found.lessons
        heard.doubts += found.doubts
        heard.redacted += found.redacted
    doubts = list(islice(lessons.unknown(prompt, heard.doubts), limit))
    somebody_is_there = sys.stdin.isatty() and not (yes or as_json)
    if somebody_is_there and doubts:
        taught, doubts = _ask_about(prompt, doubts, Dialog(views.console))
        heard.lessons += taught
    proposals = lessons.propose(prompt, heard.lessons, limit)
    if as_json:
        if yes:
            _write(prompt, proposals.chosen)
        views.as_json(_as_json(prompt, proposals, doubts, heard.redacted, written=yes and bool(proposals.chosen)))
        return 0
    _tell_rest(proposals, doubts, heard.redacted)
    offer(prompt, proposals, Dialog(views.console), yes=yes, ask=somebody_is_there)
    return 0


def _ask_about(
    prompt: Prompt, doubts: Sequence[tuple[Doubt, Masked]], dialog: Dialog
) -> tuple[list[Lesson], list[tuple[Doubt, Masked]]]:
    """What a person says about rejected answers, and those about which they say nothing."""
    taught, open_ones = [], list(doubts)
    dialog.say(Text(f"Of {counted(len(doubts), 'rejected answer')} nobody has said what is right.", style="bold"))
    try:
        for doubt, masked in doubts:
            dialog.say(_doubt_table(prompt, doubt, masked))
            named = {name: choose(dialog.ask, name, values) for name, values in choices(prompt).items()}
            if expect := {name: value for name, value in named.items() if value is not None}:
                taught.append(lessons.settled(prompt, doubt, expect, getpass.getuser()))
                open_ones.remove((doubt, masked))
    except EOFError:
        dialog.say("The others are left as they are.")
    return taught, open_ones


def offer(prompt: Prompt, proposals: Proposals, dialog: Dialog, *, yes: bool, ask: bool) -> None:
    """Show the new cases, and write them if somebody agrees, or has agreed beforehand."""
    if not proposals.chosen:
        dialog.say("There is no new case to add.")
        return
    for proposal in proposals.chosen:
        dialog.say(_proposal_table(prompt, proposal))
    dialog.say(Text(LOOK, style="yellow"))
    count = counted(len(proposals.chosen), "case")
    if yes or (ask and dialog.agrees(f"Add {count} to {_file(prompt)}?")):
        _write(prompt, proposals.chosen)
        for line in _afterwards(prompt, proposals.chosen):
            dialog.say(line)
    elif ask:
        dialog.say("Nothing was written.")
    else:
        dialog.say(f"Nothing was written. To add {count} to {_file(prompt)}: the same command in a terminal, or --yes.")


def _write(prompt: Prompt, chosen: Sequence[Proposal]) -> None:
    try:
        append(prompt, [proposal.case for proposal in chosen])
    except CaseError as error:
        raise CommandError(f"nothing was written: {error}") from error


def _afterwards(prompt: Prompt, chosen: Sequence[Proposal]) -> Iterator[str]:
    yield f"{counted(len(chosen), 'case')} added. Review it with git diff; undo with git checkout {_file(prompt)}"
    learnt = sum(proposal.case.split == "example" for proposal in chosen)
    if learnt:
        yield (
            f"The embedded model learns from {learnt} of them: it has a new version now, and starts over at its own "
            f"evidence. Try it: signoff eval {prompt.name} --model embedded"
        )
    else:
        yield f"All of them are held out: no model learns from them. Judge it again: signoff eval {prompt.name}"


def _tell_rest(proposals: Proposals, doubts: Sequence[tuple[Doubt, Masked]], redacted: int) -> None:
    """What became of the decisions that no new case is made of."""
    say = Dialog(views.console).say
    for title, refused in (
        ("Contradicts a case that is there; one of the two is wrong", proposals.contradicting),
        ("Cannot be a case", proposals.unusable),
    ):
        if refused:
            say(Text(f"{title}:", style="bold"))
        for one in refused:
            say(f"  record {one.record_id} of {one.workflow}: {views.printable(one.why)}")
    if doubts:
        say(Text("Needs a person: run this in a terminal, or reject with a comment such as intent=support:", "bold"))
    for doubt, _ in doubts:
        say(f"  record {doubt.record.id} of {doubt.source.card.workflow}: {views.printable(doubt.why)}")
    counted = (
        (proposals.known, "taught nothing new"),
        (proposals.left, "not looked at, see --limit"),
        (redacted, "redacted, so that nothing can be learnt from them any more"),
    )
    if said := [f"{count} {what}" for count, what in counted if count]:
        say(f"Other records with decisions: {'; '.join(said)}.")


def _proposal_table(prompt: Prompt, proposal: Proposal) -> Table:
    case, sure = proposal.case, "" if proposal.probability is None else f", {proposal.probability:.0%} sure"
    side = "held out: models are judged by it" if case.split == "held_out" else "example: models learn from it"
    labels = choices(prompt)
    rows = {
        f"+ {case.name}": side,
        "  why": f"{proposal.kind}, record {proposal.record_id}: {proposal.why}",
        "  expect": _pairs({name: value for name, value in case.expect.items() if name in labels}),
        "  model": f"{_pairs(proposal.answered)}{sure}" if proposal.answered else "has not answered it",
        "  masked": summary(proposal.masked),
        **{f"  {name}": str(value) for name, value in case.expect.items() if name not in labels},
        **_said(prompt, case.inputs),
    }
    return grid(rows, SHOWN)


def _doubt_table(prompt: Prompt, doubt: Doubt, masked: Masked) -> Table:
    rows = {
        f"record {doubt.record.id}": doubt.why,
        "the model": _pairs(lessons.labels_of(prompt, doubt.record.answer)),
        **_said(prompt, masked.inputs),
    }
    return grid(rows, SHOWN_OF_DOUBT)


def _said(prompt: Prompt, inputs: Mapping[str, Any]) -> dict[str, str]:
    """What the classifier reads, by variable."""
    return {f"  {name}": str(inputs.get(name) or "") for name in prompt.settings.classify}


def grid(rows: Mapping[str, str], longest: int) -> Table:
    """A name and a text beside it, wrapped; the first line stands out."""
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for name, value in rows.items():
        text = views.printable(value, lines=True).strip()
        cut = text if len(text) <= longest else f"{text[:longest]} [... {len(text) - longest:,} more]"
        if cut:
            table.add_row(Text(name, style="dim" if table.row_count else "bold"), Text(cut))
    table.add_row("", "")
    return table


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _file(prompt: Prompt) -> str:
    return f"prompts/{prompt.name}/cases.jsonl"


def _as_json(
    prompt: Prompt, proposals: Proposals, doubts: Sequence[tuple[Doubt, Masked]], redacted: int, *, written: bool
) -> dict[str, Any]:
    return {
        "prompt": prompt.name,
        "file": _file(prompt),
        "proposals": [_proposal_json(proposal) for proposal in proposals.chosen],
        "needs_person": [_doubt_json(prompt, doubt, masked) for doubt, masked in doubts],
        "contradicting": [_refused_json(one) for one in proposals.contradicting],
        "unusable": [_refused_json(one) for one in proposals.unusable],
        "known": proposals.known,
        "left": proposals.left,
        "redacted": redacted,
        "written": written,
    }


def _proposal_json(proposal: Proposal) -> dict[str, Any]:
    case: Case = proposal.case
    told = {name: getattr(proposal, name) for name in ("kind", "workflow", "why", "answered", "probability", "masked")}
    return case.model_dump(mode="json") | {"record": proposal.record_id} | told


def _doubt_json(prompt: Prompt, doubt: Doubt, masked: Masked) -> dict[str, Any]:
    answered = lessons.labels_of(prompt, doubt.record.answer)
    place = {"record": doubt.record.id, "workflow": doubt.source.card.workflow, "why": doubt.why}
    return place | {"answered": answered, "inputs": masked.inputs, "masked": masked.counts}


def _refused_json(refused: Refused) -> dict[str, Any]:
    return {"record": refused.record_id, "workflow": refused.workflow, "why": refused.why}

"""Each kind of action: what a mistake would cost, its fields, and how it is done only once."""

from __future__ import annotations

from deployments.cards import cards
from docs._build.source import members, notes, summary
from docs._build.text import code, codes, default, limits, table, words
from tasks.actions import KINDS, Action, Impact, InvoiceLine
from tasks.observers import OBSERVERS, UNKNOWABLE
from tasks.performers import PERFORMERS

HEAD = """# Actions

Each kind of action that a workflow may want: what a mistake would cost, its fields, and how an action that was begun is
looked for before it is done again. A workflow may want only what its card names under `writes`.

"""


def page() -> str:
    """The Markdown."""
    return HEAD + _impacts() + _overview() + "\n".join(map(_kind, KINDS.values())) + _lines()


def _impacts() -> str:
    return "## Impact\n\n" + table(("Impact", "Means"), [(code(v), note) for v, note in members(Impact)]) + "\n"


def _overview() -> str:
    rows = [
        (f"[`{kind}`](#{kind.replace('.', '')})", action.impact.value, summary(action), ", ".join(_wanted_by(kind)))
        for kind, action in KINDS.items()
    ]
    return "## All kinds\n\n" + table(("Kind", "Impact", "What it does", "Workflows"), rows) + "\n"


def _wanted_by(kind: str) -> list[str]:
    return [card.workflow for card in cards() if card.writes_of(kind)]


def _kind(action: type[Action]) -> str:
    kind, performer, observer = action.kind, PERFORMERS[action.kind], OBSERVERS.get(action.kind)
    moves_money = action.money is not Action.money
    facts = [
        ("Impact", f"{action.impact.value}{', moves money: the card says how much at a time' if moves_money else ''}"),
        ("Vendor", code(kind.partition(".")[0])),
        ("The approver may rewrite", code(action.editable) if action.editable else _boxes(action)),
        ("How it is done", summary(performer.perform)),
        ("Done already?", summary(performer.find)),
        ("Did people do it themselves?", summary(observer) if observer else f"Unknowable: {UNKNOWABLE[kind]}."),
        ("Wanted by", codes(_wanted_by(kind))),
    ]
    said = notes(action)
    rows = [
        (code(name), words(field.annotation), default(field), limits(field), field.description or said.get(name, ""))
        for name, field in action.model_fields.items()
    ]
    fields = table(("Field", "Type", "Default", "Limits", "What it is"), rows)
    lines = "\n".join(f"- **{name}:** {text}" for name, text in facts if text)
    return f"## {kind}\n\n{summary(action)}\n\n{lines}\n\n{fields}"


def _boxes(action: type[Action]) -> str:
    return "its values, in boxes of the form" if action.blanks is not Action.blanks else "nothing"


def _lines() -> str:
    rows = [
        (code(name), words(field.annotation), default(field), limits(field), field.description or "")
        for name, field in InvoiceLine.model_fields.items()
    ]
    about = table(("Field", "Type", "Default", "Limits", "What it is"), rows)
    return f"\n## A line of an invoice\n\nWhat `lines` of `stripe.create_invoice` holds.\n\n{about}"

"""Every field of the card and of its parts, and what is refused, by whom."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from deployments import check
from deployments.cards import card_of
from docs._build.source import members, notes, said_by, summary
from docs._build.text import code, codes, default, limits, table, words
from tasks.card import HINTS, Agent, Baseline, Card, CardError, Evidence, Reads, Stage, Thresholds, Writes

PARTS: tuple[type[BaseModel], ...] = (Card, Baseline, Reads, Writes, Thresholds, Agent, Evidence)
SAMPLE = "lead-triage"

HEAD = """# The card

Every field of a workflow's card, what may stand in it, and what is refused where. The card stands in the flow's file as
`CARD = Card(...)`; `tasks/card.py` defines it. A field that is not listed here is refused, too.

"""


def page() -> str:
    """The Markdown."""
    return HEAD + "\n".join([*map(_part, PARTS), _stages(), _refused(), _checked()])


def _part(part: type[BaseModel]) -> str:
    said = notes(part)
    rows = [
        (code(name), words(field.annotation, PARTS), default(field), limits(field), _meaning(part, name, said))
        for name, field in part.model_fields.items()
    ]
    about = table(("Field", "Type", "Default", "Limits", "What it is"), rows)
    return f"## {part.__name__}\n\n{summary(part)}\n\n{about}"


def _meaning(part: type[BaseModel], name: str, said: dict[str, str]) -> str:
    hint = HINTS.get(name, "") if part is Card else ""
    of_part = next((summary(each) for each in PARTS if part.model_fields[name].annotation is each), "")
    return said.get(name) or of_part or (hint[:1].upper() + hint[1:] + "." if hint else "")


def _stages() -> str:
    rows = [(code(value), note) for value, note in members(Stage)]
    return f"## Stages\n\n{summary(Stage)}\n\n{table(('Stage', 'What happens'), rows)}"


def _refused() -> str:
    """What the code really answers to a card with one mistake in it."""
    rows = [(code(wrong), code(_answer(part, fields))) for wrong, (part, fields) in _mistakes().items()]
    return (
        "## What is refused where the flow is imported\n\n"
        f"Each of these was put on the card of {code(SAMPLE)} when this page was built; the message is what came back. "
        "A flow whose card is refused is not imported: nothing of it runs, and `signoff check` shows the message.\n\n"
        + table(("On the card", "Message"), rows)
    )


def _mistakes() -> dict[str, tuple[type[BaseModel], dict[str, Any]]]:
    line = {"kind": "gmail.send_reply", "where": "Gmail", "credential": "gmail/inbox", "approval": True}
    read = {"what": "the inbox", "credential": "gmail/inbox", "fields": ("payload",)}
    refund = line | {"kind": "stripe.refund", "credential": "stripe/billing"}
    return {
        "(no owner)": (Card, {"owner": None}),
        'owner="Sam"': (Card, {"owner": "Sam"}),
        'sentence="Triage."': (Card, {"sentence": "Triage."}),
        "usd_per_run=0": (Card, {"usd_per_run": 0}),
        'stage="autonomous"': (Card, {"stage": "autonomous"}),
        "writes=()": (Card, {"writes": ()}),
        'calendar="XX"': (Card, {"calendar": "XX"}),
        'allowed=("not an address",)': (Card, {"allowed": ("not an address",)}),
        'colour="blue"': (Card, {"colour": "blue"}),
        'Reads(credential="inbox", ...)': (Reads, read | {"credential": "inbox"}),
        "Reads(fields=(), ...)": (Reads, read | {"fields": ()}),
        'Writes(kind="gmail.send", ...)': (Writes, line | {"kind": "gmail.send"}),
        'Writes(kind="gmail.send_reply", approval=False, ...)': (Writes, line | {"approval": False}),
        'Writes(kind="stripe.refund", ...) without most': (Writes, refund),
        "Evidence(accuracy=0.3)": (Evidence, {"accuracy": 0.3}),
    }


def _answer(part: type[BaseModel], fields: dict[str, Any]) -> str:
    given = (card_of(SAMPLE).model_dump() if part is Card else {}) | fields
    try:
        part(**{name: value for name, value in given.items() if value is not None})
    except CardError as error:
        return str(error).partition("\n")[2].strip()
    except ValidationError as error:
        return check._readable(error.title, error.errors()[0])
    raise ValueError(f"{part.__name__} takes {fields}, which this page says is refused")


def _checked() -> str:
    found = said_by(check.look_at, check._card_problems, check.unknown_fields, check._deployment_problems)
    lines = "\n".join(f"- `{text}`" for text in found)
    return (
        "## What `signoff check` says besides\n\n"
        "With a name in capitals where a value is filled in. It also reads the prompt folder, names every account that "
        "a workflow cannot run without and nobody has connected, looks at the lines of `deployments/triggers.py`, and "
        "says when a card still names the pretend company although your own mailbox is connected. Of flows without a "
        f"card ({codes(sorted(check.HELPERS))}) it looks at name, function and deployment only.\n\n{lines}\n"
    )

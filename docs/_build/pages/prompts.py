"""Each prompt folder: what the model is told, what it answers, how many cases there are."""

from __future__ import annotations

import prompts
from docs._build.source import notes, summary
from docs._build.text import code, codes, limits, table, words
from tasks.plain import counted

LONGEST = 400

HEAD = """# Prompts

Each prompt folder under `prompts/`: what its text names, the type of the answer, and how many cases it is measured on.
The version of a prompt is a hash of all of this and of the model.

"""


def page() -> str:
    """The Markdown."""
    names = sorted(path.parent.name for path in prompts.FOLDER.glob("*/prompt.md"))
    return HEAD + _settings() + "\n".join(map(_prompt, names))


def _settings() -> str:
    said = notes(prompts.Settings)
    rows = [(code(name), words(field.annotation), limits(field), said.get(name, "")) for name, field in
            prompts.Settings.model_fields.items()]  # fmt: skip
    about = table(("Setting", "Type", "Limits", "What it is"), rows)
    return f"## Front matter\n\nWhat stands between the lines of `---` at the top of `prompt.md`.\n\n{about}\n"


def _prompt(name: str) -> str:
    found = prompts.load(name)
    held_out = sum(case.split == "held_out" for case in found.cases)
    facts = [
        ("Variables", codes(sorted(found.variables))),
        ("Longest answer", f"{found.settings.max_tokens:,} tokens"),
        ("Cases", f"{counted(len(found.cases), 'case')}, {held_out} of them held out"),
        ("Agent's text", code(f"prompts/{name}/agent.md") if found.agent else ""),
    ]
    rows = [
        (code(field), words(info.annotation), limits(info), _short(info.description or ""))
        for field, info in found.answer.model_fields.items()
    ]
    lines = "\n".join(f"- **{title}:** {said}" for title, said in facts if said)
    answer = table(("Field", "Type", "Limits", "What the model is told of it"), rows)
    return f"## {name}\n\n{summary(found.answer)}\n\n{lines}\n\n{answer}"


def _short(text: str) -> str:
    """Its first sentence, where it goes on about every kind of document."""
    return text if len(text) <= LONGEST else f"{text.partition('. ')[0]} ..."

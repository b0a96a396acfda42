"""Prompts as folders: `prompt.md` (text), `answer.py` (type), `cases.jsonl` (examples), `replies.md` (templates).

Where a workflow has an agent: `agent.md` (its text) and `letters.md` (what is written where no model writes).

A leaf: it knows nothing of models, vendors or flows.
"""

import hashlib
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import yaml
from pydantic import BaseModel, ConfigDict, Field

from prompts import cases as case_files
from prompts.cases import Case, CaseError

__all__ = ["FOLDER", "Case", "CaseError", "Prompt", "PromptError", "Settings", "load"]

FOLDER = Path(__file__).parent
DERIVED = {"first_name": "sender_name"}
"""What reply templates may name besides the variables, and the variable from which it is found out."""
SECTION = re.compile(r"^# (.+)$", re.MULTILINE)


class PromptError(Exception):
    """A prompt folder is incomplete, or was asked to render without a variable that it names."""


class Settings(BaseModel):
    """The front matter of `prompt.md`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int
    """The longest answer, in tokens."""
    trim: str
    """The variable that is shortened when the input is too long."""
    classify: tuple[str, ...]
    """The variables that the embedded model reads."""
    precision: float = Field(default=0.9, gt=0, lt=1)
    """The share of the embedded model's answers that must be right; what it is less sure of it leaves to a person."""


@dataclass(frozen=True)
class Prompt:
    """A prompt folder, read and checked."""

    name: str
    settings: Settings
    system: str
    user: str
    replies: dict[str, str]
    answer: type[BaseModel]
    agent: tuple[str, str] | None = None
    """The system and first user text of the workflow's agent, from `agent.md`; None without one."""
    letters: dict[str, str] = field(default_factory=dict)
    """What the workflow's own rules write where no model does, by title, from `letters.md`."""

    @cached_property
    def variables(self) -> frozenset[str]:
        """All that the prompt can be told: what its text, settings and reply templates name."""
        in_replies = {DERIVED.get(name, name) for name in _named_in(*self.replies.values())}
        return _named_in(self.system, self.user) | in_replies | {*self.settings.classify, self.settings.trim}

    def render(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """The system and user text.

        Raises:
            PromptError: a variable that the text names is missing, or one is given that nothing names; by name.
        """
        if unknown := variables.keys() - self.variables:
            raise PromptError(f"prompt {self.name}: nothing uses {', '.join(sorted(unknown))}")
        return self.fill(self.system, variables), self.fill(self.user, variables)

    def render_agent(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """The agent's system and first user text.

        Raises:
            PromptError: the folder has no `agent.md`, or a variable that it names is missing, by name.
        """
        if self.agent is None:
            raise PromptError(f"prompts/{self.name}/agent.md does not exist; it holds what the agent is told")
        system, user = self.agent
        return self.fill(system, variables), self.fill(user, variables)

    def letter(self, title: str, language: str, facts: Mapping[str, Any]) -> str:
        """A letter in this language, or else in the one that `letters.md` has without a language.

        Raises:
            PromptError: there is no such letter, or it names what is not among the facts, by name.
        """
        text = self.letters.get(f"{title}.{language}") or self.letters.get(title)
        if text is None:
            raise PromptError(f"prompts/{self.name}/letters.md has no letter {title!r}")
        return self.fill(text, facts)

    def fill(self, text: str, facts: Mapping[str, Any]) -> str:
        """A text of this folder with its variables filled in.

        Raises:
            PromptError: it names what is not among the facts, by name.
        """
        try:
            return _template(text).render(facts)
        except jinja2.UndefinedError as error:
            raise PromptError(f"prompt {self.name}: {error.message}") from error

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The folder's cases, in file order.

        Raises:
            CaseError: a line that does not fit; by file, line, case and field.
        """
        return case_files.read(self, self.cases_file)

    @property
    def cases_file(self) -> Path:
        """Where the cases are."""
        return FOLDER / self.name / "cases.jsonl"

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The answer type's JSON schema."""
        return self.answer.model_json_schema()

    def version(self, model_id: str) -> str:
        """Twelve hex digits over everything that can change an answer: text, schema, settings, templates and model."""
        parts = [
            self.system,
            self.user,
            json.dumps(self.schema, sort_keys=True),
            self.settings.model_dump_json(),
            json.dumps(self.replies, sort_keys=True),
            model_id,
            *(self.agent or ()),
            *(json.dumps(letters, sort_keys=True) for letters in [self.letters] if letters),
        ]
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:12]


@cache
def load(name: str) -> Prompt:
    """Read the folder `prompts/<name>/`.

    Raises:
        PromptError: a file or section is missing, by name, and what it should hold.
    """
    folder = FOLDER / name
    if not (folder / "prompt.md").is_file():
        raise PromptError(f"prompts/{name}/prompt.md does not exist; it holds the prompt's text")
    front, text = _front_matter(name, (folder / "prompt.md").read_text(encoding="utf-8"))
    system, user = _system_and_user(f"prompts/{name}/prompt.md", text)
    replies, agent, letters = (folder / file for file in ("replies.md", "agent.md", "letters.md"))
    return Prompt(
        name=name,
        settings=Settings.model_validate(front),
        system=system,
        user=user,
        replies=_sections(replies.read_text("utf-8")) if replies.is_file() else {},
        letters=_sections(letters.read_text("utf-8")) if letters.is_file() else {},
        answer=_answer_type(name),
        agent=_system_and_user(f"prompts/{name}/agent.md", agent.read_text("utf-8")) if agent.is_file() else None,
    )


def _system_and_user(file: str, text: str) -> tuple[str, str]:
    sections = _sections(text)
    for title in ("System", "User"):
        if not sections.get(title):
            raise PromptError(f"{file} has no '# {title}' section")
    return sections["System"], sections["User"]


def _front_matter(name: str, text: str) -> tuple[dict[str, Any], str]:
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise PromptError(f"prompts/{name}/prompt.md must begin with settings between two lines of ---")
    return yaml.safe_load(parts[1]), parts[2]


def _sections(text: str) -> dict[str, str]:
    titles = SECTION.split(text)
    return {title.strip(): body.strip() for title, body in zip(titles[1::2], titles[2::2], strict=True)}


def _answer_type(name: str) -> type[BaseModel]:
    module = importlib.import_module(f"prompts.{name}.answer")
    types = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__
    ]
    parts = {part for kind in types for part in kind.model_json_schema().get("$defs", {})}
    answers = [kind for kind in types if kind.__name__ not in parts]
    if len(answers) != 1:
        raise PromptError(
            f"prompts/{name}/answer.py must define exactly one pydantic model that is no part of another, "
            f"not {len(answers)}"
        )
    return answers[0]


@cache
def _template(text: str) -> jinja2.Template:
    return _environment().from_string(text)


def _named_in(*texts: str) -> frozenset[str]:
    found: set[str] = set()
    for text in texts:
        found |= jinja2.meta.find_undeclared_variables(_environment().parse(text))
    return frozenset(found)


@cache
def _environment() -> jinja2.Environment:
    # Autoescape would turn a customer's "R&D" into "R&amp;D": prompts and mail are plain text, not HTML.
    return jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True)

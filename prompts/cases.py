"""Cases: named examples of an input and of what its answer must hold, one JSON object a line.

Whether a case is an example (which a model may learn from) or held out (which it is judged by) is nobody's choice: a
hash of its words decides. The same text therefore falls on the same side in every file, and never on both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from prompts.fields import Label, annotated

if TYPE_CHECKING:
    from prompts import Prompt

HELD_OUT_PERCENT = 25

Split = Literal["example", "held_out"]


class CaseError(Exception):
    """A case cannot be read; the message names file, line, case and field."""


class Case(BaseModel):
    """One named example of an input and the fields that its answer must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    split: Split
    inputs: dict[str, Any]
    """The prompt's variables, every one."""
    expect: dict[str, Any]
    """Some of the answer's fields, each with a value that it can have."""

    def line(self) -> str:
        """The case as `cases.jsonl` holds it: without the split, which its words decide."""
        return json.dumps(self.model_dump(mode="json", exclude={"split"}), ensure_ascii=False)


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    inputs: dict[str, Any]
    expect: dict[str, Any]


def key_of(prompt: Prompt, inputs: dict[str, Any]) -> str:
    """Sixteen hex digits that name an input by its words: case, spaces, punctuation and encoding do not matter."""
    said = " ".join(str(inputs.get(name, "")) for name in prompt.settings.classify)
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", said).casefold())
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def split_of(prompt: Prompt, inputs: dict[str, Any]) -> Split:
    """On which side an input falls, whatever its case is called and wherever it stands."""
    return "held_out" if int(key_of(prompt, inputs)[:8], 16) % 100 < HELD_OUT_PERCENT else "example"


def read(prompt: Prompt, path: Path, split: Split | None = None) -> tuple[Case, ...]:
    """The cases in a file, in its order.

    Args:
        prompt: whose variables and answer type the cases must fit.
        path: one JSON object a line: `name`, `inputs`, `expect`.
        split: for a file that was parted by its maker, such as a public data set: all of it is on this side.

    Raises:
        CaseError: a line that is none, a variable or field that is missing or unknown, a value that the answer cannot
            have, a name or a text that comes twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{path} cannot be read: {error}") from error
    return parse(prompt, _numbered(text), str(path), split)


def parse(prompt: Prompt, lines: Iterable[tuple[int, str]], where: str, split: Split | None = None) -> tuple[Case, ...]:
    """As `read`, of numbered lines; `where` is how errors call the file."""
    expected = partial(prompt.answer)
    cases: dict[str, Case] = {}
    texts: dict[str, str] = {}
    for number, line in lines:
        at = f"{where}:{number}"
        case = _case(prompt, expected, line, at, split)
        if case.name in cases:
            raise CaseError(f"{at}: there is another case called {case.name}")
        twin = texts.setdefault(key_of(prompt, case.inputs), case.name)
        if twin != case.name:
            raise CaseError(f"{at}: case {case.name} says the same as {twin}; leave one out")
        cases[case.name] = case
    return tuple(cases.values())


def append(prompt: Prompt, new: Sequence[Case]) -> tuple[Case, ...]:
    """Put cases at the end of the folder's file, all of them or none: it is replaced as a whole, once all of it fits.

    Returns:
        Every case that the file now holds. The prompt itself keeps those that it has read before.

    Raises:
        CaseError: the file cannot be read or written, or would hold a case that does not fit; it is as it was.
    """
    path = prompt.cases_file
    read(prompt, path)  # what is wrong already must not be blamed on what is new
    text = path.read_text(encoding="utf-8")
    text += "" if text.endswith("\n") or not text else "\n"
    text += "".join(f"{case.line()}\n" for case in new)
    cases = parse(prompt, _numbered(text), str(path))
    try:
        replace_file(path, text)
    except OSError as error:
        raise CaseError(f"{path} cannot be written: {error}") from error
    return cases


def replace_file(path: Path, text: str) -> None:
    """Write beside the file and rename: whoever reads meanwhile sees it as it was, and a crash leaves it so.

    The file may be a new one. Its line ends are the text's own.
    """
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        os.replace(beside, path)
    finally:
        Path(beside).unlink(missing_ok=True)


def choices(prompt: Prompt) -> dict[str, tuple[Any, ...]]:
    """The answer's fields that are one of a few values (`Literal`), each with its values, in the type's order."""
    fields = {name: field.annotation for name, field in prompt.answer.model_fields.items()}
    return {name: get_args(kind) for name, kind in fields.items() if get_origin(kind) is Literal}


def label_fields(prompt: Prompt) -> dict[str, tuple[Any, ...]]:
    """Of those, the fields that are classified (`Label`)."""
    fields = prompt.answer.model_fields
    return {
        name: values
        for name, values in choices(prompt).items()
        if any(isinstance(mark, Label) for mark in fields[name].metadata)
    }


def without_case(prompt: Prompt) -> list[str]:
    """The labels of which there is no case at all, as `topic=billing`."""
    labels = [(name, label) for name, values in label_fields(prompt).items() for label in values]
    return [f"{name}={label}" for name, label in labels if all(case.expect.get(name) != label for case in prompt.cases)]


def refusal(prompt: Prompt, expect: Mapping[str, Any]) -> str:
    """Why no answer can be like this; nothing when one can."""
    return _refusal(partial(prompt.answer), expect)


def _numbered(text: str) -> Iterable[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


def _refusal(expected: type[BaseModel], expect: Mapping[str, Any]) -> str:
    try:
        expected.model_validate_json(json.dumps(expect))
    except ValidationError as error:
        return _first(error)
    return ""


def _case(prompt: Prompt, expected: type[BaseModel], line: str, at: str, split: Split | None) -> Case:
    try:
        found = _Line.model_validate_json(line)
    except ValidationError as error:
        raise CaseError(f"{at}: {_first(error)}") from None
    missing = prompt.variables - found.inputs.keys()
    unknown = found.inputs.keys() - prompt.variables
    if missing or unknown:
        lacks = f"lacks {', '.join(sorted(missing))}" if missing else ""
        has = f"has {', '.join(sorted(unknown))}, which the prompt does not name" if unknown else ""
        named = f"prompts/{prompt.name}/prompt.md names {', '.join(sorted(prompt.variables))}"
        raise CaseError(f"{at}: case {found.name} {' and '.join(filter(None, (lacks, has)))}; {named}")
    if not found.expect:
        raise CaseError(f"{at}: case {found.name} expects nothing; name at least one field of the answer")
    if wrong := _refusal(expected, found.expect):
        raise CaseError(f"{at}: case {found.name} expects what no answer can be: {wrong}")
    return Case(split=split or split_of(prompt, found.inputs), **found.model_dump())


@cache
def partial(answer: type[BaseModel]) -> type[BaseModel]:
    """The answer type with every field left to choice, and no value taken for another."""
    fields: dict[str, Any] = {name: (annotated(field), None) for name, field in answer.model_fields.items()}
    return create_model(f"Expected{answer.__name__}", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    field = ".".join(map(str, problem["loc"]))
    return f"{field}: {problem['msg']}" if field else problem["msg"]

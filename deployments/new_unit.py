"""A new workflow's files: a starter's, with the names and values replaced; written all together, or not at all."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from deployments import new_source, new_yaml
from deployments.errors import CommandError
from deployments.machine import lock_file
from deployments.new_names import module_of
from deployments.running import HOME, ROOT
from prompts.cases import replace_file

STARTERS = Path(__file__).parent / "starters"
LABELLED = "category"
"""The field of a starter's answer whose labels may be called otherwise."""

RECEIPTS = HOME / "new"
"""What was made: so that it can be taken back, and so that what a crash has left half is found."""


@dataclass(frozen=True)
class Starter:
    """A working unit to copy."""

    name: str

    @property
    def folder(self) -> Path:
        """Where it is."""
        return STARTERS / self.name

    @property
    def flow(self) -> ModuleType:
        """Its flow file, imported."""
        return importlib.import_module(f"deployments.starters.{self.name}.flow")

    @property
    def labels(self) -> tuple[str, ...]:
        """What its model chooses from."""
        answer = importlib.import_module(f"deployments.starters.{self.name}.prompt.answer")
        return tuple(get_args(answer.Category))

    @property
    def says(self) -> str:
        """What it does, in one sentence."""
        return str(self.flow.CARD.sentence)


def starters() -> list[Starter]:
    """Every starter, the first of them the usual one."""
    return [Starter(path.parent.name) for path in sorted(STARTERS.glob("*/flow.py"), reverse=True)]


@dataclass(frozen=True)
class Wanted:
    """What the new workflow is to be."""

    name: str
    """With dashes."""
    like: Starter
    card: Mapping[str, object] = field(default_factory=dict)
    """Values by where they stand on the card: `owner`, `baseline.minutes`."""
    company: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """New names of the starter's labels."""

    @property
    def module(self) -> str:
        """The name as Python has it."""
        return module_of(self.name)


@dataclass(frozen=True)
class Unit:
    """The files as they will be."""

    name: str
    flow: str
    prompt: Mapping[str, str]
    entry: str

    @property
    def flow_path(self) -> Path:
        """The flow file's place."""
        return ROOT / "flows" / f"{module_of(self.name)}.py"

    @property
    def prompt_path(self) -> Path:
        """The prompt folder's place."""
        return ROOT / "prompts" / module_of(self.name)

    @property
    def cases(self) -> int:
        """How many cases it has."""
        return len(self.prompt["cases.jsonl"].splitlines())


def unit(wanted: Wanted) -> Unit:
    """The starter's files with the wanted names and values."""
    folder = wanted.like.folder
    prompt = {
        path.name: _of_prompt(path.name, _renamed(path.read_text(encoding="utf-8"), wanted), wanted)
        for path in sorted((folder / "prompt").iterdir())
        if path.is_file()
    }
    return Unit(
        name=wanted.name,
        flow=_of_flow(_renamed((folder / "flow.py").read_text(encoding="utf-8"), wanted), wanted),
        prompt=prompt,
        entry=_renamed((folder / "deployment.yaml").read_text(encoding="utf-8"), wanted),
    )


def _renamed(text: str, wanted: Wanted) -> str:
    like = wanted.like.name
    for old, new in (
        (f"deployments.starters.{like}.prompt", f"prompts.{wanted.module}"),
        (f"starter_{like}", wanted.module),
        (f"starter-{like}", wanted.name),
    ):
        text = text.replace(old, new)
    return text


def _of_flow(source: str, wanted: Wanted) -> str:
    source = new_source.with_card(source, wanted.card)
    if wanted.company is not None:
        source = new_source.with_constant(source, "COMPANY", wanted.company)
    sentence = wanted.card.get("sentence")
    if isinstance(sentence, str) and len(sentence) < 110 and '"' not in sentence and "\\" not in sentence:
        source = new_source.with_docstring(source, sentence)
    return new_source.with_texts(source, wanted.labels)


def _of_prompt(file: str, text: str, wanted: Wanted) -> str:
    """A file of the prompt folder, with the labels as they are to be called."""
    new = wanted.labels
    match Path(file).suffix:
        case ".py":
            return new_source.with_texts(text, new)
        case ".jsonl":
            return "".join(f"{_relabelled(line, new)}\n" for line in text.splitlines())
        case _ if file == "replies.md":  # a title is the label, or the label and a language
            return re.sub(r"(?m)^# (\w+)", lambda found: f"# {new.get(found[1], found[1])}", text)
        case _:
            return re.sub(r"`(\w+)`", lambda found: f"`{new.get(found[1], found[1])}`", text)


def _relabelled(line: str, new: Mapping[str, str]) -> str:
    case = json.loads(line)
    label = case["expect"].get(LABELLED)
    if label not in new:
        return line
    case["expect"][LABELLED] = new[label]
    return json.dumps(case, ensure_ascii=False)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the checkout's list of what was made: two at a time would write over each other's prefect.yaml.

    Raises:
        CommandError: the folder for it cannot be made, or another process holds it.
    """
    try:
        RECEIPTS.mkdir(parents=True, exist_ok=True)
        lock = lock_file(RECEIPTS / "lock")
    except OSError as error:
        raise CommandError(f"nothing was written: {error.strerror} ({error.filename})") from error
    if lock is None:
        raise CommandError("another `signoff new` is on: end that first, nothing was written")
    with lock:
        yield


def write(made: Unit) -> None:
    """Write the flow file, the prompt folder and the deployment, all of them or none.

    What is written is noted first: `mend` finds what a crash has left half.

    Raises:
        CommandError: something of that name is there, or a file cannot be written; all is as it was.
    """
    yaml_path = ROOT / new_yaml.FILE
    before = new_yaml.read(yaml_path)
    new_yaml.refuse_another(before, made.name)
    after = new_yaml.with_entry(before, made.entry)
    receipt = _receipt(made)
    try:
        replace_file(_receipt_path(made.name), json.dumps(receipt))
        _write(made, after)
        _close(receipt)
    except BaseException as error:
        with suppress(OSError):  # what cannot be removed either, the next call finds by its receipt
            take_back(receipt)
        if isinstance(error, OSError):
            where = f" ({error.filename})" if error.filename else ""
            raise CommandError(f"nothing was written: {error.strerror or error}{where}") from error
        raise


def _write(made: Unit, prefect_yaml: str) -> None:
    """The deployment comes last: what it declares is there before it is declared."""
    with tempfile.TemporaryDirectory(dir=made.prompt_path.parent, prefix=_beside(made.name)) as beside:
        flow, folder = Path(beside) / "flow.py", Path(beside) / "prompt"
        flow.write_text(made.flow, encoding="utf-8", newline="\n")
        folder.mkdir()
        for name, text in made.prompt.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        os.rename(folder, made.prompt_path)
        os.rename(flow, made.flow_path)
    replace_file(ROOT / new_yaml.FILE, prefect_yaml)


def _close(receipt: Mapping[str, Any]) -> None:
    """Note that all of it was written: from here on it is its owner's, whatever they remove of it."""
    replace_file(_receipt_path(receipt["name"]), json.dumps({**receipt, "whole": True}))


def _beside(name: str) -> str:
    """How the folder is called in which a workflow's files are written before they are moved to their places."""
    return f".new-{name}."


def _receipt(made: Unit) -> dict[str, Any]:
    """What will be written, by place and checksum."""
    files = {made.flow_path: made.flow} | {made.prompt_path / name: text for name, text in made.prompt.items()}
    return {
        "name": made.name,
        "entry": made.entry,
        "files": {str(path.relative_to(ROOT)): _checksum(text.encode()) for path, text in files.items()},
    }


def _receipt_path(name: str) -> Path:
    return RECEIPTS / f"{name}.json"


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def mend() -> list[str]:
    """Take back what an earlier call had begun when it was killed; returns the names of the workflows."""
    found = []
    declared = new_yaml.names(new_yaml.read(ROOT / new_yaml.FILE))
    for path in sorted(RECEIPTS.glob("*.json")):
        receipt = _read_receipt(path)
        if receipt is None or receipt.get("whole"):
            continue
        if receipt["name"] in declared:  # which is written last: all of it is there
            _close(receipt)
        elif not changed(receipt):
            found += [receipt["name"]] if any((ROOT / file).exists() for file in receipt["files"]) else []
            take_back(receipt)
    return found


def undo(name: str) -> list[str]:
    """Take back a workflow that nobody has changed since it was made; returns what is gone.

    Raises:
        CommandError: it was not made here, or something of it was changed.
    """
    receipt = _read_receipt(_receipt_path(name))
    if receipt is None:
        raise CommandError(f"signoff new has not made {name} here, or it was taken back already")
    if different := changed(receipt):
        raise CommandError(
            f"{', '.join(different)} changed since: nothing was taken back. To remove it all the same, delete "
            f"flows/{module_of(name)}.py, prompts/{module_of(name)}/ and its entry in prefect.yaml"
        )
    gone = [f"flows/{module_of(name)}.py", f"prompts/{module_of(name)}/", f"its entry in {new_yaml.FILE}"]
    take_back(receipt)
    return gone


def changed(receipt: Mapping[str, Any]) -> list[str]:
    """What of a workflow is not as it was written; what is gone altogether does not count."""
    found = [
        file
        for file, checksum in receipt["files"].items()
        if (ROOT / file).exists() and _checksum((ROOT / file).read_bytes()) != checksum
    ]
    folder = ROOT / "prompts" / module_of(receipt["name"])
    known = {ROOT / file for file in receipt["files"]}
    found += [str(path.relative_to(ROOT)) for path in folder.rglob("*") if _is_new(path, known)]
    text = new_yaml.read(ROOT / new_yaml.FILE)
    if receipt["name"] in new_yaml.names(text) and new_yaml.without_entry(text, receipt["entry"]) is None:
        found.append(f"its entry in {new_yaml.FILE}")
    return found


def _is_new(path: Path, known: set[Path]) -> bool:
    return path.is_file() and path not in known and path.parent.name != "__pycache__"


def take_back(receipt: Mapping[str, Any]) -> None:
    """Remove the files that are as they were written, the deployment first, and then the note of it."""
    text = new_yaml.read(ROOT / new_yaml.FILE)
    without = new_yaml.without_entry(text, receipt["entry"])
    if without is not None:
        replace_file(ROOT / new_yaml.FILE, without)
    for file, checksum in receipt["files"].items():
        path = ROOT / file
        if path.is_file() and _checksum(path.read_bytes()) == checksum:
            path.unlink()
    folder = ROOT / "prompts" / module_of(receipt["name"])
    for left in [folder / "__pycache__", *folder.parent.glob(f"{_beside(receipt['name'])}*")]:
        shutil.rmtree(left, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    _receipt_path(receipt["name"]).unlink(missing_ok=True)


def _read_receipt(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if {"name", "entry", "files"} <= found.keys() else None

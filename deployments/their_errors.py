"""What is wrong with a workflow's own code, told as its builder needs it: file, line, message."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deployments.running import ROOT
from tasks.card import CardError

THEIRS = (ROOT / "flows", ROOT / "prompts")
"""Where a workflow's own code stands."""


def text_of(error: Exception) -> str:
    """The same on one line, for any error: where it was made if that is in the builder's own files; what it says."""
    if isinstance(error, CardError):  # it says which card's which field
        return " ".join(str(error).split())
    return (told(error) or f"{type(error).__name__}: {error}").partition("\n")[0]


def told(error: BaseException) -> str | None:
    """Where in the builder's own files an error was made, and what it is; None when it was made elsewhere."""
    if isinstance(error, SyntaxError) and error.filename and _is_theirs(error.filename):
        return _at(error.filename, error.lineno or 0, "", f"{type(error).__name__}: {error.msg}", error.text or "")
    every = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in every if _is_theirs(frame.filename)]
    if not frames:
        return None
    last = frames[-1]
    where = "" if last.name == "<module>" else f", in {last.name}"
    if every[-1] is not last and ROOT in Path(every[-1].filename).parents:  # they gave a verb what it cannot take
        where += f" (from {Path(every[-1].filename).relative_to(ROOT)}, line {every[-1].lineno})"
    return _at(last.filename, last.lineno or 0, where, f"{type(error).__name__}: {error}", last.line or "")


def _is_theirs(file: str) -> bool:
    # The prompts' loader is ours: `prompts/*.py`; a prompt's own files are in its folder.
    path = Path(file)
    return THEIRS[0] in path.parents or THEIRS[1] in path.parent.parents


def _at(file: str, line: int, where: str, what: str, code: str) -> str:
    shown = f"\n    {code.strip()}" if code.strip() else ""
    return f"{Path(file).relative_to(ROOT)}, line {line}{where}: {what}{shown}"


@dataclass
class Heard(logging.Handler):
    """The builder's errors that set records aside, each place once, with the number of records."""

    found: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what was logged with an exception."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and (text := told(error)):
            self.found[text] = self.found.get(text, 0) + 1

    __hash__ = logging.Handler.__hash__


@contextmanager
def heard(logger: str) -> Iterator[Heard]:
    """Listen to a logger, which prints nothing meanwhile."""
    log, ear = logging.getLogger(logger), Heard()
    before = log.propagate
    log.addHandler(ear)
    log.propagate = False
    try:
        yield ear
    finally:
        log.removeHandler(ear)
        log.propagate = before

"""What documents become: rows in the tables of the ledger's own database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from blocks.extraction.values import Habits, read
from prompts.document_intake.schemas import LINES, Paper, find, line_of, mark_of, marks, schemas, title_of
from prompts.document_intake.schemas.kinds import Currency, Iban, Party, Printed, VatId, Words
from tasks.actions.base import Action, Blank, Impact, Text
from tasks.plain import plain

CELL = " | "


class AddRow(Action):
    """Add a row to the table of a kind of document. What is doubtful about it, a person looks at first."""

    kind = "ledger.add_row"
    noun = "row"
    impact = Impact.LOW

    paper: str = Field(json_schema_extra=lambda schema: schema.update(enum=list(schemas())))
    """The kind of document, by its schema's name."""
    fields: dict[str, Text]
    """By field; empty for what does not stand on the document."""
    lines: tuple[dict[str, Text], ...] = ()
    file: str
    sha256: str
    doubtful: dict[str, str] = Field(default_factory=dict)
    """By field why a person should look at it; under an empty name, what is wrong with the whole."""
    twin: str = ""
    """Which other row or document is of the same paper, as far as the one who decides was told."""
    evidence: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By field, what shows where its value is from: `confidence`, `printed`, `page`, `boxes`."""

    @field_validator("paper")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in schemas():
            raise ValueError(f"there is no schema {name!r}: there are {', '.join(schemas())}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> AddRow:
        self.row()
        return self

    def row(self) -> Paper:
        """The row, with every value of its type. Raises ValidationError, a field that does not fit by its name."""
        said: dict[str, Any] = {name: text or None for name, text in self.fields.items()}
        if self.lines:
            said[LINES] = [{name: text or None for name, text in line.items()} for line in self.lines]
        return find(self.paper).model_validate(said)

    @property
    def title(self) -> str:
        kind = find(self.paper)
        known = [self.fields[name] for name in kind.key if self.fields.get(name)]
        return f"{title_of(self.paper)} {', '.join(known) or self.file}"

    @property
    def doubts(self) -> tuple[str, ...]:
        return tuple(f"{title_of(name)}: {why}" if name else why for name, why in self.doubtful.items())

    def preview(self) -> dict[str, str]:
        shown = {title_of(name): text for name, text in self.fields.items() if text}
        return {"File": self.file} | shown | ({"Lines": str(len(self.lines))} if self.lines else {})

    def targets(self) -> tuple[str, ...]:
        return ()

    def texts(self) -> tuple[str, ...]:
        """Without the values: each was looked for on the document, and is asked about where it is not there."""
        return self.paper, self.file, self.sha256, self.twin

    def blanks(self) -> tuple[Blank, ...]:
        """A box for every field, those that are doubtful first."""
        kind = find(self.paper)
        boxes = [self._blank(kind, name) for name, _, _ in marks(kind)]
        boxes.sort(key=lambda blank: blank.name not in self.doubtful)
        line = line_of(kind)
        if line is not None:
            columns = [name for name, _, _ in marks(line)]
            boxes.append(
                Blank(
                    LINES,
                    "Lines",
                    f"{self._check(LINES)}One a line: {CELL.join(title_of(name).lower() for name in columns)}.",
                    _written(self.lines, columns),
                    _lines_pattern(kind),
                )
            )
        return tuple(boxes)

    def _blank(self, kind: type[Paper], name: str) -> Blank:
        mark = mark_of(kind, name)
        where = str(self.evidence.get(name, {}).get("where", ""))
        said = f"{self._check(name)}{f'From {plain(where)}. ' if where else ''}"
        example = f"Written as {mark.example}; empty when there is none." if mark.example else ""
        return Blank(name, title_of(name), f"{said}{example}".strip(), self.fields.get(name, ""), mark.pattern)

    def _check(self, name: str) -> str:
        why = self.doubtful.get(name)
        return f"**Please check:** {plain(why)}. " if why else ""

    def filled(self, answers: Mapping[str, str]) -> dict[str, Any]:
        """What changes by what a person has written: those values are then a person's, and no document's.

        Raises:
            ValueError: something is not written as its box says, or its check digits are wrong. What stands on the
                paper is taken as it is, right or wrong, when nobody has touched it.
        """
        kind = find(self.paper)
        fields = {name: answers.get(name, self.fields.get(name, "")).strip() for name, _, _ in marks(kind)}
        by_hand = {name for name, text in fields.items() if text != self.fields.get(name, "")}
        for name in sorted(by_hand):
            if why := _wrong(mark_of(kind, name), fields[name]):
                raise ValueError(f"{title_of(name)}: {why}")
        changes: dict[str, Any] = {}
        line = line_of(kind)
        if line is not None and LINES in answers:
            columns = [name for name, _, _ in marks(line)]
            if answers[LINES].split() != _written(self.lines, columns).split():
                changes[LINES] = _read(answers[LINES], columns)
                by_hand.add(LINES)
        if by_hand - {LINES}:
            changes["fields"] = {name: text for name, text in fields.items() if text}
        if by_hand:
            mine = {name: {"by": "person"} for name in sorted(by_hand)}
            changes["evidence"] = {name: dict(one) | mine.pop(name, {}) for name, one in self.evidence.items()} | mine
        return changes


def _wrong(mark: Printed, text: str) -> str | None:
    """What is wrong with what a person has typed; None when nothing is."""
    if not text:
        return None
    example = f"; write it like {mark.example}" if mark.example else ""
    if not re.fullmatch(mark.pattern, text):
        return f"“{text}” is not taken{example}"
    if isinstance(mark, Iban | VatId | Currency):
        reading = read(mark, text, Habits())
        if reading is None:
            return f"there is no “{text}”{example}"
        return next(iter(reading.doubts), None)
    return None


def _written(lines: Sequence[Mapping[str, str]], columns: Sequence[str]) -> str:
    """The lines as a person edits them."""
    return "\n".join(CELL.join(_cell(line.get(name, "")) for name in columns) for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _read(text: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Raises ValueError where a line has other columns."""
    lines = []
    for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != len(columns):
            raise ValueError(f"line {number} has {len(cells)} parts between | and not {len(columns)}")
        lines.append({name: cell for name, cell in zip(columns, cells, strict=True) if cell})
    return lines


def _lines_pattern(kind: type[Paper]) -> str:
    """What the box for the lines takes: each line with its columns, each column as its kind is written."""
    line = line_of(kind)
    assert line is not None
    columns = []
    for _, _, mark in marks(line):
        written = mark.pattern.removeprefix("^").removesuffix("$")
        columns.append(r"[^|\n]*" if isinstance(mark, Words | Party) else rf"[ \t]*(?:{written})[ \t]*")
    one = r"\|".join(columns)
    return rf"^\s*(?:{one}(?:\n+|\s*$))*$"

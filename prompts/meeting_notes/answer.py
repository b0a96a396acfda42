"""What the model says about one meeting, by lines. What is done about it is decided in `flows/meeting_notes.py`."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.fields import Minuted

Outcome = Literal["actions", "decisions", "neither"]

BEFORE_A_DAY = re.compile(r"^(?:(?:by|on|before|until|till|for|due|bis|am|vor|zum|the|spätestens)\s+)+", re.IGNORECASE)


class Point(BaseModel):
    """One point of the summary, and the lines in which it was said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=3, max_length=400, description="One sentence.")
    lines: tuple[int, ...] = Field(min_length=1, max_length=8, description="The numbers of the lines that say so.")


class Decision(BaseModel):
    """Something that was decided. Two are the same when they were decided in the same line: words are free."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=3, max_length=400, description="What was decided, in one sentence.")
    line: int = Field(ge=1, description="The line in which it is decided.")
    also: tuple[int, ...] = Field(default=(), max_length=8, description="Further lines that it rests on.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decision) and self.line == other.line

    def __hash__(self) -> int:
        return hash(self.line)


class ActionItem(BaseModel):
    """Something that somebody took on. Two are the same when line, owner and day are, whatever their words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=3, max_length=400, description="What is to be done, in one sentence.")
    owner: str = Field(min_length=1, max_length=80, description="Who does it, as the transcript names them.")
    due: str = Field(default="", max_length=80, description="The words that say by when, copied; empty without any.")
    line: int = Field(ge=1, description="The line that says what is to be done.")
    also: tuple[int, ...] = Field(
        default=(), max_length=8, description="Further lines that it rests on: who says yes, by when."
    )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionItem) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)

    @property
    def _said(self) -> tuple[int, str, str]:
        return self.line, self.owner.casefold(), BEFORE_A_DAY.sub("", self.due.casefold()).rstrip(".")


class Unsure(BaseModel):
    """What may be a decision or an action item, and is left to a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=3, max_length=400, description="What was said, in one sentence.")
    line: int = Field(ge=1, description="The line in which it was said.")
    why: str = Field(min_length=3, max_length=200, description="Why it is not plain.")


class MeetingNotes(BaseModel):
    """What a meeting came to. Of a long one, what this section of it did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Annotated[Outcome, Minuted(what="outcome")] = Field(
        description="actions when there is an action item, else decisions when there is a decision, else neither."
    )
    summary: Annotated[str, Minuted(what="summary")] = Field(
        min_length=3, max_length=300, description="One or two sentences: what the meeting was about and came to."
    )
    points: tuple[Point, ...] = Field(default=(), max_length=12, description="The summary, point by point.")
    decisions: Annotated[tuple[Decision, ...], Minuted(what="decisions")] = Field(
        max_length=40, description="What was decided, in the order of the lines."
    )
    actions: Annotated[tuple[ActionItem, ...], Minuted(what="actions")] = Field(
        max_length=40, description="What somebody took on, in the order of the lines."
    )
    unsure: Annotated[tuple[Unsure, ...], Minuted(what="unsure")] = Field(
        default=(), max_length=40, description="What may be a decision or an action item and is not plain."
    )
    withdrawn: tuple[int, ...] = Field(
        default=(), max_length=40, description="The lines of earlier decisions and action items that were taken back."
    )

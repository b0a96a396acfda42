"""What every action has: what it holds, what it touches, how much it matters."""

from abc import ABC
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, StringConstraints

Address = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+$")]
"""One bare e-mail address."""

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
"""Text that people can read: no control characters but tabs and line ends."""


class Impact(StrEnum):
    """What a mistake would cost."""

    LOW = "low"
    """Seen only inside the company, and easily undone."""
    HIGH = "high"
    """Leaves the company, moves money or binds it: a person signs off each one, at every stage."""


class Money(NamedTuple):
    """An amount that an action moves."""

    amount: int
    """In the currency's minor unit: cents."""
    currency: str
    """The ISO code, in lower case."""


class Blank(NamedTuple):
    """A box of the approval form: something that the approver may rewrite."""

    name: str
    title: str
    description: str
    """Markdown."""
    text: str
    """What stands in it at first."""
    pattern: str = ""
    """A regular expression that what is written must match; none without one."""
    required: bool = False


class Action(BaseModel, ABC):
    """One thing to be done in one vendor's system, with everything that is needed to do it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    impact: ClassVar[Impact]
    noun: ClassVar[str]
    """One word for it, where there is no room for the title."""
    editable: ClassVar[str | None] = None
    """The field that the approver may rewrite. Recipients and amounts never are."""

    @property
    def title(self) -> str:
        """What is done, to whom, on one line."""
        raise NotImplementedError

    @property
    def money(self) -> Money | None:
        """What it moves; None for what moves no money. The card says how much may be moved at a time."""
        return None

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why a person has to look at this one, whatever the card says; empty for most."""
        return ()

    def blanks(self) -> tuple[Blank, ...]:
        """What the approver may rewrite, in the form's order; nothing for most."""
        if self.editable is None:
            return ()
        said = "Edit it here: what stands here is what is sent."
        return (Blank("body", "Text to send", said, str(getattr(self, self.editable)), required=True),)

    def filled(self, answers: Mapping[str, str]) -> dict[str, Any]:
        """What changes in the payload by what the approver has written, by the blank's name.

        Raises:
            ValueError: something does not fit.
        """
        return {self.editable: answers["body"]} if self.editable and "body" in answers else {}

    def preview(self) -> dict[str, str]:
        """The facts that an approver must see, by label, without the editable text."""
        raise NotImplementedError

    def targets(self) -> tuple[str, ...]:
        """Whom and what it goes to: addresses and ids. The gate refuses any that the record does not come from."""
        raise NotImplementedError

    def texts(self) -> tuple[str, ...]:
        """Every text that somebody will read. The gate refuses what it points to when the record does not."""
        raise NotImplementedError

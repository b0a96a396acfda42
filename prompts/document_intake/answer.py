"""What the model reads off one document. How far it is believed, `blocks/extraction/evidence.py` decides."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.document_intake.schemas import OTHER, schemas, told
from prompts.fields import Probability, ReadOff, Recognise

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[(*schemas(), OTHER)]


class Printed(BaseModel):
    """One value, to the letter as it stands on the paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, max_length=60, description="The field's name.")
    value: str = Field(min_length=1, max_length=300, description="As printed, in its own notation; nothing converted.")
    page: int = Field(default=1, ge=1, le=10_000, description="The page on which it stands, from 1.")


class PaperLine(BaseModel):
    """One line of the paper's table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: tuple[Printed, ...] = Field(max_length=12)


class PaperAnswer(BaseModel):
    """What one document is, and what stands on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[Kind, Recognise(text="text")] = Field(description="What kind of document it is.")
    values: Annotated[tuple[Printed, ...], ReadOff(text="text", kind="kind", part="values", own="company")] = Field(
        max_length=40, description=f"The fields that stand on it, each once. {told()}"
    )
    lines: Annotated[tuple[PaperLine, ...], ReadOff(text="text", kind="kind", part="lines")] = Field(
        default=(),
        max_length=500,
        description="The lines of its table, from top to bottom; none where it has no table.",
    )
    confidence: Annotated[float, Probability(of="kind")] = Field(
        ge=0, le=1, description="The probability that the kind is right."
    )

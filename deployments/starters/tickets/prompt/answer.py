"""What the model says about one ticket. What is done about it is decided in `flows/starter_tickets.py`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.fields import Extract, Label, Probability

Category = Literal["problem", "question", "billing", "wish"]
Urgency = Literal["low", "normal", "high"]


class TicketTag(BaseModel):
    """The category and urgency of one ticket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Annotated[Category, Label()] = Field(description="What the ticket is about.")
    urgency: Annotated[Urgency, Label()] = Field(description="How soon a person must look at it.")
    summary: Annotated[str, Extract(max_chars=200)] = Field(
        min_length=3, max_length=200, description="One line: who needs what, by when."
    )
    confidence: Annotated[float, Probability(of="category")] = Field(
        ge=0, le=1, description="The probability that the category is right."
    )

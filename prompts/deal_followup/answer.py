"""What the model says about one deal that has come to a halt. What we do about it, `flows/deal_followup.py` decides."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.fields import Extract, Label, Probability, Template

Situation = Literal["no_answer", "open_question", "our_turn", "not_now"]


class DealFollowup(BaseModel):
    """Where a deal stands, and the e-mail that would move it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    situation: Annotated[Situation, Label()] = Field(description="Why the deal does not move.")
    summary: Annotated[str, Extract(max_chars=200)] = Field(
        min_length=3, max_length=200, description="One line: where the deal stands and what it waits for."
    )
    body: Annotated[str, Template(by="situation")] = Field(
        max_length=2_000, description="The e-mail to the contact; empty for our_turn and not_now."
    )
    confidence: Annotated[float, Probability(of="situation")] = Field(
        ge=0, le=1, description="The probability that the situation is right."
    )

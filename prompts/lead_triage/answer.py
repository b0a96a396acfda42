"""What the model says about one inbound e-mail. What is done about it is decided in `flows/lead_triage.py`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.fields import Extract, Label, Probability, Template

Intent = Literal["demo_request", "support", "spam", "partnership", "other"]
Urgency = Literal["low", "normal", "high"]


class LeadTriage(BaseModel):
    """The triage of one e-mail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intent: Annotated[Intent, Label()] = Field(description="What the sender wants from us.")
    urgency: Annotated[Urgency, Label()] = Field(description="How soon a person here must look at it.")
    summary: Annotated[str, Extract(max_chars=200)] = Field(
        min_length=3, max_length=200, description="One line: who wants what, by when."
    )
    reply: Annotated[str, Template(by="intent")] = Field(
        max_length=4000, description="The draft of our reply, plain text. Empty for spam."
    )
    confidence: Annotated[float, Probability(of="intent")] = Field(
        ge=0, le=1, description="The probability that the intent is right."
    )

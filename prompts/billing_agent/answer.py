"""What the model says about one billing e-mail. Which tools the agent gets for it, `flows/billing_agent.py` decides."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.fields import Extract, Label, Probability

Topic = Literal["refund", "invoice", "payment", "plan", "other"]
Urgency = Literal["low", "normal", "high"]


class BillingRequest(BaseModel):
    """What somebody wants about money."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[Topic, Label()] = Field(description="What the sender wants.")
    urgency: Annotated[Urgency, Label()] = Field(description="How soon a person here must look at it.")
    summary: Annotated[str, Extract(max_chars=200)] = Field(
        min_length=3, max_length=200, description="One line: who wants what."
    )
    confidence: Annotated[float, Probability(of="topic")] = Field(
        ge=0, le=1, description="The probability that the topic is right."
    )

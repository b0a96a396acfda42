"""What the model says about one support question. What is done about it is decided in `flows/support_answer.py`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.fields import Extract, Label, Probability, Quote

Topic = Literal["how_to", "fault", "access", "billing", "data", "request"]
Urgency = Literal["low", "normal", "high"]


class Sentence(BaseModel):
    """One sentence of the answer, and where it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=600, description="One sentence, without its citation.")
    sources: tuple[int, ...] = Field(max_length=5, description="The numbers of the passages that say so.")


class SupportAnswer(BaseModel):
    """The answer to one question, from the company's own documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[Topic, Label()] = Field(description="What the question is about.")
    urgency: Annotated[Urgency, Label()] = Field(description="How soon a person here must look at it.")
    summary: Annotated[str, Extract(max_chars=200)] = Field(
        min_length=3, max_length=200, description="One line: who asks what."
    )
    answer: Annotated[tuple[Sentence, ...], Quote(passages="passages")] = Field(
        max_length=12, description="The answer, sentence by sentence. Empty when the passages do not answer."
    )
    missing: str = Field(
        default="", max_length=300, description="What is asked that the passages do not answer; empty when nothing is."
    )
    confidence: Annotated[float, Probability(of="topic")] = Field(
        ge=0, le=1, description="The probability that the topic is right."
    )

"""What the model says about one e-mail. What is done about it is decided in `flows/starter_mail.py`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prompts.fields import Extract, Label, Probability, Template

Category = Literal["sales", "help", "other"]


class SortedMail(BaseModel):
    """The category of one e-mail, and the draft of the reply to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Annotated[Category, Label()] = Field(description="What the sender wants from us.")
    summary: Annotated[str, Extract(max_chars=200)] = Field(
        min_length=3, max_length=200, description="One line: who wants what, by when."
    )
    reply: Annotated[str, Template(by="category")] = Field(
        max_length=4000, description="The draft of our reply, plain text. Empty for other."
    )
    confidence: Annotated[float, Probability(of="category")] = Field(
        ge=0, le=1, description="The probability that the category is right."
    )

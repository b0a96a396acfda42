"""One interface for whatever answers a prompt: Claude, a server that speaks its protocol, or the embedded model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from prompts import Prompt


@dataclass(frozen=True)
class Request:
    """One question to a model.

    `corrections` holds what was wrong with earlier answers to the same question, oldest first, as pairs of the answer
    and the complaint: the model sees both.
    """

    prompt: Prompt
    variables: Mapping[str, Any]
    corrections: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reply:
    """What a model answered. Tokens count what is paid for; `input_tokens` includes cached ones."""

    text: str
    model: str
    stop_reason: str = "end_turn"
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    cost: Decimal = Decimal(0)  # US dollars
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Model(Protocol):
    """Anything that answers a prompt with JSON by the prompt's schema."""

    @property
    def model_id(self) -> str:
        """The model's name and version."""

    def identity(self, prompt: Prompt) -> str:
        """Whatever of the model decides its answers to this prompt: its name, and what it has learnt from."""

    def threshold(self, prompt: Prompt) -> float:
        """The probability, 0 to 1, under which the model leaves the answer to a person; 0 when it has none."""

    def worst_cost(self, request: Request) -> Decimal:
        """The most that this request can cost in US dollars, known before it is sent."""

    def input_limit(self) -> int:
        """The most characters of rendered prompt that the model may be sent."""

    def ask(self, request: Request) -> Reply:
        """Ask once.

        Raises:
            VendorError: the model could not be reached or refused the call.
        """


def version_of(prompt: Prompt, model: Model) -> str:
    """Twelve hex digits for a prompt as this model answers it: a new one earns its autonomy afresh."""
    return prompt.version(model.identity(prompt))

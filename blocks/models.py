"""One interface for whatever answers a prompt: Claude, a server that speaks its protocol, or the embedded model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from prompts import Prompt


@dataclass(frozen=True)
class Picture:
    """A picture that goes with a question: JPEG, and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Request:
    """One question to a model.

    `corrections` holds what was wrong with earlier answers to the same question, oldest first, as pairs of the answer
    and the complaint: the model sees both.
    """

    prompt: Prompt
    variables: Mapping[str, Any]
    corrections: tuple[tuple[str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()
    """What it is shown, before the text. A model that cannot see leaves them out."""


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
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Model(Protocol):
    """Anything that answers a prompt with JSON by the prompt's schema."""

    @property
    def model_id(self) -> str:
        """The model's name and version."""

    @property
    def sees(self) -> bool:
        """Whether it looks at a request's pictures."""

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


@dataclass(frozen=True)
class ToolSpec:
    """A tool as a model is told of it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]


@dataclass(frozen=True)
class Conversation:
    """What an agent's model is asked to go on with.

    `messages` are in the form of the Messages protocol: an agent's turns go back as they came, whatever is in them.
    """

    system: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[ToolSpec]
    max_tokens: int


@dataclass(frozen=True)
class Turn:
    """What an agent's model said next: content blocks, as they are sent back to it."""

    content: Sequence[Mapping[str, Any]]
    model: str
    stop_reason: str = "end_turn"
    input_tokens: int = 0
    """All that went in, cached ones included."""
    output_tokens: int = 0
    seconds: float = 0.0
    cost: Decimal = Decimal(0)  # US dollars
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Of the input, what the vendor's cache held, and what was put into it."""


class Converser(Protocol):
    """Whatever takes an agent's steps: Claude, a server that speaks its protocol, or a workflow's own rules."""

    @property
    def model_id(self) -> str:
        """The model's name and version."""

    def size(self, conversation: Conversation) -> int:
        """Tokens that this conversation has at most; cheap, and high by a few times."""

    def count(self, conversation: Conversation) -> int:
        """Tokens that this conversation has, as the vendor counts them.

        Raises:
            VendorError: the vendor could not be asked.
        """

    def price(self, input_tokens: int, output_tokens: int) -> Decimal:
        """The most US dollars that so many tokens can cost."""

    def converse(self, conversation: Conversation) -> Turn:
        """Take one step.

        Raises:
            VendorError: the model could not be reached or refused the call.
        """


def version_of(prompt: Prompt, model: Model) -> str:
    """Twelve hex digits for a prompt as this model answers it: a new one earns its autonomy afresh."""
    return prompt.version(model.identity(prompt))

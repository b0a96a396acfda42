"""Claude, or any server that speaks Anthropic's Messages protocol (llama.cpp, Ollama, vLLM)."""

import base64
import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from urllib.parse import quote

from prefect.blocks.core import Block
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, model_validator

from blocks import anthropic_batches as batches
from blocks import anthropic_turns as turns
from blocks import guard
from blocks.anthropic_batches import BATCH_PRICE
from blocks.connecting import Connecting
from blocks.models import Conversation, Picture, Reply, Request, Turn
from blocks.prices import Rates, Tokens, list_cost
from blocks.shape import Id, Part, Shape
from blocks.vendor import Failures, Once, VendorError, without_frames
from prompts import Prompt

if TYPE_CHECKING:
    from anthropic import Anthropic, APIStatusError
    from anthropic.types import ImageBlockParam, MessageParam, TextBlockParam
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

# What the vendor adds to a prompt for an answer by schema, besides that schema.
OVERHEAD_TOKENS = 1_000

# About 4,096 tokens, the highest minimum of any Claude model: a shorter text is not cached at all.
CACHED_SYSTEM_CHARACTERS = 16_384

NO_ANSWER = "(no answer)"  # the API refuses an empty turn

WAYS_OUT = {
    401: "put a valid API key into the block",
    402: "add credit or raise the spend limit at platform.claude.com, Billing",
    403: "give the API key's workspace access to this model",
    404: "check the model's name and the address in the block",
}


Count = Annotated[int, Field(ge=0)]


class _Usage(Part):
    """What was paid for. A server of one's own may know nothing of caches."""

    known = frozenset({"cache_creation", "server_tool_use", "service_tier", "inference_geo"})

    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None


class _Content(Part):
    known = frozenset({"text", "citations", "thinking", "signature", "id", "input", "name"})

    type: Id


class _Text(Part):
    known = frozenset({"type", "citations"})

    text: str


class _Message(Part):
    known = frozenset({"id", "type", "role", "stop_sequence", "container", "context_management", "stop_details"})

    model: Id
    content: list[dict[str, Any]]
    stop_reason: str | None
    usage: _Usage


class _Count(Part):
    input_tokens: Count


COUNT_SHAPE = Shape("claude", "token-count", _Count)
MESSAGE_SHAPE = Shape("claude", "message", _Message)
CONTENT_SHAPE = Shape("claude", "content", _Content)
TEXT_SHAPE = Shape("claude", "content", _Text)

VENDORS_SERVER = "api.anthropic.com"
INPUT_CHARACTERS = 90_000
"""The defaults of the block, which a model's identity leaves out."""


class Claude(Block):
    """A Claude model. Implements `blocks.models.Model` and `blocks.models.Converser`."""

    _block_type_name: ClassVar[str | None] = "Claude"
    _block_type_slug: ClassVar[str | None] = "claude"
    _description: ClassVar[str | None] = (
        "The model that reads and drafts. Any server that speaks the Messages protocol will do: give its "
        "address, and its prices, which may be 0."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="a key of a workspace that may use the model",
        found="platform.claude.com, API keys",
        environment={"api_key": ("ANTHROPIC_API_KEY",), "address": ("ANTHROPIC_BASE_URL",)},
        asked=("model",),
    )

    api_key: SecretStr = Field(title="API key", description="From platform.claude.com, API keys.")
    model: str = Field(
        default="claude-haiku-5-5",
        title="Model",
        description="A change of model makes every prompt a new version, which earns its autonomy afresh.",
    )
    address: str = Field(
        default=f"https://{VENDORS_SERVER}",
        title="Address",
        description="Without /v1. Change it to use a sandbox, a proxy or a server of your own.",
    )
    timeout_seconds: float = Field(
        default=120,
        gt=0,
        title="Timeout (seconds)",
        description="How long to wait for an answer.",
    )
    input_characters: int = Field(
        default=INPUT_CHARACTERS,
        gt=0,
        title="Longest input (characters)",
        description="Longer input is shortened. 90,000 stays under the 100,000 tokens above which Haiku "
        "costs five times as much; a server of your own may have a smaller context.",
    )
    usd_per_million_input: float | None = Field(
        default=None,
        ge=0,
        title="Price of input (USD per million tokens)",
        description="Only for a model that the price list does not have.",
    )
    usd_per_million_output: float | None = Field(
        default=None,
        ge=0,
        title="Price of output (USD per million tokens)",
        description="Only for a model that the price list does not have.",
    )

    _client: Once["Anthropic"] = PrivateAttr(default_factory=Once)
    _priced: Once[Decimal] = PrivateAttr(default_factory=Once)

    @model_validator(mode="after")
    def _both_prices_or_none(self) -> Self:
        if (self.usd_per_million_input is None) != (self.usd_per_million_output is None):
            raise ValueError("give both prices, of input and of output, or none")
        return self

    @property
    def model_id(self) -> str:
        """The model's name, as the vendor calls it."""
        return self.model

    @property
    def sees(self) -> bool:
        """It does, whichever model it is."""
        return True

    def identity(self, prompt: Prompt) -> str:  # noqa: ARG002
        """The model's name, and what of the block can change its answers: another server, and another longest input."""
        server = re.sub(r"^\w+://", "", self.address).partition("/")[0].rpartition("@")[2].lower()
        server = server.removesuffix(":80" if self.address.startswith("http:") else ":443")
        at = f"@{server}" if server != VENDORS_SERVER else ""
        longest = f"/{self.input_characters}" if self.input_characters != INPUT_CHARACTERS else ""
        return f"{self.model_id}{at}{longest}"

    def threshold(self, prompt: Prompt) -> float:  # noqa: ARG002
        """None of its own: the card's counts."""
        return 0.0

    def get_client(self) -> "Anthropic":
        """The SDK's client, without retries or redirects. Thread-safe."""
        return self._client.get(self._build_client)

    @without_frames
    def check(self) -> str:
        """List one model, which is free: `claude-haiku-5-5 at https://api.anthropic.com`."""
        from anthropic import AnthropicError

        try:
            self.get_client().models.list(limit=1)
        except AnthropicError as error:
            raise self._told("models.list", error, self._failures()) from None
        return f"{self.model} at {self.address}"

    def input_limit(self) -> int:
        """The most characters of rendered prompt to send, in all; see the field `input_characters`."""
        return self.input_characters

    def worst_cost(self, request: Request) -> Decimal:
        """The most that this request can cost in US dollars: a token per byte, and the longest answer.

        No tokenizer makes more tokens than bytes, whatever a stranger writes into an e-mail. English text has
        a quarter of that, so for ordinary mail this is high by a few times; it is never low.

        Raises:
            VendorError: permanent, when the model's price is not known.
        """
        system, messages = _turns(request)
        texts = [system, *(_text_of(message) for message in messages)]
        size = sum(len(text.encode()) for text in texts) + _schema_bytes(request.prompt.answer) + OVERHEAD_TOKENS
        size += sum(map(_picture_tokens, request.pictures))
        cached = size if len(system) >= CACHED_SYSTEM_CHARACTERS else 0  # to write the cache costs extra
        return self._cost(Tokens(input=size, output=request.prompt.settings.max_tokens, cache_write=cached))

    @without_frames
    def ask(self, request: Request) -> Reply:
        """Ask once. A refusal or a cut answer is a reply too, told by its `stop_reason`: it has been paid.

        Raises:
            VendorError: `unknown` when the reply was lost: it may be asked again, and may have been paid.
            SchemaDrift: the reply is not what it was; it has been paid for.
        """
        self._priced.get(lambda: self._cost(Tokens(0, 0)))  # before the spend: a paid answer must not fail on this
        params = self._params(request)
        started = time.perf_counter()
        # Raw: the SDK hands on whatever came with a 200, None for a field that was renamed, a page as text.
        create = self.get_client().messages.with_raw_response.create
        message, request_id = self._send("messages.create", lambda: create(**params), self._failures(), write=True)
        return self._reply(message, time.perf_counter() - started, request_id)

    def size(self, conversation: Conversation) -> int:
        """Tokens that a conversation has at most: a token per byte, and what the vendor adds for its tools."""
        return turns.size(conversation) + OVERHEAD_TOKENS

    def price(self, input_tokens: int, output_tokens: int) -> Decimal:
        """The most US dollars that so many tokens can cost: to write them into the cache costs extra.

        Raises:
            VendorError: permanent, when the model's price is not known.
        """
        return self._cost(Tokens(input=input_tokens, output=output_tokens, cache_write=input_tokens))

    @without_frames
    def count(self, conversation: Conversation) -> int:
        """Tokens that a conversation has, as the vendor counts them, which is free; `size` where a server cannot say.

        Raises:
            VendorError: the vendor could not be asked.
        """
        count = self.get_client().messages.with_raw_response.count_tokens
        failures = self._failures()
        try:
            raw, _ = self._send(
                "messages.count_tokens", lambda: count(model=self.model, **turns.params(conversation)), failures
            )
        except VendorError as error:
            if error.status in (404, 405, 501):  # a server of one's own, which has no such route
                return self.size(conversation)
            raise
        return COUNT_SHAPE.read(raw, "messages.count_tokens").input_tokens

    @without_frames
    def converse(self, conversation: Conversation) -> Turn:
        """Take an agent's next step. A refusal or a cut turn is one too, told by its `stop_reason`: it has been paid.

        Raises:
            VendorError: `unknown` when the reply was lost: it may be asked again, and may have been paid.
            SchemaDrift: the reply is not what it was; it has been paid for.
        """
        self._priced.get(lambda: self._cost(Tokens(0, 0)))
        params = {"model": self.model, "max_tokens": conversation.max_tokens, **turns.params(conversation)}
        started = time.perf_counter()
        create = self.get_client().messages.with_raw_response.create
        raw, _ = self._send("messages.create", lambda: create(**params), self._failures(), write=True)
        seconds = time.perf_counter() - started
        message = MESSAGE_SHAPE.read(raw, "messages.create", write=True)
        for part in message.content:
            CONTENT_SHAPE.read(part, "messages.create", write=True)
        turns.read_content(message.content, "messages.create")
        tokens = _tokens(message.usage)
        return Turn(
            content=message.content,
            model=message.model,
            stop_reason=message.stop_reason or "unknown",
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            seconds=seconds,
            cost=self._cost(tokens),
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
        )

    @without_frames
    def submit_batch(self, requests: Mapping[str, Request]) -> str:
        """Hand in requests that are answered within a day, at `BATCH_PRICE` of their price; returns the batch's id.

        Args:
            requests: by custom id (1 to 64 letters, digits, - and _), which `batch_results` gives back.

        Raises:
            VendorError: permanent when a limit of the vendor's is passed, or the server has no batches; `unknown`
                when the reply was lost: there may be a batch that is paid for.
        """
        self._priced.get(lambda: self._cost(Tokens(0, 0)))
        failures = self._failures(batches.NOT_THERE)
        batches.refuse_ids(failures, requests.keys())
        entries: Any = [{"custom_id": key, "params": self._params(request)} for key, request in requests.items()]
        batches.refuse_size(failures, entries)
        create = self.get_client().messages.batches.with_raw_response.create
        raw, _ = self._send(batches.CREATE, lambda: create(requests=entries), failures, write=True)
        return batches.BATCH_SHAPE.read(raw, batches.CREATE, write=True).id

    @without_frames
    def batch_results(self, batch_id: str) -> dict[str, Reply | VendorError] | None:
        """What became of each request of a batch, by custom id; None while it is being worked on.

        To look is free, however often. Nobody says how long an answer took: `seconds` is 0.

        Raises:
            VendorError: the results could not be read now, or, permanent, the batch or its results are gone.
            SchemaDrift: an answer is not what it was; it can be read again for 29 days.
        """
        failures = self._failures(batches.GONE)
        retrieve = self.get_client().messages.batches.with_raw_response.retrieve
        raw, _ = self._send(batches.RETRIEVE, lambda: retrieve(batch_id), failures)
        batch = batches.BATCH_SHAPE.read(raw, batches.RETRIEVE)
        if batch.processing_status != "ended":
            return None
        if batch.archived_at is not None:
            reason = f"its results were kept for {batches.RESULTS_DAYS} days and are gone; submit it again"
            raise failures.error(batches.RESULTS, reason, permanent=True)
        return dict(batches.outcome(failures, line, self._in_batch) for line in self._lines(batch_id, failures))

    @without_frames
    def cancel_batch(self, batch_id: str) -> None:
        """Have no more of a batch answered. What was is paid for; `batch_results` gives it, once the batch has ended.

        Raises:
            VendorError: permanent when the batch is gone, or has ended already.
        """
        cancel = self.get_client().messages.batches.with_raw_response.cancel
        self._send(batches.CANCEL, lambda: cancel(batch_id), self._failures(batches.GONE), write=True)

    def _params(self, request: Request) -> "MessageCreateParamsNonStreaming":
        """What is asked, alone or in a batch."""
        system, messages = _turns(request)
        return {
            "model": self.model,
            "max_tokens": request.prompt.settings.max_tokens,
            "system": [_system_block(system)],
            "messages": messages,
            "output_config": {"format": {"type": "json_schema", "schema": _schema(request.prompt.answer)}},
        }

    def _send(
        self, operation: str, call: Callable[[], Any], failures: Failures, *, write: bool = False
    ) -> tuple[object, str | None]:
        """Send one request; returns the reply's JSON as it came, and the request's id."""
        from anthropic import AnthropicError

        with guard.request(failures.vendor):
            try:
                raw = call()
            except AnthropicError as error:
                raise self._told(operation, error, failures, write=write) from None
        body = raw.http_response.content
        try:
            return json.loads(body), raw.headers.get("request-id")
        except ValueError:
            raise failures.unreadable(operation, body, write=write) from None

    def _lines(self, batch_id: str, failures: Failures) -> Iterator[bytes]:
        """The results of a batch that has ended, a JSON text each, as they come: there may be 100,000."""
        import httpx2
        from anthropic import AnthropicError

        # Not the SDK's `results`: that sends the key to whatever address the batch names, past a proxy of one's own.
        path = f"/v1/messages/batches/{quote(batch_id, safe='')}/results"
        client: Any = self.get_client()
        with guard.request(failures.vendor):
            try:
                with closing(client.get(path, cast_to=httpx2.Response, stream=True)) as response:
                    yield from batches.lines(response.iter_bytes())
            except AnthropicError as error:
                raise self._told(batches.RESULTS, error, failures) from None
            except httpx2.HTTPError as error:
                raise failures.lost(batches.RESULTS, error) from None

    def _in_batch(self, message: object) -> Reply:
        return self._reply(message, 0.0, None, operation=batches.RESULTS, share=BATCH_PRICE, write=False)

    def _reply(
        self,
        raw: object,
        seconds: float,
        request_id: str | None,
        *,
        operation: str = "messages.create",
        share: Decimal = Decimal(1),
        write: bool = True,
    ) -> Reply:
        message = MESSAGE_SHAPE.read(raw, operation, write=write)
        tokens = _tokens(message.usage)
        types = [CONTENT_SHAPE.read(part, operation, write=write).type for part in message.content]
        said = [part for part, type in zip(message.content, types, strict=True) if type == "text"]
        return Reply(
            text="".join(TEXT_SHAPE.read(part, operation, write=write).text for part in said),
            model=message.model,
            stop_reason=message.stop_reason or "unknown",
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            seconds=seconds,
            cost=self._cost(tokens) * share,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
            metadata={"request_id": request_id},
        )

    def _cost(self, tokens: Tokens) -> Decimal:
        if self.usd_per_million_input is not None and self.usd_per_million_output is not None:
            rates = Rates(Decimal(str(self.usd_per_million_input)), Decimal(str(self.usd_per_million_output)))
            return rates.cost(tokens)
        try:
            return list_cost("anthropic", self.model, tokens)
        except LookupError:
            raise self._failures().error(
                "price",
                f"the price list has no model {self.model!r}: correct its name in the block, or give its "
                "prices there (usd_per_million_input and _output; 0 for a server of your own)",
                permanent=True,
            ) from None

    def _told(self, operation: str, error: Exception, failures: Failures, *, write: bool = False) -> VendorError:
        """An SDK's error as a `VendorError`."""
        from anthropic import APIConnectionError, APIStatusError

        if isinstance(error, APIStatusError):
            return self._refused(operation, error, failures)
        if isinstance(error, APIConnectionError):
            return failures.lost(operation, _cause(error), write=write)
        return failures.error(operation, f"{type(error).__name__}: {error}", permanent=True)

    def _refused(self, operation: str, error: "APIStatusError", failures: Failures) -> VendorError:
        status = error.status_code
        if error.error_code == "enforced_spend_limit_reached":
            # Sent as a 429, but no waiting helps: it is the account's own limit, so it is told as what it is.
            status = 402
        # A question that ends in a 5xx is not paid for; a batch that a gateway gave up on may well be there.
        write = operation == batches.CREATE
        return failures.refused(operation, status, error.response.content, error.response.headers, write=write)

    def _failures(self, ways_out: Mapping[int, str] | None = None) -> Failures:
        """Words this block's failures; `ways_out` are those of one operation, over the common ones."""
        return Failures("claude", (self.api_key,), {**WAYS_OUT, **(ways_out or {})})

    def _build_client(self) -> "Anthropic":
        from anthropic import Anthropic, DefaultHttpxClient

        return Anthropic(
            api_key=self.api_key.get_secret_value(),
            base_url=self.address,
            max_retries=0,
            timeout=self.timeout_seconds,
            http_client=DefaultHttpxClient(timeout=self.timeout_seconds, follow_redirects=False),
            # Its spans know neither record nor cost, and with a provider that anybody has set for the process it would
            # tell the vendor the trace's id: the spans of model calls are made in `tasks/tracing.py`.
            open_telemetry=False,
        )


def _turns(request: Request) -> tuple[str, list["MessageParam"]]:
    """The system text, and the turns: the question, then each wrong answer and what was wrong with it."""
    system, user = request.prompt.render(dict(request.variables))
    shown = [_picture_block(picture) for picture in request.pictures]
    messages: list[MessageParam] = [
        {"role": "user", "content": [*shown, {"type": "text", "text": user}] if shown else user}
    ]
    for answer, complaint in request.corrections:
        messages.append({"role": "assistant", "content": answer.strip() or NO_ANSWER})
        messages.append({"role": "user", "content": complaint})
    return system, messages


def _text_of(message: "MessageParam") -> str:
    """What a turn says, without its pictures."""
    content = message["content"]
    if isinstance(content, str):
        return content
    blocks: list[Any] = list(content)
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def _picture_block(picture: Picture) -> "ImageBlockParam":
    data = base64.b64encode(picture.jpeg).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": data}}


def _picture_tokens(picture: Picture) -> int:
    """The most tokens that a picture costs: one for each 750 pixels, and a few for it to be there; with a fifth on top.

    Source: https://platform.claude.com/docs/en/build-with-claude/vision
    """
    return picture.width * picture.height // 600 + 100


def _system_block(system: str) -> "TextBlockParam":
    """The system text, cached for the next records (for 5 minutes, at a tenth of the price) if it is long."""
    block: TextBlockParam = {"type": "text", "text": system}
    if len(system) >= CACHED_SYSTEM_CHARACTERS:
        block["cache_control"] = {"type": "ephemeral"}
    return block


@functools.cache
def _schema(answer: type[BaseModel]) -> dict[str, Any]:
    """The answer type's schema as the API takes it: bounds go into the descriptions, to be checked by us."""
    from anthropic import transform_schema

    return transform_schema(answer)


@functools.cache
def _schema_bytes(answer: type[BaseModel]) -> int:
    return len(json.dumps(_schema(answer)).encode())


def _tokens(usage: _Usage) -> Tokens:
    """What is paid for. The API counts cached tokens beside `input_tokens`; we count them in."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Tokens(usage.input_tokens + read + written, usage.output_tokens, cache_read=read, cache_write=written)


def _cause(error: Exception) -> Exception:
    """What the transport said: the SDK's own words are the same for every connection error."""
    return error.__cause__ if isinstance(error.__cause__, Exception) else error

"""Traces: where the spans of runs are sent, Langfuse or any collector that takes OTLP over HTTP.

Plain httpx around OpenTelemetry's own encoding. Its exporter takes a redirect for a success, sends along whatever
headers the environment holds for some other collector, and does not say why it failed.
"""

import base64
import gzip
import re
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit

import httpx
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from blocks.connecting import Connecting, Standalone
from blocks.connections import TRACES
from blocks.vendor import Failures, Once, without_frames

LANGFUSE_PATH = "/api/public/otel"
TRACES_PATH = "/v1/traces"
EXPORT = "export"
NO_SPANS = b""
"""An export request without a span, in protobuf. A collector that takes it takes the rest."""

RIGHT_ADDRESS = f"correct the address in the block {TRACES}: Langfuse's own, or one that ends in {TRACES_PATH}"
WAYS_OUT = {
    401: f"put valid keys, or valid headers, into the block {TRACES}",
    403: f"give the key in the block {TRACES} leave to write traces",
    404: RIGHT_ADDRESS,
    405: RIGHT_ADDRESS,
}
MOVED = f"it has moved: put its new address into the block {TRACES}"

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
ENVIRONMENT = r"^[a-z0-9_-]{1,40}$"  # what Langfuse takes


class Traces(Block):
    """A collector of traces."""

    _block_type_name: ClassVar[str | None] = "Traces"
    _block_type_slug: ClassVar[str | None] = "traces"
    _description: ClassVar[str | None] = (
        "Langfuse, or any collector that takes OpenTelemetry's OTLP over HTTP. Once it is saved as 'collector', every "
        "run is traced there: its tasks, model calls, tools and actions, with tokens and cost, without any text."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="a key that may write traces",
        found="Langfuse, the project's settings, API keys; or your collector's documentation",
        environment={
            "public_key": ("LANGFUSE_PUBLIC_KEY",),
            "secret_key": ("LANGFUSE_SECRET_KEY",),
            "address": ("LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
        },
        asked=("address",),
        standalone=Standalone(name=TRACES.split("/")[1], serves="the traces of every run are sent there"),
    )

    address: str = Field(
        default="https://cloud.langfuse.com",
        title="Address",
        description="Of Langfuse its own (https://us.cloud.langfuse.com for the USA, or your server's); of another "
        "collector the whole address, such as http://127.0.0.1:4318/v1/traces.",
    )
    public_key: SecretStr = Field(
        default=SecretStr(""),
        title="Langfuse: public key",
        description="Starts with pk-lf-; from the project's settings, API keys. Leave blank for another collector.",
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        title="Langfuse: secret key",
        description="Starts with sk-lf-; made together with the public key. Leave blank for another collector.",
    )
    headers: SecretStr = Field(
        default=SecretStr(""),
        title="Headers",
        description="What another collector wants to see, as OTEL_EXPORTER_OTLP_HEADERS has it: name=value,name=value.",
    )
    content: bool = Field(
        default=False,
        title="With content",
        description="Also sends what models are asked and answer. Names, addresses, links and numbers are masked by "
        "rules, which do not see everything: leave it off unless you may give such texts away.",
    )
    content_of: list[str] = Field(
        default_factory=list,
        title="With content: only of these workflows",
        description='A list: ["lead-triage"]. Empty: of all, where content is sent at all.',
    )
    sample: float = Field(
        default=1.0,
        ge=0,
        le=1,
        title="Share of runs",
        description="Which share of the runs is traced, from 0 to 1. A run is traced whole or not at all.",
    )
    environment: str = Field(
        default="production",
        pattern=ENVIRONMENT,
        title="Environment",
        description="What the collector files the traces under, in small letters: production, staging.",
    )
    timeout_seconds: float = Field(
        default=5,
        gt=0,
        le=60,
        title="Timeout (seconds)",
        description="How long to wait for the collector; and how long a run that is over waits, at most, until its "
        "last spans are sent.",
    )

    _client: Once[httpx.Client] = PrivateAttr(default_factory=Once)

    @field_validator("address")
    @classmethod
    def _an_address_without_a_key(cls, address: str) -> str:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the address begins with https:// (or http://) and names a host")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("the address holds no credential: put that into the keys or the headers")
        return address.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _readable_headers(cls, headers: SecretStr) -> SecretStr:
        _pairs(headers.get_secret_value())
        return headers

    @model_validator(mode="after")
    def _both_keys_or_none(self) -> Self:
        if bool(self.public_key.get_secret_value()) != bool(self.secret_key.get_secret_value()):
            raise ValueError("give both of Langfuse's keys, the public one and the secret one, or none")
        return self

    @property
    def is_langfuse(self) -> bool:
        """Whether it is Langfuse, which alone has such keys."""
        return bool(self.secret_key.get_secret_value())

    @property
    def endpoint(self) -> str:
        """Where exports go: what the address leaves out is added."""
        if self.address.endswith(TRACES_PATH):
            return self.address
        if self.is_langfuse:
            return f"{self.address.removesuffix(LANGFUSE_PATH)}{LANGFUSE_PATH}{TRACES_PATH}"
        return self.address if urlsplit(self.address).path else f"{self.address}{TRACES_PATH}"

    def link(self, trace_id: str) -> str | None:
        """Where a person sees a trace, as far as that is known."""
        if not self.is_langfuse:
            return None
        return f"{self.address.removesuffix(TRACES_PATH).removesuffix(LANGFUSE_PATH)}/trace/{trace_id}"

    def shows_content_of(self, workflow: str) -> bool:
        """Whether what this workflow's models are asked and answer is sent."""
        return self.content and (not self.content_of or workflow in self.content_of)

    def get_client(self) -> httpx.Client:
        """An httpx client with the credentials, which neither retries nor follows redirects. Thread-safe."""
        return self._client.get(self._build_client)

    def check(self) -> str:
        """Send an export without a span: `Langfuse at https://cloud.langfuse.com takes traces`."""
        self.send(NO_SPANS)
        return f"{'Langfuse' if self.is_langfuse else 'the collector'} at {self.address} takes traces"

    @without_frames
    def send(self, request: bytes) -> bytes:
        """Send an export request, as protobuf; returns what was answered.

        Raises:
            VendorError: it was not taken; after a lost reply it may be sent again, since spans have ids.
        """
        failures = self._failures()
        try:
            response = self.get_client().post(self.endpoint, content=gzip.compress(request, 1))
        except httpx.HTTPError as error:
            raise failures.lost(EXPORT, error) from None
        if response.is_redirect:
            raise failures.error(EXPORT, f"{response.status_code} {MOVED}", permanent=True, status=response.status_code)
        if not response.is_success:
            raise failures.refused(EXPORT, response.status_code, response.content, response.headers)
        return response.content

    def _failures(self) -> Failures:
        both = f"{self.public_key.get_secret_value()}:{self.secret_key.get_secret_value()}"
        basic = base64.b64encode(both.encode()).decode() if self.is_langfuse else ""
        values = (basic, *_pairs(self.headers.get_secret_value()).values())
        return Failures("traces", (self.secret_key, self.public_key, *map(SecretStr, values)), WAYS_OUT)

    def _build_client(self) -> httpx.Client:
        keys = (self.public_key.get_secret_value(), self.secret_key.get_secret_value())
        return httpx.Client(
            auth=keys if self.is_langfuse else None,
            headers={
                **_pairs(self.headers.get_secret_value()),
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "gzip",
            },
            timeout=self.timeout_seconds,
            follow_redirects=False,
        )


def _pairs(headers: str) -> dict[str, str]:
    """`name=value,name=value`, read; values may be percent-encoded, as OpenTelemetry's are."""
    found: dict[str, str] = {}
    for pair in filter(str.strip, headers.split(",")):
        name, equals, written = (part.strip() for part in pair.partition("="))
        value = unquote(written)
        if not equals or not HEADER.fullmatch(name) or not value.isascii() or not value.isprintable():
            # Without the pair itself: it is a secret.
            raise ValueError("headers are name=value, one after the other with commas between them")
        found[name] = value
    return found

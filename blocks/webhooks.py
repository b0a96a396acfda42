"""Webhook endpoints: what each vendor, or a system of one's own, signs its requests with, and where it sends them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal, Self

import httpx
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from blocks import webhook_events, webhook_signatures
from blocks.connecting import Connecting
from blocks.google_keys import GoogleKeys
from blocks.vendor import Once
from blocks.webhook_events import Said
from blocks.webhook_signatures import Algorithm, BadSignature, Encoding, Headers, OwnScheme

SLUG = "webhook-endpoint"
"""Not `webhook`: Prefect has a block of that name, which calls one."""

Scheme = Literal["stripe", "hubspot", "slack", "gmail", "own"]

LEAST_SECRET = 16
"""Characters of a secret. Every vendor's is longer; a word that somebody thought of can be found out."""


class WebhookEndpoint(Block):
    """One endpoint: `/hooks/` and the block's name."""

    _block_type_name: ClassVar[str | None] = "Webhook endpoint"
    _block_type_slug: ClassVar[str | None] = SLUG
    _description: ClassVar[str | None] = (
        "What a vendor signs its webhooks with. The block's name is the last part of the address that you give the "
        "vendor: a block called stripe is /hooks/stripe of the receiver (signoff receive, port 4280)."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="no permission: it only checks what the vendor sends",
        found="the vendor's page on webhooks, where you enter the address",
        asked=("public_url",),
    )

    scheme: Scheme = Field(
        title="Who signs",
        description="stripe, hubspot, slack, gmail (Pub/Sub push), or own: any system that can make an HMAC.",
    )
    secret: SecretStr = Field(
        default=SecretStr(""),
        title="Secret",
        description="Stripe: the endpoint's signing secret, whsec_... HubSpot: the app's client secret. Slack: the "
        "app's signing secret. Gmail: leave blank. Own: at least 16 characters, made by a machine.",
    )
    previous_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Previous secret",
        description="While a secret is being changed: the one before, which is taken as well. Empty it afterwards.",
    )
    public_url: str = Field(
        default="",
        title="Public address",
        description="The whole address as the vendor calls it, https://.../hooks/NAME. HubSpot signs it, so there it "
        "must be right to the letter; of the others it is only shown to you.",
    )
    audience: str = Field(
        default="",
        title="Gmail: audience",
        description="As the push subscription has it under Enable authentication; by default the public address.",
    )
    service_account: str = Field(
        default="",
        title="Gmail: service account",
        description="The e-mail address of the service account that the push subscription authenticates as.",
    )
    keys_address: str = Field(
        default="https://www.googleapis.com/oauth2/v1/certs",
        title="Gmail: address of Google's keys",
        description="Change it only to use a sandbox.",
    )
    signature_header: str = Field(
        default="X-Signature",
        title="Own: header of the signature",
        description="For example X-Hub-Signature-256 for GitHub.",
    )
    signature_prefix: str = Field(
        default="", title="Own: prefix of the signature", description="What stands before it, for example sha256=."
    )
    algorithm: Algorithm = Field(default="sha256", title="Own: hash", description="Of the HMAC: sha256 or sha512.")
    encoding: Encoding = Field(default="hex", title="Own: encoding", description="Of the signature: hex or base64.")
    timestamp_header: str = Field(
        default="X-Timestamp",
        title="Own: header of the time",
        description="Seconds since 1970; then time.body is signed. Blank if the sender has none: the body alone is "
        "signed, a recorded request is good for ever, and only its digest tells that it was here before.",
    )
    id_field: str = Field(
        default="",
        title="Own: where the event's id is",
        description="A path in the JSON body, for example data.id. Blank: a digest tells the same event again.",
    )
    kind_field: str = Field(
        default="",
        title="Own: where the kind of event is",
        description="A path in the JSON body, for example type. Blank: every event is called event.",
    )
    timeout_seconds: float = Field(
        default=5, gt=0, title="Timeout (seconds)", description="How long to wait for Google's keys."
    )

    _client: Once[httpx.Client] = PrivateAttr(default_factory=Once)
    _keys: Once[GoogleKeys] = PrivateAttr(default_factory=Once)

    @field_validator("public_url")
    @classmethod
    def _whole_address(cls, public_url: str) -> str:
        if public_url and not public_url.startswith(("https://", "http://")):
            raise ValueError("the public address begins with https:// and ends with /hooks/ and the block's name")
        return public_url

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.scheme == "gmail":
            if not self.service_account or not (self.audience or self.public_url):
                raise ValueError("an endpoint for Gmail needs the service account, and the audience or public address")
            return self
        if any(len(secret) < LEAST_SECRET for secret in self._secrets) or not self.secret.get_secret_value():
            raise ValueError(f"an endpoint needs a secret of at least {LEAST_SECRET} characters")
        if self.scheme == "hubspot" and not self.public_url:
            raise ValueError("an endpoint for HubSpot needs its public address, which HubSpot signs")
        if self.scheme == "own" and not self.signature_header:
            raise ValueError("an endpoint of your own needs the header in which the signature is")
        return self

    @property
    def _secrets(self) -> list[str]:
        both = (self.secret.get_secret_value(), self.previous_secret.get_secret_value())
        return [secret for secret in both if secret]

    @property
    def own_scheme(self) -> OwnScheme:
        """How a system of one's own signs."""
        return OwnScheme(
            header=self.signature_header,
            prefix=self.signature_prefix,
            algorithm=self.algorithm,
            encoding=self.encoding,
            timestamp_header=self.timestamp_header,
        )

    @property
    def fetches(self) -> bool:
        """Whether `verify` may have to fetch something first; otherwise it takes two milliseconds at most."""
        return self.scheme == "gmail"

    def verify(self, headers: Headers, body: bytes, now: datetime, *, query: str = "") -> None:
        """Return if the request is the vendor's own, and of now.

        Args:
            headers, body: the request's, as they came.
            now: the time, aware.
            query: of its address, without the question mark: HubSpot signs it.

        Raises:
            BadSignature: it is not; the message is for the log.
            VendorError: Google's keys could not be fetched, so nobody can say.
        """
        match self.scheme:
            case "stripe":
                webhook_signatures.stripe(self._secrets, headers, body, now)
            case "hubspot":
                webhook_signatures.hubspot(self._secrets, headers, body, now, uri=self._called(query))
            case "slack":
                webhook_signatures.slack(self._secrets, headers, body, now)
            case "own":
                webhook_signatures.own(self._secrets, headers, body, now, scheme=self.own_scheme)
            case "gmail":
                keys = self._google_keys().get(webhook_signatures.key_id(headers))
                audience = self.audience or self.public_url
                webhook_signatures.google(keys, headers, now, audience=audience, account=self.service_account)

    def read(self, headers: Headers, body: bytes) -> Said:
        """What a request says whose signature holds.

        Raises:
            BadEvent: it is no event as its vendor makes them.
        """
        match self.scheme:
            case "stripe":
                return webhook_events.stripe(body)
            case "hubspot":
                return webhook_events.hubspot(body)
            case "slack":
                return webhook_events.slack(body, _value(headers, "Content-Type"))
            case "gmail":
                return webhook_events.gmail(body)
            case "own":
                at = _value(headers, self.timestamp_header)
                return webhook_events.own(body, signed_at=at, id_field=self.id_field, kind_field=self.kind_field)

    def sign(self, body: bytes, now: datetime) -> dict[str, str]:
        """The headers by which a request of one's own holds here: to try the endpoint.

        Raises:
            BadSignature: only the vendor can sign.
        """
        at, secrets = f"{now.timestamp():.0f}", self._secrets[:1]
        match self.scheme:
            case "stripe":
                (made,) = webhook_signatures.signatures(secrets, at.encode() + b"." + body)
                return {"Stripe-Signature": f"t={at},v1={made}"}
            case "hubspot":
                at = f"{now.timestamp() * 1_000:.0f}"
                signed = webhook_signatures.hubspot_signed(self._called(""), body, at)
                (made,) = webhook_signatures.signatures(secrets, signed, encoding="base64")
                return {"X-HubSpot-Signature-v3": made, "X-HubSpot-Request-Timestamp": at}
            case "slack":
                (made,) = webhook_signatures.signatures(secrets, webhook_signatures.slack_signed(body, at))
                return {"X-Slack-Signature": f"v0={made}", "X-Slack-Request-Timestamp": at}
            case "own":
                at = at if self.timestamp_header else ""
                (made,) = webhook_signatures.own_signatures(secrets, body, at, self.own_scheme)
                times = {self.timestamp_header: at} if at else {}
                return {self.signature_header: f"{self.signature_prefix}{made}"} | times
            case "gmail":
                raise BadSignature("only Google can sign for Gmail")

    def get_client(self) -> httpx.Client:
        """An httpx client, which neither retries nor follows redirects: for Google's keys. Thread-safe."""
        return self._client.get(lambda: httpx.Client(timeout=self.timeout_seconds, follow_redirects=False))

    def check(self) -> str:
        """Say what it takes; for Gmail fetch Google's keys: `signed by stripe, at https://.../hooks/stripe`.

        Raises:
            VendorError: Google's keys cannot be had.
        """
        if self.scheme == "gmail":
            self._google_keys().get("")
        which = f"signed by {self.scheme}" if self.scheme != "own" else "signed by a system of your own"
        rotating = ", with two secrets" if len(self._secrets) > 1 else ""
        return f"{which}{rotating}, at {self.public_url or 'an address that it does not say'}"

    def _called(self, query: str) -> str:
        """The address as the vendor called it."""
        address = self.public_url.partition("?")[0]
        return f"{address}?{query}" if query else address

    def _google_keys(self) -> GoogleKeys:
        return self._keys.get(lambda: GoogleKeys(self.get_client(), self.keys_address))


def _value(headers: Headers, name: str) -> str:
    found: Sequence[str] = [value for key, value in headers if name and key.lower() == name.lower()]
    return found[0].strip() if found else ""

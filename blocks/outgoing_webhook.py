"""A webhook of one's own: what Signoff has to tell is POSTed there as JSON, signed.

Prefect's own Webhook block signs nothing and does not say whether a call that failed has arrived. The signature is that
of Standard Webhooks (https://www.standardwebhooks.com), for which there are libraries in every language: the headers
`webhook-id`, `webhook-timestamp` and `webhook-signature`, HMAC-SHA256 over `id.timestamp.body`.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr, field_validator

from blocks import guard
from blocks.connecting import Connecting, Standalone
from blocks.vendor import Failures, Once, without_frames

VENDOR = "outgoing-webhook"
PREFIX = "whsec_"
"""How a secret begins that is base64, as the vendors of such receivers hand them out."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SHORTEST_SECRET = 16
"""Bytes: a shorter one could be guessed."""


class OutgoingWebhook(Block):
    """One address that is told of alerts."""

    _block_type_name: ClassVar[str | None] = "Outgoing webhook"
    _block_type_slug: ClassVar[str | None] = VENDOR
    _description: ClassVar[str | None] = (
        "An address of your own that alerts are POSTed to as JSON, signed as Standard Webhooks has it. Save it as "
        "`alerts`. For PagerDuty, Teams or Discord a Prefect automation is the shorter way."
    )

    connecting: ClassVar[Connecting] = Connecting(
        permissions="none: it only receives",
        found="your own receiver, which must answer with 2xx and drop an id that it has seen",
        standalone=Standalone(name="alerts", serves="alerts are posted there"),
    )

    url: SecretStr = Field(
        title="Address",
        description="Where to POST: https, or http on this machine. Kept secret, because such addresses often hold a "
        "token.",
    )
    secret: SecretStr = Field(
        title="Secret",
        description="What the receiver checks the signature with, of 16 characters or more; whsec_ and base64 will do.",
    )
    timeout_seconds: float = Field(
        default=10,
        gt=0,
        title="Timeout (seconds)",
        description="How long to wait to connect, and for each piece of a reply.",
    )

    _client: Once[httpx.Client] = PrivateAttr(default_factory=Once)

    @field_validator("url")
    @classmethod
    def _goes_encrypted(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
            return url
        raise ValueError("it must begin with https://, or with http:// on this machine")

    @field_validator("secret")
    @classmethod
    def _cannot_be_guessed(cls, secret: SecretStr) -> SecretStr:
        if len(_key(secret)) < SHORTEST_SECRET:
            raise ValueError(f"it must have {SHORTEST_SECRET} bytes or more")
        return secret

    def get_client(self) -> httpx.Client:
        """An httpx client that neither retries nor follows redirects. Thread-safe."""
        return self._client.get(self._build_client)

    @without_frames
    def check(self) -> str:
        """Ask whether anything answers there, without telling it anything: `alerts.example.com answers`.

        Raises:
            VendorError: nothing answers. What it answers to an `OPTIONS` says nothing of a POST.
        """
        with guard.request(VENDOR):
            try:
                self.get_client().request("OPTIONS", self.url.get_secret_value())
            except httpx.HTTPError as error:
                raise self._failures().lost("OPTIONS", error) from None
        return f"{urlsplit(self.url.get_secret_value()).hostname} answers"

    @without_frames
    def post(self, message: Mapping[str, Any], key: str) -> None:
        """Tell the receiver, once: nothing is repeated here.

        Args:
            message: becomes JSON.
            key: the message's id, by which a receiver knows one that it has seen.

        Raises:
            VendorError: `unknown` when there was no reply. A reply that says no, of whatever kind, is the receiver's
                word that it did not take it.
        """
        body = json.dumps(message, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"} | signed(self.secret, key, int(time.time()), body)
        failures = self._failures()
        with guard.request(VENDOR):
            try:
                reply = self.get_client().post(self.url.get_secret_value(), content=body, headers=headers)
            except httpx.HTTPError as error:
                raise failures.lost("POST", error, write=True) from None
            if not reply.is_success:
                raise failures.refused("POST", reply.status_code, reply.content, reply.headers)

    def _failures(self) -> Failures:
        path = urlsplit(self.url.get_secret_value()).path
        secrets = (self.url, self.secret, *([SecretStr(path)] if len(path) > 1 else ()))
        return Failures(VENDOR, secrets, {401: "compare the secrets", 403: "compare the secrets"})

    def _build_client(self) -> httpx.Client:
        return httpx.Client(timeout=self.timeout_seconds, follow_redirects=False)


def signed(secret: SecretStr, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks.

    Args:
        secret: `whsec_` and base64, or any other text.
        key: the message's id, without a full stop.
        timestamp: seconds since 1970, when it is sent.
        body: as it is sent.
    """
    mac = hmac.new(_key(secret), f"{key}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {PREFIX} is not base64") from None

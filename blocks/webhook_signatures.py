"""Whether a webhook is the vendor's own: one function for each way to sign, which returns nothing or raises.

A signature older than five minutes is refused, and so is one from the future: whoever keeps a request until its time
has come must not be able to use it. (The vendors' own SDK helpers accept those.)
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Headers = Sequence[tuple[str, str]]
"""As they came: a header that is there twice is there twice."""

TOLERANCE_SECONDS = 300

Algorithm = Literal["sha256", "sha512"]
Encoding = Literal["hex", "base64"]

HUBSPOT_DECODES = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")",
    "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
"""HubSpot signs an address in which these, and no other characters, are decoded."""

GOOGLE = ("https://accounts.google.com", "accounts.google.com")
"""Who signs the tokens of Google's service accounts."""

LONGEST_TOKEN = 4_096
"""Characters of a Bearer token. Google's have about a thousand."""

NONSENSE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
"""What reading a token raises, which may hold anything in any place."""


class BadSignature(Exception):
    """This is not the vendor's, or not of now. The message is for the log: it quotes nothing of the request."""


@dataclass(frozen=True)
class OwnScheme:
    """How a sender of one's own signs: an HMAC over the body, or over `timestamp.body`."""

    header: str
    prefix: str = ""
    """What stands before the signature in its header, as `sha256=`."""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    timestamp_header: str = ""
    """Seconds (or milliseconds) since 1970. Without it nothing says how old a request is: a recording of it is as good
    for ever, and only the digest of its body tells that it was here before."""


def stripe(secrets: Iterable[str], headers: Headers, body: bytes, now: datetime) -> None:
    """`Stripe-Signature: t=...,v1=...`, where there is one v1 for each secret while it is being changed.

    Raises:
        BadSignature: none of the signatures is by one of the secrets, or their time is not now.
    """
    parts = [part.strip().partition("=") for part in only(headers, "Stripe-Signature").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1:
        raise BadSignature(f"Stripe-Signature has {len(times)} times instead of one")
    _fresh(times[0], 1, now)
    given = [value for name, _, value in parts if name == "v1"]
    _compare(signatures(secrets, times[0].encode() + b"." + body), given)


def hubspot(
    secrets: Iterable[str], headers: Headers, body: bytes, now: datetime, *, uri: str, method: str = "POST"
) -> None:
    """`X-HubSpot-Signature-v3`: base64 of HMAC-SHA256 over method, address, body and time in milliseconds.

    Args:
        secrets, headers, body, now: as everywhere here.
        uri: the address as HubSpot calls it, with its query: before a proxy it is not the one that arrives here.
        method: the request's.

    Raises:
        BadSignature: the signature is by none of the secrets, or its time is not now.
    """
    given = only(headers, "X-HubSpot-Signature-v3")
    at = only(headers, "X-HubSpot-Request-Timestamp")
    _fresh(at, 1_000, now)
    _compare(signatures(secrets, hubspot_signed(uri, body, at, method), encoding="base64"), [given])


def hubspot_signed(uri: str, body: bytes, at: str, method: str = "POST") -> bytes:
    """What HubSpot makes its signature of."""
    return method.encode() + hubspot_uri(uri).encode() + body + at.encode()


def hubspot_uri(uri: str) -> str:
    """An address as HubSpot signs it: some of its percent signs decoded, the others as they are."""
    return re.sub("%[0-9A-Fa-f]{2}", lambda found: HUBSPOT_DECODES.get(found[0].upper(), found[0]), uri)


def slack(secrets: Iterable[str], headers: Headers, body: bytes, now: datetime) -> None:
    """`X-Slack-Signature: v0=...`, over `v0:time:body`; for events and for clicks.

    Raises:
        BadSignature: the signature is by none of the secrets, or its time is not now.
    """
    given = only(headers, "X-Slack-Signature")
    at = only(headers, "X-Slack-Request-Timestamp")
    _fresh(at, 1, now)
    _compare([f"v0={made}" for made in signatures(secrets, slack_signed(body, at))], [given])


def slack_signed(body: bytes, at: str) -> bytes:
    """What Slack makes its signature of."""
    return b"v0:" + at.encode() + b":" + body


def own(secrets: Iterable[str], headers: Headers, body: bytes, now: datetime, *, scheme: OwnScheme) -> None:
    """A signature by a system of one's own.

    Raises:
        BadSignature: the signature is by none of the secrets, or its time is not now where it has one.
    """
    given = only(headers, scheme.header)
    at = only(headers, scheme.timestamp_header) if scheme.timestamp_header else ""
    if at:
        _fresh(at, 1_000 if len(at) > 11 else 1, now)
    _compare([f"{scheme.prefix}{made}" for made in own_signatures(secrets, body, at, scheme)], [given])


def own_signatures(secrets: Iterable[str], body: bytes, at: str, scheme: OwnScheme) -> list[str]:
    """What each secret makes of a body, without the prefix."""
    signed = at.encode() + b"." + body if at else body
    return signatures(secrets, signed, scheme.algorithm, scheme.encoding)


def google(
    keys: Mapping[str, str], headers: Headers, now: datetime, *, audience: str, account: str
) -> Mapping[str, Any]:
    """`Authorization: Bearer ...`: a token that Google has signed for a service account, as Pub/Sub sends it.

    It says who sends, not what: that nobody has changed the body, TLS must see to. A token lives for an hour.

    Args:
        keys: Google's certificates (PEM) by their ids.
        headers, now: as everywhere here.
        audience: what the push subscription says; by default the address that it pushes to.
        account: the service account that the subscription pushes as.

    Returns:
        What the token claims.

    Raises:
        BadSignature: it is not Google's, is for somebody else, or is not of now.
    """
    from google.auth import jwt

    token = _bearer(headers)
    try:
        # What costs little comes first: anybody can send a token that only its signature gives away.
        if jwt.decode_header(token).get("alg") != "RS256":  # type: ignore[no-untyped-call]
            raise BadSignature("the token is not signed with RS256")
        _google_means_us(jwt.decode(token, verify=False), now, account)  # type: ignore[no-untyped-call]
        claims: Mapping[str, Any] = jwt.decode(  # type: ignore[no-untyped-call]
            token, certs=keys, audience=audience, clock_skew_in_seconds=TOLERANCE_SECONDS
        )
    except NONSENSE as error:
        raise _does_not_hold(error) from None
    return claims


def key_id(headers: Headers) -> str:
    """The id of the key by which a Bearer token says that it is signed; empty when it says none.

    Raises:
        BadSignature: there is no token that could be read. Nobody need fetch a key to know that it does not hold.
    """
    from google.auth import jwt

    try:
        return str(jwt.decode_header(_bearer(headers)).get("kid", ""))  # type: ignore[no-untyped-call]
    except NONSENSE as error:
        raise _does_not_hold(error) from None


def _does_not_hold(error: Exception) -> BadSignature:
    return BadSignature(f"the token does not hold ({type(error).__name__})")


def _bearer(headers: Headers) -> str:
    scheme, _, token = only(headers, "Authorization").partition(" ")
    if scheme.lower() != "bearer":
        raise BadSignature("Authorization is no Bearer token")
    if len(token) > LONGEST_TOKEN:
        raise BadSignature(f"the token has more than {LONGEST_TOKEN:,} characters")
    return token


def _google_means_us(claims: Mapping[str, Any], now: datetime, account: str) -> None:
    if claims.get("iss") not in GOOGLE:
        raise BadSignature("the token is not by Google's accounts")
    # By our clock once more: `now` may be another than the library's, and a test's certainly is.
    if claims["iat"] - TOLERANCE_SECONDS > now.timestamp() or claims["exp"] + TOLERANCE_SECONDS < now.timestamp():
        raise BadSignature("the token is not of now")
    if claims.get("email_verified") is not True or not _same(str(claims.get("email", "")), account):
        raise BadSignature("the token is another account's")


def signatures(
    secrets: Iterable[str], signed: bytes, algorithm: Algorithm = "sha256", encoding: Encoding = "hex"
) -> list[str]:
    """The HMAC of `signed` by each of the secrets. An empty secret makes none: by it anybody could sign."""
    digests = [hmac.new(secret.encode(), signed, algorithm).digest() for secret in secrets if secret]
    return [digest.hex() if encoding == "hex" else base64.b64encode(digest).decode() for digest in digests]


def only(headers: Headers, name: str) -> str:
    """A header that must be there once, with printable ASCII in it.

    Raises:
        BadSignature: it is not so.
    """
    found = [value for key, value in headers if key.lower() == name.lower()]
    if len(found) != 1:
        raise BadSignature(f"the header {name} is {'there twice' if found else 'missing'}")
    value = found[0].strip()
    if not value:
        raise BadSignature(f"the header {name} is empty")
    if not value.isascii() or not value.isprintable():
        raise BadSignature(f"the header {name} holds something else than ASCII")
    return value


def _fresh(text: str, per_second: int, now: datetime) -> None:
    if not re.fullmatch("[0-9]{1,15}", text):
        raise BadSignature("its time is no number")
    age = now.timestamp() - int(text) / per_second
    if abs(age) > TOLERANCE_SECONDS:
        raise BadSignature(f"its time is {abs(age):.0f} s {'ago' if age > 0 else 'in the future'}")


def _compare(expected: Sequence[str], given: Sequence[str]) -> None:
    """All with all, so that the time tells neither which secret it was nor how much of it was right."""
    matches = [_same(one, other) for one in expected for other in given]
    if not any(matches):
        raise BadSignature("it is not signed with a secret of this endpoint")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())

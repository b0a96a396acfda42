"""How a vendor's failure is told to the rest of Signoff: the exception is the retry decision.

Imports neither Prefect nor an SDK, so that anything may catch a `VendorError` at no cost.
"""

import base64
import functools
import html
import json
import re
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, ParamSpec, TypeVar
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

# 408 and 425 ask for the request again; 409 is HubSpot's and Stripe's "somebody else is writing this now".
RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

# By name, because httpx, httpx2 and urllib3 share no base class and loading all three costs every caller.
NEVER_SENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "NewConnectionError",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
    }
)

# What a credential looks like when somebody quotes it: a header, a query string, a well-known prefix.
SECRET_SHAPES = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), r"\1 ***"),
    (re.compile(r"(?i)((?:https?://|\burl: )[^\s?#'\"]*)[?#][^\s'\")]+"), r"\1?***"),
    (re.compile(r"\b(?:xox[a-z]-|sk-ant-|ya29\.|GOCSPX-|1//|pat-[a-z]{2}\d-)[\w./-]{4,}"), "***"),
    (re.compile(r"\b(?:[rs]k_(?:live|test)_|whsec_)\w{4,}"), "***"),  # Stripe's
    (re.compile(r"\b(?:ntn_|secret_)[A-Za-z0-9]{20,}"), "***"),  # Notion's
)
REASON_LENGTH = 300

P = ParamSpec("P")
T = TypeVar("T")


class VendorError(Exception):
    """A call to a vendor failed.

    Args:
        vendor: the vendor's name, as in `blocks/`.
        operation: what was tried, in the vendor's own terms.
        reason: what the vendor (or the network) said; whatever looks like a credential is blanked.
        permanent: trying again cannot help; a person has to do something.
        retry_after: seconds that the vendor asked to wait, when it did.
        unknown: the reply was lost: a write may or may not have happened. Never repeat it blindly.
        status: the HTTP status, when there was one.
    """

    def __init__(
        self,
        vendor: str,
        operation: str,
        reason: str,
        *,
        permanent: bool,
        retry_after: float | None = None,
        unknown: bool = False,
        status: int | None = None,
    ) -> None:
        reason = scrub(reason)
        super().__init__(f"{vendor}: {operation}: {reason}")
        self.vendor = vendor
        self.operation = operation
        self.reason = reason
        self.permanent = permanent
        self.retry_after = retry_after
        self.unknown = unknown
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from `args`, which fits no constructor with keywords: without this, a failed
        # task state that crosses a process comes back as a TypeError.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[VendorError], args: tuple[Any, ...], state: dict[str, Any]) -> VendorError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


NOT_FOUND = frozenset({404})


def as_kind(kind: type[VendorError], error: VendorError, statuses: frozenset[int] = NOT_FOUND) -> VendorError:
    """The same failure as `kind`, which is permanent, when it has one of these statuses; else unchanged."""
    if error.status not in statuses:
        return error
    return kind(error.vendor, error.operation, error.reason, permanent=True, status=error.status)


@dataclass(frozen=True)
class Failures:
    """Words every failure of one vendor.

    Args:
        vendor: the vendor's name, as in `blocks/`.
        secrets: the credentials in use, which are blanked wherever they are quoted.
        ways_out: what a person can do, by HTTP status.
        sentence: how a person would say the vendor's own message, where that is not a sentence already.
    """

    vendor: str
    secrets: tuple[SecretStr, ...] = ()
    ways_out: Mapping[int, str] = field(default_factory=dict)
    sentence: Callable[[str], str] = str

    def refused(
        self,
        operation: str,
        status: int,
        body: bytes | str,
        headers: Mapping[str, str] | None = None,
        *,
        write: bool = False,
    ) -> VendorError:
        """The error for an HTTP reply that says no. See `from_status`."""
        # Before it is cut: half a credential would not be known for one. And again: what was escaped is read by then.
        said = self.sentence(reply_text(self.clean(_text(body))))
        reason = shortened(scrub(self.clean(said)))
        if way_out := self.ways_out.get(status):
            reason = f"{reason}: {way_out}"
        return from_status(self.vendor, operation, status, reason, headers, write=write)

    def lost(self, operation: str, error: Exception, *, write: bool = False) -> VendorError:
        """The error for a call without a reply. A write that did reach the wire is `unknown`."""
        kinds = {kind.__name__ for kind in type(error).__mro__}
        sent = not kinds & NEVER_SENT
        fate = "no reply" if sent else "could not connect"
        reason = f"{fate} ({type(error).__name__}: {error})"
        return self.error(operation, reason, permanent=False, unknown=write and sent)

    def unreadable(self, operation: str, body: bytes | str, *, write: bool = False) -> VendorError:
        """The error for a reply that is not in the vendor's format, most often a proxy's own page.

        Somebody else answered, so whether the vendor did the write is not known.
        """
        reason = f"a reply that is not JSON: {shortened(reply_text(self.clean(_text(body)))) or 'empty'}"
        return self.error(operation, reason, permanent=False, unknown=write)

    def error(
        self,
        operation: str,
        reason: str,
        *,
        permanent: bool,
        retry_after: float | None = None,
        unknown: bool = False,
        status: int | None = None,
    ) -> VendorError:
        """A `VendorError` of this vendor, with the credentials in use blanked."""
        return VendorError(
            self.vendor,
            operation,
            self.clean(reason),
            permanent=permanent,
            retry_after=retry_after,
            unknown=unknown,
            status=status,
        )

    def clean(self, text: str) -> str:
        """The text without the credentials in use, in whatever form they were quoted."""
        for secret in self.secrets:
            if value := secret.get_secret_value():
                for form in written_forms(value):
                    text = text.replace(form, "***")
        return text


def written_forms(secret: str) -> list[str]:
    """A credential as it stands in a form, a query, a page, JSON or a basic header: the longest first."""
    encoded = base64.b64encode(secret.encode()).decode()
    in_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret), *in_json, encoded}
    return sorted(forms, key=len, reverse=True)


def from_status(
    vendor: str,
    operation: str,
    status: int,
    reason: str,
    headers: Mapping[str, str] | None = None,
    *,
    write: bool = False,
) -> VendorError:
    """The error for an HTTP reply that says no. `reason` is cut to 600 characters.

    A 5xx on a write is `unknown`: a gateway that gave up on the vendor, or an application that failed
    half-way, does not say whether the write was kept.
    """
    return VendorError(
        vendor,
        operation,
        f"{status} {shortened(reason, 2 * REASON_LENGTH)}",
        permanent=status not in RETRYABLE_STATUS,
        retry_after=retry_after_seconds(headers or {}),
        unknown=write and status >= 500,
        status=status,
    )


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The `Retry-After` header in seconds (RFC 9110 10.2.3: a number, or a date), never negative."""
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), None)
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def reply_text(body: bytes | str) -> str:
    """What a refusal says, on one line and whole: a JSON error's message, or a page's words without tags."""
    text = _text(body)
    try:
        message = _message(json.loads(text))
    except ValueError:
        message = None
    if message is None:
        message = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text)
    return " ".join(message.split())


def shortened(text: str, limit: int = REASON_LENGTH) -> str:
    """On one line, of at most `limit` characters; what is cut ends with a word, where it has any."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    # What has no space for so long is no word: half of it says more than nothing.
    return re.sub(r"\s+\S{0,40}$", "", line[:limit]).rstrip(" ,;:")[: limit - 1] + "…"


def _text(body: bytes | str) -> str:
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else body


def _message(body: Any) -> str | None:
    """What Google and Anthropic keep in `error.message`, HubSpot in `message`, OAuth in `error`."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, dict):
        return _message(error)
    parts = [part for part in (error, body.get("error_description"), body.get("message")) if isinstance(part, str)]
    return ": ".join(parts) or None


def scrub(text: str) -> str:
    """The text with whatever looks like a credential blanked."""
    for shape, blank in SECRET_SHAPES:
        text = shape.sub(blank, text)
    return text


def without_frames(function: Callable[P, T]) -> Callable[P, T]:
    """A `VendorError` leaves this function without the frames below it.

    Their local variables hold the request's headers and the vendor's own words, credentials and all, and a crash
    reporter keeps local variables. What a person needs to know is in the error's text.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except VendorError as error:
            raise error.with_traceback(None) from None

    return call


class Once(Generic[T]):
    """A value built on first use, once for all threads, and left behind when its owner is copied or pickled.

    A block keeps its client in one: a client holds sockets and locks, which travel to no other process. A value
    that can be closed is closed when its owner goes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None

    def get(self, build: Callable[[], T]) -> T:
        """The value; `build` runs at most once."""
        if self._value is None:
            with self._lock:
                if self._value is None:
                    self._value = build()
                    if close := getattr(self._value, "close", None):
                        weakref.finalize(self, close)
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return Once, ()

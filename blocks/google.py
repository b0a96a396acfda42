"""Google's client for its APIs, and the transport under it: httpx, one attempt, one token for all threads.

googleapiclient's own transport (httplib2) sends a request again, POST included, when the server closes
without a reply, and hands replies to the wrong thread. This product promises not to send an e-mail twice.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import httpx
from google.auth.exceptions import RefreshError
from google.auth.transport import Request as TokenRequest
from google.auth.transport import Response as TokenResponse
from google.oauth2.credentials import Credentials
from pydantic import SecretStr

from blocks import guard
from blocks.vendor import Failures, VendorError

if TYPE_CHECKING:
    from googleapiclient.discovery import Resource

CONNECTIONS = 16
READS = frozenset({"GET", "HEAD"})
# Google answers 403, not 429, to some rate limits: https://developers.google.com/workspace/gmail/api/guides/handle-errors
RATE_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RESOURCE_EXHAUSTED"})
CONNECT_AGAIN = "the connection was revoked or has expired; connect the Google account again"


class Account(Protocol):
    """What a block of one of Google's APIs holds to log in with."""

    client_id: str
    client_secret: SecretStr
    refresh_token: SecretStr
    token_address: str
    timeout_seconds: float


def connect(
    account: Account,
    failures: Failures,
    units: Callable[[str], int] = lambda _: 1,
    words: Mapping[str, str] | None = None,
) -> "GoogleHttp":
    """The transport of one account. `failures`, `units` and `words` as for `GoogleHttp`."""
    credentials = Credentials(  # type: ignore[no-untyped-call]
        token=None,
        refresh_token=account.refresh_token.get_secret_value(),
        token_uri=account.token_address,
        client_id=account.client_id,
        client_secret=account.client_secret.get_secret_value(),
    )
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    client = httpx.Client(timeout=account.timeout_seconds, follow_redirects=False, limits=limits)
    return GoogleHttp(credentials, client, failures, units, words)


def build_service(name: str, version: str, address: str, http: "GoogleHttp") -> "Resource":
    """Google's client for one of its APIs (`gmail`, `v1`) at an address, from the discovery document it bundles."""
    from googleapiclient.discovery import build_from_document
    from googleapiclient.discovery_cache import get_static_doc

    document = json.loads(get_static_doc(name, version))
    # The document, not `client_options`, because that one breaks media and batch addresses.
    document["rootUrl"] = address.rstrip("/") + "/"
    document["baseUrl"] = document["rootUrl"] + document["servicePath"]
    document.pop("mtlsRootUrl", None)
    return build_from_document(document, http=http)


class Reply(dict[str, str]):
    """The headers of a reply, lower-cased, and its status: what googleapiclient expects of its transport."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__({name.lower(): value for name, value in response.headers.items()})
        self.status = response.status_code
        self.reason = response.reason_phrase
        self["status"] = str(response.status_code)


class GoogleHttp:
    """What `build_from_document(http=...)` sends through. Safe to share between threads.

    Args:
        credentials: renewed here, by one thread at a time.
        client: it must neither retry nor follow redirects.
        failures: words the errors.
        units: what a request, by its operation (`POST /gmail/v1/...`), counts for in Google's quota.
        words: what a refusal means to a person, by Google's reason for it (`exportSizeLimitExceeded`).
    """

    def __init__(
        self,
        credentials: Credentials,
        client: httpx.Client,
        failures: Failures,
        units: Callable[[str], int] = lambda _: 1,
        words: Mapping[str, str] | None = None,
    ) -> None:
        self._units = units
        self._words = words or {}
        self._credentials = credentials
        self._client = client
        self._failures = failures
        self._renewal = threading.Lock()

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        most_bytes: int | None = None,
        **_ignored: Any,
    ) -> tuple[Reply, bytes]:
        """Send once, and once more only after a 401, which says that nothing was done.

        Args:
            uri, method, body, headers: as Google's client hands them over.
            most_bytes: the reply is a file's content, of whatever kind, and no more of it is read than this.

        Raises:
            VendorError: for every reply that is not a success, and for none.
        """
        # With `?alt=media`, because a file's content has the path of the file and costs far more.
        place = urlsplit(uri)
        operation = f"{method} {place.path}{'?alt=media' if most_bytes is not None else ''}"
        with guard.request(self._failures.vendor, self._units(operation)):
            token = self._token()
            response, content = self._send(operation, method, uri, body, headers, token, most_bytes)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                fresh = self.renew(stale=token)
                response, content = self._send(operation, method, uri, body, headers, fresh, most_bytes)
            self._refuse_failure(operation, method, response, content, is_file=most_bytes is not None)
        return Reply(response), content

    def download(self, most_bytes: int) -> "Download":
        """This transport for a request of a file's content: `request.execute(http=...)`."""
        return Download(self, most_bytes)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def renew(self, stale: str | None = None) -> str:
        """A new access token, unless another thread has replaced the `stale` one meanwhile.

        Raises:
            VendorError: permanent when Google no longer accepts the refresh token.
        """
        with self._renewal:
            if stale is None or self._credentials.token == stale:
                self._refresh()
            return str(self._credentials.token)

    def _token(self) -> str:
        if self._credentials.valid:
            return str(self._credentials.token)
        with self._renewal:
            if not self._credentials.valid:
                self._refresh()
            return str(self._credentials.token)

    def _refresh(self) -> None:
        operation = "refresh the access token"
        try:
            transport = _TokenTransport(self._client, self._failures, operation)
            self._credentials.refresh(transport)  # type: ignore[no-untyped-call]
        except RefreshError as error:
            # Told as a 401, which is what it is to the caller: no other call on this account can succeed.
            raise self._failures.error(operation, _refresh_reason(error), permanent=True, status=401) from None

    def _send(
        self,
        operation: str,
        method: str,
        uri: str,
        body: str | bytes | None,
        headers: Mapping[str, str] | None,
        token: str,
        most_bytes: int | None,
    ) -> tuple[httpx.Response, bytes]:
        headers = {**(headers or {}), "authorization": f"Bearer {token}"}
        try:
            with self._client.stream(method, uri, content=body, headers=headers) as response:
                # A refusal is read whole: it is short, and says why.
                return response, self._read(operation, response, most_bytes if response.is_success else None)
        except httpx.HTTPError as error:
            raise self._failures.lost(operation, error, write=method not in READS) from None

    def _read(self, operation: str, response: httpx.Response, most_bytes: int | None) -> bytes:
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_bytes():
            size += len(piece)
            if most_bytes is not None and size > most_bytes:
                raise self._failures.error(operation, f"it is larger than {most_bytes:,} bytes", permanent=True)
            pieces.append(piece)
        return b"".join(pieces)

    def _refuse_failure(
        self, operation: str, method: str, response: httpx.Response, content: bytes, *, is_file: bool
    ) -> None:
        write = method not in READS
        if not response.is_success:
            raise self._refused(operation, response, content, write)
        if content and not is_file and "json" not in response.headers.get("content-type", ""):
            raise self._failures.unreadable(operation, content, write=write)

    def _refused(self, operation: str, response: httpx.Response, content: bytes, write: bool) -> VendorError:
        reasons = _reasons(content)
        status = response.status_code
        if status == httpx.codes.FORBIDDEN and (known := sorted(reasons & self._words.keys())):
            return self._failures.error(operation, f"{status} {self._words[known[0]]}", permanent=True, status=status)
        error = self._failures.refused(operation, status, content, response.headers, write=write)
        if status == httpx.codes.FORBIDDEN and reasons & RATE_LIMITS:
            error.permanent = False
        return error


@dataclass(frozen=True)
class Download:
    """What a file's content is sent through: a reply of any kind, up to `most_bytes`."""

    http: GoogleHttp
    most_bytes: int

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_ignored: Any,
    ) -> tuple[Reply, bytes]:
        """As `GoogleHttp.request`, with the limit."""
        return self.http.request(uri, method, body, headers, most_bytes=self.most_bytes)


def _reasons(body: bytes) -> set[str]:
    """The machine-readable reasons of a Google error: `error.errors[].reason` and `error.status`."""
    try:
        error = json.loads(body)["error"]
        return {str(error.get("status")), *(str(item.get("reason")) for item in error.get("errors", []))}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _refresh_reason(error: RefreshError) -> str:
    """What Google said, and the way out."""
    said = str(error.args[0]) if error.args else "refused"
    if "invalid_client" in said or "unauthorized_client" in said:
        return f"{said}: check the OAuth client's id and secret"
    return f"{said}: {CONNECT_AGAIN}"


class _TokenReply(TokenResponse):
    """A token endpoint's reply, in google-auth's terms."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @property
    def data(self) -> bytes:
        return self._response.content


class _TokenTransport(TokenRequest):
    """Sends google-auth's token requests through the same httpx client."""

    def __init__(self, client: httpx.Client, failures: Failures, operation: str) -> None:
        self._client = client
        self._failures = failures
        self._operation = operation

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002  google-auth's signature; the client's own timeout holds
        **_ignored: Any,
    ) -> TokenResponse:
        try:
            response = self._client.request(method, url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise self._failures.lost(self._operation, error) from None
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            # Raised here because google-auth would sleep and try again, and retries are not its to make.
            raise self._failures.refused(self._operation, response.status_code, response.content, response.headers)
        return _TokenReply(response)

"""Consent to Google in a person's browser, for a client of the type Desktop app: what it gives is a refresh token.

The authorization code comes back to a port of this machine that is open for the one attempt, or is pasted into the
terminal where the browser runs on another machine. PKCE binds the code to this process: who sees it has nothing.

https://developers.google.com/identity/protocols/oauth2/native-app
"""

import hashlib
import hmac
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
from pydantic import SecretStr

from blocks.google_account import TOKENS
from blocks.vendor import Failures, without_frames

GOOGLES_PAGE = "https://accounts.google.com/o/oauth2/v2/auth"
BESIDE_TOKENS = "o/oauth2/v2/auth"
"""Where the page is at a sandbox, next to its token endpoint."""

IDLE_SECONDS = 10
"""A browser opens connections that it may not use; one that says nothing for so long is closed."""

TESTING_DAYS = 7
"""How long a refresh token lives whose app is in Testing. What Google tells of a token's end is told instead."""

WIDER = {
    "https://www.googleapis.com/auth/gmail.modify": "https://mail.google.com/",
    "https://www.googleapis.com/auth/drive.readonly": "https://www.googleapis.com/auth/drive",
}
"""By scope, the one that holds it and more: a token that was made elsewhere may have that."""

TRY_AGAIN = "start again: an answer of Google's can be used once, and only by the attempt that asked for it"
WAYS_OUT = {
    400: "connect the Google account again",
    401: "check the OAuth client's id and secret",
}


@dataclass(frozen=True)
class Client:
    """The OAuth client that an account is connected by."""

    client_id: str
    client_secret: SecretStr
    token_address: str
    timeout_seconds: float

    @classmethod
    def of(cls, block: Any) -> Self:
        """The client that a block of one of Google's APIs holds."""
        return cls(block.client_id, block.client_secret, block.token_address, block.timeout_seconds)


@dataclass(frozen=True)
class Granted:
    """What Google gave."""

    refresh_token: SecretStr
    scopes: frozenset[str]
    ends_at: datetime | None
    """When the refresh token ends (UTC), where Google says so."""


def page_of(token_address: str) -> str:
    """The address of the consent page that belongs to a token endpoint."""
    return GOOGLES_PAGE if token_address == TOKENS else urljoin(token_address, BESIDE_TOKENS)


@dataclass
class Consent:
    """One attempt. Use as a context manager: the port is open for the block only.

    Args:
        client: the OAuth client.
        scopes: what is asked for.
        failures: words the errors.
        login_hint: the address of the account that is meant; empty where any will do.
    """

    client: Client
    scopes: Sequence[str]
    failures: Failures
    login_hint: str = ""
    _state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _verifier: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)
    _came: threading.Event = field(default_factory=threading.Event, repr=False)
    _taking: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _answer: dict[str, str] = field(default_factory=dict, repr=False)

    def __enter__(self) -> Self:
        self._server = _Listener(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def redirect(self) -> str:
        """Where the browser is sent with the answer."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def address(self) -> str:
        """The page on which a person consents."""
        digest = hashlib.sha256(self._verifier.encode()).digest()
        asked = {
            "client_id": self.client.client_id,
            "redirect_uri": self.redirect,
            "response_type": "code",
            "scope": " ".join(self.scopes),
            "state": self._state,
            "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            # Without these two there is no refresh token, or only the first time that somebody consents.
            "access_type": "offline",
            "prompt": "consent",
        }
        hint = {"login_hint": self.login_hint} if self.login_hint else {}
        return f"{page_of(self.client.token_address)}?{urlencode(asked | hint)}"

    def wait(self, seconds: float) -> bool:
        """Whether an answer has come, at the latest after `seconds`."""
        return self._came.wait(seconds)

    def take(self, address: str) -> HTTPStatus:
        """Take the answer out of the address that the browser was sent to: OK, or why it was not taken.

        BAD_REQUEST is no answer to this attempt, GONE one that came after the first.
        """
        try:
            query = parse_qs(urlsplit(address.strip()).query)
        except ValueError:
            return HTTPStatus.BAD_REQUEST
        given = {name: values[0] for name, values in query.items()}
        mine = hmac.compare_digest(given.get("state", "").encode(), self._state.encode())
        if not mine or not ("code" in given or "error" in given):
            return HTTPStatus.BAD_REQUEST
        with self._taking:
            if self._came.is_set():
                return HTTPStatus.GONE
            self._answer = given
            self._came.set()
        return HTTPStatus.OK

    @without_frames
    def redeem(self) -> Granted:
        """Exchange the answer that came for a refresh token.

        Raises:
            VendorError: the person said no, did not allow all that was asked, or Google refuses the client.
        """
        operation = "ask for consent"
        if refusal := self._answer.get("error"):
            said = "you said no" if refusal == "access_denied" else f"Google answered {refusal}"
            raise self.failures.error(operation, f"{said}: nothing was connected", permanent=True)
        form = {
            "grant_type": "authorization_code",
            "code": self._answer["code"],
            "code_verifier": self._verifier,
            "redirect_uri": self.redirect,
        }
        hidden = tuple(SecretStr(form[name]) for name in ("code", "code_verifier"))
        failures = Failures(self.failures.vendor, (*self.failures.secrets, *hidden), WAYS_OUT | {400: TRY_AGAIN})
        given = _ask_for_tokens(self.client, form, failures, "exchange the code")
        if not isinstance(token := given.get("refresh_token"), str):
            way_out = "remove the app under myaccount.google.com/connections, and connect again"
            raise self.failures.error(operation, f"Google gave no refresh token: {way_out}", permanent=True)
        granted = Granted(SecretStr(token), _scopes(given, self.scopes), _end(given))
        if lacking := missing(self.scopes, granted.scopes):
            raise self.failures.error(
                operation,
                f"{lacking} was not allowed: start again, and tick every box on Google's page",
                permanent=True,
            )
        return granted


@without_frames
def refresh(client: Client, refresh_token: SecretStr, asked: Sequence[str], failures: Failures) -> Granted:
    """Force a refresh of the access token: what the refresh token is still good for, and until when.

    Args:
        client: the OAuth client.
        refresh_token: the one that is looked at.
        asked: the scopes that it was asked for with, which Google need not repeat.
        failures: words the errors.

    Raises:
        VendorError: permanent when Google no longer accepts the refresh token or the client.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.get_secret_value()}
    words = Failures(failures.vendor, failures.secrets, WAYS_OUT)
    given = _ask_for_tokens(client, form, words, "refresh the access token")
    return Granted(refresh_token, _scopes(given, asked), _end(given))


def missing(asked: Sequence[str], granted: frozenset[str]) -> str:
    """The scopes that were asked for and not granted, by their short names; empty when all were, or wider ones."""
    lacking = (scope for scope in asked if not granted & {scope, WIDER.get(scope, scope)})
    return ", ".join(scope.rpartition("/")[2] for scope in lacking)


def _ask_for_tokens(client: Client, form: dict[str, str], failures: Failures, operation: str) -> dict[str, Any]:
    whole = {**form, "client_id": client.client_id, "client_secret": client.client_secret.get_secret_value()}
    try:
        with httpx.Client(timeout=client.timeout_seconds, follow_redirects=False) as http:
            reply = http.post(client.token_address, data=whole)
    except httpx.HTTPError as error:
        raise failures.lost(operation, error) from None
    if not reply.is_success:
        raise failures.refused(operation, reply.status_code, reply.content, reply.headers)
    try:
        given = reply.json()
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise failures.unreadable(operation, "it is no object of JSON")  # not quoted: it may hold a token
    return given


def _scopes(given: dict[str, Any], asked: Sequence[str]) -> frozenset[str]:
    """What was granted; a server that grants all that was asked for need not say so (RFC 6749, 5.1)."""
    said = given.get("scope")
    return frozenset(said.split() if isinstance(said, str) else asked)


def _end(given: dict[str, Any]) -> datetime | None:
    seconds = given.get("refresh_token_expires_in")
    return datetime.now(UTC) + timedelta(seconds=seconds) if isinstance(seconds, int) and seconds > 0 else None


class _Listener(ThreadingHTTPServer):
    """The port of this machine that the browser comes back to. A thread a connection: one that idles holds up none."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, consent: Consent) -> None:
        self.consent = consent
        super().__init__(("127.0.0.1", 0), _Page)


PAGES = {
    HTTPStatus.OK: "Google's answer has reached Signoff. Go back to the terminal: it says whether the account is "
    "connected. This page can be closed.",
    HTTPStatus.BAD_REQUEST: "This is not the answer that Signoff waits for. Use the page that the terminal has opened.",
    HTTPStatus.GONE: "Signoff already has an answer to this. Go back to the terminal; this page can be closed.",
    HTTPStatus.NOT_FOUND: "There is nothing here.",
}


class _Page(BaseHTTPRequestHandler):
    """What the browser sees when it comes back."""

    timeout = IDLE_SECONDS
    server: _Listener

    def do_GET(self) -> None:
        """Take the answer, if it is one."""
        place = urlsplit(self.path).path
        status = self.server.consent.take(self.path) if place == "/" else HTTPStatus.NOT_FOUND
        page = f"<!doctype html><meta charset=utf-8><title>Signoff</title><p>{escape(PAGES[status])}".encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),  # the address holds the code
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the request line holds the code."""

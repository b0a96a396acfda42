"""Google's consent page and the exchange of its codes, in Google's words: a person allows, or does not."""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox import credentials
from sandbox.page import environment
from sandbox.wire import Ask, Json, Refused

if TYPE_CHECKING:
    from sandbox.world import World

SCOPE = "https://www.googleapis.com/auth/"
KNOWN = {
    "https://mail.google.com/": "Read, compose, send, and permanently delete all your email from Gmail",
    f"{SCOPE}gmail.modify": "Read, compose, and send emails from your Gmail account",
    f"{SCOPE}gmail.readonly": "View your email messages and settings",
    f"{SCOPE}drive": "See, edit, create, and delete all of your Google Drive files",
    f"{SCOPE}drive.readonly": "See and download all your Google Drive files",
}
"""The scopes that the page can ask for, and what they are to a person."""
STRANGER = "sam.private@mail.example"
"""Another account that somebody is logged in to in the same browser."""
CODE_SECONDS = 600

PAGE = environment().from_string("""<!doctype html><meta charset="utf-8"><title>Sign in - Sandbox</title>
<form method="post">
<h1>Signoff wants access to your pretend Google account</h1>
{% for account in accounts %}<p><label><input type="radio" name="account" value="{{ account }}"
{% if account == chosen %}checked{% endif %}> {{ account }}</label>{% endfor %}
{% for scope, meaning in scopes %}<p><label><input type="checkbox" name="scope" value="{{ scope }}" checked>
{{ meaning }}</label>{% endfor %}
<p><label>Only for <input name="days" size="3"> days</label>
<p><button name="decision" value="allow">Continue</button> <button name="decision" value="deny">Cancel</button>
</form>""")


@dataclass(frozen=True)
class Consent:
    """What somebody allowed."""

    account: str | None
    """Whose; None is the company's own."""
    scopes: tuple[str, ...]
    ends_at: float | None = None


OWN = Consent(None, ("https://mail.google.com/", f"{SCOPE}drive.readonly"))
"""What the refresh token in `credentials` stands for, which was never asked for on a page."""


@dataclass(frozen=True)
class Code:
    """An authorization code that was not exchanged yet."""

    consent: Consent
    challenge: str
    redirect: str
    offline: bool
    made_at: float = field(default_factory=time.monotonic)


class Consents:
    """The codes and refresh tokens that the page has led to."""

    def __init__(self) -> None:
        """Nobody has consented yet."""
        self.codes: dict[str, Code] = {}
        self.refresh_tokens: dict[str, Consent] = {credentials.GOOGLE_REFRESH_TOKEN: OWN}
        self.seen: set[str | None] = set()
        """The accounts that have consented: without `prompt=consent` they get no second refresh token."""

    def of(self, refresh_token: object) -> Consent | None:
        """Return what a refresh token stands for, while it lives."""
        consent = self.refresh_tokens.get(str(refresh_token))
        return consent if consent and (consent.ends_at or time.time() + 1) > time.time() else None

    def exchange(self, ask: Ask) -> tuple[Consent, str | None]:
        """Return what a code stands for and its refresh token, once."""
        code = self.codes.pop(str(ask.body.get("code")), None)
        if code is None or time.monotonic() - code.made_at > CODE_SECONDS:
            raise refused("invalid_grant", "Malformed auth code.")
        if ask.body.get("redirect_uri") != code.redirect:
            raise refused("redirect_uri_mismatch", "Bad Request")
        if challenge_of(str(ask.body.get("code_verifier", ""))) != code.challenge:
            raise refused("invalid_grant", "Invalid code verifier.")
        if not code.offline:
            return code.consent, None
        token = f"1//sandbox-{secrets.token_urlsafe(24)}"
        self.refresh_tokens[token] = code.consent
        return code.consent, token


def refused(error: str, description: str) -> Refused:
    """Return a refusal of the token endpoint."""
    return Refused(400, {"error": error, "error_description": description})


def challenge_of(verifier: str) -> str:
    """Return what a PKCE verifier proves (RFC 7636, S256)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def lifetime(consent: Consent) -> Json:
    """Return what a token reply says of the refresh token's end: only where a person set one."""
    return {"refresh_token_expires_in": int(consent.ends_at - time.time())} if consent.ends_at else {}


def problem(asked: dict[str, str]) -> str:
    """Return why Google would show an error page, empty when it would not."""
    redirect = urlsplit(asked.get("redirect_uri", ""))
    if asked.get("client_id") != credentials.GOOGLE_CLIENT_ID:
        return "Error 401: invalid_client. The OAuth client was not found."
    if redirect.scheme != "http" or redirect.hostname not in ("127.0.0.1", "localhost", "::1"):
        return "Error 400: redirect_uri_mismatch"
    if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
        return "Error 400: invalid_request"
    if not asked.get("scope") or set(asked["scope"].split()) - KNOWN.keys():
        return "Error 400: invalid_scope"
    return ""


def routes(world: World) -> Iterator[Route]:
    """Yield the page's route, relative to `/google`."""

    async def page(request: Request) -> Response:
        asked = dict(request.query_params)
        if error := problem(asked):
            return HTMLResponse(error, 400)
        if request.method == "POST":
            form = parse_qs((await request.body()).decode())
            return RedirectResponse(decided(world, asked, form), 302)
        accounts = [world.mail.address, STRANGER]
        scopes = [(scope, KNOWN[scope]) for scope in asked["scope"].split()]
        chosen = asked["login_hint"] if asked.get("login_hint") in accounts else accounts[0]
        return HTMLResponse(PAGE.render(accounts=accounts, chosen=chosen, scopes=scopes))

    yield Route("/o/oauth2/v2/auth", page, methods=["GET", "POST"])


def decided(world: World, asked: dict[str, str], form: dict[str, list[str]]) -> str:
    """Return where the browser is sent with the decision."""
    answer = {"state": asked["state"]} if "state" in asked else {}
    if form.get("decision") != ["allow"]:
        return f"{asked['redirect_uri']}?{urlencode(answer | {'error': 'access_denied'})}"
    account = form.get("account", [world.mail.address])[0]
    days = form.get("days")
    consent = Consent(
        None if account == world.mail.address else account,
        tuple(scope for scope in asked["scope"].split() if scope in form.get("scope", [])),
        time.time() + float(days[0]) * 86400 if days else None,
    )
    again = asked.get("prompt") != "consent" and consent.account in world.consents.seen
    world.consents.seen.add(consent.account)
    code = f"4/sandbox-{secrets.token_urlsafe(24)}"
    world.consents.codes[code] = Code(
        consent,
        asked.get("code_challenge", ""),
        asked["redirect_uri"],
        asked.get("access_type") == "offline" and not again,
    )
    answer |= {"code": code, "scope": " ".join(consent.scopes)}
    return f"{asked['redirect_uri']}?{urlencode(answer)}"

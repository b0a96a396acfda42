"""The pretend consent page refuses what Google would refuse, and its codes are worth what Google's are."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.google_consent import challenge_of
from tests.consenting import consent_to

VERIFIER = "a-verifier-of-forty-three-characters-or-more"
BACK = "http://127.0.0.1:9/"
READONLY = "https://www.googleapis.com/auth/drive.readonly"


def page(sandbox: Sandbox, **changes: str) -> str:
    asked = {
        "client_id": credentials.GOOGLE_CLIENT_ID,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": READONLY,
        "state": "s",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        "access_type": "offline",
        "prompt": "consent",
    }
    return str(httpx.URL(f"{sandbox.url}/google/o/oauth2/v2/auth", params=asked | changes))


def exchange(sandbox: Sandbox, answer: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "client_id": credentials.GOOGLE_CLIENT_ID,
        "client_secret": credentials.GOOGLE_CLIENT_SECRET,
        "code": parse_qs(urlsplit(answer).query)["code"][0],
        "code_verifier": VERIFIER,
        "redirect_uri": BACK,
    }
    return httpx.post(f"{sandbox.url}/google/token", data=form | changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"client_id": "somebody"}, "invalid_client"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
        ({"response_type": "token"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
)
def test_a_wrong_question_gets_googles_error_page(sandbox: Sandbox, change: dict[str, str], said: str) -> None:
    reply = httpx.get(page(sandbox, **change))
    assert reply.status_code == 400
    assert said in reply.text


def test_yes_and_no_go_back_with_the_state(sandbox: Sandbox) -> None:
    yes, no = consent_to(page(sandbox)), consent_to(page(sandbox), decision="deny")
    assert yes.startswith(f"{BACK}?state=s&code=4%2F")
    assert no == f"{BACK}?state=s&error=access_denied"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"code": "4/guess"}, "invalid_grant"),
        ({"code_verifier": "another"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:10/"}, "redirect_uri_mismatch"),
        ({"client_secret": "guess"}, "invalid_client"),
    ],
)
def test_a_wrong_exchange_is_refused(sandbox: Sandbox, change: dict[str, str], said: str) -> None:
    reply = exchange(sandbox, consent_to(page(sandbox)), **change)
    assert reply.is_client_error
    assert reply.json()["error"] == said


def test_a_code_is_exchanged_once(sandbox: Sandbox) -> None:
    answer = consent_to(page(sandbox))
    assert exchange(sandbox, answer).json()["refresh_token"].startswith("1//")
    assert exchange(sandbox, answer).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "change", [{"access_type": "online"}, {"prompt": "none"}], ids=["online", "consented before, not asked again"]
)
def test_without_offline_access_or_a_new_consent_there_is_no_refresh_token(
    sandbox: Sandbox, change: dict[str, str]
) -> None:
    consent_to(page(sandbox))
    assert "refresh_token" not in exchange(sandbox, consent_to(page(sandbox, **change))).json()


def test_an_access_token_is_good_for_its_scopes_only(sandbox: Sandbox) -> None:
    given: dict[str, Any] = exchange(sandbox, consent_to(page(sandbox))).json()
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    assert given["scope"] == READONLY
    drive = httpx.get(f"{sandbox.url}/google/drive/v3/about", params={"fields": "user"}, headers=bearer)
    gmail = httpx.get(f"{sandbox.url}/google/gmail/v1/users/me/profile", headers=bearer)
    assert (drive.status_code, gmail.status_code) == (200, 403)
    assert gmail.json()["error"]["message"] == "Request had insufficient authentication scopes."

"""Google's consent: a scripted browser on the sandbox's page, and everything that can come back instead of a yes."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from blocks.drive import Drive
from blocks.gmail import Gmail
from blocks.google_account import TOKENS
from blocks.google_consent import GOOGLES_PAGE, Client, Consent, missing, page_of, refresh
from blocks.vendor import Failures, VendorError
from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.google_consent import STRANGER
from tests.consenting import consent_to

MODIFY, READONLY = Gmail.connecting.scopes[0], Drive.connecting.scopes[0]


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    secret = SecretStr(credentials.GOOGLE_CLIENT_SECRET)
    return Client(credentials.GOOGLE_CLIENT_ID, secret, f"{sandbox.url}/google/token", 5)


@pytest.fixture
def attempt(client: Client) -> Iterator[Callable[..., Consent]]:
    """Opens attempts, and closes them at the end."""
    opened: list[Consent] = []

    def make(*scopes: str, **changes: Any) -> Consent:
        made = Consent(changes.pop("client", client), scopes or (MODIFY,), Failures("gmail"), **changes).__enter__()
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.__exit__(None, None, None)


def test_a_yes_gives_a_refresh_token_that_opens_the_mailbox(
    attempt: Callable[..., Consent], connect_gmail: Callable[..., Gmail], sandbox: Sandbox
) -> None:
    consent = attempt()
    assert "Go back to the terminal" in httpx.get(consent_to(consent.address)).text
    assert consent.wait(1)
    granted = consent.redeem()
    assert granted.scopes == {MODIFY}
    assert granted.ends_at is None
    mailbox = sandbox.state()["mailbox"]
    assert connect_gmail(refresh_token=granted.refresh_token, mailbox=mailbox).check().startswith(mailbox)


def test_the_page_is_asked_for_offline_access_with_pkce_and_nothing_more(attempt: Callable[..., Consent]) -> None:
    consent = attempt(login_hint="hello@company.example")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(consent.address).query).items()}
    assert asked.pop("redirect_uri") == consent.redirect
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", consent.redirect)
    for secret in ("state", "code_challenge"):
        assert len(asked.pop(secret)) == 43
    assert asked == {
        "client_id": credentials.GOOGLE_CLIENT_ID,
        "response_type": "code",
        "scope": MODIFY,
        "code_challenge_method": "S256",
        "access_type": "offline",
        "prompt": "consent",
        "login_hint": "hello@company.example",
    }


def test_googles_own_page_and_token_endpoint_belong_together() -> None:
    assert page_of(TOKENS) == GOOGLES_PAGE
    assert page_of("http://127.0.0.1:1/google/token") == "http://127.0.0.1:1/google/o/oauth2/v2/auth"


def test_a_no_is_said_in_words(attempt: Callable[..., Consent]) -> None:
    consent = attempt()
    httpx.get(consent_to(consent.address, decision="deny"))
    with pytest.raises(VendorError, match="you said no: nothing was connected") as caught:
        consent.redeem()
    assert caught.value.permanent


def test_an_answer_to_another_attempt_is_not_taken(attempt: Callable[..., Consent]) -> None:
    mine, other = attempt(), attempt()
    forged = consent_to(other.address).replace(other.redirect, mine.redirect)
    reply = httpx.get(forged)
    assert (reply.status_code, mine.wait(0)) == (400, False)
    assert httpx.get(f"{mine.redirect}?code=stolen").status_code == 400
    assert not mine.wait(0)
    httpx.get(consent_to(mine.address))
    assert mine.redeem().refresh_token


def test_a_second_tab_and_a_replayed_redirect_change_nothing(attempt: Callable[..., Consent]) -> None:
    consent = attempt()
    first, second = consent_to(consent.address), consent_to(consent.address, decision="deny")
    assert httpx.get(first).status_code == 200
    for again in (second, first):
        assert httpx.get(again).status_code == HTTPStatus.GONE
    assert consent.redeem().refresh_token


def test_a_code_is_good_for_one_exchange(attempt: Callable[..., Consent]) -> None:
    consent = attempt()
    httpx.get(consent_to(consent.address))
    consent.redeem()
    with pytest.raises(VendorError, match=r"invalid_grant.*start again"):
        consent.redeem()


def test_a_code_is_worth_nothing_without_the_verifier(attempt: Callable[..., Consent]) -> None:
    code = parse_qs(urlsplit(consent_to(attempt().address)).query)["code"][0]
    thief = attempt()
    thief.take(f"{thief.redirect}?code={code}&state={parse_qs(urlsplit(thief.address).query)['state'][0]}")
    with pytest.raises(VendorError, match="400"):
        thief.redeem()


def test_the_address_can_be_pasted_where_the_browser_is_elsewhere(attempt: Callable[..., Consent]) -> None:
    consent = attempt()
    for nonsense in ("", "yes", "http://[", f"{consent.redirect}?state=other&code=x"):
        assert consent.take(nonsense) is HTTPStatus.BAD_REQUEST, nonsense
    assert consent.take(f"  {consent_to(consent.address)}\n") is HTTPStatus.OK
    assert consent.redeem().refresh_token


def test_scopes_that_were_not_all_granted_are_named(attempt: Callable[..., Consent]) -> None:
    consent = attempt(MODIFY, READONLY)
    httpx.get(consent_to(consent.address, scopes=[READONLY]))
    with pytest.raises(VendorError, match=r"gmail\.modify was not allowed: start again, and tick every box"):
        consent.redeem()


def test_wider_scopes_count_as_the_ones_that_they_hold() -> None:
    assert missing((MODIFY,), frozenset({"https://mail.google.com/"})) == ""
    assert missing((MODIFY, READONLY), frozenset({MODIFY})) == "drive.readonly"


def test_a_wrong_client_is_told_without_its_secret(attempt: Callable[..., Consent], client: Client) -> None:
    secret = "GOCSPX-not-the-right-one"
    wrong = Client(client.client_id, SecretStr(secret), client.token_address, 5)
    consent = attempt(client=wrong)
    httpx.get(consent_to(consent.address))
    with pytest.raises(VendorError, match=r"401 invalid_client.*check the OAuth client's id and secret") as caught:
        consent.redeem()
    assert secret not in repr(vars(caught.value)) + repr(consent) + repr(wrong)


@pytest.mark.parametrize("fault", ["leaky_error", "bad_gateway", "reset", "server_error"])
def test_an_exchange_that_fails_quotes_neither_code_nor_secret(
    attempt: Callable[..., Consent], sandbox: Sandbox, fault: Any
) -> None:
    consent = attempt()
    answer = consent_to(consent.address)
    httpx.get(answer)
    sandbox.fault(fault, "google", "/token")
    with pytest.raises(VendorError) as caught:
        consent.redeem()
    told = str(caught.value) + repr(vars(caught.value))
    for secret in (parse_qs(urlsplit(answer).query)["code"][0], credentials.GOOGLE_CLIENT_SECRET, consent._verifier):
        assert secret not in told
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_no_refresh_token_is_told_with_the_way_out(attempt: Callable[..., Consent], sandbox: Sandbox) -> None:
    consent = attempt()
    httpx.get(consent_to(consent.address))
    sandbox.fault("renamed_field", "google", "/token", rename={"refresh_token": ""})
    with pytest.raises(VendorError, match=r"no refresh token: remove the app under myaccount\.google\.com/connections"):
        consent.redeem()


def test_a_connection_that_says_nothing_holds_up_none(attempt: Callable[..., Consent]) -> None:
    consent = attempt()
    port = urlsplit(consent.redirect).port
    with socket.create_connection(("127.0.0.1", port)):  # as browsers do, just in case
        assert httpx.get(f"{consent.redirect}favicon.ico").status_code == 404
        assert httpx.get(consent_to(consent.address), timeout=2).status_code == 200


def test_what_the_browser_shows_is_kept_nowhere(attempt: Callable[..., Consent], capfd: Any) -> None:
    consent = attempt()
    answer = consent_to(consent.address)
    reply = httpx.get(f"{answer}&x=<script>")
    assert (reply.headers["cache-control"], reply.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert parse_qs(urlsplit(answer).query)["code"][0] not in reply.text + "".join(capfd.readouterr())
    assert "<script>" not in reply.text


def test_the_port_is_closed_afterwards_and_no_thread_is_left(client: Client) -> None:
    before = threading.active_count()
    with Consent(client, (MODIFY,), Failures("gmail")) as consent:
        port = urlsplit(consent.redirect).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert threading.active_count() <= before


def test_a_forced_refresh_tells_what_the_token_may_do_and_until_when(
    attempt: Callable[..., Consent], client: Client
) -> None:
    consent = attempt()
    httpx.get(consent_to(consent.address, days="6.5"))
    granted = consent.redeem()
    again = refresh(client, granted.refresh_token, (MODIFY,), Failures("gmail"))
    assert granted.ends_at is not None
    assert again.ends_at is not None
    assert abs((again.ends_at - granted.ends_at).total_seconds()) < 5
    assert again.scopes == {MODIFY}


def test_a_dead_token_is_told_as_one(client: Client) -> None:
    with pytest.raises(VendorError, match=r"invalid_grant.*connect the Google account again") as caught:
        refresh(client, SecretStr("1//dead"), (MODIFY,), Failures("gmail"))
    assert caught.value.permanent


def test_a_strangers_mailbox_is_not_ours(attempt: Callable[..., Consent], connect_gmail: Callable[..., Gmail]) -> None:
    consent = attempt()
    httpx.get(consent_to(consent.address, account=STRANGER))
    with pytest.raises(VendorError, match=f"connected to {STRANGER}, but the block says hello@company.example"):
        connect_gmail(refresh_token=consent.redeem().refresh_token).check()


@pytest.mark.parametrize(("module", "name", "scope"), [("gmail", "gmail.v1", MODIFY), ("drive", "drive.v3", READONLY)])
def test_the_scope_covers_every_method_that_the_block_calls_and_no_lesser_one_does(
    module: str, name: str, scope: str
) -> None:
    import googleapiclient

    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    known = methods(json.loads((folder / f"{name}.json").read_text()))
    code = Path(f"blocks/{module}.py").read_text(encoding="utf-8")
    resources = "|".join(sorted({each.split(".")[-2] for each in known}))
    called = {f"{a}.{b.removesuffix('_media')}" for a, b in re.findall(rf"\b({resources})\.(\w+)\b", code)}
    used = {key: scopes for key, scopes in known.items() if ".".join(key.split(".")[-2:]) in called}
    assert len(used) >= 4, used
    assert [key for key, scopes in used.items() if scope not in scopes] == []
    enough_for_all = set.intersection(*map(set, used.values()))
    # drive.file is for files that the app itself has made.
    assert {each.rpartition("/")[2] for each in enough_for_all} <= {scope.rpartition("/")[2], "", "drive", "drive.file"}


def methods(resource: dict[str, Any]) -> dict[str, list[str]]:
    """The scopes of every method of a resource and of those inside it, by id."""
    found = {each["id"]: each.get("scopes", []) for each in resource.get("methods", {}).values()}
    for inner in resource.get("resources", {}).values():
        found |= methods(inner)
    return found

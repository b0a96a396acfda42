"""`signoff connect`, with nobody there and in a terminal: what it asks, takes, refuses and saves."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from blocks import connections
from blocks.drive import Drive
from blocks.gmail import Gmail
from blocks.hubspot import HubSpot
from blocks.slack import Slack
from blocks.stripe import Stripe
from blocks.vendor import VendorError
from deployments import connect as command
from deployments import consent
from deployments.cards import cards
from deployments.machine import HOST
from deployments.running import HOME
from sandbox import credentials as keys
from sandbox.client import Sandbox
from sandbox.google_consent import STRANGER
from tasks.card import Card
from tests.conftest import MAILBOX
from tests.consenting import consent_to
from tests.deployments.machinery import Finished, clean_environment, run, unused_port
from tests.deployments.terminal import Terminal, terminal

Signoff = Callable[..., Finished]
NAME = "mine"
"""What the accounts of these tests are called: other tests' stay as they are."""
PLACES = {
    "GMAIL": "google/",
    "DRIVE": "google/",
    "HUBSPOT": "hubspot",
    "SLACK": "slack",
    "STRIPE": "stripe",
    "NOTION": "notion",
    "CLAUDE": "anthropic",
}
SECRETS = (
    keys.GOOGLE_CLIENT_SECRET, keys.GOOGLE_REFRESH_TOKEN, keys.HUBSPOT_TOKEN, keys.SLACK_BOT_TOKEN, keys.STRIPE_KEY,
)  # fmt: skip


def card(*vendors: str) -> Card:
    """The lead triage's card, which reads from these vendors' accounts, called `mine`, and may post to slack/mine."""
    real = next(card for card in cards() if card.workflow == "lead-triage")
    reads = tuple(real.reads[0].model_copy(update={"credential": f"{vendor}/{NAME}"}) for vendor in vendors)
    posts = real.writes_of("slack.post_message")
    assert posts
    writes = (posts.model_copy(update={"credential": f"slack/{NAME}"}),)
    change = {"reads": reads, "writes": writes, "model": f"claude/{NAME}", "shadow_report": None}
    return real.model_copy(update=change)


@pytest.fixture
def addresses(sandbox: Sandbox) -> dict[str, str]:
    """The variables by which every vendor is the sandbox's."""
    found = {f"SIGNOFF_{vendor}_ADDRESS": f"{sandbox.url}/{place}" for vendor, place in PLACES.items()}
    token = f"{sandbox.url}/google/token"
    return found | {"SIGNOFF_GMAIL_TOKEN_ADDRESS": token, "SIGNOFF_DRIVE_TOKEN_ADDRESS": token}


@pytest.fixture
def forgotten(prefect_server: None) -> Iterator[None]:  # noqa: ARG001
    """What was saved is gone afterwards."""
    yield
    for kind in (Gmail, Drive, HubSpot, Slack, Stripe):
        with suppress(ValueError):
            kind.delete(NAME)


@pytest.fixture
def signoff(
    forgotten: None,  # noqa: ARG001
    addresses: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    in_process: Signoff,
) -> Signoff:
    """Runs `signoff ...` with nobody there, for a card that reads from HubSpot and Stripe."""
    monkeypatch.setattr(command, "cards", lambda: [card("hubspot", "stripe")])
    for name, value in addresses.items():
        monkeypatch.setenv(name, value)
    return in_process


def saved(credential: str) -> Any:
    """The block as it stands on the server."""
    return connections.load_if_present(credential)


@pytest.mark.parametrize("name", ["connect", "doctor"])
def test_help_fits_80_columns(in_process: Signoff, name: str) -> None:
    done = in_process(name, "--help")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80


class TestWithNobodyThere:
    def test_what_the_environment_holds_is_checked_and_saved_and_its_variable_is_named(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUBSPOT_PRIVATE_APP_TOKEN", f" {keys.HUBSPOT_TOKEN}\n")
        monkeypatch.setenv("STRIPE_API_KEY", keys.STRIPE_KEY)
        done = signoff("connect", "hubspot", "stripe")
        assert done.code == 0, done.out
        for said in ("Access token: from HUBSPOT_PRIVATE_APP_TOKEN", "API key: from STRIPE_API_KEY", "in test mode"):
            assert said in done.out
        assert [secret for secret in SECRETS if secret in done.out + done.err] == []
        assert saved("hubspot/mine").access_token.get_secret_value() == keys.HUBSPOT_TOKEN
        assert max(map(len, done.out.splitlines())) <= 80

    def test_what_is_missing_is_listed_with_how_to_give_it(self, signoff: Signoff) -> None:
        done = signoff("connect")
        assert done.code == 1
        said = " ".join(done.out.split())
        assert "hubspot/mine HubSpot, needed" in said
        assert "Access token: set HUBSPOT_PRIVATE_APP_TOKEN or HUBSPOT_SERVICE_KEY" in said
        assert "or run signoff connect stripe/mine in a terminal" in said
        assert "slack/mine Slack, optional" in said
        assert "Still needed: hubspot/mine, stripe/mine." in said
        assert saved("hubspot/mine") is None

    def test_only_what_is_optional_missing_is_no_failure(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "cards", lambda: [card("stripe")])
        monkeypatch.setenv("STRIPE_API_KEY", keys.STRIPE_KEY)
        done = signoff("connect", "--from-environment")
        assert done.code == 0, done.out
        assert "not connected, optional" in " ".join(done.out.split())

    def test_it_says_what_each_account_is_for_and_the_least_that_it_needs(self, signoff: Signoff) -> None:
        said = " ".join(signoff("connect", "stripe", "slack").out.split())
        assert "lead-triage: reads the shared inbox" in said
        assert "lead-triage: may post message" in said
        assert "a restricted key: read for customers, charges, payment intents" in said
        assert "dashboard.stripe.com, Developers, API keys" in said

    def test_a_refusal_says_what_the_vendor_said_saves_nothing_and_goes_on(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUBSPOT_PRIVATE_APP_TOKEN", "pat-eu1-not-this-one")
        monkeypatch.setenv("STRIPE_API_KEY", keys.STRIPE_KEY)
        done = signoff("connect")
        said = " ".join(done.out.split())
        assert done.code == 1
        assert "nothing was saved: hubspot:" in said
        assert "401" in said
        assert "create a new Service Key" in said
        assert "not-this-one" not in done.out
        assert saved("hubspot/mine") is None
        assert saved("stripe/mine") is not None

    @pytest.mark.parametrize("value", ["two words", "ключ", "rk_test_\nx"])
    def test_what_can_be_no_key_is_refused_unsent_and_unquoted(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, value: str
    ) -> None:
        monkeypatch.setenv("STRIPE_API_KEY", value)
        said = " ".join(signoff("connect", "stripe").out.split())
        assert "API key: STRIPE_API_KEY holds a space, a line break or a letter outside ASCII" in said
        assert value not in said
        assert [call for call in sandbox.requests() if call["vendor"] == "stripe"] == []

    def test_a_value_of_the_wrong_kind_is_named(self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STRIPE_API_KEY", keys.STRIPE_KEY)
        monkeypatch.setenv("SIGNOFF_STRIPE_TIMEOUT_SECONDS", "soon")
        said = " ".join(signoff("connect", "stripe").out.split())
        assert "nothing was saved: Timeout (seconds): Input should be a valid number" in said
        assert saved("stripe/mine") is None

    def test_an_account_that_is_there_is_checked_again_and_kept(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
    ) -> None:
        connections.save("stripe/mine", Stripe(api_key=SecretStr(keys.STRIPE_KEY), address=sandbox.at("stripe")))
        monkeypatch.setenv("STRIPE_API_KEY", keys.STRIPE_KEY_WITHOUT_WRITES)
        done = signoff("connect", "stripe")
        said = " ".join(done.out.split())
        assert done.code == 0
        assert "kept as it is STRIPE_API_KEY holds another value: --again takes it" in said
        assert saved("stripe/mine").api_key.get_secret_value() == keys.STRIPE_KEY
        assert signoff("connect", "stripe", "--again").code == 0
        assert saved("stripe/mine").api_key.get_secret_value() == keys.STRIPE_KEY_WITHOUT_WRITES

    def test_one_that_has_died_is_told_and_replaced_by_what_the_environment_holds(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
    ) -> None:
        connections.save("stripe/mine", Stripe(api_key=SecretStr("rk_test_dead"), address=sandbox.at("stripe")))
        first = signoff("connect", "stripe")
        assert first.code == 1
        assert "cannot be used" in first.out
        assert "nothing else was given than what is saved" in first.out
        monkeypatch.setenv("STRIPE_API_KEY", keys.STRIPE_KEY)
        assert signoff("connect", "stripe").code == 0
        assert saved("stripe/mine").api_key.get_secret_value() == keys.STRIPE_KEY

    def test_one_that_cannot_be_checked_now_is_kept(self, signoff: Signoff, sandbox: Sandbox) -> None:
        block = Stripe(api_key=SecretStr(keys.STRIPE_KEY), address=sandbox.at("stripe"))
        connections.save("stripe/mine", block)
        sandbox.fault("overloaded", "stripe")
        done = signoff("connect", "stripe")
        assert done.code == 1
        assert "could not be checked now" in done.out
        assert "kept as it is" in done.out
        assert saved("stripe/mine").api_key == block.api_key

    def test_google_without_a_terminal_takes_a_refresh_token_and_the_mailbox_is_compared(
        self, signoff: Signoff, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "cards", lambda: [card("gmail", "drive")])
        monkeypatch.setenv("GMAIL_OAUTH_CLIENT_ID", keys.GOOGLE_CLIENT_ID)
        monkeypatch.setenv("GMAIL_OAUTH_CLIENT_SECRET", keys.GOOGLE_CLIENT_SECRET)
        said = " ".join(signoff("connect", "drive").out.split())
        assert "Refresh token: set GOOGLE_DRIVE_OAUTH_REFRESH_TOKEN or GOOGLE_OAUTH_REFRESH_TOKEN" in said
        assert "in a terminal; Google asks in the browser" in said
        monkeypatch.setenv("GOOGLE_OAUTH_REFRESH_TOKEN", keys.GOOGLE_REFRESH_TOKEN)
        monkeypatch.setenv("GMAIL_MAILBOX", "somebody@else.example")
        wrong = signoff("connect", "gmail")
        assert wrong.code == 1
        assert f"connected to {MAILBOX}, but the block says somebody@else.example" in " ".join(wrong.out.split())
        monkeypatch.setenv("GMAIL_MAILBOX", MAILBOX)
        assert signoff("connect").code == 0
        assert saved("drive/mine").refresh_token.get_secret_value() == keys.GOOGLE_REFRESH_TOKEN

    def test_an_unknown_vendor_is_refused_with_those_that_there_are(self, signoff: Signoff) -> None:
        refusal = signoff("connect", "salesforce").refused()
        assert "no workflow needs salesforce; there are hubspot/mine, stripe/mine" in refusal

    def test_nothing_real_is_connected_to_the_demo(self, in_process: Signoff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PREFECT_HOME", str(HOME / "demo" / "prefect"))
        assert "stop it with Ctrl-C, start `signoff up`" in in_process("connect").refused()

    def test_without_a_server_the_way_out_is_one_line(self, tmp_path: Path) -> None:
        nowhere = f"http://{HOST}:{unused_port()}/api"
        away = clean_environment(PREFECT_API_URL=nowhere, PREFECT_HOME=str(tmp_path))
        assert "start one with `signoff up`" in run(["signoff", "connect", "stripe"], away).refused()


@pytest.fixture
def watched(forgotten: None, addresses: dict[str, str], tmp_path: Path) -> dict[str, str]:  # noqa: ARG001
    """The environment of a command in a terminal, which talks to the tests' Prefect server and the sandbox."""
    from prefect.settings import PREFECT_API_URL

    url = str(PREFECT_API_URL.value())
    found = clean_environment(PREFECT_API_URL=url, PREFECT_HOME=str(tmp_path), DO_NOT_TRACK="1", **addresses)
    kept = {name: value for name, value in found.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    return {name: value for name, value in kept.items() if "COLUMNS" not in name}


def begin(shown: Terminal, mailbox: str = MAILBOX) -> str:
    """Answer what comes before Google's page, and return the page's address."""
    shown.answer(r"Mailbox: ", mailbox)
    shown.answer(r"OAuth client id: ", keys.GOOGLE_CLIENT_ID)
    shown.answer(r"OAuth client secret: ", keys.GOOGLE_CLIENT_SECRET)
    page = shown.see(r"(http://\S+auth\?\S+)")[1]
    shown.see(r"Waiting for")
    return str(page)


@pytest.mark.slow
class TestInATerminal:
    def test_wrong_keys_then_right_ones_and_none_of_them_is_shown(self, watched: dict[str, str]) -> None:
        accounts = ("hubspot/mine", "stripe/mine", "slack/mine", "traces/mine")
        with terminal("connect", *accounts, environment=watched) as shown:
            shown.answer(r"Access token: ", "pat-eu1-not-this-one")
            shown.see(r"nothing was saved")
            shown.answer(r"API key: ", keys.STRIPE_KEY)
            shown.see(r"connected: acct_sandbox in test mode")
            shown.answer(r"Bot token: ", "")
            shown.see(r"left out")
            shown.answer(r"Address \(Enter: \S+\): ", "")
            shown.answer(r"public key: ", "")  # without one, nothing is sent to the address that is usual
            shown.see(r"left out")
            assert shown.end() == 0  # no card needs them: they were asked for by name
        with terminal("connect", "hubspot/mine", "stripe/mine", environment=watched) as again:
            again.answer(r"Access token: ", keys.HUBSPOT_TOKEN)
            again.see(r"connected: account ")
            again.see(r"kept as it is")
            assert again.end() == 0
        both = shown.seen + again.seen
        assert [word for word in (*SECRETS, "not-this-one") if word in both] == []
        lines = [line.strip("\r") for line in both.split("\n") if "Checking" not in line]  # which turns on one line
        assert [line for line in lines if len(line) > 80] == []
        assert saved("hubspot/mine").access_token.get_secret_value() == keys.HUBSPOT_TOKEN
        assert saved("slack/mine") is None

    def test_google_in_the_browser_of_this_machine_and_one_client_for_both_accounts(
        self, watched: dict[str, str]
    ) -> None:
        browser = {"BROWSER": f"{sys.executable} -m tests.consenting %s"}
        with terminal("connect", "gmail/mine", "drive/mine", environment=watched | browser) as shown:
            begin(shown)
            shown.see(rf"connected: {re.escape(MAILBOX)}")
            shown.answer(rf"client id \(Enter: {re.escape(keys.GOOGLE_CLIENT_ID)}\): ", "")
            shown.answer(r"client secret \(Enter: as for gmail/mine\): ", "")
            shown.see(r"The browser has it")
            shown.see(rf"connected: {re.escape(MAILBOX)}")
            assert shown.end() == 0
        assert "ends the connection after 7 days" in " ".join(shown.seen.split())
        assert saved("gmail/mine").check()
        assert saved("drive/mine").refresh_token != saved("gmail/mine").refresh_token

    def test_without_a_browser_the_last_address_is_pasted_and_ctrl_c_keeps_what_was_connected(
        self, watched: dict[str, str]
    ) -> None:
        calls = ("connect", "gmail/mine", "drive/mine", "--no-browser")
        with terminal(*calls, environment=watched | {"BROWSER": "false"}) as shown:
            page = begin(shown)
            shown.type("http://127.0.0.1/?code=guess&state=guess")
            shown.see(r"not the address of the page")
            shown.type(consent_to(page))
            shown.see(r"connected: ")
            shown.answer(r"client id \(Enter: \S+\): ", "")
            shown.answer(r"client secret \(Enter: as for gmail/mine\): ", "")
            shown.see(r"Waiting for")
            shown.interrupt()
            assert shown.end() == 130
        assert "Traceback" not in shown.seen
        assert saved("gmail/mine").check()
        assert saved("drive/mine") is None

    def test_what_is_no_consent_saves_nothing_and_the_next_account_is_asked_for(self, watched: dict[str, str]) -> None:
        with terminal("connect", "gmail/mine", "drive/mine", environment=watched) as shown:
            httpx.get(consent_to(begin(shown), account=STRANGER))
            shown.see(f"nothing was saved: .*connected to {re.escape(STRANGER)}, but the block says {MAILBOX}")
            shown.answer(r"OAuth client id: ", keys.GOOGLE_CLIENT_ID)
            shown.answer(r"OAuth client secret: ", keys.GOOGLE_CLIENT_SECRET)
            httpx.get(consent_to(shown.see(r"(http://\S+auth\?\S+)")[1], decision="deny"))
            shown.see(r"nothing was saved: .*you said no")
            shown.end()
        assert saved("gmail/mine") is None
        assert saved("drive/mine") is None

    def test_a_dead_google_account_is_asked_for_anew_and_its_client_is_kept_with_enter(
        self, watched: dict[str, str], sandbox: Sandbox
    ) -> None:
        dead = Gmail(
            mailbox=MAILBOX,
            client_id=keys.GOOGLE_CLIENT_ID,
            client_secret=SecretStr(keys.GOOGLE_CLIENT_SECRET),
            refresh_token=SecretStr("1//dead"),
            address=f"{sandbox.url}/google/",
            token_address=f"{sandbox.url}/google/token",
        )
        connections.save("gmail/mine", dead)
        browser = {"BROWSER": f"{sys.executable} -m tests.consenting %s", "GMAIL_OAUTH_REFRESH_TOKEN": "1//dead"}
        with terminal("connect", "gmail/mine", environment=watched | browser) as shown:
            shown.see(r"cannot be used")
            shown.answer(r"Mailbox \(Enter: \S+\): ", "")
            shown.answer(r"client id \(Enter: \S+\): ", "")
            shown.answer(r"client secret \(Enter: as saved\): ", "")
            shown.see(r"connected: ")
            assert shown.end() == 0
        assert saved("gmail/mine").check()

    def test_the_wait_for_google_has_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consent, "WAIT_SECONDS", 0.3)
        monkeypatch.setattr(consent, "_pasted", lambda: "")
        values = {"client_id": keys.GOOGLE_CLIENT_ID, "client_secret": SecretStr(keys.GOOGLE_CLIENT_SECRET)}
        with pytest.raises(VendorError, match="no answer came within"):
            consent.ask_google("gmail/mine", Gmail, values, browser=False)

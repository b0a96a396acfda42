"""The accounts that the cards need: which, whose, and how each stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from blocks import connections
from blocks.gmail import Gmail
from blocks.google_consent import Client, Consent
from blocks.hubspot import HubSpot
from blocks.notion import Notion
from blocks.slack import Slack
from blocks.stripe import Stripe
from blocks.vendor import Failures
from deployments.cards import cards
from sandbox import credentials as keys
from sandbox.client import Sandbox
from sandbox.notion import source_id
from tasks import credentials
from tasks.card import Card
from tasks.credentials import CredentialState, Need, check, check_all, needs
from tests.conftest import MAILBOX
from tests.consenting import consent_to

INBOX = Need("gmail/inbox", (("lead-triage", "reads the shared inbox"),), owner="tom@example.com", required=True)


@pytest.fixture
def gmail(sandbox: Sandbox) -> Callable[..., Gmail]:
    """Makes Gmail blocks on the sandbox."""

    def make(**changes: Any) -> Gmail:
        fields: dict[str, Any] = {
            "mailbox": MAILBOX,
            "client_id": keys.GOOGLE_CLIENT_ID,
            "client_secret": SecretStr(keys.GOOGLE_CLIENT_SECRET),
            "refresh_token": SecretStr(keys.GOOGLE_REFRESH_TOKEN),
            "address": f"{sandbox.url}/google/",
            "token_address": f"{sandbox.url}/google/token",
            "timeout_seconds": 5,
        }
        return Gmail(**fields | changes)

    return make


@pytest.fixture
def consented(gmail: Callable[..., Gmail]) -> Callable[..., Gmail]:
    """Makes Gmail blocks whose token somebody has just consented to."""

    def make(*scopes: str, **how: Any) -> Gmail:
        block = gmail()
        with Consent(Client.of(block), scopes or Gmail.connecting.scopes, Failures("gmail")) as consent:
            httpx.get(consent_to(consent.address, **how))
            return gmail(refresh_token=consent.redeem().refresh_token)

    return make


class TestNeeds:
    def test_what_any_card_reads_or_must_write_is_required_and_comes_first(self) -> None:
        found = needs(cards())
        required = {need.credential for need in found if need.required}
        assert required == {"gmail/inbox", "hubspot/crm", "drive/company", "stripe/billing"}
        assert [need.required for need in found] == sorted((need.required for need in found), reverse=True)
        assert {need.credential for need in found} > {
            "slack/team", "claude/triage", "claude/agent", "notion/meetings", "notion/documents",
        }  # fmt: skip

    def test_each_says_for_which_workflows_and_what_they_do_with_it(self) -> None:
        by_name = {need.credential: need for need in needs(cards())}
        assert by_name["stripe/billing"].uses == (
            (
                "billing-agent",
                "reads customers, invoices, payments, subscriptions; may refund, issue credit, create invoice",
            ),
        )
        assert by_name["notion/meetings"].workflows == ("meeting-notes",)
        assert dict(by_name["claude/agent"].uses)["billing-agent"].startswith("takes its agent's steps")

    def test_the_ledgers_own_tables_need_no_account(self) -> None:
        assert connections.ROWS not in {need.credential for need in needs(cards())}

    def test_an_account_that_several_share_is_theirs_together(self) -> None:
        mine, other = cards()[:2]
        shared = [mine.model_copy(update={"owner": owner}) for owner in ("zoe@example.com", "ann@example.com")]
        assert {need.owner for need in needs(shared) if need.uses[0][0] == mine.workflow} == {
            "ann@example.com, zoe@example.com"
        }
        assert other.owner not in {need.owner for need in needs(shared)}

    def test_a_block_that_no_card_names_is_offered_where_its_type_says_so(self) -> None:
        traces = next(need for need in needs([]) if need.credential == "traces/collector")
        assert (traces.required, traces.workflows) == (False, ("every workflow",))


@pytest.mark.usefixtures("prefect_server")
class TestOneAccount:
    def test_one_that_works_says_as_whom(self, gmail: Callable[..., Gmail]) -> None:
        state = check(INBOX, gmail())
        assert (state.ok, state.present, state.as_whom) == (True, True, f"{MAILBOX} (0 messages)")
        assert (state.reason, state.way_out, state.expires_at) == ("", "", None)
        assert (state.owner, state.workflows) == ("tom@example.com", ("lead-triage",))
        assert datetime.now(UTC) - state.checked_at < timedelta(minutes=1)

    def test_a_dead_google_token_is_found_although_an_access_token_still_works(
        self, gmail: Callable[..., Gmail], sandbox: Sandbox
    ) -> None:
        block = gmail()
        assert check(INBOX, block).ok
        sandbox.fault("invalid_grant")
        state = check(INBOX, block)
        assert (state.ok, state.lasting, state.way_out) == (False, True, "signoff connect gmail/inbox")
        assert "invalid_grant" in state.reason

    def test_scopes_that_have_been_narrowed_are_found_before_a_workflow_meets_them(
        self, consented: Callable[..., Gmail]
    ) -> None:
        state = check(INBOX, consented("https://www.googleapis.com/auth/gmail.readonly"))
        assert (state.ok, state.lasting) == (False, True)
        assert "does not allow gmail.modify" in state.reason

    def test_an_end_that_google_tells_of_is_known_and_warned_of_when_it_is_near(
        self, consented: Callable[..., Gmail]
    ) -> None:
        far, near = check(INBOX, consented(days="90")), check(INBOX, consented(days="1.5"))
        assert far.expires_at is not None
        assert (far.expires_at - datetime.now(UTC)).days in (89, 90)
        assert (far.warning, near.ok) == ("", True)
        assert near.warning.startswith("it ends on ")
        assert near.way_out == "signoff connect gmail/inbox"

    @pytest.mark.parametrize(("days_ago", "warned"), [(1, False), (5.5, True), (8, False)])
    def test_a_token_of_a_testing_app_is_warned_of_from_its_fifth_day_to_its_last(
        self, gmail: Callable[..., Gmail], monkeypatch: pytest.MonkeyPatch, days_ago: float, warned: bool
    ) -> None:
        saved_at = datetime.now(UTC) - timedelta(days=days_ago)
        monkeypatch.setattr(connections, "saved_at", lambda _: saved_at)
        state = check(INBOX, gmail())
        assert state.ok
        assert ("if the OAuth app is in Testing, it ends on" in state.warning) is warned

    def test_what_may_pass_is_told_apart_from_what_lasts(self, gmail: Callable[..., Gmail], sandbox: Sandbox) -> None:
        sandbox.fault("overloaded", "google", "/token")
        state = check(INBOX, gmail())
        assert (state.ok, state.lasting) == (False, False)
        assert "look again later" in state.way_out

    @pytest.mark.parametrize("channel", ["C0000009999", "nowhere"])
    def test_a_channel_that_is_not_there_is_found_although_the_token_is_right(
        self, sandbox: Sandbox, channel: str
    ) -> None:
        block = Slack(bot_token=SecretStr(keys.SLACK_BOT_TOKEN), channel=channel, address=sandbox.at("slack"))
        assert block.check()
        state = check(Need("slack/team", (), owner="", required=False), block)
        assert (state.ok, state.lasting) == (False, True)
        assert "channel" in state.reason

    def test_a_database_without_its_key_is_found_although_the_token_is_right(self, sandbox: Sandbox) -> None:
        sandbox.change_database("Meeting notes", rename={"Key": "Id"})
        source = source_id("Meeting notes")
        block = Notion(token=SecretStr(keys.NOTION_TOKEN), data_source=source, address=sandbox.at("notion"))
        assert block.check()
        state = check(Need("notion/meetings", (), owner="", required=False), block)
        assert (state.ok, state.lasting) == (False, True)
        assert "Key" in state.reason

    def test_a_key_that_works_and_is_too_strong_is_ok_with_a_warning(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Stripe, "check", lambda _: "acct_1 in live mode")  # the sandbox has test keys only
        block = Stripe(api_key=SecretStr("sk_live_x"), address=sandbox.at("stripe"))
        state = check(Need("stripe/billing", (), owner="", required=True), block)
        assert state.ok
        assert state.warning.startswith("an unrestricted live key")

    def test_a_value_that_no_library_takes_is_told_without_it(self, sandbox: Sandbox) -> None:
        secret = "ключ-secret"
        block = Slack(bot_token=SecretStr(secret), channel="C1", address=sandbox.at("slack"))
        need = Need("slack/team", (), owner="", required=False)
        state = credentials.check_within(need, block)
        assert (state.ok, state.lasting) == (False, True)
        assert "is not what it should be" in state.reason
        assert secret not in repr(state)


@pytest.fixture
def owned(cards_of: Callable[..., Card]) -> Card:
    """A card whose accounts no other test uses."""
    return cards_of("mine")


@pytest.fixture
def cards_of() -> Callable[..., Card]:
    """Makes a card whose every account is called `name`."""

    def make(name: str) -> Card:
        card = next(card for card in cards() if card.workflow == "lead-triage")
        moved: dict[str, Any] = {
            part: tuple(
                line.model_copy(update={"credential": f"{line.credential.split('/')[0]}/{name}"})
                for line in getattr(card, part)
            )
            for part in ("reads", "writes")
        }
        return card.model_copy(update=moved | {"model": f"claude/{name}", "shadow_report": None})

    return make


@pytest.fixture
def saved(prefect_server: None, gmail: Callable[..., Gmail], sandbox: Sandbox) -> Iterator[None]:  # noqa: ARG001
    """The accounts of `owned`, but Claude's and Slack's."""
    connections.save("gmail/mine", gmail())
    hubspot = HubSpot(access_token=SecretStr(keys.HUBSPOT_TOKEN), address=sandbox.at("hubspot"), timeout_seconds=5)
    connections.save("hubspot/mine", hubspot)
    yield
    for kind in (Gmail, HubSpot):
        with suppress(ValueError):
            kind.delete("mine")


def by_name(states: list[CredentialState]) -> dict[str, CredentialState]:
    return {state.credential: state for state in states}


class TestAll:
    @pytest.mark.usefixtures("saved")
    def test_every_account_is_there_with_its_state(self, owned: Card) -> None:
        found = by_name(check_all([owned]))
        assert found["gmail/mine"].ok
        assert found["hubspot/mine"].as_whom.startswith("account ")
        absent = found["slack/mine"]
        assert (absent.present, absent.required, absent.ok) == (False, False, True)
        assert absent.way_out == "signoff connect slack/mine"
        assert found["claude/mine"].workflows == ("lead-triage",)

    @pytest.mark.usefixtures("prefect_server", "sandbox")
    def test_a_required_one_that_nobody_has_connected_is_not_ok(self, cards_of: Callable[..., Card]) -> None:
        state = by_name(check_all([cards_of("nobody")]))["gmail/nobody"]
        assert (state.present, state.required, state.ok) == (False, True, False)
        assert (state.reason, state.way_out) == ("not connected", "signoff connect gmail/nobody")

    @pytest.mark.usefixtures("saved")
    def test_one_that_hangs_is_told_of_within_the_limit_and_the_others_are_as_they_are(
        self, owned: Card, sandbox: Sandbox
    ) -> None:
        sandbox.fault("hang", "hubspot", seconds=4, times=None)
        began = time.monotonic()
        found = by_name(check_all([owned], seconds=2))
        assert time.monotonic() - began < 4
        assert found["hubspot/mine"].reason == "no answer within 2 s"
        assert (found["hubspot/mine"].ok, found["hubspot/mine"].lasting) == (False, False)
        assert found["gmail/mine"].ok

    @pytest.mark.usefixtures("saved")
    @pytest.mark.parametrize("vendor", ["google", "hubspot"])
    def test_no_state_holds_a_credential_that_a_vendor_quotes(self, owned: Card, sandbox: Sandbox, vendor: Any) -> None:
        sandbox.fault("leaky_error", vendor, times=None)
        told = repr(check_all([owned]))
        assert "refused credential" in told
        for secret in (keys.GOOGLE_CLIENT_SECRET, keys.GOOGLE_REFRESH_TOKEN, keys.HUBSPOT_TOKEN, "ya29."):
            assert secret not in told

    @pytest.mark.usefixtures("saved")
    def test_a_block_tells_when_it_was_saved(self) -> None:
        saved_at = connections.saved_at("gmail/mine")
        assert saved_at is not None
        assert abs(datetime.now(UTC) - saved_at) < timedelta(minutes=5)
        assert connections.saved_at("gmail/nobody") is None

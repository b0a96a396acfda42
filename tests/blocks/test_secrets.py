"""A credential is in no error, no repr and no traceback, even when the vendor quotes it back at us."""

from __future__ import annotations

import base64
import html
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from pydantic import SecretStr

import prompts
from blocks.models import Request
from blocks.stripe import Stripe
from blocks.vendor import Failures, VendorError
from sandbox import credentials
from sandbox.client import Sandbox
from sandbox.faults import Vendor

SECRETS = (
    credentials.GOOGLE_CLIENT_SECRET,
    credentials.GOOGLE_REFRESH_TOKEN,
    credentials.HUBSPOT_TOKEN,
    credentials.SLACK_BOT_TOKEN,
    credentials.ANTHROPIC_API_KEY,
    credentials.STRIPE_KEY,
    credentials.NOTION_TOKEN,
    "ya29.",
)
Connect = Callable[..., Any]


def everything_told(error: BaseException) -> str:
    """All that a log, a crash reporter that keeps local variables, and a pickled task state would hold of an error."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    state = error.__reduce__() if isinstance(error, VendorError) else ()
    return "\n".join([*lines, repr(error), str(error), repr(vars(error)), repr(state)])


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.fixture
def broken(
    sandbox: Sandbox,
    connect_gmail: Connect,
    connect_hubspot: Connect,
    connect_slack: Connect,
    connect_claude: Connect,
    connect_notion: Connect,
) -> Callable[[str], tuple[Any, Callable[[], Any]]]:
    """By vendor, its block and a call that will be refused."""
    case = prompts.load("lead_triage").cases[0]

    def make(vendor: str) -> tuple[Any, Callable[[], Any]]:
        connects: dict[str, Connect] = {
            "google": connect_gmail,
            "hubspot": connect_hubspot,
            "slack": connect_slack,
            "anthropic": connect_claude,
            "notion": connect_notion,
            "stripe": lambda: Stripe(api_key=SecretStr(credentials.STRIPE_KEY), address=f"{sandbox.url}/stripe"),
        }
        block = connects[vendor]()
        calls = {
            "google": lambda: block.history_id(),
            "hubspot": lambda: block.contacts_by_email(["ann@x.example"], ["email"]),
            "slack": lambda: block.post("Hello", "key"),
            "notion": lambda: block.create("Hello", {}, "key"),
            "anthropic": lambda: block.ask(Request(prompts.load("lead_triage"), case.inputs)),
            "stripe": lambda: block.refund("pi_1", 1, "duplicate", key="k", metadata={}),
        }
        return block, calls[vendor]

    return make


@pytest.mark.parametrize("vendor", ["google", "hubspot", "slack", "anthropic", "stripe", "notion"])
@pytest.mark.parametrize(
    "fault", ["leaky", "leaky_forbidden", "reset", "reply_lost", "bad_gateway", "hang", "leaky_token"]
)
def test_no_failure_tells_a_credential(
    sandbox: Sandbox, broken: Callable[[str], tuple[Any, Callable[[], Any]]], vendor: Vendor, fault: str
) -> None:
    block, call = broken(vendor)
    block.timeout_seconds = 0.5
    if fault == "leaky_token":
        if vendor != "google":
            pytest.skip("only Google's credentials are exchanged for others")
        sandbox.fault("leaky_error", vendor, "/token", times=None)
    elif fault.startswith("leaky"):
        sandbox.fault("leaky_error", vendor, "*[!n]", times=None, status=403 if "forbidden" in fault else 400)
    else:
        sandbox.fault(fault, vendor, "*[!n]", times=None, seconds=2)  # type: ignore[arg-type]
    with pytest.raises(VendorError) as caught:
        call()
    told = everything_told(caught.value)
    assert secrets_in(told) == [], told
    if fault.startswith("leaky"):
        assert "***" in str(caught.value)
    assert secrets_in(repr(pickle.loads(pickle.dumps(caught.value)))) == []


@pytest.mark.parametrize("vendor", ["google", "hubspot", "slack", "anthropic", "stripe", "notion"])
def test_no_block_tells_its_credential(
    broken: Callable[[str], tuple[Any, Callable[[], Any]]],
    vendor: Vendor,
) -> None:
    block, _ = broken(vendor)
    block.get_client()
    told = [
        repr(block),
        str(block),
        f"{block!s}",
        repr(block.model_dump()),
        block.model_dump_json(),
        repr(block.__dict__),
    ]
    told += [repr(vars(block)), repr(block.get_client()), json.dumps(block.model_dump(mode="json"))]
    with pytest.raises(ValueError, match="refused") as caught:
        fails_with(block)
    told.append(everything_told(caught.value))
    assert secrets_in("\n".join(told)) == []


def fails_with(block: Any) -> None:
    """A failure in whose traceback the block is seen."""
    raise ValueError("refused", block)


def test_a_credential_is_blanked_however_the_vendor_writes_it() -> None:
    secret = '1//0a+b/"c=é&d<e'
    failures = Failures("x", (SecretStr(secret),))
    forms = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    }
    for form in forms:
        error = failures.error("call", f"you sent {form} to us", permanent=True)
        assert error.reason == "you sent *** to us", form


def test_a_credential_that_is_cut_off_is_blanked_too() -> None:
    secret = "s3cr3t-" * 20
    body = json.dumps({"message": "x" * 250 + secret})
    error = Failures("x", (SecretStr(secret),)).refused("call", 400, body, {})
    assert "s3cr3t" not in str(error)


def test_a_url_in_an_error_loses_its_query() -> None:
    error = Failures("x").lost("call", httpx.ConnectError("no route to https://h.example/p?key=abc#frag"))
    assert "abc" not in str(error)
    assert "frag" not in str(error)

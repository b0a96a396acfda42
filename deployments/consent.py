"""Google's consent at the terminal: the page is opened or printed, and the answer comes by itself or is pasted."""

from __future__ import annotations

import os
import select
import sys
import time
import webbrowser
from collections.abc import Mapping
from http import HTTPStatus
from threading import Thread
from typing import Any

from pydantic import SecretStr
from rich.text import Text

from blocks.connecting import how
from blocks.google_consent import Client, Consent
from blocks.vendor import Failures
from deployments import views
from deployments.connect_view import say

WAIT_SECONDS = 300.0
"""How long a person has for Google's page."""

LOOK_SECONDS = 0.2


def ask_google(credential: str, kind: type[Any], values: Mapping[str, Any], *, browser: bool) -> SecretStr:
    """Ask the person for consent, and return the refresh token.

    Args:
        credential: the account, such as `gmail/inbox`.
        kind: its block type.
        values: the block's other values, as far as they are known.
        browser: open the page here; else it is printed only.

    Raises:
        VendorError: the person said no, allowed too little, or did not answer in time; or Google refused.
    """
    given = {name: values.get(name, info.default) for name, info in kind.model_fields.items()}
    client = Client(given["client_id"], given["client_secret"], given["token_address"], float(given["timeout_seconds"]))
    failures = Failures(credential.split("/")[0], (client.client_secret,))
    with Consent(client, how(kind).scopes, failures, login_hint=values.get("mailbox", "")) as consent:
        _show(consent.address, whose=values.get("mailbox", ""), opened=browser and _open(consent.address))
        if not _answered(consent):
            reason = f"no answer came within {WAIT_SECONDS / 60:g} minutes: run signoff connect {credential} again"
            raise failures.error("ask for consent", reason, permanent=True)
        return consent.redeem().refresh_token


def _show(address: str, *, whose: str, opened: bool) -> None:
    account = f"the account {whose}" if whose else "the account that is to be connected"
    say(f"Choose {account} on Google's page, and allow all that is asked.")
    say("The browser has it. If not, open:" if opened else "Open it in a browser:")
    views.console.print(Text(address, style="cyan"), soft_wrap=True)  # on a line of its own, to be copied whole
    say(
        "If that browser is on another machine, it ends on a page that cannot be shown: paste that page's address "
        f"here. Waiting for {WAIT_SECONDS / 60:g} minutes ..."
    )


def _open(address: str) -> bool:
    """Open a page in the browser, where there is one with a window: one in the terminal would take ours."""
    windows = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if not windows:
        return False
    Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # some browsers keep us until they are closed
    return True


def _answered(consent: Consent) -> bool:
    """Wait for the answer, by the browser or pasted."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        if consent.wait(LOOK_SECONDS):
            return True
        if (line := _pasted()) and consent.take(line) is HTTPStatus.BAD_REQUEST:
            say("That is not the address of the page that this attempt ended on.", "yellow")
    return False


def _pasted() -> str:
    """A line that was typed meanwhile; empty when there is none."""
    return sys.stdin.readline().strip() if select.select([sys.stdin], [], [], 0)[0] else ""
